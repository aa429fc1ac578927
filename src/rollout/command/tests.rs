use super::*;
use crate::model::ChangeKind;
use crate::rollout::fixture::{at, changes, entered, numbered, reason, revision, rollout};
use crate::rollout::state::Progress;

fn approve() -> Request {
    Request::Approve { plan: None }
}

fn undo() -> Request {
    Request::Undo { service: None }
}

fn undo_of(change: &Change) -> Request {
    Request::Undo { service: change.spec.resource.service().cloned() }
}

/// Every state a rollout can be in.
fn states() -> Vec<RolloutState> {
    let why = || reason(ReasonCode::ChangeFailed);
    vec![
        RolloutState::Proposed { reason: why() },
        RolloutState::Scheduled,
        RolloutState::Progressing { wave: 1 },
        RolloutState::Baking { wave: 1, until: at(2000) },
        RolloutState::Paused { wave: 1, reason: why() },
        RolloutState::RollingBack { cause: why(), asked_at: None },
        RolloutState::RolledBack { cause: why(), at: at(1) },
        RolloutState::Succeeded { at: at(1) },
        RolloutState::Failed { reason: why(), at: at(1) },
        RolloutState::Aborted { reason: why(), at: at(1) },
        RolloutState::Superseded { at: at(1) },
    ]
}

/// Where each state leads, in the order of `states`; `-` where it is refused.
#[track_caller]
fn check_table(request: &Request, expected: [&str; 11]) {
    let mut found = Vec::new();
    for state in states() {
        let (mut rollout, mut list) = (rollout(&[1, 1]), changes(&[1, 1]));
        rollout.state = state;
        let before = (rollout.clone(), list.clone());
        match carry_out(&mut rollout, &mut list, request, "alice", at(1000)) {
            Ok(()) => found.push(rollout.state.phase()),
            Err(RefusedRequest::State { verb, phase, .. }) => {
                assert_eq!((verb, phase), (request.verb(), before.0.state.phase()));
                assert_eq!((&rollout, &list), (&before.0, &before.1), "a refused request changes nothing");
                found.push("-");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn every_request_fits_some_states_and_is_refused_in_the_others() {
    check_table(&approve(), ["Scheduled", "-", "Progressing", "Baking", "-", "-", "-", "-", "-", "-", "-"]);
    check_table(&Request::Pause, ["-", "Paused", "Paused", "Paused", "-", "-", "-", "-", "-", "-", "-"]);
    check_table(&Request::Resume, ["-", "-", "-", "-", "Progressing", "-", "-", "-", "-", "-", "-"]);
    check_table(&Request::Retry, ["-", "-", "-", "-", "Progressing", "-", "-", "-", "-", "-", "-"]);
    let aborted = "Aborted";
    check_table(&Request::Abort, [aborted, aborted, aborted, aborted, aborted, "-", "-", "-", "-", "-", "-"]);
    let back = "RollingBack";
    check_table(&undo(), [back, back, back, back, back, back, "-", back, back, back, "-"]);
}

#[test]
fn an_approval_is_bound_to_the_plan_it_names() {
    let (mut rollout, mut list) = (rollout(&[1]), changes(&[1]));
    rollout.state = RolloutState::Proposed { reason: reason(ReasonCode::ApprovalRequired) };
    let of = |plan: &str| Request::Approve { plan: Some(plan.to_owned()) };
    let refused = carry_out(&mut rollout, &mut list, &of("sha256:other"), "alice", at(1000));
    assert!(matches!(refused, Err(RefusedRequest::OtherPlan { .. })));
    assert_eq!(rollout.state.phase(), "Proposed");
    carry_out(&mut rollout, &mut list, &of("sha256:plan"), "alice", at(1000)).unwrap();
    assert_eq!((rollout.state.phase(), rollout.approved_waves), ("Scheduled", 1));
}

#[test]
fn approving_twice_approves_one_wave() {
    let approved = |state: RolloutState, before: usize| {
        let (mut rollout, mut list) = (rollout(&[1, 1, 1, 1]), changes(&[1, 1, 1, 1]));
        (rollout.state, rollout.approved_waves) = (state, before);
        for _ in 0..2 {
            let _ = carry_out(&mut rollout, &mut list, &approve(), "alice", at(1000));
        }
        rollout.approved_waves
    };
    assert_eq!(approved(RolloutState::Progressing { wave: 1 }, 1), 2);
    assert_eq!(approved(RolloutState::Progressing { wave: 1 }, 2), 2);
    // While a wave is being watched, the next can be approved already.
    assert_eq!(approved(RolloutState::Baking { wave: 1, until: at(2000) }, 2), 3);
}

fn failed(change: &Change) -> Change {
    entered(
        change.clone(),
        State::RolledBack { cause: reason(ReasonCode::TasksFail), at: at(900), deployment: None },
        900,
    )
}

fn paused(sizes: &[usize]) -> (Rollout, Vec<Change>) {
    let (mut rollout, list) = (rollout(sizes), changes(sizes));
    rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::ChangeFailed) };
    (rollout, list)
}

#[test]
fn resume_goes_on_without_what_failed_and_retry_with_it() {
    let (mut resumed, mut list) = paused(&[2]);
    list[0] = failed(&list[0]);
    carry_out(&mut resumed, &mut list, &Request::Resume, "alice", at(1000)).unwrap();
    assert_eq!(resumed.spec.accepted_failures, [list[0].name.clone()]);
    assert!(list[0].failed());

    resumed.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::PausedByPerson) };
    carry_out(&mut resumed, &mut list, &Request::Retry, "alice", at(1000)).unwrap();
    assert_eq!(list[0].state, State::Pending);
    // It may fail again, and then counts again.
    assert_eq!(resumed.spec.accepted_failures, [] as [String; 0]);
}

#[test]
fn retry_leaves_alone_what_is_still_being_taken_back_or_stands() {
    let (mut rollout, mut list) = paused(&[3]);
    let back = State::RollingBack {
        cause: reason(ReasonCode::TasksFail),
        deployment: None,
        intent: at(900),
        back: Back::Deciding,
    };
    list[0] = entered(list[0].clone(), back, 900);
    list[1] = entered(list[1].clone(), State::Succeeded { at: at(900), deployment: None }, 900);
    list[2] = failed(&list[2]);
    carry_out(&mut rollout, &mut list, &Request::Retry, "alice", at(1000)).unwrap();
    let phases: Vec<Phase> = list.iter().map(|change| change.state.phase()).collect();
    assert_eq!(phases, [Phase::RollingBack, Phase::Succeeded, Phase::Pending]);
}

/// What becomes of a change in that state.
#[track_caller]
fn check_after(request: &Request, state: State, expected: Phase) -> Change {
    let mut rollout = rollout(&[1]);
    let mut list = vec![entered(numbered(1, ChangeKind::Revision, 0), state, 900)];
    carry_out(&mut rollout, &mut list, request, "alice", at(1000)).unwrap();
    assert_eq!(list[0].state.phase(), expected);
    list.remove(0)
}

fn moving() -> State {
    State::Stabilizing { to: None, deployment: "ours".into(), intent: at(900), progress: Progress::start(at(900)) }
}

fn updating() -> State {
    State::Updating { to: Some(revision(2)), before: None, intent: at(900) }
}

#[test]
fn abort_drops_what_has_not_touched_its_service_and_lets_the_rest_finish() {
    check_after(&Request::Abort, State::Pending, Phase::Deferred);
    check_after(&Request::Abort, State::Registering { since: at(900) }, Phase::Deferred);
    check_after(&Request::Abort, updating(), Phase::Updating);
    check_after(&Request::Abort, moving(), Phase::Stabilizing);
}

#[test]
fn undo_turns_round_what_is_under_way_and_drops_what_has_not_begun() {
    check_after(&undo(), State::Pending, Phase::Deferred);
    check_after(&undo(), State::Registering { since: at(900) }, Phase::Deferred);
    let unknown = check_after(&undo(), updating(), Phase::RollingBack);
    assert!(matches!(unknown.state, State::RollingBack { deployment: None, intent, .. } if intent == at(900)));
    let known = check_after(&undo(), moving(), Phase::RollingBack);
    assert!(matches!(known.state, State::RollingBack { deployment: Some(id), .. } if id == "ours"));
    // What stands is taken back by the rollout, wave by wave.
    check_after(&undo(), State::Succeeded { at: at(900), deployment: None }, Phase::Succeeded);
    assert!(!unknown.failed(), "what a person took back has not failed");
}

#[test]
fn undo_of_one_service_takes_back_that_one_and_begins_nothing_more_on_it() {
    let stands = State::Succeeded { at: at(900), deployment: Some("ours".into()) };
    let mut rollout = rollout(&[1, 2]);
    let mut list = changes(&[1, 2]);
    list[0] = entered(list[0].clone(), stands.clone(), 900);
    list[1] = entered(list[1].clone(), stands, 900);
    list[2].spec.resource = list[0].spec.resource.clone();
    let request = undo_of(&list[0]);
    carry_out(&mut rollout, &mut list, &request, "alice", at(1000)).unwrap();
    let phases: Vec<Phase> = list.iter().map(|change| change.state.phase()).collect();
    assert_eq!(phases, [Phase::RollingBack, Phase::Succeeded, Phase::Deferred]);
    assert_eq!(rollout.state.phase(), "Progressing");

    let once = (rollout.clone(), list.clone());
    carry_out(&mut rollout, &mut list, &request, "alice", at(1001)).unwrap();
    assert_eq!((&rollout, &list), (&once.0, &once.1), "asking twice is asking once");
    list[0] = entered(
        list[0].clone(),
        State::RolledBack { cause: reason(ReasonCode::UndoneByPerson), at: at(1002), deployment: None },
        1002,
    );
    let again = carry_out(&mut rollout, &mut list, &request, "alice", at(1003));
    assert!(matches!(again, Err(RefusedRequest::NoSuchChange { .. })));
}

#[test]
fn one_service_can_be_undone_long_after_the_rollout_ended() {
    let (mut rollout, mut list) = (rollout(&[1]), changes(&[1]));
    rollout.state = RolloutState::Succeeded { at: at(950) };
    list[0] = entered(list[0].clone(), State::Succeeded { at: at(900), deployment: Some("ours".into()) }, 900);
    let request = undo_of(&list[0]);
    carry_out(&mut rollout, &mut list, &request, "alice", at(1000)).unwrap();
    assert_eq!((rollout.state.phase(), list[0].state.phase()), ("Succeeded", Phase::RollingBack));
}

#[test]
fn an_undo_that_failed_is_tried_again_from_when_the_change_was_made() {
    let (mut rollout, mut list) = (rollout(&[1]), changes(&[1]));
    rollout.state = RolloutState::Failed { reason: reason(ReasonCode::ChangeFailed), at: at(950) };
    let failed =
        State::Failed { cause: reason(ReasonCode::TasksFail), reason: reason(ReasonCode::Refused), at: at(940) };
    list[0] = entered(entered(list[0].clone(), updating(), 900), failed, 940);
    let request = undo_of(&list[0]);
    carry_out(&mut rollout, &mut list, &request, "alice", at(1000)).unwrap();
    assert!(matches!(
        list[0].state,
        State::RollingBack { deployment: None, intent, back: Back::Deciding, .. } if intent == at(900)
    ));
}

#[test]
fn a_retry_of_what_has_ended_needs_something_that_is_held_stopped_or_counted() {
    let (mut rollout, mut list) = (rollout(&[1, 1]), changes(&[1, 1]));
    rollout.state = RolloutState::Aborted { reason: reason(ReasonCode::AbortedByPerson), at: at(1) };
    let refused = RefusedRequest::NothingHeld { rollout: rollout.name.clone() };
    assert_eq!(retry_of_ended(&rollout, &list, false), Err(refused.clone()));
    assert_eq!(retry_of_ended(&rollout, &list, true), Ok(()));
    // What has landed may have been put back: from a retry on that is counted anew, once.
    list[0].state = State::Succeeded { at: at(100), deployment: None };
    assert_eq!(retry_of_ended(&rollout, &list, false), Ok(()));
    rollout.retried_at = Some(at(100));
    assert_eq!(retry_of_ended(&rollout, &list, false), Err(refused));
}
