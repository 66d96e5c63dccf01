//! Two rows of two tables: whom one lets pass and the other does not.

mod narrow;
mod turn;

use std::net::IpAddr;
use std::sync::Arc;

use super::points::{self, Addresses, Class, Expanded, Point, Second, Site, Wanted, Which};
use super::region::{Change, Effect, Who};
use super::{Answer, Presented};
use crate::authn::Claims;
use crate::authz::access::Demand;
use crate::authz::condition::{Alternative, Condition};
use crate::clock::Now;
use narrow::restricted;
pub(super) use turn::{Bearer, Turn};
use turn::{Outcome, read};

/// What is found out about two rows.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Shown>,
    /// Not everybody was asked about.
    pub(super) cut: bool,
    /// Values that parameters would have to have.
    pub(super) wanted: Vec<Wanted>,
}

impl Found {
    fn note(&mut self, expanded: &Expanded) {
        self.cut |= expanded.cut;
        self.wanted.extend(expanded.wanted.iter().cloned());
    }
}

/// A difference and who shows it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) effect: Effect,
    pub(super) who: Who,
    pub(super) bearer: Bearer,
    pub(super) old: Answer,
    pub(super) new: Answer,
    pub(super) lacking: Vec<Condition>,
}

/// Two rows and what surrounds them.
pub(super) struct Rows<'a> {
    pub(super) old: Turn<'a>,
    pub(super) new: Turn<'a>,
    pub(super) classes: &'a [Class],
    pub(super) tells_caller: bool,
    pub(super) now: Now,
    pub(super) fresh: &'a dyn Fn(&str) -> String,
}

impl Rows<'_> {
    /// Compares.
    pub(super) fn compare(mut self) -> Found {
        let mut found = Found::default();
        if self.are_one() {
            return found;
        }
        let networks = self.networks();
        let addresses = Addresses::of(&networks);
        let somewhere = addresses.somewhere;
        let unlike = self.unlike_seconds(&addresses);
        for second in &unlike {
            self.without_claims(second, somewhere, &mut found);
        }
        let public = [&self.old, &self.new].map(|turn| turn.demand() == Some(Demand::Public));
        for which in [Which::New, Which::Old] {
            self.alternatives(which, public, &addresses, &unlike, &mut found);
        }
        self.both(&addresses, &unlike, &mut found);
        found.findings = simplified(found.findings, &self);
        found
    }

    /// Whether nothing can be different: the same conditions, asked of the same.
    fn are_one(&self) -> bool {
        let (Ok(old), Ok(new)) = (&self.old.routed, &self.new.routed) else {
            return false;
        };
        let (one, other) = (old.route().settings(), new.route().settings());
        let access = self.old.access() == self.new.access() && self.old.access().is_some();
        let issuers = self.old.alternatives().iter().map(|own| &own.issuer);
        let seconds = one.actor_token.iter().map(|own| &own.issuer);
        let is_one = |name: &Arc<str>| {
            let mut classes = self
                .classes
                .iter()
                .filter(|class| class.is(Which::Old, name) || class.is(Which::New, name));
            classes.all(|class| {
                class.is_one() && class.is(Which::Old, name) && class.is(Which::New, name)
            })
        };
        access
            && one.actor_token == other.actor_token
            && one.authorization == other.authorization
            && one.fold == other.fold
            && self.old.parameters() == self.new.parameters()
            && issuers.chain(seconds).all(is_one)
    }

    fn networks(&self) -> Vec<ipnet::IpNet> {
        let all = self
            .old
            .alternatives()
            .iter()
            .chain(self.new.alternatives());
        let mut networks: Vec<ipnet::IpNet> = all
            .flat_map(|own| &own.conditions)
            .filter_map(|own| match own {
                Condition::ClientAddress(networks) => Some(networks.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        networks.sort();
        networks.dedup();
        networks
    }

    /// Second tokens that the two rows could treat differently, whatever the first one is.
    fn unlike_seconds(&self, addresses: &Addresses) -> Vec<Second> {
        let mut all = vec![Second::Absent];
        if self.old.second().is_none() && self.new.second().is_none() {
            return all;
        }
        if self.old.second() != self.new.second() {
            all.push(Second::Bad);
        }
        for turn in [&self.old, &self.new] {
            if let Some(own) = turn.second() {
                for second in self.on(turn, addresses, |site| site.seconds(&own.issuer)) {
                    if !all.contains(&second) {
                        all.push(second);
                    }
                }
            }
        }
        all
    }

    /// Requests without a token that holds.
    fn without_claims(&mut self, second: &Second, client: IpAddr, found: &mut Found) {
        for token in [Presented::None, Presented::Opaque, Presented::Bad] {
            let who = match (&token, second) {
                (_, Second::Bad) => Who::BadSecond,
                (_, Second::Claims(_)) => Who::Second,
                (Presented::None, Second::Absent) => Who::NoToken,
                (Presented::Opaque, Second::Absent) => Who::Opaque,
                _ => Who::Anyone,
            };
            let bearer = Bearer {
                token,
                second: second.clone(),
                client,
                certificate: None,
            };
            let (old, new) = self.ask(&bearer, None);
            for effect in effects(&old, &new, self.tells_caller) {
                found
                    .findings
                    .push(self.shown(effect, who.clone(), &bearer, &old, &new));
            }
        }
    }

    /// Whom the alternatives of one row let pass: whether the other one does, and for the same.
    fn alternatives(
        &mut self,
        which: Which,
        public: [bool; 2],
        addresses: &Addresses,
        seconds: &[Second],
        found: &mut Found,
    ) {
        let (own, other) = self.turns(which);
        let alternatives = own.alternatives().to_vec();
        let wider = match which {
            Which::New => Effect::Wider,
            Which::Old => Effect::Narrower,
        };
        let is_covered = other.demand() == Some(Demand::Public);
        for alternative in &alternatives {
            let expanded = self.on(self.turns(which).0, addresses, |site| {
                points::expand(&[(site, alternative)])
            });
            found.note(&expanded);
            if let Some(point) = expanded
                .points
                .iter()
                .find(|own| own.second == Second::Absent)
            {
                self.with_seconds(alternative, point, seconds, found);
            }
            let mut failing: Vec<(Point, Bearer, Outcome, Outcome)> = Vec::new();
            for point in &expanded.points {
                let bearer = Bearer::of(point);
                let claims = read(&point.claims);
                let (old, new) = self.ask(&bearer, claims.as_ref());
                for effect in effects(&old, &new, self.tells_caller) {
                    if effect == wider {
                        failing.push((point.clone(), bearer.clone(), old.clone(), new.clone()));
                    } else if matches!(effect, Effect::Identity(_)) {
                        let who = Who::Token(alternative.clone());
                        found
                            .findings
                            .push(self.shown(effect, who, &bearer, &old, &new));
                    }
                }
            }
            if let Some((_, bearer, old, new)) = failing.first() {
                let points: Vec<&Point> = failing.iter().map(|(point, ..)| point).collect();
                let who = Who::Token(restricted(alternative, &expanded, &points));
                found
                    .findings
                    .push(self.shown(wider.clone(), who, bearer, old, new));
            }
            // One is enough where the other row looks at no token.
            if is_covered && public.contains(&true) && !expanded.points.is_empty() {
                break;
            }
        }
    }

    /// A principal who needs no second token, with one.
    fn with_seconds(
        &mut self,
        alternative: &Alternative,
        point: &Point,
        seconds: &[Second],
        found: &mut Found,
    ) {
        let claims = read(&point.claims);
        for second in seconds.iter().filter(|own| **own != Second::Absent) {
            let bearer = Bearer {
                second: second.clone(),
                ..Bearer::of(point)
            };
            let (old, new) = self.ask(&bearer, claims.as_ref());
            for effect in effects(&old, &new, self.tells_caller) {
                let who = match (&effect, second) {
                    (Effect::Identity(_), _) => Who::Token(alternative.clone()),
                    (_, Second::Bad) => Who::BadSecond,
                    _ => Who::Second,
                };
                found
                    .findings
                    .push(self.shown(effect, who, &bearer, &old, &new));
            }
        }
    }

    /// Principals whom both rows let pass, and what is told of them: those who have what an alternative of each asks for.
    /// An earlier alternative could let them pass instead; it is least likely to for who has no more than that.
    fn both(&mut self, addresses: &Addresses, seconds: &[Second], found: &mut Found) {
        let [old, new] = [&self.old, &self.new].map(|turn| turn.alternatives().to_vec());
        let [one, other] = [&self.old, &self.new].map(|turn| {
            let routed = turn.routed.as_ref().ok();
            let settings = routed.map(|routed| routed.route().settings());
            settings.map(|own| (own.authorization, own.actor_token.clone()))
        });
        let unlike = one != other;
        let pairs = old
            .iter()
            .flat_map(|one| new.iter().map(move |other| (one, other)));
        for (one, other) in pairs {
            if !unlike && (!self.tells_caller || one.caller == other.caller) {
                continue;
            }
            let expanded = self.on(&self.old, addresses, |site| {
                self.on(&self.new, addresses, |second| {
                    points::expand(&[(site, one), (second, other)])
                })
            });
            found.note(&expanded);
            for point in &expanded.points {
                let bearer = Bearer::of(point);
                let claims = read(&point.claims);
                let (before, after) = self.ask(&bearer, claims.as_ref());
                for effect in effects(&before, &after, self.tells_caller) {
                    if matches!(effect, Effect::Identity(_)) {
                        let who = Who::Token(one.clone());
                        found
                            .findings
                            .push(self.shown(effect, who, &bearer, &before, &after));
                    }
                }
                if unlike && point.second == Second::Absent {
                    self.with_seconds(one, point, seconds, found);
                }
            }
        }
    }

    /// The turn of `which`, and the other one.
    const fn turns(&self, which: Which) -> (&Turn<'_>, &Turn<'_>) {
        match which {
            Which::Old => (&self.old, &self.new),
            Which::New => (&self.new, &self.old),
        }
    }

    /// Does something where the alternatives of a turn are asked.
    fn on<T>(&self, turn: &Turn<'_>, addresses: &Addresses, act: impl FnOnce(&Site<'_>) -> T) -> T {
        let parameters = turn.parameters();
        let both = [&self.old, &self.new].into_iter();
        let segments = both.flat_map(|turn| turn.parameters().into_iter().map(|(_, value)| value));
        let segments: Vec<String> = segments.collect();
        let folded: Vec<Arc<str>> = turn
            .routed
            .as_ref()
            .map(|routed| routed.route().settings().fold.clone())
            .unwrap_or_default();
        let clients = self.clients();
        let own = self
            .old
            .alternatives()
            .iter()
            .chain(self.new.alternatives());
        let conditions: Vec<&Condition> = own
            .flat_map(|alternative| &alternative.conditions)
            .chain(&clients)
            .collect();
        act(&Site {
            which: turn.which,
            now: self.now,
            classes: self.classes,
            parameter: &|name| {
                let found = parameters.iter().find(|(own, _)| own == name);
                found.map(|(_, value)| value.clone())
            },
            segments: &segments,
            folds: &|name| folded.iter().any(|own| **own == *name),
            conditions: &conditions,
            addresses,
            second: turn.second().map(|second| &*second.issuer),
            wants_second: turn.second().is_some_and(|second| second.required),
            fresh: self.fresh,
        })
    }

    /// The clients that issuers take, as conditions.
    fn clients(&self) -> Vec<Condition> {
        let issuers = self.classes.iter().flat_map(|class| {
            [Which::Old, Which::New]
                .into_iter()
                .filter_map(|which| class.issuer(which))
        });
        let lists = issuers.filter_map(|issuer| issuer.settings().clients.as_ref());
        lists
            .map(|clients| {
                Condition::Client(clients.iter().map(|own| own.as_str().into()).collect())
            })
            .collect()
    }

    fn ask(&mut self, bearer: &Bearer, claims: Option<&Claims>) -> (Outcome, Outcome) {
        let old = self.old.ask(bearer, claims, self.now);
        (old, self.new.ask(bearer, claims, self.now))
    }

    fn shown(
        &mut self,
        effect: Effect,
        who: Who,
        bearer: &Bearer,
        old: &Outcome,
        new: &Outcome,
    ) -> Shown {
        let refusing = match effect {
            Effect::Wider => Some(&mut self.old),
            Effect::Narrower => Some(&mut self.new),
            Effect::Identity(_) => None,
        };
        let now = self.now;
        Shown {
            lacking: refusing
                .map(|turn| turn.lacking(bearer, now))
                .unwrap_or_default(),
            effect,
            who,
            bearer: bearer.clone(),
            old: self.old.answer(old),
            new: self.new.answer(new),
        }
    }
}

impl Bearer {
    fn of(point: &Point) -> Self {
        Self {
            token: Presented::Claims(point.claims.clone()),
            second: point.second.clone(),
            client: point.client,
            certificate: point.certificate.clone(),
        }
    }
}

/// How two outcomes differ.
fn effects(old: &Outcome, new: &Outcome, tells_caller: bool) -> Vec<Effect> {
    let (old, new) = match (old, new) {
        (Err(_), Err(_)) => return Vec::new(),
        (Err(_), Ok(_)) => return vec![Effect::Wider],
        (Ok(_), Err(_)) => return vec![Effect::Narrower],
        (Ok(old), Ok(new)) => (old, new),
    };
    let mut changes = Vec::new();
    if old.known != new.known {
        changes.push(Change::Told { now: new.known });
    } else if tells_caller && old.caller != new.caller {
        changes.push(Change::Caller {
            from: old.caller.clone(),
            to: new.caller.clone(),
        });
    }
    if old.second != new.second {
        changes.push(Change::Second { now: new.second });
    }
    if old.forwards != new.forwards {
        changes.push(Change::Authorization { now: new.forwards });
    }
    changes.into_iter().map(Effect::Identity).collect()
}

/// One line where several say the same.
fn simplified(findings: Vec<Shown>, rows: &Rows<'_>) -> Vec<Shown> {
    let mut turns = [&rows.old, &rows.new].into_iter();
    let public = turns.any(|turn| turn.demand() == Some(Demand::Public));
    let mut out: Vec<Shown> = Vec::new();
    for mut shown in findings {
        let is_identity = matches!(shown.effect, Effect::Identity(_));
        if public && !is_identity {
            shown.who = Who::Anyone;
        }
        let alike =
            |own: &Shown| own.effect == shown.effect && (is_identity || own.who == shown.who);
        if !out.iter().any(alike) {
            out.push(shown);
        }
    }
    out
}
