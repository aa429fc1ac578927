//! Single-item conditional writes, tried until it is known what became of them.

use std::hash::{BuildHasher, RandomState};

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use tracing::{debug, warn};

use super::item::{self, Attributes, BODY, EXPIRES, PARTITION, VERSION, WRITER};
use super::store::{ATTEMPTS, DynamoStore, pause};
use crate::aws::connection::{one_attempt, write_timeouts};
use crate::aws::failure::Failure;
use crate::model::Timestamp;
use crate::ports::StoreError;
use crate::ports::store::{Expect, Key};

/// A write, wholly decided.
pub(super) struct Put<'a> {
    key: &'a Key,
    body: &'a str,
    expect: Expect,
    expires: Option<Timestamp>,
    /// Its random name.
    writer: String,
}

impl<'a> Put<'a> {
    pub(super) fn new(key: &'a Key, body: &'a str, expect: Expect, expires: Option<Timestamp>) -> Self {
        Self { key, body, expect, expires, writer: random_name() }
    }

    /// The version it made, if `found` is what it wrote.
    fn made(&self, found: &Attributes) -> Option<u64> {
        let ours = found.get(WRITER).and_then(|writer| writer.as_s().ok()).is_some_and(|writer| *writer == self.writer);
        if ours {
            debug!(partition = self.key.partition, sort = self.key.sort, "a write whose answer was lost had been made");
        }
        ours.then(|| item::version(found)).flatten()
    }
}

impl DynamoStore {
    fn settings_of_write(&self) -> Builder {
        Builder::default().retry_config(one_attempt()).timeout_config(write_timeouts(&self.timeouts))
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

    /// Looks at one item by itself, as a write does whose answer was lost: whether that can be done.
    ///
    /// # Errors
    /// As [`Store::get`](crate::ports::Store::get).
    pub async fn look_at(&self, key: &Key) -> Result<(), StoreError> {
        self.look(key).await.map(drop)
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
            .expression_attribute_values(":writer", AttributeValue::S(put.writer.clone()));
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

    /// Writes, and tries again until it is known to be made or not.
    pub(super) async fn put_until_known(&self, put: &Put<'_>) -> Result<u64, StoreError> {
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

    /// Deletes, and tries again until it is known to be gone or not.
    pub(super) async fn delete_until_known(&self, key: &Key, expect: Expect) -> Result<(), StoreError> {
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

pub(super) fn too_large(key: &Key, bytes: usize) -> StoreError {
    StoreError::TooLarge { key: key.clone(), bytes }
}

/// 128 random bits as text. The standard library seeds its hashers from the operating system's random numbers, per
/// thread, and never the same way twice in one.
fn random_name() -> String {
    let word = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", word(), word())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
