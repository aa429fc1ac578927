//! Ours replaced somebody's: how that is found, and what follows.

use super::*;

#[test]
fn what_goes_over_somebodys_deployment_is_over_when_ecs_is_done_with_it() {
    let over = |second| {
        let change = entered(
            pending(),
            clobbering(Some(&revision(2)), "ours", at(INTENT), &reason(ReasonCode::Clobbered), at(second)),
            second,
        );
        assert!(change.state.phase().is_in_flight() && !change.state.phase().is_final() && change.failed());
        change
    };
    let stuck = Scene::during().tasks(1, 1, "old").tasks(1, 2, "ours");
    check_scene(&over(200), &stuck, 210, "Clobbering | - | Clobbered");
    let mut long = over(200);
    if let State::Clobbering { progress: best, .. } = &mut long.state {
        *best = progress(1, 1, 200);
    }
    check_scene(&long, &stuck, 200 + TIMEOUT - 1, "Clobbering | - | Clobbered");
    check_scene(&long, &stuck, 200 + TIMEOUT, "Clobbered | - | Clobbered");
    for scene in [Scene::landed(), Scene::taken_back(), Scene::overtaken()] {
        check_scene(&over(200), &scene, 210, "Clobbered | - | Clobbered");
    }
    // What cannot be told of it is waited for no longer either.
    let unseen = || Scene::landed().tasks_unknown();
    check_scene(&over(200), &unseen(), 210, "Clobbering | - | NotObserved");
    let mut blind = over(200);
    blind.waiting = Some(reason(ReasonCode::NotObserved).until(at(210 + TIMEOUT)));
    check_scene(&blind, &unseen(), 210 + TIMEOUT, "Clobbered | - | NotObserved");
    check_scene(&over(200), &Scene::absent(), 210, "Gone | - | -");
}

#[test]
fn an_adopted_deployment_that_replaced_somebodys_is_a_clobber() {
    let theirs = |created: i64| Scene::during().deployment("theirs", "ACTIVE", 9, created, "IN_PROGRESS");
    check_scene(&updating(), &Scene::during(), INTENT + 3, "Stabilizing | - | -");
    check_scene(&updating(), &theirs(INTENT), INTENT + 3, "Clobbering | - | Clobbered");
    check_scene(&updating(), &theirs(INTENT).records_unavailable(), INTENT + 3, "Clobbering | - | Clobbered");
    // Said as soon as it shows: it is gone when the records can be read, or list ours.
    check_scene(&updating(), &theirs(INTENT).records_unread(), INTENT + 3, "Clobbering | - | Clobbered");
    check_scene(&updating(), &theirs(INTENT).no_records(), INTENT + 3, "Clobbering | - | Clobbered");
    check_scene(&updating(), &Scene::during().records_unread(), INTENT + 3, "Updating | - | NotObserved");
    check_scene(&updating(), &theirs(INTENT + 2), INTENT + 3, "Stabilizing | - | -");
    // Who sets something deploys what the service had: ECS stopped that for ours, and nobody was deploying when we looked.
    let source =
        |scene: Scene| scene.record_with("IN_PROGRESS", 2, INTENT + 9, |record| record["sources"] = json!([1]));
    let set = |status: &str, second| {
        let scene = Scene::empty().deployment("ours", "PRIMARY", 2, INTENT + 9, "IN_PROGRESS");
        source(scene.record("SUCCESSFUL", 1, -9000).record(status, 1, second))
    };
    check_scene(&updating(), &set("STOPPED", INTENT + 5), INTENT + 30, "Clobbering | - | Clobbered");
    check_scene(&updating(), &set("STOPPED", INTENT - 40), INTENT + 30, "Clobbering | - | Clobbered");
    check_scene(&updating(), &set("STOPPED", INTENT - 60), INTENT + 30, "Stabilizing | - | -");
    check_scene(&updating(), &set("SUCCESSFUL", INTENT + 5), INTENT + 30, "Stabilizing | - | -");
    // Theirs is gone already: ECS's record tells what ours came from.
    let from = |number: u32| {
        Scene::during()
            .no_records()
            .record_with("IN_PROGRESS", 2, INTENT + 1, |record| record["sources"] = json!([number]))
    };
    check_scene(&updating(), &from(1), INTENT + 3, "Stabilizing | - | -");
    check_scene(&updating(), &from(9), INTENT + 3, "Clobbering | - | Clobbered");
    // Listed, and not described yet: what it replaced is not told.
    let listed = Scene::during().no_records().record_with("IN_PROGRESS", 2, INTENT + 1, |record| {
        record["brief"] = json!(true);
    });
    check_scene(&updating(), &listed, INTENT + 3, "Updating | - | NotObserved");
}

#[test]
fn what_the_answer_did_not_show_is_told_by_the_record_of_what_ours_replaced() {
    let from = |scene: Scene, status: &str, number: u32| {
        scene.no_records().record_with(status, 2, INTENT + 1, |record| record["sources"] = json!([number]))
    };
    let moving = || stabilizing_since(progress(0, 2, INTENT));
    for number in [1, 2] {
        check_scene(
            &moving(),
            &from(Scene::during(), "IN_PROGRESS", number),
            INTENT + 60,
            "Stabilizing | - | Progressing",
        );
        check_scene(&verifying_since(200), &from(Scene::landed(), "SUCCESSFUL", number), 260, "Succeeded | - | -");
    }
    for change in [moving(), verifying_since(200)] {
        check_scene(&change, &from(Scene::during(), "IN_PROGRESS", 9), 260, "Clobbering | - | Clobbered");
        check_scene(&change, &from(Scene::landed(), "SUCCESSFUL", 9), 260, "Clobbering | - | Clobbered");
    }
    // Also where nothing runs, and where it fails: what it came from is not what the service had.
    let zero = from(Scene::landed().desired(0), "SUCCESSFUL", 9);
    check_scene(&moving(), &zero, 260, "Clobbering | - | Clobbered");
    let failing = from(Scene::during(), "IN_PROGRESS", 9).primary(|primary| primary["failedTasks"] = json!(3));
    check_scene(&moving(), &failing, 260, "Clobbering | - | Clobbered");
    // A setting keeps its revision, and so did whatever it replaced.
    let setting = |state: State| {
        let mut change = change(ChangeKind::DeployingSetting);
        let members = |value: u32| Map::from_iter([("m".to_owned(), json!(value))]);
        change.spec.setting = Some(Setting { forward: members(1), back: members(0) });
        entered(change, state, 200)
    };
    let kept = |number: u32| {
        let scene = Scene::empty().deployment("ours", "PRIMARY", 1, INTENT + 1, "COMPLETED").tasks(2, 1, "ours");
        let scene = scene.edit(|service| service["m"] = json!(1));
        scene.record_with("SUCCESSFUL", 1, INTENT + 1, |record| record["sources"] = json!([number]))
    };
    let verifying = || setting(verifying_since(200).state);
    check_scene(&verifying(), &kept(1), 260, "Succeeded | - | -");
    check_scene(&verifying(), &kept(9), 260, "Clobbering | - | Clobbered");
}

#[test]
fn the_record_that_the_service_names_is_ours_and_not_one_of_a_moment_before() {
    // Somebody brought back what the setting keeps, right before it began.
    let scene = Scene::empty()
        .deployment("ours", "PRIMARY", 2, INTENT + 1, "COMPLETED")
        .record_with("SUCCESSFUL", 2, INTENT, |record| record["sources"] = json!([9]))
        .tasks(2, 2, "ours");
    let named = |number: usize| {
        let arn = format!("arn:aws:ecs:eu-west-1:1:service-deployment/prod/web/d{number}");
        scene.clone().edit(|service| service["currentServiceDeployment"] = json!(arn))
    };
    check_scene(&verifying_since(200), &named(0), 260, "Clobbering | - | Clobbered");
    check_scene(&verifying_since(200), &named(1), 260, "Succeeded | - | -");
}

#[test]
fn a_change_does_not_stand_before_its_record_can_have_been_listed() {
    let scene = Scene::empty().deployment("ours", "PRIMARY", 2, 250, "COMPLETED").tasks(2, 2, "ours");
    check_scene(&verifying_since(200), &scene, 260, "Verifying | - | NotObserved");
    check_scene(&verifying_since(200), &scene, 270, "Succeeded | - | -");
    check_scene(&verifying_since(200), &scene.records_unavailable(), 260, "Succeeded | - | -");
    // Nor is it left alone, as one that runs nothing is.
    let zero = Scene::empty().deployment("ours", "PRIMARY", 2, 250, "COMPLETED").desired(0);
    check_scene(&verifying_since(200), &zero, 260, "Verifying | - | NotObserved");
    check_scene(&verifying_since(200), &zero, 270, "Unverified | - | NothingRuns");
    check_scene(&verifying_since(200), &zero.records_unavailable(), 260, "Unverified | - | NothingRuns");
}

#[test]
fn what_somebody_set_on_our_revision_before_we_looked_is_not_taken_for_ours() {
    let set = || {
        Scene::empty()
            .deployment("theirs", "PRIMARY", 2, INTENT + 10, "IN_PROGRESS")
            .record_with("IN_PROGRESS", 2, INTENT + 10, |record| record["sources"] = json!([2]))
            .record_with("STOPPED", 2, INTENT + 1, |record| record["sources"] = json!([1]))
    };
    // Ours is listed, and theirs, which the service names, is not yet.
    let lags = Scene::empty()
        .deployment("theirs", "PRIMARY", 2, INTENT + 10, "IN_PROGRESS")
        .record("STOPPED", 2, INTENT + 1)
        .edit(|service| {
            let arn = "arn:aws:ecs:eu-west-1:1:service-deployment/prod/web/theirs";
            service["currentServiceDeployment"] = json!(arn);
        });
    check_scene(&updating(), &lags, INTENT + 29, "Updating | - | NotObserved");
    for second in [INTENT + 12, INTENT + 60] {
        check_scene(&updating(), &set(), second, "Overtaken | - | Overtaken");
        // Ours is on its way out, and looked after until it is.
        let shown = set().deployment("ours", "ACTIVE", 2, INTENT + 1, "IN_PROGRESS");
        for scene in [shown.clone(), shown.records_unavailable()] {
            let state = check_scene(&updating(), &scene, second, "Stabilizing | - | -");
            assert!(matches!(&state, State::Stabilizing { deployment, .. } if deployment == "ours"), "{state:?}");
            check_scene(&entered(updating(), state, second), &scene, second + 30, "Overtaken | - | Overtaken");
        }
    }
}

#[test]
fn a_setting_that_goes_over_what_somebody_set_right_before_is_a_clobber() {
    let setting = entered(change(ChangeKind::DeployingSetting), intent_of(Some(1)), INTENT);
    let over = |status: &str, second: i64| {
        let scene = Scene::empty().deployment("ours", "PRIMARY", 1, INTENT + 9, "IN_PROGRESS");
        let scene = scene.record("SUCCESSFUL", 1, -9000).record(status, 1, second);
        scene.record_with("IN_PROGRESS", 1, INTENT + 9, |record| record["sources"] = json!([1]))
    };
    // The answer was lost, and reads lagged when it was sent.
    check_scene(&setting, &over("STOPPED", INTENT - 9), INTENT + 30, "Clobbering | - | Clobbered");
    check_scene(&setting, &over("STOPPED", INTENT - 60), INTENT + 30, "Stabilizing | - | -");
    check_scene(&setting, &over("SUCCESSFUL", INTENT - 9), INTENT + 30, "Stabilizing | - | -");
}
