//! An authorization server is asked (RFC 7662): a scripted one for what it may say, a certified one for what it does.

mod provider;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{
    Bed, Captured, Request, Setup, Upstream, Variant, assert_forwarded, assert_refused, reconcile,
    secrets,
};

const SECRET: &str = "s3cret of: the+proxy";

/// An endpoint that says what it is told to.
struct Endpoint {
    says: Arc<Mutex<(u16, String)>>,
    server: Upstream,
}

impl Endpoint {
    fn start() -> Self {
        secrets::learn("the proxy's own secret", SECRET);
        let says = Arc::new(Mutex::new((200, r#"{"active": false}"#.to_owned())));
        let of_server = Arc::clone(&says);
        let server = Upstream::scripted(move |exchange| {
            exchange.body()?;
            let host = exchange.request.header("host").unwrap_or_default();
            let issuer = format!("http://{host}");
            let (status, body) = if exchange.request.target.contains("/.well-known/") {
                let document = json!({"issuer": issuer, "introspection_endpoint": format!("{issuer}/introspect")});
                (200, document.to_string())
            } else {
                of_server
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone()
            };
            exchange.answer(
                status,
                "content-type: application/json;charset=UTF-8\r\n",
                body.as_bytes(),
            )
        });
        Self { says, server }
    }

    fn says(&self, status: u16, body: impl ToString) {
        *self.says.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_string());
    }

    /// Questions so far.
    fn questions(&self) -> Vec<Captured> {
        let mut all = self.server.requests();
        all.retain(|request| request.method == "POST");
        all
    }

    fn bed(&self, more: &str) -> Bed {
        let config = CONFIG
            .replace("@SERVER@", &self.server.url())
            .replace("@MORE@", more);
        Setup::bare(&config).file("secret", SECRET).start()
    }
}

const CONFIG: &str = r#"
issuers:
  - name: server
    issuer: "@SERVER@"
    verify:
      introspection:
        discover: true
        client_id: "usage:api"
        client_authentication: {client_secret_basic: {file: "@DIR@/secret"}}
    audiences: [api]
    @MORE@
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes, x-auth-issuer: issuer}
callers:
  robot: {issuer: server, scopes: [read]}
routes:
  - {path: /health, allow: anyone}
  - {path: /x, allow: robot}
  - {path: /projects, allow: opaque, authorization: forward}
"#;

fn x(token: &str) -> Request {
    Request::get("/x").bearer(token)
}

fn good() -> Value {
    json!({"active": true, "sub": "robot", "client_id": "agent", "scope": "read write", "aud": "api", "token_type": "Bearer"})
}

#[test]
fn introspection_asks_as_rfc_7662_says_and_passes_on_what_it_learns() {
    let endpoint = Endpoint::start();
    let bed = endpoint.bed("");
    endpoint.says(200, good());
    let seen = assert_forwarded(&bed, Variant::PLAIN, &x("mF_9.B5f-4.1JqM~/+="));
    assert_eq!(seen.header("x-auth-subject"), Some("robot"));
    assert_eq!(seen.header("x-auth-client"), Some("agent"));
    assert_eq!(seen.header("x-auth-scopes"), Some("read write"));
    assert_eq!(seen.header("authorization"), None);
    let [question]: [Captured; 1] = endpoint.questions().try_into().expect("one question");
    assert_eq!(question.target, "/introspect");
    assert_eq!(
        String::from_utf8_lossy(&question.body),
        "token=mF_9.B5f-4.1JqM%7E%2F%2B%3D&token_type_hint=access_token"
    );
    assert_eq!(
        question.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(question.header("accept"), Some("application/json"));
    // RFC 6749 section 2.3.1: both are encoded before they are joined.
    use base64::Engine;
    let basic =
        base64::engine::general_purpose::STANDARD.encode("usage%3Aapi:s3cret+of%3A+the%2Bproxy");
    assert_eq!(
        question.header("authorization"),
        Some(format!("Basic {basic}").as_str())
    );
    reconcile(&bed);
}

#[test]
fn introspection_what_is_said_is_held_to_the_issuers_settings() {
    let endpoint = Endpoint::start();
    let bed = endpoint.bed("");
    let now = bed.clock.now().unix.as_secs();
    let with = |more: Value| {
        let mut said = good();
        for (name, value) in more.as_object().expect("members") {
            if value.is_null() {
                said.as_object_mut().expect("members").remove(name);
            } else {
                said[name] = value.clone();
            }
        }
        said.to_string()
    };
    let inactive = Some((401, "token_inactive"));
    let unavailable = Some((503, "review_unavailable"));
    for (id, (said, refusal)) in [
        (with(json!({})), None),
        (with(json!({"exp": now + 60, "iat": now, "nbf": now})), None),
        (with(json!({"iss": endpoint.server.url()})), None),
        (r#"{"active":false}"#.to_owned(), inactive),
        (with(json!({"active": false})), inactive),
        (with(json!({"active": "true"})), unavailable),
        (with(json!({"active": 1})), unavailable),
        (with(json!({"active": null})), unavailable),
        (format!("[{}]", good()), unavailable),
        (
            good().to_string().replacen('{', "{\"sub\":\"admin\",", 1),
            unavailable,
        ),
        (
            with(json!({"iss": "https://other.example.org"})),
            Some((401, "token_issuer")),
        ),
        (with(json!({"aud": "other"})), Some((401, "token_audience"))),
        (with(json!({"aud": null})), Some((401, "token_audience"))),
        (with(json!({"exp": now - 31})), Some((401, "token_expired"))),
        (with(json!({"exp": "tomorrow"})), Some((401, "token_claim"))),
        (
            with(json!({"nbf": now + 31})),
            Some((401, "token_not_yet_valid")),
        ),
        (with(json!({"sub": null})), Some((401, "token_claim"))),
        (
            with(json!({"scope": "readwrite"})),
            Some((403, "scope_missing")),
        ),
        (with(json!({"scope": null})), Some((403, "scope_missing"))),
        (
            with(json!({"token_type": "refresh_token"})),
            Some((401, "token_type")),
        ),
        (
            with(json!({"token_type": "DPoP"})),
            Some((401, "token_confirmation")),
        ),
        (
            with(json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})),
            Some((401, "token_bound")),
        ),
        (
            with(json!({"cnf": {"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})),
            Some((401, "token_certificate")),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        endpoint.says(200, &said);
        let request = x(&format!("opaque-{id}"));
        match refusal {
            None => drop(assert_forwarded(&bed, Variant::PLAIN, &request)),
            Some((status, reason)) => {
                drop(assert_refused(
                    &bed,
                    Variant::PLAIN,
                    &request,
                    status,
                    reason,
                ));
            }
        }
    }
    reconcile(&bed);
}

/// A refusal of ourselves is about us, not about the token.
#[test]
fn introspection_our_own_secret_being_refused_is_503() {
    let endpoint = Endpoint::start();
    let bed = endpoint.bed("");
    for (id, status, body, error) in [
        (
            1,
            401,
            json!({"error": "invalid_client"}),
            "status 401, invalid_client",
        ),
        (
            2,
            400,
            json!({"error": "invalid_client"}),
            "status 400, invalid_client",
        ),
        (
            3,
            403,
            json!({}),
            "our own credentials are refused: status 403",
        ),
        (4, 400, json!({"error": "invalid_request"}), "status 400"),
        (5, 500, json!({"active": true}), "status 500"),
        (6, 201, good(), "status 201"),
    ] {
        endpoint.says(status, body);
        assert_refused(
            &bed,
            Variant::PLAIN,
            &x(&format!("opaque-{id}")),
            503,
            "review_unavailable",
        );
        let told = super::cluster::review(&bed);
        let last = told["last_error"].as_str().unwrap_or_default();
        assert!(last.contains(error), "{status}: {last}");
    }
    endpoint.says(200, good());
    assert_forwarded(&bed, Variant::PLAIN, &x("opaque-7"));
    reconcile(&bed);
}

#[test]
fn introspection_an_answer_counts_for_its_bound_and_for_as_long_as_the_token_lives() {
    let endpoint = Endpoint::start();
    let bed = endpoint.bed("leeway: 0s");
    let now = bed.clock.now().unix.as_secs();
    endpoint.says(200, good());
    assert_forwarded(&bed, Variant::PLAIN, &x("endless"));
    let mut short = good();
    short["exp"] = json!(now + 4);
    endpoint.says(200, &short);
    assert_forwarded(&bed, Variant::PLAIN, &x("short"));
    endpoint.says(200, json!({"active": false}));
    bed.clock.advance(Duration::from_secs(3));
    for token in ["endless", "short"] {
        assert_forwarded(&bed, Variant::PLAIN, &x(token));
    }
    bed.clock.advance(Duration::from_secs(1));
    assert_forwarded(&bed, Variant::PLAIN, &x("endless"));
    // Whether the answer is the old one or a new one: it is over.
    assert_refused(
        &bed,
        Variant::PLAIN,
        &x("short"),
        401,
        "token_expired|token_inactive",
    );
    bed.clock.advance(Duration::from_secs(5));
    assert_forwarded(&bed, Variant::PLAIN, &x("endless"));
    bed.clock.advance(Duration::from_secs(1));
    assert_refused(&bed, Variant::PLAIN, &x("endless"), 401, "token_inactive");
    reconcile(&bed);
}

/// Tokens go to nobody but whom they are for.
#[test]
fn invariant_48_introspection_is_shown_no_token_of_another_issuer_and_none_that_passes_untouched() {
    let endpoint = Endpoint::start();
    let bed = endpoint.bed("");
    endpoint.says(200, good());
    let token = bed.token().sign();
    assert_refused(&bed, Variant::PLAIN, &x(&token), 401, "token_issuer");
    assert_refused(
        &bed,
        Variant::PLAIN,
        &x("eyJhbGciOiJub25lIn0"),
        401,
        "token_malformed",
    );
    assert_refused(
        &bed,
        Variant::PLAIN,
        &x("not a token"),
        401,
        "token_malformed",
    );
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/projects").bearer("project-token"),
    );
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/health").bearer("project-token"),
    );
    assert_eq!(endpoint.questions().len(), 0);
    assert_forwarded(&bed, Variant::PLAIN, &x("project-token"));
    assert_eq!(endpoint.questions().len(), 1);
    reconcile(&bed);
}

/// Metadata that name a place beyond this machine over plain http are not followed there.
#[test]
fn invariant_45_introspection_is_not_led_to_plain_http() {
    let endpoint = Upstream::scripted(|exchange| {
        let host = exchange.request.header("host").unwrap_or_default();
        let document = json!({"issuer": format!("http://{host}"), "introspection_endpoint": "http://id.example.org/introspect"});
        exchange.answer(
            200,
            "content-type: application/json\r\n",
            document.to_string().as_bytes(),
        )
    });
    let config = CONFIG
        .replace("@SERVER@", &endpoint.url())
        .replace("@MORE@", "");
    let bed = Setup::bare(&config).file("secret", SECRET).start();
    assert_refused(
        &bed,
        Variant::PLAIN,
        &x("opaque"),
        503,
        "review_unavailable",
    );
    let told = super::cluster::review(&bed);
    assert!(
        told["last_error"]
            .as_str()
            .unwrap_or_default()
            .starts_with("url: plain http"),
        "{told}"
    );
}

/// An opaque token that its issuer says is bound to a key passes with a proof of that key, and not without one.
#[test]
fn introspection_of_a_bound_token_asks_for_its_proof() {
    use crate::bed::keys::{ES256_1, RSA_1};
    use crate::pairing::proofs::{fresh, hash, public, thumbprint};

    let endpoint = Endpoint::start();
    let config = CONFIG
        .replace("@SERVER@", &endpoint.server.url())
        .replace("@MORE@", "dpop: accept");
    let bed = Setup::bare(&config)
        .inbound("external_url: https://api.example.org")
        .file("secret", SECRET)
        .start();
    let mut bound = good();
    bound["token_type"] = json!("DPoP");
    bound["cnf"] = json!({"jkt": thumbprint(&ES256_1)});
    endpoint.says(200, &bound);
    let now = bed.clock.now().unix.as_secs();
    let token = "opaque-and-bound";
    let proven = |key: &'static crate::bed::Key, scheme: &str| {
        let proof = crate::bed::Token::new("", key, now)
            .raw_header(json!({"typ": "dpop+jwt", "alg": key.alg, "jwk": public(key)}).to_string())
            .raw_payload(
                json!({"jti": fresh(), "htm": "GET", "htu": "https://api.example.org/x", "iat": now, "ath": hash(token)})
                    .to_string(),
            )
            .sign();
        Request::get("/x")
            .header("authorization", &format!("{scheme} {token}"))
            .header("dpop", &proof)
    };
    assert_forwarded(&bed, Variant::PLAIN, &proven(&ES256_1, "DPoP"));
    assert_forwarded(&bed, Variant::PLAIN, &proven(&ES256_1, "DPoP"));
    assert_refused(
        &bed,
        Variant::PLAIN,
        &proven(&RSA_1, "DPoP"),
        401,
        "dpop_binding",
    );
    assert_refused(
        &bed,
        Variant::PLAIN,
        &proven(&ES256_1, "Bearer"),
        401,
        "token_bound",
    );
    assert_refused(&bed, Variant::PLAIN, &x(token), 401, "token_bound");
    assert_eq!(endpoint.questions().len(), 1);
    reconcile(&bed);
}
