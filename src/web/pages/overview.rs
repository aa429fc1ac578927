//! How the fleet stands: services by outcome, policies, clusters, days, who works on it, what is under way.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::chart;
use super::page::{Middle, Shown};
use super::parts::{
    badge, bar, cluster_link, cluster_of, commands, is_service, outcome_tone, percent_of, policy_link, progress,
    reason, rollout_link, rollout_phase, severity, short, time,
};
use crate::model::spec::{Kind, Spec, WaiverSpec};
use crate::model::{Severity, TargetId, counted};
use crate::plan::{PlanOutcome, PolicyTally};
use crate::records::history::Days;
use crate::records::statuses::CLUSTERS;
use crate::rollout::told::Counts;
use crate::web::metrics::catalogue::OUTCOMES;
use crate::web::query::Link;
use crate::web::snapshot::{Snapshot, TargetSnapshot};

/// Where a service's ARN is of the old form.
const NOT_TOLD: &str = "(not told by its ARN)";

/// How many services come to which outcome.
type Outcomes = BTreeMap<PlanOutcome, usize>;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let snapshot = shown.snapshot;
    let main = html! {
        h1 { "Fleet" }
        @if snapshot.targets.is_empty() {
            p { "No controller has worked on this store yet. " code { "plimsoll controller" } " starts one." }
        } @else {
            (services(snapshot))
            (under_way(snapshot))
            (over_time(snapshot))
            (by_policy(snapshot))
            (by_cluster(snapshot))
            (ending_soon(snapshot))
            (controllers(snapshot))
        }
    };
    Middle::new("Fleet", main)
}

fn services(snapshot: &Snapshot) -> Markup {
    let reports = snapshot.watched().flat_map(|target| &target.reports);
    let mut outcomes = Outcomes::new();
    for (_, report) in reports.filter(|(arn, _)| is_service(arn)) {
        *outcomes.entry(report.resource.outcome).or_default() += 1;
    }
    let count = |outcome: &PlanOutcome| outcomes.get(outcome).copied().unwrap_or(0);
    let total: usize = outcomes.values().sum();
    let parts: Vec<(&str, usize)> = OUTCOMES.iter().map(|outcome| (outcome_tone(*outcome), count(outcome))).collect();
    html! {
        section aria-labelledby="services" {
            h2 #services { "Services" }
            p.big { strong { (total) } " services" @if total > 0 { ", " strong { (percent_of(count(&PlanOutcome::Compliant) + count(&PlanOutcome::Waived), total)) } " comply or are waived" } }
            (bar(&parts))
            ul.tiles {
                @for outcome in OUTCOMES {
                    @let link = String::from(Link::to("/services").with("outcome", outcome.as_str()));
                    li { a class={ "tile " (outcome_tone(*outcome)) } href=(link) {
                        strong { (count(outcome)) } " " span { (outcome.as_str()) }
                    } }
                }
            }
        }
    }
}

fn under_way(snapshot: &Snapshot) -> Markup {
    let open = snapshot.watched().flat_map(|target| {
        let open = target.campaigns.iter().filter(|campaign| !campaign.rollout.value.state.is_final());
        open.map(move |campaign| (&target.id, campaign))
    });
    let rows: Vec<_> = open.collect();
    html! {
        section aria-labelledby="under-way" {
            h2 #under-way { "Rollouts under way" }
            @if rows.is_empty() { p { "None. " a href="/rollouts" { "All rollouts" } } }
            @else {
                div.wide tabindex="0" role="group" aria-label="Rollouts under way" {
                    table {
                        caption { "Rollouts that have not ended" }
                        thead { tr { th scope="col" { "Rollout" } th scope="col" { "Phase" } th scope="col" { "Changes that have ended" } th scope="col" { "Waits for" } } }
                        tbody {
                            @for (target, campaign) in rows {
                                @let rollout = &campaign.rollout.value;
                                @let counts = Counts::of(campaign.changes.iter().map(|change| &change.value));
                                @let open = counts.pending + counts.in_flight;
                                tr {
                                    th scope="row" { (rollout_link(&target.to_string(), &rollout.name, &rollout.name)) }
                                    td { (rollout_phase(rollout.state.phase())) }
                                    td { (progress(counts.total - open, counts.total, &format!("changes of {} that have ended", rollout.name))) }
                                    td.text { @if let Some(why) = crate::rollout::told::reason_of(&rollout.state).or(rollout.waiting.as_ref()) { (commands(&why.message)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn over_time(snapshot: &Snapshot) -> Markup {
    let mut days = Days::default();
    for status in snapshot.watched().flat_map(|target| target.policies.values()) {
        days.add(&status.days);
    }
    html! {
        section aria-labelledby="over-time" {
            h2 #over-time { "Compliance over time" }
            p { "Of all judgements of all policies, the share that passes or is waived. What could not be judged does not pass." }
            (chart::compliance("compliance", "Share of judgements that pass or are waived, of the last 90 days", &days))
        }
    }
}

/// A policy in all targets together.
#[derive(Default)]
struct OfPolicy {
    tally: PolicyTally,
    days: Days,
}

fn by_policy(snapshot: &Snapshot) -> Markup {
    let mut policies: BTreeMap<&str, OfPolicy> = BTreeMap::new();
    for (name, status) in snapshot.watched().flat_map(|target| &target.policies) {
        let policy = policies.entry(name).or_default();
        policy.tally.add(&status.tally);
        policy.days.add(&status.days);
    }
    let severity_of = |name: &str| match snapshot.configuration.find(Kind::Policy, name).map(|object| &object.spec) {
        Some(Spec::Policy(policy)) => Some(policy.severity),
        _ => None,
    };
    let mut rows: Vec<(Option<Severity>, &str, OfPolicy)> =
        policies.into_iter().map(|(name, policy)| (severity_of(name), name, policy)).collect();
    // What fails worst and most is what somebody came to see.
    rows.sort_by(|(one, _, a), (other, _, b)| {
        let key = |severity: &Option<Severity>, policy: &OfPolicy| {
            let tally = &policy.tally;
            (tally.failing + tally.unknown > 0, *severity, tally.failing, tally.unknown)
        };
        key(other, b).cmp(&key(one, a))
    });
    html! {
        section aria-labelledby="by-policy" {
            h2 #by-policy { "By policy" }
            div.wide tabindex="0" role="group" aria-label="By policy" {
                table {
                    caption { "What each policy finds; resources that it does not apply to are not counted" }
                    thead { tr {
                        th scope="col" { "Policy" } th scope="col" { "Severity" }
                        th.number scope="col" { "Pass" } th.number scope="col" { "Fail" }
                        th.number scope="col" { "Waived" } th.number scope="col" { "Unknown" }
                        th scope="col" { "Share" } th scope="col" { "90 days" }
                    } }
                    tbody {
                        @for (severe, name, policy) in &rows {
                            @let tally = &policy.tally;
                            tr {
                                th scope="row" { (policy_link(name)) }
                                td { @if let Some(severe) = severe { (severity(*severe)) } @else { "-" } }
                                td.number { (tally.passing) } td.number { (tally.failing) }
                                td.number { (tally.waived) } td.number { (tally.unknown) }
                                td.bar { (bar(&[("good", tally.passing), ("quiet", tally.waived), ("unsure", tally.unknown), ("bad", tally.failing)])) }
                                td.spark { (chart::spark(&policy.days)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn by_cluster(snapshot: &Snapshot) -> Markup {
    let mut clusters: BTreeMap<(&TargetId, String), Outcomes> = BTreeMap::new();
    let mut without_days = 0;
    let days_of = |target: &TargetId, name: &str| {
        snapshot
            .watched()
            .find(|one| one.id == *target)
            .and_then(|one| one.clusters.get(name))
            .map(|status| &status.days)
    };
    for target in snapshot.watched() {
        for name in target.clusters.keys() {
            clusters.entry((&target.id, name.clone())).or_default();
        }
        for (arn, report) in target.reports.iter().filter(|(arn, _)| is_service(arn)) {
            let cluster = cluster_of(arn).unwrap_or_else(|| NOT_TOLD.to_owned());
            *clusters.entry((&target.id, cluster)).or_default().entry(report.resource.outcome).or_default() += 1;
        }
    }
    for (target, name) in clusters.keys() {
        without_days += usize::from(name != NOT_TOLD && days_of(target, name).is_none());
    }
    html! {
        section aria-labelledby="by-cluster" {
            h2 #by-cluster { "By cluster" }
            div.wide tabindex="0" role="group" aria-label="By cluster" {
                table {
                    caption { "Services of each cluster, by what would become of them, and the share of all judgements there that passes or is waived" }
                    thead { tr {
                        th scope="col" { "Cluster and target" } th.number scope="col" { "Services" }
                        @for outcome in OUTCOMES { th.number scope="col" { (outcome.as_str()) } }
                        th scope="col" { "Share" } th scope="col" { "90 days" }
                    } }
                    tbody {
                        @for ((target, cluster), outcomes) in &clusters {
                            @let days = days_of(target, cluster);
                            @let count = |outcome: &PlanOutcome| outcomes.get(outcome).copied().unwrap_or(0);
                            @let parts: Vec<(&str, usize)> = OUTCOMES.iter().map(|outcome| (outcome_tone(*outcome), count(outcome))).collect();
                            tr {
                                th scope="row" { @if cluster == NOT_TOLD { (cluster) } @else { (cluster_link(&target.to_string(), cluster)) } div.remedy.whose { (target) } }
                                td.number { (outcomes.values().sum::<usize>()) }
                                @for outcome in OUTCOMES { td.number { (count(outcome)) } }
                                td.bar { (bar(&parts)) }
                                td.spark { @if let Some(days) = days { (chart::spark(days)) } @else { "-" } }
                            }
                        }
                    }
                }
            }
            @if without_days > 0 {
                p { (counted(without_days, "cluster")) " without a line: a full pass writes the first day, for up to " (CLUSTERS) " clusters of a target." }
            }
        }
    }
}

fn ending_soon(snapshot: &Snapshot) -> Markup {
    let waiver = |object: &crate::model::spec::Object| match &object.spec {
        Spec::Waiver(waiver) => Some((object.metadata.name.clone(), waiver.clone())),
        _ => None,
    };
    let soon: Vec<(String, WaiverSpec)> = snapshot
        .configuration
        .objects
        .iter()
        .filter_map(waiver)
        .filter(|(_, waiver)| waiver.term(snapshot.at) != crate::model::spec::Term::InForce)
        .collect();
    html! {
        @if !soon.is_empty() {
            section aria-labelledby="ending" {
                h2 #ending { "Waivers that end soon or have ended" }
                ul { @for (name, waiver) in &soon { li {
                    a href="/waivers" { (name) } ", " (waiver.owner) ": " (waiver.term(snapshot.at).as_str()) ", ends " (time(waiver.expires_at))
                } } }
            }
        }
    }
}

fn controllers(snapshot: &Snapshot) -> Markup {
    let holder = |target: &TargetSnapshot| target.lease.as_ref().and_then(|lease| lease.holder.clone());
    html! {
        section aria-labelledby="controllers" {
            h2 #controllers { "Controllers" }
            div.wide tabindex="0" role="group" aria-label="Controllers" {
                table {
                    caption { "Each target, and who works on it" }
                    thead { tr { th scope="col" { "Target" } th scope="col" { "Lease" } th scope="col" { "Renewed" } th scope="col" { "Conditions" } } }
                    tbody {
                        @for target in &snapshot.targets {
                            tr {
                                th scope="row" { (target.id) }
                                td { @match holder(target) { Some(holder) => (short(&holder)), None => (badge("warn", "free")) } }
                                td { @if let Some(lease) = &target.lease { (time(lease.renewed_at)) } @else { "never" } }
                                td {
                                    @if !snapshot.is_watched(&target.id) { "its Target was deleted: what was found there is kept, and counts no more" }
                                    @else if target.record.conditions.is_empty() { "none" }
                                    @else { ul { @for condition in &target.record.conditions { li { (reason(condition)) } } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
