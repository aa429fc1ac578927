//! The controls, from ecs-facts §1.1.

use serde_json::{Value, json};

/// What a rule says of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Oracle {
    /// It does not apply.
    Skip,
    /// It cannot be told.
    Unknown,
    /// It fails at these pointers; at none: it passes.
    Fails(Vec<String>),
}

impl Oracle {
    pub(super) fn at(pointer: &str, fails: bool) -> Self {
        Self::Fails(if fails { vec![pointer.to_owned()] } else { Vec::new() })
    }
}

pub(super) fn items<'a>(node: &'a Value, member: &str) -> &'a [Value] {
    node[member].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text<'a>(node: &'a Value, member: &str) -> &'a str {
    node[member].as_str().unwrap_or("")
}

pub(super) fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or("").trim().trim_start_matches(['+', '-']);
    name.is_empty() || name == "root" || name.chars().all(|c| c == '0')
}

pub(super) fn is_windows(document: &Value) -> bool {
    text(&document["runtimePlatform"], "operatingSystemFamily").starts_with("WINDOWS")
}

/// Where each element of a list that fails fails.
pub(super) fn each(document: &Value, list: &str, below: &str, fails: impl Fn(&Value) -> bool) -> Oracle {
    if list == "containerDefinitions" && items(document, list).is_empty() {
        return Oracle::Unknown;
    }
    let failing = items(document, list).iter().enumerate().filter(|(_, item)| fails(item));
    Oracle::Fails(failing.map(|(index, _)| format!("/{list}/{index}{below}")).collect())
}

fn has_public_ip(resource: &Value) -> Oracle {
    let configuration = &resource["networkConfiguration"]["awsvpcConfiguration"];
    Oracle::at("/networkConfiguration/awsvpcConfiguration/assignPublicIp", configuration["assignPublicIp"] == "ENABLED")
}

/// By launch type, else by the providers, else by the version, which only Fargate has.
pub(super) fn is_fargate(service: &Value) -> Option<bool> {
    if let Some(launch) = service["launchType"].as_str() {
        return Some(launch == "FARGATE");
    }
    let providers = items(service, "capacityProviderStrategy");
    if !providers.is_empty() {
        return Some(providers.iter().any(|provider| text(provider, "capacityProvider").starts_with("FARGATE")));
    }
    service["platformVersion"].as_str().map(|_| true)
}

fn is_tagged(resource: &Value) -> Oracle {
    let own = |tag: &Value| !text(tag, "key").to_lowercase().starts_with("aws:");
    Oracle::at("/tags", !items(resource, "tags").iter().any(own))
}

/// With the controls' own parameters.
pub(super) fn control(number: u32, resource: &Value) -> Oracle {
    let family = text(&resource["runtimePlatform"], "operatingSystemFamily");
    match number {
        1 => each(resource, "containerDefinitions", "/user", |container| {
            resource["networkMode"] == "host"
                && container["privileged"] != json!(true)
                && is_root(text(container, "user"))
        }),
        2 | 16 => has_public_ip(resource),
        3 => Oracle::at("/pidMode", resource["pidMode"] == "host"),
        4 => each(resource, "containerDefinitions", "/privileged", |container| container["privileged"] == json!(true)),
        5 if is_windows(resource) => Oracle::Skip,
        5 => each(resource, "containerDefinitions", "/readonlyRootFilesystem", |container| {
            container["readonlyRootFilesystem"] != json!(true)
        }),
        8 if items(resource, "containerDefinitions").is_empty() => Oracle::Unknown,
        8 => {
            let mut found = Vec::new();
            for (index, container) in items(resource, "containerDefinitions").iter().enumerate() {
                for (place, variable) in items(container, "environment").iter().enumerate() {
                    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"];
                    if names.contains(&text(variable, "name")) {
                        found.push(format!("/containerDefinitions/{index}/environment/{place}"));
                    }
                }
            }
            Oracle::Fails(found)
        }
        9 => each(resource, "containerDefinitions", "/logConfiguration", |container| {
            text(&container["logConfiguration"], "logDriver").is_empty()
        }),
        10 => match is_fargate(resource) {
            None => Oracle::Unknown,
            Some(false) => Oracle::Skip,
            Some(true) => {
                let family = text(resource, "platformFamily").to_lowercase();
                let latest = if family.starts_with("windows") { "1.0.0" } else { "1.4.0" };
                match resource["platformVersion"].as_str().unwrap_or("LATEST") {
                    // The latest of one system only, and nothing says which it is for.
                    "1.0.0" | "1.4.0" if family.is_empty() => Oracle::Unknown,
                    version => Oracle::at("/platformVersion", version != "LATEST" && version != latest),
                }
            }
        },
        // Settings that were not asked for are not shown.
        12 if resource["settings"].is_null() => Oracle::Unknown,
        12 if resource["clusterArn"].is_string() && items(resource, "settings").is_empty() => Oracle::Unknown,
        12 => Oracle::at(
            "/settings",
            !items(resource, "settings").iter().any(|setting| {
                setting["name"] == "containerInsights" && matches!(text(setting, "value"), "enabled" | "enhanced")
            }),
        ),
        13..=15 => is_tagged(resource),
        17 => Oracle::at("/networkMode", resource["networkMode"] == "host"),
        18 => each(resource, "volumes", "/efsVolumeConfiguration/transitEncryption", |volume| {
            let efs = &volume["efsVolumeConfiguration"];
            !efs.is_null() && efs["transitEncryption"] != "ENABLED"
        }),
        19 => match &resource["autoScalingGroupProvider"] {
            Value::Null => Oracle::Skip,
            group => Oracle::at(
                "/autoScalingGroupProvider/managedTerminationProtection",
                group["managedTerminationProtection"] != "ENABLED",
            ),
        },
        20 if family.starts_with("WINDOWS") => Oracle::Skip,
        21 if family == "LINUX" => Oracle::Skip,
        20 | 21 if !["", "LINUX"].contains(&family) && !family.starts_with("WINDOWS") => Oracle::Unknown,
        20 => each(resource, "containerDefinitions", "/user", |container| is_root(text(container, "user"))),
        21 => each(resource, "containerDefinitions", "/user", |container| {
            let user = text(container, "user").split(':').next().unwrap_or("").trim();
            user.is_empty() || user.eq_ignore_ascii_case("containeradministrator")
        }),
        other => panic!("there is no oracle for ECS.{other}"),
    }
}
