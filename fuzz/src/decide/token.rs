//! Credentials made of choices: the text that is sent, and what the documentation says of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use countersign::authn::{
    Algorithm, Audiences, ClaimMappings, ClaimPath, Issuer, IssuerSettings, Issuers, KeyCell,
    KeyIdRule, KeySet, KeyState, TokenSources,
};
use serde_json::{Map, Value, json};

use super::super::signing;
use super::oracle::Facts;
use super::{Choices, NOW};

/// What stands in `Authorization`.
#[derive(Debug)]
pub(super) enum Credential {
    Absent,
    /// One value that is neither a JWT nor good for anything else than an opaque token.
    Opaque(&'static str),
    /// One value that never holds.
    Bad(&'static str),
    /// A value with a comma: never canonical.
    Several(&'static str),
    /// Two fields.
    Twice,
    /// A JWT, and what is known when it holds.
    Token(String, Option<Box<Facts>>),
}

impl Credential {
    pub(super) fn values(&self) -> Vec<String> {
        match self {
            Self::Absent => Vec::new(),
            Self::Opaque(value) | Self::Bad(value) | Self::Several(value) => {
                vec![(*value).to_owned()]
            }
            Self::Twice => vec!["Bearer abc".to_owned(); 2],
            Self::Token(token, _) => vec![format!("Bearer {token}")],
        }
    }
}

pub(super) fn credential(choices: &mut Choices<'_>) -> Credential {
    match choices.next() {
        0..=7 => Credential::Absent,
        8..=15 => Credential::Opaque("Bearer abc"),
        16..=19 => Credential::Opaque("bearer a.b="),
        20..=23 => Credential::Bad("Bearer eyJhIjoxfQ"),
        24..=27 => Credential::Bad("Basic YTpi"),
        28..=31 => Credential::Bad("Bearer  abc"),
        32..=35 => Credential::Several("Bearer a,b"),
        36..=39 => Credential::Twice,
        40..=43 => Credential::Bad("Bearer"),
        44..=47 => Credential::Bad("Bearer a.b.c"),
        _ => token(choices),
    }
}

thread_local! {
    /// Two issuers: `main` with two keys, `other` with one.
    pub(super) static ISSUERS: Issuers = issuers();
    static KEYS: [Ed25519KeyPair; 4] =
        [1, 2, 3, 4].map(signing::key);
}

fn issuers() -> Issuers {
    let jwk = |at: usize, kid: &str| KEYS.with(|keys| signing::jwk(&keys[at], kid));
    let issuer = |settings, keys: Value| {
        let (set, _) = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("keys");
        let cell = KeyCell::default();
        cell.store(KeyState::Usable(set));
        Arc::new(Issuer::new(settings, Arc::new(cell)))
    };
    let main = issuer(settings("main"), json!([jwk(0, "k1"), jwk(1, "k2")]));
    let other = IssuerSettings {
        audiences: Audiences::Unchecked,
        clients: Some(vec!["c1".to_owned()]),
        required_claims: vec!["exp".to_owned()],
        max_lifetime: Some(Duration::from_secs(3600)),
        key_id: KeyIdRule::OnlyKey,
        ..settings("other")
    };
    Issuers::new(vec![main, issuer(other, json!([jwk(2, "k1")]))])
}

fn settings(name: &str) -> IssuerSettings {
    IssuerSettings {
        name: name.into(),
        issuers: vec![format!("https://{name}")],
        audiences: Audiences::AnyOf(vec!["api".to_owned()]),
        clients: None,
        algorithms: vec![Algorithm::EdDsa, Algorithm::Ed25519],
        leeway: Duration::from_secs(10),
        required_claims: vec!["exp".to_owned(), "sub".to_owned()],
        token_types: vec!["at+jwt".to_owned(), "jwt".to_owned(), String::new()],
        max_lifetime: None,
        kubernetes: false,
        claim_mappings: ClaimMappings {
            account: vec![ClaimPath::top("account")],
            ..ClaimMappings::default()
        },
        scope_implies: BTreeMap::from([(
            "ci".to_owned(),
            vec!["read".to_owned(), "write".to_owned()],
        )]),
        key_id: KeyIdRule::Required,
        token_sources: TokenSources::default(),
        token_bytes: 4096,
        dpop: None,
    }
}

/// A value that holds more often than not: the first ones are the good ones.
fn mostly<T: Copy>(choices: &mut Choices<'_>, good: &[T], bad: &[T]) -> (T, bool) {
    let byte = choices.next();
    if byte < 240 || bad.is_empty() {
        (good[byte % good.len()], true)
    } else {
        (bad[byte % bad.len()], false)
    }
}

fn token(choices: &mut Choices<'_>) -> Credential {
    let mut holds = true;
    let mut take = |(value, good): (Option<Value>, bool)| {
        holds &= good;
        value
    };
    let other = choices.next() & 3 == 3;
    let name = if other { "other" } else { "main" };
    let mut header = Map::new();
    let mut claims = Map::new();
    let put = |map: &mut Map<String, Value>, name: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value);
        }
    };
    let text = |choices: &mut Choices<'_>, good: &[Option<&str>], bad: &[Option<&str>]| {
        let (value, good) = mostly(choices, good, bad);
        (value.map(Value::from), good)
    };
    put(
        &mut header,
        "alg",
        take(text(
            choices,
            &[Some("EdDSA"), Some("Ed25519")],
            &[
                Some("RS256"),
                Some("none"),
                None,
                Some("HS256"),
                Some("eddsa"),
            ],
        )),
    );
    put(
        &mut header,
        "typ",
        take(text(
            choices,
            &[
                Some("at+jwt"),
                Some("JWT"),
                None,
                Some("application/at+jwt"),
            ],
            &[Some(""), Some("x"), Some("application/x/jwt")],
        )),
    );
    // Which key signs, and which one the token names.
    let (kid, signer, fits) = key(choices, other);
    put(&mut header, "kid", take((kid.map(Value::from), fits)));
    let iss = format!("https://{name}");
    put(
        &mut claims,
        "iss",
        take(text(
            choices,
            &[Some(&iss)],
            &[
                Some("https://third"),
                None,
                Some("https://main/"),
                Some("HTTPS://MAIN"),
            ],
        )),
    );
    let audiences = [
        json!("api"),
        json!(["x", "api"]),
        json!("x"),
        json!([1, "api"]),
        json!(["API"]),
        Value::Null,
        json!([]),
    ];
    let at = choices.next() % 16;
    let audience = audiences.get(at).unwrap_or(&audiences[0]).clone();
    put(
        &mut claims,
        "aud",
        take((Some(audience), other || at < 2 || at >= audiences.len())),
    );
    times(choices, &mut claims, other, &mut holds);
    let facts = parties(choices, &mut claims, other, &mut holds);
    let (header, claims) = (Value::Object(header), Value::Object(claims));
    let token = KEYS.with(|keys| signing::sign(&keys[signer], &header, &claims));
    Credential::Token(token, holds.then(|| Box::new(facts)))
}

/// The kid, the signing key's place, and whether they fit the issuer.
fn key(choices: &mut Choices<'_>, other: bool) -> (Option<&'static str>, usize, bool) {
    let good: &[(Option<&str>, usize)] = if other {
        &[(Some("k1"), 2), (None, 2)]
    } else {
        &[(Some("k1"), 0), (Some("k2"), 1)]
    };
    let bad: &[(Option<&str>, usize)] = if other {
        &[(Some("k1"), 0), (Some("k2"), 2), (None, 3), (Some(""), 2)]
    } else {
        &[
            (Some("k1"), 1),
            (Some("k2"), 0),
            (Some("k1"), 3),
            (Some("nope"), 0),
            (None, 0),
            (Some("k1"), 2),
        ]
    };
    let ((kid, signer), fits) = mostly(choices, good, bad);
    (kid, signer, fits)
}

fn times(
    choices: &mut Choices<'_>,
    claims: &mut Map<String, Value>,
    other: bool,
    holds: &mut bool,
) {
    let exps = [
        Some(NOW + 600),
        Some(NOW + 1),
        Some(NOW),
        Some(NOW - 9),
        Some(NOW - 10),
        Some(NOW - 11),
        Some(NOW + 7200),
        None,
    ];
    let at = choices.next() % 24;
    let exp = exps.get(at).copied().unwrap_or(exps[0]);
    let iats = [
        Some(NOW),
        None,
        Some(NOW + 10),
        Some(NOW + 11),
        Some(NOW - 3000),
        Some(NOW - 3001),
    ];
    let at = choices.next() % 16;
    let iat = iats.get(at).copied().unwrap_or(iats[0]);
    let nbfs = [None, Some(NOW), Some(NOW + 10), Some(NOW + 11)];
    let nbf = nbfs.get(choices.next() % 16).copied().unwrap_or(nbfs[0]);
    *holds &= exp.is_some_and(|exp| NOW < exp + 10);
    *holds &= iat.is_none_or(|iat| iat <= NOW + 10) && nbf.is_none_or(|nbf| nbf <= NOW + 10);
    *holds &= !other || (iat.is_some() && exp.unwrap_or(0) - iat.unwrap_or(0) <= 3600);
    for (name, time) in [("exp", exp), ("iat", iat), ("nbf", nbf)] {
        if let Some(time) = time {
            claims.insert(name.to_owned(), time.into());
        }
    }
}

fn parties(
    choices: &mut Choices<'_>,
    claims: &mut Map<String, Value>,
    other: bool,
    holds: &mut bool,
) -> Facts {
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            claims.insert(name.to_owned(), value);
        }
    };
    let (subject, good) = mostly(
        choices,
        &[Some("s1"), Some("s2")],
        &[None, Some(""), Some("system:serviceaccount:a:b")],
    );
    // `other` does not ask for one.
    *holds &= good || (other && subject.is_none());
    put("sub", json!(subject));
    let (client, good) = mostly(choices, &[Some("c1"), Some("c2"), None], &[Some("")]);
    *holds &= good && (!other || client == Some("c1"));
    put("azp", json!(client));
    let account = choices.of(&[
        None,
        Some("acme"),
        Some("ACME"),
        Some("a/b"),
        Some(""),
        Some("é"),
        Some("a"),
    ]);
    put("account", json!(account));
    let (scope, scopes): (Value, &[&str]) = match choices.next() % 8 {
        0 => (json!("read"), &["read"]),
        1 => (json!("read write"), &["read", "write"]),
        2 => (json!("ci"), &["ci", "read", "write"]),
        3 => (json!("reader admins"), &[]),
        4 => (json!(["read"]), &[]),
        5 => (json!(" read  admin "), &["read", "admin"]),
        6 => (json!("read \u{e9}"), &[]),
        _ => (Value::Null, &[]),
    };
    put("scope", scope);
    let (roles, has_role): (Value, bool) = match choices.next() % 4 {
        0 => (json!(["r1", "r2"]), true),
        1 => (json!("r3"), true),
        2 => (json!(["r1", 1]), false),
        _ => (json!(["r2"]), false),
    };
    put("roles", roles);
    let (groups, has_group): (Value, bool) = match choices.next() % 4 {
        0 => (json!(["g0", "g1"]), true),
        1 => (json!("g1,g2"), false),
        2 => (json!([["g1"]]), false),
        _ => (Value::Null, false),
    };
    put("groups", groups);
    let tenants = [
        Value::Null,
        json!("acme"),
        json!(true),
        json!("true"),
        json!(["acme", "b"]),
        json!(["acme", 1]),
        json!("a/b"),
        json!("ACME"),
    ];
    let tenant = tenants[choices.next() % tenants.len()].clone();
    put("tenant", tenant.clone());
    Facts {
        issuer: if other { "other" } else { "main" },
        subject,
        client,
        account: account.filter(|account| !account.is_empty()),
        scopes,
        has_role,
        has_group,
        tenant,
    }
}
