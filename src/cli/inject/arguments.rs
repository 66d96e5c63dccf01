//! Flags that `inject` and `webhook` share.

use crate::inject::{Options, Request};

/// How the proxy gets into pods. Values are read where annotations are read, too.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Injection")]
pub(in crate::cli) struct InjectionArguments {
    /// The proxy's image [default: countersign:VERSION]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Always, IfNotPresent or Never [default: IfNotPresent]
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// native (an init container that restarts, Kubernetes 1.29) or classic [default: native]
    #[arg(long, value_name = "KIND")]
    sidecar: Option<String>,
    /// The ConfigMap with countersign.yaml [default: NAME-countersign with `inject`, countersign with `webhook`]
    #[arg(long, value_name = "NAME")]
    config_map: Option<String>,
    /// The application's container, where there are several
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// The application's port, or `none` where it serves nobody [default: found out]
    #[arg(long, value_name = "PORT")]
    app_port: Option<String>,
    /// The port where the proxy stands before the application [default: the configuration's, or 8080 or the next that is free]
    #[arg(long, value_name = "PORT")]
    listen_port: Option<String>,
    /// The port for kubelet and Prometheus [default: the configuration's, or 9091 or the next that is free]
    #[arg(long, value_name = "PORT")]
    probes_port: Option<String>,
    /// The pod's ServiceAccount token for an audience, at /run/countersign/NAME/token; may be repeated
    #[arg(long, value_name = "NAME=AUDIENCE")]
    token: Vec<String>,
    /// A Secret at /run/countersign/NAME; may be repeated
    #[arg(long, value_name = "NAME=SECRET")]
    secret: Vec<String>,
    /// Mount what the API server is asked with about tokens (TokenReview) [default: where the configuration needs it]
    #[arg(long)]
    token_review: bool,
    /// CPU that the proxy requests [default: 50m]
    #[arg(long, value_name = "QUANTITY")]
    cpu: Option<String>,
    /// Memory that it requests [default: 32Mi]
    #[arg(long, value_name = "QUANTITY")]
    memory: Option<String>,
    /// Most memory that it may use [default: 128Mi]
    #[arg(long, value_name = "QUANTITY")]
    memory_limit: Option<String>,
    /// How long the application goes on serving before it is told to end [default: 5]
    #[arg(long, value_name = "SECONDS")]
    app_sleep: Option<String>,
    /// The cluster's version, where it is older than 1.30
    #[arg(long, value_name = "VERSION")]
    kube_version: Option<String>,
}

impl InjectionArguments {
    /// What they ask for.
    pub(in crate::cli) fn request(&self) -> Result<Request, String> {
        let mut options = Options::default();
        let list = |items: &[String]| (!items.is_empty()).then(|| items.join(","));
        for (name, value) in [
            ("image", self.image.clone()),
            ("image-pull-policy", self.image_pull_policy.clone()),
            ("sidecar", self.sidecar.clone()),
            ("config-map", self.config_map.clone()),
            ("container", self.container.clone()),
            ("app-port", self.app_port.clone()),
            ("listen-port", self.listen_port.clone()),
            ("probes-port", self.probes_port.clone()),
            ("tokens", list(&self.token)),
            ("secrets", list(&self.secret)),
            (
                "token-review",
                self.token_review.then(|| "enabled".to_owned()),
            ),
            ("cpu", self.cpu.clone()),
            ("memory", self.memory.clone()),
            ("memory-limit", self.memory_limit.clone()),
            ("app-sleep", self.app_sleep.clone()),
        ] {
            if let Some(value) = value {
                options
                    .set(name, &value)
                    .map_err(|error| format!("--{error}"))?;
            }
        }
        let minor = self.kube_version.as_deref().map(minor).transpose()?;
        if minor.is_some_and(|minor| minor < 29) {
            return Err("--kube-version: 1.29 is the oldest that is served".to_owned());
        }
        Ok(Request {
            options,
            without_sleep_action: minor.is_some_and(|minor| minor < 30),
            ..Request::default()
        })
    }
}

/// The second number of `1.29`, `v1.29.4`, `1.29.4-gke.1`.
fn minor(version: &str) -> Result<u64, String> {
    let numbers = version.strip_prefix('v').unwrap_or(version);
    let mut numbers = numbers.split('.');
    match (numbers.next(), numbers.next().map(str::parse)) {
        (Some("1"), Some(Ok(minor))) => Ok(minor),
        _ => Err(format!(
            "--kube-version: `{version}` is no version such as 1.29"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_their_second_number() {
        for (version, number) in [("1.29", 29), ("v1.30.4", 30), ("1.33.1-gke.100", 33)] {
            assert_eq!(minor(version), Ok(number));
        }
        for version in ["", "2.0", "1", "one"] {
            assert!(minor(version).is_err(), "{version}");
        }
    }
}
