//! All rollouts: those under way first, then the newest.

use maud::html;

use super::page::{Middle, Shown};
use super::parts::{commands, pages, progress, rollout_link, rollout_phase, time};
use crate::records::campaign::Campaign;
use crate::rollout::told::{Counts, reason_of};
use crate::web::query::Slice;

const ROWS: usize = 50;

pub(super) fn middle(shown: &Shown<'_>) -> Middle {
    let all = shown.snapshot.targets.iter();
    let mut rows: Vec<_> =
        all.flat_map(|target| target.campaigns.iter().map(move |campaign| (&target.id, campaign))).collect();
    rows.sort_by_key(|(_, Campaign { rollout, .. })| {
        (rollout.value.state.is_final(), std::cmp::Reverse(rollout.value.created_at), rollout.value.name.clone())
    });
    let slice = Slice::of(rows.len(), ROWS, shown.query);
    let main = html! {
        h1 { "Rollouts" }
        @if rows.is_empty() {
            p { "None yet: nothing fails that a Binding enforces or proposes to fix." }
        } @else {
            div.wide tabindex="0" role="group" aria-label="Rollouts" {
                table {
                    caption { "Rollouts, those under way first" }
                    thead { tr {
                        th scope="col" { "Rollout and target" } th scope="col" { "Phase" }
                        th scope="col" { "Changes that have ended" } th scope="col" { "Changes" } th scope="col" { "Made" } th scope="col" { "Why" }
                    } }
                    tbody {
                        @for (target, campaign) in slice.cut(rows) {
                            @let rollout = &campaign.rollout.value;
                            @let counts = Counts::of(campaign.changes.iter().map(|change| &change.value));
                            @let ended = counts.total - counts.pending - counts.in_flight;
                            tr {
                                th scope="row" { (rollout_link(&target.to_string(), &rollout.name, &rollout.name)) div.remedy { (target) } }
                                td { (rollout_phase(rollout.state.phase())) }
                                td { (progress(ended, counts.total, &format!("changes of {} that have ended", rollout.name))) }
                                td.field { (counts.in_words()) }
                                td { (time(rollout.created_at)) }
                                td.text { @if let Some(why) = reason_of(&rollout.state).or(rollout.waiting.as_ref()) { (commands(&why.message)) } }
                            }
                        }
                    }
                }
            }
            (pages("/rollouts", shown.query, &slice))
        }
    };
    Middle::new("Rollouts", main)
}
