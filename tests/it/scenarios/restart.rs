//! What a controller that begins spares by what the store knows, and what it does not take from there.

use plimsoll::controller::Controller;
use plimsoll::controller::reconcile::Depth;
use plimsoll::model::ReasonCode;
use plimsoll::plan::{Plan, PlanOutcome, PlannedResource};
use plimsoll::ports::{Operation, Store};
use plimsoll::records::reports::Reports;
use plimsoll::sim::Fault;
use serde_json::{Value, json};

use super::world::{NO_HOST_PID, Story, host_pid};

/// Fails everywhere, is fixable, and only audits.
const READ_ONLY: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: read-only-root }
spec:
  title: A root file system that is only read
  severity: high
  resource: TaskDefinition
  checks:
    - name: read-only
      forEach: /containerDefinitions/*
      as: [container]
      when: "!(service.?enableExecuteCommand.orValue(false))"
      require: "container.?readonlyRootFilesystem.orValue(false)"
      message: "container `{container.name}` may write to its root file system"
      fix: [{ edits: [{ set: /readonlyRootFilesystem, value: true }] }]
"#;

/// About services, and their clusters.
const OWNED: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: owned }
spec:
  title: Owned
  severity: low
  resource: Service
  checks:
    - name: owner
      require: "size(service.?tags.orValue([])) > 0 || cluster.?status.orValue('') != 'ACTIVE'"
      message: nobody owns it
      fix: [{ edits: [{ append: /tags, key: key, value: { key: owner, value: unknown } }] }]
"#;

const WAIVER: &str = r"
apiVersion: plimsoll/v1
kind: Waiver
metadata: { name: for-now }
spec: { policies: [read-only-root], scope: { include: { services: [api] } }, owner: o, reason: r, expiresAt: 2026-01-05T15:00:00Z }
";

const SERVICES: [&str; 5] = ["api", "jobs", "mail", "shop", "web"];

fn without_host_pid(family: &str) -> Value {
    let mut document = host_pid(family);
    document.as_object_mut().unwrap().remove("pidMode");
    document
}

async fn a_fleet() -> Story {
    let story = Story::begin();
    story.cluster("prod");
    for name in SERVICES {
        let revision = story.register(without_host_pid(name));
        story.service("prod", name, &revision, json!({}));
    }
    story.apply(&format!("{NO_HOST_PID}---{READ_ONLY}---{OWNED}")).await;
    story.settle(600);
    story
}

/// The plan of one pass of a controller that has just begun, and what it asked ECS for.
async fn begins(story: &mut Story, holder: &str) -> (Plan, Vec<String>) {
    story.controller.release().await;
    story.ecs.forget_calls();
    let mut controller = story.another_controller(holder);
    let report = controller.pass(Depth::Full).await.unwrap();
    controller.release().await;
    let asked = story.ecs.calls().iter().map(|call| call.operation.as_str().to_owned()).collect();
    (report.plan.unwrap(), asked)
}

fn described(asked: &[String]) -> usize {
    asked.iter().filter(|operation| *operation == "DescribeTaskDefinition").count()
}

fn told(plan: &Plan) -> Vec<PlannedResource> {
    plan.resources().map(|planned| planned.full()).collect()
}

/// Every report in the store, by its key and how often it was written.
async fn reports(story: &Story) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for shard in 0..16 {
        let partition = format!("rt#{}#reports#{shard:02x}", story.controller.settings().target);
        let page = story.store.query(&partition, "", None).await.unwrap();
        found.extend(page.items.into_iter().map(|item| (item.key.sort, item.version)));
    }
    found
}

#[tokio::test]
async fn of_services_that_are_as_they_were_no_document_is_read_and_nothing_is_written() {
    let mut story = a_fleet().await;
    let before = story.pass().await.plan.unwrap();
    assert!(before.services.iter().all(|service| service.outcome == PlanOutcome::Audit));
    assert!(before.services.iter().all(|service| !service.full().diff.is_empty()), "with what enforcing would do");
    let written = reports(&story).await;
    assert_eq!(written.len(), SERVICES.len() + 1);
    let (after, asked) = begins(&mut story, "two").await;
    assert_eq!(asked, ["ListClusters", "DescribeClusters", "ListServices", "DescribeServices"]);
    assert_eq!(told(&after), told(&before));
    assert_eq!(after.tally.policies, before.tally.policies);
    assert_eq!(after.tally.bindings, before.tally.bindings);
    assert_eq!(reports(&story).await, written);
}

#[tokio::test]
async fn of_services_with_task_sets_no_document_is_read_either() {
    let mut story = a_fleet().await;
    let revision = story.register(without_host_pid("shipping"));
    story.service("prod", "shipping", &revision, json!({ "deploymentController": { "type": "CODE_DEPLOY" } }));
    for name in ["mesh", "edge"] {
        let own = json!({ "cluster": "prod", "serviceName": name, "desiredCount": 1, "deploymentController": { "type": "EXTERNAL" } });
        story.call("CreateService", own);
    }
    let revision = story.register(without_host_pid("mesh"));
    story.call("CreateTaskSet", json!({ "cluster": "prod", "service": "mesh", "taskDefinition": revision }));
    let of_sets = "kind: Policy\nmetadata: { name: sets }\nspec: { title: t, severity: low, resource: TaskSet, checks: [{ name: c, require: \"false\", message: m }] }";
    story.apply(&format!("apiVersion: plimsoll/v1\n{of_sets}")).await;
    story.settle(600);
    let before = story.pass().await.plan.unwrap();
    assert!(!before.task_sets.is_empty());
    let (after, asked) = begins(&mut story, "two").await;
    assert_eq!(described(&asked), 0, "{asked:?}");
    assert_eq!(told(&after), told(&before));
    assert_eq!(told(&after), told(&afresh(&story, 1).await));
    // The first task set of a service that had none, and so nothing to be judged by.
    let revision = story.register(without_host_pid("edge"));
    story.call("CreateTaskSet", json!({ "cluster": "prod", "service": "edge", "taskDefinition": revision }));
    story.settle(600);
    let (after, asked) = begins(&mut story, "three").await;
    assert_eq!(described(&asked), 1, "{asked:?}");
    assert_eq!(told(&after), told(&afresh(&story, 2).await));
    assert_eq!(described(&begins(&mut story, "four").await.1), 0);
}

#[tokio::test]
async fn of_what_changed_meanwhile_the_document_is_read() {
    let mut story = a_fleet().await;
    story.pass().await;
    let revision = story.register(without_host_pid("web"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": revision }));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "shop", "enableExecuteCommand": true }));
    // More tasks are nothing that anything follows from.
    story.call("UpdateService", json!({ "cluster": "prod", "service": "jobs", "desiredCount": 7 }));
    story.settle(600);
    let (plan, asked) = begins(&mut story, "two").await;
    assert_eq!(described(&asked), 2, "of web and shop: {asked:?}");
    let shop = plan.services.iter().find(|service| service.resource.ends_with("/shop")).unwrap().full();
    assert_eq!(shop.policies, ["owned"], "what reads its service is judged anew");
}

#[tokio::test]
async fn under_other_policies_everything_is_judged_anew() {
    let mut story = a_fleet().await;
    story.pass().await;
    story.apply(&READ_ONLY.replace("severity: high", "severity: low")).await;
    let (_, asked) = begins(&mut story, "two").await;
    assert_eq!(described(&asked), SERVICES.len());
    let (_, asked) = begins(&mut story, "three").await;
    assert_eq!(described(&asked), 0);
}

#[tokio::test]
async fn what_is_to_be_fixed_is_read_and_what_is_waived_is_judged_by_the_clock() {
    let mut story = a_fleet().await;
    story.violating_service("prod", "bad");
    story.apply(WAIVER).await;
    story.settle(600);
    story.pass().await;
    let (plan, asked) = begins(&mut story, "two").await;
    let of = |plan: &Plan, name: &str| {
        plan.services.iter().find(|service| service.resource.ends_with(name)).unwrap().outcome
    };
    // The one that is being fixed, of its family also the latest, and the one that is waived.
    assert!((2..=6).contains(&described(&asked)), "{asked:?}");
    assert_eq!(of(&plan, "/web"), PlanOutcome::Audit);
    story.settle(8 * 60 * 60);
    let (plan, _) = begins(&mut story, "three").await;
    let api = plan.services.iter().find(|service| service.resource.ends_with("/api")).unwrap().full();
    assert_eq!((api.outcome, api.waivers.len()), (PlanOutcome::Audit, 0), "its Waiver has ended");
}

#[tokio::test]
async fn a_policy_edit_judges_everything_anew_without_a_describe() {
    let mut story = a_fleet().await;
    story.pass().await;
    story.ecs.forget_calls();
    story.apply(&READ_ONLY.replace("severity: high", "severity: low")).await;
    let report = story.pass().await;
    assert!(report.evaluations >= 2 * SERVICES.len() as u64, "{}", report.evaluations);
    let asked: Vec<String> = story.ecs.calls().iter().map(|call| call.operation.as_str().to_owned()).collect();
    assert_eq!(described(&asked), 0);
}

#[tokio::test]
async fn what_is_throttled_is_unknown_and_is_asked_for_again() {
    let story = a_fleet().await;
    for refused in [Operation::DescribeTaskDefinition, Operation::DescribeServices, Operation::ListServices] {
        let mut calls = 0;
        story.ecs.set_faults(move |call| {
            calls += usize::from(call.operation == refused);
            (call.operation == refused && calls % 2 == 1).then_some(Fault::Throttle)
        });
        let mut controller = story.another_controller("two");
        story.settle(60);
        let plan = controller.pass(Depth::Full).await.unwrap().plan.unwrap();
        assert!(!plan.is_settled(), "{refused:?}");
        let unknown = plan.services.iter().filter(|service| service.outcome == PlanOutcome::Unknown).count();
        match refused {
            Operation::ListServices => assert_eq!((plan.services.len(), plan.gaps.len()), (0, 1)),
            Operation::DescribeServices => assert_eq!(unknown, 5),
            _ => assert_eq!(unknown, 3, "every second"),
        }
        for service in plan.services.iter().filter(|service| service.outcome == PlanOutcome::Unknown) {
            let reason = service.reason.as_ref().unwrap();
            assert_eq!(reason.code, ReasonCode::NotObserved);
            assert!(reason.message.contains("throttled"), "{reason}");
        }
        story.ecs.clear_faults();
        let plan = controller.pass(Depth::Full).await.unwrap().plan.unwrap();
        assert_eq!((plan.services.len(), plan.is_settled()), (5, true), "{refused:?}");
        controller.release().await;
        // Nothing of it is known to whoever comes next.
        story.apply(&READ_ONLY.replace("severity: high", &format!("severity: high\n  description: {refused:?}"))).await;
    }
}

#[tokio::test]
async fn what_is_said_anew_of_a_revision_that_was_tagged_is_written() {
    let mut story = a_fleet().await;
    let tagged = "apiVersion: plimsoll/v1\nkind: Policy\nmetadata: { name: tagged }\nspec: { title: t, severity: low, resource: TaskDefinition, checks: [{ name: c, require: \"'owner' in tags\", message: m }] }";
    story.apply(tagged).await;
    story.pass().await;
    story.controller.release().await;
    story.controller = story.another_controller("two");
    let plan = story.pass().await.plan.unwrap();
    let revision = plan.services[0].task_definition.as_deref().unwrap().to_owned();
    story.call("TagResource", json!({ "resourceArn": revision, "tags": [{ "key": "owner", "value": "me" }] }));
    // For so long that what was recalled is forgotten.
    story.ecs.set_faults(|call| (call.operation == Operation::ListServices).then_some(Fault::ServerError));
    for _ in 0..5 {
        assert_eq!(story.pass().await.plan.unwrap().gaps.len(), 1);
    }
    story.ecs.clear_faults();
    let plan = story.pass().await.plan.unwrap();
    let told = told(&plan);
    assert!(!told[0].policies.contains(&"tagged".to_owned()) && told[1].policies.contains(&"tagged".to_owned()));
    let written = Reports::of(story.store.as_ref(), &story.controller.settings().target).list().await.unwrap();
    let written: Vec<PlannedResource> = written.into_values().map(|report| report.resource).collect();
    assert_eq!(said(written), said(told), "in the order of their names");
}

/// Without what is not written of it.
fn said(resources: Vec<PlannedResource>) -> Vec<PlannedResource> {
    let mut all: Vec<_> = resources.into_iter().map(|one| PlannedResource { standings: None, ..one }).collect();
    all.sort_by(|one, other| one.resource.cmp(&other.resource));
    all
}

/// What a controller says that remembers nothing.
async fn afresh(story: &Story, holder: usize) -> Plan {
    let mut controller: Controller = story.another_controller(&format!("afresh-{holder}"));
    controller.plan(None).await.unwrap().0
}

#[tokio::test]
async fn whatever_happens_what_is_remembered_is_what_would_be_said() {
    let mut story = a_fleet().await;
    let steps = 60;
    let mut spared = 0;
    for step in 0..steps {
        let service = SERVICES[step * 7 % SERVICES.len()];
        let update = |more: Value| {
            let mut input = json!({ "cluster": "prod", "service": service });
            input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            input
        };
        match step * 11 % 13 {
            0 => drop(story.call("UpdateService", update(json!({ "desiredCount": step % 5 })))),
            1 => drop(story.call("UpdateService", update(json!({ "enableExecuteCommand": step % 2 == 0 })))),
            2 | 3 => {
                let mut document = without_host_pid(service);
                document["cpu"] = json!(if step % 2 == 0 { "256" } else { "512" });
                document["containerDefinitions"][0]["readonlyRootFilesystem"] = json!(step % 3 == 0);
                let revision = story.register(document);
                story.call("UpdateService", update(json!({ "taskDefinition": revision })));
            }
            4 => {
                let tight = json!({ "minimumHealthyPercent": 100, "maximumPercent": 100 + step % 2 * 100 });
                story.call("UpdateService", update(json!({ "deploymentConfiguration": tight })));
            }
            5 => {
                let arn = format!("arn:aws:ecs:eu-west-1:123456789012:service/prod/{service}");
                let arn = arn.replace("eu-west-1:123456789012", &region_of(&story));
                story.call("TagResource", json!({ "resourceArn": arn, "tags": [{ "key": "owner", "value": "me" }] }));
            }
            6 => {
                let settings = json!([{ "name": "containerInsights", "value": if step % 2 == 0 { "enabled" } else { "disabled" } }]);
                story.call("UpdateClusterSettings", json!({ "cluster": "prod", "settings": settings }));
            }
            7 => story.apply(if step % 2 == 0 { WAIVER } else { OWNED }).await,
            8 => {
                story.apply(&OWNED.replace("severity: low", &format!("severity: {}", ["low", "high"][step % 2]))).await
            }
            // Nothing happens, for a short or a long while; sometimes another controller goes on.
            9 | 10 => story.settle(3 * 60 * 60),
            11 => {
                story.controller.release().await;
                story.controller = story.another_controller(&format!("next-{step}"));
            }
            _ => {}
        }
        story.settle([0, 5, 600][step % 3]);
        story.ecs.forget_calls();
        let report = story.pass().await;
        let calls = story.ecs.calls();
        spared += usize::from(!calls.iter().any(|call| call.operation == Operation::DescribeTaskDefinition));
        let (remembered, fresh) = (report.plan.unwrap(), afresh(&story, step).await);
        assert_eq!(told(&remembered), told(&fresh), "step {step}");
        assert_eq!(remembered.tally.policies, fresh.tally.policies, "step {step}");
        assert_eq!(remembered.tally.bindings, fresh.tally.bindings, "step {step}");
    }
    assert!(spared > steps / 2, "only {spared} of {steps} passes read no document");
}

fn region_of(story: &Story) -> String {
    let target = &story.controller.settings().target;
    format!("{}:{}", target.region, target.account)
}
