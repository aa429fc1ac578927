//! Runs a script against the simulated ECS with the real controller, in virtual time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll::cli::texts;
use plimsoll::controller::reconcile::Depth;
use plimsoll::controller::{Controller, Parts};
use plimsoll::embedded::EmbeddedStore;
use plimsoll::manifest;
use plimsoll::model::spec::Object;
use plimsoll::model::{ReasonCode, TargetId, Timestamp};
use plimsoll::ports::Clock;
use plimsoll::records::campaign::Campaigns;
use plimsoll::records::configuration::Configurations;
use plimsoll::rollout::RolloutState;
use plimsoll::sim::{SimEcs, VirtualClock, World, WorldConfig};

use super::super::world::{START, settings};
use super::act::People;
use super::line::{Line, length, parse};
use super::transcript::Transcript;
use super::witness::Witness;

/// How far apart passes are, unless the script says otherwise.
const STEP: Duration = Duration::from_secs(15);

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios").join(name)
}

/// The text of a script.
pub(super) fn read(name: &str) -> String {
    std::fs::read_to_string(folder("scripts").join(format!("{name}.txt"))).unwrap()
}

/// The names of the files of a folder, without their endings.
pub(super) fn stems(of: &str, ending: &str) -> BTreeSet<String> {
    let names = std::fs::read_dir(folder(of)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(ending).map(ToOwned::to_owned)).collect()
}

/// A script that is being played.
pub(super) struct Stage {
    pub(super) people: Arc<People>,
    pub(super) witness: Witness,
    controller: Controller,
    controllers: usize,
    /// When the fleet was last looked at as a whole.
    full: Option<Timestamp>,
    transcript: Transcript,
}

/// Runs it, and tells what happened.
pub(super) async fn run(script: &str) -> String {
    let stage = play(script).await;
    stage.transcript.end(&stage.people).await
}

/// Runs it, and tells in a line how everything that was done about one service ended, and what it runs.
pub(super) async fn outcome(script: &str, place: &str) -> String {
    let (ended, stage) = ended(script, place).await;
    let running = format!("runs {}", Transcript::running(&stage.people, place));
    if ended.is_empty() { running } else { format!("{ended}; {running}") }
}

/// Runs it, and tells how everything that was done about one service or cluster ended.
pub(super) async fn ended(script: &str, place: &str) -> (String, Stage) {
    let stage = play(script).await;
    let people = &stage.people;
    let campaigns = Campaigns::of(people.store.as_ref(), &people.target).campaigns().await.unwrap();
    let mut parts = Vec::new();
    for campaign in &campaigns {
        let rollout = &campaign.rollout.value;
        let changes = campaign.changes.iter().map(|change| &change.value);
        let about = changes.clone().filter(|change| change.spec.resource.short() == place);
        for change in about {
            let history: Vec<&str> = change.history.iter().map(|entry| entry.phase.as_str()).collect();
            parts.push(format!("{} {} ({})", rollout.name, rollout.state.phase(), history.join(" → ")));
        }
        let person = matches!(rollout.state, RolloutState::Paused { .. } | RolloutState::Proposed { .. });
        let approval = rollout.waiting.as_ref().is_some_and(|reason| reason.code == ReasonCode::ApprovalRequired);
        let half_done = changes.clone().any(|change| change.state.phase().is_in_flight());
        assert!(!half_done && (rollout.state.is_final() || person || approval), "{script}\n{rollout:#?}");
    }
    (parts.join("; "), stage)
}

/// What is stored, with what a block says besides.
async fn as_if(people: &People, yaml: &str) -> Vec<Object> {
    let stored = Configurations::of(people.store.as_ref()).read(None).await.unwrap();
    let said: Vec<Object> =
        manifest::parse("script.yaml", yaml).unwrap().into_iter().map(|sourced| sourced.object).collect();
    let is_said = |object: &Object| {
        said.iter().any(|said| (said.kind(), &said.metadata.name) == (object.kind(), &object.metadata.name))
    };
    let mut all: Vec<Object> =
        stored.unwrap_or_default().objects.into_iter().filter(|object| !is_said(object)).collect();
    all.extend(said.iter().cloned());
    all
}

/// The names of the files of a folder, sorted.
fn folder_of(path: &std::path::Path) -> BTreeSet<String> {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

pub(super) async fn play(script: &str) -> Stage {
    let start: Timestamp = START.parse().unwrap();
    let config = WorldConfig { throttle_percent: 0, ..WorldConfig::default() };
    let target = TargetId { account: config.account.clone(), region: config.region.clone() };
    let clock = Arc::new(VirtualClock::instant(start));
    let ecs = Arc::new(SimEcs::of(World::new(config, start), clock.clone()));
    let people = Arc::new(People::new(ecs, Arc::new(EmbeddedStore::in_memory().unwrap()), clock, target));
    let witness = Witness::of(people.clone());
    let controller = controller(&witness, 1);
    let transcript = Transcript::new(start);
    let mut stage = Stage { people, witness, controller, controllers: 1, full: None, transcript };
    for line in parse(script) {
        stage.transcript.line(&line.text);
        stage.perform(&line).await;
    }
    stage
}

fn controller(witness: &Witness, number: usize) -> Controller {
    let (ecs, store) = (Arc::new(witness.clone()), Arc::new(witness.clone()));
    let alarms = Arc::new(witness.people.ecs.alarms());
    let parts = Parts { ecs, alarms, store, clock: witness.people.clock.clone() };
    Controller::new(parts, settings(&witness.people.target, &format!("controller-{number}")))
}

impl Stage {
    /// Does what a line says.
    pub(super) async fn perform(&mut self, line: &Line) {
        match line.words().as_slice() {
            ["pass"] => self.pass().await,
            ["for", span] => self.passes(length(span), STEP).await,
            ["for", span, "every", step] => self.passes(length(span), length(step)).await,
            // Time passes, and nobody looks.
            ["settle", span] => self.people.clock.advance(length(span)),
            ["at", time] => {
                let until: Timestamp = time.parse().unwrap();
                self.people.clock.advance(until.since(self.people.clock.now()));
            }
            // Another one watches the lease not change for its whole length, then takes over.
            ["crash"] => {
                self.controllers += 1;
                self.controller = controller(&self.witness, self.controllers);
                self.full = None;
                self.people.dead.store(false, Ordering::Relaxed);
                let _ = self.controller.pass(Depth::InFlight).await;
                self.people.clock.advance(Duration::from_secs(31));
            }
            ["status", rollout] => {
                let (store, target, now) = (&self.people.store, &self.people.target, self.people.clock.now());
                let text = texts::rollout_status(store.as_ref(), target, rollout, now).await.unwrap();
                self.transcript.text(&text);
            }
            ["describe", place] => {
                let (store, clock) = (&self.people.store, self.people.clock.clone());
                let text = texts::describe_service(store.as_ref(), clock, place).await.unwrap();
                self.transcript.text(&text);
            }
            ["plan", what @ ..] => self.plan(line, what).await,
            ["services"] => self.transcript.services(&self.people),
            ["deployment", place] => self.transcript.deployment(&self.people, place),
            _ => assert!(self.people.act(line).await, "line {}: `{}` means nothing", line.number, line.text),
        }
    }

    async fn passes(&mut self, span: Duration, step: Duration) {
        let until = self.people.clock.now() + span;
        while self.people.clock.now() < until {
            self.people.clock.advance(step);
            self.pass().await;
        }
    }

    /// What a person sees who plans, by what is stored or as if a block were applied too; `keep`: and keeps it; `patches`: and
    /// what is written for the team's own code.
    async fn plan(&mut self, line: &Line, what: &[&str]) {
        let number = self.controllers + 100;
        let mut person = controller(&self.witness, number).with_standalone(Duration::ZERO, 100);
        let objects = (!line.block.is_empty()).then(|| as_if(&self.people, &line.block));
        let objects = match objects {
            Some(objects) => Some(objects.await),
            None => None,
        };
        let (plan, set) = person.plan(objects).await.unwrap();
        self.transcript.text(&texts::plan(&plan, set.policies().count(), false));
        if what.contains(&"patches") {
            let folder = tempfile::tempdir().unwrap();
            texts::patches(folder.path(), &plan).unwrap();
            for name in folder_of(folder.path()).into_iter().filter(|name| name.ends_with(".patch.json")) {
                let patch = std::fs::read_to_string(folder.path().join(&name)).unwrap();
                self.transcript.text(&format!("{name}:\n{patch}"));
            }
        }
        if what.contains(&"keep") {
            let kept = serde_json::from_value(serde_json::to_value(plan.saved()).unwrap()).unwrap();
            *self.people.kept.lock().unwrap() = Some(kept);
        }
    }

    async fn pass(&mut self) {
        // As `run` does: the whole fleet every `resync`, what is in flight in between.
        let now = self.people.clock.now();
        let resync = self.controller.settings().resync.unwrap_or_default();
        let due = self.full.is_none_or(|full| full + resync <= now);
        let result = self.controller.pass(if due { Depth::Full } else { Depth::InFlight }).await;
        if result.as_ref().is_ok_and(|report| report.plan.is_some()) {
            self.full = Some(now);
        }
        self.transcript.passed(&self.witness, result.as_ref()).await;
    }
}
