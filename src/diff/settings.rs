//! Identity, outbound listeners, and what is open to others than callers.

use std::sync::Arc;

use super::{Line, Place, Way, listeners};
use crate::admin::{Probe, ProbesSettings};
use crate::authz::PathPattern;
use crate::config::{Config, show_duration};
use crate::credential::CredentialSettings;
use crate::identity::{AssertionSettings, Binding, HeaderSettings, KeySettings};
use crate::listener::{ListenAddress, ListenerSettings, OutboundSettings};

pub(super) fn compare(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    identity(old, new, lines);
    outbound(old, new, lines);
    credentials(old, new, lines);
    admin(old, new, lines);
    receipts(old, new, lines);
}

/// What is logged changes no decision; whether a change of the log would be noticed is worth a look.
fn receipts(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let words = match (&old.log.receipts, &new.log.receipts) {
        (None, Some(_)) => "lines of the log are chained and sealed",
        (Some(_), None) => {
            "lines of the log are not sealed any more: who removes or alters some is not noticed"
        }
        _ => return,
    };
    Place::new("log.receipts", lines).say(Way::Note, words);
}

fn identity(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let (old, new) = (&old.identity, &new.identity);
    let mut place = Place::new("identity.headers", lines);
    headers(&old.headers, &new.headers, &mut place);
    let mut place = Place::new("identity.assertion", lines);
    match (&old.assertion, &new.assertion) {
        (None, None) => {}
        (None, Some(_)) => place.say(Way::Identity, "the upstream gets a signed assertion"),
        (Some(_), None) => place.say(
            Way::Identity,
            "the upstream gets no signed assertion any more",
        ),
        (Some(old), Some(new)) => assertion(old, new, &mut place),
    }
    let mut place = Place::new("identity.signature", lines);
    match (&old.signature, &new.signature) {
        (None, None) => {}
        (None, Some(_)) => place.say(Way::Identity, "requests are signed"),
        (Some(_), None) => place.say(Way::Identity, "requests are not signed any more"),
        (Some(old), Some(new)) => {
            if key(&old.key) != key(&new.key) {
                place.say(Way::Identity, "another key signs");
            }
            let show = |span: &std::time::Duration| show_duration(*span);
            let ways = (Way::MayWiden, Way::MayNarrow);
            place.amount(
                &old.lifetime,
                &new.lifetime,
                show,
                ways,
                "signatures are good for",
            );
        }
    }
}

fn headers(old: &[HeaderSettings], new: &[HeaderSettings], place: &mut Place<'_>) {
    let source = |all: &[HeaderSettings], own: &HeaderSettings| {
        let same = all.iter().find(|other| other.name == own.name);
        same.map(|own| own.source.clone())
    };
    for own in new {
        let (name, now) = (&own.name, &own.source);
        let words = match source(old, own) {
            None => format!("the upstream is told {name}: {now}"),
            Some(before) if before != *now => {
                format!("the upstream is told {name}: {now} (before: {before})")
            }
            Some(_) => continue,
        };
        place.say(Way::Identity, words);
    }
    for own in old.iter().filter(|own| source(new, own).is_none()) {
        let words = format!("the upstream is not told {} any more", own.name);
        place.say(Way::Identity, words);
    }
}

fn assertion(old: &AssertionSettings, new: &AssertionSettings, place: &mut Place<'_>) {
    if key(&old.key) != key(&new.key) {
        place.say(Way::Identity, "another key signs");
    }
    let texts = [
        ("is in the header", old.header.as_str(), new.header.as_str()),
        ("says `iss`", &old.issuer, &new.issuer),
        ("says `aud`", &old.audience, &new.audience),
    ];
    for (what, old, new) in texts {
        if old != new {
            place.say(Way::Identity, format!("{what} {new} (before: {old})"));
        }
    }
    let ways = (Way::MayWiden, Way::MayNarrow);
    let show = |span: &std::time::Duration| show_duration(*span);
    place.amount(
        &old.lifetime,
        &new.lifetime,
        show,
        ways,
        "is good for (`lifetime`)",
    );
    place.lists(
        &bound(old.bind),
        &bound(new.bind),
        |own| (*own).to_owned(),
        (Way::MayNarrow, "is good for one {} alone (`bind`)"),
        (Way::MayWiden, "is good for any {} (`bind`)"),
    );
}

fn bound(own: Binding) -> Vec<&'static str> {
    let all = [
        (own.method, "method"),
        (own.target, "target"),
        (own.authority, "authority"),
    ];
    all.into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, word)| word)
        .collect()
}

/// What tells keys apart that nobody may see.
fn key(own: &KeySettings) -> Option<String> {
    match own {
        KeySettings::Generated => None,
        KeySettings::Configured(keys) => Some(keys.current().id().to_owned()),
    }
}

fn outbound(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let all = |config: &'_ Config| -> Vec<ListenerSettings> {
        let own = config.listeners.iter().filter(|own| own.outbound.is_some());
        own.cloned().collect()
    };
    let (old, new) = (all(old), all(new));
    let (old, new): (Vec<_>, Vec<_>) = (old.iter().collect(), new.iter().collect());
    for (old, new) in listeners::by_name(&old, &new) {
        let name = new
            .or(old)
            .map(|own| Arc::clone(&own.name))
            .unwrap_or_default();
        let mut place = Place::new(format!("outbound.{name}"), lines);
        match (old, new) {
            (Some(old), Some(new)) => {
                listeners::both(old, new, &mut place);
                if let (Some(old), Some(new)) = (&old.outbound, &new.outbound) {
                    attaches(old, new, &mut place);
                }
            }
            (None, Some(_)) => place.say(Way::Wider, "programs here may call through it"),
            (Some(_), None) => place.say(Way::Narrower, "is not there any more"),
            (None, None) => {}
        }
    }
}

fn attaches(old: &OutboundSettings, new: &OutboundSettings, place: &mut Place<'_>) {
    match (old.reach.paths(), new.reach.paths()) {
        (Some(old), Some(new)) => place.lists(
            old,
            new,
            PathPattern::to_string,
            (Way::Wider, "{} is within reach (`paths`)"),
            (Way::Narrower, "{} is out of reach (`paths`)"),
        ),
        (Some(_), None) => place.say(
            Way::Wider,
            "the whole upstream is within reach (no `paths`)",
        ),
        (None, Some(_)) => place.say(Way::Narrower, "only `paths` are within reach"),
        (None, None) => {}
    }
    if old.credential != new.credential {
        place.say(
            Way::Identity,
            format!(
                "calls with the token of {} (before: {})",
                new.credential, old.credential
            ),
        );
    }
    if !old.reach.answers_like(&new.reach) {
        place.say(
            Way::May,
            "answers under other hosts, or treats callers' own tokens otherwise",
        );
    }
}

/// What is asked for in our name; how we show who we are is not compared.
fn credentials(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let asked = |own: &CredentialSettings| {
        (
            own.endpoint.clone(),
            own.client_id.clone(),
            own.scopes.clone(),
            own.audience.clone(),
            own.resources.clone(),
            own.dpop.is_some(),
        )
    };
    for credential in &new.credentials {
        let before = old
            .credentials
            .iter()
            .find(|own| own.name == credential.name);
        let mut place = Place::new(format!("credentials.{}", credential.name), lines);
        match before {
            None => place.say(Way::Note, "is a new credential"),
            Some(before) => {
                if asked(before) != asked(credential) {
                    place.say(Way::Identity, "asks for other tokens, or elsewhere");
                }
                if !before.allow_http && credential.allow_http {
                    let words = "may be asked for over plain http (`allow_http`)";
                    place.say(Way::MayWiden, words);
                }
            }
        }
    }
}

fn admin(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let mut place = Place::new("admin", lines);
    listeners::listens(
        &ListenAddress::Tcp(old.admin.listen),
        &ListenAddress::Tcp(new.admin.listen),
        &mut place,
    );
    let mut place = Place::new("probes", lines);
    if let (Some(old), Some(new)) = (&old.probes, &new.probes) {
        listeners::listens(
            &ListenAddress::Tcp(old.listen),
            &ListenAddress::Tcp(new.listen),
            &mut place,
        );
    }
    let serves = |own: Option<&ProbesSettings>| -> Vec<Probe> {
        own.map(|own| own.serve.clone()).unwrap_or_default()
    };
    place.lists(
        &serves(old.probes.as_ref()),
        &serves(new.probes.as_ref()),
        |own| format!("{own:?}").to_ascii_lowercase(),
        (Way::MayWiden, "serves {} to whoever reaches it"),
        (Way::MayNarrow, "does not serve {} any more"),
    );
}
