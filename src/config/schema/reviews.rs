//! `verify` of an issuer.

use super::Need::{Default, Optional, Required};
use super::common::{FILE, FILE_NAME, FLAG, HOUR, VISIBLE, WEB_URL};
use super::{Block, CLIENT_AUTHENTICATION, Format, Key, Shape};

const MAX_CACHE: Key = Key::new(
    "max_cache",
    &Shape::Text(Format::Duration {
        least: 0,
        most: HOUR,
    }),
    Default("10s"),
    "For how long an answer counts, from when it was asked for; never longer than the token lives. A token that was revoked is refused within it, or within `timeout` where that is longer. `0s` asks for every request. A refusal counts for 5s.",
    "30s",
);

const TIMEOUT: Key = Key::new(
    "timeout",
    &Shape::Text(Format::Duration {
        least: 100,
        most: 60,
    }),
    Default("2s"),
    "Limit of one question, and of waiting for its answer; then 503.",
    "2s",
);

/// `verify`.
pub(crate) static VERIFY: Block = Block {
    name: "verify",
    doc: "Who is asked about tokens: exactly one of these. While nobody answers, tokens that no answer counts for meet 503.",
    keys: &[
        Key::new(
            "token_review",
            &Shape::Block(&TOKEN_REVIEW),
            Optional,
            "The API server of the cluster whose ServiceAccounts call (`kubernetes: true`). It sees that a pod, a ServiceAccount or a Secret that a token was bound to is gone.",
            "{}",
        ),
        Key::new(
            "introspection",
            &Shape::Block(&INTROSPECTION),
            Optional,
            "The authorization server (RFC 7662), for tokens that are no JWTs, and for JWTs whose revocation must be seen.",
            "{discover: true, client_id: usage-api, client_authentication: {client_secret_basic: {file: /run/secrets/usage-api}}}",
        ),
    ],
};

/// `token_review`.
pub(crate) static TOKEN_REVIEW: Block = Block {
    name: "token_review",
    doc: "TokenReview of authentication.k8s.io/v1, for the issuer's `audiences`. Our own ServiceAccount needs the ClusterRole system:auth-delegator.",
    keys: &[
        Key::new(
            "server",
            &WEB_URL,
            Default("https://kubernetes.default.svc"),
            "The API server. Plain http is for loopback alone.",
            "https://10.0.0.1:6443",
        ),
        Key::new(
            "ca",
            &FILE,
            Optional,
            "PEM CA certificates of the API server. When absent /var/run/secrets/kubernetes.io/serviceaccount/ca.crt, read when it is needed.",
            "{file: /run/countersign/cluster/ca.crt}",
        ),
        Key::new(
            "token",
            &Shape::Block(&OWN_TOKEN),
            Optional,
            "Our own token. When absent /var/run/secrets/kubernetes.io/serviceaccount/token.",
            "{file: /run/countersign/cluster/token}",
        ),
        MAX_CACHE,
        TIMEOUT,
    ],
};

/// `token` of `token_review`.
pub(crate) static OWN_TOKEN: Block = Block {
    name: "own_token",
    doc: "A ServiceAccount token in a file. It is read for every question and kept no longer.",
    keys: &[Key::new(
        "file",
        &FILE_NAME,
        Required,
        "Path of the file.",
        "/run/countersign/cluster/token",
    )],
};

/// `introspection`.
pub(crate) static INTROSPECTION: Block = Block {
    name: "introspection",
    doc: "Token introspection (RFC 7662). One of `discover` and `url` says where. Plain http is for loopback alone.",
    keys: &[
        Key::new(
            "discover",
            &FLAG,
            Optional,
            "`true`: OIDC discovery or RFC 8414 from the issuer's URL names the endpoint; the document's `issuer` must equal ours byte for byte.",
            "true",
        ),
        Key::new(
            "url",
            &WEB_URL,
            Optional,
            "The introspection endpoint itself.",
            "https://id.example.org/introspect",
        ),
        Key::new(
            "client_id",
            &VISIBLE,
            Optional,
            "The name by which the authorization server knows us. Required, except with `client_assertion`, whose subject may say it alone.",
            "usage-api",
        ),
        Key::new(
            "client_authentication",
            &Shape::Block(&CLIENT_AUTHENTICATION),
            Required,
            "How we show that we are that client, as with `credentials`. An assertion of ours is for the issuer.",
            "{client_secret_basic: {file: /run/secrets/usage-api}}",
        ),
        Key::new(
            "opaque",
            &FLAG,
            Default("true"),
            "Whether tokens that are no JWTs are this issuer's: they say nothing of their own, so one issuer at most takes them. JWTs are found by their `iss`.",
            "false",
        ),
        MAX_CACHE,
        TIMEOUT,
        Key::new(
            "ca",
            &FILE,
            Optional,
            "PEM CA certificates of the authorization server; the platform's when absent.",
            "{file: /tls/idp-ca.crt}",
        ),
    ],
};
