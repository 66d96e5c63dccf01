//! Claims: the strict JSON reader beside serde, claim paths, and dates.

use countersign::authn::{ClaimPath, Claims, Document, Json};
use countersign::fuzzing::numeric_date;

use super::strict_json::{self, MAX_DEPTH, MAX_VALUES, Said, Strict};

/// A claim path on the first line, the payload behind it.
pub fn check(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n');
    let (path, text) = match line {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&b""[..], data),
    };
    let path = std::str::from_utf8(path).unwrap_or_default();
    let claims = agree(text);
    if let Some(path) = read_path(path)
        && let Some((ours, theirs)) = &claims
    {
        look_up(&path.0, &path.1, ours, theirs);
    }
    dates(text);
}

/// Both readers take the same texts, and read the same.
fn agree(text: &[u8]) -> Option<(Claims, Strict)> {
    let document = Document::parse(text);
    let ours = document.as_ref().map(Document::value);
    let theirs = strict_json::read(text);
    match (&ours, &theirs) {
        (Ok(ours), Said::Value(theirs)) => {
            assert!(theirs.is(*ours), "read otherwise");
            assert!(theirs.depth() <= MAX_DEPTH);
        }
        (Ok(_), Said::No) => panic!("accepted what is not JSON, or has a name twice"),
        (Err(_), Said::Value(theirs)) => {
            assert!(theirs.depth() > MAX_DEPTH, "refused without a reason")
        }
        (Ok(_), Said::HugeNumber) | (Err(_), Said::HugeNumber | Said::No) => {}
    }
    let claims = Claims::parse(text);
    let fits = match &theirs {
        Said::Value(theirs) => theirs.values() <= MAX_VALUES,
        Said::HugeNumber => claims.is_ok(),
        Said::No => false,
    };
    assert_eq!(claims.is_ok(), fits && matches!(ours, Ok(Json::Object(_))));
    match (claims, theirs) {
        (Ok(claims), Said::Value(theirs)) => Some((claims, theirs)),
        _ => None,
    }
}

/// A path and the names that it is read as, the slow way.
fn read_path(text: &str) -> Option<(ClaimPath, Vec<String>)> {
    let ours = ClaimPath::parse(text);
    let (names, escapes): (Vec<String>, bool) = match text.strip_prefix('/') {
        Some(pointer) => {
            let unescape = |name: &str| name.replace("~1", "/").replace("~0", "~");
            (
                pointer.split('/').map(unescape).collect(),
                tildes_escape(pointer),
            )
        }
        None => (text.split('.').map(str::to_owned).collect(), true),
    };
    let valid = escapes && names.iter().all(|name| !name.is_empty());
    assert_eq!(ours.is_ok(), valid, "{text:?}");
    let ours = ours.ok()?;
    let again = ClaimPath::parse(&ours.to_string()).expect("what a path shows is a path");
    assert_eq!(again, ours);
    Some((ours, names))
}

/// Every `~` stands before `0` or `1`.
fn tildes_escape(pointer: &str) -> bool {
    let bytes = pointer.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'~' || matches!(bytes.get(at + 1), Some(b'0' | b'1')))
}

/// The place of a path, found the slow way.
fn look_up(path: &ClaimPath, names: &[String], ours: &Claims, theirs: &Strict) {
    let pointer = path.to_string().starts_with('/');
    let mut at = Some(theirs);
    let mut left = names;
    while let (Some(Strict::Object(members)), false) = (at, left.is_empty()) {
        let longest = if pointer { 1 } else { left.len() };
        let used = (1..=longest)
            .rev()
            .find(|count| members.contains_key(&left[..*count].join(".")));
        at = used.and_then(|count| members.get(&left[..count].join(".")));
        left = &left[used.unwrap_or(left.len())..];
    }
    let theirs = at.filter(|_| left.is_empty());
    let ours = ours.get(path);
    assert_eq!(ours.is_some(), theirs.is_some(), "{path}");
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        assert!(theirs.is(ours), "another place than {path}");
    }
}

/// Numbers as dates, beside whole-number arithmetic.
fn dates(text: &[u8]) {
    let Ok(document) = Document::parse(text) else {
        return;
    };
    let Json::Object(members) = document.value() else {
        return;
    };
    for (_, value) in members.iter() {
        let date = numeric_date(value);
        let Json::Number(text) = value else {
            assert_eq!(date, None);
            continue;
        };
        let (floor, ceil) = date.expect("every number is a date");
        assert!(floor <= ceil && ceil.saturating_sub(floor) <= 1);
        if let Some((exact_floor, exact_ceil)) = exact(text) {
            let clamp = |n: i128| {
                i64::try_from(n.clamp(i64::MIN.into(), i64::MAX.into())).expect("in range")
            };
            let near = |ours: i64, exact: i128| {
                ours.abs_diff(clamp(exact)) <= u64::from(exact.unsigned_abs() > 1 << 62)
            };
            assert!(
                near(floor, exact_floor) && near(ceil, exact_ceil),
                "{text}: {floor} {ceil}"
            );
        }
    }
}

/// Floor and ceiling where they fit into 128 bits.
fn exact(text: &str) -> Option<(i128, i128)> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let digits = if mantissa.starts_with('-') {
        -digits.abs()
    } else {
        digits
    };
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    if shift >= 0 {
        let value = 10_i128
            .checked_pow(shift.unsigned_abs())?
            .checked_mul(digits)?;
        return Some((value, value));
    }
    let divisor = 10_i128.checked_pow(shift.unsigned_abs())?;
    let floor = digits.div_euclid(divisor);
    Some((floor, floor + i128::from(digits.rem_euclid(divisor) != 0)))
}
