//! The members of a task definition that ECS computes from the others.

use serde_json::{Map, Value, json};

use super::constraints;

pub(super) fn containers(document: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    document.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

pub(super) fn text<'a>(document: &'a Map<String, Value>, name: &str) -> &'a str {
    document.get(name).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn is_windows(document: &Map<String, Value>) -> bool {
    let family = document.get("runtimePlatform").and_then(|platform| platform.get("operatingSystemFamily"));
    family.and_then(Value::as_str).is_some_and(|family| family.starts_with("WINDOWS"))
}

/// Where the task definition could run. Not to be taken for `requiresCompatibilities`, the input (ecs-facts §2.1).
pub(super) fn compatibilities(document: &Map<String, Value>) -> Vec<&'static str> {
    let mut places = vec!["EC2"];
    if constraints::fargate(document).is_ok() {
        places.push("FARGATE");
    }
    if text(document, "networkMode") != "awsvpc" {
        places.insert(0, "EXTERNAL");
    }
    places
}

/// What a container instance must be able to do. The names are those ECS gives; the list is not complete.
pub(super) fn requires_attributes(document: &Map<String, Value>) -> Value {
    let mut names = Vec::new();
    let mut add = |condition: bool, name: &str| {
        if condition && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    for container in containers(document) {
        let driver = container
            .get("logConfiguration")
            .and_then(|log| log.get("logDriver"))
            .and_then(Value::as_str)
            .unwrap_or("");
        add(!driver.is_empty(), &format!("com.amazonaws.ecs.capability.logging-driver.{driver}"));
        add(!driver.is_empty(), "com.amazonaws.ecs.capability.docker-remote-api.1.19");
        add(container.get("privileged") == Some(&json!(true)), "com.amazonaws.ecs.capability.privileged-container");
        add(text(container, "image").contains(".dkr.ecr."), "com.amazonaws.ecs.capability.ecr-auth");
        add(
            container.get("secrets").and_then(Value::as_array).is_some_and(|list| !list.is_empty()),
            "ecs.capability.secrets.asm.environment-variables",
        );
        add(container.get("healthCheck").is_some(), "ecs.capability.container-health-check");
    }
    add(!text(document, "taskRoleArn").is_empty(), "com.amazonaws.ecs.capability.task-iam-role");
    add(text(document, "networkMode") == "awsvpc", "ecs.capability.task-eni");
    add(
        document.contains_key("pidMode") || document.contains_key("ipcMode"),
        "ecs.capability.pid-ipc-namespace-sharing",
    );
    add(true, "com.amazonaws.ecs.capability.docker-remote-api.1.18");
    names.iter().map(|name| json!({ "name": name })).collect()
}
