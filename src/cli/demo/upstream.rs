//! An upstream that shows what it received, and verifies the assertion as a real one would.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value, json};

use super::client::{self, Call};
use super::servers;
use crate::identity::TOKEN_TYPE;

/// `aud` of the assertions that are meant for it.
pub(super) const AUDIENCE: &str = "demo-upstream";
const ASSERTION: &str = "x-auth-assertion";
/// What every request brings and says nothing about the caller.
const USUAL: [&str; 9] = [
    "host",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-type",
    "content-length",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// What one request brought.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The method.
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// The id under which the proxy records the request.
    pub(super) request_id: String,
    /// Every header field that may say something about the caller, except the assertion.
    pub(super) headers: Map<String, Value>,
    /// The claims of the verified assertion, or why there are none.
    pub(super) assertion: Result<Value, String>,
}

impl Seen {
    /// As the upstream answers.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "assertion": match &self.assertion {
                Ok(claims) => claims.clone(),
                Err(reason) => json!({"error": reason}),
            },
        })
    }
}

/// The upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    seen: Mutex<mpsc::Sender<Seen>>,
    /// Where the proxy publishes its keys; known once the proxy runs.
    admin: OnceLock<SocketAddr>,
    keys: Mutex<JwkSet>,
}

impl Upstream {
    /// An upstream that tells `seen` of every request.
    pub(super) fn new(seen: mpsc::Sender<Seen>) -> Self {
        Self {
            seen: Mutex::new(seen),
            admin: OnceLock::new(),
            keys: Mutex::new(JwkSet { keys: Vec::new() }),
        }
    }

    /// Says where the proxy's admin listener is.
    pub(super) fn trust(&self, admin: SocketAddr) {
        // It is said once; a second address would not be believed.
        let _: Result<(), _> = self.admin.set(admin);
    }

    /// Answers one request with what it brought.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        drop(servers::body(body).await);
        let assertion = self.verify(&parts.headers).await;
        let mut headers = Map::new();
        for name in parts.headers.keys() {
            if name != ASSERTION && !USUAL.contains(&name.as_str()) && !forwarded(name.as_str()) {
                let values: Vec<_> = parts.headers.get_all(name).iter().collect();
                let texts: Vec<_> = values
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes()))
                    .collect();
                headers.insert(name.to_string(), json!(texts.join(" | ")));
            }
        }
        let request_id = parts.headers.get("x-request-id");
        let request_id = request_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let seen = Seen {
            request_id: request_id.unwrap_or_default(),
            method: parts.method.to_string(),
            target: parts.uri.to_string(),
            headers,
            assertion,
        };
        let answer = servers::json(StatusCode::OK, &seen.to_json());
        let channel = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The demo may have ended; the answer is still right.
        drop(channel.send(seen));
        answer
    }

    async fn verify(&self, headers: &HeaderMap) -> Result<Value, String> {
        let mut values = headers.get_all(ASSERTION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err("not exactly one assertion".to_owned());
        };
        let token = value.to_str().map_err(|_| "not a token")?;
        let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
        if header.typ.as_deref() != Some(TOKEN_TYPE) {
            return Err("not an assertion".to_owned());
        }
        let kid = header.kid.ok_or("no kid")?;
        let key = self.key(&kid).await?;
        // The algorithm comes from what was agreed, never from the token.
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&["countersign"]);
        rules.set_required_spec_claims(&["iss", "aud", "exp"]);
        jsonwebtoken::decode::<Value>(token, &key, &rules)
            .map(|verified| verified.claims)
            .map_err(|error| error.to_string())
    }

    /// The key `kid`; an unknown one makes us ask the proxy for its key set.
    async fn key(&self, kid: &str) -> Result<DecodingKey, String> {
        if self.held(kid).is_none() {
            let admin = *self.admin.get().ok_or("the proxy is not known yet")?;
            let fetch = move || client::send(admin, &Call::get("/.well-known/jwks.json"));
            let answer = tokio::task::spawn_blocking(fetch)
                .await
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?;
            let keys = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
            *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
        }
        self.held(kid)
            .ok_or_else(|| "a key that the proxy does not publish".to_owned())
    }

    fn held(&self, kid: &str) -> Option<DecodingKey> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        DecodingKey::from_jwk(keys.find(kid)?).ok()
    }
}

fn forwarded(name: &str) -> bool {
    name == "forwarded" || name.starts_with("x-forwarded-") || name == "x-real-ip"
}
