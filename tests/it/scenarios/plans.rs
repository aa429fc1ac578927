//! Plans that people keep and ask for: carried out exactly as they were shown, or refused with what has moved.

use plimsoll::manifest;
use plimsoll::model::spec::{Kind, Object};
use plimsoll::plan::saved::SavedPlan;
use plimsoll::records::command::{Answer, Ask, Command, Commands};
use plimsoll::records::configuration::Configurations;
use plimsoll::rollout::command::Request;
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

const PERSON: &str = "arn:aws:iam::123456789012:user/alex";

/// A fleet of these services, all violating, and what would be done about them.
async fn story(policies: &str, services: &[&str]) -> Story {
    let story = Story::begin();
    story.cluster("prod");
    for name in services {
        story.violating_service("prod", name);
    }
    story.apply(policies).await;
    story.settle(300);
    story
}

fn proposed() -> String {
    NO_HOST_PID.replace("enforcement: enforce", "enforcement: propose")
}

/// The plan as it is asked for; how it is written and read again is `cli`'s matter.
async fn saved(story: &Story) -> SavedPlan {
    saved_as_if(story, None).await
}

async fn saved_as_if(story: &Story, objects: Option<Vec<Object>>) -> SavedPlan {
    let (plan, _) = story.another_controller("person").plan(objects).await.unwrap();
    serde_json::from_str(&serde_json::to_string(&plan.saved()).unwrap()).unwrap()
}

async fn ask(story: &mut Story, plan: &SavedPlan) -> Answer {
    let target = story.controller.settings().target.clone();
    let at = plimsoll::ports::Clock::now(story.clock.as_ref());
    let id = format!("{at}-plan");
    let command = Command { id: id.clone(), ask: Ask::Plan { plan: plan.clone() }, by: PERSON.to_owned(), at };
    Commands::of(story.store.as_ref(), &target).ask(&command).await.unwrap();
    story.settle(1);
    story.pass().await;
    story.answer(&id).await.expect("it is answered in the same pass")
}

#[track_caller]
fn is_refused(answer: &Answer, why: &str) {
    assert!(!answer.done && answer.rollouts.is_empty() && answer.message.contains(why), "{why:?}: {answer:#?}");
}

#[tokio::test]
async fn exactly_the_plan_is_carried_out_and_what_came_later_waits() {
    let mut story = story(NO_HOST_PID, &["api", "web"]).await;
    let plan = saved(&story).await;
    story.violating_service("prod", "later");
    story.settle(300);
    let answer = ask(&mut story, &plan).await;
    assert_eq!((answer.done, answer.rollouts.as_slice()), (true, &["default-1".to_owned()][..]), "{}", answer.message);
    let (_, changes) = story.phases("default-1").await;
    assert_eq!(changes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["prod/api", "prod/web"]);
    assert_eq!(story.campaign("default-1").await.rollout.value.spec.plan, plan.id, "approvals name this plan");
    let begun = story.events().await.into_iter().find(|event| event.subject == "Rollout/default-1").unwrap();
    assert_eq!(begun.by, PERSON);
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "later"), ["later:2", "later:2"], "its turn comes after");
}

#[tokio::test]
async fn what_has_moved_since_is_told_by_service_and_nothing_is_done() {
    let mut story = story(&proposed(), &["again", "fixed", "gone", "moved", "same"]).await;
    let plan = saved(&story).await;
    let moved = story.register(host_pid("moved"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "moved", "taskDefinition": moved }));
    let mut compliant = host_pid("fixed");
    compliant.as_object_mut().unwrap().remove("pidMode");
    let fixed = story.register(compliant);
    story.call("UpdateService", json!({ "cluster": "prod", "service": "fixed", "taskDefinition": fixed }));
    for name in ["gone", "again"] {
        story.call("DeleteService", json!({ "cluster": "prod", "service": name, "force": true }));
    }
    story.settle(300);
    story.service("prod", "again", "again:1", json!({}));
    story.settle(600);
    story.ecs.forget_calls();
    let answer = ask(&mut story, &plan).await;
    insta::assert_snapshot!(answer.message, @"the plan does not hold any more: `prod/again` was deleted and created again; `prod/fixed` had `fixed:1` and has `fixed:2` now; `prod/gone` is gone; `prod/moved` had `moved:1` and has `moved:2` now; make it again with `plimsoll plan --out`");
    assert!(!answer.done);
    assert_eq!(story.writes(), [""; 0]);
}

#[tokio::test]
async fn other_policies_are_no_difference_unless_the_edit_is_another() {
    let mut first = story(&proposed(), &["web"]).await;
    let plan = saved(&first).await;
    // Another title, another hash of the policies, the same edit.
    first.apply(&proposed().replace("No host process namespace", "None of the host's processes")).await;
    assert_ne!(saved(&first).await.policy_set, plan.policy_set);
    assert!(ask(&mut first, &plan).await.done, "approval is of the edit");

    let mut second = story(&proposed(), &["web"]).await;
    let plan = saved(&second).await;
    second.apply(&proposed().replace("remove: /pidMode", "set: /pidMode, value: task")).await;
    is_refused(&ask(&mut second, &plan).await, "`prod/web` would be edited otherwise by the policies in force");
    second.apply(&proposed().replace("enforcement: propose", "enforcement: audit")).await;
    is_refused(&ask(&mut second, &plan).await, "`prod/web` would not be changed: it is audit");
    let strategy =
        "\n---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: { name: slow }\nspec: { maxInFlight: 1 }\n";
    second
        .apply(&format!(
            "{}{strategy}",
            proposed().replace("enforcement: propose", "enforcement: propose, strategy: slow")
        ))
        .await;
    is_refused(&ask(&mut second, &plan).await, "strategy `default` they would be rolled out with strategy `slow` now");
    let slow = saved(&second).await;
    second.apply(&strategy.trim_start_matches("\n---").replace("maxInFlight: 1", "maxInFlight: 9")).await;
    is_refused(&ask(&mut second, &slow).await, "strategy `slow` it was changed since");
}

#[tokio::test]
async fn a_plan_as_if_applied_holds_once_its_objects_are_applied() {
    let mut story = story(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: audit"), &["web"]).await;
    let objects = |yaml: &str| -> Vec<Object> {
        manifest::parse("plan.yaml", yaml).unwrap().into_iter().map(|sourced| sourced.object).collect()
    };
    let audited = saved(&story).await;
    assert!(audited.is_empty(), "what is only audited is in no plan");
    let plan = saved_as_if(&story, Some(objects(NO_HOST_PID))).await;
    is_refused(&ask(&mut story, &plan).await, "it is audit");
    story.apply(NO_HOST_PID).await;
    assert!(ask(&mut story, &plan).await.done);
    let stored = Configurations::of(story.store.as_ref()).read(None).await.unwrap().unwrap();
    assert_eq!(stored.objects.len(), 2);
}

#[tokio::test]
async fn asking_is_no_approval_and_the_proposal_stays_what_was_asked() {
    let mut story = story(&proposed(), &["api", "web"]).await;
    let plan = saved(&story).await;
    // By now the controller proposes more.
    story.violating_service("prod", "later");
    story.settle(300);
    story.pass().await;
    assert_eq!(story.campaign("default-1").await.changes.len(), 3);
    let answer = ask(&mut story, &plan).await;
    assert_eq!(answer.rollouts, ["default-2"], "{}", answer.message);
    assert!(answer.message.contains("waits for `plimsoll rollout approve default-2`"), "{}", answer.message);
    assert_eq!(story.phases("default-1").await.0, "Superseded");
    story.passes_for(120).await;
    assert_eq!(story.phases("default-2").await.0, "Proposed", "what else is wanted is no reason to propose anew");
    let again = ask(&mut story, &plan).await;
    assert_eq!((again.done, again.rollouts.as_slice()), (true, &["default-2".to_owned()][..]), "asking twice is once");
    story.ask("default-2", Request::Approve { plan: Some(plan.id.clone()) }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-2").await.0, "Succeeded");
    assert_eq!(story.runs("prod", "later"), ["later:1", "later:1"]);
}

#[tokio::test]
async fn a_freeze_refuses_and_what_is_under_way_or_has_landed_is_named() {
    let mut story = story(NO_HOST_PID, &["api", "web"]).await;
    let plan = saved(&story).await;
    story
        .apply("{ apiVersion: plimsoll/v1, kind: Freeze, metadata: { name: stop }, spec: { reason: incident } }")
        .await;
    is_refused(
        &ask(&mut story, &plan).await,
        "`prod/web` would not be changed: it is deferred: Frozen: Freeze `stop`: incident",
    );
    story.delete(Kind::Freeze, "stop").await;
    story.pass().await;
    let answer = ask(&mut story, &plan).await;
    assert_eq!(
        (answer.done, answer.rollouts.as_slice()),
        (true, &["default-1".to_owned()][..]),
        "the controller was first"
    );
    story.passes_for(20 * 60).await;
    let answer = ask(&mut story, &plan).await;
    assert_eq!((answer.done, answer.rollouts.as_slice()), (true, &["default-1".to_owned()][..]), "and it has landed");
    let next = story.register(host_pid("web"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": next }));
    story.settle(300);
    is_refused(&ask(&mut story, &plan).await, "`prod/web` had `web:1` and has `web:3` now");
}

#[tokio::test]
async fn a_plan_that_is_asked_for_waits_for_its_window() {
    let windows = "\n---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: { name: sundays }\nspec: { windows: [{ allow: \"0 9 * * SUN\", for: 1h, timeZone: UTC }] }\n";
    let policies =
        format!("{}{windows}", NO_HOST_PID.replace("enforcement: enforce", "enforcement: enforce, strategy: sundays"));
    let mut story = story(&policies, &["web"]).await;
    let plan = saved(&story).await;
    assert_eq!(ask(&mut story, &plan).await.rollouts, ["sundays-1"]);
    story.passes_for(120).await;
    let rollout = story.campaign("sundays-1").await.rollout.value;
    assert_eq!((rollout.state.phase(), rollout.waiting.unwrap().code.as_str()), ("Scheduled", "OutsideWindow"));
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
}

#[tokio::test]
async fn without_policies_a_plan_is_refused_and_not_left_open() {
    let mut story = story(&proposed(), &["web"]).await;
    let plan = saved(&story).await;
    for (kind, name) in [(Kind::Binding, "enforce-no-host-pid"), (Kind::Policy, "no-host-pid")] {
        story.delete(kind, name).await;
    }
    let target = story.controller.settings().target.clone();
    let at = plimsoll::ports::Clock::now(story.clock.as_ref());
    let command = Command { id: "one".to_owned(), ask: Ask::Plan { plan }, by: PERSON.to_owned(), at };
    Commands::of(story.store.as_ref(), &target).ask(&command).await.unwrap();
    assert!(story.controller.pass(plimsoll::controller::reconcile::Depth::Full).await.is_err());
    is_refused(&story.answer("one").await.unwrap(), "no policy is in effect");
}
