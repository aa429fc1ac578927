//! ministack: tasks start at once, old ones stop with the deployment, and ListServiceDeployments is always empty, so
//! that the service's own deployments and its tasks have to tell. Its tasks name the service in `startedBy`, not the
//! deployment. What it does not know of a task definition's own members, it drops.

use std::sync::Arc;

use plimsoll::embedded::EmbeddedStore;
use plimsoll::plan::PlanOutcome;
use plimsoll::ports::Store;
use serde_json::{Map, Value, json};

use super::documents;
use super::fleet::{Fleet, all_on};
use super::policies::SWIFT;
use super::run::Loop;
use crate::peers::Peer;

/// What is to become of a document: written here once more, with no fix, policy or edit of the product's.
fn complying(mut document: Map<String, Value>) -> Map<String, Value> {
    if document.get("pidMode") == Some(&json!("host")) {
        document.shift_remove("pidMode");
    }
    let platform = document.get("runtimePlatform").and_then(|platform| platform["operatingSystemFamily"].as_str());
    let windows = platform.is_some_and(|name| name.starts_with("WINDOWS"));
    for container in document["containerDefinitions"].as_array_mut().unwrap() {
        let container = container.as_object_mut().unwrap();
        if container.get("privileged") == Some(&json!(true)) {
            container.insert("privileged".to_owned(), json!(false));
        }
        if !windows {
            container.insert("readonlyRootFilesystem".to_owned(), json!(true));
        }
    }
    document
}

/// Brings the fleet to comply, and asserts of every service that it does, and that nothing else has changed.
async fn complies(peer: &Peer, store: Arc<dyn Store>, fleet: &Fleet) {
    let mut run = Loop::on(peer, store, SWIFT).await;
    let ecs = run.ecs.clone();
    let before = fleet.look(ecs.as_ref()).await;
    let plan = run.plan().await;
    let planned: Vec<&String> = plan.services.iter().map(|service| &service.resource).collect();
    assert_eq!(planned, before.keys().collect::<Vec<_>>());
    let expected = |arn: &String| complying(before[arn].document());
    for service in &plan.services {
        let differs = Value::Object(expected(&service.resource)) != Value::Object(before[&service.resource].document());
        let outcome = service.outcome;
        assert_eq!(outcome == PlanOutcome::Change, differs, "{}: {outcome:?} {:?}", service.resource, service.reason);
    }
    assert!(!plan.is_settled() && plan.summary().change > 0);
    assert_eq!(run.ecs.writes(), [], "a plan writes nothing");

    assert_eq!(run.settles().await, [] as [String; 0]);
    assert!(run.ecs.writes().len() >= 2 * plan.summary().change);
    let after = fleet.look(ecs.as_ref()).await;
    for (arn, after) in &after {
        let before = &before[arn];
        let wanted = expected(arn);
        // As text: the order of members and the spelling of numbers count too.
        assert_eq!(json!(after.document()).to_string(), json!(wanted).to_string(), "{arn}");
        assert_eq!(after.definition["tags"], before.definition["tags"], "{arn}");
        assert_eq!(after.settings(), before.settings(), "{arn}");
        assert_eq!(after.runs, all_on(after.revision()), "{arn}");
        let moved = after.revision() != before.revision();
        assert_eq!(moved, json!(wanted) != json!(before.document()), "{arn}");
    }
    let plan = run.plan().await;
    assert!(plan.is_settled(), "{:?}", plan.summary());
    assert_eq!(plan.summary().change, 0);

    // Again, by a controller that knows nothing but what is stored.
    let store = run.store.clone();
    run.starts_again("two", store);
    run.ecs.writes();
    assert_eq!(run.settles().await, [] as [String; 0]);
    assert_eq!(run.ecs.writes(), []);
    assert_eq!(fleet.look(ecs.as_ref()).await, after);
    assert!(run.audits().await > plan.services.len());
}

#[tokio::test]
async fn a_fleet_comes_to_comply_on_an_independent_server_and_nothing_else_changes() {
    let peer = Peer::ministack().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    let own = documents::own();
    let mut fleet = Fleet::empty(&peer).await;
    fleet.deploy(&own).await;
    assert_eq!(fleet.refused, [] as [String; 0]);
    if let Some((real, unreadable)) = documents::real() {
        fleet.deploy(&real).await;
        let of = unreadable.len() + real.len();
        eprintln!("real task definitions: {of}, not readable: {unreadable:?}, refused: {:?}", fleet.refused);
    }
    complies(&peer, Arc::new(store), &fleet).await;
    eprintln!("ministack and its DynamoDB: {} services", fleet.services.len());
}

#[tokio::test]
async fn a_fleet_comes_to_comply_with_the_record_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::create(&folder.path().join("plimsoll.db")).unwrap();
    let peer = Peer::ministack().await;
    let mut fleet = Fleet::empty(&peer).await;
    fleet.deploy(&documents::own()).await;
    assert_eq!(fleet.refused, [] as [String; 0]);
    complies(&peer, Arc::new(store), &fleet).await;
}
