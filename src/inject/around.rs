//! What stands around the pods in the same input: Services that lead to them, policies that let callers in.

use super::object::{Value, child, edit_list, look, look_list, look_text, set};
use super::pod::Front;
use super::report::Notes;

/// Pods that got the proxy, as Services find them.
#[derive(Debug)]
pub(crate) struct Pods {
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Value,
    pub(crate) front: Front,
}

/// Namespace of an object; `default` is what is not said.
pub(crate) fn namespace(object: &Value) -> Option<String> {
    look_text(object, &["metadata", "namespace"]).map(str::to_owned)
}

/// `Kind name`.
pub(crate) fn title(object: &Value) -> String {
    let kind = look_text(object, &["kind"]).unwrap_or("object");
    let name = look_text(object, &["metadata", "name"])
        .or(look_text(object, &["metadata", "generateName"]))
        .unwrap_or_default();
    format!("{kind} {name}").trim_end().to_owned()
}

impl Pods {
    /// Whether every label of a selector is one of theirs. No selector selects nothing.
    fn are_selected(&self, object: &Value, selector: &[&str]) -> bool {
        let wanted = look(object, selector).and_then(Value::as_mapping);
        namespace(object) == self.namespace
            && wanted.is_some_and(|wanted| {
                !wanted.is_empty()
                    && wanted
                        .iter()
                        .all(|(key, value)| self.labels.get(key) == Some(value))
            })
    }
}

/// Leads a Service to the proxy.
pub(crate) fn service(object: &mut Value, pods: &[Pods], notes: &mut Notes) {
    for pods in pods {
        if !pods.are_selected(object, &["spec", "selector"]) {
            continue;
        }
        if look_list(object, &["spec", "ports"]).is_empty() {
            continue;
        }
        let headless = look_text(object, &["spec", "clusterIP"]) == Some("None");
        let front = &pods.front;
        let leads_here = |port: &Value| match port.get("targetPort") {
            Some(Value::String(name)) => front.names.contains(name),
            Some(target) => target.as_u64() == Some(front.app.into()),
            None => port.get("port").and_then(Value::as_u64) == Some(front.app.into()),
        };
        edit_list(child(object, "spec"), "ports", |ports| {
            for port in ports.iter_mut().filter(|port| leads_here(port)) {
                set(port, "targetPort", Value::Number(front.listen.into()));
                let number = port.get("port").and_then(Value::as_u64).unwrap_or_default();
                notes.changed(
                    "",
                    format!("port {number} leads to {}, the proxy", front.listen),
                );
                if headless {
                    notes.ask(
                        "",
                        format!(
                            "it is headless: who finds the pods by it must call port {}",
                            front.listen
                        ),
                    );
                }
            }
        });
    }
}

/// What names the application's port and is left alone, because only its owner knows what it is meant to let in.
pub(crate) fn policy(object: &Value, pods: &[Pods], notes: &mut Notes) {
    for pods in pods {
        if !pods.are_selected(object, &["spec", "podSelector", "matchLabels"]) {
            continue;
        }
        let front = &pods.front;
        let is_app = |port: &Value| match port.get("port") {
            Some(Value::String(name)) => front.names.contains(name),
            Some(port) => port.as_u64() == Some(front.app.into()),
            None => false,
        };
        let rules = look_list(object, &["spec", "ingress"]).iter();
        if rules
            .flat_map(|rule| look_list(rule, &["ports"]))
            .any(is_app)
        {
            notes.ask(
                "",
                format!(
                    "it lets callers in to {}: let them in to {}, the proxy, instead",
                    front.app, front.listen
                ),
            );
        }
    }
}
