//! `${NAME}` and `${file:/path}`, in parsed scalars only: what is put in can never change the document's structure.

use std::path::Path;

use super::files::Files;
use super::node::{Node, Value};
use super::problem::{Place, Report};

/// Where variables come from.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every reference below `node`.
pub(crate) fn substitute(
    node: &mut Node,
    environment: Environment<'_>,
    files: &mut Files,
    report: &mut Report,
) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                substitute(item, environment, files, report);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                substitute(&mut entry.value, environment, files, report);
            }
        }
        Value::Scalar(scalar) if scalar.text.contains("${") => {
            let mut filler = Filler {
                environment,
                files,
                report,
                at: &node.at,
                filled: false,
            };
            scalar.text = filler.fill(&scalar.text).into();
            scalar.substituted = filler.filled;
        }
        Value::Scalar(_) => {}
    }
}

struct Filler<'a> {
    environment: Environment<'a>,
    files: &'a mut Files,
    report: &'a mut Report,
    at: &'a Place,
    filled: bool,
}

impl Filler<'_> {
    fn fill(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                self.report.error_try(
                    self.at,
                    "`${` without `}`",
                    "write `$${` for the two characters themselves",
                );
                return out;
            };
            self.filled = true;
            if let Some(value) = self.value(name) {
                out.push_str(&value);
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn value(&mut self, name: &str) -> Option<String> {
        if let Some(path) = name.strip_prefix("file:") {
            return self.file(Path::new(path));
        }
        let valid = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !valid {
            let what = if self.at.holds_secret() {
                "what stands in `${…}`".to_owned()
            } else {
                format!("`${{{name}}}`")
            };
            self.report.error_try(
                self.at,
                format!("{what} is no reference"),
                "`${NAME}` takes an environment variable, `${file:/path}` the text of a file; there are no default values",
            );
            return None;
        }
        let value = (self.environment)(name);
        if let Some(value) = &value {
            self.report.keep_out(value);
        }
        if value.is_none() {
            self.report.error_try(
                self.at,
                format!("the environment variable `{name}` is not set"),
                "set it, or write `$${` for the two characters themselves",
            );
        }
        value
    }

    fn file(&mut self, path: &Path) -> Option<String> {
        let bytes = self.files.read(path, self.at, self.report)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let text = text
                    .strip_suffix('\n')
                    .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
                self.report.keep_out(text);
                Some(text.to_owned())
            }
            Err(_) => {
                self.report
                    .error(self.at, format!("{}: is not UTF-8 text", path.display()));
                None
            }
        }
    }
}
