//! Rolling deployments of tasks that do well (ecs-facts §3.1, §3.3, §3.5).

use serde_json::{Value, json};

use super::stage::Stage;

fn texts<'a>(list: &'a [Value], member: &str) -> Vec<&'a str> {
    list.iter().map(|one| one[member].as_str().unwrap()).collect()
}

#[test]
fn a_new_service_reaches_a_steady_state() {
    let mut stage = Stage::new();
    let arn = stage.web(3, |_| {});
    let service = stage.service();
    assert_eq!((&service["runningCount"], &service["pendingCount"]), (&json!(3), &json!(0)));
    let deployments = service["deployments"].as_array().unwrap();
    assert_eq!(texts(deployments, "rolloutState"), ["COMPLETED"]);
    assert_eq!(deployments[0]["taskDefinition"], json!(arn));
    assert!(stage.heard("(service web) has reached a steady state."));
}

#[test]
fn the_answer_of_update_service_has_the_new_deployment_already() {
    let mut stage = Stage::new();
    let old = stage.web(2, |_| {});
    let new = stage.register("web", |_| {});
    let answer = stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": new }));
    let deployments = answer["service"]["deployments"].as_array().unwrap();
    assert_eq!(texts(deployments, "taskDefinition"), [new.as_str(), old.as_str()]);
    assert_eq!(texts(deployments, "status"), ["PRIMARY", "ACTIVE"]);
    assert_eq!(texts(deployments, "rolloutState"), ["IN_PROGRESS", "COMPLETED"]);
    assert_eq!(answer["service"]["taskDefinition"], json!(new));
}

#[test]
fn a_deployment_that_succeeds_moves_every_task_and_its_record_says_so() {
    let mut stage = Stage::new();
    let old = stage.web(2, |_| {});
    let source = stage.service()["currentServiceRevisions"][0]["arn"].clone();
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    assert_eq!(stage.record(&arn)["status"], "PENDING");
    stage.pass(5);
    assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS");
    stage.pass(600);
    let record = stage.record(&arn);
    assert_eq!(record["status"], "SUCCESSFUL");
    assert_eq!(record["sourceServiceRevisions"][0]["arn"], source);
    assert!(record["finishedAt"].is_f64(), "timestamps are seconds since the epoch");
    let target = record["targetServiceRevision"]["arn"].clone();
    let revisions = stage.ok("DescribeServiceRevisions", json!({ "serviceRevisionArns": [target, source] }));
    assert_eq!(
        texts(revisions["serviceRevisions"].as_array().unwrap(), "taskDefinition"),
        [new.as_str(), old.as_str()]
    );
    let id = stage.service()["deployments"][0]["id"].clone();
    let tasks = stage.tasks("RUNNING");
    assert_eq!(tasks.len(), 2);
    for task in tasks {
        assert_eq!((&task["taskDefinitionArn"], &task["lastStatus"]), (&json!(new), &json!("RUNNING")));
        assert_eq!(task["startedBy"], id, "startedBy is the deployment's id");
        assert!(id.as_str().unwrap().starts_with("ecs-svc/"));
    }
}

/// ListTasks filters on desiredStatus, so what drains does not show (ecs-facts §3.7).
#[test]
fn a_draining_task_of_the_old_revision_is_hidden_by_the_default_filter() {
    let mut stage = Stage::new();
    let old = stage.web(2, |input| {
        input["loadBalancers"] = json!([{ "targetGroupArn": "t", "containerName": "app", "containerPort": 80 }])
    });
    let new = stage.register("web", |_| {});
    stage.deploy(&new);
    for _ in 0..300 {
        stage.pass(1);
        let draining = |task: &Value| task["taskDefinitionArn"] == json!(old) && task["lastStatus"] == "DEACTIVATING";
        if stage.tasks("STOPPED").iter().any(draining) {
            let shown = stage.tasks("RUNNING");
            assert!(!shown.iter().any(|task| task["lastStatus"] == "DEACTIVATING"));
            return;
        }
    }
    panic!("no task ever drained");
}

#[test]
fn one_task_with_100_and_100_percent_deadlocks() {
    let mut stage = Stage::new();
    stage.web(1, |input| {
        input["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 100, "maximumPercent": 100 })
    });
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    stage.pass(86_400);
    assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS");
    assert_eq!(stage.service()["deployments"].as_array().unwrap().len(), 2);
    assert!(stage.heard(
        "was unable to stop or start tasks during a deployment because of the service deployment configuration"
    ));
}

/// Host networking with port mappings: one task per instance (ecs-facts §3.3).
#[test]
fn a_pinned_host_port_deadlocks_on_one_instance_unless_the_old_task_may_stop_first() {
    for (minimum, status) in [(100, "IN_PROGRESS"), (0, "SUCCESSFUL")] {
        let mut stage = Stage::new();
        stage.world.set_instances("prod", 1);
        let pinned = |input: &mut Value| {
            input["networkMode"] = json!("host");
            input["containerDefinitions"][0]["portMappings"] = json!([{ "containerPort": 8080 }]);
        };
        let old = stage.register("web", pinned);
        stage.ok("CreateService", json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": old, "desiredCount": 1,
            "deploymentConfiguration": { "minimumHealthyPercent": minimum, "maximumPercent": if minimum == 0 { 100 } else { 200 } },
        }));
        stage.pass(600);
        let new = stage.register("web", pinned);
        let arn = stage.deploy(&new);
        stage.pass(3600);
        assert_eq!(stage.record(&arn)["status"], status, "minimum {minimum}");
        assert_eq!(stage.heard("already using a port required by your task"), minimum == 100);
    }
}

#[test]
fn a_daemon_runs_one_task_per_instance_and_stops_old_ones_first() {
    let mut stage = Stage::new();
    stage.world.set_instances("prod", 3);
    let old = stage.register("web", |_| {});
    let input =
        json!({ "cluster": "prod", "serviceName": "web", "taskDefinition": old, "schedulingStrategy": "DAEMON" });
    stage.ok("CreateService", input);
    stage.pass(600);
    let service = stage.service();
    assert_eq!((&service["desiredCount"], &service["runningCount"]), (&json!(3), &json!(3)));
    assert_eq!(service["deploymentConfiguration"]["minimumHealthyPercent"], 0, "ecs-facts §3.3");
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    let mut lowest = 3;
    for _ in 0..120 {
        stage.pass(5);
        lowest = lowest.min(stage.service()["runningCount"].as_u64().unwrap());
        let tasks = stage.tasks("RUNNING");
        let mut places = texts(&tasks, "containerInstanceArn");
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), tasks.len(), "two tasks of a DAEMON service share an instance");
    }
    assert_eq!(lowest, 0);
    assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL");
}

#[test]
fn a_service_with_desired_count_0_deploys_without_running_anything() {
    let mut stage = Stage::new();
    stage.web(0, |_| {});
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    stage.pass(60);
    assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL");
    assert!(stage.tasks("RUNNING").is_empty() && stage.tasks("STOPPED").is_empty());
}

#[test]
fn a_bake_time_keeps_the_deployment_in_progress() {
    let mut stage = Stage::new();
    stage.web(1, |input| input["deploymentConfiguration"] = json!({ "bakeTimeInMinutes": 10 }));
    stage.pass(3600);
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    stage.pass(400);
    let record = stage.record(&arn);
    assert_eq!((&record["status"], &record["lifecycleStage"]), (&json!("IN_PROGRESS"), &json!("BAKE_TIME")));
    stage.pass(600);
    assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL");
}

#[test]
fn a_deployment_that_replaces_another_stops_it() {
    let mut stage = Stage::new();
    stage.web(2, |_| {});
    let (two, three) = (stage.register("web", |_| {}), stage.register("web", |_| {}));
    let first = stage.deploy(&two);
    stage.pass(10);
    let second = stage.deploy(&three);
    assert_eq!(stage.record(&first)["status"], "STOPPED");
    stage.pass(600);
    assert_eq!(stage.record(&second)["status"], "SUCCESSFUL");
    let listed = stage.ok("ListServiceDeployments", json!({ "cluster": "prod", "service": "web" }));
    let listed = texts(listed["serviceDeployments"].as_array().unwrap(), "status").join(" ");
    assert_eq!(listed, "SUCCESSFUL STOPPED SUCCESSFUL", "newest first");
}

/// A mutable tag is resolved again by every new deployment (ecs-facts §3.8).
#[test]
fn a_tag_that_moved_ships_another_image_with_the_next_deployment_and_only_then() {
    let mut stage = Stage::new();
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    stage.world.move_image("registry.example/app:1", &digest("a"));
    stage.web(1, |_| {});
    stage.world.move_image("registry.example/app:1", &digest("b"));
    let task = stage.tasks("RUNNING").remove(0);
    stage.ok("StopTask", json!({ "cluster": "prod", "task": task["taskArn"] }));
    stage.pass(300);
    let shown = |stage: &mut Stage| stage.tasks("RUNNING")[0]["containers"][0]["imageDigest"].clone();
    assert_eq!(shown(&mut stage), json!(digest("a")), "a replaced task keeps the revision's digest");
    stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "forceNewDeployment": true }));
    stage.pass(600);
    assert_eq!(shown(&mut stage), json!(digest("b")));
    let arn = stage.service()["currentServiceRevisions"][0]["arn"].clone();
    let revision = stage.ok("DescribeServiceRevisions", json!({ "serviceRevisionArns": [arn] }));
    let image = &revision["serviceRevisions"][0]["containerImages"][0];
    assert_eq!(
        image,
        &json!({ "containerName": "app", "image": "registry.example/app:1", "imageDigest": digest("b") })
    );
}

#[test]
fn a_service_scales_both_ways_without_a_deployment() {
    let mut stage = Stage::new();
    stage.web(2, |_| {});
    let before = stage.service()["deployments"][0]["id"].clone();
    for count in [5, 1] {
        stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": count }));
        stage.pass(300);
        let service = stage.service();
        assert_eq!((&service["runningCount"], &service["deployments"][0]["id"]), (&json!(count), &before));
    }
}

/// ecs-facts §3.8: `versionConsistency` disabled opts out.
#[test]
fn a_container_without_version_consistency_resolves_its_tag_for_every_task() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |input| input["containerDefinitions"][0]["versionConsistency"] = json!("disabled"));
    let input = json!({ "cluster": "prod", "serviceName": "web", "taskDefinition": arn, "desiredCount": 1 });
    stage.ok("CreateService", input);
    stage.pass(300);
    let moved = format!("sha256:{}", "d".repeat(64));
    stage.world.move_image("registry.example/app:1", &moved);
    let task = stage.tasks("RUNNING").remove(0);
    stage.ok("StopTask", json!({ "cluster": "prod", "task": task["taskArn"] }));
    stage.pass(300);
    assert_eq!(stage.tasks("RUNNING")[0]["containers"][0]["imageDigest"], json!(moved));
}
