use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::case::{self, CaseFile, Members, RealToken, Request};
use crate::config;
use crate::rejection;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

fn explainer_of(path: &Path) -> Explainer {
    let config = config::load(path, None).unwrap_or_else(|problems| panic!("{problems}"));
    Explainer::pinned(Arc::new(config)).unwrap()
}

fn reasons() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explain/reasons")
}

fn cases() -> CaseFile {
    case::load(&reasons().join("cases.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A configuration of these routes, with one issuer whose keys are pinned.
fn explainer(routes: &str) -> Explainer {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(reasons().join("countersign.yaml")).unwrap();
    let keys = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("jwks: "))
        .unwrap();
    let path = directory.path().join("countersign.yaml");
    let text = format!(
        r"
inbound: {{listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}}
issuers:
  - name: main
    issuer: https://id.example.org
    jwks: {keys}
    audiences: [api]
    algorithms: [ES256]
    claim_mappings: {{account: account}}
identity: {{headers: {{x-auth-subject: subject, x-auth-caller: caller}}}}
callers:
  web: {{issuer: main, client: web}}
{routes}
"
    );
    std::fs::write(&path, text).unwrap();
    explainer_of(&path)
}

fn members(value: &serde_json::Value) -> Members {
    value.as_object().unwrap().clone()
}

fn ask(method: &str, target: &str) -> Case {
    Case::new(Request::new(method, target))
}

fn web(case: Case, more: &serde_json::Value) -> Case {
    let mut claims = members(&serde_json::json!({"sub": "user-1", "azp": "web"}));
    claims.extend(members(more));
    case.with_claims(Some("main"), claims)
}

#[test]
fn every_reason_has_words_and_a_case_that_meets_it_or_says_why_none_can() {
    let explainer = explainer_of(&reasons().join("countersign.yaml"));
    let cases: BTreeMap<String, Case> = cases()
        .cases
        .into_iter()
        .map(|case| (case.title(), case))
        .collect();
    let mut wrong = Vec::new();
    for rejection in rejection::all() {
        let reason = rejection.reason();
        let meaning = Meaning::of(reason).unwrap_or_else(|| panic!("no words for {reason}"));
        assert!(
            meaning.means.len() > 3 && meaning.look_at.len() > 3,
            "{reason}"
        );
        match (meaning.reach, cases.get(reason)) {
            (Reach::Case, Some(case)) => {
                let told = explainer.explain(case, NOW).unwrap();
                if told.verdict.reason() != Some(reason) {
                    wrong.push(format!("{reason}: {:?}", told.verdict));
                    continue;
                }
                assert_eq!(told.meaning, Some(meaning));
                let answer = told.answer.unwrap();
                assert_eq!(answer.status, rejection.status().as_u16(), "{reason}");
                assert_eq!(meaning.case().as_ref(), Some(case));
            }
            (Reach::Beyond(why), None) => assert!(why.len() > 5, "{reason}"),
            (reach, case) => panic!("{reason}: {reach:?}, {case:?}"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(Meaning::all().len(), rejection::all().len());
    let told = explainer.explain(&cases["allowed"], NOW).unwrap();
    assert_eq!(told.verdict, Verdict::Forwarded);
}

#[test]
fn the_words_are_those_of_the_documentation() {
    let page = include_str!("../../docs/operations.md");
    for meaning in Meaning::all() {
        let row = format!(
            "| `{}` | {} | {} | {} |",
            meaning.reason,
            meaning.status().unwrap(),
            meaning.means,
            meaning.look_at
        );
        assert!(page.contains(&row), "docs/operations.md has no row {row}");
    }
}

#[test]
fn each_condition_of_each_alternative_tells_what_it_wanted_and_what_it_found() {
    let explainer = explainer(
        r#"
routes:
  - path: "/accounts/{account}/usage"
    fold: [account]
    allow:
      - {issuer: main, roles: operator}
      - {caller: web, scopes: [usage:read, usage:list], account: "{account}", client_address: 10.0.0.0/8}
"#,
    );
    let mut case = web(
        ask("GET", "/accounts/ACME/usage"),
        &serde_json::json!({"scope": "usage:read", "account": "acme"}),
    );
    case.request.peer = Some("10.1.2.3".parse().unwrap());
    let told = explainer.explain(&case, NOW).unwrap();
    assert_eq!(told.verdict.reason(), Some("scope_missing"));
    let told: Vec<_> = told
        .alternatives
        .iter()
        .map(|alternative| {
            let conditions = alternative.conditions.iter().map(|condition| {
                let check = &condition.check;
                let mark = match condition.holds {
                    Some(true) => "✓",
                    Some(false) => "✗",
                    None => "·",
                };
                format!("{mark} {}: {} / {}", check.what, check.wanted, check.found)
            });
            (
                alternative.name.as_str(),
                alternative.decides,
                conditions.collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(
        told[0],
        (
            "issuer main",
            false,
            vec!["✗ roles: operator / nothing at roles, realm_access.roles".to_owned()],
        )
    );
    assert_eq!(
        told[1],
        (
            "web",
            true,
            vec![
                "✓ client: web / web".to_owned(),
                "✓ client_address: 10.0.0.0/8 / 10.1.2.3".to_owned(),
                "✓ account: ACME ({account} of the path, in any case of letters) / acme".to_owned(),
                "✗ scopes: all of usage:list usage:read / usage:read".to_owned(),
            ],
        )
    );
}

#[test]
fn the_routes_that_match_are_told_and_which_of_them_owns() {
    let explainer = explainer(
        r#"
routes:
  - {path: /**, allow: web}
  - {path: "/agent/{agent}/**", allow: web}
  - {path: /agent/a1/secret, host: other.example.org, allow: nobody}
  - {path: /agent/a1/Secrets, allow: nobody}
"#,
    );
    let told = explainer
        .explain(
            &web(ask("GET", "/agent/a1/secret"), &serde_json::json!({})),
            NOW,
        )
        .unwrap();
    let routes: Vec<_> = told
        .routes
        .iter()
        .map(|seen| (seen.path.as_str(), seen.host_matches, seen.owns))
        .collect();
    assert_eq!(
        routes,
        [
            ("/agent/a1/secret", false, false),
            ("/agent/{agent}/**", true, true),
            ("/**", true, false),
        ]
    );
    let route = told.route.unwrap();
    assert_eq!(&*route.name, "/agent/{agent}/**");
    assert_eq!(route.parameters, [("agent".to_owned(), "a1".to_owned())]);
    assert_eq!(told.caller.as_deref(), Some("web"));
    let near = explainer
        .explain(&ask("GET", "/agent/a1/secrets/"), NOW)
        .unwrap();
    assert_eq!(near.verdict.reason(), Some("near_miss"));
    assert_eq!(near.near.len(), 1);
    assert_eq!(&*near.near[0], "/agent/a1/Secrets");
}

#[test]
fn the_identity_is_the_one_that_the_upstream_would_get() {
    let explainer = explainer("routes: [{path: /**, allow: web}]");
    let mut case = web(ask("GET", "/x"), &serde_json::json!({}));
    case.request
        .headers
        .push(("X_Auth-Subject".to_owned(), "root".to_owned()));
    let told = explainer.explain(&case, NOW).unwrap();
    let identity = told.identity.unwrap();
    assert_eq!(
        identity.headers,
        [
            ("x-auth-subject".to_owned(), "user-1".to_owned()),
            ("x-auth-caller".to_owned(), "web".to_owned()),
        ]
    );
    assert_eq!(identity.authorization, Some("is taken away"));
    assert_eq!(told.reading.unwrap().dropped, ["x_auth-subject"]);
    assert_eq!(identity.upstream, "http://127.0.0.1:8000");
}

#[test]
fn claims_are_taken_as_they_are_unless_an_issuer_completes_them() {
    let explainer = explainer("routes: [{path: /**, allow: web}]");
    let claims = serde_json::json!({"iss": "https://id.example.org", "sub": "u", "azp": "web", "aud": "api"});
    let as_given = ask("GET", "/").with_claims(None, members(&claims));
    let told = explainer.explain(&as_given, NOW).unwrap();
    assert_eq!(told.verdict.reason(), Some("token_claim"));
    assert_eq!(told.checks[0].found, "no exp");
    let completed = ask("GET", "/").with_claims(Some("main"), members(&claims));
    let told = explainer.explain(&completed, NOW).unwrap();
    assert_eq!(told.verdict, Verdict::Forwarded);
    let Some(Principal::Known(party)) = told.principal else {
        panic!();
    };
    assert_eq!(party.claims["aud"], "api");
    assert_eq!(party.claims["exp"], NOW.as_secs() + 300);
    assert!(
        told.notes.iter().any(|note| note.ends_with("iat, exp")),
        "{:?}",
        told.notes
    );
    let strange = ask("GET", "/").with_claims(Some("mian"), members(&claims));
    let error = explainer.explain(&strange, NOW).unwrap_err().to_string();
    assert_eq!(error, "there is no issuer called `mian`; one of: main");
}

#[test]
fn a_case_does_not_count_against_the_next_one() {
    let explainer = explainer(
        "routes: [{path: /**, allow: anyone, rate_limit: {by: client_address, requests: 1, per: 1h}}]",
    );
    let once = ask("GET", "/");
    let twice = Case {
        repeat: 2,
        ..once.clone()
    };
    for _ in 0..3 {
        assert_eq!(
            explainer.explain(&once, NOW).unwrap().verdict,
            Verdict::Forwarded
        );
        let told = explainer.explain(&twice, NOW).unwrap();
        assert_eq!(told.verdict.reason(), Some("rate_limited"));
    }
}

#[test]
fn an_observing_route_tells_what_it_does_not_enforce() {
    let explainer =
        explainer("mode: observe\nuntil: 2099-01-01\nroutes: [{path: /**, allow: web}]");
    let told = explainer.explain(&ask("GET", "/"), NOW).unwrap();
    assert_eq!(told.verdict, Verdict::Forwarded);
    assert_eq!(told.observed, Some("no_token"));
    assert!(told.identity.unwrap().headers.is_empty());
}

#[test]
fn invariant_46_a_token_is_never_shown() {
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUub3JnIiwic3ViIjoiY2FuYXJ5In0.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5LXRva2Vu";
    let explainer = explainer(
        "routes: [{path: /**, allow: web}, {path: /opaque, allow: opaque, authorization: forward}]",
    );
    for target in ["/", "/opaque", "/%zz"] {
        let mut case = ask("GET", target);
        case.token = Some(RealToken::new(TOKEN).into());
        let told = explainer.explain(&case, NOW).unwrap();
        for shown in [
            text(&told, Paint::default()),
            told.to_json().to_string(),
            format!("{told:?}"),
        ] {
            for part in TOKEN.split('.') {
                assert!(!shown.contains(part), "{shown}");
            }
        }
    }
}

#[test]
fn invariant_47_an_explanation_cannot_fool_a_terminal() {
    let explainer =
        explainer("routes: [{path: '/{x}', allow: {caller: web, claims: {tenant: a}}}]");
    let case = web(
        ask("GET", "/%E2%80%AEx"),
        &serde_json::json!({"tenant": "\u{1b}[2J\u{202e}\u{9b}31m", "sub": "a\nb"}),
    );
    let told = explainer.explain(&case, NOW).unwrap();
    assert_eq!(told.verdict.reason(), Some("condition_claims"));
    let shown = text(&told, Paint::default());
    let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c);
    assert!(!shown.contains(hostile), "{}", shown.escape_debug());
    assert!(!shown.contains("\nb"), "{shown}");
    let painted = text(&told, Paint { colour: true });
    assert!(painted.contains("\x1b[31m"));
}

#[test]
fn what_keys_elsewhere_would_tell_is_not_guessed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.yaml");
    std::fs::write(
        &path,
        r"
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}
issuers:
  - {name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api], algorithms: [ES256]}
routes: [{path: /**, allow: {issuer: main}}]
",
    )
    .unwrap();
    let explainer = explainer_of(&path);
    let mut case = ask("GET", "/");
    let part = |value: serde_json::Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let token = |exp: i64| {
        format!(
            "{}.{}.c2lnbmF0dXJl",
            part(serde_json::json!({"alg": "ES256", "kid": "1"})),
            part(
                serde_json::json!({"iss": "https://id.example.org", "aud": "api", "sub": "u", "exp": exp})
            ),
        )
    };
    case.token = Some(RealToken::new(&token(NOW.as_secs() + 60)).into());
    let told = explainer.explain(&case, NOW).unwrap();
    assert_eq!(told.verdict, Verdict::Unjudged);
    assert!(
        told.notes.iter().any(|note| note.contains("--fetch")),
        "{:?}",
        told.notes
    );
    // What needs no key is judged all the same.
    case.token = Some(RealToken::new(&token(NOW.as_secs() - 3600)).into());
    let told = explainer.explain(&case, NOW).unwrap();
    assert_eq!(told.verdict.reason(), Some("token_expired"));
    // Claims need no key either.
    let told = explainer
        .explain(&web(ask("GET", "/"), &serde_json::json!({})), NOW)
        .unwrap();
    assert_eq!(told.verdict, Verdict::Forwarded);
}
