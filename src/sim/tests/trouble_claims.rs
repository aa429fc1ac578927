//! Deployments that do not go well (ecs-facts §3.4 to §3.6).

use serde_json::{Value, json};

use super::stage::{Stage, services_stable};

/// Revision 2 of `web` misbehaves: it is the one without `pidMode`.
fn stage(desired: u32, breaker: Value, effect: Value) -> (Stage, String, String) {
    let mut stage = Stage::new();
    let old = stage.register("web", |input| {
        input["pidMode"] = json!("host");
        input["containerDefinitions"][0]["healthCheck"] = json!({ "command": ["CMD", "true"] });
    });
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": old, "desiredCount": desired,
            "deploymentConfiguration": { "deploymentCircuitBreaker": breaker },
        }),
    );
    stage.pass(600);
    stage.misbehave(json!({ "family": "web", "when": [{ "pointer": "/pidMode" }], "effect": effect }));
    let new = stage.register("web", |input| {
        input["containerDefinitions"][0]["healthCheck"] = json!({ "command": ["CMD", "true"] });
    });
    (stage, old, new)
}

fn on() -> Value {
    json!({ "enable": true, "rollback": true })
}

#[test]
fn a_tripped_breaker_rolls_back_and_the_service_looks_stable_on_the_old_revision() {
    let (mut stage, old, new) = stage(2, on(), json!("crashOnStart"));
    let before = stage.service()["deployments"][0]["id"].clone();
    let arn = stage.deploy(&new);
    stage.pass(1800);
    let record = stage.record(&arn);
    assert_eq!(record["status"], "ROLLBACK_SUCCESSFUL");
    assert!(record["rollback"]["reason"].as_str().unwrap().contains("circuit breaker"));
    assert_eq!(record["rollback"]["serviceRevisionArn"], record["sourceServiceRevisions"][0]["arn"]);
    assert_eq!(record["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert_eq!(record["deploymentCircuitBreaker"]["threshold"], 3);
    assert!(record["deploymentCircuitBreaker"]["failureCount"].as_u64().unwrap() >= 3);
    let service = stage.service();
    assert!(services_stable(&service), "the trap: the waiter sees success (ecs-facts §3.6)");
    assert_eq!(service["taskDefinition"], json!(old));
    assert_eq!(service["deployments"][0]["id"], before, "the old deployment itself is PRIMARY again");
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn while_rolling_back_the_old_deployment_is_in_progress() {
    let (mut stage, old, new) = stage(2, on(), json!("crashOnStart"));
    let arn = stage.deploy(&new);
    for _ in 0..600 {
        stage.pass(1);
        if stage.record(&arn)["status"] == "ROLLBACK_IN_PROGRESS" {
            let service = stage.service();
            assert_eq!(service["deployments"][0]["taskDefinition"], json!(old));
            assert_eq!(service["deployments"][0]["rolloutState"], "IN_PROGRESS");
            assert_eq!(service["deployments"][1]["rolloutState"], "FAILED");
            return;
        }
    }
    panic!("it never rolled back");
}

#[test]
fn a_deployment_started_during_a_rollback_stalls_and_launches_nothing() {
    let (mut stage, _, new) = stage(2, on(), json!("neverHealthy"));
    let arn = stage.deploy(&new);
    for _ in 0..1000 {
        if stage.record(&arn)["status"] == "ROLLBACK_IN_PROGRESS" {
            break;
        }
        stage.pass(1);
    }
    let good = stage.register("web", |input| input["pidMode"] = json!("host"));
    let stalled = stage.deploy(&good);
    stage.pass(86_400);
    assert_eq!(stage.record(&stalled)["status"], "IN_PROGRESS");
    assert!(stage.record(&stalled)["statusReason"].as_str().unwrap().contains("stalled"));
    assert!(!stage.tasks("RUNNING").iter().any(|task| task["taskDefinitionArn"] == json!(good)));
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_FAILED");
    stage.ok("StopServiceDeployment", json!({ "serviceDeploymentArn": stalled, "stopType": "ROLLBACK" }));
    stage.pass(600);
    assert_eq!(stage.record(&stalled)["status"], "ROLLBACK_SUCCESSFUL", "a person can end it");
}

#[test]
fn what_is_deployed_after_a_rollback_has_failed_is_a_deployment_like_any_other() {
    let (mut stage, _, new) = stage(2, on(), json!("crashOnStart"));
    let arn = stage.deploy(&new);
    stage.misbehave(json!({ "family": "web", "when": [], "effect": "crashOnStart" }));
    for task in stage.tasks("RUNNING") {
        stage.world.kill_task(task["taskArn"].as_str().unwrap(), "SpotInterruption", "Your Spot Task was interrupted.");
    }
    stage.pass(1800);
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_FAILED");
    assert_eq!(stage.service()["deployments"][0]["rolloutState"], "FAILED");
    let fixed = stage.register("api", |_| {});
    let later = stage.deploy(&fixed);
    stage.pass(600);
    assert_eq!(stage.record(&later)["status"], "SUCCESSFUL");
    assert!(stage.tasks("RUNNING").iter().all(|task| task["taskDefinitionArn"] == json!(fixed)));
}

#[test]
fn without_a_breaker_a_failing_deployment_is_in_progress_for_ever() {
    let (mut stage, old, new) = stage(2, json!({ "enable": false, "rollback": false }), json!("crashOnStart"));
    let arn = stage.deploy(&new);
    stage.pass(7 * 86_400);
    let service = stage.service();
    assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS");
    assert_eq!(stage.record(&arn)["deploymentCircuitBreaker"]["status"], "DISABLED");
    assert!(service["deployments"][0]["failedTasks"].as_u64().unwrap() > 10);
    assert!(stage.heard("is unable to consistently start tasks successfully."));
    let running = stage.tasks("RUNNING");
    let kept = running.iter().filter(|task| task["taskDefinitionArn"] == json!(old) && task["lastStatus"] == "RUNNING");
    assert_eq!(kept.count(), 2, "the old tasks keep running");
}

#[test]
fn a_breaker_without_rollback_stops_and_leaves_it_there() {
    let (mut stage, old, new) = stage(2, json!({ "enable": true, "rollback": false }), json!("crashOnStart"));
    let arn = stage.deploy(&new);
    stage.pass(3600);
    assert_eq!(stage.record(&arn)["status"], "STOPPED");
    let service = stage.service();
    assert_eq!(service["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(service["taskDefinition"], json!(new), "it stays PRIMARY");
    assert!(stage.tasks("RUNNING").iter().all(|task| task["taskDefinitionArn"] == json!(old)));
}

#[test]
fn the_first_deployment_has_nothing_to_go_back_to() {
    let mut stage = Stage::new();
    stage.misbehave(json!({ "family": "web", "effect": "crashOnStart" }));
    stage.web(1, |input| input["deploymentConfiguration"] = json!({ "deploymentCircuitBreaker": on() }));
    stage.pass(3600);
    let arn = stage.service()["currentServiceDeployment"].as_str().unwrap().to_owned();
    let record = stage.record(&arn);
    assert_eq!(record["status"], "ROLLBACK_FAILED");
    assert!(record["statusReason"].as_str().unwrap().contains("No rollback candidate was found"));
}

/// aws/copilot-cli#1879: 0 is no proof of health.
#[test]
fn failed_tasks_stays_0_while_tasks_crash_after_they_ran() {
    let (mut stage, _, new) = stage(2, on(), json!({ "crashAfter": "5s" }));
    let arn = stage.deploy(&new);
    for _ in 0..120 {
        stage.pass(30);
        assert_eq!(stage.service()["deployments"][0]["failedTasks"], 0);
    }
    assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS");
    let crashed = stage.tasks("STOPPED").into_iter().filter(|task| task["stopCode"] == "EssentialContainerExited");
    assert!(crashed.count() > 3);
}

/// Stage 2 of the breaker: tasks run, but their health checks fail.
#[test]
fn failing_health_checks_trip_the_breaker_too() {
    let (mut stage, old, new) = stage(1, on(), json!("neverHealthy"));
    let arn = stage.deploy(&new);
    stage.pass(3600);
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(stage.service()["taskDefinition"], json!(old));
    let reasons = stage.tasks("STOPPED");
    assert!(reasons.iter().any(|task| task["stoppedReason"] == "Task failed container health checks"));
}

#[test]
fn a_deployment_that_gets_sick_later_has_succeeded_all_the_same() {
    let (mut stage, _, new) = stage(1, on(), json!({ "failHealthAfter": "20m" }));
    let arn = stage.deploy(&new);
    stage.pass(600);
    assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL");
    stage.pass(1200);
    let stopped = stage.tasks("STOPPED");
    assert!(stopped.iter().any(|task| task["stoppedReason"] == "Task failed container health checks"));
    assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL");
}

#[test]
fn a_stuck_task_waits_for_ever_without_a_failure() {
    let (mut stage, _, new) = stage(1, on(), json!("stuckProvisioning"));
    let arn = stage.deploy(&new);
    stage.pass(86_400);
    assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS");
    assert_eq!(stage.service()["deployments"][0]["failedTasks"], 0);
    assert_eq!(stage.service()["pendingCount"], 1);
}

#[test]
fn a_person_can_stop_a_deployment_and_it_goes_back_with_the_old_digests() {
    let mut stage = Stage::new();
    let old = stage.web(2, |_| {});
    let digest = stage.tasks("RUNNING")[0]["containers"][0]["imageDigest"].clone();
    stage.world.move_image("registry.example/app:1", &format!("sha256:{}", "c".repeat(64)));
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    stage.pass(10);
    stage.ok("StopServiceDeployment", json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" }));
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_REQUESTED");
    stage.pass(600);
    let record = stage.record(&arn);
    assert_eq!(record["status"], "ROLLBACK_SUCCESSFUL");
    assert!(record["stoppedAt"].is_f64());
    assert_eq!(stage.service()["taskDefinition"], json!(old));
    for task in stage.tasks("RUNNING") {
        assert_eq!((&task["taskDefinitionArn"], &task["containers"][0]["imageDigest"]), (&json!(old), &digest));
    }
    let (code, _) = stage.refused("StopServiceDeployment", json!({ "serviceDeploymentArn": arn }));
    assert_eq!(code, "ConflictException", "it has ended");
    let (code, _) = stage.refused("StopServiceDeployment", json!({ "serviceDeploymentArn": format!("{arn}x") }));
    assert_eq!(code, "ServiceDeploymentNotFoundException");
}

/// ecs-facts §3.8: the old digest may have been deleted.
#[test]
fn a_rollback_to_an_image_that_is_gone_fails() {
    let (mut stage, old, new) = stage(1, on(), json!("crashOnStart"));
    stage.ok(
        "UpdateService",
        json!({
            "cluster": "prod", "service": "web",
            "deploymentConfiguration": { "minimumHealthyPercent": 0, "maximumPercent": 100 },
        }),
    );
    let digest = stage.tasks("RUNNING")[0]["containers"][0]["imageDigest"].as_str().unwrap().to_owned();
    stage.world.lose_image(&digest);
    let arn = stage.deploy(&new);
    stage.pass(4 * 3600);
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_FAILED");
    assert_eq!(stage.service()["taskDefinition"], json!(old));
    let stopped = stage.tasks("STOPPED");
    let says = |task: &Value| task["stoppedReason"].as_str().unwrap_or("").starts_with("CannotPullContainerError");
    assert!(stopped.iter().any(says) || stage.service()["deployments"][0]["rolloutState"] == "FAILED");
}

/// `Deployment.failedTasks` and the breaker count differently.
#[test]
fn failed_tasks_is_0_again_once_a_task_runs_while_the_breaker_goes_on_counting() {
    let (mut stage, _, new) = stage(1, on(), json!("neverHealthy"));
    let arn = stage.deploy(&new);
    for _ in 0..3600 {
        stage.pass(1);
        let counted = stage.record(&arn)["deploymentCircuitBreaker"]["failureCount"].as_u64().unwrap();
        if counted == 2 && stage.service()["deployments"][0]["failedTasks"] == 0 {
            return;
        }
    }
    panic!("the two counts never differed");
}

#[test]
fn a_healthy_task_sets_the_breaker_back_unless_it_is_told_not_to() {
    for (resets, expected) in [(true, 0), (false, 1)] {
        let mut breaker = on();
        breaker["resetOnHealthyTask"] = json!(resets);
        let (mut stage, _, new) = stage(1, breaker, json!("crashOnStart"));
        let arn = stage.deploy(&new);
        let count =
            |stage: &mut Stage| stage.record(&arn)["deploymentCircuitBreaker"]["failureCount"].as_u64().unwrap();
        for _ in 0..300 {
            stage.pass(1);
            if count(&mut stage) == 1 {
                break;
            }
        }
        stage.world.behave();
        stage.pass(600);
        assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL");
        assert_eq!(count(&mut stage), expected, "resetOnHealthyTask {resets}");
    }
}

#[test]
fn a_rollback_takes_as_long_to_be_sure_as_any_deployment() {
    let (mut stage, _, new) = stage(2, on(), json!("crashOnStart"));
    let arn = stage.deploy(&new);
    let mut rolling_back = 0;
    for _ in 0..1200 {
        stage.pass(1);
        match stage.record(&arn)["status"].as_str().unwrap() {
            "ROLLBACK_IN_PROGRESS" => rolling_back += 1,
            "ROLLBACK_SUCCESSFUL" => break,
            _ => {}
        }
    }
    assert!(rolling_back >= 10, "{rolling_back} s");
}

#[test]
fn what_belongs_to_the_service_revision_comes_back_with_a_rollback() {
    let mut stage = Stage::new();
    let network =
        |public: &str| json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"], "assignPublicIp": public } });
    let old = stage.register("web", |input| input["networkMode"] = json!("awsvpc"));
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": old, "desiredCount": 1,
            "networkConfiguration": network("ENABLED"),
        }),
    );
    stage.pass(600);
    let answer = stage.ok(
        "UpdateService",
        json!({
            "cluster": "prod", "service": "web", "networkConfiguration": network("DISABLED"), "desiredCount": 2,
        }),
    );
    let arn = answer["service"]["currentServiceDeployment"].clone();
    stage.ok("StopServiceDeployment", json!({ "serviceDeploymentArn": arn }));
    stage.pass(600);
    let service = stage.service();
    assert_eq!(service["networkConfiguration"], network("ENABLED"));
    assert_eq!(service["desiredCount"], 2, "the count does not belong to it");
}

/// "if the service scheduler can't launch the task" (`Deployment.failedTasks`).
#[test]
fn tasks_that_find_no_place_count_as_failed() {
    let mut stage = Stage::new();
    stage.world.set_instances("prod", 1);
    let pinned = |input: &mut Value| {
        input["containerDefinitions"][0]["portMappings"] = json!([{ "containerPort": 80, "hostPort": 80 }]);
    };
    let old = stage.register("web", pinned);
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": old, "desiredCount": 1,
            "deploymentConfiguration": { "deploymentCircuitBreaker": on() },
        }),
    );
    stage.pass(600);
    let new = stage.register("web", pinned);
    let arn = stage.deploy(&new);
    stage.pass(3600);
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(stage.service()["taskDefinition"], json!(old));
}

/// `HealthCheck.startPeriod`: failures in it do not count; the slowest container decides here.
#[test]
fn a_start_period_is_waited_for_before_a_task_is_unhealthy() {
    let mut stage = Stage::new();
    stage.misbehave(json!({ "family": "web", "effect": "neverHealthy" }));
    let arn = stage.register("web", |input| {
        let mut slow = input["containerDefinitions"][0].clone();
        slow["name"] = json!("slow");
        slow["healthCheck"] = json!({ "command": ["CMD", "true"], "startPeriod": 300, "interval": 30, "retries": 3 });
        input["containerDefinitions"][0]["healthCheck"] = json!({ "command": ["CMD", "true"] });
        input["containerDefinitions"].as_array_mut().unwrap().push(slow);
    });
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": arn, "desiredCount": 1,
        }),
    );
    stage.pass(390);
    assert_eq!(stage.tasks("RUNNING")[0]["healthStatus"], "UNKNOWN");
    assert!(stage.tasks("STOPPED").is_empty(), "it is still the first one");
    stage.pass(120);
    assert_eq!(stage.tasks("STOPPED")[0]["stoppedReason"], "Task failed container health checks");
}
