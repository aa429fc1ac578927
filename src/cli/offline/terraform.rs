//! Terraform's plans and states, as `terraform show -json` prints them: their ECS resources as ECS would have them.
//!
//! Source: "JSON Output Format" (developer.hashicorp.com/terraform/internals/json-format). What a plan does not know
//! before it is applied is not in `after` and true in `after_unknown`. A plan has null, or nothing in a text, list or
//! block, for what was not written. Attributes are those of the AWS provider, `aws_ecs_*`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::dialect::{Dialect, convert};
use super::resource::{Origin, Resource, Tied};
use super::template::tie_task_definitions;
use super::tree::{Content, Tree, step};
use crate::cli::error::Error;
use crate::model::spec::ResourceKind;

/// Types of resources that are judged, and the shapes of their documents.
const TYPES: &[(&str, ResourceKind, &str)] = &[
    ("aws_ecs_task_definition", ResourceKind::TaskDefinition, "TaskDefinition"),
    ("aws_ecs_service", ResourceKind::Service, "Service"),
    ("aws_ecs_cluster", ResourceKind::Cluster, "Cluster"),
    ("aws_ecs_task_set", ResourceKind::TaskSet, "TaskSet"),
    ("aws_ecs_capacity_provider", ResourceKind::CapacityProvider, "CapacityProvider"),
];

/// Types of ECS's that have nothing that policies are about, or are read with another.
const NOTHING_TO_JUDGE: &[&str] =
    &["aws_ecs_account_setting_default", "aws_ecs_cluster_capacity_providers", "aws_ecs_tag"];

/// Attributes that are the provider's own, or ECS's answer, and no part of a document.
const NOT_ECS: &[&str] = &[
    "arn",
    "arn_without_revision",
    "force_delete",
    "force_new_deployment",
    "id",
    "region",
    "revision",
    "sigint_rollback",
    "skip_destroy",
    "stability_status",
    "status",
    "tags",
    "tags_all",
    "task_set_id",
    "timeouts",
    "track_latest",
    "triggers",
    "wait_for_steady_state",
    "wait_until_stable",
    "wait_until_stable_timeout",
];

/// Whether a value is a plan or a state.
pub(super) fn is_one(root: &Map<String, Value>) -> bool {
    root.contains_key("planned_values")
        || root.contains_key("resource_changes")
        || (root.contains_key("terraform_version") && root.contains_key("values"))
}

/// The ECS resources of a plan, as they will be after it is applied; of a state, as they are.
///
/// # Errors
/// Where there is neither.
pub(super) fn read(file: &str, root: &Value) -> Result<Vec<Resource>, Error> {
    // "Reject any input which reports an unsupported major version"; before Terraform 1.1.0 it was 0.
    let version = root.get("format_version").and_then(Value::as_str).unwrap_or("1");
    if !matches!(version.split('.').next(), Some("0" | "1")) {
        return Err(Error::new(format!(
            "`{file}` has version {version} of Terraform's JSON output, which is not known"
        ))
        .help("print it with a Terraform of version 1"));
    }
    // `errored`: planning ended early, and what would have come after it is not there. `complete` is false where changes
    // are deferred or left out (`-target`): another plan has to follow, of which this one says nothing.
    let is = |name: &str, value: bool| root.get(name).and_then(Value::as_bool) == Some(value);
    let deferred = root.get("deferred_changes").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let part = match () {
        () if is("errored", true) => Some("planning ended with an error"),
        () if deferred => Some("it defers changes to a later plan"),
        () if is("complete", false) => Some("another plan has to follow it"),
        () => None,
    };
    if let Some(why) = part {
        return Err(Error::new(format!("`{file}` is only a part of a Terraform plan: {why}"))
            .help("give a whole plan: without errors, `-target` or deferred changes"));
    }
    let mut found: Vec<(String, Resource, Option<String>)> = Vec::new();
    let changes = root.get("resource_changes").and_then(Value::as_array);
    let mut planned = BTreeMap::new();
    for section in ["planned_values", "values"] {
        let module = root.get(section).and_then(|values| values.get("root_module"));
        if let Some(module) = module {
            modules(module, &format!("/{section}/root_module"), 0, &mut planned);
        }
    }
    if changes.is_none() && planned.is_empty() && root.get("planned_values").is_none() && root.get("values").is_none() {
        return Err(Error::new(format!("`{file}` is a Terraform plan without `resource_changes`"))
            .help("give what `terraform show -json PLANFILE` prints"));
    }
    let mut gone = Vec::new();
    for (index, one) in changes.into_iter().flatten().enumerate() {
        let Some(change) = one.get("change") else { continue };
        let at = format!("/resource_changes/{index}");
        let address = one.get("address").and_then(Value::as_str).unwrap_or_default();
        match change.get("after") {
            // It will be destroyed, or forgotten.
            None | Some(Value::Null) => gone.push(address.to_owned()),
            Some(after) => {
                let unknown = change.get("after_unknown").unwrap_or(&Value::Null);
                let around = format!("{at}/change/after");
                let tree = merged(Some(after), unknown, &around);
                found.extend(resource(file, one, address, &at, &around, tree));
            }
        }
    }
    let is_state = root.get("values").is_some();
    for (address, (at, one)) in planned {
        if gone.contains(&address) || found.iter().any(|(known, ..)| *known == address) {
            continue;
        }
        let around = format!("{at}/values");
        // Only the change says what is not known before it is applied.
        let tree = match one.get("values") {
            Some(values) if is_state => Tree::of(values, &around),
            _ => Tree::unresolved("no change", &around),
        };
        found.extend(resource(file, one, &address, &at, &around, tree));
    }
    Ok(tied(root, found))
}

/// What of ECS's a plan or state has that no policy is asked about.
pub(super) fn not_judged(root: &Value) -> Vec<String> {
    let mut planned = BTreeMap::new();
    for section in ["planned_values", "values"] {
        if let Some(module) = root.get(section).and_then(|values| values.get("root_module")) {
            modules(module, "", 0, &mut planned);
        }
    }
    let changes = root.get("resource_changes").and_then(Value::as_array);
    let changes = changes.into_iter().flatten();
    let stays =
        changes.filter(|one| one.get("change").and_then(|change| change.get("after")).is_some_and(|a| !a.is_null()));
    let found: BTreeSet<(&str, &str)> = stays
        .chain(planned.values().map(|(_, one)| *one))
        .filter(|one| one.get("mode").and_then(Value::as_str) != Some("data"))
        .filter_map(|one| Some((one.get("address")?.as_str()?, one.get("type")?.as_str()?)))
        .filter(|(_, kind)| {
            let of_ecs = kind.starts_with("awscc_ecs_") || kind.starts_with("aws_ecs_");
            of_ecs && !NOTHING_TO_JUDGE.contains(kind) && TYPES.iter().all(|(known, ..)| known != kind)
        })
        .collect();
    found.iter().map(|(address, kind)| format!("{address} ({kind})")).collect()
}

/// The resources of a module and those inside it, by address.
fn modules<'a>(module: &'a Value, at: &str, depth: usize, found: &mut BTreeMap<String, (String, &'a Value)>) {
    let list = |name: &str| module.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, one) in list("resources").iter().enumerate() {
        if let Some(address) = one.get("address").and_then(Value::as_str) {
            found.insert(address.to_owned(), (format!("{at}/resources/{index}"), one));
        }
    }
    for (index, child) in list("child_modules").iter().enumerate().filter(|_| depth < 64) {
        modules(child, &format!("{at}/child_modules/{index}"), depth + 1, found);
    }
}

/// What is known of a value, and what is not.
fn merged(after: Option<&Value>, unknown: &Value, at: &str) -> Tree {
    match (unknown, after) {
        (Value::Bool(true), _) => Tree::unresolved("known after apply", at),
        (Value::Object(unknown), after) if after.is_none_or(|after| after.is_object() || after.is_null()) => {
            let nothing = Map::new();
            let known = after.and_then(Value::as_object).unwrap_or(&nothing);
            let mut members: Vec<(String, Tree)> = known
                .iter()
                .map(|(name, member)| {
                    let unknown = unknown.get(name).unwrap_or(&Value::Null);
                    (name.clone(), merged(Some(member), unknown, &step(at, name)))
                })
                .collect();
            for (name, unknown) in unknown.iter().filter(|(name, unknown)| !known.contains_key(*name) && any(unknown)) {
                members.push((name.clone(), merged(None, unknown, &step(at, name))));
            }
            Tree::map(members, at)
        }
        (Value::Array(unknown), after) if after.is_none_or(|after| after.is_array() || after.is_null()) => {
            let known = after.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let items = (0..known.len().max(unknown.len())).map(|index| {
                merged(known.get(index), unknown.get(index).unwrap_or(&Value::Null), &format!("{at}/{index}"))
            });
            Tree { at: at.to_owned(), content: Content::List(items.collect()) }
        }
        (_, Some(after)) => Tree::of(after, at),
        (_, None) => Tree::leaf(Value::Null, at),
    }
}

/// Whether anything in it is true.
fn any(unknown: &Value) -> bool {
    match unknown {
        Value::Bool(unknown) => *unknown,
        Value::Array(items) => items.iter().any(any),
        Value::Object(members) => members.values().any(any),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    }
}

/// The resource as ECS would have it, with its address and, where it is known, its ARN.
fn resource(
    file: &str,
    one: &Value,
    address: &str,
    at: &str,
    around: &str,
    mut tree: Tree,
) -> Option<(String, Resource, Option<String>)> {
    let written = one.get("type").and_then(Value::as_str)?;
    let (_, kind, shape) = TYPES.iter().find(|(name, ..)| *name == written)?;
    if one.get("mode").and_then(Value::as_str) == Some("data") {
        return None;
    }
    let arn = tree.take("arn").and_then(|arn| arn.text().map(ToOwned::to_owned));
    let tags = tags(&mut tree);
    if let Content::Map(members) = &mut tree.content {
        members.retain(|(name, _)| !NOT_ECS.contains(&name.as_str()));
    }
    tidy(&mut tree);
    match kind {
        ResourceKind::TaskDefinition => task_definition(&mut tree),
        ResourceKind::Service | ResourceKind::TaskSet => service(&mut tree),
        ResourceKind::Cluster | ResourceKind::CapacityProvider => {}
    }
    let mut converted = convert(&tree, shape, Dialect::Terraform);
    if let (Some(tags), Value::Object(members)) =
        (tags.as_ref().filter(|tags| !tags.is_empty()), &mut converted.document)
    {
        let pair = |(key, value): (&String, &String)| json!({ "key": key, "value": value });
        members.insert("tags".to_owned(), tags.iter().map(pair).collect());
    }
    let resource = Resource {
        name: format!("{file}#{address}"),
        kind: *kind,
        origin: Origin::converted(Dialect::Terraform, shape, at, around, &converted),
        document: converted.document,
        tags,
        tags_may_come: false,
        arn: arn.clone(),
        tied: Tied::default(),
    };
    Some((address.to_owned(), resource, arn))
}

/// `tags_all` has the provider's default tags too.
fn tags(tree: &mut Tree) -> Option<BTreeMap<String, String>> {
    if !matches!(tree.content, Content::Map(_)) {
        return None;
    }
    let all = tree.take("tags_all");
    let own = tree.take("tags");
    let tags = match all {
        Some(all) if !matches!(all.content, Content::Leaf(Value::Null)) => Some(all),
        _ => own,
    };
    match tags.map(|tags| tags.content) {
        None | Some(Content::Leaf(Value::Null)) => Some(BTreeMap::new()),
        Some(Content::Map(members)) => {
            members.into_iter().map(|(key, value)| Some((key, value.text()?.to_owned()))).collect()
        }
        Some(_) => None,
    }
}

/// Leaves out what was not written. A map's empty texts are the author's.
fn tidy(tree: &mut Tree) {
    match &mut tree.content {
        Content::Map(members) => {
            for (name, member) in members.iter_mut() {
                if !matches!(name.as_str(), "labels" | "driver_opts" | "options" | "container_definitions") {
                    tidy(member);
                }
            }
            members.retain(|(_, member)| !member.is_blank());
        }
        Content::List(items) => items.iter_mut().for_each(tidy),
        Content::Leaf(_) | Content::Unresolved(_) => {}
    }
}

/// What the provider has in another form than ECS.
fn task_definition(tree: &mut Tree) {
    let Content::Map(members) = &mut tree.content else { return };
    for (name, member) in members {
        match name.as_str() {
            // The provider takes JSON in ECS's words, as text.
            "container_definitions" => {
                let parsed = member.text().and_then(|text| serde_json::from_str::<Value>(text).ok());
                if let Some(parsed) = parsed {
                    *member = Tree::within(&parsed, &member.at);
                }
            }
            "volume" => each(member, |volume| {
                if let (Some(path), Content::Map(members)) = (volume.take("host_path"), &mut volume.content) {
                    let at = path.at.clone();
                    members.push(("host".to_owned(), Tree::map(vec![("source_path".to_owned(), path)], &at)));
                }
            }),
            "proxy_configuration" => each(member, |proxy| {
                if let (Some(properties), Content::Map(members)) = (proxy.take("properties"), &mut proxy.content) {
                    members.push(("properties".to_owned(), pairs(properties)));
                }
            }),
            _ => {}
        }
    }
}

/// A map as ECS's list of names and values.
fn pairs(tree: Tree) -> Tree {
    let Content::Map(members) = tree.content else { return tree };
    let pair = |(name, value): (String, Tree)| {
        let at = value.at.clone();
        Tree::map(vec![("name".to_owned(), Tree::leaf(name, &at)), ("value".to_owned(), value)], &at)
    };
    Tree { content: Content::List(members.into_iter().map(pair).collect()), at: tree.at }
}

/// What the provider has flat, and ECS one level deeper; and its boolean for the public address.
fn service(tree: &mut Tree) {
    let around = tree.at.clone();
    if let Some(mut network) = tree.take("network_configuration") {
        each(&mut network, |network| {
            if let Content::Map(members) = &mut network.content {
                for (_, member) in members.iter_mut().filter(|(name, _)| name == "assign_public_ip") {
                    if let Content::Leaf(Value::Bool(public)) = member.content {
                        member.content = Content::Leaf(if public { "ENABLED" } else { "DISABLED" }.into());
                    }
                }
            }
        });
        let at = network.at.clone();
        let inside = Tree::map(vec![("awsvpc_configuration".to_owned(), network)], &at);
        if let Content::Map(members) = &mut tree.content {
            members.push(("network_configuration".to_owned(), inside));
        }
    }
    let flat: Vec<(String, Tree)> = [
        ("deployment_circuit_breaker", "deployment_circuit_breaker"),
        ("deployment_maximum_percent", "maximum_percent"),
        ("deployment_minimum_healthy_percent", "minimum_healthy_percent"),
        ("alarms", "alarms"),
    ]
    .into_iter()
    .filter_map(|(flat, name)| Some((name.to_owned(), tree.take(flat)?)))
    .collect();
    if flat.is_empty() {
        return;
    }
    let mut deployment = tree
        .take("deployment_configuration")
        .map(|deployment| match deployment.content {
            Content::List(mut items) if items.len() == 1 => items.remove(0),
            content => Tree { content, at: deployment.at },
        })
        .unwrap_or_else(|| Tree::map(Vec::new(), &around));
    if let Content::Map(members) = &mut deployment.content {
        members.extend(flat);
    }
    if let Content::Map(members) = &mut tree.content {
        members.push(("deployment_configuration".to_owned(), deployment));
    }
}

/// Changes every block of a list of them.
fn each(tree: &mut Tree, change: impl Fn(&mut Tree)) {
    match &mut tree.content {
        Content::List(items) => items.iter_mut().for_each(change),
        _ => change(tree),
    }
}

/// Ties the resources together: by ARNs and names that are known, and by the references of the configuration.
fn tied(root: &Value, found: Vec<(String, Resource, Option<String>)>) -> Vec<Resource> {
    let named = |kind: ResourceKind, user: &str, resource: &Resource, attribute: &str, member: &str| {
        let is_kind = |index: &usize| found.get(*index).is_some_and(|(_, one, _)| one.kind == kind);
        let all = || (0..found.len()).filter(is_kind);
        if let Some(value) = resource.text(member) {
            return all().find(|index| {
                found.get(*index).is_some_and(|(_, one, arn)| {
                    arn.as_deref() == Some(value)
                        || (kind == ResourceKind::Cluster && one.text("clusterName") == Some(value))
                })
            });
        }
        let addresses = references(root, user, attribute)?;
        let [address] = addresses.as_slice() else { return None };
        all().find(|index| found.get(*index).is_some_and(|(known, ..)| known == address))
    };
    let ties: Vec<Tied> = found
        .iter()
        .map(|(address, one, _)| match one.kind {
            ResourceKind::Service | ResourceKind::TaskSet => Tied {
                service: (one.kind == ResourceKind::TaskSet)
                    .then(|| named(ResourceKind::Service, address, one, "service", "service"))
                    .flatten(),
                cluster: named(ResourceKind::Cluster, address, one, "cluster", "cluster"),
                task_definition: named(ResourceKind::TaskDefinition, address, one, "task_definition", "taskDefinition"),
            },
            ResourceKind::TaskDefinition | ResourceKind::Cluster | ResourceKind::CapacityProvider => Tied::default(),
        })
        .collect();
    // Who refers to several may run any of them.
    let mut shared = BTreeSet::new();
    for ((user, one, _), tied) in found.iter().zip(&ties) {
        if matches!(one.kind, ResourceKind::Service | ResourceKind::TaskSet) && tied.task_definition.is_none() {
            let addresses = references(root, user, "task_definition").unwrap_or_default();
            let index_of = |address: &String| found.iter().position(|(known, ..)| known == address);
            shared.extend(addresses.iter().filter_map(index_of));
        }
    }
    let mut resources: Vec<Resource> =
        found.into_iter().zip(ties).map(|((_, one, _), tied)| Resource { tied, ..one }).collect();
    tie_task_definitions(&mut resources, &shared, |_| true);
    resources
}

/// The addresses that an attribute refers to, each once, by the plan's `configuration`. `None` where it says nothing,
/// or the resource is one of several.
fn references(root: &Value, address: &str, attribute: &str) -> Option<Vec<String>> {
    if address.contains('[') {
        return None;
    }
    let mut module = root.get("configuration")?.get("root_module")?;
    let mut prefix = String::new();
    let mut rest = address;
    while let Some(after) = rest.strip_prefix("module.") {
        let (name, next) = after.split_once('.')?;
        module = module.get("module_calls")?.get(name)?.get("module")?;
        prefix.push_str(&format!("module.{name}."));
        rest = next;
    }
    let resources = module.get("resources")?.as_array()?;
    let one = resources.iter().find(|one| one.get("address").and_then(Value::as_str) == Some(rest))?;
    let references = one.get("expressions")?.get(attribute)?.get("references")?.as_array()?;
    let referred = references.iter().map(|reference| {
        let mut steps = reference.as_str()?.split('.');
        let (kind, name) = (steps.next()?, steps.next()?);
        Some(format!("{prefix}{kind}.{name}"))
    });
    let unique: Option<BTreeSet<String>> = referred.collect();
    unique.map(|unique| unique.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(kind: &str, after: Value, after_unknown: Value) -> Resource {
        let change = json!({ "actions": ["create"], "after": after, "after_unknown": after_unknown });
        let plan =
            json!({ "resource_changes": [{ "address": "a", "type": kind, "mode": "managed", "change": change }] });
        read("p", &plan).unwrap().remove(0)
    }

    #[test]
    fn what_is_known_after_apply_is_not_known() {
        let found = read_one(
            "aws_ecs_task_definition",
            json!({ "family": "a", "cpu": null, "requires_compatibilities": [null] }),
            json!({ "container_definitions": true, "cpu": true, "requires_compatibilities": [true], "arn": true }),
        );
        let unknown = json!({ "plimsoll:unresolved": "known after apply" });
        assert_eq!(
            found.document,
            json!({ "family": "a", "cpu": unknown, "requiresCompatibilities": [unknown], "containerDefinitions": unknown })
        );
        let found = read_one("aws_ecs_cluster", json!({ "tags": { "a": "b" } }), json!({ "tags_all": true }));
        assert_eq!(found.tags, None);
    }

    #[test]
    fn what_was_not_written_is_not_there() {
        let found = read_one(
            "aws_ecs_task_definition",
            json!({ "pid_mode": "", "ephemeral_storage": [], "task_role_arn": null, "container_definitions": "[{\"name\": \"\"}]",
                "volume": [{ "name": "v", "host_path": "/x", "docker_volume_configuration": [{ "labels": { "a": "" } }] }] }),
            json!({}),
        );
        assert_eq!(
            found.document,
            json!({ "containerDefinitions": [{ "name": "" }],
                "volumes": [{ "name": "v", "dockerVolumeConfiguration": { "labels": { "a": "" } }, "host": { "sourcePath": "/x" } }] })
        );
    }

    #[test]
    fn container_definitions_that_are_no_json_stay_text() {
        let found = read_one("aws_ecs_task_definition", json!({ "container_definitions": "[" }), json!({}));
        assert_eq!(found.document, json!({ "containerDefinitions": "[" }));
    }

    #[test]
    fn a_plan_without_its_changes_leaves_nothing_known_and_a_state_is_known() {
        let module = json!({ "root_module": { "child_modules": [{ "resources": [
            { "address": "module.m.aws_ecs_cluster.a", "mode": "managed", "type": "aws_ecs_cluster", "values": { "name": "a" } },
        ] }] } });
        let found = read("p", &json!({ "planned_values": module })).unwrap();
        assert!(found[0].document.get("plimsoll:unresolved").is_some(), "{found:?}");
        let found = read("p", &json!({ "terraform_version": "1", "values": module })).unwrap();
        assert_eq!(
            (found[0].name.as_str(), &found[0].document),
            ("p#module.m.aws_ecs_cluster.a", &json!({ "clusterName": "a" }))
        );
    }

    #[test]
    fn a_part_of_a_plan_is_refused() {
        let with = |name: &str, value: Value| {
            let mut plan = json!({ "resource_changes": [] });
            plan[name] = value;
            read("p", &plan).map(|_| ()).map_err(|error| error.one_line())
        };
        for (name, value, told) in [
            ("errored", json!(true), "ended with an error"),
            ("complete", json!(false), "another plan has to follow"),
            ("deferred_changes", json!([{ "reason": "instance_count_unknown" }]), "defers changes"),
        ] {
            let error = with(name, value).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        for (name, value) in [("errored", json!(false)), ("complete", json!(true)), ("deferred_changes", json!([]))] {
            assert_eq!(with(name, value), Ok(()));
        }
    }

    #[test]
    fn another_major_version_is_refused() {
        assert!(read("p", &json!({ "format_version": "2.0", "resource_changes": [] })).is_err());
        assert!(read("p", &json!({ "format_version": "0.2", "resource_changes": [] })).is_ok());
    }
}
