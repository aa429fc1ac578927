//! Which target is meant, and which rollout or service a name stands for.

use super::error::Error;
use super::run::Session;
use crate::controller::targets::{Stored, Wanted};
use crate::model::{ServiceArn, TargetId};
use crate::ports::Store;
use crate::records::campaign::{Campaign, Campaigns};
use crate::records::configuration::Configurations;
use crate::records::reports::Reports;
use crate::records::targets::Targets;

/// The one that was named, or all that a controller has worked on.
///
/// # Errors
/// The one that was named is none that there is: an empty list would look like an answer.
pub(super) async fn all(session: &Session, store: &dyn Store) -> Result<Vec<TargetId>, Error> {
    let mut known = Targets::of(store).list().await?;
    let Some(only) = &session.global.target else { return Ok(known) };
    if !known.contains(only) {
        let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
        known.extend(Stored::of(&configuration.objects, None).wanted.iter().filter_map(Wanted::id));
    }
    if known.contains(only) {
        return Ok(vec![only.clone()]);
    }
    if known.is_empty() {
        return Err(nothing_yet(&format!("target `{only}`")));
    }
    known.sort();
    known.dedup();
    let known: Vec<String> = known.iter().map(|id| format!("`{id}`")).collect();
    Err(Error::new(format!("there is no target `{only}`"))
        .help(format!("there are {}; see `plimsoll get targets`", known.join(", "))))
}

/// The rollout of that name, and the target it is in.
pub(super) async fn rollout(session: &Session, store: &dyn Store, name: &str) -> Result<(TargetId, Campaign), Error> {
    let targets = all(session, store).await?;
    let mut found = Vec::new();
    for target in &targets {
        if let Some(campaign) = Campaigns::of(store, target).campaign(name).await? {
            found.push((target.clone(), campaign));
        }
    }
    let several = found.len() > 1;
    match found.pop() {
        Some(one) if !several => Ok(one),
        Some(_) => Err(Error::new(format!("several targets have a rollout `{name}`"))
            .help(format!("say which with --target: {}", joined(&targets)))),
        None if targets.is_empty() => Err(nothing_yet(&format!("rollout `{name}`"))),
        None => Err(Error::new(format!("there is no rollout `{name}`")).help("see `plimsoll rollout list`")),
    }
}

/// The service that an ARN, CLUSTER/NAME or NAME stands for. The short forms need the controller's reports.
pub(super) async fn service(session: &Session, store: &dyn Store, text: &str) -> Result<(TargetId, ServiceArn), Error> {
    if let Ok(arn) = text.parse::<ServiceArn>() {
        return Ok((TargetId { account: arn.account().to_owned(), region: arn.region().to_owned() }, arn));
    }
    let mut found = Vec::new();
    let targets = all(session, store).await?;
    for target in &targets {
        let reports = Reports::of(store, target).list().await?;
        let arns = reports.keys().filter_map(|arn| arn.parse::<ServiceArn>().ok());
        found.extend(arns.filter(|arn| arn.short() == text || arn.name() == text).map(|arn| (target.clone(), arn)));
    }
    let several = found.len() > 1;
    match found.pop() {
        Some(one) if !several => Ok(one),
        Some(one) => {
            let names = found.iter().chain([&one]).map(|(_, arn)| format!("`{arn}`")).collect::<Vec<_>>();
            Err(Error::new(format!("`{text}` may be any of {} services", names.len()))
                .help(format!("write one of {}", names.join(", "))))
        }
        None if targets.is_empty() => Err(Error::new(format!("no controller has reported on a service `{text}` yet"))
            .help("write the service's full ARN")),
        None => Err(Error::new(format!("the controller has seen no service `{text}`"))
            .help("write the service's full ARN, or see `plimsoll get services`")),
    }
}

fn nothing_yet(what: &str) -> Error {
    Error::new(format!("there is no {what}: no controller has worked with this store yet"))
        .help("start one with `plimsoll controller`, or name another store with --store")
}

fn joined(targets: &[TargetId]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
