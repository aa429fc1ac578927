//! One cluster: how it stands, day by day.

use maud::html;

use super::chart;
use super::page::{Middle, Shown};
use super::parts::{cluster_of, is_service, outcome};
use crate::records::statuses::CLUSTERS;
use crate::web::metrics::catalogue::OUTCOMES;
use crate::web::query::Link;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let (name, wanted) = (shown.query.get("name").unwrap_or(""), shown.query.get("target").unwrap_or(""));
    let Some(target) = shown.snapshot.watched().find(|target| target.id.to_string() == wanted) else {
        return Middle::nothing("There is no such target.");
    };
    let reports = || target.reports.iter().filter(|(arn, _)| cluster_of(arn).as_deref() == Some(name));
    let status = target.clusters.get(name);
    if status.is_none() && reports().next().is_none() {
        return Middle::nothing("There is no such cluster.");
    }
    let count = |wanted| reports().filter(|(arn, report)| is_service(arn) && report.resource.outcome == wanted).count();
    let of_it = |path| String::from(Link::to(path).with("target", wanted).with("cluster", name));
    let main = html! {
        h1 { (name) }
        p.lead { "A cluster in " (target.id) }
        dl.facts {
            dt { "Services" } dd { a href=(of_it("/services")) { (reports().filter(|(arn, _)| is_service(arn)).count()) } }
            dt { "Findings" } dd { a href=(of_it("/findings")) { (reports().map(|(_, report)| report.resource.findings.len()).sum::<usize>()) } }
            @for wanted in OUTCOMES.iter().copied().filter(|wanted| count(*wanted) > 0) {
                dt { (outcome(wanted)) } dd { (count(wanted)) }
            }
        }
        section aria-labelledby="over-time" {
            h2 #over-time { "Over time" }
            @match status {
                Some(status) => {
                    p { "Of the judgements of all policies on the cluster and what is in it, the share that passes or is waived." }
                    (chart::compliance("cluster", "Share of judgements in the cluster that pass or are waived, of the last 90 days", &status.days))
                }
                None => { p { "No day is on record: a full pass writes one, for up to " (CLUSTERS) " clusters of a target." } }
            }
        }
    };
    Middle::new(name, main)
}
