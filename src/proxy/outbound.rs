//! The way of an outbound request: from a program that knows nothing of tokens to an upstream that wants one.
//!
//! ```text
//! local program ─▶ listener ─▶ canonical request ─▶ reachable ─▶ attached ─▶ forward ─▶ upstream
//!                     │               │                 │            │           │
//!                  limits,        400 if it can    403, 421, 400   503        own Host, once more
//!                  timeouts       be read two ways                            after a 401
//! ```

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::body::ResponseBody;
use super::refuse::Ended;
use super::way::Way;
use crate::clock::Now;
use crate::credential::{AccessToken, CredentialCell, CredentialFault};
use crate::rejection::Rejection;
use crate::snapshot::{Listener, Outbound};
use crate::upstream;

impl Way<'_> {
    /// The steps, in order. Each takes the value of the one before; none can be left out.
    pub(super) async fn outbound(
        &self,
        listener: &Listener,
        outbound: &Outbound,
        request: Box<Request<Incoming>>,
        now: Now,
    ) -> Result<Response<ResponseBody>, Ended> {
        let request = self.read(listener, request)?;
        failpoint!(Reach, Err(Rejection::Internal.into()));
        let reachable = request.reach(&outbound.reach, now)?;
        let (token, now) = match self.token(&outbound.credential, now).await {
            Ok(obtained) => obtained,
            Err(fault) => return Err(reachable.refuse(Rejection::TokenUnavailable(fault)).into()),
        };
        failpoint!(Attach, Err(Rejection::Internal.into()));
        let attached = reachable.attach(token, now)?;
        failpoint!(Pool, Err(Rejection::Internal.into()));
        let pool = self.worker.pool(listener).ok_or(Rejection::Internal)?;
        let credentials = &self.worker.shared.credentials;
        let answer = upstream::forward_attached(
            attached,
            listener,
            outbound,
            pool,
            credentials,
            self.exchange,
        );
        Ok(answer.await?)
    }

    /// A token that is good, and the time, which has passed where one had to be waited for.
    async fn token(
        &self,
        credential: &Arc<CredentialCell>,
        now: Now,
    ) -> Result<(Arc<AccessToken>, Now), CredentialFault> {
        if let Some(token) = credential.current(now) {
            return Ok((token, now));
        }
        failpoint!(
            Obtain,
            Err(CredentialFault {
                oauth_error: None,
                retry_after: std::time::Duration::from_secs(1),
            })
        );
        // Boxed: hardly any request waits, and every request would carry it.
        let token = Box::pin(self.worker.shared.credentials.obtain(credential)).await?;
        Ok((token, self.worker.now()))
    }
}
