//! The clock, as an argument.

use std::sync::{Arc, Mutex, PoisonError};
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

/// A machine's clock, put right by the answers of a server.
///
/// What a controller records is compared with times that ECS tells and with what other machines have recorded, and a
/// machine's wall clock may be minutes off, or be set. So the wall clock counts only until the first answer; from then on
/// the time is the server's, to the second that HTTP's `Date` has (RFC 9110 §6.6.1), carried on by the monotonic clock.
pub struct ServedClock {
    clock: Arc<dyn Clock>,
    heard: Mutex<Option<Heard>>,
}

/// What the server's clock showed, by our monotonic one.
#[derive(Debug, Clone, Copy)]
struct Heard {
    monotonic: Duration,
    time: Timestamp,
    /// By how much, since when, we have been ahead of every answer.
    ahead: (Duration, Duration),
    /// An answer, and when it came, that is far ahead of all before it.
    far: Option<(Duration, Timestamp)>,
}

/// How far ahead of all before it an answer must be for another one to be asked first.
const FAR: Duration = Duration::from_secs(60);

/// How much later that other one must come, at least.
const APART: Duration = Duration::from_secs(5);

/// For how long we must have been ahead of every answer before we go back: one that was long on its way says little.
const AHEAD: Duration = Duration::from_secs(10 * 60);

/// How much later than its `Date` an answer was made, at most.
const SECOND: Duration = Duration::from_secs(1);

impl ServedClock {
    /// By this clock, until the server has said what time it is.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, heard: Mutex::new(None) }
    }

    /// An answer came whose `Date` is `served`: it is that late at least.
    pub fn hears(&self, served: Timestamp) {
        let monotonic = self.clock.monotonic();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let time = heard.map(|heard| heard.at(monotonic)).filter(|time| *time >= served);
        let (Some(time), Some(known)) = (time, *heard) else {
            *heard = Some(match *heard {
                // One answer alone moves no time by minutes: Waivers would end, and what is past its time would go.
                Some(known) if known.at(monotonic) + FAR < served && !known.agrees(monotonic, served) => Heard {
                    far: known.far.filter(|far| monotonic < far.0 + APART).or(Some((monotonic, served))),
                    ..known
                },
                _ => Heard::from(monotonic, served),
            });
            return;
        };
        let (least, since) = known.ahead;
        let least = least.min(time.since(served));
        let ahead = (least, since);
        *heard = Some(match monotonic.saturating_sub(since) >= AHEAD {
            false => Heard { ahead, ..known },
            true if least <= SECOND => Heard { ahead: (Duration::MAX, monotonic), ..known },
            true => Heard::from(monotonic, served + (time.since(served) - least)),
        });
    }
}

impl Heard {
    const fn from(monotonic: Duration, time: Timestamp) -> Self {
        Self { monotonic, time, ahead: (Duration::MAX, monotonic), far: None }
    }

    /// Whether an answer says what one some seconds before it said.
    fn agrees(&self, monotonic: Duration, served: Timestamp) -> bool {
        self.far.is_some_and(|(when, said)| {
            let expected = said + monotonic.saturating_sub(when);
            monotonic >= when + APART && served.since(expected).max(expected.since(served)) <= SECOND + SECOND
        })
    }

    fn at(&self, monotonic: Duration) -> Timestamp {
        self.time + monotonic.saturating_sub(self.monotonic)
    }
}

impl Clock for ServedClock {
    fn now(&self) -> Timestamp {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map_or_else(|| self.clock.now(), |heard| heard.at(self.clock.monotonic()))
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn sleep(&self, length: Duration) -> BoxFuture<'_, ()> {
        self.clock.sleep(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;

    /// A machine: what its wall clock and its monotonic clock show, in milliseconds.
    #[derive(Default)]
    struct Machine {
        wall: AtomicI64,
        monotonic: AtomicU64,
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic.load(Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_wall_clock_counts_only_until_the_first_answer() {
        let machine = Arc::new(Machine::default());
        let clock = ServedClock::new(machine.clone());
        machine.wall.store(90_000, Ordering::Relaxed);
        assert_eq!(clock.now(), at(90_000));
        clock.hears(at(7_000));
        assert_eq!(clock.now(), at(7_000));
        // Somebody sets the wall clock, and half a second passes.
        machine.wall.store(-500_000, Ordering::Relaxed);
        machine.monotonic.store(500, Ordering::Relaxed);
        assert_eq!(clock.now(), at(7_500));
    }

    #[test]
    fn an_answer_that_was_long_on_its_way_does_not_set_the_clock_back_and_one_from_later_sets_it_forward() {
        let machine = Arc::new(Machine::default());
        let clock = ServedClock::new(machine.clone());
        clock.hears(at(7_000));
        machine.monotonic.store(20_000, Ordering::Relaxed);
        clock.hears(at(9_000));
        assert_eq!(clock.now(), at(27_000));
        clock.hears(at(28_000));
        assert_eq!(clock.now(), at(28_000));
    }

    #[test]
    fn one_answer_from_far_ahead_is_believed_only_when_a_later_one_says_the_same() {
        let machine = Arc::new(Machine::default());
        let clock = ServedClock::new(machine.clone());
        clock.hears(at(7_000));
        clock.hears(at(400_000));
        machine.monotonic.store(6_000, Ordering::Relaxed);
        assert_eq!(clock.now(), at(13_000));
        clock.hears(at(13_000));
        clock.hears(at(900_000));
        assert_eq!(clock.now(), at(13_000), "it says something else");
        machine.monotonic.store(12_000, Ordering::Relaxed);
        clock.hears(at(906_000));
        assert_eq!(clock.now(), at(906_000));
    }

    #[test]
    fn a_clock_that_runs_ahead_of_every_answer_for_ten_minutes_is_put_back() {
        let machine = Arc::new(Machine::default());
        let clock = ServedClock::new(machine.clone());
        clock.hears(at(5_000));
        for second in (0..=11 * 60).step_by(30) {
            machine.monotonic.store(second * 1_000, Ordering::Relaxed);
            clock.hears(at(i64::try_from(second * 1_000).unwrap()));
            let ahead = clock.now().as_millis() - i64::try_from(second * 1_000).unwrap();
            assert_eq!(ahead, if second < 10 * 60 { 5_000 } else { 0 }, "after {second} s");
        }
    }
}
