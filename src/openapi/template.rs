//! Paths as OpenAPI documents and frameworks write them, as patterns of ours.
//!
//! A pattern knows whole segments and a last `**`. What it cannot say becomes the nearest pattern that opens no more than one
//! segment, with a remark; where that would open everything below, it is [`Mapped::wide`].

use std::collections::BTreeSet;

use crate::authz::PathPattern;

/// Longest path, in bytes.
const LONGEST: usize = 2048;

/// A path as a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) pattern: PathPattern,
    /// What the pattern does not say as the path does.
    pub(super) remarks: Vec<String>,
    /// It matches whatever is below, and the path does not: nobody can be let in by it.
    pub(super) wide: bool,
}

/// A part of a segment.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// What stands between braces.
    Expression(String),
}

/// What an expression stands for.
struct Expression {
    name: String,
    /// It may have slashes.
    rest: bool,
    /// It says more about its text than patterns can.
    narrowed: bool,
}

/// Maps a path below a base (`""`, or segments with a leading slash).
///
/// # Errors
/// There is no pattern for it, in words.
pub(super) fn map(base: &str, path: &str) -> Result<Mapped, String> {
    if path.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let mut remarks = Vec::new();
    let (path, query) = without_query(path);
    if query {
        remarks.push("the query takes no part in matching".to_owned());
    }
    let rest = path.strip_prefix('/').ok_or("it has no leading slash")?;
    let segments = segments(rest)?;
    let last = segments.len().saturating_sub(1);
    let mut names = BTreeSet::new();
    let mut text = base.to_owned();
    let mut wide = false;
    for (at, pieces) in segments.iter().enumerate() {
        text.push('/');
        match segment(pieces, &mut names, &mut remarks)? {
            Some(own) => text.push_str(&own),
            None => {
                text.push_str("**");
                if at < last || pieces.len() > 1 {
                    wide = true;
                    remarks.push(
                        "what comes behind a parameter with slashes cannot be said: everything below would match".to_owned(),
                    );
                } else {
                    remarks.push(
                        "`**` stands for a parameter with slashes, and matches the path before it as well".to_owned(),
                    );
                }
                break;
            }
        }
    }
    remarks.dedup();
    let pattern = PathPattern::parse(&text).map_err(|error| error.to_string())?;
    Ok(Mapped {
        pattern,
        remarks,
        wide,
    })
}

/// The path before `?` or `#`, save those between braces; whether there was one.
fn without_query(path: &str) -> (&str, bool) {
    let mut depth = 0_usize;
    for (at, c) in path.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '?' | '#' if depth == 0 => return (path.get(..at).unwrap_or_default(), true),
            _ => {}
        }
    }
    (path, false)
}

/// Segments and their pieces: a slash between braces divides nothing.
fn segments(text: &str) -> Result<Vec<Vec<Piece>>, String> {
    let unbalanced = || "its braces do not match".to_owned();
    let mut all = vec![Vec::new()];
    let mut piece = String::new();
    let mut depth = 0_usize;
    for c in text.chars() {
        match (c, depth) {
            ('}', 0) => return Err(unbalanced()),
            ('{', 0) | ('/', 0) => {
                let text = std::mem::take(&mut piece);
                if let (false, Some(own)) = (text.is_empty(), all.last_mut()) {
                    own.push(Piece::Text(text));
                }
                if c == '/' {
                    all.push(Vec::new());
                } else {
                    depth = 1;
                }
            }
            ('}', 1) => {
                depth = 0;
                let text = std::mem::take(&mut piece);
                if let Some(own) = all.last_mut() {
                    own.push(Piece::Expression(text));
                }
            }
            ('{', _) => {
                depth += 1;
                piece.push(c);
            }
            ('}', _) => {
                depth -= 1;
                piece.push(c);
            }
            _ => piece.push(c),
        }
    }
    if depth > 0 {
        return Err(unbalanced());
    }
    if let (false, Some(own)) = (piece.is_empty(), all.last_mut()) {
        own.push(Piece::Text(piece));
    }
    Ok(all)
}

/// A segment as patterns write it; `None` for `**`.
fn segment(
    pieces: &[Piece],
    names: &mut BTreeSet<String>,
    remarks: &mut Vec<String>,
) -> Result<Option<String>, String> {
    let expressions: Vec<Expression> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Expression(text) => Some(expression(text)),
            Piece::Text(_) => None,
        })
        .collect();
    if expressions.iter().any(|own| own.rest) {
        return Ok(None);
    }
    let Some(first) = expressions.first() else {
        return match pieces {
            [Piece::Text(text)] if text.trim_matches('*').is_empty() => Ok(None),
            [Piece::Text(text)] => decode(text).map(Some),
            _ => Ok(Some(String::new())),
        };
    };
    if pieces.len() > 1 {
        remarks.push(format!(
            "`{}` is a part of a segment in the document; here any segment matches",
            as_written(pieces)
        ));
    } else if first.narrowed {
        remarks.push(format!(
            "`{}` is narrower in the document; here any segment matches",
            as_written(pieces)
        ));
    }
    let mut name = first.name.clone();
    let mut number = 2_usize;
    while !names.insert(name.clone()) {
        name = format!("{}_{number}", first.name);
        number += 1;
    }
    Ok(Some(format!("{{{name}}}")))
}

fn as_written(pieces: &[Piece]) -> String {
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Expression(text) => format!("{{{text}}}"),
    });
    pieces.collect()
}

/// `{name}`, and what frameworks write into documents: `{name:path}` and `{name:int}` of Starlette, `{name:[a-z]+}` of JAX-RS
/// and others, `{+name}` and `{name*}` of RFC 6570, `{name+}` of API gateways.
fn expression(text: &str) -> Expression {
    let (name, kind) = match text.split_once(':') {
        Some((name, kind)) => (name.trim(), Some(kind.trim())),
        None => (text.trim(), None),
    };
    let bare = name
        .trim_start_matches(['+', '*'])
        .trim_end_matches(['+', '*']);
    let (rest, narrowed) = match kind {
        None | Some("" | "str" | "string") => (bare != name, false),
        Some("path" | "*" | "**" | ".*" | ".+" | "(.*)" | "(.+)") => (true, false),
        Some(kind) => (kind.contains('/') || bare != name, true),
    };
    Expression {
        name: parameter_name(bare),
        rest,
        narrowed,
    }
}

/// A name that parameters may have.
fn parameter_name(text: &str) -> String {
    const LONGEST: usize = 64;
    let name: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name
    } else {
        format!("p{name}")
    }
}

/// A literal, decoded once as requests are.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is percent-encoded in a way that no request is");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit().and_then(|high| Some(high * 16 + digit()?));
        let value = value.and_then(|value| u8::try_from(value).ok());
        bytes.push(value.ok_or_else(wrong)?);
    }
    let decoded = String::from_utf8(bytes).map_err(|_| wrong())?;
    if decoded.contains(['/', '{', '}']) {
        return Err(wrong());
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_patterns_and_what_cannot_be_said_is_told() {
        for (path, pattern, remarks, wide) in [
            ("/", "/", 0, false),
            ("/orders", "/orders", 0, false),
            ("/orders/", "/orders/", 0, false),
            ("/orders/{order_id}", "/orders/{order_id}", 0, false),
            (
                "/orders/{order-id}/{2nd}",
                "/orders/{order_id}/{p2nd}",
                0,
                false,
            ),
            ("/a/{x-y}/{x_y}", "/a/{x_y}/{x_y_2}", 0, false),
            ("/a/{id:str}", "/a/{id}", 0, false),
            ("/a/{id:int}", "/a/{id}", 1, false),
            ("/a/{id:[0-9]{3}}", "/a/{id}", 1, false),
            ("/files/{path:path}", "/files/**", 1, false),
            ("/files/{path*}", "/files/**", 1, false),
            ("/files/{+path}", "/files/**", 1, false),
            ("/{proxy+}", "/**", 1, false),
            ("/files/{path:.*}", "/files/**", 1, false),
            ("/files/**", "/files/**", 1, false),
            ("/files/{path:path}/meta", "/files/**", 1, true),
            ("/files/{path:path}.txt", "/files/**", 1, true),
            ("/files/{name}.txt", "/files/{name}", 1, false),
            ("/v{version}/x", "/{version}/x", 1, false),
            ("/orders/{id}:cancel", "/orders/{id}", 1, false),
            ("/a?b={c}", "/a", 1, false),
            ("/caf%C3%A9/a:b", "/café/a:b", 0, false),
        ] {
            let mapped = map("", path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(&**mapped.pattern.as_str(), pattern, "{path}");
            assert_eq!(
                mapped.remarks.len(),
                remarks,
                "{path}: {:?}",
                mapped.remarks
            );
            assert_eq!(mapped.wide, wide, "{path}");
        }
        let below = map("/api/v1", "/orders/{id}").expect("a pattern");
        assert_eq!(&**below.pattern.as_str(), "/api/v1/orders/{id}");
    }

    #[test]
    fn what_no_request_has_has_no_pattern() {
        for path in [
            "orders",
            "",
            "/a//b",
            "/a/../b",
            "/a/{b",
            "/a/b}",
            "/a/{b}}",
            "/a%2Fb",
            "/a%zz",
            "/a%7Bb%7D",
            "/a;b",
            "/a\\b",
            "/a\u{1}",
            "/a*b/c",
        ] {
            assert!(map("", path).is_err(), "{path}");
        }
        assert!(map("", &"/a".repeat(65)).is_err());
    }
}
