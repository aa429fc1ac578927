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
    /// The commit that it was built from; null where whoever built it did not say (`PLIMSOLL_REVISION`).
    revision: Option<String>,
    /// Processor and system that it was built for.
    platform: String,
    /// `release`, or `debug`: slower, and checks itself more.
    build: String,
}

impl Printed for VersionReport {
    const KIND: &'static str = "Version";
}

/// Given when it is built, by the Dockerfile. A build script that asks git was not chosen: it would build anew with each
/// commit, and there is no git where images are built.
const REVISION: Option<&str> = option_env!("PLIMSOLL_REVISION");

pub(super) fn run(session: &mut Session) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let report = VersionReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: REVISION.filter(|revision| !["", "unknown"].contains(revision)).map(ToOwned::to_owned),
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
    };
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&report.to_json())?,
        Format::Name => session.output.text(&report.version)?,
        _ => {
            let VersionReport { version, revision, platform, build } = report;
            let from =
                revision.map_or_else(|| "an unknown revision".to_owned(), |revision| format!("revision {revision}"));
            session.output.text(&format!("plimsoll {version}, {build} build for {platform}, of {from}"))?;
        }
    }
    Ok(Answer::Yes)
}
