//! The answer of the webhook: an AdmissionReview (admission.k8s.io/v1) for an AdmissionReview.
//!
//! Whatever comes, the answer is a review that says why, as the API server's own libraries do it: a request that cannot be read is
//! refused with 400 in its status, and without a `uid` that could be read the API server treats the call as failed, so that the
//! `failurePolicy` decides. A pod that asked for the proxy and cannot have it is refused: running it without would leave it open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::object::{Value, look, look_list, look_text};
use super::options::Wish;
use super::pod::{self, Order};
use super::report::{Finding, FindingKind, Notes};
use super::{Request, patch};

/// Most bytes of a request: objects have 3 MiB at most, and an update holds two of them.
pub const MOST_BYTES: usize = 7 * 1024 * 1024;

/// Most values of a request: a pod has some hundreds, and a few bytes of JSON stand for many bytes of memory.
const MOST_VALUES: usize = 100_000;

const VERSION: &str = "admission.k8s.io/v1";

/// The ConfigMap of pods that name none.
const CONFIG_MAP: &str = "countersign";

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The pod gets the proxy.
    Injected,
    /// It is let through as it is, for this reason.
    Untouched(&'static str),
    /// It asked for the proxy and cannot have it.
    Denied(String),
    /// There is no telling what it is.
    Unreadable(String),
}

/// An answer, and what to log of it.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// The body of the answer.
    pub body: String,
    /// What became of it.
    pub decision: Decision,
    /// The pod's namespace, as far as it is known.
    pub namespace: String,
    /// The pod's name, or what it is made from.
    pub name: String,
}

/// Answers a request. `all`: pods that say nothing get the proxy, too.
#[must_use]
pub fn review(body: &[u8], all: bool, request: &Request) -> Reviewed {
    if values(body) > MOST_VALUES {
        return unreadable("", 413, format!("more than {MOST_VALUES} values"));
    }
    let review: Value = match serde_json::from_slice(body) {
        Ok(review) => review,
        Err(error) => return unreadable("", 400, format!("no JSON: {error}")),
    };
    let uid = look_text(&review, &["request", "uid"]).unwrap_or_default();
    let said = |key: &str| look_text(&review, &[key]).unwrap_or_default();
    if said("kind") != "AdmissionReview" || said("apiVersion") != VERSION {
        let reason = format!(
            "{} {} is not {VERSION} AdmissionReview",
            said("apiVersion"),
            said("kind")
        );
        return unreadable(uid, 400, reason);
    }
    let Some(asked) = look(&review, &["request"]).filter(|_| !uid.is_empty()) else {
        return unreadable(uid, 400, "request.uid is missing".to_owned());
    };
    let mut notes = Notes::default();
    let (decision, operations) = match untouched(asked) {
        Some(why) => (Decision::Untouched(why), Vec::new()),
        None => match look(asked, &["object"]).filter(|object| object.is_mapping()) {
            None => return unreadable(uid, 400, "request.object is missing".to_owned()),
            Some(object) => pod(object, all, request, &mut notes),
        },
    };
    let generated = look_text(asked, &["object", "metadata", "generateName"]);
    let name = look_text(asked, &["object", "metadata", "name"]).or(generated);
    Reviewed {
        body: answer(uid, &decision, &operations, &notes.findings),
        decision,
        namespace: look_text(asked, &["namespace"])
            .unwrap_or_default()
            .to_owned(),
        name: name.unwrap_or_default().to_owned(),
    }
}

/// How many values a text of JSON holds at most: each but the first stands behind one of these signs.
fn values(body: &[u8]) -> usize {
    memchr::memchr3_iter(b',', b'[', b'{', body).count()
}

/// Answers a request that came while there was no room for one of its size.
#[must_use]
pub fn too_busy() -> Reviewed {
    unreadable("", 429, "too many large requests at a time".to_owned())
}

/// Answers a request that is too large to be read.
#[must_use]
pub fn too_large() -> Reviewed {
    unreadable("", 413, format!("more than {MOST_BYTES} bytes"))
}

/// Answers a request whose body is no review at all.
#[must_use]
pub fn not_json(content_type: &str) -> Reviewed {
    unreadable("", 415, format!("`{content_type}` is not application/json"))
}

/// Why there is nothing to do, whatever the object is: containers of a pod can be added at its creation alone.
fn untouched(asked: &Value) -> Option<&'static str> {
    let said = |path: &[&str]| look_text(asked, path).unwrap_or_default();
    if (said(&["kind", "group"]), said(&["kind", "kind"])) != ("", "Pod") {
        Some("not_a_pod")
    } else if said(&["operation"]) != "CREATE" {
        Some("not_created")
    } else if !said(&["subResource"]).is_empty() {
        Some("subresource")
    } else {
        None
    }
}

fn pod(object: &Value, all: bool, request: &Request, notes: &mut Notes) -> (Decision, Vec<Value>) {
    let denied = |why: String| (Decision::Denied(why), Vec::new());
    let untouched = |why| (Decision::Untouched(why), Vec::new());
    let metadata = object.get("metadata");
    match Wish::of(metadata) {
        Err(why) => return denied(why),
        Ok(Wish::Disabled) => return untouched("disabled"),
        Ok(Wish::Unsaid) if !all => return untouched("not_asked_for"),
        Ok(Wish::Unsaid | Wish::Enabled) => {}
    }
    let options = match request.options.with_annotations(metadata) {
        Ok(options) => options,
        Err(why) => return denied(why),
    };
    let mut owners = look_list(object, &["metadata", "ownerReferences"]).iter();
    let order = Order {
        options: &options,
        config_map: CONFIG_MAP,
        config: None,
        trust: None,
        job: owners.any(|owner| look_text(owner, &["kind"]) == Some("Job")),
        sleeps: !request.without_sleep_action,
    };
    let mut changed = object.clone();
    match pod::inject(&mut changed, &order, notes) {
        Err(why) => denied(why),
        Ok(None) => untouched("injected_already"),
        Ok(Some(_)) => (Decision::Injected, patch::between(object, &changed)),
    }
}

fn answer(uid: &str, decision: &Decision, operations: &[Value], findings: &[Finding]) -> String {
    let mut response = json!({"uid": uid, "allowed": true});
    let mut set = |key: &str, value: serde_json::Value| {
        if let Some(response) = response.as_object_mut() {
            response.insert(key.to_owned(), value);
        }
    };
    match decision {
        Decision::Injected => {
            let patch = serde_json::to_string(operations).unwrap_or_default();
            set("patchType", json!("JSONPatch"));
            set("patch", json!(STANDARD.encode(patch)));
            let warnings = warnings(findings);
            if !warnings.is_empty() {
                set("warnings", json!(warnings));
            }
        }
        Decision::Untouched(_) => {}
        // `unreadable` answers those; here is no other word for them.
        Decision::Denied(why) | Decision::Unreadable(why) => {
            set("allowed", json!(false));
            set("status", status(403, "Forbidden", why));
        }
    }
    json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}).to_string()
}

fn status(code: u16, reason: &str, message: &str) -> serde_json::Value {
    json!({"status": "Failure", "code": code, "reason": reason, "message": format!("countersign: {message}")})
}

/// What only the operator can do. The API server cuts warnings at 256 characters, and takes 4096 of all.
fn warnings(findings: &[Finding]) -> Vec<String> {
    const MOST: usize = 8;
    const LONGEST: usize = 240;
    let to_do = findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::ToDo);
    to_do
        .take(MOST)
        .map(|finding| {
            let container = match finding.container.as_str() {
                "" => String::new(),
                name => format!("container {name}: "),
            };
            let text = format!("countersign: {container}{}", finding.text);
            text.chars().take(LONGEST).collect()
        })
        .collect()
}

fn unreadable(uid: &str, code: u16, why: String) -> Reviewed {
    let response =
        json!({"uid": uid, "allowed": false, "status": status(code, reason(code), &why)});
    Reviewed {
        body: json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response})
            .to_string(),
        decision: Decision::Unreadable(why),
        namespace: String::new(),
        name: String::new(),
    }
}

const fn reason(code: u16) -> &'static str {
    match code {
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        _ => "BadRequest",
    }
}
