//! What ECS refuses to register (ecs-facts §2.4). The sentences are ECS's where a source quotes them; the others say the
//! same in our words.

use serde_json::{Map, Value, json};

use super::super::error::SimError;
use super::computed::{containers, is_windows, text};

/// The serialized size of a task definition (ECS service quotas).
const MOST_BYTES: usize = 64 * 1024;
/// Containers of a task definition (ECS service quotas).
const MOST_CONTAINERS: usize = 10;

fn refuse(message: impl Into<String>) -> Result<(), SimError> {
    Err(SimError::client(message))
}

/// Everything that holds for a register input, wherever it shall run.
pub(super) fn check(document: &Map<String, Value>) -> Result<(), SimError> {
    let family = text(document, "family");
    let legal = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    if family.is_empty() || family.len() > 255 || !family.chars().all(legal) {
        return refuse("Family contains invalid characters.");
    }
    let count = document.get("containerDefinitions").and_then(Value::as_array).map_or(0, Vec::len);
    if count == 0 {
        return refuse("Container list cannot be empty.");
    }
    if count > MOST_CONTAINERS {
        return refuse(format!("Too many containers: a task definition can have at most {MOST_CONTAINERS}."));
    }
    let bytes = serde_json::to_vec(document).map_or(0, |bytes| bytes.len());
    if bytes > MOST_BYTES {
        return refuse(format!("Actual length: '{bytes}'. Max allowed length is '{MOST_BYTES}' bytes."));
    }
    check_names(document)?;
    modes(document)?;
    memory(document)?;
    let required = document.get("requiresCompatibilities").and_then(Value::as_array);
    if required.is_some_and(|places| places.contains(&json!("FARGATE"))) {
        fargate(document)?;
    }
    Ok(())
}

fn check_names(document: &Map<String, Value>) -> Result<(), SimError> {
    let mut names: Vec<&str> = Vec::new();
    for container in containers(document) {
        let name = text(container, "name");
        if name.is_empty() || text(container, "image").is_empty() {
            return refuse("Container.name and Container.image should not be null or empty.");
        }
        if names.contains(&name) {
            return refuse(format!("Container names must be unique: {name}."));
        }
        names.push(name);
        // `ContainerDefinition.image`: a digest is sha256 and 64 hexadecimal digits.
        if let Some((_, digest)) = text(container, "image").split_once('@') {
            let hexadecimal = digest.strip_prefix("sha256:").unwrap_or("");
            if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return refuse(format!("Invalid image digest in container '{name}'."));
            }
        }
    }
    let essential = |container: &Map<String, Value>| container.get("essential") != Some(&json!(false));
    if !containers(document).any(essential) {
        return refuse("Task definition should have at least one essential container.");
    }
    Ok(())
}

fn modes(document: &Map<String, Value>) -> Result<(), SimError> {
    let allowed: [(&str, &[&str]); 3] = [
        ("networkMode", &["bridge", "host", "awsvpc", "none"]),
        ("pidMode", &["host", "task"]),
        ("ipcMode", &["host", "task", "none"]),
    ];
    for (member, values) in allowed {
        match document.get(member).map(Value::as_str) {
            None => {}
            Some(Some(value)) if values.contains(&value) => {}
            Some(_) => return refuse(format!("Invalid value for {member}: it must be one of {}.", values.join(", "))),
        }
    }
    let network = text(document, "networkMode");
    let windows = is_windows(document);
    for mode in ["pidMode", "ipcMode"] {
        if windows && document.contains_key(mode) {
            return refuse(format!("{mode} is not supported for Windows containers."));
        }
    }
    for container in containers(document) {
        let name = text(container, "name");
        let has = |member: &str| container.get(member).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        if has("links") && !matches!(network, "" | "bridge") {
            return refuse(format!("Links are not supported when networkMode={network}."));
        }
        if network == "awsvpc" && !text(container, "hostname").is_empty() {
            return refuse("Hostname is not supported on container when networkMode=awsvpc.");
        }
        if network == "none" && has("portMappings") {
            return refuse("Port mappings are not supported when networkMode=none.");
        }
        for port in container.get("portMappings").and_then(Value::as_array).into_iter().flatten() {
            let host = port.get("hostPort").and_then(Value::as_i64).filter(|number| *number != 0);
            let inner = port.get("containerPort").and_then(Value::as_i64);
            if matches!(network, "awsvpc" | "host") && host.is_some() && host != inner {
                return refuse(format!(
                    "When networkMode={network}, the host ports and container ports in port mappings must match."
                ));
            }
        }
        let unsupported = ["privileged", "readonlyRootFilesystem", "disableNetworking"];
        if windows && let Some(member) = unsupported.iter().find(|member| container.get(**member) == Some(&json!(true)))
        {
            return refuse(format!("{member} is not supported for Windows containers (container '{name}')."));
        }
    }
    Ok(())
}

/// sil-org/ecs-deploy#308 quotes the sentence.
fn memory(document: &Map<String, Value>) -> Result<(), SimError> {
    if !text(document, "memory").is_empty() {
        return Ok(());
    }
    for container in containers(document) {
        if !container.contains_key("memory") && !container.contains_key("memoryReservation") {
            return refuse(format!(
                "Invalid setting for container '{}'. At least one of 'memory' or 'memoryReservation' must be specified.",
                text(container, "name")
            ));
        }
    }
    Ok(())
}

/// What Fargate supports.
pub(super) fn fargate(document: &Map<String, Value>) -> Result<(), SimError> {
    if text(document, "networkMode") != "awsvpc" {
        return refuse("Fargate only supports network mode ‘awsvpc’.");
    }
    if document.contains_key("ipcMode") {
        return refuse("Fargate does not support ipcMode.");
    }
    if text(document, "pidMode") == "host" {
        return refuse("Fargate only supports pidMode ‘task’.");
    }
    if document.get("placementConstraints").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return refuse("Fargate does not support placement constraints.");
    }
    for volume in document.get("volumes").and_then(Value::as_array).into_iter().flatten() {
        if volume.pointer("/host/sourcePath").and_then(Value::as_str).is_some_and(|path| !path.is_empty()) {
            return refuse("Fargate does not support host source paths in volumes.");
        }
    }
    for container in containers(document) {
        if container.get("privileged") == Some(&json!(true)) {
            return refuse("Fargate does not support privileged containers.");
        }
        if container.get("dockerSecurityOptions").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
            return refuse("Fargate does not support dockerSecurityOptions.");
        }
        let Some(linux) = container.get("linuxParameters") else { continue };
        let added = linux.pointer("/capabilities/add").and_then(Value::as_array);
        if added.into_iter().flatten().any(|capability| capability != "SYS_PTRACE") {
            return refuse("Fargate only supports adding the SYS_PTRACE kernel capability.");
        }
        if linux.get("devices").and_then(Value::as_array).is_some_and(|list| !list.is_empty())
            || linux.get("sharedMemorySize").is_some()
        {
            return refuse("Fargate does not support devices or sharedMemorySize in linuxParameters.");
        }
    }
    let number = |member| text(document, member).parse::<u32>().ok();
    match (number("cpu"), number("memory")) {
        (Some(cpu), Some(memory)) if fits_fargate(cpu, memory) => Ok(()),
        _ => refuse("No Fargate configuration exists for given values."),
    }
}

/// The fixed combinations of CPU units and MiB (`RegisterTaskDefinitionRequest.cpu`).
fn fits_fargate(cpu: u32, memory: u32) -> bool {
    const GIB: u32 = 1024;
    let (from, to, step) = match cpu {
        256 => return matches!(memory, 512 | 1024 | 2048),
        512 => (GIB, 4 * GIB, GIB),
        1024 => (2 * GIB, 8 * GIB, GIB),
        2048 => (4 * GIB, 16 * GIB, GIB),
        4096 => (8 * GIB, 30 * GIB, GIB),
        8192 => (16 * GIB, 60 * GIB, 4 * GIB),
        16384 => (32 * GIB, 120 * GIB, 8 * GIB),
        _ => return false,
    };
    (from..=to).contains(&memory) && memory.is_multiple_of(step)
}
