use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::model::change::{Documents, Setting};
use crate::rollout::ChangeSpec;
use crate::rollout::fixture::{
    Given, HEALTH, INTENT, Scene, at, change, entered, reason, registration, revision, told, unreadable,
};

mod over_somebody;

const TIMEOUT: i64 = 20 * 60;

fn pending() -> Change {
    change(ChangeKind::Revision)
}

fn registering() -> Change {
    entered(pending(), State::Registering { since: at(50) }, 50)
}

fn updating() -> Change {
    entered(pending(), intent_of(Some(2)), INTENT)
}

fn intent_of(to: Option<u32>) -> State {
    State::Updating { to: to.map(revision), before: Some("old".to_owned()), intent: at(INTENT) }
}

fn progress(moved: usize, left: usize, second: i64) -> Progress {
    Progress { moved, left, at: at(second) }
}

fn stabilizing_since(progress: Progress) -> Change {
    let to = Some(revision(2));
    let state = State::Stabilizing { to, deployment: "ours".to_owned(), intent: at(INTENT), progress };
    entered(updating(), state, INTENT + 2)
}

fn verifying_since(second: i64) -> Change {
    let state = State::Verifying {
        to: Some(revision(2)),
        deployment: "ours".to_owned(),
        intent: at(INTENT),
        steady_since: at(second),
        progress: progress(2, 0, second),
    };
    entered(stabilizing_since(progress(2, 0, second)), state, second)
}

fn registered(number: u32) -> Option<Registration> {
    Some(registration(RegistrationState::Registered { arn: revision(number) }))
}

#[track_caller]
fn check(change: &Change, given: &Given, second: i64, expected: &str) -> State {
    let step = given.step(change, at(second));
    assert_eq!(told(&step), expected);
    step.state
}

#[track_caller]
fn check_scene(change: &Change, scene: &Scene, second: i64, expected: &str) -> State {
    check(change, &Given::of(scene.facts(second)), second, expected)
}

#[test]
fn a_change_whose_turn_has_come_registers_first_and_a_setting_is_sent() {
    check_scene(&pending(), &Scene::before(), 50, "Registering | Register | -");
    for kind in [ChangeKind::DeployingSetting, ChangeKind::QuietSetting] {
        let state = check_scene(&change(kind), &Scene::before(), 50, "Updating | Set | -");
        let intent = State::Updating { to: Some(revision(1)), before: Some("old".to_owned()), intent: at(50) };
        assert_eq!(state, intent);
    }
    check_scene(&change(ChangeKind::ClusterSetting), &Scene::absent(), 50, "Updating | Set | -");
}

#[test]
fn a_change_begins_only_on_the_service_that_was_planned_for() {
    check_scene(&pending(), &Scene::absent(), 50, "Gone | - | -");
    check_scene(&pending(), &Scene::before().created(10), 50, "Gone | - | -");
    check(&pending(), &Given::of(unreadable(50)), 50, "Pending | - | NotObserved");
    let moved = Scene::empty().deployment("theirs", "PRIMARY", 9, 10, "COMPLETED");
    check_scene(&pending(), &moved, 50, "Pending | - | Overtaken");
    // Theirs is waited for, and not for ever: no plan is made for a service while it is deployed.
    let moving = Scene::empty().deployment("theirs", "PRIMARY", 9, 10, "IN_PROGRESS");
    let step = Given::of(moving.facts(50)).step(&pending(), at(50));
    assert_eq!(told(&step), "Pending | - | DeploymentInProgress");
    let waiting = Change { waiting: step.reason, ..pending() };
    check_scene(&waiting, &moving, 50 + TIMEOUT, "Deferred | - | DeploymentInProgress");
    check_scene(&registering(), &moved, 60, "Registering | Register | -");
    check(
        &registering(),
        &Given { registration: registered(2), ..Given::of(moved.facts(60)) },
        60,
        "Overtaken | - | Overtaken",
    );
}

#[test]
fn a_change_that_is_not_eligible_any_more_is_blocked_or_waits_its_turn() {
    let deployed = Scene::before().edit(|service| service["deploymentController"] = json!({ "type": "CODE_DEPLOY" }));
    check_scene(&pending(), &deployed, 50, "Blocked | - | CodeDeployController");
    let busy = Scene::before().primary(|primary| primary["rolloutState"] = json!("IN_PROGRESS"));
    check_scene(&pending(), &busy, 50, "Pending | - | DeploymentInProgress");
    let given = Given { registration: registered(2), ..Given::of(busy.facts(60)) };
    check(&registering(), &given, 60, "Registering | - | DeploymentInProgress");
    // ECS's records, which are read after the service, have one that it does not show yet.
    let begun = Scene::before().record("SUCCESSFUL", 1, -9000).record("PENDING", 9, 45);
    check_scene(&pending(), &begun, 50, "Pending | - | DeploymentInProgress");
    let given = Given { registration: registered(2), ..Given::of(begun.facts(60)) };
    check(&registering(), &given, 60, "Registering | - | DeploymentInProgress");
    let over = Scene::before().record("SUCCESSFUL", 1, -9000).record("ROLLBACK_SUCCESSFUL", 9, 40);
    check_scene(&pending(), &over, 50, "Registering | Register | -");
    // Nor is it known that there is none, where they could not be read; who has none to read has none. A setting that starts no
    // deployment replaces nobody's.
    let unread = || Scene::before().records_unread();
    check_scene(&pending(), &unread(), 50, "Pending | - | NotObserved");
    let given = Given { registration: registered(2), ..Given::of(unread().facts(60)) };
    check(&registering(), &given, 60, "Registering | - | NotObserved");
    check_scene(&change(ChangeKind::DeployingSetting), &unread(), 50, "Pending | - | NotObserved");
    check_scene(&change(ChangeKind::QuietSetting), &unread(), 50, "Updating | Set | -");
    check_scene(&pending(), &Scene::before().records_unavailable(), 50, "Registering | Register | -");
}

#[test]
fn what_a_registration_came_to_decides_what_follows() {
    let check = |state: RegistrationState, expected: &str| {
        let given = Given { registration: Some(registration(state)), ..Given::of(Scene::before().facts(60)) };
        check(&registering(), &given, 60, expected)
    };
    check(RegistrationState::Intended { last: 1, at: at(50) }, "Registering | Register | -");
    let state = check(RegistrationState::Registered { arn: revision(2) }, "Updating | MoveTo web:2 | -");
    assert_eq!(state, State::Updating { to: Some(revision(2)), before: Some("old".to_owned()), intent: at(60) });
    let differs = reason(ReasonCode::RegisteredDiffers);
    let quarantined = RegistrationState::Quarantined { arn: revision(2), reason: differs };
    check(quarantined, "Quarantined | - | RegisteredDiffers");
    let moved = RegistrationState::Quarantined { arn: revision(2), reason: reason(ReasonCode::FamilyMoved) };
    check(moved, "Deferred | - | FamilyMoved");
    check(RegistrationState::Refused { reason: reason(ReasonCode::Refused) }, "Blocked | - | Refused");
    check(RegistrationState::Deregistered { arn: revision(2) }, "Registering | Register | -");
}

#[test]
fn what_came_of_an_earlier_rollouts_registration_is_no_answer_to_this_one() {
    let earlier = |state: RegistrationState| {
        let registration = Registration { rollout: "careful-0".to_owned(), ..registration(state) };
        let given = Given { registration: Some(registration), ..Given::of(Scene::before().facts(60)) };
        check(&registering(), &given, 60, "Registering | Register | -");
    };
    earlier(RegistrationState::Quarantined { arn: revision(2), reason: reason(ReasonCode::FamilyMoved) });
    earlier(RegistrationState::Refused { reason: reason(ReasonCode::Refused) });
}

#[test]
fn somebodys_deployment_is_waited_for_no_longer_than_ours() {
    let busy = Scene::before().primary(|primary| primary["rolloutState"] = json!("IN_PROGRESS"));
    let timeout = i64::try_from(HealthSpec::default().progress_timeout.0.as_secs()).unwrap();
    let mut waiting = pending();
    waiting.waiting = Some(Reason::of(ReasonCode::DeploymentInProgress, "theirs").until(at(50 + timeout)));
    check_scene(&waiting, &busy, 49 + timeout, "Pending | - | DeploymentInProgress");
    check_scene(&waiting, &busy, 50 + timeout, "Deferred | - | DeploymentInProgress");
    // Time in which it might not have begun anyway does not count.
    waiting.waiting = Some(reason(ReasonCode::Frozen).until(at(60)));
    check_scene(&waiting, &busy, 50 + timeout, "Pending | - | DeploymentInProgress");
}

#[test]
fn a_freeze_stops_every_step_forward_and_none_back() {
    let frozen = |scene: &Scene, second: i64| Given {
        forward: Some(reason(ReasonCode::Frozen)),
        registration: registered(2),
        ..Given::of(scene.facts(second))
    };
    check(&pending(), &frozen(&Scene::before(), 50), 50, "Pending | - | Frozen");
    check(&registering(), &frozen(&Scene::before(), 60), 60, "Registering | - | Frozen");
    let unregistered = Given { registration: None, ..frozen(&Scene::before(), 60) };
    check(&registering(), &unregistered, 60, "Registering | - | Frozen");
    check(&updating(), &frozen(&Scene::before(), INTENT + 30), INTENT + 30, "Updating | - | Frozen");
    // What ECS already does is watched on.
    check(&updating(), &frozen(&Scene::during(), INTENT + 3), INTENT + 3, "Stabilizing | - | -");
    let failing = stabilizing_since(progress(0, 2, INTENT));
    let given = frozen(&Scene::taken_back(), INTENT + 60);
    check(&failing, &given, INTENT + 60, "RollingBack | - | RolledBackByEcs");
}

#[test]
fn a_lost_reply_is_found_by_the_deployment_it_began() {
    let state = check_scene(&updating(), &Scene::during(), INTENT + 60, "Stabilizing | - | -");
    assert!(matches!(state, State::Stabilizing { deployment, .. } if deployment == "ours"));
    // Also when ECS has taken it back since and still shows it.
    let back = Scene::before().deployment("ours", "ACTIVE", 2, INTENT + 1, "FAILED").records_unavailable();
    check_scene(&updating(), &back, INTENT + 60, "Stabilizing | - | -");
}

#[test]
fn a_call_that_ecs_carried_out_and_took_back_unseen_is_never_repeated() {
    let state = check_scene(&updating(), &Scene::taken_back(), INTENT + 3600, "RollingBack | - | RolledBackByEcs");
    assert!(matches!(state, State::RollingBack { deployment: None, .. }));
    // A record without a sign of it on the service is a read that lags.
    let lagging = Scene::before().record("IN_PROGRESS", 2, INTENT + 1);
    check_scene(&updating(), &lagging, INTENT + 60, "Updating | - | OutcomeUnknown");
    check_scene(&updating(), &lagging, INTENT + TIMEOUT, "RollingBack | - | ProgressTimeout");
    let asked_for = Given::of(lagging.facts(INTENT + 60));
    check(&updating(), &asked_for, INTENT + TIMEOUT, "Updating | - | OutcomeUnknown");
}

#[test]
fn a_call_without_effect_is_repeated_only_once_reads_must_have_caught_up() {
    check_scene(&updating(), &Scene::before(), INTENT + 19, "Updating | - | OutcomeUnknown");
    let state = check_scene(&updating(), &Scene::before(), INTENT + 20, "Updating | MoveTo web:2 | -");
    assert_eq!(
        state,
        State::Updating { to: Some(revision(2)), before: Some("old".to_owned()), intent: at(INTENT + 20) }
    );
    check(&updating(), &Given::of(unreadable(INTENT + 60)), INTENT + 60, "Updating | - | NotObserved");
    check_scene(&updating(), &Scene::absent(), INTENT + 60, "Gone | - | -");
    // What was asked for before that may not show it, however long the answers took.
    let asked_for = |second| Given::of(Scene::before().facts(second));
    check(&updating(), &asked_for(INTENT + 19), INTENT + 60, "Updating | - | OutcomeUnknown");
    check(&updating(), &asked_for(INTENT + 20), INTENT + 60, "Updating | MoveTo web:2 | -");
    // Nor while nobody knows what they show, however long that is; its rollout pauses then. Ours is looked after, though.
    let unread = Scene::before().records_unread();
    check_scene(&updating(), &unread, INTENT + TIMEOUT - 1, "Updating | - | NotObserved");
    check_scene(&updating(), &unread, INTENT + TIMEOUT, "Updating | - | NotObserved");
    let begun = Scene::during().records_unread();
    check_scene(&updating(), &begun, INTENT + TIMEOUT - 1, "Updating | - | NotObserved");
    check(&updating(), &Given::of(begun.facts(INTENT + TIMEOUT - 1)), INTENT + TIMEOUT, "Updating | - | NotObserved");
    check_scene(&updating(), &begun, INTENT + TIMEOUT, "Stabilizing | - | -");
    // Nor over what ECS's records show to have begun meanwhile, though the service does not.
    let begun = Scene::before().record("SUCCESSFUL", 1, -9000).record("PENDING", 9, INTENT + 20);
    check_scene(&updating(), &begun, INTENT + 21, "Updating | - | DeploymentInProgress");
}

#[test]
fn a_call_that_never_has_an_effect_is_not_repeated_for_ever() {
    let mut change = updating();
    // Each is waited for as long as reads may lag: so often is that, for as long as may be.
    for told in 1..=TIMEOUT / 20 {
        assert_eq!(i64::from(change.told), told);
        let second = INTENT + told * 20;
        let step = Given::of(Scene::before().facts(second)).step(&change, at(second));
        change.enter(step.state, step.reason, at(second));
    }
    assert!(matches!(&change.state, State::RollingBack { cause, .. } if cause.code == ReasonCode::ProgressTimeout));
    // A long freeze is no time spent on it: there is one more try.
    check_scene(&updating(), &Scene::before(), INTENT + 90_000, "Updating | MoveTo web:2 | -");
}

#[test]
fn somebody_who_deploys_while_ours_is_being_started_is_left_alone() {
    check_scene(&updating(), &Scene::overtaken(), INTENT + 60, "Overtaken | - | Overtaken");
    let theirs = Scene::empty().deployment("theirs", "PRIMARY", 1, INTENT + 5, "IN_PROGRESS");
    check_scene(&updating(), &theirs, INTENT + 60, "Overtaken | - | Overtaken");
}

#[test]
fn a_setting_adopts_only_a_deployment_that_keeps_the_revision() {
    let setting = entered(change(ChangeKind::DeployingSetting), intent_of(Some(1)), INTENT);
    let begun = |number: u32, created: i64| Scene::empty().deployment("new", "PRIMARY", number, created, "IN_PROGRESS");
    let listed = begun(1, INTENT + 1).record("IN_PROGRESS", 1, INTENT + 1);
    check_scene(&setting, &listed, INTENT + 3, "Stabilizing | - | -");
    // Whether it replaced somebody's, ECS's record tells, which may be listed later; a service may have none.
    check_scene(&setting, &begun(1, INTENT + 1), INTENT + 3, "Updating | - | NotObserved");
    check_scene(&setting, &begun(1, INTENT + 1), INTENT + 21, "Stabilizing | - | -");
    check_scene(&setting, &begun(9, INTENT + 1), INTENT + 3, "Overtaken | - | Overtaken");
    check_scene(&setting, &Scene::before(), INTENT + 20, "Updating | Set | -");
    let back = Scene::before().record("ROLLBACK_SUCCESSFUL", 1, INTENT + 1);
    check_scene(&setting, &back, INTENT + 60, "RollingBack | - | RolledBackByEcs");
}

#[test]
fn a_setting_that_goes_over_somebodys_deployment_brings_what_they_deployed() {
    let mut setting = entered(change(ChangeKind::DeployingSetting), intent_of(Some(1)), INTENT);
    setting.spec.setting = Some(Setting {
        forward: json!({ "platformVersion": "LATEST" }).as_object().unwrap().clone(),
        back: json!({ "platformVersion": "1.3.0" }).as_object().unwrap().clone(),
    });
    let shows = |scene: Scene, version: &str| scene.edit(|service| service["platformVersion"] = json!(version));
    let ours = || shows(Scene::empty().deployment("ours", "PRIMARY", 9, INTENT + 2, "IN_PROGRESS"), "LATEST");
    let theirs = || ours().deployment("theirs", "ACTIVE", 9, INTENT + 1, "IN_PROGRESS");
    let from = |scene: Scene, number: u32| {
        scene.record_with("IN_PROGRESS", 9, INTENT + 2, |record| record["sources"] = json!([number]))
    };
    // Their deployment drains still, or ECS's record says what ours came from.
    check_scene(&setting, &theirs().records_unavailable(), INTENT + 3, "Clobbering | - | Clobbered");
    check_scene(&setting, &from(ours(), 9), INTENT + 3, "Clobbering | - | Clobbered");
    let both = ours().record_with("IN_PROGRESS", 9, INTENT + 2, |record| record["sources"] = json!([1, 9]));
    check_scene(&setting, &both, INTENT + 3, "Clobbering | - | Clobbered");
    // That is not listed yet.
    check_scene(&setting, &ours(), INTENT + 3, "Updating | - | NotObserved");
    check_scene(&setting, &theirs(), INTENT + 3, "Clobbering | - | Clobbered");
    // Somebody has tasks replaced by others of the same: what does not show the setting is theirs.
    let forced = |version: &str| {
        let scene = Scene::empty().deployment("forced", "PRIMARY", 1, INTENT + 500, "IN_PROGRESS");
        shows(scene.record("IN_PROGRESS", 1, INTENT + 500), version)
    };
    check_scene(&setting, &forced("1.3.0"), INTENT + 510, "Overtaken | - | Overtaken");
    check_scene(&setting, &forced("LATEST"), INTENT + 510, "Stabilizing | - | -");
    // What came from another revision is theirs, and so is what does not show the setting.
    check_scene(&setting, &from(ours(), 1), INTENT + 3, "Overtaken | - | Overtaken");
    check_scene(&setting, &shows(from(ours(), 9), "1.3.0"), INTENT + 3, "Overtaken | - | Overtaken");
    // Ours had begun before they deployed over it; they have only begun the same again since.
    let before = from(ours(), 9).record("STOPPED", 1, INTENT + 1);
    check_scene(&setting, &before, INTENT + 3, "Overtaken | - | Overtaken");
    // Somebody had set something right before they deployed: that was none of ours.
    let set = from(ours(), 9).record("STOPPED", 1, INTENT - 3);
    check_scene(&setting, &set, INTENT + 3, "Clobbering | - | Clobbered");
}

#[test]
fn a_setting_that_starts_no_deployment_is_sent_again_whatever_is_deployed() {
    let quiet = entered(change(ChangeKind::QuietSetting), intent_of(Some(1)), INTENT);
    let cluster = entered(change(ChangeKind::ClusterSetting), intent_of(None), INTENT);
    // A service that CodeDeploy or task sets deploy shows no deployments at all.
    for scene in [Scene::before(), Scene::empty(), Scene::overtaken()] {
        check_scene(&quiet, &scene, INTENT + 19, "Updating | - | OutcomeUnknown");
        check_scene(&quiet, &scene, INTENT + 20, "Updating | Set | -");
    }
    check_scene(&quiet, &Scene::absent(), INTENT + 20, "Gone | - | -");
    check_scene(&cluster, &Scene::absent(), INTENT + 20, "Updating | Set | -");
}

#[test]
fn every_landing_has_its_answer() {
    let moving = stabilizing_since(progress(0, 2, INTENT));
    let now = INTENT + 60;
    check_scene(&moving, &Scene::landed(), now, "Verifying | - | Steadying");
    check_scene(&moving, &Scene::during().tasks(1, 2, "ours"), now, "Stabilizing | - | Progressing");
    check_scene(&moving, &Scene::landed().tasks_unknown(), now, "Stabilizing | - | NotObserved");
    check_scene(&moving, &Scene::taken_back(), now, "RollingBack | - | RolledBackByEcs");
    check_scene(&moving, &Scene::overtaken(), now, "Overtaken | - | Overtaken");
    // Not by somebody: an earlier call of ours came late, over what somebody had deployed meanwhile.
    let late = Scene::empty().deployment("late", "PRIMARY", 2, now - 5, "IN_PROGRESS").tasks(2, 2, "late");
    check_scene(&moving, &late, now, "Overtaken | - | Overtaken");
    let mut unheard = updating();
    late::not_heard_of(&mut unheard, at(INTENT));
    let unheard = Change { state: moving.state.clone(), ..unheard };
    // What it replaced is told by its record.
    check_scene(&unheard, &late, now, "Stabilizing | - | NotObserved");
    let listed = |sources: serde_json::Value| {
        let scene = Scene::empty().deployment("late", "PRIMARY", 2, now - 5, "IN_PROGRESS").tasks(2, 2, "late");
        scene.record_with("IN_PROGRESS", 2, now - 5, |record| record["sources"] = sources)
    };
    check_scene(&unheard, &listed(json!([9])), now, "Clobbering | - | Clobbered");
    check_scene(&unheard, &listed(json!([2])), now, "Overtaken | - | Overtaken");
    check_scene(&unheard, &Scene::overtaken(), now, "Overtaken | - | Overtaken");
    let mut told = unheard;
    let next = clobbering(Some(&revision(2)), "late", at(now), &reason(ReasonCode::Clobbered), at(now));
    late::heard_of(&mut told, &next);
    assert_eq!(told.unheard, [], "it is heard of by now");
    check_scene(&moving, &Scene::absent(), now, "Gone | - | -");
    let zero = Scene::empty()
        .deployment("ours", "PRIMARY", 2, INTENT + 1, "COMPLETED")
        .record("SUCCESSFUL", 2, INTENT + 1)
        .desired(0);
    check_scene(&moving, &zero, now, "Unverified | - | NothingRuns");
}

#[test]
fn tasks_are_watched_for_as_long_as_asked_before_a_change_stands() {
    check_scene(&verifying_since(200), &Scene::landed(), 259, "Verifying | - | Steadying");
    let state = check_scene(&verifying_since(200), &Scene::landed(), 260, "Succeeded | - | -");
    assert_eq!(state, State::Succeeded { at: at(260), deployment: Some("ours".to_owned()) });
    check_scene(&verifying_since(200), &Scene::landed().tasks_unknown(), 900, "Verifying | - | NotObserved");
}

#[test]
fn steadiness_begins_anew_after_a_task_was_lost() {
    let lost = Scene::during().tasks(1, 2, "ours");
    check_scene(&verifying_since(200), &lost, 230, "Stabilizing | - | Progressing");
    let again = stabilizing_since(progress(2, 0, 230));
    let state = check_scene(&again, &Scene::landed(), 240, "Verifying | - | Steadying");
    assert!(matches!(state, State::Verifying { steady_since, .. } if steady_since == at(240)));
}

#[test]
fn a_change_without_progress_fails_at_its_deadline_and_not_before() {
    let stuck = || Scene::during().tasks(1, 1, "old").tasks(1, 2, "ours");
    let moving = stabilizing_since(progress(1, 1, 200));
    check_scene(&moving, &stuck(), 200 + TIMEOUT - 1, "Stabilizing | - | Draining");
    check_scene(&moving, &stuck(), 200 + TIMEOUT, "RollingBack | - | ProgressTimeout");
    // Nor by what was asked for before it and is decided on later: by a process that was suspended.
    let asked_for = |second| Given::of(stuck().facts(second));
    check(&moving, &asked_for(200 + TIMEOUT - 1), 9000, "Stabilizing | - | Draining");
    check(&moving, &asked_for(200 + TIMEOUT), 9000, "RollingBack | - | ProgressTimeout");
    let (to, deployment, reason) = (Some(revision(2)), "ours".to_owned(), Reason::of(ReasonCode::Clobbered, ""));
    let over = State::Clobbering { reason, to, deployment, intent: at(INTENT), progress: progress(1, 1, 200) };
    let over = entered(updating(), over, INTENT + 2);
    check(&over, &asked_for(200 + TIMEOUT - 1), 9000, "Clobbering | - | Clobbered");
    check(&over, &asked_for(200 + TIMEOUT), 9000, "Clobbered | - | Clobbered");
    let better = Scene::during().tasks(2, 2, "ours").tasks(1, 1, "old");
    check_scene(&moving, &better, 200 + TIMEOUT, "Stabilizing | - | Draining");
}

#[test]
fn tasks_that_come_and_go_are_no_progress() {
    let seen = progress(0, 2, 0).seen(1, 2, at(10)).seen(0, 2, at(20)).seen(1, 2, at(30));
    assert_eq!(seen, progress(1, 2, 10));
}

#[test]
fn time_that_ecs_itself_waits_is_no_time_without_progress() {
    let bake = Scene::landed()
        .no_records()
        .record_with("IN_PROGRESS", 2, INTENT + 1, |record| record["lifecycleStage"] = json!("BAKE_TIME"));
    let day = 24 * 3600;
    let state = check_scene(&stabilizing_since(progress(2, 0, 200)), &bake, day, "Stabilizing | - | NativeWait");
    assert!(matches!(state, State::Stabilizing { progress, .. } if progress.at == at(day)));
}

#[test]
fn time_in_which_all_was_steady_is_no_time_without_progress() {
    // Landed at 200, and steady ever since: one lost task right at the old deadline is no failure.
    let lost = Scene::during().tasks(1, 2, "ours");
    check_scene(&verifying_since(200), &lost, 200 + TIMEOUT, "Stabilizing | - | Progressing");
}

#[test]
fn a_state_that_is_final_stays_as_it_is() {
    let why = || reason(ReasonCode::Refused);
    let finals = [
        State::Succeeded { at: at(1), deployment: Some("ours".to_owned()) },
        State::Unverified { at: at(1), deployment: None, reason: why() },
        State::RolledBack { cause: why(), at: at(1), deployment: None },
        State::Failed { cause: why(), reason: why(), at: at(1) },
        State::Quarantined { reason: why(), at: at(1) },
        State::Blocked { reason: why(), at: at(1) },
        State::Deferred { reason: why(), at: at(1) },
        State::Overtaken { reason: why(), at: at(1) },
        State::Clobbered { reason: why(), at: at(1) },
        State::Gone { at: at(1) },
    ];
    for state in finals {
        assert!(state.phase().is_final());
        let change = entered(pending(), state.clone(), 1);
        for scene in [Scene::before(), Scene::during(), Scene::taken_back(), Scene::absent()] {
            let step = Given::of(scene.facts(500)).step(&change, at(500));
            assert_eq!((step.state, step.action), (state.clone(), None));
        }
    }
}

#[test]
fn what_failed_has_failed_though_somebody_deployed_over_it_since() {
    let failing = entered(
        stabilizing_since(progress(0, 2, INTENT)),
        State::RollingBack {
            cause: reason(ReasonCode::TasksFail),
            deployment: Some("ours".to_owned()),
            intent: at(INTENT),
            back: Back::Deciding,
        },
        300,
    );
    let overtaken = State::Overtaken { reason: reason(ReasonCode::MovedOn), at: at(310) };
    assert!(entered(failing.clone(), overtaken.clone(), 310).failed());
    assert!(entered(failing.clone(), State::Gone { at: at(310) }, 310).failed());
    assert!(!entered(updating(), overtaken.clone(), 310).failed());
    let retried = entered(entered(failing, overtaken.clone(), 310), State::Pending, 400);
    assert!(!entered(retried, overtaken, 410).failed());
    assert_eq!(HEALTH.progress_timeout.0.as_secs(), 20 * 60);
}

#[test]
fn pinned_images_are_those_of_the_service_revision_that_still_runs() {
    let pinned = |change: Change| {
        let documents = Documents {
            previous: "sha256:1".to_owned(),
            wanted: "sha256:2".to_owned(),
            pinned_from: Some("arn:r1".to_owned()),
            tagged: BTreeSet::new(),
            untagged: BTreeSet::new(),
            recorded: false,
        };
        Change { spec: ChangeSpec { documents: Some(documents), ..change.spec.clone() }, ..change }
    };
    let scene = |revisions: &[&str]| {
        let current: Vec<Value> = revisions.iter().map(|arn| json!({ "arn": arn })).collect();
        Scene::before().edit(|service| service["currentServiceRevisions"] = json!(current))
    };
    // What has not begun is planned anew; what was registered pins what nobody wants any more.
    for (revisions, waits, begun) in [
        (&["arn:r1"][..], "Registering | Register | -", "Updating | MoveTo web:2 | -"),
        (&["arn:r2"], "Pending | - | Overtaken", "Overtaken | - | Overtaken"),
        (&[], "Pending | - | NotObserved", "Registering | - | NotObserved"),
        (&["arn:r1", "arn:r2"], "Pending | - | NotObserved", "Registering | - | NotObserved"),
    ] {
        let given = Given { registration: registered(2), ..Given::of(scene(revisions).facts(90)) };
        check(&pinned(pending()), &given, 90, waits);
        check(&pinned(registering()), &given, 90, begun);
        // Without a pin, the revision alone tells.
        check(&registering(), &given, 90, "Updating | MoveTo web:2 | -");
    }
}

#[test]
fn what_cannot_be_told_is_waited_for_and_says_until_when() {
    let mut change = stabilizing_since(progress(1, 1, INTENT + 5));
    let look = |change: &Change, second: i64| Given::of(unreadable(second)).step(change, at(second));
    let reason = look(&change, INTENT + 60).reason.expect("a reason");
    assert_eq!((reason.code, reason.until), (ReasonCode::NotObserved, Some(at(INTENT + 60 + TIMEOUT))));
    change.waiting = Some(reason.clone());
    // It keeps its place: what becomes of that is its rollout's affair.
    let later = look(&change, INTENT + 60 + TIMEOUT + 900);
    assert_eq!((later.state, later.reason), (change.state.clone(), Some(reason)));
    let Step { state, .. } = fail(Some("ours"), at(INTENT), crate::rollout::fixture::reason(ReasonCode::TasksFail));
    change.state = state;
    assert_eq!(look(&change, INTENT + 60 + TIMEOUT - 1).state, change.state);
    assert!(matches!(look(&change, INTENT + 60 + TIMEOUT).state, State::Failed { .. }));
}
