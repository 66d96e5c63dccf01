//! The `Connection` parser: what it nominates is gone, and nothing else.

use countersign::rejection::Rejection;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::request;

/// Values of `Connection` fields, one a line. The request carries every field that they name, and a few more.
pub fn check(data: &[u8]) {
    let values: Vec<HeaderValue> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line.trim_ascii()).ok())
        .collect();
    let mut headers = HeaderMap::from_iter([
        (header::HOST, HeaderValue::from_static("a")),
        (header::AUTHORIZATION, HeaderValue::from_static("Bearer b")),
        (header::COOKIE, HeaderValue::from_static("c=d")),
        (header::ACCEPT, HeaderValue::from_static("e")),
    ]);
    let named = named(&values);
    for name in named
        .iter()
        .flatten()
        .filter(|name| **name != header::CONNECTION)
    {
        headers.entry(name).or_insert(HeaderValue::from_static("1"));
    }
    for value in &values {
        headers.append(header::CONNECTION, value.clone());
    }
    let length = data.len();
    let fields = headers.len();
    let before = headers.clone();
    let read = request::read(request::parts(Version::HTTP_11, headers), false);
    let read = match read {
        Ok(read) => read,
        Err(refused) => return refusable(&before, &named, length, fields, refused.rejection()),
    };
    let after = read.head().headers();
    assert!(!after.contains_key(header::CONNECTION));
    for name in named.iter().flatten() {
        // The decision rests on the credential; whether it is forwarded is another matter.
        assert!(
            !after.contains_key(name) || name == header::AUTHORIZATION,
            "{name} was nominated"
        );
    }
    assert_eq!(
        after.get(header::AUTHORIZATION),
        before.get(header::AUTHORIZATION)
    );
    for (name, value) in [(header::COOKIE, "c=d"), (header::ACCEPT, "e")] {
        if !named.iter().flatten().any(|nominated| *nominated == name) {
            assert_eq!(
                after.get(&name).map(HeaderValue::as_bytes),
                Some(value.as_bytes())
            );
        }
    }
    assert_eq!(
        read.head().authority().host(),
        "a",
        "Host cannot be nominated away"
    );
    // A Connection field in pieces says what one with commas says.
    if values.len() > 1 {
        let joined = values
            .iter()
            .map(HeaderValue::as_bytes)
            .collect::<Vec<_>>()
            .join(&b","[..]);
        let mut headers = before;
        headers.insert(
            header::CONNECTION,
            HeaderValue::from_bytes(&joined).expect("a value"),
        );
        let read = request::read(request::parts(Version::HTTP_11, headers), false);
        if let Ok(read) = read {
            assert_eq!(read.head().headers(), after, "the same in one field");
        } else {
            assert!(joined.len() > 8000, "refused in one field");
        }
    }
}

/// A request is refused for what it carries, not for what it nominates.
fn refusable(
    before: &HeaderMap,
    named: &[Option<HeaderName>],
    length: usize,
    fields: usize,
    why: &Rejection,
) {
    let refusable = [
        "upgrade",
        "http2-settings",
        "transfer-encoding",
        "content-length",
        "expect",
    ];
    let carries = refusable.iter().any(|name| before.contains_key(*name));
    assert!(
        carries || length > 8000 || fields > 100 || named.len() > 100,
        "refused without a reason: {why:?}, {fields} fields, {} names",
        named.len()
    );
}

/// Members in order; `None` for what is no field name.
fn named(values: &[HeaderValue]) -> Vec<Option<HeaderName>> {
    let mut names = Vec::new();
    for value in values {
        let text: String = value.as_bytes().iter().copied().map(char::from).collect();
        for member in text.split(',') {
            let name = member
                .split(';')
                .next()
                .unwrap_or_default()
                .trim_matches([' ', '\t']);
            let known = ["", "close", "keep-alive"].contains(&&*name.to_ascii_lowercase());
            if !known {
                names.push(HeaderName::from_bytes(name.as_bytes()).ok());
            }
        }
    }
    names
}
