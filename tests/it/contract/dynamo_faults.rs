//! The store on DynamoDB when answers get lost, come late, or are refusals.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll::aws::{DynamoStore, Timeouts};
use plimsoll::ports::StoreError;
use plimsoll::ports::store::{Expect, Key, Store};
use serde_json::{Map, Value, json};

use crate::fake::{Fake, Reply, Request};
use crate::peers::Peer;

fn body(n: u64) -> Map<String, Value> {
    Map::from_iter([("n".to_owned(), json!(n))])
}

fn error(status: u16, code: &str) -> Reply {
    Reply::Answer(status, json!({ "__type": code, "message": "as the test says" }).to_string())
}

/// An independent server with a table, and a store that reaches it through a fake.
struct Scene {
    fake: Fake,
    /// Through the fake.
    store: DynamoStore,
    /// Directly: somebody else.
    other: DynamoStore,
    key: Key,
    _peer: Peer,
}

/// The `nth` request of `operation` goes as `fault` says; all others go through.
async fn scene(
    operation: &'static str,
    nth: usize,
    fault: impl Fn(SocketAddr) -> Reply + Send + Sync + 'static,
) -> Scene {
    let peer = Peer::dynalite().await;
    let server: SocketAddr = peer.endpoint().trim_start_matches("http://").parse().unwrap();
    let other = peer.connection().store("plimsoll");
    other.create_table().await.unwrap();
    let count = AtomicUsize::new(0);
    let script = move |_: usize, request: &Request| {
        let of_operation = request.operation() == operation;
        if of_operation && count.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            fault(server)
        } else {
            Reply::Forward(server)
        }
    };
    let fake = Fake::start(script).await;
    let store = fake.connection(Timeouts::default()).store("plimsoll");
    Scene { fake, store, other, key: Key::new("cfg#head", "a"), _peer: peer }
}

impl Scene {
    async fn stored(&self) -> Option<(u64, Map<String, Value>)> {
        let found = self.other.get(std::slice::from_ref(&self.key)).await.unwrap().remove(0);
        found.map(|item| (item.version, item.body))
    }
}

#[tokio::test]
async fn a_write_that_was_made_and_not_answered_is_recognised() {
    let scene = scene("UpdateItem", 2, Reply::LoseAnswerOf).await;
    let (store, key) = (&scene.store, &scene.key);
    assert_eq!(store.put(key, &body(1), Expect::Absent, None).await, Ok(1));
    assert_eq!(store.put(key, &body(2), Expect::Version(1), None).await, Ok(2));
    assert_eq!(scene.stored().await, Some((2, body(2))));
    assert_eq!(scene.fake.operations(), ["UpdateItem", "UpdateItem", "UpdateItem", "GetItem"]);
}

#[tokio::test]
async fn a_creation_that_was_made_and_not_answered_is_recognised() {
    let scene = scene("UpdateItem", 1, Reply::LoseAnswerOf).await;
    assert_eq!(scene.store.put(&scene.key, &body(1), Expect::Absent, None).await, Ok(1));
    assert_eq!(scene.stored().await, Some((1, body(1))));
}

#[tokio::test]
async fn an_unconditional_write_that_was_made_and_not_answered_is_not_made_twice() {
    let scene = scene("UpdateItem", 1, Reply::LoseAnswerOf).await;
    assert_eq!(scene.store.put(&scene.key, &body(1), Expect::Any, None).await, Ok(1));
    assert_eq!(scene.stored().await, Some((1, body(1))));
    assert_eq!(scene.fake.operations(), ["UpdateItem", "GetItem"]);
}

#[tokio::test]
async fn an_unconditional_write_of_which_nothing_is_known_is_not_sent_again() {
    let scene = scene("UpdateItem", 1, |_| Reply::HangUp).await;
    let outcome = scene.store.put(&scene.key, &body(1), Expect::Any, None).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(scene.fake.operations(), ["UpdateItem", "GetItem"]);
}

#[tokio::test]
async fn a_write_that_was_lost_on_its_way_is_made_by_the_next_attempt() {
    for fault in [Reply::HangUp, error(500, "InternalServerError"), error(400, "ThrottlingException")] {
        let scene = scene("UpdateItem", 1, move |_| fault.clone()).await;
        assert_eq!(scene.store.put(&scene.key, &body(1), Expect::Absent, None).await, Ok(1));
        assert_eq!(scene.stored().await, Some((1, body(1))));
    }
}

#[tokio::test]
async fn the_same_write_by_somebody_else_is_a_conflict_even_after_a_lost_attempt() {
    let scene = scene("UpdateItem", 1, |_| Reply::HangUp).await;
    assert_eq!(scene.other.put(&scene.key, &body(1), Expect::Absent, None).await, Ok(1));
    let outcome = scene.store.put(&scene.key, &body(1), Expect::Absent, None).await;
    assert_eq!(outcome, Err(StoreError::Conflict { key: scene.key.clone() }));
    assert_eq!(scene.fake.operations(), ["UpdateItem", "UpdateItem", "GetItem"]);
}

#[tokio::test]
async fn a_deletion_that_was_made_and_not_answered_is_done() {
    let scene = scene("DeleteItem", 1, Reply::LoseAnswerOf).await;
    assert_eq!(scene.store.put(&scene.key, &body(1), Expect::Absent, None).await, Ok(1));
    assert_eq!(scene.store.delete(&scene.key, Expect::Version(1)).await, Ok(()));
    assert_eq!(scene.stored().await, None);
}

#[tokio::test]
async fn a_store_that_refuses_says_why() {
    type Wanted = fn(&StoreError) -> bool;
    let denied: Wanted = |error| matches!(error, StoreError::Denied { .. });
    let missing: Wanted = |error| matches!(error, StoreError::Missing { .. });
    let unavailable: Wanted = |error| matches!(error, StoreError::Unavailable { .. });
    for (code, wanted) in [
        ("AccessDeniedException", denied),
        ("com.amazon.coral.service#ExpiredTokenException", denied),
        ("UnrecognizedClientException", denied),
        ("ResourceNotFoundException", missing),
        ("ValidationException", missing),
        ("ItemCollectionSizeLimitExceededException", unavailable),
    ] {
        let fake = Fake::start(move |_, _| error(400, code)).await;
        let store = fake.connection(Timeouts::default()).store("plimsoll");
        let key = Key::new("cfg#head", "a");
        let read = store.get(std::slice::from_ref(&key)).await.unwrap_err();
        let write = store.put(&key, &body(1), Expect::Absent, None).await.unwrap_err();
        assert!(wanted(&read) && wanted(&write), "{code}: {read:?}, {write:?}");
        assert_eq!(fake.requests().len(), 2, "{code}: asking again does not help");
    }
}

#[tokio::test]
async fn a_store_that_stays_throttled_is_unavailable() {
    let fake = Fake::start(|_, _| error(400, "ProvisionedThroughputExceededException")).await;
    let store = fake.connection(Timeouts::default()).store("plimsoll");
    let outcome = store.put(&Key::new("cfg#head", "a"), &body(1), Expect::Absent, None).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(fake.requests().len(), 6);
}

/// An answer to BatchGetItem that leaves these of the keys of its request unprocessed, and knows the others.
fn processed(request: &Request, leaves: impl Fn(usize) -> bool) -> Reply {
    let asked: Value = serde_json::from_str(&request.body).unwrap();
    let keys = asked["RequestItems"]["plimsoll"]["Keys"].as_array().unwrap();
    let (left, done): (Vec<_>, Vec<_>) = keys.iter().enumerate().partition(|(at, _)| leaves(*at));
    let item = |(_, key): (usize, &Value)| {
        let mut item = key.clone();
        item["version"] = json!({ "N": "1" });
        item["body"] = json!({ "S": "{}" });
        item
    };
    let left: Vec<&Value> = left.into_iter().map(|(_, key)| key).collect();
    let unprocessed = if left.is_empty() { json!({}) } else { json!({ "plimsoll": { "Keys": left } }) };
    let items: Vec<Value> = done.into_iter().map(item).collect();
    Reply::Answer(200, json!({ "Responses": { "plimsoll": items }, "UnprocessedKeys": unprocessed }).to_string())
}

#[tokio::test]
async fn keys_that_a_busy_table_leaves_unprocessed_are_asked_for_again_and_only_those() {
    // Of seven: four at first, then none, then the rest.
    let fake = Fake::start(|number, request| match number {
        1 => processed(request, |at| at >= 4),
        2 => processed(request, |_| true),
        _ => processed(request, |_| false),
    })
    .await;
    let store = fake.connection(Timeouts::default()).store("plimsoll");
    let keys: Vec<Key> = (0..7).map(|number| Key::new("rt#x", format!("{number}"))).collect();
    let found = store.get(&keys).await.unwrap();
    let names: Vec<String> = found.into_iter().map(|item| item.unwrap().key.sort).collect();
    assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6"]);
    let asked: Vec<usize> = fake
        .requests()
        .iter()
        .map(|request| serde_json::from_str::<Value>(&request.body).unwrap())
        .map(|body| body["RequestItems"]["plimsoll"]["Keys"].as_array().unwrap().len())
        .collect();
    assert_eq!(asked, [7, 3, 3]);
}

#[tokio::test]
async fn keys_that_stay_unprocessed_are_no_empty_answer() {
    let fake = Fake::start(|_, request| processed(request, |_| true)).await;
    let store = fake.connection(Timeouts::default()).store("plimsoll");
    let outcome = store.get(&[Key::new("rt#x", "a"), Key::new("rt#x", "b")]).await;
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable { message, .. }) if message.contains("2 keys")),
        "{outcome:?}"
    );
    assert_eq!(fake.requests().len(), 6);
}
