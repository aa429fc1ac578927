//! One change, step by step, until it stands.
//!
//! `step` is total: every state and everything that can be seen of it has an answer. It says the state to record and
//! the call to make; the state is recorded first, so that a crash in between is a call that was intended and maybe not
//! made, never the other way round.

use std::time::Duration;

use super::back;
use super::landing::{Expected, Facts, Landing, judge};
use super::record::{Change, Registration, RegistrationState};
use super::state::{Back, Phase, Progress, State};
use crate::model::ChangeKind;
use crate::model::observed::Service;
use crate::model::spec::HealthSpec;
use crate::model::{Observed, Reason, ReasonCode, ServiceDeploymentArn, TaskDefinitionArn, Timestamp};
use crate::plan::eligibility::{Ineligible, Touch, eligible};

/// How long ECS's reads may lag its writes. An intent without a visible effect is repeated only after this long.
///
/// Longer is safer and slows recovery from a lost call by as much; nothing else waits for it.
pub const READ_LAG: Duration = Duration::from_secs(20);

/// What a step is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What was just read.
    pub facts: &'a Facts,
    /// For a revision: how its registration stands.
    pub registration: Option<&'a Registration>,
    /// Why nothing may be written forward now.
    pub forward: Option<&'a Reason>,
    /// Why nothing may be taken back now.
    pub backward: Option<&'a Reason>,
    /// When a change counts as landed.
    pub health: &'a HealthSpec,
    /// The revision to go back to, where that is not the one it came from.
    pub previous: Option<&'a TaskDefinitionArn>,
    /// The clock.
    pub now: Timestamp,
}

/// A call to make, after the state has been recorded.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make the wanted revision, or find out what became of making it.
    Register,
    /// Point the service at this revision.
    MoveTo(TaskDefinitionArn),
    /// Send the setting's forward members.
    Set,
    /// Stop our deployment and go back.
    Stop(ServiceDeploymentArn),
    /// Make sure there is an ACTIVE revision to go back to.
    RestorePrevious,
    /// Send the setting's members that take it back.
    Unset,
}

/// What a step decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The state to record.
    pub state: State,
    /// Then, the call to make.
    pub action: Option<Action>,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
}

impl Step {
    /// Moves on, without a call.
    #[must_use]
    pub const fn to(state: State, reason: Option<Reason>) -> Self {
        Self { state, action: None, reason }
    }

    /// Moves on, and makes a call.
    #[must_use]
    pub const fn act(state: State, action: Action) -> Self {
        Self { state, action: Some(action), reason: None }
    }
}

/// What to do next about a change that has been started.
#[must_use]
pub fn step(change: &Change, input: &Input<'_>) -> Step {
    let wait = |reason| Step::to(change.state.clone(), Some(reason));
    match &change.state {
        State::Pending => begin(change, input),
        State::Registering { .. } => registering(change, input),
        State::Updating { to, before, intent } => updating(change, input, to.as_ref(), before.as_deref(), *intent),
        State::Stabilizing { to, deployment, intent, progress } => moving(
            change,
            input,
            &Moving { to: to.as_ref(), deployment, intent: *intent, progress: *progress, steady_since: None },
        ),
        State::Verifying { to, deployment, intent, progress, steady_since } => {
            let steady_since = Some(*steady_since);
            moving(
                change,
                input,
                &Moving { to: to.as_ref(), deployment, intent: *intent, progress: *progress, steady_since },
            )
        }
        State::RollingBack { cause, deployment, intent, back } => {
            back::step(change, &back::Taking { cause, deployment, intent: *intent, back }, input)
        }
        State::Blocked { reason, .. } | State::Deferred { reason, .. } | State::Quarantined { reason, .. } => {
            wait(reason.clone())
        }
        State::Succeeded { .. }
        | State::Unverified { .. }
        | State::RolledBack { .. }
        | State::Failed { .. }
        | State::Overtaken { .. }
        | State::Clobbered { .. }
        | State::Gone { .. } => Step::to(change.state.clone(), None),
    }
}

/// The service, or the step that there is none to be had.
fn service<'a>(change: &Change, input: &Input<'a>) -> Result<&'a Service, Box<Step>> {
    match &input.facts.service {
        Observed::Known { value, .. } if value.created_at == change.spec.created_at && value.status == "ACTIVE" => {
            Ok(value)
        }
        Observed::Known { .. } | Observed::Absent { .. } => {
            Err(Box::new(Step::to(State::Gone { at: input.now }, None)))
        }
        Observed::Unknown { why, .. } => {
            let reason = Reason::of(ReasonCode::NotObserved, format!("the service could not be read: {why}"));
            Err(Box::new(Step::to(change.state.clone(), Some(reason))))
        }
    }
}

/// Its turn has come: is it still what was planned, and may it be touched?
fn begin(change: &Change, input: &Input<'_>) -> Step {
    if let Some(reason) = input.forward {
        return Step::to(change.state.clone(), Some(reason.clone()));
    }
    if change.spec.kind == ChangeKind::ClusterSetting {
        return Step::act(State::Updating { to: None, before: None, intent: input.now }, Action::Set);
    }
    let service = match service(change, input) {
        Ok(service) => service,
        Err(step) => return *step,
    };
    if let Some(step) = not_as_planned(change, service, input.now) {
        return step;
    }
    match change.spec.kind {
        ChangeKind::Revision => Step::act(State::Registering { since: input.now }, Action::Register),
        ChangeKind::DeployingSetting | ChangeKind::QuietSetting | ChangeKind::ClusterSetting => {
            let before = service.primary().map(|primary| primary.id.clone());
            Step::act(State::Updating { to: service.task_definition.clone(), before, intent: input.now }, Action::Set)
        }
    }
}

/// Somebody moved the service since the plan, or it may not be touched.
fn not_as_planned(change: &Change, service: &Service, now: Timestamp) -> Option<Step> {
    if service.task_definition != change.spec.from {
        let found = service.task_definition.as_ref().map_or("nothing", TaskDefinitionArn::short);
        let planned = change.spec.from.as_ref().map_or("nothing", TaskDefinitionArn::short);
        let message = format!("the service was moved to `{found}` since the plan, which was made for `{planned}`");
        let reason = Reason::of(ReasonCode::Overtaken, message);
        return Some(Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason)));
    }
    let touch = match change.spec.kind {
        ChangeKind::Revision | ChangeKind::DeployingSetting => Touch::Deploys,
        ChangeKind::QuietSetting | ChangeKind::ClusterSetting => Touch::Quiet,
    };
    match eligible(service, touch) {
        Ok(()) => None,
        Err(Ineligible::Blocked(reason)) => {
            Some(Step::to(State::Blocked { reason: reason.clone(), at: now }, Some(reason)))
        }
        Err(Ineligible::Deferred(reason)) => Some(Step::to(change.state.clone(), Some(reason))),
    }
}

/// Its revision is being made; when it is there, the service is told.
fn registering(change: &Change, input: &Input<'_>) -> Step {
    let arn = match input.registration.map(|registration| &registration.state) {
        None | Some(RegistrationState::Intended { .. }) => {
            // Finding out what became of an intended call is allowed while nothing may be written forward; the
            // controller asks again before it writes.
            return Step::act(change.state.clone(), Action::Register);
        }
        Some(RegistrationState::Registered { arn }) => arn,
        Some(RegistrationState::Quarantined { reason, .. }) => {
            let state = State::Quarantined { reason: reason.clone(), at: input.now };
            return Step::to(state, Some(reason.clone()));
        }
        Some(RegistrationState::Refused { reason }) => {
            return Step::to(State::Blocked { reason: reason.clone(), at: input.now }, Some(reason.clone()));
        }
        Some(RegistrationState::Deregistered { arn }) => {
            let message = format!("the revision made for it, `{}`, was taken back", arn.short());
            let reason = Reason::of(ReasonCode::Superseded, message);
            return Step::to(State::Deferred { reason: reason.clone(), at: input.now }, Some(reason));
        }
    };
    if let Some(reason) = input.forward {
        return Step::to(change.state.clone(), Some(reason.clone()));
    }
    let service = match service(change, input) {
        Ok(service) => service,
        Err(step) => return *step,
    };
    // A newer revision that equals what we want was adopted and runs already.
    if service.task_definition.as_ref() != Some(arn)
        && let Some(step) = not_as_planned(change, service, input.now)
    {
        return step;
    }
    let before = service.primary().map(|primary| primary.id.clone());
    Step::act(State::Updating { to: Some(arn.clone()), before, intent: input.now }, Action::MoveTo(arn.clone()))
}

/// ECS was, or may have been, told. Did it happen?
fn updating(
    change: &Change,
    input: &Input<'_>,
    to: Option<&TaskDefinitionArn>,
    before: Option<&str>,
    intent: Timestamp,
) -> Step {
    let now = input.now;
    let unknown = || Reason::of(ReasonCode::OutcomeUnknown, "whether ECS made the last call is not known yet");
    let repeat = |action| {
        if intent + READ_LAG > now {
            return Step::to(change.state.clone(), Some(unknown().until(intent + READ_LAG)));
        }
        if let Some(reason) = input.forward {
            return Step::to(change.state.clone(), Some(reason.clone()));
        }
        let entered = change.history.iter().rev().find(|entry| entry.phase == Phase::Updating);
        let since = entered.map_or(intent, |entry| entry.at);
        let timeout = input.health.progress_timeout;
        // After a stop of ours the first intent may be old: it is given at least one more chance.
        if since < intent && since + timeout.0 <= now {
            let message = format!("ECS takes the call, but shows nothing of it for {timeout}");
            return fail(before.unwrap_or_default(), intent, Reason::of(ReasonCode::ProgressTimeout, message));
        }
        // SAFETY of repeat: nothing came of the call in all that time, and it says the same again: the same revision,
        // or the same value. ECS starts no second deployment for what the service already has.
        Step::act(State::Updating { to: to.cloned(), before: before.map(ToOwned::to_owned), intent: now }, action)
    };
    if change.spec.kind == ChangeKind::ClusterSetting {
        return repeat(Action::Set);
    }
    let service = match service(change, input) {
        Ok(service) => service,
        Err(step) => return *step,
    };
    let Some(primary) = service.primary() else { return Step::to(change.state.clone(), Some(unknown())) };
    let made_since = Some(primary.id.as_str()) != before;
    match (change.spec.kind, to) {
        (ChangeKind::Revision, Some(to)) if &primary.task_definition == to => {
            Step::to(stabilizing(Some(to.clone()), &primary.id, intent, now), None)
        }
        (ChangeKind::Revision, Some(to)) if !made_since => repeat(Action::MoveTo(to.clone())),
        (ChangeKind::DeployingSetting, _) if made_since && primary.created_at + READ_LAG >= intent => {
            Step::to(stabilizing(None, &primary.id, intent, now), None)
        }
        (ChangeKind::DeployingSetting | ChangeKind::QuietSetting, _) if !made_since => repeat(Action::Set),
        _ => {
            let found = primary.task_definition.short();
            let message =
                format!("somebody deployed `{found}` (deployment `{}`) while ours was being started", primary.id);
            let reason = Reason::of(ReasonCode::Overtaken, message);
            Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason))
        }
    }
}

/// A move that ECS has begun.
#[must_use]
pub fn stabilizing(to: Option<TaskDefinitionArn>, deployment: &str, intent: Timestamp, now: Timestamp) -> State {
    State::Stabilizing { to, deployment: deployment.to_owned(), intent, progress: Progress::start(now) }
}

/// A move under way, before or after all its tasks were ours.
struct Moving<'a> {
    to: Option<&'a TaskDefinitionArn>,
    deployment: &'a str,
    intent: Timestamp,
    progress: Progress,
    steady_since: Option<Timestamp>,
}

impl Moving<'_> {
    fn stabilizing(&self, progress: Progress) -> State {
        let deployment = self.deployment.to_owned();
        State::Stabilizing { to: self.to.cloned(), deployment, intent: self.intent, progress }
    }

    fn verifying(&self, progress: Progress, steady_since: Timestamp) -> State {
        let deployment = self.deployment.to_owned();
        State::Verifying { to: self.to.cloned(), deployment, intent: self.intent, progress, steady_since }
    }
}

/// ECS replaces tasks, or has, and they are watched.
fn moving(change: &Change, input: &Input<'_>, moving: &Moving<'_>) -> Step {
    let now = input.now;
    let expected = Expected {
        created_at: change.spec.created_at,
        to: if change.spec.kind == ChangeKind::Revision { moving.to } else { None },
        from: change.spec.from.as_ref(),
        deployment: moving.deployment,
        intent: moving.intent,
    };
    let timeout = input.health.progress_timeout.0;
    match judge(input.facts, &expected) {
        Landing::Landed { moved } => {
            let progress = moving.progress.seen(moved, 0, now);
            let since = moving.steady_since.unwrap_or(now);
            let until = since + input.health.steady_for.0;
            if until <= now {
                return Step::to(State::Succeeded { at: now, deployment: Some(moving.deployment.to_owned()) }, None);
            }
            let message =
                format!("{moved} tasks run, all of them on the new side; watched for {}", input.health.steady_for);
            Step::to(moving.verifying(progress, since), Some(Reason::of(ReasonCode::Steadying, message).until(until)))
        }
        Landing::NothingRuns(reason) => {
            let deployment = Some(moving.deployment.to_owned());
            Step::to(State::Unverified { at: now, deployment, reason: reason.clone() }, Some(reason))
        }
        Landing::Underway { reason, moved, left, native } => {
            let seen = moving.progress.seen(moved, left, now);
            let progress = if native { Progress { at: now, ..seen } } else { seen };
            let deadline = progress.at + timeout;
            if deadline <= now {
                let message = format!("no progress for {}: {}", input.health.progress_timeout, reason.message);
                return fail(moving.deployment, moving.intent, Reason::of(ReasonCode::ProgressTimeout, message));
            }
            Step::to(moving.stabilizing(progress), Some(reason.until(deadline)))
        }
        Landing::Failed(reason) => fail(moving.deployment, moving.intent, reason),
        Landing::Overtaken(reason) => Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason)),
        Landing::Gone => Step::to(State::Gone { at: now }, None),
        Landing::Unknown(reason) => Step::to(change.state.clone(), Some(reason)),
    }
}

/// It went wrong: take it back.
#[must_use]
pub fn fail(deployment: &str, intent: Timestamp, cause: Reason) -> Step {
    let state =
        State::RollingBack { cause: cause.clone(), deployment: deployment.to_owned(), intent, back: Back::Deciding };
    Step::to(state, Some(cause))
}

/// What a baking wave's change looks like now: a reason to take it back, if there is one.
///
/// Only what is ours and primary is judged: a service that somebody deployed since is theirs.
#[must_use]
pub fn relapse(change: &Change, facts: &Facts) -> Option<Reason> {
    let State::Succeeded { deployment: Some(deployment), .. } = &change.state else { return None };
    let service = facts.service.known().filter(|service| service.created_at == change.spec.created_at)?;
    let primary = service.primary().filter(|primary| &primary.id == deployment)?;
    (primary.failed_tasks >= super::landing::FAILED_TASKS_IN_A_ROW).then(|| {
        let message = format!("{} tasks failed in a row while the wave was being watched", primary.failed_tasks);
        Reason::of(ReasonCode::TasksFail, message)
    })
}
