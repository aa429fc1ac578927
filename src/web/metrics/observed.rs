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
        self.attempt(operation, input, 1)
    }

    fn attempt<'a>(
        &'a self,
        operation: Operation,
        input: Value,
        attempt: u32,
    ) -> BoxFuture<'a, Result<Value, EcsError>> {
        let service = service(&input);
        self.watched(operation, service, attempt, self.ecs.attempt(operation, input, attempt))
    }

    fn text<'a>(
        &'a self,
        operation: Operation,
        input: Value,
        attempt: u32,
    ) -> BoxFuture<'a, Result<Vec<u8>, EcsError>> {
        let service = service(&input);
        self.watched(operation, service, attempt, self.ecs.text(operation, input, attempt))
    }
}

impl ObservedEcs {
    fn watched<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        service: Option<String>,
        attempt: u32,
        call: BoxFuture<'a, Result<T, EcsError>>,
    ) -> BoxFuture<'a, Result<T, EcsError>> {
        // Neither input nor answer is traced: they hold environment values.
        let span = tracing::debug_span!("call", of = "ecs", operation = operation.as_str(), service, attempt);
        let call = async move {
            let began = Instant::now();
            let outcome = call.await;
            let (took, result) = (began.elapsed(), call_result(&outcome));
            self.metrics.called(&self.target, operation, result, took);
            ended(result, took);
            outcome
        };
        Box::pin(call.instrument(span))
    }
}

/// Whose call it is, where it is of one service: a name or an ARN.
fn service(input: &Value) -> Option<String> {
    input.get("service").and_then(Value::as_str).map(ToOwned::to_owned)
}

/// The one line in the span of a call.
fn ended(outcome: &'static str, took: std::time::Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(outcome, took_ms, "called");
}

/// Makes a call in a span of its own. What is tried again, is so inside: it counts as one attempt here.
async fn traced<T, E>(
    of: &'static str,
    operation: &'static str,
    on: Option<&str>,
    call: impl Future<Output = Result<T, E>>,
    told: impl FnOnce(&Result<T, E>) -> &'static str,
) -> Result<T, E> {
    let span = tracing::debug_span!("call", of, operation, on, attempt = 1);
    let traced = async {
        let began = Instant::now();
        let outcome = call.await;
        ended(told(&outcome), began.elapsed());
        outcome
    };
    traced.instrument(span).await
}

const fn call_result<T>(outcome: &Result<T, EcsError>) -> &'static str {
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

    async fn seen<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, AlarmsError>>,
    ) -> Result<T, AlarmsError> {
        let outcome = traced("alarms", operation, None, call, alarms_result).await;
        self.metrics.asked_of_alarms(&self.target, operation, alarms_result(&outcome));
        outcome
    }
}

const fn alarms_result<T>(outcome: &Result<T, AlarmsError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(AlarmsError::Denied { .. }) => "denied",
        Err(AlarmsError::Throttled { .. }) => "throttled",
        Err(AlarmsError::NoAnswer { .. }) => "no_answer",
    }
}

impl Alarms for ObservedAlarms {
    fn tagged<'a>(&'a self, tags: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
        Box::pin(self.seen("GetResources", self.alarms.tagged(tags)))
    }

    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
        Box::pin(self.seen("DescribeAlarms", self.alarms.states(names)))
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

    /// `partition`: where, for the span. What is in items is not traced.
    async fn seen<T>(
        &self,
        operation: &'static str,
        partition: Option<&str>,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let outcome = traced("store", operation, partition, call, store_result).await;
        self.metrics.stored(operation, store_result(&outcome));
        outcome
    }
}

const fn store_result<T>(outcome: &Result<T, StoreError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(StoreError::Conflict { .. }) => "conflict",
        Err(StoreError::Missing { .. }) => "missing",
        Err(StoreError::Denied { .. }) => "denied",
        Err(StoreError::Unavailable { .. }) => "unavailable",
        Err(StoreError::TooLarge { .. }) => "too_large",
        Err(StoreError::Corrupt { .. } | StoreError::Damaged { .. }) => "corrupt",
    }
}

/// The target whose event log a partition is (`records`: `rt#ACCOUNT/REGION#events`).
fn event_log(partition: &str) -> Option<TargetId> {
    let (account, region) = partition.strip_prefix("rt#")?.strip_suffix("#events")?.split_once('/')?;
    Some(TargetId { account: account.to_owned(), region: region.to_owned() })
}

impl Store for ObservedStore {
    fn get<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
        let partition = keys.first().map(|key| key.partition.as_str());
        Box::pin(self.seen("get", partition, self.store.get(keys)))
    }

    fn put<'a>(
        &'a self,
        key: &'a Key,
        body: &'a Map<String, Value>,
        expect: Expect,
        expires: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let version = self.seen("put", Some(&key.partition), self.store.put(key, body, expect, expires)).await?;
            if let Some(target) = event_log(&key.partition) {
                self.metrics.event_written(&target);
            }
            Ok(version)
        })
    }

    /// One call, however many items.
    fn put_all<'a>(&'a self, items: &'a [(Key, Map<String, Value>)]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let partition = items.first().map(|(key, _)| key.partition.as_str());
            self.seen("put_all", partition, self.store.put_all(items)).await?;
            for target in items.iter().filter_map(|(key, _)| event_log(&key.partition)) {
                self.metrics.event_written(&target);
            }
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expect: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.seen("delete", Some(&key.partition), self.store.delete(key, expect)))
    }

    fn query<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(self.seen("query", Some(partition), self.store.query(partition, prefix, after)))
    }

    fn purge(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.seen("purge", None, self.store.purge(now)))
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{self, Metric, Values};
    use super::*;

    /// What the catalogue says may come is what comes, no less: a value that never comes is an alert that never fires.
    #[track_caller]
    fn promised(metric: &Metric, label: &str, come: &[&str]) {
        let label = metric.labels.iter().find(|one| one.name == label).unwrap();
        let Values::Closed(values) = label.values else { panic!("{label:?}") };
        assert_eq!(come.iter().collect::<BTreeSet<_>>(), values.iter().collect(), "{}", metric.name);
    }

    #[test]
    fn every_result_of_a_call_comes() {
        let (operation, message) = (Operation::ListClusters, String::new);
        let all = [
            Ok(Value::Null),
            Err(EcsError::Refused { operation, code: message(), message: message() }),
            Err(EcsError::Throttled { operation, message: message() }),
            Err(EcsError::NoAnswer { operation, message: message() }),
            Err(EcsError::NotSent { operation, message: message() }),
        ];
        promised(&catalogue::CALLS, "result", &all.each_ref().map(call_result));
    }

    #[test]
    fn every_result_of_a_question_about_alarms_comes() {
        let (action, message) = ("cloudwatch:DescribeAlarms", String::new);
        let all = [
            Ok(()),
            Err(AlarmsError::Denied { action, message: message() }),
            Err(AlarmsError::Throttled { action, message: message() }),
            Err(AlarmsError::NoAnswer { action, message: message() }),
        ];
        promised(&catalogue::ALARM_CALLS, "result", &all.each_ref().map(alarms_result));
    }

    /// A store of which nothing can be had but this error.
    struct Failing(StoreError);

    impl Store for Failing {
        fn get<'a>(&'a self, _: &'a [Key]) -> BoxFuture<'a, Result<Vec<Option<Item>>, StoreError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn put<'a>(
            &'a self,
            _: &'a Key,
            _: &'a Map<String, Value>,
            _: Expect,
            _: Option<Timestamp>,
        ) -> BoxFuture<'a, Result<u64, StoreError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn put_all<'a>(&'a self, _: &'a [(Key, Map<String, Value>)]) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn delete<'a>(&'a self, _: &'a Key, _: Expect) -> BoxFuture<'a, Result<(), StoreError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn query<'a>(&'a self, _: &'a str, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn purge(&self, _: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
            Box::pin(async { Err(self.0.clone()) })
        }

        fn describe(&self) -> String {
            "file:failing.db".to_owned()
        }
    }

    #[tokio::test]
    async fn every_operation_on_the_store_is_counted_by_what_came_of_it() {
        let (key, text) = (Key { partition: "p".to_owned(), sort: "s".to_owned() }, || "x".to_owned());
        let failures = [
            ("conflict", StoreError::Conflict { key: key.clone() }),
            ("missing", StoreError::Missing { store: text(), message: text() }),
            ("denied", StoreError::Denied { store: text(), message: text() }),
            ("unavailable", StoreError::Unavailable { store: text(), message: text() }),
            ("too_large", StoreError::TooLarge { key: key.clone(), bytes: 1 }),
            ("corrupt", StoreError::Corrupt { key: key.clone(), message: text() }),
            ("corrupt", StoreError::Damaged { store: text(), message: text() }),
        ];
        promised(
            &catalogue::STORE_OPERATIONS,
            "result",
            &[&failures.each_ref().map(|(result, _)| *result)[..], &["ok"]].concat(),
        );
        let operations = ["get", "put", "put_all", "delete", "query", "purge"];
        promised(&catalogue::STORE_OPERATIONS, "operation", &operations);
        for (result, failure) in failures {
            let metrics = Arc::new(Metrics::new());
            let store = ObservedStore::new(Arc::new(Failing(failure)), Arc::clone(&metrics));
            let (keys, body) = ([key.clone()], Map::new());
            store.get(&keys).await.unwrap_err();
            store.put(&key, &body, Expect::Any, None).await.unwrap_err();
            store.put_all(&[(key.clone(), body.clone())]).await.unwrap_err();
            store.delete(&key, Expect::Any).await.unwrap_err();
            store.query("p", "", None).await.unwrap_err();
            store.purge(Timestamp::EPOCH).await.unwrap_err();
            let page = metrics.page();
            for operation in operations {
                let line =
                    format!("plimsoll_store_operations_total{{operation=\"{operation}\",result=\"{result}\"}} 1");
                assert!(page.contains(&line), "{line}: {page}");
            }
        }
    }

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
