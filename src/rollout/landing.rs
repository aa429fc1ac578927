//! Has a move landed? Judged by the service deployment we started *and* by every task of the service.
//!
//! `services_stable` is not proof: it ignores which task definition runs and is true after a rollback
//! (hashicorp/terraform-provider-aws#19519, aws-actions/amazon-ecs-deploy-task-definition#191).

use crate::model::observed::{Service, ServiceDeployment, Task};
use crate::model::{Observed, Reason, ReasonCode, TaskDefinitionArn, Timestamp};

/// What was just read of the resource a change is about.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The service.
    pub service: Observed<Service>,
    /// Its tasks, those that drain included.
    pub tasks: Observed<Vec<Task>>,
    /// Its service deployments, newest first, each with the task definition it brings.
    pub deployments: ServiceDeployments,
}

/// ECS's records of a service's moves.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceDeployments {
    /// As listed. May be empty: services from before 2024-10-25 and some servers have none.
    Known(Vec<KnownDeployment>),
    /// This server cannot tell; the service's own `deployments[]` and the tasks decide.
    Unavailable {
        /// In its words.
        why: String,
    },
}

/// One service deployment and what it brings.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownDeployment {
    /// ECS's record.
    pub deployment: ServiceDeployment,
    /// The task definition of its target revision, if that could be read.
    pub task_definition: Option<TaskDefinitionArn>,
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
        /// ECS itself waits (a bake, a hook): not counted as time without progress.
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

/// How the move that `expected` describes stands, by `facts`.
#[must_use]
pub fn judge(facts: &Facts, expected: &Expected<'_>) -> Landing {
    let service = match &facts.service {
        Observed::Known { value, .. } => value,
        Observed::Absent { .. } => return Landing::Gone,
        Observed::Unknown { why, .. } => {
            return Landing::Unknown(Reason::of(
                ReasonCode::NotObserved,
                format!("the service could not be read: {why}"),
            ));
        }
    };
    if service.created_at != expected.created_at || service.status == "INACTIVE" {
        return Landing::Gone;
    }
    if service.status == "DRAINING" {
        return Landing::Gone;
    }
    let ours = our_service_deployment(facts, expected);
    if let Some(reason) = ours.and_then(|known| service_deployment_failure(&known.deployment)) {
        return Landing::Failed(reason);
    }
    let Some(primary) = service.primary() else {
        return Landing::Unknown(Reason::of(ReasonCode::NotObserved, "the service shows no primary deployment"));
    };
    if primary.id != expected.deployment {
        return not_primary(service, expected);
    }
    if primary.rollout_state.as_deref() == Some("FAILED") {
        return Landing::Failed(Reason::of(
            ReasonCode::DeploymentFailed,
            format!(
                "ECS says deployment `{}` failed: {}",
                primary.id,
                primary.rollout_state_reason.as_deref().unwrap_or("no reason given")
            ),
        ));
    }
    if primary.failed_tasks >= FAILED_TASKS_IN_A_ROW {
        return Landing::Failed(Reason::of(
            ReasonCode::TasksFail,
            format!(
                "{} tasks of deployment `{}` failed in a row{}",
                primary.failed_tasks,
                primary.id,
                last_words(facts, &primary.id)
            ),
        ));
    }
    let Observed::Known { value: tasks, .. } = &facts.tasks else {
        return Landing::Unknown(Reason::of(ReasonCode::NotObserved, "the tasks of the service could not be read"));
    };
    count(service, tasks, ours.map(|known| &known.deployment), expected)
}

/// Our service deployment: the oldest one made since the intent that brings our revision.
fn our_service_deployment<'a>(facts: &'a Facts, expected: &Expected<'_>) -> Option<&'a KnownDeployment> {
    let ServiceDeployments::Known(list) = &facts.deployments else { return None };
    list.iter()
        .filter(|known| known.deployment.created_at + CLOCK_SLACK >= expected.intent)
        .filter(|known| expected.to.is_none() || known.task_definition.as_ref() == expected.to)
        .min_by_key(|known| known.deployment.created_at)
}

/// How far this machine's clock and ECS's may be apart when an intent is compared with ECS's timestamps.
const CLOCK_SLACK: std::time::Duration = std::time::Duration::from_secs(30);

/// The service deployment we started, where ECS keeps such records.
#[must_use]
pub fn started_by_us<'a>(facts: &'a Facts, expected: &Expected<'_>) -> Option<&'a ServiceDeployment> {
    our_service_deployment(facts, expected).map(|known| &known.deployment)
}

fn service_deployment_failure(deployment: &ServiceDeployment) -> Option<Reason> {
    let words = deployment.status_reason.as_deref().unwrap_or("no reason given");
    let failure = |code, what: &str| Some(Reason::of(code, format!("ECS {what} the service deployment: {words}")));
    match deployment.status.as_str() {
        "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => failure(ReasonCode::RolledBackByEcs, "is rolling back"),
        "ROLLBACK_SUCCESSFUL" => failure(ReasonCode::RolledBackByEcs, "rolled back"),
        "ROLLBACK_FAILED" => failure(ReasonCode::RolledBackByEcs, "failed to roll back"),
        "STOPPED" | "STOP_REQUESTED" => failure(ReasonCode::DeploymentFailed, "stopped"),
        _ => None,
    }
}

/// Our deployment is not the primary one: ECS went back, or somebody deployed.
fn not_primary(service: &Service, expected: &Expected<'_>) -> Landing {
    let ours = service.deployments.iter().find(|deployment| deployment.id == expected.deployment);
    let failed = ours.is_some_and(|deployment| deployment.rollout_state.as_deref() == Some("FAILED"));
    let Some(primary) = service.primary() else { return Landing::Gone };
    let back = Some(&primary.task_definition) == expected.from && expected.to.is_some();
    // The circuit breaker goes back by a deployment of the old revision that is older than ours, or is made while ours
    // shows FAILED.
    let older = primary.created_at + CLOCK_SLACK < expected.intent;
    if failed || (back && older) {
        return Landing::Failed(Reason::of(
            ReasonCode::RolledBackByEcs,
            format!(
                "ECS took deployment `{}` back to `{}`: {}",
                expected.deployment,
                primary.task_definition.short(),
                ours.and_then(|deployment| deployment.rollout_state_reason.as_deref()).unwrap_or("no reason given")
            ),
        ));
    }
    Landing::Overtaken(Reason::of(
        ReasonCode::Overtaken,
        format!("somebody deployed `{}` (deployment `{}`) over ours", primary.task_definition.short(), primary.id),
    ))
}

fn count(service: &Service, tasks: &[Task], ours: Option<&ServiceDeployment>, expected: &Expected<'_>) -> Landing {
    let belongs = |task: &&Task| match expected.to {
        Some(to) => &task.task_definition == to,
        None => task.started_by.as_deref() == Some(expected.deployment),
    };
    let alive = || tasks.iter().filter(|task| task.last_status != "STOPPED");
    let left = alive().filter(|task| !belongs(task)).count();
    let ours_alive: Vec<&Task> = alive().filter(belongs).collect();
    let moved = ours_alive
        .iter()
        .filter(|task| task.last_status == "RUNNING" && task.desired_status == "RUNNING" && task.health != "UNHEALTHY")
        .count();
    let underway =
        |code, message: String, native| Landing::Underway { reason: Reason::of(code, message), moved, left, native };
    if ours
        .is_some_and(|deployment| deployment.hook_waiting || deployment.lifecycle_stage.as_deref() == Some("BAKE_TIME"))
    {
        let stage = ours.and_then(|deployment| deployment.lifecycle_stage.as_deref()).unwrap_or("a lifecycle hook");
        return underway(ReasonCode::NativeWait, format!("ECS waits at {stage}"), true);
    }
    let Some(primary) = service.primary() else { return Landing::Gone };
    let done = match (ours, primary.rollout_state.as_deref()) {
        // Where both are told, both must agree: earlySuccessCriteria can end a deployment while old tasks run.
        (Some(deployment), _) => deployment.status == "SUCCESSFUL",
        (None, Some(state)) => state == "COMPLETED",
        (None, None) => service.running_count == service.desired_count && service.pending_count == 0,
    };
    let wanted = service.desired_count as usize;
    if left > 0 {
        return underway(
            ReasonCode::Draining,
            format!("{moved} of {wanted} tasks are on the new side, {left} old ones run or drain"),
            false,
        );
    }
    if moved < wanted || !done {
        let failed = primary.failed_tasks;
        let failures = if failed > 0 { format!(", {failed} failed in a row") } else { String::new() };
        return underway(
            ReasonCode::Progressing,
            format!("{moved} of {wanted} tasks run on the new side{failures}"),
            false,
        );
    }
    if moved == 0 {
        let message = "the service runs no task that could prove it".to_owned();
        return Landing::NothingRuns(Reason::of(ReasonCode::NothingRuns, message));
    }
    Landing::Landed { moved }
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
        .map(|words| format!(", the last one with: {words}"))
        .unwrap_or_default()
}
