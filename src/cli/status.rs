//! A rollout as a tree: where it stands, what each change waits for and until when, and what to do next.

use std::fmt::Write;

use super::report::difference;
use super::views::{Counts, masked};
use crate::model::mask::clean_text;
use crate::model::{Reason, ReasonCode, Span, Timestamp};
use crate::records::campaign::Campaign;
use crate::rollout::{Change, Phase, Rollout, RolloutState, waits};

/// The tree. Ends with what to do next.
pub(super) fn tree(campaign: &Campaign, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut text, campaign, now);
    text
}

fn write(text: &mut String, campaign: &Campaign, now: Timestamp) -> std::fmt::Result {
    let rollout = &campaign.rollout.value;
    let changes: Vec<&Change> = campaign.changes.iter().map(|change| &change.value).collect();
    let counts = Counts::of(changes.iter().copied());
    writeln!(text, "{}  {}  {}", clean_text(&rollout.name), rollout.state.phase(), summary(&counts))?;
    writeln!(
        text,
        "  target {}, strategy `{}`, plan {}",
        rollout.spec.target,
        clean_text(&rollout.spec.strategy_name),
        rollout.spec.plan
    )?;
    if let Some(reason) = reason_of(&rollout.state).or(rollout.waiting.as_ref()) {
        writeln!(text, "  {}", told(reason, now))?;
    }
    for (index, wave) in rollout.spec.waves.iter().enumerate() {
        let members: Vec<&&Change> = changes.iter().filter(|change| change.spec.wave == index).collect();
        let bake = if wave.bake_seconds > 0 {
            format!(", bakes {}", Span::from_secs(wave.bake_seconds))
        } else {
            String::new()
        };
        let at = wave_state(&rollout.state, index, &members, now);
        writeln!(text, "  wave {} {}: {at}{bake}", index + 1, clean_text(&wave.name))?;
        for change in members {
            change_line(text, rollout, &changes, change, now)?;
        }
    }
    // A change may stand outside every wave where a newer version has made the rollout.
    for change in changes.iter().filter(|change| change.spec.wave >= rollout.spec.waves.len()) {
        change_line(text, rollout, &changes, change, now)?;
    }
    writeln!(text, "next: {}", next(rollout, &counts))
}

fn change_line(
    text: &mut String,
    rollout: &Rollout,
    changes: &[&Change],
    change: &Change,
    now: Timestamp,
) -> std::fmt::Result {
    let moved = match (&change.spec.from, &change.spec.to) {
        (Some(from), Some(to)) => format!("  {} -> {}", from.short(), to.short()),
        (Some(from), None) => format!("  {}", from.short()),
        (None, _) => String::new(),
    };
    writeln!(
        text,
        "    {} {}  {}{moved}",
        mark(change.state.phase()),
        clean_text(change.spec.resource.short()),
        change.state.phase().as_str()
    )?;
    // What the whole rollout waits for is said once, above.
    let of_all = reason_of(&rollout.state).or(rollout.waiting.as_ref());
    let reason = waits::why(rollout, changes.iter().copied(), change);
    if let Some(reason) = reason.filter(|reason| Some(reason) != of_all) {
        writeln!(text, "        {}", told(&reason, now))?;
    }
    for put_back in &change.spec.put_back {
        writeln!(text, "        put back: {}", clean_text(&put_back.to_string()))?;
    }
    Ok(())
}

/// The history of every change, oldest first, with what it changed.
pub(super) fn history(campaign: &Campaign) -> String {
    let mut text = String::new();
    for change in campaign.changes.iter().map(|change| &change.value) {
        let _ = writeln!(text, "{}  {}", change.name, clean_text(change.spec.resource.short()));
        for entry in masked(&change.spec.diff) {
            let _ = writeln!(text, "    {}", difference(&entry));
        }
        for entry in &change.history {
            let why = entry
                .reason
                .as_ref()
                .map(|reason| format!("  {}", clean_text(&reason.to_string())))
                .unwrap_or_default();
            let _ = writeln!(text, "  {}  {}{why}", entry.at, entry.phase.as_str());
        }
    }
    text
}

fn summary(counts: &Counts) -> String {
    let parts = [
        ("succeeded", counts.succeeded),
        ("unverified", counts.unverified),
        ("in flight", counts.in_flight),
        ("pending", counts.pending),
        ("failed", counts.failed),
        ("rolled back", counts.rolled_back),
        ("blocked", counts.blocked),
        ("deferred", counts.deferred),
        ("overtaken", counts.overtaken),
        ("gone", counts.gone),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    format!("{} changes: {}", counts.total, if told.is_empty() { "none".to_owned() } else { told.join(", ") })
}

fn wave_state(state: &RolloutState, index: usize, members: &[&&Change], now: Timestamp) -> String {
    match state {
        RolloutState::Baking { wave, until } if *wave == index => {
            format!("being watched until {until}{}", left(*until, now))
        }
        RolloutState::Progressing { wave } if *wave == index => "under way".to_owned(),
        RolloutState::Paused { wave, .. } if *wave == index => "paused".to_owned(),
        _ if members.iter().all(|change| change.state.phase().is_final()) => "over".to_owned(),
        _ => "to come".to_owned(),
    }
}

const fn mark(phase: Phase) -> char {
    match phase {
        Phase::Succeeded => '+',
        Phase::Failed | Phase::Quarantined | Phase::Clobbered | Phase::Blocked => '!',
        Phase::RollingBack | Phase::RolledBack => '<',
        Phase::Updating | Phase::Stabilizing | Phase::Verifying | Phase::Registering => '>',
        Phase::Pending | Phase::Deferred | Phase::Overtaken | Phase::Gone | Phase::Unverified => '-',
    }
}

fn told(reason: &Reason, now: Timestamp) -> String {
    let until = reason.until.map(|until| left(until, now)).unwrap_or_default();
    clean_text(&format!("{reason}{until}"))
}

fn left(until: Timestamp, now: Timestamp) -> String {
    let left = std::time::Duration::from_secs(until.since(now).as_secs());
    if left.is_zero() { String::new() } else { format!(", {} from now", Span(left)) }
}

const fn reason_of(state: &RolloutState) -> Option<&Reason> {
    match state {
        RolloutState::Proposed { reason } | RolloutState::Paused { reason, .. } => Some(reason),
        RolloutState::RollingBack { cause, .. } | RolloutState::RolledBack { cause, .. } => Some(cause),
        RolloutState::Failed { reason, .. } | RolloutState::Aborted { reason, .. } => Some(reason),
        RolloutState::Scheduled
        | RolloutState::Progressing { .. }
        | RolloutState::Baking { .. }
        | RolloutState::Succeeded { .. }
        | RolloutState::Superseded { .. } => None,
    }
}

/// What a person can do now.
fn next(rollout: &Rollout, counts: &Counts) -> String {
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
            let approval = rollout.waiting.as_ref().is_some_and(|reason| reason.code == ReasonCode::ApprovalRequired);
            if approval {
                format!("`plimsoll rollout approve {name}` lets the next wave begin")
            } else {
                format!("nothing is needed; `plimsoll rollout pause {name}` begins nothing more, {undo}")
            }
        }
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
        RolloutState::Failed { .. } => format!("see why above and in `plimsoll events --for Rollout/{name}`; {undo}"),
        RolloutState::Aborted { .. } => {
            format!("what was changed stands; `plimsoll rollout retry {name}` lets the rest go on, {undo}")
        }
        RolloutState::Superseded { .. } => "nothing: the policies no longer ask for it".to_owned(),
    }
}
