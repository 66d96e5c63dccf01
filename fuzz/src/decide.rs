//! The whole decision: a policy, a request and a token, all made from the input, against an oracle that was written from
//! the documentation alone. A request passes exactly where the oracle lets it pass.

mod oracle;
mod policy;
mod token;

use std::sync::Arc;

use countersign::authn::{self, Identified, Principal, TokenCache};
use countersign::authz::PolicyBuilder;
use countersign::clock::{Now, Tick, UnixTime};
use countersign::identity::{HeaderSettings, Identity, IdentitySettings, Source, Vouched};
use countersign::rejection::Rejection;
use countersign::request::{Canonical, RequestRules, ReservedNames};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use super::request;
use oracle::{Expected, Facts};
use token::Credential;

/// When everything happens.
const NOW: i64 = 1_790_000_000;

/// The input, byte by byte; zeros behind its end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.next() % all.len()]
    }

    fn flag(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// What is asked for.
#[derive(Debug)]
struct Asked {
    method: &'static str,
    host: &'static str,
    target: String,
    credential: Credential,
    trusted_peer: bool,
}

const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "DELETE", "OPTIONS", "get", "PATCH", "TRACE",
];
const HOSTS: &[&str] = &["h.x", "w.h.x", "H.X", "h.x.:8080", "z.x", "x"];
const SEGMENTS: &[&str] = &[
    "a", "b", "A", "ab", "%61", "acme", "ACME", "", "x", "%2f", "a;x", "..", "%C3%A9", "a%2fb",
    "%2561", "%zz", "B",
];
const QUERIES: &[&str] = &[
    "",
    "",
    "?q=1",
    "?access_token=x",
    "?a=b&%61ccess_token=y",
    "?",
];

/// Bytes that choose.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let routes = policy::routes(&mut choices);
    let asked = Asked {
        method: choices.of(METHODS),
        host: choices.of(HOSTS),
        target: target(&mut choices, &routes),
        trusted_peer: choices.flag(),
        credential: token::credential(&mut choices),
    };
    let mut builder = PolicyBuilder::default();
    builder.listener(&"inbound".into(), None);
    // What does not fit beside the routes before it is not taken, in one piece.
    let taken: Vec<_> = routes
        .into_iter()
        .filter(|route| builder.route(route.settings()).is_ok())
        .collect();
    if std::env::var_os("FUZZ_SHOW").is_some() {
        eprintln!("{taken:#?}\n{asked:?}");
    }
    let expected = oracle::decide(&taken, &asked);
    let policy = builder.build().at(1);
    judge(decide(&policy, &asked), &expected, &asked);
}

/// A path that one of the routes means, more often than not; else any.
fn target(choices: &mut Choices<'_>, routes: &[policy::Route]) -> String {
    let paths: Vec<&str> = routes
        .iter()
        .flat_map(|route| &route.paths)
        .map(|path| &**path)
        .collect();
    let mut target = String::new();
    if choices.next() < 192 && !paths.is_empty() {
        for piece in choices.of(&paths).split('/').skip(1) {
            match piece {
                "**" => {}
                piece if piece.starts_with('{') => {
                    target.push('/');
                    target.push_str(choices.of(SEGMENTS));
                }
                "é" => target.push_str("/%C3%A9"),
                piece => {
                    target.push('/');
                    target.push_str(piece);
                }
            }
        }
    }
    for _ in 0..[0, 0, 1, 2][choices.next() % 4] {
        target.push('/');
        target.push_str(choices.of(SEGMENTS));
    }
    if target.is_empty() {
        target.push('/');
    }
    target.push_str(choices.of(QUERIES));
    target
}

/// The steps of the proxy, in its order.
fn decide(policy: &countersign::authz::Policy, asked: &Asked) -> Result<Vouched<()>, Rejection> {
    let now = Now {
        unix: UnixTime::from_secs(NOW),
        tick: Tick::default(),
    };
    let header = |name: &str, source| HeaderSettings {
        name: HeaderName::from_bytes(name.as_bytes()).expect("a name"),
        source,
    };
    let settings = IdentitySettings {
        headers: vec![
            header("x-auth-subject", Source::Subject),
            header("x-auth-account", Source::Account),
            header("x-auth-caller", Source::Caller),
        ],
        ..IdentitySettings::default()
    };
    let rules = RequestRules {
        reserved: Arc::new(ReservedNames::new(settings.reserved())),
        ..request::rules()
    };
    let identity = Identity::new(settings, 1).expect("an identity without keys");
    let refused = |refused: Box<countersign::request::Refused<()>>| refused.rejection().clone();
    let mut parts = request::parts(Version::HTTP_11, headers(asked));
    parts.method = Method::from_bytes(asked.method.as_bytes()).expect("a method");
    parts.uri = asked.target.parse().map_err(|_| Rejection::NoRoute)?;
    let connection = request::connection(asked.trusted_peer);
    let read = Canonical::parse(parts, (), &connection, &rules).map_err(refused)?;
    let routed = read.route(policy, now).map_err(refused)?;
    let known = token::ISSUERS.with(|issuers| {
        match authn::identify(routed, issuers, &[], &mut TokenCache::new(0), now) {
            Identified::Known(known) => Ok(known),
            Identified::NeedsReview(..) => unreachable!("all issuers have keys"),
            Identified::NeedsKey(..) => Err(Rejection::InvalidToken(
                countersign::rejection::TokenFault::UnknownKey,
            )),
            Identified::Rejected(rejected) => Err(refused(rejected)),
        }
    })?;
    let allowed = known.authorize(now).map_err(refused)?;
    allowed.vouch(&identity, now).map_err(refused)
}

fn headers(asked: &Asked) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (header::HOST, HeaderValue::from_static(asked.host)),
        (header::ACCEPT, HeaderValue::from_static("text/plain")),
    ]);
    for name in [
        "x-auth-subject",
        "x_auth_subject",
        "x-auth-caller",
        "x-auth-account",
        "x.auth.account",
    ] {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_static("forged"));
    }
    for value in asked.credential.values() {
        let value = HeaderValue::from_str(&value).expect("a value");
        headers.append(header::AUTHORIZATION, value);
    }
    headers
}

fn judge(decided: Result<Vouched<()>, Rejection>, expected: &Expected, asked: &Asked) {
    match (decided, expected) {
        (
            Ok(vouched),
            Expected::Allow {
                facts,
                caller,
                credential_passes,
            },
        ) => {
            passes(&vouched, facts.as_deref(), asked);
            assert_eq!(
                vouched.allowed().caller().map(|own| &**own),
                *caller,
                "another caller"
            );
            let passed = vouched.head().headers().contains_key(header::AUTHORIZATION);
            assert_eq!(passed, *credential_passes, "the credential");
        }
        (Err(rejection), Expected::Refuse(status)) => {
            assert_ne!(rejection, Rejection::Internal);
            let given = rejection.status().as_u16();
            assert!(
                status.is_none_or(|status| status == given),
                "{rejection:?}, not {status:?}: {asked:?}"
            );
        }
        (Err(_), Expected::Unclear) => {}
        (Ok(vouched), Expected::Unclear) => passes(&vouched, None, asked),
        (Ok(_), Expected::Refuse(_)) => panic!("allowed: {asked:?}"),
        (Err(rejection), Expected::Allow { .. }) => {
            panic!("refused: {rejection:?}: {asked:?}")
        }
    }
}

/// What holds of every request that passes.
fn passes(vouched: &Vouched<()>, facts: Option<&Facts>, asked: &Asked) {
    let head = vouched.head();
    assert_eq!(head.path().target(), asked.target, "decided is not sent");
    assert_eq!(head.method().as_str(), asked.method);
    let mut headers = head.headers().clone();
    assert!(
        !headers.values().any(|value| value == "forged"),
        "a forged identity passes the filter"
    );
    vouched.identity().set_on(&mut headers);
    assert!(
        !headers.values().any(|value| value == "forged"),
        "a forged identity"
    );
    let ours = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values
            .next()
            .map(|value| value.to_str().expect("text").to_owned());
        assert!(values.next().is_none(), "{name} twice");
        first
    };
    if let Some(facts) = facts {
        assert!(matches!(vouched.allowed().principal(), Principal::Known(_)));
        assert_eq!(ours("x-auth-subject"), facts.subject.map(str::to_owned));
        assert_eq!(ours("x-auth-account").is_some(), facts.account.is_some());
    } else if !matches!(vouched.allowed().principal(), Principal::Known(_)) {
        for name in ["x-auth-subject", "x-auth-account", "x-auth-caller"] {
            assert_eq!(ours(name), None, "nobody has an identity");
        }
    }
}
