use serde_json::json;

use crate::model::change::Setting;
use crate::model::{ChangeKind, ReasonCode, TaskDefinitionArn};
use crate::rollout::Change;
use crate::rollout::fixture::{Given, INTENT, Scene, at, change, entered, reason, revision, told, unreadable};
use crate::rollout::late::{Unheard, heard_of};
use crate::rollout::state::{Back, Progress, State};

mod over_somebody;

const FAILED_AT: i64 = INTENT + 60;
const NOW: i64 = INTENT + 90;
const TIMEOUT: i64 = 20 * 60;

fn going(kind: ChangeKind, cause: ReasonCode, deployment: Option<&str>, back: Back) -> Change {
    let mut change = change(kind);
    if kind == ChangeKind::Revision {
        change.spec.to = Some(revision(2));
    }
    let deployment = deployment.map(ToOwned::to_owned);
    entered(change, State::RollingBack { cause: reason(cause), deployment, intent: at(INTENT), back }, FAILED_AT)
}

fn revision_going(back: Back) -> Change {
    going(ChangeKind::Revision, ReasonCode::TasksFail, Some("ours"), back)
}

fn setting_going(back: Back) -> Change {
    going(ChangeKind::DeployingSetting, ReasonCode::TasksFail, Some("ours"), back)
}

fn stopping(second: i64) -> Back {
    let arn = "arn:aws:ecs:eu-west-1:1:service-deployment/prod/web/d0".parse().unwrap();
    Back::Stopping { arn, intent: at(second) }
}

fn updating(second: i64) -> Back {
    Back::Updating { to: Some(revision(1)), before: "ours".to_owned(), intent: at(second) }
}

fn watching(second: i64) -> Back {
    Back::Watching { to: Some(revision(1)), progress: Progress::start(at(second)), steady_since: None }
}

/// All of its tasks have been back for as long as that takes to be believed.
fn steady(since: i64) -> Back {
    Back::Watching { to: Some(revision(1)), progress: Progress::start(at(FAILED_AT)), steady_since: Some(at(since)) }
}

/// A deployment of a setting keeps the revision.
fn setting_during() -> Scene {
    Scene::empty()
        .deployment("ours", "PRIMARY", 1, INTENT + 1, "IN_PROGRESS")
        .deployment("old", "ACTIVE", 1, -9000, "COMPLETED")
        .record("IN_PROGRESS", 1, INTENT + 1)
}

/// Somebody deployed the very revision that ran before.
fn theirs_at_home() -> Scene {
    Scene::empty().deployment("theirs", "PRIMARY", 1, INTENT + 50, "COMPLETED").tasks(2, 1, "theirs")
}

#[track_caller]
fn check_given(change: &Change, given: &Given, second: i64, expected: &str) {
    let step = given.step(change, at(second));
    let how = match &step.state {
        State::RollingBack { back: Back::Deciding, .. } => " Deciding",
        State::RollingBack { back: Back::Replacing, .. } => " Replacing",
        State::RollingBack { back: Back::Stopping { .. }, .. } => " Stopping",
        State::RollingBack { back: Back::Updating { .. }, .. } => " Updating",
        State::RollingBack { back: Back::Watching { .. }, .. } => " Watching",
        _ => "",
    };
    assert_eq!(told(&step).replacen(" |", &format!("{how} |"), 1), expected);
}

#[track_caller]
fn check_with(change: &Change, scene: &Scene, previous: Option<TaskDefinitionArn>, second: i64, expected: &str) {
    check_given(change, &Given { previous, ..Given::of(scene.facts(second)) }, second, expected);
}

#[track_caller]
fn check(change: &Change, scene: &Scene, expected: &str) {
    check_with(change, scene, Some(revision(1)), NOW, expected);
}

#[test]
fn a_deployment_in_progress_is_stopped_and_a_finished_one_replaced() {
    let deciding = revision_going(Back::Deciding);
    check(&deciding, &Scene::during(), "RollingBack Stopping | Stop | -");
    check(&deciding, &Scene::during().no_records().record("PENDING", 2, INTENT + 1), "RollingBack Stopping | Stop | -");
    check(&deciding, &Scene::landed(), "RollingBack Updating | MoveTo web:1 | -");
    check(&deciding, &Scene::during().records_unavailable(), "RollingBack Updating | MoveTo web:1 | -");
    // It may be going back already, and a deployment would stall that. Waited for as long as for progress.
    check(&deciding, &Scene::during().records_unread(), "RollingBack Deciding | - | NotObserved");
    let (home, late) = (Some(revision(1)), FAILED_AT + TIMEOUT);
    check_with(&deciding, &Scene::during().records_unread(), home, late, "RollingBack Updating | MoveTo web:1 | -");
    let asked_for = Given::of(Scene::during().records_unread().facts(late - 1));
    check_given(&deciding, &asked_for, late, "RollingBack Deciding | - | NotObserved");
    check(&setting_going(Back::Deciding), &setting_during(), "RollingBack Stopping | Stop | -");
    check(&setting_going(Back::Deciding), &setting_during().no_records(), "RollingBack Updating | Unset | -");
}

#[test]
fn the_previous_revision_is_restored_before_a_service_is_pointed_at_it() {
    let deciding = revision_going(Back::Deciding);
    check_with(&deciding, &Scene::landed(), None, NOW, "RollingBack Deciding | RestorePrevious | -");
    check_with(&deciding, &Scene::landed(), Some(revision(3)), NOW, "RollingBack Updating | MoveTo web:3 | -");
    // Stopping needs none: ECS goes back to its own service revision.
    check_with(&deciding, &Scene::during(), None, NOW, "RollingBack Stopping | Stop | -");
}

#[test]
fn a_read_that_lags_is_no_proof_of_being_back() {
    let home = || Some(revision(1));
    let lagging = Scene::before();
    let waits = "RollingBack Watching | - | OutcomeUnknown";
    check_with(&revision_going(watching(INTENT + 5)), &lagging, home(), INTENT + 19, waits);
    check_with(&setting_going(watching(INTENT + 5)), &lagging, home(), INTENT + 19, waits);
    let believed = "RollingBack Watching | - | Steadying";
    check_with(&revision_going(watching(INTENT + 5)), &lagging, home(), INTENT + 20, believed);
    // ECS's own word that ours has ended is a read that does not lag behind it.
    check_with(&revision_going(watching(INTENT + 5)), &Scene::taken_back(), home(), INTENT + 19, believed);
}

#[test]
fn nothing_is_ever_written_during_a_rollback() {
    for status in ["STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"] {
        let scene = Scene::during().no_records().record(status, 2, INTENT + 1);
        check(&revision_going(Back::Deciding), &scene, "RollingBack Watching | - | -");
        check(&revision_going(Back::Replacing), &scene, "RollingBack Watching | - | -");
        check(&revision_going(watching(FAILED_AT)), &scene, "RollingBack Watching | - | RollbackInProgress");
    }
    check(&revision_going(Back::Deciding), &Scene::taken_back(), "RollingBack Watching | - | -");
}

#[test]
fn a_rollback_that_ecs_could_not_finish_is_finished_with_the_previous_revision() {
    for status in ["ROLLBACK_FAILED", "STOPPED"] {
        let scene = Scene::during().no_records().record(status, 2, INTENT + 1);
        check(&revision_going(Back::Deciding), &scene, "RollingBack Updating | MoveTo web:1 | -");
    }
}

#[test]
fn a_service_that_only_took_our_revisions_name_is_given_back_the_old_one() {
    let nameless = |back| going(ChangeKind::Revision, ReasonCode::ProgressTimeout, None, back);
    let old = || Scene::empty().deployment("old", "PRIMARY", 1, -9000, "COMPLETED").tasks(2, 1, "old");
    let named = || old().edit(|service| service["taskDefinition"] = json!(revision(2)));
    check(&nameless(Back::Deciding), &named(), "RollingBack Updating | MoveTo web:1 | -");
    check_with(&nameless(Back::Deciding), &named(), None, NOW, "RollingBack Deciding | RestorePrevious | -");
    check(&nameless(Back::Deciding), &old(), "RollingBack Watching | - | -");
    // ECS knows of it: then ECS is at work.
    let known = named().record("ROLLBACK_IN_PROGRESS", 2, INTENT + 1);
    check(&nameless(Back::Deciding), &known, "RollingBack Watching | - | -");
}

#[test]
fn a_deployment_that_ecs_would_not_stop_is_replaced() {
    check(&revision_going(Back::Replacing), &Scene::during(), "RollingBack Updating | MoveTo web:1 | -");
}

#[test]
fn a_service_that_somebody_deployed_since_is_left_alone() {
    for back in [Back::Deciding, Back::Replacing, updating(FAILED_AT), watching(FAILED_AT)] {
        check(&revision_going(back), &Scene::overtaken(), "Overtaken | - | MovedOn");
    }
    // Stopped in vain: looked at again, and then left alone.
    check(&revision_going(stopping(NOW - 20)), &Scene::overtaken(), "RollingBack Deciding | - | -");
    check(&setting_going(Back::Deciding), &theirs_at_home(), "Overtaken | - | MovedOn");
    check(&setting_going(watching(FAILED_AT)), &Scene::overtaken(), "Overtaken | - | MovedOn");
}

#[test]
fn going_back_is_stopped_only_by_a_freeze_that_includes_it() {
    let with = |scene: Scene, forward: bool, backward: bool| Given {
        forward: forward.then(|| reason(ReasonCode::Frozen)),
        backward: backward.then(|| reason(ReasonCode::Frozen)),
        previous: Some(revision(1)),
        ..Given::of(scene.facts(NOW))
    };
    let deciding = revision_going(Back::Deciding);
    check_given(&deciding, &with(Scene::during(), true, false), NOW, "RollingBack Stopping | Stop | -");
    check_given(&deciding, &with(Scene::during(), false, true), NOW, "RollingBack Deciding | - | Frozen");
    check_given(&deciding, &with(Scene::landed(), false, true), NOW, "RollingBack Deciding | - | Frozen");
    let quiet = going(ChangeKind::QuietSetting, ReasonCode::UndoneByPerson, None, Back::Deciding);
    check_given(&quiet, &with(Scene::before(), true, false), NOW, "RollingBack Updating | Unset | -");
    check_given(&quiet, &with(Scene::before(), false, true), NOW, "RollingBack Deciding | - | Frozen");
    // What ECS does already is watched to its end.
    let watched = revision_going(steady(NOW - 60));
    check_given(&watched, &with(Scene::taken_back(), true, true), NOW, "RolledBack | - | TasksFail");
}

#[test]
fn what_was_asked_is_waited_for_until_reads_have_caught_up_and_then_looked_at_again() {
    check(&revision_going(stopping(NOW - 19)), &Scene::during(), "RollingBack Stopping | - | OutcomeUnknown");
    check(&revision_going(stopping(NOW - 20)), &Scene::during(), "RollingBack Deciding | - | -");
    check(&revision_going(updating(NOW - 19)), &Scene::landed(), "RollingBack Updating | - | OutcomeUnknown");
    check(&revision_going(updating(NOW - 20)), &Scene::landed(), "RollingBack Deciding | - | -");
    let quiet = |second| {
        let back = Back::Updating { to: None, before: String::new(), intent: at(second) };
        going(ChangeKind::QuietSetting, ReasonCode::UndoneByPerson, None, back)
    };
    check(&quiet(NOW - 19), &Scene::before(), "RollingBack Updating | - | OutcomeUnknown");
    check(&quiet(NOW - 20), &Scene::before(), "RollingBack Updating | Unset | -");
}

#[test]
fn what_is_asked_in_vain_again_and_again_ends() {
    let late = FAILED_AT + 9 * TIMEOUT;
    let back = Back::Updating { to: None, before: String::new(), intent: at(late) };
    let quiet = going(ChangeKind::QuietSetting, ReasonCode::UndoneByPerson, None, back);
    for (change, scene, again) in [
        (revision_going(stopping(late)), Scene::during(), "RollingBack Deciding | - | -"),
        (revision_going(updating(late)), Scene::landed(), "RollingBack Deciding | - | -"),
        (quiet, Scene::before(), "RollingBack Updating | Unset | -"),
    ] {
        let told = |times: i64| Change { told: u32::try_from(times).unwrap(), ..change.clone() };
        let check = |change, expected| check_with(&change, &scene, Some(revision(1)), late + 20, expected);
        check(told(TIMEOUT / 20 - 1), again);
        check(told(TIMEOUT / 20), "Failed | - | ProgressTimeout");
    }
}

#[test]
fn ecs_that_heard_is_watched() {
    for status in ["STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"] {
        let scene = Scene::during().no_records().record(status, 2, INTENT + 1);
        check(&revision_going(stopping(NOW - 5)), &scene, "RollingBack Watching | - | -");
    }
    check(&revision_going(stopping(NOW - 5)), &Scene::before().no_records(), "RollingBack Watching | - | -");
    check(&revision_going(updating(NOW - 5)), &theirs_at_home(), "RollingBack Watching | - | -");
    // A setting keeps the revision: that alone is no sign.
    check(&setting_going(stopping(NOW - 5)), &setting_during(), "RollingBack Stopping | - | OutcomeUnknown");
}

#[test]
fn a_change_is_taken_back_when_every_task_is() {
    let watched = revision_going(watching(FAILED_AT));
    check(&watched, &Scene::taken_back(), "RollingBack Watching | - | Steadying");
    check(&revision_going(steady(NOW - 59)), &Scene::taken_back(), "RollingBack Watching | - | Steadying");
    check(&revision_going(steady(NOW - 60)), &Scene::taken_back(), "RolledBack | - | TasksFail");
    let drains = Scene::taken_back().tasks(1, 2, "ours");
    check(&watched, &drains, "RollingBack Watching | - | Draining");
    check(&watched, &Scene::taken_back().tasks_unknown(), "RollingBack Watching | - | NotObserved");
    check(
        &watched,
        &Scene::empty().deployment("old", "PRIMARY", 1, -9000, "COMPLETED").desired(0),
        "RolledBack | - | TasksFail",
    );
    let failing = Scene::taken_back().primary(|primary| primary["failedTasks"] = json!(3));
    check(&watched, &failing, "Failed | - | TasksFail");
    let stuck = Scene::taken_back().tasks(1, 2, "ours");
    let mut long = revision_going(watching(FAILED_AT));
    if let State::RollingBack { back: Back::Watching { progress, .. }, .. } = &mut long.state {
        *progress = Progress { moved: 2, left: 1, at: at(NOW - TIMEOUT) };
    }
    check(&long, &stuck, "Failed | - | ProgressTimeout");
    check_given(&long, &Given::of(stuck.facts(NOW - 1)), NOW + 9000, "RollingBack Watching | - | Draining");
}

#[test]
fn what_ecs_waits_for_on_the_way_back_is_no_time_without_progress() {
    let mut long = revision_going(watching(FAILED_AT));
    if let State::RollingBack { back: Back::Watching { progress, .. }, .. } = &mut long.state {
        *progress = Progress { moved: 2, left: 2, at: at(NOW - TIMEOUT) };
    }
    let going = |status: &str, number: u32, members: serde_json::Value| {
        Scene::empty()
            .deployment("back", "PRIMARY", 1, FAILED_AT + 1, "IN_PROGRESS")
            .deployment("ours", "ACTIVE", 2, INTENT + 1, "COMPLETED")
            .record("SUCCESSFUL", 2, INTENT + 1)
            .record_with(status, number, FAILED_AT + 1, |record| {
                record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            })
            .tasks(2, 1, "back")
            .tasks(2, 2, "ours")
    };
    let hook = json!({ "lifecycleHookDetails": [{ "hookId": "h", "status": "AWAITING_ACTION" }] });
    let at_stage = |stage: &str| json!({ "lifecycleStage": stage });
    for stage in ["BAKE_TIME", "PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT"] {
        check(&long, &going("IN_PROGRESS", 1, at_stage(stage)), "RollingBack Watching | - | NativeWait");
        // Where ours was stopped: it tells nothing of the way back.
        check(&long, &going("ROLLBACK_IN_PROGRESS", 2, at_stage(stage)), "Failed | - | ProgressTimeout");
        // Somebody's.
        check(&long, &going("IN_PROGRESS", 9, at_stage(stage)), "Failed | - | ProgressTimeout");
    }
    check(&long, &going("IN_PROGRESS", 1, hook.clone()), "RollingBack Watching | - | NativeWait");
    check(&long, &going("ROLLBACK_IN_PROGRESS", 2, hook), "RollingBack Watching | - | NativeWait");
    check(&long, &going("IN_PROGRESS", 1, at_stage("SCALE_UP")), "Failed | - | ProgressTimeout");
}

#[test]
fn ecs_may_go_back_to_its_own_revision_though_ours_was_made_again() {
    for back in [Back::Deciding, stopping(NOW - 5), updating(NOW - 5)] {
        let scene = Scene::taken_back();
        check_with(&revision_going(back), &scene, Some(revision(3)), NOW, "RollingBack Watching | - | -");
    }
    let watched = revision_going(steady(NOW - 60));
    check_with(&watched, &Scene::taken_back(), Some(revision(3)), NOW, "RolledBack | - | TasksFail");
}

#[test]
fn a_read_that_lagged_does_not_leave_a_deployment_unasked() {
    // Decided on a stale read that showed the service as it was before: ours is the primary one all the same.
    let watched = |second| revision_going(watching(second));
    check(&watched(NOW - 19), &Scene::during(), "RollingBack Watching | - | OutcomeUnknown");
    check(&watched(NOW - 20), &Scene::during(), "RollingBack Deciding | - | -");
}

#[test]
fn a_setting_that_ecs_took_back_itself_is_a_failure_and_not_moved_on() {
    let taken_back = Scene::before().record("ROLLBACK_SUCCESSFUL", 1, INTENT + 1);
    check(&setting_going(Back::Deciding), &taken_back, "RollingBack Watching | - | -");
    let unavailable = Scene::before().records_unavailable();
    check(&setting_going(Back::Deciding), &unavailable, "RollingBack Watching | - | -");
    let told = going(ChangeKind::DeployingSetting, ReasonCode::RolledBackByEcs, Some("ours"), Back::Deciding);
    check(&told, &theirs_at_home().records_unavailable(), "RollingBack Watching | - | -");
}

#[test]
fn a_deployment_whose_reply_was_lost_is_looked_for_before_it_is_given_up() {
    let lost = |second: i64| {
        let mut change = going(ChangeKind::Revision, ReasonCode::UndoneByPerson, None, Back::Deciding);
        if let State::RollingBack { intent, .. } = &mut change.state {
            *intent = at(second);
        }
        change
    };
    let step = Given::of(Scene::during().facts(NOW)).step(&lost(INTENT), at(NOW));
    assert!(matches!(step.state, State::RollingBack { deployment: Some(found), .. } if found == "ours"));
    check(&lost(NOW - 5), &Scene::before(), "RollingBack Deciding | - | OutcomeUnknown");
    check(&lost(NOW - 20), &Scene::before(), "RollingBack Watching | - | -");
    check(&lost(NOW - 60), &Scene::overtaken(), "Overtaken | - | MovedOn");
    // It lands late, while the old tasks are being counted.
    let mut watched = lost(NOW - 60);
    if let State::RollingBack { back, .. } = &mut watched.state {
        *back = watching(NOW - 10);
    }
    check(&watched, &Scene::during(), "RollingBack Deciding | - | -");
}

#[test]
fn what_somebody_has_begun_again_on_our_revision_is_not_taken_for_ours() {
    let unknown = || going(ChangeKind::Revision, ReasonCode::UndoneByPerson, None, Back::Deciding);
    let begun = |sources: &[u32]| {
        let (scene, sources) = (Scene::empty(), json!(sources));
        let scene = scene.deployment("theirs", "PRIMARY", 2, INTENT + 30, "IN_PROGRESS");
        let scene = scene.deployment("ours", "ACTIVE", 2, INTENT + 1, "IN_PROGRESS").record("STOPPED", 2, INTENT + 1);
        scene.record_with("IN_PROGRESS", 2, INTENT + 30, |record| record["sources"] = sources)
    };
    // What was replaced may run beside it still.
    let given = Given { previous: Some(revision(1)), ..Given::of(begun(&[1, 2]).facts(NOW)) };
    let State::RollingBack { deployment, .. } = given.step(&unknown(), at(NOW)).state else { panic!() };
    assert_eq!(deployment.as_deref(), Some("ours"));
    let mut known = unknown();
    known.state = given.step(&known, at(NOW)).state;
    check(&known, &begun(&[2]), "Overtaken | - | MovedOn");
    // Whose it is cannot be told before its record is listed.
    let early = INTENT + 35;
    check_with(
        &unknown(),
        &begun(&[2]).no_records(),
        Some(revision(1)),
        early,
        "RollingBack Deciding | - | NotObserved",
    );
}

#[test]
fn a_service_that_is_gone_or_cannot_be_read_is_not_written_to() {
    for back in [Back::Deciding, stopping(NOW - 60), updating(NOW - 60), watching(NOW - 60)] {
        check(&revision_going(back.clone()), &Scene::absent(), "Gone | - | -");
        let step = Given::of(unreadable(NOW)).step(&revision_going(back.clone()), at(NOW));
        assert!(matches!(&step.state, State::RollingBack { back: same, .. } if *same == back));
        assert_eq!(step.action, None);
    }
}

#[test]
fn a_setting_goes_back_only_from_what_it_was_made() {
    let members = |value: serde_json::Value| value.as_object().unwrap().clone();
    let of = |kind, back: serde_json::Value| {
        let mut change = going(kind, ReasonCode::UndoneByPerson, Some("ours"), Back::Deciding);
        change.spec.setting = Some(Setting { forward: members(json!({ "m": { "a": 1 } })), back: members(back) });
        change
    };
    let shown = |scene: Scene, value: serde_json::Value| scene.edit(|service| service["m"] = value);
    let quiet = of(ChangeKind::QuietSetting, json!({ "m": { "a": 0 } }));
    check(&quiet, &shown(Scene::before(), json!({ "a": 1 })), "RollingBack Updating | Unset | -");
    check(&quiet, &shown(Scene::before(), json!({ "a": 0 })), "RolledBack | - | UndoneByPerson");
    check(&quiet, &shown(Scene::before(), json!({ "a": 2 })), "Overtaken | - | MovedOn");
    let landed = || setting_during().no_records();
    let deploying = of(ChangeKind::DeployingSetting, json!({ "m": { "a": 0 } }));
    check(&deploying, &shown(landed(), json!({ "a": 1 })), "RollingBack Updating | Unset | -");
    check(&deploying, &shown(landed(), json!({ "a": 2 })), "Overtaken | - | MovedOn");
}

#[test]
fn a_setting_that_an_earlier_attempt_has_set_back_is_watched_and_not_sent_again() {
    let members = |value: serde_json::Value| value.as_object().unwrap().clone();
    let mut setting = going(ChangeKind::DeployingSetting, ReasonCode::UndoneByPerson, None, Back::Deciding);
    setting.spec.setting = Some(Setting { forward: members(json!({ "m": 1 })), back: members(json!({ "m": 0 })) });
    let shown = |value: u32| setting_during().no_records().edit(|service| service["m"] = json!(value));
    check(&setting, &shown(0), "RollingBack Watching | - | -");
    check(&setting, &shown(1), "RollingBack Deciding | - | -");
}

#[test]
fn a_call_that_comes_while_the_change_goes_back_is_ours_to_take_back_too() {
    let unheard =
        |to: Option<TaskDefinitionArn>| Unheard { to, back: false, calls: 1, intent: at(INTENT), until: at(NOW + 60) };
    let late = |number: u32| {
        let scene = Scene::empty().deployment("late", "PRIMARY", number, NOW - 3, "IN_PROGRESS");
        scene.record("IN_PROGRESS", number, NOW - 3)
    };
    for back in [Back::Deciding, updating(NOW - 5), watching(NOW - 5)] {
        let mut revision_back = revision_going(back);
        check(&revision_back, &late(2), "Overtaken | - | MovedOn");
        revision_back.unheard.push(unheard(Some(revision(2))));
        check(&revision_back, &late(2), "RollingBack Deciding | - | -");
        check(&revision_back, &late(9), "Overtaken | - | MovedOn");
        // ECS starts no deployment for what the service has already: somebody began it again, or set something else.
        let from = |sources: &[u32]| {
            let (scene, sources) = (late(2).no_records(), json!(sources));
            scene.record_with("IN_PROGRESS", 2, NOW - 3, |record| record["sources"] = sources)
        };
        check(&revision_back, &from(&[2]), "Overtaken | - | MovedOn");
        check(&revision_back, &from(&[1, 2]), "RollingBack Deciding | - | -");
        let step = Given { previous: Some(revision(1)), ..Given::of(late(2).no_records().facts(NOW)) };
        assert!(told(&step.step(&revision_back, at(NOW))).ends_with("| - | NotObserved"));
        let next = Given::of(late(2).facts(NOW)).step(&revision_back, at(NOW)).state;
        heard_of(&mut revision_back, &next);
        assert!(revision_back.unheard.is_empty());
    }
    let members = |value: serde_json::Value| value.as_object().unwrap().clone();
    let mut setting = setting_going(Back::Deciding);
    setting.spec.setting = Some(Setting { forward: members(json!({ "m": 1 })), back: members(json!({ "m": 0 })) });
    let shown = |value: u32| late(1).edit(|service| service["m"] = json!(value));
    check(&setting, &shown(1), "Overtaken | - | MovedOn");
    setting.unheard.push(unheard(None));
    check(&setting, &shown(1), "RollingBack Deciding | - | -");
    // It keeps the revision: who deploys another keeps what was set, unless ours has begun theirs again.
    let of_another = |sources: &[u32]| {
        let scene = Scene::empty().deployment("late", "PRIMARY", 9, NOW - 3, "IN_PROGRESS");
        let sources = json!(sources);
        let scene = scene.record_with("IN_PROGRESS", 9, NOW - 3, |record| record["sources"] = sources);
        scene.edit(|service| service["m"] = json!(1))
    };
    check(&setting, &of_another(&[1]), "Overtaken | - | MovedOn");
    check(&setting, &of_another(&[1]).no_records(), "RollingBack Deciding | - | NotObserved");
    let drains = of_another(&[1]).no_records().deployment("theirs", "ACTIVE", 9, NOW - 4, "IN_PROGRESS");
    check(&setting, &drains, "Clobbering | - | Clobbered");
    check(&setting, &of_another(&[1, 9]), "Clobbering | - | Clobbered");
    let next = Given::of(of_another(&[1, 9]).facts(NOW)).step(&setting, at(NOW)).state;
    heard_of(&mut setting, &next);
    assert!(setting.unheard.is_empty());
}

#[test]
fn ecs_that_goes_back_to_an_earlier_deployment_of_ours_is_sent_on() {
    // Ours had landed and went back, when an earlier call came late; that was stopped. The change that landed is known by when
    // it was seen to have.
    let mut late = going(ChangeKind::Revision, ReasonCode::UndoneByPerson, Some("late"), watching(NOW - 5));
    let State::RollingBack { intent, .. } = &mut late.state else { unreachable!() };
    *intent = at(INTENT + 60);
    let scene = Scene::empty()
        .deployment("ours", "PRIMARY", 2, INTENT + 1, "IN_PROGRESS")
        .deployment("late", "ACTIVE", 2, NOW - 20, "FAILED")
        .record("SUCCESSFUL", 2, INTENT + 1)
        .record("STOPPED", 1, INTENT + 70)
        .record("ROLLBACK_IN_PROGRESS", 2, NOW - 20);
    check(&late, &scene, "RollingBack Deciding | - | -");
    let ours = going(ChangeKind::Revision, ReasonCode::UndoneByPerson, Some("ours"), Back::Deciding);
    check(&ours, &Scene::landed(), "RollingBack Updating | MoveTo web:1 | -");
    // Somebody's has begun since.
    check(&late, &Scene::empty().deployment("theirs", "PRIMARY", 2, NOW - 2, "IN_PROGRESS"), "Overtaken | - | MovedOn");
}

#[test]
fn what_somebody_has_begun_since_the_service_was_read_is_neither_stopped_nor_written_over() {
    let waits = "RollingBack Deciding | - | DeploymentInProgress";
    let theirs = |scene: Scene, number: u32| scene.record("IN_PROGRESS", number, NOW - 5);
    for number in [1, 2, 9] {
        // Ours has landed. The records are read after the service, and show what it does not.
        check(&revision_going(Back::Deciding), &theirs(Scene::landed(), number), waits);
        let landed = setting_during().no_records().record("SUCCESSFUL", 1, INTENT + 1);
        let mut setting = setting_going(Back::Deciding);
        check(&setting, &theirs(landed, number), waits);
        // … also where the intent that is kept is when ours was seen to have landed, which theirs is nearer to.
        let landed = setting_during().no_records().record("SUCCESSFUL", 1, INTENT + 1);
        let State::RollingBack { intent, .. } = &mut setting.state else { unreachable!() };
        *intent = at(NOW - 10);
        check(&setting, &theirs(landed, number), waits);
    }
    // Not for ever: what nobody has seen by then has no record to go by.
    let (home, late) = (Some(revision(1)), FAILED_AT + TIMEOUT);
    check_with(
        &revision_going(Back::Deciding),
        &theirs(Scene::landed(), 9),
        home,
        late,
        "RollingBack Updating | MoveTo web:1 | -",
    );
}

#[test]
fn a_setting_that_was_not_there_before_cannot_be_taken_back() {
    for kind in [ChangeKind::QuietSetting, ChangeKind::DeployingSetting] {
        let mut change = going(kind, ReasonCode::UndoneByPerson, Some("ours"), Back::Deciding);
        let members = |value: serde_json::Value| value.as_object().unwrap().clone();
        change.spec.setting =
            Some(Setting { forward: members(json!({ "m": 1 })), back: members(json!({ "m": null })) });
        let scene = setting_during().no_records().edit(|service| service["m"] = json!(1));
        check(&change, &scene, "Failed | - | NotFixable");
    }
}

#[test]
fn what_started_no_deployment_is_set_back_before_a_setting_is_back() {
    let members = |value: serde_json::Value| value.as_object().unwrap().clone();
    let mixed = |back: Back| {
        let mut change = going(ChangeKind::DeployingSetting, ReasonCode::RolledBackByEcs, Some("ours"), back);
        change.spec.setting = Some(Setting {
            forward: members(json!({ "platformVersion": "1.4.0", "enableExecuteCommand": false })),
            back: members(json!({ "platformVersion": "1.3.0", "enableExecuteCommand": true })),
        });
        change
    };
    let shown = |exec: bool| {
        let scene = Scene::before().record("ROLLBACK_SUCCESSFUL", 1, INTENT + 1);
        scene.edit(|service| {
            service["platformVersion"] = json!("1.3.0");
            service["enableExecuteCommand"] = json!(exec);
        })
    };
    let watched = mixed(steady(NOW - 90));
    let sent = r#"RollingBack Updating | UnsetRest({"enableExecuteCommand": Bool(true)}) | -"#;
    check(&watched, &shown(false), sent);
    check(&watched, &shown(true), "RolledBack | - | RolledBackByEcs");
    check(&mixed(Back::Deciding), &shown(false), "RollingBack Watching | - | -");
    let frozen = Given { backward: Some(reason(ReasonCode::Frozen)), ..Given::of(shown(false).facts(NOW)) };
    check_given(&watched, &frozen, NOW, "RollingBack Watching | - | Frozen");

    let told = |second: i64| mixed(Back::Updating { to: None, before: String::new(), intent: at(second) });
    check(&told(NOW - 5), &shown(true), "RolledBack | - | RolledBackByEcs");
    check(&told(NOW - 5), &shown(false), "RollingBack Updating | - | OutcomeUnknown");
    check(&told(NOW - 20), &shown(false), "RollingBack Deciding | - | -");
    check(&told(NOW - 5), &Scene::overtaken(), "Overtaken | - | MovedOn");
    // A read that lags shows ours once more.
    check(&told(NOW - 5), &setting_during(), "RollingBack Updating | - | OutcomeUnknown");

    let mut added = watched.clone();
    added.spec.setting = Some(Setting {
        forward: members(json!({ "platformVersion": "1.4.0", "enableExecuteCommand": false })),
        back: members(json!({ "platformVersion": "1.3.0", "enableExecuteCommand": null })),
    });
    check(&added, &shown(false), "Failed | - | NotFixable");
}

#[test]
fn a_setting_that_somebody_set_again_is_not_told_as_taken_back() {
    let members = |value: serde_json::Value| value.as_object().unwrap().clone();
    let mut change = setting_going(steady(NOW - 90));
    change.spec.setting = Some(Setting {
        forward: members(json!({ "networkConfiguration": { "a": 1 }, "deploymentConfiguration": { "b": 1 } })),
        back: members(json!({ "networkConfiguration": { "a": 0 }, "deploymentConfiguration": { "b": 0 } })),
    });
    let home = |value: serde_json::Value| {
        Scene::before().record("ROLLBACK_SUCCESSFUL", 1, INTENT + 1).edit(|service| {
            service["networkConfiguration"] = value;
            service["deploymentConfiguration"] = json!({ "b": 0 });
        })
    };
    check(&change, &home(json!({ "a": 0 })), "RolledBack | - | TasksFail");
    // A part of it, where the setting had more.
    check(&change, &home(json!({ "a": 1 })), "Overtaken | - | MovedOn");
    // What we had set is gone, and so is what it had before.
    check(&change, &home(json!({ "a": 2 })), "Overtaken | - | MovedOn");
    // ECS need not show what was emptied.
    let unseen = Scene::before().record("ROLLBACK_SUCCESSFUL", 1, INTENT + 1);
    check(&change, &unseen, "RolledBack | - | TasksFail");
}
