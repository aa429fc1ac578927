//! What a pass costs where nothing has changed: no document is evaluated a second time.

use plimsoll::model::spec::Kind;
use plimsoll::plan::PlanOutcome;
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

/// Audited, and fixable: what its fix would make of the document is evaluated too.
const AUDIT: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: circuit-breaker }
spec:
  title: A breaker
  severity: low
  resource: Service
  when: "!isFargate(service)"
  checks:
    - name: breaker
      require: "service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false)"
      message: m
      fix: [{ edits: [{ set: /deploymentConfiguration/deploymentCircuitBreaker, value: { enable: true, rollback: true } }] }]
"#;

const WAIVER: &str = r"
apiVersion: plimsoll/v1
kind: Waiver
metadata: { name: for-now }
spec: { policies: [circuit-breaker], owner: o, reason: r, expiresAt: 2026-01-06T09:00:00Z }
";

async fn a_fleet() -> Story {
    let story = Story::begin();
    story.cluster("prod");
    for name in ["web", "api", "jobs"] {
        let mut document = host_pid(name);
        document.as_object_mut().unwrap().remove("pidMode");
        let revision = story.register(document);
        story.service("prod", name, &revision, json!({}));
    }
    story.apply(&format!("{NO_HOST_PID}---{AUDIT}")).await;
    story.settle(600);
    story
}

#[tokio::test]
async fn a_warm_pass_over_an_unchanged_fleet_evaluates_nothing() {
    let mut story = a_fleet().await;
    let first = story.pass().await;
    // Three task definitions, three services with what their fix would make of them, and a cluster.
    assert_eq!(first.evaluations, 10);
    assert!(first.plan.as_ref().unwrap().services.iter().all(|service| service.outcome == PlanOutcome::Audit));
    for _ in 0..5 {
        story.settle(60);
        let again = story.pass().await;
        assert_eq!(again.evaluations, 0);
        assert_eq!(again.plan.unwrap().services, first.plan.as_ref().unwrap().services);
    }
}

#[tokio::test]
async fn what_no_policy_reads_may_change_for_nothing() {
    let mut story = a_fleet().await;
    story.pass().await;
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 5 }));
    for _ in 0..10 {
        story.settle(30);
        assert_eq!(story.pass().await.evaluations, 0, "tasks start, events are written, nothing is asked");
    }
}

#[tokio::test]
async fn only_what_changed_is_evaluated() {
    let mut story = a_fleet().await;
    story.pass().await;
    let mut document = host_pid("web");
    document.as_object_mut().unwrap().remove("pidMode");
    document["cpu"] = json!("256");
    let revision = story.register(document);
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": revision }));
    story.settle(600);
    assert_eq!(
        story.pass().await.evaluations,
        3,
        "one service: its new revision, itself, and what its fix would make of it"
    );
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } });
    story.call("UpdateService", json!({ "cluster": "prod", "service": "api", "deploymentConfiguration": breaker }));
    story.settle(600);
    assert_eq!(story.pass().await.evaluations, 2, "one service, which needs no fix any more");
    let breaker = json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } });
    story.call("UpdateService", json!({ "cluster": "prod", "service": "jobs", "deploymentConfiguration": breaker }));
    story.settle(600);
    assert_eq!(story.pass().await.evaluations, 2, "one service, in what its fix would write");
}

#[tokio::test]
async fn a_set_that_changes_and_a_waiver_that_ends_are_asked_about_anew() {
    let mut story = a_fleet().await;
    story.pass().await;
    story.apply(WAIVER).await;
    assert_eq!(story.pass().await.evaluations, 7, "another set; what is waived is not fixed");
    assert_eq!(story.pass().await.evaluations, 0);
    story.settle(25 * 60 * 60);
    // Of each service the task definition, itself and its fix; the cluster is in the Waiver's scope too.
    let ended = story.pass().await;
    assert_eq!(ended.evaluations, 10, "the Waiver has ended");
    assert!(ended.plan.unwrap().services.iter().all(|service| service.outcome == PlanOutcome::Audit));
    story.delete(Kind::Policy, "circuit-breaker").await;
    story.delete(Kind::Waiver, "for-now").await;
    assert_eq!(story.pass().await.evaluations, 7);
}
