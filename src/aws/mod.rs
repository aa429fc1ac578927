//! Amazon Web Services: the only module that names `aws_sdk_*`.
//!
//! [`Connection`] holds credentials and region as the SDK itself finds them, [`AwsEcs`] is the port `Ecs` with raw
//! JSON both ways and [`DynamoStore`] the port `Store`. Knows nothing of policies, plans or rollouts, and of no other adapter.

mod connection;
mod dynamo;
mod ecs;
mod error;
mod failure;
mod wire;

pub use connection::{Connection, Identity, Role, Timeouts};
pub use dynamo::{DynamoStore, Setting, SettingOutcome};
pub use ecs::AwsEcs;
pub use error::AwsError;
