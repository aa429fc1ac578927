//! The Terraform modules. There is no provider of AWS where this is tested, so there is no plan: the files are parsed,
//! every argument is held against those that the provider has, and what their values are, as far as defaults tell, is
//! judged as the plan that Terraform would show.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::templates::{passes, task_definition};
use super::{files, path, templates, text};
use crate::cli::repository;

const MODULES: [&str; 2] = ["terraform", "terraform/target-role"];

/// A module's files as one object.
#[track_caller]
pub(super) fn module(folder: &str) -> Value {
    let paths: Vec<String> = files(folder, ".tf").iter().map(|file| path(file).display().to_string()).collect();
    let arguments: Vec<&str> = ["terraform"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    templates(&arguments, &Value::Null)
}

/// The blocks of a kind: type or name, and what is in them.
pub(super) fn blocks(module: &Value, kind: &str) -> Vec<(String, Value)> {
    let list = module[kind].as_array().cloned().unwrap_or_default();
    list.into_iter().flat_map(|block| block.as_object().unwrap().clone()).collect()
}

/// Every resource or data source: its type, its name, its arguments.
pub(super) fn resources(module: &Value, kind: &str) -> Vec<(String, String, Map<String, Value>)> {
    let named = |(of, block): (String, Value)| {
        let (name, arguments) = block.as_object().unwrap().iter().next().unwrap();
        (of, name.clone(), arguments.as_object().unwrap().clone())
    };
    blocks(module, kind).into_iter().map(named).collect()
}

/// What any resource may have, whatever the provider (Terraform's language, "meta-arguments").
const META: [&str; 5] = ["count", "for_each", "depends_on", "lifecycle", "provider"];

/// Arguments and blocks that the provider does not have, or asks for and that are not there.
fn faults(place: &str, given: &Map<String, Value>, known: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in given {
        match known.get(name) {
            None => found.push(format!("{place}: no argument `{name}`")),
            Some(Value::Object(block)) => {
                let block = block.get("required").and_then(Value::as_object).unwrap_or(block);
                for each in value.as_array().into_iter().flatten() {
                    found.extend(faults(&format!("{place}.{name}"), each.as_object().unwrap(), block));
                }
            }
            Some(_) => {}
        }
    }
    for (name, need) in known {
        let required = *need == "required" || need.get("required").is_some_and(Value::is_object);
        if required && !given.contains_key(name) {
            found.push(format!("{place}: `{name}` is missing"));
        }
    }
    found
}

/// The arguments of hashicorp/aws 6.69.1, of the types that are used, as bindings made from the provider's schema name
/// them (cdktn-provider-aws 25.8.1 on PyPI).
fn known() -> Map<String, Value> {
    let file = repository().join("tests/fixtures/terraform/arguments.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn every_argument_is_one_that_the_provider_has_and_none_is_missing() {
    let known = known();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for folder in MODULES {
        let module = module(folder);
        for kind in ["resource", "data"] {
            for (of, name, mut arguments) in resources(&module, kind) {
                arguments.retain(|name, _| !META.contains(&name.as_str()));
                let what = format!("{kind} {of}");
                let known = known.get(&what).unwrap_or_else(|| panic!("{what}")).as_object().unwrap();
                found.extend(faults(&format!("{folder}: {what} {name}"), &arguments, known));
                used.insert(what);
            }
        }
    }
    assert_eq!(found, [""; 0]);
    assert_eq!(used, known.keys().cloned().collect(), "what is no longer used need not be kept");
}

#[test]
fn an_argument_that_the_provider_does_not_have_is_found() {
    let known = known();
    let known = known["resource aws_ecs_service"].as_object().unwrap();
    let given = json!({ "nam": "a", "deployment_circuit_breaker": [{ "enable": true, "rolback": true }] });
    assert_eq!(
        faults("s", given.as_object().unwrap(), known),
        [
            "s: no argument `nam`",
            "s.deployment_circuit_breaker: no argument `rolback`",
            "s.deployment_circuit_breaker: `rollback` is missing",
            "s: `name` is missing"
        ]
    );
}

#[test]
fn every_name_that_is_used_is_declared_and_every_variable_is_used_and_explained() {
    for folder in MODULES {
        let module = module(folder);
        let text: String = files(folder, ".tf").iter().map(|file| text(file)).collect();
        let named = |pattern: &str| -> BTreeSet<String> {
            Regex::new(pattern).unwrap().captures_iter(&text).map(|found| found[1].to_owned()).collect()
        };
        let variables: BTreeSet<String> = blocks(&module, "variable").into_iter().map(|(name, _)| name).collect();
        assert_eq!(named(r"\bvar\.([a-z_]+)"), variables, "{folder}");
        for (name, variable) in blocks(&module, "variable") {
            assert!(variable["description"].as_str().is_some_and(|text| text.len() > 10), "{folder}: {name}");
        }
        let locals: BTreeSet<String> = blocks(&module, "locals").into_iter().map(|(name, _)| name).collect();
        assert_eq!(named(r"\blocal\.([a-z_]+)"), locals, "{folder}");
        let declared = |kind: &str| -> BTreeSet<String> {
            resources(&module, kind).into_iter().map(|(of, name, _)| format!("{of}.{name}")).collect()
        };
        let data = named(r"\bdata\.(aws_[a-z_]+\.[a-z_]+)");
        assert_eq!(data, declared("data"), "{folder}");
        let used = named(r"(?:^|[^.\w])(aws_[a-z_]+\.[a-z_]+)\b");
        assert!(used.is_subset(&declared("resource")), "{folder}: {used:?}");
    }
}

/// A document's blanks are filled in, all of them and no others.
#[test]
fn the_blanks_of_the_documents_are_those_that_the_modules_fill_in() {
    let blank = Regex::new(r"\$\{([a-z_]+)\}").unwrap();
    let blanks = |file: &str| -> BTreeSet<String> {
        blank.captures_iter(&text(file)).map(|found| found[1].to_owned()).collect()
    };
    // Keys of maps, and what `templatefile` is given.
    let filled = |folder: &str| -> BTreeSet<String> {
        let text: String = files(folder, ".tf").iter().map(|file| text(file)).collect();
        let key = Regex::new(r"(?m)^\s+([a-z_]+)\s+= ").unwrap();
        key.captures_iter(&text).map(|found| found[1].to_owned()).collect()
    };
    let home = filled("terraform");
    for file in files("iam", ".json").into_iter().chain(["ecs/task-definition.json".to_owned()]) {
        assert!(blanks(&file).is_subset(&home), "{file}: {:?}", blanks(&file));
    }
    for file in ["iam/observe.json", "iam/alarms.json", "iam/enforce.json"] {
        assert!(blanks(file).is_subset(&filled("terraform/target-role")), "{file}: {:?}", blanks(file));
    }
}

#[test]
fn the_roles_get_the_same_documents_as_by_cloudformation() {
    let iam = text("terraform/iam.tf");
    assert!(iam.contains(r#"["record", "observe", "alarms", "targets"]"#));
    assert!(iam.contains(r#"var.mode == "enforce" ? ["enforce"] : []"#));
    let target = text("terraform/target-role/main.tf");
    assert!(target.contains(r#"concat(["observe", "alarms"], var.mode == "enforce" ? ["enforce"] : [])"#));
    let mode = |folder: &str| blocks(&module(folder), "variable").into_iter().find(|(name, _)| name == "mode").unwrap();
    for folder in MODULES {
        assert_eq!(mode(folder).1["default"], "audit", "{folder}");
    }
}

/// A value as a plan with defaults shows it; `None` where only applying tells.
fn planned(value: &Value, variables: &Map<String, Value>) -> Option<Value> {
    match value {
        Value::String(text) if text.starts_with("${") => {
            let name = text.strip_prefix("${var.")?.strip_suffix('}')?;
            variables.get(name).cloned()
        }
        Value::Object(members) => {
            let known = members.iter().filter_map(|(name, value)| Some((name.clone(), planned(value, variables)?)));
            Some(Value::Object(known.collect()))
        }
        Value::Array(items) => items.iter().map(|item| planned(item, variables)).collect(),
        other => Some(other.clone()),
    }
}

#[test]
fn what_terraform_would_plan_passes_our_own_policies_with_no_waiver() {
    let module = module("terraform");
    let mut variables: Map<String, Value> = blocks(&module, "variable")
        .into_iter()
        .filter_map(|(name, variable)| Some((name, variable.get("default")?.clone())))
        .collect();
    variables.insert("subnet_ids".to_owned(), json!(["subnet-1"]));
    let tags = json!({ "app": "plimsoll" });
    let task = task_definition();
    let mut changes = Vec::new();
    for (of, name, arguments) in resources(&module, "resource") {
        let mut after: Map<String, Value> = Map::new();
        let mut unknown: Map<String, Value> = Map::new();
        for (argument, value) in arguments.iter().filter(|(name, _)| !META.contains(&name.as_str())) {
            // What the shared task definition gives, under the name that it has there.
            let shared = value.as_str().and_then(|text| text.strip_prefix("${local.task_definition."));
            let value = match (argument.as_str(), shared.and_then(|text| text.strip_suffix('}'))) {
                ("tags", _) => Some(tags.clone()),
                ("container_definitions", _) => Some(task["containerDefinitions"].to_string().into()),
                ("runtime_platform", _) => {
                    let platform = &task["runtimePlatform"];
                    let (system, cpu) = (&platform["operatingSystemFamily"], &platform["cpuArchitecture"]);
                    Some(json!([{ "operating_system_family": system, "cpu_architecture": cpu }]))
                }
                (_, Some(member)) => Some(task[member].clone()).filter(|value| !value.is_null()),
                _ => planned(value, &variables),
            };
            match value {
                Some(value) => after.insert(argument.clone(), value),
                None => unknown.insert(argument.clone(), true.into()),
            };
        }
        if after.contains_key("tags") {
            after.insert("tags_all".to_owned(), tags.clone());
        }
        if of == "aws_ecs_service" {
            // The provider computes these where nothing is said.
            unknown.insert("capacity_provider_strategy".to_owned(), json!([]));
        }
        changes.push(json!({
            "address": format!("{of}.{name}"), "mode": "managed", "type": of, "name": name,
            "change": { "actions": ["create"], "before": null, "after": after, "after_unknown": unknown }
        }));
    }
    let of = |kind: &str| changes.iter().find(|change| change["type"] == kind).unwrap()["change"]["after"].clone();
    assert_eq!(of("aws_ecs_service")["network_configuration"][0]["assign_public_ip"], false);
    assert_eq!(of("aws_ecs_cluster")["setting"][0]["value"], "enabled");
    assert_eq!(of("aws_ecs_task_definition")["network_mode"], "awsvpc");
    let plan = json!({ "format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": changes });
    passes("plan.json", &plan, 3);
}
