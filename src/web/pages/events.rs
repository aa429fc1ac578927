//! The event log: what was done, by whom, when and why.

use maud::{Markup, html};

use super::page::{Middle, Shown};
use super::parts::{commands, pages, rollout_link, search, time};
use crate::model::TargetId;
use crate::records::events::Event;
use crate::web::query::Slice;

const ROWS: usize = 100;

/// How many events stand on pages about one thing.
const ABOUT: usize = 50;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let query = shown.query;
    let wanted = |(_, event): &&(Option<TargetId>, Event)| {
        query.get("about").is_none_or(|about| event.is_about(about))
            && query.finds(&[&event.subject, &event.what, &event.message, &event.by])
    };
    let rows: Vec<&(Option<TargetId>, Event)> = shown.log.events.iter().filter(wanted).collect();
    let slice = Slice::of(rows.len(), ROWS, query);
    let main = html! {
        h1 { "Events" }
        form.filters method="get" action="/events" role="search" aria-label="Events" {
            (search(query, "Subject, person or text"))
            button { "Filter" }
        }
        p { (slice.total) " events, the newest first. " code { "plimsoll audit verify" } " checks that none was changed." }
        (table("The event log", slice.cut(rows)))
        (pages("/events", query, &slice))
    };
    Middle::new("Events", main)
}

/// The events of some subjects, the newest first.
pub(super) fn about(shown: &Shown<'_>, subjects: &[String]) -> Markup {
    let wanted = |(_, event): &&(Option<TargetId>, Event)| subjects.iter().any(|subject| event.is_about(subject));
    let rows: Vec<&(Option<TargetId>, Event)> = shown.log.events.iter().filter(wanted).take(ABOUT).collect();
    html! {
        @if !rows.is_empty() {
            section aria-labelledby="events" {
                h2 #events { "Events" }
                (table(&format!("Its last events, {ABOUT} at most"), rows.into_iter()))
            }
        }
    }
}

fn table<'a>(caption: &str, rows: impl Iterator<Item = &'a (Option<TargetId>, Event)>) -> Markup {
    html! {
        div.wide tabindex="0" role="group" aria-label="Events" {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { "When" } th scope="col" { "About" } th scope="col" { "What" } th scope="col" { "Message" } th scope="col" { "By" } } }
                tbody {
                    @for (target, event) in rows {
                        tr {
                            td { (time(event.at)) }
                            th scope="row" { (subject(target.as_ref(), &event.subject)) }
                            td.id { (event.what) }
                            td.text {
                                (commands(&event.message))
                                @if let Some(why) = event.reason.as_ref().filter(|why| !event.message.contains(&why.message)) { " (" (commands(&why.to_string())) ")" }
                            }
                            td { (event.by) }
                        }
                    }
                }
            }
        }
    }
}

/// What an event is about, with a link where there is a page of it.
fn subject(target: Option<&TargetId>, subject: &str) -> Markup {
    let rollout = match subject.split_once('/') {
        Some(("Rollout", name)) => Some(name),
        Some(("Change", name)) => name.rsplit_once('/').map(|(rollout, _)| rollout),
        _ => None,
    };
    html! {
        @match rollout.zip(target) {
            Some((name, target)) => (rollout_link(&target.to_string(), name, subject)),
            None => (subject),
        }
    }
}
