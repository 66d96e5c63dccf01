//! `WWW-Authenticate` (RFC 9110 section 11.6.1): one field for each scheme, since many clients read no second one in it.

use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{AnswersSettings, header_value, quoted};
use crate::config::Config;
use crate::listener::ListenerSettings;
use crate::proxy::ResourceMetadata;
use crate::proxy::metadata::Dpop;
use crate::rejection::{Challenge, Rejection};

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What a challenge says of every token that does not hold.
const INVALID_TOKEN: &str = ", error=\"invalid_token\"";

/// What the challenges of a listener say, whatever the template.
#[derive(Debug, Default)]
pub struct Schemes {
    /// Where its metadata is, as a parameter with the comma before it.
    metadata: Option<String>,
    /// The algorithms of proofs, as a parameter; `None`: no issuer of its routes takes proofs.
    algs: Option<String>,
    /// All of them take nothing else.
    only_dpop: bool,
}

impl Schemes {
    /// Those of `listener`.
    #[must_use]
    pub(crate) fn of(
        listener: &ListenerSettings,
        metadata: Option<&ResourceMetadata>,
        config: &Config,
    ) -> Self {
        if listener.outbound.is_some() {
            return Self::default();
        }
        let dpop = Dpop::of(listener, config);
        Self {
            metadata: metadata.map(ResourceMetadata::parameter),
            algs: (!dpop.algorithms.is_empty())
                .then(|| format!(", algs={}", quoted(&dpop.algorithms.join(" ")))),
            only_dpop: dpop.required,
        }
    }
}

/// The challenges of a template, those that nearly all refusals have prepared.
#[derive(Debug)]
pub(super) struct Challenges {
    bare: HeaderValue,
    invalid_token: HeaderValue,
    /// Realm, and where metadata is if the template says it.
    parameters: String,
    /// The template says where metadata is, whatever the listener says.
    has_metadata: bool,
}

impl Challenges {
    pub(super) fn compile(settings: &AnswersSettings) -> Self {
        let realm = settings.realm.as_deref().unwrap_or("countersign");
        let mut parameters = format!("realm={}", quoted(realm));
        if let Some(url) = &settings.resource_metadata {
            parameters.push_str(", resource_metadata=");
            parameters.push_str(&quoted(url));
        }
        Self {
            bare: header_value(&format!("Bearer {parameters}")),
            invalid_token: header_value(&format!("Bearer {parameters}{INVALID_TOKEN}")),
            parameters,
            has_metadata: settings.resource_metadata.is_some(),
        }
    }

    /// Puts the challenges of a refusal on its answer.
    pub(super) fn set(
        &self,
        rejection: &Rejection,
        status: StatusCode,
        schemes: Option<&Schemes>,
        headers: &mut HeaderMap,
    ) {
        let Some(challenge) = challenge(rejection, status) else {
            return;
        };
        let metadata = schemes
            .and_then(|schemes| schemes.metadata.as_deref())
            .filter(|_| !self.has_metadata);
        let algs = schemes.and_then(|schemes| schemes.algs.as_deref());
        match challenge {
            Challenge::Bare if metadata.or(algs).is_none() => {
                headers.insert(WWW_AUTHENTICATE, self.bare.clone());
                return;
            }
            Challenge::InvalidToken if metadata.or(algs).is_none() => {
                headers.insert(WWW_AUTHENTICATE, self.invalid_token.clone());
                return;
            }
            _ => {}
        }
        let error = match challenge {
            Challenge::Bare => String::new(),
            Challenge::InvalidToken => INVALID_TOKEN.to_owned(),
            Challenge::InvalidProof => ", error=\"invalid_dpop_proof\"".to_owned(),
            Challenge::UseNonce(nonce) => {
                headers.insert(DPOP_NONCE, header_value(nonce));
                // Scripts cannot send what they cannot read.
                if headers.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS) {
                    let name = HeaderValue::from_static("DPoP-Nonce");
                    headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, name);
                }
                ", error=\"use_dpop_nonce\"".to_owned()
            }
            Challenge::InsufficientScope(scopes) => {
                format!(", error=\"insufficient_scope\", scope={}", quoted(scopes))
            }
        };
        let of_proof = matches!(challenge, Challenge::InvalidProof | Challenge::UseNonce(_));
        let start = format!("{}{}", self.parameters, metadata.unwrap_or_default());
        if !of_proof && !schemes.is_some_and(|schemes| schemes.only_dpop) {
            let bearer = header_value(&format!("Bearer {start}{error}"));
            headers.append(WWW_AUTHENTICATE, bearer);
        }
        if of_proof || algs.is_some() {
            let algs = algs.unwrap_or_default();
            let dpop = header_value(&format!("DPoP {start}{error}{algs}"));
            headers.append(WWW_AUTHENTICATE, dpop);
        }
    }
}

/// The challenge that goes with the status that is answered, which a template may have chosen.
fn challenge(rejection: &Rejection, status: StatusCode) -> Option<Challenge<'_>> {
    let is_401 = status == StatusCode::UNAUTHORIZED;
    match rejection.challenge() {
        // A template that answers 401 says that another token is wanted; scopes are a matter of 403.
        Some(Challenge::InsufficientScope(_)) if is_401 => Some(Challenge::InvalidToken),
        Some(challenge) => Some(challenge),
        // A 401 must carry a challenge (RFC 9110 section 15.5.2), also where a template made it one.
        None if is_401 && matches!(rejection, Rejection::Forbidden(_)) => {
            Some(Challenge::InvalidToken)
        }
        None => is_401.then_some(Challenge::Bare),
    }
}
