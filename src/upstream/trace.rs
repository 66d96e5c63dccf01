//! W3C Trace Context: a well-formed `traceparent` passes, a malformed one does not.

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Removes a `traceparent` that is malformed or repeated, and the `tracestate` that goes with it (Trace Context level 1,
/// sections 3.2 and 3.3: such a request is treated as one without trace).
pub(super) fn sift(headers: &mut HeaderMap) {
    if headers.contains_key(&TRACEPARENT) && trace_id(headers).is_none() {
        headers.remove(&TRACEPARENT);
        headers.remove(&TRACESTATE);
    }
}

/// The trace id of a request: 32 lower-case hexadecimal digits, not all zero.
pub(crate) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    traceparent(headers).map(|sent| sent.trace)
}

/// A well-formed `traceparent`: lower-case hexadecimal digits throughout.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "only who takes part in a trace reads all of it")
)]
pub(crate) struct Traceparent<'a> {
    /// 32 digits, not all zero.
    pub(crate) trace: &'a str,
    /// 16 digits, not all zero.
    pub(crate) parent: &'a str,
    /// 2 digits.
    pub(crate) flags: &'a str,
}

/// The `traceparent` of a request, if there is one, once, and well-formed.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<Traceparent<'_>> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let mut parts = value.to_str().ok()?.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let well_formed = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && trace.bytes().any(|digit| digit != b'0')
        && parent.bytes().any(|digit| digit != b'0')
        // Version 00 has exactly these four fields; later ones may add to them.
        && (version != "00" || parts.next().is_none());
    well_formed.then_some(Traceparent {
        trace,
        parent,
        flags,
    })
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_passes() {
        let rows = [
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                true,
            ),
            (
                "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later",
                true,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                false,
            ),
            (
                "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                false,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                false,
            ),
            ("", false),
        ];
        for (value, passes) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(value));
            headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
            sift(&mut headers);
            assert_eq!(headers.contains_key(TRACEPARENT), passes, "{value}");
            assert_eq!(headers.contains_key(TRACESTATE), passes, "{value}");
        }
    }

    #[test]
    fn two_traceparents_are_none() {
        let mut headers = HeaderMap::new();
        let value =
            HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        headers.append(TRACEPARENT, value.clone());
        headers.append(TRACEPARENT, value);
        sift(&mut headers);
        assert!(headers.is_empty());
    }
}
