//! CORS on our own answers (Fetch standard, section 3.2); upstream answers are left alone.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use bytes::Bytes;

use super::{CorsSettings, Preflight};

/// Compiled CORS settings of a listener.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    any: bool,
    credentials: bool,
    expose: HeaderValue,
    allow_headers: Option<HeaderValue>,
    max_age: HeaderValue,
    preflight: Preflight,
}

impl Cors {
    /// Prepares settings. `*` stands for any origin, then without credentials.
    #[must_use]
    pub fn compile(settings: &CorsSettings) -> Self {
        let any = settings.origins.iter().any(|origin| origin == "*");
        let mut expose = vec!["WWW-Authenticate", "Retry-After", "X-Request-Id"];
        for name in &settings.expose {
            if !expose.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                expose.push(name);
            }
        }
        Self {
            origins: settings
                .origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok())
                .collect(),
            any,
            credentials: settings.credentials && !any,
            expose: super::header_value(&expose.join(", ")),
            allow_headers: Some(settings.headers.join(", "))
                .filter(|names| !names.is_empty())
                .map(|names| super::header_value(&names)),
            max_age: HeaderValue::from(settings.max_age),
            preflight: settings.preflight,
        }
    }

    /// What a preflight meets on this listener.
    #[must_use]
    pub const fn preflight(&self) -> Preflight {
        self.preflight
    }

    /// Whether `origin` is one of the configured ones, byte for byte.
    #[must_use]
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        self.any || self.origins.contains(origin)
    }

    /// Adds what a browser needs to read our answer.
    pub fn decorate(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
        if self.grant(headers, origin) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.clone());
        }
    }

    /// The origin part; `Vary` also where it is refused, or a shared cache gives one origin's answer to another.
    fn grant(&self, headers: &mut HeaderMap, origin: Option<&HeaderValue>) -> bool {
        if self.any {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else {
            return false;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
        true
    }

    /// Our answer to a preflight (`preflight: answer`): `methods` are those that policy lists for the path, as in
    /// `Allow`. An origin that is not allowed gets an answer without grants, and its browser stops there.
    #[must_use]
    pub fn answer_preflight(
        &self,
        methods: &HeaderValue,
        origin: Option<&HeaderValue>,
        request_id: &str,
    ) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        super::request_id(headers, request_id);
        if self.grant(headers, origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            if let Some(names) = &self.allow_headers {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        response
    }
}

/// Whether a request is a CORS preflight (Fetch standard, section 3.2.2): OPTIONS with one `Origin` and one
/// `Access-Control-Request-Method`.
#[must_use]
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    let once = |name| headers.get_all(name).iter().count() == 1;
    method == Method::OPTIONS && once(ORIGIN) && once(ACCESS_CONTROL_REQUEST_METHOD)
}
