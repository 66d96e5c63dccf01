//! Every request of an enumerated space is decided under both policies by the real decision, and each one that is decided
//! differently must be told by a difference; each difference must be shown by its witness.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use super::random::{Draw, Drawn, Random, TOPICS, Topic};
use super::space::{Asked, Asking, connection, everybody, read, requests, spelt};
use super::*;
use crate::case;
use crate::config::Config;
use crate::explain::{CaseError, Explainer, Verdict};

/// Pairs of policies where `COMPARE_PAIRS` says nothing else; 10,000 are the measure (`COMPARE_PAIRS=10000`), and take minutes.
const PAIRS: u64 = 150;

/// Who asks, to one of the policies.
struct Party {
    verified: Option<Rc<Verified>>,
    second: Option<Rc<Verified>>,
}

impl Party {
    fn of(witness: &Witness, issuers: &Issuers) -> Self {
        let verified = |presented: &Presented| match presented {
            Presented::Claims(claims) => {
                let text = Value::Object(claims.clone()).to_string();
                let claims = Claims::parse(text.as_bytes()).unwrap();
                authn::assumed(&claims, None, issuers, NOW).ok()
            }
            _ => None,
        };
        Self {
            verified: verified(&witness.token),
            second: verified(&witness.second),
        }
    }

    /// The decision on a request that is routed.
    fn decide(&self, routed: &mut Routed<()>, witness: &Witness) -> Option<Seen> {
        let head = routed.head_mut();
        head.client = witness.client;
        if head.connection.client_certificate != witness.certificate {
            head.connection = connection(witness);
        }
        let demand = routed.demand();
        let (principal, second) = if demand == Demand::Public {
            (Principal::Anonymous, None)
        } else {
            let principal = match &witness.token {
                Presented::None if demand.takes_anonymous() => Principal::Anonymous,
                Presented::Opaque if demand.takes_opaque() => Principal::Opaque,
                Presented::Claims(_) => Principal::Known(Rc::clone(self.verified.as_ref()?)),
                Presented::None | Presented::Opaque | Presented::Bad => return None,
            };
            let second = match (routed.actor_token(), &witness.second) {
                (None, _) => None,
                (Some(wanted), Presented::None) if !wanted.required => None,
                (Some(wanted), Presented::Claims(_)) => {
                    let own = self.second.as_ref()?;
                    Some(Rc::clone(own)).filter(|own| *own.issuer().name() == wanted.issuer)
                }
                (Some(_), _) => return None,
            };
            if routed.actor_token().is_some() && witness.second != Presented::None {
                second.as_ref()?;
            }
            (principal, second)
        };
        let caller = evaluate::decide(routed, &principal, second.as_ref(), &mut ()).ok()?;
        let forward = routed.route().authorization() == AuthorizationHeader::Forward;
        Some(Seen {
            known: matches!(principal, Principal::Known(_)),
            caller: caller.map(|own| own.to_string()),
            second: second.is_some(),
            forwards: witness.token != Presented::None
                && (forward || matches!(principal, Principal::Opaque)),
        })
    }
}

/// A difference with its labels read.
struct Told<'d> {
    difference: &'d Difference,
    labels: Vec<Label>,
}

enum Label {
    Pattern(PathPattern),
    /// Segments in lower case, and whether more may follow.
    Spelling(Vec<String>, bool),
}

impl<'d> Told<'d> {
    fn of(difference: &'d Difference) -> Self {
        let label = |label: &PathLabel| match label {
            PathLabel::Pattern(text) => Label::Pattern(PathPattern::parse(text).unwrap()),
            PathLabel::Spelling(text) => match text.strip_suffix("/**") {
                Some(text) => Label::Spelling(spelt(text), true),
                None => Label::Spelling(spelt(text), false),
            },
            PathLabel::Ambiguous(..) => panic!("no route takes such paths"),
        };
        Self {
            labels: difference.region.paths.iter().map(label).collect(),
            difference,
        }
    }

    /// Whether it is about this request.
    fn covers(
        &self,
        asked: &Asked,
        named: &[HostPattern],
        cors: [Option<&CorsSettings>; 2],
    ) -> bool {
        let region = &self.difference.region;
        let (hosts, host) = (&region.hosts, &asked.witness.host);
        let is_host = (hosts.others && hosts.named.is_empty())
            || hosts.named.iter().any(|own| own.matches(host))
            || (hosts.others && !named.iter().any(|own| own.matches(host)));
        let allowed = |origin: &str| {
            cors.map(|cors| {
                let mut origins = cors.iter().flat_map(|cors| &cors.origins);
                origins.any(|own| own == "*" || own == origin)
            })
        };
        // An ordinary difference holds for requests with fields that change nothing.
        let is_kind = match (&region.kind, &asked.kind) {
            (Kind::Ordinary, _) => true,
            (Kind::Upgrade(own), Kind::Upgrade(it)) => own.eq_ignore_ascii_case(it),
            (Kind::Preflight { origin, .. }, Kind::Preflight { origin: it, .. }) => {
                allowed(origin) == allowed(it)
            }
            _ => false,
        };
        is_host
            && is_kind
            && region.methods.contains(&asked.witness.method)
            && self.labels.iter().any(|label| label.means(asked))
    }
}

impl Label {
    fn means(&self, asked: &Asked) -> bool {
        let path = &asked.segments;
        match self {
            Self::Pattern(pattern) => {
                for (at, segment) in pattern.segments().iter().enumerate() {
                    let fits = match segment {
                        PatternSegment::Rest => return true,
                        PatternSegment::Literal(own) => {
                            path.get(at).is_some_and(|it| **it == **own)
                        }
                        PatternSegment::Parameter(_) => {
                            path.get(at).is_some_and(|it| !it.is_empty())
                        }
                    };
                    if !fits {
                        return false;
                    }
                }
                pattern.segments().len() == path.len()
            }
            Self::Spelling(own, more) => {
                let len = if *more { own.len() } else { asked.spelt.len() };
                own.len() == len
                    && asked.spelt.len() >= len
                    && own
                        .iter()
                        .zip(&asked.spelt)
                        .all(|(own, it)| own == "{any}" || own == it)
            }
        }
    }
}

/// Whether somebody is among those whom a difference is about.
fn concerns(difference: &Difference, witness: &Witness, side: (&Drawn, &Issuers)) -> bool {
    match &difference.who {
        Who::Anyone | Who::Everybody => true,
        Who::NoToken => witness.token == Presented::None,
        Who::Opaque => witness.token == Presented::Opaque,
        // One of another issuer does not hold either.
        Who::BadSecond => witness.second != Presented::None,
        Who::Second => matches!(witness.second, Presented::Claims(_)),
        Who::Token(alternative) => {
            // The route that owns it, with nothing but this alternative.
            let (drawn, issuers) = side;
            let answer = match difference.effect {
                Effect::Wider => &difference.new,
                _ => &difference.old,
            };
            let owner = answer.route.clone().unwrap();
            let only = drawn.routes.iter().map(|route| {
                let mut route = route.clone();
                if route.name == owner {
                    route.table = MethodTable::Any(Access::Rules {
                        anonymous: false,
                        opaque: false,
                        alternatives: vec![alternative.clone()],
                    });
                }
                route
            });
            let only = policy(drawn.cors.clone(), only);
            decide(&only, issuers, witness).is_some()
        }
    }
}

/// What the decisions on a request depend on, so far as policy sees it: route, row and the values of parameters.
type Row = Option<(Arc<str>, Option<usize>, u8, [Option<String>; 2])>;

/// The owner of a request; `None` when nobody could pass.
fn row(policy: &Policy, request: &Canonical<()>) -> Row {
    let found = find::find(policy, request.head(), NOW).ok()?;
    let values = ["x", "y"].map(|name| {
        let value = found.parameter(request.head(), name);
        value.map(str::to_owned)
    });
    let demand = match found.demand() {
        Demand::Public => 0,
        Demand::Optional => 1,
        Demand::Opaque => 2,
        Demand::OptionalOpaque => 3,
        Demand::Token => 4,
    };
    Some((Arc::clone(found.route.name()), found.row(), demand, values))
}

#[derive(Debug, Default)]
struct Tally {
    same: usize,
    wider: usize,
    narrower: usize,
    identity: usize,
    requests: usize,
}

type Everybody = Rc<Vec<(Asking, Party, Party)>>;

thread_local! {
    static USUAL: RefCell<HashMap<Vec<Topic>, Everybody>> = RefCell::default();
}

struct Pair<'p> {
    old: &'p Drawn,
    new: &'p Drawn,
    topics: &'p [Topic],
    extras: bool,
    hosts: bool,
    tells_caller: bool,
}

/// A pair with what was told of it.
struct Checked<'p> {
    pair: &'p Pair<'p>,
    policies: [Policy; 2],
    issuers: [Issuers; 2],
    /// Hosts that a route names.
    named: Vec<HostPattern>,
}

impl<'p> Checked<'p> {
    fn new(pair: &'p Pair<'p>) -> Self {
        let both = [pair.old, pair.new];
        let routes = both.iter().flat_map(|own| &own.routes);
        Self {
            pair,
            policies: both.map(Drawn::policy),
            issuers: both.map(|own| issuers(own.issuers.clone())),
            named: routes.flat_map(|route| route.hosts.clone()).collect(),
        }
    }

    fn show(&self) -> String {
        format!(
            "OLD\n{}NEW\n{}",
            self.pair.old.shown(),
            self.pair.new.shown()
        )
    }

    /// The differences, each of which its witness has confirmed.
    fn differences(&self, tally: &mut Tally) -> Vec<Difference> {
        let [old, new] = [0, 1].map(|at| (&self.policies[at], &self.issuers[at]));
        let tells_caller = self.pair.tells_caller;
        let side = |(policy, issuers)| Side {
            policy,
            issuers,
            tells_caller,
        };
        let names = [(Some("inbound"), Some("inbound"))];
        let compared = compare(side(old), side(new), &names, NOW);
        assert!(!compared.incomplete, "{}", self.show());
        self.explain(&compared.differences);
        for difference in &compared.differences {
            assert!(
                is_confirmed(difference, old, new, tells_caller),
                "not confirmed: {difference:#?}\n{}",
                self.show()
            );
            match difference.effect {
                Effect::Wider => tally.wider += 1,
                Effect::Narrower => tally.narrower += 1,
                Effect::Identity(_) => tally.identity += 1,
            }
        }
        tally.same += usize::from(compared.differences.is_empty());
        compared.differences
    }

    /// Fails unless `explain` says of each witness, printed as a case, what the difference says of it.
    fn explain(&self, differences: &[Difference]) {
        let configs = [self.pair.old, self.pair.new].map(|drawn| self.config(drawn));
        let [old, new] = configs.each_ref();
        let lines = crate::diff::diff(old, new, NOW).policy;
        assert_eq!(lines.len(), differences.len());
        let explainers = configs.map(|own| Explainer::pinned(Arc::new(own)).unwrap());
        for line in lines {
            let difference = line.difference.unwrap();
            let text = crate::cli::diff::as_text(&line.case.unwrap());
            let read = case::parse(Path::new("case.yaml"), &text);
            let case = &read.unwrap_or_else(|problems| panic!("{problems}")).cases[0];
            for (explainer, answer) in explainers.iter().zip([&difference.old, &difference.new]) {
                let told = match explainer.explain(case, NOW.unix) {
                    // Where no route takes a second token, no field is known to bring it in.
                    Err(CaseError::NoActorHeader) => continue,
                    told => told.unwrap(),
                };
                let passes = told.verdict == Verdict::Forwarded;
                assert!(
                    passes == answer.decision.is_ok()
                        && answer
                            .decision
                            .as_ref()
                            .is_ok_and(|caller| told.caller == *caller)
                            == passes,
                    "{text}\n{told:#?}\n{difference:#?}\n{}",
                    self.show()
                );
            }
        }
    }

    /// A configuration of what was drawn.
    fn config(&self, drawn: &Drawn) -> Config {
        let tells = if self.pair.tells_caller {
            "identity: {headers: {x-caller: caller}}"
        } else {
            ""
        };
        let mut config = crate::diff::tests::config(tells);
        config.policy = Arc::new(drawn.policy());
        config.listeners[0].cors.clone_from(&drawn.cors);
        let (_, verifier) = config.issuers.remove(0);
        let issuers = drawn.issuers.iter().cloned();
        config.issuers = issuers.map(|own| (own, verifier.clone())).collect();
        config
    }

    /// Everybody who could ask. Which claims must be there is no policy, but a setting of its own: tokens that both issuers
    /// take are compared.
    fn everybody(&self) -> Everybody {
        let pair = self.pair;
        let wants_client = [pair.old, pair.new].iter().any(|drawn| {
            let mut required = drawn.issuers.iter().flat_map(|own| &own.required_claims);
            required.any(|claim| claim == "azp")
        });
        let is_complete = |presented: &Presented| match presented {
            Presented::Claims(claims) if wants_client && claims["iss"] != "https://other" => {
                claims.contains_key("azp")
            }
            _ => true,
        };
        let ask = || -> Everybody {
            let all = everybody(pair.topics, pair.extras).into_iter();
            let all = all
                .filter(|own| is_complete(&own.witness.token) && is_complete(&own.witness.second));
            let all = all.map(|asking| {
                let [old, new] = [0, 1].map(|at| Party::of(&asking.witness, &self.issuers[at]));
                (asking, old, new)
            });
            Rc::new(all.collect())
        };
        // The usual issuers know the same tokens for every pair.
        if pair.extras {
            return ask();
        }
        USUAL.with_borrow_mut(|usual| {
            Rc::clone(usual.entry(pair.topics.to_vec()).or_insert_with(ask))
        })
    }

    /// Fails unless one of the differences tells of this effect on a request, of whoever it is where that is said.
    fn assert_told(
        &self,
        told: &[Told<'_>],
        effect: &Effect,
        asked: &Asked,
        whom: Option<&Witness>,
    ) {
        let pair = self.pair;
        let cors = [pair.old.cors.as_ref(), pair.new.cors.as_ref()];
        let side = match effect {
            Effect::Wider => (pair.new, &self.issuers[1]),
            _ => (pair.old, &self.issuers[0]),
        };
        let whom = whom.filter(|_| !matches!(effect, Effect::Identity(_)));
        let is_told = told.iter().any(|own| {
            own.difference.effect == *effect
                && own.covers(asked, &self.named, cors)
                && whom.is_none_or(|whom| concerns(own.difference, whom, side))
        });
        let all: Vec<&Difference> = told.iter().map(|own| own.difference).collect();
        assert!(
            is_told,
            "{effect:?} is not told of {:?}\n{all:#?}\n{}",
            whom.unwrap_or(&asked.witness),
            self.show()
        );
    }

    /// How the decisions on one request differ, whoever asks; each must be told.
    fn ask(
        &self,
        asked: &Asked,
        everybody: &Everybody,
        told: &[Told<'_>],
        tally: &mut Tally,
    ) -> Vec<Effect> {
        let mut all: Vec<Effect> = Vec::new();
        let mut routed = self
            .policies
            .each_ref()
            .map(|policy| read(&asked.witness).route(policy, NOW).ok());
        for (asking, of_old, of_new) in &**everybody {
            tally.requests += 1;
            let [before, after] = &mut routed;
            let before = before
                .as_mut()
                .and_then(|own| of_old.decide(own, &asking.witness));
            let after = after
                .as_mut()
                .and_then(|own| of_new.decide(own, &asking.witness));
            if before == after {
                continue;
            }
            for effect in effects(before.as_ref(), after.as_ref(), self.pair.tells_caller) {
                // Who it is told of is dear to find out: for the first one, and now and then.
                let first = !all.contains(&effect);
                let witness = asking.of(&asked.witness);
                let whom = Some(&witness).filter(|_| first || tally.requests.is_multiple_of(16));
                self.assert_told(told, &effect, asked, whom);
                if first {
                    all.push(effect);
                }
            }
        }
        all
    }
}

fn check(pair: &Pair<'_>, asked: &[Asked], tally: &mut Tally) {
    let checked = Checked::new(pair);
    let differences = checked.differences(tally);
    let everybody = checked.everybody();
    let told: Vec<Told<'_>> = differences.iter().map(Told::of).collect();
    // The same rows of the same routes, asked about the same values, decide alike: everybody is asked once.
    let mut seen: HashMap<(Row, Row), Vec<Effect>> = HashMap::new();
    let is_asked = |own: &&Asked| (pair.hosts || !own.hosted) && (pair.extras || !own.extra);
    for asked in asked.iter().filter(is_asked) {
        let [old, new] = checked
            .policies
            .each_ref()
            .map(|own| row(own, &asked.request));
        if old.is_none() && new.is_none() {
            continue;
        }
        let rows = (old, new);
        if let Some(effects) = seen.get(&rows) {
            for effect in effects {
                checked.assert_told(&told, effect, asked, None);
            }
            continue;
        }
        let all = checked.ask(asked, &everybody, &told, tally);
        seen.insert(rows, all);
    }
}

/// A pair of policies by chance.
fn pair(seed: u64, asked: &[Asked], tally: &mut Tally) {
    let mut random = Random::new(seed);
    let mut topics = vec![*random.of(&TOPICS), *random.of(&TOPICS)];
    topics.dedup();
    let (hosts, extras, tells_caller) = (random.one_in(4), random.one_in(3), random.one_in(2));
    let independent = random.one_in(3);
    let mut draw = Draw {
        random: &mut random,
        topics: topics.clone(),
        hosts,
        extras,
    };
    let old = draw.drawn();
    let new = if independent {
        draw.drawn()
    } else {
        draw.changed(&old)
    };
    let pair = Pair {
        old: &old,
        new: &new,
        topics: &topics,
        extras,
        hosts,
        tells_caller,
    };
    check(&pair, asked, tally);
}

#[test]
fn the_comparison_of_random_policies_agrees_with_brute_force() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("COMPARE_SEED").unwrap_or(0x5eed);
    let pairs: u64 = number("COMPARE_PAIRS").unwrap_or(PAIRS);
    let threads = std::thread::available_parallelism().map_or(1, |own| own.get().min(4));
    let threads = u64::try_from(threads).unwrap();
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let part = |first: u64| {
            move || {
                let asked = requests();
                let mut tally = Tally::default();
                for own in (first..pairs).step_by(usize::try_from(threads).unwrap()) {
                    let seed = seed + own;
                    let run = std::panic::AssertUnwindSafe(|| pair(seed, &asked, &mut tally));
                    assert!(
                        std::panic::catch_unwind(run).is_ok(),
                        "COMPARE_SEED={seed} COMPARE_PAIRS=1"
                    );
                }
                tally
            }
        };
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(part(first))).collect();
        running.into_iter().map(|own| own.join().unwrap()).collect()
    });
    let mut tally = Tally::default();
    for own in tallies {
        tally.same += own.same;
        tally.wider += own.wider;
        tally.narrower += own.narrower;
        tally.identity += own.identity;
        tally.requests += own.requests;
    }
    eprintln!("{pairs} pairs: {tally:?}");
    // Checks that cannot fail are none: enough pairs differ, in every way, and enough do not.
    let at_least = |part: u64| usize::try_from(pairs / part).unwrap();
    assert!(
        tally.same > at_least(20) && tally.same < at_least(2),
        "{tally:?}"
    );
    assert!(tally.wider.min(tally.narrower) > at_least(2), "{tally:?}");
    assert!(tally.identity > at_least(10), "{tally:?}");
    assert!(tally.requests > 50 * at_least(1), "{tally:?}");
}
