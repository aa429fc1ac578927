//! Deterministic simulation: the real controller, several of it, on virtual time, with everything going wrong by a seed.
//!
//! `law` is the specification. `ports` is where calls are sent, arrive and are answered; `others` is everybody else;
//! `mutants` are the bugs that must be found. See `tests/README.md` for figures and for how to replay a seed.

use std::collections::BTreeMap;

mod law;
mod memory;
mod mutants;
mod others;
mod ports;
mod run;
mod time;
mod universe;

use mutants::Mutant;
use run::{End, run};

/// How long the chaos of a run lasts, in steps (calls and writes).
const CHAOS: u64 = 1500;

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

#[test]
fn the_same_seed_is_the_same_run() {
    let (first, second) = (run(7, CHAOS, None), run(7, CHAOS, None));
    assert_eq!(first.trace, second.trace);
    assert_eq!(first.fingerprint, second.fingerprint);
}

#[test]
fn every_mutant_is_found() {
    let mut survived = Vec::new();
    for mutant in Mutant::ALL {
        let found = (1..=150).find_map(|seed| {
            let end = run(seed, CHAOS, Some(*mutant));
            end.broken.first().map(|law| (seed, law.clone()))
        });
        match found {
            Some((seed, law)) => eprintln!("{mutant:?}: seed {seed}: {law}"),
            None => survived.push(mutant),
        }
    }
    assert!(survived.is_empty(), "{survived:?}");
}

#[expect(clippy::disallowed_methods, reason = "how many seeds to run is asked for in the environment")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[ignore = "replays one seed: PLIMSOLL_SEED=N"]
fn one() {
    let _ = tracing_subscriber::fmt().with_env_filter("plimsoll=info").without_time().with_ansi(false).try_init();
    let end = run(asked("PLIMSOLL_SEED").unwrap_or(1), asked("PLIMSOLL_STEPS").unwrap_or(CHAOS), None);
    eprintln!("{}", end.trace.join("\n"));
    unbroken(&end);
}

#[test]
#[ignore = "runs many seeds: make simulate SEEDS=N"]
fn many() {
    let (seeds, from) = (asked("PLIMSOLL_SEEDS").unwrap_or(100), asked("PLIMSOLL_FROM").unwrap_or(1000));
    let began = tokio::time::Instant::now();
    let (mut steps, mut met, mut broken) = (0, BTreeMap::new(), Vec::new());
    for seed in from..from + seeds {
        let end = run(seed, CHAOS, None);
        steps += end.steps;
        for (key, count) in end.met {
            *met.entry(key).or_insert(0) += count;
        }
        if let Some(law) = end.broken.first() {
            eprintln!("seed {seed}: {law}");
            broken.push(seed);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    eprintln!(
        "{seeds} seeds, {steps} steps, {seconds:.0} s, {:.1} seeds/s; faults met, by phase of a change:",
        seeds as f64 / seconds
    );
    for ((trouble, phase), count) in &met {
        eprintln!("  {trouble:?} {phase} {count}");
    }
    assert!(broken.is_empty(), "seeds that broke a law: {broken:?}");
}
