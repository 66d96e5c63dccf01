//! Where requests come in and where they go.

use super::{Line, Place, Way};
use crate::cli::show;
use crate::config::{Config, Secret};
use crate::listener::{Explain, Limits, ListenAddress, ListenerSettings, TlsSettings};
use crate::proxy::{CorsSettings, Preflight};

/// A listener before and now.
pub(super) type Pair<'c> = (Option<&'c ListenerSettings>, Option<&'c ListenerSettings>);

/// Inbound listeners that take each other's places: of one name, or the only ones.
pub(super) fn pairs<'c>(old: &'c Config, new: &'c Config) -> Vec<Pair<'c>> {
    let inbound = |config: &'c Config| -> Vec<&'c ListenerSettings> {
        let all = config.listeners.iter();
        all.filter(|own| own.outbound.is_none()).collect()
    };
    by_name(&inbound(old), &inbound(new))
}

pub(super) fn by_name<'c>(
    old: &[&'c ListenerSettings],
    new: &[&'c ListenerSettings],
) -> Vec<Pair<'c>> {
    if let ([one], [other]) = (old, new) {
        return vec![(Some(one), Some(other))];
    }
    let named = |all: &[&'c ListenerSettings], name: &str| {
        all.iter().find(|own| *own.name == *name).copied()
    };
    let ours = old.iter().map(|own| (Some(*own), named(new, &own.name)));
    let theirs = new.iter().filter(|own| named(old, &own.name).is_none());
    ours.chain(theirs.map(|own| (None, Some(*own)))).collect()
}

pub(super) fn compare(pairs: &[Pair<'_>], lines: &mut Vec<Line>) {
    for pair in pairs {
        match pair {
            (Some(old), Some(new)) => {
                let mut place = Place::new(format!("inbound.{}", new.name), lines);
                if old.name != new.name {
                    place.say(Way::Note, format!("was called {}", old.name));
                }
                both(old, new, &mut place);
            }
            (None, Some(new)) => {
                let mut place = Place::new(format!("inbound.{}", new.name), lines);
                let words = format!("is a new listener, on {}", show::listen(&new.listen));
                place.say(Way::Note, words);
                explains(Explain::Never, new.explain, &mut place);
            }
            (Some(old), None) => Place::new(format!("inbound.{}", old.name), lines)
                .say(Way::Note, "is not there any more"),
            (None, None) => {}
        }
    }
}

/// What inbound and outbound listeners have in common.
pub(super) fn both(old: &ListenerSettings, new: &ListenerSettings, place: &mut Place<'_>) {
    listens(&old.listen, &new.listen, place);
    if old.upstream.address != new.upstream.address {
        place.say(
            Way::Identity,
            format!(
                "requests go to {} (before: {})",
                show::upstream(&new.upstream.address),
                show::upstream(&old.upstream.address)
            ),
        );
    } else if !old.upstream.is_same(&new.upstream) {
        place.say(
            Way::Identity,
            "the upstream is checked with other certificates, or sees another one of ours",
        );
    }
    place.lists(
        &old.trusted_proxies,
        &new.trusted_proxies,
        ToString::to_string,
        (
            Way::MayWiden,
            "peers in {} may say whose request it is (`trusted_proxies`)",
        ),
        (
            Way::MayNarrow,
            "peers in {} are not believed any more (`trusted_proxies`)",
        ),
    );
    tls(old.tls.as_ref(), new.tls.as_ref(), place);
    cors(old.cors.as_ref(), new.cors.as_ref(), place);
    let origins = |own: &ListenerSettings| own.origins().map(str::to_owned).collect::<Vec<_>>();
    place.lists(
        &origins(old),
        &origins(new),
        String::clone,
        (Way::Wider, "proofs for {} are taken (`external_url`)"),
        (
            Way::Narrower,
            "proofs for {} are not taken any more (`external_url`)",
        ),
    );
    if old.resource_metadata != new.resource_metadata {
        place.say(
            Way::Note,
            "tells other things of itself (`resource_metadata`)",
        );
    }
    explains(old.explain, new.explain, place);
    limits(&old.limits, &new.limits, place);
    if old.timeouts != new.timeouts {
        place.say(Way::Note, "waits for other times (`timeouts`)");
    }
}

/// Who is told policy, and what it made of a token. Nothing passes for that; who reads it knows what to try.
fn explains(old: Explain, new: Explain, place: &mut Place<'_>) {
    let way = if new > old { Way::MayWiden } else { Way::Note };
    let words = match new {
        _ if old == new => return,
        Explain::Anywhere => "answers tell policy to whoever connects (`explain`)",
        Explain::Near => "answers tell policy to whoever connects on this machine (`explain`)",
        Explain::Never => "answers do not tell policy any more (`explain`)",
    };
    place.say(way, words);
}

/// Where requests can come from at all.
pub(super) fn listens(old: &ListenAddress, new: &ListenAddress, place: &mut Place<'_>) {
    if old == new {
        return;
    }
    let local = |address: &ListenAddress| match address {
        ListenAddress::Tcp(address) => address.ip().is_loopback(),
        ListenAddress::Unix(_) => true,
    };
    let way = match (local(old), local(new)) {
        (true, false) => Way::MayWiden,
        (false, true) => Way::MayNarrow,
        _ => Way::Note,
    };
    place.say(
        way,
        format!(
            "listens on {} (before: {})",
            show::listen(new),
            show::listen(old)
        ),
    );
}

fn tls(old: Option<&TlsSettings>, new: Option<&TlsSettings>, place: &mut Place<'_>) {
    let (old, new) = match (old, new) {
        (None, None) => return,
        (None, Some(_)) => return place.say(Way::MayNarrow, "callers must speak TLS"),
        (Some(_), None) => {
            return place.say(
                Way::MayWiden,
                "callers speak without TLS: others may read their tokens",
            );
        }
        (Some(old), Some(new)) => (old, new),
    };
    let bytes = |own: &TlsSettings| {
        own.client_ca
            .as_ref()
            .map(|pem: &Secret| pem.expose().to_vec())
    };
    match (bytes(old), bytes(new)) {
        (old, new) if old == new => {}
        (None, Some(_)) => place.say(Way::May, "client certificates are asked for (`client_ca`)"),
        (Some(_), None) => place.say(
            Way::May,
            "client certificates are not asked for any more (`client_ca`)",
        ),
        _ => place.say(
            Way::May,
            "client certificates are checked with other ones (`client_ca`)",
        ),
    }
    match (
        old.client_certificate_required,
        new.client_certificate_required,
    ) {
        (false, true) => place.say(Way::Narrower, "callers must have a client certificate"),
        (true, false) => place.say(Way::Wider, "callers need no client certificate any more"),
        _ => {}
    }
}

/// What browsers may do: what passes of preflights is compared with policy.
fn cors(old: Option<&CorsSettings>, new: Option<&CorsSettings>, place: &mut Place<'_>) {
    let origins =
        |own: Option<&CorsSettings>| own.map(|own| own.origins.clone()).unwrap_or_default();
    place.lists(
        &origins(old),
        &origins(new),
        String::clone,
        (
            Way::MayWiden,
            "pages of {} may call, and read refusals (`cors`)",
        ),
        (Way::MayNarrow, "pages of {} may not call any more (`cors`)"),
    );
    let credentials = |own: Option<&CorsSettings>| own.is_some_and(|own| own.credentials);
    match (credentials(old), credentials(new)) {
        (false, true) => place.say(Way::MayWiden, "pages may send cookies (`cors.credentials`)"),
        (true, false) => place.say(
            Way::MayNarrow,
            "pages may not send cookies any more (`cors.credentials`)",
        ),
        _ => {}
    }
    let answers = |own: Option<&CorsSettings>| {
        own.filter(|own| own.preflight == Preflight::Answer)
            .map(|own| (own.headers.clone(), own.expose.clone(), own.max_age))
    };
    if answers(old) != answers(new) {
        place.say(Way::May, "preflights are answered otherwise (`cors`)");
    }
}

fn limits(old: &Limits, new: &Limits, place: &mut Place<'_>) {
    let ways = (Way::MayWiden, Way::MayNarrow);
    let numbers = [
        ("header_bytes", old.header_bytes, new.header_bytes),
        ("headers", old.headers, new.headers),
        ("target_bytes", old.target_bytes, new.target_bytes),
        ("token_bytes", old.token_bytes, new.token_bytes),
        ("connections", old.connections, new.connections),
        (
            "requests_in_flight",
            old.requests_in_flight,
            new.requests_in_flight,
        ),
    ];
    for (name, old, new) in numbers {
        place.amount(
            &old,
            &new,
            ToString::to_string,
            ways,
            &format!("`limits.{name}`"),
        );
    }
    place.amount(
        &old.streams,
        &new.streams,
        ToString::to_string,
        ways,
        "`limits.streams`",
    );
    let per_address = (old.connections_per_address, new.connections_per_address);
    capped(per_address, "`limits.connections_per_address`", place);
    capped(
        (old.body_bytes, new.body_bytes),
        "`limits.body_bytes`",
        place,
    );
}

/// A cap, where there is one.
pub(super) fn capped<T: Ord + Copy + ToString>(
    (old, new): (Option<T>, Option<T>),
    what: &str,
    place: &mut Place<'_>,
) {
    let show = |own: &Option<T>| own.map_or_else(|| "none".to_owned(), |own| own.to_string());
    // No cap is the highest.
    let higher = match (old, new) {
        (old, new) if old == new => return,
        (_, None) => true,
        (None, _) => false,
        (old, new) => new > old,
    };
    let way = if higher {
        Way::MayWiden
    } else {
        Way::MayNarrow
    };
    place.say(
        way,
        format!("{what}: {} (before: {})", show(&new), show(&old)),
    );
}
