//! An upstream that holds its answers and counts how many are outstanding.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// The length of the answer to `/large`.
const LARGE: usize = 4 * 1024 * 1024;

/// Answers everything but `/hold`, which it never answers.
pub struct Holding {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    streams: Vec<TcpStream>,
    peak: usize,
    all: usize,
}

impl Held {
    /// Those whose caller still waits: a thread per connection may not have seen yet that its caller has left, but the
    /// system has.
    fn outstanding(&mut self) -> usize {
        self.streams.retain(waits);
        self.streams.len()
    }

    fn add(&mut self, stream: TcpStream) {
        self.streams.push(stream);
        self.all += 1;
        let mut outstanding = self.outstanding();
        // The end of a connection may travel on another processor than what was sent after it: not for long. Nobody new is
        // counted meanwhile, and who still waits goes on waiting.
        for _ in 0..100_000 {
            if outstanding <= super::abuse::STREAMS {
                break;
            }
            std::thread::yield_now();
            outstanding = self.outstanding();
        }
        self.peak = self.peak.max(outstanding);
    }
}

impl Holding {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let held = Arc::new(Mutex::new(Held::default()));
        let of_thread = Arc::clone(&held);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let held = Arc::clone(&of_thread);
                std::thread::spawn(move || serve(stream, &held));
            }
        });
        Self { address, held }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests for `/hold` so far.
    pub fn all(&self) -> usize {
        self.lock().all
    }

    /// The most requests that were outstanding at once, since the last time that this was asked.
    pub fn peak(&self) -> usize {
        std::mem::take(&mut self.lock().peak)
    }

    /// Requests that are outstanding.
    pub fn outstanding(&self) -> usize {
        self.lock().outstanding()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(mut stream: TcpStream, held: &Mutex<Held>) {
    let mut bytes = Vec::new();
    let mut piece = [0; 16384];
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            if head.starts_with(b"GET /hold") || head.starts_with(b"POST /hold") {
                let stream = stream.try_clone().expect("a clone");
                held.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(stream);
            } else {
                let length = if head.starts_with(b"GET /large") {
                    LARGE
                } else {
                    5
                };
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                let answer = [head.as_bytes(), &vec![b'a'; length]].concat();
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
}

/// Whether the other side has not closed: a look that takes nothing and does not wait.
fn waits(stream: &TcpStream) -> bool {
    /// `MSG_PEEK | MSG_DONTWAIT` of Linux.
    const LOOK: i32 = 0x42;
    let mut byte = [MaybeUninit::uninit()];
    match socket2::SockRef::from(stream).recv_with_flags(&mut byte, LOOK) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}
