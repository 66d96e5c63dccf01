//! `countersign test`.

mod json;
mod junit;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;

use super::{BAD_CONFIGURATION, explain, output};
use crate::case::{self, Case, CaseFile};
use crate::clock::{Clock, UnixTime};
use crate::explain::{Check, Coverage, Explainer, Explanation};
use crate::telemetry::json::visible;

/// Hold a configuration to cases: requests, and what is expected to become of them
///
/// Each case is decided as a request would be, without a network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign test cases.yaml
  countersign test --config countersign.yaml --coverage cases/*.yaml
  countersign test --min-coverage 100 --output junit cases.yaml > report.xml")]
pub(super) struct Arguments {
    /// The configuration file; by default the one that each document of cases names, or that of COUNTERSIGN_CONFIG, or
    /// /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Documents of cases.
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
    /// Name the routes and alternatives that no case exercises, or only in one direction.
    #[arg(long)]
    coverage: bool,
    /// Fail where less of a configuration's policy is exercised.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People.
    #[default]
    Text,
    /// Programs.
    Json,
    /// Programs that know the XML of JUnit, as most CI systems do.
    Junit,
}

/// What became of all cases.
#[derive(Debug)]
struct Report {
    suites: Vec<Suite>,
    /// One for each configuration; empty where nobody asked.
    coverage: Vec<Covered>,
}

/// A document of cases.
#[derive(Debug)]
struct Suite {
    file: PathBuf,
    config: PathBuf,
    outcomes: Vec<(Case, Outcome)>,
}

/// What became of one case.
#[derive(Debug)]
enum Outcome {
    /// What was expected.
    Passed(Box<Explanation>),
    /// Something else.
    Failed(Box<Explanation>, Vec<Check>),
    /// It cannot be tried, or expects nothing.
    Error(String),
}

/// How much of a configuration the cases exercise.
#[derive(Debug)]
struct Covered {
    config: PathBuf,
    coverage: Coverage,
    /// What is wanted, in percent.
    least: Option<u8>,
}

impl Covered {
    fn is_too_low(&self) -> bool {
        self.least
            .is_some_and(|least| self.coverage.percent() < usize::from(least))
    }
}

/// How many cases there are of each outcome.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    cases: usize,
    failed: usize,
    errors: usize,
}

impl Suite {
    fn count(&self) -> Count {
        let mut count = Count::default();
        for (_, outcome) in &self.outcomes {
            count.cases += 1;
            match outcome {
                Outcome::Passed(_) => {}
                Outcome::Failed(..) => count.failed += 1,
                Outcome::Error(_) => count.errors += 1,
            }
        }
        count
    }
}

impl Report {
    fn count(&self) -> Count {
        let mut all = Count::default();
        for count in self.suites.iter().map(Suite::count) {
            all.cases += count.cases;
            all.failed += count.failed;
            all.errors += count.errors;
        }
        all
    }

    fn code(&self) -> ExitCode {
        let count = self.count();
        if count.errors > 0 {
            ExitCode::from(BAD_CONFIGURATION)
        } else if count.failed > 0 || self.coverage.iter().any(Covered::is_too_low) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Tests.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match report(arguments) {
        Ok(report) => {
            match arguments.output {
                Format::Text => output::out(&text::report(&report)),
                Format::Json => output::json(&json::report(&report)),
                Format::Junit => output::out(&junit::report(&report)),
            }
            report.code()
        }
        Err(reasons) => {
            output::err(&reasons);
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

/// A configuration, as cases see it.
struct Tried {
    config: PathBuf,
    explainer: Explainer,
    coverage: Coverage,
}

/// Runs all cases.
///
/// # Errors
/// A document or a configuration cannot be used: everything that is wrong with all of them.
fn report(arguments: &Arguments) -> Result<Report, String> {
    let mut wrong = String::new();
    let mut files = Vec::new();
    for path in &arguments.cases {
        match case::load(path) {
            Ok(file) => files.push((path, file)),
            Err(problems) => wrong.push_str(&problems.render()),
        }
    }
    let mut tried: Vec<Tried> = Vec::new();
    for (_, file) in &files {
        let config = config_of(arguments, file);
        if tried.iter().any(|own| own.config == config) {
            continue;
        }
        match prepare(&config) {
            Ok(own) => tried.push(own),
            Err(reasons) => wrong.push_str(&reasons),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let now = Clock::system().now().unix;
    let mut suites = Vec::new();
    for (path, file) in files {
        let config = config_of(arguments, &file);
        if let Some(own) = tried.iter_mut().find(|own| own.config == config) {
            suites.push(own.suite(path, file.cases, now));
        }
    }
    let wanted = arguments.coverage || arguments.min_coverage.is_some();
    let coverage = tried.into_iter().filter(|_| wanted).map(|own| Covered {
        config: own.config,
        coverage: own.coverage,
        least: arguments.min_coverage,
    });
    Ok(Report {
        suites,
        coverage: coverage.collect(),
    })
}

fn config_of(arguments: &Arguments, file: &CaseFile) -> PathBuf {
    let named = arguments.config.as_ref().or(file.config.as_ref());
    named.cloned().unwrap_or_else(super::default_config)
}

fn prepare(path: &Path) -> Result<Tried, String> {
    let config = explain::load(path)?;
    let coverage = Coverage::of(&config);
    let explainer = Explainer::pinned(Arc::clone(&config))
        .map_err(|reason| format!("{}: {reason}\n", visible(&path.display().to_string())))?;
    Ok(Tried {
        config: path.to_owned(),
        explainer,
        coverage,
    })
}

impl Tried {
    fn suite(&mut self, file: &Path, cases: Vec<Case>, now: UnixTime) -> Suite {
        let outcomes = cases
            .into_iter()
            .map(|case| {
                let outcome = self.outcome(&case, now);
                (case, outcome)
            })
            .collect();
        Suite {
            file: file.to_owned(),
            config: self.config.clone(),
            outcomes,
        }
    }

    fn outcome(&mut self, case: &Case, now: UnixTime) -> Outcome {
        let Some(expect) = case.expect.as_ref().filter(|expect| !expect.is_empty()) else {
            return Outcome::Error(
                "it expects nothing, so nothing could be wrong: say what in `expect`".to_owned(),
            );
        };
        let told = match self.explainer.explain(case, now) {
            Ok(told) => Box::new(told),
            Err(error) => return Outcome::Error(error.to_string()),
        };
        self.coverage.count(&told);
        let differences = expect.differences(&told);
        if differences.is_empty() {
            Outcome::Passed(told)
        } else {
            Outcome::Failed(told, differences)
        }
    }
}

/// What became of a request, in two words.
fn decided(told: &Explanation) -> String {
    let decision = told.verdict.decision();
    match (told.verdict.reason(), told.observed, &told.caller) {
        (Some(reason), _, _) => format!("{decision}: {reason}"),
        (None, Some(observed), _) => format!("{decision}, observed: {observed}"),
        (None, None, Some(caller)) => format!("{decision} as {caller}"),
        (None, None, None) => decision.to_owned(),
    }
}

fn plural(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}
