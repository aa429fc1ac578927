//! Looking at the world as it really is, without lag and without leaving a trace. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll::model::observed::TaskDefinition;
use plimsoll::model::{document, wire};
use plimsoll::sim::World;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::universe::Universe;

/// What a service runs: for each of its running tasks, its document without images and the digest in each container.
pub(crate) type Ran = BTreeSet<(String, BTreeMap<String, String>)>;

/// A copy of the world that does not lag.
pub(crate) fn world(universe: &Universe) -> World {
    let mut world = universe.state().world.clone();
    world.set_read_lag(Duration::ZERO);
    world
}

/// The tasks of a service that run, draining ones included.
pub(crate) fn running(world: &mut World, service: &str) -> Vec<Value> {
    let now = world.now();
    let (cluster, name) = short(service).split_once('/').unwrap_or_default();
    let mut arns = Vec::new();
    for desired in ["RUNNING", "STOPPED"] {
        let input = json!({ "cluster": cluster, "serviceName": name, "desiredStatus": desired });
        let listed = world.call(now, "ListTasks", &input).unwrap_or_default();
        arns.extend(listed["taskArns"].as_array().cloned().unwrap_or_default());
    }
    if arns.is_empty() {
        return Vec::new();
    }
    let described = world.call(now, "DescribeTasks", &json!({ "cluster": cluster, "tasks": arns })).unwrap_or_default();
    let mut tasks = described["tasks"].as_array().cloned().unwrap_or_default();
    tasks.retain(|task| task["lastStatus"] == "RUNNING");
    tasks
}

/// The revisions that they run.
pub(crate) fn revisions(tasks: &[Value]) -> Vec<String> {
    tasks.iter().filter_map(|task| task["taskDefinitionArn"].as_str().map(str::to_owned)).collect()
}

/// What they run.
pub(crate) fn ran(world: &mut World, service: &str) -> Ran {
    let tasks = running(world, service);
    let mut documents = BTreeMap::new();
    for revision in revisions(&tasks) {
        let bare = definition(world, &revision).map(|definition| without_images(&definition).to_string());
        documents.insert(revision, bare.unwrap_or_default());
    }
    let of = |task: &Value| {
        let document = documents.get(task["taskDefinitionArn"].as_str()?)?;
        let containers = task["containers"].as_array()?.iter();
        let digest = |container: &Value| {
            Some((container["name"].as_str()?.to_owned(), container["imageDigest"].as_str()?.to_owned()))
        };
        Some((document.clone(), containers.filter_map(digest).collect()))
    };
    tasks.iter().filter_map(of).collect()
}

/// Whether a service runs a task whose image was pulled before its tag was moved.
pub(crate) fn runs_outdated(world: &mut World, service: &str, tags: &BTreeMap<String, String>) -> bool {
    let tasks = running(world, service);
    let mut containers = tasks.iter().filter_map(|task| task["containers"].as_array()).flatten();
    containers.any(|container| {
        let stands = container["image"].as_str().and_then(|image| tags.get(image));
        stands.is_some_and(|stands| container["imageDigest"] != stands.as_str())
    })
}

/// A task definition as ECS shows it.
pub(crate) fn definition(world: &mut World, arn: &str) -> Option<TaskDefinition> {
    let now = world.now();
    let answer = world.call(now, "DescribeTaskDefinition", &json!({ "taskDefinition": arn, "include": ["TAGS"] }));
    wire::task_definition(&answer.ok()?).ok()
}

/// What would register it again, in an order of its own.
pub(crate) fn input(definition: &TaskDefinition) -> Value {
    sorted(&Value::Object(document::register_input(definition).unwrap_or_default()))
}

fn without_images(definition: &TaskDefinition) -> Value {
    let mut input = input(definition);
    for container in input["containerDefinitions"].as_array_mut().into_iter().flatten() {
        container["image"] = Value::Null;
    }
    input
}

/// With members by name: ECS may answer in another order.
pub(crate) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().map(|(name, value)| (name.clone(), value)).collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// A cluster, with its settings.
pub(crate) fn cluster(world: &mut World, arn: &str) -> Value {
    let now = world.now();
    let input = json!({ "clusters": [arn], "include": ["SETTINGS"] });
    world.call(now, "DescribeClusters", &input).unwrap_or_default()["clusters"][0].clone()
}

/// A service.
pub(crate) fn service(world: &mut World, arn: &str) -> Value {
    let now = world.now();
    let cluster = short(arn).split_once('/').map_or("", |(cluster, _)| cluster);
    let input = json!({ "cluster": cluster, "services": [arn] });
    world.call(now, "DescribeServices", &input).unwrap_or_default()["services"][0].clone()
}

/// The policies that a resource breaks, by what is there and what runs.
pub(crate) fn violations(world: &mut World, arn: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    if arn.contains(":cluster/") {
        if cluster(world, arn)["settings"][0]["value"] == "disabled" {
            found.insert("insights");
        }
        return found;
    }
    let shown = service(world, arn);
    if shown.pointer("/networkConfiguration/awsvpcConfiguration/assignPublicIp").is_some_and(|ip| ip == "ENABLED") {
        found.insert("no-public-ip");
    }
    if shown.pointer("/deploymentConfiguration/deploymentCircuitBreaker/enable").is_none_or(|on| on == false) {
        found.insert("breaker");
    }
    let tasks = running(world, arn);
    for revision in revisions(&tasks) {
        let document = definition(world, &revision).map(|definition| input(&definition)).unwrap_or_default();
        if document["pidMode"] == "host" {
            found.insert("no-host-pid");
        }
        if document["ipcMode"] == "host" {
            found.insert("no-host-ipc");
        }
    }
    found
}

/// `CLUSTER/NAME`, `FAMILY:REVISION` or a cluster's name, of an ARN.
pub(crate) fn short(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).and_then(|resource| resource.split_once('/')).map_or(arn, |(_, name)| name)
}

/// Whether one image is the other with a digest that its own tag stood for at some time.
pub(crate) fn is_pin(source: &Value, made: &Value, digests: &BTreeSet<(String, String)>) -> bool {
    let (Some(source), Some((name, digest))) = (source.as_str(), made.as_str().and_then(|made| made.split_once('@')))
    else {
        return false;
    };
    // A tag that nobody has moved stands for a digest of its own text.
    let own: String = Sha256::digest(source.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let stood = digests.contains(&(source.to_owned(), digest.to_owned())) || digest == format!("sha256:{own}");
    source.split_once(':').is_some_and(|(of, _)| of == name) && stood
}

/// ECS may change the order of containers, variables and secrets.
pub(crate) fn in_any_order(input: &Value) -> Value {
    let mut input = input.clone();
    let by_text = |list: &mut Vec<Value>| list.sort_by_key(ToString::to_string);
    for container in input["containerDefinitions"].as_array_mut().into_iter().flatten() {
        container["environment"].as_array_mut().into_iter().for_each(by_text);
    }
    input["containerDefinitions"].as_array_mut().into_iter().for_each(by_text);
    input
}
