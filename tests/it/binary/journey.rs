//! From an empty store to a fleet within policy, and nothing more to do.

use serde_json::{Value, json};

use super::{Stage, UNTIL_SETTLED, fleet};

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_brought_within_policy_and_then_left_alone() {
    let stage = Stage::new().await;
    let plimsoll = &stage.plimsoll;
    let applied = stage.apply();
    assert!(applied.stdout.contains("6 services: 4 to change, 2 audited only"), "{applied:#?}");
    let plan = plimsoll.run(&["plan"]).exits(1);
    for told in ["prod/web", "prod/web-worker", "prod/api", "dev/jobs", "- /pidMode \"host\"", "wave 1 canary"] {
        assert!(plan.stdout.contains(told), "{told:?} is not in {plan:#?}");
    }
    let plan = plimsoll.run(&["plan", "-o", "json"]).exits(1).json();
    assert_eq!((&plan["summary"]["services"], &plan["summary"]["change"]), (&json!(6), &json!(4)));
    assert_eq!((&plan["cost"]["registerTaskDefinition"], &plan["cost"]["updateService"]), (&json!(3), &json!(4)));
    assert_eq!(stage.writes(), [], "a plan writes nothing");

    let settled = stage.start(&UNTIL_SETTLED).end().exits(0);
    assert!(settled.said.iter().any(|line| line.contains("settled: every service in scope complies")), "{settled:#?}");
    stage.is_fixed();
    let updates = stage.writes();
    for (cluster, name, revision, _) in fleet::FIXED {
        let moves = updates.iter().filter(|(operation, input)| {
            operation == "UpdateService" && input["service"].as_str().unwrap().ends_with(&format!("{cluster}/{name}"))
        });
        let moves: Vec<&Value> = moves.map(|(_, input)| input).collect();
        assert_eq!(moves.len(), 1, "{moves:#?}");
        assert!(moves[0]["taskDefinition"].as_str().unwrap().ends_with(revision));
        assert_eq!(
            moves[0].as_object().unwrap().keys().len(),
            3,
            "cluster, service, revision and nothing else: {moves:?}"
        );
    }

    let before = stage.writes().len();
    stage.start(&UNTIL_SETTLED).end().exits(0);
    assert_eq!(stage.writes()[before..], [], "the second run has nothing to write");
    let plan = plimsoll.run(&["plan", "-o", "json"]).exits(0).json();
    assert_eq!(
        (&plan["summary"]["change"], &plan["summary"]["blocked"], &plan["waves"]),
        (&json!(0), &json!(0), &json!([]))
    );

    // What the controller wrote down can be read without AWS.
    let list = plimsoll.run(&["rollout", "list", "-o", "json"]).exits(0).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list:#}");
    let status = &list["items"][0]["status"];
    assert_eq!((&status["phase"], &status["waiting"]), (&json!("Succeeded"), &Value::Null));
    assert_eq!((&status["counts"]["total"], &status["counts"]["succeeded"]), (&json!(4), &json!(4)));
    plimsoll.run(&["rollout", "status", "quick-1"]).exits(0).prints("Succeeded").prints("web:2");
    plimsoll.run(&["rollout", "history", "quick-1"]).exits(0).prints("Stabilizing").prints("dev/jobs");
    plimsoll.run(&["get", "services"]).exits(0).prints("prod/web");
    plimsoll.run(&["get", "findings"]).exits(0).prints("security-hub-ecs-3");
    plimsoll.run(&["describe", "service", "prod/web"]).exits(0).prints("web:2");
    plimsoll.run(&["describe", "rollout", "quick-1"]).exits(0).prints("quick-1");
    plimsoll.run(&["events", "--for", "Rollout/quick-1"]).exits(0).prints("Succeeded");
    plimsoll.run(&["audit", "verify"]).exits(0).prints("0 broken");
}
