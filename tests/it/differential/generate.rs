//! The tokens: every row of the data files with each key, pairs of their steps, and bytes changed at random.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::bed::forge::{Forged, World, key};
use crate::bed::{Key, Token};
use crate::invariants::tokens::table::rows;
use crate::program::root;

/// Far enough from every day on which this runs.
const BEGAN: i64 = 1_000_000_000;
const ENDS: i64 = 4_102_444_800;

pub const ISSUER: &str = "https://main.example";
/// Keys that good tokens are signed with.
const SIGNERS: &[&str] = &["rsa-1", "es256-1", "es384-1", "ed25519-1"];

/// A token and what was done to it.
pub struct Candidate {
    pub steps: String,
    pub token: String,
    /// What was done, without values.
    pub marks: Vec<String>,
}

/// SplitMix64: the same numbers everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("small")
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// What steps are called in the table: the verb and the name of the member.
pub fn marks(steps: &str) -> Vec<String> {
    let mark = |step: &str| {
        let (verb, what) = step.split_once(' ').unwrap_or((step, ""));
        match verb {
            "header" | "claim" if what.contains("<ef><bb><bf>") => format!("{verb} BOM"),
            "header" | "claim" if what.contains("\"\\ud") => format!("{verb} surrogate"),
            "header" | "claim" => match what.as_bytes().first() {
                Some(b':') => format!("{verb} whole"),
                Some(b'+') => format!("{verb} more"),
                Some(b'-') => format!("{verb} {what}"),
                _ => format!("{verb} {}", what.split('=').next().unwrap_or_default()),
            },
            "signature" if !what.starts_with(['f', 'z']) => step.to_owned(),
            _ => verb.to_owned(),
        }
    };
    steps.split(" ; ").map(str::trim).map(mark).collect()
}

fn members(key: &Key) -> (Map<String, Value>, Map<String, Value>) {
    let token = Token::new(ISSUER, &crate::bed::keys::RSA_1, BEGAN)
        .header("kid", key.kid)
        .header("alg", key.alg)
        .claim("exp", ENDS);
    token.parts()
}

/// The steps of all rows that speak about the token itself and not about a day.
fn all_steps() -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/it/data/tokens"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort_unstable();
    let mut all = Vec::new();
    for file in files {
        for row in rows(&std::fs::read_to_string(file).expect("a data file")) {
            for steps in [&row.steps, &row.own] {
                let about_the_token = |step: &&str| {
                    !["path ", "authorization ", "with "]
                        .iter()
                        .any(|verb| step.starts_with(verb))
                };
                let steps: Vec<_> = steps.split(" ; ").filter(about_the_token).collect();
                let steps = steps.join(" ; ");
                if !steps.is_empty() && !steps.contains("<now") {
                    all.push(steps);
                }
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Text with some of its bytes changed, as JSON of the header or the claims; `None` where it would mean a placeholder.
fn gnawed(chance: &mut Chance, text: &str) -> Option<String> {
    const BYTES: &[u8] = b"{}[]\",:\\0123456789eE+-. u/tfnabAZ_'";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len());
        match chance.below(4) {
            0 => bytes[at] = chance.of(BYTES),
            1 => bytes.insert(at, chance.of(BYTES)),
            2 => drop(bytes.remove(at)),
            _ => {
                let end = (at + 1 + chance.below(8)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = chance.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!["<", "{}", " ; "].iter().any(|part| text.contains(part))).then_some(text)
}

/// All of them; the same every time but for the random numbers in signatures.
pub fn candidates() -> &'static [Candidate] {
    static ALL: OnceLock<Vec<Candidate>> = OnceLock::new();
    ALL.get_or_init(make)
}

fn make() -> Vec<Candidate> {
    let world = World {
        now: BEGAN,
        names: vec![
            ("iss", ISSUER.to_owned()),
            ("trap", "http://192.0.2.1".to_owned()),
        ],
    };
    let mut all = Vec::new();
    let mut add = |signer: &'static Key, steps: String| {
        let (header, claims) = members(signer);
        let forged = std::panic::catch_unwind(|| {
            Forged::new(&world, signer, header, claims)
                .steps(&steps)
                .token()
        });
        // A step may not fit what an earlier one left; and what no field can carry is HTTP's to refuse.
        if let Ok(token) = forged
            && http::HeaderValue::from_str(&token).is_ok()
        {
            all.push(Candidate::new(steps, token));
        }
    };
    let rows = all_steps();
    for kid in SIGNERS {
        for steps in &rows {
            add(key(kid), steps.clone());
        }
    }
    let mut chance = Chance(2027);
    let singles: Vec<&str> = rows
        .iter()
        .flat_map(|steps| steps.split(" ; "))
        .filter(|step| !step.contains("whole") && step.len() < 200)
        .collect();
    for _ in 0..3000 {
        let signer = key(chance.of(SIGNERS));
        let (one, two) = (chance.of(&singles), chance.of(&singles));
        add(signer, format!("{one} ; {two}"));
    }
    for _ in 0..3000 {
        // The quick ones to sign with.
        let signer = key(chance.of(&["es256-1", "ed25519-1"]));
        let (header, claims) = members(signer);
        let (part, members) = if chance.below(3) == 0 {
            ("header", header)
        } else {
            ("claim", claims)
        };
        if let Some(text) = gnawed(&mut chance, &json!(members).to_string()) {
            add(signer, format!("{part} :{text}"));
        }
    }
    // What is changed after signing.
    const LETTERS: &[u8] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/~ ";
    let (header, claims) = members(key("es256-1"));
    let good = Forged::new(&world, key("es256-1"), header, claims).token();
    for _ in 0..1000 {
        let mut bytes = good.clone().into_bytes();
        let at = chance.below(bytes.len());
        match chance.below(3) {
            0 => bytes[at] = chance.of(LETTERS),
            1 => bytes.insert(at, chance.of(LETTERS)),
            _ => drop(bytes.remove(at)),
        }
        let token = String::from_utf8(bytes).expect("ASCII");
        all.push(Candidate::new("bytes".to_owned(), token));
    }
    all
}
