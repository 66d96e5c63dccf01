//! What the configuration must say, and what of it nobody but the operator can.

use super::plan::Plan;
use super::{Front, Order};
use crate::inject::options::Sidecar;
use crate::inject::probes::{self, Asked};
use crate::inject::report::Notes;
use crate::inject::shape::{ADMIN, Shape};
use crate::inject::sidecar::NAME;

/// What was added.
pub(super) fn of_the_container(
    order: &Order<'_>,
    shape: &Shape,
    config_map: &str,
    notes: &mut Notes,
) {
    let sidecar = order.sidecar();
    let how = match sidecar {
        Sidecar::Native => "an init container that restarts",
        Sidecar::Classic => "a container beside the others",
    };
    let ports = shape
        .listeners
        .iter()
        .map(|listener| listener.port.to_string());
    let ports: Vec<String> = ports.collect();
    let listens = match ports.as_slice() {
        [] => String::new(),
        ports => format!("; listens on {}", ports.join(", ")),
    };
    let probes = shape.probes;
    notes.changed(
        NAME,
        format!(
            "added: {how}{listens}; probes on {probes}; configuration from ConfigMap {config_map}"
        ),
    );
    if sidecar == Sidecar::Classic && order.job {
        notes.ask(
            NAME,
            "a classic sidecar keeps a Job from ending: use a native one",
        );
    }
}

/// The API server answers those alone whom it lets ask.
pub(super) fn of_token_review(account: &str, notes: &mut Notes) {
    notes.ask(
        NAME,
        format!("let ServiceAccount {account} ask the API server about tokens: a ClusterRoleBinding to system:auth-delegator"),
    );
}

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
