//! Waves and rollouts that end without what they were for.

use super::*;

#[test]
fn a_wave_that_proves_nothing_does_not_advance_before_a_person_says_so() {
    let sizes = [2, 1];
    let chosen = with(rollout(&sizes), |rollout| rollout.spec.waves[0].selective = true);
    let overtaken = State::Overtaken { reason: reason(ReasonCode::Overtaken), at: at(900) };
    for idle in [blocked(), unverified(), overtaken, State::Gone { at: at(900) }] {
        let list = in_states(&sizes, &[idle.clone(), blocked()]);
        check(&chosen, &list, "Paused 0 (NothingVerified)");
        check(&chosen, &in_states(&sizes, &[idle.clone(), succeeded()]), "Progressing 1 begin [2]");
        check(
            &chosen,
            &in_states(&sizes, &[idle.clone(), blocked(), blocked()]),
            match idle {
                State::Unverified { .. } => "Unverified (NothingRuns)",
                _ => "Failed (ChangeFailed)",
            },
        );
        // Others take their places where anybody may.
        check(&rollout(&sizes), &list, "Progressing 0 join [2]");
        for (request, expected) in [(Request::Resume, "Progressing 1 begin [2]"), (Request::Abort, "Aborted")] {
            let (mut paused, mut list) = (chosen.clone(), list.clone());
            paused.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::NothingVerified) };
            carry_out(&mut paused, &mut list, &request, "alice", at(950)).unwrap();
            check(&paused, &list, expected);
        }
    }
    let (mut paused, mut list) = (chosen.clone(), in_states(&sizes, &[blocked(), unverified()]));
    paused.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::NothingVerified) };
    carry_out(&mut paused, &mut list, &Request::Retry, "alice", at(950)).unwrap();
    check(&paused, &list, "Progressing 0 begin [0]");
}

#[test]
fn what_somebody_deployed_over_was_not_taken_back() {
    let sizes = [1, 1];
    let back = with(rollout(&sizes), |rollout| {
        rollout.state = RolloutState::RollingBack { cause: reason(ReasonCode::UndoneByPerson), asked_at: None };
    });
    let moved_on = || State::Overtaken { reason: reason(ReasonCode::MovedOn), at: at(950) };
    check(&back, &in_states(&sizes, &[moved_on(), moved_on()]), "Failed (MovedOn)");
    let half = in_states(&sizes, &[taken_back(), moved_on()]);
    check(&back, &half, "RolledBack (UndoneByPerson)");
    let told = decide(&back, &half, &open()).reason.unwrap().message;
    assert_eq!(told, "as the test wants it; 1 changes were deployed over since, and are left alone");
    // Overtaken on its way, when nobody had asked to take it back.
    let overtaken = State::Overtaken { reason: reason(ReasonCode::Overtaken), at: at(900) };
    check(&back, &in_states(&sizes, &[overtaken, blocked()]), "RolledBack (UndoneByPerson)");
}

#[test]
fn a_rollout_of_what_runs_no_task_has_not_succeeded_before_tasks_have_run() {
    let list = |states: &[State]| in_states(&[2], states);
    check(&rollout(&[2]), &list(&[unverified(), unverified()]), "Unverified (NothingRuns)");
    check(&rollout(&[2]), &list(&[unverified(), blocked()]), "Unverified (NothingRuns)");
    check(&rollout(&[2]), &list(&[unverified(), succeeded()]), "Succeeded");
    let ended = |state: RolloutState, states: &[State]| {
        let ended = with(rollout(&[2]), |rollout| rollout.state = state);
        ended_otherwise(&ended, &list(states), at(NOW)).map(|state| state.phase())
    };
    let open = || RolloutState::Unverified { reason: reason(ReasonCode::NothingRuns), at: at(900) };
    let over = || RolloutState::Succeeded { at: at(900) };
    assert_eq!(ended(open(), &[unverified(), unverified()]), None);
    assert_eq!(ended(open(), &[unverified(), succeeded()]), Some("Succeeded"));
    assert_eq!(ended(open(), &[unverified(), taken_back()]), Some("Failed"));
    assert_eq!(ended(open(), &[unverified(), going_back(ReasonCode::TasksFail)]), None, "not yet over");
    assert_eq!(ended(over(), &[succeeded(), taken_back()]), Some("Failed"));
    let undone = State::RolledBack { cause: reason(ReasonCode::UndoneByPerson), at: at(950), deployment: None };
    assert_eq!(ended(over(), &[undone.clone(), undone]), None, "it had succeeded");
    let aborted = || RolloutState::Aborted { reason: reason(ReasonCode::AbortedByPerson), at: at(900) };
    assert_eq!(ended(aborted(), &[succeeded(), succeeded()]), None);
}
