//! Paths and hosts as policy writes them.

use std::fmt;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Most segments of a pattern; the table's recursion is no deeper than this.
const MAX_SEGMENTS: usize = 64;

/// A path as policy writes it: literals, `{parameters}`, a last `**`.
///
/// Literals are written decoded (`/café`, never `/caf%C3%A9`) and compared byte for byte with the once-decoded segments
/// of a request. A trailing slash is a segment of its own: `/x/` and `/x` are two paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: Arc<str>,
    segments: Vec<PatternSegment>,
}

/// One segment of a [`PathPattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternSegment {
    /// These very bytes; empty for a trailing slash.
    Literal(Box<str>),
    /// Any segment that is not empty.
    Parameter(Arc<str>),
    /// Everything from here on, nothing included. Only last.
    Rest,
}

/// A pattern that means nothing, or not what it seems to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// No leading slash.
    #[error("must begin with a slash")]
    Relative,
    /// `//`.
    #[error("must not contain an empty segment; requests with one are refused")]
    EmptySegment,
    /// `.` or `..`.
    #[error("must not contain the dot segment `{0}`; requests with one are refused")]
    DotSegment(String),
    /// `%`.
    #[error(
        "must be written decoded, without percent-encoding; requests are decoded before they are compared"
    )]
    Percent,
    /// A character that never stands in a decoded segment.
    #[error("must not contain {0:?}; no request path that passes contains it")]
    Character(char),
    /// `?` or `#`.
    #[error("must not contain {0:?}; the query takes no part in matching")]
    Query(char),
    /// `**` before the end.
    #[error("`**` may only stand last")]
    RestNotLast,
    /// `*` that is not a last `**`.
    #[error(
        "`*` is no wildcard: a segment is a literal or a `{{parameter}}`, and a last `**` matches all that follows"
    )]
    Star,
    /// Braces that do not enclose a whole segment.
    #[error("a parameter is a whole segment, as in `/{{name}}/`: `{0}` is not")]
    Braces(String),
    /// `{}` or a name of other characters.
    #[error("`{0}` is no parameter name: letters, digits and `_` are, not beginning with a digit")]
    ParameterName(String),
    /// The same name twice.
    #[error("parameter `{0}` stands twice")]
    DuplicateParameter(String),
    /// Too long to be meant.
    #[error("has more than 64 segments")]
    TooDeep,
    /// A host that is empty, or of characters that no host has.
    #[error("is not a host name")]
    Host,
    /// A port in a host pattern.
    #[error("must not contain a port; hosts are compared without theirs")]
    Port,
    /// A `*` elsewhere than in front.
    #[error("`*` may only stand as the first label, as in `*.example.org`")]
    HostStar,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It means nothing, or could not match any request that passes [`crate::request`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let rest = text.strip_prefix('/').ok_or(PatternError::Relative)?;
        let parts: Vec<&str> = rest.split('/').collect();
        if parts.len() > MAX_SEGMENTS {
            return Err(PatternError::TooDeep);
        }
        let last = parts.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(parts.len());
        for (at, part) in parts.into_iter().enumerate() {
            let segment = PatternSegment::parse(part, at == last)?;
            if let PatternSegment::Parameter(name) = &segment
                && segments.contains(&segment)
            {
                return Err(PatternError::DuplicateParameter(name.to_string()));
            }
            segments.push(segment);
        }
        Ok(Self {
            text: text.into(),
            segments,
        })
    }

    /// As written.
    #[must_use]
    pub const fn as_str(&self) -> &Arc<str> {
        &self.text
    }

    /// The segments; a trailing slash is a last empty literal.
    #[must_use]
    pub fn segments(&self) -> &[PatternSegment] {
        &self.segments
    }

    /// The names of the parameters and the segments that they stand for.
    pub fn parameters(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.segments
            .iter()
            .enumerate()
            .filter_map(|(at, segment)| match segment {
                PatternSegment::Parameter(name) => Some((name, at)),
                PatternSegment::Literal(_) | PatternSegment::Rest => None,
            })
    }
}

impl PatternSegment {
    fn parse(part: &str, last: bool) -> Result<Self, PatternError> {
        match part {
            "" if last => return Ok(Self::Literal("".into())),
            "" => return Err(PatternError::EmptySegment),
            "." | ".." => return Err(PatternError::DotSegment(part.to_owned())),
            "**" if last => return Ok(Self::Rest),
            "**" => return Err(PatternError::RestNotLast),
            _ => {}
        }
        for character in part.chars() {
            match character {
                '%' => return Err(PatternError::Percent),
                '?' | '#' => return Err(PatternError::Query(character)),
                ';' | '\\' => return Err(PatternError::Character(character)),
                '*' => return Err(PatternError::Star),
                _ if character.is_control() => return Err(PatternError::Character(character)),
                _ => {}
            }
        }
        let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) else {
            return if part.contains(['{', '}']) {
                Err(PatternError::Braces(part.to_owned()))
            } else {
                Ok(Self::Literal(part.into()))
            };
        };
        if is_parameter_name(name) {
            Ok(Self::Parameter(name.into()))
        } else if name.contains(['{', '}']) {
            Err(PatternError::Braces(part.to_owned()))
        } else {
            Err(PatternError::ParameterName(name.to_owned()))
        }
    }
}

fn is_parameter_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A host as policy writes it: a name or address, or `*.` before a name. The wildcard stands for one label or several,
/// never for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower-case; of a wildcard, what stands behind the `*`, dot included.
    name: Box<str>,
    wildcard: bool,
}

impl HostPattern {
    /// Reads a pattern. Letters are folded to lower case, as hosts of requests are.
    ///
    /// # Errors
    /// It is no host, has a port, or a `*` that is not the first label.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.to_ascii_lowercase();
        if text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        {
            return Ok(Self {
                name: text.into(),
                wildcard: false,
            });
        }
        let (name, wildcard) = match text.strip_prefix('*') {
            Some(rest) => (rest, true),
            None => (text.as_str(), false),
        };
        let host = if wildcard {
            name.strip_prefix('.').ok_or(PatternError::HostStar)?
        } else {
            name
        };
        if host.contains('*') {
            return Err(PatternError::HostStar);
        }
        if host.contains(':') {
            return Err(PatternError::Port);
        }
        if !host.split('.').all(is_label) {
            return Err(PatternError::Host);
        }
        Ok(Self {
            name: name.into(),
            wildcard,
        })
    }

    /// Whether `host` (lower-case, without port and trailing dot) is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        if self.wildcard {
            host.len() > self.name.len() && host.ends_with(&*self.name)
        } else {
            host == &*self.name
        }
    }

    /// A host that it matches.
    pub(super) fn example(&self) -> String {
        let label = if self.wildcard { "x" } else { "" };
        format!("{label}{}", self.name)
    }

    /// Orders hosts that can match one request: a name before wildcards, a longer wildcard before a shorter one.
    pub(super) fn specificity(&self) -> usize {
        if self.wildcard {
            self.name.len()
        } else {
            usize::MAX
        }
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*" } else { "" };
        write!(f, "{star}{}", self.name)
    }
}
