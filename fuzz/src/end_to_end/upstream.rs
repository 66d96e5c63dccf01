//! An upstream that reads strictly, remembers what came whole, and answers 204.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::strict::{self, Message};

#[derive(Default)]
struct Came {
    messages: Vec<Message>,
    /// Bytes that are no HTTP of one reading.
    wrong: Option<Vec<u8>>,
}

/// What came since the last look.
pub(super) struct Upstream(Arc<Mutex<Came>>);

impl Upstream {
    pub(super) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let came = Arc::new(Mutex::new(Came::default()));
        let shared = Arc::clone(&came);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let came = Arc::clone(&shared);
                std::thread::spawn(move || serve(socket, &came));
            }
        });
        Self(came)
    }

    pub(super) fn take(&self) -> Vec<Message> {
        let mut came = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wrong) = &came.wrong {
            panic!(
                "the upstream cannot read {:?}",
                String::from_utf8_lossy(wrong)
            );
        }
        std::mem::take(&mut came.messages)
    }
}

fn serve(mut socket: UnixStream, came: &Mutex<Came>) {
    let mut bytes = Vec::new();
    let mut space = [0; 4096];
    loop {
        let count = match socket.read(&mut space) {
            Ok(count) if count > 0 => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(_) | Err(_) => return,
        };
        bytes.extend_from_slice(&space[..count]);
        // The proxy adds some to those of its caller.
        let mut reading = strict::read(&bytes, strict::FIELDS + 12);
        if reading.refused_head || reading.refused_body || bytes.starts_with(b"\r") {
            let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
            came.wrong = Some(bytes);
            return;
        }
        let incomplete = reading.messages.pop_if(|last| !last.complete);
        // Nobody sends a second request before the first is answered.
        let whole = reading.messages.len();
        let used: usize = reading.messages.iter().map(Message::length).sum();
        if whole > 1 || (whole == 1 && (incomplete.is_some() || used < bytes.len())) {
            let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
            came.wrong = Some(bytes);
            return;
        }
        if let Some(message) = reading.messages.pop() {
            came.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .messages
                .push(message);
            bytes.clear();
            if socket
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .is_err()
            {
                return;
            }
        }
    }
}
