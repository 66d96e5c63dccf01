//! Pairs of policies that were once compared wrongly, or could be.

use super::*;

fn claim(path: &str, value: ClaimValue) -> Condition {
    Condition::Claim {
        path: ClaimPath::parse(path).unwrap(),
        values: vec![value],
    }
}

fn text(value: &str) -> ClaimValue {
    ClaimValue::Text(value.into())
}

fn segment(name: &str) -> ClaimValue {
    ClaimValue::Parameter(name.into())
}

fn clients(all: &[&str]) -> Condition {
    Condition::Client(all.iter().map(|own| (*own).into()).collect())
}

/// A route whose one alternative has these conditions.
fn route(path: &str, conditions: &[Condition]) -> RouteSettings {
    let alternative = Alternative::of_issuer("main".into(), conditions.to_vec());
    let access = Access::Rules {
        anonymous: false,
        opaque: false,
        alternatives: vec![alternative],
    };
    let path = PathPattern::parse(path).unwrap();
    RouteSettings::new(&path.to_string(), vec![path], MethodTable::Every(access))
}

/// Which ways the differences of two policies of one route go, and the targets that show it; each is confirmed.
fn found(
    old: RouteSettings,
    new: RouteSettings,
    issuer: impl Fn(&mut IssuerSettings),
) -> Vec<(Effect, String)> {
    let mut settings = settings("main");
    issuer(&mut settings);
    let issuers = issuers(vec![settings]);
    let (old, new) = (policy(None, [old]), policy(None, [new]));
    let side = |policy| Side {
        policy,
        issuers: &issuers,
        tells_caller: false,
    };
    let names = [(Some("inbound"), Some("inbound"))];
    let compared = compare(side(&old), side(&new), &names, NOW);
    assert!(!compared.incomplete);
    let all = compared.differences.into_iter().map(|own| {
        assert!(
            is_confirmed(&own, (&old, &issuers), (&new, &issuers), false),
            "{own:#?}"
        );
        (own.effect, own.witness.target)
    });
    all.collect()
}

fn usual(_: &mut IssuerSettings) {}

fn narrower(target: &str) -> Vec<(Effect, String)> {
    vec![(Effect::Narrower, target.to_owned())]
}

#[test]
fn values_are_told_apart_by_what_a_parameter_has_as_well() {
    // `c2` may call /c1 under the old one only, and no condition names it alone.
    let old = route("/c1", &[clients(&["c1", "c2"])]);
    let new = route("/{x}", &[claim("azp", segment("x"))]);
    let all = found(old.clone(), new, usual);
    assert!(
        all.contains(&(Effect::Narrower, "/c1".to_owned())),
        "{all:?}"
    );
    // The twin: whoever is of either client.
    let new = route("/{x}", &[clients(&["c2", "c1"])]);
    let all = found(old, new, usual);
    assert!(
        !all.iter().any(|(effect, _)| *effect == Effect::Narrower),
        "{all:?}"
    );
}

#[test]
fn a_segment_that_stands_for_others_is_no_value_that_a_condition_asks_for() {
    let old = route("/{x}", &[claim("tenant", segment("x"))]);
    let both = [
        claim("tenant", segment("x")),
        claim("tenant", text("some-x")),
    ];
    let all = found(old.clone(), route("/{x}", &both), usual);
    assert_eq!(all, narrower("/some-x-2"));
    assert_eq!(found(old.clone(), old, usual), []);
}

#[test]
fn tokens_are_no_longer_lived_than_their_issuer_wants() {
    let old = route("/a", &[clients(&["c1", "c2"])]);
    let new = route("/a", &[clients(&["c1"])]);
    for seconds in [0, 1, 30, 3600] {
        let short = |own: &mut IssuerSettings| {
            own.max_lifetime = Some(Duration::from_secs(seconds));
        };
        assert_eq!(found(old.clone(), new.clone(), short), narrower("/a"));
        assert_eq!(found(old.clone(), old.clone(), short), []);
    }
}

#[test]
fn claims_that_an_issuer_wants_are_what_they_must_be() {
    let old = route("/a", &[clients(&["c1", "c2"])]);
    let new = route("/a", &[clients(&["c1"])]);
    for name in ["nbf", "cnf", "iat", "sub", "jti", "typ", "tenant"] {
        let wants = |own: &mut IssuerSettings| own.required_claims.push(name.to_owned());
        assert_eq!(
            found(old.clone(), new.clone(), wants),
            narrower("/a"),
            "{name}"
        );
    }
}

#[test]
fn a_path_with_dots_finds_what_a_pointer_does_not_and_the_reverse() {
    let dots = route("/a", &[claim("a.b", text("v"))]);
    let nested = route("/a", &[claim("/a/b", text("v"))]);
    let flat = route("/a", &[claim("/a.b", text("v"))]);
    let wider = vec![(Effect::Wider, "/a".to_owned())];
    let both = [narrower("/a"), wider.clone()].concat();
    let sorted = |old: &RouteSettings, new: &RouteSettings| {
        let mut all = found(old.clone(), new.clone(), usual);
        all.sort_by_key(|(effect, _)| *effect != Effect::Narrower);
        all
    };
    // `{"a.b": "v"}`, and `{"a": {"b": "v"}, "a.b": "w"}`: the longest name wins.
    assert_eq!(sorted(&dots, &nested), both);
    // Of `{"a.b": "v"}` both make the same.
    assert_eq!(sorted(&dots, &flat), narrower("/a"));
    assert_eq!(sorted(&flat, &dots), wider);
    assert_eq!(sorted(&dots, &dots), []);
}
