//! The port on a table: reads, and what failures mean. Knows nothing of how the table came to be.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value};

use super::item::{self, Attributes, PARTITION, SORT};
use super::write::{Put, too_large};
use crate::aws::Timeouts;
use crate::aws::error::kind_of_denial;
use crate::aws::failure::Failure;
use crate::model::Timestamp;
use crate::ports::StoreError;
use crate::ports::store::{Expect, Item, Key, MAX_BODY_BYTES, Page, Store};

/// What BatchGetItem takes at once (DynamoDB API reference).
const BATCH: usize = 100;

/// How many writes of items that nobody else writes are under way at once. Ten thousand reports one after another would
/// take as many round trips, a minute; and a table on demand takes some thousand writes a second from the start.
const WRITES_AT_ONCE: usize = 8;

/// Attempts of one write, and of getting on with unprocessed keys. With the pauses below, 3 s: longer than DynamoDB
/// takes to split a hot partition's burst, shorter than anybody's patience or lease.
pub(super) const ATTEMPTS: u32 = 6;

/// The pause after a failed attempt, doubled each time: 100 ms … 1.6 s. No jitter: writers of one item are few, and
/// each has its own conditional failure to tell them apart.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A [`Store`] in a DynamoDB table.
///
/// Guarantees: those of the port. Reads are strongly consistent and tried up to three times by the SDK. A write is
/// tried again after throttling and after a lost answer, and knows its own earlier attempt when it meets it.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) timeouts: Timeouts,
    region: String,
}

impl DynamoStore {
    pub(in crate::aws) fn new(config: &SdkConfig, region: &str, table: &str, timeouts: Timeouts) -> Self {
        Self { client: Client::new(config), table: table.to_owned(), region: region.to_owned(), timeouts }
    }

    /// What a failure means to whoever asked.
    pub(super) fn failed(&self, failure: &Failure) -> StoreError {
        let store = self.describe();
        let message = failure.message().to_owned();
        match failure {
            Failure::NoCredentials { .. } => StoreError::Denied { store, message },
            Failure::Answered { code: Some(code), .. } => match code.as_str() {
                "ResourceNotFoundException" => {
                    let message =
                        format!("there is no such table in {}; `plimsoll store init` makes it: {message}", self.region);
                    StoreError::Missing { store, message }
                }
                // Of a table with other keys than ours: what we send is otherwise valid.
                "ValidationException" => StoreError::Missing { store, message: format!("not one of ours: {message}") },
                code if kind_of_denial(code).is_some() => {
                    StoreError::Denied { store, message: format!("{code}: {message}") }
                }
                code => StoreError::Unavailable { store, message: format!("{code}: {message}") },
            },
            Failure::Answered { code: None, .. }
            | Failure::Unreachable { .. }
            | Failure::NotSent { .. }
            | Failure::Lost { .. } => StoreError::Unavailable { store, message },
        }
    }

    pub(super) fn read_failed<E>(&self, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.failed(&Failure::of(error))
    }

    /// One BatchGetItem and what it leaves unprocessed (16 MB at once, or throttled), until nothing is left.
    async fn get_batch(&self, keys: &[&Key]) -> Result<Vec<Item>, StoreError> {
        let mut left: Vec<Attributes> =
            keys.iter().map(|key| item::key_attributes(&key.partition, &key.sort)).collect();
        let mut items = Vec::with_capacity(keys.len());
        let mut fruitless = 0;
        while !left.is_empty() {
            let asked = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(left)).build();
            let asked = asked.map_err(|error| self.unavailable(error.to_string()))?;
            let answer = self.client.batch_get_item().request_items(&self.table, asked).send().await;
            let answer = answer.map_err(|error| self.read_failed(&error))?;
            let found = answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default();
            fruitless = if found.is_empty() { fruitless + 1 } else { 0 };
            items.extend(found.iter().map(item::parse).collect::<Result<Vec<_>, _>>()?);
            left = answer.unprocessed_keys.unwrap_or_default().remove(&self.table).map_or(Vec::new(), |keys| keys.keys);
            if !left.is_empty() && fruitless > 0 {
                if fruitless == ATTEMPTS {
                    return Err(self.unavailable(format!("{} keys stay unprocessed", left.len())));
                }
                pause(fruitless).await;
            }
        }
        Ok(items)
    }

    async fn get_all(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        // DynamoDB refuses a key that is named twice.
        let mut seen = HashSet::new();
        let distinct: Vec<&Key> = keys.iter().filter(|key| seen.insert(*key)).collect();
        let mut found = HashMap::with_capacity(distinct.len());
        for batch in distinct.chunks(BATCH) {
            found.extend(self.get_batch(batch).await?.into_iter().map(|item| (item.key.clone(), item)));
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn page(&self, partition: &str, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        // DynamoDB refuses a starting key outside of what the condition names.
        let after = match after {
            Some(after) if after.starts_with(prefix) => Some(after),
            Some(after) if after > prefix => return Ok(Page::default()),
            _ => None,
        };
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
        // An empty string is no valid value for a key attribute.
        query = if prefix.is_empty() {
            query.key_condition_expression("#pk = :pk")
        } else {
            query
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                .expression_attribute_names("#sk", SORT)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
        };
        if let Some(after) = after.filter(|after| !after.is_empty()) {
            query = query.set_exclusive_start_key(Some(item::key_attributes(partition, after)));
        }
        let answer = query.send().await.map_err(|error| self.read_failed(&error))?;
        let items = answer.items.unwrap_or_default().iter().map(item::parse).collect::<Result<Vec<_>, _>>()?;
        let next = answer.last_evaluated_key.as_ref().and_then(|key| key.get(SORT)?.as_s().ok()).cloned();
        Ok(Page { items, next })
    }

    fn unavailable(&self, message: String) -> StoreError {
        StoreError::Unavailable { store: self.describe(), message }
    }
}

impl Store for DynamoStore {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(self.get_all(keys))
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let text = serde_json::to_string(body)
                .map_err(|error| StoreError::Corrupt { key: key.clone(), message: error.to_string() })?;
            if text.len() > MAX_BODY_BYTES {
                return Err(too_large(key, text.len()));
            }
            self.put_until_known(&Put::new(key, &text, expect, expires)).await
        })
    }

    /// Some at a time: BatchWriteItem knows no condition, and no version that counts on.
    fn put_all<'a>(&'a self, items: &'a [(Key, Map<String, Value>)]) -> BoxFuture<'a, Result<(), StoreError>> {
        let write = move |(key, body): &'a (Key, Map<String, Value>)| self.put(key, body, Expect::Any, None);
        let written = stream::iter(items).map(write).buffer_unordered(WRITES_AT_ONCE);
        Box::pin(written.try_for_each(|_| std::future::ready(Ok(()))))
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.delete_until_known(key, expect))
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(self.page(partition, prefix, after))
    }

    fn describe(&self) -> String {
        format!("dynamodb://{}", self.table)
    }
}

/// Waits before the attempt that follows the `attempt`th.
pub(super) async fn pause(attempt: u32) {
    tokio::time::sleep(FIRST_PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1))).await;
}
