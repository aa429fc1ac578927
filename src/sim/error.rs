//! How ECS says no. Does not know how an answer travels: an adapter turns it into a port's error or an HTTP body.

/// An error answer of ECS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct SimError {
    /// The HTTP status.
    pub status: u16,
    /// The error's code, without a namespace.
    pub code: &'static str,
    /// ECS's words.
    pub message: String,
}

impl SimError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    pub(super) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(super) fn cluster_not_found() -> Self {
        Self::new("ClusterNotFoundException", "Cluster not found.")
    }

    pub(super) fn service_not_found() -> Self {
        Self::new("ServiceNotFoundException", "Service not found.")
    }

    /// HTTP 400 with the code `ThrottlingException` and "Rate exceeded" (ECS Developer Guide, request-throttling).
    pub(super) fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    /// ECS's own fault, HTTP 500.
    pub(super) fn server() -> Self {
        Self { status: 500, code: "ServerException", message: "Service Unavailable. Please try again later.".into() }
    }
}
