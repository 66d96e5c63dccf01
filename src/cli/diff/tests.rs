//! What differences read like, and that `explain` finds them.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::authz::compare::Presented;
use crate::case;
use crate::diff::tests::config;
use crate::explain::{Explainer, Verdict as Explained};

/// The differences, each of which `explain` has confirmed under both configurations.
fn confirmed(old: &str, new: &str) -> Diff {
    let (old, new) = (config(old), config(new));
    let diff = compared(&old, &new);
    let [old, new] = [old, new].map(|own| Explainer::pinned(Arc::new(own)).unwrap());
    let now = Clock::system().now().unix;
    for line in &diff.policy {
        let difference = line.difference.as_ref().unwrap();
        let text = text::case(line.case.as_ref().unwrap());
        let read = case::parse(Path::new("case.yaml"), &text);
        let case = &read.unwrap_or_else(|problems| panic!("{problems}")).cases[0];
        for (explainer, answer) in [(&old, &difference.old), (&new, &difference.new)] {
            let told = explainer.explain(case, now).unwrap();
            let passes = told.verdict == Explained::Forwarded && told.observed.is_none();
            assert_eq!(passes, answer.decision.is_ok(), "{text}\n{told:?}");
            if let Ok(caller) = &answer.decision {
                assert_eq!(told.caller, *caller, "{text}");
            }
            let holds = matches!(
                difference.witness.token,
                Presented::None | Presented::Claims(_)
            );
            if let (Explained::Refused { reason, .. }, true) = (told.verdict, holds) {
                assert_eq!(Err(reason), answer.decision, "{text}");
            }
        }
    }
    diff
}

/// The lines for people, without their witnesses.
fn told(old: &str, new: &str) -> String {
    let diff = confirmed(old, new);
    let text = text::render(&diff, false);
    let shown = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('{'));
    shown.map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn exit_codes_tell_which_way_it_goes() {
    use FailOn::{Any, Never, Wider};
    let of = |verdict| [Any, Wider, Never].map(|fail_on| code(verdict, fail_on));
    assert_eq!(of(Verdict::Same), [0, 0, 0]);
    assert_eq!(of(Verdict::Narrower), [1, 0, 0]);
    assert_eq!(of(Verdict::Wider), [2, 2, 0]);
}

const NONE: &str = "no difference: every request is decided as before\n";

#[test]
fn what_is_only_written_otherwise_is_no_difference() {
    let old = r#"
routes:
  - {path: [/health, /status], allow: anyone}
  - path: "/accounts/{account}/usage"
    allow:
      GET: [web, {caller: robot, account: "{account}"}]
      POST: {issuer: main, client: [web, robot]}
  - {path: /docs/**, allow: [{caller: web, any_scope: [a, b]}]}
"#;
    let new = r#"
routes:
  - {name: documents, path: /docs/**, allow: [{caller: web, scopes: [b, a]}, {caller: web, scopes: b}, {caller: web, scopes: [a]}]}
  - {name: health, path: /health, allow: anyone}
  - name: usage
    path: "/accounts/{tenant}/usage"
    allow:
      POST: [{issuer: main, client: robot}, {issuer: main, client: web, client_address: [0.0.0.0/0, "::/0"]}]
      GET: [{caller: robot, account: "{tenant}"}, web]
  - {name: status, path: /status, allow: anyone}
"#;
    let text = told(old, new);
    // A condition that holds of every address is none. Whatever the addresses of IPv6 in IPv4 form are, they are IPv4's.
    assert_eq!(text, NONE);
    assert_eq!(told(new, old), NONE);
    // The twin: a scope less.
    assert_ne!(told(old, &new.replace("scopes: b}", "scopes: c}")), NONE);
}

macro_rules! example {
    ($name:ident, $old:expr, $new:expr, $expected:expr) => {
        #[test]
        fn $name() {
            let text = told($old, $new);
            assert_eq!(text, $expected, "\n{text}");
        }
    };
}

example!(
    a_public_route_that_opens,
    "routes: [{path: /docs, allow: web}]",
    "routes: [{path: /docs, allow: anyone}]",
    "\
wider     * /docs
          anyone, with any token or none; before, a token was needed
identity  * /docs
          caller web (client web): the upstream is no longer told who it is
wider: 1 wider, 1 identity
"
);

example!(
    a_scope_that_is_dropped,
    "routes: [{path: /orders, allow: {POST: {caller: web, scopes: [read, write]}}}]",
    "routes: [{path: /orders, allow: {POST: {caller: web, scopes: [read]}}}]",
    "\
wider  POST /orders
       caller web (client web; scopes read); before, needed scopes read write
wider: 1 wider
"
);

example!(
    a_host_that_is_widened,
    "routes: [{path: /admin/**, host: admin.example.org, allow: web}]",
    "routes: [{path: /admin/**, host: '*.example.org', allow: web}]",
    "\
wider  * /admin/** on *.example.org
       caller web (client web); before, no route had the path
wider: 1 wider
"
);

example!(
    a_list_of_methods,
    "routes: [{path: /orders, allow: {'GET, POST': web}}]",
    "routes: [{path: /orders, allow: {'GET, DELETE': web}}]",
    "\
wider     DELETE /orders
          caller web (client web); before, the method was not listed
narrower  POST /orders
          caller web (client web); now the method is not listed
wider: 1 wider, 1 narrower
"
);

example!(
    account_matching_that_is_removed,
    r#"routes: [{path: "/accounts/{account}/usage", allow: {caller: web, account: "{account}"}}]"#,
    r#"routes: [{path: "/accounts/{account}/usage", allow: {caller: web, account: required}}]"#,
    "\
wider  * /accounts/{account}/usage
       caller web (client web; account required); before, needed account = {account}
wider: 1 wider
"
);

example!(
    an_exempt_prefix_that_is_wider_by_a_segment,
    "routes: [{path: /public/assets/**, allow: anyone}, {path: /**, allow: web}]",
    "routes: [{path: /public/**, allow: anyone}, {path: /**, allow: web}]",
    "\
wider     * /public/**
          anyone, with any token or none; before, a token was needed
wider     * other spellings of /public/assets, other spellings of /public/assets/**
          everybody whom the route lets pass; before, it was refused as a near miss of a more specific path
identity  * /public/**
          caller web (client web): the upstream is no longer told who it is
narrower  * other spellings of /public, other spellings of /public/**
          everybody whom the route lets pass; now it is refused as a near miss of a more specific path
wider: 2 wider, 1 narrower, 1 identity
"
);

example!(
    case_that_is_folded,
    r#"routes: [{path: "/accounts/{account}", allow: {caller: web, account: "{account}"}}]"#,
    r#"routes: [{path: "/accounts/{account}", fold: [account], allow: {caller: web, account: "{account}"}}]"#,
    "\
wider  * /accounts/{account}
       caller web (client web; account = {account}); before, needed account = {account} in the same letters (no `fold`)
wider: 1 wider
"
);

example!(
    a_slash_at_the_end,
    "routes: [{path: /reports, allow: web}, {path: /**, allow: robot}]",
    "routes: [{path: [/reports, /reports/], allow: web}, {path: /**, allow: robot}]",
    "\
wider  * /reports/
       caller web (client web); before, it was refused as a near miss of a more specific path
wider: 1 wider
"
);

example!(
    a_route_that_is_new_under_a_wide_one,
    "routes: [{path: /**, allow: web}]",
    "routes: [{path: /**, allow: web}, {path: /reports, allow: robot}]",
    "\
wider     * /reports
          caller robot (client robot); before, nobody like that was named
narrower  * /reports
          caller web (client web); now nobody like that is named
narrower  * other spellings of /reports
          everybody whom the route lets pass; now it is refused as a near miss of a more specific path
wider: 1 wider, 2 narrower
"
);

example!(
    near_misses_that_are_allowed,
    "routes: [{path: /**, allow: web}, {path: /reports, allow: robot}]",
    "routes: [{path: /**, near_miss: allow, allow: web}, {path: /reports, allow: robot}]",
    "\
wider  * other spellings of /reports
       everybody whom the route lets pass; before, it was refused as a near miss of a more specific path
wider: 1 wider
"
);

example!(
    what_the_upstream_is_told,
    "identity: {headers: {x-caller: caller}}\nroutes: [{path: /a, allow: web}, {path: /b, allow: [web, robot]}]",
    "identity: {headers: {x-caller: caller}}\ncallers: {browser: {issuer: main, client: web}, robot: {issuer: main, client: robot}}\nroutes: [{path: /a, authorization: forward, allow: browser}, {path: /b, allow: [robot, browser]}]",
    "\
identity  * /a, /b
          caller browser (client web): the upstream is told caller `browser` instead of `web`
identity  * /a
          caller browser (client web): the upstream gets the token (`Authorization` is forwarded)
wider: 2 identity
"
);

example!(
    tokens_that_need_not_be_there,
    "routes: [{path: /a, allow: [web, opaque]}, {path: /b, allow: [web, anonymous]}]",
    "routes: [{path: /a, allow: [web, anonymous]}, {path: /b, allow: web}]",
    "\
wider     * /a
          whoever has no token; before, a token was needed
narrower  * /a
          whoever has a token that is no JWT; now it is refused (token_malformed)
narrower  * /b
          whoever has no token; now a token is needed
wider: 1 wider, 2 narrower
"
);

example!(
    upgrades_and_preflights,
    "inbound: {listen: 127.0.0.1:8080, upstream: http://127.0.0.1:8000, cors: {origins: [https://app.example.org], preflight: authenticate}}\nroutes: [{path: /stream, allow: {GET: web}}]",
    "inbound: {listen: 127.0.0.1:8080, upstream: http://127.0.0.1:8000, cors: {origins: [https://app.example.org], preflight: forward}}\nroutes: [{path: /stream, upgrade: [websocket], allow: {GET: web}}]",
    "\
wider  GET /stream
       caller web (client web), to upgrade to websocket; before, no upgrade was allowed
wider  OPTIONS /stream
       anyone, in a preflight of https://app.example.org for GET; before, the method was not listed
wider: 2 wider
"
);

example!(
    paths_that_parsers_read_differently,
    r#"routes: [{path: "/files/{file}", allow: web}]"#,
    r#"routes: [{path: "/files/{file}", paths: [encoded_slash, semicolon], allow: web}]"#,
    "\
wider  * /files/{file} with encoded_slash, /files/{file} with semicolon
       caller web (client web); before, it was refused (path_encoded_slash)
wider: 1 wider
"
);

example!(
    addresses_and_certificates,
    "routes: [{path: /in, allow: {caller: web, client_address: [10.0.0.0/8, 192.168.0.0/16]}}]",
    "routes: [{path: /in, allow: {caller: web, client_address: [10.0.0.0/7]}}]",
    "\
wider     * /in
          caller web (client web; from 10.0.0.0/7); before, needed from 10.0.0.0/8 | 192.168.0.0/16
narrower  * /in
          caller web (client web; from 192.168.0.0/16); now needs from 10.0.0.0/7
wider: 1 wider, 1 narrower
"
);

example!(
    clients_that_an_issuer_takes,
    "routes: [{path: /a, allow: {issuer: main, scopes: read}}]",
    "issuers: [{name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api], clients: [web], claim_mappings: {account: account}}]\ncallers: {web: {issuer: main, client: web}}\nroutes: [{path: /a, allow: {issuer: main, scopes: read}}]",
    "\
narrower  * /a
          tokens of issuer main (scopes read); now the issuer's `clients` do not have it
note      issuers.main
          `clients` is another list; what follows for requests is among the differences of policy
narrower: 1 narrower, 1 note
"
);

example!(
    settings_of_an_issuer,
    "issuers: [{name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api], algorithms: [RS256], leeway: 10s, max_lifetime: 1h}]\nroutes: [{path: /a, allow: {issuer: main}}]",
    "issuers: [{name: main, issuer: https://id.example.org, jwks: {url: https://id.example.org/keys, max_stale: 48h}, audiences: [api, web], algorithms: [RS256, ES256], leeway: 30s, required_claims: [exp, sub, jti]}]\nroutes: [{path: /a, allow: {issuer: main}}]",
    "\
wider          issuers.main
               tokens for web are taken (`audiences`)
wider          issuers.main
               clocks may differ by (`leeway`): 30s (before: 10s)
wider          issuers.main
               tokens may live for any time (no `max_lifetime`)
wider          issuers.main
               signatures by ES256 are taken (`algorithms`)
narrower       issuers.main
               tokens must have jti (`required_claims`)
may be either  issuers.main
               keys come from https://id.example.org/keys (before: discovery)
may be wider   issuers.main
               keys that cannot be refreshed serve for (`max_stale`): 2d (before: 24h)
wider: 4 wider, 1 narrower, 1 may be wider, 1 may be either
"
);

example!(
    what_is_refused_where_a_route_only_observes,
    "routes: [{path: /a, allow: web, mode: observe, until: 2099-01-01}, {path: /b, allow: web}]",
    "routes: [{path: /a, allow: [web, robot]}, {path: /b, allow: robot, mode: observe, until: 2099-01-01}]",
    "\
may be wider     * /a
                 caller robot (client robot); before, nobody like that was named (only observed)
wider            * /b
                 caller robot (client robot); before, nobody like that was named
may be narrower  * /b
                 caller web (client web); now nobody like that is named (only observed)
may be narrower  /a
                 is enforced; before, it only observed, and what policy refuses passed
may be wider     /b
                 only observes until 2099-01-02T00:00:00Z: what policy refuses passes
wider: 1 wider, 2 may be wider, 2 may be narrower
"
);

example!(
    what_may_be,
    "routes: [{path: /a, allow: web, rate_limit: {by: principal, requests: 10, per: 1m}}, {path: '/b/{x}', allow: web, mode: observe, until: 2099-01-01}, {path: /c, allow: web}]",
    "routes: [{path: /a, allow: web, rate_limit: {by: principal, requests: 20, per: 1m}}, {path: '/b/{y}', allow: web}, {path: /c, allow: web, mode: observe, until: 2099-01-01}]",
    "\
may be wider     /a
                 is limited to 20 per 1m by principal (before: 10 per 1m by principal)
may be narrower  /b/{y}
                 is enforced; before, it only observed, and what policy refuses passed
may be wider     /c
                 only observes until 2099-01-02T00:00:00Z: what policy refuses passes
wider: 2 may be wider, 1 may be narrower
"
);

#[test]
fn for_pull_requests_there_is_a_table_that_nothing_breaks_out_of() {
    let old = "routes: [{path: '/a|b', allow: web}]";
    let new = "routes: [{path: '/a|b', allow: {issuer: main, client: 'we<b>|`@x`', scopes: read}}, {path: /c, allow: anyone}]";
    let diff = confirmed(old, new);
    let text = markdown::render(&diff);
    let expected = "\
### Policy: wider

2 wider, 1 narrower.

| | | Requests | What |
|---|---|---|---|
| 1 | **wider** | `*` `/a\\|b` | tokens of issuer main (client we&lt;b&gt;\\|`@x`; scopes read); before, nobody like that was named |
| 2 | **wider** | `*` `/c` | anyone, with any token or none; before, no route had the path |
| 3 | **narrower** | `*` `/a\\|b` | caller web (client web); now nobody like that is named |

<details>
<summary>Requests that show it, for <code>countersign explain --case</code></summary>

1. wider

   ```yaml
   request: GET /a%7Cb
   issuer: main
   claims:
     azp: we<b>|`@x`
     scope: read
     sub: another-sub
   ```

2. wider

   ```yaml
   request: GET /c
   ```

3. narrower

   ```yaml
   request: GET /a%7Cb
   issuer: main
   claims:
     azp: web
     sub: another-sub
   ```

</details>
";
    assert_eq!(text, expected, "{text}");
}
