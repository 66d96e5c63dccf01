//! A development issuer: client_credentials tokens, discovery and key set, rotation and outage on request.
//!
//! It serves several realms, each an issuer of its own, as Keycloak does. It is made for this demo: its clients' secrets
//! are printed, and anybody on this machine may rotate its keys.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::servers;
use crate::clock::Clock;
use crate::identity::{PublicKey, SigningAlgorithm, SigningKey, SigningKeyError};

/// How long a token holds, in seconds.
pub(super) const LIFETIME: i64 = 3600;
/// The secret of every client; it guards nothing.
pub(super) const SECRET: &str = "demo";

/// A client of a realm.
#[derive(Debug)]
pub(super) struct Client {
    /// Its `client_id`.
    pub(super) id: &'static str,
    /// The account that it belongs to.
    pub(super) account: Option<&'static str>,
    /// What it may ask for.
    pub(super) scopes: &'static [&'static str],
}

/// The server: all realms.
#[derive(Debug)]
pub(super) struct Issuer {
    /// By path.
    pub(super) realms: Vec<Realm>,
}

/// One issuer.
#[derive(Debug)]
pub(super) struct Realm {
    /// Its path, which is also its name in the proxy's configuration.
    pub(super) name: &'static str,
    /// `iss`.
    pub(super) issuer: String,
    audience: &'static str,
    clients: &'static [Client],
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// All are published, the last one signs.
    keys: Vec<SigningKey>,
    /// Everything answers 503.
    down: bool,
}

/// What a token endpoint says no with (RFC 6749 section 5.2).
struct Denied(StatusCode, &'static str);

impl Realm {
    /// A realm with one fresh ES256 key.
    pub(super) fn new(
        name: &'static str,
        base: &str,
        audience: &'static str,
        clients: &'static [Client],
        clock: Clock,
    ) -> Result<Self, SigningKeyError> {
        Ok(Self {
            name,
            issuer: format!("{base}/{name}"),
            audience,
            clients,
            clock,
            state: Mutex::new(State {
                keys: vec![SigningKey::generate(SigningAlgorithm::Es256)?],
                down: false,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs with a new key from now on; the old ones stay published. The new key's id.
    pub(super) fn rotate(&self) -> Result<String, SigningKeyError> {
        let key = SigningKey::generate(SigningAlgorithm::Es256)?;
        let id = key.id().to_owned();
        self.state().keys.push(key);
        Ok(id)
    }

    /// Goes down, or comes back.
    pub(super) fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// The claims of a token of `client` that was issued `age` seconds ago (RFC 9068).
    pub(super) fn claims(&self, client: &Client, scope: &str, age: i64) -> Value {
        let issued = self.clock.now().unix.plus(-age);
        let mut id = [0_u8; 12];
        // Without it tokens of one second look alike, which hurts nobody here.
        let _unlikely = aws_lc_rs::rand::fill(&mut id);
        let mut claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": client.id,
            "client_id": client.id,
            "scope": scope,
            "iat": issued.as_secs(),
            "exp": issued.plus(LIFETIME).as_secs(),
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        if let (Value::Object(members), Some(account)) = (&mut claims, client.account) {
            members.insert("account".to_owned(), json!(account));
        }
        claims
    }

    /// A signed token.
    pub(super) fn sign(&self, claims: &Value) -> Option<String> {
        let key = self.state().keys.last().cloned()?;
        sign(&key, key.id(), claims)
    }

    /// A token that says it is ours and is signed by somebody else.
    pub(super) fn forge(&self, claims: &Value) -> Option<String> {
        let id = self.state().keys.last()?.id().to_owned();
        let theirs = SigningKey::generate(SigningAlgorithm::Es256).ok()?;
        sign(&theirs, &id, claims)
    }

    /// The client called `id`.
    pub(super) fn client(&self, id: &str) -> Option<&'static Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    fn key_set(&self) -> Value {
        let state = self.state();
        let keys: Vec<Value> = state
            .keys
            .iter()
            .filter_map(SigningKey::public)
            .map(|key: PublicKey| key.jwk().clone())
            .collect();
        json!({ "keys": keys })
    }

    fn metadata(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "token_endpoint": format!("{}/token", self.issuer),
            "jwks_uri": format!("{}/jwks", self.issuer),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "response_types_supported": [],
        })
    }

    fn grant(&self, headers: &HeaderMap, form: &[(String, String)]) -> Result<Value, Denied> {
        let field = |name: &str| {
            form.iter()
                .find(|(held, _)| held == name)
                .map(|(_, value)| value.as_str())
        };
        let client = self.authenticate(headers, &field)?;
        match field("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(Denied(StatusCode::BAD_REQUEST, "unsupported_grant_type")),
            None => return Err(Denied(StatusCode::BAD_REQUEST, "invalid_request")),
        }
        let all = client.scopes.join(" ");
        let scope = field("scope").unwrap_or(&all);
        if !scope.split(' ').all(|scope| client.scopes.contains(&scope)) {
            return Err(Denied(StatusCode::BAD_REQUEST, "invalid_scope"));
        }
        let token = self
            .sign(&self.claims(client, scope, 0))
            .ok_or(Denied(StatusCode::INTERNAL_SERVER_ERROR, "server_error"))?;
        Ok(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "scope": scope,
        }))
    }

    /// client_secret_basic or client_secret_post, not both (RFC 6749 section 2.3).
    fn authenticate<'a>(
        &self,
        headers: &HeaderMap,
        field: &impl Fn(&str) -> Option<&'a str>,
    ) -> Result<&'static Client, Denied> {
        let denied = || Denied(StatusCode::UNAUTHORIZED, "invalid_client");
        let basic = headers.get(AUTHORIZATION).map(basic);
        let (id, secret) = match (basic, field("client_id"), field("client_secret")) {
            (Some(Some(basic)), None, None) => basic,
            (None, Some(id), Some(secret)) => (id.to_owned(), secret.to_owned()),
            _ => return Err(denied()),
        };
        verify_slices_are_equal(secret.as_bytes(), SECRET.as_bytes()).map_err(|_| denied())?;
        self.client(&id).ok_or_else(denied)
    }
}

/// User and password of `Authorization: Basic`.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn sign(key: &SigningKey, kid: &str, claims: &Value) -> Option<String> {
    let header = json!({"alg": key.algorithm().name(), "kid": kid, "typ": "at+jwt"});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = key.sign(message.as_bytes()).ok()?;
    Some(format!(
        "{message}.{}",
        URL_SAFE_NO_PAD.encode(signature.as_ref())
    ))
}

impl Issuer {
    /// The realm called `name`.
    pub(super) fn realm(&self, name: &str) -> Option<&Realm> {
        self.realms.iter().find(|realm| realm.name == name)
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = servers::body(body).await.unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let Some((realm, endpoint)) = self.find(&path) else {
            return servers::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"}));
        };
        let ok = |value: Value| servers::json(StatusCode::OK, &value);
        if parts.method == Method::POST
            && let Some(answer) = control(realm, endpoint)
        {
            return ok(answer);
        }
        if realm.state().down {
            let down = json!({"error": "temporarily_unavailable"});
            return servers::json(StatusCode::SERVICE_UNAVAILABLE, &down);
        }
        match (&parts.method, endpoint) {
            (&Method::GET, ".well-known/openid-configuration") => ok(realm.metadata()),
            (&Method::GET, "jwks") => ok(realm.key_set()),
            (&Method::POST, "token") => match realm.grant(&parts.headers, &form(&body)) {
                Ok(granted) => ok(granted),
                Err(Denied(status, error)) => {
                    let mut response = servers::json(status, &json!({ "error": error }));
                    if status == StatusCode::UNAUTHORIZED {
                        let challenge = HeaderValue::from_static("Basic realm=\"demo\"");
                        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                    }
                    response
                }
            },
            _ => servers::json(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
        }
    }

    /// The realm of a path, and what follows.
    fn find<'a>(&self, path: &'a str) -> Option<(&Realm, &'a str)> {
        let (name, endpoint) = path.strip_prefix('/')?.split_once('/')?;
        Some((self.realm(name)?, endpoint))
    }
}

/// What only a development issuer lets anybody do.
fn control(realm: &Realm, endpoint: &str) -> Option<Value> {
    match endpoint {
        "rotate" => Some(match realm.rotate() {
            Ok(id) => json!({"signs_with": id}),
            Err(error) => json!({"error": error.to_string()}),
        }),
        "outage" | "recover" => {
            realm.set_down(endpoint == "outage");
            Some(json!({"down": endpoint == "outage"}))
        }
        _ => None,
    }
}

/// The fields of `application/x-www-form-urlencoded`.
fn form(body: &[u8]) -> Vec<(String, String)> {
    let Ok(mut url) = reqwest::Url::parse("form://body") else {
        return Vec::new();
    };
    url.set_query(Some(&String::from_utf8_lossy(body)));
    url.query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}
