//! What is in the store, and is not as it was written: damaged, missing, or somebody else's by now.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::{Controller, Parts, Settings};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::{Hold, Reason, ReasonCode, Timestamp};
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Operation, Store, StoreError};
use plimsoll::records::campaign::{CampaignRecord, Campaigns};
use plimsoll::rollout::command::Request;
use plimsoll::rollout::{Change, Registration, RegistrationState, State};
use plimsoll::sim::{Condition, Effect, Fault, Misbehaviour};
use serde_json::{Map, Value, json};

use super::world::{NO_HOST_PID, Story, host_pid};

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

fn rollouts(story: &Story, sort: &str) -> Key {
    Key::new(format!("rt#{}#rollouts", story.controller.settings().target), sort)
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
    let throttled =
        |call: &plimsoll::sim::Call| (call.operation.as_str() == "RegisterTaskDefinition").then_some(Fault::Throttle);
    story.ecs.set_faults(throttled);
    story.pass().await;
    let change = story.campaign("default-1").await.changes[0].value.clone();
    assert!(matches!(change.state, State::Registering { .. }), "{change:?}");
    damage(&story, &change.spec.documents.unwrap().wanted).await;
    story.ecs.clear_faults();
    story.pass().await;
    let blocked = story.campaign("default-1").await.changes[0].value.state.clone();
    assert!(
        matches!(&blocked, State::Blocked { reason, .. } if reason.code == ReasonCode::DocumentLost),
        "{blocked:?}"
    );
    story.passes_for(60 * 60).await;
    for name in ["api", "web"] {
        assert_eq!(story.runs("prod", name), [format!("{name}:2"), format!("{name}:2")]);
    }
}

#[tokio::test]
async fn a_hold_that_somebody_wrote_since_it_was_read_is_not_replaced_by_a_shorter_one() {
    let mut story = two_services().await;
    story.ecs.set_faults(|call| (call.operation.as_str() == "RegisterTaskDefinition").then_some(Fault::Throttle));
    story.pass().await;
    let change = story.campaign("default-1").await.changes[0].value.clone();
    let theirs = Hold {
        resource: change.spec.resource.clone(),
        fix: change.spec.fixes[0].clone(),
        policy: change.spec.policies.join(","),
        reason: Reason::of(ReasonCode::UndoneByPerson, "alex said so"),
        by: None,
        rollout: None,
        created_at: story.controller.parts().clock.now(),
        until: None,
    };
    let target = story.controller.settings().target.clone();
    Campaigns::of(story.store.as_ref(), &target).put(&theirs, None).await.unwrap();
    // What fails now is held off for an hour.
    story.ecs.set_faults(|call| {
        let denied = || Fault::Refuse { code: "AccessDeniedException".to_owned(), message: "no".to_owned() };
        (call.operation.as_str() == "RegisterTaskDefinition").then(denied)
    });
    story.pass().await;
    assert!(matches!(story.campaign("default-1").await.changes[0].value.state, State::Blocked { .. }));
    let holds = Campaigns::of(story.store.as_ref(), &target).holds().await.unwrap();
    let hold = holds.iter().find(|hold| hold.value.sort_key() == theirs.sort_key()).unwrap();
    assert_eq!(hold.value, theirs);
}

#[tokio::test]
async fn a_change_that_somebody_else_wrote_is_not_replaced_by_one_of_the_same_name() {
    let mut story = two_services().await;
    let body: Value = serde_json::from_str(include_str!("../../fixtures/records/change-1.json")).unwrap();
    let Value::Object(theirs) = body else { panic!() };
    let key = rollouts(&story, "change#default-1#00001");
    story.store.put(&key, &theirs, Expect::Absent, None).await.unwrap();
    let refused = story.controller.pass(Depth::Full).await.unwrap_err();
    assert!(refused.is_conflict(), "{refused}");
    assert_eq!(story.store.get(std::slice::from_ref(&key)).await.unwrap()[0].as_ref().unwrap().body, theirs);
    story.passes_for(30 * 60).await;
    assert_eq!(story.phases("default-2").await.0, "Succeeded");
}

/// A store in which one write never happens: whoever made it ends there.
struct Ends {
    store: Arc<EmbeddedStore>,
    /// What it is a write of.
    counts: fn(&Key) -> bool,
    /// How many there are until then.
    left: AtomicUsize,
}

impl Ends {
    /// The controller of a story, at such a store.
    fn of(story: &Story, counts: fn(&Key) -> bool, left: usize) -> Parts {
        let store = Arc::new(Self { store: story.store.clone(), counts, left: AtomicUsize::new(left) });
        Parts { store, ..story.controller.parts().clone() }
    }
}

/// Whether it is an event of a hold.
fn of_a_hold(key: &Key) -> bool {
    key.partition.ends_with("#events") && key.sort.starts_with("Hold/")
}

/// Whether it is any other event.
fn of_no_hold(key: &Key) -> bool {
    key.partition.ends_with("#events") && !key.sort.starts_with("Hold/")
}

impl Store for Ends {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        self.store.get(keys)
    }
    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        if (self.counts)(key) && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let ended = StoreError::Unavailable { store: self.describe(), message: "it ended".to_owned() };
            return Box::pin(std::future::ready(Err(ended)));
        }
        self.store.put(key, body, expect, expires)
    }
    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.delete(key, expect)
    }
    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.store.query(partition, prefix, after)
    }
    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// What was told of a rollout that was carried out, where the event of that number was not written by whoever should have.
/// Whether there was such an event.
async fn told_all_the_same(number: usize) -> bool {
    let mut story = two_services().await;
    let parts = Ends::of(&story, of_no_hold, number);
    let settings = story.controller.settings().clone();
    story.controller = Controller::new(parts.clone(), settings.clone());
    let mut ended = false;
    for _ in 0..120 {
        if story.controller.pass(Depth::Full).await.is_err() && !ended {
            ended = true;
            if number.is_multiple_of(2) {
                // Another one takes over, which has never seen any of it.
                let settings = Settings { holder: "two".to_owned(), ..settings.clone() };
                story.controller = Controller::new(parts.clone(), settings);
                let _ = story.controller.pass(Depth::Full).await;
                story.settle(31);
            }
        }
        story.clock.advance(Duration::from_secs(15));
    }
    assert_eq!(story.phases("default-1").await.0, "Succeeded", "event {number}");
    let events = story.events().await;
    let of = |subject: &str| -> Vec<String> {
        events.iter().filter(|event| event.subject == subject).map(|event| event.what.clone()).collect()
    };
    for change in story.campaign("default-1").await.changes {
        let entered = change.value.history[1..].iter().map(|entry| entry.phase.as_str().to_owned());
        assert_eq!(of(&format!("Change/{}", change.value.name)), entered.collect::<Vec<_>>(), "event {number}");
    }
    let rollout = of("Rollout/default-1");
    assert_eq!((rollout[0].as_str(), rollout.last().unwrap().as_str()), ("Scheduled", "Succeeded"), "event {number}");
    let afterwards = events.iter().filter(|event| event.message.ends_with("(recorded after a restart)")).count();
    assert_eq!(afterwards, usize::from(ended), "event {number}");
    ended
}

#[tokio::test]
async fn an_event_that_was_not_written_is_recorded_after_a_restart() {
    let mut events = 0;
    while told_all_the_same(events + 1).await {
        events += 1;
    }
    assert!(events >= 12, "{events}");
}

#[tokio::test]
async fn the_event_of_a_hold_that_was_not_written_is_recorded_after_a_restart() {
    let mut story = fails().await;
    let parts = Ends::of(&story, of_a_hold, 1);
    story.controller = Controller::new(parts, story.controller.settings().clone());
    let mut failed = 0;
    for _ in 0..80 {
        failed += usize::from(story.controller.pass(Depth::Full).await.is_err());
        story.clock.advance(Duration::from_secs(15));
    }
    assert_eq!(failed, 1);
    let events = story.events().await;
    let held = events.iter().filter(|event| event.subject.starts_with("Hold/") && event.what == "Held");
    let mut told: Vec<_> =
        held.map(|event| (event.subject.as_str(), event.message.contains("after a restart"))).collect();
    told.sort_unstable();
    assert_eq!(told.len(), 1, "the other one's fix is the same rollout's, which stops: {told:?}");
    assert!(told[0].1, "{told:?}");
}

#[tokio::test]
async fn what_a_plan_has_taken_back_of_a_proposal_is_not_begun_though_its_pass_did_not_come_to_its_end() {
    let mut story = Story::begin();
    story.cluster("prod");
    for name in ["api", "web"] {
        story.violating_service("prod", name);
    }
    story.apply(&NO_HOST_PID.replace("enforcement: enforce", "enforcement: propose")).await;
    story.settle(300);
    let parts = Ends::of(&story, |key| key.sort == "change#default-1#00001", 2);
    story.controller = Controller::new(parts, story.controller.settings().clone());
    story.pass().await;
    assert_eq!(story.phases("default-1").await.0, "Proposed");
    story
        .apply(
            "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: w }\nspec: { policies: [no-host-pid], scope: { include: \
             { services: [api] } }, owner: o, reason: r, expiresAt: 2026-06-01T00:00:00Z }\n",
        )
        .await;
    assert!(story.controller.pass(Depth::Full).await.is_err(), "it ends as it takes the proposal back");
    story.ask("default-1", Request::Approve { plan: None }).await;
    story.controller.pass(Depth::InFlight).await.unwrap();
    story.passes_for(20 * 60).await;
    assert_eq!(story.runs("prod", "api"), ["api:1", "api:1"]);
}

/// A revision of a family, as another one's role made it, or as ours did.
fn made_by(story: &Story, document: Value, who: Option<&str>) -> String {
    let arn = story.register(document);
    if let Some(who) = who {
        let by = Map::from_iter([("registeredBy".to_owned(), format!("arn:aws:sts::123456789012:{who}").into())]);
        story.ecs.world().plant(&arn, by);
    }
    arn
}

#[tokio::test]
async fn a_revision_that_equals_what_a_lost_call_asked_for_is_deregistered_only_if_we_made_it() {
    for (who, stays) in [
        (None, false),
        (Some("assumed-role/plimsoll/of-another-process"), false),
        (Some("assumed-role/api-team/deploys"), true),
    ] {
        let mut story = two_services().await;
        story
            .ecs
            .set_faults(|call| (call.operation == Operation::RegisterTaskDefinition).then_some(Fault::ServerError));
        story.pass().await;
        story.ask("default-1", Request::Abort).await;
        story.pass().await;
        story.ecs.set_faults(|_| None);
        let mut document = host_pid("api");
        document.as_object_mut().unwrap().remove("pidMode");
        let arn = made_by(&story, document, who);
        story.passes_for(20 * 60).await;
        let status = if stays { "ACTIVE" } else { "INACTIVE" };
        assert_eq!(story.status_of(&arn), status, "{who:?}");
    }
}

#[tokio::test]
async fn deregistrations_that_were_lost_long_ago_are_sent_again_and_each_is_told() {
    let mut story = fails().await;
    story.passes_for(40 * 60).await;
    let mut strays = vec![];
    for cpu in ["256", "512"] {
        let mut document = host_pid("api");
        document.as_object_mut().unwrap().insert("cpu".to_owned(), cpu.into());
        strays.push(made_by(&story, document, None));
    }
    let key = registration_of(&story, "api").await.sort_key();
    let key = rollouts(&story, &key);
    let item = story.store.get(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
    let mut body = item.body.clone();
    let known = body["deregistered"].as_array_mut().unwrap();
    known.extend(strays.iter().map(|arn| json!({ "arn": arn, "intent": "2026-01-05T09:00:00Z", "done": null })));
    story.store.put(&key, &body, Expect::Version(item.version), None).await.unwrap();
    // One of them is INACTIVE though nobody heard of it.
    story.call("DeregisterTaskDefinition", json!({ "taskDefinition": strays[0] }));
    let settings = Settings { holder: "two".to_owned(), ..story.controller.settings().clone() };
    story.controller = Controller::new(story.controller.parts().clone(), settings);
    assert!(story.controller.pass(Depth::Full).await.is_err(), "the lease is watched for its length");
    story.settle(31);
    story.passes_for(5 * 60).await;
    let known = registration_of(&story, "api").await.deregistered;
    assert!(known.len() == 3 && known.iter().all(|known| known.done.is_some()), "{known:?}");
    assert_eq!([0, 1].map(|at: usize| story.status_of(&strays[at])), ["INACTIVE", "INACTIVE"]);
}

/// Two changes that fail and are taken back, so that what was registered for them is deregistered.
async fn fails() -> Story {
    let story = two_services().await;
    story.ecs.world().misbehave(Misbehaviour {
        family: "*".to_owned(),
        when: vec![Condition { pointer: "/pidMode".to_owned(), equals: None, not: false }],
        effect: Effect::CrashOnStart,
    });
    story
}

async fn registration_of(story: &Story, family: &str) -> Registration {
    let registrations = Campaigns::of(story.store.as_ref(), &story.controller.settings().target);
    let mut found = registrations.registrations().await.unwrap().into_iter().map(|known| known.value);
    found.find(|known| known.family == family && !known.adopted).unwrap()
}

#[tokio::test]
async fn a_deregistration_is_intended_on_record_before_it_is_sent_and_told_once_when_it_is_done() {
    for fault in [None, Some(Fault::LostReply), Some(Fault::Throttle), Some(Fault::ServerError)] {
        let mut story = fails().await;
        let (store, target) = (story.store.clone(), story.controller.settings().target.clone());
        let (sent, first) = (Arc::new(AtomicUsize::new(0)), fault.clone());
        let counted = sent.clone();
        story.ecs.set_faults(move |call| {
            if call.operation != Operation::DeregisterTaskDefinition {
                return None;
            }
            let registrations = Campaigns::of(store.as_ref(), &target);
            let known = registrations.registrations().now_or_never().unwrap().unwrap();
            let mut deregistered = known.iter().flat_map(|known| &known.value.deregistered);
            let intended =
                deregistered.any(|known| call.input["taskDefinition"] == json!(known.arn) && known.done.is_none());
            assert!(intended, "{} is sent, and nothing tells of it", call.input);
            if counted.fetch_add(1, Ordering::Relaxed) == 0 { first.clone() } else { None }
        });
        story.passes_for(40 * 60).await;
        let made = registration_of(&story, "api").await;
        assert!(matches!(made.state, RegistrationState::Deregistered { .. }), "{fault:?}: {made:?}");
        assert!(made.deregistered.len() == 1 && made.deregistered[0].done.is_some(), "{fault:?}: {made:?}");
        let again = matches!(fault, Some(Fault::Throttle | Fault::ServerError));
        assert_eq!(sent.load(Ordering::Relaxed), 1 + usize::from(again), "{fault:?}");
        let events = story.events().await;
        let told = events.iter().filter(|event| event.subject == "Registration/api:2").collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].what == "Deregistered", "{fault:?}: {told:?}");
    }
}
