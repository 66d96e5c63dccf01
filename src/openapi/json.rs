//! JSON (RFC 8259) as a tree in which every value knows its place, so that findings can point at it.
//!
//! Texts, numbers and words are judged by `serde_json`; what is added is where they stand, and bounds: nesting and values are
//! limited, and a name given twice is an error, since readers differ about which one counts.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::CharIndices;

use crate::config::{Entry, Kind, Node, Place, Report, Scalar, Value, item_path, key_path};

/// Deepest nesting.
const DEPTH: usize = 128;

/// Most values.
const VALUES: usize = 1_000_000;

/// Reads a document; `None` when it is none, which is in the report.
pub(super) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    let mut reader = Reader {
        text,
        rest: text.char_indices().peekable(),
        line: 1,
        column: 1,
        values: 0,
    };
    let read = reader.node("", 0).and_then(|node| {
        reader.space();
        match reader.peek() {
            None => Ok(node),
            Some(_) => Err(reader.fault("something follows the document")),
        }
    });
    match read {
        Ok(node) => Some(node),
        Err(Fault { at, message }) => {
            report.error(&at, message);
            None
        }
    }
}

/// Why the text is no document.
struct Fault {
    at: Place,
    message: String,
}

struct Reader<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
    line: usize,
    column: usize,
    values: usize,
}

impl<'t> Reader<'t> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, c)| *c)
    }

    fn offset(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn bump(&mut self) -> Option<char> {
        let (_, c) = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.bump();
        }
    }

    fn place(&self, path: &str) -> Place {
        Place {
            line: self.line,
            column: self.column,
            path: path.into(),
        }
    }

    fn fault(&self, message: &str) -> Fault {
        Fault {
            at: self.place(""),
            message: format!("JSON syntax: {message}"),
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), Fault> {
        self.space();
        if self.peek() == Some(wanted) {
            self.bump();
            return Ok(());
        }
        Err(self.fault(&format!("expected `{wanted}`")))
    }

    /// Whether a list or an object goes on, after its first bracket or one of its values.
    fn goes_on(&mut self, close: char, first: bool) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(c) if c == close => {
                self.bump();
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(',') => {
                self.bump();
                Ok(true)
            }
            _ => Err(self.fault(&format!("expected `,` or `{close}`"))),
        }
    }

    fn node(&mut self, path: &str, depth: usize) -> Result<Node, Fault> {
        self.space();
        self.values += 1;
        if depth > DEPTH {
            return Err(self.fault(&format!("nested deeper than {DEPTH} levels")));
        }
        if self.values > VALUES {
            return Err(self.fault(&format!("more than {VALUES} values")));
        }
        let at = self.place(path);
        let value = match self.peek() {
            Some('{') => Value::Map(self.object(path, depth)?),
            Some('[') => Value::List(self.list(path, depth)?),
            Some('"') => scalar(self.string()?, Kind::Text),
            _ => self.word()?,
        };
        Ok(Node { value, at })
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Vec<Node>, Fault> {
        self.bump();
        let mut items = Vec::new();
        while self.goes_on(']', items.is_empty())? {
            let path = item_path(path, items.len());
            items.push(self.node(&path, depth + 1)?);
        }
        Ok(items)
    }

    fn object(&mut self, path: &str, depth: usize) -> Result<Vec<Entry>, Fault> {
        self.bump();
        let mut entries = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        while self.goes_on('}', entries.is_empty())? {
            self.space();
            let mut key_at = self.place("");
            if self.peek() != Some('"') {
                return Err(self.fault("expected a name in quotes"));
            }
            let key = self.string()?;
            let path = key_path(path, &key);
            key_at.path = path.clone();
            if let Some(line) = lines.insert(key.clone(), key_at.line) {
                let message = format!("the name is given twice; the first is at line {line}");
                return Err(Fault {
                    at: key_at,
                    message,
                });
            }
            self.expect(':')?;
            let value = self.node(&path, depth + 1)?;
            entries.push(Entry { key, key_at, value });
        }
        Ok(entries)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let from = self.offset();
        self.bump();
        loop {
            match self.bump() {
                Some('"') => break,
                Some('\\') => {
                    self.bump();
                }
                Some(_) => {}
                None => return Err(self.fault("a text does not end")),
            }
        }
        let to = self.offset();
        let text = self.text.get(from..to).unwrap_or_default();
        serde_json::from_str(text).map_err(|_| self.fault("not a text that JSON has"))
    }

    /// `null`, a boolean or a number.
    fn word(&mut self) -> Result<Value, Fault> {
        let from = self.offset();
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        {
            self.bump();
        }
        let to = self.offset();
        let text = self.text.get(from..to).unwrap_or_default();
        let kind = match serde_json::from_str(text) {
            Ok(serde_json::Value::Null) => Kind::Null,
            Ok(serde_json::Value::Bool(_)) => Kind::Flag,
            Ok(serde_json::Value::Number(_)) if text.contains(['.', 'e', 'E']) => Kind::Float,
            Ok(serde_json::Value::Number(_)) => Kind::Integer,
            Ok(_) | Err(_) => return Err(self.fault("expected a value")),
        };
        Ok(scalar(text.to_owned(), kind))
    }
}

fn scalar(text: String, kind: Kind) -> Value {
    Value::Scalar(Scalar {
        text: text.into(),
        kind,
        substituted: false,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Source;

    fn read(text: &str) -> Result<Node, String> {
        let mut report = Report::new(Source::new(Path::new("x.json"), text));
        match parse(text, &mut report) {
            Some(node) => Ok(node),
            None => Err(report.finish().to_string()),
        }
    }

    #[test]
    fn values_know_their_place_and_say_what_serde_json_says() {
        let text =
            "{\"a\": [1, -2.5e3, true, null],\n \"é\": {\"b/c\": \"x\\u00e9\\ud83d\\ude00\\\"\"}}";
        let node = read(text).expect("a document");
        let wanted: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(node.to_json(), wanted);
        let inner = node.get("é").and_then(|node| node.get("b/c"));
        let at = &inner.expect("a text").at;
        assert_eq!((at.line, at.column), (2, 15));
        assert_eq!(&*at.path, "\"é\".\"b/c\"");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, part) in [
            ("{\"a\": 1, \"a\": 2}", "given twice"),
            ("{\"a\": 1, \"\\u0061\": 2}", "given twice"),
            ("{\"a\": \"\\ud800\"}", "not a text"),
            ("{\"a\": \"\n\"}", "not a text"),
            ("{\"a\": 01}", "expected a value"),
            ("{\"a\": NaN}", "expected a value"),
            ("{\"a\": 1,}", "expected a name"),
            ("{'a': 1}", "expected a name"),
            ("[1 2]", "expected `,` or `]`"),
            ("[1] 2", "something follows"),
            ("{\"a\": \"x", "does not end"),
            ("{\"a\"", "expected `:`"),
            ("", "expected a value"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&deep(DEPTH)).is_ok());
        assert!(read(&deep(DEPTH + 1)).is_err_and(|error| error.contains("nested deeper")));
    }
}
