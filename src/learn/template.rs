//! A path with parameters, as the tree of what was asked infers it.

use std::collections::BTreeMap;

use super::segments::parameter_name;
use super::tree::{Use, UseKey, Values};
use crate::authz::{PathPattern, PatternSegment};

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
    pub(super) fn with(&self, part: Part) -> Self {
        let mut parts = self.parts.clone();
        parts.push(part);
        Self {
            parts,
            uses: BTreeMap::new(),
        }
    }

    /// What the next parameter is called.
    pub(super) fn name(&self) -> String {
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

    /// Whether everything that it matches, a path of policy matches as well.
    pub(super) fn is_within(&self, path: &PathPattern) -> bool {
        let fits = |(part, segment): (&Part, &PatternSegment)| match (part, segment) {
            (_, PatternSegment::Parameter(_)) => true,
            (Part::Literal(own), PatternSegment::Literal(text)) => **own == **text,
            (Part::Parameter { .. }, PatternSegment::Literal(_)) | (_, PatternSegment::Rest) => {
                false
            }
        };
        let segments = path.segments();
        self.parts.len() == segments.len() && self.parts.iter().zip(segments).all(fits)
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
