//! Stopped, killed, cut off: the next controller comes to the same end, and no step is taken twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::process::{self, Process};
use super::{Once, Records, Stage, UNTIL_SETTLED, case, eventually, side_by_side};
use crate::fake::Reply;

/// What the call that meets the fault comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    /// It never reaches ECS.
    Lost,
    /// ECS does it, and its answer is lost.
    Done,
}

/// The controller is killed the moment it makes its `nth` call of this operation.
fn kill_at(stage: &Stage, operation: &'static str, nth: usize, call: Call) -> Process {
    let victim = Once::<u32>::default();
    let (id, server) = (std::sync::Arc::clone(&victim), stage.ecs.0);
    let count = AtomicUsize::new(0);
    stage.script(move |request| {
        if request.operation() != operation || count.fetch_add(1, Ordering::SeqCst) + 1 != nth {
            return None;
        }
        process::signal(*id.wait(), "KILL");
        Some(match call {
            Call::Lost => Reply::HangUp,
            Call::Done => Reply::LoseAnswerOf(server),
        })
    });
    let process = stage.start(&UNTIL_SETTLED);
    victim.set(process.id()).unwrap();
    process
}

async fn killed_at(records: Records, operation: &'static str, nth: usize, call: Call) {
    let stage = Stage::enforced_on(records).await;
    kill_at(&stage, operation, nth, call).end().was_killed();
    stage.start(&UNTIL_SETTLED).end().exits(0);
    stage.is_fixed();
    stage.plimsoll.run(&["plan"]).exits(0);
    stage.plimsoll.run(&["audit", "verify"]).exits(0);
}

#[test]
fn killed_around_any_call() {
    side_by_side([
        case("Lost RegisterTaskDefinition 1", killed_at(Records::File, "RegisterTaskDefinition", 1, Call::Lost)),
        case("Done RegisterTaskDefinition 2", killed_at(Records::File, "RegisterTaskDefinition", 2, Call::Done)),
        case("Lost UpdateService 1", killed_at(Records::File, "UpdateService", 1, Call::Lost)),
        case("Done UpdateService 1", killed_at(Records::File, "UpdateService", 1, Call::Done)),
        case("Done RegisterTaskDefinition 1", killed_at(Records::DynamoDb, "RegisterTaskDefinition", 1, Call::Done)),
        case("Done UpdateService 2", killed_at(Records::DynamoDb, "UpdateService", 2, Call::Done)),
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again() {
    let stage = Stage::enforced().await;
    kill_at(&stage, "RegisterTaskDefinition", 1, Call::Done).end().was_killed();
    kill_at(&stage, "UpdateService", 1, Call::Done).end().was_killed();
    // Between two calls: while the first wave bakes.
    stage.script(|_| None);
    let mut baking = stage.start(&UNTIL_SETTLED);
    baking.says(r#""phase":"Baking""#);
    baking.signal("KILL");
    baking.end().was_killed();
    kill_at(&stage, "UpdateService", 3, Call::Done).end().was_killed();
    stage.script(|_| None);
    stage.start(&UNTIL_SETTLED).end().exits(0);
    stage.is_fixed();
}

/// Told to stop in the middle of a rollout: it ends in peace, and the next one goes on at once.
async fn told_to_stop(signal: &str) {
    let stage = Stage::enforced().await;
    // So long a lease that nobody would be patient enough, were it not given up.
    let arguments = ["controller", "--poll", "1s", "--lease", "10m"];
    let mut first = stage.start(&arguments);
    first.says(r#""phase":"Stabilizing""#);
    first.signal(signal);
    first.end().exits(0);
    let lease = stage.plimsoll.run(&["get", "leases", "-o", "json"]).exits(0).json();
    assert_eq!(lease["items"][0]["spec"]["holder"], serde_json::Value::Null, "{lease:#}");
    let next = stage.start(&["controller", "--until-settled", "--poll", "1s", "--lease", "10m"]).end().exits(0);
    assert!(!next.said.iter().any(|line| line.contains("standing by")), "{next:#?}");
    stage.is_fixed();
}

#[test]
fn sigterm_and_ctrl_c_hand_over() {
    side_by_side([case("TERM", told_to_stop("TERM")), case("INT", told_to_stop("INT"))]);
}

/// Told twice, while ECS keeps it waiting.
async fn told_twice(signal: &str, code: i32) {
    let stage = Stage::enforced().await;
    let waits = Once::<()>::default();
    let told = std::sync::Arc::clone(&waits);
    stage.script(move |request| {
        let stuck = request.operation() == "UpdateService";
        stuck.then(|| {
            let _ = told.set(());
            Reply::Silence
        })
    });
    let mut process = stage.start(&["controller", "--poll", "1s", "--lease", "10m"]);
    eventually("it calls", || waits.get().copied());
    process.signal(signal);
    // The first one lets the call end.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!process.has_ended(), "{:?}", process.said());
    process.signal(signal);
    process.end().exits(code);
}

#[test]
fn a_second_signal_stops_at_once() {
    side_by_side([case("TERM", told_twice("TERM", 143)), case("INT", told_twice("INT", 130))]);
}
