//! What people ask of a rollout, and what becomes of it. Refusals are sentences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alarm::{AlarmWatch, Alarms};
use super::record::{Change, Rollout};
use super::state::{Back, Phase, RolloutState, State};
use crate::model::spec::Approval;
use crate::model::{Reason, ReasonCode, ServiceArn, Timestamp};

/// What a person asks of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verb", rename_all = "camelCase")]
pub enum Request {
    /// Let it begin, or let its next wave begin.
    Approve {
        /// Only if it came from this plan.
        plan: Option<String>,
    },
    /// Begin nothing more.
    Pause,
    /// Go on with what is left, without what failed.
    Resume,
    /// End it where it is.
    Abort,
    /// Try again what failed.
    Retry,
    /// Take it back.
    Undo {
        /// Only of this service.
        service: Option<ServiceArn>,
    },
}

impl Request {
    /// Its name on the command line.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Approve { .. } => "approve",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Undo { .. } => "undo",
        }
    }
}

/// A request that does not fit the rollout's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedRequest {
    /// Not in this state.
    #[error("cannot {verb} rollout `{rollout}`: it is {phase}")]
    State {
        /// What was asked.
        verb: &'static str,
        /// Of which rollout.
        rollout: String,
        /// Where it stands.
        phase: &'static str,
    },
    /// Approved another plan than this one.
    #[error("rollout `{rollout}` came from plan `{actual}`, not from `{asked}`")]
    OtherPlan {
        /// Which rollout.
        rollout: String,
        /// The plan it came from.
        actual: String,
        /// The plan that was approved.
        asked: String,
    },
    /// It has ended, and nothing keeps its fixes from coming again.
    #[error("nothing of rollout `{rollout}` is held off or stopped: there is nothing to retry")]
    NothingHeld {
        /// Which rollout.
        rollout: String,
    },
    /// It has no change of that service that stands.
    #[error("rollout `{rollout}` has no change of `{service}` that could be undone")]
    NoSuchChange {
        /// Which rollout.
        rollout: String,
        /// Which service.
        service: ServiceArn,
    },
}

/// Why `retry` of a rollout that has ended has nothing to let come again. `held`: a Hold of its is in force, or one of its
/// fixes is stopped. What of it has landed counts as put back by somebody, until it is tried again: that is something too.
///
/// # Errors
/// Where there is nothing.
pub fn retry_of_ended(rollout: &Rollout, changes: &[Change], held: bool) -> Result<(), RefusedRequest> {
    let counts = |change: &Change| {
        let since = rollout.retried_at;
        let (State::Succeeded { at, .. } | State::Unverified { at, .. }) = change.state else { return false };
        change.proved() && since.is_none_or(|since| since < at)
    };
    if held || changes.iter().any(counts) {
        return Ok(());
    }
    Err(RefusedRequest::NothingHeld { rollout: rollout.name.clone() })
}

/// Carries out a request on a rollout and its changes. Both are as they were where it is refused.
///
/// # Errors
/// Where the request does not fit the rollout's state.
pub fn carry_out(
    rollout: &mut Rollout,
    changes: &mut [Change],
    request: &Request,
    by: &str,
    now: Timestamp,
) -> Result<(), RefusedRequest> {
    let refused =
        RefusedRequest::State { verb: request.verb(), rollout: rollout.name.clone(), phase: rollout.state.phase() };
    match (request, &rollout.state) {
        (Request::Approve { plan: Some(asked), .. }, _) if *asked != rollout.spec.plan => {
            Err(RefusedRequest::OtherPlan {
                rollout: rollout.name.clone(),
                actual: rollout.spec.plan.clone(),
                asked: asked.clone(),
            })
        }
        (Request::Approve { .. }, RolloutState::Proposed { .. }) => {
            rollout.approved_waves = 1;
            rollout.state = RolloutState::Scheduled;
            Ok(())
        }
        // Ahead of its window: that waits for nobody any more when it opens.
        (Request::Approve { .. }, RolloutState::Scheduled)
            if rollout.approved_waves == 0 && rollout.spec.strategy.approval != Approval::None =>
        {
            rollout.approved_waves = 1;
            Ok(())
        }
        // Asking twice is asking once: what waits is approved, or the wave after the one that is being watched.
        (Request::Approve { .. }, RolloutState::Progressing { wave }) if rollout.approved_waves <= *wave => {
            rollout.approved_waves = wave + 1;
            Ok(())
        }
        (Request::Approve { .. }, RolloutState::Baking { wave, .. }) => {
            rollout.approved_waves = rollout.approved_waves.max(wave + 2);
            Ok(())
        }
        (Request::Pause, RolloutState::Scheduled | RolloutState::Progressing { .. } | RolloutState::Baking { .. }) => {
            let wave = rollout.state.wave().unwrap_or(0);
            let reason = Reason::of(ReasonCode::PausedByPerson, format!("paused by `{by}`"));
            rollout.state = RolloutState::Paused { wave, reason };
            Ok(())
        }
        (Request::Resume, RolloutState::Paused { wave, reason }) => {
            let proved_nothing = |change: &Change| is_of_idle_wave(reason, *wave, change);
            let accepted = changes.iter().filter(|change| change.failed() || proved_nothing(change));
            rollout.spec.accepted_failures = accepted.map(|change| change.name.clone()).collect();
            let unseen = changes.iter().filter(|change| change.unseen().is_some());
            rollout.spec.accepted_unseen = unseen.map(|change| change.name.clone()).collect();
            rollout.state = RolloutState::Progressing { wave: *wave };
            forget_alarms(rollout);
            Ok(())
        }
        // Somebody kept putting it back; from here it is counted anew, and the next plan rolls it out.
        (Request::Retry, RolloutState::Proposed { reason }) if reason.code == ReasonCode::Contested => {
            let again =
                Reason::of(ReasonCode::Superseded, format!("`{by}` lets the fix come again: it is planned anew"));
            drop_unstarted(changes.iter_mut(), &again, now);
            rollout.retried_at = Some(now);
            rollout.state = RolloutState::Superseded { at: now };
            Ok(())
        }
        (Request::Retry, RolloutState::Paused { wave, reason }) => {
            let wave = *wave;
            let never_began = |change: &Change| {
                is_of_idle_wave(reason, wave, change)
                    && matches!(change.state, State::Blocked { .. } | State::Deferred { .. })
            };
            let again =
                |change: &&mut Change| change.failed() && change.state.phase().is_final() || never_began(change);
            for change in changes.iter_mut().filter(again) {
                change.enter(State::Pending, None, now);
                change.spec.wave = wave;
            }
            // Also those that an attempt, ended before it had written the rollout, has set free.
            let failed = |name: &String| changes.iter().any(|change| change.name == *name && change.failed());
            rollout.spec.accepted_failures.retain(failed);
            rollout.state = RolloutState::Progressing { wave };
            forget_alarms(rollout);
            Ok(())
        }
        (
            Request::Abort,
            RolloutState::Proposed { .. }
            | RolloutState::Scheduled
            | RolloutState::Progressing { .. }
            | RolloutState::Baking { .. }
            | RolloutState::Paused { .. },
        ) => {
            let reason = Reason::of(ReasonCode::AbortedByPerson, format!("aborted by `{by}`"));
            drop_unstarted(changes.iter_mut(), &reason, now);
            rollout.state = RolloutState::Aborted { reason, at: now };
            Ok(())
        }
        (Request::Undo { service: Some(service) }, _) => {
            let cause = Reason::of(ReasonCode::UndoneByPerson, format!("undone by `{by}`"));
            let of_service = |change: &&mut Change| change.spec.resource.service() == Some(service);
            let mut taken = false;
            for change in changes.iter_mut().filter(of_service) {
                // Asking twice is asking once.
                taken |= take_back(change, &cause, now) || is_being_undone(change);
            }
            if taken {
                drop_unstarted(changes.iter_mut().filter(of_service), &cause, now);
            } else {
                return Err(RefusedRequest::NoSuchChange { rollout: rollout.name.clone(), service: service.clone() });
            }
            Ok(())
        }
        (Request::Undo { service: None }, RolloutState::RolledBack { .. } | RolloutState::Superseded { .. }) => {
            Err(refused)
        }
        (Request::Undo { service: None }, _) => {
            let cause = Reason::of(ReasonCode::UndoneByPerson, format!("undone by `{by}`"));
            drop_unstarted(changes.iter_mut(), &cause, now);
            // That has its place already. What stands, or could not be taken back, waits for one.
            for change in changes.iter_mut().filter(|change| change.goes_forward()) {
                take_back(change, &cause, now);
            }
            rollout.state = RolloutState::RollingBack { cause, asked_at: Some(now) };
            Ok(())
        }
        (Request::Approve { .. } | Request::Pause | Request::Resume | Request::Abort | Request::Retry, _) => {
            Err(refused)
        }
    }
}

/// Whoever goes on accepts what was missed; alarms are looked at afresh before anything begins. A wave that one failed is
/// taken back to its end all the same.
fn forget_alarms(rollout: &mut Rollout) {
    if !matches!(rollout.alarms.standing, Alarms::Fired { .. }) {
        rollout.alarms = AlarmWatch::default();
    }
}

/// Whether it is of the wave that a rollout stopped after because nothing of it was verified.
fn is_of_idle_wave(reason: &Reason, wave: usize, change: &Change) -> bool {
    reason.code == ReasonCode::NothingVerified && change.spec.wave == wave
}

fn is_being_undone(change: &Change) -> bool {
    matches!(&change.state, State::RollingBack { cause, .. } if cause.code == ReasonCode::UndoneByPerson)
}

/// Drops what has not touched its resource.
fn drop_unstarted<'a>(changes: impl Iterator<Item = &'a mut Change>, reason: &Reason, now: Timestamp) {
    for change in changes.filter(|change| matches!(change.state, State::Pending | State::Registering { .. })) {
        change.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason.clone()), now);
    }
}

/// Starts taking a change back, where there is something to take back. Says whether there was.
///
/// What ECS is being told right now may have arrived or not: then its deployment is not known, and is looked for.
pub fn take_back(change: &mut Change, cause: &Reason, now: Timestamp) -> bool {
    let (deployment, intent) = match &change.state {
        State::Updating { intent, .. } => (None, *intent),
        State::Stabilizing { deployment, intent, .. } | State::Verifying { deployment, intent, .. } => {
            (Some(deployment.clone()), *intent)
        }
        State::Succeeded { at, deployment } | State::Unverified { at, deployment, .. } => (deployment.clone(), *at),
        // It was being taken back, and that could not be done: which deployment is ours is looked for again.
        State::Failed { at, .. } => (None, change.last_entered(Phase::Updating).unwrap_or(*at)),
        State::Pending
        | State::Registering { .. }
        | State::RollingBack { .. }
        | State::RolledBack { .. }
        | State::Quarantined { .. }
        | State::Blocked { .. }
        | State::Deferred { .. }
        | State::Overtaken { .. }
        | State::Clobbering { .. }
        | State::Clobbered { .. }
        | State::Gone { .. } => return false,
    };
    let state = State::RollingBack { cause: cause.clone(), deployment, intent, back: Back::Deciding };
    change.enter(state, Some(cause.clone()), now);
    true
}

#[cfg(test)]
mod tests;
