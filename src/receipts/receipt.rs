//! Reading one receipt: by its bytes from the end, since the bytes are what the chain is about.

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem::rfind;
use serde::Deserialize;

use super::{Link, RECEIPT_TYPE, SEAL_START, SealKind};
use crate::authn::{Algorithm, KeySet};

const SEQ: &[u8] = b",\"seq\":";
const CHAIN: &[u8] = b",\"chain\":\"";
const JWS: &[u8] = b"\",\"jws\":\"";
/// Characters of a link in base64url.
const LINK_TEXT: usize = 43;

/// A line with a number and a link.
#[derive(Debug)]
pub(super) struct Receipt<'l> {
    /// What the link is about: everything before `,"chain":`, the number included.
    pub(super) body: &'l [u8],
    pub(super) seq: u64,
    pub(super) link: Link,
    /// The signature of a seal.
    jws: Option<&'l [u8]>,
    /// The line up to and with the link's closing quote.
    signed: &'l [u8],
}

/// A seal, read.
#[derive(Debug)]
pub(super) struct Seal {
    pub(super) kind: SealKind,
    pub(super) process: Link,
    pub(super) dropped: u64,
    /// Most lines that follow before the next one.
    pub(super) lines: u64,
    pub(super) time: String,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// It is none of ours over this line.
    Bad,
    /// Nobody gave the key that it names.
    UnknownKey,
}

#[derive(Deserialize)]
struct SealFields {
    receipt: String,
    process: String,
    dropped: u64,
    lines: u64,
    time: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<'l> Receipt<'l> {
    /// The receipt in `line`, if it has the form of one.
    pub(super) fn read(line: &'l [u8]) -> Option<Self> {
        // The last one: a claim may be called the same.
        let at = rfind(line, CHAIN)?;
        let (body, rest) = line.split_at_checked(at)?;
        let (text, end) = rest.get(CHAIN.len()..)?.split_at_checked(LINK_TEXT)?;
        let jws = match end {
            b"\"}" => None,
            _ => Some(end.strip_prefix(JWS)?.strip_suffix(b"\"}")?),
        };
        let digits = body.get(rfind(body, SEQ)? + SEQ.len()..)?;
        let plain = digits.iter().all(u8::is_ascii_digit)
            && (digits.len() == 1 || !digits.starts_with(b"0"));
        Some(Self {
            body,
            seq: std::str::from_utf8(digits)
                .ok()
                .filter(|_| plain)?
                .parse()
                .ok()?,
            link: decode(text)?,
            jws,
            signed: line.get(..at + CHAIN.len() + LINK_TEXT + 1)?,
        })
    }

    /// Whether it says that it is a seal, or carries a signature: one without the other is nothing of ours.
    pub(super) fn is_seal(&self) -> bool {
        self.jws.is_some() || self.body.starts_with(SEAL_START)
    }

    /// What it says as a seal.
    pub(super) fn seal(&self) -> Option<Seal> {
        if !self.body.starts_with(SEAL_START) {
            return None;
        }
        let mut text = self.body.to_vec();
        text.push(b'}');
        let fields: SealFields = serde_json::from_slice(&text).ok()?;
        Some(Seal {
            kind: SealKind::parse(&fields.receipt)?,
            process: decode(fields.process.as_bytes())?,
            dropped: fields.dropped,
            lines: fields.lines,
            time: fields.time,
        })
    }

    /// Whether one of `keys` signed it.
    pub(super) fn verify(&self, keys: &KeySet) -> Result<(), Unsigned> {
        let mut parts = self.jws.unwrap_or_default().split(|byte| *byte == b'.');
        let (Some(header), Some([]), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Unsigned::Bad);
        };
        let read = URL_SAFE_NO_PAD.decode(header).ok();
        let read = read.and_then(|text| serde_json::from_slice::<Header>(&text).ok());
        let named = read.filter(|read| read.typ == RECEIPT_TYPE);
        let named = named.and_then(|read| Some((Algorithm::from_name(&read.alg)?, read.kid)));
        let (algorithm, kid) = named.ok_or(Unsigned::Bad)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| Unsigned::Bad)?;
        let key = keys.with_kid(&kid).ok_or(Unsigned::UnknownKey)?;
        let mut payload = self.signed.to_vec();
        payload.push(b'}');
        let mut input = header.to_vec();
        input.push(b'.');
        input.extend_from_slice(URL_SAFE_NO_PAD.encode(payload).as_bytes());
        if key.verify(algorithm, &input, &signature) {
            Ok(())
        } else {
            Err(Unsigned::Bad)
        }
    }
}

fn decode(text: &[u8]) -> Option<Link> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    <[u8; SHA256_OUTPUT_LEN]>::try_from(bytes.as_slice()).ok()
}
