//! What ends a pass.

use crate::model::packed::UnpackError;
use crate::model::wire::WireError;
use crate::model::{Reason, ReasonCode};
use crate::ports::EcsError;
use crate::records::RecordError;

/// A pass that could not go on. What was recorded stays recorded; the next pass goes on from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// ECS did not do what was asked.
    #[error("{action} failed")]
    Ecs {
        /// What was being done.
        action: String,
        /// How it failed.
        #[source]
        source: EcsError,
    },
    /// ECS's answer is not what its API promises.
    #[error("{action} gave an answer that cannot be read")]
    Wire {
        /// What was being done.
        action: String,
        /// What is wrong with it.
        #[source]
        source: WireError,
    },
    /// The record could not be read or written.
    #[error("the record could not be kept")]
    Record(#[from] RecordError),
    /// A planned document that was kept packed is lost.
    #[error("the documents planned for `{resource}` are lost: the next pass plans them anew")]
    Unpack {
        /// Of which service.
        resource: String,
        /// How.
        #[source]
        source: UnpackError,
    },
    /// Somebody else holds the target.
    #[error("another controller holds `{target}`: {holder}")]
    NotHolder {
        /// Which target.
        target: String,
        /// Who, as far as is known.
        holder: String,
    },
    /// ECS answered for another account or region than the credentials are for.
    #[error("the endpoint answers for `{answered}`, not for `{target}`")]
    WrongTarget {
        /// What was asked about.
        target: String,
        /// What the clusters' ARNs say.
        answered: String,
    },
    /// It was told to stop: the pass ended where nothing is half done, and whoever goes on takes it up there.
    #[error("it was told to stop")]
    Stopped,
    /// There are no policies to hold the fleet to.
    #[error("no policy is in effect: `plimsoll apply -f policies/` brings some")]
    NoPolicies,
    /// The stored policies do not compile: they were written by another version.
    #[error("the stored policies cannot be used: {message}")]
    Policies {
        /// The first problem.
        message: String,
    },
}

impl ControllerError {
    /// Why the pass was not whole, where that is something to tell whoever asks what the controller does.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let of = |code, message: String| Some(Reason::of(code, message));
        match self {
            Self::Ecs { action, source } => {
                let code = match source {
                    EcsError::Throttled { .. } => ReasonCode::Throttled,
                    EcsError::Refused { code, .. } if code.contains("AccessDenied") => ReasonCode::AccessDenied,
                    EcsError::Refused { .. } | EcsError::NotSent { .. } | EcsError::NoAnswer { .. } => {
                        ReasonCode::NotObserved
                    }
                };
                // The input of the call is for logs.
                let action = action.split(" of {").next().unwrap_or(action);
                of(code, format!("{action}: {source}"))
            }
            Self::Wire { source, .. } => of(ReasonCode::NotObserved, format!("{self}: {source}")),
            Self::Unpack { source, .. } => of(ReasonCode::NotObserved, format!("{self}: {source}")),
            Self::WrongTarget { .. } => of(ReasonCode::WrongTarget, self.to_string()),
            Self::NoPolicies => of(ReasonCode::NoPolicies, self.to_string()),
            Self::Policies { .. } => of(ReasonCode::InvalidPolicies, self.to_string()),
            // Without the record nothing can be kept, and another holder keeps its own.
            Self::Record(_) | Self::NotHolder { .. } | Self::Stopped => None,
        }
    }

    /// Whether the record was written by somebody else since it was read: read again, and go on.
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Record(error) if error.is_conflict())
    }
}

/// Turns a failed call into an error that says what was being done.
pub(super) fn ecs(action: impl Into<String>) -> impl FnOnce(EcsError) -> ControllerError {
    move |source| ControllerError::Ecs { action: action.into(), source }
}

/// Turns an unreadable answer into an error that says what was being done.
pub(super) fn wire(action: impl Into<String>) -> impl FnOnce(WireError) -> ControllerError {
    move |source| ControllerError::Wire { action: action.into(), source }
}
