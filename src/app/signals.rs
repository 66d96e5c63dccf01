//! Signals: SIGHUP reloads, SIGTERM and SIGINT drain, a second one ends.

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Reload,
    End,
}

#[cfg(unix)]
pub(super) use unix::Signals;

#[cfg(not(unix))]
pub(super) use portable::Signals;

#[cfg(unix)]
mod unix {
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::Signal;

    /// The signals that are ours, or none.
    #[derive(Debug)]
    pub(crate) struct Signals(Option<[Stream; 3]>);

    impl Signals {
        pub(crate) fn new(ours: bool) -> Self {
            let streams = || -> std::io::Result<[Stream; 3]> {
                Ok([
                    signal(SignalKind::hangup())?,
                    signal(SignalKind::terminate())?,
                    signal(SignalKind::interrupt())?,
                ])
            };
            Self(ours.then(streams).and_then(|streams| {
                streams
                    .inspect_err(|error| tracing::error!(%error, "signals.unavailable"))
                    .ok()
            }))
        }

        pub(crate) async fn next(&mut self) -> Signal {
            let Some([hangup, terminate, interrupt]) = &mut self.0 else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = hangup.recv() => Signal::Reload,
                _ = terminate.recv() => Signal::End,
                _ = interrupt.recv() => Signal::End,
            }
        }
    }
}

#[cfg(not(unix))]
mod portable {
    use super::Signal;

    /// Control-C, or nothing.
    #[derive(Debug)]
    pub(crate) struct Signals(bool);

    impl Signals {
        pub(crate) fn new(ours: bool) -> Self {
            Self(ours)
        }

        pub(crate) async fn next(&mut self) -> Signal {
            if self.0 && tokio::signal::ctrl_c().await.is_ok() {
                return Signal::End;
            }
            std::future::pending().await
        }
    }
}
