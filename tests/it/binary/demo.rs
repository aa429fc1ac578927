//! `demo`, the first thing anybody runs.

use crate::cli::{Plimsoll, Run};

fn demo(seed: &str) -> Run {
    let run = Plimsoll::new().run(&["demo", "--speed", "0", "--seed", seed]).exits(0);
    assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "piped, and not plain: {run:#?}");
    assert!(!run.stdout.contains("BROKEN"), "{run:#?}");
    run
}

#[test]
fn it_shows_every_part_of_the_loop_and_the_same_seed_shows_the_same() {
    let run = demo("1");
    let mut rest = run.stdout.as_str();
    // In this order.
    for part in [
        "64 services in 3 clusters",
        "Findings",
        "security-hub-ecs-3",
        "The plan: of 64 services",
        "/pidMode",
        "CodeDeployController",
        "waived    prod-a/datadog-agent",
        "deferred  prod-a/search",
        "(wave `canary`)",
        "(wave `payments`)",
        "RollingBack",
        "Paused",
        "RolledBack",
        "describe service prod-a/ledger",
        "| held: ",
        "rollout resume",
        "(wave `rest`)",
        "plimsoll freeze incident-42",
        "wait: Frozen",
        "plimsoll unfreeze",
        "kill -9",
        "while ours is under way",
        "Overtaken",
        "Converged.",
        "Held: ",
        "read-only-root.yaml",
        "alarm shop-5xx goes off",
        "RollingBack",
        "rollout abort",
        "rollout undo",
        "RolledBack",
        "plimsoll audit verify",
        "0 broken",
        "kept ",
        "Try next:",
        "plimsoll check",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} does not come next in {run:#?}"));
        rest = &rest[at + part.len()..];
    }
    assert_eq!(demo("1").stdout, run.stdout);
    crate::guides::picture::shows(&run.stdout);
}

#[test]
fn another_seed_is_another_run_that_keeps_its_promises_too() {
    assert!(demo("4").stdout.contains("Converged."));
}
