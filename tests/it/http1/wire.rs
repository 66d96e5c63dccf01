//! How a message travels to the proxy: cut anywhere, first or second on its connection, plain or in TLS.

use crate::bed::{Bed, Connection};

/// One way to send the same bytes.
#[derive(Clone, Debug)]
pub struct Way {
    pub tls: bool,
    /// Behind another request of the connection, which was answered.
    pub second: bool,
    pub cut: Cut,
}

/// Where the bytes are cut into writes.
#[derive(Clone, Debug)]
pub enum Cut {
    Nowhere,
    Everywhere,
    /// Into pieces of this size; for what is long.
    Pieces(usize),
    At(usize),
}

impl Way {
    /// The ways that a message of `raw` is sent: the verdict must be the same on all of them.
    pub fn all(raw: &[u8]) -> Vec<Self> {
        let way = |tls, second, cut| Self { tls, second, cut };
        let finest = || {
            if raw.len() <= 1024 {
                Cut::Everywhere
            } else {
                Cut::Pieces(997)
            }
        };
        let mut ways = vec![
            way(false, false, Cut::Nowhere),
            way(false, true, Cut::Nowhere),
            way(false, false, finest()),
            way(false, true, finest()),
            way(true, false, Cut::Nowhere),
            // A TLS client that is cut off in the middle of writing cannot read what was said before: no finer.
            way(true, true, Cut::At(raw.len() / 2)),
        ];
        let mut cuts = vec![1, raw.len() / 2, raw.len().saturating_sub(1)];
        // Around the end of the head, where a reader changes its mind about what it reads.
        if let Some(end) = raw.windows(4).position(|window| window == b"\r\n\r\n") {
            cuts.extend([end + 1, end + 3, end + 4, end + 5]);
        }
        // Not all of them for every message: the guard's own tests cut everywhere.
        let chosen = cuts.into_iter().skip(raw.len() % 2).step_by(2);
        let inside = chosen.filter(|at| (1..raw.len()).contains(at));
        ways.extend(inside.map(|at| way(false, at % 3 == 1, Cut::At(at))));
        ways
    }

    /// A connection, warm when this is its second message. `/warm` must be open to anyone.
    #[track_caller]
    pub fn connect(&self, bed: &Bed) -> Connection {
        let mut connection = if self.tls {
            let config = crate::bed::tls::client_config(&[b"http/1.1"], None);
            Connection::tls(bed.proxy.address("tls"), config)
        } else {
            bed.proxy.connect()
        };
        if self.second {
            connection
                .exchange("GET /warm HTTP/1.1\r\nhost: a\r\n\r\n")
                .expect(200);
        }
        connection
    }

    /// Writes the bytes. That the proxy has closed meanwhile shows at reading.
    pub fn send(&self, connection: &mut Connection, raw: &[u8]) {
        let mut write = |bytes: &[u8]| {
            if !bytes.is_empty() {
                connection.send(bytes);
                std::thread::yield_now();
            }
        };
        match self.cut {
            Cut::Nowhere => write(raw),
            Cut::Everywhere => raw.chunks(1).for_each(write),
            Cut::Pieces(size) => raw.chunks(size).for_each(write),
            Cut::At(at) => {
                let (first, second) = raw.split_at(at);
                write(first);
                write(second);
            }
        }
    }
}
