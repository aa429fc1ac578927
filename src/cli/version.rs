//! `version`

use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Answer, Error};
use super::output::Format;
use super::printed::Printed;
use super::run::Session;

/// What `version` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VersionReport {
    /// As in Cargo.toml.
    version: String,
}

impl Printed for VersionReport {
    const KIND: &'static str = "Version";
}

pub(super) fn run(session: &mut Session) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let version = env!("CARGO_PKG_VERSION");
    match session.output.format() {
        Format::Json | Format::Yaml => {
            session.output.value(&VersionReport { version: version.to_owned() }.to_json())?;
        }
        Format::Name => session.output.text(version)?,
        _ => session.output.text(&format!("plimsoll {version}"))?,
    }
    Ok(Answer::Yes)
}
