//! What holds whatever people do: of the whole controller, on the simulator, in virtual time.
//!
//! Every write of ours is looked at in the order in which it was made, with what was recorded, frozen and waived then.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use plimsoll::model::document::register_input;
use plimsoll::model::{ReasonCode, Timestamp, wire};
use plimsoll::records::campaign::{Campaign, Campaigns};
use plimsoll::rollout::{Change, Phase, RolloutState};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::drawn::{Drawn, SERVICES, drawn};
use super::line::parse;
use super::run::{Stage, play};
use super::setting::{Edition, OWN_ADDRESS, Setting, fleet};
use super::witness::Seen;

/// What a person does, to the service where it is to one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Deploys,
    ScalesToZero,
    Freezes,
    Unfreezes,
    Waives,
    TakesOutOfScope,
    Approves,
    Pauses,
    Resumes,
    Aborts,
    Retries,
    UndoesOne,
    Holds,
    Breaks,
    Crashes,
    UndoesAll,
    EditsThePolicy,
    Deletes,
    Registers,
}

fn acts() -> impl Strategy<Value = Vec<(Act, usize, u64)>> {
    let act = select(vec![
        Act::Deploys,
        Act::ScalesToZero,
        Act::Freezes,
        Act::Unfreezes,
        Act::Waives,
        Act::TakesOutOfScope,
        Act::Approves,
        Act::Pauses,
        Act::Resumes,
        Act::Aborts,
        Act::Retries,
        Act::UndoesOne,
        Act::Holds,
        Act::Breaks,
        Act::Crashes,
        Act::UndoesAll,
        Act::EditsThePolicy,
        Act::Deletes,
        Act::Registers,
    ]);
    prop::collection::vec((act, 0..SERVICES.len(), 1..12u64), 0..8)
}

/// What is known at a moment: by the records, and of what people did.
struct Known<'d> {
    drawn: &'d Drawn,
    changes: BTreeMap<String, Change>,
    frozen: BTreeSet<&'static str>,
    waived: BTreeSet<&'static str>,
    held: BTreeSet<&'static str>,
    /// Services that no Binding that enforces has in its scope.
    outside: BTreeSet<&'static str>,
    /// Services that somebody took out of the scope.
    taken_out: BTreeSet<&'static str>,
    /// Services that somebody else has moved or scaled.
    theirs: BTreeSet<&'static str>,
    /// Services that somebody has deleted: ECS refuses whatever else is asked of them.
    deleted: BTreeSet<&'static str>,
    /// Whether anybody has approved anything.
    approved: bool,
    /// Whether the policy has had a second edition.
    edited: bool,
    /// When changes moved their services.
    moved: Vec<(String, Timestamp)>,
    /// How much of what was seen has been looked at.
    seen: usize,
    /// What the controller is not told, though it is done: as if it did not heed it.
    unheard: Option<Act>,
    /// Waves are counted from the last: as if it went through them the wrong way round.
    backwards: bool,
}

impl<'d> Known<'d> {
    fn at_first(drawn: &'d Drawn) -> Self {
        Self {
            drawn,
            changes: BTreeMap::new(),
            frozen: BTreeSet::new(),
            waived: BTreeSet::new(),
            held: BTreeSet::new(),
            outside: SERVICES.into_iter().filter(|place| !drawn.is_in_scope(place)).collect(),
            taken_out: BTreeSet::new(),
            theirs: BTreeSet::new(),
            deleted: BTreeSet::new(),
            approved: drawn.approval == "none",
            edited: false,
            moved: Vec::new(),
            seen: 0,
            unheard: None,
            backwards: false,
        }
    }

    /// A record was written: is what it says in order?
    fn recorded(&mut self, mut change: Change) {
        if self.backwards {
            change.spec.wave = usize::MAX - change.spec.wave;
        }
        let phase = change.state.phase();
        let was = self.changes.insert(change.name.clone(), change.clone()).map(|was| was.state.phase());
        let of_this = || self.changes.values().filter(|other| other.spec.rollout == change.spec.rollout);
        if phase == Phase::Updating && was != Some(Phase::Updating) {
            // Of whichever rollout: they are all of one strategy, and its budget is one.
            let (flying, most) = (
                self.changes.values().filter(|other| other.state.phase().is_in_flight()).count(),
                self.drawn.max_in_flight,
            );
            assert!(flying <= most, "{flying} in flight with {}, {most} allowed", change.name);
        }
        // A setting has nothing to register.
        if matches!(phase, Phase::Registering | Phase::Updating) && was == Some(Phase::Pending) {
            let earlier = of_this().filter(|other| other.spec.wave < change.spec.wave);
            // An earlier one that a person takes back does not hold the others.
            let open = earlier.filter(|other| {
                !other.state.phase().is_final() && (other.state.phase() != Phase::RollingBack || other.failed())
            });
            assert_eq!(
                open.map(|other| &other.name).next(),
                None,
                "{} began before an earlier wave had ended",
                change.name
            );
        }
        match (was, phase) {
            // The call is known not to have been made.
            (Some(Phase::Updating), Phase::Registering | Phase::Pending) => {
                self.moved.retain(|(name, _)| *name != change.name)
            }
            (_, Phase::Updating) if was != Some(Phase::Updating) => {
                self.moves(&change.name, change.history.last().unwrap().at);
            }
            _ => {}
        }
    }

    /// A service is told to move: had the day room for it?
    fn moves(&mut self, name: &str, now: Timestamp) {
        self.moved.push((name.to_owned(), now));
        let day = Duration::from_secs(24 * 3600);
        let today = self.moved.iter().filter(|(_, at)| now.since(*at) < day).count();
        assert!(self.drawn.per_day.is_none_or(|most| today <= most), "{today} moved within a day");
    }

    /// A call was made: was it allowed then? Forward is what makes a task definition without the violation, and what a change
    /// sends that is under way, and not on its way back.
    fn called(&self, now: Timestamp, operation: &str, input: &Value) {
        let of = match operation {
            "RegisterTaskDefinition" if input.get("pidMode").is_some_and(|mode| mode == "host") => return,
            "RegisterTaskDefinition" => "family",
            "UpdateService" => "service",
            "UpdateClusterSettings" => "cluster",
            _ => return,
        };
        let named = input[of].as_str().unwrap().rsplit('/').next().unwrap();
        if operation != "RegisterTaskDefinition" {
            let of_this = |change: &&Change| change.spec.resource.short().rsplit('/').next() == Some(named);
            let sends = |change: &Change| matches!(change.state.phase(), Phase::Updating | Phase::RollingBack);
            let sending: Vec<&Change> = self.changes.values().filter(of_this).filter(|change| sends(change)).collect();
            assert!(!sending.is_empty(), "{operation} for {named}, and no change is recorded to send it");
            let wanted = self.drawn.setting.is_some_and(|setting| setting.is_forward(input));
            // What a second edition made is taken back to what the first one wanted.
            let forward =
                (wanted && !self.edited) || sending.iter().any(|change| change.state.phase() == Phase::Updating);
            if !forward {
                return;
            }
        }
        let forward = named;
        let of_cluster = operation == "UpdateClusterSettings";
        let part = |place: &str| {
            let (cluster, name) = place.split_once('/').unwrap();
            forward == if of_cluster { cluster } else { name }
        };
        for place in SERVICES.iter().filter(|place| part(place)) {
            for (set, what) in [
                (&self.frozen, "frozen"),
                (&self.waived, "waived"),
                (&self.held, "held"),
                (&self.outside, "out of scope"),
            ] {
                // A Waiver of a service, and a Hold of one, are nothing to its cluster.
                let concerns = !of_cluster || matches!(what, "frozen" | "out of scope");
                assert!(!concerns || !set.contains(place), "{operation} for {place}, which is {what}");
            }
            assert!(self.drawn.window.is_open(now), "{operation} for {place} at {now}, outside of its window");
            assert!(self.approved, "{operation} for {place}, which nobody has approved");
        }
    }

    fn look(&mut self, stage: &Stage) {
        for seen in stage.witness.since(&mut self.seen) {
            match seen {
                Seen::Call { at, operation, input, .. } => self.called(at, operation.as_str(), &input),
                Seen::Change(change) => self.recorded(*change),
                Seen::Event(_) => {}
            }
        }
    }

    async fn passes(&mut self, stage: &mut Stage, count: u64) {
        for _ in 0..count {
            do_line(stage, "settle 30s").await;
            do_line(stage, "pass").await;
            self.look(stage);
        }
    }

    /// Until everything has come to an end, or waits for a person or for tomorrow.
    async fn comes_to_rest(&mut self, stage: &mut Stage) -> Vec<Campaign> {
        let mut still = 0;
        for _ in 0..400 {
            self.passes(stage, 1).await;
            let campaigns = Campaigns::of(stage.people.store.as_ref(), &stage.people.target).campaigns().await.unwrap();
            still = if campaigns.iter().all(rests) { still + 1 } else { 0 };
            // What the next pass but one would plan anew has been planned by then.
            if still > 6 {
                return campaigns;
            }
        }
        panic!("not at rest after 200 minutes: {:#?}", self.changes);
    }

    async fn act(&mut self, stage: &mut Stage, act: Act, place: &'static str) {
        let name = place.rsplit('/').next().unwrap();
        let of_cluster = self.drawn.setting == Some(Setting::Cluster);
        let line = match act {
            Act::Deploys | Act::ScalesToZero | Act::Deletes if self.deleted.contains(place) => return,
            Act::Deploys => {
                self.theirs.insert(place);
                let fits = if self.drawn.setting.is_some() { OWN_ADDRESS } else { "" };
                format!("deploy {place} {fits}")
            }
            Act::ScalesToZero => {
                self.theirs.insert(place);
                format!("scale {place} 0")
            }
            Act::Freezes if self.frozen.is_empty() => {
                let cluster = place.split('/').next().unwrap();
                self.frozen.extend(SERVICES.iter().filter(|place| place.starts_with(cluster)));
                format!("freeze stop {{ include: {{ clusters: [{cluster}] }} }}")
            }
            Act::Unfreezes if !self.frozen.is_empty() => {
                self.frozen.clear();
                "unfreeze stop".to_owned()
            }
            Act::Waives => {
                self.waived.insert(place);
                format!("waive {name}")
            }
            Act::Holds => {
                self.held.insert(place);
                format!("hold {place}")
            }
            // The scope names services, and a cluster is none.
            Act::TakesOutOfScope if of_cluster => return,
            Act::TakesOutOfScope => {
                self.taken_out.insert(place);
                self.outside.insert(place);
                if self.unheard == Some(act) {
                    return;
                }
                stage.people.apply(&self.drawn.yaml(&self.taken_out)).await;
                return;
            }
            Act::Approves => {
                self.approved = true;
                "approve s-1".to_owned()
            }
            Act::Pauses => "pause s-1".to_owned(),
            Act::Resumes => "resume s-1".to_owned(),
            Act::Aborts => "abort s-1".to_owned(),
            Act::Retries => "retry s-1".to_owned(),
            Act::UndoesOne => format!("undo s-1 {place}"),
            Act::Breaks => format!("breaks {name} crashOnStart"),
            Act::Crashes => "crash".to_owned(),
            Act::UndoesAll => "undo s-1".to_owned(),
            Act::EditsThePolicy => {
                self.edited = true;
                match self.drawn.setting {
                    Some(setting) => return stage.people.apply(&setting.policy(Edition::Second)).await,
                    None => "edit policy".to_owned(),
                }
            }
            Act::Deletes => {
                self.theirs.insert(place);
                self.deleted.insert(place);
                format!("delete {place}")
            }
            Act::Registers => format!("register {name}"),
            Act::Freezes | Act::Unfreezes => return,
        };
        if self.unheard != Some(act) {
            do_line(stage, &line).await;
        }
    }
}

async fn do_line(stage: &mut Stage, text: &str) {
    for line in parse(text) {
        stage.perform(&line).await;
    }
}

/// Whether a rollout has ended, or waits for a person or for tomorrow, and nothing of it is under way.
fn rests(campaign: &Campaign) -> bool {
    let rollout = &campaign.rollout.value;
    let waits = matches!(rollout.state, RolloutState::Paused { .. } | RolloutState::Proposed { .. })
        || rollout
            .waiting
            .as_ref()
            .is_some_and(|reason| matches!(reason.code, ReasonCode::ApprovalRequired | ReasonCode::MaxChangesPerDay));
    let under_way = campaign.changes.iter().any(|change| change.value.state.phase().is_in_flight());
    (rollout.state.is_final() || waits) && !under_way
}

/// The document that a service's tasks are to run, as it would be registered.
fn document(stage: &Stage, place: &str) -> Value {
    let (cluster, name) = place.split_once('/').unwrap();
    let now = stage.people.clock_now();
    let call = |operation: &str, input: Value| stage.people.ecs.world().call(now, operation, &input).unwrap();
    let found = call("DescribeServices", json!({ "cluster": cluster, "services": [name] }));
    let primary = &found["services"][0]["deployments"][0]["taskDefinition"];
    assert_eq!(found["services"][0]["deployments"].as_array().unwrap().len(), 1, "{place} is still moving");
    let definition = call("DescribeTaskDefinition", json!({ "taskDefinition": primary, "include": ["TAGS"] }));
    Value::Object(register_input(&wire::task_definition(&definition).unwrap()).unwrap())
}

/// Plays a run by what was drawn, and holds it to what is known.
async fn tell(drawn: &Drawn, mut known: Known<'_>, acts: &[(Act, usize, u64)]) {
    let services: String = match drawn.setting {
        None => SERVICES.iter().map(|place| format!("service {place}\n")).collect(),
        Some(_) => fleet(&SERVICES),
    };
    let mut stage = play(&format!("{services}settle 5m\n")).await;
    stage.people.apply(&drawn.yaml(&BTreeSet::new())).await;
    let before: BTreeMap<&str, Value> = SERVICES.iter().map(|place| (*place, document(&stage, place))).collect();
    let shown = |stage: &Stage| -> Vec<Option<Value>> {
        let of = |place: &str| drawn.setting.and_then(|setting| setting.shown(&stage.people, place));
        SERVICES.iter().map(|place| of(place)).collect()
    };
    let shown_before = shown(&stage);
    known.passes(&mut stage, 1).await;
    for (act, place, passes) in acts {
        known.act(&mut stage, *act, SERVICES[*place]).await;
        known.passes(&mut stage, *passes).await;
    }
    // Left alone, with nothing in the way, everything comes to an end or waits for a person.
    known.act(&mut stage, Act::Unfreezes, SERVICES[0]).await;
    do_line(&mut stage, "heals").await;
    let mut campaigns = known.comes_to_rest(&mut stage).await;
    // Undone, the last rollout first, what runs is what ran before, but where somebody else had a hand in it.
    let mut undone = BTreeSet::new();
    let number = |name: &str| name.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
    loop {
        let names = campaigns.iter().map(|campaign| campaign.rollout.value.name.clone());
        let Some(last) = names.filter(|name| !undone.contains(name)).max_by_key(|name| number(name)) else { break };
        if known.unheard != Some(Act::UndoesAll) {
            do_line(&mut stage, &format!("undo {last}")).await;
        }
        undone.insert(last);
        campaigns = known.comes_to_rest(&mut stage).await;
    }
    let shown = shown(&stage);
    for (number, place) in SERVICES.iter().enumerate().filter(|(_, place)| !known.theirs.contains(*place)) {
        assert_eq!(document(&stage, place), before[place], "{place} is not what it was");
        assert_eq!(shown[number], shown_before[number], "{place} is not what it was");
    }
}

/// How many runs are made up: more with `PLIMSOLL_CASES`, always the same ones first.
#[expect(clippy::disallowed_methods, reason = "how many cases to run is asked for in the environment")]
fn cases() -> u32 {
    std::env::var("PLIMSOLL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 60, failure_persistence: None, rng_seed: RngSeed::Fixed(9), ..ProptestConfig::default() })]

    #[test]
    fn budgets_waves_windows_scopes_and_freezes_hold_everything_ends_and_an_undo_is_the_way_back(drawn in drawn(), acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tell(&drawn, Known::at_first(&drawn), &acts));
    }
}

/// A law that nothing can break proves nothing: each is held to a run that may do more than it says.
mod broken {
    use super::super::drawn::Window;
    use super::*;

    async fn law(change: impl Fn(&mut Drawn)) {
        law_of(None, change).await;
    }

    async fn law_of(setting: Option<Setting>, change: impl FnOnce(&mut Drawn)) {
        let drawn = Drawn { setting, ..Drawn::anything() };
        let mut law = drawn.clone();
        change(&mut law);
        tell(&drawn, Known::at_first(&law), &[]).await;
    }

    /// One service after the other, by a controller that does not hear of what is done to one that is still to come.
    async fn unheard(setting: Option<Setting>, act: Act) {
        let drawn = Drawn {
            setting,
            waves: "{ name: one, size: 1, bake: 2m }, { name: rest, size: rest }",
            ..Drawn::anything()
        };
        let known = Known { unheard: Some(act), ..Known::at_first(&drawn) };
        tell(&drawn, known, &[(act, SERVICES.len() - 1, 9)]).await;
    }

    #[tokio::test]
    #[should_panic(expected = "in flight with")]
    async fn by_one_more_in_flight() {
        law(|law| law.max_in_flight = 2).await;
    }

    #[tokio::test]
    #[should_panic(expected = "3 in flight with")]
    async fn by_one_more_setting_in_flight() {
        law_of(Some(Setting::Deploys), |law| law.max_in_flight = 2).await;
    }

    #[tokio::test]
    #[should_panic(expected = "not at rest after")]
    async fn by_a_freeze_that_is_never_lifted() {
        let drawn =
            Drawn { waves: "{ name: one, size: 1, bake: 2m }, { name: rest, size: rest }", ..Drawn::anything() };
        let known = Known { unheard: Some(Act::Unfreezes), ..Known::at_first(&drawn) };
        tell(&drawn, known, &[(Act::Freezes, SERVICES.len() - 1, 1)]).await;
    }

    #[tokio::test]
    #[should_panic(expected = "moved within a day")]
    async fn by_one_more_in_a_day() {
        law(|law| law.per_day = Some(4)).await;
    }

    #[tokio::test]
    #[should_panic(expected = "outside of its window")]
    async fn by_a_call_outside_of_the_window() {
        law(|law| law.window = Window::Denies).await;
    }

    #[tokio::test]
    #[should_panic(expected = "which is out of scope")]
    async fn by_a_call_outside_of_the_scope() {
        law(|law| law.clusters = Some(vec!["prod"])).await;
    }

    #[tokio::test]
    #[should_panic(expected = "which nobody has approved")]
    async fn by_a_call_that_nobody_approved() {
        law(|law| law.approval = "before").await;
    }

    #[tokio::test]
    #[should_panic(expected = "which is frozen")]
    async fn by_a_call_under_a_freeze() {
        unheard(None, Act::Freezes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "UpdateService for stage/e, which is frozen")]
    async fn by_a_setting_under_a_freeze() {
        unheard(Some(Setting::Quiet), Act::Freezes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "UpdateClusterSettings for stage/e, which is frozen")]
    async fn by_a_setting_of_a_cluster_under_a_freeze() {
        unheard(Some(Setting::Cluster), Act::Freezes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "which is waived")]
    async fn by_a_call_for_what_is_waived() {
        unheard(None, Act::Waives).await;
    }

    #[tokio::test]
    #[should_panic(expected = "which is held")]
    async fn by_a_call_for_what_is_held() {
        unheard(Some(Setting::Deploys), Act::Holds).await;
    }

    #[tokio::test]
    #[should_panic(expected = "which is out of scope")]
    async fn by_a_call_for_what_was_taken_out_of_the_scope() {
        unheard(None, Act::TakesOutOfScope).await;
    }

    #[tokio::test]
    #[should_panic(expected = "began before an earlier wave had ended")]
    async fn by_waves_the_wrong_way_round() {
        let waves = "{ name: one, size: 1 }, { name: two, size: rest }";
        let drawn = Drawn { waves, ..Drawn::anything() };
        tell(&drawn, Known { backwards: true, ..Known::at_first(&drawn) }, &[]).await;
    }

    #[tokio::test]
    #[should_panic(expected = "is not what it was")]
    async fn by_an_undo_that_is_none() {
        unheard(None, Act::UndoesAll).await;
    }

    #[tokio::test]
    #[should_panic(expected = "is not what it was")]
    async fn by_an_undo_of_a_setting_that_is_none() {
        unheard(Some(Setting::Quiet), Act::UndoesAll).await;
    }
}
