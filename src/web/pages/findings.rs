//! What fails, the worst first, with filters.

use std::collections::BTreeSet;

use maud::html;

use super::page::{Middle, Shown};
use super::parts::{self, choice, choices, cluster_of, pages, policy_link, resource_link, search, severity};
use crate::plan::PlannedFinding;
use crate::web::metrics::catalogue::SEVERITIES;
use crate::web::query::{Query, Slice};

const ROWS: usize = 100;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let query = shown.query;
    let targets = || shown.snapshot.watched().filter(|target| query.allows("target", &target.id.to_string()));
    let reports = || targets().flat_map(|target| target.reports.values());
    let all =
        reports().flat_map(|report| report.resource.findings.iter().map(|found| (&report.resource.resource, found)));
    let mut rows: Vec<(&String, &PlannedFinding)> = all.filter(|(arn, found)| is_wanted(query, arn, found)).collect();
    rows.sort_by(|(one, a), (other, b)| {
        (b.severity, &a.policy, one, &a.finding.path).cmp(&(a.severity, &b.policy, other, &b.finding.path))
    });
    let slice = Slice::of(rows.len(), ROWS, query);
    let policies: BTreeSet<&str> =
        shown.snapshot.watched().flat_map(|target| target.policies.keys().map(String::as_str)).collect();
    let clusters = parts::clusters(shown.snapshot);
    let main = html! {
        h1 { "Findings" }
        form.filters method="get" action="/findings" role="search" aria-label="Findings" {
            (parts::target_choice(shown))
            (choice("policy", "Policy", query, &choices("any", policies)))
            (choice("severity", "Severity", query, &choices("any", SEVERITIES.iter().map(|severity| severity.as_str()))))
            (choice("cluster", "Cluster", query, &choices("any", clusters.iter().map(String::as_str))))
            (choice("waived", "Waived", query, &choices("either", ["no", "yes"])))
            (choice("fixable", "Fixable", query, &choices("either", ["no", "yes"])))
            (search(query, "Service, field or text"))
            button { "Filter" }
        }
        p { (slice.total) " findings" }
        div.wide tabindex="0" role="group" aria-label="Findings" {
            table {
                caption { "Failed checks, each element by itself, the worst first" }
                thead { tr {
                    th scope="col" { "Severity" } th scope="col" { "Policy" } th scope="col" { "Service" }
                    th scope="col" { "Finding" } th scope="col" { "Field" } th scope="col" { "Fix" } th scope="col" { "Waiver" }
                } }
                tbody {
                    @for (arn, found) in slice.cut(rows) {
                        tr {
                            td { (severity(found.severity)) }
                            td { (policy_link(&found.policy)) }
                            th scope="row" { (resource_link(arn)) }
                            td.text { (parts::commands(&found.finding.message)) }
                            td.field { code { (found.finding.path) } }
                            td { (if found.finding.fixable { "yes" } else { "no" }) }
                            td { (found.finding.waiver.as_deref().unwrap_or("-")) }
                        }
                    }
                }
            }
        }
        (pages("/findings", query, &slice))
    };
    Middle::new("Findings", main)
}

fn is_wanted(query: &Query, arn: &str, found: &PlannedFinding) -> bool {
    let yes = |holds: bool| if holds { "yes" } else { "no" };
    let finding = &found.finding;
    query.allows("policy", &found.policy)
        && query.allows("severity", found.severity.as_str())
        && query.allows("waived", yes(finding.waiver.is_some()))
        && query.allows("fixable", yes(finding.fixable))
        && query.get("cluster").is_none_or(|cluster| cluster_of(arn).as_deref() == Some(cluster))
        && query.finds(&[arn, &finding.path, &finding.message])
}
