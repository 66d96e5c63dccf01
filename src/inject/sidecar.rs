//! The proxy's container and volumes: what charts/countersign-sidecar renders. A test holds the two together.

use super::object::{Value, map, set, text};
use super::options::{Options, Sidecar};
use super::shape::Shape;

/// The name of the container, by which a pod is known to have it.
pub(crate) const NAME: &str = "countersign";

/// The program that this one is.
const IMAGE: &str = concat!("countersign:", env!("CARGO_PKG_VERSION"));

fn number(number: impl Into<u64>) -> Value {
    Value::Number(number.into().into())
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::Sequence(items.into_iter().collect())
}

/// The container.
pub(crate) fn container(options: &Options, sidecar: Sidecar, shape: &Shape, review: bool) -> Value {
    let or = |option: &Option<String>, default: &str| text(option.as_deref().unwrap_or(default));
    let mut container = map([
        ("name", text(NAME)),
        ("image", or(&options.image, IMAGE)),
        (
            "imagePullPolicy",
            or(&options.image_pull_policy, "IfNotPresent"),
        ),
        (
            "resources",
            map([
                (
                    "requests",
                    map([
                        ("cpu", or(&options.cpu, "50m")),
                        ("memory", or(&options.memory, "32Mi")),
                    ]),
                ),
                (
                    "limits",
                    map([("memory", or(&options.memory_limit, "128Mi"))]),
                ),
            ]),
        ),
        ("securityContext", security_context()),
        ("volumeMounts", list(mounts(options, review))),
        (
            "args",
            list(["run", "--config", "/etc/countersign/countersign.yaml"].map(text)),
        ),
    ]);
    if sidecar == Sidecar::Native {
        set(&mut container, "restartPolicy", text("Always"));
    }
    set(&mut container, "ports", ports(shape));
    for (probe, path, period, failures) in [
        ("startupProbe", "/livez", 1_u64, 60_u64),
        ("readinessProbe", "/readyz", 5, 2),
        ("livenessProbe", "/livez", 10, 3),
    ] {
        let get = map([("path", text(path)), ("port", number(shape.probes))]);
        let probe_of = map([
            ("httpGet", get),
            ("failureThreshold", number(failures)),
            ("periodSeconds", number(period)),
        ]);
        set(&mut container, probe, probe_of);
    }
    container
}

fn ports(shape: &Shape) -> Value {
    let inbound = shape
        .listeners
        .iter()
        .map(|listener| (listener.name.as_str(), listener.port));
    list(
        inbound
            .chain([("probes", shape.probes)])
            .map(|(name, port)| {
                map([
                    ("name", text(name)),
                    ("containerPort", number(port)),
                    ("protocol", text("TCP")),
                ])
            }),
    )
}

/// The Pod Security Standard `restricted`, whole.
fn security_context() -> Value {
    map([
        ("allowPrivilegeEscalation", Value::Bool(false)),
        ("capabilities", map([("drop", list([text("ALL")]))])),
        ("privileged", Value::Bool(false)),
        ("readOnlyRootFilesystem", Value::Bool(true)),
        ("runAsGroup", number(65532_u64)),
        ("runAsNonRoot", Value::Bool(true)),
        ("runAsUser", number(65532_u64)),
        ("seccompProfile", map([("type", text("RuntimeDefault"))])),
    ])
}

fn mounts(options: &Options, review: bool) -> Vec<Value> {
    let mut mounts = vec![
        map([
            ("name", text("countersign-config")),
            ("mountPath", text("/etc/countersign")),
            ("readOnly", Value::Bool(true)),
        ]),
        map([
            ("name", text("countersign-cache")),
            ("mountPath", text("/var/lib/countersign")),
        ]),
    ];
    mounts.extend(
        pairs(&options.secrets)
            .chain(pairs(&options.tokens))
            .map(|(name, _)| {
                map([
                    ("name", text(format!("countersign-{name}"))),
                    ("mountPath", text(format!("/run/countersign/{name}"))),
                    ("readOnly", Value::Bool(true)),
                ])
            }),
    );
    if review {
        mounts.push(map([
            ("name", text("countersign-cluster")),
            (
                "mountPath",
                text("/var/run/secrets/kubernetes.io/serviceaccount"),
            ),
            ("readOnly", Value::Bool(true)),
        ]));
    }
    mounts
}

/// The volumes.
pub(crate) fn volumes(options: &Options, config_map: &str, review: bool) -> Vec<Value> {
    let mut volumes = vec![
        map([
            ("name", text("countersign-config")),
            ("configMap", map([("name", text(config_map))])),
        ]),
        map([
            ("name", text("countersign-cache")),
            ("emptyDir", map([("sizeLimit", text("8Mi"))])),
        ]),
    ];
    volumes.extend(pairs(&options.secrets).map(|(name, secret)| {
        let source = map([
            ("secretName", text(secret)),
            // Only our container mounts it; 0440 would need an `fsGroup`, which the whole pod would have.
            ("defaultMode", number(0o444_u64)),
        ]);
        map([
            ("name", text(format!("countersign-{name}"))),
            ("secret", source),
        ])
    }));
    volumes.extend(pairs(&options.tokens).map(|(name, audience)| {
        let token = map([
            ("path", text("token")),
            ("audience", text(audience)),
            ("expirationSeconds", number(3600_u64)),
        ]);
        let sources = list([map([("serviceAccountToken", token)])]);
        map([
            ("name", text(format!("countersign-{name}"))),
            ("projected", map([("sources", sources)])),
        ])
    }));
    if review {
        volumes.push(map([
            ("name", text("countersign-cluster")),
            ("projected", map([("sources", cluster())])),
        ]));
    }
    volumes
}

/// The pod's own token and the cluster's CA, with which the API server is asked.
fn cluster() -> Value {
    let token = map([
        ("path", text("token")),
        ("expirationSeconds", number(3600_u64)),
    ]);
    let ca = map([("key", text("ca.crt")), ("path", text("ca.crt"))]);
    let authority = map([("name", text("kube-root-ca.crt")), ("items", list([ca]))]);
    list([
        map([("serviceAccountToken", token)]),
        map([("configMap", authority)]),
    ])
}

fn pairs(option: &Option<Vec<(String, String)>>) -> impl Iterator<Item = (&str, &str)> {
    option
        .iter()
        .flatten()
        .map(|(name, what)| (name.as_str(), what.as_str()))
}
