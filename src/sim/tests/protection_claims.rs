//! Scale-in protection (botocore ecs/2014-11-13, `UpdateTaskProtection`).

use serde_json::{Value, json};

use super::stage::Stage;

fn arns(tasks: &[Value]) -> Vec<Value> {
    tasks.iter().map(|task| task["taskArn"].clone()).collect()
}

fn protect(stage: &mut Stage, tasks: &[Value], minutes: u32) -> Value {
    let input =
        json!({ "cluster": "prod", "tasks": arns(tasks), "protectionEnabled": true, "expiresInMinutes": minutes });
    stage.ok("UpdateTaskProtection", input)
}

#[test]
fn a_deployment_waits_for_protected_tasks_and_stops_them_when_it_ends() {
    let mut stage = Stage::new();
    let old = stage.web(2, |_| {});
    let before = stage.tasks("RUNNING");
    let shown = protect(&mut stage, &before[..1], 30);
    assert_eq!(shown["protectedTasks"][0]["protectionEnabled"], true);
    let new = stage.register("web", |_| {});
    let record = stage.deploy(&new);
    stage.pass(25 * 60);
    let running = stage.tasks("RUNNING");
    let on = |arn: &str| running.iter().filter(|task| task["taskDefinitionArn"] == json!(arn)).count();
    assert_eq!((on(&old), on(&new)), (1, 2), "the one that is not protected was replaced");
    assert_eq!(stage.record(&record)["status"], "IN_PROGRESS");
    stage.pass(10 * 60);
    assert_eq!(stage.record(&record)["status"], "SUCCESSFUL");
    assert!(stage.tasks("RUNNING").iter().all(|task| task["taskDefinitionArn"] == json!(new)));
}

#[test]
fn scaling_in_spares_protected_tasks_and_stopping_one_does_not() {
    let mut stage = Stage::new();
    stage.web(3, |_| {});
    let tasks = stage.tasks("RUNNING");
    protect(&mut stage, &tasks[..2], 60);
    stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 0 }));
    stage.pass(600);
    assert_eq!(arns(&stage.tasks("RUNNING")), arns(&tasks[..2]));
    let end = json!({ "cluster": "prod", "tasks": [tasks[0]["taskArn"]], "protectionEnabled": false });
    stage.ok("UpdateTaskProtection", end);
    stage.ok("StopTask", json!({ "cluster": "prod", "task": tasks[1]["taskArn"] }));
    stage.pass(600);
    assert!(stage.tasks("RUNNING").is_empty());
}

#[test]
fn protection_is_shown_until_it_ends_and_only_of_tasks_of_services() {
    let mut stage = Stage::new();
    let web = stage.web(1, |_| {});
    let task = stage.tasks("RUNNING").remove(0);
    let ran = stage.ok("RunTask", json!({ "cluster": "prod", "taskDefinition": web }))["tasks"][0]["taskArn"].clone();
    let query = json!({ "cluster": "prod", "tasks": [task["taskArn"], ran, "0123"] });
    let told = |stage: &mut Stage| {
        let answer = stage.ok("GetTaskProtection", query.clone());
        let reasons: Vec<&str> =
            answer["failures"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["TASK_NOT_VALID", "MISSING"]);
        (
            answer["protectedTasks"][0]["protectionEnabled"] == true,
            answer["protectedTasks"][0].get("expirationDate").is_some(),
        )
    };
    assert_eq!(told(&mut stage), (false, false));
    let input = json!({ "cluster": "prod", "tasks": [task["taskArn"]], "protectionEnabled": true });
    stage.ok("UpdateTaskProtection", input);
    stage.pass(119 * 60);
    assert_eq!(told(&mut stage), (true, true), "two hours, unless asked otherwise");
    stage.pass(60);
    assert_eq!(told(&mut stage), (false, false));
    for wrong in [0, 2881] {
        let input = json!({ "cluster": "prod", "tasks": ["a"], "protectionEnabled": true, "expiresInMinutes": wrong });
        stage.refused("UpdateTaskProtection", input);
    }
    let many: Vec<String> = (0..11).map(|number| number.to_string()).collect();
    stage.refused("UpdateTaskProtection", json!({ "cluster": "prod", "tasks": many, "protectionEnabled": true }));
}
