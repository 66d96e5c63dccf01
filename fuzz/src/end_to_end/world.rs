//! The proxy in this process, between two Unix sockets.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use countersign::app::{App, LogSink, Options};
use countersign::clock::{Clock, UnixTime};
use serde_json::json;
use tempfile::TempDir;

use super::super::signing;
use super::upstream::Upstream;

const NOW: i64 = 1_790_000_000;

/// Ends with its thread.
pub(super) struct World {
    pub(super) token: String,
    pub(super) upstream: Upstream,
    listener: PathBuf,
    app: Option<App>,
    _log: Receiver<Vec<u8>>,
    _place: TempDir,
}

impl World {
    pub(super) fn start() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        let key = signing::key(1);
        let keys = json!({ "keys": [signing::jwk(&key, "k1")] });
        std::fs::write(at("jwks.json"), keys.to_string()).expect("a file");
        let claims = json!({"iss": "https://main", "aud": "api", "sub": "alice", "azp": "web", "exp": NOW + 600});
        let token = signing::sign(&key, &json!({"alg": "EdDSA", "kid": "k1"}), &claims);
        let upstream = Upstream::start(&at("upstream.sock"));
        let text = format!(
            "
workers: 1
inbound: {{listen: \"unix:{listener}\", upstream: \"unix:{upstream}\"}}
admin: {{listen: 127.0.0.1:0}}
issuers:
  - {{name: main, issuer: https://main, jwks: {{file: jwks.json}}, audiences: [api], algorithms: [EdDSA]}}
identity: {{headers: {{x-auth-subject: subject}}}}
callers:
  web: {{issuer: main, client: web}}
routes:
  - {{path: /open/**, allow: anyone}}
  - {{path: /user/**, allow: web}}
  - {{path: /closed/**, allow: nobody}}
log: {{access: none, level: error}}
",
            listener = at("listener.sock").display(),
            upstream = at("upstream.sock").display(),
        );
        std::fs::write(at("config.yaml"), text).expect("a file");
        let (lines, log) = channel();
        let app = App::start(Options {
            config: at("config.yaml"),
            clock: Clock::manual(UnixTime::from_secs(NOW)),
            log: LogSink::Channel(lines),
            signals: false,
        });
        Self {
            token,
            upstream,
            listener: at("listener.sock"),
            app: Some(app.unwrap_or_else(|error| panic!("{error}"))),
            _log: log,
            _place: place,
        }
    }

    pub(super) fn connect(&self) -> UnixStream {
        loop {
            match UnixStream::connect(&self.listener) {
                Ok(socket) => return socket,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no listener: {error}"),
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            app.kill();
        }
    }
}
