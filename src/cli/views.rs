//! What the controller keeps, in the shapes of DESIGN §7: `metadata`, `spec`, `status`. Values of documents masked.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::printed::{Nested, Printed};
use crate::model::mask::mask_value;
use crate::model::spec::Enforcement;
use crate::model::{ClusterArn, DiffEntry, Hold, PutBack, Reason, ReasonCode, Resource, TargetId, Timestamp, Verdict};
use crate::plan::{PlanOutcome, PlannedFinding, PlannedStandalone};
use crate::policy::WaiverHere;
use crate::records::campaign::Campaign;
use crate::records::events::Event;
use crate::records::history::DayFigure;
use crate::records::lease::Lease;
use crate::records::reports::ServiceReport;
use crate::records::statuses::ClusterStatus;
use crate::rollout::alarm::{self, Alarms};
use crate::rollout::told::{self, Counts};
use crate::rollout::{Change, ChangeSpec, HistoryEntry, Phase, Rollout, RolloutSpec, RolloutState, State, waits};

/// Differences with every value masked.
pub(super) fn masked(diff: &[DiffEntry]) -> Vec<DiffEntry> {
    let mask = |path: &str, value: &Option<Value>| value.as_ref().map(|value| mask_value(path, value));
    diff.iter()
        .map(|entry| DiffEntry {
            from: mask(&entry.path, &entry.from),
            to: mask(&entry.path, &entry.to),
            ..entry.clone()
        })
        .collect()
}

/// What something waits for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Waiting {
    /// The code of the reason.
    on: ReasonCode,
    /// When that ends by itself, where it can be told.
    until: Option<Timestamp>,
    /// In a sentence.
    message: String,
}

impl Waiting {
    fn of(reason: &Reason) -> Self {
        Self { on: reason.code, until: reason.until, message: reason.message.clone() }
    }
}

/// Who an object of the controller is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordMetadata {
    /// Unique among its kind in its target.
    name: String,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    /// Changes with every write.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
}

impl RecordMetadata {
    fn of(name: impl Into<String>) -> Self {
        Self { name: name.into(), created_at: None, resource_version: None }
    }
}

/// A campaign in one target.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RolloutView {
    metadata: RecordMetadata,
    /// What was decided when it was made.
    spec: RolloutSpec,
    /// How far it has come.
    status: RolloutStatus,
    /// Its Changes, where they are asked for with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<Nested<ChangeView>>>,
}

/// How far a rollout has come. `phase` carries what it needs; the members below are there in every phase.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RolloutStatus {
    #[serde(flatten)]
    state: RolloutState,
    /// The wave it is in, from 1.
    wave: Option<usize>,
    /// Why it stands where it stands.
    waiting: Option<Waiting>,
    /// How many of its changes stand where.
    counts: Counts,
    /// `Complete`: True once it has ended as it should.
    conditions: Vec<RecordCondition>,
    /// Waves approved so far.
    approved_waves: usize,
}

/// A condition, as Kubernetes has them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RecordCondition {
    /// Its name.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `True`, `False` or `Unknown`.
    status: &'static str,
    /// The code of the reason; where nothing is to be said, the phase.
    reason: &'static str,
    /// In a sentence.
    message: Option<String>,
    /// Since when.
    last_transition_time: Option<Timestamp>,
}

impl Printed for RolloutView {
    const KIND: &'static str = "Rollout";
}

fn rollout_view(campaign: &Campaign, changes: Option<Vec<Nested<ChangeView>>>) -> RolloutView {
    let rollout = &campaign.rollout.value;
    RolloutView {
        metadata: RecordMetadata {
            created_at: Some(rollout.created_at),
            resource_version: Some(campaign.rollout.version.to_string()),
            ..RecordMetadata::of(&rollout.name)
        },
        spec: rollout.spec.clone(),
        status: RolloutStatus {
            state: rollout.state.clone(),
            wave: rollout.state.wave().map(|wave| wave + 1),
            waiting: rollout.waiting.as_ref().map(Waiting::of),
            counts: Counts::of(campaign.changes.iter().map(|change| &change.value)),
            conditions: std::iter::once(complete(rollout)).chain(alarms_quiet(campaign)).collect(),
            approved_waves: rollout.approved_waves,
        },
        changes,
    }
}

/// A Rollout.
pub(super) fn rollout(campaign: &Campaign) -> Value {
    rollout_view(campaign, None).to_json()
}

/// A Rollout with its Changes beside its status.
pub(super) fn rollout_with_changes(campaign: &Campaign) -> Value {
    let changes = change_views(campaign).into_iter().map(Nested).collect();
    rollout_view(campaign, Some(changes)).to_json()
}

/// The condition `Complete`: True once it has ended as it should, False with the reason where it has not.
fn complete(rollout: &Rollout) -> RecordCondition {
    let status = match &rollout.state {
        RolloutState::Succeeded { .. } => "True",
        RolloutState::Unverified { .. }
        | RolloutState::Baking { .. }
        | RolloutState::Progressing { .. }
        | RolloutState::Scheduled => "Unknown",
        RolloutState::RolledBack { .. }
        | RolloutState::Failed { .. }
        | RolloutState::Aborted { .. }
        | RolloutState::Superseded { .. }
        | RolloutState::Proposed { .. }
        | RolloutState::Paused { .. }
        | RolloutState::RollingBack { .. } => "False",
    };
    let why = told::reason_of(&rollout.state).or(rollout.waiting.as_ref());
    RecordCondition {
        kind: "Complete",
        status,
        reason: why.map_or_else(|| rollout.state.phase(), |reason| reason.code.as_str()),
        message: why.map(|reason| reason.message.clone()),
        last_transition_time: Some(rollout.entered_at.unwrap_or(rollout.created_at)),
    }
}

/// One resource moving from one state to another.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChangeView {
    metadata: RecordMetadata,
    /// What was decided. Values that may be secret are masked, and `wave` counts from 1.
    spec: ChangeSpec,
    /// How far it has come.
    status: ChangeStatus,
}

/// How far a change has come. `phase` carries what it needs; the members below are there in every phase.
#[derive(Debug, Serialize, JsonSchema)]
struct ChangeStatus {
    #[serde(flatten)]
    state: State,
    /// Why it stands where it stands.
    reason: Option<Reason>,
    /// What it waits for.
    waiting: Option<Waiting>,
    /// Every state it was in.
    history: Vec<HistoryEntry>,
    /// `Landed`: True once it is proved, False where it ended otherwise.
    conditions: Vec<RecordCondition>,
}

impl Printed for ChangeView {
    const KIND: &'static str = "Change";
}

/// The condition `Landed`: True once it is proved, False with the reason where it ended otherwise.
fn landed(change: &Change, reason: Option<&Reason>) -> RecordCondition {
    let phase = change.state.phase();
    let status = match phase {
        Phase::Succeeded => "True",
        Phase::Unverified => "Unknown",
        phase if phase.is_final() => "False",
        _ => "Unknown",
    };
    let code = reason.map_or_else(|| phase.as_str(), |reason| reason.code.as_str());
    let message = reason.map(|reason| reason.message.clone());
    RecordCondition { kind: "Landed", status, reason: code, message, last_transition_time: change.entered() }
}

/// The condition `AlarmsQuiet`, where its strategy listens to alarms: False with the alarm that is on, Unknown with what
/// keeps them from being known. They are not read while nothing depends on them.
fn alarms_quiet(campaign: &Campaign) -> Option<RecordCondition> {
    let rollout = &campaign.rollout.value;
    if rollout.spec.strategy.health.alarms.is_empty() {
        return None;
    }
    let changes: Vec<Change> = campaign.changes.iter().map(|change| change.value.clone()).collect();
    let standing = &rollout.alarms.standing;
    let (status, at) = match standing {
        Alarms::Quiet if alarm::matters(rollout, &changes) => ("True", rollout.created_at),
        Alarms::Quiet => ("Unknown", rollout.created_at),
        Alarms::InAlarm { .. } | Alarms::Fired { .. } => ("False", rollout.created_at),
        Alarms::Inconclusive { since, .. } => ("Unknown", *since),
    };
    let (reason, message) = match standing.holds() {
        Some(reason) => (reason.code.as_str(), Some(reason.message.clone())),
        None => (if status == "True" { "Quiet" } else { "NotRead" }, None),
    };
    Some(RecordCondition { kind: "AlarmsQuiet", status, reason, message, last_transition_time: Some(at) })
}

/// The Changes of a Rollout: each with what it waits for, also where that is the rollout's own affair.
pub(super) fn change_views(campaign: &Campaign) -> Vec<ChangeView> {
    let all = || campaign.changes.iter().map(|change| &change.value);
    let one = |stored: &crate::records::Versioned<Change>| {
        let mut view = change_view(stored.version, &stored.value);
        let open = !stored.value.state.phase().is_final();
        if let Some(why) = waits::why(&campaign.rollout.value, all(), &stored.value).filter(|_| open) {
            view.status.waiting = Some(Waiting::of(&why));
            view.status.reason = Some(why);
        }
        view
    };
    campaign.changes.iter().map(one).collect()
}

/// The same as they are printed.
pub(super) fn changes(campaign: &Campaign) -> Vec<Value> {
    change_views(campaign).iter().map(Printed::to_json).collect()
}

fn change_view(version: u64, change: &Change) -> ChangeView {
    let reason = change.waiting.clone().or_else(|| change.state.why());
    ChangeView {
        metadata: RecordMetadata { resource_version: Some(version.to_string()), ..RecordMetadata::of(&change.name) },
        spec: ChangeSpec {
            diff: masked(&change.spec.diff),
            // People count from 1, in plans, rollouts and changes alike.
            wave: change.spec.wave + 1,
            // What is sent may hold anything; the diff says what changes.
            setting: None,
            ..change.spec.clone()
        },
        status: ChangeStatus {
            state: change.state.clone(),
            conditions: vec![landed(change, reason.as_ref())],
            reason,
            waiting: change.waiting.as_ref().map(Waiting::of),
            history: change.history.clone(),
        },
    }
}

/// A fix that stays off a resource.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HoldView {
    metadata: RecordMetadata,
    /// What is held off, and why.
    spec: HoldSpec,
}

/// What is held off, and why.
#[derive(Debug, Serialize, JsonSchema)]
struct HoldSpec {
    /// Where.
    target: TargetId,
    /// Off what.
    resource: Resource,
    /// The policy; `*` for every one.
    policy: String,
    /// The fix, by its hash; `*` for every one.
    fix: String,
    /// Why.
    reason: Reason,
    /// Who asked for it: a person, or `plimsoll`; null where it was not kept yet.
    by: Option<String>,
    /// The rollout it comes from, if any.
    rollout: Option<String>,
    /// When it ends by itself.
    until: Option<Timestamp>,
}

impl Printed for HoldView {
    const KIND: &'static str = "Hold";
}

/// A Hold.
pub(super) fn hold(target: &TargetId, hold: &Hold) -> Value {
    hold_view(target, hold).to_json()
}

pub(super) fn hold_view(target: &TargetId, hold: &Hold) -> HoldView {
    HoldView {
        metadata: RecordMetadata {
            created_at: Some(hold.created_at),
            ..RecordMetadata::of(format!("{}/{}", hold.resource.short(), hold.policy))
        },
        spec: HoldSpec {
            target: target.clone(),
            resource: hold.resource.clone(),
            policy: hold.policy.clone(),
            fix: hold.fix.clone(),
            reason: hold.reason.clone(),
            by: hold.by.clone(),
            rollout: hold.rollout.clone(),
            until: hold.until,
        },
    }
}

/// What was last found of a service or cluster.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServiceReportView {
    metadata: RecordMetadata,
    /// What it is about.
    spec: ServiceReportSpec,
    /// What was found.
    status: ServiceReportStatus,
}

/// What a ServiceReport is about.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ServiceReportSpec {
    /// Where.
    target: TargetId,
    /// Its ARN.
    resource: String,
    /// The revision it has; none for a cluster.
    task_definition: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ServiceReportStatus {
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
    /// Waivers in force for it, and whether each is needed.
    waivers: Vec<WaiverHere>,
    /// Each time, of late, that somebody put the violation back.
    put_back: Vec<PutBack>,
    /// The Bindings that decide how far to go.
    bindings: Vec<String>,
    /// Tags by which it takes itself out of a Binding or into a Waiver, in sentences.
    exempt: Vec<String>,
    /// By policy, why it is `unknown` whether it holds.
    unknown: BTreeMap<String, Reason>,
    /// The verdict of every policy that was asked.
    verdicts: BTreeMap<Arc<str>, Verdict>,
    /// The hash of the policies it was judged by.
    policy_set: String,
}

impl Printed for ServiceReportView {
    const KIND: &'static str = "ServiceReport";
}

/// A ServiceReport.
pub(super) fn service(target: &TargetId, report: &ServiceReport) -> Value {
    service_view(target, report).to_json()
}

pub(super) fn service_view(target: &TargetId, report: &ServiceReport) -> ServiceReportView {
    let planned = &report.resource;
    ServiceReportView {
        metadata: RecordMetadata::of(&planned.resource),
        spec: ServiceReportSpec {
            target: target.clone(),
            resource: planned.resource.clone(),
            task_definition: planned.task_definition.clone(),
        },
        status: ServiceReportStatus {
            outcome: planned.outcome,
            enforcement: planned.enforcement,
            reason: planned.reason.clone(),
            policies: planned.policies.clone(),
            findings: planned.findings.clone(),
            diff: masked(&planned.diff),
            waivers: planned.waivers.clone(),
            put_back: planned.put_back.clone(),
            bindings: planned.bindings.clone(),
            exempt: planned.exempt.clone(),
            unknown: planned.unknown.clone(),
            verdicts: report.verdicts.clone(),
            policy_set: report.policy_set.clone(),
        },
    }
}

/// A finding of a ServiceReport, by itself.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FindingView {
    /// Where.
    target: TargetId,
    /// The service or cluster, by ARN; outside of services the revision, or its family.
    resource: String,
    #[serde(flatten)]
    finding: PlannedFinding,
    /// Outside of services: where, and whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    standalone: Option<OutsideView>,
}

/// Where and whose a revision is that no service runs.
#[derive(Debug, Serialize, JsonSchema)]
struct OutsideView {
    /// Where its tasks run; none for a family that nobody runs.
    cluster: Option<ClusterArn>,
    /// How many tasks run it.
    tasks: usize,
    /// Whose it is.
    reason: Reason,
}

impl Printed for FindingView {
    const KIND: &'static str = "Finding";
}

/// The findings in a ServiceReport, each by itself.
pub(super) fn findings(target: &TargetId, report: &ServiceReport) -> Vec<Value> {
    let resource = &report.resource.resource;
    let view = |finding: &PlannedFinding| {
        let (target, resource) = (target.clone(), resource.clone());
        FindingView { target, resource, finding: finding.clone(), standalone: None }.to_json()
    };
    report.resource.findings.iter().map(view).collect()
}

/// A cluster, day by day.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClusterReportView {
    metadata: RecordMetadata,
    /// Which.
    spec: ClusterReportSpec,
    /// What was found.
    status: ClusterReportStatus,
}

/// Which cluster.
#[derive(Debug, Serialize, JsonSchema)]
struct ClusterReportSpec {
    /// Where.
    target: TargetId,
}

/// What was found in a cluster.
#[derive(Debug, Serialize, JsonSchema)]
struct ClusterReportStatus {
    /// The last 90 days: judgements of all policies on the cluster and on what is in it. The newest is as the last pass
    /// found it.
    days: Vec<DayFigure>,
}

impl Printed for ClusterReportView {
    const KIND: &'static str = "ClusterReport";
}

/// A ClusterReport.
pub(super) fn cluster(target: &TargetId, name: &str, status: &ClusterStatus) -> Value {
    ClusterReportView {
        metadata: RecordMetadata::of(name),
        spec: ClusterReportSpec { target: target.clone() },
        status: ClusterReportStatus { days: status.days.figures().to_vec() },
    }
    .to_json()
}

/// An entry of the event log.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventView {
    /// Where; not there in events of what people wrote, which is for every target.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<TargetId>,
    #[serde(flatten)]
    event: Event,
}

impl Printed for EventView {
    const KIND: &'static str = "Event";
}

/// A finding outside of services: as any other, and whose it is.
pub(super) fn standalone_finding(target: &TargetId, row: &PlannedStandalone, found: &PlannedFinding) -> Value {
    let standalone = OutsideView { cluster: row.cluster.clone(), tasks: row.tasks, reason: row.reason.clone() };
    FindingView {
        target: target.clone(),
        resource: row.resource.clone(),
        finding: found.clone(),
        standalone: Some(standalone),
    }
    .to_json()
}

/// An Event.
pub(super) fn event(target: Option<&TargetId>, event: &Event) -> Value {
    event_view(target, event).to_json()
}

pub(super) fn event_view(target: Option<&TargetId>, event: &Event) -> EventView {
    EventView { target: target.cloned(), event: event.clone() }
}

/// Who may write in a target.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LeaseView {
    metadata: RecordMetadata,
    /// What it says.
    spec: Lease,
}

impl Printed for LeaseView {
    const KIND: &'static str = "Lease";
}

/// A Lease.
pub(super) fn lease(target: &TargetId, version: u64, lease: &Lease) -> Value {
    let metadata =
        RecordMetadata { resource_version: Some(version.to_string()), ..RecordMetadata::of(target.to_string()) };
    LeaseView { metadata, spec: lease.clone() }.to_json()
}
