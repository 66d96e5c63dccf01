//! When certificates end: the validity of an X.509 certificate (RFC 5280 section 4.1.2.5), and nothing else of it.
//!
//! Nothing is verified here: rustls does that, and does not tell the dates.

mod status;
#[cfg(test)]
mod tests;

pub use status::{CertificateHealth, CertificateStatus};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::clock::UnixTime;

/// From when to when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub not_before: UnixTime,
    /// Its last second.
    pub not_after: UnixTime,
}

/// Universal tags of DER (X.690 section 8.1.2), constructed where they are.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    /// `[0]`, the version of a certificate.
    pub(super) const VERSION: u8 = 0xa0;
}

impl Validity {
    /// That of the first certificate of a PEM chain: the leaf.
    #[must_use]
    pub fn of_leaf(pem: &[u8]) -> Option<Self> {
        let leaf = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
        Self::of(&leaf)
    }

    /// That of a certificate in DER; `None` when it is none as far as its dates.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let mut fields = Reader(certificate)
            .expect(tag::SEQUENCE)?
            .expect(tag::SEQUENCE)?;
        if fields.0.first() == Some(&tag::VERSION) {
            fields.expect(tag::VERSION)?;
        }
        fields.expect(tag::INTEGER)?; // serial number
        fields.expect(tag::SEQUENCE)?; // signature algorithm
        fields.expect(tag::SEQUENCE)?; // issuer
        let mut validity = fields.expect(tag::SEQUENCE)?;
        Some(Self {
            not_before: validity.time()?,
            not_after: validity.time()?,
        })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, which has this tag.
    fn expect(&mut self, tag: u8) -> Option<Self> {
        let (found, content) = self.element()?;
        (found == tag).then_some(Reader(content))
    }

    /// Tag and content of the next element. DER: tags of one byte are all that is met here, lengths are definite.
    fn element(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first.checked_sub(0x80) {
            None => (usize::from(*first), rest),
            // More than four bytes of length are no certificate; none is the indefinite form, which is not DER.
            Some(count @ 1..=4) => {
                let (bytes, rest) = rest.split_at_checked(usize::from(count))?;
                let length = bytes.iter().try_fold(0_usize, |length, byte| {
                    length.checked_mul(256)?.checked_add(usize::from(*byte))
                })?;
                (length, rest)
            }
            Some(_) => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// `YYMMDDHHMMSSZ`, which is of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<UnixTime> {
        let (tag, text) = self.element()?;
        let (year, rest) = match tag {
            tag::UTC_TIME => {
                let (year, rest) = text.split_at_checked(2)?;
                let year = number(year)?;
                (year + if year < 50 { 2000 } else { 1900 }, rest)
            }
            tag::GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4)?;
                (number(year)?, rest)
            }
            _ => return None,
        };
        let digits = rest
            .strip_suffix(b"Z")
            .filter(|digits| digits.len() == 10)?;
        let mut pairs = digits.chunks_exact(2).map(number);
        let mut next = || pairs.next().flatten();
        let (date, time) = ([year, next()?, next()?], [next()?, next()?, next()?]);
        UnixTime::from_civil(date, time)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}
