//! An upstream behind Countersign: who is calling, from the signed assertion.
//!
//! ```text
//! PORT=8000 JWKS_URL=http://127.0.0.1:9090/.well-known/jwks.json AUDIENCE=usage-api ISSUER=countersign \
//!     cargo run --example verify_identity
//! ```
//!
//! With a shared secret (HS256): `SECRET_FILE` instead of `JWKS_URL`. Optional: `HEADER` (default `x-auth-assertion`);
//! `BIND=method,target,authority` where the proxy is configured to bind: an assertion that is not bound to that is then
//! refused. Every request is answered with the identity as JSON, or with 401.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

type Refused = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    idp: Option<String>,
    client_id: Option<String>,
    caller: Option<String>,
    account: Option<String>,
    scope: Option<String>,
    act: Option<Value>,
    #[serde(default)]
    anonymous: bool,
    req: Option<Bound>,
}

/// The request that a bound assertion was made for.
#[derive(Deserialize)]
struct Bound {
    method: Option<String>,
    target: Option<String>,
    authority: Option<String>,
    /// `null` for the identity headers that must be absent.
    headers: BTreeMap<String, Option<String>>,
}

enum Keys {
    Shared(DecodingKey),
    Published { url: String, held: Mutex<JwkSet> },
}

struct Verifier {
    header: String,
    audience: String,
    issuer: String,
    bind: Vec<String>,
    keys: Keys,
}

impl Verifier {
    fn from_environment() -> Result<Self, Refused> {
        let variable = |name: &str| std::env::var(name).map_err(|_| format!("set {name}"));
        let keys = match std::env::var("SECRET_FILE") {
            Ok(path) => {
                let bytes = std::fs::read(path)?;
                let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
                Keys::Shared(DecodingKey::from_secret(secret))
            }
            Err(_) => Keys::Published {
                url: variable("JWKS_URL")?,
                held: Mutex::new(JwkSet { keys: Vec::new() }),
            },
        };
        let bind = variable("BIND").unwrap_or_default();
        Ok(Self {
            header: variable("HEADER").unwrap_or_else(|_| "x-auth-assertion".to_owned()),
            audience: variable("AUDIENCE")?,
            issuer: variable("ISSUER")?,
            bind: bind
                .split(',')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
            keys,
        })
    }

    async fn identity(&self, request: &Request<Incoming>) -> Result<Claims, Refused> {
        let mut values = request.headers().get_all(&self.header).iter();
        let (Some(token), None) = (values.next(), values.next()) else {
            return Err("no assertion, or more than one".into());
        };
        let token = token.to_str()?;
        let header = jsonwebtoken::decode_header(token)?;
        if header.typ.as_deref() != Some("countersign+jwt") {
            return Err("not an assertion".into());
        }
        let (key, algorithm) = self.key(header.kid.as_deref()).await?;
        let mut rules = Validation::new(algorithm);
        rules.leeway = 5;
        rules.set_audience(&[&self.audience]);
        rules.set_issuer(&[&self.issuer]);
        // This library checks what is present; what must be present is listed.
        rules.set_required_spec_claims(&["iss", "aud", "exp"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules)?.claims;
        self.bound_to_this_request(claims.req.as_ref(), request)?;
        Ok(claims)
    }

    /// The key and, from the key, the algorithm: never from the token.
    async fn key(&self, kid: Option<&str>) -> Result<(DecodingKey, Algorithm), Refused> {
        let (url, held) = match &self.keys {
            Keys::Shared(secret) => return Ok((secret.clone(), Algorithm::HS256)),
            Keys::Published { url, held } => (url, held),
        };
        let kid = kid.ok_or("no kid")?;
        let find = || {
            let held = held.lock().map_err(|_| "poisoned")?;
            Ok::<_, Refused>(held.find(kid).cloned())
        };
        let jwk = match find()? {
            Some(jwk) => jwk,
            None => {
                // A production verifier also limits how often this happens.
                let client = reqwest::Client::builder()
                    .timeout(Duration::from_secs(5))
                    .build()?;
                let document = client
                    .get(url)
                    .send()
                    .await?
                    .error_for_status()?
                    .bytes()
                    .await?;
                *held.lock().map_err(|_| "poisoned")? = serde_json::from_slice(&document)?;
                find()?.ok_or("unknown kid")?
            }
        };
        let algorithm = match (&jwk.common.key_algorithm, &jwk.algorithm) {
            (Some(KeyAlgorithm::ES256), AlgorithmParameters::EllipticCurve(_)) => Algorithm::ES256,
            (Some(KeyAlgorithm::EdDSA), AlgorithmParameters::OctetKeyPair(_)) => Algorithm::EdDSA,
            _ => return Err("not a key for assertions".into()),
        };
        Ok((DecodingKey::from_jwk(&jwk)?, algorithm))
    }

    /// What the assertion is bound to must be what arrived, byte for byte.
    fn bound_to_this_request(
        &self,
        bound: Option<&Bound>,
        request: &Request<Incoming>,
    ) -> Result<(), Refused> {
        let Some(bound) = bound else {
            return if self.bind.is_empty() {
                Ok(())
            } else {
                Err("not bound to a request".into())
            };
        };
        let host = request.headers().get("host").map(|host| host.as_bytes());
        let target = request
            .uri()
            .path_and_query()
            .map(|target| target.as_str().as_bytes());
        let parts = [
            (
                "method",
                &bound.method,
                Some(request.method().as_str().as_bytes()),
            ),
            ("target", &bound.target, target),
            ("authority", &bound.authority, host),
        ];
        for (name, signed, arrived) in parts {
            match signed {
                Some(signed) if Some(signed.as_bytes()) != arrived => {
                    return Err(format!("made for another {name}").into());
                }
                None if self.bind.iter().any(|wanted| wanted == name) => {
                    return Err(format!("not bound to the {name}").into());
                }
                _ => {}
            }
        }
        for (name, signed) in &bound.headers {
            let mut arrived = request.headers().get_all(name).iter();
            let one = arrived.next().map(|value| value.as_bytes());
            if one != signed.as_ref().map(|value| value.as_bytes()) || arrived.next().is_some() {
                return Err(format!("{name} is not the one that was signed").into());
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (status, body) = match self.identity(&request).await {
            Ok(claims) if claims.anonymous => (200, json!({"anonymous": true})),
            Ok(claims) => {
                let mut body = json!({
                    "sub": claims.sub, "idp": claims.idp, "client_id": claims.client_id, "caller": claims.caller,
                    "account": claims.account, "scope": claims.scope, "act": claims.act, "anonymous": false,
                });
                if let Value::Object(members) = &mut body {
                    members.retain(|_, value| !value.is_null());
                }
                (200, body)
            }
            Err(error) => (401, json!({"error": error.to_string()})),
        };
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        let json = hyper::header::HeaderValue::from_static("application/json");
        response.headers_mut().insert("content-type", json);
        Ok(response)
    }
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example tells where it listens")]
async fn main() -> Result<(), Refused> {
    let verifier = Arc::new(Verifier::from_environment()?);
    let port = std::env::var("PORT").unwrap_or_else(|_| "8000".to_owned());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    println!("listening on {}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        let verifier = Arc::clone(&verifier);
        let service = hyper::service::service_fn(move |request| {
            let verifier = Arc::clone(&verifier);
            async move { verifier.answer(request).await }
        });
        let io = hyper_util::rt::TokioIo::new(stream);
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
        #[expect(clippy::disallowed_methods, reason = "an example has no workers")]
        drop(tokio::spawn(async move {
            // A caller that goes away is no news.
            connection.await.ok()
        }));
    }
}
