//! The world as an HTTP endpoint that any AWS SDK or CLI can talk to. Does not check signatures, and knows no operation.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::alarm::is_of_alarms;
use super::calls::{ASSUME_ROLE, CALLER_IDENTITY, Calls};
use super::cbor;
use super::error::SimError;
use super::sts::{self, Accounts, Form};
use crate::ports::Clock;

/// The target prefix of ECS's awsJson 1.1 protocol.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";

/// That of CloudWatch's and of the tagging API's JSON protocols.
const TARGETS_OF_ALARMS: &[&str] = &["GraniteServiceVersion20100801.", "ResourceGroupsTaggingAPI_20170126."];

/// Where CloudWatch answers in Smithy's rpcv2Cbor, which is what AWS's SDKs speak with it.
const CBOR_PATH: &str = "/service/GraniteServiceVersion20100801/operation/{operation}";

/// Where the endpoint says what it was asked. No path of AWS's begins so.
const CALLS_PATH: &str = "/_plimsoll/calls";

/// Larger requests are refused: a task definition has at most 64 KiB.
const MOST_BYTES: usize = 1024 * 1024;

/// Serves `accounts` on `listener` until `shutdown` completes, then lets open requests end.
///
/// ECS is `POST /` with an `X-Amz-Target`; STS is on the same address, so that who asks can learn in which account it is, and
/// take on the roles of others, and so are CloudWatch's alarms and the tagging API that finds them. Each call happens at the clock's `now`.
/// `GET /_plimsoll/calls` counts the calls so far, by operation.
///
/// # Errors
/// When accepting connections fails for good.
pub async fn serve(
    listener: TcpListener,
    accounts: impl Into<Accounts>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // An answer goes out at once, whole or not: otherwise a client waits for its own delayed acknowledgement. Where the
    // option cannot be set, answers only come later.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router(accounts, clock)).with_graceful_shutdown(shutdown).await
}

/// The endpoint as a router, for whoever has a server already.
pub fn router(accounts: impl Into<Accounts>, clock: Arc<dyn Clock>) -> Router {
    let endpoint = Endpoint { accounts: accounts.into(), clock, answered: AtomicU64::new(0), calls: Calls::default() };
    let router =
        Router::new().route("/", post(answer)).route(CBOR_PATH, post(answer_in_cbor)).route(CALLS_PATH, get(counted));
    router.layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(Arc::new(endpoint))
}

struct Endpoint {
    accounts: Accounts,
    clock: Arc<dyn Clock>,
    answered: AtomicU64,
    calls: Calls,
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    let id = endpoint.next_id();
    let (target, by) = (text(&headers, "x-amz-target"), text(&headers, "authorization"));
    let mut response = match target.and_then(|target| target.strip_prefix(TARGET)) {
        Some(operation) if is_of_alarms(operation) => endpoint.count(operation, Err(unknown())),
        Some(operation) => endpoint.call(by, operation, &body),
        None if let Some(operation) = target.and_then(of_alarms) => endpoint.call(by, operation, &body),
        None if target.is_none()
            && let Some(answer) = endpoint.sts(by, &body, &id) =>
        {
            answer
        }
        // Of another service: counted, so that whoever measures sees that it was asked.
        None => endpoint.count(target.unwrap_or_default(), Err(unknown())),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What was asked so far.
async fn counted(State(endpoint): State<Arc<Endpoint>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], endpoint.calls.to_value().to_string()).into_response()
}

/// CloudWatch's operation in a target, where it is one.
fn of_alarms(target: &str) -> Option<&str> {
    let operation = TARGETS_OF_ALARMS.iter().find_map(|prefix| target.strip_prefix(prefix))?;
    Some(operation).filter(|operation| is_of_alarms(operation))
}

fn unknown() -> SimError {
    SimError::new("UnknownOperationException", "The simulator has ECS, STS, and of CloudWatch its alarms.")
}

/// CloudWatch, as AWS's SDKs ask it.
async fn answer_in_cbor(
    State(endpoint): State<Arc<Endpoint>>,
    Path(operation): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let result = match cbor::read(&body) {
        _ if !is_of_alarms(&operation) => Err(unknown()),
        Err(error) => Err(SimError::new("SerializationException", error)),
        Ok(input) => endpoint.answer(text(&headers, "authorization"), &operation, &input),
    };
    let (status, code, answer) = match result {
        Ok(answer) => (StatusCode::OK, None, answer),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Some(error.code), json!({ "__type": error.code, "message": error.message }))
        }
    };
    let body = cbor::write(&answer);
    endpoint.calls.count(endpoint.clock.now(), &operation, code, body.len());
    let mut response = (status, [(header::CONTENT_TYPE, "application/cbor")], body).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("smithy-protocol"), HeaderValue::from_static("rpc-v2-cbor"));
    // CloudWatch has kept the codes of its older protocol (Smithy, "awsQueryCompatible").
    if let Some(code) = code.and_then(|code| HeaderValue::from_str(&format!("{code};Sender")).ok()) {
        headers.insert(HeaderName::from_static("x-amzn-query-error"), code);
    }
    if let Ok(id) = HeaderValue::from_str(&endpoint.next_id()) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

impl Endpoint {
    fn next_id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.answered.fetch_add(1, Ordering::Relaxed))
    }

    /// A call in awsJson, counted.
    fn call(&self, by: Option<&str>, operation: &str, body: &[u8]) -> Response {
        // An empty body is how some callers write an empty structure.
        let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
        let result = input.map_err(|error| SimError::new("SerializationException", error.to_string()));
        self.count(operation, result.and_then(|input| self.answer(by, operation, &input)))
    }

    /// The answer as awsJson writes it, counted.
    fn count(&self, operation: &str, result: Result<Value, SimError>) -> Response {
        let (status, body) = match &result {
            // A value has no key that JSON cannot write: it always has a text.
            Ok(answer) => (StatusCode::OK, serde_json::to_vec(answer).unwrap_or_default()),
            Err(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, json!({ "__type": error.code, "message": error.message }).to_string().into_bytes())
            }
        };
        self.calls.count(self.clock.now(), operation, result.as_ref().err().map(|error| error.code), body.len());
        let mut response = (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body).into_response();
        if let Err(error) = result {
            let code = HeaderValue::from_static(error.code);
            response.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), code);
        }
        response
    }

    fn answer(&self, by: Option<&str>, operation: &str, input: &Value) -> Result<Value, SimError> {
        let now = self.clock.now();
        self.accounts.of(by).call(now, operation, input)
    }

    /// STS, counted; `None` where it is none of its operations that are there.
    fn sts(&self, by: Option<&str>, body: &[u8], id: &str) -> Option<Response> {
        let form = Form::of(body);
        let (now, action) = (self.clock.now(), form.get("Action"));
        let result = match action {
            CALLER_IDENTITY => Ok(sts::caller_identity(&self.accounts.of(by))),
            ASSUME_ROLE => {
                let caller = self.accounts.of(by).config().caller.clone();
                self.accounts.assume_role(&form, &caller, now)
            }
            _ => return None,
        };
        let (status, code, xml) = match result {
            Ok(result) => (StatusCode::OK, None, sts::answered(action, &result, id)),
            Err((code, why)) => (StatusCode::FORBIDDEN, Some(code), sts::refused(code, &why, id)),
        };
        self.calls.count(now, action, code, xml.len());
        Some((status, [(header::CONTENT_TYPE, "text/xml")], xml).into_response())
    }
}

#[cfg(test)]
mod tests;
