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
