//! Fixes that land, fixes that do not, and the way back.

use plimsoll::model::ReasonCode;
use plimsoll::model::spec::Kind;
use plimsoll::ports::Operation;
use plimsoll::rollout::command::Request;
use plimsoll::sim::{Condition, Effect, Fault, Misbehaviour};
use serde_json::json;

use super::world::{NO_HOST_PID, Story, host_pid};

#[tokio::test]
async fn a_fix_lands_on_running_tasks_and_a_second_run_writes_nothing() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["one", "two", "three", "four"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let before = story.task_definition("one:1");
    story.passes_for(30 * 60).await;
    let (phase, changes) = story.phases("default-1").await;
    assert_eq!(phase, "Succeeded", "{changes:?}");
    for name in ["one", "two", "three", "four"] {
        assert_eq!(story.runs("prod", name), [format!("{name}:2"), format!("{name}:2")]);
    }
    let after = story.task_definition("one:2");
    let mut expected = before["taskDefinition"].clone();
    expected.as_object_mut().unwrap().shift_remove("pidMode");
    for member in ["taskDefinitionArn", "revision", "registeredAt", "requiresAttributes"] {
        expected[member] = after["taskDefinition"][member].clone();
    }
    assert_eq!(after["taskDefinition"], expected);
    assert_eq!(after["tags"], before["tags"]);
    story.ecs.forget_calls();
    story.passes_for(5 * 60).await;
    assert_eq!(story.writes(), [""; 0]);
    story.events().await;
}

#[tokio::test]
async fn a_canary_that_breaks_is_taken_back_and_held_and_the_rollout_stops() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["alpha", "beta"] {
        story.violating_service("prod", name);
    }
    // The service cannot run without the host's processes.
    story.ecs.world().misbehave(Misbehaviour {
        family: "alpha".to_owned(),
        when: vec![Condition { pointer: "/pidMode".to_owned(), equals: None, not: false }],
        effect: Effect::CrashOnStart,
    });
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(60 * 60).await;
    let (phase, changes) = story.phases("default-1").await;
    assert_eq!(phase, "Paused");
    assert_eq!(
        changes,
        [("prod/alpha".to_owned(), "RolledBack".to_owned()), ("prod/beta".to_owned(), "Pending".to_owned())]
    );
    assert_eq!(story.runs("prod", "alpha"), ["alpha:1", "alpha:1"]);
    assert_eq!(story.runs("prod", "beta"), ["beta:1", "beta:1"]);
    assert_eq!(story.status_of("alpha:2"), "INACTIVE", "a revision that was taken back does not stay latest");
    let id = story.ask("default-1", Request::Resume).await;
    story.passes_for(30 * 60).await;
    assert!(story.answer(&id).await.unwrap().done);
    let (phase, _) = story.phases("default-1").await;
    assert_eq!(phase, "Failed");
    assert_eq!(story.runs("prod", "beta"), ["beta:2", "beta:2"]);
    assert_eq!(story.runs("prod", "alpha"), ["alpha:1", "alpha:1"], "a held fix never returns");
}

#[tokio::test]
async fn an_undo_brings_back_what_ran_and_sticks_through_the_next_deployment() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(10 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "RolledBack");
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
    story.passes_for(10 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
    // The team deploys again, with the violation in it.
    let next = story.register(host_pid("web"));
    story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": next }));
    story.passes_for(30 * 60).await;
    assert_eq!(story.runs("prod", "web"), [next.rsplit('/').next().unwrap(); 2]);
}

#[tokio::test]
async fn a_controller_that_dies_in_the_middle_is_followed_by_one_that_goes_on() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.pass().await;
    story.pass().await;
    let died_at = story.phases("default-1").await;
    assert!(["Registering", "Updating", "Stabilizing"].contains(&died_at.1[0].1.as_str()), "{died_at:?}");
    // Another one watches the lease not change for its whole length, then takes over.
    story.controller = story.another_controller("two");
    assert!(
        story.controller.pass(plimsoll::controller::reconcile::Depth::Full).await.is_err(),
        "the lease is not free yet"
    );
    story.settle(31);
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"], "and no third revision");
}

#[tokio::test]
async fn a_violation_that_is_put_back_twice_is_only_proposed_the_third_time() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    for round in 1..=2 {
        story.passes_for(20 * 60).await;
        assert_eq!(story.phases(&format!("default-{round}")).await.0, "Succeeded");
        let next = story.register(host_pid("web"));
        story.call("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": next }));
    }
    let report = story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-3").await.0, "Proposed");
    let reason = report.plan.unwrap().services[0].reason.clone().unwrap();
    assert_eq!(reason.code, ReasonCode::Contested);
    assert!(reason.message.contains("`web:5`"), "the evidence names the revision: {}", reason.message);
    assert_eq!(story.runs("prod", "web"), ["web:5", "web:5"]);
    story.ask("default-3", Request::Approve { plan: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:6", "web:6"], "a person may insist");
}

#[tokio::test]
async fn a_freeze_stops_a_rollout_at_once_and_lifting_it_lets_it_go_on() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["one", "two", "three"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(60).await;
    story
        .apply("{ apiVersion: plimsoll/v1, kind: Freeze, metadata: { name: stop }, spec: { reason: incident } }")
        .await;
    story.ecs.forget_calls();
    story.passes_for(30 * 60).await;
    assert_eq!(story.writes(), [""; 0], "nothing is written forward under a freeze");
    let (_, changes) = story.phases("default-1").await;
    assert!(changes.iter().filter(|(_, phase)| phase == "Pending").count() >= 1, "{changes:?}");
    story.delete(Kind::Freeze, "stop").await;
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
}

#[tokio::test]
async fn services_on_one_revision_share_the_new_one_and_a_family_that_is_ahead_is_left_alone() {
    let mut story = Story::begin();
    story.cluster("prod");
    let shared = story.violating_service("prod", "web");
    story.service("prod", "web-worker", &shared, json!({}));
    let old = story.violating_service("prod", "ahead");
    story.register(host_pid("ahead"));
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let report = story.passes_for(40 * 60).await;
    assert_eq!(
        (story.runs("prod", "web"), story.runs("prod", "web-worker")),
        (vec!["web:2".to_owned(); 2], vec!["web:2".to_owned(); 2])
    );
    let plan = report.plan.unwrap();
    let ahead = plan.services.iter().find(|service| service.resource.ends_with("prod/ahead")).unwrap();
    assert_eq!(ahead.reason.as_ref().unwrap().code, ReasonCode::FamilyAhead);
    assert!(old.ends_with(":1") && story.runs("prod", "ahead") == ["ahead:1", "ahead:1"]);
}

#[tokio::test]
async fn a_lost_reply_makes_no_second_revision_and_no_second_deployment() {
    for lost in ["RegisterTaskDefinition", "UpdateService"] {
        let mut story = Story::begin();
        story.cluster("prod");
        story.violating_service("prod", "web");
        story.apply(NO_HOST_PID).await;
        story.settle(300);
        let mut left = 1;
        story.ecs.set_faults(move |call| {
            let hit = call.operation.as_str() == lost && left > 0;
            left -= i32::from(hit);
            hit.then_some(Fault::LostReply)
        });
        story.passes_for(20 * 60).await;
        assert_eq!(story.phases("default-1").await.0, "Succeeded", "{lost}");
        let calls = story.writes().iter().filter(|name| *name == lost).count();
        assert_eq!((calls, story.runs("prod", "web")), (1, vec!["web:2".to_owned(); 2]), "{lost}");
    }
}

#[tokio::test]
async fn records_that_cannot_be_read_are_waited_for_unless_the_server_has_none() {
    for (lacks, begun, expected) in
        [(false, false, "Deferred"), (false, true, "Stabilizing"), (true, false, "Succeeded")]
    {
        let mut story = Story::begin();
        story.cluster("prod");
        story.violating_service("prod", "web");
        story.apply(NO_HOST_PID).await;
        story.settle(300);
        if begun {
            story.passes_for(15).await;
        }
        story.ecs.set_faults(move |call| {
            let refused = || Fault::Refuse { code: "UnknownOperationException".to_owned(), message: String::new() };
            (call.operation == Operation::ListServiceDeployments)
                .then(|| if lacks { refused() } else { Fault::Throttle })
        });
        story.passes_for(20 * 60).await;
        let change = story.campaign("default-1").await.changes[0].value.clone();
        assert_eq!(change.state.phase().as_str(), expected);
        let why = change.state.why().or(change.waiting);
        if let Some(why) = why.filter(|_| !lacks) {
            assert_eq!(why.code, ReasonCode::NotObserved);
            assert!(why.message.contains("deployments could not be read"), "{why}");
        }
        story.ecs.clear_faults();
        story.passes_for(10 * 60).await;
        // What has not begun is planned anew.
        let rollout = if expected == "Deferred" { "default-2" } else { "default-1" };
        assert_eq!(story.phases(rollout).await.1[0].1, "Succeeded");
    }
}
