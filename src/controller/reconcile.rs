//! One pass over one target, top to bottom.
//!
//! ```text
//! lease ─► configuration ─► records ─► Commands ─► open campaigns ─► observe ─► plan ─► new campaigns ─► reports
//! ```
//!
//! Level-triggered: a pass knows nothing of why it was asked for. It may be stopped anywhere; what it did is recorded,
//! and the next pass, of this controller or another, goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use super::gate::Gate;
use super::lease::{Held, Keeper};
use super::observe::{self, Cache};
use super::report;
use super::run::Trigger;
use crate::model::change::Documents as DocumentHashes;
use crate::model::observed::Fleet;
use crate::model::spec::{FreezeSpec, Object, Spec, StrategySpec};
use crate::model::{Observed, Reason, ReasonCode, TargetId, Timestamp};
use crate::plan::{self, Context, Plan, PlanOutcome, PlannedCampaign};
use crate::policy::{PolicySet, TargetContext};
use crate::ports::{Clock, Ecs, Store};
use crate::records::campaign::Campaign;
use crate::records::configuration::{Configuration, Configurations, Generation};
use crate::records::documents::Documents;
use crate::records::targets::Targets;
use crate::rollout::make::{self, Making};
use crate::rollout::{RegistrationState, RolloutState, State};

/// What a controller works with.
#[derive(Clone)]
pub struct Parts {
    /// ECS.
    pub ecs: Arc<dyn Ecs>,
    /// The record.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How a controller works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where: as GetCallerIdentity tells it.
    pub target: TargetId,
    /// This controller's unique name.
    pub holder: String,
    /// How long its leases are.
    pub lease: Duration,
    /// The longest that one write to ECS may take: no write is begun with less than this left of the lease.
    pub call_timeout: Duration,
    /// How often the whole fleet is looked at. `None`: only when asked for (a schedule).
    pub resync: Option<Duration>,
    /// How often changes in flight, Commands and the configuration are looked at.
    pub poll: Duration,
    /// Guarded members that fixes may edit.
    pub allow_edit: Vec<String>,
}

/// How much a pass looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The whole fleet.
    Full,
    /// Changes in flight, Commands and the configuration; the whole fleet only where the configuration has changed or a
    /// Command was carried out.
    InFlight,
}

/// What a pass came to.
#[derive(Debug, Clone)]
pub struct PassReport {
    /// The plan, where the fleet was looked at.
    pub plan: Option<Plan>,
    /// The open campaigns, as they stand after it.
    pub campaigns: Vec<Campaign>,
    /// Campaigns that have ended.
    pub ended: Vec<Campaign>,
    /// Commands that were carried out.
    pub commands: usize,
    /// Rollouts that were begun.
    pub created: usize,
}

/// Holds one target to its policies.
pub struct Controller {
    parts: Parts,
    settings: Settings,
    gate: Gate,
    cache: Cache,
    configuration: Option<(Generation, Arc<PolicySet>, Configuration)>,
    written: Option<report::Written>,
    books: Option<Books>,
    /// Commands known to be answered: not asked about again.
    answered: BTreeSet<String>,
    stamped: Option<u64>,
    announced: bool,
    trigger: Trigger,
}

impl Controller {
    /// Knows nothing yet, and has done nothing.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings) -> Self {
        let keeper = Keeper::new(settings.holder.clone(), settings.lease);
        let gate = Gate::new(keeper, settings.call_timeout);
        Self {
            parts,
            settings,
            gate,
            cache: Cache::default(),
            configuration: None,
            written: None,
            books: None,
            answered: BTreeSet::new(),
            stamped: None,
            announced: false,
            trigger: Trigger::default(),
        }
    }

    /// How it works.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it works with.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What asks it for a full pass.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.trigger.clone()
    }

    /// One pass.
    ///
    /// Cancellation: at any await; the next pass goes on from what is recorded.
    ///
    /// # Errors
    /// [`ControllerError::NotHolder`] where another controller has the target: nothing was done. The store's errors,
    /// and ECS's where not even the clusters could be listed.
    pub async fn pass(&mut self, depth: Depth) -> Result<PassReport, ControllerError> {
        let Parts { ecs, store, clock } = self.parts.clone();
        let target = self.settings.target.clone();
        let epoch = match self.gate.keeper.ensure(store.as_ref(), &target, clock.as_ref()).await? {
            Held::Still { epoch } | Held::Taken { epoch } => epoch,
            Held::Elsewhere { holder } => {
                return Err(ControllerError::NotHolder { target: target.to_string(), holder });
            }
        };
        if !self.announced {
            Targets::of(store.as_ref()).announce(&target).await?;
            self.announced = true;
        }
        let edited = self.read_configuration().await?;
        let depth = if edited { Depth::Full } else { depth };
        self.gate.refresh(store.as_ref()).await?;
        // Kept from the pass before, unless that failed or the lease was somebody else's in between.
        let mut books = match self.books.take().filter(|books| books.epoch == epoch) {
            Some(books) => books,
            None => Books::read(Arc::clone(&store), target.clone(), epoch).await?,
        };
        if self.stamped != Some(epoch) {
            books.stamp().await?;
            self.stamped = Some(epoch);
        }
        let mut executor = Executor {
            ecs: ecs.as_ref(),
            store: store.as_ref(),
            clock: clock.as_ref(),
            target: &target,
            gate: &mut self.gate,
            cache: &mut self.cache,
        };
        let commands = executor.obey(&mut books, &mut self.answered).await?;
        // What a person asked for shows in the plan and the reports at once, not at the next resync.
        let depth = if commands > 0 { Depth::Full } else { depth };
        executor.advance(&mut books).await?;
        let mut plan = None;
        let mut created = 0;
        if depth == Depth::Full {
            let Some((_, set, configuration)) = self.configuration.clone() else {
                return Err(ControllerError::NoPolicies);
            };
            let mut fleet = observe::fleet(ecs.as_ref(), &target, executor.cache, clock.now()).await?;
            let made = make_plan(
                &mut fleet,
                ecs.as_ref(),
                &set,
                &configuration,
                &books,
                executor.gate.freezes(),
                &self.settings,
                clock.now(),
            )
            .await;
            reconsider(&mut books, &made, clock.now()).await?;
            created = begin_campaigns(&mut books, store.as_ref(), &target, &made, clock.now()).await?;
            if created > 0 {
                executor.advance(&mut books).await?;
            }
            clear_away(&mut executor, &mut books, &fleet).await?;
            report::write(store.as_ref(), &target, &made, &mut self.written).await?;
            books.record.conditions =
                made.gaps.iter().map(|gap| Reason::of(ReasonCode::NotObserved, gap.clone())).collect();
            books.write_record().await?;
            plan = Some(made);
        }
        books.sort_out();
        let report =
            PassReport { plan, campaigns: books.campaigns.clone(), ended: books.ended.clone(), commands, created };
        self.books = Some(books);
        Ok(report)
    }

    /// What would change now, by what is stored, or as if `objects` were applied too. Writes nothing and needs no lease.
    ///
    /// # Errors
    /// As [`pass`](Self::pass).
    pub async fn plan(&mut self, objects: Option<Vec<Object>>) -> Result<(Plan, Arc<PolicySet>), ControllerError> {
        let Parts { ecs, store, clock } = self.parts.clone();
        let target = self.settings.target.clone();
        match objects {
            None => {
                self.read_configuration().await?;
            }
            Some(objects) => {
                self.configuration = Some(compiled(Configuration { objects, ..Configuration::default() })?)
            }
        }
        let Some((_, set, configuration)) = self.configuration.clone() else { return Err(ControllerError::NoPolicies) };
        let freezes = freezes_of(&configuration.objects);
        let books = Books::read(Arc::clone(&store), target.clone(), 0).await?;
        let mut fleet = observe::fleet(ecs.as_ref(), &target, &mut self.cache, clock.now()).await?;
        let plan =
            make_plan(&mut fleet, ecs.as_ref(), &set, &configuration, &books, &freezes, &self.settings, clock.now())
                .await;
        Ok((plan, set))
    }

    /// Renews the lease while a pass or a wait goes on.
    ///
    /// # Errors
    /// The store's.
    pub async fn renew(&mut self) -> Result<(), ControllerError> {
        let Parts { store, clock, .. } = self.parts.clone();
        let target = self.settings.target.clone();
        self.gate.keeper.ensure(store.as_ref(), &target, clock.as_ref()).await.map(|_| ())
    }

    /// Gives the lease up: a clean stop hands over at once.
    pub async fn release(&mut self) {
        let Parts { store, clock, .. } = self.parts.clone();
        let target = self.settings.target.clone();
        self.gate.keeper.release(store.as_ref(), &target, clock.as_ref()).await;
    }

    /// Reads the configuration again if it has changed, and says whether it had.
    async fn read_configuration(&mut self) -> Result<bool, ControllerError> {
        let known = self.configuration.as_ref().map(|(generation, ..)| *generation);
        let Some(configuration) = Configurations::of(self.parts.store.as_ref()).read(known).await? else {
            return Ok(false);
        };
        self.configuration = Some(compiled(configuration)?);
        Ok(true)
    }
}

fn compiled(configuration: Configuration) -> Result<(Generation, Arc<PolicySet>, Configuration), ControllerError> {
    let set = PolicySet::compile(&configuration.objects).map_err(|errors| {
        let message = errors.first().map(ToString::to_string).unwrap_or_default();
        ControllerError::Policies { message }
    })?;
    if set.is_empty() {
        return Err(ControllerError::NoPolicies);
    }
    Ok((configuration.generation, Arc::new(set), configuration))
}

fn freezes_of(objects: &[Object]) -> Vec<(String, FreezeSpec)> {
    let freeze = |object: &Object| match &object.spec {
        Spec::Freeze(freeze) => Some((object.metadata.name.clone(), freeze.clone())),
        _ => None,
    };
    objects.iter().filter_map(freeze).collect()
}

/// The labels of the Target object that names this target, if there is one.
fn target_context(target: &TargetId, configuration: &Configuration) -> TargetContext {
    let labels = configuration.objects.iter().find_map(|object| match &object.spec {
        Spec::Target(spec) if spec.account == target.account && spec.region == target.region => {
            Some(spec.labels.clone())
        }
        _ => None,
    });
    TargetContext { account: target.account.clone(), region: target.region.clone(), labels: labels.unwrap_or_default() }
}

#[expect(clippy::too_many_arguments, reason = "all that a plan is made from, each once")]
async fn make_plan(
    fleet: &mut Fleet,
    ecs: &dyn Ecs,
    set: &PolicySet,
    configuration: &Configuration,
    books: &Books,
    freezes: &[(String, FreezeSpec)],
    settings: &Settings,
    now: Timestamp,
) -> Plan {
    let target = target_context(&settings.target, configuration);
    let holds: Vec<_> = books.holds.iter().map(|hold| hold.value.clone()).collect();
    let taken = books.taken(now);
    let landed = books.landed();
    let ours = books.made();
    let default_strategy = StrategySpec::default();
    let context = Context {
        set,
        target: &target,
        holds: &holds,
        freezes,
        stopped_fixes: &books.record.stopped_fixes,
        taken: &taken,
        landed: &landed,
        ours: &ours,
        allow_edit: &settings.allow_edit,
        default_strategy: &default_strategy,
        now,
    };
    let families = plan::families_to_look_up(fleet, &context);
    observe::latest(ecs, families, fleet, now).await;
    plan::plan(fleet, &context)
}

/// Drops what open rollouts have not begun and the policies no longer ask for; what is under way finishes.
async fn reconsider(books: &mut Books, plan: &Plan, now: Timestamp) -> Result<(), ControllerError> {
    for index in 0..books.campaigns.len() {
        let Some(mut campaign) = books.campaigns.get(index).cloned() else { continue };
        if matches!(campaign.rollout.value.state, RolloutState::Proposed { .. }) {
            continue;
        }
        for change in &mut campaign.changes {
            if change.value.state != State::Pending {
                continue;
            }
            let wish = plan.wishes.get(&change.value.spec.resource);
            let still = wish.is_some_and(|wish| {
                matches!(wish.outcome, PlanOutcome::Deferred | PlanOutcome::Unknown)
                    || wish
                        .moves
                        .iter()
                        .any(|(kind, fixes)| *kind == change.value.spec.kind && *fixes == change.value.spec.fixes)
            });
            if still {
                continue;
            }
            let outcome = wish.map_or("gone", |wish| wish.outcome.as_str());
            let message =
                format!("the policies no longer ask for it: `{}` is {outcome}", change.value.spec.resource.short());
            let reason = Reason::of(ReasonCode::Superseded, message);
            let was = change.value.state.clone();
            change.value.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason), now);
            books.write_change(change, &was, now, "plimsoll").await?;
        }
        if let Some(slot) = books.campaigns.get_mut(index) {
            *slot = campaign;
        }
    }
    Ok(())
}

/// Makes rollouts of the plan's campaigns that have none yet, and says how many.
async fn begin_campaigns(
    books: &mut Books,
    store: &dyn Store,
    target: &TargetId,
    plan: &Plan,
    now: Timestamp,
) -> Result<usize, ControllerError> {
    supersede_proposals(books, plan, now).await?;
    let mut created = 0;
    for campaign in &plan.campaigns {
        let of_strategy = |open: &&Campaign| {
            let rollout = &open.rollout.value;
            let proposed = matches!(rollout.state, RolloutState::Proposed { .. });
            rollout.spec.strategy_name == campaign.strategy_name
                && !rollout.state.is_final()
                && proposed == campaign.proposed.is_some()
        };
        if books.campaigns.iter().any(|open| of_strategy(&open)) {
            continue;
        }
        books.record.rollouts += 1;
        let name = format!("{}-{}", campaign.strategy_name, books.record.rollouts);
        // The number is taken before the name is used: a crash in between loses a number, never a rollout.
        books.write_record().await?;
        let hashes = keep_documents(store, target, campaign).await?;
        let making =
            Making { name: &name, target, plan: &plan.id, services: plan.services.len(), epoch: books.epoch, now };
        let (rollout, changes) = make::records(campaign, &hashes, &making);
        books.create(rollout, changes, now).await?;
        created += 1;
    }
    Ok(created)
}

/// Both documents of every revision change are kept before anything is replaced.
async fn keep_documents(
    store: &dyn Store,
    target: &TargetId,
    campaign: &PlannedCampaign,
) -> Result<Vec<Option<DocumentHashes>>, ControllerError> {
    let documents = Documents::of(store, target);
    let mut hashes = Vec::with_capacity(campaign.changes.len());
    for change in &campaign.changes {
        hashes.push(match &change.documents {
            Some(planned) => Some(DocumentHashes {
                previous: documents.keep(&planned.previous).await?,
                wanted: documents.keep(&planned.wanted).await?,
            }),
            None => None,
        });
    }
    Ok(hashes)
}

/// A proposal that says something else than the plan now does is replaced; approval is bound to what was proposed.
async fn supersede_proposals(books: &mut Books, plan: &Plan, now: Timestamp) -> Result<(), ControllerError> {
    for index in 0..books.campaigns.len() {
        let Some(mut campaign) = books.campaigns.get(index).cloned() else { continue };
        if !matches!(campaign.rollout.value.state, RolloutState::Proposed { .. }) {
            continue;
        }
        let still = plan.campaigns.iter().any(|planned| {
            planned.proposed.is_some()
                && planned.strategy_name == campaign.rollout.value.spec.strategy_name
                && planned.strategy == campaign.rollout.value.spec.strategy
                && same_changes(planned, &campaign)
        });
        if still {
            continue;
        }
        let before = campaign.rollout.value.state.clone();
        // The rollout last: where a crash comes in between, it is a proposal still, and superseded again.
        for change in &mut campaign.changes {
            let was = change.value.state.clone();
            let reason = Reason::of(ReasonCode::Superseded, "the plan has changed since it was proposed");
            change.value.enter(State::Deferred { reason: reason.clone(), at: now }, Some(reason), now);
            books.write_change(change, &was, now, "plimsoll").await?;
        }
        campaign.rollout.value.state = RolloutState::Superseded { at: now };
        campaign.rollout.value.waiting = None;
        books.write_rollout(&mut campaign.rollout, &before, now, "plimsoll").await?;
        if let Some(slot) = books.campaigns.get_mut(index) {
            *slot = campaign;
        }
    }
    Ok(())
}

fn same_changes(planned: &PlannedCampaign, open: &Campaign) -> bool {
    let one: BTreeMap<_, _> =
        planned.changes.iter().map(|change| ((&change.resource, change.kind), (&change.fixes, &change.from))).collect();
    let other: BTreeMap<_, _> = open
        .changes
        .iter()
        .map(|change| &change.value.spec)
        .map(|spec| ((&spec.resource, spec.kind), (&spec.fixes, &spec.from)))
        .collect();
    one == other
}

/// Deregisters revisions of ours that did not stand, once nothing runs on them and nothing names them: they must not
/// stay *latest*.
async fn clear_away(executor: &mut Executor<'_>, books: &mut Books, fleet: &Fleet) -> Result<(), ControllerError> {
    if !fleet.gaps.is_empty() || fleet.services.values().any(|service| matches!(service, Observed::Unknown { .. })) {
        return Ok(());
    }
    for registration in books.registrations.clone() {
        let registration = registration.value;
        let (RegistrationState::Registered { arn } | RegistrationState::Quarantined { arn, .. }) = &registration.state
        else {
            continue;
        };
        if registration.adopted {
            continue;
        }
        let made_for = |change: &&crate::records::Versioned<crate::rollout::Change>| {
            let documents = change.value.spec.documents.as_ref();
            documents.is_some_and(|documents| documents.wanted == registration.wanted)
                && change.value.spec.from.as_ref() == Some(&registration.from)
        };
        let all = || books.campaigns.iter().chain(&books.ended).flat_map(|campaign| &campaign.changes).filter(made_for);
        let needed = all().any(|change| change.value.stands() || !change.value.state.phase().is_final());
        let named = fleet.services.values().filter_map(Observed::known).any(|service| {
            service.task_definition.as_ref() == Some(arn)
                || service.deployments.iter().any(|deployment| &deployment.task_definition == arn)
        });
        // What a change goes back to was registered for no change to move to.
        let moved_to = all().next().is_some();
        if needed || named || !moved_to {
            continue;
        }
        let mut runs = false;
        for cluster in fleet.clusters.keys() {
            runs = runs || observe::runs(executor.ecs, cluster, arn).await.unwrap_or(true);
        }
        if !runs {
            executor.deregister(books, &registration, arn).await?;
        }
    }
    Ok(())
}
