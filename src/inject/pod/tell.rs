//! What the configuration must say, and what of it nobody but the operator can.

use super::plan::Plan;
use super::{Front, Order};
use crate::inject::probes::{self, Asked};
use crate::inject::report::Notes;
use crate::inject::shape::{ADMIN, Shape};

/// A configuration that is elsewhere must fit the pod.
pub(super) fn of_the_config_map(name: &str, plan: &Plan, front: Option<&Front>, notes: &mut Notes) {
    let mut says = Vec::new();
    if let Some(front) = front {
        says.push(format!("`listen: 0.0.0.0:{}`", front.listen));
        says.push(format!("`upstream: http://127.0.0.1:{}`", front.app));
    }
    says.push(format!(
        "`probes: {{listen: \"0.0.0.0:{}\"}}`",
        plan.shape.probes
    ));
    if plan.admin != ADMIN {
        says.push(format!("`admin: {{listen: \"127.0.0.1:{}\"}}`", plan.admin));
    }
    let says = says.join(", ");
    notes.ask(
        "",
        format!("make the ConfigMap {name} with the key countersign.yaml: {says}"),
    );
}

/// A configuration that is known must lead to the application.
pub(super) fn of_the_upstream(shape: &Shape, front: &Front, notes: &mut Notes) {
    let leads = shape
        .before(Some(front.app))
        .is_some_and(|listener| listener.upstream == Some(front.app));
    if shape.restart.is_some() && !leads {
        notes.ask(
            "",
            format!("no listener of the configuration leads to 127.0.0.1:{}, where the application listens", front.app),
        );
    }
}

/// The kubelet has no token.
pub(super) fn of_probes(order: &Order<'_>, shape: &Shape, asked: &[Asked], notes: &mut Notes) {
    for one in asked {
        let (path, method) = match one {
            Asked::Path(path) => (path.as_str(), "GET"),
            Asked::Grpc => (probes::GRPC_PATH, "POST"),
        };
        let written = order.config.is_none() && order.trust.is_some();
        if !probes::is_literal(path) {
            let says = format!(
                "a probe asks for {path}, which no route can name as it is: let it ask for a plain path"
            );
            notes.ask("", says);
        } else if path == "/" && written {
            notes.ask("", "GET / is open to anyone, because a probe asks for it: let it ask for a path of its own");
        } else if !shape.is_open(path, method) {
            let route = format!("`{{path: {path}, allow: {{{method}: anyone}}}}`");
            notes.ask(
                "",
                format!("let anyone {method} {path}, which a probe asks for: {route}"),
            );
        }
    }
}
