//! What ECS makes of a task definition that was registered: defaults it writes out, orders it does not keep.
//!
//! Two documents that differ only in these are the same to ECS. Used to compare, never to write: what is registered is
//! always the original with its edits.
//!
//! Sources: botocore ecs/2014-11-13; hashicorp/terraform-provider-aws `task_definition_equivalency.go`;
//! terraform-aws-modules/terraform-aws-ecs#148 (health check defaults); pulumi/pulumi-aws#1985 (empty lists);
//! braintrustdata/terraform-aws-braintrust-data-plane#335 (capabilities).

use serde_json::{Map, Value, json};

/// The document with every default of ECS's removed and every unordered list sorted.
#[must_use]
pub fn normalize(document: &Map<String, Value>) -> Map<String, Value> {
    let mut document = document.clone();
    let awsvpc = document.get("networkMode").and_then(Value::as_str) == Some("awsvpc");
    drop_default(&mut document, "networkMode", &json!("bridge"));
    // No value of theirs is empty: a server that writes them out so (ministack does) says that there is none.
    for member in ["pidMode", "ipcMode", "taskRoleArn", "executionRoleArn"] {
        drop_default(&mut document, member, &json!(""));
    }
    drop_empty(
        &mut document,
        &["placementConstraints", "volumes", "inferenceAccelerators", "requiresCompatibilities", "tags"],
    );
    drop_default(&mut document, "enableFaultInjection", &json!(false));
    sort_by(&mut document, "tags", "key");
    sort_by(&mut document, "volumes", "name");
    sort(&mut document, "requiresCompatibilities");
    each(&mut document, "volumes", |volume| {
        drop_empty(volume, &["host"]);
    });
    each(&mut document, "containerDefinitions", |container| normalize_container(container, awsvpc));
    sort_by(&mut document, "containerDefinitions", "name");
    document
}

fn normalize_container(container: &mut Map<String, Value>, awsvpc: bool) {
    drop_default(container, "essential", &json!(true));
    drop_default(container, "cpu", &json!(0));
    drop_empty(
        container,
        &[
            "mountPoints",
            "volumesFrom",
            "environment",
            "environmentFiles",
            "secrets",
            "portMappings",
            "systemControls",
            "ulimits",
            "dependsOn",
            "links",
            "dnsServers",
            "dnsSearchDomains",
            "extraHosts",
            "dockerSecurityOptions",
            "dockerLabels",
            "resourceRequirements",
            "credentialSpecs",
        ],
    );
    sort_by(container, "environment", "name");
    sort_by(container, "secrets", "name");
    each(container, "portMappings", |mapping| {
        drop_default(mapping, "protocol", &json!("tcp"));
        // With awsvpc a blank host port is the container's; otherwise blank and 0 both mean "any".
        let same = awsvpc && mapping.get("hostPort") == mapping.get("containerPort");
        if same || mapping.get("hostPort") == Some(&json!(0)) {
            mapping.shift_remove("hostPort");
        }
    });
    if let Some(Value::Object(check)) = container.get_mut("healthCheck") {
        drop_default(check, "interval", &json!(30));
        drop_default(check, "timeout", &json!(5));
        drop_default(check, "retries", &json!(3));
    }
    if let Some(Value::Object(log)) = container.get_mut("logConfiguration") {
        drop_empty(log, &["options", "secretOptions"]);
    }
    if let Some(Value::Object(linux)) = container.get_mut("linuxParameters") {
        if let Some(Value::Object(capabilities)) = linux.get_mut("capabilities") {
            drop_empty(capabilities, &["add", "drop"]);
        }
        drop_empty(linux, &["capabilities", "devices", "tmpfs"]);
    }
}

/// Removes `member` where it has ECS's default.
fn drop_default(object: &mut Map<String, Value>, member: &str, default: &Value) {
    if object.get(member) == Some(default) {
        object.shift_remove(member);
    }
}

/// Removes those members that are an empty list or object. Empty strings mean something and stay.
fn drop_empty(object: &mut Map<String, Value>, members: &[&str]) {
    for member in members {
        let empty = match object.get(*member) {
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(members)) => members.is_empty(),
            _ => false,
        };
        if empty {
            object.shift_remove(*member);
        }
    }
}

fn each(object: &mut Map<String, Value>, member: &str, mut change: impl FnMut(&mut Map<String, Value>)) {
    if let Some(Value::Array(list)) = object.get_mut(member) {
        list.iter_mut().filter_map(Value::as_object_mut).for_each(&mut change);
    }
}

/// Sorts a list of objects by one of their members. Stable: what has no such member, or the same one, keeps its order.
fn sort_by(object: &mut Map<String, Value>, member: &str, key: &str) {
    if let Some(Value::Array(list)) = object.get_mut(member) {
        list.sort_by_key(|element| element.get(key).and_then(Value::as_str).unwrap_or("").to_owned());
    }
}

fn sort(object: &mut Map<String, Value>, member: &str) {
    if let Some(Value::Array(list)) = object.get_mut(member) {
        list.sort_by_key(|element| element.as_str().unwrap_or("").to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_mode_or_role_is_none_and_other_empty_strings_stay() {
        let none = json!({ "pidMode": "", "ipcMode": "", "taskRoleArn": "", "executionRoleArn": "", "cpu": "" });
        let Value::Object(none) = none else { unreachable!() };
        assert_eq!(Value::Object(normalize(&none)), json!({ "cpu": "" }));
    }
}
