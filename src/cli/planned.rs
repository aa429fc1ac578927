//! A plan for scripts: the report of DESIGN §7, which can be asked for again as it is.

use schemars::JsonSchema;
use serde::Serialize;

use super::printed::{PolicySetView, Printed};
use crate::model::spec::Enforcement;
use crate::model::{DiffEntry, PutBack, Reason, TargetId};
use crate::plan::saved::{self, SavedCampaign};
use crate::plan::waves::ORDER;
use crate::plan::{Cost, Plan, PlanOutcome, Planned, PlannedFinding, StandaloneReport, Summary, Uncovered};
use crate::policy::{WaiverHere, WaiverUse};

/// What `plan` says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanReport {
    /// The hash of what it would do, where, and of the policies it was made with.
    id: String,
    /// Where.
    target: TargetId,
    /// The policies it was made with.
    policy_set: PolicySetView,
    /// How many services come to which outcome.
    summary: Summary,
    /// Every service, by ARN.
    services: Vec<ServicePlan>,
    /// Every cluster, by ARN.
    clusters: Vec<ClusterPlan>,
    /// Every task set of EXTERNAL and CODE_DEPLOY services, by ARN; audited only.
    task_sets: Vec<TaskSetPlan>,
    /// Every capacity provider, by ARN, where a policy asks for them; audited only.
    capacity_providers: Vec<CapacityProviderPlan>,
    /// What would be rolled out together, in this order.
    waves: Vec<WavePlan>,
    /// The rule by which services are put into waves.
    order: &'static str,
    /// What it costs.
    cost: Cost,
    /// What every Waiver is good for.
    waivers: Vec<WaiverUse>,
    /// What could not be listed: then these are not all services.
    gaps: Vec<String>,
    /// What does not comply outside of services; null where nobody asked to look there.
    standalone: Option<StandaloneReport>,
    /// What it would do, as `apply-plan` asks for it: where values may be secret, by their hashes.
    campaigns: Vec<SavedCampaign>,
    /// The hash of all the rest: tells that it was edited.
    digest: String,
}

impl Printed for PlanReport {
    const KIND: &'static str = "Plan";
}

/// What is to become of a service.
#[derive(Debug, Serialize, JsonSchema)]
struct ServicePlan {
    /// Its ARN.
    service: String,
    #[serde(flatten)]
    rest: ResourcePlan,
}

/// What is to become of a cluster.
#[derive(Debug, Serialize, JsonSchema)]
struct ClusterPlan {
    /// Its ARN.
    cluster: String,
    #[serde(flatten)]
    rest: ResourcePlan,
}

/// What is found of a task set.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TaskSetPlan {
    /// Its ARN.
    task_set: String,
    #[serde(flatten)]
    rest: ResourcePlan,
}

/// What is found of a capacity provider.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct CapacityProviderPlan {
    /// Its ARN.
    capacity_provider: String,
    #[serde(flatten)]
    rest: ResourcePlan,
}

/// What is to become of a resource.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ResourcePlan {
    /// The revision it has; none for a cluster.
    task_definition: Option<String>,
    /// What is to become of it.
    outcome: PlanOutcome,
    /// The strictest enforcement among the policies that fail.
    enforcement: Enforcement,
    /// Why, where the outcome does not say it all.
    reason: Option<Reason>,
    /// The policies that fail and are not waived; for `unknown`, those that could not be evaluated.
    policies: Vec<String>,
    /// What fails, waived or not.
    findings: Vec<PlannedFinding>,
    /// What would change, field by field; values that may be secret masked.
    diff: Vec<DiffEntry>,
    /// Its wave, from 1.
    wave: Option<usize>,
    /// Waivers in force for it, and whether each is needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waivers: Vec<WaiverHere>,
    /// Each time, of late, that somebody put the violation back after its fix had landed; the last is what runs now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    put_back: Vec<PutBack>,
    /// The Bindings that match, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bindings: Vec<String>,
    /// Tags by which it takes itself out of a Binding or into a Waiver, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exempt: Vec<String>,
}

/// A wave.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WavePlan {
    /// Its name.
    name: String,
    /// The strategy it is of.
    strategy: String,
    /// Its services and clusters, by ARN.
    services: Vec<String>,
    /// How long it is watched.
    bake_seconds: u64,
    /// Why it waits for approval; null: it does not.
    proposed: Option<Reason>,
    /// The fixes that a first wave does not try, because its `where` matches nothing that needs them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uncovered: Vec<Uncovered>,
}

impl PlanReport {
    /// Of a plan in which values are masked already.
    pub(super) fn of(plan: &Plan, policies: usize, source: &str) -> Self {
        let waves = plan.campaigns.iter().flat_map(|campaign| campaign.waves.iter().map(move |wave| (campaign, wave)));
        let mut report = Self {
            id: plan.id.clone(),
            target: plan.target.clone(),
            policy_set: PolicySetView { source: source.to_owned(), hash: plan.policy_set.clone(), policies },
            summary: plan.summary(),
            services: plan
                .services
                .iter()
                .map(|one| ServicePlan { service: one.resource.to_string(), rest: ResourcePlan::of(one) })
                .collect(),
            clusters: plan
                .clusters
                .iter()
                .map(|one| ClusterPlan { cluster: one.resource.to_string(), rest: ResourcePlan::of(one) })
                .collect(),
            task_sets: plan
                .task_sets
                .iter()
                .map(|one| TaskSetPlan { task_set: one.resource.to_string(), rest: ResourcePlan::of(one) })
                .collect(),
            capacity_providers: plan
                .capacity_providers
                .iter()
                .map(|one| CapacityProviderPlan {
                    capacity_provider: one.resource.to_string(),
                    rest: ResourcePlan::of(one),
                })
                .collect(),
            waves: waves
                .map(|(campaign, wave)| WavePlan {
                    name: wave.record.name.clone(),
                    strategy: campaign.strategy_name.clone(),
                    services: wave.resources.clone(),
                    bake_seconds: wave.record.bake_seconds,
                    proposed: campaign.proposed.clone(),
                    uncovered: wave.uncovered.clone(),
                })
                .collect(),
            order: ORDER,
            cost: plan.cost,
            waivers: plan.tally.waivers.clone(),
            gaps: plan.gaps.clone(),
            standalone: plan.standalone.clone(),
            campaigns: plan.saved().campaigns,
            digest: String::new(),
        };
        report.digest = saved::digest(&report.to_json());
        report
    }
}

impl ResourcePlan {
    fn of(planned: &Planned) -> Self {
        let planned = planned.full();
        Self {
            task_definition: planned.task_definition,
            outcome: planned.outcome,
            enforcement: planned.enforcement,
            reason: planned.reason,
            policies: planned.policies,
            findings: planned.findings,
            diff: planned.diff,
            wave: planned.wave,
            waivers: planned.waivers,
            put_back: planned.put_back,
            bindings: planned.bindings,
            exempt: planned.exempt,
        }
    }
}
