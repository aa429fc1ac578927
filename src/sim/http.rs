//! The world as an HTTP endpoint that any AWS SDK or CLI can talk to. Does not check signatures, and knows no operation.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::error::SimError;
use super::world::World;
use crate::ports::Clock;

/// The target prefix of ECS's awsJson 1.1 protocol.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";

/// Larger requests are refused: a task definition has at most 64 KiB.
const MOST_BYTES: usize = 1024 * 1024;

/// Serves `world` on `listener` until `shutdown` completes, then lets open requests end.
///
/// ECS is `POST /` with an `X-Amz-Target`; STS's GetCallerIdentity is on the same address, so that who asks can learn in
/// which account it is. Each call happens at the clock's `now`.
///
/// # Errors
/// When accepting connections fails for good.
pub async fn serve(
    listener: TcpListener,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(world, clock)).with_graceful_shutdown(shutdown).await
}

/// The endpoint as a router, for whoever has a server already.
pub fn router(world: Arc<Mutex<World>>, clock: Arc<dyn Clock>) -> Router {
    let endpoint = Endpoint { world, clock, answered: AtomicU64::new(0) };
    Router::new().route("/", post(answer)).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(Arc::new(endpoint))
}

struct Endpoint {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    answered: AtomicU64,
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    let number = endpoint.answered.fetch_add(1, Ordering::Relaxed);
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let mut response = match target.and_then(|target| target.strip_prefix(TARGET)) {
        Some(operation) => awsjson(endpoint.ecs(operation, &body)),
        None if target.is_none() && is_get_caller_identity(&body) => endpoint.caller_identity(&id),
        None => awsjson(Err(SimError::new("UnknownOperationException", "The simulator has ECS only."))),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

impl Endpoint {
    fn ecs(&self, operation: &str, body: &[u8]) -> Result<Value, SimError> {
        // An empty body is how some callers write an empty structure.
        let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
        let input = input.map_err(|error| SimError::new("SerializationException", error.to_string()))?;
        let now = self.clock.now();
        self.world.lock().unwrap_or_else(PoisonError::into_inner).call(now, operation, &input)
    }

    /// STS's query protocol: a form in, XML out.
    fn caller_identity(&self, id: &str) -> Response {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let config = world.config();
        let (arn, account) = (escape(&config.caller), escape(&config.account));
        let xml = format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>{arn}</Arn><UserId>AROASIMULATED:simulated</UserId><Account>{account}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        ([(header::CONTENT_TYPE, "text/xml")], xml).into_response()
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn is_get_caller_identity(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|form| form.split('&').any(|pair| pair == "Action=GetCallerIdentity"))
}

fn awsjson(result: Result<Value, SimError>) -> Response {
    const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/x-amz-json-1.1");
    match result {
        Ok(answer) => ([JSON], answer.to_string()).into_response(),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({ "__type": error.code, "message": error.message }).to_string();
            (status, [JSON, (HeaderName::from_static("x-amzn-errortype"), error.code)], body).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
