//! Several targets in one process, and several processes that share targets, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::controller::RunEnd;
use plimsoll::controller::lease::{Claims, Held, Keeper};
use plimsoll::controller::side_by_side::{Broken, Reach, SideBySide};
use plimsoll::controller::targets::Wanted;
use plimsoll::manifest;
use plimsoll::model::spec::Kind;
use plimsoll::model::{Reason, ReasonCode, TargetId, Timestamp};
use plimsoll::ports::Clock;
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::records::targets::Targets;
use plimsoll::sim::TokioClock;
use tokio_util::sync::CancellationToken;

use crate::simulation::MemoryStore;

/// What becomes of an attempt to reach a target: the rest of them go as the last one.
#[derive(Debug, Clone, Copy)]
enum Goes {
    Runs,
    Denied,
    Hangs,
    Panics,
}

struct Reaching {
    clock: Arc<TokioClock>,
    goes: Mutex<BTreeMap<String, Vec<Goes>>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Reaching {
    fn says(&self, what: &str) {
        let at = self.clock.monotonic().as_secs();
        self.log.lock().unwrap().push(format!("{at} {what}"));
    }
}

impl Reach for Reaching {
    fn run(&self, wanted: &Wanted, stop: CancellationToken) -> BoxFuture<'static, Result<RunEnd, Broken>> {
        self.says(&format!("+{}", wanted.name));
        let goes = {
            let mut all = self.goes.lock().unwrap();
            let left = all.entry(wanted.name.clone()).or_default();
            if left.len() > 1 { left.remove(0) } else { left.first().copied().unwrap_or(Goes::Runs) }
        };
        Box::pin(async move {
            match goes {
                Goes::Runs => {
                    stop.cancelled().await;
                    Ok(RunEnd::Stopped)
                }
                Goes::Denied => Err(Broken::NotReached(Reason::of(ReasonCode::AccessDenied, "sts:AssumeRole"))),
                Goes::Hangs => std::future::pending().await,
                Goes::Panics => panic!("on purpose"),
            }
        })
    }

    fn stands(&self, wanted: &Wanted, why: Option<&Reason>) {
        let why = why.map_or("ended".to_owned(), |reason| reason.code.as_str().to_owned());
        self.says(&format!("{} {why}", wanted.name));
    }
}

fn target(name: &str, region: &str, more: &str) -> String {
    format!(
        "apiVersion: plimsoll/v1\nkind: Target\nmetadata: {{ name: {name} }}\nspec: {{ account: \"123456789012\", region: {region}{more} }}\n"
    )
}

fn id(region: &str) -> TargetId {
    TargetId { account: "123456789012".to_owned(), region: region.to_owned() }
}

struct Stage {
    store: Arc<MemoryStore>,
    clock: Arc<TokioClock>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn begin(goes: &[(&str, &[Goes])]) -> (Self, SideBySide) {
        let clock = Arc::new(TokioClock::new(Timestamp::EPOCH + Duration::from_secs(1_767_603_600)));
        let (store, log) = (Arc::new(MemoryStore::default()), Arc::default());
        let goes = goes.iter().map(|(name, goes)| ((*name).to_owned(), goes.to_vec())).collect();
        let reaching = Reaching { clock: clock.clone(), goes: Mutex::new(goes), log: Arc::clone(&log) };
        let all = SideBySide::new(store.clone(), clock.clone(), Arc::new(reaching), None);
        (Self { store, clock, log }, all)
    }

    async fn apply(&self, yaml: &str) {
        let objects = manifest::parse("targets.yaml", yaml).unwrap_or_else(|found| panic!("{found:#?}"));
        let objects = objects.into_iter().map(|sourced| sourced.object).collect();
        self.put(&Application { objects, ..Application::default() }).await;
    }

    async fn delete(&self, name: &str) {
        self.put(&Application { delete: vec![(Kind::Target, name.to_owned())], ..Application::default() }).await;
    }

    async fn put(&self, application: &Application) {
        Configurations::of(self.store.as_ref()).apply(application, self.clock.now(), false).await.unwrap();
    }

    async fn passes(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    /// What has happened since it was last asked.
    fn happened(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn targets_come_change_and_go_and_one_that_is_denied_or_hangs_delays_no_other() {
    use Goes::{Denied, Hangs, Panics, Runs};
    let (stage, mut all) =
        Stage::begin(&[("bad", &[Denied, Denied, Runs]), ("slow", &[Hangs]), ("buggy", &[Panics, Runs])]);
    let stop = CancellationToken::new();
    let ending = stop.clone();
    let running = tokio::spawn(async move { all.run(&ending).await });
    // Nothing is stored: the credentials in use say which.
    stage.passes(1).await;
    assert_eq!(stage.happened(), ["0 +"]);
    // What is stored is started within five seconds, all of it at once.
    stage.apply(&[target("good", "eu-west-1", ""), target("slow", "eu-west-2", "")].join("---\n")).await;
    stage.passes(5).await;
    assert_eq!(stage.happened(), ["4  ended", "4 +good", "4 +slow"]);
    stage.apply(&[target("bad", "eu-west-3", ""), target("buggy", "us-east-1", "")].join("---\n")).await;
    stage.passes(30).await;
    assert_eq!(
        stage.happened(),
        [
            "8 +bad",
            "8 +buggy",
            "8 bad AccessDenied",
            "8 buggy NotObserved",
            "16 +bad",
            "16 +buggy",
            "16 bad AccessDenied",
            "28 +bad"
        ]
    );
    // Why it was not reached is on record, by the account and region of its object.
    let kept = Targets::of(stage.store.as_ref()).read(&id("eu-west-3")).await.unwrap().unwrap().value;
    assert_eq!(kept.conditions, [Reason::of(ReasonCode::AccessDenied, "sts:AssumeRole")]);
    assert!(Targets::of(stage.store.as_ref()).list().await.unwrap().contains(&id("eu-west-3")));
    // Another role: begun anew. The same account and region under another name is not watched twice.
    stage.apply(&target("good", "eu-west-1", ", roleArn: \"arn:aws:iam::123456789012:role/r\"")).await;
    stage.apply(&target("zzz", "eu-west-1", "")).await;
    stage.passes(5).await;
    assert_eq!(stage.happened(), ["36 good ended", "36 +good"]);
    stage.delete("good").await;
    stage.passes(5).await;
    assert_eq!(stage.happened(), ["44 good ended", "44 +zzz"]);
    // One that hangs does not hold up the end either: it has been told, and is dropped with the process.
    stage.delete("slow").await;
    stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
    assert!(ended.is_err(), "it waits for what was told to stop, and the process is stopped by a second signal");
}

/// Somebody takes the leases of these targets, one after another, every few seconds.
async fn holds(
    store: Arc<MemoryStore>,
    clock: Arc<TokioClock>,
    name: &'static str,
    claims: Claims,
    held: Arc<Mutex<BTreeMap<String, &'static str>>>,
) {
    let mut keepers: Vec<(TargetId, Keeper)> = ["r1", "r2", "r3"]
        .map(|region| {
            let mut keeper = Keeper::new(format!("{name}#{region}"), Duration::from_secs(30));
            keeper.limit(claims.clone());
            (id(region), keeper)
        })
        .into();
    loop {
        for (target, keeper) in &mut keepers {
            if matches!(keeper.ensure(store.as_ref(), target, clock.as_ref()).await, Ok(Held::Taken { .. })) {
                held.lock().unwrap().insert(target.region.clone(), name);
            }
        }
        clock.sleep(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn processes_share_targets_up_to_a_cap_and_what_one_leaves_another_takes() {
    let (stage, _) = Stage::begin(&[]);
    let held: Arc<Mutex<BTreeMap<String, &'static str>>> = Arc::default();
    let process = |name, most| {
        tokio::spawn(holds(stage.store.clone(), stage.clock.clone(), name, Claims::new(most), Arc::clone(&held)))
    };
    let one = process("one", 2);
    stage.passes(1).await;
    let three = [("r1", "one"), ("r2", "one")];
    let of =
        |pairs: &[(&str, &'static str)]| pairs.iter().map(|(region, name)| ((*region).to_owned(), *name)).collect();
    assert_eq!(*held.lock().unwrap(), of(&three), "no more than it may");
    let two = process("two", 2);
    stage.passes(60).await;
    assert_eq!(*held.lock().unwrap(), of(&[("r1", "one"), ("r2", "one"), ("r3", "two")]), "what is free is taken");
    // It dies: of what it held, the other takes what it still may.
    one.abort();
    stage.passes(60).await;
    assert_eq!(*held.lock().unwrap(), of(&[("r1", "two"), ("r2", "one"), ("r3", "two")]));
    two.abort();
}

/// A clock whose monotonic time is what it is next told to be.
struct Told(Mutex<Vec<u64>>);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn monotonic(&self) -> Duration {
        let mut left = self.0.lock().unwrap();
        Duration::from_secs(if left.len() > 1 { left.remove(0) } else { left[0] })
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_process_that_is_suspended_while_it_reads_a_lease_counts_from_when_it_has_read_it() {
    let (stage, _) = Stage::begin(&[]);
    let (store, target) = (stage.store.as_ref(), id("r1"));
    let mut holder = Keeper::new("holder".to_owned(), Duration::from_secs(30));
    holder.ensure(store, &target, &Told(Mutex::new(vec![0]))).await.unwrap();
    // It asks at 10, is suspended, and has an answer at 55: the lease may have been renewed right before.
    let mut other = Keeper::new("other".to_owned(), Duration::from_secs(30));
    for (asked_and_seen, taken) in
        [(vec![10, 55], false), (vec![56, 56], false), (vec![84, 200], false), (vec![85], true)]
    {
        let held = other.ensure(store, &target, &Told(Mutex::new(asked_and_seen.clone()))).await.unwrap();
        assert_eq!(matches!(held, Held::Taken { .. }), taken, "{asked_and_seen:?}");
    }
}
