use http::Method;

use super::*;
use crate::authz::{
    Access, Alternative, Conflict, MethodRow, MethodTable, PathPattern, RateLimitKey,
    RateLimitSettings, RouteFault, RoutePlace,
};

fn route(name: &str, path: &str, listener: Option<&str>) -> RouteSettings {
    let paths = vec![PathPattern::parse(path).unwrap()];
    let mut settings = RouteSettings::new(name, paths, MethodTable::Every(Access::Anyone));
    settings.listener = listener.map(Into::into);
    settings
}

fn builder() -> PolicyBuilder {
    let mut builder = PolicyBuilder::new(&RateLimits::default());
    builder.listener(&"a".into(), None);
    builder.listener(&"b".into(), None);
    builder
}

#[test]
fn listeners_have_tables_of_their_own() {
    let mut builder = builder();
    builder.route(route("one", "/x", Some("a"))).unwrap();
    builder.route(route("two", "/x", Some("b"))).unwrap();
    let errors = builder.route(route("three", "/x", None)).unwrap_err();
    let with: Vec<_> = errors
        .iter()
        .filter_map(|error| match &error.fault {
            RouteFault::Conflict(Conflict { with, .. }) => Some(&**with),
            _ => None,
        })
        .collect();
    assert_eq!(with, ["one", "two"]);
    let policy = builder.build();
    let owner = |listener: &str| {
        let hit = policy.listener(listener).unwrap().table.find(&["x"], "h");
        hit.unwrap().route.name().to_string()
    };
    assert_eq!((owner("a").as_str(), owner("b").as_str()), ("one", "two"));
    assert!(policy.listener("c").is_none());
}

#[test]
fn t20_names_of_routes_are_unique_and_every_error_is_reported() {
    let mut builder = builder();
    builder.route(route("one", "/x", None)).unwrap();
    let mut again = route("one", "/x", None);
    again.fold = vec!["nothing".into()];
    again.paths.push(PathPattern::parse("/y").unwrap());
    again.paths.push(PathPattern::parse("/x").unwrap());
    let places: Vec<_> = builder
        .route(again)
        .unwrap_err()
        .into_iter()
        .map(|error| error.place)
        .collect();
    assert_eq!(
        places,
        [
            RoutePlace::Fold(0),
            RoutePlace::Path(0),
            RoutePlace::Path(2),
            RoutePlace::Route
        ]
    );
    assert_eq!(builder.build().routes().len(), 1);
}

#[test]
fn invariant_38_the_order_of_routes_means_nothing() {
    let by = |issuer: &str| Access::Rules {
        anonymous: false,
        opaque: false,
        alternatives: vec![Alternative::of_issuer(issuer.into(), vec![])],
    };
    let mut rows = route("rows", "/a/{x}", None);
    rows.table = MethodTable::Rows(vec![MethodRow {
        methods: vec![Method::GET],
        access: by("i"),
    }]);
    let mut routes = vec![
        rows,
        route("all", "/**", None),
        route("ab", "/a/b", None),
        route("a", "/a/**", Some("a")),
        route("xb", "/{x}/b", None),
    ];
    let mut decisions = Vec::new();
    for _ in 0..routes.len() {
        routes.rotate_left(1);
        for reversed in [false, true] {
            let mut order = routes.clone();
            if reversed {
                order.reverse();
            }
            let mut builder = builder();
            order
                .into_iter()
                .for_each(|settings| builder.route(settings).unwrap());
            let policy = builder.build();
            let mut decided = Vec::new();
            for listener in ["a", "b"] {
                for path in [
                    &["a", "b"][..],
                    &["a", "c"],
                    &["a"],
                    &["a", "c", "d"],
                    &["c", "b"],
                    &["A", "b"],
                    &[""],
                ] {
                    let table = &policy.listener(listener).unwrap().table;
                    let hit = table.find(path, "h").unwrap();
                    let near = table.is_near_miss(&hit, path, "h", &|_| true);
                    let methods = hit.route.allowed_methods().to_owned();
                    decided.push((hit.route.name().to_string(), near, methods));
                }
            }
            decisions.push(decided);
        }
    }
    assert!(decisions.windows(2).all(|pair| pair[0] == pair[1]));
    let first: Vec<_> = decisions[0]
        .iter()
        .take(7)
        .map(|(name, near, _)| (name.as_str(), *near))
        .collect();
    assert_eq!(
        first,
        [
            ("ab", false),
            ("rows", false),
            ("a", false),
            ("a", false),
            ("xb", false),
            ("xb", true),
            ("all", false)
        ]
    );
}

#[test]
fn limits_go_on_counting_over_a_reload() {
    let limits = RateLimits::default();
    let mut limited = route("r", "/x", None);
    limited.rate_limit = vec![RateLimitSettings {
        by: RateLimitKey::ClientAddress,
        before_authentication: true,
        requests: 1,
        per: std::time::Duration::from_secs(60),
    }];
    let build = || {
        let mut builder = PolicyBuilder::new(&limits);
        builder.listener(&"a".into(), None);
        builder.route(limited.clone()).unwrap();
        builder.build()
    };
    let old = build();
    let new = build().at(2);
    assert!(Arc::ptr_eq(
        &old.routes()[0].before[0],
        &new.routes()[0].before[0]
    ));
    assert_eq!((old.generation(), new.generation()), (0, 2));
}
