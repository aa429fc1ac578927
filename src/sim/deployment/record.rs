//! A service deployment: the record of one attempt to move a service, kept after it has ended.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::service::Service;
use super::super::state::epoch;
use crate::model::Timestamp;

/// `ServiceDeployment.status` (ecs-facts §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum RecordStatus {
    Pending,
    InProgress,
    StopRequested,
    Stopped,
    Successful,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl RecordStatus {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::Successful => "SUCCESSFUL",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub(in crate::sim) const fn is_terminal(self) -> bool {
        matches!(self, Self::Stopped | Self::Successful | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

#[derive(Debug, Clone)]
pub(in crate::sim) struct Rollback {
    pub(in crate::sim) reason: String,
    pub(in crate::sim) started_at: Timestamp,
    /// The revision it goes back to.
    pub(in crate::sim) revision: String,
}

/// `DeploymentLifecycleHookStatus`, of those that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum HookStatus {
    AwaitingAction,
    Succeeded,
    TimedOut,
}

impl HookStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingAction => "AWAITING_ACTION",
            Self::Succeeded => "SUCCEEDED",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

/// A PAUSE hook that was reached.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Hook {
    pub(in crate::sim) id: String,
    pub(in crate::sim) status: HookStatus,
    pub(in crate::sim) expires_at: Timestamp,
    /// What it does when it expires; else it goes on.
    pub(in crate::sim) rolls_back: bool,
}

#[derive(Debug, Clone)]
pub(in crate::sim) struct Record {
    pub(in crate::sim) arn: String,
    pub(in crate::sim) created_at: Timestamp,
    pub(in crate::sim) started_at: Option<Timestamp>,
    pub(in crate::sim) finished_at: Option<Timestamp>,
    pub(in crate::sim) stopped_at: Option<Timestamp>,
    pub(in crate::sim) updated_at: Timestamp,
    pub(in crate::sim) status: RecordStatus,
    pub(in crate::sim) reason: Option<String>,
    pub(in crate::sim) stage: Option<&'static str>,
    /// ARNs of the service revisions that ran when it began.
    pub(in crate::sim) sources: Vec<String>,
    /// ARN of the service revision it moves to.
    pub(in crate::sim) target: String,
    pub(in crate::sim) rollback: Option<Rollback>,
    pub(in crate::sim) failures: u32,
    /// Whether the circuit breaker ended it.
    pub(in crate::sim) tripped: bool,
    pub(in crate::sim) hooks: Vec<Hook>,
    /// Alarms that were going off when it was first looked at.
    pub(in crate::sim) alarms_before: Option<BTreeSet<String>>,
    pub(in crate::sim) alarms_triggered: Vec<String>,
}

impl Record {
    pub(in crate::sim) fn set(&mut self, status: RecordStatus, reason: Option<String>, now: Timestamp) {
        self.status = status;
        self.updated_at = now;
        if reason.is_some() {
            self.reason = reason;
        }
        if status.is_terminal() {
            self.finished_at = Some(now);
            self.stage = None;
        }
        if matches!(status, RecordStatus::StopRequested | RecordStatus::RollbackRequested | RecordStatus::Stopped) {
            self.stopped_at = self.stopped_at.or(Some(now));
        }
    }

    pub(super) fn brief(&self, service: &Service) -> Value {
        let mut view = Map::new();
        view.insert("serviceDeploymentArn".into(), json!(self.arn));
        view.insert("serviceArn".into(), json!(service.arn));
        view.insert("clusterArn".into(), json!(service.cluster_arn));
        self.put_times(&mut view);
        view.insert("targetServiceRevisionArn".into(), json!(self.target));
        view.insert("status".into(), json!(self.status.as_str()));
        if let Some(reason) = &self.reason {
            view.insert("statusReason".into(), json!(reason));
        }
        Value::Object(view)
    }

    fn put_times(&self, view: &mut Map<String, Value>) {
        view.insert("createdAt".into(), epoch(self.created_at));
        for (name, at) in [("startedAt", self.started_at), ("finishedAt", self.finished_at)] {
            if let Some(at) = at {
                view.insert(name.into(), epoch(at));
            }
        }
    }

    pub(super) fn describe(&self, service: &Service, desired: u32) -> Value {
        let mut view = Map::new();
        view.insert("serviceDeploymentArn".into(), json!(self.arn));
        view.insert("serviceArn".into(), json!(service.arn));
        view.insert("clusterArn".into(), json!(service.cluster_arn));
        self.put_times(&mut view);
        if let Some(at) = self.stopped_at {
            view.insert("stoppedAt".into(), epoch(at));
        }
        view.insert("updatedAt".into(), epoch(self.updated_at));
        let sources: Vec<Value> =
            self.sources.iter().map(|arn| summary(service, arn, self.requested(service, arn, desired))).collect();
        view.insert("sourceServiceRevisions".into(), Value::Array(sources));
        let requested = self.requested(service, &self.target, desired);
        view.insert("targetServiceRevision".into(), summary(service, &self.target, requested));
        view.insert("status".into(), json!(self.status.as_str()));
        if let Some(reason) = &self.reason {
            view.insert("statusReason".into(), json!(reason));
        }
        if let Some(stage) = self.stage {
            view.insert("lifecycleStage".into(), json!(stage));
        }
        if !self.hooks.is_empty() {
            view.insert("lifecycleHookDetails".into(), self.hooks.iter().map(Hook::describe).collect());
        }
        let configuration = service.members.get("deploymentConfiguration").cloned().unwrap_or_else(|| json!({}));
        view.insert("deploymentConfiguration".into(), configuration);
        if let Some(rollback) = &self.rollback {
            view.insert(
                "rollback".into(),
                json!({
                    "reason": rollback.reason,
                    "startedAt": epoch(rollback.started_at),
                    "serviceRevisionArn": rollback.revision,
                }),
            );
        }
        let breaker = service.breaker(desired);
        let status = match (breaker.enabled, self.tripped, self.status.is_terminal()) {
            (false, ..) => "DISABLED",
            (true, true, _) => "TRIGGERED",
            (true, false, true) => "MONITORING_COMPLETE",
            (true, false, false) => "MONITORING",
        };
        view.insert(
            "deploymentCircuitBreaker".into(),
            json!({ "status": status, "failureCount": self.failures, "threshold": breaker.threshold }),
        );
        view.insert("alarms".into(), self.describe_alarms(service));
        Value::Object(view)
    }

    fn describe_alarms(&self, service: &Service) -> Value {
        let enabled = service.setting("/alarms/enable") == Some(&json!(true));
        let names = service.setting("/alarms/alarmNames").filter(|_| enabled).cloned().unwrap_or_else(|| json!([]));
        let status = match (enabled, self.alarms_triggered.is_empty(), self.status.is_terminal()) {
            (false, ..) => "DISABLED",
            (true, false, _) => "TRIGGERED",
            (true, true, true) => "MONITORING_COMPLETE",
            (true, true, false) => "MONITORING",
        };
        json!({ "status": status, "alarmNames": names, "triggeredAlarmNames": self.alarms_triggered })
    }

    /// How many tasks of a revision this deployment wants.
    fn requested(&self, service: &Service, revision: &str, desired: u32) -> usize {
        let primary = service.deployments.first().is_some_and(|first| first.revision.arn == revision);
        if primary { usize::try_from(desired).unwrap_or(usize::MAX) } else { service.of_revision(revision, None) }
    }
}

impl Hook {
    fn describe(&self) -> Value {
        json!({
            "hookId": self.id,
            "targetType": "PAUSE",
            "status": self.status.as_str(),
            "expiresAt": epoch(self.expires_at),
            "timeoutAction": if self.rolls_back { "ROLLBACK" } else { "CONTINUE" },
        })
    }
}

fn summary(service: &Service, arn: &str, requested: usize) -> Value {
    json!({
        "arn": arn,
        "requestedTaskCount": requested,
        "runningTaskCount": service.of_revision(arn, Some("RUNNING")),
        "pendingTaskCount": service.of_revision(arn, Some("PENDING")),
    })
}

impl Service {
    /// Tasks of a service revision that are to run; only those in a status, if one is given.
    pub(in crate::sim) fn of_revision(&self, revision: &str, status: Option<&str>) -> usize {
        self.deployments
            .iter()
            .filter(|deployment| deployment.revision.arn == revision)
            .flat_map(|deployment| self.live(&deployment.id))
            .filter(|task| status.is_none_or(|status| task.status.counts_as(status)))
            .count()
    }
}
