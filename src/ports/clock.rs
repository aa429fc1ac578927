//! The clock, as an argument.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::model::Timestamp;

/// Tells the time and waits. In tests and in the demo time is virtual.
pub trait Clock: Send + Sync {
    /// The wall clock: for what is recorded and for windows. May jump; never used to tell whether a lease holds.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start that never goes back and counts suspension of the machine: for leases.
    fn monotonic(&self) -> Duration;

    /// Completes after `length`. Cancellation: drop the future.
    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()>;
}
