//! A controller that is killed between a call and the record of what came of it. Knows only the one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Notify;

use crate::ports::{Ecs, EcsError, Operation};
use crate::sim::SimEcs;

/// The simulated ECS, as a controller sees it that may be killed.
pub(super) struct Mortal {
    ecs: Arc<SimEcs>,
    doomed: AtomicBool,
    died: Notify,
}

impl Mortal {
    pub(super) fn of(ecs: Arc<SimEcs>) -> Self {
        Self { ecs, doomed: AtomicBool::new(false), died: Notify::new() }
    }

    /// Its next UpdateService has its effect, and the controller never hears of it.
    pub(super) fn doom(&self, doomed: bool) {
        self.doomed.store(doomed, Ordering::Relaxed);
    }

    /// When that has happened: the service that was told, as `CLUSTER/NAME`. Drop the pass then.
    pub(super) async fn died(&self) -> String {
        self.died.notified().await;
        let calls = self.ecs.calls();
        let last = calls.iter().rev().find(|call| call.operation == Operation::UpdateService);
        let service = last.and_then(|call| call.input.get("service")).and_then(Value::as_str).unwrap_or_default();
        service.rsplit_once(":service/").map_or(service, |(_, name)| name).to_owned()
    }
}

impl Ecs for Mortal {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let answer = self.ecs.call(operation, input).await;
            if operation == Operation::UpdateService && self.doomed.swap(false, Ordering::Relaxed) {
                self.died.notify_one();
                std::future::pending::<()>().await;
            }
            answer
        })
    }
}
