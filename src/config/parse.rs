//! Text to located tree: one YAML document, plain data, nothing that two readers could take differently.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::node::{Entry, Kind, Node, Scalar, Value, item_path, key_path};
use super::problem::{Place, Report};

/// Deepest nesting.
const DEPTH: usize = 32;

/// Deepest nesting of documents of others.
const FOREIGN_DEPTH: usize = 128;

/// Reads one document. Problems go to the report; `None` when there is no tree to go on with.
pub(crate) fn parse(text: &str, report: &mut Report) -> Option<Node> {
    read(text, report, Of::Ours)
}

/// The same for a document that is none of ours: keys may be what YAML takes for a number, and it may be deeper.
pub(crate) fn parse_foreign(text: &str, report: &mut Report) -> Option<Node> {
    read(text, report, Of::Others)
}

fn read(text: &str, report: &mut Report, of: Of) -> Option<Node> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        report,
        of,
    };
    reader.document().unwrap_or_default()
}

/// Whose document it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Ours,
    Others,
}

impl Of {
    const fn depth(self) -> usize {
        match self {
            Self::Ours => DEPTH,
            Self::Others => FOREIGN_DEPTH,
        }
    }
}

/// The text cannot be read any further; the reason is in the report.
struct Stop;

struct Reader<'r, 'text> {
    parser: Parser<'text, StrInput<'text>>,
    report: &'r mut Report,
    of: Of,
}

impl<'text> Reader<'_, 'text> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut tree = None;
        let mut documents = 0_usize;
        loop {
            let (event, span) = self.next("")?;
            match event {
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        self.report.error_try(
                            &place(span, ""),
                            "a second YAML document; a configuration is one document",
                            "remove the `---` line, or put the documents into files of their own",
                        );
                        return Err(Stop);
                    }
                }
                other => tree = Some(self.node(other, span, "", 0)?),
            }
        }
        if tree.as_ref().is_none_or(Node::is_null) {
            let whole = Place {
                line: 1,
                column: 1,
                path: "".into(),
            };
            self.report.error_try(
                &whole,
                "the document is empty: nothing would be configured, so nothing is served",
                "`inbound`, `issuers` and `routes` are needed at least",
            );
            return Ok(None);
        }
        Ok(tree)
    }

    fn next(&mut self, path: &str) -> Result<(Event<'text>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let marker = error.marker();
                let at = Place {
                    line: marker.line(),
                    column: marker.col() + 1,
                    path: path.into(),
                };
                let hint = syntax_hint(error.info());
                self.report
                    .error_maybe(&at, format!("YAML syntax: {}", error.info()), hint);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(
        &mut self,
        event: Event<'text>,
        span: Span,
        path: &str,
        depth: usize,
    ) -> Result<Node, Stop> {
        let at = place(span, path);
        let most = self.of.depth();
        if depth > most {
            self.report
                .error(&at, format!("nested deeper than {most} levels"));
            return Err(Stop);
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_data(&at, anchor, tag.is_some());
                let kind = if style == ScalarStyle::Plain {
                    resolve(&text)
                } else {
                    Kind::Text
                };
                Value::Scalar(Scalar {
                    text: text.into_owned().into(),
                    kind,
                    substituted: false,
                })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_data(&at, anchor, tag.is_some());
                Value::List(self.list(path, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_data(&at, anchor, tag.is_some());
                Value::Map(self.map(path, depth)?)
            }
            Event::Alias(_) => {
                self.report.error_try(
                    &at,
                    "aliases (`*name`) are not read",
                    "write the value out; what a route allows must be readable where it stands",
                );
                null()
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                self.report.error(&at, "the document ends too early");
                return Err(Stop);
            }
        };
        Ok(Node { value, at })
    }

    fn plain_data(&mut self, at: &Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.report.error_try(
                at,
                "anchors (`&name`) are not read",
                "write the value out where it is needed; if the text begins with `&`, quote it",
            );
        }
        if tagged {
            self.report.error_try(
                at,
                "tags (`!name`) are not read",
                "remove the tag; if the text begins with `!`, quote it",
            );
        }
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next(path)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            let path = item_path(path, items.len());
            items.push(self.node(event, span, &path, depth + 1)?);
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next(path)?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let key = self.key(event, span, path, depth)?;
            let path = key_path(path, key.as_deref().unwrap_or_default());
            let key_at = place(span, &path);
            let (event, span) = self.next(&path)?;
            let mut value = self.node(event, span, &path, depth + 1)?;
            if value.is_null() {
                // The place of an absent value is after the line; the key is what the reader looks for.
                value.at = key_at.clone();
            }
            let Some(key) = key else { continue };
            if let Some(line) = lines.get(&key) {
                self.report.error(
                    &key_at,
                    format!("`{key}` is given twice; the first is at line {line}"),
                );
                continue;
            }
            lines.insert(key.clone(), key_at.line);
            entries.push(Entry { key, key_at, value });
        }
    }

    /// A key; `None` when it is none that can be used, which was reported.
    fn key(
        &mut self,
        event: Event<'text>,
        span: Span,
        path: &str,
        depth: usize,
    ) -> Result<Option<String>, Stop> {
        let node = self.node(event, span, path, depth + 1)?;
        let key = match node.value {
            Value::Scalar(scalar) => scalar,
            Value::List(_) | Value::Map(_) => {
                self.report.error_try(
                    &node.at,
                    "a mapping or list stands where a key must stand",
                    "YAML reads an unquoted `{name}` as a mapping: write \"{name}\"",
                );
                return Ok(None);
            }
        };
        if *key.text == "<<" {
            self.report.error_try(
                &node.at,
                "merge keys (`<<`) are not read",
                "write the keys out",
            );
            return Ok(None);
        }
        if self.of == Of::Others {
            return Ok(Some(key.text.to_string()));
        }
        if key.kind != Kind::Text {
            self.report.error_try(
                &node.at,
                format!("YAML does not read the key `{}` as text", *key.text),
                format!("quote it: \"{}\"", *key.text),
            );
            return Ok(None);
        }
        if key.text.contains("${") {
            self.report
                .error(&node.at, "substitution is done in values, never in keys");
        }
        Ok(Some(key.text.to_string()))
    }
}

fn null() -> Value {
    Value::Scalar(Scalar {
        text: String::new().into(),
        kind: Kind::Null,
        substituted: false,
    })
}

fn place(span: Span, path: &str) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
        path: path.into(),
    }
}

/// Hints for the errors that the signs of policy (`{`, `*`, `@`, `%`) run into when they are not quoted.
fn syntax_hint(info: &str) -> Option<String> {
    let info = info.to_ascii_lowercase();
    if info.contains("flow")
        || info.contains('}')
        || info.contains(']')
        || info.contains("did not find expected")
    {
        Some("text that begins with `{`, `[`, `*`, `&`, `!`, `%` or `@`, or has `: ` or ` #` in it, must be quoted".to_owned())
    } else if info.contains("alias") || info.contains("anchor") {
        Some("text that begins with `*` or `&` must be quoted: \"*.example.org\"".to_owned())
    } else if info.contains("tab") {
        Some("indent with spaces".to_owned())
    } else {
        None
    }
}

/// The type of a plain scalar (YAML 1.2, section 10.3.2).
pub(crate) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Kind::Flag,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => return Kind::Float,
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, of: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(of);
    if all(digits, u8::is_ascii_digit)
        || text
            .strip_prefix("0x")
            .is_some_and(|hex| all(hex, u8::is_ascii_hexdigit))
        || text
            .strip_prefix("0o")
            .is_some_and(|octal| all(octal, |b| matches!(b, b'0'..=b'7')))
    {
        return Kind::Integer;
    }
    if is_float(digits) {
        return Kind::Float;
    }
    Kind::Text
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    !(whole.is_empty() && fraction.is_empty()) && digits(whole) && digits(fraction) && exponent
}
