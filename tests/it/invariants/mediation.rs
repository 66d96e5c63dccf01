//! Invariants 1, 2, 4 to 8: only what policy allowed reaches the upstream, exactly as it was judged.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bed::standard::{self, standard};
use crate::bed::{
    Request, Variant, assert_denied, assert_forwarded, contains, forwarded_everywhere,
    raw_refused_everywhere, reconcile, refused_everywhere,
};

/// Methods that nobody may use without a token, well-formed or not.
const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "GET!", "get",
    "PROPFIND", "G", "PRI",
];

/// Paths that are not open, by design or by trick.
const PROTECTED: &[&str] = &[
    "/",
    "/admin",
    "/admin/",
    "/admin/x",
    "/orders",
    "/orders/1?x=/public",
    "/users/a/data",
    "/debug/x",
    "/unknown",
    "/Public",
    "/public/",
    "/public/x",
    "/publicx",
    "/%70ublic/..",
    "/public/../admin",
    "/public/%2e%2e/admin",
    "/public/..;/admin",
    "/public%2f..%2fadmin",
    "/public\\..\\admin",
    "//admin",
    "//public",
    "/admin%00",
    "/%c0%ae%c0%ae/admin",
    "/a%zz",
    "/a%252fb",
    "/health;x",
    "*",
    "admin",
    "evil:80",
    "http://evil/public",
    "http://evil/admin",
    "/admin#/public",
    "/./public",
    "",
];

#[test]
fn invariant_01_nothing_reaches_the_upstream_without_a_grant() {
    let bed = standard();
    // A good token that no route grants anything: policy has to say so.
    let stranger = bed.token().claim("azp", "stranger").sign();
    let mut sent = 0;
    for method in METHODS {
        for path in PROTECTED {
            for token in ["", "x.y.z", &stranger] {
                let request = Request::new(method, path);
                let request = match token {
                    "" => request,
                    token => request.bearer(token),
                };
                let mut connection = bed.proxy.connect();
                let response = connection.send(request.bytes()).read_head();
                let status = response.map_or(400, |response| response.status);
                assert!((400..500).contains(&status), "{status} for {request:?}");
                sent += 1;
                // GET in all variants, the other methods in one after the other.
                let all = Variant::ALL.into_iter().enumerate();
                for (_, variant) in all.filter(|(at, _)| *method == "GET" || sent % 6 == *at) {
                    if variant.can_say(&request) && !path.is_empty() {
                        assert_denied(&bed, variant, &request);
                    }
                }
            }
        }
    }
    let warmed = Request::get("/health").target;
    let seen = bed.upstream.requests();
    assert!(
        seen.iter().all(|request| request.target == warmed),
        "after {sent} requests"
    );
    forwarded_everywhere(&bed, &Request::get("/any/thing").bearer(bed.token().sign()));
    forwarded_everywhere(&bed, &Request::get("/public"));
    reconcile(&bed);
}

#[test]
fn invariant_01_nothing_but_a_preflight_passes_as_one() {
    let cors = "cors: {origins: [https://app.example.org], preflight: forward}";
    let bed = standard::setup().inbound(cors).start();
    let ask = |method: &str, path: &str, origin: &str, wanted: &str| {
        Request::new(method, path)
            .header("origin", origin)
            .header("access-control-request-method", wanted)
    };
    let ours = "https://app.example.org";
    for method in ["GET", "POST", "DELETE"] {
        let request = ask(method, "/any/x", ours, "GET");
        refused_everywhere(&bed, &request, 401, "no_token");
    }
    for (path, origin, wanted) in [
        ("/any/x", "https://evil.example", "GET"),
        ("/any/x", "https://app.example.org.evil.example", "GET"),
        ("/any/x", "null", "GET"),
        ("/any/x", ours, "get"),
        ("/any/x", ours, ""),
        ("/admin/x", ours, "PROPFIND"),
    ] {
        let request = ask("OPTIONS", path, origin, wanted);
        refused_everywhere(&bed, &request, 401, "no_token");
    }
    let nobodys = ask("OPTIONS", "/debug/x", ours, "GET");
    refused_everywhere(&bed, &nobodys, 403, "nobody_may");
    forwarded_everywhere(&bed, &ask("OPTIONS", "/any/x", ours, "GET"));
}

/// Targets that are unambiguous and must arrive as they were sent.
const TARGETS: &[&str] = &[
    "/any",
    "/any/",
    "/any/x",
    "/any/a%20b",
    "/any/%61dmin",
    "/%61ny/x",
    "/any/%C3%A9",
    "/any/x?",
    "/any/x?a=b&c=%2f..%2f//;",
    "/any/~!$&'()*+,=:@",
    "/any/x?q=/../../admin",
    "/any/x?%00%zz\\",
    "/any/x?a?b??",
    "/any/%41%42?%61",
    "/any/%25",
    "/any/%25zz",
    "/any/100%25-sure",
    "/any/a.b..c/...",
];

#[test]
fn invariant_02_the_target_that_was_judged_is_the_target_that_is_sent() {
    let bed = standard();
    let token = bed.token().sign();
    for target in TARGETS {
        for variant in Variant::ALL {
            let request = Request::get(target).bearer(&token);
            if variant.can_say(&request) {
                let seen = assert_forwarded(&bed, variant, &request);
                assert_eq!(seen.target, *target, "{variant:?}");
            }
        }
    }
}

#[test]
fn invariant_02_random_targets_arrive_byte_for_byte_or_not_at_all() {
    let bed = standard();
    let token = bed.token().sign();
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9._~!$&'()*+,=:@-]{1,6}",
        2 => Just("/".to_owned()),
        2 => "%[0-9a-fA-F]{2}",
        1 => "%[0-9a-zA-Z]{1,2}",
        1 => Just("..".to_owned()),
        1 => "[?;\\\\|^`{}\"<>\\[\\]]",
    ];
    let targets = proptest::collection::vec(piece, 0..8)
        .prop_map(|pieces| format!("/any/{}", pieces.concat()));
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&targets, |target| {
        let before = bed.upstream.requests().len();
        let response = bed.get(&target, &token);
        let requests = bed.upstream.requests();
        if response.status == 200 {
            prop_assert_eq!(requests.len(), before + 1);
            prop_assert_eq!(&requests[before].target, &target);
        } else {
            prop_assert!(
                matches!(response.status, 400 | 403),
                "{} for {}",
                response.status,
                target
            );
            prop_assert_eq!(requests.len(), before);
        }
        Ok(())
    });
    outcome.expect("every target");
}

#[test]
fn invariant_04_a_fragment_never_splits_policy_from_upstream() {
    let bed = standard();
    for target in [
        "/admin#/public",
        "/public#/../admin",
        "/public#",
        "/any/x#y",
        "/public?x#y",
    ] {
        let bytes = Request::get(target).bytes();
        raw_refused_everywhere(&bed, &bytes, 400, "malformed_target|malformed_syntax");
    }
    forwarded_everywhere(&bed, &Request::get("/public"));
    for sent in bed.upstream.requests() {
        assert!(!contains(&sent.bytes(), b"#"), "{}", sent.target);
    }
}

#[test]
fn invariant_05_the_query_takes_no_part_in_matching() {
    let bed = standard();
    for target in [
        "/admin?/health",
        "/admin?x=/public/",
        "/admin?/../public",
        "/admin?account=a",
    ] {
        refused_everywhere(&bed, &Request::get(target), 401, "no_token");
        let web = bed.token().sign();
        refused_everywhere(
            &bed,
            &Request::get(target).bearer(web),
            403,
            "caller_not_allowed|condition_client",
        );
    }
    let other = bed.token().claim("account", "b").sign();
    let request = Request::get("/users/a/data?account=b").bearer(other);
    refused_everywhere(&bed, &request, 403, "account_mismatch");
    let own = bed.token().claim("account", "a").sign();
    forwarded_everywhere(&bed, &Request::get("/users/a/data?account=b").bearer(own));
    forwarded_everywhere(&bed, &Request::get("/public?/admin"));
}

#[test]
fn invariant_06_exempt_and_prefix_rules_match_whole_segments() {
    let bed = standard();
    for target in [
        "/health-admin",
        "/healthz",
        "/health/x",
        "/HEALTH",
        "/x/health",
        "/health%20",
        "/health.",
        "/health/",
        "/Health",
        "/healt",
        "/pki/ca/prod-backup",
        "/pki/ca/PROD",
        "/pki/ca/prod%20",
        "/pki/ca",
        "/x/pki/ca/prod",
    ] {
        refused_everywhere(&bed, &Request::get(target), 403, "no_route|near_miss");
    }
    for target in [
        "/health",
        "/%68ealth",
        "/pki/ca/prod",
        "/pki/ca/prod/",
        "/pki/ca/prod/x/y",
        "/public",
    ] {
        forwarded_everywhere(&bed, &Request::get(target));
    }
}

/// What legacy frameworks and proxies let a client say about the path.
const OVERRIDES: &[&str] = &[
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-envoy-original-path",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

#[test]
fn invariant_07_only_the_requests_own_method_and_path_decide() {
    let bed = standard();
    for name in OVERRIDES {
        for value in ["/public", "GET", "for=127.0.0.1;path=/public"] {
            refused_everywhere(
                &bed,
                &Request::get("/admin").header(name, value),
                401,
                "no_token",
            );
        }
    }
    for agent in [
        "kube-probe/1.31",
        "ELB-HealthChecker/2.0",
        "GoogleHC/1.0",
        "Consul Health Check",
    ] {
        refused_everywhere(
            &bed,
            &Request::get("/admin").header("user-agent", agent),
            401,
            "no_token",
        );
    }
    let mut request = Request::get("/any/x").bearer(bed.token().sign());
    for name in OVERRIDES {
        request = request.header(name, "evil-value");
    }
    for variant in Variant::ALL {
        let seen = assert_forwarded(&bed, variant, &request);
        assert!(
            !contains(&seen.bytes(), b"evil-value"),
            "{:?}",
            seen.headers
        );
    }
}

#[test]
fn invariant_08_an_exempt_request_carries_no_identity() {
    let bed = standard();
    let token = bed.token().sign();
    for request in [
        Request::get("/public"),
        Request::get("/public").bearer(&token),
        Request::get("/public").bearer("garbage"),
        Request::get("/public")
            .header("x-auth-subject", "root")
            .header("X-Auth-Account", "root"),
        Request::get("/public").header("x-auth-assertion", "e30.e30.e30"),
    ] {
        for variant in Variant::ALL {
            let seen = assert_forwarded(&bed, variant, &request);
            for name in [
                "x-auth-subject",
                "x-auth-client",
                "x-auth-account",
                "x-auth-scopes",
                "authorization",
            ] {
                assert_eq!(seen.header(name), None, "{variant:?} {name}");
            }
            let claims = assertion_claims(seen.header("x-auth-assertion").expect("an assertion"));
            assert_eq!(claims["anonymous"], true, "{claims}");
            assert_eq!(claims.get("sub"), None, "{claims}");
        }
    }
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(&token));
    assert_eq!(seen.header("x-auth-subject"), Some("alice"));
    let claims = assertion_claims(seen.header("x-auth-assertion").expect("an assertion"));
    assert_eq!(
        (&claims["sub"], claims.get("anonymous")),
        (&"alice".into(), None)
    );
}

fn assertion_claims(assertion: &str) -> serde_json::Value {
    use base64::Engine;
    let payload = assertion.split('.').nth(1).expect("three parts");
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
    serde_json::from_slice(&json.expect("base64url")).expect("JSON")
}
