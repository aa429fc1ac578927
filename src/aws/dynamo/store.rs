//! Reads and single-item conditional writes. Knows nothing of how the table came to be.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue};
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tracing::{debug, warn};

use super::item::{self, Attributes, BODY, EXPIRES, PARTITION, SORT, VERSION, WRITER};
use crate::aws::Timeouts;
use crate::aws::connection::{one_attempt, write_timeouts};
use crate::aws::error::kind_of_denial;
use crate::aws::failure::Failure;
use crate::model::Timestamp;
use crate::ports::StoreError;
use crate::ports::store::{Expect, Item, Key, MAX_BODY_BYTES, Page, Store};

/// What BatchGetItem takes at once (DynamoDB API reference).
const BATCH: usize = 100;

/// Attempts of one write, and of getting on with unprocessed keys. With the pauses below, 3 s: longer than DynamoDB
/// takes to split a hot partition's burst, shorter than anybody's patience or lease.
const ATTEMPTS: u32 = 6;

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
    region: String,
    timeouts: Timeouts,
}

impl DynamoStore {
    pub(in crate::aws) fn new(config: &SdkConfig, region: &str, table: &str, timeouts: Timeouts) -> Self {
        Self { client: Client::new(config), table: table.to_owned(), region: region.to_owned(), timeouts }
    }

    fn settings_of_write(&self) -> Builder {
        Builder::default().retry_config(one_attempt()).timeout_config(write_timeouts(&self.timeouts))
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

    fn read_failed<E>(&self, error: &SdkError<E>) -> StoreError
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

    /// The item as it is, with the attributes that `Item` leaves out.
    async fn look(&self, key: &Key) -> Result<Option<Attributes>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::key_attributes(&key.partition, &key.sort)))
            .consistent_read(true)
            .send()
            .await;
        Ok(answer.map_err(|error| self.read_failed(&error))?.item)
    }

    async fn try_put(&self, put: &Put<'_>) -> Result<u64, Failure> {
        let (condition, version) = match put.expect {
            Expect::Absent => (Some("attribute_not_exists(#pk)"), Some(1)),
            Expect::Version(current) => (Some("#version = :expected"), Some(current.saturating_add(1))),
            Expect::Any => (None, None),
        };
        let set_version = if version.is_some() { ":version" } else { "if_not_exists(#version, :zero) + :one" };
        let expiry = if put.expires.is_some() { ", #expires = :expires" } else { " REMOVE #expires" };
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::key_attributes(&put.key.partition, &put.key.sort)))
            .update_expression(format!("SET #version = {set_version}, #body = :body, #writer = :writer{expiry}"))
            .set_condition_expression(condition.map(str::to_owned))
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_names("#body", BODY)
            .expression_attribute_names("#writer", WRITER)
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":body", AttributeValue::S(put.body.to_owned()))
            .expression_attribute_values(":writer", AttributeValue::S(put.writer.to_owned()));
        if let Some(expires) = put.expires {
            update = update.expression_attribute_values(":expires", item::seconds(expires));
        }
        match put.expect {
            Expect::Absent => update = update.expression_attribute_names("#pk", PARTITION),
            Expect::Version(current) => {
                update = update.expression_attribute_values(":expected", item::number(current));
            }
            Expect::Any => {
                update = update
                    .expression_attribute_values(":zero", item::number(0))
                    .expression_attribute_values(":one", item::number(1))
                    // The only way to learn the version; it costs the body's way back, and `Any` is rare.
                    .return_values(ReturnValue::UpdatedNew);
            }
        }
        if let Some(version) = version {
            update = update.expression_attribute_values(":version", item::number(version));
        }
        let answer = update.customize().config_override(self.settings_of_write()).send().await;
        let attributes = answer.map_err(|error| Failure::of(&error))?.attributes.unwrap_or_default();
        let no_version = || Failure::Lost { message: "the answer names no version".to_owned() };
        version.or_else(|| item::version(&attributes)).ok_or_else(no_version)
    }

    async fn try_delete(&self, key: &Key, expect: Expect) -> Result<(), Failure> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(item::key_attributes(&key.partition, &key.sort)));
        let delete = match expect {
            Expect::Any => delete,
            Expect::Absent => {
                delete.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PARTITION)
            }
            Expect::Version(current) => delete
                .condition_expression("#version = :expected")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":expected", item::number(current)),
        };
        let answer = delete.customize().config_override(self.settings_of_write()).send().await;
        answer.map(drop).map_err(|error| Failure::of(&error))
    }

    async fn put_until_known(&self, put: &Put<'_>) -> Result<u64, StoreError> {
        let mut lost = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.try_put(put).await {
                Ok(version) => return Ok(version),
                Err(failure) => failure,
            };
            let may_be_done = match verdict(&failure) {
                Verdict::ConditionFailed if !lost => return Err(conflict(put.key)),
                Verdict::ConditionFailed => {
                    // Perhaps by an earlier attempt of our own.
                    let found = self.look(put.key).await?;
                    return found.and_then(|found| put.made(&found)).ok_or_else(|| conflict(put.key));
                }
                Verdict::TooLarge => return Err(too_large(put.key, put.body.len())),
                Verdict::Final => return Err(self.failed(&failure)),
                Verdict::NotDone => false,
                Verdict::MayBeDone => true,
            };
            lost |= may_be_done;
            if lost && put.expect == Expect::Any {
                // An unconditional write must not be sent twice: the second could land on somebody's newer item.
                let found = self.look(put.key).await?;
                return found.and_then(|found| put.made(&found)).ok_or_else(|| self.failed(&failure));
            }
            if attempt == ATTEMPTS {
                return Err(self.failed(&failure));
            }
            self.report(put.key, attempt, &failure);
            pause(attempt).await;
        }
    }

    async fn delete_until_known(&self, key: &Key, expect: Expect) -> Result<(), StoreError> {
        let mut lost = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.try_delete(key, expect).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            match verdict(&failure) {
                Verdict::ConditionFailed if lost && self.look(key).await?.is_none() => return Ok(()),
                Verdict::ConditionFailed => return Err(conflict(key)),
                Verdict::Final | Verdict::TooLarge => return Err(self.failed(&failure)),
                Verdict::NotDone => {}
                Verdict::MayBeDone => lost = true,
            }
            if attempt == ATTEMPTS || (lost && expect == Expect::Any) {
                return Err(self.failed(&failure));
            }
            self.report(key, attempt, &failure);
            pause(attempt).await;
        }
    }

    fn report(&self, key: &Key, attempt: u32, failure: &Failure) {
        warn!(
            table = self.table,
            partition = key.partition,
            sort = key.sort,
            attempt,
            error = failure.message(),
            "write failed, trying again"
        );
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
            let writer = random_name();
            self.put_until_known(&Put { key, body: &text, expect, expires, writer: &writer }).await
        })
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

/// A write, wholly decided.
struct Put<'a> {
    key: &'a Key,
    body: &'a str,
    expect: Expect,
    expires: Option<Timestamp>,
    writer: &'a str,
}

impl Put<'_> {
    /// The version it made, if `found` is what it wrote.
    fn made(&self, found: &Attributes) -> Option<u64> {
        let ours = found.get(WRITER).and_then(|writer| writer.as_s().ok()).is_some_and(|writer| writer == self.writer);
        if ours {
            debug!(partition = self.key.partition, sort = self.key.sort, "a write whose answer was lost had been made");
        }
        ours.then(|| item::version(found)).flatten()
    }
}

/// What a failed write means to the attempts that may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    ConditionFailed,
    TooLarge,
    /// Trying again will not help.
    Final,
    /// It was not done, and may be tried again.
    NotDone,
    /// Nobody can tell whether it was done.
    MayBeDone,
}

/// By DynamoDB's error codes (Developer Guide, "Error handling with DynamoDB").
fn verdict(failure: &Failure) -> Verdict {
    match failure {
        Failure::NoCredentials { .. } | Failure::NotSent { .. } => Verdict::Final,
        Failure::Unreachable { .. } => Verdict::NotDone,
        Failure::Lost { .. } => Verdict::MayBeDone,
        Failure::Answered { status, code, message } => match code.as_deref() {
            Some("ConditionalCheckFailedException") => Verdict::ConditionFailed,
            Some("ValidationException") if message.to_ascii_lowercase().contains("item size") => Verdict::TooLarge,
            Some(
                "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "LimitExceededException"
                // Another request holds the item.
                | "TransactionConflictException",
            ) => Verdict::NotDone,
            _ if *status >= 500 => Verdict::MayBeDone,
            _ => Verdict::Final,
        },
    }
}

fn conflict(key: &Key) -> StoreError {
    StoreError::Conflict { key: key.clone() }
}

fn too_large(key: &Key, bytes: usize) -> StoreError {
    StoreError::TooLarge { key: key.clone(), bytes }
}

async fn pause(attempt: u32) {
    tokio::time::sleep(FIRST_PAUSE * 2_u32.saturating_pow(attempt.saturating_sub(1))).await;
}

/// 128 random bits as text. The standard library seeds its hashers from the operating system's random numbers, per
/// thread, and never the same way twice in one.
fn random_name() -> String {
    let word = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_not_a_refusal() {
        let answered = |status, code: &str, message: &str| Failure::Answered {
            status,
            code: Some(code.to_owned()),
            message: message.to_owned(),
        };
        for (failure, wanted) in [
            (
                answered(400, "ConditionalCheckFailedException", "The conditional request failed"),
                Verdict::ConditionFailed,
            ),
            (answered(400, "ValidationException", "Item size has exceeded the maximum"), Verdict::TooLarge),
            (answered(400, "ValidationException", "One or more parameter values were invalid"), Verdict::Final),
            (answered(400, "AccessDeniedException", "no"), Verdict::Final),
            (answered(400, "ResourceNotFoundException", "no"), Verdict::Final),
            (answered(400, "ProvisionedThroughputExceededException", "slow"), Verdict::NotDone),
            (answered(400, "ThrottlingException", "slow"), Verdict::NotDone),
            (answered(500, "InternalServerError", "oh"), Verdict::MayBeDone),
            (answered(503, "ServiceUnavailable", "oh"), Verdict::MayBeDone),
            (Failure::Lost { message: String::new() }, Verdict::MayBeDone),
            (Failure::Unreachable { message: String::new() }, Verdict::NotDone),
            (Failure::NoCredentials { configured: true, message: String::new() }, Verdict::Final),
        ] {
            assert_eq!(verdict(&failure), wanted, "{failure:?}");
        }
    }

    #[test]
    fn no_two_writes_bear_the_same_name() {
        let names: HashSet<String> = (0..1000).map(|_| random_name()).collect();
        assert_eq!(names.len(), 1000);
    }
}
