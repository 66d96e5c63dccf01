//! The notation of `data/http2.txt`, which says what it means.

use crate::bed::raw_h2::frames::{self, frame};
use crate::bed::raw_h2::hpack;

/// One case.
#[derive(Debug)]
pub struct Row {
    pub section: String,
    pub upstream: String,
    pub outcome: Vec<String>,
    pub steps: Vec<Step>,
    /// As written.
    pub text: String,
}

/// What the client does next.
#[derive(Debug)]
pub enum Step {
    Send(Vec<u8>),
    Await(u32),
    Sync,
}

/// All cases of a file.
pub fn rows(text: &str) -> Vec<Row> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(row)
        .collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<_> = line.split(" | ").collect();
    let [section, upstream, outcome, frames, why] = cells[..] else {
        panic!("five columns: {line}");
    };
    assert!(!why.is_empty(), "a word why: {line}");
    Row {
        section: section.to_owned(),
        upstream: upstream.to_owned(),
        outcome: outcome.split(", ").map(str::to_owned).collect(),
        steps: frames.split(" ; ").map(step).collect(),
        text: line.to_owned(),
    }
}

/// Flags, fields and the other words of a frame.
#[derive(Debug, Default)]
struct Words<'a> {
    end: bool,
    open: bool,
    reserved: bool,
    pad: Option<usize>,
    pad_length: Option<u8>,
    depends: Option<u32>,
    flags: u8,
    bytes: Option<usize>,
    rest: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn read(words: impl Iterator<Item = &'a str>) -> Self {
        let mut read = Self::default();
        for word in words {
            let Some(flag) = word.strip_prefix('+') else {
                read.rest.push(word);
                continue;
            };
            let (name, value) = flag.split_once(':').unwrap_or((flag, "0"));
            match name {
                "end" => read.end = true,
                "open" => read.open = true,
                "r" => read.reserved = true,
                "pad" => read.pad = Some(number(value)),
                "padlen" => read.pad_length = Some(number(value)),
                "prio" => read.depends = Some(number(value)),
                "flags" => read.flags = u8::from_str_radix(value, 16).expect("flags"),
                "bytes" => read.bytes = Some(number(value)),
                _ => panic!("no such flag: {word}"),
            }
        }
        read
    }

    /// The frame with padding and flags as the words say.
    fn frame(&self, kind: u8, stream: u32, payload: Vec<u8>) -> Vec<u8> {
        let mut flags = self.flags;
        if self.end {
            flags |= frames::END_STREAM;
        }
        if kind != frames::DATA && !self.open {
            flags |= frames::END_HEADERS;
        }
        let mut body = payload;
        if let Some(depends) = self.depends {
            flags |= frames::WITH_PRIORITY;
            body = [&depends.to_be_bytes(), &[15][..], &body].concat();
        }
        if let Some(length) = self.pad_length {
            flags |= frames::PADDED;
            body.insert(0, length);
        }
        if let Some(pad) = self.pad {
            flags |= frames::PADDED;
            body.insert(0, u8::try_from(pad).expect("padding"));
            body.extend(vec![0; pad]);
        }
        let stream = if self.reserved {
            stream | 1 << 31
        } else {
            stream
        };
        frame(kind, flags, stream, &body)
    }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("a number: {word}"))
}

fn step(text: &str) -> Step {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let kind = words.next().expect("a frame");
    let bytes = match kind {
        "raw" => hex(&words.collect::<String>()),
        "sync" => return Step::Sync,
        "ping" => {
            let length = Words::read(words).bytes.unwrap_or(8);
            frame(frames::PING, 0, 0, &vec![b'p'; length])
        }
        "goaway" => frame(frames::GOAWAY, 0, 0, &[0; 8]),
        "set" => {
            let pairs = words.map(|pair| pair.split_once('=').expect("key=value"));
            let pairs: Vec<_> = pairs.map(|(k, v)| (number(k), number(v))).collect();
            frames::settings(&pairs)
        }
        _ => {
            let stream = number(words.next().expect("a stream"));
            if kind == "await" {
                return Step::Await(stream);
            }
            on_stream(kind, stream, &Words::read(words))
        }
    };
    Step::Send(bytes)
}

fn on_stream(kind: &str, stream: u32, words: &Words<'_>) -> Vec<u8> {
    let first = || number(words.rest[0]);
    match kind {
        "headers" => words.frame(frames::HEADERS, stream, fields(&words.rest)),
        "cont" => words.frame(frames::CONTINUATION, stream, fields(&words.rest)),
        "block" => frames::get(stream, &hex(&words.rest.concat())),
        "data" => {
            let text = words.rest.join(" ").into_bytes();
            let payload = words.bytes.map_or(text, |length| vec![b'd'; length]);
            words.frame(frames::DATA, stream, payload)
        }
        "rst" => frames::reset(stream, first()),
        "prio" => frames::priority(stream, first()),
        "win" => frames::window(stream, first()),
        _ => panic!("no such frame: {kind}"),
    }
}

fn fields(words: &[&str]) -> Vec<u8> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for word in words {
        let stands_for = match *word {
            "@get" => ":method=GET :scheme=http :authority=api.test :path=/x",
            "@post" => ":method=POST :scheme=http :authority=api.test :path=/x",
            "@hold" => ":method=GET :scheme=http :authority=api.test :path=/hold",
            "@ms" => ":method=GET :scheme=http",
            "@msa" => ":method=GET :scheme=http :authority=api.test",
            "@msp" => ":method=GET :scheme=http :path=/x",
            other => other,
        };
        for field in stands_for.split(' ') {
            let (name, value) = field.split_once('=').expect("name=value");
            // Names may hold any byte too; those above 0x7f go in as such.
            all.push((name.to_owned(), unescape(value)));
        }
    }
    let mut block = hpack::Block::default();
    for (name, value) in &all {
        block = block.field(&unescape(name), value);
    }
    block.0
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first().expect("an escape");
        rest = after;
        bytes.push(match escape {
            b's' => b' ',
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                hex(std::str::from_utf8(digits).expect("digits"))[0]
            }
            other => panic!("no such escape: {other}"),
        });
    }
    bytes
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "pairs: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}
