//! One change, step by step, until it stands.
//!
//! `step` is total: every state and everything that can be seen of it has an answer. It says the state to record and
//! the call to make; the state is recorded first, so that a crash in between is a call that was intended and maybe not
//! made, never the other way round.

use std::time::Duration;

use serde_json::{Map, Value};

use super::adoption::{begun, begun_on_theirs, replaced, replaced_the_same, untold, wrote_over};
use super::back;
use super::landing::{Expected, Facts, Landing, begun_since, judge, record_lags, rolled_back, started_by_us};
use super::late;
use super::new_tasks;
use super::record::{Change, Registration, RegistrationState};
use super::setting::{self, Standing};
use super::state::{Back, Progress, State};
use super::turn::{begin, not_as_planned};
use crate::model::ChangeKind;
use crate::model::observed::Service;
use crate::model::spec::HealthSpec;
use crate::model::{Observed, Reason, ReasonCode, ServiceDeploymentArn, TaskDefinitionArn, Timestamp, counted};

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
    /// The deployment by which a later change of ours went back to what this one made.
    pub returned: Option<&'a str>,
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
    /// Send back these members of a setting, which start no deployment.
    UnsetRest(Map<String, Value>),
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
    unseen(change, next(change, input), input.health, input.now)
}

/// What cannot be told is waited for as long as what makes no progress. Then what has not begun is left out, and another may
/// take its place; on the way back the change could not be proved to be back; on the way forward nothing is known to be
/// wrong, so it keeps its place and its rollout pauses.
#[must_use]
pub fn unseen(change: &Change, step: Step, health: &HealthSpec, now: Timestamp) -> Step {
    let open = step.action.is_none() && !step.state.phase().is_final();
    let Some(reason) = step.reason.as_ref().filter(|reason| open && reason.code == ReasonCode::NotObserved) else {
        return step;
    };
    let timeout = health.progress_timeout;
    let since = change.waiting.as_ref().filter(|waiting| waiting.code == ReasonCode::NotObserved);
    let until = since.and_then(|waiting| waiting.until).unwrap_or(now + timeout.0);
    let waits = Step { reason: Some(reason.clone().until(until)), ..step.clone() };
    if until > now {
        return waits;
    }
    let message = format!("for {timeout} it could not be told: {}", reason.message);
    let reason = Reason::of(ReasonCode::NotObserved, message);
    let state = match &step.state {
        State::Pending | State::Registering { .. } => State::Deferred { reason: reason.clone(), at: now },
        State::RollingBack { cause, .. } => State::Failed { cause: cause.clone(), reason: reason.clone(), at: now },
        State::Clobbering { reason, .. } => State::Clobbered { reason: reason.clone(), at: now },
        _ => return waits,
    };
    Step::to(state, Some(reason))
}

fn next(change: &Change, input: &Input<'_>) -> Step {
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
        State::Clobbering { reason, to, deployment, intent, progress } => {
            let (to, steady_since) = (to.as_ref(), None);
            over_somebody(
                change,
                input,
                reason,
                &Moving { to, deployment, intent: *intent, progress: *progress, steady_since },
            )
        }
        State::RollingBack { cause, deployment, intent, back } => {
            let taking = back::Taking { cause, deployment: deployment.as_deref(), intent: *intent, back };
            back::step(change, &taking, input)
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
pub(super) fn service<'a>(change: &Change, input: &Input<'a>) -> Result<&'a Service, Box<Step>> {
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

/// There is no such service any more: nothing that holds it up will end, and nothing is to be waited for.
pub(super) fn gone(change: &Change, input: &Input<'_>) -> Option<Step> {
    change.spec.resource.service()?;
    service(change, input).err().map(|step| *step).filter(|step| matches!(step.state, State::Gone { .. }))
}

/// Its revision is being made; when it is there, the service is told.
fn registering(change: &Change, input: &Input<'_>) -> Step {
    if let Some(step) = gone(change, input) {
        return step;
    }
    // What came of an earlier attempt is no answer to this one: a person has asked to try again since.
    let of_this = |known: &&Registration| known.rollout == change.spec.rollout;
    let arn = match input.registration.map(|known| (&known.state, Some(known).filter(of_this).is_some())) {
        // Somebody registered in between, and nothing is wrong with ours: it makes way, and the next plan begins anew.
        Some((RegistrationState::Quarantined { reason, .. }, true)) if reason.code == ReasonCode::FamilyMoved => {
            return Step::to(State::Deferred { reason: reason.clone(), at: input.now }, Some(reason.clone()));
        }
        Some((RegistrationState::Quarantined { reason, .. }, true)) => {
            let state = State::Quarantined { reason: reason.clone(), at: input.now };
            return Step::to(state, Some(reason.clone()));
        }
        Some((RegistrationState::Refused { reason }, true)) => {
            return Step::to(State::Blocked { reason: reason.clone(), at: input.now }, Some(reason.clone()));
        }
        Some((RegistrationState::Registered { arn }, _)) => Some(arn),
        None
        | Some((
            RegistrationState::Intended { .. }
            | RegistrationState::Deregistered { .. }
            | RegistrationState::Quarantined { .. }
            | RegistrationState::Refused { .. },
            _,
        )) => None,
    };
    // Registering is a write too: everything that names the family without a revision gets the new one at once.
    if let Some(reason) = input.forward {
        return Step::to(change.state.clone(), Some(reason.clone()));
    }
    let Some(arn) = arn else { return Step::act(change.state.clone(), Action::Register) };
    let service = match service(change, input) {
        Ok(service) => service,
        Err(step) => return *step,
    };
    if let Some(step) = not_as_planned(change, service, input) {
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
    let timeout = input.health.progress_timeout;
    let wait = |reason| Step::to(change.state.clone(), Some(reason));
    let patient = intent + timeout.0 > input.facts.asked_at();
    let unknown = || Reason::of(ReasonCode::OutcomeUnknown, "whether ECS made the last call is not known yet");
    let repeat = |action| {
        if action == Action::Set
            && let Some(step) = already_sent(change, input)
        {
            return step;
        }
        if !input.facts.tell_of(intent) {
            return wait(unknown().until(intent + READ_LAG));
        }
        if let Some(reason) = input.forward {
            return wait(reason.clone());
        }
        if change.told_in_vain(timeout.0) {
            let message = format!("ECS was told {} times, and nothing came of it", change.told);
            return fail(None, intent, Reason::of(ReasonCode::ProgressTimeout, message));
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
    let (moves_to, action) = match (change.spec.kind, to) {
        (ChangeKind::Revision, Some(to)) => (Some(to), Action::MoveTo(to.clone())),
        (ChangeKind::DeployingSetting, _) => (None, Action::Set),
        // Starts no deployment: nothing shows it but the reply, and that was lost.
        (ChangeKind::Revision | ChangeKind::QuietSetting | ChangeKind::ClusterSetting, _) => {
            return repeat(Action::Set);
        }
    };
    let ours = begun(change, service, input.facts, to, before, intent);
    // What the service shows of it is gone when the records can be read, or list it.
    let shown = ours.and_then(|ours| {
        let reason = replaced(change, service, &input.facts.without_records(), ours, before)?;
        Some(Step::to(clobbering(moves_to, &ours.id, intent, &reason, now), Some(reason)))
    });
    if let Some(step) = shown {
        return step;
    }
    // Whether ours began, over whom, and whether ECS went back from it, is in its records. Not waited for longer than for
    // progress: a deployment that nobody takes for ours is not looked after.
    if let Some(reason) = input.facts.records_unread().filter(|_| patient) {
        return wait(reason);
    }
    if let Some(ours) = ours {
        if let Some(reason) = record_lags(input.facts, ours) {
            return wait(reason);
        }
        if let Some(reason) = replaced(change, service, input.facts, ours, before) {
            return Step::to(clobbering(moves_to, &ours.id, intent, &reason, now), Some(reason));
        }
        return Step::to(stabilizing(moves_to.cloned(), &ours.id, intent, now), None);
    }
    let Some(primary) = service.primary() else { return wait(unknown()) };
    if let Some(ours) = begun_on_theirs(change, service, input.facts, to, before, intent) {
        let shown = replaced_the_same(service, &input.facts.without_records(), ours);
        if let Some(reason) = record_lags(input.facts, ours).filter(|_| shown.is_none()) {
            return wait(reason);
        }
        if let Some(reason) = shown.or_else(|| replaced_the_same(service, input.facts, ours)) {
            return Step::to(clobbering(None, &ours.id, intent, &reason, now), Some(reason));
        }
    }
    // It may have been made, and taken back by ECS, before anybody looked.
    let record =
        started_by_us(input.facts, moves_to, intent).filter(|record| moves_to.is_some() || record.created_at >= intent);
    if let Some(reason) = record.and_then(|record| rolled_back(record, input.facts)) {
        return fail(None, intent, reason);
    }
    if Some(primary.id.as_str()) != before {
        let found = primary.task_definition.short();
        let message = format!("somebody deployed `{found}` (deployment `{}`) while ours was being started", primary.id);
        let reason = Reason::of(ReasonCode::Overtaken, message);
        return Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason));
    }
    // Nothing is known to have failed: its rollout pauses (`unseen`).
    if let Some(unread) = input.facts.records_unread() {
        return wait(unread);
    }
    match record {
        // Somebody has deployed meanwhile, and the service does not show it yet.
        None => begun_since(input.facts).map_or_else(|| repeat(action), wait),
        // ECS has a record of the call: the service does not show it yet.
        Some(_) if patient => wait(unknown()),
        Some(_) => {
            let message = format!("ECS has a record of the deployment, and no sign of it for {timeout}");
            fail(None, intent, Reason::of(ReasonCode::ProgressTimeout, message))
        }
    }
}

/// A setting may have been sent. What is there now tells that it need not, or must not, be sent again.
fn already_sent(change: &Change, input: &Input<'_>) -> Option<Step> {
    let now = input.now;
    match setting::document(change, input.facts).map(|document| setting::standing(change, document)) {
        Ok(Standing::Before) => None,
        // One that deploys is proved by its deployment, which nobody has seen.
        Ok(Standing::Made) if change.spec.kind == ChangeKind::DeployingSetting => None,
        Ok(Standing::Made) => {
            let state = new_tasks::made(change, &input.facts.tasks, now);
            let reason = state.why();
            Some(Step::to(state, reason))
        }
        Ok(Standing::Theirs(member)) => {
            let message = format!("somebody changed `{member}` while ours was being sent");
            let reason = Reason::of(ReasonCode::Overtaken, message);
            Some(Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason)))
        }
        Err(Some(reason)) => Some(Step::to(change.state.clone(), Some(reason))),
        Err(None) => Some(Step::to(State::Gone { at: now }, None)),
    }
}

/// A move that ECS has begun.
#[must_use]
pub fn stabilizing(to: Option<TaskDefinitionArn>, deployment: &str, intent: Timestamp, now: Timestamp) -> State {
    State::Stabilizing { to, deployment: deployment.to_owned(), intent, progress: Progress::start(now) }
}

/// A move that ECS has begun, and that replaces somebody's.
#[must_use]
pub fn clobbering(
    to: Option<&TaskDefinitionArn>,
    deployment: &str,
    intent: Timestamp,
    reason: &Reason,
    now: Timestamp,
) -> State {
    let (to, deployment, progress) = (to.cloned(), deployment.to_owned(), Progress::start(now));
    State::Clobbering { reason: reason.clone(), to, deployment, intent, progress }
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
    /// Time in which all tasks were ours was no time without progress.
    fn progress_until(&self, now: Timestamp) -> Progress {
        let steady = self.steady_since.map_or(Duration::ZERO, |since| now.since(since));
        Progress { at: self.progress.at + steady, ..self.progress }
    }

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
    if let Some(reason) = wrote_over(change, input.facts, moving.deployment) {
        return Step::to(clobbering(moving.to, moving.deployment, moving.intent, &reason, now), Some(reason));
    }
    match judge(input.facts, &expected) {
        Landing::Landed { moved } => {
            let progress = moving.progress.seen(moved, 0, now);
            let since = moving.steady_since.unwrap_or(now);
            let until = since + input.health.steady_for.0;
            let steady = until <= input.facts.asked_at();
            if let Some(reason) = untold(input.facts, moving.deployment).filter(|_| steady) {
                return Step::to(moving.verifying(progress, since), Some(reason));
            }
            if steady {
                let done = State::Succeeded { at: now, deployment: Some(moving.deployment.to_owned()) };
                let changed = setting::changed_since(change, input.facts, now);
                return changed.map_or_else(|| Step::to(done, None), |(state, reason)| Step::to(state, reason));
            }
            let message =
                format!("{}, all on the new side; watched for {}", counted(moved, "task"), input.health.steady_for);
            Step::to(moving.verifying(progress, since), Some(Reason::of(ReasonCode::Steadying, message).until(until)))
        }
        Landing::NothingRuns(reason) => {
            // What ours replaced is asked of ECS's record, and nobody looks again before a task is wanted.
            if let Some(lags) = untold(input.facts, moving.deployment) {
                return Step::to(change.state.clone(), Some(lags));
            }
            let deployment = Some(moving.deployment.to_owned());
            Step::to(State::Unverified { at: now, deployment, reason: reason.clone() }, Some(reason))
        }
        Landing::Underway { reason, moved, left, native } => {
            let progress = moving.progress_until(now).seen(moved, left, now);
            let progress = if native { Progress { at: now, ..progress } } else { progress };
            let deadline = progress.at + timeout;
            if deadline <= input.facts.asked_at() {
                let message = format!("no progress for {}: {}", input.health.progress_timeout, reason.message);
                let cause = Reason::of(ReasonCode::ProgressTimeout, message);
                return fail(Some(moving.deployment), moving.intent, cause);
            }
            // What ECS waits for by itself ends when it does, not at our deadline.
            let reason = if native { reason } else { reason.until(deadline) };
            Step::to(moving.stabilizing(progress), Some(reason))
        }
        Landing::Failed(reason) => fail(Some(moving.deployment), moving.intent, reason),
        Landing::Overtaken(reason) => match late::over_somebody(change, input.facts) {
            Some(Err(lags)) => Step::to(change.state.clone(), Some(lags)),
            Some(Ok((late, reason))) => {
                Step::to(clobbering(moving.to, &late.id, late.created_at, &reason, now), Some(reason))
            }
            None => Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason)),
        },
        Landing::Gone => Step::to(State::Gone { at: now }, None),
        Landing::Unknown(reason) => Step::to(change.state.clone(), Some(reason)),
    }
}

/// Ours goes over somebody's, and a person has to say which it shall be. It takes its place until ECS is done with it, or
/// makes no progress any more.
fn over_somebody(change: &Change, input: &Input<'_>, reason: &Reason, moving: &Moving<'_>) -> Step {
    let now = input.now;
    let expected = Expected {
        created_at: change.spec.created_at,
        to: moving.to,
        from: change.spec.from.as_ref(),
        deployment: moving.deployment,
        intent: moving.intent,
    };
    let over = || Step::to(State::Clobbered { reason: reason.clone(), at: now }, Some(reason.clone()));
    match judge(input.facts, &expected) {
        Landing::Underway { moved, left, native, .. } => {
            let progress = moving.progress.seen(moved, left, now);
            let progress = if native { Progress { at: now, ..progress } } else { progress };
            if progress.at + input.health.progress_timeout.0 <= input.facts.asked_at() {
                return over();
            }
            let (to, deployment, intent) = (moving.to.cloned(), moving.deployment.to_owned(), moving.intent);
            Step::to(
                State::Clobbering { reason: reason.clone(), to, deployment, intent, progress },
                Some(reason.clone()),
            )
        }
        Landing::Landed { .. } | Landing::NothingRuns(_) | Landing::Failed(_) | Landing::Overtaken(_) => over(),
        Landing::Gone => Step::to(State::Gone { at: now }, None),
        Landing::Unknown(why) => Step::to(change.state.clone(), Some(why)),
    }
}

/// It went wrong: take it back. `deployment` is none where no reply said which is ours.
#[must_use]
pub fn fail(deployment: Option<&str>, intent: Timestamp, cause: Reason) -> Step {
    let deployment = deployment.map(ToOwned::to_owned);
    let state = State::RollingBack { cause: cause.clone(), deployment, intent, back: Back::Deciding };
    Step::to(state, Some(cause))
}

#[cfg(test)]
mod tests;
