//! What a condition leaves to choice: one of its values, wherever a token can have it.

use super::class::{homes_of, implies, mapped, subject_homes};
use super::{Choice, Class, Form, Group, MOST_POINTS, Named, Need, Site};
use crate::authn::{Audiences, ClaimPath, Issuer};
use crate::authz::compare::cells::other_case;
use crate::authz::compare::draft::Home;
use crate::authz::condition::{AccountRule, ActorRule, CertificateNames, ClaimValue, Condition};

impl Site<'_> {
    /// Conditions that the issuer puts on every token, so far as other conditions can tell.
    pub(super) fn implied(&self, class: &Class, issuer: &Issuer) -> Vec<Condition> {
        let settings = issuer.settings();
        let mut implied = Vec::new();
        let speaks_of = |name: &str| {
            self.conditions.iter().any(
                |own| matches!(own, Condition::Claim { path, .. } if path.home() == [name.to_owned()]),
            )
        };
        let is = |name: &str, values: &[String]| Condition::Claim {
            path: ClaimPath::top(name),
            values: values
                .iter()
                .map(|text| ClaimValue::Text(text.as_str().into()))
                .collect(),
        };
        if speaks_of("iss") {
            implied.push(is("iss", &class.iss));
        }
        if let Audiences::AnyOf(audiences) = &settings.audiences
            && speaks_of("aud")
        {
            implied.push(is("aud", audiences));
        }
        if let Some(clients) = &settings.clients {
            implied.push(Condition::Client(
                clients
                    .iter()
                    .map(|client| client.as_str().into())
                    .collect(),
            ));
        }
        implied
    }

    /// Claims that both policies read, or ask for.
    fn claims(&self, class: &Class) -> Vec<ClaimPath> {
        let asked = self.conditions.iter().filter_map(|own| match own {
            Condition::Claim { path, .. } => Some(path.clone()),
            _ => None,
        });
        asked
            .chain(class.both().flat_map(|issuer| mapped(issuer)).flatten())
            .collect()
    }

    /// Where a token has what a path finds: at one place, unless the same names are asked for in another way.
    fn places(&self, path: &ClaimPath, class: &Class) -> Vec<Home> {
        if self.claims(class).iter().any(|own| own.is_twin_of(path)) {
            path.homes()
        } else {
            vec![path.home()]
        }
    }

    /// Claims that hide what a path with dots would find otherwise, where the same names are asked for in another way.
    pub(super) fn hiding(&self, class: &Class) -> Vec<Vec<Home>> {
        let all = self.claims(class);
        let is_twin = |path: &&ClaimPath| all.iter().any(|own| own.is_twin_of(path));
        let homes = all.iter().filter(is_twin).flat_map(ClaimPath::homes);
        homes.map(|home| vec![home]).collect()
    }

    /// The homes of what a condition speaks of: the first one, unless it matters which.
    fn homes(&self, homes: &[ClaimPath], class: &Class) -> Vec<Home> {
        let all = homes.iter().flat_map(|own| self.places(own, class));
        let all: Vec<Home> = all.collect();
        let spoken_of = self
            .conditions
            .iter()
            .any(|own| matches!(own, Condition::Claim { path, .. } if all.contains(&path.home())));
        if class.reads_alike() && !spoken_of {
            all.into_iter().take(1).collect()
        } else {
            all
        }
    }

    pub(super) fn choices(
        &self,
        condition: &Condition,
        class: &Class,
        issuer: &Issuer,
    ) -> Vec<Choice> {
        let mappings = &issuer.settings().claim_mappings;
        let each = |values: &[Box<str>], homes: &[ClaimPath], form: Form| {
            let mut choices = Vec::new();
            for values in self.told_apart(values) {
                let Some((_, text)) = values.first() else {
                    continue;
                };
                for home in self.homes(homes, class) {
                    choices.push(Choice {
                        needs: vec![Need::String(form, home, text.clone())],
                        values: values.iter().map(|(at, _)| *at).collect(),
                    });
                }
            }
            choices
        };
        match condition {
            Condition::Client(any) => each(any, &mappings.client, Form::Single),
            Condition::Subject(any) => each(any, &subject_homes(issuer), Form::Single),
            Condition::ServiceAccount(any) => {
                let subjects: Vec<Box<str>> = any.iter().map(|own| own.subject().into()).collect();
                each(&subjects, &subject_homes(issuer), Form::Single)
            }
            Condition::Scopes(all) => {
                self.scopes(&[all.iter().map(|own| &**own).collect()], class, issuer)
            }
            Condition::AnyScope(any) => {
                let ways: Vec<Vec<&str>> = any.iter().map(|scope| vec![&**scope]).collect();
                self.scopes(&ways, class, issuer)
            }
            Condition::Roles(any) => each(any, &mappings.roles, Form::Member),
            Condition::Groups(any) => each(any, &mappings.groups, Form::Member),
            Condition::ClientAddress(networks) => self.addresses.within(networks),
            Condition::ClientCertificate(names) => certificates(names),
            Condition::Claim { path, values } => {
                let places = self.places(path, class).into_iter();
                places
                    .flat_map(|home| self.claim(&home, values, class))
                    .collect()
            }
            Condition::Account(rule) => self.account(rule, &self.homes(&mappings.account, class)),
            Condition::Actor(rule) => self.actor(rule),
        }
    }

    /// Ways to have scopes: themselves, and where the two policies differ in what implies what, what implies them.
    fn scopes(&self, ways: &[Vec<&str>], class: &Class, issuer: &Issuer) -> Vec<Choice> {
        let homes = self.homes(&issuer.settings().claim_mappings.scopes, class);
        let mut choices = Vec::new();
        for (at, way) in ways.iter().enumerate() {
            let mut spellings: Vec<Vec<String>> = vec![Vec::new()];
            for scope in way {
                let mut names = vec![scope.to_string()];
                if !class.reads_alike() {
                    let implying = issuer.settings().scope_implies.keys();
                    names.extend(implying.filter(|own| implies(issuer, own, scope)).cloned());
                }
                spellings = spellings
                    .iter()
                    .flat_map(|before| {
                        names
                            .iter()
                            .map(move |name| before.iter().cloned().chain([name.clone()]).collect())
                    })
                    .take(MOST_POINTS)
                    .collect();
            }
            for home in &homes {
                for words in &spellings {
                    let need = |word: &String| {
                        if home.last().is_some_and(|name| name == "scope") {
                            Need::Word(home.clone(), word.clone())
                        } else {
                            Need::String(Form::Member, home.clone(), word.clone())
                        }
                    };
                    choices.push(Choice {
                        needs: words.iter().map(need).collect(),
                        values: vec![at],
                    });
                }
            }
        }
        choices
    }

    fn claim(&self, home: &Home, values: &[ClaimValue], class: &Class) -> Vec<Choice> {
        // A string in a list is as good for the condition, and worse for what policies read from the same place.
        let read = class.both().flat_map(|issuer| homes_of(issuer)).flatten();
        let forms: &[Form] = if read.into_iter().any(|own| own == *home) {
            &[Form::Text, Form::Member]
        } else {
            &[Form::Text]
        };
        let texts: Vec<Box<str>> = values
            .iter()
            .filter_map(|value| match value {
                ClaimValue::Text(text) => Some(text.clone()),
                ClaimValue::Boolean(_) | ClaimValue::Parameter(_) => None,
            })
            .collect();
        let mut choices = Vec::new();
        for group in self.told_apart(&texts) {
            let Some((_, text)) = group.first() else {
                continue;
            };
            let is_of_group = |value: &ClaimValue| match value {
                ClaimValue::Text(own) => group.iter().any(|(_, text)| **own == **text),
                ClaimValue::Boolean(_) | ClaimValue::Parameter(_) => false,
            };
            choices.extend(forms.iter().map(|form| Choice {
                needs: vec![Need::String(*form, home.clone(), text.clone())],
                values: positions(values, is_of_group),
            }));
        }
        for (at, value) in values.iter().enumerate() {
            match value {
                ClaimValue::Text(_) => {}
                ClaimValue::Boolean(flag) => choices.push(Choice {
                    needs: vec![Need::Flag(home.clone(), *flag)],
                    values: vec![at],
                }),
                ClaimValue::Parameter(name) => {
                    for form in forms {
                        choices.extend(self.parameter(name, home, *form, at));
                    }
                }
            }
        }
        choices
    }

    fn account(&self, rule: &AccountRule, homes: &[Home]) -> Vec<Choice> {
        homes
            .iter()
            .flat_map(|home| match rule {
                AccountRule::Required => vec![Choice {
                    needs: vec![Need::Present(home.clone())],
                    values: vec![0],
                }],
                AccountRule::Parameter(name) => self.parameter(name, home, Form::Single, 0),
            })
            .collect()
    }

    /// The value of a parameter, as the path has it and, where that is as good, in another case.
    fn parameter(&self, name: &str, home: &Home, form: Form, at: usize) -> Vec<Choice> {
        let Some(text) = (self.parameter)(name) else {
            return Vec::new();
        };
        let mut spellings = vec![(text.clone(), false)];
        if (self.folds)(name) {
            spellings.push((other_case(&text), true));
            spellings.dedup_by(|one, other| one.0 == other.0);
        }
        spellings
            .into_iter()
            .map(|(text, swapped)| Choice {
                needs: vec![Need::Parameter {
                    home: home.clone(),
                    form,
                    text,
                    of: Named {
                        which: self.which,
                        name: name.to_owned(),
                        swapped,
                    },
                }],
                values: vec![at],
            })
            .collect()
    }

    pub(super) fn actor(&self, rule: &ActorRule) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (at, class) in self.classes.iter().enumerate() {
            let Some(issuer) = class.issuer(self.which) else {
                continue;
            };
            if !class.is(self.which, &rule.issuer) {
                continue;
            }
            let clients = issuer.settings().clients.iter();
            let clients = clients.map(|clients| {
                Condition::Client(clients.iter().map(|own| own.as_str().into()).collect())
            });
            let conditions: Vec<Condition> =
                rule.conditions.iter().cloned().chain(clients).collect();
            let mut ways: Vec<Vec<(Home, String)>> = vec![Vec::new()];
            for condition in &conditions {
                let (homes, values): (Vec<ClaimPath>, Vec<Box<str>>) = match condition {
                    Condition::Client(any) => {
                        (issuer.settings().claim_mappings.client.clone(), any.clone())
                    }
                    Condition::Subject(any) => (subject_homes(issuer), any.clone()),
                    Condition::ServiceAccount(any) => (
                        subject_homes(issuer),
                        any.iter().map(|own| own.subject().into()).collect(),
                    ),
                    _ => continue,
                };
                let mut texts = Vec::new();
                for home in self.homes(&homes, class) {
                    let own = values.iter().map(|text| (home.clone(), text.to_string()));
                    texts.extend(own);
                }
                ways = ways
                    .iter()
                    .flat_map(|before| {
                        texts
                            .iter()
                            .map(move |text| before.iter().cloned().chain([text.clone()]).collect())
                    })
                    .take(MOST_POINTS)
                    .collect();
            }
            choices.extend(ways.into_iter().map(|way| Choice {
                needs: vec![Need::Second(at, way)],
                values: vec![0],
            }));
        }
        choices
    }

    /// Values in groups that no condition tells apart, each with its place.
    fn told_apart(&self, values: &[Box<str>]) -> Vec<Group> {
        let mut groups: Vec<(Vec<bool>, Group)> = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let asked = self
                .conditions
                .iter()
                .map(|condition| mentions(condition, value));
            let segments = self.segments.iter();
            let is_segment = segments.map(|own| own.eq_ignore_ascii_case(value));
            let signature: Vec<bool> = asked.chain(is_segment).collect();
            let entry = (at, value.to_string());
            match groups.iter_mut().find(|(own, _)| *own == signature) {
                Some((_, group)) => group.push(entry),
                None => groups.push((signature, vec![entry])),
            }
        }
        // The first of a group stands for it, and must be the same wherever the group comes up.
        let sorted = groups.into_iter().map(|(_, mut group)| {
            group.sort_by(|(_, one), (_, other)| one.cmp(other));
            group
        });
        sorted.collect()
    }
}

fn certificates(names: &CertificateNames) -> Vec<Choice> {
    let dns = names.dns.iter().map(|name| Need::Dns(name.to_string()));
    let uris = names.uris.iter().map(|name| Need::Uri(name.to_string()));
    let digests = names.sha256.iter();
    let digests = digests.map(|name| Need::Sha256(name.to_string()));
    dns.chain(uris)
        .chain(digests)
        .enumerate()
        .map(|(at, need)| Choice {
            needs: vec![need],
            values: vec![at],
        })
        .collect()
}

pub(super) fn positions<T>(all: &[T], is: impl Fn(&T) -> bool) -> Vec<usize> {
    let found = all.iter().enumerate().filter(|(_, own)| is(own));
    found.map(|(at, _)| at).collect()
}

/// Whether a value is one that a condition asks for.
fn mentions(condition: &Condition, value: &str) -> bool {
    match condition {
        Condition::Client(any)
        | Condition::Subject(any)
        | Condition::Scopes(any)
        | Condition::AnyScope(any)
        | Condition::Roles(any)
        | Condition::Groups(any) => any.iter().any(|own| **own == *value),
        Condition::ServiceAccount(any) => any.iter().any(|own| own.subject() == value),
        Condition::Claim { values, .. } => values
            .iter()
            .any(|own| matches!(own, ClaimValue::Text(text) if **text == *value)),
        Condition::ClientAddress(_)
        | Condition::ClientCertificate(_)
        | Condition::Account(_)
        | Condition::Actor(_) => false,
    }
}
