//! The table of figures.

use std::fmt::{Display, Write as _};

use countersign::clock::{Clock, Tick};

struct Figure {
    scenario: &'static str,
    what: String,
    value: String,
    bound: String,
    holds: bool,
}

/// What was measured, and whether it is within its bounds.
pub struct Report {
    scenario: &'static str,
    clock: Clock,
    began: Tick,
    figures: Vec<Figure>,
}

impl Report {
    pub fn new() -> Self {
        let clock = Clock::system();
        Self {
            scenario: "",
            began: clock.tick(),
            clock,
            figures: Vec::new(),
        }
    }

    /// What follows belongs to this scenario.
    pub fn begin(&mut self, scenario: &'static str) {
        self.scenario = scenario;
        self.began = self.clock.tick();
    }

    fn add(&mut self, what: &str, value: impl Display, bound: String, holds: bool) {
        self.figures.push(Figure {
            scenario: self.scenario,
            what: what.to_owned(),
            value: value.to_string(),
            bound,
            holds,
        });
    }

    /// A figure that is not judged.
    pub fn figure(&mut self, what: &str, value: impl Display) {
        self.add(what, value, String::new(), true);
    }

    /// A figure that must be exactly this.
    pub fn exactly<T: Display + PartialEq>(&mut self, what: &str, value: T, bound: T) {
        let holds = value == bound;
        self.add(what, value, format!("= {bound}"), holds);
    }

    /// A figure that may be this at most.
    pub fn at_most<T: Display + PartialOrd>(&mut self, what: &str, value: T, bound: T) {
        let holds = value <= bound;
        self.add(what, value, format!("≤ {bound}"), holds);
    }

    /// A figure that must be this at least: a run in which nothing happened proves nothing.
    pub fn at_least<T: Display + PartialOrd>(&mut self, what: &str, value: T, bound: T) {
        let holds = value >= bound;
        self.add(what, value, format!("≥ {bound}"), holds);
    }

    /// Whether every bound holds.
    pub fn holds(&self) -> bool {
        self.figures.iter().all(|figure| figure.holds)
    }

    fn table(&self, scenario: Option<&str>) -> String {
        let mut table =
            String::from("| scenario | figure | value | bound | |\n|---|---|---|---|---|\n");
        for figure in &self.figures {
            if scenario.is_none_or(|one| one == figure.scenario) {
                let Figure {
                    scenario,
                    what,
                    value,
                    bound,
                    ..
                } = figure;
                let verdict = match (bound.is_empty(), figure.holds) {
                    (true, _) => "",
                    (false, true) => "holds",
                    (false, false) => "**BROKEN**",
                };
                let _ = writeln!(
                    table,
                    "| {scenario} | {what} | {value} | {bound} | {verdict} |"
                );
            }
        }
        table
    }

    /// Prints the scenario that has just run.
    pub fn show_last(&mut self) {
        let took = self.clock.tick().since(self.began).as_secs();
        self.figure("seconds in all", took);
        eprint!("{}", self.table(Some(self.scenario)));
    }

    /// Prints everything.
    pub fn show(&self) {
        println!("\n{}", self.table(None));
        println!(
            "{}",
            if self.holds() {
                "every bound holds"
            } else {
                "A BOUND IS BROKEN"
            }
        );
    }
}
