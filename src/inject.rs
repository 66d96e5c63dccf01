//! Putting the proxy into pods: `countersign inject` and `countersign webhook`.
//!
//! A pure transformation of Kubernetes objects: no files, no network, no clock (a test over the sources holds this). What it adds
//! is what `charts/countersign-sidecar` renders. Around it, the application is turned to loopback, its probes and Services to the
//! proxy; what only the operator can do is told, never guessed.
//!
//! - [`yaml`] reads and writes manifests as kubectl does; [`object`] finds ways into them;
//! - [`bind`] finds out where the application listens, by [`words`] of its command line, its [`environment`], and the table of
//!   [`servers`];
//! - [`work`] goes over an input; [`probes`], [`pod`], [`sidecar`], [`shape`] and [`starter`] make the pod, [`around`] leads Services to it;
//! - [`patch`] and [`unified`] tell what has changed; [`review`] is the answer of the webhook.

mod address;
mod around;
mod bind;
mod environment;
mod object;
mod options;
mod patch;
mod pod;
mod probes;
mod report;
mod review;
mod servers;
mod shape;
mod sidecar;
mod starter;
mod unified;
mod words;
mod work;
mod yaml;

use object::{Value, look_list, look_text};
pub use options::Options;
pub use report::{Finding, FindingKind};
pub use review::{Decision, MOST_BYTES, Reviewed, not_json, review, too_busy, too_large};
pub use starter::Trust;
pub use unified::diff;
use work::Work;
pub use yaml::YamlError;

/// What is to be done to an input.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Options of all workloads.
    pub options: Options,
    /// Workloads that alone get the proxy (`KIND/NAME`, kinds in any case); empty: all.
    pub only: Vec<String>,
    /// The text of the configuration, of which a ConfigMap is made.
    pub config: Option<String>,
    /// Files beside the configuration, by name.
    pub files: Vec<(String, String)>,
    /// Whose tokens a configuration that we write trusts.
    pub trust: Option<Trust>,
    /// Whether the cluster has no sleep action of hooks (before Kubernetes 1.30).
    pub without_sleep_action: bool,
}

/// Manifests, as they were read and as they become.
#[derive(Clone, Debug)]
pub struct Manifests {
    documents: Vec<Value>,
    json: bool,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// The input is no YAML that Kubernetes takes.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// The input begins as JSON does, and is none.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Workloads that cannot get the proxy, each with its reason.
    #[error("{}", .0.join("\n"))]
    Workloads(Vec<String>),
}

impl Manifests {
    /// Reads YAML of any number of documents, or JSON.
    ///
    /// # Errors
    /// What kubectl would not take either.
    pub fn read(text: &str) -> Result<Self, InjectError> {
        let json = text.trim_start().starts_with('{');
        let documents = if json {
            let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            stream.collect::<Result<_, _>>()
        } else {
            return Ok(Self {
                documents: yaml::read(text)?,
                json,
            });
        };
        match documents {
            Ok(documents) => Ok(Self { documents, json }),
            // A flow mapping may begin a YAML stream, too; where it does not, the error of JSON tells more.
            Err(error) => match yaml::read(text) {
                Ok(documents) => Ok(Self {
                    documents,
                    json: false,
                }),
                Err(_) => Err(error.into()),
            },
        }
    }

    /// Several inputs as one: JSON if all of them are.
    #[must_use]
    pub fn together(inputs: Vec<Self>) -> Self {
        Self {
            json: !inputs.is_empty() && inputs.iter().all(|input| input.json),
            documents: inputs
                .into_iter()
                .flat_map(|input| input.documents)
                .collect(),
        }
    }

    /// As text, in the format that was read.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = String::new();
        for (number, document) in self.documents.iter().enumerate() {
            if self.json {
                out.push_str(&serde_json::to_string_pretty(document).unwrap_or_default());
                out.push('\n');
            } else {
                if number > 0 {
                    out.push_str("---\n");
                }
                out.push_str(&yaml::write(document));
            }
        }
        out
    }

    /// A unified diff for each object that differs from `before`; objects that are new stand on their own.
    #[must_use]
    pub fn diff(&self, before: &Self) -> String {
        let written = |manifests: &Self| -> Vec<(String, String)> {
            let objects = manifests.documents.iter().flat_map(objects);
            objects
                .map(|object| (around::title(object), yaml::write(object)))
                .collect()
        };
        let (old, new) = (written(before), written(self));
        let mut old = old.iter().peekable();
        let mut out = String::new();
        for (title, text) in &new {
            // Objects keep their order, and new ones are ConfigMaps that stand between.
            let was = old
                .next_if(|(name, _)| name == title)
                .map_or("", |(_, text)| text);
            out.push_str(&diff(title, was, text));
        }
        out
    }

    /// Puts the proxy into every workload that may have it.
    ///
    /// # Errors
    /// Workloads that cannot have it: then nothing has changed that counts, for half of an input would leave the other half open.
    pub fn inject(&mut self, request: &Request) -> Result<Vec<Finding>, InjectError> {
        let mut work = Work::new(request, &self.documents);
        let documents = std::mem::take(&mut self.documents);
        self.documents = work.all(documents);
        for object in self.documents.iter_mut().flat_map(objects_mut) {
            work.around(object);
        }
        work.end()
    }
}

/// The objects of a document: itself, or the items of a List.
fn objects(document: &Value) -> Vec<&Value> {
    if is_list(document) {
        look_list(document, &["items"]).iter().collect()
    } else {
        vec![document]
    }
}

fn objects_mut(document: &mut Value) -> Vec<&mut Value> {
    if is_list(document) {
        let items = object::look_mut(document, &["items"]).and_then(Value::as_sequence_mut);
        items.into_iter().flatten().collect()
    } else {
        vec![document]
    }
}

fn is_list(document: &Value) -> bool {
    look_text(document, &["kind"]) == Some("List")
}
