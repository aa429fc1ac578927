//! Images named by a tag, under `images: pin` and on the way back.

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

/// The policy, rolled out by a strategy of its own.
fn by(strategy: &str) -> String {
    format!(
        "{}---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: {{ name: s }}\nspec: {strategy}\n",
        NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: s")
    )
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
    let diff: Vec<(&str, &str)> =
        plan.services[0].diff.iter().map(|entry| (entry.path.as_str(), entry.policy.as_str())).collect();
    assert_eq!(diff, [("/pidMode", "no-host-pid"), ("/containerDefinitions/0/image", "images: pin")]);
    let pinned = format!("registry.example.com/app@{}", digest("a"));
    assert_eq!(plan.services[0].diff[1].to, Some(json!(pinned)));
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
    story.ask("s-1", Request::Undo { service: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"], "to the revision it had");
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
