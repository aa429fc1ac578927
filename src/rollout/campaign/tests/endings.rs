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
    assert_eq!(told, "as the test wants it; 1 change, deployed over since, left alone");
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

#[test]
fn a_paused_rollout_of_which_nothing_is_left_ends() {
    let superseded = || State::Deferred { reason: reason(ReasonCode::Superseded), at: at(900) };
    let paused = |code| {
        with(rollout(&[2]), |rollout| {
            rollout.state = RolloutState::Paused { wave: 0, reason: reason(code) };
            rollout.entered_at = Some(at(900));
        })
    };
    let failed = paused(ReasonCode::ChangeFailed);
    check(&failed, &in_states(&[2], &[taken_back(), superseded()]), "Failed (ChangeFailed)");
    // The last one failed: `retry` may still have it tried again.
    check(&failed, &in_states(&[2], &[succeeded(), taken_back()]), "Paused 0 (ChangeFailed)");
    check(&failed, &in_states(&[2], &[taken_back(), State::Pending]), "Paused 0 (ChangeFailed)");
    // Dropped before it had stopped.
    let before = with(failed, |rollout| rollout.entered_at = Some(at(901)));
    check(&before, &in_states(&[2], &[taken_back(), superseded()]), "Paused 0 (ChangeFailed)");
    // What a person has paused may have its bake before it; and what could not be told may be told again.
    for code in [ReasonCode::PausedByPerson, ReasonCode::ProgressTimeout] {
        let told = format!("Paused 0 ({})", code.as_str());
        check(&paused(code), &in_states(&[2], &[succeeded(), superseded()]), &told);
        check(&paused(code), &in_states(&[2], &[superseded(), superseded()]), "Superseded (Superseded)");
    }
}

#[test]
fn a_rollout_of_what_only_new_tasks_pick_up_advances_and_ends_unproved() {
    let older = || State::Unverified { at: at(900), deployment: None, reason: reason(ReasonCode::OlderTasks) };
    let sizes = [1, 1];
    let chosen = with(rollout(&sizes), |rollout| rollout.spec.waves[0].selective = true);
    check(&chosen, &in_states(&sizes, &[older()]), "Progressing 1 begin [1]");
    check(&rollout(&[2]), &in_states(&[2], &[older(), succeeded()]), "Unverified (OlderTasks)");
    check(&rollout(&[2]), &in_states(&[2], &[older(), older()]), "Unverified (OlderTasks)");
    let ended = with(rollout(&[2]), |rollout| {
        rollout.state = RolloutState::Unverified { reason: reason(ReasonCode::OlderTasks), at: at(900) };
    });
    let since =
        |states: &[State]| ended_otherwise(&ended, &in_states(&[2], states), at(NOW)).map(|state| state.phase());
    assert_eq!(since(&[older(), succeeded()]), None);
    assert_eq!(since(&[succeeded(), succeeded()]), Some("Succeeded"));
    let overtaken = State::Overtaken { reason: reason(ReasonCode::Overtaken), at: at(950) };
    assert_eq!(since(&[succeeded(), overtaken]), Some("Succeeded"));
}

#[test]
fn what_cannot_be_told_for_too_long_pauses_a_rollout_and_keeps_its_place() {
    let unseen = |until: i64| {
        let mut list = in_states(&[3], &[succeeded(), stabilizing()]);
        list[1].waiting = Some(reason(ReasonCode::NotObserved).until(at(until)));
        list
    };
    let open = with(rollout(&[3]), |rollout| rollout.spec.waves[0].max_in_flight = 1);
    check(&open, &unseen(NOW + 1), "Progressing 0 (Progressing)");
    check(&open, &unseen(NOW), "Paused 0 (ProgressTimeout)");
    let mut paused = with(open, |rollout| {
        rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::ProgressTimeout) };
    });
    let mut list = unseen(NOW);
    check(&paused, &list, "Paused 0 (ProgressTimeout)");
    // Whoever goes on accepts that; what cannot be seen may still be deploying, and nothing takes its place.
    carry_out(&mut paused, &mut list, &Request::Resume, "alice", at(NOW)).unwrap();
    check(&paused, &list, "Progressing 0 (Progressing)");
    assert_eq!(still_unseen(&paused, &list), paused.spec.accepted_unseen);
    // Seen once, it is another matter when it cannot be seen again.
    list[1].waiting = Some(reason(ReasonCode::Progressing));
    paused.spec.accepted_unseen = still_unseen(&paused, &list);
    list[1].waiting = unseen(NOW)[1].waiting.clone();
    check(&paused, &list, "Paused 0 (ProgressTimeout)");
}

#[test]
fn a_bake_that_cannot_be_watched_for_too_long_pauses_the_rollout() {
    let blind = reason(ReasonCode::NotObserved);
    let baking = with(rollout(&[1, 1]), |rollout| {
        rollout.state = RolloutState::Baking { wave: 0, until: at(NOW - 60) };
        rollout.spec.strategy.health.progress_timeout = crate::model::Span::from_secs(61);
    });
    let list = in_states(&[1, 1], &[succeeded()]);
    let unwatched = |second| Input { unwatched: Some(&blind), now: at(second), ..open() };
    check_with(&baking, &list, &unwatched(NOW), "Baking 0 (NotObserved)");
    check_with(&baking, &list, &unwatched(NOW + 1), "Paused 0 (ProgressTimeout)");
}
