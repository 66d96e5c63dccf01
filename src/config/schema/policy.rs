//! The keys of policy: callers, conditions, routes.

use super::Need::{Default, Optional, Required};
use super::blocks::{FLAG, LONG_OR_NONE, NAME, VISIBLE};
use super::{Block, Format, Key, Shape};

/// A reference to one of `answers`.
pub(super) const ANSWERS_NAME: &Shape = &NAME;

const VISIBLE_OR_LIST: Shape = Shape::Either(&[VISIBLE, Shape::List(&VISIBLE)]);
const SCOPES: Shape = Shape::Either(&[
    Shape::Text(Format::Scope),
    Shape::List(&Shape::Text(Format::Scope)),
]);
const NETWORKS: Shape = Shape::Either(&[
    Shape::Text(Format::Network),
    Shape::List(&Shape::Text(Format::Network)),
]);
const SERVICE_ACCOUNTS: Shape = Shape::Either(&[
    Shape::Text(Format::ServiceAccount),
    Shape::List(&Shape::Text(Format::ServiceAccount)),
]);
const PATHS: Shape = Shape::Either(&[
    Shape::Text(Format::PathPattern),
    Shape::List(&Shape::Text(Format::PathPattern)),
]);
const HOSTS: Shape = Shape::Either(&[
    Shape::Text(Format::HostPattern),
    Shape::List(&Shape::Text(Format::HostPattern)),
]);
const NAMES: Shape = Shape::Either(&[NAME, Shape::List(&NAME)]);
static CERTIFICATE_SHAPE: Shape = Shape::Block(&CERTIFICATE);
const CERTIFICATES: &Shape = &CERTIFICATE_SHAPE;
const CLAIM_VALUE: Shape = Shape::Either(&[FLAG, VISIBLE]);
const CLAIMS: Shape = Shape::Map {
    key: Format::ClaimPath,
    value: &Shape::Either(&[FLAG, VISIBLE, Shape::List(&CLAIM_VALUE)]),
};

const ISSUER_DOC: &str = "The name of the issuer whose tokens are meant.";
const CLIENT: Key = Key::new(
    "client",
    &VISIBLE_OR_LIST,
    Optional,
    "The token's client (`azp`, or `client_id`) is one of these.",
    "SmartEM_Agent",
);
const SUBJECT: Key = Key::new(
    "subject",
    &VISIBLE_OR_LIST,
    Optional,
    "The token's subject is one of these.",
    "robot-7",
);
const SERVICE_ACCOUNT: Key = Key::new(
    "service_account",
    &SERVICE_ACCOUNTS,
    Optional,
    "The ServiceAccount (NAMESPACE/NAME) is one of these; for issuers with `kubernetes: true`.",
    "atlas-production/atlas",
);
const SCOPES_KEY: Key = Key::new(
    "scopes",
    &SCOPES,
    Optional,
    "The token has all of these scopes.",
    "[account:usage:read]",
);
const ANY_SCOPE: Key = Key::new(
    "any_scope",
    &SCOPES,
    Optional,
    "The token has one of these scopes.",
    "[orders:read, orders:write]",
);
const ROLES: Key = Key::new(
    "roles",
    &VISIBLE_OR_LIST,
    Optional,
    "The token has one of these roles.",
    "[operator]",
);
const GROUPS: Key = Key::new(
    "groups",
    &VISIBLE_OR_LIST,
    Optional,
    "The token has one of these groups.",
    "[staff]",
);
const CLIENT_ADDRESS: Key = Key::new(
    "client_address",
    &NETWORKS,
    Optional,
    "The client's address is in one of these networks.",
    "[10.0.0.0/8]",
);
const CLIENT_CERTIFICATE: Key = Key::new(
    "client_certificate",
    CERTIFICATES,
    Optional,
    "The verified client certificate has one of these names; needs `tls.client_ca`.",
    "{uri: spiffe://example.org/atlas}",
);

/// One of `callers`.
pub(crate) static CALLER_BLOCK: Block = Block {
    name: "caller",
    doc: "Who may call: an issuer, and conditions that all hold.",
    keys: &[
        Key::new("issuer", &NAME, Required, ISSUER_DOC, "dls"),
        CLIENT,
        SUBJECT,
        SERVICE_ACCOUNT,
        SCOPES_KEY,
        ANY_SCOPE,
        ROLES,
        GROUPS,
        CLIENT_ADDRESS,
        CLIENT_CERTIFICATE,
        Key::new(
            "claims",
            &CLAIMS,
            Optional,
            "Each of these claims is (or has as a member) the text or boolean given, or one of a list of them.",
            "{tenant: acme}",
        ),
        Key::new(
            "account",
            &Shape::Words(&["required"]),
            Optional,
            "`required`: the token has an account.",
            "required",
        ),
    ],
};

/// One alternative of `allow`.
pub(crate) static ALTERNATIVE: Block = Block {
    name: "conditions",
    doc: "One alternative of `allow`: a caller or an issuer, and conditions that all hold.",
    keys: &[
        Key::new(
            "caller",
            &NAME,
            Optional,
            "The name of a caller; its conditions hold as well. Either this or `issuer`.",
            "tenant",
        ),
        Key::new("issuer", &NAME, Optional, ISSUER_DOC, "accounts"),
        CLIENT,
        SUBJECT,
        SERVICE_ACCOUNT,
        SCOPES_KEY,
        ANY_SCOPE,
        ROLES,
        GROUPS,
        CLIENT_ADDRESS,
        CLIENT_CERTIFICATE,
        Key::new(
            "claims",
            &CLAIMS,
            Optional,
            "Each of these claims is (or has as a member) the text or boolean given, one of a list of them, or what the path has for a \"{parameter}\".",
            "{agent_id: \"{agent}\"}",
        ),
        Key::new(
            "account",
            &VISIBLE,
            Optional,
            "`required`: the token has an account. `\"{parameter}\"`: its account is the path's segment under this parameter.",
            "\"{account}\"",
        ),
        Key::new(
            "actor",
            &Shape::Either(&[NAME, Shape::Block(&ACTOR)]),
            Optional,
            "Conditions on the party of the second token (`actor_token`): a mapping, or the name of a caller.",
            "{issuer: atlas, service_account: atlas-production/atlas}",
        ),
    ],
};

/// `actor`.
pub(crate) static ACTOR: Block = Block {
    name: "actor",
    doc: "Conditions on the party of the second token.",
    keys: &[
        Key::new("issuer", &NAME, Required, ISSUER_DOC, "atlas"),
        CLIENT,
        SUBJECT,
        SERVICE_ACCOUNT,
    ],
};

/// `client_certificate`.
pub(crate) static CERTIFICATE: Block = Block {
    name: "client_certificate",
    doc: "Names of a client certificate; one that matches suffices. Compared as a whole, without wildcards.",
    keys: &[
        Key::new(
            "dns",
            &VISIBLE_OR_LIST,
            Optional,
            "DNS names of the subject alternative name extension.",
            "atlas.example.org",
        ),
        Key::new(
            "uri",
            &VISIBLE_OR_LIST,
            Optional,
            "URIs of the subject alternative name extension, SPIFFE ids among them.",
            "spiffe://example.org/atlas",
        ),
        Key::new(
            "sha256",
            &VISIBLE_OR_LIST,
            Optional,
            "SHA-256 of the DER certificate in hexadecimal; colons may stand between.",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ],
};

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
        Key::new(
            "until",
            &Shape::Text(Format::Date),
            Optional,
            "When `mode: observe` ends: a date (its end, UTC) or a time.",
            "2027-01-31",
        ),
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
                most: 24 * 3600,
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
