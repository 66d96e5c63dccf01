//! An HTTP/2 upstream that misbehaves.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use crate::bed::raw_h2::frames::{self, END_HEADERS, END_STREAM, HEADERS, frame};
use crate::bed::{PATIENCE, Request, Setup};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

/// Answers each connection's first request with these frames; tells when it has written them, or could not.
fn upstream(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> (SocketAddr, Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (told, ends) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let told = told.clone();
            std::thread::spawn(move || {
                let mut preface = [0; 24];
                let _ = stream.read_exact(&mut preface);
                let _ = stream.write_all(&frames::settings(&[]));
                // Up to the request's head.
                loop {
                    let mut head = [0; 9];
                    if stream.read_exact(&mut head).is_err() {
                        return;
                    }
                    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                    let mut payload = vec![0; length as usize];
                    if stream.read_exact(&mut payload).is_err() || head[3] == HEADERS {
                        break;
                    }
                }
                let outcome = answer(&mut stream);
                let _ = told.send(outcome.is_ok());
                // Reads on, so that what was written is not lost by a reset.
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    (address, ends)
}

/// `:status`, as a literal whose name is indexed.
fn head(status: &[u8; 3], flags: u8) -> Vec<u8> {
    let block = [&[8, 3], &status[..]].concat();
    frame(HEADERS, END_HEADERS | flags, 1, &block)
}

#[test]
fn invariant_65_interim_answers_over_http2_are_bounded() {
    let (address, ends) = upstream(|stream| {
        loop {
            stream.write_all(&head(b"103", 0).repeat(1000))?;
        }
    });
    let bed = Setup::new(OPEN)
        .upstream_url(&format!("h2c://{address}"))
        .start();
    assert_eq!(bed.send(&Request::get("/x")).status, 502);
    let written = ends.recv_timeout(PATIENCE).expect("an end");
    assert!(!written, "the flood is cut");
    // The positive twin.
    let (address, _ends) = upstream(|stream| {
        stream.write_all(&head(b"103", 0).repeat(100))?;
        stream.write_all(&head(b"200", END_STREAM))
    });
    let bed = Setup::new(OPEN)
        .upstream_url(&format!("h2c://{address}"))
        .start();
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
}
