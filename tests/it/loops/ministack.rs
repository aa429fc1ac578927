//! ministack: tasks start at once, old ones stop with the deployment, and ListServiceDeployments is always empty, so
//! that the service's own deployments and its tasks have to tell. Its tasks name the service in `startedBy`, not the
//! deployment. What it does not know of a task definition's own members, it drops.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::embedded::EmbeddedStore;
use plimsoll::plan::PlanOutcome;
use plimsoll::ports::Store;
use plimsoll::ports::ecs::{Ecs, Operation};
use plimsoll::rollout::State;
use serde_json::{Map, Value, json};

use super::documents;
use super::fleet::{Fleet, all_on};
use super::policies::{SWIFT, WANTS_FAULT_INJECTION};
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
    let planned: Vec<&str> = plan.services.iter().map(|service| service.resource.as_ref()).collect();
    assert_eq!(planned, before.keys().collect::<Vec<_>>());
    let expected = |arn: &str| complying(before[arn].document());
    for service in &plan.services {
        let differs =
            Value::Object(expected(&service.resource)) != Value::Object(before[service.resource.as_ref()].document());
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
async fn a_fleet_comes_to_comply_and_nothing_else_changes() {
    let peer = Peer::ministack().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    let mut fleet = Fleet::empty(&peer).await;
    fleet.deploy(&documents::own()).await;
    assert_eq!(fleet.refused, [] as [String; 0]);
    complies(&peer, Arc::new(store), &fleet).await;
}

#[tokio::test]
async fn so_does_a_fleet_of_real_task_definitions_with_the_record_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::create(&folder.path().join("plimsoll.db")).unwrap();
    let peer = Peer::ministack().await;
    let mut fleet = Fleet::empty(&peer).await;
    let began = tokio::time::Instant::now();
    // Without any, some of our own have to do.
    let (real, unreadable) = documents::real().unwrap_or_else(|| (documents::own().split_off(24), Vec::new()));
    fleet.deploy(&real).await;
    // What this server refuses, or nobody can read, is no part of the fleet; it is counted.
    let services = fleet.services.len();
    assert_eq!(services + fleet.refused.len(), real.len());
    complies(&peer, Arc::new(store), &fleet).await;
    eprintln!(
        "{} task definitions, {} not readable: {unreadable:?}, {} refused: {:?}; {services} services, {} s",
        real.len() + unreadable.len(),
        unreadable.len(),
        fleet.refused.len(),
        fleet.refused,
        began.elapsed().as_secs()
    );
}

#[tokio::test]
async fn a_revision_that_came_out_otherwise_than_asked_for_is_quarantined_and_no_service_moves() {
    let peer = Peer::ministack().await;
    let store = peer.connection().store("plimsoll");
    store.create_table().await.unwrap();
    let mut fleet = Fleet::empty(&peer).await;
    fleet.deploy(&documents::named(&["faults-on-purpose.json", "tuned-to-the-kernel.json"])).await;
    let mut run = Loop::on(&peer, Arc::new(store), WANTS_FAULT_INJECTION).await;
    let ecs = run.ecs.clone();
    let before = fleet.look(ecs.as_ref()).await;
    assert_eq!(run.plan().await.summary().change, 2);

    let problems = run.settles().await;
    assert_eq!(problems.len(), 2, "{problems:#?}");
    let [first, second] = [0, 1].map(|place| problems[place].as_str());
    assert!(first.contains("Held") && first.contains("at /enableFaultInjection;"), "{first}");
    assert!(second.contains("ChangeFailed") && second.contains("at /enableFaultInjection;"), "{second}");
    let campaigns = run.campaigns().await;
    let states: Vec<&State> = campaigns[0].changes.iter().map(|change| &change.value.state).collect();
    assert!(matches!(states.as_slice(), [State::Quarantined { .. }, State::Pending]), "{states:?}");

    assert_eq!(fleet.look(ecs.as_ref()).await, before);
    let writes: Vec<Operation> = run.ecs.writes().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(writes, [Operation::RegisterTaskDefinition, Operation::DeregisterTaskDefinition]);
    assert!(!run.plan().await.is_settled());
    run.audits().await;

    // What was made and taken back is in nobody's way: ministack shows it as the family's latest all the same.
    let last = json!({ "taskDefinition": "faults-on-purpose" });
    let last = ecs.call(Operation::DescribeTaskDefinition, last).await.unwrap();
    assert_eq!(
        (&last["taskDefinition"]["revision"], &last["taskDefinition"]["status"]),
        (&json!(2), &json!("INACTIVE"))
    );
    complies(&peer, Arc::new(EmbeddedStore::in_memory().unwrap()), &fleet).await;
}

/// Where the controller dies: a revision is made, a service is told, in the first wave and in the next.
const DEATHS: [usize; 5] = [1, 1, 1, 2, 3];

#[tokio::test]
async fn controller_and_store_die_again_and_again_and_nothing_is_lost_or_done_twice() {
    let (peer, mut record) = (Peer::ministack().await, Peer::dynalite().await);
    record.connection().store("plimsoll").create_table().await.unwrap();
    let mut fleet = Fleet::empty(&peer).await;
    let files = ["a-shell-script-in-a-command.json", "mesh-behind-envoy.json", "node-agent-on-every-host.json"];
    let more = ["numbers-of-every-size.json", "router-of-logs.json", "words-in-every-script.json"];
    fleet.deploy(&documents::named(&[files, more].concat())).await;
    let store = || Arc::new(record.connection().store("plimsoll"));
    let mut run = Loop::on_lease(&peer, store(), SWIFT, Duration::from_secs(60)).await;
    let ecs = run.ecs.clone();
    let before = fleet.look(ecs.as_ref()).await;
    for (number, writes) in DEATHS.into_iter().enumerate() {
        run.dies_at_write(writes).await;
        record.dies_and_starts_again().await;
        let store = Arc::new(record.connection().store("plimsoll"));
        run.starts_again(&format!("controller-{number}"), store);
    }
    assert_eq!(run.settles().await, [] as [String; 0]);

    for (arn, after) in fleet.look(ecs.as_ref()).await {
        let wanted = complying(before[&arn].document());
        assert_eq!(json!(after.document()).to_string(), json!(wanted).to_string(), "{arn}");
        assert_eq!(after.runs, all_on(after.revision()), "{arn}");
        assert!(after.revision().ends_with(":2"), "{arn} is at {}", after.revision());
    }
    let mut writes: Vec<Operation> = run.ecs.writes().into_iter().map(|(operation, _)| operation).collect();
    writes.sort();
    let each = |operation| std::iter::repeat_n(operation, before.len());
    assert_eq!(
        writes,
        each(Operation::RegisterTaskDefinition).chain(each(Operation::UpdateService)).collect::<Vec<_>>()
    );
    run.audits().await;
}
