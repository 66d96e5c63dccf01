//! Which ports the proxy takes.

use super::application::declared;
use super::{Order, all_containers};
use crate::inject::object::Value;
use crate::inject::shape::{ADMIN, Shape};

/// Ports that the proxy takes.
pub(super) struct Plan {
    pub(super) app: Option<u16>,
    pub(super) shape: Shape,
    pub(super) admin: u16,
}

pub(super) fn plan(
    spec: &Value,
    app: Option<u16>,
    known: Option<Shape>,
    order: &Order<'_>,
) -> Result<Plan, String> {
    let options = order.options;
    let mut taken: Vec<u16> = all_containers(spec)
        .flat_map(declared)
        .map(|(_, port)| port)
        .collect();
    taken.extend(app);
    if let Some(shape) = known {
        let app = app.filter(|_| !shape.listeners.is_empty());
        let listen = shape.before(app).map(|listener| listener.port);
        for (name, said, is) in [
            ("listen-port", options.listen_port, listen),
            ("probes-port", options.probes_port, Some(shape.probes)),
        ] {
            if said.is_some() && said != is {
                return Err(format!("{name}: the configuration says another one"));
            }
        }
        if let Some(port) = shape.taken.iter().find(|port| taken.contains(port)) {
            return Err(format!(
                "the configuration listens on {port}, which is a port of the pod's own already"
            ));
        }
        return Ok(Plan {
            app,
            shape,
            admin: ADMIN,
        });
    }
    for (name, said) in [
        ("listen-port", options.listen_port),
        ("probes-port", options.probes_port),
    ] {
        if let Some(port) = said.filter(|port| taken.contains(port)) {
            return Err(format!("{name}: {port} is a port of the pod's own already"));
        }
    }
    let mut choose = |said: Option<u16>, from: u16| {
        let free = said.or_else(|| (from..=u16::MAX).find(|port| !taken.contains(port)));
        taken.extend(free);
        free.ok_or("no port is free")
    };
    let listen = app.map(|_| choose(options.listen_port, 8080)).transpose()?;
    let probes = choose(options.probes_port, 9091)?;
    let admin = choose(None, ADMIN)?;
    Ok(Plan {
        app,
        shape: Shape::assumed(listen, probes),
        admin,
    })
}
