//! Why AWS cannot be used, as data: a sentence for people and what to do about it.

use super::failure::Failure;

/// AWS cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// Neither environment, nor profile, nor the machine says which region to use.
    #[error("no AWS region is set")]
    NoRegion,
    /// Nothing on this machine offers credentials.
    #[error("no AWS credentials were found: {message}")]
    NoCredentials {
        /// Where the SDK looked.
        message: String,
    },
    /// Credentials are configured but cannot be had: a role that may not be assumed, an expired single sign-on.
    #[error("the AWS credentials cannot be loaded: {message}")]
    CredentialsFailed {
        /// What the SDK says.
        message: String,
    },
    /// The credentials were good once.
    #[error("the AWS credentials have expired: {message}")]
    Expired {
        /// AWS's words.
        message: String,
    },
    /// AWS does not accept the credentials at all.
    #[error("AWS does not accept the credentials: {code}: {message}")]
    Rejected {
        /// The error's code.
        code: String,
        /// AWS's words.
        message: String,
    },
    /// The credentials are good but do not permit this.
    #[error("access denied: {message}")]
    Denied {
        /// AWS's words; they name the action and the caller.
        message: String,
    },
    /// No connection can be made.
    #[error("the AWS endpoint cannot be reached: {message}")]
    Unreachable {
        /// How connecting failed.
        message: String,
    },
    /// A connection was made and no usable answer came.
    #[error("AWS does not answer: {message}")]
    NoAnswer {
        /// What happened instead.
        message: String,
    },
    /// Any other refusal.
    #[error("AWS refused: {code}: {message}")]
    Refused {
        /// The error's code.
        code: String,
        /// AWS's words.
        message: String,
    },
}

impl AwsError {
    /// What to do about it, as one sentence.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NoRegion => "set AWS_REGION, or name a profile that has a region with AWS_PROFILE",
            Self::NoCredentials { .. } => {
                "set AWS_PROFILE, sign in with `aws sso login`, or run where a role is attached"
            }
            Self::CredentialsFailed { .. } => {
                "sign in again with `aws sso login`, and check the profile's role_arn and that role's trust policy"
            }
            Self::Expired { .. } => "sign in again, for instance with `aws sso login`, and check this machine's clock",
            Self::Rejected { .. } => {
                "check the access key and the session token, the region's being enabled, and this machine's clock"
            }
            Self::Denied { .. } => "grant the action it names to the caller it names; deploy/iam has the policies",
            Self::Unreachable { .. } => {
                "check the network, the proxy, and AWS_ENDPOINT_URL if it is set; in a private subnet, the VPC endpoints"
            }
            Self::NoAnswer { .. } => "try again; if it lasts, look at the AWS Health Dashboard",
            Self::Refused { .. } => "see the error's code in the AWS documentation",
        }
    }
}

impl AwsError {
    /// Only what was said, where whoever shows it names what failed: a role that may not be taken on is no matter of "the
    /// credentials".
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::CredentialsFailed { message } | Self::Denied { message } => message.clone(),
            other => other.to_string(),
        }
    }
}

impl From<Failure> for AwsError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoCredentials { configured: false, message } => Self::NoCredentials { message },
            Failure::NoCredentials { configured: true, message } => Self::CredentialsFailed { message },
            Failure::Unreachable { message } => Self::Unreachable { message },
            Failure::NotSent { message } | Failure::Lost { message } => Self::NoAnswer { message },
            Failure::Answered { status, message, .. } if status >= 500 => Self::NoAnswer { message },
            Failure::Answered { status, code, message } => {
                let code = code.unwrap_or_else(|| format!("HTTP {status}"));
                match kind_of_denial(&code) {
                    Some(Denial::Expired) => Self::Expired { message },
                    Some(Denial::Rejected) => Self::Rejected { code, message },
                    Some(Denial::NotPermitted) => Self::Denied { message },
                    None => Self::Refused { code, message },
                }
            }
        }
    }
}

/// Why AWS will not listen to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    Expired,
    Rejected,
    NotPermitted,
}

/// AWS's common error codes (the "Common errors" page of each API reference) that speak of the caller.
pub(super) fn kind_of_denial(code: &str) -> Option<Denial> {
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Some(Denial::Expired),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthFailure"
        | "OptInRequired" => Some(Denial::Rejected),
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "UnauthorizedOperation" => {
            Some(Denial::NotPermitted)
        }
        _ => None,
    }
}
