//! One service: its members as described, its deployments, its tasks, its events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::deployment::{Deployment, Record, ServiceRevision};
use super::super::random::Random;
use super::super::state::epoch;
use super::super::tags::Tags;
use super::super::task::Task;
use crate::model::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Status {
    Active,
    Draining,
    Inactive,
}

impl Status {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// Who decides how a service's tasks are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

#[derive(Debug, Clone)]
pub(in crate::sim) struct Service {
    pub(in crate::sim) cluster: String,
    pub(in crate::sim) cluster_arn: String,
    pub(in crate::sim) name: String,
    pub(in crate::sim) arn: String,
    pub(in crate::sim) created_at: Timestamp,
    pub(in crate::sim) created_by: String,
    pub(in crate::sim) status: Status,
    pub(in crate::sim) controller: Controller,
    pub(in crate::sim) daemon: bool,
    /// What callers set, under the names by which it is described.
    pub(in crate::sim) members: Map<String, Value>,
    pub(in crate::sim) tags: Tags,
    /// The PRIMARY first, then those still to be replaced.
    pub(in crate::sim) deployments: Vec<Deployment>,
    /// The deployment that was COMPLETED last: where a rollback goes.
    pub(in crate::sim) fallback: Option<Deployment>,
    /// All service deployments, oldest first.
    pub(in crate::sim) records: Vec<Record>,
    pub(in crate::sim) revisions: Vec<Arc<ServiceRevision>>,
    /// Also stopped ones, while they can be described.
    pub(in crate::sim) tasks: BTreeMap<String, Task>,
    /// Newest first.
    pub(in crate::sim) events: VecDeque<Value>,
    pub(in crate::sim) random: Random,
    /// When the scheduler looks next.
    pub(in crate::sim) settle_at: Option<Timestamp>,
    /// No task is started before this: the last ones could not start.
    pub(in crate::sim) not_before: Option<Timestamp>,
    /// How often in a row that wait was extended.
    pub(in crate::sim) restarts: u32,
    /// Whether its steady state has been announced.
    pub(in crate::sim) steady: bool,
}

/// Events a service keeps (`Service.events`).
const MOST_EVENTS: usize = 100;

impl Service {
    /// Tasks it wants; of a DAEMON service as many as there are `instances`.
    pub(in crate::sim) fn desired(&self, instances: usize) -> u32 {
        let asked = self.members.get("desiredCount").and_then(Value::as_u64).unwrap_or(0);
        let count = if self.daemon { instances } else { usize::try_from(asked).unwrap_or(usize::MAX) };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(in crate::sim) fn setting(&self, pointer: &str) -> Option<&Value> {
        self.members.get("deploymentConfiguration")?.pointer(pointer)
    }

    pub(in crate::sim) fn percent(&self, member: &str, default: u64) -> u64 {
        self.setting(member).and_then(Value::as_u64).unwrap_or(default)
    }

    /// Tasks of a deployment that are to run.
    pub(in crate::sim) fn live<'a>(&'a self, deployment: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.values().filter(move |task| task.wanted && task.started_by.as_deref() == Some(deployment))
    }

    /// Tasks of a deployment in a status that `runningCount` (`RUNNING`) or `pendingCount` (`PENDING`) counts. Tasks that
    /// have been told to stop are in neither.
    pub(in crate::sim) fn count(&self, deployment: &str, status: &str) -> usize {
        self.live(deployment).filter(|task| task.status.counts_as(status)).count()
    }

    pub(in crate::sim) fn record(&self, arn: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.arn == arn)
    }

    pub(in crate::sim) fn record_mut(&mut self, arn: &str) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.arn == arn)
    }

    pub(in crate::sim) fn revision(&self, arn: &str) -> Option<&ServiceRevision> {
        self.revisions.iter().find(|revision| revision.arn == arn).map(Arc::as_ref)
    }

    /// Whether any of its deployments runs the task definition revision.
    pub(in crate::sim) fn uses(&self, task_definition: &str) -> bool {
        self.status != Status::Inactive
            && self.deployments.iter().any(|one| one.revision.template.task_definition == task_definition)
    }

    /// Notes an event. Its words are ECS's, which says of them itself that they may change: diagnostics only.
    pub(in crate::sim) fn say(&mut self, now: Timestamp, what: &str) {
        let id = format!("{:016x}", self.random.next());
        self.events.push_front(json!({
            "id": id,
            "createdAt": epoch(now),
            "message": format!("(service {}) {what}", self.name),
        }));
        self.events.truncate(MOST_EVENTS);
    }
}
