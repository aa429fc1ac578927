//! The catalogue against the same controls written by hand in Rust, from ecs-facts §1.1 and not from the policies.

use plimsoll::model::spec::{Object, ResourceKind};
use plimsoll::model::{Timestamp, Verdict};
use plimsoll::policy::{PolicySet, ScopeKeys, Subject, builtin, evaluate};
use proptest::prelude::*;
use serde_json::{Value, json};

fn catalogue() -> PolicySet {
    let mut objects: Vec<Object> = Vec::new();
    for file in builtin::FILES.iter().filter(|file| file.path.starts_with("security-hub/")) {
        objects.push(serde_json::from_value(serde_saphyr::from_str(file.text).unwrap()).unwrap());
    }
    PolicySet::compile(&objects).unwrap()
}

fn containers(document: &Value) -> &[Value] {
    document["containerDefinitions"].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(node: &'a Value, member: &str) -> &'a str {
    node[member].as_str().unwrap_or("")
}

fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or("");
    name.is_empty() || name == "root" || name.chars().all(|c| c == '0')
}

/// Where each container that fails fails.
fn at(document: &Value, member: &str, fails: impl Fn(&Value) -> bool) -> Vec<String> {
    let failing = containers(document).iter().enumerate().filter(|(_, container)| fails(container));
    failing.map(|(index, _)| format!("/containerDefinitions/{index}/{member}")).collect()
}

/// `None`: the control does not apply. Else the pointers at which it fails.
fn oracle(number: u32, document: &Value) -> Option<Vec<String>> {
    let family = document["runtimePlatform"]["operatingSystemFamily"].as_str();
    let windows = family.is_some_and(|family| family.starts_with("WINDOWS"));
    Some(match number {
        1 => at(document, "user", |container| {
            text(document, "networkMode") == "host"
                && container["privileged"] != json!(true)
                && is_root(text(container, "user"))
        }),
        3 if document["pidMode"] == "host" => vec!["/pidMode".to_owned()],
        4 => at(document, "privileged", |container| container["privileged"] == json!(true)),
        5 if windows => return None,
        5 => at(document, "readonlyRootFilesystem", |container| container["readonlyRootFilesystem"] != json!(true)),
        8 => {
            let mut found = Vec::new();
            for (index, container) in containers(document).iter().enumerate() {
                for (place, variable) in container["environment"].as_array().into_iter().flatten().enumerate() {
                    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"];
                    if names.contains(&text(variable, "name")) {
                        found.push(format!("/containerDefinitions/{index}/environment/{place}"));
                    }
                }
            }
            found
        }
        9 => at(document, "logConfiguration", |container| text(&container["logConfiguration"], "logDriver").is_empty()),
        17 if document["networkMode"] == "host" => vec!["/networkMode".to_owned()],
        18 => {
            let volumes = document["volumes"].as_array().into_iter().flatten().enumerate();
            let failing = volumes.filter(|(_, volume)| {
                let efs = &volume["efsVolumeConfiguration"];
                !efs.is_null() && efs["transitEncryption"] != "ENABLED"
            });
            failing.map(|(index, _)| format!("/volumes/{index}/efsVolumeConfiguration/transitEncryption")).collect()
        }
        20 if family.is_some_and(|family| family != "LINUX") => return None,
        20 => at(document, "user", |container| is_root(text(container, "user"))),
        21 if family.is_some_and(|family| !family.starts_with("WINDOWS_SERVER")) => return None,
        21 => at(document, "user", |container| {
            let user = text(container, "user");
            user.is_empty() || user.eq_ignore_ascii_case("containeradministrator")
        }),
        _ => Vec::new(),
    })
}

#[track_caller]
fn compare(set: &PolicySet, name: &str, document: &Value) {
    let scope = ScopeKeys::default();
    let subject = Subject {
        kind: ResourceKind::TaskDefinition,
        resource: document,
        tags: None,
        service: None,
        cluster: None,
        target: None,
        scope: &scope,
    };
    let results = evaluate(set, &subject, Timestamp::EPOCH);
    for number in [1, 3, 4, 5, 8, 9, 17, 18, 20, 21] {
        let result = results.iter().find(|result| result.policy == format!("security-hub-ecs-{number}")).unwrap();
        let found: Vec<String> = result.findings.iter().map(|finding| finding.path.clone()).collect();
        let wanted = oracle(number, document);
        let verdict = match &wanted {
            None => Verdict::Skip,
            Some(paths) if paths.is_empty() => Verdict::Pass,
            Some(_) => Verdict::Fail,
        };
        assert_eq!(result.verdict, verdict, "{name}: ECS.{number}: {:?}", result.reason);
        assert_eq!(found, wanted.unwrap_or_default(), "{name}: ECS.{number}");
    }
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_documents_as_they_are_found() {
    let set = catalogue();
    for (name, document) in super::policies::documents() {
        compare(&set, &name, &document);
    }
}

fn maybe(values: &[Value]) -> impl Strategy<Value = Option<Value>> + use<> {
    prop::option::of(prop::sample::select(values.to_vec()))
}

fn with(mut object: Value, members: Vec<(&str, Option<Value>)>) -> Value {
    for (name, value) in members {
        if let Some(value) = value {
            object[name] = value;
        }
    }
    object
}

fn container() -> impl Strategy<Value = Value> {
    let users = [
        "",
        "root",
        "0",
        "0:0",
        "root:wheel",
        "00",
        "1000",
        "1000:0",
        "rootless",
        "app:root",
        "ContainerAdministrator",
        "containeradministrator",
        "ContainerUser",
    ];
    let users: Vec<Value> = users.iter().map(|user| json!(user)).chain([Value::Null]).collect();
    let names = ["A", "AWS_ACCESS_KEY_ID", "aws_access_key_id", "ECS_ENGINE_AUTH_DATA", "AWS_SECRET_ACCESS_KEY", ""];
    let variable = prop::sample::select(names.to_vec()).prop_map(|name| json!({"name": name, "value": "v"}));
    let bools = [json!(true), json!(false), Value::Null];
    (
        maybe(&users),
        maybe(&bools),
        maybe(&bools),
        prop::option::of(prop::collection::vec(variable, 0..4)),
        maybe(&[
            json!({"logDriver": "awslogs"}),
            json!({"logDriver": null}),
            json!({}),
            Value::Null,
            json!({"logDriver": ""}),
        ]),
    )
        .prop_map(|(user, privileged, readonly, environment, log)| {
            with(
                json!({"name": "c", "image": "i"}),
                vec![
                    ("user", user),
                    ("privileged", privileged),
                    ("readonlyRootFilesystem", readonly),
                    ("environment", environment.map(Value::Array)),
                    ("logConfiguration", log),
                ],
            )
        })
}

fn document() -> impl Strategy<Value = Value> {
    let platforms = [
        json!({"operatingSystemFamily": "LINUX"}),
        json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        json!({"cpuArchitecture": "ARM64"}),
        json!({"operatingSystemFamily": null}),
        Value::Null,
    ];
    let volumes = [
        json!([]),
        json!([{"name": "a", "efsVolumeConfiguration": {"transitEncryption": "ENABLED"}}, {"name": "b", "efsVolumeConfiguration": {}}]),
        json!([{"name": "a", "efsVolumeConfiguration": {"transitEncryption": "DISABLED"}}, {"name": "h", "host": {}}]),
        Value::Null,
    ];
    (
        prop::collection::vec(container(), 0..4),
        maybe(&[json!("host"), json!("task"), Value::Null]),
        maybe(&[json!("host"), json!("awsvpc"), Value::Null]),
        maybe(&platforms),
        maybe(&volumes),
    )
        .prop_map(|(containers, pid, network, platform, volumes)| {
            with(
                json!({"containerDefinitions": containers}),
                vec![("pidMode", pid), ("networkMode", network), ("runtimePlatform", platform), ("volumes", volumes)],
            )
        })
}

#[test]
fn the_catalogue_agrees_with_the_oracle_on_corner_cases() {
    let set = catalogue();
    proptest!(|(document in document())| compare(&set, "generated", &document));
}
