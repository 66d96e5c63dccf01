//! The rows of `tests/it/data/tokens/`, through a running proxy.
//!
//! A row reads `expected | steps | why`. Expected is `pass`, or the reason of the decision record, for 401, or a status and
//! a reason. Steps are those of [`crate::bed::forge`]. A line `[title | steps]` begins a group, whose steps come before
//! those of its rows; each group has a row that passes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

use crate::bed::forge::{Forged, World};
use crate::bed::{
    Bed, START, Setup, Upstream, forwarded_everywhere, keys, reconcile, refused_everywhere,
};

/// Issuers that differ in what they ask for, all with the keys `rsa-1` and `es256-1` but for `second`, which has another
/// key under the name `rsa-1`, and `mixed`, which has an `oct` key too.
const POLICY: &str = r#"
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
    claim_mappings: {account: account}
  - {name: second, issuer: 'https://second.example', jwks: {file: @DIR@/second.json}, audiences: [api]}
  - {name: mixed, issuer: 'https://mixed.example', jwks: {file: @DIR@/mixed.json}, audiences: [api, api2]}
  - {name: listed, issuer: 'https://listed.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], clients: [good]}
  - {name: capped, issuer: 'https://capped.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], max_lifetime: 1h}
  - {name: typed, issuer: 'https://typed.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], token_types: [at+jwt]}
  - {name: cluster, issuer: 'https://cluster.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], kubernetes: true, max_lifetime: 1h}
callers:
  web: {issuer: main, client: web}
  robot: {issuer: cluster, service_account: prod/admin.x}
routes:
  - {path: /health, allow: anyone}
  - {path: /any/**, allow: web}
  - {path: /main, allow: {issuer: main}}
  - {path: /opaque, allow: [opaque, web]}
  - {path: /second, allow: {issuer: second}}
  - {path: /mixed, allow: {issuer: mixed}}
  - {path: /listed, allow: {issuer: listed}}
  - {path: /capped, allow: {issuer: capped}}
  - {path: /typed, allow: {issuer: typed}}
  - {path: /scoped, allow: {issuer: main, scopes: ["orders:read", other]}}
  - {path: /role, allow: {issuer: main, roles: [admin]}}
  - {path: /group, allow: {issuer: main, groups: [staff]}}
  - {path: /tenant, allow: {issuer: main, claims: {org.tenant: acme}}}
  - {path: '/users/{account}/data', allow: {issuer: main, account: '{account}'}}
  - {path: /robots, allow: robot}
"#;

/// One row.
pub struct Row {
    pub line: usize,
    pub expected: String,
    /// Those of the group, then its own.
    pub steps: String,
    pub own: String,
}

/// The rows of a data file.
#[track_caller]
pub fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut first = String::new();
    let mut group: Option<(String, usize)> = None;
    let closed = |group: &Option<(String, usize)>, rows: &[Row]| {
        if let Some((title, from)) = group {
            let passes = rows[*from..].iter().any(|row| row.expected == "pass");
            assert!(passes, "nothing passes in [{title}]");
        }
    };
    for (at, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(inner) = line.strip_prefix('[') {
            closed(&group, &rows);
            let inner = inner.strip_suffix(']').expect("the end of a title");
            let (title, steps) = inner.split_once(" | ").unwrap_or((inner, ""));
            group = Some((title.to_owned(), rows.len()));
            steps.clone_into(&mut first);
            continue;
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [expected, steps, _why] = cells[..] else {
            panic!("line {}: three cells, please: {line}", at + 1)
        };
        let own = steps.to_owned();
        let steps = if first.is_empty() {
            own.clone()
        } else {
            format!("{first} ; {own}")
        };
        rows.push(Row {
            line: at + 1,
            expected: expected.to_owned(),
            steps,
            own,
        });
    }
    closed(&group, &rows);
    assert!(rows.iter().any(|row| row.expected == "pass"));
    rows
}

/// The running proxy of the tables, and a listener that nobody may come to.
pub struct Tables {
    pub bed: Bed,
    trap: Upstream,
    world: World,
}

impl Tables {
    pub fn start() -> Self {
        let trap = Upstream::start();
        let mut other = keys::RSA_2.jwk();
        other["kid"] = json!("rsa-1");
        let oct = |kid: &str, alg: &str| json!({"kty": "oct", "kid": kid, "alg": alg, "k": keys::b64("a shared secret")});
        let mixed = vec![
            keys::RSA_1.jwk(),
            oct("oct", "HS256"),
            oct("oct-rs256", "RS256"),
        ];
        let bed = Setup::bare(POLICY)
            .issuer_called("https://main.example")
            .file("second.json", &json!({"keys": [other]}).to_string())
            .file("mixed.json", &json!({"keys": mixed}).to_string())
            .tls()
            .start();
        let world = World {
            now: START,
            names: vec![("iss", bed.issuer.iss.clone()), ("trap", trap.url())],
        };
        Self { bed, trap, world }
    }

    /// Judges every row in the six variants; fails with all rows that came out otherwise.
    #[track_caller]
    pub fn judge(&self, text: &str) {
        let (header, claims) = self.bed.token().parts();
        let good = Forged::new(&self.world, &keys::RSA_1, header, claims);
        let mut wrong = Vec::new();
        for row in rows(text) {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let request = good.clone().steps(&row.steps).request();
                match row.expected.split_once(' ') {
                    None if row.expected == "pass" => forwarded_everywhere(&self.bed, &request),
                    None => refused_everywhere(&self.bed, &request, 401, &row.expected),
                    Some((status, reason)) => {
                        let status = status.parse().expect("a status");
                        refused_everywhere(&self.bed, &request, status, reason);
                    }
                }
            }));
            if outcome.is_err() {
                wrong.push(format!("line {}: {}", row.line, row.steps));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // Whatever came before.
        forwarded_everywhere(&self.bed, &good.request());
        assert_eq!(self.trap.connections(), 0, "nobody follows a token's links");
        assert_eq!(self.bed.issuer.connections(), 0, "the keys are pinned");
        reconcile(&self.bed);
    }
}
