#![expect(clippy::string_slice, reason = "tokens are ASCII")]
#![expect(clippy::too_many_lines, reason = "tables")]

use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderName, HeaderValue};
use serde_json::json;

use super::*;
use crate::rejection::Malformed;
use support::*;

pub(crate) mod support;

fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The outcome in a word.
fn ask(
    headers: &HeaderMap,
    query: Option<&str>,
    demand: Demand,
    actor: Option<&ActorToken>,
    issuers: &Issuers,
) -> String {
    let asked = Asked {
        headers,
        query,
        certificate: None,
        presented: Presented {
            proof: None,
            method: &http::Method::GET,
            path: "/",
        },
        demand,
        actor,
        reviews: &[],
    };
    let mut cache = TokenCache::new(DEFAULT_CACHE_BYTES);
    match asked.authenticate(issuers, &mut cache, at(NOW)) {
        Ok((principal, actor)) => {
            let who = match principal {
                Principal::Anonymous => "anonymous",
                Principal::Opaque => "opaque",
                Principal::Known(_) => "known",
            };
            match actor {
                Some(actor) => format!("{who} for {}", actor.subject().unwrap()),
                None => who.to_owned(),
            }
        }
        Err(Denied::NeedsKey(wanted)) => {
            format!("needs key {:?} of {}", wanted.kid, wanted.issuer.name())
        }
        Err(Denied::NeedsReview(wanted)) => format!("needs a review of {}", wanted.issuer.name()),
        Err(Denied::Rejected(rejection)) => format!("{rejection:?}"),
    }
}

fn with_sources() -> Issuers {
    let mut settings = settings();
    settings.token_sources = TokenSources {
        basic_password: true,
        websocket_protocol: true,
    };
    issuers(vec![settings])
}

#[test]
fn invariant_18_exactly_one_credential() {
    let token = rsa().token(&claims());
    let bearer = format!("Bearer {token}");
    let basic = {
        use base64::Engine as _;
        let text = format!("x:{token}");
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    let protocol = format!("base64url.bearer.authorization.k8s.io.{}", b64(&token));
    let two = format!("{:?}", Rejection::Malformed(Malformed::Credentials));
    let fault = |fault| format!("{:?}", Rejection::InvalidToken(fault));
    let one = |value: &str| headers(&[(AUTHORIZATION, value)]);
    let malformed = fault(TokenFault::Malformed);
    let scheme = fault(TokenFault::Scheme);
    let issuers = with_sources();
    for (name, headers, query, expected) in [
        ("bearer", one(&bearer), None, "known"),
        ("lower", one(&format!("bearer {token}")), None, "known"),
        (
            "upper",
            one(&format!("BEARER {token}")),
            Some("a=b"),
            "known",
        ),
        ("s_t17 basic", one(&basic), None, "known"),
        (
            "websocket",
            headers(&[(SEC_WEBSOCKET_PROTOCOL, &format!("chat, {protocol}"))]),
            None,
            "known",
        ),
        (
            "cookie of the app",
            headers(&[(AUTHORIZATION, &bearer), (COOKIE, "a=b; session=x.y.z")]),
            None,
            "known",
        ),
        (
            "other query",
            one(&bearer),
            Some("x_access_token=1&access=2"),
            "known",
        ),
        ("none", HeaderMap::new(), None, "NoToken"),
        (
            "query alone",
            HeaderMap::new(),
            Some("access_token=a.b.c"),
            "NoToken",
        ),
        (
            "cookie alone",
            headers(&[(COOKIE, "access_token=a.b.c")]),
            None,
            "NoToken",
        ),
        (
            "twice",
            headers(&[(AUTHORIZATION, &bearer), (AUTHORIZATION, &bearer)]),
            None,
            &two,
        ),
        (
            "two kinds",
            headers(&[(AUTHORIZATION, &bearer), (AUTHORIZATION, "Basic eDp5")]),
            None,
            &two,
        ),
        ("query too", one(&bearer), Some("a=1&access_token=x"), &two),
        (
            "escaped query too",
            one(&bearer),
            Some("%61ccess%5ftoken=x"),
            &two,
        ),
        (
            "cookie too",
            headers(&[(AUTHORIZATION, &bearer), (COOKIE, "a=b; access_token=x")]),
            None,
            &two,
        ),
        (
            "websocket too",
            headers(&[
                (AUTHORIZATION, &bearer),
                (SEC_WEBSOCKET_PROTOCOL, &protocol),
            ]),
            None,
            &two,
        ),
        (
            "websocket twice",
            headers(&[(SEC_WEBSOCKET_PROTOCOL, &format!("{protocol},{protocol}"))]),
            None,
            &two,
        ),
        (
            "websocket padded",
            headers(&[(SEC_WEBSOCKET_PROTOCOL, &format!("{protocol}="))]),
            None,
            &malformed,
        ),
        (
            "joined",
            one(&format!("{bearer}, {bearer}")),
            None,
            &malformed,
        ),
        (
            "joined plain",
            one(&format!("Bearer {token},{token}")),
            None,
            &malformed,
        ),
        (
            "two spaces",
            one(&format!("Bearer  {token}")),
            None,
            &malformed,
        ),
        ("tab", one(&format!("Bearer\t{token}")), None, &scheme),
        ("trailing", one(&format!("{bearer} x")), None, &malformed),
        (
            "trailing space",
            one(&format!("{bearer} ")),
            None,
            &malformed,
        ),
        (
            "quoted",
            one(&format!("Bearer \"{token}\"")),
            None,
            &malformed,
        ),
        ("scheme alone", one("Bearer"), None, &scheme),
        ("nothing after", one("Bearer "), None, &malformed),
        ("bare token", one(&token), None, &scheme),
        ("empty", one(""), None, &scheme),
        ("other scheme", one("Digest username=x"), None, &scheme),
        ("DPoP", one(&format!("DPoP {token}")), None, &scheme),
        ("basic without colon", one("Basic eA=="), None, &malformed),
        (
            "basic not canonical",
            one("Basic eDp5Ch=="),
            None,
            &malformed,
        ),
    ] {
        assert_eq!(
            ask(&headers, query, Demand::Token, None, &issuers),
            expected,
            "{name}"
        );
    }
}

#[test]
fn t17_other_sources_are_opt_in_per_issuer() {
    let token = rsa().token(&claims());
    let protocol = format!("base64url.bearer.authorization.k8s.io.{}", b64(&token));
    let basic = {
        use base64::Engine as _;
        let text = format!("token:{token}");
        format!(
            "basic {}",
            base64::engine::general_purpose::STANDARD.encode(text)
        )
    };
    let scheme = format!("{:?}", Rejection::InvalidToken(TokenFault::Scheme));
    let other = || {
        let mut other = settings();
        other.name = "other".into();
        other.issuers = vec!["https://other.example.org".to_owned()];
        other
    };
    let (mut opted, mut other_opted) = (settings(), other());
    opted.token_sources.basic_password = true;
    opted.token_sources.websocket_protocol = true;
    other_opted.token_sources = opted.token_sources;
    for (issuers, from_basic, from_websocket) in [
        (issuers(vec![opted, other()]), "known", "known"),
        (issuers(vec![settings(), other_opted]), &*scheme, &*scheme),
        (issuers(vec![settings(), other()]), &*scheme, "NoToken"),
    ] {
        let basic = headers(&[(AUTHORIZATION, &basic)]);
        let websocket = headers(&[(SEC_WEBSOCKET_PROTOCOL, &protocol)]);
        assert_eq!(ask(&basic, None, Demand::Token, None, &issuers), from_basic);
        assert_eq!(
            ask(&websocket, None, Demand::Token, None, &issuers),
            from_websocket
        );
    }
}

#[test]
fn s08_t13_each_demand_takes_what_it_says() {
    let good = format!("Bearer {}", rsa().token(&claims()));
    let expired = format!(
        "Bearer {}",
        rsa().token(&claims_with(json!({"exp": NOW - 300})))
    );
    let fault = |fault| format!("{:?}", Rejection::InvalidToken(fault));
    let (bad, malformed, scheme) = (
        fault(TokenFault::Expired),
        fault(TokenFault::Malformed),
        fault(TokenFault::Scheme),
    );
    let too_large = fault(TokenFault::TooLarge);
    let giant = format!("Bearer {}", "a".repeat(16 * 1024 + 1));
    let issuers = with_sources();
    // Columns: Public, Optional, Opaque, Token.
    for (value, expected) in [
        (None, ["anonymous", "anonymous", "NoToken", "NoToken"]),
        (Some(&*good), ["anonymous", "known", "known", "known"]),
        (Some(&*expired), ["anonymous", &*bad, &*bad, &*bad]),
        (
            Some("Bearer tuist_abc-DEF~1/2+3=="),
            ["anonymous", &*malformed, "opaque", &*malformed],
        ),
        (
            Some("Bearer hvs.abc"),
            ["anonymous", &*malformed, "opaque", &*malformed],
        ),
        (
            Some("Bearer a.b.c"),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some("Bearer a.b.c.d.e"),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some("Bearer eyJhbGciOiJub25lIn0"),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some("Bearer a b"),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some("Bearer ="),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some("Bearer "),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some(&*giant),
            ["anonymous", &*too_large, &*too_large, &*too_large],
        ),
        (
            Some("Basic eDp5"),
            ["anonymous", &*malformed, &*malformed, &*malformed],
        ),
        (
            Some("Negotiate abc"),
            ["anonymous", &*scheme, &*scheme, &*scheme],
        ),
    ] {
        let headers = value.map_or_else(HeaderMap::new, |value| headers(&[(AUTHORIZATION, value)]));
        let demands = [
            Demand::Public,
            Demand::Optional,
            Demand::Opaque,
            Demand::Token,
        ];
        for (demand, expected) in demands.into_iter().zip(expected) {
            assert_eq!(
                ask(&headers, None, demand, None, &issuers),
                expected,
                "{value:?} {demand:?}"
            );
        }
    }
}

#[test]
fn t09_second_token_absent_invalid_and_without_keys() {
    let mut atlas = settings();
    atlas.name = "atlas".into();
    atlas.issuers = vec!["https://atlas.example.org".to_owned()];
    let unreachable = {
        let mut unreachable = settings();
        unreachable.name = "down".into();
        unreachable.issuers = vec!["https://down.example.org".to_owned()];
        Arc::new(Issuer::new(unreachable, Arc::new(KeyCell::default())))
    };
    let issuers = Issuers::new(vec![
        Arc::new(Issuer::new(settings(), rsa_cell())),
        Arc::new(Issuer::new(atlas, rsa_cell())),
        unreachable,
    ]);
    let user = format!("Bearer {}", rsa().token(&claims()));
    let of = |iss: &str, sub: &str| rsa().token(&claims_with(json!({"iss": iss, "sub": sub})));
    let good = of("https://atlas.example.org", "atlas");
    let wrong_issuer = rsa().token(&claims());
    let wrong_key = other_rsa().token(&claims_with(json!({"iss": "https://atlas.example.org"})));
    let down = of("https://down.example.org", "x");
    let name = HeaderName::from_static("x-tuist-atlas-identity");
    let actor = |issuer: &str, required| ActorToken {
        header: name.clone(),
        issuer: issuer.into(),
        required,
    };
    let fault = |fault| format!("{:?}", Rejection::InvalidToken(fault));
    let (invalid, missing) = (fault(TokenFault::Actor), fault(TokenFault::ActorMissing));
    let two = format!("{:?}", Rejection::Malformed(Malformed::Credentials));
    for (values, issuer, required, expected) in [
        (vec![], "atlas", false, "known"),
        (vec![], "atlas", true, &*missing),
        (vec![&*good], "atlas", true, "known for atlas"),
        (vec![&*wrong_issuer], "atlas", false, &*invalid),
        (vec![&*wrong_key], "atlas", false, &*invalid),
        (vec!["junk"], "atlas", false, &*invalid),
        (vec![""], "atlas", false, &*invalid),
        (vec![&*good], "unconfigured", false, &*invalid),
        (vec![&*good, &*good], "atlas", false, &*two),
        (
            vec![&*down],
            "down",
            false,
            "needs key Some(\"k1\") of down",
        ),
    ] {
        let mut list = vec![(AUTHORIZATION, &*user)];
        list.extend(values.iter().map(|value| (name.clone(), *value)));
        let actor = actor(issuer, required);
        assert_eq!(
            ask(&headers(&list), None, Demand::Token, Some(&actor), &issuers),
            expected,
            "{values:?}"
        );
    }
    let alone = headers(&[(name.clone(), &good)]);
    let actor = actor("atlas", false);
    let lone = |demand| ask(&alone, None, demand, Some(&actor), &issuers);
    assert_eq!(lone(Demand::Token), "NoToken");
    assert_eq!(lone(Demand::Optional), "anonymous for atlas");
    assert_eq!(lone(Demand::Public), "anonymous");
}

#[test]
fn a_second_token_without_a_proof_is_no_token_of_an_issuer_that_wants_them() {
    let taking = |dpop: Option<bool>| {
        let mut atlas = settings();
        atlas.name = "atlas".into();
        atlas.issuers = vec!["https://atlas.example.org".to_owned()];
        atlas.dpop = dpop.map(|required| DpopSettings {
            required,
            algorithms: vec![Algorithm::Es256],
            lifetime: std::time::Duration::from_secs(60),
            nonce: false,
            proofs: 16,
        });
        issuers(vec![settings(), atlas])
    };
    let user = format!("Bearer {}", rsa().token(&claims()));
    let atlas = claims_with(json!({"iss": "https://atlas.example.org", "sub": "atlas"}));
    let second = rsa().token(&atlas);
    let name = HeaderName::from_static("x-actor");
    let list = headers(&[(AUTHORIZATION, &user), (name.clone(), &second)]);
    let actor = ActorToken {
        header: name,
        issuer: "atlas".into(),
        required: false,
    };
    let refused = format!("{:?}", Rejection::InvalidToken(TokenFault::Actor));
    for (dpop, expected) in [
        (None, "known for atlas"),
        (Some(false), "known for atlas"),
        (Some(true), &*refused),
    ] {
        let issuers = taking(dpop);
        let outcome = ask(&list, None, Demand::Token, Some(&actor), &issuers);
        assert_eq!(outcome, expected, "{dpop:?}");
    }
}

#[test]
fn the_websocket_token_does_not_reach_the_upstream() {
    for (before, after) in [
        (
            vec!["base64url.bearer.authorization.k8s.io.YQ, v4.channel.k8s.io"],
            Some("v4.channel.k8s.io"),
        ),
        (
            vec!["a", "Base64URL.Bearer.Authorization.K8s.Io.YQ", "b,c"],
            Some("a, b, c"),
        ),
        (vec!["base64url.bearer.authorization.k8s.io.YQ"], None),
        (vec!["chat"], Some("chat")),
        (vec![], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in &before {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value));
        }
        credential::strip_websocket(&mut headers);
        let left = headers
            .get(SEC_WEBSOCKET_PROTOCOL)
            .map(|v| v.to_str().unwrap());
        assert_eq!(left, after, "{before:?}");
    }
}

#[test]
fn invariant_46_debug_shows_neither_tokens_nor_claims() {
    let token = rsa().token(&claims_with(json!({"email": "canary@example.org"})));
    let issuers = issuers(vec![settings()]);
    let mut cache = TokenCache::new(DEFAULT_CACHE_BYTES);
    let origin = Origin {
        source: Source::Bearer,
        issuer: None,
        reviews: &[],
    };
    let verified = verify::verify(token.as_bytes(), origin, &issuers, &mut cache, at(NOW)).unwrap();
    let shown = format!("{cache:?} {verified:?}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(!shown.contains(&token[token.len() - 40..]));
}
