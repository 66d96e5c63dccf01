//! The status page: whatever it shows is text, and nothing else.

use super::*;
use crate::config::{self, Config};
use crate::explain::Explainer;

const HOSTILE: &str = "\"'><x onload=alert(1)>&\u{202e}\u{7}`";

fn hostile() -> AdminState {
    let mut bad = issuer(HOSTILE, KeyHealth::Stale);
    bad.location = Some(HOSTILE.into());
    bad.last_error = Some(HOSTILE.into());
    bad.kids = vec![HOSTILE.into()];
    let (mut state, drain) = with_issuers(vec![bad]);
    // Nobody drains here; a drain that is dropped would count as ended.
    std::mem::forget(drain);
    state.config_file = HOSTILE.into();
    state.listeners = Box::new(|| {
        let one = ListenerStatus {
            name: HOSTILE.into(),
            listen: HOSTILE.into(),
            upstream: HOSTILE.into(),
            ..ListenerStatus::default()
        };
        vec![one.clone(), one]
    });
    state.routes = Box::new(|| {
        vec![RouteStatus {
            name: HOSTILE.into(),
            listener: Some(HOSTILE.into()),
            paths: vec![HOSTILE.into()],
            hosts: vec![HOSTILE.into()],
            allow: vec![AllowStatus {
                methods: vec![HOSTILE.into()],
                who: HOSTILE.into(),
            }],
            observe_until: Some(2000),
            enforce: Some(HOSTILE.into()),
        }]
    });
    state.reload.failed(HOSTILE.into(), state.clock.now());
    let recorder = state.telemetry.worker().listener(HOSTILE);
    recorder.began();
    let outcome = Outcome {
        rejection: Some(&Rejection::NoToken),
        request_id: HOSTILE,
        status: 401,
        ..Outcome::default()
    };
    recorder.ended(&Facts::default(), &outcome, state.clock.now());
    state.telemetry.flush();
    state
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Names of all elements.
fn elements(page: &str) -> Vec<&str> {
    let starts = page.split('<').skip(1);
    let names = starts.map(|rest| {
        let name = rest.trim_start_matches(['/', '!']);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric());
        name.split_at(end.unwrap_or(name.len())).0
    });
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

const OURS: [&str; 45] = [
    "a", "body", "button", "code", "dd", "div", "dl", "doctype", "dt", "footer", "form", "g", "h1",
    "h2", "h3", "head", "header", "html", "input", "label", "li", "main", "meta", "nav", "option",
    "p", "pre", "rect", "section", "select", "small", "span", "strong", "style", "svg", "table",
    "tbody", "td", "textarea", "th", "thead", "time", "title", "tr", "ul",
];

#[test]
fn whatever_stands_on_the_page_is_text() {
    let state = hostile();
    let fields = ["request", "listener", "host", "from", "issuer", "claims"];
    let fields = fields.map(|name| format!("{name}={}", percent(HOSTILE)));
    let question = format!("/explain?{}", fields.join("&"));
    let id = format!("/explain?id={}", percent(HOSTILE));
    for target in ["/", &question, &id] {
        let (_, page) = get(&state, target);
        assert!(page.contains("&quot;&#39;&gt;&lt;x onload=alert(1)&gt;&amp;"));
        for name in elements(&page) {
            assert!(OURS.contains(&name), "{target}: <{name}> in {page}");
        }
        assert!(!page.contains('\u{202e}') && !page.contains('\u{7}'));
        assert!(!page.contains("style="));
        // The one address that is ours to show is relative.
        for attribute in ["href=\"", "action=\"", "src=\""] {
            let all = page.split(attribute).skip(1);
            for value in all {
                assert!(value.starts_with(['/', '#']), "{attribute}{value}");
            }
        }
    }
}

#[test]
fn the_page_may_ask_nobody_but_us() {
    let (state, _drain) = state();
    for target in [
        "/",
        "/explain",
        "/explain?request=/x",
        "/explain?claims=eyJhbGciOiJIUzI1NiJ9.e30.x",
    ] {
        let host = [("host", "localhost")];
        let page = ask(&state, &Surface::Admin, &Method::GET, target, &host);
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        let policy: Vec<&str> = policy.split("; ").collect();
        let (style, rest) = (policy[1], [policy[0], policy[2], policy[3], policy[4]]);
        let expected = [
            "default-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ];
        assert_eq!((rest, policy.len()), (expected, 5), "{target}");
        assert!(style.starts_with("style-src 'sha256-") && !style.contains("unsafe"));
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("content-type", "text/html; charset=utf-8"),
        ] {
            assert_eq!(page.headers()[name], value, "{target}");
        }
        let head = ask(&state, &Surface::Admin, &Method::HEAD, target, &host);
        assert!(head.body().is_empty() && head.status() == page.status());
    }
}

fn explainer(yaml: &str) -> Explainer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("countersign.yaml");
    std::fs::write(&path, yaml).unwrap();
    let config: Config = config::load(&path, None).unwrap();
    Explainer::pinned(Arc::new(config)).unwrap()
}

#[test]
fn a_question_is_answered_or_refused_in_words() {
    let (mut state, _drain) = state();
    assert_eq!(get(&state, "/explain?request=/x").0, 400);
    assert!(
        get(&state, "/explain?request=/x")
            .1
            .contains("no &lt;configuration&gt;")
    );
    state.explainer = Box::new(|| {
        Ok(explainer(
            "inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:1}\nissuers: [{name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api]}]\nroutes: [{path: /open, allow: anyone}]\n",
        ))
    });
    let (status, page) = get(&state, "/explain?request=/open");
    assert!(status == 200 && page.contains("Allowed: it goes to the upstream"));
    let (status, page) = get(&state, "/explain?request=POST%20/shut&unknown=1");
    assert!(
        status == 200 && page.contains("denied: no_route (403)"),
        "{page}"
    );
    assert_eq!(
        get(&state, "/explain?host=x").0,
        200,
        "nothing is asked yet"
    );
}

#[test]
fn pages_of_other_sites_do_not_ask_for_explanations() {
    let (state, _drain) = state();
    let asked = |target: &str, site: &[(&'static str, &str)]| {
        let headers = [&[("host", "127.0.0.1:9090")], site].concat();
        let answer = ask(&state, &Surface::Admin, &Method::GET, target, &headers);
        answer.status().as_u16()
    };
    for site in ["cross-site", "same-site"] {
        let site = [("sec-fetch-site", site)];
        assert_eq!(asked("/explain?request=/x", &site), 403);
        assert_eq!(asked("/", &site), 200, "a link to the page is no question");
    }
    for site in ["same-origin", "none"] {
        let site = [("sec-fetch-site", site)];
        assert_ne!(asked("/explain?request=/x", &site), 403);
    }
    assert_ne!(
        asked("/explain?request=/x", &[]),
        403,
        "programs say nothing of sites"
    );
}
