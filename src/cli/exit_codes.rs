//! What the exit codes of each command mean: the end of its help, and the table of docs/operations.md.

use clap::Command;

/// A code and when it comes.
type Meaning = (u8, &'static str);

const ENDED: Meaning = (0, "ended as asked");
const DONE: Meaning = (0, "done");
const FAILED: Meaning = (1, "it could not be done");
const USAGE: Meaning = (2, "the command line is wrong");
const UNFIT: Meaning = (
    2,
    "the command line is wrong, or does not fit the configuration",
);
const UNREAD: Meaning = (2, "the command line is wrong, or a log cannot be read");
const BAD: Meaning = (64, "the configuration is not valid");

/// Every command that does something, with the words that call it.
const CODES: [(&str, &[Meaning]); 19] = [
    (
        "run",
        &[
            (0, "ended as asked, drained after a signal"),
            (1, "runtime: an address is taken, the self-test failed"),
            USAGE,
            BAD,
        ],
    ),
    (
        "check",
        &[
            (0, "every file may be used"),
            USAGE,
            (
                64,
                "a file may not be used, or has a warning with --deny-warnings",
            ),
        ],
    ),
    (
        "explain",
        &[
            (0, "explained, whatever becomes of the request"),
            (1, "it cannot be judged without keys"),
            UNFIT,
            BAD,
        ],
    ),
    (
        "test",
        &[
            (0, "all is as expected"),
            (1, "a case is not, or the coverage is too low"),
            USAGE,
            (64, "the configuration or the cases are not valid"),
        ],
    ),
    (
        "import",
        &[
            (0, "a policy"),
            (1, "it would not be accepted as it is"),
            (
                2,
                "the command line is wrong, or does not fit the documents",
            ),
            (64, "a document or the configuration is not valid"),
        ],
    ),
    (
        "learn",
        &[
            (0, "a policy"),
            (
                1,
                "nothing to learn from, or what was learned does not hold",
            ),
            UNREAD,
            BAD,
        ],
    ),
    (
        "replay",
        &[
            (0, "all is decided alike"),
            (1, "only narrower: what passed would be refused"),
            (
                2,
                "wider: something would pass, or may, that did not, or as another caller; or it cannot be told",
            ),
            (
                64,
                "the configuration is not valid, a log cannot be read, or the command line is wrong",
            ),
        ],
    ),
    (
        "diff",
        &[
            (0, "nothing is decided differently"),
            (1, "only narrower: less passes"),
            (
                2,
                "wider: something passes, or may, that did not, or the upstream is told something else",
            ),
            (
                64,
                "a configuration is not valid, or the command line is wrong",
            ),
        ],
    ),
    (
        "receipts verify",
        &[
            (0, "every line is sealed, every log has its end"),
            (1, "something is wrong, or a signature cannot be judged"),
            UNREAD,
            (
                3,
                "nothing is wrong, but an end is missing, or lines were dropped",
            ),
            BAD,
        ],
    ),
    ("routes", &[DONE, USAGE, BAD]),
    ("schema", &[DONE, USAGE]),
    ("keygen", &[DONE, FAILED, USAGE]),
    ("token", &[(0, "a token came"), (1, "none did"), UNFIT, BAD]),
    (
        "probe",
        &[
            (0, "the answer is 200; with --upstream: nothing is open"),
            (1, "it is not; with --upstream: nothing could be learnt"),
            USAGE,
            (
                3,
                "with --upstream: something passes that the upstream reads otherwise, or a switch that is on is not safe",
            ),
            BAD,
        ],
    ),
    (
        "inject",
        &[
            DONE,
            (
                1,
                "it could not be done, or something is left to do with --strict",
            ),
            USAGE,
        ],
    ),
    (
        "webhook",
        &[
            ENDED,
            (
                1,
                "runtime: an address is taken, the certificate cannot be used",
            ),
            USAGE,
        ],
    ),
    (
        "demo",
        &[
            (0, "every step went as it must"),
            (1, "a step did not, or the demo could not go on"),
            USAGE,
        ],
    ),
    ("completions", &[DONE, USAGE]),
    ("man", &[DONE, (1, "a page cannot be written"), USAGE]),
];

/// The command line, each command with its exit codes at the end of its help.
pub(super) fn told(command: Command) -> Command {
    of(command, "")
}

fn of(command: Command, before: &str) -> Command {
    command.mut_subcommands(|own| {
        let name = format!("{before}{}", own.get_name());
        let own = of(own, &format!("{name} "));
        let Some((_, codes)) = CODES.iter().find(|(command, _)| *command == name) else {
            return own;
        };
        let mut help = own
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        help.push_str("\n\nExit codes:");
        for (code, meaning) in *codes {
            help.push_str(&format!("\n  {code:<2}  {meaning}"));
        }
        own.after_help(help)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn leaves(command: &Command, before: &str, found: &mut Vec<(String, String)>) {
        for own in command
            .get_subcommands()
            .filter(|own| own.get_name() != "help")
        {
            let name = format!("{before}{}", own.get_name());
            leaves(own, &format!("{name} "), found);
            if !own.has_subcommands() {
                found.push((name, own.clone().render_help().to_string()));
            }
        }
    }

    #[test]
    fn the_help_of_every_command_has_its_exit_codes() {
        let mut found = Vec::new();
        leaves(&told(super::super::Arguments::command()), "", &mut found);
        assert!(found.len() >= 19, "{found:?}");
        for (name, help) in &found {
            assert!(help.contains("Exit codes:\n  0   "), "{name}: {help}");
        }
        for (name, codes) in CODES.iter() {
            assert!(
                found.iter().any(|(own, _)| own == name),
                "no command {name}"
            );
            assert!(codes.is_sorted_by_key(|(code, _)| *code), "{name}");
        }
    }

    #[test]
    fn operations_has_the_exit_codes_of_every_command() {
        let page = include_str!("../../docs/operations.md");
        for (name, codes) in CODES.iter() {
            let cells = [0, 1, 2, 3, 64].map(|code| {
                let own = codes.iter().find(|(own, _)| *own == code);
                own.map_or("", |(_, meaning)| *meaning)
            });
            let row = format!("| `{name}` | {} |", cells.join(" | "))
                .replace("|  |", "| |")
                .replace("|  |", "| |");
            assert!(
                page.contains(&format!("\n{row}\n")),
                "docs/operations.md lacks\n{row}"
            );
        }
    }
}
