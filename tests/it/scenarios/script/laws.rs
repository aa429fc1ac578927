//! What holds whatever people do: of the whole controller, on the simulator, in virtual time.
//!
//! Every write of ours is looked at in the order in which it was made, with what was recorded, frozen and waived then.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll::model::document::register_input;
use plimsoll::model::wire;
use plimsoll::records::campaign::Campaigns;
use plimsoll::rollout::{Change, Phase, RolloutState};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::line::parse;
use super::run::{Stage, play};
use super::witness::Seen;

const SERVICES: [&str; 5] = ["dev/a", "prod/b", "prod/c", "prod/d", "stage/e"];

/// What a person does, to the service where it is to one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Deploys,
    ScalesToZero,
    Freezes,
    Unfreezes,
    Waives,
    Pauses,
    Resumes,
    UndoesOne,
    Holds,
    Breaks,
    Crashes,
}

fn acts() -> impl Strategy<Value = Vec<(Act, usize, u64)>> {
    let act = select(vec![
        Act::Deploys,
        Act::ScalesToZero,
        Act::Freezes,
        Act::Unfreezes,
        Act::Waives,
        Act::Pauses,
        Act::Resumes,
        Act::UndoesOne,
        Act::Holds,
        Act::Breaks,
        Act::Crashes,
    ]);
    prop::collection::vec((act, 0..SERVICES.len(), 1..12u64), 0..7)
}

/// What is known at a moment: by the records, and of what people did.
#[derive(Default)]
struct Known {
    changes: BTreeMap<String, Change>,
    frozen: BTreeSet<&'static str>,
    waived: BTreeSet<&'static str>,
    held: BTreeSet<&'static str>,
    /// Services that somebody else has moved or scaled.
    theirs: BTreeSet<&'static str>,
    max_in_flight: usize,
    /// How much of what was seen has been looked at.
    seen: usize,
}

impl Known {
    /// A record was written: is what it says in order?
    fn recorded(&mut self, change: Change) {
        let phase = change.state.phase();
        let was = self.changes.insert(change.name.clone(), change.clone()).map(|was| was.state.phase());
        let of_this = || self.changes.values().filter(|other| other.spec.rollout == change.spec.rollout);
        if phase == Phase::Updating && was != Some(Phase::Updating) {
            let flying = of_this().filter(|other| other.state.phase().is_in_flight()).count();
            assert!(
                flying <= self.max_in_flight,
                "{flying} in flight with {}, {} allowed",
                change.name,
                self.max_in_flight
            );
        }
        if phase == Phase::Registering && was == Some(Phase::Pending) {
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
    }

    /// A call was made: was it allowed then? Forward is what brings, or makes, a task definition without the violation.
    fn called(&self, operation: &str, input: &Value) {
        let families: BTreeSet<&str> = match operation {
            "RegisterTaskDefinition" if input.get("pidMode").is_none() => [input["family"].as_str().unwrap()].into(),
            "UpdateService" => {
                let to = input["taskDefinition"].as_str().unwrap();
                let going = |change: &&Change| {
                    change.state.phase() == Phase::Updating
                        && change.spec.to.as_ref().is_some_and(|revision| revision.as_str() == to)
                };
                self.changes
                    .values()
                    .find(going)
                    .and_then(|change| change.spec.resource.service())
                    .map(|arn| arn.name())
                    .into_iter()
                    .collect()
            }
            _ => return,
        };
        for place in SERVICES.iter().filter(|place| families.contains(place.rsplit('/').next().unwrap())) {
            for (set, what) in [(&self.frozen, "frozen"), (&self.waived, "waived"), (&self.held, "held")] {
                assert!(!set.contains(place), "{operation} for {place}, which is {what}");
            }
        }
    }

    fn look(&mut self, stage: &Stage) {
        for seen in stage.witness.since(&mut self.seen) {
            match seen {
                Seen::Call { operation, input, .. } => self.called(operation.as_str(), &input),
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

    async fn act(&mut self, stage: &mut Stage, act: Act, place: &'static str) {
        let name = place.rsplit('/').next().unwrap();
        let line = match act {
            Act::Deploys => {
                self.theirs.insert(place);
                format!("deploy {place}")
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
            Act::Pauses => "pause s-1".to_owned(),
            Act::Resumes => "resume s-1".to_owned(),
            Act::UndoesOne => format!("undo s-1 {place}"),
            Act::Breaks => format!("breaks {name} crashOnStart"),
            Act::Crashes => "crash".to_owned(),
            Act::Freezes | Act::Unfreezes => return,
        };
        do_line(stage, &line).await;
    }
}

async fn do_line(stage: &mut Stage, text: &str) {
    for line in parse(text) {
        stage.perform(&line).await;
    }
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

async fn tell(max_in_flight: usize, acts: &[(Act, usize, u64)]) {
    let services: String = SERVICES.iter().map(|place| format!("service {place}\n")).collect();
    let mut stage = play(&format!(
        "{services}enforce {{ waves: [{{ name: one, size: 1, bake: 2m }}, {{ name: two, size: 2 }}, {{ name: three, size: rest }}], maxInFlight: {max_in_flight}, health: {{ steadyFor: 30s, progressTimeout: 5m }} }}\nsettle 5m\n"
    ))
    .await;
    let before: BTreeMap<&str, Value> = SERVICES.iter().map(|place| (*place, document(&stage, place))).collect();
    let mut known = Known { max_in_flight, ..Known::default() };
    known.passes(&mut stage, 1).await;
    for (act, place, passes) in acts {
        known.act(&mut stage, *act, SERVICES[*place]).await;
        known.passes(&mut stage, *passes).await;
    }
    // Left alone, with nothing in the way, everything comes to an end or waits for a person.
    known.act(&mut stage, Act::Unfreezes, SERVICES[0]).await;
    do_line(&mut stage, "heals").await;
    known.passes(&mut stage, 50).await;
    let campaigns = Campaigns::of(stage.people.store.as_ref(), &stage.people.target);
    let ended = campaigns.campaigns().await.unwrap();
    for campaign in &ended {
        let rollout = &campaign.rollout.value;
        let waits = matches!(rollout.state, RolloutState::Paused { .. } | RolloutState::Proposed { .. });
        assert!(rollout.state.is_final() || waits, "{} is {}", rollout.name, rollout.state.phase());
        let moving = campaign.changes.iter().find(|change| change.value.state.phase().is_in_flight());
        assert_eq!(moving.map(|change| change.value.name.clone()), None, "still under way");
    }
    // Undone, the last rollout first, what runs is what ran before, but where somebody else had a hand in it.
    let mut names: Vec<String> = ended.iter().map(|campaign| campaign.rollout.value.name.clone()).collect();
    names.sort();
    for name in names.iter().rev() {
        do_line(&mut stage, &format!("undo {name}")).await;
        known.passes(&mut stage, 16).await;
    }
    for place in SERVICES.iter().filter(|place| !known.theirs.contains(*place)) {
        assert_eq!(document(&stage, place), before[place], "{place} is not what it was");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, failure_persistence: None, rng_seed: RngSeed::Fixed(9), ..ProptestConfig::default() })]

    #[test]
    fn budgets_waves_and_freezes_hold_everything_ends_and_an_undo_is_the_way_back(max_in_flight in 1..4usize, acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tell(max_in_flight, &acts));
    }
}
