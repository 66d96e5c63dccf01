//! Which conditions, and which alternatives, are wider than others.

use super::*;

fn service_accounts(names: &[&str]) -> Condition {
    let parsed = names.iter().map(|name| ServiceAccount::parse(name));
    Condition::ServiceAccount(parsed.collect::<Result<_, _>>().unwrap())
}

fn claim(values: &[&str]) -> Condition {
    let values = values.iter().map(|value| ClaimValue::Text((*value).into()));
    Condition::Claim {
        path: ClaimPath::parse("tenant").unwrap(),
        values: values.collect(),
    }
}

fn addresses(networks: &[&str]) -> Condition {
    let parsed = networks.iter().map(|network| network.parse().unwrap());
    Condition::ClientAddress(parsed.collect())
}

#[test]
fn a_condition_implies_a_wider_one_and_never_a_narrower_or_another() {
    let account = |name: &str| Condition::Account(AccountRule::Parameter(name.into()));
    let required = Condition::Account(AccountRule::Required);
    let wider = [
        (
            Condition::Client(texts(&["a"])),
            Condition::Client(texts(&["a", "b"])),
        ),
        (
            Condition::Subject(texts(&["a"])),
            Condition::Subject(texts(&["a", "b"])),
        ),
        (
            Condition::Roles(texts(&["a"])),
            Condition::Roles(texts(&["a", "b"])),
        ),
        (
            Condition::Groups(texts(&["a"])),
            Condition::Groups(texts(&["a", "b"])),
        ),
        (
            Condition::AnyScope(texts(&["a"])),
            Condition::AnyScope(texts(&["a", "b"])),
        ),
        (
            Condition::Scopes(texts(&["a", "b"])),
            Condition::Scopes(texts(&["a"])),
        ),
        (
            Condition::Scopes(texts(&["c", "d"])),
            Condition::AnyScope(texts(&["d", "e"])),
        ),
        (
            service_accounts(&["x/a"]),
            service_accounts(&["x/a", "x/b"]),
        ),
        (claim(&["a"]), claim(&["a", "b"])),
        (
            addresses(&["10.1.0.0/16"]),
            addresses(&["192.0.2.0/24", "10.0.0.0/8"]),
        ),
        (account("account"), required),
    ];
    for (narrow, wide) in &wider {
        assert!(narrow.implies(wide), "{narrow:?} {wide:?}");
        assert!(!wide.implies(narrow), "{wide:?} {narrow:?}");
        assert!(narrow.implies(narrow) && wide.implies(wide));
    }
    for (at, (one, _)) in wider.iter().enumerate() {
        for (other_at, (_, other)) in wider.iter().enumerate() {
            let scopes = matches!(one, Condition::Scopes(_));
            if at != other_at && !scopes {
                assert!(!one.implies(other), "{one:?} {other:?}");
            }
        }
    }
    assert!(!account("account").implies(&account("other")));
}

#[test]
fn an_alternative_implies_one_of_its_issuer_with_fewer_or_wider_conditions() {
    let alternative = |issuer: &str, conditions: Vec<Condition>| {
        Alternative::of_issuer(issuer.into(), conditions)
    };
    let client = || Condition::Client(texts(&["a"]));
    let narrow = alternative("i", vec![client(), Condition::Scopes(texts(&["s", "t"]))]);
    for wide in [
        alternative("i", vec![]),
        alternative("i", vec![client()]),
        alternative("i", vec![Condition::AnyScope(texts(&["t"])), client()]),
        narrow.clone(),
    ] {
        assert!(narrow.implies(&wide), "{wide:?}");
    }
    for other in [
        alternative("j", vec![]),
        alternative("i", vec![client(), Condition::Roles(texts(&["r"]))]),
        alternative("i", vec![Condition::Client(texts(&["b"]))]),
    ] {
        assert!(!narrow.implies(&other), "{other:?}");
    }
}

/// Whether a request of this principal, for this account from this client, is let pass by these conditions.
fn passes(
    conditions: &[Condition],
    principal: &Principal,
    account: &str,
    client: &'static str,
) -> bool {
    let own = rules(vec![Alternative::of_issuer(
        "i".into(),
        conditions.to_vec(),
    )]);
    let policy = policy([route("r", &["/x/{account}"], own)]);
    let mut ask = ask("GET", &format!("/x/{account}"));
    ask.client = client;
    ask.decide(&policy, principal.clone()).is_ok()
}

#[test]
fn what_a_condition_implies_holds_wherever_it_does() {
    let mut conditions = vec![
        Condition::Account(AccountRule::Required),
        Condition::Account(AccountRule::Parameter("account".into())),
        addresses(&["192.0.2.0/24"]),
        addresses(&["192.0.2.0/25", "10.0.0.0/8"]),
        addresses(&["0.0.0.0/0"]),
        claim(&["a"]),
        claim(&["a", "b"]),
    ];
    for values in [&["a"][..], &["b"], &["a", "b"], &["b", "c"]] {
        conditions.extend([
            Condition::Client(texts(values)),
            Condition::Subject(texts(values)),
            Condition::Scopes(texts(values)),
            Condition::AnyScope(texts(values)),
            Condition::Roles(texts(values)),
            Condition::Groups(texts(values)),
        ]);
    }
    let held: [&[&str]; 5] = [&[], &["a"], &["b"], &["a", "b"], &["b", "c"]];
    let mut principals = Vec::new();
    for values in held {
        for one in [None, Some("a"), Some("b")] {
            let tenant = one.unwrap_or("z");
            principals.push(token("i", |token| {
                token.scopes = texts(values);
                token.roles = texts(values);
                token.groups = texts(values);
                token.client = one.map(Into::into);
                token.subject = one.map(Into::into);
                token.account = one.map(Into::into);
                let claims = format!(r#"{{"tenant": "{tenant}"}}"#);
                token.claims = Claims::parse(claims.as_bytes()).unwrap();
            }));
        }
    }
    let mut implied = 0;
    for one in &conditions {
        for other in &conditions {
            if one == other || !one.implies(other) {
                continue;
            }
            implied += 1;
            let (one, other) = (std::slice::from_ref(one), std::slice::from_ref(other));
            for principal in &principals {
                for (account, client) in
                    [("a", "192.0.2.1"), ("b", "192.0.2.200"), ("a", "10.1.1.1")]
                {
                    let holds = passes(one, principal, account, client);
                    assert!(
                        !holds || passes(other, principal, account, client),
                        "{one:?} {other:?} {principal:?}"
                    );
                }
            }
        }
    }
    assert!(implied > 20, "{implied}");
}
