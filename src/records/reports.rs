//! What the controller last found of each service: the answer to "what is the state of my fleet", without AWS.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::{TargetId, document};
use crate::plan::PlannedResource;
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
    pub verdicts: BTreeMap<String, crate::model::Verdict>,
    /// The policies it was judged by.
    pub policy_set: String,
}

impl Stored for ServiceReport {
    const ITEM: &'static ItemKind = &items::REPORT;
}

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

    /// Writes a report.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&self, report: &ServiceReport) -> Result<(), RecordError> {
        typed::put(self.store, &self.key(&report.resource.resource), report, Expect::Any).await.map(|_| ())
    }

    /// Removes the report of a resource that is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn remove(&self, arn: &str) -> Result<(), RecordError> {
        let key = self.key(arn);
        self.store.delete(&key, Expect::Any).await.map_err(typed::failed(format!("removing the report of `{arn}`")))
    }

    /// All reports, by ARN.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<BTreeMap<String, ServiceReport>, RecordError> {
        let mut reports = BTreeMap::new();
        for shard in 0..SHARDS {
            for (arn, report) in typed::all::<ServiceReport>(self.store, &self.partition(shard), "").await? {
                reports.insert(arn, report.value);
            }
        }
        Ok(reports)
    }
}
