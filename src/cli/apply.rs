//! `apply`: objects from files into the store, all or nothing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Answer, Error};
use super::output::{Format, talk};
use super::printed::Printed;
use super::run::Session;
use super::{plan, policies, report};
use crate::controller::targets::Stored;
use crate::manifest::Sourced;
use crate::model::spec::{Kind, Object};
use crate::ports::Store;
use crate::records::configuration::{Application, Applied, Configuration, Configurations, Outcome};

/// What to apply.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files and folders (walked, *.yaml, *.yml, *.json), `-` for stdin
    #[arg(short, long = "filename", value_name = "PATH", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,
    /// Store nothing; say what would become of each object
    #[arg(long)]
    dry_run: bool,
    /// Remove what was applied under this --set before and is gone from the files; never a Freeze
    #[arg(long, requires = "set")]
    prune: bool,
    /// Remember the objects under this name
    #[arg(long, value_name = "NAME")]
    set: Option<String>,
}

const CONSEQUENCE: &str = "nothing was stored";

/// What `apply` says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplyReport {
    /// Nothing was stored: it says what would have been.
    dry_run: bool,
    /// What became of each object.
    items: Vec<Applied>,
}

impl Printed for ApplyReport {
    const KIND: &'static str = "ApplyReport";
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let sourced = policies::read(&arguments.filename, CONSEQUENCE)?;
    if sourced.is_empty() {
        return Err(Error::new("there is no object in the files")
            .help("a file holds objects with apiVersion, kind, metadata and spec"));
    }
    let opened = session.store().await?;
    let application = Application {
        objects: sourced.iter().map(|one| one.object.clone()).collect(),
        set: arguments.set.clone(),
        prune: arguments.prune,
        delete: Vec::new(),
        by: Some(opened.caller_if_told(session.clock.as_ref()).await),
    };
    let store = opened.store.as_ref();
    // Once more after a conflict: what the other has changed is compiled together with ours, unless it is the same.
    let dry_run = arguments.dry_run;
    let (applied, wanted) = match attempt(session, store, &application, &sourced, dry_run, None).await? {
        Attempt::Done(applied, wanted) => (applied, wanted),
        Attempt::Conflict(seen) => match attempt(session, store, &application, &sourced, dry_run, Some(&seen)).await? {
            Attempt::Done(applied, wanted) => (applied, wanted),
            Attempt::Conflict(_) => {
                return Err(Error::new("somebody else changes the objects at the same time").help(
                    "see what they do with `plimsoll get`, then apply again; what was stored before is in force",
                ));
            }
        },
    };
    print(session, &applied, arguments.dry_run)?;
    fleet(session, &wanted, Arc::clone(&opened.store)).await?;
    Ok(Answer::Yes)
}

enum Attempt {
    Done(Vec<Applied>, Configuration),
    /// Somebody else was faster, after this was seen.
    Conflict(Configuration),
}

/// Checks what would be in force, then puts it in force. `seen` is what an earlier attempt has seen: what somebody else has
/// changed since is not written over.
async fn attempt(
    session: &Session,
    store: &dyn Store,
    application: &Application,
    sourced: &[Sourced],
    dry_run: bool,
    seen: Option<&Configuration>,
) -> Result<Attempt, Error> {
    let configurations = Configurations::of(store);
    let now = session.now();
    let current = configurations.read(None).await?.unwrap_or_default();
    let expected = configurations.apply(application, now, true).await?;
    if let Some(theirs) = seen.and_then(|seen| changed_since(seen, &current, &expected)) {
        return Err(Error::new(format!("somebody else changed `{theirs}` at the same time: yours is not in force"))
            .help("look at theirs with `plimsoll get`, then apply again"));
    }
    let wanted = overlay(&current, application, &expected);
    let set = policies::compile(&wanted.objects, sourced, CONSEQUENCE)?;
    policies::hold_to_a_year(sourced, now, CONSEQUENCE)?;
    policies::warn_of_expired(sourced, now);
    warn_of_doubles(&wanted, sourced);
    policies::hold_to_examples(sourced, CONSEQUENCE)?;
    policies::warn_of_guarded(&set, sourced, now);
    if dry_run {
        return Ok(Attempt::Done(expected, wanted));
    }
    match configurations.apply(application, now, false).await {
        Ok(applied) => Ok(Attempt::Done(applied, wanted)),
        Err(error) if error.is_conflict() => Ok(Attempt::Conflict(current)),
        Err(error) => Err(error.into()),
    }
}

/// Warns of Targets of which nobody will hear anything: another one is that account and region. They are no error, for a
/// Target may be given another name by applying it under that and deleting the other.
fn warn_of_doubles(wanted: &Configuration, sourced: &[Sourced]) {
    let doubles = Stored::of(&wanted.objects, None).doubles;
    let is_ours = |name: &String| {
        sourced.iter().any(|one| one.object.kind() == Kind::Target && one.object.metadata.name == *name)
    };
    for (name, first) in doubles.iter().filter(|(name, first)| is_ours(name) || is_ours(first)) {
        talk(&format!(
            "warning: Target `{name}` will not be watched: Target `{first}` is the same account and region; delete one of them with `plimsoll delete target NAME`"
        ));
    }
}

/// The first object that is to change and that somebody else has changed since it was `seen`.
fn changed_since(seen: &Configuration, current: &Configuration, expected: &[Applied]) -> Option<String> {
    let version = |of: &Configuration, applied: &Applied| {
        of.find(applied.kind, &applied.name).and_then(|object| object.metadata.resource_version.clone())
    };
    let changed = |applied: &&Applied| {
        applied.outcome != Outcome::Unchanged && version(seen, applied) != version(current, applied)
    };
    expected.iter().find(changed).map(|applied| format!("{}/{}", applied.kind.as_str().to_lowercase(), applied.name))
}

/// What will be in force: the objects that stay, and those that are applied.
pub(super) fn overlay(current: &Configuration, application: &Application, applied: &[Applied]) -> Configuration {
    let gone = |object: &&Object| {
        applied
            .iter()
            .any(|one| one.outcome == Outcome::Pruned && one.kind == object.kind() && one.name == object.metadata.name)
    };
    let replaced = |object: &&Object| {
        application.objects.iter().any(|new| new.kind() == object.kind() && new.metadata.name == object.metadata.name)
    };
    let kept = current.objects.iter().filter(|object| !gone(object) && !replaced(object));
    let mut objects: Vec<Object> = kept.chain(&application.objects).cloned().collect();
    objects.sort_by(|one, other| (one.kind(), &one.metadata.name).cmp(&(other.kind(), &other.metadata.name)));
    Configuration { generation: current.generation, objects }
}

fn print(session: &mut Session, applied: &[Applied], dry_run: bool) -> Result<(), Error> {
    match session.output.format() {
        Format::Json | Format::Yaml => {
            session.output.value(&ApplyReport { dry_run, items: applied.to_vec() }.to_json())
        }
        Format::Name => {
            let lines: Vec<String> = applied.iter().map(name).collect();
            session.output.text(&lines.join("\n"))
        }
        _ => {
            let mark = if dry_run { " (dry run)" } else { "" };
            let line = |one: &Applied| format!("{} {}{mark}", name(one), one.outcome.as_str());
            session.output.text(&applied.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// `policy/NAME`, as it is typed after `get`.
fn name(applied: &Applied) -> String {
    format!("{}/{}", applied.kind.as_str().to_lowercase(), applied.name)
}

/// What it would change in the fleet. The objects are stored by now: what goes wrong here is only told.
async fn fleet(session: &mut Session, wanted: &Configuration, store: Arc<dyn Store>) -> Result<(), Error> {
    if !matches!(session.output.format(), Format::Table | Format::Wide) {
        return Ok(());
    }
    match plan::observe_and_plan(session, wanted, Some(store), (&[], false)).await {
        Ok(planned) => {
            for one in &planned {
                session.output.text(&report::in_short(&one.plan))?;
            }
            Ok(())
        }
        Err(error) => {
            talk(&format!("what this changes in the fleet cannot be told now: {}", error.one_line()));
            Ok(())
        }
    }
}
