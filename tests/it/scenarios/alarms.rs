//! Alarms before a wave, during it, and while it is being watched.

use plimsoll::controller::reconcile::Depth;
use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::{AlarmState, ReasonCode, TargetId};
use plimsoll::ports::AlarmsError;
use plimsoll::records::campaign::Campaigns;
use plimsoll::records::targets::Targets;
use plimsoll::rollout::command::Request;
use serde_json::json;

use super::world::{NO_HOST_PID, Story};
use crate::cli::Plimsoll;

/// What the fix goes out by: a canary that is watched for ten minutes, then the rest; and a `health` of its own.
fn guarded(more: &str) -> String {
    format!(
        "apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: {{ name: guarded }}
spec: {{ maxAffected: '100%', {more} }}
---
apiVersion: plimsoll/v1
kind: Binding
metadata: {{ name: enforce-no-host-pid }}
spec: {{ policies: [no-host-pid], enforcement: enforce, strategy: guarded }}
"
    )
}

const BY_NAME: &str = "waves: [{ name: canary, size: 1, bake: 10m }, { name: rest, size: rest, bake: 5m }], \
                       health: { progressTimeout: 20m, alarms: [payments-5xx] }";

/// Services `alpha`, `beta` and `gamma`, which have settled, a strategy like that, and the alarm it names, which is OK.
async fn story(strategy: &str) -> Story {
    let story = Story::begin();
    story.cluster("prod");
    for name in ["alpha", "beta", "gamma"] {
        story.violating_service("prod", name);
    }
    story.call("PutMetricAlarm", json!({ "AlarmName": "payments-5xx" }));
    story.settle(300);
    story.apply(NO_HOST_PID).await;
    story.apply(&guarded(strategy)).await;
    story
}

async fn until(story: &mut Story, phase: &str) {
    for _ in 0..200 {
        story.passes_for(15).await;
        if story.campaign("guarded-1").await.rollout.value.state.phase() == phase {
            return;
        }
    }
    panic!("never {phase}: {:?}", story.phases("guarded-1").await);
}

async fn waits_for(story: &Story) -> (ReasonCode, String) {
    let waiting = story.campaign("guarded-1").await.rollout.value.waiting.expect("it waits for something");
    (waiting.code, waiting.message)
}

/// `plimsoll rollout status`, as people read it.
async fn status(story: &Story) -> String {
    let campaign = story.campaign("guarded-1").await;
    let plimsoll = tokio::task::spawn_blocking(Plimsoll::with_store).await.unwrap();
    let store = EmbeddedStore::open(&plimsoll.path("plimsoll.db")).unwrap();
    let target = TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
    Targets::of(&store).announce(&target).await.unwrap();
    let campaigns = Campaigns::of(&store, &target);
    campaigns.put(&campaign.rollout.value, None).await.unwrap();
    for change in &campaign.changes {
        campaigns.put(&change.value, None).await.unwrap();
    }
    let (status, rollout) = tokio::task::spawn_blocking(move || {
        let rollout = plimsoll.run(&["get", "rollout", "guarded-1", "-o", "json"]).exits(0).json();
        (plimsoll.run(&["rollout", "status", "guarded-1"]), rollout)
    })
    .await
    .unwrap();
    let text = status.exits(0).stdout;
    // What a plan's hash is made of is not what this is about.
    let (before, after) = text.split_once("plan sha256:").unwrap();
    let condition = &rollout["status"]["conditions"][1];
    let condition = ["type", "status", "reason"].map(|member| condition[member].as_str().unwrap());
    format!("{before}plan …{}condition {}\n", &after[64..], condition.join(" "))
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("alarms-{name}"), text);
    });
}

fn revisions(story: &Story) -> Vec<String> {
    ["alpha", "beta", "gamma"].into_iter().flat_map(|name| story.runs("prod", name)).collect()
}

#[tokio::test]
async fn an_alarm_that_goes_off_while_a_wave_is_watched_takes_it_back_and_nothing_more_starts() {
    let mut story = story(BY_NAME).await;
    until(&mut story, "Baking").await;
    assert_eq!(story.runs("prod", "alpha"), ["alpha:2", "alpha:2"]);
    story.settle(60);
    story.ecs.world().ring("payments-5xx", true);
    story.pass().await;
    snapshot("fired", &status(&story).await);
    // That it rests again is no matter.
    story.ecs.world().ring("payments-5xx", false);
    story.passes_for(20 * 60).await;
    let (phase, changes) = story.phases("guarded-1").await;
    assert_eq!((phase.as_str(), changes[0].1.as_str()), ("Paused", "RolledBack"));
    assert_eq!(revisions(&story), ["alpha:1", "alpha:1", "beta:1", "beta:1", "gamma:1", "gamma:1"]);
    assert_eq!(story.status_of("alpha:2"), "INACTIVE");
    let held = story.events().await.into_iter().find(|event| event.what == "Held").unwrap();
    assert_eq!(held.reason.unwrap().code, ReasonCode::Alarm);
    // A person goes on without it: the fix stays off `alpha`.
    story.ask("guarded-1", Request::Resume).await;
    story.passes_for(40 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Failed");
    assert_eq!(revisions(&story), ["alpha:1", "alpha:1", "beta:2", "beta:2", "gamma:2", "gamma:2"]);
}

#[tokio::test]
async fn an_alarm_that_goes_off_while_tasks_are_being_replaced_takes_them_back() {
    let mut story = story(BY_NAME).await;
    for _ in 0..40 {
        story.passes_for(15).await;
        if story.phases("guarded-1").await.1[0].1 == "Stabilizing" {
            break;
        }
    }
    story.ecs.world().ring("payments-5xx", true);
    story.pass().await;
    assert_eq!(story.phases("guarded-1").await.1[0].1, "RollingBack");
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("guarded-1").await.1[0].1, "RolledBack");
    assert_eq!(story.runs("prod", "alpha"), ["alpha:1", "alpha:1"]);
}

#[tokio::test]
async fn an_alarm_that_is_on_before_holds_the_rollout_up_and_fails_nothing() {
    let mut story = story(BY_NAME).await;
    story.ecs.world().ring("payments-5xx", true);
    story.ecs.forget_calls();
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Scheduled");
    assert_eq!(story.writes(), [""; 0], "not even registered");
    let (code, message) = waits_for(&story).await;
    assert_eq!(code, ReasonCode::Alarm);
    assert!(message.contains("`payments-5xx` is in ALARM since 2026-01-05T"), "{message}");
    snapshot("on-before", &status(&story).await);
    story.ecs.world().ring("payments-5xx", false);
    story.passes_for(60 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Succeeded");
    assert_eq!(revisions(&story), ["alpha:2", "alpha:2", "beta:2", "beta:2", "gamma:2", "gamma:2"]);
}

#[tokio::test]
async fn a_bake_does_not_end_while_an_alarm_cannot_be_read_and_says_what_is_missing() {
    let mut story = story(BY_NAME).await;
    until(&mut story, "Baking").await;
    story.alarms.set_trouble(Some(AlarmsError::Denied {
        action: "cloudwatch:DescribeAlarms",
        message: "User: arn:aws:sts::123456789012:assumed-role/plimsoll/x is not authorized".to_owned(),
    }));
    // The bake is ten minutes, patience twenty.
    story.passes_for(15 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Baking");
    let (code, message) = waits_for(&story).await;
    assert_eq!(code, ReasonCode::AccessDenied);
    assert!(message.contains("grant `cloudwatch:DescribeAlarms` to the controller's role"), "{message}");
    snapshot("not-read", &status(&story).await);
    story.alarms.set_trouble(None);
    story.passes_for(60 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Succeeded");
}

#[tokio::test]
async fn an_alarm_that_is_deleted_meanwhile_is_missed_and_in_the_end_a_person_is_asked() {
    let mut story = story(BY_NAME).await;
    until(&mut story, "Baking").await;
    story.call("DeleteAlarms", json!({ "AlarmNames": ["payments-5xx"] }));
    story.passes_for(15 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Baking");
    let (code, message) = waits_for(&story).await;
    assert_eq!(code, ReasonCode::AlarmUnknown);
    assert!(message.contains("`payments-5xx` was there and is not any more"), "{message}");
    story.ecs.forget_calls();
    story.passes_for(15 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Paused");
    assert_eq!(story.writes(), [""; 0], "what is not known is no ground to act");
    assert_eq!(story.runs("prod", "alpha"), ["alpha:2", "alpha:2"]);
    snapshot("deleted", &status(&story).await);
    // There it is again; whoever goes on has it looked at afresh.
    story.call("PutMetricAlarm", json!({ "AlarmName": "payments-5xx" }));
    story.settle(120);
    story.ask("guarded-1", Request::Resume).await;
    story.passes_for(60 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Succeeded");
}

#[tokio::test]
async fn an_alarm_without_data_is_no_quiet_one() {
    let mut story = story(BY_NAME).await;
    story.ecs.world().set_alarm("payments-5xx", AlarmState::InsufficientData);
    story.passes_for(10 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Scheduled");
    assert_eq!(waits_for(&story).await.0, ReasonCode::AlarmUnknown);
}

#[tokio::test]
async fn alarms_are_found_by_their_tags_composite_ones_too() {
    let strategy = BY_NAME.replace("[payments-5xx]", "[payments-5xx, { tags: { service: payments, team: [a, b] } }]");
    let mut story = story(&strategy).await;
    story.passes_for(5 * 60).await;
    let (code, message) = waits_for(&story).await;
    assert_eq!(code, ReasonCode::AlarmUnknown, "a gate that nothing guards is not open");
    assert!(
        message.contains("no alarm in this account and region has the tags `service=payments,team=a|b`"),
        "{message}"
    );
    let tags = |team: &str| json!([{ "Key": "service", "Value": "payments" }, { "Key": "team", "Value": team }]);
    story.call("PutMetricAlarm", json!({ "AlarmName": "other", "Tags": tags("c") }));
    story.call("PutMetricAlarm", json!({ "AlarmName": "queue" }));
    let rule = "ALARM(\"queue\")";
    story.call("PutCompositeAlarm", json!({ "AlarmName": "all", "AlarmRule": rule, "Tags": tags("b") }));
    story.settle(120);
    story.ecs.world().ring("other", true);
    until(&mut story, "Baking").await;
    story.ecs.world().ring("queue", true);
    story.pass().await;
    assert_eq!(story.phases("guarded-1").await.0, "Paused");
    let change = &story.campaign("guarded-1").await.changes[0].value;
    let cause = change.history.last().unwrap().reason.clone().unwrap();
    assert!(cause.message.contains("alarm `all` went into ALARM"), "{}", cause.message);
}

const ONE_WAVE: &str = "waves: [{ name: all, size: rest, bake: 10m }], maxInFlight: 1, \
                        health: { progressTimeout: 20m, alarms: [payments-5xx] }";

#[tokio::test]
async fn a_wave_goes_back_as_many_at_a_time_as_forward_whoever_holds_the_lease() {
    let mut story = story(ONE_WAVE).await;
    until(&mut story, "Baking").await;
    assert_eq!(revisions(&story), ["alpha:2", "alpha:2", "beta:2", "beta:2", "gamma:2", "gamma:2"]);
    story.ecs.world().ring("payments-5xx", true);
    story.pass().await;
    // The controller dies, the alarm rests, and another controller takes over.
    story.ecs.world().ring("payments-5xx", false);
    story.controller = story.another_controller("two");
    assert!(story.controller.pass(Depth::Full).await.is_err(), "the lease is not free yet");
    story.settle(31);
    for _ in 0..80 {
        story.passes_for(15).await;
        let (_, changes) = story.phases("guarded-1").await;
        let going = changes.iter().filter(|(_, phase)| phase == "RollingBack").count();
        assert!(going <= 1, "{changes:?}");
    }
    let (phase, changes) = story.phases("guarded-1").await;
    assert_eq!(phase, "Paused");
    assert!(changes.iter().all(|(_, phase)| phase == "RolledBack"), "{changes:?}");
    assert_eq!(revisions(&story), ["alpha:1", "alpha:1", "beta:1", "beta:1", "gamma:1", "gamma:1"]);
}

#[tokio::test]
async fn on_failure_rollback_takes_back_the_waves_before_too() {
    let strategy = format!("{BY_NAME}, onFailure: rollback");
    let mut story = story(&strategy).await;
    until(&mut story, "Baking").await;
    story.passes_for(11 * 60).await;
    until(&mut story, "Baking").await;
    assert_eq!(story.campaign("guarded-1").await.rollout.value.state.wave(), Some(1));
    story.ecs.world().ring("payments-5xx", true);
    story.passes_for(40 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "RolledBack");
    assert_eq!(revisions(&story), ["alpha:1", "alpha:1", "beta:1", "beta:1", "gamma:1", "gamma:1"]);
}

#[tokio::test]
async fn alarms_are_read_once_a_look_not_once_a_change() {
    let mut story = story(&ONE_WAVE.replace("maxInFlight: 1", "maxInFlight: 3")).await;
    story.passes_for(60).await;
    let in_flight = story.phases("guarded-1").await.1.iter().filter(|(_, phase)| phase != "Pending").count();
    assert_eq!(in_flight, 3);
    let before = story.alarms.calls();
    story.settle(15);
    story.controller.pass(Depth::InFlight).await.unwrap();
    assert_eq!(story.alarms.calls() - before, 1);
    story.passes_for(60 * 60).await;
    assert_eq!(story.phases("guarded-1").await.0, "Succeeded");
    let before = story.alarms.calls();
    story.passes_for(5 * 60).await;
    assert_eq!(story.alarms.calls(), before, "nobody asks where nothing depends on the answer");
}
