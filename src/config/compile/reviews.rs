//! `verify` of an issuer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Scope, credentials, tls};
use crate::authn::Audiences;
use crate::config::Code;
use crate::config::node::{Node, Value};
use crate::config::scalar;
use crate::config::schema::{
    CLIENT_AUTHENTICATION, INTROSPECTION, ISSUER, OWN_TOKEN, TOKEN_REVIEW, VERIFY,
};
use crate::config::view::View;
use crate::fetch::is_loopback;
use crate::review::{
    CLUSTER_CA, IntrospectionEndpoint, OWN_TOKEN as OWN_TOKEN_FILE, ReviewEndpoint, ReviewSettings,
    Roots,
};

/// A `max_cache` beyond this makes somebody who asks for revocations wait longer than he would think.
const LONG: Duration = Duration::from_secs(60);

/// Who is asked about the tokens of an issuer.
pub(super) fn compile(
    issuer: &View<'_>,
    issuers: &[String],
    audiences: Option<&Audiences>,
    scope: &mut Scope<'_>,
) -> Option<ReviewSettings> {
    let verify = issuer.sub_if("verify", &VERIFY)?;
    if !matches!(issuer.get("verify")?.value, Value::Map(_)) {
        // The shape has said so.
        return None;
    }
    if issuer.has("jwks") {
        scope.report.error_try(
            issuer.place("jwks"),
            "`jwks` and `verify`: tokens of an issuer are verified in one way",
            "keep `jwks` to verify signatures here, or `verify` to ask",
        );
    }
    for key in ["algorithms", "key_id"] {
        if issuer.has(key) {
            scope.report.error_try(
                issuer.place(key),
                format!("`{key}` is for signatures that are verified here"),
                "remove it: whoever is asked verifies the signature",
            );
        }
    }
    match (
        verify.sub_if("token_review", &TOKEN_REVIEW),
        verify.sub_if("introspection", &INTROSPECTION),
    ) {
        (Some(view), None) => token_review(issuer, &view, audiences, scope),
        (None, Some(view)) => introspection(issuer, &view, issuers, scope),
        _ => {
            scope.report.error_try(
                verify.at(),
                "takes one of `token_review` and `introspection`",
                "token_review: the cluster's API server; introspection: the authorization server",
            );
            None
        }
    }
}

fn token_review(
    issuer: &View<'_>,
    view: &View<'_>,
    audiences: Option<&Audiences>,
    scope: &mut Scope<'_>,
) -> Option<ReviewSettings> {
    if !issuer.flag("kubernetes") {
        scope.report.error_try(
            view.at(),
            "an API server is asked about tokens of ServiceAccounts",
            "add `kubernetes: true` to the issuer",
        );
    }
    long_cache(view, scope);
    let server = view.text("server")?;
    plain_http(view, "server", server, scope);
    let roots = match tls::ca(view, "ca", scope) {
        Some(pem) => Roots::Pinned(pem),
        None => Roots::File(PathBuf::from(CLUSTER_CA)),
    };
    let token = match view.sub_if("token", &OWN_TOKEN) {
        None => PathBuf::from(OWN_TOKEN_FILE),
        Some(token) => own_token(&token, scope)?,
    };
    let audiences = match audiences? {
        Audiences::AnyOf(audiences) => audiences.clone(),
        // Was reported.
        Audiences::Unchecked => return None,
    };
    Some(ReviewSettings {
        endpoint: ReviewEndpoint::TokenReview {
            server: server.to_owned(),
            token,
            audiences,
        },
        max_cache: view.span("max_cache"),
        timeout: view.span("timeout"),
        roots,
    })
}

/// The file is not watched, since it changes every hour and is read for every question; where it was named it must be there.
fn own_token(view: &View<'_>, scope: &mut Scope<'_>) -> Option<PathBuf> {
    let path = scope.files.resolve(Path::new(view.text("file")?));
    if let Err(error) = crate::credential::check_assertion_file(&path) {
        scope.report.find(
            Code::File,
            view.place("file"),
            format!("{}: {error}", path.display()),
        );
        return None;
    }
    Some(path)
}

fn introspection(
    issuer: &View<'_>,
    view: &View<'_>,
    issuers: &[String],
    scope: &mut Scope<'_>,
) -> Option<ReviewSettings> {
    if issuer.flag("kubernetes") {
        scope.report.error_try(
            view.at(),
            "a cluster has no introspection endpoint",
            "verify: {token_review: {}}",
        );
    }
    long_cache(view, scope);
    let endpoint = endpoint(view, issuers, scope);
    credentials::client_id(view, scope);
    let authentication = view
        .sub_if("client_authentication", &CLIENT_AUTHENTICATION)
        .and_then(|view| credentials::authentication(&view, scope));
    let roots = tls::ca(view, "ca", scope).map_or(Roots::Platform, Roots::Pinned);
    Some(ReviewSettings {
        endpoint: ReviewEndpoint::Introspection {
            endpoint: endpoint?,
            issuer: issuers.first()?.clone(),
            client_id: view.text("client_id").map(str::to_owned),
            authentication: authentication?,
            opaque: view.flag("opaque"),
        },
        max_cache: view.span("max_cache"),
        timeout: view.span("timeout"),
        roots,
    })
}

fn endpoint(
    view: &View<'_>,
    issuers: &[String],
    scope: &mut Scope<'_>,
) -> Option<IntrospectionEndpoint> {
    match (view.get("discover"), view.text("url")) {
        (Some(node), None) if node.flag() == Some(true) => {
            // The document's `issuer` must equal ours, so of several names the first is where it is looked for.
            let issuer = issuers.first()?;
            if let Err(reason) = scalar::web_url(issuer) {
                scope.report.error_try(
                    &node.at,
                    format!("discovery starts at the issuer, and {reason}"),
                    "name `url` instead",
                );
                return None;
            }
            plain_http(view, "discover", issuer, scope);
            Some(IntrospectionEndpoint::Discover)
        }
        (None, Some(url)) => {
            plain_http(view, "url", url, scope);
            Some(IntrospectionEndpoint::Url(url.to_owned()))
        }
        _ => {
            scope.report.error_try(
                view.at(),
                "takes one of `discover: true` and `url`",
                "discover: true asks the issuer for its endpoint; url: the endpoint itself",
            );
            None
        }
    }
}

/// There is no switch for it: callers' tokens and our own credentials would go over the network as they are, and whoever can
/// change an answer decides who is let in.
fn plain_http(view: &View<'_>, key: &str, url: &str, scope: &mut Scope<'_>) {
    let plain = url.to_ascii_lowercase().starts_with("http:");
    if plain && !is_loopback(url) {
        scope.report.find_try(
            Code::PlainHttp,
            view.place(key),
            "questions about tokens over plain http: whoever is on the way reads tokens and our credentials, and can let anybody in",
            "write https://; plain http is for loopback alone",
        );
    }
}

fn long_cache(view: &View<'_>, scope: &mut Scope<'_>) {
    let max_cache = view.span("max_cache");
    if max_cache > LONG {
        let shown = crate::config::show_duration(max_cache);
        scope.report.find_try(
            Code::StaleReview,
            view.place("max_cache"),
            format!("a token that was revoked is taken for another {shown}"),
            "10s is what it is when nothing is written; `jwks` asks nobody at all",
        );
    }
}

/// Whether the issuer at `node` is asked about tokens that are no JWTs.
pub(super) fn takes_opaque(node: &Node) -> bool {
    let introspection = node
        .get("verify")
        .and_then(|verify| verify.get("introspection"));
    introspection.is_some_and(|view| View::new(view, &INTROSPECTION).flag("opaque"))
}

/// A token that says nothing of its issuer is of the only one there is.
pub(super) fn one_opaque(root: &View<'_>, scope: &mut Scope<'_>) {
    let mut first: Option<(&str, usize)> = None;
    for node in root.items("issuers") {
        if !takes_opaque(node) {
            continue;
        }
        let view = View::new(node, &ISSUER);
        let name = view.text("name").unwrap_or_default();
        let at = view.place("verify");
        match first {
            None => first = Some((name, at.line)),
            Some((other, line)) => scope.report.find_try(
                Code::Ambiguous,
                at,
                format!(
                    "`{other}` (line {line}) and `{name}` are both asked about tokens that are no JWTs, and such a token does not say whose it is: one of the two would learn the tokens of the other"
                ),
                "`opaque: false` in all of them but one, whose JWTs are found by their `iss`",
            ),
        }
    }
}
