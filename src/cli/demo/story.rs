//! What happens in the demonstration, in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::DemoArguments;
use super::killed::Mortal;
use super::people::{ALARM, FREEZE, People};
use super::promises::{Before, Happened, Promises};
use super::screen::{Screen, minutes};
use super::shown;
use crate::cli::error::Error;
use crate::cli::output::{Format, Output};
use crate::cli::run::Session;
use crate::cli::{audit, describe_service, listen, signals};
use crate::controller::reconcile::{Depth, PassReport};
use crate::controller::run::{Mode, PassEnd, RunEnd, Watcher as _};
use crate::controller::{Controller, ControllerError, Parts, Settings};
use crate::embedded::EmbeddedStore;
use crate::model::{ChangeKind, ServiceArn, TargetId, Timestamp};
use crate::plan::Plan;
use crate::ports::Clock;
use crate::records::campaign::{Campaign, Campaigns};
use crate::rollout::command::Request;
use crate::rollout::{Change, Phase, RolloutState, State, waits};
use crate::sim::fleet::{self, special};
use crate::sim::{SimEcs, VirtualClock, WorldConfig};
use crate::web::health::{Watched, WatchedTargets};
use crate::web::metrics::{Counting, Metrics, ObservedEcs, ObservedStore};
use crate::web::server::Site;

/// The name under which its first controller takes the lease.
const HOLDER: &str = "demo-1";

/// How far apart passes are.
const POLL: Duration = Duration::from_secs(15);

/// The demonstration as it goes.
pub(super) struct Story {
    screen: Screen,
    ecs: Arc<SimEcs>,
    mortal: Arc<Mortal>,
    store: Arc<EmbeddedStore>,
    clock: Arc<VirtualClock>,
    controller: Controller,
    people: People,
    /// How the commands that are shown see it.
    session: Session,
    target: TargetId,
    stop: CancellationToken,
    happened: Happened,
    metrics: Arc<Metrics>,
}

impl Story {
    /// Sets the stage; nothing has happened yet.
    pub(super) fn begin(arguments: &DemoArguments, session: &Session) -> Result<Self, Error> {
        let start = fleet::START;
        let clock = Arc::new(if arguments.speed > 0.0 {
            VirtualClock::paced(start, arguments.speed)
        } else {
            VirtualClock::instant(start)
        });
        let mut world = fleet::demo_fleet(usize::from(arguments.services), arguments.seed);
        // The budget that keeps a controller below ECS's rates counts real time, which a demonstration has not got.
        world.set_throttling(0);
        let target = TargetId { account: world.config().account.clone(), region: world.config().region.clone() };
        let ecs = Arc::new(SimEcs::of(world, clock.clone()));
        let store = EmbeddedStore::in_memory()
            .map_err(|error| Error::new("the demonstration could not start").caused_by(error.to_string()))?;
        let store = Arc::new(store);
        let mortal = Arc::new(Mortal::of(ecs.clone()));
        let people = People::new(ecs.clone(), store.clone(), clock.clone(), target.clone());
        let screen = Screen::new(&session.output, start);
        let global = session.global.clone();
        let session = Session { global, output: Output::new(Format::Table, true), clock: clock.clone() };
        let metrics = Arc::new(Metrics::new());
        let parts = parts(&ecs, &mortal, &store, &clock, &target, &metrics);
        let controller = Controller::new(parts, settings(&target, HOLDER));
        let (stop, happened) = (signals::shutdown()?, Happened::default());
        Ok(Self { screen, ecs, mortal, store, clock, controller, people, session, target, stop, happened, metrics })
    }

    /// Serves pages of it for as long as it goes.
    pub(super) async fn listen(&self, address: SocketAddr) -> Result<(), Error> {
        self.metrics.watch(&self.target, None);
        let watched = WatchedTargets::default();
        let runs = Watched::Runs { target: self.target.clone(), holder: HOLDER.to_owned() };
        watched.set("", Some(runs));
        let site = Site {
            store: self.store.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            watched,
            note: Some("A demonstration: the account, its services and the time are simulated. It ends by itself."),
        };
        listen::serve(address, site, self.stop.clone()).await
    }

    /// Tells it. True if every promise was kept.
    pub(super) async fn tell(&mut self) -> Result<bool, Error> {
        let applied = self.people.apply_basics().await?;
        self.screen.line(&format!("A simulated account: {} services in 3 clusters, on Fargate and EC2.", self.count()));
        self.screen.line(&format!(
            "{applied} objects applied: Security Hub's controls for ECS (five enforced, the rest audited), a strategy, a waiver."
        ));
        let plan = self.plan().await?;
        shown::findings(&self.screen, &plan);
        shown::plan(&self.screen, &plan);
        let before = Before::look(&self.ecs, &plan);

        self.screen.heading("Rolling out, in waves. Changes are verified on running tasks; times are the fleet's.");
        self.run().await?;
        self.go_on_without_what_broke().await?;
        self.freeze().await?;
        self.kill().await?;
        self.overtake().await?;
        self.run().await?;
        let converged = self.plan().await?;
        shown::rest(&self.screen, &converged);
        let converged =
            converged.campaigns.iter().all(|campaign| campaign.proposed.is_some()) && converged.summary().unknown == 0;
        self.alarm().await?;
        self.undo().await?;

        let store = self.store.as_ref();
        let audit = audit::verified(&self.session, store, &BTreeMap::new()).await?;
        self.screen.heading("Who did what, and has anybody touched the record?");
        self.screen.command("plimsoll audit verify");
        self.screen.line(&format!("  {}", audit.sentence()));
        let promises = Promises::look(&self.ecs, store, &self.target, &before, &self.happened, &self.screen).await?;
        self.screen.clear();
        self.screen.heading("What was promised, checked on the simulated world:");
        for promise in &promises.kept {
            let (code, mark) = if promise.held { ("32", "kept  ") } else { ("31", "BROKEN") };
            self.screen.painted(code, 10, &format!("  {mark}  {}", promise.what));
        }
        self.goodbye();
        Ok(converged && audit.is_whole() && promises.kept.iter().all(|promise| promise.held))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How many services the fleet has.
    fn count(&self) -> usize {
        let now = self.now();
        let mut world = self.ecs.world();
        [special::PROD, special::STAGING, special::DEV]
            .iter()
            .filter_map(|cluster| world.call(now, "DescribeClusters", &json!({ "clusters": [cluster] })).ok())
            .filter_map(|answer| answer.pointer("/clusters/0/activeServicesCount").and_then(Value::as_u64))
            .sum::<u64>()
            .try_into()
            .unwrap_or(usize::MAX)
    }

    async fn plan(&mut self) -> Result<Plan, Error> {
        self.controller.plan(None).await.map(|(plan, _)| plan).map_err(ended)
    }

    async fn campaigns(&self) -> Result<Vec<Campaign>, Error> {
        Ok(Campaigns::of(self.store.as_ref(), &self.target).campaigns().await?)
    }

    /// Lets the controller work until there is nothing left that it may do.
    async fn run(&mut self) -> Result<(), Error> {
        let mode = Mode::UntilSettled { timeout: Duration::from_secs(60 * 60) };
        let mut counting = Counting { metrics: &self.metrics, target: self.target.clone(), next: &mut self.screen };
        match self.controller.run(mode, &self.stop, &mut counting).await.map_err(ended)? {
            RunEnd::Settled { .. } => Ok(()),
            RunEnd::Stopped => Err(stopped()),
        }
    }

    /// Lets the controller work until something is there, at most for so long. Whether it came.
    async fn run_until(&mut self, length: Duration, there: impl Fn(&PassReport) -> bool) -> Result<bool, Error> {
        let until = self.now() + length;
        while self.now() < until {
            if self.stop.is_cancelled() {
                return Err(stopped());
            }
            let began = self.clock.monotonic();
            let passed = self.controller.pass(Depth::Full).await;
            let took = self.clock.monotonic().saturating_sub(began);
            self.metrics.passed(&self.target, &PassEnd { outcome: passed.as_ref(), took, now: self.now() });
            match passed {
                Ok(report) => {
                    self.screen.passed(&report, self.now());
                    if there(&report) {
                        return Ok(true);
                    }
                }
                // Until the lease of the one before it has run out.
                Err(ControllerError::NotHolder { .. }) => {}
                Err(error) => return Err(ended(error)),
            }
            self.clock.sleep(POLL).await;
        }
        Ok(false)
    }

    /// A rollout has stopped on a failure: what `describe` says of the service, and a person who decides.
    async fn go_on_without_what_broke(&mut self) -> Result<(), Error> {
        let campaigns = self.campaigns().await?;
        let paused =
            campaigns.iter().find(|campaign| matches!(campaign.rollout.value.state, RolloutState::Paused { .. }));
        let broken = |campaign: &Campaign| {
            let broken = campaign.changes.iter().map(|change| &change.value).find(|change| change.failed())?;
            Some((campaign.rollout.value.name.clone(), broken.spec.resource.short().to_owned()))
        };
        let Some((rollout, service)) = paused.and_then(broken) else { return Ok(()) };
        self.screen.heading(&format!(
            "{service} broke with its fix. It was taken back, the fix is held off it, and nothing more started."
        ));
        self.screen.command(&format!("plimsoll describe service {service}"));
        let (text, _) = describe_service::service(&self.session, self.store.as_ref(), &service).await?;
        let passes = |line: &&str| line.starts_with("  pass ") || line.starts_with("  skip ");
        for line in text.lines().filter(|line| !passes(line)) {
            self.screen.hanging(10, &format!("  | {line}"));
        }
        let left_out = text.lines().filter(passes).count();
        self.screen.line(&format!("  ({left_out} lines of policies that pass or do not apply are left out here.)"));
        self.screen.line("You say: go on without it.");
        self.screen.command(&format!("plimsoll rollout resume {rollout}"));
        self.people.ask(&rollout, Request::Resume).await?;
        self.happened.failed = Some(service);
        Ok(())
    }

    /// A freeze while changes are in flight: those end, nothing begins, and lifted it goes on where it was.
    async fn freeze(&mut self) -> Result<(), Error> {
        let busy =
            |report: &PassReport| report.campaigns.iter().any(|campaign| flying(campaign) > 1 && left(campaign) > 1);
        if !self.run_until(Duration::from_secs(30 * 60), busy).await? {
            return Ok(());
        }
        self.screen.heading("Something else is on fire. You stop everything, in the middle of a wave.");
        self.screen.command(&format!("plimsoll freeze {FREEZE} --reason \"checkout is down\""));
        self.people.freeze().await?;
        let calls = self.ecs.calls().len();
        self.run_until(Duration::from_secs(3 * 60), |_| false).await?;
        for campaign in self.campaigns().await? {
            let rollout = &campaign.rollout.value;
            let changes: Vec<&Change> = campaign.changes.iter().map(|change| &change.value).collect();
            let waits = |change: &&&Change| change.state == State::Pending && !rollout.state.is_final();
            let Some(first) = changes.iter().find(waits).filter(|_| !is_proposed(&campaign)) else { continue };
            let why = waits::why(rollout, changes.iter().copied(), first);
            let why = why.map_or_else(String::new, |reason| reason.to_string());
            self.screen.hanging(
                4,
                &format!("  What was in flight has ended, {} changes of {} wait: {why}", left(&campaign), rollout.name),
            );
        }
        self.happened.frozen = Some((calls, self.ecs.calls().len()));
        self.screen.command(&format!("plimsoll unfreeze {FREEZE}"));
        self.people.unfreeze().await?;
        Ok(())
    }

    /// The controller dies between a call and the record of what came of it, and another one takes over.
    async fn kill(&mut self) -> Result<(), Error> {
        let Some(service) = self.dies().await? else { return Ok(()) };
        self.screen.heading(&format!(
            "kill -9: the controller dies right after it told ECS to move {service}, before it could write down what came of it."
        ));
        self.screen.line(
            "Another one takes over when the lease has not changed for a minute. It looks before it repeats anything.",
        );
        let parts = parts(&self.ecs, &self.mortal, &self.store, &self.clock, &self.target, &self.metrics);
        self.controller = Controller::new(parts, settings(&self.target, "demo-2"));
        let known = |change: &Change| change.spec.resource.short() == service && !is_yet_to_move(change);
        let found = |report: &PassReport| changes(report).any(known);
        self.run_until(Duration::from_secs(5 * 60), found).await?;
        self.happened.killed = Some(service);
        Ok(())
    }

    /// Lets the controller work until it dies of its next UpdateService. The service that was told.
    async fn dies(&mut self) -> Result<Option<String>, Error> {
        let mortal = self.mortal.clone();
        mortal.doom(true);
        let until = self.now() + Duration::from_secs(10 * 60);
        while self.now() < until {
            if self.stop.is_cancelled() {
                return Err(stopped());
            }
            tokio::select! {
                biased;
                service = mortal.died() => return Ok(Some(service)),
                report = self.controller.pass(Depth::Full) => {
                    self.screen.passed(&report.map_err(ended)?, self.clock.now());
                }
            }
            self.clock.sleep(POLL).await;
        }
        mortal.doom(false);
        Ok(None)
    }

    /// A team deploys over ours while it is under way.
    async fn overtake(&mut self) -> Result<(), Error> {
        if !self.run_until(Duration::from_secs(10 * 60), |report| changes(report).any(may_be_overtaken)).await? {
            return Ok(());
        }
        let campaigns = self.campaigns().await?;
        let mut all = campaigns.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value);
        let chosen = all.rfind(|change| may_be_overtaken(change));
        let Some((service, from)) = chosen.and_then(revision_of) else { return Ok(()) };
        let deployed = self.people.deploy(&service, &from, Some(("RELEASE", "42")))?;
        self.screen.heading(&format!("The team of {} deploys {deployed} while ours is under way.", service.short()));
        self.screen.line(
            "Theirs stands: what somebody deploys is never rolled back. It has the violation, so it is fixed in its turn, on top of what they changed.",
        );
        self.happened.overtaken = Some((service.short().to_owned(), deployed));
        Ok(())
    }

    /// A fix that ECS finds nothing wrong with, and an alarm does.
    async fn alarm(&mut self) -> Result<(), Error> {
        self.people.ring(false);
        self.people.apply_read_only_root().await?;
        self.screen.heading(
            "One policy more: read-only root file systems in staging, two services first, watched by an alarm.",
        );
        self.screen.command("plimsoll apply -f read-only-root.yaml");
        let bakes = |campaign: &Campaign| {
            is_watched(campaign) && matches!(campaign.rollout.value.state, RolloutState::Baking { .. })
        };
        if !self.run_until(Duration::from_secs(20 * 60), |report| report.campaigns.iter().any(bakes)).await? {
            return Ok(());
        }
        self.run_until(Duration::from_secs(60), |_| false).await?;
        self.screen.line(&format!("ECS sees nothing wrong. While the wave is being watched, alarm {ALARM} goes off."));
        self.people.ring(true);
        self.run().await?;
        self.people.ring(false);
        let campaigns = self.campaigns().await?;
        let Some(campaign) = campaigns.iter().find(|campaign| is_watched(campaign)) else { return Ok(()) };
        let rollout = campaign.rollout.value.name.clone();
        self.screen.line(&format!(
            "The whole wave was taken back, and {} services that would have come next were never touched. You end it:",
            left(campaign)
        ));
        self.screen.command(&format!("plimsoll rollout abort {rollout}"));
        self.people.ask(&rollout, Request::Abort).await?;
        self.run().await?;
        self.happened.alarmed = Some(rollout);
        Ok(())
    }

    /// Takes one service's change back, lets its team deploy again with the same violation, and sees whether it stays.
    async fn undo(&mut self) -> Result<(), Error> {
        let campaigns = self.campaigns().await?;
        let chosen = campaigns.iter().find_map(|campaign| {
            let landed = |change: &&Change| matches!(change.state, State::Succeeded { .. });
            let change = campaign.changes.iter().map(|change| &change.value).filter(landed);
            let (service, from) = change.filter(|change| !self.is_known(change)).find_map(revision_of)?;
            Some((campaign.rollout.value.name.clone(), service, from))
        });
        let Some((rollout, service, from)) = chosen else { return Ok(()) };
        let short = service.short().to_owned();
        self.screen.heading(&format!("You change your mind about {short}: undo, and it stays undone."));
        self.screen.command(&format!("plimsoll rollout undo {rollout} --service {short}"));
        self.people.ask(&rollout, Request::Undo { service: Some(service.clone()) }).await?;
        self.run().await?;
        let deployed = self.people.deploy(&service, &from, None)?;
        self.screen.line(&format!("Its team deploys again, with the same violation in it: {deployed}"));
        self.run_until(Duration::from_secs(5 * 60), |_| false).await?;
        self.happened.undone = Some((short, deployed));
        Ok(())
    }

    /// Whether something was shown of the service already.
    fn is_known(&self, change: &Change) -> bool {
        let short = change.spec.resource.short();
        self.happened.overtaken.as_ref().is_some_and(|(service, _)| service == short)
    }

    fn goodbye(&self) {
        let passed = self.now().since(fleet::START);
        self.screen.heading(&format!("That was {} of the fleet's time. Try next:", minutes(passed)));
        for line in [
            "plimsoll demo --seed 2                          another run",
            "plimsoll check task-definition.json             your own task definitions, offline",
            "plimsoll sim --listen 127.0.0.1:4566            such a fleet as an endpoint; README.md says how to use it",
            "plimsoll plan -f policies/                      what is wrong with a fleet; writes nothing",
            "plimsoll --help                                 everything else; README.md has the way to production",
        ] {
            self.screen.line(&format!("  {line}"));
        }
    }
}

/// What a controller of the demonstration works with.
fn parts(
    ecs: &Arc<SimEcs>,
    mortal: &Arc<Mortal>,
    store: &Arc<EmbeddedStore>,
    clock: &Arc<VirtualClock>,
    target: &TargetId,
    metrics: &Arc<Metrics>,
) -> Parts {
    Parts {
        ecs: Arc::new(ObservedEcs::new(mortal.clone(), target.clone(), Arc::clone(metrics))),
        alarms: Arc::new(ecs.alarms()),
        store: Arc::new(ObservedStore::new(store.clone(), Arc::clone(metrics))),
        clock: clock.clone(),
    }
}

fn settings(target: &TargetId, holder: &str) -> Settings {
    Settings {
        target: target.clone(),
        caller: WorldConfig::default().caller,
        holder: holder.to_owned(),
        lease: Duration::from_secs(60),
        call_timeout: Duration::from_secs(2),
        resync: Some(Duration::from_secs(60)),
        poll: POLL,
        allow_edit: Vec::new(),
    }
}

fn changes(report: &PassReport) -> impl Iterator<Item = &Change> {
    report.campaigns.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value)
}

fn flying(campaign: &Campaign) -> usize {
    campaign.changes.iter().filter(|change| change.value.state.phase().is_in_flight()).count()
}

/// How many have not begun.
fn left(campaign: &Campaign) -> usize {
    campaign.changes.iter().filter(|change| change.value.state == State::Pending).count()
}

const fn is_proposed(campaign: &Campaign) -> bool {
    matches!(campaign.rollout.value.state, RolloutState::Proposed { .. })
}

fn is_watched(campaign: &Campaign) -> bool {
    campaign.rollout.value.name.starts_with("watched-")
}

/// Whether its team may deploy over it: its family is its own, and tasks run.
fn may_be_overtaken(change: &Change) -> bool {
    let own = |(service, from): (ServiceArn, String)| from.starts_with(&format!("{}:", service.name()));
    change.state.phase() == Phase::Stabilizing
        && revision_of(change).is_some_and(own)
        && ![special::PAYMENTS, special::REPORTS].contains(&change.spec.resource.short())
}

/// Whether it has not been moved, as far as the records know.
const fn is_yet_to_move(change: &Change) -> bool {
    matches!(change.state.phase(), Phase::Pending | Phase::Registering | Phase::Updating)
}

/// Of a change of a service's task definition: the service, and the revision that it had.
fn revision_of(change: &Change) -> Option<(ServiceArn, String)> {
    let service = change.spec.resource.service().filter(|_| change.spec.kind == ChangeKind::Revision)?;
    Some((service.clone(), change.spec.from.as_ref()?.short().to_owned()))
}

fn stopped() -> Error {
    Error::new("the demonstration was stopped")
}

fn ended(error: ControllerError) -> Error {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let told = Error::new(error.to_string());
    match cause {
        Some(cause) => told.caused_by(cause),
        None => told,
    }
}
