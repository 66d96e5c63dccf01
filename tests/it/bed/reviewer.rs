//! The API server of a cluster, as far as `TokenReview` goes (authentication.k8s.io/v1), over TLS with a CA of its own. It takes
//! exactly the document that it must be asked with, from somebody whom it knows.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::idp::{Idp, Posted, State};
use super::keys::{self, Key};
use super::{Token, secrets};

/// What the issuer of its tokens is called.
pub const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

/// Where TokenReviews are created.
pub const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

#[derive(Default)]
struct Cluster {
    /// Tokens that hold, and what is said of them.
    tokens: HashMap<String, Value>,
    /// Tokens of those who may ask.
    askers: Vec<String>,
    /// Tokens of those who are known and may not.
    strangers: Vec<String>,
}

/// An API server; stops when dropped.
pub struct ApiServer {
    pub idp: Idp,
    cluster: Arc<Mutex<Cluster>>,
    dir: tempfile::TempDir,
}

impl ApiServer {
    /// Serves, and knows the token in [`ApiServer::own_token`].
    pub fn start() -> Self {
        let cluster = Arc::new(Mutex::new(Cluster::default()));
        let idp = Idp::start(State::Serving);
        let of_responder = Arc::clone(&cluster);
        idp.responds(move |posted| {
            let cluster = of_responder.lock().unwrap_or_else(PoisonError::into_inner);
            respond(&cluster, posted)
        });
        let server = Self {
            idp,
            cluster,
            dir: tempfile::tempdir().expect("a directory"),
        };
        server.rotate("first");
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.idp.issuer()
    }

    /// The file with the token of the one who asks.
    pub fn own_token(&self) -> PathBuf {
        self.dir.path().join("token")
    }

    /// As the kubelet does it: the file has another token, and only that one is taken from now on.
    pub fn rotate(&self, name: &str) {
        let token = own_token(name);
        write_whole(&self.own_token(), &format!("{token}\n"));
        self.change(|cluster| cluster.askers = vec![token]);
    }

    /// The one who asks is known still, and may not ask any more.
    pub fn forbid(&self) {
        self.change(|cluster| cluster.strangers = std::mem::take(&mut cluster.askers));
    }

    /// The one who asked may ask again.
    pub fn permit(&self) {
        self.change(|cluster| cluster.askers = std::mem::take(&mut cluster.strangers));
    }

    /// Says this of a token from now on.
    pub fn says(&self, token: &str, status: Value) {
        self.change(|cluster| cluster.tokens.insert(token.to_owned(), status));
    }

    /// A token of a ServiceAccount, which holds.
    pub fn token(&self, namespace: &str, name: &str, now: i64) -> String {
        let token = projected(&keys::RSA_1, namespace, name, now).sign();
        self.says(&token, status(namespace, name));
        token
    }

    /// The pod of this token is gone.
    pub fn revoke(&self, token: &str) {
        let error = "[invalid bearer token, service account token has been invalidated]";
        self.says(token, json!({"user": {}, "error": error}));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.idp.posted().len()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        change(&mut self.cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A projected token of a pod, as kube-apiserver signs it.
pub fn projected(key: &'static Key, namespace: &str, name: &str, now: i64) -> Token {
    Token::new(CLUSTER, key, now)
        .without_header("typ")
        .without("azp")
        .without("scope")
        .claim("sub", format!("system:serviceaccount:{namespace}:{name}"))
        .claim("aud", json!(["usage-api"]))
        .claim("jti", format!("id-of-{name}"))
        .claim("nbf", now)
        .claim(
            "kubernetes.io",
            json!({
                "namespace": namespace,
                "node": {"name": "node-1", "uid": "4a2f"},
                "pod": {"name": format!("{name}-0"), "uid": "9d1c"},
                "serviceaccount": {"name": name, "uid": "c3b1"},
            }),
        )
}

/// What is said of such a token.
pub fn status(namespace: &str, name: &str) -> Value {
    json!({
        "authenticated": true,
        "user": {
            "username": format!("system:serviceaccount:{namespace}:{name}"),
            "uid": "c3b1",
            "groups": [
                "system:serviceaccounts",
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated",
            ],
            "extra": {
                "authentication.kubernetes.io/credential-id": [format!("JTI=id-of-{name}")],
                "authentication.kubernetes.io/node-name": ["node-1"],
                "authentication.kubernetes.io/node-uid": ["4a2f"],
                "authentication.kubernetes.io/pod-name": [format!("{name}-0")],
                "authentication.kubernetes.io/pod-uid": ["9d1c"],
            },
        },
        "audiences": ["usage-api"],
    })
}

fn own_token(name: &str) -> String {
    let random: [u8; 24] = std::array::from_fn(|_| {
        let mut byte = [0];
        aws_lc_rs::rand::fill(&mut byte).expect("randomness");
        byte[0]
    });
    let random = keys::b64(random);
    secrets::learn("the proxy's own token", &random);
    format!("own-{name}-{random}")
}

/// A file is replaced as a whole, or a reader may meet half of it.
fn write_whole(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("a file");
    std::fs::rename(&new, path).expect("a file");
}

fn failure(code: u16, reason: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code})
        .to_string()
}

fn respond(cluster: &Cluster, posted: &Posted) -> (&'static str, String) {
    let authorization = posted.header("authorization");
    let asker = authorization.strip_prefix("Bearer ").unwrap_or_default();
    if cluster.strangers.iter().any(|known| known == asker) {
        return ("403 Forbidden", failure(403, "Forbidden"));
    }
    if !cluster.askers.iter().any(|known| known == asker) {
        return ("401 Unauthorized", failure(401, "Unauthorized"));
    }
    let document: Value = serde_json::from_slice(&posted.body).unwrap_or_default();
    let token = document["spec"]["token"].as_str().unwrap_or_default();
    let exact = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["usage-api"]},
    });
    let right = posted.path == PATH
        && posted.head.starts_with("POST ")
        && posted.header("content-type") == "application/json"
        && posted.header("accept") == "application/json"
        && document == exact;
    if !right {
        return ("400 Bad Request", failure(400, "BadRequest"));
    }
    let unknown = || json!({"user": {}, "error": "[invalid bearer token]"});
    let status = cluster.tokens.get(token).cloned().unwrap_or_else(unknown);
    let answer = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": null},
        "spec": document["spec"],
        "status": status,
    });
    ("201 Created", answer.to_string())
}
