//! Amazon ECS, as one call: an operation's name and its JSON, in and out.
//!
//! A port in typed structs would lose the members its types do not know, and a re-registered task definition would
//! come out without them. So what crosses this port is ECS's own wire JSON (awsJson 1.1), both ways, untouched;
//! `model::wire` reads from it what decisions need. One method also makes throttling, fencing, recording and fault
//! injection one wrapper each.

use futures::future::BoxFuture;
use serde_json::Value;

use crate::model::Secrets;
pub use crate::model::operation::{Bucket, Operation};
use crate::model::packed::text_of;

/// ECS, or something that behaves like it.
///
/// Guarantees owed by every implementation:
/// - The answer is the raw JSON that ECS sent: unknown members, empty strings and member order survive.
/// - An operation that writes ([`Operation::writes`]) is **one** attempt: RegisterTaskDefinition and UpdateService have
///   no client token, so a blind retry after a lost reply would do it twice. Reads may be retried inside.
/// - An error says whether the call may have taken effect ([`EcsError::outcome`]).
///
/// Cancellation: dropping the future of a write leaves its outcome unknown.
pub trait Ecs: Send + Sync {
    /// Completes when a call of this operation would not have to wait for a budget. Reserves nothing. Whoever must look
    /// at something right before a write (a lease, a freeze) waits here first and looks then.
    fn ready(&self, operation: Operation) -> BoxFuture<'_, ()> {
        let _ = operation;
        Box::pin(std::future::ready(()))
    }

    /// Makes one call. One page: paging is the caller's.
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>>;

    /// The same, as the so-and-so-many-th try of one call, from 1: for whoever counts and traces.
    fn attempt<'a>(
        &'a self,
        operation: Operation,
        input: Value,
        attempt: u32,
    ) -> BoxFuture<'a, Result<Value, EcsError>> {
        let _ = attempt;
        self.call(operation, input)
    }

    /// As [`Ecs::attempt`], and the answer is the text that ECS sent: an object of JSON, of which nobody has read more than
    /// that it begins as one.
    fn text<'a>(
        &'a self,
        operation: Operation,
        input: Value,
        attempt: u32,
    ) -> BoxFuture<'a, Result<Vec<u8>, EcsError>> {
        Box::pin(async move { self.attempt(operation, input, attempt).await.map(|answer| text_of(&answer)) })
    }

    /// One call of what can wait: where a budget is waited for, everything else goes first. Whoever looks over a whole
    /// fleet gets texts, and reads those that are not what they were.
    fn call_last<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Vec<u8>, EcsError>> {
        self.text(operation, input, 1)
    }
}

/// Whether a call that failed may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did not: ECS refused it, or it was never sent.
    NotApplied,
    /// Nobody can tell: the reply was lost, or ECS answered with a fault of its own. Look before trying again.
    Unknown,
}

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// A passing fault: try again with backoff.
    Soon,
    /// The budget is used up, ours or ECS's: wait.
    Wait,
    /// Trying again will not help: somebody has to change something.
    Stop,
}

/// A call to ECS that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EcsError {
    /// ECS answered with an error of the caller's (HTTP 4xx): it was not done.
    #[error("{}: {code}: {message}", operation.as_str())]
    Refused {
        /// What was asked.
        operation: Operation,
        /// The error's code, such as `ClientException` or `AccessDeniedException`, without a namespace.
        code: String,
        /// ECS's own words.
        message: String,
    },
    /// `ThrottlingException` (HTTP 400, "Rate exceeded"): it was not done.
    #[error("{}: throttled: {message}", operation.as_str())]
    Throttled {
        /// What was asked.
        operation: Operation,
        /// ECS's own words.
        message: String,
    },
    /// No answer, an unreadable one, or HTTP 5xx: it may have been done.
    #[error("{}: no usable answer: {message}", operation.as_str())]
    NoAnswer {
        /// What was asked.
        operation: Operation,
        /// What happened instead.
        message: String,
    },
    /// It never left this process: no credentials, no region, no connection, no lease or budget left.
    #[error("{}: not sent: {message}", operation.as_str())]
    NotSent {
        /// What was asked.
        operation: Operation,
        /// Why not.
        message: String,
    },
}

impl EcsError {
    /// The same, as it may be told: ECS's words may quote what it was sent.
    #[must_use]
    pub fn told(&self, secrets: &Secrets) -> Self {
        let mut told = self.clone();
        match &mut told {
            Self::Refused { message, .. }
            | Self::Throttled { message, .. }
            | Self::NoAnswer { message, .. }
            | Self::NotSent { message, .. } => *message = secrets.words(message),
        }
        told
    }

    /// What was asked.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Refused { operation, .. }
            | Self::Throttled { operation, .. }
            | Self::NoAnswer { operation, .. }
            | Self::NotSent { operation, .. } => *operation,
        }
    }

    /// ECS's error code, where ECS answered with one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Throttled { .. } => Some("ThrottlingException"),
            Self::NoAnswer { .. } | Self::NotSent { .. } => None,
        }
    }

    /// Whether the server, or its region, does not have the operation at all: asking again will not help.
    ///
    /// Source: "Common error types" of the ECS API reference (`InvalidAction`, `UnknownOperationException`), and botocore
    /// ecs/2014-11-13, `UnsupportedFeatureException`. HTTP 500 by itself says nothing.
    #[must_use]
    pub fn lacks_the_operation(&self) -> bool {
        matches!(
            self.code(),
            Some(
                "InvalidAction"
                    | "UnknownOperationException"
                    | "NotImplemented"
                    | "UnsupportedOperation"
                    | "UnsupportedFeatureException"
            )
        )
    }

    /// Whether the call may have taken effect.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Refused { .. } | Self::Throttled { .. } | Self::NotSent { .. } => Outcome::NotApplied,
            Self::NoAnswer { .. } => Outcome::Unknown,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Throttled { .. } => Retry::Wait,
            Self::NoAnswer { .. } | Self::NotSent { .. } => Retry::Soon,
            // A plain ClientException, which no retry classifier knows (hashicorp/terraform-provider-aws#9777).
            Self::Refused { message, .. } if message.starts_with("Too many concurrent attempts") => Retry::Soon,
            Self::Refused { .. } => Retry::Stop,
        }
    }
}
