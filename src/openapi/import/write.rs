//! The imported policy as a document.

use std::path::Path;

use super::access::Why;
use super::draft::{Draft, Route, Row};
use super::parties::{Made, Parties};
use super::{Current, Options};
use crate::config::written::{self, list, path, scalar};
use crate::openapi::Document;
use crate::telemetry::json::is_hostile;

/// The document.
pub(super) fn document(
    document: &Document,
    file: &Path,
    draft: &Draft,
    parties: &Parties,
    options: &Options,
) -> String {
    let mut out = header(document, file, options);
    let mut end = false;
    match &options.current {
        Some(current) => {
            out.push_str(&kept(current));
            end = current.tree.get("end").is_some();
        }
        None => out.push_str(&skeleton(parties)),
    }
    out.push_str("routes:\n");
    let mut tag = None;
    for route in &draft.routes {
        if tag != Some(&route.tag) {
            out.push_str(&group(document, route.tag.as_deref(), tag.is_some()));
            tag = Some(&route.tag);
        }
        out.push_str(&self::route(document, route));
    }
    if draft.routes.is_empty() {
        // A list that allows nobody anything, and says so.
        out.push_str("  - path: /**\n    allow: nobody\n");
    }
    if !draft.left_out.is_empty() {
        out.push_str("\n# In the document and without a route, so that nobody may:\n");
        for line in &draft.left_out {
            out.push_str(&format!("#  - {}\n", remark(line)));
        }
    }
    if end {
        out.push_str("\nend: true\n");
    }
    out
}

fn header(document: &Document, file: &Path, options: &Options) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let mut out = format!(
        "# Imported by `countersign import` from {}: {}, {} operations.\n",
        remark(&name.to_string_lossy()),
        remark(&format!(
            "{} {} (OpenAPI {})",
            document.title, document.version, document.openapi
        )),
        document.operations.len()
    );
    out.push_str(
        "#\n# What has no route here is refused: health checks, /docs and /openapi.json too, unless the document names them.\n",
    );
    out.push_str("# To decide before it is used:\n");
    if options.current.is_none() {
        out.push_str(
            "#  - where the upstream is, and whose tokens are trusted: each `decide` below;\n",
        );
    }
    out.push_str(
        "#  - `nobody`: closed, for the reason beside it. Write who may, or leave it closed;\n",
    );
    out.push_str("#  - whether each caller may reach everybody's data: a document does not say (`account: \"{…}\"`).\n");
    for one in &document.remarks {
        out.push_str(&format!("#  - {}\n", remark(one)));
    }
    out.push_str("#\n# `countersign check --openapi` holds it to the document.\n\n");
    out
}

/// What there is besides routes.
fn kept(current: &Current) -> String {
    let kept = written::without(&current.text, &current.tree, &["routes", "end"]);
    let mut out = kept.trim_start_matches('\n').to_owned();
    if !out.ends_with("\n\n") {
        out.push('\n');
    }
    out
}

fn skeleton(parties: &Parties) -> String {
    let mut out =
        "inbound:\n  listen: 127.0.0.1:8080    # decide: where callers come in\n  upstream: http://127.0.0.1:8000    # decide: the backend\n\nissuers:\n"
            .to_owned();
    for made in &parties.made {
        out.push_str(&issuer(made));
    }
    if parties.made.is_empty() {
        // `check` says that nothing refers to it.
        out.push_str(&issuer(&Made {
            name: "main".to_owned(),
            iss: None,
            schemes: vec!["the document names none that can be checked".to_owned()],
            scopes: std::collections::BTreeSet::new(),
        }));
    }
    out.push('\n');
    out
}

fn issuer(made: &Made) -> String {
    let mut out = String::new();
    for scheme in &made.schemes {
        out.push_str(&format!("  # {}\n", remark(scheme)));
    }
    out.push_str(&format!("  - name: {}\n", scalar(&made.name)));
    match &made.iss {
        Some(iss) => out.push_str(&format!("    issuer: {}\n", written::quoted(iss))),
        None => {
            let host: String = made.name.to_ascii_lowercase();
            let host: String = host
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .take(60)
                .collect();
            let host = host.trim_matches('-');
            out.push_str(&format!(
                "    issuer: https://{host}.invalid    # decide: the `iss` of its tokens\n"
            ));
        }
    }
    out.push_str("    jwks: {discover: true}\n");
    out.push_str("    audiences: [decide]    # decide: the `aud` of tokens for this API; or `unchecked`, and `clients`\n");
    let scopes = made.scopes.iter().map(String::as_str);
    let scopes: Vec<&str> = scopes
        .filter(|scope| crate::config::scope(scope).is_ok())
        .collect();
    if !scopes.is_empty() {
        out.push_str(&format!("    scopes_supported: {}\n", list(scopes)));
    }
    out
}

fn group(document: &Document, tag: Option<&str>, blank: bool) -> String {
    let blank = if blank { "\n" } else { "" };
    let Some(tag) = tag else {
        return format!("{blank}  # ── without a tag\n");
    };
    let known = document.tags.iter().find(|(name, _)| name == tag);
    match known.map(|(_, words)| words.as_str()) {
        Some(words) if !words.is_empty() => {
            format!("{blank}  # ── {}: {}\n", remark(tag), remark(words))
        }
        _ => format!("{blank}  # ── {}\n", remark(tag)),
    }
}

fn route(document: &Document, route: &Route) -> String {
    let mut out = String::new();
    match route.paths.as_slice() {
        [one] => out.push_str(&format!("  - path: {}\n", path(one))),
        all => {
            out.push_str("  - path:\n");
            for one in all {
                out.push_str(&format!("      - {}\n", path(one)));
            }
        }
    }
    for one in &route.remarks {
        out.push_str(&format!("    # {}\n", remark(one)));
    }
    out.push_str("    allow:\n");
    for row in &route.rows {
        out.push_str(&self::row(document, row));
    }
    out
}

fn row(document: &Document, row: &Row) -> String {
    let mut remarks: Vec<String> = Vec::new();
    for at in &row.operations {
        let Some(operation) = document.operations.get(*at) else {
            continue;
        };
        remarks.extend(operation.id.clone());
        if operation.deprecated {
            remarks.push("deprecated".to_owned());
        }
    }
    remarks.extend(row.access.remarks.iter().cloned());
    if row.access.why == Why::Public {
        remarks.push("the document lets everybody pass".to_owned());
    }
    let remarks = remark(&remarks.join("; "));
    let remarks = if remarks.is_empty() {
        String::new()
    } else {
        format!("    # {remarks}")
    };
    let method = &row.method;
    match row.access.lines.as_slice() {
        [one] => format!("      {method}: {one}{remarks}\n"),
        all => {
            let lines = all.iter().map(|line| format!("        - {line}\n"));
            format!("      {method}:{remarks}\n{}", lines.collect::<String>())
        }
    }
}

/// A text that cannot end its comment, whatever a document put into it.
fn remark(text: &str) -> String {
    const LONGEST: usize = 400;
    let space = |c: char| if is_hostile(c) { ' ' } else { c };
    let cut: String = text.chars().take(LONGEST).map(space).collect();
    let mut shown = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
