//! Items of the store as values of a type.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::items::ItemKind;
use crate::model::Timestamp;
use crate::ports::store::{Expect, Item, Key};
use crate::ports::{Store, StoreError};

/// A record that could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The store failed.
    #[error("{action} failed")]
    Store {
        /// What was being done.
        action: String,
        /// How it failed.
        #[source]
        source: StoreError,
    },
    /// What is stored is not what this version can read, or what is to be stored cannot be written.
    #[error("the record `{}`/`{}` has an unexpected shape: {message}", key.partition, key.sort)]
    Shape {
        /// Which.
        key: Key,
        /// What is wrong with it.
        message: String,
    },
    /// A later version of plimsoll wrote it, in a shape that this one does not know.
    #[error("the record `{}`/`{}` has shape {schema}, and this plimsoll knows shapes up to {known}", key.partition, key.sort)]
    Newer {
        /// Which.
        key: Key,
        /// The shape it names.
        schema: u64,
        /// The newest shape that can be read here.
        known: u32,
    },
}

impl RecordError {
    /// Whether somebody else wrote first.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Store { source: StoreError::Conflict { .. }, .. })
    }
}

/// What is kept as an item of one kind.
pub trait Stored: Serialize + DeserializeOwned {
    /// Which kind.
    const ITEM: &'static ItemKind;
}

/// The member by which a body names its shape. Items of before it was written have shape 1.
const SCHEMA: &str = "schema";

/// A value and the version of the item it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// For the next conditional write.
    pub version: u64,
    /// The value.
    pub value: T,
}

pub(super) fn failed(action: impl Into<String>) -> impl FnOnce(StoreError) -> RecordError {
    move |source| RecordError::Store { action: action.into(), source }
}

pub(super) fn parse<T: Stored>(item: Item) -> Result<Versioned<T>, RecordError> {
    let schema = item.body.get(SCHEMA).map_or(Some(1), Value::as_u64);
    match schema {
        None => {
            let message = format!("its `{SCHEMA}` is no number");
            return Err(RecordError::Shape { key: item.key, message });
        }
        // Guessing what a later version meant could undo what it decided.
        Some(schema) if schema > u64::from(T::ITEM.schema) => {
            return Err(RecordError::Newer { key: item.key, schema, known: T::ITEM.schema });
        }
        Some(_) => {}
    }
    match serde_json::from_value(Value::Object(item.body)) {
        Ok(value) => Ok(Versioned { version: item.version, value }),
        Err(error) => Err(RecordError::Shape { key: item.key, message: error.to_string() }),
    }
}

pub(super) fn body<T: Stored>(key: &Key, value: &T) -> Result<Map<String, Value>, RecordError> {
    debug_assert!(T::ITEM.lives_at(key), "`{}` is not kept at {key:?}", T::ITEM.name);
    let shape = |message: String| RecordError::Shape { key: key.clone(), message };
    match serde_json::to_value(value).map_err(|error| shape(error.to_string()))? {
        Value::Object(mut members) => {
            members.entry(SCHEMA).or_insert_with(|| Value::from(T::ITEM.schema));
            Ok(members)
        }
        _ => Err(shape("it is not an object".to_owned())),
    }
}

/// The value at `key`, if there is one.
pub(super) async fn get<T: Stored>(store: &dyn Store, key: Key) -> Result<Option<Versioned<T>>, RecordError> {
    let action = format!("reading `{}`", key.sort);
    let mut items = store.get(std::slice::from_ref(&key)).await.map_err(failed(action))?;
    items.pop().flatten().map(parse).transpose()
}

/// Writes `value` at `key` if `expect` holds, and answers with its version.
pub(super) async fn put<T: Stored>(
    store: &dyn Store,
    key: &Key,
    value: &T,
    expect: Expect,
) -> Result<u64, RecordError> {
    put_until(store, key, value, expect, None).await
}

/// The same, of what may disappear after a time.
pub(super) async fn put_until<T: Stored>(
    store: &dyn Store,
    key: &Key,
    value: &T,
    expect: Expect,
    expires: Option<Timestamp>,
) -> Result<u64, RecordError> {
    let body = body(key, value)?;
    store.put(key, &body, expect, expires).await.map_err(failed(format!("writing `{}`", key.sort)))
}

/// All values of a partition whose sort keys start with `prefix`, with those keys.
pub(super) async fn all<T: Stored>(
    store: &dyn Store,
    partition: &str,
    prefix: &str,
) -> Result<Vec<(String, Versioned<T>)>, RecordError> {
    let mut values = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .query(partition, prefix, after.as_deref())
            .await
            .map_err(failed(format!("listing `{prefix}` of `{partition}`")))?;
        for item in page.items {
            values.push((item.key.sort.clone(), parse(item)?));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(values),
        }
    }
}
