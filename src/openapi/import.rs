//! A policy made of an OpenAPI document.
//!
//! Who may is taken from `security` ([`access`]): a list is any of its objects, an object all of its schemes. Bearer tokens become
//! issuers ([`parties`]), scopes become `scopes`. What policy cannot check, and what is open to everybody, is `nobody` with the
//! reason beside it. Operations come together by the patterns of their paths ([`draft`]).

mod access;
mod draft;
mod parties;
mod write;

use std::collections::BTreeSet;
use std::path::Path;

use super::Document;
use crate::config::{self, Config, Node, Problems};

use access::Why;
use draft::Draft;
use parties::Parties;

/// What an operator says about an import.
#[derive(Debug, Default)]
pub struct Options {
    /// What the document leaves to everybody is open.
    pub trust_public: bool,
    /// Issuers by the names of security schemes.
    pub issuers: Vec<(String, String)>,
    /// The configuration whose routes are replaced.
    pub current: Option<Current>,
}

/// A configuration, as written and as compiled.
#[derive(Debug)]
pub struct Current {
    text: String,
    tree: Node,
    config: Config,
}

impl Current {
    /// Loads a configuration as `check` does.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let config = config::load(path, None)?;
        let (text, tree) = config::as_written(path)?;
        Ok(Self { text, tree, config })
    }
}

/// A policy, and what there is to say about it.
#[derive(Debug)]
pub struct Imported {
    /// The document.
    pub policy: String,
    /// How many routes it has.
    pub routes: usize,
    /// Operations that somebody may ask for with a token.
    pub with_token: usize,
    /// Operations that are open to anyone, or to those without a token.
    pub public: usize,
    /// Operations that nobody may ask for, since the document says nothing about who may.
    pub unsaid: usize,
    /// Operations that nobody may ask for, since the document leaves them to everybody.
    pub closed: usize,
    /// Operations that nobody may ask for, since policy cannot say or check what is asked for.
    pub unchecked: usize,
    /// What somebody should look at, one line each.
    pub notes: Vec<String>,
}

impl Imported {
    /// Whether it is accepted as a configuration at the place of `config`, or where the program was started.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, config: Option<&Path>) -> Result<(), Problems> {
        let place = config.unwrap_or(Path::new("imported.yaml"));
        config::load_written(place, &self.policy).map(|_| ())
    }
}

/// Makes a policy of a document.
///
/// # Errors
/// In words: an option names something that is not there.
pub fn import(document: &Document, file: &Path, options: &Options) -> Result<Imported, String> {
    let parties = Parties::new(document, options)?;
    let draft = Draft::new(document, &parties, options.trust_public);
    let count = |why: fn(&Why) -> bool| {
        let rows = draft.routes.iter().flat_map(|route| &route.rows);
        let operations: BTreeSet<usize> = rows
            .filter(|row| why(&row.access.why))
            .flat_map(|row| row.operations.iter().copied())
            .collect();
        operations.len()
    };
    let mut notes = document.remarks.clone();
    notes.extend(draft.left_out.iter().cloned());
    Ok(Imported {
        routes: draft.routes.len(),
        with_token: count(|why| *why == Why::Token),
        public: count(|why| *why == Why::Public),
        unsaid: count(|why| *why == Why::Unsaid),
        closed: count(|why| *why == Why::Closed),
        unchecked: count(|why| *why == Why::Unchecked),
        policy: write::document(document, file, &draft, &parties, options),
        notes,
    })
}
