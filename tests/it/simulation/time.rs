//! Chance and time of one run: both come from the seed and from nothing else.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use plimsoll::model::Timestamp;
use plimsoll::ports::Clock;

/// splitmix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        chance.next();
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True so often in a thousand.
    pub(crate) fn happens(&mut self, in_a_thousand: usize) -> bool {
        self.below(1000) < in_a_thousand
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len())) }
    }

    /// One of these, of which there is at least one.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn seconds(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from * 1000 + self.below((to - from) * 1000 + 1)) as u64)
    }
}

/// The one time of a run, and when the earliest sleeper wants to wake.
#[derive(Debug, Default)]
pub(crate) struct Time(Mutex<Moment>);

#[derive(Debug, Default)]
struct Moment {
    elapsed: Duration,
    /// The earliest deadline that was waited for since time last moved.
    next: Option<Duration>,
}

/// When every run begins.
pub(crate) fn start() -> Timestamp {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

impl Time {
    pub(crate) fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }

    pub(crate) fn now(&self) -> Timestamp {
        start() + self.elapsed()
    }

    pub(crate) fn pass(&self, length: Duration) {
        let mut moment = self.lock();
        moment.elapsed += length;
        moment.next = None;
    }

    /// To the earliest deadline, if anybody waits.
    pub(crate) fn jump(&self) -> bool {
        let mut moment = self.lock();
        let Some(next) = moment.next.take() else { return false };
        moment.elapsed = moment.elapsed.max(next);
        true
    }

    fn waits_until(&self, deadline: Duration) -> bool {
        let mut moment = self.lock();
        if moment.elapsed >= deadline {
            return false;
        }
        moment.next = Some(moment.next.map_or(deadline, |next| next.min(deadline)));
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process's clock: its wall clock is off by `skew`, and may jump; its monotonic one is not.
#[derive(Debug, Clone)]
pub(crate) struct ProcessClock {
    pub(crate) time: Arc<Time>,
    /// In milliseconds.
    pub(crate) skew: Arc<AtomicI64>,
    /// For how long the process was suspended without its clock knowing: nothing, but for a mutant.
    pub(crate) unseen: Arc<Mutex<Duration>>,
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.time.now().as_millis() + self.skew.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.time.elapsed() - *self.unseen.lock().unwrap()
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()> {
        let deadline = self.time.elapsed() + length;
        Box::pin(std::future::poll_fn(move |context| {
            if self.time.waits_until(deadline) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }))
    }
}

thread_local! {
    /// Counts pauses: who is in one is at work, and time does not jump.
    static ACTIVITY: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Changes whenever anybody does anything.
pub(crate) fn activity() -> u64 {
    ACTIVITY.get()
}

/// Lets everybody else act: a process can be suspended or die here.
pub(crate) async fn pause() {
    let mut paused = false;
    ACTIVITY.set(ACTIVITY.get() + 1);
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            ACTIVITY.set(ACTIVITY.get() + 1);
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
