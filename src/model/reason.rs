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
    ($($(#[doc = $doc:literal])+ $name:ident => $remedy:literal,)*) => {
        /// Every reason there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ReasonCode { $($(#[doc = $doc])+ $name,)* }

        impl ReasonCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in reports and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it means.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)* }
            }

            /// What to do about it; commands without the `plimsoll` in front.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

reasons! {
    /// CODE_DEPLOY controls the service's deployments; ECS refuses a new task definition.
    CodeDeployController => "deploy the patched task definition through CodeDeploy; `plan --patches` writes it",
    /// EXTERNAL controls the service's deployments.
    ExternalController => "its own controller has to deploy the patched task definition; `plan --patches` writes it",
    /// ECS itself manages the resource (Express, `resourceManagementType: ECS`).
    ManagedByEcs => "change it where it was made: ECS Express Mode, or the managed daemon",
    /// AWS Batch owns the task definition.
    OwnedByBatch => "change the job definition in AWS Batch",
    /// The service is not ACTIVE.
    ServiceNotActive => "nothing, if it is being deleted; else see why it is not ACTIVE",
    /// Somebody else's deployment is in progress.
    DeploymentInProgress => "nothing: it is looked at again when that deployment has ended",
    /// A rollback is in progress.
    RollbackInProgress => "nothing: it is looked at again when the rollback has ended",
    /// The minimum and maximum percent allow neither to start nor to stop a task.
    NoHeadroom => "raise maximumPercent or lower minimumHealthyPercent, so that one task can be replaced",
    /// The fix is held off this service.
    Held => "`hold list` says why; `hold release SERVICE` lets the fix come again",
    /// A Freeze matches.
    Frozen => "`get freezes` says why; `unfreeze NAME` lifts it",
    /// A Waiver matches.
    Waived => "nothing: `get waivers` says whose it is and until when",
    /// Too little of the controller's lease is left to make a call.
    LeaseEnding => "nothing, if it passes: the lease is renewed, or another controller takes over; else see why the store is slow",
    /// Outside the windows of its strategy.
    OutsideWindow => "nothing: it goes on when the window opens; the strategy's `windows` say when",
    /// `maxInFlight` is used up.
    MaxInFlight => "nothing: it begins when one that is in flight has ended",
    /// `maxChangesPerDay` is used up.
    MaxChangesPerDay => "nothing: it goes on tomorrow; or raise `maxChangesPerDay`",
    /// Its wave has not come.
    EarlierWave => "nothing: it begins when the waves before have been verified",
    /// The wave before is being watched.
    Baking => "nothing: the next wave begins when the bake has ended",
    /// A stack manages the service.
    ManagedByStack => "apply the patch in the stack's code (`plan --patches` writes it), or approve the rollout",
    /// The plan touches more services than `maxAffected`.
    TooManyServices => "narrow the Binding, or approve the rollout",
    /// Waiting for approval.
    ApprovalRequired => "`rollout approve NAME`",
    /// Somebody keeps putting the violation back.
    Contested => "change it at its source; or approve the rollout, or `rollout retry NAME`",
    /// The service runs no task that could prove the change.
    NothingRuns => "nothing: it is looked at again when a task runs",
    /// Running tasks started before the setting, and are without it until replaced.
    OlderTasks => "nothing, or replace the tasks: the next deployment does, or `aws ecs update-service --force-new-deployment`",
    /// A wave ended, and none of its changes was verified.
    NothingVerified => "`rollout status NAME` says why; `rollout retry NAME` tries them again, `resume` goes on without",
    /// The family has a newer ACTIVE revision than the one that runs.
    FamilyAhead => "deploy the family's newest revision, or deregister it",
    /// An unknown top-level member of the task definition.
    UnknownMember => "use a version of plimsoll that knows the member; it would be lost otherwise",
    /// An image is named by a mutable tag.
    MutableImage => "name the image by a tag that does not move, or by its digest",
    /// The fix edits a member that the controller is not allowed to edit.
    GuardedMember => "start the controller with --allow-edit for that member, if the fix may edit it",
    /// Bindings contradict each other.
    BindingConflict => "narrow one of the Bindings it names",
    /// Fixes contradict each other, or a fix does not make its check hold.
    FixConflict => "bind only one of the policies it names here, or change one of the fixes",
    /// ECS would refuse the fixed document.
    InvalidResult => "change the fix, or its params: ECS would refuse what comes of it",
    /// The policy has no fix for what failed.
    NotFixable => "change it by hand, or waive it; the policy's description says how",
    /// What is needed could not be read.
    NotObserved => "see what could not be read, and why; rights, throttling and the network are the usual causes",
    /// It could not be evaluated.
    NotEvaluated => "see what the policy could not read; a param or a newer version may be missing",
    /// A registered revision is not what was asked for.
    RegisteredDiffers => "look at both revisions; nothing was moved, and ours is deregistered",
    /// A recorded task definition is missing in the store, or damaged there.
    DocumentLost => "restore the item of that hash from the table's backup; or `rollout retry NAME`, which plans anew",
    /// The family got a revision in between.
    FamilyMoved => "nothing: a later plan looks at the family again; see whoever registered in between",
    /// ECS refused the call.
    Refused => "see ECS's own words; when the cause is gone, `hold release SERVICE`",
    /// The outcome of a call is not known yet.
    OutcomeUnknown => "nothing: it is looked at again before anything is repeated",
    /// The deployment makes progress.
    Progressing => "nothing: it is being watched",
    /// Tasks are being watched for `steadyFor`.
    Steadying => "nothing: it is being watched for `steadyFor`",
    /// A native bake, hook or pause of ECS's own.
    NativeWait => "see the service's own deployment: its bake, its hook or its pause is waited for",
    /// A task is protected from scale-in.
    TaskProtection => "nothing, or end the tasks' scale-in protection",
    /// Old tasks still run or drain.
    Draining => "nothing: old tasks end when their connections have",
    /// No progress for `progressTimeout`.
    ProgressTimeout => "see the service's events for why its tasks do not start; it was taken back",
    /// ECS rolled the deployment back.
    RolledBackByEcs => "see the service's events for why ECS went back",
    /// The deployment failed.
    DeploymentFailed => "see the service's events for why the deployment failed",
    /// Tasks of the deployment fail.
    TasksFail => "see why the tasks stopped: the fix may take away what they need",
    /// An alarm is, or went, into ALARM.
    Alarm => "see the alarm: nothing begins while it is on, and a wave during which it went off is taken back",
    /// How an alarm stands cannot be told.
    AlarmUnknown => "see that the alarm is there, and that the controller may read it (DescribeAlarms, GetResources)",
    /// Somebody deployed over the change.
    Overtaken => "nothing: what was deployed instead is judged anew",
    /// The service was deployed again since.
    MovedOn => "nothing: what was deployed since is left alone and judged anew",
    /// The service was deleted.
    Gone => "nothing",
    /// We deployed over somebody.
    Clobbered => "deploy again what was overwritten: the change names both revisions",
    /// A call of ours had its effect when nobody waited for it any more.
    LateCall => "nothing: what it did is taken back",
    /// A change of the rollout failed.
    ChangeFailed => "`rollout status NAME` names what failed; `rollout retry NAME` tries it again, `rollout undo NAME` takes it back",
    /// A person paused it.
    PausedByPerson => "`rollout resume NAME`",
    /// A person undid it.
    UndoneByPerson => "`rollout retry NAME` lets the fix come again",
    /// A person ended it.
    AbortedByPerson => "`rollout retry NAME` lets the rest go on",
    /// The policies no longer ask for it.
    Superseded => "nothing: the policies ask for something else by now",
    /// Its fix stopped on failures and waits for a person.
    FixStopped => "`rollout status NAME` says why it stopped; `rollout retry NAME` lets the fix come again",
    /// The controller was told to stop.
    Stopping => "nothing: whoever takes over goes on from what is recorded",
    /// Another rollout has the service.
    OtherRollout => "nothing: it is planned when that rollout has ended",
    /// ECS asked to slow down.
    Throttled => "nothing, or lower --budget: others use the account's rate too",
    /// Access was denied.
    AccessDenied => "grant the action it names to the caller it names; `doctor` prints the statement",
    /// No policy is in effect.
    NoPolicies => "`apply -f policies/` brings some",
    /// The stored policies cannot be used by this version.
    InvalidPolicies => "apply them again with this version; it says what is wrong with them",
    /// The endpoint answers for another account or region.
    WrongTarget => "give its Target the roleArn of a role in that account, or use that account's credentials and region",
    /// The target cannot be reached: its role, its account or its region.
    NotReached => "see its Target object (`describe target NAME`), the role's trust policy and external id, and `doctor`",
    /// Another Target is the same account and region.
    SameTarget => "`delete target NAME`: an account and region is one target",
    /// Tasks that no service started run a revision that fails.
    StandaloneTasks => "change what starts them: a schedule, a state machine, a pipeline; they end by themselves",
    /// No service uses the family, and its latest revision fails.
    UnusedFamily => "register a corrected revision, or deregister it: whoever runs the family gets it",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ended rollout refuses to be aborted and resumed; `retry` and `undo` are carried out on a paused one too.
    #[test]
    fn what_helps_a_rollout_that_failed_is_not_refused_by_it() {
        for code in [ReasonCode::ChangeFailed, ReasonCode::FixStopped] {
            let remedy = code.remedy();
            assert!(remedy.contains("rollout retry NAME"), "{remedy}");
            assert!(!remedy.contains("abort") && !remedy.contains("resume"), "{remedy}");
        }
    }

    #[test]
    fn every_reason_is_a_sentence_and_says_what_to_do() {
        for code in ReasonCode::ALL {
            let (sentence, remedy) = (code.sentence().trim(), code.remedy());
            assert!(sentence.ends_with('.') && sentence.split(' ').count() > 1, "{code:?}: {sentence}");
            // As much of a line as the rest of the table leaves.
            assert!(!remedy.is_empty() && !remedy.ends_with('.') && remedy.len() < 120, "{code:?}: {remedy}");
        }
    }
}
