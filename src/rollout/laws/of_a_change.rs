//! Of one change: whatever is read of its service, in whatever order, and whatever is in the way.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::model::{ChangeKind, ReasonCode};
use crate::rollout::change::{Action, Step, unseen};
use crate::rollout::fixture::{
    Given, HEALTH, INTENT, Scene, at, change, entered, reason, registration, revision, told, unreadable,
};
use crate::rollout::landing::Facts;
use crate::rollout::{Back, Change, Progress, RegistrationState, State};

/// Everything that a service was seen to look like. The first ones end by themselves: nobody else is at work there.
fn scene(number: usize) -> Scene {
    let busy = |scene: Scene| scene.primary(|primary| primary["rolloutState"] = json!("IN_PROGRESS"));
    match number {
        0 => Scene::before(),
        1 => Scene::during(),
        2 => Scene::during().tasks(1, 2, "ours").tasks(1, 1, "old"),
        3 => Scene::landed(),
        4 => Scene::landed().tasks(1, 1, "old"),
        5 => Scene::taken_back(),
        6 => Scene::taken_back().records_unavailable(),
        7 => Scene::during().records_unavailable(),
        8 => Scene::overtaken(),
        9 => Scene::absent(),
        10 => Scene::landed().created(INTENT),
        11 => Scene::during().desired(0),
        12 => Scene::landed().records_unavailable(),
        13 => Scene::during().primary(|primary| primary["failedTasks"] = json!(3)),
        14 => Scene::during().no_records().record("ROLLBACK_IN_PROGRESS", 2, INTENT + 1),
        15 => Scene::during().no_records().record("STOPPED", 2, INTENT + 1),
        16 => Scene::before().record("IN_PROGRESS", 2, INTENT + 1),
        17 => Scene::empty().deployment("theirs", "PRIMARY", 1, INTENT + 50, "COMPLETED").tasks(2, 1, "theirs"),
        18 => Scene::during().no_records().record("ROLLBACK_FAILED", 2, INTENT + 1),
        19 => Scene::before().deployment("ours", "ACTIVE", 2, INTENT + 1, "FAILED").records_unavailable(),
        20 => busy(Scene::before()),
        21 => Scene::landed().tasks_unknown(),
        22 => Scene::empty(),
        _ => Scene::landed()
            .no_records()
            .record_with("IN_PROGRESS", 2, INTENT + 1, |record| record["lifecycleStage"] = json!("BAKE_TIME")),
    }
}

const SCENES: usize = 24;
const SETTLED: usize = 20;

fn kinds() -> impl Strategy<Value = ChangeKind> {
    select(vec![
        ChangeKind::Revision,
        ChangeKind::DeployingSetting,
        ChangeKind::QuietSetting,
        ChangeKind::ClusterSetting,
    ])
}

/// A state that is not final, as a change of that kind may have it.
fn state(kind: ChangeKind, number: usize) -> State {
    let target = (kind == ChangeKind::Revision).then(|| revision(2));
    let told = if kind == ChangeKind::Revision { revision(2) } else { revision(1) };
    let (deployment, intent) = ("ours".to_owned(), at(INTENT));
    let progress = Progress::start(at(INTENT));
    let back = |deployment: Option<&str>, back: Back| State::RollingBack {
        cause: reason(ReasonCode::TasksFail),
        deployment: deployment.map(ToOwned::to_owned),
        intent,
        back,
    };
    let home = (kind == ChangeKind::Revision).then(|| revision(1));
    match number {
        0 => State::Pending,
        1 if kind == ChangeKind::Revision => State::Registering { since: intent },
        2 => State::Stabilizing { to: target, deployment, intent, progress },
        3 => State::Verifying { to: target, deployment, intent, steady_since: at(INTENT + 30), progress },
        4 => back(Some("ours"), Back::Deciding),
        5 => back(None, Back::Deciding),
        6 => back(Some("ours"), Back::Replacing),
        7 => {
            let arn = "arn:aws:ecs:eu-west-1:1:service-deployment/prod/web/d0".parse().unwrap();
            back(Some("ours"), Back::Stopping { arn, intent: at(INTENT + 60) })
        }
        8 => back(Some("ours"), Back::Updating { to: home, before: "ours".to_owned(), intent: at(INTENT + 60) }),
        9 => back(Some("ours"), Back::Watching { to: home, progress, steady_since: None }),
        10 => State::Clobbering { reason: reason(ReasonCode::Clobbered), to: target, deployment, intent, progress },
        _ => State::Updating { to: Some(told), before: Some("old".to_owned()), intent },
    }
}

const STATES: usize = 12;

/// Those that are being taken back.
const BACK: std::ops::Range<usize> = 4..10;

fn a_change() -> impl Strategy<Value = Change> {
    (kinds(), 0..STATES).prop_map(|(kind, number)| begun(kind, number))
}

fn begun(kind: ChangeKind, number: usize) -> Change {
    let mut change = change(kind);
    if kind == ChangeKind::Revision {
        change.spec.to = Some(revision(2));
    }
    entered(change, state(kind, number), INTENT)
}

fn given() -> impl Strategy<Value = Given> {
    let registrations = select(vec![
        None,
        Some(RegistrationState::Intended { last: 1, at: at(50) }),
        Some(RegistrationState::Registered { arn: revision(2) }),
    ]);
    (0..=SCENES, INTENT..INTENT + 100, registrations, prop::option::of(select(vec![1, 3]))).prop_map(
        |(number, second, state, previous)| Given {
            registration: state.map(registration),
            previous: previous.map(revision),
            ..Given::of(if number == SCENES { unreadable(second) } else { scene(number).facts(second) })
        },
    )
}

const fn is_forward(change: &Change) -> bool {
    !matches!(change.state, State::RollingBack { .. })
}

/// As the controller does it: the state, and its reason, are recorded.
fn take(change: &mut Change, given: &Given, second: i64) -> Option<Action> {
    let mut step = given.step(change, at(second));
    // Since when it waits is not forgotten by trying.
    if step.action.is_some() && step.state.phase() == change.state.phase() {
        step.reason = step.reason.or_else(|| change.waiting.clone());
    }
    change.enter(step.state, step.reason.clone(), at(second));
    change.waiting = step.reason;
    change.spec.to = match &change.state {
        State::Updating { to, .. } if change.spec.kind == ChangeKind::Revision => to.clone(),
        _ => change.spec.to.clone(),
    };
    step.action
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_is_written_against_a_freeze(change in a_change(), given in given(), second in INTENT..INTENT + 9000) {
        let frozen = Some(reason(ReasonCode::Frozen));
        let given = if is_forward(&change) { Given { forward: frozen, ..given } } else { Given { backward: frozen, ..given } };
        let step = given.step(&change, at(second));
        prop_assert_eq!(step.action, None);
    }

    #[test]
    fn a_freeze_of_the_way_forward_does_not_bind_the_way_back(kind in kinds(), number in BACK, given in given(), second in INTENT..INTENT + 9000) {
        let change = begun(kind, number);
        let frozen = Given { forward: Some(reason(ReasonCode::Frozen)), ..given.clone() };
        prop_assert_eq!(frozen.step(&change, at(second)), given.step(&change, at(second)));
    }

    #[test]
    fn no_call_is_made_twice_on_the_same_sight(
        change in a_change(), given in given(), second in INTENT + 100..INTENT + 9000, later in 0..600i64
    ) {
        // (Decided once it was seen, and again when deciding has taken as long as that: it shows nothing of the call.)
        let mut change = change;
        let Some(first) = take(&mut change, &given, second) else { return Ok(()) };
        // Both look before they write.
        prop_assume!(!matches!(first, Action::Register | Action::RestorePrevious));
        prop_assert_eq!(given.step(&change, at(second)).action, None, "after {:?}", first);
        prop_assert_ne!(given.step(&change, at(second + later)).action, Some(first));
    }

    #[test]
    fn a_change_that_stands_still_says_why(change in a_change(), given in given(), second in INTENT..INTENT + 9000) {
        let step = given.step(&change, at(second));
        prop_assert!(step.state != change.state || step.action.is_some() || step.reason.is_some(), "{}", told(&step));
    }

    #[test]
    fn what_failed_is_never_moved_forward_again(
        start in a_change(), seen in prop::collection::vec((0..SCENES, 1..600i64), 1..12)
    ) {
        let (mut change, mut second, mut failed) = (start, INTENT, false);
        for (number, later) in seen {
            second += later;
            let given = Given {
                registration: Some(registration(RegistrationState::Registered { arn: revision(2) })),
                previous: Some(revision(1)),
                ..Given::of(scene(number).facts(second))
            };
            failed |= change.failed();
            let was_final = change.state.phase().is_final();
            let action = take(&mut change, &given, second);
            prop_assert!(!was_final || action.is_none());
            if failed {
                let forward = match &action {
                    Some(Action::MoveTo(arn)) => *arn == revision(2),
                    Some(Action::Register | Action::Set) => true,
                    Some(Action::Stop(_) | Action::RestorePrevious | Action::Unset | Action::UnsetRest(_)) | None => false,
                };
                prop_assert!(!forward && !change.stands(), "{action:?}");
            }
        }
    }

    #[test]
    fn every_state_comes_to_an_end_once_nothing_more_happens(
        kind in kinds(), number in 0..STATES, look in looks(), previous in prop::bool::ANY,
        seen in prop::collection::vec((0..=SCENES, 1..600i64), 0..8), last in 0..=SETTLED
    ) {
        let (mut change, mut second) = (begun(kind, number), INTENT);
        let mut previous = previous.then(|| revision(1));
        let mut pass = |change: &mut Change, facts: Facts, second: i64| {
            let registration = look.registration().map(registration);
            let given = Given { registration, previous: previous.clone(), ..Given::of(facts) };
            match (take(change, &given, second), look) {
                // What is looked at for a call may be as unreadable as what it is about.
                (Some(Action::Register | Action::RestorePrevious), Look::Unread) => {
                    let why = Some(reason(ReasonCode::NotObserved));
                    let step = unseen(change, Step::to(change.state.clone(), why), &HEALTH, at(second));
                    change.enter(step.state, step.reason.clone(), at(second));
                    change.waiting = step.reason;
                }
                (Some(Action::RestorePrevious), Look::Registered) => previous = Some(revision(1)),
                (Some(Action::RestorePrevious), Look::Quarantined | Look::Refused) => {
                    let (cause, why) = (reason(ReasonCode::TasksFail), reason(ReasonCode::Refused));
                    change.enter(State::Failed { cause, reason: why, at: at(second) }, None, at(second));
                }
                _ => {}
            }
        };
        for (number, later) in seen {
            second += later;
            pass(&mut change, seen_at(number, SCENES, second), second);
        }
        let mut passes = 0;
        while !ends_by(&change, second) {
            second += 15;
            passes += 1;
            pass(&mut change, seen_at(last, SETTLED, second), second);
            prop_assert!(passes < 1000, "stuck in {:?} at {}, {:?}", change.state, last, change.waiting);
        }
    }
}

/// What a look comes to that a registration needs, or a way back: the same each time.
#[derive(Debug, Clone, Copy)]
enum Look {
    Registered,
    Quarantined,
    Refused,
    Unread,
}

fn looks() -> impl Strategy<Value = Look> {
    select(vec![Look::Registered, Look::Quarantined, Look::Refused, Look::Unread])
}

impl Look {
    fn registration(self) -> Option<RegistrationState> {
        match self {
            Self::Registered => Some(RegistrationState::Registered { arn: revision(2) }),
            Self::Quarantined => {
                let reason = reason(ReasonCode::RegisteredDiffers);
                Some(RegistrationState::Quarantined { arn: revision(2), reason })
            }
            Self::Refused => Some(RegistrationState::Refused { reason: reason(ReasonCode::Refused) }),
            Self::Unread => None,
        }
    }
}

/// The scene of that number; the one after the last is that nothing could be read.
fn seen_at(number: usize, count: usize, second: i64) -> Facts {
    if number == count { unreadable(second) } else { scene(number).facts(second) }
}

/// Whether nothing is waited for any more, or somebody else ends it: the next plan puts what somebody moved before its turn
/// onto what is there now, and a rollout pauses on what cannot be seen of its way forward.
fn ends_by(change: &Change, second: i64) -> bool {
    let waits = |code| change.waiting.as_ref().filter(|reason| reason.code == code);
    let planned_anew = change.state == State::Pending && waits(ReasonCode::Overtaken).is_some();
    let paused = change.goes_forward()
        && waits(ReasonCode::NotObserved).is_some_and(|reason| reason.until.is_some_and(|until| until <= at(second)));
    change.state.phase().is_final() || planned_anew || paused
}

/// A law that nothing can break proves nothing: where no freeze is in the way, calls are made, there and back, of every kind.
#[test]
fn without_a_freeze_calls_are_made_there_and_back() {
    let registered = || Some(registration(RegistrationState::Registered { arn: revision(2) }));
    for kind in
        [ChangeKind::Revision, ChangeKind::DeployingSetting, ChangeKind::QuietSetting, ChangeKind::ClusterSetting]
    {
        for back in [false, true] {
            let states = (0..STATES).filter(|number| BACK.contains(number) == back);
            let calls =
                states.flat_map(|number| (0..SCENES).map(move |scene| (number, scene))).filter(|(number, at_scene)| {
                    let facts = scene(*at_scene).facts(INTENT + 90);
                    let given = Given { registration: registered(), previous: Some(revision(1)), ..Given::of(facts) };
                    given.step(&begun(kind, *number), at(INTENT + 90)).action.is_some()
                });
            assert!(calls.count() > 0, "{kind:?}, back: {back}");
        }
    }
}
