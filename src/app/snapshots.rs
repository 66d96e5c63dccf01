//! From a compiled configuration to a live snapshot. Fallible as a whole, before anything is swapped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::authn::{Issuer, Issuers, KeyCell, Reviewer, Trust};
use crate::clock::UnixTime;
use crate::config::{Config, VerifierSettings};
use crate::credential::CredentialCell;
use crate::identity::{Identity, SigningKeys};
use crate::listener::{ListenAddress, ListenerSettings, OutboundSettings, server_config};
use crate::proxy::{Answers, Cors, ResourceMetadata, Schemes};
use crate::request::{self, Authority, RequestRules, ReservedNames};
use crate::snapshot::{Listener, Outbound, Snapshot};
use crate::upstream::{Origin, Target};

/// What survives a reload, by the names of issuers and credentials.
pub(super) struct Cells {
    pub(super) keys: HashMap<Arc<str>, Arc<KeyCell>>,
    pub(super) reviewers: HashMap<Arc<str>, Arc<Reviewer>>,
    pub(super) credentials: HashMap<Arc<str>, Arc<CredentialCell>>,
}

impl Cells {
    fn trust(&self, issuer: &str, verifier: &VerifierSettings) -> Option<Trust> {
        Some(match verifier {
            VerifierSettings::Keys(_) => Arc::clone(self.keys.get(issuer)?).into(),
            VerifierSettings::Review(_) => Arc::clone(self.reviewers.get(issuer)?).into(),
        })
    }
}

/// Builds the snapshot of `config`. Upstream targets that did not change are taken over with their connections.
pub(super) fn build(
    config: Arc<Config>,
    generation: u64,
    cells: &Cells,
    previous: Option<&Snapshot>,
    now: UnixTime,
) -> Result<Snapshot, String> {
    let mut issuers = Vec::with_capacity(config.issuers.len());
    for (settings, verifier) in &config.issuers {
        let trust = cells.trust(&settings.name, verifier);
        let trust = trust.ok_or_else(|| format!("issuer {}: no verifier", settings.name))?;
        // Whose tokens they are says `iss`, whatever name the issuer goes by: a used proof stays used under a new one.
        let mut own = settings.issuers.iter();
        let previous =
            previous.and_then(|previous| own.find_map(|iss| previous.issuers.by_iss(iss)));
        issuers.push(Arc::new(Issuer::following(
            settings.clone(),
            trust,
            previous.map(|issuer| &**issuer),
        )));
    }
    let identity = match previous {
        None => Identity::new(Arc::clone(&config.identity), generation),
        Some(previous) => Identity::following(
            Arc::clone(&config.identity),
            generation,
            &previous.identity,
            now,
        ),
    };
    let identity = identity.map_err(|error| format!("identity: {error}"))?;
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for (index, settings) in config.listeners.iter().enumerate() {
        let old = previous.and_then(|previous| previous.listener(index));
        let outbound = settings
            .outbound
            .as_ref()
            .map(|own| outbound(own, settings, cells))
            .transpose()?;
        let rules = rules_of(settings, &identity, &config);
        listeners.push(listener(index, settings, rules, outbound, &config, old)?);
    }
    Ok(Snapshot {
        generation,
        issuers: Issuers::new(issuers),
        policy: config.policy.at(generation),
        identity,
        receipt_keys: receipt_keys(&config, previous, now),
        listeners,
        answers: Answers::compile(&config.answers),
        config,
    })
}

/// What signs receipts, and what did: published for as long as the process runs, since nobody can know when its log is read.
fn receipt_keys(
    config: &Config,
    previous: Option<&Snapshot>,
    now: UnixTime,
) -> Option<SigningKeys> {
    let own = config.log.receipts.as_ref().map(|own| own.keys.clone());
    let before = previous.and_then(|previous| previous.receipt_keys.as_ref());
    match (own, before) {
        (Some(own), Some(before)) => Some(SigningKeys::rotated(before, own, now, Duration::MAX)),
        (own, before) => own.or_else(|| before.cloned()),
    }
}

fn listener(
    index: usize,
    settings: &ListenerSettings,
    rules: RequestRules,
    outbound: Option<Outbound>,
    config: &Config,
    old: Option<&Listener>,
) -> Result<Listener, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", settings.name);
    let target = match old.filter(|old| old.settings.upstream.is_same(&settings.upstream)) {
        Some(old) => Arc::clone(&old.target),
        None => Arc::new(Target::new(settings.upstream.clone()).map_err(|error| at(&error))?),
    };
    let tls = settings
        .tls
        .as_ref()
        .map(server_config)
        .transpose()
        .map_err(|error| at(&error))?;
    let resource_metadata = settings
        .resource_metadata
        .as_ref()
        .map(|metadata| ResourceMetadata::compile(metadata, settings, config))
        .transpose()
        .map_err(|error| at(&error))?;
    Ok(Listener {
        index,
        schemes: Schemes::of(settings, resource_metadata.as_ref(), config),
        resource_metadata,
        rules,
        tls,
        target,
        outbound,
        cors: settings.cors.as_ref().map(Cors::compile),
        settings: settings.clone(),
    })
}

fn outbound(
    own: &OutboundSettings,
    settings: &ListenerSettings,
    cells: &Cells,
) -> Result<Outbound, String> {
    let credential = cells.credentials.get(&own.credential);
    let origin = Origin::of(&settings.upstream.address);
    Ok(Outbound {
        credential: Arc::clone(
            credential.ok_or_else(|| format!("credential {}: no cell", own.credential))?,
        ),
        reach: Arc::clone(&own.reach),
        replay_body: own.replay_body,
        authority: origin.authority(),
        nonce: arc_swap::ArcSwapOption::default(),
        origin: origin.to_string().into(),
        rewrite_location: own.rewrite_location.then_some(origin),
    })
}

/// How a listener reads requests.
pub(crate) fn rules_of(
    settings: &ListenerSettings,
    identity: &Identity,
    config: &Config,
) -> RequestRules {
    let reserved = match &settings.outbound {
        None => ReservedNames::new(identity.reserved()),
        Some(own) => ReservedNames::of_outbound(own.reach.paths().is_some()),
    };
    let reading = settings.outbound.as_ref().map(|own| own.reach.reading());
    RequestRules {
        trusted_proxies: settings.trusted_proxies.clone(),
        headers: settings.limits.headers,
        header_bytes: settings.limits.header_bytes,
        target_bytes: settings.limits.target_bytes,
        reserved: Arc::new(reserved),
        actor_headers: actor_headers(config),
        origins: settings.origins().filter_map(request::Origin::of).collect(),
        default_authority: own_authority(settings),
        paths: reading.unwrap_or_default(),
    }
}

/// Where routes take second tokens.
fn actor_headers(config: &Config) -> Vec<HeaderName> {
    let mut headers: Vec<_> = config
        .policy
        .routes()
        .iter()
        .filter_map(|route| Some(route.actor_token()?.header.clone()))
        .collect();
    headers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    headers.dedup();
    headers
}

/// The authority of HTTP/1.0 requests that name none.
fn own_authority(settings: &ListenerSettings) -> Authority {
    let ListenAddress::Tcp(address) = &settings.listen else {
        return Authority::nameless();
    };
    // A port that the system picks has no name here.
    let port = Some(address.port()).filter(|port| *port != 0);
    let host = match address.ip() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let written = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&written)
        .ok()
        .and_then(|written| Authority::parse(&written))
        .unwrap_or_else(Authority::nameless)
}
