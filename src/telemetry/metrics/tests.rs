use std::sync::Arc;

use super::super::tests::start;
use super::super::{LogSettings, Outcome};
use crate::clock::Now;
use crate::rejection::Rejection;
use crate::request::Facts;

/// Endings that say what is counted: units of OpenMetrics, `_info`, and things that are counted as they stand.
const UNITS: [&str; 10] = [
    "_total",
    "_seconds",
    "_bytes",
    "_info",
    "_requests",
    "_connections",
    "_routes",
    "_fds",
    "_keys",
    "_ratio",
];

#[test]
fn every_metric_has_help_and_a_unit() {
    let (telemetry, _lines) = start(&LogSettings::default());
    let status: super::super::KeyStatus = Arc::new(Vec::new);
    telemetry.metrics().observe_keys(&status).unwrap();
    let recorder = telemetry.worker().listener("in");
    recorder.began();
    let refused = Outcome {
        rejection: Some(&Rejection::NoToken),
        status: 401,
        ..Outcome::default()
    };
    recorder.ended(&Facts::default(), &refused, Now::default());
    let families = telemetry.metrics().registry.gather();
    assert!(families.len() > 15);
    for family in families {
        let (name, help) = (family.name(), family.help());
        assert!(
            UNITS.iter().any(|unit| name.ends_with(unit)),
            "{name} tells no unit"
        );
        assert!(help.len() > 10 && help.ends_with('.'), "{name}: {help}");
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, name.ends_with("_total"), "{name}");
    }
}

#[test]
fn every_metric_is_documented() {
    let (telemetry, _lines) = start(&LogSettings::default());
    let documented = include_str!("../../../docs/operations.md");
    for family in telemetry.metrics().registry.gather() {
        assert!(
            documented.contains(&format!("`{}`", family.name())),
            "{}",
            family.name()
        );
    }
}

#[test]
fn invariant_63_the_number_of_series_does_not_grow_with_requests() {
    let (telemetry, _lines) = start(&LogSettings::default());
    let recorder = telemetry.worker().listener("in");
    let series = || {
        String::from_utf8(telemetry.metrics().text())
            .unwrap()
            .lines()
            .count()
    };
    let request = |round: u32| {
        let id = round.to_string();
        recorder.began();
        let outcome = Outcome {
            request_id: &id,
            rejection: Some(&Rejection::NoRoute),
            status: 403,
            ..Outcome::default()
        };
        recorder.ended(&Facts::default(), &outcome, Now::default());
    };
    request(0);
    let before = series();
    (1..2000).for_each(request);
    assert_eq!(series(), before);
}
