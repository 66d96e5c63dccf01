//! HTTP/2 frames by hand, for what no honest client library would send.

pub mod frames;
pub mod hpack;
pub mod peer;

use std::net::SocketAddr;

pub use frames::frame;
pub use hpack::{Block, block};
pub use peer::{Event, Peer, code};

/// How the peer answered a single raw request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this status.
    Status(u16),
    /// By resetting the stream (error code).
    Reset(u32),
    /// By ending the connection (error code of GOAWAY, if one came).
    Closed(Option<u32>),
    /// Not at all, with all patience.
    Silence,
}

impl Outcome {
    /// Refused below HTTP semantics: a reset or a close.
    pub const fn is_refused_below(self) -> bool {
        matches!(self, Self::Reset(_) | Self::Closed(_))
    }
}

/// Sends one request on a connection of its own and says how it was answered. `body` and `trailers` follow if given.
pub fn ask(
    address: SocketAddr,
    fields: &[(&str, &[u8])],
    body: Option<&[u8]>,
    trailers: Option<&[(&str, &[u8])]>,
) -> Outcome {
    let mut peer = Peer::plain(address);
    let head = block(fields);
    if body.is_none() && trailers.is_none() {
        peer.send(frames::get(1, &head));
    } else {
        peer.send(frames::post(1, &head));
    }
    if let Some(body) = body {
        let flags = if trailers.is_none() {
            frames::END_STREAM
        } else {
            0
        };
        peer.send(frame(frames::DATA, flags, 1, body));
    }
    if let Some(trailers) = trailers {
        peer.send(frames::get(1, &block(trailers)));
    }
    peer.answer(1)
}

/// The outcomes of one raw request with prior knowledge and over TLS, as the first and as the second one of its connection,
/// behind `GET /health`.
pub fn ask_everywhere(bed: &super::Bed, fields: &[(&str, &[u8])]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for second in [false, true] {
        let plain = Peer::plain(bed.proxy.addr());
        let tls = Peer::tls(bed.proxy.address("tls"));
        for mut peer in [plain, tls] {
            if second {
                let health: [(&str, &[u8]); 4] = [
                    (":method", b"GET"),
                    (":scheme", b"http"),
                    (":authority", b"api.test"),
                    (":path", b"/health"),
                ];
                peer.send(frames::get(1, &block(&health)));
                assert_eq!(peer.answer(1), Outcome::Status(200), "the first answer");
            }
            let stream = if second { 3 } else { 1 };
            peer.send(frames::get(stream, &block(fields)));
            outcomes.push(peer.answer(stream));
        }
    }
    outcomes
}
