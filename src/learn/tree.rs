//! Paths that were asked for, as a tree of segments, and the templates that are in it.

use std::collections::{BTreeMap, BTreeSet};

use super::segments::{is_numbered, is_plural, is_value, may_be_collection};
use super::template::{Part, Template};

/// Most different literals of one party below one segment: what has more, varies.
const LITERALS: usize = 64;

/// Most values of a parameter that are remembered.
const VALUES: usize = 8;

/// Most accounts of a parameter, and names that became one, that are remembered.
const NAMES: usize = 4096;

/// One segment on the way down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This text.
    Literal(String),
    /// This text, whatever its neighbours are.
    Pinned(String),
    /// A value, by its looks.
    Value(String),
    /// The account of who asks, and whether the policy of the time has a parameter there.
    Own(String, bool),
}

/// How a request stands to the account that its path may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Standing {
    /// This segment is the account of who asks.
    Own(usize),
    /// A segment is the account of who asks, and nobody else was seen with theirs there: it may be a word like another.
    Once,
    /// Who asks has an account, and no segment is it.
    Other,
    /// Who asks has an account, and where others have theirs, the path has another one.
    Foreign,
    /// Who asks has no account.
    Without,
    /// The operator said that it is to pass.
    Accepted,
}

/// What is asked for at the end of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UseKey {
    pub(super) method: String,
    /// Who asks: an index of parties.
    pub(super) party: usize,
    /// The route that owned it: an index of names.
    pub(super) route: usize,
    pub(super) standing: Standing,
}

/// Requests of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    pub(super) count: u64,
    /// Scopes that every request had.
    pub(super) scopes: BTreeSet<String>,
    /// The first of them: its path, decoded.
    pub(super) example: Vec<String>,
    /// The first of them, as recorded.
    pub(super) sample: Option<Box<[u8]>>,
    /// Protocols that connections were upgraded to.
    pub(super) upgrade: BTreeSet<String>,
}

impl Use {
    pub(super) fn add(&mut self, other: Self) {
        if self.count == 0 {
            *self = other;
            return;
        }
        self.count += other.count;
        self.scopes.retain(|scope| other.scopes.contains(scope));
        self.upgrade.extend(other.upgrade);
        if self.sample.is_none() {
            self.sample = other.sample;
        }
    }
}

/// Values that were seen in one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    pub(super) seen: BTreeSet<String>,
    pub(super) more: bool,
    /// Those that became values because they looked alike.
    pub(super) alike: BTreeSet<String>,
}

impl Values {
    fn add(&mut self, value: String, most: usize) {
        if self.seen.len() < most || self.seen.contains(&value) {
            self.seen.insert(value);
        } else {
            self.more = true;
        }
    }

    fn add_alike(&mut self, name: String) {
        if self.alike.len() < NAMES {
            self.alike.insert(name.clone());
        }
        self.add(name, VALUES);
    }

    fn merge(&mut self, other: Self, most: usize) {
        self.more |= other.more;
        let seen = other.seen.into_iter();
        seen.for_each(|value| self.add(value, most));
        self.alike.extend(other.alike);
    }

    /// How many, in words.
    pub(super) fn count(&self) -> String {
        let more = if self.more { "more than " } else { "" };
        format!("{more}{}", self.seen.len())
    }
}

/// What is below a segment.
#[derive(Debug, Default)]
pub(super) struct Node {
    literals: BTreeMap<String, Self>,
    /// Literals that stay apart.
    pinned: bool,
    /// How many of them each party made.
    made: BTreeMap<usize, usize>,
    /// Below any value, and which there were.
    value: Option<Box<(Self, Values)>>,
    /// Below the account of who asks, and which there were.
    own: Option<Box<(Self, Values)>>,
    /// The policy of the time has a parameter for that account.
    known: bool,
    /// Accounts in paths differ from those of tokens in the case of letters.
    folded: bool,
    pub(super) uses: BTreeMap<UseKey, Use>,
}

/// What stands above.
#[derive(Clone, Copy)]
enum Above<'a> {
    Root,
    Literal(&'a str),
    Parameter,
}

impl Node {
    /// The node at the end of `steps`; `None` where that would be one more than `room`, which is counted down.
    pub(super) fn descend(
        &mut self,
        steps: impl IntoIterator<Item = Step>,
        (party, account): (usize, &str),
        room: &mut usize,
    ) -> Option<&mut Self> {
        let mut node = self;
        for step in steps {
            node = node.below(step, party, account, room)?;
        }
        Some(node)
    }

    fn below(
        &mut self,
        step: Step,
        party: usize,
        account: &str,
        room: &mut usize,
    ) -> Option<&mut Self> {
        let mut one_more = |is_new: bool| {
            *room = room.checked_sub(usize::from(is_new))?;
            Some(())
        };
        let (text, pinned) = match step {
            Step::Own(text, known) => {
                one_more(self.own.is_none())?;
                self.known |= known;
                self.folded |= text != account;
                let own = self.own.get_or_insert_default();
                own.1.add(text, NAMES);
                return Some(&mut own.0);
            }
            Step::Value(text) => (Err(text), false),
            Step::Literal(text) => (Ok(text), false),
            Step::Pinned(text) => (Ok(text), true),
        };
        // One party's many names are no reason to take another's for values.
        let made = self.made.get(&party).copied().unwrap_or_default();
        let crowded = made >= LITERALS && !pinned;
        match text {
            Ok(text) if !crowded || self.literals.contains_key(&text) => {
                let is_new = !self.literals.contains_key(&text);
                one_more(is_new)?;
                if is_new && !pinned {
                    self.made.insert(party, made + 1);
                }
                let node = self.literals.entry(text).or_default();
                node.pinned |= pinned;
                Some(node)
            }
            Ok(name) => {
                one_more(self.value.is_none())?;
                let value = self.value.get_or_insert_default();
                value.1.add_alike(name);
                Some(&mut value.0)
            }
            Err(value) => {
                one_more(self.value.is_none())?;
                let below = self.value.get_or_insert_default();
                below.1.add(value, VALUES);
                Some(&mut below.0)
            }
        }
    }

    /// Finds the templates.
    pub(super) fn settle(&mut self) {
        self.settle_below(Above::Root);
    }

    fn settle_below(&mut self, above: Above<'_>) {
        for (text, node) in &mut self.literals {
            node.settle_below(Above::Literal(text));
        }
        for below in [&mut self.value, &mut self.own].into_iter().flatten() {
            below.0.settle_below(Above::Parameter);
        }
        self.merge_accounts();
        self.merge_values(above);
    }

    /// Where some have their own account in a path, what stands in the same place and goes on in the same way is an account,
    /// too: another one's. Not what those without an account ask for: that is an account only where others have it for
    /// theirs, and where they ask for at least half of those.
    fn merge_accounts(&mut self) {
        let Some(mut own) = self.own.take() else {
            return;
        };
        if !self.known && is_one_word(&own.1) {
            self.demote(own.0, own.1);
            return;
        }
        let mut places: BTreeMap<usize, usize> = BTreeMap::new();
        let seen = self
            .literals
            .iter()
            .filter(|(text, _)| own.1.seen.contains(*text));
        let nodes = seen.map(|(_, node)| node);
        for node in nodes.chain(self.value.as_ref().map(|value| &value.0)) {
            for party in node.parties(is_without) {
                *places.entry(party).or_default() += 1;
            }
        }
        let most = own.1.seen.len();
        let reaches = |party: &usize| {
            let places = places.get(party).copied().unwrap_or_default();
            places >= 2 && places * 2 >= most
        };
        if let Some(value) = self.value.take() {
            own.0.absorb(value.0, true);
            own.1.alike.extend(value.1.alike);
        }
        let shape = own.0.shape();
        let is_account = |text: &String, node: &mut Self| {
            let without = node.parties(is_without);
            let is_seen = own.1.seen.contains(text);
            !node.pinned
                && if without.is_empty() {
                    is_seen || node.shape().is_subset(&shape)
                } else {
                    is_seen && without.iter().all(reaches)
                }
        };
        let accounts: Vec<Self> = self
            .literals
            .extract_if(.., is_account)
            .map(|(_, node)| node)
            .collect();
        for node in accounts {
            own.0.absorb(node, true);
        }
        own.0.settle_below(Above::Parameter);
        self.own = Some(own);
    }

    /// Makes a literal of the only account that was seen in its place.
    fn demote(&mut self, mut node: Self, accounts: Values) {
        let Some(text) = accounts.seen.into_iter().next() else {
            return;
        };
        node.once();
        let literal = self.literals.entry(text.clone()).or_default();
        literal.absorb(node, false);
        literal.settle_below(Above::Literal(&text));
    }

    fn once(&mut self) {
        for (mut key, found) in std::mem::take(&mut self.uses) {
            if matches!(key.standing, Standing::Own(_)) {
                key.standing = Standing::Once;
            }
            self.uses.entry(key).or_default().add(found);
        }
        let literals = self.literals.values_mut();
        let others = [&mut self.value, &mut self.own].into_iter().flatten();
        literals
            .chain(others.map(|below| &mut below.0))
            .for_each(Self::once);
    }

    /// Who asks for what is below, of those whose standing is meant.
    fn parties(&self, is_meant: fn(Standing) -> bool) -> BTreeSet<usize> {
        let own = self.uses.keys().filter(|key| is_meant(key.standing));
        let mut parties: BTreeSet<usize> = own.map(|key| key.party).collect();
        let others = [&self.value, &self.own].into_iter().flatten();
        for node in self.literals.values().chain(others.map(|below| &below.0)) {
            parties.extend(node.parties(is_meant));
        }
        parties
    }

    /// Literals that go on in the same way are values, where they are many enough, and each of those who ask for one asks for
    /// at least half of them.
    fn merge_values(&mut self, above: Above<'_>) {
        let names: BTreeMap<&String, Name> = self
            .literals
            .iter()
            .filter(|(text, node)| !node.pinned && !text.is_empty())
            .map(|(text, node)| {
                let (shape, parties) = (node.shape(), node.parties(|_| true));
                (text, Name { shape, parties })
            })
            .collect();
        let alike = |shape: &BTreeSet<String>| {
            let alike = names.iter().filter(|(_, own)| own.shape.is_subset(shape));
            alike.map(|(text, own)| (*text, own)).collect::<Vec<_>>()
        };
        let mut values: Vec<String> = Vec::new();
        if let Some(known) = &self.value {
            // Beside the identifiers of somebody, what is numbered is one, too.
            let whose = known.0.parties(|_| true);
            let alike = alike(&known.0.shape()).into_iter();
            let alike =
                alike.filter(|(text, own)| is_numbered(text) && own.parties.is_subset(&whose));
            values.extend(alike.map(|(text, _)| text.clone()));
        }
        let mut largest: Vec<String> = Vec::new();
        for name in names.values() {
            let all = alike(&name.shape);
            let numbered = all.iter().filter(|(text, _)| is_numbered(text)).copied();
            let numbered = together(&numbered.collect::<Vec<_>>());
            let all = together(&all);
            let are_values = if all.len() >= enough(above, &name.shape) {
                all
            } else if numbered.len() >= 2 && !matches!(above, Above::Root) {
                numbered
            } else {
                continue;
            };
            if are_values.len() > largest.len() {
                largest = are_values;
            }
        }
        values.extend(largest);
        if values.is_empty() {
            return;
        }
        // Where callers have their account, that is what it is the name of.
        let is_account = self.own.is_some();
        let below = if is_account {
            &mut self.own
        } else {
            &mut self.value
        };
        let below = below.get_or_insert_default();
        for text in values {
            if let Some(node) = self.literals.remove(&text) {
                below.0.absorb(node, is_account);
                below.1.add_alike(text);
            }
        }
        below.0.settle_below(Above::Parameter);
    }

    /// Takes over all that is below `other`.
    fn absorb(&mut self, other: Self, foreign: bool) {
        for (mut key, found) in other.uses {
            if foreign && matches!(key.standing, Standing::Other | Standing::Once) {
                key.standing = Standing::Foreign;
            }
            self.uses.entry(key).or_default().add(found);
        }
        for (text, node) in other.literals {
            let own = self.literals.entry(text).or_default();
            own.pinned |= node.pinned;
            own.absorb(node, foreign);
        }
        let places = [
            (&mut self.value, other.value, VALUES),
            (&mut self.own, other.own, NAMES),
        ];
        for (own, other, most) in places {
            if let Some(other) = other {
                let own = own.get_or_insert_default();
                own.1.merge(other.1, most);
                own.0.absorb(other.0, foreign);
            }
        }
        self.folded |= other.folded;
        self.known |= other.known;
    }

    /// How paths go on from here, with their methods.
    fn shape(&self) -> BTreeSet<String> {
        let mut shape = BTreeSet::new();
        self.shape_into("", &mut shape);
        shape
    }

    fn shape_into(&self, above: &str, shape: &mut BTreeSet<String>) {
        for key in self.uses.keys() {
            shape.insert(format!("{above} {}", key.method));
        }
        for (text, node) in &self.literals {
            node.shape_into(&format!("{above}/{text}"), shape);
        }
        for below in [&self.value, &self.own].into_iter().flatten() {
            below.0.shape_into(&format!("{above}/{{}}"), shape);
        }
    }

    /// The templates, each with what is asked for there.
    pub(super) fn into_templates(self) -> Vec<Template> {
        let mut templates = Vec::new();
        self.templates_into(&Template::default(), &mut templates);
        templates
    }

    fn templates_into(self, at: &Template, into: &mut Vec<Template>) {
        if !self.uses.is_empty() {
            into.push(Template {
                uses: self.uses,
                ..at.clone()
            });
        }
        for (text, node) in self.literals {
            node.templates_into(&at.with(Part::Literal(text)), into);
        }
        for (own, below) in [(true, self.own), (false, self.value)] {
            let Some(below) = below else { continue };
            let (node, values) = *below;
            let part = Part::Parameter {
                name: at.name(),
                values,
                own,
                folded: own && self.folded,
            };
            node.templates_into(&at.with(part), into);
        }
    }
}

/// A literal that may be a value.
struct Name {
    shape: BTreeSet<String>,
    parties: BTreeSet<usize>,
}

/// Those of the names that are asked for only by parties that ask for at least half of them.
fn together(names: &[(&String, &Name)]) -> Vec<String> {
    let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
    for party in names.iter().flat_map(|(_, name)| &name.parties) {
        *asked.entry(*party).or_default() += 1;
    }
    let half = |party: &usize| asked.get(party).is_some_and(|own| own * 2 >= names.len());
    let all = names
        .iter()
        .filter(|(_, name)| name.parties.iter().all(half));
    all.map(|(text, _)| (*text).clone()).collect()
}

/// Whether who asks has no account.
const fn is_without(standing: Standing) -> bool {
    matches!(standing, Standing::Without | Standing::Accepted)
}

/// Whether one account only was seen, and it could be any word of a path.
fn is_one_word(accounts: &Values) -> bool {
    let mut all = accounts.seen.iter();
    let Some(first) = all.next() else {
        return false;
    };
    !is_value(first) && all.all(|other| other.eq_ignore_ascii_case(first))
}

/// How many literals that go on in the same way are values.
fn enough(above: Above<'_>, shape: &BTreeSet<String>) -> usize {
    let ends_here = shape.iter().all(|way| way.starts_with(' '));
    match above {
        // Collections look alike, too: /orders, /users, /products.
        Above::Root | Above::Parameter => 24,
        Above::Literal(above) if !may_be_collection(above) => 24,
        Above::Literal(_) if ends_here => 8,
        Above::Literal(above) if is_plural(above) => 3,
        Above::Literal(_) => 6,
    }
}
