//! Spans over OTLP: what a collector receives.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use crate::bed::{Bed, PATIENCE, Request, Setup, Upstream, contains};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

const ROUTES: &str = "
callers: {web: {issuer: main, client: web}}
log: {subject: hash}
routes:
  - {name: items, path: /items/**, allow: web}
  - {name: open, path: /open/**, allow: anyone}
";

/// A span as it came.
#[derive(Debug, Default)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    nanos: u64,
    failed: bool,
    attributes: Vec<(String, String)>,
    resource: Vec<(String, String)>,
}

impl Span {
    #[track_caller]
    fn attribute(&self, name: &str) -> &str {
        self.attributes
            .iter()
            .find(|(other, _)| other == name)
            .map_or_else(|| panic!("{name} of {self:?}"), |(_, value)| value.as_str())
    }
}

/// A field of a protobuf message: its number and value, the bytes where it has a length.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a varint");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (value, rest) = bytes.split_first_chunk().expect("8 bytes");
                bytes = rest;
                Field::Number(u64::from_le_bytes(*value))
            }
            2 => {
                let length = varint(&mut bytes) as usize;
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value)
            }
            5 => {
                let (value, rest) = bytes.split_first_chunk().expect("4 bytes");
                bytes = rest;
                Field::Number(u64::from(u32::from_le_bytes(*value)))
            }
            other => panic!("wire type {other}"),
        };
        out.push((tag >> 3, field));
    }
    out
}

/// The messages in field `number`.
fn messages(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    fields(bytes)
        .into_iter()
        .filter_map(|(other, field)| match field {
            Field::Bytes(value) if other == number => Some(value),
            _ => None,
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `KeyValue` messages in field `number`.
fn pairs(bytes: &[u8], number: u64) -> Vec<(String, String)> {
    messages(bytes, number)
        .into_iter()
        .map(|pair| {
            let value = messages(pair, 2)[0];
            let value = match fields(value).into_iter().next() {
                Some((1, Field::Bytes(value))) => text(value),
                Some((3, Field::Number(value))) => value.to_string(),
                _ => panic!("neither text nor number"),
            };
            (text(messages(pair, 1)[0]), value)
        })
        .collect()
}

/// `ExportTraceServiceRequest` of opentelemetry-proto 1.x.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut out = Vec::new();
    for resource_spans in messages(request, 1) {
        let resource = messages(resource_spans, 1);
        for scope_spans in messages(resource_spans, 2) {
            for message in messages(scope_spans, 2) {
                out.push(Span {
                    resource: pairs(resource[0], 1),
                    attributes: pairs(message, 9),
                    ..span(message)
                });
            }
        }
    }
    out
}

fn span(message: &[u8]) -> Span {
    let mut span = Span::default();
    let (mut start, mut end) = (0, 0);
    for (number, field) in fields(message) {
        match (number, field) {
            (1, Field::Bytes(id)) => span.trace = hex(id),
            (2, Field::Bytes(id)) => span.id = hex(id),
            (4, Field::Bytes(id)) => span.parent = hex(id),
            (5, Field::Bytes(name)) => span.name = text(name),
            (6, Field::Number(kind)) => span.kind = kind,
            (7, Field::Number(nanos)) => start = nanos,
            (8, Field::Number(nanos)) => end = nanos,
            (15, Field::Bytes(status)) => {
                span.failed = fields(status)
                    .iter()
                    .any(|(number, field)| *number == 3 && matches!(field, Field::Number(2)));
            }
            _ => {}
        }
    }
    assert!(start > 0 && start <= end, "{start} {end}");
    span.nanos = end - start;
    span
}

/// A collector in this process.
struct Collector {
    server: Upstream,
    spans: Mutex<Receiver<Span>>,
}

impl Collector {
    fn start() -> Self {
        let (sender, spans_) = channel();
        let sender = Mutex::new(sender);
        let server = Upstream::scripted(move |exchange| {
            let body = exchange.body()?;
            for span in spans(&body) {
                let _ = sender.lock().expect("a sender").send(span);
            }
            exchange.answer(200, "content-type: application/x-protobuf\r\n", b"")
        });
        Self {
            server,
            spans: Mutex::new(spans_),
        }
    }

    /// Waits for the next span.
    #[track_caller]
    fn next(&self) -> Span {
        let spans = self.spans.lock().expect("spans");
        spans.recv_timeout(PATIENCE).expect("a span")
    }

    /// Everything that came, for searches.
    fn bytes(&self) -> Vec<u8> {
        let requests = self.server.requests();
        requests.iter().flat_map(|one| one.bytes()).collect()
    }
}

fn setup(endpoint: &str, keys: &str) -> Setup {
    Setup::new(ROUTES).head(&format!(
        "
workers: @WORKERS@
admin: {{listen: 127.0.0.1:0}}
drain: {{delay: 0s, deadline: 1s}}
telemetry: {{otlp: {{endpoint: \"{endpoint}\"{keys}}}}}
"
    ))
}

fn bed(collector: &Collector, keys: &str) -> Bed {
    setup(&collector.server.url(), keys).start()
}

fn traced(request: Request, flags: &str) -> Request {
    request.header("traceparent", &format!("00-{TRACE}-{PARENT}-{flags}"))
}

#[test]
fn a_request_is_a_span_of_its_callers_trace_and_the_parent_of_the_upstreams() {
    let collector = Collector::start();
    let bed = bed(&collector, ", service_name: usage-api");
    let token = bed.token().claim("sub", "alice-in-plain").sign();
    let request = Request::get("/items/7?code=hidden-query")
        .bearer(&token)
        .header("cookie", "session=hidden-cookie")
        .header("tracestate", "vendor=1");
    bed.send(&traced(request, "01")).expect(200);
    let span = collector.next();
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT));
    assert_eq!(span.name, "GET items");
    assert_eq!(span.kind, 2, "a server");
    assert!(!span.failed);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "items"),
        ("http.response.status_code", "200"),
        ("url.path", "/items/7"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("countersign.decision", "allowed"),
        ("countersign.caller", "web"),
    ] {
        assert_eq!(span.attribute(name), value, "{name}");
    }
    assert!(!span.attribute("server.address").is_empty());
    let name = ("service.name".to_owned(), "usage-api".to_owned());
    assert!(span.resource.contains(&name), "{span:?}");
    // The upstream's spans hang below ours.
    let forwarded = bed.upstream.only();
    let expected = format!("00-{TRACE}-{}-01", span.id);
    assert_eq!(forwarded.header("traceparent"), Some(expected.as_str()));
    assert_eq!(forwarded.header("tracestate"), Some("vendor=1"));
    // The record names the same trace.
    assert_eq!(bed.proxy.await_records(1)[0]["trace_id"], TRACE);
    let export = collector.server.await_complete();
    assert_eq!(
        (export.method.as_str(), export.target.as_str()),
        ("POST", "/v1/traces")
    );
    assert_eq!(
        export.header("content-type"),
        Some("application/x-protobuf")
    );
    let bytes = collector.bytes();
    for part in token.split('.').chain([
        "eyJ",
        "hidden-query",
        "hidden-cookie",
        "alice-in-plain",
        "Bearer",
    ]) {
        assert!(!contains(&bytes, part.as_bytes()), "{part}");
    }
}

#[test]
fn invariant_46_refused_requests_leave_spans_without_their_tokens() {
    let collector = Collector::start();
    let bed = bed(&collector, "");
    let token = bed.token().expires_in(-3600).sign();
    let request = traced(Request::get("/items/7").bearer(&token), "01");
    bed.send(&request).expect(401);
    let span = collector.next();
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT));
    assert_eq!(span.attribute("http.response.status_code"), "401");
    assert_eq!(span.attribute("countersign.decision"), "denied");
    assert_eq!(span.attribute("countersign.reason"), "token_expired");
    assert!(!span.failed, "a refusal is no failure of ours");
    // What was never read is a span all the same, of a trace of its own.
    bed.send(&Request::get("/items/../x").bearer(&token))
        .expect(400);
    let span = collector.next();
    assert_ne!(span.trace, TRACE);
    assert_eq!(span.parent, "");
    assert_eq!(span.attribute("countersign.reason"), "path_dot_segment");
    let records = bed.proxy.await_records(2);
    assert_eq!(records[1]["trace_id"], span.trace);
    // Some put tokens into links.
    bed.send(&Request::get(&format!("/open/{token}")))
        .expect(200);
    assert_eq!(collector.next().attribute("url.path"), "/open/[redacted]");
    bed.send(&Request::get(&format!("/open/%65{}", &token[1..])))
        .expect(200);
    assert_eq!(collector.next().attribute("url.path"), "/open/[redacted]");
    let bytes = collector.bytes();
    for part in token.split('.') {
        assert!(!contains(&bytes, part.as_bytes()), "{part}");
        assert!(!contains(&bytes, &part.as_bytes()[1..]), "{part}");
    }
    assert_eq!(bed.upstream.requests().len(), 2);
}

#[test]
fn an_upstream_that_fails_is_an_error() {
    let collector = Collector::start();
    let upstream = Upstream::scripted(|_| Ok(crate::bed::Next::Reset));
    let bed = setup(&collector.server.url(), "")
        .upstream(upstream)
        .start();
    bed.send(&traced(Request::get("/open/x"), "01")).expect(502);
    let span = collector.next();
    assert!(span.failed);
    assert_eq!(span.attribute("error.type"), "upstream_unreachable");
    assert_eq!(span.attribute("countersign.decision"), "errored");
    let forwarded = bed.upstream.await_request();
    assert!(
        forwarded
            .header("traceparent")
            .is_some_and(|text| text.contains(&span.id)),
        "the id that was forwarded is the id that is exported"
    );
}

#[test]
fn the_sampled_flag_is_respected() {
    let collector = Collector::start();
    let bed = bed(&collector, ", sample: 0");
    // Not sampled: it passes as it came.
    bed.send(&traced(Request::get("/open/1"), "00")).expect(200);
    let expected = format!("00-{TRACE}-{PARENT}-00");
    assert_eq!(
        bed.upstream.await_requests(1).header("traceparent"),
        Some(expected.as_str())
    );
    // Of no trace: the decision that it is not sampled goes on.
    bed.send(&Request::get("/open/2").header("tracestate", "lost=1"))
        .expect(200);
    let second = bed.upstream.await_requests(2);
    assert!(
        second
            .header("traceparent")
            .is_some_and(|text| text.ends_with("-00") && !text.contains(TRACE)),
        "{second:?}"
    );
    assert_eq!(second.header("tracestate"), None);
    // Malformed is none.
    bed.send(&Request::get("/open/3").header("traceparent", "00-nonsense"))
        .expect(200);
    let third = bed.upstream.await_requests(3);
    assert_eq!(third.all("traceparent").len(), 1);
    assert!(third.header("traceparent") != Some("00-nonsense"));
    // Sampled: exported, and the first that is.
    bed.send(&traced(Request::get("/open/4"), "01")).expect(200);
    assert_eq!(collector.next().attribute("url.path"), "/open/4");
}

#[test]
fn what_is_queued_is_sent_at_the_end() {
    let collector = Collector::start();
    let bed = bed(&collector, "");
    for n in 0..3 {
        bed.send(&Request::get(&format!("/open/{n}"))).expect(200);
    }
    bed.proxy.stop().await_end();
    let paths: Vec<String> = (0..3)
        .map(|_| collector.next().attribute("url.path").to_owned())
        .collect();
    assert_eq!(paths, ["/open/0", "/open/1", "/open/2"]);
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let gone = Upstream::start();
    let url = gone.url();
    drop(gone);
    let bed = setup(&url, "").start();
    bed.send(&Request::get("/open/1")).expect(200);
    let event = bed.proxy.await_event("telemetry.export_failed");
    assert_eq!(event["level"], "warn");
    crate::bed::eventually("the span is counted", || {
        bed.proxy
            .metric("countersign_spans_total", "outcome=\"failed\"")
            >= 1.0
    });
    bed.send(&Request::get("/open/2")).expect(200);
    bed.proxy.stop().await_end();
}

#[test]
fn without_the_key_a_trace_passes_as_it_came() {
    let bed = Setup::new(ROUTES).start();
    bed.send(&traced(Request::get("/open/1"), "01")).expect(200);
    bed.send(&Request::get("/open/2")).expect(200);
    let expected = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(
        bed.upstream.await_requests(1).header("traceparent"),
        Some(expected.as_str())
    );
    assert_eq!(bed.upstream.await_requests(2).header("traceparent"), None);
}
