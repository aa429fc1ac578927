//! Which Waivers cover a finding. One function and one clock for controller, plan, check and pages.

use super::result::AppliedWaiver;
use super::scope::Match;
use super::set::CompiledWaiver;
use super::subject::ScopeKeys;
use crate::model::Timestamp;

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A Waiver in force for a policy here, and whether that is sure: false where its scope depends on an unknown key.
pub(super) struct InForce<'a> {
    pub(super) waiver: &'a CompiledWaiver,
    pub(super) sure: bool,
}

/// Whether a Waiver covers a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    Yes,
    No,
    Unknown,
}

/// The Waivers in force for a policy on a resource with these keys.
pub(super) fn matching<'a>(
    waivers: &'a [CompiledWaiver],
    policy: &str,
    keys: &ScopeKeys,
    now: Timestamp,
) -> Vec<InForce<'a>> {
    let named = waivers.iter().filter(|waiver| waiver.in_force(now) && waiver.policies.matches(policy));
    let found = named.filter_map(|waiver| match waiver.scope.matches(keys) {
        Match::Yes => Some(InForce { waiver, sure: true }),
        Match::Unknown => Some(InForce { waiver, sure: false }),
        Match::No => None,
    });
    found.collect()
}

/// Whether it covers a failure of this check in this container.
pub(super) fn cover(found: &InForce<'_>, check: &str, container: Option<&str>) -> Cover {
    let spec = &found.waiver.spec;
    let this_check = spec.checks.is_empty() || spec.checks.iter().any(|name| name == check);
    let globs = &found.waiver.containers;
    let this_container = globs.is_empty() || container.is_some_and(|name| globs.matches(name));
    match (this_check && this_container, found.sure) {
        (false, _) => Cover::No,
        (true, true) => Cover::Yes,
        (true, false) => Cover::Unknown,
    }
}

/// What a report says of it.
pub(super) fn applied(waiver: &CompiledWaiver, now: Timestamp, covers: usize) -> AppliedWaiver {
    let expires_at = waiver.spec.expires_at;
    let days_left = expires_at.as_millis().saturating_sub(now.as_millis()).div_euclid(DAY);
    AppliedWaiver { name: waiver.name.clone(), expires_at, days_left, covers }
}
