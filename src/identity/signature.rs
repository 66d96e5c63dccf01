//! HTTP message signature (RFC 9421) over method, target, authority and identity headers.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::statement::Statement;
use super::{About, KeySettings, NotVouched, SigningKey};
use crate::clock::UnixTime;

#[cfg(test)]
mod tests;

/// The label of our signature in both dictionaries.
const LABEL: &str = "countersign";

/// Most seconds between `created` and `expires`.
pub const LONGEST_SIGNATURE_LIFETIME: Duration = Duration::from_secs(30);

/// RFC 9421 message signature over method, target, authority and identity headers.
#[derive(Clone, Debug)]
pub struct SignatureSettings {
    /// What signs: Ed25519, ECDSA on P-256, or HMAC with a shared secret.
    pub key: KeySettings,
    /// From `created` to `expires`; at most [`LONGEST_SIGNATURE_LIFETIME`], longer ones are cut to it.
    pub lifetime: Duration,
    /// How long a replaced key stays published ([`super::DEFAULT_OVERLAP`]).
    pub overlap: Duration,
    /// The upstream is reached over https: `@authority` then leaves out port 443 rather than 80 (RFC 9421 section 2.2.3).
    pub https: bool,
}

impl SignatureSettings {
    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime.min(LONGEST_SIGNATURE_LIFETIME)
    }
}

/// `tag` (RFC 9421 section 2.3) of a signature about a known caller.
pub const TAG: &str = "countersign";

/// `tag` of a signature that says that nobody was authenticated.
pub const TAG_ANONYMOUS: &str = "countersign-anonymous";

pub(super) static SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// The two headers of a signed message.
pub(super) struct Signed {
    input: HeaderValue,
    signature: HeaderValue,
}

impl Signed {
    pub(super) fn headers(&self) -> [(&HeaderName, &HeaderValue); 2] {
        [
            (&SIGNATURE_INPUT, &self.input),
            (&SIGNATURE, &self.signature),
        ]
    }
}

/// Signs the request. Covered are method, authority, exact target and every identity header that is sent; a reserved
/// header that is there and not covered is not ours.
pub(super) fn sign(
    settings: &SignatureSettings,
    key: &SigningKey,
    statement: &Statement,
    assertion: Option<&(HeaderName, HeaderValue)>,
    about: &About<'_>,
    now: UnixTime,
) -> Result<Signed, NotVouched> {
    let authority = about
        .authority
        .to_str()
        .map_err(|_| NotVouched::Unsayable)?;
    let fields = || {
        let assertion = assertion.map(|(name, value)| (name, value));
        statement.headers().chain(assertion)
    };

    let mut input = String::with_capacity(384);
    input.push_str(r#"("@method" "@authority" "@request-target""#);
    for (name, _) in fields() {
        input.push_str(" \"");
        input.push_str(name.as_str());
        input.push('"');
    }
    let lifetime = i64::try_from(settings.lifetime().as_secs()).unwrap_or(0);
    let mut digits = itoa::Buffer::new();
    input.push_str(");created=");
    input.push_str(digits.format(now.as_secs()));
    input.push_str(";expires=");
    input.push_str(digits.format(now.plus(lifetime).as_secs()));
    input.push_str(";nonce=\"");
    input.push_str(&super::random_id()?);
    input.push_str("\";keyid=\"");
    input.push_str(key.id());
    input.push_str("\";tag=\"");
    input.push_str(if statement.anonymous {
        TAG_ANONYMOUS
    } else {
        TAG
    });
    input.push('"');

    let mut base = Vec::with_capacity(input.len() + about.target.len() + 1024);
    line(&mut base, "@method", about.method.as_bytes());
    line(
        &mut base,
        "@authority",
        normal(authority, settings.https).as_bytes(),
    );
    line(&mut base, "@request-target", about.target.as_bytes());
    for (name, value) in fields() {
        line(&mut base, name.as_str(), value.as_bytes());
    }
    base.extend(b"\"@signature-params\": ");
    base.extend(input.as_bytes());

    let signature = key.sign(&base)?;
    let signature = format!("{LABEL}=:{}:", STANDARD.encode(signature));
    input.insert_str(0, "countersign=");
    let value = |text: String| {
        HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| NotVouched::Unsayable)
    };
    Ok(Signed {
        input: value(input)?,
        signature: value(signature)?,
    })
}

/// One line of the signature base (RFC 9421 section 2.5).
fn line(base: &mut Vec<u8>, component: &str, value: &[u8]) {
    base.push(b'"');
    base.extend(component.as_bytes());
    base.extend(b"\": ");
    base.extend(value);
    base.push(b'\n');
}

/// The authority as RFC 9421 section 2.2.3 wants it: lower-case, without the scheme's default port.
fn normal(authority: &str, https: bool) -> String {
    let lower = authority.to_ascii_lowercase();
    let default = if https { ":443" } else { ":80" };
    match lower.strip_suffix(default) {
        Some(host) if !host.is_empty() => host.to_owned(),
        _ => lower,
    }
}
