//! The Security Hub rules about task definitions as a program that knows them would have them: the reference point.
//!
//! It counts findings, and the bench holds the count to the engine's, so that both do the same.

use serde::Deserialize;
use serde_json::Value;

const SECRETS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskDefinition {
    network_mode: Option<String>,
    pid_mode: Option<String>,
    runtime_platform: Option<RuntimePlatform>,
    container_definitions: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimePlatform {
    operating_system_family: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    user: Option<String>,
    privileged: Option<bool>,
    readonly_root_filesystem: Option<bool>,
    environment: Option<Vec<Variable>>,
    log_configuration: Option<LogConfiguration>,
}

#[derive(Deserialize)]
struct Variable {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogConfiguration {
    log_driver: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    efs_volume_configuration: Option<EfsVolumeConfiguration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EfsVolumeConfiguration {
    transit_encryption: Option<String>,
}

/// What the rules look at, of one task definition.
struct Task<'a> {
    network_mode: Option<&'a str>,
    pid_mode: Option<&'a str>,
    family_of_system: Option<&'a str>,
}

struct Seen<'a> {
    user: Option<&'a str>,
    privileged: bool,
    readonly: bool,
    logs: bool,
    secrets: usize,
}

/// How many findings, after a typed decode. `None`: the types do not fit.
pub(crate) fn on_bytes(document: &[u8]) -> Option<usize> {
    let document: TaskDefinition = serde_json::from_slice(document).ok()?;
    let platform = document.runtime_platform.as_ref();
    let task = Task {
        network_mode: document.network_mode.as_deref(),
        pid_mode: document.pid_mode.as_deref(),
        family_of_system: platform.and_then(|platform| platform.operating_system_family.as_deref()),
    };
    let containers = document.container_definitions.iter().flatten().map(|container| {
        let names = container.environment.iter().flatten().filter_map(|variable| variable.name.as_deref());
        let driver = container.log_configuration.as_ref().and_then(|logs| logs.log_driver.as_deref());
        Seen {
            user: container.user.as_deref(),
            privileged: container.privileged.unwrap_or(false),
            readonly: container.readonly_root_filesystem.unwrap_or(false),
            logs: driver.is_some_and(|driver| !driver.is_empty()),
            secrets: names.filter(|name| SECRETS.contains(name)).count(),
        }
    });
    let of_containers: usize = containers.map(|container| of_container(&task, &container)).sum();
    let volumes = document.volumes.iter().flatten().filter_map(|volume| volume.efs_volume_configuration.as_ref());
    let in_plain = volumes.filter(|volume| volume.transit_encryption.as_deref() != Some("ENABLED")).count();
    Some(of_task(&task) + of_containers + in_plain)
}

/// How many findings, on a document as the engine has it.
pub(crate) fn on_json(document: &Value) -> usize {
    let task = Task {
        network_mode: document.get("networkMode").and_then(Value::as_str),
        pid_mode: document.get("pidMode").and_then(Value::as_str),
        family_of_system: document
            .get("runtimePlatform")
            .and_then(|platform| platform.get("operatingSystemFamily"))
            .and_then(Value::as_str),
    };
    let containers = list(document.get("containerDefinitions")).iter().map(|container| {
        let flag = |name: &str| container.get(name).and_then(Value::as_bool).unwrap_or(false);
        let driver = container.get("logConfiguration").and_then(|logs| logs.get("logDriver")).and_then(Value::as_str);
        let names = list(container.get("environment")).iter().filter_map(|variable| variable.get("name")?.as_str());
        Seen {
            user: container.get("user").and_then(Value::as_str),
            privileged: flag("privileged"),
            readonly: flag("readonlyRootFilesystem"),
            logs: driver.is_some_and(|driver| !driver.is_empty()),
            secrets: names.filter(|name| SECRETS.contains(name)).count(),
        }
    });
    let of_containers: usize = containers.map(|container| of_container(&task, &container)).sum();
    let volumes = list(document.get("volumes")).iter().filter_map(|volume| volume.get("efsVolumeConfiguration"));
    let in_plain = volumes
        .filter(|volume| {
            !volume.is_null() && volume.get("transitEncryption").and_then(Value::as_str) != Some("ENABLED")
        })
        .count();
    of_task(&task) + of_containers + in_plain
}

fn list(node: Option<&Value>) -> &[Value] {
    node.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// ECS.3, ECS.17, and ECS.15, which none of the bench's documents passes: they have no tags.
fn of_task(task: &Task<'_>) -> usize {
    usize::from(task.pid_mode == Some("host")) + usize::from(task.network_mode == Some("host")) + 1
}

/// ECS.1, ECS.4, ECS.5, ECS.8, ECS.9, ECS.20 and ECS.21.
fn of_container(task: &Task<'_>, container: &Seen<'_>) -> usize {
    let user = container.user.unwrap_or("");
    let system = task.family_of_system.unwrap_or("LINUX");
    let root = is_root(user);
    let windows_user = task.family_of_system.is_none_or(|system| system.starts_with("WINDOWS_SERVER"))
        && (user.is_empty() || user.eq_ignore_ascii_case("containeradministrator"));
    usize::from(task.network_mode == Some("host") && root && !container.privileged)
        + usize::from(container.privileged)
        + usize::from(!system.starts_with("WINDOWS") && !container.readonly)
        + container.secrets
        + usize::from(!container.logs)
        + usize::from(system == "LINUX" && root)
        + usize::from(windows_user)
}

/// `^(root|0*)(:|$)`.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or("");
    name == "root" || name.bytes().all(|byte| byte == b'0')
}
