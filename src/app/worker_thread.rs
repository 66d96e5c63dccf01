//! A worker's thread: its runtime, its listeners, its sweeper.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::listener::{self, Bound, Detached, Listening};
use crate::proxy::{Shared, Worker};
use crate::telemetry::Telemetry;

/// How often deadlines are looked at. They are met to within this.
const SWEEP: Duration = Duration::from_millis(250);

/// A connection for another worker, and the listener that accepted it.
type Handed = (usize, Detached);

/// The way to another worker.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    connections: mpsc::UnboundedSender<Handed>,
    /// Connections that it serves.
    load: Arc<AtomicUsize>,
}

/// What a worker starts with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) shared: Arc<Shared>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) role: Role,
}

/// Who accepts: a single worker by itself; of several the first, which hands connections to the least loaded.
#[derive(Debug)]
pub(super) enum Role {
    Accepts {
        sockets: Vec<Bound>,
        peers: Vec<Peer>,
    },
    Serves {
        handed: mpsc::UnboundedReceiver<Handed>,
        load: Arc<AtomicUsize>,
    },
}

/// The two ends of the way to a worker that does not accept.
pub(super) fn peer() -> (Peer, Role) {
    let (sender, handed) = mpsc::unbounded_channel();
    let load = Arc::new(AtomicUsize::new(0));
    (
        Peer {
            connections: sender,
            load: Arc::clone(&load),
        },
        Role::Serves { handed, load },
    )
}

/// Runs a worker until the drain is over.
pub(super) fn run(start: Start) -> std::io::Result<()> {
    let Start {
        shared,
        telemetry,
        role,
    } = start;
    let dispatch = telemetry.dispatch();
    let _events = tracing::dispatcher::set_default(&dispatch);
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(31)
        .build_local(LocalOptions::default())?;
    let outcome = runtime.block_on(async move {
        let worker = Rc::new(Worker::new(Arc::clone(&shared), telemetry.worker()));
        tokio::task::spawn_local(sweep(Rc::clone(&worker)));
        match role {
            Role::Accepts { sockets, peers } => {
                let own = Arc::new(AtomicUsize::new(0));
                for (index, socket) in sockets.into_iter().enumerate() {
                    let accepting = accept(
                        Rc::clone(&worker),
                        index,
                        socket.listen()?,
                        Arc::clone(&own),
                        peers.clone(),
                    );
                    tokio::task::spawn_local(accepting);
                }
            }
            Role::Serves { handed, load } => {
                tokio::task::spawn_local(receive(Rc::clone(&worker), handed, load));
            }
        }
        shared.leaving().await;
        worker.leave();
        shared.closing().await;
        worker.close();
        tokio::select! {
            () = worker.idle() => {}
            () = shared.ended() => {}
        }
        Ok(())
    });
    // A name server that hangs must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        worker.shared.clock.sleep(SWEEP).await;
        worker.sweep();
    }
}

async fn accept(
    worker: Rc<Worker>,
    index: usize,
    listening: Listening,
    own: Arc<AtomicUsize>,
    peers: Vec<Peer>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listening.accept() => accepted,
            () = worker.shared.closing() => return,
        };
        let least = peers
            .iter()
            .min_by_key(|peer| peer.load.load(Ordering::Relaxed));
        match least {
            Some(peer) if peer.load.load(Ordering::Relaxed) < own.load(Ordering::Relaxed) => {
                peer.load.fetch_add(1, Ordering::Relaxed);
                if let Ok(detached) = accepted.detach()
                    && peer.connections.send((index, detached)).is_ok()
                {
                    continue;
                }
                peer.load.fetch_sub(1, Ordering::Relaxed);
            }
            _ => serve(Rc::clone(&worker), index, accepted, Arc::clone(&own)),
        }
    }
}

async fn receive(
    worker: Rc<Worker>,
    mut handed: mpsc::UnboundedReceiver<Handed>,
    load: Arc<AtomicUsize>,
) {
    while let Some((index, detached)) = handed.recv().await {
        // The accepting worker has counted it already.
        load.fetch_sub(1, Ordering::Relaxed);
        if let Ok(accepted) = detached.attach() {
            serve(Rc::clone(&worker), index, accepted, Arc::clone(&load));
        }
    }
}

fn serve(worker: Rc<Worker>, index: usize, accepted: listener::Accepted, load: Arc<AtomicUsize>) {
    load.fetch_add(1, Ordering::Relaxed);
    let counted = Loaded(load);
    tokio::task::spawn_local(async move {
        let _counted = counted;
        listener::serve(worker, index, accepted).await;
    });
}

/// Part of a worker's load until its task has ended, by a panic also.
struct Loaded(Arc<AtomicUsize>);

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
