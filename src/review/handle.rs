//! All reviewers: the handle that workers and admin share, and its side on the control thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::endpoint::{Endpoint, Job};
use super::{Asked, PAUSE, ReviewSettings, ReviewStatus};
use crate::authn::{ReviewWanted, Reviewed, Reviewer};
use crate::clock::Clock;

type Endpoints = BTreeMap<Arc<str>, Arc<Endpoint>>;

/// All reviewers. A handle: clones see the same ones.
#[derive(Clone, Debug)]
pub struct Reviews(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    endpoints: ArcSwap<Endpoints>,
    /// Never more than [`super::IN_FLIGHT`] of an endpoint are on their way.
    jobs: mpsc::UnboundedSender<Job>,
}

impl Reviews {
    /// A handle without reviewers, and what must [run](ReviewKeeper::run) on the control thread for it.
    #[must_use]
    pub fn start(clock: Clock) -> (Self, ReviewKeeper) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            clock,
            endpoints: ArcSwap::default(),
            jobs,
        });
        (Self(shared), ReviewKeeper(receiver))
    }

    /// Makes ready for a new set of issuers (their configured names). Nothing changes until [`Prepared::commit`].
    pub fn prepare(
        &self,
        issuers: impl IntoIterator<Item = (Arc<str>, ReviewSettings)>,
    ) -> Prepared {
        let before = self.0.endpoints.load();
        let mut endpoints = Endpoints::new();
        let mut adjusted = Vec::new();
        for (name, settings) in issuers {
            let endpoint = match before.get(&name) {
                Some(kept) if kept.settings().same_reviewer(&settings) => {
                    adjusted.push((Arc::clone(kept), settings));
                    Arc::clone(kept)
                }
                _ => Arc::new(Endpoint::new(
                    Arc::clone(&name),
                    settings,
                    self.0.clock.clone(),
                )),
            };
            endpoints.insert(name, endpoint);
        }
        Prepared {
            shared: Arc::clone(&self.0),
            endpoints,
            adjusted,
        }
    }

    /// Waits for what the issuer's reviewer says of a token; at most as long as the timeout of a question.
    ///
    /// To be called from a worker. Dropping the future ends the waiting, not the question.
    pub async fn ask(&self, wanted: ReviewWanted) -> Asked {
        let endpoints = self.0.endpoints.load();
        let endpoint = endpoints
            .get(&wanted.issuer.settings.name)
            // A request that pinned a snapshot of before a reload must not be answered by another reviewer.
            .filter(|endpoint| {
                let reviewer = wanted.issuer.reviewer();
                reviewer.is_some_and(|reviewer| Arc::ptr_eq(&endpoint.reviewer, reviewer))
            })
            .map(Arc::clone);
        drop(endpoints);
        let outcome = match endpoint {
            Some(endpoint) => endpoint.ask(wanted.token(), &self.0.jobs).await,
            None => None,
        };
        match outcome {
            Some((review, asked)) => Asked::Answered(Reviewed {
                wanted,
                review,
                asked,
            }),
            None => Asked::Unavailable { retry_after: PAUSE },
        }
    }

    /// What is known about every reviewer, by the name of its issuer.
    #[must_use]
    pub fn status(&self) -> Vec<ReviewStatus> {
        let endpoints = self.0.endpoints.load();
        let status = endpoints.values().map(|endpoint| endpoint.status());
        status.collect()
    }
}

/// A set of reviewers that can go live.
#[derive(Debug)]
#[must_use = "nothing changes before it is committed"]
pub struct Prepared {
    shared: Arc<Shared>,
    endpoints: Endpoints,
    /// Endpoints that stay, with their new settings.
    adjusted: Vec<(Arc<Endpoint>, ReviewSettings)>,
}

impl Prepared {
    /// The reviewers by the names of their issuers: those that they had where answers stay good.
    #[must_use]
    pub fn reviewers(&self) -> HashMap<Arc<str>, Arc<Reviewer>> {
        let reviewers = self
            .endpoints
            .iter()
            .map(|(name, endpoint)| (Arc::clone(name), Arc::clone(&endpoint.reviewer)));
        reviewers.collect()
    }

    /// Goes live.
    pub fn commit(self) {
        for (endpoint, settings) in self.adjusted {
            endpoint.adjust(settings);
        }
        self.shared.endpoints.store(Arc::new(self.endpoints));
    }
}

/// The side of [`Reviews`] that asks.
#[derive(Debug)]
pub struct ReviewKeeper(mpsc::UnboundedReceiver<Job>);

impl ReviewKeeper {
    /// Asks what there is to be asked, until nobody can want to know any more; dropping the future ends every question.
    pub async fn run(mut self) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                job = self.0.recv() => match job {
                    Some(job) => drop(tasks.spawn(job.run())),
                    None => return,
                },
                Some(ended) = tasks.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        tracing::error!("review.task_failed");
                    }
                }
            }
        }
    }
}
