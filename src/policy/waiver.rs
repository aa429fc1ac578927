//! Which Waivers cover a finding, and which of them are still needed. One function and one clock for controller, plan,
//! check and pages.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::result::{AppliedWaiver, PolicyResult};
use super::scope::Match;
use super::set::{CompiledWaiver, PolicyError, PolicySet};
use super::subject::ScopeKeys;
use crate::model::Timestamp;
use crate::model::spec::{Kind, Need, Object, ResourceKind, Spec, Term};

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

/// The Waivers in force for a policy: `named` says which of `all` name it, `keys` where the resource is.
pub(super) fn matching<'a>(
    all: &'a [CompiledWaiver],
    named: &[usize],
    keys: &ScopeKeys,
    now: Timestamp,
) -> Vec<InForce<'a>> {
    let named = named.iter().filter_map(|at| all.get(*at)).filter(|waiver| waiver.spec.in_force(now));
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

/// What each Waiver is good for here. `told`: whether the whole policy could be evaluated; what could not be may be
/// what a Waiver is needed for.
pub(super) fn account(found: &[InForce<'_>], covers: &[usize], told: bool, now: Timestamp) -> Vec<AppliedWaiver> {
    let covers = covers.iter().copied().chain(std::iter::repeat(0));
    let accounted = found.iter().zip(covers).filter_map(|(found, covers)| {
        let need = match (covers, told, found.sure) {
            (1.., _, _) => Need::Needed,
            (0, false, _) => Need::Unknown,
            (0, true, true) => Need::Unneeded,
            // It covers nothing here, and it may be none of its business.
            (0, true, false) => return None,
        };
        let waiver = found.waiver;
        let (expires_at, days_left) = (waiver.spec.expires_at, waiver.spec.days_left(now));
        Some(AppliedWaiver { name: waiver.name.clone(), expires_at, days_left, covers, need })
    });
    accounted.collect()
}

/// What a Waiver is good for on one resource, all its policies together. Says nothing that changes as time passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaiverHere {
    /// Its name.
    pub name: String,
    /// How many findings it covers.
    pub covers: usize,
    /// `unneeded`: it is in its scope, and nothing fails there that it would cover.
    pub need: Need,
}

/// The Waivers in force on one resource, by name, from all that its policies say.
#[must_use]
pub fn waivers_here<'a>(results: impl IntoIterator<Item = &'a PolicyResult>) -> Vec<WaiverHere> {
    let mut here: BTreeMap<&str, WaiverHere> = BTreeMap::new();
    for applied in results.into_iter().flat_map(|result| &result.waivers) {
        let blank = || WaiverHere { name: applied.name.clone(), covers: 0, need: Need::Unneeded };
        let waiver = here.entry(&applied.name).or_insert_with(blank);
        waiver.covers += applied.covers;
        waiver.need = waiver.need.or(applied.need);
    }
    here.into_values().collect()
}

/// The Waivers in force that may be needed on a resource which could not be read, of which only `keys` are known.
#[must_use]
pub fn waivers_perhaps_here(
    set: &PolicySet,
    kinds: &[ResourceKind],
    keys: &ScopeKeys,
    now: Timestamp,
) -> Vec<WaiverHere> {
    let policies = set.policies().filter(|(_, policy)| kinds.contains(&policy.resource));
    let names: Vec<&str> = policies.map(|(name, _)| name).collect();
    let perhaps = set.compiled_waivers().iter().filter(|waiver| {
        waiver.spec.in_force(now)
            && waiver.scope.matches(keys) != Match::No
            && names.iter().any(|policy| waiver.policies.matches(policy))
    });
    perhaps.map(|waiver| WaiverHere { name: waiver.name.clone(), covers: 0, need: Need::Unknown }).collect()
}

/// A Waiver, and what it is good for in all that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaiverUse {
    /// Its name.
    pub name: String,
    /// How near its end it is.
    pub term: Term,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whole days until then; negative once it has expired.
    pub days_left: i64,
    /// How many findings it covers.
    pub covers: usize,
    /// On how many resources.
    pub resources: usize,
    /// On how many resources in its scope nothing fails that it would cover.
    pub unneeded: usize,
    /// Whether it is needed anywhere in what was looked at. Once it has expired, unknown: it is not asked any more.
    pub need: Need,
}

/// Every Waiver of the set, by name, with what it is good for by what each resource says. `complete`: whether all was
/// looked at that there is.
#[must_use]
pub fn waiver_uses<'a>(
    set: &PolicySet,
    here: impl IntoIterator<Item = &'a WaiverHere>,
    complete: bool,
    now: Timestamp,
) -> Vec<WaiverUse> {
    let unseen = if complete { Need::Unneeded } else { Need::Unknown };
    let mut uses: BTreeMap<&str, WaiverUse> = BTreeMap::new();
    for (name, spec) in set.waivers() {
        let term = spec.term(now);
        let need = if term == Term::Expired { Need::Unknown } else { unseen };
        let (expires_at, days_left) = (spec.expires_at, spec.days_left(now));
        let name_of = name.to_owned();
        uses.insert(
            name,
            WaiverUse { name: name_of, term, expires_at, days_left, covers: 0, resources: 0, unneeded: 0, need },
        );
    }
    for one in here {
        let Some(found) = uses.get_mut(one.name.as_str()) else { continue };
        found.covers += one.covers;
        found.resources += usize::from(one.covers > 0);
        found.unneeded += usize::from(one.need == Need::Unneeded);
        found.need = found.need.or(one.need);
    }
    uses.into_values().collect()
}

/// What is wrong with Waivers at the time they are applied: those that last longer than a year and do not say why. Not
/// asked of what is stored.
#[must_use]
pub fn too_long(objects: &[Object], now: Timestamp) -> Vec<PolicyError> {
    let wrong = objects.iter().filter_map(|object| match &object.spec {
        Spec::Waiver(spec) if spec.is_too_long(now) => {
            let message = format!("`{}` is more than a year away", spec.expires_at);
            let error = PolicyError::of(Kind::Waiver, &object.metadata.name, "/expiresAt", message);
            let help = "choose an earlier end and renew it then, or say why it may last longer in `longerThanAYear`";
            Some(PolicyError { help: Some(help.to_owned()), ..error })
        }
        _ => None,
    });
    wrong.collect()
}

#[cfg(test)]
mod tests;
