//! Texts that are no configuration before anything in them is looked at; substitution; how problems are shown.

use super::*;

#[test]
fn yaml_that_readers_could_take_differently_is_refused() {
    refused(&[
        (and("workers: &a 1"), "anchors"),
        (and("workers: !!int 1"), "tags"),
        (and("log: {format: *a}"), "YAML syntax"),
        (and("log: {<<: {format: text}}"), "merge keys"),
        (
            and("log: {true: text}"),
            "does not read the key `true` as text",
        ),
        (and("log: {[a]: text}"), "stands where a key must stand"),
        (and("workers: 010"), "read `010` differently"),
        (and("log: {format: text"), "YAML syntax"),
        (
            and("probes: {listen: 127.0.0.1:1, serve: yes}"),
            "expected a list",
        ),
        (
            and("admin: {allow_non_loopback: yes}"),
            "expected true or false",
        ),
        (and("\tworkers: 1"), "YAML syntax"),
    ]);
}

#[test]
fn substitution_fills_scalars_and_cannot_change_the_structure() {
    let mut place = Place::new();
    place.set("WORKERS", "3");
    place.set("CLIENT", "agent\n    audiences: unchecked");
    place.set("EVIL", "x]}, allow: anyone, y: {z: [");
    place.file("name.txt", "from-file\n");
    let config = place
        .load(&and("workers: ${WORKERS}\nlog: {level: info}"))
        .unwrap();
    assert_eq!(config.workers, 3);
    let config = place
        .load(&with("client: agent", "client: \"${file:name.txt}$${x}\""))
        .unwrap();
    assert!(config.files.contains(&place.path("name.txt")));
    for (text, expected) in [
        (
            "client: \"${UNSET}\"",
            "the environment variable `UNSET` is not set",
        ),
        ("client: \"${file:nowhere}\"", "nowhere: no such file"),
        ("client: \"${UNSET\"", "`${` without `}`"),
        ("client: \"${A:-b}\"", "is no reference"),
        ("client: \"${CLIENT}\"", "control characters"),
    ] {
        let problems = place.problems(&with("client: agent", text));
        assert!(
            problems.iter().any(|it| it.contains(expected)),
            "{problems:?}"
        );
    }
    let config = place
        .load(&with("client: agent", "client: \"${EVIL}\""))
        .unwrap();
    assert_eq!(config.policy.routes().len(), 1);
}

#[test]
fn what_was_substituted_is_never_shown() {
    let mut place = Place::new();
    place.set("SECRET", "hunter2");
    for text in [
        with("8000}", "8000, timeouts: {header: \"${SECRET}\"}}"),
        with("http://127.0.0.1:8000", "\"${SECRET}\""),
        with("allow: agent", "allow: \"${SECRET}\""),
        and("identity: {assertion: {audience: a, key: {secret: \"${SECRET}\"}}}"),
        and("log: {format: \"${SECRET}\"}"),
    ] {
        let problems = place.load(&text).unwrap_err();
        let shown = format!("{problems}{:?}{}", problems, problems.to_json());
        assert!(!shown.contains("hunter2"), "{problems}");
    }
    let written = place
        .load(&and(
            "identity: {assertion: {audience: a, key: {secret: hunter2}}}",
        ))
        .unwrap_err();
    assert!(!written.render().contains("hunter2"), "{written}");
}

#[test]
fn invariant_54_a_half_written_file_changes_nothing() {
    let place = Place::new();
    let whole = place.load(&and("end: true")).unwrap();
    let cut = place.load_after(MINIMAL, Some(&whole)).unwrap_err();
    assert!(
        cut.render()
            .contains("ended in `end: true`, and this one does not")
    );
    place
        .load_after(&and("log: {level: warn}\nend: true"), Some(&whole))
        .unwrap();
    let without = place.load(MINIMAL).unwrap();
    place.load_after(MINIMAL, Some(&without)).unwrap();
}

#[test]
fn every_problem_has_its_place_and_is_rendered_with_it() {
    let place = Place::new();
    let text = and("workers: 0\nlog: {levle: info}");
    let problems = place.load(&text).unwrap_err();
    assert_eq!(problems.errors(), 2);
    let file = place.path("config.yaml").display().to_string();
    assert_eq!(
        problems.render(),
        format!(
            "\
{file}:11:10: workers: must be at least 1
  11 | workers: 0
     |          ^
{file}:12:7: log.levle: unknown key `levle`
  12 | log: {{levle: info}}
     |       ^
    = did you mean `level`?
"
        )
    );
    assert_eq!(problems.to_json()[1]["path"], "log.levle");
    assert_eq!(problems.to_json()[1]["line"], 12);
}

#[test]
fn unreadable_documents_are_refused_in_words() {
    let place = Place::new();
    let load = |path: &Path| load_with(path, None, &|_| None).unwrap_err().render();
    assert!(load(&place.path("nowhere.yaml")).contains("no such file"));
    assert!(load(&place.path("")).contains("is no regular file"));
    let binary = place.path("binary.yaml");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(load(&binary).contains("is not UTF-8"));
}

/// A file that is cut anywhere is a shorter valid document more often than one thinks.
#[test]
fn invariant_54_no_beginning_of_a_document_with_a_sentinel_replaces_it() {
    let mut place = Place::new();
    place.set("SECRET", "0123456789abcdef0123456789abcdef");
    let text = registry::everything_loadable();
    let text = text.as_str();
    let whole = place.load(text).unwrap();
    let ends = text.char_indices().map(|(at, _)| at).step_by(29);
    let lines = text.match_indices('\n').map(|(at, _)| at);
    for end in ends.chain(lines) {
        let beginning = text.get(..end).unwrap();
        if beginning.trim_end().ends_with("end: true") {
            continue;
        }
        assert!(
            place.load_after(beginning, Some(&whole)).is_err(),
            "{beginning}"
        );
    }
    place.load_after(text, Some(&whole)).unwrap();
}

#[test]
fn problems_are_coloured_where_colour_is_shown_and_name_their_codes() {
    let problems = Place::new()
        .load(&with("allow: agent", "allow: agnet"))
        .unwrap_err();
    let plain = problems.render_in(Look {
        colour: false,
        codes: true,
    });
    assert!(!plain.contains('\x1b'), "{plain}");
    assert!(plain.contains("called `agnet` [unknown-name]\n"), "{plain}");
    let coloured = problems.render_in(Look {
        colour: true,
        codes: true,
    });
    for part in [
        "\x1b[31m [unknown-name]\x1b[0m",
        "\x1b[31m^\x1b[0m",
        "\x1b[36mdid you mean `agent`?\x1b[0m",
    ] {
        assert!(coloured.contains(part), "{}", coloured.escape_debug());
    }
    let mut stripped = coloured;
    for code in ["0", "1", "2", "31", "36"] {
        stripped = stripped.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(stripped, plain, "colour changes nothing else");
    assert!(!problems.render().contains("[unknown-name]"));
}
