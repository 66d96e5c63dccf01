//! HTTP/2 frames by hand, for what no honest client library would send.

use std::net::SocketAddr;

use super::Connection;

/// How the peer answered a single raw request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this status.
    Status(u16),
    /// By resetting the stream (error code).
    Reset(u32),
    /// By ending the connection (error code of GOAWAY, if one came).
    Closed(Option<u32>),
}

impl Outcome {
    /// Refused below HTTP semantics: a reset or a close.
    pub const fn is_refused_below(self) -> bool {
        matches!(self, Self::Reset(_) | Self::Closed(_))
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn string(bytes: &[u8], into: &mut Vec<u8>) {
    if bytes.len() < 127 {
        into.push(bytes.len() as u8);
    } else {
        into.push(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            into.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        into.push(rest as u8);
    }
    into.extend_from_slice(bytes);
}

/// A header block of literals without indexing: any bytes, any order.
pub fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        string(name.as_bytes(), &mut bytes);
        string(value, &mut bytes);
    }
    bytes
}

/// Sends one request on a connection of its own and says how it was answered. `body` and `trailers` follow if given.
pub fn ask(
    address: SocketAddr,
    fields: &[(&str, &[u8])],
    body: Option<&[u8]>,
    trailers: Option<&[(&str, &[u8])]>,
) -> Outcome {
    let mut connection = Connection::open(address);
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    let bare = body.is_none() && trailers.is_none();
    let flags = END_HEADERS | if bare { END_STREAM } else { 0 };
    bytes.extend(frame(HEADERS, flags, 1, &block(fields)));
    if let Some(body) = body {
        let flags = if trailers.is_none() { END_STREAM } else { 0 };
        bytes.extend(frame(DATA, flags, 1, body));
    }
    if let Some(trailers) = trailers {
        bytes.extend(frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &block(trailers),
        ));
    }
    connection.send(bytes);
    outcome(&mut connection)
}

/// Reads frames until the first one that answers.
pub fn outcome(connection: &mut Connection) -> Outcome {
    loop {
        let Some((kind, flags, payload)) = next_frame(connection) else {
            return Outcome::Closed(None);
        };
        match kind {
            HEADERS => return Outcome::Status(status(&payload)),
            RST_STREAM => return Outcome::Reset(number(&payload)),
            GOAWAY if number(&payload[4..]) != 0 => {
                return Outcome::Closed(Some(number(&payload[4..])));
            }
            SETTINGS if flags & 1 == 0 => {
                connection.send(frame(SETTINGS, 1, 0, &[]));
            }
            _ => {}
        }
    }
}

fn next_frame(connection: &mut Connection) -> Option<(u8, u8, Vec<u8>)> {
    let head = connection.try_take(9)?;
    let length = number(&[0, head[0], head[1], head[2]]) as usize;
    Some((head[3], head[4], connection.try_take(length)?))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// `:status` stands first in a block (RFC 9113 section 8.3.2 with section 8.3): indexed, or a literal with the name indexed.
fn status(block: &[u8]) -> u16 {
    let mut at = 0;
    while block[at] & 0xe0 == 0x20 {
        at += 1; // dynamic table size update
    }
    match block[at] {
        0x88 => return 200,
        0x89 => return 204,
        0x8a => return 206,
        0x8b => return 304,
        0x8c => return 400,
        0x8d => return 404,
        0x8e => return 500,
        _ => {}
    }
    let length = (block[at + 1] & 0x7f) as usize;
    let value = &block[at + 2..at + 2 + length];
    let digits = if block[at + 1] & 0x80 == 0 {
        value.to_vec()
    } else {
        huffman_digits(value)
    };
    String::from_utf8_lossy(&digits).parse().expect("a status")
}

/// Three digits of the Huffman code of RFC 7541 appendix B.
fn huffman_digits(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1))
        .collect();
    let value = |at: usize, n: usize| {
        bits[at..at + n]
            .iter()
            .fold(0_u8, |sum, bit| sum << 1 | bit)
    };
    let (mut digits, mut at) = (Vec::new(), 0);
    while digits.len() < 3 {
        let five = value(at, 5);
        if five < 3 {
            digits.push(b'0' + five);
            at += 5;
        } else {
            digits.push(b'3' + value(at, 6) - 0b01_1001);
            at += 6;
        }
    }
    digits
}
