//! What is told about a request: gathered step by step in a [`Draft`], which becomes an [`Explanation`].

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use serde_json::Value;

use super::found::{self, Request};
use super::meaning::{Meaning, meaning};
use super::stand_in::Sent;
use super::{Listener, token};
use crate::authn::{self, Known};
use crate::authz::{self, Access, Candidates, Demand, Evaluation, Routed};
use crate::case::{Case, Members, SOME_HOST, SOMEBODY, TokenKind};
use crate::cli::show;
use crate::clock::Now;
use crate::config::{Config, VerifierSettings};
use crate::identity::Vouched;
use crate::listener::ListenerSettings;
use crate::rejection::{Decision, Refusal, Rejection};
use crate::request::Head;

/// What becomes of a request, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What is asked, for people.
    pub title: String,
    /// Unix time at which it comes.
    pub at: i64,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What it would have been refused for, where its route only observes.
    pub observed: Option<&'static str>,
    /// The one reading of the request; `None` where it cannot be read.
    pub reading: Option<Reading>,
    /// The routes whose paths match, the most specific first; where a host is not the request's, the route takes no part.
    pub routes: Vec<RouteSeen>,
    /// More specific routes that another spelling of the path would select.
    pub near: Vec<Arc<str>>,
    /// The route that owns the request.
    pub route: Option<Route>,
    /// Who asks; `None` where that was not looked at.
    pub principal: Option<Principal>,
    /// The party of the second token.
    pub actor: Option<Principal>,
    /// What was made of the token, where it does not hold.
    pub checks: Vec<Check>,
    /// The alternatives of the row, in its order.
    pub alternatives: Vec<Alternative>,
    /// The caller that it is recorded as.
    pub caller: Option<Arc<str>>,
    /// What the upstream would be told, where the request passes.
    pub identity: Option<Identity>,
    /// What the caller gets where it does not pass, or where we answer ourselves.
    pub answer: Option<Answer>,
    /// What the reason means.
    pub meaning: Option<Meaning>,
    /// What the reader should know about this explanation.
    pub notes: Vec<String>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is forwarded.
    Forwarded,
    /// We answer it ourselves, as configured.
    Answered,
    /// It does not pass.
    Refused {
        /// Whether it is refused for what it is, or could not be judged or served.
        decision: Decision,
        /// The reason, as the decision record has it.
        reason: &'static str,
    },
    /// Keys would tell that are not here.
    Unjudged,
}

impl Verdict {
    /// As the decision record has it; `unjudged` where nobody can tell.
    #[must_use]
    pub const fn decision(self) -> &'static str {
        match self {
            Self::Forwarded | Self::Answered => Decision::Allowed.as_str(),
            Self::Refused { decision, .. } => decision.as_str(),
            Self::Unjudged => "unjudged",
        }
    }

    /// Why it does not pass.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Refused { reason, .. } => Some(reason),
            Self::Forwarded | Self::Answered | Self::Unjudged => None,
        }
    }
}

/// The one reading of a request.
#[derive(Clone, Debug)]
pub struct Reading {
    /// An exact token.
    pub method: String,
    /// The bytes that are forwarded.
    pub target: String,
    /// Decoded once.
    pub segments: Vec<String>,
    /// The path ends in a slash.
    pub trailing_slash: bool,
    /// Lower-case, without port.
    pub host: String,
    /// The client: the peer, or the rightmost untrusted hop.
    pub client: String,
    /// The other end of the connection.
    pub peer: String,
    /// Names of fields that came and do not go on: reserved, hop-by-hop, or told anew.
    pub dropped: Vec<String>,
}

/// A route whose path matches.
#[derive(Clone, Debug)]
pub struct RouteSeen {
    /// Its name.
    pub name: Arc<str>,
    /// The path of it that matches.
    pub path: String,
    /// The host that it is narrowed to.
    pub host: Option<String>,
    /// Whether that is the request's.
    pub host_matches: bool,
    /// Whether it owns the request.
    pub owns: bool,
}

/// The route that owns the request.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// The row of its table that speaks for the request ([`authz::Route::access`]); `None`: it has none, or the request was
    /// refused before that mattered.
    pub row: Option<usize>,
    /// The parameters of its path.
    pub parameters: Vec<(String, String)>,
    /// What it asks of a credential, in words.
    pub asks: &'static str,
    /// The methods that its table speaks for.
    pub methods: String,
    /// Unix time until which it only observes.
    pub observes_until: Option<i64>,
    /// The share of clients for whom it is enforced all the same.
    pub enforce: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Principal {
    /// No token was needed, or none was looked at.
    Anonymous,
    /// A token that nobody here can verify, on a route that takes such tokens.
    Opaque,
    /// A token that holds.
    Known(Box<Party>),
}

/// What a token that holds says, in the terms of policy.
#[derive(Clone, Debug)]
pub struct Party {
    /// The configured name.
    pub issuer: Arc<str>,
    /// Who.
    pub subject: Option<String>,
    /// By which client.
    pub client: Option<String>,
    /// Of which account.
    pub account: Option<String>,
    /// Implied ones included.
    pub scopes: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Unix time of `exp`.
    pub expires: i64,
    /// All claims, as they were given.
    pub claims: Value,
    /// Whether a signature of the issuer was verified; otherwise the claims were taken for signed.
    pub verified: bool,
}

/// Something that was looked at, with what was wanted and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What: a claim, a member of the header, a setting.
    pub what: String,
    /// What would have done.
    pub wanted: String,
    /// What was there.
    pub found: String,
}

/// One alternative of a row.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// The caller that it names, or the issuer.
    pub name: String,
    /// The issuer whose tokens it is about.
    pub issuer: Arc<str>,
    /// Whether the token is of that issuer.
    pub of_issuer: bool,
    /// Whether it lets the request pass.
    pub holds: bool,
    /// Whether the decision is by it: it is the first that holds, or the one that came closest.
    pub decides: bool,
    /// Its conditions, in the order in which they are tried; what was found is not told for another issuer's token.
    pub conditions: Vec<Condition>,
}

/// One condition of an alternative.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Whether it holds; `None`: it was not looked at.
    pub holds: Option<bool>,
    /// What it wants and what it found.
    pub check: Check,
}

/// What the upstream would be told.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Where the request goes.
    pub upstream: String,
    /// Identity headers, in their order.
    pub headers: Vec<(String, String)>,
    /// The header of the assertion, and its claims. Their signature is nobody's to read.
    pub assertion: Option<(String, Value)>,
    /// Whether the message is signed.
    pub signed: bool,
    /// What becomes of the client's `Authorization`, in words; `None` where there is none.
    pub authorization: Option<&'static str>,
    /// Outbound: the credential whose access token is attached.
    pub credential: Option<Arc<str>>,
}

/// An answer of ours.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: Vec<(String, String)>,
    /// Its body, as text.
    pub body: String,
}

impl Answer {
    fn of(response: &Response<bytes::Bytes>) -> Self {
        let headers = response.headers().iter();
        Self {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.to_string(), value)
                })
                .collect(),
            body: String::from_utf8_lossy(response.body()).into_owned(),
        }
    }
}

/// An explanation that is being made.
pub(crate) struct Draft {
    said: Explanation,
    /// Names of fields that were sent, lower-case.
    sent: Vec<String>,
    /// The tokens as they were sent, for what does not hold.
    token: Option<zeroize::Zeroizing<String>>,
    actor: Option<zeroize::Zeroizing<String>>,
    claimed: bool,
    now: Now,
}

impl Draft {
    pub(super) fn new(case: &Case, listener: &Listener, sent: &Sent, now: Now) -> Self {
        let claimed = [&case.token, &case.actor]
            .into_iter()
            .flatten()
            .any(|token| matches!(token.kind, TokenKind::Claims(_)));
        let title = format!("{} {}", case.request.method, case.request.target);
        let mut draft = Self {
            sent: case
                .request
                .headers
                .iter()
                .map(|(name, _)| name.to_ascii_lowercase())
                .collect(),
            token: sent.token.clone(),
            actor: sent.actor.clone(),
            claimed,
            ..Self::blank(title, Arc::clone(&listener.settings.name), now)
        };
        draft.assumed(case, sent);
        draft
    }

    /// Of a request that a listener just got.
    pub(crate) fn of_request(
        method: &http::Method,
        uri: &http::Uri,
        headers: &http::HeaderMap,
        listener: &Arc<str>,
        now: Now,
    ) -> Self {
        let token = headers.get(http::header::AUTHORIZATION);
        let token = token
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.split_once(' '))
            .map(|(_, token)| zeroize::Zeroizing::new(token.to_owned()));
        Self {
            sent: headers.keys().map(ToString::to_string).collect(),
            token,
            ..Self::blank(format!("{method} {uri}"), Arc::clone(listener), now)
        }
    }

    fn blank(title: String, listener: Arc<str>, now: Now) -> Self {
        Self {
            said: Explanation {
                title,
                at: now.unix.as_secs(),
                listener,
                verdict: Verdict::Unjudged,
                observed: None,
                reading: None,
                routes: Vec::new(),
                near: Vec::new(),
                route: None,
                principal: None,
                actor: None,
                checks: Vec::new(),
                alternatives: Vec::new(),
                caller: None,
                identity: None,
                answer: None,
                meaning: None,
                notes: Vec::new(),
            },
            sent: Vec::new(),
            token: None,
            actor: None,
            claimed: false,
            now,
        }
    }

    fn assumed(&mut self, case: &Case, sent: &Sent) {
        let mut note = |text: String| self.said.notes.push(text);
        if case.request.host.is_none() {
            note(format!("`Host` was not given; {SOME_HOST} is assumed"));
        }
        if case.request.peer.is_none() {
            note(format!(
                "the peer's address was not given; {SOMEBODY} is assumed, which is nobody's"
            ));
        }
        if self.claimed {
            note(
                "claims were given, not a token: no signature of the issuer was checked".to_owned(),
            );
        }
        if !sent.completed.is_empty() {
            note(format!(
                "the claims were completed with what the issuer's tokens have: {}",
                sent.completed.join(", ")
            ));
        }
    }

    pub(crate) fn read(&mut self, head: &Head) {
        let path = head.path();
        let kept = |name: &String| head.headers().contains_key(name.as_str());
        let told_anew = ["host", "content-length"];
        let dropped = self
            .sent
            .iter()
            .filter(|name| !kept(name) && !told_anew.contains(&name.as_str()))
            .cloned()
            .collect();
        self.said.reading = Some(Reading {
            method: head.method().to_string(),
            target: path.target().to_owned(),
            segments: path.segments().map(str::to_owned).collect(),
            trailing_slash: path.trailing_slash(),
            host: head.authority().host().to_owned(),
            client: head.client().to_string(),
            peer: head.connection().peer.to_string(),
            dropped,
        });
    }

    pub(crate) fn considered(&mut self, candidates: Candidates) {
        let mut owned = false;
        for seen in candidates.matching {
            let owns = seen.host_matches && !owned;
            owned |= owns;
            let path = seen.route.settings().paths.get(seen.path);
            self.said.routes.push(RouteSeen {
                name: Arc::clone(seen.route.name()),
                path: path.map(ToString::to_string).unwrap_or_default(),
                host: seen.host.as_ref().map(ToString::to_string),
                host_matches: seen.host_matches,
                owns,
            });
        }
        self.said.near = candidates.near;
    }

    pub(crate) fn routed<B>(&mut self, routed: &Routed<B>) {
        self.route(routed.route(), routed.demand());
        let paths = routed.route().settings().paths.iter();
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in paths.flat_map(authz::PathPattern::parameters) {
            if !names.contains(&&**name) {
                names.push(name);
            }
        }
        let found = names.into_iter().filter_map(|name| {
            let value = routed.parameter(name)?;
            Some((name.to_owned(), value.to_owned()))
        });
        if let Some(route) = &mut self.said.route {
            route.row = routed.row();
            route.parameters = found.collect();
        }
        self.alternatives(routed, None, None);
    }

    fn route(&mut self, route: &Arc<authz::Route>, demand: Demand) {
        let mut methods: Vec<&str> = route.methods().map(|(method, _)| method.as_str()).collect();
        methods.sort_unstable();
        let observes = route.observe().filter(|_| route.observes(self.now));
        self.said.route = Some(Route {
            name: Arc::clone(route.name()),
            row: None,
            parameters: Vec::new(),
            asks: match demand {
                Demand::Public => "no token is looked at",
                Demand::Optional => "a token is not needed, and must hold where there is one",
                Demand::Opaque => "a bearer token, which need not be a JWT",
                Demand::OptionalOpaque => "a token is not needed, and need not be a JWT",
                Demand::Token => "a token that holds",
            },
            methods: methods.join(", "),
            observes_until: observes.map(crate::clock::UnixTime::as_secs),
            enforce: Some(route.settings().enforced)
                .filter(|share| observes.is_some() && !share.is_nobody())
                .map(|share| share.to_string()),
        });
    }

    pub(crate) fn known<B>(&mut self, known: &Known<B>) {
        self.said.principal = Some(self.principal(known.principal()));
        self.said.actor = known
            .actor()
            .map(|actor| self.principal(&authn::Principal::Known(std::rc::Rc::clone(actor))));
        let verified = match known.principal() {
            authn::Principal::Known(verified) => Some(&**verified),
            authn::Principal::Anonymous | authn::Principal::Opaque => None,
        };
        let actor = known.actor().map(std::rc::Rc::as_ref);
        self.alternatives(known.routed(), verified, actor);
    }

    fn principal(&self, principal: &authn::Principal) -> Principal {
        let verified = match principal {
            authn::Principal::Anonymous => return Principal::Anonymous,
            authn::Principal::Opaque => return Principal::Opaque,
            authn::Principal::Known(verified) => verified,
        };
        let list = |values: &[Box<str>]| values.iter().map(ToString::to_string).collect();
        Principal::Known(Box::new(Party {
            issuer: Arc::clone(verified.issuer().name()),
            subject: verified.subject().map(str::to_owned),
            client: verified.client().map(str::to_owned),
            account: verified.account().map(str::to_owned),
            scopes: list(verified.scopes()),
            roles: list(verified.roles()),
            groups: list(verified.groups()),
            expires: verified.expires().as_secs(),
            claims: found::claims(verified.claims()),
            verified: !self.claimed,
        }))
    }

    /// The row that is for nobody decides before it is any further on the way.
    fn nobody_may(&mut self, rejection: &Rejection, route: &authz::Route) {
        let told = (&mut self.said.route, &self.said.reading);
        if let (Some(told), Some(reading)) = told
            && *rejection == Rejection::Forbidden(Refusal::Nobody)
        {
            let method = http::Method::from_bytes(reading.method.as_bytes());
            told.row = method.ok().and_then(|method| route.row(&method));
        }
    }

    /// What the alternatives of the row want, and what is there.
    fn alternatives<B>(
        &mut self,
        routed: &Routed<B>,
        verified: Option<&authn::Verified>,
        actor: Option<&authn::Verified>,
    ) {
        let access = routed.row().and_then(|row| routed.route().access(row));
        let Some(Access::Rules { alternatives, .. }) = access else {
            self.said.alternatives.clear();
            return;
        };
        let request = Request {
            routed,
            verified,
            actor,
        };
        self.said.alternatives = alternatives
            .iter()
            .map(|alternative| Alternative {
                name: match &alternative.caller {
                    Some(caller) => caller.to_string(),
                    None => format!("issuer {}", alternative.issuer),
                },
                issuer: Arc::clone(&alternative.issuer),
                of_issuer: false,
                holds: false,
                decides: false,
                conditions: alternative
                    .conditions
                    .iter()
                    .map(|condition| Condition {
                        holds: None,
                        check: request.check(condition),
                    })
                    .collect(),
            })
            .collect();
    }

    /// What evaluation made of them.
    pub(crate) fn evaluated(&mut self, evaluation: &Evaluation) {
        let deciding = evaluation.matched().or(evaluation.closest);
        let seen = evaluation.alternatives.iter();
        for (at, (told, seen)) in self.said.alternatives.iter_mut().zip(seen).enumerate() {
            told.of_issuer = seen.of_issuer;
            told.holds = seen.holds();
            told.decides = deciding == Some(at);
            for (condition, holds) in told.conditions.iter_mut().zip(&seen.conditions) {
                condition.holds = Some(*holds);
            }
        }
    }

    pub(super) fn reached(&mut self, credential: &Arc<str>) {
        self.said.identity = Some(Identity {
            credential: Some(Arc::clone(credential)),
            ..Identity::default()
        });
    }

    pub(super) fn passes(
        mut self,
        vouched: &Vouched<()>,
        listener: &ListenerSettings,
    ) -> Explanation {
        self.vouched(vouched, listener);
        self.said
    }

    /// It goes to the upstream.
    pub(crate) fn vouched<B>(&mut self, vouched: &Vouched<B>, listener: &ListenerSettings) {
        let allowed = vouched.allowed();
        self.said.verdict = Verdict::Forwarded;
        self.said.caller = allowed.caller().map(Arc::clone);
        if let Some(rejection) = allowed.observed() {
            self.nobody_may(rejection, allowed.route());
            self.said.observed = Some(rejection.reason());
            self.said.meaning = Some(meaning(rejection));
        }
        let mut identity = Identity {
            upstream: show::upstream(&listener.upstream.address),
            ..Identity::default()
        };
        let assertion = vouched.identity().assertion_header();
        for (name, value) in vouched.identity().iter() {
            let value = value.to_str().unwrap_or_default();
            match name.as_str() {
                "signature" | "signature-input" => identity.signed = true,
                own if assertion.is_some_and(|header| header == own) => {
                    identity.assertion = Some((own.to_owned(), payload(value)));
                }
                own => identity.headers.push((own.to_owned(), value.to_owned())),
            }
        }
        let sent = self.token.is_some() || self.sent.iter().any(|name| name == "authorization");
        let stays = vouched.head().headers().contains_key("authorization");
        identity.authorization = sent.then_some(if stays {
            "goes on as it came"
        } else {
            "is taken away"
        });
        self.said.identity = Some(identity);
    }

    pub(super) fn attached(mut self, listener: &ListenerSettings) -> Explanation {
        self.said.verdict = Verdict::Forwarded;
        if let Some(identity) = &mut self.said.identity {
            identity.upstream = show::upstream(&listener.upstream.address);
        }
        self.said.notes.push(
            "whether its access token can be obtained was not tried: `countersign token` does"
                .to_owned(),
        );
        self.said
    }

    pub(super) fn ours(mut self, answer: &Response<bytes::Bytes>) -> Explanation {
        self.said.verdict = Verdict::Answered;
        self.said.answer = Some(Answer::of(answer));
        self.said
    }

    /// Whether the token holds, only somebody who is not here can tell.
    pub(super) fn unjudged(mut self, issuer: &str, config: &Config) -> Explanation {
        self.said.verdict = Verdict::Unjudged;
        let note = match config.verifier(issuer) {
            Some(VerifierSettings::Review(review)) => format!(
                "the token could not be judged: whoever judges the tokens of `{issuer}` is not asked from here ({}); --claims does without. Everything that is checked before holds",
                show::review(&review.endpoint)
            ),
            Some(VerifierSettings::Keys(keys)) => format!(
                "the signature could not be judged: the keys of `{issuer}` are not here ({}); --fetch fetches them, --claims does without. Everything that is checked before a signature holds",
                show::keys(&keys.source)
            ),
            None => String::new(),
        };
        self.said.notes.push(note);
        self.said
    }

    pub(super) fn refused(
        mut self,
        rejection: &Rejection,
        route: Option<&Arc<authz::Route>>,
        answer: &Response<bytes::Bytes>,
        config: &Config,
    ) -> Explanation {
        self.refuse(rejection, route, config);
        self.said.answer = Some(Answer::of(answer));
        self.said
    }

    /// It does not pass.
    pub(crate) fn refuse(
        &mut self,
        rejection: &Rejection,
        route: Option<&Arc<authz::Route>>,
        config: &Config,
    ) {
        self.said.verdict = Verdict::Refused {
            decision: rejection.decision(),
            reason: rejection.reason(),
        };
        self.said.meaning = Some(meaning(rejection));
        self.said.identity = None;
        if let (None, Some(route)) = (&self.said.route, route) {
            // Refused before a row was looked for: the route asks for what it asks all the same.
            self.route(route, Demand::Token);
            self.nobody_may(rejection, route);
        }
        let tokens = [self.token.take(), self.actor.take()];
        self.said.checks = token::checks(rejection, &tokens, config, self.now);
    }

    /// We answer it ourselves, as configured.
    pub(crate) fn answered(&mut self) {
        self.said.verdict = Verdict::Answered;
    }

    /// What is told of a request that a listener answers; the answer itself is in the caller's hands.
    pub(crate) const fn told(&self) -> &Explanation {
        &self.said
    }
}

/// The claims of a signed assertion, without its signature.
fn payload(assertion: &str) -> Value {
    let payload = assertion.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let claims: Members = serde_json::from_slice(&bytes).unwrap_or_default();
    Value::Object(claims)
}
