//! JSON written by hand: log lines cannot be forged, whatever a caller puts into a name (invariant 47).

/// Most bytes of one value in a log line.
pub(crate) const FIELD_BYTES: usize = 1024;

/// Appends `text` as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as a JSON string of at most `most` bytes of text; `…` marks what was cut.
pub(crate) fn capped(out: &mut Vec<u8>, text: &str, most: usize) {
    if text.len() <= most {
        return string(out, text);
    }
    out.push(b'"');
    let (kept, _) = text.split_at(text.floor_char_boundary(most));
    escaped(out, kept);
    out.extend_from_slice("…\"".as_bytes());
}

/// Appends a field of an object that already has one: `,"name":"text"`.
pub(crate) fn field(out: &mut Vec<u8>, name: &'static str, text: &str) {
    key(out, name);
    capped(out, text, FIELD_BYTES);
}

/// Appends `,"name":`. Names are ours and need no escaping.
pub(crate) fn key(out: &mut Vec<u8>, name: &'static str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `,"name":number`.
pub(crate) fn number(out: &mut Vec<u8>, name: &'static str, value: u64) {
    key(out, name);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the text with everything escaped that could end the string, the line, or fool a terminal.
pub(crate) fn escaped(out: &mut Vec<u8>, text: &str) {
    // Without a way out of the loop it is one comparison for many bytes.
    if text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
    {
        return out.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            _ => push_visible(out, c),
        }
    }
}

/// Text for a terminal: escaped as well, save quotes and backslashes.
pub(crate) fn visible(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        push_visible(&mut out, c);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn push_visible(out: &mut Vec<u8>, c: char) {
    match c {
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if is_hostile(c) => unicode(out, c),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Controls (C0, DEL, C1), line separators, and the marks that turn the direction of text.
pub(crate) const fn is_hostile(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// `\u` and four digits; everything that is escaped lies in the basic multilingual plane.
fn unicode(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = char::from_digit((u32::from(c) >> shift) & 0xf, 16).unwrap_or('0');
        let mut utf8 = [0; 4];
        out.extend_from_slice(digit.encode_utf8(&mut utf8).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_47_hostile_text_stays_one_well_formed_string() {
        let hostile = [
            "a\r\nb",
            "\u{1b}[31mred",
            "\"},{\"x\":1",
            "\\",
            "\u{2028}\u{2029}",
            "\u{202e}gpj",
            "\0\u{7f}\u{9b}",
            "naïve ☃ 𝄞",
        ];
        for text in hostile {
            let mut out = Vec::new();
            string(&mut out, text);
            let line = std::str::from_utf8(&out).unwrap();
            assert!(
                !line
                    .chars()
                    .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}'))
            );
            assert_eq!(serde_json::from_str::<String>(line).unwrap(), text);
        }
    }

    #[test]
    fn invariant_47_long_text_is_cut_at_a_character() {
        let mut out = Vec::new();
        capped(&mut out, &"ä".repeat(1_000_000), 11);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), "äääää…");
        out.clear();
        capped(&mut out, "short", 11);
        assert_eq!(out, b"\"short\"");
    }
}
