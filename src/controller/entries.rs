//! What the event log is told of records, and what it was not told because a controller ended in between.
//!
//! An event follows the write that it tells of, so that nothing is told that is not so. Whoever ends between the two leaves
//! one record whose chain ends before it. That needs nothing in the ordinary case: whoever reads the records next holds
//! the newest of them against their chains.

use std::time::Duration;

use super::advance::BY;
use super::books::Books;
use super::deregister::of_deregistration;
use super::error::ControllerError;
use super::holds::of_hold;
use crate::model::{Timestamp, counted};
use crate::records::campaign::Campaign;
use crate::records::events::{Entry, Event, RETENTION};
use crate::rollout::{Change, Rollout};

/// How much older than the newest record one may be whose event is missing: only the very last write of whoever ended may
/// be without, and wall clocks are not quite the same.
const LAST_WRITES: Duration = Duration::from_secs(60 * 60);

/// A hold that a person asked for bears the time of their machine.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);

/// Of a rollout that was made with so many changes.
pub(super) fn made(rollout: &Rollout, changes: usize, now: Timestamp, by: &str) -> Entry {
    let (changes, waves) = (counted(changes, "change"), counted(rollout.spec.waves.len(), "wave"));
    let message = format!("{changes} in {waves}, from plan {}", rollout.spec.plan);
    Entry { message, ..of_rollout(rollout, now, by) }
}

/// Of a rollout that has entered its state, or another wave.
pub(super) fn of_rollout(rollout: &Rollout, now: Timestamp, by: &str) -> Entry {
    let phase = rollout.state.phase();
    let wave = rollout.state.wave().and_then(|wave| rollout.spec.waves.get(wave).map(|record| (wave, record)));
    let message = match wave {
        Some((wave, record)) => format!("{phase}: wave {} (`{}`)", wave + 1, record.name),
        None => phase.to_owned(),
    };
    Entry {
        subject: format!("Rollout/{}", rollout.name),
        at: now,
        what: phase.to_owned(),
        message,
        reason: rollout.waiting.clone(),
        by: by.to_owned(),
    }
}

/// Of a change that has entered its state.
pub(super) fn of_change(change: &Change, now: Timestamp, by: &str) -> Entry {
    let phase = change.state.phase();
    Entry {
        subject: format!("Change/{}", change.name),
        at: now,
        what: phase.as_str().to_owned(),
        message: format!("{}: {}", change.spec.resource.short(), phase.as_str()),
        reason: change.history.last().and_then(|entry| entry.reason.clone()),
        by: by.to_owned(),
    }
}

/// The same, told after a restart.
fn afterwards(entry: Entry) -> Entry {
    Entry { message: format!("{} (recorded after a restart)", entry.message), ..entry }
}

/// What the chain of a rollout lacks, if it does. `chain` is all that was told of it.
fn missing_of_rollout(campaign: &Campaign, chain: &[Event], now: Timestamp) -> Option<Entry> {
    let rollout = &campaign.rollout.value;
    let Some(last) = chain.last() else {
        let gone = rollout.created_at + RETENTION <= now;
        return (!gone).then(|| afterwards(made(rollout, campaign.changes.len(), now, BY)));
    };
    let entry = of_rollout(rollout, now, BY);
    // Of one that was just made the event says more than its state.
    let told = last.what == entry.what && (rollout.state.wave().is_none() || last.message.starts_with(&entry.message));
    (!told).then(|| afterwards(entry))
}

/// What the chain of a change lacks, if it does. One that has not begun has none.
fn missing_of_change(change: &Change, chain: &[&Event], now: Timestamp) -> Option<Entry> {
    let entered = change.history.last().filter(|_| change.history.len() > 1)?;
    let told = match chain.last() {
        Some(last) => last.what == entered.phase.as_str(),
        None => entered.at + RETENTION <= now,
    };
    (!told).then(|| afterwards(of_change(change, now, BY)))
}

/// When a campaign was last written with something to tell, as far as its records say.
fn last_told(campaign: &Campaign) -> Timestamp {
    let rollout = &campaign.rollout.value;
    let changes = campaign.changes.iter().filter_map(|change| change.value.entered());
    changes.fold(rollout.entered_at.unwrap_or(rollout.created_at), Timestamp::max)
}

impl Books {
    /// Appends what the chains of rollouts and changes lack since whoever wrote them ended, and says how much that was.
    /// Costs two reads for each rollout that is open, or was written lately.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn tell_what_was_not(&self, now: Timestamp) -> Result<usize, ControllerError> {
        let done = self.registrations.iter().flat_map(|known| &known.value.deregistered).filter_map(|known| known.done);
        let held = self.holds.iter().map(|hold| hold.value.created_at);
        let newest = self.all().map(last_told).chain(done).chain(held).max();
        let open = self.campaigns.len();
        let lately = |campaign: &Campaign| newest.is_some_and(|newest| last_told(campaign) + LAST_WRITES >= newest);
        let mut told = 0;
        for (place, campaign) in self.all().enumerate() {
            if place >= open && !lately(campaign) {
                continue;
            }
            let name = &campaign.rollout.value.name;
            let chain = self.events_of(&format!("Rollout/{name}#")).await?;
            let events = self.events_of(&format!("Change/{name}/")).await?;
            let of_change = |change: &Change| {
                let subject = format!("Change/{}", change.name);
                let chain: Vec<&Event> = events.iter().filter(|event| event.subject == subject).collect();
                missing_of_change(change, &chain, now)
            };
            let changes = campaign.changes.iter().filter_map(|change| of_change(&change.value));
            for entry in missing_of_rollout(campaign, &chain, now).into_iter().chain(changes) {
                tracing::info!(subject = %entry.subject, what = %entry.what, "an event is recorded after a restart");
                self.event(entry).await?;
                told += 1;
            }
        }
        let lately = |done: Timestamp| newest.is_some_and(|newest| done + LAST_WRITES >= newest);
        for registration in self.registrations.iter().map(|known| &known.value) {
            for known in registration.deregistered.iter().filter(|known| known.done.is_some_and(lately)) {
                let entry = of_deregistration(registration, &known.arn, now);
                // A number is given once, and deregistered once.
                if self.events_of(&format!("{}#", entry.subject)).await?.is_empty() {
                    self.event(afterwards(entry)).await?;
                    told += 1;
                }
            }
        }
        // A hold is the first thing that is written of a failure. One that was released leaves nothing to tell by, but the
        // Command that a person asked it with.
        for hold in self.holds.iter().map(|known| &known.value).filter(|hold| lately(hold.created_at)) {
            let entry = of_hold(hold, now, hold.by.as_deref().unwrap_or(BY));
            let events = self.events_of(&format!("{}#", entry.subject)).await?;
            let of_it = |event: &Event| event.what == entry.what && event.message.starts_with(&entry.message);
            if !events.iter().any(|event| of_it(event) && event.at + CLOCKS_APART >= hold.created_at) {
                self.event(afterwards(entry)).await?;
                told += 1;
            }
        }
        Ok(told)
    }
}
