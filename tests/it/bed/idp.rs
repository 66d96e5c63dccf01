//! An identity provider over TLS that can be in any state: it refuses, hangs, lies, or presents the wrong certificate. Raw
//! sockets, one port for its whole life.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::keys::{Key, RSA_1};
use super::tls::{self, Identity};
use super::wire::{Buffered, Plug, Wire};
use super::{PATIENCE, Token};

/// Which document a provider answers strangely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    Discovery,
    Jwks,
    /// The answer to whatever is POSTed.
    Answer,
}

/// What follows on the bytes of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    Close,
    Reset,
    /// Nothing, until the state changes.
    Hang,
    /// One byte more with every [`Idp::tick`].
    Drip,
    /// These bytes, until the other side has enough.
    Repeat(Vec<u8>),
}

/// How a provider is.
#[derive(Clone, Debug)]
pub enum State {
    Serving,
    /// Nobody listens.
    Refusing,
    /// Accepts and says nothing, not even TLS.
    Silent,
    /// Presents this certificate; all else is well.
    Certificate(Arc<rustls::ServerConfig>),
    /// Speaks http where https is expected.
    Plain,
    /// Answers one document so; the other is well.
    Says(Document, Vec<u8>, Then),
}

/// What was POSTed.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Posted {
    /// The value of a header field; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        let found = super::wire::header_lines(self.head.as_bytes())
            .into_iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).unwrap_or_default()
    }
}

/// Gives the status and the JSON body that answer what was POSTed.
type Responder = Arc<dyn Fn(&Posted) -> (&'static str, String) + Send + Sync>;

struct Inner {
    responder: Responder,
    posted: Vec<Posted>,
    state: State,
    /// Changes with the state.
    version: u64,
    ticks: u64,
    listening: bool,
    connections: usize,
    requests: Vec<String>,
    keys: Vec<Value>,
    stopped: bool,
}

type Shared = Arc<(Mutex<Inner>, Condvar)>;

/// A provider; stops when dropped.
pub struct Idp {
    address: SocketAddr,
    shared: Shared,
}

fn lock(shared: &Shared) -> MutexGuard<'_, Inner> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change<T>(shared: &Shared, change: impl FnOnce(&mut Inner) -> T) -> T {
    let result = change(&mut lock(shared));
    shared.1.notify_all();
    result
}

fn wait<'a>(
    shared: &'a Shared,
    what: &str,
    until: impl Fn(&Inner) -> bool,
) -> MutexGuard<'a, Inner> {
    let (inner, timeout) = shared
        .1
        .wait_timeout_while(lock(shared), PATIENCE, |inner| !until(inner))
        .unwrap_or_else(PoisonError::into_inner);
    assert!(
        !timeout.timed_out(),
        "identity provider: waited in vain for {what}"
    );
    inner
}

impl Idp {
    /// Starts in this state, with the key `RSA_1`.
    pub fn start(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared: Shared = Arc::new((
            Mutex::new(Inner {
                responder: Arc::new(|_| ("404 Not Found", "{}".to_owned())),
                posted: Vec::new(),
                state: State::Serving,
                version: 0,
                ticks: 0,
                listening: true,
                connections: 0,
                requests: Vec::new(),
                keys: vec![RSA_1.jwk()],
                stopped: false,
            }),
            Condvar::new(),
        ));
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("bed-idp".into())
            .spawn(move || listen(listener, address, &of_thread))
            .expect("a thread");
        let idp = Self { address, shared };
        idp.is(state);
        idp
    }

    /// Its name, which is where it is.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Says how it answers what is POSTed.
    pub fn responds(
        &self,
        responder: impl Fn(&Posted) -> (&'static str, String) + Send + Sync + 'static,
    ) {
        change(&self.shared, |inner| inner.responder = Arc::new(responder));
    }

    /// What was POSTed so far, while serving or not.
    pub fn posted(&self) -> Vec<Posted> {
        lock(&self.shared).posted.clone()
    }

    /// Waits until so many were POSTed.
    pub fn await_posted(&self, n: usize) {
        drop(wait(&self.shared, "what is POSTed", |inner| {
            inner.posted.len() >= n
        }));
    }

    /// Changes the state; returns when it holds.
    pub fn is(&self, state: State) {
        let refuses = matches!(state, State::Refusing);
        change(&self.shared, |inner| {
            inner.state = state;
            inner.version += 1;
        });
        // Wakes an `accept`, so that the listener goes away.
        drop(TcpStream::connect(self.address));
        drop(wait(&self.shared, "its listener", |inner| {
            inner.listening != refuses
        }));
    }

    /// Publishes exactly these keys.
    pub fn publish(&self, keys: &[&Key]) {
        change(&self.shared, |inner| {
            inner.keys = keys.iter().map(|key| key.jwk()).collect()
        });
    }

    /// A good token, signed by `key`.
    pub fn token(&self, key: &'static Key, now: i64) -> Token {
        Token::new(&self.issuer(), key, now)
    }

    /// Lets one more byte of [`Then::Drip`] go.
    pub fn tick(&self) {
        change(&self.shared, |inner| inner.ticks += 1);
    }

    /// Connections that were served so far; those that only woke it do not count.
    pub fn connections(&self) -> usize {
        lock(&self.shared).connections
    }

    /// How often the JWKS was asked for.
    pub fn fetches(&self) -> usize {
        lock(&self.shared)
            .requests
            .iter()
            .filter(|path| *path == "/jwks")
            .count()
    }

    /// Paths asked for so far.
    pub fn paths(&self) -> Vec<String> {
        lock(&self.shared).requests.clone()
    }

    /// Waits until that many connections came.
    pub fn await_connections(&self, n: usize) {
        drop(wait(&self.shared, "connections", |inner| {
            inner.connections >= n
        }));
    }

    /// Waits until the JWKS was asked for `n` times.
    pub fn await_fetches(&self, n: usize) {
        drop(wait(&self.shared, "fetches", |inner| {
            inner
                .requests
                .iter()
                .filter(|path| *path == "/jwks")
                .count()
                >= n
        }));
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        change(&self.shared, |inner| {
            inner.stopped = true;
            inner.version += 1;
        });
        drop(TcpStream::connect(self.address));
    }
}

fn listen(listener: TcpListener, address: SocketAddr, shared: &Shared) {
    let mut listener = Some(listener);
    loop {
        let (refuses, version, stopped) = {
            let inner = lock(shared);
            (
                matches!(inner.state, State::Refusing),
                inner.version,
                inner.stopped,
            )
        };
        if stopped {
            return;
        }
        if refuses {
            listener = None;
            change(shared, |inner| inner.listening = false);
            drop(
                shared
                    .1
                    .wait_while(lock(shared), |inner| inner.version == version)
                    .unwrap_or_else(PoisonError::into_inner),
            );
            continue;
        }
        if listener.is_none() {
            // The port may be lent to an outgoing connection of somebody else for a moment.
            listener = TcpListener::bind(address).ok();
            if listener.is_none() {
                std::thread::yield_now();
                continue;
            }
        }
        change(shared, |inner| inner.listening = true);
        let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) else {
            return;
        };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // The other side may go at any time.
            drop(serve(stream, &shared));
        });
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    // A connection that only wakes the listener brings no byte.
    if stream.peek(&mut [0])? == 0 {
        return Ok(());
    }
    let (state, version) = change(shared, |inner| {
        inner.connections += 1;
        (inner.state.clone(), inner.version)
    });
    let plug = Plug::Tcp(stream.try_clone()?);
    let config = match &state {
        State::Silent => {
            hang(shared, version);
            return Ok(());
        }
        State::Refusing => return Ok(()),
        State::Plain => None,
        State::Certificate(config) => Some(Arc::clone(config)),
        State::Serving | State::Says(..) => Some(tls::server_config(&[b"http/1.1"])),
    };
    let wire: Box<dyn Wire> = match config {
        None => Box::new(stream),
        Some(config) => {
            let session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(session, stream))
        }
    };
    let mut stream = Buffered::new(wire);
    if matches!(state, State::Plain) {
        stream.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
        return Ok(());
    }
    let head = stream.take_until(b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let keys = change(shared, |inner| {
        inner.requests.push(path.clone());
        inner.keys.clone()
    });
    let host = head
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap_or_default();
    let post = head.starts_with("POST ");
    let document = match path.as_str() {
        _ if post => Document::Answer,
        "/jwks" => Document::Jwks,
        _ => Document::Discovery,
    };
    let mut posted = Posted {
        path,
        head: head.clone(),
        body: Vec::new(),
    };
    if post {
        let length = posted.header("content-length").parse().unwrap_or(0);
        posted.body = stream.take(length)?;
        change(shared, |inner| inner.posted.push(posted.clone()));
    }
    if let State::Says(of, bytes, then) = &state
        && *of == document
    {
        stream.write(bytes)?;
        return finish(shared, version, then, &mut stream, &plug);
    }
    let responder = Arc::clone(&lock(shared).responder);
    let body = match document {
        Document::Answer => {
            let (status, body) = responder(&posted);
            // One answer per connection, so that the next one meets the state of then.
            let fields = "content-type: application/json\r\nconnection: close\r\n";
            stream.write(&answer(status, fields, body.as_bytes()))?;
            plug.half_close();
            drop(stream.take_all());
            return Ok(());
        }
        Document::Jwks => json!({"keys": keys}),
        Document::Discovery => json!({
            "issuer": format!("https://{host}"),
            "jwks_uri": format!("https://{host}/jwks"),
            "introspection_endpoint": format!("https://{host}/introspect"),
        }),
    };
    stream.write(&answer("200 OK", "", body.to_string().as_bytes()))?;
    drop(stream.take_all());
    Ok(())
}

fn finish(
    shared: &Shared,
    version: u64,
    then: &Then,
    stream: &mut Buffered,
    plug: &Plug,
) -> io::Result<()> {
    match then {
        // The other side closes when it has read what it wants: an early close could reset what it has not read.
        Then::Close => {
            plug.half_close();
            drop(stream.take_all());
        }
        Then::Reset => plug.reset(),
        Then::Hang => hang(shared, version),
        Then::Drip => loop {
            let seen = lock(shared).ticks;
            stream.write(b" ")?;
            let inner = shared
                .1
                .wait_while(lock(shared), |inner| {
                    inner.ticks == seen && inner.version == version
                })
                .unwrap_or_else(PoisonError::into_inner);
            if inner.version != version {
                return Ok(());
            }
        },
        Then::Repeat(bytes) => loop {
            stream.write(bytes)?;
        },
    }
    Ok(())
}

fn hang(shared: &Shared, version: u64) {
    drop(
        shared
            .1
            .wait_while(lock(shared), |inner| inner.version == version)
            .unwrap_or_else(PoisonError::into_inner),
    );
}

/// A whole answer with its length.
pub fn answer(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = Vec::new();
    let _ = write!(
        bytes,
        "HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n"
    );
    bytes.extend_from_slice(body);
    bytes
}

/// A state in which TLS is wrong.
pub fn presenting(identity: &Identity) -> State {
    State::Certificate(tls::server_config_of(identity, &[b"http/1.1"]))
}
