use super::json::{Document, Json, JsonError, Members, Object};
use crate::clock::UnixTime;

#[cfg(test)]
mod tests;

/// A verified payload: a JSON object without duplicate names. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Claims(Object);

impl Claims {
    /// Reads a payload. Nothing is verified by that: it is for `explain --claims` and for tests.
    ///
    /// # Errors
    /// The text is not one strict JSON object.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let object = Document::parse_of_token(text)?.into_object();
        object.map(Self).ok_or(JsonError::Syntax)
    }

    pub(super) const fn new(object: Object) -> Self {
        Self(object)
    }

    /// Claims with these names and values; of several with one name the first counts.
    ///
    /// # Errors
    /// There is no room for them.
    pub(super) fn of<'a>(
        claims: impl IntoIterator<Item = (&'a str, Json<'a>)>,
    ) -> Result<Self, JsonError> {
        Object::of(claims).map(Self)
    }

    /// The value at `path`, `null` included.
    #[must_use]
    pub fn get(&self, path: &ClaimPath) -> Option<Json<'_>> {
        path.find(self.0.members())
    }

    /// The top-level claim `name`, `null` included.
    #[must_use]
    pub fn top(&self, name: &str) -> Option<Json<'_>> {
        self.0.members().get(name)
    }

    /// All of them, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Json<'_>)> {
        self.0.members().iter()
    }

    /// The first of `homes` that is there, even with a value of the wrong type: falling through to the next one would
    /// let a token choose.
    pub(super) fn first(&self, homes: &[ClaimPath]) -> Option<Json<'_>> {
        homes.iter().find_map(|home| self.get(home))
    }

    pub(super) fn weight(&self) -> usize {
        self.0.weight()
    }
}

/// A place in the claims: `realm_access.roles`, or the JSON pointer `/resource_access/my.client/roles` (RFC 6901).
///
/// The dotted form descends at dots. Names may contain dots themselves (`kubernetes.io`, `https://example.org/tenant`):
/// at each level the longest name that exists wins, so `kubernetes.io` is that claim, and `kubernetes.io.namespace` is
/// the `namespace` inside it. Once a name was chosen, shorter ones are not tried. The pointer form takes every name
/// literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    /// At least one.
    names: Vec<String>,
    pointer: bool,
}

/// A text that is no claim path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimPathError {
    /// Nothing, or nothing between two dots or slashes.
    #[error("a name in the claim path is empty")]
    EmptyName,
    /// `~` is followed by neither `0` nor `1` (RFC 6901 section 3).
    #[error("\"~\" in a JSON pointer must be written \"~0\"")]
    Escape,
}

impl ClaimPath {
    /// Reads the dotted form, or the pointer form when it begins with a slash.
    ///
    /// # Errors
    /// An empty name, or a wrong escape in a pointer.
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        let pointer = text.strip_prefix('/');
        let names: Vec<String> = match pointer {
            Some(names) => names.split('/').map(unescape).collect::<Result<_, _>>()?,
            None => text.split('.').map(Into::into).collect(),
        };
        if names.iter().any(String::is_empty) {
            return Err(ClaimPathError::EmptyName);
        }
        Ok(Self {
            names,
            pointer: pointer.is_some(),
        })
    }

    /// The path of the top-level claim `name`, whatever is in the name.
    #[must_use]
    pub fn top(name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            pointer: true,
        }
    }

    /// The names, outermost first.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Where a token most likely has it: the names of nested objects, from the outside in. Of the claims that [`Claims::get`]
    /// finds under a dotted path, that is one.
    pub(crate) fn home(&self) -> Vec<String> {
        const WITH_DOT: &str = "kubernetes.io";
        if self.pointer {
            return self.names.clone();
        }
        let whole = self.names.join(".");
        if whole.contains("://") {
            return vec![whole]; // a name that is a URL (RFC 7519 section 4.2)
        }
        match whole
            .strip_prefix(WITH_DOT)
            .map(|rest| rest.strip_prefix('.'))
        {
            Some(Some(inner)) => std::iter::once(WITH_DOT)
                .chain(inner.split('.'))
                .map(str::to_owned)
                .collect(),
            _ if whole == WITH_DOT => vec![whole],
            _ => self.names.clone(),
        }
    }

    /// Everywhere a token can have it.
    pub(crate) fn homes(&self) -> Vec<Vec<String>> {
        if self.pointer {
            return vec![self.names.clone()];
        }
        let mut all: Vec<Vec<String>> = vec![Vec::new()];
        for name in &self.names {
            let longer = all.iter().filter_map(|home| {
                let (last, others) = home.split_last()?;
                let joined = std::iter::once(format!("{last}.{name}"));
                Some(others.iter().cloned().chain(joined).collect())
            });
            let longer: Vec<Vec<String>> = longer.collect();
            all.iter_mut().for_each(|home| home.push(name.clone()));
            all.extend(longer);
        }
        all
    }

    /// Whether both can be found at one place, and one of them at others as well.
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        self.pointer != other.pointer && self.names.join(".") == other.names.join(".")
    }

    /// The last name as written.
    pub(super) fn last(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    fn find<'a>(&self, members: Members<'a>) -> Option<Json<'a>> {
        let mut members = members;
        let mut names = self.names.as_slice();
        loop {
            let longest = if self.pointer { 1 } else { names.len() };
            let (value, used) = (1..=longest)
                .rev()
                .filter_map(|count| Some((members.get_joined(names.get(..count)?)?, count)))
                .next()?;
            names = names.get(used..)?;
            if names.is_empty() {
                return Some(value);
            }
            members = value.as_object()?;
        }
    }
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.pointer {
            return f.write_str(&self.names.join("."));
        }
        for name in &self.names {
            write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

fn unescape(name: &str) -> Result<String, ClaimPathError> {
    let mut parts = name.split('~');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = if let Some(rest) = part.strip_prefix('0') {
            unescaped.push('~');
            rest
        } else if let Some(rest) = part.strip_prefix('1') {
            unescaped.push('/');
            rest
        } else {
            return Err(ClaimPathError::Escape);
        };
        unescaped.push_str(rest);
    }
    Ok(unescaped)
}

/// A NumericDate (RFC 7519 section 2): any JSON number, fractions and exponents included. What does not fit into 64 bits
/// stops at their ends, so that `1e400` is far in the future and over every cap, and nothing overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumericDate {
    floor: i64,
    fraction: bool,
}

impl NumericDate {
    /// `None` when the value is not a number.
    pub(super) fn read(value: Json<'_>) -> Option<Self> {
        let Json::Number(text) = value else {
            return None;
        };
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, saturating_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // The decimal point stands after this many of the digits.
        let point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
        let mut value: i64 = 0;
        let mut rest = false;
        let mut at: i64 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            let digit = i64::from(digit.wrapping_sub(b'0'));
            if at < point {
                value = value.saturating_mul(10).saturating_add(digit);
            } else {
                rest |= digit != 0;
            }
            at = at.saturating_add(1);
        }
        // Digits that the exponent adds; a value that has reached the end, or is zero, does not change any more.
        while at < point && value != 0 && value != i64::MAX {
            value = value.saturating_mul(10);
            at = at.saturating_add(1);
        }
        Some(if negative {
            Self {
                floor: value.saturating_neg().saturating_sub(i64::from(rest)),
                fraction: rest,
            }
        } else {
            Self {
                floor: value,
                fraction: rest,
            }
        })
    }

    /// The second that it lies in.
    pub(super) const fn floor(self) -> UnixTime {
        UnixTime::from_secs(self.floor)
    }

    /// The first whole second that is not before it.
    pub(super) fn ceil(self) -> UnixTime {
        UnixTime::from_secs(self.floor.saturating_add(i64::from(self.fraction)))
    }
}

fn saturating_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    // No token has room for a number whose digits such an exponent would not push out of every range.
    let magnitude: i64 = digits
        .bytes()
        .fold(0_i64, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(i64::from(digit.wrapping_sub(b'0')))
        })
        .min(1_000_000);
    Some(magnitude * sign)
}
