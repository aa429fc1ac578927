use serde_json::{Value, json};

use super::*;
use crate::model::change::Setting;
use crate::model::wire;
use crate::rollout::fixture::{Scene, at, change};

fn sets(members: &Value) -> Change {
    let mut change = change(ChangeKind::QuietSetting);
    let forward = members.as_object().unwrap().clone();
    let back = forward.keys().map(|name| (name.clone(), Value::Null)).collect();
    change.spec.setting = Some(Setting { forward, back });
    change
}

/// A task that was created then, and allows ECS Exec or not, or does not say.
fn task(second: i64, exec: Option<bool>, status: &str) -> Task {
    let mut value = json!({
        "taskArn": format!("arn:aws:ecs:eu-west-1:1:task/prod/{second}"),
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:1",
        "lastStatus": status,
        "createdAt": at(second).to_string(),
    });
    if let Some(exec) = exec {
        value["enableExecuteCommand"] = json!(exec);
    }
    wire::task(&value).unwrap()
}

fn known(tasks: Vec<Task>) -> Observed<Vec<Task>> {
    Observed::Known { value: tasks, at: at(300) }
}

/// What a setting that was made at second 300 is called by these tasks.
#[track_caller]
fn check(change: &Change, tasks: Vec<Task>, since: Option<i64>, expected: &str) {
    let reason = without(change, &known(tasks), since.map(at));
    assert_eq!(reason.map_or_else(|| "proved".to_owned(), |reason| reason.message), expected);
}

#[test]
fn a_setting_that_only_new_tasks_pick_up_is_proved_when_no_older_task_runs() {
    let tags = sets(&json!({ "propagateTags": "SERVICE" }));
    let (old, new) = (|| task(100, None, "RUNNING"), || task(400, None, "RUNNING"));
    let two = "`propagateTags`: done for new tasks; 1 of 2 running tasks is from before, and without it until replaced";
    check(&tags, vec![old(), new()], Some(300), two);
    check(&tags, vec![new(), task(100, None, "STOPPED")], Some(300), "proved");
    check(&tags, vec![], Some(300), "proved");
    // One that drains runs.
    let one = "`propagateTags`: done for new tasks; 1 of 1 running task is from before, and without it until replaced";
    check(&tags, vec![task(100, None, "DEACTIVATING")], Some(300), one);
    // ECS's clock may be behind ours.
    check(&tags, vec![task(310, None, "RUNNING")], Some(300), one);
    // What was read when it was made is older than it, whatever its clock says.
    check(&tags, vec![new()], None, one);
}

#[test]
fn exec_is_told_by_the_tasks_themselves() {
    let off = sets(&json!({ "enableExecuteCommand": false }));
    check(&off, vec![task(100, Some(false), "RUNNING")], None, "proved");
    let one =
        "`enableExecuteCommand`: done for new tasks; 1 of 1 running task is from before, and without it until replaced";
    check(&off, vec![task(400, Some(true), "RUNNING")], Some(300), one);
    check(&off, vec![task(100, None, "RUNNING")], Some(300), one);
    check(&off, vec![task(400, None, "RUNNING")], Some(300), "proved");
}

#[test]
fn what_the_service_itself_obeys_is_proved_by_reading_it_back() {
    for members in [json!({ "healthCheckGracePeriodSeconds": 60 }), json!({ "tags": { "team": "a" } })] {
        let change = sets(&members);
        assert!(!concerns(&change));
        assert_eq!(made(&change, &known(vec![task(1, None, "RUNNING")]), at(300)).phase().as_str(), "Succeeded");
    }
}

#[test]
fn tasks_that_cannot_be_read_prove_nothing() {
    let off = sets(&json!({ "enableExecuteCommand": false }));
    let unread = Observed::Unknown { since: at(300), why: "throttled".to_owned() };
    let state = made(&off, &unread, at(300));
    assert_eq!(state.phase().as_str(), "Unverified");
    let mut change = off;
    change.state = state;
    let shows = json!({ "enableExecuteCommand": false });
    let facts = |tasks| {
        let mut facts = Scene::before().facts(400);
        if let Observed::Known { value, .. } = &mut facts.service {
            std::sync::Arc::make_mut(&mut value.document)
                .as_object_mut()
                .unwrap()
                .extend(shows.as_object().unwrap().clone());
        }
        Facts { tasks, ..facts }
    };
    let since =
        |change: &Change, facts: &Facts| verified_since(change, facts, at(400)).map(|state| state.phase().as_str());
    assert_eq!(since(&change, &facts(unread.clone())), None);
    assert_eq!(
        since(&change, &facts(known(vec![task(1, Some(true), "RUNNING")]))),
        Some("Unverified"),
        "another count"
    );
    assert_eq!(since(&change, &facts(known(vec![task(1, Some(false), "RUNNING")]))), Some("Succeeded"));
    let none = Observed::Absent { at: at(400) };
    let mut theirs = facts(none.clone());
    if let Observed::Known { value, .. } = &mut theirs.service {
        std::sync::Arc::make_mut(&mut value.document)["enableExecuteCommand"] = json!(true);
    }
    assert_eq!(since(&change, &theirs), Some("Overtaken"));
    let gone = Facts { service: Observed::Absent { at: at(400) }, ..facts(none) };
    assert_eq!(since(&change, &gone), Some("Gone"));
}

#[test]
fn what_was_read_before_the_setting_was_made_does_not_tell_of_it() {
    let mut change = sets(&json!({ "propagateTags": "SERVICE" }));
    let reason = Reason::of(ReasonCode::OlderTasks, "2 of 2");
    change.state = State::Unverified { at: at(300), deployment: None, reason };
    let service = Scene::before();
    // A fleet takes minutes to read, and its services are as of when that began.
    assert_eq!(verified_since(&change, &service.facts(310), at(600)), None);
    let found = verified_since(&change, &service.facts(400), at(600));
    assert!(matches!(found, Some(State::Overtaken { .. })), "{found:?}");
}
