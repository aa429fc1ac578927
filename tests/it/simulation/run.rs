//! One run: chaos for a while, then quiet, then the books are held against the world.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use plimsoll::controller::run::Watcher;
use plimsoll::controller::{Controller, Mode, Parts, PassReport, Settings};
use plimsoll::model::Timestamp;
use plimsoll::plan::PlanOutcome;
use plimsoll::sim::{World, WorldConfig};
use tokio_util::sync::CancellationToken;

use super::mutants::{Mutant, Mutation};
use super::ports::{Disk, LEASE, SUSPENDED, Trouble, Wire};
use super::time::{Chance, ProcessClock, activity, start};
use super::universe::Universe;
use super::{law, others};
use crate::loops::NobodysAlarms;

/// How many processes hold, or wait for, the lease.
const PROCESSES: usize = 2;

/// After faults have stopped, everything comes to rest within this.
const REST: Duration = Duration::from_secs(4 * 3600);

/// What came of a run.
pub(crate) struct End {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) broken: Vec<String>,
    pub(crate) met: BTreeMap<(Trouble, String), u64>,
    /// Equal for equal runs.
    pub(crate) fingerprint: u64,
    pub(crate) trace: Vec<String>,
}

/// A controller process: alive, suspended, or dead until a time.
struct Process {
    number: usize,
    generation: usize,
    life: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    suspended_until: Option<Duration>,
    dead_until: Option<Duration>,
    unseen: Arc<Mutex<Duration>>,
    reports: Arc<Mutex<Option<PassReport>>>,
}

struct Keeps(Arc<Mutex<Option<PassReport>>>);

impl Watcher for Keeps {
    fn passed(&mut self, report: &PassReport, _: Timestamp) {
        if report.plan.is_some() {
            *self.0.lock().unwrap() = Some(report.clone());
        }
    }
}

impl Process {
    fn new(number: usize) -> Self {
        Self {
            number,
            generation: 0,
            life: None,
            suspended_until: None,
            dead_until: None,
            unseen: Arc::default(),
            reports: Arc::default(),
        }
    }

    fn starts(&mut self, universe: &Arc<Universe>) {
        self.generation += 1;
        self.dead_until = None;
        let holder = format!("process-{}-{}", self.number, self.generation);
        universe.say(format!("{holder} starts"));
        let skew = {
            let mut state = universe.state();
            state.holders[self.number].clone_from(&holder);
            state.chance.below(4001) as i64 - 2000
        };
        self.unseen = Arc::default();
        let clock = ProcessClock { time: universe.time.clone(), skew, unseen: self.unseen.clone() };
        let (ecs, store) = (
            Arc::new(Wire { universe: universe.clone(), process: self.number }),
            Arc::new(Disk { universe: universe.clone(), process: self.number }),
        );
        let settings = Settings {
            target: universe.target.clone(),
            holder,
            lease: LEASE,
            call_timeout: Duration::from_secs(2),
            resync: Some(Duration::from_secs(60)),
            poll: Duration::from_secs(10),
            allow_edit: vec![],
        };
        let mut controller =
            Controller::new(Parts { ecs, alarms: Arc::new(NobodysAlarms), store, clock: Arc::new(clock) }, settings);
        let mut watcher = Keeps(self.reports.clone());
        self.life = Some(Box::pin(async move {
            let stop = CancellationToken::new();
            let _ = controller.run(Mode::Forever, &stop, &mut watcher).await;
        }));
    }

    /// Runs until it waits for something. True where it did anything.
    fn runs(&mut self, universe: &Arc<Universe>) -> bool {
        let now = universe.time.elapsed();
        if self.dead_until.is_some_and(|until| until <= now) {
            self.starts(universe);
        }
        if self.suspended_until.is_some_and(|until| until > now) {
            return false;
        }
        self.suspended_until = None;
        let Some(life) = &mut self.life else { return false };
        let before = activity();
        let mut context = Context::from_waker(std::task::Waker::noop());
        if life.as_mut().poll(&mut context).is_ready() {
            self.life = None;
            self.dead_until = Some(now);
        }
        activity() != before
    }

    fn dies(&mut self, universe: &Universe) {
        if self.life.is_none() {
            return;
        }
        universe.say(format!("process {} dies", self.number));
        universe.meets(Trouble::Crash);
        self.life = None;
        self.suspended_until = None;
        self.dead_until = Some(universe.time.elapsed() + universe.seconds((1, 60)));
    }

    fn is_suspended(&mut self, universe: &Universe) {
        if self.life.is_none() || self.suspended_until.is_some() {
            return;
        }
        let length = universe.seconds(SUSPENDED);
        universe.say(format!("process {} is suspended for {} s", self.number, length.as_secs()));
        universe.meets(Trouble::Suspended);
        self.suspended_until = Some(universe.time.elapsed() + length);
        if universe.mutant.is(Mutant::DropsTheFence) {
            *self.unseen.lock().unwrap() += length;
        }
    }
}

/// Runs a seed, with chaos for so many steps.
pub(crate) fn run(seed: u64, chaos: u64, mutant: Option<Mutant>) -> End {
    let mut chance = Chance::of(seed);
    let config = WorldConfig {
        throttle_percent: 0,
        seed,
        read_lag: if chance.happens(500) { chance.seconds(0, 5) } else { Duration::ZERO },
        forget_inactive: chance.happens(300),
        reorder: chance.happens(300),
        service_deployments: !chance.happens(200),
        ..WorldConfig::default()
    };
    let universe = Arc::new(Universe::new(World::new(config, start()), chance, Mutation(mutant)));
    universe.state().holders = vec![String::new(); PROCESSES];
    others::fleet(&universe);
    universe.time.pass(Duration::from_secs(300));
    let mut processes: Vec<Process> = (0..PROCESSES).map(Process::new).collect();
    for process in &mut processes {
        process.starts(&universe);
    }
    while universe.state().steps < chaos && universe.state().broken.is_empty() {
        churn(&universe, &mut processes);
    }
    rest(&universe, &mut processes);
    let trace = universe.trace();
    let mut hasher = DefaultHasher::new();
    trace.hash(&mut hasher);
    let state = universe.state();
    let (steps, broken, met) = (state.steps, state.broken.clone(), state.met.clone());
    End { seed, steps, broken, met, fingerprint: hasher.finish(), trace }
}

fn churn(universe: &Arc<Universe>, processes: &mut [Process]) {
    let (number, dice) = {
        let mut state = universe.state();
        (state.chance.below(PROCESSES), state.chance.below(3000))
    };
    match dice {
        0..=7 => processes[number].dies(universe),
        8..=15 => processes[number].is_suspended(universe),
        16..=45 => others::act(universe),
        46..=300 => {
            let length = universe.seconds((0, 1));
            universe.time.pass(length);
        }
        _ => {}
    }
    let moved = processes[number].runs(universe);
    let other = !moved && processes.iter_mut().any(|process| process.runs(universe));
    if !moved && !other && !universe.time.jump() {
        universe.time.pass(Duration::from_secs(1));
    }
}

/// Nothing goes wrong any more and nobody acts; everything must come to rest.
fn rest(universe: &Arc<Universe>, processes: &mut [Process]) {
    if !universe.state().broken.is_empty() {
        return;
    }
    universe.say("no more trouble".to_owned());
    universe.state().faults = false;
    others::thaws(universe);
    for process in processes.iter_mut() {
        process.suspended_until = None;
        *process.reports.lock().unwrap() = None;
    }
    let until = universe.time.elapsed() + REST;
    let mut let_go = 0;
    let mut quiet_since = universe.time.elapsed();
    let mut last_trace = 0;
    while universe.time.elapsed() < until && universe.state().broken.is_empty() {
        let moved = processes.iter_mut().fold(false, |moved, process| process.runs(universe) | moved);
        if moved {
            continue;
        }
        if !universe.time.jump() {
            universe.time.pass(Duration::from_secs(1));
        }
        let (lines, now) = (universe.trace().len(), universe.time.elapsed());
        if lines != last_trace {
            (last_trace, quiet_since) = (lines, now);
        }
        // Longer than any timeout of the strategy's, and than what is watched after a takeover.
        if now - quiet_since > Duration::from_secs(20 * 60) {
            if let_go == 3 {
                break;
            }
            let_go += 1;
            quiet_since = now;
            others::lets_go(universe, let_go);
        }
    }
    settled(universe, processes);
    law::at_the_end(universe);
}

/// Every service complies, or it is said why not; and what is said to comply does.
fn settled(universe: &Universe, processes: &[Process]) {
    let report = processes.iter().find_map(|process| process.reports.lock().unwrap().clone());
    let Some(plan) = report.and_then(|report| report.plan) else {
        return universe.broke("nobody has made a plan since everything is quiet".to_owned());
    };
    for resource in others::resources(universe) {
        let arn = resource.as_str();
        let Some(planned) = plan.services.iter().find(|planned| planned.resource == arn) else {
            universe.broke(format!("nothing is said of {}", resource.short()));
            continue;
        };
        let explained = planned.reason.is_some();
        match planned.outcome {
            PlanOutcome::Compliant => {
                let violating = law::running(universe, arn).into_iter().find(|revision| violates(universe, revision));
                if let Some(revision) = violating {
                    universe.broke(format!(
                        "{} is said to comply, and runs {}",
                        resource.short(),
                        law::short(&revision)
                    ));
                }
            }
            PlanOutcome::Waived | PlanOutcome::Audit => {}
            PlanOutcome::Blocked | PlanOutcome::Change | PlanOutcome::Deferred if explained => {}
            PlanOutcome::Blocked | PlanOutcome::Change | PlanOutcome::Deferred | PlanOutcome::Unknown => {
                let why = planned.reason.as_ref().map(ToString::to_string);
                universe.broke(format!("{} has not come to rest: {:?}, {why:?}", resource.short(), planned.outcome));
            }
        }
    }
    for change in universe.changes() {
        let phase = super::universe::phase(&change.body);
        if matches!(phase.as_str(), "Registering" | "Updating" | "Stabilizing" | "Verifying" | "RollingBack") {
            universe.broke(format!("change {} has not come to rest: {phase}", change.body["name"]));
        }
    }
}

fn violates(universe: &Universe, revision: &str) -> bool {
    let now = universe.time.now();
    let mut world = universe.state().world.clone();
    world.set_read_lag(Duration::ZERO);
    let input = serde_json::json!({ "taskDefinition": revision });
    let answer = world.call(now, "DescribeTaskDefinition", &input).unwrap_or_default();
    answer["taskDefinition"]["pidMode"] == "host"
}
