//! A plan for people: what would change field by field, and why the rest would not. Values are masked.

use std::fmt::Write;
use std::sync::Arc;

use super::get::after_colon;
use super::sentences;
use crate::model::mask::clean_text;
use crate::model::{DiffEntry, DiffOp};
use crate::plan::waves::ORDER;
use crate::plan::{Plan, PlanOutcome, Planned, StandaloneReport};
use crate::policy::WaiverUse;

/// In the order in which people want to read them.
const OUTCOMES: [PlanOutcome; 7] = [
    PlanOutcome::Unknown,
    PlanOutcome::Blocked,
    PlanOutcome::Change,
    PlanOutcome::Deferred,
    PlanOutcome::Waived,
    PlanOutcome::Audit,
    PlanOutcome::Compliant,
];

/// All of it. `wide` names compliant resources too.
pub(super) fn in_full(plan: &Plan, policies: usize, wide: bool) -> String {
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut text, plan, policies, wide);
    text
}

fn write(text: &mut String, plan: &Plan, policies: usize, wide: bool) -> std::fmt::Result {
    let plural = if policies == 1 { "policy" } else { "policies" };
    writeln!(text, "target {}, {policies} {plural}", plan.target)?;
    for outcome in OUTCOMES {
        let resources: Vec<&Arc<Planned>> = plan.resources().filter(|resource| resource.outcome == outcome).collect();
        if resources.is_empty() {
            continue;
        }
        let of = |kind: &str| resources.iter().filter(|one| one.resource.contains(kind)).count();
        let (clusters, task_sets, providers) = (of(":cluster/"), of(":task-set/"), of(":capacity-provider/"));
        let services = resources.len() - clusters - task_sets - providers;
        let count = |number: usize, what: &str| {
            (number > 0).then(|| format!("{number} {what}{}", if number == 1 { "" } else { "s" }))
        };
        let counts: Vec<String> = [
            count(services, "service"),
            count(clusters, "cluster"),
            count(task_sets, "task set"),
            count(providers, "capacity provider"),
        ]
        .into_iter()
        .flatten()
        .collect();
        writeln!(text, "\n{}: {}", outcome.as_str(), counts.join(", "))?;
        if outcome == PlanOutcome::Compliant && !wide {
            continue;
        }
        for one in resources {
            resource(text, one, &plan.tally.waivers)?;
        }
    }
    waves(text, plan)?;
    let look_after = sentences::to_look_after(&plan.tally.waivers, true, "here");
    if !look_after.is_empty() {
        writeln!(text, "\nwaivers")?;
    }
    for line in look_after {
        writeln!(text, "  {}", clean_text(&line))?;
    }
    if let Some(found) = &plan.standalone {
        standalone(text, found, wide)?;
    }
    for gap in &plan.gaps {
        writeln!(text, "\nnot all could be seen: {}", clean_text(gap))?;
    }
    writeln!(text, "\n{}", in_short(plan).trim_end())?;
    writeln!(text, "plan {}", plan.id)
}

fn resource(text: &mut String, planned: &Planned, waivers: &[WaiverUse]) -> std::fmt::Result {
    let planned = planned.full();
    let revision = planned.task_definition.as_deref().and_then(|arn| arn.rsplit('/').next()).unwrap_or("");
    write!(text, "  {}", clean_text(&after_colon(&planned.resource)))?;
    if !revision.is_empty() {
        write!(text, "  {}", clean_text(revision))?;
    }
    if let Some(wave) = planned.wave {
        write!(text, "  wave {wave}")?;
    }
    if planned.outcome == PlanOutcome::Change {
        write!(text, "  {}", planned.enforcement.as_str())?;
    }
    writeln!(text)?;
    if let Some(reason) = &planned.reason {
        writeln!(text, "    {}", clean_text(&reason.to_string()))?;
    }
    for found in &planned.findings {
        let left = |name: &String| format!(" (waived by `{name}`{})", sentences::left(waivers, name));
        let waived = found.finding.waiver.as_ref().map(left).unwrap_or_default();
        let line = format!("{} {}: {}{waived}", found.severity.as_str(), found.policy, found.finding.message);
        writeln!(text, "    {}", clean_text(&line))?;
    }
    for put_back in &planned.put_back {
        writeln!(text, "    put back: {}", clean_text(&put_back.to_string()))?;
    }
    for exempt in &planned.exempt {
        writeln!(text, "    {}", clean_text(exempt))?;
    }
    for entry in &planned.diff {
        writeln!(text, "    {}", difference(entry))?;
    }
    Ok(())
}

/// `- /pidMode "host"`: the sign says what happens, so that no colour has to.
pub(super) fn difference(entry: &DiffEntry) -> String {
    let value = |value: &Option<serde_json::Value>| {
        value.as_ref().map(|value| format!(" {}", clean_text(&value.to_string()))).unwrap_or_default()
    };
    let path = clean_text(&entry.path);
    let by = if entry.policy.is_empty() { String::new() } else { format!("  [{}]", clean_text(&entry.policy)) };
    match entry.op {
        DiffOp::Add => format!("+ {path}{}{by}", value(&entry.to)),
        DiffOp::Remove => format!("- {path}{}{by}", value(&entry.from)),
        DiffOp::Replace => format!("~ {path}{} ->{}{by}", value(&entry.from), value(&entry.to)),
    }
}

fn waves(text: &mut String, plan: &Plan) -> std::fmt::Result {
    for campaign in &plan.campaigns {
        writeln!(text, "\nrollout with strategy `{}`", clean_text(&campaign.strategy_name))?;
        if let Some(reason) = &campaign.proposed {
            writeln!(text, "  waits for approval: {}", clean_text(&reason.to_string()))?;
        }
        writeln!(text, "  order: {ORDER}")?;
        for (index, wave) in campaign.waves.iter().enumerate() {
            let names: Vec<String> = wave.resources.iter().map(|arn| clean_text(&after_colon(arn))).collect();
            let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(5);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let bake = crate::model::Span::from_secs(wave.record.bake_seconds);
            let bake = if wave.record.bake_seconds > 0 { format!(", then {bake} of watching") } else { String::new() };
            writeln!(
                text,
                "  wave {} {}: {shown}{more}; {} at once{bake}",
                index + 1,
                clean_text(&wave.record.name),
                wave.record.max_in_flight
            )?;
            for untried in &wave.uncovered {
                let (policies, wave) = (clean_text(&untried.policies.join(", ")), clean_text(&untried.wave));
                writeln!(
                    text,
                    "    does not try the fix of {policies}: its `where` matches nothing that needs it; wave {wave} brings it first"
                )?;
            }
        }
    }
    Ok(())
}

/// What does not comply outside of services: nothing that a rollout could change.
fn standalone(text: &mut String, found: &StandaloneReport, wide: bool) -> std::fmt::Result {
    let hint = if wide || found.rows.is_empty() { "" } else { "; -o wide lists them" };
    let (managed, judged): (Vec<_>, Vec<_>) = found.rows.iter().partition(|row| row.outcome == PlanOutcome::Blocked);
    let managed =
        if managed.is_empty() { String::new() } else { format!(", {} that ECS itself manages", managed.len()) };
    writeln!(text, "\noutside of services: {} that do not comply{managed}{hint}", judged.len())?;
    for row in found.rows.iter().filter(|_| wide) {
        let revision = row.resource.rsplit('/').next().unwrap_or(&row.resource);
        writeln!(text, "  {}  {}", clean_text(revision), row.outcome.as_str())?;
        writeln!(text, "    {}", clean_text(&row.reason.to_string()))?;
        for found in &row.findings {
            let line = format!("{} {}: {}", found.severity.as_str(), found.policy, found.finding.message);
            writeln!(text, "    {}", clean_text(&line))?;
        }
    }
    for gap in &found.gaps {
        writeln!(text, "  not all was seen: {}", clean_text(gap))?;
    }
    Ok(())
}

/// In two lines: how many services come to which outcome, and what it costs.
pub(super) fn in_short(plan: &Plan) -> String {
    let summary = plan.summary();
    let counts = [
        ("to change", summary.change),
        ("compliant", summary.compliant),
        ("blocked", summary.blocked),
        ("deferred", summary.deferred),
        ("waived", summary.waived),
        ("audited only", summary.audit),
        ("unknown", summary.unknown),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
    let services = if summary.services == 1 { "service" } else { "services" };
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
    let mut text = format!("{} {services}{told}\n", summary.services);
    if plan.cost.register_task_definition + plan.cost.update_service > 0 {
        let _ = writeln!(
            text,
            "cost: {} RegisterTaskDefinition, {} UpdateService, at least {}",
            plan.cost.register_task_definition,
            plan.cost.update_service,
            crate::model::Span::from_secs(plan.cost.estimated_seconds)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::DocumentKind;

    fn entry(op: DiffOp, path: &str, from: Option<serde_json::Value>, to: Option<serde_json::Value>) -> DiffEntry {
        DiffEntry {
            document: DocumentKind::TaskDefinition,
            op,
            path: path.to_owned(),
            from,
            to,
            policy: "p".to_owned(),
        }
    }

    #[test]
    fn a_difference_says_what_happens_without_colour() {
        let told = |op, from, to| difference(&entry(op, "/pidMode", from, to));
        assert_eq!(told(DiffOp::Remove, Some(json!("host")), None), "- /pidMode \"host\"  [p]");
        assert_eq!(told(DiffOp::Add, None, Some(json!("task"))), "+ /pidMode \"task\"  [p]");
        assert_eq!(
            told(DiffOp::Replace, Some(json!("host")), Some(json!("task"))),
            "~ /pidMode \"host\" -> \"task\"  [p]"
        );
    }
}
