//! `controller --listen`: is it alive, and can it reach its store? Read-only: whatever is asked, nothing changes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::output::talk;
use crate::ports::Store;
use crate::records::targets::Targets;

/// Serves until `stop`. Fails only where it cannot listen.
pub(super) async fn serve(address: SocketAddr, store: Arc<dyn Store>, stop: CancellationToken) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("failed to listen on `{address}`"))
            .caused_by(error.to_string())
            .help("choose another --listen address")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    talk(&format!("listening on http://{address}"));
    let routes =
        Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(store);
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the health endpoint ended");
        }
    });
    Ok(())
}

/// Ready while the store can be read.
async fn ready(State(store): State<Arc<dyn Store>>) -> (StatusCode, String) {
    match Targets::of(store.as_ref()).list().await {
        Ok(_) => (StatusCode::OK, "ready\n".to_owned()),
        // Only what kind of failure: the address and the table are nobody else's business.
        Err(error) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n".to_owned())
        }
    }
}
