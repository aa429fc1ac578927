//! How the table is set up, as DynamoDB says it. Changes nothing.

use aws_sdk_dynamodb::types::{BillingMode, TableDescription, TimeToLiveStatus};

use super::item::EXPIRES;
use super::store::DynamoStore;
use super::table::Setting;
use crate::aws::failure::Failure;
use crate::ports::StoreError;

/// How one setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingState {
    /// As `store init` would have it.
    On,
    /// Otherwise.
    Off,
    /// It could not be told.
    Unknown {
        /// The error's code, where there was an answer.
        code: Option<String>,
        /// In the words of whoever refused.
        message: String,
    },
}

impl DynamoStore {
    /// How every setting stands. Asks three questions, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without a table; else as reads, where not even the table can be described.
    pub async fn settings(&self) -> Result<Vec<(Setting, SettingState)>, StoreError> {
        let table = self.table_description().await;
        if let Err(failure @ Failure::Answered { code: Some(code), .. }) = &table
            && code == "ResourceNotFoundException"
        {
            return Err(self.failed(failure));
        }
        let of_table = |is: fn(&TableDescription) -> bool| state(table.as_ref().map(is).map_err(Clone::clone));
        Ok(vec![
            (Setting::Capacity, of_table(is_on_demand)),
            (Setting::PointInTimeRecovery, state(self.recovers_points_in_time().await)),
            (Setting::Encryption, of_table(is_encrypted)),
            (Setting::DeletionProtection, of_table(is_protected)),
            (Setting::Expiry, state(self.expires_items().await)),
        ])
    }

    pub(super) async fn table_description(&self) -> Result<TableDescription, Failure> {
        let answer = self.client.describe_table().table_name(&self.table).send().await;
        let answer = answer.map_err(|error| Failure::of(&error))?;
        answer.table.ok_or_else(|| Failure::Lost { message: "DescribeTable names no table".to_owned() })
    }

    pub(super) async fn recovers_points_in_time(&self) -> Result<bool, Failure> {
        let answer = self.client.describe_continuous_backups().table_name(&self.table).send().await;
        let answer = answer.map_err(|error| Failure::of(&error))?;
        let recovery = answer.continuous_backups_description.and_then(|now| now.point_in_time_recovery_description);
        let status = recovery.and_then(|now| now.point_in_time_recovery_status);
        Ok(status.is_some_and(|status| status.as_str() == "ENABLED"))
    }

    pub(super) async fn expires_items(&self) -> Result<bool, Failure> {
        let answer = self.client.describe_time_to_live().table_name(&self.table).send().await;
        let now = answer.map_err(|error| Failure::of(&error))?.time_to_live_description;
        Ok(now.is_some_and(|now| {
            now.attribute_name() == Some(EXPIRES)
                && matches!(now.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
        }))
    }
}

/// A table that was never on demand has no billing mode at all, but a throughput.
pub(super) fn is_on_demand(table: &TableDescription) -> bool {
    match table.billing_mode_summary.as_ref().and_then(|summary| summary.billing_mode.as_ref()) {
        Some(mode) => *mode == BillingMode::PayPerRequest,
        None => {
            let units = table.provisioned_throughput.as_ref().and_then(|throughput| throughput.write_capacity_units);
            units.unwrap_or(0) == 0
        }
    }
}

/// With a key in KMS. Every table is encrypted with some key.
pub(super) fn is_encrypted(table: &TableDescription) -> bool {
    let status = table.sse_description.as_ref().and_then(|encryption| encryption.status.as_ref());
    status.is_some_and(|status| matches!(status.as_str(), "ENABLED" | "ENABLING" | "UPDATING"))
}

pub(super) fn is_protected(table: &TableDescription) -> bool {
    table.deletion_protection_enabled == Some(true)
}

fn state(is: Result<bool, Failure>) -> SettingState {
    match is {
        Ok(true) => SettingState::On,
        Ok(false) => SettingState::Off,
        Err(failure) => {
            let code = match &failure {
                Failure::Answered { code, .. } => code.clone(),
                _ => None,
            };
            SettingState::Unknown { code, message: failure.message().to_owned() }
        }
    }
}
