//! Which targets there are, and their counters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::items::{self, ItemKind};
use super::lease::{Lease, Leases};
use super::typed::{self, RecordError, Stored, Versioned};
use crate::model::{Reason, TargetId, Timestamp};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

/// What is kept of a target as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetRecord {
    /// How many rollouts it has had: what names are numbered from.
    pub rollouts: u64,
    /// How many of them are there: written after a rollout, on the version that its number was taken at, so that who has
    /// lost the lease meanwhile learns of it before it moves anything.
    #[serde(default)]
    pub created: u64,
    /// How many Commands were carried out or refused: written before each answer, for the same reason. Holds and rollouts
    /// that have ended bear no epoch of whoever took over, and what a former holder does to these would be done for nobody.
    #[serde(default)]
    pub obeyed: u64,
    /// The lease epoch in which it was last written or taken over.
    #[serde(default)]
    pub epoch: u64,
    /// Of older shapes, and never written: when a full pass last ended is a metric, and a write a minute is money.
    #[serde(default)]
    pub observed_at: Option<Timestamp>,
    /// What keeps passes from being complete.
    #[serde(default)]
    pub conditions: Vec<Reason>,
    /// When each change began, as older programs counted: the histories of the changes tell by now.
    #[serde(default)]
    pub begun: Vec<Timestamp>,
    /// Fixes whose rollout was ended or taken back, and its name: they wait for a person.
    #[serde(default)]
    pub stopped_fixes: BTreeMap<String, String>,
}

impl Stored for TargetRecord {
    const ITEM: &'static ItemKind = &items::TARGET_RECORD;
}

impl Stored for TargetId {
    const ITEM: &'static ItemKind = &items::KNOWN_TARGET;
}

/// Reads and writes what is kept of targets.
#[derive(Clone, Copy)]
pub struct Targets<'a> {
    store: &'a dyn Store,
}

impl<'a> Targets<'a> {
    /// In this store.
    #[must_use]
    pub fn of(store: &'a dyn Store) -> Self {
        Self { store }
    }

    /// Makes a target known to whoever lists them.
    ///
    /// # Errors
    /// The store's.
    pub async fn announce(&self, target: &TargetId) -> Result<(), RecordError> {
        let key = Key::new("rt#targets", target.to_string());
        if typed::get::<TargetId>(self.store, key.clone()).await?.is_none() {
            typed::put(self.store, &key, target, Expect::Any).await?;
        }
        Ok(())
    }

    /// Every target that a controller has worked on, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<TargetId>, RecordError> {
        let targets = typed::all::<TargetId>(self.store, "rt#targets", "").await?;
        Ok(targets.into_iter().map(|(_, target)| target.value).collect())
    }

    /// What is kept of a target.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(&self, target: &TargetId) -> Result<Option<Versioned<TargetRecord>>, RecordError> {
        typed::get(self.store, key(target)).await
    }

    /// Keeps what keeps passes over a target from being complete, where that is something else than is kept.
    ///
    /// # Errors
    /// A conflict where somebody else wrote it since.
    pub async fn tell(&self, target: &TargetId, reason: Reason) -> Result<(), RecordError> {
        let read = self.read(target).await?;
        let version = read.as_ref().map(|record| record.version);
        let record = read.map(|record| record.value).unwrap_or_default();
        let conditions = vec![reason];
        if record.conditions != conditions {
            self.write(target, &TargetRecord { conditions, ..record }, version).await?;
        }
        Ok(())
    }

    /// The same of a target that was not reached, and makes it known; not where another controller has it. Whether one
    /// has is told by the wall clock: it is of no matter but for what is shown.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    pub async fn tell_unwatched(&self, target: &TargetId, reason: Reason, now: Timestamp) -> Result<(), RecordError> {
        let lease = Leases::of(self.store, target).read().await?.map(|lease| lease.value);
        let holds = |lease: &Lease| lease.holder.is_some() && lease.renewed_at + lease.length() > now;
        if lease.as_ref().is_some_and(holds) {
            return Ok(());
        }
        self.announce(target).await?;
        self.tell(target, reason).await
    }

    /// Writes it over the version that was read.
    ///
    /// # Errors
    /// A conflict where somebody else wrote it since.
    pub async fn write(
        &self,
        target: &TargetId,
        record: &TargetRecord,
        version: Option<u64>,
    ) -> Result<u64, RecordError> {
        typed::put(self.store, &key(target), record, version.map_or(Expect::Absent, Expect::Version)).await
    }
}

fn key(target: &TargetId) -> Key {
    Key::new(format!("rt#{target}"), "target")
}
