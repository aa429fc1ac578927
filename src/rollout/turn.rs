//! A change whose turn has come: is it still what was planned, and may its resource be touched?
//!
//! Asked before anything is written for it, and once more before its service is told: until then it is nobody's loss to leave
//! it, and the next plan judges it anew.

use super::change::{Action, Input, Step, gone, service};
use super::landing::begun_since;
use super::record::Change;
use super::setting::{self, Standing};
use super::state::State;
use crate::model::observed::Service;
use crate::model::{ChangeKind, Reason, ReasonCode, TaskDefinitionArn, Timestamp};
use crate::plan::eligibility::{Ineligible, Touch, eligible};

/// Its turn has come: is it still what was planned, and may it be touched?
#[must_use]
pub fn begin(change: &Change, input: &Input<'_>) -> Step {
    if let Some(step) = gone(change, input) {
        return step;
    }
    if let Some(reason) = input.forward {
        return Step::to(change.state.clone(), Some(reason.clone()));
    }
    if change.spec.kind == ChangeKind::ClusterSetting {
        let updating = State::Updating { to: None, before: None, intent: input.now };
        return setting_changed(change, input).unwrap_or_else(|| Step::act(updating, Action::Set));
    }
    let service = match service(change, input) {
        Ok(service) => service,
        Err(step) => return *step,
    };
    if let Some(step) = not_as_planned(change, service, input) {
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

/// A setting is not what was planned for any more: what is sent would be wrong, or takes away what somebody set.
fn setting_changed(change: &Change, input: &Input<'_>) -> Option<Step> {
    let message = match setting::document(change, input.facts).map(|document| setting::standing(change, document)) {
        Ok(Standing::Before) => return None,
        // Nothing of it is ours, so nothing of it is ours to take back.
        Ok(Standing::Made) => "somebody set it since the plan, as the plan would have".to_owned(),
        Ok(Standing::Theirs(member)) => format!("somebody changed `{member}` since the plan"),
        Err(Some(reason)) => return Some(Step::to(change.state.clone(), Some(reason))),
        Err(None) => return Some(Step::to(State::Gone { at: input.now }, None)),
    };
    let reason = Reason::of(ReasonCode::Overtaken, message);
    Some(Step::to(State::Overtaken { reason: reason.clone(), at: input.now }, Some(reason)))
}

/// Somebody moved the service since the plan, or it may not be touched.
pub(super) fn not_as_planned(change: &Change, service: &Service, input: &Input<'_>) -> Option<Step> {
    let now = input.now;
    // A setting is sent without a revision: which one the service has, perhaps by a change of ours, is nothing to it.
    if change.spec.kind != ChangeKind::Revision {
        if let Some(step) = setting_changed(change, input) {
            return Some(step);
        }
    } else if service.task_definition != change.spec.from {
        return Some(match (&change.state, eligible(service, Touch::Deploys)) {
            // A plan puts it onto what they deploy once that is over, which may be never.
            (State::Pending, Err(Ineligible::Deferred(reason))) => waits_for_theirs(change, reason, input),
            _ => moved_since(change, service, now),
        });
    }
    let touch = match change.spec.kind {
        ChangeKind::Revision | ChangeKind::DeployingSetting => Touch::Deploys,
        ChangeKind::QuietSetting | ChangeKind::ClusterSetting => Touch::Quiet,
    };
    match eligible(service, touch) {
        Ok(()) if touch == Touch::Quiet => other_images(change, service, now),
        Ok(()) => match (input.facts.records_unread(), begun_since(input.facts)) {
            // Whether somebody has begun to deploy since the service was read is not known.
            (Some(reason), _) => Some(Step::to(change.state.clone(), Some(reason))),
            (None, Some(reason)) => Some(waits_for_theirs(change, reason, input)),
            (None, None) => other_images(change, service, now),
        },
        Err(Ineligible::Blocked(reason)) => {
            Some(Step::to(State::Blocked { reason: reason.clone(), at: now }, Some(reason)))
        }
        Err(Ineligible::Deferred(reason)) => Some(waits_for_theirs(change, reason, input)),
    }
}

/// What is pinned are the images of one service revision. A deployment of the same task definition since may have brought
/// others, and ours would take them back.
fn other_images(change: &Change, service: &Service, now: Timestamp) -> Option<Step> {
    let pinned = change.spec.documents.as_ref()?.pinned_from.as_deref()?;
    let Some(found) = service.current_revision() else {
        let message = "which service revision runs cannot be told, and the plan pins the images of one";
        return Some(Step::to(change.state.clone(), Some(Reason::of(ReasonCode::NotObserved, message))));
    };
    let message = || format!("the service was deployed again since the plan, which pins the images of `{pinned}`");
    (found != pinned).then(|| planned_anew(change, message(), now))
}

/// Its turn has come, and somebody's deployment is in progress. A wave does not wait for theirs longer than for ours:
/// after `progressTimeout` it is left out, another may take its place, and a later plan takes it up.
fn waits_for_theirs(change: &Change, reason: Reason, input: &Input<'_>) -> Step {
    let theirs =
        |code| matches!(code, ReasonCode::DeploymentInProgress | ReasonCode::RollbackInProgress | ReasonCode::Draining);
    let since = change.waiting.as_ref().filter(|waiting| theirs(waiting.code)).and_then(|waiting| waiting.until);
    let timeout = input.health.progress_timeout;
    let until = since.unwrap_or(input.now + timeout.0);
    if until > input.now {
        return Step::to(change.state.clone(), Some(reason.until(until)));
    }
    let message = format!("not begun, for it was so for {timeout}: {}", reason.message);
    let reason = Reason::of(reason.code, message);
    Step::to(State::Deferred { reason: reason.clone(), at: input.now }, Some(reason))
}

/// Somebody deployed since the plan. What has not begun is judged anew by the next plan, which puts it onto what they
/// deployed, if that needs the same, or drops it; what was registered was made of the old one, and is of no use.
fn moved_since(change: &Change, service: &Service, now: Timestamp) -> Step {
    let found = service.task_definition.as_ref().map_or("nothing", TaskDefinitionArn::short);
    let planned = change.spec.from.as_ref().map_or("nothing", TaskDefinitionArn::short);
    let message = format!("the service was moved to `{found}` since the plan, which was made for `{planned}`");
    planned_anew(change, message, now)
}

fn planned_anew(change: &Change, message: String, now: Timestamp) -> Step {
    let reason = Reason::of(ReasonCode::Overtaken, message);
    match change.state {
        State::Pending => Step::to(State::Pending, Some(reason)),
        _ => Step::to(State::Overtaken { reason: reason.clone(), at: now }, Some(reason)),
    }
}
