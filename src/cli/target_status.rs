//! How each Target stands: who watches it, or why nobody does.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::error::Error;
use crate::controller::targets::Stored;
use crate::model::{ConditionStatus, Reason, ReasonCode, Timestamp};
use crate::ports::Store;
use crate::records::configuration::Configurations;
use crate::records::lease::{Lease, Leases};
use crate::records::statuses::{BindingStatus, PolicyStatus, Statuses};
use crate::records::targets::Targets;

/// The `status` of a Target.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetStatus {
    /// The controller that watches it, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// When that one last renewed its lease, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    renewed_at: Option<Timestamp>,
    /// `Observed`: whether all of it can be observed.
    conditions: Vec<TargetCondition>,
}

/// A condition of a Target. Since when is not kept.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TargetCondition {
    #[serde(rename = "type")]
    kind: &'static str,
    status: ConditionStatus,
    reason: &'static str,
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl TargetCondition {
    fn of(status: ConditionStatus, reason: &'static str, message: String) -> Self {
        Self { kind: "Observed", status, reason, message, remedy: None }
    }

    fn because(reason: &Reason) -> Self {
        let remedy = Some(reason.code.remedy());
        Self { remedy, ..Self::of(ConditionStatus::False, reason.code.as_str(), reason.message.clone()) }
    }
}

impl TargetStatus {
    /// In a word.
    pub(super) fn state(&self) -> &'static str {
        match self.conditions.first() {
            Some(condition) if condition.status == ConditionStatus::True => "Observed",
            Some(condition) => condition.reason,
            None => "NotYetObserved",
        }
    }

    /// For people.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for condition in &self.conditions {
            lines.push(format!("{}: {}", condition.reason, condition.message));
            lines.extend(condition.remedy.map(|remedy| format!("  do: {remedy}")));
        }
        if let (Some(holder), Some(at)) = (&self.holder, self.renewed_at) {
            lines.push(format!("watched by {holder}, whose lease was last renewed at {at}"));
        }
        lines
    }

    /// `looked`: whether a pass over it has ended, which leaves statuses.
    fn of(lease: Option<Lease>, reasons: &[Reason], looked: bool, now: Timestamp) -> Self {
        // By the wall clock, which is of no matter but for what is shown.
        let lease = lease.filter(|lease| lease.holder.is_some() && lease.renewed_at + lease.length() > now);
        let mut conditions: Vec<TargetCondition> = reasons.iter().map(TargetCondition::because).collect();
        if conditions.is_empty() {
            conditions.push(match &lease {
                Some(_) if !looked => TargetCondition::of(
                    ConditionStatus::Unknown,
                    "NotYetObserved",
                    "the first look at it has not ended yet".to_owned(),
                ),
                Some(_) => TargetCondition::of(ConditionStatus::True, "Observed", "all of it is observed".to_owned()),
                None => TargetCondition::of(
                    ConditionStatus::Unknown,
                    "NotYetObserved",
                    "no controller watches it: start one with `plimsoll controller`".to_owned(),
                ),
            });
        }
        let (renewed_at, holder) = (lease.as_ref().map(|lease| lease.renewed_at), lease.and_then(|lease| lease.holder));
        Self { holder, renewed_at, conditions }
    }
}

/// Of every Target, by name.
pub(super) async fn all(store: &dyn Store, now: Timestamp) -> Result<BTreeMap<String, TargetStatus>, Error> {
    let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
    let stored = Stored::of(&configuration.objects, None);
    let mut all = BTreeMap::new();
    for (name, first) in stored.doubles {
        let message = format!("Target `{first}` is the same account and region");
        all.insert(name, TargetStatus::of(None, &[Reason::of(ReasonCode::SameTarget, message)], false, now));
    }
    for wanted in stored.wanted {
        let Some(id) = wanted.id() else { continue };
        let lease = Leases::of(store, &id).read().await?.map(|lease| lease.value);
        let kept = Targets::of(store).read(&id).await?.map(|record| record.value.conditions).unwrap_or_default();
        let statuses = Statuses::of(store, &id);
        // Those of Bindings are small; who has none has those of policies.
        let looked =
            !statuses.list::<BindingStatus>().await?.is_empty() || !statuses.list::<PolicyStatus>().await?.is_empty();
        all.insert(wanted.name, TargetStatus::of(lease, &kept, looked, now));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_observed_only_where_somebody_watches_all_of_it() {
        let at = Timestamp::from_millis;
        let held = |at| Lease { holder: Some("one".to_owned()), epoch: 1, length_millis: 30_000, renewed_at: at };
        let denied = Reason::of(ReasonCode::AccessDenied, "ListClusters: no");
        for (why, lease, reasons, state) in [
            ("watched", Some(held(at(90_000))), vec![], "Observed"),
            ("nobody", None, vec![], "NotYetObserved"),
            ("a lease that has run out", Some(held(at(10_000))), vec![], "NotYetObserved"),
            ("given up", Some(Lease { holder: None, ..held(at(90_000)) }), vec![], "NotYetObserved"),
            ("watched, in part", Some(held(at(90_000))), vec![denied.clone()], "AccessDenied"),
            ("not reached", None, vec![denied.clone()], "AccessDenied"),
        ] {
            assert_eq!(TargetStatus::of(lease, &reasons, true, at(100_000)).state(), state, "{why}");
        }
        let first = TargetStatus::of(Some(held(at(90_000))), &[], false, at(100_000));
        assert_eq!((first.state(), first.conditions[0].status), ("NotYetObserved", ConditionStatus::Unknown));
        let told = TargetStatus::of(None, &[denied], true, at(100_000)).sentences();
        assert_eq!(
            told,
            [
                "AccessDenied: ListClusters: no",
                "  do: grant the action it names to the caller it names; `doctor` prints the statement"
            ]
        );
    }
}
