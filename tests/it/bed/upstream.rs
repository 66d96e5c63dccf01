//! A byte-capturing HTTP/1.1 upstream: plain sockets and scripted answers, no HTTP library that could hide anything.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::wire::{Buffered, Plug, Wire, header_lines};
use super::{PATIENCE, show};

/// One request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// Which connection brought it, from 0.
    pub connection: usize,
    /// The exact bytes of the head, empty line included.
    pub head: Vec<u8>,
    pub method: String,
    pub target: String,
    /// Header lines in order, names as written.
    pub headers: Vec<(String, String)>,
    /// The body without framing.
    pub body: Vec<u8>,
    /// The body's exact bytes.
    pub raw_body: Vec<u8>,
    /// The trailer section, its empty line included.
    pub trailers: Vec<u8>,
    /// The whole message arrived.
    pub complete: bool,
}

impl Captured {
    fn parse(connection: usize, head: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split("\r\n").next().unwrap_or_default().split(' ');
        Self {
            connection,
            method: words.next().unwrap_or_default().to_owned(),
            target: words.next().unwrap_or_default().to_owned(),
            headers: header_lines(&head),
            head,
            ..Self::default()
        }
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Everything that arrived, for searches.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.head[..], &self.raw_body, &self.trailers].concat()
    }
}

/// What happens to the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next request is read.
    KeepAlive,
    /// It is closed in order.
    Close,
    /// It is reset.
    Reset,
}

type Script = dyn Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync;

#[derive(Default)]
struct State {
    connections: usize,
    open: usize,
    bytes: u64,
    requests: Vec<Captured>,
    plugs: Vec<Option<Plug>>,
    stopped: bool,
}

/// What a test may look at.
#[derive(Clone, Default)]
pub struct Shared {
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.state.1.notify_all();
        result
    }

    fn wait(&self, what: &str, until: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let (state, timeout) = self
            .state
            .1
            .wait_timeout_while(self.lock(), PATIENCE, |state| !until(state))
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(!timeout.timed_out(), "upstream: waited in vain for {what}");
        state
    }
}

/// A request being answered.
pub struct Exchange<'a> {
    pub request: Captured,
    index: usize,
    stream: &'a mut Buffered,
    shared: &'a Shared,
}

impl Exchange<'_> {
    /// Reads the whole body and records it.
    pub fn body(&mut self) -> io::Result<Vec<u8>> {
        while !self.body_piece()?.is_empty() {}
        Ok(self.request.body.clone())
    }

    /// Reads a piece of the body and records it; empty at its end.
    pub fn body_piece(&mut self) -> io::Result<Vec<u8>> {
        let (data, raw) = self.next_piece()?;
        self.request.body.extend_from_slice(&data);
        self.request.raw_body.extend_from_slice(&raw);
        if data.is_empty() {
            self.request.complete = true;
        }
        let request = self.request.clone();
        let index = self.index;
        self.shared.change(|state| state.requests[index] = request);
        Ok(data)
    }

    fn next_piece(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        if self.request.complete {
            return Ok(Default::default());
        }
        if self
            .request
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            let (data, raw) = self.stream.take_chunk()?;
            if data.is_empty() {
                self.request.trailers = self.stream.take_trailers()?;
            }
            return Ok((data, raw));
        }
        let length: usize = self
            .request
            .header("content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0);
        let left = length - self.request.body.len();
        if left == 0 {
            return Ok(Default::default());
        }
        if self.stream.peek().is_empty() && !self.stream.fill()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let data = self.stream.take(left.min(self.stream.peek().len()))?;
        Ok((data.clone(), data))
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write(bytes.as_ref())
    }

    /// Writes one chunk.
    pub fn chunk(&mut self, data: impl AsRef<[u8]>) -> io::Result<()> {
        let data = data.as_ref();
        let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(b"\r\n");
        self.stream.write(&bytes)
    }

    /// Reads the body and answers.
    pub fn answer(&mut self, status: u16, headers: &str, body: &[u8]) -> io::Result<Next> {
        self.body()?;
        let mut bytes = format!(
            "HTTP/1.1 {status} Scripted\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if self.request.method != "HEAD" {
            bytes.extend_from_slice(body);
        }
        self.stream.write(&bytes)?;
        Ok(Next::KeepAlive)
    }

    /// The default: 200 with the request's own body and its target in a header.
    pub fn echo(&mut self) -> io::Result<Next> {
        let body = self.body()?;
        let headers = format!(
            "content-type: text/plain\r\nx-upstream: echo\r\nx-target: {}\r\n",
            self.request.target
        );
        self.answer(200, &headers, &body)
    }

    /// Bytes that came ahead of an answer.
    pub fn ahead(&self) -> &[u8] {
        self.stream.peek()
    }

    /// Waits for more bytes and takes them as they are; empty at the end.
    pub fn next_bytes(&mut self) -> io::Result<Vec<u8>> {
        self.stream.take_some()
    }

    /// Echoes raw bytes until the end.
    pub fn echo_raw(&mut self) -> io::Result<Next> {
        loop {
            let bytes = self.stream.take_some()?;
            if bytes.is_empty() {
                return Ok(Next::Close);
            }
            self.stream.write(&bytes)?;
        }
    }

    /// Waits until the proxy has closed the connection.
    pub fn await_close(&mut self) -> io::Result<()> {
        while !self.stream.take_some()?.is_empty() {}
        Ok(())
    }
}

/// How to reach an upstream.
#[derive(Clone, Debug)]
enum Place {
    Tcp(SocketAddr),
    Tls(SocketAddr),
    Unix(PathBuf),
}

/// The upstream of a test; stops when dropped.
pub struct Upstream {
    place: Place,
    shared: Shared,
    _dir: Option<tempfile::TempDir>,
}

impl Upstream {
    /// Answers everything with [`Exchange::echo`].
    pub fn start() -> Self {
        Self::scripted(|exchange| exchange.echo())
    }

    /// Answers as `script` says.
    pub fn scripted(
        script: impl Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = Place::Tcp(listener.local_addr().expect("an address"));
        Self::serve(place, None, Arc::new(script), move || {
            let (stream, _) = listener.accept()?;
            // Pieces are written to be seen as pieces.
            stream.set_nodelay(true)?;
            let plug = Plug::Tcp(stream.try_clone()?);
            Ok((Box::new(stream) as Box<dyn Wire>, plug))
        })
    }

    /// The same on a Unix socket.
    pub fn unix(
        script: impl Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("app.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        Self::serve(Place::Unix(path), Some(dir), Arc::new(script), move || {
            let (stream, _) = listener.accept()?;
            let plug = Plug::Unix(stream.try_clone()?);
            Ok((Box::new(stream) as Box<dyn Wire>, plug))
        })
    }

    /// The same over TLS, with the bed's certificate for `localhost`.
    pub fn tls(
        script: impl Fn(&mut Exchange<'_>) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = Place::Tls(listener.local_addr().expect("an address"));
        Self::serve(place, None, Arc::new(script), move || {
            let (stream, _) = listener.accept()?;
            // Pieces are written to be seen as pieces.
            stream.set_nodelay(true)?;
            let plug = Plug::Tcp(stream.try_clone()?);
            let session = rustls::ServerConnection::new(super::tls::server_config(&[b"http/1.1"]))
                .map_err(io::Error::other)?;
            let wire = rustls::StreamOwned::new(session, stream);
            Ok((Box::new(wire) as Box<dyn Wire>, plug))
        })
    }

    fn serve(
        place: Place,
        dir: Option<tempfile::TempDir>,
        script: Arc<Script>,
        accept: impl Fn() -> io::Result<(Box<dyn Wire>, Plug)> + Send + 'static,
    ) -> Self {
        let shared = Shared::default();
        let of_thread = shared.clone();
        std::thread::Builder::new()
            .name("bed-upstream".into())
            .spawn(move || {
                while let Ok((wire, plug)) = accept() {
                    if of_thread.lock().stopped {
                        return;
                    }
                    let number = of_thread.change(|state| {
                        state.connections += 1;
                        state.open += 1;
                        state.plugs.push(Some(plug));
                        state.connections - 1
                    });
                    let (shared, script) = (of_thread.clone(), Arc::clone(&script));
                    std::thread::spawn(move || connection(number, wire, &shared, &*script));
                }
            })
            .expect("a thread");
        Self {
            place,
            shared,
            _dir: dir,
        }
    }

    /// For `upstream:`.
    pub fn url(&self) -> String {
        match &self.place {
            Place::Tcp(address) => format!("http://{address}"),
            Place::Tls(address) => format!("https://localhost:{}", address.port()),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) | Place::Tls(address) => *address,
            Place::Unix(_) => panic!("a Unix socket has no address"),
        }
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Captured> {
        self.shared.lock().requests.clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// How many bytes were received.
    pub fn bytes(&self) -> u64 {
        self.shared.lock().bytes
    }

    /// Waits until `n` request heads have arrived and returns the last of those.
    pub fn await_requests(&self, n: usize) -> Captured {
        self.shared
            .wait(&format!("{n} requests"), |state| state.requests.len() >= n)
            .requests[n - 1]
            .clone()
    }

    /// Waits for the first request.
    pub fn await_request(&self) -> Captured {
        self.await_requests(1)
    }

    /// Waits until the last of the requests is there whole.
    pub fn await_complete(&self) -> Captured {
        self.shared
            .wait("a complete request", |state| {
                state
                    .requests
                    .last()
                    .is_some_and(|request| request.complete)
            })
            .requests
            .last()
            .cloned()
            .expect("a request")
    }

    /// The only request; fails when there are others.
    pub fn only(&self) -> Captured {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "exactly one request at the upstream");
        requests[0].clone()
    }

    /// Waits until at most `n` connections are open.
    pub fn await_open(&self, n: usize) {
        drop(
            self.shared
                .wait(&format!("{n} open connections"), |state| state.open <= n),
        );
    }

    /// Ends all connections, as a crash would.
    pub fn cut(&self) {
        self.shared
            .change(|state| state.plugs.iter().flatten().for_each(Plug::pull));
    }

    /// What the upstream has seen so far; compared before and after.
    pub fn mark(&self) -> (usize, u64, usize) {
        let state = self.shared.lock();
        (state.connections, state.bytes, state.requests.len())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.change(|state| state.stopped = true);
        self.cut();
        match &self.place {
            Place::Tcp(address) | Place::Tls(address) => {
                let _ = TcpStream::connect_timeout(address, Duration::from_secs(1));
            }
            Place::Unix(path) => {
                let _ = std::os::unix::net::UnixStream::connect(path);
            }
        }
    }
}

/// Counts what comes in.
struct Counted {
    wire: Box<dyn Wire>,
    shared: Shared,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.wire.read(buffer)?;
        self.shared.change(|state| state.bytes += n as u64);
        Ok(n)
    }
}

impl Write for Counted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.wire.write(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

fn connection(number: usize, wire: Box<dyn Wire>, shared: &Shared, script: &Script) {
    let counted = Counted {
        wire,
        shared: shared.clone(),
    };
    let mut stream = Buffered::new(Box::new(counted));
    let mut reset = false;
    while let Ok(head) = stream.take_until(b"\r\n\r\n") {
        let request = Captured::parse(number, head);
        let bodyless = request
            .header("content-length")
            .is_none_or(|length| length == "0")
            && request.header("transfer-encoding").is_none();
        let request = Captured {
            complete: bodyless,
            ..request
        };
        let index = shared.change(|state| {
            state.requests.push(request.clone());
            state.requests.len() - 1
        });
        let mut exchange = Exchange {
            request,
            index,
            stream: &mut stream,
            shared,
        };
        match script(&mut exchange) {
            Ok(Next::KeepAlive) => {}
            Ok(Next::Reset) => {
                reset = true;
                break;
            }
            Ok(Next::Close) => break,
            Err(error) => {
                // Usual when a test breaks off; of interest when a test fails.
                eprintln!("upstream: connection {number}: {error}");
                break;
            }
        }
    }
    let rest = stream.peek().to_vec();
    if !rest.is_empty() && std::env::var_os("BED_DEBUG").is_some() {
        eprintln!("upstream: {} left on connection {number}", show(&rest));
    }
    let plug = shared.change(|state| state.plugs[number].take());
    if let Some(plug) = plug {
        if reset {
            plug.reset();
        } else {
            plug.pull();
        }
    }
    drop(stream);
    shared.change(|state| state.open -= 1);
}
