//! What somebody tries who wants past a route by another one.

use super::*;

const APP: &str = "https://app.example.org";

fn lenient(mut route: RouteSettings) -> RouteSettings {
    route.allowances = PathAllowances {
        encoded_slash: true,
        empty_segment: true,
        semicolon: true,
        encoded_percent: true,
    };
    route
}

fn guarded(all: RouteSettings) -> Policy {
    policy([
        all,
        route("admin", &["/admin"], Access::Nobody),
        route("users", &["/api/{account}/users"], Access::Nobody),
        route("tree", &["/tree/**"], Access::Nobody),
        lenient(route("files", &["/files/{name}"], Access::Anyone)),
        route("secret", &["/files/{name}/secret"], Access::Nobody),
    ])
}

#[test]
fn invariant_06_what_a_route_accepts_by_name_is_no_way_around_another_route() {
    let policy = guarded(lenient(route("all", &["/**"], Access::Anyone)));
    for path in [
        "/admin;x",
        "/admin;",
        "/Admin;x=1",
        "/admin;x/",
        "/admin%3bx",
        "/;x/admin",
        "//admin",
        "/admin//",
        "//ADMIN//",
        "/%2561dmin",
        "/%252561dmin",
        "/%2561dmin;x",
        "/%2fadmin",
        "/api/a//users",
        "/api/a;b/users;c",
        "/api%2fa/users",
        "/api;v=1/a/users",
        "/api%252fa%252fusers",
        "/tree;x/leaf",
        "/tree%2fleaf",
        "//tree/leaf",
        "/files/a%2fsecret",
        "/files/a%252fsecret",
        "/files/a%2fsecret;x",
    ] {
        assert_eq!(
            ask("GET", path).owner(&policy),
            Err(Rejection::NearMiss),
            "{path}"
        );
    }
    for (path, owner) in [
        ("/other;x", "all"),
        ("/administrator;x", "all"),
        ("/a//b", "all"),
        ("//", "all"),
        ("/;", "all"),
        ("/x/admin;y", "all"),
        ("/api/a/b;users", "all"),
        ("/a%252fb", "all"),
        ("/files/a%2fb", "files"),
        ("/files/a;b", "files"),
        ("/files/a%2fsecrets", "files"),
    ] {
        let found = ask("GET", path).owner(&policy);
        assert_eq!(found.as_deref(), Ok(owner), "{path}");
    }
    let mut open = lenient(route("all", &["/**"], Access::Anyone));
    open.near_miss = NearMiss::Allow;
    let found = ask("GET", "/admin;x").owner(&guarded(open));
    assert_eq!(found.as_deref(), Ok("all"));
}

#[test]
fn observing_a_wide_route_opens_no_near_miss_of_an_enforced_one() {
    let observing = |mut route: RouteSettings| {
        route.observe = Some(NOW.unix.plus(60));
        route
    };
    let all = || observing(lenient(route("all", &["/**"], Access::Nobody)));
    let admin = || route("admin", &["/admin"], Access::Nobody);
    let enforced = policy([all(), admin()]);
    for path in ["/Admin", "/admin/", "/%41dmin", "/admin;x", "//admin"] {
        let found = ask("GET", path).owner(&enforced);
        assert_eq!(found, Err(Rejection::NearMiss), "{path}");
    }
    assert_eq!(ask("GET", "/x").owner(&enforced).as_deref(), Ok("all"));
    let both = policy([all(), observing(admin())]);
    for path in ["/Admin", "/admin;x", "/admin"] {
        assert!(ask("GET", path).owner(&both).is_ok(), "{path}");
    }
}

#[test]
fn s09_a_preflight_carries_no_upgrade_and_no_body_and_asks_for_a_method_of_the_route() {
    let cors = CorsSettings {
        origins: vec![APP.into()],
        preflight: Preflight::Forward,
        credentials: false,
        expose: Vec::new(),
        headers: Vec::new(),
        max_age: 0,
    };
    let mut socket = route("socket", &["/socket"], Access::Nobody);
    let known = || rules(vec![Alternative::of_issuer("i".into(), vec![])]);
    socket.table = table(vec![(&["GET", "OPTIONS"], known())]);
    socket.upgrade = texts(&["websocket"]);
    let policy = policy_with(Some(cors), [socket]);
    let preflight = |method| {
        ask("OPTIONS", "/socket")
            .header(ORIGIN, APP)
            .header(ACCESS_CONTROL_REQUEST_METHOD, method)
    };
    let demand = |ask: Ask| ask.route(&policy).map(|routed| routed.demand());
    assert_eq!(demand(preflight("GET")), Ok(Demand::Public));
    let empty = preflight("GET").header(http::header::CONTENT_LENGTH, "0");
    assert_eq!(demand(empty), Ok(Demand::Public));
    let upgrade = Ask {
        upgrade: Some("websocket"),
        ..preflight("GET")
    };
    for no_preflight in [
        upgrade,
        preflight("GET").header(http::header::CONTENT_LENGTH, "5"),
        preflight("GET").header(http::header::TRANSFER_ENCODING, "chunked"),
        preflight("DELETE"),
        preflight("get"),
        preflight("GET, DELETE"),
        preflight("*"),
    ] {
        assert_eq!(demand(no_preflight), Ok(Demand::Token));
    }
}

#[test]
fn what_is_said_of_an_observed_caller_ends_with_its_token() {
    let mut observed = route("observed", &["/x"], rules(vec![]));
    observed.table = MethodTable::Every(rules(vec![Alternative::of_issuer(
        "i".into(),
        vec![Condition::Scopes(texts(&["a"]))],
    )]));
    observed.observe = Some(NOW.unix.plus(60));
    let routed = ask("GET", "/x").route(&policy([observed])).unwrap();
    let known = Known::for_test(routed, token("i", |_| {}), None);
    let Ok(allowed) = known.authorize(NOW) else {
        panic!("observed only");
    };
    assert_eq!(allowed.until(), Some(NOW.unix.plus(300 + 60)));
}
