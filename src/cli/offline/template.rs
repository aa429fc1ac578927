//! CloudFormation templates, and those that CDK synthesises: their ECS resources as ECS would have them.
//!
//! Does not deploy: what a stack is given from outside is not known ([`intrinsics`](super::intrinsics)), and tags of the
//! stack are not in it. A template is judged as it is written. Nested stacks are templates of their own. A cluster
//! without `ClusterSettings` gets the account's, so they stay unknown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::dialect::{Dialect, convert};
use super::intrinsics::Functions;
use super::resource::{Origin, Resource, Tied, tags_of};
use super::source::Source;
use super::tree::{Content, Tree, step, unresolved};
use crate::cli::error::Error;
use crate::model::spec::ResourceKind;

/// Types of resources that are judged, and the shapes of their documents.
const TYPES: &[(&str, ResourceKind, &str)] = &[
    ("AWS::ECS::TaskDefinition", ResourceKind::TaskDefinition, "TaskDefinition"),
    ("AWS::ECS::Service", ResourceKind::Service, "Service"),
    ("AWS::ECS::Cluster", ResourceKind::Cluster, "Cluster"),
    ("AWS::ECS::TaskSet", ResourceKind::TaskSet, "TaskSet"),
    ("AWS::ECS::CapacityProvider", ResourceKind::CapacityProvider, "CapacityProvider"),
];

/// Macros that leave ECS's resources as they are written (CloudFormation Template Reference, "Transforms reference").
/// Any other may rewrite them.
const HARMLESS: &[&str] = &[
    "AWS::CodeDeployBlueGreen",
    "AWS::LanguageExtensions",
    "AWS::SecretsManager-2020-07-23",
    "AWS::SecretsManager-2024-09-16",
    "AWS::Serverless-2016-10-31",
];

/// Whether a value is a template.
pub(super) fn is_one(root: &Map<String, Value>) -> bool {
    let typed = |resources: &Value| {
        resources.as_object().is_some_and(|all| {
            all.iter().any(|(name, one)| one.get("Type").is_some_and(Value::is_string) || name.starts_with("Fn::"))
        })
    };
    root.contains_key("AWSTemplateFormatVersion") || root.get("Resources").is_some_and(typed)
}

/// The ECS resources of a template, and what in it may be one and is not judged.
///
/// # Errors
/// Where it has no `Resources`.
pub(super) fn read(file: &str, source: &Source) -> Result<(Vec<Resource>, Vec<String>), Error> {
    let template = source.value();
    let Some(resources) = template.get("Resources").and_then(Value::as_object) else {
        return Err(Error::new(format!("`{file}` is a CloudFormation template without `Resources`"))
            .help("name the template that has the resources"));
    };
    let is_plain = |pointer: &str| source.is_plain(pointer);
    let mut reading = Reading {
        file,
        functions: Functions::of(template, &is_plain),
        rewritten: rewritten(template, resources),
        found: Vec::new(),
        not_judged: Vec::new(),
    };
    reading.all(resources, "/Resources", "", 0);
    let associated = resources
        .values()
        .any(|one| one.get("Type").and_then(Value::as_str) == Some("AWS::ECS::ClusterCapacityProviderAssociations"));
    let not_judged = std::mem::take(&mut reading.not_judged);
    Ok((reading.finish(associated), not_judged))
}

/// The name of a macro that may rewrite all of the template.
fn rewritten(template: &Value, resources: &Map<String, Value>) -> Option<String> {
    let name = |one: &Value| one.as_str().or_else(|| one.get("Name")?.as_str()).unwrap_or("?").to_owned();
    let declared = match template.get("Transform") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(name).collect(),
        Some(one) => vec![name(one)],
    };
    let unknown = declared.into_iter().find(|name| !HARMLESS.contains(&name.as_str()));
    let included = template.get("Fn::Transform").or_else(|| resources.get("Fn::Transform")).map(name);
    unknown.or(included)
}

/// A resource that was found, with what its file says of the others.
struct Found<'a> {
    resource: Resource,
    logical_id: String,
    /// Whether it will surely be there.
    sure: bool,
    properties: Option<&'a Value>,
}

struct Reading<'a> {
    file: &'a str,
    functions: Functions<'a>,
    rewritten: Option<String>,
    found: Vec<Found<'a>>,
    not_judged: Vec<String>,
}

impl<'a> Reading<'a> {
    fn all(&mut self, resources: &'a Map<String, Value>, at: &str, within: &str, depth: usize) {
        for (logical_id, one) in resources {
            let at = step(at, logical_id);
            let name = format!("{within}{logical_id}");
            if logical_id.starts_with("Fn::ForEach::") {
                // `[identifier, collection, {name: body}]`: how many there are is not known, but each is like the body,
                // in which nothing is known that the identifier stands in.
                match (one.get(0), one.get(2)) {
                    (Some(Value::String(identifier)), Some(Value::Object(bodies))) if depth < 8 => {
                        self.functions.enter(identifier);
                        self.all(bodies, &format!("{at}/2"), &format!("{name}/"), depth + 1);
                        self.functions.leave();
                    }
                    _ => self.not_judged.push(name),
                }
                continue;
            }
            self.one(&name, one, &at, depth > 0);
        }
    }

    fn one(&mut self, logical_id: &str, one: &'a Value, at: &str, repeated: bool) {
        let written = one.get("Type").and_then(Value::as_str);
        let Some((_, kind, shape)) = TYPES.iter().find(|(name, ..)| Some(*name) == written) else {
            if let Some(written) = written.filter(|written| may_be_of_ecs(written) || self.functions.varies(written)) {
                self.not_judged.push(format!("{logical_id} ({written})"));
            }
            return;
        };
        let condition = one.get("Condition").and_then(Value::as_str);
        let there = condition.map_or(Some(true), |name| self.functions.condition(name));
        if there == Some(false) {
            return;
        }
        let around = step(at, "Properties");
        let properties = one.get("Properties");
        let tree = match (&self.rewritten, properties, has_call(one)) {
            (Some(name), ..) => Tree::unresolved(format!("Transform {name}"), at),
            (None, _, Some(name)) => Tree::unresolved(name, at),
            (None, None, None) => Tree { at: around.clone(), content: Content::Map(Vec::new()) },
            (None, Some(properties), None) => self
                .functions
                .resolve(properties, &around)
                .unwrap_or_else(|| Tree { at: around.clone(), content: Content::Map(Vec::new()) }),
        };
        let converted = convert(&tree, shape, Dialect::CloudFormation);
        let origin = Origin::converted(Dialect::CloudFormation, shape, at, &around, &converted);
        let document = converted.document;
        let tags = match (&tree.content, document.get("tags")) {
            (Content::Map(_), None | Some(Value::Null)) => Some(Default::default()),
            (Content::Map(_), Some(tags)) => tags_of(tags),
            _ => None,
        };
        let resource = Resource {
            name: format!("{}#{logical_id}", self.file),
            kind: *kind,
            origin,
            document,
            tags,
            tags_may_come: true,
            arn: None,
            tied: Tied::default(),
        };
        let sure = there == Some(true) && !repeated && self.rewritten.is_none();
        self.found.push(Found { resource, logical_id: logical_id.to_owned(), sure, properties });
    }

    /// Ties the resources together.
    fn finish(mut self, associated: bool) -> Vec<Resource> {
        let named = |kind: ResourceKind, reference: Option<&Value>| {
            let id = reference.and_then(reference_to)?;
            self.found.iter().position(|one| one.sure && one.resource.kind == kind && one.logical_id == id)
        };
        let mut ties = Vec::new();
        let mut shared = BTreeSet::new();
        for (index, one) in self.found.iter().enumerate() {
            if !matches!(one.resource.kind, ResourceKind::Service | ResourceKind::TaskSet) {
                continue;
            }
            let property = |name: &str| one.properties.and_then(|properties| properties.get(name));
            let task_definition = named(ResourceKind::TaskDefinition, property("TaskDefinition"));
            if let (None, Some(value)) = (task_definition, property("TaskDefinition")) {
                // It may run any of those that it names somewhere, and in a loop any at all: names are made there.
                let looped = one.logical_id.starts_with("Fn::ForEach::");
                let ids = self.found.iter().enumerate().filter(|(_, one)| looped || mentions(value, &one.logical_id));
                shared.extend(ids.map(|(index, _)| index));
            }
            ties.push((
                index,
                named(ResourceKind::Cluster, property("Cluster")),
                task_definition,
                named(ResourceKind::Service, property("Service")),
            ));
        }
        let sure: Vec<bool> = self.found.iter().map(|one| one.sure).collect();
        let mut resources: Vec<Resource> = self.found.drain(..).map(|one| one.resource).collect();
        for (index, cluster, task_definition, service) in ties {
            if let Some(resource) = resources.get_mut(index) {
                resource.tied = Tied { service, cluster, task_definition };
            }
        }
        if associated {
            // The association adds to what the cluster says of itself.
            for cluster in resources.iter_mut().filter(|one| one.kind == ResourceKind::Cluster) {
                if let Value::Object(members) = &mut cluster.document {
                    for name in ["capacityProviders", "defaultCapacityProviderStrategy"] {
                        members.insert(name.to_owned(), unresolved("AWS::ECS::ClusterCapacityProviderAssociations"));
                    }
                }
            }
        }
        tie_task_definitions(&mut resources, &shared, |index| sure.get(index) == Some(&true));
        resources
    }
}

/// Gives a task definition the service that runs it, and its cluster, where it is the only one and surely there.
/// Those that are `shared` may be run by another too.
pub(super) fn tie_task_definitions(
    resources: &mut [Resource],
    shared: &BTreeSet<usize>,
    is_sure: impl Fn(usize) -> bool,
) {
    let ties: Vec<(Option<usize>, usize, Tied)> = resources
        .iter()
        .enumerate()
        .filter_map(|(index, one)| match one.kind {
            ResourceKind::Service => Some((Some(index), index, one.tied)),
            ResourceKind::TaskSet => Some((one.tied.service, index, one.tied)),
            ResourceKind::TaskDefinition | ResourceKind::Cluster | ResourceKind::CapacityProvider => None,
        })
        .collect();
    for (index, one) in resources.iter_mut().enumerate() {
        if one.kind != ResourceKind::TaskDefinition || shared.contains(&index) {
            continue;
        }
        let mut by = ties.iter().filter(|(.., tied)| tied.task_definition == Some(index));
        if let (Some((service, user, tied)), None) = (by.next(), by.next())
            && is_sure(*user)
        {
            one.tied = Tied { service: *service, cluster: tied.cluster, task_definition: None };
        }
    }
}

/// Whether a type that is not judged is one of ECS's, or stands for a template that may hold some.
fn may_be_of_ecs(written: &str) -> bool {
    // What a service's primary task set is, and what a cluster's association adds, is read with the others.
    let read_elsewhere = ["AWS::ECS::PrimaryTaskSet", "AWS::ECS::ClusterCapacityProviderAssociations"];
    (written.starts_with("AWS::ECS::") && !read_elsewhere.contains(&written))
        || written.ends_with("::MODULE")
        || matches!(written, "AWS::CloudFormation::Stack" | "AWS::Serverless::Application")
}

/// Whether a value refers to a logical id anywhere in it.
fn mentions(value: &Value, logical_id: &str) -> bool {
    match value {
        Value::String(text) => text.contains(logical_id),
        Value::Array(items) => items.iter().any(|item| mentions(item, logical_id)),
        Value::Object(members) => members.values().any(|member| mentions(member, logical_id)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A function beside the attributes of a resource: what they are in the end is not known.
fn has_call(resource: &Value) -> Option<String> {
    let members = resource.as_object()?;
    members.keys().find(|name| name.starts_with("Fn::")).cloned()
}

/// The logical id that `Ref` or `Fn::GetAtt` names: of a cluster, a service or a task definition both stand for it.
fn reference_to(value: &Value) -> Option<&str> {
    if let Some(id) = value.get("Ref") {
        return id.as_str();
    }
    match value.get("Fn::GetAtt")? {
        Value::String(text) => text.split_once('.').map(|(id, _)| id),
        Value::Array(pair) => pair.first()?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(template: &Value) -> Vec<Resource> {
        read("t", &Source::read("t", template.to_string().into_bytes()).unwrap()).unwrap().0
    }

    fn tied(service: &Value, more: &Value) -> Option<usize> {
        let mut template = json!({
            "Conditions": { "Open": { "Fn::Equals": [{ "Ref": "P" }, "x"] } },
            "Resources": {
                "Task": { "Type": "AWS::ECS::TaskDefinition", "Properties": {} },
                "Service": { "Type": "AWS::ECS::Service", "Properties": { "TaskDefinition": { "Ref": "Task" } } },
            },
        });
        for (name, value) in service.as_object().unwrap() {
            template["Resources"]["Service"][name] = value.clone();
        }
        for (name, value) in more.as_object().unwrap() {
            template["Resources"][name] = value.clone();
        }
        read_value(&template)[0].tied.service
    }

    #[test]
    fn a_task_definition_is_tied_to_the_one_service_that_surely_runs_it() {
        let other =
            |task: Value| json!({ "Other": { "Type": "AWS::ECS::Service", "Properties": { "TaskDefinition": task } } });
        assert_eq!(tied(&json!({}), &json!({})), Some(1));
        assert_eq!(tied(&json!({}), &other(json!("elsewhere:1"))), Some(1));
        assert_eq!(tied(&json!({ "Condition": "Open" }), &json!({})), None);
        assert_eq!(tied(&json!({}), &other(json!({ "Ref": "Task" }))), None);
        assert_eq!(tied(&json!({}), &other(json!({ "Fn::If": ["Open", { "Ref": "Task" }, "x"] }))), None);
        assert_eq!(tied(&json!({ "Properties": { "TaskDefinition": { "Ref": "P" } } }), &json!({})), None);
    }

    #[test]
    fn tags_that_cannot_all_be_told_are_not_told() {
        let tags = |tags: Value| {
            let properties = json!({ "Tags": tags });
            let cluster = json!({ "Type": "AWS::ECS::Cluster", "Properties": properties });
            read_value(&json!({ "Resources": { "C": cluster } }))[0].tags.clone()
        };
        assert_eq!(tags(json!([{ "Key": "a", "Value": 1 }])).unwrap()["a"], "1");
        assert_eq!(tags(json!([{ "Key": "a", "Value": { "Ref": "P" } }])), None);
        assert_eq!(tags(json!({ "Ref": "P" })), None);
    }

    #[test]
    fn in_a_loop_nothing_is_known_that_its_identifier_stands_in() {
        let body = json!({ "Task${Id}": { "Type": "AWS::ECS::TaskDefinition", "Properties": {
            "Family": "web-${Id}", "Cpu": "256", "PidMode": "&{Id}", "IpcMode": "${Other}",
            "RuntimePlatform": { "${Id}": "LINUX" },
            "TaskRoleArn": { "Fn::Join": ["${Id}", ["a", "b"]] },
            "ExecutionRoleArn": { "Fn::Sub": ["&{Id}-${x}", { "x": "a" }] },
            "Memory": { "Fn::If": ["Is${Id}", "1", "1"] },
            "Volumes": [{ "Name": "${Inner}" }, { "Name": "v" }],
        } } });
        let inner = json!({ "Fn::ForEach::Inner": ["Inner", ["a"], body] });
        let template = json!({
            "Conditions": { "Is${Id}": { "Fn::Equals": ["a", "a"] } },
            "Resources": { "Fn::ForEach::Outer": ["Id", ["A"], inner], "After": {
                "Type": "AWS::ECS::TaskDefinition", "Properties": { "Family": "web-${Id}" } } },
        });
        let found = read_value(&template);
        let document = &found[0].document;
        for member in ["family", "pidMode", "runtimePlatform", "taskRoleArn", "executionRoleArn"] {
            assert!(document[member].get("plimsoll:unresolved").is_some(), "{member}: {document}");
        }
        assert!(document["volumes"][0]["name"].get("plimsoll:unresolved").is_some(), "{document}");
        assert_eq!((&document["cpu"], &document["ipcMode"]), (&json!("256"), &json!("${Other}")));
        assert_eq!((&document["memory"], &document["volumes"][1]["name"]), (&json!("1"), &json!("v")));
        assert_eq!(found[1].document["family"], "web-${Id}", "outside of the loop it is a text like any other");
    }

    #[test]
    fn what_may_be_of_ecs_and_is_not_judged_is_named() {
        let template = json!({ "Resources": {
            "Express": { "Type": "AWS::ECS::ExpressGatewayService" }, "Module": { "Type": "Our::ECS::Web::MODULE" },
            "Nested": { "Type": "AWS::CloudFormation::Stack" }, "Bucket": { "Type": "AWS::S3::Bucket" },
            "Primary": { "Type": "AWS::ECS::PrimaryTaskSet" }, "Fn::ForEach::Odd": ["Id", ["a"]],
            "Fn::ForEach::L": ["Id", ["Service"], { "A${Id}": { "Type": "AWS::ECS::${Id}" } }],
        } });
        let (_, not_judged) = read("t", &Source::read("t", template.to_string().into_bytes()).unwrap()).unwrap();
        assert_eq!(
            not_judged,
            [
                "Express (AWS::ECS::ExpressGatewayService)",
                "Module (Our::ECS::Web::MODULE)",
                "Nested (AWS::CloudFormation::Stack)",
                "Fn::ForEach::Odd",
                "Fn::ForEach::L/A${Id} (AWS::ECS::${Id})",
            ]
        );
    }

    #[test]
    fn an_association_leaves_the_cluster_s_providers_open() {
        let found = read_value(&json!({ "Resources": {
            "C": { "Type": "AWS::ECS::Cluster" },
            "A": { "Type": "AWS::ECS::ClusterCapacityProviderAssociations" },
        } }));
        assert!(found[0].document["capacityProviders"].get("plimsoll:unresolved").is_some(), "{found:?}");
    }
}
