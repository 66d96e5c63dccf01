//! What is explained is what a running proxy does, byte for byte where the upstream is told something.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::case::{Case, Claimed, RealToken, Request as Asked, Token as Given, TokenKind};
use countersign::clock::UnixTime;
use countersign::config;
use countersign::explain::{Explainer, Explanation};
use serde_json::{Value, json};

use crate::bed::keys::{ES256_1, RSA_2};
use crate::bed::{Bed, Request, START, Setup, Token};

const CONFIG: &str = r#"
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-caller: caller, x-auth-scopes: scopes, x-auth-account: account, x-auth-actor: actor.subject, x-auth-tenant: claims.tenant}
  assertion: {audience: upstream}
callers:
  web: {issuer: main, client: web}
  robot: {issuer: main, client: robot}
routes:
  - {path: /open, allow: anyone}
  - {path: /closed, allow: nobody}
  - {path: /either, allow: [anonymous, web]}
  - {path: /opaque, allow: opaque, authorization: forward}
  - path: "/things/{thing}"
    allow:
      GET: [web, robot]
      PUT: {caller: web, scopes: [write, read]}
      DELETE: [{caller: robot}, {caller: web, roles: admin}]
  - {path: "/accounts/{account}/**", fold: [account], allow: {issuer: main, account: "{account}"}}
  - {path: "/tenants/{tenant}", allow: {caller: web, claims: {tenant: "{tenant}"}}}
  - {path: /inside, allow: {caller: web, client_address: 10.0.0.0/8}}
  - {path: /other, host: other.test, allow: web}
  - {path: /acting, allow: {caller: web, actor: {issuer: second}}, actor_token: {header: x-actor, issuer: second}}
  - {path: /limited, allow: web, rate_limit: {by: principal, requests: 1, per: 1h}}
  - {path: /observed, mode: observe, until: 2099-01-01, allow: {caller: web, scopes: write}}
  - {path: /files/**, paths: [encoded_slash, semicolon], allow: web}
"#;

const ISSUERS: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
    claim_mappings: {account: account}
    scope_implies: {all: [read, write]}
    max_lifetime: 1h
  - name: second
    issuer: @ISSUER2@
    jwks: {file: @DIR@/second.json}
    audiences: [api]
    algorithms: [RS256]
";

/// One request and what it brings along.
struct Row {
    request: Request,
    token: Option<Token>,
    actor: Option<Token>,
}

fn row(method: &str, target: &str) -> Row {
    Row {
        request: Request::new(method, target),
        token: None,
        actor: None,
    }
}

impl Row {
    fn with(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    fn acting(mut self, actor: Token) -> Self {
        self.actor = Some(actor);
        self
    }

    fn host(mut self, host: &str) -> Self {
        self.request = self.request.host(host);
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    fn sent(&self) -> Request {
        let mut request = self.request.clone();
        if let Some(token) = &self.token {
            request = request.bearer(token.sign());
        }
        if let Some(actor) = &self.actor {
            request = request.header("x-actor", &actor.sign());
        }
        request
    }

    fn case(&self, given: impl Fn(&Token) -> TokenKind) -> Case {
        let mut asked = Asked::new(&self.request.method, &self.request.target);
        asked.host = Some(self.request.host.clone());
        asked.headers.clone_from(&self.request.headers);
        asked.peer = Some("127.0.0.1".parse().expect("an address"));
        let mut case = Case::new(asked);
        let token = |token: &Token| Given {
            kind: given(token),
            ..Claimed::default().into()
        };
        case.token = self.token.as_ref().map(token);
        case.actor = self.actor.as_ref().map(token);
        case.at = Some(UnixTime::from_secs(START));
        case
    }
}

/// Requests of every kind, most of them with a positive twin.
fn rows(bed: &Bed) -> Vec<Row> {
    let token = || bed.token();
    let robot = || bed.token().claim("azp", "robot");
    let mut rows = vec![
        row("GET", "/open"),
        row("GET", "/open").with(token().expires_in(-100)),
        row("GET", "/closed").with(token()),
        row("GET", "/either"),
        row("GET", "/either").with(token()),
        row("GET", "/either").with(token().claim("aud", "else")),
        row("GET", "/nowhere").with(token()),
        row("GET", "/things/1"),
        row("GET", "/things/1").with(token()),
        row("GET", "/things/%31?x=1").with(robot()),
        row("PUT", "/things/1").with(token()),
        row("PUT", "/things/1").with(token().claim("scope", "read write")),
        row("PUT", "/things/1").with(token().claim("scope", "all")),
        row("PUT", "/things/1").with(robot()),
        row("DELETE", "/things/1").with(token()),
        row("DELETE", "/things/1").with(token().claim("roles", json!(["admin"]))),
        row("DELETE", "/things/1").with(robot()),
        row("POST", "/things/1").with(token()),
        row("GET", "/Things/1").with(token()),
        row("GET", "/accounts/ACME/x").with(token().claim("account", "acme")),
        row("GET", "/accounts/acme").with(token().claim("account", "other")),
        row("GET", "/accounts/acme").with(token()),
        row("GET", "/tenants/a").with(token().claim("tenant", json!(["a", "b"]))),
        row("GET", "/tenants/a").with(token().claim("tenant", "b")),
        row("GET", "/inside").with(token()),
        row("GET", "/other").with(token()),
        row("GET", "/other").host("other.test").with(token()),
        row("GET", "/acting").with(token()),
        row("GET", "/acting")
            .with(token())
            .acting(bed.second.token()),
        row("GET", "/acting")
            .with(token())
            .acting(bed.second.token().expires_in(-100)),
        row("GET", "/acting").with(token()).acting(bed.token()),
        row("GET", "/limited").with(token()),
        row("GET", "/observed").with(token()),
        row("GET", "/observed"),
        row("GET", "/observed").with(token().claim("scope", "write")),
        row("GET", "/files/a%2fb").with(token()),
        row("GET", "/things/a%2fb").with(token()),
        row("GET", "/files/../things/1").with(token()),
        row("GET", "/things/1;x").with(token()),
        row("GET", "//things/1").with(token()),
        row("GET", "/things/%zz").with(token()),
        row("TRACE", "/things/1").with(token()),
        row("GET", "/things/1")
            .header("x-auth-subject", "root")
            .with(token()),
        row("GET", "/things/1")
            .header("x_auth_client", "root")
            .with(token()),
        row("GET", "/things/1")
            .header("expect", "a-miracle")
            .with(token()),
        row("GET", "/open")
            .header("connection", "upgrade")
            .header("upgrade", "websocket"),
        row("GET", "/things/1").header("authorization", "Basic eDp4"),
        row("GET", "/opaque").header("authorization", "Bearer an-opaque-one"),
        row("GET", "/things/1").header("authorization", "Bearer an-opaque-one"),
        row("GET", "/things/1?access_token=x").with(token()),
    ];
    let faults = [
        token().expires_in(-100),
        token().expires_in(7200),
        token().claim("iss", "https://elsewhere.example.org"),
        token().claim("aud", "else"),
        token().without("sub"),
        token().claim("nbf", START + 1000),
        token().claim("typ", "ID"),
        token().claim(
            "cnf",
            json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        ),
        token().claim("sub", "system:serviceaccount:a:b"),
        token().key(&ES256_1),
        token().header("crit", json!(["b64"])),
        token().header("typ", "logout+jwt"),
        token().header("kid", "another"),
        token().without_header("kid"),
        token().signed_by(&RSA_2),
    ];
    rows.extend(faults.map(|token| row("GET", "/things/1").with(token)));
    rows
}

/// What became of a request, in the words of records.
#[derive(Debug, PartialEq)]
struct Became {
    decision: String,
    reason: Option<String>,
    observed: Option<String>,
    status: Option<u64>,
    route: Option<String>,
    caller: Option<String>,
    identity: BTreeMap<String, String>,
    assertion: Option<Value>,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Identity headers, and the claims of the assertion without what differs from one to the next.
fn told<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
) -> (BTreeMap<String, String>, Option<Value>) {
    let mut identity = BTreeMap::new();
    let mut assertion = None;
    for (name, value) in headers {
        match name.to_ascii_lowercase() {
            name if name == "x-auth-assertion" => {
                assertion = Some(lasting(&claims(value)));
            }
            name if name.starts_with("x-auth-") => drop(identity.insert(name, value.to_owned())),
            _ => {}
        }
    }
    (identity, assertion)
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    let bytes = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn lasting(claims: &Value) -> Value {
    let mut claims = claims.clone();
    let members = claims.as_object_mut().expect("claims");
    members.remove("jti").expect("an id");
    claims
}

fn explained(told_: &Explanation) -> Became {
    let answer = told_.answer.as_ref();
    let identity = told_.identity.as_ref();
    let headers = identity.map(|identity| identity.headers.as_slice());
    let pairs = headers.unwrap_or_default().iter();
    let (headers, _) = told(pairs.map(|(name, value)| (name.as_str(), value.as_str())));
    Became {
        decision: told_.verdict.decision().to_owned(),
        reason: told_.verdict.reason().map(str::to_owned),
        observed: told_.observed.map(str::to_owned),
        status: answer.map(|answer| u64::from(answer.status)),
        route: told_.route.as_ref().map(|route| route.name.to_string()),
        caller: told_.caller.as_deref().map(str::to_owned),
        identity: headers,
        assertion: identity
            .and_then(|identity| identity.assertion.as_ref())
            .map(|(_, claims)| lasting(claims)),
    }
}

fn happened(bed: &Bed, row: &Row, number: usize) -> (Became, Value) {
    let before = bed.upstream.requests().len();
    let response = bed.send(&row.sent());
    let record = bed.proxy.await_records(number).pop().expect("a record");
    let forwarded = bed.upstream.requests();
    let captured = forwarded.get(before);
    let headers = captured.map(|captured| captured.headers.as_slice());
    let pairs = headers.unwrap_or_default().iter();
    let (identity, assertion) = told(pairs.map(|(name, value)| (name.as_str(), value.as_str())));
    let refused = captured.is_none();
    let became = Became {
        decision: text(&record["decision"]).expect("a decision"),
        reason: text(&record["reason"]),
        observed: text(&record["observed"]),
        status: refused.then_some(u64::from(response.status)),
        route: text(&record["route"]),
        caller: text(&record["caller"]),
        identity,
        assertion,
    };
    (became, record)
}

#[test]
fn what_is_explained_is_what_the_proxy_does() {
    let bed = Setup::bare(&format!("{ISSUERS}{CONFIG}"))
        .file(
            "second.json",
            &json!({"keys": [crate::bed::keys::RSA_1.jwk()]}).to_string(),
        )
        .start();
    let loaded = config::load(&bed.config, None).expect("a configuration");
    let explainer = Explainer::pinned(Arc::new(loaded)).expect("an explainer");
    let now = UnixTime::from_secs(START);
    let rows = rows(&bed);
    let mut decisions = BTreeMap::new();
    for (number, row) in (1..).zip(&rows) {
        let (became, record) = happened(&bed, row, number);
        let what = format!("{} {}\n{record:#}", row.request.method, row.request.target);
        let real = row.case(|token| TokenKind::Real(RealToken::new(&token.sign())));
        let told = explainer.explain(&real, now).expect("an explanation");
        assert_eq!(
            explained(&told),
            became,
            "with the token: {what}\n{told:#?}"
        );
        *decisions.entry(became.reason.clone()).or_insert(0) += 1;
        if became.reason.as_deref() != Some("token_signature") {
            let claimed = row.case(|token| {
                let (mut header, claims) = token.parts();
                // What is not said of the header is completed; nothing is left out unless it is said.
                header.entry("kid").or_insert(Value::Null);
                TokenKind::Claims(Claimed {
                    header,
                    ..Claimed::new(None, claims)
                })
            });
            let told = explainer.explain(&claimed, now).expect("an explanation");
            assert_eq!(
                explained(&told),
                became,
                "with its claims: {what}\n{told:#?}"
            );
        }
        let read_anew = row.actor.is_none() && row.request.headers.is_empty();
        let again = explainer.explain_record(&record).expect("a record");
        if read_anew && !row.request.target.contains("roles") {
            let roles = row
                .token
                .as_ref()
                .is_some_and(|token| token.parts().1.contains_key("roles"));
            assert!(
                roles || again.same != Some(false),
                "from the record: {what}\n{again:#?}"
            );
        }
    }
    // The table is about something.
    assert!(decisions.len() > 20, "{decisions:?}");
    assert!(decisions[&None] > 12, "{decisions:?}");
}
