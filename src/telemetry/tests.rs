use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::clock::Now;
use crate::rejection::{Decision, Rejection};
use crate::request::Facts;

/// What was written.
pub(super) struct Lines {
    receiver: Receiver<Vec<u8>>,
    read: RefCell<Vec<String>>,
}

impl Lines {
    fn all(&self) -> Vec<String> {
        let mut read = self.read.borrow_mut();
        read.extend(
            self.receiver
                .try_iter()
                .map(|line| String::from_utf8(line).unwrap()),
        );
        read.clone()
    }

    pub(super) fn text(&self) -> String {
        self.all().join("\n")
    }

    pub(super) fn json(&self) -> Vec<Value> {
        self.all()
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(super) fn start(settings: &LogSettings) -> (Telemetry, Lines) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let clock = Clock::manual(UnixTime::from_secs(1000));
    let telemetry = Telemetry::start(settings, LogSink::Channel(sender), clock).unwrap();
    let lines = Lines {
        receiver,
        read: RefCell::default(),
    };
    (telemetry, lines)
}

fn outcome(rejection: Option<&Rejection>) -> Outcome<'_> {
    Outcome {
        request_id: "r1",
        generation: 1,
        status: rejection.map_or(200, |rejection| rejection.status().as_u16()),
        rejection,
        peer: Some(IpAddr::from([192, 0, 2, 1])),
        duration: Duration::from_micros(300),
        ..Outcome::default()
    }
}

fn request(recorder: &Recorder, rejection: Option<&Rejection>) {
    recorder.began();
    recorder.ended(&Facts::default(), &outcome(rejection), Now::default());
}

#[test]
fn invariant_70_every_request_is_allowed_denied_or_errored() {
    let (telemetry, lines) = start(&LogSettings::default());
    let worker = telemetry.worker();
    let (one, two) = (worker.listener("one"), worker.listener("two"));
    for round in 0..100 {
        request(&one, None);
        request(&two, Some(&Rejection::NoToken));
        if round % 2 == 0 {
            request(&one, Some(&Rejection::UpstreamTimeout));
        }
    }
    one.began();
    let metrics = telemetry.metrics();
    let decided = |decision| metrics.sum("countersign_decisions_total", &[("decision", decision)]);
    assert_eq!(
        (decided("allowed"), decided("denied"), decided("errored")),
        (100.0, 100.0, 50.0)
    );
    let active = metrics.sum("http_server_active_requests", &[]);
    assert_eq!(active, 1.0);
    assert_eq!(
        decided("allowed") + decided("denied") + decided("errored") + active,
        metrics.sum("countersign_requests_total", &[])
    );
    telemetry.flush();
    assert_eq!(lines.all().len(), 250, "one record each");
}

#[test]
fn workers_are_added_up() {
    let (telemetry, _lines) = start(&LogSettings::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let recorder = telemetry.worker().listener("in");
                (0..1000).for_each(|_| request(&recorder, None));
            });
        }
    });
    assert_eq!(
        telemetry
            .metrics()
            .sum("countersign_requests_total", &[("listener", "in")]),
        2000.0
    );
    let text = String::from_utf8(telemetry.metrics().text()).unwrap();
    assert!(text.contains(
        r#"http_server_request_duration_seconds_bucket{http_response_status_class="2xx",http_route="none",listener="in",le="0.0005"} 2000"#
    ), "{text}");
}

#[test]
fn access_says_which_records_are_written() {
    for (access, written) in [
        (AccessLog::All, 2),
        (AccessLog::Denied, 1),
        (AccessLog::None, 0),
    ] {
        let (telemetry, lines) = start(&LogSettings {
            access,
            ..LogSettings::default()
        });
        let recorder = telemetry.worker().listener("in");
        request(&recorder, None);
        request(&recorder, Some(&Rejection::NoRoute));
        assert_eq!(recorder.writes(Decision::Allowed), access == AccessLog::All);
        drop(telemetry);
        assert_eq!(lines.all().len(), written, "{access:?}");
    }
}

#[test]
fn observed_refusals_are_recorded_also_where_only_refusals_are() {
    let (telemetry, lines) = start(&LogSettings {
        access: AccessLog::Denied,
        ..LogSettings::default()
    });
    let recorder = telemetry.worker().listener("in");
    recorder.began();
    let observed = Outcome {
        observed: Some(&Rejection::NoToken),
        ..outcome(None)
    };
    recorder.ended(&Facts::default(), &observed, Now::default());
    assert_eq!(
        telemetry.metrics().sum(
            "countersign_observed_refusals_total",
            &[("reason", "no_token")]
        ),
        1.0
    );
    drop(telemetry);
    assert_eq!(lines.json()[0]["observed"], "no_token");
    assert_eq!(lines.json()[0]["decision"], "allowed");
}

#[test]
fn a_blocked_sink_costs_allowed_records_before_refusals_and_counts_both() {
    let shared = Shared {
        control: Control::default(),
        queues: Queues::default(),
        metrics: Metrics::new(0).unwrap(),
        clock: Clock::manual(UnixTime::default()),
        subject_key: aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"k"),
    };
    // No writer runs.
    let shared = Arc::new(shared);
    let recorder =
        WorkerTelemetry::new(Arc::clone(&shared), Spans::default().tracer()).listener("in");
    (0..5000).for_each(|_| request(&recorder, None));
    let dropped = || {
        shared
            .queues
            .dropped
            .samples()
            .into_iter()
            .map(|(_, lost)| lost)
            .collect::<Vec<_>>()
    };
    let before = dropped();
    assert!(before[0] > 0.0 && before[1] == 0.0, "{before:?}");
    (0..50).for_each(|_| request(&recorder, Some(&Rejection::NoToken)));
    assert_eq!(dropped(), before, "refusals still have room");
    (0..5000).for_each(|_| request(&recorder, Some(&Rejection::NoToken)));
    assert!(dropped()[1] > 0.0);
}

#[test]
fn recent_refusals_are_kept_and_bounded() {
    let (telemetry, _lines) = start(&LogSettings::default());
    let recorder = telemetry.worker().listener("in");
    request(&recorder, None);
    (0..80).for_each(|_| request(&recorder, Some(&Rejection::NearMiss)));
    telemetry.flush();
    let recent = telemetry.recent_refusals();
    assert_eq!(recent.len(), 50);
    assert!(recent.iter().all(|line| line.contains("near_miss")));
}

#[test]
fn connections_that_end_before_a_request_leave_a_record() {
    let (telemetry, lines) = start(&LogSettings::default());
    let recorder = telemetry.worker().listener("in");
    recorder.connections.opened();
    let end = ConnectionEnd {
        peer: IpAddr::from([192, 0, 2, 7]),
        reason: "tls_handshake",
        status: None,
        request_id: None,
    };
    recorder.connection_refused(&end, Now::default());
    recorder.connections.closed();
    let metrics = telemetry.metrics();
    assert_eq!(
        metrics.sum(
            "countersign_connection_refusals_total",
            &[("reason", "tls_handshake")]
        ),
        1.0
    );
    assert_eq!(metrics.sum("countersign_open_connections", &[]), 0.0);
    assert_eq!(metrics.sum("countersign_connections_total", &[]), 1.0);
    drop(telemetry);
    let record = &lines.json()[0];
    assert_eq!(record["type"], "connection");
    assert_eq!(record["reason"], "tls_handshake");
    assert_eq!(record["client_address"], "192.0.2.7");
}

#[test]
fn text_is_for_people() {
    let (telemetry, lines) = start(&LogSettings {
        format: LogFormat::Text,
        ..LogSettings::default()
    });
    request(
        &telemetry.worker().listener("in"),
        Some(&Rejection::NoToken),
    );
    drop(telemetry);
    assert!(
        lines
            .text()
            .starts_with("1970-01-01T00:00:00.000Z denied  401 no_token "),
        "{}",
        lines.text()
    );
}

#[test]
fn tokens_are_recognised_anywhere_in_a_text() {
    for secret in [
        "eyJhbGciOiJub25lIn0.e30.",
        "x eyJhbGciOiJub25lIn0",
        "Authorization: Bearer 0123456789abcdef",
        "é Basic 0123456789abcdef==",
    ] {
        assert!(contains_token(secret), "{secret}");
    }
    for harmless in [
        "",
        "eyJ",
        "bearer token missing",
        "Bearer realm",
        "https://id.example.org/a",
    ] {
        assert!(!contains_token(harmless), "{harmless}");
    }
}

#[test]
fn lines_that_were_dropped_are_counted_by_seals_and_time_alone_brings_one() {
    let keys = crate::identity::SigningKeys::generate(crate::identity::SigningAlgorithm::EdDsa);
    let (telemetry, lines) = start(&LogSettings {
        receipts: Some(Arc::new(ReceiptSettings {
            keys: keys.unwrap(),
            lines: 1000,
            every: Duration::from_secs(10),
        })),
        ..LogSettings::default()
    });
    let worker = telemetry.worker();
    let recorder = worker.listener("in");
    let seals = |lines: &Lines| -> Vec<(String, u64, u64)> {
        let all = lines.json();
        let seals = all.iter().filter(|line| line["type"] == "receipt");
        let read = |line: &Value| {
            let word = line["receipt"].as_str().unwrap().to_owned();
            let number = |name: &str| line[name].as_u64().unwrap();
            (word, number("seq"), number("dropped"))
        };
        seals.map(read).collect()
    };
    let begin = ("begin".to_owned(), 0, 0);
    request(&recorder, None);
    telemetry.flush();
    assert_eq!(seals(&lines), std::slice::from_ref(&begin));
    telemetry
        .shared
        .queues
        .dropped
        .refused
        .fetch_add(2, Ordering::Relaxed);
    telemetry.shared.clock.advance(Duration::from_secs(9));
    telemetry.flush();
    assert_eq!(seals(&lines).len(), 1, "not yet");
    telemetry.shared.clock.advance(Duration::from_secs(1));
    telemetry.flush();
    let checkpoint = ("checkpoint".to_owned(), 2, 2);
    assert_eq!(seals(&lines), [begin.clone(), checkpoint.clone()]);
    // Nothing to seal, no seal.
    telemetry.shared.clock.advance(Duration::from_secs(100));
    telemetry.flush();
    assert_eq!(seals(&lines).len(), 2);
    drop((recorder, worker, telemetry));
    assert_eq!(seals(&lines), [begin, checkpoint, ("end".to_owned(), 3, 2)]);
}
