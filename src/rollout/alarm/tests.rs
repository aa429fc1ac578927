use super::*;
use crate::model::Span;
use crate::model::spec::AlarmSelector;
use crate::rollout::fixture::{at, changes, entered, reason, rollout};
use crate::rollout::state::{Back, Progress};

const NOW: i64 = 1000;
/// When the changes of the tests were told to move.
const BEGAN: i64 = 500;

/// A rollout that listens to two alarms, in that state.
fn listening(state: RolloutState) -> Rollout {
    let mut rollout = rollout(&[2, 2]);
    rollout.spec.strategy.health.alarms = ["5xx", "latency"].map(|name| AlarmSelector::Name(name.into())).to_vec();
    rollout.spec.strategy.health.progress_timeout = Span::from_secs(600);
    rollout.state = state;
    rollout
}

fn alarm(name: &str, state: AlarmState, since: i64) -> Alarm {
    Alarm { name: name.to_owned(), state, since: Some(at(since)) }
}

/// Both alarms, the first of them so.
fn first_is(state: AlarmState, since: i64) -> AlarmReading {
    AlarmReading { alarms: vec![alarm("5xx", state, since), alarm("latency", AlarmState::Ok, 0)], ..Default::default() }
}

fn red(since: i64) -> AlarmReading {
    first_is(AlarmState::Alarm, since)
}

fn quiet() -> AlarmReading {
    first_is(AlarmState::Ok, 0)
}

fn moving() -> State {
    State::Stabilizing { to: None, deployment: "ours".into(), intent: at(BEGAN), progress: Progress::start(at(BEGAN)) }
}

fn landed() -> State {
    State::Succeeded { at: at(600), deployment: Some("ours".into()) }
}

fn going_back() -> State {
    State::RollingBack { cause: reason(ReasonCode::Alarm), deployment: None, intent: at(BEGAN), back: Back::Deciding }
}

/// Four changes in two waves; the first of them in these states, each having been told to move at [`BEGAN`].
fn in_states(states: &[State]) -> Vec<Change> {
    let mut list = changes(&[2, 2]);
    for (change, state) in list.iter_mut().zip(states) {
        let told = State::Updating { to: None, before: None, intent: at(BEGAN) };
        *change = entered(entered(change.clone(), told, BEGAN), state.clone(), 600);
    }
    list
}

const UNDER_WAY: RolloutState = RolloutState::Progressing { wave: 0 };

fn baking() -> RolloutState {
    RolloutState::Baking { wave: 0, until: at(2000) }
}

fn told(standing: &Alarms) -> String {
    match standing {
        Alarms::Quiet => "Quiet".to_owned(),
        Alarms::InAlarm { reason } => format!("InAlarm {}", reason.code.as_str()),
        Alarms::Inconclusive { since, reason } => {
            let until =
                reason.until.map(|until| format!(" until {}", until.since(at(0)).as_secs())).unwrap_or_default();
            format!("Inconclusive {} since {}{until}", reason.code.as_str(), since.since(at(0)).as_secs())
        }
        Alarms::Fired { wave, cause } => format!("Fired {wave} {}", cause.code.as_str()),
    }
}

#[track_caller]
fn check(rollout: &Rollout, states: &[State], reading: &AlarmReading, expected: &str) {
    let watch = look(rollout, &in_states(states), Some(reading), at(NOW));
    assert_eq!(told(&watch.standing), expected);
}

#[test]
fn before_a_wave_begins_an_alarm_holds_it_up_and_fails_nothing() {
    for state in [RolloutState::Scheduled, UNDER_WAY, RolloutState::Progressing { wave: 1 }] {
        check(&listening(state.clone()), &[], &red(NOW), "InAlarm Alarm");
        check(&listening(state), &[], &quiet(), "Quiet");
    }
    // The wave before stands and was watched for as long as it was to be.
    check(&listening(RolloutState::Progressing { wave: 1 }), &[landed(), landed()], &red(NOW), "InAlarm Alarm");
}

#[test]
fn an_alarm_that_goes_off_after_the_first_change_of_the_wave_began_fails_the_wave() {
    for state in [moving(), landed()] {
        check(&listening(UNDER_WAY), std::slice::from_ref(&state), &red(700), "Fired 0 Alarm");
        check(&listening(baking()), &[state], &red(700), "Fired 0 Alarm");
    }
    let without_time =
        AlarmReading { alarms: vec![Alarm { name: "5xx".into(), state: AlarmState::Alarm, since: None }], ..quiet() };
    check(&listening(UNDER_WAY), &[moving()], &without_time, "Fired 0 Alarm");
}

#[test]
fn an_alarm_that_was_on_before_the_wave_began_fails_nothing() {
    check(&listening(UNDER_WAY), &[moving()], &red(BEGAN - 31), "InAlarm Alarm");
    // In doubt, by so much as clocks may differ, it was after.
    check(&listening(UNDER_WAY), &[moving()], &red(BEGAN - 29), "Fired 0 Alarm");
}

#[test]
fn what_is_only_being_registered_or_has_come_to_nothing_is_no_wave_that_could_fail() {
    let blocked = State::Blocked { reason: reason(ReasonCode::NoHeadroom), at: at(600) };
    for state in [State::Registering { since: at(600) }, blocked, going_back()] {
        check(&listening(UNDER_WAY), &[state], &red(700), "InAlarm Alarm");
    }
}

#[test]
fn a_paused_rollout_watches_what_is_under_way_only() {
    let paused = || RolloutState::Paused { wave: 0, reason: reason(ReasonCode::PausedByPerson) };
    check(&listening(paused()), &[landed(), moving()], &red(700), "Fired 0 Alarm");
    check(&listening(paused()), &[landed(), landed()], &red(700), "InAlarm Alarm");
    assert!(matters(&listening(paused()), &in_states(&[landed(), moving()])));
    assert!(!matters(&listening(paused()), &in_states(&[landed(), landed()])));
}

#[test]
fn what_cannot_be_told_is_inconclusive_and_says_until_when_only_where_a_wave_waits() {
    let denied = reason(ReasonCode::AccessDenied);
    let silent = first_is(AlarmState::InsufficientData, 0);
    let missing = AlarmReading { missing: BTreeSet::from(["5xx".to_owned()]), ..Default::default() };
    let gap = AlarmReading { gaps: vec![denied], ..Default::default() };
    for (reading, code) in [(silent, "AlarmUnknown"), (missing, "AlarmUnknown"), (gap, "AccessDenied")] {
        check(&listening(RolloutState::Scheduled), &[], &reading, &format!("Inconclusive {code} since 1000"));
        let expected = format!("Inconclusive {code} since 1000 until 1600");
        check(&listening(UNDER_WAY), &[moving()], &reading, &expected);
        check(&listening(baking()), &[landed(), landed()], &reading, &expected);
    }
}

#[test]
fn an_alarm_that_is_known_to_be_on_counts_whatever_is_not_known() {
    let reading = AlarmReading { gaps: vec![reason(ReasonCode::Throttled)], ..red(700) };
    check(&listening(UNDER_WAY), &[moving()], &reading, "Fired 0 Alarm");
}

#[test]
fn an_alarm_that_was_there_and_is_gone_is_missed() {
    let mut rollout = listening(baking());
    rollout.alarms = look(&rollout, &in_states(&[landed()]), Some(&quiet()), at(900));
    let fewer = AlarmReading { alarms: vec![alarm("latency", AlarmState::Ok, 0)], ..Default::default() };
    check(&rollout, &[landed()], &fewer, "Inconclusive AlarmUnknown since 1000 until 1600");
    let watch = look(&rollout, &in_states(&[landed()]), Some(&fewer), at(NOW));
    let Alarms::Inconclusive { reason, .. } = watch.standing else { panic!("{watch:?}") };
    assert_eq!(reason.message, "alarm `5xx` was there and is not any more: it was deleted, or lost its tags");
}

#[test]
fn not_knowing_is_counted_from_its_beginning_and_forgotten_once_all_is_known() {
    let mut rollout = listening(UNDER_WAY);
    let list = in_states(&[moving()]);
    let silent = first_is(AlarmState::InsufficientData, 0);
    for (second, reading, expected) in [
        (1000, &silent, "Inconclusive AlarmUnknown since 1000 until 1600"),
        (1300, &silent, "Inconclusive AlarmUnknown since 1000 until 1600"),
        (1400, &quiet(), "Quiet"),
        (1500, &silent, "Inconclusive AlarmUnknown since 1500 until 2100"),
    ] {
        rollout.alarms = look(&rollout, &list, Some(reading), at(second));
        assert_eq!(told(&rollout.alarms.standing), expected);
    }
    assert_eq!(out_of_patience(&rollout, &list, at(2099)), None);
    let reason = out_of_patience(&rollout, &list, at(2100)).unwrap();
    assert_eq!(reason.code, ReasonCode::ProgressTimeout);
    // Nothing of the wave is there that an alarm could be about: it may wait for ever.
    assert_eq!(out_of_patience(&rollout, &in_states(&[]), at(9999)), None);
}

#[test]
fn a_wave_that_an_alarm_failed_is_remembered_until_all_of_it_is_back() {
    let mut rollout = listening(baking());
    rollout.alarms.standing = Alarms::Fired { wave: 0, cause: reason(ReasonCode::Alarm) };
    for states in [[landed(), going_back()], [going_back(), going_back()], [moving(), going_back()]] {
        check(&rollout, &states, &quiet(), "Fired 0 Alarm");
        assert_eq!(told(&look(&rollout, &in_states(&states), None, at(NOW)).standing), "Fired 0 Alarm");
    }
    let back = || State::RolledBack { cause: reason(ReasonCode::Alarm), at: at(900), deployment: None };
    check(&rollout, &[back(), back()], &quiet(), "Quiet");
    check(&rollout, &[back(), back()], &red(700), "InAlarm Alarm");
}

#[test]
fn of_what_stands_only_as_much_goes_back_as_there_is_room_for() {
    let list = in_states(&[landed(), moving()]);
    assert_eq!(to_take_back(&list, 0, 0), [1]);
    assert_eq!(to_take_back(&list, 0, 1), [1, 0]);
    assert_eq!(to_take_back(&list, 1, 9), [0; 0]);
}

#[test]
fn a_rollout_without_alarms_asks_for_none() {
    let mut deaf = listening(UNDER_WAY);
    assert!(matters(&deaf, &in_states(&[])));
    deaf.spec.strategy.health.alarms.clear();
    assert!(!matters(&deaf, &in_states(&[moving()])));
    assert_eq!(look(&deaf, &in_states(&[moving()]), None, at(NOW)), AlarmWatch::default());
}
