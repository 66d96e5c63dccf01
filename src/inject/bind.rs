//! Where an application listens: found in its command line and its variables, and turned to loopback.

mod turn;

#[cfg(test)]
mod tests;

use super::address::{Form, is_everywhere, is_loopback, to_loopback};
use super::environment::{Variable, names, resolve_port, variable};
use super::object::Value;
use super::servers::{FLAGS, RUNNER_WORDS, RUNNERS, SERVERS, Server, VARIABLES};
use super::words::{Place, Words, base_name, unquoted};

pub(crate) use turn::bind;

/// What a container runs, as far as it is known.
#[derive(Debug)]
pub(crate) struct Recognised {
    server: Option<&'static Server>,
    /// What it was recognised by.
    by: String,
    /// The command of the server; all words where the image alone says it.
    command: Vec<Place>,
    /// The last word of the program, after which flags may stand.
    program: Option<Place>,
    /// The port that flags or variables name.
    pub(crate) port: Option<u16>,
    /// The program, known or not.
    runs: Option<String>,
}

impl Recognised {
    /// Where the server listens when nobody says.
    pub(crate) fn default_port(&self) -> Option<u16> {
        self.server.map(|server| server.default_port)
    }
}

/// Finds out what a container runs.
pub(crate) fn recognise(container: &Value) -> Recognised {
    let words = Words::of(container);
    let mut recognised = by_program(&words)
        .or_else(|| by_sign(container, &words))
        .unwrap_or_else(|| Recognised {
            server: None,
            by: String::new(),
            command: words.commands.concat(),
            program: None,
            port: None,
            runs: None,
        });
    recognised.runs = words
        .commands
        .iter()
        .filter_map(|command| runs(&words, command))
        .next_back();
    recognised.port = match recognised.server {
        Some(server) => server_port(container, &words, server, &recognised),
        None => any_port(container, &words, &recognised.command),
    };
    recognised
}

/// The program of a command: behind runners, assignments and interpreters. First the one that is there, then the script it runs.
fn programs(words: &Words, command: &[Place]) -> Vec<usize> {
    let word = |at: usize| command.get(at).map(|place| words.get(*place));
    let mut at = 0;
    let mut behind_runner = false;
    while let Some(held) = word(at) {
        let skipped = RUNNERS.contains(&base_name(held))
            || behind_runner && (held.starts_with('-') || RUNNER_WORDS.contains(&held))
            || held.contains('=') && !held.starts_with('-');
        if !skipped {
            break;
        }
        behind_runner = true;
        at += 1;
    }
    let mut found = vec![at];
    let name = word(at).map(base_name).unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if matches!(name, "python" | "pypy" | "node" | "php" | "ruby" | "bun") {
        let mut next = at + 1;
        while word(next).is_some_and(|held| held.starts_with('-') && held != "-m" && held != "-S") {
            next += 1;
        }
        found.push(if word(next) == Some("-m") {
            next + 1
        } else {
            next
        });
    }
    found
}

fn runs(words: &Words, command: &[Place]) -> Option<String> {
    let at = *programs(words, command).first()?;
    let place = command.get(at)?;
    Some(base_name(words.get(*place)).to_owned())
}

fn by_program(words: &Words) -> Option<Recognised> {
    words.commands.iter().find_map(|command| {
        let starts = programs(words, command);
        SERVERS.iter().find_map(|server| {
            let last = server.programs.iter().find_map(|program| {
                starts
                    .iter()
                    .find_map(|start| match_program(words, command, *start, program))
            })?;
            Some(Recognised {
                server: Some(server),
                by: "its command line".to_owned(),
                command: command.clone(),
                program: command.get(last).copied(),
                port: None,
                runs: None,
            })
        })
    })
}

/// The place of the last word of a program, if it stands at `start` and its other words follow.
fn match_program(
    words: &Words,
    command: &[Place],
    start: usize,
    program: &[&str],
) -> Option<usize> {
    let (first, rest) = program.split_first()?;
    if base_name(words.get(*command.get(start)?)) != *first {
        return None;
    }
    let mut at = start;
    for wanted in rest {
        at = command
            .iter()
            .enumerate()
            .skip(at + 1)
            .find(|(_, place)| words.get(**place) == *wanted)?
            .0;
    }
    Some(at)
}

/// By a variable or a flag that nothing else reads.
fn by_sign(container: &Value, words: &Words) -> Option<Recognised> {
    let all = words.commands.concat();
    SERVERS.iter().find_map(|server| {
        let is_sign = |name: &&str| server.signs.iter().any(|sign| name.starts_with(sign));
        let variable = names(container).find(is_sign);
        let flag = all.iter().map(|place| words.get(*place)).find(is_sign);
        let held = server.flag_variables.iter().find(|name| {
            let value = literal(container, name).unwrap_or_default();
            value.split_whitespace().any(|word| is_sign(&word))
        });
        let by = variable.or(flag).or(held.copied())?;
        Some(Recognised {
            server: Some(server),
            by: by.to_owned(),
            command: all.clone(),
            program: None,
            port: None,
            runs: None,
        })
    })
}

fn literal<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    match variable(container, name)? {
        Variable::Literal(value) => Some(value),
        Variable::Elsewhere => None,
    }
}

/// A flag and its value, and where they stand.
#[derive(Debug)]
struct Flag {
    name: Place,
    /// Of the value; the same word for `--name=value`.
    place: Place,
    /// What stands before the value in its word.
    before: String,
    value: String,
}

/// All flags of these names: `--name value`, `--name=value`, `-nvalue`.
fn flags(words: &Words, command: &[Place], names: &[&str]) -> Vec<Flag> {
    let mut found = Vec::new();
    for (at, place) in command.iter().enumerate() {
        let word = words.get(*place);
        if names.contains(&word) {
            let value = command.get(at + 1).map(|next| (*next, words.get(*next)));
            found.extend(value.filter(|(_, value)| !value.starts_with('-')).map(
                |(next, value)| Flag {
                    name: *place,
                    place: next,
                    before: String::new(),
                    value: value.to_owned(),
                },
            ));
            continue;
        }
        let attached = match word.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some((format!("{name}="), value)),
            _ => names
                .iter()
                .filter(|name| name.len() == 2)
                .find_map(|name| Some(((*name).to_owned(), word.strip_prefix(name)?)))
                .filter(|(_, value)| {
                    value.starts_with(|c: char| {
                        c.is_ascii_digit() || matches!(c, ':' | '[' | '*' | '$')
                    })
                }),
        };
        found.extend(attached.map(|(before, value)| Flag {
            name: *place,
            place: *place,
            before,
            value: unquoted(value).to_owned(),
        }));
    }
    found
}

/// The words behind a program that are no flags, and an address with a port.
fn positional(words: &Words, command: &[Place], program: Option<Place>) -> Vec<Flag> {
    let behind = command
        .iter()
        .skip_while(|place| Some(**place) != program)
        .skip(1);
    behind
        .map(|place| (*place, words.get(*place)))
        .filter(|(_, word)| {
            !word.starts_with('-')
                && to_loopback(word, Form::PortOrHostPort)
                    .is_some_and(|address| address.port.is_some())
        })
        .map(|(place, word)| Flag {
            name: place,
            place,
            before: String::new(),
            value: word.to_owned(),
        })
        .collect()
}

fn server_port(
    container: &Value,
    words: &Words,
    server: &Server,
    recognised: &Recognised,
) -> Option<u16> {
    let command = &recognised.command;
    let by_flag = flags(words, command, server.port)
        .iter()
        .find_map(|flag| resolve_port(container, &flag.value));
    let in_address = |value: &str| {
        let port = to_loopback(value, server.form)?.port?;
        resolve_port(container, &port)
    };
    by_flag
        .or_else(|| {
            let bound = flags(words, command, server.bind);
            bound.iter().find_map(|flag| in_address(&flag.value))
        })
        .or_else(|| {
            let held = server
                .flag_variables
                .iter()
                .filter_map(|name| literal(container, name));
            let mut all = held.flat_map(str::split_whitespace);
            all.find_map(|word| {
                let (name, value) = word.split_once('=')?;
                if server.port.contains(&name) {
                    return resolve_port(container, value);
                }
                server
                    .bind
                    .contains(&name)
                    .then(|| in_address(value))
                    .flatten()
            })
        })
        .or_else(|| {
            bind_variables(container, server)
                .iter()
                .find_map(|(_, value)| in_address(value))
        })
        .or_else(|| {
            let positional = server
                .positional
                .then(|| positional(words, command, recognised.program));
            positional
                .into_iter()
                .flatten()
                .find_map(|flag| in_address(&flag.value))
        })
        .or_else(|| {
            let mut variables = server.port_variables.iter();
            variables.find_map(|name| resolve_port(container, literal(container, name)?))
        })
}

/// The variables of a server that hold an address, and what they hold. `*` in a name stands for any text.
fn bind_variables<'a>(container: &'a Value, server: &Server) -> Vec<(&'a str, &'a str)> {
    let matches = |name: &str| {
        server
            .bind_variables
            .iter()
            .any(|wanted| match wanted.split_once('*') {
                Some((begin, end)) => name.starts_with(begin) && name.ends_with(end),
                None => name == *wanted,
            })
    };
    names(container)
        .filter(|name| matches(name))
        .filter_map(|name| Some((name, literal(container, name)?)))
        .collect()
}

/// The port of an address that everybody reaches, or of `PORT`.
fn any_port(container: &Value, words: &Words, command: &[Place]) -> Option<u16> {
    let port = |value: &str| {
        let port = to_loopback(value, Form::HostPort)
            .filter(|_| is_everywhere(value) || is_loopback(value))?
            .port?;
        resolve_port(container, &port)
    };
    let by_flag = flags(words, command, FLAGS);
    let mut variables = VARIABLES.iter().filter_map(|name| literal(container, name));
    by_flag
        .iter()
        .find_map(|flag| port(&flag.value))
        .or_else(|| variables.find_map(port))
        .or_else(|| {
            let named = flags(words, command, &["--port", "-port"]);
            named
                .iter()
                .find_map(|flag| resolve_port(container, &flag.value))
        })
        .or_else(|| resolve_port(container, literal(container, "PORT")?))
}
