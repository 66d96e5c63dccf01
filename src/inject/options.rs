//! What may be said about an injection: by flags for all workloads, by annotations (`countersign.dev/…`) for one.

use super::object::{Value, look};
use crate::config::suggest;

/// Begins the names of annotations that are ours.
pub(crate) const PREFIX: &str = "countersign.dev/";

/// Every option, by the name that its flag and its annotation share.
pub(crate) const NAMES: [&str; 15] = [
    "image",
    "image-pull-policy",
    "sidecar",
    "config-map",
    "container",
    "app-port",
    "listen-port",
    "probes-port",
    "tokens",
    "secrets",
    "token-review",
    "cpu",
    "memory",
    "memory-limit",
    "app-sleep",
];

/// Annotations of ours that are no options of an injection.
const OTHERS: [&str; 3] = ["inject", "restart", "probe.yaml"];

/// How the proxy stands in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sidecar {
    /// An init container that restarts (Kubernetes 1.29).
    Native,
    /// A container beside the application's.
    Classic,
}

/// The port of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppPort {
    /// It serves nobody: the proxy is there for what it calls.
    None,
    /// This one.
    Number(u16),
}

/// What was said; the rest is found out, or has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub(crate) image: Option<String>,
    pub(crate) image_pull_policy: Option<String>,
    pub(crate) sidecar: Option<Sidecar>,
    pub(crate) config_map: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) app_port: Option<AppPort>,
    pub(crate) listen_port: Option<u16>,
    pub(crate) probes_port: Option<u16>,
    pub(crate) tokens: Option<Vec<(String, String)>>,
    pub(crate) secrets: Option<Vec<(String, String)>>,
    pub(crate) token_review: Option<bool>,
    pub(crate) cpu: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) memory_limit: Option<String>,
    pub(crate) app_sleep: Option<u64>,
}

impl Options {
    /// Sets the option `name` (see the documentation for all of them).
    ///
    /// # Errors
    /// What is wrong with the name or the value, in words.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        let wrong = |what: &str| Err(format!("{name}: `{value}` is {what}"));
        match name {
            "image" if value.is_empty() || value.contains(char::is_whitespace) => {
                return wrong("no image");
            }
            "image" => self.image = Some(value.to_owned()),
            "image-pull-policy" if !matches!(value, "Always" | "IfNotPresent" | "Never") => {
                return wrong("none of Always, IfNotPresent, Never");
            }
            "image-pull-policy" => self.image_pull_policy = Some(value.to_owned()),
            "sidecar" => {
                self.sidecar = Some(match value {
                    "native" => Sidecar::Native,
                    "classic" => Sidecar::Classic,
                    _ => return wrong("neither native nor classic"),
                });
            }
            "config-map" if !is_object_name(value) => return wrong("no name of a ConfigMap"),
            "config-map" => self.config_map = Some(value.to_owned()),
            "container" => self.container = Some(value.to_owned()),
            "app-port" if value == "none" => self.app_port = Some(AppPort::None),
            "app-port" => self.app_port = Some(AppPort::Number(port(name, value)?)),
            "listen-port" => self.listen_port = Some(port(name, value)?),
            "probes-port" => self.probes_port = Some(port(name, value)?),
            "tokens" => self.tokens = Some(pairs(name, value)?),
            "secrets" => self.secrets = Some(pairs(name, value)?),
            "token-review" => {
                self.token_review = Some(match value {
                    "enabled" => true,
                    "disabled" => false,
                    _ => return wrong("neither enabled nor disabled"),
                });
            }
            "cpu" => self.cpu = Some(quantity(name, value)?),
            "memory" => self.memory = Some(quantity(name, value)?),
            "memory-limit" => self.memory_limit = Some(quantity(name, value)?),
            "app-sleep" => match value.parse() {
                Ok(seconds) if seconds <= 3600 => self.app_sleep = Some(seconds),
                _ => return wrong("no number of seconds up to 3600"),
            },
            _ => {
                return Err(format!(
                    "`{name}` is no option; {}",
                    suggest::one_of(name, &NAMES)
                ));
            }
        }
        Ok(())
    }

    /// These options, with what the annotations of a pod say laid over.
    pub(crate) fn with_annotations(&self, metadata: Option<&Value>) -> Result<Self, String> {
        let mut options = self.clone();
        for (name, value) in ours(metadata) {
            if OTHERS.contains(&name) {
                continue;
            }
            let value = value.as_str().unwrap_or_default();
            options
                .set(name, value)
                .map_err(|error| format!("annotation {PREFIX}{error}"))?;
        }
        Ok(options)
    }
}

/// What the annotation `countersign.dev/inject` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Enabled,
    Disabled,
    Unsaid,
}

impl Wish {
    pub(crate) fn of(metadata: Option<&Value>) -> Result<Self, String> {
        let said = ours(metadata).find(|(name, _)| *name == "inject");
        match said.map(|(_, value)| value.as_str().unwrap_or_default()) {
            None => Ok(Self::Unsaid),
            Some("enabled") => Ok(Self::Enabled),
            Some("disabled") => Ok(Self::Disabled),
            Some(other) => Err(format!(
                "annotation {PREFIX}inject: `{other}` is neither enabled nor disabled"
            )),
        }
    }
}

/// Annotations that are ours, without the prefix.
fn ours(metadata: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    metadata
        .and_then(|metadata| look(metadata, &["annotations"]))
        .and_then(Value::as_mapping)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str()?.strip_prefix(PREFIX)?, value)))
}

fn port(name: &str, value: &str) -> Result<u16, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{name}: `{value}` is no port")),
    }
}

/// `NAME=VALUE`, separated by commas; the name is one of a volume.
fn pairs(name: &str, value: &str) -> Result<Vec<(String, String)>, String> {
    value
        .split(',')
        .map(|pair| match pair.trim().split_once('=') {
            Some((mount, what)) if is_label(mount) && !what.is_empty() => {
                Ok((mount.to_owned(), what.to_owned()))
            }
            _ => Err(format!("{name}: `{pair}` is not NAME=VALUE")),
        })
        .collect()
}

/// A quantity of Kubernetes: `50m`, `128Mi`, `0.5`.
fn quantity(name: &str, value: &str) -> Result<String, String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = value.strip_prefix(digits).unwrap_or_default();
    let known = [
        "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let number = digits.parse::<f64>().is_ok_and(f64::is_finite)
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if number && known.contains(&unit) {
        Ok(value.to_owned())
    } else {
        Err(format!("{name}: `{value}` is no quantity"))
    }
}

/// A DNS label short enough to follow `countersign-` in the name of a volume.
fn is_label(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=42).contains(&text.len())
        && text.chars().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !matches!(text, "config" | "cache")
}

/// A DNS subdomain.
fn is_object_name(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253 && text.chars().all(inside) && text.starts_with(edge) && text.ends_with(edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_taken_and_a_wrong_value_is_not() {
        let rows = [
            ("image", "registry.example.org/countersign:1", "a b"),
            ("image-pull-policy", "Always", "always"),
            ("sidecar", "classic", "modern"),
            ("config-map", "web-countersign", "Web"),
            ("app-port", "8000", "0"),
            ("listen-port", "8080", "70000"),
            ("probes-port", "9091", "http"),
            ("tokens", "idp=https://id.example.org, api=x", "idp"),
            ("secrets", "tls=web-tls", "config=web-tls"),
            ("token-review", "enabled", "true"),
            ("cpu", "50m", "fast"),
            ("memory", "32Mi", "32MiB"),
            ("memory-limit", "0.5Gi", "-1"),
            ("app-sleep", "0", "1h"),
        ];
        for (name, right, wrong) in rows {
            let mut options = Options::default();
            assert_eq!(options.set(name, right), Ok(()), "{name}");
            assert_ne!(options, Options::default(), "{name}");
            let error = Options::default().set(name, wrong).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
        assert_eq!(
            rows.len() + 1,
            NAMES.len(),
            "all but `container`, which may be anything"
        );
        let error = Options::default().set("iamge", "x").unwrap_err();
        assert!(error.contains("did you mean `image`?"), "{error}");
    }

    #[test]
    fn annotations_lie_over_flags_and_misspelt_ones_are_told() {
        let metadata = |text: &str| super::super::yaml::read(text).unwrap().remove(0);
        let mut flags = Options::default();
        flags.set("listen-port", "8080").unwrap();
        flags.set("cpu", "1").unwrap();
        let pod = metadata(
            "annotations: {countersign.dev/listen-port: '9000', countersign.dev/inject: enabled, other/listen-port: x}",
        );
        let both = flags.with_annotations(Some(&pod)).unwrap();
        assert_eq!(
            (both.listen_port, both.cpu.as_deref()),
            (Some(9000), Some("1"))
        );
        assert_eq!(Wish::of(Some(&pod)), Ok(Wish::Enabled));
        assert_eq!(Wish::of(None), Ok(Wish::Unsaid));
        for (text, told) in [
            (
                "annotations: {countersign.dev/lisen-port: '1'}",
                "did you mean `listen-port`?",
            ),
            (
                "annotations: {countersign.dev/listen-port: 1}",
                "is no port",
            ),
        ] {
            let error = flags.with_annotations(Some(&metadata(text))).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let wrong = metadata("annotations: {countersign.dev/inject: 'yes'}");
        assert!(Wish::of(Some(&wrong)).is_err());
    }
}
