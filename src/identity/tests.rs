use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::authn::{
    Algorithm, Audiences, ClaimMappings, Claims, Issuer, IssuerSettings, KeyCell, KeyIdRule,
    Thumbprint, TokenSources,
};

mod credential;
mod emit;
mod reference;
mod vouching;

pub(super) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn issuer() -> Arc<Issuer> {
    let settings = IssuerSettings {
        name: "dls".into(),
        issuers: vec!["https://id.example.org".to_owned()],
        audiences: Audiences::Unchecked,
        clients: None,
        algorithms: vec![Algorithm::Es256],
        leeway: Duration::from_secs(60),
        required_claims: vec!["exp".to_owned()],
        token_types: vec!["jwt".to_owned()],
        max_lifetime: None,
        kubernetes: false,
        claim_mappings: ClaimMappings::default(),
        scope_implies: std::collections::BTreeMap::new(),
        key_id: KeyIdRule::Required,
        token_sources: TokenSources::default(),
        token_bytes: 16 * 1024,
        dpop: None,
    };
    Arc::new(Issuer::new(settings, Arc::new(KeyCell::default())))
}

/// A principal from the claims that policy speaks about.
pub(super) fn verified(claims: &Value) -> Rc<Verified> {
    let text = |name: &str| claims[name].as_str().map(Into::into);
    let list = |name: &str| {
        let values = claims[name].as_array().cloned().unwrap_or_default();
        values.iter().map(|v| v.as_str().unwrap().into()).collect()
    };
    Rc::new(Verified {
        issuer: issuer(),
        thumbprint: Thumbprint([0; 32]),
        claims: Claims::parse(claims.to_string().as_bytes()).unwrap(),
        subject: text("sub"),
        client: text("azp"),
        account: text("account"),
        scopes: list("scopes"),
        roles: list("roles"),
        groups: list("groups"),
        issued_at: None,
        not_before: None,
        expires: NOW.plus(3600),
        confirmation: None,
        prepared: RefCell::new(None),
    })
}

pub(super) fn header(name: &'static str, source: &str) -> HeaderSettings {
    HeaderSettings {
        name: HeaderName::from_static(name),
        source: Source::parse(source).unwrap(),
    }
}

pub(super) fn assertion(algorithm: SigningAlgorithm, bind: Binding) -> AssertionSettings {
    AssertionSettings {
        header: HeaderName::from_static("x-auth-assertion"),
        key: KeySettings::Configured(Arc::new(SigningKeys::generate(algorithm).unwrap())),
        issuer: "countersign".to_owned(),
        audience: "usage-api".to_owned(),
        lifetime: Duration::from_secs(60),
        bind,
        overlap: DEFAULT_OVERLAP,
    }
}

pub(super) fn signature(algorithm: SigningAlgorithm) -> SignatureSettings {
    SignatureSettings {
        key: KeySettings::Configured(Arc::new(SigningKeys::generate(algorithm).unwrap())),
        lifetime: Duration::from_secs(300),
        overlap: DEFAULT_OVERLAP,
        https: false,
    }
}

pub(super) fn settings() -> IdentitySettings {
    IdentitySettings {
        headers: vec![
            header("x-auth-subject", "subject"),
            header("x-auth-client", "client"),
            header("x-auth-account", "account"),
            header("x-auth-scopes", "scopes"),
            header("x-auth-email", "claims.email"),
            header("x-auth-caller", "caller"),
            header("x-auth-actor", "actor.subject"),
        ],
        assertion: None,
        signature: None,
    }
}

pub(super) fn alice() -> Rc<Verified> {
    verified(&json!({
        "sub": "alice", "azp": "SmartEM_User", "scopes": ["a:read", "b:write"], "email": "alice@example.org",
    }))
}

/// A request by a principal; change what a test is about.
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) authority: HeaderValue,
    pub(super) principal: Principal,
    pub(super) actor: Option<Rc<Verified>>,
    pub(super) caller: Option<Arc<str>>,
    pub(super) until: Option<UnixTime>,
}

impl Asked {
    pub(super) fn by(principal: Principal) -> Self {
        Self {
            method: "GET",
            target: "/api/accounts/acme/usage?from=1",
            authority: HeaderValue::from_static("Api.example.org:8080"),
            principal,
            actor: None,
            caller: Some("user".into()),
            until: None,
        }
    }

    pub(super) fn vouch(
        &self,
        identity: &Identity,
        now: UnixTime,
    ) -> Result<IdentityHeaders, NotVouched> {
        let about = About {
            method: self.method,
            target: self.target,
            authority: &self.authority,
            principal: &self.principal,
            actor: self.actor.as_ref(),
            caller: self.caller.as_ref(),
            until: self.until,
        };
        identity.vouch_for(&about, now)
    }

    pub(super) fn headers(&self, identity: &Identity, now: UnixTime) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.vouch(identity, now).unwrap().set_on(&mut headers);
        headers
    }
}
