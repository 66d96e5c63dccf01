//! Ways in which upstreams are known to read a path as another one.

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quirk {
    /// For programs.
    pub(super) name: &'static str,
    /// What the upstream does, for people.
    pub(super) does: &'static str,
}

macro_rules! quirks {
    ($($id:ident: $name:literal, $does:literal;)+) => {
        $(pub(super) static $id: Quirk = Quirk { name: $name, does: $does };)+

        /// All of them.
        #[cfg(test)]
        pub(super) static ALL: &[&Quirk] = &[$(&$id),+];
    };
}

quirks! {
    LONGER_NAME: "longer_name", "serves longer names as the path that they begin with";
    DEEPER_PATH: "deeper_path", "serves everything below a path as the path itself";
    LEADING_SEGMENTS: "leading_segments", "does not mind what stands before a path";
    DOT_SEGMENTS: "dot_segments", "resolves `.` and `..`";
    ENCODED_DOT_SEGMENTS: "encoded_dot_segments", "resolves dot segments that are percent-encoded";
    PARAMETER_DOT_SEGMENTS: "parameter_dot_segments", "resolves dot segments that carry a path parameter (`..;x`)";
    EMPTY_SEGMENT: "empty_segment", "merges slashes";
    ENCODED_SLASH: "encoded_slash", "takes `%2f` for a slash";
    BACKSLASH: "backslash", "takes a backslash for a slash";
    ENCODED_BACKSLASH: "encoded_backslash", "takes `%5c` for a slash";
    SEMICOLON: "semicolon", "cuts path parameters off at `;`";
    ENCODED_SEMICOLON: "encoded_semicolon", "cuts at `%3b`";
    LETTER_CASE: "letter_case", "takes capital and small letters for the same";
    TRAILING_SLASH: "trailing_slash", "serves a path with and without a trailing slash alike";
    ENCODED_LETTERS: "encoded_letters", "does not decode letters that are percent-encoded";
    ENCODED_TWICE: "encoded_twice", "decodes twice";
    PERCENT_U: "percent_u", "decodes `%uXXXX`";
    OVERLONG_UTF8: "overlong_utf8", "takes overlong UTF-8 for the characters that it spells";
    UNICODE_COMPATIBILITY: "unicode_compatibility", "takes full-width characters for ASCII";
    TRAILING_DOT: "trailing_dot", "drops a dot at the end of a name";
    TRAILING_SPACE: "trailing_space", "drops a space at the end of a name";
    PLUS: "plus", "takes `+` for a space";
    EXTENSION: "extension", "drops an extension (`.json`)";
    NUL: "nul", "cuts at `%00`";
    CONTROL_CHARACTER: "control_character", "drops control characters at the end";
    ENCODED_QUESTION_MARK: "encoded_question_mark", "takes `%3f` for the begin of the query";
    AMPERSAND: "ampersand", "takes `&` for the begin of the query";
    FRAGMENT: "fragment", "cuts at `#`";
    ENCODED_FRAGMENT: "encoded_fragment", "cuts at `%23`";
    LONG: "long", "cuts long paths";
}
