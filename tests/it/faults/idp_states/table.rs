//! The states.

use crate::bed::idp::{self, Document, State, Then, answer};
use crate::bed::keys::RSA_1;
use crate::bed::tls;

/// How an attempt ends in this state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ends {
    /// By itself.
    Soon,
    /// By the time limit, which the proxy's clock must reach.
    Late,
}

use Document::{Discovery, Jwks};
use Ends::{Late, Soon};

/// A state, how an attempt ends in it, and what the status says of it.
pub(super) type Row = (&'static str, State, Ends, &'static str);

pub(super) fn ok(of: Document, fields: &str, body: impl AsRef<[u8]>) -> State {
    State::Says(of, answer("200 OK", fields, body.as_ref()), Then::Close)
}

fn says(of: Document, head: &str, then: Then) -> State {
    State::Says(of, head.as_bytes().to_vec(), then)
}

fn status(of: Document, status: &str, fields: &str) -> State {
    State::Says(of, answer(status, fields, b"{\"error\":1}"), Then::Close)
}

/// Where nothing may ever be asked for.
pub(super) const ELSEWHERE: &str = "/elsewhere";

pub(super) fn connection_states() -> Vec<Row> {
    let other_name = tls::identity(&["elsewhere.example"], &[]);
    vec![
        ("refuses", State::Refusing, Soon, "refused"),
        ("says nothing", State::Silent, Late, "timed out"),
        (
            "certificate expired",
            idp::presenting(&tls::expired()),
            Soon,
            "expired",
        ),
        (
            "certificate of another name",
            idp::presenting(&other_name),
            Soon,
            "not valid for",
        ),
        (
            "certificate of a stranger",
            idp::presenting(&tls::stranger()),
            Soon,
            "UnknownIssuer",
        ),
        (
            "http on the https port",
            State::Plain,
            Soon,
            "corrupt message",
        ),
        ("hangs", says(Jwks, "", Then::Hang), Late, "timed out"),
        (
            "hangs at discovery",
            says(Discovery, "", Then::Hang),
            Late,
            "timed out",
        ),
        ("resets", says(Jwks, "", Then::Reset), Soon, "connection: "),
        (
            "resets in the head",
            says(Jwks, "HTTP/1.1 200 O", Then::Reset),
            Soon,
            "connection: ",
        ),
        (
            "resets in the body",
            says(
                Jwks,
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"keys\":",
                Then::Reset,
            ),
            Soon,
            "connection: ",
        ),
        (
            "closes in the body",
            says(
                Jwks,
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"keys\":",
                Then::Close,
            ),
            Soon,
            "connection: ",
        ),
        (
            "stalls in the body",
            says(
                Jwks,
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"keys\":",
                Then::Hang,
            ),
            Late,
            "timed out",
        ),
        (
            "one byte at a time",
            says(
                Jwks,
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n",
                Then::Drip,
            ),
            Late,
            "timed out",
        ),
        (
            "a head without end",
            says(
                Jwks,
                "HTTP/1.1 200 OK\r\n",
                Then::Repeat(b"x-more: and more\r\n".repeat(64)),
            ),
            Soon,
            "connection: ",
        ),
        (
            "chunks without end",
            says(
                Jwks,
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                Then::Repeat([b"1000\r\n".to_vec(), vec![b' '; 0x1000], b"\r\n".to_vec()].concat()),
            ),
            Soon,
            "larger than 256 KiB",
        ),
    ]
}

pub(super) fn answer_states() -> Vec<Row> {
    let mut truncated = serde_json::json!({"keys": [RSA_1.jwk()]}).to_string();
    truncated.truncate(truncated.len() - 5);
    let good = serde_json::json!({"keys": [RSA_1.jwk()]}).to_string();
    let twice = serde_json::json!({"keys": [RSA_1.jwk(), RSA_1.jwk()]}).to_string();
    let oct = r#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"},{"kty":"RSA","kid":"b","n":"AQAB","e":"AQAB"}]}"#;
    let padded = format!("{good}{}", " ".repeat(10 << 20));
    let located = |place: &str| format!("location: {place}\r\n");
    let gzip = "content-encoding: gzip\r\n";
    vec![
        ("500", status(Jwks, "500 No", ""), Soon, "status 500"),
        ("404", status(Jwks, "404 No", ""), Soon, "status 404"),
        (
            "429",
            status(Jwks, "429 No", "retry-after: 86400\r\n"),
            Soon,
            "status 429",
        ),
        (
            "401",
            status(Jwks, "401 No", "www-authenticate: Basic\r\n"),
            Soon,
            "status 401",
        ),
        (
            "204",
            says(Jwks, "HTTP/1.1 204 Nothing\r\n\r\n", Then::Close),
            Soon,
            "status 204",
        ),
        (
            "206, a part of it",
            State::Says(Jwks, answer("206 Part", "", good.as_bytes()), Then::Close),
            Soon,
            "status 206",
        ),
        (
            "500 at discovery",
            status(Discovery, "500 No", ""),
            Soon,
            "status 500",
        ),
        (
            "404 at discovery",
            status(Discovery, "404 No", ""),
            Soon,
            "status 404",
        ),
        (
            "HTML with 200",
            ok(Jwks, "content-type: text/html\r\n", "<html>Sign in</html>"),
            Soon,
            "key set: ",
        ),
        (
            "HTML at discovery",
            ok(
                Discovery,
                "content-type: text/html\r\n",
                "<html>Sign in</html>",
            ),
            Soon,
            "discovery: ",
        ),
        ("nothing", ok(Jwks, "", ""), Soon, "key set: "),
        ("truncated", ok(Jwks, "", truncated), Soon, "key set: "),
        ("{}", ok(Jwks, "", "{}"), Soon, "key set: "),
        ("no keys", ok(Jwks, "", r#"{"keys":[]}"#), Soon, "key set: "),
        (
            "null keys",
            ok(Jwks, "", r#"{"keys":null}"#),
            Soon,
            "key set: ",
        ),
        ("a list", ok(Jwks, "", "[]"), Soon, "key set: "),
        ("only unusable keys", ok(Jwks, "", oct), Soon, "key set: "),
        ("one kid twice", ok(Jwks, "", twice), Soon, "key set: "),
        (
            "10 MiB, announced",
            ok(Jwks, "", padded.as_bytes()),
            Soon,
            "larger than 256 KiB",
        ),
        (
            "10 MiB, to the end of the connection",
            State::Says(
                Jwks,
                format!("HTTP/1.1 200 OK\r\n\r\n{padded}").into_bytes(),
                Then::Close,
            ),
            Soon,
            "larger than 256 KiB",
        ),
        (
            "10 MiB of discovery",
            ok(Discovery, "", padded.as_bytes()),
            Soon,
            "larger than 256 KiB",
        ),
        (
            "compressed, unasked",
            ok(Jwks, gzip, b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
            Soon,
            "compressed",
        ),
        (
            "compressed by name alone",
            ok(Jwks, gzip, &good),
            Soon,
            "compressed",
        ),
        (
            "redirect to itself",
            status(Jwks, "302 Go", &located("/jwks")),
            Soon,
            "redirects are not followed",
        ),
        (
            "redirect on this host",
            status(Jwks, "301 Go", &located(ELSEWHERE)),
            Soon,
            "redirects are not followed",
        ),
        (
            "redirect to another host",
            status(Jwks, "307 Go", &located("https://127.0.0.1:1/jwks")),
            Soon,
            "redirects are not followed",
        ),
        (
            "redirect to http",
            status(Jwks, "308 Go", &located("http://localhost:1/jwks")),
            Soon,
            "redirects are not followed",
        ),
        (
            "redirect of discovery",
            status(Discovery, "302 Go", &located(ELSEWHERE)),
            Soon,
            "redirects are not followed",
        ),
        (
            "another issuer in discovery",
            ok(
                Discovery,
                "",
                r#"{"issuer":"https://other.example","jwks_uri":"https://localhost/jwks"}"#,
            ),
            Soon,
            "`issuer` is not",
        ),
        (
            "discovery to http",
            ok(
                Discovery,
                "",
                r#"{"issuer":"@SELF@","jwks_uri":"http://localhost:1/jwks"}"#,
            ),
            Soon,
            "plain http",
        ),
        (
            "discovery to a file",
            ok(
                Discovery,
                "",
                r#"{"issuer":"@SELF@","jwks_uri":"file:///etc/passwd"}"#,
            ),
            Soon,
            "neither https nor http",
        ),
        (
            "discovery without a place",
            ok(Discovery, "", r#"{"issuer":"@SELF@"}"#),
            Soon,
            "no `jwks_uri`",
        ),
        (
            "discovery to a place of another origin that is not there",
            ok(
                Discovery,
                "",
                r#"{"issuer":"@SELF@","jwks_uri":"https://127.0.0.1:1/jwks"}"#,
            ),
            Soon,
            "refused",
        ),
    ]
}
