//! One policy: what it asks, how it stands, day by day.

use maud::html;

use super::chart;
use super::page::{Middle, Shown};
use super::parts::{commands, severity};
use crate::model::spec::{Kind, Spec};
use crate::records::history::Days;
use crate::records::summed::SummedPolicy;
use crate::web::query::Link;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let name = shown.query.get("name").unwrap_or("");
    let Some(object) = shown.snapshot.configuration.find(Kind::Policy, name) else {
        return Middle::nothing("There is no such policy.");
    };
    let Spec::Policy(policy) = &object.spec else { return Middle::nothing("There is no such policy.") };
    let statuses: Vec<_> = shown
        .snapshot
        .watched()
        .filter_map(|target| Some((target.id.clone(), target.policies.get(name)?.clone())))
        .collect();
    let mut days = Days::default();
    for (_, status) in &statuses {
        days.add(&status.days);
    }
    let status = SummedPolicy::of(&object.metadata, &statuses);
    let failing = String::from(Link::to("/findings").with("policy", name));
    let main = html! {
        h1 { (name) }
        p.lead { (policy.title) }
        dl.facts {
            dt { "Severity" } dd { (severity(policy.severity)) }
            @if !policy.controls.is_empty() { dt { "Controls" } dd { (policy.controls.join(", ")) } }
            @for condition in &status.conditions { dt { (condition.kind) } dd { (format!("{:?}", condition.status)) ": " (condition.message) } }
            @if let Some(found) = &status.found {
                dt { "Judged" } dd { (found.tally.matched) }
                dt { "Failing" } dd { a href=(failing) { (found.tally.failing) } }
                dt { "Waived" } dd { (found.tally.waived) }
                dt { "Unknown" } dd { (found.tally.unknown) }
                dt { "Enforcing it would change" } dd { (found.tally.would_change) }
                dt { "Blocked" } dd { (found.tally.blocked)
                    @for (code, count) in &found.tally.blocked_by { ", " (code.as_str()) " " (count) }
                }
            }
        }
        section aria-labelledby="over-time" {
            h2 #over-time { "Over time" }
            (chart::compliance("policy", "Share of resources that pass or are waived, of the last 90 days", &days))
        }
        section aria-labelledby="asks" {
            h2 #asks { "What it asks" }
            @for paragraph in policy.description.split("\n\n") { p { (commands(paragraph)) } }
            ul { @for check in &policy.checks {
                li { strong { (check.name) } ": " code { (check.require) } @if !check.fix.is_empty() { " (has a fix)" } }
            } }
        }
    };
    Middle::new(name, main)
}
