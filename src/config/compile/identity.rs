//! `identity`.

use std::path::Path;
use std::sync::Arc;

use super::Scope;
use crate::config::Code;
use crate::config::Secret;
use crate::config::node::{Node, Value};
use crate::config::scalar;
use crate::config::schema::{ASSERTION, IDENTITY, SIGNATURE, SIGNING_KEY};
use crate::config::view::View;
use crate::identity::{
    AssertionSettings, Binding, HeaderSettings, IdentitySettings, KeySettings, SignatureSettings,
    SigningAlgorithm, SigningKeys, Source,
};
use crate::listener::ListenerSettings;
use crate::upstream::UpstreamAddress;

/// How the caller is vouched for.
pub(super) fn compile(
    root: &View<'_>,
    listeners: &[ListenerSettings],
    scope: &mut Scope<'_>,
) -> IdentitySettings {
    let Some(view) = root.sub_if("identity", &IDENTITY) else {
        return IdentitySettings {
            headers: Vec::new(),
            assertion: None,
            signature: None,
        };
    };
    let local = listeners
        .iter()
        .all(|listener| listener.upstream.address.is_local());
    let headers = headers(&view, scope);
    let assertion = view
        .sub_if("assertion", &ASSERTION)
        .and_then(|view| assertion(&view, local, scope));
    let signature = view
        .sub_if("signature", &SIGNATURE)
        .and_then(|view| signature(&view, local, listeners, scope));
    if let Some(assertion) = &assertion
        && headers.iter().any(|header| header.name == assertion.header)
    {
        scope.report.error(
            view.place("assertion"),
            format!("`{}` is one of `headers` already", assertion.header),
        );
    }
    if headers.is_empty() && !view.has("assertion") && !view.has("signature") {
        scope.report.error_try(
            view.at(),
            "vouches for nothing",
            "one of: headers, assertion, signature; or remove `identity`",
        );
    }
    IdentitySettings {
        headers,
        assertion,
        signature,
    }
}

fn headers(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<HeaderSettings> {
    let mut out: Vec<HeaderSettings> = Vec::new();
    for entry in view.get("headers").map(Node::entries).unwrap_or_default() {
        let Ok(name) = scalar::header_name(&entry.key) else {
            continue;
        };
        let node = &entry.value;
        let source = match node.text().map(Source::parse) {
            Some(Ok(source)) => source,
            Some(Err(error)) => {
                const WORDS: [&str; 9] = [
                    "subject",
                    "issuer",
                    "client",
                    "caller",
                    "account",
                    "scopes",
                    "roles",
                    "groups",
                    "actor.subject",
                ];
                let meant =
                    crate::config::suggest::did_you_mean(node.text().unwrap_or_default(), WORDS);
                scope.report.error_maybe(&node.at, error.to_string(), meant);
                continue;
            }
            None => continue,
        };
        if out.iter().any(|header| header.name == name) {
            scope.report.find(
                Code::Ambiguous,
                &entry.key_at,
                format!("`{}` is given twice; header names have no case", entry.key),
            );
        }
        out.push(HeaderSettings { name, source });
    }
    out
}

fn assertion(view: &View<'_>, local: bool, scope: &mut Scope<'_>) -> Option<AssertionSettings> {
    let bind = binding(view);
    if !view.has("bind") && !local {
        scope.report.find_try(
            Code::MissingKey,
            view.at(),
            "`bind` must be written: the upstream is not on loopback, so what is sent can be read and sent again",
            "bind: [method, target, authority], or `bind: none`",
        );
    }
    let key = key(view, local, scope);
    Some(AssertionSettings {
        header: scalar::header_name(view.text("header")?).ok()?,
        key: key?,
        issuer: view.text("issuer")?.to_owned(),
        audience: view.text("audience")?.to_owned(),
        lifetime: view.span("lifetime"),
        bind,
        overlap: overlap(view, scope),
    })
}

/// A key must stay published for as long as what it signed lives.
fn overlap(view: &View<'_>, scope: &mut Scope<'_>) -> std::time::Duration {
    let overlap = view.span("overlap");
    if overlap < view.span("lifetime") {
        scope.report.error(
            view.place("overlap"),
            "must not be less than `lifetime`, or what a replaced key signed cannot be verified",
        );
    }
    overlap
}

fn binding(view: &View<'_>) -> Binding {
    let words = view.texts("bind");
    let has = |word: &str| words.iter().any(|found| found == word);
    Binding {
        method: has("method"),
        target: has("target"),
        authority: has("authority"),
    }
}

fn signature(
    view: &View<'_>,
    local: bool,
    listeners: &[ListenerSettings],
    scope: &mut Scope<'_>,
) -> Option<SignatureSettings> {
    let is_https = |listener: &ListenerSettings| {
        matches!(listener.upstream.address, UpstreamAddress::Https { .. })
    };
    let https = listeners.iter().any(is_https);
    if https && !listeners.iter().all(is_https) {
        scope.report.error(
            view.at(),
            "signatures cover the scheme's default port, so upstreams must be all https or none",
        );
    }
    let key = key(view, local, scope);
    Some(SignatureSettings {
        key: key?,
        lifetime: view.span("lifetime"),
        overlap: overlap(view, scope),
        https,
    })
}

/// The key that signs. One that is generated is good only where nobody else could have answered for the upstream.
fn key(view: &View<'_>, local: bool, scope: &mut Scope<'_>) -> Option<KeySettings> {
    let algorithm = view.text("algorithm").and_then(SigningAlgorithm::parse);
    let Some(node) = view.get("key") else {
        if !local {
            scope.report.find_try(
                Code::MissingKey,
                view.at(),
                "`key` is missing: a generated key is for loopback and Unix upstreams only",
                "key: {file: /etc/countersign/assertion.pem}; `countersign keygen` makes one",
            );
            return None;
        }
        if algorithm == Some(SigningAlgorithm::Hs256) {
            scope.report.error(
                view.place("algorithm"),
                "a shared secret cannot be generated: nobody else would know it",
            );
        }
        return Some(KeySettings::Generated);
    };
    configured(node, algorithm, scope).map(|keys| KeySettings::Configured(Arc::new(keys)))
}

/// The keys that `key` names.
pub(super) fn configured(
    node: &Node,
    algorithm: Option<SigningAlgorithm>,
    scope: &mut Scope<'_>,
) -> Option<SigningKeys> {
    let secret = secret(node, scope)?;
    match SigningKeys::parse(&secret, algorithm) {
        Ok(keys) => Some(keys),
        Err(error) => {
            let what = secret.file().map_or_else(
                || "the secret".to_owned(),
                |file| file.display().to_string(),
            );
            scope.report.find_try(
                Code::File,
                &node.at,
                format!("{what} {error}"),
                "`countersign keygen` makes a key that fits",
            );
            None
        }
    }
}

fn secret(node: &Node, scope: &mut Scope<'_>) -> Option<Secret> {
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let view = View::new(node, &SIGNING_KEY);
    match (view.text("file"), view.text("secret")) {
        (Some(path), None) => scope
            .files
            .secret(Path::new(path), view.place("file"), scope.report),
        (None, Some(secret)) => Some(Secret::new(secret.as_bytes().to_vec(), None)),
        (Some(_), Some(_)) | (None, None) => {
            scope
                .report
                .error(&node.at, "takes one of `file` and `secret`");
            None
        }
    }
}
