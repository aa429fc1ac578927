//! ECS, its alarms and the store as one process reaches them: every call is a sending, an effect and a reply, and between
//! any two of them the process may be suspended, or die, and everybody else may act.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use plimsoll::model::spec::TaggedAlarms;
use plimsoll::model::{Alarm, AlarmState, Timestamp};
use plimsoll::ports::store::{Expect, Item, Key, Page};
use plimsoll::ports::{Alarms, AlarmsError, Ecs, EcsError, Operation, Store, StoreError};
use serde_json::{Map, Value};

use super::mutants::Mutant;
use super::setup::BELL;
use super::time::pause;
use super::trouble::{LATE, Trouble, VERY_LATE};
use super::universe::Universe;
use super::{law, others};

/// ECS, for one process.
pub(crate) struct Wire {
    pub(crate) universe: Arc<Universe>,
    pub(crate) process: usize,
    /// What each service looked like when it was last looked at by itself.
    pub(crate) looks: Mutex<BTreeMap<String, Value>>,
}

/// A write that was sent. Dropped before it arrived (its process died), it may still arrive.
struct Sent<'a> {
    universe: &'a Universe,
    operation: Operation,
    input: &'a Value,
    saw: &'a Value,
    intent: Option<&'a String>,
    arrived: bool,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.arrived {
            return;
        }
        self.universe.goes_unheard(self.operation, self.input);
        if self.operation.writes() && self.universe.happens(500) {
            let delay = self.universe.seconds(if self.universe.happens(200) { VERY_LATE } else { LATE });
            self.universe.arrives_later((self.operation, self.input), self.saw, self.intent, delay);
        }
    }
}

impl Wire {
    async fn one(&self, operation: Operation, input: &Value) -> Result<Value, EcsError> {
        let universe = self.universe.as_ref();
        let (saw, intent) = universe.sends(self.process, operation, input);
        let (call, intent) = ((operation, input), intent.as_ref());
        let mut sent = Sent { universe, operation, input, saw: &saw, intent, arrived: false };
        pause().await;
        others::meddles(universe, operation, input);
        sent.arrived = true;
        let lost = |what: &str| EcsError::NoAnswer { operation, message: what.to_owned() };
        let answer = match universe.trouble_with(operation) {
            Some(Trouble::NotSent) => Err(EcsError::NotSent { operation, message: "connection refused".to_owned() }),
            Some(Trouble::LostReply) => {
                // Whatever the answer was, nobody hears it.
                drop(universe.arrives(self.process, call, &saw, intent, false));
                Err(lost("the connection was closed before the response"))
            }
            Some(late @ (Trouble::Late | Trouble::VeryLate)) => {
                let delay = universe.seconds(if late == Trouble::Late { LATE } else { VERY_LATE });
                universe.arrives_later(call, &saw, intent, delay);
                Err(lost("timed out"))
            }
            Some(Trouble::ServerError) => Err(lost("ServerException: 500")),
            Some(Trouble::Throttled) => Err(EcsError::Throttled { operation, message: "Rate exceeded".to_owned() }),
            _ => universe.arrives(self.process, call, &saw, intent, true),
        };
        drop(sent);
        if operation == Operation::DescribeServices
            && answer.as_ref().is_ok_and(|shown| universe.is_stale(input, shown))
        {
            universe.meets(Trouble::StaleRead);
        }
        match &answer {
            Err(EcsError::NoAnswer { .. }) => universe.goes_unheard(operation, input),
            Err(_) => universe.is_refused(intent),
            _ => {}
        }
        if !matches!(answer, Err(EcsError::NoAnswer { .. } | EcsError::NotSent { .. })) {
            universe.is_dated(self.process);
        }
        pause().await;
        answer
    }
}

impl Wire {
    /// A service by itself is shown as it was when it was looked at before.
    fn one_look_ago(&self, mut shown: Value) -> Value {
        let Some([service]) = shown["services"].as_array_mut().map(Vec::as_mut_slice) else { return shown };
        let arn = service["serviceArn"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = self.looks.lock().unwrap().insert(arn.clone(), service.clone()) {
            self.universe.state().read[self.process].services.insert(arn, before.clone());
            *service = before;
        }
        shown
    }
}

impl Ecs for Wire {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let mutant = self.universe.mutant;
            let mut input = mutant.mutate_call(operation, input);
            // What is on the machine's mind when it errs: something that is not ours, something that runs.
            let arn = match operation {
                Operation::StopServiceDeployment if mutant.is(Mutant::StopsSomebodys) => {
                    let state = self.universe.state();
                    let theirs = state.theirs.iter().find(|theirs| theirs.starts_with("arn:")).cloned();
                    theirs.map(|arn| ("serviceDeploymentArn", Value::from(arn)))
                }
                Operation::DeregisterTaskDefinition if mutant.is(Mutant::DeregistersWhatRuns) => {
                    let state = self.universe.state();
                    let mut services = state.read[self.process].services.values();
                    services.next().map(|service| ("taskDefinition", service["taskDefinition"].clone()))
                }
                _ => None,
            };
            arn.into_iter().for_each(|(member, arn)| input[member] = arn);
            if let Some(forged) = mutant.forges(operation, &input) {
                return Ok(forged);
            }
            let answer = self.one(operation, &input).await;
            let again = operation == Operation::RegisterTaskDefinition
                && mutant.is(Mutant::RegistersBlindlyAgain)
                && matches!(answer, Err(EcsError::NoAnswer { .. }));
            let answer = if again { self.one(operation, &input).await } else { answer };
            let looks_back = operation == Operation::DescribeServices && mutant.is(Mutant::IgnoresRecords);
            let answer = if looks_back { answer.map(|shown| self.one_look_ago(shown)) } else { answer };
            mutant.mutate_answer(operation, answer)
        })
    }
}

/// The alarms, for one process: there is one.
pub(crate) struct Bells {
    pub(crate) universe: Arc<Universe>,
    pub(crate) process: usize,
}

impl Alarms for Bells {
    fn tagged<'a>(&'a self, _: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
        Box::pin(async { Ok(BTreeSet::from([BELL.to_owned()])) })
    }

    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
        Box::pin(async move {
            pause().await;
            let trouble = self.universe.trouble_with_alarms();
            let (stands, since) = self.universe.hears(self.process, trouble);
            pause().await;
            let heard = if self.universe.mutant.is(Mutant::IgnoresAlarms) { AlarmState::Ok } else { stands };
            if trouble && !self.universe.mutant.is(Mutant::IgnoresAlarms) {
                let message = "timed out".to_owned();
                return Err(AlarmsError::NoAnswer { action: "cloudwatch:DescribeAlarms", message });
            }
            let of = |name: &String| Alarm { name: name.clone(), state: heard, since: Some(since) };
            Ok(names.iter().filter(|name| *name == BELL).map(of).collect())
        })
    }
}

/// The store, for one process.
pub(crate) struct Disk {
    pub(crate) universe: Arc<Universe>,
    pub(crate) process: usize,
}

impl Disk {
    /// What the caller hears of a write that was made.
    fn heard<T>(&self, trouble: Option<Trouble>, key: &Key, made: T) -> Result<T, StoreError> {
        match trouble {
            Some(Trouble::LostWrite) => Err(self.unavailable()),
            Some(Trouble::MadeConflict) => Err(StoreError::Conflict { key: key.clone() }),
            _ => Ok(made),
        }
    }

    /// What the caller hears where a write is not made.
    fn refuses(&self, trouble: Option<Trouble>, key: &Key, expect: Expect) -> Result<(), StoreError> {
        match trouble {
            Some(Trouble::NoStore) => Err(self.unavailable()),
            // Without a condition there is nothing to fail.
            Some(Trouble::Conflict) if expect != Expect::Any => Err(StoreError::Conflict { key: key.clone() }),
            _ => Ok(()),
        }
    }

    fn unavailable(&self) -> StoreError {
        StoreError::Unavailable { store: self.describe(), message: "timed out".to_owned() }
    }
}

impl Store for Disk {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move {
            pause().await;
            let trouble = self.universe.trouble_with_store(false).is_some();
            self.universe.state().store_failed[self.process] = trouble;
            if trouble {
                return Err(self.unavailable());
            }
            let mut found = now(self.universe.store.get(keys))?;
            if !self.universe.goes_by_old(self.process, keys, &mut found) {
                self.universe.reads(self.process, &found);
            }
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
            // Only a conditional write can be refused for its condition.
            let trouble = self.universe.trouble_with_store(true);
            let trouble = trouble.filter(|kind| *kind != Trouble::MadeConflict || expect != Expect::Any);
            self.universe.state().store_failed[self.process] = trouble.is_some();
            if trouble.is_some() && key.sort.starts_with("change#") {
                self.universe.loses(self.process);
            }
            self.refuses(trouble, key, expect)?;
            let expect = self.universe.mutant.mutate_expect(key, expect);
            let before = self.universe.store.peek(key);
            if self.universe.mutant.takes_it_for_made(key, before.as_ref(), expect) {
                return Ok(before.map_or(1, |item| item.version));
            }
            if self.universe.mutant.forgets(key, before.as_ref(), body) {
                return Ok(before.map_or(1, |item| item.version));
            }
            let body = &self.universe.mutant.mutate_body(key, body);
            let version = now(self.universe.store.put(key, body, expect, expires))?;
            self.universe.wrote(self.process, key, before.as_ref(), body);
            if self.universe.mutant.is(Mutant::LetsHoldsGo) && key.sort.starts_with("hold#") {
                let held = self.universe.store.peek(key);
                now(self.universe.store.delete(key, Expect::Any))?;
                law::when_removed(&self.universe, self.process, key, expect, held.as_ref());
            }
            pause().await;
            self.heard(trouble, key, version)
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            pause().await;
            let trouble = self.universe.trouble_with_store(true);
            let trouble = trouble.filter(|kind| *kind != Trouble::MadeConflict || expect != Expect::Any);
            self.universe.state().store_failed[self.process] = trouble.is_some();
            self.refuses(trouble, key, expect)?;
            let before = self.universe.store.peek(key);
            let expect = self.universe.mutant.mutate_removal(expect);
            now(self.universe.store.delete(key, expect))?;
            law::when_removed(&self.universe, self.process, key, expect, before.as_ref());
            pause().await;
            self.heard(trouble, key, ())
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
            if self.universe.trouble_with_store(false).is_some() {
                return Err(self.unavailable());
            }
            let page = now(self.universe.store.query(partition, prefix, after));
            pause().await;
            page.map(|page| self.universe.mutant.mutate_page(page))
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
