//! What is kept of a campaign: Rollout, Change, Registration.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::alarm::AlarmWatch;
use super::change::READ_LAG;
use super::late::{LATE_CALLS, Unheard};
use super::new_tasks;
use super::state::{Phase, RolloutState, State};
use crate::model::change::{ChangeKind, Documents, Resource, Setting, WaveRecord};
use crate::model::spec::StrategySpec;
use crate::model::{
    ClusterArn, DiffEntry, PutBack, Reason, ReasonCode, Registered, TargetId, TaskDefinitionArn, Timestamp,
};

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
    /// When it entered the phase, or the wave, that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// Why it stands where it stands, as last seen.
    pub waiting: Option<Reason>,
    /// The Command that was last carried out on it: read again after a crash, it is answered and not repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_out: Option<String>,
    /// When a person last asked to try its fixes again: how often they were put back before counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Timestamp>,
    /// Its alarms, as last looked at.
    #[serde(default, skip_serializing_if = "AlarmWatch::is_empty")]
    pub alarms: AlarmWatch,
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
    /// The names of the changes that failed, or proved nothing, and that a person has resumed over: they stop it no more.
    #[serde(default)]
    pub accepted_failures: Vec<String>,
    /// The names of the changes that could not be looked at, and that a person has resumed over: that stops it no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_unseen: Vec<String>,
    /// Its waves, with how many resources each was planned with.
    pub waves: Vec<WaveRecord>,
    /// The Command by which a person asked for exactly these changes: what else the plan has by now is no reason to
    /// make it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
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
    /// Calls for it that may still arrive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<Unheard>,
    /// The deployment that stood on the service when the change was given up: one that is there later began since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood: Option<String>,
    /// How often ECS was told, in the phase that it is in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
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
    /// The hash of what is edited, each by what it is done to, and into what: what an approval is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edits: Option<String>,
    /// For a revision: the hash of the input to register, and of the one that would make the old revision again.
    pub documents: Option<Documents>,
    /// For a revision: the image digests of the deployment that it replaces, by container, as far as its tasks told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ran: BTreeMap<String, String>,
    /// For a setting: the members to send, there and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<Setting>,
    /// The fixes it brings.
    pub fixes: Vec<String>,
    /// The policies that ask for it.
    pub policies: Vec<String>,
    /// Its wave, from 0.
    pub wave: usize,
    /// For a revision: who registered the one it comes from.
    #[serde(default)]
    pub registered: Registered,
    /// Each time, of late, that somebody put the violation back before this change was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_back: Vec<PutBack>,
}

impl Change {
    /// Moves to `state`, and says so in the history if it is another phase.
    pub fn enter(&mut self, state: State, reason: Option<Reason>, now: Timestamp) {
        let (phase, reason) = (state.phase(), reason.or_else(|| state.why()));
        if state.is_entered_from(&self.state) {
            self.history.push(HistoryEntry { at: now, phase, reason });
            self.waiting = None;
            self.told = 0;
            // What may still arrive is watched for from each turn that the change takes.
            self.unheard.retain(|call| call.until > now);
            for call in &mut self.unheard {
                call.until = now + LATE_CALLS;
            }
        }
        if state.told_at().is_some_and(|told_at| self.state.told_at() != Some(told_at)) {
            self.told += 1;
        }
        self.state = state;
    }

    /// Whether ECS has been told, over and over, for as long as `timeout`, and nothing came of it. Time in which it was
    /// told nothing, for a freeze say, does not count.
    #[must_use]
    pub fn told_in_vain(&self, timeout: Duration) -> bool {
        READ_LAG.saturating_mul(self.told) >= timeout
    }

    /// When it entered the phase it is in.
    #[must_use]
    pub fn entered(&self) -> Option<Timestamp> {
        self.history.last().map(|entry| entry.at)
    }

    /// When it last entered that phase, if it ever did.
    #[must_use]
    pub fn last_entered(&self, phase: Phase) -> Option<Timestamp> {
        self.history.iter().rev().find(|entry| entry.phase == phase).map(|entry| entry.at)
    }

    /// Whether it failed: it went wrong, and not because a person took it back, or a call came late.
    ///
    /// What failed and was then deployed over, or deleted, while it was being taken back, has failed all the same.
    #[must_use]
    pub fn failed(&self) -> bool {
        match &self.state {
            State::RollingBack { cause, .. } | State::RolledBack { cause, .. } | State::Failed { cause, .. } => {
                !matches!(cause.code, ReasonCode::UndoneByPerson | ReasonCode::LateCall)
            }
            State::Quarantined { .. } | State::Clobbering { .. } | State::Clobbered { .. } => true,
            State::Overtaken { .. } | State::Gone { .. } => self.was_being_taken_back(),
            State::Pending
            | State::Registering { .. }
            | State::Updating { .. }
            | State::Stabilizing { .. }
            | State::Verifying { .. }
            | State::Succeeded { .. }
            | State::Unverified { .. }
            | State::Blocked { .. }
            | State::Deferred { .. } => false,
        }
    }

    /// Since it last began: it was being taken back, and nobody had asked for that.
    fn was_being_taken_back(&self) -> bool {
        let latest = self.history.iter().rev().take_while(|entry| entry.phase != Phase::Pending);
        latest.filter(|entry| entry.phase == Phase::RollingBack).any(|entry| {
            let code = entry.reason.as_ref().map(|reason| reason.code);
            !matches!(code, Some(ReasonCode::UndoneByPerson | ReasonCode::LateCall))
        })
    }

    /// Whether it is on its way to what the policies want. What is only being registered has not touched its resource.
    #[must_use]
    pub const fn goes_forward(&self) -> bool {
        matches!(self.state, State::Updating { .. } | State::Stabilizing { .. } | State::Verifying { .. })
    }

    /// Why it cannot be told how it is, while it is in flight.
    #[must_use]
    pub fn unseen(&self) -> Option<&Reason> {
        let waiting = self.waiting.as_ref().filter(|_| self.state.phase().is_in_flight());
        waiting.filter(|waiting| waiting.code == ReasonCode::NotObserved)
    }

    /// Whether it was dropped because the policies ask for something else by now.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        matches!(&self.state, State::Deferred { reason, .. } if reason.code == ReasonCode::Superseded)
    }

    /// Whether it could not be taken back, and nobody has tried since then.
    #[must_use]
    pub fn has_not_been_tried_since(&self, asked_at: Timestamp) -> bool {
        let tried = self.last_entered(Phase::RollingBack);
        matches!(self.state, State::Failed { .. }) && tried.is_none_or(|tried| tried < asked_at)
    }

    /// How often its resource was told to move since then. What is known not to have been called was no move.
    #[must_use]
    pub fn moves_since(&self, since: Timestamp) -> usize {
        let told = |(place, entry): &(usize, &HistoryEntry)| {
            let next = self.history.get(place + 1).map(|next| next.phase);
            entry.phase == Phase::Updating
                && entry.at > since
                && !matches!(next, Some(Phase::Pending | Phase::Registering))
        };
        self.history.iter().enumerate().filter(told).count()
    }

    /// Whether it was to be taken back, and was left alone because somebody had deployed since.
    #[must_use]
    pub fn moved_on(&self) -> bool {
        matches!(&self.state, State::Overtaken { reason, .. } if reason.code == ReasonCode::MovedOn)
    }

    /// Whether it stands, and all is known of it that a wave can wait for: what only new tasks pick up was read back, and
    /// whoever runs the service replaces its tasks.
    #[must_use]
    pub fn proved(&self) -> bool {
        matches!(self.state, State::Succeeded { .. }) || new_tasks::is_waited_for(self)
    }

    /// Whether it has moved its resource and stands.
    #[must_use]
    pub const fn stands(&self) -> bool {
        matches!(self.state, State::Succeeded { .. } | State::Unverified { .. })
    }
}

/// A task definition that is to be made: shared by all changes that want the same, forward or, where `wanted` is the
/// document that `from` itself was made of, back.
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
    /// It was there already, and somebody else's: never deregistered by us.
    #[serde(default)]
    pub adopted: bool,
    /// How far it has come.
    pub state: RegistrationState,
    /// The revision that the reply to the call named, where reads lagged and it could not be proved at once. Somebody may
    /// have registered the very same right before, which a look at the family cannot tell from ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<TaskDefinitionArn>,
    /// The lease epoch under which it was last written.
    pub epoch: u64,
    /// What calls may still make that nobody heard of, and that were made again since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stray: Option<Stray>,
    /// Revisions that ECS was told to make INACTIVE: the one it came to, and those that its calls made beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deregistered: Vec<Deregistration>,
}

impl Registration {
    /// What is known of the deregistration of a revision, if ECS was told.
    #[must_use]
    pub fn deregistration(&self, arn: &TaskDefinitionArn) -> Option<&Deregistration> {
        self.deregistered.iter().find(|known| &known.arn == arn)
    }
}

/// A revision that is to be, or was, deregistered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deregistration {
    /// Which.
    pub arn: TaskDefinitionArn,
    /// When the call was intended. Recorded before it.
    pub intent: Timestamp,
    /// When it was known to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Timestamp>,
}

/// A revision that may come beside the one that a registration came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stray {
    /// Its number is above this one.
    pub above: u32,
    /// It comes before then.
    pub until: Timestamp,
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

impl RegistrationState {
    /// The revision that it came to, whatever became of that.
    #[must_use]
    pub const fn revision(&self) -> Option<&TaskDefinitionArn> {
        match self {
            Self::Registered { arn } | Self::Quarantined { arn, .. } | Self::Deregistered { arn } => Some(arn),
            Self::Intended { .. } | Self::Refused { .. } => None,
        }
    }
}
