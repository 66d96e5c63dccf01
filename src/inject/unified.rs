//! Unified diffs of two texts, by lines (Myers, "An O(ND) Difference Algorithm", 1986).

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// One line of the way from the old text to the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    Same(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// The diff; empty where nothing differs.
#[must_use]
pub fn diff(title: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let steps = steps(&old, &new);
    let mut out = format!("--- {title}\n+++ {title}\n");
    for hunk in hunks(&steps) {
        write(&steps, hunk, &mut out);
    }
    out
}

/// The shortest way. What both have at the beginning and at the end is cut off first.
fn steps<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Step<'a>> {
    let before = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let rest = old.len().min(new.len()) - before;
    let behind = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(rest)
        .take_while(|(old, new)| old == new)
        .count();
    let middle = |lines: &[&'a str]| {
        lines
            .get(before..lines.len() - behind)
            .map(<[_]>::to_vec)
            .unwrap_or_default()
    };
    let same = |lines: &mut dyn Iterator<Item = &&'a str>| {
        lines.map(|line| Step::Same(line)).collect::<Vec<_>>()
    };
    let mut steps = same(&mut old.iter().take(before));
    steps.extend(shortest(&middle(old), &middle(new)));
    steps.extend(same(&mut old.iter().skip(old.len() - behind)));
    steps
}

/// The furthest point on each diagonal; diagonals run from `-limit` to `limit`.
#[derive(Clone)]
struct Reach {
    furthest: Vec<usize>,
    zero: usize,
}

impl Reach {
    fn at(&self, diagonal: isize) -> usize {
        let place = self.zero.checked_add_signed(diagonal);
        place
            .and_then(|place| self.furthest.get(place))
            .copied()
            .unwrap_or_default()
    }

    fn set(&mut self, diagonal: isize, x: usize) {
        let place = self.zero.checked_add_signed(diagonal);
        if let Some(slot) = place.and_then(|place| self.furthest.get_mut(place)) {
            *slot = x;
        }
    }

    /// Whether a step on to the diagonal adds a line rather than takes one away.
    fn adds(&self, diagonal: isize, edits: isize) -> bool {
        diagonal == -edits || diagonal != edits && self.at(diagonal - 1) < self.at(diagonal + 1)
    }
}

fn shortest<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Step<'a>> {
    let most = old.len() + new.len();
    let mut reach = Reach {
        furthest: vec![0; 2 * most + 3],
        zero: most + 1,
    };
    let mut trail = Vec::new();
    let most = isize::try_from(most).unwrap_or(isize::MAX);
    'search: for edits in 0..=most {
        trail.push(reach.clone());
        let mut diagonal = -edits;
        while diagonal <= edits {
            let mut x = if reach.adds(diagonal, edits) {
                reach.at(diagonal + 1)
            } else {
                reach.at(diagonal - 1) + 1
            };
            let mut y = x.saturating_add_signed(-diagonal);
            while x < old.len() && y < new.len() && old.get(x) == new.get(y) {
                x += 1;
                y += 1;
            }
            reach.set(diagonal, x);
            if x >= old.len() && y >= new.len() {
                break 'search;
            }
            diagonal += 2;
        }
    }
    walk_back(old, new, &trail)
}

fn walk_back<'a>(old: &[&'a str], new: &[&'a str], trail: &[Reach]) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let (mut x, mut y) = (old.len(), new.len());
    for (edits, reach) in trail.iter().enumerate().rev() {
        let edits = isize::try_from(edits).unwrap_or(isize::MAX);
        let diagonal =
            isize::try_from(x).unwrap_or_default() - isize::try_from(y).unwrap_or_default();
        let adds = reach.adds(diagonal, edits);
        let from = if adds { diagonal + 1 } else { diagonal - 1 };
        let (from_x, from_y) = if edits == 0 {
            (0, 0)
        } else {
            let from_x = reach.at(from);
            (from_x, from_x.saturating_add_signed(-from))
        };
        while x > from_x && y > from_y {
            x -= 1;
            y -= 1;
            steps.extend(old.get(x).map(|line| Step::Same(line)));
        }
        if edits > 0 && adds {
            y -= 1;
            steps.extend(new.get(y).map(|line| Step::New(line)));
        } else if edits > 0 {
            x -= 1;
            steps.extend(old.get(x).map(|line| Step::Old(line)));
        }
    }
    steps.reverse();
    steps
}

/// Ranges of steps around the changes.
fn hunks(steps: &[Step<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if matches!(step, Step::Same(_)) {
            continue;
        }
        let (from, to) = (
            at.saturating_sub(CONTEXT),
            (at + CONTEXT + 1).min(steps.len()),
        );
        match hunks.last_mut() {
            Some(last) if from <= last.end => last.end = to,
            _ => hunks.push(from..to),
        }
    }
    hunks
}

fn write(steps: &[Step<'_>], hunk: std::ops::Range<usize>, out: &mut String) {
    let before = steps.get(..hunk.start).unwrap_or_default();
    let inside = steps.get(hunk).unwrap_or_default();
    let old = |steps: &[Step<'_>]| {
        steps
            .iter()
            .filter(|step| !matches!(step, Step::New(_)))
            .count()
    };
    let new = |steps: &[Step<'_>]| {
        steps
            .iter()
            .filter(|step| !matches!(step, Step::Old(_)))
            .count()
    };
    let range = |begin: usize, length: usize| match length {
        0 => format!("{begin},0"),
        1 => format!("{}", begin + 1),
        _ => format!("{},{length}", begin + 1),
    };
    out.push_str(&format!(
        "@@ -{} +{} @@\n",
        range(old(before), old(inside)),
        range(new(before), new(inside))
    ));
    for step in inside {
        let (sign, line) = match step {
            Step::Same(line) => (' ', line),
            Step::Old(line) => ('-', line),
            Step::New(line) => ('+', line),
        };
        out.push(sign);
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_diff_is_what_diff_prints() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let new = "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\n";
        assert_eq!(
            diff("x", old, new),
            "--- x\n+++ x\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -8,3 +8,4 @@\n h\n i\n j\n+k\n"
        );
        assert_eq!(diff("x", "", "a\n"), "--- x\n+++ x\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff("x", "a\n", ""), "--- x\n+++ x\n@@ -1 +0,0 @@\n-a\n");
        assert_eq!(diff("x", old, old), "");
    }

    fn side<'a>(steps: &[Step<'a>], mine: fn(&Step<'a>) -> Option<&'a str>) -> Vec<&'a str> {
        steps.iter().filter_map(mine).collect()
    }

    proptest! {
        #[test]
        fn the_way_leads_from_the_old_text_to_the_new_one(
            old in prop::collection::vec("[abc]", 0..12),
            new in prop::collection::vec("[abc]", 0..12),
        ) {
            let old: Vec<&str> = old.iter().map(String::as_str).collect();
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            let steps = steps(&old, &new);
            let of_old = side(&steps, |step| match step { Step::Same(line) | Step::Old(line) => Some(line), Step::New(_) => None });
            let of_new = side(&steps, |step| match step { Step::Same(line) | Step::New(line) => Some(line), Step::Old(_) => None });
            prop_assert_eq!(of_old, old);
            prop_assert_eq!(of_new, new);
        }
    }
}
