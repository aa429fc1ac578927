//! `version`

use serde_json::json;

use super::error::{Answer, Error};
use super::output::Format;
use super::run::Session;
use crate::model::spec::API_VERSION;

pub(super) fn run(session: &mut Session) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let version = env!("CARGO_PKG_VERSION");
    match session.output.format() {
        Format::Json | Format::Yaml => {
            session.output.value(&json!({ "apiVersion": API_VERSION, "kind": "Version", "version": version }))?;
        }
        Format::Name => session.output.text(version)?,
        _ => session.output.text(&format!("plimsoll {version}"))?,
    }
    Ok(Answer::Yes)
}
