use super::super::export::threshold;
use super::*;
use crate::telemetry::Outcome;

const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer(sample: f64) -> (Tracer, std::sync::mpsc::Receiver<Ended>) {
    let (queue, receiver) = Queue::new();
    let active = Active {
        queue,
        threshold: threshold(sample),
        random: RefCell::default(),
    };
    (Tracer(Some(active)), receiver)
}

fn headers(traceparent: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
    if let Some(text) = traceparent {
        headers.insert(TRACEPARENT, HeaderValue::from_static(text));
    }
    headers
}

#[test]
fn a_sampled_trace_goes_on_with_a_span_of_ours() {
    let (tracer, _receiver) = tracer(0.0);
    let (span, mut headers) = (Cell::default(), headers(Some(SENT)));
    tracer.join(&span, &mut headers);
    let ids = span.get().0.unwrap();
    let sent: Vec<&str> = SENT.split('-').collect();
    assert_eq!(ids.trace, unhex(sent[1]).unwrap());
    assert_eq!(ids.parent, unhex(sent[2]));
    assert_ne!(Some(ids.span), ids.parent);
    let forwarded: Vec<&str> = headers[TRACEPARENT].to_str().unwrap().split('-').collect();
    assert_eq!(forwarded[..2], sent[..2]);
    assert_eq!(unhex(forwarded[2]), Some(ids.span));
    assert_eq!(forwarded[3..], sent[3..]);
    assert_eq!(headers[TRACESTATE], "a=b");
    // Once: what was forwarded is what is exported.
    let before = headers.clone();
    tracer.join(&span, &mut headers);
    assert_eq!(headers, before);
}

#[test]
fn a_trace_that_is_not_sampled_passes_as_it_came() {
    let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let (tracer, receiver) = tracer(1.0);
    let (span, mut headers) = (Cell::default(), headers(Some(text)));
    tracer.join(&span, &mut headers);
    assert_eq!(headers[TRACEPARENT], text);
    assert_eq!(headers[TRACESTATE], "a=b");
    let outcome = Outcome {
        span: span.get(),
        ..Outcome::default()
    };
    tracer.ended(&Facts::default(), &outcome, Tick::default());
    assert!(receiver.try_recv().is_err());
}

#[test]
fn a_trace_begins_here_sampled_or_not() {
    for (sample, flags) in [(1.0, "01"), (0.0, "00")] {
        let (tracer, _receiver) = tracer(sample);
        let (span, mut headers) = (Cell::default(), headers(None));
        tracer.join(&span, &mut headers);
        let text = headers[TRACEPARENT].to_str().unwrap();
        assert!(text.starts_with("00-") && text.len() == 55, "{text}");
        assert!(text.ends_with(flags), "{text}");
        assert!(traceparent(&headers).is_some());
        assert!(!headers.contains_key(TRACESTATE), "it was of no trace");
        assert_eq!(span.get().0.unwrap().parent, None);
    }
}

#[test]
fn a_fraction_is_sampled() {
    let (tracer, _receiver) = tracer(0.25);
    let sampled = (0..4000)
        .filter(|_| tracer.0.as_ref().unwrap().begin().is_sampled())
        .count();
    // Twelve standard deviations.
    assert!((670..1330).contains(&sampled), "{sampled}");
    assert_eq!(threshold(1.0), 1 << 56);
    assert_eq!(threshold(0.0), 0);
}

#[test]
fn only_defined_flags_and_our_version_go_on() {
    let text = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more";
    let (tracer, _receiver) = tracer(1.0);
    let (span, mut headers) = (Cell::default(), headers(Some(text)));
    tracer.join(&span, &mut headers);
    let forwarded = headers[TRACEPARENT].to_str().unwrap();
    assert!(forwarded.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(forwarded.ends_with("-03"), "{forwarded}");
    assert_eq!(forwarded.len(), 55);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (tracer, receiver) = tracer(1.0);
    let span = Cell::default();
    tracer.join(&span, &mut HeaderMap::new());
    let outcome = Outcome {
        span: span.get(),
        ..Outcome::default()
    };
    for _ in 0..2050 {
        tracer.ended(&Facts::default(), &outcome, Tick::default());
    }
    assert_eq!(receiver.try_iter().count(), 2048);
    let samples = tracer.0.unwrap().queue.samples();
    assert_eq!(samples[1], (vec!["dropped".to_owned()], 2.0));
}

#[test]
fn ids_are_never_the_same_and_never_zero() {
    let mut random = Random::default();
    let ids: std::collections::HashSet<_> = (0..1000).map(|_| random.id()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(!ids.contains(&[0; 8]));
}

#[test]
fn a_long_path_is_cut_at_a_character() {
    assert_eq!(&*capped("/short"), "/short");
    let long = "é".repeat(1000);
    assert_eq!(capped(&long).len(), 1024);
}
