//! Services and clusters, as last reported, and what is to become of each.

use maud::html;

use super::page::{Middle, Shown};
use super::parts::{self, choice, choices, cluster_of, outcome, pages, resource_link, search};
use crate::records::reports::ServiceReport;
use crate::web::metrics::catalogue::OUTCOMES;
use crate::web::query::Slice;

/// How many rows a page has: enough to scroll, few enough to be made and read at once.
const ROWS: usize = 100;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let query = shown.query;
    let wanted = |arn: &str, report: &ServiceReport| {
        let planned = &report.resource;
        query.allows("outcome", planned.outcome.as_str())
            && query.get("cluster").is_none_or(|cluster| cluster_of(arn).as_deref() == Some(cluster))
            && query.finds(&[arn, planned.task_definition.as_deref().unwrap_or("")])
    };
    let targets = shown.snapshot.watched().filter(|target| query.allows("target", &target.id.to_string()));
    let all = targets.flat_map(|target| &target.reports);
    let rows: Vec<(&String, &ServiceReport)> = all.filter(|(arn, report)| wanted(arn, report)).collect();
    let slice = Slice::of(rows.len(), ROWS, query);
    let clusters = parts::clusters(shown.snapshot);
    let main = html! {
        h1 { "Services" }
        form.filters method="get" action="/services" role="search" aria-label="Services" {
            (parts::target_choice(shown))
            (choice("outcome", "Outcome", query, &choices("any", OUTCOMES.iter().map(|outcome| outcome.as_str()))))
            (choice("cluster", "Cluster", query, &choices("any", clusters.iter().map(String::as_str))))
            (search(query, "Name or revision"))
            button { "Filter" }
        }
        p { (slice.total) " services, clusters and what else policies judge" }
        div.wide tabindex="0" role="group" aria-label="Services" {
            table {
                caption { "What was last found, and what is to become of it" }
                thead { tr { th scope="col" { "Service" } th scope="col" { "Outcome" } th scope="col" { "Runs" } th.number scope="col" { "Findings" } th scope="col" { "Why" } } }
                tbody {
                    @for (arn, report) in slice.cut(rows) {
                        @let planned = &report.resource;
                        tr {
                            th scope="row" { (resource_link(arn)) }
                            td { (outcome(planned.outcome)) }
                            td.id { @if let Some(revision) = &planned.task_definition { (parts::short(revision)) } }
                            td.number { (planned.findings.len()) }
                            td.text { @if let Some(reason) = &planned.reason { (reason.code.as_str()) ": " (parts::commands(&reason.message)) } }
                        }
                    }
                }
            }
        }
        (pages("/services", query, &slice))
    };
    Middle::new("Services", main)
}
