//! The story of a service or cluster: what is found, what would change field by field, who holds it off, what was done.

use maud::{Markup, html};

use super::page::{Middle, Shown};
use super::parts::{
    commands, difference, outcome, phase, policy_link, policy_links, reason, rollout_link, rollout_phase, severity,
    short, time, verdict,
};
use crate::model::Hold;
use crate::model::spec::{Kind, Spec};
use crate::plan::PlannedResource;
use crate::records::reports::ServiceReport;
use crate::rollout::Change;
use crate::web::snapshot::{Snapshot, TargetSnapshot};

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let arn = shown.query.get("arn").unwrap_or("");
    let found = shown.snapshot.targets.iter().find_map(|target| {
        let report = target.reports.get(arn);
        let changed = || changes(target, arn).next().is_some();
        (report.is_some() || changed()).then_some((target, report))
    });
    let Some((target, report)) = found else {
        return Middle::nothing("Nothing was reported of it, and no rollout had it in hand.");
    };
    let holds: Vec<&Hold> = target.holds.iter().filter(|hold| hold.resource.as_str() == arn).collect();
    let main = html! {
        h1 { (short(arn)) @if let Some(report) = report { " " (outcome(report.resource.outcome)) } }
        p { code { (arn) } }
        @match report {
            Some(report) => (now(shown.snapshot, report)),
            None => p { "It was not there in the last whole pass." },
        }
        (held(&target.id.to_string(), &holds, shown.snapshot))
        @if let Some(report) = report { (verdicts(shown.snapshot, report)) }
        (history(target, arn))
        (super::events::about(shown, &subjects(target, arn)))
    };
    Middle::new(short(arn), main)
}

/// What is to become of it, and why.
fn now(snapshot: &Snapshot, report: &ServiceReport) -> Markup {
    let planned = &report.resource;
    html! {
        @if let Some(why) = &planned.reason { p.reason { (reason(why)) } }
        dl.facts {
            @if let Some(revision) = &planned.task_definition { dt { "Runs" } dd { code { (short(revision)) } } }
            dt { "Enforcement" } dd { (planned.enforcement.as_str()) }
            @if let Some(wave) = planned.wave { dt { "Wave" } dd { (wave) } }
            @for name in &planned.bindings { dt { "Bound by" } dd { (name) (binding(snapshot, name)) } }
            @for sentence in &planned.exempt { dt { "Says of itself" } dd { (sentence) } }
            @for put_back in &planned.put_back { dt { "Put back" } dd { (put_back.to_string()) } }
        }
        (fields(planned))
    }
}

fn binding(snapshot: &Snapshot, name: &str) -> String {
    match snapshot.configuration.find(Kind::Binding, name).map(|object| &object.spec) {
        Some(Spec::Binding(binding)) => {
            let strategy = binding.strategy.as_deref().unwrap_or("default");
            format!(": {}, strategy {strategy}", binding.enforcement.as_str())
        }
        _ => ", which is gone".to_owned(),
    }
}

/// What would change.
fn fields(planned: &PlannedResource) -> Markup {
    html! {
        @if !planned.diff.is_empty() {
            section aria-labelledby="changes" {
                h2 #changes { "What would change" }
                p { "Field by field, and nowhere else. Values that may be secret are hidden." }
                (difference("What would change", &planned.diff))
            }
        }
    }
}

fn held(target: &str, holds: &[&Hold], snapshot: &Snapshot) -> Markup {
    html! {
        @if !holds.is_empty() {
            section aria-labelledby="holds" {
                h2 #holds { "Held off" }
                ul { @for hold in holds { li {
                    (if hold.policy == "*" { html! { "every fix" } } else { policy_links(&hold.policy) })
                    @if let Some(until) = hold.until {
                        @if until <= snapshot.at { ", over since " } @else { ", until " } (time(until))
                    }
                    ": " (commands(&hold.reason.message))
                    @if let Some(rollout) = &hold.rollout { " (" (rollout_link(target, rollout, rollout)) ")" }
                } } }
            }
        }
    }
}

/// Every verdict, with what was found and who waives it.
fn verdicts(snapshot: &Snapshot, report: &ServiceReport) -> Markup {
    let waiver = |name: &str| match snapshot.configuration.find(Kind::Waiver, name).map(|object| &object.spec) {
        Some(Spec::Waiver(waiver)) => {
            let days = waiver.days_left(snapshot.at);
            format!("waived by {name} ({}, {days} days left): {}", waiver.owner, waiver.reason)
        }
        _ => format!("waived by {name}, which is gone"),
    };
    html! {
        section aria-labelledby="verdicts" {
            h2 #verdicts { "Policies" }
            div.wide tabindex="0" role="group" aria-label="Policies" {
                table {
                    caption { "The verdict of every policy that was asked" }
                    thead { tr { th scope="col" { "Policy" } th scope="col" { "Verdict" } th scope="col" { "Severity" } th scope="col" { "Findings" } } }
                    tbody {
                        @for (policy, said) in &report.verdicts {
                            @let found: Vec<_> = report.resource.findings.iter().filter(|found| *found.policy == **policy).collect();
                            tr {
                                th scope="row" { (policy_link(policy)) }
                                td { (verdict(*said)) }
                                td { @if let Some(worst) = found.iter().map(|found| found.severity).max() { (severity(worst)) } }
                                td {
                                    @if let Some(reason) = report.resource.unknown.get(&**policy) { (reason.to_string()) }
                                    @if !found.is_empty() { ul { @for found in found { li {
                                    (commands(&found.finding.message)) " " code { (found.finding.path) }
                                    @if let Some(name) = &found.finding.waiver { br; em { (waiver(name)) } }
                                } } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn changes<'a>(
    target: &'a TargetSnapshot,
    arn: &'a str,
) -> impl Iterator<Item = (&'a crate::rollout::Rollout, &'a Change)> {
    target.campaigns.iter().flat_map(move |campaign| {
        let changes = campaign.changes.iter().map(|change| &change.value);
        let of_it = changes.filter(move |change| change.spec.resource.as_str() == arn);
        of_it.map(|change| (&campaign.rollout.value, change))
    })
}

/// Every rollout that had or has it in hand, newest first.
fn history(target: &TargetSnapshot, arn: &str) -> Markup {
    let mut all: Vec<_> = changes(target, arn).collect();
    all.sort_by_key(|(rollout, _)| std::cmp::Reverse(rollout.created_at));
    html! {
        @if !all.is_empty() {
            section aria-labelledby="history" {
                h2 #history { "Rollouts" }
                @for (rollout, change) in all {
                    h3 { (rollout_link(&target.id.to_string(), &rollout.name, &rollout.name)) " " (rollout_phase(rollout.state.phase())) }
                    p {
                        "This change: " (phase(change.state.phase()))
                        @if let Some(from) = &change.spec.from { ", from " code { (from.short()) } }
                        @if let Some(to) = &change.spec.to { " to " code { (to.short()) } }
                    }
                    ol.timeline { @for entry in &change.history { li {
                        (time(entry.at)) " " strong { (entry.phase.as_str()) }
                        @if let Some(why) = &entry.reason { ": " (commands(&why.message)) }
                    } } }
                    @if !change.spec.diff.is_empty() { (difference(&format!("What {} changed", rollout.name), &change.spec.diff)) }
                }
            }
        }
    }
}

/// What its events are about.
fn subjects(target: &TargetSnapshot, arn: &str) -> Vec<String> {
    let changes = changes(target, arn).map(|(_, change)| format!("Change/{}", change.name));
    changes.chain(std::iter::once(format!("Hold/{}", short(arn)))).collect()
}
