//! The ports, watched: every call counted, timed and traced. Answers and errors pass through as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ledger::Metrics;
use crate::model::spec::TaggedAlarms;
use crate::model::{Alarm, TargetId, Timestamp};
use crate::ports::alarms::{Alarms, AlarmsError};
use crate::ports::ecs::{Ecs, EcsError, Operation};
use crate::ports::store::{Expect, Item, Key, Page, Store, StoreError};

/// ECS of one target, watched. Stands behind the budget, so that waiting for that is no part of a call and every
/// attempt counts.
pub struct ObservedEcs {
    ecs: Arc<dyn Ecs>,
    target: TargetId,
    metrics: Arc<Metrics>,
}

impl ObservedEcs {
    /// `ecs`, counted as `target`'s.
    #[must_use]
    pub fn new(ecs: Arc<dyn Ecs>, target: TargetId, metrics: Arc<Metrics>) -> Self {
        Self { ecs, target, metrics }
    }
}

impl Ecs for ObservedEcs {
    fn ready(&self, operation: Operation) -> BoxFuture<'_, ()> {
        self.ecs.ready(operation)
    }

    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        // Neither input nor answer is traced: they hold environment values.
        // But whose call it is, where it is of one service: a name or an ARN.
        let service = input.get("service").and_then(Value::as_str).map(ToOwned::to_owned);
        let span = tracing::debug_span!("call", operation = operation.as_str(), service);
        let call = async move {
            let began = Instant::now();
            let outcome = self.ecs.call(operation, input).await;
            let (took, result) = (began.elapsed(), call_result(&outcome));
            self.metrics.called(&self.target, operation, result, took);
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(outcome = result, took_ms, "called");
            outcome
        };
        Box::pin(call.instrument(span))
    }
}

const fn call_result(outcome: &Result<Value, EcsError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(EcsError::Refused { .. }) => "refused",
        Err(EcsError::Throttled { .. }) => "throttled",
        Err(EcsError::NoAnswer { .. }) => "no_answer",
        Err(EcsError::NotSent { .. }) => "not_sent",
    }
}

/// The alarms of one target, watched. A question may take several calls, a page each.
pub struct ObservedAlarms {
    alarms: Arc<dyn Alarms>,
    target: TargetId,
    metrics: Arc<Metrics>,
}

impl ObservedAlarms {
    /// `alarms`, counted as `target`'s.
    #[must_use]
    pub fn new(alarms: Arc<dyn Alarms>, target: TargetId, metrics: Arc<Metrics>) -> Self {
        Self { alarms, target, metrics }
    }

    fn seen<T>(&self, operation: &'static str, outcome: Result<T, AlarmsError>) -> Result<T, AlarmsError> {
        let result = match &outcome {
            Ok(_) => "ok",
            Err(AlarmsError::Denied { .. }) => "denied",
            Err(AlarmsError::Throttled { .. }) => "throttled",
            Err(AlarmsError::NoAnswer { .. }) => "no_answer",
        };
        self.metrics.asked_of_alarms(&self.target, operation, result);
        outcome
    }
}

impl Alarms for ObservedAlarms {
    fn tagged<'a>(&'a self, tags: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
        Box::pin(async move { self.seen("GetResources", self.alarms.tagged(tags).await) })
    }

    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
        Box::pin(async move { self.seen("DescribeAlarms", self.alarms.states(names).await) })
    }
}

/// The store, watched.
pub struct ObservedStore {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl ObservedStore {
    /// `store`, counted.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    fn seen<T>(&self, operation: &'static str, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let result = match &outcome {
            Ok(_) => "ok",
            Err(StoreError::Conflict { .. }) => "conflict",
            Err(StoreError::Missing { .. }) => "missing",
            Err(StoreError::Denied { .. }) => "denied",
            Err(StoreError::Unavailable { .. }) => "unavailable",
            Err(StoreError::TooLarge { .. }) => "too_large",
            Err(StoreError::Corrupt { .. }) => "corrupt",
        };
        self.metrics.stored(operation, result);
        outcome
    }
}

/// The target whose event log a partition is (`records`: `rt#ACCOUNT/REGION#events`).
fn event_log(partition: &str) -> Option<TargetId> {
    let (account, region) = partition.strip_prefix("rt#")?.strip_suffix("#events")?.split_once('/')?;
    Some(TargetId { account: account.to_owned(), region: region.to_owned() })
}

impl Store for ObservedStore {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        Box::pin(async move { self.seen("get", self.store.get(keys).await) })
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let version = self.seen("put", self.store.put(key, body, expect, expires).await)?;
            if let Some(target) = event_log(&key.partition) {
                self.metrics.event_written(&target);
            }
            Ok(version)
        })
    }

    /// One call, however many items.
    fn put_all<'a>(&'a self, items: &'a [(Key, Map<String, Value>)]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.seen("put_all", self.store.put_all(items).await)?;
            for target in items.iter().filter_map(|(key, _)| event_log(&key.partition)) {
                self.metrics.event_written(&target);
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.seen("delete", self.store.delete(key, expect).await) })
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move { self.seen("query", self.store.query(partition, prefix, after).await) })
    }

    fn purge(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move { self.seen("purge", self.store.purge(now).await) })
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells nobody how alarms stand, and knows none by tags.
    struct Denying;

    impl Alarms for Denying {
        fn tagged<'a>(&'a self, _: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
            Box::pin(async { Ok(BTreeSet::new()) })
        }

        fn states<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
            Box::pin(async {
                Err(AlarmsError::Denied { action: "cloudwatch:DescribeAlarms", message: "no".to_owned() })
            })
        }
    }

    #[tokio::test]
    async fn questions_about_alarms_are_counted_by_what_came_of_them() {
        let metrics = Arc::new(Metrics::new());
        let target = TargetId { account: "1".to_owned(), region: "r".to_owned() };
        let alarms = ObservedAlarms::new(Arc::new(Denying), target, Arc::clone(&metrics));
        alarms.tagged(&TaggedAlarms { tags: std::collections::BTreeMap::new() }).await.unwrap();
        for _ in 0..2 {
            alarms.states(&BTreeSet::from(["a".to_owned()])).await.unwrap_err();
        }
        let page = metrics.page();
        for line in [
            "plimsoll_alarm_calls_total{target=\"1/r\",operation=\"GetResources\",result=\"ok\"} 1",
            "plimsoll_alarm_calls_total{target=\"1/r\",operation=\"DescribeAlarms\",result=\"denied\"} 2",
        ] {
            assert!(page.contains(line), "{page}");
        }
    }
}
