//! The command line of a container, word by word, shell scripts included; words can be replaced where they stand.

#[cfg(test)]
mod tests;

use super::object::{Value, look_list, set, text};

/// The words of a container's `command` and `args`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    items: Vec<Item>,
    /// Commands, each a list of places: the command line itself, or what a shell runs.
    pub(crate) commands: Vec<Vec<Place>>,
    /// How many of the items are `command`; the rest is `args`.
    of_command: usize,
}

/// One item of `command` or `args`, in pieces: an ordinary one is a single word, a script has many and what is between them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    written: Value,
    pieces: Vec<Piece>,
    script: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    /// White space and the signs of the shell.
    Between(String),
}

impl Piece {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Between(text) => text,
        }
    }
}

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    item: usize,
    piece: usize,
}

impl Words {
    /// Reads a container.
    pub(crate) fn of(container: &Value) -> Self {
        let command = look_list(container, &["command"]);
        let all: Vec<&Value> = command
            .iter()
            .chain(look_list(container, &["args"]))
            .collect();
        let texts: Vec<&str> = all
            .iter()
            .map(|item| item.as_str().unwrap_or_default())
            .collect();
        let script = script(&texts);
        let items: Vec<Item> = all
            .iter()
            .zip(texts)
            .enumerate()
            .map(|(at, (written, text))| Item {
                written: (*written).clone(),
                script: script == Some(at),
                pieces: if script == Some(at) {
                    pieces(text)
                } else {
                    vec![Piece::Word(text.to_owned())]
                },
            })
            .collect();
        let of_command = command.len();
        let commands = commands(&items);
        Self {
            items,
            commands,
            of_command,
        }
    }

    /// The word, without the quotes around it.
    pub(crate) fn get(&self, place: Place) -> &str {
        let item = self.items.get(place.item);
        let piece = item.and_then(|item| item.pieces.get(place.piece));
        let word = piece.map_or("", Piece::text);
        if item.is_some_and(|item| item.script) {
            unquoted(word)
        } else {
            word
        }
    }

    /// Puts another word in its place. What we write needs no quotes in a shell, except for a reference, which had none that it needs.
    pub(crate) fn replace(&mut self, place: Place, word: String) {
        let Some(item) = self.items.get_mut(place.item) else {
            return;
        };
        let script = item.script;
        if let Some(piece) = item.pieces.get_mut(place.piece) {
            let quote = piece
                .text()
                .chars()
                .next()
                .filter(|c| script && matches!(c, '"'));
            *piece = Piece::Word(match quote {
                Some(quote) => format!("{quote}{word}{quote}"),
                None => word,
            });
        }
    }

    /// Puts words right after another. It is the place where every server takes flags, whatever comes behind them.
    pub(crate) fn insert_after(&mut self, place: Place, words: &[String]) {
        let Some(item) = self.items.get_mut(place.item) else {
            return;
        };
        if item.script {
            if let Some(piece) = item.pieces.get_mut(place.piece) {
                *piece = Piece::Word(format!("{} {}", piece.text(), words.join(" ")));
            }
            return;
        }
        let items = words.iter().map(|word| Item {
            written: text(word.as_str()),
            pieces: vec![Piece::Word(word.clone())],
            script: false,
        });
        self.items.splice(place.item + 1..place.item + 1, items);
        if place.item < self.of_command {
            self.of_command += words.len();
        }
    }

    /// Writes them back.
    pub(crate) fn write(&self, container: &mut Value) {
        let texts: Vec<Value> = self
            .items
            .iter()
            .map(|item| {
                let now: String = item.pieces.iter().map(Piece::text).collect();
                // What is no text, and so no manifest, is left to the API server to tell.
                if now == item.written.as_str().unwrap_or_default() {
                    item.written.clone()
                } else {
                    text(now)
                }
            })
            .collect();
        let (command, args) = texts.split_at(self.of_command.min(texts.len()));
        for (key, items) in [("command", command), ("args", args)] {
            if !items.is_empty() {
                set(container, key, Value::Sequence(items.to_vec()));
            }
        }
    }
}

/// The item that a shell runs: what follows `-c` of `sh`, `bash` and their like.
fn script(items: &[&str]) -> Option<usize> {
    const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "zsh", "ksh"];
    let shell = items
        .iter()
        .take(4)
        .position(|item| SHELLS.contains(&base_name(item)))?;
    let flags = items.iter().enumerate().skip(shell + 1);
    let mut flags = flags.take_while(|(_, item)| item.starts_with('-'));
    let (at, _) = flags.find(|(_, item)| !item.starts_with("--") && item.contains('c'))?;
    (at + 1 < items.len()).then_some(at + 1)
}

/// The last part of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A script in words and what is between them. Quotes and `${…}`, `$(…)` hold a word together.
fn pieces(script: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut word = String::new();
    let mut between = String::new();
    let mut quote = None;
    let mut depth = 0_usize;
    let mut before = ' ';
    for c in script.chars() {
        let outside = quote.is_none() && depth == 0 && (before != '\\' || c == '\n');
        if outside && (c.is_whitespace() || matches!(c, ';' | '|' | '&' | '<' | '>'))
            || c == '(' && outside && before != '$'
            || c == ')' && outside
        {
            if !word.is_empty() {
                pieces.push(Piece::Word(std::mem::take(&mut word)));
            }
            between.push(c);
        } else {
            if !between.is_empty() {
                pieces.push(Piece::Between(std::mem::take(&mut between)));
            }
            match (quote, c) {
                (None, '"' | '\'') if before != '\\' => quote = Some(c),
                (Some(open), _) if open == c => quote = None,
                (None, '{' | '(') if before == '$' || depth > 0 => depth += 1,
                (None, '}' | ')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            word.push(c);
        }
        before = c;
    }
    if !word.is_empty() {
        pieces.push(Piece::Word(word));
    }
    if !between.is_empty() {
        pieces.push(Piece::Between(between));
    }
    pieces
}

/// The command line itself, without the script, and the commands of the script.
fn commands(items: &[Item]) -> Vec<Vec<Place>> {
    let mut line = Vec::new();
    let mut commands = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if !item.script {
            line.push(Place { item: at, piece: 0 });
            continue;
        }
        let mut command = Vec::new();
        for (piece, held) in item.pieces.iter().enumerate() {
            match held {
                Piece::Word(_) => command.push(Place { item: at, piece }),
                Piece::Between(signs) => {
                    // A backslash at the end of a line continues it, and is a word here.
                    let continued = command.last().is_some_and(|place: &Place| {
                        item.pieces
                            .get(place.piece)
                            .is_some_and(|piece| piece.text().ends_with('\\'))
                    });
                    let ends = signs.contains([';', '|', '&', '(', ')'])
                        || signs.contains('\n') && !continued;
                    if ends && !command.is_empty() {
                        commands.push(std::mem::take(&mut command));
                    }
                }
            }
        }
        if !command.is_empty() {
            commands.push(command);
        }
    }
    if !line.is_empty() {
        commands.insert(0, line);
    }
    commands
}

/// A word without the quotes around it.
pub(crate) fn unquoted(word: &str) -> &str {
    for quote in ['"', '\''] {
        let inside = word
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inside) = inside.filter(|inside| !inside.contains(quote)) {
            return inside;
        }
    }
    word
}

/// A whole word that stands for a variable: `$(PORT)` (Kubernetes), `$PORT`, `${PORT}`, `${PORT:-8000}` (a shell).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    pub(crate) name: &'a str,
    pub(crate) default: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub(crate) fn of(word: &'a str) -> Option<Self> {
        let rest = word.strip_prefix('$')?;
        let inside = rest
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .or_else(|| {
                rest.strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'))
            })
            .unwrap_or(rest);
        let (name, default) = match inside.split_once(":-").or_else(|| inside.split_once('-')) {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = !name.is_empty()
            && name.chars().all(letters)
            && !name.starts_with(|c: char| c.is_ascii_digit());
        named.then_some(Self { name, default })
    }
}

/// Splits where the sign stands outside brackets and references.
pub(crate) fn split_outside(text: &str, sign: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut from = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth = depth.saturating_sub(1),
            _ if c == sign && depth == 0 => {
                parts.extend(text.get(from..at));
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts
}
