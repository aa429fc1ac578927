//! Who takes the place of a wave's member that came to nothing.
//!
//! A wave is a proof: so many services on which the fix was seen to work before more get it. A member that turned out
//! ineligible proves nothing, and neither does one that runs no task. Knows nothing of how a wave was chosen, but that a
//! `where` cannot be asked again: its members have no substitutes.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Change, Rollout};
use super::state::State;
use crate::model::change::Resource;
use crate::model::spec::Approval;

/// Changes of later waves that take the places of members of `wave` that came to nothing, by their places in the list.
///
/// First whatever brings a fix that no member brings any more, then in the order of the plan; a resource joins with all
/// of its changes or not at all. As many as are missing; for the first wave, which tries every fix, as many as that takes. Nobody joins where a person approves each wave: they approved those services.
#[must_use]
pub fn replacements(rollout: &Rollout, changes: &[Change], wave: usize) -> Vec<usize> {
    let Some(record) = rollout.spec.waves.get(wave) else { return Vec::new() };
    if record.selective || rollout.spec.strategy.approval == Approval::EachWave {
        return Vec::new();
    }
    let mut resources: BTreeMap<&Resource, Vec<(usize, &Change)>> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        resources.entry(&change.spec.resource).or_default().push((place, change));
    }
    let is_member = |of: &[(usize, &Change)]| of.iter().any(|(_, change)| change.spec.wave == wave);
    let (lost, live): (Vec<_>, Vec<_>) =
        resources.values().filter(|of| is_member(of)).partition(|of| came_to_nothing(of));
    let mut missing = record.size.saturating_sub(live.len());
    let covered: BTreeSet<&String> = fixes(live.iter().copied());
    let mut uncovered: BTreeSet<&String> = fixes(lost.iter().copied()).difference(&covered).copied().collect();
    let mut candidates: Vec<_> = resources
        .values()
        .filter(|of| of.iter().all(|(_, change)| change.spec.wave > wave && change.state == State::Pending))
        .collect();
    candidates.sort_by_key(|of| of.first().map(|(place, _)| *place));
    let mut join = Vec::new();
    while !candidates.is_empty() {
        let brings = |of: &&&Vec<(usize, &Change)>| fixes([**of]).intersection(&uncovered).next().is_some();
        let next = match candidates.iter().position(|of| brings(&of)) {
            // The first wave grows until each fix is tried in it.
            Some(next) if missing > 0 || wave == 0 => next,
            _ if missing > 0 => 0,
            _ => break,
        };
        let chosen = candidates.remove(next);
        uncovered.retain(|fix| !fixes([chosen]).contains(*fix));
        join.extend(chosen.iter().map(|(place, _)| *place));
        missing = missing.saturating_sub(1);
    }
    join.sort_unstable();
    join
}

/// Nothing of it was proved, nothing failed, and nothing more happens.
fn came_to_nothing(of: &[(usize, &Change)]) -> bool {
    of.iter().all(|(_, change)| change.state.phase().is_final() && !change.failed() && !change.proved())
}

fn fixes<'a>(resources: impl IntoIterator<Item = &'a Vec<(usize, &'a Change)>>) -> BTreeSet<&'a String> {
    resources.into_iter().flatten().flat_map(|(_, change)| &change.spec.fixes).collect()
}

#[cfg(test)]
mod tests;
