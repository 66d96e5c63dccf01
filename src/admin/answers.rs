//! What each path answers.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    HeaderMap, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode, Uri};

use super::question::{self, Told};
use super::{AdminState, Probe, Surface, page};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const JWKS: &str = "application/jwk-set+json";
const HTML: &str = "text/html; charset=utf-8";
/// The Prometheus text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The parts of a request that matter here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

/// Answers one request.
pub(super) fn answer(state: &AdminState, surface: &Surface, asked: Asked<'_>) -> Response<Bytes> {
    failpoint!(Admin, Response::new(Bytes::new()));
    let mut response = match surface {
        Surface::Admin if !host_is_ours(state, asked) => text(
            StatusCode::FORBIDDEN,
            "this listener answers under an address, localhost or a configured name only\n",
        ),
        Surface::Admin | Surface::Probes(_) => served(state, surface, asked),
    };
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    if asked.method == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    response
}

fn served(state: &AdminState, surface: &Surface, asked: Asked<'_>) -> Response<Bytes> {
    let path = asked.uri.path();
    let probe = match path {
        "/livez" => Some(Probe::Livez),
        "/readyz" => Some(Probe::Readyz),
        "/metrics" => Some(Probe::Metrics),
        "/.well-known/jwks.json" => Some(Probe::Jwks),
        _ => None,
    };
    let known = match (surface, probe) {
        (Surface::Admin, Some(_)) => true,
        (Surface::Admin, None) => matches!(path, "/" | "/status" | "/explain"),
        (Surface::Probes(served), Some(probe)) => served.contains(&probe),
        (Surface::Probes(_), None) => false,
    };
    if !known {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    if !matches!(*asked.method, Method::GET | Method::HEAD) {
        let mut response = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "nothing changes state here\n",
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match probe {
        // Says that the process works, and nothing about issuers or upstreams: a restart mends neither.
        Some(Probe::Livez) => text(StatusCode::OK, "ok\n"),
        Some(Probe::Readyz) => readyz(state, asked),
        Some(Probe::Metrics) => {
            state.telemetry.metrics().control.ready(state.ready().ready);
            body(StatusCode::OK, METRICS, state.telemetry.metrics().text())
        }
        Some(Probe::Jwks) => body(StatusCode::OK, JWKS, (state.jwks)().to_string().into()),
        None if path == "/status" => json(StatusCode::OK, &state.status()),
        None if path == "/explain" && is_of_another_site(asked) => text(
            StatusCode::FORBIDDEN,
            "pages of other sites do not ask here\n",
        ),
        None if path == "/explain" => {
            let query = asked.uri.query().unwrap_or_default();
            status_page(state, &question::Asked::answer(query, state))
        }
        None => status_page(state, &question::Asked::nothing()),
    }
}

fn status_page(state: &AdminState, question: &question::Asked) -> Response<Bytes> {
    let status = match question.told {
        Told::Refused(_) => StatusCode::BAD_REQUEST,
        Told::Nothing | Told::Request(_) | Told::Record(_) => StatusCode::OK,
    };
    let page = page::render(&state.status(), question);
    let mut response = body(status, HTML, page.into());
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, page::policy());
    response
}

fn readyz(state: &AdminState, asked: Asked<'_>) -> Response<Bytes> {
    let ready = state.ready();
    let status = if ready.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let wants_json = asked.uri.query() == Some("verbose")
        || asked
            .headers
            .get_all(ACCEPT)
            .iter()
            .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(JSON)));
    if wants_json {
        return json(status, &ready);
    }
    let mut words = String::from(if ready.ready {
        "ready\n"
    } else {
        "not ready\n"
    });
    for (mark, lines) in [("missing", &ready.missing), ("degraded", &ready.degraded)] {
        for line in lines {
            words.push_str(&format!("{mark}: {line}\n"));
        }
    }
    text(status, &words)
}

/// Whether a page of another site makes the browser ask (Fetch Metadata): it could not read the answer, and an explanation
/// costs more than a look.
fn is_of_another_site(asked: Asked<'_>) -> bool {
    let site = asked.headers.get("sec-fetch-site");
    site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// One `Host` that no other site's name can be: an address, `localhost`, or a configured name. The port does not matter.
fn host_is_ours(state: &AdminState, asked: Asked<'_>) -> bool {
    let mut hosts = asked.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    // An absolute target names a host of its own (RFC 9112 section 3.2.2); it must say the same.
    if asked
        .uri
        .authority()
        .is_some_and(|authority| authority.as_str() != host)
    {
        return false;
    }
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost")
        || name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok()
        || state
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

fn text(status: StatusCode, words: &str) -> Response<Bytes> {
    body(status, TEXT, words.to_owned().into())
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Bytes> {
    match serde_json::to_vec(value) {
        Ok(text) => body(status, JSON, text),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "cannot be written as JSON\n",
        ),
    }
}

fn body(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
