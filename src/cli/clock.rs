//! The machine's clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};

use crate::model::Timestamp;
use crate::ports::Clock;

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the one place where the wall clock is read")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        // CLOCK_MONOTONIC stands still while the machine sleeps; a lease does not.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let clock = ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(length))
    }
}

/// The machine's clock, running faster (or slower) from a moment on: what a simulated endpoint goes by.
#[derive(Debug, Clone, Copy)]
pub struct ScaledClock {
    start: Timestamp,
    origin: Duration,
    speed: f64,
}

impl ScaledClock {
    /// It is the machine's time now, and `speed` seconds pass in each from now on. `None` for a speed that is no
    /// positive number.
    #[must_use]
    pub fn starting_now(speed: f64) -> Option<Self> {
        let valid = speed.is_finite() && speed > 0.0;
        valid.then(|| Self { start: SystemClock.now(), origin: SystemClock.monotonic(), speed })
    }

    /// When it started.
    #[must_use]
    pub const fn start(&self) -> Timestamp {
        self.start
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        self.start + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        let real = SystemClock.monotonic().saturating_sub(self.origin);
        Duration::try_from_secs_f64(real.as_secs_f64() * self.speed).unwrap_or(Duration::MAX)
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()> {
        let real = Duration::try_from_secs_f64(length.as_secs_f64() / self.speed).unwrap_or(Duration::MAX);
        Box::pin(tokio::time::sleep(real))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_does_not_go_back() {
        let before = SystemClock.monotonic();
        assert!(SystemClock.monotonic() >= before && before > Duration::ZERO);
        assert!(SystemClock.now() > "2026-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_speed_is_a_positive_number() {
        assert!(ScaledClock::starting_now(60.0).is_some());
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(ScaledClock::starting_now(wrong).is_none(), "{wrong}");
        }
    }
}
