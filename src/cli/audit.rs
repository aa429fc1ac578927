//! `audit verify`: whether anybody has changed the event log.

use clap::Subcommand;
use serde_json::json;

use super::error::{Answer, Error};
use super::output::Format;
use super::run::Session;
use super::targets;
use crate::model::spec::API_VERSION;
use crate::records::events::{Events, verify};

/// What to do with the event log.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check every hash chain; 1 where one is broken
    Verify,
}

pub(super) async fn run(session: &mut Session, verb: Verb) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let Verb::Verify = verb;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let (mut count, mut broken, mut heads) = (0, Vec::new(), Vec::new());
    for target in targets::all(session, store).await? {
        let events = Events::of(store, &target).list("").await?;
        count += events.len();
        broken.extend(verify(&events).into_iter().map(|one| format!("{target}: {one}")));
        // What was cut off at the end of a chain cannot be seen in it: heads kept elsewhere show it.
        let last = events
            .iter()
            .enumerate()
            .filter(|(at, event)| events.get(at + 1).is_none_or(|next| next.subject != event.subject));
        heads.extend(last.map(|(_, event)| json!({ "target": target, "subject": event.subject, "number": event.number, "hash": event.hash })));
    }
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&json!({
            "apiVersion": API_VERSION, "kind": "AuditReport", "events": count, "broken": broken, "heads": heads,
        }))?,
        _ => {
            for one in &broken {
                session.output.text(one)?;
            }
            session.output.text(&format!("{count} events in {} chains, {} broken", heads.len(), broken.len()))?;
        }
    }
    Ok(Answer::of(broken.is_empty()))
}
