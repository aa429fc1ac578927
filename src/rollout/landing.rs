//! Has a move landed? Judged by the service deployment we started *and* by every task of the service.
//!
//! `services_stable` is not proof: it ignores which task definition runs and is true after a rollback
//! (hashicorp/terraform-provider-aws#19519, aws-actions/amazon-ecs-deploy-task-definition#191).

use serde_json::Value;

use super::adoption::wrote_over;
use super::change::READ_LAG;
use super::new_tasks;
use super::protection::{self, Protection};
use super::record::Change;
use super::setting;
use super::state::{Back, Phase, State};
use crate::model::observed::{Deployment, Service, ServiceDeployment, Task};
use crate::model::spec::LaunchType;
use crate::model::{Observed, Reason, ReasonCode, Secrets, TaskDefinitionArn, Timestamp, counted};

/// What was just read of the resource a change is about.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The service.
    pub service: Observed<Service>,
    /// Its tasks, those that drain included.
    pub tasks: Observed<Vec<Task>>,
    /// Its service deployments, newest first, each with the task definition it brings.
    pub deployments: ServiceDeployments,
    /// For a setting of a cluster: the cluster as ECS shows it, with settings and configuration. Absent for services.
    pub cluster: Observed<Value>,
    /// Which of its tasks are protected from scale-in, of those that were asked about.
    pub protection: Protection,
    /// What ECS's words about all this may quote and nobody may be told.
    pub secrets: Secrets,
}

/// ECS's records of a service's moves.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceDeployments {
    /// As listed. May be empty: services from before 2024-10-25 and some servers have none.
    Known(Vec<KnownDeployment>),
    /// This server has no such operation; the service's own `deployments[]` and the tasks decide.
    Unavailable {
        /// In its words.
        why: String,
    },
    /// They could not be read this time: throttled, denied, no answer. What else is seen proves nothing meanwhile.
    Unknown {
        /// What came instead.
        why: String,
    },
}

impl Facts {
    /// Why, in ECS's words, as they may be told.
    fn told(&self, words: Option<&str>) -> String {
        words.map_or_else(|| "no reason given".to_owned(), |words| self.secrets.words(words))
    }

    /// ECS's words that may come into a reason: those of tasks and deployments with which something went wrong.
    pub fn words_of_trouble(&self) -> impl Iterator<Item = &str> {
        let stopped = self.tasks.known().into_iter().flatten().filter_map(|task| task.stopped_reason.as_deref());
        // What ECS says of every task that it does not need any more; it quotes nothing.
        let stopped = stopped.filter(|words| !words.starts_with("Scaling activity initiated by"));
        let failed = self.service.known().into_iter().flat_map(|service| &service.deployments);
        let failed = failed.filter(|deployment| deployment.rollout_state.as_deref() == Some("FAILED"));
        let failed = failed.filter_map(|deployment| deployment.rollout_state_reason.as_deref());
        let records = match &self.deployments {
            ServiceDeployments::Known(list) => list.as_slice(),
            ServiceDeployments::Unavailable { .. } | ServiceDeployments::Unknown { .. } => &[],
        };
        let ended = records.iter().map(|known| &known.deployment);
        let ended = ended.filter(|deployment| is_rolled_back(deployment) || is_stopped(deployment));
        stopped.chain(failed).chain(ended.filter_map(|deployment| deployment.status_reason.as_deref()))
    }

    /// The same, as of a server that keeps no records of deployments: only what the service itself shows.
    #[must_use]
    pub fn without_records(&self) -> Self {
        Self { deployments: ServiceDeployments::Unavailable { why: String::new() }, ..self.clone() }
    }

    /// When they were asked for. How long the answers took says nothing of what they show.
    #[must_use]
    pub const fn asked_at(&self) -> Timestamp {
        match &self.service {
            Observed::Known { at, .. } | Observed::Absent { at } | Observed::Unknown { since: at, .. } => *at,
        }
    }

    /// Whether what was read tells what a call did that was intended then: reads lag, and it was asked for a read lag later.
    #[must_use]
    pub fn tell_of(&self, intent: Timestamp) -> bool {
        intent + READ_LAG <= self.asked_at()
    }

    /// Why ECS's records of the service's moves are not known, though this server may have some.
    #[must_use]
    pub fn records_unread(&self) -> Option<Reason> {
        let ServiceDeployments::Unknown { why } = &self.deployments else { return None };
        let message = format!("ECS's records of the service's deployments could not be read: {why}");
        Some(Reason::of(ReasonCode::NotObserved, message))
    }
}

/// Why it cannot be told yet what a deployment replaced: the service shows it, and ECS's records, which are read after it,
/// do not. Reads lag, each by itself. A deployment that has no record by then has none (ECS keeps them since 2024-10-25).
#[must_use]
pub fn record_lags(facts: &Facts, deployment: &Deployment) -> Option<Reason> {
    let (ServiceDeployments::Known(list), Observed::Known { value: service, at }) =
        (&facts.deployments, &facts.service)
    else {
        return None;
    };
    // Of the primary one the service says which record it is: one that was begun a moment before, and brings the same, is not.
    let current = || service.current_deployment.as_ref().filter(|_| deployment.status == "PRIMARY");
    let of_it = |known: &KnownDeployment| match current() {
        Some(arn) => known.described && known.deployment.arn == *arn,
        None => {
            known.described
                && known.task_definition.as_ref() == Some(&deployment.task_definition)
                && is_begun_with(known.deployment.created_at, deployment)
        }
    };
    let until = deployment.created_at + READ_LAG;
    let message = format!("ECS's record of deployment `{}` is not listed yet", deployment.id);
    (until > *at && !list.iter().any(of_it)).then(|| Reason::of(ReasonCode::NotObserved, message).until(until))
}

/// Why nothing may be deployed on what the service shows: ECS's records, which are read after it, have a deployment in progress
/// that has begun since.
#[must_use]
pub fn begun_since(facts: &Facts) -> Option<Reason> {
    let (ServiceDeployments::Known(list), Observed::Known { value: service, at }) =
        (&facts.deployments, &facts.service)
    else {
        return None;
    };
    let (primary, current) = (service.primary()?, service.current_deployment.as_ref());
    let records = || list.iter().map(|known| &known.deployment);
    let shown = records().find(|record| Some(&record.arn) == current).map(|record| record.created_at);
    let since = shown.unwrap_or(primary.created_at + CLOCK_SLACK);
    let is_open = |record: &&ServiceDeployment| matches!(record.status.as_str(), "PENDING" | "IN_PROGRESS");
    // Reads lag no longer than that: what does not show by then, is not on its way.
    let lags = |record: &&ServiceDeployment| record.created_at > since && record.created_at + READ_LAG > *at;
    let unseen = records().filter(is_open).find(lags)?;
    let message =
        format!("`{}` began at {}, and the service does not show it yet", unseen.arn.as_str(), unseen.created_at);
    Some(Reason::of(ReasonCode::DeploymentInProgress, message))
}

/// A service deployment that was stopped, and another one began after it: the service does not show that one yet. Where it
/// should by now, ECS has gone back from that one.
fn superseded(deployment: &ServiceDeployment, facts: &Facts) -> Option<Reason> {
    let (ServiceDeployments::Known(list), Observed::Known { at, .. }) = (&facts.deployments, &facts.service) else {
        return None;
    };
    let later = |known: &&KnownDeployment| {
        let began = known.deployment.created_at;
        began > deployment.created_at && began + READ_LAG > *at
    };
    let later = list.iter().find(later).filter(|_| is_stopped(deployment))?;
    let (arn, at) = (later.deployment.arn.as_str(), later.deployment.created_at);
    let message = format!("`{arn}` began at {at}, and the service does not show it yet");
    Some(Reason::of(ReasonCode::NotObserved, message))
}

/// Whether a record that was begun then can be that of a deployment: ECS makes both at once.
pub(super) fn is_begun_with(record: Timestamp, deployment: &Deployment) -> bool {
    record.since(deployment.created_at).max(deployment.created_at.since(record)) <= CLOCK_SLACK
}

/// One service deployment and what it brings.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownDeployment {
    /// ECS's record.
    pub deployment: ServiceDeployment,
    /// Whether it was described, and not only listed: what it replaced is told only then.
    pub described: bool,
    /// The task definition of its target revision, if that could be read.
    pub task_definition: Option<TaskDefinitionArn>,
    /// The task definitions of its source revisions, of those that could be read.
    pub source_definitions: Vec<TaskDefinitionArn>,
}

/// The move that is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// When the service was created: another one of the same name is not it.
    pub created_at: Timestamp,
    /// The revision it moves to. For a setting: none, and tasks are told by their deployment.
    pub to: Option<&'a TaskDefinitionArn>,
    /// The revision it comes from.
    pub from: Option<&'a TaskDefinitionArn>,
    /// Our deployment, `ecs-svc/…`.
    pub deployment: &'a str,
    /// When it was intended.
    pub intent: Timestamp,
}

/// How a move stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Landing {
    /// Every task of the service is ours, at least one runs, and ECS says the deployment is done.
    Landed {
        /// Tasks on the new side.
        moved: usize,
    },
    /// Done as far as ECS goes, but nothing runs that could prove it.
    NothingRuns(Reason),
    /// Under way.
    Underway {
        /// What is waited for.
        reason: Reason,
        /// Tasks on the new side.
        moved: usize,
        /// Tasks on the old side.
        left: usize,
        /// ECS itself waits (a bake, a hook, a protected task): not counted as time without progress.
        native: bool,
    },
    /// It will not land.
    Failed(Reason),
    /// Somebody deployed over it.
    Overtaken(Reason),
    /// The service is gone.
    Gone,
    /// It could not be told.
    Unknown(Reason),
}

/// Tasks of our deployment that may fail in a row before the change has failed.
///
/// The smallest threshold ECS's own circuit breaker uses (ECS Developer Guide, "How the Amazon ECS deployment circuit
/// breaker works": clamp(…, 3, 200)); services without a breaker would otherwise crash-loop until `progressTimeout`.
pub const FAILED_TASKS_IN_A_ROW: u32 = 3;

/// How far this machine's clock and ECS's may be apart when an intent is compared with ECS's timestamps.
pub(super) const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_secs(30);

/// How the move that `expected` describes stands, by `facts`.
#[must_use]
pub fn judge(facts: &Facts, expected: &Expected<'_>) -> Landing {
    let (service, at) = match &facts.service {
        Observed::Known { value, at } => (value, *at),
        Observed::Absent { .. } => return Landing::Gone,
        Observed::Unknown { why, .. } => return not_observed(format!("the service could not be read: {why}")),
    };
    if service.created_at != expected.created_at || matches!(service.status.as_str(), "DRAINING" | "INACTIVE") {
        return Landing::Gone;
    }
    let ours = started_by_us(facts, expected.to, expected.intent);
    if let Some(reason) = ours.and_then(|deployment| rolled_back(deployment, facts)) {
        return Landing::Failed(reason);
    }
    let Some(primary) = service.primary() else {
        return not_observed("the service shows no primary deployment".to_owned());
    };
    if primary.id != expected.deployment {
        // Only ECS's record tells going back from somebody's deployment for certain.
        return facts
            .records_unread()
            .map_or_else(|| not_primary(facts, (service, primary), expected), Landing::Unknown);
    }
    // Only now: ECS also stops a service deployment that another one replaces, and that is no failure; nor is it where the
    // records, which are read after the service, have the other one already.
    if let Some(reason) = ours.and_then(|deployment| superseded(deployment, facts)) {
        return Landing::Unknown(reason);
    }
    if let Some(reason) = ours.and_then(|deployment| stopped(deployment, facts)) {
        return Landing::Failed(reason);
    }
    if primary.rollout_state.as_deref() == Some("FAILED") {
        let words = facts.told(primary.rollout_state_reason.as_deref());
        let message = format!("ECS says deployment `{}` failed: {words}", primary.id);
        return Landing::Failed(Reason::of(ReasonCode::DeploymentFailed, message));
    }
    if primary.failed_tasks >= FAILED_TASKS_IN_A_ROW {
        let (failed, id) = (primary.failed_tasks, &primary.id);
        let message = format!("{failed} tasks of deployment `{id}` failed in a row{}", last_words(facts, id));
        return Landing::Failed(Reason::of(ReasonCode::TasksFail, message));
    }
    // What the service itself says of its deployment is no proof where ECS may have a record that says otherwise.
    if let Some(reason) = facts.records_unread() {
        return Landing::Unknown(reason);
    }
    let Observed::Known { value: tasks, .. } = &facts.tasks else {
        return not_observed("the tasks of the service could not be read".to_owned());
    };
    count(service, primary, (facts, tasks), ours, (expected, at))
}

fn not_observed(message: String) -> Landing {
    Landing::Unknown(Reason::of(ReasonCode::NotObserved, message))
}

/// The service deployment that brings `to` and was intended at `intent`, in whatever status, where ECS keeps such
/// records. For a setting (`to` is none) whatever was made since.
///
/// Of several that bring the same revision, the one made closest to the intent: an earlier attempt that was taken back,
/// or somebody's later redeployment, is not it.
#[must_use]
pub fn started_by_us<'a>(
    facts: &'a Facts,
    to: Option<&TaskDefinitionArn>,
    intent: Timestamp,
) -> Option<&'a ServiceDeployment> {
    let ServiceDeployments::Known(list) = &facts.deployments else { return None };
    list.iter()
        .filter(|known| to.is_none() || known.task_definition.as_ref() == to)
        .map(|known| &known.deployment)
        .filter(|deployment| deployment.created_at + CLOCK_SLACK >= intent)
        .min_by_key(|deployment| deployment.created_at.since(intent).max(intent.since(deployment.created_at)))
}

/// Whether ECS goes, or went, back from a service deployment.
#[must_use]
pub(super) fn is_rolled_back(deployment: &ServiceDeployment) -> bool {
    rollback(deployment).is_some()
}

fn rollback(deployment: &ServiceDeployment) -> Option<&'static str> {
    match deployment.status.as_str() {
        "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => Some("is rolling back"),
        "ROLLBACK_SUCCESSFUL" => Some("rolled back"),
        "ROLLBACK_FAILED" => Some("failed to roll back"),
        _ => None,
    }
}

/// Why a service deployment will not land: ECS goes, or went, back from it.
pub(super) fn rolled_back(deployment: &ServiceDeployment, facts: &Facts) -> Option<Reason> {
    let (what, words) = (rollback(deployment)?, facts.told(deployment.status_reason.as_deref()));
    Some(Reason::of(ReasonCode::RolledBackByEcs, format!("ECS {what} the service deployment: {words}")))
}

pub(super) fn is_stopped(deployment: &ServiceDeployment) -> bool {
    matches!(deployment.status.as_str(), "STOPPED" | "STOP_REQUESTED")
}

/// Why a service deployment will not land: it was stopped. (A circuit breaker without rollback does this; so does a
/// newer deployment, with the reason "Superseded by a new service deployment".)
fn stopped(deployment: &ServiceDeployment, facts: &Facts) -> Option<Reason> {
    is_stopped(deployment).then(|| {
        let words = facts.told(deployment.status_reason.as_deref());
        Reason::of(ReasonCode::DeploymentFailed, format!("ECS stopped the service deployment: {words}"))
    })
}

/// Our deployment is not the primary one: reads lag, ECS went back, or somebody deployed.
fn not_primary(facts: &Facts, (service, primary): (&Service, &Deployment), expected: &Expected<'_>) -> Landing {
    let ours = service.deployments.iter().find(|deployment| deployment.id == expected.deployment);
    if ours.is_none() && !facts.tell_of(expected.intent) {
        let message = "the deployment that was just begun cannot be seen yet".to_owned();
        return Landing::Unknown(Reason::of(ReasonCode::OutcomeUnknown, message).until(expected.intent + READ_LAG));
    }
    let failed = ours.is_some_and(|deployment| deployment.rollout_state.as_deref() == Some("FAILED"));
    // ECS goes back by making the deployment that was COMPLETED last the primary one again: it is older than ours
    // (aws/copilot-cli#4838). Nobody else can bring an older deployment back.
    let older = match ours {
        Some(ours) => primary.created_at < ours.created_at,
        None => primary.created_at + CLOCK_SLACK < expected.intent,
    };
    if failed || (older && Some(&primary.task_definition) == expected.from) {
        let words = facts.told(ours.and_then(|deployment| deployment.rollout_state_reason.as_deref()));
        let (id, back) = (expected.deployment, primary.task_definition.short());
        let message = format!("ECS took deployment `{id}` back to `{back}`: {words}");
        return Landing::Failed(Reason::of(ReasonCode::RolledBackByEcs, message));
    }
    let message =
        format!("somebody deployed `{}` (deployment `{}`) over ours", primary.task_definition.short(), primary.id);
    Landing::Overtaken(Reason::of(ReasonCode::Overtaken, message))
}

/// Where the tasks are.
fn count(
    service: &Service,
    primary: &Deployment,
    (facts, tasks): (&Facts, &[Task]),
    ours: Option<&ServiceDeployment>,
    (expected, at): (&Expected<'_>, Timestamp),
) -> Landing {
    let belongs = |task: &&Task| match expected.to {
        Some(to) => &task.task_definition == to,
        None => task.started_by.as_deref() == Some(expected.deployment),
    };
    // A task that drains has desiredStatus STOPPED and still runs: only lastStatus says that it is gone.
    let alive = tasks.iter().filter(|task| task.last_status != "STOPPED");
    let (new, old): (Vec<&Task>, Vec<&Task>) = alive.partition(belongs);
    let left = old.len();
    let moved = new.iter().filter(|task| serves(task)).count();
    let underway =
        |code, message: String, native| Landing::Underway { reason: Reason::of(code, message), moved, left, native };
    if let Some(stage) = ours.and_then(native_wait) {
        return underway(ReasonCode::NativeWait, format!("ECS waits at {stage}"), true);
    }
    let done = match (ours, primary.rollout_state.as_deref()) {
        // The record of the move itself is unambiguous; either way the tasks have the last word, because
        // earlySuccessCriteria can end a deployment while old tasks run.
        (Some(deployment), _) => deployment.status == "SUCCESSFUL",
        (None, Some(state)) => state == "COMPLETED",
        // Behind a Classic Load Balancer there is no rolloutState.
        (None, None) => service.running_count == service.desired_count && service.pending_count == 0,
    };
    let wanted = service.desired_count as usize;
    let provisioning = new.iter().filter(|task| task.last_status == "PROVISIONING").count();
    // On instances a task is PROVISIONING while its capacity provider gets one; on Fargate every task is, for a moment.
    if provisioning > 0 && primary.failed_tasks == 0 && service.launch_type != Some(LaunchType::Fargate) {
        let message = format!("waiting for capacity to be provisioned: {}", counted(provisioning, "task"));
        return underway(ReasonCode::NativeWait, message, true);
    }
    if let Some(reason) = protection::wait(service, facts, &new, &old, at) {
        return Landing::Underway { reason, moved, left, native: true };
    }
    if left > 0 {
        let untold = protection::untold(facts);
        let message = format!("{moved} of {wanted} tasks are on the new side, {left} old ones run or drain{untold}");
        return underway(ReasonCode::Draining, message, false);
    }
    if moved < wanted || !done {
        let failed = primary.failed_tasks;
        let failures = if failed > 0 { format!(", {failed} failed in a row") } else { String::new() };
        let message = format!("{moved} of {wanted} tasks run on the new side{failures}");
        return underway(ReasonCode::Progressing, message, false);
    }
    if moved == 0 {
        let message = "the service runs no task that could prove it".to_owned();
        return Landing::NothingRuns(Reason::of(ReasonCode::NothingRuns, message));
    }
    Landing::Landed { moved }
}

/// Whether a task runs, is to go on, and is not known to be ill.
pub(super) fn serves(task: &Task) -> bool {
    task.last_status == "RUNNING" && task.desired_status == "RUNNING" && task.health != "UNHEALTHY"
}

/// What ECS itself waits for in the middle of a deployment: a bake, a step of traffic, a hook (PAUSE too).
///
/// Linear and canary deployments bake between the steps of `PRODUCTION_TRAFFIC_SHIFT`, up to a day in all (botocore
/// ecs/2014-11-13 `LinearConfiguration`, `CanaryConfiguration`): no task moves meanwhile, and nothing is wrong.
fn native_wait(deployment: &ServiceDeployment) -> Option<&str> {
    let stage = deployment.lifecycle_stage.as_deref();
    let ongoing = matches!(deployment.status.as_str(), "PENDING" | "IN_PROGRESS");
    let waits = deployment.hook_waiting
        || matches!(stage, Some("TEST_TRAFFIC_SHIFT" | "PRODUCTION_TRAFFIC_SHIFT" | "BAKE_TIME"));
    (ongoing && waits).then(|| stage.unwrap_or("a lifecycle hook"))
}

/// What ECS itself waits for on the way back: in a deployment that brings `to` again, for a setting in the newest; and at a
/// hook while it rolls ours back. The stage of one that rolls back may be the one in which it was stopped, so that alone is
/// no wait.
pub(super) fn native_wait_back<'a>(facts: &'a Facts, to: Option<&TaskDefinitionArn>) -> Option<&'a str> {
    let ServiceDeployments::Known(list) = &facts.deployments else { return None };
    let newest = list.iter().max_by_key(|known| known.deployment.created_at)?;
    let deployment = &newest.deployment;
    if deployment.status == "ROLLBACK_IN_PROGRESS" && deployment.hook_waiting {
        return Some(deployment.lifecycle_stage.as_deref().unwrap_or("a lifecycle hook"));
    }
    let brings = to.is_none() || newest.task_definition.as_ref() == to;
    native_wait(deployment).filter(|_| brings)
}

/// Why the last task of our deployment stopped, in ECS's words. Spot and scale-in stops are no failures.
fn last_words(facts: &Facts, deployment: &str) -> String {
    let Some(tasks) = facts.tasks.known() else { return String::new() };
    tasks
        .iter()
        .filter(|task| task.started_by.as_deref() == Some(deployment) && task.last_status == "STOPPED")
        .filter(|task| !matches!(task.stop_code.as_deref(), Some("SpotInterruption" | "TerminationNotice")))
        .max_by_key(|task| task.stopped_at)
        .and_then(|task| task.stopped_reason.as_deref())
        .map(|words| format!(", the last one with: {}", facts.secrets.words(words)))
        .unwrap_or_default()
}

/// What has become of a change that nothing ran to prove: proved by now, failed and to be taken back, overtaken, or gone.
/// `None`: still unverified.
#[must_use]
pub fn verified_since(change: &Change, facts: &Facts, now: Timestamp) -> Option<State> {
    let State::Unverified { at, deployment, .. } = &change.state else { return None };
    if new_tasks::concerns(change) {
        return new_tasks::verified_since(change, facts, now);
    }
    let expected = Expected {
        created_at: change.spec.created_at,
        to: change.spec.to.as_ref(),
        from: change.spec.from.as_ref(),
        deployment: deployment.as_deref().unwrap_or_default(),
        // When ours began, and not when it was seen to run nothing: whose record is nearest to that is another's.
        intent: began(facts, deployment.as_deref()).or_else(|| change.last_entered(Phase::Updating)).unwrap_or(*at),
    };
    // Of a record that could not be read in full when ours was done.
    if let Some(reason) = deployment.as_deref().and_then(|deployment| wrote_over(change, facts, deployment)) {
        return Some(State::Clobbered { reason, at: now });
    }
    match judge(facts, &expected) {
        // Somebody may have put back meanwhile what starts no deployment.
        Landing::Landed { .. } => match setting::changed_since(change, facts, now) {
            Some((state, _)) => Some(state).filter(|state| *state != change.state),
            None => Some(State::Succeeded { at: now, deployment: deployment.clone() }),
        },
        Landing::Gone => Some(State::Gone { at: now }),
        Landing::Overtaken(reason) => Some(State::Overtaken { reason, at: now }),
        Landing::Failed(cause) => {
            let deployment = deployment.clone();
            Some(State::RollingBack { cause, deployment, intent: *at, back: Back::Deciding })
        }
        Landing::NothingRuns(_) | Landing::Underway { .. } | Landing::Unknown(_) => None,
    }
}

fn began(facts: &Facts, deployment: Option<&str>) -> Option<Timestamp> {
    let mut shown = facts.service.known()?.deployments.iter();
    shown.find(|shown| Some(shown.id.as_str()) == deployment).map(|shown| shown.created_at)
}

#[cfg(test)]
mod tests;
