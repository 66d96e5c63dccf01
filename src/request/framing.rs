//! Message framing values, exact: what is not spelt the one way is refused (RFC 9112 section 6, RFC 9110 section 8.6).

/// A `Content-Length` of the form `0|[1-9][0-9]{0,18}`; no sign, no leading zero, no list, no white space.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    match value {
        b"0" => Some(0),
        [b'1'..=b'9', ..] if value.len() <= 19 => value.iter().try_fold(0u64, |length, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            length.checked_mul(10)?.checked_add(digit)
        }),
        _ => None,
    }
}

/// A `Transfer-Encoding` of exactly the one token `chunked`. The RFC folds case; we do not, for not every upstream does.
pub(crate) fn is_chunked(value: &[u8]) -> bool {
    value == b"chunked"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_24_framing_values_are_exact() {
        for (value, length) in [
            ("0", Some(0)),
            ("3", Some(3)),
            ("9223372036854775807", Some(9_223_372_036_854_775_807)),
            ("9999999999999999999", Some(9_999_999_999_999_999_999)),
            ("10000000000000000000", None),
            ("00", None),
            ("003", None),
            ("+3", None),
            ("-3", None),
            ("3 ", None),
            (" 3", None),
            ("3,3", None),
            ("0x3", None),
            ("3.0", None),
            ("", None),
        ] {
            assert_eq!(content_length(value.as_bytes()), length, "{value:?}");
        }
        for (value, chunked) in [
            ("chunked", true),
            ("CHUNKED", false),
            ("chunked ", false),
            ("gzip, chunked", false),
            ("chunked, chunked", false),
            ("chunked;q=1", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(is_chunked(value.as_bytes()), chunked, "{value:?}");
        }
    }
}
