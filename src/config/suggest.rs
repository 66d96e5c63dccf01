//! "did you mean": the nearest of the words that would have been right.

/// Letters of a word that are compared.
const COMPARED: usize = 64;

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = normal(word);
    let most = (word.chars().count() / 3).clamp(1, 3);
    let length = |word: &str| word.chars().take(COMPARED).count();
    let own = length(&word);
    candidates
        .into_iter()
        // What differs in more letters than that is further away.
        .filter(|candidate| length(candidate).abs_diff(own) <= most)
        .map(|candidate| (distance(&word, &normal(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The sentence for [`nearest`].
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Either the nearest candidate or, when none is near, all of them.
pub(crate) fn one_of(word: &str, candidates: &[&str]) -> String {
    did_you_mean(word, candidates.iter().copied()).unwrap_or_else(|| {
        if candidates.is_empty() {
            "none is defined".to_owned()
        } else {
            format!("one of: {}", candidates.join(", "))
        }
    })
}

fn normal(word: &str) -> String {
    word.to_ascii_lowercase().replace(['-', ' ', '.'], "_")
}

/// Edits between two words; a swap of neighbours counts as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(COMPARED).collect();
    let b: Vec<char> = b.chars().take(COMPARED).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (i, &ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut previous_b = None;
        for (j, &cb) in b.iter().enumerate() {
            let at = |line: &[usize], k: usize| line.get(k).copied().unwrap_or(usize::MAX / 2);
            let swap = previous_a == Some(cb) && previous_b == Some(ca);
            let mut cost = (at(&last, j) + usize::from(ca != cb))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            if swap && let Some(k) = j.checked_sub(1) {
                cost = cost.min(at(&before, k) + 1);
            }
            row.push(cost);
            previous_b = Some(cb);
        }
        before = std::mem::replace(&mut last, row);
        previous_a = Some(ca);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_find_what_was_meant_and_strangers_find_nothing() {
        let words = ["exempt", "audiences", "issuer", "max_lifetime", "answers"];
        for (word, meant) in [
            ("exmpt", Some("exempt")),
            ("audience", Some("audiences")),
            ("isuser", Some("issuer")),
            ("max-lifetime", Some("max_lifetime")),
            ("maxlifetime", Some("max_lifetime")),
            ("Answers", Some("answers")),
            ("zebra", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), meant, "{word}");
        }
    }
}
