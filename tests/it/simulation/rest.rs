//! After the chaos: nothing goes wrong any more, nobody acts, and everything must come to rest and be explained.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::plan::PlanOutcome;

use super::evidence;
use super::run::Process;
use super::universe::{Universe, phase};
use super::{law, others, people};

/// Everything comes to rest within this.
const REST: Duration = Duration::from_secs(4 * 3600);

/// Nothing has happened for so long: nothing more will. Longer than any timeout of the strategy's, and than what is watched
/// after a takeover.
const STILL: Duration = Duration::from_secs(20 * 60);

/// The same, where nothing is under way: some whole passes.
const AT_REST: Duration = Duration::from_secs(4 * 60);

/// How often people let go on what waits for them.
const LET_GO: usize = 3;

pub(crate) fn rest(universe: &Arc<Universe>, processes: &mut [Process]) {
    if universe.is_broken() {
        return;
    }
    universe.say("no more trouble".to_owned());
    universe.state().faults = false;
    people::thaws(universe);
    others::quietens(universe);
    processes.iter_mut().for_each(Process::calms_down);
    let until = universe.time.elapsed() + REST;
    let mut let_go = 0;
    let mut quiet_since = universe.time.elapsed();
    let mut last = 0;
    while universe.time.elapsed() < until && !universe.is_broken() {
        law::as_time_passes(universe);
        let moved = processes.iter_mut().fold(false, |moved, process| process.runs(universe) | moved);
        if moved {
            continue;
        }
        if !universe.time.jump() {
            universe.time.pass(Duration::from_secs(1));
        }
        let (lines, now) = (universe.told(), universe.time.elapsed());
        if lines != last {
            (last, quiet_since) = (lines, now);
        }
        if now - quiet_since > AT_REST && (now - quiet_since > STILL || !is_under_way(universe)) {
            if let_go == LET_GO || !people::lets_go(universe) {
                break;
            }
            let_go += 1;
            quiet_since = now;
        }
    }
    settled(universe, processes);
    law::at_the_end(universe);
}

/// Whether anything may still come of what was begun.
fn is_under_way(universe: &Universe) -> bool {
    let moving = |name: &str| matches!(name, "Registering" | "Updating" | "Stabilizing" | "Verifying" | "RollingBack");
    let intended = |body: &serde_json::Value| body["state"]["phase"] == "Intended";
    let going = |name: &str| matches!(name, "Scheduled" | "Progressing" | "Baking" | "RollingBack");
    universe.awaits_calls()
        || law::waits(universe)
        || universe.changes().iter().any(|change| moving(&phase(&change.body)))
        || universe.records("registration#").iter().any(|registration| intended(&registration.body))
        || universe.records("rollout#").iter().any(|rollout| going(&phase(&rollout.body)))
}

/// Every resource complies, or it is said why not; and what is said to comply does.
fn settled(universe: &Universe, processes: &[Process]) {
    let latest = processes.iter().filter_map(Process::report).max_by_key(|(at, _)| *at);
    let Some(plan) = latest.and_then(|(_, report)| report.plan) else {
        return universe.broke("nobody has made a plan since everything is quiet".to_owned());
    };
    let world = &mut evidence::world(universe);
    for resource in others::resources(world) {
        let arn = resource.as_str();
        let Some(planned) = plan.resources().find(|planned| &*planned.resource == arn) else {
            universe.broke(format!("nothing is said of {}", resource.short()));
            continue;
        };
        let why = planned.reason.as_ref().map(ToString::to_string);
        match planned.outcome {
            PlanOutcome::Compliant => {
                let broken = evidence::violations(world, arn);
                if !broken.is_empty() {
                    universe.broke(format!("{} is said to comply, and breaks {broken:?}", resource.short()));
                }
            }
            PlanOutcome::Waived | PlanOutcome::Audit => {}
            PlanOutcome::Blocked | PlanOutcome::Change | PlanOutcome::Deferred if why.is_some() => {}
            outcome => universe.broke(format!("{} has not come to rest: {outcome:?}, {why:?}", resource.short())),
        }
    }
    for change in universe.changes() {
        let phase = phase(&change.body);
        if matches!(phase.as_str(), "Updating" | "Stabilizing" | "Verifying" | "RollingBack") {
            universe.broke(format!("change {} has not come to rest: {phase}", change.body["name"]));
        }
        // Whatever else it waits for: not for a service that is not there.
        let service = change.body["spec"]["resource"].as_str().filter(|arn| arn.contains(":service/"));
        let gone = |arn: &str| evidence::service(world, arn)["status"] != "ACTIVE";
        if phase == "Registering" && service.is_some_and(gone) {
            universe.broke(format!("change {} waits for a service that is gone", change.body["name"]));
        }
    }
}
