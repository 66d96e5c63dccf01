//! Who has made all choices, with what every token of the issuer must have besides.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{Choice, Class, Form, LIFETIME, Named, Need, Point, Second, Site, Wanted};
use crate::authn::Audiences;
use crate::authz::compare::cells::other_case;
use crate::authz::compare::draft::{Clash, Draft, Home};
use crate::authz::condition::ActorRule;
use crate::request::ClientCertificate;

impl Site<'_> {
    /// The principal of these choices; `Ok(None)` when nobody can make them all.
    pub(super) fn point(
        &self,
        class: &Class,
        chosen: &[&Choice],
        decoys: &[Home],
    ) -> Result<Option<Point>, Vec<Wanted>> {
        let mut made = Making::default();
        let mut parameters: Vec<(&str, &Named)> = Vec::new();
        for need in chosen.iter().flat_map(|choice| &choice.needs) {
            if let Need::Parameter { text, of, .. } = need {
                parameters.push((text, of));
            }
            match made.need(need) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(clash) => return Err(wanted(&clash, &parameters)),
            }
        }
        for home in decoys {
            if !made.claims.has(home) {
                made.claims.present(home);
            }
        }
        let Some(claims) = self.complete(made.claims, class) else {
            return Ok(None);
        };
        let second = match made.second {
            None => Second::Absent,
            Some((at, draft)) => {
                let class = self.classes.get(at);
                match class.and_then(|class| self.complete(draft, class)) {
                    Some(claims) => Second::Claims(claims),
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(Point {
            claims,
            second,
            client: made.address.unwrap_or(self.addresses.somewhere),
            certificate: made.certificate,
            chosen: chosen.iter().map(|choice| choice.values.clone()).collect(),
        }))
    }

    /// Second tokens of an issuer, with no more than they must have.
    pub(in crate::authz::compare) fn seconds(&self, issuer: &str) -> Vec<Second> {
        let mut all = Vec::new();
        for choice in self.actor(&ActorRule::of_issuer(issuer)) {
            for need in choice.needs {
                let mut made = Making::default();
                if let (Ok(true), Some((at, draft))) = (made.need(&need), made.second)
                    && let Some(claims) = self
                        .classes
                        .get(at)
                        .and_then(|class| self.complete(draft, class))
                {
                    all.push(Second::Claims(claims));
                }
            }
        }
        all
    }

    /// Adds what the issuer asks of every token, in both policies.
    fn complete(&self, mut draft: Draft, class: &Class) -> Option<Map<String, Value>> {
        let name = |name: &str| vec![name.to_owned()];
        if draft.only(&name("iss")).is_none() {
            draft.single(&name("iss"), class.iss.first()?).ok()?;
        }
        for issuer in class.both() {
            let settings = issuer.settings();
            if let Audiences::AnyOf(audiences) = &settings.audiences
                && !draft.has_one_of(&name("aud"), audiences)
            {
                draft.text(&name("aud"), audiences.first()?).ok()?;
            }
            if settings.kubernetes {
                service_account(&mut draft).ok()?;
            }
        }
        for issuer in class.both() {
            let required = issuer.settings().required_claims.iter();
            for claim in required.filter(|claim| *claim != "exp" && *claim != "iat") {
                if !draft.has(&name(claim)) {
                    draft.present(&name(claim));
                }
            }
        }
        let caps = class
            .both()
            .filter_map(|own| own.settings().max_lifetime)
            .filter_map(|cap| i64::try_from(cap.as_secs()).ok());
        let lifetime = caps.fold(LIFETIME, i64::min);
        let mut claims = draft.finish(self.fresh).ok()?;
        let now = self.now.unix;
        for (name, time) in [("iat", now), ("exp", now.plus(lifetime))] {
            claims.insert(name.to_owned(), Value::from(time.as_secs()));
        }
        // Where an issuer wants these, a string is none.
        if let Some(begin) = claims.get_mut("nbf") {
            *begin = Value::from(now.as_secs());
        }
        if let Some(bound) = claims.get_mut("cnf") {
            *bound = json!({"jkt": "A".repeat(43)});
        }
        Some(claims)
    }
}

/// A principal under construction.
#[derive(Debug, Default)]
struct Making {
    claims: Draft,
    second: Option<(usize, Draft)>,
    address: Option<IpAddr>,
    certificate: Option<ClientCertificate>,
}

impl Making {
    /// Adds a need; `false` when that cannot be.
    fn need(&mut self, need: &Need) -> Result<bool, Clash> {
        match need {
            Need::String(form, home, text)
            | Need::Parameter {
                home, form, text, ..
            } => match form {
                Form::Single => self.claims.single(home, text)?,
                Form::Text => self.claims.text(home, text)?,
                Form::Member => self.claims.member(home, text)?,
            },
            Need::Word(home, word) => self.claims.word(home, word)?,
            Need::Flag(home, flag) => self.claims.flag(home, *flag)?,
            Need::Present(home) => self.claims.present(home),
            Need::Address(address) => {
                return Ok(self
                    .address
                    .replace(*address)
                    .is_none_or(|own| own == *address));
            }
            Need::Dns(name) => once(&mut self.certificate().dns, name),
            Need::Uri(uri) => once(&mut self.certificate().uris, uri),
            Need::Sha256(digest) => {
                let certificate = self.certificate();
                if !certificate.sha256.is_empty() && certificate.sha256 != *digest {
                    return Ok(false);
                }
                certificate.sha256.clone_from(digest);
            }
            Need::Second(class, texts) => {
                let (own, draft) = self.second.get_or_insert((*class, Draft::default()));
                if own != class {
                    return Ok(false);
                }
                for (home, text) in texts {
                    draft.single(home, text)?;
                }
            }
        }
        Ok(true)
    }

    fn certificate(&mut self) -> &mut ClientCertificate {
        self.certificate.get_or_insert_default()
    }
}

fn once(all: &mut Vec<String>, name: &String) {
    if !all.contains(name) {
        all.push(name.clone());
    }
}

/// Which parameter would have to be what for two strings to be one.
fn wanted(clash: &Clash, parameters: &[(&str, &Named)]) -> Vec<Wanted> {
    let Some((one, other)) = &clash.texts else {
        return Vec::new();
    };
    let named = |text: &str, value: &str| {
        let own = parameters.iter().find(|(own, _)| *own == text);
        own.map(|(_, of)| Wanted {
            which: of.which,
            parameter: of.name.clone(),
            value: if of.swapped {
                other_case(value)
            } else {
                value.to_owned()
            },
        })
    };
    named(one, other)
        .or_else(|| named(other, one))
        .into_iter()
        .collect()
}

/// `sub` and the `kubernetes.io` claims, in agreement.
fn service_account(draft: &mut Draft) -> Result<(), Clash> {
    let home = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Home>()
    };
    let sub = home(&["sub"]);
    let namespace = home(&["kubernetes.io", "namespace"]);
    let name = home(&["kubernetes.io", "serviceaccount", "name"]);
    if draft.only(&sub).is_none() {
        let of = |home: &Home, otherwise: &str| draft.only(home).unwrap_or(otherwise).to_owned();
        let subject = format!(
            "system:serviceaccount:{}:{}",
            of(&namespace, "some-namespace"),
            of(&name, "some-account")
        );
        draft.single(&sub, &subject)?;
    }
    let subject = draft.only(&sub).unwrap_or_default().to_owned();
    let rest = subject.strip_prefix("system:serviceaccount:");
    if let Some((own_namespace, own_name)) = rest.and_then(|rest| rest.split_once(':')) {
        draft.single(&namespace, own_namespace)?;
        draft.single(&name, own_name)?;
    }
    Ok(())
}
