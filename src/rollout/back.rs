//! Taking a change back: only while the service's primary deployment is ours, never during another rollback.

use super::change::{Action, Input, READ_LAG, Step};
use super::landing::{Expected, Landing, ServiceDeployments, judge, started_by_us};
use super::record::Change;
use super::state::{Back, Progress, State};
use crate::model::ChangeKind;
use crate::model::observed::Service;
use crate::model::{Observed, Reason, ReasonCode, ServiceDeploymentArn, TaskDefinitionArn, Timestamp};

/// A change that is being taken back.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    /// Why.
    pub cause: &'a Reason,
    /// Our deployment.
    pub deployment: &'a str,
    /// When it was intended.
    pub intent: Timestamp,
    /// How far.
    pub back: &'a Back,
}

impl Taking<'_> {
    fn at(&self, back: Back) -> State {
        let (cause, deployment) = (self.cause.clone(), self.deployment.to_owned());
        State::RollingBack { cause, deployment, intent: self.intent, back }
    }

    fn wait(&self, reason: Reason) -> Step {
        Step::to(self.at(self.back.clone()), Some(reason))
    }

    fn done(&self, now: Timestamp) -> Step {
        Step::to(State::RolledBack { cause: self.cause.clone(), at: now }, Some(self.cause.clone()))
    }

    fn moved_on(&self, message: String, now: Timestamp) -> Step {
        let reason = Reason::of(ReasonCode::MovedOn, message);
        Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason))
    }
}

/// What to do next.
#[must_use]
pub fn step(change: &Change, taking: &Taking<'_>, input: &Input<'_>) -> Step {
    let now = input.now;
    match change.spec.kind {
        ChangeKind::ClusterSetting => return unset_quietly(taking, input),
        ChangeKind::Revision | ChangeKind::DeployingSetting | ChangeKind::QuietSetting => {}
    }
    let service = match &input.facts.service {
        Observed::Known { value, .. } if value.created_at == change.spec.created_at && value.status == "ACTIVE" => {
            value
        }
        Observed::Known { .. } | Observed::Absent { .. } => return Step::to(State::Gone { at: now }, None),
        Observed::Unknown { why, .. } => {
            return taking.wait(Reason::of(ReasonCode::NotObserved, format!("the service could not be read: {why}")));
        }
    };
    if change.spec.kind == ChangeKind::QuietSetting {
        return unset_quietly(taking, input);
    }
    let target = input.previous.or(change.spec.from.as_ref());
    match taking.back {
        Back::Deciding => decide(change, taking, input, service, target),
        Back::Stopping { arn, intent } => stopping(taking, input, service, arn, *intent, target),
        Back::Updating { to, before, intent } => updating(change, taking, input, service, to.as_ref(), before, *intent),
        Back::Watching { to, progress } => watching(change, taking, input, to.as_ref(), *progress),
    }
}

/// A setting that starts no deployment: sent back once; the controller reads it back and ends the change.
fn unset_quietly(taking: &Taking<'_>, input: &Input<'_>) -> Step {
    if let Some(reason) = input.backward {
        return taking.wait(reason.clone());
    }
    match taking.back {
        Back::Updating { intent, .. } if *intent + READ_LAG > input.now => {
            taking.wait(Reason::of(ReasonCode::OutcomeUnknown, "whether ECS made the last call is not known yet"))
        }
        _ => {
            let back = Back::Updating { to: None, before: String::new(), intent: input.now };
            Step::act(taking.at(back), Action::Unset)
        }
    }
}

fn decide(
    change: &Change,
    taking: &Taking<'_>,
    input: &Input<'_>,
    service: &Service,
    target: Option<&TaskDefinitionArn>,
) -> Step {
    let now = input.now;
    let Some(primary) = service.primary() else {
        return taking.wait(Reason::of(ReasonCode::NotObserved, "the service shows no primary deployment"));
    };
    let is_revision = change.spec.kind == ChangeKind::Revision;
    if primary.id != taking.deployment {
        if is_revision && Some(&primary.task_definition) == target {
            // ECS itself went back, or somebody did.
            return watch(taking, target, now);
        }
        let found = primary.task_definition.short();
        return taking.moved_on(
            format!("somebody deployed `{found}` (deployment `{}`) since; it is left alone", primary.id),
            now,
        );
    }
    if let Some(reason) = input.backward {
        return taking.wait(reason.clone());
    }
    // StopServiceDeployment brings back the old service revision, its image digests included.
    let expected = expected(change, taking);
    if let Some(ours) = started_by_us(input.facts, &expected) {
        match ours.status.as_str() {
            "PENDING" | "IN_PROGRESS" => {
                let back = Back::Stopping { arn: ours.arn.clone(), intent: now };
                return Step::act(taking.at(back), Action::Stop(ours.arn.clone()));
            }
            // Never a deployment during a rollback: it would stall.
            "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "STOP_REQUESTED" => return watch(taking, target, now),
            _ => {}
        }
    }
    update_back(change, taking, input, service, target)
}

/// Points the service at the previous revision, or sends the setting back.
fn update_back(
    change: &Change,
    taking: &Taking<'_>,
    input: &Input<'_>,
    service: &Service,
    target: Option<&TaskDefinitionArn>,
) -> Step {
    let before = service.primary().map(|primary| primary.id.clone()).unwrap_or_default();
    if change.spec.kind == ChangeKind::DeployingSetting {
        let back = Back::Updating { to: None, before, intent: input.now };
        return Step::act(taking.at(back), Action::Unset);
    }
    match (target, input.previous) {
        (Some(to), Some(_)) => {
            let back = Back::Updating { to: Some(to.clone()), before, intent: input.now };
            Step::act(taking.at(back), Action::MoveTo(to.clone()))
        }
        // Not yet known to be ACTIVE: "you can't update an existing service to reference an INACTIVE task definition".
        _ => Step::act(taking.at(Back::Deciding), Action::RestorePrevious),
    }
}

fn stopping(
    taking: &Taking<'_>,
    input: &Input<'_>,
    service: &Service,
    arn: &ServiceDeploymentArn,
    intent: Timestamp,
    target: Option<&TaskDefinitionArn>,
) -> Step {
    let status = match &input.facts.deployments {
        ServiceDeployments::Known(list) => {
            list.iter().find(|known| &known.deployment.arn == arn).map(|known| known.deployment.status.as_str())
        }
        ServiceDeployments::Unavailable { .. } => None,
    };
    let gone_back = service.primary().is_some_and(|primary| Some(&primary.task_definition) == target);
    match status {
        Some("STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "ROLLBACK_SUCCESSFUL") => {
            watch(taking, target, input.now)
        }
        _ if gone_back => watch(taking, target, input.now),
        _ if intent + READ_LAG > input.now => {
            let reason = Reason::of(ReasonCode::OutcomeUnknown, "ECS was asked to stop the deployment");
            taking.wait(reason.until(intent + READ_LAG))
        }
        // It ended before it could be stopped, stopped without going back, or the call never arrived: look again.
        _ => Step::to(taking.at(Back::Deciding), None),
    }
}

fn updating(
    change: &Change,
    taking: &Taking<'_>,
    input: &Input<'_>,
    service: &Service,
    to: Option<&TaskDefinitionArn>,
    before: &str,
    intent: Timestamp,
) -> Step {
    let now = input.now;
    let Some(primary) = service.primary() else {
        return taking.wait(Reason::of(ReasonCode::NotObserved, "the service shows no primary deployment"));
    };
    let made_since = primary.id != before;
    let arrived = match change.spec.kind {
        ChangeKind::Revision => Some(&primary.task_definition) == to,
        ChangeKind::DeployingSetting | ChangeKind::QuietSetting | ChangeKind::ClusterSetting => made_since,
    };
    if arrived {
        return watch(taking, to, now);
    }
    if made_since {
        let found = primary.task_definition.short();
        return taking.moved_on(
            format!("somebody deployed `{found}` (deployment `{}`) since; it is left alone", primary.id),
            now,
        );
    }
    if intent + READ_LAG > now {
        let reason = Reason::of(ReasonCode::OutcomeUnknown, "whether ECS made the last call is not known yet");
        return taking.wait(reason.until(intent + READ_LAG));
    }
    Step::to(taking.at(Back::Deciding), None)
}

fn watch(taking: &Taking<'_>, to: Option<&TaskDefinitionArn>, now: Timestamp) -> Step {
    Step::to(taking.at(Back::Watching { to: to.cloned(), progress: Progress::start(now) }), None)
}

/// The move that brings the service back, as `judge` looks for it: by whatever deployment is the primary one now.
fn watching(
    change: &Change,
    taking: &Taking<'_>,
    input: &Input<'_>,
    to: Option<&TaskDefinitionArn>,
    progress: Progress,
) -> Step {
    let now = input.now;
    let primary = input.facts.service.known().and_then(Service::primary);
    let Some(primary) = primary else {
        return taking.wait(Reason::of(ReasonCode::NotObserved, "the service shows no primary deployment"));
    };
    let underway = |reason: Reason, moved, left| {
        let progress = progress.seen(moved, left, now);
        let deadline = progress.at + input.health.progress_timeout.0;
        if deadline <= now {
            let message =
                format!("taken back, but without progress for {}: {}", input.health.progress_timeout, reason.message);
            let reason = Reason::of(ReasonCode::ProgressTimeout, message);
            let cause = taking.cause.clone();
            return Step::to(State::Failed { cause, reason: reason.clone(), at: now }, Some(reason));
        }
        Step::to(taking.at(Back::Watching { to: to.cloned(), progress }), Some(reason.until(deadline)))
    };
    let is_back = change.spec.kind == ChangeKind::Revision && Some(&primary.task_definition) == to;
    if primary.id == taking.deployment && !is_back {
        // ECS has been asked and is still at it.
        return underway(Reason::of(ReasonCode::RollbackInProgress, "ECS is going back"), 0, usize::MAX);
    }
    if change.spec.kind == ChangeKind::Revision && !is_back {
        let found = primary.task_definition.short();
        return taking.moved_on(
            format!("somebody deployed `{found}` (deployment `{}`) since; it is left alone", primary.id),
            now,
        );
    }
    // The going back is ECS's or ours; what counts is where the tasks are. Service deployments are not asked: ours says
    // "rolled back", which here is what is wanted.
    let facts = super::landing::Facts {
        deployments: ServiceDeployments::Unavailable { why: String::new() },
        ..input.facts.clone()
    };
    let expected =
        Expected { created_at: change.spec.created_at, to, from: None, deployment: &primary.id, intent: taking.intent };
    match judge(&facts, &expected) {
        Landing::Landed { .. } | Landing::NothingRuns(_) => taking.done(now),
        Landing::Underway { reason, moved, left, .. } => underway(reason, moved, left),
        Landing::Failed(reason) => {
            let cause = taking.cause.clone();
            Step::to(State::Failed { cause, reason: reason.clone(), at: now }, Some(reason))
        }
        Landing::Overtaken(reason) => taking.moved_on(reason.message, now),
        Landing::Gone => Step::to(State::Gone { at: now }, None),
        Landing::Unknown(reason) => taking.wait(reason),
    }
}

fn expected<'a>(change: &'a Change, taking: &Taking<'a>) -> Expected<'a> {
    Expected {
        created_at: change.spec.created_at,
        to: if change.spec.kind == ChangeKind::Revision { change.spec.to.as_ref() } else { None },
        from: change.spec.from.as_ref(),
        deployment: taking.deployment,
        intent: taking.intent,
    }
}
