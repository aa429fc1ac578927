//! Images named by a tag, under `images: pin` and on the way back.

use plimsoll::controller::reconcile::Depth;
use plimsoll::model::ReasonCode;
use plimsoll::plan::PlanOutcome;
use plimsoll::rollout::command::Request;
use plimsoll::sim::Fault;
use serde_json::{Value, json};

use super::world::{NO_HOST_PID, Story, host_pid};

const IMAGE: &str = "registry.example.com/app:latest";

fn digest(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

fn moves(story: &Story, letter: &str) {
    story.ecs.world().move_image(IMAGE, &digest(letter));
}

fn app(family: &str) -> Value {
    let mut document = host_pid(family);
    document["containerDefinitions"][0]["image"] = json!(IMAGE);
    document
}

fn strategy(spec: &str) -> String {
    format!("apiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: {{ name: s }}\nspec: {spec}\n")
}

/// The policy, rolled out by a strategy of its own.
fn by(spec: &str) -> String {
    let policy = NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: s");
    format!("{policy}---\n{}", strategy(spec))
}

/// A setting that deploys.
const NO_PUBLIC_IP: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-public-ip }
spec:
  title: No public IP address
  severity: high
  resource: Service
  checks:
    - name: public-ip
      require: "service.networkConfiguration.awsvpcConfiguration.assignPublicIp != 'ENABLED'"
      message: a public IP address
      fix: [{ edits: [{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }] }]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: no-public-ip }
spec: { policies: [no-public-ip], enforcement: enforce, strategy: s }
"#;

/// A service whose tasks have a public IP address.
fn public(story: &Story, mut document: Value) {
    document["networkMode"] = json!("awsvpc");
    let revision = story.register(document);
    let network = json!({ "awsvpcConfiguration": { "subnets": ["s-1"], "assignPublicIp": "ENABLED" } });
    story.service("prod", "web", &revision, json!({ "networkConfiguration": network }));
}

/// The image that a revision names.
fn image(story: &Story, revision: &str) -> String {
    let image = &story.task_definition(revision)["taskDefinition"]["containerDefinitions"][0]["image"];
    image.as_str().unwrap().to_owned()
}

/// The digests that a service's running tasks run.
fn running(story: &Story, service: &str) -> Vec<String> {
    let listed = story.call("ListTasks", json!({ "cluster": "prod", "serviceName": service }));
    let described = story.call("DescribeTasks", json!({ "cluster": "prod", "tasks": listed["taskArns"] }));
    let tasks = described["tasks"].as_array().unwrap().iter().filter(|task| task["lastStatus"] == "RUNNING");
    tasks.map(|task| task["containers"][0]["imageDigest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_fix_ships_the_digest_that_runs_and_not_what_was_pushed_since() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    moves(&story, "b");
    story.apply(&by("{ images: pin }")).await;
    let plan = story.pass().await.plan.unwrap();
    let planned = plan.services[0].full().diff;
    let diff: Vec<(&str, &str)> = planned.iter().map(|entry| (entry.path.as_str(), entry.policy.as_str())).collect();
    assert_eq!(diff, [("/pidMode", "no-host-pid"), ("/containerDefinitions/0/image", "images: pin")]);
    let pinned = format!("registry.example.com/app@{}", digest("a"));
    assert_eq!(planned[1].to, Some(json!(pinned)));
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("s-1").await.0, "Succeeded");
    let spec = story.campaign("s-1").await.changes[0].value.spec.clone();
    assert_eq!((spec.fixes.len(), spec.policies), (1, vec!["no-host-pid".to_owned()]), "a pin is no fix");
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    assert_eq!((image(&story, "web:2"), running(&story, "web")), (pinned, vec![digest("a"); 2]));
    // Nothing but what was named has changed.
    let (mut old, mut new) = (story.task_definition("web:1"), story.task_definition("web:2"));
    for definition in [&mut old, &mut new] {
        let definition = definition["taskDefinition"].as_object_mut().unwrap();
        for member in ["pidMode", "taskDefinitionArn", "revision", "registeredAt", "requiresAttributes"] {
            definition.remove(member);
        }
        definition["containerDefinitions"][0]["image"] = Value::Null;
    }
    assert_eq!(new, old);
}

#[tokio::test]
async fn only_services_that_run_the_same_digests_share_a_revision() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    for name in ["one", "two"] {
        story.service("prod", name, &revision, json!({}));
    }
    moves(&story, "b");
    story.service("prod", "three", &revision, json!({}));
    story.settle(300);
    story.apply(&by("{ images: pin, waves: [{ size: rest }] }")).await;
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("s-1").await.0, "Succeeded");
    assert_eq!(running(&story, "one"), vec![digest("a"); 2]);
    assert_eq!(running(&story, "two"), vec![digest("a"); 2]);
    assert_eq!(running(&story, "three"), vec![digest("b"); 2]);
    assert_eq!(story.runs("prod", "one"), story.runs("prod", "two"));
    let registered = story.writes().iter().filter(|call| *call == "RegisterTaskDefinition").count();
    assert_eq!(registered, 2);
}

#[tokio::test]
async fn what_runs_and_cannot_be_told_is_not_pinned_and_not_deployed() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.ecs.set_faults(|call| {
        (call.operation.as_str() == "DescribeServiceRevisions")
            .then(|| Fault::Refuse { code: "AccessDeniedException".to_owned(), message: "no".to_owned() })
    });
    story.apply(&by("{ images: pin }")).await;
    let plan = story.passes_for(120).await.plan.unwrap();
    assert_eq!(plan.services[0].outcome, PlanOutcome::Blocked);
    let reason = plan.services[0].reason.clone().unwrap();
    assert_eq!(reason.code, ReasonCode::MutableImage);
    assert!(reason.message.contains("the digest that runs is not known"), "{reason}");
    assert_eq!(story.writes(), [""; 0]);
}

#[tokio::test]
async fn a_deployment_of_the_same_task_definition_since_the_plan_keeps_its_newer_image() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.apply(&by("{ images: pin, approval: before }")).await;
    story.pass().await;
    // The team pushes, and deploys what the service has anyhow.
    moves(&story, "b");
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "forceNewDeployment": true }));
    story.settle(600);
    story.ask("s-1", Request::Approve { plan: None }).await;
    story.passes_for(30 * 60).await;
    assert_eq!(running(&story, "web"), vec![digest("b"); 2]);
    assert_eq!(story.runs("prod", "web").len(), 2);
    assert_ne!(story.runs("prod", "web")[0], "web:1");
}

#[tokio::test]
async fn a_strategy_that_no_binding_rolls_out_by_reads_no_images() {
    let mut story = Story::begin();
    story.cluster("prod");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.apply(&by("{ images: pin }").replace("enforcement: enforce", "enforcement: audit")).await;
    story.pass().await;
    assert!(!story.ecs.calls().iter().any(|call| call.operation.as_str() == "DescribeServiceRevisions"));
    story.apply(&by("{ images: pin }").replace("enforcement: enforce", "enforcement: propose")).await;
    story.pass().await;
    assert!(story.ecs.calls().iter().any(|call| call.operation.as_str() == "DescribeServiceRevisions"));
}

#[tokio::test]
async fn an_undo_after_the_tag_has_moved_goes_back_to_the_digest_that_ran() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    for name in ["one", "two"] {
        story.service("prod", name, &revision, json!({}));
    }
    story.settle(300);
    moves(&story, "b");
    story.apply(&by("{ images: allow, waves: [{ size: rest }] }")).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("s-1").await.0, "Succeeded");
    assert_eq!(running(&story, "one"), vec![digest("b"); 2]);
    story.ask("s-1", Request::Undo { service: None }).await;
    story.passes_for(20 * 60).await;
    let campaign = story.campaign("s-1").await;
    for change in &campaign.changes {
        assert_eq!(change.value.state.phase().as_str(), "RolledBack");
        let reason = change.value.state.why().unwrap();
        assert_eq!(reason.code, ReasonCode::UndoneByPerson);
        assert!(reason.message.contains("tag of container `app` has moved since"), "{reason}");
    }
    for name in ["one", "two"] {
        assert_eq!(running(&story, name), vec![digest("a"); 2]);
        assert_eq!(story.runs("prod", name), ["web:3", "web:3"], "made once for both");
    }
    // But for the image it is what it was, and nobody takes it away.
    let (old, new) = (story.task_definition("web:1"), story.task_definition("web:3"));
    assert_eq!(image(&story, "web:3"), format!("registry.example.com/app@{}", digest("a")));
    let rest = |mut definition: Value| {
        definition["taskDefinition"]["containerDefinitions"][0]["image"] = Value::Null;
        let definition = &definition["taskDefinition"];
        (definition["containerDefinitions"].clone(), definition["pidMode"].clone())
    };
    assert_eq!(rest(new), rest(old));
    story.passes_for(30 * 60).await;
    assert_eq!(story.status_of("web:3"), "ACTIVE");
    assert_eq!(story.runs("prod", "one"), ["web:3", "web:3"]);
}

/// What we deployed names a digest, so nothing tells what the tag stands for now.
#[tokio::test]
async fn an_undo_of_what_was_pinned_goes_back_to_the_digest_that_ran() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    moves(&story, "b");
    story.apply(&by("{ images: pin }")).await;
    story.passes_for(20 * 60).await;
    assert_eq!(running(&story, "web"), vec![digest("a"); 2]);
    story.ask("s-1", Request::Undo { service: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(running(&story, "web"), vec![digest("a"); 2]);
    assert_eq!(story.runs("prod", "web"), ["web:3", "web:3"]);
    assert_eq!(image(&story, "web:3"), format!("registry.example.com/app@{}", digest("a")));
    let campaign = story.campaign("s-1").await;
    let reason = campaign.changes[0].value.state.why().unwrap();
    assert!(reason.message.contains("tag of container `app` may have moved since"), "{reason}");
}

#[tokio::test]
async fn an_undo_after_which_no_tag_has_moved_goes_back_to_the_revision_itself() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.apply(&by("{ images: allow }")).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("s-1").await.0, "Succeeded");
    story.ask("s-1", Request::Undo { service: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
    assert_eq!(running(&story, "web"), vec![digest("a"); 2]);
}

#[tokio::test]
async fn a_crash_while_the_recorded_document_is_registered_makes_it_once() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    moves(&story, "b");
    story.apply(&by("{ images: allow }")).await;
    story.passes_for(20 * 60).await;
    story.ecs.forget_calls();
    // The reply is lost: nobody knows whether the revision is there.
    let mut lost = false;
    story.ecs.set_faults(move |call| {
        let first = call.operation.as_str() == "RegisterTaskDefinition" && !std::mem::replace(&mut lost, true);
        first.then_some(Fault::LostReply)
    });
    story.ask("s-1", Request::Undo { service: None }).await;
    story.pass().await;
    story.controller = story.another_controller("two");
    assert!(story.controller.pass(Depth::Full).await.is_err(), "the lease is not free yet");
    story.settle(31);
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:3", "web:3"]);
    assert_eq!(running(&story, "web"), vec![digest("a"); 2]);
    assert_eq!(story.writes(), ["RegisterTaskDefinition", "UpdateService", "DeregisterTaskDefinition"]);
    assert_eq!((story.status_of("web:2").as_str(), story.status_of("web:3").as_str()), ("INACTIVE", "ACTIVE"));
}

#[tokio::test]
async fn a_setting_that_deploys_comes_once_the_new_revision_has_pinned_the_images() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    public(&story, app("web"));
    story.settle(300);
    moves(&story, "b");
    story.apply(&format!("{}---\n{NO_PUBLIC_IP}", by("{ images: pin }"))).await;
    story.passes_for(60 * 60).await;
    let shown =
        story.call("DescribeServices", json!({ "cluster": "prod", "services": ["web"] }))["services"][0].clone();
    assert_eq!(shown["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"], json!("DISABLED"));
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    assert_eq!(running(&story, "web"), vec![digest("a"); 2]);
    assert_eq!(story.writes(), ["RegisterTaskDefinition", "UpdateService", "UpdateService"]);
}

#[tokio::test]
async fn a_setting_that_deploys_by_itself_waits_for_its_images_to_be_pinned() {
    let mut story = Story::begin();
    story.cluster("prod");
    let mut document = app("web");
    document.as_object_mut().unwrap().remove("pidMode");
    public(&story, document);
    story.settle(300);
    story.apply(&format!("{NO_PUBLIC_IP}---\n{}", strategy("{ images: pin }"))).await;
    let plan = story.pass().await.plan.unwrap();
    let reason = plan.services[0].reason.clone().unwrap();
    assert_eq!((plan.services[0].outcome, reason.code), (PlanOutcome::Blocked, ReasonCode::MutableImage));
    assert!(reason.message.contains("a setting makes no new revision"), "{reason}");
}

#[tokio::test]
async fn nothing_is_replaced_before_it_is_known_which_images_run() {
    let mut story = Story::begin();
    story.cluster("prod");
    moves(&story, "a");
    let revision = story.register(app("web"));
    story.service("prod", "web", &revision, json!({}));
    story.settle(300);
    story.apply(&by("{ images: allow }")).await;
    story.ecs.set_faults(|call| (call.operation.as_str() == "DescribeTasks").then_some(Fault::ServerError));
    story.ecs.forget_calls();
    story.passes_for(60).await;
    assert_eq!(story.writes(), ["RegisterTaskDefinition"]);
    story.ecs.clear_faults();
    moves(&story, "b");
    story.passes_for(30 * 60).await;
    assert_eq!(running(&story, "web"), vec![digest("b"); 2]);
    story.ask("s-1", Request::Undo { service: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(running(&story, "web"), vec![digest("a"); 2], "what ran is known, and comes back");
}
