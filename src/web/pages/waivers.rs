//! Waivers, the one that ends first first.

use maud::html;

use super::page::{Middle, Shown};
use super::parts::{badge, time};
use crate::model::spec::{Need, Spec, Term};
use crate::records::summed::SummedWaiver;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let now = shown.snapshot.at;
    let mut rows: Vec<_> = shown
        .snapshot
        .configuration
        .objects
        .iter()
        .filter_map(|object| match &object.spec {
            Spec::Waiver(waiver) => Some((&object.metadata, waiver)),
            _ => None,
        })
        .map(|(metadata, waiver)| {
            let known = shown.snapshot.watched();
            let statuses: Vec<_> = known
                .filter_map(|target| Some((target.id.clone(), target.waivers.get(&metadata.name)?.clone())))
                .collect();
            (metadata, waiver, SummedWaiver::of(metadata, waiver, &statuses, now))
        })
        .collect();
    rows.sort_by_key(|(metadata, waiver, _)| (waiver.expires_at, metadata.name.clone()));
    let main = html! {
        h1 { "Waivers" }
        @if rows.is_empty() { p { "None." } }
        @else {
            div.wide tabindex="0" role="group" aria-label="Waivers" {
                table {
                    caption { "Exceptions, the one that ends first first. What they waive is still evaluated." }
                    thead { tr {
                        th scope="col" { "Waiver" } th scope="col" { "Policies" } th scope="col" { "Owner" } th scope="col" { "Reason" } th scope="col" { "Ends" } th.number scope="col" { "Days left" } th scope="col" { "State" }
                        th.number scope="col" { "Covers" } th scope="col" { "Needed" }
                    } }
                    tbody {
                        @for (metadata, waiver, status) in &rows {
                            tr {
                                th scope="row" { (metadata.name) }
                                td { (waiver.policies.join(", ")) }
                                td.field { (waiver.owner) @if let Some(by) = &metadata.updated_by { div.remedy { "applied by " (by) } } }
                                td.field { (waiver.reason) @if let Some(ticket) = &waiver.ticket { div.remedy { "ticket " (ticket) } } }
                                td { (time(waiver.expires_at)) }
                                td.number { (status.days_left) }
                                td { (badge(tone(status.term), status.term.as_str())) }
                                @match &status.found {
                                    Some(found) => { td.number { (found.covers) } td { (need(found.need)) } }
                                    None => { td.number { "-" } td { (if status.term == Term::Expired { "it has ended" } else { "no controller has looked yet" }) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    Middle::new("Waivers", main)
}

const fn tone(term: Term) -> &'static str {
    match term {
        Term::InForce => "good",
        Term::Expiring => "warn",
        Term::Expired => "bad",
    }
}

const fn need(need: Need) -> &'static str {
    match need {
        Need::Needed => "yes",
        Need::Unneeded => "no: it can be deleted",
        Need::Unknown => "not known: not all could be seen",
    }
}
