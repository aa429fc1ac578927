//! Requests that the SDK has prepared once, sent again with another body.
//!
//! A look at a fleet asks the same operation some thousand times. All but the body is the same each time, and putting it
//! together anew takes the SDK more CPU than signing, sending and reading it (benches/README). So what the SDK has prepared is kept as
//! it is right before it is signed: its endpoint, its headers, its HTTP client with that one's connections, its cache of credentials
//! and its signer, all of them the SDK's own.
//!
//! Sent so, a request has one attempt. Whatever comes of it but an answer, or a refusal that asking again would not change, counts
//! as not asked: the SDK asks then, with its retries, its correction for a clock that is off, and credentials that it has
//! fetched. Where AWS does not accept what was sent so, nothing is sent so any more.

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
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver as _, RuntimeComponents};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;

use super::error::{Denial, kind_of_denial};
use super::wire::{RawAnswer, error_in, is_throttling};
use crate::ports::ecs::Operation;

/// Of every operation that has been asked. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Prepared {
    known: Arc<Mutex<HashMap<Operation, Arc<Request>>>>,
    /// AWS did not accept one that was sent so.
    rejected: Arc<AtomicBool>,
}

/// By hand: headers may hold a session's token once they are signed, and the SDK prints its interceptors.
impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl Prepared {
    /// What keeps a request for this operation when the SDK sends one.
    pub(super) fn keeping(&self, operation: Operation) -> Keeping {
        Keeping { prepared: self.clone(), operation }
    }

    /// The answer to `body`, within `timeout`; `None`: the SDK has to ask.
    ///
    /// Cancellation: what was sent may still be answered, and nobody reads it.
    pub(super) async fn ask(&self, operation: Operation, body: &[u8], timeout: Duration) -> Option<RawAnswer> {
        if self.rejected.load(Ordering::Relaxed) {
            return None;
        }
        let request = self.known().get(&operation).cloned()?;
        let answer = tokio::time::timeout(timeout, request.send(body)).await.ok()?.ok()?;
        if (200..300).contains(&answer.status) {
            return Some(answer);
        }
        let (code, _) = error_in(answer.error_type.as_deref(), &answer.body);
        let is = |meant: fn(&str) -> bool| code.as_deref().is_some_and(meant);
        if is(|code| matches!(kind_of_denial(code), Some(Denial::Rejected | Denial::Expired))) {
            self.rejected.store(true, Ordering::Relaxed);
        }
        // Asked again at once it would be refused again; and the budget is to know of throttling.
        (answer.status < 500 && is(|code| is_throttling(code) || is_refusal(code))).then_some(answer)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Operation, Arc<Request>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether ECS has understood and says no. Source: "Errors" of DescribeServices, DescribeTaskDefinition and the other operations
/// that read (ECS API reference).
fn is_refusal(code: &str) -> bool {
    matches!(code, "ClientException" | "InvalidParameterException" | "AccessDeniedException")
        || code.ends_with("NotFoundException")
}

/// Keeps the request that the SDK is about to sign.
#[derive(Debug)]
pub(super) struct Keeping {
    prepared: Prepared,
    operation: Operation,
}

impl Intercept for Keeping {
    fn name(&self) -> &'static str {
        "plimsoll-prepared"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !self.operation.writes()
            && let Some(request) = Request::of(context.request(), components, bag)
        {
            self.prepared.known().insert(self.operation, Arc::new(request));
        }
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
        Some(Self {
            template,
            identity: components.identity_resolver(SCHEME_ID)?,
            components: components.clone(),
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
