//! What must hold, whatever happens. Read it as the specification: each law is one sentence and one check.
//!
//! Laws of a call are checked when it is *sent*: what becomes of it afterwards nobody can help. Laws of a record are
//! checked when it is written. What only time can tell is checked at the end, after everything has come to rest.

use std::time::Duration;

use plimsoll::model::{Timestamp, wire};
use plimsoll::ports::Operation;
use plimsoll::ports::store::Key;
use serde_json::Value;

use super::mutants::Mutant;
use super::universe::{Record, Universe, phase};

/// How long a Freeze may have been stored before it is heeded.
const FREEZE_HEEDED_WITHIN: Duration = Duration::from_secs(1);

/// No call is sent that changes anything in ECS, unless …
pub(crate) fn when_sent(universe: &Universe, process: usize, operation: Operation, input: &Value) {
    by_the_holder_of_the_lease(universe, process, operation);
    match operation {
        Operation::RegisterTaskDefinition => registered_once_with_its_intent_on_record(universe, input),
        Operation::UpdateService => update_service(universe, process, input),
        Operation::StopServiceDeployment => {
            let arn = &input["serviceDeploymentArn"];
            let intended = universe.changes().iter().any(|change| change.body["back"]["arn"] == *arn);
            check(universe, intended, || format!("StopServiceDeployment of {arn} without its intent on record"));
        }
        Operation::DeregisterTaskDefinition => {
            let arn = input["taskDefinition"].as_str().unwrap_or_default();
            check(universe, is_ours(universe, arn), || format!("{arn} is deregistered, and it is not ours"));
        }
        _ => {}
    }
}

/// Whether a revision was made by a call of ours, late ones included.
fn is_ours(universe: &Universe, arn: &str) -> bool {
    let now = universe.time.now();
    let state = universe.state();
    let mut world = state.world.clone();
    world.set_read_lag(Duration::ZERO);
    let answer = world.call(now, "DescribeTaskDefinition", &serde_json::json!({ "taskDefinition": arn }));
    let made = answer.unwrap_or_default()["taskDefinition"].clone();
    let same = |input: &Value| input["family"] == made["family"] && made.get("pidMode").is_none();
    state.ours.contains_key(arn) || state.late.iter().any(same)
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

/// … a registration is on record as intended, and no call was sent for that intent before.
fn registered_once_with_its_intent_on_record(universe: &Universe, input: &Value) {
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
    let first = universe.state().registered.insert(intent.clone());
    check(universe, first, || format!("RegisterTaskDefinition was sent twice for one intent: {intent}"));
    let wanted = &intended.body["wanted"];
    let changes = universe.changes();
    let back = changes.iter().any(|change| change.body["spec"]["documents"]["previous"] == *wanted);
    let free = changes
        .iter()
        .filter(|change| change.body["spec"]["documents"]["wanted"] == *wanted)
        .any(|change| frozen(universe, change).is_none());
    check(universe, back || free, || format!("RegisterTaskDefinition of `{family}` under a Freeze"));
}

fn update_service(universe: &Universe, process: usize, input: &Value) {
    // … it names no desired count.
    check(universe, input.get("desiredCount").is_none(), || format!("UpdateService with a desired count: {input}"));
    let service = input["service"].as_str().unwrap_or_default().to_owned();
    let changes = universe.changes();
    let mut of_service = changes.iter().filter(|change| change.body["spec"]["resource"] == service.as_str());
    let intended = of_service.find(|change| {
        phase(&change.body) == "Updating" && change.body["to"] == input["taskDefinition"]
            || change.body["back"]["step"] == "Updating" && change.body["back"]["to"] == input["taskDefinition"]
    });
    // … its intent is on record.
    let Some(change) = intended else {
        return universe.broke(format!("UpdateService of {service} without its intent on record"));
    };
    let name = short(&service);
    let seen = universe.state().seen.get(&(process, service.clone())).cloned().unwrap_or(Value::Null);
    let deployments = seen["deployments"].as_array().cloned().unwrap_or_default();
    let primary = deployments.iter().find(|deployment| deployment["status"] == "PRIMARY");
    let moving = primary.is_some_and(|primary| primary["rolloutState"] == "IN_PROGRESS");
    let rolling_back = moving && deployments.iter().any(|deployment| deployment["rolloutState"] == "FAILED");
    // … ECS was not seen to roll the service back.
    check(universe, !rolling_back, || format!("UpdateService of {name} during a rollback"));
    if phase(&change.body) != "Updating" {
        return;
    }
    // Forward only, unless …
    if let Some(freeze) = frozen(universe, change) {
        // … no Freeze matches.
        universe.broke(format!("UpdateService of {name} under Freeze `{freeze}`"));
    }
    let repeated = primary.is_some_and(|primary| primary["taskDefinition"] == input["taskDefinition"]);
    // … nobody's deployment was seen to be in progress.
    check(universe, !moving || repeated, || format!("UpdateService of {name} during a deployment"));
    for fix in change.body["spec"]["fixes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let held = universe.records("hold#").into_iter().any(|hold| {
            hold.body["resource"] == service.as_str() && (hold.body["fix"] == fix || hold.body["fix"] == "*")
        });
        // … the fix is not held off the service.
        check(universe, !held, || format!("UpdateService of {name} with a fix that is held off it"));
        let failed = universe.state().failed.get(&(service.clone(), fix.to_owned())).cloned();
        // … it has not failed there before, without a person asking for it again since.
        check(universe, failed.is_none(), || format!("a fix that failed on {name} is back; {failed:?}"));
    }
}

/// The Freeze that has been stored for long enough and covers a change's cluster.
fn frozen(universe: &Universe, change: &Record) -> Option<String> {
    let cluster = change.body["spec"]["cluster"].as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
    let now = universe.time.now();
    let state = universe.state();
    let covers = |of: &Option<String>| of.as_deref().is_none_or(|name| name == cluster);
    let mut heeded =
        state.freezes.iter().filter(|(_, (stored, of))| *stored + FREEZE_HEEDED_WITHIN < now && covers(of));
    heeded.next().map(|(name, _)| name.clone())
}

/// What may follow what: no step is taken twice or backwards. A person's `retry` begins a change anew.
const STEPS: &[(&str, &[&str])] = &[
    ("Pending", &["Registering", "Updating", "Deferred", "Blocked", "Overtaken", "Gone"]),
    ("Registering", &["Updating", "Quarantined", "Blocked", "Deferred", "Overtaken", "Gone"]),
    (
        "Updating",
        &[
            "Registering",
            "Pending",
            "Stabilizing",
            "Succeeded",
            "RollingBack",
            "Overtaken",
            "Clobbered",
            "Gone",
            "Blocked",
        ],
    ),
    ("Stabilizing", &["Verifying", "Succeeded", "Unverified", "RollingBack", "Overtaken", "Gone"]),
    ("Verifying", &["Stabilizing", "Succeeded", "Unverified", "RollingBack", "Overtaken", "Gone"]),
    ("Succeeded", &["RollingBack", "Clobbered"]),
    ("Unverified", &["Succeeded", "RollingBack", "Overtaken", "Clobbered", "Gone"]),
    ("RollingBack", &["RolledBack", "Failed", "Overtaken", "Clobbered", "Gone"]),
    // A call that nobody heard of arrives when the change is over.
    ("RolledBack", &["Pending", "RollingBack", "Clobbered"]),
    ("Failed", &["Pending", "RollingBack"]),
    ("Quarantined", &["Pending"]),
    ("Blocked", &["Pending", "RollingBack", "Clobbered"]),
    ("Deferred", &["Pending"]),
    ("Overtaken", &["Pending", "RollingBack", "Clobbered"]),
    ("Clobbered", &["Pending"]),
    ("Gone", &["Pending"]),
];

/// No record is written, unless …
pub(crate) fn when_written(universe: &Universe, key: &Key, before: Option<&Value>, after: &Value) {
    if !key.sort.starts_with("change#") {
        return;
    }
    let (was, is) = (before.map(phase).unwrap_or_default(), phase(after));
    let name = after["name"].as_str().unwrap_or_default();
    if was != is && !was.is_empty() {
        let follows = STEPS.iter().any(|(from, to)| *from == was && to.contains(&is.as_str()));
        // … the step follows from the one before.
        check(universe, follows, || format!("change {name} goes from {was} to {is}"));
    }
    if was != is && is == "Updating" {
        in_flight(universe, after);
    }
    let resource = after["spec"]["resource"].as_str().unwrap_or_default().to_owned();
    // Nor is a call that came late a failure of the fix; one that was taken back before has failed then.
    let no_failure =
        was == "RolledBack" || matches!(after["cause"]["code"].as_str(), Some("UndoneByPerson" | "LateCall"));
    if was != is && matches!(is.as_str(), "RollingBack" | "Quarantined" | "Clobbered") && !no_failure {
        let why = format!("{name}: {is}");
        for fix in after["spec"]["fixes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            universe.state().failed.insert((resource.clone(), fix.to_owned()), why.clone());
        }
    }
    if was != is && is == "Succeeded" && after["spec"]["kind"] == "revision" {
        proved(universe, after);
    }
}

/// … no change begins while as many of its rollout are in flight as its strategy allows. (Going back counts, and may
/// begin at any time.)
fn in_flight(universe: &Universe, after: &Value) {
    let rollout = after["spec"]["rollout"].as_str().unwrap_or_default();
    let Some(strategy) =
        universe.records(&format!("rollout#{rollout}")).first().map(|item| item.body["spec"]["strategy"].clone())
    else {
        return;
    };
    let limit = strategy["maxInFlight"].as_u64().unwrap_or(u64::MAX);
    let flying = |change: &&Record| {
        matches!(phase(&change.body).as_str(), "Updating" | "Stabilizing" | "Verifying" | "RollingBack")
    };
    let count = universe.records(&format!("change#{rollout}#")).iter().filter(flying).count() as u64;
    check(universe, count <= limit, || format!("{count} changes of {rollout} are in flight, {limit} are allowed"));
}

/// … what is called succeeded runs: every task of the service is on its revision and at least one serves, or somebody
/// else has touched the service since.
fn proved(universe: &Universe, change: &Value) {
    let service = change["spec"]["resource"].as_str().unwrap_or_default();
    let began = change["history"].as_array().into_iter().flatten().rev().find(|entry| entry["phase"] == "Updating");
    let began: Timestamp = began.and_then(|entry| entry["at"].as_str()?.parse().ok()).unwrap_or(Timestamp::EPOCH);
    let touched = universe.state().touched.get(service).is_some_and(|at| *at >= began);
    let to = change["spec"]["to"].as_str().unwrap_or_default();
    let running = running(universe, service);
    let ours = running.iter().filter(|revision| *revision == to).count();
    check(universe, touched || (ours > 0 && ours == running.len()), || {
        format!("{} is called succeeded on {}, and runs {running:?}", short(service), short(to))
    });
}

/// The revisions of every task of a service that runs, starting ones left out, draining ones included.
pub(crate) fn running(universe: &Universe, service: &str) -> Vec<String> {
    let now = universe.time.now();
    let mut world = universe.state().world.clone();
    world.set_read_lag(Duration::ZERO);
    let (cluster, name) = short(service).split_once('/').unwrap_or_default();
    let mut arns = Vec::new();
    for desired in ["RUNNING", "STOPPED"] {
        let input = serde_json::json!({ "cluster": cluster, "serviceName": name, "desiredStatus": desired });
        let listed = world.call(now, "ListTasks", &input).unwrap_or_default();
        arns.extend(listed["taskArns"].as_array().cloned().unwrap_or_default());
    }
    if arns.is_empty() {
        return Vec::new();
    }
    let described = world.call(now, "DescribeTasks", &serde_json::json!({ "cluster": cluster, "tasks": arns }));
    let described = described.unwrap_or_default();
    let tasks = described["tasks"].as_array().into_iter().flatten();
    let runs = tasks.filter(|task| task["lastStatus"] == "RUNNING");
    runs.filter_map(|task| task["taskDefinitionArn"].as_str().map(str::to_owned)).collect()
}

/// Once everything has come to rest …
pub(crate) fn at_the_end(universe: &Universe) {
    let now = universe.time.now();
    let ours = universe.state().ours.clone();
    let mut world = universe.state().world.clone();
    world.set_read_lag(Duration::ZERO);
    let described = |world: &mut plimsoll::sim::World, arn: &str| {
        let answer = world.call(
            now,
            "DescribeTaskDefinition",
            &serde_json::json!({ "taskDefinition": arn, "include": ["TAGS"] }),
        );
        answer.ok().and_then(|answer| wire::task_definition(&answer).ok())
    };
    // … every revision of ours differs from the one it was made from in what was planned, and nowhere else.
    for registration in universe.records("registration#") {
        let state = &registration.body["state"];
        let Some(arn) = state["arn"].as_str().filter(|arn| state["phase"] == "Registered" && ours.contains_key(*arn))
        else {
            continue;
        };
        let from = registration.body["from"].as_str().unwrap_or_default();
        let (Some(made), Some(source)) = (described(&mut world, arn), described(&mut world, from)) else { continue };
        let strip = |definition: &plimsoll::model::observed::TaskDefinition| {
            let mut input = plimsoll::model::document::register_input(definition).unwrap_or_default();
            input.shift_remove("pidMode");
            input
        };
        check(universe, strip(&made) == strip(&source), || {
            format!("{} differs from {} in more than was planned", short(arn), short(from))
        });
    }
    // … no revision of ours is left over that no change stands on and nothing runs.
    let standing: Vec<String> = universe
        .changes()
        .iter()
        .filter(|change| {
            !matches!(phase(&change.body).as_str(), "RolledBack" | "Failed" | "Deferred" | "Gone" | "Overtaken")
        })
        .filter_map(|change| change.body["spec"]["to"].as_str().map(str::to_owned))
        .collect();
    let services = universe.state().world.clone();
    let named = super::others::named(services, now);
    for arn in ours.keys().filter(|arn| !standing.contains(arn) && !named.contains(*arn)) {
        let active = described(&mut world, arn).is_some_and(|definition| definition.status == "ACTIVE");
        let restored = universe.records("registration#").iter().any(|item| {
            let previous = item.body["wanted"].clone();
            item.body["state"]["arn"] == arn.as_str()
                && universe.changes().iter().any(|change| change.body["spec"]["documents"]["previous"] == previous)
        });
        check(universe, !active || restored, || format!("{} is left over", short(arn)));
    }
    // … what was taken back does not run, also where a call came late; unless another change, or somebody, has put it there.
    for change in universe.changes().iter().filter(|change| phase(&change.body) == "RolledBack") {
        let spec = &change.body["spec"];
        let (service, to) = (spec["resource"].as_str().unwrap_or_default(), spec["to"].as_str().unwrap_or_default());
        let at = change.body["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok()).unwrap_or(Timestamp::EPOCH);
        let touched = universe.state().touched.get(service).is_some_and(|touched| *touched >= at);
        let stands = universe.changes().iter().any(|other| {
            other.body["spec"]["resource"] == service
                && other.body["spec"]["to"] == to
                && matches!(phase(&other.body).as_str(), "Succeeded" | "Unverified" | "Failed" | "Clobbered")
        });
        let runs = running(universe, service).iter().any(|revision| revision == to);
        check(universe, touched || stands || !runs, || {
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

/// `CLUSTER/NAME` or `FAMILY:REVISION` of an ARN.
pub(crate) fn short(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).and_then(|resource| resource.split_once('/')).map_or(arn, |(_, name)| name)
}
