//! ECS and the store as one process reaches them: every call is a sending, an effect and a reply, and between any two
//! of them the process may be suspended, or die, and everybody else may act.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use plimsoll::model::Timestamp;
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Ecs, EcsError, Operation, Store, StoreError};
use serde_json::{Map, Value};

use super::mutants::Mutant;
use super::time::pause;
use super::universe::Universe;

/// What may go wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Trouble {
    /// It never leaves.
    NotSent,
    /// It has its effect; the reply is lost.
    LostReply,
    /// It has its effect later; nobody hears of it.
    Late,
    /// HTTP 500, without effect.
    ServerError,
    Throttled,
    /// A store that does not answer, without effect.
    NoStore,
    /// A store write that was made, and whose reply is lost.
    LostWrite,
    /// A process dies.
    Crash,
    /// A process is suspended, for longer than its lease or not.
    Suspended,
}

/// How long a call that nobody hears of may take to arrive. AWS's SDKs give up on one attempt after seconds, which is
/// what is common.
const LATE: (usize, usize) = (1, 15);

/// Now and then it is one that was thought to be lost: up to ten minutes, twice as long as AWS accepts its signature.
const LATER: (usize, usize) = (15, 600);

/// How late a call is.
fn late(universe: &Universe) -> Duration {
    let range = if universe.happens(200) { LATER } else { LATE };
    universe.seconds(range)
}

/// ECS, for one process.
pub(crate) struct Wire {
    pub(crate) universe: Arc<Universe>,
    pub(crate) process: usize,
}

/// A write that was sent. Dropped before it arrived (its process died), it may still arrive.
struct Sent<'a> {
    universe: &'a Universe,
    operation: Operation,
    input: &'a Value,
    arrived: bool,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.arrived && self.operation.writes() && self.universe.happens(500) {
            let delay = late(self.universe);
            self.universe.arrives_later(self.operation, self.input, delay);
        }
    }
}

impl Wire {
    async fn one(&self, operation: Operation, input: &Value) -> Result<Value, EcsError> {
        let universe = self.universe.as_ref();
        universe.sends(self.process, operation, input);
        let mut sent = Sent { universe, operation, input, arrived: false };
        pause().await;
        sent.arrived = true;
        let lost = |what: &str| EcsError::NoAnswer { operation, message: what.to_owned() };
        let answer = match universe.trouble_with(operation) {
            Some(Trouble::NotSent) => Err(EcsError::NotSent { operation, message: "connection refused".to_owned() }),
            Some(Trouble::LostReply) => {
                // Whatever the answer was, nobody hears it.
                drop(universe.arrives(self.process, operation, input));
                Err(lost("the connection was closed before the response"))
            }
            Some(Trouble::Late) => {
                universe.arrives_later(operation, input, late(universe));
                Err(lost("timed out"))
            }
            Some(Trouble::ServerError) => Err(lost("ServerException: 500")),
            Some(Trouble::Throttled) => Err(EcsError::Throttled { operation, message: "Rate exceeded".to_owned() }),
            Some(Trouble::NoStore | Trouble::LostWrite | Trouble::Crash | Trouble::Suspended) | None => {
                universe.arrives(self.process, operation, input)
            }
        };
        drop(sent);
        pause().await;
        answer
    }
}

impl Ecs for Wire {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let input = self.universe.mutant.mutate_call(operation, input);
            let answer = self.one(operation, &input).await;
            let again = self.universe.mutant.is(Mutant::RegistersBlindlyAgain)
                && operation == Operation::RegisterTaskDefinition
                && matches!(answer, Err(EcsError::NoAnswer { .. }));
            let answer = if again { self.one(operation, &input).await } else { answer };
            self.universe.mutant.mutate_answer(operation, answer)
        })
    }
}

/// The store, for one process.
pub(crate) struct Disk {
    pub(crate) universe: Arc<Universe>,
    pub(crate) process: usize,
}

impl Disk {
    fn unavailable(&self) -> StoreError {
        StoreError::Unavailable { store: self.describe(), message: "timed out".to_owned() }
    }

    /// What goes wrong with a read or a write.
    fn trouble(&self, write: bool) -> Option<Trouble> {
        self.universe.trouble_with_store(write)
    }
}

impl Store for Disk {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move {
            pause().await;
            if self.trouble(false).is_some() {
                return Err(self.unavailable());
            }
            let found = now(self.universe.store.get(keys))?;
            pause().await;
            Ok(self.universe.mutant.mutate_items(keys, found))
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
            pause().await;
            let trouble = self.trouble(true);
            if trouble == Some(Trouble::NoStore) {
                return Err(self.unavailable());
            }
            let expect = self.universe.mutant.mutate_expect(key, expect);
            if self.universe.mutant.forgets(key, body) {
                return Ok(self.universe.store.peek(key).map_or(1, |item| item.version));
            }
            let before = self.universe.store.peek(key);
            let version = now(self.universe.store.put(key, body, expect, expires))?;
            self.universe.wrote(self.process, key, before.as_ref(), body);
            pause().await;
            if trouble == Some(Trouble::LostWrite) { Err(self.unavailable()) } else { Ok(version) }
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            pause().await;
            let trouble = self.trouble(true);
            if trouble == Some(Trouble::NoStore) {
                return Err(self.unavailable());
            }
            now(self.universe.store.delete(key, self.universe.mutant.mutate_expect(key, expect)))?;
            self.universe.removed(key);
            pause().await;
            if trouble == Some(Trouble::LostWrite) { Err(self.unavailable()) } else { Ok(()) }
        })
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            pause().await;
            if self.trouble(false).is_some() {
                return Err(self.unavailable());
            }
            let page = now(self.universe.store.query(partition, prefix, after));
            pause().await;
            page
        })
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

/// What takes no time.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the store in memory waits for nothing")
}

/// How long a suspended process stays so: shorter and longer than a lease.
pub(crate) const SUSPENDED: (usize, usize) = (2, 90);

/// The lease of every process.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
