//! All routes of all listeners, and how they come together.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::access::Access;
use super::check::RouteError;
use super::condition::Alternative;
use super::pattern::{HostPattern, PathPattern};
use super::ramp::{ObservedCaller, ObservedCallers};
use super::rate_limit::RateLimits;
use super::route::{Route, RouteSettings};
use super::table::Table;
use crate::proxy::CorsSettings;

#[cfg(test)]
mod tests;

/// All routes of all listeners, of one generation. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    generation: u64,
    listeners: Arc<[ListenerPolicy]>,
    routes: Arc<[Arc<Route>]>,
    observed_callers: ObservedCallers,
}

/// What one listener's requests meet.
#[derive(Debug)]
pub(super) struct ListenerPolicy {
    pub(super) name: Arc<str>,
    pub(super) cors: Option<CorsSettings>,
    pub(super) table: Table,
}

impl Policy {
    /// This policy as part of a generation; the same tables and the same rate limits.
    #[must_use]
    pub fn at(&self, generation: u64) -> Self {
        Self {
            generation,
            ..self.clone()
        }
    }

    /// The same routes without what only observes and without rate limits: what the policy itself says.
    pub(super) fn enforced(&self) -> Self {
        self.remade(|settings| {
            settings.observe = None;
            settings.rate_limit.clear();
        })
    }

    /// The generation that requests carry on.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The same routes with rate limits of their own, in which nothing was counted yet: what is tried out on it is not
    /// held against anybody.
    #[must_use]
    pub fn apart(&self) -> Self {
        self.remade(|_| {})
    }

    fn remade(&self, change: impl Fn(&mut RouteSettings)) -> Self {
        let mut builder = PolicyBuilder::new(&RateLimits::default());
        builder.observe(&self.observed_callers);
        for listener in self.listeners.iter() {
            builder.listener(&listener.name, listener.cors.clone());
        }
        for route in self.routes.iter() {
            let mut settings = route.settings().clone();
            change(&mut settings);
            let taken = builder.route(settings);
            debug_assert!(taken.is_ok(), "it was taken once");
        }
        builder.build().at(self.generation)
    }

    /// Forgets what rate limits have counted. Only for a policy that is [`Self::apart`].
    pub fn forget(&self) {
        for route in self.routes.iter() {
            for limit in route.before.iter().chain(&route.after) {
                limit.forget();
            }
        }
    }

    /// Callers of whom decisions are recorded and not enforced, until their dates.
    #[must_use]
    pub fn observed_callers(&self) -> &[ObservedCaller] {
        &self.observed_callers
    }

    /// All routes, in the order in which they were added.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// What the routes of one listener let pass, and how.
    pub(crate) fn alternatives_of(&self, listener: &str) -> impl Iterator<Item = &Alternative> {
        let of_listener = move |route: &&Arc<Route>| {
            let own = route.settings().listener.as_deref();
            own.is_none_or(|own| own == listener)
        };
        self.routes
            .iter()
            .filter(of_listener)
            .flat_map(|route| route.settings().table.accesses())
            .flat_map(|access| match access {
                Access::Rules { alternatives, .. } => alternatives.as_slice(),
                Access::Nobody | Access::Anyone => &[],
            })
    }

    /// The issuers that the routes of one listener name.
    pub(crate) fn issuers_of(&self, listener: &str) -> BTreeSet<&str> {
        self.alternatives_of(listener)
            .map(|alternative| &*alternative.issuer)
            .collect()
    }

    /// The routes that own requests for a path, given as its decoded segments with a last empty one for a slash at the end: one
    /// for each listener and each host that routes tell apart, with the pattern that matched.
    pub(crate) fn owners(&self, path: &[&str]) -> Vec<(Arc<Route>, PathPattern)> {
        let hosts = self.routes.iter().flat_map(|route| &route.settings().hosts);
        let hosts: BTreeSet<String> = hosts.map(HostPattern::example).collect();
        let hosts = || hosts.iter().map(String::as_str).chain([""]);
        let mut owners: Vec<(Arc<Route>, PathPattern)> = Vec::new();
        for listener in self.listeners.iter() {
            for hit in hosts().filter_map(|host| listener.table.find(path, host)) {
                let pattern = hit.route.settings().paths.get(usize::from(hit.path));
                let known = owners
                    .iter()
                    .any(|(route, _)| Arc::ptr_eq(route, hit.route));
                if let (Some(pattern), false) = (pattern, known) {
                    owners.push((Arc::clone(hit.route), pattern.clone()));
                }
            }
        }
        owners
    }

    pub(super) fn listener(&self, name: &str) -> Option<&ListenerPolicy> {
        self.listeners
            .iter()
            .find(|listener| &*listener.name == name)
    }
}

/// Takes listeners, then routes one by one, and reports everything that is wrong with each.
///
/// A policy that is built in spite of reported errors holds only the routes that were taken.
#[derive(Debug, Default)]
pub struct PolicyBuilder {
    limits: RateLimits,
    listeners: Vec<ListenerPolicy>,
    routes: Vec<Arc<Route>>,
    /// Of the routes.
    names: HashSet<Arc<str>>,
    observed_callers: ObservedCallers,
}

impl PolicyBuilder {
    /// Nothing yet. Rate limits that `limits` knows from the configuration before go on counting.
    #[must_use]
    pub fn new(limits: &RateLimits) -> Self {
        Self {
            limits: limits.clone(),
            ..Self::default()
        }
    }

    /// Callers of whom decisions are recorded and not enforced. Comes before the first route.
    pub fn observe(&mut self, callers: &[ObservedCaller]) {
        self.observed_callers = callers.into();
    }

    /// Adds a listener. All of them come before the first route.
    pub fn listener(&mut self, name: &Arc<str>, cors: Option<CorsSettings>) {
        self.listeners.push(ListenerPolicy {
            name: Arc::clone(name),
            cors,
            table: Table::default(),
        });
    }

    /// Adds a route to its listeners' tables.
    ///
    /// # Errors
    /// Everything that is wrong with the route by itself, and every path that another route (or this one) has already.
    /// The route is not taken then.
    pub fn route(&mut self, settings: RouteSettings) -> Result<(), Vec<RouteError>> {
        let mut errors = settings.check();
        let of_route = |listener: &&mut ListenerPolicy| {
            settings
                .listener
                .as_ref()
                .is_none_or(|name| *name == listener.name)
        };
        let mut tables: Vec<&mut Table> = self
            .listeners
            .iter_mut()
            .filter(of_route)
            .map(|listener| &mut listener.table)
            .collect();
        if tables.is_empty() {
            errors.push(RouteError::unknown_listener());
        }
        for error in tables.iter().flat_map(|table| table.conflicts(&settings)) {
            // A route of all listeners meets another such one in every table.
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        if self.names.contains(&settings.name) {
            errors.push(RouteError::duplicate_name(&settings.name));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.names.insert(Arc::clone(&settings.name));
        let route = Arc::new(Route::compile(
            settings,
            &self.limits,
            &self.observed_callers,
        ));
        for table in &mut tables {
            table.insert(&route);
        }
        self.routes.push(route);
        Ok(())
    }

    /// The policy, as of generation 0; see [`Policy::at`].
    #[must_use]
    pub fn build(self) -> Policy {
        Policy {
            generation: 0,
            listeners: self.listeners.into(),
            observed_callers: self.observed_callers,
            routes: self.routes.into(),
        }
    }
}
