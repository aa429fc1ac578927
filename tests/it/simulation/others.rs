//! Everybody else: the teams that deploy, scale and delete, the person who asks, the one who edits policies.

use std::collections::BTreeSet;

use plimsoll::manifest;
use plimsoll::model::spec::Kind;
use plimsoll::model::{Resource, Timestamp};
use plimsoll::records::command::{Ask, Command, Commands};
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::rollout::command::Request;
use plimsoll::sim::World;
use serde_json::{Value, json};

use super::law::short;
use super::ports::now;
use super::universe::Universe;

const CLUSTERS: [&str; 2] = ["a", "b"];
const SERVICES: usize = 6;

/// A task definition that violates the policy, or not, with what must survive.
pub(crate) fn definition(family: &str, violates: bool, build: usize) -> Value {
    let mut document = json!({
        "family": family, "networkMode": "bridge",
        "containerDefinitions": [{
            "name": "app", "image": format!("registry.example.com/{family}:{build}"), "memory": 128, "essential": true,
            "environment": [{ "name": "EMPTY", "value": "" }], "dockerLabels": { "com.example.odd": "" },
        }],
        "tags": [{ "key": "team", "value": family }],
    });
    if violates {
        document["pidMode"] = "host".into();
    }
    document
}

/// The fleet as it is at first: six services in two clusters, two of them on one family, most of them in violation.
pub(crate) fn fleet(universe: &Universe) {
    let at = universe.time.now();
    let mut state = universe.state();
    let mut call = |operation: &str, input: Value| {
        state.world.call(at, operation, &input).unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    };
    for cluster in CLUSTERS {
        call("CreateCluster", json!({ "clusterName": cluster }));
    }
    for number in 0..SERVICES {
        let family = family(number);
        let made = call("RegisterTaskDefinition", definition(&family, number != 3, 1));
        let revision = &made["taskDefinition"]["taskDefinitionArn"];
        let breaker = json!({ "deploymentCircuitBreaker": { "enable": number % 2 == 0, "rollback": number % 2 == 0 } });
        call(
            "CreateService",
            json!({
                "cluster": CLUSTERS[number % 2], "serviceName": name(number), "taskDefinition": revision,
                "desiredCount": 2, "launchType": "EC2", "deploymentConfiguration": breaker,
            }),
        );
    }
    drop(state);
    apply(universe, &policies("pause", 2));
}

fn name(number: usize) -> String {
    format!("s{number}")
}

/// The last two services are of one family.
fn family(number: usize) -> String {
    format!("f{}", number.min(SERVICES - 2))
}

fn policies(on_failure: &str, in_flight: usize) -> String {
    format!(
        r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: {{ name: no-host-pid }}
spec:
  title: No host process namespace
  severity: high
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: "taskDefinition.?pidMode.orValue('') != 'host'"
      message: "the task shares the host's process namespace"
      fix: [{{ edits: [{{ remove: /pidMode }}] }}]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: {{ name: enforce }}
spec: {{ policies: [no-host-pid], enforcement: enforce, strategy: steady }}
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: {{ name: steady }}
spec:
  waves: [{{ name: canary, size: 1, bake: 30s }}, {{ size: rest }}]
  maxInFlight: {in_flight}
  maxAffected: "100%"
  onFailure: {on_failure}
  contestedAfter: 2
  health: {{ progressTimeout: 5m, steadyFor: 10s }}
"#
    )
}

fn apply(universe: &Universe, yaml: &str) {
    let objects = manifest::parse("simulation.yaml", yaml).unwrap_or_else(|found| panic!("{found:#?}"));
    let objects = objects.into_iter().map(|sourced| sourced.object).collect();
    let application = Application { objects, ..Application::default() };
    now(Configurations::of(&universe.store).apply(&application, universe.time.now(), false)).unwrap();
}

fn delete(universe: &Universe, kind: Kind, name: &str) {
    let application = Application { delete: vec![(kind, name.to_owned())], ..Application::default() };
    let _ = now(Configurations::of(&universe.store).apply(&application, universe.time.now(), false));
}

/// One thing that somebody else does.
pub(crate) fn act(universe: &Universe) {
    let choice = universe.state().chance.below(14);
    match choice {
        0..=2 => deploys(universe),
        3 => scales(universe),
        4 => misbehaves(universe),
        5 => kills(universe),
        6 => deletes(universe),
        7 => deregisters(universe),
        8..=10 => asks(universe),
        11 => freezes(universe),
        12 => waives(universe),
        _ => edits(universe),
    }
}

fn service(universe: &Universe) -> Option<(String, Value)> {
    let number = universe.state().chance.below(SERVICES);
    let at = universe.time.now();
    let mut state = universe.state();
    let mut world = state.world.clone();
    world.set_read_lag(std::time::Duration::ZERO);
    let input = json!({ "cluster": CLUSTERS[number % 2], "services": [name(number)] });
    let answer = world.call(at, "DescribeServices", &input).ok()?;
    let service = answer["services"].get(0)?.clone();
    let arn = service["serviceArn"].as_str()?.to_owned();
    (service["status"] == "ACTIVE").then(|| {
        state.touched.insert(arn.clone(), at);
        (arn, service)
    })
}

fn call(universe: &Universe, operation: &str, input: &Value) -> Option<Value> {
    let at = universe.time.now();
    universe.state().world.call(at, operation, input).ok()
}

fn deploys(universe: &Universe) {
    let Some((arn, service)) = service(universe) else { return };
    let (violates, build) = {
        let mut state = universe.state();
        (state.chance.happens(500), state.chance.below(1000))
    };
    let family =
        service["taskDefinition"].as_str().and_then(|arn| arn.rsplit('/').next()?.split(':').next()).unwrap_or("f0");
    let Some(made) = call(universe, "RegisterTaskDefinition", &definition(family, violates, build)) else { return };
    let revision = &made["taskDefinition"]["taskDefinitionArn"];
    universe.say(format!("a team deploys {} on {}", short(revision.as_str().unwrap_or_default()), short(&arn)));
    let input = json!({ "cluster": service["clusterArn"], "service": arn, "taskDefinition": revision });
    call(universe, "UpdateService", &input);
}

fn scales(universe: &Universe) {
    let Some((arn, service)) = service(universe) else { return };
    let count = universe.state().chance.below(4);
    universe.say(format!("a team scales {} to {count}", short(&arn)));
    call(
        universe,
        "UpdateService",
        &json!({ "cluster": service["clusterArn"], "service": arn, "desiredCount": count }),
    );
}

/// A family whose tasks do not start without what the fix removes; or all do well again.
fn misbehaves(universe: &Universe) {
    let number = universe.state().chance.below(SERVICES);
    let mut state = universe.state();
    if state.chance.happens(400) {
        state.world.behave();
        return;
    }
    let effect = if state.chance.happens(500) { json!("crashOnStart") } else { json!("neverHealthy") };
    let rule = json!({ "family": family(number), "when": [{ "pointer": "/pidMode" }], "effect": effect });
    state.world.misbehave(serde_json::from_value(rule).unwrap());
    drop(state);
    universe.say(format!("tasks of {} fail from now on, once they are fixed", family(number)));
}

fn kills(universe: &Universe) {
    let Some((arn, service)) = service(universe) else { return };
    let input = json!({ "cluster": service["clusterArn"], "serviceName": service["serviceName"] });
    let Some(listed) = call(universe, "ListTasks", &input) else { return };
    let Some(task) = listed["taskArns"].get(0).and_then(Value::as_str) else { return };
    universe.say(format!("a Spot task of {} is taken away", short(&arn)));
    universe.state().world.kill_task(task, "SpotInterruption", "Your Spot Task was interrupted.");
}

fn deletes(universe: &Universe) {
    if !universe.happens(300) {
        return;
    }
    let Some((arn, service)) = service(universe) else { return };
    universe.say(format!("a team deletes {}", short(&arn)));
    call(universe, "DeleteService", &json!({ "cluster": service["clusterArn"], "service": arn, "force": true }));
}

/// A revision that the service no longer runs is tidied away.
fn deregisters(universe: &Universe) {
    let Some((_, service)) = service(universe) else { return };
    let Some(current) = service["taskDefinition"].as_str() else { return };
    let Some((family, number)) = current.rsplit_once(':') else { return };
    let Ok(number) = number.parse::<usize>() else { return };
    let older = universe.state().chance.below(number.max(1));
    let revision = format!("{family}:{older}");
    if older > 0 && call(universe, "DeregisterTaskDefinition", &json!({ "taskDefinition": revision })).is_some() {
        universe.say(format!("a team deregisters {}", short(&revision)));
    }
}

fn asks(universe: &Universe) {
    let rollouts = universe.records("rollout#");
    let (rollout, verb, number) = {
        let mut state = universe.state();
        let rollout = state.chance.pick(&rollouts).and_then(|item| item.body["name"].as_str().map(str::to_owned));
        (rollout, state.chance.below(8), state.steps)
    };
    let Some(name) = rollout else { return };
    let changes = universe.records(&format!("change#{name}#"));
    let resource = universe
        .state()
        .chance
        .pick(&changes)
        .and_then(|item| item.body["spec"]["resource"].as_str().map(str::to_owned));
    let service = resource.as_deref().and_then(|arn| arn.parse().ok());
    let request = match verb {
        0 => Request::Pause,
        1 | 2 => Request::Resume,
        3 => Request::Retry,
        4 => Request::Approve { plan: None },
        5 => Request::Abort,
        6 => Request::Undo { service: None },
        _ => Request::Undo { service },
    };
    universe.say(format!("a person asks to {} {name}", request.verb()));
    if request == Request::Retry {
        // What it had held off may come again; what another rollout had, may not.
        let of_it = format!("{name}/");
        universe.state().failed.retain(|_, why| !why.starts_with(&of_it));
    }
    let at = universe.time.now();
    let ask = Ask::Rollout { name, request };
    let command = Command { id: format!("{number:08}"), ask, by: "arn:aws:iam::123456789012:user/alex".to_owned(), at };
    let _ = now(Commands::of(&universe.store, &universe.target).ask(&command));
}

fn freezes(universe: &Universe) {
    if !universe.state().freezes.is_empty() {
        return thaws(universe);
    }
    let cluster = universe.happens(500).then(|| CLUSTERS[0].to_owned());
    let scope =
        cluster.as_ref().map_or_else(String::new, |name| format!("scope: {{ include: {{ clusters: [{name}] }} }}, "));
    apply(
        universe,
        &format!(
            "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: {{ name: stop }}\nspec: {{ {scope}reason: incident }}\n"
        ),
    );
    universe.say(format!("a Freeze of {cluster:?}"));
    let at = universe.time.now();
    universe.state().freezes.insert("stop".to_owned(), (at, cluster));
}

/// No Freeze any more.
pub(crate) fn thaws(universe: &Universe) {
    if universe.state().freezes.is_empty() {
        return;
    }
    delete(universe, Kind::Freeze, "stop");
    universe.say("no Freeze any more".to_owned());
    universe.state().freezes.clear();
}

fn waives(universe: &Universe) {
    if universe.happens(500) {
        return delete(universe, Kind::Waiver, "let-be");
    }
    let number = universe.state().chance.below(SERVICES);
    universe.say(format!("{} is waived", name(number)));
    apply(
        universe,
        &format!(
            "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: {{ name: let-be }}\nspec: {{ policies: [no-host-pid], scope: {{ include: {{ services: [{}] }} }}, owner: a@example.com, reason: r, expiresAt: 2026-06-01T00:00:00Z }}\n",
            name(number)
        ),
    );
}

fn edits(universe: &Universe) {
    let (on_failure, in_flight) = {
        let mut state = universe.state();
        (*state.chance.pick(&["pause", "rollback", "continue"]).unwrap(), 1 + state.chance.below(3))
    };
    universe.say(format!("the strategy is edited: {on_failure}, {in_flight} in flight"));
    apply(universe, &policies(on_failure, in_flight));
}

/// What services name, and what their deployments bring.
pub(crate) fn named(mut world: World, at: Timestamp) -> BTreeSet<String> {
    world.set_read_lag(std::time::Duration::ZERO);
    let mut named = BTreeSet::new();
    for (number, cluster) in (0..SERVICES).map(|number| (number, CLUSTERS[number % 2])) {
        let input = json!({ "cluster": cluster, "services": [name(number)] });
        let answer = world.call(at, "DescribeServices", &input).unwrap_or_default();
        for service in answer["services"].as_array().into_iter().flatten().filter(|s| s["status"] != "INACTIVE") {
            named.extend(service["taskDefinition"].as_str().map(str::to_owned));
            let deployments = service["deployments"].as_array().into_iter().flatten();
            named.extend(deployments.filter_map(|deployment| deployment["taskDefinition"].as_str().map(str::to_owned)));
        }
    }
    named
}

/// Releases whatever waits for a person, so that a run can come to rest: proposals are approved, pauses resumed.
pub(crate) fn lets_go(universe: &Universe, number: u64) {
    let at = universe.time.now();
    for (place, rollout) in universe.records("rollout#").into_iter().enumerate() {
        let request = match super::universe::phase(&rollout.body).as_str() {
            "Proposed" => Request::Approve { plan: None },
            "Paused" => Request::Resume,
            _ => continue,
        };
        let name = rollout.body["name"].as_str().unwrap_or_default().to_owned();
        let id = format!("9{number:04}{place:04}");
        let command = Command { id, ask: Ask::Rollout { name, request }, by: "alex".to_owned(), at };
        let _ = now(Commands::of(&universe.store, &universe.target).ask(&command));
    }
}

/// The services there are now, as resources.
pub(crate) fn resources(universe: &Universe) -> Vec<Resource> {
    let at = universe.time.now();
    let mut world = universe.state().world.clone();
    world.set_read_lag(std::time::Duration::ZERO);
    let mut found = Vec::new();
    for (number, cluster) in (0..SERVICES).map(|number| (number, CLUSTERS[number % 2])) {
        let input = json!({ "cluster": cluster, "services": [name(number)] });
        let answer = world.call(at, "DescribeServices", &input).unwrap_or_default();
        let active =
            answer["services"].as_array().into_iter().flatten().filter(|service| service["status"] == "ACTIVE");
        found.extend(active.filter_map(|service| service["serviceArn"].as_str()?.parse().ok().map(Resource::Service)));
    }
    found
}
