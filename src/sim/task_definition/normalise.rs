//! What ECS makes of a task definition when it is registered: the defaults it writes out (ecs-facts §2.3).

use serde_json::{Map, Value, json};

use super::super::config::WorldConfig;
use super::super::names;
use super::super::random::Random;
use super::computed::text;

/// Turns a register input (without `tags`) into the document that is described from then on. What is not named here
/// stays as it is: member order, unknown members, empty strings.
pub(super) fn normalise(config: &WorldConfig, document: &mut Map<String, Value>) {
    // `null` is no value in awsJson.
    document.retain(|_, value| !value.is_null());
    for role in ["taskRoleArn", "executionRoleArn"] {
        if let Some(Value::String(name)) = document.get_mut(role) {
            *name = names::role_arn(config, name);
        }
    }
    // "1 vCPU" and "1GB" become units; the type stays a string (`RegisterTaskDefinitionRequest.cpu`, `.memory`).
    if let Some(cpu) = document.get_mut("cpu") {
        convert(cpu, "vcpu", 1024.0);
    }
    if let Some(memory) = document.get_mut("memory") {
        convert(memory, "gb", 1024.0);
    }
    for list in ["volumes", "placementConstraints"] {
        document.entry(list).or_insert_with(|| json!([]));
    }
    let awsvpc = text(document, "networkMode") == "awsvpc";
    if let Some(Value::Array(containers)) = document.get_mut("containerDefinitions") {
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            normalise_container(container, awsvpc);
        }
    }
}

/// Puts the lists whose order ECS does not keep into another one.
pub(super) fn shuffle(document: &mut Map<String, Value>, random: &mut Random) {
    let Some(Value::Array(containers)) = document.get_mut("containerDefinitions") else { return };
    random.shuffle(containers);
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        for name in ["environment", "secrets"] {
            if let Some(Value::Array(list)) = container.get_mut(name) {
                random.shuffle(list);
            }
        }
    }
}

fn convert(value: &mut Value, unit: &str, factor: f64) {
    let Some(text) = value.as_str() else { return };
    let lower = text.trim().to_ascii_lowercase();
    let Some(number) = lower.strip_suffix(unit).and_then(|number| number.trim().parse::<f64>().ok()) else { return };
    *value = json!(format!("{:.0}", number * factor));
}

fn normalise_container(container: &mut Map<String, Value>, awsvpc: bool) {
    // cpu 0 and the empty lists are materialised (pulumi/pulumi-aws#1985), essential is true when omitted
    // (`ContainerDefinition`).
    container.entry("cpu").or_insert_with(|| json!(0));
    container.entry("portMappings").or_insert_with(|| json!([]));
    container.entry("essential").or_insert_with(|| json!(true));
    for list in ["environment", "mountPoints", "volumesFrom"] {
        container.entry(list).or_insert_with(|| json!([]));
    }
    container.entry("systemControls").or_insert_with(|| json!([]));
    if let Some(Value::Array(ports)) = container.get_mut("portMappings") {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            // "any other value is treated as tcp" (`PortMapping.protocol`).
            if port.get("protocol").is_none_or(|protocol| protocol != "udp") {
                port.insert("protocol".into(), json!("tcp"));
            }
            // In awsvpc the host port is the container's (terraform-provider-aws, task_definition_equivalency.go);
            // elsewhere none is written as 0: a port of the instance's choice.
            let container_port = port.get("containerPort").cloned();
            match container_port {
                Some(number) if awsvpc => {
                    port.entry("hostPort").or_insert(number);
                }
                Some(_) => {
                    port.entry("hostPort").or_insert_with(|| json!(0));
                }
                None => {}
            }
        }
    }
    // interval, timeout and retries are written out, startPeriod is not (terraform-aws-modules/terraform-aws-ecs#148).
    if let Some(Value::Object(check)) = container.get_mut("healthCheck") {
        for (name, value) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            check.entry(name).or_insert_with(|| json!(value));
        }
    }
    // Stored with both lists (braintrustdata/terraform-aws-braintrust-data-plane#335).
    if let Some(Value::Object(linux)) = container.get_mut("linuxParameters")
        && let Some(Value::Object(capabilities)) = linux.get_mut("capabilities")
    {
        for list in ["add", "drop"] {
            capabilities.entry(list).or_insert_with(|| json!([]));
        }
    }
}
