//! Standard output and error: formats, colour, width. The only place that prints.

use std::io::Write as _;

use clap::ValueEnum;

use crate::platform;
use crate::telemetry::json;

/// Who reads the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// People.
    #[default]
    Text,
    /// Programs.
    Json,
}

/// Writes to standard output. A reader that went away (`| head`) is no error.
pub(super) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _gone = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

/// Writes to standard error.
pub(super) fn err(text: &str) {
    let _gone = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a document for programs to standard output. It may land on a terminal all the same: what could fool one is in
/// strings, where it may be escaped (invariant 47).
pub(super) fn json(value: &serde_json::Value) {
    for line in format!("{value:#}").lines() {
        out(&format!("{}\n", json::visible(line)));
    }
}

/// Whether standard output shows colour.
pub(super) fn colour() -> bool {
    platform::shows_colour(&std::io::stdout())
}

/// Columns of the terminal; 100 where there is none, or it does not say.
pub(super) fn width() -> usize {
    const USUAL: usize = 100;
    std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .or_else(platform::terminal_width)
        .unwrap_or(USUAL)
}

/// Most columns of a cell that is not the last one.
const MOST: usize = 44;

/// A table for people: the last column takes what is left of `width` and wraps at spaces.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], width: usize, colour: bool) -> String {
    painted_table(head, rows, &[], width, colour)
}

/// The same with a colour for each row, by its number among those of terminals (`31` is red); empty: none.
pub(super) fn painted_table(
    head: &[&str],
    rows: &[Vec<String>],
    colours: &[&str],
    width: usize,
    colour: bool,
) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| json::visible(cell)).collect())
        .collect();
    let last = head.len().saturating_sub(1);
    let longest = |at: usize| {
        rows.iter()
            .filter_map(|row| row.get(at))
            .map(|text| text.chars().count())
            .max()
            .unwrap_or_default()
            .min(MOST)
    };
    let mut widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(at, title)| longest(at).max(title.len()))
        .collect();
    let before: usize = widths.iter().take(last).map(|width| width + 2).sum();
    if let Some(rest) = widths.last_mut() {
        *rest = width.saturating_sub(before).max(24);
    }
    let mut out = String::new();
    if head.iter().any(|title| !title.is_empty()) {
        let titles: Vec<String> = head.iter().map(|title| (*title).to_owned()).collect();
        let line = lines(&titles, &widths);
        if colour {
            out.push_str(&format!("\x1b[1m{}\x1b[0m\n", line.trim_end()));
        } else {
            out.push_str(&line);
        }
    }
    for (at, row) in rows.iter().enumerate() {
        let text = lines(row, &widths);
        match colours.get(at).filter(|own| colour && !own.is_empty()) {
            Some(own) => text.lines().for_each(|line| {
                out.push_str(&format!("\x1b[{own}m{line}\x1b[0m\n"));
            }),
            None => out.push_str(&text),
        }
    }
    out
}

/// One row, on as many lines as its longest cell needs.
fn lines(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<Vec<String>> = widths
        .iter()
        .enumerate()
        .map(|(at, width)| wrap(row.get(at).map_or("", String::as_str), *width))
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let mut out = String::new();
    for number in 0..height {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let text = cell.get(number).map_or("", String::as_str);
            line.push_str(text);
            let missing = width.saturating_sub(text.chars().count());
            line.push_str(&" ".repeat(missing + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let used = line.chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_wrap_their_last_column() {
        let rows = vec![vec![
            "/a".to_owned(),
            "one two three four five six seven".to_owned(),
        ]];
        assert_eq!(
            table(&["PATH", "WHO"], &rows, 30, false),
            "PATH  WHO\n/a    one two three four five\n      six seven\n"
        );
        assert_eq!(
            table(&["PATH", "WHO"], &rows, 80, true),
            "\x1b[1mPATH  WHO\x1b[0m\n/a    one two three four five six seven\n"
        );
    }

    #[test]
    fn rows_have_their_colours_on_every_line_and_only_where_colour_is_shown() {
        let rows = vec![
            vec!["a".to_owned(), "one two three four five six".to_owned()],
            vec!["b".to_owned(), "one".to_owned()],
        ];
        assert_eq!(
            painted_table(&["", ""], &rows, &["31", ""], 27, true),
            "\x1b[31ma  one two three four five\x1b[0m\n\x1b[31m   six\x1b[0m\nb  one\n"
        );
        let plain = painted_table(&["", ""], &rows, &["31", ""], 27, false);
        assert_eq!(plain, table(&["", ""], &rows, 27, false));
        assert!(!plain.contains('\x1b'));
    }
}
