//! Tokens that are good but for what a row of a data file does to them.
//!
//! A row's mutation is a list of steps, separated by ` ; `:
//!
//! | step | what it does |
//! |---|---|
//! | `header NAME=TEXT`, `claim NAME=TEXT` | sets a member to this JSON text, which need not be JSON |
//! | `header -NAME`, `claim -NAME` | removes a member |
//! | `header +TEXT`, `claim +TEXT` | puts more text at the end of the members |
//! | `header :TEXT`, `claim :TEXT` | replaces the whole JSON text; `{}` stands for the members so far |
//! | `key KID` | signs with that key, and says its `kid` and `alg` |
//! | `signer KID` | signs with that key and leaves the header alone |
//! | `as ALG` | signs with that algorithm and leaves the header alone |
//! | `hmac BITS WHAT` | an HMAC over the public key (or whatever [`secret`] knows) instead of a signature |
//! | `signature WHAT` | changes the signature, see [`changed`] |
//! | `form TEXT` | the serialisation, from `{h}`, `{p}`, `{s}`; with a `~`, a last letter with stray bits |
//! | `path TARGET`, `authorization VALUE`, `with NAME: VALUE` | the request; `{t}` stands for the token |
//!
//! In all of them `<iss>`, `<now+5>`, `<trap>` and `<jwk KID>` are filled in, `<ff>` is a byte and `<9*[>` is a text again
//! and again.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::keys::{self, Key, b64};
use super::{Request, contains};

mod signature;

use signature::{changed, hmac, secret};

/// What placeholders stand for.
#[derive(Clone, Debug)]
pub struct World {
    pub now: i64,
    /// Names and what they stand for.
    pub names: Vec<(&'static str, String)>,
}

impl World {
    /// Fills in the placeholders of `text`.
    #[track_caller]
    pub fn fill(&self, text: &str) -> Vec<u8> {
        let mut filled = Vec::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once('<') {
            filled.extend_from_slice(before.as_bytes());
            let (name, tail) = tail
                .split_once('>')
                .unwrap_or_else(|| panic!("no end of a placeholder: {text}"));
            filled.extend(self.value(name));
            rest = tail;
        }
        filled.extend_from_slice(rest.as_bytes());
        filled
    }

    #[track_caller]
    fn text(&self, text: &str) -> String {
        String::from_utf8(self.fill(text)).expect("text")
    }

    #[track_caller]
    fn value(&self, name: &str) -> Vec<u8> {
        if let Some((times, what)) = name.split_once('*') {
            return what.repeat(times.parse().expect("a number")).into_bytes();
        }
        if let Some(seconds) = name.strip_prefix("now") {
            let seconds: i64 = if seconds.is_empty() {
                0
            } else {
                seconds.parse().expect("seconds")
            };
            return (self.now + seconds).to_string().into_bytes();
        }
        if let Some(kid) = name.strip_prefix("jwk ") {
            return key(kid).jwk().to_string().into_bytes();
        }
        if let Some((_, value)) = self.names.iter().find(|(own, _)| *own == name) {
            return value.clone().into_bytes();
        }
        let byte = u8::from_str_radix(name, 16)
            .ok()
            .filter(|_| name.len() == 2);
        vec![byte.unwrap_or_else(|| panic!("unknown placeholder <{name}>"))]
    }
}

/// The key that goes by `kid`.
#[track_caller]
pub fn key(kid: &str) -> &'static Key {
    [
        &keys::RSA_1,
        &keys::RSA_2,
        &keys::PS_1,
        &keys::ES256_1,
        &keys::ES384_1,
        &keys::ED25519_1,
    ]
    .into_iter()
    .find(|key| key.kid == kid)
    .unwrap_or_else(|| panic!("no key {kid}"))
}

/// A JSON object in the making, as text.
#[derive(Clone, Debug, Default)]
pub struct Members {
    members: Vec<(String, String)>,
    more: String,
    whole: Option<String>,
}

impl Members {
    /// Those of `object`.
    pub fn of(object: Map<String, Value>) -> Self {
        let text = |(name, value): (String, Value)| (name, value.to_string());
        Self {
            members: object.into_iter().map(text).collect(),
            ..Self::default()
        }
    }

    /// Takes a step of a row, its verb left out.
    #[track_caller]
    pub fn step(&mut self, what: &str) {
        if let Some(name) = what.strip_prefix('-') {
            let before = self.members.len();
            self.members.retain(|(own, _)| own != name);
            assert!(self.members.len() < before, "there is no {name} to remove");
        } else if let Some(more) = what.strip_prefix('+') {
            self.more.push(',');
            self.more.push_str(more);
        } else if let Some(whole) = what.strip_prefix(':') {
            self.whole = Some(whole.replace("{}", &self.text()));
        } else {
            let (name, value) = what.split_once('=').unwrap_or_else(|| panic!("{what}?"));
            self.set(name, value);
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = value.to_owned();
        match self.members.iter_mut().find(|(own, _)| own == name) {
            Some((_, own)) => *own = value,
            None => self.members.push((name.to_owned(), value)),
        }
    }

    /// As JSON text.
    pub fn text(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let mut text = String::from("{");
        for (at, (name, value)) in self.members.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, "{comma}\"{name}\":{value}");
        }
        text.push_str(&self.more);
        text.push('}');
        text
    }
}

/// A token, its steps taken.
#[derive(Clone)]
pub struct Forged<'a> {
    world: &'a World,
    header: Members,
    claims: Members,
    key: &'static Key,
    sign_as: Option<String>,
    hmac: Option<(String, String)>,
    signature: Vec<String>,
    form: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl<'a> Forged<'a> {
    /// The good token of these members, signed by `key`.
    pub fn new(
        world: &'a World,
        key: &'static Key,
        header: Map<String, Value>,
        claims: Map<String, Value>,
    ) -> Self {
        Self {
            world,
            header: Members::of(header),
            claims: Members::of(claims),
            key,
            sign_as: None,
            hmac: None,
            signature: Vec::new(),
            form: "{h}.{p}.{s}".to_owned(),
            path: "/any/x".to_owned(),
            headers: Vec::new(),
        }
    }

    /// Takes the steps of a row; `as issued` takes none.
    #[track_caller]
    #[must_use]
    pub fn steps(mut self, steps: &str) -> Self {
        for step in steps.split(" ; ").map(str::trim_start) {
            if step != "as issued" {
                self.step(step);
            }
        }
        self
    }

    #[track_caller]
    fn step(&mut self, step: &str) {
        let (verb, what) = step.split_once(' ').unwrap_or_else(|| panic!("{step}?"));
        match verb {
            "header" => self.header.step(what),
            "claim" => self.claims.step(what),
            "key" => {
                self.key = key(what);
                self.header.set("kid", &format!("{what:?}"));
                self.header.set("alg", &format!("{:?}", self.key.alg));
            }
            "signer" => self.key = key(what),
            "as" => self.sign_as = Some(what.to_owned()),
            "hmac" => {
                let (bits, secret) = what.split_once(' ').expect("bits and a secret");
                self.hmac = Some((bits.to_owned(), secret.to_owned()));
            }
            "signature" => self.signature.push(what.to_owned()),
            "form" => what.clone_into(&mut self.form),
            "path" => what.clone_into(&mut self.path),
            "authorization" => self.headers.push(("authorization".into(), what.into())),
            "with" => {
                let empty = || Some((what.strip_suffix(':')?, ""));
                let header = what.split_once(": ").or_else(empty);
                let (name, value) = header.expect("a header");
                self.headers.push((name.into(), value.into()));
            }
            _ => panic!("{step}?"),
        }
    }

    /// The token.
    #[track_caller]
    pub fn token(&self) -> String {
        let header = self.world.fill(&self.header.text());
        let payload = self.world.fill(&self.claims.text());
        let message = format!("{}.{}", b64(&header), b64(&payload));
        let alg = self.sign_as.as_deref().unwrap_or(self.key.alg);
        let mut signature = match &self.hmac {
            Some((bits, what)) => hmac(bits, &secret(what), message.as_bytes()),
            None => self.key.sign(alg, message.as_bytes()),
        };
        for change in &self.signature {
            signature = changed(&signature, change);
        }
        let (h, p, s) = (b64(header), b64(payload), b64(signature));
        let stray = |template: &str, part: &str| {
            if self.form.contains(template) {
                stray(part)
            } else {
                String::new()
            }
        };
        let (hs, ps, ss) = (stray("{h~}", &h), stray("{p~}", &p), stray("{s~}", &s));
        self.world
            .text(&self.form)
            .replace("{h}", &h)
            .replace("{p}", &p)
            .replace("{s}", &s)
            .replace("{h~}", &hs)
            .replace("{p~}", &ps)
            .replace("{s~}", &ss)
    }

    /// The request that carries it: as bearer token where no step says otherwise.
    #[track_caller]
    pub fn request(&self) -> Request {
        let token = self.token();
        let fill = |text: &str| self.world.text(text).replace("{t}", &token);
        let mut request = Request::get(&fill(&self.path));
        let carried = contains(self.path.as_bytes(), b"{t}")
            || self.headers.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("authorization") || value.contains("{t}")
            });
        if !carried {
            request = request.bearer(&token);
        }
        for (name, value) in &self.headers {
            request = request.header(name, &fill(value));
        }
        request
    }
}

/// `part` with other bits in the last letter, where those bits say nothing.
#[track_caller]
fn stray(part: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert!(part.len() % 4 > 1, "{part} has no stray bits");
    let (rest, last) = part.split_at(part.len() - 1);
    let at = LETTERS.find(last).expect("base64url");
    format!("{rest}{}", &LETTERS[at + 1..at + 2])
}
