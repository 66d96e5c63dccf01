//! What a backend's OpenAPI document (3.0 and 3.1) says about who may ask for what: a policy made of it, and a policy held
//! against it.
//!
//! file → located tree ([`json`], or YAML) → operations with what they ask for ([`read`], [`security`], [`servers`]) → routes
//! ([`import`]) or findings ([`compare`]). Documents may come from anywhere: size, depth and counts are bounded, references lead
//! to components of the same document only, and none is followed twice. Nothing is fetched.
//!
//! **Nothing is opened that the document does not name.** What it says nothing about, and what it leaves to everybody, becomes
//! `nobody` with a remark that says so.

mod compare;
mod import;
mod json;
mod read;
mod security;
mod servers;
mod template;

use std::collections::BTreeMap;
use std::path::Path;

use http::Method;

use crate::config::{Place, Problems, Source};
use security::{Scheme, Security};

pub use compare::{Compared, compare};
pub use import::{Current, Imported, Options, import};

/// What policy needs to know of an OpenAPI document.
#[derive(Debug)]
pub struct Document {
    /// The version of OpenAPI.
    openapi: String,
    title: String,
    version: String,
    schemes: BTreeMap<String, Scheme>,
    /// Names and descriptions, in the document's order.
    tags: Vec<(String, String)>,
    operations: Vec<Operation>,
    unread: Vec<Unread>,
    /// What is odd about servers, in words.
    remarks: Vec<String>,
    source: Source,
}

/// A method of a path.
#[derive(Debug)]
struct Operation {
    method: Method,
    /// As written, below each of the bases.
    path: String,
    /// `""` for the root, else segments with a leading slash.
    bases: Vec<String>,
    id: Option<String>,
    /// The first one.
    tag: Option<String>,
    deprecated: bool,
    security: Security,
    at: Place,
}

/// A path item that is not here.
#[derive(Debug)]
struct Unread {
    what: String,
    why: String,
    at: Place,
}

impl Document {
    /// Reads a document, JSON or YAML.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        read::document(file)
    }

    /// How many operations there are.
    #[must_use]
    pub const fn operations(&self) -> usize {
        self.operations.len()
    }

    /// No findings yet.
    pub(crate) fn nothing_found(&self) -> Problems {
        Problems::new(self.source.clone(), Vec::new())
    }

    /// Puts all operations below `prefix`, whatever `servers` say; `false` where that is none that routes can have.
    pub fn set_prefix(&mut self, prefix: &str) -> bool {
        let Some(base) = servers::base(prefix) else {
            return false;
        };
        self.remarks.clear();
        for operation in &mut self.operations {
            operation.bases = vec![base.clone()];
        }
        true
    }
}

impl Operation {
    /// For people: `GET /orders`.
    fn title(&self) -> String {
        format!("{} {}", self.method, read::clean(&self.path))
    }
}
