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
    /// The steps, in order. Each takes the value of the one before; none can be left out.
    pub(super) async fn inbound(
        &self,
        inbound: &Listener,
        request: Request<Incoming>,
        now: Now,
    ) -> Result<Response<ResponseBody>, Ended> {
        let request = self.read(inbound, request)?;
        self.onlooker.look(|draft| draft.read(request.head()));
        if let Some(metadata) = &inbound.resource_metadata
            && metadata.is_at(request.head().path())
        {
            self.onlooker.look(Draft::answered);
            return Ok(super::refuse::metadata(
                request,
                metadata,
                inbound,
                self.exchange,
            )?);
        }
        failpoint!(Route, Err(Rejection::Internal.into()));
        self.onlooker
            .look(|draft| draft.considered(self.snapshot.policy.considered(request.head())));
        let routed = request.route(&self.snapshot.policy, now)?;
        self.onlooker.look(|draft| draft.routed(&routed));
        if routed.is_preflight_to_answer() {
            self.onlooker.look(Draft::answered);
            return Ok(super::refuse::preflight(routed, inbound, self.exchange));
        }
        let (known, now) = self.identify(routed, now).await?;
        self.onlooker.look(|draft| draft.known(&known));
        failpoint!(Authorize, Err(Rejection::Internal.into()));
        let allowed = self.onlooker.authorize(known, now)?;
        failpoint!(Vouch, Err(Rejection::Internal.into()));
        let vouched = allowed.vouch(&self.snapshot.identity, now)?;
        self.onlooker
            .look(|draft| draft.vouched(&vouched, &inbound.settings));
        failpoint!(Pool, Err(Rejection::Internal.into()));
        let pool = self.worker.pool(inbound).ok_or(Rejection::Internal)?;
        Ok(upstream::forward(vouched, inbound, pool, self.exchange).await?)
    }

    /// Verifies the credentials; waits for a key or a verdict, once for each of the two tokens that a request may carry.
    /// Also gives the time, which has passed when something was waited for.
    async fn identify(
        &self,
        routed: Routed<Sealed>,
        now: Now,
    ) -> Result<(Known<Sealed>, Now), Box<Refused<Sealed>>> {
        let issuers = &self.snapshot.issuers;
        let (mut routed, mut now) = (routed, now);
        let mut reviews = Vec::new();
        for _ in 0..3 {
            failpoint!(Identify, Err(routed.refuse(Rejection::Internal)));
            // The cache is not held while waiting: other requests of this worker need it.
            let identified =
                authn::identify(routed, issuers, &reviews, &mut self.worker.tokens(), now);
            // What is waited for is boxed: hardly any request waits, and every request would carry it.
            let (waiting, outcome) = match identified {
                Identified::Known(known) => return Ok((known, now)),
                Identified::Rejected(refused) => return Err(refused),
                Identified::NeedsKey(waiting, wanted) => {
                    (waiting, Box::pin(self.key(&wanted)).await)
                }
                Identified::NeedsReview(waiting, wanted) => {
                    let reviewed = Box::pin(self.review(wanted)).await;
                    (waiting, reviewed.map(|reviewed| reviews.push(reviewed)))
                }
            };
            now = self.worker.now();
            let rejection = match outcome {
                Ok(()) => {
                    routed = waiting;
                    continue;
                }
                Err(rejection) => rejection,
            };
            failpoint!(GiveUp, Err(waiting.refuse(Rejection::Internal)));
            return authn::give_up(waiting, rejection, issuers, now).map(|known| (known, now));
        }
        let unknown = Rejection::InvalidToken(TokenFault::UnknownKey);
        authn::give_up(routed, unknown, issuers, now).map(|known| (known, now))
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
