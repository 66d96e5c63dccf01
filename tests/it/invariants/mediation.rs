//! Invariants 1, 2, 4 to 8, 36, 37, 38: only what policy allowed reaches the upstream, exactly as it was judged.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bed::standard::{self, standard};
use crate::bed::{
    Bed, Connection, Request, Setup, Upstream, Variant, assert_denied, assert_forwarded, contains,
    forwarded_everywhere, raw_refused_everywhere, reconcile, refused_everywhere,
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

#[test]
fn invariant_36_the_upstream_is_only_the_configured_address() {
    let trap = Upstream::start();
    let trapped = trap.address().to_string();
    let upstream = Upstream::scripted({
        let trapped = trapped.clone();
        move |exchange| exchange.answer(302, &format!("location: http://{trapped}/\r\n"), b"")
    });
    let bed = standard::setup().upstream(upstream).start();
    for request in [
        Request::get("/public").host(&trapped),
        Request::get(&format!("http://{trapped}/public")).host(&trapped),
        Request::get("/public").header("forwarded", &format!("host={trapped}")),
        Request::get("/public").header("x-forwarded-host", &trapped),
        Request::get("/public").header("x-forwarded-server", &trapped),
    ] {
        let response = bed.send(&request).expect(302);
        assert_eq!(
            response.header("location"),
            Some(&*format!("http://{trapped}/"))
        );
    }
    assert_eq!(bed.upstream.requests().len(), 5);
    assert_eq!(trap.connections(), 0);
}

#[test]
fn invariant_37_admin_is_another_listener() {
    let bed = standard();
    for path in [
        "/metrics",
        "/readyz",
        "/livez",
        "/status",
        "/config",
        "/.well-known/jwks.json",
    ] {
        refused_everywhere(&bed, &Request::get(path), 403, "no_route");
    }
    assert!(bed.proxy.admin().ip().is_loopback());
    let ask = |request: &Request| {
        Connection::open(bed.proxy.admin())
            .send(request.bytes())
            .read_to(&request.method)
            .expect("an answer")
    };
    let host = bed.proxy.admin().to_string();
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/status",
        "/",
        "/.well-known/jwks.json",
    ] {
        let answer = ask(&Request::get(path).host(&host)).expect(200);
        assert!(!contains(&answer.body, b"PRIVATE"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        ask(&Request::new(method, "/status").host(&host)).expect(405);
    }
    // A web page that re-binds its own name to 127.0.0.1 must not read admin.
    let status = ask(&Request::get("/status").host("evil.example")).status;
    assert!(matches!(status, 400 | 403 | 421), "{status}");
}

/// Routes in one order; the test permutes them.
const ROUTES: [&str; 6] = [
    "  - {path: /a/**, allow: nobody}\n",
    "  - {path: /a/b, allow: anyone}\n",
    "  - {path: \"/a/{x}\", allow: web}\n",
    "  - {path: /a/b/**, allow: {GET: web}}\n",
    "  - {path: \"/a/{x}/c\", allow: anyone}\n",
    "  - {path: /health, allow: anyone}\n",
];

#[test]
fn invariant_38_the_order_of_rules_changes_no_decision() {
    let decisions = |bed: &Bed| -> Vec<u16> {
        let token = bed.token().sign();
        let mut statuses = Vec::new();
        for path in [
            "/a", "/a/b", "/a/z", "/a/b/c", "/a/z/c", "/a/z/d", "/a/b/c/d", "/x",
        ] {
            for method in ["GET", "POST"] {
                statuses.push(bed.send(&Request::new(method, path)).status);
                statuses.push(bed.send(&Request::new(method, path).bearer(&token)).status);
            }
        }
        statuses
    };
    let lines = |order: &[usize]| {
        let routes: String = order.iter().map(|at| ROUTES[*at]).collect();
        format!("callers: {{web: {{issuer: main, client: web}}}}\nroutes:\n{routes}")
    };
    let bed = Setup::new(&lines(&[0, 1, 2, 3, 4, 5])).start();
    let first = decisions(&bed);
    assert!(
        first.contains(&200)
            && first.contains(&401)
            && first.contains(&403)
            && first.contains(&405),
        "{first:?}"
    );
    for order in [
        [5, 4, 3, 2, 1, 0],
        [1, 0, 3, 2, 5, 4],
        [3, 5, 0, 4, 2, 1],
        [2, 4, 1, 5, 3, 0],
    ] {
        bed.reload(&lines(&order)).expect("the same routes");
        assert_eq!(decisions(&bed), first, "{order:?}");
    }
}

#[test]
fn invariant_38_rules_of_equal_specificity_are_an_error_that_names_both() {
    for (one, other) in [("/a/{x}", "/a/{y}"), ("/a/b", "/a/b"), ("/a/**", "/a/**")] {
        let lines = format!(
            "routes:\n  - {{path: \"{one}\", allow: anyone}}\n  - {{path: \"{other}\", allow: nobody}}\n"
        );
        let error = Setup::new(&lines).try_start().err().expect("a conflict");
        let named = error.contains("routes[1]")
            && error.contains(one)
            && error.contains("the other route is at line");
        assert!(named, "{one} {other}: {error}");
    }
}
