//! From what was observed to a plan: which revisions have to be described for it, and what it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ahead;
use super::asked::Asked;
use super::books::Books;
use super::configured::target_context;
use super::observe::{self, Cache};
use super::standalone::Looking;
use crate::model::observed::{Fleet, TaskDefinition};
use crate::model::packed::{PackedDefinition, PackedService};
use crate::model::spec::{FreezeSpec, StrategySpec};
use crate::model::{Hold, Reason, Resource, ServiceArn, TargetId, TaskDefinitionArn, Timestamp};
use crate::plan::older::OlderTasks;
use crate::plan::ownership::Landings;
use crate::plan::{self, Context, Grounds, Judgements, Plan};
use crate::policy::{PolicySet, TargetContext};
use crate::ports::Ecs;
use crate::records::configuration::Configuration;

/// All that a plan is made from, besides the fleet.
pub(super) struct Planning<'a> {
    pub(super) ecs: &'a dyn Ecs,
    pub(super) set: &'a PolicySet,
    target: TargetContext,
    freezes: Vec<(String, FreezeSpec)>,
    allow_edit: &'a [String],
    default_strategy: StrategySpec,
    holds: Vec<Hold>,
    taken: BTreeMap<Resource, Reason>,
    landed: Landings,
    older: OlderTasks,
    ours: BTreeMap<TaskDefinitionArn, TaskDefinitionArn>,
    quarantined: BTreeSet<TaskDefinitionArn>,
    stopped_fixes: BTreeMap<String, String>,
}

impl<'a> Planning<'a> {
    /// By what is stored, and by what open rollouts have in hand.
    pub(super) fn of(
        ecs: &'a dyn Ecs,
        (target, set, configuration): (&TargetId, &'a PolicySet, &Configuration),
        books: &Books,
        freezes: Vec<(String, FreezeSpec)>,
        allow_edit: &'a [String],
        now: Timestamp,
    ) -> Self {
        Self {
            ecs,
            set,
            target: target_context(target, configuration),
            freezes,
            allow_edit,
            default_strategy: StrategySpec::default(),
            holds: books.holds.iter().map(|hold| hold.value.clone()).collect(),
            taken: books.taken(now),
            landed: books.landed(),
            older: books.older_tasks(),
            ours: books.made(),
            quarantined: books.quarantined(),
            stopped_fixes: books.record.stopped_fixes.clone(),
        }
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            set: self.set,
            target: &self.target,
            holds: &self.holds,
            freezes: &self.freezes,
            stopped_fixes: &self.stopped_fixes,
            taken: &self.taken,
            landed: &self.landed,
            older: &self.older,
            ours: &self.ours,
            quarantined: &self.quarantined,
            allow_edit: self.allow_edit,
            default_strategy: &self.default_strategy,
            now,
        }
    }

    /// Observes the target, looks outside of services where `outside` is given, and makes the plan.
    ///
    /// # Errors
    /// Only where the clusters cannot be listed at all.
    pub(super) async fn plan(
        &self,
        target: &TargetId,
        cache: &mut Cache,
        judgements: &mut Judgements,
        outside: Option<&mut Looking>,
        clock: &dyn crate::ports::Clock,
    ) -> Result<(Fleet, Plan), super::error::ControllerError> {
        judgements.begin(self.set);
        let mut fleet = {
            let needs = |arn: &ServiceArn, seen: &PackedService| !judgements.may_spare(arn, seen);
            observe::fleet(self.ecs, target, Asked::by(self.set), cache, &needs, clock.now()).await?
        };
        self.describe(&mut fleet, cache, judgements, clock.now()).await;
        let found = match outside {
            Some(looking) => Some(looking.look(self.ecs, &fleet, cache, clock.now()).await),
            None => None,
        };
        let now = clock.now();
        let families = plan::families_to_look_up(&fleet, &self.context(now), judgements);
        if !families.is_empty() {
            observe::latest(self.ecs, families, &mut fleet, now).await;
            // What is said of a service depends on the latest revision of its family, once that is looked at.
            self.describe(&mut fleet, cache, judgements, now).await;
        }
        let now = clock.now();
        let context = self.context(now);
        let mut made = plan::plan(&fleet, &context, judgements);
        made.standalone = found.map(|found| plan::standalone(&fleet, &found, &context));
        if made.gaps.is_empty() {
            cache.keep_only(&plan::revisions_named(&fleet));
        }
        Ok((fleet, made))
    }

    /// Describes the revisions of services of which it is not known without what is to be said, and judges each service as
    /// soon as its revision is there.
    async fn describe(&self, fleet: &mut Fleet, cache: &mut Cache, judgements: &mut Judgements, now: Timestamp) {
        let seen: &Fleet = fleet;
        let context = self.context(now);
        let grounds = Grounds::of(seen, &context);
        let mut wanted = plan::revisions_to_describe(seen, &grounds, judgements);
        wanted.retain(|arn, _| !seen.task_definitions.contains_key(*arn));
        let revisions = wanted.keys().map(|arn| (*arn).clone()).collect();
        let mut judge = |packed: &Arc<PackedDefinition>, definition: &TaskDefinition| {
            let services = wanted.get(&definition.arn).map_or(&[][..], Vec::as_slice);
            plan::judge_ahead(seen, services, (packed, definition), &context, &grounds, judgements);
        };
        let mut described = ahead::definitions(self.ecs, revisions, cache, now, &mut judge).await;
        fleet.task_definitions.append(&mut described);
    }
}
