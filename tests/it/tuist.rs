//! Tuist and Atlas: internal endpoints, workload identity, accounts (rows T1 to T20).

use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{
    Bed, Request, Setup, Token, Variant, assert_forwarded, assert_refused, contains, eventually,
    forwarded_everywhere, keys, refused_everywhere,
};

const KUBERNETES: &str = "https://kubernetes.default.svc.cluster.local";

/// The main issuer is the pinned cluster, the second one issues accounts' tokens.
const CONFIG: &str = r#"
issuers:
  - name: atlas
    issuer: https://kubernetes.default.svc.cluster.local
    jwks: {file: "@DIR@/jwks.json"}
    audiences: [tuist-server]
    max_lifetime: 1h
    leeway: 60s
    kubernetes: true
  - name: accounts
    issuer: "@ISSUER2@"
    jwks: {url: "@JWKS2@", allow_http: true}
    audiences: [api]
    claim_mappings: {account: account_handle, scopes: scope}
    scope_implies: {ci: [account:cache:write, project:runs:write], "account:cache:write": [account:cache:read]}
identity:
  headers: {x-auth-subject: subject, x-auth-account: account, x-auth-caller: caller, x-auth-actor: actor.subject}
callers:
  atlas: {issuer: atlas, service_account: atlas-production/atlas}
  tenant: {issuer: accounts}
routes:
  - path: /health
    allow: anyone
  - path: /api/internal/accounts/{account}/usage
    allow:
      GET:
        - {caller: tenant, scopes: [account:usage:read], account: "{account}"}
        - atlas
    answers: atlas
    rate_limit: {by: client_address, before: authentication, requests: 600, per: 1m}
  - path: /api/internal/**
    allow: atlas
    answers: atlas
  - path: /api/accounts/{account}/**
    allow: {caller: tenant, account: "{account}"}
    fold: [account]
  - path: /api/exact/{account}
    allow: {caller: tenant, account: "{account}"}
  - path: /api/own
    allow: {issuer: accounts, account: required}
  - path: /api/any-principal
    allow: [atlas, {caller: tenant, account: required}]
  - path: /api/cache
    allow:
      GET: {caller: tenant, scopes: ["account:cache:read"]}
      PUT: {caller: tenant, scopes: ["account:cache:write"]}
  - path: /api/projects/**
    allow: opaque
    authorization: forward
  - path: /api/ops
    allow: tenant
    actor_token: {header: x-tuist-atlas-identity, issuer: atlas, required: false}
  - path: /api/ops-strict
    allow: {caller: tenant, actor: {issuer: atlas, service_account: atlas-production/atlas}}
    actor_token: {header: x-tuist-atlas-identity, issuer: atlas, required: true}
answers:
  atlas:
    body: {error: "{message}"}
    no_token: {message: missing bearer token}
    invalid_token: {message: invalid token}
    refused: {status: 401, message: unauthorized principal}
    unavailable: {message: workload identity unavailable}
    rate_limited: {message: rate_limited}
  plain:
    body: {message: "{message}"}
"#;

fn bed() -> Bed {
    Setup::bare(CONFIG).issuer_called(KUBERNETES).tls().start()
}

/// A projected ServiceAccount token, as the cluster makes it.
fn workload(bed: &Bed, namespace: &str, name: &str) -> Token {
    bed.token()
        .without("azp")
        .without("scope")
        .without_header("typ")
        .claim("aud", json!(["tuist-server"]))
        .claim("sub", format!("system:serviceaccount:{namespace}:{name}"))
        .claim(
            "kubernetes.io",
            json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": "atlas-uid"}}),
        )
        .expires_in(3600)
}

fn atlas(bed: &Bed) -> Token {
    workload(bed, "atlas-production", "atlas")
}

fn tenant(bed: &Bed, account: &str) -> Token {
    bed.second
        .token()
        .claim("account_handle", account)
        .claim("scope", "account:usage:read")
}

fn usage(account: &str, token: &Token) -> Request {
    Request::get(&format!("/api/internal/accounts/{account}/usage")).bearer(token.sign())
}

#[test]
fn t01_pinned_keys_need_no_network() {
    let bed = bed();
    forwarded_everywhere(&bed, &usage("acme", &atlas(&bed)));
    assert_eq!(bed.issuer.connections(), 0, "no socket was opened");
    let one = |jwks: &str| {
        format!("
issuers:
  - {{name: atlas, issuer: \"{KUBERNETES}\", jwks: {jwks}, audiences: [tuist-server], kubernetes: true, max_lifetime: 1h}}
callers: {{atlas: {{issuer: atlas, service_account: atlas-production/atlas}}}}
routes: [{{path: /x, allow: atlas}}]
")
    };
    let jwks = json!({"keys": [keys::RSA_1.jwk()]});
    for source in [
        format!("{{inline: '{jwks}'}}"),
        format!("{{inline: {jwks}}}"),
        "{file: \"@DIR@/jwks.json\"}".to_owned(),
    ] {
        let bed = Setup::bare(&one(&source)).issuer_called(KUBERNETES).start();
        assert_forwarded(
            &bed,
            Variant::PLAIN,
            &Request::get("/x").bearer(atlas(&bed).sign()),
        );
        assert_eq!(bed.issuer.connections(), 0, "{source}");
    }
    for junk in [
        "{inline: 'junk'}",
        "{inline: '{}'}",
        "{inline: '{\"keys\":[]}'}",
        "{inline: ''}",
        "{file: /nonexistent/jwks.json}",
    ] {
        match Setup::bare(&one(junk))
            .issuer_called(KUBERNETES)
            .try_start()
        {
            Err(error) => assert!(error.contains("jwks"), "{error}"),
            Ok(bed) => assert_eq!(bed.get("/x", &atlas(&bed).sign()).status, 503, "{junk}"),
        }
    }
    let real = include_str!("data/atlas-pinned-jwks.json").replace('\n', " ");
    Setup::bare(&one(&format!("{{inline: '{real}'}}"))).start();
}

#[test]
fn t02_sub_and_the_kubernetes_claims_equal_the_policy() {
    let bed = bed();
    forwarded_everywhere(&bed, &usage("acme", &atlas(&bed)));
    for token in [
        atlas(&bed).claim("sub", "system:serviceaccount:atlas-production:other"),
        atlas(&bed).claim(
            "kubernetes.io",
            json!({"namespace": "other", "serviceaccount": {"name": "atlas"}}),
        ),
        atlas(&bed).claim(
            "kubernetes.io",
            json!({"namespace": "atlas-production", "serviceaccount": {"name": "other"}}),
        ),
        atlas(&bed).claim(
            "kubernetes.io",
            json!({"serviceaccount": {"name": "atlas"}}),
        ),
        atlas(&bed).claim("kubernetes.io", json!([])),
        atlas(&bed).without("kubernetes.io"),
    ] {
        refused_everywhere(
            &bed,
            &usage("acme", &token),
            401,
            "token_service_account|token_claim",
        );
    }
    for (namespace, name) in [
        ("atlas-production", "other"),
        ("other", "atlas"),
        ("atlas", "production-atlas"),
    ] {
        let token = workload(&bed, namespace, name);
        refused_everywhere(
            &bed,
            &usage("acme", &token),
            401,
            "caller_not_allowed|condition_service_account",
        );
    }
}

#[test]
fn t03_a_bounded_lifetime() {
    let bed = bed();
    forwarded_everywhere(&bed, &usage("acme", &atlas(&bed).expires_in(3600)));
    refused_everywhere(
        &bed,
        &usage("acme", &atlas(&bed).expires_in(3601)),
        401,
        "token_lifetime",
    );
    refused_everywhere(
        &bed,
        &usage("acme", &atlas(&bed).without("iat")),
        401,
        "token_lifetime|token_claim",
    );
    for exp in [json!(u64::MAX), json!(1e30), json!(4_102_444_800.5)] {
        let token = atlas(&bed).claim("exp", exp);
        refused_everywhere(
            &bed,
            &usage("acme", &token),
            401,
            "token_lifetime|token_claim|token_malformed",
        );
    }
}

#[test]
fn t04_aud_is_a_string_or_an_array_with_exact_members() {
    let bed = bed();
    for aud in [
        json!("tuist-server"),
        json!(["tuist-server"]),
        json!(["x", "tuist-server"]),
    ] {
        forwarded_everywhere(&bed, &usage("acme", &atlas(&bed).claim("aud", aud)));
    }
    for aud in [
        json!("tuist"),
        json!("tuist-server-2"),
        json!(["tuist-serve"]),
        json!([]),
        json!("x,tuist-server"),
        json!(["tuist-server", 1]),
    ] {
        refused_everywhere(
            &bed,
            &usage("acme", &atlas(&bed).claim("aud", aud)),
            401,
            "token_audience|token_claim|token_malformed",
        );
    }
}

#[test]
fn t05_a_token_without_kid_only_with_one_key_and_the_switch() {
    let go = |config: &str, keys: Vec<Value>| {
        let bed = Setup::bare(config).issuer_called(KUBERNETES).start();
        bed.republish("atlas", keys);
        let with = bed.send(&usage("acme", &atlas(&bed))).status;
        let without = bed
            .send(&usage("acme", &atlas(&bed).without_header("kid")))
            .status;
        (with, without)
    };
    let switched = CONFIG.replacen(
        "    kubernetes: true\n",
        "    kubernetes: true\n    key_id: only_key\n",
        1,
    );
    let one = || vec![keys::RSA_1.jwk()];
    let two = || vec![keys::RSA_1.jwk(), keys::RSA_2.jwk()];
    assert_eq!(go(CONFIG, one()), (200, 401));
    assert_eq!(go(CONFIG, two()), (200, 401));
    assert_eq!(go(&switched, one()), (200, 200));
    assert_eq!(go(&switched, two()), (200, 401));
}

#[test]
fn t06_a_wrong_principals_status_is_configurable() {
    let bed = bed();
    let other = workload(&bed, "atlas-production", "other");
    let response = bed.send(&usage("acme", &other)).expect(401);
    assert_eq!(response.text(), "{\"error\":\"unauthorized principal\"}");
    let usual = CONFIG.replace("refused: {status: 401, message", "refused: {message");
    let bed = Setup::bare(&usual).issuer_called(KUBERNETES).start();
    let other = workload(&bed, "atlas-production", "other");
    let response = bed.send(&usage("acme", &other)).expect(403);
    assert_eq!(response.text(), "{\"error\":\"unauthorized principal\"}");
    assert_forwarded(&bed, Variant::PLAIN, &usage("acme", &atlas(&bed)));
}

#[test]
fn t07_exact_bodies_per_route() {
    let bed = bed();
    let path = "/api/internal/accounts/acme/usage";
    assert_eq!(
        bed.send(&Request::get(path)).expect(401).text(),
        "{\"error\":\"missing bearer token\"}"
    );
    assert_eq!(
        bed.get(path, "x.y.z").expect(401).text(),
        "{\"error\":\"invalid token\"}"
    );
    let plain = CONFIG.replace("    answers: atlas\n", "    answers: plain\n");
    let bed = Setup::bare(&plain).issuer_called(KUBERNETES).start();
    let response = bed.send(&Request::get(path)).expect(401);
    assert_eq!(
        response
            .json()
            .as_object()
            .map(|body| body.keys().cloned().collect()),
        Some(vec!["message".to_owned()])
    );
    let problem = bed.send(&Request::get("/api/own")).expect(401);
    assert_eq!(
        problem.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(problem.json()["status"], 401);
    assert_forwarded(&bed, Variant::PLAIN, &usage("acme", &atlas(&bed)));
}

#[test]
fn t08_rate_limit_per_client_address_before_authentication() {
    let bed = Setup::bare(CONFIG)
        .issuer_called(KUBERNETES)
        .workers(2)
        .start();
    let bytes = Request::get("/api/internal/accounts/acme/usage")
        .bearer("bad")
        .bytes();
    let mut limited = 0;
    for _ in 0..601 {
        let response = bed.proxy.connect().exchange(&bytes);
        if response.status == 429 {
            limited += 1;
            assert!(response.header("retry-after").is_some());
            assert_eq!(response.text(), "{\"error\":\"rate_limited\"}");
        } else {
            assert_eq!(response.status, 401);
        }
    }
    assert_eq!(limited, 1, "the 601st");
    assert_eq!(
        bed.send(&usage("acme", &atlas(&bed))).status,
        429,
        "a good token does not help"
    );
    assert_eq!(bed.upstream.connections(), 0);
    assert_eq!(
        bed.send(&Request::get("/health")).status,
        200,
        "other routes are not limited"
    );
    bed.clock.advance(Duration::from_secs(61));
    assert_eq!(bed.send(&usage("acme", &atlas(&bed))).status, 200);
}

#[test]
fn t08_rate_limit_per_principal_after_authentication() {
    let lines = "
callers: {web: {issuer: main}}
routes: [{path: /x, allow: web, rate_limit: {by: principal, requests: 3, per: 1m}}]
";
    let bed = Setup::new(lines).start();
    let alice = bed.token().sign();
    let bob = bed.token().claim("sub", "bob").sign();
    for _ in 0..5 {
        assert_eq!(
            bed.get("/x", "bad").status,
            401,
            "refused ones do not count"
        );
    }
    for _ in 0..3 {
        assert_eq!(bed.get("/x", &alice).status, 200);
    }
    let response = assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/x").bearer(&alice),
        429,
        "rate_limited",
    );
    assert!(response.header("retry-after").is_some());
    let other_token = bed.token().claim("jti", "another").sign();
    assert_eq!(
        bed.get("/x", &other_token).status,
        429,
        "the principal counts, not the token"
    );
    assert_eq!(bed.get("/x", &bob).status, 200);
    bed.clock.advance(Duration::from_secs(61));
    assert_eq!(bed.get("/x", &alice).status, 200);
}

#[test]
fn t09_a_second_token_absent_invalid_and_valid() {
    let bed = bed();
    let header = "x-tuist-atlas-identity";
    let user = tenant(&bed, "acme").sign();
    let actor = atlas(&bed).sign();
    let ops = || Request::get("/api/ops").bearer(&user);
    let seen = assert_forwarded(&bed, Variant::PLAIN, &ops());
    assert_eq!(
        (seen.header("x-auth-actor"), seen.header(header)),
        (None, None)
    );
    let seen = assert_forwarded(&bed, Variant::PLAIN, &ops().header(header, &actor));
    assert_eq!(
        seen.header("x-auth-actor"),
        Some("system:serviceaccount:atlas-production:atlas")
    );
    assert_eq!(seen.header(header), None, "never passed as it came");
    assert!(!contains(&seen.bytes(), actor.as_bytes()));
    for bad in [
        "garbage".to_owned(),
        atlas(&bed).expires_in(-100).sign(),
        user.clone(),
        atlas(&bed).signed_by(&keys::RSA_2).sign(),
    ] {
        refused_everywhere(
            &bed,
            &ops().header(header, &bad),
            401,
            "actor_invalid|several_credentials",
        );
    }
    refused_everywhere(
        &bed,
        &Request::get("/api/ops").header(header, &actor),
        401,
        "no_token",
    );
    let strict = || Request::get("/api/ops-strict").bearer(&user);
    refused_everywhere(&bed, &strict(), 401, "actor_missing");
    forwarded_everywhere(&bed, &strict().header(header, &actor));
    let other = workload(&bed, "atlas-production", "other").sign();
    refused_everywhere(
        &bed,
        &strict().header(header, &other),
        403,
        "condition_actor|caller_not_allowed",
    );
    let elsewhere = Request::get("/api/own")
        .bearer(&user)
        .header(header, &actor);
    let seen = assert_forwarded(&bed, Variant::PLAIN, &elsewhere);
    assert_eq!(
        seen.header(header),
        None,
        "a route that takes none strips it"
    );
    let seen = assert_forwarded(
        &bed,
        Variant::PLAIN,
        &ops().header("x_tuist_atlas_identity", &actor),
    );
    assert!(
        !contains(&seen.bytes(), actor.as_bytes()),
        "no other spelling passes"
    );
}

#[test]
fn t10_several_policies_by_prefix() {
    let bed = bed();
    let (workload, user) = (atlas(&bed).sign(), tenant(&bed, "acme").sign());
    forwarded_everywhere(&bed, &Request::get("/api/internal/jobs").bearer(&workload));
    refused_everywhere(
        &bed,
        &Request::get("/api/internal/jobs").bearer(&user),
        401,
        "caller_not_allowed",
    );
    forwarded_everywhere(&bed, &Request::get("/api/accounts/acme/x").bearer(&user));
    refused_everywhere(
        &bed,
        &Request::get("/api/accounts/acme/x").bearer(&workload),
        403,
        "caller_not_allowed",
    );
    for path in ["/api", "/api/unknown", "/", "/apix/internal"] {
        for token in [&workload, &user] {
            refused_everywhere(&bed, &Request::get(path).bearer(token), 403, "no_route");
        }
    }
}

#[test]
fn t11_account_in_the_path_exactly_or_folded() {
    let bed = bed();
    let go = |path: &str, account: &str| Request::get(path).bearer(tenant(&bed, account).sign());
    for (path, account) in [
        ("/api/accounts/acme/x", "acme"),
        ("/api/accounts/ACME/x", "acme"),
        ("/api/accounts/acme/x", "ACME"),
        ("/api/exact/acme", "acme"),
        ("/api/exact/%61cme", "acme"),
        ("/api/exact/a_b", "a_b"),
    ] {
        forwarded_everywhere(&bed, &go(path, account));
    }
    for (path, account) in [
        ("/api/exact/ACME", "acme"),
        ("/api/exact/acme", "ACME"),
        ("/api/accounts/acmf/x", "acme"),
        ("/api/accounts/ac%20me/x", "acme"),
        ("/api/exact/a-b", "a_b"),
        ("/api/exact/a%5Fb", "aXb"),
        ("/api/exact/_", "a"),
    ] {
        refused_everywhere(&bed, &go(path, account), 403, "account_mismatch");
    }
    for path in [
        "/api/exact/%2561cme",
        "/api/exact/acme%2F..",
        "/api/exact/acme%2fx",
        "/api/accounts/acme/../other/x",
        "/api/exact/%25%36%31cme%2541",
    ] {
        let status = bed.send(&go(path, "acme")).status;
        assert_eq!(status, 400, "{path}");
    }
    assert!(
        bed.upstream
            .requests()
            .iter()
            .all(|request| !request.target.contains("%25"))
    );
}

#[test]
fn t12_scope_groups_and_write_implies_read_only_where_configured() {
    let bed = bed();
    let go = |method: &str, scope: &str| {
        Request::new(method, "/api/cache").bearer(tenant(&bed, "acme").claim("scope", scope).sign())
    };
    for (method, scope) in [
        ("PUT", "ci"),
        ("GET", "ci"),
        ("PUT", "account:cache:write"),
        ("GET", "account:cache:write"),
        ("GET", "account:cache:read"),
    ] {
        forwarded_everywhere(&bed, &go(method, scope));
    }
    for (method, scope) in [
        ("PUT", "account:cache:read"),
        ("GET", "project:runs:write"),
        ("PUT", "cix"),
        ("GET", "account:cache"),
    ] {
        refused_everywhere(&bed, &go(method, scope), 403, "scope_missing");
    }
    let without = CONFIG.replace(", \"account:cache:write\": [account:cache:read]", "");
    let bed = Setup::bare(&without).issuer_called(KUBERNETES).start();
    let token = tenant(&bed, "acme")
        .claim("scope", "account:cache:write")
        .sign();
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/api/cache").bearer(token),
        403,
        "scope_missing",
    );
}

#[test]
fn t13_opaque_tokens_pass_untouched_on_named_prefixes_only_without_identity() {
    let bed = bed();
    let opaque = "tuist_0190a1b2_c3d4e5f6";
    for variant in Variant::ALL {
        let seen = assert_forwarded(
            &bed,
            variant,
            &Request::get("/api/projects/x").bearer(opaque),
        );
        assert_eq!(
            seen.header("authorization"),
            Some(&*format!("Bearer {opaque}"))
        );
        for name in ["x-auth-subject", "x-auth-account", "x-auth-caller"] {
            assert_eq!(seen.header(name), None);
        }
    }
    for path in [
        "/api/own",
        "/api/cache",
        "/api/accounts/acme/x",
        "/api/internal/jobs",
    ] {
        refused_everywhere(
            &bed,
            &Request::get(path).bearer(opaque),
            401,
            "token_malformed|token_scheme",
        );
    }
    refused_everywhere(&bed, &Request::get("/api/projects/x"), 401, "no_token");
    let forged = tenant(&bed, "acme").signed_by(&keys::ES256_1).sign();
    let status = bed.get("/api/projects/x", &forged).status;
    assert_eq!(status, 401, "what is shaped like a JWT must verify");
    let twice = Request::get("/api/projects/x")
        .bearer(opaque)
        .bearer(opaque);
    refused_everywhere(&bed, &twice, 400, "several_credentials");
}

#[test]
fn t14_the_verified_principal_as_trusted_headers() {
    let bed = bed();
    let forged = |request: Request| {
        request
            .header("X-Auth-Account", "evil")
            .header("x_auth_account", "evil")
            .header("x-auth.account", "evil")
            .header("X_AUTH_SUBJECT", "evil")
            .header("x-auth-caller", "evil")
    };
    let seen = assert_forwarded(
        &bed,
        Variant::PLAIN,
        &forged(usage("acme", &tenant(&bed, "acme"))),
    );
    assert_eq!(seen.all("x-auth-account"), ["acme"]);
    assert_eq!(seen.all("x-auth-caller"), ["tenant"]);
    assert!(!contains(&seen.bytes(), b"evil"), "{:?}", seen.headers);
    let seen = assert_forwarded(&bed, Variant::PLAIN, &forged(Request::get("/health")));
    assert!(!contains(&seen.bytes(), b"evil"), "{:?}", seen.headers);
    let seen = assert_forwarded(&bed, Variant::PLAIN, &usage("acme", &atlas(&bed)));
    assert_eq!(seen.header("x-auth-caller"), Some("atlas"));
    assert_eq!(seen.header("x-auth-account"), None, "absent is not sent");
}

#[test]
fn t15_pinned_keys_rotate_without_a_restart() {
    let bed = bed();
    let file = bed.dir.path().join("jwks.json");
    let old = usage("acme", &atlas(&bed));
    let new = usage("acme", &atlas(&bed).key(&keys::RSA_2));
    assert_eq!((bed.send(&old).status, bed.send(&new).status), (200, 401));
    bed.republish("atlas", vec![keys::RSA_1.jwk(), keys::RSA_2.jwk()]);
    assert_eq!((bed.send(&old).status, bed.send(&new).status), (200, 200));
    bed.republish("atlas", vec![keys::RSA_2.jwk()]);
    assert_eq!((bed.send(&old).status, bed.send(&new).status), (401, 200));
    std::fs::write(&file, "half a docum").expect("a file");
    bed.clock.advance(Duration::from_secs(16));
    bed.proxy
        .await_issuer_events("jwks.refresh_failed", "atlas", 1);
    assert_eq!(
        (bed.send(&old).status, bed.send(&new).status),
        (503, 200),
        "the keys that are held serve on"
    );
}

#[test]
fn t15_a_changed_key_file_is_noticed_without_being_told() {
    let bed = Setup::bare(CONFIG)
        .issuer_called(KUBERNETES)
        .system_clock()
        .start();
    let new = || usage("acme", &atlas(&bed).key(&keys::RSA_2));
    assert_eq!(bed.send(&new()).status, 401);
    bed.issuer.publish(vec![keys::RSA_2.jwk()]);
    bed.issuer.write_jwks(&bed.dir.path().join("jwks.json"));
    eventually("the new key works", || bed.send(&new()).status == 200);
}

#[test]
fn t17_token_as_the_basic_password_where_the_issuer_says_so() {
    use base64::Engine;
    let opted = CONFIG.replace(
        "    audiences: [api]\n",
        "    audiences: [api]\n    token_sources: [basic_password]\n",
    );
    let bed = Setup::bare(&opted).issuer_called(KUBERNETES).tls().start();
    let basic = |user: &str, password: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Request::get("/api/own").header("authorization", &format!("Basic {pair}"))
    };
    let token = tenant(&bed, "acme").sign();
    for user in ["x", "", "token"] {
        let variant = Variant::PLAIN;
        let seen = assert_forwarded(&bed, variant, &basic(user, &token));
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-auth-account"), Some("acme"));
    }
    forwarded_everywhere(&bed, &basic("x", &token));
    for password in ["", "wrong", &tenant(&bed, "acme").expires_in(-100).sign()] {
        let status = bed.send(&basic("x", password)).status;
        assert_eq!(status, 401);
    }
    let strict = self::bed();
    let token = tenant(&strict, "acme").sign();
    refused_everywhere(
        &strict,
        &basic("x", &token),
        401,
        "token_scheme|no_token|token_malformed",
    );
    let not_opted = Request::get("/api/internal/jobs");
    let pair =
        base64::engine::general_purpose::STANDARD.encode(format!("x:{}", atlas(&bed).sign()));
    let status = bed
        .send(&not_opted.header("authorization", &format!("Basic {pair}")))
        .status;
    assert_eq!(status, 401, "the other issuer did not opt in");
}

#[test]
fn t18_the_same_scope_is_ones_own_account_for_a_tenant_and_all_for_the_service() {
    let bed = bed();
    let token = tenant(&bed, "acme");
    forwarded_everywhere(&bed, &usage("acme", &token));
    refused_everywhere(&bed, &usage("other", &token), 401, "account_mismatch");
    refused_everywhere(
        &bed,
        &usage("acme", &token.claim("scope", "account:cache:read")),
        401,
        "scope_missing",
    );
    let service = atlas(&bed).claim("scope", "account:usage:read");
    for account in ["acme", "other", "third"] {
        forwarded_everywhere(&bed, &usage(account, &service));
    }
    let records = bed.proxy.records();
    let callers: std::collections::BTreeSet<_> = records
        .iter()
        .filter_map(|record| record["caller"].as_str())
        .collect();
    assert!(
        callers.contains("tenant") && callers.contains("atlas"),
        "{callers:?}"
    );
}

#[test]
fn t19_service_principals_are_refused_where_an_account_is_needed() {
    let bed = bed();
    let service = bed.second.token().sign();
    refused_everywhere(
        &bed,
        &Request::get("/api/any-principal").bearer(&service),
        403,
        "account_required",
    );
    let own = Request::get("/api/own").bearer(&service);
    assert_refused(&bed, Variant::PLAIN, &own, 403, "account_required");
    let empty = Request::get("/api/own").bearer(tenant(&bed, "").sign());
    let status = bed.send(&empty).status;
    assert!(matches!(status, 401 | 403), "{status}");
    assert!(
        bed.upstream
            .requests()
            .iter()
            .all(|request| request.target == "/health")
    );
    forwarded_everywhere(
        &bed,
        &Request::get("/api/own").bearer(tenant(&bed, "acme").sign()),
    );
    forwarded_everywhere(
        &bed,
        &Request::get("/api/any-principal").bearer(atlas(&bed).sign()),
    );
}

#[test]
fn t20_what_could_be_taken_for_one_another_is_a_configuration_error() {
    let issuer = |name: &str, iss: &str| {
        format!(
            "  - {{name: {name}, issuer: \"{iss}\", jwks: {{file: \"@DIR@/jwks.json\"}}, audiences: [api]}}\n"
        )
    };
    let tail = "routes: [{path: /x, allow: anyone}]\n";
    let twins = [
        (
            format!(
                "issuers:\n{}{}{tail}",
                issuer("one", "https://a.test"),
                issuer("two", "https://a.test")
            ),
            ["one", "two"],
        ),
        (
            format!(
                "issuers:\n{}{}{tail}",
                issuer("same", "https://a.test"),
                issuer("same", "https://b.test")
            ),
            ["same", "the other is at line"],
        ),
        (
            format!(
                "issuers:\n{}callers: {{first: {{issuer: one, client: c}}, second: {{issuer: one, client: c}}}}\n{tail}",
                issuer("one", "https://a.test")
            ),
            ["first", "second"],
        ),
    ];
    for (lines, names) in &twins {
        let error = Setup::bare(lines).try_start().err().expect("a conflict");
        for name in names {
            assert!(error.contains(name), "{name}: {error}");
        }
    }
    for reserved in ["anyone", "anonymous", "opaque", "nobody"] {
        let lines = format!(
            "issuers:\n{}callers: {{{reserved}: {{issuer: one}}}}\n{tail}",
            issuer("one", "https://a.test")
        );
        let error = Setup::bare(&lines)
            .try_start()
            .err()
            .expect("a reserved name");
        assert!(error.contains(reserved), "{error}");
    }
    let fine = format!(
        "issuers:\n{}{}callers: {{all: {{issuer: one}}, some: {{issuer: one, client: c}}}}\n{tail}",
        issuer("one", "https://a.test"),
        issuer("two", "https://b.test")
    );
    Setup::bare(&fine).start();
}

#[test]
#[cfg(target_os = "linux")]
fn t16_a_way_around_the_proxy_is_noticed() {
    let readiness = |bed: &Bed| {
        let answer = bed.proxy.admin_get("/status");
        let status: Value = serde_json::from_slice(&answer.body).expect("JSON");
        status["readiness"]["degraded"].to_string()
    };
    // The twin: the application listens on 127.0.0.1, and only the proxy reaches it from elsewhere.
    let bed = bed();
    assert!(!readiness(&bed).contains("around the proxy"));

    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = everywhere.local_addr().expect("an address").port();
    let bed = Setup::new("routes: [{path: /open, allow: anyone}]")
        .upstream_url(&format!("http://127.0.0.1:{port}"))
        .start();
    bed.proxy.await_event("upstream.exposed");
    assert!(readiness(&bed).contains("around the proxy"));
    assert!((bed.proxy.metric("countersign_upstream_exposed", "plain") - 1.0).abs() < 0.1);

    drop(everywhere);
    bed.clock.advance(Duration::from_secs(11));
    eventually("the way is closed", || {
        !readiness(&bed).contains("around the proxy")
    });
}
