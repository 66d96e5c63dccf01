//! Log lines for people, made of the JSON lines by the writer thread: workers write one format only.

use serde_json::{Map, Value};

use super::json;

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// `None` when the line is not an object; it is then written as it is.
pub(super) fn render(line: &[u8], colour: bool) -> Option<Vec<u8>> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) else {
        return None;
    };
    let mut out = Text {
        bytes: Vec::with_capacity(line.len()),
        colour,
    };
    out.paint(DIM, &take(&mut fields, "time"));
    match take(&mut fields, "type").as_str() {
        "event" => {
            let level = take(&mut fields, "level");
            out.space();
            out.paint(level_colour(&level), &format!("{:5}", level.to_uppercase()));
            out.space();
            out.word(&take(&mut fields, "event"));
        }
        kind => {
            let decision = take(&mut fields, "decision");
            out.space();
            out.paint(decision_colour(&decision), &format!("{decision:7}"));
            for name in ["status", "method", "target"] {
                if let Some(value) = fields.remove(name) {
                    out.space();
                    out.word(&words(&value));
                }
            }
            if kind == "connection" {
                out.space();
                out.word("connection");
            }
            if let Some(reason) = fields.remove("reason") {
                out.space();
                out.paint(decision_colour(&decision), &words(&reason));
            }
            for noise in ["v", "path", "generation"] {
                fields.remove(noise);
            }
        }
    }
    for (name, value) in &fields {
        out.space();
        out.paint(DIM, &format!("{name}="));
        out.word(&words(value));
    }
    Some(out.bytes)
}

fn take(fields: &mut Map<String, Value>, name: &str) -> String {
    fields
        .remove(name)
        .map_or_else(String::new, |value| words(&value))
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(","),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn level_colour(level: &str) -> &'static str {
    match level {
        "error" => RED,
        "warn" => YELLOW,
        "info" => GREEN,
        _ => DIM,
    }
}

fn decision_colour(decision: &str) -> &'static str {
    match decision {
        "allowed" => GREEN,
        "denied" => YELLOW,
        _ => RED,
    }
}

struct Text {
    bytes: Vec<u8>,
    colour: bool,
}

impl Text {
    fn space(&mut self) {
        self.bytes.push(b' ');
    }

    /// Escaped once more: parsing the JSON gave control characters back.
    fn word(&mut self, text: &str) {
        json::escaped(&mut self.bytes, text);
    }

    fn paint(&mut self, colour: &str, text: &str) {
        if self.colour {
            self.bytes.extend_from_slice(colour.as_bytes());
        }
        self.word(text);
        if self.colour {
            self.bytes.extend_from_slice(PLAIN.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str, colour: bool) -> String {
        String::from_utf8(render(line.as_bytes(), colour).unwrap()).unwrap()
    }

    #[test]
    fn records_and_events_are_readable() {
        assert_eq!(
            text(
                r#"{"v":1,"type":"request","time":"T","decision":"denied","reason":"token_expired","status":401,"method":"GET","target":"/a?b","route":"r"}"#,
                false
            ),
            "T denied  401 GET /a?b token_expired route=r"
        );
        assert_eq!(
            text(
                r#"{"type":"event","time":"T","level":"info","event":"config.reloaded","generation":2}"#,
                false
            ),
            "T INFO  config.reloaded generation=2"
        );
        assert_eq!(render(b"not json", false), None);
    }

    #[test]
    fn invariant_47_text_cannot_colour_the_terminal_itself() {
        let hostile =
            r#"{"type":"event","time":"T","level":"warn","event":"x","kid":"\u001b[31m\nfake"}"#;
        assert!(!text(hostile, false).contains(['\u{1b}', '\n']));
        assert_eq!(
            text(hostile, true).matches('\u{1b}').count(),
            6,
            "ours only"
        );
    }
}
