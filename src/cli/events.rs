//! `events`: what happened, when, why, and who asked for it.

use std::collections::BTreeSet;

use clap::Args;

use super::error::{Answer, Error};
use super::output::{Format, table_within, talk};
use super::printed::{List, Printed};
use super::run::Session;
use super::watch::Watch;
use super::{targets, views};
use crate::model::TargetId;
use crate::ports::Store;
use crate::records::applications::Applications;
use crate::records::campaign::Campaigns;
use crate::records::events::{Event, Events};

/// Which events.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only those of: Rollout/NAME, Change/NAME, Service/ARN (or CLUSTER/NAME), Waiver/NAME (of any kind that people write), Command/ID, …
    #[arg(long = "for", value_name = "KIND/NAME", value_parser = subject)]
    subject: Option<(String, String)>,
    /// Wait for more
    #[arg(long)]
    follow: bool,
}

fn subject(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok((kind.to_owned(), name.to_owned())),
        _ => Err("it is written KIND/NAME, such as Rollout/careful-1".to_owned()),
    }
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let about = arguments.subject.as_ref().map(|(kind, name)| (kind.as_str(), name.as_str()));
    if !arguments.follow {
        let events = collect(session, store, about).await?;
        if events.is_empty() {
            talk("no events found");
        }
        match session.output.format() {
            Format::Json | Format::Yaml => {
                let items: Vec<_> = events.iter().map(|(target, event)| views::event(target.as_ref(), event)).collect();
                session.output.value(&List { items }.to_json())?;
            }
            format => {
                let rows: Vec<Vec<String>> = events.iter().map(|(_, event)| row(event)).collect();
                let lines = || events.iter().map(|(_, event)| event.subject.clone()).collect::<Vec<_>>().join("\n");
                let text = if format == Format::Name {
                    lines()
                } else {
                    table_within(&["AT", "SUBJECT", "WHAT", "BY", "MESSAGE"], &rows, session.output.width(), 4)
                };
                session.output.text(&text)?;
            }
        }
        return Ok(Answer::Yes);
    }
    let watch = Watch::start()?;
    let mut told = BTreeSet::new();
    loop {
        for (target, event) in collect(session, store, about).await? {
            if told.insert((target.clone(), event.subject.clone(), event.number)) {
                let line = match session.output.format() {
                    // One a line, for whatever reads along.
                    Format::Json => views::event(target.as_ref(), &event).to_string(),
                    Format::Yaml => {
                        format!(
                            "---\n{}",
                            crate::manifest::to_yaml(&views::event(target.as_ref(), &event)).unwrap_or_default()
                        )
                    }
                    Format::Name => event.subject.clone(),
                    _ => crate::model::mask::clean_text(&row(&event).join("  ")),
                };
                session.output.text(&line)?;
            }
        }
        if !watch.again(session).await {
            return Ok(Answer::Yes);
        }
    }
}

fn row(event: &Event) -> Vec<String> {
    let message = match &event.reason {
        Some(reason) if !event.message.contains(&reason.message) => format!("{} ({reason})", event.message),
        _ => event.message.clone(),
    };
    vec![event.at.to_string(), event.subject.clone(), event.what.clone(), event.by.clone(), message]
}

/// The events of all targets and of what people wrote, which has no target, or those about one thing, by time.
pub(super) async fn collect(
    session: &Session,
    store: &dyn Store,
    about: Option<(&str, &str)>,
) -> Result<Vec<(Option<TargetId>, Event)>, Error> {
    let mut all = Vec::new();
    let named = about.map(|(kind, name)| format!("{kind}/{name}"));
    let applied = Applications::of(store).list().await?.into_iter();
    all.extend(
        applied.filter(|event| named.as_ref().is_none_or(|name| event.is_about(name))).map(|event| (None, event)),
    );
    for target in targets::all(session, store).await? {
        let subjects = match about {
            None => None,
            Some((kind, name)) => Some(subjects(store, &target, kind, name).await?),
        };
        let events = Events::of(store, &target).list("").await?;
        let wanted = |event: &Event| {
            subjects.as_ref().is_none_or(|subjects| {
                named.as_ref().is_some_and(|name| event.is_about(name))
                    || subjects.iter().any(|subject| match subject.strip_suffix('*') {
                        Some(prefix) => event.subject.starts_with(prefix),
                        None => event.subject == *subject,
                    })
            })
        };
        all.extend(events.into_iter().filter(wanted).map(|event| (Some(target.clone()), event)));
    }
    all.sort_by(|(_, one), (_, other)| {
        (one.at, &one.subject, one.number).cmp(&(other.at, &other.subject, other.number))
    });
    Ok(all)
}

/// The subjects that are about `KIND/NAME`: a rollout's changes are, and so are a service's.
async fn subjects(store: &dyn Store, target: &TargetId, kind: &str, name: &str) -> Result<Vec<String>, Error> {
    match kind.to_ascii_lowercase().as_str() {
        "rollout" => Ok(vec![format!("Rollout/{name}"), format!("Change/{name}/*")]),
        "change" => Ok(vec![format!("Change/{name}")]),
        "service" | "cluster" => {
            let campaigns = Campaigns::of(store, target).campaigns().await?;
            let resources = campaigns.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value);
            let of_it = resources.filter(|change| {
                let resource = &change.spec.resource;
                resource.as_str() == name
                    || resource.short() == name
                    || resource.short().rsplit('/').next() == Some(name)
            });
            let mut subjects: Vec<String> = of_it
                .flat_map(|change| {
                    [format!("Change/{}", change.name), format!("Hold/{}*", change.spec.resource.as_str())]
                })
                .collect();
            subjects.push(format!("Hold/{name}*"));
            Ok(subjects)
        }
        "hold" => Ok(vec![format!("Hold/{name}*")]),
        "waiver" => Ok(vec![format!("Waiver/{name}")]),
        _ => Ok(vec![format!("{kind}/{name}")]),
    }
}
