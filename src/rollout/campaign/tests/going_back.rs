//! The way back of a whole rollout.

use super::*;

#[test]
fn a_rollout_goes_back_wave_by_wave_as_many_at_a_time_as_forward() {
    let sizes = [1, 2];
    let back = with(rollout(&sizes), |rollout| {
        rollout.state = RolloutState::RollingBack { cause: reason(ReasonCode::UndoneByPerson), asked_at: None };
        rollout.spec.strategy.max_in_flight = 2;
    });
    let stand = in_states(&sizes, &[succeeded(), succeeded(), unverified()]);
    check(&back, &stand, "RollingBack back [2, 1] (RollbackInProgress)");
    let half = in_states(&sizes, &[succeeded(), going_back(ReasonCode::UndoneByPerson), taken_back()]);
    check(&back, &half, "RollingBack (RollbackInProgress)");
    let over = in_states(&sizes, &[succeeded(), taken_back(), taken_back()]);
    check(&back, &over, "RollingBack back [0] (RollbackInProgress)");
    let full = in_states(
        &sizes,
        &[succeeded(), going_back(ReasonCode::UndoneByPerson), going_back(ReasonCode::UndoneByPerson)],
    );
    check(&back, &full, "RollingBack (RollbackInProgress)");
    // What is on its way forward turns round at once: it is in flight already. What has not begun is dropped.
    let underway = in_states(&sizes, &[updating(), stabilizing(), State::Registering { since: at(900) }]);
    check(&back, &underway, "RollingBack back [0, 1] drop [2] (RollbackInProgress)");
    let ended = in_states(&sizes, &[taken_back(), blocked(), taken_back()]);
    check(&back, &ended, "RolledBack (UndoneByPerson)");
    let failed =
        State::Failed { cause: reason(ReasonCode::UndoneByPerson), reason: reason(ReasonCode::TasksFail), at: at(900) };
    check(&back, &in_states(&sizes, &[taken_back(), failed, taken_back()]), "Failed (ChangeFailed)");
}

#[test]
fn what_could_not_be_taken_back_is_tried_again_once_a_person_asks_and_waits_for_its_place() {
    let mut undone = with(rollout(&[3]), |rollout| {
        rollout.state = RolloutState::Progressing { wave: 0 };
        rollout.spec.strategy.max_in_flight = 1;
    });
    let failed = |cause| State::Failed { cause: reason(cause), reason: reason(ReasonCode::Refused), at: at(920) };
    let mut list = changes(&[3]);
    list[0] =
        entered(entered(list[0].clone(), going_back(ReasonCode::TasksFail), 910), failed(ReasonCode::TasksFail), 920);
    list[1] = entered(list[1].clone(), stabilizing(), 930);
    carry_out(&mut undone, &mut list, &Request::Undo { service: None }, "alice", at(940)).unwrap();
    let phases: Vec<Phase> = list.iter().map(|change| change.state.phase()).collect();
    assert_eq!(phases, [Phase::Failed, Phase::RollingBack, Phase::Deferred], "1 is in flight, as many as may be");
    check(&undone, &list, "RollingBack (RollbackInProgress)");
    list[1] = entered(list[1].clone(), taken_back(), 950);
    check(&undone, &list, "RollingBack back [0] (RollbackInProgress)");
    list[0] = entered(list[0].clone(), going_back(ReasonCode::UndoneByPerson), 960);
    check(&undone, &list, "RollingBack (RollbackInProgress)");
    // Once: whoever wants more asks again.
    list[0] = entered(list[0].clone(), failed(ReasonCode::UndoneByPerson), 970);
    check(&undone, &list, "Failed (ChangeFailed)");
    carry_out(&mut undone, &mut list, &Request::Undo { service: None }, "alice", at(980)).unwrap();
    check(&undone, &list, "RollingBack back [0] (RollbackInProgress)");
}

/// It went back, as `cause` says, and that could not be done.
fn could_not(change: &Change, cause: ReasonCode, second: i64) -> Change {
    let failed = State::Failed { cause: reason(cause), reason: reason(ReasonCode::TasksFail), at: at(second) };
    entered(entered(change.clone(), going_back(cause), second - 10), failed, second)
}

#[test]
fn what_cannot_go_back_stops_the_others_until_a_person_asks_again() {
    let sizes = [2, 1];
    let mut undone = with(rollout(&sizes), |rollout| {
        let cause = reason(ReasonCode::UndoneByPerson);
        rollout.state = RolloutState::RollingBack { cause, asked_at: Some(at(900)) };
    });
    let mut list = in_states(&sizes, &[succeeded(), succeeded(), succeeded()]);
    list[2] = could_not(&list[2], ReasonCode::UndoneByPerson, 950);
    check(&undone, &list, "Failed (ChangeFailed)");
    let tolerant = with(undone.clone(), |rollout| rollout.spec.strategy.max_failures = Amount::Count(1));
    check(&tolerant, &list, "RollingBack back [1, 0] (RollbackInProgress)");
    let its_own = with(undone.clone(), |rollout| rollout.spec.waves[1].max_failures = 1);
    check(&its_own, &list, "RollingBack back [1, 0] (RollbackInProgress)");
    // What is on its way finishes first.
    let busy = entered(list[1].clone(), going_back(ReasonCode::UndoneByPerson), 950);
    check(&undone, &[list[0].clone(), busy, list[2].clone()], "RollingBack (ChangeFailed)");

    let undo = Request::Undo { service: None };
    carry_out(&mut undone, &mut list, &undo, "alice", at(980)).unwrap();
    check(&undone, &list, "RollingBack back [2] (RollbackInProgress)");
    list[2] = could_not(&list[2], ReasonCode::UndoneByPerson, 995);
    check(&undone, &list, "RollingBack back [1, 0] (RollbackInProgress)");
}

#[test]
fn what_failed_before_it_was_to_go_back_does_not_stop_it() {
    let back = with(rollout(&[2]), |rollout| {
        rollout.state = RolloutState::RollingBack { cause: reason(ReasonCode::ChangeFailed), asked_at: None };
    });
    let mut list = in_states(&[2], &[succeeded(), succeeded()]);
    list[1] = could_not(&list[1], ReasonCode::TasksFail, 950);
    check(&back, &list, "RollingBack back [0] (RollbackInProgress)");
    list[1] = could_not(&changes(&[2])[1], ReasonCode::ChangeFailed, 950);
    check(&back, &list, "Failed (ChangeFailed)");
}

#[test]
fn a_deployment_of_somebodys_that_was_replaced_on_the_way_back_stops_it_too() {
    let back = with(rollout(&[2]), |rollout| {
        rollout.state =
            RolloutState::RollingBack { cause: reason(ReasonCode::UndoneByPerson), asked_at: Some(at(940)) };
    });
    let over = |second| State::Clobbered { reason: reason(ReasonCode::Clobbered), at: at(second) };
    let mut list = in_states(&[2], &[succeeded(), succeeded()]);
    let going = entered(list[1].clone(), going_back(ReasonCode::UndoneByPerson), 945);
    list[1] = entered(going, over(950), 950);
    check(&back, &list, "Failed (ChangeFailed)");
    list[1] = entered(changes(&[2])[1].clone(), over(930), 930);
    check(&back, &list, "RollingBack back [0] (RollbackInProgress)");
}
