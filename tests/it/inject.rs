//! `countersign inject`, in a process of its own, over the manifests of `tests/fixtures/inject`.
//!
//! Each input's first line says its flags; beside it stand what is printed (`NAME.out.yaml`) and what is told (`NAME.report.txt`).
//! `COUNTERSIGN_BLESS=1` writes both anew: read the difference before it is committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use countersign::clock::Clock;
use serde_json::{Value, json};

use crate::bed::{Connection, Issuer, Proxy, Request, Upstream};
use crate::program::{root, run};

fn folder() -> PathBuf {
    root().join("tests/fixtures/inject")
}

/// The inputs, by name.
fn inputs() -> Vec<PathBuf> {
    let all = fs::read_dir(folder())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut inputs: Vec<PathBuf> = all
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let stem = name.strip_suffix(".yaml").or(name.strip_suffix(".json"));
            stem.is_some_and(|stem| !stem.contains('.'))
        })
        .collect();
    inputs.sort();
    inputs
}

/// The flags of an input's first line.
fn flags(text: &str) -> Vec<String> {
    let first = text.lines().next().unwrap_or_default();
    let flags = first.strip_prefix("# inject").unwrap_or_default();
    flags.split_whitespace().map(str::to_owned).collect()
}

fn inject(flags: &[impl AsRef<std::ffi::OsStr>], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .arg("inject")
        .args(flags)
        .current_dir(folder())
        .env("COLUMNS", "130")
        .env_remove("NO_COLOR");
    run(&mut command, input)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[track_caller]
fn injected(flags: &[impl AsRef<std::ffi::OsStr>], input: &str) -> (String, String) {
    let output = inject(flags, input);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    (out, err)
}

/// What was refused: nothing is printed, for what is printed is applied.
#[track_caller]
fn refused(flags: &[&str], input: &str, told: &str) {
    let output = inject(flags, input);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert!(err.contains(told), "{told}: {err}");
}

/// All objects of a text, items of Lists included.
fn objects(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let documents = serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("YAML"));
    documents
        .flat_map(|document| match document["kind"].as_str() {
            Some("List") => document["items"].as_array().cloned().unwrap_or_default(),
            _ => vec![document],
        })
        .collect()
}

#[track_caller]
fn object(objects: &[Value], kind: &str, name: &str) -> Value {
    let found = objects
        .iter()
        .find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

fn golden(path: &Path, now: &str) {
    if std::env::var_os("COUNTERSIGN_BLESS").is_some() {
        fs::write(path, now).expect("a file");
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(now, wanted, "{}", path.display());
}

#[test]
fn inject_prints_and_tells_what_is_committed() {
    let inputs = inputs();
    assert!(inputs.len() >= 7, "{inputs:?}");
    for path in inputs {
        let input = fs::read_to_string(&path).expect("an input");
        let (out, told) = injected(&flags(&input), &input);
        let kind = path
            .extension()
            .and_then(|kind| kind.to_str())
            .unwrap_or_default();
        golden(&path.with_extension(format!("out.{kind}")), &out);
        golden(&path.with_extension("report.txt"), &told);
    }
}

#[test]
fn inject_applied_twice_changes_nothing() {
    for path in inputs() {
        let input = fs::read_to_string(&path).expect("an input");
        let flags = flags(&input);
        let (once, _) = injected(&flags, &input);
        let (twice, told) = injected(&flags, &once);
        assert_eq!(twice, once, "{}", path.display());
        assert!(!told.contains(" changed "), "{told}");
        assert!(told.contains("the proxy is there already"), "{told}");
        // By other flags, too: what is there stays.
        let (again, _) = injected(&["--sidecar", "classic", "--listen-port", "7777"], &once);
        if !flags.contains(&"--only".to_owned()) {
            assert_eq!(again, once, "{}", path.display());
        }
    }
}

/// Reads a file and what is in it, as the pod would.
fn check(config: &str, place: &Path) -> Output {
    let mounted = place.join("run");
    fs::create_dir_all(mounted.join("agent")).expect("a folder");
    let secret = mounted.join("agent/client-secret");
    fs::write(&secret, "only for this test").expect("a file");
    let private = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
    fs::set_permissions(&secret, private).expect("a file of ours");
    let here = |path: &Path| path.display().to_string();
    let config = config
        .replace("/run/countersign", &here(&mounted))
        .replace("/var/lib/countersign", &here(place));
    let file = place.join("countersign.yaml");
    fs::write(&file, config).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .arg("check")
        .arg("--deny-warnings")
        .arg(file)
        .output()
        .expect("the program")
}

#[test]
fn inject_prints_configurations_that_pass_check() {
    let mut seen = 0;
    for path in inputs() {
        let input = fs::read_to_string(&path).expect("an input");
        let (out, _) = injected(&flags(&input), &input);
        for one in objects(&out) {
            let Some(config) = one["data"]["countersign.yaml"].as_str() else {
                continue;
            };
            let place = tempfile::tempdir().expect("a folder");
            let output = check(config, place.path());
            assert!(
                output.status.success(),
                "{}: {}",
                path.display(),
                text(&output.stderr)
            );
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
    let place = tempfile::tempdir().expect("a folder");
    assert_eq!(check("routes: []\n", place.path()).status.code(), Some(64));
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        command: [uvicorn, 'app:app', --host, 0.0.0.0]
        ports: [{containerPort: 8000}]
";

const STARTING: [&str; 5] = [
    "--with-config",
    "--issuer",
    "https://id.example.org",
    "--audience",
    "api",
];

/// Probes of every kind end in a configuration that is valid and lets the kubelet in, and nobody else.
#[test]
fn inject_writes_a_configuration_for_every_kind_of_probe() {
    let rows = [
        (
            "livenessProbe: {httpGet: {path: /a, port: 8000}}",
            "\"/a\"",
            "http://127.0.0.1:8000",
        ),
        (
            "livenessProbe: {httpGet: {path: /, port: 8000}}",
            "\"/\"",
            "http://127.0.0.1:8000",
        ),
        (
            "livenessProbe: {httpGet: {port: 8000}}",
            "\"/\"",
            "http://127.0.0.1:8000",
        ),
        (
            "readinessProbe: {grpc: {port: 8000}}",
            "/grpc.health.v1.Health/Check",
            "h2c://127.0.0.1:8000",
        ),
        (
            "readinessProbe: {httpGet: {path: '/${HOME}', port: 8000}}",
            "/**",
            "http://127.0.0.1:8000",
        ),
        (
            "readinessProbe: {tcpSocket: {port: 8000}}",
            "/**",
            "http://127.0.0.1:8000",
        ),
        ("image: web:1", "/**", "http://127.0.0.1:8000"),
    ];
    for (probe, path, upstream) in rows {
        let input = DEPLOYMENT.replace("image: web:1", probe);
        let (out, _) = injected(&STARTING, &input);
        let config = object(&objects(&out), "ConfigMap", "web-countersign");
        let config = config["data"]["countersign.yaml"]
            .as_str()
            .expect("a configuration");
        let place = tempfile::tempdir().expect("a folder");
        let output = check(config, place.path());
        assert!(
            output.status.success(),
            "{probe}: {}{config}",
            text(&output.stderr)
        );
        let document: Value = serde_yaml::from_str(config).expect("YAML");
        assert_eq!(document["inbound"]["upstream"], upstream, "{probe}");
        assert!(config.contains(path), "{probe}: {config}");
        let open = document["routes"].as_array().expect("routes").iter();
        let anyone = open
            .filter(|route| route["allow"].to_string().contains("anyone"))
            .count();
        assert_eq!(anyone, usize::from(path != "/**"), "{probe}: {config}");
    }
}

/// What the kubelet asks for passes without a token, and nothing else does.
#[test]
fn inject_writes_a_configuration_that_lets_the_kubelet_in_and_nobody_else() {
    let (upstream, issuer) = (Upstream::start(), Issuer::start(&Clock::system()));
    let input = DEPLOYMENT.replace(
        "image: web:1",
        "livenessProbe: {httpGet: {path: /health, port: 8000}}",
    );
    let flags = [
        "--with-config",
        "--issuer",
        &issuer.iss,
        "--audience",
        "api",
    ];
    let (out, _) = injected(&flags, &input);
    let config = object(&objects(&out), "ConfigMap", "web-countersign");
    let config = config["data"]["countersign.yaml"]
        .as_str()
        .expect("a configuration");
    let keys = format!("{{url: \"{}\", allow_http: true}}", issuer.jwks_url());
    let here = config
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("0.0.0.0:9091", "127.0.0.1:0")
        .replace("127.0.0.1:9090", "127.0.0.1:0")
        .replace("http://127.0.0.1:8000", &upstream.url())
        .replace(
            "{discover: true, cache: /var/lib/countersign/main.json}",
            &keys,
        );
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("countersign.yaml");
    fs::write(&file, here).expect("a file");
    let proxy = Proxy::try_start(&file, &Clock::system(), &["inbound"]).expect("a proxy");
    let send =
        |request: &Request| Connection::open(proxy.address("inbound")).exchange(request.bytes());
    let probe = Request::get("/health")
        .host("10.1.2.3:8080")
        .header("User-Agent", "kube-probe/1.33");
    send(&probe).expect(200);
    send(&Request::get("/health?deep=1").host("10.1.2.3:8080")).expect(200);
    send(&Request::post("/health", "")).expect(401);
    send(&Request::get("/orders")).expect(401);
    assert_eq!(upstream.requests().len(), 2);
    let token = issuer.token().sign();
    send(&Request::get("/orders").bearer(&token)).expect(200);
    send(&Request::post("/health", "").bearer(&token)).expect(200);
}

#[test]
fn inject_shows_a_diff_and_no_more_where_it_is_a_dry_run() {
    let (diff, told) = injected(&["--dry-run"], DEPLOYMENT);
    for line in [
        "--- Deployment web",
        "+++ Deployment web",
        "-        - \"0.0.0.0\"",
        "+        - \"127.0.0.1\"",
        "+      - name: countersign",
    ] {
        assert!(diff.lines().any(|one| one == line), "{line}: {diff}");
    }
    assert!(told.contains("Deployment web"), "{told}");
    assert!(!diff.contains('\u{1b}'), "no colour outside terminals");
    let (once, _) = injected(&[""; 0], DEPLOYMENT);
    let (nothing, _) = injected(&["--dry-run"], &once);
    assert_eq!(nothing, "");
}

/// What the input holds and the proxy does not need stays as it was.
#[test]
fn inject_keeps_everything_else() {
    for path in inputs() {
        let input = fs::read_to_string(&path).expect("an input");
        let (out, _) = injected(&flags(&input), &input);
        let after = objects(&out);
        for before in objects(&kubernetes(&input)) {
            let name = before["metadata"]["name"].as_str().unwrap_or_default();
            let Some(now) = after.iter().find(|one| {
                one["kind"] == before["kind"]
                    && one["metadata"]["name"] == before["metadata"]["name"]
            }) else {
                panic!("{name} is gone")
            };
            for (key, value) in before.as_object().expect("an object") {
                if key != "spec" || before["kind"] == "NetworkPolicy" {
                    let now = &now[key];
                    let annotated = key == "metadata" && before["kind"] == "Pod";
                    assert!(
                        now == value || annotated,
                        "{}: {name}.{key}",
                        path.display()
                    );
                }
            }
        }
    }
}

/// `serde_yaml` reads YAML 1.2 and no merge keys; kubectl reads 1.1.
fn kubernetes(input: &str) -> String {
    input
        .replace("0440", "288")
        .replace("<<: *labels", "{app: django, \"on\": \"yes\"}")
}

#[test]
fn inject_speaks_json_where_it_is_spoken_to_in_json() {
    let input = fs::read_to_string(folder().join("kubectl.json")).expect("an input");
    let (out, told) = injected(&["--report", "json"], &input);
    let list: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    let report: Value = serde_json::from_str(&told).expect("JSON");
    let findings = report["findings"].as_array().expect("findings");
    assert!(findings.contains(&json!({
        "object": "Deployment web", "container": "web", "kind": "changed", "text": "variable HOST 0.0.0.0 → 127.0.0.1",
    })));
}

#[test]
fn inject_reads_files_and_standard_input_as_one() {
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("service.yaml");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}\n";
    fs::write(&file, service).expect("a file");
    let file = file.display().to_string();
    let (out, _) = injected(&["-", &file], DEPLOYMENT);
    assert_eq!(
        object(&objects(&out), "Service", "web")["spec"]["ports"][0]["targetPort"],
        8080
    );
    // One without ports stays without.
    let portless = service.replace(", ports: [{port: 80, targetPort: 8000}]", "");
    let (out, _) = injected(&[""; 0], &format!("{DEPLOYMENT}---\n{portless}"));
    assert_eq!(
        object(&objects(&out), "Service", "web")["spec"].get("ports"),
        None
    );
    // On its own it leads where it led.
    let (alone, told) = injected(&[&file], "");
    assert_eq!(
        object(&objects(&alone), "Service", "web")["spec"]["ports"][0]["targetPort"],
        8000
    );
    assert_eq!(told, "countersign: no workload in the input\n");
}

#[test]
fn inject_refuses_what_it_cannot_protect_and_prints_nothing() {
    let with = |from: &str, to: &str| DEPLOYMENT.replace(from, to);
    let two = with(
        "      - name: web\n",
        "      - {name: other, image: x, ports: [{containerPort: 1}]}\n      - name: web\n",
    );
    let annotated = |annotation: &str| {
        with(
            "labels: {app: web}}",
            &format!("labels: {{app: web}}, annotations: {{{annotation}}}}}"),
        )
    };
    let rows: [(&[&str], String, &str); 15] = [
        (
            &[],
            with("    spec:\n", "    spec:\n      hostNetwork: true\n"),
            "Deployment web: hostNetwork",
        ),
        (
            &[],
            with("    spec:\n", "    spec:\n      os: {name: windows}\n"),
            "Deployment web: os",
        ),
        (
            &[],
            with(
                "    spec:\n",
                "    spec:\n      volumes: [{name: countersign-config}]\n",
            ),
            "volume countersign-config",
        ),
        (&[], two, "which of other, web is the application?"),
        (
            &["--container", "wbe"],
            DEPLOYMENT.to_owned(),
            "no container is called wbe",
        ),
        (
            &[],
            with(
                "ports: [{containerPort: 8000}]",
                "ports: [{containerPort: 1}, {containerPort: 2}]",
            )
            .replace(
                "command: [uvicorn, 'app:app', --host, 0.0.0.0]",
                "tty: false",
            ),
            "which port does it listen on?",
        ),
        (
            &["--listen-port", "8000"],
            DEPLOYMENT.to_owned(),
            "8000 is a port of the pod's own",
        ),
        (
            &["--listen-port", "http"],
            DEPLOYMENT.to_owned(),
            "--listen-port: `http` is no port",
        ),
        (
            &["--config", "shell.countersign.yaml", "--listen-port", "9"],
            DEPLOYMENT.to_owned(),
            "listen-port: the configuration says another one",
        ),
        (
            &["--config", "shell.countersign.yaml"],
            with("8000", "9091"),
            "the configuration listens on 9091",
        ),
        (
            &["--config", "shell.yaml"],
            DEPLOYMENT.to_owned(),
            "the configuration: `probes.listen`",
        ),
        (
            &[],
            annotated("countersign.dev/listen-prot: '1'"),
            "did you mean `listen-port`?",
        ),
        (
            &[],
            annotated("countersign.dev/inject: 'yes'"),
            "neither enabled nor disabled",
        ),
        (
            &["--only", "Deployment/wbe"],
            DEPLOYMENT.to_owned(),
            "Deployment/wbe: not in the input",
        ),
        (&[], format!("{DEPLOYMENT}---\nkind: [\n"), "line"),
    ];
    for (flags, input, told) in rows {
        refused(flags, &input, told);
    }
    refused(
        &["--kube-version", "1.28"],
        DEPLOYMENT,
        "1.29 is the oldest",
    );
    refused(&["no/such/file"], "", "no/such/file");
    refused(&[], "{\"kind\": \"Pod\",", "JSON");
    // Its positive twin.
    injected(
        &["--container", "web", "--only", "deployment/WEB"],
        DEPLOYMENT,
    );
    // One that cannot be protected spoils the others: half of them would be applied.
    let mixed = format!(
        "{DEPLOYMENT}---\n{}",
        with("    spec:\n", "    spec:\n      hostNetwork: true\n")
            .replace("name: web}", "name: other}")
    );
    refused(&[], &mixed, "Deployment other: hostNetwork");
}

#[test]
fn inject_makes_one_config_map_for_all_who_share_it_and_reads_one_that_is_there() {
    let other = DEPLOYMENT.replace("{name: web}", "{name: other}");
    let both = format!("{DEPLOYMENT}---\n{other}");
    let flags = [
        "--config-map",
        "shared",
        "--config",
        "shell.countersign.yaml",
    ];
    let (out, _) = injected(&flags, &both);
    let kinds: Vec<_> = objects(&out)
        .iter()
        .map(|one| one["kind"].clone())
        .collect();
    assert_eq!(kinds, ["ConfigMap", "Deployment", "Deployment"]);
    let (apart, _) = injected(&flags[2..], &both);
    let kinds: Vec<_> = objects(&apart)
        .iter()
        .map(|one| one["kind"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["ConfigMap", "Deployment", "ConfigMap", "Deployment"]
    );
    // One that is there says the ports, and no other is made.
    let there = object(&objects(&out), "ConfigMap", "shared")
        .to_string()
        .replace("8080", "8088");
    let (out, _) = injected(
        &["--config-map", "shared"],
        &format!("{DEPLOYMENT}---\n{there}\n"),
    );
    let spec = object(&objects(&out), "Deployment", "web")["spec"]["template"]["spec"].clone();
    assert_eq!(spec["initContainers"][0]["ports"][0]["containerPort"], 8088);
    assert_eq!(objects(&out).len(), 2);
    // In another namespace it is another one.
    let elsewhere = there.replace(
        "\"name\":\"shared\"",
        "\"name\":\"shared\",\"namespace\":\"x\"",
    );
    let (out, _) = injected(
        &["--config-map", "shared"],
        &format!("{DEPLOYMENT}---\n{elsewhere}\n"),
    );
    let spec = object(&objects(&out), "Deployment", "web")["spec"]["template"]["spec"].clone();
    assert_eq!(spec["initContainers"][0]["ports"][0]["containerPort"], 8080);
    let empty = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\n";
    refused(
        &["--config-map", "shared"],
        &format!("{DEPLOYMENT}---\n{empty}"),
        "ConfigMap shared: it has no countersign.yaml",
    );
}

/// Where the API server judges tokens, the pod has what it is asked with, and somebody must let it ask.
#[test]
fn inject_mounts_the_pods_own_token_where_the_api_server_judges_tokens() {
    let config =
        fs::read_to_string(folder().join("shell.countersign.yaml")).expect("a configuration");
    let review = config.replace("jwks: {discover: true}", "verify: {token_review: {}}");
    let place = tempfile::tempdir().expect("a folder");
    let file = place.path().join("countersign.yaml");
    for (config, flags, mounted) in [
        (&review, vec![], true),
        (&config, vec![], false),
        (&config, vec!["--token-review"], true),
    ] {
        fs::write(&file, config).expect("a file");
        let path = file.display().to_string();
        let flags = [vec!["--config", &path], flags].concat();
        let (out, told) = injected(&flags, DEPLOYMENT);
        let spec = object(&objects(&out), "Deployment", "web")["spec"]["template"]["spec"].clone();
        let volumes = spec["volumes"].as_array().expect("volumes");
        assert_eq!(
            volumes
                .iter()
                .any(|volume| volume["name"] == "countersign-cluster"),
            mounted
        );
        assert_eq!(
            told.contains("let ServiceAccount default ask the API server"),
            mounted,
            "{told}"
        );
    }
}

#[test]
fn inject_is_strict_about_what_is_left_to_do() {
    let output = inject(&["--strict"], DEPLOYMENT);
    assert_eq!(
        output.status.code(),
        Some(1),
        "the ConfigMap is left to make"
    );
    assert!(!output.stdout.is_empty());
    let all = [&STARTING[..], &["--strict"]].concat();
    assert!(inject(&all, DEPLOYMENT).status.success());
}

/// Flags for all, annotations for one.
#[test]
fn inject_does_what_annotations_say_before_what_flags_say() {
    let annotated = DEPLOYMENT.replace(
        "labels: {app: web}}",
        "labels: {app: web}, annotations: {countersign.dev/listen-port: '9000', countersign.dev/sidecar: classic, \
         countersign.dev/image: 'x:1', countersign.dev/app-sleep: '0', countersign.dev/secrets: 'tls=web-tls', countersign.dev/cpu: 100m}}",
    );
    let flags = [
        "--listen-port",
        "9001",
        "--image",
        "y:1",
        "--memory",
        "40Mi",
        "--token",
        "a=b",
        "--token",
        "c=d",
    ];
    let (out, _) = injected(&flags, &annotated);
    let spec = object(&objects(&out), "Deployment", "web")["spec"]["template"]["spec"].clone();
    assert!(spec.get("initContainers").is_none());
    assert!(spec["containers"][0].get("lifecycle").is_none());
    let proxy = &spec["containers"][1];
    assert_eq!(
        (&proxy["image"], &proxy["ports"][0]["containerPort"]),
        (&json!("x:1"), &json!(9000))
    );
    assert!(proxy.get("restartPolicy").is_none());
    assert_eq!(
        proxy["resources"]["requests"],
        json!({"cpu": "100m", "memory": "40Mi"})
    );
    let mounted: Vec<&str> = proxy["volumeMounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    assert_eq!(
        mounted,
        [
            "/etc/countersign",
            "/var/lib/countersign",
            "/run/countersign/tls",
            "/run/countersign/a",
            "/run/countersign/c"
        ]
    );
    let volumes = spec["volumes"].as_array().expect("volumes");
    assert!(volumes.contains(
        &json!({"name": "countersign-tls", "secret": {"secretName": "web-tls", "defaultMode": 292}})
    ));
    let token = json!({"path": "token", "audience": "d", "expirationSeconds": 3600});
    assert!(volumes.contains(&json!({"name": "countersign-c", "projected": {"sources": [{"serviceAccountToken": token}]}})));
}

/// Before Kubernetes 1.30 there is no sleep action, and what is not known to the API server must not be sent.
#[test]
fn inject_sleeps_where_the_cluster_can() {
    for (flags, sleeps, grace) in [
        (vec![], true, 65),
        (vec!["--kube-version", "1.30"], true, 65),
        (vec!["--kube-version", "1.29.3"], false, 60),
    ] {
        let (out, _) = injected(&flags, DEPLOYMENT);
        let spec = object(&objects(&out), "Deployment", "web")["spec"]["template"]["spec"].clone();
        assert_eq!(
            spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5,
            sleeps
        );
        assert_eq!(spec["terminationGracePeriodSeconds"], grace);
    }
}
