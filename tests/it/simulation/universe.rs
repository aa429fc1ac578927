//! All there is in one run: the ECS model, the store, time, chance; what was done, and what of it broke a law.
//! What becomes of a call is in `calls`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll::model::observed::TaskDefinition;
use plimsoll::model::{AlarmState, TargetId, Timestamp};
use plimsoll::ports::store::{Item, Key};
use plimsoll::ports::{Clock as _, ServedClock};
use plimsoll::sim::World;
use serde_json::{Map, Value, json};

use super::evidence::Ran;
use super::law;
use super::memory::MemoryStore;
use super::mutants::{Mutant, Mutation};
use super::setup::{Setup, Strategy};
use super::time::{Chance, Time, start};
use super::trouble::Trouble;
use calls::OnItsWay;

pub(crate) use calls::{Buried, Effect};

mod calls;

/// A record as stored.
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// Everything that a run shares.
pub(crate) struct Universe {
    pub(crate) time: Arc<Time>,
    pub(crate) store: MemoryStore,
    pub(crate) target: TargetId,
    pub(crate) mutant: Mutation,
    pub(crate) timing: Timing,
    state: Mutex<State>,
}

/// How long things take by the settings of the processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) lease: Duration,
    /// The longest that a call to ECS may take.
    pub(crate) call: Duration,
    /// How far reads lag.
    pub(crate) lag: Duration,
}

/// What one process has read last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read {
    /// The generations of the policies and of the Waivers.
    pub(crate) policies: u64,
    pub(crate) waivers: u64,
    /// When it last read what people have stored, by the time that it ran.
    pub(crate) configured: Duration,
    /// How the alarm stood; `None`: it could not be read.
    pub(crate) alarm: Option<AlarmState>,
    /// Each service, as ECS showed it.
    pub(crate) services: BTreeMap<String, Value>,
    /// The deployments in progress of each service, by ECS's records of them.
    pub(crate) begun: BTreeMap<String, Vec<String>>,
    /// As of when it was shown each service and cluster last, reads lagging as they do.
    pub(crate) looked: BTreeMap<String, Timestamp>,
}

/// A Freeze in force.
#[derive(Debug, Clone)]
pub(crate) struct Freeze {
    /// Since when it has been stored.
    pub(crate) stored: Timestamp,
    /// The cluster that it covers; none: all.
    pub(crate) cluster: Option<String>,
    /// Whether nothing is taken back either.
    pub(crate) includes_rollback: bool,
}

/// A Waiver in force: `no-host-pid` is not asked of this service.
#[derive(Debug, Clone)]
pub(crate) struct Waived {
    pub(crate) service: String,
    pub(crate) until: Timestamp,
}

/// What a rollout was begun under.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) strategy: Strategy,
    pub(crate) proposed: bool,
}

/// When a change began, and what ran then.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) at: Timestamp,
    /// Who recorded it, and the first intent.
    pub(crate) by: String,
    pub(crate) intent: Value,
    pub(crate) resource: String,
    pub(crate) ran: Ran,
    /// Whether what ran had been pulled before the tag of its image was last moved.
    pub(crate) outdated: bool,
}

/// What changes under one lock. Nothing waits while it is held.
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) chance: Chance,
    /// Whether anything goes wrong, and whether most writes are lost or delayed.
    pub(crate) faults: bool,
    pub(crate) lossy: bool,
    /// What goes wrong with most calls for a while.
    pub(crate) storm: Option<(Trouble, Timestamp)>,
    /// The holder name of each process, by its number, the epoch of the lease that it has last taken, how far its clock is
    /// off, and what it has read.
    pub(crate) holders: Vec<String>,
    pub(crate) epochs: Vec<u64>,
    /// For how long each process has been suspended, and what a mutant of it has kept of what people have stored.
    pub(crate) suspended: Vec<Duration>,
    kept: BTreeMap<(usize, Key), (Duration, Option<Item>)>,
    /// When each process last sent a call that writes.
    sent_at: Vec<Timestamp>,
    /// Whether the store refused each process's last write, or did not answer it.
    pub(crate) store_failed: Vec<bool>,
    /// When the lease was last written.
    pub(crate) renewed: Timestamp,
    /// Records that a process has made when the lease was somebody else's already.
    pub(crate) belated: BTreeSet<String>,
    pub(crate) skews: Vec<Arc<AtomicI64>>,
    /// What each process takes for the time.
    pub(crate) clocks: Vec<Option<Arc<ServedClock>>>,
    pub(crate) read: Vec<Read>,
    /// Calls and writes so far: what a step is.
    pub(crate) steps: u64,
    /// How often which trouble came, and how often it met a change in which phase.
    pub(crate) injected: BTreeMap<Trouble, u64>,
    pub(crate) met: BTreeMap<(Trouble, String), u64>,
    /// When somebody else last deployed a resource, set something of it or deleted it; and when one last scaled it, or a
    /// task of it was taken away, which is nobody's deployment.
    pub(crate) touched: BTreeMap<String, Timestamp>,
    /// … and how often.
    pub(crate) touches: BTreeMap<String, usize>,
    pub(crate) disturbed: BTreeMap<String, Timestamp>,
    pub(crate) freezes: BTreeMap<String, Freeze>,
    /// What was in force from which generation on: policies, and the service that is waived.
    pub(crate) setups: BTreeMap<u64, Setup>,
    pub(crate) waived: BTreeMap<u64, Option<Waived>>,
    /// What people have asked and nobody has answered: by which Commands a resource's or a rollout's holds are let go, and
    /// which rollouts are to be approved. How often each was.
    pub(crate) let_go: BTreeMap<String, BTreeSet<String>>,
    pub(crate) to_approve: BTreeMap<String, String>,
    pub(crate) approved: BTreeMap<String, usize>,
    /// Which rollouts a person has ever asked to be undone, or aborted.
    pub(crate) undone: BTreeSet<String>,
    /// Which paused rollouts are to go on, by the Command; and which changes had failed when each went on last.
    pub(crate) to_go_on: BTreeMap<String, String>,
    pub(crate) let_pass: BTreeMap<String, BTreeSet<String>>,
    pub(crate) promised: BTreeMap<String, Promise>,
    pub(crate) begun: BTreeMap<String, Begun>,
    pub(crate) begins: Vec<(String, Timestamp)>,
    /// Revisions that the controllers registered, with what they were registered from.
    pub(crate) ours: BTreeMap<String, Value>,
    /// Every revision there ever was, as ECS showed it when it was made.
    pub(crate) made: BTreeMap<String, TaskDefinition>,
    /// Calls that have had their effect at once, whatever was heard of them.
    pub(crate) effects: Vec<Effect>,
    /// What was to be registered by calls of ours that nobody has heard of.
    pub(crate) unheard: Vec<Value>,
    /// Which intent each deployment of ours is of, and when a call that nobody hears of last reached a resource.
    pub(crate) began: BTreeMap<String, String>,
    pub(crate) came_late: BTreeMap<String, Timestamp>,
    on_their_way: Vec<OnItsWay>,
    /// The intents for which a call was sent that may have had its effect.
    pub(crate) sent: BTreeSet<String>,
    /// When a person has let a fix come again to a resource that it was held off.
    pub(crate) released: BTreeMap<(String, String), Timestamp>,
    /// What went wrong with a fix on a service, or that a person took it back, until a person lets it come again.
    pub(crate) failed: BTreeMap<(String, String), String>,
    /// Deployments that others began, and ECS's records of them; and those that are lost.
    pub(crate) theirs: BTreeSet<String>,
    pub(crate) buried: Vec<Buried>,
    /// When a call of ours last replaced a deployment of somebody's on each service, seen or not.
    pub(crate) replaced: BTreeMap<String, Timestamp>,
    /// As of when who recorded it as taken back had looked at a change's resource.
    pub(crate) taken_back: BTreeMap<String, Timestamp>,
    /// Every digest that an image's tag has stood for, the one that it stands for, and when the tag of a family's image was last moved.
    pub(crate) digests: BTreeSet<(String, String)>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) pushed: BTreeMap<String, Timestamp>,
    pub(crate) alarm: (AlarmState, Timestamp),
    /// When it last went off.
    pub(crate) rang: Option<Timestamp>,
    pub(crate) broken: Vec<String>,
    trace: Vec<String>,
}

impl State {
    /// What ECS would answer without any lag. Nothing is changed by asking.
    pub(crate) fn look(&self, operation: &str, input: &Value) -> Value {
        let mut world = self.world.clone();
        world.set_read_lag(Duration::ZERO);
        let now = world.now();
        world.call(now, operation, input).unwrap_or_default()
    }

    /// A service as it is.
    pub(crate) fn service(&self, input: &Value) -> Value {
        let asked = json!({ "cluster": input["cluster"], "services": [input["service"]], "include": ["TAGS"] });
        self.look("DescribeServices", &asked)["services"][0].clone()
    }

    /// A line of what happened: the same seed writes the same lines.
    fn say(&mut self, at: Timestamp, line: &str) {
        let at = at.since(start());
        self.trace.push(format!("{:>7}.{:03} {line}", at.as_secs(), at.subsec_millis()));
    }

    /// A revision was made: what it is, as long as ECS knows.
    pub(crate) fn keeps(&mut self, answer: &Value) {
        if let Ok(made) = plimsoll::model::wire::task_definition(answer) {
            self.made.insert(made.arn.as_str().to_owned(), made);
        }
    }
}

impl Universe {
    pub(crate) fn new(world: World, chance: Chance, mutant: Mutation, processes: usize, timing: Timing) -> Self {
        let target = TargetId { account: world.config().account.clone(), region: world.config().region.clone() };
        let state = State {
            world,
            chance,
            faults: true,
            lossy: false,
            storm: None,
            holders: vec![String::new(); processes],
            epochs: vec![0; processes],
            suspended: vec![Duration::ZERO; processes],
            kept: BTreeMap::new(),
            sent_at: vec![start(); processes],
            store_failed: vec![false; processes],
            renewed: start(),
            belated: BTreeSet::new(),
            skews: (0..processes).map(|_| Arc::default()).collect(),
            clocks: vec![None; processes],
            read: vec![Read::default(); processes],
            steps: 0,
            injected: BTreeMap::new(),
            met: BTreeMap::new(),
            touched: BTreeMap::new(),
            touches: BTreeMap::new(),
            disturbed: BTreeMap::new(),
            freezes: BTreeMap::new(),
            setups: BTreeMap::new(),
            waived: BTreeMap::new(),
            approved: BTreeMap::new(),
            let_go: BTreeMap::new(),
            to_approve: BTreeMap::new(),
            undone: BTreeSet::new(),
            to_go_on: BTreeMap::new(),
            let_pass: BTreeMap::new(),
            promised: BTreeMap::new(),
            begun: BTreeMap::new(),
            begins: Vec::new(),
            ours: BTreeMap::new(),
            made: BTreeMap::new(),
            effects: Vec::new(),
            unheard: Vec::new(),
            began: BTreeMap::new(),
            came_late: BTreeMap::new(),
            taken_back: BTreeMap::new(),
            on_their_way: Vec::new(),
            sent: BTreeSet::new(),
            failed: BTreeMap::new(),
            released: BTreeMap::new(),
            theirs: BTreeSet::new(),
            buried: Vec::new(),
            replaced: BTreeMap::new(),
            digests: BTreeSet::new(),
            tags: BTreeMap::new(),
            pushed: BTreeMap::new(),
            alarm: (AlarmState::Ok, start()),
            rang: None,
            broken: Vec::new(),
            trace: Vec::new(),
        };
        Self { time: Arc::default(), store: MemoryStore::default(), target, mutant, timing, state: Mutex::new(state) }
    }

    /// Everything else, for a moment, with the world moved on to now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.deliver(self.time.now());
        state
    }

    pub(crate) fn happens(&self, in_a_thousand: usize) -> bool {
        self.state().chance.happens(in_a_thousand)
    }

    pub(crate) fn seconds(&self, range: (usize, usize)) -> Duration {
        self.state().chance.seconds(range.0, range.1)
    }

    /// A line of what happened: the same seed writes the same lines.
    pub(crate) fn say(&self, line: String) {
        let now = self.time.now();
        self.state().say(now, &line);
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// How much has happened.
    pub(crate) fn told(&self) -> usize {
        self.state().trace.len()
    }

    pub(crate) fn broke(&self, law: String) {
        self.say(format!("BROKEN {law}"));
        self.state().broken.push(law);
    }

    /// Whether a law is broken; where there is a mutant, the one that it is to break.
    pub(crate) fn is_broken(&self) -> bool {
        let words = self.mutant.0.map_or("", Mutant::breaks);
        self.state().broken.iter().any(|law| law.contains(words))
    }

    /// The time by a process's own clock.
    pub(crate) fn by_its_clock(&self, process: usize) -> Timestamp {
        let clock = self.state().clocks[process].clone();
        clock.map_or_else(|| self.time.now(), |clock| clock.now())
    }

    /// An answer reaches a process, dated by ECS's clock, to the second.
    pub(crate) fn is_dated(&self, process: usize) {
        let clock = self.state().clocks[process].clone();
        if let Some(clock) = clock.filter(|_| !self.mutant.is(Mutant::TrustsItsClock)) {
            clock.hears(Timestamp::from_millis(self.time.now().as_millis() / 1_000 * 1_000));
        }
    }

    /// How long a process has run, suspensions not counted.
    pub(crate) fn has_run(&self, process: usize) -> Duration {
        self.time.elapsed().saturating_sub(self.state().suspended[process])
    }

    /// What a mutant that reads what people have stored too seldom goes by: true where it has read none of it now.
    pub(crate) fn goes_by_old(&self, process: usize, keys: &[Key], found: &mut [Option<Item>]) -> bool {
        let (every, now) = (self.mutant.reads_every(), self.time.elapsed());
        let mut state = self.state();
        let mut none = !every.is_zero();
        for (key, item) in keys.iter().zip(found).filter(|(key, _)| !every.is_zero() && key.sort == "head") {
            let kept = state.kept.entry((process, key.clone())).or_insert_with(|| (now, item.clone()));
            if kept.0 + every < now {
                *kept = (now, item.clone());
            }
            none &= kept.0 != now;
            item.clone_from(&kept.1);
        }
        none
    }

    /// A process has read items of the store.
    pub(crate) fn reads(&self, process: usize, found: &[Option<Item>]) {
        let has_run = self.has_run(process);
        let mut state = self.state();
        if found.iter().flatten().any(|item| item.key.partition == "cfg#policy" && item.key.sort == "head") {
            state.read[process].configured = has_run;
        }
        for item in found.iter().flatten().filter(|item| item.key.sort == "head") {
            let generation = item.body.get("generation").and_then(Value::as_u64).unwrap_or(0);
            match item.key.partition.as_str() {
                "cfg#policy" => state.read[process].policies = generation,
                "cfg#waiver" => state.read[process].waivers = generation,
                _ => {}
            }
        }
    }

    /// A process asks how the alarm stands, and since when.
    pub(crate) fn hears(&self, process: usize, trouble: bool) -> (AlarmState, Timestamp) {
        let mut state = self.state();
        let (stands, since) = state.alarm;
        state.read[process].alarm = (!trouble).then_some(stands);
        (stands, since)
    }

    /// A record was written.
    pub(crate) fn wrote(&self, process: usize, key: &Key, before: Option<&Item>, after: &Map<String, Value>) {
        let before = before.map(|item| Value::Object(item.body.clone()));
        let after = &Value::Object(after.clone());
        if key.sort.starts_with("change#") || key.sort.starts_with("rollout#") {
            let was = before.as_ref().map(phase).unwrap_or_default();
            let (is, why) = (phase(after), after["waiting"]["message"].as_str().unwrap_or(""));
            if was != is {
                self.say(format!("process {process} records {} {was} -> {is} {why}", key.sort));
            }
        }
        law::when_written(self, process, key, before.as_ref(), after);
    }

    /// Every Change on record.
    pub(crate) fn changes(&self) -> Vec<Record> {
        self.records("change#")
    }

    pub(crate) fn records(&self, prefix: &str) -> Vec<Record> {
        let items = self.store.all(&format!("rt#{}#rollouts", self.target), prefix);
        items.into_iter().map(|item| Record { key: item.key.sort, body: Value::Object(item.body) }).collect()
    }
}

/// The phase of a Change or Rollout as stored.
pub(crate) fn phase(body: &Value) -> String {
    body["phase"].as_str().unwrap_or_default().to_owned()
}

/// The deployments of a service as ECS shows it.
pub(crate) fn deployments(service: &Value) -> impl Iterator<Item = &Value> {
    service["deployments"].as_array().into_iter().flatten()
}

/// The id of its PRIMARY deployment.
pub(crate) fn primary(service: &Value) -> Option<String> {
    let primary = deployments(service).find(|deployment| deployment["status"] == "PRIMARY")?;
    primary["id"].as_str().map(str::to_owned)
}
