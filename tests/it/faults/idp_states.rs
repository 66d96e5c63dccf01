//! An identity provider in every state that one can be in. Cold: protected routes get 503 with `Retry-After`, never 401,
//! and readiness is off. Warm: valid tokens pass on the keys that are held, and the failure is counted and told. Both
//! heal by themselves.

use std::time::Duration;

use serde_json::Value;

use crate::bed::idp::{self, Document, Idp, State, Then, answer};
use crate::bed::keys::{ES256_1, RSA_1};
use crate::bed::{
    Bed, Request, Setup, Variant, assert_forwarded, assert_refused, eventually, reconcile, tls,
};

const CONFIG: &str = r#"
issuers:
  - name: idp
    issuer: "@IDP@"
    jwks: {discover: true, ca: {file: "@CERTS@/ca.crt"}}
    audiences: [api]
callers: {web: {issuer: idp}}
routes: [{path: /open, allow: anyone}, {path: /closed, allow: web}]
"#;

/// How an attempt ends in this state.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// By itself.
    Soon,
    /// By the time limit, which the proxy's clock must reach.
    Late,
}

use Document::{Discovery, Jwks};
use Ends::{Late, Soon};

/// A state, how an attempt ends in it, and what the status says of it.
type Row = (&'static str, State, Ends, &'static str);

fn ok(of: Document, fields: &str, body: impl AsRef<[u8]>) -> State {
    State::Says(of, answer("200 OK", fields, body.as_ref()), Then::Close)
}

fn says(of: Document, head: &str, then: Then) -> State {
    State::Says(of, head.as_bytes().to_vec(), then)
}

fn status(of: Document, status: &str, fields: &str) -> State {
    State::Says(of, answer(status, fields, b"{\"error\":1}"), Then::Close)
}

/// Where nothing may ever be asked for.
const ELSEWHERE: &str = "/elsewhere";

fn connection_states() -> Vec<Row> {
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

fn answer_states() -> Vec<Row> {
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

/// The provider's own name, where a document says it.
fn named(state: State, idp: &Idp) -> State {
    let State::Says(of, bytes, then) = state else {
        return state;
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return State::Says(of, bytes, then);
    };
    let Some((_, body)) = text
        .split_once("\r\n\r\n")
        .filter(|(_, body)| body.contains("@SELF@"))
    else {
        return State::Says(of, bytes, then);
    };
    ok(of, "", body.replace("@SELF@", &idp.issuer()))
}

fn bed(idp: &Idp) -> Bed {
    Setup::bare(&CONFIG.replace("@IDP@", &idp.issuer())).start()
}

fn keys(bed: &Bed) -> Value {
    bed.proxy.admin_get("/status").expect(200).json()["issuers"][0].clone()
}

fn fetches(bed: &Bed, outcome: &str) -> u64 {
    let label = format!("outcome=\"{outcome}\"");
    bed.proxy.metric("countersign_key_fetches_total", &label) as u64
}

/// Waits for the end of an attempt that fails; `connections` is what the provider had seen before it.
fn fails(bed: &Bed, idp: &Idp, ends: Ends, connections: usize, failures: usize) {
    if ends == Late {
        // It is on its way; then its time passes, second by second.
        idp.await_connections(connections + 1);
        for _ in 0..5 {
            bed.clock.advance(Duration::from_secs(1));
            idp.tick();
        }
    }
    bed.proxy
        .await_issuer_events("jwks.refresh_failed", "idp", failures);
}

/// Lets the next scheduled attempt begin.
fn next_attempt(bed: &Bed) {
    let wait = keys(bed)["next_refresh_seconds"]
        .as_u64()
        .expect("a schedule");
    bed.clock.advance(Duration::from_secs(wait + 1));
}

fn run((name, state, ends, error): Row) {
    let idp = Idp::start(State::Serving);
    let state = named(state, &idp);
    idp.is(state.clone());
    let bed = bed(&idp);
    let valid = |bed: &Bed| {
        let now = bed.clock.now().unix.as_secs();
        Request::get("/closed").bearer(idp.token(&RSA_1, now).sign())
    };

    // Cold.
    fails(&bed, &idp, ends, 0, 1);
    let told = keys(&bed);
    let last_error = told["last_error"].as_str().unwrap_or_default();
    assert!(last_error.contains(error), "{name}: {last_error}");
    let refused = assert_refused(&bed, Variant::PLAIN, &valid(&bed), 503, "keys_unavailable");
    let retry: u64 = refused
        .header("retry-after")
        .expect(name)
        .parse()
        .expect(name);
    assert!((1..=60).contains(&retry), "{name}: {retry}");
    assert_eq!(refused.header("www-authenticate"), None, "{name}");
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/closed"),
        401,
        "no_token",
    );
    assert_forwarded(&bed, Variant::PLAIN, &Request::get("/open"));
    assert_eq!(bed.proxy.admin_get("/readyz").status, 503, "{name}");
    assert_eq!(bed.proxy.admin_get("/livez").status, 200, "{name}");
    assert_eq!(fetches(&bed, "failed"), 1, "{name}");

    // It heals by itself.
    idp.is(State::Serving);
    next_attempt(&bed);
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    assert_forwarded(&bed, Variant::PLAIN, &valid(&bed));
    assert_eq!(bed.proxy.admin_get("/readyz").status, 200, "{name}");
    assert_eq!(fetches(&bed, "ok"), 1, "{name}");

    // Warm. A discovery document is believed for an hour, so that its fault shows only then.
    let mut good = 1;
    if matches!(state, State::Says(Discovery, ..)) {
        for _ in 0..4 {
            good += 1;
            next_attempt(&bed);
            eventually(name, || fetches(&bed, "ok") == good);
        }
    }
    idp.publish(&[&ES256_1]);
    let before = idp.connections();
    idp.is(state);
    next_attempt(&bed);
    fails(&bed, &idp, ends, before, 2);
    assert_forwarded(&bed, Variant::PLAIN, &valid(&bed));
    assert_eq!(fetches(&bed, "failed"), 2, "{name}");
    let told = keys(&bed);
    assert_eq!(told["health"], "stale", "{name}: {told}");
    assert_eq!(
        told["kids"],
        serde_json::json!([RSA_1.kid]),
        "{name}: {told}"
    );
    assert_eq!(told["consecutive_failures"], 1, "{name}: {told}");
    let last_error = told["last_error"].as_str().unwrap_or_default();
    assert!(last_error.contains(error), "{name}: {last_error}");
    assert_eq!(
        bed.proxy.admin_get("/readyz").status,
        200,
        "{name}: it can judge tokens"
    );
    let now = bed.clock.now().unix.as_secs();
    let rotated = Request::get("/closed").bearer(idp.token(&ES256_1, now).sign());
    assert_refused(&bed, Variant::PLAIN, &rotated, 503, "keys_unavailable");

    // And again.
    idp.is(State::Serving);
    next_attempt(&bed);
    eventually(name, || fetches(&bed, "ok") == good + 1);
    assert_eq!(keys(&bed)["health"], "usable", "{name}");
    let now = bed.clock.now().unix.as_secs();
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/closed").bearer(idp.token(&ES256_1, now).sign()),
    );
    assert!(!idp.paths().contains(&ELSEWHERE.to_owned()), "{name}");
    reconcile(&bed);
}

#[test]
fn invariant_35_39_42_45_whatever_the_connection_to_the_issuer_does() {
    connection_states().into_iter().for_each(run);
}

#[test]
fn invariant_35_39_42_45_whatever_the_issuer_answers() {
    answer_states().into_iter().for_each(run);
}

/// OpenID Connect Discovery does not say that `jwks_uri` is of the issuer's origin, and large providers have it elsewhere:
/// it is followed, with the same certificate checks.
#[test]
fn invariant_45_keys_may_be_at_another_origin_that_the_issuer_names() {
    let keys = Idp::start(State::Serving);
    let idp = Idp::start(State::Serving);
    let document = serde_json::json!({
        "issuer": idp.issuer(), "jwks_uri": format!("{}/jwks", keys.issuer()),
    });
    idp.is(ok(Discovery, "", document.to_string()));
    let bed = bed(&idp);
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    let now = bed.clock.now().unix.as_secs();
    let request = Request::get("/closed").bearer(idp.token(&RSA_1, now).sign());
    assert_forwarded(&bed, Variant::PLAIN, &request);
    assert_eq!((keys.fetches(), idp.fetches()), (1, 0));
}

/// Some providers say `text/plain`: what counts is what the document is.
#[test]
fn invariant_42_a_wrong_content_type_spoils_no_good_document() {
    let idp = Idp::start(State::Serving);
    let good = serde_json::json!({"keys": [RSA_1.jwk()]}).to_string();
    idp.is(ok(Jwks, "content-type: text/html\r\n", good));
    let bed = bed(&idp);
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    let now = bed.clock.now().unix.as_secs();
    let request = Request::get("/closed").bearer(idp.token(&RSA_1, now).sign());
    assert_forwarded(&bed, Variant::PLAIN, &request);
}
