//! The event log: append-only, one hash chain for each subject (a Change, a Rollout, a Command).
//!
//! Each event carries the hash of the one before, and when that was; what was edited, removed or put elsewhere breaks the
//! chain there. Events go when they are past [`RETENTION`], the oldest of a chain first or nearly so: an event that tells
//! that the one before it is as old as that may stand without it.
//!
//! Whoever may write the controller's records can write a whole chain anew, or cut off its end. Heads that are kept
//! elsewhere show that: see [`against`].

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::{Reason, TargetId, Timestamp, document};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What it is about: `Change/NAME`, `Rollout/NAME`, `Hold/ARN`, `Registration/REVISION`, …
    pub subject: String,
    /// From 1, without a gap.
    pub number: u64,
    /// When, by the writer's wall clock.
    pub at: Timestamp,
    /// `Registering`, `Updating`, …: a phase, or what was done.
    pub what: String,
    /// In a sentence, without secrets.
    pub message: String,
    /// Why, where there is a reason.
    pub reason: Option<Reason>,
    /// Who asked: a person's ARN, or `plimsoll`.
    pub by: String,
    /// What else it is about, as `KIND/NAME`: the objects that were applied or deleted, the rollout that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// The hash of the event before; empty for the first.
    pub previous: String,
    /// When the event before was: whether it may have gone by now. Not there in the first, nor in what was written before
    /// events had a retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_at: Option<Timestamp>,
    /// The hash of this one, without this member.
    pub hash: String,
}

impl Event {
    /// Whether it is about `subject`, alone or among others.
    #[must_use]
    pub fn is_about(&self, subject: &str) -> bool {
        self.subject == subject || self.about.iter().any(|about| about.eq_ignore_ascii_case(subject))
    }
}

impl Stored for Event {
    const ITEM: &'static ItemKind = &items::EVENT;
}

/// How long an event is kept: a year, and a month to look back at it.
pub const RETENTION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it is about.
    pub subject: String,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: String,
    /// In a sentence.
    pub message: String,
    /// Why.
    pub reason: Option<Reason>,
    /// Who asked.
    pub by: String,
}

/// A break in a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An event says something else than when it was written.
    #[error("event {number} of `{subject}` was changed after it was written")]
    Edited {
        /// Whose chain.
        subject: String,
        /// Which event.
        number: u64,
    },
    /// An event is missing, or stands where another stood.
    #[error("event {number} of `{subject}` is missing or was moved")]
    Missing {
        /// Whose chain.
        subject: String,
        /// The number that should be there.
        number: u64,
    },
    /// The chain was whole up to here once, and is not any more.
    #[error("event {number} of `{subject}` was in the log once, and the chain ends before it or begins after it")]
    CutOff {
        /// Whose chain.
        subject: String,
        /// The event that was seen once.
        number: u64,
    },
    /// The chain holds together, but is not the one that was seen once.
    #[error("event {number} of `{subject}` is another one than was seen once: the chain was written anew")]
    Rewritten {
        /// Whose chain.
        subject: String,
        /// The event that was seen once.
        number: u64,
    },
}

/// The newest event of a chain, as it was seen once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Head {
    /// What the chain is about.
    pub subject: String,
    /// The event's number, from 1.
    pub number: u64,
    /// When it was.
    pub at: Timestamp,
    /// The event's hash.
    pub hash: String,
}

/// The event log of one target.
#[derive(Clone, Copy)]
pub struct Events<'a> {
    store: &'a dyn Store,
    target: &'a TargetId,
}

impl<'a> Events<'a> {
    /// Of this target in this store.
    #[must_use]
    pub fn of(store: &'a dyn Store, target: &'a TargetId) -> Self {
        Self { store, target }
    }

    fn partition(&self) -> String {
        format!("rt#{}#events", self.target)
    }

    fn key(&self, subject: &str, number: u64) -> Key {
        Key::new(self.partition(), format!("{subject}#{number:08}"))
    }

    /// Appends to the subject's chain.
    ///
    /// # Errors
    /// A conflict where somebody else appended at the same time.
    pub async fn append(&self, entry: Entry) -> Result<Event, RecordError> {
        self.append_about(entry, Vec::new()).await
    }

    async fn append_about(&self, entry: Entry, about: Vec<String>) -> Result<Event, RecordError> {
        let chain = typed::all::<Event>(self.store, &self.partition(), &format!("{}#", entry.subject)).await?;
        let last = chain.last().map(|(_, event)| &event.value);
        let event = following(last, entry, about);
        let (key, expires) = (self.key(&event.subject, event.number), event.at + RETENTION);
        typed::put_until(self.store, &key, &event, Expect::Absent, Some(expires)).await?;
        Ok(event)
    }

    /// Appends, with what else it is about, unless the subject's newest event says the same: for what is told once, by a controller that may be
    /// stopped between telling and writing down that it was told.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn append_once(&self, entry: Entry, about: Vec<String>) -> Result<Option<Event>, RecordError> {
        let chain = typed::all::<Event>(self.store, &self.partition(), &format!("{}#", entry.subject)).await?;
        let same = |event: &Event| event.what == entry.what && event.message == entry.message;
        if chain.last().is_some_and(|(_, last)| same(&last.value)) {
            return Ok(None);
        }
        self.append_about(entry, about).await.map(Some)
    }

    /// All events, or those of subjects that start with `prefix`, by subject and number.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Event>, RecordError> {
        let events = typed::all::<Event>(self.store, &self.partition(), prefix).await?;
        Ok(events.into_iter().map(|(_, event)| event.value).collect())
    }
}

/// The event that follows the `last` one of its chain.
pub(super) fn following(last: Option<&Event>, entry: Entry, about: Vec<String>) -> Event {
    let mut event = Event {
        number: last.map_or(1, |last| last.number + 1),
        previous: last.map(|last| last.hash.clone()).unwrap_or_default(),
        previous_at: last.map(|last| last.at),
        hash: String::new(),
        subject: entry.subject,
        at: entry.at,
        what: entry.what,
        message: entry.message,
        reason: entry.reason,
        by: entry.by,
        about,
    };
    event.hash = hash(&event);
    event
}

/// The hash of an event: of everything it says but the hash itself.
fn hash(event: &Event) -> String {
    let bare = Event { hash: String::new(), ..event.clone() };
    document::hash(&serde_json::to_value(&bare).unwrap_or_default())
}

/// Whether an event of that time may have gone by now.
fn may_have_gone(at: Timestamp, now: Timestamp) -> bool {
    at + RETENTION <= now
}

/// Every break in the chains of `events` of a log that is younger than [`RETENTION`]: nothing has gone from it.
#[must_use]
pub fn verify(events: &[Event]) -> Vec<Broken> {
    verify_as_of(events, Timestamp::from_millis(i64::MIN))
}

/// Every break in the chains of `events`, which are in the order of [`Events::list`], as of `now`.
///
/// Limits: it cannot tell that the newest events of a chain were removed, or all of it written anew; [`against`] can.
#[must_use]
pub fn verify_as_of(events: &[Event], now: Timestamp) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut previous: Option<&Event> = None;
    for event in events {
        let before = previous.filter(|before| before.subject == event.subject);
        let number = before.map_or(1, |before| before.number + 1);
        let link = before.map_or("", |before| before.hash.as_str());
        let subject = event.subject.clone();
        let follows = event.number == number && event.previous == link;
        let gone = event.number > number && event.previous_at.is_some_and(|at| may_have_gone(at, now));
        if hash(event) != event.hash {
            broken.push(Broken::Edited { subject, number: event.number });
        } else if !follows && !gone {
            broken.push(Broken::Missing { subject, number });
        }
        previous = Some(event);
    }
    broken
}

/// The newest event of every chain of `events`, which are in the order of [`Events::list`].
#[must_use]
pub fn heads(events: &[Event]) -> Vec<Head> {
    let ends = |at: usize, event: &Event| events.get(at + 1).is_none_or(|next| next.subject != event.subject);
    let newest = events.iter().enumerate().filter(|(at, event)| ends(*at, event));
    newest
        .map(|(_, Event { subject, number, at, hash, .. })| Head {
            subject: subject.clone(),
            number: *number,
            at: *at,
            hash: hash.clone(),
        })
        .collect()
}

/// Every break in `events` that only shows against what was seen once: ends that were cut off, chains written anew.
#[must_use]
pub fn against(events: &[Event], seen: &[Head], now: Timestamp) -> Vec<Broken> {
    let mut broken = Vec::new();
    for head in seen {
        let (subject, number) = (head.subject.clone(), head.number);
        match events.iter().find(|event| event.subject == head.subject && event.number == head.number) {
            Some(found) if found.hash == head.hash => {}
            // Past its retention the number may have been given again, in a chain that began anew.
            _ if may_have_gone(head.at, now) => {}
            Some(_) => broken.push(Broken::Rewritten { subject, number }),
            None => broken.push(Broken::CutOff { subject, number }),
        }
    }
    broken
}

#[cfg(test)]
mod tests;
