//! A token endpoint: issues a new token at every request, or behaves as it is told, over the byte-capturing server.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::upstream::{Exchange, Next, Upstream};
use super::{Captured, PATIENCE, secrets};

/// How it behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// Issues tokens.
    Issues,
    /// Answers with a status, a content type and a body.
    Answers(u16, &'static str, String),
    /// Accepts the request and says nothing until the behaviour changes, which then answers.
    Holds,
    /// Resets the connection.
    Resets,
}

struct State {
    behaviour: Behaviour,
    /// `expires_in`; `None`: nothing is said of it.
    lifetime: Option<u64>,
    asked: usize,
    issued: Vec<String>,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<State>, Condvar)>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.0.1.notify_all();
        result
    }

    /// How to answer, once it does not hold back any more.
    fn behaviour(&self) -> Behaviour {
        let held = |state: &mut State| state.behaviour == Behaviour::Holds;
        let (state, _) = self
            .0
            .1
            .wait_timeout_while(self.lock(), PATIENCE * 2, held)
            .unwrap_or_else(PoisonError::into_inner);
        state.behaviour.clone()
    }
}

/// A token endpoint; stops when dropped.
pub struct TokenEndpoint {
    shared: Shared,
    server: Upstream,
}

impl TokenEndpoint {
    /// Issues tokens that are good for five minutes.
    pub fn start() -> Self {
        let shared = Shared(Arc::new((
            Mutex::new(State {
                behaviour: Behaviour::Issues,
                lifetime: Some(300),
                asked: 0,
                issued: Vec::new(),
            }),
            Condvar::new(),
        )));
        let of_server = shared.clone();
        let server = Upstream::scripted(move |exchange| serve(&of_server, exchange));
        Self { shared, server }
    }

    /// Where tokens are.
    pub fn url(&self) -> String {
        format!("{}/token", self.server.url())
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// The issuer whose discovery document names it.
    pub fn issuer(&self) -> String {
        self.server.url()
    }

    /// Changes how it behaves.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.change(|state| state.behaviour = behaviour);
    }

    /// What later answers say as `expires_in`.
    pub fn lifetime(&self, seconds: Option<u64>) {
        self.shared.change(|state| state.lifetime = seconds);
    }

    /// How often it was asked for a token.
    pub fn asked(&self) -> usize {
        self.shared.lock().asked
    }

    /// Waits until it was asked `n` times in all.
    #[track_caller]
    pub fn await_asked(&self, n: usize) {
        let (_state, timeout) = self
            .shared
            .0
            .1
            .wait_timeout_while(self.shared.lock(), PATIENCE, |state| state.asked < n)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "waited in vain for {n} token requests"
        );
    }

    /// The tokens that it has issued, in order.
    pub fn issued(&self) -> Vec<String> {
        self.shared.lock().issued.clone()
    }

    /// What it was asked, as bytes.
    pub fn requests(&self) -> Vec<Captured> {
        self.server.requests()
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.behave(Behaviour::Resets);
    }
}

const JSON: &str = "content-type: application/json\r\ncache-control: no-store\r\n";

fn serve(shared: &Shared, exchange: &mut Exchange<'_>) -> io::Result<Next> {
    exchange.body()?;
    let path = exchange.request.target.clone();
    if path.contains("/.well-known/") {
        let host = exchange.request.header("host").unwrap_or_default();
        let issuer = format!("http://{host}");
        let document = json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
        });
        return exchange.answer(200, JSON, document.to_string().as_bytes());
    }
    shared.change(|state| state.asked += 1);
    match shared.behaviour() {
        Behaviour::Issues => {
            let answer = shared.change(issue);
            exchange.answer(200, JSON, answer.as_bytes())
        }
        Behaviour::Answers(status, kind, body) => {
            let headers = format!("content-type: {kind}\r\n");
            exchange.answer(status, &headers, body.as_bytes())
        }
        Behaviour::Holds | Behaviour::Resets => Ok(Next::Reset),
    }
}

/// Another token, opaque as far as a client is concerned.
fn issue(state: &mut State) -> String {
    let random: String = super::keys::b64(random());
    let token = format!("at-{}-{random}", state.issued.len() + 1);
    secrets::learn("an issued access token", &random);
    state.issued.push(token.clone());
    let mut answer = json!({"access_token": token, "token_type": "Bearer"});
    if let Some(seconds) = state.lifetime {
        answer["expires_in"] = seconds.into();
    }
    answer.to_string()
}

fn random() -> [u8; 24] {
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    bytes
}
