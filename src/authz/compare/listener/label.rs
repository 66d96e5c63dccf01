//! What paths a cell stands for, in words of policy.

use super::Cell;
use crate::authz::compare::cells::{Piece, PieceKind};
use crate::authz::compare::region::PathLabel;
use crate::authz::pattern::{PathPattern, PatternSegment};
use crate::rejection::{PathFault, Rejection};

/// What paths a cell stands for.
pub(super) fn label(cell: &Cell<'_>, refusals: [Option<&Rejection>; 2]) -> PathLabel {
    let refused = refusals.into_iter().flatten().next();
    match refused {
        Some(Rejection::NearMiss) if !cell.is_literal() => {
            PathLabel::Spelling(as_meant(cell.pieces))
        }
        Some(Rejection::AmbiguousPath(fault)) => {
            let word = match fault {
                PathFault::EmptySegment => "empty_segment",
                PathFault::EncodedSlash => "encoded_slash",
                PathFault::Semicolon => "semicolon",
                _ => "encoded_percent",
            };
            PathLabel::Ambiguous(cell.pattern(), word)
        }
        _ => PathLabel::Pattern(cell.pattern()),
    }
}

/// What two patterns both match, as one pattern; there is such a path.
pub(super) fn common(one: Option<&PathPattern>, other: Option<&PathPattern>) -> String {
    let (Some(one), Some(other)) = (one, other) else {
        return one.or(other).map(ToString::to_string).unwrap_or_default();
    };
    let mut segments: Vec<&PatternSegment> = Vec::new();
    let (mut ours, mut theirs) = (one.segments(), other.segments());
    loop {
        match (ours.split_first(), theirs.split_first()) {
            (Some((PatternSegment::Rest, _)), _) => {
                segments.extend(theirs);
                break;
            }
            (_, Some((PatternSegment::Rest, _))) => {
                segments.extend(ours);
                break;
            }
            (Some((own, rest)), Some((their, their_rest))) => {
                let literal = matches!(own, PatternSegment::Literal(_));
                segments.push(if literal { own } else { their });
                (ours, theirs) = (rest, their_rest);
            }
            _ => break,
        }
    }
    let mut text = String::new();
    for segment in segments {
        text.push('/');
        match segment {
            PatternSegment::Literal(literal) => text.push_str(literal),
            PatternSegment::Parameter(name) => text.push_str(&format!("{{{name}}}")),
            PatternSegment::Rest => text.push_str("**"),
        }
    }
    text
}

/// The path that a spelling is one of, without a slash at the end.
fn as_meant(pieces: &[Piece]) -> String {
    let mut text = String::new();
    let last = pieces.len().saturating_sub(1);
    for (at, piece) in pieces.iter().enumerate() {
        if at == last && at > 0 && piece.text.is_empty() {
            break;
        }
        text.push('/');
        match &piece.kind {
            PieceKind::Spelling(literal) => text.push_str(literal),
            PieceKind::Fresh | PieceKind::Ambiguous(_) => text.push_str("{any}"),
            PieceKind::Rest => text.push_str("**"),
            PieceKind::Literal | PieceKind::Empty => text.push_str(&piece.text),
        }
    }
    text
}
