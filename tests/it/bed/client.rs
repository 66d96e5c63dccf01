//! A raw HTTP/1.1 client: bytes in, bytes out.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::wire::{Buffered, Plug, header_lines};
use super::{PATIENCE, show};

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// Statuses of interim answers that came before.
    pub interim: Vec<u16>,
    /// The exact bytes of the head.
    pub head: Vec<u8>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The trailer section of a chunked body, or the trailers of HTTP/2 as header lines.
    pub trailers: Vec<(String, String)>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", show(&self.body)))
    }

    /// Fails unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{}{}",
            show(&self.head),
            show(&self.body)
        );
        self
    }
}

/// A connection to the proxy. Reading fails after [`PATIENCE`].
pub struct Connection {
    stream: Buffered,
    plug: Plug,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        Self::with(stream)
    }

    fn with(stream: TcpStream) -> Self {
        patient(&stream);
        let plug = Plug::Tcp(stream.try_clone().expect("a clone"));
        Self {
            stream: Buffered::new(Box::new(stream)),
            plug,
        }
    }

    /// Connects from one of this machine's addresses.
    pub fn from(local: std::net::IpAddr, address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )
        .expect("a socket");
        socket
            .bind(&SocketAddr::new(local, 0).into())
            .expect("an address of ours");
        socket.connect(&address.into()).expect("a connection");
        Self::with(socket.into())
    }

    /// Connects to a Unix socket.
    pub fn unix(path: &std::path::Path) -> Self {
        let stream = std::os::unix::net::UnixStream::connect(path).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let plug = Plug::Unix(stream.try_clone().expect("a clone"));
        Self {
            stream: Buffered::new(Box::new(stream)),
            plug,
        }
    }

    /// Connects with TLS; the handshake happens at the first write.
    pub fn tls(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Self {
        let stream = tcp(address);
        let plug = Plug::Tcp(stream.try_clone().expect("a clone"));
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let session = rustls::ClientConnection::new(config, name).expect("a session");
        Self {
            stream: Buffered::new(Box::new(rustls::StreamOwned::new(session, stream))),
            plug,
        }
    }

    /// A second handle for reading while another thread sends; plain TCP only.
    pub fn reader(&self) -> Self {
        let Plug::Tcp(stream) = &self.plug else {
            panic!("plain TCP only")
        };
        let stream = stream.try_clone().expect("a clone");
        let plug = Plug::Tcp(stream.try_clone().expect("a clone"));
        Self {
            stream: Buffered::new(Box::new(stream)),
            plug,
        }
    }

    /// Sends bytes as they are; that the other side is gone shows at reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write(bytes.as_ref());
        self
    }

    /// Sends bytes and says whether the system took them all.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write(bytes)
    }

    /// How long sending waits for the other side to read.
    pub fn write_patience(&self, most: std::time::Duration) {
        self.plug.write_patience(most);
    }

    /// Reads the head of the next final answer.
    pub fn read_head(&mut self) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let head = self.stream.take_until(b"\r\n\r\n")?;
            let status = std::str::from_utf8(&head)
                .ok()
                .and_then(|text| text.strip_prefix("HTTP/1."))
                .and_then(|text| text.get(2..5))
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| io::Error::other(format!("no status line: {}", show(&head))))?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            return Ok(Response {
                status,
                interim,
                headers: header_lines(&head),
                head,
                ..Response::default()
            });
        }
    }

    /// Reads one interim answer (100, 103).
    pub fn read_interim(&mut self) -> u16 {
        let head = self
            .stream
            .take_until(b"\r\n\r\n")
            .expect("an interim answer");
        String::from_utf8_lossy(&head)[9..12]
            .parse()
            .expect("a status")
    }

    /// Reads the whole answer to a request with `method`.
    pub fn read_to(&mut self, method: &str) -> io::Result<Response> {
        let mut response = self.read_head()?;
        if method == "HEAD" || matches!(response.status, 101 | 204 | 304) {
            return Ok(response);
        }
        if response
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            loop {
                let (data, _) = self.stream.take_chunk()?;
                if data.is_empty() {
                    break;
                }
                response.body.extend_from_slice(&data);
            }
            let section = [b"\r\n".as_slice(), &self.stream.take_trailers()?].concat();
            response.trailers = header_lines(&section);
        } else if let Some(length) = response.header("content-length") {
            response.body = self
                .stream
                .take(length.parse().map_err(io::Error::other)?)?;
        } else {
            response.body = self.stream.take_all()?;
        }
        Ok(response)
    }

    /// Reads the whole answer to a GET (or anything but HEAD).
    #[track_caller]
    pub fn read(&mut self) -> Response {
        self.read_to("GET").expect("an answer")
    }

    /// Sends and reads.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes).read()
    }

    /// Reads one chunk of a chunked answer; empty for the last.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        self.stream.take_chunk().expect("a chunk").0
    }

    /// Reads one chunk; `None` when the connection ended or broke.
    pub fn try_chunk(&mut self) -> Option<Vec<u8>> {
        self.stream.take_chunk().ok().map(|(data, _)| data)
    }

    /// Reads `n` raw bytes.
    #[track_caller]
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        self.stream.take(n).expect("more bytes")
    }

    /// Reads `n` raw bytes, or says why not.
    pub fn take_exact(&mut self, n: usize) -> io::Result<Vec<u8>> {
        self.stream.take(n)
    }

    /// Reads until the end. A reset counts as an end; patience running out does not.
    #[track_caller]
    pub fn read_end(&mut self) -> Vec<u8> {
        match self.stream.take_all() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.stream.peek().to_vec()
            }
            Err(error) => panic!("the connection is still open: {error}"),
        }
    }

    /// Fails unless the proxy closed the connection without another byte.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        let rest = self.read_end();
        assert!(rest.is_empty(), "more bytes: {}", show(&rest));
    }

    /// Ends our direction.
    pub fn half_close(&self) {
        self.plug.half_close();
    }
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
    patient(&stream);
    stream
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("nodelay");
}
