//! Pages, batches, filters and failures (ecs-facts §4.1).

use serde_json::{Value, json};

use super::super::WorldConfig;
use super::stage::Stage;

fn pages(stage: &mut Stage, operation: &str, member: &str, input: Value) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut all, mut input) = (Vec::new(), Vec::new(), input);
    loop {
        let answer = stage.ok(operation, input.clone());
        let items = answer[member].as_array().unwrap().clone();
        sizes.push(items.len());
        all.extend(items);
        match answer.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => return (sizes, all),
        }
    }
}

#[test]
fn list_services_has_pages_of_10_unless_asked() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |_| {});
    for number in 0..25 {
        stage.ok(
            "CreateService",
            json!({
                "cluster": "prod", "serviceName": format!("s{number:02}"), "taskDefinition": arn, "desiredCount": 0,
            }),
        );
    }
    let (sizes, all) = pages(&mut stage, "ListServices", "serviceArns", json!({ "cluster": "prod" }));
    assert_eq!((sizes, all.len()), (vec![10, 10, 5], 25));
    let (sizes, _) = pages(&mut stage, "ListServices", "serviceArns", json!({ "cluster": "prod", "maxResults": 100 }));
    assert_eq!(sizes, [25]);
    for wrong in [0, 101] {
        stage.refused("ListServices", json!({ "cluster": "prod", "maxResults": wrong }));
    }
    stage.refused("ListServices", json!({ "cluster": "prod", "nextToken": "?" }));
}

#[test]
fn list_task_definitions_orders_by_family_and_number_both_ways() {
    let mut stage = Stage::new();
    for family in ["b", "a"] {
        for _ in 0..11 {
            stage.register(family, |_| {});
        }
    }
    let shorts = |all: Vec<Value>| -> Vec<String> {
        all.iter().map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    };
    let (sizes, all) = pages(&mut stage, "ListTaskDefinitions", "taskDefinitionArns", json!({ "maxResults": 7 }));
    assert_eq!(sizes, [7, 7, 7, 1]);
    let ascending = shorts(all);
    assert_eq!(ascending[9..13], ["a:10", "a:11", "b:1", "b:2"]);
    let input = json!({ "familyPrefix": "a", "sort": "DESC", "maxResults": 4 });
    let (_, all) = pages(&mut stage, "ListTaskDefinitions", "taskDefinitionArns", input);
    let expected: Vec<String> = (1..=11).rev().map(|number| format!("a:{number}")).collect();
    assert_eq!(shorts(all), expected, "over pages, each exactly once");
    stage.ok("DeregisterTaskDefinition", json!({ "taskDefinition": "a:11" }));
    let (_, all) = pages(&mut stage, "ListTaskDefinitions", "taskDefinitionArns", json!({ "status": "INACTIVE" }));
    assert_eq!(shorts(all), ["a:11"]);
}

#[test]
fn batches_have_their_limits() {
    let mut stage = Stage::new();
    for (operation, member, most) in [
        ("DescribeServices", "services", 10),
        ("DescribeTasks", "tasks", 100),
        ("DescribeClusters", "clusters", 100),
        ("DescribeServiceDeployments", "serviceDeploymentArns", 20),
        ("DescribeServiceRevisions", "serviceRevisionArns", 20),
    ] {
        for (count, fits) in [(most, true), (most + 1, false)] {
            let mut input = json!({ member: vec!["x"; count] });
            if matches!(operation, "DescribeServices" | "DescribeTasks") {
                input["cluster"] = json!("prod");
            }
            match stage.call(operation, input) {
                Ok(answer) => assert!(fits && answer["failures"][0]["reason"] == "MISSING", "{operation} {count}"),
                Err(error) => {
                    assert!(!fits && error.code == "InvalidParameterException", "{operation} {count} {error}")
                }
            }
        }
    }
}

#[test]
fn describe_services_has_tags_only_when_asked() {
    let mut stage = Stage::new();
    stage.web(0, |input| input["tags"] = json!([{ "key": "env", "value": "prod" }]));
    assert!(stage.service().get("tags").is_none());
    let query = json!({ "cluster": "prod", "services": ["web"], "include": ["TAGS"] });
    assert_eq!(stage.ok("DescribeServices", query)["services"][0]["tags"][0]["key"], "env");
}

#[test]
fn a_missing_cluster_is_an_error_and_a_missing_service_a_failure() {
    let mut stage = Stage::new();
    let refusal = stage.refused("DescribeServices", json!({ "cluster": "nowhere", "services": ["web"] }));
    assert_eq!(refusal, ("ClusterNotFoundException", "Cluster not found.".to_owned()));
    let answer = stage.ok("DescribeServices", json!({ "cluster": "prod", "services": ["web"] }));
    let expected = json!([{ "arn": "arn:aws:ecs:eu-west-1:123456789012:service/prod/web", "reason": "MISSING" }]);
    assert_eq!(answer["failures"], expected);
    let refusal = stage.refused("UpdateService", json!({ "cluster": "prod", "service": "web" }));
    assert_eq!(refusal, ("ServiceNotFoundException", "Service not found.".to_owned()));
}

#[test]
fn started_by_must_be_the_only_filter() {
    let mut stage = Stage::new();
    stage.web(1, |_| {});
    let starter = stage.service()["deployments"][0]["id"].clone();
    let found = stage.ok("ListTasks", json!({ "cluster": "prod", "startedBy": starter }));
    assert_eq!(found["taskArns"].as_array().unwrap().len(), 1);
    stage.refused("ListTasks", json!({ "cluster": "prod", "startedBy": starter, "family": "web" }));
    let none = stage.ok("ListTasks", json!({ "cluster": "prod", "desiredStatus": "PENDING" }));
    assert_eq!(none["taskArns"], json!([]));
}

#[test]
fn standalone_tasks_keep_running_the_old_revision() {
    let mut stage = Stage::new();
    let old = stage.register("web", |_| {});
    let ran = stage.ok("RunTask", json!({ "cluster": "prod", "taskDefinition": "web", "startedBy": "cron" }));
    assert_eq!(ran["tasks"][0]["group"], "family:web");
    stage.register("web", |_| {});
    stage.pass(3600);
    let found = stage.ok("ListTasks", json!({ "cluster": "prod", "family": "web" }))["taskArns"].take();
    let task = stage.ok("DescribeTasks", json!({ "cluster": "prod", "tasks": found }))["tasks"][0].take();
    assert_eq!((&task["taskDefinitionArn"], &task["lastStatus"]), (&json!(old), &json!("RUNNING")));
    stage.ok("StopTask", json!({ "cluster": "prod", "task": task["taskArn"], "reason": "enough" }));
    stage.pass(60);
    let query = json!({ "cluster": "prod", "tasks": [task["taskArn"]] });
    let stopped = stage.ok("DescribeTasks", query.clone())["tasks"][0].take();
    assert_eq!((&stopped["lastStatus"], &stopped["stoppedReason"]), (&json!("STOPPED"), &json!("enough")));
    stage.pass(3600);
    assert_eq!(stage.ok("DescribeTasks", query)["failures"][0]["reason"], "MISSING", "after an hour it is forgotten");
}

#[test]
fn unknown_operations_and_members_are_refused() {
    let mut stage = Stage::new();
    assert_eq!(stage.refused("UpdateTaskSet", json!({})).0, "UnknownOperationException");
    assert_eq!(stage.refused("ListClusters", json!({ "maxResult": 1 })).0, "ClientException");
    assert_eq!(stage.refused("ListClusters", json!({ "maxResults": "1" })).0, "SerializationException");
    let lenient = WorldConfig { strict: false, ..WorldConfig::default() };
    Stage::with(lenient).ok("ListClusters", json!({ "maxResult": 1 }));
}

#[test]
fn callers_are_throttled_and_others_calls_are_not() {
    let mut stage = Stage::with(WorldConfig::default());
    let input = json!({ "family": "web", "containerDefinitions": [{ "name": "a", "image": "i", "memory": 1 }] });
    let done = (0..30).filter(|_| stage.call("RegisterTaskDefinition", input.clone()).is_ok()).count();
    assert_eq!(done, 20, "ecs-facts §4.2");
    assert_eq!(
        stage.refused("RegisterTaskDefinition", input.clone()),
        ("ThrottlingException", "Rate exceeded".to_owned())
    );
    let soon = stage.now;
    stage.world.call_later(soon, "RegisterTaskDefinition", input);
    stage.pass(1);
    let found = stage.ok("DescribeTaskDefinition", json!({ "taskDefinition": "web" }));
    assert_eq!(found["taskDefinition"]["revision"], 21);
}
