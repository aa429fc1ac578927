//! What a policy is asked about. Knows nothing of where it was read.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::spec::{LaunchType, ResourceKind};

/// One resource, with what is known around it.
///
/// What is `None` was not observed: an expression that needs it gives `unknown`, never a pass.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What it is.
    pub kind: ResourceKind,
    /// Its document as ECS describes it: for a task definition the inner `taskDefinition`, where its tags may stand among
    /// its members, as RegisterTaskDefinition takes them.
    pub resource: &'a Value,
    /// Its own tags, by key.
    pub tags: Option<&'a BTreeMap<String, String>>,
    /// The service that a task definition is judged for; for a Service policy the service itself is `resource`.
    pub service: Option<&'a Value>,
    /// The cluster around it.
    pub cluster: Option<&'a Value>,
    /// For a task definition, the images that the service's tasks run: container name to digest.
    pub running: Option<&'a Value>,
    /// Where it lives.
    pub target: Option<&'a TargetContext>,
    /// What scopes are matched against.
    pub scope: &'a ScopeKeys,
}

/// What is known around a resource: a [`Subject`] without the resource itself.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in Subject")]
pub struct Surroundings<'a> {
    pub kind: ResourceKind,
    pub service: Option<&'a Value>,
    pub cluster: Option<&'a Value>,
    pub running: Option<&'a Value>,
    pub target: Option<&'a TargetContext>,
    pub scope: &'a ScopeKeys,
}

impl<'a> Subject<'a> {
    /// Without the resource and its tags.
    #[must_use]
    pub const fn surroundings(&self) -> Surroundings<'a> {
        let Self { kind, resource: _, tags: _, service, cluster, running, target, scope } = *self;
        Surroundings { kind, service, cluster, running, target, scope }
    }
}

impl<'a> Surroundings<'a> {
    /// With a resource in their midst.
    #[must_use]
    pub const fn subject(&self, resource: &'a Value, tags: Option<&'a BTreeMap<String, String>>) -> Subject<'a> {
        let Self { kind, service, cluster, running, target, scope } = *self;
        Subject { kind, resource, tags, service, cluster, running, target, scope }
    }
}

/// What expressions see as `target`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetContext {
    /// The account's number.
    pub account: String,
    /// The region's name.
    pub region: String,
    /// The labels of the Target object, if there is one.
    pub labels: BTreeMap<String, String>,
}

/// What is known of the keys that scopes name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeKeys {
    /// The account's number.
    pub account: ScopeKey<String>,
    /// The region's name.
    pub region: ScopeKey<String>,
    /// The cluster's name.
    pub cluster: ScopeKey<String>,
    /// The service's name.
    pub service: ScopeKey<String>,
    /// The task definition's family.
    pub family: ScopeKey<String>,
    /// Where its tasks run.
    pub launch_type: ScopeKey<LaunchType>,
    /// The tags of the service (or cluster).
    pub tags: ScopeTags,
}

/// One key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ScopeKey<T> {
    /// Its value.
    Known(T),
    /// There is none: a cluster has no service. Never matches what a scope asks for.
    Absent,
    /// It could not be told, as offline.
    #[default]
    Unknown,
}

impl<T> ScopeKey<T> {
    pub(super) fn map<U>(&self, with: impl FnOnce(&T) -> U) -> ScopeKey<U> {
        match self {
            Self::Known(value) => ScopeKey::Known(with(value)),
            Self::Absent => ScopeKey::Absent,
            Self::Unknown => ScopeKey::Unknown,
        }
    }
}

/// What is known of the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeTags {
    /// All of them.
    Known(BTreeMap<String, String>),
    /// These, and maybe others: what `--assume tags.KEY=VALUE` says.
    Partly(BTreeMap<String, String>),
}

impl Default for ScopeTags {
    fn default() -> Self {
        Self::Partly(BTreeMap::new())
    }
}
