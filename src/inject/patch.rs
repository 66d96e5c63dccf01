//! JSON Patch (RFC 6902) from one object to another.

use super::object::{Value, look_text, map, text};

/// The operations that make `new` of `old`.
pub(crate) fn between(old: &Value, new: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(old, new, "", &mut operations);
    operations
}

fn operation(name: &str, path: &str, value: Option<&Value>) -> Value {
    let mut operation = map([("op", text(name)), ("path", text(path))]);
    if let Some(value) = value {
        super::object::set(&mut operation, "value", value.clone());
    }
    operation
}

fn compare(old: &Value, new: &Value, path: &str, out: &mut Vec<Value>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Mapping(old), Value::Mapping(new)) => {
            let inside =
                |key: &Value| format!("{path}/{}", escape(key.as_str().unwrap_or_default()));
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                out.push(operation("remove", &inside(key), None));
            }
            for (key, value) in new {
                match old.get(key) {
                    Some(before) => compare(before, value, &inside(key), out),
                    None => out.push(operation("add", &inside(key), Some(value))),
                }
            }
        }
        (Value::Sequence(old), Value::Sequence(new)) => lists(old, new, path, out),
        _ => out.push(operation("replace", path, Some(new))),
    }
}

/// What both begin and end with stays, compared in itself where it has a name; what is between is replaced one by one, and the
/// rest removed or added.
fn lists(old: &[Value], new: &[Value], path: &str, out: &mut Vec<Value>) {
    let before = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| are_one(old, new))
        .count();
    let rest = old.len().min(new.len()) - before;
    let behind = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(rest)
        .take_while(|(old, new)| are_one(old, new))
        .count();
    let (old_end, new_end) = (old.len() - behind, new.len() - behind);
    let pairs = |from: usize, to: usize, out: &mut Vec<Value>| {
        let both = old.iter().zip(new).enumerate().take(to).skip(from);
        for (at, (old, new)) in both {
            compare(old, new, &format!("{path}/{at}"), out);
        }
    };
    let middle = old_end.min(new_end);
    pairs(0, middle, out);
    for at in (middle..old_end).rev() {
        out.push(operation("remove", &format!("{path}/{at}"), None));
    }
    for (at, value) in new.iter().enumerate().take(new_end).skip(middle) {
        out.push(operation("add", &format!("{path}/{at}"), Some(value)));
    }
    // From here on places are those of the new list.
    let ends = old
        .iter()
        .skip(old_end)
        .zip(new.iter().enumerate().skip(new_end));
    for (old, (at, new)) in ends {
        compare(old, new, &format!("{path}/{at}"), out);
    }
}

/// Whether two items are one and the same that may have changed: by name, or because they are equal.
fn are_one(old: &Value, new: &Value) -> bool {
    let name = |item| look_text(item, &["name"]);
    old == new || name(old).is_some() && name(old) == name(new)
}

/// RFC 6901.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies operations as RFC 6902 says.
    pub(crate) fn apply(mut value: Value, operations: &[Value]) -> Value {
        for one in operations {
            let path = look_text(one, &["path"]).unwrap();
            let name = look_text(one, &["op"]).unwrap();
            let Some((parent, last)) = path.rsplit_once('/') else {
                assert_eq!(name, "replace");
                value = one.get("value").unwrap().clone();
                continue;
            };
            let unescape = |key: &str| key.replace("~1", "/").replace("~0", "~");
            let mut here = &mut value;
            for key in parent.split('/').skip(1) {
                here = match here {
                    Value::Mapping(map) => map.get_mut(unescape(key).as_str()).unwrap(),
                    Value::Sequence(items) => items.get_mut(key.parse::<usize>().unwrap()).unwrap(),
                    _ => panic!("{path}"),
                };
            }
            match (here, name) {
                (Value::Mapping(map), "remove") => {
                    drop(map.remove(unescape(last).as_str()).unwrap())
                }
                (Value::Mapping(map), _) => {
                    let had = map
                        .insert(text(unescape(last)), one.get("value").unwrap().clone())
                        .is_some();
                    assert_eq!(had, name == "replace", "{path}");
                }
                (Value::Sequence(items), "remove") => drop(items.remove(last.parse().unwrap())),
                (Value::Sequence(items), "add") => {
                    items.insert(last.parse().unwrap(), one.get("value").unwrap().clone())
                }
                (Value::Sequence(items), _) => {
                    items[last.parse::<usize>().unwrap()] = one.get("value").unwrap().clone()
                }
                _ => panic!("{path}"),
            }
        }
        value
    }

    fn read(text: &str) -> Value {
        super::super::yaml::read(text).unwrap().remove(0)
    }

    #[test]
    fn a_patch_names_what_changed_and_no_more() {
        let old = read("{a: {b/c: 1, d: 2}, l: [{name: x, v: 1}, {name: y}], gone: 1}");
        let new = read("{a: {b/c: 2, d: 2, e~: 3}, l: [{name: new}, {name: x, v: 2}, {name: y}]}");
        let operations = between(&old, &new);
        let json: Vec<String> = operations
            .iter()
            .map(|one| serde_json::to_string(one).unwrap())
            .collect();
        assert_eq!(
            json,
            [
                r#"{"op":"remove","path":"/gone"}"#,
                r#"{"op":"replace","path":"/a/b~1c","value":2}"#,
                r#"{"op":"add","path":"/a/e~0","value":3}"#,
                r#"{"op":"add","path":"/l/0","value":{"name":"new"}}"#,
                r#"{"op":"replace","path":"/l/1/v","value":2}"#,
            ]
        );
        assert!(between(&old, &old).is_empty());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = (0..4_u64).prop_map(|number| Value::Number(number.into()));
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Sequence),
                prop::collection::vec(("[a/~]|name", inner), 0..4).prop_map(|entries| {
                    Value::Mapping(
                        entries
                            .into_iter()
                            .map(|(key, value)| (text(key), value))
                            .collect(),
                    )
                }),
                prop::collection::vec("[xyz]", 0..4).prop_map(|names| {
                    Value::Sequence(
                        names
                            .into_iter()
                            .map(|name| map([("name", text(name))]))
                            .collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_leads_from_one_object_to_the_other(old in values(), new in values()) {
            prop_assert_eq!(apply(old.clone(), &between(&old, &new)), new);
        }
    }
}
