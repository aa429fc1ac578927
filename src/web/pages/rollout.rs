//! One rollout: its waves, where each change stands and what it waits for, and what a person can do.

use maud::{Markup, html};

use super::page::{Middle, Shown};
use super::parts::{commands, pages, phase, progress, reason, resource_link, rollout_phase, time};
use crate::model::Span;
use crate::records::campaign::Campaign;
use crate::rollout::told::{Counts, next, reason_of, wave_state};
use crate::rollout::{Change, Rollout, waits};
use crate::web::query::Slice;

/// How many changes a page shows, over all waves.
const ROWS: usize = 200;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let asked = |name: &str| shown.query.get(name).unwrap_or("");
    let (target, name) = (asked("target"), asked("name"));
    let targets = shown.snapshot.targets.iter().filter(|known| known.id.to_string() == target);
    let campaign = targets.flat_map(|target| &target.campaigns).find(|campaign| campaign.rollout.value.name == name);
    match campaign {
        Some(campaign) => Middle::new(name, told(shown, target, campaign)),
        None => Middle::nothing("There is no such rollout."),
    }
}

fn told(shown: &Shown<'_>, target: &str, campaign: &Campaign) -> Markup {
    let rollout = &campaign.rollout.value;
    let changes: Vec<&Change> = campaign.changes.iter().map(|change| &change.value).collect();
    let counts = Counts::of(changes.iter().copied());
    // A change may stand outside every wave where a newer version has made the rollout: it is shown last.
    let mut ordered = changes.clone();
    ordered.sort_by_key(|change| change.spec.wave);
    let slice = Slice::of(ordered.len(), ROWS, shown.query);
    let here: Vec<&Change> = slice.cut(ordered).collect();
    html! {
        h1 { "Rollout " (rollout.name) " " (rollout_phase(rollout.state.phase())) }
        p { (progress(counts.total - counts.pending - counts.in_flight, counts.total, "changes that have ended")) " changes have ended" }
        @if let Some(why) = reason_of(&rollout.state).or(rollout.waiting.as_ref()) { p.reason { (reason(why)) } }
        dl.facts {
            dt { "Stands" } dd { (counts.in_words()) }
            dt { "Next" } dd { (commands(&next(rollout, &counts))) }
            dt { "Target" } dd { (target) }
            dt { "Strategy" } dd { (rollout.spec.strategy_name) }
            dt { "Made" } dd { (time(rollout.created_at)) }
            dt { "Plan" } dd { code { (rollout.spec.plan) } }
        }
        @for (index, record) in rollout.spec.waves.iter().enumerate() {
            @let members: Vec<&Change> = changes.iter().copied().filter(|change| change.spec.wave == index).collect();
            @let ended = members.iter().filter(|change| change.state.phase().is_final()).count();
            section aria-labelledby={ "wave-" (index + 1) } {
                h2 id={ "wave-" (index + 1) } { "Wave " (index + 1) ": " (record.name) }
                p {
                    (progress(ended, members.len(), &format!("changes of wave {} that have ended", index + 1)))
                    ", " (wave_state(&rollout.state, index, &members, shown.snapshot.at))
                    @if record.bake_seconds > 0 { ", bakes " (Span::from_secs(record.bake_seconds)) }
                    ", at most " (record.max_in_flight) " at once"
                }
                (table(shown, rollout, &changes, &format!("Changes of wave {} ({})", index + 1, record.name), here.iter().copied().filter(|change| change.spec.wave == index)))
            }
        }
        @if here.iter().any(|change| change.spec.wave >= rollout.spec.waves.len()) {
            (table(shown, rollout, &changes, "Changes outside of its waves", here.iter().copied().filter(|change| change.spec.wave >= rollout.spec.waves.len())))
        }
        (pages("/rollout", shown.query, &slice))
        (super::events::about(shown, &[format!("Rollout/{}", rollout.name)]))
    }
}

fn table<'a>(
    shown: &Shown<'_>,
    rollout: &Rollout,
    all: &[&Change],
    caption: &str,
    rows: impl Iterator<Item = &'a Change>,
) -> Markup {
    let rows: Vec<&Change> = rows.collect();
    // What the whole rollout waits for is said once, above.
    let of_all = reason_of(&rollout.state).or(rollout.waiting.as_ref());
    html! {
        @if !rows.is_empty() {
            div.wide tabindex="0" role="group" aria-label=(caption) {
                table {
                    caption { (caption) }
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Phase" } th scope="col" { "Since" } th scope="col" { "From" } th scope="col" { "To" } th scope="col" { "Why" } } }
                    tbody {
                        @for change in rows {
                            tr {
                                th scope="row" { (resource_link(change.spec.resource.as_str())) }
                                td { (phase(change.state.phase())) }
                                td { @if let Some(at) = change.entered() { (time(at)) } }
                                td.id { @if let Some(from) = &change.spec.from { (from.short()) } }
                                td.id { @if let Some(to) = &change.spec.to { (to.short()) } }
                                td.text { @if let Some(why) = waits::why(rollout, all.iter().copied(), change).filter(|why| Some(why) != of_all) {
                                    strong { (why.code.as_str()) } ": " (commands(&why.message))
                                    @if let Some(until) = why.until { (crate::rollout::told::left(until, shown.snapshot.at)) }
                                } }
                            }
                        }
                    }
                }
            }
        }
    }
}
