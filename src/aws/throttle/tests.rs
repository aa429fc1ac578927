//! The budget in paused time: nothing here takes longer than the computation.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::json;

use super::*;

/// An ECS that answers as a rule says, and remembers when it was called and with what.
struct Scripted<R> {
    rule: R,
    latency: Duration,
    calls: Mutex<Vec<(Instant, Operation, Value)>>,
}

impl<R> Scripted<R>
where
    R: Fn(usize, Operation) -> Result<Value, EcsError> + Send + Sync + 'static,
{
    fn new(rule: R) -> Arc<Self> {
        Self::slow(rule, Duration::ZERO)
    }

    fn slow(rule: R, latency: Duration) -> Arc<Self> {
        Arc::new(Self { rule, latency, calls: Mutex::default() })
    }

    /// When calls came, in milliseconds since `start`.
    fn times(&self, start: Instant) -> Vec<u128> {
        self.calls.lock().unwrap().iter().map(|(at, ..)| at.duration_since(start).as_millis()).collect()
    }
}

const FIRST: (Lane, Call<Value>) =
    (Lane::First, |ecs, operation, input, attempt| ecs.attempt(operation, input, attempt));

impl<R> Ecs for Scripted<R>
where
    R: Fn(usize, Operation) -> Result<Value, EcsError> + Send + Sync,
{
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        let mut calls = self.calls.lock().unwrap();
        calls.push((Instant::now(), operation, input));
        let outcome = (self.rule)(calls.len(), operation);
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            outcome
        })
    }
}

fn fine(_: usize, _: Operation) -> Result<Value, EcsError> {
    Ok(json!({}))
}

fn throttled(operation: Operation) -> Result<Value, EcsError> {
    Err(EcsError::Throttled { operation, message: "Rate exceeded".to_owned() })
}

/// 50 at once, then 20 a second, at the full share.
const READ: Operation = Operation::DescribeTaskDefinition;
/// 20 at once, then 1 a second, at the full share.
const WRITE: Operation = Operation::RegisterTaskDefinition;

fn share(percent: u8) -> Share {
    Share::percent(percent).unwrap()
}

fn rate_of(budgeted: &Budgeted, operation: Operation) -> f64 {
    budgeted.levels().into_iter().find(|level| level.bucket == operation.bucket()).unwrap().rate
}

async fn calls(budgeted: &Budgeted, operation: Operation, count: usize) {
    join_all((0..count).map(|n| budgeted.call(operation, json!({ "n": n })))).await;
}

#[test]
fn a_share_is_from_1_to_100_percent() {
    assert_eq!(Share::percent(0), None);
    assert_eq!(Share::percent(101), None);
    assert_eq!(Share::percent(50), Some(Share::default()));
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_burst_goes_at_once_and_then_a_share_of_the_rate() {
    for (percent, operation, burst, every) in [
        (100, WRITE, 20, 1000),
        (50, WRITE, 10, 2000),
        (50, READ, 25, 100),
        (10, WRITE, 2, 10_000),
        (1, WRITE, 1, 100_000),
    ] {
        let (ecs, start) = (Scripted::new(fine), Instant::now());
        let budgeted = Budgeted::new(ecs.clone(), share(percent));
        calls(&budgeted, operation, burst + 3).await;
        let times = ecs.times(start);
        assert_eq!(times[..burst], vec![0; burst], "{percent} % of {operation:?}");
        for (n, time) in (1..).zip(&times[burst..]) {
            // Tokio's timers are a millisecond late at most; the lateness does not add up.
            assert!((n * every..=n * every + 2).contains(time), "{percent} % of {operation:?}: {times:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_window_of_time_sees_more_than_the_share() {
    let (ecs, start) = (Scripted::new(fine), Instant::now());
    let budgeted = Budgeted::new(ecs.clone(), share(50));
    calls(&budgeted, READ, 100).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    calls(&budgeted, READ, 100).await;
    let times = ecs.times(start);
    for (first, from) in times.iter().enumerate() {
        for (last, to) in times.iter().enumerate().skip(first) {
            // 25 at once and 10 a second.
            let most = 25.0 + (to - from) as f64 / 100.0;
            assert!((last - first + 1) as f64 <= most + 1e-3, "{} calls in {} ms", last - first + 1, to - from);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_go_out_in_the_order_they_were_asked_for() {
    let ecs = Scripted::new(fine);
    let budgeted = Budgeted::new(ecs.clone(), share(10));
    calls(&budgeted, READ, 40).await;
    let order: Vec<u64> = ecs.calls.lock().unwrap().iter().map(|(.., input)| input["n"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_can_wait_lets_everything_else_go_first() {
    let ecs = Scripted::new(fine);
    let budgeted = Budgeted::new(ecs.clone(), share(100));
    calls(&budgeted, READ, 50).await;
    let scanning = join_all((0..20).map(|_| budgeted.call_last(READ, json!("scanning"))));
    let watching = async {
        tokio::time::sleep(Duration::from_millis(120)).await;
        join_all((0..4).map(|_| budgeted.call(READ, json!("watching")))).await
    };
    tokio::join!(scanning, watching);
    let order: Vec<Value> = ecs.calls.lock().unwrap().iter().skip(50).map(|(.., input)| input.clone()).collect();
    let watched: Vec<usize> = (0..order.len()).filter(|at| order[*at] == json!("watching")).collect();
    // Two had gone, and one stood in line.
    assert_eq!(watched, [3, 4, 5, 6], "{order:?}");
    assert_eq!(order.len(), 24);
}

#[tokio::test(start_paused = true)]
async fn one_bucket_does_not_wait_for_another() {
    let (ecs, start) = (Scripted::new(fine), Instant::now());
    let budgeted = Budgeted::new(ecs.clone(), share(50));
    let reads_after_writes = async {
        tokio::task::yield_now().await;
        calls(&budgeted, READ, 5).await;
        start.elapsed()
    };
    let (_, reads_took) = tokio::join!(calls(&budgeted, WRITE, 15), reads_after_writes);
    assert_eq!(reads_took, Duration::ZERO);
    assert!(start.elapsed() >= Duration::from_secs(10));
    // Deregistering draws from the same bucket as registering.
    let before = Instant::now();
    budgeted.call(Operation::DeregisterTaskDefinition, json!({})).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(1900));
}

/// As many targets, as many of these: the server that throttles one says nothing about the other's account.
#[tokio::test(start_paused = true)]
async fn one_targets_budget_does_not_wait_for_anothers() {
    let start = Instant::now();
    let (hard, free) = (Scripted::new(|_, operation| throttled(operation)), Scripted::new(fine));
    let (slow, fast) = (Budgeted::new(hard.clone(), share(1)), Budgeted::new(free.clone(), share(100)));
    let throttled = async {
        for _ in 0..5 {
            slow.call(READ, json!({})).await.unwrap_err();
        }
        start.elapsed()
    };
    let full_speed = async {
        tokio::task::yield_now().await;
        calls(&fast, READ, 90).await;
        start.elapsed()
    };
    let (slow_took, fast_took) = tokio::join!(throttled, full_speed);
    // 50 at once, the other 40 at 20 a second.
    assert!(fast_took <= Duration::from_secs(2), "{fast_took:?}");
    assert!(slow_took >= Duration::from_secs(60), "{slow_took:?}");
    assert!(rate_of(&slow, READ) < 0.2 && (rate_of(&fast, READ) - 20.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn after_throttling_nobody_calls_for_a_second() {
    let start = Instant::now();
    let ecs = Scripted::new(|number, operation| if number == 1 { throttled(operation) } else { Ok(json!({})) });
    let budgeted = Budgeted::new(ecs.clone(), share(50));
    // The first is throttled while 25 tokens are left; a second later the bucket begins to fill, at 7 a second.
    calls(&budgeted, READ, 1).await;
    let times = ecs.times(start);
    assert_eq!((times.len(), times[0]), (2, 0));
    assert!((1142..=1145).contains(&times[1]), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_volley_of_throttling_cuts_the_rate_once() {
    let ecs = Scripted::slow(|_, operation| throttled(operation), Duration::from_millis(200));
    let budgeted = Budgeted::new(ecs, share(50));
    let volley = join_all((0..10).map(|_| budgeted.call_in_turn(READ, json!({}), 1, FIRST))).await;
    assert!(volley.iter().all(Result::is_err));
    assert!((rate_of(&budgeted, READ) - 7.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn the_rate_comes_back_with_successes_and_not_beyond_the_share() {
    let ecs = Scripted::new(|number, operation| if number <= 3 { throttled(operation) } else { Ok(json!({})) });
    let budgeted = Budgeted::new(ecs, share(50));
    budgeted.call(READ, json!({})).await.unwrap();
    assert!((rate_of(&budgeted, READ) - (10.0 * 0.343 + 0.1)).abs() < 1e-9);
    calls(&budgeted, READ, 30).await;
    assert!((rate_of(&budgeted, READ) - (10.0 * 0.343 + 3.1)).abs() < 1e-9);
    calls(&budgeted, READ, 300).await;
    assert!((rate_of(&budgeted, READ) - 10.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn what_was_let_through_what_was_throttled_and_who_waits_is_counted() {
    let ecs =
        Scripted::new(|number, operation| if number == 3 { throttled(operation) } else { fine(number, operation) });
    let budgeted = Budgeted::new(ecs, share(100));
    let level = || budgeted.levels().into_iter().find(|level| level.bucket == READ.bucket()).unwrap();
    calls(&budgeted, READ, 10).await;
    assert_eq!((level().calls, level().throttled, level().waiting), (11, 1, 0), "one was sent again");
    assert!(level().rate < level().share);
    let all = join_all((0..200).map(|_| budgeted.call(READ, json!({}))));
    tokio::pin!(all);
    assert!(futures::poll!(&mut all).is_pending());
    assert!(level().waiting > 100, "{:?}", level());
    all.await;
    assert_eq!((level().calls, level().waiting), (211, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_stays_empty_is_still_probed() {
    let ecs = Scripted::new(|_, operation| throttled(operation));
    let budgeted = Budgeted::new(ecs.clone(), share(100));
    for _ in 0..20 {
        budgeted.call(WRITE, json!({})).await.unwrap_err();
    }
    assert!((rate_of(&budgeted, WRITE) - 0.05).abs() < 1e-9);
    assert_eq!(ecs.calls.lock().unwrap().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_sent_again_up_to_five_times_and_a_write_never() {
    for (operation, attempts) in [(READ, 5), (WRITE, 1)] {
        let ecs = Scripted::new(|_, operation| throttled(operation));
        let outcome = Budgeted::new(ecs.clone(), share(50)).call(operation, json!({})).await;
        assert_eq!(outcome, throttled(operation));
        assert_eq!(ecs.calls.lock().unwrap().len(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn other_failures_pass_through_at_once_and_change_no_rate() {
    for failure in [
        EcsError::Refused { operation: READ, code: "ClientException".to_owned(), message: String::new() },
        EcsError::NoAnswer { operation: READ, message: String::new() },
        EcsError::NotSent { operation: READ, message: String::new() },
    ] {
        let reply = failure.clone();
        let ecs = Scripted::new(move |_, _| Err(reply.clone()));
        let budgeted = Budgeted::new(ecs.clone(), share(50));
        assert_eq!(budgeted.call(READ, json!({})).await, Err(failure));
        assert_eq!(ecs.calls.lock().unwrap().len(), 1);
        assert!((rate_of(&budgeted, READ) - 10.0).abs() < 1e-9);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_costs_nothing() {
    let (ecs, start) = (Scripted::new(fine), Instant::now());
    let budgeted = Budgeted::new(ecs.clone(), share(100));
    calls(&budgeted, WRITE, 20).await;
    {
        let waiting = join_all((0..5).map(|_| budgeted.call(WRITE, json!({}))));
        tokio::time::timeout(Duration::from_millis(500), waiting).await.unwrap_err();
    }
    budgeted.call(WRITE, json!({})).await.unwrap();
    assert_eq!(ecs.calls.lock().unwrap().len(), 21);
    assert!((1000..=1002).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

/// ECS's own bucket, of which others use a part: 4 calls a second are left for us.
struct Shared {
    tokens: Mutex<Tokens>,
    answered: Mutex<BTreeMap<bool, u32>>,
}

impl Ecs for Shared {
    fn call<'a>(&'a self, operation: Operation, _: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        let passed = self.tokens.lock().unwrap().take(Instant::now()).is_ok();
        *self.answered.lock().unwrap().entry(passed).or_default() += 1;
        Box::pin(std::future::ready(if passed { Ok(json!({})) } else { throttled(operation) }))
    }
}

#[tokio::test(start_paused = true)]
async fn where_others_leave_less_than_the_share_most_of_what_they_leave_is_used() {
    let tokens = Mutex::new(Tokens::full(50.0, 4.0, Instant::now()));
    let ecs = Arc::new(Shared { tokens, answered: Mutex::default() });
    let budgeted = Budgeted::new(ecs.clone(), share(50));
    let start = Instant::now();
    let callers = (0..16).map(|_| async {
        while start.elapsed() < Duration::from_secs(600) {
            // Whether it was throttled to the end does not matter here.
            let _ = budgeted.call(READ, json!({})).await;
        }
    });
    join_all(callers).await;
    let answered = ecs.answered.lock().unwrap().clone();
    // 50 + 600 × 4 could be had.
    assert!(answered[&true] > 2450 * 80 / 100, "{answered:?}");
    assert!(answered[&false] < answered[&true] / 10, "{answered:?}");
}
