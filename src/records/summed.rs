//! The statuses of all targets together: what `get` and `describe` show as `status`. One answer for everybody who asks.

use schemars::JsonSchema;
use serde::Serialize;

use super::history::{DayFigure, Days, Streak};
use super::statuses::{BindingStatus, PolicyStatus, WaiverStatus, compliant, matched, needed};
use crate::model::spec::{EXPIRING, Metadata, Need, Term, WaiverSpec};
use crate::model::{Condition, ConditionStatus, TargetId, Timestamp};
use crate::plan::{BindingTally, PolicyTally};

/// A status and where it is from.
pub type InTarget<T> = (TargetId, T);

/// The status of a Policy.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SummedPolicy {
    /// The oldest generation that a target was judged by; `None`: no controller has judged by it yet.
    pub observed_generation: Option<u64>,
    /// `Observed`, `Compliant`.
    pub conditions: Vec<Condition>,
    /// What was found; not there where no controller has looked, for that is no zero.
    #[serde(flatten)]
    pub found: Option<FoundByPolicy>,
}

/// What a Policy finds in all targets together.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundByPolicy {
    /// The counts.
    #[serde(flatten)]
    pub tally: PolicyTally,
    /// Whether in one of the targets not all resources could be listed.
    pub incomplete: bool,
    /// Since when all targets are judged by what it says now.
    pub since: Timestamp,
    /// For how long it would have changed something.
    pub would_have_changed: Option<WouldHaveChanged>,
    /// The last 90 days.
    pub days: Vec<DayFigure>,
    /// Each target by itself.
    pub targets: Vec<PolicyInTarget>,
}

/// A [`Streak`], as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as in `Streak`")]
pub struct WouldHaveChanged {
    pub since: crate::model::Day,
    pub days: usize,
    pub gaps: usize,
}

impl From<Streak> for WouldHaveChanged {
    fn from(streak: Streak) -> Self {
        Self { since: streak.since, days: streak.days, gaps: streak.gaps }
    }
}

/// What a Policy finds in one target.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyInTarget {
    /// Where.
    pub target: TargetId,
    /// The generation that it was judged by.
    pub observed_generation: Option<u64>,
    /// The counts.
    #[serde(flatten)]
    pub tally: PolicyTally,
}

impl SummedPolicy {
    /// Of all targets that have one.
    #[must_use]
    pub fn of(metadata: &Metadata, all: &[InTarget<PolicyStatus>]) -> Self {
        let observed_generation = all.iter().filter_map(|(_, status)| status.generation).min();
        let Some(since) = all.iter().map(|(_, status)| status.since).max() else {
            return Self { observed_generation, conditions: vec![nobody_looked(metadata)], found: None };
        };
        let (mut tally, mut days, mut incomplete) = (PolicyTally::default(), Days::default(), false);
        for (_, status) in all {
            tally.add(&status.tally);
            days.add(&status.days);
            incomplete |= status.incomplete;
        }
        let conditions = vec![
            observed(metadata, observed_generation, since),
            together(
                "Compliant",
                compliant(&tally, incomplete),
                all.iter().flat_map(|(_, status)| &status.conditions),
                since,
            ),
        ];
        let targets = all.iter().map(|(target, status)| PolicyInTarget {
            target: target.clone(),
            observed_generation: status.generation,
            tally: status.tally.clone(),
        });
        let found = FoundByPolicy {
            tally,
            incomplete,
            since,
            would_have_changed: days.would_have_changed().map(Into::into),
            days: days.figures().to_vec(),
            targets: targets.collect(),
        };
        Self { observed_generation, conditions, found: Some(found) }
    }
}

/// The status of a Binding.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SummedBinding {
    /// The oldest generation that a target was judged by.
    pub observed_generation: Option<u64>,
    /// `Observed`, `Matched`.
    pub conditions: Vec<Condition>,
    /// What it matches: the resources of all targets, and the most policies in one of them.
    #[serde(flatten)]
    pub tally: Option<BindingTally>,
}

impl SummedBinding {
    /// Of all targets that have one.
    #[must_use]
    pub fn of(metadata: &Metadata, all: &[InTarget<BindingStatus>]) -> Self {
        let observed_generation = all.iter().filter_map(|(_, status)| status.generation).min();
        if all.is_empty() {
            return Self { observed_generation, conditions: vec![nobody_looked(metadata)], tally: None };
        }
        let mut tally = BindingTally::default();
        for (_, status) in all {
            tally.policies = tally.policies.max(status.tally.policies);
            tally.resources += status.tally.resources;
        }
        let known = || all.iter().flat_map(|(_, status)| &status.conditions);
        let since = known().map(|condition| condition.last_transition_time).max().unwrap_or_default();
        let conditions =
            vec![observed(metadata, observed_generation, since), together("Matched", matched(tally), known(), since)];
        Self { observed_generation, conditions, tally: Some(tally) }
    }
}

/// The status of a Waiver.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SummedWaiver {
    /// The oldest generation that a target was judged by.
    pub observed_generation: Option<u64>,
    /// How near its end it is now.
    pub term: Term,
    /// Whether it has ended.
    pub expired: bool,
    /// Whole days until its end; negative once it has ended.
    pub days_left: i64,
    /// `InForce`, `Expiring`, `Needed`.
    pub conditions: Vec<Condition>,
    /// What it is good for; not there where no controller has looked, nor once it has ended.
    #[serde(flatten)]
    pub found: Option<FoundByWaiver>,
}

/// What a Waiver is good for in all targets together.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FoundByWaiver {
    /// How many findings it covers.
    pub covers: usize,
    /// On how many resources.
    pub resources: usize,
    /// Whether any target needs it.
    pub need: Need,
}

impl SummedWaiver {
    /// Of all targets that have one, at `now`.
    #[must_use]
    pub fn of(metadata: &Metadata, spec: &WaiverSpec, all: &[InTarget<WaiverStatus>], now: Timestamp) -> Self {
        let term = spec.term(now);
        let created = metadata.created_at.unwrap_or_default();
        let mut conditions = in_force(spec, term, created);
        let (mut covers, mut resources) = (0, 0);
        for (_, status) in all {
            covers += status.covers;
            resources += status.resources;
        }
        let need = all.iter().map(|(_, status)| status.need).reduce(Need::or);
        let said = match need {
            Some(need) => needed(need, term, covers, resources),
            None => (ConditionStatus::Unknown, "NotObserved", "no controller has looked yet".to_owned()),
        };
        let known = all.iter().flat_map(|(_, status)| &status.conditions);
        conditions.push(together("Needed", said, known, created));
        Self {
            observed_generation: all.iter().filter_map(|(_, status)| status.generation).min(),
            term,
            expired: term == Term::Expired,
            days_left: spec.days_left(now),
            conditions,
            found: need.filter(|_| term != Term::Expired).map(|need| FoundByWaiver { covers, resources, need }),
        }
    }
}

/// Whether a Waiver counts, and for how long still. When that began follows from what it says.
fn in_force(spec: &WaiverSpec, term: Term, created: Timestamp) -> Vec<Condition> {
    let end = spec.expires_at;
    let (ends, ended) = (format!("it ends at {end}"), format!("it ended at {end}"));
    let soon = format!("it ends at {end}, within 14 days: renew it, or fix the cause");
    let condition = |kind: &str, holds: bool, reason: &str, message: &str, since: Timestamp| Condition {
        kind: kind.to_owned(),
        status: holds.into(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since,
    };
    match term {
        Term::InForce => vec![
            condition("InForce", true, "InForce", &ends, created),
            condition("Expiring", false, "InForce", &ends, created),
        ],
        Term::Expiring => vec![
            condition("InForce", true, "InForce", &ends, created),
            condition("Expiring", true, "EndsSoon", &soon, created.max(end - EXPIRING)),
        ],
        Term::Expired => vec![
            condition("InForce", false, "Expired", &ended, created.max(end)),
            condition("Expiring", false, "Expired", &ended, created.max(end)),
        ],
    }
}

/// Whether what an object says now is what targets are judged by.
fn observed(metadata: &Metadata, observed: Option<u64>, since: Timestamp) -> Condition {
    let said = |generation: Option<u64>| {
        generation.map_or_else(|| "it as it is".to_owned(), |generation| format!("generation {generation} of it"))
    };
    let (status, reason, message, at) = if observed == metadata.generation {
        (ConditionStatus::True, "Observed", format!("targets are judged by {}", said(observed)), since)
    } else {
        let message = format!(
            "targets are not judged by {} yet; this status is of {}",
            said(metadata.generation),
            observed
                .map_or_else(|| "what was there before".to_owned(), |generation| format!("generation {generation}"))
        );
        (ConditionStatus::False, "NotYetObserved", message, metadata.updated_at.unwrap_or(since))
    };
    Condition { kind: "Observed".to_owned(), status, reason: reason.to_owned(), message, last_transition_time: at }
}

fn nobody_looked(metadata: &Metadata) -> Condition {
    Condition {
        kind: "Observed".to_owned(),
        status: ConditionStatus::False,
        reason: "NoReport".to_owned(),
        message: "no controller has judged a target by it yet".to_owned(),
        last_transition_time: metadata.updated_at.unwrap_or_default(),
    }
}

/// A condition of all targets together. It became what it is when the last of those that say the same did.
fn together<'a>(
    kind: &str,
    (status, reason, message): (ConditionStatus, &str, String),
    known: impl Iterator<Item = &'a Condition>,
    otherwise: Timestamp,
) -> Condition {
    let since = known
        .filter(|condition| condition.kind == kind && condition.status == status)
        .map(|condition| condition.last_transition_time)
        .max();
    Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message,
        last_transition_time: since.unwrap_or(otherwise),
    }
}
