//! What the controller last found of each service: the answer to "what is the state of my fleet", without AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::packed::Digest;
use crate::model::{Reason, TargetId, Verdict, document, hex};
use crate::plan::{PlannedResource, Prospect, Standing, older};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

/// Over how many partitions the reports of one target are spread.
const SHARDS: u8 = 16;

/// What was last found of one service or cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// As plans show it, diff and findings masked.
    #[serde(flatten)]
    pub resource: PlannedResource,
    /// The verdict of every policy that was asked.
    pub verdicts: BTreeMap<Arc<str>, Verdict>,
    /// The policies it was judged by.
    pub policy_set: String,
    /// What all of this follows from, where whoever comes next need not find it out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

/// What a judgement follows from, and what is counted of it besides verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The hash of all that it follows from, in hexadecimal digits.
    pub key: String,
    /// What enforcing each policy that fails would come to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prospects: BTreeMap<Arc<str>, Prospect>,
    /// The Bindings that match each policy here, where any do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bound: BTreeMap<Arc<str>, Arc<[String]>>,
}

impl Judgement {
    /// Of what was found.
    #[must_use]
    pub fn of(key: &Digest, standings: &[Standing]) -> Self {
        let prospect = |standing: &Standing| Some((Arc::clone(&standing.policy), standing.prospect?));
        let bound = |standing: &Standing| (Arc::clone(&standing.policy), Arc::clone(&standing.bindings));
        Self {
            key: hex(key),
            prospects: standings.iter().filter_map(prospect).collect(),
            bound: standings.iter().filter(|standing| !standing.bindings.is_empty()).map(bound).collect(),
        }
    }

    /// The hash, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<Digest> {
        let mut key = Digest::default();
        if self.key.len() != 2 * key.len() {
            return None;
        }
        for (at, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(self.key.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(key)
    }

    /// How the policies stand that gave these verdicts, and are unknown for these reasons.
    #[must_use]
    pub fn standings(
        &self,
        verdicts: &BTreeMap<Arc<str>, Verdict>,
        unknown: &BTreeMap<String, Reason>,
    ) -> Vec<Standing> {
        let standing = |(policy, verdict): (&Arc<str>, &Verdict)| Standing {
            policy: Arc::clone(policy),
            verdict: *verdict,
            bindings: self.bound.get(policy).cloned().unwrap_or_default(),
            prospect: self.prospects.get(policy).copied(),
            older_tasks: unknown.get(&**policy).is_some_and(older::is_why),
        };
        verdicts.iter().map(standing).collect()
    }
}

impl Stored for ServiceReport {
    const ITEM: &'static ItemKind = &items::REPORT;
}

/// A report as the store takes it.
pub type ReportItem = (Key, Map<String, Value>);

/// The reports of one target.
#[derive(Clone, Copy)]
pub struct Reports<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

impl<'a> Reports<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn partition(&self, shard: u8) -> String {
        format!("rt#{}#reports#{shard:02x}", self.target)
    }

    fn key(&self, arn: &str) -> Key {
        // The last hex digit of the ARN's hash: stable, and spread evenly.
        let hash = document::hash(&serde_json::Value::String(arn.to_owned()));
        let digit = hash.chars().last().and_then(|digit| digit.to_digit(16)).unwrap_or(0);
        Key::new(self.partition(u8::try_from(digit).unwrap_or(0) % SHARDS), arn)
    }

    /// A report as an item, to be written with others.
    ///
    /// # Errors
    /// Where it cannot be made JSON of.
    pub fn item(&self, report: &ServiceReport) -> Result<ReportItem, RecordError> {
        let key = self.key(&report.resource.resource);
        let body = typed::body(&key, report)?;
        Ok((key, body))
    }

    /// Writes reports. Where it fails, some of them may be written.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&self, reports: &[ReportItem]) -> Result<(), RecordError> {
        self.store.put_all(reports).await.map_err(typed::failed("writing reports"))
    }

    /// Removes the report of a resource that is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self, arn: &str) -> Result<(), RecordError> {
        let key = self.key(arn);
        self.store.delete(&key, Expect::Any).await.map_err(typed::failed(format!("removing the report of `{arn}`")))
    }

    /// Shows every report, one after another: all of them at once may be more than there is memory for.
    ///
    /// # Errors
    /// The store's.
    pub async fn each(&self, mut see: impl FnMut(String, ServiceReport)) -> Result<(), RecordError> {
        for shard in 0..SHARDS {
            let (partition, mut after) = (self.partition(shard), None::<String>);
            loop {
                let page = self.store.query(&partition, "", after.as_deref()).await;
                let page = page.map_err(typed::failed(format!("listing `{partition}`")))?;
                for item in page.items {
                    let arn = item.key.sort.clone();
                    see(arn, typed::parse::<ServiceReport>(item)?.value);
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// All reports, by ARN.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<BTreeMap<String, ServiceReport>, RecordError> {
        let mut reports = BTreeMap::new();
        self.each(|arn, report| {
            reports.insert(arn, report);
        })
        .await?;
        Ok(reports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReasonCode;

    #[test]
    fn how_policies_stand_survives_the_store() {
        let standing = |policy: &str, verdict, bindings: &[&str], prospect| Standing {
            policy: policy.into(),
            verdict,
            bindings: bindings.iter().map(|name| (*name).to_owned()).collect(),
            prospect,
            older_tasks: policy == "d",
        };
        let standings = vec![
            standing("a", Verdict::Pass, &[], None),
            standing("b", Verdict::Fail, &["all"], Some(Prospect::Blocked(ReasonCode::NoHeadroom))),
            standing("c", Verdict::Fail, &[], Some(Prospect::NotFixable)),
            standing("d", Verdict::Unknown, &[], None),
            standing("e", Verdict::Unknown, &[], None),
        ];
        let key: Digest = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
        let kept = serde_json::to_value(Judgement::of(&key, &standings)).unwrap();
        let read: Judgement = serde_json::from_value(kept).unwrap();
        let verdicts = standings.iter().map(|one| (one.policy.clone(), one.verdict)).collect();
        let why = |(policy, code): (&str, ReasonCode)| (policy.to_owned(), Reason::of(code, "why"));
        let unknown = [("d", ReasonCode::Draining), ("e", ReasonCode::NotEvaluated)].map(why).into();
        assert_eq!((read.key(), read.standings(&verdicts, &unknown)), (Some(key), standings));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for key in ["", "zz", &"0g".repeat(32), &"é".repeat(32)] {
            let judgement = Judgement { key: key.to_owned(), prospects: BTreeMap::new(), bound: BTreeMap::new() };
            assert_eq!(judgement.key(), None, "{key}");
        }
    }
}
