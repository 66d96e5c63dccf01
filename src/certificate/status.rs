//! Certificates that we show, and when they end.

use serde::Serialize;

use super::Validity;
use crate::clock::UnixTime;
use crate::telemetry::timestamp;

/// No certificate is near its end for longer than this.
const LONGEST_NOTICE: i64 = 14 * 86_400;

/// How far a certificate is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateHealth {
    /// It is good for long.
    Good,
    /// Less than a fifth of its life is left, and less than two weeks: whatever renews it should have done so.
    Ending,
    /// It has ended: whoever checks refuses it.
    Ended,
}

/// A certificate that we show: the leaf of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// `listener`: shown to callers; `upstream`, `credential`: shown to an upstream or a token endpoint.
    #[serde(rename = "use")]
    pub shown_by: &'static str,
    /// The listener or credential.
    pub name: String,
    /// Its first second, since the epoch.
    pub not_before: i64,
    /// Its last second, since the epoch.
    pub not_after: i64,
    /// How far it is from its end.
    pub health: CertificateHealth,
}

impl CertificateStatus {
    /// That of a certificate now.
    #[must_use]
    pub fn new(shown_by: &'static str, name: &str, validity: Validity, now: UnixTime) -> Self {
        let (not_before, not_after) = (validity.not_before.as_secs(), validity.not_after.as_secs());
        let left = not_after.saturating_sub(now.as_secs());
        let notice = (not_after.saturating_sub(not_before) / 5).min(LONGEST_NOTICE);
        let health = if left < 0 {
            CertificateHealth::Ended
        } else if left < notice {
            CertificateHealth::Ending
        } else {
            CertificateHealth::Good
        };
        Self {
            shown_by,
            name: name.to_owned(),
            not_before,
            not_after,
            health,
        }
    }

    /// When it ends, as RFC 3339 writes it.
    #[must_use]
    pub fn end(&self) -> String {
        let mut text = Vec::new();
        timestamp::rfc3339(&mut text, UnixTime::from_secs(self.not_after), 0);
        String::from_utf8(text).unwrap_or_default()
    }

    /// What is wrong, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        let word = match self.health {
            CertificateHealth::Good => return None,
            CertificateHealth::Ending => "ends",
            CertificateHealth::Ended => "ended",
        };
        let Self { shown_by, name, .. } = self;
        Some(format!(
            "the certificate of {shown_by} {name} {word} at {}",
            self.end()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_near_its_end_in_its_last_fifth_and_two_weeks_at_most() {
        const DAY: i64 = 86_400;
        let health = |life: i64, left: i64| {
            let validity = Validity {
                not_before: UnixTime::from_secs(1_000_000),
                not_after: UnixTime::from_secs(1_000_000 + life),
            };
            let now = validity.not_after.plus(-left);
            CertificateStatus::new("listener", "inbound", validity, now).health
        };
        for (life, left, expected) in [
            (365 * DAY, 14 * DAY, CertificateHealth::Good),
            (365 * DAY, 14 * DAY - 1, CertificateHealth::Ending),
            (DAY, DAY / 5, CertificateHealth::Good),
            (DAY, DAY / 5 - 1, CertificateHealth::Ending),
            (DAY, 0, CertificateHealth::Ending),
            (DAY, -1, CertificateHealth::Ended),
            // Not yet good: it has all its life left.
            (DAY, 2 * DAY, CertificateHealth::Good),
            (0, 0, CertificateHealth::Good),
        ] {
            assert_eq!(health(life, left), expected, "{left} of {life}");
        }
        let status = CertificateStatus::new(
            "upstream",
            "inbound",
            Validity {
                not_before: UnixTime::from_secs(0),
                not_after: UnixTime::from_secs(1_769_860_800),
            },
            UnixTime::from_secs(1_769_860_801),
        );
        assert_eq!(
            status.fault().as_deref(),
            Some("the certificate of upstream inbound ended at 2026-01-31T12:00:00.000Z")
        );
    }
}
