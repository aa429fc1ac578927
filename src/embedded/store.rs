//! The port `Store` on one SQLite connection. Knows nothing of how the file came to be.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value};

use super::schema;
use crate::model::Timestamp;
use crate::ports::StoreError;
use crate::ports::store::{Expect, Item, Key, MAX_BODY_BYTES, Page, Store};

/// A page of a query ends after this many items …
const PAGE_ITEMS: usize = 500;

/// … or after this much JSON, as DynamoDB's do: a caller that forgets to page fails on a laptop already.
const PAGE_BYTES: usize = 1 << 20;

/// A purge takes at most so many items: milliseconds, in which nobody else can write. With one in each full pass, a
/// minute apart, that is more than any fleet writes.
pub const PURGED_AT_ONCE: usize = 500;

/// A [`Store`] in one file, or in memory.
///
/// Guarantees: those of the port. Several processes may hold the same file; each write is one `BEGIN IMMEDIATE`
/// transaction, on the disk before it is acknowledged. On a file the work happens on tokio's blocking threads; in
/// memory it happens inside the poll, so that a single-threaded run is the same each time.
///
/// Assumptions: the file is on a local disk (SQLite's log needs shared memory, which network file systems lack).
#[derive(Clone)]
pub struct EmbeddedStore {
    connection: Arc<Mutex<Connection>>,
    name: Arc<str>,
    inline: bool,
}

impl EmbeddedStore {
    /// Makes the store at `path`, readable by its owner only, unless it is there already, and opens it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where no file can be made there or the one there is not ours, [`StoreError::Denied`]
    /// without permission. An existing file that is not ours is left as it is.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let name = name_of(path);
        Ok(Self::on(schema::create(path, &name)?, &name, false))
    }

    /// Opens the store at `path`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is no file, or one that is not ours or of another version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = name_of(path);
        Ok(Self::on(schema::open(path, &name)?, &name, false))
    }

    /// A store that is gone when its last clone is dropped: for the demo and for tests.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where SQLite cannot have the memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        let name = "memory:";
        Ok(Self::on(schema::in_memory(name)?, name, true))
    }

    fn on(connection: Connection, name: &str, inline: bool) -> Self {
        Self { connection: Arc::new(Mutex::new(connection)), name: name.into(), inline }
    }

    /// Does `work` on the connection. One connection is enough: a write takes as long as the disk takes to sync, and
    /// SQLite lets one writer at a time have the file anyway.
    async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        // A poisoned lock is no danger: a transaction that a panic cut short has been rolled back by its drop.
        let locked = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        let done = if self.inline {
            locked()
        } else {
            let joined = tokio::task::spawn_blocking(locked).await;
            joined.map_err(|error| self.unavailable(error.to_string()))?
        };
        done.map_err(|failure| match failure {
            Failure::Database(error) => schema::failed(&self.name, &error),
            Failure::Store(error) => error,
        })
    }

    fn unavailable(&self, message: String) -> StoreError {
        StoreError::Unavailable { store: self.describe(), message }
    }
}

/// Why work on the connection failed, before the store's name is known.
enum Failure {
    Database(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl Store for EmbeddedStore {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        let keys = keys.to_vec();
        Box::pin(self.run(move |connection| keys.into_iter().map(|key| read(connection, key)).collect()))
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let items = written(std::iter::once((key, body)), expires);
        Box::pin(async move {
            let items = items?;
            self.run(move |connection| put(connection, &items, expect)).await
        })
    }

    /// In one transaction: the disk is waited for once.
    fn put_all<'a>(&'a self, items: &'a [(Key, Map<String, Value>)]) -> BoxFuture<'a, Result<(), StoreError>> {
        let items = written(items.iter().map(|(key, body)| (key, body)), None);
        Box::pin(async move {
            let items = items?;
            self.run(move |connection| put(connection, &items, Expect::Any)).await.map(|_| ())
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        let key = key.clone();
        Box::pin(self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            demand(&transaction, &key, expect)?;
            transaction
                .prepare_cached("DELETE FROM items WHERE partition = ?1 AND sort = ?2")?
                .execute(params![key.partition, key.sort])?;
            transaction.commit()?;
            Ok(())
        }))
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        let (partition, prefix, after) = (partition.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        Box::pin(self.run(move |connection| page(connection, &partition, &prefix, after.as_deref())))
    }

    /// Nothing else removes them. The longest expired go first.
    fn purge(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.run(move |connection| {
            let limit = i64::try_from(PURGED_AT_ONCE).unwrap_or(i64::MAX);
            connection
                .prepare_cached(
                    "DELETE FROM items WHERE rowid IN
                     (SELECT rowid FROM items WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
                )?
                .execute(params![now.as_millis(), limit])
                .map_err(Failure::Database)
        }))
    }

    fn describe(&self) -> String {
        self.name.to_string()
    }
}

fn name_of(path: &Path) -> String {
    format!("file:{}", path.display())
}

/// An item as a row has it: the text of its body, and until when it is kept.
struct Written {
    key: Key,
    text: String,
    expires: Option<i64>,
}

fn written<'a>(
    items: impl Iterator<Item = (&'a Key, &'a Map<String, Value>)>,
    expires: Option<Timestamp>,
) -> Result<Vec<Written>, StoreError> {
    let write = |(key, body): (&Key, &Map<String, Value>)| {
        let key = key.clone();
        match serde_json::to_string(body) {
            Err(error) => Err(StoreError::Corrupt { key, message: error.to_string() }),
            Ok(text) if text.len() > MAX_BODY_BYTES => Err(StoreError::TooLarge { key, bytes: text.len() }),
            Ok(text) => Ok(Written { key, text, expires: expires.map(Timestamp::as_millis) }),
        }
    };
    items.map(write).collect()
}

/// Writes all of them, or none where `expect` does not hold for one. The version of the last one.
fn put(connection: &mut Connection, items: &[Written], expect: Expect) -> Result<u64, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut version = 0;
    for Written { key, text, expires } in items {
        version = demand(&transaction, key, expect)?.unwrap_or(0).saturating_add(1);
        let stored = i64::try_from(version).unwrap_or(i64::MAX);
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO items (partition, sort, version, body, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![key.partition, key.sort, stored, text, expires])?;
    }
    transaction.commit()?;
    Ok(version)
}

/// The version of the item at `key`, if `expect` holds for it.
fn demand(transaction: &Transaction<'_>, key: &Key, expect: Expect) -> Result<Option<u64>, Failure> {
    let found: Option<u64> = transaction
        .prepare_cached("SELECT version FROM items WHERE partition = ?1 AND sort = ?2")?
        .query_row(params![key.partition, key.sort], |row| version(row, 0))
        .optional()?;
    let holds = match expect {
        Expect::Absent => found.is_none(),
        Expect::Version(version) => found == Some(version),
        Expect::Any => true,
    };
    if holds { Ok(found) } else { Err(Failure::Store(StoreError::Conflict { key: key.clone() })) }
}

fn read(connection: &Connection, key: Key) -> Result<Option<Item>, Failure> {
    let found: Option<(u64, String)> = connection
        .prepare_cached("SELECT version, body FROM items WHERE partition = ?1 AND sort = ?2")?
        .query_row(params![key.partition, key.sort], |row| Ok((version(row, 0)?, row.get(1)?)))
        .optional()?;
    found.map(|(version, text)| parse(key, version, &text)).transpose()
}

/// One page of what starts with `prefix`: reads on from where it begins and stops at the first key that does not.
fn page(connection: &Connection, partition: &str, prefix: &str, after: Option<&str>) -> Result<Page, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT sort, version, body FROM items WHERE partition = ?1 AND sort >= ?2 AND (?3 IS NULL OR sort > ?3)
         ORDER BY sort LIMIT ?4",
    )?;
    let from = after.filter(|after| *after > prefix).unwrap_or(prefix);
    // One more than a page, to see whether there is more.
    let limit = i64::try_from(PAGE_ITEMS + 1).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![partition, from, after, limit], columns)?;
    let mut page = Page::default();
    let mut bytes = 0;
    for row in rows {
        let (sort, version, text) = row?;
        if !sort.starts_with(prefix) {
            return Ok(page);
        }
        if page.items.len() == PAGE_ITEMS || bytes >= PAGE_BYTES {
            page.next = page.items.last().map(|item| item.key.sort.clone());
            return Ok(page);
        }
        bytes += text.len();
        page.items.push(parse(Key::new(partition, sort), version, &text)?);
    }
    Ok(page)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<(String, u64, String)> {
    Ok((row.get(0)?, version(row, 1)?, row.get(2)?))
}

/// SQLite's integers are signed; versions start at 1.
fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}

fn parse(key: Key, version: u64, text: &str) -> Result<Item, Failure> {
    match serde_json::from_str(text) {
        Ok(body) => Ok(Item { key, version, body }),
        Err(error) => Err(Failure::Store(StoreError::Corrupt { key, message: error.to_string() })),
    }
}
