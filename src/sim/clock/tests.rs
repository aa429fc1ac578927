use std::sync::Arc;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_hour_of_sleep_takes_no_time_and_is_an_hour() {
    let clock = VirtualClock::instant(Timestamp::EPOCH);
    clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!((clock.now(), clock.monotonic()), (Timestamp::EPOCH + 3600 * SECOND, 3600 * SECOND));
}

#[tokio::test]
async fn sleepers_wake_in_the_order_of_their_deadlines() {
    let clock = Arc::new(VirtualClock::instant(Timestamp::EPOCH));
    let woken = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = [5, 1, 3, 3]
        .into_iter()
        .map(|seconds| {
            let (clock, woken) = (Arc::clone(&clock), Arc::clone(&woken));
            tokio::spawn(async move {
                for round in 1..=2_u32 {
                    clock.sleep(seconds * SECOND).await;
                    woken.lock().unwrap().push((clock.monotonic().as_secs(), seconds, round));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let woken = woken.lock().unwrap().clone();
    assert!(woken.is_sorted_by_key(|(at, ..)| *at), "{woken:?}");
    for (at, seconds, round) in woken {
        assert_eq!(at, u64::from(seconds * round), "a sleeper woke at the wrong time");
    }
}

#[tokio::test]
async fn a_dropped_sleep_does_not_keep_the_next_one_waiting() {
    let clock = VirtualClock::instant(Timestamp::EPOCH);
    let mut first = clock.sleep(SECOND);
    let mut second = clock.sleep(2 * SECOND);
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    second.await;
    assert_eq!(clock.monotonic(), 2 * SECOND);
}

#[tokio::test]
async fn time_stands_still_while_it_is_held() {
    let clock = VirtualClock::instant(Timestamp::EPOCH);
    let hold = clock.hold();
    let mut sleep = clock.sleep(SECOND);
    for _ in 0..100 {
        assert!(futures::poll!(&mut sleep).is_pending());
    }
    assert_eq!(clock.monotonic(), Duration::ZERO);
    drop(hold);
    sleep.await;
    assert_eq!(clock.monotonic(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_paced_sleep_takes_its_share_of_real_time() {
    let clock = VirtualClock::paced(Timestamp::EPOCH, 60.0);
    let before = tokio::time::Instant::now();
    clock.sleep(600 * SECOND).await;
    assert_eq!(clock.monotonic(), 600 * SECOND);
    let took = before.elapsed();
    assert!((10 * SECOND..11 * SECOND).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_tokio_clock_follows_paused_time() {
    let clock = TokioClock::new(Timestamp::EPOCH);
    clock.sleep(90 * SECOND).await;
    assert_eq!(clock.now(), Timestamp::EPOCH + 90 * SECOND);
}
