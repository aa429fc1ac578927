//! A share of ECS's published rates, and no more: token buckets in front of any [`Ecs`].
//!
//! ECS throttles by account and region, and the buckets are shared with everybody's deployments. So each of ECS's
//! buckets has one here, with a share of its size and of its rate; whoever is throttled all the same slows down. Knows
//! nothing of AWS and of what is called, only of time, which is tokio's (tests pause it).
//!
//! Why not the SDK's adaptive mode or a crate: the first shares one limiter between all operations and counts waiting
//! against the timeout; the usual crates ignore tokio's paused time and cannot change their rate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::ports::ecs::{Bucket, Ecs, EcsError, Operation};

/// How long nobody calls after ECS has throttled one of us. Its bucket is empty then; the slowest refills at 1/s.
const HOLD_OFF: Duration = Duration::from_secs(1);

/// What is left of the rate after being throttled. Halving reached half of what was possible; this nine tenths.
const CUT: f64 = 0.7;

/// Cuts are at least this far apart: calls in flight are throttled together and say the same thing once.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// What each success adds to the rate, in calls a second.
const RAISE: f64 = 0.1;

/// The rate never falls below this part of the share: a bucket that others keep empty must still be probed.
const FLOOR: f64 = 0.05;

/// How often a read is sent before its throttling is passed on.
const READ_ATTEMPTS: u32 = 5;

/// A share of ECS's published rates, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
// INVARIANT: 1 to 100.
pub struct Share(u8);

impl Share {
    /// `percent` of them, from 1 to 100; else `None`.
    #[must_use]
    pub const fn percent(percent: u8) -> Option<Self> {
        if matches!(percent, 1..=100) { Some(Self(percent)) } else { None }
    }

    fn of(self, published: u32) -> f64 {
        f64::from(published) * f64::from(self.0) / 100.0
    }
}

impl Default for Share {
    /// Half: the other half is for the deployments of the account's owners.
    fn default() -> Self {
        Self(50)
    }
}

/// An [`Ecs`] that stays within a share of ECS's published rates.
///
/// Guarantees: within a bucket, calls go out in the order they were asked for, those that can wait
/// ([`Ecs::call_last`]) after all others; after throttling nobody calls for
/// a second, and more slowly from then on, until successes bring the share back. Reads that are throttled are sent
/// again, up to five times; writes never.
///
/// Assumptions: one of it for each account and region, shared by all who call there.
///
/// Cancellation: a call that is dropped while it waits gives its place away and costs nothing.
pub struct Budgeted {
    ecs: Arc<dyn Ecs>,
    gates: BTreeMap<Bucket, Gate>,
}

/// How full a bucket is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Which one.
    pub bucket: Bucket,
    /// Calls that could be made at once.
    pub tokens: f64,
    /// Calls a second that it regains at present.
    pub rate: f64,
    /// Calls a second that it regains when nobody is throttled.
    pub share: f64,
    /// Calls that were let through so far.
    pub calls: u64,
    /// Of those, the ones that AWS throttled all the same.
    pub throttled: u64,
    /// Calls that wait for their turn.
    pub waiting: usize,
}

impl Budgeted {
    /// `ecs`, within `share` of the published rates. Must be made within a tokio runtime.
    #[must_use]
    pub fn new(ecs: Arc<dyn Ecs>, share: Share) -> Self {
        let now = Instant::now();
        let gate = |bucket: &Bucket| {
            let (burst, refill) = bucket.published();
            (*bucket, Gate::new(share, burst, refill, now))
        };
        let gates = Bucket::ALL.iter().map(gate).collect();
        Self { ecs, gates }
    }

    /// How full the buckets are now.
    #[must_use]
    pub fn levels(&self) -> Vec<Level> {
        let now = Instant::now();
        let level = |(bucket, gate): (&Bucket, &Gate)| {
            let mut tokens = gate.tokens();
            tokens.refill(now);
            Level {
                bucket: *bucket,
                tokens: tokens.tokens.max(0.0),
                rate: tokens.rate,
                share: tokens.share,
                calls: tokens.calls,
                throttled: tokens.throttled,
                waiting: gate.waiting.load(Ordering::Relaxed),
            }
        };
        self.gates.iter().map(level).collect()
    }

    /// Calls once it is this call's turn, and learns from the answer.
    async fn call_in_turn<T>(
        &self,
        operation: Operation,
        input: Value,
        attempt: u32,
        (lane, call): (Lane, Call<T>),
    ) -> Result<T, EcsError> {
        let gate = self.gates.get(&operation.bucket());
        if let Some(gate) = gate {
            match lane {
                Lane::First => gate.pass().await,
                Lane::Last => gate.pass_last().await,
            }
        }
        let outcome = call(self.ecs.as_ref(), operation, input, attempt).await;
        if let Some(gate) = gate {
            match &outcome {
                Err(EcsError::Throttled { .. }) => gate.throttled(operation.as_str()),
                // A refusal has passed ECS's throttling too.
                Ok(_) | Err(EcsError::Refused { .. }) => gate.succeeded(),
                Err(EcsError::NoAnswer { .. } | EcsError::NotSent { .. }) => {}
            }
        }
        outcome
    }

    async fn attempts<T>(&self, operation: Operation, input: Value, how: (Lane, Call<T>)) -> Result<T, EcsError> {
        let attempts = if operation.writes() { 1 } else { READ_ATTEMPTS };
        for attempt in 1..attempts {
            match self.call_in_turn(operation, input.clone(), attempt, how).await {
                Err(EcsError::Throttled { .. }) => debug!(operation = operation.as_str(), attempt, "throttled"),
                outcome => return outcome,
            }
        }
        self.call_in_turn(operation, input, attempts, how).await
    }
}

/// One attempt, answered as a value or as a text.
type Call<T> = for<'a> fn(&'a dyn Ecs, Operation, Value, u32) -> BoxFuture<'a, Result<T, EcsError>>;

/// Whether a call goes before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    First,
    Last,
}

impl Ecs for Budgeted {
    fn ready(&self, operation: Operation) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(gate) = self.gates.get(&operation.bucket()) {
                gate.ready().await;
            }
        })
    }

    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(self.attempts(
            operation,
            input,
            (Lane::First, |ecs, operation, input, n| ecs.attempt(operation, input, n)),
        ))
    }

    fn call_last<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Vec<u8>, EcsError>> {
        Box::pin(self.attempts(
            operation,
            input,
            (Lane::Last, |ecs, operation, input, n| ecs.text(operation, input, n)),
        ))
    }
}

/// One bucket and the queue in front of it.
pub(super) struct Gate {
    /// Whoever holds it is first in line. Tokio's mutex is fair.
    turn: tokio::sync::Mutex<()>,
    /// Whoever holds it is the one call of those that can wait that stands in line.
    last: tokio::sync::Mutex<()>,
    tokens: Mutex<Tokens>,
    waiting: AtomicUsize,
}

/// Counts somebody who waits, for as long as they do.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn at(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A share of a bucket that AWS says holds `burst` calls and regains `refill` a second.
    pub(super) fn new(share: Share, burst: u32, refill: u32, now: Instant) -> Self {
        // At least one: a bucket that holds less never lets anything pass.
        let tokens = Tokens::full(share.of(burst).max(1.0), share.of(refill), now);
        Self {
            turn: tokio::sync::Mutex::new(()),
            last: tokio::sync::Mutex::new(()),
            tokens: Mutex::new(tokens),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits for its turn and a token, and takes it.
    pub(super) async fn pass(&self) {
        let _waits = Waits::at(&self.waiting);
        let _first_in_line = self.turn.lock().await;
        loop {
            let until = match self.tokens().take(Instant::now()) {
                Ok(()) => return,
                Err(until) => until,
            };
            // Somebody's throttling may push it further away meanwhile: look again then.
            tokio::time::sleep_until(until).await;
        }
    }

    /// The same for a call that can wait: one at a time stands in line, so that any other call has at most one of them
    /// before it.
    async fn pass_last(&self) {
        let waits = Waits::at(&self.waiting);
        let _one_of_them = self.last.lock().await;
        drop(waits);
        self.pass().await;
    }

    /// Waits until there is a token, and leaves it there.
    async fn ready(&self) {
        let _first_in_line = self.turn.lock().await;
        loop {
            let now = Instant::now();
            let until = match self.tokens().clone().take(now) {
                Ok(()) => return,
                Err(until) => until,
            };
            tokio::time::sleep_until(until).await;
        }
    }

    /// AWS has let a call of ours pass.
    pub(super) fn succeeded(&self) {
        self.tokens().succeeded(Instant::now());
    }

    /// AWS has throttled a call of ours.
    pub(super) fn throttled(&self, operation: &str) {
        let rate = self.tokens().throttled(Instant::now());
        if let Some(rate) = rate {
            warn!(operation, rate, "throttled, slowing down");
        }
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket itself: a pure function of the times it is told.
#[derive(Debug, Clone, PartialEq)]
struct Tokens {
    tokens: f64,
    capacity: f64,
    /// Tokens a second, at present and at most.
    rate: f64,
    share: f64,
    refilled: Instant,
    held_until: Instant,
    next_cut: Instant,
    calls: u64,
    throttled: u64,
}

impl Tokens {
    fn full(capacity: f64, share: f64, now: Instant) -> Self {
        Self {
            tokens: capacity,
            capacity,
            rate: share,
            share,
            refilled: now,
            held_until: now,
            next_cut: now,
            calls: 0,
            throttled: 0,
        }
    }

    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + seconds * self.rate).min(self.capacity);
        // It may lie ahead: at the end of a hold-off.
        self.refilled = self.refilled.max(now);
    }

    /// Takes one, or says when to ask again.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        if now < self.held_until {
            return Err(self.held_until);
        }
        // A hair less than one is one: the time to wait for it would round to nothing.
        if self.tokens >= 1.0 - 1e-6 {
            self.tokens -= 1.0;
            self.calls += 1;
            return Ok(());
        }
        // Rounded up to tokio's milliseconds by a whole one, so that the next look finds it there.
        let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.rate);
        Err(now + wait.max(Duration::from_millis(1)))
    }

    /// ECS's bucket is empty: so is this one, and nobody calls for a while. The new rate, if it was cut.
    fn throttled(&mut self, now: Instant) -> Option<f64> {
        self.throttled += 1;
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        self.held_until = self.held_until.max(now + HOLD_OFF);
        // It refills from the end of the hold-off on.
        self.refilled = self.held_until;
        if now < self.next_cut {
            return None;
        }
        self.next_cut = now + CUT_EVERY;
        self.rate = (self.rate * CUT).max(self.share * FLOOR);
        Some(self.rate)
    }

    fn succeeded(&mut self, now: Instant) {
        self.refill(now);
        self.rate = (self.rate + RAISE).min(self.share);
    }
}

#[cfg(test)]
mod tests;
