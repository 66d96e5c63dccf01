//! Paths that were asked for, as a tree of segments, and the templates that are in it.

use std::collections::{BTreeMap, BTreeSet};

use super::segments::{is_numbered, is_plural, may_be_collection, parameter_name};

/// Most different literals below one segment: what has more, varies.
const LITERALS: usize = 64;

/// Most values of a parameter that are remembered.
const VALUES: usize = 8;

/// One segment on the way down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This text.
    Literal(String),
    /// This text, whatever its neighbours are.
    Pinned(String),
    /// A value, by its looks.
    Value(String),
    /// The account of who asks.
    Own(String),
}

/// How a request stands to the account that its path may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Standing {
    /// This segment is the account of who asks.
    Own(usize),
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
}

impl Values {
    pub(super) fn add(&mut self, value: String) {
        if self.seen.len() < VALUES || self.seen.contains(&value) {
            self.seen.insert(value);
        } else {
            self.more = true;
        }
    }

    fn merge(&mut self, other: Self) {
        self.more |= other.more;
        other.seen.into_iter().for_each(|value| self.add(value));
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
    /// Below any value, and which there were.
    value: Option<Box<(Self, Values)>>,
    /// Below the account of who asks, and which there were.
    own: Option<Box<(Self, Values)>>,
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
        account: &str,
        room: &mut usize,
    ) -> Option<&mut Self> {
        let mut node = self;
        for step in steps {
            node = node.below(step, account, room)?;
        }
        Some(node)
    }

    fn below(&mut self, step: Step, account: &str, room: &mut usize) -> Option<&mut Self> {
        let mut one_more = |is_new: bool| {
            *room = room.checked_sub(usize::from(is_new))?;
            Some(())
        };
        let (text, pinned) = match step {
            Step::Own(text) => {
                one_more(self.own.is_none())?;
                self.folded |= text != account;
                let own = self.own.get_or_insert_default();
                own.1.add(text);
                return Some(&mut own.0);
            }
            Step::Value(text) => (Err(text), false),
            Step::Literal(text) => (Ok(text), false),
            Step::Pinned(text) => (Ok(text), true),
        };
        let crowded = self.literals.len() >= LITERALS && !pinned;
        match text {
            Ok(text) if !crowded || self.literals.contains_key(&text) => {
                one_more(!self.literals.contains_key(&text))?;
                let node = self.literals.entry(text).or_default();
                node.pinned |= pinned;
                Some(node)
            }
            Ok(text) | Err(text) => {
                one_more(self.value.is_none())?;
                let value = self.value.get_or_insert_default();
                value.1.add(text);
                Some(&mut value.0)
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
    /// too: another one's.
    fn merge_accounts(&mut self) {
        let Some(mut own) = self.own.take() else {
            return;
        };
        if let Some(value) = self.value.take() {
            own.0.absorb(value.0, true);
        }
        let shape = own.0.shape();
        let is_account = |text: &String, node: &mut Self| {
            !node.pinned && (own.1.seen.contains(text) || node.shape().is_subset(&shape))
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

    /// Literals that go on in the same way are values, where they are many enough.
    fn merge_values(&mut self, above: Above<'_>) {
        let shapes: BTreeMap<&String, BTreeSet<String>> = self
            .literals
            .iter()
            .filter(|(text, node)| !node.pinned && !text.is_empty())
            .map(|(text, node)| (text, node.shape()))
            .collect();
        let known = self.value.as_ref().map(|value| value.0.shape());
        let group = |shape: &BTreeSet<String>| -> Vec<String> {
            let alike = shapes.iter().filter(|(_, own)| own.is_subset(shape));
            alike.map(|(text, _)| (*text).clone()).collect()
        };
        let mut values: Vec<String> = Vec::new();
        if let Some(known) = &known {
            // Beside identifiers, what is numbered is one, too.
            let alike = group(known).into_iter();
            values.extend(alike.filter(|text| is_numbered(text)));
        }
        let mut largest: Vec<String> = Vec::new();
        for shape in shapes.values() {
            let alike = group(shape);
            let numbered = alike.iter().filter(|text| is_numbered(text)).cloned();
            let numbered: Vec<String> = numbered.collect();
            let are_values = if alike.len() >= enough(above, shape) {
                alike
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
        let mut value = self.value.take().unwrap_or_default();
        for text in values {
            if let Some(node) = self.literals.remove(&text) {
                value.0.absorb(node, false);
                value.1.add(text);
            }
        }
        value.0.settle_below(Above::Parameter);
        self.value = Some(value);
    }

    /// Takes over all that is below `other`.
    fn absorb(&mut self, other: Self, foreign: bool) {
        for (mut key, found) in other.uses {
            if foreign && key.standing == Standing::Other {
                key.standing = Standing::Foreign;
            }
            self.uses.entry(key).or_default().add(found);
        }
        for (text, node) in other.literals {
            let own = self.literals.entry(text).or_default();
            own.pinned |= node.pinned;
            own.absorb(node, foreign);
        }
        let places = [(&mut self.value, other.value), (&mut self.own, other.own)];
        for (own, other) in places {
            if let Some(other) = other {
                let own = own.get_or_insert_default();
                own.1.merge(other.1);
                own.0.absorb(other.0, foreign);
            }
        }
        self.folded |= other.folded;
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

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Literal(String),
    Parameter {
        name: String,
        values: Values,
        /// It is the account of those who ask.
        own: bool,
        folded: bool,
    },
}

/// A path with parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
    pub(super) uses: BTreeMap<UseKey, Use>,
}

impl Template {
    fn with(&self, part: Part) -> Self {
        let mut parts = self.parts.clone();
        parts.push(part);
        Self {
            parts,
            uses: BTreeMap::new(),
        }
    }

    /// What the next parameter is called.
    fn name(&self) -> String {
        let taken: Vec<String> = self.parts.iter().filter_map(Part::name).collect();
        let parent = match self.parts.last() {
            Some(Part::Literal(text)) => Some(text.as_str()),
            Some(Part::Parameter { .. }) | None => None,
        };
        parameter_name(parent, &taken)
    }

    /// As policy writes it.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for part in &self.parts {
            path.push('/');
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Parameter { name, .. } => path.push_str(&format!("{{{name}}}")),
            }
        }
        path
    }

    /// The name of the parameter at a segment.
    pub(super) fn parameter(&self, at: usize) -> Option<&str> {
        match self.parts.get(at)? {
            Part::Parameter { name, .. } => Some(name),
            Part::Literal(_) => None,
        }
    }

    /// Whether it has a parameter for the account of those who ask.
    pub(super) fn has_account(&self) -> bool {
        let own = |part: &Part| matches!(part, Part::Parameter { own: true, .. });
        self.parts.iter().any(own)
    }

    /// Whether it matches; smaller is more specific.
    pub(super) fn rank(&self, segments: &[String]) -> Option<Vec<bool>> {
        let fits = |(part, segment): (&Part, &String)| match part {
            Part::Literal(text) => (text == segment).then_some(false),
            Part::Parameter { .. } => (!segment.is_empty()).then_some(true),
        };
        (self.parts.len() == segments.len())
            .then(|| self.parts.iter().zip(segments).map(fits).collect())
            .flatten()
    }
}

impl Part {
    fn name(&self) -> Option<String> {
        match self {
            Self::Parameter { name, .. } => Some(name.clone()),
            Self::Literal(_) => None,
        }
    }
}
