//! What pages are made of: the records of all targets, read together, and kept for as long as is worth it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::model::spec::Spec;
use crate::model::{Hold, TargetId, Timestamp};
use crate::ports::{Clock, Store};
use crate::records::RecordError;
use crate::records::applications::Applications;
use crate::records::campaign::{Campaign, Campaigns};
use crate::records::configuration::{Configuration, Configurations};
use crate::records::events::{Event, Events};
use crate::records::lease::{Lease, Leases};
use crate::records::reports::{Reports, ServiceReport};
use crate::records::statuses::{ClusterStatus, PolicyStatus, Status, Statuses, WaiverStatus};
use crate::records::targets::{TargetRecord, Targets};

/// All records, as they were at one time.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// When they were read.
    pub at: Timestamp,
    /// What people wrote.
    pub configuration: Configuration,
    /// Every target that a controller has worked on.
    pub targets: Vec<TargetSnapshot>,
}

/// The records of one target.
#[derive(Debug, Clone)]
pub struct TargetSnapshot {
    /// Which.
    pub id: TargetId,
    /// Counters and conditions.
    pub record: TargetRecord,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// What was found, by ARN.
    pub reports: BTreeMap<String, ServiceReport>,
    /// Rollouts and their changes.
    pub campaigns: Vec<Campaign>,
    /// Fixes that are held off.
    pub holds: Vec<Hold>,
    /// How policies stand.
    pub policies: BTreeMap<String, PolicyStatus>,
    /// What waivers are good for.
    pub waivers: BTreeMap<String, WaiverStatus>,
    /// Days of clusters, by name.
    pub clusters: BTreeMap<String, ClusterStatus>,
}

impl Snapshot {
    /// Reads everything.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(store: &dyn Store, clock: &dyn Clock) -> Result<Self, RecordError> {
        let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
        let mut targets = Vec::new();
        for id in Targets::of(store).list().await? {
            targets.push(TargetSnapshot::read(store, id).await?);
        }
        Ok(Self { at: clock.now(), configuration, targets })
    }
}

impl Snapshot {
    /// Whether anybody is to watch that target. Without any Target object it is that of the credentials in use, and whose
    /// those are nobody here knows: then all of them are.
    #[must_use]
    pub fn is_watched(&self, id: &TargetId) -> bool {
        let specs = self.configuration.objects.iter().filter_map(|object| match &object.spec {
            Spec::Target(spec) => Some(spec),
            _ => None,
        });
        let mut named = specs.peekable();
        named.peek().is_none() || named.any(|spec| spec.account == id.account && spec.region == id.region)
    }

    /// The targets that count. One whose Target object was deleted stays on record, and what was found in it is of then.
    pub fn watched(&self) -> impl Iterator<Item = &TargetSnapshot> {
        self.targets.iter().filter(|target| self.is_watched(&target.id))
    }
}

impl TargetSnapshot {
    async fn read(store: &dyn Store, id: TargetId) -> Result<Self, RecordError> {
        async fn statuses<T: Status>(store: &dyn Store, id: &TargetId) -> Result<BTreeMap<String, T>, RecordError> {
            let listed = Statuses::of(store, id).list::<T>().await?;
            Ok(listed.into_iter().map(|(name, status)| (name, status.value)).collect())
        }
        let campaigns = Campaigns::of(store, &id);
        Ok(Self {
            record: Targets::of(store).read(&id).await?.map(|record| record.value).unwrap_or_default(),
            lease: Leases::of(store, &id).read().await?.map(|lease| lease.value),
            reports: Reports::of(store, &id).list().await?,
            campaigns: campaigns.campaigns().await?,
            holds: campaigns.holds().await?.into_iter().map(|hold| hold.value).collect(),
            policies: statuses(store, &id).await?,
            waivers: statuses(store, &id).await?,
            clusters: statuses(store, &id).await?,
            id,
        })
    }
}

/// The event log of all targets, and of what people wrote, newest first.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    /// When it was read.
    pub at: Timestamp,
    /// Its entries; those of what people wrote have no target.
    pub events: Vec<(Option<TargetId>, Event)>,
}

impl EventLog {
    /// Reads all of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(store: &dyn Store, clock: &dyn Clock) -> Result<Self, RecordError> {
        let applied = Applications::of(store).list().await?;
        let mut events: Vec<_> = applied.into_iter().map(|event| (None, event)).collect();
        for target in Targets::of(store).list().await? {
            let log = Events::of(store, &target).list("").await?;
            events.extend(log.into_iter().map(|event| (Some(target.clone()), event)));
        }
        events.sort_by(|(_, one), (_, other)| {
            (other.at, &other.subject, other.number).cmp(&(one.at, &one.subject, one.number))
        });
        Ok(Self { at: clock.now(), events })
    }
}

/// How long what was read is shown at least: however many look, the store is read no more often.
const FRESH: Duration = Duration::from_secs(2);

/// And at least so many times as long as reading it took: a tenth of the time, at most, is spent reading, also where ten
/// thousand services make a read long and cost money.
const FRESH_TIMES: u32 = 10;

/// A value that is read again when it is no longer fresh, once for all who ask.
#[derive(Debug)]
pub struct Cached<T>(Mutex<Option<Kept<T>>>);

#[derive(Debug)]
struct Kept<T> {
    value: Arc<T>,
    until: Instant,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

/// What was read, and whether it could be read again.
pub type Looked<T> = (Arc<T>, Option<RecordError>);

impl<T> Cached<T> {
    /// The value. Where it cannot be read again the last one, with the error.
    ///
    /// # Errors
    /// Where it could never be read.
    pub async fn get(&self, read: impl Future<Output = Result<T, RecordError>>) -> Result<Looked<T>, RecordError> {
        // Whoever comes while it is being read waits for that.
        let mut kept = self.0.lock().await;
        let began = Instant::now();
        if let Some(kept) = kept.as_ref().filter(|kept| began < kept.until) {
            return Ok((Arc::clone(&kept.value), None));
        }
        match (read.await, kept.as_ref()) {
            (Ok(value), _) => {
                let value = Arc::new(value);
                let ended = Instant::now();
                let fresh = FRESH.max(ended.saturating_duration_since(began) * FRESH_TIMES);
                *kept = Some(Kept { value: Arc::clone(&value), until: ended + fresh });
                Ok((value, None))
            }
            (Err(error), Some(kept)) => Ok((Arc::clone(&kept.value), Some(error))),
            (Err(error), None) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::ports::StoreError;
    use crate::ports::store::Key;

    fn lost() -> RecordError {
        let key = Key::new("a", "b");
        RecordError::Store { action: "reading".to_owned(), source: StoreError::Conflict { key } }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_once_for_all_and_less_often_the_longer_it_takes() {
        let (cached, reads) = (Cached::default(), AtomicU32::new(0));
        let look = || {
            cached.get(async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok(reads.fetch_add(1, Ordering::Relaxed))
            })
        };
        let (one, other) = futures::join!(look(), look());
        assert_eq!((*one.unwrap().0, *other.unwrap().0), (0, 0));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(*look().await.unwrap().0, 0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(*look().await.unwrap().0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_again_is_shown_as_it_was_and_said_to_be() {
        let cached = Cached::default();
        assert!(cached.get(async { Err(lost()) }).await.is_err());
        assert_eq!(cached.get(async { Ok(1) }).await.unwrap(), (Arc::new(1), None));
        tokio::time::advance(FRESH * 2).await;
        assert_eq!(cached.get(async { Err(lost()) }).await.unwrap(), (Arc::new(1), Some(lost())));
        assert_eq!(cached.get(async { Ok(2) }).await.unwrap(), (Arc::new(2), None));
    }
}
