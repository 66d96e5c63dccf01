//! What an answer is compared with: the answers for the plain path, and for a path that is not there.

use aws_lc_rs::digest;

use super::variants::PlainPath;
use super::wire::{Answer, Wire};

/// What an upstream made of a spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered as for the plain path.
    Same,
    /// It sent the client to the plain path: what the client then asks is judged again.
    Redirected,
    /// It answered as for a path that is not there.
    Missing,
    /// Something else.
    Other,
    /// It closed the connection, or sent no HTTP in time.
    NoAnswer,
}

/// Answers for the plain path and for one beside it that is not there.
pub(super) struct Baseline {
    plain: Print,
    missing: Print,
    /// The path itself.
    path: String,
}

/// What of an answer is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Print {
    status: u16,
    /// Digests of location and body, as they are and without what they echo of the target. None where the same request
    /// brings another one each time, or it did not come to an end.
    content: Option<[[u8; 32]; 2]>,
}

impl Print {
    fn of(answer: &Answer, target: &str) -> Self {
        let head = answer.location.clone().unwrap_or_default().into_bytes();
        let content = answer.body.as_ref().map(|body| {
            let whole = [&head[..], b"\n", body].concat();
            [whole.clone(), without_echo(whole, target)].map(|text| sha256(&text))
        });
        let status = answer.status;
        Self { status, content }
    }

    /// Whether one request may have brought both: the status decides, and the content where it is steady.
    fn agrees(&self, other: &Self) -> bool {
        let content = match (&self.content, &other.content) {
            (Some(own), Some(other)) => own.iter().zip(other).any(|(own, other)| own == other),
            (None, _) => true,
            (Some(_), None) => false,
        };
        self.status == other.status && content
    }
}

impl Baseline {
    /// Asks for the plain path and for one that is not there, each twice. The inner error says why nothing can be learnt
    /// of this path.
    ///
    /// # Errors
    /// The upstream cannot be reached.
    pub(super) async fn of(
        wire: &Wire,
        path: &PlainPath,
        words: [&str; 2],
    ) -> Result<Result<Self, &'static str>, String> {
        let target = path.to_string();
        let plain = twice(wire, [&target, &target]).await?;
        let beside = words.map(|word| path.missing(word));
        let missing = twice(wire, [&beside[0], &beside[1]]).await?;
        let (Some(plain), Some(missing)) = (plain, missing) else {
            return Ok(Err("no answer"));
        };
        if plain.agrees(&missing) || missing.agrees(&plain) {
            return Ok(Err("answered as a path is that is not there"));
        }
        Ok(Ok(Self {
            plain,
            missing,
            path: target,
        }))
    }

    /// Its answers differ from one time to the next: only the status is compared.
    pub(super) const fn by_status(&self) -> bool {
        self.plain.content.is_none()
    }

    /// What the upstream made of a spelling.
    pub(super) fn judge(&self, target: &str, answer: Option<&Answer>) -> Outcome {
        let Some(answer) = answer else {
            return Outcome::NoAnswer;
        };
        let print = Print::of(answer, target);
        if self.plain.agrees(&print) {
            Outcome::Same
        } else if answer
            .location
            .as_deref()
            .is_some_and(|to| path_of(to) == self.path)
        {
            Outcome::Redirected
        } else if print.status == self.missing.status {
            Outcome::Missing
        } else {
            Outcome::Other
        }
    }
}

/// One print of two requests that should bring the same.
async fn twice(wire: &Wire, targets: [&String; 2]) -> Result<Option<Print>, String> {
    let mut prints = Vec::new();
    for target in targets {
        let answer = wire.ask(target).await?;
        prints.extend(answer.map(|answer| Print::of(&answer, target)));
    }
    let (Some(one), Some(two)) = (prints.first(), prints.get(1)) else {
        return Ok(None);
    };
    if one.status != two.status {
        return Ok(None);
    }
    let steady = one.agrees(two) && two.agrees(one);
    let content = one.content.filter(|_| steady);
    Ok(Some(Print {
        content,
        ..one.clone()
    }))
}

/// The path of a location, absolute or not.
fn path_of(location: &str) -> &str {
    let rest = match location.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => location,
    };
    rest.split(['?', '#']).next().unwrap_or_default()
}

fn sha256(text: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, text);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// Shorter pieces of a target stand in bodies by chance.
const SHORTEST_ECHO: usize = 3;

/// Without the target, its path and its last name, as written, decoded, and as HTML writes them.
fn without_echo(body: Vec<u8>, target: &str) -> Vec<u8> {
    let path = path_of(target);
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut echoes: Vec<Vec<u8>> = Vec::new();
    for text in [target, path, name] {
        for text in [text.as_bytes().to_vec(), decoded(text)] {
            echoes.push(in_html(&text));
            echoes.push(text);
        }
    }
    echoes.retain(|echo| echo.len() >= SHORTEST_ECHO);
    echoes.sort_by_key(|echo| std::cmp::Reverse(echo.len()));
    echoes.dedup();
    echoes.iter().fold(body, |body, echo| replace(&body, echo))
}

fn replace(body: &[u8], echo: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(body, echo) {
        out.extend_from_slice(body.get(from..at).unwrap_or_default());
        out.push(0);
        from = at + echo.len();
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if byte.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
        out.push(byte.unwrap_or(*first));
    }
    out
}

fn in_html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            _ => out.push(*byte),
        }
    }
    out
}
