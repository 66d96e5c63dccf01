//! `inbound` and what belongs to a listener.

use super::Need::{Default, Optional, Required};
use super::common::{DAY, FILE, FLAG, K, LONG, LONG_OR_NONE, M, NAME, SHORT, VISIBLE, WEB_URL};
use super::{ANSWERS_NAME, Block, Format, Key, Shape};

/// One of `inbound`.
pub(crate) static INBOUND: Block = Block {
    name: "inbound",
    doc: "A listener and its upstream. A change of `listen` needs a restart.",
    keys: &[
        Key::new(
            "name",
            &NAME,
            Default("inbound"),
            "The name that routes, logs and metrics use. Required where there are several.",
            "public",
        ),
        Key::new(
            "listen",
            &Shape::Text(Format::Listen),
            Required,
            "Where it binds: ADDRESS:PORT or unix:/path.",
            "0.0.0.0:8080",
        ),
        Key::new(
            "upstream",
            &Shape::Either(&[Shape::Text(Format::Upstream), Shape::Block(&UPSTREAM)]),
            Required,
            "Where allowed requests go: http://, https://, h2c:// (HTTP/2 with prior knowledge) or unix:/path. Nothing in a request can change it.",
            "http://127.0.0.1:8000",
        ),
        Key::new(
            "exposed_upstream",
            &Shape::Words(&["report", "unready"]),
            Default("report"),
            "What happens while an upstream on loopback listens elsewhere too, so that it can be reached around the proxy (Linux): `report` says so, `unready` also keeps the proxy unready, as long as it cannot be told as well.",
            "unready",
        ),
        Key::new(
            "explain",
            &Shape::Either(&[Shape::Flag, Shape::Words(&["to_whoever_connects"])]),
            Default("false"),
            "Whether answers tell callers why they are what they are: in the field `Countersign-Explain`, and in the document of a refusal. For trying a policy out, never for callers in earnest: on loopback and Unix sockets without `trusted_proxies` only, unless it says `to_whoever_connects`.",
            "true",
        ),
        Key::new(
            "trusted_proxies",
            &Shape::ListOrNone(&Shape::Text(Format::Network)),
            Optional,
            "Networks whose `X-Forwarded-*` is believed; the client is the rightmost hop that is not in one of them. None when absent.",
            "[10.0.0.0/8]",
        ),
        Key::new(
            "answers",
            ANSWERS_NAME,
            Optional,
            "The template of refusals on this listener.",
            "fastapi",
        ),
        Key::new(
            "cors",
            &Shape::Block(&CORS),
            Optional,
            "CORS on our own answers, so that browsers can read refusals; the upstream's answers are left alone.",
            "{origins: [https://app.example.org]}",
        ),
        Key::new(
            "external_url",
            &Shape::Either(&[
                Shape::Text(Format::Origin),
                Shape::List(&Shape::Text(Format::Origin)),
            ]),
            Optional,
            "Scheme, host and port that callers know the listener by, or several of them: the URL that a DPoP proof is for begins with one. `Host` and `X-Forwarded-Proto` do not count, for they are a caller's word. When absent that of `resource_metadata`.",
            "https://api.example.org",
        ),
        Key::new(
            "resource_metadata",
            &Shape::Block(&RESOURCE_METADATA),
            Optional,
            "Protected-resource metadata (RFC 9728): we answer `/.well-known/oauth-protected-resource`, with the resource's path appended too, before policy and without a token; challenges say where it is. When absent these paths are policy's.",
            "{resource: https://api.example.org}",
        ),
        Key::new(
            "tls",
            &Shape::Block(&TLS),
            Optional,
            "TLS towards callers; plain text when absent. Reloaded when the files change.",
            "{certificate: {file: /tls/tls.crt}, key: {file: /tls/tls.key}}",
        ),
        Key::new(
            "limits",
            &Shape::Block(&LIMITS),
            Optional,
            "Sizes and counts.",
            "{connections: 4096}",
        ),
        Key::new(
            "timeouts",
            &Shape::Block(&TIMEOUTS),
            Optional,
            "Deadlines.",
            "{header: 10s}",
        ),
    ],
};

/// `upstream` where it needs more than an address.
pub(crate) static UPSTREAM: Block = Block {
    name: "upstream",
    doc: "An upstream that needs more than an address.",
    keys: &[
        Key::new(
            "url",
            &Shape::Text(Format::Upstream),
            Required,
            "As the short form.",
            "https://api.internal:8443",
        ),
        Key::new(
            "ca",
            &FILE,
            Optional,
            "PEM CA certificates that the upstream's certificate must chain to; the platform's when absent.",
            "{file: /tls/upstream-ca.crt}",
        ),
        Key::new(
            "certificate",
            &FILE,
            Optional,
            "PEM certificate chain that we present, leaf first; together with `key`.",
            "{file: /tls/client.crt}",
        ),
        Key::new(
            "key",
            &FILE,
            Optional,
            "PEM private key of `certificate`.",
            "{file: /tls/client.key}",
        ),
    ],
};

/// `tls`.
pub(crate) static TLS: Block = Block {
    name: "tls",
    doc: "TLS 1.2 and 1.3 towards callers.",
    keys: &[
        Key::new(
            "certificate",
            &FILE,
            Required,
            "PEM certificate chain, leaf first.",
            "{file: /tls/tls.crt}",
        ),
        Key::new(
            "key",
            &FILE,
            Required,
            "PEM private key.",
            "{file: /tls/tls.key}",
        ),
        Key::new(
            "client_ca",
            &FILE,
            Optional,
            "PEM CA certificates that client certificates must chain to. When absent none is asked for.",
            "{file: /tls/ca.crt}",
        ),
        Key::new(
            "client_certificate",
            &Shape::Words(&["required", "optional"]),
            Default("required"),
            "With `client_ca`: whether a client without a certificate is refused at the handshake. `optional` leaves it to the `client_certificate` condition.",
            "optional",
        ),
    ],
};

/// `limits`.
pub(crate) static LIMITS: Block = Block {
    name: "limits",
    doc: "Sizes and counts of a listener. Sizes are written as 512B, 32KiB, 10MB.",
    keys: &[
        Key::new(
            "header_bytes",
            &Shape::Text(Format::Size { least: K, most: M }),
            Default("32KiB"),
            "Most bytes of a request head; 431 beyond.",
            "32KiB",
        ),
        Key::new(
            "headers",
            &Shape::Number {
                least: 8,
                most: 1000,
            },
            Default("100"),
            "Most header fields; 431 beyond.",
            "100",
        ),
        Key::new(
            "target_bytes",
            &Shape::Text(Format::Size {
                least: 64,
                most: 64 * K,
            }),
            Default("8KiB"),
            "Most bytes of a request target; 414 beyond.",
            "8KiB",
        ),
        Key::new(
            "token_bytes",
            &Shape::Text(Format::Size {
                least: 256,
                most: 64 * K,
            }),
            Default("16KiB"),
            "Most bytes of a token; a larger one is refused unread. The same for all listeners.",
            "16KiB",
        ),
        Key::new(
            "connections",
            &Shape::Number {
                least: 1,
                most: 1_000_000,
            },
            Default("4096"),
            "Most connections, all workers together.",
            "4096",
        ),
        Key::new(
            "connections_per_address",
            &Shape::Either(&[
                Shape::Words(&["none"]),
                Shape::Number {
                    least: 1,
                    most: 1_000_000,
                },
            ]),
            Default("none"),
            "Most connections from one peer address.",
            "256",
        ),
        Key::new(
            "requests_in_flight",
            &Shape::Number {
                least: 1,
                most: 1_000_000,
            },
            Default("4096"),
            "Most requests in flight, all workers together; 503 beyond.",
            "4096",
        ),
        Key::new(
            "body_bytes",
            &Shape::Either(&[
                Shape::Words(&["none"]),
                Shape::Text(Format::Size {
                    least: 0,
                    most: 1 << 50,
                }),
            ]),
            Default("none"),
            "Most bytes of a request body; 413 beyond.",
            "10MB",
        ),
        Key::new(
            "streams",
            &Shape::Number {
                least: 1,
                most: 100,
            },
            Default("100"),
            "HTTP/2: most concurrent streams of one connection.",
            "100",
        ),
    ],
};

/// `timeouts` of a listener.
pub(crate) static TIMEOUTS: Block = Block {
    name: "timeouts",
    doc: "Deadlines of a listener. Durations are written as 250ms, 10s, 1m, 1h30m.",
    keys: &[
        Key::new(
            "header",
            &SHORT,
            Default("10s"),
            "From a head's first byte to its end; also a TLS handshake, and the first byte on a fresh connection.",
            "10s",
        ),
        Key::new(
            "idle_connection",
            &LONG,
            Default("60s"),
            "An idle connection between requests.",
            "60s",
        ),
        Key::new(
            "request_body_idle",
            &SHORT,
            Default("30s"),
            "A request body that brings nothing before the response began.",
            "30s",
        ),
        Key::new(
            "stalled_reader",
            &SHORT,
            Default("60s"),
            "A reader, caller or upstream, that takes nothing although bytes wait for it.",
            "60s",
        ),
        Key::new(
            "upstream_connect",
            &SHORT,
            Default("2s"),
            "Connecting to the upstream, TLS included; 504 beyond.",
            "2s",
        ),
        Key::new(
            "upstream_response",
            &LONG_OR_NONE,
            Default("none"),
            "From the end of the forwarded request to the head of the response; 504 beyond.",
            "60s",
        ),
        Key::new(
            "upstream_idle",
            &SHORT,
            Default("4s"),
            "Idle upstream connections are closed after this; keep it under the upstream's own keep-alive (uvicorn: 5 s).",
            "4s",
        ),
    ],
};

/// `resource_metadata`.
pub(crate) static RESOURCE_METADATA: Block = Block {
    name: "resource_metadata",
    doc: "What is told of the listener to clients without a token (RFC 9728). The authorization servers are the issuers of its routes whose `issuer` is a URL, but for those of ServiceAccounts.",
    keys: &[
        Key::new(
            "resource",
            &WEB_URL,
            Required,
            "The resource identifier, as clients know it: a URL without query and fragment.",
            "https://api.example.org",
        ),
        Key::new(
            "scopes_supported",
            &FLAG,
            Default("true"),
            "Whether the scopes are told that conditions of the listener's routes ask for.",
            "false",
        ),
        Key::new(
            "resource_name",
            &VISIBLE,
            Optional,
            "A name for people.",
            "Usage API",
        ),
        Key::new(
            "resource_documentation",
            &WEB_URL,
            Optional,
            "A page for developers.",
            "https://docs.example.org/usage",
        ),
    ],
};

/// `cors`.
pub(crate) static CORS: Block = Block {
    name: "cors",
    doc: "CORS (Fetch standard) on our own answers.",
    keys: &[
        Key::new(
            "origins",
            &Shape::List(&Shape::Text(Format::Origin)),
            Required,
            "Exact origins; `*` stands alone and excludes credentials.",
            "[https://app.example.org]",
        ),
        Key::new(
            "preflight",
            &Shape::Words(&["forward", "answer", "authenticate"]),
            Default("forward"),
            "What a preflight meets: `forward` passes it to the upstream unauthenticated and without identity, `answer` answers it from policy's methods, `authenticate` treats it like any request.",
            "answer",
        ),
        Key::new(
            "credentials",
            &FLAG,
            Default("false"),
            "Whether browsers may read answers to requests with credentials.",
            "true",
        ),
        Key::new(
            "expose",
            &Shape::ListOrNone(&Shape::Text(Format::Visible)),
            Optional,
            "Answer headers that scripts may read.",
            "[retry-after]",
        ),
        Key::new(
            "headers",
            &Shape::ListOrNone(&Shape::Text(Format::Visible)),
            Optional,
            "With `preflight: answer`: request headers that scripts may send.",
            "[authorization, content-type]",
        ),
        Key::new(
            "max_age",
            &Shape::Text(Format::Duration {
                least: 0,
                most: DAY,
            }),
            Default("10m"),
            "With `preflight: answer`: how long browsers may keep the answer.",
            "10m",
        ),
    ],
};
