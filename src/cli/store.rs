//! `store init`: make the table or the file.

use clap::Subcommand;
use schemars::JsonSchema;
use serde::Serialize;

use super::connect::{self, StoreUrl};
use super::error::{Answer, Error};
use super::output::Format;
use super::printed::Printed;
use super::run::Session;
use crate::aws::SettingOutcome;
use crate::embedded::EmbeddedStore;

/// What can be done to a store as a whole.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the table or file unless it is there; safe to repeat
    Init,
}

pub(super) async fn run(session: &mut Session, verb: &Verb) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    match verb {
        Verb::Init => init(session).await,
    }
}

/// What `store init` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StoreReport {
    /// The store's URL.
    store: String,
    /// What was set, and what stood already.
    settings: Vec<Setting>,
}

/// A setting of the store.
#[derive(Debug, Serialize, JsonSchema)]
struct Setting {
    /// Its name.
    name: String,
    /// `set`, `unchanged`, or `not set: …`.
    outcome: String,
    /// Whether the table was there already and was otherwise.
    drift: bool,
}

impl Printed for StoreReport {
    const KIND: &'static str = "StoreReport";
}

async fn init(session: &mut Session) -> Result<Answer, Error> {
    let url = session.global.store.clone();
    let mut settings: Vec<(String, SettingOutcome)> = Vec::new();
    match &url {
        StoreUrl::File { path } => {
            let there = path.exists();
            EmbeddedStore::create(path)?;
            settings.push(("file".to_owned(), if there { SettingOutcome::Kept } else { SettingOutcome::Set }));
        }
        StoreUrl::DynamoDb { table } => {
            let store = connect::connection().await?.store(table);
            let made = store.create_table().await?;
            settings.extend(made.into_iter().map(|(setting, outcome)| (setting.as_str().to_owned(), outcome)));
        }
    }
    let made = matches!(settings.first(), Some((_, SettingOutcome::Set)));
    let word = |outcome: &SettingOutcome| match outcome {
        SettingOutcome::Set => "set".to_owned(),
        SettingOutcome::Kept => "unchanged".to_owned(),
        SettingOutcome::Failed { message } => format!("not set: {message}"),
    };
    let drift = |outcome: &SettingOutcome| !made && *outcome != SettingOutcome::Kept;
    match session.output.format() {
        Format::Name => session.output.text(&url.to_string())?,
        Format::Json | Format::Yaml => {
            let setting = |(name, outcome): &(String, SettingOutcome)| Setting {
                name: name.clone(),
                outcome: word(outcome),
                drift: drift(outcome),
            };
            let report = StoreReport { store: url.to_string(), settings: settings.iter().map(setting).collect() };
            session.output.value(&report.to_json())?;
        }
        _ => {
            session.output.text(&format!("{url} {}", if made { "created" } else { "unchanged" }))?;
            for (name, outcome) in settings.iter().skip(1) {
                let was = if drift(outcome) { " (the table was there without)" } else { "" };
                session.output.text(&format!("  {name}: {}{was}", word(outcome)))?;
            }
        }
    }
    Ok(Answer::Yes)
}
