//! `-w` and `--follow`: look again and again until the reader goes away or a signal comes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::run::Session;
use super::signals;

/// How often is looked: soon enough for people, and next to nothing for a store.
const EVERY: Duration = Duration::from_secs(2);

/// The pauses between two looks.
pub(super) struct Watch {
    stop: CancellationToken,
}

impl Watch {
    /// From now on signals end it.
    pub(super) fn start() -> Result<Self, Error> {
        Ok(Self { stop: signals::shutdown()? })
    }

    /// Waits for the next look. False: there is none.
    pub(super) async fn again(&self, session: &Session) -> bool {
        if session.output.is_closed() {
            return false;
        }
        tokio::select! {
            () = session.clock.sleep(EVERY) => true,
            () = self.stop.cancelled() => false,
        }
    }
}
