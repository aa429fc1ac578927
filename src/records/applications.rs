//! Who put what in force, and when: one chain of events for each class of configuration, also of what is gone since.
//!
//! The newest event of a chain is a member of the class's head, so that the write that puts objects in force is the one
//! that tells of it: neither is ever without the other. Before a head is replaced its event is written as an item of its
//! own, as often as somebody tries: it says the same each time. Nothing here is written by controllers, which may not
//! write what people write.
//!
//! The name is what the command line found out about its caller. Whoever may write the class could write another one; what
//! cannot be forged is CloudTrail's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::configuration::{Application, Applied, Class, Head, Outcome};
use super::events::{self, Entry, Event, RETENTION};
use super::items::{self, ItemKind};
use super::typed::{self, RecordError, Stored};
use crate::model::Timestamp;
use crate::model::spec::{Kind, Object, Spec};
use crate::ports::Store;
use crate::ports::store::{Expect, Key};

/// An event that no head has any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Told(pub(super) Event);

impl Stored for Told {
    const ITEM: &'static ItemKind = &items::APPLICATION;
}

/// Under which sort keys they are.
const PREFIX: &str = "application#";

/// So many objects are told of by name in the sentence; what is there more of is counted.
const BY_NAME: usize = 3;

/// Of whom nobody knows.
pub const NOBODY_KNOWS: &str = "unknown";

/// Reads who put what in force.
#[derive(Clone, Copy)]
pub struct Applications<'a> {
    store: &'a dyn Store,
}

impl<'a> Applications<'a> {
    /// In this store.
    #[must_use]
    pub fn of(store: &'a dyn Store) -> Self {
        Self { store }
    }

    /// The events of all classes, by subject and number.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<Event>, RecordError> {
        let mut all = Vec::new();
        for class in Class::ALL {
            // The head first: what it tells of is an item only once there is another head.
            let head = typed::get::<Head>(self.store, class.head()).await?;
            let mut chain = told(self.store, class).await?;
            match head.and_then(|head| head.value.last) {
                Some(last) if chain.last().is_none_or(|event| event.number < last.number) => chain.push(last),
                _ => {}
            }
            all.extend(chain);
        }
        all.sort_by(|one, other| (&one.subject, one.number).cmp(&(&other.subject, other.number)));
        Ok(all)
    }
}

async fn told(store: &dyn Store, class: Class) -> Result<Vec<Event>, RecordError> {
    let chain = typed::all::<Told>(store, class.partition(), PREFIX).await?;
    Ok(chain.into_iter().map(|(_, told)| told.value.0).collect())
}

/// Keeps the event of a head that is about to be replaced, and answers with the one that the next one follows.
pub(super) async fn keep(store: &dyn Store, class: Class, head: &Head) -> Result<Option<Event>, RecordError> {
    let Some(last) = &head.last else {
        // The first of this class, or a head that an older plimsoll wrote, which has left out the member.
        return Ok(if head.generation == 0 { None } else { told(store, class).await?.pop() });
    };
    let key = Key::new(class.partition(), format!("{PREFIX}{:08}", last.number));
    typed::put_until(store, &key, &Told(last.clone()), Expect::Any, Some(last.at + RETENTION)).await?;
    Ok(Some(last.clone()))
}

/// The event of what an application does to a class.
pub(super) fn event(
    class: Class,
    application: &Application,
    applied: &[Applied],
    before: Option<&Event>,
    now: Timestamp,
) -> Event {
    let changed: Vec<&Applied> = applied.iter().filter(|one| one.outcome != Outcome::Unchanged).collect();
    let entry = Entry {
        subject: class.subject().to_owned(),
        at: now,
        what: what(&changed).to_owned(),
        message: sentence(application, &changed),
        reason: None,
        by: application.by.clone().unwrap_or_else(|| NOBODY_KNOWS.to_owned()),
    };
    events::following(before, entry, changed.iter().map(|one| name(one)).collect())
}

/// In a word: that of every object, or that they were applied.
fn what(changed: &[&Applied]) -> &'static str {
    match changed.split_first() {
        Some((first, rest)) if rest.iter().all(|one| one.outcome == first.outcome) => match first.outcome {
            Outcome::Created => "Created",
            Outcome::Configured => "Configured",
            Outcome::Pruned => "Deleted",
            Outcome::Unchanged => "Applied",
        },
        _ => "Applied",
    }
}

fn sentence(application: &Application, changed: &[&Applied]) -> String {
    if changed.is_empty() {
        let set = application.set.as_deref().unwrap_or_default();
        return format!("nothing but which objects are of the set `{set}`");
    }
    let word = |one: &Applied| if one.outcome == Outcome::Pruned { "deleted" } else { one.outcome.as_str() };
    if changed.len() <= BY_NAME {
        let told = |one: &&Applied| {
            let why = why(&application.objects, one).map_or_else(String::new, |why| format!(": {why}"));
            format!("{} {}{why}", name(one), word(one))
        };
        return changed.iter().map(told).collect::<Vec<_>>().join("; ");
    }
    let mut counts: BTreeMap<(&str, Kind), usize> = BTreeMap::new();
    for one in changed {
        *counts.entry((word(one), one.kind)).or_default() += 1;
    }
    let told = counts.iter().map(|((word, kind), count)| match count {
        1 => format!("1 {kind} {word}"),
        _ => format!("{count} {} {word}", kind.plural()),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// `KIND/NAME`
fn name(applied: &Applied) -> String {
    format!("{}/{}", applied.kind, applied.name)
}

/// Why, where people have to say so: it would be gone with the object.
fn why<'a>(objects: &'a [Object], applied: &Applied) -> Option<&'a str> {
    let is = |object: &&Object| object.kind() == applied.kind && object.metadata.name == applied.name;
    match &objects.iter().find(is)?.spec {
        Spec::Freeze(freeze) => Some(&freeze.reason),
        Spec::Waiver(waiver) => Some(&waiver.reason),
        Spec::Target(_) | Spec::RolloutStrategy(_) | Spec::Policy(_) | Spec::Binding(_) => None,
    }
}

#[cfg(test)]
mod tests;
