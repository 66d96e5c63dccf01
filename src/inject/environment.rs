//! The environment of a container.

use super::object::{Value, edit_list, look, look_list, look_text, map, set, text};
use super::words::Reference;

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variable<'a> {
    /// Written out.
    Literal(&'a str),
    /// Taken from elsewhere: a Secret, a field of the pod.
    Elsewhere,
}

/// The variable of that name.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<Variable<'a>> {
    let named = |entry: &&Value| look_text(entry, &["name"]) == Some(name);
    // Of two with one name the last counts.
    let entry = look_list(container, &["env"]).iter().rev().find(named)?;
    Some(if entry.get("valueFrom").is_some() {
        Variable::Elsewhere
    } else {
        Variable::Literal(look_text(entry, &["value"]).unwrap_or_default())
    })
}

/// Names of all variables.
pub(crate) fn names(container: &Value) -> impl Iterator<Item = &str> {
    look_list(container, &["env"])
        .iter()
        .filter_map(|entry| look_text(entry, &["name"]))
}

/// Sets a variable, where it stands or at the end.
pub(crate) fn set_variable(container: &mut Value, name: &str, value: &str) {
    edit_list(container, "env", |entries| {
        let named = |entry: &&mut Value| look_text(entry, &["name"]) == Some(name);
        match entries.iter_mut().rev().find(named) {
            Some(entry) => set(entry, "value", text(value)),
            None => entries.push(map([("name", text(name)), ("value", text(value))])),
        }
    });
}

/// Whether variables come from ConfigMaps or Secrets whose names alone are known.
pub(crate) fn has_more(container: &Value) -> bool {
    look(container, &["envFrom"])
        .is_some_and(|value| value.as_sequence().is_some_and(|items| !items.is_empty()))
}

/// What a word comes to: itself, or the variable that it stands for.
pub(crate) fn resolve<'a>(container: &'a Value, word: &'a str) -> Option<&'a str> {
    let Some(reference) = Reference::of(word) else {
        return Some(word);
    };
    match variable(container, reference.name) {
        Some(Variable::Literal(value)) if !value.is_empty() => Some(value),
        Some(_) => None,
        None => reference.default,
    }
}

/// The port that a word comes to; the first of several (`8080;8081`).
pub(crate) fn resolve_port(container: &Value, word: &str) -> Option<u16> {
    let text = resolve(container, word)?;
    text.split([';', ',']).next()?.trim().parse().ok()
}
