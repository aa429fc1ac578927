//! `audit verify`: whether anybody has changed the event log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{Answer, Error};
use super::output::Format;
use super::printed::Printed;
use super::run::Session;
use super::targets;
use crate::model::{TargetId, counted};
use crate::ports::Store;
use crate::records::applications::Applications;
use crate::records::events::{self, Events};

/// What to do with the event log.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check every hash chain; 1 where one is broken
    Verify {
        /// What `events -o json` or `audit verify -o json` printed once: shows also ends that were cut off, and chains that
        /// were written anew
        #[arg(long, value_name = "FILE")]
        heads: Option<PathBuf>,
    },
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
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Head {
    /// Where; not there for what people wrote, which is for every target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<TargetId>,
    /// The event.
    #[serde(flatten)]
    event: events::Head,
}

impl Printed for AuditReport {
    const KIND: &'static str = "AuditReport";
}

/// What an export holds of heads: those of `audit verify`, or the events themselves.
#[derive(Deserialize)]
struct Exported {
    #[serde(default)]
    heads: Vec<Head>,
    #[serde(default)]
    items: Vec<Head>,
}

pub(super) async fn run(session: &mut Session, verb: Verb) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let Verb::Verify { heads: seen } = verb;
    let seen = seen.as_deref().map(exported).transpose()?.unwrap_or_default();
    let opened = session.store().await?;
    let report = verified(session, opened.store.as_ref(), &seen).await?;
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

/// The newest events that were seen once, by target.
type Seen = BTreeMap<Option<TargetId>, Vec<events::Head>>;

/// Checks every chain, also against heads that were exported before.
pub(super) async fn verified(session: &Session, store: &dyn Store, seen: &Seen) -> Result<AuditReport, Error> {
    let (targets, now) = (targets::all(session, store).await?, session.now());
    let mut report = AuditReport { events: 0, broken: Vec::new(), heads: Vec::new() };
    // A target whose records are all gone is in nobody's list any more.
    let known = targets.into_iter().map(Some).chain([None]);
    let all: BTreeSet<Option<TargetId>> = known.chain(seen.keys().cloned()).collect();
    for target in all {
        let log = match &target {
            Some(target) => Events::of(store, target).list("").await?,
            None => Applications::of(store).list().await?,
        };
        report.events += log.len();
        let mut broken = events::verify_as_of(&log, now);
        broken.extend(events::against(&log, seen.get(&target).map(Vec::as_slice).unwrap_or_default(), now));
        let place = target.as_ref().map_or_else(String::new, |target| format!("{target}: "));
        report.broken.extend(broken.into_iter().map(|one| format!("{place}{one}")));
        report.heads.extend(events::heads(&log).into_iter().map(|event| Head { target: target.clone(), event }));
    }
    Ok(report)
}

/// The heads in an export, by target: of each chain the newest.
fn exported(path: &Path) -> Result<Seen, Error> {
    let unreadable = |why: String| {
        Error::new(format!("`{}` cannot be read as an export of the event log", path.display()))
            .caused_by(why)
            .help("name a file that `plimsoll audit verify -o json` or `plimsoll events -o json` has printed")
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let Exported { heads, items } = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let mut newest: BTreeMap<(Option<TargetId>, String), events::Head> = BTreeMap::new();
    for Head { target, event } in heads.into_iter().chain(items) {
        let slot = newest.entry((target, event.subject.clone())).or_insert_with(|| event.clone());
        if event.number > slot.number {
            *slot = event;
        }
    }
    // A file without any would pass whatever it is compared with.
    if newest.is_empty() {
        return Err(unreadable("it names no event".to_owned()));
    }
    let mut by_target = Seen::new();
    for ((target, _), head) in newest {
        by_target.entry(target).or_default().push(head);
    }
    Ok(by_target)
}

impl AuditReport {
    /// For people.
    pub(super) fn sentence(&self) -> String {
        format!(
            "{} in {}, {} broken",
            counted(self.events, "event"),
            counted(self.heads.len(), "chain"),
            self.broken.len()
        )
    }

    /// Whether nobody has changed anything.
    pub(super) const fn is_whole(&self) -> bool {
        self.broken.is_empty()
    }
}
