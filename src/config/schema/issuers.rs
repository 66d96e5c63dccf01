//! `issuers`.

use super::Need::{Default, Optional, Required, Unless};
use super::common::{DAY, FILE, FILE_NAME, FLAG, HOUR, NAME, VISIBLE, VISIBLE_LIST, WEB_URL};
use super::reviews::VERIFY;
use super::{Block, Format, Key, Shape};

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
            Unless("verify"),
            "Where the public keys come from that tokens are verified with.",
            "{discover: true}",
        ),
        Key::new(
            "verify",
            &Shape::Block(&VERIFY),
            Optional,
            "Who is asked about tokens, instead of verifying them with keys: a cluster's API server, or an authorization server. What stands in `audiences`, `clients` and policy means the same either way.",
            "{token_review: {}}",
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
            "Claims that must be present. `exp` is always required, except with `verify`, where it is only if it is written here.",
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
            "Most `exp` − `iat`; `iat` is required then. When absent 24h with `kubernetes: true`, otherwise unbounded.",
            "1h",
        ),
        Key::new(
            "kubernetes",
            &FLAG,
            Default("false"),
            "A ServiceAccount issuer: `sub` and the `kubernetes.io` claims must be there and agree, and `audiences` must be named. A pod's deletion is not seen before `exp`, except by `verify: {token_review: …}`.",
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
            "scopes_supported",
            &Shape::List(&Shape::Text(Format::Scope)),
            Optional,
            "The scopes that its tokens can have, for `check` alone: it warns of conditions on others. What `scope_implies` makes of them is counted in.",
            "[\"account:usage:read\"]",
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
        Key::new(
            "dpop",
            &Shape::Either(&[
                Shape::Words(&["off", "accept", "require"]),
                Shape::Block(&DPOP),
            ]),
            Default("off"),
            "Tokens that are bound to a key of their holder (DPoP, RFC 9449): `accept` takes them with a proof, beside tokens that are bound to nothing; `require` takes nothing else; `off` refuses them. A bound token never passes as a plain bearer. Listeners then need `external_url`, or `resource_metadata`.",
            "require",
        ),
    ],
};

/// `dpop` where it needs more than a word.
pub(crate) static DPOP: Block = Block {
    name: "dpop",
    doc: "Which proofs are taken (RFC 9449). Each is taken once: used ones are remembered, by all workers, until they are too old.",
    keys: &[
        Key::new(
            "mode",
            &Shape::Words(&["accept", "require"]),
            Required,
            "As the short form.",
            "require",
        ),
        Key::new(
            "algorithms",
            &Shape::List(&VISIBLE),
            Default("ES256, ES384, EdDSA, Ed25519, RS256, PS256"),
            "Accepted signature algorithms of proofs; the names are those of `algorithms` of an issuer.",
            "[ES256]",
        ),
        Key::new(
            "lifetime",
            &Shape::Text(Format::Duration {
                least: 5000,
                most: 600,
            }),
            Default("60s"),
            "How long a proof is taken after its `iat`. One from the future is taken within the issuer's `leeway`.",
            "30s",
        ),
        Key::new(
            "nonce",
            &Shape::Words(&["none", "required"]),
            Default("none"),
            "Whether a proof must have a nonce of ours, which its client gets with a 401. It changes every two minutes, and is taken for two more; another process has others. Without one, what another replica or the process before a restart has taken can be taken once more within `lifetime`.",
            "required",
        ),
        Key::new(
            "proofs",
            &Shape::Number {
                least: 16,
                most: 16_777_216,
            },
            Default("262144"),
            "About how many used proofs are remembered at once, at some 60 bytes each; then 503 until the oldest have ended. Requests with proofs per second times `lifetime` is what is needed.",
            "100000",
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
