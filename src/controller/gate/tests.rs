use std::sync::Mutex;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::*;
use crate::embedded::EmbeddedStore;
use crate::manifest;
use crate::model::Timestamp;
use crate::ports::StoreError;
use crate::ports::store::{Expect, Item, Key, Page};
use crate::records::configuration::Application;
use crate::sim::VirtualClock;

/// A store that takes so long for each of its next answers, and then none.
struct Slow {
    store: EmbeddedStore,
    clock: VirtualClock,
    answers: Mutex<Vec<Duration>>,
}

impl Store for Slow {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        let takes = self.answers.lock().unwrap().pop().unwrap_or_default();
        self.clock.advance(takes);
        self.store.get(keys)
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        self.store.put(key, body, expect, expires)
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.delete(key, expect)
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.store.query(partition, prefix, after)
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// Why a write that takes up to `timeout` may not be made, where the store's next answers take so long.
async fn closed(answers: &[Duration], timeout: Duration, freeze: Option<&str>, direction: Direction) -> String {
    let clock = VirtualClock::instant("2026-01-05T09:00:00Z".parse().unwrap());
    let store = Slow { store: EmbeddedStore::in_memory().unwrap(), clock, answers: Mutex::default() };
    if let Some(spec) = freeze {
        let yaml = format!("apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: {{ name: stop }}\nspec: {spec}\n");
        let objects =
            manifest::parse("freeze.yaml", &yaml).unwrap().into_iter().map(|sourced| sourced.object).collect();
        let application = Application { objects, ..Application::default() };
        Configurations::of(&store).apply(&application, store.clock.now(), false).await.unwrap();
    }
    let target = TargetId { account: "1".to_owned(), region: "eu-west-1".to_owned() };
    let mut keeper = Keeper::new("me".to_owned(), Duration::from_secs(30));
    assert!(matches!(keeper.ensure(&store, &target, &store.clock).await, Ok(Held::Taken { .. })));
    *store.answers.lock().unwrap() = answers.to_vec();
    let mut gate = Gate::new(keeper, timeout);
    let keys = ScopeKeys::default();
    let found = gate.closed(&store, &target, &store.clock, &keys, direction).await.unwrap();
    found.map_or_else(|| "open".to_owned(), |reason| format!("{}: {}", reason.code.as_str(), reason.message))
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_write_waits_where_the_store_takes_longer_than_a_second_to_tell_of_freezes() {
    let told = async |answers: &[Duration]| closed(answers, 2 * SECOND, None, Direction::Forward).await;
    assert_eq!(told(&[]).await, "open");
    assert_eq!(told(&[SECOND]).await, "open");
    // It is asked again: what holds by now may be told in time.
    assert_eq!(told(&[2 * SECOND]).await, "open");
    assert_eq!(told(&[2 * SECOND, 2 * SECOND]).await, "open");
    let slow = told(&[2 * SECOND; 3]).await;
    assert_eq!(slow, "NotObserved: the store answers too slowly to look for Freezes right before a call");
}

#[tokio::test]
async fn a_write_waits_where_the_lease_may_end_before_its_call_does() {
    let told = async |timeout: Duration| closed(&[], timeout, None, Direction::Forward).await;
    assert_eq!(told(29 * SECOND).await, "open");
    assert_eq!(told(30 * SECOND).await, "LeaseEnding: too little of the lease is left to make a call");
}

#[tokio::test]
async fn a_freeze_binds_the_way_back_only_where_it_says_so() {
    let told = async |spec, direction| closed(&[], 2 * SECOND, Some(spec), direction).await;
    let (plain, both) = ("{ reason: peak }", "{ reason: peak, includeRollback: true }");
    assert!(told(plain, Direction::Forward).await.starts_with("Frozen: "));
    assert_eq!(told(plain, Direction::Back).await, "open");
    assert!(told(both, Direction::Back).await.starts_with("Frozen: "));
}
