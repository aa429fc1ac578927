//! What must hold of every call that changes something, when it is sent.

use std::time::Duration;

use plimsoll::model::Timestamp;
use plimsoll::plan::compare::same_task_definition;
use plimsoll::ports::Operation;
use plimsoll::ports::store::Key;
use plimsoll::rollout::change::READ_LAG;
use serde_json::Value;

use super::{broken, check, fixes, policies};
use crate::simulation::evidence::{self, short};
use crate::simulation::mutants::Mutant;
use crate::simulation::universe::{
    Effect, Freeze, Promise, Record, State, Universe, Waived, deployments, phase, primary,
};
use crate::simulation::witness;

/// How long a Freeze may have been stored before it is heeded.
const FREEZE_HEEDED_WITHIN: Duration = Duration::from_secs(1);

/// How old what a process has read of policies, Bindings and Waivers may be: two polls, and the time of a pass.
const READ_AGAIN_WITHIN: Duration = Duration::from_secs(30);

/// How far the time that a process goes by may be from ECS's: it carries on by its own clock between answers, and a step of
/// more than a minute waits for a second one.
const CLOCK_OFF: Duration = Duration::from_secs(2 * 60);

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
    // (What it goes back from is the newer one. Over an older one that has failed, a deployment is like any other.)
    let begun = |deployment: &Value| deployment["createdAt"].as_f64();
    let back_to = deployments(&seen).find(|deployment| deployment["status"] == "PRIMARY").and_then(begun);
    let from = |deployment: &Value| deployment["rolloutState"] == "FAILED" && begun(deployment) > back_to;
    let rolling_back = moving && deployments(&seen).any(from);
    check(universe, !rolling_back, || format!("UpdateService of {} during a rollback", short(resource)));
    // (A call whose answer was lost is repeated over its own.)
    let forward = phase(&change.body) == "Updating";
    let intent = primary(&seen).and_then(|id| universe.state().began.get(&id).cloned());
    let own = intent.is_some_and(|intent| intent.starts_with(&format!("{} ", change.body["name"])));
    check(universe, !forward || !moving || own, || format!("UpdateService of {} during a deployment", short(resource)));
    // … nor, there or back, by ECS's records of its deployments, which tell of what the service does not show yet.
    let begun = universe.state().read[process].begun.get(resource).cloned().unwrap_or_default();
    // (What it shows as done has ended since.)
    let ended = |arn: &str| seen["currentServiceDeployment"] == arn && !moving;
    let theirs = begun.iter().find(|arn| universe.state().theirs.contains(*arn) && !ended(arn));
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
pub(super) fn unasked(universe: &Universe, process: usize, change: &Record) -> Option<String> {
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
