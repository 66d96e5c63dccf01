//! Byte streams of all kinds behind one trait, and a reader over them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

/// A connected stream: TCP, Unix or TLS.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// Ends a stream from another thread.
pub enum Plug {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Plug {
    /// Ends both directions.
    pub fn pull(&self) {
        self.shutdown(Shutdown::Both);
    }

    /// Ends with a reset rather than an orderly close.
    pub fn reset(&self) {
        if let Self::Tcp(stream) = self {
            drop(socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)));
        }
    }

    /// How long a write waits for the other side to read.
    pub fn write_patience(&self, most: std::time::Duration) {
        drop(match self {
            Self::Tcp(stream) => stream.set_write_timeout(Some(most)),
            Self::Unix(stream) => stream.set_write_timeout(Some(most)),
        });
    }

    /// Ends our direction only.
    pub fn half_close(&self) {
        self.shutdown(Shutdown::Write);
    }

    /// The peer may have been faster: that it is gone is no fault.
    fn shutdown(&self, how: Shutdown) {
        drop(match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        });
    }
}

/// A stream with what was read ahead.
pub struct Buffered {
    wire: Box<dyn Wire>,
    ahead: Vec<u8>,
}

impl Buffered {
    pub fn new(wire: Box<dyn Wire>) -> Self {
        Self {
            wire,
            ahead: Vec::new(),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// Reads once; `false` at the end.
    pub fn fill(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match self.wire.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.ahead.extend_from_slice(&piece[..n]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // rustls reports a TCP close without close_notify so; for our purposes it is the end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// What was read and not taken.
    pub fn peek(&self) -> &[u8] {
        &self.ahead
    }

    /// Takes exactly `n` bytes.
    pub fn take(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < n {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.ahead.split_off(n);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// Takes up to and including `end`.
    pub fn take_until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        let mut from = 0;
        loop {
            let found = self.ahead[from..]
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return self.take(from + at + end.len());
            }
            from = self.ahead.len().saturating_sub(end.len() - 1);
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Takes what is there, reading at least one byte; empty at the end.
    pub fn take_some(&mut self) -> io::Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Takes everything until the end.
    pub fn take_all(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads one chunk of a chunked body: the data, empty for the last one; also the raw bytes.
    pub fn take_chunk(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let line = self.take_until(b"\r\n")?;
        let digits: Vec<u8> = line
            .iter()
            .copied()
            .take_while(u8::is_ascii_hexdigit)
            .collect();
        let size = std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| usize::from_str_radix(digits, 16).ok())
            .ok_or_else(|| io::Error::other("chunk size"))?;
        let mut raw = line;
        if size == 0 {
            return Ok((Vec::new(), raw));
        }
        let mut data = self.take(size + 2)?;
        raw.extend_from_slice(&data);
        data.truncate(size);
        Ok((data, raw))
    }

    /// Reads the trailer section after the last chunk.
    pub fn take_trailers(&mut self) -> io::Result<Vec<u8>> {
        let mut section = Vec::new();
        loop {
            let line = self.take_until(b"\r\n")?;
            section.extend_from_slice(&line);
            if line == b"\r\n" {
                return Ok(section);
            }
        }
    }
}

/// Header lines of a head, names as written.
pub fn header_lines(head: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(head)
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}
