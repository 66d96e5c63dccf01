//! `credentials`.

use std::path::Path;
use std::sync::Arc;

use super::{Scope, tls};
use crate::config::Code;
use crate::config::Secret;
use crate::config::node::{Entry, Node, Value};
use crate::config::schema::{
    CLIENT_ASSERTION, CLIENT_AUTHENTICATION, CLIENT_SECRET, CREDENTIAL, CREDENTIAL_DPOP,
    PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, TOKEN_ENDPOINT,
};
use crate::config::view::View;
use crate::credential::{
    ClientAlgorithm, ClientAuthentication, ClientKey, ClientSecret, CredentialSettings, ProofKey,
    ProofKeySettings, TokenEndpoint,
};
use crate::identity::SigningAlgorithm;

/// All credentials.
pub(super) fn compile(root: &View<'_>, scope: &mut Scope<'_>) -> Vec<CredentialSettings> {
    let entries = root
        .get("credentials")
        .map(Node::entries)
        .unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| credential(entry, scope))
        .collect()
}

fn credential(entry: &Entry, scope: &mut Scope<'_>) -> Option<CredentialSettings> {
    if !matches!(entry.value.value, Value::Map(_)) {
        return None;
    }
    let view = View::new(&entry.value, &CREDENTIAL);
    let endpoint = endpoint(&view, scope);
    let dpop = view
        .sub_if("dpop", &CREDENTIAL_DPOP)
        .map(|view| dpop(&view, scope));
    let authentication = view
        .sub_if("client_authentication", &CLIENT_AUTHENTICATION)
        .and_then(|view| authentication(&view, scope));
    client_id(&view, scope);
    for node in view.items("resource") {
        resource(node, scope);
    }
    let ca = tls::ca(&view, "ca", scope);
    Some(CredentialSettings {
        name: Arc::from(entry.key.as_str()),
        endpoint: endpoint?,
        client_id: view.text("client_id").map(str::to_owned),
        authentication: authentication?,
        scopes: view.texts("scopes"),
        audience: view.text("audience").map(str::to_owned),
        resources: view.texts("resource"),
        dpop: match dpop {
            Some(dpop) => Some(dpop?),
            None => None,
        },
        refresh_before: view.span("refresh_before"),
        timeout: view.span("timeout"),
        cooldown: view.span("cooldown"),
        ca,
        allow_http: view.flag("allow_http"),
    })
}

/// Only an assertion says by itself who we are.
pub(super) fn client_id(view: &View<'_>, scope: &mut Scope<'_>) {
    let by_assertion = view
        .get("client_authentication")
        .is_some_and(|node| node.get("client_assertion").is_some());
    if !view.has("client_id") && !by_assertion {
        scope
            .report
            .find(Code::MissingKey, view.at(), "`client_id` is missing");
    }
}

fn endpoint(credential: &View<'_>, scope: &mut Scope<'_>) -> Option<TokenEndpoint> {
    let view = credential.sub_if("token_endpoint", &TOKEN_ENDPOINT)?;
    let endpoint = match (view.text("discover"), view.text("url"), view.text("pair")) {
        (Some(issuer), None, None) => TokenEndpoint::Discover {
            issuer: issuer.to_owned(),
        },
        (None, Some(url), None) => TokenEndpoint::Url(url.to_owned()),
        (None, None, Some(resource)) => TokenEndpoint::Pair {
            resource: resource.to_owned(),
            issuers: view.texts("issuers"),
        },
        _ => {
            scope.report.error_try(
                view.at(),
                "takes one of `discover`, `url` and `pair`",
                "discover: the issuer's URL; url: the token endpoint's; pair: the resource's",
            );
            return None;
        }
    };
    if view.has("pair") != view.has("issuers") {
        scope.report.error_try(
            view.at(),
            "`pair` and `issuers` belong together",
            "issuers: [the authorization server that the resource may name]",
        );
    }
    let urls = ["discover", "url", "pair"]
        .into_iter()
        .filter_map(|key| view.get(key))
        .chain(view.items("issuers"));
    for node in urls {
        let plain = node
            .text()
            .is_some_and(|url| url.to_ascii_lowercase().starts_with("http:"));
        if plain && !credential.flag("allow_http") {
            scope.report.find_try(
                Code::PlainHttp,
                &node.at,
                "tokens over plain http: whoever listens on the way reads the secret and the tokens",
                "write https://, or `allow_http: true` where the network is trusted",
            );
        }
    }
    Some(endpoint)
}

/// RFC 8707 section 2: an absolute URI without a fragment.
fn resource(node: &Node, scope: &mut Scope<'_>) {
    let Some(text) = node.text() else { return };
    let absolute = reqwest::Url::parse(text).is_ok_and(|url| url.fragment().is_none());
    if !absolute {
        scope.report.find_try(
            Code::Value,
            &node.at,
            format!("{} is no absolute URI without a fragment", node.shown()),
            "such as https://usage.example.org (RFC 8707)",
        );
    }
}

/// `client_authentication`.
pub(super) fn authentication(
    view: &View<'_>,
    scope: &mut Scope<'_>,
) -> Option<ClientAuthentication> {
    let ways: Vec<&str> = CLIENT_AUTHENTICATION
        .names()
        .filter(|key| view.has(key))
        .collect();
    let [way] = ways.as_slice() else {
        scope.report.error_try(
            view.at(),
            if ways.is_empty() {
                "names no way of authenticating".to_owned()
            } else {
                format!("names several ways of authenticating: {}", ways.join(", "))
            },
            "one of: client_secret_basic, client_secret_post, private_key_jwt, client_assertion, tls_client_auth",
        );
        return None;
    };
    match *way {
        "client_secret_basic" => secret(view, way, scope).map(ClientAuthentication::SecretBasic),
        "client_secret_post" => secret(view, way, scope).map(ClientAuthentication::SecretPost),
        "private_key_jwt" => private_key(&view.sub_if(way, &PRIVATE_KEY_JWT)?, scope),
        "client_assertion" => assertion(&view.sub_if(way, &CLIENT_ASSERTION)?, scope),
        _ => {
            let view = view.sub_if(way, &TLS_CLIENT_AUTH)?;
            let (certificate, key) = tls::pair(&view, scope)?;
            Some(ClientAuthentication::Certificate { certificate, key })
        }
    }
}

/// A secret and what it is called in messages.
fn bytes(view: &View<'_>, key: &str, scope: &mut Scope<'_>) -> Option<(Secret, String)> {
    let node = view.get(key)?;
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let view = View::new(node, &CLIENT_SECRET);
    let secret = match (view.text("file"), view.text("secret")) {
        (Some(path), None) => {
            scope
                .files
                .secret(Path::new(path), view.place("file"), scope.report)?
        }
        (None, Some(secret)) => Secret::new(secret.as_bytes().to_vec(), None),
        (Some(_), Some(_)) | (None, None) => {
            scope
                .report
                .error(&node.at, "takes one of `file` and `secret`");
            return None;
        }
    };
    let what = secret.file().map_or_else(
        || "the secret".to_owned(),
        |file| file.display().to_string(),
    );
    Some((secret, what))
}

fn secret(view: &View<'_>, key: &str, scope: &mut Scope<'_>) -> Option<ClientSecret> {
    let (secret, what) = bytes(view, key, scope)?;
    match ClientSecret::new(&secret) {
        Ok(secret) => Some(secret),
        Err(reason) => {
            scope
                .report
                .find(Code::File, view.place(key), format!("{what} {reason}"));
            None
        }
    }
}

fn dpop(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ProofKeySettings> {
    let algorithm = view.text("algorithm").and_then(SigningAlgorithm::parse);
    let algorithm = algorithm.unwrap_or(SigningAlgorithm::Es256);
    if !view.has("key") {
        return Some(ProofKeySettings::Generated(algorithm));
    }
    let (secret, what) = bytes(view, "key", scope)?;
    match ProofKey::parse(&secret, Some(algorithm)) {
        Ok(key) => Some(ProofKeySettings::Configured(key)),
        Err(error) => {
            scope.report.find_try(
                Code::File,
                view.place("key"),
                format!("{what} {error}"),
                "`countersign keygen` makes a key that fits",
            );
            None
        }
    }
}

fn private_key(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ClientAuthentication> {
    let algorithm = view.text("algorithm").and_then(ClientAlgorithm::parse);
    let (kid, audience) = (view.text("kid"), view.text("audience"));
    let (secret, what) = bytes(view, "key", scope)?;
    match ClientKey::parse(&secret, algorithm) {
        Ok(key) => Some(ClientAuthentication::PrivateKey {
            key,
            kid: kid.map(str::to_owned),
            audience: audience.map(str::to_owned),
        }),
        Err(error) => {
            scope.report.find_try(
                Code::File,
                view.place("key"),
                format!("{what} {error}"),
                "`countersign keygen` makes a key that fits, and shows the half to register",
            );
            None
        }
    }
}

/// The file is not watched, since it changes every hour and is read for every token request; it must be there all the same.
fn assertion(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ClientAuthentication> {
    let path = scope.files.resolve(Path::new(view.text("file")?));
    if let Err(error) = crate::credential::check_assertion_file(&path) {
        scope.report.find(
            Code::File,
            view.place("file"),
            format!("{}: {error}", path.display()),
        );
        return None;
    }
    Some(ClientAuthentication::AssertionFile(path))
}
