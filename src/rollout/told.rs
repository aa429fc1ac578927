//! How a rollout is told: counts, where a wave stands, why, and what a person can do next. The terminal and the pages
//! say the same.

use schemars::JsonSchema;
use serde::Serialize;

use super::record::{Change, Rollout};
use super::state::{Phase, RolloutState};
use crate::model::{Reason, ReasonCode, Span, Timestamp, counted};

/// How many changes of a rollout stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the phases, as in `Phase`")]
pub struct Counts {
    pub total: usize,
    pub pending: usize,
    pub in_flight: usize,
    pub succeeded: usize,
    pub unverified: usize,
    pub failed: usize,
    pub blocked: usize,
    pub deferred: usize,
    pub rolled_back: usize,
    pub overtaken: usize,
    pub gone: usize,
}

impl Counts {
    /// Counts.
    pub fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut counts = Self::default();
        for change in changes {
            counts.total += 1;
            *match change.state.phase() {
                Phase::Pending | Phase::Registering => &mut counts.pending,
                Phase::Updating | Phase::Stabilizing | Phase::Verifying | Phase::RollingBack | Phase::Clobbering => {
                    &mut counts.in_flight
                }
                Phase::Succeeded => &mut counts.succeeded,
                Phase::Unverified => &mut counts.unverified,
                Phase::Failed | Phase::Quarantined | Phase::Clobbered => &mut counts.failed,
                Phase::Blocked => &mut counts.blocked,
                Phase::Deferred => &mut counts.deferred,
                Phase::RolledBack => &mut counts.rolled_back,
                Phase::Overtaken => &mut counts.overtaken,
                Phase::Gone => &mut counts.gone,
            } += 1;
        }
        counts
    }

    /// `5 changes: 3 succeeded, 2 pending`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let parts = [
            ("succeeded", self.succeeded),
            ("unverified", self.unverified),
            ("in flight", self.in_flight),
            ("pending", self.pending),
            ("failed", self.failed),
            ("rolled back", self.rolled_back),
            ("blocked", self.blocked),
            ("deferred", self.deferred),
            ("overtaken", self.overtaken),
            ("gone", self.gone),
        ];
        let told: Vec<String> =
            parts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        format!(
            "{}: {}",
            counted(self.total, "change"),
            if told.is_empty() { "none".to_owned() } else { told.join(", ") }
        )
    }
}

/// Where a wave stands; `index` counts from 0.
#[must_use]
pub fn wave_state(state: &RolloutState, index: usize, members: &[&Change], now: Timestamp) -> String {
    match state {
        RolloutState::Baking { wave, until } if *wave == index => {
            format!("being watched until {until}{}", left(*until, now))
        }
        RolloutState::Progressing { wave } if *wave == index => "under way".to_owned(),
        RolloutState::Paused { wave, .. } if *wave == index => "paused".to_owned(),
        RolloutState::RollingBack { .. } | RolloutState::RolledBack { .. } => back(members).to_owned(),
        _ if members.iter().all(|change| change.state.phase().is_final()) => "over".to_owned(),
        _ => "to come".to_owned(),
    }
}

/// How far a wave of a rollout that goes back has come.
fn back(members: &[&Change]) -> &'static str {
    let any = |which: fn(&Change) -> bool| members.iter().any(|change| which(change));
    if any(|change| matches!(change.state.phase(), Phase::RollingBack | Phase::Clobbering) || change.goes_forward()) {
        "going back"
    } else if any(Change::stands) {
        "to go back"
    } else if any(|change| change.state.phase() == Phase::RolledBack) {
        "back"
    } else {
        "over"
    }
}

/// Why a rollout is in its state, where the state itself says so.
#[must_use]
pub const fn reason_of(state: &RolloutState) -> Option<&Reason> {
    match state {
        RolloutState::Proposed { reason } | RolloutState::Paused { reason, .. } => Some(reason),
        RolloutState::RollingBack { cause, .. } | RolloutState::RolledBack { cause, .. } => Some(cause),
        RolloutState::Unverified { reason, .. }
        | RolloutState::Failed { reason, .. }
        | RolloutState::Aborted { reason, .. } => Some(reason),
        RolloutState::Scheduled
        | RolloutState::Progressing { .. }
        | RolloutState::Baking { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Superseded { .. } => None,
    }
}

/// How far away something is, to follow what it is about; nothing where it is past.
#[must_use]
pub fn left(until: Timestamp, now: Timestamp) -> String {
    let left = std::time::Duration::from_secs(until.since(now).as_secs());
    if left.is_zero() { String::new() } else { format!(", {} from now", Span(left)) }
}

/// What a person can do now.
#[must_use]
pub fn next(rollout: &Rollout, counts: &Counts) -> String {
    let name = &rollout.name;
    let undo = format!("`plimsoll rollout undo {name}` takes it back");
    match &rollout.state {
        RolloutState::Proposed { reason } if reason.code == ReasonCode::Contested => format!(
            "`plimsoll rollout approve {name} --plan {}` starts it this once, `retry {name}` lets it go on by itself again, `abort {name}` drops it",
            rollout.spec.plan
        ),
        RolloutState::Proposed { .. } => {
            format!(
                "`plimsoll rollout approve {name} --plan {}` starts it, `plimsoll rollout abort {name}` drops it",
                rollout.spec.plan
            )
        }
        RolloutState::Scheduled | RolloutState::Progressing { .. } | RolloutState::Baking { .. } => {
            match rollout.waiting.as_ref().map(|reason| reason.code) {
                Some(ReasonCode::ApprovalRequired) => {
                    format!("`plimsoll rollout approve {name}` lets the next wave begin")
                }
                Some(ReasonCode::Frozen) => format!(
                    "it goes on by itself once the Freeze has ended; `plimsoll get freezes` has all of them, \
                     `plimsoll unfreeze FREEZE` lifts one, {undo}"
                ),
                Some(_) | None => {
                    format!("nothing is needed; `plimsoll rollout pause {name}` begins nothing more, {undo}")
                }
            }
        }
        RolloutState::Paused { reason, .. } if reason.code == ReasonCode::NothingVerified => format!(
            "`plimsoll rollout retry {name}` tries that wave again, `resume` goes on without a proof, `abort` ends it here, {undo}"
        ),
        RolloutState::Paused { .. } if counts.failed + counts.rolled_back > 0 => format!(
            "`plimsoll rollout resume {name}` goes on without what failed, `retry` tries it again, `abort` ends it here, {undo}"
        ),
        RolloutState::Paused { .. } => {
            format!("`plimsoll rollout resume {name}` goes on, `abort` ends it here, {undo}")
        }
        RolloutState::RollingBack { .. } => "nothing is needed: it is being taken back".to_owned(),
        RolloutState::RolledBack { .. } => {
            format!(
                "the fix stays off; `plimsoll hold list` shows where, `plimsoll rollout retry {name}` lets it come again"
            )
        }
        RolloutState::Succeeded { .. } => format!("nothing is needed; {undo}"),
        RolloutState::Unverified { reason, .. } if reason.code == ReasonCode::OlderTasks => format!(
            "nothing is needed: the next deployment of each service, or `aws ecs update-service --force-new-deployment`, replaces its tasks; {undo}"
        ),
        RolloutState::Unverified { .. } => format!("nothing is needed: it is looked at again when tasks run; {undo}"),
        RolloutState::Failed { reason, .. } if reason.code == ReasonCode::MovedOn => {
            "nothing was taken back: what was deployed since is left alone; the fix stays off until `plimsoll rollout retry`"
                .to_owned()
        }
        RolloutState::Failed { .. } => format!(
            "see why above and in `plimsoll events --for Rollout/{name}`; `plimsoll rollout retry {name}` lets it come again, {undo}"
        ),
        RolloutState::Aborted { .. } => {
            format!("what was changed stands; `plimsoll rollout retry {name}` lets the rest go on, {undo}")
        }
        RolloutState::Superseded { .. } => "nothing: what is still wanted of it, a later plan takes up".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::model::Reason;

    #[test]
    fn whoever_froze_a_rollout_is_told_how_it_goes_on() {
        let waiting = |code: Option<ReasonCode>| {
            let waiting = code.map(|code| Reason::of(code, "why"));
            next(&Rollout { waiting, ..fixture::rollout(&[1]) }, &Counts::default())
        };
        for (code, told) in [
            (None, "nothing is needed; `plimsoll rollout pause careful-1`"),
            (Some(ReasonCode::OutsideWindow), "nothing is needed; "),
            (Some(ReasonCode::ApprovalRequired), "`plimsoll rollout approve careful-1` lets the next wave begin"),
            (Some(ReasonCode::Frozen), "it goes on by itself once the Freeze has ended; `plimsoll get freezes`"),
        ] {
            assert!(waiting(code).starts_with(told), "{}", waiting(code));
        }
    }
}
