//! A plan that is looked at first, and then asked for.

use serde_json::{Value, json};

use super::{CONTROLLER, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_looked_at_is_carried_out_and_refused_once_the_world_has_moved() {
    let stage = Stage::enforced().await;
    let plimsoll = &stage.plimsoll;
    plimsoll.run(&["plan", "--out", "plan.json"]).exits(1);
    let plan: Value = serde_json::from_str(&plimsoll.read("plan.json")).unwrap();
    // Asked for before there is anybody to do it.
    plimsoll.run(&["apply-plan", "plan.json"]).exits(0).says("the command waits for one");
    let mut controller = stage.start(&CONTROLLER);
    controller.says(r#""rollout":"quick-1""#);
    let carried = plimsoll.run(&["apply-plan", "plan.json", "--wait"]).exits(0);
    let carried = carried.says("the plan is carried out by rollout `quick-1`").prints("quick-1  Succeeded");
    assert!(carried.stdout.contains(plan["id"].as_str().unwrap()), "{carried:#?}");
    stage.is_fixed();
    plimsoll.write("mine.yaml", &super::ENFORCED.replace("enforcement: enforce", "enforcement: audit"));
    plimsoll.run(&["apply", "-f", "mine.yaml"]).exits(0);
    stage.ecs.call("UpdateService", json!({ "cluster": "prod", "service": "api", "taskDefinition": "api:1" }));
    let refused = plimsoll.run(&["apply-plan", "plan.json", "--wait"]).exits(1);
    refused.says("refused: the plan does not hold any more: `prod/api`");
    controller.signal("TERM");
    controller.end().exits(0);
}
