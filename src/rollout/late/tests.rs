use serde_json::json;

use super::*;
use crate::model::change::Setting;
use crate::rollout::fixture::{INTENT, Scene, at, change, entered, reason, revision};
use crate::rollout::state::Progress;

/// When the change was over, and when its service is looked at.
const OVER: i64 = INTENT + 60;
const NOW: i64 = OVER + 300;

fn updating(intent: i64) -> State {
    State::Updating { to: Some(revision(2)), before: Some("old".to_owned()), intent: at(intent) }
}

fn stabilizing() -> State {
    let progress = Progress::start(at(INTENT + 25));
    State::Stabilizing { to: Some(revision(2)), deployment: "ours".to_owned(), intent: at(INTENT), progress }
}

fn going_back(deployment: Option<&str>, back: Back) -> State {
    let (cause, deployment) = (reason(ReasonCode::TasksFail), deployment.map(ToOwned::to_owned));
    State::RollingBack { cause, deployment, intent: at(INTENT), back }
}

fn sending_back(intent: i64) -> Back {
    Back::Updating { to: Some(revision(1)), before: "ours".to_owned(), intent: at(intent) }
}

fn rolled_back() -> State {
    State::RolledBack { cause: reason(ReasonCode::UndoneByPerson), at: at(OVER), deployment: None }
}

fn overtaken() -> State {
    State::Overtaken { reason: reason(ReasonCode::Overtaken), at: at(OVER) }
}

fn succeeded() -> State {
    State::Succeeded { at: at(OVER), deployment: Some("ours".to_owned()) }
}

/// Sent, not heard of, and over.
fn over(state: State) -> Change {
    let mut change = entered(change(ChangeKind::Revision), updating(INTENT), INTENT);
    not_heard_of(&mut change, at(INTENT));
    entered(change, state, OVER)
}

/// Sent back, not heard of, and over.
fn over_back(state: State) -> Change {
    let mut change = entered(change(ChangeKind::Revision), updating(INTENT), INTENT);
    change.enter(going_back(Some("ours"), sending_back(INTENT + 30)), None, at(INTENT + 30));
    not_heard_of(&mut change, at(INTENT + 30));
    entered(change, state, OVER)
}

/// The service, moved late to a revision, from another.
fn moved(to: u32, from: u32) -> Scene {
    let record = |record: &mut serde_json::Value| record["sources"] = json!([from]);
    Scene::empty()
        .deployment("late", "PRIMARY", to, OVER + 100, "IN_PROGRESS")
        .record_with("IN_PROGRESS", to, OVER + 100, record)
        .tasks(2, to, "late")
}

#[track_caller]
fn check(change: &Change, others: &[&Change], scene: &Scene, expected: &str) {
    let found = arrived(change, others, &scene.facts(NOW), None, at(NOW));
    let told = found.map_or_else(
        || "-".to_owned(),
        |found| match &found.state {
            State::RollingBack { cause, deployment, .. } => {
                let deployment = deployment.as_deref().unwrap_or("-");
                format!("{} back for {}: {deployment}", found.reason.code.as_str(), cause.code.as_str())
            }
            state => state.phase().as_str().to_owned(),
        },
    );
    assert_eq!(told, expected);
}

fn calls(change: &Change) -> Vec<(bool, u32)> {
    change.unheard.iter().map(|known| (known.back, known.calls)).collect()
}

#[test]
fn a_call_counts_once_however_often_it_is_said_that_nobody_heard_of_it() {
    let mut change = entered(change(ChangeKind::Revision), updating(INTENT), INTENT);
    not_heard_of(&mut change, at(INTENT));
    not_heard_of(&mut change, at(INTENT + 5));
    assert_eq!(calls(&change), [(false, 1)]);
    change.state = updating(INTENT + 20);
    not_heard_of(&mut change, at(INTENT + 20));
    assert_eq!(calls(&change), [(false, 2)]);
    change.state = going_back(Some("ours"), sending_back(INTENT + 60));
    not_heard_of(&mut change, at(INTENT + 60));
    assert_eq!(calls(&change), [(false, 2), (true, 1)]);
    // StopServiceDeployment names what is to be taken back anyway.
    let arn = "arn:aws:ecs:eu-west-1:1:service-deployment/prod/web/d0".parse().unwrap();
    for state in [stabilizing(), State::Pending, going_back(None, Back::Stopping { arn, intent: at(INTENT) })] {
        change.state = state;
        not_heard_of(&mut change, at(INTENT + 60));
        assert_eq!(calls(&change), [(false, 2), (true, 1)]);
    }
}

#[test]
fn an_effect_that_is_seen_is_that_of_one_call_unless_a_later_one_was_answered() {
    let mut change = entered(change(ChangeKind::Revision), updating(INTENT), INTENT);
    not_heard_of(&mut change, at(INTENT));
    let once = change.clone();
    heard_of(&mut change, &stabilizing());
    assert_eq!(calls(&change), []);
    let mut repeated = once.clone();
    repeated.state = updating(INTENT + 20);
    heard_of(&mut repeated, &stabilizing());
    assert_eq!(calls(&repeated), [(false, 1)], "the repeat was answered: the first may still come");
    let mut both = once.clone();
    both.state = updating(INTENT + 20);
    not_heard_of(&mut both, at(INTENT + 20));
    heard_of(&mut both, &stabilizing());
    assert_eq!(calls(&both), [(false, 1)]);
    let mut undone = once.clone();
    undone.state = going_back(None, Back::Deciding);
    heard_of(&mut undone, &going_back(Some("ours"), Back::Deciding));
    assert_eq!(calls(&undone), []);
    let mut waits = once;
    heard_of(&mut waits, &updating(INTENT + 20));
    assert_eq!(calls(&waits), [(false, 1)]);
    let mut back = over_back(overtaken());
    back.state = going_back(Some("ours"), sending_back(INTENT + 30));
    let mut over = back.clone();
    let (deployment, progress) = ("late".to_owned(), Progress::start(at(0)));
    let clobbered = reason(ReasonCode::Clobbered);
    heard_of(&mut over, &State::Clobbering { reason: clobbered, to: None, deployment, intent: at(0), progress });
    assert_eq!(calls(&over), []);
    heard_of(
        &mut back,
        &going_back(Some("ours"), Back::Watching { to: None, progress: Progress::start(at(0)), steady_since: None }),
    );
    assert_eq!(calls(&back), []);
}

#[test]
fn a_service_is_watched_for_a_quarter_of_an_hour_after_the_last_turn_its_change_took() {
    let change = over(rolled_back());
    assert!(!is_watched(&change, at(OVER + 19)), "reads may lag");
    assert!(is_watched(&change, at(OVER + 20)) && is_watched(&change, at(OVER + 899)));
    assert!(!is_watched(&change, at(OVER + 900)));
    assert!(!is_watched(&entered(over(rolled_back()), stabilizing(), OVER), at(NOW)), "its own step finds it");
    let heard = Change { unheard: vec![], ..change };
    assert!(!is_watched(&heard, at(NOW)), "every call was answered");
    // What could have come before the change took another turn, and did not, is not waited for again.
    let mut later = over(overtaken());
    later.enter(State::Pending, None, at(OVER + 900));
    assert_eq!(calls(&later), []);
}

#[test]
fn what_came_after_the_change_was_taken_back_is_taken_back_for_the_same_reason() {
    check(&over(rolled_back()), &[], &moved(2, 1), "LateCall back for UndoneByPerson: late");
    check(&over(rolled_back()), &[], &moved(2, 1).records_unavailable(), "LateCall back for UndoneByPerson: late");
    check(&over(rolled_back()), &[], &moved(2, 1).records_unread(), "-");
    check(&over(rolled_back()), &[], &Scene::before(), "-");
    check(&over(rolled_back()), &[], &moved(3, 1), "-");
    check(&over(rolled_back()), &[], &moved(2, 1).created(OVER), "-");
    let blocked = State::Blocked { reason: reason(ReasonCode::Refused), at: at(OVER) };
    check(&over(blocked), &[], &moved(2, 1), "LateCall back for LateCall: late");
    let heard = Change { unheard: vec![], ..over(rolled_back()) };
    check(&heard, &[], &moved(2, 1), "-");
}

#[test]
fn what_came_after_the_change_was_given_up_is_found_and_what_stood_then_is_not_taken_for_it() {
    let cause = || reason(ReasonCode::TasksFail);
    let failed = || State::Failed { cause: cause(), reason: reason(ReasonCode::ProgressTimeout), at: at(OVER) };
    check(&over(failed()), &[], &moved(2, 1), "LateCall back for TasksFail: late");
    check(&over(failed()), &[], &moved(2, 9), "LateCall back for TasksFail: late");
    // It could not be taken back: our own deployment of that time is what was told of.
    check(&over(failed()), &[], &Scene::landed(), "-");
    check(&over(failed()), &[], &moved(1, 2), "-");
    let clobbered = || State::Clobbered { reason: reason(ReasonCode::Clobbered), at: at(OVER) };
    check(&over(clobbered()), &[], &moved(2, 9), "LateCall back for Clobbered: late");
    check(&over(clobbered()), &[], &Scene::landed(), "-");
    let mut again = over(clobbered());
    let found = arrived(&again, &[], &moved(2, 9).facts(NOW), None, at(NOW)).unwrap();
    enter(&mut again, found, at(NOW));
    assert_eq!((again.state.phase(), again.failed(), calls(&again)), (Phase::RollingBack, true, vec![]));
}

#[test]
fn being_late_is_no_failure_of_the_fix() {
    let mut change = over(overtaken());
    let found = arrived(&change, &[], &moved(2, 1).facts(NOW), None, at(NOW)).unwrap();
    enter(&mut change, found, at(NOW));
    assert_eq!((change.state.phase(), change.failed(), calls(&change)), (Phase::RollingBack, false, vec![]));
    assert!(change.history.last().unwrap().reason.as_ref().unwrap().message.contains("`web:2` was deployed"));
}

#[test]
fn what_came_over_somebodys_deployment_is_found_also_where_the_change_stands() {
    check(&over(overtaken()), &[], &moved(2, 9), "LateCall back for LateCall: late");
    check(&over(succeeded()), &[], &moved(2, 9), "LateCall back for LateCall: late");
    let drains = moved(2, 1).no_records().deployment("theirs", "ACTIVE", 9, OVER + 50, "COMPLETED");
    check(&over(succeeded()), &[], &drains, "LateCall back for LateCall: late");
    // It wants its revision to run; nobody has lost anything.
    check(&over(succeeded()), &[], &moved(2, 1), "-");
    check(&over(succeeded()), &[], &Scene::landed(), "-");
}

#[test]
fn what_is_begun_again_on_our_revision_is_no_call_that_came_late() {
    let over = over(overtaken());
    let told = |scene: &Scene, second| match over_somebody(&over, &scene.facts(second)) {
        Some(Ok((deployment, reason))) => format!("{} {}", deployment.id, reason.code.as_str()),
        Some(Err(reason)) => reason.code.as_str().to_owned(),
        None => "-".to_owned(),
    };
    assert_eq!(told(&moved(2, 9), NOW), "late Clobbered");
    assert_eq!(told(&moved(2, 2), NOW), "-");
    // Its record is not listed yet; or is not kept.
    assert_eq!(told(&moved(2, 9).no_records(), OVER + 119), "NotObserved");
    assert_eq!(told(&moved(2, 9).no_records(), OVER + 120), "late Clobbered");
    assert_eq!(told(&moved(2, 9).records_unavailable(), OVER + 101), "late Clobbered");
    // What it replaced had replaced somebody's within the same millisecond, in whichever order they are listed.
    let target =
        |arn: &'static str| move |record: &mut serde_json::Value| record["targetServiceRevision"]["arn"] = json!(arn);
    let again = |record: &mut serde_json::Value| {
        (record["sources"], record["sourceServiceRevisions"]) = (json!([2]), json!([{ "arn": "ours" }]));
    };
    let late = || Scene::empty().deployment("late", "PRIMARY", 2, OVER + 100, "IN_PROGRESS");
    let ours_first =
        late().record_with("SUCCESSFUL", 2, OVER, target("ours")).record_with("STOPPED", 9, OVER, target("theirs"));
    let ours_last =
        late().record_with("STOPPED", 9, OVER, target("theirs")).record_with("SUCCESSFUL", 2, OVER, target("ours"));
    for scene in [ours_first, ours_last] {
        assert_eq!(told(&scene.record_with("IN_PROGRESS", 2, OVER + 100, again), NOW), "-");
    }
}

#[test]
fn a_call_back_that_came_over_somebodys_deployment_is_found() {
    check(&over_back(rolled_back()), &[], &moved(1, 9), "LateCall back for UndoneByPerson: late");
    check(&over_back(rolled_back()), &[], &moved(1, 2), "-");
    check(&over_back(rolled_back()), &[], &moved(2, 1), "-");
}

#[test]
fn a_call_that_came_over_somebodys_deployment_is_found_though_ecs_has_gone_back_from_it() {
    let gone = |number: u32, from: u32, second: i64| {
        let sources = json!([from]);
        let scene = Scene::empty().deployment("back", "PRIMARY", 1, INTENT - 900, "IN_PROGRESS");
        scene.record_with("ROLLBACK_IN_PROGRESS", number, second, |record| record["sources"] = sources)
    };
    check(&over(overtaken()), &[], &gone(2, 9, OVER + 1), "Clobbered");
    check(&over(overtaken()), &[], &gone(2, 9, OVER - 10), "Clobbered");
    check(&over(rolled_back()), &[], &gone(2, 9, OVER + 1), "Clobbered");
    // Over what the change came from; one of somebody's; what was there to be seen before; and where the call was heard of.
    check(&over(overtaken()), &[], &gone(2, 1, OVER + 1), "-");
    check(&over(overtaken()), &[], &gone(9, 8, OVER + 1), "-");
    check(&over(overtaken()), &[], &gone(2, 9, OVER - 30), "-");
    check(&Change { unheard: Vec::new(), ..over(overtaken()) }, &[], &gone(2, 9, OVER + 1), "-");
    check(&over(succeeded()), &[], &gone(2, 9, OVER + 1), "-");
}

#[test]
fn what_people_and_other_changes_do_is_not_taken_for_a_late_call() {
    // ECS would have started nothing: somebody forced a new deployment of what ran.
    check(&over(overtaken()), &[], &moved(2, 2), "-");
    let other = |state: State| {
        let mut other = entered(change(ChangeKind::Revision), updating(OVER), OVER);
        other.enter(state, None, at(OVER + 100));
        other
    };
    check(&over(overtaken()), &[&other(stabilizing())], &moved(2, 9), "-");
    let lands = State::Succeeded { at: at(OVER + 200), deployment: Some("late".to_owned()) };
    check(&over(overtaken()), &[&other(lands)], &moved(2, 9), "-");
    let stood = other(succeeded());
    check(&over(overtaken()), &[&stood], &moved(2, 9), "LateCall back for LateCall: late");
    check(&over(overtaken()), &[&stood], &moved(2, 9).records_unavailable(), "-");
}

#[test]
fn a_setting_that_came_after_it_was_taken_back_is_taken_back_again() {
    let about = |kind: ChangeKind| {
        let mut change = change(kind);
        change.spec.setting = Some(Setting {
            forward: json!({ "enableExecuteCommand": false }).as_object().unwrap().clone(),
            back: json!({ "enableExecuteCommand": true }).as_object().unwrap().clone(),
        });
        let mut change =
            entered(change, State::Updating { to: Some(revision(1)), before: None, intent: at(INTENT) }, INTENT);
        not_heard_of(&mut change, at(INTENT));
        change
    };
    let shows = |on: bool| Scene::before().edit(|service| service["enableExecuteCommand"] = json!(on));
    let quiet = entered(about(ChangeKind::QuietSetting), rolled_back(), OVER);
    check(&quiet, &[], &shows(false), "LateCall back for UndoneByPerson: -");
    check(&quiet, &[], &shows(true), "-");
    let deploys = entered(about(ChangeKind::DeployingSetting), rolled_back(), OVER);
    check(&deploys, &[], &shows(false), "LateCall back for UndoneByPerson: old");
    // It is as others have made it, or as it should be.
    check(&entered(about(ChangeKind::QuietSetting), overtaken(), OVER), &[], &shows(false), "-");
    let other = entered(about(ChangeKind::QuietSetting), State::Succeeded { at: at(OVER), deployment: None }, OVER);
    check(&quiet, &[&other], &shows(false), "-");
    // One from before stands, and somebody has set it otherwise since: it is not what shows.
    let mut older = other;
    older.history.iter_mut().for_each(|entry| entry.at = at(INTENT - 60));
    check(&quiet, &[&older], &shows(false), "LateCall back for UndoneByPerson: -");
}

#[test]
fn a_setting_that_was_sent_back_over_somebodys_deployment_is_found() {
    let mut change = change(ChangeKind::DeployingSetting);
    change.spec.setting = Some(Setting {
        forward: json!({ "platformVersion": "LATEST" }).as_object().unwrap().clone(),
        back: json!({ "platformVersion": "1.3.0" }).as_object().unwrap().clone(),
    });
    let sent = Back::Updating { to: None, before: "ours".to_owned(), intent: at(INTENT + 30) };
    let mut change = entered(change, going_back(Some("ours"), sent), INTENT + 30);
    not_heard_of(&mut change, at(INTENT + 30));
    let change = entered(change, overtaken(), OVER);
    let shows = |version: &str, begun: i64| {
        let scene = Scene::empty().deployment("late", "PRIMARY", 9, begun, "IN_PROGRESS").tasks(2, 9, "late");
        scene.edit(|service| service["platformVersion"] = json!(version))
    };
    check(&change, &[], &shows("1.3.0", OVER + 100), "Clobbered");
    check(&change, &[], &shows("LATEST", OVER + 100), "-");
    check(&change, &[], &shows("1.3.0", INTENT - 60), "-");
    // So it is while another call, there, may still arrive: what is set tells whose effect it is.
    let there = Unheard { back: false, ..change.unheard[0].clone() };
    let both = Change { unheard: vec![there, change.unheard[0].clone()], ..change.clone() };
    check(&both, &[], &shows("1.3.0", OVER + 100), "Clobbered");
    check(&both, &[], &shows("LATEST", OVER + 100), "Clobbered");
    // What they deploy shows what theirs before it had, and replaces that; ours would have begun the same again.
    let from = |number: u32| {
        let sources = json!([number]);
        shows("1.3.0", OVER + 100).record_with("IN_PROGRESS", 9, OVER + 100, |record| record["sources"] = sources)
    };
    check(&change, &[], &from(8), "-");
    check(&change, &[], &from(9), "Clobbered");
    // Once more, and that is told once more.
    let mut again =
        entered(change.clone(), State::Clobbered { reason: reason(ReasonCode::Clobbered), at: at(OVER) }, OVER);
    check(&again, &[], &shows("1.3.0", OVER + 100), "Clobbered");
    let told = again.history.len();
    let arrived = arrived(&again, &[], &shows("1.3.0", OVER + 100).facts(NOW), None, at(NOW)).unwrap();
    enter(&mut again, arrived, at(NOW));
    assert_eq!(again.history.len(), told + 1);
    // It was there when the change was given up: theirs, with the setting as it had been.
    let stood = Change { stood: Some("late".to_owned()), ..change };
    check(&stood, &[], &shows("1.3.0", OVER + 100), "-");
}

#[test]
fn a_call_back_that_goes_over_what_somebody_set_on_our_revision_is_a_clobber() {
    let change = || {
        let mut change = over_back(overtaken());
        change.spec.to = Some(revision(2));
        change.stood = Some("theirs".to_owned());
        change
    };
    // Theirs, on ours, was the primary one when the change was given up; the call back replaces it.
    let late = |theirs: u32| {
        Scene::empty()
            .deployment("late", "PRIMARY", 1, OVER + 10, "COMPLETED")
            .record_with("SUCCESSFUL", 1, OVER + 10, |record| record["sources"] = json!([theirs]))
            .record("STOPPED", theirs, INTENT + 29)
            .record("SUCCESSFUL", 2, INTENT + 1)
    };
    let told = |change: &Change, scene: &Scene| {
        let arrived = arrived(change, &[], &scene.facts(NOW), None, at(NOW));
        arrived.map(|arrived| (arrived.state.phase(), arrived.reason.code))
    };
    assert_eq!(told(&change(), &late(2)), Some((Phase::Clobbered, ReasonCode::Clobbered)));
    // It stands where it belongs, over nobody's; and what stood then is not it.
    let back = over_back(rolled_back());
    assert_eq!(told(&back, &late(2)), None);
    let stood = Change { stood: Some("late".to_owned()), ..change() };
    assert_eq!(told(&stood, &late(2)), None);
}
