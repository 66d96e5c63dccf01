//! What is wrong with a configuration, and where: collected, never the first one only.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::blank::{self, Substituted};
use super::code::Code;
use crate::telemetry::json;

/// Longest part of a source line that is shown.
const SNIPPET_WIDTH: usize = 120;

/// Whether a configuration with this problem may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may not.
    Error,
    /// It may; somebody should look at it.
    Warning,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind it is.
    pub code: Code,
    /// The document.
    pub file: Arc<Path>,
    /// Line, from 1; 0 when the problem has no place in the text.
    pub line: usize,
    /// Column in characters, from 1; 0 when the problem has no place in the text.
    pub column: usize,
    /// `routes[3].allow[0].scopes`; empty for the document as a whole.
    pub path: String,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
    /// Whether the configuration may be used all the same.
    pub severity: Severity,
}

/// The text of a document as far as problems show it.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<Path>,
    lines: Arc<[Box<str>]>,
    /// Lines that hold a secret; they are never shown.
    hidden: BTreeSet<usize>,
}

impl Source {
    pub(crate) fn new(file: &Path, text: &str) -> Self {
        Self {
            file: Arc::from(file),
            lines: text.lines().map(Box::from).collect(),
            hidden: blank::lines_with_secrets(text),
        }
    }

    /// A document that anybody may read: no line of it is hidden.
    pub(crate) fn public(file: &Path, text: &str) -> Self {
        Self {
            file: Arc::from(file),
            lines: text.lines().map(Box::from).collect(),
            hidden: BTreeSet::new(),
        }
    }

    pub(crate) fn hide(&mut self, line: usize) {
        self.hidden.insert(line);
    }

    fn line(&self, number: usize) -> Option<&str> {
        if self.hidden.contains(&number) {
            return None;
        }
        self.lines.get(number.checked_sub(1)?).map(AsRef::as_ref)
    }
}

/// Everything that is wrong with a document, in the order of its text.
#[derive(Clone, Debug)]
pub struct Problems {
    source: Source,
    list: Vec<Problem>,
}

impl Problems {
    pub(crate) const fn new(source: Source, list: Vec<Problem>) -> Self {
        Self { source, list }
    }

    /// One problem of the document as a whole.
    pub(crate) fn whole(file: &Path, message: String) -> Self {
        let source = Source::new(file, "");
        let problem = Problem {
            code: Code::File,
            file: Arc::clone(&source.file),
            line: 0,
            column: 0,
            path: String::new(),
            message,
            suggestion: None,
            severity: Severity::Error,
        };
        Self::new(source, vec![problem])
    }

    /// Takes in what was found in the same document later.
    pub(crate) fn absorb(&mut self, later: Self) {
        self.source.hidden.extend(later.source.hidden);
        self.list.extend(later.list);
        self.list
            .sort_by_key(|problem| (problem.line, problem.column));
    }

    /// In the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The document that they are about.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.source.file
    }

    /// How many of them forbid the use of the document.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.list
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count()
    }

    /// Text for people: `file:line:column: path: message`, the line, a caret and a suggestion.
    #[must_use]
    pub fn render(&self) -> String {
        self.render_in(Look::default())
    }

    /// The same as a terminal, or whoever looks for a code, wants it.
    #[must_use]
    pub fn render_in(&self, look: Look) -> String {
        let mut out = String::new();
        for problem in &self.list {
            self.render_one(problem, true, look, &mut out);
        }
        out
    }

    /// The same without lines of the document, for logs: who reads them need not have read the document.
    #[must_use]
    pub fn brief(&self) -> String {
        let mut out = String::new();
        for problem in &self.list {
            self.render_one(problem, false, Look::default(), &mut out);
        }
        out.truncate(out.trim_end().len());
        out
    }

    /// The problems for programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.list.iter().map(Problem::to_json).collect()
    }

    fn render_one(&self, problem: &Problem, with_line: bool, look: Look, out: &mut String) {
        // Names and texts of a document, and names of files, could fool a terminal (invariant 47).
        let headline = json::visible(&problem.headline());
        let colour = match problem.severity {
            Severity::Error => "31",
            Severity::Warning => "33",
        };
        out.push_str(&look.paint("1", &headline));
        if look.codes {
            out.push_str(&look.paint(colour, &format!(" [{}]", problem.code)));
        }
        out.push('\n');
        if let Some(line) = self.source.line(problem.line).filter(|_| with_line) {
            let (shown, caret) = window(line, problem.column);
            let number = problem.line.to_string();
            let margin = " ".repeat(number.len());
            let bar = look.paint("2", "|");
            let number = look.paint("2", &number);
            let mark = look.paint(colour, "^");
            let _infallible = writeln!(out, "  {number} {bar} {shown}");
            let _infallible = writeln!(out, "  {margin} {bar} {}{mark}", " ".repeat(caret));
        }
        let remedy = if look.codes {
            Some(problem.remedy())
        } else {
            problem.suggestion.as_deref()
        };
        if let Some(remedy) = remedy {
            let remedy = json::visible(remedy);
            let _infallible = writeln!(out, "    = {}", look.paint("36", &remedy));
        }
    }
}

/// How problems look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// The reader is a terminal that shows colour.
    pub colour: bool,
    /// Behind each message stands its code, and below it what to do, be it in general.
    pub codes: bool,
}

impl Look {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

impl std::error::Error for Problems {}

impl Problem {
    /// `file:line:column: path: message`.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut out = self.file.display().to_string();
        if self.line > 0 {
            let _infallible = write!(out, ":{}:{}", self.line, self.column);
        }
        if self.severity == Severity::Warning {
            out.push_str(": warning");
        }
        if !self.path.is_empty() {
            let _infallible = write!(out, ": {}", self.path);
        }
        let _infallible = write!(out, ": {}", self.message);
        out
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        let general = self.code.remedy();
        self.suggestion.as_deref().unwrap_or(general)
    }

    /// The problem for programs.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "file": self.file.display().to_string(),
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "suggestion": self.suggestion,
            "severity": self.severity.word(),
            "code": self.code.word(),
            "remedy": self.remedy(),
        })
    }
}

/// The part of a line around a column, and where the caret stands below it. What could fool a terminal becomes spaces.
fn window(line: &str, column: usize) -> (String, usize) {
    let at = column.saturating_sub(1);
    let from = if at >= SNIPPET_WIDTH {
        at - SNIPPET_WIDTH / 2
    } else {
        0
    };
    let shown = line
        .chars()
        .skip(from)
        .take(SNIPPET_WIDTH)
        .map(|c| if json::is_hostile(c) { ' ' } else { c })
        .collect();
    (shown, at - from)
}

/// Where problems are put while a document is read.
#[derive(Debug)]
pub(crate) struct Report {
    /// What kind a problem is of which nobody says better.
    stage: Code,
    pub(crate) source: Source,
    list: Vec<Problem>,
    substituted: Substituted,
}

/// A place that a problem can point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) path: Box<str>,
}

impl Place {
    /// Whether what stands here is a secret, or was meant to be one, whatever else is wrong with it.
    pub(crate) fn holds_secret(&self) -> bool {
        let key = self
            .path
            .trim_end_matches(|c: char| c == ']' || c == '[' || c.is_ascii_digit());
        let key = key.rsplit_once('.').map_or(key, |(_, key)| key);
        blank::is_secret_key(key)
    }
}

impl Report {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            stage: Code::Value,
            source,
            list: Vec::new(),
            substituted: Substituted::default(),
        }
    }

    /// From here on problems are of this kind, unless somebody says better.
    pub(crate) const fn stage(&mut self, code: Code) {
        self.stage = code;
    }

    /// A text that came from the environment or a file: no message will show it.
    pub(crate) fn keep_out(&mut self, text: &str) {
        self.substituted.add(text);
    }

    /// A problem of this kind.
    pub(crate) fn find(&mut self, code: Code, at: &Place, message: impl Into<String>) {
        self.push(code, at, message.into(), None);
    }

    /// The same, with what to do here rather than in general.
    pub(crate) fn find_try(
        &mut self,
        code: Code,
        at: &Place,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        self.push(code, at, message.into(), Some(suggestion.into()));
    }

    /// An error that is none of the kinds that have a name of their own.
    pub(crate) fn error(&mut self, at: &Place, message: impl Into<String>) {
        self.push(self.stage, at, message.into(), None);
    }

    pub(crate) fn error_try(
        &mut self,
        at: &Place,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        self.push(self.stage, at, message.into(), Some(suggestion.into()));
    }

    pub(crate) fn error_maybe(
        &mut self,
        at: &Place,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.push(self.stage, at, message.into(), suggestion);
    }

    fn push(&mut self, code: Code, at: &Place, message: String, suggestion: Option<String>) {
        if at.holds_secret() {
            self.source.hide(at.line);
        }
        let problem = Problem {
            code,
            file: Arc::clone(&self.source.file),
            line: at.line,
            column: at.column,
            path: at.path.to_string(),
            message,
            suggestion,
            severity: code.severity(),
        };
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// Takes over what was found in an attempt.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.source.hidden.extend(other.source.hidden);
        self.substituted.absorb(other.substituted);
        for problem in other.list {
            if !self.list.contains(&problem) {
                self.list.push(problem);
            }
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Whether an error was found at `path` or below it.
    pub(crate) fn has_error_below(&self, path: &str) -> bool {
        let is_below = |own: &str| {
            own.strip_prefix(path).is_some_and(|rest| {
                path.is_empty() || rest.is_empty() || rest.starts_with(['.', '['])
            })
        };
        self.list
            .iter()
            .any(|problem| problem.severity == Severity::Error && is_below(&problem.path))
    }

    pub(crate) fn finish(mut self) -> Problems {
        let is_written = |text: &str| self.source.lines.iter().any(|line| line.contains(text));
        for problem in &mut self.list {
            problem.message = self.substituted.blank(&problem.message, is_written);
            problem.suggestion = problem
                .suggestion
                .as_deref()
                .map(|text| self.substituted.blank(text, is_written));
        }
        self.list
            .sort_by_key(|problem| (problem.line, problem.column));
        Problems::new(self.source, self.list)
    }
}
