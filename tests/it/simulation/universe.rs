//! All there is in one run: the ECS model, the store, time, chance; what was done, and what of it broke a law.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll::model::{TargetId, Timestamp};
use plimsoll::ports::store::{Item, Key};
use plimsoll::ports::{EcsError, Operation};
use plimsoll::sim::{SimError, World};
use serde_json::{Map, Value};

use super::law;
use super::memory::MemoryStore;
use super::mutants::Mutation;
use super::ports::Trouble;
use super::time::{Chance, Time};

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
    state: Mutex<State>,
}

/// What changes under one lock. Nothing waits while it is held.
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) chance: Chance,
    /// How likely things are to go wrong: none, once faults have stopped.
    pub(crate) faults: bool,
    /// The holder name of each process, by its number.
    pub(crate) holders: Vec<String>,
    /// Calls and writes so far: what a step is.
    pub(crate) steps: u64,
    /// How often which trouble met a change in which phase.
    pub(crate) met: BTreeMap<(Trouble, String), u64>,
    /// What a person or somebody else did, and when it was last.
    pub(crate) touched: BTreeMap<String, Timestamp>,
    /// Since when each Freeze has been stored, with the clusters it covers (none: all).
    pub(crate) freezes: BTreeMap<String, (Timestamp, Option<String>)>,
    /// Revisions that the controllers registered, with what they were registered from.
    pub(crate) ours: BTreeMap<String, Value>,
    /// What was to be registered by calls of ours that arrived late.
    pub(crate) late: Vec<Value>,
    /// Registration intents for which a call was sent.
    pub(crate) registered: BTreeSet<String>,
    /// What went wrong with a fix on a service, until a person lets it come again.
    pub(crate) failed: BTreeMap<(String, String), String>,
    /// What each process last saw of each service.
    pub(crate) seen: BTreeMap<(usize, String), Value>,
    pub(crate) broken: Vec<String>,
    trace: Vec<String>,
}

impl Universe {
    pub(crate) fn new(world: World, chance: Chance, mutant: Mutation) -> Self {
        let target = TargetId { account: world.config().account.clone(), region: world.config().region.clone() };
        let state = State {
            world,
            chance,
            faults: true,
            holders: Vec::new(),
            steps: 0,
            met: BTreeMap::new(),
            touched: BTreeMap::new(),
            freezes: BTreeMap::new(),
            ours: BTreeMap::new(),
            late: Vec::new(),
            registered: BTreeSet::new(),
            failed: BTreeMap::new(),
            seen: BTreeMap::new(),
            broken: Vec::new(),
            trace: Vec::new(),
        };
        Self { time: Arc::default(), store: MemoryStore::default(), target, mutant, state: Mutex::new(state) }
    }

    /// Everything else, for a moment, with the world moved on to now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.world.advance(self.time.now());
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
        let at = self.time.elapsed();
        self.state().trace.push(format!("{:>7}.{:03} {line}", at.as_secs(), at.subsec_millis()));
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    pub(crate) fn broke(&self, law: String) {
        self.say(format!("BROKEN {law}"));
        self.state().broken.push(law);
    }

    /// A process sends a call.
    pub(crate) fn sends(&self, process: usize, operation: Operation, input: &Value) {
        self.state().steps += 1;
        if operation.writes() {
            self.say(format!("process {process} sends {} {}", operation.as_str(), brief(operation, input)));
            law::when_sent(self, process, operation, input);
        }
    }

    /// It has its effect, and this is the reply.
    pub(crate) fn arrives(&self, process: usize, operation: Operation, input: &Value) -> Result<Value, EcsError> {
        let now = self.time.now();
        let mut state = self.state();
        let answer = state.world.call(now, operation.as_str(), input).map_err(|error| refused(operation, error));
        match (operation, &answer) {
            (Operation::RegisterTaskDefinition, Ok(answer)) => {
                if let Some(arn) = answer.pointer("/taskDefinition/taskDefinitionArn").and_then(Value::as_str) {
                    state.ours.insert(arn.to_owned(), input.clone());
                }
            }
            (Operation::DescribeServices, Ok(answer)) => {
                for service in answer["services"].as_array().into_iter().flatten() {
                    let arn = service["serviceArn"].as_str().unwrap_or_default().to_owned();
                    state.seen.insert((process, arn), service.clone());
                }
            }
            _ => {}
        }
        drop(state);
        if operation.writes() {
            let how = answer.as_ref().err().map_or_else(|| "done".to_owned(), ToString::to_string);
            self.say(format!("        {} arrived: {how}", operation.as_str()));
        }
        answer
    }

    /// It has its effect later; nobody hears of it.
    pub(crate) fn arrives_later(&self, operation: Operation, input: &Value, delay: Duration) {
        self.say(format!("        {} will arrive {} s later", operation.as_str(), delay.as_secs()));
        let at = self.time.now() + delay;
        if operation == Operation::RegisterTaskDefinition {
            self.state().late.push(input.clone());
        }
        self.state().world.call_later(at, operation.as_str(), input.clone());
    }

    /// What goes wrong with a call.
    pub(crate) fn trouble_with(&self, operation: Operation) -> Option<Trouble> {
        let trouble = {
            let mut state = self.state();
            if !state.faults || !state.chance.happens(if operation.writes() { 120 } else { 15 }) {
                return None;
            }
            let writes =
                [Trouble::NotSent, Trouble::LostReply, Trouble::Late, Trouble::ServerError, Trouble::Throttled];
            let reads = [Trouble::NotSent, Trouble::ServerError, Trouble::Throttled];
            let of: &[Trouble] = if operation.writes() { &writes } else { &reads };
            *state.chance.pick(of)?
        };
        if operation.writes() {
            self.say(format!("        {} meets {trouble:?}", operation.as_str()));
        }
        self.meets(trouble);
        Some(trouble)
    }

    pub(crate) fn trouble_with_store(&self, write: bool) -> Option<Trouble> {
        let trouble = {
            let mut state = self.state();
            state.steps += 1;
            if !state.faults || !state.chance.happens(if write { 15 } else { 3 }) {
                return None;
            }
            let of: &[Trouble] = if write { &[Trouble::NoStore, Trouble::LostWrite] } else { &[Trouble::NoStore] };
            *state.chance.pick(of)?
        };
        self.meets(trouble);
        Some(trouble)
    }

    /// Counts a trouble for every phase that a change is in.
    pub(crate) fn meets(&self, trouble: Trouble) {
        let phases: BTreeSet<String> = self.changes().iter().map(|change| phase(&change.body)).collect();
        let mut state = self.state();
        for phase in phases {
            *state.met.entry((trouble, phase)).or_default() += 1;
        }
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
        law::when_written(self, key, before.as_ref(), after);
    }

    /// A record was removed.
    pub(crate) fn removed(&self, key: &Key) {
        // An intent whose call is known not to have been made.
        self.state().registered.retain(|intent| !intent.starts_with(&key.sort));
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

fn brief(operation: Operation, input: &Value) -> String {
    let member = |name: &str| input[name].as_str().map(|arn| arn.rsplit(['/', ':']).next().unwrap_or(arn).to_owned());
    match operation {
        Operation::RegisterTaskDefinition => member("family").unwrap_or_default(),
        Operation::UpdateService => {
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
