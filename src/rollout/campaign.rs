//! A rollout: which changes may begin, when a wave is over, when to stop.
//!
//! Budgets hold at every instant: what may begin is counted from what is in flight now, going back included.

use std::time::Duration;

use super::record::{Change, Rollout};
use super::state::{Phase, RolloutState, State};
use crate::model::spec::{Approval, OnFailure};
use crate::model::{Reason, ReasonCode, Timestamp};

/// What a rollout is decided from, besides its changes.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Why nothing may begin now: a freeze over everything, a closed window, a day's budget that is used up.
    pub forward: Option<&'a Reason>,
    /// How many changes may still begin today.
    pub day_budget: usize,
    /// The clock.
    pub now: Timestamp,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The state to record.
    pub state: RolloutState,
    /// The changes that may begin now, by their place in the list.
    pub begin: Vec<usize>,
    /// The changes to take back now, by their place in the list, with the cause.
    pub take_back: Vec<(usize, Reason)>,
    /// The changes to drop, by their place in the list, with the reason.
    pub drop: Vec<(usize, Reason)>,
    /// Why it stands where it stands.
    pub reason: Option<Reason>,
}

impl Decision {
    fn stay(state: RolloutState, reason: Option<Reason>) -> Self {
        Self { state, begin: Vec::new(), take_back: Vec::new(), drop: Vec::new(), reason }
    }
}

/// What to do next about a rollout. `changes` are all of its changes, in the order of the plan.
#[must_use]
pub fn decide(rollout: &Rollout, changes: &[Change], input: &Input<'_>) -> Decision {
    match &rollout.state {
        RolloutState::Proposed { reason } => Decision::stay(rollout.state.clone(), Some(reason.clone())),
        RolloutState::Scheduled => match input.forward {
            Some(reason) => Decision::stay(RolloutState::Scheduled, Some(reason.clone())),
            None => progressing(rollout, changes, 0, input),
        },
        RolloutState::Progressing { wave } => progressing(rollout, changes, *wave, input),
        RolloutState::Baking { wave, until } => baking(rollout, changes, *wave, *until, input),
        RolloutState::Paused { reason, .. } => Decision::stay(rollout.state.clone(), Some(reason.clone())),
        RolloutState::RollingBack { cause } => rolling_back(rollout, changes, cause, input),
        RolloutState::RolledBack { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Failed { .. }
        | RolloutState::Aborted { .. }
        | RolloutState::Superseded { .. } => Decision::stay(rollout.state.clone(), None),
    }
}

/// A failure that a person has not yet looked at: one that happened in this run, not one resumed over.
fn failures(rollout: &Rollout, changes: &[Change], wave: Option<usize>) -> usize {
    let _ = rollout;
    changes.iter().filter(|change| change.failed() && wave.is_none_or(|wave| change.spec.wave == wave)).count()
}

/// More failures than tolerated, in the whole rollout or in this wave: what to do about them.
fn stopped(rollout: &Rollout, changes: &[Change], wave: usize) -> Option<Reason> {
    let tolerated = rollout.spec.strategy.max_failures.of_rounded_down(changes.len()) + rollout.spec.accepted_failures;
    let in_all = failures(rollout, changes, None);
    let failed = changes.iter().find(|change| change.failed())?;
    let why = failed
        .history
        .iter()
        .rev()
        .find_map(|entry| entry.reason.as_ref())
        .map_or("no reason kept", |reason| &reason.message);
    (in_all > tolerated).then(|| {
        let message = format!(
            "{in_all} of {} changes failed, {tolerated} are tolerated (wave {}); the first: `{}`: {why}",
            changes.len(),
            wave + 1,
            failed.spec.resource.short()
        );
        Reason::of(ReasonCode::ChangeFailed, message)
    })
}

fn on_failure(rollout: &Rollout, changes: &[Change], wave: usize, reason: Reason) -> Option<Decision> {
    match rollout.spec.strategy.on_failure {
        OnFailure::Pause => Some(Decision::stay(RolloutState::Paused { wave, reason: reason.clone() }, Some(reason))),
        OnFailure::Rollback => {
            let drop = pending(changes).map(|index| (index, reason.clone())).collect();
            let state = RolloutState::RollingBack { cause: reason.clone() };
            Some(Decision { drop, ..Decision::stay(state, Some(reason)) })
        }
        OnFailure::Continue => None,
    }
}

fn pending(changes: &[Change]) -> impl Iterator<Item = usize> {
    changes.iter().enumerate().filter(|(_, change)| change.state == State::Pending).map(|(index, _)| index)
}

fn progressing(rollout: &Rollout, changes: &[Change], wave: usize, input: &Input<'_>) -> Decision {
    if let Some(decision) =
        stopped(rollout, changes, wave).and_then(|reason| on_failure(rollout, changes, wave, reason))
    {
        return decision;
    }
    let Some(record) = rollout.spec.waves.get(wave) else { return finish(changes, input.now) };
    let members = || changes.iter().enumerate().filter(|(_, change)| change.spec.wave == wave);
    if members().all(|(_, change)| change.state.phase().is_final()) {
        return wave_over(rollout, changes, wave, input);
    }
    let state = RolloutState::Progressing { wave };
    if rollout.spec.strategy.approval != Approval::None && !is_approved(rollout, wave) {
        let message = format!("wave {} (`{}`) waits for approval", wave + 1, record.name);
        let reason = Reason::of(ReasonCode::ApprovalRequired, message);
        return Decision::stay(state, Some(reason));
    }
    let waiting: Vec<usize> =
        members().filter(|(_, change)| change.state == State::Pending).map(|(index, _)| index).collect();
    if let (Some(reason), false) = (input.forward, waiting.is_empty()) {
        return Decision::stay(state, Some(reason.clone()));
    }
    let busy = changes.iter().filter(|change| is_begun(change)).count();
    let limit = record.max_in_flight as usize;
    let room = limit.saturating_sub(busy).min(input.day_budget);
    let begin: Vec<usize> = waiting.iter().copied().take(room).collect();
    let reason = if !begin.is_empty() {
        None
    } else if waiting.is_empty() || room == 0 && busy > 0 {
        Some(Reason::of(
            ReasonCode::Progressing,
            format!("{busy} changes of wave {} (`{}`) are in flight", wave + 1, record.name),
        ))
    } else {
        Some(Reason::of(
            ReasonCode::MaxChangesPerDay,
            "as many changes as maxChangesPerDay allows have begun in the last 24 hours",
        ))
    };
    Decision { begin, ..Decision::stay(state, reason) }
}

/// In flight, or about to be: registering already takes a place.
fn is_begun(change: &Change) -> bool {
    change.state.phase().is_in_flight() || change.state.phase() == Phase::Registering
}

fn is_approved(rollout: &Rollout, wave: usize) -> bool {
    match rollout.spec.strategy.approval {
        Approval::None => true,
        Approval::Before => rollout.approved_waves > 0,
        Approval::EachWave => rollout.approved_waves > wave,
    }
}

fn wave_over(rollout: &Rollout, changes: &[Change], wave: usize, input: &Input<'_>) -> Decision {
    let Some(record) = rollout.spec.waves.get(wave) else { return finish(changes, input.now) };
    let stands = changes.iter().any(|change| change.spec.wave == wave && change.stands());
    if record.bake_seconds > 0 && stands {
        let until = input.now + Duration::from_secs(record.bake_seconds);
        let message = format!("wave {} (`{}`) has landed and is being watched", wave + 1, record.name);
        let reason = Reason::of(ReasonCode::Baking, message).until(until);
        return Decision::stay(RolloutState::Baking { wave, until }, Some(reason));
    }
    next_wave(rollout, changes, wave, input)
}

fn next_wave(rollout: &Rollout, changes: &[Change], wave: usize, input: &Input<'_>) -> Decision {
    if wave + 1 < rollout.spec.waves.len() {
        return progressing(rollout, changes, wave + 1, input);
    }
    finish(changes, input.now)
}

fn baking(rollout: &Rollout, changes: &[Change], wave: usize, until: Timestamp, input: &Input<'_>) -> Decision {
    if let Some(decision) =
        stopped(rollout, changes, wave).and_then(|reason| on_failure(rollout, changes, wave, reason))
    {
        return decision;
    }
    if until <= input.now {
        return next_wave(rollout, changes, wave, input);
    }
    let name = rollout.spec.waves.get(wave).map_or("", |record| record.name.as_str());
    let message = format!("wave {} (`{name}`) has landed and is being watched", wave + 1);
    let state = RolloutState::Baking { wave, until };
    Decision::stay(state, Some(Reason::of(ReasonCode::Baking, message).until(until)))
}

fn finish(changes: &[Change], now: Timestamp) -> Decision {
    let failed = changes.iter().filter(|change| change.failed()).count();
    if changes.iter().any(|change| !change.state.phase().is_final()) {
        let reason = Reason::of(ReasonCode::Progressing, "the last changes are being taken back");
        let wave = changes.iter().map(|change| change.spec.wave).max().unwrap_or(0);
        return Decision::stay(RolloutState::Progressing { wave }, Some(reason));
    }
    if failed == 0 {
        return Decision::stay(RolloutState::Succeeded { at: now }, None);
    }
    let message = format!("{failed} of {} changes failed; their fixes are held off those services", changes.len());
    let reason = Reason::of(ReasonCode::ChangeFailed, message);
    Decision::stay(RolloutState::Failed { reason: reason.clone(), at: now }, Some(reason))
}

/// In reverse order of waves, at most `maxInFlight` at a time.
fn rolling_back(rollout: &Rollout, changes: &[Change], cause: &Reason, input: &Input<'_>) -> Decision {
    let busy = changes.iter().filter(|change| is_begun(change)).count();
    let limit = rollout.spec.strategy.max_in_flight as usize;
    let mut standing: Vec<usize> =
        changes.iter().enumerate().filter(|(_, change)| change.stands()).map(|(index, _)| index).collect();
    standing.sort_by_key(|index| std::cmp::Reverse((changes.get(*index).map(|change| change.spec.wave), *index)));
    let underway = changes.iter().enumerate().filter(|(_, change)| {
        // What is on its way forward turns round at once: going back may start at any time.
        matches!(change.state, State::Stabilizing { .. } | State::Verifying { .. })
    });
    let take_back: Vec<(usize, Reason)> = underway
        .map(|(index, _)| index)
        .chain(standing.iter().copied().take(limit.saturating_sub(busy)))
        .map(|index| (index, cause.clone()))
        .collect();
    let unstarted = |change: &Change| matches!(change.state, State::Pending | State::Registering { .. });
    let drop: Vec<(usize, Reason)> = changes
        .iter()
        .enumerate()
        .filter(|(_, change)| unstarted(change))
        .map(|(index, _)| (index, cause.clone()))
        .collect();
    if busy == 0 && standing.is_empty() && drop.is_empty() {
        return Decision::stay(RolloutState::RolledBack { cause: cause.clone(), at: input.now }, Some(cause.clone()));
    }
    let message = format!("{} changes are still to be taken back", busy + standing.len());
    let reason = Reason::of(ReasonCode::RollbackInProgress, message);
    Decision { take_back, drop, ..Decision::stay(rollout.state.clone(), Some(reason)) }
}
