//! A document that is being compiled beside the control thread, which answers probes and hears signals meanwhile.

use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::oneshot;

use crate::config::{self, Config};

/// Who asked for a reload.
pub(super) type Asked = mpsc::Sender<Result<u64, String>>;

type Work = Box<dyn FnOnce() + Send>;

pub(super) struct Loading {
    outcome: oneshot::Receiver<Result<Config, String>>,
    /// Who waits to hear of it.
    pub(super) asked: Vec<Asked>,
}

impl Loading {
    pub(super) fn start(path: &Path, before: &Arc<Config>, asked: Vec<Asked>) -> Self {
        Self::start_by(on_a_thread, path, before, asked)
    }

    /// Where no thread can be made (the pod may have used up its share), the calling one does the work: the proxy must
    /// serve on, and may have to be told of other keys.
    pub(super) fn start_by(
        by: impl FnOnce(Work) -> io::Result<()>,
        path: &Path,
        before: &Arc<Config>,
        asked: Vec<Asked>,
    ) -> Self {
        let (tell, outcome) = oneshot::channel();
        let (own_path, own_before) = (path.to_owned(), Arc::clone(before));
        let work = move || drop(tell.send(load(&own_path, &own_before)));
        let outcome = match by(Box::new(work)) {
            Ok(()) => outcome,
            Err(_) => {
                let (tell, outcome) = oneshot::channel();
                drop(tell.send(load(path, before)));
                outcome
            }
        };
        Self { outcome, asked }
    }

    /// Waits for what `loading` comes to, for ever when there is none.
    pub(super) async fn outcome(loading: &mut Option<Self>) -> Result<Config, String> {
        match loading {
            Some(loading) => (&mut loading.outcome).await.unwrap_or_else(|_| bug()),
            None => std::future::pending().await,
        }
    }
}

fn on_a_thread(work: Work) -> io::Result<()> {
    let thread = thread::Builder::new().name("reload".to_owned());
    thread.spawn(work).map(drop)
}

/// A bug that some document brings out must not end the process that serves on without it.
fn load(path: &Path, before: &Arc<Config>) -> Result<Config, String> {
    std::panic::catch_unwind(AssertUnwindSafe(|| {
        failpoint!(Reload, Err("a failpoint".to_owned()));
        config::load(path, Some(before)).map_err(|problems| problems.brief())
    }))
    .unwrap_or_else(|_| bug())
}

pub(super) fn bug<T>() -> Result<T, String> {
    Err("internal error".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_thread_can_be_made_a_reload_is_done_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("countersign.yaml");
        let document = |port| {
            format!(
                "inbound: {{listen: 127.0.0.1:0, upstream: 'http://127.0.0.1:{port}'}}\n\
                 issuers: [{{name: a, issuer: 'https://a.example.org', jwks: {{discover: true}}, audiences: [api]}}]\n\
                 routes: [{{path: /x, allow: nobody}}]\n"
            )
        };
        std::fs::write(&path, document(1)).unwrap();
        let before = Arc::new(config::load(&path, None).ok().unwrap());
        std::fs::write(&path, document(2)).unwrap();
        for refuses in [false, true] {
            let by = |work: Work| {
                if refuses {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                work();
                Ok(())
            };
            let loading = Loading::start_by(by, &path, &before, Vec::new());
            let loaded = loading.outcome.blocking_recv().unwrap();
            let of = |config: &Config| format!("{:?}", config.listeners[0].upstream.address);
            let (now, then) = (of(&loaded.unwrap()), of(&before));
            assert_ne!(now, then, "{refuses}: the document of before");
        }
    }
}
