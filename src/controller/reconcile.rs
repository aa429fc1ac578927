//! One pass over one target, top to bottom.
//!
//! ```text
//! lease ─► configuration ─► records ─► Commands ─► open campaigns ─► observe ─► plan ─► new campaigns ─► reports
//! ```
//!
//! Level-triggered: a pass knows nothing of why it was asked for. It may be stopped anywhere; what it did is recorded,
//! and the next pass, of this controller or another, goes on from there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::begin;
use super::books::Books;
use super::clear::clear_away;
use super::configured::{compiled, freezes_of};
use super::error::ControllerError;
use super::execute::Executor;
use super::gate::Gate;
use super::lease::{Claims, Held, Keeper};
use super::meanwhile::Pace;
use super::observe::Cache;
use super::planning::Planning;
use super::report;
use super::reverify::reverify;
use super::run::Trigger;
use super::standalone::Looking;
use super::statuses;
use crate::model::spec::Object;
use crate::model::{Reason, ReasonCode, Resource, TargetId, Timestamp, chain};
use crate::plan::{Judgements, Plan, Planned};
use crate::policy::PolicySet;
use crate::ports::{Alarms, Clock, Ecs, Store};
use crate::records::campaign::Campaign;
use crate::records::configuration::{Configuration, Configurations, Generation};
use crate::records::targets::Targets;

/// What a controller works with.
#[derive(Clone)]
pub struct Parts {
    /// ECS.
    pub ecs: Arc<dyn Ecs>,
    /// The alarms of the same account and region.
    pub alarms: Arc<dyn Alarms>,
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
    /// Who it is to AWS, an ARN, as GetCallerIdentity tells it: `registeredBy` of what it registers.
    pub caller: String,
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
    pub ended: Vec<Arc<Campaign>>,
    /// Commands that were carried out.
    pub commands: usize,
    /// Rollouts that were begun.
    pub created: usize,
    /// Revisions of ours that are to be deregistered as soon as reads have caught up.
    pub clearing: usize,
    /// Fixes that are held off a resource.
    pub holds: usize,
    /// How many documents were evaluated: none where nothing has changed that policies read.
    pub evaluations: u64,
    /// When the fleet is to be looked at again though nobody asks: by then reads have caught up with what was just moved.
    pub again: Option<Timestamp>,
}

impl PassReport {
    /// Every rollout there is, the open ones first.
    pub fn all(&self) -> impl Iterator<Item = &Campaign> {
        self.campaigns.iter().chain(self.ended.iter().map(AsRef::as_ref))
    }
}

/// Holds one target to its policies.
pub struct Controller {
    parts: Parts,
    settings: Settings,
    gate: Gate,
    /// Of the fleet.
    seen: Cache,
    /// Of changes in flight.
    cache: Cache,
    judgements: Judgements,
    configuration: Option<(Generation, Arc<PolicySet>, Configuration)>,
    /// What was read last, whether it can be judged by or not.
    read: Option<Generation>,
    written: Option<report::Written>,
    statuses: Option<statuses::Kept>,
    books: Option<Books>,
    /// Commands known to be answered: not asked about again.
    answered: BTreeSet<String>,
    stamped: Option<u64>,
    /// Whether every record that was written is known to have its event.
    told: bool,
    announced: bool,
    /// What is stored has changed, and the fleet has not been judged by it yet.
    unjudged: bool,
    /// What could not be judged then, and has not been since.
    doubtful: BTreeSet<Resource>,
    trigger: Trigger,
    /// Whether the pass under way is to end.
    pub(super) stop: CancellationToken,
    standalone: Option<Looking>,
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
            seen: Cache::default(),
            cache: Cache::default(),
            judgements: Judgements::default(),
            configuration: None,
            read: None,
            written: None,
            statuses: None,
            books: None,
            answered: BTreeSet::new(),
            stamped: None,
            told: false,
            announced: false,
            unjudged: true,
            doubtful: BTreeSet::new(),
            trigger: Trigger::default(),
            stop: CancellationToken::new(),
            standalone: None,
        }
    }

    /// Looks outside of services too, in full passes so far apart, each time at no more than so many families.
    #[must_use]
    pub fn with_standalone(mut self, every: Duration, most: usize) -> Self {
        self.standalone = Some(Looking::new(every, most));
        self
    }

    /// Leaves the target to others while these are used up.
    #[must_use]
    pub fn with_claims(mut self, claims: Claims) -> Self {
        self.gate.keeper.limit(claims);
        self
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
    /// [`ControllerError::NotHolder`] where another controller has the target: nothing was done. [`ControllerError::Stopped`]
    /// where a run is stopped in the middle of it. The store's errors,
    /// and ECS's where not even the clusters could be listed.
    pub async fn pass(&mut self, depth: Depth) -> Result<PassReport, ControllerError> {
        // Until the end of it is known: whoever drops a pass leaves it in the middle of a write.
        let told = std::mem::take(&mut self.told);
        let passed = self.pass_once(depth, told).await;
        // Read again: what was being written may or may not be there.
        self.books = self.books.take().filter(|_| passed.is_ok());
        self.told = !matches!(passed, Err(ControllerError::Record(_) | ControllerError::NotHolder { .. }));
        if let Some(reason) = passed.as_ref().err().and_then(ControllerError::reason) {
            self.tell(reason).await;
        }
        passed
    }

    /// Keeps why a pass was not whole, for whoever asks. What cannot be kept is in the log.
    async fn tell(&self, reason: Reason) {
        let told = Targets::of(self.parts.store.as_ref()).tell(&self.settings.target, reason).await;
        if let Err(error) = told {
            tracing::debug!(error = %chain(&error), "why the pass was not whole could not be kept");
        }
    }

    /// `told`: whether what was written before has all its events.
    async fn pass_once(&mut self, depth: Depth, told: bool) -> Result<PassReport, ControllerError> {
        let Parts { ecs, alarms, store, clock } = self.parts.clone();
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
        // Without policies nothing new is planned; what is under way still moves, and Commands are still obeyed.
        let configured = match self.read_configuration().await {
            Err(error @ (ControllerError::NoPolicies | ControllerError::Policies { .. })) => Err(error),
            read => Ok(read?),
        };
        self.unjudged |= !matches!(configured, Ok(false));
        self.gate.refresh(store.as_ref()).await?;
        // Kept from the pass before, unless that failed or the lease was somebody else's in between.
        let mut books = match self.books.take().filter(|books| books.epoch == epoch) {
            Some(books) => books,
            None => {
                let mut books = Books::read(Arc::clone(&store), target.clone(), epoch).await?;
                // Suspended since for longer than the lease, we would have read what its next holder has written, and take
                // it away again by stamping it.
                if self.gate.keeper.remaining(clock.as_ref()).is_zero() {
                    let holder = "it ran out while the records were read".to_owned();
                    return Err(ControllerError::NotHolder { target: target.to_string(), holder });
                }
                books.intents_are_unheard_of(clock.now());
                books
            }
        };
        if self.stamped != Some(epoch) || books.bears_another_epoch() {
            // Another controller may have written reports since, and begun what nobody has judged by what is stored now.
            self.written = None;
            self.unjudged = true;
            books.stamp().await?;
            self.stamped = Some(epoch);
            books.tell_what_was_not(clock.now()).await?;
        } else if !told {
            books.tell_what_was_not(clock.now()).await?;
        }
        let depth = if self.unjudged { Depth::Full } else { depth };
        let mut executor = Executor {
            ecs: ecs.as_ref(),
            alarms: alarms.as_ref(),
            store: store.as_ref(),
            clock: clock.as_ref(),
            target: &target,
            caller: &self.settings.caller,
            gate: &mut self.gate,
            cache: &mut self.cache,
            unjudged: self.unjudged.then(|| begin::not_judged(configured.as_ref().err())),
            doubtful: self.doubtful.clone(),
            windows: Vec::new(),
            stop: self.stop.clone(),
        };
        let obeyed = executor.obey(&mut books, &mut self.answered).await?;
        let mut commands = obeyed.carried_out + obeyed.plans.len();
        // What a person asked for shows in the plan and the reports at once, not at the next resync.
        let depth = if commands > 0 { Depth::Full } else { depth };
        executor.look_for_late_calls(&mut books).await?;
        executor.advance(&mut books).await?;
        if let Err(error) = configured {
            executor.refuse_plans(&obeyed.plans, &error, &mut self.answered).await?;
            return Err(error);
        }
        let mut plan = None;
        let mut created = 0;
        let mut again = None;
        let mut clearing = 0;
        let evaluated_before = self.judgements.memo().evaluated();
        if depth == Depth::Full {
            let Some((_, set, configuration)) = self.configuration.clone() else {
                return Err(ControllerError::NoPolicies);
            };
            if self.written.is_none() {
                // What is known of services of which nothing has changed since need not be found out again.
                self.written = Some(report::read(store.as_ref(), &target, &mut self.judgements).await?);
            }
            let freezes = executor.gate.freezes().to_vec();
            let by = (&target, set.as_ref(), &configuration);
            let planning = Planning::of(ecs.as_ref(), by, &books, freezes, &self.settings.allow_edit, clock.now());
            let outside = self.standalone.as_mut().filter(|looking| looking.is_due(clock.now()));
            let planned = planning.plan(&target, &mut self.seen, &mut self.judgements, outside, clock.as_ref());
            let pace = Pace { lease: self.settings.lease, poll: self.settings.poll, read: self.read };
            let stopped_before = books.record.stopped_fixes.clone();
            let (planned, mut meantime) = executor.meanwhile(&mut books, &pace, &mut self.answered, planned).await?;
            let (fleet, mut made) = planned?;
            meantime.edited |= !made.campaigns.is_empty() && executor.is_edited(pace.read).await;
            if meantime.edited || meantime.commands > 0 {
                // What came meanwhile is in no plan yet.
                self.trigger.ask();
                commands += meantime.commands;
            }
            // Until this plan has taken back what it asks for no more: a pass that ends before that leaves proposals that a person may
            // approve.
            let waited = std::mem::replace(&mut self.unjudged, true);
            let unclear = begin::reconsider(&mut books, store.as_ref(), &target, &made, clock.now()).await?;
            let doubted = |resource: &Resource| waited || self.doubtful.contains(resource);
            self.doubtful = unclear.into_iter().filter(doubted).collect();
            executor.unjudged = meantime.edited.then(|| begin::not_judged(None));
            executor.doubtful.clone_from(&self.doubtful);
            reverify(&mut executor, &mut books, &fleet).await?;
            begin::supersede_proposals(&mut books, store.as_ref(), &target, &made, clock.now()).await?;
            self.unjudged = meantime.edited;
            // What a person has approved, aborted or taken back meanwhile, what is stored since, and what has stopped on its
            // failures, this plan does not know: the next one does.
            let stopped = books.record.stopped_fixes != stopped_before;
            if stopped {
                self.trigger.ask();
            }
            if meantime.commands == 0 && !meantime.edited && !stopped {
                created = executor.obey_plans(&mut books, &obeyed.plans, (&fleet, &made), &mut self.answered).await?;
                created += begin::begin_campaigns(&mut books, store.as_ref(), &target, &mut made, clock.now()).await?;
            }
            if created > 0 || waited {
                executor.advance(&mut books).await?;
            }
            clearing = clear_away(&mut executor, &mut books, &fleet).await?;
            if let Some(written) = self.written.as_mut() {
                report::write(store.as_ref(), &target, &made, written, &self.stop).await?;
            }
            let kept = self.statuses.take();
            let holder = (&target, epoch);
            self.statuses = Some(statuses::write(store.as_ref(), holder, &configuration.objects, &made, kept).await?);
            if let (Some(looking), Some(found)) = (&mut self.standalone, &made.standalone) {
                looking.write(store.as_ref(), &target, found).await?;
            }
            books.record.conditions =
                made.gaps.iter().map(|gap| Reason::of(ReasonCode::NotObserved, gap.clone())).collect();
            books.write_record().await?;
            // Best effort: what is past its time changes nothing by being there.
            if let Err(error) = store.purge(clock.now()).await {
                tracing::debug!(error = %chain(&error), "items past their time could not be removed");
            }
            let lags = |planned: &Arc<Planned>| {
                planned.reason.as_ref().filter(|reason| reason.code == ReasonCode::OtherRollout)?.until
            };
            again = made.services.iter().chain(&made.clusters).filter_map(lags).min();
            plan = Some(made);
        }
        books.sort_out();
        let evaluations = self.judgements.memo().evaluated() - evaluated_before;
        let report = PassReport {
            plan,
            campaigns: books.campaigns.clone(),
            ended: books.ended.clone(),
            commands,
            created,
            clearing,
            holds: books.holds.len(),
            again,
            evaluations,
        };
        self.books = Some(books);
        Ok(report)
    }

    /// What would change now, by what is stored, or as if `objects` were applied too. Writes nothing and needs no lease.
    ///
    /// # Errors
    /// As [`pass`](Self::pass).
    pub async fn plan(&mut self, objects: Option<Vec<Object>>) -> Result<(Plan, Arc<PolicySet>), ControllerError> {
        let Parts { ecs, store, clock, .. } = self.parts.clone();
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
        let by = (&target, set.as_ref(), &configuration);
        let planning = Planning::of(ecs.as_ref(), by, &books, freezes, &self.settings.allow_edit, clock.now());
        let outside = self.standalone.as_mut();
        let planned = planning.plan(&target, &mut self.seen, &mut self.judgements, outside, clock.as_ref());
        let (_, plan) = planned.await?;
        Ok((plan, set))
    }

    /// Gives the lease up: a clean stop hands over at once.
    pub async fn release(&mut self) {
        let Parts { store, clock, .. } = self.parts.clone();
        let target = self.settings.target.clone();
        self.gate.keeper.release(store.as_ref(), &target, clock.as_ref()).await;
    }

    /// What was read last of what is stored, whether it can be judged by or not.
    pub(super) const fn last_read(&self) -> Option<Generation> {
        self.read
    }

    /// Whether this controller holds the lease of its target.
    pub(super) fn holds_the_lease(&self) -> bool {
        !self.gate.keeper.remaining(self.parts.clock.as_ref()).is_zero()
    }

    /// Reads the configuration again if it has changed, and says whether it had.
    async fn read_configuration(&mut self) -> Result<bool, ControllerError> {
        let known = self.configuration.as_ref().map(|(generation, ..)| *generation);
        let Some(configuration) = Configurations::of(self.parts.store.as_ref()).read(known).await? else {
            return Ok(false);
        };
        self.read = Some(configuration.generation);
        self.configuration = Some(compiled(configuration)?);
        Ok(true)
    }
}
