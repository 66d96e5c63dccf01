//! A request body: how many of the bytes at hand belong to it, strictly (RFC 9112 sections 6.2 and 7.1).

use super::head::{Framing, is_token};

#[cfg(test)]
mod tests;

/// Most bytes of one chunk's extensions.
const EXTENSION_BYTES: usize = 1024;

/// Most bytes of all extensions of a body, and of its trailers. hyper gives up at one more, without a word that a refusal
/// could be made of.
const EXTENSIONS_BYTES: usize = 16 * 1024 - 1;
const TRAILER_BYTES: usize = 16 * 1024 - 3;

/// The chunked framing is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadChunk;

/// Progress through one body.
#[derive(Clone, Debug)]
pub(super) struct Body {
    state: State,
    /// Bytes of extensions that may still come.
    extension_bytes: usize,
    /// Trailer bytes and fields that may still come.
    trailer_bytes: usize,
    trailer_fields: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This many bytes of a counted body are to come.
    Counted(u64),
    /// Hexadecimal digits of a chunk size.
    Size {
        value: u64,
        digits: u8,
    },
    /// Behind `;`: extensions, which mean nothing to us.
    Extension {
        value: u64,
        length: usize,
    },
    /// The LF that ends a size line.
    SizeEnd(u64),
    /// This many bytes of the chunk are to come.
    Data(u64),
    /// The CR, then the LF, behind a chunk's data.
    DataCr,
    DataLf,
    /// The start of a trailer line, or the CR of the empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// The last LF.
    LastLf,
    Done,
}

impl Body {
    pub(super) fn new(framing: Framing, trailer_bytes: usize, trailer_fields: usize) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Counted(length),
            Framing::Chunked => State::Size {
                value: 0,
                digits: 0,
            },
        };
        Self {
            state,
            extension_bytes: EXTENSIONS_BYTES,
            trailer_bytes: trailer_bytes.min(TRAILER_BYTES),
            trailer_fields,
        }
    }

    /// Whether the body is complete.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes at the start of `window` belong to this body; all of them unless it ends before.
    pub(super) fn consume(&mut self, window: &[u8]) -> Result<usize, BadChunk> {
        let mut rest = window;
        while self.state != State::Done {
            rest = match &mut self.state {
                State::Counted(left) => {
                    let after = skip(rest, left);
                    if *left == 0 {
                        self.state = State::Done;
                    }
                    after
                }
                State::Data(left) => {
                    let after = skip(rest, left);
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                    after
                }
                _ => match rest.split_first() {
                    Some((byte, after)) => {
                        self.state = self.step(*byte)?;
                        after
                    }
                    None => rest,
                },
            };
            if rest.is_empty() {
                break;
            }
        }
        Ok(window.len() - rest.len())
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, BadChunk> {
        match self.state {
            State::Size { value, digits } => size(value, digits, byte),
            State::Extension { value, length } => self.extension(value, length, byte),
            State::SizeEnd(0) if byte == b'\n' => Ok(State::TrailerStart),
            State::SizeEnd(value) if byte == b'\n' => Ok(State::Data(value)),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::Size {
                value: 0,
                digits: 0,
            }),
            State::LastLf if byte == b'\n' => Ok(State::Done),
            State::TrailerStart if byte == b'\r' => Ok(State::LastLf),
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf => {
                self.trailer(byte)
            }
            _ => Err(BadChunk),
        }
    }

    fn extension(&mut self, value: u64, length: usize, byte: u8) -> Result<State, BadChunk> {
        match byte {
            b'\r' => Ok(State::SizeEnd(value)),
            b'\t' | 0x20..=0x7e if length < EXTENSION_BYTES => {
                self.extension_bytes = self.extension_bytes.checked_sub(1).ok_or(BadChunk)?;
                Ok(State::Extension {
                    value,
                    length: length + 1,
                })
            }
            _ => Err(BadChunk),
        }
    }

    /// Trailers never pass (invariant 21), but what is no trailer is no message either.
    fn trailer(&mut self, byte: u8) -> Result<State, BadChunk> {
        self.trailer_bytes = self.trailer_bytes.checked_sub(1).ok_or(BadChunk)?;
        match (self.state, byte) {
            (State::TrailerStart, _) if is_token(byte) => {
                self.trailer_fields = self.trailer_fields.checked_sub(1).ok_or(BadChunk)?;
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, _) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, b'\t' | 0x20..=0x7e | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(BadChunk),
        }
    }
}

fn size(value: u64, digits: u8, byte: u8) -> Result<State, BadChunk> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' if digits > 0 => return Ok(State::SizeEnd(value)),
        b';' if digits > 0 => return Ok(State::Extension { value, length: 0 }),
        _ => return Err(BadChunk),
    };
    // Sixteen digits are 64 bits: nothing can overflow, and zeros cannot go on for ever.
    if digits >= 16 {
        return Err(BadChunk);
    }
    Ok(State::Size {
        value: (value << 4) | u64::from(digit),
        digits: digits + 1,
    })
}

/// Skips up to `left` bytes and counts them off.
fn skip<'w>(window: &'w [u8], left: &mut u64) -> &'w [u8] {
    let here = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(window.len());
    *left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
    window.get(here..).unwrap_or_default()
}
