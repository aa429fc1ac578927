//! People who use the controller: they edit policies, waive, freeze, and ask for whatever can be asked.

use std::time::Duration;

use plimsoll::manifest;
use plimsoll::model::spec::Kind;
use plimsoll::model::{Hold, Reason, ReasonCode, Resource, Timestamp};
use plimsoll::ports::store::Key;
use plimsoll::records::command::{Ask, Command, Commands};
use plimsoll::records::configuration::{Application, Configurations};
use plimsoll::rollout::command::Request;

use super::others::SERVICES;
use super::ports::now;
use super::setup::{CLUSTERS, Setup};
use super::trouble::Trouble;
use super::universe::{Freeze, Universe, Waived, phase};

const ALEX: &str = "arn:aws:iam::123456789012:user/alex";

/// Policies come into force.
pub(crate) fn begin(universe: &Universe) {
    edits(universe);
}

/// One thing that a person does.
pub(crate) fn act(universe: &Universe) {
    let choice = universe.state().chance.below(11);
    match choice {
        0..=3 => asks(universe),
        4 => holds(universe),
        5 => releases(universe),
        6 | 7 => freezes(universe),
        8 | 9 => waives(universe),
        _ => edits(universe),
    }
}

fn apply(universe: &Universe, yaml: &str, delete: Vec<(Kind, String)>) {
    let objects = manifest::parse("simulation.yaml", yaml).unwrap_or_else(|found| panic!("{found:#?}\n{yaml}"));
    let objects = objects.into_iter().map(|sourced| sourced.object).collect();
    let application = Application { objects, delete, ..Application::default() };
    now(Configurations::of(&universe.store).apply(&application, universe.time.now(), false)).unwrap();
}

fn delete(universe: &Universe, kind: Kind, name: &str) {
    let application = Application { delete: vec![(kind, name.to_owned())], ..Application::default() };
    let _ = now(Configurations::of(&universe.store).apply(&application, universe.time.now(), false));
}

/// The generation of a class of what people write.
fn generation(universe: &Universe, partition: &str) -> u64 {
    let head = universe.store.peek(&Key::new(partition, "head"));
    head.and_then(|head| head.body.get("generation")?.as_u64()).unwrap_or(0)
}

/// Other Bindings and strategies, and policies with other fixes.
fn edits(universe: &Universe) {
    let setup = Setup::of(&mut universe.state().chance, SERVICES);
    universe.meets(Trouble::Edited);
    let Setup { fixes, without, strategies, bindings } = &setup;
    universe.say(format!("now in force: {fixes:?} {strategies:?} {bindings:?}, without {without:?}"));
    let deleted = setup.without.into_iter().map(|name| (Kind::Policy, name.to_owned()));
    apply(universe, &setup.yaml(), deleted.collect());
    let generation = generation(universe, "cfg#policy");
    universe.state().setups.insert(generation, setup);
}

fn asks(universe: &Universe) {
    let rollouts = universe.records("rollout#");
    let (rollout, verb) = {
        let mut state = universe.state();
        let rollout = state.chance.pick(&rollouts).and_then(|item| item.body["name"].as_str().map(str::to_owned));
        (rollout, state.chance.below(10))
    };
    let Some(name) = rollout else { return };
    let changes = universe.records(&format!("change#{name}#"));
    let resource = universe
        .state()
        .chance
        .pick(&changes)
        .and_then(|item| item.body["spec"]["resource"].as_str().map(str::to_owned));
    let service = resource.as_deref().and_then(|arn| arn.parse().ok());
    let request = match verb {
        0 => Request::Pause,
        1 | 2 => Request::Resume,
        3 => Request::Retry,
        4..=6 => Request::Approve { plan: None },
        7 => Request::Abort,
        8 => Request::Undo { service: None },
        _ => Request::Undo { service },
    };
    asks_for(universe, name, request);
    // Another person asks for the same.
    if universe.happens(150) {
        universe.meets(Trouble::AskedAgain);
        let again = universe.store.all(&format!("cmd#{}", universe.target), "").pop();
        let again = again.and_then(|item| serde_json::from_value::<Command>(item.body.into()).ok());
        again.into_iter().for_each(|command| ask(universe, command.ask));
    }
}

fn asks_for(universe: &Universe, name: String, request: Request) {
    universe.say(format!("a person asks to {} {name}", request.verb()));
    universe.meets(Trouble::Asked);
    ask(universe, Ask::Rollout { name, request });
}

/// Stores a Command. Its place in the order is that of its machine's clock.
fn ask(universe: &Universe, ask: Ask) {
    let (at, late) = (universe.time.now(), universe.seconds((0, 5)));
    let id = {
        let mut state = universe.state();
        format!("{:013}-{:08x}", (at + late).as_millis(), state.chance.below(usize::MAX) as u32)
    };
    let mut state = universe.state();
    match &ask {
        Ask::Rollout { name, request: Request::Approve { .. } } => {
            state.to_approve.insert(id.clone(), name.clone());
        }
        Ask::Rollout { name, request: Request::Retry } => {
            state.let_go.entry(name.clone()).or_default().insert(id.clone());
            state.to_go_on.insert(id.clone(), name.clone());
        }
        Ask::Rollout { name, request: Request::Resume } => {
            state.to_go_on.insert(id.clone(), name.clone());
        }
        Ask::Release { resource } => {
            state.let_go.entry(resource.as_str().to_owned()).or_default().insert(id.clone());
        }
        Ask::Rollout { name, request: Request::Undo { .. } | Request::Abort } => {
            state.undone.insert(name.clone());
        }
        Ask::Rollout { .. } | Ask::Hold { .. } | Ask::Plan { .. } => {}
    }
    drop(state);
    let command = Command { id, ask, by: ALEX.to_owned(), at };
    let _ = now(Commands::of(&universe.store, &universe.target).ask(&command));
}

fn some_resource(universe: &Universe) -> Option<Resource> {
    let changes = universe.changes();
    let change = universe.state().chance.pick(&changes)?.body["spec"]["resource"].clone();
    serde_json::from_value(change).ok()
}

fn holds(universe: &Universe) {
    let Some(resource) = some_resource(universe).filter(|_| universe.happens(300)) else { return };
    universe.say(format!("a person holds everything off {}", resource.short()));
    universe.meets(Trouble::Held);
    let at = universe.time.now();
    let until = universe.happens(500).then(|| at + universe.seconds((60, 1200)));
    let hold = Hold {
        resource,
        fix: "*".to_owned(),
        policy: "*".to_owned(),
        reason: Reason::of(ReasonCode::Held, "an incident"),
        by: None,
        rollout: None,
        created_at: at,
        until,
    };
    ask(universe, Ask::Hold { hold });
}

fn releases(universe: &Universe) {
    let Some(resource) = some_resource(universe) else { return };
    universe.say(format!("a person releases what is held off {}", resource.short()));
    universe.meets(Trouble::Released);
    ask(universe, Ask::Release { resource });
}

fn freezes(universe: &Universe) {
    if !universe.state().freezes.is_empty() {
        return thaws(universe);
    }
    let cluster = universe.happens(500).then(|| CLUSTERS[0].to_owned());
    let scope =
        cluster.as_ref().map_or_else(String::new, |name| format!("scope: {{ include: {{ clusters: [{name}] }} }}, "));
    let includes_rollback = universe.happens(200);
    apply(
        universe,
        &format!(
            "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: {{ name: stop }}\nspec: {{ {scope}reason: incident, \
             includeRollback: {includes_rollback} }}\n"
        ),
        Vec::new(),
    );
    universe.meets(Trouble::Frozen);
    universe.say(format!("a Freeze of {cluster:?}, of the way back too: {includes_rollback}"));
    let stored = universe.time.now();
    universe.state().freezes.insert("stop".to_owned(), Freeze { stored, cluster, includes_rollback });
}

/// No Freeze any more.
pub(crate) fn thaws(universe: &Universe) {
    if universe.state().freezes.is_empty() {
        return;
    }
    delete(universe, Kind::Freeze, "stop");
    universe.say("no Freeze any more".to_owned());
    universe.state().freezes.clear();
}

fn waives(universe: &Universe) {
    let service = universe.happens(800).then(|| {
        // Most of all what is about to be changed.
        let waits = |phase: &str| matches!(phase, "Pending" | "Registering");
        let mut waiting = universe.changes();
        waiting.retain(|change| waits(&phase(&change.body)) && change.body["spec"]["kind"] == "revision");
        let next = universe.state().chance.pick(&waiting).map(|change| change.body["spec"]["resource"].clone());
        let next = next.and_then(|arn| arn.as_str()?.rsplit('/').next().map(str::to_owned));
        next.unwrap_or_else(|| format!("s{}", universe.state().chance.below(SERVICES)))
    });
    // For months, or for some minutes.
    let length =
        if universe.happens(500) { Duration::from_secs(150 * 24 * 3600) } else { universe.seconds((60, 1200)) };
    let until = Timestamp::from_millis((universe.time.now() + length).as_millis() / 1_000 * 1_000);
    match &service {
        None => delete(universe, Kind::Waiver, "let-be"),
        Some(name) => apply(
            universe,
            &format!(
                "apiVersion: plimsoll/v1\nkind: Waiver\nmetadata: {{ name: let-be }}\nspec: {{ policies: [no-host-pid], scope: {{ include: {{ services: [{name}] }} }}, owner: a@example.com, reason: r, expiresAt: {until} }}\n"
            ),
            Vec::new(),
        ),
    }
    universe.meets(Trouble::Waived);
    universe.say(format!("waived: {service:?}, until {until}"));
    let generation = generation(universe, "cfg#waiver");
    universe.state().waived.insert(generation, service.map(|service| Waived { service, until }));
}

/// Lets go on whatever waits for a person, so that a run can come to rest: proposals are approved, waves too, pauses
/// resumed. Says whether there was anything.
pub(crate) fn lets_go(universe: &Universe) -> bool {
    let mut any = false;
    for rollout in universe.records("rollout#") {
        let waits = rollout.body["waiting"]["code"] == "ApprovalRequired";
        let request = match phase(&rollout.body).as_str() {
            "Proposed" => Request::Approve { plan: None },
            "Progressing" if waits => Request::Approve { plan: None },
            "Paused" => Request::Resume,
            _ => continue,
        };
        let name = rollout.body["name"].as_str().unwrap_or_default().to_owned();
        asks_for(universe, name, request);
        any = true;
    }
    any
}
