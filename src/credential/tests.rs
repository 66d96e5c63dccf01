//! Credentials with their keeper running, against a token endpoint that behaves and one that does not, with a clock that
//! moves when told to.

mod binding;
mod events;
mod faults;
mod keeping;
mod proving;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::clock::{Clock, UnixTime};
use crate::fetch::idp::{Idp, Reply};

/// Real time that no step of a test takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_secs(20);
const START: UnixTime = UnixTime::from_secs(1_800_000_000);
const JSON: &str = "content-type: application/json\r\n";
const SECRET: &str = "correct horse:battery&staple";

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An answer with this token.
fn token(token: &str, expires_in: u64) -> Reply {
    let body = serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in});
    Reply::Ok(JSON, body.to_string().into_bytes())
}

fn refusal(status: u16, error: &str) -> Reply {
    let body = serde_json::json!({ "error": error });
    Reply::Says(status, JSON, body.to_string().into_bytes())
}

fn secret(text: &str) -> ClientSecret {
    ClientSecret::new(&Secret::new(text.as_bytes().to_vec(), None)).unwrap()
}

/// The credential `agent`, whose tokens come from `/token`.
fn settings(idp: &Idp) -> CredentialSettings {
    CredentialSettings {
        name: Arc::from("agent"),
        endpoint: TokenEndpoint::Url(idp.url("/token")),
        client_id: Some("agent".to_owned()),
        authentication: ClientAuthentication::SecretBasic(secret(SECRET)),
        scopes: Vec::new(),
        audience: None,
        resources: Vec::new(),
        dpop: None,
        refresh_before: secs(30),
        timeout: secs(5),
        cooldown: secs(30),
        ca: None,
        allow_http: true,
    }
}

/// Credentials with their keeper running.
struct World {
    clock: Clock,
    credentials: Credentials,
    _tasks: JoinSet<()>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(START);
        let (credentials, keeper) = Credentials::start(clock.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(CredentialKeeper::run(keeper));
        Self {
            clock,
            credentials,
            _tasks: tasks,
        }
    }

    /// A world with `agent`, after its first token request.
    async fn with(settings: CredentialSettings) -> Self {
        let world = Self::new();
        world.configure([settings]);
        world.ended(1).await;
        world
    }

    fn configure<const N: usize>(&self, settings: [CredentialSettings; N]) {
        self.credentials.prepare(settings).commit();
    }

    fn status(&self) -> CredentialStatus {
        let all = self.credentials.status();
        all.into_iter()
            .find(|one| one.credential == "agent")
            .unwrap()
    }

    fn cell(&self) -> Arc<CredentialCell> {
        Arc::clone(&self.credentials.of_name("agent").cell)
    }

    /// What a request would attach without waiting.
    fn held(&self) -> Option<String> {
        self.cell()
            .current(self.clock.now())
            .map(|token| value(&token))
    }

    async fn obtain(&self) -> Result<String, CredentialFault> {
        let token = self.credentials.obtain(&self.cell()).await?;
        assert!(
            token.is_good(self.clock.now()),
            "an expired token is never handed out"
        );
        Ok(value(&token))
    }

    fn requests(&self) -> u64 {
        let status = self.status();
        status.requests_obtained
            + status.requests_refused
            + status.requests_malformed
            + status.requests_unreachable
            + status.requests_internal
    }

    /// Waits until that many token requests have ended.
    async fn ended(&self, requests: u64) {
        let mut ends = self.credentials.of_name("agent").ends();
        let waiting = async {
            while self.requests() < requests {
                ends.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not reached: {:?}", self.status());
        }
    }

    /// Lets the next scheduled token request to a server that answers or closes happen.
    async fn next_request(&self) {
        let before = self.requests();
        self.clock
            .advance(secs(self.status().next_request_seconds + 1));
        self.ended(before + 1).await;
    }
}

fn value(token: &AccessToken) -> String {
    assert!(token.authorization().is_sensitive());
    token.authorization().to_str().unwrap().to_owned()
}

/// The form of a request.
fn form(idp: &Idp, request: usize) -> Vec<(String, String)> {
    let head = idp.head(request);
    let (_, body) = head.split_once("\r\n\r\n").unwrap();
    let url = reqwest::Url::parse(&format!("http://form/?{body}")).unwrap();
    url.query_pairs().into_owned().collect()
}
