//! What happens in the demonstration, in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::DemoArguments;
use super::promises::{Before, Promises};
use super::screen::{Screen, minutes};
use crate::cli::error::Error;
use crate::cli::output::Output;
use crate::cli::{listen, signals};
use crate::controller::reconcile::Depth;
use crate::controller::run::{Mode, PassEnd, RunEnd, Watcher as _};
use crate::controller::{Controller, ControllerError, Parts, Settings};
use crate::embedded::EmbeddedStore;
use crate::manifest;
use crate::model::{TargetId, Timestamp};
use crate::plan::{Plan, PlanOutcome};
use crate::policy::builtin;
use crate::ports::Clock;
use crate::records::campaign::Campaigns;
use crate::records::command::{Ask, Command, Commands};
use crate::records::configuration::{Application, Configurations};
use crate::rollout::command::Request;
use crate::rollout::make::masked;
use crate::rollout::{RolloutState, State};
use crate::sim::fleet::{self, special};
use crate::sim::{SimEcs, VirtualClock};
use crate::web::health::Watched;
use crate::web::metrics::{Counting, Metrics, ObservedEcs, ObservedStore};
use crate::web::server::Site;

/// The name under which its controller takes the lease.
const HOLDER: &str = "demo";

/// Who asks in the demonstration.
const PERSON: &str = "arn:aws:iam::123456789012:user/you";

/// The demonstration as it goes.
pub(super) struct Story {
    screen: Screen,
    ecs: Arc<SimEcs>,
    store: Arc<EmbeddedStore>,
    clock: Arc<VirtualClock>,
    controller: Controller,
    target: TargetId,
    stop: CancellationToken,
    asked: usize,
    metrics: Arc<Metrics>,
}

impl Story {
    /// Sets the stage; nothing has happened yet.
    pub(super) fn begin(arguments: &DemoArguments, output: &Output) -> Result<Self, Error> {
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
        let metrics = Arc::new(Metrics::new());
        let parts = Parts {
            ecs: Arc::new(ObservedEcs::new(ecs.clone(), target.clone(), Arc::clone(&metrics))),
            alarms: Arc::new(ecs.alarms()),
            store: Arc::new(ObservedStore::new(store.clone(), Arc::clone(&metrics))),
            clock: clock.clone(),
        };
        let settings = Settings {
            target: target.clone(),
            holder: HOLDER.to_owned(),
            lease: Duration::from_secs(60),
            call_timeout: Duration::from_secs(2),
            resync: Some(Duration::from_secs(60)),
            poll: Duration::from_secs(15),
            allow_edit: Vec::new(),
        };
        let controller = Controller::new(parts, settings);
        let screen = Screen::new(output.color(), start);
        Ok(Self { screen, ecs, store, clock, controller, target, stop: signals::shutdown()?, asked: 0, metrics })
    }

    /// Serves pages of it for as long as it goes.
    pub(super) async fn listen(&self, address: SocketAddr) -> Result<(), Error> {
        self.metrics.watch(&self.target, None);
        let site = Site {
            store: self.store.clone(),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            watched: vec![Arc::new(Watched::new(self.target.clone(), HOLDER.to_owned()))],
            note: Some("A demonstration: the account, its services and the time are simulated. It ends by itself."),
        };
        listen::serve(address, site, self.stop.clone()).await
    }

    /// Tells it. True if every promise was kept.
    pub(super) async fn tell(&mut self) -> Result<bool, Error> {
        self.apply().await?;
        let plan = self.plan().await?;
        self.show_findings(&plan);
        self.show_plan(&plan);
        let before = Before::look(&self.ecs, &plan);

        self.screen.heading("Rolling out, in waves. Changes are verified on running tasks; times are the fleet's.");
        self.run().await?;
        let failed = self.paused().await?;
        if let Some((rollout, service)) = &failed {
            self.screen.heading(&format!(
                "{service} broke with its fix. It was taken back, the fix is held off it, and nothing more started."
            ));
            self.screen.line("You say: go on without it.");
            self.command(&format!("plimsoll rollout resume {rollout}"));
            self.ask(rollout, Request::Resume).await?;
            self.run().await?;
        }
        let converged = self.plan().await?;
        self.show_rest(&converged);

        let undone = self.undo().await?;
        let converged =
            converged.campaigns.iter().all(|campaign| campaign.proposed.is_some()) && converged.summary().unknown == 0;
        let promises = Promises::look(
            &self.ecs,
            self.store.as_ref(),
            &self.target,
            &before,
            failed.as_ref(),
            undone.as_ref(),
            &self.screen,
        )
        .await?;
        self.screen.clear();
        self.screen.heading("What was promised, checked on the simulated world:");
        for promise in &promises.kept {
            let mark = if promise.held { self.screen.paint("32", "kept  ") } else { self.screen.paint("31", "BROKEN") };
            self.screen.line(&format!("  {mark}  {}", promise.what));
        }
        let all = converged && promises.kept.iter().all(|promise| promise.held);
        self.goodbye();
        Ok(all)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn apply(&mut self) -> Result<(), Error> {
        let mut files: Vec<(String, Vec<u8>)> = builtin::FILES
            .iter()
            .filter(|file| file.path.starts_with("security-hub/"))
            .map(|file| (file.path.to_owned(), file.text.as_bytes().to_vec()))
            .collect();
        files.push(("demo.yaml".to_owned(), include_bytes!("bindings.yaml").to_vec()));
        let objects = manifest::parse_files(&files)
            .map_err(|found| Error::input("the built-in policies cannot be read", found))?
            .into_iter()
            .map(|sourced| sourced.object)
            .collect();
        let application = Application { objects, ..Application::default() };
        let applied = Configurations::of(self.store.as_ref())
            .apply(&application, self.now(), false)
            .await
            .map_err(failed("applying policies"))?;
        let services = self.count();
        self.screen.line(&format!(
            "A simulated account: {services} services in 3 clusters, on Fargate and EC2. {} objects applied: Security Hub's",
            applied.len()
        ));
        self.screen.line("controls for ECS (five enforced, the rest audited), a rollout strategy, a waiver.");
        Ok(())
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

    fn show_findings(&self, plan: &Plan) {
        self.screen.heading("Findings");
        let mut by_policy: BTreeMap<(std::cmp::Reverse<crate::model::Severity>, String), (usize, usize)> =
            BTreeMap::new();
        for finding in plan.services.iter().chain(&plan.clusters).flat_map(|planned| &planned.findings) {
            let counts = by_policy.entry((std::cmp::Reverse(finding.severity), finding.policy.clone())).or_default();
            counts.0 += 1;
            counts.1 += usize::from(finding.finding.waiver.is_some());
        }
        for ((severity, policy), (all, waived)) in by_policy {
            let waived = if waived > 0 { format!(", {waived} waived") } else { String::new() };
            self.screen.line(&format!("  {:<8} {policy:<22} {all:>3} findings{waived}", severity.0.as_str()));
        }
    }

    fn show_plan(&self, plan: &Plan) {
        let summary = plan.summary();
        self.screen.heading(&format!(
            "The plan: of {} services {} would change, {} are blocked, {} deferred, {} waived, {} only audited, {} compliant",
            summary.services, summary.change, summary.blocked, summary.deferred, summary.waived, summary.audit, summary.compliant
        ));
        for planned in plan.services.iter().chain(&plan.clusters) {
            let name = planned
                .resource
                .rsplit_once(":service/")
                .or_else(|| planned.resource.rsplit_once(":cluster/"))
                .map_or("", |(_, name)| name);
            let why = planned.reason.as_ref().map_or_else(String::new, |reason| reason.to_string());
            match planned.outcome {
                PlanOutcome::Change => {
                    let wave = planned.wave.map_or_else(String::new, |wave| format!("wave {wave}"));
                    self.screen.line(&format!("  change    {name:<28} {wave}  {why}"));
                    for entry in masked(&planned.diff) {
                        let shown =
                            |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                        let line = format!(
                            "              {} : {} -> {}   ({})",
                            entry.path,
                            shown(&entry.from),
                            shown(&entry.to),
                            entry.policy
                        );
                        self.screen.line(&self.screen.paint("2", &line));
                    }
                }
                PlanOutcome::Blocked | PlanOutcome::Deferred | PlanOutcome::Unknown => {
                    self.screen.line(&format!("  {:<9} {name:<28} {why}", planned.outcome.as_str()));
                }
                PlanOutcome::Waived => {
                    self.screen.line(&format!("  waived    {name:<28} by a Waiver, still evaluated and shown"))
                }
                PlanOutcome::Compliant | PlanOutcome::Audit => {}
            }
        }
        self.screen.line(&format!(
            "  It costs {} RegisterTaskDefinition and {} UpdateService calls.",
            plan.cost.register_task_definition, plan.cost.update_service
        ));
    }

    /// Lets the controller work until there is nothing left that it may do.
    async fn run(&mut self) -> Result<(), Error> {
        let mode = Mode::UntilSettled { timeout: Duration::from_secs(60 * 60) };
        let mut counting = Counting { metrics: &self.metrics, target: self.target.clone(), next: &mut self.screen };
        match self.controller.run(mode, &self.stop, &mut counting).await.map_err(ended)? {
            RunEnd::Settled { .. } => Ok(()),
            RunEnd::Stopped => Err(Error::new("the demonstration was stopped")),
        }
    }

    /// Lets the controller work for so long, whatever there is to do.
    async fn run_for(&mut self, length: Duration) -> Result<(), Error> {
        let until = self.now() + length;
        while self.now() < until {
            if self.stop.is_cancelled() {
                return Err(Error::new("the demonstration was stopped"));
            }
            let began = self.clock.monotonic();
            let report = self.controller.pass(Depth::Full).await.map_err(ended)?;
            let took = self.clock.monotonic().saturating_sub(began);
            self.metrics.passed(&self.target, &PassEnd { outcome: Ok(&report), took, now: self.now() });
            self.screen.passed(&report, self.now());
            self.clock.sleep(Duration::from_secs(15)).await;
        }
        Ok(())
    }

    /// The rollout that stopped on a failure, and the service that failed.
    async fn paused(&self) -> Result<Option<(String, String)>, Error> {
        let campaigns =
            Campaigns::of(self.store.as_ref(), &self.target).campaigns().await.map_err(failed("reading rollouts"))?;
        let paused =
            campaigns.iter().find(|campaign| matches!(campaign.rollout.value.state, RolloutState::Paused { .. }));
        Ok(paused.and_then(|campaign| {
            let broken = campaign.changes.iter().map(|change| &change.value).find(|change| change.failed())?;
            Some((campaign.rollout.value.name.clone(), broken.spec.resource.short().to_owned()))
        }))
    }

    fn show_rest(&self, plan: &Plan) {
        let summary = plan.summary();
        let proposed = plan.campaigns.iter().filter(|campaign| campaign.proposed.is_some());
        let waiting = proposed.map(|campaign| campaign.changes.len()).sum::<usize>();
        self.screen.heading(&format!(
            "Converged. Of {} services {} wait for your approval and {} are blocked, each with its reason; {} waived, {} only audited",
            summary.services, waiting, summary.blocked, summary.waived, summary.audit
        ));
        for planned in plan.services.iter().chain(&plan.clusters) {
            if matches!(planned.outcome, PlanOutcome::Compliant | PlanOutcome::Audit | PlanOutcome::Waived) {
                continue;
            }
            let name = planned.resource.rsplit_once(":service/").map_or(planned.resource.as_str(), |(_, name)| name);
            let why = planned.reason.as_ref().map_or_else(String::new, ToString::to_string);
            self.screen.line(&format!("  {:<9} {name:<28} {why}", planned.outcome.as_str()));
        }
    }

    /// Takes one service's change back, lets its team deploy again with the same violation, and sees whether it stays.
    async fn undo(&mut self) -> Result<Option<(String, String)>, Error> {
        let campaigns =
            Campaigns::of(self.store.as_ref(), &self.target).campaigns().await.map_err(failed("reading rollouts"))?;
        let chosen = campaigns.iter().find_map(|campaign| {
            let change = campaign.changes.iter().map(|change| &change.value).find(|change| {
                matches!(change.state, State::Succeeded { .. })
                    && change.spec.kind == crate::model::ChangeKind::Revision
            })?;
            Some((
                campaign.rollout.value.name.clone(),
                change.spec.resource.service()?.clone(),
                change.spec.from.clone()?,
            ))
        });
        let Some((rollout, service, from)) = chosen else { return Ok(None) };
        self.screen.heading(&format!("You change your mind about {}: undo, and it stays undone.", service.short()));
        self.command(&format!("plimsoll rollout undo {rollout} --service {service}"));
        self.ask(&rollout, Request::Undo { service: Some(service.clone()) }).await?;
        self.run().await?;
        let now = self.now();
        let deployed = self.deploy_again(&service, from.as_str(), now)?;
        self.screen.line(&format!("Its team deploys again, with the same violation in it: {deployed}"));
        self.run_for(Duration::from_secs(5 * 60)).await?;
        Ok(Some((service.short().to_owned(), deployed)))
    }

    /// The team's next deployment: the old document once more, as a new revision.
    fn deploy_again(&self, service: &crate::model::ServiceArn, from: &str, now: Timestamp) -> Result<String, Error> {
        let mut world = self.ecs.world();
        let refused = |error: crate::sim::SimError| {
            Error::new("the simulated team could not deploy").caused_by(format!("{error:?}"))
        };
        let old = world
            .call(now, "DescribeTaskDefinition", &json!({ "taskDefinition": from, "include": ["TAGS"] }))
            .map_err(refused)?;
        let old = crate::model::wire::task_definition(&old).map_err(|error| Error::new(error.to_string()))?;
        let input = crate::model::document::register_input(&old).map_err(|error| Error::new(error.to_string()))?;
        let made = world.call(now, "RegisterTaskDefinition", &Value::Object(input)).map_err(refused)?;
        let arn =
            made.pointer("/taskDefinition/taskDefinitionArn").and_then(Value::as_str).unwrap_or_default().to_owned();
        let cluster = service.cluster_name().unwrap_or_default();
        world
            .call(
                now,
                "UpdateService",
                &json!({ "cluster": cluster, "service": service.name(), "taskDefinition": arn }),
            )
            .map_err(refused)?;
        Ok(arn.rsplit('/').next().unwrap_or_default().to_owned())
    }

    fn command(&self, text: &str) {
        self.screen.line(&format!("  $ {text}"));
    }

    async fn ask(&mut self, rollout: &str, request: Request) -> Result<(), Error> {
        self.asked += 1;
        let ask = Ask::Rollout { name: rollout.to_owned(), request };
        let command = Command { id: format!("{:04}", self.asked), ask, by: PERSON.to_owned(), at: self.now() };
        Commands::of(self.store.as_ref(), &self.target).ask(&command).await.map_err(failed("asking"))
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

fn failed(action: &'static str) -> impl FnOnce(crate::records::RecordError) -> Error {
    move |error| Error::new(format!("{action} failed")).caused_by(error.to_string())
}

fn ended(error: ControllerError) -> Error {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let told = Error::new(error.to_string());
    match cause {
        Some(cause) => told.caused_by(cause),
        None => told,
    }
}
