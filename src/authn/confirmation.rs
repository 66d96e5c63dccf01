//! `cnf` (RFC 7800): what the holder of a token must show beside it, so that a stolen one is worth nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Thumbprint;
use super::claims::Claims;
use super::json::Json;
use crate::rejection::TokenFault;
use crate::request::ClientCertificate;

/// What a token is bound to. All of it must be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// `jkt`: the key of DPoP proofs (RFC 9449 section 6.1).
    key: Option<Thumbprint>,
    /// `x5t#S256`: SHA-256 of a client certificate (RFC 8705 section 3.1), as [`ClientCertificate::sha256`] writes it.
    certificate: Option<Box<str>>,
}

impl Confirmation {
    /// Reads `cnf`; `None` when there is none. A way of confirming that we do not know cannot be checked, and a token that
    /// is bound must never pass as one that is not: it is refused, and so is a `cnf` that binds to nothing.
    pub(super) fn read(claims: &Claims) -> Result<Option<Box<Self>>, TokenFault> {
        let Some(cnf) = claims.top("cnf") else {
            return Ok(None);
        };
        let members = cnf.as_object().ok_or(TokenFault::Confirmation)?;
        let mut confirmation = Self::default();
        for (name, value) in members.iter() {
            match name {
                "jkt" => confirmation.key = Some(Thumbprint(digest(value)?)),
                "x5t#S256" => confirmation.certificate = Some(hexadecimal(digest(value)?)),
                _ => return Err(TokenFault::Confirmation),
            }
        }
        if confirmation == Self::default() {
            return Err(TokenFault::Confirmation);
        }
        Ok(Some(Box::new(confirmation)))
    }

    /// The key that proofs must be made with.
    pub(super) const fn key(&self) -> Option<Thumbprint> {
        self.key
    }

    /// Whether the connection's verified certificate is the one that the token is bound to, where it is bound to one.
    pub(super) fn check_certificate(
        &self,
        shown: Option<&ClientCertificate>,
    ) -> Result<(), TokenFault> {
        match &self.certificate {
            Some(bound) if shown.is_none_or(|shown| shown.sha256 != **bound) => {
                Err(TokenFault::Certificate)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// SHA-256 in canonical base64url.
fn digest(value: Json<'_>) -> Result<[u8; 32], TokenFault> {
    value
        .as_str()
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(TokenFault::Confirmation)
}

fn hexadecimal(bytes: [u8; 32]) -> Box<str> {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(64);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _written = write!(out, "{byte:02x}");
    }
    out.into_boxed_str()
}
