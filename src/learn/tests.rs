use serde_json::{Value, json};

use super::*;

/// A verified and fulfilled request.
fn request(client: &str, method: &str, path: &str, more: &Value) -> Value {
    let mut record = json!({
        "v": 1, "type": "request", "decision": "allowed", "status": 200, "method": method, "path": path, "target": path,
        "route": "/**", "issuer": "main", "client": client,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        record[key] = value.clone();
    }
    record
}

fn plain(client: &str, path: &str) -> Value {
    request(client, "GET", path, &json!({}))
}

fn learned(records: &[Value]) -> Learned {
    let mut learner = Learner::new(Options::default());
    for record in records {
        let line = record.to_string();
        learner.record(&serde_json::from_str(&line).unwrap(), line.as_bytes());
    }
    learner.finish(&Counts::default())
}

fn paths(records: &[Value]) -> Vec<String> {
    let policy = learned(records).policy;
    let lines = policy.lines();
    lines
        .filter_map(|line| line.strip_prefix("  - path: "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn collections_have_parameters_and_names_stay_apart() {
    let get = |all: &[&str]| {
        let records: Vec<Value> = all.iter().map(|path| plain("web", path)).collect();
        paths(&records)
    };
    assert_eq!(
        get(&["/orders/17", "/orders/18", "/orders"]),
        ["/orders", "/orders/{order}"]
    );
    // Collections that look alike are not values of the root.
    assert_eq!(
        get(&["/orders/1", "/users/2", "/products/3"]),
        ["/orders/{order}", "/products/{product}", "/users/{user}"]
    );
    // Numbered names are values where there are two of them; versions never are.
    assert_eq!(
        get(&["/agent/a1/status", "/agent/a2/status"]),
        ["/agent/{agent}/status"]
    );
    assert_eq!(
        get(&["/api/v1/status", "/api/v2/status"]),
        ["/api/v1/status", "/api/v2/status"]
    );
    // Names that go on alike are values where there are enough.
    assert_eq!(
        get(&["/users/ann/keys", "/users/bob/keys"]),
        ["/users/ann/keys", "/users/bob/keys"]
    );
    assert_eq!(
        get(&[
            "/users/ann/keys",
            "/users/bob/keys",
            "/users/eve/keys",
            "/users/search"
        ]),
        ["/users/search", "/users/{user}/keys"]
    );
    // What goes on otherwise stays apart, and a trailing slash is a path of its own.
    assert_eq!(
        get(&["/reports/daily", "/reports/weekly", "/reports/daily/"]),
        ["/reports/daily", "/reports/daily/", "/reports/weekly"]
    );
    // What policy cannot spell is a value.
    assert_eq!(
        get(&["/files/a%20b", "/files/100%25", "/files/%7Bx%7D"]),
        ["\"/files/a b\"", "/files/{file}"]
    );
}

#[test]
fn too_many_names_are_a_parameter_and_memory_is_bounded() {
    let records: Vec<Value> = (0..200)
        .map(|at| {
            plain(
                "web",
                &format!(
                    "/name{}{}",
                    char::from(97 + at % 26),
                    "x".repeat(usize::from(at))
                ),
            )
        })
        .collect();
    let found = paths(&records);
    assert_eq!(found, ["/{id}"], "{found:?}");
    let mut learner = Learner::new(Options::default());
    learner.room = 10;
    for at in 0..40_u8 {
        let path = format!("/{}/x/y", "a".repeat(usize::from(at) + 1));
        let line = plain("web", &path).to_string();
        learner.record(&serde_json::from_str(&line).unwrap(), line.as_bytes());
    }
    let learned = learner.finish(&Counts::default());
    assert_eq!(learned.figures.learned, 3);
    assert_eq!(learned.beyond, 37);
}

#[test]
fn the_account_of_the_caller_becomes_a_condition() {
    let tenant = |client: &str, account: &str, path: &str| {
        request(
            client,
            "GET",
            path,
            &json!({"account": account, "scopes": ["usage:read"]}),
        )
    };
    let policy = learned(&[
        tenant("one", "acme", "/accounts/acme/usage"),
        tenant("two", "globex", "/accounts/Globex/usage"),
        // Another one's, and one that goes on otherwise.
        tenant("one", "acme", "/accounts/globex/usage"),
        tenant("one", "acme", "/accounts/search/all"),
        plain("billing", "/accounts/acme/usage"),
        plain("billing", "/accounts/42/usage"),
    ]);
    let text = &policy.policy;
    for line in [
        "  - path: /accounts/search/all",
        "  - path: /accounts/{account}/usage",
        "        - {caller: one, scopes: [\"usage:read\"], account: \"{account}\"}    # 1 request, each with these scopes, each for its own account",
        "        - billing    # 2 requests",
        "    fold: [account]",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
    assert!(!text.contains("globex/usage"), "{text}");
    let foreign: Vec<&Question> = policy
        .questions
        .iter()
        .filter(|one| one.why == Why::OtherAccount)
        .collect();
    assert_eq!(foreign.len(), 1, "{:?}", policy.questions);
    assert_eq!(foreign[0].example, "GET /accounts/globex/usage");
}

#[test]
fn scopes_are_those_that_every_request_had() {
    let with = |scopes: &[&str]| request("web", "GET", "/orders", &json!({"scopes": scopes}));
    let text = learned(&[
        with(&["openid", "orders:read", "orders:write"]),
        with(&["openid", "orders:read"]),
    ])
    .policy;
    assert!(
        text.contains("- {caller: web, scopes: [\"orders:read\"]}    # 2 requests"),
        "{text}"
    );
    let text = learned(&[with(&["orders:read"]), with(&[])]).policy;
    assert!(text.contains("- web    # 2 requests\n"), "{text}");
}

#[test]
fn only_what_was_verified_allowed_and_fulfilled_is_learned() {
    let no = [
        json!({"status": 404}),
        json!({"status": 500}),
        json!({"observed": "scope_missing"}),
        json!({"decision": "denied", "reason": "caller_not_allowed", "status": 403}),
        json!({"decision": "errored", "reason": "upstream_unreachable", "status": 502}),
        json!({"issuer": null, "client": null, "principal": "anonymous", "observed": "no_token"}),
        json!({"issuer": null, "client": null, "principal": "anonymous"}),
        json!({"issuer": null, "client": null, "principal": "opaque"}),
        json!({"credential": "agent"}),
    ];
    let records: Vec<Value> = no
        .iter()
        .map(|more| request("web", "GET", "/x", more))
        .collect();
    let learned = learned(&records);
    assert_eq!((learned.figures.learned, learned.routes), (0, 0));
    assert_eq!((learned.figures.requests, learned.figures.outbound), (8, 1));
    assert!(
        learned.policy.contains("allow: nobody"),
        "{}",
        learned.policy
    );
    assert_eq!(
        learned.questions.iter().map(|one| one.count).sum::<u64>(),
        8
    );
    let reasons: Vec<&str> = learned
        .refused
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(reasons, ["no_token", "caller_not_allowed", "scope_missing"]);
}

#[test]
fn an_error_of_the_upstream_is_no_question_where_the_route_is_learned() {
    let learned = learned(&[
        plain("web", "/orders/1"),
        request("web", "GET", "/orders/99", &json!({"status": 404})),
        request("robot", "GET", "/orders/99", &json!({"status": 404})),
        request("web", "DELETE", "/orders/99", &json!({"status": 404})),
    ]);
    let left: Vec<(&str, &str)> = learned
        .questions
        .iter()
        .map(|one| (one.who.as_str(), one.method.as_str()))
        .collect();
    assert_eq!(left, [("robot", "GET"), ("web", "DELETE")]);
}

#[test]
fn callers_are_named_after_their_clients_and_what_is_hostile_stays_in_its_place() {
    let text = learned(&[
        plain("anyone", "/a"),
        plain("a b\n# c: {d}", "/a"),
        request(
            "x",
            "GET",
            "/a",
            &json!({"client": null, "subject": "system:serviceaccount:prod/x:atlas"}),
        ),
        request(
            "x",
            "GET",
            "/a",
            &json!({"client": null, "subject": "system:serviceaccount:prod:atlas"}),
        ),
        request(
            "x",
            "GET",
            "/a",
            &json!({"client": null, "subject": "robot-7", "caller": "robots"}),
        ),
        request("x", "G\u{e9}T", "/a\u{2028}b", &json!({})),
        request("x", "M-SEARCH", "/a", &json!({})),
    ])
    .policy;
    for line in [
        "  anyone.main: {issuer: main, client: anyone}",
        "  a-b---c---d-: {issuer: main, client: \"a b\\n# c: {d}\"}",
        "  atlas: {issuer: main, service_account: prod/atlas}",
        "  robots: {issuer: main}    # unsure: anybody with a token of this issuer",
        "      \"M-SEARCH\":",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
}

#[test]
fn a_public_literal_opens_nothing_beside_it() {
    let all = |account: &str| {
        [
            request(
                "web",
                "GET",
                "/accounts/acme",
                &json!({"route": "/accounts/{account}", "account": account}),
            ),
            request(
                "robot",
                "GET",
                "/reports/2024",
                &json!({"route": "/reports/{report}"}),
            ),
        ]
    };
    let public = ["/accounts/demo", "/reports/2025"].map(|path| {
        let anonymous =
            json!({"issuer": null, "client": null, "principal": "anonymous", "route": path});
        request("x", "GET", path, &anonymous)
    });
    let text = learned(&[all("acme"), public].concat()).policy;
    let rule = |path: &str| {
        let (_, rest) = text.split_once(&format!("- path: {path}\n")).expect(path);
        rest.split("  - path:").next().unwrap().to_owned()
    };
    for path in ["/accounts/demo", "/reports/2025"] {
        assert!(rule(path).contains("GET: anyone"), "{text}");
    }
    let (account, report) = (rule("/accounts/{account}"), rule("/reports/{report}"));
    let own = "- {caller: web, account: \"{account}\"}";
    assert!(account.contains(own), "{text}");
    assert!(report.contains("- robot"), "{text}");
    assert!(
        !account.contains("anyone") && !report.contains("anyone"),
        "{text}"
    );
}

#[test]
fn an_account_called_like_a_word_of_the_path_changes_no_path() {
    let of = |account: &str, path: &str| request("web", "GET", path, &json!({"account": account}));
    let records = [
        of("api", "/api/orders"),
        of("orders", "/api/orders"),
        of("acme", "/api/orders"),
        plain("robot", "/api/orders"),
        plain("admin", "/admin/orders"),
    ];
    assert_eq!(paths(&records), ["/admin/orders", "/api/orders"]);
    let text = learned(&[of("acme", "/accounts/acme")]).policy;
    assert!(
        text.contains("# unsure: the path has the account of web, of one only"),
        "{text}"
    );
    // The twin: two have their own in the same place.
    let records = [
        of("acme", "/accounts/acme"),
        of("globex", "/accounts/globex"),
    ];
    assert_eq!(paths(&records), ["/accounts/{account}"]);
}

#[test]
fn a_word_beside_accounts_that_one_without_asks_for_is_none() {
    let of = |account: &str| {
        let path = format!("/accounts/{account}");
        request("web", "GET", &path, &json!({"account": account}))
    };
    let own = [of("acme"), of("globex")];
    let count = plain("metrics", "/accounts/count");
    let text = learned(&[own.to_vec(), vec![count]].concat()).policy;
    assert!(text.contains("- path: /accounts/count\n"), "{text}");
    assert!(
        !text.contains("metrics has no account, and reaches every one"),
        "{text}"
    );
    // The twin: who asks for those of the others reaches all.
    let billing = ["acme", "globex"].map(|own| plain("billing", &format!("/accounts/{own}")));
    let text = learned(&[own, billing].concat()).policy;
    assert!(
        text.contains("billing has no account, and reaches every one"),
        "{text}"
    );
    assert!(!text.contains("- path: /accounts/acme"), "{text}");
}

#[test]
fn a_redirect_is_a_question_and_not_modified_is_an_answer() {
    for status in [301, 302, 303, 307, 308] {
        let learned = learned(&[request("web", "GET", "/x", &json!({"status": status}))]);
        assert_eq!(
            (learned.routes, learned.questions.len()),
            (0, 1),
            "{status}"
        );
        assert_eq!(learned.questions[0].why, Why::NotFulfilled(status));
    }
    for status in [101, 200, 204, 304] {
        let learned = learned(&[request("web", "GET", "/x", &json!({"status": status}))]);
        assert_eq!(
            (learned.routes, learned.questions.len()),
            (1, 0),
            "{status}"
        );
    }
}

#[test]
fn the_names_of_one_party_take_nothing_of_another() {
    for many in [24, 200] {
        let names = (0..many).map(|at| plain("web", &format!("/x{}", "a".repeat(at + 1))));
        let mut records: Vec<Value> = names.collect();
        records.push(plain("operator", "/admin"));
        let text = learned(&records).policy;
        assert!(text.contains("- path: /admin\n"), "{text}");
        let (_, open) = text.split_once("- path: /{id}\n").expect("a parameter");
        assert!(!open.contains("operator"), "{text}");
        let unsure =
            format!("# unsure: {{id}} stands for {many} names that looked alike: xa, xaa, xaaa, …");
        assert!(open.contains(&unsure), "{text}");
    }
    // The twin: names that both ask for are values of both.
    let both = ["web", "robot"].map(|client| {
        ["ann", "bob", "eve"].map(|name| plain(client, &format!("/users/{name}/keys")))
    });
    assert_eq!(paths(&both.concat()), ["/users/{user}/keys"]);
    // One name each is nobody's collection.
    let each = ["ann", "bob", "eve"].map(|name| plain(name, &format!("/users/{name}/keys")));
    assert_eq!(paths(&each).len(), 3);
}
