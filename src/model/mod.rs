//! The words of the field as types. Knows neither AWS's SDK, nor a store, nor a clock.

pub mod alarm;
pub mod arn;
pub mod chain;
pub mod change;
pub mod condition;
pub mod count;
pub mod day;
pub mod dense;
pub mod diff;
pub mod document;
pub mod finding;
pub mod hex;
pub mod mask;
pub mod observed;
pub mod operation;
pub mod packed;
pub mod permission;
pub mod reason;
pub mod spec;
pub mod standalone;
pub mod time;
pub mod wire;
pub mod words;

pub use alarm::{Alarm, AlarmReading, AlarmState};
pub use arn::{
    ClusterArn, ServiceArn, ServiceDeploymentArn, ServiceRevisionArn, TargetId, TaskArn, TaskDefinitionArn,
    TaskRevision,
};
pub use chain::chain;
pub use change::{ChangeKind, Hold, PutBack, Registered, Resource};
pub use condition::{Condition, ConditionStatus};
pub use count::counted;
pub use day::Day;
pub use dense::dense;
pub use diff::{DiffEntry, DiffOp, DocumentKind};
pub use finding::{Finding, Severity, Verdict};
pub use hex::hex;
pub use observed::Observed;
pub use reason::{Reason, ReasonCode};
pub use time::{Span, Timestamp};
pub use words::Secrets;
