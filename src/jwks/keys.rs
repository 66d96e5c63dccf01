//! The keys of all issuers: the handle that workers and admin share, and its side on the control thread.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::source::Source;
use super::{IssuerKeyStatus, KeySource, KeySourceSettings, LONGEST_WAIT, Obtained};
use crate::authn::{KeyCell, KeyWanted};
use crate::clock::Clock;

type Sources = BTreeMap<Arc<str>, Arc<Source>>;

/// The keys of all issuers. A handle: clones see the same keys.
#[derive(Clone, Debug)]
pub struct Keys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    sources: ArcSwap<Sources>,
    /// The sources are not those that tasks run for.
    changed: Notify,
}

impl Keys {
    /// A handle without issuers, and what must [run](KeyRefresher::run) on the control thread for it.
    #[must_use]
    pub fn start(clock: Clock) -> (Self, KeyRefresher) {
        let shared = Arc::new(Shared {
            clock,
            sources: ArcSwap::default(),
            changed: Notify::new(),
        });
        (Self(Arc::clone(&shared)), KeyRefresher(shared))
    }

    /// Makes ready for a new set of issuers (their configured names). Nothing changes until [`Prepared::commit`].
    ///
    /// Inline keys, files and copies on disk are read here, so that their issuers work from the first request on; the
    /// network is not touched. A source that cannot be read is no error: its issuer is unavailable until it can.
    pub fn prepare(
        &self,
        issuers: impl IntoIterator<Item = (Arc<str>, KeySourceSettings)>,
    ) -> Prepared {
        let before = self.0.sources.load();
        let mut sources = Sources::new();
        let mut adjusted = Vec::new();
        for (name, settings) in issuers {
            let source = match before.get(&name) {
                Some(kept) if kept.settings().same_trust(&settings) => {
                    adjusted.push((Arc::clone(kept), settings));
                    Arc::clone(kept)
                }
                _ => Arc::new(Source::open(
                    Arc::clone(&name),
                    settings,
                    self.0.clock.clone(),
                )),
            };
            sources.insert(name, source);
        }
        Prepared {
            shared: Arc::clone(&self.0),
            sources,
            adjusted,
        }
    }

    /// Waits until the issuer was asked for a key that a token names and that is not held; at most [`LONGEST_WAIT`].
    ///
    /// To be called from a worker. Dropping the future ends the waiting, not the fetch.
    pub async fn obtain(&self, wanted: &KeyWanted) -> Obtained {
        let sources = self.0.sources.load();
        let source = sources
            .get(&wanted.issuer.settings.name)
            // A request that pinned a snapshot of before a reload must not be answered from another source's keys.
            .filter(|source| {
                let cell = wanted.issuer.keys();
                cell.is_some_and(|cell| Arc::ptr_eq(&source.cell, cell))
            })
            .map(Arc::clone);
        drop(sources);
        match source {
            Some(source) => source.obtain(wanted.kid.as_deref()).await,
            None => Obtained::Unavailable {
                retry_after: LONGEST_WAIT,
            },
        }
    }

    /// Re-reads the pinned files that a change at `path` may concern: the file itself, its directory, or a neighbour
    /// (Kubernetes swaps the link `..data` beside it).
    pub fn file_changed(&self, path: &Path) {
        for source in self.0.sources.load().values() {
            if let KeySource::File(file) = &source.settings().source
                && (file.starts_with(path) || file.parent() == path.parent())
            {
                source.look_again();
            }
        }
    }

    /// The pinned files, for whoever watches files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let sources = self.0.sources.load();
        let paths = sources
            .values()
            .filter_map(|source| match &source.settings().source {
                KeySource::File(path) => Some(path.clone()),
                _ => None,
            });
        paths.collect()
    }

    /// What is known about every issuer's keys, by name.
    #[must_use]
    pub fn status(&self) -> Vec<IssuerKeyStatus> {
        let sources = self.0.sources.load();
        sources.values().map(|source| source.status()).collect()
    }

    #[cfg(test)]
    pub(super) fn source(&self, name: &str) -> Arc<Source> {
        Arc::clone(&self.0.sources.load()[name])
    }
}

/// A set of issuers that can go live.
#[derive(Debug)]
#[must_use = "nothing changes before it is committed"]
pub struct Prepared {
    shared: Arc<Shared>,
    sources: Sources,
    /// Sources that stay, with their new settings.
    adjusted: Vec<(Arc<Source>, KeySourceSettings)>,
}

impl Prepared {
    /// The cell of the issuer `name`: the one it had if its source stays.
    #[must_use]
    pub fn cell(&self, name: &str) -> Option<Arc<KeyCell>> {
        self.sources
            .get(name)
            .map(|source| Arc::clone(&source.cell))
    }

    /// The cells of all issuers by name.
    #[must_use]
    pub fn cells(&self) -> HashMap<Arc<str>, Arc<KeyCell>> {
        let cells = self
            .sources
            .iter()
            .map(|(name, source)| (Arc::clone(name), Arc::clone(&source.cell)));
        cells.collect()
    }

    /// Goes live: new sources are fetched, those that are gone are not refreshed any more.
    pub fn commit(self) {
        for (source, settings) in self.adjusted {
            let file = matches!(settings.source, KeySource::File(_));
            source.adjust(settings);
            if file {
                source.look_again();
            }
        }
        self.shared.sources.store(Arc::new(self.sources));
        self.shared.changed.notify_one();
    }
}

/// The side of [`Keys`] that fetches.
#[derive(Debug)]
pub struct KeyRefresher(Arc<Shared>);

impl KeyRefresher {
    /// Keeps all keys fresh, for ever; dropping the future ends every fetch.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        loop {
            reconcile(&self.0.sources.load(), &mut tasks, &mut running);
            tokio::select! {
                () = self.0.changed.notified() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, panicked) = match ended {
                        Ok((id, ())) => (id, false),
                        Err(error) => (error.id(), error.is_panic()),
                    };
                    if let Some((source, _)) = running.remove(&id) && panicked {
                        tracing::error!(issuer = %source.name, "jwks.task_failed");
                        source.recover();
                    }
                }
            }
        }
    }
}

type Running = HashMap<Id, (Arc<Source>, AbortHandle)>;

/// One task for each source, none for others.
fn reconcile(sources: &Sources, tasks: &mut JoinSet<()>, running: &mut Running) {
    running.retain(|_, (source, task)| {
        let stays = sources
            .get(&source.name)
            .is_some_and(|wanted| wanted.id == source.id);
        if !stays {
            task.abort();
        }
        stays
    });
    let kept: HashSet<u64> = running.values().map(|(source, _)| source.id).collect();
    for source in sources.values().filter(|source| !kept.contains(&source.id)) {
        let task = tasks.spawn(Arc::clone(source).keep());
        running.insert(task.id(), (Arc::clone(source), task));
    }
}
