//! What must hold, whatever happens. Read it as the specification: each law is one sentence and one check.
//!
//! Laws of a call are checked when it is *sent*: what becomes of it afterwards nobody can help. Laws of a record are
//! checked when it is written or removed. What only time can tell is checked as time passes, and at the end, after
//! everything has come to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use plimsoll::model::AlarmState;
use plimsoll::plan::compare::same_task_definition;
use plimsoll::ports::Operation;
use plimsoll::ports::store::{Item, Key};
use serde_json::{Map, Value};

use super::evidence::{self, short};
use super::mutants::Mutant;
use super::steps::STEPS;
use super::universe::{Begun, Buried, Promise, Record, Universe, deployments, phase, primary};

/// How long a Freeze may have been stored before it is heeded.
const FREEZE_HEEDED_WITHIN: Duration = Duration::from_secs(1);

/// How long a deployment of somebody's that ours replaced may stay unfound.
const FOUND_WITHIN: Duration = Duration::from_secs(20 * 60);

/// No call is sent that changes anything in ECS, unless …
pub(crate) fn when_sent(universe: &Universe, process: usize, operation: Operation, input: &Value) {
    by_the_holder_of_the_lease(universe, process, operation);
    match operation {
        Operation::RegisterTaskDefinition => registered_once_with_its_intent_on_record(universe, process, input),
        Operation::UpdateService => told_once_with_its_intent_on_record(universe, process, operation, input),
        Operation::UpdateClusterSettings => told_once_with_its_intent_on_record(universe, process, operation, input),
        Operation::StopServiceDeployment => {
            let arn = &input["serviceDeploymentArn"];
            let intended = universe.changes().into_iter().find(|change| change.body["back"]["arn"] == *arn);
            match intended {
                Some(change) => once(universe, process, &change),
                None => universe.broke(format!("StopServiceDeployment of {arn} without its intent on record")),
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
        }
        other => universe.broke(format!("{} is sent, and no policy needs it", other.as_str())),
    }
}

/// … the process that sends it holds the lease.
fn by_the_holder_of_the_lease(universe: &Universe, process: usize, operation: Operation) {
    let key = Key::new(format!("rt#{}", universe.target), "lease");
    let holder = universe.store.peek(&key).and_then(|item| item.body.get("holder")?.as_str().map(str::to_owned));
    let own = universe.state().holders[process].clone();
    check(universe, holder.as_deref() == Some(&own), || {
        format!("{} is sent by `{own}`, and the lease is {holder:?}'s", operation.as_str())
    });
}

/// … a registration is on record as intended, no call was sent for that intent before, and some change that needs it may
/// go forward now, unless it brings back what was there before.
fn registered_once_with_its_intent_on_record(universe: &Universe, process: usize, input: &Value) {
    let family = input["family"].as_str().unwrap_or_default();
    // Compared by hash, as it is recorded; the mutant that loses a member loses it on the way.
    let hash = plimsoll::model::document::hash(input);
    let loses = universe.mutant.is(Mutant::LosesAMember);
    let intended = universe.records("registration#").into_iter().find(|item| {
        item.body["state"]["phase"] == "Intended"
            && (item.body["wanted"] == hash.as_str() || loses && item.body["family"] == family)
    });
    let Some(intended) = intended else {
        return universe.broke(format!("RegisterTaskDefinition of `{family}` without its intent on record"));
    };
    let intent = format!("{} {}", intended.key, intended.body["state"]);
    let first = is_first(universe, process, &intent);
    check(universe, first, || format!("RegisterTaskDefinition was sent twice for one intent: {intent}"));
    let wanted = &intended.body["wanted"];
    let changes = universe.changes();
    let back = changes.iter().any(|change| change.body["spec"]["documents"]["previous"] == *wanted);
    let forward = changes.iter().filter(|change| change.body["spec"]["documents"]["wanted"] == *wanted);
    let closed: Vec<_> = forward.map(|change| closed(universe, process, change)).collect();
    check(universe, back || closed.iter().any(Option::is_none), || {
        format!("RegisterTaskDefinition of `{family}`: {closed:?}")
    });
}

fn told_once_with_its_intent_on_record(universe: &Universe, process: usize, operation: Operation, input: &Value) {
    let is_service = operation == Operation::UpdateService;
    let resource = input[if is_service { "service" } else { "cluster" }].as_str().unwrap_or_default().to_owned();
    let name = short(&resource);
    // … it names no desired count.
    check(universe, input.get("desiredCount").is_none(), || format!("UpdateService with a desired count: {input}"));
    // … its intent is on record, and it says no more than that.
    let changes = universe.changes();
    let mut of_resource = changes.iter().filter(|change| change.body["spec"]["resource"] == resource.as_str());
    let Some(change) = of_resource.find(|change| is_intended(change, input)) else {
        return universe.broke(format!("{} of {name} without its intent on record: {input}", operation.as_str()));
    };
    once(universe, process, change);
    let forward = phase(&change.body) == "Updating";
    if is_service && change.body["spec"]["kind"] != "quietSetting" {
        on_a_service_at_rest(universe, process, change, input);
    }
    // … nothing speaks against going forward.
    if let Some(why) = Some(change).filter(|_| forward).and_then(|change| closed(universe, process, change)) {
        universe.broke(format!("{} of {name}: {why}", operation.as_str()));
    }
}

/// Whether a change, as recorded, is the intent of this call: there or back.
fn is_intended(change: &Record, input: &Value) -> bool {
    let body = &change.body;
    let (there, back) = (phase(body) == "Updating", body["back"]["step"] == "Updating");
    if let Some(revision) = input.get("taskDefinition") {
        return there && body["to"] == *revision || back && body["back"]["to"] == *revision;
    }
    let setting = &body["spec"]["setting"];
    let wanted = if there { &setting["forward"] } else { &setting["back"] };
    let mut members = input.as_object().into_iter().flatten();
    (there || back)
        && wanted.is_object()
        && members.all(|(name, value)| {
            matches!(name.as_str(), "cluster" | "service" | "desiredCount") || wanted[name.as_str()] == *value
        })
}

/// … no call was sent for that intent before.
fn once(universe: &Universe, process: usize, change: &Record) {
    let body = &change.body;
    let at = if phase(body) == "Updating" { &body["intent"] } else { &body["back"]["intent"] };
    let intent = format!("{} {} {at}", body["name"], phase(body));
    let first = is_first(universe, process, &intent);
    check(universe, first, || format!("a call was sent twice for one intent: {intent}"));
}

/// ECS has said that a call had no effect, or it never left: its intent is spent, and another may follow at once.
pub(crate) fn when_refused(universe: &Universe, process: usize) {
    let mut state = universe.state();
    if let Some(intent) = state.last_intent.remove(&process) {
        state.sent.remove(&intent);
    }
}

/// Whether no call was sent for that intent before.
fn is_first(universe: &Universe, process: usize, intent: &str) -> bool {
    let mut state = universe.state();
    state.last_intent.insert(process, intent.to_owned());
    state.sent.insert(intent.to_owned())
}

/// … ECS was not seen to roll the service back; and, on the way forward, nobody's deployment was seen to be in progress.
fn on_a_service_at_rest(universe: &Universe, process: usize, change: &Record, input: &Value) {
    let resource = change.body["spec"]["resource"].as_str().unwrap_or_default();
    let seen = universe.state().read[process].services.get(resource).cloned().unwrap_or_default();
    let moving = |deployment: &Value| deployment["status"] == "PRIMARY" && deployment["rolloutState"] == "IN_PROGRESS";
    let moving = deployments(&seen).any(moving);
    let rolling_back = moving && deployments(&seen).any(|deployment| deployment["rolloutState"] == "FAILED");
    check(universe, !rolling_back, || format!("UpdateService of {} during a rollback", short(resource)));
    let repeats = |deployment: &Value| {
        deployment["status"] == "PRIMARY"
            && (deployment["taskDefinition"] == input["taskDefinition"] || input.get("taskDefinition").is_none())
    };
    let repeated = deployments(&seen).any(repeats);
    let forward = phase(&change.body) == "Updating";
    let theirs = primary(&seen).is_some_and(|id| universe.state().theirs.contains(&id));
    check(universe, !forward || !moving || (repeated && !theirs), || {
        format!("UpdateService of {} during a deployment", short(resource))
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
    // a Freeze that has been stored for long enough covers its cluster;
    let covers = |of: &Option<String>| of.as_deref().is_none_or(|name| name == cluster);
    let freezes = state.freezes.iter();
    let mut heeded = freezes.filter(|(_, (stored, of))| *stored + FREEZE_HEEDED_WITHIN < now && covers(of));
    if let Some((name, _)) = heeded.next() {
        return Some(format!("Freeze `{name}` is in force"));
    }
    // by the process's own clock, it is outside of the windows of the strategy that its rollout was begun under;
    if let Some(promise) = state.promised.get(rollout).filter(|promise| !promise.strategy.window.is_open(clock)) {
        return Some(format!("{:?} is closed at {clock}", promise.strategy.window));
    }
    for fix in fixes(spec) {
        // the fix is held off the resource, and the change has not begun: what has touched a resource finishes;
        let held = universe_holds(universe, resource, fix);
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

fn universe_holds(universe: &Universe, resource: &str, fix: &str) -> bool {
    universe
        .records("hold#")
        .into_iter()
        .any(|hold| hold.body["resource"] == resource && (hold.body["fix"] == fix || hold.body["fix"] == "*"))
}

fn fixes(spec: &Value) -> impl Iterator<Item = &str> {
    spec["fixes"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// No record is written, unless …
pub(crate) fn when_written(universe: &Universe, process: usize, key: &Key, before: Option<&Value>, after: &Value) {
    if key.sort.starts_with("rollout#") && before.is_none() {
        promise(universe, process, after);
    }
    if key.sort.starts_with("hold#") {
        let resource = after["resource"].as_str().unwrap_or_default();
        universe.state().buried.retain(|buried| buried.service != resource);
    }
    if !key.sort.starts_with("change#") {
        return;
    }
    let (was, is) = (before.map(phase).unwrap_or_default(), phase(after));
    let name = after["name"].as_str().unwrap_or_default();
    if was == is || was.is_empty() {
        return;
    }
    // … the step follows from the one before.
    let follows = STEPS.iter().any(|(from, to)| *from == was && to.contains(&is.as_str()));
    check(universe, follows, || format!("change {name} goes from {was} to {is}"));
    let spec = &after["spec"];
    let resource = spec["resource"].as_str().unwrap_or_default().to_owned();
    if matches!(is.as_str(), "Clobbering" | "Clobbered") {
        universe.state().buried.retain(|buried| buried.service != resource);
    }
    // Known not to have been called: that was no move.
    if was == "Updating" && matches!(is.as_str(), "Pending" | "Registering") {
        universe.state().begins.remove(name);
    }
    match is.as_str() {
        "Registering" | "Updating" => {
            if was == "Pending" {
                begins(universe, process, after);
            }
            if is == "Updating" {
                moves(universe, after);
                still_asked_for(universe, process, after);
                in_flight(universe, after);
                let (at, ran) = (universe.time.now(), evidence::ran(&mut evidence::world(universe), &resource));
                universe.state().begun.insert(name.to_owned(), Begun { at, resource, ran });
            }
        }
        // A call that came late is no failure of the fix; one that was taken back before has failed then.
        "RollingBack" | "Quarantined" | "Clobbered" if was == "RolledBack" || after["cause"]["code"] == "LateCall" => {}
        "RollingBack" | "Quarantined" | "Clobbered" => {
            for fix in fixes(spec) {
                let (why, of) = (format!("{name}: {is}"), (resource.clone(), fix.to_owned()));
                universe.state().failed.insert(of, why);
            }
        }
        "Succeeded" => proved(universe, after),
        "RolledBack" => identical(universe, after),
        _ => {}
    }
}

/// What a rollout is begun under: the strategy in force as the process last read it.
fn promise(universe: &Universe, process: usize, rollout: &Value) {
    let mut state = universe.state();
    let name = rollout["spec"]["strategyName"].as_str().unwrap_or_default();
    let strategy = state.setups.get(&state.read[process].policies).and_then(|setup| setup.strategy(name)).cloned();
    if let (Some(strategy), Some(rollout_name)) = (strategy, rollout["name"].as_str()) {
        let proposed = phase(rollout) == "Proposed";
        state.promised.insert(rollout_name.to_owned(), Promise { strategy, proposed });
    }
}

/// … nothing that a rollout was begun under speaks against beginning:
fn begins(universe: &Universe, process: usize, after: &Value) {
    let name = after["name"].as_str().unwrap_or_default();
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let state = universe.state();
    let Some(Promise { strategy, proposed }) = state.promised.get(rollout).cloned() else { return };
    let asked = state.approved.get(rollout).copied().unwrap_or(0);
    let alarm = state.read[process].alarm;
    let mut broken = Vec::new();
    // … a person has approved what needs approval,
    if (proposed || strategy.approval != "none") && asked == 0 {
        broken.push(format!("change {name} begins, and nobody has approved `{rollout}`"));
    }
    // … and the alarm was last seen to be OK, where one is listened to.
    if strategy.alarm && alarm != Some(AlarmState::Ok) {
        broken.push(format!("change {name} begins, and the alarm was last seen as {alarm:?}"));
    }
    drop(state);
    broken.into_iter().for_each(|law| universe.broke(law));
}

/// … not more of a strategy than a day may have had moved in 24 hours.
fn moves(universe: &Universe, after: &Value) {
    let name = after["name"].as_str().unwrap_or_default();
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let now = universe.time.now();
    let mut state = universe.state();
    state.begins.insert(name.to_owned(), now);
    let Some(Promise { strategy, .. }) = state.promised.get(rollout).cloned() else { return };
    let of_strategy = |name: &str| {
        let promise = name.split('/').next().and_then(|rollout| state.promised.get(rollout));
        promise.is_some_and(|promise| promise.strategy.name == strategy.name)
    };
    let recent = state.begins.iter().filter(|(_, at)| **at + Duration::from_secs(24 * 3600) > now);
    let today = recent.filter(|(name, _)| of_strategy(name)).count();
    drop(state);
    let full = strategy.per_day.is_some_and(|limit| today > limit);
    check(universe, !full, || format!("change {name} is the {today}th of 24 hours, {:?} may be", strategy.per_day));
}

/// … each policy that a change is made for is asked for there by what the process last read, and not waived; one that
/// is only proposed was approved; and no fix of it is held off.
fn still_asked_for(universe: &Universe, process: usize, after: &Value) {
    let spec = &after["spec"];
    let resource = spec["resource"].as_str().unwrap_or_default();
    let held = fixes(spec).any(|fix| universe_holds(universe, resource, fix));
    check(universe, !held, || format!("change {} goes to {}, off which it is held", after["name"], short(resource)));
    let state = universe.state();
    let read = &state.read[process];
    let Some(setup) = state.setups.get(&read.policies) else { return };
    let waived = state.waived.get(&read.waivers).cloned().flatten();
    let cluster = spec["cluster"].as_str().map(short).unwrap_or_default();
    let service = resource.contains(":service/").then(|| short(resource).rsplit('/').next()).flatten();
    let rollout = spec["rollout"].as_str().unwrap_or_default();
    let approved = state.approved.contains_key(rollout);
    let mut broken = Vec::new();
    for policy in spec["policies"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !setup.asks(policy, cluster, service) {
            broken.push(format!(
                "change {} goes to {}, where nobody asks for {policy}",
                after["name"],
                short(resource)
            ));
        }
        if policy == "no-host-pid" && waived.is_some() && waived.as_deref() == service {
            broken.push(format!("change {} goes to {}, where {policy} is waived", after["name"], short(resource)));
        }
        if !approved && setup.only_proposes(&[policy], cluster) {
            broken.push(format!("change {} of {policy}, which is proposed, was not approved", after["name"]));
        }
    }
    drop(state);
    broken.into_iter().for_each(|law| universe.broke(law));
}

/// … no change goes forward while as many of its strategy are in flight, of whichever rollout, as the strategy allows.
/// (Going back counts, and may begin at any time.)
fn in_flight(universe: &Universe, after: &Value) {
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let promised = universe.state().promised.clone();
    let Some(strategy) = promised.get(rollout).map(|promise| &promise.strategy) else { return };
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

/// Whether somebody else has touched the resource since the change began.
fn touched(universe: &Universe, change: &Value) -> bool {
    let state = universe.state();
    let began = change["name"].as_str().and_then(|name| state.begun.get(name)).map(|begun| begun.at);
    let at = change["spec"]["resource"].as_str().and_then(|resource| state.touched.get(resource));
    at.is_some_and(|at| began.is_none_or(|began| *at >= began))
}

/// … what is called succeeded is there: every task of the service is on its revision, or of the deployment that brought
/// the setting, and at least one serves; a setting is set; or somebody else has touched it since.
fn proved(universe: &Universe, change: &Value) {
    let resource = change["spec"]["resource"].as_str().unwrap_or_default();
    if touched(universe, change) {
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
    check(universe, of_ours > 0 && of_ours == running.len(), || {
        format!("{} is called succeeded, and runs {running:?}", short(resource))
    });
}

/// … what is called taken back runs what ran when the change began: the same document, the same images, whatever the
/// revision is called; or somebody else has touched it since.
fn identical(universe: &Universe, change: &Value) {
    let resource = change["spec"]["resource"].as_str().unwrap_or_default();
    // What starts no deployment leaves the tasks alone.
    if !matches!(change["spec"]["kind"].as_str(), Some("revision" | "deployingSetting")) {
        return;
    }
    let begun = change["name"].as_str().and_then(|name| universe.state().begun.get(name).cloned());
    let Some(begun) = begun.filter(|begun| !begun.ran.is_empty() && !touched(universe, change)) else { return };
    // What another change of ours has done since stays.
    let since = |other: &Begun| other.resource == begun.resource && other.at > begun.at;
    if universe.state().begun.values().any(since) {
        return;
    }
    let runs = evidence::ran(&mut evidence::world(universe), resource);
    // A tag that was moved after our deployment is not seen to have moved, and a setting has no revision of its own to pin
    // what a tag named before (README, Limits): then only the documents tell.
    let family = change["spec"]["from"].as_str().and_then(|arn| short(arn).split(':').next()).unwrap_or_default();
    let of_setting = change["spec"]["kind"] == "deployingSetting";
    let pushed = universe.state().pushed.get(family).is_some_and(|at| of_setting || *at >= begun.at);
    let documents = |ran: &evidence::Ran| ran.iter().map(|(document, _)| document.clone()).collect::<BTreeSet<_>>();
    let same = if pushed { documents(&runs).is_subset(&documents(&begun.ran)) } else { runs.is_subset(&begun.ran) };
    let none = runs.is_empty() && evidence::service(&mut evidence::world(universe), resource)["desiredCount"] != 0;
    check(universe, same && !none, || {
        let (known, of) = (&change["spec"]["ran"], &change["spec"]["documents"]);
        let images = |ran: &evidence::Ran| ran.iter().map(|(_, images)| images.clone()).collect::<Vec<_>>();
        let (now, then) = (images(&runs), images(&begun.ran));
        format!("{} is called taken back, and runs {now:?}, not {then:?} (known: {known}, {of})", short(resource))
    });
}

/// No record is removed, unless …
pub(crate) fn when_removed(universe: &Universe, key: &Key, before: Option<&Item>) {
    let Some(body) = before.filter(|_| key.sort.starts_with("hold#")).map(|item| &item.body) else { return };
    // … a person has asked to let the fix come again.
    let text = |body: &Map<String, Value>, name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let (resource, fix) = (text(body, "resource").unwrap_or_default(), text(body, "fix").unwrap_or_default());
    let mut state = universe.state();
    let asked = state.let_go.contains(&resource)
        || text(body, "rollout").is_some_and(|rollout| state.let_go.contains(&rollout));
    state.failed.remove(&(resource.clone(), fix));
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
    for Buried { service, at, theirs } in due {
        let touched = universe.state().touched.get(&service).is_some_and(|touched| *touched > at);
        let of_service = |record: &Record| record.body["resource"] == service.as_str();
        let held = universe.records("hold#").iter().any(of_service);
        let gone = evidence::service(&mut evidence::world(universe), &service)["status"] != "ACTIVE";
        check(universe, touched || held || gone, || {
            format!("{theirs} of {} was replaced by us at {at}, and nobody has found that", short(&service))
        });
    }
}

/// Once everything has come to rest …
pub(crate) fn at_the_end(universe: &Universe) {
    let ours = universe.state().ours.clone();
    let digests = universe.state().digests.clone();
    let world = &mut evidence::world(universe);
    let fixed = |input: &mut Value, from: &Value| {
        if let Some(members) = input.as_object_mut() {
            members.retain(|member, _| !matches!(member.as_str(), "pidMode" | "ipcMode"));
        }
        let sources = from["containerDefinitions"].as_array().cloned().unwrap_or_default();
        for container in input["containerDefinitions"].as_array_mut().into_iter().flatten() {
            let source = sources.iter().find(|source| source["name"] == container["name"]);
            if source.is_some_and(|source| evidence::is_pin(&source["image"], &container["image"], &digests)) {
                container["image"] = source.map(|source| source["image"].clone()).unwrap_or_default();
            }
        }
    };
    // … every revision of ours differs from the one it was made from in what was planned, and nowhere else.
    for registration in universe.records("registration#") {
        let state = &registration.body["state"];
        let Some(arn) = state["arn"].as_str().filter(|arn| state["phase"] == "Registered" && ours.contains_key(*arn))
        else {
            continue;
        };
        let from = registration.body["from"].as_str().unwrap_or_default();
        let (Some(made), Some(source)) = (evidence::definition(world, arn), evidence::definition(world, from)) else {
            continue;
        };
        let (mut made, mut source) = (evidence::input(&made), evidence::input(&source));
        let before = source.clone();
        fixed(&mut made, &before);
        fixed(&mut source, &before);
        check(universe, evidence::in_any_order(&made) == evidence::in_any_order(&source), || {
            format!("{} differs from {} in more than was planned: {made} {source}", short(arn), short(from))
        });
    }
    // … no revision of ours is left over that no change stands on and nothing runs.
    let over = ["RolledBack", "Failed", "Deferred", "Gone", "Overtaken", "Quarantined", "Clobbered"];
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
        check(universe, !runs || touched(universe, &change.body) || changes.iter().any(put), || {
            format!("{} was taken back from {}, and runs it", short(service), short(to))
        });
    }
    // … the log of every change is one unbroken chain.
    let events = plimsoll::records::events::Events::of(&universe.store, &universe.target);
    let events = super::ports::now(events.list("")).unwrap_or_default();
    let wrong = plimsoll::records::events::verify(&events);
    check(universe, wrong.is_empty(), || format!("the event log is broken: {wrong:?}"));
}

fn check(universe: &Universe, holds: bool, law: impl FnOnce() -> String) {
    if !holds {
        universe.broke(law());
    }
}

/// Whether something may still be found.
pub(crate) fn waits(universe: &Universe) -> bool {
    !universe.state().buried.is_empty()
}
