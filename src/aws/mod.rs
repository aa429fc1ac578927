//! Amazon Web Services: the only module that names `aws_sdk_*`.
//!
//! [`Connection`] holds credentials and region as the SDK itself finds them, [`AwsEcs`] is the port `Ecs` with raw
//! JSON both ways, [`CloudWatchAlarms`] the port `Alarms`, [`DynamoStore`] the port `Store`, and [`Budgeted`] keeps any
//! `Ecs` within a share of ECS's published rates. Knows nothing of policies, plans or rollouts, and of no other adapter.

mod alarms;
mod connection;
mod dynamo;
mod ecs;
mod error;
mod failure;
mod prepared;
mod served_at;
mod throttle;
mod wire;

pub use alarms::CloudWatchAlarms;
pub use connection::{Connection, Identity, Role, Timeouts};
pub use dynamo::{DynamoStore, Setting, SettingOutcome, SettingState};
pub use ecs::AwsEcs;
pub use error::AwsError;
pub use throttle::{Budgeted, Level, Share};
