//! The token reader, for `fuzz/`.

use super::token::Parts;
use super::{Algorithm, Claims, Json};
use crate::rejection::TokenFault;

/// A compact JWS as the verifier reads it, unverified.
#[derive(Debug)]
pub struct Token {
    /// The bytes that the signature is over.
    pub signed: String,
    /// `alg`, where it is one that tokens may use.
    pub algorithm: Option<Algorithm>,
    /// `kid`.
    pub kid: Option<String>,
    /// `typ`, lower-case, without `application/`.
    pub typ: Option<String>,
    /// The payload.
    pub claims: Claims,
    /// The signature, decoded.
    pub signature: Vec<u8>,
}

/// Takes a token apart, in the order of the verifier.
///
/// # Errors
/// As the verifier would say, before it looks at the issuer.
pub fn read_token(text: &str) -> Result<Token, TokenFault> {
    let parts = Parts::split(text)?;
    let header = parts.header()?;
    let claims = Claims::new(parts.claims()?);
    Ok(Token {
        signed: parts.signed.to_owned(),
        algorithm: header.algorithm,
        kid: header.kid.map(Into::into),
        typ: header.typ.map(Into::into),
        claims,
        signature: parts.signature()?,
    })
}

/// A NumericDate: the second that it lies in, and the first whole second that is not before it.
#[must_use]
pub fn numeric_date(value: Json<'_>) -> Option<(i64, i64)> {
    let date = super::claims::NumericDate::read(value)?;
    Some((date.floor().as_secs(), date.ceil().as_secs()))
}
