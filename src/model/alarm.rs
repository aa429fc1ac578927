//! CloudWatch alarms as they were read. Knows neither CloudWatch's API nor what an alarm means for a rollout.

use std::collections::BTreeSet;

use super::{Reason, Timestamp};

/// What CloudWatch says of an alarm (botocore cloudwatch/2010-08-01, `StateValue`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// Its condition does not hold.
    Ok,
    /// Its condition holds.
    Alarm,
    /// It cannot be told: the alarm is new, or its metric is silent.
    InsufficientData,
}

/// One alarm. A composite alarm is one like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name, unique in its account and region.
    pub name: String,
    /// How it stands.
    pub state: AlarmState,
    /// Since when, by CloudWatch's clock, where it says so.
    pub since: Option<Timestamp>,
}

/// What was read of the alarms that a strategy chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlarmReading {
    /// Those that are there, each once.
    pub alarms: Vec<Alarm>,
    /// Names that the strategy says and no alarm has.
    pub missing: BTreeSet<String>,
    /// What else could not be read, and why. Where this is not empty, nothing is said of what is not among `alarms`.
    pub gaps: Vec<Reason>,
}
