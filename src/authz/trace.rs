//! What evaluation lets an onlooker see. A request that nobody explains is watched by `()`, of which the compiler leaves
//! nothing; an explained one is decided by the very same code.

use std::sync::Arc;

use super::pattern::HostPattern;
use super::route::Route;

/// Sees what is made of the alternatives of a row, in their order.
pub trait Watch {
    /// Whether everything is evaluated, also what cannot change the decision any more: the conditions behind one that does
    /// not hold, and the alternatives behind one that does.
    const THOROUGH: bool;

    /// The next alternative; conditions on another issuer's tokens are not looked at.
    fn alternative(&mut self, of_issuer: bool);

    /// The next condition of that alternative.
    fn condition(&mut self, holds: bool);

    /// No alternative holds; the refusal is that of this one.
    fn closest(&mut self, alternative: usize);
}

/// Nobody looks.
impl Watch for () {
    const THOROUGH: bool = false;

    fn alternative(&mut self, _: bool) {}

    fn condition(&mut self, _: bool) {}

    fn closest(&mut self, _: usize) {}
}

/// Everything that was evaluated, in the order of the route's own lists ([`Route::access`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// One for each alternative of the row.
    pub alternatives: Vec<AlternativeSeen>,
    /// The alternative that the refusal is about, where none holds.
    pub closest: Option<usize>,
}

/// What was made of an alternative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternativeSeen {
    /// The token is of its issuer; otherwise no condition was looked at.
    pub of_issuer: bool,
    /// One for each of its conditions.
    pub conditions: Vec<bool>,
}

impl AlternativeSeen {
    /// Whether it lets the request pass.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.of_issuer && self.conditions.iter().all(|holds| *holds)
    }
}

impl Evaluation {
    /// The first alternative that holds: the one that names the caller.
    #[must_use]
    pub fn matched(&self) -> Option<usize> {
        self.alternatives.iter().position(AlternativeSeen::holds)
    }
}

impl Watch for Evaluation {
    const THOROUGH: bool = true;

    fn alternative(&mut self, of_issuer: bool) {
        self.alternatives.push(AlternativeSeen {
            of_issuer,
            conditions: Vec::new(),
        });
    }

    fn condition(&mut self, holds: bool) {
        if let Some(last) = self.alternatives.last_mut() {
            last.conditions.push(holds);
        }
    }

    fn closest(&mut self, alternative: usize) {
        self.closest = Some(alternative);
    }
}

/// A route with a path that matches a request.
#[derive(Clone, Debug)]
pub struct Considered {
    /// The route.
    pub route: Arc<Route>,
    /// Which of its paths.
    pub path: usize,
    /// The host that it is narrowed to here; `None`: any.
    pub host: Option<HostPattern>,
    /// Whether that is the request's.
    pub host_matches: bool,
}

/// What a request could have been meant for.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The most specific first; the first whose host matches owns the request.
    pub matching: Vec<Considered>,
    /// The names of more specific routes that another spelling of the path would select; where there is one, the request
    /// is refused.
    pub near: Vec<Arc<str>>,
}
