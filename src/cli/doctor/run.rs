//! `doctor`: asks, and says what it found.

use clap::Args;

use super::check::DoctorReport;
use super::examine::Examination;
use crate::cli::error::{Answer, Error};
use crate::cli::output::Format;
use crate::cli::printed::Printed as _;
use crate::cli::run::Session;

/// What to look at.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {}

pub(in crate::cli) async fn run(session: &mut Session, _: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let mut examination = Examination::of(session);
    examination.make().await;
    let report = DoctorReport::of(session.global.store.to_string(), examination.into_checks());
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&report.to_json())?,
        _ => session.output.text(&report.text())?,
    }
    Ok(report.answer())
}
