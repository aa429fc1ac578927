//! Raw JSON through the SDK: our bytes out, AWS's bytes back, signed and sent by the SDK.
//!
//! The SDK's typed structs drop what they do not know. An interceptor replaces the body after it is serialised, before
//! the point that retries rewind to and before it is signed, so each attempt is signed over our bytes; and takes the
//! answer's bytes once they are all there, also of an error. Knows no operation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
    BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef, Error, InterceptorContext, Output,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::{Map, Value};

/// One call's bytes, both ways. Clones share them.
#[derive(Clone)]
pub(super) struct Wire {
    request: Arc<[u8]>,
    seen: Arc<Mutex<Seen>>,
    /// An answer of the SDK's type that says nothing.
    blank: Option<fn() -> Output>,
}

/// What was seen of the last attempt.
#[derive(Default)]
struct Seen {
    sent: bool,
    answer: Option<RawAnswer>,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawAnswer {
    pub(super) status: u16,
    /// `x-amzn-errortype`, which some services and gateways use instead of `__type`.
    pub(super) error_type: Option<String>,
    /// `date`: when it was made, by the clock of whoever made it.
    pub(super) date: Option<String>,
    pub(super) body: Vec<u8>,
}

impl RawAnswer {
    pub(super) fn of(status: u16, headers: &Headers, body: Vec<u8>) -> Self {
        let header = |name| headers.get(name).map(str::to_owned);
        Self { status, error_type: header("x-amzn-errortype"), date: header("date"), body }
    }
}

impl Wire {
    pub(super) fn new(request: Vec<u8>) -> Self {
        Self { request: request.into(), seen: Arc::default(), blank: None }
    }

    /// Spares the SDK reading what nobody asks it for: an answer becomes `blank`, errors are read as ever. Reading a task
    /// definition into the SDK's structs costs as much as reading it into ours.
    pub(super) fn unread(mut self, blank: fn() -> Output) -> Self {
        self.blank = Some(blank);
        self
    }

    /// What is asked.
    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Whether the last attempt came as far as the network.
    pub(super) fn sent(&self) -> bool {
        self.seen().sent
    }

    /// The last attempt's answer, if all of it came.
    pub(super) fn answer(&self) -> Option<RawAnswer> {
        self.seen().answer.take()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By hand: the SDK prints its interceptors into its own logs, and bodies may hold secrets.
impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("request_bytes", &self.request.len()).finish_non_exhaustive()
    }
}

impl Intercept for Wire {
    fn name(&self) -> &'static str {
        "plimsoll-wire"
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        *request.body_mut() = SdkBody::from(self.request.to_vec());
        request.headers_mut().insert("content-length", self.request.len().to_string());
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.seen() = Seen { sent: true, answer: None };
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(blank), true) = (self.blank, context.response().status().is_success()) {
            bag.interceptor_state().store_put(SharedResponseDeserializer::new(Unread(blank)));
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let of = |body: &[u8]| RawAnswer::of(response.status().as_u16(), response.headers(), body.to_vec());
        self.seen().answer = response.body().bytes().map(of);
        Ok(())
    }
}

/// Reads no answer; the orchestrator has put its bytes together before.
#[derive(Debug)]
struct Unread(fn() -> Output);

impl DeserializeResponse for Unread {
    fn deserialize_nonstreaming_with_config(
        &self,
        _: &HttpResponse,
        _: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        Ok(self.0())
    }
}

/// Keeps the SDK from retrying what was throttled: it would wait behind the back of the budget, which then learns
/// nothing, and every caller's calls come back to a bucket that is already empty.
#[derive(Debug)]
pub(super) struct LeaveThrottlingToTheBudget;

impl ClassifyRetry for LeaveThrottlingToTheBudget {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        // Asked of every answer: reading those that are no errors took a sixth of what looking at a fleet takes.
        let error = context.response().filter(|response| !response.status().is_success());
        let Some(response) = error else { return RetryAction::NoActionIndicated };
        let (code, _) = error_in(response.headers().get("x-amzn-errortype"), response.body().bytes().unwrap_or(&[]));
        if code.is_some_and(|code| is_throttling(&code)) {
            RetryAction::RetryForbidden
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "plimsoll-leave-throttling-to-the-budget"
    }
}

/// ECS throttles with `ThrottlingException` (ECS Developer Guide, "Request throttling"); gateways in front of it have
/// their own words. `LimitExceededException`, which the SDK counts as throttling, is a quota of ECS.
pub(super) fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
    )
}

/// The code and the message of an error's body (awsJson 1.1: `__type`, and `message` in either spelling).
pub(super) fn error_in(error_type: Option<&str>, body: &[u8]) -> (Option<String>, Option<String>) {
    let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| members.get(*name)?.as_str());
    let code = error_type.or_else(|| text(&["__type", "code", "Code"])).map(bare).filter(|code| !code.is_empty());
    (code.map(str::to_owned), text(&["message", "Message", "errorMessage"]).map(str::to_owned))
}

/// `com.amazonaws.ecs#ClientException:http://…` → `ClientException` (Smithy, "awsJson 1.1", operation errors).
fn bare(code: &str) -> &str {
    let code = code.split_once(':').map_or(code, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error_type: Option<&str>, body: &str, code: Option<&str>, message: Option<&str>) {
        let (found_code, found_message) = error_in(error_type, body.as_bytes());
        assert_eq!((found_code.as_deref(), found_message.as_deref()), (code, message), "{body}");
    }

    #[test]
    fn an_error_is_known_by_its_bare_code() {
        let [client, m] = ["ClientException", "no"].map(Some);
        check(None, r#"{"__type":"ClientException","message":"no"}"#, client, m);
        check(None, r#"{"__type":"com.amazonaws.ecs#ClientException","Message":"no"}"#, client, m);
        check(None, r#"{"__type":"aws.protocoltests#ClientException:http://internal/coral/"}"#, client, None);
        check(Some("ClientException:http://internal"), r#"{"message":"no"}"#, client, m);
        check(None, r#"{"code":"ClientException"}"#, client, None);
        check(None, "", None, None);
        check(None, "<html>502 Bad Gateway</html>", None, None);
        check(None, r#"["ClientException"]"#, None, None);
        check(None, r#"{"__type":7,"message":null}"#, None, None);
    }

    #[test]
    fn a_quota_is_not_throttling() {
        assert!(is_throttling("ThrottlingException"));
        assert!(!is_throttling("LimitExceededException"));
        assert!(!is_throttling("ClientException"));
    }

    #[test]
    fn bodies_do_not_show_in_debug_output() {
        let wire = Wire::new(br#"{"password":"hunter2"}"#.to_vec());
        wire.seen().answer = Some(RawAnswer { status: 200, error_type: None, date: None, body: b"hunter2".to_vec() });
        assert!(!format!("{wire:?}").contains("hunter2"));
    }
}
