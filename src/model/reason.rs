//! Why nothing (or not more) happened, as data: the same value in plans, conditions, logs and pages.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Why something stands as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// For machines.
    pub code: ReasonCode,
    /// For people: one sentence that names what it is about.
    pub message: String,
    /// Until when, where that can be told.
    pub until: Option<Timestamp>,
}

impl Reason {
    /// A reason without an end in sight.
    pub fn of(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), until: None }
    }

    /// The same, until then.
    #[must_use]
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        match self.until {
            Some(until) => write!(f, " (until {until})"),
            None => Ok(()),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Every reason there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ReasonCode { $($(#[$doc])* $name,)* }

        impl ReasonCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in reports and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// CODE_DEPLOY controls the service's deployments; ECS refuses a new task definition.
    CodeDeployController,
    /// EXTERNAL controls the service's deployments.
    ExternalController,
    /// ECS itself manages the resource (Express, `resourceManagementType: ECS`).
    ManagedByEcs,
    /// AWS Batch owns the task definition.
    OwnedByBatch,
    /// The service is not ACTIVE.
    ServiceNotActive,
    /// Somebody else's deployment is in progress.
    DeploymentInProgress,
    /// A rollback is in progress.
    RollbackInProgress,
    /// The minimum and maximum percent allow neither to start nor to stop a task.
    NoHeadroom,
    /// The fix is held off this service.
    Held,
    /// A Freeze matches.
    Frozen,
    /// A Waiver matches.
    Waived,
    /// Outside the windows of its strategy.
    OutsideWindow,
    /// `maxInFlight` is used up.
    MaxInFlight,
    /// `maxChangesPerDay` is used up.
    MaxChangesPerDay,
    /// Its wave has not come.
    EarlierWave,
    /// The wave before is being watched.
    Baking,
    /// A stack manages the service.
    ManagedByStack,
    /// The plan touches more services than `maxAffected`.
    TooManyServices,
    /// Waiting for approval.
    ApprovalRequired,
    /// Somebody keeps putting the violation back.
    Contested,
    /// The service runs no task that could prove the change.
    NothingRuns,
    /// The family has a newer ACTIVE revision than the one that runs.
    FamilyAhead,
    /// An unknown top-level member of the task definition.
    UnknownMember,
    /// An image is named by a mutable tag.
    MutableImage,
    /// The fix edits a member that the controller is not allowed to edit.
    GuardedMember,
    /// Bindings contradict each other.
    BindingConflict,
    /// Fixes contradict each other, or a fix does not make its check hold.
    FixConflict,
    /// ECS would refuse the fixed document.
    InvalidResult,
    /// The policy has no fix for what failed.
    NotFixable,
    /// What is needed could not be read.
    NotObserved,
    /// It could not be evaluated.
    NotEvaluated,
    /// A registered revision is not what was asked for.
    RegisteredDiffers,
    /// The family got a revision in between.
    FamilyMoved,
    /// ECS refused the call.
    Refused,
    /// The outcome of a call is not known yet.
    OutcomeUnknown,
    /// The deployment makes progress.
    Progressing,
    /// Tasks are being watched for `steadyFor`.
    Steadying,
    /// A native bake, hook or pause of ECS's own.
    NativeWait,
    /// A task is protected from scale-in.
    TaskProtection,
    /// Old tasks still run or drain.
    Draining,
    /// No progress for `progressTimeout`.
    ProgressTimeout,
    /// ECS rolled the deployment back.
    RolledBackByEcs,
    /// The deployment failed.
    DeploymentFailed,
    /// Tasks of the deployment fail.
    TasksFail,
    /// An alarm is, or went, into ALARM.
    Alarm,
    /// How an alarm stands cannot be told.
    AlarmUnknown,
    /// Somebody deployed over the change.
    Overtaken,
    /// The service was deployed again since.
    MovedOn,
    /// The service was deleted.
    Gone,
    /// We deployed over somebody.
    Clobbered,
    /// A change of the rollout failed.
    ChangeFailed,
    /// A person paused it.
    PausedByPerson,
    /// A person undid it.
    UndoneByPerson,
    /// A person ended it.
    AbortedByPerson,
    /// The policies no longer ask for it.
    Superseded,
    /// Its fix stopped on failures and waits for a person.
    FixStopped,
    /// Another rollout has the service.
    OtherRollout,
    /// ECS asked to slow down.
    Throttled,
    /// Access was denied.
    AccessDenied,
    /// The policies only audit.
    AuditOnly,
    /// Nothing is wrong.
    Compliant,
}
