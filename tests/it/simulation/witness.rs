//! What the laws ask of the records, and of what has happened in a run. Knows the answers, and not what follows from them.

use std::time::Duration;

use plimsoll::model::Timestamp;
use plimsoll::ports::Operation;
use serde_json::{Map, Value, json};

use super::evidence::{self, short};
use super::universe::{Effect, Record, Universe, phase, primary};

/// How much older than its record the observation may be that a change was planned from.
const MISTAKEN_BY: Duration = Duration::from_secs(10 * 60);

/// Whether a change, as recorded, is the intent of this call, there or back: nothing is added and nothing left out. (What
/// is said of a desired count is a law of its own.)
pub(crate) fn is_intended(change: &Record, input: &Value) -> bool {
    let (body, spec) = (&change.body, &change.body["spec"]);
    let (there, back) = (phase(body) == "Updating", body["back"]["step"] == "Updating");
    let meant = match spec["kind"].as_str() {
        Some("revision") => json!({ "taskDefinition": if there { &body["to"] } else { &body["back"]["to"] } }),
        _ => spec["setting"][if there { "forward" } else { "back" }].clone(),
    };
    let members = |of: &Value| -> Map<String, Value> {
        let says = |(name, value): &(&String, &Value)| {
            !matches!(name.as_str(), "cluster" | "service" | "desiredCount") && !value.is_null()
        };
        let all = of.as_object().into_iter().flatten().filter(says);
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let (said, meant) = (members(input), members(&meant));
    // Where ECS takes a setting's deployment back by itself, what starts none is left for a call of its own.
    let rest = back && spec["kind"] == "deployingSetting" && body["back"]["before"] == "";
    let says_the_rest = || {
        let quiet = |name: &String| !matches!(name.as_str(), "networkConfiguration" | "platformVersion");
        !said.is_empty() && said.iter().all(|(name, value)| quiet(name) && meant.get(name) == Some(value))
    };
    (there || back) && input["cluster"] == spec["cluster"] && if rest { says_the_rest() } else { said == meant }
}

/// Whether a change was in flight before the process had any part in it: it was told before, or another process had meant
/// to tell it.
pub(crate) fn was_in_flight(universe: &Universe, process: usize, change: &Record) -> bool {
    let state = universe.state();
    let begun = change.body["name"].as_str().and_then(|name| state.begun.get(name));
    begun.is_none_or(|begun| begun.by != state.holders[process] || begun.intent != change.body["intent"])
}

/// Whether what a call did is there still, and on no record: its deployment is the service's, its revision can be used.
pub(crate) fn is_there(universe: &Universe, effect: &Effect, input: &Value) -> bool {
    if effect.input != *input {
        return false;
    }
    let world = &mut evidence::world(universe);
    match effect.operation {
        Operation::RegisterTaskDefinition => {
            evidence::definition(world, &effect.made).is_some_and(|made| made.status == "ACTIVE")
        }
        _ => {
            let service = input["service"].as_str().unwrap_or_default();
            let service = evidence::service(world, service);
            // A setting may start no deployment, and have been set to something else since.
            primary(&service).is_some_and(|primary| primary == effect.made) && shows(&service, input)
        }
    }
}

/// Whether a service is as a call asked.
fn shows(service: &Value, input: &Value) -> bool {
    match (service, input) {
        (Value::Object(shown), Value::Object(asked)) => asked
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "cluster" | "service"))
            .all(|(name, asked)| shown.get(name).is_some_and(|shown| shows(shown, asked))),
        _ => service == input,
    }
}

/// Rollouts and changes that have not ended, the latter of rollouts that are there; and every registration.
pub(crate) fn open_records(universe: &Universe) -> Vec<Record> {
    let rollouts = universe.records("rollout#");
    let of_one =
        |change: &Record| rollouts.iter().any(|rollout| rollout.body["name"] == change.body["spec"]["rollout"]);
    let ended = ["Succeeded", "Unverified", "RolledBack", "Failed", "Aborted", "Superseded"];
    let goes_on = |rollout: &Record| !ended.contains(&phase(&rollout.body).as_str());
    let mut open = universe.changes();
    open.retain(|change| is_live(&change.body) && of_one(change));
    open.extend(universe.records("registration#"));
    open.extend(rollouts.into_iter().filter(goes_on));
    open
}

/// Whether a change goes back because a call came late, when it was over already.
pub(crate) fn came_late(change: &Value) -> bool {
    let latest = change["history"].as_array().and_then(|history| history.last());
    latest.is_some_and(|entry| entry["phase"] == "RollingBack" && entry["reason"]["code"] == "LateCall")
}

/// Whether a change has begun, or may, and has not ended.
pub(crate) fn is_live(change: &Value) -> bool {
    let live = ["Pending", "Registering", "Updating", "Stabilizing", "Verifying", "RollingBack", "Clobbering"];
    live.contains(&phase(change).as_str())
}

/// Whether a fix is held off a resource.
pub(crate) fn holds(universe: &Universe, resource: &str, fix: &str) -> bool {
    // (By a clock that may be off: what ends soon may have ended.)
    let covers = |hold: &Value| hold["resource"] == resource && (hold["fix"] == fix || hold["fix"] == "*");
    universe
        .records("hold#")
        .into_iter()
        .any(|hold| covers(&hold.body) && lasts(universe.time.now() + Duration::from_secs(60), &hold.body))
}

/// Whether a hold has not ended by then.
pub(crate) fn lasts(then: Timestamp, hold: &Value) -> bool {
    let until = hold["until"].as_str().and_then(|until| until.parse::<Timestamp>().ok());
    until.is_none_or(|until| until > then)
}

/// What others have done to a resource since a process looked at it last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    /// Deployed it, set something of it or deleted it.
    pub(crate) deployed: bool,
    /// Scaled it; or AWS has taken a task away.
    pub(crate) disturbed: bool,
    /// A call of ours has reached it, and nobody has heard of that.
    pub(crate) late: bool,
}

pub(crate) fn since_it_looked(universe: &Universe, process: usize, resource: &str) -> Since {
    let state = universe.state();
    let looked = state.read[process].looked.get(resource);
    let after = |at: Option<&_>| matches!((at, looked), (Some(at), Some(looked)) if at >= looked);
    Since {
        deployed: after(state.touched.get(resource)),
        // (Tasks that are not wanted any more run on for a moment.)
        disturbed: after(state.disturbed.get(resource).map(|at| *at + Duration::from_secs(5)).as_ref()),
        late: after(state.came_late.get(resource)),
    }
}

/// Whether somebody else has deployed the resource, or set something of it, since who recorded the change as taken back had
/// looked at it.
pub(crate) fn touched_since_taken_back(universe: &Universe, change: &Value) -> bool {
    let state = universe.state();
    let looked = change["name"].as_str().and_then(|name| state.taken_back.get(name));
    let at = change["spec"]["resource"].as_str().and_then(|resource| state.touched.get(resource));
    matches!((at, looked), (Some(at), Some(looked)) if at >= looked)
}

/// Whether a call of ours has reached what a change is about after that was taken back (by the look at which it was), and somebody
/// may have been taken for that call before: the change has gone back for a late call, and somebody had touched it first.
pub(crate) fn was_taken_for_a_call(universe: &Universe, change: &Value) -> bool {
    let state = universe.state();
    let name = change["name"].as_str().unwrap_or_default();
    let resource = change["spec"]["resource"].as_str().unwrap_or_default();
    let late = state.came_late.get(resource) > state.taken_back.get(name);
    let of_a_call = |entry: &&Value| entry["phase"] == "RollingBack" && entry["reason"]["code"] == "LateCall";
    let mut entered = change["history"].as_array().into_iter().flatten();
    let mistaken = entered.any(|entry| of_a_call(&entry));
    let touched = state.touched.get(resource);
    late && mistaken
        && touched >= state.begun.get(name).map(|begun| &begun.at)
        && touched < state.came_late.get(resource)
}

/// Whether two settings set a member of the same name.
pub(crate) fn sets_the_same(one: &Value, other: &Value) -> bool {
    let members = |spec: &Value| -> Vec<String> {
        let set = spec["setting"]["forward"].as_object().into_iter().flatten();
        set.map(|(name, _)| name.clone()).filter(|name| !matches!(name.as_str(), "cluster" | "service")).collect()
    };
    let (one, other) = (members(one), members(other));
    one.iter().any(|member| other.contains(member))
}

/// What a call that sets something says besides what the change is for, and not as the process was shown it last: the path,
/// what is said and what was shown.
pub(crate) fn carries(
    universe: &Universe,
    process: usize,
    change: &Record,
    input: &Value,
) -> Option<(String, Value, Value)> {
    let spec = &change.body["spec"];
    let shown = universe.state().read[process].services.get(spec["resource"].as_str()?).cloned()?;
    let policies = spec["policies"].as_array()?;
    let planned = |path: &str| {
        let policy = match path {
            "/networkConfiguration/awsvpcConfiguration/assignPublicIp" => "no-public-ip",
            "/deploymentConfiguration/deploymentCircuitBreaker/enable"
            | "/deploymentConfiguration/deploymentCircuitBreaker/rollback" => "breaker",
            "/cluster" | "/service" | "/taskDefinition" => return true,
            _ => return false,
        };
        policies.iter().any(|of| *of == policy)
    };
    let mut open = vec![(String::new(), input.clone())];
    while let Some((path, said)) = open.pop() {
        match &said {
            Value::Object(members) if !members.is_empty() => {
                open.extend(members.iter().map(|(name, value)| (format!("{path}/{name}"), value.clone())));
            }
            _ if planned(&path) => {}
            _ => {
                let shown = shown.pointer(&path).cloned().unwrap_or_default();
                if shown != said {
                    return Some((path, said, shown));
                }
            }
        }
    }
    None
}

/// Whether somebody else has deployed the resource, or set something of it, since the change was planned: by a clock that
/// was minutes off, perhaps, and from reads that lagged.
pub(crate) fn touched_since_planned(universe: &Universe, change: &Value) -> bool {
    let planned = change["history"][0]["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let state = universe.state();
    let touched = change["spec"]["resource"].as_str().and_then(|resource| state.touched.get(resource));
    touched.is_some_and(|at| planned.is_none_or(|planned| *at + MISTAKEN_BY >= planned))
}

/// Whether a resource shows again what a change's setting had replaced, as far as that can be shown.
pub(crate) fn is_set_back(universe: &Universe, change: &Value) -> bool {
    let (spec, back) = (&change["spec"], &change["spec"]["setting"]["back"]);
    let resource = spec["resource"].as_str().unwrap_or_default();
    let world = &mut evidence::world(universe);
    if spec["kind"] == "clusterSetting" {
        let wanted = back["settings"].as_array().cloned().unwrap_or_default();
        let shown = evidence::cluster(world, resource)["settings"].as_array().cloned().unwrap_or_default();
        return wanted.iter().all(|setting| shown.contains(setting));
    }
    let service = evidence::service(world, resource);
    let members = back.as_object().into_iter().flatten().filter(|(name, value)| !value.is_null() && *name != "tags");
    let gone = service["status"] != "ACTIVE";
    gone || members.into_iter().all(|(name, value)| service.get(name).is_some_and(|shown| shows(shown, value)))
}

/// How a document differs from the revision that it is made from in more than was planned, if it does: what these policies
/// forbid is gone, images may be pinned to what their tags stood for, and nothing else is different.
pub(crate) fn not_planned(
    universe: &Universe,
    registration: &Record,
    made: &Value,
    policies: &[&str],
) -> Option<String> {
    let from = registration.body["from"].as_str().unwrap_or_default();
    let (source, digests) = {
        let state = universe.state();
        (state.made.get(from).cloned(), state.digests.clone())
    };
    let Some(source) = source else { return Some(format!("{} was never made", short(from))) };
    let (mut made, mut source) = (evidence::sorted(made), evidence::input(&source));
    for (member, policy) in [("pidMode", "no-host-pid"), ("ipcMode", "no-host-ipc")] {
        let fixed = made.get(member).is_none_or(|value| member == "pidMode" && *value == "task");
        if policies.contains(&policy) && fixed {
            for document in [&mut made, &mut source] {
                document.as_object_mut().map(|members| members.shift_remove(member));
            }
        }
    }
    let images = source["containerDefinitions"].as_array().cloned().unwrap_or_default();
    for container in made["containerDefinitions"].as_array_mut().into_iter().flatten() {
        let of_same = images.iter().find(|source| source["name"] == container["name"]);
        if let Some(source) = of_same.filter(|of| evidence::is_pin(&of["image"], &container["image"], &digests)) {
            container["image"] = source["image"].clone();
        }
    }
    let (made, source) = (evidence::in_any_order(&made), evidence::in_any_order(&source));
    (made != source)
        .then(|| format!("{} differs from its source in more than was planned: {made} {source}", short(from)))
}
