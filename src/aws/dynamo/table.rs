//! Making the table: for `plimsoll store init`. Never runs by itself, and never changes what is there for the worse.

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification, ScalarAttributeType,
    SseSpecification, TableStatus, TimeToLiveSpecification,
};
use tracing::info;

use super::item::{EXPIRES, PARTITION, SORT};
use super::settings::{is_encrypted, is_on_demand, is_protected};
use super::store::DynamoStore;
use crate::aws::failure::Failure;
use crate::ports::{Store, StoreError};

/// How often and how many times we look whether the table is ready. DynamoDB takes seconds for an empty table; two
/// minutes mean that something is wrong.
const READY_EVERY: Duration = Duration::from_secs(1);
const READY_LOOKS: u32 = 120;

/// Something that `store init` sees to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The table itself, with our keys.
    Table,
    /// On-demand capacity: a fleet that is rolled out writes in bursts.
    Capacity,
    /// Point-in-time recovery: 35 days of going back, should somebody delete the wrong thing.
    PointInTimeRecovery,
    /// Encryption with a key in KMS, so that access shows in CloudTrail. (DynamoDB always encrypts with some key.)
    Encryption,
    /// The table cannot be deleted by mistake.
    DeletionProtection,
    /// Expired items go by themselves.
    Expiry,
}

impl Setting {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Capacity => "on-demand capacity",
            Self::PointInTimeRecovery => "point-in-time recovery",
            Self::Encryption => "encryption with KMS",
            Self::DeletionProtection => "deletion protection",
            Self::Expiry => "expiry of items",
        }
    }
}

/// What became of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingOutcome {
    /// It was not so, and now it is.
    Set,
    /// It was so already.
    Kept,
    /// It could not be set; the store works without.
    Failed {
        /// In the words of whoever refused.
        message: String,
    },
}

impl DynamoStore {
    /// Makes the table unless it is there, waits until it can be used, and sees to its settings.
    ///
    /// Idempotent. The table itself is owed, the rest best effort: what could not be set is in the answer, because a
    /// local DynamoDB has not all of them and a role may lack a permission.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where a table of that name has other keys than ours; else as reads.
    pub async fn create_table(&self) -> Result<Vec<(Setting, SettingOutcome)>, StoreError> {
        let made = self.make().await?;
        self.wait_until_ready().await?;
        info!(table = self.table, made, "table is ready");
        Ok(vec![
            (Setting::Table, if made { SettingOutcome::Set } else { SettingOutcome::Kept }),
            (Setting::Capacity, if made { SettingOutcome::Set } else { self.capacity().await }),
            (Setting::PointInTimeRecovery, outcome(self.recover_points_in_time().await)),
            (Setting::Encryption, outcome(self.encrypt().await)),
            (Setting::DeletionProtection, outcome(self.protect().await)),
            (Setting::Expiry, outcome(self.expire().await)),
        ])
    }

    /// Whether it made the table.
    async fn make(&self) -> Result<bool, StoreError> {
        let text = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
        };
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let unavailable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unavailable {
            store: self.describe(),
            message: error.to_string(),
        };
        let answer = self
            .client
            .create_table()
            .table_name(&self.table)
            .attribute_definitions(text(PARTITION).map_err(unavailable)?)
            .attribute_definitions(text(SORT).map_err(unavailable)?)
            .key_schema(key(PARTITION, KeyType::Hash).map_err(unavailable)?)
            .key_schema(key(SORT, KeyType::Range).map_err(unavailable)?)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) => match Failure::of(&error) {
                Failure::Answered { code: Some(code), .. } if code == "ResourceInUseException" => Ok(false),
                failure => Err(self.failed(&failure)),
            },
        }
    }

    async fn wait_until_ready(&self) -> Result<(), StoreError> {
        let mut status = None;
        for _ in 0..READY_LOOKS {
            match self.client.describe_table().table_name(&self.table).send().await {
                Ok(answer) => {
                    let table = answer.table;
                    let keys: Vec<(String, KeyType)> = (table.as_ref().map(|table| table.key_schema()).unwrap_or(&[]))
                        .iter()
                        .map(|key| (key.attribute_name().to_owned(), key.key_type().clone()))
                        .collect();
                    if keys != [(PARTITION.to_owned(), KeyType::Hash), (SORT.to_owned(), KeyType::Range)] {
                        let message = format!("a table of that name has other keys than `{PARTITION}` and `{SORT}`");
                        return Err(StoreError::Missing { store: self.describe(), message });
                    }
                    status = table.and_then(|table| table.table_status);
                    // UPDATING: it can be used, and a setting is on its way.
                    if matches!(status, Some(TableStatus::Active | TableStatus::Updating)) {
                        return Ok(());
                    }
                }
                // DescribeTable is eventually consistent: right after CreateTable it may know nothing of it.
                Err(error) => match Failure::of(&error) {
                    Failure::Answered { code: Some(code), .. } if code == "ResourceNotFoundException" => {}
                    failure => return Err(self.failed(&failure)),
                },
            }
            tokio::time::sleep(READY_EVERY).await;
        }
        let message = match status {
            Some(status) => format!("the table is still {}", status.as_str()),
            None => "the table does not appear".to_owned(),
        };
        Err(StoreError::Unavailable { store: self.describe(), message })
    }

    /// Of a table that was there: somebody may have bought capacity for it, and pays for it either way.
    async fn capacity(&self) -> SettingOutcome {
        match self.table_description().await {
            Ok(table) if is_on_demand(&table) => SettingOutcome::Kept,
            Ok(_) => SettingOutcome::Failed { message: "it has provisioned capacity, which is left alone".to_owned() },
            Err(failure) => outcome(Err(failure)),
        }
    }

    async fn recover_points_in_time(&self) -> Result<bool, Failure> {
        if matches!(self.recovers_points_in_time().await, Ok(true)) {
            return Ok(false);
        }
        let wanted = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
        self.client
            .update_continuous_backups()
            .table_name(&self.table)
            .point_in_time_recovery_specification(wanted.map_err(not_sent)?)
            .send()
            .await
            .map(|_| true)
            .map_err(|error| Failure::of(&error))
    }

    async fn encrypt(&self) -> Result<bool, Failure> {
        if is_encrypted(&self.table_description().await?) {
            return Ok(false);
        }
        // Without a key's name: the AWS managed key `aws/dynamodb`.
        let wanted = SseSpecification::builder().enabled(true).build();
        let update = self.client.update_table().table_name(&self.table).sse_specification(wanted);
        update.send().await.map(|_| true).map_err(|error| Failure::of(&error))
    }

    async fn protect(&self) -> Result<bool, Failure> {
        // One change of a table at a time: encryption may still be on its way.
        let mut looks = 0;
        let table = loop {
            let table = self.table_description().await?;
            looks += 1;
            if table.table_status() != Some(&TableStatus::Updating) || looks == READY_LOOKS {
                break table;
            }
            tokio::time::sleep(READY_EVERY).await;
        };
        if is_protected(&table) {
            return Ok(false);
        }
        let update = self.client.update_table().table_name(&self.table).deletion_protection_enabled(true);
        update.send().await.map(|_| true).map_err(|error| Failure::of(&error))
    }

    async fn expire(&self) -> Result<bool, Failure> {
        if matches!(self.expires_items().await, Ok(true)) {
            return Ok(false);
        }
        let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES).build();
        self.client
            .update_time_to_live()
            .table_name(&self.table)
            .time_to_live_specification(wanted.map_err(not_sent)?)
            .send()
            .await
            .map(|_| true)
            .map_err(|error| Failure::of(&error))
    }
}

fn outcome(changed: Result<bool, Failure>) -> SettingOutcome {
    match changed {
        Ok(true) => SettingOutcome::Set,
        Ok(false) => SettingOutcome::Kept,
        Err(Failure::Answered { code: Some(code), message, .. }) => {
            SettingOutcome::Failed { message: format!("{code}: {message}") }
        }
        Err(failure) => SettingOutcome::Failed { message: failure.message().to_owned() },
    }
}

fn not_sent(error: aws_sdk_dynamodb::error::BuildError) -> Failure {
    Failure::NotSent { message: error.to_string() }
}
