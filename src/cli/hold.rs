//! `hold …`: keep fixes off a service, by a person's will.

use clap::{Args, Subcommand};

use super::command;
use super::connect::Opened;
use super::error::{Answer, Error};
use super::get::{self, Listed};
use super::output::{Format, talk};
use super::run::Session;
use super::{targets, views};
use crate::model::{Hold, Reason, ReasonCode, Resource, Span, TargetId};
use crate::records::command::Ask;

/// What to do with holds.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Keep every fix off a service for a while
    Add(Add),
    /// All holds
    List,
    /// Release every hold of a service
    Release(Release),
}

/// What to hold.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The service's ARN, CLUSTER/NAME or NAME
    service: String,
    /// For how long: 2h, 14d
    #[arg(long = "for", value_name = "DURATION")]
    length: Span,
    /// Why; shown wherever the hold is
    #[arg(long)]
    reason: String,
    /// Wait until the controller has done it
    #[arg(long)]
    wait: bool,
}

/// What to release.
#[derive(Debug, Args)]
pub(super) struct Release {
    /// The service's ARN, CLUSTER/NAME or NAME
    service: String,
    /// Wait until the controller has done it
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(session: &mut Session, verb: Verb) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    match verb {
        Verb::List => {
            let items = get::collect(session, store, Listed::Holds).await?;
            let text = get::render(session.output.format(), Listed::Holds, &items, false)?;
            if text.is_empty() {
                talk("no holds found");
            }
            session.output.text(&text)?;
            Ok(Answer::Yes)
        }
        Verb::Add(Add { service, length, reason, wait }) => {
            let (target, arn) = targets::service(session, store, &service).await?;
            let now = session.now();
            let until = now + length.0;
            let hold = Hold {
                resource: Resource::Service(arn.clone()),
                fix: "*".to_owned(),
                policy: "*".to_owned(),
                reason: Reason::of(ReasonCode::Held, reason).until(until),
                rollout: None,
                created_at: now,
                until: Some(until),
            };
            asked(session, &opened, &target, Ask::Hold { hold }, wait, &format!("hold of {arn} until {until} asked"))
                .await
        }
        Verb::Release(Release { service, wait }) => {
            let (target, arn) = targets::service(session, store, &service).await?;
            let told = format!("release of {arn} asked");
            asked(session, &opened, &target, Ask::Release { resource: Resource::Service(arn) }, wait, &told).await
        }
    }
}

async fn asked(
    session: &mut Session,
    opened: &Opened,
    target: &TargetId,
    ask: Ask,
    wait: bool,
    told: &str,
) -> Result<Answer, Error> {
    let command = command::ask(session, opened, target, ask).await?;
    let answer =
        if wait { Some(command::answer(session, opened.store.as_ref(), target, &command).await?) } else { None };
    match (session.output.format(), &answer) {
        (Format::Json | Format::Yaml, None) => session.output.value(&views::command(&command))?,
        (Format::Json | Format::Yaml, Some(answer)) => session.output.value(&views::answered(&command, answer))?,
        (Format::Name, _) => session.output.text(&command.id)?,
        (_, None) => session.output.text(told)?,
        (_, Some(answer)) => session.output.text(&answer.message)?,
    }
    Ok(Answer::of(answer.is_none_or(|answer| answer.done)))
}
