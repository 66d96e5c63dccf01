//! `credentials`.

use super::Need::{Default, Optional, Required};
use super::common::{FILE, FILE_NAME, FLAG, HOUR, VISIBLE, WEB_URL};
use super::{Block, Format, Key, Shape};

/// One of `credentials`.
pub(crate) static CREDENTIAL: Block = Block {
    name: "credential",
    doc: "An access token that is obtained for callers (OAuth 2.0 client_credentials), kept fresh in the background, and attached by the `outbound` listeners that name it. `countersign token --credential NAME` tries it.",
    keys: &[
        Key::new(
            "token_endpoint",
            &Shape::Block(&TOKEN_ENDPOINT),
            Required,
            "Where tokens come from.",
            "{discover: https://keycloak.example.org/realms/dls}",
        ),
        Key::new(
            "client_id",
            &VISIBLE,
            Optional,
            "The name by which the authorization server knows us. Required, except with `client_assertion`, whose subject may say it alone.",
            "SmartEM_Agent",
        ),
        Key::new(
            "client_authentication",
            &Shape::Block(&CLIENT_AUTHENTICATION),
            Required,
            "How we show that we are that client.",
            "{client_secret_basic: {file: /run/secrets/agent}}",
        ),
        Key::new(
            "scopes",
            &Shape::List(&Shape::Text(Format::Scope)),
            Optional,
            "The scopes to ask for. When absent the server decides.",
            "[usage.read]",
        ),
        Key::new(
            "audience",
            &VISIBLE,
            Optional,
            "`audience` of the token request, which some servers understand (Auth0, Keycloak's token exchange).",
            "https://usage.example.org",
        ),
        Key::new(
            "resource",
            &Shape::Either(&[
                Shape::Text(Format::Visible),
                Shape::List(&Shape::Text(Format::Visible)),
            ]),
            Optional,
            "`resource` of the token request (RFC 8707): absolute URIs of what the token is for.",
            "https://usage.example.org",
        ),
        Key::new(
            "dpop",
            &Shape::Block(&CREDENTIAL_DPOP),
            Optional,
            "Asks for tokens that are bound to a key of ours, and proves with every request that we hold it (DPoP, RFC 9449). Bearer tokens when absent.",
            "{algorithm: ES256}",
        ),
        Key::new(
            "refresh_before",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: HOUR,
            }),
            Default("30s"),
            "How long before its end a token is replaced; a token that lives shortly is replaced in the last fifth of its life.",
            "30s",
        ),
        Key::new(
            "cooldown",
            &Shape::Text(Format::Duration {
                least: 1000,
                most: HOUR,
            }),
            Default("30s"),
            "Least time between two token requests that an upstream's 401 asks for, successful or not.",
            "30s",
        ),
        Key::new(
            "timeout",
            &Shape::Text(Format::Duration {
                least: 100,
                most: 60,
            }),
            Default("5s"),
            "Limit of one token request, discovery included.",
            "5s",
        ),
        Key::new(
            "ca",
            &FILE,
            Optional,
            "PEM CA certificates of the authorization server; the platform's when absent.",
            "{file: /tls/idp-ca.crt}",
        ),
        Key::new(
            "allow_http",
            &FLAG,
            Default("false"),
            "Allows a plain http token endpoint. Whoever listens on the way can then read secrets and tokens.",
            "true",
        ),
    ],
};

/// `token_endpoint`.
pub(crate) static TOKEN_ENDPOINT: Block = Block {
    name: "token_endpoint",
    doc: "Where tokens come from: exactly one of `discover`, `url` and `pair`.",
    keys: &[
        Key::new(
            "discover",
            &WEB_URL,
            Optional,
            "The issuer: OIDC discovery or RFC 8414; the document's `issuer` must equal this byte for byte.",
            "https://keycloak.example.org/realms/dls",
        ),
        Key::new(
            "url",
            &WEB_URL,
            Optional,
            "The token endpoint itself.",
            "https://id.example.org/oauth/token",
        ),
        Key::new(
            "pair",
            &WEB_URL,
            Optional,
            "The resource that tokens are for, by its identifier: its metadata (RFC 9728), which an inbound listener serves with `resource_metadata`, names the issuer. Where `scopes` and `resource` are absent, they are what it says, too.",
            "https://smartem.example.org",
        ),
        Key::new(
            "issuers",
            &Shape::List(&WEB_URL),
            Optional,
            "With `pair`: the issuers that the resource may name; no other gets to know us.",
            "[https://keycloak.example.org/realms/dls]",
        ),
    ],
};

/// `dpop` of a credential.
pub(crate) static CREDENTIAL_DPOP: Block = Block {
    name: "credential_dpop",
    doc: "The key that tokens are bound to.",
    keys: &[
        Key::new(
            "algorithm",
            &Shape::Words(&["ES256", "EdDSA"]),
            Default("ES256"),
            "What signs proofs.",
            "EdDSA",
        ),
        Key::new(
            "key",
            &Shape::Block(&CLIENT_SECRET),
            Optional,
            "The private key in PEM: P-256 for ES256, Ed25519 for EdDSA. When absent one is generated at start and never leaves the process.",
            "{file: /run/secrets/dpop.pem}",
        ),
    ],
};

/// `client_authentication`.
pub(crate) static CLIENT_AUTHENTICATION: Block = Block {
    name: "client_authentication",
    doc: "How a client shows who it is: exactly one of these.",
    keys: &[
        Key::new(
            "client_secret_basic",
            &Shape::Block(&CLIENT_SECRET),
            Optional,
            "A secret, as HTTP Basic; id and secret are form-encoded first (RFC 6749 section 2.3.1).",
            "{file: /run/secrets/agent}",
        ),
        Key::new(
            "client_secret_post",
            &Shape::Block(&CLIENT_SECRET),
            Optional,
            "A secret, in the form.",
            "{secret: \"${AGENT_SECRET}\"}",
        ),
        Key::new(
            "private_key_jwt",
            &Shape::Block(&PRIVATE_KEY_JWT),
            Optional,
            "A JWT that we sign for every token request (RFC 7523): valid for a minute, never sent twice.",
            "{key: {file: /run/secrets/agent.pem}, kid: agent-1}",
        ),
        Key::new(
            "client_assertion",
            &Shape::Block(&CLIENT_ASSERTION),
            Optional,
            "A JWT that somebody else keeps fresh in a file, such as a projected Kubernetes ServiceAccount token (RFC 7523).",
            "{file: /var/run/secrets/tokens/idp}",
        ),
        Key::new(
            "tls_client_auth",
            &Shape::Block(&TLS_CLIENT_AUTH),
            Optional,
            "A certificate shown to the token endpoint (RFC 8705).",
            "{certificate: {file: /tls/agent.crt}, key: {file: /tls/agent.key}}",
        ),
    ],
};

/// A secret of a client.
pub(crate) static CLIENT_SECRET: Block = Block {
    name: "client_secret",
    doc: "A client's secret or private key: exactly one of `file` and `secret`. One line end at the end of a secret is not part of it.",
    keys: &[
        Key::new(
            "file",
            &FILE_NAME,
            Optional,
            "The file; watched, and rotated without a restart.",
            "/run/secrets/agent",
        ),
        Key::new(
            "secret",
            &Shape::Text(Format::Secret),
            Optional,
            "The secret from the environment or another file; it is never written into the document.",
            "${AGENT_SECRET}",
        ),
    ],
};

/// `private_key_jwt`.
pub(crate) static PRIVATE_KEY_JWT: Block = Block {
    name: "private_key_jwt",
    doc: "A private key whose public half is registered at the authorization server.",
    keys: &[
        Key::new(
            "key",
            &Shape::Block(&CLIENT_SECRET),
            Required,
            "The private key in PEM: P-256, Ed25519, or RSA of at least 2048 bits.",
            "{file: /run/secrets/agent.pem}",
        ),
        Key::new(
            "algorithm",
            &Shape::Words(&["RS256", "PS256", "ES256", "EdDSA"]),
            Optional,
            "What signs; follows from the key when absent (RSA: PS256).",
            "ES256",
        ),
        Key::new(
            "kid",
            &VISIBLE,
            Optional,
            "The key's name at the server. None is sent when absent.",
            "agent-1",
        ),
        Key::new(
            "audience",
            &VISIBLE,
            Optional,
            "`aud` of the JWT. When absent the issuer where it is discovered (RFC 9700), else the token endpoint.",
            "https://keycloak.example.org/realms/dls",
        ),
    ],
};

/// `client_assertion`.
pub(crate) static CLIENT_ASSERTION: Block = Block {
    name: "client_assertion",
    doc: "A JWT in a file. It is read for every token request and kept no longer.",
    keys: &[Key::new(
        "file",
        &FILE_NAME,
        Required,
        "Path of the file.",
        "/var/run/secrets/tokens/idp",
    )],
};

/// `tls_client_auth`.
pub(crate) static TLS_CLIENT_AUTH: Block = Block {
    name: "tls_client_auth",
    doc: "A certificate with its key, shown to the token endpoint.",
    keys: &[
        Key::new(
            "certificate",
            &FILE,
            Required,
            "PEM certificate chain.",
            "{file: /tls/agent.crt}",
        ),
        Key::new(
            "key",
            &FILE,
            Required,
            "PEM private key.",
            "{file: /tls/agent.key}",
        ),
    ],
};
