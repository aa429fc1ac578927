//! After the chaos: nothing goes wrong any more, nobody acts, and everything must come to rest and be explained.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::model::{Reason, ReasonCode, Resource};
use plimsoll::plan::PlanOutcome;
use plimsoll::sim::World;
use serde_json::Value;

use super::evidence::{self, short};
use super::run::Process;
use super::universe::{Record, Universe, deployments, phase};
use super::{law, others, people, rollout_law, witness};

/// Everything comes to rest within this.
const REST: Duration = Duration::from_secs(4 * 3600);

/// Nothing has happened for so long: nothing more will. Longer than any timeout of the strategy's, and than what is watched
/// after a takeover.
const STILL: Duration = Duration::from_secs(20 * 60);

/// The same, where nothing is under way: some whole passes, and longer than a revision rests before it is taken for a stray.
const AT_REST: Duration = Duration::from_secs(7 * 60);

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
    let (mut let_go, mut rested) = (0, false);
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
                rested = true;
                break;
            }
            let_go += 1;
            quiet_since = now;
        }
    }
    if !rested && !universe.is_broken() {
        universe.broke(format!("it has not come to rest within {REST:?}"));
    }
    settled(universe, processes);
    law::at_the_end(universe);
}

/// Whether anything may still come of what was begun.
fn is_under_way(universe: &Universe) -> bool {
    let moving = |name: &str| {
        matches!(name, "Registering" | "Updating" | "Stabilizing" | "Verifying" | "RollingBack" | "Clobbering")
    };
    let intended = |body: &serde_json::Value| body["state"]["phase"] == "Intended";
    let going = |name: &str| matches!(name, "Scheduled" | "Progressing" | "Baking" | "RollingBack");
    universe.awaits_calls()
        || law::waits(universe)
        || universe.changes().iter().any(|change| moving(&phase(&change.body)))
        || universe.records("registration#").iter().any(|registration| intended(&registration.body))
        || universe.records("rollout#").iter().any(|rollout| going(&phase(&rollout.body)))
}

/// Every resource complies, or it is said why not; and what is said is true.
fn settled(universe: &Universe, processes: &[Process]) {
    let latest = processes.iter().filter_map(Process::report).max_by_key(|(at, _)| *at);
    let Some(plan) = latest.and_then(|(_, report)| report.plan) else {
        return universe.broke("nobody has made a plan since everything is quiet".to_owned());
    };
    let world = &mut evidence::world(universe);
    let setup = universe.state().setups.last_key_value().map(|(_, setup)| setup.clone());
    // (What ends about now may have been so, or not, when it was said.)
    let (now, waived) = (universe.time.now(), universe.state().waived.last_key_value().and_then(|(_, of)| of.clone()));
    let ends_about_now = waived.as_ref().is_some_and(|of| of.until + STILL > now && now + STILL > of.until);
    let waived = waived.filter(|waived| waived.until > now || ends_about_now).map(|waived| waived.service);
    for resource in others::resources(world) {
        let (arn, short) = (resource.as_str(), resource.short());
        let Some(planned) = plan.resources().find(|planned| &*planned.resource == arn) else {
            universe.broke(format!("nothing is said of {short}"));
            continue;
        };
        let mut broken = evidence::violations(world, arn);
        broken.retain(|policy| setup.as_ref().is_some_and(|setup| setup.without != Some(policy)));
        let (cluster, service) =
            (short.split('/').next().unwrap_or_default(), short.split_once('/').map(|(_, name)| name));
        let is_waived = |policy: &str| policy == "no-host-pid" && waived.is_some() && waived.as_deref() == service;
        let asks = |policy: &str| setup.as_ref().is_some_and(|setup| setup.asks(policy, cluster, service));
        let open: Vec<&str> = broken.iter().copied().filter(|policy| asks(policy) && !is_waived(policy)).collect();
        let reason = planned.reason.as_ref();
        match (planned.outcome, reason) {
            (PlanOutcome::Compliant, _) => {
                if !broken.is_empty() {
                    universe.broke(format!("{short} is said to comply, and breaks {broken:?}"));
                }
            }
            (PlanOutcome::Waived | PlanOutcome::Audit, _) => {
                if !open.is_empty() {
                    let outcome = planned.outcome.as_str();
                    universe.broke(format!("{short} is said to be {outcome}, and breaks {open:?}, which is asked for"));
                }
            }
            (PlanOutcome::Blocked | PlanOutcome::Change | PlanOutcome::Deferred, Some(reason)) => {
                if let Err(why) = is_true(universe, world, arn, reason) {
                    universe.broke(format!(
                        "{short} is {:?}, and what is said is not true: {reason}: {why}",
                        planned.outcome
                    ));
                }
            }
            (outcome, reason) => universe.broke(format!("{short} has not come to rest: {outcome:?}, {reason:?}")),
        }
    }
    let rollouts = universe.records("rollout#");
    for change in universe.changes().iter().filter(|change| witness::is_live(&change.body)) {
        let (name, phase) = (&change.body["name"], phase(&change.body));
        let resource = change.body["spec"]["resource"].as_str().unwrap_or_default();
        if !matches!(phase.as_str(), "Pending" | "Registering") {
            universe.broke(format!("change {name} has not come to rest: {phase}"));
        }
        let Some(rollout) = rollouts.iter().find(|of| of.body["name"] == change.body["spec"]["rollout"]) else {
            continue;
        };
        let waits = [&change.body["waiting"], &rollout.body["waiting"], &rollout.body["reason"]];
        let reasons: Vec<Reason> =
            waits.into_iter().filter_map(|why| serde_json::from_value(why.clone()).ok()).collect();
        let stands = super::universe::phase(&rollout.body);
        // Whatever else it waits for: not for a service that is not there. (What a person is asked about is looked at then.)
        let gone = resource.contains(":service/") && evidence::service(world, resource)["status"] != "ACTIVE";
        // … nor for one whose wave has not come, or waits for a person, a window or tomorrow: it is looked at then.
        let its_turn = rollout.body["wave"] == change.body["spec"]["wave"]
            && !["ApprovalRequired", "MaxChangesPerDay", "OutsideWindow"]
                .map(Value::from)
                .contains(&rollout.body["waiting"]["code"]);
        if gone && (phase == "Registering" || stands == "Progressing" && its_turn) {
            let why = &rollout.body["waiting"]["message"];
            universe.broke(format!("change {name} is {phase}, and its service is gone; its rollout: {why}"));
        }
        if reasons.is_empty() {
            universe.broke(format!("change {name} is {phase}, its rollout is {stands}, and nothing is said of why"));
        }
        // One that has not begun may still say why it did not when it was last tried: then its rollout says why now.
        let found: Vec<_> = reasons.iter().map(|reason| is_true(universe, world, resource, reason)).collect();
        if !found.is_empty() && found.iter().all(Result::is_err) {
            universe.broke(format!(
                "change {name} is {phase} ({stands}), and nothing said is true: {reasons:?}: {found:?}"
            ));
        }
    }
}

/// The services of a cluster that break what is asked of them: a rollout counts those that it cannot touch yet.
fn violating(universe: &Universe, world: &mut World, of: &str) -> BTreeSet<String> {
    let setup = universe.state().setups.last_key_value().map(|(_, setup)| setup.clone());
    let breaks = |world: &mut World, resource: &Resource| {
        let short = resource.short();
        let (cluster, service) = short.split_once('/').filter(|(cluster, _)| *cluster == of)?;
        let asked = |policy: &str| setup.as_ref().is_some_and(|setup| setup.asks(policy, cluster, Some(service)));
        let broken = evidence::violations(world, resource.as_str());
        broken.into_iter().any(asked).then(|| resource.as_str().to_owned())
    };
    let resources = others::resources(world);
    resources.iter().filter_map(|resource| breaks(world, resource)).collect()
}

/// Whether a reason is one to stand still for, and true; else what is the case.
fn is_true(universe: &Universe, world: &mut World, arn: &str, reason: &Reason) -> Result<(), String> {
    let named = reason.message.split('`').nth(1).unwrap_or_default();
    let rollouts = universe.records("rollout#");
    let of_it = |rollout: &&Record| {
        let about = |change: &Record| {
            change.body["spec"]["rollout"] == rollout.body["name"] && change.body["spec"]["resource"] == arn
        };
        universe.changes().iter().any(about)
    };
    let of_name = |name: &str| rollouts.iter().find(|rollout| rollout.body["name"] == name).map(|of| phase(&of.body));
    let service = evidence::service(world, arn);
    let holds = |truth: bool, what: String| if truth { Ok(()) } else { Err(what) };
    match reason.code {
        ReasonCode::Held => {
            // (It was said some minutes ago.)
            let said = universe.time.now() - Duration::from_secs(5 * 60);
            let held = |hold: &Record| hold.body["resource"] == arn && witness::lasts(said, &hold.body);
            holds(universe.records("hold#").iter().any(held), "nothing is held off it".to_owned())
        }
        // Somebody else's rollout of the same fix, or its own.
        ReasonCode::FixStopped
        | ReasonCode::ChangeFailed
        | ReasonCode::NothingVerified
        | ReasonCode::PausedByPerson => {
            let stopped: Vec<&str> = reason.message.split('`').collect();
            let mut phases: Vec<_> = stopped.iter().filter_map(|name| of_name(name)).collect();
            if phases.is_empty() {
                phases.extend(rollouts.iter().filter(of_it).map(|rollout| phase(&rollout.body)));
            }
            let open = |phase: &String| matches!(phase.as_str(), "Progressing" | "Baking" | "Scheduled" | "Succeeded");
            holds(!phases.iter().all(open), format!("these are {phases:?}"))
        }
        ReasonCode::MutableImage => {
            let revision = service["taskDefinition"].as_str().unwrap_or_default();
            let document = evidence::definition(world, revision).map(|made| evidence::input(&made)).unwrap_or_default();
            let images = document["containerDefinitions"].as_array().cloned().unwrap_or_default();
            let tagged = |container: &Value| container["image"].as_str().is_some_and(|image| !image.contains('@'));
            holds(images.iter().any(tagged), format!("{revision} has {images:?}"))
        }
        ReasonCode::FamilyAhead => {
            let runs = service["taskDefinition"].as_str().unwrap_or_default().to_owned();
            let family = short(&runs).split(':').next().unwrap_or_default().to_owned();
            let latest = evidence::definition(world, &family).map(|latest| latest.arn.as_str().to_owned());
            holds(latest.as_ref() != Some(&runs), format!("it runs the latest, {latest:?}"))
        }
        ReasonCode::MaxChangesPerDay => {
            let full = rollout_law::is_full_today(universe, arn);
            holds(full, "no strategy of its cluster has had so many".to_owned())
        }
        // Another rollout of its strategy has the places.
        ReasonCode::MaxInFlight => {
            let promised = universe.state().promised.clone();
            let strategy = |rollout: &str| promised.get(rollout).map(|promise| promise.strategy.name);
            let of = strategy(named).unwrap_or(named);
            let has_a_place = |change: &Record| {
                let rollout = change.body["spec"]["rollout"].as_str().unwrap_or_default();
                witness::is_live(&change.body)
                    && phase(&change.body) != "Pending"
                    && rollout != named
                    && change.body["waiting"]["code"] != "FixStopped"
                    && strategy(rollout) == Some(of)
            };
            holds(universe.changes().iter().any(has_a_place), "no other rollout has a place".to_owned())
        }
        ReasonCode::TooManyServices => {
            let cluster = short(arn).split('/').next().unwrap_or_default().to_owned();
            let later = violating(universe, world, &cluster);
            let too_many = |rollout: &Record| rollout_law::affects_too_many(universe, &rollout.body, &later);
            let too_many = rollouts.iter().filter(of_it).any(too_many);
            holds(too_many, "no rollout about it affects more than it may".to_owned())
        }
        ReasonCode::DeploymentInProgress | ReasonCode::RollbackInProgress => {
            let moving = deployments(&service).any(|deployment| deployment["rolloutState"] == "IN_PROGRESS");
            holds(moving, format!("its deployments are {}", service["deployments"]))
        }
        ReasonCode::Draining => {
            holds(deployments(&service).count() > 1, format!("its deployments are {}", service["deployments"]))
        }
        // Clocks are minutes apart.
        ReasonCode::OutsideWindow => {
            let now = universe.time.now();
            let closed = reason.until.is_some_and(|until| until + Duration::from_secs(5 * 60) > now);
            holds(closed, format!("it is {now}"))
        }
        ReasonCode::NothingRuns => holds(service["runningCount"] == 0, format!("it runs {}", service["runningCount"])),
        ReasonCode::OtherRollout | ReasonCode::EarlierWave => {
            let going = |phase: String| matches!(phase.as_str(), "Paused" | "Proposed" | "Progressing" | "Scheduled");
            holds(of_name(named).is_none_or(going), format!("it is {:?}", of_name(named)))
        }
        ReasonCode::Contested | ReasonCode::ApprovalRequired => {
            let waits = |rollout: &Record| {
                phase(&rollout.body) == "Proposed" || rollout.body["waiting"]["code"] == "ApprovalRequired"
            };
            holds(rollouts.iter().filter(of_it).any(waits), "nothing about it waits for approval".to_owned())
        }
        // Another change of its rollout goes first.
        ReasonCode::Progressing => {
            let changes = universe.changes();
            let of_it = |change: &&Record| change.body["spec"]["resource"] == arn && witness::is_live(&change.body);
            let rollouts: Vec<&Value> =
                changes.iter().filter(of_it).map(|change| &change.body["spec"]["rollout"]).collect();
            let in_flight = |change: &Record| {
                rollouts.contains(&&change.body["spec"]["rollout"])
                    && witness::is_live(&change.body)
                    && phase(&change.body) != "Pending"
            };
            holds(changes.iter().any(in_flight), "nothing of its rollout is in flight".to_owned())
        }
        ReasonCode::BindingConflict => {
            let (cluster, service) =
                short(arn).split_once('/').map_or((short(arn), None), |(of, name)| (of, Some(name)));
            let setup = universe.state().setups.last_key_value().map(|(_, setup)| setup.clone());
            let true_of = setup.is_some_and(|setup| setup.contradicts_itself(cluster, service));
            holds(true_of, "no two Bindings contradict each other there".to_owned())
        }
        _ => Err("nobody need wait for that".to_owned()),
    }
}
