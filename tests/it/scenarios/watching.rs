//! What a controller notices while it runs, and how soon: edits, and the death of the other one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::controller::reconcile::Settings;
use plimsoll::controller::run::{Unwatched, Watcher};
use plimsoll::controller::{Controller, Mode, Parts, PassReport, RunEnd};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::model::{TargetId, Timestamp};
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Clock, Ecs, EcsError, Operation, Store, StoreError};
use plimsoll::records::campaign::Campaigns;
use plimsoll::rollout::command::Request;
use plimsoll::sim::{SimEcs, VirtualClock};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::world::{NO_HOST_PID, Story};

/// The times of passes, and whether each looked at the whole fleet.
#[derive(Clone, Default)]
struct Passes(Arc<Mutex<Vec<(Timestamp, bool)>>>);

impl Passes {
    fn all(&self) -> Vec<(Timestamp, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long after `time` the next pass was; `full`: that looked at the whole fleet.
    fn next_after(&self, time: Timestamp, full: bool) -> Option<Duration> {
        let next = self.all().into_iter().find(|(at, whole)| *at >= time && (*whole || !full));
        next.map(|(at, _)| at.since(time))
    }
}

impl Watcher for Passes {
    fn passed(&mut self, report: &PassReport, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((now, report.plan.is_some()));
    }
}

/// A fleet that needs nothing, with one policy.
async fn quiet() -> Story {
    let story = Story::begin();
    story.cluster("prod");
    story.apply(NO_HOST_PID).await;
    story
}

/// `person` acts while `controller` runs, which ends when they are done.
async fn while_it_runs<T>(controller: &mut Controller, passes: &Passes, person: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let mut watcher = passes.clone();
    let run = controller.run(Mode::Forever, &stop, &mut watcher);
    let person = async {
        let done = person.await;
        stop.cancel();
        done
    };
    let (end, done) = futures::future::join(run, person).await;
    end.unwrap();
    done
}

#[tokio::test]
async fn an_edit_reaches_a_running_controller_within_five_seconds() {
    let story = quiet().await;
    let mut controller = story.another_controller("one");
    let passes = Passes::default();
    let edits = async {
        for edit in 0..40_u64 {
            // At every point of the ten seconds between two passes.
            story.clock.sleep(Duration::from_millis(21_000 + edit * 271)).await;
            let title = format!("No host process namespace, said for the {edit}th time");
            story.apply(&NO_HOST_PID.replace("No host process namespace", &title)).await;
            let at = story.clock.now();
            story.clock.sleep(Duration::from_secs(5)).await;
            let reached = passes.next_after(at, true);
            assert!(reached.is_some_and(|after| after <= Duration::from_secs(5)), "edit {edit} at {at}: {reached:?}");
        }
    };
    while_it_runs(&mut controller, &passes, edits).await;
}

#[tokio::test]
async fn policies_that_are_the_first_reach_a_running_controller_as_soon() {
    let story = Story::begin();
    story.cluster("prod");
    let mut controller = story.another_controller("one");
    let passes = Passes::default();
    let person = async {
        // It has failed often by then, and backs off.
        story.clock.sleep(Duration::from_secs(333)).await;
        assert_eq!(passes.all(), []);
        story.apply(NO_HOST_PID).await;
        let at = story.clock.now();
        story.clock.sleep(Duration::from_secs(5)).await;
        assert!(passes.next_after(at, true).is_some(), "{:?}", passes.all());
    };
    while_it_runs(&mut controller, &passes, person).await;
}

/// A store that writes down which reads it was asked for.
struct Counting {
    store: Arc<EmbeddedStore>,
    reads: Mutex<Vec<Vec<String>>>,
}

impl Counting {
    fn note(&self, read: Vec<String>) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).push(read);
    }
}

impl Store for Counting {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        self.note(keys.iter().map(|key| format!("{}/{}", key.partition, key.sort)).collect());
        self.store.get(keys)
    }
    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
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
        self.note(vec![format!("{partition}/{prefix}*")]);
        self.store.query(partition, prefix, after)
    }
    fn describe(&self) -> String {
        self.store.describe()
    }
}

#[tokio::test]
async fn looking_for_edits_costs_one_read_of_three_heads_each_four_seconds() {
    let story = quiet().await;
    let counting = Arc::new(Counting { store: story.store.clone(), reads: Mutex::default() });
    let parts = Parts { store: counting.clone(), ..story.controller.parts().clone() };
    // So long a lease that minutes lie between two passes.
    let long = Duration::from_secs(600);
    let settings = Settings { lease: long, poll: long, resync: None, ..story.controller.settings().clone() };
    let mut controller = Controller::new(parts, settings);
    let passes = Passes::default();
    let reads = || counting.reads.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let person = async {
        story.clock.sleep(Duration::from_secs(10)).await;
        let before = reads().len();
        story.clock.sleep(Duration::from_secs(120)).await;
        let heads = ["cfg#freeze/head", "cfg#waiver/head", "cfg#policy/head"];
        let since = reads().split_off(before);
        assert!((29..=31).contains(&since.len()), "{} reads in two minutes", since.len());
        assert!(since.iter().all(|read| *read == heads), "{since:?}");
    };
    while_it_runs(&mut controller, &passes, person).await;
    assert_eq!(passes.all().len(), 1);
}

/// How the first of two ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// It is dropped where it stands.
    Dies,
    /// It is told to stop.
    Stops,
}

/// After how long the second of two controllers has passed, where the first ends `after` so long.
async fn taken_over(lease: Duration, poll: Duration, after: Duration, end: End) -> Duration {
    let story = quiet().await;
    let controller = |holder: &str| {
        let own = story.controller.settings();
        let settings = Settings { holder: holder.to_owned(), lease, poll, ..own.clone() };
        Controller::new(story.controller.parts().clone(), settings)
    };
    let (mut first, mut second) = (controller("first"), controller("second"));
    let passes = Passes::default();
    let (stop, stop_second) = (CancellationToken::new(), CancellationToken::new());
    let mut watcher = passes.clone();
    let first_life = async {
        let mut nobody = Unwatched;
        let run = Box::pin(first.run(Mode::Forever, &stop, &mut nobody));
        let time = story.clock.sleep(after);
        match futures::future::select(run, time).await {
            futures::future::Either::Left(_) => panic!("it ended by itself"),
            futures::future::Either::Right(((), run)) if end == End::Stops => {
                stop.cancel();
                run.await.unwrap();
            }
            // Dropped: else time would wait for its sleep.
            futures::future::Either::Right(((), run)) => drop(run),
        }
        let ended = story.clock.now();
        story.clock.sleep(lease + Duration::from_secs(30)).await;
        stop_second.cancel();
        ended
    };
    // A moment later, so that the first one is the holder.
    let second_life = async {
        story.clock.sleep(Duration::from_millis(500)).await;
        second.run(Mode::Forever, &stop_second, &mut watcher).await.unwrap();
    };
    let (ended, ()) = futures::future::join(first_life, second_life).await;
    assert!(passes.all().iter().all(|(at, _)| *at >= ended), "while the first lived, the second did nothing");
    passes.next_after(ended, false).unwrap_or_else(|| panic!("nobody took over"))
}

#[tokio::test]
async fn a_takeover_comes_within_a_lease_and_fifteen_seconds_of_a_death() {
    for (lease, poll) in [(30, 15), (30, 1), (5, 15), (300, 15), (300, 120)] {
        let (lease, poll) = (Duration::from_secs(lease), Duration::from_secs(poll));
        for at in 0..16 {
            let after = Duration::from_millis(20_000 + 700 * at);
            let taken = taken_over(lease, poll, after, End::Dies).await;
            let promised = lease + Duration::from_secs(15);
            assert!(taken <= promised, "lease {lease:?}, poll {poll:?}, death after {after:?}: {taken:?}");
            // Not before the lease that was renewed last has run out either.
            assert!(taken >= lease * 2 / 3 - Duration::from_secs(1), "lease {lease:?}: {taken:?}");
        }
    }
}

#[tokio::test]
async fn a_clean_stop_hands_over_with_the_next_look_however_long_the_lease() {
    for at in 0..8 {
        let lease = Duration::from_secs(600);
        let after = Duration::from_millis(20_000 + 900 * at);
        let taken = taken_over(lease, Duration::from_secs(60), after, End::Stops).await;
        assert!(taken <= Duration::from_secs(5), "{taken:?}");
    }
}

/// ECS of which every answer, or every budget for a write, takes so long.
struct Slow {
    ecs: Arc<SimEcs>,
    clock: Arc<VirtualClock>,
    reads: Duration,
    /// Only of this one.
    only: Option<Operation>,
    budget: Duration,
}

impl Ecs for Slow {
    fn ready(&self, operation: Operation) -> BoxFuture<'_, ()> {
        let _ = operation;
        self.clock.sleep(self.budget)
    }
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            if !operation.writes() && self.only.is_none_or(|only| only == operation) {
                self.clock.sleep(self.reads).await;
            }
            self.ecs.call(operation, input).await
        })
    }
}

/// How soon another controller goes on after one is stopped in the middle of a pass, and what had been written to ECS.
async fn handed_over(reads: u64, budget: u64, after: u64) -> (Duration, Vec<String>) {
    let story = quiet().await;
    for name in ["api", "web"] {
        story.violating_service("prod", name);
    }
    story.settle(300);
    let lease = Duration::from_secs(3600);
    let controller = |holder: &str, parts: Parts| {
        let settings = Settings { holder: holder.to_owned(), lease, ..story.controller.settings().clone() };
        Controller::new(parts, settings)
    };
    let (ecs, clock) = (story.ecs.clone(), story.clock.clone());
    let slow = Slow { ecs, clock, reads: Duration::from_secs(reads), only: None, budget: Duration::from_secs(budget) };
    let own = story.controller.parts().clone();
    let mut first = controller("first", Parts { ecs: Arc::new(slow), ..own.clone() });
    let mut second = controller("second", own);
    let (stop, stop_second) = (CancellationToken::new(), CancellationToken::new());
    let (passes, mut nobody) = (Passes::default(), Unwatched);
    let mut watcher = passes.clone();
    story.ecs.forget_calls();
    let person = async {
        story.clock.sleep(Duration::from_secs(after)).await;
        let asked = story.clock.now();
        stop.cancel();
        let writes = story.writes();
        story.clock.sleep(Duration::from_secs(60)).await;
        stop_second.cancel();
        (asked, writes)
    };
    let second_life = async {
        story.clock.sleep(Duration::from_millis(500)).await;
        second.run(Mode::Forever, &stop_second, &mut watcher).await.unwrap();
    };
    let (end, ((), (asked, writes))) =
        futures::future::join(first.run(Mode::Forever, &stop, &mut nobody), futures::future::join(second_life, person))
            .await;
    assert_eq!(end.unwrap(), RunEnd::Stopped);
    (passes.next_after(asked, false).unwrap_or_else(|| panic!("nobody took over")), writes)
}

#[tokio::test]
async fn a_clean_stop_in_the_middle_of_a_long_pass_hands_over_as_soon() {
    for (what, reads, budget, after) in [
        ("while the fleet is read", 240, 0, 100),
        ("while the last of it is read", 240, 0, 900),
        ("while the budget of a registration is waited for", 0, 1200, 100),
        ("while that of a deployment is", 0, 1200, 1300),
        ("while a change is looked at", 30, 100, 700),
    ] {
        let (after, writes) = handed_over(reads, budget, after).await;
        assert!(after <= Duration::from_secs(5), "{what}: {after:?}, with {writes:?} by then");
    }
}

/// Every read takes four minutes: at most of these moments one of those that a registration needs is waited for.
#[tokio::test]
async fn a_clean_stop_hands_over_as_soon_while_a_registration_is_prepared() {
    for after in (2_280..3_600).step_by(240) {
        let (took, writes) = handed_over(240, 0, after).await;
        assert!(took <= Duration::from_secs(5), "after {after} s: {took:?}, with {writes:?} by then");
    }
}

/// A controller that needs ten minutes to list services.
fn lists_slowly(story: &Story) -> Controller {
    let (ecs, clock, reads) = (story.ecs.clone(), story.clock.clone(), Duration::from_secs(600));
    let slow = Slow { ecs, clock, reads, only: Some(Operation::ListServices), budget: Duration::ZERO };
    let parts = Parts { ecs: Arc::new(slow), ..story.controller.parts().clone() };
    Controller::new(parts, story.controller.settings().clone())
}

#[tokio::test]
async fn a_command_is_obeyed_within_seconds_while_the_fleet_is_read() {
    let mut story = quiet().await;
    for name in ["api", "web"] {
        story.violating_service("prod", name);
    }
    story.settle(300);
    let mut controller = lists_slowly(&story);
    let passes = Passes::default();
    let clock = story.clock.clone();
    let person = async {
        // The first is in flight, and the fleet is being read again.
        clock.sleep(Duration::from_secs(700)).await;
        assert_eq!(story.phases("default-1").await.0, "Progressing");
        let id = story.ask("default-1", Request::Pause).await;
        clock.sleep(Duration::from_secs(5)).await;
        assert!(story.answer(&id).await.is_some_and(|answer| answer.done));
        assert_eq!(story.phases("default-1").await.0, "Paused");
    };
    while_it_runs(&mut controller, &passes, person).await;
}

#[tokio::test]
async fn what_is_approved_while_the_fleet_is_read_is_not_proposed_again() {
    let mut story = quiet().await;
    story.violating_service("prod", "web");
    let proposed = "apiVersion: plimsoll/v1\nkind: Binding\nmetadata: { name: enforce-no-host-pid }\n\
                    spec: { policies: [no-host-pid], enforcement: propose }\n";
    story.apply(proposed).await;
    story.settle(300);
    let mut controller = lists_slowly(&story);
    let passes = Passes::default();
    let clock = story.clock.clone();
    let person = async {
        clock.sleep(Duration::from_secs(700)).await;
        assert_eq!(story.phases("default-1").await.0, "Proposed");
        story.ask("default-1", Request::Approve { plan: None }).await;
        clock.sleep(Duration::from_secs(3000)).await;
        assert_eq!(story.phases("default-1").await.0, "Succeeded");
    };
    while_it_runs(&mut controller, &passes, person).await;
    let campaigns = Campaigns::of(story.store.as_ref(), &story.controller.settings().target).campaigns().await.unwrap();
    let names: Vec<&str> = campaigns.iter().map(|campaign| campaign.rollout.value.name.as_str()).collect();
    assert_eq!(names, ["default-1"]);
}

#[tokio::test]
async fn what_is_edited_while_the_fleet_is_read_lets_nothing_begin_by_what_was_read_before() {
    let story = quiet().await;
    story.violating_service("prod", "web");
    story.settle(300);
    story.ecs.forget_calls();
    let mut controller = lists_slowly(&story);
    let passes = Passes::default();
    let person = async {
        story.clock.sleep(Duration::from_secs(60)).await;
        story
            .apply(
                "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: w }\nspec: { policies: [no-host-pid], scope: { include: \
                 { services: [web] } }, owner: a@example.com, reason: r, expiresAt: 2026-06-01T00:00:00Z }\n",
            )
            .await;
        story.clock.sleep(Duration::from_secs(1800)).await;
        assert!(passes.all().len() > 1, "{:?}", passes.all());
    };
    while_it_runs(&mut controller, &passes, person).await;
    assert_eq!(story.writes(), [] as [String; 0]);
    // No rollout is made either: what it was to be done under is not what is asked for now.
    let target = &story.controller.settings().target;
    let campaigns = Campaigns::of(story.store.as_ref(), target).campaigns().await.unwrap();
    assert_eq!(campaigns.iter().map(|campaign| &campaign.rollout.value.name).collect::<Vec<_>>(), [] as [&String; 0]);
}

#[tokio::test]
async fn a_full_pass_removes_events_that_are_past_their_time() {
    let mut story = quiet().await;
    let (target, now) = (TargetId { account: "123456789012".to_owned(), region: "x".to_owned() }, story.clock.now());
    let key = Key::new(format!("rt#{target}#events"), "Change/old-1/00001#00000001");
    story.store.put(&key, &Map::new(), Expect::Absent, Some(now + Duration::from_secs(5))).await.unwrap();
    story.pass().await;
    assert!(story.store.get(std::slice::from_ref(&key)).await.unwrap()[0].is_some());
    story.settle(60);
    story.pass().await;
    assert!(story.store.get(std::slice::from_ref(&key)).await.unwrap()[0].is_none());
}
