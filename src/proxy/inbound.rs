//! The way of an inbound request, from its head to the upstream and back.

use http::{Request, Response};
use hyper::body::Incoming;

use super::body::{ResponseBody, Sealed};
use super::refuse::Ended;
use super::way::Way;
use crate::authn::{self, Identified, KeyWanted, Known, ReviewWanted, Reviewed};
use crate::authz::Routed;
use crate::clock::Now;
use crate::explain::Draft;
use crate::jwks::Obtained;
use crate::rejection::{Rejection, TokenFault};
use crate::request::Refused;
use crate::review::Asked;
use crate::snapshot::Listener;
use crate::upstream;

impl Way<'_> {
    /// The steps, in order. Each takes the value of the one before; none can be left out. What does not wait is done in
    /// calls of its own, so that the future of a request in flight keeps little.
    pub(super) async fn inbound(
        &self,
        inbound: &Listener,
        request: Box<Request<Incoming>>,
        now: Now,
    ) -> Result<Response<ResponseBody>, Ended> {
        let routed = match self.route(inbound, request, now)? {
            Found::Routed(routed) => routed,
            Found::Answered(answer) => return Ok(answer),
        };
        let (known, now) = match self.identify(routed, &[], now) {
            Identified::Known(known) => (known, now),
            Identified::Rejected(refused) => return Err(refused.into()),
            // What is waited for is boxed: hardly any request waits, and every request would carry it.
            waiting => Box::pin(self.settle(waiting, now)).await?,
        };
        Ok(self.forward(inbound, known, now)?.await?)
    }

    /// Reads the request and finds the route that owns it. Some requests need no more for their answer.
    fn route(
        &self,
        inbound: &Listener,
        request: Box<Request<Incoming>>,
        now: Now,
    ) -> Result<Found, Ended> {
        let request = self.read(inbound, request)?;
        self.onlooker.look(|draft| draft.read(request.head()));
        if let Some(metadata) = &inbound.resource_metadata
            && metadata.is_at(request.head().path())
        {
            self.onlooker.look(Draft::answered);
            let answer = super::refuse::metadata(request, metadata, inbound, self.exchange)?;
            return Ok(Found::Answered(answer));
        }
        failpoint!(Route, Err(Rejection::Internal.into()));
        self.onlooker
            .look(|draft| draft.considered(self.snapshot.policy.considered(request.head())));
        let routed = request.route(&self.snapshot.policy, now)?;
        self.onlooker.look(|draft| draft.routed(&routed));
        if routed.is_preflight_to_answer() {
            self.onlooker.look(Draft::answered);
            let answer = super::refuse::preflight(routed, inbound, self.exchange);
            return Ok(Found::Answered(answer));
        }
        Ok(Found::Routed(routed))
    }

    /// Authorizes the caller, vouches for it, and begins to forward.
    fn forward<'a>(
        &'a self,
        inbound: &'a Listener,
        known: Known<Sealed>,
        now: Now,
    ) -> Result<impl Future<Output = Result<Response<ResponseBody>, Rejection>> + use<'a>, Ended>
    {
        self.onlooker.look(|draft| draft.known(&known));
        failpoint!(Authorize, Err(Rejection::Internal.into()));
        let allowed = self.onlooker.authorize(known, now)?;
        failpoint!(Vouch, Err(Rejection::Internal.into()));
        let vouched = allowed.vouch(&self.snapshot.identity, now)?;
        self.onlooker
            .look(|draft| draft.vouched(&vouched, &inbound.settings));
        failpoint!(Pool, Err(Rejection::Internal.into()));
        let pool = self.worker.pool(inbound).ok_or(Rejection::Internal)?;
        Ok(upstream::forward(vouched, inbound, pool, self.exchange))
    }

    /// Verifies the credentials, as far as that goes without waiting.
    fn identify(
        &self,
        routed: Routed<Sealed>,
        reviews: &[Reviewed],
        now: Now,
    ) -> Identified<Sealed> {
        failpoint!(
            Identify,
            Identified::Rejected(routed.refuse(Rejection::Internal))
        );
        let issuers = &self.snapshot.issuers;
        // The cache is not held while waiting: other requests of this worker need it.
        authn::identify(routed, issuers, reviews, &mut self.worker.tokens(), now)
    }

    /// Waits for keys or verdicts, once for each of the two tokens that a request may carry. Also gives the time, which
    /// has passed meanwhile.
    async fn settle(
        &self,
        mut identified: Identified<Sealed>,
        mut now: Now,
    ) -> Result<(Known<Sealed>, Now), Box<Refused<Sealed>>> {
        let issuers = &self.snapshot.issuers;
        let mut reviews = Vec::new();
        for _ in 0..2 {
            let (waiting, outcome) = match identified {
                Identified::Known(_) | Identified::Rejected(_) => break,
                Identified::NeedsKey(waiting, wanted) => (waiting, self.key(&wanted).await),
                Identified::NeedsReview(waiting, wanted) => {
                    let reviewed = self.review(wanted).await;
                    (waiting, reviewed.map(|reviewed| reviews.push(reviewed)))
                }
            };
            now = self.worker.now();
            if let Err(rejection) = outcome {
                failpoint!(GiveUp, Err(waiting.refuse(Rejection::Internal)));
                return authn::give_up(waiting, rejection, issuers, now).map(|known| (known, now));
            }
            identified = self.identify(waiting, &reviews, now);
        }
        match identified {
            Identified::Known(known) => Ok((known, now)),
            Identified::Rejected(refused) => Err(refused),
            Identified::NeedsKey(waiting, _) | Identified::NeedsReview(waiting, _) => {
                let unknown = Rejection::InvalidToken(TokenFault::UnknownKey);
                authn::give_up(waiting, unknown, issuers, now).map(|known| (known, now))
            }
        }
    }

    async fn key(&self, wanted: &KeyWanted) -> Result<(), Rejection> {
        match self.worker.shared.keys.obtain(wanted).await {
            Obtained::Refreshed => Ok(()),
            Obtained::Absent => Err(Rejection::InvalidToken(TokenFault::UnknownKey)),
            Obtained::Unavailable { retry_after } => {
                Err(Rejection::KeysUnavailable { retry_after })
            }
        }
    }

    async fn review(&self, wanted: ReviewWanted) -> Result<Reviewed, Rejection> {
        match self.worker.shared.reviews.ask(wanted).await {
            Asked::Answered(reviewed) => Ok(reviewed),
            Asked::Unavailable { retry_after } => Err(Rejection::ReviewUnavailable { retry_after }),
        }
    }
}

/// What is known of a request once it is routed.
enum Found {
    Routed(Routed<Sealed>),
    /// It is answered without a caller.
    Answered(Response<ResponseBody>),
}
