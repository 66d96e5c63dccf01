//! Configuration: document (as written), compiled all at once into [`Config`], watched and reloaded.
//!
//! text → located tree (`parse`, `agree`) → substitution (`substitute`) → shape (`schema`, `shape`) → settings
//! (`compile`). Every step reports all it finds; a [`Config`] exists only when nothing forbids it.

mod agree;
mod blank;
mod code;
mod compile;
mod files;
mod node;
mod parse;
mod problem;
mod scalar;
pub mod schema;
mod shape;
mod substitute;
pub(crate) mod suggest;
#[cfg(test)]
mod tests;
mod view;
pub mod watch;
mod workers;
pub(crate) mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{AdminSettings, ProbesSettings};
use crate::authn::IssuerSettings;
use crate::authz::{Policy, RateLimits};
use crate::credential::CredentialSettings;
use crate::identity::IdentitySettings;
use crate::jwks::KeySourceSettings;
use crate::listener::ListenerSettings;
use crate::proxy::{AnswersName, AnswersSettings};
use crate::review::ReviewSettings;
use crate::telemetry::{LogSettings, OtlpSettings};

pub use code::Code;
pub use problem::{Look, Problem, Problems, Severity, Source};
pub(crate) use scalar::show_duration;
pub(crate) use scalar::upstream;
pub use watch::Watcher;

pub(crate) use files::read_whole as read_secret_file;
pub(crate) use node::{Entry, Kind, Node, Scalar, Value, item_path, key_path};
pub(crate) use problem::{Place, Report};
pub(crate) use scalar::{date, scope};
pub(crate) use shape::is_method_table;
pub(crate) use view::View;

pub(crate) use files::Content;
use files::Files;
use substitute::Environment;

/// A compiled configuration: valid as a whole, or it does not exist.
#[derive(Debug)]
pub struct Config {
    /// Worker threads; already resolved when `auto`.
    pub workers: usize,
    /// Most bytes of verified tokens that each worker remembers.
    pub token_cache: usize,
    /// Inbound listeners.
    pub listeners: Vec<ListenerSettings>,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The probes listener.
    pub probes: Option<ProbesSettings>,
    /// Trusted issuers and what verifies their tokens.
    pub issuers: Vec<(IssuerSettings, VerifierSettings)>,
    /// Access tokens that are obtained for callers.
    pub credentials: Vec<CredentialSettings>,
    /// How the caller is vouched for.
    pub identity: Arc<IdentitySettings>,
    /// All routes.
    pub policy: Arc<Policy>,
    /// Rate limits in use; the next configuration goes on counting with them.
    pub limits: RateLimits,
    /// Answer templates.
    pub answers: BTreeMap<AnswersName, Arc<AnswersSettings>>,
    /// Logs.
    pub log: LogSettings,
    /// Where spans are sent.
    pub otlp: Option<OtlpSettings>,
    /// End of life.
    pub drain: DrainSettings,
    /// Files that were read besides the document: a change of one of them is a change of the configuration.
    pub files: Vec<PathBuf>,
    /// The document ended in `end: true`.
    pub sentinel: bool,
    /// What somebody should look at although it may be used.
    pub warnings: Problems,
    /// What was read: the document and the files it names.
    pub(crate) contents: BTreeMap<PathBuf, Content>,
}

impl Config {
    /// The issuers whose keys verify their tokens, and where those are.
    pub(crate) fn key_sources(&self) -> impl Iterator<Item = (Arc<str>, KeySourceSettings)> {
        self.issuers.iter().filter_map(|(issuer, verifier)| {
            Some((Arc::clone(&issuer.name), verifier.keys()?.clone()))
        })
    }

    /// What verifies the tokens of the issuer `name`.
    pub(crate) fn verifier(&self, name: &str) -> Option<&VerifierSettings> {
        let mut all = self.issuers.iter();
        all.find(|(issuer, _)| *issuer.name == *name)
            .map(|(_, verifier)| verifier)
    }
}

/// Loads `path`; `previous` is the configuration that it would replace.
///
/// # Errors
/// Everything that is wrong with the document and the files it names.
pub fn load(path: &Path, previous: Option<&Config>) -> Result<Config, Problems> {
    load_with(path, previous, &|name| std::env::var(name).ok())
}

/// [`load`] with variables from `environment`.
fn load_with(
    path: &Path,
    previous: Option<&Config>,
    environment: Environment<'_>,
) -> Result<Config, Problems> {
    let read_document = files::read_whole(path);
    let content = Content::of(&read_document);
    let bytes = read_document.map_err(|reason| Problems::whole(path, reason))?;
    let text = as_text(path, &bytes)?;
    load_text(path, text, content, previous, environment)
}

/// What `path` would be with this text: a document that is not there yet.
///
/// # Errors
/// Everything that is wrong with it and the files it names.
pub(crate) fn load_written(path: &Path, text: &str) -> Result<Config, Problems> {
    let content = Content::of(&Ok(zeroize::Zeroizing::new(text.as_bytes().to_vec())));
    load_text(path, text, content, None, &|name| std::env::var(name).ok())
}

/// The text of a document and its tree, nothing substituted, no key looked at.
///
/// # Errors
/// It cannot be read, or is no YAML of ours.
pub(crate) fn as_written(path: &Path) -> Result<(String, Node), Problems> {
    let bytes = files::read_whole(path).map_err(|reason| Problems::whole(path, reason))?;
    let text = as_text(path, &bytes)?;
    let mut report = Report::new(Source::new(path, text));
    match read_yaml(text, &mut report) {
        Some(tree) if !report.has_errors() => Ok((text.to_owned(), tree)),
        _ => Err(report.finish()),
    }
}

/// Reads YAML of others: located and plain, but keys may be numbers, and nesting deeper than in documents of ours.
pub(crate) fn foreign_yaml(text: &str, report: &mut Report) -> Option<Node> {
    report.stage(Code::Syntax);
    parse::parse_foreign(text, report).filter(|_| !report.has_errors())
}

/// Whether a plain scalar with this text is that text, to YAML 1.2 and to what else reads YAML (`yes` is a boolean of 1.1).
pub(crate) fn is_plain_text(text: &str) -> bool {
    const BOOLEANS: [&str; 6] = ["y", "yes", "n", "no", "on", "off"];
    let lower = text.to_ascii_lowercase();
    parse::resolve(text) == Kind::Text && !BOOLEANS.contains(&lower.as_str())
}

fn as_text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, Problems> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problems::whole(path, format!("is not UTF-8 text: {error}")))?;
    // A byte order mark is no part of the text; some editors write one.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn load_text(
    path: &Path,
    text: &str,
    content: Content,
    previous: Option<&Config>,
    environment: Environment<'_>,
) -> Result<Config, Problems> {
    let mut report = Report::new(Source::new(path, text));
    let mut files = Files::new(path);
    let limits = previous
        .map(|config| config.limits.clone())
        .unwrap_or_default();
    let config = read(
        text,
        previous,
        &limits,
        environment,
        &mut files,
        &mut report,
    );
    let failed = report.has_errors();
    let problems = report.finish();
    match config {
        Some(mut config) if !failed => {
            config.contents = files.into_named();
            config.files = config.contents.keys().cloned().collect();
            config.contents.insert(path.to_path_buf(), content);
            config.warnings = problems;
            Ok(config)
        }
        _ if failed => Err(problems),
        // Nothing is served that was not compiled, even where no problem was found.
        _ => Err(Problems::whole(
            path,
            "could not be compiled, and the reason was not found; please report this".to_owned(),
        )),
    }
}

/// Reads another document of ours, of the form that `block` describes, as strictly as a configuration is: located, with a
/// second opinion, every problem at once. Nothing is substituted.
pub(crate) fn read_document(
    text: &str,
    block: &'static schema::Block,
    report: &mut Report,
) -> Option<Node> {
    let tree = read_yaml(text, report)?;
    report.stage(Code::Value);
    shape::check(&tree, &schema::Shape::Block(block), report);
    Some(tree)
}

/// The located tree, where two parsers see the same.
fn read_yaml(text: &str, report: &mut Report) -> Option<Node> {
    report.stage(Code::Syntax);
    let tree = parse::parse(text, report)?;
    if !report.has_errors() {
        agree::check(text, &tree, report);
    }
    Some(tree)
}

fn read(
    text: &str,
    previous: Option<&Config>,
    limits: &RateLimits,
    environment: Environment<'_>,
    files: &mut Files,
    report: &mut Report,
) -> Option<Config> {
    let mut tree = read_yaml(text, report)?;
    if previous.is_some_and(|config| config.sentinel) && tree.get("end").is_none() {
        report.error_try(
            &tree.at.clone(),
            "the file that is in use ended in `end: true`, and this one does not",
            "it may be half-written; a whole one ends in `end: true`",
        );
    }
    report.stage(Code::Substitution);
    substitute::substitute(&mut tree, environment, files, report);
    report.stage(Code::Value);
    shape::check(&tree, &schema::Shape::Block(&schema::ROOT), report);
    report.stage(Code::Setting);
    compile::compile(&tree, limits, files, report)
}

/// What verifies the tokens of an issuer.
#[derive(Clone, Debug)]
pub enum VerifierSettings {
    /// Its keys, from there.
    Keys(KeySourceSettings),
    /// Somebody who is asked.
    Review(ReviewSettings),
}

impl VerifierSettings {
    /// Where the keys come from, if there are any.
    #[must_use]
    pub const fn keys(&self) -> Option<&KeySourceSettings> {
        match self {
            Self::Keys(keys) => Some(keys),
            Self::Review(_) => None,
        }
    }

    /// Who is asked, if somebody is.
    #[must_use]
    pub const fn review(&self) -> Option<&ReviewSettings> {
        match self {
            Self::Review(review) => Some(review),
            Self::Keys(_) => None,
        }
    }
}

/// `drain: {delay, deadline}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// From SIGTERM to the end of accepting.
    pub delay: Duration,
    /// From then to the end of the process, whatever is still in flight.
    pub deadline: Duration,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}

/// Bytes that must not be shown: a key, a certificate chain, a shared secret. Wiped when dropped.
#[derive(Clone)]
pub struct Secret {
    bytes: Arc<zeroize::Zeroizing<Vec<u8>>>,
    file: Option<PathBuf>,
}

impl Secret {
    /// A secret that was read from `file`, or written in place.
    #[must_use]
    pub fn new(bytes: Vec<u8>, file: Option<PathBuf>) -> Self {
        Self {
            bytes: Arc::new(zeroize::Zeroizing::new(bytes)),
            file,
        }
    }

    /// The bytes, for the one who uses them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it was read from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
