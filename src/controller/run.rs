//! Pass after pass, until told to stop or until nothing is left to do.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::error::ControllerError;
use super::reconcile::{Controller, Depth, PassReport};
use super::telling::Telling;
use crate::model::{Reason, ReasonCode, Timestamp};
use crate::plan::PlanOutcome;
use crate::records::campaign::Campaign;
use crate::rollout::{RolloutState, State};

/// How often whoever stands by looks at the lease, at most. A look before the holder's death and one after the lease has
/// run out are in vain: a takeover comes within the lease and twice this, of the 15 seconds that are promised.
const STANDING_BY: Duration = Duration::from_secs(5);

/// How long to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until told to stop.
    Forever,
    /// Until two passes in a row find nothing they may still do. What is deferred is waited for, at most this long.
    UntilSettled {
        /// At most.
        timeout: Duration,
    },
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// It was told to.
    Stopped,
    /// Nothing is left to do; these are the services that do not comply, and why. Empty: all comply or are waived.
    Settled {
        /// In sentences.
        problems: Vec<String>,
    },
}

/// What a run says of itself as it goes: for the demo, logs and tests.
pub trait Watcher: Send {
    /// After each pass that was whole.
    fn passed(&mut self, report: &PassReport, now: Timestamp);

    /// After every pass, whole or not, and before [`passed`](Self::passed).
    fn ended(&mut self, pass: &PassEnd<'_>) {
        let _ = pass;
    }
}

/// How a pass ended.
#[derive(Debug, Clone, Copy)]
pub struct PassEnd<'a> {
    /// What it came to.
    pub outcome: Result<&'a PassReport, &'a ControllerError>,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub now: Timestamp,
}

/// Nobody watches.
pub struct Unwatched;

impl Watcher for Unwatched {
    fn passed(&mut self, _: &PassReport, _: Timestamp) {}
}

/// What a pass means for a run that ends when nothing is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Settling {
    /// There is more to do.
    Busy,
    /// Nothing may be done now, but something passes by itself.
    Deferred(Vec<String>),
    /// Nothing may be done.
    Idle(Vec<String>),
}

/// Asks for a full pass, from outside: a schedule, a signal. Asking twice before it begins is asking once.
#[derive(Debug, Clone, Default)]
pub struct Trigger(std::sync::Arc<tokio::sync::Notify>);

impl Trigger {
    /// Asks.
    pub fn ask(&self) {
        self.0.notify_one();
    }
}

impl Controller {
    /// Pass after pass. A failed pass is logged and tried again; an error ends the run only where no pass could ever
    /// succeed (no policies), or, until settled, where three in a row have failed.
    ///
    /// Cancellation: `stop` ends it between two steps, in the middle of a pass too: a call that was made is waited for and
    /// recorded, reading and waiting are not, and the lease is given up. Dropping the future is safe too: what was
    /// intended is recorded.
    ///
    /// # Errors
    /// The last pass's, as above.
    pub async fn run(
        &mut self,
        mode: Mode,
        stop: &CancellationToken,
        watcher: &mut dyn Watcher,
    ) -> Result<RunEnd, ControllerError> {
        let end = self.passes(mode, stop, watcher).await;
        // Whoever asks for a pass after that wants one.
        self.stop = CancellationToken::new();
        self.release().await;
        end
    }

    async fn passes(
        &mut self,
        mode: Mode,
        stop: &CancellationToken,
        watcher: &mut dyn Watcher,
    ) -> Result<RunEnd, ControllerError> {
        let clock = self.parts().clock.clone();
        let began = clock.monotonic();
        let mut full_pass: Option<Duration> = None;
        let mut failures = 0_u32;
        let mut idle = 0_u32;
        let mut asked = false;
        let mut again: Option<Timestamp> = None;
        let mut telling = Telling::new(self.settings().target.clone());
        let trigger = self.trigger();
        self.stop = stop.clone();
        while !stop.is_cancelled() {
            // Without an interval only the first pass is full, and those that are asked for.
            let elapsed = |last: Duration| {
                self.settings().resync.is_some_and(|resync| clock.monotonic().saturating_sub(last) >= resync)
            };
            let due = asked || full_pass.is_none_or(elapsed) || again.is_some_and(|again| again <= clock.now());
            let settling = matches!(mode, Mode::UntilSettled { .. });
            let depth = if due || settling { Depth::Full } else { Depth::InFlight };
            let span = telling.span(depth, std::mem::take(&mut asked), self.last_read());
            let pass_began = clock.monotonic();
            let passed = self.pass(depth).instrument(span.clone()).await;
            if matches!(passed, Err(ControllerError::Stopped)) {
                break;
            }
            let took = clock.monotonic().saturating_sub(pass_began);
            let stands_by = matches!(passed, Err(ControllerError::NotHolder { .. }));
            let end = PassEnd { outcome: passed.as_ref(), took, now: clock.now() };
            span.in_scope(|| telling.ended(&end));
            watcher.ended(&end);
            match passed {
                Ok(report) => {
                    failures = 0;
                    if report.plan.is_some() {
                        full_pass = Some(clock.monotonic());
                        again = report.again;
                    }
                    watcher.passed(&report, clock.now());
                    if let Mode::UntilSettled { timeout } = mode {
                        match settling_of(&report) {
                            Settling::Busy => idle = 0,
                            Settling::Deferred(problems) => {
                                idle = 0;
                                if clock.monotonic().saturating_sub(began) >= timeout {
                                    return Ok(RunEnd::Settled { problems });
                                }
                            }
                            Settling::Idle(problems) => {
                                idle += 1;
                                if idle >= 2 {
                                    return Ok(RunEnd::Settled { problems });
                                }
                            }
                        }
                    }
                }
                Err(error @ (ControllerError::NoPolicies | ControllerError::Policies { .. })) if settling => {
                    return Err(error);
                }
                Err(error) if error.is_conflict() => {}
                Err(error @ ControllerError::NotHolder { .. }) => {
                    let waited = clock.monotonic().saturating_sub(began);
                    if matches!(mode, Mode::UntilSettled { timeout } if waited >= timeout) {
                        return Err(error);
                    }
                }
                Err(error) => {
                    failures += 1;
                    if settling && failures >= 3 {
                        return Err(error);
                    }
                }
            }
            let pause = self.pause(failures);
            let pause = if stands_by { pause.min(STANDING_BY) } else { pause };
            tokio::select! {
                // In this order, so that a run in virtual time is the same each time.
                biased;
                () = stop.cancelled() => {}
                () = trigger.0.notified() => asked = true,
                () = self.wait(pause) => {}
            }
        }
        Ok(RunEnd::Stopped)
    }

    /// How long to wait for the next pass: short of a third of the lease, so that it is renewed in time.
    fn pause(&self, failures: u32) -> Duration {
        let settings = self.settings();
        let poll = settings.poll.min(settings.lease / 3);
        // A failing pass backs off up to the resync interval, but keeps the lease where it can.
        let backed_off = poll.saturating_mul(1 << failures.min(4));
        backed_off.min(settings.lease / 3).max(poll)
    }
}

/// What is left to do after a full pass, and what is wrong where nothing is.
fn settling_of(report: &PassReport) -> Settling {
    let Some(plan) = &report.plan else { return Settling::Busy };
    if report.commands > 0 || report.created > 0 || report.clearing > 0 || report.campaigns.iter().any(moves_by_itself)
    {
        return Settling::Busy;
    }
    let mut problems: Vec<String> = plan.gaps.clone();
    let mut deferred = report.campaigns.iter().any(passes_by_itself);
    let mut alike: BTreeMap<(&'static str, String), Vec<&str>> = BTreeMap::new();
    for planned in plan.resources() {
        let what = match planned.outcome {
            PlanOutcome::Compliant | PlanOutcome::Waived | PlanOutcome::Audit => continue,
            PlanOutcome::Deferred => {
                // Older tasks are replaced when their team deploys.
                let stays = |reason: &Reason| matches!(reason.code, ReasonCode::Frozen | ReasonCode::OlderTasks);
                deferred |= !planned.reason.as_ref().is_some_and(stays);
                "deferred"
            }
            PlanOutcome::Change => "waiting",
            PlanOutcome::Blocked => "blocked",
            PlanOutcome::Unknown => "unknown",
        };
        let why = planned.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        alike.entry((what, why)).or_default().push(short(&planned.resource));
    }
    problems.extend(alike.into_iter().map(|((what, why), names)| format!("{what}{why}: {}", names.join(", "))));
    let ended = report.all().flat_map(|campaign| &campaign.changes);
    let unverified =
        ended.filter(|change| matches!(change.value.state, State::Unverified { .. })).map(|change| &change.value);
    problems.extend(unverified.map(|change| format!("unverified: {}", change.spec.resource.short())));
    if deferred { Settling::Deferred(problems) } else { Settling::Idle(problems) }
}

/// `CLUSTER/NAME` of a service's ARN, the name of a cluster's.
fn short(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).and_then(|resource| resource.split_once('/')).map_or(arn, |(_, name)| name)
}

/// Whether a campaign waits for a window, for tomorrow's budget, or for alarms to be quiet.
fn passes_by_itself(campaign: &Campaign) -> bool {
    let rollout = &campaign.rollout.value;
    let of_time = |reason: &Reason| matches!(reason.code, ReasonCode::OutsideWindow | ReasonCode::MaxChangesPerDay);
    let waiting = rollout.waiting.as_ref();
    waiting.is_some_and(of_time) || waiting.is_some() && waiting == rollout.alarms.standing.holds()
}

/// Whether a campaign goes on without anybody's help.
fn moves_by_itself(campaign: &Campaign) -> bool {
    let rollout = &campaign.rollout.value;
    let moving = campaign
        .changes
        .iter()
        .any(|change| !change.value.state.phase().is_final() && change.value.state != State::Pending);
    let frozen = |reason: &Reason| reason.code == ReasonCode::Frozen;
    let stuck = passes_by_itself(campaign)
        || rollout
            .waiting
            .as_ref()
            .is_some_and(|reason| matches!(reason.code, ReasonCode::Frozen | ReasonCode::ApprovalRequired))
        || campaign
            .changes
            .iter()
            .filter(|change| !change.value.state.phase().is_final())
            .all(|change| change.value.waiting.as_ref().is_some_and(frozen));
    match rollout.state {
        RolloutState::Proposed { .. } => false,
        RolloutState::Paused { .. } => moving,
        RolloutState::Scheduled | RolloutState::Progressing { .. } => moving || !stuck,
        RolloutState::Baking { .. } | RolloutState::RollingBack { .. } => true,
        RolloutState::RolledBack { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Unverified { .. }
        | RolloutState::Failed { .. }
        | RolloutState::Aborted { .. }
        | RolloutState::Superseded { .. } => moving,
    }
}
