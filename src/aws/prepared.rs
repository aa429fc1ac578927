//! Requests that the SDK has prepared once, sent again with another body.
//!
//! A look at a fleet asks the same operation some thousand times. All but the body is the same each time, and putting it together
//! anew takes the SDK more CPU than signing, sending and reading it (benches/README). So of a call that the SDK has made, the
//! request is kept as it was right before it was signed: with its endpoint, its headers, its HTTP client with that one's
//! connections, its cache of credentials and its signer, all of them the SDK's own.
//!
//! Sent so, a request has one attempt. What comes of it counts where it is an answer, or a refusal that asking again would not
//! change. Whatever else comes, the SDK asks, with its retries, their quota and its correction for a clock that is off, and goes on
//! asking until it has had an answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::SCHEME_ID;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme as _, AuthSchemeEndpointConfig};
use aws_smithy_runtime_api::client::http::{HttpClient as _, HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::identity::{ResolveCachedIdentity as _, SharedIdentityResolver};
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver as _, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use tracing::warn;

use super::error::{Denial, kind_of_denial};
use super::wire::{RawAnswer, error_in, is_throttling};
use crate::ports::ecs::Operation;

/// Of every operation that has been answered. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Prepared {
    known: Arc<Mutex<HashMap<Operation, Arc<Request>>>>,
    /// AWS accepts what the SDK signs, and not what is sent so.
    rejected: Arc<AtomicBool>,
}

/// What became of a request that was sent so.
pub(super) enum Sent {
    /// An answer, or a refusal that stands.
    Answered(RawAnswer),
    /// The SDK has to ask.
    Not(Ask),
}

/// How the SDK is to ask.
#[derive(Default)]
pub(super) struct Ask {
    /// Whether it was sent already, as prepared.
    pub(super) is_second: bool,
    /// What was sent so was not accepted.
    rejected: bool,
    /// Where the request is put that the SDK signs.
    draft: Draft,
}

impl Prepared {
    /// Asks with `body`, for at most as long as that.
    ///
    /// Cancellation: what was sent may still be answered, and nobody reads it.
    pub(super) async fn ask(&self, operation: Operation, body: &[u8], timeout: Duration) -> Sent {
        let Some(request) = self.known().get(&operation).cloned() else { return Sent::Not(Ask::default()) };
        let mut ask = Ask { is_second: true, ..Ask::default() };
        if let Ok(Ok(answer)) = tokio::time::timeout(timeout, request.send(body)).await {
            if (200..300).contains(&answer.status) {
                return Sent::Answered(answer);
            }
            let (code, _) = error_in(answer.error_type.as_deref(), &answer.body);
            let is = |meant: fn(&str) -> bool| code.as_deref().is_some_and(meant);
            // Asked again at once it would be refused again; and the budget is to know of throttling.
            if is(is_throttling) || answer.status == 429 || (answer.status < 500 && is(is_refusal)) {
                return Sent::Answered(answer);
            }
            ask.rejected = is(|code| matches!(kind_of_denial(code), Some(Denial::Rejected | Denial::Expired)));
        }
        self.known().remove(&operation);
        Sent::Not(ask)
    }

    /// The SDK has had an answer.
    pub(super) fn keep(&self, operation: Operation, ask: Ask) {
        if ask.rejected && !self.rejected.swap(true, Ordering::Relaxed) {
            warn!(
                "AWS accepts what the SDK signs and not the same request sent again: all of them are left to the SDK"
            );
        }
        let request = ask.draft.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(request) = request.filter(|_| !self.rejected.load(Ordering::Relaxed)) {
            self.known().insert(operation, Arc::new(request));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Operation, Arc<Request>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ask {
    /// Takes down the request that the SDK is about to sign.
    pub(super) fn draft(&self) -> Draft {
        self.draft.clone()
    }
}

/// What the SDK has signed last. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Draft(Arc<Mutex<Option<Request>>>);

/// By hand: the SDK prints its interceptors into its own logs, and what it works with knows credentials.
impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").finish_non_exhaustive()
    }
}

impl Intercept for Draft {
    fn name(&self) -> &'static str {
        "plimsoll-draft"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Request::of(context.request(), components, bag);
        Ok(())
    }
}

/// A request without its body and its signature, and what signs and sends it.
struct Request {
    template: HttpRequest,
    components: RuntimeComponents,
    identity: SharedIdentityResolver,
    /// What the signer asks of the SDK's settings.
    bag: ConfigBag,
    connection: HttpConnectorSettings,
}

impl Request {
    /// `None` where the SDK would do with it what is not done here.
    fn of(request: &HttpRequest, components: &RuntimeComponents, bag: &ConfigBag) -> Option<Self> {
        // An endpoint may ask to be signed for in its own way.
        if bag.load::<Endpoint>()?.properties().contains_key("authSchemes") {
            return None;
        }
        let mut template = request.try_clone()?;
        *template.body_mut() = SdkBody::empty();
        // Of that one call and its attempts.
        template.headers_mut().remove("amz-sdk-invocation-id");
        template.headers_mut().remove("amz-sdk-request");
        let mut signing = Layer::new("signing");
        signing.store_put(bag.load::<SigV4OperationSigningConfig>()?.clone());
        signing.store_put(bag.load::<SigningRegion>()?.clone());
        signing.store_put(bag.load::<SigningName>()?.clone());
        let timeouts = bag.load::<TimeoutConfig>()?;
        let mut connection = HttpConnectorSettings::builder();
        connection.set_connect_timeout(timeouts.connect_timeout());
        connection.set_read_timeout(timeouts.read_timeout());
        // Without that call's interceptors: they hold its bodies, and this one.
        let without = components.to_builder().with_interceptors(std::iter::empty::<SharedInterceptor>());
        Some(Self {
            template,
            identity: components.identity_resolver(SCHEME_ID)?,
            components: without.build().ok()?,
            bag: ConfigBag::of_layers(vec![signing]),
            connection: connection.build(),
        })
    }

    async fn send(&self, body: &[u8]) -> Result<RawAnswer, BoxError> {
        let mut request = self.template.try_clone().ok_or("a body that cannot be sent twice")?;
        *request.body_mut() = SdkBody::from(body.to_vec());
        request.headers_mut().insert("content-length", body.len().to_string());
        let cache = self.components.identity_cache();
        let identity = cache.resolve_cached_identity(self.identity.clone(), &self.components, &self.bag).await?;
        let scheme = self.components.auth_scheme(SCHEME_ID).ok_or("no signer")?;
        let endpoint = AuthSchemeEndpointConfig::empty();
        scheme.signer().sign_http_request(&mut request, &identity, endpoint, &self.components, &self.bag)?;
        let client = self.components.http_client().ok_or("no HTTP client")?;
        let mut answer = client.http_connector(&self.connection, &self.components).call(request).await?;
        let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
        let body = ByteStream::new(body).collect().await?.into_bytes();
        Ok(RawAnswer::of(answer.status().as_u16(), answer.headers(), body.to_vec()))
    }
}

/// Whether ECS has understood and says no. Source: "Errors" of DescribeServices, DescribeTaskDefinition and the other operations
/// that read (ECS API reference).
fn is_refusal(code: &str) -> bool {
    matches!(code, "ClientException" | "InvalidParameterException" | "AccessDeniedException")
        || code.ends_with("NotFoundException")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::aws::{Connection, Timeouts};
    use crate::ports::Ecs as _;

    /// What is kept holds the HTTP client, the credentials and whatever the SDK works with.
    #[tokio::test]
    async fn nothing_of_it_outlives_those_who_ask() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let answers = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        });
        let ecs = Connection::to_endpoint(&endpoint, "us-east-1", Timeouts::default()).ecs();
        ecs.call(Operation::ListClusters, json!({})).await.unwrap();
        answers.await.unwrap();
        let known = Arc::downgrade(&ecs.prepared.known);
        let request = Arc::downgrade(&ecs.prepared.known()[&Operation::ListClusters]);
        drop(ecs);
        assert_eq!((known.strong_count(), request.strong_count()), (0, 0));
    }
}
