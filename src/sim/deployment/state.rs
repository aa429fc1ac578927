//! One deployment of a service, and the revision of the service that it brings.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::state::epoch;
use super::super::task::Template;
use crate::model::Timestamp;

/// `rolloutState`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum RolloutState {
    InProgress,
    Completed,
    Failed,
}

impl RolloutState {
    pub(in crate::sim) const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// What a service looked like when a deployment of it began. Immutable.
#[derive(Debug, Clone)]
pub(in crate::sim) struct ServiceRevision {
    pub(in crate::sim) arn: String,
    pub(in crate::sim) created_at: Timestamp,
    pub(in crate::sim) template: Arc<Template>,
    /// The service's members that belong to a revision: [`ServiceRevision::MEMBERS`].
    pub(in crate::sim) members: Map<String, Value>,
}

impl ServiceRevision {
    /// The members of a service that start a deployment when they change, `taskDefinition` apart (ecs-facts §3.1), and
    /// those that say where its tasks run.
    pub(in crate::sim) const MEMBERS: &[&str] = &[
        "launchType",
        "capacityProviderStrategy",
        "platformVersion",
        "networkConfiguration",
        "loadBalancers",
        "serviceRegistries",
        "serviceConnectConfiguration",
        "volumeConfigurations",
        "vpcLatticeConfigurations",
    ];

    pub(super) fn describe(&self, service_arn: &str, cluster_arn: &str) -> Value {
        let mut view = Map::new();
        view.insert("serviceRevisionArn".into(), json!(self.arn));
        view.insert("serviceArn".into(), json!(service_arn));
        view.insert("clusterArn".into(), json!(cluster_arn));
        view.insert("taskDefinition".into(), json!(self.template.task_definition));
        for (name, value) in &self.members {
            view.insert(name.clone(), value.clone());
        }
        if let Some(version) = &self.template.platform_version {
            view.insert("platformVersion".into(), json!(version));
            view.insert("platformFamily".into(), json!("Linux"));
        }
        let images: Vec<Value> = self
            .template
            .images
            .iter()
            .map(|image| {
                let mut view = Map::new();
                view.insert("containerName".into(), json!(image.container));
                view.insert("image".into(), json!(image.image));
                if let Some(digest) = &image.digest {
                    view.insert("imageDigest".into(), json!(digest));
                }
                Value::Object(view)
            })
            .collect();
        view.insert("containerImages".into(), Value::Array(images));
        view.insert("guardDutyEnabled".into(), json!(false));
        view.insert("createdAt".into(), epoch(self.created_at));
        Value::Object(view)
    }
}

/// One of `services[].deployments[]`; of a service with another controller, its one task set.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Deployment {
    /// `ecs-svc/…`; the tasks' `startedBy`.
    pub(in crate::sim) id: String,
    pub(in crate::sim) revision: Arc<ServiceRevision>,
    pub(in crate::sim) created_at: Timestamp,
    pub(in crate::sim) updated_at: Timestamp,
    pub(in crate::sim) rollout: RolloutState,
    pub(in crate::sim) rollout_reason: String,
    /// Consecutive failures; back to 0 as soon as a task runs (`Deployment.failedTasks`).
    pub(in crate::sim) failed_tasks: u32,
    /// Failures as the circuit breaker counts them: back to 0 when a task is healthy (`resetOnHealthyTask`).
    pub(in crate::sim) breaker_count: u32,
    /// The service deployment it belongs to.
    pub(in crate::sim) record: Option<String>,
    /// The service deployment that this one is brought back by.
    pub(in crate::sim) restores: Option<String>,
    /// Started during a rollback: it launches nothing (ecs-facts §3.4).
    pub(in crate::sim) stalled: bool,
    /// Until when it must stay as it should be, once all its tasks run, to be COMPLETED.
    pub(in crate::sim) bakes_until: Option<Timestamp>,
    /// Whether being stuck has been announced.
    pub(in crate::sim) said_stuck: bool,
}
