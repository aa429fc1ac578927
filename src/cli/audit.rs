//! `audit verify`: whether anybody has changed the event log.

use clap::Subcommand;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Answer, Error};
use super::output::Format;
use super::printed::Printed;
use super::run::Session;
use super::targets;
use crate::model::TargetId;
use crate::ports::Store;
use crate::records::events::{Events, verify};

/// What to do with the event log.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check every hash chain; 1 where one is broken
    Verify,
}

/// What `audit verify` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AuditReport {
    /// Events of all chains.
    events: usize,
    /// Every break, in a sentence.
    broken: Vec<String>,
    /// The last event of each chain: kept elsewhere, they show what was cut off.
    heads: Vec<Head>,
}

/// The last event of a chain.
#[derive(Debug, Serialize, JsonSchema)]
struct Head {
    /// Where.
    target: TargetId,
    /// What the chain is about.
    subject: String,
    /// The event's number, from 1.
    number: u64,
    /// The event's hash.
    hash: String,
}

impl Printed for AuditReport {
    const KIND: &'static str = "AuditReport";
}

pub(super) async fn run(session: &mut Session, verb: Verb) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let Verb::Verify = verb;
    let opened = session.store().await?;
    let report = verified(session, opened.store.as_ref()).await?;
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&report.to_json())?,
        _ => {
            for one in &report.broken {
                session.output.text(one)?;
            }
            session.output.text(&report.sentence())?;
        }
    }
    Ok(Answer::of(report.is_whole()))
}

/// Checks every chain.
pub(super) async fn verified(session: &Session, store: &dyn Store) -> Result<AuditReport, Error> {
    let (mut count, mut broken, mut heads) = (0, Vec::new(), Vec::<Head>::new());
    for target in targets::all(session, store).await? {
        let events = Events::of(store, &target).list("").await?;
        count += events.len();
        broken.extend(verify(&events).into_iter().map(|one| format!("{target}: {one}")));
        // What was cut off at the end of a chain cannot be seen in it: heads kept elsewhere show it.
        let last = events
            .iter()
            .enumerate()
            .filter(|(at, event)| events.get(at + 1).is_none_or(|next| next.subject != event.subject));
        heads.extend(last.map(|(_, event)| Head {
            target: target.clone(),
            subject: event.subject.clone(),
            number: event.number,
            hash: event.hash.clone(),
        }));
    }
    Ok(AuditReport { events: count, broken, heads })
}

impl AuditReport {
    /// For people.
    pub(super) fn sentence(&self) -> String {
        format!("{} events in {} chains, {} broken", self.events, self.heads.len(), self.broken.len())
    }

    /// Whether nobody has changed anything.
    pub(super) const fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }
}
