//! How the demonstration tells of a plan. Knows nothing of what happens next.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::Value;

use super::screen::Screen;
use crate::model::Severity;
use crate::plan::{Plan, PlanOutcome, Planned};

/// Where a reason goes on in the next line.
const HANG: usize = 12;

/// What is wrong with the fleet.
pub(super) fn findings(screen: &Screen, plan: &Plan) {
    screen.heading("Findings");
    let mut by_policy: BTreeMap<(Reverse<Severity>, String), (usize, usize)> = BTreeMap::new();
    for finding in plan.services.iter().chain(&plan.clusters).flat_map(|planned| planned.full().findings) {
        let counts = by_policy.entry((Reverse(finding.severity), finding.policy.clone())).or_default();
        counts.0 += 1;
        counts.1 += usize::from(finding.finding.waiver.is_some());
    }
    for ((severity, policy), (all, waived)) in by_policy {
        let what = if all == 1 { "finding" } else { "findings" };
        let waived = if waived > 0 { format!(", {waived} waived") } else { String::new() };
        screen.line(&format!("  {:<8} {policy:<22} {all:>3} {what}{waived}", severity.0.as_str()));
    }
}

/// What would be done about it, and why not.
pub(super) fn plan(screen: &Screen, plan: &Plan) {
    let summary = plan.summary();
    screen.heading(&format!(
        "The plan: of {} services {} would change, {} are blocked, {} deferred, {} waived, {} only audited, {} compliant",
        summary.services,
        summary.change,
        summary.blocked,
        summary.deferred,
        summary.waived,
        summary.audit,
        summary.compliant
    ));
    for planned in plan.services.iter().chain(&plan.clusters) {
        let why = planned.reason.as_ref().map_or_else(String::new, ToString::to_string);
        let why = match planned.outcome {
            PlanOutcome::Change => {
                let wave = planned.wave.map_or_else(String::new, |wave| format!("wave {wave}"));
                format!("{wave}  {why}")
            }
            PlanOutcome::Waived => "by a Waiver, still evaluated and shown".to_owned(),
            PlanOutcome::Blocked | PlanOutcome::Deferred | PlanOutcome::Unknown => why,
            PlanOutcome::Compliant | PlanOutcome::Audit => continue,
        };
        screen.hanging(HANG, &row(planned, &why));
        if planned.outcome != PlanOutcome::Change {
            continue;
        }
        for entry in planned.full().diff {
            let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let (from, to) = (shown(&entry.from), shown(&entry.to));
            let line = format!("              {} : {from} -> {to}   ({})", entry.path, entry.policy);
            screen.painted("2", HANG + 4, &line);
        }
    }
    screen.line(&format!(
        "  It costs {} RegisterTaskDefinition and {} UpdateService calls.",
        plan.cost.register_task_definition, plan.cost.update_service
    ));
}

/// What is left once the fleet has converged.
pub(super) fn rest(screen: &Screen, plan: &Plan) {
    let summary = plan.summary();
    let proposed = plan.campaigns.iter().filter(|campaign| campaign.proposed.is_some());
    let waiting = proposed.map(|campaign| campaign.changes.len()).sum::<usize>();
    screen.heading(&format!(
        "Converged. Of {} services {waiting} wait for your approval and {} are blocked, each with its reason; {} waived, {} only audited",
        summary.services, summary.blocked, summary.waived, summary.audit
    ));
    for planned in plan.services.iter().chain(&plan.clusters) {
        if matches!(planned.outcome, PlanOutcome::Compliant | PlanOutcome::Audit | PlanOutcome::Waived) {
            continue;
        }
        let why = planned.reason.as_ref().map_or_else(String::new, ToString::to_string);
        screen.hanging(HANG, &row(planned, &why));
    }
}

fn row(planned: &Planned, why: &str) -> String {
    let name = planned
        .resource
        .rsplit_once(":service/")
        .or_else(|| planned.resource.rsplit_once(":cluster/"))
        .map_or("", |(_, name)| name);
    format!("  {:<9} {name:<28} {why}", planned.outcome.as_str())
}
