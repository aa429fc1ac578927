//! ECS and the store as the controller sees them, with people at work in between and a witness who notes the order.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use plimsoll::model::Timestamp;
use plimsoll::ports::ecs::{Ecs, EcsError, Operation};
use plimsoll::ports::store::{Expect, Item, Key, Page, Store};
use plimsoll::ports::{Clock, StoreError};
use plimsoll::records::events::Event;
use plimsoll::rollout::Change;
use serde_json::{Map, Value};

use super::act::{Moment, People};

/// What was seen of the controller.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// A call that changes something in ECS, with ECS's word where it was not answered.
    Call { at: Timestamp, operation: Operation, input: Value, error: Option<String> },
    /// An event that was stored.
    Event(Box<Event>),
    /// A change as it was recorded.
    Change(Box<Change>),
}

/// All that was seen, in order.
#[derive(Clone)]
pub(super) struct Witness {
    pub(super) people: Arc<People>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Witness {
    pub(super) fn of(people: Arc<People>) -> Self {
        Self { people, seen: Arc::default() }
    }

    /// What was seen after the first `told`, which is counted on.
    pub(super) fn since(&self, told: &mut usize) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let news = seen[*told..].to_vec();
        *told = seen.len();
        news
    }

    fn saw(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }
}

impl Witness {
    async fn people_act(&self, moment: Moment, operation: Operation) {
        for line in self.people.due(moment, operation) {
            assert!(self.people.act(&line).await, "line {}: `{}`", line.number, line.text);
        }
    }

    /// The store is asked, and takes as long as it does.
    async fn store_answers(&self) {
        let takes = *self.people.store_takes.lock().unwrap();
        self.people.clock.sleep(takes).await;
    }

    fn is_dead(&self) -> bool {
        self.people.dead.load(Ordering::Relaxed)
    }

    fn no_write(&self) -> Result<(), StoreError> {
        let gone = || StoreError::Unavailable { store: self.describe(), message: "killed".to_owned() };
        if self.is_dead() { Err(gone()) } else { Ok(()) }
    }
}

impl Ecs for Witness {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            self.people_act(Moment::Before, operation).await;
            if self.is_dead() {
                return Err(EcsError::NotSent { operation, message: "killed".to_owned() });
            }
            let at = self.people.clock.now();
            let answer = self.people.ecs.call(operation, input.clone()).await;
            if operation.writes() {
                let error = answer.as_ref().err().map(ToString::to_string);
                self.saw(Seen::Call { at, operation, input, error });
            }
            self.people_act(Moment::After, operation).await;
            // ECS has made its answer, and it takes long to come.
            if let Some((length, line)) = self.people.meanwhile(operation) {
                self.people.clock.sleep(length / 2).await;
                assert!(self.people.act(&line).await, "line {}: `{}`", line.number, line.text);
                self.people.clock.sleep(length / 2).await;
            }
            answer
        })
    }
}

impl Store for Witness {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move {
            self.store_answers().await;
            self.people.store.get(keys).await
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.no_write()?;
            let version = self.people.store.put(key, body, expect, expires).await?;
            if key.partition.ends_with("#events") {
                let event = serde_json::from_value(Value::Object(body.clone())).unwrap();
                self.saw(Seen::Event(Box::new(event)));
            }
            if key.sort.starts_with("change#") {
                let change = serde_json::from_value(Value::Object(body.clone())).unwrap();
                self.saw(Seen::Change(Box::new(change)));
            }
            Ok(version)
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.no_write()?;
            self.people.store.delete(key, expect).await
        })
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.people.store.query(partition, prefix, after)
    }

    fn describe(&self) -> String {
        self.people.store.describe()
    }
}
