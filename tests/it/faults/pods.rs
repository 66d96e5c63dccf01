//! What a pod does to the proxy: volumes that are swapped, and CPU that is given and taken.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use countersign::clock::Clock;
use rustix::process::Signal;
use serde_json::Value;

use super::program::{Program, World, open};
use crate::bed::keys::{ED25519_1, ES256_1, RSA_1, RSA_2};
use crate::bed::{
    Connection, Issuer, Key, Proxy, Request, TokenEndpoint, Upstream, eventually, secrets, tls,
};
use crate::program::skip;

/// A volume as the kubelet writes it: files lead through `..data`, which is swapped in one step; the old ones go then.
struct Volume {
    root: PathBuf,
    writes: usize,
}

impl Volume {
    fn new(root: &Path) -> Self {
        let root = root.to_owned();
        Self { root, writes: 0 }
    }

    fn publish(&mut self, files: &[(&str, String)]) {
        let old = fs::read_link(self.root.join("..data")).ok();
        self.writes += 1;
        let name = format!("..2027_01_15_{}", self.writes);
        let folder = self.root.join(&name);
        fs::create_dir(&folder).expect("a folder");
        for (file, text) in files {
            fs::write(folder.join(file), text).expect("a file");
        }
        let beside = self.root.join("..data_tmp");
        std::os::unix::fs::symlink(&name, &beside).expect("a link");
        fs::rename(&beside, self.root.join("..data")).expect("a swap");
        for (file, _) in files {
            let link = self.root.join(file);
            if fs::symlink_metadata(&link).is_err() {
                std::os::unix::fs::symlink(format!("..data/{file}"), link).expect("a link");
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.root.join(old)).expect("a folder");
        }
    }
}

/// What changes in one swap.
struct Version {
    /// Open under this configuration alone.
    path: &'static str,
    key: &'static Key,
    served: tls::Identity,
    assertion: &'static Key,
    client_secret: String,
}

impl Version {
    fn files(&self, world: &Pod) -> Vec<(&'static str, String)> {
        let jwks = serde_json::json!({"keys": [self.key.jwk()]}).to_string();
        vec![
            ("config.yaml", world.config(self.path)),
            ("jwks.json", jwks),
            ("tls.crt", self.served.certificate.clone()),
            ("tls.key", self.served.key.clone()),
            ("assertion.pem", self.assertion.pem().to_owned()),
            ("client-secret", self.client_secret.clone()),
        ]
    }
}

struct Pod {
    upstream: Upstream,
    issuer: Issuer,
    tokens: TokenEndpoint,
}

impl Pod {
    fn config(&self, path: &str) -> String {
        format!(
            "workers: 2\nadmin: {{listen: 127.0.0.1:0}}\n\
             inbound:\n  - {{name: plain, listen: 127.0.0.1:0, upstream: {upstream}}}\n  \
             - {{name: tls, listen: 127.0.0.1:0, upstream: {upstream}, tls: {{certificate: {{file: tls.crt}}, key: {{file: tls.key}}}}}}\n\
             issuers: [{{name: main, issuer: \"{iss}\", jwks: {{file: jwks.json}}, audiences: [api], algorithms: [RS256]}}]\n\
             identity: {{assertion: {{header: x-auth-assertion, key: {{file: assertion.pem}}, audience: api}}}}\n\
             credentials: {{agent: {{token_endpoint: {{url: \"{tokens}\"}}, allow_http: true, client_id: agent, client_authentication: {{client_secret_basic: {{file: client-secret}}}}}}}}\n\
             outbound: {{name: out, listen: 127.0.0.1:0, upstream: {upstream}, credential: agent}}\n\
             callers: {{web: {{issuer: main}}}}\n\
             routes: [{{path: /open, allow: anyone}}, {{path: /private, allow: web}}, {{path: {path}, allow: anyone}}]\n",
            upstream = self.upstream.url(),
            iss = self.issuer.iss,
            tokens = self.tokens.url(),
        )
    }

    /// The secrets that the token endpoint was shown, in order.
    fn shown(&self) -> Vec<String> {
        use base64::Engine as _;
        let decode = |value: &str| {
            let encoded = value.strip_prefix("Basic ")?;
            let pair = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .ok()?;
            let pair = String::from_utf8(pair).ok()?;
            Some(pair.split_once(':')?.1.to_owned())
        };
        let requests = self.tokens.requests();
        requests
            .iter()
            .filter_map(|request| decode(request.header("authorization")?))
            .collect()
    }
}

/// The certificate that a new connection is shown.
fn served(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let mut session =
        rustls::ClientConnection::new(tls::client_config(&[], None), name).expect("a session");
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("a handshake");
    }
    session.peer_certificates().expect("a certificate")[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .expect("a certificate")
        .to_vec()
}

/// Asks until it is told to stop, and counts what it asked. `status` is what may be answered.
fn ask(
    connect: impl Fn() -> Connection,
    request: &Request,
    statuses: &[u16],
    (stop, asked): (&AtomicBool, &AtomicUsize),
) {
    let mut client = connect();
    while !stop.load(Ordering::Relaxed) {
        let answer = client.exchange(request.bytes());
        assert!(
            statuses.contains(&answer.status),
            "{}: {}",
            request.target,
            answer.status
        );
        asked.fetch_add(1, Ordering::Relaxed);
        if answer.header("connection") == Some("close") {
            client = connect();
        }
    }
}

/// Configuration, key set, certificate and secrets at once, back and forth, while requests come in.
#[test]
fn invariant_54_one_swap_of_a_volume_renews_everything_and_loses_no_request() {
    let clock = Clock::system();
    let pod = Pod {
        upstream: Upstream::start(),
        issuer: Issuer::start(&clock),
        tokens: TokenEndpoint::start(),
    };
    // A token stays good when the secret changes; the next request for one shows the new secret.
    pod.tokens.lifetime(Some(2));
    let dir = tempfile::tempdir().expect("a folder");
    let versions =
        [("/one", &RSA_1, &ED25519_1), ("/two", &RSA_2, &ES256_1)].map(|(path, key, assertion)| {
            let client_secret = format!("hush-{}-hush-hush", path.trim_start_matches('/'));
            secrets::learn("a client's secret", &client_secret);
            secrets::learn_key("the key of assertions", assertion.pem());
            let served = tls::identity(&["localhost"], &[]);
            Version {
                path,
                key,
                served,
                assertion,
                client_secret,
            }
        });
    let mut volume = Volume::new(dir.path());
    volume.publish(&versions[0].files(&pod));
    let config = dir.path().join("config.yaml");
    let proxy = Proxy::try_start(&config, &clock, &["plain", "tls", "out"]).expect("a start");
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let count = (&stop, &asked);
    let private = |version: &Version| {
        let token = pod.issuer.token().key(version.key).sign();
        Request::get("/private").bearer(token)
    };
    let plain = || Connection::open(proxy.address("plain"));
    let resumed = tls::client_config(&[b"http/1.1"], None);
    std::thread::scope(|scope| {
        scope.spawn(|| ask(plain, &Request::get("/open"), &[200], count));
        scope.spawn(|| {
            // A handshake for each request: some of them meet the new certificate.
            let closing = Request::get("/open").header("connection", "close");
            let connect = || Connection::tls(proxy.address("tls"), std::sync::Arc::clone(&resumed));
            ask(connect, &closing, &[200], count);
        });
        for version in &versions {
            let request = private(version);
            scope.spawn(move || ask(plain, &request, &[200, 401], count));
        }
        // The load ends also where an expectation fails.
        let _stop = Stop(&stop);
        let status = |request: &Request| {
            asked.fetch_add(1, Ordering::Relaxed);
            plain().exchange(request.bytes()).status
        };
        let [one, two] = &versions;
        for (now, before) in [(one, two), (two, one), (one, two), (two, one)] {
            if volume.writes > 1 || std::ptr::eq(now, two) {
                volume.publish(&now.files(&pod));
            }
            eventually("the new configuration", || {
                status(&Request::get(now.path)) == 200
            });
            assert_eq!(status(&Request::get(before.path)), 403);
            eventually("the new key set", || status(&private(now)) == 200);
            eventually("the old keys are gone", || status(&private(before)) == 401);
            eventually("the new certificate", || {
                served(proxy.address("tls")) == der(&now.served.certificate)
            });
            eventually("the new key of assertions", || {
                status(&private(now));
                let requests = pod.upstream.requests();
                let last = requests.iter().rev().find(|it| it.target == "/private");
                let assertion = last.and_then(|it| it.header("x-auth-assertion"));
                let header = assertion.and_then(|it| jsonwebtoken::decode_header(it).ok());
                header.is_some_and(|it| format!("{:?}", it.alg) == now.assertion.alg)
            });
            eventually("the new client secret", || {
                pod.shown().last() == Some(&now.client_secret)
            });
            let seen = asked.load(Ordering::Relaxed);
            eventually("requests after the swap", || {
                asked.load(Ordering::Relaxed) > seen + 50
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Each was answered, and each answer has its record.
    let asked = asked.into_inner();
    proxy.await_records(asked);
    let mut records = proxy.records();
    records.retain(|record| record["type"] == "request");
    assert_eq!(records.len(), asked);
    let expected = |record: &Value| [200, 401, 403].map(Value::from).contains(&record["status"]);
    assert!(records.iter().all(expected));
    let loaded = proxy
        .events()
        .iter()
        .filter(|line| line["event"] == "config.reloaded")
        .count();
    assert!(loaded >= 3, "{loaded}");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A cgroup of its own for a process, with a quota of CPU.
struct Group {
    dir: PathBuf,
    version_2: bool,
}

impl Group {
    /// Where this machine allows it.
    fn new() -> Result<Self, String> {
        let name = format!("countersign-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let controllers =
            fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
        let version_2 = controllers
            .split_whitespace()
            .any(|controller| controller == "cpu");
        let dir = if version_2 {
            root.join(name)
        } else {
            root.join("cpu").join(name)
        };
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let group = Self { dir, version_2 };
        group.set(100_000).map_err(|error| error.to_string())?;
        Ok(group)
    }

    /// Microseconds in each tenth of a second.
    fn set(&self, quota: u64) -> std::io::Result<()> {
        if self.version_2 {
            return fs::write(self.dir.join("cpu.max"), format!("{quota} 100000"));
        }
        fs::write(self.dir.join("cpu.cfs_period_us"), "100000")?;
        fs::write(self.dir.join("cpu.cfs_quota_us"), quota.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.dir));
    }
}

/// A container may be resized in place: the system applies the quota to the threads that run, their number stays.
#[test]
fn a_changed_cpu_quota_holds_at_once_and_changes_the_workers_at_the_next_start() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return skip("cgroup", &why),
    };
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return skip(
            "cgroup",
            "one CPU has room for one worker, whatever the quota",
        );
    }
    let world = World::new();
    let config = world.dir.path().join("config.yaml");
    fs::write(&config, world.text().replace("workers: 1", "workers: auto")).expect("a file");
    let start = |quota: u64| {
        group.set(quota).expect("a quota");
        let join = format!("echo $$ > {}/cgroup.procs", group.dir.display());
        let program = Program::after(&config, &join);
        let workers = program.event("proxy.started")["workers"]
            .as_u64()
            .expect("a number");
        (program, workers)
    };
    let served = || Connection::open(world.inbound).exchange(open()).status;
    // From half a CPU to one and a half, and back: rounded up.
    for (quota, workers, other) in [(50_000, 1, 150_000), (150_000, 2, 50_000)] {
        let (mut program, found) = start(quota);
        assert_eq!(found, workers, "{quota}");
        assert_eq!(served(), 200);
        program.signal(Signal::HUP);
        program.await_event("config.reloaded", 1);
        assert_eq!(
            program.count("event", "config.restart_needed"),
            0,
            "nothing changed yet"
        );
        group.set(other).expect("a quota");
        assert_eq!(served(), 200);
        program.signal(Signal::HUP);
        assert_eq!(program.event("config.restart_needed")["what"], "workers");
        assert_eq!(served(), 200);
        program.signal(Signal::TERM);
        assert_eq!(program.end().code(), Some(0));
    }
}
