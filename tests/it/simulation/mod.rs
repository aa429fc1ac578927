//! Deterministic simulation: the real controller, several of it, on virtual time, with everything going wrong by a seed.
//!
//! `law` is the specification. `ports` is where calls are sent, arrive and are answered, `trouble` what goes wrong with
//! them; `others` and `people` are everybody else, `setup` is what people have in force; `mutants` are the bugs that must
//! be found. See `tests/README.md` for figures and for how to replay a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

mod evidence;
mod law;
mod memory;
mod mutants;
mod others;
mod people;
mod ports;
mod rest;
mod rollout_law;
mod run;
mod setup;
mod steps;
mod time;
mod trouble;
mod universe;
mod witness;

pub(crate) use memory::MemoryStore;
use mutants::Mutant;
use run::{End, run};
use trouble::Trouble;

/// How long the chaos of a run lasts, in steps (calls and writes).
const CHAOS: u64 = 1500;

/// Within so many seeds a mutant is found.
const WITHIN: u64 = 60;

#[track_caller]
fn unbroken(end: &End) {
    if !end.broken.is_empty() {
        let tail = end.trace.iter().rev().take(60).rev().cloned().collect::<Vec<_>>().join("\n");
        panic!(
            "seed {} broke a law:\n  {}\nreplay: PLIMSOLL_SEED={} cargo test --test it simulation::one -- --ignored --nocapture\n{tail}",
            end.seed,
            end.broken.join("\n  "),
            end.seed
        );
    }
}

#[test]
fn no_law_is_broken() {
    for seed in 1..=12 {
        unbroken(&run(seed, CHAOS, None));
    }
}

/// Seeds that nobody has run before, so that every run of the tests is one more try. `PLIMSOLL_FRESH` names the first of
/// them, where a run is to be the same as one before.
#[test]
fn no_law_is_broken_by_fresh_seeds() {
    let from = asked("PLIMSOLL_FRESH").unwrap_or_else(fresh);
    eprintln!("fresh seeds from PLIMSOLL_FRESH={from}");
    for seed in from..from + 2 {
        unbroken(&run(seed, CHAOS, None));
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed is fresh because it is taken from the real clock")]
fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // Far from the seeds that are asked for by number.
    since.as_millis() as u64
}

#[test]
fn the_same_seed_is_the_same_run() {
    let (first, second) = (run(7, CHAOS, None), run(7, CHAOS, None));
    assert_eq!(first.trace, second.trace);
    assert_eq!(first.fingerprint, second.fingerprint);
}

#[test]
fn every_mutant_is_found() {
    let mut survived = Vec::new();
    // Whether a seed breaks no law without a mutant: what it breaks with one is the mutant's doing then.
    let mut clean: BTreeMap<u64, bool> = (1..=12).map(|seed| (seed, true)).collect();
    let mut is_clean = |seed: u64| *clean.entry(seed).or_insert_with(|| run(seed, CHAOS, None).broken.is_empty());
    for mutant in Mutant::ALL.iter().filter(|mutant| is_asked_for(**mutant)) {
        let within = asked("PLIMSOLL_WITHIN").unwrap_or(WITHIN);
        // Where it was found before, first: what is drawn may change with the code.
        let seeds = std::iter::once(asked("PLIMSOLL_SEED").unwrap_or_else(|| mutant.found_before()))
            .chain(1..=within)
            // Those in which most writes are lost or late.
            .chain((0..within).map(|number| 10 * number + 5));
        let found = seeds.enumerate().find_map(|(tried, seed)| {
            let end = run(seed, CHAOS, Some(*mutant));
            let law = end.broken.into_iter().find(|law| law.contains(mutant.breaks()))?;
            is_clean(seed).then_some((tried + 1, seed, law))
        });
        match found {
            Some((tried, seed, law)) => {
                let law: String = law.chars().take(200).collect();
                eprintln!("{mutant:?}: seed {seed}, of {tried}: {law}");
            }
            None => survived.push(mutant),
        }
    }
    assert!(survived.is_empty(), "{survived:?}");
}

/// All mutants, or the one of `PLIMSOLL_MUTANT`.
#[expect(clippy::disallowed_methods, reason = "one mutant may be asked for in the environment")]
fn is_asked_for(mutant: Mutant) -> bool {
    std::env::var("PLIMSOLL_MUTANT").map_or(true, |name| name == format!("{mutant:?}"))
}

#[expect(clippy::disallowed_methods, reason = "how many seeds to run is asked for in the environment")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[ignore = "replays one seed: PLIMSOLL_SEED=N, with PLIMSOLL_MUTANT=NAME its bug"]
#[expect(clippy::disallowed_methods, reason = "one mutant may be asked for in the environment")]
fn one() {
    let _ = tracing_subscriber::fmt().with_env_filter("plimsoll=info").without_time().with_ansi(false).try_init();
    let mutant = std::env::var("PLIMSOLL_MUTANT")
        .is_ok()
        .then(|| *Mutant::ALL.iter().find(|mutant| is_asked_for(**mutant)).unwrap());
    let end = run(asked("PLIMSOLL_SEED").unwrap_or(1), asked("PLIMSOLL_STEPS").unwrap_or(CHAOS), mutant);
    eprintln!("{}", end.trace.join("\n"));
    unbroken(&end);
}

#[test]
#[ignore = "runs many seeds: make simulate SEEDS=N"]
fn many() {
    let (seeds, from) = (asked("PLIMSOLL_SEEDS").unwrap_or(100), asked("PLIMSOLL_FROM").unwrap_or(1000));
    let began = tokio::time::Instant::now();
    let (mut steps, mut injected, mut met, mut broken) = (0, BTreeMap::new(), BTreeMap::new(), Vec::new());
    for seed in from..from + seeds {
        let end = run(seed, CHAOS, None);
        steps += end.steps;
        for (trouble, count) in end.injected {
            *injected.entry(trouble).or_insert(0) += count;
        }
        for (key, count) in end.met {
            *met.entry(key).or_insert(0) += count;
        }
        if let Some(law) = end.broken.first() {
            eprintln!("seed {seed}: {law}");
            broken.push(seed);
        }
        if (seed + 1 - from) % 100 == 0 {
            eprintln!("{} seeds, {steps} steps, {:.0} s so far", seed + 1 - from, began.elapsed().as_secs_f64());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let times = |faults: bool| -> u64 {
        injected.iter().filter(|(trouble, _)| trouble.is_fault() == faults).map(|(_, times)| times).sum()
    };
    eprintln!(
        "{seeds} seeds, {steps} steps, {} faults, {} acts of others, {seconds:.0} s, {:.2} seeds/s",
        times(true),
        times(false),
        seeds as f64 / seconds
    );
    eprintln!("{}", coverage(&injected, &met));
    let missing: Vec<_> = Trouble::ALL.iter().filter(|trouble| !injected.contains_key(trouble)).collect();
    assert!(seeds < 100 || missing.is_empty(), "never came in {seeds} seeds: {missing:?}");
    assert!(
        broken.is_empty(),
        "seeds that broke a law, each replayed by PLIMSOLL_SEED=N cargo test --test it simulation::one -- --ignored --nocapture: {broken:?}"
    );
}

/// Which fault came how often, and how often it met a change in which phase.
fn coverage(injected: &BTreeMap<Trouble, u64>, met: &BTreeMap<(Trouble, String), u64>) -> String {
    let phases: BTreeSet<&String> = met.keys().map(|(_, phase)| phase).collect();
    let head: String = phases.iter().map(|phase| format!(" {phase:>16}")).collect();
    let mut table = format!("{:<13}{:>8}{head}\n", "fault", "times");
    for (trouble, times) in injected {
        let of = |phase: &&String| met.get(&(*trouble, (*phase).clone())).copied().unwrap_or(0);
        let row: String = phases.iter().map(|phase| format!(" {:>16}", of(phase))).collect();
        table += &format!("{:<13}{times:>8}{row}\n", format!("{trouble:?}"));
    }
    table
}
