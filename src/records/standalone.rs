//! What the controller last found outside of services: a partition of its own, so that lists of services stay that.

use std::collections::BTreeMap;

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::TargetId;
use crate::plan::{PlannedStandalone, StandaloneReport};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

impl Stored for PlannedStandalone {
    const ITEM: &'static ItemKind = &items::STANDALONE;
}

/// Rows by their sort keys, as last written.
pub type Written = BTreeMap<String, PlannedStandalone>;

/// What was found outside of the services of one target.
#[derive(Clone, Copy)]
pub struct StandaloneReports<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

impl<'a> StandaloneReports<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn partition(&self) -> String {
        format!("rt#{}#standalone", self.target)
    }

    /// All rows, by revision and cluster.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Written, RecordError> {
        let rows = typed::all::<PlannedStandalone>(self.store, &self.partition(), "").await?;
        Ok(rows.into_iter().map(|(key, row)| (key, row.value)).collect())
    }

    /// Writes what differs from what is written, and removes what is no more where everything was seen; says how many
    /// writes it took.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&self, report: &StandaloneReport, written: &mut Option<Written>) -> Result<usize, RecordError> {
        let mut known = match written.take() {
            Some(known) => known,
            None => self.list().await?,
        };
        let whole = report.gaps.is_empty();
        let wanted: Written = report.rows.iter().map(|row| (sort_key(row), row.clone())).collect();
        let mut writes = 0;
        for (key, row) in &wanted {
            if known.get(key) != Some(row) {
                typed::put(self.store, &Key::new(self.partition(), key.clone()), row, Expect::Any).await?;
                known.insert(key.clone(), row.clone());
                writes += 1;
            }
        }
        let gone: Vec<String> = known.keys().filter(|key| whole && !wanted.contains_key(*key)).cloned().collect();
        for key in gone {
            let failed = typed::failed(format!("removing the report of `{key}`"));
            self.store.delete(&Key::new(self.partition(), key.clone()), Expect::Any).await.map_err(failed)?;
            known.remove(&key);
            writes += 1;
        }
        *written = Some(known);
        Ok(writes)
    }
}

fn sort_key(row: &PlannedStandalone) -> String {
    format!("{}#{}", row.resource, row.cluster.as_ref().map_or("-", |cluster| cluster.name()))
}
