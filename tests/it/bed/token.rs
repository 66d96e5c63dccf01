//! Tokens, good and evil.

use serde_json::{Map, Value, json};

use super::keys::{Key, b64};

/// A token in the making.
#[derive(Clone)]
pub struct Token {
    key: &'static Key,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    now: i64,
    raw_header: Option<Vec<u8>>,
    raw_payload: Option<Vec<u8>>,
    sign_as: Option<String>,
}

impl Token {
    /// A good token of `issuer`, signed by `key`, valid for five minutes.
    pub fn new(issuer: &str, key: &'static Key, now: i64) -> Self {
        let claims = json!({
            "iss": issuer, "sub": "alice", "aud": "api", "azp": "web", "scope": "read",
            "iat": now, "exp": now + 300,
        });
        let header = json!({"alg": key.alg, "kid": key.kid, "typ": "at+jwt"});
        let object = |value: Value| match value {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        Self {
            key,
            header: object(header),
            claims: object(claims),
            now,
            raw_header: None,
            raw_payload: None,
            sign_as: None,
        }
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a header parameter.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Expires in `seconds` (negative: in the past).
    #[must_use]
    pub fn expires_in(self, seconds: i64) -> Self {
        let exp = self.now + seconds;
        self.claim("exp", exp)
    }

    /// Signs with another key, under its own kid and algorithm.
    #[must_use]
    pub fn key(mut self, key: &'static Key) -> Self {
        self.key = key;
        self.header("alg", key.alg).header("kid", key.kid)
    }

    /// Signs with another key and leaves the header as it is.
    #[must_use]
    pub const fn signed_by(mut self, key: &'static Key) -> Self {
        self.key = key;
        self
    }

    /// Says and uses another algorithm of the key.
    #[must_use]
    pub fn alg(mut self, alg: &str) -> Self {
        self.sign_as = Some(alg.to_owned());
        self.header("alg", alg)
    }

    /// Replaces the header by these bytes.
    #[must_use]
    pub fn raw_header(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.raw_header = Some(bytes.as_ref().to_vec());
        self
    }

    /// Replaces the payload by these bytes.
    #[must_use]
    pub fn raw_payload(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.raw_payload = Some(bytes.as_ref().to_vec());
        self
    }

    /// The members of the header and the claims.
    pub fn parts(&self) -> (Map<String, Value>, Map<String, Value>) {
        (self.header.clone(), self.claims.clone())
    }

    /// The payload as JSON text.
    pub fn payload(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }

    fn message(&self) -> String {
        let header = self
            .raw_header
            .clone()
            .unwrap_or_else(|| Value::Object(self.header.clone()).to_string().into_bytes());
        let payload = self
            .raw_payload
            .clone()
            .unwrap_or_else(|| self.payload().into_bytes());
        format!("{}.{}", b64(header), b64(payload))
    }

    /// The compact form.
    pub fn sign(&self) -> String {
        let message = self.message();
        let alg = self.sign_as.as_deref().unwrap_or(self.key.alg);
        let signature = self.key.sign(alg, message.as_bytes());
        learnt(format!("{message}.{}", b64(signature)))
    }

    /// The compact form with an HMAC of `secret` instead of a signature.
    pub fn sign_hmac(&self, secret: &[u8]) -> String {
        use aws_lc_rs::hmac;
        let message = self.message();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, message.as_bytes());
        learnt(format!("{message}.{}", b64(tag)))
    }

    /// The compact form with `signature` as it is.
    pub fn with_signature(&self, signature: &str) -> String {
        learnt(format!("{}.{signature}", self.message()))
    }
}

/// No output of a proxy may hold it from now on.
fn learnt(token: String) -> String {
    super::secrets::learn_token(&token);
    token
}
