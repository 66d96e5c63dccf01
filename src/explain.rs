//! What becomes of a request, and why: the real decision, with somebody looking on.
//!
//! An [`Explainer`] sends a [`Case`] the way that a listener's requests go (`proxy/inbound.rs`, `proxy/outbound.rs`): the same
//! steps of the same types, which nobody can leave out, and none of its own. Evaluation is watched ([`Watch`]), the token
//! of a case that says only what it claims is signed by a key of our own ([`stand_in`]), and where a listener would
//! forward, the way ends. No request is sent and nothing is fetched.
//!
//! [`Watch`]: crate::authz::Watch

mod asked;
mod coverage;
mod expect;
mod found;
mod json;
mod meaning;
mod onlooker;
mod proof;
mod record;
mod stand_in;
mod story;
#[cfg(test)]
mod tests;
mod text;
mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::app::rules_of;
use crate::authn::{self, Identified, KeyCell, KeyState, KeyWanted, Known, TokenCache};
use crate::authz::{self, Evaluation, Policy, Routed};
use crate::case::Case;
use crate::clock::{Clock, Now, Tick, UnixTime};
use crate::config::{Config, VerifierSettings};
use crate::identity::{Identity, Vouched};
use crate::jwks::{KeySource, Keys};
use crate::listener::ListenerSettings;
use crate::proxy::{AnswerContext, Answers, Cors, ResourceMetadata, Schemes};
use crate::rejection::{Malformed, Rejection, TokenFault};
use crate::request::{Canonical, Connection, Refused, RequestRules};

pub use asked::CaseError;
pub use coverage::{Coverage, Gap, Missing};
pub use meaning::{Meaning, Reach, meaning};
pub use record::{Again, RecordError, Recorded};
pub(crate) use story::Draft;
pub use story::{
    Alternative, Answer, Check, Condition, Explanation, Identity as IdentityTold, Party, Principal,
    Reading, Route, RouteSeen, Verdict,
};
pub use text::{Paint, text};

pub(crate) use onlooker::Onlooker;

use asked::Asked;
use stand_in::{Sent, StandIn};

/// When a case comes on the clock that limits count by; nothing was counted before.
const TICK: Tick = Tick::from_nanos(3_600_000_000_000);

/// How long a refusal says to wait that nobody measured.
const RETRY: Duration = Duration::from_secs(1);

/// A configuration that requests can be tried on. What is tried counts for no limit and no cache of a running proxy.
#[derive(Debug)]
pub struct Explainer {
    config: Arc<Config>,
    policy: Policy,
    identity: Identity,
    answers: Answers,
    listeners: Vec<Listener>,
    /// Keys by the name of their issuer.
    cells: HashMap<Arc<str>, Arc<KeyCell>>,
    /// Whether the cells hold what the issuers publish, also of those that are not pinned.
    fetched: bool,
    stand_in: StandIn,
}

#[derive(Debug)]
struct Listener {
    settings: ListenerSettings,
    rules: RequestRules,
    cors: Option<Cors>,
    schemes: Schemes,
    metadata: Option<ResourceMetadata>,
}

/// A request that ended on its way.
struct Ended {
    rejection: Rejection,
    /// The route that owned it.
    route: Option<Arc<authz::Route>>,
}

impl From<Box<Refused<()>>> for Ended {
    fn from(refused: Box<Refused<()>>) -> Self {
        let (rejection, facts, ()) = refused.into_parts();
        Self {
            rejection,
            route: facts.route,
        }
    }
}

/// How a way ended otherwise than by a refusal.
enum Passed {
    /// It would be forwarded.
    Vouched(Box<Vouched<()>>),
    /// An outbound listener would forward it with its credential's token.
    Attached,
    /// We answer it ourselves.
    Ours(http::Response<bytes::Bytes>),
    /// Whether the token holds, keys of this issuer would tell, or its reviewer, and neither is here.
    Unjudged(Arc<str>),
}

impl Explainer {
    /// Prepares a configuration, with the keys that are held: those in files and in the document, or what a running proxy
    /// has.
    ///
    /// # Errors
    /// The configuration is valid, and a part of it cannot be used; says which.
    pub fn new(
        config: Arc<Config>,
        cells: HashMap<Arc<str>, Arc<KeyCell>>,
    ) -> Result<Self, String> {
        let identity = Identity::new(Arc::clone(&config.identity), 0)
            .map_err(|error| format!("identity: {error}"))?;
        let listeners = config
            .listeners
            .iter()
            .map(|settings| listener(settings, &identity, &config))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            policy: config.policy.apart(),
            answers: Answers::compile(&config.answers),
            identity,
            listeners,
            cells,
            fetched: false,
            stand_in: StandIn::new()?,
            config,
        })
    }

    /// Prepares a configuration with the keys that are pinned: in its document, in files, or kept from the last fetch. The
    /// network is not touched.
    ///
    /// # Errors
    /// As above.
    pub fn pinned(config: Arc<Config>) -> Result<Self, String> {
        let (keys, _nobody_fetches) = Keys::start(Clock::system());
        let cells = keys.prepare(config.key_sources()).cells();
        Self::new(config, cells)
    }

    /// The same, where the cells hold what the issuers published just now: a key that is not there does not exist.
    #[must_use]
    pub const fn after_fetching(mut self) -> Self {
        self.fetched = true;
        self
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Tells what becomes of `case`, and why; `now` where the case does not say when it comes.
    ///
    /// # Errors
    /// The case does not fit the configuration: a listener or an issuer that it names is not there.
    pub fn explain(&self, case: &Case, now: UnixTime) -> Result<Explanation, CaseError> {
        let now = Now {
            unix: case.at.unwrap_or(now),
            tick: TICK,
        };
        let listener = self.listener(case)?;
        let mut sent = self.send(listener, case, now.unix)?;
        if sent.actor.is_some() {
            self.place_actor(listener, case, &mut sent);
        }
        // What was tried before is not held against this case.
        self.policy.forget();
        for _ in 1..case.repeat.max(1) {
            let mut nobody_looks = Draft::new(case, listener, &sent, now);
            drop(self.pass(listener, case, &sent, now, &mut nobody_looks));
        }
        let mut draft = Draft::new(case, listener, &sent, now);
        let outcome = self.pass(listener, case, &sent, now, &mut draft);
        Ok(self.tell(draft, outcome, listener, case))
    }

    fn send(&self, listener: &Listener, case: &Case, now: UnixTime) -> Result<Sent, CaseError> {
        let origin = listener.settings.origins().next();
        let origin = origin.map(|url| match url.find("://") {
            Some(at) => {
                let end = url.get(at + 3..).and_then(|rest| rest.find('/'));
                url.get(..end.map_or(url.len(), |end| at + 3 + end))
                    .unwrap_or(url)
            }
            None => url,
        });
        self.stand_in
            .send(case, origin, &self.config, &self.cells, now)
    }

    /// The second token goes where the route that owns the request looks for it.
    fn place_actor(&self, listener: &Listener, case: &Case, sent: &mut Sent) {
        let connection = Arc::new(self.connection(listener, case));
        let parts = Asked::of(case, sent, listener).parts();
        let request = parts
            .ok()
            .and_then(|(parts, _)| Canonical::parse(parts, (), &connection, &listener.rules).ok());
        let Some(request) = request else { return };
        let candidates = self.policy.considered(request.head());
        let mut matching = candidates.matching.iter();
        let owner = matching.find(|seen| seen.host_matches);
        let own = owner.and_then(|seen| seen.route.actor_token());
        if let Some(token) = own {
            sent.actor_header = Some(token.header.clone());
        }
    }

    fn listener(&self, case: &Case) -> Result<&Listener, CaseError> {
        let wanted = case.request.listener.as_deref();
        let found = match wanted {
            Some(name) => self
                .listeners
                .iter()
                .find(|listener| *listener.settings.name == *name),
            None => self.listeners.first(),
        };
        found.ok_or_else(|| CaseError::UnknownListener {
            name: wanted.unwrap_or_default().to_owned(),
            known: self.listener_names(),
        })
    }

    fn listener_names(&self) -> String {
        let names: Vec<&str> = self
            .listeners
            .iter()
            .map(|listener| &*listener.settings.name)
            .collect();
        names.join(", ")
    }

    /// The way of a request, as `proxy/inbound.rs` and `proxy/outbound.rs` have it.
    fn pass(
        &self,
        listener: &Listener,
        case: &Case,
        sent: &Sent,
        now: Now,
        draft: &mut Draft,
    ) -> Result<Passed, Ended> {
        let asked = Asked::of(case, sent, listener);
        let refuse_unread = |malformed| Ended {
            rejection: Rejection::Malformed(malformed),
            route: None,
        };
        let (parts, body) = asked.parts().map_err(refuse_unread)?;
        let connection = Arc::new(self.connection(listener, case));
        let request =
            Canonical::parse(parts, (), &connection, &listener.rules)?.with_body(body > 0);
        draft.read(request.head());
        if let Some(outbound) = &listener.settings.outbound {
            draft.considered(outbound.reach.considered(request.head()));
            drop(request.reach(&outbound.reach, now)?);
            draft.reached(&outbound.credential);
            return Ok(Passed::Attached);
        }
        if let Some(metadata) = &listener.metadata
            && metadata.is_at(request.head().path())
        {
            let answer = metadata.answer(request.head(), listener.cors.as_ref(), REQUEST_ID);
            return match answer {
                Ok(answer) => Ok(Passed::Ours(answer)),
                Err(rejection) => Err(request.refuse(rejection).into()),
            };
        }
        draft.considered(self.policy.considered(request.head()));
        let routed = request.route(&self.policy, now)?;
        draft.routed(&routed);
        if routed.is_preflight_to_answer() {
            return Ok(Passed::Ours(preflight(&routed, listener)));
        }
        let known = match self.identify(routed, sent, now)? {
            Ok(known) => known,
            Err(unjudged) => return Ok(unjudged),
        };
        draft.known(&known);
        let mut evaluation = Evaluation::default();
        let allowed = known.authorize_watched(now, &mut evaluation);
        draft.evaluated(&evaluation);
        let vouched = allowed?.vouch(&self.identity, now)?;
        let route = Arc::clone(vouched.allowed().route());
        let limit = route.body_bytes().or(listener.settings.limits.body_bytes);
        if limit.is_some_and(|limit| body > limit) {
            return Err(Ended {
                rejection: Rejection::Malformed(Malformed::BodyTooLarge),
                route: Some(route),
            });
        }
        Ok(Passed::Vouched(Box::new(vouched)))
    }

    fn connection(&self, listener: &Listener, case: &Case) -> Connection {
        let settings = &listener.settings;
        Connection {
            listener: Arc::clone(&settings.name),
            peer: case.request.peer.unwrap_or(crate::case::SOMEBODY),
            tls: settings.tls.is_some(),
            unix: matches!(settings.listen, crate::listener::ListenAddress::Unix(_)),
            client_certificate: case.request.certificate.clone(),
        }
    }

    /// Verifies the credentials, as far as that can be done from here. What a listener would wait for is known at once: a
    /// key that is pinned, or was asked for, is there or is not, and of what is only claimed it is said whether it holds.
    fn identify(
        &self,
        routed: Routed<()>,
        sent: &Sent,
        now: Now,
    ) -> Result<Result<Known<()>, Passed>, Ended> {
        let mut cache = TokenCache::new(0);
        let mut reviews = Vec::new();
        let mut routed = routed;
        // Each of two tokens may have to be asked about.
        for _ in 0..3 {
            let identified = authn::identify(routed, &sent.issuers, &reviews, &mut cache, now);
            let (waiting, outcome) = match identified {
                Identified::Known(known) => return Ok(Ok(known)),
                Identified::Rejected(refused) => return Err(refused.into()),
                Identified::NeedsKey(waiting, wanted) => {
                    let rejection = self.without_key(sent, &wanted);
                    (
                        waiting,
                        rejection.map_or(Err(wanted.issuer), |own| Ok(Err(own))),
                    )
                }
                Identified::NeedsReview(waiting, wanted) => {
                    let issuer = Arc::clone(&wanted.issuer);
                    let told = sent.review(wanted, now, RETRY);
                    (waiting, told.ok_or(issuer))
                }
            };
            let rejection = match outcome {
                Ok(Ok(reviewed)) => {
                    reviews.push(reviewed);
                    routed = waiting;
                    continue;
                }
                Ok(Err(rejection)) => rejection,
                Err(issuer) => return Ok(Err(Passed::Unjudged(Arc::clone(issuer.name())))),
            };
            let known = authn::give_up(waiting, rejection, &sent.issuers, now)?;
            return Ok(Ok(known));
        }
        let unknown = Rejection::InvalidToken(TokenFault::UnknownKey);
        let known = authn::give_up(routed, unknown, &sent.issuers, now)?;
        Ok(Ok(known))
    }

    /// What becomes of a token whose key is not held; `None`: its issuer's keys are not here.
    fn without_key(&self, sent: &Sent, wanted: &KeyWanted) -> Option<Rejection> {
        let name = wanted.issuer.name();
        let held = match sent.stands_in(name) {
            Some(keyless) => !keyless,
            None => {
                let pinned = match self.config.verifier(name).and_then(VerifierSettings::keys) {
                    Some(keys) => matches!(keys.source, KeySource::File(_) | KeySource::Inline(_)),
                    None => false,
                };
                if !pinned && !self.fetched {
                    return None;
                }
                let keys = wanted.issuer.keys();
                keys.is_some_and(|keys| matches!(*keys.load(), KeyState::Usable(_)))
            }
        };
        Some(if held {
            Rejection::InvalidToken(TokenFault::UnknownKey)
        } else {
            Rejection::KeysUnavailable { retry_after: RETRY }
        })
    }

    fn tell(
        &self,
        draft: Draft,
        outcome: Result<Passed, Ended>,
        listener: &Listener,
        case: &Case,
    ) -> Explanation {
        match outcome {
            Ok(Passed::Vouched(vouched)) => draft.passes(&vouched, &listener.settings),
            Ok(Passed::Attached) => draft.attached(&listener.settings),
            Ok(Passed::Ours(answer)) => draft.ours(&answer),
            Ok(Passed::Unjudged(issuer)) => draft.unjudged(&issuer, &self.config),
            Err(Ended { rejection, route }) => {
                let template = route
                    .as_ref()
                    .and_then(|route| route.answers())
                    .or(listener.settings.answers.as_ref());
                let origin = origin_of(case);
                let context = AnswerContext {
                    request_id: REQUEST_ID,
                    head: case.request.method == "HEAD",
                    cors: listener.cors.as_ref().map(|cors| (cors, origin.as_ref())),
                    schemes: Some(&listener.schemes),
                };
                let answer = self.answers.get(template).render(&rejection, &context);
                draft.refused(&rejection, route.as_ref(), &answer, &self.config)
            }
        }
    }
}

/// What stands for the id that a request would get.
const REQUEST_ID: &str = "-";

fn listener(
    settings: &ListenerSettings,
    identity: &Identity,
    config: &Config,
) -> Result<Listener, String> {
    let metadata = settings
        .resource_metadata
        .as_ref()
        .map(|metadata| ResourceMetadata::compile(metadata, settings, config))
        .transpose()
        .map_err(|error| format!("{}: {error}", settings.name))?;
    Ok(Listener {
        rules: rules_of(settings, identity, config),
        cors: settings.cors.as_ref().map(Cors::compile),
        schemes: Schemes::of(settings, metadata.as_ref(), config),
        metadata,
        settings: settings.clone(),
    })
}

fn origin_of(case: &Case) -> Option<HeaderValue> {
    let mut headers = case.request.headers.iter();
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("origin"))?;
    HeaderValue::from_str(value).ok()
}

fn preflight(routed: &Routed<()>, listener: &Listener) -> http::Response<bytes::Bytes> {
    let methods = HeaderValue::from_str(routed.route().allowed_methods())
        .unwrap_or(HeaderValue::from_static(""));
    let origin = routed.head().headers().get(http::header::ORIGIN);
    match &listener.cors {
        Some(cors) => cors.answer_preflight(&methods, origin, REQUEST_ID),
        None => http::Response::new(bytes::Bytes::new()),
    }
}
