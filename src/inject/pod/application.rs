//! Which container is the application, and on which port it listens.

use super::Order;
use crate::inject::bind::Recognised;
use crate::inject::object::{Value, look_list, look_port, look_text};
use crate::inject::options::{AppPort, Options};
use crate::inject::probes;

/// Which container is the application.
pub(super) fn application(spec: &Value, options: &Options) -> Result<usize, String> {
    let containers = look_list(spec, &["containers"]);
    let name = |container: &Value| {
        look_text(container, &["name"])
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(wanted) = &options.container {
        let found = containers
            .iter()
            .position(|container| name(container) == *wanted);
        return found.ok_or_else(|| format!("no container is called {wanted}"));
    }
    if containers.len() == 1 {
        return Ok(0);
    }
    let serves = |container: &&Value| match options.app_port {
        Some(AppPort::Number(port)) => declared(container).iter().any(|(_, one)| *one == port),
        Some(AppPort::None) => false,
        None => !declared(container).is_empty() || !probes::ports(container).is_empty(),
    };
    let candidates: Vec<usize> = (0..containers.len())
        .filter(|at| containers.get(*at).as_ref().is_some_and(serves))
        .collect();
    match candidates.as_slice() {
        [one] => Ok(*one),
        _ if options.app_port == Some(AppPort::None) && !containers.is_empty() => Ok(0),
        _ => {
            let names: Vec<String> = containers.iter().map(name).collect();
            Err(format!(
                "which of {} is the application? say it with --container or countersign.dev/container",
                names.join(", ")
            ))
        }
    }
}

/// TCP ports that a container declares, with their names.
pub(super) fn declared(container: &Value) -> Vec<(Option<&str>, u16)> {
    look_list(container, &["ports"])
        .iter()
        .filter(|port| look_text(port, &["protocol"]).is_none_or(|protocol| protocol == "TCP"))
        .filter_map(|port| {
            Some((
                look_text(port, &["name"]),
                look_port(port, &["containerPort"])?,
            ))
        })
        .collect()
}

/// The port of the application; `None` where it serves nobody.
pub(super) fn app_port(
    app: &Value,
    recognised: &Recognised,
    order: &Order<'_>,
) -> Result<Option<u16>, String> {
    match order.options.app_port {
        Some(AppPort::None) => return Ok(None),
        Some(AppPort::Number(port)) => return Ok(Some(port)),
        None => {}
    }
    let declared = declared(app);
    let mut asked = probes::ports(app);
    asked.dedup();
    if order.job && declared.is_empty() && asked.is_empty() {
        return Ok(None);
    }
    let web: Vec<u16> = declared
        .iter()
        .filter(|(name, _)| {
            name.is_some_and(|name| matches!(name, "http" | "web" | "api" | "https" | "grpc"))
        })
        .map(|(_, port)| *port)
        .collect();
    let found = recognised
        .port
        .or(only(declared.iter().map(|(_, port)| *port)))
        .or(only(web.into_iter()))
        .or(only(asked.into_iter()))
        .or_else(|| recognised.default_port().filter(|_| declared.is_empty()));
    found
        .map(Some)
        .ok_or_else(|| "which port does it listen on? say it with --app-port or countersign.dev/app-port (`none` where it serves nobody)".to_owned())
}

/// Names of the application's port, by which a Service may call it.
pub(super) fn names(template: &Value, app: u16) -> Vec<String> {
    let containers = look_list(template, &["spec", "containers"]).iter();
    containers
        .flat_map(declared)
        .filter(|(_, port)| *port == app)
        .filter_map(|(name, _)| name.map(str::to_owned))
        .collect()
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
