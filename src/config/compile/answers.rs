//! `answers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scope;
use crate::config::Code;
use crate::config::node::{Node, Scalar, Value};
use crate::config::schema::{ANSWER_KIND, ANSWERS};
use crate::config::view::View;
use crate::proxy::{AnswerKind, AnswerTemplate, AnswersName, AnswersSettings, BodyTemplate};

const KINDS: [(&str, AnswerKind); 7] = [
    ("no_token", AnswerKind::NoToken),
    ("invalid_token", AnswerKind::InvalidToken),
    ("refused", AnswerKind::Refused),
    ("unavailable", AnswerKind::Unavailable),
    ("rate_limited", AnswerKind::RateLimited),
    ("bad_request", AnswerKind::BadRequest),
    ("upstream", AnswerKind::Upstream),
];

/// What a body may have filled in.
const PLACEHOLDERS: [&str; 4] = ["message", "status", "reason", "request_id"];

/// All templates.
pub(super) fn compile(
    root: &View<'_>,
    scope: &mut Scope<'_>,
) -> BTreeMap<AnswersName, Arc<AnswersSettings>> {
    let entries = root.get("answers").map(Node::entries).unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let view = View::new(&entry.value, &ANSWERS);
            (
                Arc::from(entry.key.as_str()),
                Arc::new(template(&view, scope)),
            )
        })
        .collect()
}

fn template(view: &View<'_>, scope: &mut Scope<'_>) -> AnswersSettings {
    let body = view.get("body").map(|node| {
        placeholders(node, scope);
        BodyTemplate(node.to_json())
    });
    let mut kinds = BTreeMap::new();
    for (key, kind) in KINDS {
        if let Some(one) = view.sub_if(key, &ANSWER_KIND) {
            kinds.insert(kind, wording(&one, kind, scope));
        }
    }
    let quotable = |key: &str, scope: &mut Scope<'_>| {
        let text = view.text(key)?;
        if text
            .bytes()
            .any(|b| !(0x20..0x7f).contains(&b) || b == b'"' || b == b'\\')
        {
            scope.report.error(
                view.place(key),
                "stands in a quoted header value: printable ASCII without quotes and backslashes",
            );
        }
        Some(text.to_owned())
    };
    AnswersSettings {
        realm: quotable("realm", scope),
        resource_metadata: quotable("resource_metadata", scope),
        body,
        kinds,
    }
}

fn wording(view: &View<'_>, kind: AnswerKind, scope: &mut Scope<'_>) -> AnswerTemplate {
    let status = view
        .number("status")
        .and_then(|status| u16::try_from(status).ok());
    let allowed: &[u16] = match kind {
        AnswerKind::NoToken | AnswerKind::InvalidToken => &[401, 403],
        AnswerKind::Refused => &[401, 403, 404],
        AnswerKind::Unavailable
        | AnswerKind::RateLimited
        | AnswerKind::BadRequest
        | AnswerKind::Upstream => &[],
    };
    if let Some(status) = status
        && !allowed.contains(&status)
    {
        let words = match allowed {
            [] => "no other status: clients act on the one it has".to_owned(),
            _ => format!(
                "one of {}",
                allowed
                    .iter()
                    .map(u16::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        scope.report.error(
            view.place("status"),
            format!("{status} does not mean what this refusal means; it takes {words}"),
        );
    }
    AnswerTemplate {
        status,
        message: view.text("message").map(str::to_owned),
    }
}

/// `{mesage}` in a body would reach clients as it stands.
fn placeholders(node: &Node, scope: &mut Scope<'_>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| placeholders(item, scope)),
        Value::Map(entries) => {
            if let [only] = entries.as_slice()
                && only.value.is_null()
                && PLACEHOLDERS.contains(&only.key.as_str())
            {
                scope.report.find_try(
                    Code::Value,
                    &node.at,
                    format!(
                        "YAML reads an unquoted `{{{}}}` as a mapping, not as text",
                        only.key
                    ),
                    format!("quote it: \"{{{}}}\"", only.key),
                );
            }
            entries
                .iter()
                .for_each(|entry| placeholders(&entry.value, scope));
        }
        Value::Scalar(Scalar { text, .. }) => {
            for part in text.split('{').skip(1) {
                if let Some((name, _)) = part.split_once('}')
                    && !PLACEHOLDERS.contains(&name)
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                    && !name.is_empty()
                {
                    scope.report.find_try(
                        Code::UnknownName,
                        &node.at,
                        format!("`{{{name}}}` is not filled in"),
                        crate::config::suggest::one_of(name, &PLACEHOLDERS),
                    );
                }
            }
        }
    }
}
