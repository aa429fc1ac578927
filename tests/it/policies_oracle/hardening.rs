//! Hardening policies with their default params, from what each says it demands.

use serde_json::{Value, json};

use super::security_hub::{Oracle, each, is_windows, items, text};

const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn in_containers(document: &Value, list: &[&str], below: &str, fails: impl Fn(&Value) -> bool) -> Oracle {
    if items(document, "containerDefinitions").is_empty() {
        return Oracle::Unknown;
    }
    let mut found = Vec::new();
    for (index, container) in items(document, "containerDefinitions").iter().enumerate() {
        let inner = list.iter().fold(container, |node, member| &node[*member]);
        for (place, item) in inner.as_array().into_iter().flatten().enumerate() {
            if fails(item) {
                found.push(format!("/containerDefinitions/{index}/{}/{place}{below}", list.join("/")));
            }
        }
    }
    Oracle::Fails(found)
}

fn containers(document: &Value, below: &str, fails: impl Fn(&Value) -> bool) -> Oracle {
    each(document, "containerDefinitions", below, fails)
}

fn has(list: &Value, item: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|found| found == item))
}

/// What stands behind the last `/`, without its digest.
fn last_part(image: &str) -> &str {
    image.split('@').next().unwrap_or("").rsplit('/').next().unwrap_or("")
}

fn reaches_a_socket(path: &str) -> bool {
    let windows = path.to_lowercase().replace('\\', "/");
    if path.trim_end_matches('/').ends_with("docker.sock") || windows.contains("/pipe/docker") {
        return true;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let below = parts.strip_prefix(&["var"]).unwrap_or(&parts);
    match below {
        [] => path.starts_with('/'),
        ["run"] | ["run", "user"] => true,
        ["run", "user", id] => id.chars().all(|c| c.is_ascii_digit()),
        ["run", name, ..] => ["docker", "containerd", "crio", "podman"].iter().any(|runtime| name.starts_with(runtime)),
        _ => false,
    }
}

fn is_named_like_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = [
        "passwd",
        "password",
        "secret",
        "token",
        "apikey",
        "api_key",
        "privatekey",
        "private_key",
        "accesskey",
        "access_key",
        "encryptionkey",
        "encryption_key",
        "credential",
    ];
    let short = ["_pass", "-pass", ".pass", "_pwd", "-pwd", ".pwd"];
    let named =
        name == "pass" || words.iter().any(|word| name.contains(word)) || short.iter().any(|word| name.ends_with(word));
    let place = ["file", "arn", "name", "path", "url", "id", "ttl", "enabled", "header"];
    named && !place.iter().any(|what| name.ends_with(&format!("_{what}")))
}

/// `None` where there is no oracle.
pub(super) fn policy(name: &str, resource: &Value) -> Option<Oracle> {
    let windows = is_windows(resource);
    Some(match name {
        "ipc-mode-not-host" => Oracle::at("/ipcMode", resource["ipcMode"] == "host"),
        "network-mode-awsvpc" => Oracle::at("/networkMode", resource["networkMode"] != "awsvpc"),
        "no-fault-injection" => Oracle::at("/enableFaultInjection", resource["enableFaultInjection"] == json!(true)),
        "version-consistency" => {
            containers(resource, "/versionConsistency", |container| container["versionConsistency"] == "disabled")
        }
        "health-check" => containers(resource, "/healthCheck", |container| {
            let command = items(&container["healthCheck"], "command");
            container["essential"] != json!(false) && (command.is_empty() || command[0] == "NONE")
        }),
        "image-by-digest" => containers(resource, "/image", |container| !text(container, "image").contains("@sha256:")),
        "image-not-latest" => containers(resource, "/image", |container| {
            let image = text(container, "image");
            let tag = last_part(image).split_once(':').map_or("", |(_, tag)| tag);
            !image.contains('@') && matches!(tag, "" | "latest")
        }),
        "log-mode-non-blocking" => containers(resource, "/logConfiguration/options/mode", |container| {
            container["logConfiguration"]["options"]["mode"] == "blocking"
        }),
        "memory-limit" => containers(resource, "/memory", |container| {
            container["memory"].is_null() && (windows || resource["memory"].is_null())
        }),
        "no-added-capabilities" | "drop-capabilities" if windows => Oracle::Skip,
        "no-added-capabilities" => {
            in_containers(resource, &["linuxParameters", "capabilities", "add"], "", |name| name != "SYS_PTRACE")
        }
        "drop-capabilities" => containers(resource, "/linuxParameters/capabilities/drop", |container| {
            let drop = &container["linuxParameters"]["capabilities"]["drop"];
            !has(drop, "ALL") && !CAPABILITIES.iter().all(|name| has(drop, name))
        }),
        "no-host-devices" => in_containers(resource, &["linuxParameters", "devices"], "", |_| true),
        "no-new-privileges" if windows || has(&resource["requiresCompatibilities"], "FARGATE") => Oracle::Skip,
        "no-new-privileges" => containers(resource, "/dockerSecurityOptions", |container| {
            let options = &container["dockerSecurityOptions"];
            !has(options, "no-new-privileges") && !has(options, "no-new-privileges:true")
        }),
        "no-docker-socket" => each(resource, "volumes", "/host/sourcePath", |volume| {
            reaches_a_socket(text(&volume["host"], "sourcePath"))
        }),
        "host-paths-allowed" => {
            each(resource, "volumes", "/host/sourcePath", |volume| !text(&volume["host"], "sourcePath").is_empty())
        }
        "secrets-by-name" => {
            let all = items(resource, "containerDefinitions");
            if all.is_empty() {
                return Some(Oracle::Unknown);
            }
            let runs = |container: &Value| !container["command"].is_null() || !container["entryPoint"].is_null();
            if all.iter().any(runs) {
                // What a command says is text.
                return None;
            }
            let named = |name: &str, value: &Value| is_named_like_a_secret(name) && value.as_str() != Some("");
            let in_environment = in_containers(resource, &["environment"], "", |variable| {
                named(text(variable, "name"), &variable["value"]) && !variable["value"].is_null()
            });
            let in_labels = containers(resource, "/dockerLabels", |container| {
                container["dockerLabels"]
                    .as_object()
                    .is_some_and(|labels| labels.iter().any(|(key, value)| named(key, value)))
            });
            let (Oracle::Fails(mut found), Oracle::Fails(labels)) = (in_environment, in_labels) else { return None };
            found.extend(labels);
            Oracle::Fails(found)
        }
        "task-role-not-execution-role" => {
            let role = |member| text(resource, member).rsplit('/').next().unwrap_or("").to_owned();
            let (task, execution) = (role("taskRoleArn"), role("executionRoleArn"));
            Oracle::at("/taskRoleArn", !task.is_empty() && task == execution)
        }
        "roles-allowed" => {
            Oracle::at("/taskRoleArn", resource["networkMode"] == "host" && !text(resource, "taskRoleArn").is_empty())
        }
        "ulimits-bounded" => in_containers(resource, &["ulimits"], "/hardLimit", |ulimit| {
            let most = match text(ulimit, "name") {
                "core" => 0,
                "nofile" => 1_048_576,
                _ => i64::MAX,
            };
            let hard = ulimit["hardLimit"].as_i64().unwrap();
            most < i64::MAX && !(0..=most).contains(&hard)
        }),
        "exec-disabled" => Oracle::at("/enableExecuteCommand", resource["enableExecuteCommand"] == json!(true)),
        "circuit-breaker" => {
            let configuration = &resource["deploymentConfiguration"];
            let breaker = &configuration["deploymentCircuitBreaker"];
            let rolling = matches!(text(configuration, "strategy"), "" | "ROLLING");
            if !rolling || !matches!(text(&resource["deploymentController"], "type"), "" | "ECS") {
                Oracle::Skip
            } else {
                let both = breaker["enable"] == json!(true) && breaker["rollback"] == json!(true);
                Oracle::at("/deploymentConfiguration/deploymentCircuitBreaker", !both)
            }
        }
        "container-insights" => super::security_hub::control(12, resource),
        "exec-logging" if resource["clusterArn"].is_string() && resource["configuration"].is_null() => Oracle::Unknown,
        "exec-logging" => Oracle::at(
            "/configuration/executeCommandConfiguration/logging",
            resource["configuration"]["executeCommandConfiguration"]["logging"] == "NONE",
        ),
        _ => return None,
    })
}
