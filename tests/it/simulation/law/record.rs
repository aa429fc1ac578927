//! What must hold of every record, when it is written or removed.

use std::collections::BTreeSet;

use plimsoll::ports::store::{Expect, Item, Key};
use serde_json::Value;

use super::call::unasked;
use super::{check, fixes};
use crate::simulation::evidence::{self, short};
use crate::simulation::steps::STEPS;
use crate::simulation::universe::{Begun, Buried, Record, Universe, phase, primary};
use crate::simulation::{rollout_law, witness};

/// No record is written, unless …
pub(crate) fn when_written(universe: &Universe, process: usize, key: &Key, before: Option<&Value>, after: &Value) {
    if key.sort == "lease" {
        return leased(universe, process, before, after);
    }
    if key.sort.starts_with("answer#") {
        return answered(universe, key, before, after);
    }
    // … whoever wrote it before has not taken the lease since.
    let epoch = |body: Option<&Value>| body.and_then(|body| body["epoch"].as_u64()).unwrap_or(0);
    let (had, has) = (epoch(before), epoch(Some(after)));
    check(universe, had <= has, || {
        format!("{} of epoch {had} is written over by process {process} in epoch {has}", key.sort)
    });
    let ended = |body: &Value| {
        matches!(phase(body).as_str(), "Succeeded" | "RolledBack" | "Unverified" | "Failed" | "Superseded" | "Aborted")
    };
    let opened = before.is_none_or(|before| key.sort.starts_with("rollout#") && ended(before) && !ended(after));
    if opened && has < universe.state().epochs.iter().copied().max().unwrap_or(0) {
        universe.state().belated.insert(key.sort.clone());
    }
    if key.sort.starts_with("rollout#") {
        match before {
            None => rollout_law::promise(universe, process, after),
            Some(before) => rollout_law::goes(universe, before, after),
        }
    }
    if key.sort.starts_with("registration#") {
        // What a call has made is known from now on.
        let known = [&after["state"]["arn"], &after["heard"]];
        universe.state().effects.retain(|effect| !known.iter().any(|arn| **arn == effect.made.as_str()));
    }
    if !key.sort.starts_with("change#") {
        return;
    }
    let (was, is) = (before.map(phase).unwrap_or_default(), phase(after));
    let name = after["name"].as_str().unwrap_or_default();
    let spec = &after["spec"];
    let resource = spec["resource"].as_str().unwrap_or_default().to_owned();
    // (Where ECS can be told to bring theirs back, it is taken back as what came late. Twice over somebody's is found twice.)
    let last = after["history"].as_array().and_then(|all| all.last());
    let came_late = last.is_some_and(|last| last["reason"]["code"] == "LateCall");
    let anew = was != is || before.is_some_and(|before| before["at"] != after["at"]);
    if anew && (came_late || matches!(is.as_str(), "Clobbering" | "Clobbered")) {
        // (What is told once the change is over does not say of which deployment.)
        let about = after["deployment"].as_str();
        let found =
            |buried: &Buried| buried.service == resource && about.is_none_or(|deployment| deployment == buried.ours);
        universe.state().buried.retain(|buried| !found(buried));
        // … nor is it told where none of ours has replaced somebody's since the change began. (Once a setting is over, what
        // somebody sets just so is not told from its call: README, Limits.)
        let alike = spec["kind"] == "deployingSetting" && matches!(was.as_str(), "Overtaken" | "Clobbered" | "Failed");
        if !came_late && !alike {
            let (begun, replaced) = {
                let state = universe.state();
                (state.begun.get(name).map(|begun| begun.at), state.replaced.get(&resource).copied())
            };
            check(universe, replaced.is_some() && replaced >= begun, || {
                format!("change {name} is {is}, and nobody's was replaced: {}", after["reason"]["message"])
            });
        }
    }
    // What a process was shown, and could record, it has to go by.
    for buried in universe.state().buried.iter_mut().filter(|buried| buried.service == resource) {
        buried.traced |= buried.shown_to.contains(&process);
    }
    if was == is || was.is_empty() {
        return;
    }
    // … the step follows from the one before.
    let follows = STEPS.iter().any(|(from, to)| *from == was && to.contains(&is.as_str()));
    check(universe, follows, || format!("change {name} goes from {was} to {is}"));
    // … what goes wrong, or was written over somebody's deployment, is held off first: a crash must not bring it back.
    // (What came late of one that was back already is taken back for the reason of then, which a person may have let go.)
    let late = after["cause"]["code"] == "LateCall" || was == "RolledBack";
    if matches!(is.as_str(), "Clobbering" | "Clobbered" | "Quarantined" | "RollingBack") && !late {
        // (Nor what a person has let come again since the change began.)
        let let_go = |fix: &&str| {
            let state = universe.state();
            let at = state.released.get(&(resource.clone(), (*fix).to_owned()));
            at.is_some_and(|at| state.begun.get(name).is_some_and(|begun| begun.at <= *at))
        };
        let loose = fixes(spec).find(|fix| !witness::holds(universe, &resource, fix) && !let_go(fix));
        check(universe, loose.is_none(), || format!("change {name} is {is}, and its fix is not held off"));
    }
    if was == "Succeeded" && is == "RollingBack" {
        rollout_law::goes_back(universe, after);
    }
    // Known not to have been called: that was no move.
    if was == "Updating" && matches!(is.as_str(), "Pending" | "Registering") {
        let begins = &mut universe.state().begins;
        let last = begins.iter().rposition(|(known, _)| known == name);
        last.map(|last| begins.remove(last));
    }
    match is.as_str() {
        "Registering" | "Updating" => {
            if was == "Pending" {
                rollout_law::begins(universe, process, after);
            }
            if is == "Updating" {
                rollout_law::moves(universe, after);
                still_asked_for(universe, process, after);
                rollout_law::in_flight(universe, after);
                let (at, ran) = (universe.time.now(), evidence::ran(&mut evidence::world(universe), &resource));
                let (by, intent) = (universe.state().holders[process].clone(), after["intent"].clone());
                let tags = universe.state().tags.clone();
                let outdated = evidence::runs_outdated(&mut evidence::world(universe), &resource, &tags);
                alone(universe, after);
                let begun = Begun { at, by, intent, resource, ran, outdated };
                universe.state().begun.insert(name.to_owned(), begun);
            }
        }
        // A call that came late is no failure of the fix; one that was taken back before has failed then.
        "RollingBack" | "Quarantined" | "Clobbered"
            if was == "RolledBack" || after["cause"]["code"] == "LateCall" || witness::came_late(after) => {}
        "RollingBack" | "Quarantined" | "Clobbered" => {
            for fix in fixes(spec) {
                let (why, of) = (format!("{name}: {is}"), (resource.clone(), fix.to_owned()));
                universe.state().failed.insert(of, why);
            }
        }
        "Succeeded" => proved(universe, process, after),
        "RolledBack" => {
            let looked = universe.state().read[process].looked.get(&resource).copied();
            let looked = looked.unwrap_or_else(|| universe.time.now());
            universe.state().taken_back.insert(name.to_owned(), looked);
            identical(universe, process, after);
        }
        // … nobody is said to have come between who has left it alone.
        "Overtaken" => {
            let touched = witness::touched_since_planned(universe, after);
            let state = universe.state();
            let others = state.begun.iter().filter(|(other, begun)| *other != name && begun.resource == resource);
            let of_ours = others.count();
            drop(state);
            check(universe, touched || of_ours > 0, || {
                format!("change {name} is Overtaken, and nobody has touched it")
            });
        }
        _ => {}
    }
}

/// … none of ours is in flight on the same resource. (What a former holder recorded when the lease was somebody else's by
/// then, that one does not know, and it was not sent: the lease is asked for first.)
fn alone(universe: &Universe, after: &Value) {
    let belated = universe.state().belated.clone();
    let flies = |other: &Record| {
        let in_flight = ["Updating", "Stabilizing", "Verifying", "RollingBack", "Clobbering"];
        other.body["spec"]["resource"] == after["spec"]["resource"]
            && other.body["name"] != after["name"]
            && !belated.contains(&other.key)
            && in_flight.contains(&phase(&other.body).as_str())
    };
    let other = universe.changes().into_iter().find(flies);
    check(universe, other.is_none(), || {
        let other = other.map(|other| format!("{} is {}", other.body["name"], phase(&other.body))).unwrap_or_default();
        format!("change {} goes to what another is in flight on: {other}", after["name"])
    });
}

/// … the lease is taken when it is free, or has not changed for its whole length; and its epoch grows.
fn leased(universe: &Universe, process: usize, before: Option<&Value>, after: &Value) {
    let now = universe.time.now();
    let own = universe.state().holders[process].clone();
    let renewed = universe.state().renewed;
    if let Some(before) = before {
        let (from, to) = (&before["holder"], &after["holder"]);
        let taken = !from.is_null() && *from != own.as_str();
        check(universe, !taken || renewed + universe.timing.lease <= now, || {
            format!("the lease is taken from {from} by {to} at {now}, and was renewed at {renewed}")
        });
        let grows = before["epoch"].as_u64() < after["epoch"].as_u64();
        let still = from == to && before["epoch"] == after["epoch"];
        check(universe, grows || still || to.is_null(), || format!("the lease goes from {before} to {after}"));
    }
    if before.is_none_or(|before| before["epoch"] != after["epoch"]) {
        universe.say(format!("process {process} takes the lease, epoch {}", after["epoch"]));
    }
    let mut state = universe.state();
    state.renewed = now;
    if after["holder"] == own.as_str() {
        state.epochs[process] = after["epoch"].as_u64().unwrap_or(0);
    }
}

/// A Command was carried out, or refused: what it let happen has happened, and is let no longer.
fn answered(universe: &Universe, key: &Key, before: Option<&Value>, answer: &Value) {
    let id = key.sort.trim_start_matches("answer#");
    // … it is answered once.
    let once = before.is_none_or(|before| before == answer);
    check(universe, once, || format!("Command {id} is answered twice: {before:?} and {answer}"));
    let mut state = universe.state();
    state.let_go.retain(|_, by| {
        by.remove(id);
        !by.is_empty()
    });
    state.to_go_on.remove(id);
    if let Some(rollout) = state.to_approve.remove(id).filter(|_| answer["done"] == true) {
        *state.approved.entry(rollout).or_default() += 1;
    }
}

/// … each policy that a change is made for is asked for there by what the process last read, and not waived; one that
/// is only proposed was approved; and no fix of it is held off.
fn still_asked_for(universe: &Universe, process: usize, after: &Value) {
    let spec = &after["spec"];
    let resource = spec["resource"].as_str().unwrap_or_default();
    let held = fixes(spec).any(|fix| witness::holds(universe, resource, fix));
    check(universe, !held, || format!("change {} goes to {}, off which it is held", after["name"], short(resource)));
    let change = Record { key: String::new(), body: after.clone() };
    let against = unasked(universe, process, &change);
    check(universe, against.is_none(), || against.unwrap_or_default());
}

/// … what is called succeeded is there: every task of the service is on its revision, or of the deployment that brought
/// the setting, and at least one serves; a setting is set. Who records it cannot know what others have done since it
/// looked.
fn proved(universe: &Universe, process: usize, change: &Value) {
    let resource = change["spec"]["resource"].as_str().unwrap_or_default();
    let since = witness::since_it_looked(universe, process, resource);
    if since.deployed {
        return;
    }
    let world = &mut evidence::world(universe);
    let policies = change["spec"]["policies"].as_array().cloned().unwrap_or_default();
    let left =
        evidence::violations(world, resource).into_iter().find(|policy| policies.contains(&Value::from(*policy)));
    check(universe, left.is_none(), || format!("{} is called succeeded, and breaks {left:?}", short(resource)));
    let tasks = evidence::running(world, resource);
    let (running, of_ours): (Vec<String>, usize) = match change["spec"]["kind"].as_str() {
        Some("revision") => {
            let to = change["spec"]["to"].as_str().unwrap_or_default();
            let running = evidence::revisions(&tasks);
            (running.clone(), running.iter().filter(|revision| *revision == to).count())
        }
        Some("deployingSetting") => {
            let ours = primary(&evidence::service(world, resource)).unwrap_or_default();
            let by = tasks.iter().filter_map(|task| task["startedBy"].as_str().map(str::to_owned));
            let by: Vec<String> = by.collect();
            (by.clone(), by.iter().filter(|by| **by == ours).count())
        }
        _ => return,
    };
    check(universe, (of_ours > 0 || since.disturbed) && of_ours == running.len(), || {
        format!("{} is called succeeded, and runs {running:?}", short(resource))
    });
}

/// … what is called taken back runs what ran when the change began: the same document, the same images, whatever the
/// revision is called. Who records it cannot know what others have done since it looked.
fn identical(universe: &Universe, process: usize, change: &Value) {
    let resource = change["spec"]["resource"].as_str().unwrap_or_default();
    let since = witness::since_it_looked(universe, process, resource);
    let kept = since.deployed || since.late || witness::is_set_back(universe, change);
    check(universe, kept, || format!("{} is called taken back, and shows another setting", short(resource)));
    // What starts no deployment leaves the tasks alone.
    if !matches!(change["spec"]["kind"].as_str(), Some("revision" | "deployingSetting")) {
        return;
    }
    let begun = change["name"].as_str().and_then(|name| universe.state().begun.get(name).cloned());
    let looked = witness::since_it_looked(universe, process, resource);
    let Some(begun) = begun.filter(|begun| !begun.ran.is_empty() && !looked.deployed) else { return };
    // What another change of ours has done since stays.
    let stays = |other: &Record| {
        let over = ["RolledBack", "Deferred", "Gone", "Blocked", "Quarantined", "Pending", "Registering"];
        let at = other.body["name"].as_str().and_then(|name| universe.state().begun.get(name).map(|begun| begun.at));
        other.body["spec"]["resource"] == begun.resource.as_str()
            && at.is_some_and(|at| at > begun.at)
            && !over.contains(&phase(&other.body).as_str())
    };
    if since.late || universe.changes().iter().any(stays) {
        return;
    }
    let runs = evidence::ran(&mut evidence::world(universe), resource);
    // A tag that was moved after our deployment is not seen to have moved, and a setting has no revision of its own to pin
    // what a tag named before (README, Limits): then only the documents tell.
    let family = evidence::service(&mut evidence::world(universe), resource)["taskDefinition"].clone();
    let family = family.as_str().and_then(|arn| short(arn).split(':').next()).unwrap_or_default();
    let of_setting = change["spec"]["kind"] == "deployingSetting";
    let pushed = universe.state().pushed.get(family).is_some_and(|at| *at >= begun.at) || of_setting && begun.outdated;
    let documents = |ran: &evidence::Ran| ran.iter().map(|(document, _)| document.clone()).collect::<BTreeSet<_>>();
    let same = if pushed { documents(&runs).is_subset(&documents(&begun.ran)) } else { runs.is_subset(&begun.ran) };
    let none = runs.is_empty()
        && !looked.disturbed
        && evidence::service(&mut evidence::world(universe), resource)["desiredCount"] != 0;
    check(universe, same && !none, || {
        let (known, of) = (&change["spec"]["ran"], &change["spec"]["documents"]);
        let images = |ran: &evidence::Ran| ran.iter().map(|(_, images)| images.clone()).collect::<Vec<_>>();
        let (now, then) = (images(&runs), images(&begun.ran));
        format!("{} is called taken back, and runs {now:?}, not {then:?} (known: {known}, {of})", short(resource))
    });
}

/// No record is removed, unless …
pub(crate) fn when_removed(universe: &Universe, process: usize, key: &Key, expect: Expect, before: Option<&Item>) {
    let Some(body) = before.map(|item| Value::Object(item.body.clone())) else { return };
    // … it is as it was read,
    let fenced = !key.partition.ends_with("#rollouts") || expect != Expect::Any;
    check(universe, fenced, || format!("{} is removed whatever it says", key.sort));
    // … and nobody has taken the lease, and written it, since whoever removes it had it.
    let epoch = universe.state().epochs[process];
    check(universe, body["epoch"].as_u64().is_none_or(|of| of <= epoch), || {
        format!("{} of epoch {} is removed in epoch {epoch}", key.sort, body["epoch"])
    });
    if !key.sort.starts_with("hold#") {
        return;
    }
    // … or, a hold, a person has asked to let the fix come again, and has not been answered yet.
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (resource, fix) = (text("resource"), text("fix"));
    let mut state = universe.state();
    let asked = state.let_go.contains_key(&resource) || state.let_go.contains_key(&text("rollout"));
    state.failed.remove(&(resource.clone(), fix.clone()));
    let now = universe.time.now();
    state.released.insert((resource.clone(), fix), now);
    drop(state);
    check(universe, asked, || format!("a hold of {} was released, and nobody asked", short(&resource)));
}
