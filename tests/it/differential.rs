//! Our verifier against others, over thousands of generated tokens: whoever disagrees with us is explained in
//! `tests/it/data/differential.txt`, and every explanation there is still needed.
//!
//! Nothing here depends on chance or on the day: the generator is seeded, and times lie decades away.

mod generate;
mod judges;

use std::collections::{BTreeMap, BTreeSet};

use self::generate::{Candidate, candidates};

/// A class of disagreement, as the table explains it.
#[derive(Debug)]
struct Explained {
    line: usize,
    who: String,
    theirs: String,
    ours: String,
    /// What was done to the token: one of these.
    marks: Vec<String>,
}

/// Rows read `who | theirs | ours | marks, separated by commas | why ours is right`.
fn explained() -> Vec<Explained> {
    let text = include_str!("data/differential.txt");
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [who, theirs, ours, marks, why] = cells[..] else {
            panic!("line {}: five cells, please: {line}", at + 1)
        };
        assert!(!why.is_empty(), "line {}: say why", at + 1);
        rows.push(Explained {
            line: at + 1,
            who: who.to_owned(),
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
            marks: marks.split(", ").map(str::to_owned).collect(),
        });
    }
    rows
}

/// Fails where a disagreement is not explained, and where an explanation explains nothing.
#[track_caller]
fn compare(who: &str, theirs: &[String]) {
    let candidates = candidates();
    let ours = judges::ours(candidates);
    assert_eq!((candidates.len(), ours.len()), (theirs.len(), theirs.len()));
    let table = explained();
    let mut needed: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut counts: BTreeMap<(usize, &str, &str), usize> = BTreeMap::new();
    let mut strange: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut both = [0, 0];
    for ((candidate, ours), theirs) in candidates.iter().zip(ours).zip(theirs) {
        if (ours == "accept") == (theirs == "accept") {
            both[usize::from(ours == "accept")] += 1;
            continue;
        }
        let mut found = false;
        for row in &table {
            if row.who != who || row.theirs != *theirs || row.ours != *ours {
                continue;
            }
            for mark in &row.marks {
                if candidate.marks.contains(mark) {
                    found = true;
                    needed.insert((row.line, mark));
                    *counts.entry((row.line, theirs, ours)).or_default() += 1;
                    break;
                }
            }
        }
        if !found {
            let class = format!("{who} | {theirs} | {ours} | {}", candidate.marks.join(", "));
            strange
                .entry(class)
                .or_insert_with(|| (0, candidate.steps.clone()))
                .0 += 1;
        }
    }
    let [refused, accepted] = both;
    let explained: usize = counts.values().sum();
    println!(
        "{who}: {} tokens, {refused} refused by both, {accepted} accepted by both, {explained} disagreements of \
         {} classes",
        candidates.len(),
        counts.len()
    );
    for ((line, theirs, ours), count) in &counts {
        println!("  line {line}: {count} times {theirs}, where we say {ours}");
    }
    let strange: Vec<_> = strange
        .iter()
        .map(|(class, (count, steps))| format!("{class} | {count} times, as: {steps}"))
        .collect();
    assert!(strange.is_empty(), "unexplained:\n{}", strange.join("\n"));
    for row in table.iter().filter(|row| row.who == who) {
        for mark in &row.marks {
            assert!(
                needed.contains(&(row.line, mark)),
                "line {}: {mark} is no disagreement any more",
                row.line
            );
        }
    }
    assert!(candidates.len() > 5000 && refused > 1000 && accepted > 500);
}

#[test]
fn invariant_09_and_14_every_disagreement_with_jsonwebtoken_is_explained() {
    compare("jsonwebtoken", &judges::jsonwebtoken(candidates()));
}

#[test]
fn invariant_09_and_14_every_disagreement_with_jose_is_explained() {
    if let Some(theirs) = judges::jose(candidates()) {
        compare("jose", &theirs);
    }
}

/// What a difference would look like that nobody explained.
#[test]
#[should_panic(expected = "unexplained")]
fn a_verifier_that_takes_everything_is_found_out() {
    let theirs = vec!["accept".to_owned(); candidates().len()];
    compare("nobody", &theirs);
}

impl Candidate {
    fn new(steps: String, token: String) -> Self {
        let marks = generate::marks(&steps);
        Self {
            steps,
            token,
            marks,
        }
    }
}
