//! What must hold, whatever happens. Read it as the specification: each law is one sentence and one check.
//!
//! Laws of a call are checked when it is *sent*: what becomes of it afterwards nobody can help. Laws of a record are
//! checked when it is written or removed. What only time can tell is checked as time passes, and at the end, after
//! everything has come to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll::model::Timestamp;
use plimsoll::plan::compare::same_task_definition;
use plimsoll::ports::Operation;
use plimsoll::ports::store::{Expect, Item, Key};
use plimsoll::rollout::change::READ_LAG;
use serde_json::Value;

use super::evidence::{self, short};
use super::mutants::Mutant;
use super::steps::STEPS;
use super::universe::{
    Begun, Buried, Effect, Freeze, Promise, Record, State, Universe, Waived, deployments, phase, primary,
};
use super::{rollout_law, witness};

/// How long a Freeze may have been stored before it is heeded.
const FREEZE_HEEDED_WITHIN: Duration = Duration::from_secs(1);

/// How old what a process has read of policies, Bindings and Waivers may be: two polls, and the time of a pass.
const READ_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// How far the time that a process goes by may be from ECS's: it carries on by its own clock between answers, and a step of
/// more than a minute waits for a second one.
const CLOCK_OFF: Duration = Duration::from_secs(2 * 60);

/// How long a deployment of somebody's that ours replaced may stay unfound.
const FOUND_WITHIN: Duration = Duration::from_secs(20 * 60);

/// No call is sent that changes anything in ECS, unless …
pub(crate) fn when_sent(universe: &Universe, process: usize, operation: Operation, input: &Value) -> Option<String> {
    by_the_holder_of_the_lease(universe, process, operation);
    match operation {
        Operation::RegisterTaskDefinition => registered_once_with_its_intent_on_record(universe, process, input),
        Operation::UpdateService => told_once_with_its_intent_on_record(universe, process, operation, input),
        Operation::UpdateClusterSettings => told_once_with_its_intent_on_record(universe, process, operation, input),
        Operation::StopServiceDeployment => {
            // … what is stopped is ours, or does what a setting's call would have done that may still arrive: nothing tells
            // who has set the very same (README, Limits).
            let arn = &input["serviceDeploymentArn"];
            let theirs = universe.state().theirs.contains(arn.as_str().unwrap_or_default());
            let intended = universe.changes().into_iter().find(|change| change.body["back"]["arn"] == *arn);
            let alike = intended.as_ref().is_some_and(|change| {
                let mut entered = change.body["history"].as_array().into_iter().flatten().rev();
                let back = entered.find(|entry| entry["phase"] == "RollingBack");
                change.body["spec"]["kind"] == "deployingSetting"
                    && back.is_some_and(|back| back["reason"]["code"] == "LateCall")
            });
            check(universe, !theirs || alike, || format!("StopServiceDeployment of {arn}, which somebody else began"));
            match intended {
                Some(change) => {
                    not_back_under_a_freeze(universe, &change);
                    Some(once(universe, &change))
                }
                None => broken(universe, format!("StopServiceDeployment of {arn} without its intent on record")),
            }
        }
        Operation::DeregisterTaskDefinition => {
            // … what it deregisters is ours, or cannot be told from what was asked for and never heard of: somebody else
            // may have registered the very same.
            let arn = input["taskDefinition"].as_str().unwrap_or_default();
            let made = evidence::definition(&mut evidence::world(universe), arn).map(|made| evidence::input(&made));
            let state = universe.state();
            let alike = |asked: &Value| match (made.as_ref().and_then(Value::as_object), asked.as_object()) {
                (Some(made), Some(asked)) => same_task_definition(made, asked),
                _ => false,
            };
            let ours = state.ours.contains_key(arn) || state.unheard.iter().any(alike);
            drop(state);
            check(universe, ours, || format!("{arn} is deregistered, and it is not ours"));
            // … no service names it by what the process has been shown. (One that was deleted since is shown no more.)
            let services = universe.state().read[process].services.clone();
            let world = &mut evidence::world(universe);
            let mut names = services.iter().filter(|(_, service)| service["taskDefinition"] == arn);
            let named = names.find(|(service, _)| evidence::service(world, service)["taskDefinition"] == arn);
            let named = named.map(|(service, _)| short(service));
            check(universe, named.is_none(), || format!("{arn} is deregistered, and {named:?} names it"));
            // … its intent is on record, and no call was sent for that intent before.
            let registrations = universe.records("registration#").into_iter();
            let mut known = registrations.flat_map(|of| {
                let known = of.body["deregistered"].as_array().cloned().unwrap_or_default();
                known.into_iter().map(move |known| (of.key.clone(), known))
            });
            let Some((of, known)) = known.find(|(_, known)| known["arn"] == arn && known.get("done").is_none()) else {
                return broken(universe, format!("DeregisterTaskDefinition of {arn} without its intent on record"));
            };
            // (Two registrations may have come to one revision.)
            let intent = format!("{of} {arn} deregistered {}", known["intent"]);
            let first = universe.state().sent.insert(intent.clone());
            check(universe, first, || format!("a call was sent twice for one intent: {intent}"));
            Some(intent)
        }
        other => broken(universe, format!("{} is sent, and no policy needs it", other.as_str())),
    }
}

/// … the process that sends it holds the lease, there is as much left of it as a call may take, and what was open when it
/// took the lease bears its epoch, so that whoever held it before can write none of that.
fn by_the_holder_of_the_lease(universe: &Universe, process: usize, operation: Operation) {
    let name = operation.as_str();
    let lease = universe.store.peek(&Key::new(format!("rt#{}", universe.target), "lease"));
    let lease = lease.map(|lease| Value::Object(lease.body)).unwrap_or_default();
    let (own, epoch, renewed, belated) = {
        let state = universe.state();
        (state.holders[process].clone(), state.epochs[process], state.renewed, state.belated.clone())
    };
    check(universe, lease["holder"] == own.as_str() && lease["epoch"] == epoch, || {
        format!("{name} is sent by `{own}` in epoch {epoch}, and the lease is {lease}")
    });
    let (ends, now) = (renewed + universe.timing.lease, universe.time.now());
    check(universe, now + universe.timing.call <= ends, || {
        format!("{name} is sent by `{own}`, and too little of the lease is left: it ends at {ends}")
    });
    let open = witness::open_records(universe).into_iter();
    let made_late = |record: &Record| {
        let of = record.body["spec"]["rollout"].as_str().map(|rollout| format!("rollout#{rollout}"));
        belated.contains(&record.key) || of.is_some_and(|rollout| belated.contains(&rollout))
    };
    let mut former = open.filter(|record| record.body["epoch"] != epoch && !made_late(record));
    if let Some(Record { key, body }) = former.next() {
        universe.broke(format!("{name} is sent in epoch {epoch}, and {key} still bears epoch {}", body["epoch"]));
    }
}

/// … a registration is on record as intended, no call was sent for that intent before, it differs from the revision that
/// it is made from in planned members only, and some change that needs it may go forward now, unless one goes back to it.
fn registered_once_with_its_intent_on_record(universe: &Universe, process: usize, input: &Value) -> Option<String> {
    let family = input["family"].as_str().unwrap_or_default();
    // Compared by hash, as it is recorded; the mutant that loses a member loses it on the way.
    let hash = plimsoll::model::document::hash(input);
    let loses = universe.mutant.is(Mutant::LosesAMember);
    let intended = universe.records("registration#").into_iter().filter(|item| {
        item.body["state"]["phase"] == "Intended"
            && (item.body["wanted"] == hash.as_str() || loses && item.body["family"] == family)
    });
    let name = |item: &Record| format!("{} {}", item.key, item.body["state"]);
    let changes = universe.changes();
    // Revisions that are equal want the same: what one intent was sent for is not what another is; and one that was left by
    // somebody who died is not the one that is acted upon.
    let left = |item: &Record| {
        let going = |change: &Record| matches!(phase(&change.body).as_str(), "Registering" | "RollingBack");
        !changes.iter().any(|change| going(change) && change.body["spec"]["from"] == item.body["from"])
    };
    let mut intended: Vec<Record> = intended.collect();
    intended.sort_by_key(|item| (left(item), universe.state().sent.contains(&name(item))));
    let Some(intended) = intended.into_iter().next() else {
        return broken(universe, format!("RegisterTaskDefinition of `{family}` without its intent on record"));
    };
    let intent = name(&intended);
    let first = universe.state().sent.insert(intent.clone());
    check(universe, first, || format!("RegisterTaskDefinition was sent twice for one intent: {intent}"));
    not_had_its_effect(universe, process, &intent, input);
    let of = |name: &str, change: &Record| {
        change.body["spec"]["documents"][name] == intended.body["wanted"]
            && change.body["spec"]["from"] == intended.body["from"]
    };
    let planned =
        changes.iter().filter(|change| of("wanted", change)).flat_map(|change| policies(&change.body["spec"]));
    let wrong = witness::not_planned(universe, &intended, input, &planned.collect::<Vec<_>>());
    check(universe, wrong.is_none(), || wrong.unwrap_or_default());
    let thawed = |change: &Record| {
        let cluster = change.body["spec"]["cluster"].as_str().map(short).unwrap_or_default();
        frozen(&universe.state(), cluster, universe.time.now(), |freeze| freeze.includes_rollback).is_none()
    };
    let goes_back = |change: &Record| phase(&change.body) == "RollingBack" && of("previous", change) && thawed(change);
    let back = changes.iter().any(goes_back);
    let forward = changes.iter().filter(|change| phase(&change.body) == "Registering" && of("wanted", change));
    let against = |change: &Record| closed(universe, process, change).or_else(|| unasked(universe, process, change));
    let against: Vec<_> = forward.map(against).collect();
    check(universe, back || against.iter().any(Option::is_none), || {
        format!("RegisterTaskDefinition of `{family}`: {against:?}")
    });
    Some(intent)
}

fn told_once_with_its_intent_on_record(
    universe: &Universe,
    process: usize,
    operation: Operation,
    input: &Value,
) -> Option<String> {
    let is_service = operation == Operation::UpdateService;
    let resource = input[if is_service { "service" } else { "cluster" }].as_str().unwrap_or_default().to_owned();
    let name = short(&resource);
    // … it names no desired count.
    check(universe, input.get("desiredCount").is_none(), || format!("UpdateService with a desired count: {input}"));
    // … its intent is on record, and it says no more and no less than that.
    let changes = universe.changes();
    let mut of_resource = changes.iter().filter(|change| change.body["spec"]["resource"] == resource.as_str());
    let Some(change) = of_resource.find(|change| witness::is_intended(change, input)) else {
        return broken(universe, format!("{} of {name} without its intent on record: {input}", operation.as_str()));
    };
    let intent = once(universe, change);
    not_had_its_effect(universe, process, &intent, input);
    let forward = phase(&change.body) == "Updating";
    if is_service && change.body["spec"]["kind"] != "quietSetting" {
        on_a_service_at_rest(universe, process, change);
    }
    if forward {
        let other = witness::carries(universe, process, change, input);
        check(universe, other.is_none(), || {
            format!("{} of {name} carries {other:?}, which was not read there", operation.as_str())
        });
    }
    // … nothing speaks against going forward; and what the process goes by asks for it, unless it was told before, or
    // another had meant to: what is in flight finishes.
    let in_flight = witness::was_in_flight(universe, process, change);
    let against =
        || closed(universe, process, change).or_else(|| unasked(universe, process, change).filter(|_| !in_flight));
    if !forward {
        not_back_under_a_freeze(universe, change);
    }
    if let Some(why) = Some(forward).filter(|forward| *forward).and_then(|_| against()) {
        universe.broke(format!("{} of {name}: {why}", operation.as_str()));
    }
    Some(intent)
}

/// … no call for the same has had its effect already. What it did is there to be found once reads have caught up; a clock
/// that is ahead says so too soon, and then there is one more to be cleared away.
fn not_had_its_effect(universe: &Universe, process: usize, intent: &str, input: &Value) {
    let of = intent.rsplit_once(' ').map_or(intent, |(of, _)| of);
    let effects = universe.state().effects.clone();
    let (now, by_clock) = (universe.time.now(), universe.by_its_clock(process));
    let misled = |effect: &Effect| effect.at + READ_LAG > now && effect.by_clock + READ_LAG <= by_clock;
    let mut caught_up = effects.iter().filter(|effect| !misled(effect));
    let found = caught_up.find(|effect| effect.of == of && witness::is_there(universe, effect, input));
    check(universe, found.is_none(), || format!("{of} is sent again, and has had its effect: {found:?}"));
}

/// … no call was sent for that intent before.
fn once(universe: &Universe, change: &Record) -> String {
    let body = &change.body;
    let at = if phase(body) == "Updating" { &body["intent"] } else { &body["back"]["intent"] };
    let intent = format!("{} {} {at}", body["name"], phase(body));
    let first = universe.state().sent.insert(intent.clone());
    check(universe, first, || format!("a call was sent twice for one intent: {intent}"));
    intent
}

/// … ECS was not seen to roll the service back; and, on the way forward, nobody's deployment was seen to be in progress.
fn on_a_service_at_rest(universe: &Universe, process: usize, change: &Record) {
    let resource = change.body["spec"]["resource"].as_str().unwrap_or_default();
    let seen = universe.state().read[process].services.get(resource).cloned().unwrap_or_default();
    let moving = |deployment: &Value| deployment["status"] == "PRIMARY" && deployment["rolloutState"] == "IN_PROGRESS";
    let moving = deployments(&seen).any(moving);
    let rolling_back = moving && deployments(&seen).any(|deployment| deployment["rolloutState"] == "FAILED");
    check(universe, !rolling_back, || format!("UpdateService of {} during a rollback", short(resource)));
    // (A call whose answer was lost is repeated over its own.)
    let forward = phase(&change.body) == "Updating";
    let intent = primary(&seen).and_then(|id| universe.state().began.get(&id).cloned());
    let own = intent.is_some_and(|intent| intent.starts_with(&format!("{} ", change.body["name"])));
    check(universe, !forward || !moving || own, || format!("UpdateService of {} during a deployment", short(resource)));
    // … nor, there or back, by ECS's records of its deployments, which tell of what the service does not show yet.
    let begun = universe.state().read[process].begun.get(resource).cloned().unwrap_or_default();
    let theirs = begun.iter().find(|arn| universe.state().theirs.contains(*arn));
    check(universe, theirs.is_none() || change.body["spec"]["kind"] == "quietSetting", || {
        format!("UpdateService of {}, and {theirs:?} was seen to be in progress", short(resource))
    });
    // … what is replaced is what the change comes from, or is its own: nobody's who has deployed since, there or back.
    let spec = &change.body["spec"];
    let made: Vec<Value> =
        universe.records("registration#").into_iter().map(|of| of.body["state"]["arn"].clone()).collect();
    let runs = &seen["taskDefinition"];
    let known = runs.is_null() || *runs == spec["from"] || *runs == spec["to"] || made.contains(runs);
    check(universe, known || spec["kind"] != "revision", || {
        format!("UpdateService of {} over {runs}, which somebody has deployed", short(resource))
    });
}

/// The Freeze that covers a cluster, if one does that has been stored for long enough.
fn frozen(state: &State, cluster: &str, now: Timestamp, of: impl Fn(&Freeze) -> bool) -> Option<String> {
    let covers = |freeze: &Freeze| freeze.cluster.as_deref().is_none_or(|name| name == cluster) && of(freeze);
    let mut heeded =
        state.freezes.iter().filter(|(_, freeze)| freeze.stored + FREEZE_HEEDED_WITHIN < now && covers(freeze));
    heeded.next().map(|(name, _)| name.clone())
}

/// … nothing is taken back either where a Freeze says so.
fn not_back_under_a_freeze(universe: &Universe, change: &Record) {
    let cluster = change.body["spec"]["cluster"].as_str().map(short).unwrap_or_default();
    let freeze = frozen(&universe.state(), cluster, universe.time.now(), |freeze| freeze.includes_rollback);
    check(universe, freeze.is_none(), || {
        format!("change {} is taken back, and Freeze {freeze:?} is in force, also of that", change.body["name"])
    });
}

/// Why nothing may be sent forward for a change:
fn closed(universe: &Universe, process: usize, change: &Record) -> Option<String> {
    let spec = &change.body["spec"];
    let cluster = spec["cluster"].as_str().map(short).unwrap_or_default();
    let now = universe.time.now();
    let clock = universe.by_its_clock(process);
    let resource = spec["resource"].as_str().unwrap_or_default();
    let rollout = spec["rollout"].as_str().unwrap_or_default();
    let state = universe.state();
    // a Freeze is in force;
    if let Some(name) = frozen(&state, cluster, now, |_| true) {
        return Some(format!("Freeze `{name}` is in force"));
    }
    // by the process's own clock, it is outside of the windows of the strategy that its rollout was begun under;
    let Some(Promise { strategy, .. }) = state.promised.get(rollout) else {
        return Some(format!("nobody knows what `{rollout}` was begun under"));
    };
    // or whatever its clock may say;
    let closed = |at: Timestamp| !strategy.window.is_open(at);
    if closed(clock) || [now - CLOCK_OFF, now, now + CLOCK_OFF].into_iter().all(closed) {
        return Some(format!("{:?} is closed at {clock}, which is {now}", strategy.window));
    }
    for fix in fixes(spec) {
        // the fix is held off the resource, and the change has not begun: what has touched a resource finishes;
        let held = witness::holds(universe, resource, fix);
        if held && phase(&change.body) != "Updating" {
            return Some("a fix is held off it".to_owned());
        }
        // it has failed there before, or was taken back, without a person letting it come again since.
        if let Some(why) = state.failed.get(&(resource.to_owned(), fix.to_owned())) {
            return Some(format!("a fix that was taken off it is back: {why}"));
        }
    }
    None
}

/// Why what the process has read last does not ask for a change, or not without a person:
fn unasked(universe: &Universe, process: usize, change: &Record) -> Option<String> {
    let (spec, name) = (&change.body["spec"], &change.body["name"]);
    let (has_run, configured) = (universe.has_run(process), universe.state().read[process].configured);
    // that was too long ago;
    if configured + READ_AGAIN_WITHIN < has_run {
        return Some(format!("change {name} goes by what was read last at {configured:?}, and it is {has_run:?}"));
    }
    let resource = spec["resource"].as_str().unwrap_or_default();
    let state = universe.state();
    let read = &state.read[process];
    let Some(setup) = state.setups.get(&read.policies) else {
        return Some(format!("change {name} goes by generation {}, which nobody has stored", read.policies));
    };
    // (What may have ended by its clock does not count.)
    let lasts = |waived: &Waived| waived.until > universe.time.now() + CLOCK_OFF;
    let waived = state.waived.get(&read.waivers).cloned().flatten().filter(lasts).map(|waived| waived.service);
    let cluster = spec["cluster"].as_str().map(short).unwrap_or_default();
    let service = resource.contains(":service/").then(|| short(resource).rsplit('/').next()).flatten();
    let approved = state.approved.contains_key(spec["rollout"].as_str().unwrap_or_default());
    // what it makes is what the policy asked for before it was edited;
    if let Some(why) = setup.has_another_fix(&made_of(&state, spec), policies(spec)) {
        return Some(format!("change {name} goes to {}, and {why}", short(resource)));
    }
    // it says of no policy and of no fix that it is made for them;
    if policies(spec).next().is_none() || fixes(spec).next().is_none() {
        return Some(format!("change {name} is made for no policy: {spec}"));
    }
    for policy in policies(spec) {
        // a policy that it is made for is asked of nobody there;
        if !setup.asks(policy, cluster, service) {
            return Some(format!("change {name} goes to {}, where nobody asks for {policy}", short(resource)));
        }
        // it is waived there;
        if policy == "no-host-pid" && waived.is_some() && waived.as_deref() == service {
            return Some(format!("change {name} goes to {}, where {policy} is waived", short(resource)));
        }
        // it is only proposed, and nobody has approved.
        if !approved && setup.only_proposes(&[policy], cluster) {
            return Some(format!("change {name} of {policy}, which is proposed, was not approved"));
        }
    }
    None
}

/// What a change makes: the document of its revision, where that is known already, or the members that it sets.
fn made_of(state: &State, spec: &Value) -> Value {
    match spec["kind"].as_str() {
        Some("revision") => spec["to"].as_str().and_then(|to| state.ours.get(to)).cloned().unwrap_or_default(),
        _ => spec["setting"]["forward"].clone(),
    }
}

fn fixes(spec: &Value) -> impl Iterator<Item = &str> {
    spec["fixes"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn policies(spec: &Value) -> impl Iterator<Item = &str> {
    spec["policies"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

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
        universe.state().begins.remove(name);
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
    let named = super::others::named(world);
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
        let excused = witness::touched_since_taken_back(universe, &change.body) || changes.iter().any(set_since);
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
    let events = super::ports::now(events.list("")).unwrap_or_default();
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

pub(crate) fn check(universe: &Universe, holds: bool, law: impl FnOnce() -> String) {
    if !holds {
        universe.broke(law());
    }
}

fn broken(universe: &Universe, law: String) -> Option<String> {
    universe.broke(law);
    None
}

/// Whether something may still be found.
pub(crate) fn waits(universe: &Universe) -> bool {
    !universe.state().buried.is_empty()
}
