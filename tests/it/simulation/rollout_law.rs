//! What must hold of rollouts: what they were begun under, their budgets, their waves, and what is said of them in the end.
//!
//! A part of `law`: each law is one sentence and one check.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll::model::{AlarmState, Timestamp};
use serde_json::Value;

use super::law::check;
use super::setup::Strategy;
use super::universe::{Promise, Record, Universe, deployments, phase};
use super::{evidence, witness};

/// What may follow what in a rollout's record. People approve, pause, resume, retry, abort and undo; what an ended one has
/// left unverified may be proved, or fail, later.
const STEPS: &[(&str, &[&str])] = &[
    ("Proposed", &["Scheduled", "RollingBack", "Aborted", "Superseded"]),
    ("Scheduled", &["Progressing", "Paused", "RollingBack", "Aborted", "Superseded", "Failed"]),
    ("Progressing", &["Baking", "Paused", "RollingBack", "Succeeded", "Unverified", "Failed", "Aborted", "Superseded"]),
    ("Baking", &["Progressing", "Paused", "RollingBack", "Succeeded", "Unverified", "Failed", "Aborted", "Superseded"]),
    ("Paused", &["Progressing", "RollingBack", "Succeeded", "Unverified", "Failed", "Aborted", "Superseded"]),
    ("RollingBack", &["RolledBack", "Failed"]),
    ("Succeeded", &["RollingBack", "Failed"]),
    ("Unverified", &["RollingBack", "Succeeded", "Failed", "Superseded"]),
    ("Failed", &["RollingBack"]),
    ("Aborted", &["RollingBack"]),
    ("RolledBack", &["RollingBack"]),
    ("Superseded", &["RollingBack"]),
];

/// As long as a daily limit counts.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A rollout's record is written: no step is taken backwards, …
pub(crate) fn goes(universe: &Universe, before: &Value, after: &Value) {
    let (was, is) = (phase(before), phase(after));
    let name = after["name"].as_str().unwrap_or_default();
    if was != is {
        let follows = STEPS.iter().any(|(from, to)| *from == was && to.contains(&is.as_str()));
        check(universe, follows, || format!("rollout {name} goes from {was} to {is}"));
    }
    // … no wave comes before those that it has had,
    let wave = |body: &Value| body["wave"].as_u64();
    if let (Some(had), Some(has)) = (wave(before), wave(after)) {
        check(universe, had <= has, || format!("rollout {name} goes from wave {had} back to {has}"));
    }
    // … what has stopped goes on because a person has asked for it,
    if was == "Paused" && is == "Progressing" {
        let asked = universe.state().to_go_on.values().any(|of| of == name);
        check(universe, asked, || format!("rollout {name} was paused and goes on, and nobody asked"));
        let failed = of_rollout(universe, name).filter(|change| failed(&change.body));
        let failed: BTreeSet<String> = failed.filter_map(|of| of.body["name"].as_str().map(str::to_owned)).collect();
        universe.state().let_pass.insert(name.to_owned(), failed);
    }
    // … and one that is called succeeded has something to show for it, and nothing that failed.
    if is == "Succeeded" && was != is {
        let of_it: Vec<Record> = of_rollout(universe, name).collect();
        let open = of_it.iter().find(|change| witness::is_live(&change.body));
        let failed = of_it.iter().find(|change| failed(&change.body));
        let proved = of_it.is_empty() || of_it.iter().any(|change| phase(&change.body) == "Succeeded");
        let against = open.or(failed).map(|change| format!("{} is {}", change.body["name"], phase(&change.body)));
        check(universe, against.is_none() && proved, || {
            format!("rollout {name} is said to have succeeded: {against:?}, anything proved: {proved}")
        });
    }
}

fn of_rollout(universe: &Universe, name: &str) -> impl Iterator<Item = Record> {
    universe.records(&format!("change#{name}#")).into_iter()
}

/// Whether a wave of a rollout is being watched.
fn is_watched(universe: &Universe, rollout: &str) -> bool {
    let key = format!("rollout#{rollout}");
    universe.records(&key).iter().any(|record| record.key == key && phase(&record.body) == "Baking")
}

/// Whether the deployment of a change is the primary one, and tasks of it fail.
fn fails(universe: &Universe, change: &Value) -> bool {
    let world = &mut evidence::world(universe);
    let shown = evidence::service(world, change["spec"]["resource"].as_str().unwrap_or_default());
    let mut primary = deployments(&shown).filter(|deployment| deployment["status"] == "PRIMARY");
    primary.any(|primary| primary["id"] == change["deployment"] && primary["failedTasks"].as_u64() > Some(0))
}

/// … a change that stood is taken back because a person has asked for it, because a call of ours came late, because the alarm
/// went off after its rollout had begun, because its own tasks fail while its wave is watched, or because one of its rollout
/// has failed and all of it is to go back then.
pub(crate) fn goes_back(universe: &Universe, change: &Value) {
    let rollout = change["spec"]["rollout"].as_str().unwrap_or_default();
    let resource = change["spec"]["resource"].as_str().unwrap_or_default();
    let Some(Promise { strategy, .. }) = promised(universe, rollout) else { return };
    let (asked, late) = {
        let state = universe.state();
        (state.undone.contains(rollout), state.came_late.contains_key(resource))
    };
    let rang = strategy.alarm && rang_since_it_began(universe, rollout);
    let cause = &change["cause"];
    let holds = match cause["code"].as_str() {
        Some("UndoneByPerson") => asked,
        Some("LateCall") => late,
        Some("Alarm") => rang,
        Some("TasksFail") if is_watched(universe, rollout) && fails(universe, change) => true,
        _ => {
            let mut others = of_rollout(universe, rollout).filter(|other| other.body["name"] != change["name"]);
            // (One that had replaced somebody's when that was decided may be gone since.)
            let clobbered = |entry: &Value| entry["phase"] == "Clobbering";
            let had_clobbered = |body: &Value| {
                let entries = body["history"].as_array().into_iter().flatten().rev();
                entries.take_while(|entry| entry["phase"] != "Pending").any(clobbered)
            };
            let fails = |body: &Value| failed(body) || phase(body) == "Gone" && had_clobbered(body);
            strategy.on_failure == "rollback" && (rang || others.any(|other| fails(&other.body)))
        }
    };
    check(universe, holds, || {
        format!("change {} stood and is taken back, and why is not true: {cause}", change["name"])
    });
}

/// How much earlier an alarm may have gone off by CloudWatch's clock: in doubt it was after the change had begun.
const IN_DOUBT: Duration = Duration::from_secs(30);

/// Whether the alarm has gone off since the first change of a rollout began.
fn rang_since_it_began(universe: &Universe, rollout: &str) -> bool {
    let begins = |entry: &&Value| matches!(entry["phase"].as_str(), Some("Registering" | "Updating"));
    let first =
        |change: &Record| change.body["history"].as_array()?.iter().find(begins).map(|entry| entry["at"].clone());
    let began = of_rollout(universe, rollout).filter_map(|change| first(&change));
    let began: Option<Timestamp> = began.filter_map(|at| serde_json::from_value(at).ok()).min();
    matches!((universe.state().rang, began), (Some(rang), Some(began)) if rang + IN_DOUBT >= began)
}

/// Whether a change has failed by what is on record: taken back for another reason than that a person asked, or that a call
/// came late; not usable; or over somebody's.
fn failed(change: &Value) -> bool {
    match phase(change).as_str() {
        "RollingBack" | "RolledBack" | "Failed" => {
            !matches!(change["cause"]["code"].as_str(), Some("UndoneByPerson" | "LateCall"))
        }
        "Quarantined" | "Clobbering" | "Clobbered" => true,
        // It had failed, and somebody has deployed, or deleted it, while it went back.
        "Overtaken" | "Gone" => {
            let mut entered = change["history"].as_array().into_iter().flatten().rev();
            let back = entered.find(|entry| entry["phase"] == "RollingBack");
            back.is_some_and(|back| !matches!(back["reason"]["code"].as_str(), Some("UndoneByPerson" | "LateCall")))
        }
        _ => false,
    }
}

/// What a rollout is begun under: the strategy in force as the process last read it.
pub(crate) fn promise(universe: &Universe, process: usize, rollout: &Value) {
    let mut state = universe.state();
    let name = rollout["spec"]["strategyName"].as_str().unwrap_or_default();
    let strategy = state.setups.get(&state.read[process].policies).and_then(|setup| setup.strategy(name)).cloned();
    let (Some(strategy), Some(rollout_name)) = (strategy, rollout["name"].as_str()) else {
        drop(state);
        return universe.broke(format!("{} is begun under `{name}`, which was not in force", rollout["name"]));
    };
    let proposed = phase(rollout) == "Proposed";
    state.promised.insert(rollout_name.to_owned(), Promise { strategy, proposed });
}

/// Whether a change of that wave of a rollout has ever begun.
fn began_in(change: &Value, rollout: &str, wave: usize) -> bool {
    let begins = |entry: &Value| matches!(entry["phase"].as_str(), Some("Registering" | "Updating"));
    change["spec"]["rollout"] == rollout
        && change["spec"]["wave"] == wave
        && change["history"].as_array().is_some_and(|history| history.iter().any(begins))
}

/// … nothing that a rollout was begun under speaks against beginning:
pub(crate) fn begins(universe: &Universe, process: usize, after: &Value) {
    let name = after["name"].as_str().unwrap_or_default();
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let Some(Promise { strategy, proposed }) = promised(universe, rollout) else { return };
    let (approvals, alarm) = {
        let state = universe.state();
        (state.approved.get(rollout).copied().unwrap_or(0), state.read[process].alarm)
    };
    // … a person has approved what needs approval, each wave of it where each needs it,
    let wave = usize::try_from(after["spec"]["wave"].as_u64().unwrap_or(0)).unwrap_or(0);
    // (a wave of which nothing could begin is over without one)
    let began = |before: &usize| universe.changes().iter().any(|other| began_in(&other.body, rollout, *before));
    let needs = if strategy.approval == "eachWave" {
        (0..wave).filter(began).count() + 1
    } else {
        usize::from(proposed || strategy.approval != "none")
    };
    check(universe, approvals >= needs, || {
        format!("change {name} begins in wave {wave}, and nobody has approved `{rollout}` more than {approvals} times")
    });
    // … and the alarm was last seen to be OK, where one is listened to.
    check(universe, !strategy.alarm || alarm == Some(AlarmState::Ok), || {
        format!("change {name} begins, and the alarm was last seen as {alarm:?}")
    });
    in_its_wave(universe, rollout, after, approvals);
}

/// … its rollout is at that wave, and those before it are over; no more than a wave, or the rollout, may lose has failed that
/// no person has let pass; and it moves no more services than it may without a person's approval.
fn in_its_wave(universe: &Universe, rollout: &str, after: &Value, approvals: usize) {
    let Some(Promise { strategy, .. }) = promised(universe, rollout) else { return };
    let (name, wave) = (&after["name"], after["spec"]["wave"].as_u64().unwrap_or(0));
    let record = universe.records(&format!("rollout#{rollout}")).into_iter().find(|of| of.body["name"] == rollout);
    let record = record.map(|record| record.body).unwrap_or_default();
    check(universe, phase(&record) == "Progressing" && record["wave"].as_u64() == Some(wave), || {
        format!("change {name} begins in wave {wave}, and its rollout is {} {}", phase(&record), record["wave"])
    });
    let all: Vec<Record> = of_rollout(universe, rollout).collect();
    let of_wave = |change: &Record| change.body["spec"]["wave"].as_u64().unwrap_or(0);
    let going = ["Pending", "Registering", "Updating", "Stabilizing", "Verifying"];
    let open = all.iter().find(|change| of_wave(change) < wave && going.contains(&phase(&change.body).as_str()));
    check(universe, open.is_none(), || {
        format!("change {name} begins in wave {wave}, before {:?} is over", open.map(|change| &change.body["name"]))
    });
    let let_pass = universe.state().let_pass.get(rollout).cloned().unwrap_or_default();
    let passed = |change: &&Record| change.body["name"].as_str().is_some_and(|name| let_pass.contains(name));
    let failures: Vec<&Record> = all.iter().filter(|change| failed(&change.body) && !passed(change)).collect();
    let earlier = failures.iter().any(|change| of_wave(change) < wave);
    let stops = strategy.on_failure != "continue";
    check(universe, !stops || failures.len() <= strategy.failures && !earlier, || {
        format!("change {name} begins, and {} of its rollout have failed, of earlier waves: {earlier}", failures.len())
    });
    let fits = !affects_too_many(universe, &record, &BTreeSet::new());
    check(universe, fits || approvals > 0, || {
        format!("change {name} begins: more services are affected than may be, which nobody has approved")
    });
}

/// Whether a rollout affects more services than it may without a person's approval, with those that it would touch `later`.
/// (What was dropped before it began is not affected.)
pub(crate) fn affects_too_many(universe: &Universe, rollout: &Value, later: &BTreeSet<String>) -> bool {
    let name = rollout["name"].as_str().unwrap_or_default();
    let affected = of_rollout(universe, name).filter(|change| phase(&change.body) != "Deferred");
    let resources = affected.filter_map(|change| change.body["spec"]["resource"].as_str().map(str::to_owned));
    let now = resources.filter(|arn| arn.contains(":service/"));
    let services = now.chain(later.iter().cloned()).collect::<BTreeSet<_>>().len();
    let promise = universe.state().promised.get(name).cloned();
    promise.and_then(|promise| promise.strategy.affected).is_some_and(|limit| services > limit)
}

/// What it was begun under; that nobody knows is a law broken.
fn promised(universe: &Universe, rollout: &str) -> Option<Promise> {
    let promise = universe.state().promised.get(rollout).cloned();
    check(universe, promise.is_some(), || format!("nobody knows what `{rollout}` was begun under"));
    promise
}

/// … not more of a strategy than a day may have had moved in 24 hours; one that a person has tried again has moved again.
pub(crate) fn moves(universe: &Universe, after: &Value) {
    let name = after["name"].as_str().unwrap_or_default();
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let now = universe.time.now();
    let Some(Promise { strategy, .. }) = promised(universe, rollout) else { return };
    let mut state = universe.state();
    state.begins.push((name.to_owned(), now));
    let of_strategy = |name: &str| {
        let promise = name.split('/').next().and_then(|rollout| state.promised.get(rollout));
        promise.is_some_and(|promise| promise.strategy.name == strategy.name)
    };
    let recent = state.begins.iter().filter(|(_, at)| *at + DAY > now);
    let today = recent.filter(|(name, _)| of_strategy(name)).count();
    drop(state);
    let full = strategy.per_day.is_some_and(|limit| today > limit);
    check(universe, !full, || format!("change {name} is the {today}th of 24 hours, {:?} may be", strategy.per_day));
}

/// Whether a strategy of rollouts that are about a resource has moved as many in 24 hours as it may, by the clock of whoever
/// says so.
pub(crate) fn is_full_today(universe: &Universe, resource: &str) -> bool {
    let about: BTreeSet<String> = universe
        .changes()
        .iter()
        .filter(|change| change.body["spec"]["resource"] == resource)
        .filter_map(|change| change.body["spec"]["rollout"].as_str().map(str::to_owned))
        .collect();
    let (state, now) = (universe.state(), universe.time.now());
    let strategy = |name: &str| state.promised.get(name).map(|promise| &promise.strategy);
    let full = |strategy: &Strategy| {
        let of_it = state.begins.iter().filter(|(name, at)| {
            let of = name.split('/').next().and_then(|rollout| state.promised.get(rollout));
            of.is_some_and(|of| of.strategy.name == strategy.name) && *at + DAY + Duration::from_secs(10 * 60) > now
        });
        strategy.per_day.is_some_and(|limit| of_it.count() >= limit)
    };
    about.iter().filter_map(|rollout| strategy(rollout)).any(full)
}

/// … no change goes forward while as many of its strategy are in flight, of whichever rollout, as the strategy allows.
/// (Going back counts, and may begin at any time.)
pub(crate) fn in_flight(universe: &Universe, after: &Value) {
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let Some(Promise { strategy, .. }) = promised(universe, rollout) else { return };
    let promised = universe.state().promised.clone();
    let flies = |change: &&Record| {
        let of = change.body["spec"]["rollout"].as_str().and_then(|of| promised.get(of));
        let in_flight = ["Updating", "Stabilizing", "Verifying", "RollingBack", "Clobbering"];
        of.is_some_and(|of| of.strategy.name == strategy.name) && in_flight.contains(&phase(&change.body).as_str())
    };
    let (count, limit) = (universe.changes().iter().filter(flies).count(), strategy.in_flight);
    check(universe, count <= limit, || {
        format!("{count} changes of `{}` are in flight, {limit} are allowed", strategy.name)
    });
}
