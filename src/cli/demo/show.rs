//! How the demo looks: for people, wrapped to the terminal; for programs, one JSON object per line.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::client::Call;
use super::steps::{Door, Expect, Step};
use super::upstream::Seen;
use super::walk::{Made, text};
use super::world::World;

/// Columns before the text of a field.
const INDENT: usize = 16;
/// Lines longer than this are hard to read.
const WIDEST: usize = 110;
/// Narrower terminals get lines that are too long.
const NARROWEST: usize = 50;

/// How text is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Columns.
    pub(super) width: usize,
    /// Escape sequences are welcome.
    pub(super) colour: bool,
}

#[derive(Clone, Copy)]
enum Tint {
    Bold,
    Dim,
    Good,
    Bad,
}

impl Look {
    fn tint(self, tint: Tint, words: &str) -> String {
        let code = match tint {
            Tint::Bold => "1",
            Tint::Dim => "2",
            Tint::Good => "32",
            Tint::Bad => "31",
        };
        if self.colour {
            format!("\x1b[{code}m{words}\x1b[0m")
        } else {
            words.to_owned()
        }
    }

    fn columns(self) -> usize {
        self.width.clamp(NARROWEST, WIDEST)
    }

    /// A label and its lines.
    fn field(self, label: &str, lines: &[String]) -> String {
        let mut out = String::new();
        for (at, line) in lines.iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let label = self.tint(Tint::Dim, &format!("    {label:<12}"));
            out.push_str(&format!("{}{line}\n", label));
        }
        out
    }

    fn wrapped(self, words: &str) -> Vec<String> {
        wrap(words, self.columns().saturating_sub(INDENT))
    }

    /// What runs, before the first step.
    pub(super) fn opening(self, world: &World, took: u128) -> String {
        let about = "A caller's request goes to the proxy, which checks the token and the policy, and passes it on to \
                     the upstream with a signed word about who is calling. Everything below really happens, on this \
                     machine, and each step is checked.";
        let mut out = format!("{}\n\n", self.tint(Tint::Bold, "countersign demo"));
        for line in wrap(about, self.columns().saturating_sub(2)) {
            out.push_str(&format!("  {line}\n"));
        }
        out.push('\n');
        for (label, value) in [
            ("proxy", format!("http://{}", world.proxy)),
            ("sidecar", format!("http://{} (adds tokens)", world.sidecar)),
            ("upstream", format!("http://{}", world.upstream_address)),
            (
                "issuers",
                format!("http://{}/accounts and /services", world.issuer_address),
            ),
            ("admin", format!("http://{}/", world.admin)),
            ("config", world.configuration.display().to_string()),
            ("started in", format!("{took} ms")),
        ] {
            out.push_str(&self.field(label, &[value]));
        }
        out.push('\n');
        out
    }

    /// One step.
    pub(super) fn step(self, number: usize, step: &Step, world: &World, made: &Made) -> String {
        let holds = made.faults.is_empty();
        let mark = if holds {
            self.tint(Tint::Good, "✓")
        } else {
            self.tint(Tint::Bad, "✗")
        };
        let title = self.tint(Tint::Bold, step.title);
        let mut out = format!("{mark} {number:>2}  {title}\n");
        if let Some(before) = step.before {
            out.push_str(&self.field("before", &self.wrapped(before)));
        }
        out.push_str(&self.field("request", &self.curl(world, step.to, &made.call)));
        out.push_str(&self.field("answer", &self.answer(step, made)));
        out.push_str(&self.field("upstream", &self.upstream(&made.outcome.seen)));
        out.push_str(&self.field("why", &self.why(step, made)));
        for fault in &made.faults {
            out.push_str(&self.field("FAULT", &[self.tint(Tint::Bad, fault)]));
        }
        out.push('\n');
        out
    }

    fn curl(self, world: &World, door: Door, call: &Call) -> Vec<String> {
        let columns = self.columns().saturating_sub(INDENT + 2);
        let mut lines: Vec<String> = Vec::new();
        for part in curl(world, door, call) {
            match lines.last_mut() {
                Some(line) if line.chars().count() + 1 + part.chars().count() <= columns => {
                    line.push(' ');
                    line.push_str(&part);
                }
                Some(line) => {
                    line.push_str(" \\");
                    lines.push(format!("  {part}"));
                }
                None => lines.push(part),
            }
        }
        lines
    }

    fn answer(self, step: &Step, made: &Made) -> Vec<String> {
        let answer = &made.outcome.answer;
        let status = status(answer.status);
        let tint = if answer.status < 400 {
            Tint::Good
        } else {
            Tint::Bad
        };
        let mut lines = vec![self.tint(tint, &status)];
        let Expect::Refused { header, .. } = step.expect else {
            lines.push(self.tint(Tint::Dim, "(the body is what the upstream saw)"));
            return lines;
        };
        if let Some((name, _)) = header
            && let Some(value) = answer.header(name)
        {
            lines.extend(self.wrapped(&format!("{name}: {value}")));
        }
        lines.extend(self.wrapped(&spaced(&answer.body)));
        lines
    }

    fn upstream(self, seen: &[Seen]) -> Vec<String> {
        let mut lines = Vec::new();
        for seen in seen {
            lines.push(format!("{} {}", seen.method, seen.target));
            for (name, value) in &seen.headers {
                let value = value.as_str().unwrap_or_default();
                lines.extend(self.wrapped(&format!("{name}: {value}")));
            }
            lines.extend(self.wrapped(&match &seen.assertion {
                Ok(claims) => format!("assertion, verified: {}", spaced(&claims.to_string())),
                Err(error) => format!("assertion: {error}"),
            }));
        }
        if lines.is_empty() {
            lines.push("nothing reached the upstream".to_owned());
        }
        lines
    }

    fn why(self, step: &Step, made: &Made) -> Vec<String> {
        let mut lines = self.wrapped(&verdict(&made.outcome.record));
        lines.extend(self.wrapped(step.why));
        lines
    }

    /// How many steps hold.
    pub(super) fn closing(self, steps: usize, failed: usize) -> String {
        if failed == 0 {
            let words = format!("All {steps} steps hold.");
            format!("{}\n", self.tint(Tint::Good, &words))
        } else {
            let words = format!("{failed} of {steps} steps do not hold.");
            format!("{}\n", self.tint(Tint::Bad, &words))
        }
    }

    /// A heading with lines below it, for the user's own tries.
    pub(super) fn offer(self, heading: &str, lines: &[String]) -> String {
        let mut out = format!("  {}\n", self.tint(Tint::Dim, heading));
        for line in lines {
            out.push_str(&format!("    {line}\n"));
        }
        out
    }

    /// An event, with what it says.
    pub(super) fn event(self, line: &Value) -> String {
        let time = self.tint(Tint::Dim, time_of_day(line));
        format!(
            "{time}  {}  {}\n",
            text(line, "event"),
            text(line, "reason")
        )
    }

    /// A decision record on one line.
    pub(super) fn decision(self, record: &Value) -> String {
        let code = record.get("status").and_then(Value::as_u64).unwrap_or(0);
        let tint = if text(record, "decision") == "allowed" {
            Tint::Good
        } else {
            Tint::Bad
        };
        let time = time_of_day(record);
        let request = format!("{} {}", text(record, "method"), text(record, "target"));
        format!(
            "{}  {}  {request}  {}\n",
            self.tint(Tint::Dim, time),
            self.tint(tint, &code.to_string()),
            verdict(record)
        )
    }
}

/// `11:26:57` of a log line.
fn time_of_day(line: &Value) -> &str {
    let time = text(line, "time");
    time.split(['T', '.']).nth(1).unwrap_or(time)
}

/// The decision in words: `denied: scope_missing (route /x, caller tenant)`.
fn verdict(record: &Value) -> String {
    let mut words = text(record, "decision").to_owned();
    let reason = text(record, "reason");
    if !reason.is_empty() {
        words.push_str(&format!(": {reason}"));
    }
    let about: Vec<String> = ["route", "caller", "principal", "subject"]
        .iter()
        .filter(|name| !text(record, name).is_empty())
        .map(|name| format!("{name} {}", text(record, name)))
        .collect();
    if !about.is_empty() {
        words.push_str(&format!(" ({})", about.join(", ")));
    }
    words
}

/// `403 Forbidden`.
fn status(code: u16) -> String {
    let words = StatusCode::from_u16(code)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    format!("{code} {words}")
}

/// The curl command that makes the same request, in parts; tokens are shortened.
fn curl(world: &World, door: Door, call: &Call) -> Vec<String> {
    let mut parts = vec!["curl -i".to_owned()];
    // curl tidies paths up unless it is told not to.
    if call.target.contains("..") {
        parts.push("--path-as-is".to_owned());
    }
    for (name, value) in &call.headers {
        parts.push(format!("-H '{name}: {}'", shortened(value)));
    }
    parts.push(format!("http://{}{}", world.address(door), call.target));
    parts
}

/// Words that look like tokens, without their middle.
fn shortened(value: &str) -> String {
    let words = value.split(' ').map(|word| {
        let (head, tail) = (word.get(..6), word.get(word.len().saturating_sub(4)..));
        match (head, tail) {
            (Some(head), Some(tail)) if word.starts_with("eyJ") && word.len() > 60 => {
                format!("{head}…{tail}")
            }
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// JSON as it is, with spaces at which it can be wrapped.
fn spaced(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let (mut quoted, mut escaped) = (false, false);
    for letter in body.trim().chars() {
        out.push(letter);
        match letter {
            ',' | ':' if !quoted => out.push(' '),
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    out
}

/// Lines of at most `width` columns, broken at spaces; words that are longer are cut.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0_usize;
    for word in words.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for letter in word.chars() {
            if used >= width.max(1) {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(letter);
            used += 1;
        }
    }
    lines.push(line);
    lines
}

/// One step as a line for programs.
pub(super) fn step_line(number: usize, step: &Step, world: &World, made: &Made) -> Value {
    let headers: Map<String, Value> = made
        .call
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), json!(shortened(value))))
        .collect();
    let body = &made.outcome.answer.body;
    json!({
        "type": "step",
        "number": number,
        "name": step.name,
        "title": step.title,
        "before": step.before,
        "request": {
            "method": made.call.method,
            "target": made.call.target,
            "headers": headers,
            "curl": curl(world, step.to, &made.call).join(" "),
        },
        "answer": {
            "status": made.outcome.answer.status,
            "www-authenticate": made.outcome.answer.header("www-authenticate"),
            "retry-after": made.outcome.answer.header("retry-after"),
            "body": serde_json::from_str::<Value>(body).unwrap_or_else(|_| json!(body)),
        },
        "upstream": made.outcome.seen.iter().map(Seen::to_json).collect::<Vec<_>>(),
        "record": made.outcome.record,
        "why": step.why,
        "holds": made.faults.is_empty(),
        "faults": made.faults,
    })
}
