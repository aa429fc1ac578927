//! The words of a move: what it is about, what it does, what it sends, what keeps it off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ClusterArn, Reason, ServiceArn, Timestamp};

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Resource {
    /// A service.
    Service(ServiceArn),
    /// A cluster.
    Cluster(ClusterArn),
}

impl Resource {
    /// The ARN's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Service(arn) => arn.as_str(),
            Self::Cluster(arn) => arn.as_str(),
        }
    }

    /// What people read.
    #[must_use]
    pub fn short(&self) -> &str {
        match self {
            Self::Service(arn) => arn.short(),
            Self::Cluster(arn) => arn.name(),
        }
    }

    /// The service, if it is one.
    #[must_use]
    pub const fn service(&self) -> Option<&ServiceArn> {
        match self {
            Self::Service(arn) => Some(arn),
            Self::Cluster(_) => None,
        }
    }
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// A service to another task definition revision.
    Revision,
    /// A service setting that starts a deployment.
    DeployingSetting,
    /// A service setting that starts none.
    QuietSetting,
    /// A cluster's settings or configuration.
    ClusterSetting,
}

/// The documents of a revision change, by hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Documents {
    /// The input that would make the old revision again.
    pub previous: String,
    /// The input to register.
    pub wanted: String,
}

/// The members of UpdateService, UpdateCluster or UpdateClusterSettings that a setting change sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// To make the change.
    pub forward: Map<String, Value>,
    /// To take it back.
    pub back: Map<String, Value>,
}

/// One wave of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveRecord {
    /// Its name.
    pub name: String,
    /// How long it is watched, in seconds.
    pub bake_seconds: u64,
    /// Changes at once.
    pub max_in_flight: u32,
    /// Failures it may have and the next still start.
    pub max_failures: usize,
    /// Resources it was planned with: so many are to be proved before the next begins.
    #[serde(default)]
    pub size: usize,
    /// Its members were chosen by a `where`: others cannot take their places.
    #[serde(default)]
    pub selective: bool,
}

/// A fix that stays off a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Off what.
    pub resource: Resource,
    /// The fix, by its hash; `*` for every fix.
    pub fix: String,
    /// The policy it belongs to; `*` for every policy.
    pub policy: String,
    /// Why.
    pub reason: Reason,
    /// The rollout it comes from, if any.
    pub rollout: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Hold {
    /// Whether it holds `fix` off at `now`.
    #[must_use]
    pub fn covers(&self, fix: &str, now: Timestamp) -> bool {
        (self.fix == "*" || self.fix == fix) && self.until.is_none_or(|until| now < until)
    }
}
