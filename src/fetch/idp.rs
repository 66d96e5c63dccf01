//! A scripted issuer on loopback: raw TCP, so that it can misbehave.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the issuer does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 200 with these header lines and this body.
    Ok(&'static str, Vec<u8>),
    /// Another status, with these header lines.
    Status(u16, &'static str),
    /// Another status, with these header lines and this body.
    Says(u16, &'static str, Vec<u8>),
    /// This at first, that afterwards.
    Once(Box<Self>, Box<Self>),
    /// Never answers.
    Hang,
    /// Sends a head and a byte, then nothing.
    Slow,
    /// Closes without an answer.
    Reset,
    /// 200 and bytes without end.
    Endless,
}

impl Reply {
    pub(crate) fn keys(kids: &[&str]) -> Self {
        Self::Ok("", jwks(kids))
    }
}

#[derive(Debug)]
pub(crate) struct Idp {
    pub(crate) address: SocketAddr,
    replies: Arc<Mutex<BTreeMap<String, Reply>>>,
    heads: watch::Receiver<Vec<String>>,
    _tasks: JoinSet<()>,
}

impl Idp {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let replies = Arc::new(Mutex::new(BTreeMap::new()));
        let (seen, heads) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        let script = Arc::clone(&replies);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen, tls) = (Arc::clone(&script), seen.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, &script, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &script, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            replies,
            heads,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on `/jwks` gets this.
    pub(crate) fn reply(&self, reply: Reply) {
        self.reply_at("/jwks", reply);
    }

    pub(crate) fn reply_at(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.into(), reply);
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.heads.borrow().len()
    }

    /// Paths of the requests so far.
    pub(crate) fn paths(&self) -> Vec<String> {
        let path = |head: &String| head.split(' ').nth(1).unwrap().to_owned();
        self.heads.borrow().iter().map(path).collect()
    }

    /// The head of a request, with its body.
    pub(crate) fn head(&self, request: usize) -> String {
        self.heads.borrow()[request].clone()
    }

    /// Waits until there were that many requests.
    pub(crate) async fn asked(&self, times: usize) {
        let mut heads = self.heads.clone();
        heads.wait_for(|heads| heads.len() >= times).await.unwrap();
    }
}

/// A request's head, and its body.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length: ")?.parse().ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(head + &String::from_utf8(body).unwrap())
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &Mutex<BTreeMap<String, Reply>>,
    seen: &watch::Sender<Vec<String>>,
) {
    let Ok(head) = read(&mut stream).await else {
        return;
    };
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let reply = {
        let mut script = script.lock().unwrap();
        let reply = script.get(&path).cloned();
        if let Some(Reply::Once(first, then)) = reply {
            script.insert(path, *then);
            Some(*first)
        } else {
            reply
        }
    };
    seen.send_modify(|heads| heads.push(head));
    let answer = match reply.unwrap_or(Reply::Status(404, "")) {
        Reply::Ok(headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
            [head.into_bytes(), body].concat()
        }
        Reply::Status(status, headers) => {
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n").into_bytes()
        }
        Reply::Says(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n");
            [head.into_bytes(), body].concat()
        }
        Reply::Once(..) | Reply::Hang => return std::future::pending().await,
        Reply::Reset => return,
        Reply::Slow => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
            if stream.write_all(head).await.is_ok() && stream.flush().await.is_ok() {
                std::future::pending::<()>().await;
            }
            return;
        }
        Reply::Endless => {
            let mut chunk = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
            while stream.write_all(&chunk).await.is_ok() {
                chunk = vec![b' '; 16 * 1024];
            }
            return;
        }
    };
    if stream.write_all(&answer).await.is_ok() && stream.flush().await.is_ok() {
        // Held open until the other side closes: an early close could reset what it has not read.
        while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
    }
}

/// A document with an Ed25519 key for each id.
pub(crate) fn jwks(kids: &[&str]) -> Vec<u8> {
    let keys: Vec<_> = kids.iter().map(|kid| jwk(kid)).collect();
    serde_json::to_vec(&serde_json::json!({ "keys": keys })).unwrap()
}

pub(crate) fn jwk(kid: &str) -> serde_json::Value {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, kid.as_bytes());
    let pair = Ed25519KeyPair::from_seed_unchecked(digest.as_ref()).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA", "x": x})
}
