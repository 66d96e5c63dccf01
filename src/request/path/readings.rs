//! What other parsers make of a path that its route accepts by name.

use super::{CanonicalPath, decode_again};

/// Decodings that are considered; nobody decodes more often.
const MOST_DECODINGS: usize = 4;

impl CanonicalPath {
    /// Other readings of the path, as segments with a last empty one for a trailing slash: cut at `;` (path parameters,
    /// RFC 3986 section 3.3), split at decoded slashes, without empty segments, decoded again, and any mix of these.
    ///
    /// Nothing where the path needs no [`super::PathAllowances`]: it has one reading then.
    pub(crate) fn other_readings(&self) -> Vec<Vec<String>> {
        let needed = self.allowance_needed();
        let mut readings: Vec<Vec<String>> = Vec::new();
        let both = |needed: bool| [false, true].into_iter().take(1 + usize::from(needed));
        let mut segments: Vec<String> = self.segments().map(str::to_owned).collect();
        if self.trailing_slash() {
            segments.push(String::new());
        }
        for _ in 0..=MOST_DECODINGS {
            for split in both(needed.encoded_slash) {
                for cut in both(needed.semicolon) {
                    for merge in both(needed.empty_segment) {
                        let reading = read(&segments, split, cut, merge);
                        if !readings.contains(&reading) {
                            readings.push(reading);
                        }
                    }
                }
            }
            let again = segments.iter().map(|segment| decode_again(segment));
            let Some(decoded) = again.collect::<Result<Vec<_>, _>>().ok() else {
                break;
            };
            if decoded.iter().all(Option::is_none) {
                break;
            }
            segments = decoded
                .into_iter()
                .zip(segments)
                .map(|(decoded, segment)| decoded.unwrap_or(segment))
                .collect();
        }
        // The first is the one that policy has.
        readings.drain(..1.min(readings.len()));
        readings
    }
}

fn read(segments: &[String], split: bool, cut: bool, merge: bool) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(segments.len());
    for segment in segments {
        let pieces = segment.split(|c| split && c == '/');
        for piece in pieces {
            let piece = match piece.split_once(';') {
                Some((name, _)) if cut => name,
                _ => piece,
            };
            if !(merge && piece.is_empty()) {
                out.push(piece.to_owned());
            }
        }
    }
    if out.is_empty() {
        out.push(String::new());
    }
    out
}
