//! The words of the field as types. Knows neither AWS's SDK, nor a store, nor a clock.

pub mod arn;
pub mod time;

pub use arn::{
    ClusterArn, ServiceArn, ServiceDeploymentArn, ServiceRevisionArn, TargetId, TaskArn, TaskDefinitionArn,
    TaskRevision,
};
pub use time::{Span, Timestamp};
