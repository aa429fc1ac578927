//! Scale-in protection: tasks that neither scaling in nor a deployment may stop (botocore ecs/2014-11-13,
//! `UpdateTaskProtection`).
//!
//! Failed health checks, StopTask and deleting the service stop them all the same. ECS's refusal to protect a task that
//! would block a deployment is not modelled.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::error::SimError;
use super::super::input::Input;
use super::super::names;
use super::super::service::Service;
use super::super::state::{State, epoch};
use super::state::Task;
use crate::model::Timestamp;

/// How long protection lasts unless the call says otherwise, and at most, in minutes.
const DEFAULT_MINUTES: i64 = 120;
const MOST_MINUTES: i64 = 2880;

impl Task {
    /// Whether only time, or its own people, may end it now.
    pub(in crate::sim) fn is_protected(&self, now: Timestamp) -> bool {
        self.wanted && self.protected_until.is_some_and(|until| until > now)
    }

    fn protection(&self, now: Timestamp) -> Value {
        let mut view = Map::from_iter([
            ("taskArn".to_owned(), json!(self.arn)),
            ("protectionEnabled".to_owned(), json!(self.is_protected(now))),
        ]);
        if let Some(until) = self.protected_until.filter(|_| self.is_protected(now)) {
            view.insert("expirationDate".to_owned(), epoch(until));
        }
        Value::Object(view)
    }
}

impl State {
    pub(in crate::sim) fn get_task_protection(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(Some(input.need_text("cluster")?))?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in input.some_texts("tasks", "Tasks", 100)? {
            let id = names::member_of(&cluster.name, reference, "task")?;
            match cluster.task(id).filter(|_| cluster.owner(id).is_some()) {
                Some(task) if task.wanted => found.push(task.protection(self.now)),
                _ => failures.push(self.unprotectable(&cluster.name, id)),
            }
        }
        Ok(json!({ "protectedTasks": found, "failures": failures }))
    }

    pub(in crate::sim) fn update_task_protection(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(Some(input.need_text("cluster")?))?.name.clone();
        let enabled = input.flag("protectionEnabled")?.unwrap_or(false);
        let minutes = input.integer("expiresInMinutes")?.unwrap_or(DEFAULT_MINUTES);
        if !(1..=MOST_MINUTES).contains(&minutes) {
            let message = format!("expiresInMinutes must be between 1 and {MOST_MINUTES}.");
            return Err(SimError::invalid(message));
        }
        let until = self.now + Duration::from_secs(minutes.unsigned_abs() * 60);
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in input.some_texts("tasks", "Tasks", 10)? {
            let id = names::member_of(&cluster, reference, "task")?.to_owned();
            let owner = self.clusters.get(&cluster).and_then(|home| home.owner(&id)).map(ToOwned::to_owned);
            let shown = owner.and_then(|owner| {
                self.with_service(&cluster, &owner, |state, service| {
                    let now = state.now;
                    let task = service.tasks.get_mut(&id).filter(|task| task.wanted)?;
                    task.protected_until = enabled.then_some(until);
                    let shown = task.protection(now);
                    state.settle_soon(service);
                    Some(shown)
                })?
            });
            match shown {
                Some(shown) => found.push(shown),
                None => failures.push(self.unprotectable(&cluster, &id)),
            }
        }
        Ok(json!({ "protectedTasks": found, "failures": failures }))
    }

    /// "Invoking this operation for a standalone task will result in an TASK_NOT_VALID failure" (`UpdateTaskProtection`).
    fn unprotectable(&self, cluster: &str, id: &str) -> Value {
        let known = self.clusters.get(cluster).is_some_and(|home| home.task(id).is_some());
        let arn = names::arn(&self.config, &format!("task/{cluster}/{id}"));
        json!({ "arn": arn, "reason": if known { "TASK_NOT_VALID" } else { "MISSING" } })
    }

    /// The scheduler looks again when the next protection ends.
    pub(in crate::sim) fn settle_when_protection_ends(&mut self, service: &mut Service) {
        let now = self.now;
        let ends = service.tasks.values().filter(|task| task.is_protected(now)).filter_map(|task| task.protected_until);
        if let Some(at) = ends.min() {
            self.settle_at(service, at);
        }
    }
}
