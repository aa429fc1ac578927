//! What only time can tell: checked as it passes, and at the end, after everything has come to rest.

use std::time::Duration;

use plimsoll::ports::store::Key;

use super::check;
use crate::simulation::evidence::{self, short};
use crate::simulation::universe::{Buried, Record, Universe, phase};
use crate::simulation::witness;

/// How long a deployment of somebody's that ours replaced may stay unfound.
const FOUND_WITHIN: Duration = Duration::from_secs(20 * 60);

/// As time passes …
pub(crate) fn as_time_passes(universe: &Universe) {
    let now = universe.time.now();
    let due: Vec<Buried> = {
        let mut state = universe.state();
        let (due, rest) =
            std::mem::take(&mut state.buried).into_iter().partition(|buried| buried.at + FOUND_WITHIN < now);
        state.buried = rest;
        due
    };
    // … whatever was written over somebody's deployment is found and held.
    for Buried { service, at, theirs, touches, ours, .. } in due.into_iter().filter(|buried| buried.traced) {
        let touched = universe.state().touches.get(&service).is_some_and(|times| *times > touches);
        let gone = evidence::service(&mut evidence::world(universe), &service)["status"] != "ACTIVE";
        // (A setting that stands: nothing tells what somebody has set since from a late call that sets it again; README, Limits.)
        let intent = universe.state().began.get(&ours).cloned().unwrap_or_default();
        let of = universe.changes().into_iter().find(|change| intent.starts_with(&format!("{} ", change.body["name"])));
        let stands = of.is_some_and(|change| {
            change.body["spec"]["kind"] == "deployingSetting"
                && matches!(phase(&change.body).as_str(), "Succeeded" | "Unverified")
                && change.body["deployment"] != ours.as_str()
        });
        check(universe, touched || gone || stands, || {
            format!("{theirs} of {} was replaced by us at {at}, and nobody has found that", short(&service))
        });
    }
}

/// Once everything has come to rest …
pub(crate) fn at_the_end(universe: &Universe) {
    let ours = universe.state().ours.clone();
    let world = &mut evidence::world(universe);
    // … every revision of ours differs from the one it was made from in what was planned, and nowhere else.
    for registration in universe.records("registration#") {
        let state = &registration.body["state"];
        let Some(arn) = state["arn"].as_str().filter(|arn| state["phase"] == "Registered" && ours.contains_key(*arn))
        else {
            continue;
        };
        let Some(made) = evidence::definition(world, arn) else { continue };
        let planned = ["no-host-pid", "no-host-ipc"];
        let wrong = witness::not_planned(universe, &registration, &evidence::input(&made), &planned);
        check(universe, wrong.is_none(), || wrong.unwrap_or_default());
    }
    // … no revision of ours is left over that no change stands on and nothing runs.
    let over = ["RolledBack", "Failed", "Deferred", "Gone", "Overtaken", "Quarantined", "Clobbered", "Blocked"];
    let changes = universe.changes();
    let stands = |change: &&Record| !over.contains(&phase(&change.body).as_str());
    let standing: Vec<&str> =
        changes.iter().filter(stands).filter_map(|change| change.body["spec"]["to"].as_str()).collect();
    let named = crate::simulation::others::named(world);
    let registrations = universe.records("registration#");
    for arn in ours.keys().filter(|arn| !standing.contains(&arn.as_str()) && !named.contains(*arn)) {
        let active = evidence::definition(world, arn).is_some_and(|definition| definition.status == "ACTIVE");
        let restored = registrations.iter().any(|item| {
            let of = |change: &Record| change.body["spec"]["documents"]["previous"] == item.body["wanted"];
            item.body["state"]["arn"] == arn.as_str() && changes.iter().any(of)
        });
        // One that waits for its turn, or for a person, moves to what another has had made of the same.
        let made = ours.get(arn).map(plimsoll::model::document::hash);
        let awaited =
            changes.iter().filter(|change| matches!(phase(&change.body).as_str(), "Pending" | "Registering")).any(
                |change| made.as_ref().is_some_and(|made| change.body["spec"]["documents"]["wanted"] == made.as_str()),
            );
        check(universe, !active || restored || awaited, || format!("{} is left over", short(arn)));
    }
    // … what was taken back does not run, also where a call came late; unless another change, or somebody, has put it there.
    for change in changes.iter().filter(|change| phase(&change.body) == "RolledBack") {
        let spec = &change.body["spec"];
        let (service, to) = (spec["resource"].as_str().unwrap_or_default(), spec["to"].as_str().unwrap_or_default());
        let put = |other: &Record| {
            other.body["spec"]["resource"] == service
                && other.body["spec"]["to"] == to
                && matches!(phase(&other.body).as_str(), "Succeeded" | "Unverified" | "Failed" | "Clobbered")
        };
        let runs = evidence::revisions(&evidence::running(world, service)).iter().any(|revision| revision == to);
        check(
            universe,
            !runs || witness::touched_since_taken_back(universe, &change.body) || changes.iter().any(put),
            || format!("{} was taken back from {}, and runs it", short(service), short(to)),
        );
    }
    // … nor is what it set as the change had made it.
    for change in changes.iter().filter(|change| phase(&change.body) == "RolledBack") {
        // (Another change may have set the same since.)
        let begun = universe.state().begun.clone();
        let at = |change: &Record| change.body["name"].as_str().and_then(|name| begun.get(name)).map(|begun| begun.at);
        let set_since = |other: &Record| {
            let (one, two) = (&change.body["spec"], &other.body["spec"]);
            let over = ["RolledBack", "Deferred", "Gone", "Blocked", "Quarantined", "Pending", "Registering"];
            one["resource"] == two["resource"]
                && witness::sets_the_same(one, two)
                && at(other) > at(change)
                && !over.contains(&phase(&other.body).as_str())
        };
        // (Who sets the very same is taken for a call that may still come, and then nobody waits for that; README, Limits.)
        let excused = witness::touched_since_taken_back(universe, &change.body)
            || witness::was_taken_for_a_call(universe, &change.body)
            || changes.iter().any(set_since);
        let resource = change.body["spec"]["resource"].as_str().unwrap_or_default();
        check(universe, excused || witness::is_set_back(universe, &change.body), || {
            format!("{} was taken back, and shows another setting", short(resource))
        });
    }
    // … every Command is answered, if with why not.
    for command in universe.store.all(&format!("cmd#{}", universe.target), "") {
        let id = &command.key.sort;
        let answer = universe.store.peek(&Key::new(format!("rt#{}", universe.target), format!("answer#{id}")));
        check(universe, answer.is_some(), || format!("Command {id} is never answered: {:?}", command.body));
    }
    // … the log of every change is one unbroken chain.
    let events = plimsoll::records::events::Events::of(&universe.store, &universe.target);
    let events = crate::simulation::ports::now(events.list("")).unwrap_or_default();
    let wrong = plimsoll::records::events::verify(&events);
    check(universe, wrong.is_empty(), || format!("the event log is broken: {wrong:?}"));
}

/// A process has stopped because it was told to …
pub(crate) fn when_stopped(universe: &Universe, process: usize) {
    // … it has handed the lease over, where the store took its word.
    let lease = universe.store.peek(&Key::new(format!("rt#{}", universe.target), "lease"));
    let own = universe.state().holders[process].clone();
    let kept = lease.is_some_and(|lease| lease.body.get("holder").is_some_and(|holder| *holder == own.as_str()));
    let refused = universe.state().store_failed[process];
    check(universe, !kept || refused, || format!("`{own}` was told to stop, and has kept the lease"));
}
