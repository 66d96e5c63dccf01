//! A configuration held against an OpenAPI document.

use std::path::Path;

use crate::config::{Config, Problems};
use crate::openapi::{Document, compare};

/// The document, and what was found in it.
pub(super) struct Against<'a> {
    pub(super) file: &'a Path,
    pub(super) problems: Problems,
    /// How many operations it has; nothing where it cannot be read.
    pub(super) operations: Option<usize>,
}

impl<'a> Against<'a> {
    /// Compares; what is found in the configuration is added to its warnings.
    pub(super) fn new(
        file: &'a Path,
        prefix: Option<&str>,
        config_file: &Path,
        config: &mut Result<Config, Problems>,
    ) -> Result<Self, String> {
        let mut document = match Document::load(file) {
            Ok(document) => document,
            Err(problems) => {
                return Ok(Self {
                    file,
                    problems,
                    operations: None,
                });
            }
        };
        if let Some(prefix) = prefix
            && !document.set_prefix(prefix)
        {
            return Err(format!("`{prefix}` is no path that routes can be below"));
        }
        let mut problems = document.nothing_found();
        if let Ok(own) = config {
            match compare(&document, own, config_file) {
                Ok(compared) => {
                    problems = compared.document;
                    own.warnings.absorb(compared.config);
                }
                // It changed since it was loaded.
                Err(changed) => *config = Err(changed),
            }
        }
        Ok(Self {
            file,
            problems,
            operations: Some(document.operations()),
        })
    }

    /// Whether nothing forbids to go on.
    pub(super) fn accepted(&self, deny_warnings: bool) -> bool {
        self.operations.is_some() && (self.problems.is_empty() || !deny_warnings)
    }
}
