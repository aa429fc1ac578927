//! What a plan says: to the controller that carries it out, and to the edges that print it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::planned::Planned;
use super::prospect::Standing;
use super::standalone::StandaloneReport;
use super::tally::Tally;
use crate::model::change::WaveRecord;
use crate::model::document;
use crate::model::packed::{Packed, Packer, UnpackError};
use crate::model::spec::{Enforcement, StrategySpec};
use crate::model::{ChangeKind, PutBack, Registered, Resource};
use crate::model::{ClusterArn, DiffEntry, Finding, Reason, Severity, TargetId, TaskDefinitionArn, Timestamp, Verdict};
use crate::policy::WaiverHere;

/// All that would change in one target, and why the rest would not.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The hash of what it was made from.
    pub id: String,
    /// Where.
    pub target: TargetId,
    /// When.
    pub at: Timestamp,
    /// The hash of the policies it was made with.
    pub policy_set: String,
    /// Every service, by ARN.
    pub services: Vec<Arc<Planned>>,
    /// Every cluster, by ARN.
    pub clusters: Vec<Arc<Planned>>,
    /// Every task set to which a policy applies: audited only.
    pub task_sets: Vec<Arc<Planned>>,
    /// Every capacity provider to which a policy applies: audited only.
    pub capacity_providers: Vec<Arc<Planned>>,
    /// What would be rolled out together.
    pub campaigns: Vec<PlannedCampaign>,
    /// What resources would take, those included that an open rollout has already, but for services of which nothing is
    /// to be done: [`Plan::wish`].
    pub(super) wishes: BTreeMap<Resource, Wish>,
    /// What it costs.
    pub cost: Cost,
    /// How every policy, Binding and Waiver stands by it.
    pub tally: Tally,
    /// What could not be listed: then these are not all services.
    pub gaps: Vec<String>,
    /// What does not comply outside of services; none where nobody looked.
    pub standalone: Option<StandaloneReport>,
}

/// What a resource would take now: what an open rollout's pending changes are held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// What is to become of it.
    pub outcome: PlanOutcome,
    /// Why, where there is a reason.
    pub reason: Option<Reason>,
    /// Whether all of it is only proposed: nothing of it begins without a person's approval.
    pub proposed: bool,
    /// The strategy that it would go by.
    pub strategy: String,
    /// The fixes that it needs and that wait for a person: what a rollout that stopped has of them stays its own.
    pub stopped: Vec<String>,
    /// Each change it would take: its kind, and what it would bring.
    pub moves: Vec<(ChangeKind, Vec<String>)>,
    /// The same in full, where an open rollout has the resource already: what it may be rebased onto.
    pub changes: Vec<PlannedChange>,
}

/// One service or cluster in a plan, in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedResource {
    /// Its ARN.
    pub resource: String,
    /// The revision it has; none for a cluster.
    pub task_definition: Option<String>,
    /// What is to become of it.
    pub outcome: PlanOutcome,
    /// The strictest enforcement among the policies that fail.
    pub enforcement: Enforcement,
    /// Why, where the outcome does not say it all.
    pub reason: Option<Reason>,
    /// The policies that fail and are not waived; for `unknown`, those that could not be evaluated.
    pub policies: Vec<String>,
    /// What fails, waived or not.
    pub findings: Vec<PlannedFinding>,
    /// What would change, field by field.
    pub diff: Vec<DiffEntry>,
    /// Its wave, from 1.
    pub wave: Option<usize>,
    /// Waivers in force for it, and whether each is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<WaiverHere>,
    /// Each time, of late, that somebody put the violation back after its fix had landed; the last is what runs now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put_back: Vec<PutBack>,
    /// The Bindings that match, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<String>,
    /// Tags by which it takes itself out of a Binding or into a Waiver, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<String>,
    /// By policy, why it is `unknown` whether it holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, Reason>,
    /// How every policy that was asked stands here: what is counted. `None`: it could not be judged.
    #[serde(default, skip)]
    pub standings: Option<Arc<[Standing]>>,
}

impl PlannedResource {
    /// The verdict of every policy that was asked.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Arc<str>, Verdict)> {
        self.standings.iter().flat_map(|all| all.iter()).map(|one| (&one.policy, one.verdict))
    }
}

/// A finding, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFinding {
    /// The policy.
    pub policy: String,
    /// How bad it is.
    pub severity: Severity,
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What is to become of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlanOutcome {
    /// It would be changed, now or once approved.
    Change,
    /// Nothing is wrong.
    Compliant,
    /// It should be changed and cannot be.
    Blocked,
    /// It should be changed, and not now.
    Deferred,
    /// What is wrong is waived.
    Waived,
    /// Something is wrong, and the policies only audit.
    Audit,
    /// It could not be told.
    Unknown,
}

impl PlanOutcome {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Compliant => "compliant",
            Self::Blocked => "blocked",
            Self::Deferred => "deferred",
            Self::Waived => "waived",
            Self::Audit => "audit",
            Self::Unknown => "unknown",
        }
    }
}

/// How many services come to which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the outcomes, as in `PlanOutcome`")]
pub struct Summary {
    pub services: usize,
    pub change: usize,
    pub compliant: usize,
    pub blocked: usize,
    pub deferred: usize,
    pub waived: usize,
    pub audit: usize,
    pub unknown: usize,
}

/// Changes that are rolled out together: of one strategy, all enforced or all proposed for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCampaign {
    /// The strategy's name; `default` where the Bindings name none.
    pub strategy_name: String,
    /// The strategy.
    pub strategy: StrategySpec,
    /// Why it waits for approval; `None`: it does not.
    pub proposed: Option<Reason>,
    /// Its waves.
    pub waves: Vec<PlannedWave>,
    /// Its changes, in the order in which they would begin.
    pub changes: Vec<PlannedChange>,
}

/// A wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedWave {
    /// Its budgets.
    pub record: WaveRecord,
    /// Its resources, in the order in which they would begin.
    pub resources: Vec<String>,
    /// For the first wave: the fixes of the campaign that it does not try, because its `where` matches nothing that needs
    /// them.
    pub uncovered: Vec<Uncovered>,
}

/// A fix that the first wave does not try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uncovered {
    /// The fix, by its hash.
    pub fix: String,
    /// The policies that ask for whatever brings it.
    pub policies: Vec<String>,
    /// The name of the wave that brings it first.
    pub wave: String,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedChange {
    /// What it moves.
    pub resource: Resource,
    /// When that was created.
    pub created_at: Timestamp,
    /// Where it lives.
    pub cluster: ClusterArn,
    /// What it does.
    pub kind: ChangeKind,
    /// The revision it comes from.
    pub from: Option<TaskDefinitionArn>,
    /// What changes.
    pub diff: Vec<DiffEntry>,
    /// The hash of the edits, each by what it is done to: what an approval is of.
    pub edits: String,
    /// For a revision: the input to register, and the one that would make the old revision again.
    pub documents: Option<PlannedDocuments>,
    /// For a setting: the members to send, there and back.
    pub setting: Option<crate::model::change::Setting>,
    /// The fixes it brings.
    pub fixes: Vec<String>,
    /// The policies that ask for it.
    pub policies: Vec<String>,
    /// The worst severity among them.
    pub severity: Severity,
    /// For a revision: who registered the one it comes from.
    pub registered: Registered,
    /// Each time, of late, that the violation was put back.
    pub put_back: Vec<PutBack>,
    /// Its wave, from 0.
    pub wave: usize,
}

/// The documents of a revision change, packed: a plan may have ten thousand.
#[derive(Debug, Clone)]
pub struct PlannedDocuments {
    /// Together: most of the one is in the other.
    both: Arc<Packed>,
    /// The hash of what would make the old revision again.
    pub previous_hash: String,
    /// The hash of what to register.
    pub wanted_hash: String,
    /// The service revision whose image digests the new revision pins; none where it pins nothing.
    pub pinned_from: Option<String>,
}

/// What is packed of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WantedDocuments {
    /// What would make the old revision again.
    pub previous: Map<String, Value>,
    /// What to register.
    pub wanted: Map<String, Value>,
    /// The service revision whose image digests `wanted` pins; none where it pins nothing.
    pub pinned_from: Option<String>,
}

impl PlannedDocuments {
    /// Packs them.
    #[must_use]
    pub fn pack(documents: &WantedDocuments) -> Self {
        let WantedDocuments { previous, wanted, pinned_from } = documents;
        let hash = |document: &Map<String, Value>| document::hash(&Value::Object(document.clone()));
        // JSON is made of JSON without fail.
        let text = json!({ "previous": previous, "wanted": wanted, "pinned_from": pinned_from }).to_string();
        Self {
            both: Arc::new(Packer::with(b"").pack(text.as_bytes())),
            previous_hash: hash(previous),
            wanted_hash: hash(wanted),
            pinned_from: pinned_from.clone(),
        }
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`UnpackError`].
    pub fn read(&self) -> Result<WantedDocuments, UnpackError> {
        self.both.read()
    }
}

/// Equal where the documents are, by their hashes.
impl PartialEq for PlannedDocuments {
    fn eq(&self, other: &Self) -> bool {
        let of = |one: &Self| (one.previous_hash.clone(), one.wanted_hash.clone(), one.pinned_from.clone());
        of(self) == of(other)
    }
}

/// What a plan costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Calls of RegisterTaskDefinition.
    pub register_task_definition: usize,
    /// Calls of UpdateService.
    pub update_service: usize,
    /// At least so long: what ECS's buckets, bakes and `steadyFor` take.
    pub estimated_seconds: u64,
}

impl Plan {
    /// What a resource would take. `None`: it was not seen.
    #[must_use]
    pub fn wish(&self, resource: &Resource) -> Option<Cow<'_, Wish>> {
        if let Some(wish) = self.wishes.get(resource) {
            return Some(Cow::Borrowed(wish));
        }
        // Of a service of which nothing is to be done, its own line says all.
        let place = self.services.binary_search_by(|planned| planned.resource.as_ref().cmp(resource.as_str())).ok()?;
        let planned = self.services.get(place)?;
        Some(Cow::Owned(Wish {
            outcome: planned.outcome,
            reason: planned.reason.clone(),
            proposed: false,
            strategy: String::new(),
            stopped: Vec::new(),
            moves: Vec::new(),
            changes: Vec::new(),
        }))
    }

    /// Resources that would take something by a strategy, and are not in its campaign because rollouts have them in hand.
    pub fn in_hand<'a>(&'a self, strategy: &'a str) -> impl Iterator<Item = &'a Resource> {
        let of_it = move |(_, wish): &(&Resource, &Wish)| wish.strategy == strategy && !wish.changes.is_empty();
        self.wishes.iter().filter(of_it).map(|(resource, _)| resource)
    }

    /// How many services come to which outcome.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { services: self.services.len(), ..Summary::default() };
        for service in &self.services {
            let count = match service.outcome {
                PlanOutcome::Change => &mut summary.change,
                PlanOutcome::Compliant => &mut summary.compliant,
                PlanOutcome::Blocked => &mut summary.blocked,
                PlanOutcome::Deferred => &mut summary.deferred,
                PlanOutcome::Waived => &mut summary.waived,
                PlanOutcome::Audit => &mut summary.audit,
                PlanOutcome::Unknown => &mut summary.unknown,
            };
            *count += 1;
        }
        summary
    }

    /// Everything that was judged.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Planned>> {
        self.services.iter().chain(&self.clusters).chain(&self.task_sets).chain(&self.capacity_providers)
    }

    /// Whether there is nothing to do and nothing in doubt: nothing would change, nothing is unknown, blocked or
    /// deferred, and everything could be listed. Audit findings do not count.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let settled = |resource: &Arc<Planned>| {
            matches!(resource.outcome, PlanOutcome::Compliant | PlanOutcome::Waived | PlanOutcome::Audit)
        };
        self.gaps.is_empty() && self.resources().all(settled)
    }
}
