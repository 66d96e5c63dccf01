//! Objects of Kubernetes as plain data, and ways into them.

pub(crate) use serde_yaml::{Mapping, Value};

/// Text as a value.
pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

/// A mapping of these entries, in this order.
pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (text(key), value));
    Value::Mapping(entries.collect())
}

/// What stands at the path.
pub(crate) fn look<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

/// The text at the path.
pub(crate) fn look_text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    look(value, path)?.as_str()
}

/// The list at the path; empty where there is none.
pub(crate) fn look_list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    look(value, path)
        .and_then(Value::as_sequence)
        .map_or(&[], Vec::as_slice)
}

/// The port number at the path.
pub(crate) fn look_port(value: &Value, path: &[&str]) -> Option<u16> {
    look(value, path)?.as_u64()?.try_into().ok()
}

/// What stands at the path, to be changed.
pub(crate) fn look_mut<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Value> {
    path.iter()
        .try_fold(value, |value, key| value.get_mut(*key))
}

/// Sets a member; anything else than a mapping becomes one (`null` is written for an empty one).
pub(crate) fn set(value: &mut Value, key: &str, member: Value) {
    *child(value, key) = member;
}

/// A member to be set; null where there was none.
pub(crate) fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_mapping() {
        *value = Value::Mapping(Mapping::new());
    }
    &mut value[key]
}

/// Changes a member that is a list; an empty one is made where there is none.
pub(crate) fn edit_list<T>(
    value: &mut Value,
    key: &str,
    edit: impl FnOnce(&mut Vec<Value>) -> T,
) -> T {
    let member = child(value, key);
    let mut items = match std::mem::take(member) {
        Value::Sequence(items) => items,
        _ => Vec::new(),
    };
    let result = edit(&mut items);
    *member = Value::Sequence(items);
    result
}
