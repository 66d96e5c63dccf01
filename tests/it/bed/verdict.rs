//! The verdict of a test (INVARIANTS section 0): the exact status, nothing at the upstream, one decision record with the
//! expected reason, and counters that add up.

use serde_json::Value;

use super::h2_client::{Failure, H2Connection, can_say};
use super::{Bed, Captured, Connection, Request, Response, secrets, show};

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub protocol: Protocol,
    /// Second request on a kept-alive connection.
    pub second: bool,
}

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    H2c,
    H2Tls,
}

impl Variant {
    /// The six variants of INVARIANTS section 0.
    pub const ALL: [Self; 6] = {
        const fn of(protocol: Protocol, second: bool) -> Variant {
            Variant { protocol, second }
        }
        [
            of(Protocol::Http1, false),
            of(Protocol::Http1, true),
            of(Protocol::H2c, false),
            of(Protocol::H2c, true),
            of(Protocol::H2Tls, false),
            of(Protocol::H2Tls, true),
        ]
    };

    /// HTTP/1.1 on a fresh connection.
    pub const PLAIN: Self = Self::ALL[0];

    /// Whether this request can be said over this protocol by an honest client.
    pub fn can_say(self, request: &Request) -> bool {
        self.protocol == Protocol::Http1 || can_say(request)
    }
}

enum Open {
    Http1(Box<Connection>),
    H2(H2Connection),
}

impl Open {
    fn new(bed: &Bed, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Box::new(bed.proxy.connect())),
            Protocol::H2c => Self::H2(H2Connection::plain(bed.proxy.addr())),
            Protocol::H2Tls => Self::H2(H2Connection::tls(
                bed.proxy.address("tls"),
                super::tls::client_config(&[b"h2"], None),
            )),
        }
    }

    #[track_caller]
    fn exchange(&mut self, request: &Request) -> Result<Response, Failure> {
        match self {
            Self::Http1(connection) => connection
                .send(request.bytes())
                .read_to(&request.method)
                .map_err(|_| Failure::Closed(None)),
            Self::H2(connection) => connection.exchange(request),
        }
    }
}

/// Sends `request` as `variant` says; the second of a connection follows `GET /health`, which every policy used with
/// variants must leave open to anyone. Returns the answer and what the upstream had seen before.
#[track_caller]
fn travel(bed: &Bed, variant: Variant, request: &Request) -> (Response, Before) {
    let mut open = Open::new(bed, variant.protocol);
    if variant.second {
        let warm = open.exchange(&Request::get("/health"));
        assert_eq!(warm.expect("the first answer").status, 200, "{variant:?}");
    }
    let before = Before::now(bed);
    let response = open
        .exchange(request)
        .unwrap_or_else(|failure| panic!("{variant:?}: no answer to {request:?}: {failure:?}"));
    (response, before)
}

/// The answer to `request`, whatever it is.
#[track_caller]
pub fn exchanged(bed: &Bed, variant: Variant, request: &Request) -> Response {
    travel(bed, variant, request).0
}

/// What was seen before a request.
pub struct Before {
    upstream: (usize, u64, usize),
}

impl Before {
    /// Now.
    pub fn now(bed: &Bed) -> Self {
        Self {
            upstream: bed.upstream.mark(),
        }
    }

    /// How many requests the upstream had seen.
    pub const fn requests(&self) -> usize {
        self.upstream.2
    }

    /// Fails if the upstream has seen anything since.
    #[track_caller]
    pub fn assert_nothing_upstream(&self, bed: &Bed, what: &dyn std::fmt::Debug) {
        assert_eq!(
            bed.upstream.mark(),
            self.upstream,
            "(connections, bytes, requests) at the upstream after {what:?}"
        );
    }
}

/// Waits for the one record of the request that was answered so; refusals carry the request id.
#[track_caller]
fn record_of(bed: &Bed, response: &Response) -> Value {
    let id = response.header("x-request-id").unwrap_or_else(|| {
        panic!(
            "no request id in {:?}\n{}",
            response.headers,
            bed.proxy.log_text()
        );
    });
    bed.proxy.await_record(id)
}

/// A refusal in every part: status, nothing upstream, one record with that reason, counters that add up.
#[track_caller]
pub fn assert_refused(
    bed: &Bed,
    variant: Variant,
    request: &Request,
    status: u16,
    reason: &str,
) -> Response {
    let (response, before) = travel(bed, variant, request);
    assert_eq!(
        response.status,
        status,
        "{variant:?} {request:?}\n{}",
        show(&response.body)
    );
    before.assert_nothing_upstream(bed, request);
    assert_tells_nothing(&response);
    let record = record_of(bed, &response);
    assert_recorded(&record, status, reason);
    response
}

/// A refusal with any status of the caller's fault, for corpora of all kinds of faults.
#[track_caller]
pub fn assert_denied(bed: &Bed, variant: Variant, request: &Request) -> u16 {
    let (response, before) = travel(bed, variant, request);
    let status = response.status;
    assert!(
        (400..500).contains(&status),
        "{status}: {variant:?} {request:?}"
    );
    before.assert_nothing_upstream(bed, request);
    let record = record_of(bed, &response);
    assert_eq!(
        (&record["decision"], &record["status"]),
        (&"denied".into(), &status.into()),
        "{record}"
    );
    status
}

/// Fails if a refusal holds a secret.
#[track_caller]
fn assert_tells_nothing(response: &Response) {
    let head = format!("{:?}{:?}", response.headers, response.trailers);
    secrets::assert_none("the head of a refusal", head.as_bytes());
    secrets::assert_none("the body of a refusal", &response.body);
}

/// Fails unless the record says this status and one of the reasons (separated by `|`).
#[track_caller]
pub fn assert_recorded(record: &Value, status: u16, reason: &str) {
    let recorded = record["reason"].as_str().unwrap_or_default();
    assert!(
        reason.split('|').any(|reason| reason == recorded),
        "want {reason}: {record}"
    );
    assert_eq!(record["status"], status, "{record}");
    // A version that we do not speak is the caller's fault, for all its number.
    let decision = if status < 500 || status == 505 {
        "denied"
    } else {
        "errored"
    };
    assert_eq!(record["decision"], decision, "{record}");
}

/// A refusal of raw bytes on a connection of their own: status, nothing upstream, one record, the connection closed.
#[track_caller]
pub fn assert_raw_refused(bed: &Bed, bytes: &[u8], status: u16, reason: &str) -> Response {
    raw_refused_on(bed, bed.proxy.connect(), bytes, status, reason)
}

/// [`assert_raw_refused`], and the same as the second request of a kept-alive connection, behind `GET /health`.
#[track_caller]
pub fn raw_refused_everywhere(bed: &Bed, bytes: &[u8], status: u16, reason: &str) {
    assert_raw_refused(bed, bytes, status, reason);
    let mut connection = bed.proxy.connect();
    let warm = connection.send(Request::get("/health").bytes()).read();
    assert_eq!(warm.status, 200, "the first answer");
    raw_refused_on(bed, connection, bytes, status, reason);
}

#[track_caller]
fn raw_refused_on(
    bed: &Bed,
    mut connection: Connection,
    bytes: &[u8],
    status: u16,
    reason: &str,
) -> Response {
    let before = Before::now(bed);
    let response = connection
        .send(bytes)
        .read_to(if bytes.starts_with(b"HEAD ") {
            "HEAD"
        } else {
            "GET"
        })
        .unwrap_or_else(|error| panic!("no answer to {}: {error}", show(bytes)));
    assert_eq!(
        response.status,
        status,
        "{}\n{}",
        show(bytes),
        show(&response.body)
    );
    connection.half_close();
    connection.assert_closed();
    before.assert_nothing_upstream(bed, &show(bytes));
    assert_tells_nothing(&response);
    assert_recorded(&record_of(bed, &response), status, reason);
    response
}

/// The positive twin: the request reached the upstream, once, with one record that says so.
#[track_caller]
pub fn assert_forwarded(bed: &Bed, variant: Variant, request: &Request) -> Captured {
    let (response, before) = travel(bed, variant, request);
    assert_eq!(
        response.status,
        200,
        "{variant:?} {request:?}\n{}\n{:?}",
        show(&response.body),
        response
            .header("x-request-id")
            .map(|id| bed.proxy.await_record(id))
    );
    let requests = bed.upstream.requests();
    assert_eq!(
        requests.len(),
        before.upstream.2 + 1,
        "{variant:?} {request:?}"
    );
    let seen = requests[before.upstream.2].clone();
    let id = seen
        .header("x-request-id")
        .expect("the upstream is told the request id");
    let record = bed.proxy.await_record(id);
    assert_eq!(record["decision"], "allowed", "{record}");
    assert_eq!(record["status"], 200, "{record}");
    seen
}

/// [`assert_refused`] in all six variants.
#[track_caller]
pub fn refused_everywhere(bed: &Bed, request: &Request, status: u16, reason: &str) {
    for variant in Variant::ALL {
        if variant.can_say(request) {
            assert_refused(bed, variant, request, status, reason);
        }
    }
}

/// [`assert_forwarded`] in all six variants.
#[track_caller]
pub fn forwarded_everywhere(bed: &Bed, request: &Request) {
    for variant in Variant::ALL {
        if variant.can_say(request) {
            assert_forwarded(bed, variant, request);
        }
    }
}

/// The metrics identity: every request was allowed, denied or errored, and none twice; and each left one record.
#[track_caller]
pub fn reconcile(bed: &Bed) {
    let requests = settle(bed);
    assert!(requests > 0.0, "no requests were counted");
    let sum = decisions(bed);
    assert!(
        (sum - requests).abs() < 0.5,
        "{sum} of {requests} requests have a decision"
    );
    let records = request_records(bed);
    assert!(
        (records - requests).abs() < 0.5,
        "{records} records of {requests} requests"
    );
}

/// Waits until every request so far has its decision and its record, and says how many requests those are: a request is over a
/// little after its answer, and records are written behind the answers.
#[track_caller]
pub fn settle(bed: &Bed) -> f64 {
    let requests = bed.proxy.metric("countersign_requests_total", "");
    super::eventually("a decision on every request", || decisions(bed) >= requests);
    super::eventually("a record of every request", || {
        request_records(bed) >= requests
    });
    requests
}

fn decisions(bed: &Bed) -> f64 {
    ["allowed", "denied", "errored"]
        .into_iter()
        .map(|decision| {
            let label = format!("decision=\"{decision}\"");
            bed.proxy.metric("countersign_decisions_total", &label)
        })
        .sum()
}

fn request_records(bed: &Bed) -> f64 {
    let records = bed.proxy.records();
    let requests = records.iter().filter(|record| record["type"] == "request");
    requests.count() as f64
}
