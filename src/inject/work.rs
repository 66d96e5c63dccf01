//! One run over an input: workloads first, then what stands around them.

use super::object::{self, Value, look, look_text, map, text};
use super::options::Wish;
use super::pod::{self, Order};
use super::report::{Finding, Notes};
use super::{InjectError, Request, around, is_list, objects};

struct ConfigMap {
    namespace: Option<String>,
    name: String,
    /// What stands under `countersign.yaml`.
    text: Option<String>,
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
pub(super) struct Work<'a> {
    request: &'a Request,
    config_maps: Vec<ConfigMap>,
    pods: Vec<around::Pods>,
    findings: Vec<Finding>,
    errors: Vec<String>,
    /// Which of `only` were found.
    used: Vec<bool>,
}

impl<'a> Work<'a> {
    pub(super) fn new(request: &'a Request, documents: &[Value]) -> Self {
        let all = documents.iter().flat_map(objects);
        let config_maps = all
            .filter(|object| look_text(object, &["kind"]) == Some("ConfigMap"))
            .filter_map(|object| {
                Some(ConfigMap {
                    namespace: around::namespace(object),
                    name: look_text(object, &["metadata", "name"])?.to_owned(),
                    text: look_text(object, &["data", "countersign.yaml"]).map(str::to_owned),
                })
            });
        Self {
            request,
            config_maps: config_maps.collect(),
            pods: Vec::new(),
            findings: Vec::new(),
            errors: Vec::new(),
            used: vec![false; request.only.len()],
        }
    }

    /// What was found; or why nothing may be printed.
    pub(super) fn end(mut self) -> Result<Vec<Finding>, InjectError> {
        let all = self.request.only.iter().zip(&self.used);
        let unused = all.filter(|(_, used)| !**used);
        self.errors
            .extend(unused.map(|(only, _)| format!("{only}: not in the input")));
        if self.errors.is_empty() {
            Ok(self.findings)
        } else {
            Err(InjectError::Workloads(self.errors))
        }
    }

    pub(super) fn all(&mut self, objects: Vec<Value>) -> Vec<Value> {
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
        let there = self.configuration(namespace.as_deref(), config_map)?;
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
        Ok(Some(self.config_map(injected.config_map, namespace, text)))
    }

    /// The configuration that stands in the input, if its ConfigMap does.
    fn configuration(&self, namespace: Option<&str>, name: &str) -> Result<Option<String>, String> {
        let same = |one: &&ConfigMap| one.name == name && one.namespace.as_deref() == namespace;
        match self.config_maps.iter().find(same) {
            None => Ok(None),
            Some(ConfigMap { text: None, .. }) => {
                Err(format!("ConfigMap {name}: it has no countersign.yaml"))
            }
            Some(ConfigMap { text, .. }) => Ok(text.clone()),
        }
    }

    /// A ConfigMap that is new. Another workload may mean the same one.
    fn config_map(&mut self, name: String, namespace: Option<String>, text: String) -> Value {
        let files = &self.request.files;
        let made = config_map_of(&name, namespace.as_deref(), text.clone(), files);
        self.config_maps.push(ConfigMap {
            namespace,
            name,
            text: Some(text),
        });
        made
    }

    /// Changes what stands around the workloads.
    pub(super) fn around(&mut self, object: &mut Value) {
        let mut notes = Notes::about(around::title(object));
        match look_text(object, &["kind"]) {
            Some("Service") => around::service(object, &self.pods, &mut notes),
            Some("NetworkPolicy") => around::policy(object, &self.pods, &mut notes),
            _ => {}
        }
        self.findings.append(&mut notes.findings);
    }
}

fn config_map_of(
    name: &str,
    namespace: Option<&str>,
    config: String,
    files: &[(String, String)],
) -> Value {
    let mut metadata = map([("name", text(name))]);
    if let Some(namespace) = namespace {
        object::set(&mut metadata, "namespace", text(namespace));
    }
    let mut data = map([("countersign.yaml", text(config))]);
    for (name, content) in files {
        object::set(&mut data, name, text(content.as_str()));
    }
    map([
        ("apiVersion", text("v1")),
        ("kind", text("ConfigMap")),
        ("metadata", metadata),
        ("data", data),
    ])
}
