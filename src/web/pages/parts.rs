//! Pieces that several pages are made of.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::page::Shown;
use crate::model::mask::mask_diff;
use crate::model::{DiffEntry, DiffOp, Reason, ServiceArn, Severity, Timestamp, Verdict};
use crate::plan::PlanOutcome;
use crate::rollout::Phase;
use crate::web::query::{Link, Query, Slice};
use crate::web::snapshot::Snapshot;

/// Seconds matter to whoever compares it with logs.
pub(super) fn time(at: Timestamp) -> Markup {
    let told = at.to_utc().map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string());
    html! { time datetime=(at) { (told.unwrap_or_else(|| at.to_string())) " UTC" } }
}

/// `CLUSTER/NAME` of a service, or the last part of what else an ARN names.
pub(super) fn short(arn: &str) -> String {
    match arn.parse::<ServiceArn>() {
        Ok(service) => service.short().to_owned(),
        Err(_) => {
            arn.splitn(6, ':').nth(5).map_or(arn, |rest| rest.split_once('/').map_or(rest, |(_, name)| name)).to_owned()
        }
    }
}

/// The cluster of a service, or the cluster itself.
pub(super) fn cluster_of(arn: &str) -> Option<String> {
    crate::model::arn::cluster_of(arn).map(ToOwned::to_owned)
}

/// Whether an ARN is a service's.
pub(super) fn is_service(arn: &str) -> bool {
    arn.contains(":service/")
}

/// To the story of a service or cluster.
pub(super) fn resource_link(arn: &str) -> Markup {
    let link: String = Link::to("/service").with("arn", arn).into();
    html! { a href=(link) { (short(arn)) } }
}

/// To a policy.
pub(super) fn policy_link(name: &str) -> Markup {
    let link: String = Link::to("/policy").with("name", name).into();
    html! { a href=(link) { (name) } }
}

/// To a cluster.
pub(super) fn cluster_link(target: &str, name: &str) -> Markup {
    let link: String = Link::to("/cluster").with("target", target).with("name", name).into();
    html! { a href=(link) { (name) } }
}

/// To each of some policies: an edit or a hold may be of several, parted by commas.
pub(super) fn policy_links(names: &str) -> Markup {
    html! {
        @for (index, name) in names.split(',').map(str::trim).filter(|name| !name.is_empty()).enumerate() {
            @if index > 0 { ", " }
            (policy_link(name))
        }
    }
}

/// To a rollout.
pub(super) fn rollout_link(target: &str, name: &str, said: &str) -> Markup {
    let link: String = Link::to("/rollout").with("target", target).with("name", name).into();
    html! { a href=(link) { (said) } }
}

/// What an outcome means for whoever looks: the class of its colour. The word is always there too.
pub(super) const fn outcome_tone(outcome: PlanOutcome) -> &'static str {
    match outcome {
        PlanOutcome::Compliant => "good",
        PlanOutcome::Change | PlanOutcome::Deferred => "busy",
        PlanOutcome::Blocked => "bad",
        PlanOutcome::Audit => "warn",
        PlanOutcome::Waived => "quiet",
        PlanOutcome::Unknown => "unsure",
    }
}

pub(super) fn outcome(outcome: PlanOutcome) -> Markup {
    badge(outcome_tone(outcome), outcome.as_str())
}

pub(super) fn verdict(verdict: Verdict) -> Markup {
    let tone = match verdict {
        Verdict::Pass => "good",
        Verdict::Fail => "bad",
        Verdict::Waived | Verdict::Skip => "quiet",
        Verdict::Unknown => "unsure",
    };
    badge(tone, verdict.as_str())
}

pub(super) fn severity(severity: Severity) -> Markup {
    let tone = match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium => "warn",
        Severity::Low => "quiet",
    };
    badge(tone, severity.as_str())
}

pub(super) fn phase(phase: Phase) -> Markup {
    let tone = match phase {
        Phase::Succeeded => "good",
        Phase::Registering | Phase::Updating | Phase::Stabilizing | Phase::Verifying => "busy",
        Phase::RollingBack | Phase::RolledBack => "warn",
        Phase::Failed | Phase::Quarantined | Phase::Clobbering | Phase::Clobbered | Phase::Blocked => "bad",
        Phase::Unverified => "unsure",
        Phase::Pending | Phase::Deferred | Phase::Overtaken | Phase::Gone => "quiet",
    };
    badge(tone, phase.as_str())
}

pub(super) fn rollout_phase(phase: &str) -> Markup {
    let tone = match phase {
        "Succeeded" => "good",
        "Progressing" | "Baking" | "Scheduled" => "busy",
        "Proposed" | "Paused" | "RollingBack" | "RolledBack" => "warn",
        "Failed" => "bad",
        _ => "quiet",
    };
    badge(tone, phase)
}

/// A word in a colour.
pub(super) fn badge(tone: &str, word: &str) -> Markup {
    html! { span class={ "badge " (tone) } { (word) } }
}

/// Why, and what to do about it.
pub(super) fn reason(reason: &Reason) -> Markup {
    html! {
        strong { (reason.code.as_str()) } ": " (commands(&reason.message))
        @if let Some(until) = reason.until { " (until " (time(until)) ")" }
        " " span.remedy { "To do: " (commands(reason.code.remedy())) "." }
    }
}

/// Text with what stands between backticks as code.
pub(super) fn commands(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// How far something is, in words and as a bar.
pub(super) fn progress(done: usize, of: usize, label: &str) -> Markup {
    html! {
        progress value=(done) max=(of.max(1)) aria-label=(label) {}
        " " span.count { (done) " of " (of) }
    }
}

/// Parts of a whole side by side, each as wide as it is large. For eyes only: the figures stand beside it.
pub(super) fn bar(parts: &[(&str, usize)]) -> Markup {
    let total: usize = parts.iter().map(|(_, count)| count).sum();
    let mut at = 0;
    let places: Vec<(&str, usize, usize)> = parts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(tone, count)| {
            // In thousandths of the whole, rounded so that the ends meet.
            let (start, end) = (at * 1000 / total, (at + count) * 1000 / total);
            at += count;
            (*tone, start, end.saturating_sub(start))
        })
        .collect();
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            @for (tone, start, width) in places {
                rect class=(tone) x=(start) y="0" width=(width) height="10" {}
            }
        }
    }
}

/// What changes, field by field, masked.
pub(super) fn difference(caption: &str, diff: &[DiffEntry]) -> Markup {
    let value = |value: &Option<serde_json::Value>| {
        value.as_ref().map(|value| serde_json::to_string_pretty(value).unwrap_or_default())
    };
    html! {
        div.wide tabindex="0" role="group" aria-label=(caption) {
            table.diff {
                caption { (caption) }
                thead { tr { th scope="col" { "Change" } th scope="col" { "Field" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Policy" } } }
                tbody {
                    @for entry in mask_diff(diff) {
                        tr {
                            td { (badge(tone_of(entry.op), word_of(entry.op))) }
                            th scope="row" { code { (entry.path) } }
                            td { @if let Some(from) = value(&entry.from) { del { pre { (from) } } } }
                            td { @if let Some(to) = value(&entry.to) { ins { pre { (to) } } } }
                            td { (policy_links(&entry.policy)) }
                        }
                    }
                }
            }
        }
    }
}

const fn tone_of(op: DiffOp) -> &'static str {
    match op {
        DiffOp::Add => "good",
        DiffOp::Remove => "bad",
        DiffOp::Replace => "busy",
    }
}

const fn word_of(op: DiffOp) -> &'static str {
    match op {
        DiffOp::Add => "add",
        DiffOp::Remove => "remove",
        DiffOp::Replace => "replace",
    }
}

/// To the pages before and after.
pub(super) fn pages(path: &'static str, query: &Query, slice: &Slice) -> Markup {
    html! {
        @if slice.pages > 1 {
            nav.pages aria-label="Pages" {
                @if slice.page > 1 { a rel="prev" href=(query.at_page(path, slice.page - 1)) { "Previous" } }
                span { "Page " (slice.page) " of " (slice.pages) }
                @if slice.page < slice.pages { a rel="next" href=(query.at_page(path, slice.page + 1)) { "Next" } }
            }
        }
    }
}

/// A choice in a filter; an empty value is any.
pub(super) fn choice(name: &str, label: &str, asked: &Query, values: &[(String, String)]) -> Markup {
    html! {
        label {
            span { (label) }
            select name=(name) {
                @for (value, told) in values {
                    option value=(value) selected[asked.get(name).unwrap_or("") == value] { (told) }
                }
            }
        }
    }
}

/// A choice of the account and region, where there are several: clusters of two may have one name.
pub(super) fn target_choice(shown: &Shown<'_>) -> Markup {
    let targets: Vec<String> = shown.snapshot.watched().map(|target| target.id.to_string()).collect();
    html! {
        @if targets.len() > 1 {
            (choice("target", "Target", shown.query, &choices("any", targets.iter().map(String::as_str))))
        }
    }
}

/// The same value to ask and to read; any first.
pub(super) fn choices<'a>(any: &str, values: impl IntoIterator<Item = &'a str>) -> Vec<(String, String)> {
    let values = values.into_iter().map(|value| (value.to_owned(), value.to_owned()));
    std::iter::once((String::new(), any.to_owned())).chain(values).collect()
}

/// A box to search in.
pub(super) fn search(asked: &Query, label: &str) -> Markup {
    html! { label { span { (label) } input type="search" name="q" value=(asked.get("q").unwrap_or("")) maxlength="200"; } }
}

/// `97.5 %`; rounded down, for all but all is not all.
pub(super) fn percent_of(part: usize, whole: usize) -> String {
    crate::records::history::percent(part * 1000 / whole.max(1))
}

/// The names of all clusters that were reported on.
pub(super) fn clusters(snapshot: &Snapshot) -> BTreeSet<String> {
    snapshot.watched().flat_map(|target| target.reports.keys()).filter_map(|arn| cluster_of(arn)).collect()
}
