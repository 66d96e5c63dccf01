//! Names that people take for one another. They are compared byte for byte, so it is people who are fooled: whoever
//! reads a policy or a log, and whoever registers a client that looks like another one.

use std::collections::BTreeMap;

use super::Scope;
use crate::config::Code;
use crate::config::node::Node;
use crate::config::problem::Place;
use crate::config::view::View;

/// Names that are read alike have the same skeleton: no case, no slash at the end, one kind of separator, one letter or
/// digit for those that look alike, in Latin, Greek and Cyrillic (the usual ones of Unicode TR 39's confusables).
pub(super) fn skeleton(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim_end_matches('/').chars() {
        for c in c.to_lowercase() {
            out.push(match c {
                '0' | 'ο' | 'о' => 'o',
                '1' | 'i' | '|' | 'ı' | 'ι' | 'і' => 'l',
                '5' | 'ѕ' => 's',
                '_' | '.' | ' ' | '\u{2010}'..='\u{2015}' => '-',
                'α' | 'а' => 'a',
                'е' => 'e',
                'ρ' | 'р' => 'p',
                'с' => 'c',
                'υ' | 'у' => 'y',
                'χ' | 'х' => 'x',
                'ј' => 'j',
                'ν' => 'v',
                'κ' | 'к' => 'k',
                // Full-width forms of ASCII.
                '\u{ff01}'..='\u{ff5e}' => {
                    let offset = u32::from(c).saturating_sub(0xfee0);
                    char::from_u32(offset).unwrap_or(c).to_ascii_lowercase()
                }
                c => c,
            });
        }
    }
    out.replace("rn", "m").replace("vv", "w")
}

/// Issuers, callers, and the clients of each issuer.
pub(super) fn warn(root: &View<'_>, scope: &mut Scope<'_>) {
    let issuers = root.items("issuers");
    let names = issuers.iter().filter_map(|node| node.get("name"));
    among("issuer", named(names), scope);
    let callers = root.get("callers").map(Node::entries).unwrap_or_default();
    let names = callers.iter().map(|entry| (&*entry.key, &entry.key_at));
    among("caller", names.collect(), scope);
    let mut clients: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for issuer in issuers {
        if let Some(name) = issuer.get("name").and_then(Node::text) {
            let own = issuer.get("clients").map(Node::each).unwrap_or_default();
            clients.entry(name).or_default().extend(own);
        }
    }
    let mut issuer_of = BTreeMap::new();
    for entry in callers {
        if let Some(issuer) = entry.value.get("issuer").and_then(Node::text) {
            issuer_of.insert(&*entry.key, issuer);
        }
        in_conditions(&entry.value, &issuer_of, &mut clients);
    }
    for route in root.items("routes") {
        if let Some(allow) = route.get("allow") {
            in_conditions(allow, &issuer_of, &mut clients);
        }
    }
    for nodes in clients.into_values() {
        among("client", named(nodes.into_iter()), scope);
    }
}

fn named<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<(&'a str, &'a Place)> {
    nodes
        .filter_map(|node| Some((node.text()?, &node.at)))
        .collect()
}

/// The clients that alternatives name, with the issuers whose clients they are.
fn in_conditions<'a>(
    node: &'a Node,
    issuer_of: &BTreeMap<&str, &'a str>,
    clients: &mut BTreeMap<&'a str, Vec<&'a Node>>,
) {
    let caller = node.get("caller").and_then(Node::text);
    let issuer = node.get("issuer").and_then(Node::text);
    let issuer = issuer.or_else(|| issuer_of.get(caller?).copied());
    if let (Some(issuer), Some(client)) = (issuer, node.get("client")) {
        clients.entry(issuer).or_default().extend(client.each());
    }
    let entries = node.entries().iter().map(|entry| &entry.value);
    let items = node.each().iter().filter(|item| !std::ptr::eq(*item, node));
    for child in entries.chain(items) {
        in_conditions(child, issuer_of, clients);
    }
}

/// Each name that looks like one before it.
fn among(what: &str, names: Vec<(&str, &Place)>, scope: &mut Scope<'_>) {
    let mut seen: BTreeMap<String, Vec<(&str, usize)>> = BTreeMap::new();
    for (name, at) in names {
        let alike = seen.entry(skeleton(name)).or_default();
        if alike.iter().any(|(other, _)| *other == name) {
            continue;
        }
        if let Some((other, line)) = alike.first() {
            scope.report.find(
                Code::LookAlike,
                at,
                format!(
                    "the {what} `{name}` looks like `{other}` (line {line}), and is another one"
                ),
            );
        }
        alike.push((name, at.line));
    }
}

#[cfg(test)]
mod tests {
    use super::skeleton;

    #[test]
    fn names_that_are_read_alike_have_one_skeleton_and_others_have_their_own() {
        for (one, other) in [
            ("SmartEM_User", "smartem-user"),
            ("agent", "agеnt"),
            ("team0", "teamO"),
            ("admin1", "adminl"),
            ("modern", "modem"),
            ("ａgent", "agent"),
            (
                "https://id.example.org/realms/dls",
                "https://id.example.org/realms/DLS/",
            ),
            ("https://id.example.org", "https://id.examp1e.org"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        for (one, other) in [
            ("SmartEM_User", "SmartEM_Agent"),
            ("agent", "agents"),
            ("https://id.example.org", "http://id.example.org"),
            ("dev", "prod"),
        ] {
            assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }
}
