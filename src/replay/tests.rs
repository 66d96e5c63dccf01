use serde_json::json;

use super::*;
use crate::config::load;

const HEAD: &str = r#"
inbound: {listen: "127.0.0.1:0", upstream: "http://127.0.0.1:1"}
issuers:
  - name: main
    issuer: https://id.example.org
    jwks: {discover: true}
    audiences: [api]
    claim_mappings: {account: account, roles: roles}
callers:
  web: {issuer: main, client: web}
  robot: {issuer: main, client: robot}
  ops: {issuer: main, roles: [ops]}
"#;

fn replay(routes: &str) -> Replay {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new.yaml");
    std::fs::write(&path, format!("{HEAD}{routes}")).unwrap();
    let config = load(&path, None).unwrap_or_else(|problems| panic!("{}", problems.render()));
    Replay::new(Arc::new(config), UnixTime::from_secs(1_800_000_000)).unwrap()
}

fn add(replay: &mut Replay, more: &Value) {
    let mut record = json!({
        "v": 1, "type": "request", "time": "2027-01-15T08:00:00.000Z", "request_id": "r1", "listener": "inbound",
        "decision": "allowed", "status": 200, "method": "GET", "host": "api.example.org", "protocol": "HTTP/1.1",
        "client_address": "192.0.2.7", "route": "/**", "issuer": "main", "client": "web", "subject": "alice", "caller": "web",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        record[key] = value.clone();
    }
    record["target"] = record["path"].clone();
    let line = record.to_string();
    replay.record(&serde_json::from_str(&line).unwrap(), line.as_bytes());
}

fn told(replay: &Replay) -> Vec<(Change, u64, &str)> {
    let all = replay.differences().into_iter();
    all.map(|(one, seen)| (one.change, seen.count, one.now.as_str()))
        .collect()
}

#[test]
fn differences_without_a_place_are_counted() {
    let mut new = replay("routes: [{path: /open, allow: anyone}]");
    new.differences = Bounded::new(1);
    add(&mut new, &json!({"path": "/orders/1"}));
    assert_eq!(new.untold(), 0);
    add(
        &mut new,
        &json!({"path": "/orders/1", "client": "robot", "caller": "robot"}),
    );
    assert_eq!((new.figures().different, new.untold()), (2, 1));
    assert_eq!(told(&new).len(), 1);
}

#[test]
fn what_passed_and_is_refused_is_narrower_and_the_other_way_round_is_wider() {
    let mut new =
        replay("routes: [{path: /orders/**, allow: {GET: web}}, {path: /open, allow: anyone}]");
    add(&mut new, &json!({"path": "/orders/1"}));
    add(&mut new, &json!({"path": "/orders/2"}));
    assert_eq!((told(&new), new.is_wider()), (vec![], None));
    assert_eq!((new.figures().same, new.figures().kinds), (2, 1));
    add(&mut new, &json!({"path": "/other"}));
    add(&mut new, &json!({"path": "/orders/1", "method": "POST"}));
    // It passed because nothing was enforced.
    let observed = json!({
        "path": "/orders/1", "issuer": null, "client": null, "subject": null, "caller": null, "principal": "anonymous",
        "observed": "no_token",
    });
    add(&mut new, &observed);
    assert_eq!(
        told(&new),
        [
            (Change::Refused, 1, "no_token"),
            (Change::Refused, 1, "no_route"),
            (Change::Refused, 1, "method_not_allowed")
        ]
    );
    assert_eq!(new.is_wider(), Some(false));
    let refused = |reason: &str| {
        json!({"path": "/open", "decision": "denied", "reason": reason, "status": 401, "issuer": null, "client": null,
               "subject": null, "caller": null})
    };
    add(&mut new, &refused("no_token"));
    // A bad token as well: it is not looked at there.
    add(&mut new, &refused("token_expired"));
    assert_eq!(
        told(&new)[..2],
        [(Change::LetIn, 1, ""), (Change::LetIn, 1, "")]
    );
    assert_eq!(new.is_wider(), Some(true));
}

#[test]
fn another_reason_is_told_and_is_no_change_of_what_passes() {
    let mut new = replay("routes: [{path: /x, allow: robot}]");
    add(
        &mut new,
        &json!({"path": "/x", "decision": "denied", "reason": "scope_missing", "caller": null}),
    );
    assert_eq!(told(&new), [(Change::OtherReason, 1, "caller_not_allowed")]);
    assert_eq!(new.is_wider(), None);
}

#[test]
fn what_no_record_has_makes_a_may() {
    let mut new = replay(
        "routes: [{path: /roles, allow: ops}, {path: /claims, allow: {caller: web, claims: {tenant: acme}}}, {path: /both, allow: {caller: robot, roles: [ops]}}]",
    );
    add(&mut new, &json!({"path": "/roles"}));
    add(&mut new, &json!({"path": "/claims"}));
    // The record has the claim, so it is known; or the client is another one, whatever its roles are.
    add(
        &mut new,
        &json!({"path": "/claims", "claims": {"tenant": "acme"}}),
    );
    add(
        &mut new,
        &json!({"path": "/claims", "claims": {"tenant": "globex"}}),
    );
    add(&mut new, &json!({"path": "/both"}));
    let changes: Vec<Change> = told(&new).iter().map(|(change, _, _)| *change).collect();
    assert_eq!(
        changes,
        [
            Change::Refused,
            Change::Refused,
            Change::MayBeRefused,
            Change::MayBeRefused
        ]
    );
    assert_eq!((new.figures().same, new.is_wider()), (1, Some(false)));
    add(
        &mut new,
        &json!({"path": "/roles", "decision": "denied", "reason": "caller_not_allowed"}),
    );
    assert_eq!(told(&new)[0].0, Change::MayBeLetIn);
    assert_eq!(new.is_wider(), Some(true));
    // Whether a request had a token where none was looked at, no record tells: before, or because everybody may.
    let early = json!({"issuer": null, "client": null, "subject": null, "caller": null, "path": "/roles", "decision": "denied",
                       "reason": "nobody_may"});
    add(&mut new, &early);
    assert_eq!(
        told(&new)
            .iter()
            .filter(|(change, ..)| *change == Change::MayBeLetIn)
            .count(),
        2
    );
    let mut new = replay("routes: [{path: /**, allow: web}]");
    let anonymous = json!({"issuer": null, "client": null, "subject": null, "caller": null, "principal": "anonymous", "path": "/x"});
    add(&mut new, &anonymous);
    assert_eq!(told(&new), [(Change::MayBeRefused, 1, "no_token")]);
}

#[test]
fn what_policy_does_not_decide_is_set_apart_and_what_cannot_be_told_is_counted() {
    let mut new = replay("routes: [{path: /**, allow: web}]");
    for reason in ["rate_limited", "malformed_framing", "body_too_large"] {
        add(
            &mut new,
            &json!({"path": "/x", "decision": "denied", "reason": reason}),
        );
    }
    add(&mut new, &json!({"path": "/x", "credential": "agent"}));
    let expired = json!({"path": "/x", "decision": "denied", "reason": "token_expired", "issuer": null, "client": null});
    add(&mut new, &expired);
    add(&mut new, &json!({"path": "/x/[redacted]"}));
    // It passed policy, and the upstream failed.
    add(
        &mut new,
        &json!({"path": "/x", "decision": "errored", "reason": "upstream_timeout", "status": 504}),
    );
    add(&mut new, &json!({"path": "/x", "issuer": "gone"}));
    add(&mut new, &json!({"path": "/x", "listener": "gone"}));
    let figures = new.figures();
    assert_eq!((figures.apart, figures.unknown, figures.same), (4, 2, 1));
    let why: Vec<&str> = told(&new).iter().map(|(_, _, why)| *why).collect();
    assert!(why.contains(&"token_issuer"), "{why:?}");
    assert!(why.iter().any(|why| why.contains("gone")), "{why:?}");
}

#[test]
fn records_that_are_decided_alike_are_judged_once_and_others_are_not() {
    let mut new = replay(
        "routes: [{path: \"/accounts/{account}/usage\", allow: {issuer: main, account: \"{account}\"}}, {path: /admin, allow: nobody}, {path: /**, allow: web}]",
    );
    let own = |account: &str, path: &str| json!({"path": path, "account": account, "caller": null});
    for at in 0..50 {
        add(
            &mut new,
            &json!({"path": format!("/free/{at}"), "subject": format!("s{at}"), "client_address": format!("192.0.2.{at}")}),
        );
        add(
            &mut new,
            &own(&format!("a{at}"), &format!("/accounts/a{at}/usage")),
        );
    }
    assert_eq!(new.figures().kinds, 51, "an account is a part of who asks");
    assert_eq!(told(&new), []);
    add(&mut new, &own("a1", "/accounts/a2/usage"));
    add(&mut new, &own("a1", "/accounts/A1/usage"));
    add(&mut new, &json!({"path": "/free/Admin"}));
    add(&mut new, &json!({"path": "/Admin"}));
    add(&mut new, &json!({"path": "/%61dmin"}));
    let all = told(&new);
    let of = |reason: &str| {
        all.iter()
            .filter(|(_, _, why)| *why == reason)
            .map(|(_, count, _)| count)
            .sum::<u64>()
    };
    assert_eq!(
        (of("account_mismatch"), of("near_miss"), of("nobody_may")),
        (2, 1, 1),
        "{all:?}"
    );
}
