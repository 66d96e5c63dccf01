//! The lines of response heads: each ends with CRLF.
//!
//! hyper takes a bare LF for a line end, as it may (RFC 9112 section 2.2). But whoever gets an upstream to repeat an LF in
//! the value of a field could then put fields of his own into its answer.

use memchr::memchr;

/// `HTTP/1.1 100`.
const STATUS: usize = 12;

/// Progress through the heads of one answer, interim ones included.
#[derive(Debug, Default)]
pub(super) struct HeadLines {
    /// Bytes of the line at hand.
    line: usize,
    after_cr: bool,
    /// How the status line of the head at hand begins.
    status: [u8; STATUS],
    known: usize,
    /// The status line has ended.
    begun: bool,
    done: bool,
}

/// A line ends with LF alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BareLf;

impl HeadLines {
    /// No head is awaited.
    pub(super) fn over() -> Self {
        Self {
            done: true,
            ..Self::default()
        }
    }

    /// Looks at what came; nothing any more once the final head has ended.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<(), BareLf> {
        let mut rest = bytes;
        while !self.done && !rest.is_empty() {
            let Some(at) = memchr(b'\n', rest) else {
                self.take(rest);
                return Ok(());
            };
            let (line, behind) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            self.take(line);
            if !self.after_cr {
                return Err(BareLf);
            }
            self.end_line();
            rest = behind.get(1..).unwrap_or_default();
        }
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) {
        if !self.begun {
            let room = self.status.get_mut(self.known..).unwrap_or_default();
            for (to, from) in room.iter_mut().zip(piece) {
                *to = *from;
                self.known += 1;
            }
        }
        self.line = self.line.saturating_add(piece.len());
        if let Some(last) = piece.last() {
            self.after_cr = *last == b'\r';
        }
    }

    fn end_line(&mut self) {
        // The CR is one of its bytes.
        let empty = self.line == 1;
        match (empty, self.begun) {
            // Empty lines before a status line are none of it.
            (true, false) => *self = Self::default(),
            (true, true) if self.is_interim() => *self = Self::default(),
            (true, true) => self.done = true,
            (false, _) => self.begun = true,
        }
        self.line = 0;
        self.after_cr = false;
    }

    fn is_interim(&self) -> bool {
        matches!(self.status.get(9..), Some([b'1', rest @ ..]) if rest != b"01")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, cut anywhere.
    fn look(bytes: &[u8]) -> Result<bool, BareLf> {
        let mut lines = HeadLines::default();
        let whole = lines.look(bytes).map(|()| lines.done);
        for step in [1, 2, 5] {
            let mut lines = HeadLines::default();
            let looked = bytes.chunks(step).try_for_each(|piece| lines.look(piece));
            assert_eq!(looked.map(|()| lines.done), whole, "{step}");
        }
        whole
    }

    #[test]
    fn invariant_65_heads_of_answers_end_their_lines_with_crlf() {
        for (bytes, outcome) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], Ok(true)),
            (b"HTTP/1.1 200 OK\r\na: b\r\n\r\n\nbody\n", Ok(true)),
            (b"HTTP/1.1 200 OK\r\na: b\r\n", Ok(false)),
            (b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\n", Ok(true)),
            (b"HTTP/1.1 103 x\r\na: b\r\n\r\n", Ok(false)),
            (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\n", Ok(true)),
            (b"HTTP/1.1 101 x\r\n\r\n\n", Ok(true)),
            (b"HTTP/1.1 200 OK\n\n", Err(BareLf)),
            (b"HTTP/1.1 200 OK\r\na: b\n\r\n", Err(BareLf)),
            (b"HTTP/1.1 200 OK\r\n\n", Err(BareLf)),
            (b"\nHTTP/1.1 200 OK\r\n\r\n", Err(BareLf)),
            (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 OK\n\r\n", Err(BareLf)),
            (b"x", Ok(false)),
            (b"", Ok(false)),
        ] {
            assert_eq!(look(bytes), outcome, "{}", bytes.escape_ascii());
        }
        let mut over = HeadLines::over();
        assert_eq!(over.look(b"\n"), Ok(()));
    }
}
