//! Registering and describing task definitions (ecs-facts §2).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::WorldConfig;
use super::stage::Stage;

fn describe(stage: &mut Stage, reference: &str) -> Value {
    stage.ok("DescribeTaskDefinition", json!({ "taskDefinition": reference }))["taskDefinition"].take()
}

/// The members that only answers have (ecs-facts §2.1).
const OUTPUT_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

#[test]
fn what_is_described_can_be_registered_again_without_the_nine_and_is_the_same() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |input| {
        input["containerDefinitions"][0]["environment"] = json!([{ "name": "EMPTY", "value": "" }]);
        input["containerDefinitions"][0]["aMemberOfTomorrow"] = json!({ "z": 1, "a": [""] });
        input["containerDefinitions"][0]["healthCheck"] = json!({ "command": ["CMD-SHELL", ""] });
        input["cpu"] = json!("1 vCPU");
        input["taskRoleArn"] = json!("app");
    });
    let strip = |mut document: Value| {
        for member in OUTPUT_ONLY {
            document.as_object_mut().unwrap().shift_remove(member);
        }
        document
    };
    let first = strip(describe(&mut stage, &arn));
    let again = stage.ok("RegisterTaskDefinition", first.clone());
    let again = again["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned();
    let second = strip(describe(&mut stage, &again));
    assert_eq!(first.to_string(), second.to_string(), "also in the order of its members");
    assert!(first.to_string().contains(r#""aMemberOfTomorrow":{"z":1,"a":[""]}"#));
}

#[test]
fn each_of_the_nine_is_refused_as_input() {
    let mut stage = Stage::new();
    for member in OUTPUT_ONLY {
        let mut input =
            json!({ "family": "web", "containerDefinitions": [{ "name": "a", "image": "i", "memory": 1 }] });
        input[member] = json!("x");
        let (_, message) = stage.refused("RegisterTaskDefinition", input);
        assert!(message.contains(member), "{message}");
    }
}

/// ecs-facts §2.3
#[test]
fn defaults_are_written_out() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |input| {
        input["networkMode"] = json!("awsvpc");
        input["cpu"] = json!("1 vCPU");
        input["memory"] = json!("2GB");
        input["executionRoleArn"] = json!("run");
        input["containerDefinitions"][0]["portMappings"] = json!([{ "containerPort": 80, "protocol": "TCP" }]);
        input["containerDefinitions"][0]["healthCheck"] = json!({ "command": ["CMD", "true"] });
        input["containerDefinitions"][0]["linuxParameters"] = json!({ "capabilities": { "drop": ["ALL"] } });
    });
    let document = describe(&mut stage, &arn);
    let container = &document["containerDefinitions"][0];
    for (pointer, expected) in [
        ("/cpu", json!("1024")),
        ("/memory", json!("2048")),
        ("/executionRoleArn", json!("arn:aws:iam::123456789012:role/run")),
        ("/revision", json!(1)),
        ("/status", json!("ACTIVE")),
        ("/compatibilities", json!(["EC2", "FARGATE"])),
    ] {
        assert_eq!(document.pointer(pointer), Some(&expected), "{pointer}");
    }
    for (pointer, expected) in [
        ("/essential", json!(true)),
        ("/cpu", json!(0)),
        ("/mountPoints", json!([])),
        ("/volumesFrom", json!([])),
        ("/environment", json!([])),
        ("/portMappings/0/protocol", json!("tcp")),
        ("/portMappings/0/hostPort", json!(80)),
        ("/healthCheck/interval", json!(30)),
        ("/healthCheck/timeout", json!(5)),
        ("/healthCheck/retries", json!(3)),
        ("/linuxParameters/capabilities/add", json!([])),
    ] {
        assert_eq!(container.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert_eq!(container.pointer("/healthCheck/startPeriod"), None);
    assert!(document.get("requiresCompatibilities").is_none(), "an input: not answered unless given");
}

#[test]
fn tags_are_a_sibling_and_only_when_asked_for() {
    let mut stage = Stage::new();
    let tags = json!([{ "key": "team", "value": "payments" }]);
    let arn = stage.register("web", |input| input["tags"] = tags.clone());
    let plain = stage.ok("DescribeTaskDefinition", json!({ "taskDefinition": arn }));
    assert!(plain.get("tags").is_none());
    let tagged = stage.ok("DescribeTaskDefinition", json!({ "taskDefinition": arn, "include": ["TAGS"] }));
    assert_eq!(tagged["tags"], tags);
    assert!(tagged["taskDefinition"].get("tags").is_none());
}

#[test]
fn numbers_only_grow_and_a_family_is_its_latest_active_revision() {
    let mut stage = Stage::new();
    for _ in 0..3 {
        stage.register("web", |_| {});
    }
    stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "web:3" }));
    assert_eq!(describe(&mut stage, "web")["revision"], 2);
    stage.ok("DeleteTaskDefinitions", json!({ "taskDefinitions": ["web:3"] }));
    assert!(stage.register("web", |_| {}).ends_with("web:4"), "numbers are never used again");
    assert_eq!(describe(&mut stage, "web")["revision"], 4);
}

#[test]
fn an_inactive_revision_can_be_described_and_runs_on_but_nothing_new_can_use_it() {
    let mut stage = Stage::new();
    let old = stage.web(1, |_| {});
    let new = stage.register("web", |_| {});
    stage.deploy(&new);
    stage.pass(600);
    let answer = stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": old }));
    assert_eq!(answer["taskDefinition"]["status"], "INACTIVE");
    assert!(describe(&mut stage, &old)["deregisteredAt"].is_f64());
    let update = json!({ "cluster": "prod", "service": "web", "taskDefinition": old });
    let refusal = ("ClientException", "TaskDefinition is inactive".to_owned());
    assert_eq!(stage.refused("UpdateService", update), refusal);
    assert_eq!(stage.refused("RunTask", json!({ "cluster": "prod", "taskDefinition": old })), refusal);
    stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": new }));
    stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 2 }));
    stage.pass(300);
    assert_eq!(stage.service()["runningCount"], 2, "services scale on an inactive revision");
}

#[test]
fn there_can_be_a_grace_of_ten_minutes() {
    let config =
        WorldConfig { throttle_percent: 0, inactive_grace: Duration::from_secs(600), ..WorldConfig::default() };
    let mut stage = Stage::with(config);
    let old = stage.web(1, |_| {});
    stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": old }));
    let update = json!({ "cluster": "prod", "service": "web", "taskDefinition": old });
    stage.ok("UpdateService", update.clone());
    stage.pass(600);
    assert_eq!(stage.refused("UpdateService", update).1, "TaskDefinition is inactive");
}

#[test]
fn inactive_revisions_can_be_forgotten_once_nothing_references_them() {
    let mut stage = Stage::with(WorldConfig { throttle_percent: 0, forget_inactive: true, ..WorldConfig::default() });
    let used = stage.web(1, |_| {});
    let unused = stage.register("web", |_| {});
    for arn in [&used, &unused] {
        stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": arn }));
    }
    assert_eq!(describe(&mut stage, &used)["status"], "INACTIVE");
    let refusal = stage.refused("DescribeTaskDefinition", json!({ "taskDefinition": unused }));
    assert_eq!(refusal, ("ClientException", "Unable to describe task definition.".to_owned()));
}

/// ecs-facts §2.4
#[test]
fn what_ecs_cannot_run_is_refused() {
    let fargate = |change: fn(&mut Value)| {
        let mut input = json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{ "name": "app", "image": "i" }],
        });
        change(&mut input);
        input
    };
    let ec2 = |change: fn(&mut Value)| {
        let mut input =
            json!({ "family": "web", "containerDefinitions": [{ "name": "app", "image": "i", "memory": 1 }] });
        change(&mut input);
        input
    };
    let mut stage = Stage::new();
    stage.ok("RegisterTaskDefinition", fargate(|_| {}));
    stage.ok("RegisterTaskDefinition", fargate(|input| input["pidMode"] = json!("task")));
    stage.ok("RegisterTaskDefinition", ec2(|input| input["pidMode"] = json!("host")));
    for (input, message) in [
        (fargate(|input| input["networkMode"] = json!("host")), "Fargate only supports network mode"),
        (fargate(|input| input["pidMode"] = json!("host")), "pidMode"),
        (fargate(|input| input["ipcMode"] = json!("task")), "ipcMode"),
        (fargate(|input| input["containerDefinitions"][0]["privileged"] = json!(true)), "privileged"),
        (fargate(|input| input["memory"] = json!("4096")), "No Fargate configuration exists for given values."),
        (fargate(|input| input["cpu"] = json!("300")), "No Fargate configuration exists for given values."),
        (
            fargate(|input| {
                input["containerDefinitions"][0]["linuxParameters"] =
                    json!({ "capabilities": { "add": ["NET_ADMIN"] } })
            }),
            "SYS_PTRACE",
        ),
        (fargate(|input| input["volumes"] = json!([{ "name": "v", "host": { "sourcePath": "/" } }])), "host source"),
        (
            ec2(|input| {
                input["containerDefinitions"][0].as_object_mut().unwrap().shift_remove("memory");
            }),
            "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        (ec2(|input| input["containerDefinitions"] = json!([])), "Container list cannot be empty"),
        (ec2(|input| input["containerDefinitions"][0]["essential"] = json!(false)), "essential"),
        (ec2(|input| input["family"] = json!("a b")), "Family contains invalid characters"),
        (ec2(|input| input["containerDefinitions"][0]["image"] = json!("app@sha256:12")), "Invalid image digest"),
        (ec2(|input| input["containerDefinitions"][0]["command"] = json!(["x".repeat(70_000)])), "65536"),
        (
            ec2(|input| {
                input["containerDefinitions"] =
                    (0..11).map(|number| json!({ "name": format!("c{number}"), "image": "i", "memory": 1 })).collect();
            }),
            "at most 10",
        ),
        (
            ec2(|input| {
                input["networkMode"] = json!("awsvpc");
                input["containerDefinitions"][0]["links"] = json!(["other"]);
            }),
            "Links are not supported",
        ),
    ] {
        let (code, said) = stage.refused("RegisterTaskDefinition", input);
        assert_eq!(code, "ClientException", "{said}");
        assert!(said.contains(message), "`{said}` does not say `{message}`");
    }
    assert_eq!(describe(&mut stage, "web")["revision"], 3, "a refusal uses up no number");
}

/// ecs-facts §2.2
#[test]
fn tags_have_limits_and_aws_keys_are_reserved_in_any_case() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |_| {});
    let tags = |count: usize| (0..count).map(|n| json!({ "key": format!("k{n}"), "value": "" })).collect::<Value>();
    stage.ok("TagResource", json!({ "resourceArn": arn, "tags": tags(50) }));
    stage.ok("TagResource", json!({ "resourceArn": arn, "tags": [{ "key": "k0", "value": "merged" }] }));
    for bad in [
        tags(51),
        json!([{ "key": "more", "value": "" }]),
        json!([{ "key": "AWS:x", "value": "" }]),
        json!([{ "key": "k".repeat(129) }]),
    ] {
        let (code, _) = stage.refused("TagResource", json!({ "resourceArn": arn, "tags": bad }));
        assert_eq!(code, "InvalidParameterException");
    }
    stage.world.stamp_tags(&arn, &[("aws:cloudformation:stack-name", "web")]);
    stage.ok("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["k1"] }));
    let listed = stage.ok("ListTagsForResource", json!({ "resourceArn": arn }));
    assert_eq!(listed["tags"].as_array().unwrap().len(), 50, "49 of ours and AWS's own");
    assert_eq!(listed["tags"][0], json!({ "key": "k0", "value": "merged" }));
    let (code, _) =
        stage.refused("UntagResource", json!({ "resourceArn": arn, "tagKeys": ["aws:cloudformation:stack-name"] }));
    assert_eq!(code, "InvalidParameterException");
}

#[test]
fn members_that_aws_learns_tomorrow_show_in_what_is_described() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |_| {});
    let planted = json!({ "assessedBy": "aws" });
    stage.world.plant(&arn, planted.as_object().unwrap().clone());
    assert_eq!(describe(&mut stage, &arn)["assessedBy"], "aws");
}

/// terraform-provider-aws, task_definition_equivalency.go
#[test]
fn lists_may_come_back_in_another_order_and_whole() {
    let mut stage = Stage::with(WorldConfig { throttle_percent: 0, reorder: true, ..WorldConfig::default() });
    let names: Vec<String> = (0..20).map(|number| format!("V{number:02}")).collect();
    let arn = stage.register("web", |input| {
        input["containerDefinitions"][0]["environment"] =
            names.iter().map(|name| json!({ "name": name, "value": "" })).collect();
    });
    let document = describe(&mut stage, &arn);
    let environment = document["containerDefinitions"][0]["environment"].as_array().unwrap();
    let mut seen: Vec<&str> = environment.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_ne!(seen, names);
    seen.sort_unstable();
    assert_eq!(seen, names);
}
