//! A plan for scripts: the report of DESIGN §7.

use schemars::JsonSchema;
use serde::Serialize;

use super::printed::{PolicySetView, Printed};
use crate::model::spec::Enforcement;
use crate::model::{DiffEntry, Reason, TargetId};
use crate::plan::{Cost, Plan, PlanOutcome, PlannedFinding, PlannedResource, Summary};
use crate::policy::{WaiverHere, WaiverUse};

/// What `plan` says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanReport {
    /// The hash of what it was made from.
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
    /// What would be rolled out together, in this order.
    waves: Vec<WavePlan>,
    /// What it costs.
    cost: Cost,
    /// What every Waiver is good for.
    waivers: Vec<WaiverUse>,
    /// What could not be listed: then these are not all services.
    gaps: Vec<String>,
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
}

impl PlanReport {
    /// Of a plan in which values are masked already.
    pub(super) fn of(plan: &Plan, policies: usize, source: &str) -> Self {
        let waves = plan.campaigns.iter().flat_map(|campaign| campaign.waves.iter().map(move |wave| (campaign, wave)));
        Self {
            id: plan.id.clone(),
            target: plan.target.clone(),
            policy_set: PolicySetView { source: source.to_owned(), hash: plan.policy_set.clone(), policies },
            summary: plan.summary(),
            services: plan
                .services
                .iter()
                .map(|one| ServicePlan { service: one.resource.clone(), rest: ResourcePlan::of(one) })
                .collect(),
            clusters: plan
                .clusters
                .iter()
                .map(|one| ClusterPlan { cluster: one.resource.clone(), rest: ResourcePlan::of(one) })
                .collect(),
            waves: waves
                .map(|(campaign, wave)| WavePlan {
                    name: wave.record.name.clone(),
                    strategy: campaign.strategy_name.clone(),
                    services: wave.resources.clone(),
                    bake_seconds: wave.record.bake_seconds,
                    proposed: campaign.proposed.clone(),
                })
                .collect(),
            cost: plan.cost,
            waivers: plan.tally.waivers.clone(),
            gaps: plan.gaps.clone(),
        }
    }
}

impl ResourcePlan {
    fn of(planned: &PlannedResource) -> Self {
        Self {
            task_definition: planned.task_definition.clone(),
            outcome: planned.outcome,
            enforcement: planned.enforcement,
            reason: planned.reason.clone(),
            policies: planned.policies.clone(),
            findings: planned.findings.clone(),
            diff: planned.diff.clone(),
            wave: planned.wave,
            waivers: planned.waivers.clone(),
        }
    }
}
