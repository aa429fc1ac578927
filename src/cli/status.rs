//! A rollout as a tree: where it stands, what each change waits for and until when, and what to do next.

use std::fmt::Write;

use super::freeze::scope_keys;
use super::report::difference;
use super::views::masked;
use crate::model::mask::clean_text;
use crate::model::spec::FreezeSpec;
use crate::model::{Reason, ReasonCode, Span, Timestamp};
use crate::plan::frozen;
use crate::policy::ScopeKeys;
use crate::records::campaign::Campaign;
use crate::rollout::told::{Counts, left, next, reason_of, wave_state};
use crate::rollout::{Change, Phase, Rollout, RolloutState, waits};

/// The tree. Ends with what to do next. `freezes`: those that are stored, by name. The record says what the controller saw
/// when it last looked; what has been lifted since is said to be.
pub(super) fn tree(campaign: &Campaign, freezes: &[(String, FreezeSpec)], now: Timestamp) -> String {
    let mut text = String::new();
    let mut campaign = campaign.clone();
    let lift = |waiting: &mut Option<Reason>, keys: &[ScopeKeys]| {
        if let Some(reason) = waiting.as_mut().filter(|reason| is_lifted(reason.code, keys, freezes, now)) {
            reason.message.push_str(" (lifted since: it goes on with the controller's next look)");
            reason.until = None;
        }
    };
    let target = &campaign.rollout.value.spec.target;
    let all: Vec<ScopeKeys> = campaign.changes.iter().map(|change| scope_keys(target, &change.value)).collect();
    lift(&mut campaign.rollout.value.waiting, &all);
    for (change, keys) in campaign.changes.iter_mut().zip(&all) {
        lift(&mut change.value.waiting, std::slice::from_ref(keys));
    }
    let campaign = &campaign;
    // Writing into a String does not fail.
    let _ = write(&mut text, campaign, now);
    text
}

/// Whether what waits for a Freeze need not: none that is in force has any of it in its scope, as far as that is known.
/// One that may have is not lifted; of what has no changes that are known, any may.
fn is_lifted(code: ReasonCode, keys: &[ScopeKeys], freezes: &[(String, FreezeSpec)], now: Timestamp) -> bool {
    let is_free = |keys: &ScopeKeys| frozen(freezes, keys, now).is_none();
    code == ReasonCode::Frozen && (freezes.is_empty() || !keys.is_empty() && keys.iter().all(is_free))
}

fn write(text: &mut String, campaign: &Campaign, now: Timestamp) -> std::fmt::Result {
    let rollout = &campaign.rollout.value;
    let changes: Vec<&Change> = campaign.changes.iter().map(|change| &change.value).collect();
    let counts = Counts::of(changes.iter().copied());
    writeln!(text, "{}  {}  {}", clean_text(&rollout.name), rollout.state.phase(), counts.in_words())?;
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
    // Why it goes back, and how far that has come.
    if let (RolloutState::RollingBack { .. }, Some(reason)) = (&rollout.state, &rollout.waiting) {
        writeln!(text, "  {}", told(reason, now))?;
    }
    for (index, wave) in rollout.spec.waves.iter().enumerate() {
        let members: Vec<&Change> = changes.iter().copied().filter(|change| change.spec.wave == index).collect();
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

const fn mark(phase: Phase) -> char {
    match phase {
        Phase::Succeeded => '+',
        Phase::Failed | Phase::Quarantined | Phase::Clobbering | Phase::Clobbered | Phase::Blocked => '!',
        Phase::RollingBack | Phase::RolledBack => '<',
        Phase::Updating | Phase::Stabilizing | Phase::Verifying | Phase::Registering => '>',
        Phase::Pending | Phase::Deferred | Phase::Overtaken | Phase::Gone | Phase::Unverified => '-',
    }
}

fn told(reason: &Reason, now: Timestamp) -> String {
    let until = reason.until.map(|until| left(until, now)).unwrap_or_default();
    clean_text(&format!("{reason}{until}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{Scope, Selector};
    use crate::policy::ScopeKey;

    #[test]
    fn a_freeze_is_lifted_once_none_that_may_match_is_in_force() {
        let now = Timestamp::from_millis(5_000);
        let of = |cluster: &str| Scope {
            include: Selector { clusters: vec![cluster.to_owned()], ..Selector::default() },
            ..Scope::default()
        };
        let freeze = |scope: Scope, until: Option<i64>| {
            let until = until.map(Timestamp::from_millis);
            ("any".to_owned(), FreezeSpec { scope, reason: "an incident".to_owned(), until, include_rollback: false })
        };
        let of_tag = Scope {
            include: Selector { tags: [("env".to_owned(), vec!["prod".to_owned()])].into(), ..Selector::default() },
            ..Scope::default()
        };
        let keys = [ScopeKeys { cluster: ScopeKey::Known("prod".to_owned()), ..ScopeKeys::default() }];
        for (why, freezes, lifted) in [
            ("there is none", vec![], true),
            ("of everything", vec![freeze(Scope::default(), None)], false),
            ("of its cluster, whatever it is called and says", vec![freeze(of("prod"), Some(9_000))], false),
            ("over", vec![freeze(of("prod"), Some(5_000))], true),
            ("of another cluster", vec![freeze(of("dev"), None)], true),
            ("by a tag, which is not known", vec![freeze(of_tag, None)], false),
        ] {
            assert_eq!(is_lifted(ReasonCode::Frozen, &keys, &freezes, now), lifted, "{why}");
        }
        let none: [ScopeKeys; 0] = [];
        for (why, freezes, lifted) in [
            ("there is none", vec![], true),
            ("of what it has no changes to tell", vec![freeze(of("dev"), None)], false),
        ] {
            assert_eq!(is_lifted(ReasonCode::Frozen, &none, &freezes, now), lifted, "without changes: {why}");
        }
        assert!(!is_lifted(ReasonCode::Baking, &keys, &[], now), "it does not wait for a Freeze");
    }
}
