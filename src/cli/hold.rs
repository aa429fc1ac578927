//! `hold …`: keep fixes off a service, by a person's will.

use clap::{Args, Subcommand};

use super::command;
use super::connect::Opened;
use super::error::{Answer, Error};
use super::get::{self, Listed};
use super::output::{Format, talk};
use super::run::Session;
use super::{command_view, targets};
use crate::model::{Hold, Reason, ReasonCode, Resource, Span, TargetId};
use crate::records::campaign::Campaigns;
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
                by: None,
                rollout: None,
                created_at: now,
                until: Some(until),
            };
            let told = format!("asked: every fix is to stay off {arn} until {until}");
            asked(session, &opened, &target, Ask::Hold { hold }, wait, &told).await
        }
        Verb::Release(Release { service, wait }) => {
            let (target, arn) = targets::service(session, store, &service).await?;
            let told = format!("asked: whatever is held off {arn} is to be released");
            let resource = Resource::Service(arn);
            let ask = Ask::Release { resource: resource.clone() };
            let holds = Campaigns::of(store, &target).holds().await?;
            if !holds.iter().any(|hold| hold.value.resource == resource)
                && command::nothing_is_open(store, &target).await?
            {
                let why = format!("nothing is held off `{}`", resource.short());
                return command::refuse(session, ask, why);
            }
            asked(session, &opened, &target, ask, wait, &told).await
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
        (Format::Json | Format::Yaml, None) => session.output.value(&command_view::asked(&command))?,
        (Format::Json | Format::Yaml, Some(answer)) => {
            session.output.value(&command_view::answered(&command, answer))?
        }
        (Format::Name, _) => session.output.text(&command.id)?,
        (_, None) => session.output.text(told)?,
        (_, Some(answer)) => session.output.text(&answer.message)?,
    }
    Ok(Answer::of(answer.is_none_or(|answer| answer.done)))
}
