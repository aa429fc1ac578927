//! Ending a pass early: at the next point where nothing is half done, when it is asked to stop.
//!
//! Reading is dropped where it stands, and so is waiting for a budget. A write, to ECS or to the record, is waited for.

use tokio_util::sync::CancellationToken;

use super::error::ControllerError;
use super::execute::Executor;
use crate::model::{Reason, ReasonCode};
use crate::ports::Operation;

/// Does some reading, unless it is asked to stop meanwhile.
pub(super) async fn unless_stopped<T>(
    stop: &CancellationToken,
    reading: impl Future<Output = T>,
) -> Result<T, ControllerError> {
    tokio::select! {
        // In this order, so that nothing more is asked of ECS once it is to stop.
        biased;
        () = stop.cancelled() => Err(ControllerError::Stopped),
        read = reading => Ok(read),
    }
}

impl Executor<'_> {
    /// Between two steps: is there to be another?
    ///
    /// # Errors
    /// [`ControllerError::Stopped`].
    pub(super) fn go_on(&self) -> Result<(), ControllerError> {
        if self.stop.is_cancelled() { Err(ControllerError::Stopped) } else { Ok(()) }
    }

    /// Does some reading between two writes, unless it is asked to stop meanwhile.
    ///
    /// # Errors
    /// [`ControllerError::Stopped`].
    pub(super) async fn reading<T>(&self, reading: impl Future<Output = T>) -> Result<T, ControllerError> {
        unless_stopped(&self.stop, reading).await
    }

    /// Waits for the budget of a write. Why it is not made after all: it is to stop.
    pub(super) async fn ready(&self, operation: Operation) -> Option<Reason> {
        let stopped = unless_stopped(&self.stop, self.ecs.ready(operation)).await.is_err();
        stopped.then(told_to_stop)
    }
}

/// Why a call is not made after all.
pub(super) fn told_to_stop() -> Reason {
    Reason::of(ReasonCode::Stopping, "this controller was told to stop: whoever takes over goes on")
}
