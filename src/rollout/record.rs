//! What is kept of a campaign: Rollout, Change, Registration, Hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::state::{Phase, RolloutState, State};
use crate::model::spec::StrategySpec;
use crate::model::{ClusterArn, DiffEntry, Reason, ReasonCode, ServiceArn, TargetId, TaskDefinitionArn, Timestamp};

/// One campaign in one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// `STRATEGY-NUMBER`, unique in its target.
    pub name: String,
    /// What was decided when it was made.
    pub spec: RolloutSpec,
    /// How far it has come.
    #[serde(flatten)]
    pub state: RolloutState,
    /// The lease epoch under which it was last written.
    pub epoch: u64,
    /// Waves approved so far (a rollout without approvals needs none).
    pub approved_waves: usize,
    /// When it was made.
    pub created_at: Timestamp,
    /// Why it stands where it stands, as last seen.
    pub waiting: Option<Reason>,
}

/// What a rollout was made to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// Where.
    pub target: TargetId,
    /// The plan it came from.
    pub plan: String,
    /// The strategy's name; `default` where the Binding names none.
    pub strategy_name: String,
    /// The strategy as it was.
    pub strategy: StrategySpec,
    /// The fixes it brings.
    pub fixes: Vec<String>,
    /// How many services the target has: what shares of all are counted from.
    pub services: usize,
    /// Failed changes that a person has resumed over.
    #[serde(default)]
    pub accepted_failures: usize,
    /// The names of its waves, and how many changes each has.
    pub waves: Vec<WaveRecord>,
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
}

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

/// One resource moving from one state to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `ROLLOUT/NUMBER`, in the order of the plan.
    pub name: String,
    /// What was decided.
    pub spec: ChangeSpec,
    /// How far it has come.
    #[serde(flatten)]
    pub state: State,
    /// The lease epoch under which it was last written.
    pub epoch: u64,
    /// Why it stands where it stands, as last seen.
    pub waiting: Option<Reason>,
    /// Every state it was in.
    pub history: Vec<HistoryEntry>,
}

/// A state that a change entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub phase: Phase,
    /// Why, where there is something to say.
    pub reason: Option<Reason>,
}

/// What a change was made to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeSpec {
    /// The rollout it belongs to.
    pub rollout: String,
    /// What it moves.
    pub resource: Resource,
    /// When the resource was created: with the ARN, its identity.
    pub created_at: Timestamp,
    /// The cluster it lives in.
    pub cluster: ClusterArn,
    /// What it does.
    pub kind: ChangeKind,
    /// The revision it comes from.
    pub from: Option<TaskDefinitionArn>,
    /// The revision it goes to; none until registered, and for settings.
    pub to: Option<TaskDefinitionArn>,
    /// Field by field.
    pub diff: Vec<DiffEntry>,
    /// For a revision: the hash of the input to register, and of the one that would make the old revision again.
    pub documents: Option<Documents>,
    /// For a setting: the members to send, there and back.
    pub setting: Option<Setting>,
    /// The fixes it brings.
    pub fixes: Vec<String>,
    /// The policies that ask for it.
    pub policies: Vec<String>,
    /// Its wave, from 0.
    pub wave: usize,
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

impl Change {
    /// Moves to `state`, and says so in the history if it is another phase.
    pub fn enter(&mut self, state: State, reason: Option<Reason>, now: Timestamp) {
        let phase = state.phase();
        if phase != self.state.phase() {
            self.history.push(HistoryEntry { at: now, phase, reason });
            self.waiting = None;
        }
        self.state = state;
    }

    /// Whether it failed: it went wrong, and not because a person took it back.
    #[must_use]
    pub fn failed(&self) -> bool {
        let by_person = match &self.state {
            State::RollingBack { cause, .. } | State::RolledBack { cause, .. } | State::Failed { cause, .. } => {
                cause.code == ReasonCode::UndoneByPerson
            }
            _ => false,
        };
        self.state.phase().is_failure() && !by_person
    }

    /// Whether it has moved its resource and stands.
    #[must_use]
    pub const fn stands(&self) -> bool {
        matches!(self.state, State::Succeeded { .. } | State::Unverified { .. })
    }
}

/// A task definition that is to be made: shared by all changes of a rollout that want the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The family.
    pub family: String,
    /// The revision it is made from.
    pub from: TaskDefinitionArn,
    /// The hash of the input to register.
    pub wanted: String,
    /// The rollout that asked for it first.
    pub rollout: String,
    /// How far it has come.
    pub state: RegistrationState,
    /// The lease epoch under which it was last written.
    pub epoch: u64,
}

/// How far a registration has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all_fields = "camelCase")]
pub enum RegistrationState {
    /// To be made. Recorded before the call.
    Intended {
        /// The family's highest revision number right before.
        last: u32,
        /// When the call was intended.
        at: Timestamp,
    },
    /// Made, and proved to be what was asked for.
    Registered {
        /// The revision.
        arn: TaskDefinitionArn,
    },
    /// Made, but not what was asked for. No service may move to it.
    Quarantined {
        /// The revision.
        arn: TaskDefinitionArn,
        /// What differs.
        reason: Reason,
    },
    /// Not made, and not to be tried again.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// Made, taken back, and deregistered because nothing ran on it any more.
    Deregistered {
        /// The revision.
        arn: TaskDefinitionArn,
    },
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
