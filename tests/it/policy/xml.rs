//! As much of XML 1.0 as reports have: elements, attributes and text, well-formed or a panic.

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// Its own text.
    pub(super) text: String,
}

impl Element {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> &str {
        let mut all = self.attributes.iter();
        let found = all.find(|(own, _)| own == name);
        found.map_or_else(|| panic!("no {name} in {self:?}"), |(_, value)| value)
    }

    /// The same as a number.
    pub(super) fn number(&self, name: &str) -> usize {
        self.attribute(name).parse().expect("a number")
    }

    /// Its children of this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |own| own.name == name)
    }
}

/// The root of a document.
pub(super) fn parse(text: &str) -> Element {
    let rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut rest = rest.expect("a declaration");
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "characters that XML has not: {text:?}"
    );
    let root = element(&mut rest);
    assert_eq!(rest.trim(), "", "one root");
    root
}

fn element(rest: &mut &str) -> Element {
    let inner = rest.strip_prefix('<').expect("an element");
    let end = inner.find('>').expect("the end of a tag");
    let (tag, after) = (&inner[..end], &inner[end + 1..]);
    *rest = after;
    let (tag, empty) = tag
        .strip_suffix('/')
        .map_or((tag, false), |tag| (tag, true));
    let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut own = Element {
        name: name.to_owned(),
        ..Element::default()
    };
    while !attributes.is_empty() {
        let (name, value) = attributes.split_once("=\"").expect("an attribute");
        let (value, more) = value.split_once('"').expect("the end of its value");
        assert!(
            own.attributes.iter().all(|(other, _)| other != name),
            "{name} twice"
        );
        own.attributes.push((name.to_owned(), unescaped(value)));
        attributes = more.trim_start();
    }
    if empty {
        return own;
    }
    loop {
        let at = rest.find('<').expect("an end tag");
        own.text.push_str(&unescaped(&rest[..at]));
        *rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("</") {
            let (name, after) = after.split_once('>').expect("the end of a tag");
            assert_eq!(name, own.name, "tags nest");
            *rest = after;
            return own;
        }
        own.children.push(element(rest));
    }
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    assert!(!text.contains('<'), "{text}");
    for part in parts {
        let (entity, more) = part.split_once(';').expect("an entity");
        out.push_str(match entity {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            other => panic!("&{other};"),
        });
        out.push_str(more);
    }
    out
}
