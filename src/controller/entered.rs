//! How loud the log is told that a rollout or a change has entered another state. `ERROR` needs a person, and pages one:
//! the stacks of `deploy/` count those lines.

use tracing::Level;

use crate::model::{Reason, ReasonCode, TargetId};
use crate::rollout::told::reason_of;
use crate::rollout::{Change, Phase, Rollout, RolloutState};

/// A line at a level that is known only when it is written.
macro_rules! tell {
    ($level:expr, $($what:tt)*) => {
        match $level {
            Level::ERROR => tracing::error!($($what)*),
            Level::WARN => tracing::warn!($($what)*),
            _ => tracing::info!($($what)*),
        }
    };
}

/// Tells of a rollout that has entered another state or wave.
pub(super) fn rollout(target: &TargetId, rollout: &Rollout) {
    let why = reason_of(&rollout.state).or(rollout.waiting.as_ref());
    let (reason, message) = (why.map(|why| why.code.as_str()), why.map(|why| why.message.as_str()));
    let (name, phase) = (rollout.name.as_str(), rollout.state.phase());
    tell!(of_rollout(&rollout.state), target_id = %target, rollout = name, phase, reason, why = message, "rollout");
}

/// Tells of a change that has entered another phase.
pub(super) fn change(target: &TargetId, change: &Change, why: Option<&Reason>) {
    let (reason, message) = (why.map(|why| why.code.as_str()), why.map(|why| why.message.as_str()));
    let (phase, resource) = (change.state.phase(), change.spec.resource.as_str());
    tell!(
        of_change(phase, why), target_id = %target, change = change.name.as_str(), resource,
        phase = phase.as_str(), reason, why = message, "change"
    );
}

/// A rollout that stopped by itself waits for a person. One that a person stopped has one, and what is taken back by
/// itself ends in one of the others or needs nothing.
fn of_rollout(state: &RolloutState) -> Level {
    match state {
        RolloutState::Paused { reason, .. } if is_asked_for(reason) => Level::INFO,
        RolloutState::Paused { .. } | RolloutState::Failed { .. } => Level::ERROR,
        RolloutState::RollingBack { cause, .. } | RolloutState::RolledBack { cause, .. } if is_asked_for(cause) => {
            Level::INFO
        }
        RolloutState::RollingBack { .. } | RolloutState::RolledBack { .. } => Level::WARN,
        RolloutState::Proposed { .. }
        | RolloutState::Scheduled
        | RolloutState::Progressing { .. }
        | RolloutState::Baking { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Unverified { .. }
        | RolloutState::Aborted { .. }
        | RolloutState::Superseded { .. } => Level::INFO,
    }
}

/// A change that is neither where it was to go nor back, or that has overwritten somebody's deployment.
fn of_change(phase: Phase, why: Option<&Reason>) -> Level {
    match phase {
        Phase::Failed | Phase::Quarantined | Phase::Clobbered => Level::ERROR,
        Phase::RollingBack | Phase::RolledBack if !why.is_some_and(is_asked_for) => Level::WARN,
        Phase::Clobbering => Level::WARN,
        Phase::RollingBack
        | Phase::RolledBack
        | Phase::Pending
        | Phase::Registering
        | Phase::Updating
        | Phase::Stabilizing
        | Phase::Verifying
        | Phase::Succeeded
        | Phase::Unverified
        | Phase::Blocked
        | Phase::Deferred
        | Phase::Overtaken
        | Phase::Gone => Level::INFO,
    }
}

fn is_asked_for(reason: &Reason) -> bool {
    matches!(reason.code, ReasonCode::PausedByPerson | ReasonCode::UndoneByPerson | ReasonCode::AbortedByPerson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn of(code: ReasonCode) -> Reason {
        Reason::of(code, "as the test wants it")
    }

    #[test]
    fn a_rollout_that_stops_by_itself_is_an_error_and_one_that_a_person_stops_is_none() {
        let paused = |code| RolloutState::Paused { wave: 0, reason: of(code) };
        let at = Timestamp::EPOCH;
        for (state, level) in [
            (paused(ReasonCode::ChangeFailed), Level::ERROR),
            (paused(ReasonCode::NothingVerified), Level::ERROR),
            (paused(ReasonCode::PausedByPerson), Level::INFO),
            (RolloutState::Failed { reason: of(ReasonCode::ChangeFailed), at }, Level::ERROR),
            (RolloutState::RolledBack { cause: of(ReasonCode::ChangeFailed), at }, Level::WARN),
            (RolloutState::RolledBack { cause: of(ReasonCode::UndoneByPerson), at }, Level::INFO),
            (RolloutState::Progressing { wave: 0 }, Level::INFO),
            (RolloutState::Succeeded { at }, Level::INFO),
        ] {
            assert_eq!(of_rollout(&state), level, "{state:?}");
        }
    }

    #[test]
    fn a_change_that_needs_a_person_is_an_error_and_what_is_taken_back_by_itself_is_a_warning() {
        for phase in Phase::ALL {
            let level = match phase.as_str() {
                "Failed" | "Quarantined" | "Clobbered" => Level::ERROR,
                "RollingBack" | "RolledBack" | "Clobbering" => Level::WARN,
                _ => Level::INFO,
            };
            assert_eq!(of_change(*phase, Some(&of(ReasonCode::TasksFail))), level, "{phase:?}");
        }
        assert_eq!(of_change(Phase::RollingBack, Some(&of(ReasonCode::UndoneByPerson))), Level::INFO);
    }
}
