//! The keys of cases: one description, from which come the check of shapes and the table in `docs/policy.md`.

use crate::config::schema::Need::{Default, Optional, Required};
use crate::config::schema::{Block, Format, Key, Shape};

/// Decisions, and what people write for them.
pub(super) const DECISIONS: &[&str] = &["allowed", "denied", "errored"];

const ANY: Shape = Shape::Text(Format::Any);
const VISIBLE: Shape = Shape::Text(Format::Visible);
const NAME: Shape = Shape::Text(Format::Name);
const DATE: &Shape = &Shape::Text(Format::Date);
const OBJECT: &Shape = &Shape::Map {
    key: Format::Any,
    value: &Shape::Json,
};
const TEXTS: Shape = Shape::Either(&[VISIBLE, Shape::List(&VISIBLE)]);

const ISSUER: Key = Key::new(
    "issuer",
    &NAME,
    Optional,
    "The configured name of the issuer. It completes the claims with what its tokens have: `iss`, `aud`, `iat`, `exp`, and its other required claims. Without it, claims are taken as they are.",
    "dls",
);
const CLAIMS: Key = Key::new(
    "claims",
    OBJECT,
    Optional,
    "What the token says. It is taken for signed by its issuer; every other check is made.",
    "{azp: SmartEM_Agent}",
);

pub(super) static TOKEN: Block = Block {
    name: "token",
    doc: "A token: the token itself, or what it says.",
    keys: &[
        ISSUER,
        CLAIMS,
        Key::new(
            "header",
            OBJECT,
            Optional,
            "Members of the JOSE header instead of those that fit the issuer; `null` leaves one out.",
            "{typ: JWT, kid: another}",
        ),
        Key::new(
            "signature",
            &Shape::Words(&["good", "bad"]),
            Default("good"),
            "`bad`: it does not verify; whoever is asked about tokens says that it does not hold.",
            "bad",
        ),
        Key::new(
            "keys",
            &Shape::Words(&["held", "unavailable"]),
            Default("held"),
            "`unavailable`: as if no key of its issuer could be had, nor an answer of whoever is asked about tokens.",
            "unavailable",
        ),
        Key::new(
            "value",
            &ANY,
            Optional,
            "The token itself, to be verified. It is never shown.",
            "not-a-jwt",
        ),
        Key::new(
            "file",
            &Shape::Text(Format::File),
            Optional,
            "A file with the token itself, relative to the document.",
            "token.jwt",
        ),
        Key::new(
            "source",
            &Shape::Words(&["bearer", "dpop", "basic_password", "websocket_protocol"]),
            Default("bearer"),
            "Where it stands in the request. Under `dpop` claims are completed with the key of a holder, who makes a proof.",
            "basic_password",
        ),
        Key::new(
            "proof",
            &Shape::Block(&PROOF),
            Optional,
            "What is not usual about the proof that comes with the token under `source: dpop`.",
            "{claims: {htm: PUT}}",
        ),
    ],
};

pub(super) static PROOF: Block = Block {
    name: "proof",
    doc: "A proof of possession (RFC 9449), a good one save for what stands here.",
    keys: &[
        Key::new(
            "claims",
            OBJECT,
            Optional,
            "Claims of the proof instead of the usual ones; `null` leaves one out.",
            "{htm: PUT}",
        ),
        Key::new(
            "header",
            OBJECT,
            Optional,
            "Members of the proof's header instead of the usual ones; `null` leaves one out.",
            "{typ: JWT}",
        ),
        Key::new(
            "signature",
            &Shape::Words(&["good", "bad"]),
            Default("good"),
            "`bad`: the proof's signature does not verify.",
            "bad",
        ),
        Key::new(
            "key",
            &Shape::Words(&["own", "other"]),
            Default("own"),
            "`other`: made with another key than the token is bound to.",
            "other",
        ),
        Key::new(
            "count",
            &Shape::Number { least: 0, most: 2 },
            Default("1"),
            "How many `DPoP` fields there are.",
            "2",
        ),
    ],
};

const TOKEN_SHAPE: &Shape = &Shape::Either(&[ANY, Shape::Block(&TOKEN)]);

pub(super) static CERTIFICATE: Block = Block {
    name: "certificate",
    doc: "The names of a verified client certificate.",
    keys: &[
        Key::new("dns", &TEXTS, Optional, "DNS names.", "[agent.example.org]"),
        Key::new(
            "uri",
            &TEXTS,
            Optional,
            "URIs, SPIFFE ids among them.",
            "spiffe://example.org/agent",
        ),
        Key::new(
            "sha256",
            &VISIBLE,
            Optional,
            "SHA-256 of the certificate, hexadecimal.",
            "7d…",
        ),
    ],
};

pub(super) static REQUEST: Block = Block {
    name: "request",
    doc: "What is asked.",
    keys: &[
        Key::new("method", &VISIBLE, Default("GET"), "The method.", "POST"),
        Key::new(
            "path",
            &ANY,
            Required,
            "The request target, path and query, as it would be sent.",
            "/agent/a1/heartbeat",
        ),
        Key::new(
            "host",
            &ANY,
            Optional,
            "`Host`; `localhost` where it is left out.",
            "api.example.org",
        ),
        Key::new(
            "headers",
            &Shape::Map {
                key: Format::Any,
                value: &Shape::Either(&[ANY, Shape::List(&ANY)]),
            },
            Optional,
            "Further header fields; a list is a field for each of its values.",
            "{origin: https://app.example.org}",
        ),
        Key::new(
            "peer",
            &VISIBLE,
            Optional,
            "The address of the other end of the connection; 192.0.2.1, which is nobody's, where it is left out.",
            "10.0.0.7",
        ),
        Key::new(
            "listener",
            &NAME,
            Optional,
            "The listener that it comes to; the first where it is left out.",
            "inbound",
        ),
        Key::new(
            "protocol",
            &Shape::Words(&["HTTP/1.0", "HTTP/1.1", "HTTP/2"]),
            Default("HTTP/1.1"),
            "The version of HTTP.",
            "HTTP/2",
        ),
        Key::new(
            "body",
            &Shape::Number {
                least: 0,
                most: 1 << 40,
            },
            Optional,
            "The length of a body, in bytes.",
            "1024",
        ),
        Key::new(
            "client_certificate",
            &Shape::Block(&CERTIFICATE),
            Optional,
            "The names of a client certificate that the listener has verified.",
            "{dns: agent.example.org}",
        ),
    ],
};

pub(super) static EXPECT: Block = Block {
    name: "expect",
    doc: "What is expected; what is left out may be anything.",
    keys: &[
        Key::new(
            "decision",
            &Shape::Words(DECISIONS),
            Optional,
            "`allowed`, `denied` or `errored`, as the decision record has it.",
            "denied",
        ),
        Key::new(
            "status",
            &Shape::Number {
                least: 200,
                most: 599,
            },
            Optional,
            "The status of the answer, where it does not pass.",
            "403",
        ),
        Key::new(
            "reason",
            &VISIBLE,
            Optional,
            "Why it does not pass: a reason of the decision record.",
            "scope_missing",
        ),
        Key::new(
            "observed",
            &VISIBLE,
            Optional,
            "Why it would not pass, where its route only observes.",
            "no_token",
        ),
        Key::new(
            "route",
            &VISIBLE,
            Optional,
            "The name of the route that owns it.",
            "/agent/{agent}/**",
        ),
        Key::new(
            "caller",
            &Shape::Json,
            Optional,
            "The caller that it is recorded as; `null`: nobody that policy names.",
            "agent",
        ),
        Key::new(
            "identity",
            OBJECT,
            Optional,
            "Identity headers that the upstream gets; `null`: it does not get this one.",
            "{x-auth-client: SmartEM_Agent, x-auth-subject: null}",
        ),
        Key::new(
            "assertion",
            OBJECT,
            Optional,
            "Claims of the assertion that the upstream gets; `null`: it has no such claim.",
            "{client_id: SmartEM_Agent}",
        ),
    ],
};

/// A document that is one case.
pub(crate) static CASE: Block = Block {
    name: "case",
    doc: "One request, what it brings along, and what is expected of it.",
    keys: &[
        Key::new(
            "name",
            &VISIBLE,
            Optional,
            "What the case is about.",
            "an agent may write",
        ),
        Key::new(
            "request",
            &Shape::Either(&[ANY, Shape::Block(&REQUEST)]),
            Required,
            "What is asked: `METHOD TARGET`, or a mapping.",
            "GET /health",
        ),
        ISSUER,
        CLAIMS,
        Key::new(
            "token",
            TOKEN_SHAPE,
            Optional,
            "The token: a name of `tokens`, a mapping, or the token itself. Beside a name, `claims` take the place of single claims of it.",
            "agent",
        ),
        Key::new(
            "actor",
            TOKEN_SHAPE,
            Optional,
            "The second token, in the header that the route's `actor_token` names.",
            "{issuer: atlas, claims: {sub: robot}}",
        ),
        Key::new(
            "at",
            DATE,
            Optional,
            "When: 2026-12-31T12:00:00Z. Now where it is left out.",
            "2026-12-31T12:00:00Z",
        ),
        Key::new(
            "repeat",
            &Shape::Number {
                least: 1,
                most: 100_000,
            },
            Default("1"),
            "How often the request comes; the last time counts.",
            "11",
        ),
        Key::new(
            "expect",
            &Shape::Either(&[
                Shape::Words(DECISIONS),
                Shape::Number {
                    least: 200,
                    most: 599,
                },
                Shape::Block(&EXPECT),
            ]),
            Optional,
            "What is expected: a decision, a status, or a mapping.",
            "denied",
        ),
    ],
};

/// A document of cases.
pub(crate) static CASES: Block = Block {
    name: "cases",
    doc: "Cases, and what they share.",
    keys: &[
        Key::new(
            "config",
            &Shape::Text(Format::File),
            Optional,
            "The configuration that the cases are about, relative to the document; `--config` is stronger.",
            "smartem.yaml",
        ),
        Key::new(
            "at",
            DATE,
            Optional,
            "When, for the cases that do not say it.",
            "2026-12-31T12:00:00Z",
        ),
        Key::new(
            "tokens",
            &Shape::Map {
                key: Format::Name,
                value: &Shape::Block(&TOKEN),
            },
            Optional,
            "Tokens by name.",
            "{agent: {issuer: dls, claims: {azp: SmartEM_Agent}}}",
        ),
        Key::new(
            "cases",
            &Shape::List(&Shape::Block(&CASE)),
            Required,
            "The cases.",
            "[{request: GET /health, expect: allowed}]",
        ),
    ],
};
