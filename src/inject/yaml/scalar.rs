//! What a plain scalar is.

/// The value of a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Flag(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text,
}

/// As `go-yaml` 2 does it, through which kubectl and the API server read.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Resolved::Flag(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Resolved::Flag(false)
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) => {
            number(&text.replace('_', ""))
        }
        _ => Resolved::Text,
    }
}

fn number(text: &str) -> Resolved {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if let Some(value) = integer(digits) {
        if !negative {
            return i64::try_from(value).map_or(Resolved::Unsigned(value), Resolved::Signed);
        }
        if let Some(value) = 0_i64.checked_sub_unsigned(value) {
            return Resolved::Signed(value);
        }
    }
    match digits.parse::<f64>() {
        Ok(value) if is_float(digits) => whole(if negative { -value } else { value }),
        _ => Resolved::Text,
    }
}

/// `0x1f`, `0b1`, `0o7`, and `0440`, which is octal: the difference that file modes are made of.
fn integer(digits: &str) -> Option<u64> {
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa && !exponent.is_empty() && digits(exponent)
}

/// `1e3` reaches the API server as 1000: Go writes such a number without a fraction.
fn whole(value: f64) -> Resolved {
    // 2^53: up to here every whole number is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        let text = format!("{value:.0}");
        if let Ok(number) = text.parse() {
            return Resolved::Signed(number);
        }
    }
    Resolved::Float(value)
}

/// Whether a text can stand unquoted and be read as that text by every reader: of YAML 1.1, of 1.2, and of go-yaml's rules.
pub(super) fn is_plain(text: &str) -> bool {
    let safe = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                ' ' | '-'
                    | '.'
                    | '_'
                    | '/'
                    | ':'
                    | '='
                    | '+'
                    | ','
                    | '@'
                    | '%'
                    | '$'
                    | '('
                    | ')'
                    | ';'
                    | '~'
                    | '^'
                    | '*'
                    | '?'
                    | '!'
                    | '&'
                    | '#'
                    | '<'
                    | '>'
                    | '|'
                    | '\\'
            )
    };
    let begins =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '$' | '(' | '.' | '+' | '-');
    let first = text.chars().next();
    first.is_some_and(begins)
        && text.chars().all(safe)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("- ")
        && !matches!(text, "-" | "---" | "...")
        && !text.starts_with("--- ")
        && !like_a_number(text)
        && resolve(text) == Resolved::Text
}

/// Digits first, after a sign or a dot perhaps: numbers, dates, times, sexagesimal `1:30`, addresses. Cheaper to quote than to tell
/// apart in every version.
fn like_a_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let text = text.strip_prefix('.').unwrap_or(text);
    text.starts_with(|c: char| c.is_numeric())
        && text.chars().all(|c| {
            c.is_ascii_hexdigit()
                || matches!(
                    c,
                    '.' | ':'
                        | '_'
                        | '+'
                        | '-'
                        | 'x'
                        | 'X'
                        | 'o'
                        | 'O'
                        | 'T'
                        | 't'
                        | 'Z'
                        | 'z'
                        | ' '
                )
        })
        || text.eq_ignore_ascii_case("inf")
        || text.eq_ignore_ascii_case("nan")
}
