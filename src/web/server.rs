//! From a request to an answer: which page, which headers, and who may ask at all.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query as Asked, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::{self, WatchedTargets};
use super::metrics::Metrics;
use super::pages::{self, Made, Shown};
use super::query::Query;
use super::snapshot::{Cached, EventLog, Snapshot};
use crate::model::{chain, hex};
use crate::ports::{Clock, Store};
use crate::records::RecordError;

/// What is served.
pub struct Site {
    /// Where the records are.
    pub store: Arc<dyn Store>,
    /// The time that the records are in.
    pub clock: Arc<dyn Clock>,
    /// The numbers of this process.
    pub metrics: Arc<Metrics>,
    /// The targets whose controllers are in this process.
    pub watched: WatchedTargets,
    /// What every page says of itself, such as that nothing of it is real.
    pub note: Option<&'static str>,
}

/// It cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on `{address}`")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

struct Served {
    site: Site,
    snapshot: Cached<Snapshot>,
    events: Cached<EventLog>,
    /// Nobody but this machine is to read it.
    loopback: bool,
}

type Here = State<Arc<Served>>;

/// Serves until `stop`, and says where.
///
/// # Errors
/// Where it cannot listen.
pub async fn serve(address: SocketAddr, site: Site, stop: CancellationToken) -> Result<SocketAddr, ListenError> {
    let failed = |source| ListenError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let routes = routes(site, address.ip().is_loopback());
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(error = %chain(&error), "pages and metrics are no longer served");
        }
    });
    Ok(address)
}

/// Everything that is served. All of it is GET: what is asked with another method is refused by the router.
fn routes(site: Site, loopback: bool) -> Router {
    let served = Arc::new(Served { site, snapshot: Cached::default(), events: Cached::default(), loopback });
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/assets/style.css", get(|| asset("text/css; charset=utf-8", include_str!("assets/style.css"))))
        .route("/assets/live.js", get(|| asset("text/javascript; charset=utf-8", include_str!("assets/live.js"))))
        .route("/assets/icon.svg", get(|| asset("image/svg+xml", include_str!("assets/icon.svg"))))
        .fallback(get(page))
        .layer(middleware::from_fn_with_state(Arc::clone(&served), guard))
        .with_state(served)
}

async fn ready(State(served): Here) -> Response {
    health::ready(served.site.store.as_ref(), &served.site.watched).await.into_response()
}

async fn metrics(State(served): Here) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], served.site.metrics.page()).into_response()
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

/// A page. Its tag is a hash of what it says: who looks again and again is sent nothing where nothing has changed.
async fn page(
    State(served): Here,
    uri: Uri,
    headers: HeaderMap,
    Asked(asked): Asked<BTreeMap<String, String>>,
) -> Response {
    let made = match served.make(uri.path(), &Query::of(asked)).await {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "a page could not be made");
            pages::unavailable(served.site.note)
        }
    };
    let tag = format!("\"{}\"", hex(&Sha256::digest(made.says.as_bytes())));
    if made.status == 200 && headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let status = StatusCode::from_u16(made.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()), (header::ETAG, tag)], made.html)
        .into_response()
}

impl Served {
    async fn make(&self, path: &str, query: &Query) -> Result<Made, RecordError> {
        let (store, clock) = (self.site.store.as_ref(), self.site.clock.as_ref());
        let Some(kind) = pages::Kind::of(path) else { return Ok(pages::missing(self.site.note)) };
        let (snapshot, mut stale) = self.snapshot.get(Snapshot::read(store, clock)).await?;
        let log = if kind.shows_events() {
            let (log, error) = self.events.get(EventLog::read(store, clock)).await?;
            stale = stale.or(error);
            log
        } else {
            Arc::default()
        };
        if let Some(error) = &stale {
            tracing::warn!(error = %chain(error), "the store cannot be read; pages are of before");
        }
        let shown = Shown { snapshot: &snapshot, log: &log, query, stale: stale.is_some(), note: self.site.note };
        Ok(pages::make(kind, &shown))
    }
}

/// No scripts, styles, images or connections but this server's own, nothing embedded, no other origin told anything.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Refuses who asks by a name that is not this machine's, where only this machine is to read it; sets the headers.
///
/// A page of somebody else's in a browser here could otherwise read these pages, by a name of its own that it lets point
/// to 127.0.0.1 (DNS rebinding).
async fn guard(State(served): Here, request: Request<Body>, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let mut response = if served.loopback && !host.is_some_and(is_this_machine) {
        let refused = "this is served to its own machine only: ask for 127.0.0.1 or localhost\n";
        (StatusCode::MISDIRECTED_REQUEST, refused).into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_its_own() {
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:80", "[::1]:80", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
