//! What `/status`, `/readyz` and the status page tell.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    AdminState, LastMinutes, ListenerStatus, OutboundCounts, OutboundStatus, Reloads, RouteStatus,
    UpstreamStatus,
};
use crate::certificate::CertificateStatus;
use crate::credential::{CredentialHealth, CredentialStatus};
use crate::drain::Phase;
use crate::jwks::{IssuerKeyStatus, KeyHealth};
use crate::review::{ReviewHealth, ReviewStatus};
use crate::telemetry::Decided;

/// Whether the proxy should receive traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// It should.
    pub ready: bool,
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// What works less well than it should.
    pub degraded: Vec<String>,
}

/// The whole state.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of this program.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// When the program started, seconds since the epoch.
    pub started_at: i64,
    /// The time of this answer, seconds since the epoch.
    pub now: i64,
    /// The configuration file.
    pub config_file: String,
    /// The live generation and what became of the last load.
    pub config: Reloads,
    /// `serving`, `leaving`, `closing` or `ended`.
    pub phase: &'static str,
    /// Whether it should receive traffic.
    pub readiness: Ready,
    /// Worker threads.
    pub workers: usize,
    /// Counts since the start.
    pub requests: Requests,
    /// What ended in each of the last 30 minutes; the last entry is the running minute.
    pub last_minutes: LastMinutes,
    /// Where callers connect, and where it leads.
    pub listeners: Vec<ListenerStatus>,
    /// Issuers and their keys.
    pub issuers: Vec<IssuerKeyStatus>,
    /// Issuers whose tokens somebody else judges, and what came of asking.
    pub reviews: Vec<ReviewStatus>,
    /// Access tokens that are obtained for callers; never the tokens.
    pub credentials: Vec<CredentialStatus>,
    /// Routes, with what became of their requests.
    pub routes: Vec<RouteCounts>,
    /// Outbound listeners, with what became of their requests.
    pub outbound: Vec<OutboundCounts>,
    /// Certificates that we show, and when they end.
    pub certificates: Vec<CertificateStatus>,
    /// Upstreams of this machine, and whether they can be reached around the proxy.
    pub upstreams: Vec<UpstreamStatus>,
    /// Refused and failed requests, by reason, since the start.
    pub refusals_by_reason: BTreeMap<String, u64>,
    /// The last refusals, newest first: decision records.
    pub recent_refusals: Vec<serde_json::Value>,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Began.
    pub total: u64,
    /// In flight.
    pub active: u64,
    /// Forwarded and answered.
    pub allowed: u64,
    /// Refused.
    pub denied: u64,
    /// Could not be judged or served.
    pub errored: u64,
    /// Open connections of callers.
    pub connections: u64,
}

/// A route and what became of its requests.
#[derive(Clone, Debug, Serialize)]
pub struct RouteCounts {
    /// The route.
    #[serde(flatten)]
    pub route: RouteStatus,
    /// Allowed since the start.
    pub allowed: u64,
    /// Refused or failed since the start.
    pub refused: u64,
}

const DECISIONS: &str = "countersign_decisions_total";

impl AdminState {
    /// What is recorded and not enforced.
    fn only_observed(&self) -> Vec<String> {
        let mut observed: Vec<String> = (self.routes)()
            .iter()
            .filter(|route| route.observe_until.is_some())
            .map(|route| match &route.enforce {
                Some(share) => format!(
                    "route {} observes, and enforces for {share} of clients only",
                    route.name
                ),
                None => format!("route {} only observes and enforces nothing", route.name),
            })
            .collect();
        let callers = (self.observed_callers)();
        observed.extend(callers.iter().map(|name| {
            format!("caller {name} is only observed, and passes whatever policy says of it")
        }));
        observed
    }

    /// Whether the proxy should receive traffic: it started, does not drain, and can judge some token. One issuer without keys
    /// among several degrades; only that issuer's tokens get 503, and taking the others out of service would help nobody. An
    /// endpoint that does not answer degrades as well: nothing is asked until a request comes, so that a proxy that is out of
    /// service for it would never find out that it is well again.
    #[must_use]
    pub fn ready(&self) -> Ready {
        let mut missing: Vec<String> = self
            .readiness
            .missing()
            .into_iter()
            .map(Into::into)
            .collect();
        if self.drain.phase() != Phase::Serving {
            missing.push("the proxy is draining".into());
        }
        let issuers = (self.issuers)();
        let (without, mut degraded) = issuers_in_trouble(&issuers);
        let reviews = (self.reviews)();
        let failing = reviews
            .iter()
            .filter(|review| review.health == ReviewHealth::Failing)
            .map(|review| format!("tokens of issuer {} could not be reviewed", review.issuer));
        degraded.extend(failing);
        if without.len() == issuers.len() && reviews.is_empty() {
            missing.extend(without);
        } else {
            degraded.extend(without);
        }
        let (tokenless, unrenewed) = self.credentials_in_trouble();
        // Where nothing is served but outbound listeners, and none of them has a token, all requests get 503.
        let none = issuers.is_empty() && reviews.is_empty();
        if none && tokenless.len() == (self.credentials)().len() {
            missing.extend(tokenless);
        } else {
            degraded.extend(tokenless);
        }
        degraded.extend(unrenewed);
        degraded.extend(self.only_observed());
        degraded.extend(
            (self.certificates)()
                .iter()
                .filter_map(CertificateStatus::fault),
        );
        for upstream in (self.upstreams)() {
            let into = if upstream.required {
                &mut missing
            } else {
                &mut degraded
            };
            into.extend(upstream.fault());
        }
        if self.reload.state().last_error.is_some() {
            degraded.push("the last reload failed; the configuration before it serves on".into());
        }
        Ready {
            ready: missing.is_empty(),
            missing,
            degraded,
        }
    }

    /// Credentials without a token, and those whose token could not be renewed, in words.
    fn credentials_in_trouble(&self) -> (Vec<String>, Vec<String>) {
        let (mut tokenless, mut unrenewed) = (Vec::new(), Vec::new());
        for CredentialStatus {
            credential, health, ..
        } in (self.credentials)()
        {
            match health {
                CredentialHealth::Usable | CredentialHealth::Pending => {}
                CredentialHealth::Stale => unrenewed.push(format!(
                    "the token of credential {credential} could not be renewed"
                )),
                CredentialHealth::Unavailable => {
                    tokenless.push(format!("credential {credential} has no token"));
                }
            }
        }
        (tokenless, unrenewed)
    }

    /// The whole state.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.clock.now();
        self.history.look(self.telemetry.metrics(), now.tick);
        Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: now.tick.since(self.started.tick).as_secs(),
            started_at: self.started.unix.as_secs(),
            now: now.unix.as_secs(),
            config_file: self.config_file.display().to_string(),
            config: self.reload.state(),
            phase: match self.drain.phase() {
                Phase::Serving => "serving",
                Phase::Leaving => "leaving",
                Phase::Closing => "closing",
                Phase::Ended => "ended",
            },
            readiness: self.ready(),
            workers: self.workers,
            requests: self.requests(),
            last_minutes: self.history.last(now.tick),
            listeners: (self.listeners)(),
            issuers: (self.issuers)(),
            reviews: (self.reviews)(),
            credentials: (self.credentials)(),
            routes: self.route_counts(),
            outbound: self.outbound_counts(),
            certificates: (self.certificates)(),
            upstreams: (self.upstreams)(),
            refusals_by_reason: self.refusals_by_reason(),
            recent_refusals: self
                .telemetry
                .recent_refusals()
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
        }
    }

    fn requests(&self) -> Requests {
        let metrics = self.telemetry.metrics();
        let decided = |decision| whole(metrics.sum(DECISIONS, &[("decision", decision)]));
        Requests {
            total: whole(metrics.sum("countersign_requests_total", &[])),
            active: whole(metrics.sum("http_server_active_requests", &[])),
            allowed: decided("allowed"),
            denied: decided("denied"),
            errored: decided("errored"),
            connections: whole(metrics.sum("countersign_open_connections", &[])),
        }
    }

    /// Allowed and refused requests by a label.
    fn counts_by(&self, name: impl Fn(&Decided) -> &str) -> BTreeMap<String, (u64, u64)> {
        let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for decided in self.telemetry.metrics().decided() {
            let (allowed, refused) = counts.entry(name(&decided).to_string()).or_default();
            let count = if *decided.decision == *"allowed" {
                allowed
            } else {
                refused
            };
            *count = count.saturating_add(decided.count);
        }
        counts
    }

    fn outbound_counts(&self) -> Vec<OutboundCounts> {
        let counts = self.counts_by(|decided| &decided.listener);
        let with_counts = |outbound: OutboundStatus| {
            let (allowed, refused) = counts.get(&outbound.listener).copied().unwrap_or_default();
            OutboundCounts {
                outbound,
                allowed,
                refused,
            }
        };
        (self.outbound)().into_iter().map(with_counts).collect()
    }

    fn route_counts(&self) -> Vec<RouteCounts> {
        let counts = self.counts_by(|decided| &decided.route);
        (self.routes)()
            .into_iter()
            .map(|route| {
                let (allowed, refused) = counts.get(&route.name).copied().unwrap_or_default();
                RouteCounts {
                    route,
                    allowed,
                    refused,
                }
            })
            .collect()
    }

    fn refusals_by_reason(&self) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for decided in self.telemetry.metrics().decided() {
            if *decided.decision != *"allowed" {
                let count: &mut u64 = reasons.entry(decided.reason.into_string()).or_default();
                *count = count.saturating_add(decided.count);
            }
        }
        reasons
    }
}

/// Issuers without keys, and those whose keys could not be refreshed, in words.
fn issuers_in_trouble(issuers: &[IssuerKeyStatus]) -> (Vec<String>, Vec<String>) {
    let (mut without, mut stale) = (Vec::new(), Vec::new());
    for IssuerKeyStatus { issuer, health, .. } in issuers {
        match health {
            KeyHealth::Unavailable => without.push(format!("issuer {issuer} has no usable keys")),
            KeyHealth::Stale => {
                stale.push(format!(
                    "the keys of issuer {issuer} could not be refreshed"
                ));
            }
            KeyHealth::Usable => {}
        }
    }
    (without, stale)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and counters are whole and not negative"
)]
const fn whole(value: f64) -> u64 {
    value as u64
}
