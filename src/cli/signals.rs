//! Ctrl-C and SIGTERM: the first asks to stop between two steps, also of a pass that takes long, the second stops at once. Nothing is lost either way,
//! because every step is written down before it is taken.

use std::sync::OnceLock;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::output::talk;

/// One for the process: whoever asks again gets the same.
static SHUTDOWN: OnceLock<CancellationToken> = OnceLock::new();

/// Cancelled with the first SIGINT or SIGTERM; the second ends the process with 130 or 143.
///
/// # Errors
/// Where signals cannot be listened to. Must be called within a tokio runtime.
pub fn shutdown() -> Result<CancellationToken, Error> {
    if let Some(token) = SHUTDOWN.get() {
        return Ok(token.clone());
    }
    let failed = |error: std::io::Error| Error::new("failed to listen to signals").caused_by(error.to_string());
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let token = SHUTDOWN.get_or_init(CancellationToken::new).clone();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => talk("stopping after this step; once more stops at once"),
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
        let code = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        #[expect(clippy::disallowed_methods, reason = "a second signal asks to stop without finishing anything")]
        std::process::exit(code);
    });
    Ok(token)
}
