//! All credentials: the handle that workers and admin share, and its side on the control thread.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::client::Client;
use super::status::CredentialStatus;
use super::{AccessToken, CredentialCell, CredentialFault, CredentialSettings, LONGEST_WAIT};
use crate::clock::Clock;

type Clients = BTreeMap<Arc<str>, Arc<Client>>;

/// All credentials. A handle: clones see the same ones.
#[derive(Clone, Debug)]
pub struct Credentials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    clients: ArcSwap<Clients>,
    /// The clients are not those that tasks run for.
    changed: Notify,
}

impl Credentials {
    /// A handle without credentials, and what must [run](CredentialKeeper::run) on the control thread for it.
    #[must_use]
    pub fn start(clock: Clock) -> (Self, CredentialKeeper) {
        let shared = Arc::new(Shared {
            clock,
            clients: ArcSwap::default(),
            changed: Notify::new(),
        });
        (Self(Arc::clone(&shared)), CredentialKeeper(shared))
    }

    /// Makes ready for a new set of credentials. Nothing changes until [`Prepared::commit`].
    pub fn prepare(&self, settings: impl IntoIterator<Item = CredentialSettings>) -> Prepared {
        let before = self.0.clients.load();
        let mut clients = Clients::new();
        let mut adjusted = Vec::new();
        for settings in settings {
            let name = Arc::clone(&settings.name);
            let client = match before.get(&name) {
                Some(kept) if kept.settings().same_token(&settings) => {
                    adjusted.push((Arc::clone(kept), settings));
                    Arc::clone(kept)
                }
                _ => Arc::new(Client::new(settings, self.0.clock.clone())),
            };
            clients.insert(name, client);
        }
        Prepared {
            shared: Arc::clone(&self.0),
            clients,
            adjusted,
        }
    }

    /// A token that is good now: at once where one is held, else after the token request that all who wait share; at
    /// most [`LONGEST_WAIT`].
    ///
    /// To be called from a worker. Dropping the future ends the waiting, not the request.
    ///
    /// # Errors
    /// There is none, and none came.
    pub async fn obtain(
        &self,
        cell: &Arc<CredentialCell>,
    ) -> Result<Arc<AccessToken>, CredentialFault> {
        if let Some(token) = cell.current(self.0.clock.now()) {
            return Ok(token);
        }
        match self.client(cell) {
            Some(client) => client.obtain().await,
            None => Err(GONE),
        }
    }

    /// After the upstream refused `refused` with 401: a newer token where there is one already, else after the one forced
    /// token request that all who were refused share. `None` within the cooldown of the last forced one: the upstream's
    /// 401 is what the caller gets.
    ///
    /// # Errors
    /// A token request was made, and brought none.
    pub async fn renew(
        &self,
        cell: &Arc<CredentialCell>,
        refused: &AccessToken,
    ) -> Result<Option<Arc<AccessToken>>, CredentialFault> {
        match self.client(cell) {
            Some(client) => client.renew(refused.serial()).await,
            None => Ok(None),
        }
    }

    /// The client that supplies `cell`; none when a reload took it away: a request that pinned a snapshot of before must
    /// not get another client's token.
    fn client(&self, cell: &Arc<CredentialCell>) -> Option<Arc<Client>> {
        let clients = self.0.clients.load();
        clients
            .get(cell.name())
            .filter(|client| Arc::ptr_eq(&client.cell, cell))
            .map(Arc::clone)
    }

    /// What is known about every credential, by name.
    #[must_use]
    pub fn status(&self) -> Vec<CredentialStatus> {
        let clients = self.0.clients.load();
        clients.values().map(|client| client.status()).collect()
    }

    #[cfg(test)]
    pub(super) fn of_name(&self, name: &str) -> Arc<Client> {
        Arc::clone(&self.0.clients.load()[name])
    }
}

const GONE: CredentialFault = CredentialFault {
    oauth_error: None,
    retry_after: LONGEST_WAIT,
};

/// A set of credentials that can go live.
#[derive(Debug)]
#[must_use = "nothing changes before it is committed"]
pub struct Prepared {
    shared: Arc<Shared>,
    clients: Clients,
    /// Clients that stay, with their new settings.
    adjusted: Vec<(Arc<Client>, CredentialSettings)>,
}

impl Prepared {
    /// The cells of all credentials by name: those that they had if their tokens stay.
    #[must_use]
    pub fn cells(&self) -> HashMap<Arc<str>, Arc<CredentialCell>> {
        let cells = self
            .clients
            .iter()
            .map(|(name, client)| (Arc::clone(name), Arc::clone(&client.cell)));
        cells.collect()
    }

    /// Goes live: new credentials are obtained, those that are gone are not renewed any more.
    pub fn commit(self) {
        for (client, settings) in self.adjusted {
            client.adjust(settings);
        }
        self.shared.clients.store(Arc::new(self.clients));
        self.shared.changed.notify_one();
    }
}

/// The side of [`Credentials`] that makes token requests.
#[derive(Debug)]
pub struct CredentialKeeper(Arc<Shared>);

impl CredentialKeeper {
    /// Keeps all credentials supplied, for ever; dropping the future ends every token request.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        loop {
            reconcile(&self.0.clients.load(), &mut tasks, &mut running);
            tokio::select! {
                () = self.0.changed.notified() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, panicked) = match ended {
                        Ok((id, ())) => (id, false),
                        Err(error) => (error.id(), error.is_panic()),
                    };
                    if let Some((client, _)) = running.remove(&id) && panicked {
                        tracing::error!(credential = %client.name, "credential.task_failed");
                        client.recover();
                    }
                }
            }
        }
    }
}

type Running = HashMap<Id, (Arc<Client>, AbortHandle)>;

/// One task for each client, none for others.
fn reconcile(clients: &Clients, tasks: &mut JoinSet<()>, running: &mut Running) {
    running.retain(|_, (client, task)| {
        let stays = clients
            .get(&client.name)
            .is_some_and(|wanted| wanted.id == client.id);
        if !stays {
            task.abort();
        }
        stays
    });
    let kept: HashSet<u64> = running.values().map(|(client, _)| client.id).collect();
    for client in clients.values().filter(|client| !kept.contains(&client.id)) {
        let task = tasks.spawn(Arc::clone(client).keep());
        running.insert(task.id(), (Arc::clone(client), task));
    }
}
