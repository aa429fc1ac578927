//! Which services, clusters and families something is about.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that `include` names and `exclude` does not. Omitted means everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// What is in. Empty: everything.
    #[serde(default, skip_serializing_if = "Selector::is_empty")]
    pub include: Selector,
    /// What is out again. Empty: nothing.
    #[serde(default, skip_serializing_if = "Selector::is_empty")]
    pub exclude: Selector,
}

/// Globs by key: the keys are ANDed, the values of one key ORed. A key without values does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Names of clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// Names of services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Families of task definitions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// Account numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// Region names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Where tasks run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub launch_types: Vec<LaunchType>,
    /// Tags of the service (or cluster), by key. An empty list asks for the key with any value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, Vec<String>>,
}

impl Selector {
    /// Whether it names nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where tasks run. A service with a capacity provider strategy has no `launchType`; it is told from its providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    /// AWS Fargate, also by the capacity providers `FARGATE` and `FARGATE_SPOT`.
    Fargate,
    /// The account's own instances.
    Ec2,
    /// ECS Anywhere.
    External,
    /// ECS Managed Instances.
    ManagedInstances,
}
