//! What the controller answers to what people wrote: the status of every Policy, Binding and Waiver, in one target; and
//! beside them the days of its clusters.
//!
//! One item for each object, in `rt#ACCOUNT/REGION#status` at `KIND#NAME`, so that nobody's own items are rewritten and
//! IAM parts the rights. The lease holder writes it where it says something else than before: an unchanged fleet costs
//! one write a day for each policy, for the daily figure. A policy's item is largest: at most 90 days of some 110 bytes,
//! 10 KB (10 write units of DynamoDB), and a read of all 60 policies is 600 KB. A cluster's is as large, and there may be
//! thousands of clusters: [`CLUSTERS`] bounds how many have one. Every item names its shape in `schema`;
//! members that are added later have a default, so that old items stay readable (`tests/fixtures/records`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::Days;
use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored, Versioned};
use crate::model::spec::{Kind, Need, Term};
use crate::model::{Condition, ConditionStatus, TargetId, Timestamp};
use crate::plan::{BindingTally, PolicyTally};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

/// A status that is kept, and of which kind.
pub trait Status: Stored + PartialEq + Send + Sync {
    /// The kind of what has it, as its key says.
    const OF: &'static str;
}

/// How many clusters of a target have days on record: those that had them before, then others by name. ECS has up to
/// 10,000 in an account and region (Amazon ECS service quotas); a thousand are at most 12,000 write units and as many KB a
/// day, which is two cents, and a read of 10 MB for whoever looks at all of them. Of the rest only today's figure is
/// known, from the reports.
pub const CLUSTERS: usize = 1_000;

/// Which object was judged: what a status is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its generation: counts changes of what it says.
    pub generation: Option<u64>,
    /// The hash of its spec. An object that was deleted and made again counts its generations anew.
    pub spec: String,
}

/// How a policy stands in one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// The shape of this item.
    pub schema: u32,
    /// The generation of the policy that was judged by.
    pub generation: Option<u64>,
    /// The hash of its spec.
    pub spec: String,
    /// Since when the target has been judged by that spec. Days before are of what it said then.
    pub since: Timestamp,
    /// Whether not all resources could be listed: then these are not all.
    #[serde(default)]
    pub incomplete: bool,
    /// By the last pass.
    #[serde(flatten)]
    pub tally: PolicyTally,
    /// `Compliant`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The last 90 days.
    #[serde(default)]
    pub days: Days,
}

impl Stored for PolicyStatus {
    const ITEM: &'static ItemKind = &items::POLICY_STATUS;
}

impl Status for PolicyStatus {
    const OF: &'static str = Kind::Policy.as_str();
}

impl PolicyStatus {
    /// After a pass at `now`; `before` is what was kept.
    #[must_use]
    pub fn after(before: Option<&Self>, judged: Judged, tally: &PolicyTally, incomplete: bool, now: Timestamp) -> Self {
        let since = before.filter(|before| before.spec == judged.spec).map_or(now, |before| before.since);
        let mut days = before.map(|before| before.days.clone()).unwrap_or_default();
        days.record(tally, incomplete, now);
        let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
        let conditions = vec![Condition::of(known, "Compliant", compliant(tally, incomplete), now)];
        let (generation, spec) = (judged.generation, judged.spec);
        Self {
            schema: items::POLICY_STATUS.schema,
            generation,
            spec,
            since,
            incomplete,
            tally: tally.clone(),
            conditions,
            days,
        }
    }
}

/// Whether a policy holds, and why not. Never true where something could not be told.
#[must_use]
pub fn compliant(tally: &PolicyTally, incomplete: bool) -> (ConditionStatus, &'static str, String) {
    let PolicyTally { matched, failing, older_tasks, .. } = tally;
    let unread = tally.unread();
    let older = || format!("{older_tasks} of {matched} wait for older tasks to end");
    if *failing > 0 {
        (ConditionStatus::False, "Failing", format!("{failing} of {matched} fail"))
    } else if unread > 0 {
        let older = if *older_tasks > 0 { format!("; {}", older()) } else { String::new() };
        (ConditionStatus::Unknown, "NotObserved", format!("{unread} of {matched} could not be judged{older}"))
    } else if incomplete {
        (ConditionStatus::Unknown, "NotObserved", "not all resources could be listed".to_owned())
    } else if *older_tasks > 0 {
        // Nobody has to do anything: they are replaced, by the deployment that is under way or by the next.
        (ConditionStatus::Unknown, "OlderTasks", older())
    } else if *matched == 0 {
        (ConditionStatus::Unknown, "NothingMatched", "it applies to nothing that was observed".to_owned())
    } else {
        (ConditionStatus::True, "Passing", format!("all {matched} pass or are waived"))
    }
}

/// What a Binding matches in one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingStatus {
    /// The shape of this item.
    pub schema: u32,
    /// The generation of the Binding that was judged by.
    pub generation: Option<u64>,
    /// By the last pass.
    #[serde(flatten)]
    pub tally: BindingTally,
    /// `Matched`.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

impl Stored for BindingStatus {
    const ITEM: &'static ItemKind = &items::BINDING_STATUS;
}

impl Status for BindingStatus {
    const OF: &'static str = Kind::Binding.as_str();
}

impl BindingStatus {
    /// After a pass at `now`; `before` is what was kept.
    #[must_use]
    pub fn after(before: Option<&Self>, judged: &Judged, tally: BindingTally, now: Timestamp) -> Self {
        let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
        let conditions = vec![Condition::of(known, "Matched", matched(tally), now)];
        let schema = items::BINDING_STATUS.schema;
        Self { schema, generation: judged.generation, tally, conditions }
    }
}

/// The days of a cluster: of the judgements of all policies on it and on what is in it, in one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// The shape of this item.
    pub schema: u32,
    /// The last 90 days, today's as the last pass found it.
    #[serde(default)]
    pub days: Days,
}

impl Stored for ClusterStatus {
    const ITEM: &'static ItemKind = &items::CLUSTER_STATUS;
}

impl Status for ClusterStatus {
    const OF: &'static str = "Cluster";
}

impl ClusterStatus {
    /// After a pass at `now`; `before` is what was kept.
    #[must_use]
    pub fn after(before: Option<&Self>, tally: &PolicyTally, incomplete: bool, now: Timestamp) -> Self {
        let mut days = before.map(|before| before.days.clone()).unwrap_or_default();
        days.record(tally, incomplete, now);
        Self { schema: items::CLUSTER_STATUS.schema, days }
    }
}

/// `1 finding`, `3 findings`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Whether a Binding matches anything.
#[must_use]
pub fn matched(tally: BindingTally) -> (ConditionStatus, &'static str, String) {
    let BindingTally { policies, resources } = tally;
    if resources > 0 {
        let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
        (ConditionStatus::True, "Matched", format!("{policies} on {}", counted(resources, "resource")))
    } else {
        (ConditionStatus::False, "NothingMatched", "no policy and resource are in its scope".to_owned())
    }
}

/// What a pass saw of a Waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenWaiver {
    /// How near its end it is.
    pub term: Term,
    /// When that is.
    pub expires_at: Timestamp,
    /// How many findings it covers.
    pub covers: usize,
    /// On how many resources.
    pub resources: usize,
    /// Whether it is needed.
    pub need: Need,
}

/// What a Waiver is good for in one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaiverStatus {
    /// The shape of this item.
    pub schema: u32,
    /// The generation of the Waiver that was judged by.
    pub generation: Option<u64>,
    /// How many findings it covers.
    pub covers: usize,
    /// On how many resources.
    pub resources: usize,
    /// Whether it is needed.
    pub need: Need,
    /// `Needed`. Whether it is in force is a matter of the time at which one asks, and not kept.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What the event log has been told: once, not with every pass.
    #[serde(default)]
    pub told: Told,
}

/// What was told of a Waiver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// How near its end.
    pub term: Term,
    /// Whether it was needed; `None`: never yet, so it has not become unneeded either.
    #[serde(default)]
    pub needed: Option<bool>,
}

/// What is to be told of a Waiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// `Expiring`, `Expired`, `Unneeded`, `Needed`.
    pub what: &'static str,
    /// In a sentence.
    pub message: String,
}

impl Stored for WaiverStatus {
    const ITEM: &'static ItemKind = &items::WAIVER_STATUS;
}

impl Status for WaiverStatus {
    const OF: &'static str = Kind::Waiver.as_str();
}

impl WaiverStatus {
    /// After a pass at `now`, and what is to be told: at most one thing a pass, so that whoever was stopped between
    /// telling and writing finds what it told at the end of the chain.
    #[must_use]
    pub fn after(
        before: Option<&Self>,
        (name, judged): (&str, &Judged),
        seen: SeenWaiver,
        now: Timestamp,
    ) -> (Self, Option<Telling>) {
        let known = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
        let SeenWaiver { term, covers, resources, need, .. } = seen;
        let conditions = vec![Condition::of(known, "Needed", needed(need, term, covers, resources), now)];
        let mut told = before.map(|before| before.told).unwrap_or_default();
        let telling = tell(name, &mut told, seen, before);
        let generation = judged.generation;
        (Self { schema: items::WAIVER_STATUS.schema, generation, covers, resources, need, conditions, told }, telling)
    }
}

/// Whether a Waiver is needed.
#[must_use]
pub fn needed(need: Need, term: Term, covers: usize, resources: usize) -> (ConditionStatus, &'static str, String) {
    match (term, need) {
        (Term::Expired, _) => {
            (ConditionStatus::Unknown, "Expired", "what has ended is not asked whether it is needed".to_owned())
        }
        (_, Need::Needed) => {
            let covered = format!("{} on {}", counted(covers, "finding"), counted(resources, "resource"));
            (ConditionStatus::True, "Covers", format!("it covers {covered}"))
        }
        (_, Need::Unneeded) => {
            (ConditionStatus::False, "CoversNothing", "nothing fails that it would cover: it can be deleted".to_owned())
        }
        (_, Need::Unknown) => {
            let message = "it covers nothing that was seen, and not all could be seen".to_owned();
            (ConditionStatus::Unknown, "NotObserved", message)
        }
    }
}

fn tell(name: &str, told: &mut Told, seen: SeenWaiver, before: Option<&WaiverStatus>) -> Option<Telling> {
    let SeenWaiver { term, expires_at, need, .. } = seen;
    if term != told.term {
        let (what, message) = match term {
            // Somebody has put its end off.
            Term::InForce => {
                told.term = term;
                return None;
            }
            Term::Expiring => ("Expiring", format!("waiver `{name}` ends at {expires_at}")),
            Term::Expired => {
                let covered = before.filter(|before| before.covers > 0).map_or_else(String::new, |before| {
                    let (findings, resources) =
                        (counted(before.covers, "finding"), counted(before.resources, "resource"));
                    format!(", and {findings} on {resources} may be fixed now")
                });
                ("Expired", format!("waiver `{name}` ended at {expires_at}{covered}"))
            }
        };
        told.term = term;
        return Some(Telling { what, message });
    }
    match (need, told.needed) {
        _ if term == Term::Expired => None,
        (Need::Needed, Some(false)) => {
            told.needed = Some(true);
            Some(Telling { what: "Needed", message: format!("waiver `{name}` is needed again") })
        }
        (Need::Needed, None) => {
            told.needed = Some(true);
            None
        }
        (Need::Unneeded, Some(true)) => {
            told.needed = Some(false);
            let message = format!("waiver `{name}` is no longer needed: nothing fails that it would cover");
            Some(Telling { what: "Unneeded", message })
        }
        (Need::Needed, Some(true)) | (Need::Unneeded, Some(false) | None) | (Need::Unknown, _) => None,
    }
}

/// The statuses of one target.
#[derive(Clone, Copy)]
pub struct Statuses<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

impl<'a> Statuses<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn partition(&self) -> String {
        format!("rt#{}#status", self.target)
    }

    fn key(&self, kind: &str, name: &str) -> Key {
        Key::new(self.partition(), format!("{kind}#{name}"))
    }

    /// All of a kind, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn list<T: Status>(&self) -> Result<BTreeMap<String, Versioned<T>>, RecordError> {
        let prefix = format!("{}#", T::OF);
        let found = typed::all::<T>(self.store, &self.partition(), &prefix).await?;
        let named =
            |(sort, status): (String, Versioned<T>)| (sort.strip_prefix(&prefix).unwrap_or(&sort).to_owned(), status);
        Ok(found.into_iter().map(named).collect())
    }

    /// Writes one over the version that was read (`None`: there was none), and answers with its new version.
    ///
    /// # Errors
    /// A conflict where somebody else wrote it since: its history is theirs.
    pub async fn write<T: Status>(&self, name: &str, status: &T, version: Option<u64>) -> Result<u64, RecordError> {
        let expect = version.map_or(Expect::Absent, Expect::Version);
        typed::put(self.store, &self.key(T::OF, name), status, expect).await
    }

    /// Removes that of an object that is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove<T: Status>(&self, name: &str) -> Result<(), RecordError> {
        let key = self.key(T::OF, name);
        let action = format!("removing the status of {} `{name}`", T::OF);
        self.store.delete(&key, Expect::Any).await.map_err(typed::failed(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tally: PolicyTally, incomplete: bool, expected: &str) {
        let (status, reason, message) = compliant(&PolicyTally { matched: 4, ..tally }, incomplete);
        assert_eq!(format!("{status:?} {reason}: {message}"), expected);
    }

    #[test]
    fn what_waits_for_older_tasks_is_told_apart_from_what_could_not_be_read() {
        let of =
            |failing, unknown, older_tasks| PolicyTally { failing, unknown, older_tasks, ..PolicyTally::default() };
        check(of(0, 0, 0), false, "True Passing: all 4 pass or are waived");
        check(of(0, 2, 2), false, "Unknown OlderTasks: 2 of 4 wait for older tasks to end");
        check(of(0, 2, 0), false, "Unknown NotObserved: 2 of 4 could not be judged");
        let both = "Unknown NotObserved: 1 of 4 could not be judged; 2 of 4 wait for older tasks to end";
        check(of(0, 3, 2), false, both);
        check(of(0, 2, 2), true, "Unknown NotObserved: not all resources could be listed");
        check(of(1, 2, 2), false, "False Failing: 1 of 4 fail");
    }
}
