//! The keys beside policy: processes, listeners, issuers, identity, answers, logs.

use super::Need::{Default, Optional, Required};
use super::{ANSWERS_NAME, Block, CALLER_BLOCK, Format, Key, ROUTE, Shape};

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

pub(super) const FLAG: Shape = Shape::Flag;
pub(super) const VISIBLE: Shape = Shape::Text(Format::Visible);
pub(super) const NAME: Shape = Shape::Text(Format::Name);
pub(super) const FILE_NAME: Shape = Shape::Text(Format::File);
pub(super) const VISIBLE_LIST: Shape = Shape::List(&VISIBLE);
const WEB_URL: Shape = Shape::Text(Format::WebUrl);
const FILE: Shape = Shape::Block(&FILE_BLOCK);
const SHORT: Shape = Shape::Text(Format::Duration {
    least: 100,
    most: HOUR,
});
const LONG: Shape = Shape::Text(Format::Duration {
    least: 1000,
    most: DAY,
});
pub(super) const LONG_OR_NONE: Shape = Shape::Either(&[
    Shape::Words(&["none"]),
    Shape::Text(Format::Duration {
        least: 100,
        most: 7 * DAY,
    }),
]);

/// `{file: …}`.
pub(crate) static FILE_BLOCK: Block = Block {
    name: "file",
    doc: "A file, relative to the configuration file. It is read when the configuration is, and watched.",
    keys: &[Key::new(
        "file",
        &FILE_NAME,
        Required,
        "Path of the file.",
        "/tls/tls.crt",
    )],
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
            "inbound",
            &Shape::Either(&[Shape::Block(&INBOUND), Shape::List(&Shape::Block(&INBOUND))]),
            Required,
            "Where callers come in and where their requests go: one listener, or a list of them with names.",
            "{listen: 0.0.0.0:8080, upstream: http://127.0.0.1:8000}",
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
            Required,
            "Whose tokens are trusted, and how they are verified.",
            "[{name: dls, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api]}]",
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
            Required,
            "Which path is allowed to whom. The most specific path wins, so their order means nothing; what no route matches is refused.",
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
        Key::new(
            "until",
            &Shape::Text(Format::Date),
            Optional,
            "When `mode: observe` ends: a date (its end, UTC) or a time. From then on decisions are enforced.",
            "2027-01-31",
        ),
        Key::new(
            "end",
            &FLAG,
            Optional,
            "`end: true` as the last line guards against half-written files: once a file with it was loaded, one without it is refused.",
            "true",
        ),
    ],
};

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
            "A reader that takes nothing although bytes wait for it.",
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

/// `admin`.
pub(crate) static ADMIN: Block = Block {
    name: "admin",
    doc: "The admin listener: /livez, /readyz, /metrics, /status, / (the status page) and /.well-known/jwks.json. GET only, nothing secret, nothing changes state.",
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

/// One of `issuers`.
pub(crate) static ISSUER: Block = Block {
    name: "issuer",
    doc: "Trust in the tokens of one issuer. Issuers do not affect each other: keys, outages and refreshes are apart.",
    keys: &[
        Key::new(
            "name",
            &NAME,
            Required,
            "The name that policy, logs and metrics use.",
            "dls",
        ),
        Key::new(
            "issuer",
            &Shape::Either(&[Shape::Text(Format::Visible), VISIBLE_LIST]),
            Required,
            "Exact values of `iss`, compared byte for byte; a list where one realm goes under several names.",
            "https://keycloak.example.org/realms/dls",
        ),
        Key::new(
            "jwks",
            &Shape::Block(&JWKS),
            Required,
            "Where the public keys come from.",
            "{discover: true}",
        ),
        Key::new(
            "audiences",
            &Shape::Either(&[Shape::Words(&["unchecked"]), VISIBLE_LIST]),
            Required,
            "One of these must be a member of `aud`. Leaving `aud` unchecked must be written out: `unchecked`.",
            "[usage-api]",
        ),
        Key::new(
            "clients",
            &VISIBLE_LIST,
            Optional,
            "The `azp` allow-list (`client_id` where a token has no `azp`). When absent any client of the issuer passes.",
            "[SmartEM_User, SmartEM_Agent]",
        ),
        Key::new(
            "algorithms",
            &Shape::List(&VISIBLE),
            Default("RS256, PS256, ES256, EdDSA, Ed25519"),
            "Accepted signature algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519. The key's own type must fit as well; there is no `none` and no HMAC.",
            "[RS256]",
        ),
        Key::new(
            "leeway",
            &Shape::Text(Format::Duration { least: 0, most: 60 }),
            Default("30s"),
            "Allowed clock skew for `exp`, `nbf` and `iat`; at most 60s.",
            "60s",
        ),
        Key::new(
            "required_claims",
            &VISIBLE_LIST,
            Default("exp, sub"),
            "Claims that must be present. `exp` is always required.",
            "[exp, azp]",
        ),
        Key::new(
            "token_types",
            &VISIBLE_LIST,
            Default("at+jwt, JWT, absent"),
            "Accepted `typ` header values, any case; `absent` stands for none. ID tokens are always refused.",
            "[at+jwt]",
        ),
        Key::new(
            "max_lifetime",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: 366 * DAY,
            }),
            Optional,
            "Most `exp` − `iat`; `iat` is required then. Unbounded when absent.",
            "1h",
        ),
        Key::new(
            "kubernetes",
            &FLAG,
            Default("false"),
            "A ServiceAccount issuer: `sub` and the `kubernetes.io` claims must be there and agree. A pod's deletion is not seen before `exp`.",
            "true",
        ),
        Key::new(
            "claim_mappings",
            &Shape::Block(&CLAIM_MAPPINGS),
            Optional,
            "Where this issuer keeps what policy speaks about.",
            "{account: account_handle}",
        ),
        Key::new(
            "scope_implies",
            &Shape::Map {
                key: Format::Scope,
                value: &Shape::List(&Shape::Text(Format::Scope)),
            },
            Optional,
            "Scopes that a scope stands for, transitively. Nothing is implied unless it is written here.",
            "{ci: [account:cache:write]}",
        ),
        Key::new(
            "key_id",
            &Shape::Words(&["required", "only_key"]),
            Default("required"),
            "What happens to a token without `kid`: refused, or (`only_key`) verified with the set's only usable key.",
            "only_key",
        ),
        Key::new(
            "token_sources",
            &Shape::List(&Shape::Words(&["basic_password", "websocket_protocol"])),
            Optional,
            "Where tokens of this issuer may stand beside `Authorization: Bearer`: the password of Basic, or `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.…`.",
            "[websocket_protocol]",
        ),
    ],
};

/// `jwks`.
pub(crate) static JWKS: Block = Block {
    name: "jwks",
    doc: "Where keys come from (one of `discover`, `url`, `file`, `inline`), and how they are kept fresh.",
    keys: &[
        Key::new(
            "discover",
            &FLAG,
            Optional,
            "`true`: OIDC discovery or RFC 8414 from the issuer's URL; the document's `issuer` must equal ours byte for byte.",
            "true",
        ),
        Key::new(
            "url",
            &WEB_URL,
            Optional,
            "A JWKS URL, independent of the issuer.",
            "https://id.example.org/keys",
        ),
        Key::new(
            "file",
            &FILE_NAME,
            Optional,
            "A JWKS file, read again when it changes. No network.",
            "/etc/countersign/jwks.json",
        ),
        Key::new(
            "inline",
            &Shape::Either(&[Shape::Text(Format::Any), Shape::Json]),
            Optional,
            "The JWKS itself, as text (`${JWKS}` takes it from the environment) or as a mapping. No network.",
            "${JWKS}",
        ),
        Key::new(
            "allow_http",
            &FLAG,
            Default("false"),
            "Allows a plain http URL. Whoever can change an answer on the way can then forge tokens.",
            "true",
        ),
        Key::new(
            "refresh",
            &Shape::Text(Format::Duration {
                least: 60_000,
                most: DAY,
            }),
            Default("15m"),
            "Longest time between two refreshes; `Cache-Control: max-age` shortens it.",
            "15m",
        ),
        Key::new(
            "refresh_floor",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: DAY,
            }),
            Default("60s"),
            "A `Cache-Control: max-age` below this counts as this.",
            "60s",
        ),
        Key::new(
            "refresh_ceiling",
            &Shape::Text(Format::Duration {
                least: 60_000,
                most: DAY,
            }),
            Default("1h"),
            "A `Cache-Control: max-age` above this counts as this.",
            "1h",
        ),
        Key::new(
            "cooldown",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: HOUR,
            }),
            Default("30s"),
            "Least time between two refreshes that unknown key ids ask for, successful or not.",
            "30s",
        ),
        Key::new(
            "max_stale",
            &Shape::Text(Format::Duration {
                least: 60_000,
                most: 30 * DAY,
            }),
            Default("24h"),
            "How long the last good set serves while it cannot be refreshed; then the issuer's tokens meet 503.",
            "24h",
        ),
        Key::new(
            "cache",
            &FILE_NAME,
            Optional,
            "A file for the last good set, so that a restart during an outage still works.",
            "/var/lib/countersign/dls.json",
        ),
        Key::new(
            "timeout",
            &Shape::Text(Format::Duration {
                least: 100,
                most: 60,
            }),
            Default("5s"),
            "Limit of one fetch.",
            "5s",
        ),
        Key::new(
            "ca",
            &FILE,
            Optional,
            "PEM CA certificates for the fetch; the platform's when absent.",
            "{file: /tls/idp-ca.crt}",
        ),
    ],
};

const CLAIM_HOMES: Shape = Shape::Either(&[
    Shape::Text(Format::ClaimPath),
    Shape::List(&Shape::Text(Format::ClaimPath)),
]);

/// `claim_mappings`.
pub(crate) static CLAIM_MAPPINGS: Block = Block {
    name: "claim_mappings",
    doc: "Homes of what policy speaks about: a dotted path, a /json/pointer, or a list of them, of which the first that is present counts.",
    keys: &[
        Key::new(
            "subject",
            &CLAIM_HOMES,
            Default("sub"),
            "The subject.",
            "[sub, preferred_username]",
        ),
        Key::new(
            "client",
            &CLAIM_HOMES,
            Default("azp, client_id"),
            "The client.",
            "azp",
        ),
        Key::new(
            "account",
            &CLAIM_HOMES,
            Optional,
            "The account; none when absent.",
            "account_handle",
        ),
        Key::new(
            "scopes",
            &CLAIM_HOMES,
            Default("scope, scp"),
            "The scopes: a string of words, or a list.",
            "scope",
        ),
        Key::new(
            "roles",
            &CLAIM_HOMES,
            Default("roles, realm_access.roles"),
            "The roles.",
            "/resource_access/my.client/roles",
        ),
        Key::new(
            "groups",
            &CLAIM_HOMES,
            Default("groups"),
            "The groups.",
            "groups",
        ),
    ],
};

/// `identity`.
pub(crate) static IDENTITY: Block = Block {
    name: "identity",
    doc: "What the upstream is told about the caller. Every spelling of these header names is stripped from requests first.",
    keys: &[
        Key::new(
            "headers",
            &Shape::Map {
                key: Format::HeaderName,
                value: &Shape::Text(Format::IdentitySource),
            },
            Optional,
            "Header names to what they carry: subject, issuer, client, caller, account, scopes, roles, groups, claims.NAME, actor.subject. What is absent is not sent.",
            "{x-auth-subject: subject, x-auth-email: claims.email}",
        ),
        Key::new(
            "assertion",
            &Shape::Block(&ASSERTION),
            Optional,
            "A signed statement of the identity (JWT).",
            "{header: x-auth-assertion, audience: api}",
        ),
        Key::new(
            "signature",
            &Shape::Block(&SIGNATURE),
            Optional,
            "An HTTP message signature (RFC 9421) over method, target, authority and the identity headers.",
            "{key: {file: /etc/countersign/signing.pem}}",
        ),
    ],
};

const SIGNING: Shape = Shape::Words(&["ES256", "EdDSA", "HS256"]);
const OVERLAP: Shape = Shape::Text(Format::Duration {
    least: 0,
    most: DAY,
});

/// `key` of `assertion` and `signature`.
pub(crate) static SIGNING_KEY: Block = Block {
    name: "signing_key",
    doc: "A private key in PEM (P-256 for ES256, Ed25519 for EdDSA), or a shared secret of at least 32 bytes for HS256. Exactly one of `file` and `secret`.",
    keys: &[
        Key::new(
            "file",
            &FILE_NAME,
            Optional,
            "The file; watched, and rotated without a restart.",
            "/etc/countersign/assertion.pem",
        ),
        Key::new(
            "secret",
            &Shape::Text(Format::Secret),
            Optional,
            "The key or secret from the environment or another file; it is never written into the document.",
            "${ASSERTION_SECRET}",
        ),
    ],
};

/// `assertion`.
pub(crate) static ASSERTION: Block = Block {
    name: "assertion",
    doc: "The signed identity statement, made for a verified token and reused until half its life, or for one request where it is bound.",
    keys: &[
        Key::new(
            "header",
            &Shape::Text(Format::HeaderName),
            Default("x-auth-assertion"),
            "The header that carries it.",
            "x-auth-assertion",
        ),
        Key::new(
            "key",
            &Shape::Block(&SIGNING_KEY),
            Optional,
            "What signs. When absent a key is generated at start, for loopback and Unix upstreams only.",
            "{file: /etc/countersign/assertion.pem}",
        ),
        Key::new(
            "algorithm",
            &SIGNING,
            Optional,
            "What the key must be for; follows from the key when absent.",
            "ES256",
        ),
        Key::new(
            "issuer",
            &VISIBLE,
            Default("countersign"),
            "`iss`.",
            "countersign",
        ),
        Key::new(
            "audience",
            &VISIBLE,
            Required,
            "`aud`: the upstream that it is meant for.",
            "usage-api",
        ),
        Key::new(
            "lifetime",
            &Shape::Text(Format::Duration {
                least: 5000,
                most: HOUR,
            }),
            Default("60s"),
            "From `iat` to `exp`; the token's own end comes first.",
            "60s",
        ),
        Key::new(
            "bind",
            &Shape::Either(&[
                Shape::Words(&["none"]),
                Shape::List(&Shape::Words(&["method", "target", "authority"])),
            ]),
            Default("none"),
            "What a statement is good for: this request alone (covering what is listed), or `none`. Must be written when the upstream is not on loopback.",
            "[method, target, authority]",
        ),
        Key::new(
            "overlap",
            &OVERLAP,
            Default("10m"),
            "How long a replaced key stays published for verifiers.",
            "10m",
        ),
    ],
};

/// `signature`.
pub(crate) static SIGNATURE: Block = Block {
    name: "signature",
    doc: "HTTP message signatures (RFC 9421): every request is signed.",
    keys: &[
        Key::new(
            "key",
            &Shape::Block(&SIGNING_KEY),
            Optional,
            "What signs. When absent a key is generated at start, for loopback and Unix upstreams only.",
            "{file: /etc/countersign/signing.pem}",
        ),
        Key::new(
            "algorithm",
            &SIGNING,
            Optional,
            "What the key must be for; follows from the key when absent.",
            "EdDSA",
        ),
        Key::new(
            "lifetime",
            &Shape::Text(Format::Duration {
                least: 5000,
                most: 30,
            }),
            Default("30s"),
            "From `created` to `expires`.",
            "30s",
        ),
        Key::new(
            "overlap",
            &OVERLAP,
            Default("10m"),
            "How long a replaced key stays published for verifiers.",
            "10m",
        ),
    ],
};

const ANSWER: Shape = Shape::Block(&ANSWER_KIND);

/// One of `answers`.
pub(crate) static ANSWERS: Block = Block {
    name: "answers",
    doc: "How refusals are worded.",
    keys: &[
        Key::new(
            "body",
            &Shape::Json,
            Optional,
            "A JSON body; `{message}`, `{status}`, `{reason}` and `{request_id}` in its strings are filled in.",
            "{error: \"{message}\"}",
        ),
        Key::new(
            "realm",
            &VISIBLE,
            Optional,
            "`realm` of the challenge.",
            "api",
        ),
        Key::new(
            "resource_metadata",
            &WEB_URL,
            Optional,
            "`resource_metadata` of the challenge (RFC 9728).",
            "https://api.example.org/.well-known/oauth-protected-resource",
        ),
        Key::new(
            "no_token",
            &ANSWER,
            Optional,
            "No credential (401).",
            "{message: missing bearer token}",
        ),
        Key::new(
            "invalid_token",
            &ANSWER,
            Optional,
            "A credential that does not hold (401).",
            "{message: invalid token}",
        ),
        Key::new(
            "refused",
            &ANSWER,
            Optional,
            "Policy refuses (403).",
            "{status: 401, message: unauthorized principal}",
        ),
        Key::new(
            "unavailable",
            &ANSWER,
            Optional,
            "We cannot judge, or are at a limit (503).",
            "{message: try again}",
        ),
        Key::new(
            "rate_limited",
            &ANSWER,
            Optional,
            "Too many requests (429).",
            "{message: rate_limited}",
        ),
        Key::new(
            "bad_request",
            &ANSWER,
            Optional,
            "What could be read in two ways or is no HTTP (400 and its kin).",
            "{message: bad request}",
        ),
        Key::new(
            "upstream",
            &ANSWER,
            Optional,
            "The upstream refused, broke or was late (502, 504).",
            "{message: upstream failed}",
        ),
    ],
};

/// One kind of refusal.
pub(crate) static ANSWER_KIND: Block = Block {
    name: "answer",
    doc: "The wording of one kind of refusal.",
    keys: &[
        Key::new(
            "status",
            &Shape::Number {
                least: 401,
                most: 404,
            },
            Optional,
            "Another status: 403 for a 401, 401 or 404 for a 403. Others have a meaning that clients act on, and stay.",
            "401",
        ),
        Key::new(
            "message",
            &VISIBLE,
            Optional,
            "What `{message}` becomes.",
            "unauthorized principal",
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
