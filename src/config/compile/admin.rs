//! `admin` and `probes`.

use super::Scope;
use crate::admin::{AdminSettings, Probe, ProbesSettings};
use crate::config::Code;
use crate::config::scalar;
use crate::config::schema::{ADMIN, PROBES};
use crate::config::view::View;

/// `admin`.
pub(super) fn admin(root: &View<'_>, scope: &mut Scope<'_>) -> Option<AdminSettings> {
    let view = root.sub("admin", &ADMIN);
    let listen = view
        .text("listen")
        .and_then(|text| scalar::socket_address(text).ok())?;
    if !listen.ip().is_loopback() {
        if view.flag("allow_non_loopback") {
            scope.report.find_try(
                Code::Exposed,
                view.place("listen"),
                "whoever reaches this address reads policy, issuers and metrics",
                "`probes` serves what kubelet and Prometheus need, and nothing else",
            );
        } else {
            scope.report.error_try(
                view.place("listen"),
                "admin listens on loopback only",
                "use `probes` for kubelet and Prometheus, or write `allow_non_loopback: true`",
            );
        }
    }
    Some(AdminSettings { listen })
}

/// `probes`.
pub(super) fn probes(root: &View<'_>) -> Option<ProbesSettings> {
    let view = root.sub_if("probes", &PROBES)?;
    let listen = view
        .text("listen")
        .and_then(|text| scalar::socket_address(text).ok())?;
    let serve = view
        .texts("serve")
        .iter()
        .filter_map(|word| match word.as_str() {
            "livez" => Some(Probe::Livez),
            "readyz" => Some(Probe::Readyz),
            "metrics" => Some(Probe::Metrics),
            "jwks" => Some(Probe::Jwks),
            _ => None,
        })
        .collect();
    Some(ProbesSettings { listen, serve })
}
