//! The document itself, `admin`, `probes`, `log` and `drain`.

use super::Need::{Default, Optional, Required, Unless};
use super::common::{DAY, ENFORCE, FLAG, HOUR, K, M, UNTIL};
use super::{
    ANSWERS, Block, CALLER_BLOCK, CREDENTIAL, Format, IDENTITY, INBOUND, ISSUER, Key, OUTBOUND,
    ROUTE, SIGNING_KEY, Shape,
};

/// The document.
pub(crate) static ROOT: Block = Block {
    name: "configuration",
    doc: "The whole document.",
    keys: &[
        Key::new(
            "workers",
            &Shape::Either(&[
                Shape::Words(&["auto"]),
                Shape::Number {
                    least: 1,
                    most: 256,
                },
            ]),
            Default("auto"),
            "Worker threads. `auto` is the least of the CPU quota of the cgroup (rounded up), the CPUs that the process may run on, and 2. A change needs a restart.",
            "2",
        ),
        Key::new(
            "token_cache",
            &Shape::Text(Format::Size {
                least: 256 * K,
                most: 1024 * M,
            }),
            Default("32MiB"),
            "Most bytes of verified tokens that each worker remembers, about 6 KiB for one of Keycloak's. Beyond it the least used make room, and are verified anew when they come again. A change needs a restart.",
            "64MiB",
        ),
        Key::new(
            "inbound",
            &Shape::Either(&[Shape::Block(&INBOUND), Shape::List(&Shape::Block(&INBOUND))]),
            Unless("outbound"),
            "Where callers come in and where their requests go: one listener, or a list of them with names.",
            "{listen: 0.0.0.0:8080, upstream: http://127.0.0.1:8000}",
        ),
        Key::new(
            "outbound",
            &Shape::Either(&[
                Shape::Block(&OUTBOUND),
                Shape::List(&Shape::Block(&OUTBOUND)),
            ]),
            Optional,
            "Where programs come that cannot obtain tokens, and where their requests go with one: one listener, or a list of them with names.",
            "{listen: 127.0.0.1:9100, upstream: https://smartem.example.org, credential: agent}",
        ),
        Key::new(
            "admin",
            &Shape::Block(&ADMIN),
            Optional,
            "The admin listener; 127.0.0.1:9090 when absent.",
            "{listen: 127.0.0.1:9090}",
        ),
        Key::new(
            "probes",
            &Shape::Block(&PROBES),
            Optional,
            "A listener for kubelet, Prometheus and verifiers elsewhere; none when absent.",
            "{listen: 0.0.0.0:9091, serve: [livez, readyz]}",
        ),
        Key::new(
            "issuers",
            &Shape::List(&Shape::Block(&ISSUER)),
            Unless("outbound"),
            "Required by `inbound`. Whose tokens are trusted, and how they are verified.",
            "[{name: dls, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api]}]",
        ),
        Key::new(
            "credentials",
            &Shape::Map {
                key: Format::Name,
                value: &Shape::Block(&CREDENTIAL),
            },
            Optional,
            "Access tokens that are obtained for callers, by the names that `outbound` uses.",
            "{agent: {token_endpoint: {discover: https://id.example.org}, client_id: agent, client_authentication: {client_secret_basic: {file: /run/secrets/agent}}}}",
        ),
        Key::new(
            "identity",
            &Shape::Block(&IDENTITY),
            Optional,
            "How the caller is vouched for to the upstream. When absent the upstream is told nothing.",
            "{headers: {x-auth-subject: subject}}",
        ),
        Key::new(
            "callers",
            &Shape::Map {
                key: Format::Name,
                value: &Shape::Block(&CALLER_BLOCK),
            },
            Optional,
            "Who may call: names for an issuer and conditions, used by `allow`, logs and identity. Two callers with the same conditions are an error.",
            "{agent: {issuer: dls, client: SmartEM_Agent}}",
        ),
        Key::new(
            "routes",
            &Shape::List(&Shape::Block(&ROUTE)),
            Unless("outbound"),
            "Required by `inbound`. Which path is allowed to whom. The most specific path wins, so their order means nothing; what no route matches is refused.",
            "[{path: /**, allow: agent}]",
        ),
        Key::new(
            "answers",
            &Shape::Map {
                key: Format::Name,
                value: &Shape::Block(&ANSWERS),
            },
            Optional,
            "Named templates of refusals. Where none is named, the one called `default` is used, else a refusal is `application/problem+json` (RFC 9457).",
            "{fastapi: {body: {detail: \"{message}\"}}}",
        ),
        Key::new(
            "log",
            &Shape::Block(&LOG),
            Optional,
            "Logs on standard output.",
            "{format: text, level: info}",
        ),
        Key::new(
            "telemetry",
            &Shape::Block(&TELEMETRY),
            Optional,
            "Where telemetry is sent; nowhere when absent. Metrics and logs need nothing of it.",
            "{otlp: {endpoint: \"http://127.0.0.1:4318\"}}",
        ),
        Key::new(
            "drain",
            &Shape::Block(&DRAIN),
            Optional,
            "The end of the process.",
            "{delay: 5s, deadline: 30s}",
        ),
        Key::new(
            "mode",
            &Shape::Words(&["enforce", "observe"]),
            Default("enforce"),
            "`observe` decides and records but lets everything pass, on every route; it needs `until`. For introducing a policy, never for keeping one.",
            "observe",
        ),
        UNTIL,
        ENFORCE,
        Key::new(
            "end",
            &FLAG,
            Optional,
            "`end: true` as the last line guards against half-written files: once a file with it was loaded, one without it is refused.",
            "true",
        ),
    ],
};

/// `admin`.
pub(crate) static ADMIN: Block = Block {
    name: "admin",
    doc: "The admin listener: /livez, /readyz, /metrics, /status, / and /explain (the status page) and /.well-known/jwks.json. GET only, nothing secret, nothing changes state.",
    keys: &[
        Key::new(
            "listen",
            &Shape::Text(Format::SocketAddress),
            Default("127.0.0.1:9090"),
            "Where it binds. Loopback, unless `allow_non_loopback` is written. A change needs a restart.",
            "127.0.0.1:9090",
        ),
        Key::new(
            "allow_non_loopback",
            &FLAG,
            Default("false"),
            "Lets the whole network read policy, issuers and metrics. `probes` is what kubelet and Prometheus need.",
            "true",
        ),
    ],
};

/// `probes`.
pub(crate) static PROBES: Block = Block {
    name: "probes",
    doc: "A listener for kubelet, Prometheus and verifiers elsewhere, and nothing else.",
    keys: &[
        Key::new(
            "listen",
            &Shape::Text(Format::SocketAddress),
            Required,
            "Where it binds. A change needs a restart.",
            "0.0.0.0:9091",
        ),
        Key::new(
            "serve",
            &Shape::List(&Shape::Words(&["livez", "readyz", "metrics", "jwks"])),
            Default("livez, readyz"),
            "What it serves: /livez, /readyz, /metrics, /.well-known/jwks.json.",
            "[livez, readyz, metrics, jwks]",
        ),
    ],
};

/// `log`.
pub(crate) static LOG: Block = Block {
    name: "log",
    doc: "One record per line on standard output.",
    keys: &[
        Key::new(
            "format",
            &Shape::Words(&["json", "text"]),
            Default("json"),
            "`text` is for people.",
            "text",
        ),
        Key::new(
            "level",
            &Shape::Words(&["error", "warn", "info", "debug", "trace"]),
            Default("info"),
            "Least severity of events; decision records are apart.",
            "info",
        ),
        Key::new(
            "access",
            &Shape::Words(&["all", "denied", "none"]),
            Default("all"),
            "Which decision records are written.",
            "denied",
        ),
        Key::new(
            "subject",
            &Shape::Words(&["plain", "hash"]),
            Default("plain"),
            "How subjects are written: as they are, or as a keyed hash that is the same within one process.",
            "hash",
        ),
        Key::new(
            "receipts",
            &Shape::Block(&RECEIPTS),
            Optional,
            "Decision receipts: lines are chained and sealed, so that an auditor can tell that none was removed or altered. Not with `format: text`.",
            "{key: {file: /etc/countersign/receipts.pem}}",
        ),
    ],
};

/// `receipts`.
pub(crate) static RECEIPTS: Block = Block {
    name: "receipts",
    doc: "Decision receipts: `countersign receipts verify` reads them. See docs/decision-record.md.",
    keys: &[
        Key::new(
            "key",
            &Shape::Block(&SIGNING_KEY),
            Required,
            "What seals: a key pair, since whoever verifies with a shared secret could write as well. Published at /.well-known/jwks.json.",
            "{file: /etc/countersign/receipts.pem}",
        ),
        Key::new(
            "lines",
            &Shape::Number {
                least: 1,
                most: 1_000_000,
            },
            Default("1000"),
            "Most lines between two seals.",
            "100",
        ),
        Key::new(
            "every",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: DAY,
            }),
            Default("10s"),
            "Most time from a line to the seal after it.",
            "1m",
        ),
    ],
};

/// `telemetry`.
pub(crate) static TELEMETRY: Block = Block {
    name: "telemetry",
    doc: "Where telemetry is sent. A change needs a restart.",
    keys: &[Key::new(
        "otlp",
        &Shape::Block(&OTLP),
        Optional,
        "Spans over OTLP/HTTP, one for each request. Needs a binary that was built with the feature `otlp`.",
        "{endpoint: \"http://127.0.0.1:4318\", sample: 0.1}",
    )],
};

/// `telemetry.otlp`.
pub(crate) static OTLP: Block = Block {
    name: "otlp",
    doc: "Export of spans over OTLP/HTTP (protobuf). See docs/tracing.md.",
    keys: &[
        Key::new(
            "endpoint",
            &Shape::Text(Format::WebUrl),
            Required,
            "The collector's base URL; `/v1/traces` is added.",
            "http://127.0.0.1:4318",
        ),
        Key::new(
            "sample",
            &Shape::Text(Format::Fraction),
            Default("1.0"),
            "The fraction of requests without a `traceparent` that begin a sampled trace. With one, its sampled flag decides.",
            "0.1",
        ),
        Key::new(
            "service_name",
            &Shape::Text(Format::Visible),
            Default("countersign"),
            "`service.name` of the spans.",
            "usage-api-sidecar",
        ),
    ],
};

/// `drain`.
pub(crate) static DRAIN: Block = Block {
    name: "drain",
    doc: "What happens on SIGTERM.",
    keys: &[
        Key::new(
            "delay",
            &Shape::Text(Format::Duration {
                least: 0,
                most: HOUR,
            }),
            Default("5s"),
            "From SIGTERM, when readiness goes off, to the end of accepting.",
            "5s",
        ),
        Key::new(
            "deadline",
            &Shape::Text(Format::Duration {
                least: 0,
                most: DAY,
            }),
            Default("30s"),
            "From then to the end of the process, whatever is still in flight. Keep both together under the pod's grace period.",
            "30s",
        ),
    ],
};
