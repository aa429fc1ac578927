//! A plan for one target: every service and cluster judged, what may be changed grouped, ordered and priced.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::edits::edits_hash;
use super::judge::{self, Judged};
use super::judgements::{Grounds, Judgements};
use super::older::OlderTasks;
use super::ownership::Landings;
use super::planned::Planned;
use super::report::{Cost, Plan, PlanOutcome, PlannedCampaign, PlannedChange, PlannedDocuments, PlannedResource, Wish};
use super::saved::SavedPlan;
use super::tally::{self, tally};
use super::waves;
use super::{audited, cluster, service};
use crate::model::observed::{Cluster, Fleet, Service, TaskDefinition};
use crate::model::operation::Operation;
use crate::model::packed::{PackedDefinition, PackedService};
use crate::model::spec::{Enforcement, FreezeSpec, Scope, StrategySpec, WaveSpec};
use crate::model::{
    ChangeKind, Hold, Observed, Reason, ReasonCode, Resource, ServiceArn, TargetId, TaskDefinitionArn, Timestamp,
    Verdict,
};
use crate::policy::{Answers, Match, Memo, PolicySet, Revision, ScopeKeys, ScopeMatcher, TargetContext};

/// What a plan is made from, besides the fleet.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The policies, Bindings, Waivers and strategies in force.
    pub set: &'a PolicySet,
    /// What policies see as `target`.
    pub target: &'a TargetContext,
    /// Holds of the target.
    pub holds: &'a [Hold],
    /// Freezes, by name.
    pub freezes: &'a [(String, FreezeSpec)],
    /// Fixes that wait for a person, and the rollout that stopped.
    pub stopped_fixes: &'a BTreeMap<String, String>,
    /// Resources that an open rollout has already, and why it stands where it stands.
    pub taken: &'a BTreeMap<Resource, Reason>,
    /// Each time that a fix has landed on a resource.
    pub landed: &'a Landings,
    /// What was set that only new tasks pick up.
    pub older: &'a OlderTasks,
    /// Revisions that our registrations made, and the revision that each was made from.
    pub ours: &'a BTreeMap<TaskDefinitionArn, TaskDefinitionArn>,
    /// Revisions of ours that no service may move to, and that are deregistered.
    pub quarantined: &'a BTreeSet<TaskDefinitionArn>,
    /// Members that fixes may edit though they are guarded.
    pub allow_edit: &'a [String],
    /// Where no Binding names one.
    pub default_strategy: &'a StrategySpec,
    /// The clock.
    pub now: Timestamp,
}

impl Context<'_> {
    /// The Freeze that matches, as a reason. A Freeze whose scope cannot be told matches: when in doubt, nothing moves.
    #[must_use]
    pub fn frozen(&self, keys: &ScopeKeys) -> Option<Reason> {
        frozen(self.freezes, keys, self.now)
    }
}

/// Whether a scope has these keys in it; one that cannot be read leaves it open.
fn scope_matches(scope: &Scope, keys: &ScopeKeys) -> Match {
    ScopeMatcher::of(scope).map_or(Match::Unknown, |matcher| matcher.matches(keys))
}

/// The first Freeze in force that matches, as a reason.
#[must_use]
pub fn frozen(freezes: &[(String, FreezeSpec)], keys: &ScopeKeys, now: Timestamp) -> Option<Reason> {
    let (name, freeze) = freezes.iter().find(|(_, freeze)| {
        freeze.until.is_none_or(|until| now < until) && scope_matches(&freeze.scope, keys) != Match::No
    })?;
    let message = format!("Freeze `{name}`: {}", freeze.reason);
    Some(Reason { code: ReasonCode::Frozen, message, until: freeze.until })
}

/// Families whose latest revision a plan has to know, sorted.
pub type FamiliesToLookUp = Vec<String>;

/// Whether something that fails is more than audited.
fn asks_for_change(answers: &Answers) -> bool {
    answers.iter().any(|result| result.verdict == Verdict::Fail && result.enforcement > Enforcement::Audit)
}

/// Judges these services as soon as their revision has been described, and keeps what came of it where it may be kept:
/// so nothing of ten thousand revisions has to be unpacked again, and no answer is kept besides.
pub fn judge_ahead(
    fleet: &Fleet,
    services: &[&ServiceArn],
    (packed, definition): (&Arc<PackedDefinition>, &TaskDefinition),
    context: &Context<'_>,
    grounds: &Grounds<'_>,
    judgements: &mut Judgements,
) {
    let revision = Revision::of(packed, Cow::Borrowed(definition));
    for arn in services {
        let Some(seen) = fleet.services.get(*arn).and_then(Observed::known) else { continue };
        judge_by(fleet, seen, &revision, context, grounds, judgements);
    }
}

/// Judges a service by the revision that it runs, and keeps what came of it where it may be kept. Where it asks for a change,
/// says so: that is judged with the latest revision of its family, once that is known.
fn judge_by(
    fleet: &Fleet,
    seen: &PackedService,
    revision: &Revision<'_>,
    context: &Context<'_>,
    grounds: &Grounds<'_>,
    judgements: &mut Judgements,
) -> bool {
    // Whatever cannot be read is told of where the plan is made.
    let Ok(service) = seen.read() else { return false };
    if service.task_definition.as_ref() != Some(&revision.definition.arn) {
        return false;
    }
    let keys = service::scope_keys(fleet, &service);
    let around = service::around(fleet, &service, &keys, context);
    let memo = judgements.memo_mut();
    let answers = memo.evaluate_revision(context.set, service.arn.as_str(), revision, &around, context.now);
    if asks_for_change(&answers) {
        return true;
    }
    let judged = service::service(fleet, (&service, &keys), Some((revision, answers)), context, memo);
    if grounds.settle(&service.arn, seen, &judged) {
        judgements.keep(grounds, (&service, &keys), seen, judged.planned);
    }
    false
}

/// The families of services that fail a task definition policy that is more than audited: only for these does the
/// latest revision have to be read.
#[must_use]
pub fn families_to_look_up(fleet: &Fleet, context: &Context<'_>, judgements: &mut Judgements) -> FamiliesToLookUp {
    let mut families = BTreeSet::new();
    if !context.set.rolls_out() {
        return Vec::new();
    }
    let grounds = Grounds::of(fleet, context);
    for (arn, seen) in fleet.known() {
        let Some(named) = &seen.task_definition else { continue };
        if judgements.still(&grounds, arn, seen).is_some() {
            continue;
        }
        let Ok(revision) = service::revision_of(fleet, named) else { continue };
        if judge_by(fleet, seen, &revision, context, &grounds, judgements) {
            families.insert(named.family().to_owned());
        }
    }
    families.into_iter().collect()
}

/// Decides what would change in a target, and explains the rest. Equal inputs give an equal plan, whatever `judgements`
/// remembers.
#[must_use]
pub fn plan(fleet: &Fleet, context: &Context<'_>, judgements: &mut Judgements) -> Plan {
    let grounds = Grounds::of(fleet, context);
    let mut services = Vec::with_capacity(fleet.services.len());
    let mut clusters = Vec::new();
    let mut task_sets = Vec::new();
    let mut groups: BTreeMap<(String, Option<ReasonCode>), PlannedCampaign> = BTreeMap::new();
    let mut wishes = BTreeMap::new();
    // What cannot be touched just now would follow, so `maxAffected` counts it: services by strategy.
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for (arn, observed) in &fleet.services {
        let resource = Resource::Service(arn.clone());
        let seen = match observed {
            Observed::Known { value, .. } => value,
            Observed::Unknown { why, .. } => {
                let judged = judge::unknown(arn.as_str(), format!("the service could not be read: {why}"));
                wishes.insert(resource.clone(), wish(&judged, Vec::new()));
                services.push(Arc::new(judgements.small(taken(judged, &resource, context))));
                continue;
            }
            Observed::Absent { .. } => continue,
        };
        let still = judgements.still(&grounds, arn, seen);
        if let Some(planned) = still.as_ref().filter(|_| !seen.has_task_sets) {
            services.push(Arc::clone(planned));
            continue;
        }
        let (judged, changes, kept) = match seen.read() {
            Ok(service) => {
                let of_sets = service.task_sets.iter();
                let memo = judgements.memo_mut();
                task_sets.extend(of_sets.filter_map(|set| audited::task_set(fleet, &service, set, context, memo)));
                if let Some(planned) = still {
                    services.push(planned);
                    continue;
                }
                let keys = service::scope_keys(fleet, &service);
                let judged = service::service(fleet, (&service, &keys), None, context, judgements.memo_mut());
                let settled = grounds.settle(arn, seen, &judged);
                let kept = settled.then(|| judgements.keep(&grounds, (&service, &keys), seen, judged.planned.clone()));
                let changes = planned_changes(&judged, Changed::Service(&service));
                let changes = group(&mut groups, &judged, &resource, changes, context);
                (judged, changes, kept)
            }
            Err(error) => {
                let why = format!("the service could not be read: {error}");
                (judge::unknown(arn.as_str(), why), Vec::new(), None)
            }
        };
        if judged.wanted && judged.proposed.is_none() && !context.taken.contains_key(&resource) {
            *wanted.entry(strategy_name(&judged)).or_default() += 1;
        }
        services.push(match kept {
            // Nothing is to be done to it, so no rollout takes it, and its own line tells what it would take.
            Some(kept) => kept,
            None => {
                wishes.insert(resource.clone(), wish(&judged, changes));
                Arc::new(judgements.small(taken(judged, &resource, context)))
            }
        });
    }
    for (arn, observed) in &fleet.clusters {
        let resource = Resource::Cluster(arn.clone());
        let (judged, changes) = match observed {
            Observed::Known { value, .. } => {
                let judged = cluster::cluster(fleet, value, context, judgements.memo_mut());
                let changes = planned_changes(&judged, Changed::Cluster(value));
                let changes = group(&mut groups, &judged, &resource, changes, context);
                (judged, changes)
            }
            Observed::Unknown { why, .. } => {
                (judge::unknown(arn.as_str(), format!("the cluster could not be read: {why}")), Vec::new())
            }
            Observed::Absent { .. } => continue,
        };
        wishes.insert(resource.clone(), wish(&judged, changes));
        clusters.push(Arc::new(judgements.small(taken(judged, &resource, context))));
    }
    let capacity_providers = capacity_providers(fleet, context, judgements.memo_mut());
    let mut small = |all: Vec<PlannedResource>| -> Vec<Arc<Planned>> {
        all.into_iter().map(|one| Arc::new(judgements.small(one))).collect()
    };
    let (task_sets, capacity_providers) = (small(task_sets), small(capacity_providers));
    let mut campaigns: Vec<PlannedCampaign> = groups.into_values().collect();
    for campaign in &mut campaigns {
        order(fleet, campaign, services.len(), wanted.get(&campaign.strategy_name).copied().unwrap_or(0));
    }
    show_waves(&campaigns, &mut services, &mut clusters);
    let cost = cost(&campaigns);
    let complete = fleet.gaps.is_empty();
    let judged = [
        (services.as_slice(), tally::OF_SERVICES),
        (clusters.as_slice(), tally::OF_CLUSTERS),
        (task_sets.as_slice(), tally::OF_TASK_SETS),
        (capacity_providers.as_slice(), tally::OF_CAPACITY_PROVIDERS),
    ];
    let tally = tally(context.set, &fleet.target, &judged, complete, context.now);
    let id = SavedPlan::of(&fleet.target, context.set.hash(), &campaigns).id;
    Plan {
        id,
        target: fleet.target.clone(),
        at: fleet.at,
        policy_set: context.set.hash().to_owned(),
        services,
        clusters,
        task_sets,
        capacity_providers,
        campaigns,
        wishes,
        cost,
        tally,
        gaps: fleet.gaps.clone(),
        standalone: None,
    }
}

/// What is said of the capacity providers. Where they could not be read, one line stands for all of them.
fn capacity_providers(fleet: &Fleet, context: &Context<'_>, memo: &mut Memo) -> Vec<PlannedResource> {
    match &fleet.capacity_providers {
        None | Some(Observed::Absent { .. }) => Vec::new(),
        Some(Observed::Known { value, .. }) => {
            value.iter().filter_map(|provider| audited::capacity_provider(fleet, provider, context, memo)).collect()
        }
        Some(Observed::Unknown { why, .. }) => {
            let TargetId { account, region } = &fleet.target;
            let all = format!("arn:aws:ecs:{region}:{account}:capacity-provider/*");
            vec![judge::unknown(&all, format!("the capacity providers could not be read: {why}")).planned]
        }
    }
}

fn wish(judged: &Judged, changes: Vec<PlannedChange>) -> Wish {
    let moves = judged.moves.iter().map(|change| (change.kind, change.fixes.clone())).collect();
    let proposed = judged.proposed.as_ref().is_some_and(|reason| reason.code == ReasonCode::ApprovalRequired);
    let stopped = judged.stopped.clone();
    let (strategy, reason) = (strategy_name(judged), judged.planned.reason.clone());
    Wish { outcome: judged.planned.outcome, reason, proposed, strategy, stopped, moves, changes }
}

enum Changed<'a> {
    Service(&'a Service),
    Cluster(&'a Cluster),
}

/// What an open rollout has already is its business; the plan only says so.
fn taken(judged: Judged, resource: &Resource, context: &Context<'_>) -> PlannedResource {
    let mut planned = judged.planned;
    if let Some(reason) = context.taken.get(resource) {
        // A rollout that stopped on a failure has stopped its fixes; what is still its own waits with it.
        let stopped = planned.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::FixStopped);
        if stopped || matches!(planned.outcome, PlanOutcome::Change | PlanOutcome::Deferred) {
            planned.outcome = PlanOutcome::Change;
            planned.reason = Some(reason.clone());
        }
    } else if planned.outcome == PlanOutcome::Change && planned.reason.is_none() {
        planned.reason = judged.proposed;
    }
    planned
}

/// A resource's moves as changes that have no wave yet.
fn planned_changes(judged: &Judged, changed: Changed<'_>) -> Vec<PlannedChange> {
    let (resource, created_at, cluster, from) = match changed {
        Changed::Service(service) => {
            let from = service.task_definition.clone();
            (Resource::Service(service.arn.clone()), service.created_at, service.cluster.clone(), from)
        }
        Changed::Cluster(cluster) => {
            (Resource::Cluster(cluster.arn.clone()), Timestamp::EPOCH, cluster.arn.clone(), None)
        }
    };
    let change = |change: &judge::Move| PlannedChange {
        resource: resource.clone(),
        created_at,
        cluster: cluster.clone(),
        kind: change.kind,
        from: from.clone(),
        diff: change.diff.clone(),
        edits: {
            let documents = change.documents.as_ref();
            let pinned = documents.is_some_and(|documents| documents.pinned_from.is_some());
            edits_hash(&change.diff, documents.map(|documents| &documents.previous), pinned)
        },
        documents: change.documents.as_ref().map(PlannedDocuments::pack),
        setting: change.setting.clone(),
        fixes: change.fixes.clone(),
        policies: change.policies.clone(),
        severity: judged.severity,
        registered: change.registered.clone(),
        put_back: judged.planned.put_back.clone(),
        wave: 0,
    };
    judged.moves.iter().map(change).collect()
}

/// Puts a resource's changes into the campaign they go with. Gives them back where an open rollout has the resource.
fn group(
    groups: &mut BTreeMap<(String, Option<ReasonCode>), PlannedCampaign>,
    judged: &Judged,
    resource: &Resource,
    changes: Vec<PlannedChange>,
    context: &Context<'_>,
) -> Vec<PlannedChange> {
    if changes.is_empty() || context.taken.contains_key(resource) {
        return changes;
    }
    let strategy_name = strategy_name(judged);
    let strategy =
        judged.strategy.as_deref().and_then(|name| context.set.strategy(name)).unwrap_or(context.default_strategy);
    let key = (strategy_name.clone(), judged.proposed.as_ref().map(|reason| reason.code));
    let campaign = groups.entry(key).or_insert_with(|| PlannedCampaign {
        strategy_name,
        strategy: strategy.clone(),
        proposed: judged.proposed.clone(),
        waves: Vec::new(),
        changes: Vec::new(),
    });
    campaign.changes.extend(changes);
    Vec::new()
}

fn strategy_name(judged: &Judged) -> String {
    judged.strategy.clone().unwrap_or_else(|| "default".to_owned())
}

/// Gives a campaign its waves, and makes it wait for approval where more is `wanted` of its strategy than that allows,
/// whether it can be touched now or not.
fn order(fleet: &Fleet, campaign: &mut PlannedCampaign, services: usize, wanted: usize) {
    let strategy = campaign.strategy.clone();
    campaign.waves = waves::assign(&mut campaign.changes, &strategy, |wave, change| {
        let Some(scope) = strategy.waves.get(wave).and_then(WaveSpec::scope) else { return true };
        let service = change.resource.service().and_then(|arn| fleet.service(arn));
        service.is_some_and(|service| scope_matches(&scope, &service::scope_keys(fleet, &service)) == Match::Yes)
    });
    let affected =
        campaign.changes.iter().filter_map(|change| change.resource.service()).collect::<BTreeSet<_>>().len();
    let limit = strategy.affected_limit(services);
    let wanted = wanted.max(affected);
    if campaign.proposed.is_none() && wanted > limit {
        let later = match wanted - affected {
            0 => String::new(),
            later => format!(", {later} of them not yet"),
        };
        let message = format!(
            "it would touch {wanted} of {services} services{later}, and maxAffected is {limit}: approve it, or narrow the Binding"
        );
        campaign.proposed = Some(Reason::of(ReasonCode::TooManyServices, message));
    }
}

/// The part of a campaign that `wanted` chooses, with waves of its own.
#[must_use]
pub fn exactly(
    fleet: &Fleet,
    campaign: &PlannedCampaign,
    services: usize,
    wanted: impl Fn(&PlannedChange) -> bool,
) -> PlannedCampaign {
    let mut part = campaign.clone();
    part.changes.retain(|change| wanted(change));
    order(fleet, &mut part, services, 0);
    part
}

/// Writes each resource's wave, and what its campaign waits for, into what is said of it.
fn show_waves(campaigns: &[PlannedCampaign], services: &mut [Arc<Planned>], clusters: &mut [Arc<Planned>]) {
    let mut offset = 0;
    let places: BTreeMap<Arc<str>, usize> =
        services.iter().chain(clusters.iter()).map(|one| Arc::clone(&one.resource)).zip(0..).collect();
    let of_services = services.len();
    for campaign in campaigns {
        for change in &campaign.changes {
            let planned = match places.get(change.resource.as_str()) {
                Some(place) if *place < of_services => services.get_mut(*place),
                Some(place) => clusters.get_mut(*place - of_services),
                None => None,
            };
            if let Some(planned) = planned.map(Arc::make_mut) {
                planned.wave = planned.wave.or(Some(offset + change.wave + 1));
                if let Some(reason) = &campaign.proposed {
                    planned.enforcement = Enforcement::Propose;
                    planned.reason = planned.reason.take().or_else(|| Some(reason.clone()));
                }
            }
        }
        offset += campaign.waves.len();
    }
}

/// Registrations are shared by services on the same revision that want the same; ECS's own buckets bound the rest.
fn cost(campaigns: &[PlannedCampaign]) -> Cost {
    let changes = || campaigns.iter().flat_map(|campaign| &campaign.changes);
    let registrations: BTreeSet<String> = changes()
        .filter_map(|change| {
            let documents = change.documents.as_ref()?;
            Some(format!("{:?} {}", change.from, documents.wanted_hash))
        })
        .collect();
    let of_tags =
        |change: &&PlannedChange| change.setting.as_ref().is_some_and(|setting| setting.forward.contains_key("tags"));
    let updates = changes().filter(|change| change.kind != ChangeKind::ClusterSetting && !of_tags(change)).count();
    let bucket = |operation: Operation, calls: usize| {
        let (burst, rate) = operation.bucket().published();
        calls.saturating_sub(burst as usize).div_ceil(rate as usize)
    };
    let watching: u64 = campaigns
        .iter()
        .flat_map(|campaign| {
            campaign.waves.iter().map(|wave| wave.record.bake_seconds + campaign.strategy.health.steady_for.0.as_secs())
        })
        .sum();
    let calls =
        bucket(Operation::RegisterTaskDefinition, registrations.len()).max(bucket(Operation::UpdateService, updates));
    Cost {
        register_task_definition: registrations.len(),
        update_service: updates,
        estimated_seconds: calls as u64 + watching,
    }
}
