//! Policies of the catalogue that need more of the world than a task definition: tags, running images, task sets and
//! capacity providers.

use std::sync::Arc;

use plimsoll::model::{ReasonCode, Verdict};
use plimsoll::plan::{PlanOutcome, Planned};
use plimsoll::policy::builtin;
use plimsoll::records::reports::Reports;
use plimsoll::rollout::command::Request;
use plimsoll::sim::Fault;
use serde_json::{Value, json};

use super::world::{Story, host_pid};

/// A policy of the catalogue and a Binding of it to everything.
fn bound(file: &str, policy: &str, enforcement: &str, params: &Value) -> String {
    let found = builtin::FILES.iter().find(|found| found.path == file).unwrap();
    format!(
        "{}\n---\napiVersion: plimsoll/v1\nkind: Binding\nmetadata: {{ name: on }}\n\
         spec: {{ policies: [{policy}], enforcement: {enforcement}, params: {params} }}\n",
        found.text
    )
}

fn service(story: &Story, name: &str) -> Value {
    let query = json!({ "cluster": "prod", "services": [name], "include": ["TAGS"] });
    story.call("DescribeServices", query)["services"][0].clone()
}

fn tag(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value })
}

#[tokio::test]
async fn missing_tags_of_a_service_are_set_without_a_deployment_and_taken_back_without_touching_others() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    story.service("prod", "web", &revision, json!({ "tags": [tag("owner", "")] }));
    let params = json!({ "requiredTagKeys": ["team", "owner"], "tags": { "team": "payments", "owner": "nobody" } });
    story.apply(&bound("security-hub/ecs-13.yaml", "security-hub-ecs-13", "enforce", &params)).await;
    story.settle(300);
    let deployments = service(&story, "web")["deployments"].clone();
    story.ecs.forget_calls();
    // The reply is lost: nobody knows whether the tag is there.
    let mut lost = false;
    story.ecs.set_faults(move |call| {
        let first = call.operation.as_str() == "TagResource" && !std::mem::replace(&mut lost, true);
        first.then_some(Fault::LostReply)
    });
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
    assert_eq!(service(&story, "web")["tags"], json!([tag("owner", ""), tag("team", "payments")]));
    assert_eq!(service(&story, "web")["deployments"][0]["id"], deployments[0]["id"], "no deployment");
    assert_eq!(story.writes(), ["TagResource"]);
    // Somebody tags it meanwhile: that is nothing to the undo.
    let arn = service(&story, "web")["serviceArn"].clone();
    story.call("TagResource", json!({ "resourceArn": arn, "tags": [tag("theirs", "x")] }));
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(10 * 60).await;
    assert_eq!(story.phases("default-1").await.1[0].1, "RolledBack");
    assert_eq!(service(&story, "web")["tags"], json!([tag("owner", ""), tag("theirs", "x")]));
    assert_eq!(story.writes(), ["TagResource", "UntagResource"]);
}

#[tokio::test]
async fn tags_that_somebody_changed_since_are_not_taken_back() {
    let mut story = Story::begin();
    story.cluster("prod");
    let params = json!({ "tags": { "team": "payments" } });
    story.apply(&bound("security-hub/ecs-14.yaml", "security-hub-ecs-14", "enforce", &params)).await;
    story.passes_for(20 * 60).await;
    let shown = |story: &Story| {
        let query = json!({ "clusters": ["prod"], "include": ["TAGS"] });
        story.call("DescribeClusters", query)["clusters"][0].clone()
    };
    assert_eq!(shown(&story)["tags"], json!([tag("team", "payments")]));
    story.call("TagResource", json!({ "resourceArn": shown(&story)["clusterArn"], "tags": [tag("team", "theirs")] }));
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(10 * 60).await;
    assert_eq!(story.phases("default-1").await.1[0].1, "Overtaken");
    assert_eq!(shown(&story)["tags"], json!([tag("team", "theirs")]));
}

#[tokio::test]
async fn tags_of_a_task_definition_come_with_a_new_revision_and_nothing_else_of_it_changes() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    story.service("prod", "web", &revision, json!({}));
    let params = json!({ "requiredTagKeys": ["env"], "tags": { "env": "prod" } });
    story.apply(&bound("security-hub/ecs-15.yaml", "security-hub-ecs-15", "enforce", &params)).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    let (old, new) = (story.task_definition("web:1"), story.task_definition("web:2"));
    assert_eq!(new["tags"], json!([tag("team", "payments"), tag("empty", ""), tag("env", "prod")]));
    assert_eq!(new["taskDefinition"]["containerDefinitions"], old["taskDefinition"]["containerDefinitions"]);
    assert_eq!(new["taskDefinition"]["pidMode"], "host");
}

#[tokio::test]
async fn an_image_is_pinned_to_the_digest_that_runs_and_not_to_where_its_tag_has_moved() {
    let mut story = Story::begin();
    story.cluster("prod");
    let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
    story.ecs.world().move_image("registry.example.com/app:latest", &digest("a"));
    let mut document = host_pid("web");
    document["containerDefinitions"][0]["image"] = json!("registry.example.com/app:latest");
    let revision = story.register(document);
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.ecs.world().move_image("registry.example.com/app:latest", &digest("b"));
    let params = json!({ "pinRunning": true });
    story.apply(&bound("hardening/image-by-digest.yaml", "image-by-digest", "enforce", &params)).await;
    story.passes_for(30 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    let image = story.task_definition("web:2")["taskDefinition"]["containerDefinitions"][0]["image"].clone();
    assert_eq!(image, json!(format!("registry.example.com/app@{}", digest("a"))));
}

#[tokio::test]
async fn a_running_image_that_cannot_be_read_is_not_pinned() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.ecs.set_faults(|call| {
        (call.operation.as_str() == "DescribeServiceRevisions")
            .then(|| Fault::Refuse { code: "AccessDeniedException".to_owned(), message: "no".to_owned() })
    });
    let params = json!({ "pinRunning": true });
    story.apply(&bound("hardening/image-by-digest.yaml", "image-by-digest", "enforce", &params)).await;
    let report = story.passes_for(60).await;
    let planned = &report.plan.unwrap().services[0];
    assert_eq!(planned.outcome, PlanOutcome::Blocked);
    let reason = planned.reason.as_ref().unwrap();
    assert_eq!(reason.code, ReasonCode::NotFixable);
    assert!(reason.message.contains("running"), "{reason}");
}

/// Operations that only some policies ask for, of those that were called.
fn asked_for(story: &Story) -> Vec<String> {
    let calls = story.ecs.calls();
    let names = calls.iter().map(|call| call.operation.as_str().to_owned());
    names.filter(|name| matches!(name.as_str(), "DescribeCapacityProviders" | "DescribeServiceRevisions")).collect()
}

#[tokio::test]
async fn what_no_policy_asks_for_is_not_read() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.apply(&bound("security-hub/ecs-3.yaml", "security-hub-ecs-3", "audit", &json!({}))).await;
    story.pass().await;
    assert_eq!(asked_for(&story), [""; 0]);
    // A policy that is switched off asks for nothing.
    story.apply(&bound("security-hub/ecs-19.yaml", "security-hub-ecs-19", "off", &json!({}))).await;
    story.pass().await;
    assert_eq!(asked_for(&story), [""; 0]);
    story.apply(&bound("security-hub/ecs-19.yaml", "security-hub-ecs-19", "audit", &json!({}))).await;
    story.pass().await;
    assert_eq!(asked_for(&story), ["DescribeCapacityProviders"]);
}

fn verdicts<'a>(planned: &'a [Arc<Planned>], policy: &str) -> Vec<(&'a str, Verdict)> {
    let name = |resource: &'a str| resource.rsplit('/').next().unwrap_or(resource);
    let of = |one: &'a Arc<Planned>| {
        one.full().verdicts().find(|(name, _)| ***name == *policy).map(|(_, verdict)| (name(&one.resource), verdict))
    };
    planned.iter().filter_map(of).collect()
}

#[tokio::test]
async fn capacity_providers_are_judged_and_unknown_where_they_cannot_be_read() {
    let mut story = Story::begin();
    story.cluster("prod");
    for (name, protection) in [("open", "DISABLED"), ("safe", "ENABLED")] {
        let group = json!({ "autoScalingGroupArn": "arn:x", "managedTerminationProtection": protection });
        story.call("CreateCapacityProvider", json!({ "name": name, "autoScalingGroupProvider": group }));
    }
    story.apply(&bound("security-hub/ecs-19.yaml", "security-hub-ecs-19", "audit", &json!({}))).await;
    let plan = story.pass().await.plan.unwrap();
    assert_eq!(
        verdicts(&plan.capacity_providers, "security-hub-ecs-19"),
        [("open", Verdict::Fail), ("safe", Verdict::Pass)],
        "AWS's own are skipped, so nothing is said of them"
    );
    assert_eq!(plan.capacity_providers[0].outcome, PlanOutcome::Audit);
    assert!(plan.is_settled());
    let target = plan.target.clone();
    let reported = |reports: &std::collections::BTreeMap<String, plimsoll::records::reports::ServiceReport>| {
        reports.keys().filter(|arn| arn.contains(":capacity-provider/")).count()
    };
    assert_eq!(reported(&Reports::of(story.store.as_ref(), &target).list().await.unwrap()), 2);
    story.ecs.set_faults(|call| (call.operation.as_str() == "DescribeCapacityProviders").then_some(Fault::ServerError));
    let plan = story.pass().await.plan.unwrap();
    let [one] = plan.capacity_providers.as_slice() else { panic!("{:?}", plan.capacity_providers) };
    assert_eq!(one.outcome, PlanOutcome::Unknown);
    assert!(!plan.is_settled());
    // What was known of them is not taken for gone.
    assert_eq!(reported(&Reports::of(story.store.as_ref(), &target).list().await.unwrap()), 3);
    story.ecs.clear_faults();
    story.pass().await;
    assert_eq!(reported(&Reports::of(story.store.as_ref(), &target).list().await.unwrap()), 2);
}

#[tokio::test]
async fn a_cluster_whose_configuration_nobody_has_set_logs_by_default_where_it_was_asked_for() {
    let mut story = Story::begin();
    story.cluster("prod");
    let silent = json!({ "executeCommandConfiguration": { "logging": "NONE" } });
    story.call("CreateCluster", json!({ "clusterName": "silent", "configuration": silent }));
    story.apply(&bound("hardening/exec-logging.yaml", "exec-logging", "audit", &json!({}))).await;
    let plan = story.pass().await.plan.unwrap();
    assert_eq!(verdicts(&plan.clusters, "exec-logging"), [("prod", Verdict::Pass), ("silent", Verdict::Fail)]);
}

/// A service whose own controller runs one task set with a public address, of that task definition.
fn external(story: &Story, document: Value) {
    story.call(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "mesh", "desiredCount": 1, "deploymentController": { "type": "EXTERNAL" },
        }),
    );
    let revision = story.register(document);
    let network = json!({ "awsvpcConfiguration": { "subnets": ["s-1"], "assignPublicIp": "ENABLED" } });
    story.call(
        "CreateTaskSet",
        json!({ "cluster": "prod", "service": "mesh", "taskDefinition": revision, "networkConfiguration": network }),
    );
    story.settle(300);
}

fn on_its_own_network(family: &str) -> Value {
    let mut document = host_pid(family);
    document["networkMode"] = json!("awsvpc");
    document
}

#[tokio::test]
async fn task_sets_are_judged_and_so_is_what_they_run() {
    let mut story = Story::begin();
    story.cluster("prod");
    external(&story, on_its_own_network("mesh"));
    story.apply(&bound("security-hub/ecs-16.yaml", "security-hub-ecs-16", "audit", &json!({}))).await;
    let plan = story.pass().await.plan.unwrap();
    let [set] = plan.task_sets.as_slice() else { panic!("{:?}", plan.task_sets) };
    assert_eq!((set.outcome, set.full().findings.len()), (PlanOutcome::Audit, 1));
    assert!(set.resource.contains(":task-set/prod/mesh/"), "{}", set.resource);
    assert!(set.task_definition.as_ref().unwrap().ends_with(":task-definition/mesh:1"));
    assert_eq!(plan.services[0].outcome, PlanOutcome::Compliant, "no policy is about what it runs");

    // What it runs is its own controller's to change.
    story.apply(&bound("security-hub/ecs-3.yaml", "security-hub-ecs-3", "enforce", &json!({}))).await;
    let plan = story.pass().await.plan.unwrap();
    let mesh = &plan.services[0];
    assert_eq!(
        (mesh.outcome, mesh.reason.as_ref().map(|reason| reason.code), mesh.full().findings.len()),
        (PlanOutcome::Blocked, Some(ReasonCode::ExternalController), 1)
    );
    assert_eq!(story.writes(), [""; 0]);
}

#[tokio::test]
async fn a_service_whose_task_set_runs_what_it_may_is_compliant() {
    let mut story = Story::begin();
    story.cluster("prod");
    let mut document = on_its_own_network("mesh");
    document.as_object_mut().unwrap().remove("pidMode");
    external(&story, document);
    story.apply(&bound("security-hub/ecs-3.yaml", "security-hub-ecs-3", "enforce", &json!({}))).await;
    let plan = story.pass().await.plan.unwrap();
    assert_eq!(verdicts(&plan.services, "security-hub-ecs-3"), [("mesh", Verdict::Pass)]);
    assert_eq!(plan.services[0].outcome, PlanOutcome::Compliant);
}
