//! All there is in one run: the ECS model, the store, time, chance; what was done, and what of it broke a law.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll::model::observed::TaskDefinition;
use plimsoll::model::{AlarmState, TargetId, Timestamp};
use plimsoll::ports::store::{Item, Key};
use plimsoll::ports::{Clock as _, EcsError, Operation, ServedClock};
use plimsoll::sim::{SimError, World};
use serde_json::{Map, Value, json};

use super::evidence::Ran;
use super::law;
use super::memory::MemoryStore;
use super::mutants::{Mutant, Mutation};
use super::setup::{Setup, Strategy};
use super::time::{Chance, Time, start};
use super::trouble::Trouble;

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

/// A call that had its effect when it was sent: what it was, and the revision or the deployment that it made.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    /// The intent, without its time.
    pub(crate) of: String,
    pub(crate) operation: Operation,
    pub(crate) input: Value,
    pub(crate) made: String,
    /// When it had its effect, and when that was by the clock of whoever had sent it.
    pub(crate) at: Timestamp,
    pub(crate) by_clock: Timestamp,
}

/// A call that is on its way, and what its sender had seen of the service when it was sent.
#[derive(Debug, Clone)]
struct OnItsWay {
    at: Timestamp,
    operation: Operation,
    input: Value,
    saw: Value,
    intent: Option<String>,
}

/// A deployment of somebody's that a call of ours replaced, though its sender had not seen it.
#[derive(Debug, Clone)]
pub(crate) struct Buried {
    pub(crate) service: String,
    pub(crate) at: Timestamp,
    pub(crate) theirs: String,
    /// How often somebody had touched the service by then.
    pub(crate) touches: usize,
    /// Ours, which replaced it.
    pub(crate) ours: String,
    /// Whether anything tells of it for good: ECS's record of the deployment.
    pub(crate) traced: bool,
    /// The processes that were shown it, and have lost no write of the change's since.
    pub(crate) shown_to: BTreeSet<usize>,
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

    /// A call of ours has its effect.
    fn arrives(
        &mut self,
        operation: Operation,
        input: &Value,
        saw: &Value,
        intent: Option<&String>,
    ) -> Result<Value, SimError> {
        let now = self.world.now();
        let was = if operation == Operation::UpdateService { primary(&self.service(input)) } else { None };
        let answer = self.world.call(now, operation.as_str(), input)?;
        match operation {
            Operation::RegisterTaskDefinition => {
                if let Some(arn) = answer.pointer("/taskDefinition/taskDefinitionArn").and_then(Value::as_str) {
                    self.ours.insert(arn.to_owned(), input.clone());
                }
                self.keeps(&answer);
            }
            Operation::UpdateService => {
                if let (Some(began), Some(intent)) =
                    (primary(&answer["service"]).filter(|is| was.as_ref() != Some(is)), intent)
                {
                    self.began.insert(began, intent.clone());
                }
                if was.as_ref().is_some_and(|was| self.theirs.contains(was)) && primary(&answer["service"]) != was {
                    let service = input["service"].as_str().unwrap_or_default().to_owned();
                    self.replaced.insert(service, now);
                }
                let seen = |id: &String| deployments(saw).any(|deployment| deployment["id"] == id.as_str());
                if let Some(theirs) = was.filter(|was| self.theirs.contains(was) && !seen(was))
                    && let Some(ours) = primary(&answer["service"]).filter(|is| *is != theirs)
                {
                    let service = input["service"].as_str().unwrap_or_default().to_owned();
                    self.say(now, &format!("        and replaces {theirs}, which nobody of us had seen"));
                    // Where ECS keeps no record of deployments, one that never ran a task leaves no trace but in a reply,
                    // and what a reply said may be lost with the write of it.
                    let traced = answer["service"].get("currentServiceDeployment").is_some();
                    let shown_to = BTreeSet::new();
                    let touches = self.touches.get(&service).copied().unwrap_or(0);
                    self.buried.push(Buried { service, at: now, theirs, touches, ours, traced, shown_to });
                }
            }
            _ => {}
        }
        Ok(answer)
    }

    /// What a process learns from an answer.
    fn is_shown(&mut self, process: usize, operation: Operation, answer: &Value, lag: Duration) {
        let now = self.world.now();
        let read = &mut self.read[process];
        let (several, one) = (answer["services"].as_array(), answer.get("service"));
        for service in several.into_iter().flatten() {
            let arn = service["serviceArn"].as_str().unwrap_or_default().to_owned();
            for buried in self.buried.iter_mut().filter(|buried| buried.service == arn && !operation.writes()) {
                // Looking at a change is looking at one service; a look over the fleet is no look at its changes.
                let looked = several.is_some_and(|all| all.len() == 1);
                if looked && deployments(service).any(|deployment| deployment["id"] == buried.theirs.as_str()) {
                    buried.shown_to.insert(process);
                }
            }
            read.services.insert(arn, service.clone());
        }
        let described =
            answer["serviceDeployments"].as_array().filter(|_| operation == Operation::DescribeServiceDeployments);
        for record in described.into_iter().flatten() {
            let member = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let begun = read.begun.entry(member("serviceArn")).or_default();
            begun.retain(|known| *known != member("serviceDeploymentArn"));
            if matches!(record["status"].as_str(), Some("PENDING" | "IN_PROGRESS")) {
                begun.push(member("serviceDeploymentArn"));
            }
        }
        let clusters = answer["clusters"].as_array().into_iter().flatten().chain(answer.get("cluster"));
        let shown = several.into_iter().flatten().chain(one).map(|service| &service["serviceArn"]);
        let shown = shown.chain(clusters.map(|cluster| &cluster["clusterArn"])).filter_map(Value::as_str);
        let as_of = if operation.writes() { now } else { now - lag };
        read.looked.extend(shown.map(|arn| (arn.to_owned(), as_of)));
    }

    /// A call of ours has had its effect right when it was sent.
    fn has_its_effect(
        &mut self,
        intent: &str,
        (operation, input): (Operation, &Value),
        answer: &Value,
        (at, by_clock): (Timestamp, Timestamp),
    ) {
        let made = match operation {
            Operation::RegisterTaskDefinition => {
                answer["taskDefinition"]["taskDefinitionArn"].as_str().map(str::to_owned)
            }
            Operation::UpdateService => primary(&answer["service"]),
            _ => None,
        };
        let of = intent.rsplit_once(' ').map_or(intent, |(of, _)| of).to_owned();
        self.effects.extend(made.map(|made| Effect { of, operation, input: input.clone(), made, at, by_clock }));
    }

    /// A call reaches what it is about, and nobody hears of it.
    fn is_unheard_of(&mut self, input: &Value, at: Timestamp) {
        let about = input.get("service").or_else(|| input.get("cluster")).and_then(Value::as_str);
        self.came_late.extend(about.map(|resource| (resource.to_owned(), at)));
    }

    /// A revision was made: what it is, as long as ECS knows.
    pub(crate) fn keeps(&mut self, answer: &Value) {
        if let Ok(made) = plimsoll::model::wire::task_definition(answer) {
            self.made.insert(made.arn.as_str().to_owned(), made);
        }
    }

    fn deliver(&mut self, now: Timestamp) {
        while let Some(next) =
            self.on_their_way.iter().enumerate().filter(|(_, call)| call.at <= now).min_by_key(|(_, call)| call.at)
        {
            let place = next.0;
            let OnItsWay { at, operation, input, saw, intent } = self.on_their_way.remove(place);
            self.world.advance(at);
            self.is_unheard_of(&input, at);
            let how = self
                .arrives(operation, &input, &saw, intent.as_ref())
                .err()
                .map_or_else(|| "done".to_owned(), |e| e.message);
            self.say(now, &format!("        {} of long ago arrived: {how}", operation.as_str()));
        }
        self.world.advance(now);
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

    /// A process sends a call: what it had seen of the service goes with it, and the intent that it is of.
    pub(crate) fn sends(&self, process: usize, operation: Operation, input: &Value) -> (Value, Option<String>) {
        self.state().steps += 1;
        let mut intent = None;
        if operation.writes() {
            self.say(format!("process {process} sends {} {}", operation.as_str(), brief(operation, input)));
            intent = law::when_sent(self, process, operation, input);
            let now = self.time.now();
            self.state().sent_at[process] = now;
        }
        let service = input["service"].as_str().unwrap_or_default();
        (self.state().read[process].services.get(service).cloned().unwrap_or_default(), intent)
    }

    /// ECS has said that a call had no effect, or it never left: its intent is spent, and another may follow at once.
    pub(crate) fn is_refused(&self, intent: Option<&String>) {
        if let Some(intent) = intent {
            self.state().sent.remove(intent);
        }
    }

    /// It has its effect, and this is the reply; whether that is heard is known already.
    pub(crate) fn arrives(
        &self,
        process: usize,
        (operation, input): (Operation, &Value),
        saw: &Value,
        intent: Option<&String>,
        heard: bool,
    ) -> Result<Value, EcsError> {
        let at = (self.time.now(), self.by_its_clock(process));
        let mut state = self.state();
        let answer = state.arrives(operation, input, saw, intent).map_err(|error| refused(operation, error));
        if let Ok(answer) = &answer {
            if heard {
                state.is_shown(process, operation, answer, self.timing.lag);
            } else {
                state.is_unheard_of(input, at.0);
            }
            // (Where its sender was suspended in between, it is as late as any that nobody hears of.)
            let prompt = state.sent_at[process] + self.timing.call >= at.0;
            if let Some(intent) = intent.filter(|_| prompt) {
                state.has_its_effect(intent, (operation, input), answer, at);
            }
        }
        drop(state);
        if operation.writes() {
            let how = answer.as_ref().err().map_or_else(|| "done".to_owned(), ToString::to_string);
            self.say(format!("        {} arrived: {how}", operation.as_str()));
        }
        answer
    }

    /// Whether services were shown as they were, and not as they are.
    pub(crate) fn is_stale(&self, input: &Value, shown: &Value) -> bool {
        if self.timing.lag.is_zero() {
            return false;
        }
        let facts = |answer: &Value| -> BTreeSet<String> {
            let fact = |service: &Value| {
                let of = |name: &str| service[name].to_string();
                [of("serviceArn"), of("taskDefinition"), of("desiredCount"), of("runningCount"), of("status")].join(" ")
            };
            answer["services"].as_array().into_iter().flatten().map(fact).collect()
        };
        let is = self.state().look(Operation::DescribeServices.as_str(), input);
        facts(&is) != facts(shown)
    }

    /// Its sender does not hear what became of it.
    pub(crate) fn goes_unheard(&self, operation: Operation, input: &Value) {
        if operation == Operation::RegisterTaskDefinition {
            self.state().unheard.push(input.clone());
        }
    }

    /// It has its effect later; nobody hears of it.
    pub(crate) fn arrives_later(
        &self,
        (operation, input): (Operation, &Value),
        saw: &Value,
        intent: Option<&String>,
        delay: Duration,
    ) {
        self.say(format!("        {} will arrive {} s later", operation.as_str(), delay.as_secs()));
        let (at, intent) = (self.time.now() + delay, intent.cloned());
        self.state().on_their_way.push(OnItsWay { at, operation, input: input.clone(), saw: saw.clone(), intent });
    }

    /// A process has lost what it was about to record, or died: what it was shown it may be shown no more.
    pub(crate) fn loses(&self, process: usize) {
        self.state().buried.iter_mut().for_each(|buried| {
            buried.shown_to.remove(&process);
        });
    }

    /// Whether any call is still on its way.
    pub(crate) fn awaits_calls(&self) -> bool {
        !self.state().on_their_way.is_empty()
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

fn brief(operation: Operation, input: &Value) -> String {
    let member = |name: &str| input[name].as_str().map(|arn| arn.rsplit(['/', ':']).next().unwrap_or(arn).to_owned());
    match operation {
        Operation::RegisterTaskDefinition => member("family").unwrap_or_default(),
        Operation::UpdateService if input.get("taskDefinition").is_some() => {
            let revision = input["taskDefinition"].as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or("-");
            format!("{} to {revision}", member("service").unwrap_or_default())
        }
        _ => input.to_string(),
    }
}

fn refused(operation: Operation, error: SimError) -> EcsError {
    match error {
        SimError { status: 500.., code, message } => {
            EcsError::NoAnswer { operation, message: format!("{code}: {message}") }
        }
        SimError { code: "ThrottlingException", message, .. } => EcsError::Throttled { operation, message },
        SimError { code, message, .. } => EcsError::Refused { operation, code: code.to_owned(), message },
    }
}
