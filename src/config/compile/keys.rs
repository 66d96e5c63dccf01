//! `jwks` of an issuer.

use std::path::Path;
use std::time::Duration;

use super::{Scope, tls};
use crate::authn::KeySet;
use crate::config::Code;
use crate::config::node::{Node, Value};
use crate::config::problem::Place;
use crate::config::scalar;
use crate::config::view::View;
use crate::jwks::{KeySource, KeySourceSettings};

/// A `max_stale` beyond this outlasts more than a long weekend: keys that the issuer withdrew go on counting meanwhile.
const LONG: Duration = Duration::from_secs(4 * 24 * 60 * 60);

/// Where the keys of an issuer come from.
pub(super) fn compile(
    view: &View<'_>,
    issuers: &[String],
    scope: &mut Scope<'_>,
) -> Option<KeySourceSettings> {
    let sources: Vec<&str> = ["discover", "url", "file", "inline"]
        .into_iter()
        .filter(|key| view.has(key))
        .collect();
    let source = match sources.as_slice() {
        [] => {
            scope.report.find_try(
                Code::MissingKey,
                view.at(),
                "names no source of keys",
                "one of: discover: true, url, file, inline",
            );
            None
        }
        [one] => source(view, one, issuers, scope),
        several => {
            scope.report.error_try(
                view.at(),
                format!("names several sources of keys: {}", several.join(", ")),
                "keep one; an issuer's keys come from one place",
            );
            None
        }
    };
    consistent(view, !sources.is_empty(), scope);
    let cache = view
        .text("cache")
        .map(|path| scope.files.resolve(Path::new(path)));
    Some(KeySourceSettings {
        refresh: view.span("refresh"),
        refresh_floor: view.span("refresh_floor"),
        refresh_ceiling: view.span("refresh_ceiling"),
        cooldown: view.span("cooldown"),
        max_stale: view.span("max_stale"),
        cache,
        timeout: view.span("timeout"),
        ca: tls::ca(view, "ca", scope),
        allow_http: view.flag("allow_http"),
        source: source?,
    })
}

/// Settings that fit together, and the source of the keys.
fn consistent(view: &View<'_>, sourced: bool, scope: &mut Scope<'_>) {
    let network = view.has("discover") || view.has("url");
    if view.span("refresh_floor") > view.span("refresh_ceiling") {
        scope.report.error(
            view.place("refresh_floor"),
            "must not be more than `refresh_ceiling`",
        );
    }
    for key in [
        "refresh",
        "refresh_floor",
        "refresh_ceiling",
        "cooldown",
        "max_stale",
        "cache",
        "timeout",
        "ca",
        "allow_http",
    ] {
        if view.has(key) && !network && sourced {
            scope.report.error_try(
                view.place(key),
                format!("`{key}` is for keys over the network; these are pinned"),
                "remove it, or write `url` or `discover`",
            );
        }
    }
    if network && view.span("max_stale") > LONG {
        let shown = scalar::show_duration(view.span("max_stale"));
        scope.report.find(
            Code::StaleKeys,
            view.place("max_stale"),
            format!(
                "while the issuer is out of reach, keys that it withdrew count for another {shown}"
            ),
        );
    }
    if view.duration("refresh") > view.duration("max_stale") {
        scope.report.error(
            view.place("max_stale"),
            "must not be less than `refresh`, or keys go stale between two refreshes",
        );
    }
}

fn source(
    view: &View<'_>,
    key: &str,
    issuers: &[String],
    scope: &mut Scope<'_>,
) -> Option<KeySource> {
    let node = view.get(key)?;
    match key {
        "discover" => discover(view, node, issuers, scope),
        "url" => {
            let url = node.text()?;
            plain_http(view, url, node, scope);
            Some(KeySource::Url(url.to_owned()))
        }
        "file" => {
            let path = Path::new(node.text()?);
            let bytes = scope.files.read(path, &node.at, scope.report)?;
            key_set(&bytes, &node.at, scope);
            Some(KeySource::File(scope.files.resolve(path)))
        }
        _ => {
            let text = match &node.value {
                Value::Map(_) => node.to_json().to_string(),
                Value::Scalar(_) | Value::List(_) => node.text()?.to_owned(),
            };
            key_set(text.as_bytes(), &node.at, scope);
            Some(KeySource::Inline(text))
        }
    }
}

fn discover(
    view: &View<'_>,
    node: &Node,
    issuers: &[String],
    scope: &mut Scope<'_>,
) -> Option<KeySource> {
    if node.flag() != Some(true) {
        scope.report.find_try(
            Code::Value,
            &node.at,
            "`discover` is `true` or not there",
            "name `url`, `file` or `inline` instead",
        );
        return None;
    }
    // The document's `issuer` must equal ours, so of several names the first is where it is looked for.
    let issuer = issuers.first()?;
    if let Err(reason) = scalar::web_url(issuer) {
        scope.report.error_try(
            &node.at,
            format!("discovery starts at the issuer, and {reason}"),
            "name `url`, `file` or `inline` instead",
        );
        return None;
    }
    plain_http(view, issuer, node, scope);
    Some(KeySource::Discover {
        issuer: issuer.clone(),
    })
}

fn plain_http(view: &View<'_>, url: &str, node: &Node, scope: &mut Scope<'_>) {
    if url.starts_with("http:") && !view.flag("allow_http") {
        scope.report.find_try(
            Code::PlainHttp,
            &node.at,
            "keys over plain http: whoever can change an answer on the way can forge tokens",
            "write https://, or `allow_http: true` where the network is trusted",
        );
    }
}

/// Pinned keys are tried at load: junk is found before a token is.
fn key_set(document: &[u8], at: &Place, scope: &mut Scope<'_>) {
    match KeySet::parse(document) {
        Ok((_, skipped)) => {
            if has_private(document) {
                scope.report.find_try(
                    Code::PrivateKeyShown,
                    at,
                    "has a private key in it: whoever reads it can forge tokens",
                    "keep only the public members of each key, and replace a key that was shown",
                );
            }
            for key in skipped {
                let kid = key.kid.unwrap_or_else(|| "without kid".to_owned());
                scope.report.find_try(
                    Code::KeyLeftOut,
                    at,
                    format!("the key `{kid}` is left out: {}", key.reason),
                    "remove it from the set",
                );
            }
        }
        Err(error) => scope.report.find(
            Code::File,
            at,
            format!("is not usable as a key set: {error}"),
        ),
    }
}

/// Members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
fn has_private(document: &[u8]) -> bool {
    let Ok(set) = serde_json::from_slice::<serde_json::Value>(document) else {
        return false;
    };
    let keys = set.get("keys").and_then(serde_json::Value::as_array);
    keys.into_iter()
        .flatten()
        .any(|key| key.get("d").is_some() || key.get("k").is_some())
}
