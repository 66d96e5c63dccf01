//! The places where a secret can be, with the canary that sits in each.

use crate::bed::Next;
use crate::bed::secrets::learn;
use crate::bed::upstream::Exchange;

pub const HMAC_SECRET: &str = "canary-of-the-identity-hmac-secret-0123456789";
pub const ENV_SECRET: &str = "canary-of-a-jwks-url-from-the-environment";
pub const FILE_SECRET: &str = "canary-of-a-jwks-url-from-a-file-4711";
pub const PRIVATE_JWK: &str = "Y2FuYXJ5LW9mLWEtcHJpdmF0ZS1tZW1iZXItb2YtYS1qd2s";
pub const COMMON_NAME: &str = "canary common name of a client certificate";
pub const LEGACY: &str = "legacy:canary-password-of-basic-0815";

/// Text canaries in requests: a word each where it stands, all learnt by these names.
pub const FIELDS: [(&str, &str); 14] = [
    ("cookie", "session=canary-of-a-cookie-e5bb1c; theme=dark"),
    ("proxy-authorization", "Basic canary-of-proxy-authorization"),
    ("x-api-key", "canary-of-an-api-key-77aa90"),
    (
        "x-forwarded-authorization",
        "Bearer canary-of-a-forwarded-token",
    ),
    ("x-amz-security-token", "canary-of-a-cloud-token-30fd1e"),
    ("x-csrf-token", "canary-of-a-csrf-token-9b8d22"),
    ("x-auth-email", "canary-of-a-forged-identity@example.org"),
    (
        "referer",
        "https://example.org/?token=canary-of-a-referer-11",
    ),
    (
        "user-agent",
        "canary-of-a-user-agent/1.0 (token=8f14e45fceea)",
    ),
    ("dpop", "canary-of-a-dpop-proof-5d41402abc4b"),
    ("x_auth_token", "canary-of-an-underscore-field-7d79"),
    ("x-request-id", "canary-of-a-request-id-with-spaces 5a"),
    ("traceparent", "00-canaryofatraceparent-00f067aa0ba902b7-01"),
    ("forwarded", "for=canary-of-a-forwarded-field;secret=99"),
];

/// Query parameters that carry credentials.
pub const QUERIES: [&str; 8] = [
    "access_token=canary-of-an-access-token-in-a-query",
    "token=canary-of-a-token-in-a-query-1234",
    "password=canary-of-a-password-in-a-query",
    "api_key=canary-of-an-api-key-in-a-query",
    "X-Amz-Signature=canary-of-a-signed-url-aabbcc",
    "client_secret=canary%2dof%2da%2dclient%2dsecret%2din%2da%2dquery",
    "code=canary-of-an-authorization-code-0f",
    "cl%69ent_secret=canary-under-an-escaped-name",
];

/// Bytes that are no good HTTP, each with a canary in it.
pub const BROKEN: [&str; 9] = [
    "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer canary-in-a-head-with-two-lengths\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\n authorization: Bearer canary-in-a-folded-line\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nauthorization : Bearer canary-before-a-colon\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer canary-in-a-value-with-nul\0\r\n\r\n",
    "GET / HTTP/9.9\r\nhost: a\r\nauthorization: Bearer canary-of-another-version\r\n\r\n",
    "canary-of-what-is-no-http-at-all\r\n\r\n",
    "POST /any HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;canary-in-a-chunk-extension\r\nabcde\r\nzz\r\n",
    "POST /any HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n0\r\nx: canary-in-a-trailer-field-77\r\n\r\n",
    "GET http://user:canary-of-a-userinfo@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
];

/// The upstream's answers hold secrets of their own; one breaks off after them.
pub fn answer(exchange: &mut Exchange<'_>) -> std::io::Result<Next> {
    if exchange.request.target == "/ws" {
        exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )?;
        return exchange.echo_raw();
    }
    if exchange.request.target == "/garbage" {
        exchange.write("HTTP/1.1 canary-of-a-status-line-that-is-none\r\n\r\n")?;
        return Ok(Next::Close);
    }
    exchange.body()?;
    if exchange.request.target == "/breaks" {
        exchange
            .write("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncanary-of-half-an-answer-5")?;
        return Ok(Next::Reset);
    }
    exchange.answer(
        200,
        "set-cookie: sid=canary-of-a-set-cookie-1a2b3c\r\nx-auth-subject: canary-of-a-reserved-answer-field\r\n",
        b"canary-of-a-body-of-an-answer",
    )
}

/// Teaches the bed all of them.
pub fn learn_all() {
    for (name, value) in FIELDS {
        learn(name, value);
    }
    for query in QUERIES {
        let (name, value) = query.split_once('=').expect("a value");
        learn(name, value);
        learn(name, value.replace("%2d", "-"));
    }
    for bytes in BROKEN {
        let canary = &bytes[bytes.find("canary").expect("a canary")..];
        learn(
            "a broken message",
            canary.split(['\r', '\0', '@']).next().expect("it"),
        );
    }
    for canary in [
        HMAC_SECRET,
        ENV_SECRET,
        FILE_SECRET,
        PRIVATE_JWK,
        COMMON_NAME,
        LEGACY,
        "canary-of-a-status-line-that-is-none",
        "canary-of-half-an-answer-5",
        "canary-of-a-set-cookie-1a2b3c",
        "canary-of-a-reserved-answer-field",
        "canary-of-a-body-of-an-answer",
        "canary-of-a-body-of-a-request",
        "canary-of-a-websocket-frame-88",
        "canary@claims.example.org",
        "canary of a claim that nobody reads",
        "canary-of-a-token-that-is-opaque-000",
    ] {
        learn(canary, canary);
    }
}
