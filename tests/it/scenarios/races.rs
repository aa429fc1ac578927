//! Calls whose answers are lost, people who deploy at the same moment, and waves that nobody can watch.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::{Controller, Parts};
use plimsoll::model::ReasonCode;
use plimsoll::ports::{Clock, Ecs, EcsError, Operation};
use plimsoll::rollout::command::Request;
use plimsoll::sim::{Condition, Effect, Fault, Misbehaviour, SimEcs, VirtualClock};
use serde_json::{Value, json};

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

/// ECS whose answer to our first UpdateService does not show whom that replaced: reads lag, also its own.
struct Terse {
    ecs: Arc<SimEcs>,
    clock: Arc<VirtualClock>,
    /// What somebody moves the service to right before that call; once.
    theirs: Mutex<Option<String>>,
}

impl Ecs for Terse {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let theirs = if operation == Operation::UpdateService { self.theirs.lock().unwrap().take() } else { None };
            let Some(theirs) = theirs else { return self.ecs.call(operation, input).await };
            let moved = json!({ "cluster": "prod", "service": "web", "taskDefinition": theirs });
            self.ecs.world().call(self.clock.now(), "UpdateService", &moved).unwrap();
            let mut answer = self.ecs.call(operation, input).await?;
            answer["service"]["deployments"].as_array_mut().unwrap().truncate(1);
            Ok(answer)
        })
    }
}

#[tokio::test]
async fn an_answer_that_does_not_show_whom_ours_replaced_does_not_hide_it() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let theirs = Mutex::new(Some(story.register(host_pid("web-next"))));
    let terse = Arc::new(Terse { ecs: story.ecs.clone(), clock: story.clock.clone(), theirs });
    let parts = Parts { ecs: terse, ..story.controller.parts().clone() };
    story.controller = Controller::new(parts, story.controller.settings().clone());
    story.pass().await;
    assert_eq!(story.phases("default-1").await.1, [("prod/web".to_owned(), "Stabilizing".to_owned())]);
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.1, [("prod/web".to_owned(), "Clobbered".to_owned())]);
    let change = &story.campaign("default-1").await.changes[0].value;
    let reason = change.history.last().and_then(|entry| entry.reason.clone()).unwrap();
    assert!(reason.message.contains("somebody deployed `web-next:1`"), "{reason:?}");
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
async fn a_bake_does_not_end_while_health_is_unknown_and_pauses_when_that_lasts() {
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
    // Five minutes of bake, and then as long as there may be no progress.
    for (minutes, phase, code) in [(24, "Baking", ReasonCode::NotObserved), (2, "Paused", ReasonCode::ProgressTimeout)]
    {
        for _ in 0..minutes * 4 {
            story.settle(15);
            let _ = story.controller.pass(Depth::Full).await;
        }
        assert_eq!(story.phases("watched-1").await.0, phase);
        let waiting = story.campaign("watched-1").await.rollout.value.waiting.unwrap();
        assert_eq!(waiting.code, code, "{waiting}");
    }
    story.ecs.clear_faults();
    story.ask("watched-1", Request::Resume).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("watched-1").await.0, "Succeeded");
}

#[tokio::test]
async fn what_could_not_be_judged_by_a_new_configuration_does_not_begin_by_the_old_one() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["one", "two"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.apply(&strategy("[{ size: 1 }, { size: rest }]")).await;
    story.settle(300);
    story.passes_for(60).await;
    assert_eq!(story.phases("watched-1").await.1[1], ("prod/two".to_owned(), "Pending".to_owned()));
    // The service that waits for its wave is waived; just then it cannot be read.
    story
        .apply(
            "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: w }\nspec: { policies: [no-host-pid], scope: { include: \
             { services: [two] } }, owner: a@example.com, reason: r, expiresAt: 2026-06-01T00:00:00Z }\n",
        )
        .await;
    story.ecs.set_faults(|call| {
        let asked = call.input["services"].as_array().is_some_and(|asked| asked.len() > 1);
        (call.operation == Operation::DescribeServices && asked).then_some(Fault::ServerError)
    });
    story.pass().await;
    story.ecs.clear_faults();
    for _ in 0..20 {
        story.settle(15);
        story.controller.pass(Depth::InFlight).await.unwrap();
    }
    let (_, changes) = story.phases("watched-1").await;
    assert_eq!(changes[0].1, "Succeeded", "{changes:?}");
    assert_eq!(changes[1].1, "Pending", "its turn has come, and it has not been judged by the Waiver yet");
    story.passes_for(60).await;
    assert_eq!(story.phases("watched-1").await.1[1].1, "Deferred");
    assert_eq!(story.runs("prod", "two"), ["two:1", "two:1"]);
}

/// ECS with a budget that has to be waited for before an operation: so long each time, until there are no more.
struct UsedUp(Arc<SimEcs>, Arc<VirtualClock>, Operation, Mutex<Vec<Duration>>);

impl Ecs for UsedUp {
    fn ready(&self, operation: Operation) -> BoxFuture<'_, ()> {
        if operation == self.2 {
            self.1.advance(self.3.lock().unwrap().pop().unwrap_or_default());
        }
        Box::pin(std::future::ready(()))
    }

    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        self.0.call(operation, input)
    }
}

/// A controller within such a budget.
fn used_up(story: &Story, operation: Operation, waits: Vec<Duration>) -> Controller {
    let ecs = UsedUp(story.ecs.clone(), story.clock.clone(), operation, Mutex::new(waits));
    let parts = Parts {
        ecs: Arc::new(ecs),
        alarms: story.alarms.clone(),
        store: story.store.clone(),
        clock: story.clock.clone(),
    };
    Controller::new(parts, story.controller.settings().clone())
}

#[tokio::test]
async fn a_window_that_closes_while_the_budget_is_waited_for_is_closed() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    let windows = "[{ size: rest }], windows: [{ allow: \"0 9 * * *\", for: 10m }]";
    story.apply(NO_HOST_PID).await;
    story.apply(&strategy(windows)).await;
    story.settle(300);
    story.controller = used_up(&story, Operation::RegisterTaskDefinition, vec![Duration::from_secs(600); 9]);
    story.ecs.forget_calls();
    story.pass().await;
    assert_eq!(story.writes(), [] as [String; 0], "it is a quarter past nine");
    assert_eq!(story.phases("watched-1").await.1[0].1, "Registering", "what may follow waits for the next morning");
}

#[tokio::test]
async fn a_call_that_was_intended_long_ago_is_intended_anew() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.apply(&strategy("[{ size: rest }]")).await;
    story.settle(300);
    story.controller = used_up(&story, Operation::UpdateService, vec![Duration::from_secs(8)]);
    story.ecs.forget_calls();
    story.pass().await;
    assert_eq!(story.writes(), ["RegisterTaskDefinition"], "its intent would say nothing of when it was made");
    let waiting = story.phases("watched-1").await.1;
    assert_eq!(waiting[0].1, "Registering", "{waiting:?}");
    story.passes_for(300).await;
    assert_eq!(story.writes(), ["RegisterTaskDefinition", "UpdateService"]);
    assert_eq!(story.phases("watched-1").await.1[0].1, "Succeeded");
}
