//! Witnesses as cases: the document that `explain` and `test` read (`docs/policy.md`).

use serde_json::{Map, Value, json};

use crate::authn::{Audiences, IssuerSettings};
use crate::authz::compare::{Presented, Witness};
use crate::case::{SOME_HOST, SOMEBODY, date};
use crate::clock::{Now, UnixTime};
use crate::config::Config;

/// A token that is no JWT.
const OPAQUE: &str = "some-opaque-token";

/// What witnesses are about.
pub(super) struct About<'c> {
    old: &'c Config,
    new: &'c Config,
    now: UnixTime,
    several_listeners: bool,
}

impl<'c> About<'c> {
    pub(super) fn new(old: &'c Config, new: &'c Config, now: Now) -> Self {
        let several_listeners = [old, new].iter().any(|config| config.listeners.len() > 1);
        Self {
            old,
            new,
            now: now.unix,
            several_listeners,
        }
    }

    /// The case that a witness is.
    pub(super) fn case(&self, witness: &Witness) -> Vec<(&'static str, Value)> {
        let mut dated = false;
        let mut case = vec![("request", self.request(witness))];
        match &witness.token {
            Presented::None => {}
            Presented::Claims(claims) => {
                let mut token = self.token(claims, &mut dated);
                if token.contains_key("source") {
                    case.push(("token", Value::Object(token)));
                } else {
                    let own = ["issuer", "claims"].into_iter();
                    case.extend(own.filter_map(|key| Some((key, token.remove(key)?))));
                }
            }
            other => {
                case.push(("token", unheld(other)));
            }
        }
        match &witness.second {
            Presented::None => {}
            Presented::Claims(claims) => {
                let mut token = self.token(claims, &mut dated);
                token.remove("source");
                case.push(("actor", Value::Object(token)));
            }
            other => {
                case.push(("actor", unheld(other)));
            }
        }
        if dated {
            case.push(("at", json!(date(self.now))));
        }
        case
    }

    fn request(&self, witness: &Witness) -> Value {
        let mut request = Map::new();
        if self.several_listeners {
            request.insert("listener".to_owned(), json!(&*witness.listener));
        }
        if *witness.host != *SOME_HOST {
            request.insert("host".to_owned(), json!(&*witness.host));
        }
        if witness.client != SOMEBODY {
            request.insert("peer".to_owned(), json!(witness.client));
        }
        if !witness.headers.is_empty() {
            let headers = witness.headers.iter();
            let headers: Map<String, Value> = headers
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            request.insert("headers".to_owned(), Value::Object(headers));
        }
        if let Some(own) = &witness.certificate {
            let mut names = Map::new();
            for (key, list) in [("dns", &own.dns), ("uri", &own.uris)] {
                if !list.is_empty() {
                    names.insert(key.to_owned(), json!(list));
                }
            }
            if !own.sha256.is_empty() {
                names.insert("sha256".to_owned(), json!(own.sha256));
            }
            request.insert("client_certificate".to_owned(), Value::Object(names));
        }
        let (method, path) = (witness.method.as_str(), &witness.target);
        if request.is_empty() {
            return json!(format!("{method} {path}"));
        }
        request.insert("method".to_owned(), json!(method));
        request.insert("path".to_owned(), json!(path));
        Value::Object(request)
    }

    /// A token of these claims. Where both configurations call its issuer the same, it lasts whenever it is looked at;
    /// otherwise it is `dated`.
    fn token(&self, claims: &Map<String, Value>, dated: &mut bool) -> Map<String, Value> {
        let issuers = [self.old, self.new].map(|config| {
            let iss = claims.get("iss").and_then(Value::as_str);
            let mut issuers = config.issuers.iter().map(|(own, _)| own);
            issuers.find(|own| own.issuers.iter().any(|own| Some(own.as_str()) == iss))
        });
        let mut token = Map::new();
        let mut claims = claims.clone();
        // The holder's key is completed, with a proof by it.
        let is_bound = claims.remove("cnf").is_some();
        // A client that the claims do not name would be added where an issuer takes one only.
        let names_client = claims.contains_key("azp") || claims.contains_key("client_id");
        match issuers {
            [Some(one), Some(other)]
                if one.name == other.name && (names_client || one.clients == other.clients) =>
            {
                claims.remove("iat");
                claims.remove("exp");
                let all = claims.clone();
                leave_out_completed(&mut claims, one, other);
                if claims.is_empty() {
                    claims = all; // a case has no empty claims
                }
                token.insert("issuer".to_owned(), json!(&*one.name));
            }
            _ => *dated = true,
        }
        let bound = |own: &IssuerSettings| own.dpop.as_ref().is_some_and(|dpop| dpop.required);
        if is_bound || issuers.iter().flatten().any(|own| bound(own)) {
            token.insert("source".to_owned(), json!("dpop"));
        }
        token.insert("claims".to_owned(), Value::Object(claims));
        token
    }
}

/// Leaves out what a case is completed with under both configurations.
fn leave_out_completed(
    claims: &mut Map<String, Value>,
    one: &IssuerSettings,
    other: &IssuerSettings,
) {
    if one.issuers == other.issuers
        && claims.get("iss") == one.issuers.first().map(|own| json!(own)).as_ref()
    {
        claims.remove("iss");
    }
    let first = match (&one.audiences, &other.audiences) {
        (Audiences::AnyOf(one), Audiences::AnyOf(other)) if one == other => one.first(),
        _ => None,
    };
    if claims
        .get("aud")
        .is_some_and(|own| Some(own) == first.map(|own| json!(own)).as_ref())
    {
        claims.remove("aud");
    }
}

/// A token that does not hold, or that nobody can judge.
fn unheld(presented: &Presented) -> Value {
    match presented {
        Presented::Opaque => json!({ "value": OPAQUE }),
        _ => json!({"claims": {"sub": "nobody"}, "signature": "bad"}),
    }
}
