//! The target canonicaliser: what policy decides about is what is sent, byte for byte, and has one reading.

use countersign::request::{CanonicalPath, PathAllowances};
use http::{HeaderMap, HeaderValue, Uri, Version, header};

use super::request;

/// What the naive oracle makes of a path.
struct Reading {
    segments: Vec<String>,
    allowances: PathAllowances,
}

/// Reads `data` as a request target.
pub fn check(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else {
        return;
    };
    let host = uri.authority().map_or("a", |authority| authority.as_str());
    let Ok(host) = HeaderValue::from_str(host) else {
        return;
    };
    let mut parts = request::parts(
        Version::HTTP_11,
        HeaderMap::from_iter([(header::HOST, host)]),
    );
    parts.uri = uri.clone();
    let sent = sent_bytes(data);
    let Ok(read) = request::read(parts, false) else {
        // Nothing that has one reading is refused.
        let plain = data.first() == Some(&b'/') && data.len() <= 8192;
        assert!(!plain || oracle(sent).is_none(), "refused without a reason");
        return;
    };
    let path = read.head().path();
    assert_eq!(path.target().as_bytes(), sent, "decided is not sent");
    let reading = oracle(sent).expect("a target with one reading");
    let segments: Vec<&str> = path.segments().collect();
    assert_eq!(segments, reading.segments, "another path than was sent");
    assert_eq!(path.allowance_needed(), reading.allowances);
    one_reading(path);
    twice_is_once(path);
}

/// The bytes of path and query in what the client wrote: no scheme, no authority, no fragment (the guard refuses those).
pub(crate) fn sent_bytes(data: &[u8]) -> &[u8] {
    let data = data.split(|byte| *byte == b'#').next().unwrap_or_default();
    if data.first() == Some(&b'/') {
        return data;
    }
    let Some(scheme) = data.windows(3).position(|three| three == b"://") else {
        return data;
    };
    let rest = &data[scheme + 3..];
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) if rest[at] == b'/' => &rest[at..],
        // `http://a` asks for `/`; `http://a?b` has no origin-form of the same bytes.
        Some(_) => b"",
        None => b"/",
    }
}

/// Decoded segments, and what a route must accept for the path to pass.
pub(crate) fn naive_reading(sent: &[u8]) -> Option<(Vec<String>, PathAllowances)> {
    oracle(sent).map(|reading| (reading.segments, reading.allowances))
}

/// Reads path and query the slow way; `None` where no route may ever accept them.
fn oracle(sent: &[u8]) -> Option<Reading> {
    let sent = std::str::from_utf8(sent).ok()?;
    if !sent.starts_with('/') || sent.bytes().any(|byte| !(0x21..0x7F).contains(&byte)) {
        return None;
    }
    let (path, _) = sent.split_once('?').unwrap_or((sent, ""));
    if sent.contains('#') || path.contains('\\') {
        return None;
    }
    let mut pieces: Vec<&str> = path.split('/').collect();
    pieces.remove(0);
    if pieces.last() == Some(&"") {
        pieces.pop();
    }
    let mut allowances = PathAllowances {
        empty_segment: path.contains("//"),
        ..PathAllowances::default()
    };
    let mut segments = Vec::new();
    for piece in pieces {
        segments.push(decode(piece, true)?);
        // Whoever decodes again, and again, reads these.
        let mut text = decode(piece, true)?;
        loop {
            judge(&text, &mut allowances)?;
            let again = decode(&text, false)?;
            if again == text {
                break;
            }
            allowances.encoded_percent = true;
            text = again;
        }
    }
    Some(Reading {
        segments,
        allowances,
    })
}

fn judge(text: &str, allowances: &mut PathAllowances) -> Option<()> {
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\\' | '?' | '#'))
    {
        return None;
    }
    allowances.encoded_slash |= text.contains('/');
    allowances.semicolon |= text.contains(';');
    for piece in text.split('/') {
        match piece.split(';').next().unwrap_or_default() {
            "." | ".." => return None,
            "" if !text.is_empty() => allowances.empty_segment = true,
            _ => {}
        }
    }
    Some(())
}

/// Decodes escapes once; what is no escape stands as it is, unless all must be.
fn decode(text: &str, strict: bool) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let digits = piece
            .get(..2)
            .filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits {
            Some(digits) => {
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                bytes.extend(&piece.as_bytes()[2..]);
            }
            None if strict => return None,
            None => {
                bytes.push(b'%');
                bytes.extend(piece.as_bytes());
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// However often it is decoded, split and cut: no dots, and nothing that was not announced as an allowance.
fn one_reading(path: &CanonicalPath) {
    let needed = path.allowance_needed();
    for segment in path.segments() {
        let mut text = segment.to_owned();
        for round in 0..5 {
            assert!(needed.encoded_slash || !text.contains('/'));
            assert!(needed.semicolon || !text.contains(';'));
            assert!(!text.contains('\\') && !text.contains('\0'));
            for piece in text.split('/') {
                let name = piece.split(';').next().unwrap_or_default();
                assert!(name != "." && name != "..", "a dot segment");
            }
            let again = decode(&text, false).expect("UTF-8 in every reading");
            assert!(again == text || needed.encoded_percent, "round {round}");
            text = again;
        }
    }
    assert!(needed.empty_segment || !path.path_str().contains("//"));
}

fn twice_is_once(path: &CanonicalPath) {
    let target = path.target().parse().expect("what is sent can be read");
    let again = CanonicalPath::parse(target).expect("what is sent is accepted");
    assert_eq!(again.target(), path.target());
    assert!(again.segments().eq(path.segments()));
    assert_eq!(again.allowance_needed(), path.allowance_needed());
    assert_eq!(again.trailing_slash(), path.trailing_slash());
}
