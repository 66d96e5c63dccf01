//! Invariant 16: the account in the path is the account in the token.

use serde_json::{Value, json};

use crate::bed::standard::standard;
use crate::bed::{Request, Variant, assert_forwarded, assert_refused, refused_everywhere};

#[test]
fn invariant_16_the_account_is_one_decoded_segment_equal_to_one_string() {
    let bed = standard();
    let go = |segment: &str, account: Value| {
        let target = format!("/users/{segment}/data");
        Request::get(&target).bearer(bed.token().claim("account", account).sign())
    };
    let refused = "account_mismatch|account_required|token_claim";
    for (segment, account) in [
        ("A", json!("A ")),
        ("A", json!(" A")),
        ("A", json!("a")),
        ("a", json!("A")),
        ("*", json!("A")),
        ("A", json!("*")),
        ("A", json!("")),
        ("A", json!("A/B")),
        ("A", json!("A\0")),
        ("A", json!("\u{ff21}")),
        ("A", json!("AA")),
        ("%C3%A9", json!("e\u{301}")),
        ("e%CC%81", json!("\u{e9}")),
        ("A", json!("A,B")),
        ("{account}", json!("A")),
        ("%20A", json!("A")),
        ("A%20", json!("A")),
    ] {
        for variant in [Variant::ALL[0], Variant::ALL[2]] {
            let request = go(segment, account.clone());
            if variant.can_say(&request) {
                assert_refused(&bed, variant, &request, 403, refused);
            }
        }
    }
    for account in [
        Value::Null,
        json!(1),
        json!(["A"]),
        json!({"A": 1}),
        json!(true),
    ] {
        let status = bed.send(&go("A", account.clone())).status;
        assert!(matches!(status, 401 | 403), "{status} for {account}");
    }
    let none = Request::get("/users/A/data").bearer(bed.token().sign());
    refused_everywhere(&bed, &none, 403, refused);
    assert_eq!(
        bed.upstream
            .requests()
            .iter()
            .filter(|request| request.target.starts_with("/users"))
            .count(),
        0
    );
    for (segment, account) in [
        ("A", "A"),
        ("%41", "A"),
        ("%C3%A9", "\u{e9}"),
        ("a.b", "a.b"),
        ("*", "*"),
        ("%20", " "),
    ] {
        assert_forwarded(&bed, Variant::PLAIN, &go(segment, json!(account)));
    }
}

#[test]
fn invariant_16_random_pairs_pass_if_and_only_if_they_are_equal() {
    let bed = standard();
    let accounts: Vec<String> = (0..32)
        .map(|n| format!("{}{}", ["a", "A", "b", "acme"][n % 4], n / 8))
        .collect();
    let tokens: Vec<String> = accounts
        .iter()
        .map(|account| bed.token().claim("account", account.as_str()).sign())
        .collect();
    let mut connection = bed.proxy.connect();
    let mut equal = 0;
    for (at, path) in accounts.iter().enumerate() {
        for (account, token) in accounts
            .iter()
            .zip(&tokens)
            .skip(at % 2)
            .step_by(2)
            .chain([(path, &tokens[at])])
        {
            let request = Request::get(&format!("/users/{path}/data")).bearer(token);
            let response = connection.exchange(request.bytes());
            assert_eq!(response.status == 200, path == account, "{path} {account}");
            equal += usize::from(path == account);
            if response
                .header("connection")
                .is_some_and(|value| value.contains("close"))
            {
                connection = bed.proxy.connect();
            }
        }
    }
    assert!(equal >= 32);
}
