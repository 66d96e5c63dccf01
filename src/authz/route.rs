use std::sync::Arc;

/// Who may, for the methods of one line of a table.
#[derive(Debug)]
pub enum Access {
    /// `nobody`.
    Nobody,
    /// `anyone`: tokens are not looked at.
    Anyone,
}

/// Methods to access.
#[derive(Debug)]
pub struct MethodTable {}

/// A second token that a route takes.
#[derive(Debug)]
pub struct ActorToken {
    /// Where it stands: the token alone, no scheme.
    pub header: http::HeaderName,
    /// The name of the only issuer that counts.
    pub issuer: std::sync::Arc<str>,
    /// Whether a request without it is refused.
    pub required: bool,
}

/// A route as configured.
#[derive(Debug)]
pub struct RouteSettings {}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    pub(crate) name: Arc<str>,
}

impl Route {
    /// The id that records and metrics use; from the configuration.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }
}
