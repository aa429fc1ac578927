//! CloudWatch alarms of one account and region: which have these tags, and how these stand. Two questions, so that a
//! caller whose rights or endpoint answer only one of them still gets that one.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use crate::model::spec::TaggedAlarms;
use crate::model::{Alarm, Reason, ReasonCode};

/// CloudWatch, or something that has alarms like it.
///
/// Guarantees owed by every implementation:
/// - Nothing is changed by asking.
/// - An answer is whole: every page was read, metric and composite alarms alike. What cannot be read whole is an error.
/// - A state that this version does not know is an error, never one of the states it knows.
/// - Up to a hundred names are one call of CloudWatch's DescribeAlarms, up to a hundred tagged alarms one call of the
///   tagging API's GetResources; no more calls a second are made than a share of what AWS lets the account make.
pub trait Alarms: Send + Sync {
    /// The names of the alarms that have all of these tags. May include ones that were deleted a while ago.
    fn tagged<'a>(&'a self, tags: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>>;

    /// How the alarms of these names stand, each once. Those that do not exist are left out.
    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>>;
}

/// Alarms that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlarmsError {
    /// The credentials do not permit it.
    #[error("access denied: grant `{action}` to the controller's role: {message}")]
    Denied {
        /// The IAM action that was asked for.
        action: &'static str,
        /// AWS's words; they name the caller.
        message: String,
    },
    /// AWS asked to slow down.
    #[error("`{action}` was throttled: {message}")]
    Throttled {
        /// The IAM action that was asked for.
        action: &'static str,
        /// AWS's words.
        message: String,
    },
    /// No usable answer: no connection, no credentials, no such service at the endpoint, a refusal.
    #[error("`{action}` has no usable answer: {message}")]
    NoAnswer {
        /// The IAM action that was asked for.
        action: &'static str,
        /// What happened instead.
        message: String,
    },
}

impl AlarmsError {
    /// Why the state of alarms is not known, for whoever waits for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Denied { .. } => ReasonCode::AccessDenied,
            Self::Throttled { .. } => ReasonCode::Throttled,
            Self::NoAnswer { .. } => ReasonCode::AlarmUnknown,
        };
        Reason::of(code, format!("the alarms could not be read: {self}"))
    }
}
