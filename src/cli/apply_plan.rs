//! `apply-plan FILE`: ask the controller for exactly the plan that a file holds.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::command;
use super::error::{Answer, Error};
use super::output::{Format, talk};
use super::run::Session;
use super::{command_view, rollout};
use crate::plan::saved::SavedPlan;
use crate::records::command::Ask;
use crate::rollout::command::Request;

/// Which plan.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What `plan --out` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Wait until its rollouts have ended; 1 where it is refused, fails or waits for a person, 2 where no controller is
    /// alive
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let plan = read(&arguments.file)?;
    if let Some(target) = session.global.target.as_ref().filter(|target| **target != plan.target) {
        return Err(Error::new(format!("the plan is of {}, not of {target}", plan.target))
            .help("leave --target out, or name the plan's"));
    }
    if plan.is_empty() {
        talk("the plan changes nothing: there is nothing to ask for");
        return Ok(Answer::Yes);
    }
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let (target, id, resources) = (plan.target.clone(), plan.id.clone(), plan.resources());
    let command = command::ask(session, &opened, &target, Ask::Plan { plan }).await?;
    if !arguments.wait {
        return match session.output.format() {
            Format::Json | Format::Yaml => session.output.value(&command_view::asked(&command)),
            Format::Name => session.output.text(&command.id),
            _ => session.output.text(&format!("plan {id} asked: {resources} to change")),
        }
        .map(|()| Answer::Yes);
    }
    let answer = command::answer(session, store, &target, &command).await?;
    if !answer.done {
        talk(&format!("refused: {}", answer.message));
        return Ok(Answer::No);
    }
    talk(&answer.message);
    let mut ended_well = true;
    for name in &answer.rollouts {
        let campaign = rollout::until_settled(session, &opened, &target, name, &Request::Resume).await?;
        let text = rollout::rendered(session, store, &campaign).await?;
        session.output.text(&text)?;
        ended_well = ended_well && rollout::landed(&campaign, &Request::Resume);
    }
    Ok(Answer::of(ended_well))
}

fn read(path: &Path) -> Result<SavedPlan, Error> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::new(format!("`{}` cannot be asked for", path.display()))
            .caused_by(error.to_string())
            .help("make it again with `plimsoll plan --out FILE`")
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(format!("failed to read `{}`", path.display()))
            .caused_by(error.to_string())
            .help("write one with `plimsoll plan --out FILE`")
    })?;
    let report: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    SavedPlan::read(&report).map_err(|error| wrong(&error))
}
