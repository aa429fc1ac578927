use serde_json::json;

use super::*;
use crate::model::ChangeKind;
use crate::model::change::Setting;
use crate::rollout::fixture::{INTENT, Scene, at, change, entered, reason, revision, unreadable};

/// The verdict in a word: what it is, why, and for a move under way how many tasks are on either side.
fn word(landing: &Landing) -> String {
    match landing {
        Landing::Landed { moved } => format!("Landed {moved}"),
        Landing::NothingRuns(_) => "NothingRuns".to_owned(),
        Landing::Underway { reason, moved, left, native } => {
            let native = if *native { " native" } else { "" };
            format!("Underway {} {moved}/{left}{native}", reason.code.as_str())
        }
        Landing::Failed(reason) => format!("Failed {}", reason.code.as_str()),
        Landing::Overtaken(_) => "Overtaken".to_owned(),
        Landing::Gone => "Gone".to_owned(),
        Landing::Unknown(reason) => format!("Unknown {}", reason.code.as_str()),
    }
}

fn revision_move(facts: &Facts) -> Landing {
    let (to, from) = (revision(2), revision(1));
    let expected =
        Expected { created_at: at(-99_999), to: Some(&to), from: Some(&from), deployment: "ours", intent: at(INTENT) };
    judge(facts, &expected)
}

/// Of a change of revision, looked at well after reads have caught up.
#[track_caller]
fn check(scene: &Scene, expected: &str) {
    assert_eq!(word(&revision_move(&scene.facts(INTENT + 300))), expected);
}

/// Of a setting that starts a deployment: the revision stays.
#[track_caller]
fn check_setting(scene: &Scene, expected: &str) {
    let from = revision(1);
    let move_ =
        Expected { created_at: at(-99_999), to: None, from: Some(&from), deployment: "ours", intent: at(INTENT) };
    assert_eq!(word(&judge(&scene.facts(INTENT + 300), &move_)), expected);
}

#[test]
fn every_task_on_the_new_revision_and_ecs_done_is_landed() {
    check(&Scene::landed(), "Landed 2");
    check(&Scene::landed().records_unavailable(), "Landed 2");
    check(&Scene::landed().no_records(), "Landed 2");
}

#[test]
fn a_service_that_was_deleted_or_made_again_is_gone() {
    check(&Scene::absent(), "Gone");
    check(&Scene::landed().created(INTENT + 10), "Gone");
    check(&Scene::landed().edit(|service| service["status"] = json!("INACTIVE")), "Gone");
    check(&Scene::landed().edit(|service| service["status"] = json!("DRAINING")), "Gone");
}

#[test]
fn what_cannot_be_read_is_unknown_and_never_a_failure() {
    assert_eq!(word(&revision_move(&unreadable(INTENT + 300))), "Unknown NotObserved");
    check(&Scene::landed().tasks_unknown(), "Unknown NotObserved");
    check(&Scene::empty(), "Unknown NotObserved");
}

#[test]
fn records_that_cannot_be_read_decide_nothing_and_leave_nothing_to_others() {
    for scene in [Scene::landed(), Scene::taken_back(), Scene::overtaken(), Scene::during()] {
        check(&scene.records_unread(), "Unknown NotObserved");
    }
    // What our own deployment shows of itself is no matter of records.
    let failed = |scene: Scene| scene.primary(|primary| primary["failedTasks"] = json!(3));
    check(&failed(Scene::during()).records_unread(), "Failed TasksFail");
    check(&Scene::absent().records_unread(), "Gone");
}

#[test]
fn a_rolled_back_deployment_is_not_success_though_the_service_is_stable() {
    check(&Scene::taken_back(), "Failed RolledBackByEcs");
    for status in ["ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"] {
        check(&Scene::during().no_records().record(status, 2, INTENT + 1), "Failed RolledBackByEcs");
    }
}

#[test]
fn without_service_deployments_the_older_primary_tells_that_ecs_went_back() {
    check(&Scene::taken_back().records_unavailable(), "Failed RolledBackByEcs");
    let ours_drains = Scene::before().deployment("ours", "ACTIVE", 2, INTENT + 1, "FAILED").records_unavailable();
    check(&ours_drains, "Failed RolledBackByEcs");
    let ours_listed = Scene::before().deployment("ours", "ACTIVE", 2, INTENT + 1, "IN_PROGRESS").records_unavailable();
    check(&ours_listed, "Failed RolledBackByEcs");
}

#[test]
fn a_read_that_lags_is_no_rollback() {
    let stale = Scene::before().facts(INTENT + 5);
    assert_eq!(word(&revision_move(&stale)), "Unknown OutcomeUnknown");
    let later = Scene::before().facts(INTENT + 20);
    assert_eq!(word(&revision_move(&later)), "Failed RolledBackByEcs");
}

#[test]
fn somebody_elses_deployment_over_ours_is_no_failure() {
    // ECS stops the service deployment that another one replaces.
    check(&Scene::overtaken(), "Overtaken");
    check(&Scene::overtaken().records_unavailable(), "Overtaken");
    // Even back to the revision that ran before: a newer deployment is a person's, an older one ECS's.
    let back = Scene::empty().deployment("theirs", "PRIMARY", 1, INTENT + 50, "COMPLETED").tasks(2, 1, "theirs");
    check(&back, "Overtaken");
    check(&back.record("STOPPED", 2, INTENT + 1), "Overtaken");
}

#[test]
fn a_deployment_that_another_one_has_superseded_is_no_failure_where_the_service_does_not_show_that_one_yet() {
    let superseded = |scene: Scene| scene.no_records().record("STOPPED", 2, INTENT + 1);
    check(&superseded(Scene::during()), "Failed DeploymentFailed");
    check(&superseded(Scene::during()).record("IN_PROGRESS", 9, INTENT + 290), "Unknown NotObserved");
    check(&superseded(Scene::during()).record("SUCCESSFUL", 9, INTENT + 290), "Unknown NotObserved");
    // ECS has gone back from theirs, or the service would show it; what was before ours has nothing to do with it.
    check(&superseded(Scene::during()).record("ROLLBACK_SUCCESSFUL", 9, INTENT + 280), "Failed DeploymentFailed");
    check(&superseded(Scene::during()).record("SUCCESSFUL", 1, -9000), "Failed DeploymentFailed");
    check(&superseded(Scene::overtaken()).record("IN_PROGRESS", 9, INTENT + 30), "Overtaken");
}

#[test]
fn a_deployment_that_ecs_gave_up_is_a_failure() {
    check(&Scene::during().primary(|primary| primary["rolloutState"] = json!("FAILED")), "Failed DeploymentFailed");
    for status in ["STOP_REQUESTED", "STOPPED"] {
        check(&Scene::during().no_records().record(status, 2, INTENT + 1), "Failed DeploymentFailed");
    }
}

#[test]
fn three_tasks_that_fail_in_a_row_are_a_failure_and_two_are_not() {
    let failing = |count: u32| Scene::during().primary(|primary| primary["failedTasks"] = json!(count));
    check(&failing(3), "Failed TasksFail");
    check(&failing(2), "Underway Progressing 0/0");
}

#[test]
fn a_failure_tells_the_last_words_of_our_own_tasks() {
    let stopped = |by: &str, code: &str, words: &str, second: i64, scene: Scene| {
        scene.task(2, by, |task| {
            task["lastStatus"] = json!("STOPPED");
            task["stopCode"] = json!(code);
            task["stoppedReason"] = json!(words);
            task["stoppedAt"] = json!(second);
        })
    };
    let scene = Scene::during().primary(|primary| primary["failedTasks"] = json!(3));
    let scene = stopped("ours", "EssentialContainerExited", "exit 1", 10, scene);
    let scene = stopped("ours", "SpotInterruption", "spot", 20, scene);
    let scene = stopped("theirs", "EssentialContainerExited", "not ours", 30, scene);
    let Landing::Failed(reason) = revision_move(&scene.facts(INTENT + 300)) else { panic!("it has failed") };
    assert!(reason.message.ends_with("the last one with: exit 1"), "{}", reason.message);
}

/// Every way in which ECS's words come into a reason, with the same words, and what is told of them.
#[track_caller]
fn check_told(words: &str, secrets: &Secrets, told: &str) {
    let stopped = |task: &mut Value| {
        task["lastStatus"] = json!("STOPPED");
        task["stopCode"] = json!("TaskFailedToStart");
        task["stoppedReason"] = json!(words);
        task["stoppedAt"] = json!(20);
    };
    let failed = |deployment: &mut Value| {
        deployment["rolloutState"] = json!("FAILED");
        deployment["rolloutStateReason"] = json!(words);
    };
    let in_a_row = Scene::during().primary(|primary| primary["failedTasks"] = json!(3)).task(2, "ours", stopped);
    let ended = |status: &str| {
        let mut facts = Scene::during().no_records().record(status, 2, INTENT + 1).facts(INTENT + 300);
        let ServiceDeployments::Known(list) = &mut facts.deployments else { panic!("it has one") };
        list[0].deployment.status_reason = Some(words.to_owned());
        facts
    };
    let mut gone_back = Scene::during().primary(failed).records_unavailable().facts(INTENT + 300);
    let Observed::Known { value, .. } = &mut gone_back.service else { panic!("it is there") };
    let mut older = value.deployments[0].clone();
    (older.id, older.task_definition) = ("older".to_owned(), revision(1));
    (older.rollout_state, older.rollout_state_reason) = (None, None);
    older.created_at = at(0);
    value.deployments[0].status = "ACTIVE".to_owned();
    value.deployments.push(Deployment { status: "PRIMARY".to_owned(), ..older });
    for (how, facts) in [
        ("failed in a row", in_a_row.facts(INTENT + 300)),
        ("says deployment", Scene::during().primary(failed).facts(INTENT + 300)),
        ("stopped the service deployment", ended("STOPPED")),
        ("rolled back the service deployment", ended("ROLLBACK_SUCCESSFUL")),
        ("took deployment", gone_back),
    ] {
        assert_eq!(facts.words_of_trouble().collect::<Vec<_>>(), [words], "{how}");
        let facts = Facts { secrets: secrets.clone(), ..facts };
        let Landing::Failed(reason) = revision_move(&facts) else { panic!("{how}: {:?}", revision_move(&facts)) };
        assert!(reason.message.contains(how), "{how}: {}", reason.message);
        assert!(reason.message.ends_with(&format!(": {told}")), "{how}: {}", reason.message);
    }
}

#[test]
fn what_ecs_quotes_of_a_task_definition_is_not_told() {
    let secrets = Secrets::of([&json!({ "containerDefinitions": [{ "entryPoint": ["s3cret"] }] })]);
    check_told("CannotStartContainerError: exec: \"s3cret\"", &secrets, "CannotStartContainerError: exec: \"***\"");
    check_told("CannotStartContainerError: exec: \"s3cret\"", &Secrets::default(), "CannotStartContainerError: ***");
    check_told("tasks failed to start.", &Secrets::default(), "tasks failed to start.");
}

#[test]
fn a_successful_deployment_has_not_landed_while_old_tasks_run() {
    // earlySuccessCriteria with DEFERRED cleanup.
    check(&Scene::landed().tasks(1, 1, "old"), "Underway Draining 2/1");
}

#[test]
fn an_old_task_that_drains_is_still_there() {
    // ListTasks of RUNNING filters on the desired status: it would hide this one.
    let draining = Scene::landed().task(1, "old", |task| task["desiredStatus"] = json!("STOPPED"));
    check(&draining, "Underway Draining 2/1");
    let deprovisioning = Scene::landed().task(1, "old", |task| task["lastStatus"] = json!("DEPROVISIONING"));
    check(&deprovisioning, "Underway Draining 2/1");
    let gone = Scene::landed().task(1, "old", |task| task["lastStatus"] = json!("STOPPED"));
    check(&gone, "Landed 2");
}

#[test]
fn only_tasks_that_serve_count_as_moved() {
    for (member, value) in [("healthStatus", "UNHEALTHY"), ("lastStatus", "PENDING"), ("desiredStatus", "STOPPED")] {
        let scene = Scene::empty()
            .deployment("ours", "PRIMARY", 2, INTENT + 1, "COMPLETED")
            .record("SUCCESSFUL", 2, INTENT + 1)
            .tasks(1, 2, "ours")
            .task(2, "ours", |task| task[member] = json!(value));
        check(&scene, "Underway Progressing 1/0");
    }
}

#[test]
fn tasks_alone_do_not_prove_a_deployment_that_ecs_has_not_ended() {
    check(&Scene::during().tasks(2, 2, "ours"), "Underway Progressing 2/0");
    check(&Scene::during().tasks(2, 2, "ours").records_unavailable(), "Underway Progressing 2/0");
}

#[test]
fn with_nothing_desired_nothing_is_proved() {
    let zero =
        || Scene::empty().deployment("ours", "PRIMARY", 2, INTENT + 1, "COMPLETED").record("SUCCESSFUL", 2, INTENT + 1);
    check(&zero().desired(0), "NothingRuns");
    check(&zero().desired(0).tasks(1, 1, "old"), "Underway Draining 0/1");
    check(&Scene::during().desired(0), "Underway Progressing 0/0");
}

#[test]
fn behind_a_classic_load_balancer_the_counts_decide() {
    let classic = |running: u32, pending: u32| {
        Scene::landed()
            .records_unavailable()
            .primary(|primary| {
                primary.as_object_mut().unwrap().remove("rolloutState");
            })
            .edit(|service| {
                service["runningCount"] = json!(running);
                service["pendingCount"] = json!(pending);
            })
    };
    check(&classic(2, 0), "Landed 2");
    check(&classic(3, 0), "Underway Progressing 2/0");
    check(&classic(2, 1), "Underway Progressing 2/0");
}

#[test]
fn what_ecs_itself_waits_for_is_named_and_no_lack_of_progress() {
    for stage in ["BAKE_TIME", "PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT"] {
        let scene = Scene::landed()
            .no_records()
            .record_with("IN_PROGRESS", 2, INTENT + 1, |record| record["lifecycleStage"] = json!(stage))
            .tasks(2, 1, "old");
        check(&scene, "Underway NativeWait 2/2 native");
    }
    for status in ["AWAITING_ACTION", "IN_PROGRESS"] {
        let scene = Scene::landed().no_records().record_with("IN_PROGRESS", 2, INTENT + 1, |record| {
            record["lifecycleStage"] = json!("POST_SCALE_UP");
            record["lifecycleHookDetails"] = json!([{ "status": status }]);
        });
        check(&scene, "Underway NativeWait 2/0 native");
    }
    let scaling = Scene::during()
        .no_records()
        .record_with("IN_PROGRESS", 2, INTENT + 1, |record| record["lifecycleStage"] = json!("SCALE_UP"));
    check(&scaling, "Underway Progressing 0/0");
}

#[test]
fn a_stage_that_is_left_over_from_a_finished_deployment_is_no_wait() {
    let scene = Scene::landed()
        .no_records()
        .record_with("SUCCESSFUL", 2, INTENT + 1, |record| record["lifecycleStage"] = json!("BAKE_TIME"));
    check(&scene, "Landed 2");
}

#[test]
fn capacity_that_is_being_provisioned_is_waited_for_on_instances_only() {
    let scene = |launch_type: &str, failed: u32| {
        Scene::during()
            .edit(|service| service["launchType"] = json!(launch_type))
            .primary(|primary| primary["failedTasks"] = json!(failed))
            .tasks(1, 2, "ours")
            .task(2, "ours", |task| task["lastStatus"] = json!("PROVISIONING"))
    };
    check(&scene("EC2", 0), "Underway NativeWait 1/0 native");
    check(&scene("EC2", 1), "Underway Progressing 1/0");
    check(&scene("FARGATE", 0), "Underway Progressing 1/0");
}

#[test]
fn an_earlier_attempt_and_a_later_redeployment_are_not_our_service_deployment() {
    let retried = Scene::landed().record("ROLLBACK_SUCCESSFUL", 2, INTENT - 20);
    check(&retried, "Landed 2");
    let redeployed = Scene::landed().record("ROLLBACK_IN_PROGRESS", 2, INTENT + 200);
    check(&redeployed, "Landed 2");
    let others = Scene::landed().record("ROLLBACK_SUCCESSFUL", 7, INTENT + 1);
    check(&others, "Landed 2");
}

#[test]
fn a_setting_is_told_by_the_deployment_that_started_the_task() {
    let setting = |rollout: &str, record: &str| {
        Scene::empty()
            .deployment("ours", "PRIMARY", 1, INTENT + 1, rollout)
            .deployment("old", "ACTIVE", 1, -9000, "COMPLETED")
            .record(record, 1, INTENT + 1)
    };
    check_setting(&setting("COMPLETED", "SUCCESSFUL").tasks(2, 1, "ours"), "Landed 2");
    let mixed = setting("IN_PROGRESS", "IN_PROGRESS").tasks(1, 1, "ours").tasks(1, 1, "old");
    check_setting(&mixed, "Underway Draining 1/1");
    let back = Scene::before().record("ROLLBACK_SUCCESSFUL", 1, INTENT + 1);
    check_setting(&back, "Failed RolledBackByEcs");
    check_setting(&Scene::before().records_unavailable(), "Failed RolledBackByEcs");
    let newer = Scene::empty().deployment("theirs", "PRIMARY", 1, INTENT + 60, "COMPLETED").records_unavailable();
    check_setting(&newer, "Overtaken");
}

#[test]
fn protected_old_tasks_are_waited_for_until_the_last_protection_ends() {
    let stays = || Scene::during().tasks(2, 1, "old").tasks(2, 2, "ours");
    check(&stays(), "Underway Draining 2/2");
    let waits = stays().protected(0, Some(INTENT + 900)).protected(1, Some(INTENT + 1200));
    check(&waits, "Underway TaskProtection 2/2 native");
    let Landing::Underway { reason, .. } = revision_move(&waits.facts(INTENT + 300)) else { panic!() };
    assert_eq!(reason.until, Some(at(INTENT + 1200)));
    check(&stays().protected(0, None), "Underway TaskProtection 2/2 native");
    // It has ended; or it is a new task's, which holds nothing up; or the task drains all the same.
    check(&stays().protected(0, Some(INTENT + 299)), "Underway Draining 2/2");
    check(&stays().protected(2, Some(INTENT + 900)), "Underway Draining 2/2");
    let drains = Scene::during().task(1, "old", |task| task["desiredStatus"] = json!("STOPPED")).tasks(2, 2, "ours");
    check(&drains.protected(0, Some(INTENT + 900)), "Underway Draining 2/1");
}

#[test]
fn protected_tasks_are_no_excuse_for_new_ones_that_do_not_come() {
    let both = |scene: Scene| scene.protected(0, Some(INTENT + 900)).protected(1, Some(INTENT + 900));
    let beside = |count| both(Scene::during().tasks(2, 1, "old").tasks(count, 2, "ours"));
    // Four may run, and three do: what keeps the last one is something else.
    check(&beside(1), "Underway Draining 1/2");
    check(&beside(2), "Underway TaskProtection 2/2 native");
    let full = |percent: u32| {
        let limit = json!({ "maximumPercent": percent, "minimumHealthyPercent": 0 });
        both(Scene::during().tasks(2, 1, "old")).edit(|service| service["deploymentConfiguration"] = limit)
    };
    check(&full(100), "Underway TaskProtection 0/2 native");
    check(&full(149), "Underway TaskProtection 0/2 native");
    check(&full(150), "Underway Draining 0/2");
    let sick = Scene::during().tasks(2, 1, "old").tasks(1, 2, "ours");
    let sick = sick.task(2, "ours", |task| task["healthStatus"] = json!("UNHEALTHY"));
    check(&both(sick), "Underway Draining 1/2");
}

#[test]
fn protection_that_cannot_be_read_is_said_and_excuses_nothing() {
    let stays = Scene::during().tasks(2, 1, "old").tasks(2, 2, "ours").protection_unread();
    check(&stays, "Underway Draining 2/2");
    let Landing::Underway { reason, .. } = revision_move(&stays.facts(INTENT + 300)) else { panic!() };
    assert!(reason.message.ends_with("; whether they are protected from scale-in could not be read: no answer"));
    check(&stays.protected(0, Some(INTENT + 900)), "Underway TaskProtection 2/2 native");
}

#[test]
fn what_ecs_took_back_of_somebody_else_is_no_failure_of_a_setting_that_ran_nothing() {
    let mut setting = change(ChangeKind::DeployingSetting);
    let members = |value: Value| value.as_object().unwrap().clone();
    let (forward, back) = (json!({ "platformVersion": "LATEST" }), json!({ "platformVersion": "1.3.0" }));
    setting.spec.setting = Some(Setting { forward: members(forward), back: members(back) });
    setting = entered(setting, State::Updating { to: Some(revision(1)), before: None, intent: at(INTENT) }, INTENT);
    let unverified = |deployment: &str| State::Unverified {
        at: at(INTENT + 60),
        deployment: Some(deployment.to_owned()),
        reason: reason(ReasonCode::NothingRuns),
    };
    let setting = entered(setting, unverified("ours"), INTENT + 60);
    // Ours is the primary one again, for ECS went back from theirs.
    let scene = Scene::empty()
        .deployment("ours", "PRIMARY", 1, INTENT + 1, "COMPLETED")
        .record("SUCCESSFUL", 1, INTENT + 1)
        .record("ROLLBACK_SUCCESSFUL", 9, INTENT + 100)
        .tasks(2, 1, "ours")
        .edit(|service| service["platformVersion"] = json!("LATEST"));
    let found = verified_since(&setting, &scene.facts(INTENT + 200), at(INTENT + 200));
    assert!(matches!(found, Some(State::Succeeded { .. })), "{found:?}");
}

#[test]
fn what_ours_replaced_is_found_also_where_the_record_told_it_only_after_nothing_ran() {
    let unverified = State::Unverified {
        at: at(INTENT + 60),
        deployment: Some("ours".to_owned()),
        reason: reason(ReasonCode::NothingRuns),
    };
    let change = entered(change(ChangeKind::Revision), unverified, INTENT + 60);
    let since = |scene: Scene, sources: Value| {
        let scene = scene.no_records().record_with("SUCCESSFUL", 2, INTENT + 1, |record| record["sources"] = sources);
        verified_since(&change, &scene.facts(INTENT + 200), at(INTENT + 200)).map(|state| state.phase().as_str())
    };
    assert_eq!(since(Scene::landed(), json!([1])), Some("Succeeded"));
    assert_eq!(since(Scene::landed(), json!([9])), Some("Clobbered"));
    let zero = Scene::empty().deployment("ours", "PRIMARY", 2, INTENT + 1, "COMPLETED").desired(0);
    assert_eq!(since(zero, json!([9])), Some("Clobbered"));
}

#[test]
fn a_setting_that_was_put_back_before_a_task_ran_has_not_landed() {
    let forward = json!({ "platformVersion": "1.4.0", "enableExecuteCommand": false });
    let back = json!({ "platformVersion": "1.3.0", "enableExecuteCommand": true });
    let members = |value: Value| value.as_object().unwrap().clone();
    let mut mixed = change(ChangeKind::DeployingSetting);
    mixed.spec.setting = Some(Setting { forward: members(forward), back: members(back) });
    let reason = Reason::of(ReasonCode::NothingRuns, "no task");
    let mixed = entered(
        mixed,
        State::Unverified { at: at(INTENT + 30), deployment: Some("ours".to_owned()), reason },
        INTENT + 30,
    );
    let shows = |version: &str, exec: bool| {
        let scene = Scene::empty().deployment("ours", "PRIMARY", 1, INTENT + 1, "COMPLETED").tasks(2, 1, "ours");
        let scene = scene.record("SUCCESSFUL", 1, INTENT + 1);
        let scene = scene.edit(|service| {
            service["platformVersion"] = json!(version);
            service["enableExecuteCommand"] = json!(exec);
        });
        verified_since(&mixed, &scene.facts(INTENT + 300), at(INTENT + 300)).map(|state| state.phase().as_str())
    };
    assert_eq!(shows("1.4.0", false), Some("Succeeded"));
    // Somebody turned it on again: that starts no deployment, and ours is the primary one still.
    assert_eq!(shows("1.4.0", true), Some("Overtaken"));
    assert_eq!(shows("1.3.0", true), Some("Overtaken"));
}
