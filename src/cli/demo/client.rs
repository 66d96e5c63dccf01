//! A client that sends exactly what it is told: others tidy paths and header names up before they send them.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here takes as long; a demo that hangs would prove nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MOST: u64 = 1024 * 1024;

/// A request in the making.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The method.
    pub(super) method: &'static str,
    /// Path and query, sent as they are.
    pub(super) target: String,
    /// Header fields, sent as they are.
    pub(super) headers: Vec<(String, String)>,
    /// A form, if it brings one.
    pub(super) form: Option<String>,
}

impl Call {
    /// A request without a body.
    pub(super) fn get(target: &str) -> Self {
        Self {
            method: "GET",
            target: target.to_owned(),
            headers: Vec::new(),
            form: None,
        }
    }

    /// Adds a header field.
    pub(super) fn header(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    /// The body, as text.
    pub(super) body: String,
}

impl Answer {
    /// The first value of the header `name`.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(held, _)| held.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            status,
            headers,
            body: body.to_owned(),
        })
    }
}

/// Sends `call` on a connection of its own and reads the answer to its end.
pub(super) fn send(to: SocketAddr, call: &Call) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut message = format!("{} {} HTTP/1.1\r\nHost: {to}\r\n", call.method, call.target);
    for (name, value) in &call.headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(form) = &call.form {
        message.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
        message.push_str(&format!("Content-Length: {}\r\n", form.len()));
    }
    message.push_str("Connection: close\r\n\r\n");
    message.push_str(call.form.as_deref().unwrap_or_default());
    stream.write_all(message.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Answer::parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}
