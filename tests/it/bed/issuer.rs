//! An issuer: discovery, JWKS, rotation and every kind of outage, over the byte-capturing server.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use countersign::clock::Clock;
use serde_json::{Value, json};

use super::keys::{ES256_1, Key, RSA_1};
use super::upstream::{Exchange, Next, Upstream};
use super::{PATIENCE, Token};

/// How the JWKS endpoint behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Serves the keys.
    Ok,
    /// A status and a body.
    Answer(u16, &'static str, String),
    /// Accepts the request and never answers, until the mode changes.
    Hang,
    /// Resets the connection.
    Reset,
}

struct State {
    mode: Mode,
    keys: Vec<Value>,
    fetches: usize,
    discoveries: usize,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<State>, Condvar)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }
}

/// A token issuer.
pub struct Issuer {
    /// The value of `iss`.
    pub iss: String,
    key: Mutex<&'static Key>,
    clock: Clock,
    shared: Shared,
    server: Upstream,
}

impl Issuer {
    /// Starts with an RSA and a P-256 key; `iss` is its own address.
    pub fn start(clock: &Clock) -> Self {
        let shared = Shared(Arc::new((
            Mutex::new(State {
                mode: Mode::Ok,
                keys: vec![RSA_1.jwk(), ES256_1.jwk()],
                fetches: 0,
                discoveries: 0,
            }),
            Condvar::new(),
        )));
        let of_server = shared.clone();
        let server = Upstream::scripted(move |exchange| serve(&of_server, exchange));
        Self {
            iss: server.url(),
            key: Mutex::new(&RSA_1),
            clock: clock.clone(),
            shared,
            server,
        }
    }

    /// The same under another name: what a pinned or split-horizon issuer is called.
    #[must_use]
    pub fn called(mut self, iss: &str) -> Self {
        iss.clone_into(&mut self.iss);
        self
    }

    /// Where the keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.server.url())
    }

    /// The JWKS as text.
    pub fn jwks(&self) -> String {
        json!({"keys": self.shared.lock().keys}).to_string()
    }

    /// Writes the JWKS as a file, replaced in one step.
    pub fn write_jwks(&self, path: &Path) {
        let beside = path.with_extension("new");
        std::fs::write(&beside, self.jwks()).expect("a file");
        std::fs::rename(&beside, path).expect("a rename");
    }

    /// A good token of this issuer.
    pub fn token(&self) -> Token {
        let key = *self.key.lock().expect("a key");
        Token::new(&self.iss, key, self.clock.now().unix.as_secs())
    }

    /// Signs with `key` from now on, publishing it beside the others.
    pub fn rotate(&self, key: &'static Key) {
        self.shared.change(|state| state.keys.push(key.jwk()));
        *self.key.lock().expect("a key") = key;
    }

    /// Publishes exactly these keys.
    pub fn publish(&self, keys: Vec<Value>) {
        self.shared.change(|state| state.keys = keys);
    }

    /// Takes a key out of the set.
    pub fn withdraw(&self, kid: &str) {
        self.shared
            .change(|state| state.keys.retain(|key| key["kid"] != kid));
    }

    /// Changes the endpoint's behaviour.
    pub fn mode(&self, mode: Mode) {
        self.shared.change(|state| state.mode = mode);
    }

    /// How often the JWKS was asked for.
    pub fn fetches(&self) -> usize {
        self.shared.lock().fetches
    }

    /// How often a discovery document was asked for.
    pub fn discoveries(&self) -> usize {
        self.shared.lock().discoveries
    }

    /// What it was asked, as bytes.
    pub fn requests(&self) -> Vec<super::Captured> {
        self.server.requests()
    }

    /// Connections to the issuer.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until the JWKS was asked for `n` times in all.
    #[track_caller]
    pub fn await_fetches(&self, n: usize) {
        let (_state, timeout) = self
            .shared
            .0
            .1
            .wait_timeout_while(self.shared.lock(), PATIENCE, |state| state.fetches < n)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited in vain for {n} fetches");
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.mode(Mode::Reset);
    }
}

fn serve(shared: &Shared, exchange: &mut Exchange<'_>) -> io::Result<Next> {
    let path = exchange.request.target.clone();
    if path.contains("/.well-known/") {
        shared.change(|state| state.discoveries += 1);
        let host = exchange
            .request
            .header("host")
            .unwrap_or_default()
            .to_owned();
        let issuer = format!("http://{host}");
        let document = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/jwks"),
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        if shared.lock().mode == Mode::Ok {
            return exchange.answer(200, JSON, document.to_string().as_bytes());
        }
        return misbehave(shared, exchange);
    }
    shared.change(|state| state.fetches += 1);
    let keys = json!({"keys": shared.lock().keys}).to_string();
    if shared.lock().mode == Mode::Ok {
        return exchange.answer(200, JSON, keys.as_bytes());
    }
    misbehave(shared, exchange)
}

const JSON: &str = "content-type: application/json\r\n";

fn misbehave(shared: &Shared, exchange: &mut Exchange<'_>) -> io::Result<Next> {
    let mode = shared.lock().mode.clone();
    match mode {
        Mode::Answer(status, kind, body) => exchange.answer(
            status,
            &format!("content-type: {kind}\r\n"),
            body.as_bytes(),
        ),
        Mode::Hang => {
            drop(
                shared
                    .0
                    .1
                    .wait_timeout_while(shared.lock(), PATIENCE * 2, |state| {
                        state.mode == Mode::Hang
                    })
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            );
            Ok(Next::Close)
        }
        Mode::Ok | Mode::Reset => Ok(Next::Reset),
    }
}
