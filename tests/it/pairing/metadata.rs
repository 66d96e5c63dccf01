//! Protected-resource metadata (RFC 9728).

use serde_json::{Value, json};

use crate::bed::h2_client::H2Connection;
use crate::bed::verdict::Before;
use crate::bed::{
    Bed, Request, Response, Setup, Variant, assert_forwarded, assert_refused, exchanged, reconcile,
};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

const POLICY: &str = "
issuers:
  - {name: main, issuer: [@ISSUER@, 'https://main.example/'], jwks: {file: @DIR@/jwks.json}, audiences: [api]}
  - {name: unused, issuer: 'https://unused.example', jwks: {file: @DIR@/jwks.json}, audiences: [api]}
  - {name: named, issuer: 'urn:named', jwks: {file: @DIR@/jwks.json}, audiences: [api]}
  - {name: cluster, issuer: 'https://cluster.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], kubernetes: true}
callers:
  reader: {issuer: main, scopes: [read]}
  writer: {issuer: main, any_scope: [write, admin]}
routes:
  - {path: /health, allow: anyone}
  - {path: /read, allow: {GET: reader, POST: writer}}
  - {path: /token, allow: {issuer: named}}
  - {path: /robot, allow: {issuer: cluster}}
  - {path: /elsewhere, inbound: other, allow: {issuer: unused, scopes: [secret]}}
  - {path: /templated, answers: own, allow: reader}
  - {path: /**, allow: {issuer: main}}
answers:
  own: {resource_metadata: 'https://elsewhere.example/metadata'}
";

const OTHER: &str = "
workers: 1
admin: {listen: 127.0.0.1:0}
drain: {delay: 0s, deadline: 1s}
inbound:
  - name: plain
    listen: 127.0.0.1:0
    upstream: @UPSTREAM@
    resource_metadata: {resource: 'https://api.example.org/v1', resource_name: Usage, resource_documentation: 'https://docs.example.org/'}
    cors: {origins: ['https://app.example.org'], preflight: forward}
  - name: tls
    listen: 127.0.0.1:0
    upstream: @UPSTREAM@
    tls: {certificate: {file: \"@CERTS@/tls.crt\"}, key: {file: \"@CERTS@/tls.key\"}, client_ca: {file: \"@CERTS@/ca.crt\"}, client_certificate: optional}
    resource_metadata: {resource: 'https://api.example.org/', scopes_supported: false}
  - {name: other, listen: 127.0.0.1:0, upstream: @UPSTREAM@}
";

fn bed() -> Bed {
    Setup::bare(POLICY).head_only(OTHER).start()
}

fn plain() -> impl Iterator<Item = Variant> {
    let over_tls = |variant: &Variant| variant.protocol == crate::bed::verdict::Protocol::H2Tls;
    Variant::ALL
        .into_iter()
        .filter(move |variant| !over_tls(variant))
}

/// The record of an answer of ours.
#[track_caller]
fn record(bed: &Bed, response: &Response) -> Value {
    let id = response.header("x-request-id").expect("an id");
    bed.proxy.await_record(id)
}

#[test]
fn metadata_is_told_to_everybody_before_policy() {
    let bed = bed();
    let expected = json!({
        "resource": "https://api.example.org/v1",
        "authorization_servers": [bed.issuer.iss, "https://main.example/"],
        "scopes_supported": ["admin", "read", "write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Usage",
        "resource_documentation": "https://docs.example.org/",
    });
    let upstream = bed.upstream.mark();
    let requests = [
        Request::get(WELL_KNOWN),
        Request::get(&format!("{WELL_KNOWN}/v1")),
        Request::get(&format!("{WELL_KNOWN}?x=1")),
        // As in policy, a spelling that decodes alike is the same path.
        Request::get("/.well-known/oauth%2Dprotected-resource/%761"),
        // No token is looked at.
        Request::get(WELL_KNOWN).header("authorization", "Bearer not.a.token-at-all"),
        Request::get(WELL_KNOWN).host("anything.example"),
    ];
    for request in &requests {
        for variant in plain().filter(|variant| !variant.second) {
            let response = exchanged(&bed, variant, request).expect(200);
            assert_eq!(response.json(), expected, "{request:?}");
            assert_eq!(response.all("content-type"), ["application/json"]);
            assert_eq!(response.all("cache-control"), ["public, max-age=300"]);
            assert_eq!(response.all("www-authenticate"), [""; 0]);
            let record = record(&bed, &response);
            assert_eq!(record["decision"], "allowed");
            assert_eq!(
                (&record["status"], &record["method"]),
                (&json!(200), &json!("GET"))
            );
            let path = request.target.split('?').next().expect("a path");
            assert_eq!(record["path"], path);
            assert_eq!(
                record.get("route").or(record.get("principal")),
                None,
                "{record}"
            );
        }
    }
    assert_eq!(bed.upstream.mark(), upstream);
    reconcile(&bed);
}

#[test]
fn head_and_kept_alive_connections_are_answered_alike() {
    let bed = bed();
    let mut connection = bed.proxy.connect();
    let whole = connection
        .exchange(Request::get(WELL_KNOWN).bytes())
        .expect(200);
    let head = Request::new("HEAD", WELL_KNOWN);
    let empty = connection
        .send(head.bytes())
        .read_to("HEAD")
        .expect("an answer");
    assert_eq!((empty.status, empty.body.len()), (200, 0));
    let length = whole.body.len().to_string();
    assert_eq!(empty.header("content-length"), Some(&*length));
    assert_eq!(
        connection.exchange(Request::get(WELL_KNOWN).bytes()).json(),
        whole.json()
    );
    // And the connection is good for other requests.
    let token = bed.token().claim("scope", "read").sign();
    let seen = connection.exchange(Request::get("/read").bearer(token).bytes());
    assert_eq!(seen.status, 200);
}

#[test]
fn what_a_listener_tells_is_its_own() {
    let bed = bed();
    let config = crate::bed::tls::client_config(&[b"h2"], None);
    let answer = H2Connection::tls(bed.proxy.address("tls"), config)
        .exchange(&Request::get(WELL_KNOWN))
        .expect("an answer");
    let expected = json!({
        "resource": "https://api.example.org/",
        "authorization_servers": [bed.issuer.iss, "https://main.example/"],
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": true,
    });
    assert_eq!(answer.expect(200).json(), expected);
    // Without the key the path is policy's.
    let mut other = crate::bed::Connection::open(bed.proxy.address("other"));
    other.exchange(Request::get(WELL_KNOWN).bytes()).expect(401);
    let with_token = Request::get(WELL_KNOWN).bearer(bed.token().sign());
    let before = Before::now(&bed);
    other.exchange(with_token.bytes()).expect(200);
    assert_eq!(bed.upstream.requests().len(), before.requests() + 1);
}

#[test]
fn only_a_plain_look_at_metadata_is_answered() {
    let bed = bed();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", "PROPFIND"] {
        let request = Request::new(method, WELL_KNOWN);
        for variant in plain() {
            let answer = assert_refused(&bed, variant, &request, 405, "method_not_allowed");
            assert_eq!(answer.all("allow"), ["GET, HEAD"]);
        }
    }
    let body = Request::get(WELL_KNOWN).body("x");
    let upgrade = Request::get(WELL_KNOWN)
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    assert_refused(&bed, Variant::PLAIN, &body, 413, "body_too_large");
    assert_refused(&bed, Variant::PLAIN, &upgrade, 400, "upgrade_not_allowed");
    // What is not the path is policy's, which refuses it without a token.
    for other in [
        format!("{WELL_KNOWN}/"),
        format!("{WELL_KNOWN}/v1/"),
        format!("{WELL_KNOWN}/v2"),
        WELL_KNOWN.to_uppercase(),
        format!("{WELL_KNOWN}x"),
    ] {
        for variant in plain() {
            assert_refused(&bed, variant, &Request::get(&other), 401, "no_token");
        }
        let request = Request::get(&other).bearer(bed.token().sign());
        assert_forwarded(&bed, Variant::PLAIN, &request);
    }
    let slashes = Request::get("//.well-known/oauth-protected-resource");
    assert_refused(&bed, Variant::PLAIN, &slashes, 400, "path_empty_segment");
}

#[test]
fn scripts_of_allowed_origins_can_read_it() {
    let bed = bed();
    let ask = |request: &Request| exchanged(&bed, Variant::PLAIN, request);
    let from = |origin: &str| Request::get(WELL_KNOWN).header("origin", origin);
    let ours = ask(&from("https://app.example.org")).expect(200);
    assert_eq!(
        ours.all("access-control-allow-origin"),
        ["https://app.example.org"]
    );
    for response in [
        ask(&from("https://evil.example")),
        ask(&Request::get(WELL_KNOWN)),
    ] {
        assert_eq!(response.status, 200);
        assert_eq!(response.header("access-control-allow-origin"), None);
        assert_eq!(response.all("vary"), ["Origin"], "caches must not mix them");
    }
    let preflight = Request::new("OPTIONS", WELL_KNOWN)
        .header("origin", "https://app.example.org")
        .header("access-control-request-method", "GET");
    let before = Before::now(&bed);
    let answer = ask(&preflight).expect(204);
    assert_eq!(answer.all("access-control-allow-methods"), ["GET, HEAD"]);
    before.assert_nothing_upstream(&bed, &preflight);
    assert_eq!(record(&bed, &answer)["decision"], "allowed");
}

#[test]
fn challenges_say_where_it_is() {
    let bed = bed();
    let url = "https://api.example.org/.well-known/oauth-protected-resource/v1";
    let start = format!("Bearer realm=\"countersign\", resource_metadata=\"{url}\"");
    let challenge = |request: &Request, status| {
        let answer = exchanged(&bed, Variant::PLAIN, request).expect(status);
        let found: Vec<_> = answer
            .all("www-authenticate")
            .into_iter()
            .map(str::to_owned)
            .collect();
        found
    };
    let poor = bed.token().claim("scope", "other").sign();
    assert_eq!(challenge(&Request::get("/read"), 401), [&*start]);
    assert_eq!(
        challenge(&Request::get("/read").bearer("a.b.c"), 401),
        [format!("{start}, error=\"invalid_token\"")]
    );
    assert_eq!(
        challenge(&Request::get("/read").bearer(&poor), 403),
        [format!(
            "{start}, error=\"insufficient_scope\", scope=\"read\""
        )]
    );
    assert_eq!(
        challenge(&Request::get("/templated"), 401),
        ["Bearer realm=\"countersign\", resource_metadata=\"https://elsewhere.example/metadata\""],
        "a template that says it itself"
    );
    // Other refusals have no challenge.
    assert_eq!(
        challenge(&Request::new("PATCH", "/read").bearer(&poor), 405),
        [""; 0]
    );
    let answer = crate::bed::Connection::open(bed.proxy.address("other"))
        .exchange(Request::get("/read").bytes())
        .expect(401);
    assert_eq!(
        answer.all("www-authenticate"),
        ["Bearer realm=\"countersign\""]
    );
}

#[test]
fn a_reload_changes_what_is_told() {
    let lines = |routes: &str| {
        format!(
            "issuers:\n  - {{name: main, issuer: @ISSUER@, jwks: {{file: @DIR@/jwks.json}}, audiences: [api]}}\nroutes:\n{routes}"
        )
    };
    let one = "  - {path: /a, allow: {issuer: main, scopes: [one]}}\n";
    let two = "  - {path: /a, allow: {issuer: main, scopes: [two]}}\n";
    let bed = Setup::bare(&lines(one))
        .inbound("resource_metadata: {resource: 'https://api.example.org'}")
        .start();
    let told = || bed.get(WELL_KNOWN, "none").expect(200).json()["scopes_supported"].clone();
    assert_eq!(told(), json!(["one"]));
    bed.proxy.reload(&bed.fill(&lines(two))).expect("a reload");
    assert_eq!(told(), json!(["two"]));
}
