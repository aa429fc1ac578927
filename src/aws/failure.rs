//! What became of a call that the SDK reports as failed: was it sent, was it answered, and with what words?
//!
//! Knows no operation and no service; `ecs`, `dynamo` and `error` say what it means to theirs.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;

use crate::model::chain;

/// A failed call, by how far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It was never sent: no credentials could be had.
    NoCredentials {
        /// Whether any were configured at all; if so, getting them failed.
        configured: bool,
        message: String,
    },
    /// It was never sent: no connection could be made.
    Unreachable { message: String },
    /// It was never sent, for another reason.
    NotSent { message: String },
    /// It may have been sent and no usable answer came back.
    Lost { message: String },
    /// The service answered with an error.
    Answered { status: u16, code: Option<String>, message: String },
}

impl Failure {
    /// Of an error that the SDK has read.
    pub(super) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => Self::Answered {
                status: answer.raw().status().as_u16(),
                code: answer.err().code().map(str::to_owned),
                message: answer.err().message().unwrap_or("no message").to_owned(),
            },
            _ => Self::unanswered(error),
        }
    }

    /// Of an error without an answer, by what is in its chain of causes.
    pub(super) fn unanswered<E>(error: &SdkError<E>) -> Self
    where
        E: Error + 'static,
    {
        let message = chain(error);
        if let Some(credentials) = causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
            let configured = !matches!(credentials, CredentialsError::CredentialsNotLoaded(_));
            // STS's own sentence says who may not take on which role; the chain around it says that a call failed.
            let assumed = causes(error).find_map(|cause| cause.downcast_ref::<AssumeRoleError>());
            let said = assumed.and_then(ProvideErrorMetadata::message).map(str::to_owned);
            return Self::NoCredentials { configured, message: said.unwrap_or(message) };
        }
        // The HTTP client says nothing else of a failure to connect (name, TCP or TLS) in public. Should the words
        // change, such a failure is taken for a lost answer, which is the safe mistake; a contract test would tell.
        if causes(error).any(|cause| cause.to_string() == "client error (Connect)") {
            return Self::Unreachable { message };
        }
        match error {
            SdkError::ConstructionFailure(_) => Self::NotSent { message },
            _ => Self::Lost { message },
        }
    }

    /// What happened, in one phrase.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::NoCredentials { message, .. }
            | Self::Unreachable { message }
            | Self::NotSent { message }
            | Self::Lost { message }
            | Self::Answered { message, .. } => message,
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| -> Option<&'a (dyn Error + 'static)> {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}
