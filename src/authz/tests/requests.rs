//! From a request to its route.

use super::*;

#[test]
fn s08_invariant_05_06_exempt_paths_are_exact_and_the_query_takes_no_part() {
    let policy = smartem();
    for path in [
        "/health",
        "/status",
        "/%73tatus",
        "/docs?x=/debug",
        "/openapi.json",
    ] {
        let routed = ask("GET", path).route(&policy).unwrap();
        assert_eq!(&**routed.route().name(), "exempt", "{path}");
        assert_eq!(routed.demand(), Demand::Public);
        assert_eq!(routed.generation(), 7);
        assert_eq!(
            ask("GET", path).decide(&policy, Principal::Anonymous),
            Ok(None)
        );
    }
    for path in ["/Health", "/status/", "/STATUS/", "/%53tatus"] {
        assert_eq!(
            ask("GET", path).owner(&policy),
            Err(Rejection::NearMiss),
            "{path}"
        );
    }
    let empty = Rejection::AmbiguousPath(PathFault::EmptySegment);
    assert_eq!(ask("GET", "//status").owner(&policy), Err(empty));
    for path in [
        "/statuss",
        "/status/x",
        "/x/status",
        "/status%20",
        "/x?/status",
    ] {
        assert_eq!(
            ask("GET", path).owner(&policy).as_deref(),
            Ok("rest"),
            "{path}"
        );
    }
}

#[test]
fn s19_methods_and_paths_per_client() {
    let policy = smartem();
    let (user, agent) = (
        client("dls", "SmartEM_User"),
        client("dls", "SmartEM_Agent"),
    );
    let refused = || Err(Rejection::Forbidden(Refusal::Caller));
    let named = |name: &str| Ok(Some(name.to_owned()));
    for (method, path, of_user, of_agent) in [
        ("GET", "/acquisitions", named("user"), named("agent")),
        ("HEAD", "/acquisitions", named("user"), named("agent")),
        ("POST", "/acquisitions", refused(), named("agent")),
        ("DELETE", "/acquisitions/1", refused(), named("agent")),
        ("GET", "/agent/7/session", refused(), named("agent")),
        ("POST", "/agent/7/session", refused(), named("agent")),
    ] {
        assert_eq!(
            ask(method, path).decide(&policy, user.clone()),
            of_user,
            "{method} {path}"
        );
        assert_eq!(
            ask(method, path).decide(&policy, agent.clone()),
            of_agent,
            "{method} {path}"
        );
    }
    let nobody = Err(Rejection::Forbidden(Refusal::Nobody));
    for path in ["/debug", "/debug/", "/debug/x", "/%64ebug"] {
        assert_eq!(
            ask("GET", path).decide(&policy, agent.clone()),
            nobody,
            "{path}"
        );
    }
    assert_eq!(
        ask("GET", "/Debug/x").decide(&policy, agent),
        Err(Rejection::NearMiss)
    );
}

#[test]
fn invariant_29_methods_are_exact_and_the_owner_answers_for_them() {
    let mut get = route("get", &["/get"], Access::Anyone);
    get.table = table(vec![
        (&["PUT", "GET"], Access::Anyone),
        (&["DELETE"], Access::Nobody),
        (
            &["PROPFIND"],
            rules(vec![Alternative::of_issuer("i".into(), vec![])]),
        ),
    ]);
    let policy = policy([get, route("all", &["/**"], Access::Anyone)]);
    let allow = || {
        let allow = "GET, PROPFIND, PUT".into();
        Err(Rejection::MethodNotAllowed { allow })
    };
    for method in ["HEAD", "POST", "get", "Get", "GET!", "OPTIONS", "MKCOL"] {
        assert_eq!(ask(method, "/get").owner(&policy), allow(), "{method}");
    }
    for method in ["GET", "PUT", "PROPFIND"] {
        assert_eq!(
            ask(method, "/get").owner(&policy).as_deref(),
            Ok("get"),
            "{method}"
        );
    }
    assert_eq!(
        ask("DELETE", "/get").owner(&policy),
        Err(Rejection::Forbidden(Refusal::Nobody))
    );
    for method in TABLELESS_METHODS {
        assert_eq!(
            ask(method.as_str(), "/x").owner(&policy).as_deref(),
            Ok("all"),
            "{method}"
        );
    }
    let allow = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT".into();
    assert_eq!(
        ask("PROPFIND", "/x").owner(&policy),
        Err(Rejection::MethodNotAllowed { allow })
    );
}

#[test]
fn invariant_28_upgrades_pass_on_routes_that_name_the_protocol() {
    let mut socket = route("socket", &["/socket"], Access::Anyone);
    socket.upgrade = texts(&["websocket"]);
    let policy = policy([socket, route("all", &["/**"], Access::Anyone)]);
    let upgrade = |path: &str, protocol| Ask {
        upgrade: Some(protocol),
        ..ask("GET", path)
    };
    for protocol in ["websocket", "WebSocket"] {
        assert_eq!(
            upgrade("/socket", protocol).owner(&policy).as_deref(),
            Ok("socket")
        );
    }
    let refused = Err(Rejection::Malformed(Malformed::Upgrade));
    for (path, protocol) in [
        ("/other", "websocket"),
        ("/socket", "h2c"),
        ("/socket", "TLS/1.0"),
        ("/socket", "websocket, h2c"),
        ("/socket", "websocket/13"),
    ] {
        assert_eq!(
            upgrade(path, protocol).owner(&policy),
            refused,
            "{path} {protocol}"
        );
    }
    for method in ["CONNECT", "TRACE"] {
        assert_eq!(ask(method, "/socket").owner(&policy), refused, "{method}");
    }
}

#[test]
fn invariant_33_no_route_is_a_refusal() {
    let empty = policy([]);
    assert_eq!(ask("GET", "/").owner(&empty), Err(Rejection::NoRoute));
    let default = Policy::default();
    assert_eq!(ask("GET", "/").owner(&default), Err(Rejection::NoRoute));
    let mut elsewhere = route("elsewhere", &["/**"], Access::Anyone);
    elsewhere.listener = Some("other".into());
    assert_eq!(
        ask("GET", "/").owner(&policy([elsewhere])),
        Err(Rejection::NoRoute)
    );
    let mut unknown = route("unknown", &["/"], Access::Anyone);
    unknown.listener = Some("nowhere".into());
    let mut builder = PolicyBuilder::new(&RateLimits::default());
    builder.listener(&"inbound".into(), None);
    let errors = builder.route(unknown).unwrap_err();
    assert_eq!(errors[0].fault, RouteFault::UnknownListener);
    assert_eq!(
        ask("GET", "/").owner(&builder.build()),
        Err(Rejection::NoRoute)
    );
}

#[test]
fn paths_that_two_parsers_read_differently_need_a_switch() {
    let all = |change: fn(&mut PathAllowances)| {
        let mut all = route("all", &["/**"], Access::Anyone);
        change(&mut all.allowances);
        policy([all])
    };
    let strict = all(|_| {});
    for (path, fault, lenient) in [
        (
            "/a%2fb",
            PathFault::EncodedSlash,
            all(|a| a.encoded_slash = true),
        ),
        (
            "/a//b",
            PathFault::EmptySegment,
            all(|a| a.empty_segment = true),
        ),
        ("/a;b", PathFault::Semicolon, all(|a| a.semicolon = true)),
        (
            "/a%2541",
            PathFault::EncodedPercent,
            all(|a| a.encoded_percent = true),
        ),
    ] {
        let ambiguous = Err(Rejection::AmbiguousPath(fault));
        assert_eq!(ask("GET", path).owner(&strict), ambiguous, "{path}");
        assert_eq!(
            ask("GET", path).owner(&lenient).as_deref(),
            Ok("all"),
            "{path}"
        );
        assert_eq!(ask("GET", path).owner(&policy([])), ambiguous, "{path}");
        let never = ask("GET", "/a/%2e%2e/b").owner(&lenient);
        assert_eq!(never, Err(Rejection::AmbiguousPath(PathFault::DotSegment)));
    }
}

#[test]
fn near_misses_can_be_switched_off_by_the_owner() {
    let mut all = route("all", &["/**"], Access::Anyone);
    let admin = || route("admin", &["/admin"], Access::Nobody);
    assert_eq!(
        ask("GET", "/Admin").owner(&policy([all.clone(), admin()])),
        Err(Rejection::NearMiss)
    );
    all.near_miss = NearMiss::Allow;
    assert_eq!(
        ask("GET", "/Admin")
            .owner(&policy([all, admin()]))
            .as_deref(),
        Ok("all")
    );
}

fn cors(preflight: Preflight) -> Option<CorsSettings> {
    Some(CorsSettings {
        origins: vec!["https://app.example.org".into()],
        preflight,
        credentials: false,
        expose: Vec::new(),
        headers: Vec::new(),
        max_age: 0,
    })
}

fn preflight(path: &str, origin: &'static str) -> Ask {
    ask("OPTIONS", path)
        .header(ORIGIN, origin)
        .header(ACCESS_CONTROL_REQUEST_METHOD, "GET")
}

#[test]
fn s09_preflights_pass_without_a_token_where_somebody_may() {
    let routes = || {
        let mut get = route("get", &["/get"], Access::Anyone);
        get.table = table(vec![(
            &["GET"],
            rules(vec![Alternative::of_issuer("i".into(), vec![])]),
        )]);
        let mut no_options = route("no-options", &["/no-options"], Access::Anyone);
        no_options.table = table(vec![
            (&["GET"], Access::Anyone),
            (&["OPTIONS"], Access::Nobody),
        ]);
        [
            get,
            no_options,
            route("nobody", &["/nobody"], Access::Nobody),
        ]
    };
    const APP: &str = "https://app.example.org";
    let policy = policy_with(cors(Preflight::Forward), routes());
    let routed = preflight("/get", APP).route(&policy).unwrap();
    assert_eq!(routed.demand(), Demand::Public);
    assert!(!routed.is_preflight_to_answer());
    assert_eq!(
        preflight("/get", APP).decide(&policy, Principal::Anonymous),
        Ok(None)
    );
    let not_allowed = || {
        let allow = "GET".into();
        Err(Rejection::MethodNotAllowed { allow })
    };
    for other in [
        preflight("/get", "https://evil.example.org"),
        preflight("/get", "https://app.example.org.evil"),
        preflight("/get", APP).header(ORIGIN, "https://evil.example.org"),
        ask("OPTIONS", "/get"),
        ask("OPTIONS", "/get").header(ORIGIN, APP),
        Ask {
            method: Method::POST,
            ..preflight("/get", APP)
        },
    ] {
        assert_eq!(other.owner(&policy), not_allowed());
    }
    let nobody = || Err(Rejection::Forbidden(Refusal::Nobody));
    assert_eq!(preflight("/nobody", APP).owner(&policy), nobody());
    assert_eq!(preflight("/no-options", APP).owner(&policy), nobody());
    assert_eq!(
        preflight("/elsewhere", APP).owner(&policy),
        Err(Rejection::NoRoute)
    );

    let policy = policy_with(cors(Preflight::Authenticate), routes());
    assert_eq!(preflight("/get", APP).owner(&policy), not_allowed());

    let policy = policy_with(cors(Preflight::Answer), routes());
    let routed = preflight("/get", APP).route(&policy).unwrap();
    assert!(routed.is_preflight_to_answer());
    assert_eq!(routed.route().allowed_methods(), "GET");
    // Whoever forgets to answer it does not get it upstream.
    let forgotten = preflight("/get", APP).decide(&policy, Principal::Anonymous);
    assert_eq!(forgotten, Err(Rejection::Forbidden(Refusal::Caller)));
}

#[test]
fn t08_limits_before_and_after_authentication() {
    let limit = |by, before_authentication| RateLimitSettings {
        by,
        before_authentication,
        requests: 600,
        per: Duration::from_secs(60),
    };
    let access = || rules(vec![Alternative::of_issuer("i".into(), vec![])]);
    let mut before = route("before", &["/before"], access());
    before.rate_limit = vec![limit(RateLimitKey::ClientAddress, true)];
    let mut after = route("after", &["/after"], access());
    after.rate_limit = vec![limit(RateLimitKey::Principal, false)];
    let policy = policy([before, after]);
    let too_many = Rejection::RateLimited {
        retry_after: Duration::from_secs(1),
    };
    for _ in 0..600 {
        assert!(ask("GET", "/before").route(&policy).is_ok());
        assert_eq!(
            ask("GET", "/after").decide(&policy, token("i", |_| {})),
            Ok(None)
        );
    }
    assert_eq!(ask("GET", "/before").owner(&policy), Err(too_many.clone()));
    let other = Ask {
        client: "192.0.2.2",
        ..ask("GET", "/before")
    };
    assert!(other.route(&policy).is_ok());
    let again = ask("GET", "/after").decide(&policy, token("i", |_| {}));
    assert_eq!(again, Err(too_many));
    let another = token("i", |token| token.subject = Some("another".into()));
    assert_eq!(ask("GET", "/after").decide(&policy, another), Ok(None));
    // Refused requests do not count against the principal that they claim to be.
    assert_eq!(
        ask("GET", "/after").decide(&policy, token("j", |_| {})),
        Err(Rejection::Forbidden(Refusal::Caller))
    );
}

#[test]
fn observing_routes_let_pass_what_policy_refuses_until_their_date() {
    let of_i = || rules(vec![Alternative::of_issuer("i".into(), vec![])]);
    let mut observed = route("observed", &["/**"], of_i());
    observed.table = table(vec![(&["GET"], of_i()), (&["PUT"], Access::Nobody)]);
    observed.observe = Some(NOW.unix.plus(1));
    let mut enforced = observed.clone();
    enforced.observe = Some(NOW.unix);
    let beside = |owner: RouteSettings| {
        let mut admin = route("admin", &["/admin"], Access::Nobody);
        admin.observe = owner.observe;
        policy([owner, admin])
    };
    let guarded = policy([
        observed.clone(),
        route("admin", &["/admin"], Access::Nobody),
    ]);
    let (observed, enforced) = (beside(observed), beside(enforced));
    let allow = "GET".into();
    for (method, path, principal, why) in [
        (
            "GET",
            "/x",
            token("j", |_| {}),
            Rejection::Forbidden(Refusal::Caller),
        ),
        ("GET", "/x", Principal::Anonymous, Rejection::NoToken),
        (
            "PUT",
            "/x",
            Principal::Anonymous,
            Rejection::Forbidden(Refusal::Nobody),
        ),
        (
            "POST",
            "/x",
            Principal::Anonymous,
            Rejection::MethodNotAllowed { allow },
        ),
        ("PUT", "/Admin", Principal::Anonymous, Rejection::NearMiss),
    ] {
        let routed = ask(method, path).route(&observed).unwrap();
        let allowed = Known::for_test(routed, principal.clone(), None)
            .authorize(NOW)
            .unwrap();
        let known = allowed.known();
        let seen = known.observed().or(known.routed().found.observed.as_ref());
        assert_eq!(seen, Some(&why), "{method} {path}");
        assert_eq!(
            ask(method, path).decide(&enforced, principal),
            Err(why),
            "{method} {path}"
        );
    }
    // What can be read in two ways, and what observes nothing, is refused all the same.
    let ambiguous = Err(Rejection::AmbiguousPath(PathFault::EmptySegment));
    assert_eq!(ask("GET", "/a//b").owner(&observed), ambiguous);
    let nobody = Err(Rejection::Forbidden(Refusal::Nobody));
    assert_eq!(ask("GET", "/admin").owner(&guarded), nobody);
}
