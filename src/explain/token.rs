//! What was looked at of a token that does not hold: what would have done, and what was there.
//!
//! The token is read without being verified, for people; what was wrong with it was decided elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::story::Check;
use crate::authn::{Audiences, IssuerSettings};
use crate::case::Members;
use crate::clock::{Now, UnixTime};
use crate::config::Config;
use crate::rejection::{Rejection, TokenFault};

/// The request's token and the second one, as they were sent.
type Tokens = [Option<Zeroizing<String>>; 2];

/// What was looked at.
pub(super) fn checks(
    rejection: &Rejection,
    tokens: &Tokens,
    config: &Config,
    now: Now,
) -> Vec<Check> {
    let Rejection::InvalidToken(fault) = rejection else {
        return Vec::new();
    };
    let [Some(token), _] = tokens else {
        return Vec::new();
    };
    let read = Read::of(token, config, now);
    read.check(*fault).into_iter().collect()
}

/// A token, read without being verified.
struct Read<'a> {
    length: usize,
    parts: usize,
    header: Members,
    claims: Members,
    issuer: Option<&'a IssuerSettings>,
    config: &'a Config,
    now: Now,
}

impl<'a> Read<'a> {
    fn of(token: &str, config: &'a Config, now: Now) -> Self {
        let mut parts = token.split('.');
        let mut object = || -> Members {
            let bytes = URL_SAFE_NO_PAD
                .decode(parts.next().unwrap_or_default())
                .unwrap_or_default();
            serde_json::from_slice(&bytes).unwrap_or_default()
        };
        let (header, claims) = (object(), object());
        let iss = claims.get("iss").and_then(Value::as_str);
        let issuer = config
            .issuers
            .iter()
            .map(|(issuer, _)| issuer)
            .find(|issuer| issuer.issuers.iter().any(|own| Some(own.as_str()) == iss));
        Self {
            length: token.len(),
            parts: token.split('.').count(),
            header,
            claims,
            issuer,
            config,
            now,
        }
    }

    fn check(&self, fault: TokenFault) -> Option<Check> {
        match fault {
            TokenFault::TooLarge => {
                let most = self.issuer.map(|issuer| issuer.token_bytes);
                let most = most.or_else(|| {
                    self.config
                        .issuers
                        .iter()
                        .map(|(issuer, _)| issuer.token_bytes)
                        .max()
                });
                let wanted = format!("at most {} bytes", most.unwrap_or_default());
                Some(check("token", wanted, format!("{} bytes", self.length)))
            }
            TokenFault::Malformed => Some(check(
                "token",
                "three parts of base64url with strict JSON in the first two",
                format!("{} parts", self.parts),
            )),
            TokenFault::UnsupportedHeader => {
                let known = ["crit", "b64", "zip", "enc", "cty"];
                let found: Vec<&str> = known
                    .into_iter()
                    .filter(|name| self.header.contains_key(*name))
                    .collect();
                Some(check(
                    "header",
                    "none of crit, b64, zip, enc, cty",
                    found.join(", "),
                ))
            }
            TokenFault::Type => Some(self.kind()),
            TokenFault::Issuer => {
                let known = self.config.issuers.iter();
                let known: Vec<&str> = known
                    .flat_map(|(issuer, _)| issuer.issuers.iter().map(String::as_str))
                    .collect();
                Some(check("iss", one_of(&known), self.claim("iss")))
            }
            _ => self.check_against(self.issuer?, fault),
        }
    }

    fn check_against(&self, issuer: &IssuerSettings, fault: TokenFault) -> Option<Check> {
        match fault {
            TokenFault::Algorithm => {
                let names: Vec<&str> = issuer.algorithms.iter().map(|own| own.name()).collect();
                Some(check("alg", one_of(&names), self.member("alg")))
            }
            TokenFault::Audience => {
                let wanted = match &issuer.audiences {
                    Audiences::Unchecked => "anything".to_owned(),
                    Audiences::AnyOf(audiences) => texts(audiences),
                };
                Some(check("aud", wanted, self.claim("aud")))
            }
            TokenFault::Client => Some(self.client(issuer)),
            TokenFault::Expired | TokenFault::NotYetValid | TokenFault::Lifetime => {
                Some(self.times(issuer, fault))
            }
            TokenFault::Claim => Some(self.missing(issuer)),
            TokenFault::UnknownKey => Some(check(
                "kid",
                "the name of a key that the issuer publishes",
                self.member("kid"),
            )),
            TokenFault::ServiceAccount => Some(check(
                "sub, kubernetes.io",
                "the same ServiceAccount in both, of a `kubernetes: true` issuer",
                format!("{} and {}", self.claim("sub"), self.claim("kubernetes.io")),
            )),
            TokenFault::Bound => Some(self.bound("a proof of its key, under the DPoP scheme")),
            TokenFault::NotBound => Some(self.bound("a key that it is bound to (jkt)")),
            TokenFault::Certificate => Some(self.bound("the certificate of the connection")),
            TokenFault::Confirmation => Some(self.bound("jkt or x5t#S256 alone, well-formed")),
            _ => None,
        }
    }

    fn bound(&self, wanted: &str) -> Check {
        check("cnf", wanted, self.claim("cnf"))
    }

    fn client(&self, issuer: &IssuerSettings) -> Check {
        let homes: Vec<String> = issuer
            .claim_mappings
            .client
            .iter()
            .map(|home| home.to_string().trim_start_matches('/').to_owned())
            .collect();
        let found = homes.iter().find(|home| self.claims.contains_key(*home));
        let found = found.map_or_else(|| "nothing".to_owned(), |home| self.claim(home));
        let clients = issuer.clients.as_deref();
        let wanted = clients.map_or_else(|| "one text".to_owned(), texts);
        check(&homes.join(", "), wanted, found)
    }

    fn missing(&self, issuer: &IssuerSettings) -> Check {
        let required = issuer.required_claims.iter().map(String::as_str);
        let missing: Vec<&str> = required
            .filter(|name| self.claims.get(*name).is_none_or(Value::is_null))
            .collect();
        let found = if missing.is_empty() {
            "one of the wrong type: texts that are empty or no texts, times that are no numbers"
                .to_owned()
        } else {
            format!("no {}", missing.join(", no "))
        };
        check("claims", issuer.required_claims.join(", "), found)
    }

    fn times(&self, issuer: &IssuerSettings, fault: TokenFault) -> Check {
        let leeway = issuer.leeway.as_secs();
        let now = date(self.now.unix.as_secs());
        match fault {
            TokenFault::Expired => check(
                "exp",
                format!("after {now}, with a leeway of {leeway}s"),
                self.time("exp"),
            ),
            TokenFault::NotYetValid => check(
                "nbf, iat",
                format!("not after {now}, with a leeway of {leeway}s"),
                format!("nbf {}, iat {}", self.time("nbf"), self.time("iat")),
            ),
            _ => {
                let most = issuer.max_lifetime.unwrap_or_default().as_secs();
                let found = match (self.number("exp"), self.number("iat")) {
                    (Some(exp), Some(iat)) => format!("{}s", exp.saturating_sub(iat)),
                    _ => "no `iat`".to_owned(),
                };
                check("exp − iat", format!("at most {most}s"), found)
            }
        }
    }

    /// `typ`, and what Keycloak and OpenID Connect say in claims.
    fn kind(&self) -> Check {
        let types: Vec<&str> = self.issuer.map_or(Vec::new(), |issuer| {
            let types = issuer.token_types.iter();
            types
                .map(|own| if own.is_empty() { "absent" } else { own })
                .collect()
        });
        let mut found = format!("typ {}", self.member("typ"));
        for name in ["typ", "at_hash", "c_hash"] {
            if self.claims.contains_key(name) {
                found.push_str(&format!(", claim {name} {}", self.claim(name)));
            }
        }
        check(
            "type",
            format!("typ {}, and no claims of an ID token", one_of(&types)),
            found,
        )
    }

    fn claim(&self, name: &str) -> String {
        said(self.claims.get(name))
    }

    fn member(&self, name: &str) -> String {
        said(self.header.get(name))
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.claims.get(name)?.as_i64()
    }

    fn time(&self, name: &str) -> String {
        self.number(name).map_or_else(|| self.claim(name), date)
    }
}

fn date(time: i64) -> String {
    format!("{time} ({})", crate::case::date(UnixTime::from_secs(time)))
}

fn texts(values: &[String]) -> String {
    one_of(&values.iter().map(String::as_str).collect::<Vec<_>>())
}

fn check(what: &str, wanted: impl Into<String>, found: impl Into<String>) -> Check {
    Check {
        what: what.to_owned(),
        wanted: wanted.into(),
        found: found.into(),
    }
}

fn said(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn one_of(values: &[&str]) -> String {
    match values {
        [] => "nothing".to_owned(),
        [only] => (*only).to_owned(),
        several => format!("one of {}", several.join(" | ")),
    }
}
