//! The keys of policy: routes.

use super::Need::{Default, Optional, Required};
use super::common::{DAY, ENFORCE, FLAG, LONG_OR_NONE, NAME, UNTIL};
use super::policy::{ALTERNATIVE, ANSWERS_NAME};
use super::{Block, Format, Key, Shape};

const PATHS: Shape = Shape::Either(&[
    Shape::Text(Format::PathPattern),
    Shape::List(&Shape::Text(Format::PathPattern)),
]);
const HOSTS: Shape = Shape::Either(&[
    Shape::Text(Format::HostPattern),
    Shape::List(&Shape::Text(Format::HostPattern)),
]);
const NAMES: Shape = Shape::Either(&[NAME, Shape::List(&NAME)]);
const ONE: Shape = Shape::Either(&[Shape::Block(&ALTERNATIVE), NAME]);
const ACCESS: Shape = Shape::Either(&[Shape::Block(&ALTERNATIVE), NAME, Shape::List(&ONE)]);
const ALLOW: Shape = Shape::Either(&[
    Shape::Methods(&ACCESS),
    Shape::Block(&ALTERNATIVE),
    NAME,
    Shape::List(&ONE),
]);

/// One of `routes`.
pub(crate) static ROUTE: Block = Block {
    name: "route",
    doc: "What matches, whom it allows, and what else holds for its requests.",
    keys: &[
        Key::new(
            "name",
            &NAME,
            Optional,
            "What logs and metrics call it; its first path when absent.",
            "usage",
        ),
        Key::new(
            "path",
            &PATHS,
            Required,
            "A path or a list of them, decoded and compared byte for byte: literals, `{parameter}` for one whole segment, a last `**` for everything below.",
            "/agent/{agent}/**",
        ),
        Key::new(
            "hosts",
            &HOSTS,
            Optional,
            "Narrows the route to these hosts; `*.example.org` is less specific than a name.",
            "[api.example.org]",
        ),
        Key::new(
            "host",
            &HOSTS,
            Optional,
            "The same as `hosts`.",
            "\"*.example.org\"",
        ),
        Key::new(
            "inbound",
            &NAME,
            Optional,
            "Narrows the route to one listener. All of them when absent.",
            "public",
        ),
        Key::new(
            "allow",
            &ALLOW,
            Required,
            "Who may: a word (`anyone`, `anonymous`, `opaque`, `nobody`), a caller, conditions, a list of them, or a table from methods to those.",
            "{GET: [user, agent], \"POST, PUT\": agent}",
        ),
        Key::new(
            "fold",
            &NAMES,
            Optional,
            "Parameters that are compared with ASCII case folded.",
            "[account]",
        ),
        Key::new(
            "paths",
            &Shape::List(&Shape::Words(&[
                "encoded_slash",
                "empty_segment",
                "semicolon",
                "encoded_percent",
            ])),
            Optional,
            "Lets pass what two parsers may read differently, for upstreams that are known to read it as we do.",
            "[encoded_slash]",
        ),
        Key::new(
            "near_miss",
            &Shape::Words(&["refuse", "allow"]),
            Default("refuse"),
            "What becomes of a request that this route owns only because of a letter's case or a trailing slash that a more specific route does not have.",
            "allow",
        ),
        Key::new(
            "answers",
            ANSWERS_NAME,
            Optional,
            "The template of refusals; the listener's when absent.",
            "atlas",
        ),
        Key::new(
            "authorization",
            &Shape::Words(&["strip", "forward"]),
            Default("strip"),
            "Whether the upstream gets the token.",
            "forward",
        ),
        Key::new(
            "rate_limit",
            &Shape::Either(&[
                Shape::Block(&RATE_LIMIT),
                Shape::List(&Shape::Block(&RATE_LIMIT)),
            ]),
            Optional,
            "Limits, shared by all workers; 429 with `Retry-After` beyond.",
            "{by: client_address, before: authentication, requests: 600, per: 1m}",
        ),
        Key::new(
            "actor_token",
            &Shape::Block(&ACTOR_TOKEN),
            Optional,
            "A second token in a header of its own.",
            "{header: x-actor, issuer: atlas}",
        ),
        Key::new(
            "upgrade",
            &Shape::List(&Shape::Text(Format::Protocol)),
            Optional,
            "Protocols that a request may upgrade to, after the token and once the upstream answered 101.",
            "[websocket]",
        ),
        Key::new(
            "grpc",
            &FLAG,
            Default("false"),
            "Response trailers pass.",
            "true",
        ),
        Key::new(
            "end_at_expiry",
            &FLAG,
            Default("false"),
            "Streams are cut when their token expires.",
            "true",
        ),
        Key::new(
            "limits",
            &Shape::Block(&ROUTE_LIMITS),
            Optional,
            "Limits in place of the listener's.",
            "{body_bytes: 10MB}",
        ),
        Key::new(
            "timeouts",
            &Shape::Block(&ROUTE_TIMEOUTS),
            Optional,
            "Deadlines in place of the listener's.",
            "{upstream_response: 30s}",
        ),
        Key::new(
            "mode",
            &Shape::Words(&["enforce", "observe"]),
            Optional,
            "`observe` decides and records but lets everything pass; it needs `until`. The document's when absent.",
            "observe",
        ),
        UNTIL,
        ENFORCE,
    ],
};

/// `rate_limit`.
pub(crate) static RATE_LIMIT: Block = Block {
    name: "rate_limit",
    doc: "A limit that all workers share.",
    keys: &[
        Key::new(
            "by",
            &Shape::Words(&["client_address", "principal"]),
            Required,
            "What is counted apart: client addresses (IPv6: their /64), or principals.",
            "client_address",
        ),
        Key::new(
            "before",
            &Shape::Words(&["authentication"]),
            Optional,
            "`authentication`: counts every request, before its token is looked at. Otherwise those that policy allows.",
            "authentication",
        ),
        Key::new(
            "requests",
            &Shape::Number {
                least: 1,
                most: 1_000_000,
            },
            Required,
            "How many.",
            "600",
        ),
        Key::new(
            "per",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: DAY,
            }),
            Required,
            "In what time.",
            "1m",
        ),
    ],
};

/// `actor_token`.
pub(crate) static ACTOR_TOKEN: Block = Block {
    name: "actor_token",
    doc: "A second token: absent proceeds without an actor (unless required), invalid is 401, no keys is 503. The header never passes as it came.",
    keys: &[
        Key::new(
            "header",
            &Shape::Text(Format::HeaderName),
            Required,
            "The header that carries it, bare.",
            "x-tuist-atlas-identity",
        ),
        Key::new(
            "issuer",
            &NAME,
            Required,
            "The name of its issuer.",
            "atlas",
        ),
        Key::new(
            "required",
            &FLAG,
            Default("false"),
            "Whether a request without it is refused.",
            "true",
        ),
    ],
};

/// `limits` of a route.
pub(crate) static ROUTE_LIMITS: Block = Block {
    name: "route_limits",
    doc: "Limits of a route.",
    keys: &[Key::new(
        "body_bytes",
        &Shape::Text(Format::Size {
            least: 0,
            most: 1 << 50,
        }),
        Optional,
        "Most bytes of a request body; 413 beyond. The listener's when absent.",
        "10MB",
    )],
};

/// `timeouts` of a route.
pub(crate) static ROUTE_TIMEOUTS: Block = Block {
    name: "route_timeouts",
    doc: "Deadlines of a route.",
    keys: &[
        Key::new(
            "upstream_response",
            &LONG_OR_NONE,
            Optional,
            "From the end of the forwarded request to the head of the response; 504 beyond. The listener's when absent.",
            "30s",
        ),
        Key::new(
            "response_idle",
            &LONG_OR_NONE,
            Default("none"),
            "A response that brings nothing for so long is cut.",
            "5m",
        ),
    ],
};
