//! Tokens that are known by what they say. They are signed by a key of ours, and the issuers that they name are replaced by
//! issuers that differ from the configured ones in their keys alone. So a claimed token goes through the very checks that
//! a real one goes through, and nothing in the core knows of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::CaseError;
use super::proof::{self, Holder};
use crate::authn::{
    Algorithm, Audiences, Claims, Issuer, IssuerSettings, Issuers, KeyCell, KeySet, KeyState,
    Review, ReviewWanted, Reviewed, Trust,
};
use crate::case::{Case, Claimed, Members, Source, Token, TokenKind};
use crate::clock::{Now, UnixTime};
use crate::config::{Config, VerifierSettings};
use crate::identity::{SigningAlgorithm, SigningKey};
use crate::rejection::Rejection;

/// How long a completed token lives: as long as access tokens usually do.
const LIFETIME: i64 = 300;

/// The key that signs what is only claimed. It lives as long as its explainer, and nothing else trusts it.
#[derive(Debug)]
pub(super) struct StandIn {
    key: SigningKey,
    jwks: String,
    /// Whoever holds tokens that are bound to a key.
    holder: Holder,
}

/// What a case sends, and whom it is believed.
pub(super) struct Sent {
    pub(super) issuers: Issuers,
    pub(super) token: Option<Zeroizing<String>>,
    pub(super) actor: Option<Zeroizing<String>>,
    pub(super) actor_header: Option<HeaderName>,
    /// What comes in the fields `DPoP`.
    pub(super) proofs: Vec<String>,
    /// What was completed of the claims.
    pub(super) completed: Vec<String>,
    /// Names of issuers that are stood in for, and whether they have no keys.
    stood_in: Vec<(Arc<str>, bool)>,
    /// What a reviewer says of tokens that are only claimed; `None`: nothing.
    reviews: Vec<(Zeroizing<String>, Option<Review>)>,
}

impl Sent {
    /// Whether tokens of this issuer are signed by us; and if so, whether none can be verified.
    pub(super) fn stands_in(&self, issuer: &str) -> Option<bool> {
        let mut all = self.stood_in.iter();
        all.find(|(name, _)| **name == *issuer)
            .map(|(_, keyless)| *keyless)
    }
}

impl Sent {
    /// What the reviewer of a claimed token says of it; `None` for a token that is not claimed.
    pub(super) fn review(
        &self,
        wanted: ReviewWanted,
        now: Now,
        retry_after: Duration,
    ) -> Option<Result<Reviewed, Rejection>> {
        let mut all = self.reviews.iter();
        let (_, review) = all.find(|(token, _)| token.as_bytes() == wanted.token())?;
        let unavailable = || Rejection::ReviewUnavailable { retry_after };
        Some(
            review
                .clone()
                .ok_or_else(unavailable)
                .map(|review| Reviewed {
                    wanted,
                    review,
                    asked: now,
                }),
        )
    }
}

impl StandIn {
    pub(super) fn new() -> Result<Self, String> {
        let key = SigningKey::generate(SigningAlgorithm::EdDsa)
            .map_err(|error| format!("no key to sign claims with: {error}"))?;
        let jwk = key.public().map(|public| public.jwk().clone());
        Ok(Self {
            jwks: json!({"keys": [jwk]}).to_string(),
            key,
            holder: Holder::new()?,
        })
    }

    /// Makes the tokens of a case, and the issuers that it meets; `origin` is what the listener is known by.
    pub(super) fn send(
        &self,
        case: &Case,
        origin: Option<&str>,
        config: &Config,
        cells: &HashMap<Arc<str>, Arc<KeyCell>>,
        now: UnixTime,
    ) -> Result<Sent, CaseError> {
        let mut sent = Sent {
            issuers: Issuers::default(),
            token: None,
            actor: None,
            actor_header: None,
            proofs: Vec::new(),
            completed: Vec::new(),
            stood_in: Vec::new(),
            reviews: Vec::new(),
        };
        if let Some(token) = &case.token {
            let made = self.token(token, config, cells, now, &mut sent)?;
            if token.source == Source::Dpop && matches!(token.kind, TokenKind::Claims(_)) {
                let about = proof::About {
                    request: &case.request,
                    origin: origin.unwrap_or("http://localhost"),
                    token: &made,
                    now,
                };
                sent.proofs = self.holder.prove(&token.proof, &about)?;
            }
            sent.token = Some(made);
        }
        if let Some(actor) = &case.actor {
            sent.actor = Some(self.token(actor, config, cells, now, &mut sent)?);
            let mut routes = config.policy.routes().iter();
            let header = routes.find_map(|route| Some(route.actor_token()?.header.clone()));
            sent.actor_header = Some(header.ok_or(CaseError::NoActorHeader)?);
        }
        sent.issuers = self.issuers(config, cells, &sent)?;
        Ok(sent)
    }

    fn issuers(
        &self,
        config: &Config,
        cells: &HashMap<Arc<str>, Arc<KeyCell>>,
        sent: &Sent,
    ) -> Result<Issuers, CaseError> {
        let mut issuers = Vec::with_capacity(config.issuers.len());
        for (settings, verifier) in &config.issuers {
            let issuer = match (verifier, sent.stands_in(&settings.name)) {
                (VerifierSettings::Review(review), _) => {
                    Issuer::new(settings.clone(), Arc::new(review.reviewer()))
                }
                (VerifierSettings::Keys(_), None) => {
                    let cell = cells.get(&settings.name).map(Arc::clone);
                    Issuer::new(settings.clone(), Trust::Keys(cell.unwrap_or_default()))
                }
                (VerifierSettings::Keys(_), Some(keyless)) => {
                    let cell = Arc::new(KeyCell::default());
                    if !keyless {
                        let (keys, _) = KeySet::parse(self.jwks.as_bytes())
                            .map_err(|_| CaseError::Signing("the key is no key"))?;
                        cell.store(KeyState::Usable(keys));
                    }
                    let mut settings = settings.clone();
                    settings.algorithms = vec![Algorithm::EdDsa];
                    Issuer::new(settings, cell)
                }
            };
            issuers.push(Arc::new(issuer));
        }
        Ok(Issuers::new(issuers))
    }

    fn token(
        &self,
        token: &Token,
        config: &Config,
        cells: &HashMap<Arc<str>, Arc<KeyCell>>,
        now: UnixTime,
        sent: &mut Sent,
    ) -> Result<Zeroizing<String>, CaseError> {
        let claimed = match &token.kind {
            TokenKind::Real(token) => return Ok(Zeroizing::new(token.expose().to_owned())),
            TokenKind::Claims(claimed) => claimed,
        };
        let mut claims = claimed.claims.clone();
        let issuer = issuer(claimed, config)?;
        if let Some(issuer) = issuer {
            sent.stood_in
                .push((Arc::clone(&issuer.name), claimed.keyless));
            if claimed.issuer.is_some() {
                sent.completed.extend(complete(&mut claims, issuer, now));
                if token.source == Source::Dpop && !claims.contains_key("cnf") {
                    claims.insert("cnf".to_owned(), json!({"jkt": self.holder.thumbprint()}));
                    sent.completed.push("cnf".to_owned());
                }
            }
        }
        let header = self.header(claimed, issuer, cells);
        let token = sign(&self.key, &header, &claims, claimed.forged)?;
        let claims = Claims::parse(Value::Object(claims).to_string().as_bytes());
        let review = match claims {
            _ if claimed.keyless => None,
            Ok(claims) if !claimed.forged => Some(Review::Active(Arc::new(claims))),
            Ok(_) | Err(_) => Some(Review::Inactive),
        };
        sent.reviews.push((token.clone(), review));
        Ok(token)
    }

    /// The JOSE header. What the case says of it stands, unless that is what the issuer's own tokens have: `alg` and `kid`
    /// are then ours, since it is our key that signs.
    fn header(
        &self,
        claimed: &Claimed,
        issuer: Option<&IssuerSettings>,
        cells: &HashMap<Arc<str>, Arc<KeyCell>>,
    ) -> Members {
        let mut header = Map::new();
        let types: &[String] = issuer.map_or(&[], |issuer| &issuer.token_types);
        let usual = ["at+jwt", "jwt"];
        let typ = usual
            .into_iter()
            .find(|usual| types.iter().any(|own| own == usual));
        if let Some(typ) = typ.or(types.first().map(String::as_str))
            && !typ.is_empty()
        {
            header.insert("typ".to_owned(), json!(typ));
        }
        for (name, value) in &claimed.header {
            let known = match (name.as_str(), issuer, value.as_str()) {
                ("alg", Some(issuer), Some(alg)) => {
                    issuer.algorithms.iter().any(|own| own.name() == alg)
                }
                ("kid", Some(issuer), Some(kid)) => cells.get(&issuer.name).is_some_and(
                    |cell| matches!(&*cell.load(), KeyState::Usable(keys) if keys.has_kid(kid)),
                ),
                _ => false,
            };
            if !known {
                header.insert(name.clone(), value.clone());
            }
        }
        let ours = [("alg", json!("EdDSA")), ("kid", json!(self.key.id()))];
        for (name, value) in ours {
            header.entry(name).or_insert(value);
        }
        header.retain(|_, value| !value.is_null());
        header
    }
}

/// A compact JWS (RFC 7515 section 7.1).
pub(super) fn sign(
    key: &SigningKey,
    header: &Members,
    claims: &Members,
    forged: bool,
) -> Result<Zeroizing<String>, CaseError> {
    let part = |members: &Members| {
        let text = Value::Object(members.clone()).to_string();
        URL_SAFE_NO_PAD.encode(text)
    };
    let signed = format!("{}.{}", part(header), part(claims));
    let of_what = if forged { "something else" } else { &signed };
    let signature = key
        .sign(of_what.as_bytes())
        .map_err(|_| CaseError::Signing("the crypto library failed"))?;
    let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
    Ok(Zeroizing::new(format!("{signed}.{signature}")))
}

/// The issuer whose token it is: named, or by `iss`. Claims of an issuer that nobody knows are sent all the same.
fn issuer<'c>(
    claimed: &Claimed,
    config: &'c Config,
) -> Result<Option<&'c IssuerSettings>, CaseError> {
    let mut all = config.issuers.iter().map(|(issuer, _)| issuer);
    if let Some(name) = &claimed.issuer {
        let found = all.find(|issuer| *issuer.name == **name);
        return found.map(Some).ok_or_else(|| {
            let names: Vec<&str> = config.issuers.iter().map(|(own, _)| &*own.name).collect();
            CaseError::UnknownIssuer {
                name: name.clone(),
                known: names.join(", "),
            }
        });
    }
    let iss = claimed.claims.get("iss").and_then(Value::as_str);
    Ok(iss.and_then(|iss| all.find(|issuer| issuer.issuers.iter().any(|own| own == iss))))
}

/// Adds what the issuer's tokens have and these claims do not say. Tells the names of what was added.
fn complete(claims: &mut Members, issuer: &IssuerSettings, now: UnixTime) -> Vec<String> {
    let mut added = Vec::new();
    let mut add = |claims: &mut Members, name: &str, value: Value| {
        if !claims.contains_key(name) {
            claims.insert(name.to_owned(), value);
            added.push(name.to_owned());
        }
    };
    if let Some(iss) = issuer.issuers.first() {
        add(claims, "iss", json!(iss));
    }
    if let Audiences::AnyOf(audiences) = &issuer.audiences
        && let Some(audience) = audiences.first()
    {
        add(claims, "aud", json!(audience));
    }
    let most = issuer
        .max_lifetime
        .and_then(|most| i64::try_from(most.as_secs()).ok())
        .unwrap_or(LIFETIME);
    add(claims, "iat", json!(now.as_secs()));
    add(claims, "exp", json!(now.plus(LIFETIME.min(most)).as_secs()));
    if let Some([client]) = issuer.clients.as_deref()
        && !claims.contains_key("client_id")
    {
        add(claims, "azp", json!(client));
    }
    if issuer.kubernetes
        && let Some((namespace, name)) = claims
            .get("sub")
            .and_then(Value::as_str)
            .and_then(|sub| sub.strip_prefix("system:serviceaccount:")?.split_once(':'))
    {
        let value = json!({"namespace": namespace, "serviceaccount": {"name": name}});
        add(claims, "kubernetes.io", value);
    }
    for name in &issuer.required_claims {
        add(claims, name, json!("somebody"));
    }
    added
}
