//! Calls whose answers are lost, people who deploy at the same moment, and waves that nobody can watch.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::controller::reconcile::Depth;
use plimsoll::ports::Operation;
use plimsoll::sim::{Condition, Effect, Fault, Misbehaviour};
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

fn strategy(waves: &str) -> String {
    format!(
        "
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: {{ name: watched }}
spec: {{ waves: {waves} }}
---
apiVersion: plimsoll/v1
kind: Binding
metadata: {{ name: enforce-no-host-pid }}
spec: {{ policies: [no-host-pid], enforcement: enforce, strategy: watched }}
"
    )
}

const BAKES_AN_HOUR: &str = "[{ name: canary, size: 1, bake: 60m }, { size: rest }]";

#[tokio::test]
async fn a_lost_reply_does_not_hide_that_ours_replaced_somebodys_deployment() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let theirs = story.register(host_pid("web-next"));
    let ecs = Arc::downgrade(&story.ecs);
    let mut left = 1;
    story.ecs.set_faults(move |call| {
        if call.operation != Operation::UpdateService || left == 0 {
            return None;
        }
        left -= 1;
        let ecs = ecs.upgrade().unwrap();
        let input = json!({ "cluster": "prod", "service": "web", "taskDefinition": theirs });
        ecs.world().call(call.at, "UpdateService", &input).unwrap();
        Some(Fault::LostReply)
    });
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.1, [("prod/web".to_owned(), "Clobbered".to_owned())]);
}

#[tokio::test]
async fn a_late_effect_is_known_for_ours_after_a_repeat_that_was_throttled() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let mut calls = 0;
    story.ecs.set_faults(move |call| {
        calls += u32::from(call.operation == Operation::UpdateService);
        match (call.operation, calls) {
            (Operation::UpdateService, 1) => Some(Fault::Late(Duration::from_secs(70))),
            (Operation::UpdateService, _) => Some(Fault::Throttle),
            _ => None,
        }
    });
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.1, [("prod/web".to_owned(), "Succeeded".to_owned())]);
}

#[tokio::test]
async fn a_wave_whose_tasks_die_while_it_bakes_is_taken_back() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["alpha", "beta"] {
        story.violating_service("prod", name);
    }
    let when = vec![Condition { pointer: "/pidMode".to_owned(), equals: None, not: false }];
    let effect = Effect::CrashAfter("150s".parse().unwrap());
    story.ecs.world().misbehave(Misbehaviour { family: "*".to_owned(), when, effect });
    story.apply(NO_HOST_PID).await;
    story.apply(&strategy(BAKES_AN_HOUR)).await;
    story.settle(300);
    story.passes_for(3 * 3600).await;
    let (phase, changes) = story.phases("watched-1").await;
    assert_eq!(phase, "Paused");
    assert_eq!(
        changes,
        [("prod/alpha".to_owned(), "RolledBack".to_owned()), ("prod/beta".to_owned(), "Pending".to_owned())]
    );
}

#[tokio::test]
async fn bake_does_not_end_while_health_is_unknown() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["alpha", "beta"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.apply(&strategy("[{ name: canary, size: 1, bake: 5m }, { size: rest }]")).await;
    story.settle(300);
    story.pass().await;
    while story.phases("watched-1").await.0 != "Baking" {
        story.settle(15);
        story.pass().await;
    }
    // The canary alone cannot be read; the fleet, ten services a call, can.
    story.ecs.set_faults(|call| {
        let services = call.input["services"].as_array();
        let alone = services.is_some_and(|list| list.len() == 1 && list[0].as_str().unwrap().ends_with("/alpha"));
        (call.operation == Operation::DescribeServices && alone).then_some(Fault::ServerError)
    });
    for _ in 0..120 {
        story.settle(15);
        let _ = story.controller.pass(Depth::Full).await;
    }
    assert_eq!(story.phases("watched-1").await.0, "Baking");
    let waiting = story.campaign("watched-1").await.rollout.value.waiting.unwrap();
    assert_eq!(waiting.code, plimsoll::model::ReasonCode::NotObserved, "{waiting}");
    story.ecs.clear_faults();
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("watched-1").await.0, "Succeeded");
}
