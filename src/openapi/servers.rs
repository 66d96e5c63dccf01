//! `servers`: below which path an API is.

use super::read::clean;
use crate::authz::PathPattern;
use crate::config::Node;

/// Most base paths of one list of servers.
const MOST: usize = 16;

/// Longest base path, and longest value of a variable, in bytes.
const LONGEST: usize = 256;

/// Most remarks.
const REMARKS: usize = 16;

/// The base paths of a list of servers, without repetition: `""` for the root, else segments with a leading slash and none at the
/// end. What is wrong with them is said in words.
pub(super) fn bases(servers: Option<&Node>, remarks: &mut Vec<String>) -> Vec<String> {
    let mut bases: Vec<String> = Vec::new();
    for server in servers.map(Node::each).unwrap_or_default() {
        let Some(url) = server.get("url").and_then(Node::text) else {
            continue;
        };
        // Variables of the host are nothing to us.
        let path = if url.contains("://") {
            path_of(url)
        } else {
            url
        };
        for path in expanded(path, server.get("variables")) {
            match base(&path) {
                Some(base) if bases.contains(&base) => {}
                Some(base) if bases.len() < MOST => bases.push(base),
                Some(_) => remarks.push(format!(
                    "more than {MOST} base paths; `{}` is left out",
                    clean(&path)
                )),
                None => remarks.push(format!(
                    "the path of the server `{}` is none that routes have, and is left out",
                    clean(url)
                )),
            }
        }
    }
    if bases.is_empty() {
        bases.push(String::new());
    }
    remarks.dedup();
    remarks.truncate(REMARKS);
    bases
}

/// A base path that somebody gave; `None` where routes cannot have it.
pub(super) fn base(url: &str) -> Option<String> {
    let path = path_of(url);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = match path {
        "." => "",
        _ => path.strip_prefix("./").unwrap_or(path),
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Some(String::new());
    }
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let valid = path.len() <= LONGEST
        && !path.contains(['{', '}', '*'])
        && PathPattern::parse(&path).is_ok();
    valid.then_some(path)
}

/// The path of a URL, or a path as it is.
fn path_of(url: &str) -> &str {
    let after = match url.split_once("://") {
        Some((_, after)) => after,
        None => match url.strip_prefix("//") {
            Some(after) => after,
            None => return url,
        },
    };
    after
        .find('/')
        .and_then(|at| after.get(at..))
        .unwrap_or_default()
}

/// The path with each value of its variables, at most [`MOST`] of them.
fn expanded(path: &str, variables: Option<&Node>) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    for variable in variables.map(Node::entries).unwrap_or_default() {
        let written = format!("{{{}}}", variable.key);
        if !path.contains(&written) {
            continue;
        }
        let listed = variable.value.get("enum").map(Node::each);
        let default = variable.value.get("default");
        let mut values: Vec<String> = Vec::new();
        for value in default.into_iter().chain(listed.unwrap_or_default()) {
            let value = value.plain();
            if !values.contains(&value) && values.len() < MOST && value.len() <= LONGEST {
                values.push(value);
            }
        }
        if values.is_empty() {
            continue;
        }
        all = all
            .iter()
            .flat_map(|path| values.iter().map(|value| path.replace(&written, value)))
            // Values may hold variables again.
            .filter(|path| path.len() <= 2 * LONGEST)
            .take(MOST)
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn a_base_path_is_what_stands_before_the_paths() {
        for (url, wanted) in [
            ("/", Some("")),
            ("", Some("")),
            (".", Some("")),
            ("./v1/", Some("/v1")),
            ("v1", Some("/v1")),
            (".well-known/x", Some("/.well-known/x")),
            ("/api/v1/", Some("/api/v1")),
            ("https://api.example.org", Some("")),
            ("https://api.example.org/v2?x#y", Some("/v2")),
            ("//api.example.org/v2", Some("/v2")),
            ("https://api.example.org/{base}", None),
            ("https://api.example.org/../x", None),
            ("../x", None),
            ("/a//b", None),
            ("/**", None),
        ] {
            assert_eq!(base(url).as_deref(), wanted, "{url}");
        }
    }
}
