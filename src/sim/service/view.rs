//! A service as DescribeServices shows it.

use serde_json::{Map, Value, json};

use super::super::deployment::Deployment;
use super::super::state::epoch;
use super::super::task::LastStatus;
use super::state::{Controller, Service};

/// Members that a deployment shows and the service does not (botocore ecs/2014-11-13 `Deployment`, `Service`, `TaskSet`).
const OF_DEPLOYMENTS: [&str; 3] = ["serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"];

impl Service {
    pub(super) fn describe(&self, instances: usize, recorded: bool) -> Map<String, Value> {
        let desired = self.desired(instances);
        let total =
            |status: &str| self.tasks.values().filter(|task| task.wanted && task.status.counts_as(status)).count();
        let mut view = Map::new();
        let mut put = |name: &str, value: Value| {
            view.insert(name.to_owned(), value);
        };
        put("serviceArn", json!(self.arn));
        put("serviceName", json!(self.name));
        put("clusterArn", json!(self.cluster_arn));
        put("status", json!(self.status.as_str()));
        put("runningCount", json!(total("RUNNING")));
        put("pendingCount", json!(total("PENDING")));
        for (name, value) in self.members.iter().filter(|(name, _)| !OF_DEPLOYMENTS.contains(&name.as_str())) {
            put(name, value.clone());
        }
        put("desiredCount", json!(desired));
        let primary = self.deployments.first();
        if let Some(primary) = primary {
            // With the EXTERNAL controller its task sets name it.
            if self.controller != Controller::External {
                put("taskDefinition", json!(primary.revision.template.task_definition));
            }
            if self.controller != Controller::External && primary.revision.template.platform_version.is_some() {
                put("platformFamily", json!("Linux"));
            }
        }
        let own = self.controller == Controller::Ecs;
        let shown = self.deployments.iter();
        if own {
            put(
                "deployments",
                shown.enumerate().map(|(place, one)| self.deployment(one, place == 0, desired)).collect(),
            );
        } else {
            put("deployments", json!([]));
            put("taskSets", shown.map(|one| self.task_set(one, desired)).collect());
        }
        put("events", self.events.iter().cloned().collect());
        put("createdAt", epoch(self.created_at));
        put("createdBy", json!(self.created_by));
        if let Some(record) = self.records.last().filter(|_| recorded) {
            put("currentServiceDeployment", json!(record.arn));
        }
        if own && recorded {
            put("currentServiceRevisions", self.current_revisions(desired));
        }
        view
    }

    fn deployment(&self, one: &Deployment, primary: bool, desired: u32) -> Value {
        let mut view = Map::new();
        view.insert("id".into(), json!(one.id));
        view.insert("status".into(), json!(if primary { "PRIMARY" } else { "ACTIVE" }));
        view.insert("taskDefinition".into(), json!(one.revision.template.task_definition));
        let live = self.live(&one.id).count();
        let wanted = if primary { usize::try_from(desired).unwrap_or(usize::MAX) } else { live };
        view.insert("desiredCount".into(), json!(wanted));
        view.insert("pendingCount".into(), json!(self.count(&one.id, "PENDING")));
        view.insert("runningCount".into(), json!(self.count(&one.id, "RUNNING")));
        view.insert("failedTasks".into(), json!(one.failed_tasks));
        view.insert("createdAt".into(), epoch(one.created_at));
        view.insert("updatedAt".into(), epoch(one.updated_at));
        for (name, value) in &one.revision.members {
            // These belong to the service alone.
            if !matches!(name.as_str(), "loadBalancers" | "serviceRegistries") {
                view.insert(name.clone(), value.clone());
            }
        }
        if let Some(version) = &one.revision.template.platform_version {
            view.insert("platformVersion".into(), json!(version));
            view.insert("platformFamily".into(), json!("Linux"));
        }
        view.insert("rolloutState".into(), json!(one.rollout.as_str()));
        view.insert("rolloutStateReason".into(), json!(one.rollout_reason));
        Value::Object(view)
    }

    pub(super) fn task_set(&self, one: &Deployment, desired: u32) -> Value {
        let running = self.count(&one.id, "RUNNING");
        let steady = usize::try_from(desired) == Ok(running);
        let mut view = Map::new();
        view.insert("id".into(), json!(one.id));
        let arn = self.arn.replacen(":service/", ":task-set/", 1);
        view.insert("taskSetArn".into(), json!(format!("{arn}/{}", one.id)));
        view.insert("serviceArn".into(), json!(self.arn));
        view.insert("clusterArn".into(), json!(self.cluster_arn));
        let starter = if self.controller == Controller::CodeDeploy { "CODE_DEPLOY" } else { "EXTERNAL" };
        view.insert("startedBy".into(), json!(starter));
        view.insert("status".into(), json!("PRIMARY"));
        view.insert("taskDefinition".into(), json!(one.revision.template.task_definition));
        view.insert("computedDesiredCount".into(), json!(desired));
        view.insert("pendingCount".into(), json!(self.count(&one.id, "PENDING")));
        view.insert("runningCount".into(), json!(running));
        view.insert("createdAt".into(), epoch(one.created_at));
        view.insert("updatedAt".into(), epoch(one.updated_at));
        for (name, value) in one.revision.members.iter().filter(|(name, _)| !OF_DEPLOYMENTS.contains(&name.as_str())) {
            view.insert(name.clone(), value.clone());
        }
        view.insert("scale".into(), json!({ "value": 100.0, "unit": "PERCENT" }));
        view.insert("stabilityStatus".into(), json!(if steady { "STEADY_STATE" } else { "STABILIZING" }));
        view.insert("stabilityStatusAt".into(), epoch(one.updated_at));
        view.insert("tags".into(), json!([]));
        Value::Object(view)
    }

    fn current_revisions(&self, desired: u32) -> Value {
        self.deployments
            .iter()
            .enumerate()
            .map(|(place, one)| {
                let live = self.live(&one.id).count();
                json!({
                    "arn": one.revision.arn,
                    "requestedTaskCount": if place == 0 { usize::try_from(desired).unwrap_or(usize::MAX) } else { live },
                    "runningTaskCount": self.count(&one.id, "RUNNING"),
                    "pendingTaskCount": self.count(&one.id, "PENDING"),
                })
            })
            .collect()
    }

    /// Whether any task has not stopped yet.
    pub(super) fn has_tasks(&self) -> bool {
        self.tasks.values().any(|task| task.status != LastStatus::Stopped)
    }
}
