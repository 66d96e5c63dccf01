//! The keys of policy: callers and conditions.

use super::Need::{Default, Optional, Required};
use super::common::{ENFORCE, FLAG, NAME, UNTIL, VISIBLE};
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
        Key::new(
            "mode",
            &Shape::Words(&["enforce", "observe"]),
            Default("enforce"),
            "`observe` lets the caller's verified tokens pass whatever policy says of them, on every route, and records what it says; it needs `until`. What is refused before anybody is known (no route, method, path, token) is refused.",
            "observe",
        ),
        UNTIL,
        ENFORCE,
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
