//! What is in the store, and is not as it was written: damaged, missing, or somebody else's by now.

use plimsoll::model::ReasonCode;
use plimsoll::ports::Store;
use plimsoll::ports::store::{Expect, Key};
use plimsoll::rollout::command::Request;
use plimsoll::rollout::{Change, State};
use plimsoll::sim::Fault;
use serde_json::{Map, json};

use super::world::{NO_HOST_PID, Story};

async fn two_services() -> Story {
    let story = Story::begin();
    story.cluster("prod");
    for name in ["api", "web"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story
}

async fn change_of(story: &Story, rollout: &str, service: &str) -> Change {
    let changes = story.campaign(rollout).await.changes.into_iter().map(|change| change.value);
    changes.into_iter().find(|change| change.spec.resource.short().ends_with(service)).unwrap()
}

/// Puts something else where a document is kept.
async fn damage(story: &Story, hash: &str) {
    let key = Key::new(format!("rt#{}#documents", story.controller.settings().target), hash);
    let body = Map::from_iter([("gzip".to_owned(), json!("00ff"))]);
    story.store.put(&key, &body, Expect::Any, None).await.unwrap();
}

#[tokio::test]
async fn a_document_to_go_back_to_that_is_damaged_stops_only_the_change_that_needs_it() {
    let mut story = two_services().await;
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("default-1").await.0, "Succeeded");
    let lost = change_of(&story, "default-1", "api").await.spec.documents.unwrap().previous;
    damage(&story, &lost).await;
    for revision in ["api:1", "web:1"] {
        story.call("DeregisterTaskDefinition", json!({ "taskDefinition": revision }));
    }
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(30 * 60).await;
    assert!(matches!(change_of(&story, "default-1", "web").await.state, State::RolledBack { .. }));
    let api = change_of(&story, "default-1", "api").await.state;
    let State::Failed { reason, .. } = api else { panic!("{api:?}") };
    assert_eq!(reason.code, ReasonCode::DocumentLost);
    assert!(reason.message.contains("api:1") && reason.message.contains(&lost), "{reason}");
}

#[tokio::test]
async fn a_document_to_register_that_is_damaged_is_planned_and_kept_anew() {
    let mut story = two_services().await;
    let throttled = |call: &plimsoll::sim::Call| {
        (call.operation.as_str() == "RegisterTaskDefinition").then_some(Fault::Throttle)
    };
    story.ecs.set_faults(throttled);
    story.pass().await;
    let change = story.campaign("default-1").await.changes[0].value.clone();
    assert!(matches!(change.state, State::Registering { .. }), "{change:?}");
    damage(&story, &change.spec.documents.unwrap().wanted).await;
    story.ecs.clear_faults();
    story.pass().await;
    let blocked = story.campaign("default-1").await.changes[0].value.state.clone();
    assert!(matches!(&blocked, State::Blocked { reason, .. } if reason.code == ReasonCode::DocumentLost), "{blocked:?}");
    story.passes_for(60 * 60).await;
    for name in ["api", "web"] {
        assert_eq!(story.runs("prod", name), [format!("{name}:2"), format!("{name}:2")]);
    }
}
