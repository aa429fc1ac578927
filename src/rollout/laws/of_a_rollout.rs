//! Of a rollout, driven by `decide` as the controller drives it, with changes that end as they please.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use crate::model::spec::{AlarmSelector, Amount, Approval, OnFailure};
use crate::model::{Alarm, AlarmReading, AlarmState, Reason, ReasonCode};
use crate::rollout::alarm::{self, Alarms};
use crate::rollout::campaign::{self, Input, decide};
use crate::rollout::command::{Request, carry_out, take_back};
use crate::rollout::fixture::{at, changes, reason, rollout};
use crate::rollout::{Back, Change, Phase, Progress, Rollout, RolloutState, State};

/// How a change comes out, once it has begun.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Lands,
    Fails,
    CannotGoBack,
    IsBlocked,
    IsOvertaken,
    RunsNothing,
    NeverBegins,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Lands),
        1 => select(vec![
            Fate::Fails, Fate::CannotGoBack, Fate::IsBlocked, Fate::IsOvertaken, Fate::RunsNothing, Fate::NeverBegins
        ]),
    ]
}

/// A rollout and what becomes of its changes.
#[derive(Debug, Clone)]
struct World {
    rollout: Rollout,
    changes: Vec<Change>,
    fates: Vec<Fate>,
    second: i64,
    /// The most that were in flight at once.
    most: usize,
    /// Whether a forward move was begun while the rollout was stopped, or out of order.
    wrong: Option<String>,
    /// What is read of the one alarm that it listens to.
    alarms: AlarmReading,
    begun: BTreeMap<String, usize>,
    /// A change of the first wave has shown, at some time, whether the fix is good.
    shown: bool,
    /// A change of a later wave began before that.
    unshown: bool,
}

impl World {
    fn in_flight(&self) -> usize {
        self.changes.iter().filter(|change| change.state.phase().is_in_flight()).count()
    }

    fn saw(&mut self) {
        self.most = self.most.max(self.in_flight());
        let shows = |change: &Change| {
            change.spec.wave == 0 && (change.failed() || matches!(change.state, State::Succeeded { .. }))
        };
        self.shown |= self.changes.iter().any(shows);
    }

    /// One step of what ECS does with a change that has begun.
    fn advance(&mut self, place: usize) {
        let (now, fate) = (at(self.second), self.fates[place]);
        let stopped = campaign::stopped(&self.rollout).is_some()
            || campaign::no_room(&self.rollout, self.changes.iter()).is_some();
        let intent = now;
        let deployment = || Some("ours".to_owned());
        let why = || reason(ReasonCode::TasksFail);
        let next = match (&self.changes[place].state, fate) {
            (State::Registering { .. }, _) if stopped => return,
            (State::Registering { .. }, Fate::IsBlocked) => State::Blocked { reason: why(), at: now },
            (State::Registering { .. }, _) => State::Updating { to: None, before: None, intent },
            (State::Updating { .. }, _) => {
                State::Stabilizing { to: None, deployment: "ours".into(), intent, progress: Progress::start(now) }
            }
            (State::Stabilizing { .. }, Fate::Fails | Fate::CannotGoBack) => {
                State::RollingBack { cause: why(), deployment: deployment(), intent, back: Back::Deciding }
            }
            (State::Stabilizing { .. }, Fate::IsOvertaken) => State::Overtaken { reason: why(), at: now },
            (State::Stabilizing { .. }, Fate::RunsNothing) => {
                State::Unverified { at: now, deployment: deployment(), reason: why() }
            }
            (State::Stabilizing { .. }, _) => State::Succeeded { at: now, deployment: deployment() },
            (State::RollingBack { cause, .. }, Fate::CannotGoBack) => {
                State::Failed { cause: cause.clone(), reason: why(), at: now }
            }
            (State::RollingBack { cause, .. }, _) => {
                State::RolledBack { cause: cause.clone(), at: now, deployment: None }
            }
            _ => return,
        };
        let cause = match &next {
            State::RollingBack { cause, .. } => Some(cause.clone()),
            _ => None,
        };
        self.changes[place].enter(next, cause, now);
        self.saw();
    }

    fn begin(&mut self, place: usize) {
        let wave = self.changes[place].spec.wave;
        if campaign::stopped(&self.rollout).is_some() || self.rollout.state.wave() != Some(wave) {
            self.wrong = Some(format!("{place} of wave {wave} began while {:?}", self.rollout.state));
        }
        let earlier = self.changes.iter().filter(|change| change.spec.wave < wave);
        if earlier.clone().any(|change| !change.state.phase().is_final()) {
            self.wrong = Some(format!("{place} began before wave {wave} could"));
        }
        if self.rollout.alarms.standing != Alarms::Quiet {
            self.wrong = Some(format!("{place} began while {:?}", self.rollout.alarms));
        }
        if self.fates[place] == Fate::NeverBegins {
            self.changes[place].waiting = Some(reason(ReasonCode::DeploymentInProgress));
            return;
        }
        self.unshown |= wave > 0 && !self.shown;
        *self.begun.entry(self.changes[place].name.clone()).or_default() += 1;
        self.changes[place].enter(State::Registering { since: at(self.second) }, None, at(self.second));
    }

    /// Looks at the alarms, as the controller does before it decides.
    fn look(&mut self) {
        let reading = alarm::matters(&self.rollout, &self.changes).then_some(&self.alarms);
        let before = self.rollout.alarms.standing.clone();
        self.rollout.alarms = alarm::look(&self.rollout, &self.changes, reading, at(self.second));
        let is_over = self.rollout.alarms.standing != before;
        if let (Alarms::Fired { wave, .. }, true) = (before, is_over)
            && self.changes.iter().any(|change| change.spec.wave == wave && change.stands())
        {
            self.wrong = Some(format!("wave {wave} is over its alarm and still stands"));
        }
    }

    /// Takes decisions until nothing more follows, as the controller does.
    fn decide(&mut self, forward: Option<&Reason>) {
        self.look();
        for _ in 0..50 {
            let input = Input {
                forward,
                unwatched: None,
                day_budget: usize::MAX,
                elsewhere: 0,
                turn: self.begun.len(),
                now: at(self.second),
            };
            let decision = decide(&self.rollout, &self.changes, &input);
            let before = self.rollout.state.clone();
            self.rollout.state = decision.state;
            let now = at(self.second);
            for place in &decision.join {
                self.changes[*place].spec.wave = self.rollout.state.wave().unwrap();
            }
            for (place, why) in &decision.drop {
                self.changes[*place].enter(State::Deferred { reason: why.clone(), at: now }, Some(why.clone()), now);
            }
            for (place, cause) in &decision.take_back {
                assert!(take_back(&mut self.changes[*place], cause, now));
                self.saw();
            }
            if !self.rollout.state.is_final() && decision.join.is_empty() && decision.reason.is_none() {
                self.wrong = Some(format!("{:?} and no reason why", self.rollout.state));
            }
            if forward.is_some() && !decision.begin.is_empty() {
                self.wrong = Some("something began outside of its window".to_owned());
            }
            for place in &decision.begin {
                self.begin(*place);
                self.saw();
            }
            if self.rollout.state == before && decision.join.is_empty() {
                break;
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.rollout.state.is_final() && self.changes.iter().all(|change| change.state.phase().is_final())
    }

    /// Why a rollout may stand still for ever: a person has to act, or a member of the wave never gets its turn.
    fn waits(&self) -> bool {
        let stuck = self.changes.iter().zip(&self.fates).any(|(change, fate)| {
            *fate == Fate::NeverBegins
                && change.state == State::Pending
                && Some(change.spec.wave) == self.rollout.state.wave()
        });
        matches!(self.rollout.state, RolloutState::Paused { .. }) || stuck
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let sizes = prop::collection::vec(1..6usize, 1..4);
    let on_failure = select(vec![OnFailure::Pause, OnFailure::Rollback, OnFailure::Continue]);
    (sizes, on_failure, 1..4u32, 0..3u32, 0..2usize, 0..3u64, prop::collection::vec(fates(), 18)).prop_map(
        |(sizes, on_failure, max_in_flight, max_failures, own, bake, fates)| {
            let mut rollout = rollout(&sizes);
            let strategy = &mut rollout.spec.strategy;
            (strategy.on_failure, strategy.max_in_flight) = (on_failure, max_in_flight);
            strategy.max_failures = Amount::Count(max_failures);
            strategy.approval = Approval::None;
            strategy.health.alarms = vec![AlarmSelector::Name("5xx".to_owned())];
            rollout.state = RolloutState::Scheduled;
            for wave in &mut rollout.spec.waves {
                (wave.max_in_flight, wave.max_failures, wave.bake_seconds) = (max_in_flight, own, bake * 40);
            }
            let changes = changes(&sizes);
            let alarms = AlarmReading { alarms: vec![alarm_in(AlarmState::Ok, 0)], ..AlarmReading::default() };
            World {
                rollout,
                changes,
                fates,
                second: 0,
                most: 0,
                wrong: None,
                alarms,
                begun: BTreeMap::new(),
                shown: false,
                unshown: false,
            }
        },
    )
}

/// What may happen at any moment.
#[derive(Debug, Clone)]
enum Event {
    Moves(usize),
    Asks(Request),
    Closes,
    Turns(AlarmState),
    /// The alarm cannot be read, or can be again.
    Blinds(bool),
}

fn alarm_in(state: AlarmState, second: i64) -> Alarm {
    Alarm { name: "5xx".to_owned(), state, since: Some(at(second)) }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let asks = select(vec![
        Request::Pause,
        Request::Resume,
        Request::Retry,
        Request::Approve { plan: None },
        Request::Abort,
        Request::Undo { service: None },
    ]);
    let event = prop_oneof![
        20 => (0..18usize).prop_map(Event::Moves),
        1 => asks.prop_map(Event::Asks),
        2 => Just(Event::Closes),
        1 => select(vec![AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData]).prop_map(Event::Turns),
        1 => any::<bool>().prop_map(Event::Blinds),
    ];
    prop::collection::vec(event, 0..200)
}

fn happen(world: &mut World, event: &Event) {
    world.second += 10;
    let now = at(world.second);
    match event {
        Event::Moves(place) if *place < world.changes.len() => world.advance(*place),
        Event::Moves(_) => {}
        Event::Asks(request) => {
            let _ = carry_out(&mut world.rollout, &mut world.changes, request, "alice", now);
            world.saw();
        }
        Event::Turns(state) => world.alarms.alarms = vec![alarm_in(*state, world.second)],
        Event::Blinds(blind) => {
            world.alarms.gaps = blind.then(|| reason(ReasonCode::AccessDenied)).into_iter().collect();
        }
        Event::Closes => return world.decide(Some(&reason(ReasonCode::OutsideWindow))),
    }
    world.decide(None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn never_more_in_flight_than_allowed_and_waves_in_order(world in worlds(), events in events()) {
        let mut world = world;
        let limit = world.rollout.spec.strategy.max_in_flight as usize;
        for event in &events {
            happen(&mut world, event);
            prop_assert_eq!(&world.wrong, &None);
            prop_assert!(world.most <= limit, "{} in flight, {limit} allowed", world.most);
        }
    }

    #[test]
    fn nothing_begins_unless_every_alarm_is_quiet_and_what_one_failed_is_all_taken_back(
        world in worlds(),
        events in events(),
    ) {
        let mut world = world;
        for event in events.iter().filter(|event| !matches!(event, Event::Asks(Request::Abort))) {
            happen(&mut world, event);
            prop_assert_eq!(&world.wrong, &None);
            let Alarms::Fired { wave, .. } = world.rollout.alarms.standing.clone() else { continue };
            let forward = |change: &Change| matches!(
                change.state,
                State::Updating { .. } | State::Stabilizing { .. } | State::Verifying { .. }
            );
            let goes_on = world.changes.iter().any(|change| change.spec.wave == wave && forward(change));
            prop_assert!(!goes_on, "something of wave {wave} is on its way forward");
        }
    }

    #[test]
    fn every_rollout_ends_or_waits_for_a_person(world in worlds(), events in events()) {
        let mut world = world;
        for event in &events {
            happen(&mut world, event);
        }
        happen(&mut world, &Event::Turns(AlarmState::Ok));
        happen(&mut world, &Event::Blinds(false));
        for _ in 0..400 {
            for place in 0..world.changes.len() {
                happen(&mut world, &Event::Moves(place));
            }
            if world.has_ended() {
                break;
            }
        }
        prop_assert!(world.has_ended() || world.waits(), "{:?}", world.rollout.state);
    }

    #[test]
    fn what_failed_begins_again_only_when_a_person_asks(world in worlds(), events in events()) {
        let mut world = world;
        let retried = |event: &Event| matches!(event, Event::Asks(Request::Retry));
        for event in events.iter().filter(|event| !retried(event)) {
            happen(&mut world, event);
        }
        prop_assert!(world.begun.values().all(|times| *times == 1), "{:?}", world.begun);
    }

    #[test]
    fn an_undo_leaves_nothing_standing_or_says_what_stopped_it(world in worlds(), events in events()) {
        let mut world = world;
        for event in &events {
            happen(&mut world, event);
        }
        let undo = |world: &mut World| {
            let undone = carry_out(
                &mut world.rollout, &mut world.changes, &Request::Undo { service: None }, "alice", at(world.second)
            );
            for _ in 0..100 {
                for place in 0..world.changes.len() {
                    happen(world, &Event::Moves(place));
                }
            }
            undone
        };
        prop_assume!(undo(&mut world).is_ok());
        // One that cannot go back stops the others, until somebody asks again: each at most once.
        for _ in 0..world.changes.len() {
            prop_assert!(world.has_ended());
            if !world.changes.iter().any(Change::stands) {
                break;
            }
            prop_assert_eq!(world.rollout.state.phase(), "Failed");
            prop_assert!(undo(&mut world).is_ok());
        }
        prop_assert!(!world.changes.iter().any(Change::stands));
        let not_back = world.changes.iter().any(|change| change.state.phase() == Phase::Failed);
        prop_assert_eq!(world.rollout.state.phase(), if not_back { "Failed" } else { "RolledBack" });
    }

    #[test]
    fn a_first_wave_without_proof_opens_no_other_while_somebody_could_give_one(world in worlds(), events in events()) {
        let mut world = world;
        for event in &events {
            happen(&mut world, event);
        }
        happen(&mut world, &Event::Turns(AlarmState::Ok));
        happen(&mut world, &Event::Blinds(false));
        for _ in 0..40 {
            for place in 0..world.changes.len() {
                happen(&mut world, &Event::Moves(place));
            }
        }
        prop_assert!(!world.unshown);
    }
}

/// A law that nothing can break proves nothing: steps that may not be taken are taken, and seen.
mod broken {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// A rollout of two waves of two, one of them in flight at a time, in its first wave.
    fn world() -> World {
        let any = worlds().new_tree(&mut TestRunner::deterministic()).unwrap().current();
        let mut rollout = rollout(&[2, 2]);
        rollout.spec.strategy.max_in_flight = 1;
        World { rollout, changes: changes(&[2, 2]), fates: vec![Fate::Lands; 4], ..any }
    }

    fn wrong(break_it: impl FnOnce(&mut World)) -> String {
        let mut world = world();
        break_it(&mut world);
        world.wrong.unwrap_or_default()
    }

    #[test]
    fn by_a_change_of_a_later_wave() {
        assert_eq!(wrong(|world| world.begin(0)), "");
        assert_eq!(wrong(|world| world.begin(2)), "2 began before wave 1 could");
        let too_early = |world: &mut World| {
            world.rollout.state = RolloutState::Progressing { wave: 1 };
            world.begin(2);
        };
        assert_eq!(wrong(too_early), "2 began before wave 1 could");
    }

    #[test]
    fn by_a_change_of_a_rollout_that_is_stopped() {
        let paused = |world: &mut World| {
            world.rollout.state = RolloutState::Paused { wave: 0, reason: reason(ReasonCode::PausedByPerson) };
            world.begin(0);
        };
        assert!(wrong(paused).starts_with("0 of wave 0 began while Paused"));
    }

    #[test]
    fn by_one_more_in_flight() {
        let mut world = world();
        for place in [0, 1] {
            world.begin(place);
            // Without asking whether there is room.
            let state = State::Updating { to: None, before: None, intent: at(0) };
            world.changes[place].enter(state, None, at(0));
            world.saw();
        }
        assert!(world.most > world.rollout.spec.strategy.max_in_flight as usize);
    }
}
