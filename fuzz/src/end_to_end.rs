//! From end to end: bytes in at a listener, bytes out at the upstream, over sockets, through the whole proxy. Nothing
//! arrives without a grant (invariant 1), what arrives is what was asked for (2), no forged identity (19), one framing (24).

mod upstream;
mod world;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use super::guard::strict::{self, Message, Reading};
use world::World;

/// The proxy answers within this, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the input may say for a token that holds.
const TOKEN: &[u8] = b"@TOKEN@";

thread_local! {
    static WORLD: World = World::start();
}

/// Bytes of one connection; `@TOKEN@` stands for a token of alice.
pub fn check(data: &[u8]) {
    // HTTP/2 is another way in.
    if data.starts_with(b"PRI") {
        return;
    }
    WORLD.with(|world| {
        let bytes = with_token(data, &world.token);
        let asked = strict::read(&bytes, strict::FIELDS);
        let statuses = talk(world, &bytes, &asked);
        let arrived = world.upstream.take();
        judge(world, &asked, &statuses, &arrived);
    });
}

fn with_token(data: &[u8], token: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(TOKEN.len()).position(|window| window == TOKEN) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(token.as_bytes());
        rest = &rest[at + TOKEN.len()..];
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Sends everything and reads the answers that are due; gives their status codes.
fn talk(world: &World, bytes: &[u8], asked: &Reading) -> Vec<u16> {
    let mut socket = world.connect();
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a time limit");
    // A proxy that has refused may have closed already.
    let _closed = socket.write_all(bytes);
    // Answers that are due: whether one is to a HEAD, and whether the connection may close behind it.
    let mut due: VecDeque<(bool, bool)> = VecDeque::new();
    for message in &asked.messages {
        let broken = !message.complete && asked.refused_body;
        if message.complete || broken {
            due.push_back((message.method == "HEAD", message.may_close()));
        }
    }
    if asked.refused_head {
        due.push_back((false, true));
    }
    let mut statuses = Vec::new();
    let mut received = Vec::new();
    let mut may_end = due.is_empty();
    while let Some((head_only, may_close)) = due.front().copied() {
        if let Some(answer) = Answer::read(&received, head_only) {
            received.drain(..answer.length);
            if answer.status >= 200 {
                statuses.push(answer.status);
                may_end = answer.closes || may_close;
                due.pop_front();
            }
            continue;
        }
        let mut space = [0; 4096];
        match socket.read(&mut space) {
            Ok(count) if count > 0 => received.extend_from_slice(&space[..count]),
            Ok(_) => break,
            // libFuzzer's alarm clock.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("no answer: {error}; {statuses:?}"),
        }
    }
    assert!(
        due.is_empty() || may_end,
        "closed without an answer; {statuses:?}"
    );
    statuses
}

/// A response head, as far as a client must read it.
struct Answer {
    length: usize,
    status: u16,
    closes: bool,
}

impl Answer {
    fn read(bytes: &[u8], head_only: bool) -> Option<Self> {
        let end = 4 + bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status: u16 = head
            .strip_prefix("http/1.1 ")
            .or_else(|| head.strip_prefix("http/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .expect("a status line");
        let bodiless = head_only || status < 200 || status == 204 || status == 304;
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .filter(|_| !bodiless);
        let length: usize = length.unwrap_or(0);
        (bytes.len() >= end + length).then(|| Self {
            length: end + length,
            status,
            closes: head.contains("\r\nconnection: close"),
        })
    }
}

fn judge(world: &World, asked: &Reading, statuses: &[u16], arrived: &[Message]) {
    let passed = statuses.iter().filter(|status| **status == 204).count();
    assert_eq!(
        passed,
        arrived.len(),
        "answers of the upstream, and requests that came to it"
    );
    // In order, each one for another request.
    let mut asked_for = asked.messages.iter().zip(statuses);
    for message in arrived {
        let (request, _) = asked_for
            .find(|(request, status)| **status == 204 && request.method == message.method)
            .expect("a request that nobody made");
        granted(world, request, message);
    }
    for (request, status) in asked.messages.iter().zip(statuses) {
        if is_plainly_open(request) {
            assert_eq!(*status, 204, "an open request is refused");
        }
    }
}

/// A request that came to the upstream, beside the one that the client made.
fn granted(world: &World, asked: &Message, arrived: &Message) {
    let target = super::target::sent_bytes(&asked.target);
    assert_eq!(arrived.target, target, "another target than was asked for");
    assert_eq!(arrived.content, asked.content, "another body");
    let (segments, _) = super::target::naive_reading(target).expect("a target with one reading");
    let known = match segments.first().map(String::as_str) {
        Some("open") => false,
        Some("user") => true,
        other => panic!("no grant for {other:?}"),
    };
    if known {
        let credentials: Vec<&[u8]> = asked.field("authorization").collect();
        let [credential] = credentials.as_slice() else {
            panic!("no grant without one credential");
        };
        let scheme = credential.split_at_checked(7).expect("a credential").0;
        assert!(scheme.eq_ignore_ascii_case(b"bearer "));
        assert_eq!(
            &credential[7..],
            world.token.as_bytes(),
            "no grant for this token"
        );
    }
    fields(asked, arrived, known);
}

/// Names that only the proxy may say, and what it says here.
fn fields(asked: &Message, arrived: &Message, known: bool) {
    let folded = |name: &str| -> String {
        name.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect()
    };
    let said = |name: &str| -> Vec<&[u8]> {
        let fields = arrived.fields.iter().filter(|(own, _)| folded(own) == name);
        fields.map(|(_, value)| &**value).collect()
    };
    let subject: &[&[u8]] = if known { &[b"alice"] } else { &[] };
    assert_eq!(said("x-auth-subject"), subject, "a forged identity");
    assert_eq!(said("host").len(), 1);
    for ours in ["x-forwarded-for", "x-forwarded-proto", "x-request-id"] {
        assert_eq!(said(ours).len(), 1, "{ours}");
    }
    let never = [
        "authorization",
        "connection",
        "expect",
        "forwarded",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "x-forwarded-host",
        "x-http-method-override",
        "x-original-url",
        "x-real-ip",
    ];
    for name in never {
        assert_eq!(said(name), [] as [&[u8]; 0], "{name}");
    }
    let framings = said("content-length").len() + said("transfer-encoding").len();
    assert!(framings <= 1, "two framings");
    for value in asked.field("connection") {
        for name in value.split(|byte| *byte == b',') {
            let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
            let own = [
                "host",
                "content-length",
                "transfer-encoding",
                "x-forwarded-for",
                "x-forwarded-proto",
                "x-request-id",
                "x-auth-subject",
            ];
            assert!(
                own.contains(&&*name) || name.is_empty() || said(&name).is_empty(),
                "{name} was nominated"
            );
        }
    }
}

/// Nothing in it can be a reason to refuse.
fn is_plainly_open(request: &Message) -> bool {
    let plain = |text: &[u8]| text.iter().all(u8::is_ascii_lowercase);
    let hosts: Vec<&[u8]> = request.field("host").collect();
    request.complete
        && !request.http10
        && ["GET", "POST"].contains(&&*request.method)
        && request
            .target
            .strip_prefix(b"/open/")
            .is_some_and(|rest| !rest.is_empty() && plain(rest))
        && matches!(hosts.as_slice(), [host] if !host.is_empty() && plain(host))
        && request.fields.iter().all(|(name, value)| {
            ["host", "accept", "content-length"].contains(&&*name.to_ascii_lowercase())
                && value.len() < 100
        })
}
