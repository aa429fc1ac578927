//! Rollouts, Changes, Registrations and Holds of one target.
//!
//! Every write is conditional on the version that was read, and a takeover stamps its epoch on every open record
//! first: what a former holder of the lease still tries to write is refused.

use std::collections::BTreeMap;

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored, Versioned};
use crate::model::Hold;
use crate::model::TargetId;
use crate::ports::Store;
use crate::ports::store::{Expect, Key};
use crate::rollout::{Change, Registration, Rollout};

/// The campaign records of one target.
#[derive(Clone, Copy)]
pub struct Campaigns<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

/// A rollout and its changes, with their versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// The rollout.
    pub rollout: Versioned<Rollout>,
    /// Its changes, in the order of the plan.
    pub changes: Vec<Versioned<Change>>,
}

/// Everything that can be written here, and where it lives.
pub trait CampaignRecord: Stored {
    /// Its sort key.
    fn sort_key(&self) -> String;
    /// The lease epoch it carries, to be stamped.
    fn set_epoch(&mut self, epoch: u64);
}

impl Stored for Rollout {
    const ITEM: &'static ItemKind = &items::ROLLOUT;
}

impl Stored for Change {
    const ITEM: &'static ItemKind = &items::CHANGE;
}

impl Stored for Registration {
    const ITEM: &'static ItemKind = &items::REGISTRATION;
}

impl Stored for Hold {
    const ITEM: &'static ItemKind = &items::HOLD;
}

impl CampaignRecord for Rollout {
    fn sort_key(&self) -> String {
        format!("rollout#{}", self.name)
    }
    fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }
}

impl CampaignRecord for Change {
    fn sort_key(&self) -> String {
        format!("change#{}", self.name.replacen('/', "#", 1))
    }
    fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }
}

impl CampaignRecord for Registration {
    fn sort_key(&self) -> String {
        format!("registration#{}#{}", self.from.short(), self.wanted)
    }
    fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }
}

impl CampaignRecord for Hold {
    fn sort_key(&self) -> String {
        format!("hold#{}#{}#{}", self.resource.as_str(), self.policy, self.fix)
    }
    fn set_epoch(&mut self, _: u64) {}
}

impl<'a> Campaigns<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn partition(&self) -> String {
        format!("rt#{}#rollouts", self.target)
    }

    /// Creates a record, or writes it over the version that was read.
    ///
    /// # Errors
    /// A conflict where somebody else wrote it since.
    pub async fn put<T: CampaignRecord>(&self, record: &T, version: Option<u64>) -> Result<u64, RecordError> {
        let expect = version.map_or(Expect::Absent, Expect::Version);
        typed::put(self.store, &Key::new(self.partition(), record.sort_key()), record, expect).await
    }

    /// The record of that sort key, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn get<T: CampaignRecord>(&self, sort_key: &str) -> Result<Option<Versioned<T>>, RecordError> {
        typed::get(self.store, Key::new(self.partition(), sort_key)).await
    }

    /// Removes a record, as it was read.
    ///
    /// # Errors
    /// A conflict where somebody else wrote it since, or removed it: then it is theirs.
    pub async fn remove<T: CampaignRecord>(&self, record: &Versioned<T>) -> Result<(), RecordError> {
        let key = Key::new(self.partition(), record.value.sort_key());
        self.store
            .delete(&key, Expect::Version(record.version))
            .await
            .map_err(typed::failed(format!("removing `{}`", key.sort)))
    }

    /// All rollouts, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn rollouts(&self) -> Result<Vec<Versioned<Rollout>>, RecordError> {
        self.list("rollout#").await
    }

    /// One rollout with its changes.
    ///
    /// # Errors
    /// The store's.
    pub async fn campaign(&self, name: &str) -> Result<Option<Campaign>, RecordError> {
        let key = Key::new(self.partition(), format!("rollout#{name}"));
        let Some(rollout) = typed::get::<Rollout>(self.store, key).await? else { return Ok(None) };
        Ok(Some(Campaign { rollout, changes: self.list(&format!("change#{name}#")).await? }))
    }

    /// All rollouts with their changes, by name.
    ///
    /// # Errors
    /// The store's.
    pub async fn campaigns(&self) -> Result<Vec<Campaign>, RecordError> {
        let rollouts = self.rollouts().await?;
        let mut by_rollout: BTreeMap<String, Vec<Versioned<Change>>> = BTreeMap::new();
        for change in self.list::<Change>("change#").await? {
            by_rollout.entry(change.value.spec.rollout.clone()).or_default().push(change);
        }
        let campaign = |rollout: Versioned<Rollout>| {
            let changes = by_rollout.remove(&rollout.value.name).unwrap_or_default();
            Campaign { rollout, changes }
        };
        Ok(rollouts.into_iter().map(campaign).collect())
    }

    /// All registrations.
    ///
    /// # Errors
    /// The store's.
    pub async fn registrations(&self) -> Result<Vec<Versioned<Registration>>, RecordError> {
        self.list("registration#").await
    }

    /// All holds.
    ///
    /// # Errors
    /// The store's.
    pub async fn holds(&self) -> Result<Vec<Versioned<Hold>>, RecordError> {
        self.list("hold#").await
    }

    async fn list<T: Stored>(&self, prefix: &str) -> Result<Vec<Versioned<T>>, RecordError> {
        let values = typed::all(self.store, &self.partition(), prefix).await?;
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}
