use super::*;
use crate::model::ChangeKind;
use crate::model::spec::{Amount, StrategySpec};
use crate::rollout::command::{Request, carry_out};
use crate::rollout::fixture::{at, changes, entered, numbered, reason, revision, rollout};
use crate::rollout::state::{Back, Progress};

mod endings;
mod going_back;

const NOW: i64 = 1000;

fn updating() -> State {
    State::Updating { to: Some(revision(2)), before: None, intent: at(900) }
}

fn stabilizing() -> State {
    State::Stabilizing { to: None, deployment: "ours".into(), intent: at(900), progress: Progress::start(at(900)) }
}

fn succeeded() -> State {
    State::Succeeded { at: at(900), deployment: Some("ours".into()) }
}

fn unverified() -> State {
    State::Unverified { at: at(900), deployment: None, reason: reason(ReasonCode::NothingRuns) }
}

fn going_back(cause: ReasonCode) -> State {
    State::RollingBack { cause: reason(cause), deployment: None, intent: at(900), back: Back::Deciding }
}

fn taken_back() -> State {
    State::RolledBack { cause: reason(ReasonCode::TasksFail), at: at(950), deployment: None }
}

fn blocked() -> State {
    State::Blocked { reason: reason(ReasonCode::NoHeadroom), at: at(900) }
}

/// Changes in waves of these sizes; the first of them in these states, the others Pending.
fn in_states(sizes: &[usize], states: &[State]) -> Vec<Change> {
    let mut list = changes(sizes);
    for (change, state) in list.iter_mut().zip(states) {
        *change = entered(change.clone(), state.clone(), 900);
    }
    list
}

fn open() -> Input<'static> {
    Input { forward: None, unwatched: None, day_budget: usize::MAX, elsewhere: 0, turn: 0, now: at(NOW) }
}

/// A decision in a line: the state with its wave, what is done to which change, the reason's code.
fn told(decision: &Decision) -> String {
    let wave = decision.state.wave().map(|wave| format!(" {wave}")).unwrap_or_default();
    let mut line = format!("{}{wave}", decision.state.phase());
    let places = |list: &[(usize, Reason)]| list.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    for (verb, places) in [
        ("join", decision.join.clone()),
        ("begin", decision.begin.clone()),
        ("back", places(&decision.take_back)),
        ("drop", places(&decision.drop)),
    ] {
        if !places.is_empty() {
            line += &format!(" {verb} {places:?}");
        }
    }
    // That it begins is said already; any other reason is one.
    let begins = |reason: &&Reason| decision.begin.is_empty() || reason.code != ReasonCode::Progressing;
    line + &decision
        .reason
        .as_ref()
        .filter(begins)
        .map(|reason| format!(" ({})", reason.code.as_str()))
        .unwrap_or_default()
}

#[track_caller]
fn check(rollout: &Rollout, changes: &[Change], expected: &str) {
    check_with(rollout, changes, &open(), expected);
}

#[track_caller]
fn check_with(rollout: &Rollout, changes: &[Change], input: &Input<'_>, expected: &str) {
    assert_eq!(told(&decide(rollout, changes, input)), expected);
}

fn with(rollout: Rollout, edit: impl FnOnce(&mut Rollout)) -> Rollout {
    let mut rollout = rollout;
    edit(&mut rollout);
    rollout
}

#[test]
fn a_wave_begins_as_many_as_there_is_room_for_and_not_the_next() {
    let sizes = [8, 3];
    check(&rollout(&sizes), &changes(&sizes), "Progressing 0 begin [0, 1, 2, 3, 4]");
    let scheduled = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Scheduled);
    check(&scheduled, &changes(&sizes), "Progressing 0 begin [0, 1, 2, 3, 4]");
    let small = with(rollout(&sizes), |rollout| rollout.spec.waves[0].max_in_flight = 2);
    check(&small, &changes(&sizes), "Progressing 0 begin [0, 1]");
}

#[test]
fn registering_and_going_back_take_a_place() {
    let sizes = [8];
    let busy =
        [State::Registering { since: at(900) }, updating(), stabilizing(), going_back(ReasonCode::UndoneByPerson)];
    check(&rollout(&sizes), &in_states(&sizes, &busy), "Progressing 0 begin [4]");
    let full: Vec<State> = busy.into_iter().chain([stabilizing()]).collect();
    check(&rollout(&sizes), &in_states(&sizes, &full), "Progressing 0 (Progressing)");
}

#[test]
fn the_budget_is_the_strategys_and_a_waves_own_takes_its_place() {
    let sizes = [8];
    let list = in_states(&sizes, &[stabilizing()]);
    let beside = |elsewhere| Input { elsewhere, ..open() };
    check_with(&rollout(&sizes), &list, &beside(3), "Progressing 0 begin [1]");
    check_with(&rollout(&sizes), &list, &beside(4), "Progressing 0 (Progressing)");
    check_with(&rollout(&sizes), &changes(&sizes), &beside(5), "Progressing 0 (MaxInFlight)");
    // Taking back is in nobody's way.
    let back = with(rollout(&sizes), |rollout| {
        rollout.state = RolloutState::RollingBack { cause: reason(ReasonCode::UndoneByPerson), asked_at: None };
    });
    let stands = in_states(&[1], &[succeeded()]);
    check_with(&back, &stands, &beside(5), "RollingBack back [0] (RollbackInProgress)");
    for (own, full) in [(1, true), (2, false), (9, false)] {
        let wave = with(rollout(&sizes), |rollout| {
            rollout.spec.strategy.max_in_flight = 1;
            rollout.spec.waves[0].max_in_flight = own;
        });
        assert_eq!(no_room(&wave, list.iter()).is_some(), full, "{own}");
        check(
            &wave,
            &list,
            if full {
                "Progressing 0 (Progressing)"
            } else if own == 2 {
                "Progressing 0 begin [1]"
            } else {
                "Progressing 0 begin [1, 2, 3, 4, 5, 6, 7]"
            },
        );
    }
}

#[test]
fn what_has_only_registered_takes_nobodys_place_while_its_rollout_is_stopped() {
    let list = in_states(&[3], &[State::Registering { since: at(900) }, stabilizing(), succeeded()]);
    assert_eq!(places(&rollout(&[3]), list.iter()), 2);
    let paused = with(rollout(&[3]), |rollout| {
        rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::PausedByPerson) };
    });
    assert_eq!(places(&paused, list.iter()), 1);
}

#[test]
fn what_waits_for_a_person_to_let_its_fix_go_on_elsewhere_takes_nobodys_place() {
    let mut list = in_states(&[3], &[State::Registering { since: at(900) }, stabilizing(), succeeded()]);
    list[0].waiting = Some(reason(ReasonCode::FixStopped));
    assert_eq!(places(&rollout(&[3]), list.iter()), 1);
    list[0].waiting = Some(reason(ReasonCode::Frozen));
    assert_eq!(places(&rollout(&[3]), list.iter()), 2);
}

#[test]
fn those_that_wait_for_something_of_their_own_let_others_pass() {
    let mut list = changes(&[8]);
    for change in &mut list[..5] {
        change.waiting = Some(reason(ReasonCode::DeploymentInProgress));
    }
    check(&rollout(&[8]), &list, "Progressing 0 begin [5, 6, 7, 0, 1]");
    for change in &mut list {
        change.waiting = Some(reason(ReasonCode::DeploymentInProgress));
    }
    check(&rollout(&[8]), &list, "Progressing 0 begin [0, 1, 2, 3, 4] (DeploymentInProgress)");
}

#[test]
fn nothing_begins_outside_a_window_or_beyond_the_days_budget() {
    let sizes = [4];
    let list = in_states(&sizes, &[stabilizing()]);
    let closed = reason(ReasonCode::OutsideWindow);
    let window = Input { forward: Some(&closed), ..open() };
    check_with(&rollout(&sizes), &list, &window, "Progressing 0 (OutsideWindow)");
    let scheduled = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Scheduled);
    check_with(&scheduled, &list, &window, "Scheduled (OutsideWindow)");
    check_with(&rollout(&sizes), &list, &Input { day_budget: 2, ..open() }, "Progressing 0 begin [1, 2]");
    check_with(&rollout(&sizes), &list, &Input { day_budget: 0, ..open() }, "Progressing 0 (MaxChangesPerDay)");
}

#[test]
fn a_wave_ends_only_when_all_of_it_has() {
    let sizes = [2, 1];
    check(&rollout(&sizes), &in_states(&sizes, &[succeeded(), stabilizing()]), "Progressing 0 (Progressing)");
    check(&rollout(&sizes), &in_states(&sizes, &[succeeded(), succeeded()]), "Progressing 1 begin [2]");
    let done = in_states(&sizes, &[succeeded(), succeeded(), succeeded()]);
    check(&with(rollout(&sizes), |rollout| rollout.state = RolloutState::Progressing { wave: 1 }), &done, "Succeeded");
}

#[test]
fn a_wave_that_landed_is_watched_before_the_next_begins() {
    let sizes = [1, 1];
    let baked = with(rollout(&sizes), |rollout| rollout.spec.waves[0].bake_seconds = 300);
    let list = in_states(&sizes, &[succeeded()]);
    check(&baked, &list, "Baking 0 (Baking)");
    let baking =
        |until: i64| with(baked.clone(), |rollout| rollout.state = RolloutState::Baking { wave: 0, until: at(until) });
    check(&baking(NOW + 1), &list, "Baking 0 (Baking)");
    check(&baking(NOW), &list, "Progressing 1 begin [1]");
    let relapsed = in_states(&sizes, &[going_back(ReasonCode::TasksFail)]);
    check(&baking(NOW + 1), &relapsed, "Paused 0 (ChangeFailed)");
    let undone = in_states(&sizes, &[going_back(ReasonCode::UndoneByPerson)]);
    check(&baking(NOW), &undone, "Baking 0 (Baking)");
    // There is nothing to watch where nothing stands.
    let nothing = in_states(&[1], &[blocked()]);
    check(&with(rollout(&[1]), |rollout| rollout.spec.waves[0].bake_seconds = 300), &nothing, "Failed (ChangeFailed)");
}

#[test]
fn bake_does_not_end_while_health_is_unknown() {
    let sizes = [1, 1];
    let baking = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Baking { wave: 0, until: at(NOW) });
    let list = in_states(&sizes, &[succeeded()]);
    let unread = reason(ReasonCode::NotObserved);
    check_with(&baking, &list, &Input { unwatched: Some(&unread), ..open() }, "Baking 0 (NotObserved)");
    check_with(&baking, &list, &open(), "Progressing 1 begin [1]");
}

#[test]
fn the_first_failure_stops_a_rollout_at_once() {
    let sizes = [3, 1];
    let states = [
        State::Clobbered { reason: reason(ReasonCode::Clobbered), at: at(900) },
        State::Quarantined { reason: reason(ReasonCode::RegisteredDiffers), at: at(900) },
        State::Failed {
            cause: reason(ReasonCode::TasksFail),
            reason: reason(ReasonCode::ProgressTimeout),
            at: at(900),
        },
        going_back(ReasonCode::TasksFail),
        taken_back(),
    ];
    for failed in states {
        check(&rollout(&sizes), &in_states(&sizes, &[failed]), "Paused 0 (ChangeFailed)");
    }
    let undone = going_back(ReasonCode::UndoneByPerson);
    check(&rollout(&sizes), &in_states(&sizes, &[undone]), "Progressing 0 begin [1, 2]");
    check(&rollout(&[2]), &in_states(&[2], &[blocked()]), "Progressing 0 begin [1]");
}

#[test]
fn on_failure_says_what_happens_then() {
    let sizes = [3, 1];
    let on = |on_failure| with(rollout(&sizes), |rollout| rollout.spec.strategy.on_failure = on_failure);
    let list = in_states(&sizes, &[taken_back(), stabilizing()]);
    check(&on(OnFailure::Pause), &list, "Paused 0 (ChangeFailed)");
    check(&on(OnFailure::Rollback), &list, "RollingBack drop [2, 3] (ChangeFailed)");
    check(&on(OnFailure::Continue), &list, "Progressing 0 begin [2]");
    let over = in_states(&sizes, &[taken_back(), succeeded(), succeeded()]);
    check(&on(OnFailure::Continue), &over, "Progressing 1 begin [3]");
}

#[test]
fn tolerated_failures_are_a_count_or_a_share_of_all_changes() {
    let sizes = [4, 4];
    let tolerating = |limit| with(rollout(&sizes), |rollout| rollout.spec.strategy.max_failures = limit);
    let failed = |count: usize| in_states(&sizes, &vec![taken_back(); count]);
    check(&tolerating(Amount::Count(1)), &failed(1), "Progressing 0 begin [1, 2, 3]");
    check(&tolerating(Amount::Count(1)), &failed(2), "Paused 0 (ChangeFailed)");
    let share: Amount = "37%".parse().unwrap();
    check(&tolerating(share), &failed(2), "Progressing 0 begin [2, 3]");
    check(&tolerating(share), &failed(3), "Paused 0 (ChangeFailed)");
}

#[test]
fn a_wave_with_a_failure_does_not_advance_unless_it_sets_its_own() {
    let sizes = [2, 1];
    let tolerating = with(rollout(&sizes), |rollout| rollout.spec.strategy.max_failures = Amount::Count(5));
    let list = in_states(&sizes, &[taken_back(), succeeded()]);
    check(&tolerating, &list, "Paused 0 (ChangeFailed)");
    // Its own limit is an allowance of its own: the rollout's stays untouched.
    let own = with(rollout(&sizes), |rollout| rollout.spec.waves[0].max_failures = 1);
    check(&own, &list, "Progressing 1 begin [2]");
    check(&own, &in_states(&sizes, &[taken_back(), taken_back()]), "Paused 0 (ChangeFailed)");
    // The last wave has nothing to advance to.
    let last = with(tolerating, |rollout| rollout.state = RolloutState::Progressing { wave: 1 });
    check(&last, &in_states(&sizes, &[succeeded(), succeeded(), taken_back()]), "Failed (ChangeFailed)");
}

#[test]
fn failures_that_a_person_resumed_over_stop_nothing_more() {
    let sizes = [2, 2];
    let list = in_states(&sizes, &[taken_back(), succeeded()]);
    let resumed = with(rollout(&sizes), |rollout| rollout.spec.accepted_failures = vec![list[0].name.clone()]);
    check(&resumed, &list, "Progressing 1 begin [2, 3]");
    let again = in_states(&sizes, &[taken_back(), succeeded(), taken_back()]);
    let later = with(resumed, |rollout| rollout.state = RolloutState::Progressing { wave: 1 });
    check(&later, &again, "Paused 1 (ChangeFailed)");
    // A tolerance is not used up by what was accepted, nor made larger by it.
    let tolerant = with(later, |rollout| rollout.spec.strategy.max_failures = Amount::Count(1));
    check(&tolerant, &again, "Progressing 1 begin [3]");
}

#[test]
fn waves_wait_for_the_approval_they_need() {
    let sizes = [1, 1];
    let asking = |approval, approved: usize, wave: usize| {
        with(rollout(&sizes), |rollout| {
            rollout.spec.strategy.approval = approval;
            rollout.approved_waves = approved;
            rollout.state = RolloutState::Progressing { wave };
        })
    };
    let first_done = in_states(&sizes, &[succeeded()]);
    check(&asking(Approval::Before, 1, 0), &changes(&sizes), "Progressing 0 begin [0]");
    check(&asking(Approval::Before, 0, 0), &changes(&sizes), "Progressing 0 (ApprovalRequired)");
    check(&asking(Approval::Before, 1, 0), &first_done, "Progressing 1 begin [1]");
    check(&asking(Approval::EachWave, 1, 0), &changes(&sizes), "Progressing 0 begin [0]");
    check(&asking(Approval::EachWave, 1, 0), &first_done, "Progressing 1 (ApprovalRequired)");
    check(&asking(Approval::EachWave, 2, 1), &first_done, "Progressing 1 begin [1]");
    let proposed = with(rollout(&sizes), |rollout| {
        rollout.state = RolloutState::Proposed { reason: reason(ReasonCode::TooManyServices) };
    });
    check(&proposed, &changes(&sizes), "Proposed (TooManyServices)");
}

#[test]
fn a_paused_rollout_begins_nothing() {
    let paused = with(rollout(&[3]), |rollout| {
        rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::PausedByPerson) };
    });
    check(&paused, &in_states(&[3], &[stabilizing()]), "Paused 0 (PausedByPerson)");
    assert_eq!(stopped(&paused).map(|reason| reason.code), Some(ReasonCode::PausedByPerson));
    assert_eq!(stopped(&rollout(&[3])), None);
}

#[test]
fn what_ends_without_proof_is_replaced_and_the_wave_stays_a_proof() {
    let sizes = [1, 2];
    for nothing in [blocked(), State::Gone { at: at(900) }, unverified()] {
        check(&rollout(&sizes), &in_states(&sizes, &[nothing]), "Progressing 0 join [1]");
    }
    check(&rollout(&sizes), &in_states(&sizes, &[taken_back()]), "Paused 0 (ChangeFailed)");
    // The one that joined counts, so that nobody joins twice.
    let mut joined = in_states(&sizes, &[blocked()]);
    joined[1].spec.wave = 0;
    check(&rollout(&sizes), &joined, "Progressing 0 begin [1]");
    let nobody_left = in_states(&sizes, &[blocked(), blocked(), blocked()]);
    check(&rollout(&sizes), &nobody_left, "Failed (ChangeFailed)");
    let all_gone =
        in_states(&sizes, &[State::Gone { at: at(900) }, State::Gone { at: at(900) }, State::Gone { at: at(900) }]);
    check(&rollout(&sizes), &all_gone, "Superseded (Superseded)");
}

#[test]
fn a_rollout_that_nobody_asks_for_any_more_is_superseded() {
    let dropped = State::Deferred { reason: reason(ReasonCode::Superseded), at: at(900) };
    check(&rollout(&[2]), &in_states(&[2], &[dropped.clone(), dropped.clone()]), "Superseded (Superseded)");
    check(&rollout(&[2]), &in_states(&[2], &[succeeded(), dropped]), "Succeeded");
}

#[test]
fn a_rollout_that_has_ended_decides_nothing() {
    let list = vec![numbered(1, ChangeKind::Revision, 0)];
    for state in [
        RolloutState::RolledBack { cause: reason(ReasonCode::UndoneByPerson), at: at(1) },
        RolloutState::Succeeded { at: at(1) },
        RolloutState::Unverified { reason: reason(ReasonCode::NothingRuns), at: at(1) },
        RolloutState::Failed { reason: reason(ReasonCode::ChangeFailed), at: at(1) },
        RolloutState::Aborted { reason: reason(ReasonCode::AbortedByPerson), at: at(1) },
        RolloutState::Superseded { at: at(1) },
    ] {
        let ended = with(rollout(&[1]), |rollout| rollout.state = state);
        check(&ended, &list, ended.state.phase());
    }
}

#[test]
fn those_that_were_tried_in_vain_are_tried_in_turns() {
    let sizes = [5];
    let mut list = changes(&sizes);
    for change in &mut list {
        change.waiting = Some(reason(ReasonCode::Frozen));
    }
    let mut rollout = rollout(&sizes);
    rollout.spec.waves[0].max_in_flight = 2;
    for (turn, begun) in [(0, [0, 1]), (1, [2, 3]), (2, [4, 0]), (3, [1, 2])] {
        let decision = decide(&rollout, &list, &Input { turn, ..open() });
        assert_eq!(decision.begin, begun, "turn {turn}");
    }
}
/// The rollout whose alarms stand so.
fn hearing(rollout: Rollout, standing: Alarms) -> Rollout {
    with(rollout, |rollout| rollout.alarms.standing = standing)
}

fn in_alarm() -> Alarms {
    Alarms::InAlarm { reason: reason(ReasonCode::Alarm) }
}

fn inconclusive(since: i64) -> Alarms {
    Alarms::Inconclusive { since: at(since), reason: reason(ReasonCode::AlarmUnknown) }
}

fn fired() -> Alarms {
    Alarms::Fired { wave: 0, cause: reason(ReasonCode::Alarm) }
}

#[test]
fn nothing_begins_while_an_alarm_is_on_or_not_known() {
    let sizes = [3, 1];
    for (standing, code) in [(in_alarm(), "Alarm"), (inconclusive(0), "AlarmUnknown")] {
        let scheduled = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Scheduled);
        check(&hearing(scheduled, standing.clone()), &changes(&sizes), &format!("Scheduled ({code})"));
        check(&hearing(rollout(&sizes), standing.clone()), &changes(&sizes), &format!("Progressing 0 ({code})"));
        let second = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Progressing { wave: 1 });
        let first_done = in_states(&sizes, &[succeeded(), succeeded(), succeeded()]);
        check(&hearing(second.clone(), standing.clone()), &first_done, &format!("Progressing 1 ({code})"));
        assert_eq!(stopped(&hearing(second, standing)).map(|reason| reason.code.as_str()), Some(code));
    }
}

#[test]
fn no_wave_ends_while_an_alarm_is_on_or_not_known() {
    let sizes = [1, 1];
    let done = in_states(&sizes, &[succeeded()]);
    let baking = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Baking { wave: 0, until: at(NOW) });
    for (standing, code) in [(in_alarm(), "Alarm"), (inconclusive(NOW - 1), "AlarmUnknown")] {
        check(&hearing(rollout(&sizes), standing.clone()), &done, &format!("Progressing 0 ({code})"));
        check(&hearing(baking.clone(), standing.clone()), &done, &format!("Baking 0 ({code})"));
        // Where nothing stands, there is nothing that an alarm could be about.
        let nothing = in_states(&[1], &[State::Gone { at: at(900) }]);
        check(&hearing(rollout(&[1]), standing), &nothing, "Superseded (Superseded)");
    }
    check(&hearing(baking, Alarms::Quiet), &done, "Progressing 1 begin [1]");
}

#[test]
fn what_is_not_known_for_too_long_stops_the_rollout_and_takes_nothing_back() {
    let sizes = [1, 1];
    let patience = i64::try_from(StrategySpec::default().health.progress_timeout.0.as_secs()).unwrap();
    let done = in_states(&sizes, &[succeeded()]);
    let baking = with(rollout(&sizes), |rollout| rollout.state = RolloutState::Baking { wave: 0, until: at(NOW) });
    for rollout in [rollout(&sizes), baking] {
        check(&hearing(rollout, inconclusive(NOW - patience)), &done, "Paused 0 (ProgressTimeout)");
    }
    // Before anything has begun, waiting hurts nobody.
    check(&hearing(rollout(&sizes), inconclusive(-99_999)), &changes(&sizes), "Progressing 0 (AlarmUnknown)");
}

#[test]
fn an_alarm_that_fired_takes_the_wave_back_and_on_failure_says_what_then() {
    let sizes = [4, 1];
    let list = in_states(&sizes, &[succeeded(), stabilizing(), taken_back()]);
    let on = |on_failure| {
        with(hearing(rollout(&sizes), fired()), |rollout| {
            rollout.spec.strategy.on_failure = on_failure;
            // One that failed by itself is tolerated; the alarm is not weighed against that.
            rollout.spec.strategy.max_failures = Amount::Count(9);
        })
    };
    check(&on(OnFailure::Pause), &list, "Paused 0 back [1, 0] (ChangeFailed)");
    check(&on(OnFailure::Rollback), &list, "RollingBack back [1, 0] drop [3, 4] (ChangeFailed)");
    check(&on(OnFailure::Continue), &list, "Progressing 0 back [1, 0] (ChangeFailed)");
    let baking =
        |rollout| with(rollout, |rollout: &mut Rollout| rollout.state = RolloutState::Baking { wave: 0, until: at(0) });
    check(&baking(on(OnFailure::Pause)), &list, "Paused 0 back [1, 0] (ChangeFailed)");
    check(&baking(on(OnFailure::Continue)), &list, "Baking 0 back [1, 0] (ChangeFailed)");
}

#[test]
fn what_an_alarm_takes_back_goes_as_many_at_a_time_as_forward_also_while_the_rollout_is_paused() {
    let sizes = [4];
    let paused = with(hearing(rollout(&sizes), fired()), |rollout| {
        rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::ChangeFailed) };
        rollout.spec.waves[0].max_in_flight = 2;
    });
    let back = || going_back(ReasonCode::Alarm);
    let list = in_states(&sizes, &[back(), succeeded(), succeeded(), unverified()]);
    check(&paused, &list, "Paused 0 back [1] (ChangeFailed)");
    check(&paused, &in_states(&sizes, &[back(), back(), succeeded(), updating()]), "Paused 0 back [3] (ChangeFailed)");
}

/// Found by the law `every_rollout_ends_or_waits_for_a_person`.
#[test]
fn what_an_alarm_takes_back_does_not_wait_for_what_has_only_registered() {
    let sizes = [2];
    let continues = with(hearing(rollout(&sizes), fired()), |rollout| {
        rollout.spec.strategy.on_failure = OnFailure::Continue;
        rollout.spec.waves[0].max_in_flight = 1;
    });
    let list = in_states(&sizes, &[State::Registering { since: at(1) }, succeeded()]);
    check(&continues, &list, "Progressing 0 back [1] (ChangeFailed)");
}
