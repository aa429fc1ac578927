//! The JSON lines of the controller: one span a pass, one call in it, and what each says.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::Stage;
use crate::fake::Reply;

/// The members of an object, but for those that every line has.
fn members(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_a_span_in_that_of_its_pass_with_operation_attempt_and_outcome() {
    let mut scenario = super::fleet::scenario();
    for (operation, input) in [
        ("PutMetricAlarm", json!({ "AlarmName": "5xx" })),
        ("SetAlarmState", json!({ "AlarmName": "5xx", "StateValue": "OK", "StateReason": "" })),
    ] {
        scenario["steps"].as_array_mut().unwrap().push(json!({ "operation": operation, "input": input }));
    }
    let stage = Stage::with_fleet(&scenario).await;
    let alarms = super::ENFORCED.replace("steadyFor: 1s }", "steadyFor: 1s, alarms: [5xx] }");
    stage.plimsoll.write("mine.yaml", &alarms);
    stage.apply();
    // The first look at tasks is throttled, and asked for again.
    let asked = AtomicUsize::new(0);
    stage.script(move |request| {
        let throttled = request.operation() == "ListTasks" && asked.fetch_add(1, Ordering::Relaxed) == 0;
        let body = json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }).to_string();
        throttled.then_some(Reply::Answer(400, body))
    });
    let run = stage
        .plimsoll
        .run(&[&super::UNTIL_SETTLED[..], &["-vv", "--log-format", "json", "--settle-timeout", "90s"]].concat());
    let lines: Vec<Value> = run.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let calls: Vec<(&Value, &Value, &Value)> = lines
        .iter()
        .filter(|line| line["message"] == "called")
        .filter_map(|line| {
            let spans = line["spans"].as_array()?;
            Some((spans.first()?, spans.last()?, line))
        })
        .filter(|(pass, _, _)| pass["name"] == "reconcile")
        .collect();
    assert!(calls.len() > 100, "{}\n{}", calls.len(), run.stderr);
    for (pass, call, line) in &calls {
        // One span a pass, and one in it for the call.
        assert_eq!(line["spans"].as_array().unwrap().len(), 2, "{line:#}");
        assert_eq!(
            (&pass["target_id"], pass["reconcile_id"].is_u64()),
            (&"123456789012/eu-west-1".into(), true),
            "{line:#}"
        );
        assert!(["asked", "resync", "poll"].iter().any(|reason| pass["reason"] == *reason), "{line:#}");
        assert_eq!(call["name"], "call", "{line:#}");
        assert!(call["operation"].is_string() && call["attempt"].is_u64() && call["of"].is_string(), "{line:#}");
        assert!(line["outcome"].is_string() && line["took_ms"].is_u64(), "{line:#}");
        assert_eq!(line["level"], "DEBUG", "{line:#}");
        let known = BTreeSet::from(["name", "of", "operation", "service", "on", "attempt"]);
        assert!(members(call).is_subset(&known), "what a call is about may be secret: {line:#}");
    }
    // The configuration is read by the first pass; the ones after it begin with what it read.
    assert!(calls.iter().any(|(pass, _, _)| pass["generation"].is_string()), "{:#?}", calls[0]);
    let of = |of: &str| calls.iter().filter(|(_, call, _)| call["of"] == of).collect::<Vec<_>>();
    let operations = |kind: &str| -> BTreeSet<&str> {
        of(kind).iter().map(|(_, call, _)| call["operation"].as_str().unwrap()).collect()
    };
    assert!(operations("ecs").is_superset(&BTreeSet::from([
        "ListClusters",
        "RegisterTaskDefinition",
        "UpdateService"
    ])));
    assert!(operations("store").is_superset(&BTreeSet::from(["get", "put", "put_all", "query"])));
    assert_eq!(operations("alarms"), BTreeSet::from(["DescribeAlarms"]));
    // Whose call it is, where it is of one service; in which partition, where it is of the store.
    let updates = of("ecs").into_iter().filter(|(_, call, _)| call["operation"] == "UpdateService");
    for (_, call, line) in updates {
        assert!(call["service"].as_str().unwrap().contains("service/"), "{line:#}");
    }
    assert!(of("store").iter().any(|(_, call, _)| call["on"].as_str().is_some_and(|on| on.starts_with("rt#"))));
    let throttled: Vec<_> =
        of("ecs").into_iter().filter(|(_, call, _)| call["operation"] == "ListTasks").take(2).collect();
    let told: Vec<(u64, &str)> = throttled
        .iter()
        .map(|(_, call, line)| (call["attempt"].as_u64().unwrap(), line["outcome"].as_str().unwrap()))
        .collect();
    assert!(told.contains(&(1, "throttled")), "{told:?}");
    let again = of("ecs")
        .iter()
        .any(|(_, call, line)| call["operation"] == "ListTasks" && call["attempt"] == 2 && line["outcome"] == "ok");
    assert!(again, "it was asked again: {told:?}");
    // What is changed is told at info, with the service; what is tried again is a warning.
    let level = |message: &str| -> BTreeSet<&str> {
        lines.iter().filter(|line| line["message"] == message).map(|line| line["level"].as_str().unwrap()).collect()
    };
    assert_eq!(level("throttled, slowing down"), BTreeSet::from(["WARN"]));
    assert!(level("rollout").contains("INFO"), "{:?}", level("rollout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_fails_is_a_warning_with_every_cause_down_to_ecs_s_words() {
    let stage = Stage::with_fleet(&super::fleet::scenario()).await;
    stage.apply();
    stage.script(|request| {
        let denied = request.operation() == "ListClusters";
        let body = json!({ "__type": "AccessDeniedException", "message": "not for you" }).to_string();
        denied.then_some(Reply::Answer(400, body))
    });
    let mut controller = stage.start(&[&super::CONTROLLER[..], &["--log-format", "json"]].concat());
    let line: Value = serde_json::from_str(&controller.says("the pass failed")).unwrap();
    controller.signal("TERM");
    controller.end().exits(0);
    assert_eq!((&line["level"], &line["failures"]), (&"WARN".into(), &1.into()), "{line:#}");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains(" failed: ListClusters: ") && error.ends_with("not for you"), "{line:#}");
}
