//! What policies say of tasks that no service started and of families that no service uses. Reported, and never changed:
//! whoever runs them decides what they run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::make::Context;
use super::ownership::owned_by_batch;
use super::report::{PlanOutcome, PlannedFinding};
use crate::model::observed::{Fleet, TaskDefinition};
use crate::model::packed::PackedDefinition;
use crate::model::spec::{Enforcement, LaunchType, ResourceKind};
use crate::model::standalone::{DaemonTasks, Standalone, StandaloneTasks};
use crate::model::{ClusterArn, Observed, Reason, ReasonCode, Verdict, counted};
use crate::policy::{ScopeKey, ScopeKeys, ScopeTags, Subject, evaluate};

/// A revision outside of services that does not comply, or of which that cannot be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStandalone {
    /// The revision's ARN, or the ARN of a daemon task definition; a family's name where its latest revision could not be
    /// read.
    pub resource: String,
    /// Where its tasks run; none for a family that nobody runs.
    pub cluster: Option<ClusterArn>,
    /// How many tasks run it.
    pub tasks: usize,
    /// `audit`, `waived` or `unknown`; `blocked` for what ECS itself manages.
    pub outcome: PlanOutcome,
    /// Whose it is.
    pub reason: Reason,
    /// The policies that fail and are not waived; for `unknown`, those that could not be evaluated.
    pub policies: Vec<String>,
    /// What fails, waived or not.
    pub findings: Vec<PlannedFinding>,
}

/// What a look outside of services came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandaloneReport {
    /// What does not comply.
    pub rows: Vec<PlannedStandalone>,
    /// What could not be seen, or not yet.
    pub gaps: Vec<String>,
}

/// Judges all that was found, in the order of cluster, revision and family.
#[must_use]
pub fn standalone(fleet: &Fleet, found: &Standalone, context: &Context<'_>) -> StandaloneReport {
    let mut rows = Vec::new();
    for tasks in &found.tasks {
        let reason = of_tasks(tasks);
        let place = Place { cluster: Some(&tasks.cluster), launch_type: tasks.launch_type, tasks: tasks.tasks };
        let definition = found.definitions.get(&tasks.revision);
        rows.extend(row(fleet, tasks.revision.as_str(), definition, &place, reason, context));
    }
    rows.extend(found.daemons.iter().map(of_daemon));
    for (family, latest) in &found.families {
        let place = Place { cluster: None, launch_type: None, tasks: 0 };
        let message = format!("no service uses family `{family}`; whoever runs it by that name gets this revision");
        let reason = Reason::of(ReasonCode::UnusedFamily, message);
        rows.extend(row(fleet, family, Some(latest), &place, reason, context));
    }
    StandaloneReport { rows, gaps: found.gaps.clone() }
}

/// ECS's managed daemons are no services, and nothing is asked of what they run: that is said of each.
fn of_daemon(daemon: &DaemonTasks) -> PlannedStandalone {
    let (name, cluster) = (daemon.definition.rsplit('/').next().unwrap_or_default(), daemon.cluster.name());
    let number = counted(daemon.tasks, "task");
    let message =
        format!("ECS itself manages the daemon of `{name}`, {number} in cluster `{cluster}`; nothing of it is judged");
    PlannedStandalone {
        resource: daemon.definition.clone(),
        cluster: Some(daemon.cluster.clone()),
        tasks: daemon.tasks,
        outcome: PlanOutcome::Blocked,
        reason: Reason::of(ReasonCode::ManagedByEcs, message),
        policies: Vec::new(),
        findings: Vec::new(),
    }
}

fn of_tasks(tasks: &StandaloneTasks) -> Reason {
    let by = tasks.started_by.as_ref().map_or_else(String::new, |by| format!(", started by `{by}`"));
    let number = counted(tasks.tasks, "task");
    let message = format!(
        "{number} of group `{}` in cluster `{}` that no service started{by}",
        tasks.group,
        tasks.cluster.name()
    );
    Reason::of(ReasonCode::StandaloneTasks, message)
}

/// Where a revision runs, if it does.
struct Place<'a> {
    cluster: Option<&'a ClusterArn>,
    launch_type: Option<LaunchType>,
    tasks: usize,
}

/// What is to be said of one revision; nothing where it complies.
fn row(
    fleet: &Fleet,
    name: &str,
    definition: Option<&Observed<std::sync::Arc<PackedDefinition>>>,
    place: &Place<'_>,
    reason: Reason,
    context: &Context<'_>,
) -> Option<PlannedStandalone> {
    let mut row = PlannedStandalone {
        resource: name.to_owned(),
        cluster: place.cluster.cloned(),
        tasks: place.tasks,
        outcome: PlanOutcome::Unknown,
        reason,
        policies: Vec::new(),
        findings: Vec::new(),
    };
    let unread = |why: String| Reason::of(ReasonCode::NotObserved, format!("`{name}` could not be read: {why}"));
    let definition = match definition {
        Some(Observed::Known { value, .. }) => match value.read() {
            Ok(definition) => definition,
            Err(error) => {
                row.reason = unread(error.to_string());
                return Some(row);
            }
        },
        Some(Observed::Absent { .. }) if place.tasks == 0 => return None,
        Some(Observed::Absent { .. }) | None => {
            row.reason = Reason::of(ReasonCode::NotObserved, format!("`{name}` is gone, and tasks still run it"));
            return Some(row);
        }
        Some(Observed::Unknown { why, .. }) => {
            row.reason = unread(why.clone());
            return Some(row);
        }
    };
    row.resource = definition.arn.to_string();
    row.reason = owned_by_batch(&definition, place.cluster.map(ClusterArn::name)).unwrap_or(row.reason);
    let results = judge(fleet, &definition, place, context);
    let with = |verdict: Verdict| results.iter().filter(move |result| result.verdict == verdict);
    let names = |verdict| with(verdict).map(|result| result.policy.to_string()).collect::<Vec<_>>();
    (row.outcome, row.policies) = if with(Verdict::Fail).next().is_some() {
        (PlanOutcome::Audit, names(Verdict::Fail))
    } else if with(Verdict::Unknown).next().is_some() {
        (PlanOutcome::Unknown, names(Verdict::Unknown))
    } else if with(Verdict::Waived).next().is_some() {
        (PlanOutcome::Waived, Vec::new())
    } else {
        return None;
    };
    for result in &results {
        let found = |finding: &crate::model::Finding| PlannedFinding {
            policy: result.policy.to_string(),
            severity: result.severity,
            finding: finding.clone(),
        };
        row.findings.extend(result.findings.iter().map(found));
    }
    Some(row)
}

fn judge(
    fleet: &Fleet,
    definition: &TaskDefinition,
    place: &Place<'_>,
    context: &Context<'_>,
) -> Vec<crate::policy::PolicyResult> {
    let tags = definition.tags_by_key();
    let running = place.cluster.is_some();
    let absent_or = |known: Option<ScopeKey<LaunchType>>| {
        known.unwrap_or(if running { ScopeKey::Unknown } else { ScopeKey::Absent })
    };
    let keys = ScopeKeys {
        account: ScopeKey::Known(fleet.target.account.clone()),
        region: ScopeKey::Known(fleet.target.region.clone()),
        cluster: place.cluster.map_or(ScopeKey::Absent, |arn| ScopeKey::Known(arn.name().to_owned())),
        service: ScopeKey::Absent,
        family: ScopeKey::Known(definition.arn.family().to_owned()),
        launch_type: absent_or(place.launch_type.map(ScopeKey::Known)),
        tags: ScopeTags::Known(tags.clone()),
    };
    let cluster = place.cluster.and_then(|arn| fleet.clusters.get(arn)).and_then(Observed::known);
    let subject = Subject {
        kind: ResourceKind::TaskDefinition,
        resource: &definition.document,
        tags: Some(&tags),
        service: None,
        cluster: cluster.map(|cluster| cluster.document.as_ref()),
        target: Some(context.target),
        scope: &keys,
        // Which digests a tag stands for is told of services only.
        running: None,
    };
    let mut results = evaluate(context.set, &subject, context.now);
    results.retain(|result| result.enforcement != Enforcement::Off);
    results
}
