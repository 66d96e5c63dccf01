//! Runs the rows of requests: every row on every way, judged in all four parts.

use std::cell::Cell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::row::{Row, read, show};
use super::wire::Way;
use crate::bed::{Bed, Captured, Next, Response, Setup, Upstream, assert_recorded, reconcile};

/// Nothing but the message itself can be the reason of a refusal, save on `/get`.
const ROUTES: &str = r#"
routes:
  - {path: /**, allow: anyone}
  - {path: /get, allow: {GET: anyone}}
  - {path: /dav, allow: {"PROPFIND, M-SEARCH, !#$%&'*+-.^_`|~": anyone}}
  - {path: /ws, allow: anyone, upgrade: [websocket]}
"#;

/// What the hop adds to every request: these fields, in this order.
const HOP: &str = "x-forwarded-for: 127.0.0.1¶x-forwarded-proto: http¶x-request-id: ID¶";

/// What must never be read behind a message that closes its connection.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// What must be read behind any other: the end of a message is where we say it is.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

/// A row of requests.
struct Case {
    row: Row,
    raw: Vec<u8>,
    /// Statuses in order, interim ones included.
    answers: Vec<u16>,
    closes: bool,
    /// The reason of each final answer; `-` for a request that was forwarded.
    reasons: Vec<String>,
    seen: Seen,
}

enum Seen {
    Nothing,
    Exactly(Vec<u8>),
    /// A beginning of this message, never the whole: its end is broken.
    AtMost(Vec<u8>),
}

impl Case {
    #[track_caller]
    fn new(row: Row) -> Self {
        let (mut answers, mut closes) = (Vec::new(), false);
        for word in row.cells[0].split(' ') {
            match word.parse() {
                Ok(status) if !closes => answers.push(status),
                _ if word == "close" && !closes => closes = true,
                _ => row.fail("statuses, then `close` if the connection ends"),
            }
        }
        let reasons: Vec<String> = row.cells[1].split(' ').map(str::to_owned).collect();
        let finals = answers.iter().filter(|status| **status >= 200).count();
        if reasons.len() != finals.max(1) {
            row.fail("one reason for each final answer");
        }
        let bytes = |text: &str| {
            let cells = vec![text.replace("{hop}", HOP)];
            let place = row.place.clone();
            Row { place, cells }.bytes(0)
        };
        let seen = match row.cells[3].as_str() {
            "-" => Seen::Nothing,
            text => match text.strip_prefix('~') {
                Some(most) => Seen::AtMost(bytes(most)),
                None => Seen::Exactly(bytes(text)),
            },
        };
        Self {
            raw: row.bytes(2),
            answers,
            closes,
            reasons,
            seen,
            row,
        }
    }

    const fn is_broken(&self) -> bool {
        matches!(self.seen, Seen::AtMost(_))
    }
}

/// A bed, and how many decision records it must have by now.
struct Place {
    bed: Bed,
    records: Cell<usize>,
}

impl Place {
    /// With an upstream that keeps its connections, or one that has a connection for every request.
    fn new(keeps: bool) -> Self {
        let upstream = Upstream::scripted(move |exchange| {
            if keeps {
                return exchange.echo();
            }
            exchange.body()?;
            let target = exchange.request.target.clone();
            let headers =
                format!("connection: close\r\nx-upstream: echo\r\nx-target: {target}\r\n");
            exchange.answer(200, &headers, b"")?;
            Ok(Next::Close)
        });
        Self {
            bed: Setup::new(ROUTES).tls().upstream(upstream).start(),
            records: Cell::new(0),
        }
    }

    /// The counters must add up.
    #[track_caller]
    fn end(&self) {
        if self.records.get() > 0 {
            reconcile(&self.bed);
        }
    }

    /// Waits until `more` records have come, and fails if there are others.
    fn recorded(&self, more: usize) -> Result<(), String> {
        self.records.set(self.records.get() + more);
        let found = self.bed.proxy.await_records(self.records.get()).len();
        check("decision records", &self.records.get(), &found)
    }
}

fn check<T: PartialEq + std::fmt::Debug>(what: &str, want: &T, got: &T) -> Result<(), String> {
    if want == got {
        Ok(())
    } else {
        Err(format!("{what}: want {want:?}, got {got:?}"))
    }
}

/// Runs all rows of a table, tells all that fail, and gives their number.
#[track_caller]
pub fn run(file: &str) -> usize {
    let cases: Vec<Case> = read(file, 5).into_iter().map(Case::new).collect();
    let negatives = cases.iter().filter(|case| !case.is_positive()).count();
    assert!(
        (1..cases.len()).contains(&negatives),
        "{file}: negatives and positive twins"
    );
    // What a broken message has left at the upstream is known for certain when its connection has ended.
    let mut places = [Place::new(true), Place::new(false)];
    let mut failures = String::new();
    for case in &cases {
        let place = &mut places[usize::from(case.is_broken())];
        if let Err(failure) = case.run(place) {
            writeln!(failures, "{}: {failure}", case.row.place).expect("a string");
            *place = Place::new(!case.is_broken());
        }
        // What was captured is looked through for every row: not too much of it.
        if place.records.get() > 300 {
            place.end();
            *place = Place::new(!case.is_broken());
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    places.iter().for_each(Place::end);
    cases.len()
}

impl Case {
    fn is_positive(&self) -> bool {
        self.reasons.iter().all(|reason| reason == "-")
    }

    /// On every way.
    fn run(&self, place: &Place) -> Result<(), String> {
        let follows = if self.closes { SMUGGLED } else { NEXT };
        let all = [&self.raw[..], follows].concat();
        for way in Way::all(&all) {
            let passing = AssertUnwindSafe(|| self.pass(&way, &all, place));
            let outcome = catch_unwind(passing).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                Err(text.unwrap_or("a panic").to_owned())
            });
            outcome.map_err(|failure| {
                let why = self.row.cells.last().map_or("", String::as_str);
                format!(
                    "{failure}\n    {why}\n    {way:?}\n    {}",
                    self.row.cells[2]
                )
            })?;
        }
        Ok(())
    }

    fn pass(&self, way: &Way, all: &[u8], place: &Place) -> Result<(), String> {
        let bed = &place.bed;
        let mut connection = way.connect(bed);
        place.recorded(usize::from(way.second))?;
        let before = bed.upstream.mark();
        way.send(&mut connection, all);

        let (mut statuses, mut finals) = (Vec::new(), Vec::new());
        let mut method = if all.starts_with(b"HEAD ") {
            "HEAD"
        } else {
            "GET"
        };
        for _ in self.answers.iter().filter(|status| **status >= 200) {
            let Ok(answer) = connection.read_to(std::mem::replace(&mut method, "GET")) else {
                break;
            };
            statuses.extend(&answer.interim);
            statuses.push(answer.status);
            finals.push(answer);
        }
        check("answers", &self.answers, &statuses)
            .map_err(|failure| failure + &finals.iter().map(body).collect::<String>())?;
        if self.closes {
            connection.half_close();
            let rest = connection.read_end();
            check("after the answer", &"", &&*show(&rest))?;
        } else {
            let next = connection
                .read_to("GET")
                .map_err(|error| format!("no answer to the request behind: {error}"))?;
            check(
                "the request behind",
                &(200, Some("/next")),
                &(next.status, next.header("x-target")),
            )?;
        }
        place.recorded(finals.len() + usize::from(!self.closes))?;
        self.reasons_hold(bed, &finals)?;
        self.upstream_saw(way, bed, before)
    }

    fn reasons_hold(&self, bed: &Bed, finals: &[Response]) -> Result<(), String> {
        for (answer, reason) in finals.iter().zip(&self.reasons) {
            let forwarded = answer.header("x-upstream").is_some();
            check("forwarded", &(reason == "-"), &forwarded)?;
            if let Some(id) = answer.header("x-request-id").filter(|_| !forwarded) {
                let record = bed.proxy.await_record(id);
                assert_recorded(&record, answer.status, reason);
            } else if !forwarded {
                return Err("a refusal without a request id".to_owned());
            }
        }
        Ok(())
    }

    fn upstream_saw(
        &self,
        way: &Way,
        bed: &Bed,
        before: (usize, u64, usize),
    ) -> Result<(), String> {
        if self.is_broken() {
            let opened = "countersign_upstream_connections_total";
            let opened = bed.proxy.metric(opened, "outcome=\"opened\"");
            crate::bed::eventually("the upstream sees all connections", || {
                bed.upstream.connections() as f64 >= opened
            });
            bed.upstream.await_open(0);
        }
        let requests = bed.upstream.requests().split_off(before.2);
        let of_scheme = |bytes: &[u8]| {
            let text = show_all(bytes);
            if way.tls {
                text.replace("x-forwarded-proto: http¶", "x-forwarded-proto: https¶")
            } else {
                text
            }
        };
        match &self.seen {
            Seen::AtMost(most) => {
                let Some(one) = requests.first() else {
                    return Ok(());
                };
                check("requests at the upstream", &1, &requests.len())?;
                if one.complete {
                    return Err("a broken message looks whole at the upstream".to_owned());
                }
                let (want, got) = (of_scheme(most), show_all(&canonical(one, false)));
                if want.starts_with(&got) {
                    return Ok(());
                }
                Err(differ("upstream, at most", &want, &got))
            }
            Seen::Nothing if self.closes => check("at the upstream", &before, &bed.upstream.mark()),
            seen => {
                let exactly: &[u8] = match seen {
                    Seen::Exactly(bytes) => bytes,
                    _ => &[],
                };
                let next = Row {
                    place: String::new(),
                    cells: vec![format!("GET /next HTTP/1.1¶host: a¶{HOP}¶")],
                };
                let next = if self.closes { vec![] } else { next.bytes(0) };
                let want = of_scheme(&[exactly, &next].concat());
                let got: Vec<u8> = requests
                    .iter()
                    .flat_map(|request| canonical(request, true))
                    .collect();
                let got = show_all(&got);
                if want != got {
                    return Err(differ("upstream", &want, &got));
                }
                let bytes: usize = requests.iter().map(|request| request.bytes().len()).sum();
                let counted = bed.upstream.mark().1 - before.1;
                check("bytes at the upstream", &(bytes as u64), &counted)
            }
        }
    }
}

fn body(answer: &Response) -> String {
    format!("\n    {}", show(&answer.body))
}

fn show_all(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "¶")
}

/// Two long texts, from a little before where they part.
fn differ(what: &str, want: &str, got: &str) -> String {
    let same = want
        .chars()
        .zip(got.chars())
        .take_while(|(one, other)| one == other);
    let from = same.count().saturating_sub(200);
    let cut = |text: &str| text.chars().skip(from).take(800).collect::<String>();
    format!("{what}: want {}\n    got {}", cut(want), cut(got))
}

/// A request as it arrived, with `ID` for its id, `SELF` for the listener's own address, and its chunks joined: where a
/// body is cut is a matter of how it came in. Fails if the chunks are not spelt in the one way.
fn canonical(request: &Captured, whole: bool) -> Vec<u8> {
    let mut head = String::new();
    for line in request.head.split_inclusive(|byte| *byte == b'\n') {
        // Kept as bytes where they are no text.
        head.push_str(&line.iter().copied().map(char::from).collect::<String>());
    }
    if let Some(id) = request.header("x-request-id") {
        assert_eq!(id.len(), 32, "a request id");
        head = head.replace(&format!("x-request-id: {id}\r\n"), "x-request-id: ID\r\n");
    }
    if let Some(host) = request
        .header("host")
        .filter(|host| host.starts_with("127."))
    {
        head = head.replace(&format!("host: {host}\r\n"), "host: SELF\r\n");
    }
    let mut bytes: Vec<u8> = head.chars().map(|byte| byte as u32 as u8).collect();
    if request.header("transfer-encoding").is_none() {
        bytes.extend(&request.raw_body);
        return bytes;
    }
    assert!(whole || !request.complete, "chunks");
    let mut rest = &request.raw_body[..];
    let mut data = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(2).position(|window| window == b"\r\n");
        let end = end.expect("a chunk size");
        let digits = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(&digits, 16).expect("a chunk size");
        assert_eq!(digits, format!("{size:X}"), "a chunk size");
        rest = &rest[end + 2..];
        if size > 0 {
            data.extend_from_slice(&rest[..size]);
            assert_eq!(&rest[size..size + 2], b"\r\n", "the end of a chunk");
            rest = &rest[size + 2..];
        }
    }
    if whole {
        if !data.is_empty() {
            bytes.extend(format!("{:X}\r\n", data.len()).into_bytes());
            bytes.extend(&data);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n");
        bytes.extend(&request.trailers);
    } else {
        bytes.extend(&data);
    }
    bytes
}
