//! What an issuer says about how long its keys are good.

use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap};

/// `Cache-Control: max-age` (RFC 9111 section 5.2.2.1). `no-cache` and `no-store` say nothing about how long keys are
/// good, and common issuers send them: the configured interval holds then.
pub(super) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_read_from_any_cache_control() {
        for (value, seconds) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=300, must-revalidate", Some(300)),
            ("max-age=\"300\"", Some(300)),
            ("s-maxage=300", None),
            ("no-cache", None),
            ("no-store, max-age=0", Some(0)),
            ("max-age=-1", None),
            ("max-age=99999999999999999999999", None),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(max_age(&headers), expected, "{value}");
        }
    }
}
