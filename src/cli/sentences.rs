//! Statuses in sentences: what a policy would change and since when, what a waiver is good for and how long still.

use crate::model::spec::{Need, ResourceKind, Term};
use crate::plan::PolicyTally;
use crate::policy::WaiverUse;
use crate::records::statuses::counted;
use crate::records::summed::{FoundByPolicy, SummedPolicy, SummedWaiver};

/// What a policy finds, would change, and for how long it would have: what makes someone switch it on, or not.
pub(super) fn of_policy(resource: ResourceKind, status: &SummedPolicy) -> Vec<String> {
    let noun = if resource == ResourceKind::Cluster { "cluster" } else { "service" };
    let Some(found) = &status.found else {
        return vec!["no controller has judged a target by it yet".to_owned()];
    };
    let mut lines = vec![matches(&found.tally, noun), would_change(found, noun)];
    if found.days.first().is_some_and(|first| first.day < crate::model::Day::of(found.since)) {
        lines.push(format!("as it is written now since {}; the days before are of what it said then", found.since));
    }
    if found.incomplete {
        lines.push("not all could be listed: there may be more".to_owned());
    }
    let stale = status.conditions.iter().find(|condition| condition.reason == "NotYetObserved");
    lines.extend(stale.map(|condition| condition.message.clone()));
    lines
}

fn matches(tally: &PolicyTally, noun: &str) -> String {
    let counts = [
        (tally.passing, "passing"),
        (tally.failing, "failing"),
        (tally.waived, "waived"),
        (tally.older_tasks, "waiting for older tasks to end"),
        (tally.unread(), "that could not be judged"),
    ];
    let told: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
    format!("applies to {}{told}", counted(tally.matched, noun))
}

fn would_change(found: &FoundByPolicy, noun: &str) -> String {
    let tally = &found.tally;
    let mut parts = vec![match (tally.would_change, tally.deferred) {
        (0, _) => "would change nothing".to_owned(),
        (count, 0) => format!("would change {}", counted(count, noun)),
        (count, not_now) => format!("would change {}, {not_now} of them not right now", counted(count, noun)),
    }];
    if let Some(streak) = &found.would_have_changed {
        let gaps = match streak.gaps {
            0 => String::new(),
            gaps => format!(", {gaps} of them without a pass"),
        };
        parts.push(format!("has for {}{gaps}", counted(streak.days, "day")));
    }
    if tally.blocked > 0 {
        let mut codes: Vec<_> = tally.blocked_by.iter().collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), code.as_str()));
        let codes: Vec<String> = codes.iter().map(|(code, count)| format!("{} {count}", code.as_str())).collect();
        parts.push(format!("{} blocked: {}", tally.blocked, codes.join(", ")));
    }
    let without = tally.failing.saturating_sub(tally.fixable);
    if without > 0 {
        parts.push(format!("{without} without a fix"));
    }
    parts.join("; ")
}

/// What a waiver is good for, and how long still.
pub(super) fn of_waiver(status: &SummedWaiver) -> Vec<String> {
    let mut lines = vec![match status.term {
        Term::InForce => format!("in force, {} left", counted(days(status.days_left), "day")),
        Term::Expiring => {
            format!("expiring, {} left: renew it, or fix the cause", counted(days(status.days_left), "day"))
        }
        Term::Expired => "expired: what it covered counts again; it can be deleted".to_owned(),
    }];
    match &status.found {
        None if status.term == Term::Expired => {}
        None => lines.push("no controller has looked at what it covers yet".to_owned()),
        Some(found) => lines.push(match found.need {
            Need::Needed => {
                format!("covers {} on {}", counted(found.covers, "finding"), counted(found.resources, "resource"))
            }
            Need::Unneeded => "no longer needed: nothing fails that it would cover".to_owned(),
            Need::Unknown => "covers nothing that was seen, and not all could be seen".to_owned(),
        }),
    }
    lines
}

fn days(left: i64) -> usize {
    usize::try_from(left).unwrap_or(0)
}

/// `, 12 days left`, to be said after the name of a waiver.
pub(super) fn days_left(left: i64) -> String {
    format!(", {} left", counted(days(left), "day"))
}

/// The same of the waiver of that name; nothing where it is not among `uses`.
pub(super) fn left(uses: &[WaiverUse], name: &str) -> String {
    let found = uses.iter().find(|one| one.name == name);
    found.map_or_else(String::new, |one| days_left(one.days_left))
}

/// What somebody should do about waivers, a line each: those that have ended, that end soon, that are not needed in
/// what was looked at, `everywhere` or only where they are in scope.
pub(super) fn to_look_after(uses: &[WaiverUse], everywhere: bool, place: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for one in uses {
        let name = &one.name;
        match one.term {
            Term::Expired => lines.push(format!("waiver `{name}` expired at {}: renew or delete it", one.expires_at)),
            Term::Expiring => {
                let left = counted(days(one.days_left), "day");
                lines.push(format!("waiver `{name}` expires at {}, {left} left", one.expires_at));
            }
            Term::InForce => {}
        }
        if one.need == Need::Unneeded && (everywhere || one.unneeded > 0) {
            lines.push(format!("waiver `{name}` is not needed: nothing fails {place} that it would cover"));
        }
    }
    lines
}
