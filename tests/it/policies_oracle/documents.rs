//! Generated resources: every corner that the rules turn on, absent, null and in odd spellings.

use proptest::prelude::*;
use serde_json::{Value, json};

fn one_of(values: Vec<Value>) -> impl Strategy<Value = Option<Value>> + use<> {
    prop::option::of(prop::sample::select(values))
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| json!(value)).chain([Value::Null]).collect()
}

fn flags() -> impl Strategy<Value = Option<Value>> + use<> {
    one_of(vec![json!(true), json!(false), Value::Null])
}

fn with(mut object: Value, members: Vec<(&str, Option<Value>)>) -> Value {
    for (name, value) in members {
        if let Some(value) = value {
            object[name] = value;
        }
    }
    object
}

fn lists(items: &[Value], most: usize) -> impl Strategy<Value = Option<Value>> + use<> {
    prop::option::of(prop::collection::vec(prop::sample::select(items.to_vec()), 0..most))
        .prop_map(|list| list.map(Value::Array))
}

/// `environment`: no name twice, as ECS wants it.
fn environment() -> impl Strategy<Value = Option<Value>> + use<> {
    let names = [
        "A",
        "AWS_ACCESS_KEY_ID",
        "aws_access_key_id",
        "ECS_ENGINE_AUTH_DATA",
        "AWS_SECRET_ACCESS_KEY",
        "DB_PASSWORD",
        "DB_PASSWORD_FILE",
        "API_TOKEN",
        "DB_PASS",
        "MYSQL_PWD",
        "PWD",
        "ENCRYPTION_KEY",
    ];
    let names = prop::sample::subsequence(names.to_vec(), 0..5);
    let environment = (names, prop::sample::select(vec!["v", "", "a b"])).prop_map(|(names, value)| {
        names.iter().map(|name| json!({"name": name, "value": value, "unheardOf": ""})).collect::<Value>()
    });
    prop::option::of(environment)
}

fn linux_parameters() -> impl Strategy<Value = Option<Value>> + use<> {
    let capabilities = ["SYS_PTRACE", "SYS_ADMIN", "NET_RAW", "CHOWN", "ALL"].map(|name| json!(name));
    let inner = (
        prop::option::of((lists(&capabilities, 3), lists(&capabilities, 3))),
        lists(&[json!({"hostPath": "/dev/fuse"}), json!({"hostPath": "/dev/kmsg"})], 3),
    );
    prop::option::of(inner.prop_map(|(capabilities, devices)| {
        let capabilities = capabilities.map(|(add, drop)| with(json!({"odd": []}), vec![("add", add), ("drop", drop)]));
        with(json!({"initProcessEnabled": true}), vec![("capabilities", capabilities), ("devices", devices)])
    }))
}

pub(crate) fn container() -> impl Strategy<Value = Value> {
    let users = [
        "",
        "root",
        "0",
        "0:0",
        "root:wheel",
        "00",
        "01",
        "+0",
        " root",
        "1000",
        "1000:0",
        "rootless",
        "app:root",
        "ContainerAdministrator",
        "containeradministrator",
        "ContainerAdministrator:x",
        "ContainerUser",
    ];
    let images = [
        "nginx",
        "nginx:latest",
        "nginx:1.27",
        "localhost:5000/web:5",
        "registry.example.com:5000/team/web",
        "nginx:1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let logs = [
        json!({"logDriver": "awslogs", "options": {"mode": "blocking", "awslogs-group": ""}}),
        json!({"logDriver": "awslogs", "options": {"mode": "non-blocking"}}),
        json!({"logDriver": "splunk", "options": null}),
        json!({"logDriver": null}),
        json!({"logDriver": ""}),
        json!({}),
        Value::Null,
    ];
    let checks = [json!({"command": ["CMD", "x"]}), json!({"command": []}), json!({"command": ["NONE"]}), Value::Null];
    let options = ["no-new-privileges", "no-new-privileges:true", "no-new-privileges:false", "label:user:x"];
    let ulimits = [
        json!({"name": "core", "softLimit": 0, "hardLimit": 0}),
        json!({"name": "core", "softLimit": -1, "hardLimit": -1}),
        json!({"name": "nofile", "softLimit": 1, "hardLimit": 2_000_000}),
        json!({"name": "nproc", "softLimit": 1, "hardLimit": 2_000_000}),
    ];
    let mounts = [
        json!({"sourceVolume": "a", "containerPath": "/data"}),
        json!({"sourceVolume": "a", "containerPath": "/tmp", "readOnly": false}),
    ];
    let first = (one_of(texts(&users)), flags(), flags(), environment(), one_of(logs.to_vec()), linux_parameters());
    let second = (
        prop::sample::select(images.to_vec()),
        flags(),
        one_of(checks.to_vec()),
        lists(&options.map(|option| json!(option)), 3),
        lists(&ulimits, 3),
        one_of(vec![json!("enabled"), json!("disabled"), Value::Null]),
        lists(&mounts, 2),
        prop::option::of(Just(json!(64))),
    );
    (first, second).prop_map(|(first, second)| {
        let (user, privileged, readonly, environment, log, linux) = first;
        let (image, essential, check, options, ulimits, consistency, mounts, memory) = second;
        with(
            json!({"name": "c", "unheardOf": {"z": "", "a": []}, "image": image, "memoryReservation": 32}),
            vec![
                ("user", user),
                ("privileged", privileged),
                ("readonlyRootFilesystem", readonly),
                ("environment", environment),
                ("logConfiguration", log),
                ("linuxParameters", linux),
                ("essential", essential),
                ("healthCheck", check),
                ("dockerSecurityOptions", options),
                ("ulimits", ulimits),
                ("versionConsistency", consistency),
                ("mountPoints", mounts),
                ("memory", memory),
            ],
        )
    })
}

pub(crate) fn tags() -> impl Strategy<Value = Value> {
    let keys = prop::sample::subsequence(vec!["team", "Team", "env", "aws:cloudformation:stack-name", "AWS:x"], 0..5);
    (keys, prop::sample::select(vec!["", "prod", "x"]))
        .prop_map(|(keys, value)| keys.iter().map(|key| json!({"key": key, "value": value})).collect())
}

pub(crate) fn document() -> impl Strategy<Value = Value> {
    let platforms = [
        json!({"operatingSystemFamily": "LINUX"}),
        json!({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}),
        json!({"cpuArchitecture": "ARM64"}),
        json!({"operatingSystemFamily": null}),
        json!({"operatingSystemFamily": ""}),
        json!({"operatingSystemFamily": "linux"}),
        Value::Null,
    ];
    let volumes = [
        json!([]),
        json!([{"name": "a", "efsVolumeConfiguration": {"transitEncryption": "ENABLED"}}, {"name": "b", "efsVolumeConfiguration": {"odd": ""}}]),
        json!([{"name": "a", "efsVolumeConfiguration": {"transitEncryption": "DISABLED"}}, {"name": "h", "host": {}}]),
        json!([{"name": "a", "host": {"sourcePath": "/var/run/docker.sock"}}, {"name": "plimsoll-tmp", "host": {}}]),
        json!([{"name": "a", "host": {"sourcePath": "/var/log"}}, {"name": "b", "host": {"sourcePath": "/run/"}}]),
        json!([{"name": "a", "host": {"sourcePath": "\\\\.\\pipe\\docker_engine"}}]),
        json!([{"name": "a", "host": {"sourcePath": "/run/user/1000/docker.sock"}}, {"name": "b", "host": {"sourcePath": "/run/user/1000"}}]),
        json!([{"name": "a"}, {"name": "plimsoll-tmp", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]),
        Value::Null,
    ];
    let roles = ["arn:aws:iam::123456789012:role/team/app", "app", "exec", ""];
    let modes = (
        one_of(texts(&["host", "task"])),
        one_of(texts(&["host", "awsvpc", "bridge"])),
        one_of(texts(&["host", "task", "none"])),
        flags(),
    );
    let around = (
        one_of(platforms.to_vec()),
        one_of(volumes.to_vec()),
        one_of(texts(&roles)),
        one_of(texts(&roles)),
        prop::option::of(Just(json!("512"))),
        tags(),
    );
    (prop::collection::vec(container(), 0..4), modes, around).prop_map(|(mut containers, modes, around)| {
        let (pid, network, ipc, faults) = modes;
        let (platform, volumes, task_role, execution_role, memory, tags) = around;
        for (index, container) in containers.iter_mut().enumerate() {
            container["name"] = json!(format!("c{index}"));
        }
        with(
            json!({"family": "web", "containerDefinitions": containers, "tags": tags}),
            vec![
                ("pidMode", pid),
                ("networkMode", network),
                ("ipcMode", ipc),
                ("enableFaultInjection", faults),
                ("runtimePlatform", platform),
                ("volumes", volumes),
                ("taskRoleArn", task_role),
                ("executionRoleArn", execution_role),
                ("memory", memory),
            ],
        )
    })
}

/// `networkConfiguration` as services and task sets have it.
fn network() -> impl Strategy<Value = Option<Value>> {
    let of = |ip: Value| json!({"awsvpcConfiguration": {"subnets": ["s-1", "s-2"], "assignPublicIp": ip, "odd": ""}});
    one_of(vec![
        of(json!("ENABLED")),
        of(json!("DISABLED")),
        of(Value::Null),
        json!({"awsvpcConfiguration": null}),
        json!({}),
        Value::Null,
    ])
}

pub(crate) fn service() -> impl Strategy<Value = Value> {
    let provider = |name: &str| json!({"capacityProvider": name, "weight": 1});
    let strategies = vec![
        json!([]),
        json!([provider("FARGATE")]),
        json!([provider("ours"), provider("FARGATE_SPOT")]),
        json!([provider("ours")]),
        Value::Null,
    ];
    let breakers = vec![
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}, "maximumPercent": 200}),
        json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false}, "minimumHealthyPercent": 0}),
        json!({"deploymentCircuitBreaker": null, "strategy": "ROLLING"}),
        json!({"strategy": "BLUE_GREEN"}),
        json!({}),
        Value::Null,
    ];
    let controllers = vec![json!({"type": "ECS"}), json!({"type": "CODE_DEPLOY"}), json!({"type": null}), Value::Null];
    let place = (
        one_of(texts(&["FARGATE", "EC2", "EXTERNAL"])),
        one_of(strategies),
        one_of(texts(&["LATEST", "1.4.0", "1.3.0", "1.0.0"])),
        one_of(texts(&["Linux", "WINDOWS_SERVER_2022_CORE", "Windows_Server_2019_Full"])),
    );
    (place, network(), one_of(breakers), one_of(controllers), flags(), tags()).prop_map(
        |(place, network, configuration, controller, exec, tags)| {
            let (launch, strategy, version, platform) = place;
            with(
                json!({"serviceName": "web", "unheardOf": "", "desiredCount": 2, "tags": tags}),
                vec![
                    ("launchType", launch),
                    ("capacityProviderStrategy", strategy),
                    ("platformVersion", version),
                    ("platformFamily", platform),
                    ("networkConfiguration", network),
                    ("deploymentConfiguration", configuration),
                    ("deploymentController", controller),
                    ("enableExecuteCommand", exec),
                ],
            )
        },
    )
}

pub(crate) fn cluster() -> impl Strategy<Value = Value> {
    let insights = |value: Value| json!({"name": "containerInsights", "value": value});
    let settings = vec![
        json!([]),
        json!([insights(json!("disabled"))]),
        json!([insights(json!("enabled"))]),
        json!([insights(json!("enhanced"))]),
        json!([{"name": "other", "value": "enabled"}]),
        json!([insights(Value::Null)]),
    ];
    let exec = |logging: Value, key: Value, encrypted: Value| {
        json!({"executeCommandConfiguration": {"logging": logging, "kmsKeyId": key,
            "logConfiguration": {"cloudWatchEncryptionEnabled": encrypted}}})
    };
    let configurations = vec![
        exec(json!("NONE"), json!("k"), json!(true)),
        exec(json!("DEFAULT"), json!("k"), json!(true)),
        exec(json!("OVERRIDE"), json!("k"), json!(false)),
        exec(Value::Null, Value::Null, Value::Null),
        json!({}),
        Value::Null,
    ];
    let arns = vec![json!("arn:aws:ecs:eu-west-1:123456789012:cluster/prod")];
    (one_of(settings), one_of(configurations), tags(), one_of(arns)).prop_map(|(settings, configuration, tags, arn)| {
        with(
            json!({"clusterName": "prod", "unheardOf": [], "tags": tags}),
            vec![("settings", settings), ("configuration", configuration), ("clusterArn", arn)],
        )
    })
}

pub(crate) fn task_set() -> impl Strategy<Value = Value> {
    network().prop_map(|network| with(json!({"id": "ecs-svc/1"}), vec![("networkConfiguration", network)]))
}

pub(crate) fn capacity_provider() -> impl Strategy<Value = Value> {
    let providers = vec![
        json!({"managedTerminationProtection": "ENABLED", "managedScaling": {"status": "DISABLED"}}),
        json!({"managedTerminationProtection": "DISABLED"}),
        json!({"managedTerminationProtection": null}),
        json!({}),
        Value::Null,
    ];
    one_of(providers).prop_map(|group| with(json!({"name": "ours"}), vec![("autoScalingGroupProvider", group)]))
}
