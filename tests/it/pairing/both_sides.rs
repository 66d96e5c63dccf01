//! Two proxies: a program that knows nothing of tokens, its outbound proxy, an inbound one, a plain backend.

use serde_json::{Value, json};

use super::proofs::thumbprint;
use crate::bed::forge::key;
use crate::bed::{Bed, Behaviour, Captured, Proxy, Request, Setup, TokenEndpoint};

/// The service's side. Its place is not known before it is bound, so proofs and metadata name `http://127.0.0.1:1` at first.
const SERVICE: &str = "
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: backend, lifetime: 60s}
callers: {agent: {issuer: main, client: agent}}
routes:
  - {path: /orders/**, allow: {GET: {caller: agent, scopes: [read]}, POST: {caller: agent, scopes: [write]}}}
";

struct Pair {
    service: Bed,
    endpoint: TokenEndpoint,
    calling: Proxy,
}

impl Pair {
    /// Both sides, with these lines in the service's listener and issuer, and in the caller's credential.
    fn start(
        inbound: &str,
        issuer: &str,
        credential: &str,
        answer: &dyn Fn(&Bed) -> Value,
    ) -> Self {
        let endpoint = TokenEndpoint::start();
        let main = format!(
            "issuers:\n  - {{name: main, issuer: @ISSUER@, jwks: {{file: @DIR@/jwks.json}}, audiences: [api]{issuer}}}\n"
        );
        let service = Setup::bare(&format!("{main}{SERVICE}"))
            .inbound(inbound)
            .issuer_called(&endpoint.issuer())
            .start();
        let place = format!("http://{}", service.proxy.addr());
        let text = service
            .text
            .replace("http://127.0.0.1:1'", &format!("{place}'"));
        service.proxy.reload(&text).expect("a good configuration");
        let answer = answer(&service).to_string();
        endpoint.behave(Behaviour::Answers(200, "application/json", answer));
        let dir = service.dir.path();
        std::fs::write(dir.join("client-secret"), crate::outbound::SECRET).expect("a file");
        let es256 = include_str!("../../fixtures/keys/es256-1.pem");
        std::fs::write(dir.join("dpop.pem"), es256).expect("a file");
        let text = format!(
            "workers: 1\nadmin: {{listen: 127.0.0.1:0}}\ndrain: {{delay: 0s, deadline: 1s}}\nlog: {{level: trace}}\n\
             outbound:\n  name: out\n  listen: 127.0.0.1:0\n  upstream: {place}\n  credential: agent\n  paths: [/orders/**]\n\
             credentials:\n  agent:\n    allow_http: true\n    client_id: agent\n    \
             client_authentication: {{client_secret_basic: {{file: client-secret}}}}\n{}",
            credential
                .replace("@TOKEN@", &endpoint.url())
                .replace("@AS@", &endpoint.issuer())
                .replace("@SERVICE@", &place)
        );
        let config = dir.join("calling.yaml");
        std::fs::write(&config, text).expect("a file");
        let calling = Proxy::try_start(&config, &service.clock, &["out"]).expect("a start");
        Self {
            service,
            endpoint,
            calling,
        }
    }

    /// What a plain client gets.
    #[track_caller]
    fn call(&self, request: Request) -> u16 {
        let address = self.calling.address("out");
        let mut connection = crate::bed::Connection::open(address);
        connection
            .exchange(request.host(&address.to_string()).bytes())
            .status
    }

    /// The `n`th request that reached the backend, after which nothing of the credential is left in it.
    #[track_caller]
    fn reached(&self, n: usize) -> Captured {
        let seen = self.service.upstream.await_requests(n);
        for absent in ["authorization", "dpop", "dpop-nonce"] {
            assert_eq!(seen.header(absent), None, "{absent} reached the backend");
        }
        seen
    }
}

fn token(bed: &Bed) -> crate::bed::Token {
    bed.token()
        .claim("sub", "service-account-agent")
        .claim("azp", "agent")
        .claim("scope", "read")
}

fn bearer(bed: &Bed) -> Value {
    json!({"access_token": token(bed).sign(), "token_type": "Bearer", "expires_in": 300})
}

fn bound(bed: &Bed) -> Value {
    let token = token(bed).claim("cnf", json!({"jkt": thumbprint(key("es256-1"))}));
    json!({"access_token": token.sign(), "token_type": "DPoP", "expires_in": 300})
}

#[track_caller]
fn vouched(pair: &Pair, seen: &Captured) {
    assert_eq!(seen.header("x-auth-subject"), Some("service-account-agent"));
    assert_eq!(seen.header("x-auth-client"), Some("agent"));
    assert_eq!(seen.header("x-auth-scopes"), Some("read"));
    let assertion = seen.header("x-auth-assertion").expect("an assertion");
    let claims = crate::invariants::identity::verified_for(&pair.service, assertion, "backend");
    assert_eq!(claims["sub"], "service-account-agent");
    assert_eq!(claims["caller"], "agent");
}

#[test]
fn two_proxies_let_two_programs_talk_that_know_nothing_of_tokens() {
    let pair = Pair::start("", "", "    token_endpoint: {url: \"@TOKEN@\"}\n", &bearer);
    assert_eq!(pair.call(Request::get("/orders/1?x=y")), 200);
    let seen = pair.reached(1);
    assert_eq!(seen.target, "/orders/1?x=y");
    vouched(&pair, &seen);
    // Policy still decides: this scope the agent has not.
    assert_eq!(pair.call(Request::post("/orders/1", "body")), 403);
    // What the outbound side keeps out does not even become a request there.
    assert_eq!(pair.call(Request::get("/admin")), 403);
    let records = pair.service.proxy.await_records(2);
    assert_eq!(records[1]["reason"], "scope_missing");
    assert_eq!(pair.service.upstream.requests().len(), 1);
    assert_eq!(pair.endpoint.asked(), 1);
}

#[test]
fn two_proxies_prove_with_every_request_that_the_token_is_theirs() {
    let pair = Pair::start(
        "external_url: 'http://127.0.0.1:1'",
        ", dpop: {mode: require, nonce: required}",
        "    token_endpoint: {url: \"@TOKEN@\"}\n    dpop: {key: {file: dpop.pem}}\n",
        &bound,
    );
    for n in 1..=3 {
        assert_eq!(pair.call(Request::get("/orders/1?x=y")), 200, "{n}");
        vouched(&pair, &pair.reached(n));
    }
    // The nonce was learned once, by one request that was sent twice; the token was good all the while.
    let reasons: Vec<Value> = pair
        .service
        .proxy
        .await_records(4)
        .iter()
        .map(|record| record["reason"].clone())
        .collect();
    assert_eq!(
        reasons,
        [json!("dpop_nonce"), Value::Null, Value::Null, Value::Null]
    );
    let replayed: Vec<bool> = pair
        .calling
        .await_records(3)
        .iter()
        .map(|record| record["replayed"] == true)
        .collect();
    assert_eq!(replayed, [true, false, false]);
    assert_eq!(pair.endpoint.asked(), 1);
    // The token alone opens nothing.
    let stolen = bound(&pair.service)["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    for scheme in ["Bearer", "DPoP"] {
        let request =
            Request::get("/orders/1").header("authorization", &format!("{scheme} {stolen}"));
        assert_eq!(pair.service.send(&request).status, 401, "{scheme}");
    }
    assert_eq!(pair.service.upstream.requests().len(), 3);
}

#[test]
fn two_proxies_pair_by_what_the_service_says_of_itself() {
    let pair = Pair::start(
        "resource_metadata: {resource: 'http://127.0.0.1:1'}",
        ", dpop: require",
        "    token_endpoint: {pair: \"@SERVICE@\", issuers: [\"@AS@\"]}\n    dpop: {key: {file: dpop.pem}}\n",
        &bound,
    );
    assert_eq!(pair.call(Request::get("/orders/1")), 200);
    vouched(&pair, &pair.reached(1));
    let asked = pair.endpoint.requests().pop().expect("a token request");
    let form = String::from_utf8(asked.body).expect("a form");
    let place = format!("http://{}", pair.service.proxy.addr());
    let resource: String = in_a_form("resource", &place);
    assert!(form.contains("scope=read+write"), "{form}");
    assert!(form.contains(&resource), "{form}");
}

/// As a form has it.
fn in_a_form(name: &str, value: &str) -> String {
    format!("{name}={}", value.replace(':', "%3A").replace('/', "%2F"))
}
