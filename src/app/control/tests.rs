//! What reloads leave behind.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::{Command, Control, Loading};
use crate::app::{LogSink, Options};
use crate::clock::Clock;
use crate::snapshot::Snapshot;

const RELOADS: usize = 50;

const KEYS: &str = include_str!("../../../config/atlas-jwks.json");

/// Changes what a reload takes over and what it makes anew: the upstream's address, an issuer's trust, another's source.
fn document(n: usize) -> String {
    let algorithm = ["RS256", "ES256"][n % 2];
    format!(
        "inbound: {{listen: \"127.0.0.1:0\", upstream: \"http://127.0.0.1:{}\"}}\nadmin: {{listen: \"127.0.0.1:0\"}}\n\
         issuers:\n  - {{name: a, issuer: https://a.example.org, jwks: {{file: keys.json}}, audiences: [api], algorithms: [{algorithm}]}}\n  \
         - {{name: b, issuer: https://b.example.org, jwks: {{file: keys{}.json}}, audiences: [api]}}\n\
         callers: {{a: {{issuer: a}}, b: {{issuer: b}}}}\n\
         routes: [{{path: /x, allow: nobody}}, {{path: /y, allow: [a, b]}}]\n",
        9 + n % 2,
        n % 2,
    )
}

/// A document in `folder`, its keys beside it, and what the program is started with.
fn options(folder: &Path, document: &str) -> (Options, PathBuf) {
    for name in ["keys.json", "keys0.json", "keys1.json"] {
        std::fs::write(folder.join(name), KEYS).unwrap();
    }
    let config = folder.join("config.yaml");
    std::fs::write(&config, document).unwrap();
    let options = Options {
        config: config.clone(),
        clock: Clock::system(),
        log: LogSink::Channel(std::sync::mpsc::channel().0),
        signals: false,
    };
    (options, config)
}

fn runtime() -> LocalRuntime {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap()
}

fn alive(old: &[Weak<Snapshot>]) -> usize {
    old.iter().filter(|old| old.strong_count() > 0).count()
}

#[test]
fn invariant_55_reloads_leave_no_snapshot_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (options, config) = options(dir.path(), &document(0));
    runtime().block_on(async {
        let (commands, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut control, addresses) = Control::start(options, receiver).unwrap();
        // A connection of the first generation stays, and must not keep it.
        let mut kept = std::net::TcpStream::connect(addresses.listeners["inbound"]).unwrap();
        kept.write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        let mut answer = [0; 12];
        kept.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 403");
        let mut old = Vec::new();
        for n in 1..=RELOADS {
            old.push(Arc::downgrade(&control.snapshot.load_full()));
            std::fs::write(&config, document(n)).unwrap();
            let generation = reload(&mut control).await;
            assert_eq!(generation, 1 + u64::try_from(n).unwrap());
        }
        // What a sweep or a lookup holds, it holds for a moment.
        for _ in 0..1_000_000 {
            if alive(&old) == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(alive(&old), 0, "of {RELOADS} old snapshots");
        commands.send(Command::End).unwrap();
        control.run().await;
    });
}

async fn reload(control: &mut Control) -> u64 {
    let (asked, told) = std::sync::mpsc::channel();
    control.wanted.get_or_insert_default().push(asked);
    control.begin_reload();
    let compiled = Loading::outcome(&mut control.loading).await;
    control.reload(compiled);
    told.recv().unwrap().unwrap()
}

/// A disk that hangs, or a document that takes long.
#[test]
fn invariant_66_the_end_is_heard_while_a_document_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let document = format!("{}drain: {{delay: 0s, deadline: 1s}}\n", document(1));
    let (options, config) = options(dir.path(), &document);
    runtime().block_on(async {
        let (commands, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (mut control, _addresses) = Control::start(options, receiver).unwrap();
        let (asked, told) = std::sync::mpsc::channel();
        let before = Arc::clone(&control.snapshot.load().config);
        let mut never = None;
        let hangs = |work| {
            never = Some(work);
            Ok(())
        };
        control.loading = Some(Loading::start_by(hangs, &config, &before, vec![asked]));
        commands.send(Command::Drain).unwrap();
        control.run().await;
        assert!(told.try_recv().is_err(), "it was not loaded");
        drop(never);
    });
}
