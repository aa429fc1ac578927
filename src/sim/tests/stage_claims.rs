//! What deployments wait for besides their tasks (ecs-facts §3.2), and what else can end them.

use serde_json::{Value, json};

use super::super::{Pace, Range, WorldConfig};
use super::stage::Stage;

/// `web` with two tasks and `configuration`, some time after it was created.
fn stage(configuration: Value) -> (Stage, String, String) {
    let mut stage = Stage::new();
    let old = stage.web(2, |_| {});
    stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "deploymentConfiguration": configuration }));
    let new = stage.register("web", |_| {});
    (stage, old, new)
}

fn running(stage: &mut Stage, arn: &str) -> usize {
    let tasks = stage.tasks("RUNNING");
    tasks.iter().filter(|task| task["taskDefinitionArn"] == json!(arn) && task["lastStatus"] == "RUNNING").count()
}

#[test]
fn blue_green_linear_and_canary_run_both_sets_until_their_time_is_over() {
    for (configuration, minutes) in [
        (json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 20 }), 20),
        (
            json!({ "strategy": "LINEAR", "bakeTimeInMinutes": 5, "linearConfiguration": { "stepPercent": 25.0, "stepBakeTimeInMinutes": 10 } }),
            35,
        ),
        (json!({ "strategy": "CANARY", "bakeTimeInMinutes": 0 }), 10),
    ] {
        let (mut stage, old, new) = stage(configuration.clone());
        let arn = stage.deploy(&new);
        stage.pass(180);
        assert_eq!((running(&mut stage, &old), running(&mut stage, &new)), (2, 2), "{configuration}");
        assert_eq!(stage.record(&arn)["lifecycleStage"], "BAKE_TIME");
        stage.pass(minutes * 60 - 240);
        assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS", "{configuration}");
        stage.pass(600);
        assert_eq!(stage.record(&arn)["status"], "SUCCESSFUL", "{configuration}");
        assert_eq!((running(&mut stage, &old), running(&mut stage, &new)), (0, 2), "{configuration}");
    }
}

#[test]
fn a_blue_green_deployment_that_is_stopped_leaves_the_old_tasks_alone() {
    let (mut stage, old, new) = stage(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 20 }));
    let before: Vec<Value> = stage.tasks("RUNNING").iter().map(|task| task["taskArn"].clone()).collect();
    let arn = stage.deploy(&new);
    stage.pass(300);
    stage.ok("StopServiceDeployment", json!({ "serviceDeploymentArn": arn }));
    stage.pass(300);
    assert_eq!(stage.record(&arn)["status"], "ROLLBACK_SUCCESSFUL");
    let after: Vec<Value> = stage.tasks("RUNNING").iter().map(|task| task["taskArn"].clone()).collect();
    assert_eq!((before, stage.service()["taskDefinition"].clone()), (after, json!(old)));
}

#[test]
fn a_pause_hook_holds_the_deployment_until_somebody_says_so() {
    let hooks = json!([{ "targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"] }]);
    for (action, status) in [("CONTINUE", "SUCCESSFUL"), ("ROLLBACK", "ROLLBACK_SUCCESSFUL")] {
        let (mut stage, _, new) = stage(json!({ "lifecycleHooks": hooks }));
        let arn = stage.deploy(&new);
        stage.pass(3600);
        let record = stage.record(&arn);
        assert_eq!((&record["status"], &record["lifecycleStage"]), (&json!("IN_PROGRESS"), &json!("PRE_SCALE_UP")));
        let hook = &record["lifecycleHookDetails"][0];
        assert_eq!((&hook["status"], &hook["timeoutAction"]), (&json!("AWAITING_ACTION"), &json!("ROLLBACK")));
        assert_eq!(running(&mut stage, &new), 0);
        let input = json!({ "serviceDeploymentArn": arn, "hookId": hook["hookId"], "action": action });
        stage.ok("ContinueServiceDeployment", input.clone());
        stage.pass(600);
        assert_eq!(stage.record(&arn)["status"], status);
        assert_eq!(stage.refused("ContinueServiceDeployment", input).0, "InvalidParameterException");
    }
}

#[test]
fn a_pause_hook_that_nobody_answers_goes_back_after_a_day_unless_it_says_otherwise() {
    for (timeout, seconds, status) in [
        (json!({}), 86_400, "ROLLBACK_SUCCESSFUL"),
        (json!({ "timeoutInMinutes": 30, "action": "CONTINUE" }), 1800, "SUCCESSFUL"),
    ] {
        let hook =
            json!({ "targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"], "timeoutConfiguration": timeout });
        let (mut stage, _, new) = stage(json!({ "lifecycleHooks": [hook] }));
        let arn = stage.deploy(&new);
        stage.pass(seconds - 300);
        assert_eq!(stage.record(&arn)["status"], "IN_PROGRESS");
        stage.pass(900);
        assert_eq!(stage.record(&arn)["status"], status);
    }
}

/// ecs-facts §3.2: task-level verification is mandatory.
#[test]
fn with_deferred_cleanup_a_deployment_succeeds_while_old_tasks_still_run() {
    let pace = Pace { steady: Range::seconds(0, 0), ..Pace::default() };
    let mut stage = Stage::with(WorldConfig { throttle_percent: 0, pace, ..WorldConfig::default() });
    let early = json!({ "enable": true, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED" });
    let old = stage.web(4, |input| {
        input["deploymentConfiguration"] = json!({ "minimumHealthyPercent": 50, "earlySuccessCriteria": early });
    });
    let new = stage.register("web", |_| {});
    let arn = stage.deploy(&new);
    for _ in 0..600 {
        stage.pass(1);
        if stage.record(&arn)["status"] == "SUCCESSFUL" {
            assert!(running(&mut stage, &old) > 0, "the trap");
            stage.pass(600);
            assert_eq!((running(&mut stage, &old), running(&mut stage, &new)), (0, 4), "it goes on all the same");
            return;
        }
    }
    panic!("it never succeeded");
}

#[test]
fn an_alarm_takes_the_deployment_back_unless_it_was_on_before() {
    let alarms = json!({ "enable": true, "rollback": true, "alarmNames": ["5xx"] });
    for (before, status) in [(false, "ROLLBACK_SUCCESSFUL"), (true, "SUCCESSFUL")] {
        let (mut stage, _, new) = stage(json!({ "alarms": alarms }));
        stage.world.ring("5xx", before);
        let arn = stage.deploy(&new);
        stage.pass(15);
        stage.world.ring("5xx", true);
        stage.pass(600);
        let record = stage.record(&arn);
        assert_eq!(record["status"], status, "{record}");
        assert_eq!(record["alarms"]["triggeredAlarmNames"], if before { json!([]) } else { json!(["5xx"]) });
    }
}

#[test]
fn a_new_alarm_has_no_data_until_it_is_evaluated_and_then_stands_as_it_is_told() {
    let (mut stage, _, _) = stage(json!({}));
    let state = |stage: &mut Stage| {
        let answer = stage.ok("DescribeAlarms", json!({ "AlarmNames": ["5xx"] }));
        answer["MetricAlarms"][0]["StateValue"].as_str().unwrap_or_default().to_owned()
    };
    stage.ok("PutMetricAlarm", json!({ "AlarmName": "5xx" }));
    stage.pass(29);
    assert_eq!(state(&mut stage), "INSUFFICIENT_DATA");
    stage.pass(62);
    assert_eq!(state(&mut stage), "OK");
    stage.ok("SetAlarmState", json!({ "AlarmName": "5xx", "StateValue": "ALARM", "StateReason": "" }));
    // Making it anew changes what it listens to, not how it stands.
    stage.ok("PutMetricAlarm", json!({ "AlarmName": "5xx" }));
    stage.pass(600);
    assert_eq!(state(&mut stage), "ALARM");
}

#[test]
fn a_task_that_aws_takes_away_is_replaced_and_counts_as_no_failure() {
    let (mut stage, _, _) = stage(json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } }));
    for _ in 0..10 {
        let task = stage.tasks("RUNNING")[0]["taskArn"].as_str().unwrap().to_owned();
        stage.world.kill_task(&task, "SpotInterruption", "Your Spot Task was interrupted.");
        stage.pass(120);
    }
    let service = stage.service();
    assert_eq!((&service["runningCount"], &service["deployments"][0]["failedTasks"]), (&json!(2), &json!(0)));
    assert!(stage.tasks("STOPPED").iter().any(|task| task["stopCode"] == "SpotInterruption"));
}

/// ecs-facts §3.5: services last deployed before 25 October 2024.
#[test]
fn without_records_only_the_service_and_its_tasks_can_tell() {
    let config = WorldConfig { throttle_percent: 0, service_deployments: false, ..WorldConfig::default() };
    let mut stage = Stage::with(config);
    stage.web(1, |_| {});
    let service = stage.service();
    assert!(service.get("currentServiceDeployment").is_none() && service.get("currentServiceRevisions").is_none());
    let listed = stage.ok("ListServiceDeployments", json!({ "cluster": "prod", "service": "web" }));
    assert_eq!(listed["serviceDeployments"], json!([]));
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
}
