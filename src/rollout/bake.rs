//! What a baking wave's change looks like now.
//!
//! Only what is ours and primary is judged: a service that somebody deployed since is theirs.

use super::landing::{FAILED_TASKS_IN_A_ROW, Facts, serves, verified_since};
use super::record::Change;
use super::state::State;
use crate::model::observed::Task;
use crate::model::{Observed, Reason, ReasonCode, Timestamp};

/// What was seen of a change that has succeeded and is being watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// Nothing speaks against it, or it is not ours to judge.
    Stands,
    /// It is to be taken back.
    Relapsed(Reason),
    /// It cannot be told: the bake must not end on that.
    Unknown(Reason),
}

/// How a change that stands looks.
///
/// It has relapsed where fewer of its tasks serve than are wanted *and* one of them died by itself since it succeeded,
/// or is unhealthy: too few alone may be a scale-out or a Spot stop. `failedTasks` is 0 again as soon as a task runs, so
/// tasks that die after a while never show there.
#[must_use]
pub fn watch(change: &Change, facts: &Facts, now: Timestamp) -> Watch {
    // One that ran no task when it was moved may fail by now.
    if let Some(State::RollingBack { cause, .. }) = verified_since(change, facts, now) {
        return Watch::Relapsed(cause);
    }
    let State::Succeeded { deployment: Some(deployment), at: succeeded } = &change.state else { return Watch::Stands };
    let unknown = |message: String| Watch::Unknown(Reason::of(ReasonCode::NotObserved, message));
    let name = change.spec.resource.short();
    let service = match &facts.service {
        Observed::Known { value, .. } if value.created_at == change.spec.created_at => value,
        Observed::Known { .. } | Observed::Absent { .. } => return Watch::Stands,
        Observed::Unknown { why, .. } => return unknown(format!("`{name}` is watched but could not be read: {why}")),
    };
    let Some(primary) = service.primary().filter(|primary| &primary.id == deployment) else { return Watch::Stands };
    let relapsed = |message: String| Watch::Relapsed(Reason::of(ReasonCode::TasksFail, message));
    if primary.failed_tasks >= FAILED_TASKS_IN_A_ROW {
        return relapsed(format!("{} tasks failed in a row while the wave was being watched", primary.failed_tasks));
    }
    let tasks = match &facts.tasks {
        Observed::Known { value, .. } => value,
        Observed::Absent { .. } => return Watch::Stands,
        Observed::Unknown { why, .. } => {
            return unknown(format!("`{name}` is watched but its tasks could not be read: {why}"));
        }
    };
    let ours = || tasks.iter().filter(|task| task.started_by.as_ref() == Some(deployment));
    let (serving, wanted) = (ours().filter(|task| serves(task)).count(), service.desired_count as usize);
    if serving >= wanted {
        return Watch::Stands;
    }
    let died = |task: &&Task| {
        task.last_status == "STOPPED"
            && task.stopped_at.is_some_and(|stopped| stopped >= *succeeded)
            && (matches!(task.stop_code.as_deref(), Some("EssentialContainerExited" | "TaskFailedToStart"))
                || failed_health_checks(task))
    };
    let tell = |what: &str, task: &Task| {
        let words = task.stopped_reason.as_deref().map(|words| format!(": {}", facts.secrets.words(words)));
        let words = words.unwrap_or_default();
        relapsed(format!("{serving} of {wanted} tasks serve while the wave is being watched, one {what}{words}"))
    };
    if let Some(task) = ours().filter(died).max_by_key(|task| task.stopped_at) {
        return tell("stopped", task);
    }
    let unhealthy = |task: &&Task| task.last_status == "RUNNING" && task.health == "UNHEALTHY";
    ours().find(unhealthy).map_or(Watch::Stands, |task| tell("is unhealthy", task))
}

/// Whether ECS stopped a task for its health checks: the code is the one of a scale-in, and only its words tell ("Task failed
/// ELB health checks in …", "Task failed container health checks": ECS Developer Guide, "Stopped tasks error messages").
fn failed_health_checks(task: &Task) -> bool {
    let words = task.stopped_reason.as_deref().unwrap_or_default().to_lowercase();
    words.contains("failed") && words.contains("health check")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ChangeKind;
    use crate::rollout::fixture::{Scene, at, change, entered, unreadable};

    #[track_caller]
    fn check(facts: &Facts, expected: &str) {
        let state = State::Succeeded { at: at(300), deployment: Some("ours".to_owned()) };
        tell(&entered(change(ChangeKind::Revision), state, 300), facts, expected);
    }

    #[track_caller]
    fn tell(change: &Change, facts: &Facts, expected: &str) {
        let told = match watch(change, facts, at(400)) {
            Watch::Stands => "Stands".to_owned(),
            Watch::Relapsed(reason) => format!("Relapsed {}", reason.code.as_str()),
            Watch::Unknown(reason) => format!("Unknown {}", reason.code.as_str()),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn a_change_relapses_only_by_tasks_of_its_own_primary_deployment() {
        let failing = |scene: Scene| scene.primary(|primary| primary["failedTasks"] = json!(3)).facts(400);
        check(&Scene::landed().facts(400), "Stands");
        check(&failing(Scene::landed()), "Relapsed TasksFail");
        check(&failing(Scene::overtaken()), "Stands");
        check(&failing(Scene::landed().created(350)), "Stands");
        tell(&change(ChangeKind::Revision), &failing(Scene::landed()), "Stands");
    }

    #[test]
    fn a_change_that_nothing_ran_to_prove_relapses_when_its_tasks_fail() {
        let reason = crate::rollout::fixture::reason(crate::model::ReasonCode::NothingRuns);
        let state = State::Unverified { at: at(300), deployment: Some("ours".to_owned()), reason };
        let mut unverified = entered(change(ChangeKind::Revision), state, 300);
        unverified.spec.to = Some(crate::rollout::fixture::revision(2));
        let failing = |scene: Scene| scene.primary(|primary| primary["failedTasks"] = json!(3)).facts(400);
        tell(&unverified, &failing(Scene::landed()), "Relapsed TasksFail");
        tell(&unverified, &Scene::landed().facts(400), "Stands");
        tell(&unverified, &failing(Scene::overtaken()), "Stands");
    }

    #[test]
    fn too_few_tasks_are_a_relapse_only_where_one_died_by_itself_since() {
        let short = |code: &str, stopped: i64, by: &str| {
            let at = json!(at(stopped).as_millis() / 1000);
            let edit = |task: &mut serde_json::Value| {
                task["lastStatus"] = json!("STOPPED");
                task["desiredStatus"] = json!("STOPPED");
                task["stopCode"] = json!(code);
                task["stoppedAt"] = at;
            };
            Scene::landed().desired(3).task(2, by, edit)
        };
        for code in ["EssentialContainerExited", "TaskFailedToStart"] {
            check(&short(code, 350, "ours").facts(400), "Relapsed TasksFail");
            check(&short(code, 350, "ours").tasks(1, 2, "ours").facts(400), "Stands");
            check(&short(code, 299, "ours").facts(400), "Stands");
            check(&short(code, 350, "old").facts(400), "Stands");
        }
        for code in ["SpotInterruption", "ServiceSchedulerInitiated", "UserInitiated"] {
            check(&short(code, 350, "ours").facts(400), "Stands");
        }
        check(&Scene::landed().desired(3).facts(400), "Stands");
        check(&Scene::landed().desired(0).facts(400), "Stands");
    }

    #[test]
    fn a_task_that_ecs_stopped_for_its_health_checks_is_a_relapse_and_a_scale_in_is_none() {
        let stopped = |words: &str| {
            let edit = |task: &mut serde_json::Value| {
                task["lastStatus"] = json!("STOPPED");
                task["desiredStatus"] = json!("STOPPED");
                task["stopCode"] = json!("ServiceSchedulerInitiated");
                task["stoppedReason"] = json!(words);
                task["stoppedAt"] = json!(at(350).as_millis() / 1000);
            };
            Scene::landed().desired(3).task(2, "ours", edit).facts(400)
        };
        check(&stopped("Task failed ELB health checks in (target-group arn:aws:e)"), "Relapsed TasksFail");
        check(&stopped("Task failed container health checks"), "Relapsed TasksFail");
        check(&stopped("Scaling activity initiated by deployment ecs-svc/1"), "Stands");
    }

    #[test]
    fn an_unhealthy_task_is_a_relapse() {
        let sick = || Scene::landed().desired(3).task(2, "ours", |task| task["healthStatus"] = json!("UNHEALTHY"));
        check(&sick().facts(400), "Relapsed TasksFail");
        check(&sick().tasks(1, 2, "ours").facts(400), "Stands");
    }

    #[test]
    fn what_cannot_be_read_is_not_known_to_stand() {
        check(&unreadable(400), "Unknown NotObserved");
        check(&Scene::landed().tasks_unknown().facts(400), "Unknown NotObserved");
        check(&Scene::absent().facts(400), "Stands");
        check(&Scene::overtaken().tasks_unknown().facts(400), "Stands");
    }
}
