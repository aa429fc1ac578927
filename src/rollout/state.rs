//! The states of a Change and of a Rollout. Each owns its data and its deadline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Reason, ReasonCode, ServiceDeploymentArn, TaskDefinitionArn, Timestamp};

/// How far a change has come. Serialised with `phase` as its tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all_fields = "camelCase")]
pub enum State {
    /// Its turn has not come.
    Pending,
    /// Its revision is being registered, or was and the service has not been told.
    Registering {
        /// Since when.
        since: Timestamp,
    },
    /// ECS is being told. This is the intent: it is recorded before the call.
    Updating {
        /// The revision it moves to; for a setting, the revision it has.
        to: Option<TaskDefinitionArn>,
        /// The PRIMARY deployment right before the call.
        before: Option<String>,
        /// When the call was intended.
        intent: Timestamp,
    },
    /// ECS replaces tasks.
    Stabilizing {
        /// The revision it moves to.
        to: Option<TaskDefinitionArn>,
        /// Our deployment, `ecs-svc/…`.
        deployment: String,
        /// When it was intended: service deployments made earlier are not ours.
        intent: Timestamp,
        /// How far it got, and when.
        progress: Progress,
    },
    /// Every task is ours; watched until `steady_since` is long enough ago.
    Verifying {
        /// The revision it moved to.
        to: Option<TaskDefinitionArn>,
        /// Our deployment, `ecs-svc/…`.
        deployment: String,
        /// When it was intended.
        intent: Timestamp,
        /// Since when every running task is ours.
        steady_since: Timestamp,
        /// How far it got, and when.
        progress: Progress,
    },
    /// Proved on running tasks.
    Succeeded {
        /// When.
        at: Timestamp,
        /// Our deployment; none for a setting that starts none.
        deployment: Option<String>,
    },
    /// Moved, but nothing runs that could prove it.
    Unverified {
        /// When.
        at: Timestamp,
        /// Our deployment.
        deployment: Option<String>,
        /// Why it cannot be told.
        reason: Reason,
    },
    /// Being taken back.
    RollingBack {
        /// Why.
        cause: Reason,
        /// Our deployment: only while it is the primary one is there anything to take back. None where no reply said
        /// which it is, and for settings that start none.
        deployment: Option<String>,
        /// When our deployment was intended.
        intent: Timestamp,
        /// How far.
        back: Back,
    },
    /// Taken back, and verified to be.
    RolledBack {
        /// Why.
        cause: Reason,
        /// When.
        at: Timestamp,
        /// The deployment that brought back what was there before, where one did: an earlier change of ours that made that
        /// can be taken back from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deployment: Option<String>,
    },
    /// It failed, and could not be proved to be taken back.
    Failed {
        /// What went wrong first.
        cause: Reason,
        /// Why taking it back could not be proved.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// The revision that ECS made is not the one that was asked for. No service moved.
    Quarantined {
        /// What differs.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// Not possible until somebody changes something.
    Blocked {
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// Dropped before it began; the next plan looks again.
    Deferred {
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// Somebody deployed over it. Not a failure; left alone and evaluated anew.
    Overtaken {
        /// What was seen.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// We deployed over somebody, and our deployment is under way: it is watched to its end, and takes a place until then.
    Clobbering {
        /// What was seen.
        reason: Reason,
        /// The revision it moves to; for a setting, none.
        to: Option<TaskDefinitionArn>,
        /// Our deployment, `ecs-svc/…`.
        deployment: String,
        /// When it was intended.
        intent: Timestamp,
        /// How far it got, and when.
        progress: Progress,
    },
    /// We deployed over somebody: between our last look and our write, another deployment began.
    Clobbered {
        /// What was seen.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// The service was deleted.
    Gone {
        /// When that was seen.
        at: Timestamp,
    },
}

impl State {
    /// When the call was intended that the state is the intent of, if it is one that starts something: it may have been made.
    #[must_use]
    pub fn intended(&self) -> Option<Timestamp> {
        match self {
            Self::Updating { intent, .. } | Self::RollingBack { back: Back::Updating { intent, .. }, .. } => {
                Some(*intent)
            }
            _ => None,
        }
    }

    /// When ECS was, or may have been, told what this state is waiting for to be seen.
    #[must_use]
    pub const fn told_at(&self) -> Option<Timestamp> {
        match self {
            Self::Updating { intent, .. }
            | Self::RollingBack { back: Back::Stopping { intent, .. } | Back::Updating { intent, .. }, .. } => {
                Some(*intent)
            }
            _ => None,
        }
    }

    /// Whether coming from `before` is worth telling: it is another phase, or somebody's deployment was gone over once more.
    #[must_use]
    pub fn is_entered_from(&self, before: &Self) -> bool {
        let once_more =
            matches!((before, self), (Self::Clobbered { at: was, .. }, Self::Clobbered { at, .. }) if was != at);
        self.phase() != before.phase() || once_more
    }

    /// Why it is what it is, where that needs a reason.
    #[must_use]
    pub fn why(&self) -> Option<Reason> {
        match self {
            Self::Unverified { reason, .. }
            | Self::Failed { reason, .. }
            | Self::Quarantined { reason, .. }
            | Self::Blocked { reason, .. }
            | Self::Deferred { reason, .. }
            | Self::Overtaken { reason, .. }
            | Self::Clobbering { reason, .. }
            | Self::Clobbered { reason, .. } => Some(reason.clone()),
            Self::RollingBack { cause, .. } | Self::RolledBack { cause, .. } => Some(cause.clone()),
            Self::Gone { .. } => {
                let message = "it was deleted, or deleted and created again, since the plan";
                Some(Reason::of(ReasonCode::Gone, message))
            }
            Self::Pending
            | Self::Registering { .. }
            | Self::Updating { .. }
            | Self::Stabilizing { .. }
            | Self::Verifying { .. }
            | Self::Succeeded { .. } => None,
        }
    }
}

/// How far taking back has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all_fields = "camelCase")]
pub enum Back {
    /// To be looked at: how is it best taken back?
    Deciding,
    /// ECS would not stop our deployment: the previous revision replaces it instead.
    Replacing,
    /// ECS is being told to stop our deployment and go back. Recorded before the call.
    Stopping {
        /// Our service deployment.
        arn: ServiceDeploymentArn,
        /// When the call was intended.
        intent: Timestamp,
    },
    /// ECS is being told to use the previous revision. Recorded before the call.
    Updating {
        /// The revision it goes back to; for a setting, none.
        to: Option<TaskDefinitionArn>,
        /// The PRIMARY deployment right before the call. Empty where the call starts none.
        before: String,
        /// When the call was intended.
        intent: Timestamp,
    },
    /// ECS replaces tasks.
    Watching {
        /// The revision it goes back to.
        to: Option<TaskDefinitionArn>,
        /// How far it got, and when.
        progress: Progress,
        /// Since when all of its tasks are there again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steady_since: Option<Timestamp>,
    },
}

impl Back {
    /// A setting is being set back by a call that starts no deployment, or what is left of one that ECS took back.
    #[must_use]
    pub const fn quietly(intent: Timestamp) -> Self {
        Self::Updating { to: None, before: String::new(), intent }
    }

    /// Whether the call starts no deployment. Told by a deployment that is empty, as quiet settings have always been recorded: a
    /// step of its own could not be read by an earlier version.
    #[must_use]
    pub const fn starts_none(&self) -> bool {
        matches!(self, Self::Updating { before, .. } if before.is_empty())
    }
}

/// The best that was seen of a move, so that "no progress" cannot be fooled by tasks that come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The most tasks that ran on the new side.
    pub moved: usize,
    /// The fewest that were left on the old side.
    pub left: usize,
    /// When either last got better.
    pub at: Timestamp,
}

impl Progress {
    /// Nothing seen yet.
    #[must_use]
    pub const fn start(now: Timestamp) -> Self {
        Self { moved: 0, left: usize::MAX, at: now }
    }

    /// With what is seen now. `at` moves only when it is better than ever before.
    #[must_use]
    pub fn seen(self, moved: usize, left: usize, now: Timestamp) -> Self {
        let better = moved > self.moved || left < self.left;
        Self { moved: moved.max(self.moved), left: left.min(self.left), at: if better { now } else { self.at } }
    }
}

macro_rules! phases {
    ($($name:ident),*) => {
        /// The name of a change's state.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[expect(missing_docs, reason = "as in `State`")]
        pub enum Phase { $($name,)* }

        impl Phase {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in reports and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }

        impl State {
            /// The state's name.
            #[must_use]
            pub const fn phase(&self) -> Phase {
                match self { $(Self::$name { .. } => Phase::$name,)* }
            }
        }
    };
}

phases!(
    Pending,
    Registering,
    Updating,
    Stabilizing,
    Verifying,
    Succeeded,
    Unverified,
    RollingBack,
    RolledBack,
    Failed,
    Quarantined,
    Blocked,
    Deferred,
    Overtaken,
    Clobbering,
    Clobbered,
    Gone
);

impl Phase {
    /// Nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Pending
                | Self::Registering
                | Self::Updating
                | Self::Stabilizing
                | Self::Verifying
                | Self::RollingBack
                | Self::Clobbering
        )
    }

    /// It may be deploying: what `maxInFlight` counts.
    #[must_use]
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::Updating | Self::Stabilizing | Self::Verifying | Self::RollingBack | Self::Clobbering)
    }
}

/// How far a rollout has come. Serialised with `phase` as its tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "phase", rename_all_fields = "camelCase")]
pub enum RolloutState {
    /// Waits for a person's approval.
    Proposed {
        /// Why it needs one.
        reason: Reason,
    },
    /// May begin as soon as windows and freezes let it.
    Scheduled,
    /// A wave is under way.
    Progressing {
        /// Which, from 0.
        wave: usize,
    },
    /// A wave has landed and is being watched.
    Baking {
        /// Which, from 0.
        wave: usize,
        /// Until when.
        until: Timestamp,
    },
    /// Nothing more starts until a person says so.
    Paused {
        /// The wave that is under way.
        wave: usize,
        /// Why.
        reason: Reason,
    },
    /// All that was changed is being taken back.
    RollingBack {
        /// Why.
        cause: Reason,
        /// When a person asked for it, if one did: what could not be taken back before then is tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_at: Option<Timestamp>,
    },
    /// All that was changed has been taken back.
    RolledBack {
        /// Why.
        cause: Reason,
        /// When.
        at: Timestamp,
    },
    /// Every change that could be made has been proved.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// What was changed runs no task, so nothing has been proved. Judged again when tasks run.
    Unverified {
        /// Why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// It ended with failures.
    Failed {
        /// Which.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// A person ended it where it was.
    Aborted {
        /// Who and why.
        reason: Reason,
        /// When.
        at: Timestamp,
    },
    /// The policies no longer ask for any of it.
    Superseded {
        /// When.
        at: Timestamp,
    },
}

impl RolloutState {
    /// The state's name.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match self {
            Self::Proposed { .. } => "Proposed",
            Self::Scheduled => "Scheduled",
            Self::Progressing { .. } => "Progressing",
            Self::Baking { .. } => "Baking",
            Self::Paused { .. } => "Paused",
            Self::RollingBack { .. } => "RollingBack",
            Self::RolledBack { .. } => "RolledBack",
            Self::Succeeded { .. } => "Succeeded",
            Self::Unverified { .. } => "Unverified",
            Self::Failed { .. } => "Failed",
            Self::Aborted { .. } => "Aborted",
            Self::Superseded { .. } => "Superseded",
        }
    }

    /// Nothing more happens by itself, and no person can make it go on.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::RolledBack { .. }
                | Self::Succeeded { .. }
                | Self::Unverified { .. }
                | Self::Failed { .. }
                | Self::Aborted { .. }
                | Self::Superseded { .. }
        )
    }

    /// The wave that is under way, from 0.
    #[must_use]
    pub const fn wave(&self) -> Option<usize> {
        match self {
            Self::Progressing { wave } | Self::Baking { wave, .. } | Self::Paused { wave, .. } => Some(*wave),
            _ => None,
        }
    }
}
