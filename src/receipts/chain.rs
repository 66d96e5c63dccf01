//! Making receipts.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Link, RECEIPT_TYPE, ReceiptSettings, SEAL_START, SealKind, link};
use crate::clock::{Tick, UnixTime};
use crate::identity::SigningFailed;
use crate::telemetry::json;
use crate::telemetry::timestamp::rfc3339;

/// When a seal is made, and what was lost until then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Wall clock, with milliseconds.
    pub(crate) wall: (UnixTime, u16),
    /// Lines that were dropped since the program started.
    pub(crate) dropped: u64,
}

/// The receipts of one log, from its `begin` on.
#[derive(Debug)]
pub(crate) struct Chain {
    settings: Arc<ReceiptSettings>,
    /// 256 random bits, base64url: the link before the first line.
    process: String,
    link: Link,
    /// Number of the next line.
    next: u64,
    /// Lines since the last seal.
    unsealed: u64,
    /// When the first of them came.
    since: Option<Tick>,
    /// The last seal promises other intervals than are kept from now on.
    outdated: bool,
}

impl Chain {
    /// Begins a log: its first line goes to `out`.
    ///
    /// # Errors
    /// No random numbers, or the crypto library failed.
    pub(crate) fn begin(
        settings: Arc<ReceiptSettings>,
        moment: Moment,
        out: &mut Vec<u8>,
    ) -> Result<Self, SigningFailed> {
        let mut start = Link::default();
        aws_lc_rs::rand::fill(&mut start).map_err(|_| SigningFailed)?;
        let mut chain = Self {
            settings,
            process: URL_SAFE_NO_PAD.encode(start),
            link: start,
            next: 0,
            unsealed: 0,
            since: None,
            outdated: false,
        };
        chain.seal(SealKind::Begin, moment, out)?;
        Ok(chain)
    }

    /// Goes on with other settings, which may have another key. Other intervals make a seal due, which says them.
    pub(crate) fn follow(&mut self, settings: Arc<ReceiptSettings>) {
        let intervals = |own: &ReceiptSettings| (own.lines, own.every);
        self.outdated |= intervals(&self.settings) != intervals(&settings);
        self.settings = settings;
    }

    /// Appends `line`, a JSON object, with its number and link to `out`.
    pub(crate) fn line(&mut self, line: &[u8], tick: Tick, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(line.strip_suffix(b"}").unwrap_or(line));
        json::number(out, "seq", self.next);
        let link = link(&self.link, out.get(start..).unwrap_or_default());
        json::key(out, "chain");
        out.push(b'"');
        push_base64(out, &link);
        out.extend_from_slice(b"\"}");
        self.link = link;
        self.next += 1;
        self.unsealed += 1;
        self.since.get_or_insert(tick);
    }

    /// Whether a seal is due.
    pub(crate) fn is_due(&self, tick: Tick) -> bool {
        self.outdated
            || self.unsealed >= self.settings.lines
            || self.wait(tick).is_some_and(|wait| wait.is_zero())
    }

    /// How long until a seal is due; `None` where there is nothing to seal.
    pub(crate) fn wait(&self, tick: Tick) -> Option<Duration> {
        let since = self.since?;
        Some(self.settings.every.saturating_sub(tick.since(since)))
    }

    /// Seals what was written.
    ///
    /// # Errors
    /// The crypto library failed; nothing was appended, and nothing is sealed.
    pub(crate) fn checkpoint(
        &mut self,
        moment: Moment,
        out: &mut Vec<u8>,
    ) -> Result<(), SigningFailed> {
        self.seal(SealKind::Checkpoint, moment, out)
    }

    /// Seals what was written, and says that nothing follows.
    ///
    /// # Errors
    /// The crypto library failed.
    pub(crate) fn end(mut self, moment: Moment, out: &mut Vec<u8>) -> Result<(), SigningFailed> {
        self.seal(SealKind::End, moment, out)
    }

    fn seal(
        &mut self,
        kind: SealKind,
        moment: Moment,
        out: &mut Vec<u8>,
    ) -> Result<(), SigningFailed> {
        let mut line = SEAL_START.to_vec();
        line.extend_from_slice(b"\"time\":\"");
        rfc3339(&mut line, moment.wall.0, moment.wall.1);
        line.push(b'"');
        json::field(&mut line, "receipt", kind.word());
        json::field(&mut line, "process", &self.process);
        json::number(&mut line, "dropped", moment.dropped);
        json::number(&mut line, "lines", self.settings.lines);
        let every = u64::try_from(self.settings.every.as_millis()).unwrap_or(u64::MAX);
        json::number(&mut line, "every_ms", every);
        json::number(&mut line, "seq", self.next);
        let link = link(&self.link, &line);
        json::key(&mut line, "chain");
        line.push(b'"');
        push_base64(&mut line, &link);
        line.extend_from_slice(b"\"}");
        let jws = self.sign(&line)?;
        line.pop();
        json::key(&mut line, "jws");
        line.push(b'"');
        line.extend_from_slice(jws.as_bytes());
        line.extend_from_slice(b"\"}");
        out.extend_from_slice(&line);
        self.link = link;
        self.next += 1;
        self.unsealed = 0;
        self.since = None;
        self.outdated = false;
        Ok(())
    }

    /// A JWS in compact form with its payload left out (RFC 7515 appendix F): the payload is the line that it stands in.
    fn sign(&self, payload: &[u8]) -> Result<String, SigningFailed> {
        let key = self.settings.keys.current();
        // The type first: who searches logs for tokens, which begin with their algorithm, does not find a seal.
        let mut header = b"{\"typ\":".to_vec();
        json::string(&mut header, RECEIPT_TYPE);
        json::field(&mut header, "alg", key.algorithm().name());
        json::field(&mut header, "kid", key.id());
        header.push(b'}');
        let header = URL_SAFE_NO_PAD.encode(header);
        let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes())?);
        Ok(format!("{header}..{signature}"))
    }
}

/// Appends a link as base64url, without allocating.
fn push_base64(out: &mut Vec<u8>, link: &Link) {
    let mut text = [0; 43];
    // The text of 32 bytes has 43 characters: there is room.
    let _fits: Result<usize, _> = URL_SAFE_NO_PAD.encode_slice(link, &mut text);
    out.extend_from_slice(&text);
}
