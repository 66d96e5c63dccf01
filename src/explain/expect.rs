//! What became of a case, held to what it expects.

use serde_json::Value;

use super::story::{Check, Explanation, Verdict};
use crate::case::Expect;
use crate::rejection::Decision;

/// What stands where there is nothing.
const NOTHING: &str = "nothing";

impl Expect {
    /// Whether it says nothing, so that nothing could differ from it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Everything of `told` that is not as expected; what is left out may be anything.
    #[must_use]
    pub fn differences(&self, told: &Explanation) -> Vec<Check> {
        let mut found = Differences(Vec::new());
        let decision = self.decision.map(Decision::as_str);
        found.texts("decision", decision, Some(told.verdict.decision()));
        let status = told.answer.as_ref().map(|answer| answer.status.to_string());
        let wanted = self.status.map(|status| status.to_string());
        found.texts("status", wanted.as_deref(), status.as_deref());
        found.texts("reason", self.reason.as_deref(), told.verdict.reason());
        found.texts("observed", self.observed.as_deref(), told.observed);
        let route = told.route.as_ref().map(|route| &*route.name);
        found.texts("route", self.route.as_deref(), route);
        if let Some(wanted) = &self.caller {
            found.either("caller", wanted.as_deref(), told.caller.as_deref());
        }
        self.identity(told, &mut found);
        found.0
    }

    /// What the upstream is told. A request that does not pass tells it nothing, and `null` of that would hold by chance.
    fn identity(&self, told: &Explanation, found: &mut Differences) {
        let identity = told
            .identity
            .as_ref()
            .filter(|_| told.verdict == Verdict::Forwarded);
        let Some(identity) = identity else {
            if !self.identity.is_empty() || !self.assertion.is_empty() {
                let decision = told.verdict.decision();
                found.push("identity", "a request that passes", decision);
            }
            return;
        };
        for (name, wanted) in &self.identity {
            let mut headers = identity.headers.iter();
            let own = headers.find(|(own, _)| own == name);
            let own = own.map(|(_, value)| value.as_str());
            found.either(&format!("identity.{name}"), wanted.as_deref(), own);
        }
        for (name, wanted) in &self.assertion {
            let claims = identity.assertion.as_ref().map(|(_, claims)| claims);
            let own = claims.and_then(|claims| claims.get(name));
            if own.unwrap_or(&Value::Null) != wanted {
                let what = format!("assertion.{name}");
                found.push(&what, &shown(Some(wanted)), &shown(own));
            }
        }
    }
}

/// What differs.
struct Differences(Vec<Check>);

impl Differences {
    /// `None` as what is wanted: anything.
    fn texts(&mut self, what: &str, wanted: Option<&str>, found: Option<&str>) {
        if wanted.is_some() {
            self.either(what, wanted, found);
        }
    }

    /// `None` as what is wanted: nothing.
    fn either(&mut self, what: &str, wanted: Option<&str>, found: Option<&str>) {
        if wanted != found {
            self.push(what, wanted.unwrap_or(NOTHING), found.unwrap_or(NOTHING));
        }
    }

    fn push(&mut self, what: &str, wanted: &str, found: &str) {
        self.0.push(Check {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        });
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NOTHING.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
