//! Who may write to a target: one item, taken over when it has not changed for a whole lease on the taker's own clock.
//!
//! Wall clocks are not compared: they differ between machines. Time is counted on a clock that does not stop while the
//! machine sleeps (`Clock::monotonic`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored, Versioned};
use crate::model::{TargetId, Timestamp};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Who holds it; `None` after a clean stop: free at once.
    pub holder: Option<String>,
    /// Counts its holders. Every record carries the epoch it was written under.
    pub epoch: u64,
    /// How long it holds without renewal, in milliseconds.
    pub length_millis: u64,
    /// When it was last renewed by the holder's wall clock: to read, never to decide by.
    pub renewed_at: Timestamp,
}

impl Lease {
    /// How long it holds without renewal.
    #[must_use]
    pub const fn length(&self) -> Duration {
        Duration::from_millis(self.length_millis)
    }
}

impl Stored for Lease {
    const ITEM: &'static ItemKind = &items::LEASE;
}

/// The lease of one target.
#[derive(Clone, Copy)]
pub struct Leases<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

impl<'a> Leases<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn key(&self) -> Key {
        Key::new(format!("rt#{}", self.target), "lease")
    }

    /// The lease as it is.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(&self) -> Result<Option<Versioned<Lease>>, RecordError> {
        typed::get(self.store, self.key()).await
    }

    /// Writes it over the version that was read (`None`: there was none), and answers with its new version.
    ///
    /// # Errors
    /// A conflict where somebody else was faster.
    pub async fn write(&self, lease: &Lease, version: Option<u64>) -> Result<u64, RecordError> {
        typed::put(self.store, &self.key(), lease, version.map_or(Expect::Absent, Expect::Version)).await
    }
}
