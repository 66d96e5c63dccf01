//! An HTTP/2 client that may break every rule: what it sends is bytes, what it reads is events.

use std::io;
use std::net::SocketAddr;

use super::super::{Connection, tls};
use super::frames::{self, ACK, CODES, END_STREAM};
use super::{Outcome, hpack};

/// A frame that came from the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of an answer, and whether it is all of it.
    Head(u32, u16, bool),
    /// Bytes of a body, and whether they are its last.
    Data(u32, usize, bool),
    Reset(u32, u32),
    GoAway(u32),
    Settings(Vec<(u16, u32)>),
    SettingsAck,
    Pong([u8; 8]),
    Window(u32, u32),
    Other(u8),
    /// The end of the connection.
    Closed,
    /// Nothing came, with all patience.
    Silence,
}

impl Event {
    /// Nothing more will be read.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Closed | Self::Silence)
    }
}

/// The name of an error code.
pub fn code(number: u32) -> &'static str {
    CODES.get(number as usize).copied().unwrap_or("?")
}

/// A connection that speaks HTTP/2 by hand.
pub struct Peer {
    connection: Connection,
    /// Whether the proxy's PINGs stay unanswered.
    pub ignores_pings: bool,
}

impl Peer {
    /// With prior knowledge; the preface and our settings are sent.
    pub fn plain(address: SocketAddr) -> Self {
        Self::over(Connection::open(address), &[])
    }

    /// Over TLS with ALPN.
    pub fn tls(address: SocketAddr) -> Self {
        let connection = Connection::tls(address, tls::client_config(&[b"h2"], None));
        Self::over(connection, &[])
    }

    /// Over a connection, with these settings. Heads of answers use no dynamic table, so that a look at one suffices.
    pub fn over(connection: Connection, settings: &[(u16, u32)]) -> Self {
        let mut peer = Self {
            connection,
            ignores_pings: false,
        };
        peer.send(frames::PREFACE);
        peer.send(frames::settings(&[&[(1, 0)], settings].concat()));
        peer
    }

    /// Sends bytes; that the other side is gone shows at reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.connection.send(bytes);
        self
    }

    /// Sends bytes, or says that the system took no more.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.try_send(bytes)
    }

    /// How long sending waits for the other side to read.
    pub fn write_patience(&self, most: std::time::Duration) {
        self.connection.write_patience(most);
    }

    /// Reads the next frame. SETTINGS are acknowledged, PINGs are answered.
    pub fn next(&mut self) -> Event {
        let (kind, flags, stream, payload) = match self.frame() {
            Ok(frame) => frame,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                return Event::Silence;
            }
            Err(_) => return Event::Closed,
        };
        let last = flags & END_STREAM != 0;
        match kind {
            frames::HEADERS => Event::Head(stream, hpack::status(&payload), last),
            frames::DATA => Event::Data(stream, payload.len(), last),
            frames::RST_STREAM => Event::Reset(stream, number(&payload)),
            frames::GOAWAY => Event::GoAway(number(&payload[4..])),
            frames::SETTINGS if flags & ACK != 0 => Event::SettingsAck,
            frames::SETTINGS => {
                self.send(frames::frame(frames::SETTINGS, ACK, 0, &[]));
                let pairs = payload.chunks_exact(6).map(|pair| {
                    let key = u16::from_be_bytes([pair[0], pair[1]]);
                    (key, number(&pair[2..]))
                });
                Event::Settings(pairs.collect())
            }
            frames::PING if flags & ACK != 0 => {
                Event::Pong(payload[..8].try_into().expect("eight bytes"))
            }
            frames::PING => {
                if !self.ignores_pings {
                    self.send(frames::frame(frames::PING, ACK, 0, &payload));
                }
                Event::Other(kind)
            }
            frames::WINDOW_UPDATE => Event::Window(stream, number(&payload)),
            other => Event::Other(other),
        }
    }

    /// Reads until `wanted`, or until the connection ends.
    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next();
            if wanted(&event) || event.is_end() {
                return event;
            }
        }
    }

    /// How the stream is answered.
    pub fn answer(&mut self, stream: u32) -> Outcome {
        loop {
            match self.next() {
                Event::Head(of, status, _) if of == stream => return Outcome::Status(status),
                Event::Reset(of, code) if of == stream => return Outcome::Reset(code),
                Event::GoAway(code) if code != 0 => return Outcome::Closed(Some(code)),
                Event::Closed => return Outcome::Closed(None),
                Event::Silence => return Outcome::Silence,
                _ => {}
            }
        }
    }

    /// Whether the other side still answers a PING.
    pub fn lives(&mut self) -> bool {
        self.send(frames::ping(b"alive?!?"));
        !self
            .until(|event| *event == Event::Pong(*b"alive?!?"))
            .is_end()
    }

    /// Reads to the end: the error code of the last GOAWAY, if one came. Fails when the connection stays open.
    #[track_caller]
    pub fn end(&mut self) -> Option<u32> {
        let mut last = None;
        loop {
            match self.next() {
                Event::GoAway(code) => last = Some(code),
                Event::Closed => return last,
                Event::Silence => panic!("the connection is still open (GOAWAY: {last:?})"),
                _ => {}
            }
        }
    }

    fn frame(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let head = self.connection.take_exact(9)?;
        let length = number(&[0, head[0], head[1], head[2]]) as usize;
        let stream = number(&head[5..]) & 0x7fff_ffff;
        let payload = self.connection.take_exact(length)?;
        Ok((head[3], head[4], stream, payload))
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}
