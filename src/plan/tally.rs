//! How every policy, Binding and Waiver stands in one target, counted from what its resources came to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::planned::Planned;
use super::prospect::{Prospect, Standing};
use crate::model::arn::cluster_of;
use crate::model::spec::ResourceKind;
use crate::model::{ReasonCode, ServiceArn, TargetId, Timestamp, Verdict};
use crate::policy::{PolicySet, ScopeKey, ScopeKeys, WaiverHere, WaiverUse, waiver_uses, waivers_perhaps_here};

/// How many resources a policy finds how. Services for policies about task definitions and services, clusters for those
/// about clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTally {
    /// It applies to them, or it could not be told whether it does.
    pub matched: usize,
    /// All that it asks holds.
    pub passing: usize,
    /// Something does not hold and is not waived.
    pub failing: usize,
    /// All that does not hold is waived.
    pub waived: usize,
    /// It could not be told.
    pub unknown: usize,
    /// Of the unknown: those where nothing but older tasks keeps it from passing, which run or drain. Left out where there are
    /// none.
    #[serde(skip_serializing_if = "is_zero")]
    pub older_tasks: usize,
    /// Of the failing: those that its fixes would better, if nothing were in the way.
    pub fixable: usize,
    /// Of the fixable: those that enforcing it would change, or changes, now or as soon as what is in the way has passed.
    pub would_change: usize,
    /// Of those: the ones that it could not change right now, such as a service that is just being deployed. They count
    /// as changed, else the figure would fall with every deployment.
    pub deferred: usize,
    /// Of the fixable: those that it could not change until somebody changes something.
    pub blocked: usize,
    /// The blocked, by what blocks them.
    pub blocked_by: BTreeMap<ReasonCode, usize>,
}

/// What was written before there was such a count stays as it is.
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl PolicyTally {
    /// Counts so many resources that all came to this.
    fn count(&mut self, verdict: Verdict, prospect: Option<Prospect>, times: usize) {
        let counted = |is: bool| if is { times } else { 0 };
        self.matched += counted(verdict != Verdict::Skip);
        match verdict {
            Verdict::Pass => self.passing += times,
            Verdict::Fail => self.failing += times,
            Verdict::Waived => self.waived += times,
            Verdict::Unknown => self.unknown += times,
            Verdict::Skip => {}
        }
        self.fixable += counted(prospect.is_some_and(|prospect| prospect != Prospect::NotFixable));
        match prospect {
            Some(Prospect::Change) => self.would_change += times,
            Some(Prospect::Deferred(_)) => {
                self.would_change += times;
                self.deferred += times;
            }
            Some(Prospect::Blocked(code)) => {
                self.blocked += times;
                *self.blocked_by.entry(code).or_default() += times;
            }
            Some(Prospect::NotFixable) | None => {}
        }
    }

    /// Counts so many resources on which a policy stands so.
    fn count_standing(&mut self, standing: &Standing, times: usize) {
        self.count(standing.verdict, standing.prospect, times);
        self.older_tasks += if standing.older_tasks { times } else { 0 };
    }

    /// How many of those that could not be told are so because something could not be read or evaluated.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.unknown.saturating_sub(self.older_tasks)
    }

    /// Of both together: of two targets.
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.passing += other.passing;
        self.failing += other.failing;
        self.waived += other.waived;
        self.unknown += other.unknown;
        self.older_tasks += other.older_tasks;
        self.fixable += other.fixable;
        self.would_change += other.would_change;
        self.blocked += other.blocked;
        self.deferred += other.deferred;
        for (code, count) in &other.blocked_by {
            *self.blocked_by.entry(*code).or_default() += count;
        }
    }
}

/// What a Binding matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BindingTally {
    /// Policies that it turns on for a resource.
    pub policies: usize,
    /// Resources for which it turns one on.
    pub resources: usize,
}

/// How everything that people wrote stands in one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// By this clock: the one that Waivers were evaluated by.
    pub at: Timestamp,
    /// By policy; every policy of the set is there.
    pub policies: BTreeMap<String, PolicyTally>,
    /// By Binding; every Binding of the set is there.
    pub bindings: BTreeMap<String, BindingTally>,
    /// Every Waiver, by name.
    pub waivers: Vec<WaiverUse>,
    /// By cluster: the judgements of all policies on it and on what is in it. A service whose ARN does not say its cluster
    /// is in none of them.
    pub clusters: BTreeMap<String, PolicyTally>,
}

/// Resources of one kind in a plan, and the kinds that policies call what was judged of them.
pub(super) type Judged<'a> = (&'a [Arc<Planned>], &'static [ResourceKind]);

/// What counts together: the standings that resources share, and their cluster.
type Alike<'a> = (*const Standing, Option<&'a str>);

pub(super) const OF_SERVICES: &[ResourceKind] = &[ResourceKind::TaskDefinition, ResourceKind::Service];
pub(super) const OF_CLUSTERS: &[ResourceKind] = &[ResourceKind::Cluster];
pub(super) const OF_TASK_SETS: &[ResourceKind] = &[ResourceKind::TaskSet];
pub(super) const OF_CAPACITY_PROVIDERS: &[ResourceKind] = &[ResourceKind::CapacityProvider];

/// Counts. What could not be judged counts as unknown for every policy about its kind, and `complete` says whether all
/// resources could be listed.
pub(super) fn tally(
    set: &PolicySet,
    target: &TargetId,
    judged: &[Judged<'_>],
    complete: bool,
    now: Timestamp,
) -> Tally {
    let mut policies: BTreeMap<String, PolicyTally> =
        set.policies().map(|(name, _)| (name.to_owned(), PolicyTally::default())).collect();
    let mut bound: BTreeMap<&str, (BTreeSet<&str>, usize)> =
        set.bindings().map(|(name, _)| (name, (BTreeSet::new(), 0))).collect();
    let mut waivers: Vec<WaiverHere> = Vec::new();
    let mut clusters: BTreeMap<&str, PolicyTally> = BTreeMap::new();
    // Counted together: most resources stand like many others of their cluster, and share what says so.
    let mut alike: HashMap<Alike<'_>, (&[Standing], usize)> = HashMap::new();
    for (planned, kinds) in judged.iter().flat_map(|(planned, kinds)| planned.iter().map(move |one| (one, *kinds))) {
        waivers.extend(planned.waivers.iter().cloned());
        let cluster = cluster_of(&planned.resource);
        let Some(standings) = &planned.standings else {
            let about = set.policies().filter(|(_, spec)| kinds.contains(&spec.resource));
            let mut here = cluster.map(|cluster| clusters.entry(cluster).or_default());
            for (name, _) in about {
                policies.entry(name.to_owned()).or_default().count(Verdict::Unknown, None, 1);
                if let Some(here) = here.as_mut() {
                    here.count(Verdict::Unknown, None, 1);
                }
            }
            waivers.extend(waivers_perhaps_here(set, kinds, &keys_of(target, &planned.resource), now));
            continue;
        };
        alike.entry((standings.as_ptr(), cluster)).or_insert((standings, 0)).1 += 1;
    }
    for ((_, cluster), (standings, times)) in alike {
        let mut here = BTreeSet::new();
        let mut of_cluster = cluster.map(|cluster| clusters.entry(cluster).or_default());
        for standing in standings {
            if let Some(tally) = of_cluster.as_mut() {
                tally.count_standing(standing, times);
            }
            policies.entry(standing.policy.to_string()).or_default().count_standing(standing, times);
            for name in standing.bindings.iter() {
                let (of, resources) = bound.entry(name).or_default();
                of.insert(&standing.policy);
                *resources += if here.insert(name) { times } else { 0 };
            }
        }
    }
    let bindings = bound
        .into_iter()
        .map(|(name, (policies, resources))| (name.to_owned(), BindingTally { policies: policies.len(), resources }));
    let clusters = clusters.into_iter().map(|(name, tally)| (name.to_owned(), tally)).collect();
    Tally {
        at: now,
        policies,
        bindings: bindings.collect(),
        waivers: waiver_uses(set, &waivers, complete, now),
        clusters,
    }
}

/// What is known for scopes of a resource that could not be read.
fn keys_of(target: &TargetId, arn: &str) -> ScopeKeys {
    let (cluster, service) = match (arn.parse::<ServiceArn>(), arn.rsplit_once(":cluster/")) {
        (Ok(service), _) => {
            let cluster = service.short().split_once('/').map(|(cluster, _)| cluster.to_owned());
            (cluster.map_or(ScopeKey::Unknown, ScopeKey::Known), ScopeKey::Known(service.name().to_owned()))
        }
        (Err(_), Some((_, name))) => (ScopeKey::Known(name.to_owned()), ScopeKey::Absent),
        (Err(_), None) => (ScopeKey::Unknown, ScopeKey::Unknown),
    };
    ScopeKeys {
        account: ScopeKey::Known(target.account.clone()),
        region: ScopeKey::Known(target.region.clone()),
        cluster,
        service,
        ..ScopeKeys::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_changed_right_now_would_still_be_changed_and_what_is_blocked_would_not() {
        let mut tally = PolicyTally::default();
        for verdict in [Verdict::Pass, Verdict::Skip, Verdict::Waived, Verdict::Unknown] {
            tally.count(verdict, None, 1);
        }
        for prospect in [
            Prospect::Change,
            Prospect::Deferred(ReasonCode::DeploymentInProgress),
            Prospect::Blocked(ReasonCode::NoHeadroom),
            Prospect::NotFixable,
        ] {
            tally.count(Verdict::Fail, Some(prospect), 1);
        }
        let expected = PolicyTally {
            matched: 7,
            passing: 1,
            failing: 4,
            waived: 1,
            unknown: 1,
            older_tasks: 0,
            fixable: 3,
            would_change: 2,
            deferred: 1,
            blocked: 1,
            blocked_by: BTreeMap::from([(ReasonCode::NoHeadroom, 1)]),
        };
        assert_eq!(tally, expected);
        let mut both = tally.clone();
        both.add(&tally);
        assert_eq!((both.matched, both.would_change, both.blocked_by[&ReasonCode::NoHeadroom]), (14, 4, 2));
    }
}
