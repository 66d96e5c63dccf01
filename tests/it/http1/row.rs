//! The tables: `tests/it/data/http1/*.txt`, one row a case, as `tests/it/data/http1/README.md` describes them.

use crate::program::root;

/// One row: where it stands, and its cells, the last of which says why.
#[derive(Debug)]
pub struct Row {
    /// `framing.txt:12`.
    pub place: String,
    pub cells: Vec<String>,
}

impl Row {
    /// Fails with the row's place.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        panic!("{}: {what}", self.place)
    }

    /// The bytes of a cell.
    #[track_caller]
    pub fn bytes(&self, cell: usize) -> Vec<u8> {
        unescape(&self.cells[cell]).unwrap_or_else(|error| self.fail(&error))
    }
}

/// The rows of a table with so many columns.
#[track_caller]
pub fn read(file: &str, columns: usize) -> Vec<Row> {
    let path = root().join("tests/it/data/http1").join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let cells: Vec<String> = line
                .split(" | ")
                .map(|cell| cell.trim_matches(' ').to_owned())
                .collect();
            let row = Row {
                place: format!("{file}:{}", at + 1),
                cells,
            };
            if row.cells.len() != columns || row.cells[columns - 1].is_empty() {
                row.fail(&format!("not {columns} cells, the last of which says why"));
            }
            row
        })
        .collect::<Vec<_>>();
    assert!(!rows.is_empty(), "{file} has no rows");
    rows
}

/// `¶` is CRLF; `\n`, `\r`, `\t`, `\0`, `\\`, `\s` (a space) and `\xHH` are bytes; `{text*20}` is text, 20 times.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '¶' => bytes.extend_from_slice(b"\r\n"),
            '\\' => bytes.push(escaped(&mut rest)?),
            '{' => {
                let (inside, after) = braced(rest.as_str()).ok_or("`{` without `}`")?;
                let (piece, times) = inside.rsplit_once('*').ok_or("not {text*times}")?;
                let times = times
                    .parse()
                    .map_err(|_| format!("not a number: {times}"))?;
                bytes.extend(unescape(piece)?.repeat(times));
                rest = after.chars();
            }
            ' '..='~' => bytes.push(u8::try_from(letter).map_err(|error| error.to_string())?),
            other => return Err(format!("write {other:?} as an escape")),
        }
    }
    Ok(bytes)
}

/// What stands before the `}` that closes, and what behind it.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    let end = text.find(|letter| {
        depth += match letter {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        depth == 0
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    Ok(match rest.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('s') => b' ',
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = rest.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16).map_err(|_| format!("not a byte: \\x{digits}"))?
        }
        other => return Err(format!("no such escape: \\{other:?}")),
    })
}

/// Bytes as the tables write them, for failures; long runs are cut.
pub fn show(bytes: &[u8]) -> String {
    let mut text = bytes
        .escape_ascii()
        .to_string()
        .replace("\\r\\n", "¶")
        .replace("\\\"", "\"")
        .replace("\\'", "'");
    if text.chars().count() > 1500 {
        text = text.chars().take(1500).collect::<String>() + " ... (cut)";
    }
    text
}

#[test]
fn tables_are_read_as_their_readme_says() {
    assert_eq!(
        unescape("a¶\\n\\r\\t\\0\\\\\\s\\xe9{{b*2}¶*2}").expect("bytes"),
        b"a\r\n\n\r\t\0\\ \xe9bb\r\nbb\r\n"
    );
    for wrong in ["é", "\\q", "{a", "{a}", "{a*x}", "\\xg0"] {
        assert!(unescape(wrong).is_err(), "{wrong}");
    }
    assert_eq!(show(b"GET \"\r\n\n"), "GET \"¶\\n");
}
