//! Invariant 38: overlapping rules have one winner, which their order in the file does not choose.

use crate::bed::{Request, Setup, Variant, exchanged};

/// Routes in one order; the test permutes them.
const ROUTES: [&str; 8] = [
    "  - {path: /a/**, allow: nobody}\n",
    "  - {path: /a/b, allow: anyone}\n",
    "  - {path: \"/a/{x}\", allow: web}\n",
    "  - {path: /a/b/**, allow: {GET: web}}\n",
    "  - {path: \"/a/{x}/c\", allow: anyone}\n",
    "  - {path: /health, allow: anyone}\n",
    "  - {path: /h/**, hosts: [\"*.test\"], allow: anyone}\n",
    "  - {path: /h/**, hosts: [api.test], allow: nobody}\n",
];

/// Statuses of GET without and with a token, and of POST without and with one.
const WINNERS: &[(&str, [u16; 4], &str)] = &[
    ("/a", [403, 403, 403, 403], "/a/** covers /a"),
    (
        "/a/b",
        [200, 200, 200, 200],
        "a literal before a parameter and before what is below /a/b",
    ),
    ("/a/z", [401, 200, 401, 200], "a parameter before **"),
    (
        "/a/b/c",
        [401, 200, 405, 405],
        "the first segments decide; the winner owns all methods",
    ),
    ("/a/z/c", [200, 200, 200, 200], "a parameter before **"),
    ("/a/z/d", [403, 403, 403, 403], "only ** is left"),
    ("/a/b/c/d", [401, 200, 405, 405], "the longer ** wins"),
    ("/x", [403, 403, 403, 403], "no route"),
    ("/h/x", [403, 403, 403, 403], "a host before a wildcard"),
];

#[test]
fn invariant_38_the_order_of_rules_changes_no_decision() {
    let lines = |order: &[usize]| {
        let routes: String = order.iter().map(|at| ROUTES[*at]).collect();
        format!("callers: {{web: {{issuer: main, client: web}}}}\nroutes:\n{routes}")
    };
    let bed = Setup::new(&lines(&[0, 1, 2, 3, 4, 5, 6, 7])).tls().start();
    let token = bed.token().sign();
    for (at, order) in [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [7, 6, 5, 4, 3, 2, 1, 0],
        [1, 0, 3, 2, 5, 4, 7, 6],
        [3, 7, 5, 0, 6, 4, 2, 1],
        [6, 2, 4, 1, 5, 3, 0, 7],
        [2, 5, 7, 1, 6, 0, 3, 4],
    ]
    .iter()
    .enumerate()
    {
        bed.reload(&lines(order)).expect("the same routes");
        for (path, statuses, why) in WINNERS {
            let of = |method: &str| Request::new(method, path);
            let requests = [
                of("GET"),
                of("GET").bearer(&token),
                of("POST"),
                of("POST").bearer(&token),
            ];
            for (step, (request, status)) in requests.iter().zip(statuses).enumerate() {
                // Each variant meets each path.
                let variant = Variant::ALL[(at + step) % 6];
                let answer = exchanged(&bed, variant, request);
                assert_eq!(answer.status, *status, "{order:?} {request:?}: {why}");
            }
        }
        let elsewhere = Request::get("/h/x").host("other.test");
        assert_eq!(bed.send(&elsewhere).status, 200, "{order:?}");
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
