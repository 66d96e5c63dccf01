//! Claims in the terms of policy. What decides who the caller is (subject, client) refuses the token when it is not
//! well-formed; what only grants (account, scopes, roles, groups) grants nothing then.

use crate::authn::Issuer;
use crate::authn::claims::{ClaimPath, Claims};
use crate::authn::json::Json;
use crate::rejection::TokenFault;

/// How Kubernetes names a ServiceAccount: `system:serviceaccount:<namespace>:<name>`.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Namespace and name of a ServiceAccount subject.
pub(in crate::authn) fn service_account(subject: &str) -> Option<(&str, &str)> {
    let (namespace, name) = subject.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

pub(super) fn subject(claims: &Claims, issuer: &Issuer) -> Result<Option<Box<str>>, TokenFault> {
    let sub = claims
        .top("sub")
        .map(|sub| text(sub).ok_or(TokenFault::Claim))
        .transpose()?;
    if issuer.settings.kubernetes {
        let sub = sub.ok_or(TokenFault::ServiceAccount)?;
        check_service_account(claims, sub)?;
        return Ok(Some(sub.into()));
    }
    let subject = claims
        .first(&issuer.settings.claim_mappings.subject)
        .map(|subject| text(subject).ok_or(TokenFault::Claim))
        .transpose()?;
    // Another issuer must not be able to name a workload of a cluster.
    if [sub, subject]
        .iter()
        .flatten()
        .any(|subject| subject.starts_with(SERVICE_ACCOUNT))
    {
        return Err(TokenFault::ServiceAccount);
    }
    Ok(subject.map(Into::into))
}

/// `sub` and the `kubernetes.io` claims must be there and agree.
fn check_service_account(claims: &Claims, sub: &str) -> Result<(), TokenFault> {
    let (namespace, name) = service_account(sub).ok_or(TokenFault::ServiceAccount)?;
    let members = claims.top("kubernetes.io").and_then(Json::as_object);
    let own_namespace = members
        .and_then(|members| members.get("namespace"))
        .and_then(Json::as_str);
    let own_name = members
        .and_then(|members| members.get("serviceaccount"))
        .and_then(Json::as_object)
        .and_then(|account| account.get("name"))
        .and_then(Json::as_str);
    if own_namespace == Some(namespace) && own_name == Some(name) {
        Ok(())
    } else {
        Err(TokenFault::ServiceAccount)
    }
}

pub(super) fn client(claims: &Claims, issuer: &Issuer) -> Result<Option<Box<str>>, TokenFault> {
    let client = claims
        .first(&issuer.settings.claim_mappings.client)
        .map(|client| text(client).ok_or(TokenFault::Client))
        .transpose()?;
    if let Some(allowed) = &issuer.settings.clients
        && !client.is_some_and(|client| allowed.iter().any(|own| own == client))
    {
        return Err(TokenFault::Client);
    }
    Ok(client.map(Into::into))
}

pub(super) fn account(claims: &Claims, issuer: &Issuer) -> Option<Box<str>> {
    let account = claims.first(&issuer.settings.claim_mappings.account)?;
    text(account).map(Into::into)
}

/// Scopes and what they imply. `scope` itself is a string (RFC 8693 section 4.2, RFC 9068 section 2.2.3); other claims that
/// are mapped, such as `scp`, may be arrays.
pub(super) fn scopes(claims: &Claims, issuer: &Issuer) -> Vec<Box<str>> {
    let found = issuer
        .settings
        .claim_mappings
        .scopes
        .iter()
        .find_map(|home| Some((home, claims.get(home)?)));
    let scopes = match found {
        Some((_, Json::Text(text))) => text.split(' ').filter(|scope| !scope.is_empty()).collect(),
        Some((home, list @ Json::List(_))) if home.last() != "scope" => {
            list.as_strings().unwrap_or_default()
        }
        Some(_) | None => Vec::new(),
    };
    if scopes.iter().all(|scope| is_scope(scope)) {
        issuer.expand(scopes)
    } else {
        Vec::new()
    }
}

/// `scope-token` of RFC 6749 section 3.3.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// Groups. Those of a ServiceAccount follow from its name, so that a policy that names them holds for a token that says
/// nothing of them as well as for what the cluster says of it.
pub(super) fn groups(claims: &Claims, subject: Option<&str>, issuer: &Issuer) -> Vec<Box<str>> {
    let homes = &issuer.settings.claim_mappings.groups;
    let account = subject.filter(|_| issuer.settings.kubernetes);
    match account.and_then(service_account) {
        Some((namespace, _)) if claims.first(homes).is_none() => vec![
            "system:authenticated".into(),
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{namespace}").into(),
        ],
        Some(_) | None => strings(claims, homes),
    }
}

/// A string or an array of strings; sorted, unique.
pub(super) fn strings(claims: &Claims, homes: &[ClaimPath]) -> Vec<Box<str>> {
    let found = claims.first(homes).and_then(Json::as_strings);
    let mut values: Vec<Box<str>> = found
        .unwrap_or_default()
        .into_iter()
        .filter(|value| !value.is_empty())
        .map(Into::into)
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// A string that says something.
fn text(value: Json<'_>) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}
