//! `identity`.

use super::Need::{Default, Optional, Required};
use super::common::{DAY, FILE_NAME, HOUR, VISIBLE};
use super::{Block, Format, Key, Shape};

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
            "`iss` of the statement.",
            "countersign",
        ),
        Key::new(
            "audience",
            &VISIBLE,
            Required,
            "`aud` of the statement: the upstream that it is meant for.",
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
