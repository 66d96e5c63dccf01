//! Paths and hosts that stand for all others: whatever two policies decide about any path, they decide about one of these.
//!
//! The patterns of both policies are merged into one tree of segments. A path goes through it segment by segment, and at
//! each place only a few things can matter: that the segment is one of the literals there, that it is one of them but for
//! the case of its letters (a near miss), or that it is none of them. Behind the last place of the tree nothing more matters.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::authz::pattern::{HostPattern, PathPattern, PatternSegment};

/// Most paths that are looked at for one host; no policy that people write comes near.
const MOST_PATHS: usize = 400_000;

/// A segment of a path that stands for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Decoded.
    pub(super) text: Box<str>,
    pub(super) kind: PieceKind,
}

/// What a segment stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// Itself; empty for a slash at the end.
    Literal,
    /// A literal of the policies, this one, with its letters in another case.
    Spelling(Box<str>),
    /// Any that is none of the literals at its place.
    Fresh,
    /// Any that is none of the literals at its place, and whatever follows.
    Rest,
    /// An empty one that is not last.
    Empty,
    /// As `Fresh`, with something in it that two parsers read differently; in the spelling that is sent.
    Ambiguous(Box<str>),
}

impl Piece {
    /// Whether another segment could stand in its place.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.kind, PieceKind::Fresh | PieceKind::Rest)
    }

    pub(super) fn literal(text: &str) -> Self {
        Self {
            text: text.into(),
            kind: PieceKind::Literal,
        }
    }
}

/// The request target of a path, percent-encoded.
pub(super) fn target(pieces: &[Piece]) -> String {
    let mut target = String::new();
    for piece in pieces {
        target.push('/');
        match &piece.kind {
            PieceKind::Ambiguous(sent) => target.push_str(sent),
            _ => encode(&piece.text, &mut target),
        }
    }
    target
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
        if plain {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The text with all its letters in the other case; the same text when it has none.
pub(super) fn other_case(text: &str) -> String {
    let swap = |c: char| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    text.chars().map(swap).collect()
}

type Places = SmallVec<[usize; 8]>;

#[derive(Debug, Default)]
struct Node<'p> {
    literals: BTreeMap<&'p str, usize>,
    parameter: Option<usize>,
    /// What a parameter here is called.
    name: &'p str,
    end: bool,
    rest: bool,
}

/// The patterns of both policies that take part for one host.
#[derive(Debug)]
pub(super) struct Tree<'p> {
    nodes: Vec<Node<'p>>,
    /// Some route accepts empty segments.
    pub(super) empty_segments: bool,
    /// Strings that conditions ask for: no segment that stands for others is one of them.
    constants: &'p [Box<str>],
}

/// Where a path has led to.
#[derive(Clone, Debug)]
struct State {
    /// Places that match as they are spelt.
    exact: Places,
    /// Places that match when the case of letters is folded, those of `exact` among them.
    near: Places,
    /// A `**` further up matches.
    covered: bool,
}

/// Too many paths.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMany;

impl<'p> Tree<'p> {
    pub(super) fn new(constants: &'p [Box<str>]) -> Self {
        Self {
            nodes: vec![Node::default()],
            empty_segments: false,
            constants,
        }
    }

    pub(super) fn add(&mut self, pattern: &'p PathPattern) {
        let mut at = 0;
        for segment in pattern.segments() {
            let new = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else {
                return;
            };
            let next = match segment {
                PatternSegment::Rest => {
                    node.rest = true;
                    return;
                }
                PatternSegment::Literal(text) => *node.literals.entry(text).or_insert(new),
                PatternSegment::Parameter(name) => {
                    if node.name.is_empty() {
                        node.name = name;
                    }
                    *node.parameter.get_or_insert(new)
                }
            };
            if next == new {
                self.nodes.push(Node::default());
            }
            at = next;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.end = true;
        }
    }

    /// Calls `visit` with paths that stand for all that a route could own.
    pub(super) fn paths(&self, visit: &mut dyn FnMut(&[Piece])) -> Result<(), TooMany> {
        let mut walk = Walk {
            tree: self,
            path: Vec::new(),
            left: MOST_PATHS,
            visit,
        };
        let root = State {
            exact: SmallVec::from_slice(&[0]),
            near: SmallVec::from_slice(&[0]),
            covered: false,
        };
        walk.at(root)
    }

    fn of<'s>(&'s self, places: &'s [usize]) -> impl Iterator<Item = &'s Node<'p>> {
        places.iter().filter_map(|at| self.nodes.get(*at))
    }
}

struct Walk<'t, 'p, 'v> {
    tree: &'t Tree<'p>,
    path: Vec<Piece>,
    left: usize,
    visit: &'v mut dyn FnMut(&[Piece]),
}

impl Walk<'_, '_, '_> {
    fn at(&mut self, mut state: State) -> Result<(), TooMany> {
        let tree = self.tree;
        state.covered |= tree.of(&state.exact).any(|node| node.rest);
        if state.exact.is_empty() && !state.covered {
            return Ok(()); // nothing owns such a path
        }
        let ends = tree.of(&state.exact).any(|node| node.end);
        if !self.path.is_empty() && (state.covered || ends) {
            self.visit()?;
        }
        if state.near.is_empty() {
            return Ok(()); // whatever follows, the same `**` owns it
        }
        let slash = tree
            .of(&state.exact)
            .any(|node| node.literals.contains_key(""));
        if state.covered || slash {
            self.path.push(Piece::literal(""));
            self.visit()?;
            self.path.pop();
        }
        self.literals(&state)?;
        let mut fresh = self.fresh(&state);
        let next = state.parameters(tree, None);
        if next.near.is_empty() {
            fresh.kind = PieceKind::Rest;
        }
        self.go(fresh, next)?;
        if tree.empty_segments && state.covered && !self.path.is_empty() {
            self.empty()?;
        }
        Ok(())
    }

    fn visit(&mut self) -> Result<(), TooMany> {
        self.left = self.left.checked_sub(1).ok_or(TooMany)?;
        (self.visit)(&self.path);
        Ok(())
    }

    fn go(&mut self, piece: Piece, state: State) -> Result<(), TooMany> {
        self.path.push(piece);
        let went = self.at(state);
        self.path.pop();
        went
    }

    /// On through each literal, as it is spelt and, where that makes a difference, in another case.
    fn literals(&mut self, state: &State) -> Result<(), TooMany> {
        let tree = self.tree;
        let mut texts: Vec<&str> = tree
            .of(&state.near)
            .flat_map(|node| node.literals.keys().copied())
            .filter(|text| !text.is_empty())
            .collect();
        texts.sort_unstable();
        texts.dedup();
        for text in &texts {
            self.go(Piece::literal(text), state.parameters(tree, Some(text)))?;
            let exactly = tree
                .of(&state.exact)
                .any(|node| node.literals.contains_key(text));
            if exactly && let Some(other) = another_spelling(text, &texts) {
                let next = state.parameters(tree, Some(&other));
                let piece = Piece {
                    text: other.into(),
                    kind: PieceKind::Spelling((*text).into()),
                };
                self.go(piece, next)?;
            }
        }
        Ok(())
    }

    /// A segment that is none of the literals here, and unlike the other fresh ones of the path.
    fn fresh(&self, state: &State) -> Piece {
        let tree = self.tree;
        let name = tree.of(&state.exact).map(|node| node.name);
        let name = name.filter(|name| !name.is_empty()).last();
        let stem = name.map_or_else(|| "some".to_owned(), |name| format!("some-{name}"));
        let taken = |text: &str| {
            let is = |own: &str| own.eq_ignore_ascii_case(text);
            self.path.iter().any(|piece| is(&piece.text))
                || tree.constants.iter().any(|own| is(own))
                || tree
                    .of(&state.near)
                    .any(|node| node.literals.keys().any(|own| is(own)))
        };
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let text = std::iter::once(stem.clone())
            .chain(numbered)
            .find(|text| !taken(text));
        Piece {
            text: text.unwrap_or(stem).into(),
            kind: PieceKind::Fresh,
        }
    }

    /// Behind an empty segment only what a `**` matches is left.
    fn empty(&mut self) -> Result<(), TooMany> {
        self.path.push(Piece {
            text: "".into(),
            kind: PieceKind::Empty,
        });
        self.path.push(Piece {
            text: "some".into(),
            kind: PieceKind::Rest,
        });
        let visited = self.visit();
        self.path.truncate(self.path.len().saturating_sub(2));
        visited
    }
}

impl State {
    /// Behind a segment: `text`, or one that is no literal here.
    fn parameters(&self, tree: &Tree<'_>, text: Option<&str>) -> Self {
        let mut exact: Places = tree
            .of(&self.exact)
            .filter_map(|node| node.parameter)
            .collect();
        let mut near: Places = tree
            .of(&self.near)
            .filter_map(|node| node.parameter)
            .collect();
        if let Some(text) = text {
            exact.extend(
                tree.of(&self.exact)
                    .filter_map(|node| node.literals.get(text).copied()),
            );
            let folded = tree.of(&self.near).flat_map(|node| {
                node.literals
                    .iter()
                    .filter(|(own, _)| own.eq_ignore_ascii_case(text))
                    .map(|(_, at)| *at)
            });
            near.extend(folded);
        }
        for places in [&mut exact, &mut near] {
            places.sort_unstable();
            places.dedup();
        }
        Self {
            exact,
            near,
            covered: self.covered,
        }
    }
}

/// `text` with letters of another case, and not as one of `texts` is spelt.
fn another_spelling(text: &str, texts: &[&str]) -> Option<String> {
    let all = other_case(text);
    let one = |at: usize| -> String {
        let flip = |(index, c): (usize, char)| match index == at {
            true => other_case(&c.to_string()),
            false => c.to_string(),
        };
        text.chars().enumerate().map(flip).collect()
    };
    let ones = (0..text.chars().count()).map(one);
    std::iter::once(all)
        .chain(ones)
        .find(|other| other != text && !texts.contains(&other.as_str()))
}

/// A host that stands for others, and which patterns match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostCell {
    pub(super) host: Box<str>,
    /// What it stands for; `None`: a host that no pattern names.
    pub(super) pattern: Option<HostPattern>,
}

/// Hosts that stand for all others: each name, one below each wildcard, one that no pattern matches.
pub(super) fn hosts(patterns: &[&HostPattern]) -> Vec<HostCell> {
    let mut cells: Vec<HostCell> = Vec::new();
    let mut seen: Vec<Vec<bool>> = Vec::new();
    let others = (0..).map(|number| match number {
        0 => "localhost".to_owned(),
        number => format!("host{number}.invalid"),
    });
    let nobody = others
        .take(patterns.len().saturating_add(1))
        .find(|host| !patterns.iter().any(|pattern| pattern.matches(host)));
    let mut add = |host: String, pattern: Option<&HostPattern>| {
        let matched: Vec<bool> = patterns.iter().map(|own| own.matches(&host)).collect();
        if !seen.contains(&matched) {
            seen.push(matched);
            cells.push(HostCell {
                host: host.into(),
                pattern: pattern.cloned(),
            });
        }
    };
    if let Some(host) = nobody {
        add(host, None);
    }
    for pattern in patterns {
        let text = pattern.to_string();
        match text.strip_prefix('*') {
            None => add(text, Some(pattern)),
            Some(suffix) => {
                let below = (0..).map(|number| match number {
                    0 => format!("some{suffix}"),
                    number => format!("some{number}{suffix}"),
                });
                let free = below
                    .take(patterns.len().saturating_add(1))
                    .find(|host| !patterns.iter().any(|own| own.to_string() == *host));
                if let Some(host) = free {
                    add(host, Some(pattern));
                }
            }
        }
    }
    cells
}
