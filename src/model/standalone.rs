//! What runs, or could, without any service: seen only where somebody looks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::packed::PackedDefinition;
use super::spec::LaunchType;
use super::{ClusterArn, Observed, TaskDefinitionArn};

/// Running tasks of one revision in one cluster that no service started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandaloneTasks {
    /// Where they run.
    pub cluster: ClusterArn,
    /// What they run.
    pub revision: TaskDefinitionArn,
    /// How many there are.
    pub tasks: usize,
    /// The group of one of them: `family:…`, unless whoever ran it named another.
    pub group: String,
    /// Who started it, where that was said.
    pub started_by: Option<String>,
    /// Where they run, if all are told alike.
    pub launch_type: Option<LaunchType>,
}

/// Running tasks of one of ECS's managed daemons in one cluster. What they run is no task definition, but one of its own kind
/// (botocore ecs/2014-11-13 `DaemonTaskDefinition`): nothing of it can be judged or changed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonTasks {
    /// Where they run.
    pub cluster: ClusterArn,
    /// The ARN of the daemon task definition that they run.
    pub definition: String,
    /// How many there are.
    pub tasks: usize,
}

/// All that was found outside of services.
#[derive(Debug, Clone, Default)]
pub struct Standalone {
    /// By cluster and revision.
    pub tasks: Vec<StandaloneTasks>,
    /// By cluster and daemon task definition.
    pub daemons: Vec<DaemonTasks>,
    /// Of every revision that those tasks run.
    pub definitions: BTreeMap<TaskDefinitionArn, Observed<Arc<PackedDefinition>>>,
    /// The latest ACTIVE revision of families that neither a service nor any of those tasks uses.
    pub families: BTreeMap<String, Observed<Arc<PackedDefinition>>>,
    /// What could not be seen, in sentences.
    pub gaps: Vec<String>,
}
