//! The words of a move: what it is about, what it does, what it sends, what keeps it off.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ClusterArn, Reason, ServiceArn, TaskDefinitionArn, Timestamp};

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
    /// The service revision whose image digests `wanted` pins; none where it pins nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_from: Option<String>,
    /// Containers whose image both name by the same tag: it may move in between.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tagged: BTreeSet<String>,
    /// Containers whose image the old document names by a tag and the new one otherwise: nothing that we deploy tells
    /// what that tag stands for now.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub untagged: BTreeSet<String>,
    /// A tag has moved since, or may have: `previous` is now the old document with the digests that ran, to be registered though the
    /// old revision is ACTIVE.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
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

/// Who registered a revision, and when, as ECS tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The principal's ARN.
    #[serde(rename = "registeredBy", default)]
    pub by: Option<String>,
    /// When.
    #[serde(rename = "registeredAt", default)]
    pub at: Option<Timestamp>,
}

/// A violation that somebody put back after its fix had landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PutBack {
    /// The revision that brought it; for a setting, the one that ran by then.
    pub revision: Option<TaskDefinitionArn>,
    /// Who registered that.
    #[serde(flatten)]
    pub registered: Registered,
    /// The rollout whose fix had landed before.
    pub rollout: String,
    /// When it had landed.
    pub landed_at: Timestamp,
}

impl PutBack {
    /// What was found, and whose it is: ``  `web:5`, registered by `…` at … ``.
    #[must_use]
    pub fn found(&self) -> String {
        let revision = self.revision.as_ref().map_or("a setting", |revision| revision.short());
        let by = self.registered.by.as_deref().unwrap_or("somebody unknown");
        let at = self.registered.at.map_or_else(String::new, |at| format!(" at {at}"));
        format!("`{revision}`, registered by `{by}`{at}")
    }
}

impl std::fmt::Display for PutBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, after `{}` had landed at {}", self.found(), self.rollout, self.landed_at)
    }
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
    /// Who asked for it: a person, or `plimsoll`. Not there in what was written before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReasonCode;

    #[test]
    fn a_hold_covers_its_fix_until_it_ends() {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let hold = |fix: &str, until: Option<i64>| Hold {
            resource: Resource::Cluster("arn:aws:ecs:eu-west-1:1:cluster/prod".parse().unwrap()),
            fix: fix.to_owned(),
            policy: "*".to_owned(),
            reason: Reason::of(ReasonCode::Held, "so"),
            by: None,
            rollout: None,
            created_at: at(0),
            until: until.map(at),
        };
        for (hold, fix, second, covers) in [
            (hold("a", None), "a", i64::from(u32::MAX), true),
            (hold("a", None), "b", 1, false),
            (hold("*", Some(10)), "b", 9, true),
            (hold("*", Some(10)), "b", 10, false),
            (hold("a", Some(10)), "a", 11, false),
        ] {
            assert_eq!(hold.covers(fix, at(second)), covers, "{hold:?} {fix} {second}");
        }
    }
}
