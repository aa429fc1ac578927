//! What goes wrong around a rollout must not make it lie, forget or run wild.

use std::time::Duration;

use plimsoll::controller::run::Unwatched;
use plimsoll::controller::{Mode, RunEnd};
use plimsoll::model::ReasonCode;
use plimsoll::model::spec::Kind;
use plimsoll::plan::PlanOutcome;
use plimsoll::ports::Clock;
use plimsoll::rollout::command::Request;
use plimsoll::sim::{Condition, Effect, Fault, Misbehaviour};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::world::{NO_HOST_PID, Story, host_pid};

fn denied(operation: &'static str) -> impl FnMut(&plimsoll::sim::Call) -> Option<Fault> + Send {
    move |call| {
        (call.operation.as_str() == operation).then(|| Fault::Refuse {
            code: "AccessDeniedException".to_owned(),
            message: format!("User is not authorized to perform: ecs:{operation}"),
        })
    }
}

#[tokio::test]
async fn a_rollout_in_which_nothing_was_made_has_failed_and_is_not_made_again_on_every_pass() {
    for operation in ["UpdateService", "RegisterTaskDefinition"] {
        let mut story = Story::begin();
        story.cluster("prod");
        story.violating_service("prod", "web");
        story.violating_service("prod", "api");
        story.apply(NO_HOST_PID).await;
        story.settle(300);
        story.ecs.set_faults(denied(operation));
        story.ecs.forget_calls();
        story.passes_for(40 * 60).await;
        assert_eq!(story.phases("default-1").await.0, "Failed", "{operation}");
        let writes = story.writes().len();
        assert!(writes <= 6, "{operation}: {writes} writes in forty minutes");
    }
}

#[tokio::test]
async fn without_policies_what_is_under_way_is_still_taken_back_and_commands_are_obeyed() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.ecs.world().misbehave(Misbehaviour {
        family: "web".to_owned(),
        when: vec![Condition { pointer: "/pidMode".to_owned(), equals: None, not: false }],
        effect: Effect::CrashOnStart,
    });
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.pass().await;
    story.delete(Kind::Binding, "enforce-no-host-pid").await;
    story.delete(Kind::Policy, "no-host-pid").await;
    for _ in 0..160 {
        story.settle(15);
        let passed = story.controller.pass(plimsoll::controller::reconcile::Depth::Full).await;
        assert!(passed.is_err(), "and it says that there are no policies");
    }
    assert_eq!(story.phases("default-1").await.1[0].1, "RolledBack");
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
}

#[tokio::test]
async fn a_listing_that_fails_drops_nothing() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["one", "two", "three"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.pass().await;
    let mut failures = 3;
    story.ecs.set_faults(move |call| {
        let hit = call.operation.as_str() == "ListServices" && failures > 0;
        failures -= i32::from(hit);
        hit.then_some(Fault::ServerError)
    });
    let report = story.passes_for(60).await;
    assert_eq!(report.plan.map(|plan| plan.gaps.len()), Some(0), "the last listing worked");
    story.passes_for(30 * 60).await;
    let (phase, changes) = story.phases("default-1").await;
    assert_eq!(
        (phase.as_str(), changes.iter().filter(|(_, phase)| phase == "Succeeded").count()),
        ("Succeeded", 3),
        "{changes:?}"
    );
}

#[tokio::test]
async fn a_proposal_keeps_its_name_while_its_services_cannot_be_judged() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: propose")).await;
    story.settle(300);
    story.pass().await;
    assert_eq!(story.phases("default-1").await.0, "Proposed");
    // The team deploys again; meanwhile, and afterwards, the violation is the same.
    let next = story.register(host_pid("web"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": next }));
    story.pass().await;
    assert_eq!(story.phases("default-1").await.0, "Proposed", "a deployment in progress is no reason to take it back");
    story.passes_for(10 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Proposed", "and neither is another base");
    story.ask("default-1", Request::Approve { plan: None }).await;
    story.passes_for(15 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
    assert_eq!(story.runs("prod", "web"), ["web:3", "web:3"]);
}

#[tokio::test]
async fn a_service_without_a_task_definition_is_not_called_compliant() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.call(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "mesh", "desiredCount": 1, "deploymentController": { "type": "EXTERNAL" },
        }),
    );
    story.apply(NO_HOST_PID).await;
    let report = story.pass().await;
    let mesh = &report.plan.unwrap().services[0];
    assert_eq!(
        (mesh.outcome, mesh.reason.as_ref().map(|reason| reason.code)),
        (PlanOutcome::Blocked, Some(ReasonCode::ExternalController))
    );
}

#[tokio::test]
async fn a_closed_window_is_waited_for_only_so_long() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    let strategy = r#"
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: sundays }
spec: { windows: [{ allow: "0 9 * * SUN", for: 1h, timeZone: UTC }] }
"#;
    story
        .apply(&format!(
            "{}{strategy}",
            NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: sundays")
        ))
        .await;
    story.settle(300);
    let mode = Mode::UntilSettled { timeout: Duration::from_secs(600) };
    let end = story.controller.run(mode, &CancellationToken::new(), &mut Unwatched).await.unwrap();
    let RunEnd::Settled { problems } = end else { panic!("{end:?}") };
    assert!(problems.iter().any(|problem| problem.contains("OutsideWindow")), "{problems:?}");
}

/// Older tasks are replaced when their team deploys, perhaps in weeks: nobody waits for that, and it is no pass.
#[tokio::test]
async fn a_run_until_settled_does_not_wait_for_older_tasks_and_says_that_they_are_there() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.register(host_pid("web"));
    story.service("prod", "web", "web:1", json!({ "enableExecuteCommand": true }));
    story
        .apply(
            r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-exec }
spec:
  title: No ECS Exec
  severity: medium
  resource: Service
  checks:
    - name: exec
      require: "!service.?enableExecuteCommand.orValue(false)"
      message: its tasks allow ECS Exec
      fix: [{ edits: [{ set: /enableExecuteCommand, value: false }] }]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: no-exec }
spec: { policies: [no-exec], enforcement: enforce, strategy: at-once }
---
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: at-once }
spec: { waves: [{ size: rest }] }
"#,
        )
        .await;
    story.settle(300);
    let began = story.clock.now();
    let mode = Mode::UntilSettled { timeout: Duration::from_secs(3600) };
    let end = story.controller.run(mode, &CancellationToken::new(), &mut Unwatched).await.unwrap();
    let RunEnd::Settled { problems } = end else { panic!("{end:?}") };
    assert!(story.clock.now().since(began) < Duration::from_secs(300), "it ended at {}", story.clock.now());
    let of_older = |problem: &String| problem.contains("OlderTasks") && problem.contains("2 of 2 running tasks");
    assert!(problems.iter().any(of_older) && problems.contains(&"unverified: prod/web".to_owned()), "{problems:?}");
}

#[tokio::test]
async fn what_was_unverified_is_looked_at_again_once_something_runs() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    story.service("prod", "web", &revision, json!({ "desiredCount": 0 }));
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(10 * 60).await;
    assert_eq!(story.phases("default-1").await.1[0].1, "Unverified");
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 2 }));
    story.passes_for(10 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    assert_eq!(story.phases("default-1").await.1[0].1, "Succeeded");
}

#[tokio::test]
async fn a_fix_that_stopped_starts_under_no_other_name_until_a_person_says_so() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["alpha", "beta"] {
        story.violating_service("prod", name);
    }
    story.ecs.world().misbehave(Misbehaviour {
        family: "alpha".to_owned(),
        when: vec![Condition { pointer: "/pidMode".to_owned(), equals: None, not: false }],
        effect: Effect::CrashOnStart,
    });
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Paused");
    let other = "{ apiVersion: plimsoll/v1, kind: RolloutStrategy, metadata: { name: other }, spec: {} }";
    story
        .apply(&format!(
            "{}\n---\n{other}",
            NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: other")
        ))
        .await;
    story.violating_service("prod", "gamma");
    story.settle(120);
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "gamma"), ["gamma:1", "gamma:1"]);
    let id = story.ask("default-1", Request::Resume).await;
    story.passes_for(40 * 60).await;
    assert!(story.answer(&id).await.unwrap().done);
    assert_eq!(
        (story.runs("prod", "beta"), story.runs("prod", "gamma")),
        (vec!["beta:2".to_owned(); 2], vec!["gamma:2".to_owned(); 2])
    );
}
