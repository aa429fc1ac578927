//! Live state: what was seen, when, and what could not be seen.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::packed::{PackedDefinition, PackedService};
use super::spec::LaunchType;
use super::wire::OF_DEPLOYMENTS;
use super::{ClusterArn, ServiceArn, ServiceDeploymentArn, TargetId, TaskArn, TaskDefinitionArn, Timestamp};

/// Something we looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Observed<T> {
    /// Seen at the given time.
    Known {
        /// What was seen.
        value: T,
        /// When.
        at: Timestamp,
    },
    /// ECS answered, and there is none.
    Absent {
        /// When.
        at: Timestamp,
    },
    /// We could not look. Never a pass, and never grounds to act.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// Why not: an error's text, without secrets.
        why: String,
    },
}

impl<T> Observed<T> {
    /// What was seen, if anything.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Absent { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// All that was observed in one target.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Whose it is.
    pub target: TargetId,
    /// When the observation began.
    pub at: Timestamp,
    /// By ARN.
    pub clusters: BTreeMap<ClusterArn, Observed<Cluster>>,
    /// By ARN. A service that was listed but could not be described is `Unknown`.
    pub services: BTreeMap<ServiceArn, Observed<Arc<PackedService>>>,
    /// Of the revisions that services name, those that were described: not of a service of which everything is known
    /// without.
    pub task_definitions: BTreeMap<TaskDefinitionArn, Observed<Arc<PackedDefinition>>>,
    /// The latest ACTIVE revision of the families that plans are about. `Absent`: no ACTIVE one is left.
    pub latest: BTreeMap<String, Observed<Latest>>,
    /// Images that run, container name to digest, of services whose running revision tells. Read only where a policy asks, or
    /// a strategy pins them.
    pub running: BTreeMap<ServiceArn, Value>,
    /// The capacity providers of the target. `None`: no policy asks for them, so nobody looked.
    pub capacity_providers: Option<Observed<Vec<CapacityProvider>>>,
    /// What could not be listed, in sentences: then nobody can say that these are all services.
    pub gaps: Vec<String>,
}

impl Fleet {
    /// The services that could be described.
    pub fn known(&self) -> impl Iterator<Item = (&ServiceArn, &Arc<PackedService>)> {
        self.services.iter().filter_map(|(arn, observed)| Some((arn, observed.known()?)))
    }

    /// A service in full, if it could be described.
    #[must_use]
    pub fn service(&self, arn: &ServiceArn) -> Option<Service> {
        self.services.get(arn)?.known()?.read().ok()
    }
}

/// The latest revision of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// Which one.
    pub arn: TaskDefinitionArn,
    /// The whole of it.
    pub definition: Arc<PackedDefinition>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its identity.
    pub arn: ClusterArn,
    /// As ECS described it, with settings, configuration and tags.
    pub document: Arc<Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A capacity provider.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityProvider {
    /// Its ARN.
    pub arn: String,
    /// As ECS described it.
    pub document: Arc<Value>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// One of the task sets of a service whose deployments CodeDeploy or somebody's own controller makes.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSet {
    /// Its ARN.
    pub arn: String,
    /// The revision that its tasks run.
    pub task_definition: Option<TaskDefinitionArn>,
    /// As ECS described it.
    pub document: Arc<Value>,
    /// Its tags; `None` where ECS does not show them.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Who controls the service's deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentController {
    /// ECS itself; also where the member is absent.
    Ecs,
    /// AWS CodeDeploy.
    CodeDeploy,
    /// Somebody's own, through task sets.
    External,
}

/// Whether a service runs a number of tasks or one an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulingStrategy {
    /// So many tasks as desired.
    Replica,
    /// One task an instance.
    Daemon,
}

/// How ECS replaces tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentConfiguration {
    /// `minimumHealthyPercent`.
    pub minimum_percent: u32,
    /// `maximumPercent`.
    pub maximum_percent: u32,
    /// `ROLLING`, `BLUE_GREEN`, `LINEAR` or `CANARY`.
    pub strategy: String,
    /// Whether a failing deployment is ended by ECS.
    pub circuit_breaker: bool,
    /// Whether ECS then goes back.
    pub circuit_breaker_rollback: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name. Its identity is this *and* `created_at`: a service may be deleted and created again.
    pub arn: ServiceArn,
    /// Where it lives.
    pub cluster: ClusterArn,
    /// When it was created.
    pub created_at: Timestamp,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The revision that new tasks get. `None`: EXTERNAL services name it in task sets.
    pub task_definition: Option<TaskDefinitionArn>,
    /// Tasks wanted.
    pub desired_count: u32,
    /// Tasks running.
    pub running_count: u32,
    /// Tasks starting.
    pub pending_count: u32,
    /// Where its tasks run; `None` where neither a launch type nor a known capacity provider says.
    pub launch_type: Option<LaunchType>,
    /// Who controls its deployments.
    pub controller: DeploymentController,
    /// How many tasks.
    pub scheduling: SchedulingStrategy,
    /// How ECS replaces tasks.
    pub configuration: DeploymentConfiguration,
    /// Its deployments, the PRIMARY one first.
    pub deployments: Vec<Deployment>,
    /// Its task sets, where its controller is not ECS.
    pub task_sets: Vec<TaskSet>,
    /// Whether ECS itself manages it (`resourceManagementType: ECS`).
    pub managed_by_ecs: bool,
    /// The service deployment in progress, if ECS tells.
    pub current_deployment: Option<ServiceDeploymentArn>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// As ECS described it.
    pub document: Arc<Value>,
}

impl Service {
    /// The deployment that new tasks belong to.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }

    /// The one service revision that it runs. None while it runs two, and on servers that show none.
    #[must_use]
    pub fn current_revision(&self) -> Option<&str> {
        match self.document.get("currentServiceRevisions")?.as_array()?.as_slice() {
            [one] => one.get("arn")?.as_str(),
            _ => None,
        }
    }

    /// What is set on it: its document without ECS's own words and records, but for the settings that a deployment brings.
    /// Older deployments have theirs until they have drained.
    #[must_use]
    pub fn settings(&self) -> Value {
        let mut document = self.document.as_ref().clone();
        if let Some(members) = document.as_object_mut() {
            members.retain(|name, _| !["events", "taskSets"].contains(&name.as_str()));
            let deployments = members.get_mut("deployments").and_then(Value::as_array_mut).into_iter().flatten();
            for deployment in deployments.filter_map(Value::as_object_mut) {
                deployment.retain(|name, _| OF_DEPLOYMENTS.contains(&name.as_str()));
            }
        }
        document
    }

    /// Every revision that it names: its own, and those of its task sets.
    pub fn task_definitions(&self) -> impl Iterator<Item = &TaskDefinitionArn> {
        self.task_definition.iter().chain(self.task_sets.iter().filter_map(|set| set.task_definition.as_ref()))
    }
}

/// One of a service's `deployments[]`: what every ECS tells of a rolling deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// `ecs-svc/…`: what its tasks carry as `startedBy`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub status: String,
    /// The revision it brings.
    pub task_definition: TaskDefinitionArn,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`; absent behind a Classic Load Balancer.
    pub rollout_state: Option<String>,
    /// Why, in ECS's words.
    pub rollout_state_reason: Option<String>,
    /// Tasks wanted.
    pub desired_count: u32,
    /// Tasks running.
    pub running_count: u32,
    /// Tasks starting.
    pub pending_count: u32,
    /// *Consecutive* failures; back to 0 once a task runs, so 0 proves nothing.
    pub failed_tasks: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A service deployment: ECS's own record of one move, with an unambiguous end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDeployment {
    /// Its identity.
    pub arn: ServiceDeploymentArn,
    /// `PENDING`, `IN_PROGRESS`, `STOP_REQUESTED`, `ROLLBACK_REQUESTED`, `ROLLBACK_IN_PROGRESS`, `SUCCESSFUL`, `STOPPED`,
    /// `ROLLBACK_SUCCESSFUL` or `ROLLBACK_FAILED`.
    pub status: String,
    /// Why, in ECS's words.
    pub status_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The service revisions it came from.
    pub source_revisions: Vec<String>,
    /// The service revision it goes to.
    pub target_revision: Option<String>,
    /// Where a blue/green, linear or canary deployment stands, such as `BAKE_TIME`.
    pub lifecycle_stage: Option<String>,
    /// Whether a lifecycle hook is being waited for.
    pub hook_waiting: bool,
}

/// A service revision: what a service deployment brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRevision {
    /// Its ARN.
    pub arn: String,
    /// The task definition.
    pub task_definition: TaskDefinitionArn,
    /// Container name → image digest.
    pub image_digests: BTreeMap<String, String>,
}

/// A task of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its identity.
    pub arn: TaskArn,
    /// What it runs.
    pub task_definition: TaskDefinitionArn,
    /// Where it stands, such as `RUNNING`.
    pub last_status: String,
    /// Where it should go: `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health: String,
    /// The deployment it belongs to: `ecs-svc/…`.
    pub started_by: Option<String>,
    /// `ServiceSchedulerInitiated`, `SpotInterruption`, `EssentialContainerExited`, …
    pub stop_code: Option<String>,
    /// Why, in ECS's words.
    pub stopped_reason: Option<String>,
    /// When it stopped.
    pub stopped_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether it allows ECS Exec, where that is shown.
    pub execute_command: Option<bool>,
    /// Container name → image digest.
    pub image_digests: BTreeMap<String, String>,
}

/// A revision of a task definition, as ECS described it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDefinition {
    /// Its identity.
    pub arn: TaskDefinitionArn,
    /// `ACTIVE`, `INACTIVE` or `DELETE_IN_PROGRESS`.
    pub status: String,
    /// The principal that registered it.
    pub registered_by: Option<String>,
    /// When it was registered.
    pub registered_at: Option<Timestamp>,
    /// The whole of `taskDefinition`, in ECS's order, and the sibling `tags` after it, if there are any: as policies see it, and as
    /// RegisterTaskDefinition takes it, so that fixes can edit them.
    pub document: Value,
}

impl TaskDefinition {
    /// Its members. ECS's document is an object; what is none has no members.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.document.as_object().unwrap_or(&NONE)
    }

    /// Its tags, in ECS's order.
    #[must_use]
    pub fn tags(&self) -> &[Value] {
        self.members().get("tags").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Its tags, by key.
    #[must_use]
    pub fn tags_by_key(&self) -> BTreeMap<String, String> {
        let text = |tag: &Value, member: &str| tag.get(member).and_then(Value::as_str).unwrap_or("").to_owned();
        self.tags().iter().map(|tag| (text(tag, "key"), text(tag, "value"))).collect()
    }
}
