use super::*;

fn container(text: &str) -> Value {
    crate::inject::yaml::read(text).unwrap().remove(0)
}

fn read(words: &Words) -> Vec<String> {
    let texts = |places: &Vec<Place>| {
        places
            .iter()
            .map(|place| words.get(*place))
            .collect::<Vec<_>>()
            .join(" ")
    };
    words.commands.iter().map(texts).collect()
}

#[test]
fn a_command_line_is_its_words_and_a_script_its_commands() {
    for (yaml, commands) in [
        (
            "command: [uvicorn, app:app]\nargs: [--host, 0.0.0.0]",
            vec!["uvicorn app:app --host 0.0.0.0"],
        ),
        (
            "command: [/bin/sh, -ec, \"python manage.py migrate && exec uvicorn 'app:app' --host \\\"$HOST\\\" | tee x\"]",
            vec![
                "/bin/sh -ec",
                "python manage.py migrate",
                "exec uvicorn app:app --host $HOST",
                "tee x",
            ],
        ),
        (
            "command: [tini, --, bash, -c]\nargs: [\"a --port ${PORT:-80 } \\\\\\n  --host $(x y)\\nb\"]",
            vec![
                "tini -- bash -c",
                "a --port ${PORT:-80 } \\ --host $(x y)",
                "b",
            ],
        ),
        ("args: [--x]", vec!["--x"]),
        ("image: x", vec![]),
    ] {
        assert_eq!(read(&Words::of(&container(yaml))), commands, "{yaml}");
    }
}

#[test]
fn words_are_replaced_where_they_stand_and_nothing_else_changes() {
    let yaml = "command:\n- sh\n- -c\n- a --host \"0.0.0.0\"  && b 'c d' > e\nargs:\n- x\n";
    let mut same = container(yaml);
    let mut words = Words::of(&same);
    words.write(&mut same);
    assert_eq!(same, container(yaml));
    let host = *words
        .commands
        .get(1)
        .and_then(|command| command.get(2))
        .unwrap();
    assert_eq!(words.get(host), "0.0.0.0");
    words.replace(host, "127.0.0.1".to_owned());
    words.write(&mut same);
    assert_eq!(same, container(&yaml.replace("0.0.0.0", "127.0.0.1")));
}

#[test]
fn flags_are_put_after_a_word() {
    for (yaml, after, put) in [
        ("command: [a, s, d]", "s", "command: [a, s, -b, c, d]"),
        (
            "command: [a]\nargs: [s]",
            "a",
            "command: [a, -b, c]\nargs: [s]",
        ),
        (
            "command: [a]\nargs: [s, d]",
            "s",
            "command: [a]\nargs: [s, -b, c, d]",
        ),
        (
            "command: [sh, -c, x; exec a s d > e]",
            "s",
            "command: [sh, -c, x; exec a s -b c d > e]",
        ),
    ] {
        let mut value = container(yaml);
        let mut words = Words::of(&value);
        let all = words.commands.concat();
        let place = *all
            .iter()
            .find(|place| words.get(**place) == after)
            .unwrap();
        words.insert_after(place, &["-b".to_owned(), "c".to_owned()]);
        words.write(&mut value);
        assert_eq!(value, container(put), "{yaml}");
    }
}

#[test]
fn references_are_whole_words() {
    let reference = |word| {
        Reference::of(word)
            .map(|one: Reference<'_>| (one.name.to_owned(), one.default.map(str::to_owned)))
    };
    let named = |name: &str| Some((name.to_owned(), None));
    assert_eq!(reference("$(PORT)"), named("PORT"));
    assert_eq!(reference("$PORT"), named("PORT"));
    assert_eq!(reference("${PORT}"), named("PORT"));
    assert_eq!(
        reference("${PORT:-80}"),
        Some(("PORT".to_owned(), Some("80".to_owned())))
    );
    for word in ["PORT", "$", "$1", "$(a b)", "$PORT$X", "a$PORT"] {
        assert_eq!(reference(word), None, "{word}");
    }
}
