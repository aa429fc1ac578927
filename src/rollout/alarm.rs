//! What CloudWatch alarms mean for a rollout, from look to look.
//!
//! The rule: nothing begins unless every alarm is known to be OK. One that goes into ALARM while a wave is under way or
//! being watched, after the wave's first change began, fails that wave: all of its changes that are under way or stand
//! are taken back. Waves before it stand: they were watched for as long as their `bake` says, and a longer bake is how to
//! ask for more. One that was in ALARM before fails nothing; it only holds up. So does one of which nothing is known.
//!
//! Knows nothing of how alarms are read, nor what is done about it: `campaign` decides that.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::landing::CLOCK_SLACK;
use super::record::{Change, Rollout};
use super::state::{Phase, RolloutState, State};
use crate::model::{Alarm, AlarmReading, AlarmState, Reason, ReasonCode, Timestamp};

/// What is remembered of a rollout's alarms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlarmWatch {
    /// Every alarm that was there once: one that is gone is missed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub seen: BTreeSet<String>,
    /// How they stood when they were last looked at.
    pub standing: Alarms,
}

impl AlarmWatch {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a rollout's alarms stand. Serialised with `state` as its tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum Alarms {
    /// Every one is OK, or there are none.
    #[default]
    Quiet,
    /// One is in ALARM, and not because of us: it was before the wave began, or the wave has not begun.
    InAlarm {
        /// Which.
        reason: Reason,
    },
    /// None is known to be in ALARM, and of some it cannot be told.
    Inconclusive {
        /// Since when.
        since: Timestamp,
        /// Of which, and why.
        reason: Reason,
    },
    /// One went into ALARM while this wave was under way or being watched. It stays so until the wave is taken back,
    /// whatever the alarm does meanwhile.
    Fired {
        /// The wave, from 0.
        wave: usize,
        /// Which alarm.
        cause: Reason,
    },
}

impl Alarms {
    /// Why nothing may begin and no wave may end.
    #[must_use]
    pub const fn holds(&self) -> Option<&Reason> {
        match self {
            Self::Quiet => None,
            Self::InAlarm { reason } | Self::Inconclusive { reason, .. } => Some(reason),
            Self::Fired { cause, .. } => Some(cause),
        }
    }
}

/// Whether a rollout's alarms are to be read now: before something may begin, and as long as something is under way or
/// being watched. A rollout that is paused watches what is under way, not what has landed: no bake runs meanwhile.
#[must_use]
pub fn matters(rollout: &Rollout, changes: &[Change]) -> bool {
    let asked = !rollout.spec.strategy.health.alarms.is_empty();
    asked
        && match &rollout.state {
            RolloutState::Scheduled | RolloutState::Progressing { .. } | RolloutState::Baking { .. } => true,
            RolloutState::Paused { .. } => changes.iter().any(Change::goes_forward),
            RolloutState::Proposed { .. }
            | RolloutState::RollingBack { .. }
            | RolloutState::RolledBack { .. }
            | RolloutState::Succeeded { .. }
            | RolloutState::Unverified { .. }
            | RolloutState::Failed { .. }
            | RolloutState::Aborted { .. }
            | RolloutState::Superseded { .. } => false,
        }
}

/// What is to be remembered after a look. `reading` is none where there was nothing to look for ([`matters`]).
#[must_use]
pub fn look(rollout: &Rollout, changes: &[Change], reading: Option<&AlarmReading>, now: Timestamp) -> AlarmWatch {
    let before = &rollout.alarms;
    let mut seen = before.seen.clone();
    if let Some(reading) = reading {
        seen.extend(reading.alarms.iter().map(|alarm| alarm.name.clone()));
    }
    if let Alarms::Fired { wave, .. } = &before.standing
        && members(changes, *wave).any(|change| is_exposed(change) || is_going_back(change))
    {
        return AlarmWatch { seen, standing: before.standing.clone() };
    }
    let Some(reading) = reading else { return AlarmWatch { seen, standing: Alarms::Quiet } };
    let wave = rollout.state.wave().unwrap_or(0);
    let standing = match judge(reading, &before.seen, began(rollout, changes)) {
        Judgement::Quiet => Alarms::Quiet,
        Judgement::InAlarm(reason) => Alarms::InAlarm { reason },
        Judgement::Fired(cause) => Alarms::Fired { wave, cause },
        Judgement::Inconclusive(reason) => {
            let since = match &before.standing {
                Alarms::Inconclusive { since, .. } => *since,
                Alarms::Quiet | Alarms::InAlarm { .. } | Alarms::Fired { .. } => now,
            };
            let patience = rollout.spec.strategy.health.progress_timeout.0;
            let reason = if is_watched(rollout, changes) { reason.until(since + patience) } else { reason };
            Alarms::Inconclusive { since, reason }
        }
    };
    AlarmWatch { seen, standing }
}

/// For how long it could not be told how the alarms are, once that is longer than a wave may go on so.
#[must_use]
pub fn out_of_patience(rollout: &Rollout, changes: &[Change], now: Timestamp) -> Option<Reason> {
    let Alarms::Inconclusive { since, reason } = &rollout.alarms.standing else { return None };
    let patience = rollout.spec.strategy.health.progress_timeout;
    if *since + patience.0 > now || !is_watched(rollout, changes) {
        return None;
    }
    let message = format!("for {patience} it could not be told whether an alarm went off: {}", reason.message);
    Some(Reason::of(ReasonCode::ProgressTimeout, message))
}

/// The changes of a wave to take back because one of its alarms fired, by their places in the list: what is on its way
/// turns round at once, of what stands as many as `maxInFlight` has room for.
#[must_use]
pub fn to_take_back(changes: &[Change], wave: usize, room: usize) -> Vec<usize> {
    let of = |which: fn(&Change) -> bool| {
        let members = changes.iter().enumerate().filter(move |(_, change)| change.spec.wave == wave && which(change));
        members.map(|(place, _)| place)
    };
    of(Change::goes_forward).chain(of(Change::stands).take(room)).collect()
}

/// What one look says, by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judgement {
    Quiet,
    InAlarm(Reason),
    Fired(Reason),
    Inconclusive(Reason),
}

/// ALARM comes first: it is known, whatever is not. `began` is when the first change began that an alarm could be about.
fn judge(reading: &AlarmReading, seen: &BTreeSet<String>, began: Option<Timestamp>) -> Judgement {
    let red = || reading.alarms.iter().filter(|alarm| alarm.state == AlarmState::Alarm);
    // CloudWatch's clock and this machine's may differ: in doubt it was after, because nothing begins unless all were OK.
    let after =
        |alarm: &&Alarm| began.is_some_and(|began| alarm.since.is_none_or(|since| since + CLOCK_SLACK >= began));
    let at = |alarm: &Alarm| alarm.since.map(|since| format!(" at {since}")).unwrap_or_default();
    if let Some(alarm) = red().find(after) {
        let message = format!("alarm `{}` went into ALARM{} while the wave was under way", alarm.name, at(alarm));
        return Judgement::Fired(Reason::of(ReasonCode::Alarm, message));
    }
    if let Some(alarm) = red().next() {
        let since = alarm.since.map(|since| format!(" since {since}")).unwrap_or_default();
        let message = format!("alarm `{}` is in ALARM{since}: nothing begins while it is", alarm.name);
        return Judgement::InAlarm(Reason::of(ReasonCode::Alarm, message));
    }
    match unknown(reading, seen) {
        Some(reason) => Judgement::Inconclusive(reason),
        None => Judgement::Quiet,
    }
}

/// The first thing that is not known.
fn unknown(reading: &AlarmReading, seen: &BTreeSet<String>) -> Option<Reason> {
    if let Some(gap) = reading.gaps.first() {
        return Some(gap.clone());
    }
    let not_known = |message: String| Some(Reason::of(ReasonCode::AlarmUnknown, message));
    let is_there = |name: &&String| reading.alarms.iter().any(|alarm| alarm.name == **name);
    if let Some(name) = seen.iter().find(|name| !is_there(name)) {
        return not_known(format!("alarm `{name}` was there and is not any more: it was deleted, or lost its tags"));
    }
    if let Some(name) = reading.missing.iter().next() {
        return not_known(format!("there is no alarm `{name}` in this account and region"));
    }
    let silent = reading.alarms.iter().find(|alarm| alarm.state == AlarmState::InsufficientData)?;
    not_known(format!(
        "alarm `{}` has INSUFFICIENT_DATA: whether all is well cannot be told; if its metric is silent when all is well, \
         have it treat missing data as notBreaching",
        silent.name
    ))
}

/// When the first change began that an alarm could be about now.
fn began(rollout: &Rollout, changes: &[Change]) -> Option<Timestamp> {
    exposed(rollout, changes).filter_map(|change| change.last_entered(Phase::Updating)).min()
}

/// Whether anything is under way or being watched that an alarm could be about.
fn is_watched(rollout: &Rollout, changes: &[Change]) -> bool {
    exposed(rollout, changes).next().is_some()
}

/// The changes of the wave at hand that would be taken back; none where a paused rollout has nothing under way.
fn exposed<'a>(rollout: &'a Rollout, changes: &'a [Change]) -> impl Iterator<Item = &'a Change> {
    let wave = rollout.state.wave().filter(|wave| {
        !matches!(rollout.state, RolloutState::Paused { .. }) || members(changes, *wave).any(Change::goes_forward)
    });
    changes.iter().filter(move |change| Some(change.spec.wave) == wave && is_exposed(change))
}

fn members(changes: &[Change], wave: usize) -> impl Iterator<Item = &Change> {
    changes.iter().filter(move |change| change.spec.wave == wave)
}

const fn is_exposed(change: &Change) -> bool {
    change.goes_forward() || change.stands()
}

const fn is_going_back(change: &Change) -> bool {
    matches!(change.state, State::RollingBack { .. })
}

#[cfg(test)]
mod tests;
