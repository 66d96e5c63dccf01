//! Configuration as a whole: documents in, settings or problems out.

use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static READ: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
}

/// Remembers that a key was looked up; a key of the schema that nobody reads is a promise that is not kept.
pub(super) fn record_read(block: &'static str, key: &str) {
    READ.with_borrow_mut(|read| {
        read.insert((block, key.to_owned()));
    });
}

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

mod credentials;
mod documents;
mod examples;
mod outbound;
mod pairing;
mod registry;
mod reviews;
mod text;
mod wrong;

/// A directory with the files that test documents name.
pub(super) struct Place {
    directory: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
            variables: BTreeMap::new(),
        };
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        place.file("tls.crt", &certificate.cert.pem());
        place.secret("tls.key", &certificate.signing_key.serialize_pem());
        place.file("jwks.json", JWKS);
        let (key, _) =
            crate::identity::generate_text(crate::identity::SigningAlgorithm::Es256).unwrap();
        place.secret("assertion.pem", &key);
        place.secret("client-secret", "a-client-secret\n");
        place.secret("client-assertion", "eyJhbGciOiJub25lIn0.e30.AA\n");
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.file(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn load(&self, text: &str) -> Result<Config, Problems> {
        self.load_after(text, None)
    }

    pub(super) fn load_after(
        &self,
        text: &str,
        previous: Option<&Config>,
    ) -> Result<Config, Problems> {
        let path = self.file("config.yaml", text);
        load_with(&path, previous, &|name| self.variables.get(name).cloned())
    }

    /// The problems of a text, warnings of a valid one included, as `line: path: message`.
    pub(super) fn problems(&self, text: &str) -> Vec<String> {
        let problems = match self.load(text) {
            Ok(config) => config.warnings,
            Err(problems) => problems,
        };
        problems
            .iter()
            .map(|problem| {
                let severity = match problem.severity {
                    Severity::Error => "",
                    Severity::Warning => "warning: ",
                };
                format!(
                    "{}: {severity}{}: {}",
                    problem.line, problem.path, problem.message
                )
            })
            .collect()
    }
}

/// A configuration that loads, for tests to add to.
pub(super) const MINIMAL: &str = "\
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}
issuers:
  - name: dls
    issuer: https://id.example.org
    jwks: {file: jwks.json}
    audiences: [api]
callers:
  agent: {issuer: dls, client: agent}
routes:
  - {path: /**, allow: agent}
";

/// A public key of the tests; nobody has the private one.
pub(super) const JWKS: &str = include_str!("../../config/atlas-jwks.json");

pub(super) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// [`MINIMAL`] with `old` replaced, or with `more` at its end.
pub(super) fn with(old: &str, new: &str) -> String {
    assert!(MINIMAL.contains(old), "{old}");
    MINIMAL.replacen(old, new, 1)
}

pub(super) fn and(more: &str) -> String {
    format!("{MINIMAL}{more}\n")
}

/// Each text has a problem whose path and message are these; none of them loads.
pub(super) fn refused(cases: &[(String, &str)]) {
    let place = Place::new();
    for (text, expected) in cases {
        let problems = place.problems(text);
        assert!(place.load(text).is_err(), "loads: {text}");
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "expected {expected:?} of\n{text}\nfound {problems:#?}"
        );
    }
    place.load(MINIMAL).unwrap();
}
