//! Families that several services, and other people, have a hand in; and what a crash in the middle leaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::{Controller, ControllerError, Parts, Settings};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::{Hold, ServiceArn, TargetId, Timestamp};
use plimsoll::ports::ecs::Operation;
use plimsoll::ports::store::{Expect, Item, Key, Page, Store};
use plimsoll::ports::{Clock, StoreError};
use plimsoll::records::Versioned;
use plimsoll::records::campaign::Campaigns;
use plimsoll::rollout::RolloutState;
use plimsoll::rollout::command::Request;
use plimsoll::sim::{Fault, VirtualClock, WorldConfig};
use serde_json::{Map, Value, json};

use super::world::{NO_HOST_PID, Story, host_pid};

/// Whether a write is the last one its process tries.
type Dies = Box<dyn FnMut(&Key, &Map<String, Value>) -> bool + Send>;

/// A store that refuses the writes a script names: to the controller, as if it had been ended right before.
struct Interrupted {
    inner: Arc<EmbeddedStore>,
    dies: Mutex<Option<Dies>>,
    /// Who takes the lease while the next reading of the records is waited for.
    overtaken: Mutex<Option<(Arc<VirtualClock>, Controller)>>,
}

impl Interrupted {
    /// Puts it between the story's controller and its store.
    fn under(story: &mut Story) -> Arc<Self> {
        let store = Arc::new(Self { inner: story.store.clone(), dies: Mutex::new(None), overtaken: Mutex::new(None) });
        let settings = Settings {
            target: target(),
            caller: WorldConfig::default().caller,
            holder: "interrupted".to_owned(),
            lease: Duration::from_secs(30),
            call_timeout: Duration::from_secs(2),
            resync: Some(Duration::from_secs(60)),
            poll: Duration::from_secs(15),
            allow_edit: vec![],
        };
        let parts = Parts {
            ecs: story.ecs.clone(),
            alarms: story.alarms.clone(),
            store: store.clone(),
            clock: story.clock.clone(),
        };
        story.controller = Controller::new(parts, settings);
        store
    }

    fn dies_at(&self, script: impl FnMut(&Key, &Map<String, Value>) -> bool + Send + 'static) {
        *self.dies.lock().unwrap() = Some(Box::new(script));
    }

    fn lives(&self) {
        *self.dies.lock().unwrap() = None;
    }
}

impl Store for Interrupted {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        self.inner.get(keys)
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        if self.dies.lock().unwrap().as_mut().is_some_and(|dies| dies(key, body)) {
            let error = StoreError::Unavailable { store: "story".to_owned(), message: "interrupted".to_owned() };
            return Box::pin(async { Err(error) });
        }
        self.inner.put(key, body, expect, expires)
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        self.inner.delete(key, expect)
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        let overtaken = self.overtaken.lock().unwrap().take_if(|_| partition.ends_with("#rollouts"));
        Box::pin(async move {
            if let Some((clock, mut other)) = overtaken {
                assert!(other.pass(Depth::InFlight).await.is_err());
                clock.advance(Duration::from_secs(31));
                other.pass(Depth::InFlight).await.unwrap();
            }
            self.inner.query(partition, prefix, after).await
        })
    }

    fn describe(&self) -> String {
        "story".to_owned()
    }
}

fn target() -> TargetId {
    let WorldConfig { account, region, .. } = WorldConfig::default();
    TargetId { account, region }
}

fn service(name: &str) -> ServiceArn {
    let TargetId { account, region } = target();
    format!("arn:aws:ecs:{region}:{account}:service/prod/{name}").parse().unwrap()
}

fn undo() -> Request {
    Request::Undo { service: None }
}

fn undo_of(name: &str) -> Request {
    Request::Undo { service: Some(service(name)) }
}

/// Two services on one revision that breaks the policy.
fn siblings() -> Story {
    let story = Story::begin();
    story.cluster("prod");
    let revision = story.register(host_pid("web"));
    for name in ["a", "b"] {
        story.service("prod", name, &revision, json!({}));
    }
    story
}

#[tokio::test]
async fn who_was_suspended_for_longer_than_the_lease_does_not_stamp_what_its_next_holder_has() {
    let mut story = siblings();
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.pass().await;
    let store = Interrupted::under(&mut story);
    let other = story.another_controller("two");
    story.settle(31);
    assert!(story.controller.pass(Depth::InFlight).await.is_err(), "the first one's lease is watched for its length");
    story.settle(31);
    *store.overtaken.lock().unwrap() = Some((story.clock.clone(), other));
    let error = story.controller.pass(Depth::InFlight).await.unwrap_err();
    assert!(matches!(error, ControllerError::NotHolder { .. }), "{error}");
    let campaign = story.campaign("default-1").await;
    assert_eq!(campaign.rollout.value.epoch, 3, "the first's, the suspended one's, and the other's");
}

/// Every change of the rollout is in this phase.
async fn assert_changes(story: &Story, rollout: &str, phase: &str) {
    let (_, changes) = story.phases(rollout).await;
    assert!(!changes.is_empty() && changes.iter().all(|(_, found)| found == phase), "{changes:?}");
}

#[tokio::test]
async fn what_is_gone_back_to_is_made_again_where_it_was_deregistered_since_a_sibling_went_back() {
    let mut story = siblings();
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    assert_changes(&story, "default-1", "Succeeded").await;
    story.ask("default-1", undo_of("a")).await;
    story.passes_for(10 * 60).await;
    assert_eq!(story.runs("prod", "a"), ["web:1", "web:1"]);
    story.call("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" }));
    story.settle(900);
    story.ask("default-1", undo_of("b")).await;
    story.passes_for(20 * 60).await;
    assert_changes(&story, "default-1", "RolledBack").await;
    assert_eq!(story.runs("prod", "b"), ["web:3", "web:3"]);
    assert_eq!(story.task_definition("web:3")["taskDefinition"]["pidMode"], "host");
}

#[tokio::test]
async fn what_is_gone_back_to_is_made_again_even_if_it_was_deregistered_twice() {
    let mut story = siblings();
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    story.call("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" }));
    story.settle(900);
    story.ask("default-1", undo_of("a")).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "a"), ["web:3", "web:3"]);
    story.call("DeregisterTaskDefinition", json!({ "taskDefinition": "web:3" }));
    story.settle(900);
    story.ask("default-1", undo_of("b")).await;
    story.passes_for(20 * 60).await;
    assert_changes(&story, "default-1", "RolledBack").await;
    assert_eq!(story.runs("prod", "b"), ["web:4", "web:4"]);
}

#[tokio::test]
async fn an_undo_that_failed_can_be_asked_for_again() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    story.ecs.set_faults(|call| {
        let refuse = || Fault::Refuse { code: "AccessDeniedException".to_owned(), message: "no".to_owned() };
        (call.operation == Operation::UpdateService).then(refuse)
    });
    story.ask("default-1", undo()).await;
    story.passes_for(10 * 60).await;
    assert_changes(&story, "default-1", "Failed").await;
    story.ecs.clear_faults();
    let id = story.ask("default-1", undo_of("web")).await;
    story.passes_for(20 * 60).await;
    assert!(story.answer(&id).await.unwrap().done);
    assert_changes(&story, "default-1", "RolledBack").await;
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
}

#[tokio::test]
async fn a_revision_made_again_before_a_crash_is_found_and_not_taken_for_somebodys() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let store = Interrupted::under(&mut story);
    story.passes_for(30 * 60).await;
    story.call("DeregisterTaskDefinition", json!({ "taskDefinition": "web:1" }));
    story.settle(900);
    story.ask("default-1", undo()).await;
    // Ended after ECS made the revision and before that was recorded.
    store.dies_at(|key, body| key.sort.starts_with("registration#web:1#") && body["state"]["phase"] == "Registered");
    story.settle(15);
    story.controller.pass(Depth::Full).await.unwrap_err();
    assert_eq!(story.status_of("web:3"), "ACTIVE");
    store.lives();
    story.passes_for(20 * 60).await;
    assert_changes(&story, "default-1", "RolledBack").await;
    assert_eq!(story.runs("prod", "web"), ["web:3", "web:3"]);
    let listed = story.call("ListTaskDefinitions", json!({ "familyPrefix": "web", "status": "ACTIVE" }));
    let named = |arn: &Value| arn.as_str().unwrap().ends_with("web:4");
    assert!(!listed["taskDefinitionArns"].as_array().unwrap().iter().any(named), "made once: {listed}");
}

#[tokio::test]
async fn somebodys_revision_that_was_adopted_stays_theirs() {
    let mut story = Story::begin();
    story.cluster("prod");
    story.violating_service("prod", "web");
    let mut fixed = host_pid("web");
    fixed.as_object_mut().unwrap().shift_remove("pidMode");
    story.register(fixed);
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:2", "web:2"]);
    story.ask("default-1", undo()).await;
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "web"), ["web:1", "web:1"]);
    assert_eq!(story.status_of("web:2"), "ACTIVE");
}

/// A second policy, in force on service `b` only.
const READ_ONLY_ON_B: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: read-only }
spec:
  title: Root file systems are read-only
  severity: low
  resource: TaskDefinition
  checks:
    - name: root
      forEach: /containerDefinitions/*
      as: [container]
      require: "container.?readonlyRootFilesystem.orValue(false)"
      message: "the root file system can be written"
      fix: [{ edits: [{ set: /readonlyRootFilesystem, value: true, on: container }] }]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: read-only-on-b }
spec: { policies: [read-only], enforcement: enforce, scope: { include: { services: [b] } } }
"#;

#[tokio::test]
async fn siblings_that_want_different_fixes_both_get_theirs_and_more_later() {
    let mut story = siblings();
    story.apply(NO_HOST_PID).await;
    story.apply(READ_ONLY_ON_B).await;
    story.settle(300);
    story.passes_for(60 * 60).await;
    let mut revisions = [story.runs("prod", "a"), story.runs("prod", "b")].concat();
    revisions.sort();
    assert_eq!(revisions, ["web:2", "web:2", "web:3", "web:3"]);
    // The sibling's revision is the family's latest now, and no more in the way than before.
    let another = READ_ONLY_ON_B
        .replace("read-only", "terminal")
        .replace("readonlyRootFilesystem", "pseudoTerminal")
        .replace("services: [b]", "services: [a]");
    story.apply(&another).await;
    story.passes_for(60 * 60).await;
    assert_eq!(story.runs("prod", "a"), ["web:4", "web:4"]);
    assert_eq!(story.runs("prod", "b"), ["web:3", "web:3"]);
    let made = story.task_definition("web:4")["taskDefinition"]["containerDefinitions"][0].clone();
    assert_eq!((&made["pseudoTerminal"], made.get("readonlyRootFilesystem")), (&json!(true), None));
}

#[tokio::test]
async fn somebodys_newer_revision_is_in_the_way_of_siblings_all_the_same() {
    let mut story = siblings();
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    story.passes_for(30 * 60).await;
    let mut theirs = host_pid("web");
    theirs["containerDefinitions"][0]["image"] = json!("registry.example.com/app:2");
    story.register(theirs);
    story.apply(READ_ONLY_ON_B).await;
    story.passes_for(30 * 60).await;
    assert_eq!(story.runs("prod", "b"), ["web:2", "web:2"]);
    assert_eq!(story.status_of("web:3"), "ACTIVE");
}

/// Four services that want the same fix, and the canary under way.
async fn under_way() -> (Story, Arc<Interrupted>) {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["one", "two", "three", "four"] {
        story.violating_service("prod", name);
    }
    story.apply(NO_HOST_PID).await;
    story.settle(300);
    let store = Interrupted::under(&mut story);
    story.passes_for(30).await;
    (story, store)
}

fn is_answer(_: &Key, body: &Map<String, Value>) -> bool {
    body.contains_key("done")
}

fn drops_a_change(key: &Key, body: &Map<String, Value>) -> bool {
    key.sort.starts_with("change#") && body["phase"] == "Deferred"
}

fn ends_a_rollout(key: &Key, body: &Map<String, Value>) -> bool {
    key.sort.starts_with("rollout#") && matches!(body["phase"].as_str(), Some("Aborted" | "Superseded"))
}

#[tokio::test]
async fn what_was_carried_out_and_not_answered_is_answered_and_not_refused() {
    for request in [Request::Pause, Request::Abort, undo()] {
        let (mut story, store) = under_way().await;
        let id = story.ask("default-1", request.clone()).await;
        store.dies_at(is_answer);
        story.controller.pass(Depth::Full).await.unwrap_err();
        assert_eq!(story.answer(&id).await, None);
        store.lives();
        story.pass().await;
        let answer = story.answer(&id).await.unwrap();
        assert!(answer.done, "{request:?}: {}", answer.message);
    }
}

#[tokio::test]
async fn an_abort_that_was_interrupted_anywhere_leaves_nothing_that_waits_for_the_rollout() {
    for dies in [drops_a_change, ends_a_rollout] {
        let (mut story, store) = under_way().await;
        let id = story.ask("default-1", Request::Abort).await;
        store.dies_at(dies);
        story.controller.pass(Depth::Full).await.unwrap_err();
        store.lives();
        story.passes_for(20 * 60).await;
        assert!(story.answer(&id).await.unwrap().done);
        let (rollout, changes) = story.phases("default-1").await;
        assert_eq!(rollout, "Aborted");
        assert!(changes.iter().all(|(_, phase)| ["Succeeded", "Deferred"].contains(&phase.as_str())), "{changes:?}");
        assert_eq!(story.writes().iter().filter(|call| *call == "UpdateService").count(), 1);
    }
}

#[tokio::test]
async fn a_proposal_whose_replacement_was_interrupted_is_replaced_all_the_same() {
    for dies in [drops_a_change, ends_a_rollout] {
        let mut story = Story::begin();
        story.cluster("prod");
        story.violating_service("prod", "one");
        story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: propose")).await;
        story.settle(300);
        let store = Interrupted::under(&mut story);
        story.passes_for(30).await;
        story.violating_service("prod", "two");
        story.settle(300);
        store.dies_at(dies);
        story.controller.pass(Depth::Full).await.unwrap_err();
        store.lives();
        story.passes_for(60).await;
        let (rollout, changes) = story.phases("default-1").await;
        assert_eq!((rollout.as_str(), changes[0].1.as_str()), ("Superseded", "Deferred"));
        let (rollout, changes) = story.phases("default-2").await;
        assert_eq!((rollout.as_str(), changes.len()), ("Proposed", 2));
    }
}

#[tokio::test]
async fn what_an_ended_rollout_never_began_waits_for_it_no_more() {
    let (mut story, _) = under_way().await;
    story.controller.release().await;
    let mut rollout = story.campaign("default-1").await.rollout;
    rollout.value.state = RolloutState::Superseded { at: story.clock.now() };
    Campaigns::of(story.store.as_ref(), &target()).put(&rollout.value, Some(rollout.version)).await.unwrap();
    story.controller = story.another_controller("another");
    story.settle(60);
    story.passes_for(30 * 60).await;
    let (_, changes) = story.phases("default-1").await;
    assert!(changes.iter().all(|(_, phase)| ["Succeeded", "Deferred"].contains(&phase.as_str())), "{changes:?}");
    let (rollout, changes) = story.phases("default-2").await;
    assert_eq!((rollout.as_str(), changes.len()), ("Succeeded", 3));
}

/// A rollout that its maker takes away again, because it lost the lease, may have been taken over by then.
#[tokio::test]
async fn what_somebody_has_written_since_is_not_removed() {
    let (store, target) = (EmbeddedStore::in_memory().unwrap(), target());
    let campaigns = Campaigns::of(&store, &target);
    let value: Hold = serde_json::from_value(json!({
        "resource": "arn:aws:ecs:eu-west-1:123456789012:service/prod/web", "fix": "f", "policy": "p",
        "reason": { "code": "TasksFail", "message": "tasks fail", "until": null }, "rollout": null,
        "createdAt": "2026-01-05T09:00:00Z", "until": null,
    }))
    .unwrap();
    let made = Versioned { version: campaigns.put(&value, None).await.unwrap(), value: value.clone() };
    let taken_over = Versioned { version: campaigns.put(&value, Some(made.version)).await.unwrap(), value };
    campaigns.remove(&made).await.unwrap_err();
    assert_eq!(campaigns.holds().await.unwrap().len(), 1);
    campaigns.remove(&taken_over).await.unwrap();
    assert_eq!(campaigns.holds().await.unwrap().len(), 0);
}
