//! `delete KIND NAME`

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::connect::Opened;
use super::error::{Answer, Error};
use super::output::Format;
use super::printed::Printed;
use super::run::Session;
use super::{apply, explain, policies};
use crate::model::spec::Kind;
use crate::records::configuration::{Application, Configurations};

/// What to delete.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Policy, Binding, Waiver, RolloutStrategy, Target or Freeze
    kind: String,
    /// Its name
    #[arg(required = true)]
    names: Vec<String>,
}

/// What `delete` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeleteReport {
    /// The objects that were deleted.
    items: Vec<Deleted>,
}

/// An object that was deleted.
#[derive(Debug, Serialize, JsonSchema)]
struct Deleted {
    /// Its kind.
    kind: Kind,
    /// Its name.
    name: String,
    /// `deleted`.
    outcome: &'static str,
}

impl Printed for DeleteReport {
    const KIND: &'static str = "DeleteReport";
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let kind: Kind = arguments.kind.parse().map_err(explain::unknown_kind)?;
    let opened = session.store().await?;
    let deleted = delete(session, &opened, kind, &arguments.names).await?;
    say(session, kind, &deleted)?;
    Ok(Answer::Yes)
}

/// Says what was deleted.
pub(super) fn say(session: &mut Session, kind: Kind, deleted: &[String]) -> Result<(), Error> {
    match session.output.format() {
        Format::Json | Format::Yaml => {
            let items = deleted.iter().map(|name| Deleted { kind, name: name.clone(), outcome: "deleted" }).collect();
            session.output.value(&DeleteReport { items }.to_json())?;
        }
        format => {
            let end = if format == Format::Name { "" } else { " deleted" };
            let line = |name: &String| format!("{}/{name}{end}", kind.as_str().to_lowercase());
            session.output.text(&deleted.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(())
}

/// Removes objects, if the others fit together without them. All or nothing.
pub(super) async fn delete(
    session: &Session,
    opened: &Opened,
    kind: Kind,
    names: &[String],
) -> Result<Vec<String>, Error> {
    const CONSEQUENCE: &str = "nothing was deleted";
    let configurations = Configurations::of(opened.store.as_ref());
    let current = configurations.read(None).await?.unwrap_or_default();
    let missing: Vec<&String> = names.iter().filter(|name| current.find(kind, name).is_none()).collect();
    if let Some(name) = missing.first() {
        return Err(Error::new(format!("there is no {kind} `{name}`; {CONSEQUENCE}"))
            .help(format!("see `plimsoll get {}`", kind.plural())));
    }
    let delete = names.iter().map(|name| (kind, name.clone())).collect();
    let by = Some(opened.caller_if_told(session.clock.as_ref()).await);
    let application = Application { delete, by, ..Application::default() };
    let now = session.now();
    let expected = configurations.apply(&application, now, true).await?;
    policies::compile(&apply::overlay(&current, &application, &expected).objects, &[], CONSEQUENCE)?;
    let applied = match configurations.apply(&application, now, false).await {
        Err(error) if error.is_conflict() => configurations.apply(&application, now, false).await,
        other => other,
    };
    Ok(applied?.into_iter().map(|one| one.name).collect())
}
