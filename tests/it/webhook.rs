//! `countersign webhook`, in a process of its own, asked by AdmissionReviews over TLS as an API server asks.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Connection, PATIENCE, Request, Response, eventually, tls};
use crate::program::run;

/// The webhook, running; killed when dropped.
struct Webhook {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    dir: tempfile::TempDir,
    address: SocketAddr,
}

fn identity(dir: &Path) {
    let identity = tls::identity(&["localhost"], &[]);
    write(dir, "tls.crt", &identity.certificate);
    write(dir, "tls.key", &identity.key);
}

/// As cert-manager's volumes change: never half.
fn write(dir: &Path, name: &str, text: &str) {
    let new = dir.join(format!("{name}.new"));
    std::fs::write(&new, text).expect("a file");
    std::fs::rename(new, dir.join(name)).expect("a file");
}

fn command(dir: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(["webhook", "--listen", "127.0.0.1:0", "--certificate"])
        .arg(dir.join("tls.crt"))
        .arg("--key")
        .arg(dir.join("tls.key"))
        .args(flags);
    command
}

impl Webhook {
    fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        identity(dir.path());
        let mut child = command(dir.path(), flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::Null);
                into.lock().expect("lines").push(line);
            }
        });
        let mut webhook = Self {
            child,
            lines,
            dir,
            address: ([127, 0, 0, 1], 0).into(),
        };
        let started = webhook.event("webhook.started");
        webhook.address = started["address"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("an address");
        webhook
    }

    /// Waits for the event and returns its line.
    fn event(&self, name: &str) -> Value {
        let find = || {
            self.lines
                .lock()
                .expect("lines")
                .iter()
                .find(|line| line["event"] == name)
                .cloned()
        };
        eventually(name, || find().is_some());
        find().expect("an event")
    }

    fn connect(&self) -> Connection {
        Connection::tls(
            self.address,
            tls::client_config(&[b"h2", b"http/1.1"], None),
        )
    }

    fn ask(&self, request: &Request) -> Response {
        self.connect().exchange(request.bytes())
    }

    fn post(&self, path: &str, body: &[u8]) -> Response {
        let request = Request::new("POST", path)
            .header("Content-Type", "application/json")
            .body(body);
        self.ask(&request)
    }

    /// The response to a review, which is always a review, with status 200.
    #[track_caller]
    fn review(&self, path: &str, review: &Value) -> Value {
        let answer = self.post(path, review.to_string().as_bytes()).expect(200);
        response(&answer)
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("a process");
    }

    fn end(&mut self) -> ExitStatus {
        let mut ended = None;
        for _ in 0..2 {
            let child = std::cell::RefCell::new(&mut self.child);
            let status = std::cell::Cell::new(None);
            eventually("the end of the program", || {
                status.set(child.borrow_mut().try_wait().expect("a child"));
                status.get().is_some()
            });
            ended = status.get();
        }
        ended.expect("an end")
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[track_caller]
fn response(answer: &Response) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let review = answer.json();
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    review["response"].clone()
}

/// A pod as a ReplicaSet makes it, and as the API server fills it in.
fn pod(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-7d9c5b7f6-",
            "namespace": "shop",
            "labels": {"app": "web", "pod-template-hash": "7d9c5b7f6"},
            "annotations": annotations,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9c5b7f6", "uid": "1", "controller": true}],
        },
        "spec": {
            "containers": [{
                "name": "web",
                "image": "web:1",
                "command": ["uvicorn", "app:app", "--host", "0.0.0.0"],
                "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
                "livenessProbe": {"httpGet": {"path": "/health", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1},
                "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
            }],
            "volumes": [{"name": "kube-api-access-x", "projected": {"sources": []}}],
            "terminationGracePeriodSeconds": 30,
            "restartPolicy": "Always",
        },
        "status": {},
    })
}

fn asking() -> Value {
    json!({"countersign.dev/inject": "enabled"})
}

/// What the API server sends when the pod is to be made.
fn creation(pod: &Value) -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "uid": "2", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// Changes what stands at a JSON pointer.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("no {pointer}")) = new;
    value
}

fn patch(response: &Value) -> Vec<Value> {
    assert_eq!(response["patchType"], "JSONPatch");
    let patch = response["patch"].as_str().expect("a patch");
    let patch = base64::engine::general_purpose::STANDARD
        .decode(patch)
        .expect("base64");
    serde_json::from_slice(&patch).expect("a list")
}

/// As the API server applies it (RFC 6902).
fn apply(mut object: Value, operations: &[Value]) -> Value {
    for one in operations {
        let (parent, last) = one["path"]
            .as_str()
            .and_then(|path| path.rsplit_once('/'))
            .expect("a path");
        let last = last.replace("~1", "/").replace("~0", "~");
        let here = object
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{one}"));
        match (here, one["op"].as_str().expect("a word")) {
            (Value::Object(map), "add") => {
                assert!(map.insert(last, one["value"].clone()).is_none(), "{one}")
            }
            (Value::Object(map), "replace") => {
                assert!(map.insert(last, one["value"].clone()).is_some(), "{one}")
            }
            (Value::Array(items), "add") => {
                items.insert(last.parse().expect("a place"), one["value"].clone())
            }
            (Value::Array(items), "replace") => {
                items[last.parse::<usize>().expect("a place")] = one["value"].clone()
            }
            _ => panic!("{one}"),
        }
    }
    object
}

#[test]
fn webhook_does_to_a_pod_what_inject_does_to_its_manifest() {
    let webhook = Webhook::start(&["--image", "registry.example.org/countersign:1"]);
    let pod = pod(&asking());
    let answer = webhook.review("/inject", &creation(&pod));
    assert_eq!(answer["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(answer["allowed"], true);
    let patched = apply(pod.clone(), &patch(&answer));
    let mut inject = Command::new(env!("CARGO_BIN_EXE_countersign"));
    inject.args([
        "inject",
        "--config-map",
        "countersign",
        "--image",
        "registry.example.org/countersign:1",
    ]);
    let manifest: Value =
        serde_json::from_slice(&run(&mut inject, &pod.to_string()).stdout).expect("JSON");
    assert_eq!(patched, manifest);
    assert_eq!(patched["spec"]["initContainers"][0]["name"], "countersign");
    assert_eq!(patched["spec"]["containers"][0]["command"][3], "127.0.0.1");
    let warnings = answer["warnings"].as_array().expect("warnings");
    assert!(
        warnings.iter().any(|one| one
            .as_str()
            .is_some_and(|one| one.contains("let anyone GET /health"))),
        "{warnings:?}"
    );
    assert!(
        warnings
            .iter()
            .all(|one| one.as_str().is_some_and(|one| one.len() <= 256))
    );
    let line = webhook.event("webhook.injected");
    assert_eq!(
        (&line["namespace"], &line["name"]),
        (&json!("shop"), &json!("web-7d9c5b7f6-"))
    );
    // A pod that has the proxy is let through, as it is when the API server asks once more.
    let again = webhook.review("/inject", &creation(&patched));
    assert_eq!(
        (&again["allowed"], again.get("patch")),
        (&json!(true), None)
    );
}

/// Each row: where it is asked; what; whether the pod is let through; whether it gets the proxy.
#[test]
fn webhook_injects_what_asks_for_it_and_nothing_else() {
    let webhook = Webhook::start(&[]);
    let asked = creation(&pod(&asking()));
    let unsaid = creation(&pod(&json!({"other": "x"})));
    let disabled = creation(&pod(&json!({"countersign.dev/inject": "disabled"})));
    let mut bare = pod(&asking());
    bare["metadata"]
        .as_object_mut()
        .expect("an object")
        .remove("annotations");
    let mut nameless = pod(&asking());
    nameless["metadata"]["name"] = json!("web");
    let deployment = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    let of_a_job = with(
        pod(&asking()),
        "/metadata/ownerReferences/0/kind",
        json!("Job"),
    );
    let of_a_job = with(
        of_a_job,
        "/spec/containers/0",
        json!({"name": "job", "image": "job:1"}),
    );
    let rows = [
        ("a pod of a ReplicaSet", "/inject", asked.clone(), true),
        ("a pod with a name", "/inject", creation(&nameless), true),
        (
            "a dry run",
            "/inject",
            with(asked.clone(), "/request/dryRun", json!(true)),
            true,
        ),
        ("no wish", "/inject", unsaid.clone(), false),
        ("no annotations", "/inject", creation(&bare), false),
        ("a wish not to", "/inject", disabled.clone(), false),
        (
            "no wish, in a namespace of all",
            "/inject/all",
            unsaid,
            true,
        ),
        (
            "no annotations, in a namespace of all",
            "/inject/all",
            creation(&bare),
            true,
        ),
        (
            "a wish, in a namespace of all",
            "/inject/all",
            asked.clone(),
            true,
        ),
        (
            "a wish not to, in a namespace of all",
            "/inject/all",
            disabled,
            false,
        ),
        ("a pod of a Job", "/inject", creation(&of_a_job), true),
        (
            "an update",
            "/inject",
            with(asked.clone(), "/request/operation", json!("UPDATE")),
            false,
        ),
        (
            "a deletion",
            "/inject",
            with(
                with(asked.clone(), "/request/operation", json!("DELETE")),
                "/request/object",
                Value::Null,
            ),
            false,
        ),
        (
            "another kind",
            "/inject",
            with(asked.clone(), "/request/kind", deployment),
            false,
        ),
    ];
    for (what, path, review, injected) in rows {
        let answer = webhook.review(path, &review);
        assert_eq!(answer["allowed"], true, "{what}: {answer}");
        assert_eq!(answer.get("patch").is_some(), injected, "{what}: {answer}");
        assert_eq!(answer["uid"], review["request"]["uid"], "{what}");
    }
    let mut sub = asked;
    sub["request"]["subResource"] = json!("ephemeralcontainers");
    assert_eq!(webhook.review("/inject", &sub).get("patch"), None);
}

/// A pod that asks and cannot have it would run open: it is not let through, and its creator reads why.
#[test]
fn webhook_refuses_pods_that_it_cannot_protect() {
    let webhook = Webhook::start(&[]);
    let good = pod(&asking());
    let mut network = good.clone();
    network["spec"]["hostNetwork"] = json!(true);
    let mut two = good.clone();
    two["spec"]["containers"] =
        json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]);
    let with_annotation = |name: &str, value: &str| {
        let mut annotations = asking();
        annotations[name] = json!(value);
        pod(&annotations)
    };
    for (pod, told) in [
        (network.clone(), "countersign: hostNetwork"),
        (two, "which of a, b is the application?"),
        (
            with_annotation("countersign.dev/listen-prot", "1"),
            "did you mean `listen-port`?",
        ),
        (
            with_annotation("countersign.dev/listen-port", "x"),
            "`x` is no port",
        ),
        (
            pod(&json!({"countersign.dev/inject": "true"})),
            "neither enabled nor disabled",
        ),
    ] {
        let answer = webhook.review("/inject", &creation(&pod));
        assert_eq!(answer["allowed"], false, "{answer}");
        assert_eq!(answer["status"]["code"], 403, "{answer}");
        let message = answer["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(told), "{told}: {message}");
        assert_eq!(answer.get("patch"), None);
    }
    assert!(
        webhook.event("webhook.denied")["reason"]
            .as_str()
            .is_some_and(|why| why.contains("hostNetwork"))
    );
    // One that does not ask is nobody's business.
    network["metadata"]["annotations"] = json!({});
    assert_eq!(
        webhook.review("/inject", &creation(&network))["allowed"],
        true
    );
    assert_eq!(webhook.review("/inject", &creation(&good))["allowed"], true);
}

/// What cannot be read gets a review all the same, refused in its status: never a 500.
#[test]
fn webhook_answers_what_it_cannot_read() {
    let webhook = Webhook::start(&[]);
    let good = creation(&pod(&asking()));
    let uid = good["request"]["uid"].clone();
    let mut without_object = good.clone();
    without_object["request"]
        .as_object_mut()
        .expect("an object")
        .remove("object");
    let mut without_request = good.clone();
    without_request
        .as_object_mut()
        .expect("an object")
        .remove("request");
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let rows = [
        ("nothing", String::new(), "", "no JSON"),
        ("no JSON", "{".to_owned(), "", "no JSON"),
        (
            "text",
            "\"AdmissionReview\"".to_owned(),
            "",
            "is not admission.k8s.io/v1",
        ),
        ("nested without end", deep, "", "no JSON"),
        (
            "a version of before",
            with(
                good.clone(),
                "/apiVersion",
                json!("admission.k8s.io/v1beta1"),
            )
            .to_string(),
            "uid",
            "admission.k8s.io/v1beta1 AdmissionReview is not",
        ),
        (
            "another kind",
            with(good.clone(), "/kind", json!("ConversionReview")).to_string(),
            "uid",
            "ConversionReview is not",
        ),
        (
            "no request",
            without_request.to_string(),
            "",
            "request.uid is missing",
        ),
        (
            "no object",
            without_object.to_string(),
            "uid",
            "request.object is missing",
        ),
        (
            "an object that is none",
            with(good.clone(), "/request/object", json!([1])).to_string(),
            "uid",
            "request.object is missing",
        ),
        (
            "an empty object",
            with(good.clone(), "/request/object", json!({})).to_string(),
            "let through",
            "",
        ),
    ];
    for (what, body, echoed, told) in rows {
        let answer = response(&webhook.post("/inject", body.as_bytes()).expect(200));
        if echoed == "let through" {
            assert_eq!(
                (&answer["allowed"], answer.get("patch")),
                (&json!(true), None),
                "{what}"
            );
            continue;
        }
        assert_eq!(answer["allowed"], false, "{what}: {answer}");
        assert_eq!(answer["status"]["code"], 400, "{what}: {answer}");
        let message = answer["status"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(told), "{what}: {message}");
        assert_eq!(
            answer["uid"],
            if echoed == "uid" {
                uid.clone()
            } else {
                json!("")
            },
            "{what}"
        );
    }
    let empty = with(
        creation(&pod(&asking())),
        "/request/object/spec",
        Value::Null,
    );
    assert_eq!(
        webhook.review("/inject", &empty)["allowed"],
        false,
        "a pod that asks and has no spec"
    );
    let typed = Request::new("POST", "/inject")
        .header("Content-Type", "text/yaml")
        .body(good.to_string().as_bytes());
    let answer = response(&webhook.ask(&typed).expect(200));
    assert_eq!(answer["status"]["code"], 415, "{answer}");
    webhook.event("webhook.unreadable");
    assert_eq!(
        webhook.review("/inject", &good)["allowed"],
        true,
        "and it serves on"
    );
}

#[test]
fn webhook_reads_seven_mebibytes_and_no_more() {
    let webhook = Webhook::start(&[]);
    let padded = |length: usize| {
        let mut review = creation(&pod(&asking()));
        review["padding"] = json!("");
        let padding = length - review.to_string().len();
        review["padding"] = json!("x".repeat(padding));
        review.to_string()
    };
    // Few bytes may stand for much memory: as many values as no pod has.
    let many = with(
        creation(&pod(&asking())),
        "/request/options",
        json!(vec![0; 200_000]),
    );
    let answer = webhook.review("/inject", &many);
    assert_eq!(
        (&answer["allowed"], &answer["status"]["code"]),
        (&json!(false), &json!(413)),
        "{answer}"
    );
    let most = countersign::inject::MOST_BYTES;
    let answer = response(&webhook.post("/inject", padded(most).as_bytes()).expect(200));
    assert_eq!(answer["allowed"], true, "{answer}");
    let answer = response(
        &webhook
            .post("/inject", padded(most + 1).as_bytes())
            .expect(200),
    );
    assert_eq!(
        (&answer["allowed"], &answer["status"]["code"]),
        (&json!(false), &json!(413)),
        "{answer}"
    );
}

/// Bodies that are large and do not come hold each other up, and nobody else.
#[test]
fn webhook_answers_small_reviews_while_large_ones_are_on_their_way() {
    let webhook = Webhook::start(&[]);
    let head = "POST /inject HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 7000000\r\n\r\n{";
    let mut slow: Vec<Connection> = (0..4).map(|_| webhook.connect()).collect();
    for connection in &mut slow {
        // It is read: an answer on the same connection came before it.
        connection
            .exchange(Request::get("/healthz").bytes())
            .expect(200);
        connection.send(head);
    }
    let answer = webhook.review("/inject", &creation(&pod(&asking())));
    assert_eq!(answer["allowed"], true);
}

#[test]
fn webhook_serves_its_paths_and_methods_alone() {
    let webhook = Webhook::start(&[]);
    webhook.ask(&Request::get("/healthz")).expect(200);
    let refused = webhook.ask(&Request::new("DELETE", "/healthz")).expect(405);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    let refused = webhook.ask(&Request::get("/inject")).expect(405);
    assert_eq!(refused.header("allow"), Some("POST"));
    for path in ["/", "/inject/", "/inject/none", "/metrics"] {
        webhook.ask(&Request::get(path)).expect(404);
    }
    // Whoever speaks no TLS gets nothing, and spoils nothing.
    Connection::open(webhook.address)
        .send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .read_end();
    webhook.ask(&Request::get("/healthz")).expect(200);
}

/// The certificate that a new connection sees.
fn presented(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let mut session = rustls::ClientConnection::new(tls::client_config(&[b"http/1.1"], None), name)
        .expect("a session");
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("a handshake");
    }
    session
        .peer_certificates()
        .and_then(<[_]>::first)
        .expect("a certificate")
        .to_vec()
}

#[test]
fn webhook_serves_a_renewed_certificate_without_a_restart() {
    let webhook = Webhook::start(&[]);
    let first = presented(webhook.address);
    assert_eq!(presented(webhook.address), first);
    let mut open = webhook.connect();
    open.exchange(Request::get("/healthz").bytes()).expect(200);
    // One that cannot be used changes nothing.
    write(webhook.dir.path(), "tls.crt", "no certificate");
    webhook.event("webhook.certificate_rejected");
    assert_eq!(presented(webhook.address), first);
    identity(webhook.dir.path());
    eventually("the new certificate", || {
        presented(webhook.address) != first
    });
    webhook.event("webhook.certificate_reloaded");
    open.exchange(Request::get("/healthz").bytes()).expect(200);
}

#[test]
fn webhook_answers_what_is_in_flight_when_it_is_told_to_end() {
    let mut webhook = Webhook::start(&["--drain-delay", "0", "--drain-deadline", "60"]);
    let review = creation(&pod(&asking())).to_string();
    let request = Request::new("POST", "/inject")
        .header("Content-Type", "application/json")
        .body(review.as_bytes());
    let bytes = request.bytes();
    let (begin, rest) = bytes.split_at(bytes.len() - 10);
    let mut connection = webhook.connect();
    // It is read: an answer on the same connection came before it.
    connection
        .exchange(Request::get("/healthz").bytes())
        .expect(200);
    connection.send(begin);
    webhook.signal(Signal::TERM);
    eventually("it accepts no more", || {
        TcpStream::connect(webhook.address).is_err()
    });
    connection.send(rest);
    let answer = connection.read_to("POST").expect("an answer");
    assert_eq!(response(&answer)["allowed"], true);
    assert!(webhook.end().success());
    webhook.event("drain.finished");
}

#[test]
fn webhook_goes_on_serving_until_nobody_asks_and_a_second_signal_ends_it() {
    let mut webhook = Webhook::start(&["--drain-delay", "3600"]);
    webhook.signal(Signal::TERM);
    webhook.event("drain.started");
    webhook.ask(&Request::get("/healthz")).expect(200);
    webhook.signal(Signal::TERM);
    assert!(webhook.end().success());
}

#[test]
fn webhook_does_not_start_without_a_certificate_or_with_flags_that_mean_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    for (prepare, flags, told) in [
        ("", &[][..], "tls.crt: no such file"),
        ("swap", &[], "tls.crt"),
        (
            "good",
            &["--listen-port", "http"],
            "--listen-port: `http` is no port",
        ),
    ] {
        match prepare {
            "" => {}
            "swap" => {
                let (one, other) = (
                    tls::identity(&["localhost"], &[]),
                    tls::identity(&["localhost"], &[]),
                );
                write(dir.path(), "tls.crt", &one.certificate);
                write(dir.path(), "tls.key", &other.key);
            }
            _ => identity(dir.path()),
        }
        let output = command(dir.path(), flags).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(told), "{told}: {said}");
    }
}
