//! All credentials: the handle that workers and admin share, and its side on the control thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{AccessToken, CredentialCell, CredentialFault, CredentialSettings, LONGEST_WAIT};
use crate::clock::Clock;

type Clients = BTreeMap<Arc<str>, (Arc<CredentialCell>, CredentialSettings)>;

/// All credentials. A handle: clones see the same ones.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    clients: ArcSwap<Clients>,
}

impl Credentials {
    /// A handle without credentials, and what must [run](CredentialKeeper::run) on the control thread for it.
    #[must_use]
    pub fn start(clock: Clock) -> (Self, CredentialKeeper) {
        let shared = Arc::new(Shared {
            clock,
            clients: ArcSwap::default(),
        });
        (Self(Arc::clone(&shared)), CredentialKeeper(shared))
    }

    /// Makes ready for a new set of credentials. Nothing changes until [`Prepared::commit`].
    pub fn prepare(&self, settings: impl IntoIterator<Item = CredentialSettings>) -> Prepared {
        let before = self.0.clients.load();
        let mut clients = Clients::new();
        for settings in settings {
            let cell = match before.get(&settings.name) {
                Some((kept, old)) if old.same_token(&settings) => Arc::clone(kept),
                _ => Arc::new(CredentialCell::new(Arc::clone(&settings.name))),
            };
            clients.insert(Arc::clone(&settings.name), (cell, settings));
        }
        Prepared {
            shared: Arc::clone(&self.0),
            clients,
        }
    }

    /// A token that is good now: at once where one is held, else after the token request that all who wait share; at
    /// most [`LONGEST_WAIT`].
    ///
    /// To be called from a worker. Dropping the future ends the waiting, not the request.
    ///
    /// # Errors
    /// There is none, and none came.
    #[expect(clippy::unused_async, reason = "token requests are to come")]
    pub async fn obtain(
        &self,
        cell: &Arc<CredentialCell>,
    ) -> Result<Arc<AccessToken>, CredentialFault> {
        cell.current(self.0.clock.now()).ok_or(CredentialFault {
            oauth_error: None,
            retry_after: LONGEST_WAIT,
        })
    }

    /// After the upstream refused `refused` with 401: a newer token where there is one already, else after the one forced
    /// token request that all who were refused share. `None` within the cooldown of the last forced one: the upstream's
    /// 401 is what the caller gets.
    ///
    /// # Errors
    /// A token request was made, and brought none.
    #[expect(clippy::unused_async, reason = "token requests are to come")]
    pub async fn renew(
        &self,
        cell: &Arc<CredentialCell>,
        refused: &AccessToken,
    ) -> Result<Option<Arc<AccessToken>>, CredentialFault> {
        let newer = |token: &Arc<AccessToken>| token.serial() > refused.serial();
        Ok(cell.current(self.0.clock.now()).filter(newer))
    }
}

/// A set of credentials that can go live.
#[derive(Debug)]
#[must_use = "nothing changes before it is committed"]
pub struct Prepared {
    shared: Arc<Shared>,
    clients: Clients,
}

impl Prepared {
    /// The cells of all credentials by name.
    #[must_use]
    pub fn cells(&self) -> HashMap<Arc<str>, Arc<CredentialCell>> {
        let cells = self
            .clients
            .iter()
            .map(|(name, (cell, _))| (Arc::clone(name), Arc::clone(cell)));
        cells.collect()
    }

    /// Goes live: new credentials are obtained, those that are gone are not renewed any more.
    pub fn commit(self) {
        self.shared.clients.store(Arc::new(self.clients));
    }
}

/// The side of [`Credentials`] that makes token requests.
#[derive(Debug)]
pub struct CredentialKeeper(Arc<Shared>);

impl CredentialKeeper {
    /// Keeps all credentials supplied, for ever; dropping the future ends every token request.
    pub async fn run(self) {
        let _shared = self.0;
        std::future::pending().await
    }
}
