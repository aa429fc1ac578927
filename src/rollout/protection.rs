//! Old tasks that ECS may not stop yet: their scale-in protection is waited for, like all that ECS itself waits for.
//!
//! Says what to ask about, and what the answers mean; who asks is the controller. A protected task stays through a
//! deployment until its protection ends, up to 48 hours after it was last asked for (botocore ecs/2014-11-13,
//! `UpdateTaskProtection`), and nothing is wrong meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use super::landing::{Facts, serves};
use super::record::Change;
use super::state::{Back, Progress, State};
use crate::model::observed::{Service, Task};
use crate::model::{Reason, ReasonCode, TaskArn, Timestamp};

/// How long a deployment stands still before anybody asks: most never do, and need no such call.
const QUIET: Duration = Duration::from_secs(60);

/// Which tasks are protected, of those that were asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protection {
    /// The protected ones, and until when, where ECS says so.
    pub tasks: BTreeMap<TaskArn, Option<Timestamp>>,
    /// Why that is not known of all of them.
    pub unread: Option<String>,
}

/// The tasks whose protection matters now: those that a deployment is to replace, and for a while did not.
#[must_use]
pub fn to_ask(change: &Change, facts: &Facts, now: Timestamp) -> Vec<TaskArn> {
    let (Some(progress), Some(service), Some(tasks)) =
        (progress(&change.state), facts.service.known(), facts.tasks.known())
    else {
        return Vec::new();
    };
    // What is waited for is asked again at each look: it may end early, and it may be prolonged.
    let waits = change.waiting.as_ref().is_some_and(|reason| reason.code == ReasonCode::TaskProtection);
    let Some(primary) = service.primary().filter(|_| waits || progress.at + QUIET <= now) else { return Vec::new() };
    let old = |task: &&Task| task.desired_status == "RUNNING" && task.last_status != "STOPPED";
    let replaced = |task: &&Task| task.started_by.as_ref() != Some(&primary.id);
    tasks.iter().filter(old).filter(replaced).map(|task| task.arn.clone()).collect()
}

/// How far a deployment has come that replaces tasks, there or back.
const fn progress(state: &State) -> Option<Progress> {
    match state {
        State::Stabilizing { progress, .. }
        | State::Verifying { progress, .. }
        | State::Clobbering { progress, .. }
        | State::RollingBack { back: Back::Watching { progress, .. }, .. } => Some(*progress),
        State::RollingBack {
            back: Back::Deciding | Back::Replacing | Back::Stopping { .. } | Back::Updating { .. },
            ..
        }
        | State::Pending
        | State::Registering { .. }
        | State::Updating { .. }
        | State::Succeeded { .. }
        | State::Unverified { .. }
        | State::RolledBack { .. }
        | State::Failed { .. }
        | State::Quarantined { .. }
        | State::Blocked { .. }
        | State::Deferred { .. }
        | State::Overtaken { .. }
        | State::Clobbered { .. }
        | State::Gone { .. } => None,
    }
}

/// What a deployment waits for, where that is the protection of old tasks and nothing else: every new task that runs does
/// well, and those that are missing have no room beside the protected ones.
///
/// `new` and `old` are the tasks of either side that are not STOPPED.
#[must_use]
pub fn wait(service: &Service, facts: &Facts, new: &[&Task], old: &[&Task], at: Timestamp) -> Option<Reason> {
    let ends = |task: &&&Task| {
        let end = facts.protection.tasks.get(&task.arn).filter(|_| task.desired_status == "RUNNING")?;
        end.is_none_or(|end| end > at).then_some(*end)
    };
    let protected: Vec<Option<Timestamp>> = old.iter().filter_map(|task| ends(&task)).collect();
    let (moved, wanted) = (new.iter().filter(|task| serves(task)).count(), service.desired_count as usize);
    // Rounded down (botocore ecs/2014-11-13, `DeploymentConfiguration.maximumPercent`).
    let most = u64::from(service.desired_count) * u64::from(service.configuration.maximum_percent) / 100;
    let crowded = new.len().saturating_add(old.len()) as u64 >= most;
    if protected.is_empty() || moved < new.len() || (moved < wanted && !crowded) {
        return None;
    }
    let message = format!(
        "{moved} of {wanted} tasks are on the new side, {} of {} old ones are protected from scale-in",
        protected.len(),
        old.len()
    );
    let reason = Reason::of(ReasonCode::TaskProtection, message);
    Some(match protected.into_iter().flatten().max() {
        Some(end) => reason.until(end),
        None => reason,
    })
}

/// To be said where old tasks stay, and nobody can tell whether they are protected.
#[must_use]
pub fn untold(facts: &Facts) -> String {
    let told = |why: &String| format!("; whether they are protected from scale-in could not be read: {why}");
    facts.protection.unread.as_ref().map(told).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ChangeKind;
    use crate::rollout::fixture::{INTENT, Scene, at, change, entered, reason, revision};

    fn stabilizing(progressed: i64) -> State {
        let progress = Progress { moved: 2, left: 2, at: at(progressed) };
        State::Stabilizing { to: Some(revision(2)), deployment: "ours".to_owned(), intent: at(INTENT), progress }
    }

    fn going_back(progressed: i64) -> State {
        let progress = Progress { moved: 2, left: 2, at: at(progressed) };
        let back = Back::Watching { to: Some(revision(1)), progress, steady_since: None };
        let deployment = Some("ours".to_owned());
        State::RollingBack { cause: reason(ReasonCode::UndoneByPerson), deployment, intent: at(INTENT), back }
    }

    /// The numbers of the tasks that are asked about, of two old ones and two new ones.
    #[track_caller]
    fn check(state: State, waits: Option<ReasonCode>, scene: &Scene, expected: &[&str]) {
        let mut change = entered(change(ChangeKind::Revision), state, INTENT);
        change.waiting = waits.map(reason);
        let asked = to_ask(&change, &scene.facts(400), at(400));
        let told: Vec<&str> = asked.iter().map(|arn| arn.as_str().rsplit('/').next().unwrap()).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn only_old_tasks_that_have_stayed_for_a_while_are_asked_about() {
        let stays = || Scene::during().tasks(2, 1, "old").tasks(2, 2, "ours");
        check(stabilizing(340), None, &stays(), &["0", "1"]);
        check(stabilizing(341), None, &stays(), &[]);
        check(stabilizing(400), Some(ReasonCode::TaskProtection), &stays(), &["0", "1"]);
        check(State::Registering { since: at(0) }, None, &stays(), &[]);
        let drains =
            Scene::during().task(1, "old", |task| task["desiredStatus"] = "STOPPED".into()).tasks(2, 2, "ours");
        check(stabilizing(0), None, &drains, &[]);
        check(stabilizing(0), None, &stays().tasks_unknown(), &[]);
        check(stabilizing(0), None, &Scene::absent(), &[]);
    }

    #[test]
    fn on_the_way_back_ours_are_the_old_ones() {
        let back = Scene::empty().deployment("back", "PRIMARY", 1, 300, "IN_PROGRESS").tasks(2, 1, "back");
        check(going_back(340), None, &back.clone().tasks(1, 2, "ours"), &["2"]);
        check(going_back(390), None, &back.tasks(1, 2, "ours"), &[]);
    }
}
