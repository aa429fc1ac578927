//! The world as its callers see it: throttled, and with reads that may lag. Does not know how calls reach it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::config::WorldConfig;
use super::error::SimError;
use super::misbehaviour::Misbehaviour;
use super::state::{Event, State, is_read};
use super::throttle::Throttle;
use crate::model::{AlarmState, Timestamp};

/// A model of Amazon ECS in one account and Region, in virtual time.
///
/// Guarantees:
/// - Pure: it knows no clock and draws from its seed only. The same configuration, the same calls at the same times give
///   the same answers, byte for byte.
/// - What it is at a time does not depend on how often it was advanced or read before.
/// - Time does not go back: a `now` earlier than the latest is taken as the latest.
#[derive(Debug, Clone)]
pub struct World {
    state: State,
    throttle: Throttle,
    /// What lagging reads see: the same world some time ago, and what has happened to it since.
    past: Option<Box<Past>>,
}

#[derive(Debug, Clone)]
struct Past {
    state: State,
    lag: Duration,
    /// Oldest first.
    changes: VecDeque<(Timestamp, Change)>,
}

/// Everything from outside that changes the state.
#[derive(Debug, Clone)]
enum Change {
    Call { operation: String, input: Value },
    CallLater { at: Timestamp, operation: String, input: Value },
    Misbehave(Misbehaviour),
    Behave,
    MoveImage { image: String, digest: String },
    LoseImage { digest: String },
    Instances { cluster: String, count: u32 },
    Alarm { name: String, state: AlarmState },
    Kill { task: String, code: &'static str, reason: String },
    Stamp { arn: String, tags: Vec<(String, String)> },
    Plant { resource: String, members: Map<String, Value> },
}

impl World {
    /// An empty account at `now`.
    #[must_use]
    pub fn new(config: WorldConfig, now: Timestamp) -> Self {
        let (percent, lag) = (config.throttle_percent, config.read_lag);
        let mut world = Self { state: State::new(Arc::new(config), now), throttle: Throttle::new(percent), past: None };
        world.set_read_lag(lag);
        world
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &WorldConfig {
        &self.state.config
    }

    /// The latest point in time it has reached.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.state.now
    }

    /// When the next thing happens by itself; `None` while everything rests.
    #[must_use]
    pub fn next_event(&self) -> Option<Timestamp> {
        self.state.next_event()
    }

    /// Lets everything happen that happens by itself until `now`.
    pub fn advance(&mut self, now: Timestamp) {
        self.state.advance(now);
    }

    /// One call of ECS's API, at `now`: the operation's name, its input and its answer as awsJson 1.1.
    ///
    /// # Errors
    /// ECS's own refusals, `ThrottlingException`, and `UnknownOperationException` for what is not modelled.
    pub fn call(&mut self, now: Timestamp, operation: &str, input: &Value) -> Result<Value, SimError> {
        self.advance(now);
        if !self.throttle.admit(operation, self.state.now) {
            return Err(SimError::throttled());
        }
        if is_read(operation)
            && let Some(past) = &mut self.past
        {
            past.catch_up(self.state.now);
            return past.state.call(operation, input);
        }
        self.record(|| Change::Call { operation: operation.to_owned(), input: input.clone() });
        self.state.call(operation, input)
    }

    /// Makes a call happen by itself at `at`: somebody else's, or one that has been on its way for long. It is not
    /// throttled, and its answer is not heard.
    pub fn call_later(&mut self, at: Timestamp, operation: &str, input: Value) {
        self.apply(Change::CallLater { at, operation: operation.to_owned(), input });
    }

    /// From now on, tasks to which `rule` applies misbehave. The first rule that applies decides.
    pub fn misbehave(&mut self, rule: Misbehaviour) {
        self.apply(Change::Misbehave(rule));
    }

    /// Forgets all misbehaviour: tasks started from now on do well.
    pub fn behave(&mut self) {
        self.apply(Change::Behave);
    }

    /// From now on `image` (a reference with a tag) stands for `digest` (`sha256:` and 64 hexadecimal digits).
    pub fn move_image(&mut self, image: &str, digest: &str) {
        self.apply(Change::MoveImage { image: image.to_owned(), digest: digest.to_owned() });
    }

    /// From now on nothing with `digest` can be pulled: `CannotPullContainerError`.
    pub fn lose_image(&mut self, digest: &str) {
        self.apply(Change::LoseImage { digest: digest.to_owned() });
    }

    /// Gives `cluster` so many container instances, for what does not run on Fargate.
    pub fn set_instances(&mut self, cluster: &str, count: u32) {
        self.apply(Change::Instances { cluster: cluster.to_owned(), count });
    }

    /// Sets a CloudWatch alarm off, or lets it rest; one that is not there is made. Deployments that watch it react.
    pub fn ring(&mut self, alarm: &str, on: bool) {
        self.set_alarm(alarm, if on { AlarmState::Alarm } else { AlarmState::Ok });
    }

    /// Has a CloudWatch alarm stand so; one that is not there is made.
    pub fn set_alarm(&mut self, alarm: &str, state: AlarmState) {
        self.apply(Change::Alarm { name: alarm.to_owned(), state });
    }

    /// Whether an alarm is going off.
    #[must_use]
    pub fn is_ringing(&self, alarm: &str) -> bool {
        self.state.ringing().contains(alarm)
    }

    /// Takes a running task away as AWS does: `code` such as `SpotInterruption`. It is replaced, and counts as no failure.
    pub fn kill_task(&mut self, task_arn: &str, code: &'static str, reason: &str) {
        self.apply(Change::Kill { task: task_arn.to_owned(), code, reason: reason.to_owned() });
    }

    /// Writes tags that only AWS can write, such as `aws:cloudformation:stack-name`.
    pub fn stamp_tags(&mut self, arn: &str, tags: &[(&str, &str)]) {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.apply(Change::Stamp { arn: arn.to_owned(), tags });
    }

    /// Writes `members` into what ECS says of `resource`, a task definition or a service's ARN, over what was there: as
    /// if ECS had learnt new members, or another tool, or ECS itself, had made what callers of this model cannot.
    pub fn plant(&mut self, resource: &str, members: Map<String, Value>) {
        self.apply(Change::Plant { resource: resource.to_owned(), members });
    }

    /// From now on reads are answered from the world as it was `lag` ago; zero: from now.
    pub fn set_read_lag(&mut self, lag: Duration) {
        self.past =
            (!lag.is_zero()).then(|| Box::new(Past { state: self.state.clone(), lag, changes: VecDeque::new() }));
    }

    /// From now on callers get `percent` of the published throttle rates; 0: no throttling. All buckets are full.
    pub fn set_throttling(&mut self, percent: u32) {
        self.throttle = Throttle::new(percent);
    }

    fn record(&mut self, change: impl FnOnce() -> Change) {
        let now = self.state.now;
        if let Some(past) = &mut self.past {
            past.catch_up(now);
            past.changes.push_back((now, change()));
        }
    }

    fn apply(&mut self, change: Change) {
        self.record(|| change.clone());
        change.happen(&mut self.state);
    }
}

impl Past {
    /// Moves on to what the world was `lag` before `now`.
    fn catch_up(&mut self, now: Timestamp) {
        let until = now - self.lag;
        while let Some((at, change)) = self.changes.pop_front_if(|(at, _)| *at <= until) {
            self.state.advance(at);
            change.happen(&mut self.state);
        }
        self.state.advance(until);
    }
}

impl Change {
    fn happen(self, state: &mut State) {
        match self {
            // The answer was given when the call was made.
            Self::Call { operation, input } => drop(state.call(&operation, &input)),
            Self::CallLater { at, operation, input } => state.schedule(at, Event::Call { operation, input }),
            Self::Misbehave(rule) => state.misbehaviours.push(rule),
            Self::Behave => state.misbehaviours.clear(),
            Self::MoveImage { image, digest } => state.images.set(&image, &digest),
            Self::LoseImage { digest } => state.images.lose(&digest),
            Self::Instances { cluster, count } => state.set_instances(&cluster, count),
            Self::Alarm { name, state: to } => state.set_alarm(&name, to),
            Self::Kill { task, code, reason } => state.kill(&task, code, &reason),
            Self::Stamp { arn, tags } => state.stamp_tags(&arn, tags),
            Self::Plant { resource, members } => state.plant(&resource, members),
        }
    }
}
