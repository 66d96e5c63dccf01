//! What a pod must know of a configuration: ports, and how long the end takes. The charts work it out in the same way
//! (`charts/countersign-sidecar/templates/_model.tpl`); a test holds the two together.

use aws_lc_rs::digest;

use super::object::{Value, look, look_list, look_text};
use super::options::Sidecar;
use super::yaml;

/// Name and port of a listener that callers outside the pod reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Port of its upstream, where that is a port of the pod.
    pub(crate) upstream: Option<u16>,
}

/// What a pod must know of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) probes: u16,
    /// Every port that the proxy takes in the pod, loopback included.
    pub(crate) taken: Vec<u16>,
    /// Seconds.
    pub(crate) delay: u64,
    /// Seconds.
    pub(crate) deadline: u64,
    /// Whether tokens are judged by the API server.
    pub(crate) token_review: bool,
    /// What only a restart changes; `None` where the configuration is not known.
    pub(crate) restart: Option<String>,
    routes: Value,
}

impl Shape {
    /// One listener and probes, of a configuration that is elsewhere. It may wait as long as the program's defaults do.
    pub(crate) fn assumed(listener: Option<u16>, probes: u16) -> Self {
        let listeners = listener.map(|port| Listener {
            name: "inbound".to_owned(),
            port,
            tls: false,
            upstream: None,
        });
        Self {
            taken: listener.into_iter().chain([probes, ADMIN]).collect(),
            listeners: listeners.into_iter().collect(),
            probes,
            delay: 5,
            deadline: 30,
            token_review: false,
            restart: None,
            routes: Value::Null,
        }
    }

    /// Reads a configuration. Not whether it is valid: `countersign check` does that.
    ///
    /// # Errors
    /// What a pod cannot do with it, in words.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let config = yaml::read(text)
            .map_err(|error| error.to_string())?
            .into_iter()
            .next()
            .ok_or("it is empty")?;
        let mut listeners = Vec::new();
        let mut taken = Vec::new();
        for inbound in one_or_more(config.get("inbound")) {
            let Some(listen) =
                look_text(inbound, &["listen"]).filter(|listen| !listen.starts_with("unix:"))
            else {
                continue;
            };
            let port = port_of(listen).ok_or_else(|| format!("no port in `listen: {listen}`"))?;
            taken.push(port);
            if !is_loopback(listen) {
                let name = look_text(inbound, &["name"]).unwrap_or("inbound");
                listeners.push(Listener {
                    name: port_name(name),
                    port,
                    tls: inbound.get("tls").is_some(),
                    upstream: upstream_port(inbound),
                });
            }
        }
        let probes = look_text(&config, &["probes", "listen"]).unwrap_or_default();
        let Some(probes) = port_of(probes).filter(|_| !is_loopback(probes)) else {
            return Err("`probes.listen` must name an address that the kubelet reaches, such as 0.0.0.0:9091".to_owned());
        };
        let outbound = one_or_more(config.get("outbound"));
        let listens = |inbound: &Value| look_text(inbound, &["listen"]).and_then(port_of);
        taken.extend(outbound.into_iter().filter_map(listens));
        let admin = look_text(&config, &["admin", "listen"]).map_or(Some(ADMIN), port_of);
        taken.extend(admin);
        taken.push(probes);
        let seconds = |key: &str, default: u64| {
            look_text(&config, &["drain", key]).map_or(default, whole_seconds)
        };
        Ok(Self {
            listeners,
            probes,
            taken,
            delay: seconds("delay", 5),
            deadline: seconds("deadline", 30),
            token_review: look_list(&config, &["issuers"])
                .iter()
                .any(|issuer| look(issuer, &["verify", "token_review"]).is_some()),
            restart: Some(restart(&config)),
            routes: config.get("routes").cloned().unwrap_or_default(),
        })
    }

    /// The listener that stands before the application.
    pub(crate) fn before(&self, app: Option<u16>) -> Option<&Listener> {
        let its = |listener: &&Listener| app.is_some() && listener.upstream == app;
        self.listeners.iter().find(its).or(self.listeners.first())
    }

    /// Whether a route in plain sight lets anyone ask for the path. A route that does so by a pattern is not looked for.
    pub(crate) fn is_open(&self, path: &str, method: &str) -> bool {
        let anyone = |who: &Value| who.as_str() == Some("anyone");
        let opens = |route: &Value| {
            let paths = route.get("path");
            let named = paths.and_then(Value::as_str) == Some(path)
                || look_list(route, &["path"])
                    .iter()
                    .any(|one| one.as_str() == Some(path));
            let methods = route.get("allow").and_then(Value::as_mapping);
            let in_table = methods.into_iter().flatten().any(|(key, who)| {
                let mut of_key = key.as_str().unwrap_or_default().split(',');
                of_key.any(|one| one.trim() == method) && anyone(who)
            });
            named && (route.get("allow").is_some_and(anyone) || in_table)
        };
        self.routes
            .as_sequence()
            .is_some_and(|routes| routes.iter().any(opens))
    }
}

/// Where admin is when a configuration does not say.
pub(crate) const ADMIN: u16 = 9090;

/// `drain` of a configuration that we write, in seconds: delay and deadline. A native sidecar has nobody behind it when its end begins.
pub(crate) const fn drain(sidecar: Sidecar) -> (u64, u64) {
    match sidecar {
        Sidecar::Native => (0, 5),
        Sidecar::Classic => (5, 20),
    }
}

fn one_or_more(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Sequence(items)) => items.iter().collect(),
        Some(one @ Value::Mapping(_)) => vec![one],
        _ => Vec::new(),
    }
}

fn port_of(listen: &str) -> Option<u16> {
    listen.rsplit_once(':')?.1.parse().ok()
}

fn is_loopback(listen: &str) -> bool {
    ["127.", "[::1]", "localhost:"]
        .iter()
        .any(|begin| listen.starts_with(begin))
}

fn upstream_port(inbound: &Value) -> Option<u16> {
    let upstream = inbound.get("upstream")?;
    let url = upstream
        .as_str()
        .or_else(|| look_text(upstream, &["url"]))?;
    let authority = url.split_once("://")?.1.split('/').next()?;
    is_loopback(authority).then(|| port_of(authority)).flatten()
}

/// Names of ports have 15 letters at most.
fn port_name(name: &str) -> String {
    let name: String = name
        .to_lowercase()
        .replace('_', "-")
        .chars()
        .take(15)
        .collect();
    name.strip_suffix('-').unwrap_or(&name).to_owned()
}

/// A duration of the program's (`1m30s`, `250ms`) in whole seconds, rounded up.
fn whole_seconds(text: &str) -> u64 {
    let mut millis = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let after = rest.strip_prefix(digits.as_str()).unwrap_or_default();
        let unit: String = after
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        let each = match unit.as_str() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return millis.div_ceil(1_000),
        };
        let number: u64 = digits.parse().unwrap_or_default();
        millis = millis.saturating_add(number.saturating_mul(each));
        rest = after.strip_prefix(unit.as_str()).unwrap_or_default();
    }
    millis.div_ceil(1_000)
}

/// The annotation `countersign.dev/restart`, as the charts compute it.
fn restart(config: &Value) -> String {
    let addresses: Vec<[Option<&Value>; 2]> = ["inbound", "outbound"]
        .iter()
        .flat_map(|key| one_or_more(config.get(*key)))
        .map(|listener| [listener.get("name"), listener.get("listen")])
        .collect();
    let all = serde_json::json!([
        addresses,
        config.get("workers"),
        config.get("admin"),
        config.get("probes"),
        config.get("telemetry"),
    ]);
    // As Go escapes JSON.
    let text = all
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVERAL: &str = "\
inbound:
  - {name: Public_and_long_name, listen: '0.0.0.0:8443', upstream: 'http://127.0.0.1:8000/', tls: {}}
  - {name: other, listen: '[::]:8081', upstream: {url: 'h2c://localhost:9000'}}
  - {listen: '127.0.0.1:8082', upstream: 'http://127.0.0.1:8000'}
  - {listen: 'unix:/run/x.sock', upstream: 'http://127.0.0.1:8000'}
outbound: {listen: '127.0.0.1:3128', upstream: 'https://api.example.org'}
probes: {listen: '0.0.0.0:9091'}
drain: {delay: 500ms, deadline: 1m30s}
routes:
  - {path: /health, allow: anyone}
  - {path: [/a, /b], allow: {'GET, HEAD': anyone, POST: known}}
  - {path: /**, allow: known}
";

    #[test]
    fn a_pod_learns_ports_and_the_length_of_the_end() {
        let shape = Shape::of(SEVERAL).unwrap();
        let listeners: Vec<_> = shape
            .listeners
            .iter()
            .map(|one| (one.name.as_str(), one.port, one.tls, one.upstream))
            .collect();
        assert_eq!(
            listeners,
            [
                ("public-and-long", 8443, true, Some(8000)),
                ("other", 8081, false, Some(9000)),
            ]
        );
        assert_eq!((shape.probes, shape.delay, shape.deadline), (9091, 1, 90));
        assert!(!shape.token_review);
        let asked = "issuers: [{name: a}, {name: b, verify: {token_review: {}}}]\nprobes: {listen: '0.0.0.0:1'}";
        assert!(Shape::of(asked).unwrap().token_review);
        assert_eq!(shape.taken, [8443, 8081, 8082, 3128, 9090, 9091]);
        let before = |app| shape.before(app).unwrap().port;
        assert_eq!(
            (before(Some(9000)), before(Some(8000)), before(None)),
            (8081, 8443, 8443)
        );
    }

    #[test]
    fn open_paths_are_found_where_a_route_names_them() {
        let shape = Shape::of(SEVERAL).unwrap();
        for (path, method, open) in [
            ("/health", "GET", true),
            ("/b", "GET", true),
            ("/b", "HEAD", true),
            ("/b", "POST", false),
            ("/c", "GET", false),
        ] {
            assert_eq!(shape.is_open(path, method), open, "{method} {path}");
        }
    }

    #[test]
    fn what_a_pod_cannot_use_is_told() {
        for (text, told) in [
            ("", "it is empty"),
            (
                "inbound: {listen: '0.0.0.0:${PORT}'}",
                "no port in `listen: 0.0.0.0:${PORT}`",
            ),
            ("inbound: {listen: '0.0.0.0:1'}", "the kubelet reaches"),
            ("probes: {listen: '127.0.0.1:9091'}", "the kubelet reaches"),
            ("a: [", "line"),
        ] {
            let error = Shape::of(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
