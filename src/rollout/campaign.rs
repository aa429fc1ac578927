//! A rollout: which changes may begin, when a wave is over, when to stop.
//!
//! Budgets hold at every instant: what may begin is counted from what is in flight now, going back included.

use std::time::Duration;

use super::alarm::{self, Alarms};
use super::going_back::going_back;
use super::membership::replacements;
use super::new_tasks;
use super::record::{Change, Rollout};
use super::state::{Phase, RolloutState, State};
use crate::model::spec::{Approval, OnFailure};
use crate::model::{Reason, ReasonCode, Timestamp, counted};

/// What a rollout is decided from, besides its changes.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Why nothing may begin now: a freeze over everything, a closed window, a day's budget that is used up.
    pub forward: Option<&'a Reason>,
    /// Why it cannot be told how the changes of the wave that bakes are.
    pub unwatched: Option<&'a Reason>,
    /// How many changes may still begin today.
    pub day_budget: usize,
    /// How many changes of other rollouts of the same strategy have a place.
    pub elsewhere: usize,
    /// Counts looks: those that were tried and could not begin are tried again in turns.
    pub turn: usize,
    /// The clock.
    pub now: Timestamp,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The state to record.
    pub state: RolloutState,
    /// The changes of later waves that join the wave that is under way, in place of members that came to nothing.
    pub join: Vec<usize>,
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
    /// Nothing but a state, and why.
    pub(super) fn stay(state: RolloutState, reason: Option<Reason>) -> Self {
        Self { state, join: Vec::new(), begin: Vec::new(), take_back: Vec::new(), drop: Vec::new(), reason }
    }
}

/// What to do next about a rollout. `changes` are all of its changes, in the order of the plan.
#[must_use]
pub fn decide(rollout: &Rollout, changes: &[Change], input: &Input<'_>) -> Decision {
    if let Some(decision) = wave_alarmed(rollout, changes) {
        return decision;
    }
    match &rollout.state {
        RolloutState::Proposed { reason } => Decision::stay(rollout.state.clone(), Some(reason.clone())),
        RolloutState::Scheduled => match input.forward.or(rollout.alarms.standing.holds()) {
            Some(reason) => Decision::stay(RolloutState::Scheduled, Some(reason.clone())),
            None => progressing(rollout, changes, 0, input),
        },
        RolloutState::Progressing { wave } => progressing(rollout, changes, *wave, input),
        RolloutState::Baking { wave, until } => baking(rollout, changes, *wave, *until, input),
        RolloutState::Paused { reason, .. } => paused(rollout, changes, reason, input.now),
        RolloutState::RollingBack { cause, asked_at } => going_back(rollout, changes, (cause, *asked_at), input.now),
        RolloutState::RolledBack { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Unverified { .. }
        | RolloutState::Failed { .. }
        | RolloutState::Aborted { .. }
        | RolloutState::Superseded { .. } => Decision::stay(rollout.state.clone(), None),
    }
}

/// What an ended rollout has come to, where what was unverified when it ended has been proved, or has failed, since.
#[must_use]
pub fn ended_otherwise(rollout: &Rollout, changes: &[Change], now: Timestamp) -> Option<RolloutState> {
    let settled = changes.iter().all(|change| change.state.phase().is_final());
    let ended = matches!(rollout.state, RolloutState::Succeeded { .. } | RolloutState::Unverified { .. });
    let state = finish(changes, now).state;
    // Others may deploy, and people take back, what had been proved: it has succeeded all the same.
    let news = match (&rollout.state, &state) {
        (RolloutState::Unverified { .. }, RolloutState::Unverified { .. }) => false,
        (RolloutState::Unverified { .. }, _) | (_, RolloutState::Failed { .. }) => true,
        _ => false,
    };
    (ended && settled && news).then_some(state)
}

/// Why a change of this rollout that has not touched its resource may not go on: nothing more starts.
#[must_use]
pub fn stopped(rollout: &Rollout) -> Option<&Reason> {
    match &rollout.state {
        RolloutState::Proposed { reason }
        | RolloutState::Paused { reason, .. }
        | RolloutState::Failed { reason, .. }
        | RolloutState::Aborted { reason, .. } => Some(reason),
        RolloutState::RollingBack { cause, .. } | RolloutState::RolledBack { cause, .. } => Some(cause),
        RolloutState::Scheduled | RolloutState::Progressing { .. } | RolloutState::Baking { .. } => {
            rollout.alarms.standing.holds()
        }
        RolloutState::Succeeded { .. } | RolloutState::Unverified { .. } | RolloutState::Superseded { .. } => None,
    }
}

/// An alarm fired: the whole wave is taken back, and has failed. That is not weighed against `maxFailures`, which counts
/// changes that failed each for itself; an alarm is about all of them.
fn wave_alarmed(rollout: &Rollout, changes: &[Change]) -> Option<Decision> {
    let Alarms::Fired { wave, cause } = &rollout.alarms.standing else { return None };
    // What has only registered waits until this is over: a place kept for it would be waited for in vain.
    let busy = changes.iter().filter(|change| change.state.phase().is_in_flight()).count();
    let limit =
        rollout.spec.waves.get(*wave).map_or(rollout.spec.strategy.max_in_flight, |record| record.max_in_flight);
    let take_back: Vec<(usize, Reason)> = alarm::to_take_back(changes, *wave, (limit as usize).saturating_sub(busy))
        .into_iter()
        .map(|place| (place, cause.clone()))
        .collect();
    let decision = match &rollout.state {
        RolloutState::Progressing { .. } | RolloutState::Baking { .. } => {
            let name = rollout.spec.waves.get(*wave).map_or("", |record| record.name.as_str());
            let message = format!("wave {} (`{name}`) is taken back: {}", wave + 1, cause.message);
            let reason = Reason::of(ReasonCode::ChangeFailed, message);
            on_failure(rollout, changes, *wave, reason.clone())
                .unwrap_or_else(|| Decision::stay(rollout.state.clone(), Some(reason)))
        }
        RolloutState::Paused { reason, .. } => Decision::stay(rollout.state.clone(), Some(reason.clone())),
        // Either nothing stands yet, or all of it is taken back already, or a person has ended it.
        RolloutState::Proposed { .. }
        | RolloutState::Scheduled
        | RolloutState::RollingBack { .. }
        | RolloutState::RolledBack { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Unverified { .. }
        | RolloutState::Failed { .. }
        | RolloutState::Aborted { .. }
        | RolloutState::Superseded { .. } => return None,
    };
    Some(Decision { take_back, ..decision })
}

/// How the alarms are could not be told for too long. Nothing is known to have failed, so nothing is taken back; and
/// nothing goes on without a person.
fn alarms_unknown_for_too_long(rollout: &Rollout, changes: &[Change], wave: usize, now: Timestamp) -> Option<Decision> {
    let reason = alarm::out_of_patience(rollout, changes, now)?;
    Some(Decision::stay(RolloutState::Paused { wave, reason: reason.clone() }, Some(reason)))
}

/// A change in flight could not be looked at for too long. Nothing is known to have failed, so nothing is taken back; and
/// nothing goes on without a person.
fn unseen_for_too_long(rollout: &Rollout, changes: &[Change], wave: usize, now: Timestamp) -> Option<Decision> {
    let accepted = |change: &Change| rollout.spec.accepted_unseen.contains(&change.name);
    let (change, waiting) = changes.iter().filter(|change| !accepted(change)).find_map(|change| {
        change.unseen().filter(|waiting| waiting.until.is_some_and(|until| until <= now)).map(|why| (change, why))
    })?;
    let (patience, name) = (rollout.spec.strategy.health.progress_timeout, change.spec.resource.short());
    let message = format!("for {patience} it could not be told how `{name}` is: {}", waiting.message);
    let reason = Reason::of(ReasonCode::ProgressTimeout, message);
    Some(Decision::stay(RolloutState::Paused { wave, reason: reason.clone() }, Some(reason)))
}

/// The changes that could not be looked at, over which a person has resumed, and that could not be looked at since: seen
/// once, what is not seen later is another matter.
#[must_use]
pub fn still_unseen(rollout: &Rollout, changes: &[Change]) -> Vec<String> {
    let unseen = |name: &&String| changes.iter().any(|change| change.name == **name && change.unseen().is_some());
    rollout.spec.accepted_unseen.iter().filter(unseen).cloned().collect()
}

/// Paused, it waits for a person. Where policies have been edited since until nothing is left that one could let go on, there
/// is nothing to wait for, and others of its strategy may begin. What was paused by hand, or because something could not
/// be told, still has its bake and its gates before it.
fn paused(rollout: &Rollout, changes: &[Change], reason: &Reason, now: Timestamp) -> Decision {
    let over = changes.iter().all(|change| change.state.phase().is_final());
    let since = |change: &Change| rollout.entered_at.is_some_and(|at| change.entered() >= Some(at));
    let dropped = changes.iter().any(|change| change.is_superseded() && since(change));
    let stopped = matches!(reason.code, ReasonCode::ChangeFailed | ReasonCode::NothingVerified);
    if over && (stopped && dropped || changes.iter().all(Change::is_superseded)) {
        return finish(changes, now);
    }
    Decision::stay(rollout.state.clone(), Some(reason.clone()))
}

/// The failures that no person has resumed over, of one wave.
fn failures<'a>(rollout: &'a Rollout, changes: &'a [Change], wave: usize) -> impl Iterator<Item = &'a Change> {
    let accepted = |change: &Change| rollout.spec.accepted_failures.contains(&change.name);
    changes.iter().filter(move |change| change.spec.wave == wave && change.failed() && !accepted(change))
}

/// What a wave may lose by its own `maxFailures`, before the rollout's are touched.
fn allowance(rollout: &Rollout, wave: usize) -> usize {
    rollout.spec.waves.get(wave).map_or(0, |record| record.max_failures)
}

/// More failures than the rollout tolerates. What a wave tolerates by a limit of its own does not count.
fn too_many_failures(rollout: &Rollout, changes: &[Change]) -> Option<Reason> {
    let tolerated = rollout.spec.strategy.max_failures.of_rounded_down(changes.len());
    let beyond = |wave| failures(rollout, changes, wave).count().saturating_sub(allowance(rollout, wave));
    let waves = changes.iter().map(|change| change.spec.wave + 1).max().unwrap_or(0);
    let failed: usize = (0..waves).map(beyond).sum();
    if failed <= tolerated {
        return None;
    }
    let first = (0..waves).filter(|wave| beyond(*wave) > 0).find_map(|wave| failures(rollout, changes, wave).next());
    let message = format!("{failed} of {} changes failed, {tolerated} are tolerated{}", changes.len(), example(first));
    Some(Reason::of(ReasonCode::ChangeFailed, message))
}

/// A wave with more failures than it may have: the next does not start.
fn wave_failed(rollout: &Rollout, changes: &[Change], wave: usize) -> Option<Reason> {
    let (failed, allowed) = (failures(rollout, changes, wave).count(), allowance(rollout, wave));
    let record = rollout.spec.waves.get(wave)?;
    let is_last = wave + 1 >= rollout.spec.waves.len();
    (failed > allowed && !is_last).then(|| {
        let first = example(failures(rollout, changes, wave).next());
        let message = format!(
            "{} of wave {} (`{}`) failed, {allowed} are tolerated before the next{first}",
            counted(failed, "change"),
            wave + 1,
            record.name
        );
        Reason::of(ReasonCode::ChangeFailed, message)
    })
}

/// A wave of which nothing was verified, because none of its members could be changed or ran a task: the next does not
/// start on that, where there is a next.
fn wave_proves_nothing(rollout: &Rollout, changes: &[Change], wave: usize) -> Option<Reason> {
    let record = rollout.spec.waves.get(wave)?;
    let members: Vec<&Change> = changes.iter().filter(|change| change.spec.wave == wave).collect();
    let first = members.first()?;
    let proved = members.iter().any(|change| change.proved() || change.failed());
    let accepted = members.iter().all(|change| rollout.spec.accepted_failures.contains(&change.name));
    let more = changes.iter().any(|change| change.spec.wave > wave && change.state == State::Pending);
    (!proved && !accepted && more).then(|| {
        let (number, name, count) = (wave + 1, &record.name, members.len());
        let first = example(Some(first));
        Reason::of(
            ReasonCode::NothingVerified,
            format!("none of {count} changes of wave {number} (`{name}`) was verified{first}"),
        )
    })
}

/// Which change failed, and why, in the words of the moment it did.
pub(super) fn example(failed: Option<&Change>) -> String {
    let why = |change: &Change| {
        let entry = change.history.iter().rev().find_map(|entry| entry.reason.as_ref());
        entry.map_or_else(|| "no reason kept".to_owned(), |reason| reason.message.clone())
    };
    failed.map(|change| format!("; the first: `{}`: {}", change.spec.resource.short(), why(change))).unwrap_or_default()
}

fn on_failure(rollout: &Rollout, changes: &[Change], wave: usize, reason: Reason) -> Option<Decision> {
    match rollout.spec.strategy.on_failure {
        OnFailure::Pause => Some(Decision::stay(RolloutState::Paused { wave, reason: reason.clone() }, Some(reason))),
        OnFailure::Rollback => {
            let drop = pending(changes).map(|index| (index, reason.clone())).collect();
            let state = RolloutState::RollingBack { cause: reason.clone(), asked_at: None };
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
        too_many_failures(rollout, changes).and_then(|reason| on_failure(rollout, changes, wave, reason))
    {
        return decision;
    }
    let unknown = alarms_unknown_for_too_long(rollout, changes, wave, input.now);
    if let Some(decision) = unknown.or_else(|| unseen_for_too_long(rollout, changes, wave, input.now)) {
        return decision;
    }
    let Some(record) = rollout.spec.waves.get(wave) else { return finish(changes, input.now) };
    let state = RolloutState::Progressing { wave };
    let join = replacements(rollout, changes, wave);
    if !join.is_empty() {
        return Decision { join, ..Decision::stay(state, None) };
    }
    let members = || changes.iter().enumerate().filter(|(_, change)| change.spec.wave == wave);
    if members().all(|(_, change)| change.state.phase().is_final()) {
        return wave_over(rollout, changes, wave, input);
    }
    let name = &record.name;
    if !is_approved(rollout, wave) {
        let message = format!("wave {} (`{name}`) waits for approval", wave + 1);
        return Decision::stay(state, Some(Reason::of(ReasonCode::ApprovalRequired, message)));
    }
    // Those that were tried and wait for something of their own do not keep the others from their places.
    let pending = |tried: bool| {
        let of = move |change: &Change| change.state == State::Pending && change.waiting.is_some() == tried;
        members().filter(move |(_, change)| of(change)).map(|(index, _)| index)
    };
    let mut tried: Vec<usize> = pending(true).collect();
    let busy = changes.iter().filter(|change| is_begun(change)).count();
    let room = (record.max_in_flight as usize).saturating_sub(busy + input.elsewhere);
    // In turns: the first ones may be frozen for long, and those after them not.
    let first = input.turn.wrapping_mul(room).checked_rem(tried.len()).unwrap_or(0);
    tried.rotate_left(first);
    let waiting: Vec<usize> = pending(false).chain(tried).collect();
    if waiting.is_empty() || room == 0 {
        let reason = if input.elsewhere > 0 && busy == 0 {
            let (others, limit, strategy) = (input.elsewhere, record.max_in_flight, &rollout.spec.strategy_name);
            let others = counted(others, "change");
            let message =
                format!("{limit} may be in flight at once, and other rollouts of strategy `{strategy}` have {others}");
            Reason::of(ReasonCode::MaxInFlight, message)
        } else {
            let message = format!("wave {} (`{name}`) has {} in flight", wave + 1, counted(busy, "change"));
            Reason::of(ReasonCode::Progressing, message)
        };
        return Decision::stay(state, rollout.alarms.standing.holds().cloned().or(Some(reason)));
    }
    if let Some(reason) = input.forward.or(rollout.alarms.standing.holds()) {
        return Decision::stay(state, Some(reason.clone()));
    }
    if input.day_budget == 0 {
        return Decision::stay(state, Some(day_is_over()));
    }
    let begin: Vec<usize> = waiting.into_iter().take(room.min(input.day_budget)).collect();
    let tried = begin.first().and_then(|index| changes.get(*index)).and_then(|change| change.waiting.clone());
    let reason = tried.unwrap_or_else(|| {
        let message = format!("wave {} (`{name}`) begins {}", wave + 1, counted(begin.len(), "change"));
        Reason::of(ReasonCode::Progressing, message)
    });
    Decision { begin, ..Decision::stay(state, Some(reason)) }
}

/// Why nothing more moves today.
#[must_use]
pub fn day_is_over() -> Reason {
    let message = "as many changes as maxChangesPerDay allows have moved in the last 24 hours";
    Reason::of(ReasonCode::MaxChangesPerDay, message)
}

/// How many places a rollout takes of its strategy's: what is in flight and, unless the rollout is stopped, what is about to
/// be. Registering waits for a person then, and so would whoever waited for it.
#[must_use]
pub fn places<'a>(rollout: &Rollout, changes: impl Iterator<Item = &'a Change>) -> usize {
    let goes_on = stopped(rollout).is_none();
    changes.filter(|change| change.state.phase().is_in_flight() || (goes_on && is_begun(change))).count()
}

/// In flight, or about to be: registering already takes a place. Not while it waits for a person to let another rollout of its
/// fix go on, which may be of another strategy: nobody else of this one need wait for that.
#[must_use]
pub fn is_begun(change: &Change) -> bool {
    let stopped = || change.waiting.as_ref().is_some_and(|waiting| waiting.code == ReasonCode::FixStopped);
    change.state.phase().is_in_flight() || change.state.phase() == Phase::Registering && !stopped()
}

/// Why a change that has only registered waits: what is being taken back meanwhile has taken its place. `changes` are those
/// of every rollout of the strategy. A wave's own `maxInFlight` takes the place of the strategy's, larger or smaller.
#[must_use]
pub fn no_room<'a>(rollout: &Rollout, changes: impl Iterator<Item = &'a Change>) -> Option<Reason> {
    let strategy = rollout.spec.strategy.max_in_flight;
    let wave = rollout.state.wave().and_then(|wave| rollout.spec.waves.get(wave));
    let limit = wave.map_or(strategy, |wave| wave.max_in_flight) as usize;
    let flying = changes.filter(|change| change.state.phase().is_in_flight()).count();
    let message = || format!("{} in flight, {limit} allowed", counted(flying, "change"));
    (flying >= limit).then(|| Reason::of(ReasonCode::MaxInFlight, message()))
}

fn is_approved(rollout: &Rollout, wave: usize) -> bool {
    match rollout.spec.strategy.approval {
        Approval::None => true,
        Approval::Before => rollout.approved_waves > 0,
        Approval::EachWave => rollout.approved_waves > wave,
    }
}

fn wave_over(rollout: &Rollout, changes: &[Change], wave: usize, input: &Input<'_>) -> Decision {
    if let Some(decision) =
        wave_failed(rollout, changes, wave).and_then(|reason| on_failure(rollout, changes, wave, reason))
    {
        return decision;
    }
    if let Some(reason) = wave_proves_nothing(rollout, changes, wave) {
        return Decision::stay(RolloutState::Paused { wave, reason: reason.clone() }, Some(reason));
    }
    let Some(record) = rollout.spec.waves.get(wave) else { return finish(changes, input.now) };
    let stands = changes.iter().any(|change| change.spec.wave == wave && change.stands());
    if record.bake_seconds > 0 && stands {
        let until = input.now + Duration::from_secs(record.bake_seconds);
        let message = format!("wave {} (`{}`) has landed and is being watched", wave + 1, record.name);
        let reason = Reason::of(ReasonCode::Baking, message).until(until);
        return Decision::stay(RolloutState::Baking { wave, until }, Some(reason));
    }
    // Without a bake this is all the watching there is.
    if let Some(reason) = rollout.alarms.standing.holds().filter(|_| stands) {
        return Decision::stay(RolloutState::Progressing { wave }, Some(reason.clone()));
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
    let failed = too_many_failures(rollout, changes).or_else(|| wave_failed(rollout, changes, wave));
    if let Some(decision) = failed.and_then(|reason| on_failure(rollout, changes, wave, reason)) {
        return decision;
    }
    let unknown = alarms_unknown_for_too_long(rollout, changes, wave, input.now);
    if let Some(decision) = unknown.or_else(|| unseen_for_too_long(rollout, changes, wave, input.now)) {
        return decision;
    }
    if let Some(reason) = rollout.alarms.standing.holds() {
        return Decision::stay(RolloutState::Baking { wave, until }, Some(reason.clone()));
    }
    // A change that is being taken back holds the wave: it may yet turn out worse.
    let settled =
        changes.iter().filter(|change| change.spec.wave == wave).all(|change| change.state.phase().is_final());
    if until <= input.now && settled {
        // What was not seen has not been watched: one look shows what died meanwhile, and without it no bake ends.
        let patience = rollout.spec.strategy.health.progress_timeout;
        if let Some(reason) = input.unwatched.filter(|_| until + patience.0 <= input.now) {
            let message = format!("for {patience} it could not be told how the wave is: {}", reason.message);
            let reason = Reason::of(ReasonCode::ProgressTimeout, message);
            return Decision::stay(RolloutState::Paused { wave, reason: reason.clone() }, Some(reason));
        }
        if let Some(reason) = input.unwatched {
            return Decision::stay(RolloutState::Baking { wave, until }, Some(reason.clone()));
        }
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
    if !changes.is_empty() && changes.iter().all(Change::is_superseded) {
        return superseded(changes, now);
    }
    let proved = |change: &Change| matches!(change.state, State::Succeeded { .. });
    let older = changes.iter().filter(|change| new_tasks::is_waited_for(change)).count();
    if failed == 0 && older > 0 {
        let message = format!("{older} of {} changes were made for new tasks, and older ones run on", changes.len());
        let reason = Reason::of(ReasonCode::OlderTasks, message);
        return Decision::stay(RolloutState::Unverified { reason: reason.clone(), at: now }, Some(reason));
    }
    if failed == 0 && (changes.is_empty() || changes.iter().any(proved)) {
        return Decision::stay(RolloutState::Succeeded { at: now }, None);
    }
    let unverified = changes.iter().filter(|change| change.stands()).count();
    if failed == 0 && unverified > 0 {
        let message =
            format!("{unverified} of {} changes were made where no task runs, and none is proved", changes.len());
        let reason = Reason::of(ReasonCode::NothingRuns, message);
        return Decision::stay(RolloutState::Unverified { reason: reason.clone(), at: now }, Some(reason));
    }
    if failed == 0 && !changes.iter().any(|change| matches!(change.state, State::Blocked { .. })) {
        // Others deployed, or deleted, what it was about: there is nothing left of it to succeed or fail.
        return superseded(changes, now);
    }
    if failed == 0 {
        let message = format!("none of {} was made{}", counted(changes.len(), "change"), example(changes.first()));
        let reason = Reason::of(ReasonCode::ChangeFailed, message);
        return Decision::stay(RolloutState::Failed { reason: reason.clone(), at: now }, Some(reason));
    }
    let message = format!("{failed} of {} changes failed; their fixes are held off those services", changes.len());
    let reason = Reason::of(ReasonCode::ChangeFailed, message);
    Decision::stay(RolloutState::Failed { reason: reason.clone(), at: now }, Some(reason))
}

/// Nothing is left of it, and why of the first.
fn superseded(changes: &[Change], now: Timestamp) -> Decision {
    let message = format!("nothing is left of {}{}", counted(changes.len(), "change"), example(changes.first()));
    Decision::stay(RolloutState::Superseded { at: now }, Some(Reason::of(ReasonCode::Superseded, message)))
}

#[cfg(test)]
mod tests;
