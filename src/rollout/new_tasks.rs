//! Settings of a service that only new tasks pick up: as long as tasks run that started before, it is made and not proved.
//!
//! Knows nothing of deployments: such a setting starts none, and tasks are replaced whenever somebody deploys.

use serde_json::Value;

use super::landing::{CLOCK_SLACK, Facts};
use super::record::Change;
use super::setting::{self, Standing};
use super::state::State;
use crate::model::observed::Task;
use crate::model::{ChangeKind, Observed, Reason, ReasonCode, Timestamp, counted};

/// Members of UpdateService that a task gets when it starts and keeps to its end. ("Only tasks launched after the update
/// will reflect the update": botocore ecs/2014-11-13 `UpdateServiceRequest`, `enableECSManagedTags` and `propagateTags`;
/// whether a task allows ECS Exec is a member of the task itself; placement is decided once, before a task starts.)
const AT_START: [&str; 5] =
    [EXEC, "enableECSManagedTags", "propagateTags", "placementConstraints", "placementStrategy"];

/// The one that tasks show themselves (`Task.enableExecuteCommand`).
const EXEC: &str = "enableExecuteCommand";

/// The members of a change that only new tasks pick up.
fn at_start(change: &Change) -> impl Iterator<Item = (&String, &Value)> {
    let setting = change.spec.setting.as_ref().filter(|_| change.spec.kind == ChangeKind::QuietSetting);
    setting.into_iter().flat_map(|setting| &setting.forward).filter(|(name, _)| AT_START.contains(&name.as_str()))
}

/// Whether a change sets something that only new tasks pick up.
#[must_use]
pub fn concerns(change: &Change) -> bool {
    at_start(change).next().is_some()
}

/// Whether a change stands, and tasks that started before it run on without what it set.
#[must_use]
pub fn is_waited_for(change: &Change) -> bool {
    matches!(&change.state, State::Unverified { reason, .. } if reason.code == ReasonCode::OlderTasks)
}

/// The state of a setting that ECS shows as it was sent. `tasks` were read before, or a moment after, it was: none of them
/// is taken for newer than the setting.
#[must_use]
pub fn made(change: &Change, tasks: &Observed<Vec<Task>>, now: Timestamp) -> State {
    match without(change, tasks, None) {
        Some(reason) => State::Unverified { at: now, deployment: None, reason },
        None => State::Succeeded { at: now, deployment: None },
    }
}

/// What has become of a setting that was made while older tasks ran: proved by now, changed by somebody, gone, or another
/// count. `None`: as it was.
#[must_use]
pub fn verified_since(change: &Change, facts: &Facts, now: Timestamp) -> Option<State> {
    let State::Unverified { at, reason: told, .. } = &change.state else { return None };
    let gone = || Some(State::Gone { at: now });
    let (service, seen) = match &facts.service {
        Observed::Known { value, at } if value.created_at == change.spec.created_at && value.status == "ACTIVE" => {
            (value, *at)
        }
        Observed::Known { .. } | Observed::Absent { .. } => return gone(),
        Observed::Unknown { .. } => return None,
    };
    match setting::standing(change, &service.document) {
        Standing::Made => {}
        // ECS may still show what it was, and reading a large fleet takes long: it may have been read before.
        Standing::Before if *at + super::change::READ_LAG > seen => return None,
        Standing::Before | Standing::Theirs(_) => {
            let members: Vec<&str> = at_start(change).map(|(name, _)| name.as_str()).collect();
            let message = format!("somebody changed {} since, before all tasks had it", quoted(&members));
            return Some(State::Overtaken { reason: Reason::of(ReasonCode::Overtaken, message), at: now });
        }
    }
    match without(change, &facts.tasks, Some(*at)) {
        None => Some(State::Succeeded { at: now, deployment: None }),
        Some(reason) if reason == *told => None,
        // What cannot be read now is no reason to forget what was counted.
        Some(_) if facts.tasks.known().is_none() => None,
        Some(reason) => Some(State::Unverified { at: *at, deployment: None, reason }),
    }
}

/// Why a setting is not proved: how many running tasks are without it. None where none is.
///
/// ECS's clock tells when a task was created, ours when the setting was made: one that was created about then counts as
/// older, and is so until it is replaced. That may be wrong about it, and never calls a task what it is not.
fn without(change: &Change, tasks: &Observed<Vec<Task>>, since: Option<Timestamp>) -> Option<Reason> {
    let members: Vec<(&String, &Value)> = at_start(change).collect();
    if members.is_empty() {
        return None;
    }
    let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    let names = quoted(&names);
    let tasks = match tasks {
        Observed::Known { value, .. } => value,
        Observed::Absent { .. } => return None,
        Observed::Unknown { why, .. } => {
            let message = format!("{names}: done for new tasks; whether older ones run could not be read: {why}");
            return Some(Reason::of(ReasonCode::OlderTasks, message));
        }
    };
    let newer = |task: &Task| task.created_at.zip(since).is_some_and(|(created, since)| created >= since + CLOCK_SLACK);
    let has = |task: &Task| {
        members.iter().all(|(name, wanted)| match (name.as_str(), task.execute_command) {
            (EXEC, Some(shown)) => **wanted == Value::Bool(shown),
            _ => newer(task),
        })
    };
    let running: Vec<&Task> = tasks.iter().filter(|task| task.last_status != "STOPPED").collect();
    let older = running.iter().filter(|task| !has(task)).count();
    if older == 0 {
        return None;
    }
    let verb = if older == 1 { "is" } else { "are" };
    let message = format!(
        "{names}: done for new tasks; {older} of {} {verb} from before, and without it until replaced",
        counted(running.len(), "running task")
    );
    Some(Reason::of(ReasonCode::OlderTasks, message))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
