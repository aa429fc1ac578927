//! The world behind `ports::Ecs`, in process, with faults on demand. Does not know what the faults are good for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::alarm::SimAlarms;
use super::error::SimError;
use super::world::World;
use crate::model::Timestamp;
use crate::ports::Clock;
use crate::ports::ecs::{Ecs, EcsError, Operation};

/// One call as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Counts calls from 0, over all operations.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub operation: Operation,
    /// With what.
    pub input: Value,
}

/// What goes wrong with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It never leaves the process.
    NotSent,
    /// It has its effect; the answer is lost.
    LostReply,
    /// It has its effect so much later; nobody hears of it.
    Late(Duration),
    /// HTTP 500, without effect.
    ServerError,
    /// `ThrottlingException`, without effect.
    Throttle,
    /// Refused with this code and message, without effect.
    Refuse {
        /// Such as `AccessDeniedException`.
        code: String,
        /// ECS's words.
        message: String,
    },
}

type Script = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

/// The simulated ECS, in process.
///
/// Guarantees: those of [`Ecs`]. A call takes no time of its clock: it happens when its future is first polled, whole, so
/// dropping it later changes nothing.
pub struct SimEcs {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    log: Mutex<Vec<Call>>,
    arrived: AtomicU64,
    script: Mutex<Option<Script>>,
}

impl SimEcs {
    /// The world as `clock` tells its time. Others may share the world.
    #[must_use]
    pub fn new(world: Arc<Mutex<World>>, clock: Arc<dyn Clock>) -> Self {
        Self { world, clock, log: Mutex::default(), arrived: AtomicU64::new(0), script: Mutex::default() }
    }

    /// The same, with a world of its own.
    #[must_use]
    pub fn of(world: World, clock: Arc<dyn Clock>) -> Self {
        Self::new(Arc::new(Mutex::new(world)), clock)
    }

    /// From now on `script` is asked about every call, in order, and says what goes wrong with it.
    #[must_use]
    pub fn with_faults(self, script: impl FnMut(&Call) -> Option<Fault> + Send + 'static) -> Self {
        self.set_faults(script);
        self
    }

    /// The same, for one that is in use already.
    pub fn set_faults(&self, script: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *lock(&self.script) = Some(Box::new(script));
    }

    /// From now on nothing goes wrong.
    pub fn clear_faults(&self) {
        *lock(&self.script) = None;
    }

    /// The world, as it is now: for setting it up and for looking at it past throttling and faults.
    ///
    /// Do not keep the guard over an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.world);
        world.advance(self.clock.now());
        world
    }

    /// The CloudWatch of the same world.
    #[must_use]
    pub fn alarms(&self) -> SimAlarms {
        SimAlarms::new(Arc::clone(&self.world), Arc::clone(&self.clock))
    }

    /// Every call so far, also those that went wrong.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.log).clone()
    }

    /// Forgets the calls so far. Numbers go on.
    pub fn forget_calls(&self) {
        lock(&self.log).clear();
    }

    fn answer(&self, operation: Operation, input: Value) -> Result<Value, EcsError> {
        let now = self.clock.now();
        let call = Call { number: self.arrived.fetch_add(1, Ordering::Relaxed), at: now, operation, input };
        lock(&self.log).push(call.clone());
        let fault = lock(&self.script).as_mut().and_then(|script| script(&call));
        let mut world = lock(&self.world);
        let mut perform =
            || world.call(now, operation.as_str(), &call.input).map_err(|error| translate(operation, error));
        let lost = |what: &str| EcsError::NoAnswer { operation, message: what.to_owned() };
        match fault {
            None => perform(),
            Some(Fault::NotSent) => Err(EcsError::NotSent { operation, message: "connection refused".into() }),
            Some(Fault::LostReply) => {
                // Whatever the answer was, nobody hears it.
                drop(perform());
                Err(lost("the connection was closed before the response"))
            }
            Some(Fault::Late(delay)) => {
                world.call_later(now + delay, operation.as_str(), call.input);
                Err(lost("timed out"))
            }
            Some(Fault::ServerError) => Err(translate(operation, SimError::server())),
            Some(Fault::Throttle) => Err(translate(operation, SimError::throttled())),
            Some(Fault::Refuse { code, message }) => Err(EcsError::Refused { operation, code, message }),
        }
    }
}

fn translate(operation: Operation, error: SimError) -> EcsError {
    match error {
        SimError { status: 500.., code, message } => {
            EcsError::NoAnswer { operation, message: format!("{code}: {message}") }
        }
        SimError { code: "ThrottlingException", message, .. } => EcsError::Throttled { operation, message },
        SimError { code, message, .. } => EcsError::Refused { operation, code: code.to_owned(), message },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked while it held the lock has failed already; the others may go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ecs for SimEcs {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move { self.answer(operation, input) })
    }
}

impl std::fmt::Debug for SimEcs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimEcs").field("calls", &lock(&self.log).len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
