//! A request with the access token that speaks for its caller.

use std::sync::Arc;
use std::time::Duration;

use super::{AccessToken, CredentialFault};
use crate::authz::{Granted, Reachable};
use crate::clock::Now;
use crate::rejection::Rejection;
use crate::request::{Head, Opener, Refused};

/// A request that an outbound listener may forward: its target is within reach, and it has a token that is good.
#[derive(Debug)]
pub struct Attached<B> {
    reachable: Reachable<B>,
    token: Arc<AccessToken>,
}

impl<B> Reachable<B> {
    /// Attaches a token.
    ///
    /// # Errors
    /// [`Rejection::TokenUnavailable`]: it has ended meanwhile. An expired token is never sent.
    pub fn attach(self, token: Arc<AccessToken>, now: Now) -> Result<Attached<B>, Box<Refused<B>>> {
        if token.is_good(now) {
            Ok(Attached {
                reachable: self,
                token,
            })
        } else {
            Err(self.refuse(AccessToken::ended()))
        }
    }
}

impl AccessToken {
    /// What its caller gets when it has ended since it was attached.
    pub(crate) const fn ended() -> Rejection {
        Rejection::TokenUnavailable(CredentialFault {
            oauth_error: None,
            retry_after: Duration::from_secs(1),
        })
    }
}

impl<B> Attached<B> {
    /// The judged part of the request.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.reachable.head()
    }

    /// Opens the request for forwarding.
    pub(crate) fn open(self, opener: &Opener) -> (Granted, Arc<AccessToken>, B) {
        let (granted, sealed) = self.reachable.open(opener);
        (granted, self.token, sealed)
    }
}
