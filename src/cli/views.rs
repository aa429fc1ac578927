//! What the controller keeps, in the shapes of DESIGN §7: `metadata`, `spec`, `status`. Values of documents masked.

use serde_json::{Value, json};

use crate::model::mask::mask_value;
use crate::model::spec::API_VERSION;
use crate::model::{DiffEntry, Hold, Reason, TargetId};
use crate::plan::{PlannedFinding, PlannedStandalone};
use crate::records::campaign::Campaign;
use crate::records::events::Event;
use crate::records::lease::Lease;
use crate::records::reports::ServiceReport;
use crate::rollout::{Change, Phase, RolloutState, waits};

/// How many changes of a rollout stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    pub(super) total: usize,
    pub(super) pending: usize,
    pub(super) in_flight: usize,
    pub(super) succeeded: usize,
    pub(super) unverified: usize,
    pub(super) failed: usize,
    pub(super) blocked: usize,
    pub(super) deferred: usize,
    pub(super) rolled_back: usize,
    pub(super) overtaken: usize,
    pub(super) gone: usize,
}

impl Counts {
    pub(super) fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut counts = Self::default();
        for change in changes {
            counts.total += 1;
            *match change.state.phase() {
                Phase::Pending | Phase::Registering => &mut counts.pending,
                Phase::Updating | Phase::Stabilizing | Phase::Verifying | Phase::RollingBack => &mut counts.in_flight,
                Phase::Succeeded => &mut counts.succeeded,
                Phase::Unverified => &mut counts.unverified,
                Phase::Failed | Phase::Quarantined | Phase::Clobbered => &mut counts.failed,
                Phase::Blocked => &mut counts.blocked,
                Phase::Deferred => &mut counts.deferred,
                Phase::RolledBack => &mut counts.rolled_back,
                Phase::Overtaken => &mut counts.overtaken,
                Phase::Gone => &mut counts.gone,
            } += 1;
        }
        counts
    }
}

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

fn waiting(reason: Option<&Reason>) -> Value {
    reason.map_or(Value::Null, |reason| json!({ "on": reason.code, "until": reason.until, "message": reason.message }))
}

/// A Rollout.
pub(super) fn rollout(campaign: &Campaign) -> Value {
    let rollout = &campaign.rollout.value;
    let changes = || campaign.changes.iter().map(|change| &change.value);
    let mut status = serde_json::to_value(&rollout.state).unwrap_or_default();
    if let Value::Object(members) = &mut status {
        // `state` carries what its phase needs; the contract's members are there in every phase.
        members.insert("wave".to_owned(), json!(rollout.state.wave().map(|wave| wave + 1)));
        members.insert("waiting".to_owned(), waiting(rollout.waiting.as_ref()));
        members.insert("counts".to_owned(), json!(Counts::of(changes())));
        members.insert("conditions".to_owned(), json!([complete(&rollout.state, rollout.created_at)]));
        members.insert("approvedWaves".to_owned(), json!(rollout.approved_waves));
    }
    json!({
        "apiVersion": API_VERSION, "kind": "Rollout",
        "metadata": { "name": rollout.name, "createdAt": rollout.created_at, "resourceVersion": campaign.rollout.version.to_string() },
        "spec": rollout.spec,
        "status": status,
    })
}

/// The condition `Complete`: True once it has ended as it should, False with the reason where it has not.
fn complete(state: &RolloutState, created: crate::model::Timestamp) -> Value {
    let (status, message, at) = match state {
        RolloutState::Succeeded { at } => ("True", None, *at),
        RolloutState::RolledBack { cause, at } => ("False", Some(&cause.message), *at),
        RolloutState::Failed { reason, at } | RolloutState::Aborted { reason, at } => {
            ("False", Some(&reason.message), *at)
        }
        RolloutState::Superseded { at } => ("False", None, *at),
        RolloutState::Proposed { reason } | RolloutState::Paused { reason, .. } => {
            ("False", Some(&reason.message), created)
        }
        RolloutState::RollingBack { cause } => ("False", Some(&cause.message), created),
        RolloutState::Baking { .. } | RolloutState::Progressing { .. } | RolloutState::Scheduled => {
            ("Unknown", None, created)
        }
    };
    json!({ "type": "Complete", "status": status, "reason": state.phase(), "message": message, "lastTransitionTime": at })
}

/// The Changes of a Rollout: each with what it waits for, also where that is the rollout's own affair.
pub(super) fn changes(campaign: &Campaign) -> Vec<Value> {
    let all = || campaign.changes.iter().map(|change| &change.value);
    let one = |stored: &crate::records::Versioned<Change>| {
        let mut value = change(stored.version, &stored.value);
        let open = !stored.value.state.phase().is_final();
        let why = waits::why(&campaign.rollout.value, all(), &stored.value).filter(|_| open);
        if let (Some(why), Some(status)) = (why, value.get_mut("status").and_then(Value::as_object_mut)) {
            status.insert("waiting".to_owned(), waiting(Some(&why)));
            status.insert("reason".to_owned(), json!(why));
        }
        value
    };
    campaign.changes.iter().map(one).collect()
}

/// A Change.
pub(super) fn change(version: u64, change: &Change) -> Value {
    let mut status = serde_json::to_value(&change.state).unwrap_or_default();
    if let Value::Object(members) = &mut status {
        let reason = change.waiting.clone().or_else(|| change.state.why());
        members.insert("conditions".to_owned(), json!([landed(change, reason.as_ref())]));
        members.insert("reason".to_owned(), json!(reason));
        members.insert("waiting".to_owned(), waiting(change.waiting.as_ref()));
        members.insert("history".to_owned(), json!(change.history));
    }
    let mut spec = serde_json::to_value(&change.spec).unwrap_or_default();
    if let Value::Object(members) = &mut spec {
        members.insert("diff".to_owned(), json!(masked(&change.spec.diff)));
        // People count from 1, in plans, rollouts and changes alike.
        members.insert("wave".to_owned(), json!(change.spec.wave + 1));
        // What is sent may hold anything; the diff says what changes.
        members.remove("setting");
    }
    json!({
        "apiVersion": API_VERSION, "kind": "Change",
        "metadata": { "name": change.name, "resourceVersion": version.to_string() },
        "spec": spec, "status": status,
    })
}

/// The condition `Landed`: True once it is proved, False with the reason where it ended otherwise.
fn landed(change: &Change, reason: Option<&Reason>) -> Value {
    let phase = change.state.phase();
    let status = match phase {
        Phase::Succeeded => "True",
        Phase::Unverified => "Unknown",
        phase if phase.is_final() => "False",
        _ => "Unknown",
    };
    let code = reason.map_or_else(|| phase.as_str(), |reason| reason.code.as_str());
    let message = reason.map(|reason| &reason.message);
    json!({ "type": "Landed", "status": status, "reason": code, "message": message, "lastTransitionTime": change.entered() })
}

/// A Hold.
pub(super) fn hold(target: &TargetId, hold: &Hold) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Hold",
        "metadata": { "name": format!("{}/{}", hold.resource.short(), hold.policy), "createdAt": hold.created_at },
        "spec": { "target": target, "resource": hold.resource, "policy": hold.policy, "fix": hold.fix,
                  "reason": hold.reason, "rollout": hold.rollout, "until": hold.until },
    })
}

/// A ServiceReport.
pub(super) fn service(target: &TargetId, report: &ServiceReport) -> Value {
    let planned = &report.resource;
    json!({
        "apiVersion": API_VERSION, "kind": "ServiceReport",
        "metadata": { "name": planned.resource },
        "spec": { "target": target, "resource": planned.resource, "taskDefinition": planned.task_definition },
        "status": {
            "outcome": planned.outcome, "enforcement": planned.enforcement, "reason": planned.reason,
            "policies": planned.policies, "findings": planned.findings, "diff": masked(&planned.diff),
            "waivers": planned.waivers,
            "putBack": planned.put_back, "bindings": planned.bindings, "exempt": planned.exempt, "verdicts": report.verdicts, "policySet": report.policy_set,
        },
    })
}

/// The findings in a ServiceReport, each by itself.
pub(super) fn findings(target: &TargetId, report: &ServiceReport) -> Vec<Value> {
    let finding = |found: &crate::plan::PlannedFinding| {
        let spec = serde_json::to_value(found).unwrap_or_default();
        let mut item = json!({
            "apiVersion": API_VERSION, "kind": "Finding", "target": target, "resource": report.resource.resource,
        });
        if let (Value::Object(members), Value::Object(more)) = (&mut item, spec) {
            members.extend(more);
        }
        item
    };
    report.resource.findings.iter().map(finding).collect()
}

/// A finding outside of services: as any other, and whose it is.
pub(super) fn standalone_finding(target: &TargetId, row: &PlannedStandalone, found: &PlannedFinding) -> Value {
    let mut item = json!({
        "apiVersion": API_VERSION, "kind": "Finding", "target": target, "resource": row.resource,
        "standalone": { "cluster": row.cluster, "tasks": row.tasks, "reason": row.reason },
    });
    if let (Value::Object(members), Ok(Value::Object(more))) = (&mut item, serde_json::to_value(found)) {
        members.extend(more);
    }
    item
}

/// An Event.
pub(super) fn event(target: &TargetId, event: &Event) -> Value {
    let mut item = json!({ "apiVersion": API_VERSION, "kind": "Event", "target": target });
    if let (Value::Object(members), Ok(Value::Object(more))) = (&mut item, serde_json::to_value(event)) {
        members.extend(more);
    }
    item
}

/// A Lease.
pub(super) fn lease(target: &TargetId, version: u64, lease: &Lease) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Lease",
        "metadata": { "name": target.to_string(), "resourceVersion": version.to_string() },
        "spec": lease,
    })
}
