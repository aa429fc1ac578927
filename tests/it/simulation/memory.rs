//! A store in memory that takes no time. It keeps the contract of stores (`contract::memory`): what the simulation finds
//! is the controller's fault, and not this store's.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use plimsoll::model::Timestamp;
use plimsoll::ports::store::{Expect, Item, Key, MAX_BODY_BYTES, Page};
use plimsoll::ports::{Store, StoreError};
use serde_json::{Map, Value};

/// Small, so that paging is used.
const PAGE: usize = 7;

#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<BTreeMap<Key, Item>>);

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The item there, looked at from outside of the run.
    pub(crate) fn peek(&self, key: &Key) -> Option<Item> {
        self.lock().get(key).cloned()
    }

    /// Every item whose partition and sort key begin so.
    pub(crate) fn all(&self, partition: &str, sort: &str) -> Vec<Item> {
        let items = self.lock();
        let from = Key::new(partition, sort);
        let rest = items.range(from..).take_while(|(key, _)| key.partition == partition);
        rest.filter(|(key, _)| key.sort.starts_with(sort)).map(|(_, item)| item.clone()).collect()
    }

    fn expected(items: &BTreeMap<Key, Item>, key: &Key, expect: Expect) -> Result<(), StoreError> {
        let version = items.get(key).map(|item| item.version);
        match expect {
            Expect::Any => Ok(()),
            Expect::Absent if version.is_none() => Ok(()),
            Expect::Version(wanted) if version == Some(wanted) => Ok(()),
            Expect::Absent | Expect::Version(_) => Err(StoreError::Conflict { key: key.clone() }),
        }
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move {
            let items = self.lock();
            Ok(keys.iter().map(|key| items.get(key).cloned()).collect())
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        _: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let bytes = Value::Object(body.clone()).to_string().len();
            if bytes > MAX_BODY_BYTES {
                return Err(StoreError::TooLarge { key: key.clone(), bytes });
            }
            let mut items = self.lock();
            Self::expected(&items, key, expect)?;
            let version = items.get(key).map_or(0, |item| item.version) + 1;
            items.insert(key.clone(), Item { key: key.clone(), version, body: body.clone() });
            Ok(version)
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut items = self.lock();
            Self::expected(&items, key, expect)?;
            items.remove(key);
            Ok(())
        })
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let items = self.lock();
            let from = match after {
                Some(after) => Bound::Excluded(Key::new(partition, after)),
                None => Bound::Included(Key::new(partition, prefix)),
            };
            let mut found = items
                .range((from, Bound::Unbounded))
                .take_while(|(key, _)| key.partition == partition)
                .filter(|(key, _)| key.sort.starts_with(prefix))
                .map(|(_, item)| item.clone());
            let page: Vec<Item> = found.by_ref().take(PAGE).collect();
            let next = found.next().and_then(|_| page.last().map(|item| item.key.sort.clone()));
            Ok(Page { items: page, next })
        })
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
