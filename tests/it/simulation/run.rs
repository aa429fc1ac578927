//! One run: processes that live, die and are suspended; chaos for a while, then rest.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::Duration;

use plimsoll::controller::run::{Trigger, Watcher};
use plimsoll::controller::{Controller, Mode, Parts, PassReport, Settings};
use plimsoll::model::Timestamp;
use plimsoll::ports::ServedClock;
use plimsoll::sim::{World, WorldConfig};
use tokio_util::sync::CancellationToken;

use super::mutants::{Mutant, Mutation};
use super::ports::{Bells, Disk, Wire};
use super::rest::rest;
use super::time::{Chance, ProcessClock, Time, activity, start};
use super::trouble::Trouble;
use super::universe::{Read, Timing, Universe};
use super::{law, others, people};

/// How many processes hold, or wait for, the lease: mostly two.
const PROCESSES: &[usize] = &[2, 2, 3];

/// How long the lease of every process is, and the longest that a call may take. Mostly as shipped; now and then so that a
/// lease is hardly longer than a call.
fn timing(chance: &mut Chance, lag: Duration) -> Timing {
    let (lease, call) = if chance.happens(200) { (12, 8) } else { (30, 2) };
    Timing { lease: Duration::from_secs(lease), call: Duration::from_secs(call), lag }
}

/// How far reads lag at most.
const LAG: Duration = Duration::from_secs(12);

/// How long a suspended process stays so: shorter and longer than a lease.
const SUSPENDED: (usize, usize) = (2, 90);

/// How long one that has died or was stopped is away.
const AWAY: (usize, usize) = (1, 60);

/// What came of a run.
pub(crate) struct End {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) broken: Vec<String>,
    pub(crate) injected: BTreeMap<Trouble, u64>,
    pub(crate) met: BTreeMap<(Trouble, String), u64>,
    /// Equal for equal runs.
    pub(crate) fingerprint: u64,
    pub(crate) trace: Vec<String>,
}

/// A controller process: alive, suspended, or dead until a time.
pub(crate) struct Process {
    number: usize,
    generation: usize,
    life: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    suspended_until: Option<Duration>,
    dead_until: Option<Duration>,
    unseen: Arc<Mutex<Duration>>,
    trigger: Trigger,
    stop: CancellationToken,
    reports: Arc<Mutex<Option<Said>>>,
}

/// What a process said of the whole fleet, and when.
pub(crate) type Said = (Duration, PassReport);

struct Keeps(Arc<Mutex<Option<Said>>>, Arc<Time>);

impl Watcher for Keeps {
    fn passed(&mut self, report: &PassReport, _: Timestamp) {
        if report.plan.is_some() {
            *self.0.lock().unwrap() = Some((self.1.elapsed(), report.clone()));
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
            trigger: Trigger::default(),
            stop: CancellationToken::new(),
            reports: Arc::default(),
        }
    }

    fn starts(&mut self, universe: &Arc<Universe>) {
        self.generation += 1;
        universe.loses(self.number);
        self.dead_until = None;
        let holder = format!("process-{}-{}", self.number, self.generation);
        let skew = {
            let mut state = universe.state();
            state.holders[self.number].clone_from(&holder);
            state.read[self.number] = Read::default();
            // Most machines' clocks are right; some are minutes off.
            let most = if state.chance.happens(300) { 240_000 } else { 2_000 };
            let off = state.chance.below(2 * most + 1) as i64 - most as i64;
            state.skews[self.number].store(off, Ordering::Relaxed);
            state.skews[self.number].clone()
        };
        universe.say(format!("{holder} starts, its clock {} ms off", skew.load(Ordering::Relaxed)));
        self.unseen = Arc::default();
        let clock = ProcessClock { time: universe.time.clone(), skew, unseen: self.unseen.clone() };
        // It has asked who it is.
        let clock = Arc::new(ServedClock::new(Arc::new(clock)));
        universe.state().clocks[self.number] = Some(clock.clone());
        universe.is_dated(self.number);
        let (shared, process) = (|| universe.clone(), self.number);
        let parts = Parts {
            ecs: Arc::new(Wire { universe: shared(), process, looks: Mutex::default() }),
            alarms: Arc::new(Bells { universe: shared(), process }),
            store: Arc::new(Disk { universe: shared(), process }),
            clock,
        };
        let settings = Settings {
            target: universe.target.clone(),
            caller: WorldConfig::default().caller,
            holder,
            lease: universe.timing.lease,
            call_timeout: universe.mutant.mutate_timeout(universe.timing.call),
            resync: Some(Duration::from_secs(60)),
            poll: Duration::from_secs(10),
            allow_edit: vec![],
        };
        let mut controller = Controller::new(parts, settings);
        self.trigger = controller.trigger();
        let mut watcher = Keeps(self.reports.clone(), universe.time.clone());
        self.stop = CancellationToken::new();
        let stop = self.stop.clone();
        self.life = Some(Box::pin(async move {
            let _ = controller.run(Mode::Forever, &stop, &mut watcher).await;
        }));
    }

    /// Runs until it waits for something. True where it did anything.
    pub(crate) fn runs(&mut self, universe: &Arc<Universe>) -> bool {
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
            if self.stop.is_cancelled() {
                self.dead_until = Some(now + universe.seconds(AWAY));
                law::when_stopped(universe, self.number);
            }
        }
        activity() != before
    }

    /// Somebody tells it to stop: it ends what it is at, and comes back later.
    fn is_told_to_stop(&self, universe: &Universe) {
        if self.life.is_none() || self.stop.is_cancelled() {
            return;
        }
        universe.say(format!("process {} is told to stop", self.number));
        universe.meets(Trouble::Stopped);
        self.stop.cancel();
    }

    fn dies(&mut self, universe: &Universe) {
        if self.life.is_none() {
            return;
        }
        universe.say(format!("process {} dies", self.number));
        universe.meets(Trouble::Crash);
        self.life = None;
        self.suspended_until = None;
        self.dead_until = Some(universe.time.elapsed() + universe.seconds(AWAY));
    }

    fn is_suspended(&mut self, universe: &Universe) {
        if self.life.is_none() || self.suspended_until.is_some() {
            return;
        }
        let length = universe.seconds(SUSPENDED);
        universe.say(format!("process {} is suspended for {} s", self.number, length.as_secs()));
        let long = length > universe.timing.lease;
        universe.meets(if long { Trouble::SuspendedForLong } else { Trouble::Suspended });
        self.suspended_until = Some(universe.time.elapsed() + length);
        universe.state().suspended[self.number] += length;
        if universe.mutant.is(Mutant::CountsNoSuspension) {
            *self.unseen.lock().unwrap() += length;
        }
    }

    /// Somebody, or NTP, sets its clock.
    fn clock_is_set(&self, universe: &Universe) {
        let mut state = universe.state();
        let by = state.chance.below(240_001) as i64 - 120_000;
        let off = state.skews[self.number].fetch_add(by, Ordering::Relaxed) + by;
        // No further than where a signature of AWS's would be refused.
        state.skews[self.number].store(off.clamp(-290_000, 290_000), Ordering::Relaxed);
        drop(state);
        universe.say(format!("the clock of process {} is set by {by} ms", self.number));
        universe.meets(Trouble::ClockSet);
    }

    /// Nothing stops it any more, and what it has said so far is forgotten.
    pub(crate) fn calms_down(&mut self) {
        self.suspended_until = None;
        *self.reports.lock().unwrap() = None;
    }

    /// What it said last of the whole fleet.
    pub(crate) fn report(&self) -> Option<Said> {
        self.reports.lock().unwrap().clone()
    }
}

/// Runs a seed, with chaos for so many steps.
pub(crate) fn run(seed: u64, chaos: u64, mutant: Option<Mutant>) -> End {
    let mut chance = Chance::of(seed);
    // Every tenth loses or delays most writes, under reads that lag as far as they ever do.
    let lossy = seed % 10 == 5;
    let lag = if chance.happens(500) { chance.seconds(0, LAG.as_secs() as usize) } else { Duration::ZERO };
    let mutation = Mutation(mutant);
    let config = WorldConfig {
        throttle_percent: 0,
        seed,
        read_lag: mutation.mutate_lag(if lossy { LAG } else { lag }),
        forget_inactive: chance.happens(300),
        reorder: chance.happens(300),
        service_deployments: !chance.happens(200),
        ..WorldConfig::default()
    };
    let timing = timing(&mut chance, config.read_lag);
    let told = format!("{timing:?}, deployments are recorded: {}", config.service_deployments);
    let count = chance.one(PROCESSES);
    let universe = Arc::new(Universe::new(World::new(config, start()), chance, mutation, count, timing));
    universe.say(told);
    universe.state().lossy = lossy;
    others::fleet(&universe);
    people::begin(&universe);
    universe.time.pass(Duration::from_secs(300));
    let mut processes: Vec<Process> = (0..count).map(Process::new).collect();
    for process in &mut processes {
        process.starts(&universe);
    }
    while universe.state().steps < chaos && !universe.is_broken() {
        churn(&universe, &mut processes);
        law::as_time_passes(&universe);
    }
    rest(&universe, &mut processes);
    let trace = universe.trace();
    let mut hasher = DefaultHasher::new();
    trace.hash(&mut hasher);
    let state = universe.state();
    let (steps, broken) = (state.steps, state.broken.clone());
    let (injected, met) = (state.injected.clone(), state.met.clone());
    End { seed, steps, broken, injected, met, fingerprint: hasher.finish(), trace }
}

fn churn(universe: &Arc<Universe>, processes: &mut [Process]) {
    let (number, dice) = {
        let mut state = universe.state();
        (state.chance.below(processes.len()), state.chance.below(3000))
    };
    match dice {
        0..=7 => processes[number].dies(universe),
        8..=15 => processes[number].is_suspended(universe),
        16..=34 => others::act(universe),
        35..=48 => people::act(universe),
        51..=52 => universe.storms(),
        49..=50 => processes[number].is_told_to_stop(universe),
        53..=54 => processes[number].clock_is_set(universe),
        // The same work once more.
        55..=58 => {
            processes[number].trigger.ask();
            universe.meets(Trouble::AskedAgain);
        }
        59..=300 => {
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
