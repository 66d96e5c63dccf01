//! From a file to what policy needs of it. Everything else of a document (schemas, examples, callbacks) is not looked at.

use std::io::Read as _;
use std::path::Path;

use http::Method;

use super::security::{self, Security};
use super::{Document, Operation, Unread, json, servers};
use crate::config::{self, Code, Entry, Node, Place, Problems, Report, Source, Value};

/// Most bytes of a document.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Most bytes of a document in YAML, which takes more to read.
const MOST_YAML: usize = 4 * 1024 * 1024;

/// Most operations.
const MOST_OPERATIONS: usize = 5_000;

/// Longest name or remark that is taken over, in characters.
const LONGEST: usize = 80;

/// Methods of path items, in the order in which they are written.
const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("trace", Method::TRACE),
];

/// Reads a document.
pub(super) fn document(file: &Path) -> Result<Document, Problems> {
    let bytes = bytes(file).map_err(|why| Problems::whole(file, why))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| Problems::whole(file, format!("is not UTF-8 text: {error}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut report = Report::new(Source::public(file, text));
    let tree = tree(text, &mut report);
    report.stage(Code::Value);
    let document = tree.and_then(|root| read(&root, &mut report));
    match document {
        Some(document) if !report.has_errors() => Ok(document),
        _ => Err(report.finish()),
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| error.to_string();
    // Opening a FIFO would wait for a writer, for ever.
    let kind = std::fs::metadata(file).map_err(describe)?;
    if !kind.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(describe)?;
    let mut limited = opened.take(MOST_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(describe)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(format!("is longer than {} MiB", MOST_BYTES >> 20));
    }
    Ok(bytes)
}

fn tree(text: &str, report: &mut Report) -> Option<Node> {
    report.stage(Code::Syntax);
    let begin = Place {
        line: 1,
        column: 1,
        path: "".into(),
    };
    match text.trim_start().chars().next() {
        None => {
            report.error(&begin, "the document is empty");
            None
        }
        Some('{' | '[') => json::parse(text, report),
        Some(_) if text.len() > MOST_YAML => {
            report.error_try(
                &begin,
                format!("YAML longer than {} MiB is not read", MOST_YAML >> 20),
                "write it as JSON",
            );
            None
        }
        Some(_) => config::foreign_yaml(text, report),
    }
}

/// A document that is being read.
pub(super) struct Reading<'t> {
    pub(super) root: &'t Node,
}

impl<'t> Reading<'t> {
    /// What a node stands for: what it refers to, or itself. A reference leads to a component or a path of the same document, and
    /// to no further reference.
    pub(super) fn resolved(&self, node: &'t Node) -> Result<&'t Node, String> {
        let Some(reference) = node.get("$ref").and_then(Node::text) else {
            return Ok(node);
        };
        let shown = clean(reference);
        let Some(pointer) = reference.strip_prefix("#/") else {
            return Err(format!("`{shown}` is outside of the document"));
        };
        let mut found = self.root;
        for step in pointer.split('/') {
            let step = step.replace("~1", "/").replace("~0", "~");
            found = found
                .get(&step)
                .ok_or_else(|| format!("`{shown}` is not there"))?;
        }
        if found.get("$ref").is_some() {
            return Err(format!("`{shown}` is a reference again"));
        }
        Ok(found)
    }
}

/// A text of a document on one line, shortened.
pub(super) fn clean(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .map(|c| {
            if crate::telemetry::json::is_hostile(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out.trim().to_owned()
}

fn read(root: &Node, report: &mut Report) -> Option<Document> {
    let version = version(root, report)?;
    let info = |key: &str| root.get("info").and_then(|info| info.get(key));
    let plain = |node: &Node| clean(&node.plain());
    let mut document = Document {
        openapi: version,
        title: info("title").map(plain).unwrap_or_default(),
        version: info("version").map(plain).unwrap_or_default(),
        schemes: security::schemes(&Reading { root }),
        tags: tags(root),
        operations: Vec::new(),
        unread: Vec::new(),
        remarks: Vec::new(),
        source: report.source.clone(),
    };
    let defaults = Defaults {
        security: match root.get("security") {
            Some(node) => security::security(node, report),
            None => Security::Unsaid,
        },
        bases: servers::bases(root.get("servers"), &mut document.remarks),
    };
    let paths = root.get("paths");
    if let Some(node) = paths.filter(|node| !matches!(node.value, Value::Map(_))) {
        report.error(
            &node.at,
            format!("expected an object, found {}", node.described()),
        );
    }
    let reading = Reading { root };
    for entry in paths.map(Node::entries).unwrap_or_default() {
        if !entry.key.starts_with("x-") {
            path_item(&reading, entry, &defaults, &mut document, report);
        }
        if document.operations.len() + document.unread.len() > MOST_OPERATIONS {
            report.error(&root.at, format!("more than {MOST_OPERATIONS} operations"));
            break;
        }
    }
    if document.operations.is_empty() && document.unread.is_empty() {
        report.error(&root.at, "there is no operation in `paths`");
    }
    Some(document)
}

/// The version of OpenAPI; others than 3.0 and 3.1 mean other things by the same words.
fn version(root: &Node, report: &mut Report) -> Option<String> {
    let version = root.get("openapi").map(Node::plain);
    match version {
        Some(version) if version.starts_with("3.0.") || version.starts_with("3.1.") => {
            Some(clean(&version))
        }
        Some(version) => {
            report.error(
                &root
                    .get("openapi")
                    .map_or(&root.at, |node| &node.at)
                    .clone(),
                format!("OpenAPI `{}` is not read; 3.0 and 3.1 are", clean(&version)),
            );
            None
        }
        None if root.get("swagger").is_some() => {
            report.error_try(
                &root.at,
                "Swagger 2.0 is not read; OpenAPI 3.0 and 3.1 are",
                "convert it first",
            );
            None
        }
        None => {
            report.error(
                &root.at,
                "`openapi` is missing: this is no OpenAPI document",
            );
            None
        }
    }
}

/// Names and descriptions of `tags`, in their order.
fn tags(root: &Node) -> Vec<(String, String)> {
    let tags = root.get("tags").map(Node::each).unwrap_or_default().iter();
    tags.filter_map(|tag| {
        let name = tag.get("name").and_then(Node::text)?;
        let words = tag.get("description").and_then(Node::text);
        Some((clean(name), clean(words.unwrap_or_default())))
    })
    .collect()
}

/// What counts where an operation says nothing else.
struct Defaults {
    security: Security,
    bases: Vec<String>,
}

fn path_item(
    reading: &Reading<'_>,
    entry: &Entry,
    defaults: &Defaults,
    document: &mut Document,
    report: &mut Report,
) {
    if !matches!(entry.value.value, Value::Map(_)) {
        report.error(
            &entry.value.at,
            format!("expected an object, found {}", entry.value.described()),
        );
        return;
    }
    let target = match reading.resolved(&entry.value) {
        Ok(target) => target,
        Err(why) => {
            document.unread.push(Unread {
                what: clean(&entry.key),
                why,
                at: entry.key_at.clone(),
            });
            &entry.value
        }
    };
    // A reference may have siblings: what both say, the path item itself says.
    let own = |key: &str| entry.value.get(key).or_else(|| target.get(key));
    let bases = match own("servers") {
        Some(node) => servers::bases(Some(node), &mut document.remarks),
        None => defaults.bases.clone(),
    };
    for (key, method) in METHODS {
        let Some(node) = own(key) else { continue };
        if !matches!(node.value, Value::Map(_)) {
            report.error(
                &node.at,
                format!("expected an object, found {}", node.described()),
            );
            continue;
        }
        let said = node.get("security");
        let security = said.map(|node| security::security(node, report));
        let servers = node.get("servers");
        let servers = servers.map(|node| servers::bases(Some(node), &mut document.remarks));
        let tags = node.get("tags").map(Node::each).unwrap_or_default();
        document.operations.push(Operation {
            method,
            path: entry.key.clone(),
            bases: servers.unwrap_or_else(|| bases.clone()),
            id: node.get("operationId").and_then(Node::text).map(clean),
            tag: tags.first().and_then(Node::text).map(clean),
            deprecated: node.get("deprecated").and_then(Node::flag) == Some(true),
            security: security.unwrap_or_else(|| defaults.security.clone()),
            at: node.at.clone(),
        });
    }
}
