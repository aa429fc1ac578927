//! ECS's own constraints on a task definition, as far as a fix could break them (botocore ecs/2014-11-13,
//! RegisterTaskDefinition and the shapes it names; collected in ecs-facts §2.4). ECS has the last word: this table is
//! there so that a plan does not promise what registering would refuse.

use serde_json::Value;

/// The most bytes a registered document may have (Amazon ECS service quotas).
const MAX_BYTES: usize = 64 * 1024;

/// The constraints that a task definition breaks, one sentence each.
#[must_use]
pub fn violations(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let fargate = requires_fargate(document);
    let windows = is_windows(document);
    let containers = list(document, "containerDefinitions");
    sizes(document, containers, &mut found);
    modes(document, &mut found);
    if fargate {
        on_fargate(document, containers, windows, &mut found);
    } else if set(document, "memory").is_none() && !windows {
        for container in containers {
            if set(container, "memory").is_none() && set(container, "memoryReservation").is_none() {
                found.push(format!("container {} needs `memory` or `memoryReservation`", name(container)));
            }
        }
    }
    if windows {
        on_windows(document, containers, &mut found);
    }
    links_and_names(document, containers, &mut found);
    tags(document, &mut found);
    found
}

/// The constraints that the tags of a service or cluster break.
#[must_use]
pub fn tag_violations(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    tags(document, &mut found);
    found
}

/// At most 50 of one's own, keys of at most 128 and values of at most 256 characters, none that begins with `aws:`
/// (botocore `Tag`; ecs-facts §2.2).
fn tags(document: &Value, found: &mut Vec<String>) {
    let reserved = |text: &str| text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"));
    let mut own = 0;
    for tag in list(document, "tags") {
        let (key, value) = (text(tag, "key").unwrap_or(""), text(tag, "value").unwrap_or(""));
        if reserved(key) || reserved(value) {
            found.push(format!("tag `{key}` begins with `aws:`, which is AWS's own"));
        } else {
            own += 1;
        }
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            found.push(format!("tag `{key}` needs a key of 1 to 128 characters and a value of at most 256"));
        }
    }
    if own > 50 {
        found.push(format!("it would have {own} tags, and 50 are the most"));
    }
}

fn set<'a>(node: &'a Value, member: &str) -> Option<&'a Value> {
    node.get(member).filter(|value| !value.is_null())
}

fn text<'a>(node: &'a Value, member: &str) -> Option<&'a str> {
    set(node, member).and_then(Value::as_str)
}

fn list<'a>(node: &'a Value, member: &str) -> &'a [Value] {
    set(node, member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn name(container: &Value) -> String {
    format!("`{}`", text(container, "name").unwrap_or("?"))
}

/// `requiresCompatibilities` is the input; `compatibilities` is computed and says nothing of intent (ecs-facts §2.1).
fn requires_fargate(document: &Value) -> bool {
    list(document, "requiresCompatibilities").iter().any(|value| value.as_str() == Some("FARGATE"))
}

fn is_windows(document: &Value) -> bool {
    set(document, "runtimePlatform")
        .and_then(|platform| text(platform, "operatingSystemFamily"))
        .is_some_and(|family| family.starts_with("WINDOWS"))
}

fn sizes(document: &Value, containers: &[Value], found: &mut Vec<String>) {
    if containers.is_empty() {
        found.push("there are no `containerDefinitions`".to_owned());
    }
    if containers.len() > 10 {
        found.push("there are more than 10 containers".to_owned());
    }
    if length_of(document) > MAX_BYTES {
        found.push("the document has more than 64 KiB".to_owned());
    }
    for container in containers {
        for member in ["name", "image"] {
            if text(container, member).is_none_or(str::is_empty) {
                found.push(format!("container {} has no `{member}`", name(container)));
            }
        }
    }
}

/// How many bytes its JSON has: counted, not made.
fn length_of(document: &Value) -> usize {
    struct Counts(usize);
    impl std::io::Write for Counts {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counts = Counts(0);
    // Counting refuses nothing, and a value has nothing in it that is no JSON.
    serde_json::to_writer(&mut counts, document).map_or(usize::MAX, |()| counts.0)
}

fn modes(document: &Value, found: &mut Vec<String>) {
    let allowed: [(&str, &[&str]); 3] = [
        ("pidMode", &["host", "task"]),
        ("ipcMode", &["host", "task", "none"]),
        ("networkMode", &["bridge", "host", "awsvpc", "none", "default"]),
    ];
    for (member, values) in allowed {
        if let Some(value) = set(document, member)
            && !value.as_str().is_some_and(|value| values.contains(&value))
        {
            found.push(format!("`{member}` is none of {}", values.join(", ")));
        }
    }
}

/// Memory in MiB for each task CPU, from and to, in steps (botocore, `RegisterTaskDefinitionRequest.cpu`).
const FARGATE_SIZES: &[(u64, u64, u64, u64)] = &[
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

fn on_fargate(document: &Value, containers: &[Value], windows: bool, found: &mut Vec<String>) {
    if text(document, "networkMode") != Some("awsvpc") {
        found.push("Fargate needs `networkMode` awsvpc".to_owned());
    }
    if text(document, "pidMode") == Some("host") {
        found.push("Fargate allows no `pidMode` but task".to_owned());
    }
    if set(document, "ipcMode").is_some() {
        found.push("Fargate does not support `ipcMode`".to_owned());
    }
    if !list(document, "placementConstraints").is_empty() {
        found.push("Fargate does not support `placementConstraints`".to_owned());
    }
    match (units(document, "cpu", "vCPU"), units(document, "memory", "GB")) {
        (Some(cpu), Some(memory)) => {
            let fits = FARGATE_SIZES.iter().any(|(size, least, most, step)| {
                // 256 CPU units go with 512, 1024 and 2048 MiB only.
                let odd = *size == 256 && memory == 1536;
                *size == cpu && memory >= *least && memory <= *most && (memory - least) % step == 0 && !odd
            });
            if !fits {
                found.push("Fargate has no such combination of task `cpu` and `memory`".to_owned());
            }
        }
        _ => found.push("Fargate needs task `cpu` and `memory`".to_owned()),
    }
    for volume in list(document, "volumes") {
        if set(volume, "host").is_some_and(|host| set(host, "sourcePath").is_some()) {
            found.push(format!("volume {}: Fargate does not support `host.sourcePath`", name(volume)));
        }
        if set(volume, "dockerVolumeConfiguration").is_some() {
            found.push(format!("volume {}: Fargate does not support `dockerVolumeConfiguration`", name(volume)));
        }
    }
    for container in containers {
        let name = name(container);
        if set(container, "privileged") == Some(&Value::Bool(true)) {
            found.push(format!("container {name}: Fargate does not support `privileged`"));
        }
        for member in ["dockerSecurityOptions", "links", "extraHosts"] {
            if !list(container, member).is_empty() {
                found.push(format!("container {name}: Fargate does not support `{member}`"));
            }
        }
        let Some(linux) = set(container, "linuxParameters").filter(|_| !windows) else { continue };
        for member in ["devices", "sharedMemorySize", "tmpfs", "maxSwap", "swappiness"] {
            if set(linux, member).is_some_and(|value| value.as_array().is_none_or(|items| !items.is_empty())) {
                found.push(format!("container {name}: Fargate does not support `linuxParameters.{member}`"));
            }
        }
        let added = set(linux, "capabilities").map_or(&[][..], |capabilities| list(capabilities, "add"));
        if added.iter().any(|capability| capability.as_str() != Some("SYS_PTRACE")) {
            found.push(format!("container {name}: Fargate adds no capability but SYS_PTRACE"));
        }
    }
}

/// `256`, `1 vCPU`, `.5 vCPU`, `2GB`: CPU units or MiB (botocore, `cpu` and `memory`).
fn units(document: &Value, member: &str, unit: &str) -> Option<u64> {
    let value = set(document, member)?;
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let text = value.as_str()?.trim();
    let lower = text.to_ascii_lowercase();
    match lower.strip_suffix(&unit.to_ascii_lowercase()) {
        Some(whole) => {
            let whole: f64 = whole.trim().parse().ok().filter(|whole: &f64| (0.0..=1000.0).contains(whole))?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked above")]
            let units = (whole * 1024.0).round() as u64;
            Some(units)
        }
        None => lower.parse().ok(),
    }
}

fn on_windows(document: &Value, containers: &[Value], found: &mut Vec<String>) {
    for member in ["pidMode", "ipcMode"] {
        if set(document, member).is_some() {
            found.push(format!("Windows containers do not support `{member}`"));
        }
    }
    for container in containers {
        let name = name(container);
        for member in ["privileged", "readonlyRootFilesystem", "disableNetworking"] {
            if set(container, member) == Some(&Value::Bool(true)) {
                found.push(format!("container {name}: Windows does not support `{member}`"));
            }
        }
        if set(container, "linuxParameters").is_some() {
            found.push(format!("container {name}: Windows does not support `linuxParameters`"));
        }
        for member in ["ulimits", "links"] {
            if !list(container, member).is_empty() {
                found.push(format!("container {name}: Windows does not support `{member}`"));
            }
        }
    }
}

fn links_and_names(document: &Value, containers: &[Value], found: &mut Vec<String>) {
    let mode = text(document, "networkMode");
    let volumes: Vec<Option<&str>> = list(document, "volumes").iter().map(|volume| text(volume, "name")).collect();
    for container in containers {
        let name = name(container);
        if mode == Some("none") && !list(container, "portMappings").is_empty() {
            found.push(format!("container {name}: no `portMappings` with `networkMode` none"));
        }
        if !list(container, "links").is_empty() && !matches!(mode, None | Some("bridge" | "default")) {
            found.push(format!("container {name}: `links` need `networkMode` bridge"));
        }
        if mode == Some("awsvpc") {
            if set(container, "hostname").is_some() {
                found.push(format!("container {name}: no `hostname` with `networkMode` awsvpc"));
            }
            for mapping in list(container, "portMappings") {
                let ports = (set(mapping, "hostPort"), set(mapping, "containerPort"));
                if let (Some(host), Some(inside)) = ports
                    && host != inside
                {
                    found.push(format!("container {name}: with awsvpc `hostPort` equals `containerPort`"));
                }
            }
        }
        for mount in list(container, "mountPoints") {
            if let Some(volume) = text(mount, "sourceVolume")
                && !volumes.contains(&Some(volume))
            {
                found.push(format!("container {name}: there is no volume `{volume}`"));
            }
        }
        let controls = list(container, "systemControls");
        if text(document, "ipcMode") == Some("host") && !controls.is_empty() {
            found.push(format!("container {name}: no IPC `systemControls` with `ipcMode` host"));
        }
        for secret in list(container, "secrets") {
            let twice =
                |variable: &Value| text(variable, "name").is_some() && text(variable, "name") == text(secret, "name");
            if list(container, "environment").iter().any(twice) {
                found.push(format!(
                    "container {name}: `{}` is both in `environment` and `secrets`",
                    text(secret, "name").unwrap_or("?")
                ));
            }
        }
        if set(container, "readonlyRootFilesystem").is_some_and(|value| !value.is_boolean()) {
            found.push(format!("container {name}: `readonlyRootFilesystem` is no boolean"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(document: Value, wanted: &[&str]) {
        let found = violations(&document);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.contains(wanted), "{found}");
        }
    }

    fn fargate(with: Value) -> Value {
        let mut document = json!({
            "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "a", "image": "b"}]
        });
        for (name, value) in with.as_object().unwrap() {
            document[name] = value.clone();
        }
        document
    }

    #[test]
    fn fargate_takes_what_it_takes() {
        check(fargate(json!({})), &[]);
        check(fargate(json!({"cpu": ".5 vCPU", "memory": "2GB"})), &[]);
        check(fargate(json!({"cpu": "1 vCPU", "memory": "1 GB"})), &["combination"]);
        check(fargate(json!({"memory": "1536"})), &["combination"]);
        check(fargate(json!({"memory": null})), &["needs task"]);
        check(
            fargate(json!({"networkMode": "host", "pidMode": "host", "ipcMode": "task"})),
            &["awsvpc", "pidMode", "ipcMode"],
        );
        let container = json!({"name": "a", "image": "b", "privileged": true,
            "linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}, "devices": []}});
        check(fargate(json!({"containerDefinitions": [container]})), &["privileged", "SYS_PTRACE"]);
        check(fargate(json!({"volumes": [{"name": "v", "host": {"sourcePath": "/"}}]})), &["sourcePath"]);
    }

    #[test]
    fn ec2_needs_memory_somewhere_and_volumes_that_are_there() {
        check(json!({"containerDefinitions": [{"name": "a", "image": "b"}]}), &["memoryReservation"]);
        let mounted = json!({"memory": "512", "containerDefinitions": [{"name": "a", "image": "b",
            "mountPoints": [{"sourceVolume": "v", "containerPath": "/x"}], "links": []}]});
        check(mounted, &["no volume `v`"]);
    }

    #[test]
    fn windows_has_no_linux_parameters() {
        let windows = json!({"memory": "512", "runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
            "containerDefinitions": [{"name": "a", "image": "b", "readonlyRootFilesystem": true, "linuxParameters": {}}]});
        check(windows, &["readonlyRootFilesystem", "linuxParameters"]);
    }
}
