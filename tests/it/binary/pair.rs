//! Two controllers on one store: one works, the other stands by, and neither writes what the other has written.

use std::time::Duration;

use super::process::{self, Process};
use super::{Once, Records, Stage, case, eventually, side_by_side, within};
use crate::cli::repository;
use crate::fake::Reply;

/// The holder of the lease, and the one that stands by.
struct Pair {
    holder: Process,
    other: Process,
}

/// How long the leases are. With a shorter one, a busy machine is enough to lose it: a pass takes seconds then, and the
/// table is on a server in Python.
const LEASE: Duration = Duration::from_secs(15);

/// Both run, with nothing to enforce yet.
fn pair(stage: &Stage) -> Pair {
    let policies = repository().join("policies");
    stage.plimsoll.run(&["apply", "-f", policies.to_str().unwrap()]).exits(0);
    let lease = format!("{}s", LEASE.as_secs());
    let start = || stage.start(&["controller", "--poll", "1s", "--lease", &lease]);
    let (one, two) = (start(), start());
    let stands_by = |process: &Process| process.said().iter().any(|line| line.contains("standing by"));
    let first_waits = eventually("one of two stands by", || match (stands_by(&one), stands_by(&two)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    });
    let (holder, other) = if first_waits { (two, one) } else { (one, two) };
    Pair { holder, other }
}

#[test]
fn two_controllers_are_one() {
    side_by_side([
        case("killed, on a file", the_other_takes_over_when_the_holder_is_killed(Records::File)),
        case("killed, on DynamoDB", the_other_takes_over_when_the_holder_is_killed(Records::DynamoDb)),
        case("suspended, on a file", a_holder_that_was_suspended_past_its_lease_writes_nothing_more(Records::File)),
        case(
            "suspended, on DynamoDB",
            a_holder_that_was_suspended_past_its_lease_writes_nothing_more(Records::DynamoDb),
        ),
    ]);
}

async fn the_other_takes_over_when_the_holder_is_killed(records: Records) {
    let stage = Stage::on(records).await;
    let Pair { holder, other } = pair(&stage);
    stage.plimsoll.run(&["apply", "-f", "mine.yaml"]).exits(0);
    // On a machine that is busy enough, the lease may have changed hands meanwhile.
    let moves = |process: &Process| process.said().iter().any(|line| line.contains(r#""phase":"Stabilizing""#));
    let holds = eventually("a service moves", || match (moves(&holder), moves(&other)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        (false, false) => None,
    });
    let (holder, mut other) = if holds { (holder, other) } else { (other, holder) };
    holder.signal("KILL");
    let before = other.said().len();
    holder.end().was_killed();
    within(LEASE + Duration::from_secs(15), "the other takes over", || {
        other.said()[before..].iter().any(|line| line.contains(r#""phase""#)).then_some(())
    });
    other.says(r#""rollout":"quick-1","phase":"Succeeded""#);
    stage.is_fixed();
    other.signal("TERM");
    other.end().exits(0);
}

async fn a_holder_that_was_suspended_past_its_lease_writes_nothing_more(records: Records) {
    let stage = Stage::on(records).await;
    let Pair { holder, mut other } = pair(&stage);
    let (id, server, suspended) = (holder.id(), stage.ecs.0, Once::<()>::default());
    // In the middle of its first move: ECS does it, and the answer finds nobody.
    stage.script(move |request| {
        if request.operation() == "UpdateService" && suspended.set(()).is_ok() {
            process::signal(id, "STOP");
            return Some(Reply::LoseAnswerOf(server));
        }
        None
    });
    stage.plimsoll.run(&["apply", "-f", "mine.yaml"]).exits(0);
    other.says(r#""rollout":"quick-1","phase":"Succeeded""#);
    stage.is_fixed();
    let (writes, said) = (stage.writes().len(), holder.said().len());
    holder.signal("CONT");
    eventually("it learns that it is no longer the holder", || {
        holder.said()[said..].iter().any(|line| line.contains("standing by")).then_some(())
    });
    assert_eq!(stage.writes()[writes..], []);
    stage.is_fixed();
    for process in [holder, other] {
        process.signal("TERM");
        process.end().exits(0);
    }
}
