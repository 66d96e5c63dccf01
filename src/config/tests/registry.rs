//! The schema against documents and code.

use super::*;
use crate::config::schema::{Block, Key, Need, ROOT, Shape};

/// Every block of the schema, once.
fn blocks() -> Vec<&'static Block> {
    fn below(shape: &'static Shape, found: &mut Vec<&'static Block>) {
        match shape {
            Shape::Block(block) if found.iter().all(|other| other.name != block.name) => {
                found.push(block);
                for key in block.keys {
                    below(key.shape, found);
                }
            }
            Shape::List(inner)
            | Shape::ListOrNone(inner)
            | Shape::Methods(inner)
            | Shape::Map { value: inner, .. } => below(inner, found),
            Shape::Either(shapes) => shapes.iter().for_each(|one| below(one, found)),
            _ => {}
        }
    }
    static WHOLE: Shape = Shape::Block(&ROOT);
    let mut found = Vec::new();
    below(&WHOLE, &mut found);
    found
}

/// A document that uses every key of the schema.
fn everything(place: &mut Place) -> String {
    place.set("SECRET", "0123456789abcdef0123456789abcdef");
    EVERYTHING.to_owned()
}

pub(super) const EVERYTHING: &str = include_str!("everything.yaml");

/// [`EVERYTHING`] that this binary can load: without export of spans where it was built without it.
pub(super) fn everything_loadable() -> String {
    EVERYTHING
        .lines()
        .filter(|line| cfg!(feature = "otlp") || !line.starts_with("telemetry:"))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn export_of_spans_needs_a_binary_that_has_it() {
    let mut place = Place::new();
    let text = everything(&mut place);
    let problems = place.problems(&text);
    if cfg!(feature = "otlp") {
        let config = place.load(&text).unwrap();
        assert_eq!(
            config.otlp,
            Some(OtlpSettings {
                endpoint: "http://127.0.0.1:4318".to_owned(),
                sample: 0.25,
                service_name: "usage-api".to_owned(),
            })
        );
    } else {
        let expected = "telemetry.otlp: this binary was built without export of spans";
        assert!(
            problems.iter().any(|it| it.contains(expected)),
            "{problems:?}"
        );
        place.load(&text).unwrap_err();
    }
    place.load(&everything_loadable()).unwrap();
}

#[test]
fn every_key_stands_in_a_document_that_loads_and_is_read_by_the_compiler() {
    let mut place = Place::new();
    let text = everything(&mut place);
    READ.with_borrow_mut(BTreeSet::clear);
    // What this binary cannot do is read all the same, to be refused.
    drop(place.problems(&text));
    place
        .load(&everything_loadable())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let read = READ.with_borrow(Clone::clone);
    for block in blocks() {
        for Key { name, .. } in block.keys {
            assert!(
                read.contains(&(block.name, (*name).to_owned())),
                "`{name}` of `{}` is in the schema, and nobody reads it",
                block.name
            );
            assert!(
                text.contains(&format!("{name}:")),
                "`{name}` of `{}` is not exercised by the document",
                block.name
            );
        }
    }
}

#[test]
fn every_key_has_documentation_a_readable_default_and_a_unique_name() {
    let mut names = BTreeSet::new();
    for block in blocks() {
        assert!(names.insert(block.name), "{} twice", block.name);
        let mut keys = BTreeSet::new();
        for key in block.keys {
            let at = format!("{}.{}", block.name, key.name);
            assert!(keys.insert(key.name), "{at} twice");
            assert!(
                key.doc.len() > 6 && key.doc.ends_with('.'),
                "{at}: {}",
                key.doc
            );
            assert!(!key.example.is_empty(), "{at}");
            for text in [key.doc, key.example, block.doc] {
                assert!(!text.contains('\n'), "{at}");
            }
        }
    }
}

#[test]
fn the_reference_page_is_the_generated_one() {
    let path = repository().join("docs/configuration.md");
    let committed = fs::read_to_string(path).unwrap();
    assert!(
        committed == schema::reference(),
        "docs/configuration.md differs; run: countersign schema --format markdown > docs/configuration.md"
    );
}

#[test]
fn the_json_schema_defines_what_it_refers_to() {
    let schema = schema::json_schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert_eq!(
        schema["anyOf"],
        serde_json::json!([
            {"required": ["inbound", "issuers", "routes"]},
            {"required": ["outbound"]},
        ])
    );
    let text = schema.to_string();
    for part in text.split("\"#/$defs/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schema["$defs"][name].is_object(), "{name}");
    }
    assert_eq!(
        schema["$defs"]["limits"]["properties"]["headers"]["default"],
        100
    );
}

#[test]
fn every_key_of_the_json_schema_has_a_description_an_example_and_its_default() {
    let document = schema::json_schema();
    let definitions = document["$defs"].as_object().unwrap();
    let of_block = |block: &Block| {
        let made = definitions.get(block.name).unwrap_or(&document);
        made["properties"].as_object().unwrap()
    };
    let mut seen = 0;
    for block in blocks() {
        let properties = of_block(block);
        assert_eq!(properties.len(), block.keys.len(), "{}", block.name);
        for key in block.keys {
            let at = format!("{}.{}", block.name, key.name);
            let property = &properties[key.name];
            assert_eq!(property["description"], key.doc, "{at}");
            assert_eq!(
                property["examples"].as_array().map(Vec::len),
                Some(1),
                "{at}"
            );
            let defaults = matches!(key.need, Need::Default(_));
            assert_eq!(property.get("default").is_some(), defaults, "{at}");
            seen += 1;
        }
    }
    assert!(seen > 150, "{seen}");
}

/// What editors of the examples complete and check by.
#[test]
fn the_schema_beside_the_examples_is_the_generated_one_and_they_name_it() {
    let folder = repository().join("config");
    let committed = fs::read_to_string(folder.join("countersign.schema.json")).unwrap();
    assert!(
        committed == format!("{:#}\n", schema::json_schema()),
        "config/countersign.schema.json differs; run: countersign schema > config/countersign.schema.json"
    );
    let mut named = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).unwrap();
            let first = text.lines().next();
            let expected = "# yaml-language-server: $schema=countersign.schema.json";
            assert_eq!(first, Some(expected), "{}", path.display());
            named += 1;
        }
    }
    assert!(named >= 5, "{named}");
}

#[test]
fn defaults_are_those_of_the_settings() {
    let config = Place::new().load(MINIMAL).unwrap();
    assert_eq!(
        config.listeners[0].limits,
        crate::listener::Limits::default()
    );
    assert_eq!(
        config.listeners[0].timeouts,
        crate::listener::Timeouts::default()
    );
    assert_eq!(config.log, LogSettings::default());
    assert_eq!(config.drain, DrainSettings::default());
    let (issuer, verifier) = &config.issuers[0];
    let keys = verifier.keys().unwrap();
    // `sub` is the same place in both spellings.
    let places = |mappings: &crate::authn::ClaimMappings| {
        format!("{mappings:?}").replace("pointer: true", "pointer: false")
    };
    assert_eq!(
        places(&issuer.claim_mappings),
        places(&crate::authn::ClaimMappings::default())
    );
    let defaults = KeySourceSettings::default();
    assert_eq!(
        (keys.refresh, keys.refresh_floor, keys.refresh_ceiling),
        (
            defaults.refresh,
            defaults.refresh_floor,
            defaults.refresh_ceiling
        )
    );
    assert_eq!(
        (keys.cooldown, keys.max_stale, keys.timeout),
        (defaults.cooldown, defaults.max_stale, defaults.timeout)
    );
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
}
