//! Putting the proxy into pods: `countersign inject` and `countersign webhook`.
//!
//! A pure transformation of Kubernetes objects: no files, no network, no clock (a test over the sources holds this). What it adds
//! is what `charts/countersign-sidecar` renders. Around it, the application is turned to loopback, its probes and Services to the
//! proxy; what only the operator can do is told, never guessed.
//!
//! - [`yaml`] reads and writes manifests as kubectl does; [`object`] finds ways into them;
//! - [`bind`] finds out where the application listens, by [`words`] of its command line, its [`environment`], and the table of
//!   [`servers`];
//! - [`probes`], [`pod`], [`sidecar`], [`shape`] and [`starter`] make the pod, [`around`] leads Services to it;
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
mod yaml;

#[cfg(test)]
mod tests;

use object::{Value, child, look, look_list, look_text, map, text};
pub use options::Options;
use options::Wish;
use pod::Order;
use report::Notes;
pub use report::{Finding, FindingKind};
pub use review::{Decision, MOST_BYTES, Reviewed, not_json, review, too_large};
pub use starter::Trust;
pub use unified::diff;
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
        let config_maps = self.config_maps();
        let mut work = Work {
            request,
            config_maps,
            pods: Vec::new(),
            findings: Vec::new(),
            errors: Vec::new(),
            used: vec![false; request.only.len()],
        };
        let documents = std::mem::take(&mut self.documents);
        self.documents = work.all(documents);
        for object in self.documents.iter_mut().flat_map(objects_mut) {
            work.around(object);
        }
        let unused = request
            .only
            .iter()
            .zip(&work.used)
            .filter(|(_, used)| !**used);
        work.errors
            .extend(unused.map(|(only, _)| format!("{only}: not in the input")));
        if work.errors.is_empty() {
            Ok(work.findings)
        } else {
            Err(InjectError::Workloads(work.errors))
        }
    }

    /// ConfigMaps of the input.
    fn config_maps(&self) -> Vec<ConfigMap> {
        let all = self.documents.iter().flat_map(objects);
        all.filter(|object| look_text(object, &["kind"]) == Some("ConfigMap"))
            .filter_map(|object| {
                Some(ConfigMap {
                    namespace: around::namespace(object),
                    name: look_text(object, &["metadata", "name"])?.to_owned(),
                    text: look_text(object, &["data", "countersign.yaml"]).map(str::to_owned),
                })
            })
            .collect()
    }
}

struct ConfigMap {
    namespace: Option<String>,
    name: String,
    /// What stands under `countersign.yaml`.
    text: Option<String>,
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

/// Where the template of pods is in an object; `None` where it has none that is ours to change.
fn template(object: &Value) -> Option<&'static [&'static str]> {
    let group = look_text(object, &["apiVersion"])?
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    match (group, look_text(object, &["kind"])?) {
        ("", "Pod") => Some(&[]),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet") | ("batch", "Job") => {
            Some(&["spec", "template"])
        }
        ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

/// One run over an input.
struct Work<'a> {
    request: &'a Request,
    config_maps: Vec<ConfigMap>,
    pods: Vec<around::Pods>,
    findings: Vec<Finding>,
    errors: Vec<String>,
    /// Which of `only` were found.
    used: Vec<bool>,
}

impl Work<'_> {
    fn all(&mut self, objects: Vec<Value>) -> Vec<Value> {
        let mut out = Vec::with_capacity(objects.len());
        for mut object in objects {
            if is_list(&object) {
                object::edit_list(&mut object, "items", |items| {
                    *items = self.all(std::mem::take(items))
                });
            } else if let Some(path) = template(&object) {
                // It stands before its workload, so that no pod waits for it.
                out.extend(self.workload(&mut object, path));
            }
            out.push(object);
        }
        out
    }

    /// Changes a workload; a ConfigMap that it needs is handed back.
    fn workload(&mut self, object: &mut Value, path: &[&str]) -> Option<Value> {
        let title = around::title(object);
        if !self.is_wanted(&title) {
            return None;
        }
        let mut notes = Notes::about(title.as_str());
        let made = self.change(object, path, &mut notes);
        self.findings.append(&mut notes.findings);
        made.unwrap_or_else(|error| {
            self.errors.push(format!("{title}: {error}"));
            None
        })
    }

    fn is_wanted(&mut self, title: &str) -> bool {
        let title = title.replace(' ', "/");
        let mut wanted = self.request.only.is_empty();
        for (only, used) in self.request.only.iter().zip(&mut self.used) {
            if only.eq_ignore_ascii_case(&title) {
                *used = true;
                wanted = true;
            }
        }
        wanted
    }

    fn change(
        &mut self,
        object: &mut Value,
        path: &[&str],
        notes: &mut Notes,
    ) -> Result<Option<Value>, String> {
        let metadata = look(object, path).and_then(|template| template.get("metadata"));
        if Wish::of(metadata)? == Wish::Disabled {
            notes.left("", "countersign.dev/inject is disabled");
            return Ok(None);
        }
        let options = self.request.options.with_annotations(metadata)?;
        let labels = metadata
            .and_then(|metadata| metadata.get("labels"))
            .cloned()
            .unwrap_or_default();
        let namespace = around::namespace(object);
        let name = look_text(object, &["metadata", "name"])
            .or(look_text(object, &["metadata", "generateName"]))
            .map_or("app", |name| name.trim_end_matches('-'));
        let kind = look_text(object, &["kind"]).unwrap_or_default();
        let default = format!("{name}-countersign");
        let config_map = options.config_map.as_deref().unwrap_or(&default);
        let same = |one: &&ConfigMap| one.name == config_map && one.namespace == namespace;
        let there = match self.config_maps.iter().find(same) {
            None => None,
            Some(ConfigMap { text: None, .. }) => {
                return Err(format!(
                    "ConfigMap {config_map}: it has no countersign.yaml"
                ));
            }
            Some(ConfigMap { text, .. }) => text.clone(),
        };
        let config = there.as_deref().or(self.request.config.as_deref());
        let order = Order {
            options: &options,
            config_map: &default,
            config,
            trust: self.request.trust.as_ref(),
            job: matches!(kind, "Job" | "CronJob"),
            sleeps: !self.request.without_sleep_action,
        };
        let template = object::look_mut(object, path).ok_or("it has no template")?;
        let Some(injected) = pod::inject(template, &order, notes)? else {
            return Ok(None);
        };
        if let Some(front) = injected.front {
            self.pods.push(around::Pods {
                namespace: namespace.clone(),
                labels,
                front,
            });
        }
        let config = self.request.config.clone().filter(|_| there.is_none());
        let Some(text) = injected.config.or(config) else {
            return Ok(None);
        };
        notes.changed("", format!("ConfigMap {} added", injected.config_map));
        let made = config_map_of(&injected.config_map, namespace.as_deref(), text.clone());
        // Another workload may mean the same one.
        self.config_maps.push(ConfigMap {
            namespace,
            name: injected.config_map,
            text: Some(text),
        });
        Ok(Some(made))
    }

    fn around(&mut self, object: &mut Value) {
        let mut notes = Notes::about(around::title(object));
        match look_text(object, &["kind"]) {
            Some("Service") => around::service(object, &self.pods, &mut notes),
            Some("NetworkPolicy") => around::policy(object, &self.pods, &mut notes),
            _ => {}
        }
        self.findings.append(&mut notes.findings);
    }
}

fn config_map_of(name: &str, namespace: Option<&str>, config: String) -> Value {
    let mut object = map([
        ("apiVersion", text("v1")),
        ("kind", text("ConfigMap")),
        ("metadata", map([("name", text(name))])),
        ("data", map([("countersign.yaml", text(config))])),
    ]);
    if let Some(namespace) = namespace {
        object::set(child(&mut object, "metadata"), "namespace", text(namespace));
    }
    object
}
