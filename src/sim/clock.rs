//! Clocks whose time is not the world's. Do not know what is timed.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;

use crate::model::Timestamp;
use crate::ports::Clock;

/// Time that passes only while somebody sleeps.
///
/// A sleep takes no real time, or with a speed, `length / speed` of it. Between sleeps time stands still, however long
/// the work takes, so the same run has the same times.
///
/// Several sleepers on one single-threaded runtime wake in the order of their deadlines. Time jumps to the earliest
/// deadline once that sleeper has been polled a few times with nobody else having touched the clock.
///
/// Assumptions: what is not asleep on this clock is ready to run. A task that waits for something outside (a socket, a
/// blocking thread) is not seen, and time may pass meanwhile; take [`VirtualClock::hold`] around such work, or use
/// [`TokioClock`] where the runtime's own paused time knows about it.
///
/// Cancellation: a dropped sleep leaves no trace.
#[derive(Debug)]
pub struct VirtualClock {
    start: Timestamp,
    /// Virtual seconds per real second; `None`: no real time at all.
    speed: Option<f64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    elapsed: Duration,
    /// Deadline and a number to tell equal ones apart.
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
    next: u64,
    /// Counts everything that shows somebody else is at work.
    activity: u64,
    holds: usize,
}

/// How often the earliest sleeper lets everybody else run before time jumps. A task woken by a chain of this many
/// others is still seen.
const PATIENCE: u32 = 16;

impl VirtualClock {
    /// Time starts at `start`; sleeping takes no real time.
    #[must_use]
    pub fn instant(start: Timestamp) -> Self {
        Self { start, speed: None, state: Mutex::default() }
    }

    /// Time starts at `start`; sleeping takes its length divided by `speed`. Needs a tokio runtime with a timer. A
    /// speed that is not a positive finite number is none.
    #[must_use]
    pub fn paced(start: Timestamp, speed: f64) -> Self {
        let speed = (speed.is_finite() && speed > 0.0).then_some(speed);
        Self { start, speed, state: Mutex::default() }
    }

    /// Time does not jump while the guard lives.
    pub fn hold(&self) -> Hold<'_> {
        self.lock().holds += 1;
        Hold(self)
    }

    /// Moves time on at once and wakes whoever slept until then.
    pub fn advance(&self, length: Duration) {
        let mut state = self.lock();
        let until = state.elapsed.saturating_add(length);
        state.reach(until);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: every change under the lock is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn reach(&mut self, until: Duration) {
        self.elapsed = self.elapsed.max(until);
        self.activity += 1;
        for (_, waker) in self.sleepers.range_mut(..=(self.elapsed, u64::MAX)) {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.start + self.lock().elapsed
    }

    fn monotonic(&self) -> Duration {
        self.lock().elapsed
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if length.is_zero() {
                return;
            }
            let key = {
                let mut state = self.lock();
                let key = (state.elapsed.saturating_add(length), state.next);
                state.next += 1;
                state.activity += 1;
                state.sleepers.insert(key, None);
                key
            };
            Sleep { clock: self, key, seen: 0, patience: PATIENCE, pacing: None }.await;
        })
    }
}

/// Keeps a [`VirtualClock`] from jumping.
#[derive(Debug)]
pub struct Hold<'a>(&'a VirtualClock);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.holds = state.holds.saturating_sub(1);
        // Whoever is first in line has stopped polling itself: it must look again.
        state.activity += 1;
        for waker in state.sleepers.values_mut().filter_map(Option::take) {
            waker.wake();
        }
    }
}

struct Sleep<'a> {
    clock: &'a VirtualClock,
    key: (Duration, u64),
    seen: u64,
    patience: u32,
    /// The real wait that stands for the rest of this sleep.
    pacing: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock;
        let mut state = clock.lock();
        if self.key.0 <= state.elapsed {
            return Poll::Ready(());
        }
        let first = state.sleepers.keys().next() == Some(&self.key);
        if !first || state.holds > 0 {
            // Woken when time reaches the deadline, or when the one before is done.
            self.pacing = None;
            if let Some(waker) = state.sleepers.get_mut(&self.key) {
                *waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        if state.activity != self.seen {
            self.seen = state.activity;
            self.patience = PATIENCE;
        }
        if self.patience > 0 {
            self.patience -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(speed) = clock.speed {
            let left = self.key.0.saturating_sub(state.elapsed).div_f64(speed);
            let pacing = self.pacing.get_or_insert_with(|| Box::pin(tokio::time::sleep(left)));
            if pacing.as_mut().poll(context).is_pending() {
                // Whoever comes first in the meantime takes over; we must hear of the time it reaches.
                if let Some(waker) = state.sleepers.get_mut(&self.key) {
                    *waker = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
        }
        state.reach(self.key.0);
        Poll::Ready(())
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        state.sleepers.remove(&self.key);
        state.activity += 1;
        // The next in line may have been waiting for this one to go.
        if let Some(waker) = state.sleepers.values_mut().next().and_then(Option::take) {
            waker.wake();
        }
    }
}

/// Time of the tokio runtime, perhaps faster: paused in a test, it jumps when everything waits, blocking threads
/// included. Any number of sleepers, on any runtime.
#[derive(Debug, Clone)]
pub struct TokioClock {
    start: Timestamp,
    origin: tokio::time::Instant,
    /// Seconds here per second of the runtime. INVARIANT: finite and positive.
    speed: f64,
}

impl TokioClock {
    /// It is `start` now.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self::scaled(start, 1.0)
    }

    /// It is `start` now, and `speed` seconds pass each second. A speed that is not a positive finite number is 1.
    #[must_use]
    pub fn scaled(start: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { start, origin: tokio::time::Instant::now(), speed }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.start + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::try_from_secs_f64(self.origin.elapsed().as_secs_f64() * self.speed).unwrap_or(Duration::MAX)
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()> {
        let length = Duration::try_from_secs_f64(length.as_secs_f64() / self.speed).unwrap_or(Duration::MAX);
        Box::pin(tokio::time::sleep(length))
    }
}

#[cfg(test)]
mod tests;
