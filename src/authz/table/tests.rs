use proptest::prelude::*;

use super::*;
use crate::authz::access::{Access, MethodTable};
use crate::authz::rate_limit::RateLimits;

fn route(name: &str, paths: &[&str], hosts: &[&str]) -> RouteSettings {
    let paths = paths
        .iter()
        .map(|path| PathPattern::parse(path).expect(path))
        .collect();
    let mut settings = RouteSettings::new(name, paths, MethodTable::Every(Access::Anyone));
    settings.hosts = hosts
        .iter()
        .map(|host| HostPattern::parse(host).expect(host))
        .collect();
    settings
}

fn table(routes: impl IntoIterator<Item = RouteSettings>) -> Table {
    let mut table = Table::default();
    for settings in routes {
        assert_eq!(table.conflicts(&settings), []);
        table.insert(&Arc::new(Route::compile(
            settings,
            &RateLimits::default(),
            &Arc::default(),
        )));
    }
    table
}

/// What a table decides: the owner's name, or `near` for a near miss, or nothing.
fn owner(table: &Table, path: &str, host: &str) -> Option<String> {
    let segments: Segments<'_> = path.trim_start_matches('/').split('/').collect();
    let hit = table.find(&segments, host)?;
    if table.is_near_miss(&hit, &segments, host, &|_| true) {
        return Some("near".into());
    }
    Some(hit.route.name().to_string())
}

#[test]
fn the_most_specific_path_wins_segment_by_segment() {
    let table = table([
        route("root", &["/"], &[]),
        route("all", &["/**"], &[]),
        route("health", &["/health"], &[]),
        route("pki", &["/pki/ca/prod/**"], &[]),
        route("agent", &["/agent/{agent}/**"], &[]),
        route("status", &["/agent/{agent}/status"], &[]),
        route("me", &["/agent/me/{what}"], &[]),
        route("slash", &["/slash/"], &[]),
        route("upper", &["/Exports"], &[]),
        route("both", &["/both", "/both/"], &[]),
        route("a", &["/a/{x}/c"], &[]),
        route("b", &["/a/b/d"], &[]),
    ]);
    for (path, expected) in [
        ("/", "root"),
        ("/x", "all"),
        ("/health", "health"),
        // Invariant 6: whole segments, anchored, case-sensitive.
        ("/healthz", "all"),
        ("/health-admin", "all"),
        ("/health/x", "all"),
        ("/x/health", "all"),
        ("/health ", "all"),
        ("/health.", "all"),
        ("/HEALTH", "near"),
        ("/health/", "near"),
        ("/Health/", "near"),
        ("/pki/ca/prod", "pki"),
        ("/pki/ca/prod/", "pki"),
        ("/pki/ca/prod/x/y", "pki"),
        ("/pki/ca/prod-backup", "all"),
        ("/pki/CA/prod/x", "near"),
        ("/agent/7/status", "status"),
        ("/agent/7/status/x", "agent"),
        ("/agent/7/Status", "near"),
        ("/agent/7/status/", "near"),
        ("/agent/7", "agent"),
        ("/agent/7/", "agent"),
        ("/agent/", "all"),
        ("/agent", "all"),
        ("/Agent/7", "near"),
        ("/agent/me/status", "me"),
        ("/agent/Me/status", "near"),
        ("/agent/me", "agent"),
        ("/slash/", "slash"),
        ("/slash", "near"),
        ("/Exports", "upper"),
        ("/exports", "near"),
        ("/both", "both"),
        ("/both/", "both"),
        ("/a/b/c", "a"), // the literal leads nowhere: one back, and the parameter
        ("/a/b/d", "b"),
        ("/a/b/e", "all"),
        ("/a/B/d", "near"),
    ] {
        assert_eq!(
            owner(&table, path, "h").as_deref(),
            Some(expected),
            "{path}"
        );
    }
}

#[test]
fn without_a_wider_route_nothing_matches() {
    let table = table([route("health", &["/health"], &[])]);
    for path in [
        "/",
        "/healthz",
        "/health/",
        "/HEALTH",
        "/x/health",
        "/health/x",
    ] {
        assert_eq!(owner(&table, path, "h"), None, "{path}");
    }
    assert_eq!(owner(&table, "/health", "h").as_deref(), Some("health"));
}

#[test]
fn parameters_never_stand_for_nothing() {
    let table = table([route("usage", &["/accounts/{account}/usage"], &[])]);
    assert_eq!(
        owner(&table, "/accounts/x/usage", "h").as_deref(),
        Some("usage")
    );
    assert_eq!(owner(&table, "/accounts//usage", "h"), None);
}

#[test]
fn hosts_narrow_and_path_comes_first() {
    let table = table([
        route("any", &["/x/{y}"], &[]),
        route("wild", &["/x/{y}"], &["*.example.org"]),
        route("longer", &["/x/{y}"], &["*.api.example.org"]),
        route("name", &["/x/{y}"], &["a.example.org", "b.api.example.org"]),
        route("literal", &["/x/z"], &["*.org"]),
        route("only", &["/only"], &["a.example.org"]),
    ]);
    for (host, path, expected) in [
        ("other", "/x/1", Some("any")),
        ("c.example.org", "/x/1", Some("wild")),
        ("c.api.example.org", "/x/1", Some("longer")),
        ("a.example.org", "/x/1", Some("name")),
        ("b.api.example.org", "/x/1", Some("name")),
        // A more specific path wins over a more specific host.
        ("a.example.org", "/x/z", Some("literal")),
        // A route whose host does not match takes no part.
        ("other", "/x/z", Some("any")),
        ("a.example.org", "/only", Some("only")),
        ("other", "/only", None),
    ] {
        assert_eq!(
            owner(&table, path, host).as_deref(),
            expected,
            "{host} {path}"
        );
    }
}

#[test]
fn invariant_38_equal_specificity_is_a_conflict_that_names_both() {
    for (one, one_hosts, other, other_hosts, conflict) in [
        ("/a", &[][..], "/a", &[][..], true),
        ("/a/{x}", &[], "/a/{y}", &[], true),
        ("/a/{x}/**", &[], "/a/{y}/**", &[], true),
        ("/a", &["h"], "/a", &["g", "h"], true),
        ("/a", &["*.h"], "/a", &["*.h"], true),
        ("/a", &["h"], "/a", &["g"], false),
        ("/a", &["h"], "/a", &[], false),
        ("/a", &["*.h"], "/a", &["*.g.h"], false),
        ("/a/{x}", &[], "/{x}/a", &[], false),
        ("/a", &[], "/a/", &[], false),
        ("/a", &[], "/a/**", &[], false),
        ("/a", &[], "/A", &[], false),
    ] {
        let table = table([route("first", &[one], one_hosts)]);
        let errors = table.conflicts(&route("second", &[other], other_hosts));
        assert_eq!(
            !errors.is_empty(),
            conflict,
            "{one} {other} {one_hosts:?} {other_hosts:?}"
        );
        if let Some(error) = errors.first() {
            let said = error.to_string();
            assert!(
                said.contains("first") && said.contains(one) && said.contains(other),
                "{said}"
            );
            assert_eq!(error.place, RoutePlace::Path(0));
        }
    }
    let errors = Table::default().conflicts(&route("one", &["/a/{x}", "/b", "/a/{y}"], &[]));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].place, RoutePlace::Path(2));
}

/// A pattern over a tiny alphabet, so that many of them meet.
fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("A"), Just("b"), Just("{}")];
    let tail = prop_oneof![Just(""), Just("/"), Just("/**")];
    (prop::collection::vec(segment, 0..4), tail).prop_map(|(segments, tail)| {
        let mut text = String::new();
        for (at, segment) in segments.iter().enumerate() {
            text.push('/');
            text.push_str(&segment.replace("{}", &format!("{{p{at}}}")));
        }
        text.push_str(tail);
        if text.is_empty() { "/".into() } else { text }
    })
}

fn host() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![3 => Just(None), 1 => Just(Some("x.y")), 1 => Just(Some("*.y"))]
}

fn path() -> impl Strategy<Value = Vec<&'static str>> {
    let segment = prop_oneof![Just("a"), Just("A"), Just("b"), Just("B"), Just("c")];
    (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(mut segments, slash)| {
        if slash || segments.is_empty() {
            segments.push("");
        }
        segments
    })
}

/// How a pattern matches a path, by the definition; `None` when it does not.
fn ranks(pattern: &PathPattern, path: &[&str], fold: bool) -> Option<Vec<Rank>> {
    let mut ranks = Vec::new();
    for (at, segment) in pattern.segments().iter().enumerate() {
        match (segment, path.get(at)) {
            (PatternSegment::Rest, _) => {
                ranks.push(Rank::Rest);
                return Some(ranks);
            }
            (PatternSegment::Parameter(_), Some(own)) if !own.is_empty() => {
                ranks.push(Rank::Parameter)
            }
            (PatternSegment::Literal(text), Some(own))
                if **text == **own || (fold && text.eq_ignore_ascii_case(own)) =>
            {
                ranks.push(Rank::Literal);
            }
            _ => return None,
        }
    }
    ranks.push(Rank::Literal);
    (path.len() == pattern.segments().len()).then_some(ranks)
}

type Listed = (PathPattern, Option<HostPattern>);

/// Number of the owner among `listed`, or the fact of a near miss: by looking at all of them.
fn naive(listed: &[Listed], path: &[&str], host: &str) -> Option<Result<usize, ()>> {
    let takes = |own: &Option<HostPattern>| own.as_ref().is_none_or(|own| own.matches(host));
    let (ranks_of_best, _, best) = listed
        .iter()
        .enumerate()
        .filter(|(_, (_, own))| takes(own))
        .filter_map(|(at, (pattern, own))| {
            let specificity = own.as_ref().map_or(0, HostPattern::specificity);
            Some((
                ranks(pattern, path, false)?,
                std::cmp::Reverse(specificity),
                at,
            ))
        })
        .min()?;
    let mut spellings = vec![path.to_vec()];
    if path.len() > 1 && path.last() == Some(&"") {
        spellings.push(path[..path.len() - 1].to_vec());
    } else if path != [""] {
        spellings.push([path, &[""]].concat());
    }
    let near = spellings.iter().any(|path| {
        listed
            .iter()
            .filter(|(_, own)| takes(own))
            .any(|(pattern, _)| {
                ranks(pattern, path, true).is_some_and(|own| {
                    let differs = own
                        .iter()
                        .zip(&ranks_of_best)
                        .find(|(own, best)| own != best);
                    differs.is_some_and(|(own, best)| own < best)
                })
            })
    });
    Some(if near { Err(()) } else { Ok(best) })
}

fn decide(table: &Table, path: &[&str], host: &str) -> Option<Result<String, ()>> {
    let hit = table.find(path, host)?;
    Some(if table.is_near_miss(&hit, path, host, &|_| true) {
        Err(())
    } else {
        Ok(hit.route.name().to_string())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// The trie against the definition; any order of routes; refused routes conflict in any order too.
    #[test]
    fn invariant_38_the_table_is_the_definition_in_any_order(
        written in prop::collection::vec((pattern(), host()), 1..10),
        paths in prop::collection::vec(path(), 1..12),
        turn in 0_usize..10,
    ) {
        let mut listed: Vec<Listed> = Vec::new();
        let mut routes = Vec::new();
        let mut forward = Table::default();
        for (text, host) in &written {
            let hosts: Vec<&str> = host.iter().copied().collect();
            let settings = route(&listed.len().to_string(), &[text], &hosts);
            let entry = (settings.paths[0].clone(), settings.hosts.first().cloned());
            let twice = listed.iter().any(|own| same_place(&own.0, &entry.0) && own.1 == entry.1);
            prop_assert_eq!(!forward.conflicts(&settings).is_empty(), twice);
            if !twice {
                forward.insert(&Arc::new(Route::compile(settings.clone(), &RateLimits::default(), &Arc::default())));
                listed.push(entry);
                routes.push(settings);
            }
        }
        let by = turn % routes.len();
        routes.rotate_left(by);
        if turn % 2 == 0 {
            routes.reverse();
        }
        let permuted = table(routes);
        for path in &paths {
            for host in ["x.y", "z.y", "other"] {
                let expected = naive(&listed, path, host).map(|owner| owner.map(|at| at.to_string()));
                prop_assert_eq!(&decide(&forward, path, host), &expected, "{:?} {}", path, host);
                prop_assert_eq!(&decide(&permuted, path, host), &expected, "{:?} {}", path, host);
            }
        }
    }
}
