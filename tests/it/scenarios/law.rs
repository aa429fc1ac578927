//! The law of fixes on what really runs: what would break it is not rolled out, and the plan says who is in whose way.

use plimsoll::model::{ReasonCode, Verdict};
use plimsoll::plan::{PlanOutcome, PlannedResource};
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

/// A policy about the task definition.
fn policy(name: &str, require: &str, edits: &str) -> String {
    format!(
        r#"
---
apiVersion: plimsoll/v1
kind: Policy
metadata: {{ name: {name} }}
spec:
  title: t
  severity: low
  resource: TaskDefinition
  checks:
    - name: only
      require: "{require}"
      message: m
      fix: [{{ edits: [{edits}] }}]
"#
    )
}

/// Everything enforced.
const ENFORCED: &str = r"
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: all }
spec: { policies: ['*'], enforcement: enforce }
";

/// What is planned for a service with the host's process namespace, under these objects.
async fn planned(objects: &[&str]) -> (Story, PlannedResource) {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(&objects.concat()).await;
    story.settle(300);
    story.ecs.forget_calls();
    let service = story.pass().await.plan.unwrap().services.remove(0).full();
    (story, service)
}

#[track_caller]
fn blocked(service: &PlannedResource, code: ReasonCode, told: &[&str]) {
    let reason = service.reason.as_ref().unwrap();
    assert_eq!((service.outcome, reason.code), (PlanOutcome::Blocked, code), "{reason:?}");
    for text in told {
        assert!(reason.message.contains(text), "{text} is not in {reason:?}");
    }
}

#[tokio::test]
async fn fixes_that_write_different_things_are_blocked_with_both_names() {
    let task = policy("task-pid", "taskDefinition.?pidMode.orValue('') == 'task'", "{ set: /pidMode, value: task }");
    let (story, service) = planned(&[NO_HOST_PID, &task, ENFORCED]).await;
    blocked(&service, ReasonCode::FixConflict, &["`no-host-pid`", "`task-pid`", "/pidMode"]);
    assert!(service.diff.is_empty());
    assert_eq!(story.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_fix_that_breaks_another_policy_is_blocked_with_both_names() {
    let wants = policy("wants-pid", "has(taskDefinition.pidMode)", "{ set: /pidMode, value: task }");
    let (story, service) = planned(&[NO_HOST_PID, &wants, ENFORCED]).await;
    blocked(&service, ReasonCode::FixConflict, &["`no-host-pid`", "`wants-pid`"]);
    assert_eq!(story.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_fix_that_does_not_hold_on_the_real_document_is_blocked() {
    let odd = policy("odd", "taskDefinition.?ipcMode.orValue('') == 'none'", "{ set: /ipcMode, value: task }");
    let (story, service) = planned(&[&odd[5..], ENFORCED]).await;
    blocked(&service, ReasonCode::FixConflict, &["`odd`", "does not make it hold"]);
    assert_eq!(story.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_fix_that_ecs_would_refuse_on_the_real_document_is_blocked() {
    let none = policy(
        "no-memory",
        "!has(taskDefinition.containerDefinitions[0].memory)",
        "{ remove: /containerDefinitions/0/memory }",
    );
    let (story, service) = planned(&[&none[5..], ENFORCED]).await;
    blocked(&service, ReasonCode::InvalidResult, &["ECS would refuse", "needs `memory`"]);
    assert_eq!(story.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_unknown_for_its_policy_alone() {
    let error = policy("no-answer", "taskDefinition.notThere == 'x'", "{ set: /notThere, value: x }");
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    let mut clean = host_pid("clean");
    clean.as_object_mut().unwrap().remove("pidMode");
    let clean = story.register(clean);
    story.service("prod", "clean", &clean, json!({}));
    story.apply(&[NO_HOST_PID, &error, ENFORCED].concat()).await;
    story.settle(300);
    let plan = story.pass().await.plan.unwrap();
    let of = |name: &str| plan.services.iter().find(|service| service.resource.ends_with(name)).unwrap();
    for name in ["web", "clean"] {
        let full = of(name).full();
        let mut verdicts = full.verdicts();
        assert!(verdicts.any(|(policy, said)| &**policy == "no-answer" && said == Verdict::Unknown), "{full:?}");
    }
    assert_eq!(of("web").outcome, PlanOutcome::Change, "the other policy's fix is made");
    assert_eq!(of("clean").outcome, PlanOutcome::Unknown, "and nothing unknown is compliant");
}
