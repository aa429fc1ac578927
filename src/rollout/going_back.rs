//! A rollout that is being taken back: which changes next, wave by wave, and when to stop.
//!
//! The waves go in reverse order, each only when all of the one before it are back and have stayed so for `steadyFor`.
//! What somebody asked to be undone does not bake and listens to no alarm on the way: it is going back to what ran before,
//! and an alarm may well be why it was asked. Freezes, windows and forward budgets do not bind it either; places do.

use super::campaign::{Decision, example, is_begun};
use super::record::{Change, Rollout};
use super::state::{Phase, RolloutState, State};
use crate::model::{Reason, ReasonCode, Timestamp, counted};

/// At most `maxInFlight` at a time. `cause` is why it goes back, and when a person asked for it, if one did.
pub(super) fn going_back(
    rollout: &Rollout,
    changes: &[Change],
    (cause, asked_at): (&Reason, Option<Timestamp>),
    now: Timestamp,
) -> Decision {
    let unstarted = |change: &Change| matches!(change.state, State::Pending | State::Registering { .. });
    let of = |which: &dyn Fn(&Change) -> bool| -> Vec<usize> {
        changes.iter().enumerate().filter(|(_, change)| which(change)).map(|(place, _)| place).collect()
    };
    let with_cause = |places: Vec<usize>| -> Vec<(usize, Reason)> {
        places.into_iter().map(|place| (place, cause.clone())).collect()
    };
    let drop = with_cause(of(&unstarted));
    let busy = changes.iter().filter(|change| is_begun(change)).count();
    let again = |change: &Change| asked_at.is_some_and(|asked_at| change.has_not_been_tried_since(asked_at));
    let standing = of(&|change| change.stands() || again(change));
    let stop = too_many_stay(rollout, changes, (cause, asked_at), standing.len());
    if busy == 0 && drop.is_empty() {
        if let Some(reason) = stop {
            return Decision::stay(RolloutState::Failed { reason: reason.clone(), at: now }, Some(reason));
        }
        if standing.is_empty() {
            return ended(changes, cause, now);
        }
    }
    // What is on its way forward turns round at once, in the place that it has.
    let underway = of(&Change::goes_forward);
    let next = if stop.is_some() {
        Vec::new()
    } else {
        let room = (rollout.spec.strategy.max_in_flight as usize).saturating_sub(busy);
        of_the_wave(changes, &standing).into_iter().take(room).collect()
    };
    let message = format!("{} still to be taken back", counted(busy + standing.len(), "change"));
    let reason = stop.unwrap_or_else(|| Reason::of(ReasonCode::RollbackInProgress, message));
    let take_back = with_cause(underway.into_iter().chain(next).collect());
    Decision { take_back, drop, ..Decision::stay(rollout.state.clone(), Some(reason)) }
}

/// Of what stands, the last wave, last member first; nothing while a later wave is still on its way back.
fn of_the_wave(changes: &[Change], standing: &[usize]) -> Vec<usize> {
    let open = |change: &&Change| !change.state.phase().is_final();
    let under_way = changes.iter().filter(open).map(|change| change.spec.wave).max();
    let wave_of = |place: &usize| changes.get(*place).map(|change| change.spec.wave);
    let wave = standing.iter().filter_map(wave_of).max().max(under_way);
    standing.iter().rev().copied().filter(|place| wave_of(place) == wave).collect()
}

/// More changes could not be taken back than the rollout and their waves may lose: what has taken them may take the others,
/// which still run. Asked once more, it tries those again, and goes on whatever becomes of them.
fn too_many_stay(
    rollout: &Rollout,
    changes: &[Change],
    (cause, asked_at): (&Reason, Option<Timestamp>),
    standing: usize,
) -> Option<Reason> {
    let stays = |change: &&Change| stays(change, cause, asked_at);
    let allowed = |wave: usize| rollout.spec.waves.get(wave).map_or(0, |record| record.max_failures);
    let waves = changes.iter().map(|change| change.spec.wave + 1).max().unwrap_or(0);
    let of_wave = |wave: usize| changes.iter().filter(move |change| change.spec.wave == wave).filter(stays).count();
    let beyond: usize = (0..waves).map(|wave| of_wave(wave).saturating_sub(allowed(wave))).sum();
    if standing == 0 || beyond <= rollout.spec.strategy.max_failures.of_rounded_down(changes.len()) {
        return None;
    }
    let all = changes.iter().filter(stays).count();
    let first = example(changes.iter().find(stays));
    let message = format!(
        "{} could not be taken back{first}; what still stands ({}) is left so until somebody asks to undo it again",
        counted(all, "change"),
        counted(standing, "change")
    );
    Some(Reason::of(ReasonCode::ChangeFailed, message))
}

/// Whether it was to be taken back for that cause, and, for the first time, could not be; or we deployed over somebody on the way.
fn stays(change: &Change, cause: &Reason, asked_at: Option<Timestamp>) -> bool {
    let since = |at: Option<Timestamp>| asked_at.is_none_or(|asked_at| at.is_some_and(|at| at >= asked_at));
    // Since it last began.
    let latest = || change.history.iter().rev().take_while(|entry| entry.phase != Phase::Pending);
    let times = |phase| latest().filter(|entry| entry.phase == phase).count();
    let for_that = |entry: &super::record::HistoryEntry| {
        entry.phase == Phase::RollingBack && entry.reason.as_ref().is_some_and(|reason| reason.code == cause.code)
    };
    match &change.state {
        State::Failed { cause: why, at, .. } => why.code == cause.code && since(Some(*at)) && times(Phase::Failed) == 1,
        State::Clobbering { .. } | State::Clobbered { .. } => {
            change.history.iter().any(for_that) && since(change.last_entered(Phase::Clobbering).or(change.entered()))
        }
        _ => false,
    }
}

/// All that could be taken back has been. What somebody deployed since was left alone, and is said; where it was all of it,
/// nothing was taken back.
fn ended(changes: &[Change], cause: &Reason, now: Timestamp) -> Decision {
    let failed =
        |reason: Reason| Decision::stay(RolloutState::Failed { reason: reason.clone(), at: now }, Some(reason));
    let rolled_back =
        |cause: Reason| Decision::stay(RolloutState::RolledBack { cause: cause.clone(), at: now }, Some(cause));
    let count = |which: fn(&Change) -> bool| changes.iter().filter(|change| which(change)).count();
    let left = count(|change| matches!(change.state.phase(), Phase::Failed | Phase::Clobbered));
    if left > 0 {
        let message =
            format!("{} could not be proved to be taken back; look at what runs there", counted(left, "change"));
        return failed(Reason::of(ReasonCode::ChangeFailed, message));
    }
    let moved_on = count(Change::moved_on);
    if moved_on == 0 {
        return rolled_back(cause.clone());
    }
    let others = format!("{}, deployed over since, left alone", counted(moved_on, "change"));
    if count(|change| change.state.phase() == Phase::RolledBack) == 0 {
        let message = format!("nothing was taken back ({}): {others}", cause.message);
        return failed(Reason::of(ReasonCode::MovedOn, message));
    }
    rolled_back(Reason { message: format!("{}; {others}", cause.message), ..cause.clone() })
}
