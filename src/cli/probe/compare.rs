//! How an upstream reads paths, beside how the proxy does.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

use super::baseline::{Baseline, Outcome};
use super::quirks::Quirk;
use super::reading::{self, ProxyReading};
use super::variants::{self, PlainPath, Variant};
use super::wire::Wire;
use crate::authz::{NearMiss, RouteSettings};

/// Everything that was learnt.
pub(super) struct Comparison {
    pub(super) upstream: String,
    pub(super) method: &'static str,
    pub(super) paths: Vec<PathComparison>,
    pub(super) differences: Vec<Difference>,
    pub(super) switches: Vec<Switch>,
}

/// One path, and what became of its spellings.
pub(super) struct PathComparison {
    pub(super) path: String,
    /// Why nothing could be learnt of it.
    pub(super) untold: Option<&'static str>,
    /// Only the status is compared.
    pub(super) by_status: bool,
    pub(super) asked: Vec<Asked>,
}

/// One spelling.
pub(super) struct Asked {
    pub(super) variant: Variant,
    pub(super) status: Option<u16>,
    pub(super) outcome: Outcome,
    pub(super) proxy: ProxyReading,
}

impl Asked {
    /// Whether the two read it as two paths.
    fn differs(&self) -> bool {
        let same = self.proxy == ProxyReading::Same;
        match self.outcome {
            Outcome::Same => !same,
            Outcome::Missing => same,
            Outcome::Redirected | Outcome::Other | Outcome::NoAnswer => false,
        }
    }

    /// Whether the proxy lets it pass, whatever is configured.
    const fn passes(&self) -> bool {
        matches!(self.proxy, ProxyReading::Another | ProxyReading::Same)
    }

    /// The switches without which the proxy refuses it.
    fn needed(&self) -> &[&'static str] {
        match &self.proxy {
            ProxyReading::Switched(needed) => needed,
            ProxyReading::NearMiss => &[NEAR_MISS],
            ProxyReading::Same | ProxyReading::Refused(_) | ProxyReading::Another => &[],
        }
    }
}

/// A way in which the two differ.
pub(super) struct Difference {
    pub(super) quirk: &'static Quirk,
    /// How the proxy reads the first of the targets.
    pub(super) proxy: ProxyReading,
    /// The proxy refuses all of them while no switch lets one pass.
    pub(super) held: bool,
    pub(super) targets: Vec<String>,
}

/// The name under which `near_miss: allow` is judged.
pub(super) const NEAR_MISS: &str = "near_miss";

/// A switch of routes.
pub(super) struct Switch {
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// What shows it.
    pub(super) example: Option<String>,
    /// Routes of the configuration that have it on.
    pub(super) on: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The upstream reads what it lets pass as the proxy does.
    Safe,
    /// It does not.
    Unsafe,
    /// No path that was asked for shows it.
    Unknown,
}

impl Comparison {
    /// Asks.
    ///
    /// # Errors
    /// The upstream cannot be reached.
    pub(super) async fn make(
        wire: &Wire,
        paths: &[PlainPath],
        routes: &[&RouteSettings],
    ) -> Result<Self, String> {
        let words = [word()?, word()?];
        let mut compared = Vec::new();
        for path in paths {
            compared.push(compare(wire, path, [&words[0], &words[1]]).await?);
        }
        let asked: Vec<&Asked> = compared.iter().flat_map(|path| &path.asked).collect();
        Ok(Self {
            upstream: crate::cli::show::upstream(wire.address()),
            method: wire.method(),
            differences: differences(&asked),
            switches: switches(&asked, routes),
            paths: compared,
        })
    }

    /// Something passes the proxy that the upstream reads otherwise: always, or by a switch of the configuration.
    pub(super) fn is_open(&self) -> bool {
        let misused = |switch: &Switch| switch.verdict == Verdict::Unsafe && !switch.on.is_empty();
        self.differences.iter().any(|difference| !difference.held)
            || self.switches.iter().any(misused)
    }

    /// None of the paths showed anything.
    pub(super) fn told_nothing(&self) -> bool {
        self.paths.iter().all(|path| path.untold.is_some())
    }
}

/// A name that no path has.
fn word() -> Result<String, String> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "no random numbers".to_owned())?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("q{digits}"))
}

async fn compare(
    wire: &Wire,
    path: &PlainPath,
    words: [&str; 2],
) -> Result<PathComparison, String> {
    let mut compared = PathComparison {
        path: path.to_string(),
        untold: None,
        by_status: false,
        asked: Vec::new(),
    };
    let baseline = match Baseline::of(wire, path, words).await? {
        Ok(baseline) => baseline,
        Err(reason) => {
            compared.untold = Some(reason);
            return Ok(compared);
        }
    };
    compared.by_status = baseline.by_status();
    let plain = reading::plain(&compared.path)?;
    let mut quirks: Vec<&'static Quirk> = Vec::new();
    let [word, _] = words;
    let controls = variants::controls(path, word);
    let spellings = variants::spellings(path, word);
    for variant in controls.into_iter().chain(spellings) {
        if variant.unless.is_some_and(|quirk| quirks.contains(&quirk)) {
            continue;
        }
        let answer = wire.ask(&variant.target).await?;
        let asked = Asked {
            status: answer.as_ref().map(|answer| answer.status),
            outcome: baseline.judge(&variant.target, answer.as_ref()),
            proxy: reading::of(&variant.target, &plain),
            variant,
        };
        if asked.outcome == Outcome::Same {
            quirks.push(asked.variant.quirk);
        }
        compared.asked.push(asked);
    }
    Ok(compared)
}

fn differences(asked: &[&Asked]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for asked in asked.iter().filter(|asked| asked.differs()) {
        let target = asked.variant.target.clone();
        let known = found
            .iter_mut()
            .find(|known| known.quirk == asked.variant.quirk);
        if let Some(known) = known {
            known.held &= !asked.passes();
            known.targets.push(target);
        } else {
            found.push(Difference {
                quirk: asked.variant.quirk,
                proxy: asked.proxy.clone(),
                held: !asked.passes(),
                targets: vec![target],
            });
        }
    }
    found
}

fn switches(asked: &[&Asked], routes: &[&RouteSettings]) -> Vec<Switch> {
    let names = [
        "encoded_slash",
        "empty_segment",
        "semicolon",
        "encoded_percent",
        NEAR_MISS,
    ];
    let wrong: Vec<&Asked> = asked
        .iter()
        .copied()
        .filter(|asked| asked.outcome == Outcome::Same)
        .collect();
    let by_itself = |name: &str| wrong.iter().find(|asked| asked.needed() == [name]);
    // Where it takes several switches for a spelling to pass, one that is to blame by itself speaks for the others.
    let together = |name: &str| {
        wrong.iter().find(|asked| {
            let needed = asked.needed();
            needed.contains(&name) && !needed.iter().any(|other| by_itself(other).is_some())
        })
    };
    let switch = |name: &'static str| {
        let right = asked
            .iter()
            .find(|asked| asked.variant.alone && asked.needed() == [name]);
        let (verdict, example) = match (by_itself(name).or_else(|| together(name)), right) {
            (Some(wrong), _) => (Verdict::Unsafe, Some(wrong)),
            (None, Some(right)) => (Verdict::Safe, Some(right)),
            (None, None) => (Verdict::Unknown, None),
        };
        let on = routes.iter().filter(|route| is_on(route, name));
        Switch {
            name,
            verdict,
            example: example.map(|asked| asked.variant.target.clone()),
            on: on.map(|route| route.name.to_string()).collect(),
        }
    };
    names.map(switch).into()
}

fn is_on(route: &RouteSettings, switch: &str) -> bool {
    match switch {
        NEAR_MISS => route.near_miss == NearMiss::Allow,
        _ => reading::switches(route.allowances).contains(&switch),
    }
}
