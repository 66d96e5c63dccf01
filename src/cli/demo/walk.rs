//! Makes a step's request and compares what came of it with what must.

use serde_json::{Map, Value};

use super::DemoError;
use super::client::Call;
use super::steps::{Expect, Step};
use super::upstream::Seen;
use super::world::{Outcome, World};

/// A step that was made.
#[derive(Debug)]
pub(super) struct Made {
    /// The request, token included.
    pub(super) call: Call,
    /// What came of it.
    pub(super) outcome: Outcome,
    /// What is not as it must be.
    pub(super) faults: Vec<String>,
}

/// Makes the request of `step`.
pub(super) fn make(world: &World, step: &Step) -> Result<Made, DemoError> {
    let mut call = Call::get(step.target);
    if let Some(token) = (step.token)(world)? {
        call = call.header("Authorization", format!("Bearer {token}"));
    }
    for (name, value) in step.headers {
        call = call.header(name, (*value).to_owned());
    }
    let outcome = world.ask(step.to, &call)?;
    let mut faults = Faults(Vec::new());
    faults.check(step, &call, &outcome);
    Ok(Made {
        call,
        outcome,
        faults: faults.0,
    })
}

struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    fn check(&mut self, step: &Step, call: &Call, outcome: &Outcome) {
        match step.expect {
            Expect::Forwarded(identity) => self.forwarded(call, outcome, identity),
            Expect::Refused {
                status,
                reason,
                header,
            } => {
                self.status(outcome, status);
                let recorded = text(&outcome.record, "reason");
                self.unless(recorded == reason, || {
                    format!("the record says `{recorded}` instead of `{reason}`")
                });
                self.unless(outcome.seen.is_empty(), || {
                    "the request reached the upstream".to_owned()
                });
                self.unless(
                    outcome.answer.header("cache-control") == Some("no-store"),
                    || "the refusal may be cached".to_owned(),
                );
                if let Some((name, part)) = header {
                    let held = outcome.answer.header(name);
                    self.unless(held.is_some_and(|value| value.contains(part)), || {
                        format!("the answer has no `{name}` with `{part}`")
                    });
                }
            }
        }
        self.unless(!outcome.record.to_string().contains("eyJ"), || {
            "the record contains a token".to_owned()
        });
    }

    fn status(&mut self, outcome: &Outcome, status: u16) {
        let held = outcome.answer.status;
        self.unless(held == status, || {
            format!("the status is {held} instead of {status}")
        });
    }

    fn forwarded(&mut self, call: &Call, outcome: &Outcome, identity: &[(&str, &str)]) {
        self.status(outcome, 200);
        let decision = text(&outcome.record, "decision");
        self.unless(decision == "allowed", || {
            format!("the record says `{decision}` instead of `allowed`")
        });
        let [seen] = outcome.seen.as_slice() else {
            self.0.push(format!(
                "{} requests reached the upstream instead of one",
                outcome.seen.len()
            ));
            return;
        };
        self.unless(
            seen.method == call.method && seen.target == call.target,
            || "the upstream got another method or target than policy judged".to_owned(),
        );
        let expected: Map<String, Value> = identity
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        self.unless(seen.headers == expected, || {
            "the upstream got other identity headers than it must".to_owned()
        });
        self.assertion(seen, identity);
    }

    /// The assertion says what the headers say, or that there is nobody.
    fn assertion(&mut self, seen: &Seen, identity: &[(&str, &str)]) {
        let claims = match &seen.assertion {
            Ok(claims) => claims,
            Err(error) => return self.0.push(format!("the assertion does not hold: {error}")),
        };
        let pairs = [
            ("x-auth-subject", "sub"),
            ("x-auth-caller", "caller"),
            ("x-auth-account", "account"),
            ("x-auth-scopes", "scope"),
        ];
        for (header, claim) in pairs {
            let expected = identity.iter().find(|(name, _)| *name == header);
            let held = claims.get(claim).and_then(Value::as_str);
            self.unless(held == expected.map(|(_, value)| *value), || {
                format!("the assertion's `{claim}` is not what the headers say")
            });
        }
        let anonymous = claims.get("anonymous") == Some(&Value::Bool(true));
        self.unless(anonymous == identity.is_empty(), || {
            "the assertion's `anonymous` is wrong".to_owned()
        });
    }
}

/// A text member of a record; empty when it is not there.
pub(super) fn text<'a>(record: &'a Value, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}
