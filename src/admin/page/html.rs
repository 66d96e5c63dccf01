//! HTML, written so that text is escaped wherever it comes from.

/// A document in the making.
#[derive(Debug, Default)]
pub(super) struct Html {
    out: String,
    heads: &'static [&'static str],
    column: usize,
}

impl Html {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(super) fn into_string(self) -> String {
        self.out
    }

    /// Markup of ours.
    pub(super) fn raw(&mut self, html: &str) {
        self.out.push_str(html);
    }

    /// Text of anybody, as content or as the value of a quoted attribute. What could fool the eye is shown as an escape.
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                '\n' => self.out.push('\n'),
                c if crate::telemetry::json::is_hostile(c) => {
                    self.out.push_str(&c.escape_unicode().to_string());
                }
                c => self.out.push(c),
            }
        }
    }

    /// Text between two pieces of markup.
    pub(super) fn element(&mut self, open: &str, text: &str, close: &str) {
        self.raw(open);
        self.text(text);
        self.raw(close);
    }

    /// Text in which backquotes enclose what is written so in a configuration or a request.
    pub(super) fn prose(&mut self, text: &str) {
        for (at, part) in text.split('`').enumerate() {
            if at % 2 == 0 {
                self.text(part);
            } else {
                self.element("<code>", part, "</code>");
            }
        }
    }

    /// A section with a heading; `id` is for links to it.
    pub(super) fn section(&mut self, id: &str, title: &str) {
        self.raw("<section id=\"");
        self.raw(id);
        self.element("\"><h2>", title, "</h2>");
    }

    pub(super) fn end_section(&mut self) {
        self.raw("</section>");
    }

    /// A table with these columns; where the window is narrow, each cell shows its column's name.
    pub(super) fn table(&mut self, heads: &'static [&'static str]) {
        self.raw("<table><thead><tr>");
        for head in heads {
            self.element("<th scope=\"col\">", head, "</th>");
        }
        self.raw("</tr></thead><tbody>");
        self.heads = heads;
    }

    pub(super) fn end_table(&mut self) {
        self.raw("</tbody></table>");
    }

    pub(super) fn row(&mut self) {
        self.raw("<tr>");
        self.column = 0;
    }

    pub(super) fn end_row(&mut self) {
        self.raw("</tr>");
    }

    /// Opens the next cell of the row.
    pub(super) fn open_cell(&mut self, class: &str) {
        let head = self.heads.get(self.column).copied().unwrap_or_default();
        self.column += 1;
        self.element("<td data-head=\"", head, "\"");
        if !class.is_empty() {
            self.element(" class=\"", class, "\"");
        }
        self.raw(">");
    }

    pub(super) fn end_cell(&mut self) {
        self.raw("</td>");
    }

    /// A cell of text.
    pub(super) fn cell(&mut self, text: &str) {
        self.classed("", text);
    }

    /// A cell of text that looks like `class`.
    pub(super) fn classed(&mut self, class: &str, text: &str) {
        self.open_cell(class);
        self.text(text);
        self.end_cell();
    }

    /// A cell of what is written so in a configuration or a request.
    pub(super) fn code(&mut self, text: &str) {
        self.open_cell("");
        self.element("<code>", text, "</code>");
        self.end_cell();
    }

    /// A cell with a number.
    pub(super) fn number(&mut self, value: u64) {
        self.classed("n", &grouped(value));
    }
}

/// A number with its thousands apart.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A narrow space that no line breaks at.
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Text as the value of a query's parameter.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
