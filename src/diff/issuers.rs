//! Whose tokens are taken, and what is asked of them before policy is.

use super::{Line, Place, Way};
use crate::authn::{Algorithm, Audiences, DpopSettings, IssuerSettings, KeyIdRule};
use crate::cli::show;
use crate::config::{Config, VerifierSettings, show_duration};
use crate::jwks::{KeySource, KeySourceSettings};
use crate::review::ReviewSettings;

const WIDER: (Way, Way) = (Way::Wider, Way::Narrower);
const MAY_WIDEN: (Way, Way) = (Way::MayWiden, Way::MayNarrow);

type Issuer = (IssuerSettings, VerifierSettings);

/// Issuers that go under one name, or that one `iss` value leads to.
pub(super) fn compare(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let shares = |one: &Issuer, other: &Issuer| {
        one.0
            .issuers
            .iter()
            .any(|iss| other.0.issuers.contains(iss))
    };
    let same = |one: &Issuer, others: &[Issuer]| -> Option<usize> {
        let by_name = others.iter().position(|other| other.0.name == one.0.name);
        by_name.or_else(|| others.iter().position(|other| shares(one, other)))
    };
    for issuer in &old.issuers {
        let mut place = Place::new(format!("issuers.{}", issuer.0.name), lines);
        match same(issuer, &new.issuers).and_then(|at| new.issuers.get(at)) {
            Some(other) => both(issuer, other, &mut place),
            None => place.say(
                Way::Narrower,
                format!(
                    "tokens of {} are not taken any more",
                    issuer.0.issuers.join(", ")
                ),
            ),
        }
    }
    for issuer in &new.issuers {
        if same(issuer, &old.issuers).is_none() {
            let mut place = Place::new(format!("issuers.{}", issuer.0.name), lines);
            let iss = issuer.0.issuers.join(", ");
            place.say(Way::Wider, format!("tokens of {iss} are taken"));
        }
    }
}

fn both((old, old_verifier): &Issuer, (new, new_verifier): &Issuer, place: &mut Place<'_>) {
    if old.name != new.name {
        place.say(Way::Note, format!("is called {} now", new.name));
    }
    place.lists(
        &old.issuers,
        &new.issuers,
        String::clone,
        (Way::Wider, "tokens whose `iss` is {} are taken"),
        (
            Way::Narrower,
            "tokens whose `iss` is {} are not taken any more",
        ),
    );
    audiences(&old.audiences, &new.audiences, place);
    tokens(old, new, place);
    lists(old, new, place);
    mappings(old, new, place);
    dpop(old.dpop.as_ref(), new.dpop.as_ref(), place);
    match (old_verifier, new_verifier) {
        (VerifierSettings::Keys(old), VerifierSettings::Keys(new)) => keys(old, new, place),
        (VerifierSettings::Review(old), VerifierSettings::Review(new)) => review(old, new, place),
        (VerifierSettings::Keys(_), VerifierSettings::Review(_)) => {
            place.say(
                Way::May,
                "somebody is asked about tokens; before, keys verified them",
            );
        }
        (VerifierSettings::Review(_), VerifierSettings::Keys(_)) => {
            place.say(
                Way::May,
                "keys verify tokens; before, somebody was asked about them",
            );
        }
    }
}

fn audiences(old: &Audiences, new: &Audiences, place: &mut Place<'_>) {
    match (old, new) {
        (Audiences::AnyOf(old), Audiences::AnyOf(new)) => place.lists(
            old,
            new,
            String::clone,
            (Way::Wider, "tokens for {} are taken (`audiences`)"),
            (
                Way::Narrower,
                "tokens for {} are not taken any more (`audiences`)",
            ),
        ),
        (Audiences::AnyOf(_), Audiences::Unchecked) => place.say(
            Way::Wider,
            "tokens are taken whatever their `aud` is (`audiences: unchecked`)",
        ),
        (Audiences::Unchecked, Audiences::AnyOf(new)) => {
            let new = new.join(", ");
            place.say(
                Way::Narrower,
                format!("only tokens for {new} are taken (`audiences`)"),
            );
        }
        (Audiences::Unchecked, Audiences::Unchecked) => {}
    }
}

/// What a token must be like.
fn tokens(old: &IssuerSettings, new: &IssuerSettings, place: &mut Place<'_>) {
    let show = |leeway: &std::time::Duration| show_duration(*leeway);
    place.amount(
        &old.leeway,
        &new.leeway,
        show,
        WIDER,
        "clocks may differ by (`leeway`)",
    );
    lifetime(old, new, place);
    match (old.kubernetes, new.kubernetes) {
        (true, false) => place.say(
            Way::MayWiden,
            "`sub` and the `kubernetes.io` claims need not agree any more (`kubernetes`)",
        ),
        (false, true) => place.say(
            Way::MayNarrow,
            "`sub` and the `kubernetes.io` claims must agree (`kubernetes`)",
        ),
        _ => {}
    }
    match (old.key_id, new.key_id) {
        (KeyIdRule::Required, KeyIdRule::OnlyKey) => {
            place.say(
                Way::Wider,
                "tokens without `kid` are taken (`key_id: only_key`)",
            );
        }
        (KeyIdRule::OnlyKey, KeyIdRule::Required) => {
            place.say(Way::Narrower, "tokens need a `kid` (`key_id`)");
        }
        _ => {}
    }
}

fn lifetime(old: &IssuerSettings, new: &IssuerSettings, place: &mut Place<'_>) {
    match (old.max_lifetime, new.max_lifetime) {
        (None, Some(new)) => place.say(
            Way::Narrower,
            format!(
                "tokens live for {} at most (`max_lifetime`)",
                show_duration(new)
            ),
        ),
        (Some(_), None) => {
            place.say(
                Way::Wider,
                "tokens may live for any time (no `max_lifetime`)",
            );
        }
        (old, new) => {
            let show = |span: &Option<_>| span.map(show_duration).unwrap_or_default();
            place.amount(
                &old,
                &new,
                show,
                WIDER,
                "tokens live at most (`max_lifetime`)",
            );
        }
    }
}

/// Lists that allow.
fn lists(old: &IssuerSettings, new: &IssuerSettings, place: &mut Place<'_>) {
    place.lists(
        &old.algorithms,
        &new.algorithms,
        |own: &Algorithm| own.name().to_owned(),
        (Way::Wider, "signatures by {} are taken (`algorithms`)"),
        (
            Way::Narrower,
            "signatures by {} are not taken any more (`algorithms`)",
        ),
    );
    place.lists(
        &old.required_claims,
        &new.required_claims,
        String::clone,
        (Way::Narrower, "tokens must have {} (`required_claims`)"),
        (
            Way::Wider,
            "tokens need not have {} any more (`required_claims`)",
        ),
    );
    let typ = |own: &String| match own.as_str() {
        "" => "none".to_owned(),
        typ => typ.to_owned(),
    };
    place.lists(
        &old.token_types,
        &new.token_types,
        typ,
        (Way::Wider, "tokens of `typ` {} are taken (`token_types`)"),
        (
            Way::Narrower,
            "tokens of `typ` {} are not taken any more (`token_types`)",
        ),
    );
    let sources = |own: &IssuerSettings| {
        let sources = own.token_sources;
        let all = [
            (sources.basic_password, "basic_password"),
            (sources.websocket_protocol, "websocket_protocol"),
        ];
        all.into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, word)| word)
            .collect::<Vec<_>>()
    };
    place.lists(
        &sources(old),
        &sources(new),
        |own| (*own).to_owned(),
        (Way::Wider, "tokens may come as {} (`token_sources`)"),
        (
            Way::Narrower,
            "tokens may not come as {} any more (`token_sources`)",
        ),
    );
}

/// What policy reads of a token. What follows for requests is among the differences of policy.
fn mappings(old: &IssuerSettings, new: &IssuerSettings, place: &mut Place<'_>) {
    if old.clients != new.clients {
        place.say(
            Way::Note,
            "`clients` is another list; what follows for requests is among the differences of policy",
        );
    }
    if old.claim_mappings != new.claim_mappings {
        place.say(
            Way::May,
            "claims are read from other places (`claim_mappings`): what policy makes of it is compared, what upstreams are told may be different",
        );
    }
    if old.scope_implies != new.scope_implies {
        place.say(
            Way::May,
            "scopes imply others than before (`scope_implies`): what policy makes of it is compared, the scopes that upstreams are told may be different",
        );
    }
}

fn dpop(old: Option<&DpopSettings>, new: Option<&DpopSettings>, place: &mut Place<'_>) {
    let (old, new) = match (old, new) {
        (None, None) => return,
        (None, Some(new)) if new.required => {
            return place.say(
                Way::May,
                "only tokens that are bound to a key are taken, with proofs (`dpop`)",
            );
        }
        (None, Some(_)) => {
            return place.say(
                Way::Wider,
                "tokens that are bound to a key are taken, with proofs (`dpop`)",
            );
        }
        (Some(old), None) if old.required => {
            return place.say(
                Way::May,
                "tokens need no proofs any more, and bound ones are not taken (`dpop`)",
            );
        }
        (Some(_), None) => {
            return place.say(
                Way::Narrower,
                "tokens that are bound to a key are not taken any more (`dpop`)",
            );
        }
        (Some(old), Some(new)) => (old, new),
    };
    proofs(old, new, place);
}

fn proofs(old: &DpopSettings, new: &DpopSettings, place: &mut Place<'_>) {
    match (old.required, new.required) {
        (false, true) => place.say(
            Way::Narrower,
            "tokens must be bound to a key (`dpop: require`)",
        ),
        (true, false) => place.say(
            Way::Wider,
            "tokens need not be bound to a key any more (`dpop: accept`)",
        ),
        _ => {}
    }
    match (old.nonce, new.nonce) {
        (false, true) => place.say(
            Way::Narrower,
            "proofs must have a nonce of ours (`dpop.nonce`)",
        ),
        (true, false) => place.say(Way::Wider, "proofs need no nonce any more (`dpop.nonce`)"),
        _ => {}
    }
    place.lists(
        &old.algorithms,
        &new.algorithms,
        |own: &Algorithm| own.name().to_owned(),
        (
            Way::Wider,
            "proofs signed by {} are taken (`dpop.algorithms`)",
        ),
        (
            Way::Narrower,
            "proofs signed by {} are not taken any more (`dpop.algorithms`)",
        ),
    );
    let show = |span: &std::time::Duration| show_duration(*span);
    place.amount(
        &old.lifetime,
        &new.lifetime,
        show,
        WIDER,
        "proofs are good for (`dpop.lifetime`)",
    );
}

/// Where keys come from: what they will be then, nobody knows here.
fn keys(old: &KeySourceSettings, new: &KeySourceSettings, place: &mut Place<'_>) {
    if old.source != new.source {
        let words = match (&old.source, &new.source) {
            (KeySource::Inline(_), KeySource::Inline(_)) => "other keys are pinned".to_owned(),
            _ => format!(
                "keys come from {} (before: {})",
                show::keys(&new.source),
                show::keys(&old.source)
            ),
        };
        place.say(Way::May, words);
    }
    match (old.allow_http, new.allow_http) {
        (false, true) => place.say(
            Way::MayWiden,
            "keys may come over plain http, where others can replace them (`allow_http`)",
        ),
        (true, false) => place.say(Way::MayNarrow, "keys come over https alone"),
        _ => {}
    }
    let ca = |own: &KeySourceSettings| own.ca.as_ref().map(|pem| pem.expose().to_vec());
    if ca(old) != ca(new) {
        place.say(
            Way::May,
            "the source of keys is checked with other certificates (`ca`)",
        );
    }
    let show = |span: &std::time::Duration| show_duration(*span);
    let stale = "keys that cannot be refreshed serve for (`max_stale`)";
    place.amount(&old.max_stale, &new.max_stale, show, MAY_WIDEN, stale);
    let refresh = "a withdrawn key may serve for (`refresh`)";
    place.amount(&old.refresh, &new.refresh, show, MAY_WIDEN, refresh);
    let ceiling = "a withdrawn key may serve, where its source says so, for (`refresh_ceiling`)";
    place.amount(
        &old.refresh_ceiling,
        &new.refresh_ceiling,
        show,
        MAY_WIDEN,
        ceiling,
    );
}

fn review(old: &ReviewSettings, new: &ReviewSettings, place: &mut Place<'_>) {
    if !old.same_reviewer(new) {
        let shown = |own: &ReviewSettings| {
            let (kind, place) = own.endpoint.describe();
            place.unwrap_or_else(|| kind.to_owned())
        };
        place.say(
            Way::May,
            format!(
                "{} is asked about tokens, in this way (before: {})",
                shown(new),
                shown(old)
            ),
        );
    }
    let show = |span: &std::time::Duration| show_duration(*span);
    let cache = "a revoked token may pass for (`max_cache`)";
    place.amount(&old.max_cache, &new.max_cache, show, MAY_WIDEN, cache);
}
