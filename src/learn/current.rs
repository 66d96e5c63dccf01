//! The policy that is in force, as it is written: what is learned takes its place, and keeps what it says besides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::template::Template;
use crate::authz::{PathPattern, PatternSegment};
use crate::config::written as text;
use crate::config::{self, Config, Node, Problems};

/// Keys of a route that learning writes anew.
const LEARNED: [&str; 10] = [
    "name", "path", "allow", "mode", "until", "enforce", "fold", "host", "hosts", "inbound",
];

/// Conditions that learning finds in records.
const FOUND: [&str; 4] = ["caller", "issuer", "scopes", "account"];

/// A configuration, as written and as compiled.
#[derive(Debug)]
pub struct Current {
    pub(super) text: String,
    pub(super) tree: Node,
    pub(super) config: Arc<Config>,
    pub(super) callers: Vec<(String, Node)>,
    routes: Vec<Route>,
    by_name: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Route {
    paths: Vec<PathPattern>,
    node: Node,
}

impl Current {
    /// Loads a configuration as `check` does.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let config = Arc::new(config::load(path, None)?);
        let (text, tree) = config::as_written(path)?;
        let callers = tree.get("callers").map(Node::entries).unwrap_or_default();
        let callers = callers
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()));
        let mut routes = Vec::new();
        let mut by_name = BTreeMap::new();
        for node in tree.get("routes").map(Node::each).unwrap_or_default() {
            let paths = node.get("path").map(Node::each).unwrap_or_default();
            let paths: Vec<&str> = paths.iter().filter_map(Node::text).collect();
            let name = node.get("name").and_then(Node::text);
            if let Some(name) = name.or(paths.first().copied()) {
                by_name.insert(name.to_owned(), routes.len());
            }
            routes.push(Route {
                paths: paths
                    .iter()
                    .filter_map(|path| PathPattern::parse(path).ok())
                    .collect(),
                node: node.clone(),
            });
        }
        Ok(Self {
            callers: callers.collect(),
            routes,
            by_name,
            config,
            text,
            tree,
        })
    }

    /// How many conditions a caller has besides its issuer.
    pub(super) fn conditions_of(&self, caller: &str) -> usize {
        let mut callers = self.callers.iter();
        let node = callers
            .find(|(name, _)| name == caller)
            .map(|(_, node)| node);
        let entries = node.map(Node::entries).unwrap_or_default().iter();
        let of_itself = |key: &str| !LEARNED.contains(&key) && key != "issuer";
        entries.filter(|entry| of_itself(&entry.key)).count()
    }

    pub(super) fn is_kubernetes(&self, issuer: &str) -> bool {
        let mut issuers = self.config.issuers.iter().map(|(settings, _)| settings);
        issuers.any(|settings| *settings.name == *issuer && settings.kubernetes)
    }

    /// Whether a listener attaches credentials, and policy has nothing to say there.
    pub(super) fn is_outbound(&self, listener: &str) -> bool {
        let mut all = self.config.listeners.iter();
        all.any(|own| *own.name == *listener && own.outbound.is_some())
    }

    /// The number of a route.
    pub(super) fn route(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Which segments of a path the route of this name spells out (`true`), and which it has parameters for (`false`).
    pub(super) fn spelled(&self, route: &str, segments: &[String]) -> Option<Vec<Option<bool>>> {
        let paths = &self.routes.get(self.route(route)?)?.paths;
        let path = paths.iter().find(|path| matches(path, segments))?;
        Some(spelled(path, segments.len()))
    }

    /// Whether a route matches all that `template` does.
    pub(super) fn contains(&self, route: &str, template: &Template) -> bool {
        let route = self.route(route).and_then(|at| self.routes.get(at));
        route.is_some_and(|route| route.paths.iter().any(|path| template.is_within(path)))
    }

    /// What a route is narrowed to, as lines of a route.
    pub(super) fn narrowed(&self, route: usize) -> String {
        let Some(route) = self.routes.get(route) else {
            return String::new();
        };
        let keys = ["hosts", "host", "inbound"];
        let lines = keys.iter().filter_map(|key| {
            let value = route.node.get(key)?;
            Some(format!("{key}: {}\n", text::flow(value)))
        });
        lines.collect()
    }

    /// What else a route says, by key.
    pub(super) fn besides(&self, route: usize) -> BTreeMap<String, String> {
        let entries = self.routes.get(route).map(|route| route.node.entries());
        let entries = entries.unwrap_or_default().iter();
        entries
            .filter(|entry| !LEARNED.contains(&entry.key.as_str()))
            .map(|entry| (entry.key.clone(), text::flow(&entry.value)))
            .collect()
    }

    /// What a route allows for a method.
    fn allows(&self, route: usize, method: &str) -> &[Node] {
        let Some(allow) = self
            .routes
            .get(route)
            .and_then(|route| route.node.get("allow"))
        else {
            return &[];
        };
        if !config::is_method_table(allow.entries()) {
            return allow.each();
        }
        let mut rows = allow.entries().iter();
        let row = rows.find(|row| row.key.split(',').any(|own| own.trim() == method));
        row.map(|row| row.value.each()).unwrap_or_default()
    }

    /// Whether a word of `allow` lets a request pass, and where: `Some(true)` where the path has no `**`.
    pub(super) fn says(&self, route: usize, method: &str, word: &str) -> Option<bool> {
        let says = self
            .allows(route, method)
            .iter()
            .any(|one| one.text() == Some(word));
        let route = self.routes.get(route)?;
        let wide = |path: &PathPattern| path.segments().last() == Some(&PatternSegment::Rest);
        says.then(|| !route.paths.iter().any(wide))
    }

    /// The alternatives of a route that let a party pass by more than records show, in the words of `template`; nothing where
    /// records show it all.
    pub(super) fn kept(
        &self,
        route: usize,
        method: &str,
        by: (&str, &str),
        template: &Template,
        example: &[String],
    ) -> Vec<(String, usize)> {
        let of_party = |one: &&Node| match (one.text(), one.get(by.0)) {
            (Some(name), _) => by.0 == "caller" && name == by.1,
            (None, own) => own.and_then(Node::text) == Some(by.1),
        };
        let own: Vec<&Node> = self.allows(route, method).iter().filter(of_party).collect();
        let more = |one: &&Node| {
            let mut entries = one.entries().iter();
            entries.any(|entry| {
                let required = entry.key == "account" && entry.value.text() == Some("required");
                required || !FOUND.contains(&entry.key.as_str())
            })
        };
        if !own.iter().any(more) {
            return Vec::new();
        }
        own.iter()
            .map(|one| self.translated(route, one, template, example))
            .collect()
    }

    /// An alternative's conditions besides the caller, with the parameters of `template` for those of its route.
    fn translated(
        &self,
        route: usize,
        alternative: &Node,
        template: &Template,
        example: &[String],
    ) -> (String, usize) {
        let mut conditions = Vec::new();
        for entry in alternative.entries() {
            if ["caller", "issuer"].contains(&entry.key.as_str()) {
                continue;
            }
            let value = self.value(route, &entry.value, template, example);
            conditions.push(format!("{}: {value}", entry.key));
        }
        (conditions.join(", "), conditions.len())
    }

    fn value(&self, route: usize, node: &Node, template: &Template, example: &[String]) -> String {
        let parameter = node
            .text()
            .and_then(|text| text.strip_prefix('{')?.strip_suffix('}'));
        let Some(name) = parameter else {
            return match &node.value {
                config::Value::Map(entries) => {
                    let entries = entries.iter().map(|entry| {
                        let value = self.value(route, &entry.value, template, example);
                        format!("{}: {value}", text::key(&entry.key))
                    });
                    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
                }
                config::Value::List(items) => {
                    let items = items.iter();
                    let items = items.map(|item| self.value(route, item, template, example));
                    format!("[{}]", items.collect::<Vec<_>>().join(", "))
                }
                config::Value::Scalar(_) => text::flow(node),
            };
        };
        match self.position(route, name, example) {
            Some(at) => match template.parameter(at) {
                Some(own) => text::quoted(&format!("{{{own}}}")),
                None => text::scalar(example.get(at).map_or("", String::as_str)),
            },
            None => text::flow(node),
        }
    }

    /// Which segment of a path is the parameter `name` of a route.
    fn position(&self, route: usize, name: &str, example: &[String]) -> Option<usize> {
        let paths = &self.routes.get(route)?.paths;
        let path = paths.iter().find(|path| matches(path, example))?;
        let mut parameters = path.parameters();
        parameters
            .find(|(own, _)| &***own == name)
            .map(|(_, at)| at)
    }

    /// Parameters of `template` that a route compares with case folded.
    pub(super) fn folded(
        &self,
        route: usize,
        template: &Template,
        example: &[String],
    ) -> Vec<String> {
        let node = self
            .routes
            .get(route)
            .and_then(|route| route.node.get("fold"));
        let names = node
            .map(Node::each)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::text);
        names
            .filter_map(|name| {
                let name = name.trim_start_matches('{').trim_end_matches('}');
                template.parameter(self.position(route, name, example)?)
            })
            .map(str::to_owned)
            .collect()
    }
}

/// Which of so many segments a pattern spells out (`true`), and which vary (`false`).
pub(super) fn spelled(pattern: &PathPattern, segments: usize) -> Vec<Option<bool>> {
    let parts = pattern.segments();
    (0..segments)
        .map(|at| match parts.get(at) {
            Some(PatternSegment::Literal(_)) => Some(true),
            Some(PatternSegment::Parameter(_)) => Some(false),
            Some(PatternSegment::Rest) | None => None,
        })
        .collect()
}

/// Whether a pattern matches decoded segments.
pub(super) fn matches(pattern: &PathPattern, segments: &[String]) -> bool {
    let mut rest = segments.iter();
    for part in pattern.segments() {
        let segment = match part {
            PatternSegment::Rest => return true,
            PatternSegment::Literal(_) | PatternSegment::Parameter(_) => rest.next(),
        };
        let fits = match (part, segment) {
            (PatternSegment::Literal(text), Some(segment)) => **text == **segment,
            (PatternSegment::Parameter(_), Some(segment)) => !segment.is_empty(),
            (_, None) | (PatternSegment::Rest, _) => false,
        };
        if !fits {
            return false;
        }
    }
    rest.next().is_none()
}
