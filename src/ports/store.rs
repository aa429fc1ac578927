//! The system of record, as a keyed store with compare-and-swap.
//!
//! Nothing more than single-item conditional writes is asked of it, because that is what every DynamoDB has
//! (dynalite has no transactions) and all the design needs: what must be atomic lives in one item.

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::model::Timestamp;

/// The largest body that every store keeps, in bytes of its JSON. DynamoDB ends an item at 400 KB, names and keys
/// included.
pub const MAX_BODY_BYTES: usize = 350 * 1024;

/// Where an item lives. The partition starts with the class of its writer (`cfg#`, `cmd#`, `rt#`), so that IAM's
/// `dynamodb:LeadingKeys` can part people's rights from the controller's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition key. Not empty, at most 2,048 bytes (a limit of DynamoDB).
    pub partition: String,
    /// The sort key. Ordered bytewise. Not empty, at most 1,024 bytes (a limit of DynamoDB).
    pub sort: String,
}

impl Key {
    /// A key of its two parts.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

/// One stored item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it lives.
    pub key: Key,
    /// Counts its writes: 1 when created, one more with each write. After a delete and a new creation it is 1 again.
    pub version: u64,
    /// What it says. Kept as one JSON string, so that member order, empty strings and numbers survive.
    pub body: Map<String, Value>,
}

/// What must be so for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No item lives there.
    Absent,
    /// The item there has this version.
    Version(u64),
    /// Whatever is there.
    Any,
}

/// One page of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// In the order of their sort keys.
    pub items: Vec<Item>,
    /// Where to go on (exclusive); `None` at the end.
    pub next: Option<String>,
}

/// A keyed store with compare-and-swap.
///
/// Guarantees owed by every implementation:
/// - Reads are strongly consistent: they see every write that has been acknowledged.
/// - A write happens wholly or not at all, and only if its [`Expect`] holds; else [`StoreError::Conflict`].
/// - An acknowledged write survives `kill -9` of this process.
/// - Bodies up to [`MAX_BODY_BYTES`] of JSON are kept; larger ones are refused with [`StoreError::TooLarge`].
/// - Several processes may use the same store at once.
///
/// Cancellation: dropping the future of a write leaves its outcome unknown.
pub trait Store: Send + Sync {
    /// The items at `keys`, in that order, `None` where there is none. One round trip for up to 100 keys.
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>>;

    /// Writes `body` at `key` if `expect` holds, and answers with its new version. An item with `expires` may
    /// disappear at any time after it.
    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Writes each body at its key, whatever is there, as [`put`](Self::put) does, and in any order: for many items that
    /// nobody else writes. Where it fails, any of them may be there. A store to which one write costs as much as many
    /// (a sync of the disk, a round trip) does better than one after another.
    fn put_all<'a>(&'a self, items: &'a [(Key, Map<String, Value>)]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            for (key, body) in items {
                self.put(key, body, Expect::Any, None).await?;
            }
            Ok(())
        })
    }

    /// Deletes the item at `key` if `expect` holds. With [`Expect::Any`], deleting nothing is no error.
    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The items of `partition` whose sort keys start with `prefix`, in the order of their sort keys, after `after`
    /// (exclusive). A page may be shorter than what is left, even empty; only `next: None` is the end.
    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Removes some of the items that expired before `now`, a bounded number, and says how many. A store that removes
    /// them by itself does nothing.
    fn purge(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        let _ = now;
        Box::pin(std::future::ready(Ok(0)))
    }

    /// What it is, for people: `dynamodb://plimsoll`, `file:plimsoll.db`.
    fn describe(&self) -> String;
}

/// A store operation that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote it first: read again, decide again.
    #[error("`{}`/`{}` was changed by somebody else", key.partition, key.sort)]
    Conflict {
        /// Which item.
        key: Key,
    },
    /// There is no such store yet: no table, no file, or not one of ours.
    #[error("there is no store at `{store}`: {message}")]
    Missing {
        /// As [`Store::describe`] says it.
        store: String,
        /// What exactly is missing.
        message: String,
    },
    /// It is there, and damaged as a whole: coming back later does not help.
    #[error("the store at `{store}` is damaged: {message}")]
    Damaged {
        /// As [`Store::describe`] says it.
        store: String,
        /// In its own words.
        message: String,
    },
    /// It says no: credentials, permissions.
    #[error("no access to `{store}`: {message}")]
    Denied {
        /// As [`Store::describe`] says it.
        store: String,
        /// In its own words.
        message: String,
    },
    /// It does not answer, or asks to come back later. A write may have happened.
    #[error("`{store}` does not answer: {message}")]
    Unavailable {
        /// As [`Store::describe`] says it.
        store: String,
        /// What happened.
        message: String,
    },
    /// The item is larger than every store can keep.
    #[error("`{}`/`{}` is too large to store: {bytes} bytes", key.partition, key.sort)]
    TooLarge {
        /// Which item.
        key: Key,
        /// Of its JSON.
        bytes: usize,
    },
    /// What is stored there is not what this version can read.
    #[error("`{}`/`{}` cannot be read: {message}", key.partition, key.sort)]
    Corrupt {
        /// Which item.
        key: Key,
        /// What is wrong with it.
        message: String,
    },
}
