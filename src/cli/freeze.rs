//! `freeze` and `unfreeze`: the stop switch, written straight into the configuration so that it needs no controller.

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::{Answer, Error};
use super::output::{Format, talk};
use super::printed::Printed;
use super::run::Session;
use super::{delete, targets};
use crate::model::spec::{FreezeSpec, Kind, LaunchType, Metadata, Object, Scope, Selector, Spec};
use crate::model::{TargetId, Timestamp};
use crate::policy::{Match, ScopeKey, ScopeKeys, ScopeMatcher, ScopeTags};
use crate::ports::Store;
use crate::records::campaign::Campaigns;
use crate::records::configuration::{Application, Configurations};
use crate::rollout::{Change, Phase};

/// What to stop.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The freeze's name
    name: String,
    /// What stands still: cluster=prod-*,tags.env=prod; without it, everything
    #[arg(long, value_name = "KEY=GLOB,…", value_parser = scope)]
    scope: Option<Selector>,
    /// When it ends by itself, such as 2026-12-01T00:00:00Z; without it, never
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Why; shown wherever it stops something
    #[arg(long)]
    reason: String,
    /// Not even what is in flight is taken back
    #[arg(long)]
    include_rollback: bool,
}

/// What to lift.
#[derive(Debug, Args)]
pub(super) struct UnfreezeArguments {
    /// The freeze's name
    name: String,
}

/// `cluster=prod-*,tags.env=prod`: keys are ANDed, a key given twice is ORed.
pub(super) fn scope(text: &str) -> Result<Selector, String> {
    let mut selector = Selector::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            return Err(format!("`{part}` is not KEY=GLOB"));
        };
        match key.trim_end_matches('s') {
            "cluster" => selector.clusters.push(value.to_owned()),
            "service" => selector.services.push(value.to_owned()),
            "family" | "familie" => selector.families.push(value.to_owned()),
            "account" => selector.accounts.push(value.to_owned()),
            "region" => selector.regions.push(value.to_owned()),
            "launchType" => selector.launch_types.push(launch_type(value)?),
            _ => match key.strip_prefix("tags.").filter(|tag| !tag.is_empty()) {
                Some(tag) => selector.tags.entry(tag.to_owned()).or_default().push(value.to_owned()),
                None => {
                    return Err(format!(
                        "`{key}` is not a scope key; the keys are cluster, service, family, account, region, launchType and tags.KEY"
                    ));
                }
            },
        }
    }
    Ok(selector)
}

pub(super) fn launch_type(text: &str) -> Result<LaunchType, String> {
    serde_json::from_value(serde_json::Value::String(text.to_ascii_uppercase()))
        .map_err(|_| format!("`{text}` is not a launch type; they are FARGATE, EC2, EXTERNAL and MANAGED_INSTANCES"))
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let now = session.now();
    if let Some(until) = arguments.until.filter(|until| *until <= now) {
        return Err(Error::new(format!("`{until}` has passed")).help("name a time to come, or leave --until out"));
    }
    let spec = FreezeSpec {
        scope: Scope { include: arguments.scope.unwrap_or_default(), exclude: Selector::default() },
        reason: arguments.reason,
        until: arguments.until,
        include_rollback: arguments.include_rollback,
    };
    let scope = spec.scope.clone();
    let object =
        Object { metadata: Metadata { name: arguments.name.clone(), ..Metadata::default() }, spec: Spec::Freeze(spec) };
    // The rules for names and globs are the manifests': whatever they say of a file holds here too.
    let yaml = crate::manifest::to_yaml(&serde_json::to_value(&object).unwrap_or_default());
    let yaml = yaml.map_err(|error| Error::new("failed to write YAML").caused_by(error.to_string()))?;
    crate::manifest::parse("the freeze", &yaml).map_err(|found| {
        found.iter().fold(Error::new("this is no Freeze"), |error, one| error.caused_by(one.message.clone()))
    })?;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let by = Some(opened.caller_if_told(session.clock.as_ref()).await);
    let application = Application { objects: vec![object], by, ..Application::default() };
    let configurations = Configurations::of(store);
    let applied = match configurations.apply(&application, now, false).await {
        // A freeze must get through: whoever wrote first, this one stands beside it.
        Err(error) if error.is_conflict() => configurations.apply(&application, now, false).await?,
        other => other?,
    };
    let outcome = applied.first().map_or("unchanged", |one| one.outcome.as_str());
    let report = FreezeReport { name: arguments.name, outcome, in_flight: in_flight(session, store, &scope).await? };
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&report.to_json())?,
        Format::Name => session.output.text(&format!("freeze/{}", report.name))?,
        _ => session.output.text(&report.in_words())?,
    }
    if report.in_flight.is_empty() {
        talk("nothing of it is in flight");
    }
    Ok(Answer::Yes)
}

/// What `freeze` says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FreezeReport {
    /// The Freeze.
    name: String,
    /// `created`, `configured` or `unchanged`.
    outcome: &'static str,
    /// What is on its way in its scope, and goes on to its end, or back.
    in_flight: Vec<InFlight>,
}

/// A change that a Freeze finds in flight.
#[derive(Debug, Serialize, JsonSchema)]
struct InFlight {
    /// The Change.
    change: String,
    /// What it moves, by ARN.
    resource: String,
    /// How far it has come.
    phase: Phase,
}

impl Printed for FreezeReport {
    const KIND: &'static str = "FreezeReport";
}

impl FreezeReport {
    fn in_words(&self) -> String {
        let found = self
            .in_flight
            .iter()
            .map(|one| format!("in flight: {}  {}  ({})", one.resource, one.phase.as_str(), one.change));
        let first = std::iter::once(format!("freeze/{} {}", self.name, self.outcome));
        first.chain(found).collect::<Vec<_>>().join("\n")
    }
}

/// What is on its way, of what the Freeze is about or, as tags and launch types are not kept, may be about.
async fn in_flight(session: &mut Session, store: &dyn Store, scope: &Scope) -> Result<Vec<InFlight>, Error> {
    let matcher =
        ScopeMatcher::of(scope).map_err(|error| Error::new("the scope cannot be read").caused_by(error.to_string()))?;
    let mut found = Vec::new();
    for target in targets::all(session, store).await? {
        for campaign in Campaigns::of(store, &target).campaigns().await? {
            let flying = campaign.changes.iter().map(|change| &change.value);
            let flying = flying.filter(|change| change.state.phase().is_in_flight());
            found.extend(flying.filter(|change| matcher.matches(&scope_keys(&target, change)) != Match::No).map(
                |change| InFlight {
                    change: change.name.clone(),
                    resource: change.spec.resource.as_str().to_owned(),
                    phase: change.state.phase(),
                },
            ));
        }
    }
    Ok(found)
}

/// What is known for scopes of what a change moves: tags and launch types are not kept.
pub(super) fn scope_keys(target: &TargetId, change: &Change) -> ScopeKeys {
    let service = change.spec.resource.service();
    ScopeKeys {
        account: ScopeKey::Known(target.account.clone()),
        region: ScopeKey::Known(target.region.clone()),
        cluster: ScopeKey::Known(change.spec.cluster.name().to_owned()),
        service: service.map_or(ScopeKey::Absent, |arn| ScopeKey::Known(arn.name().to_owned())),
        family: change.spec.from.as_ref().map_or(ScopeKey::Absent, |arn| ScopeKey::Known(arn.family().to_owned())),
        launch_type: service.map_or(ScopeKey::Absent, |_| ScopeKey::Unknown),
        tags: ScopeTags::default(),
    }
}

pub(super) async fn lift(session: &mut Session, arguments: UnfreezeArguments) -> Result<Answer, Error> {
    let opened = session.store().await?;
    let deleted = delete::delete(session, &opened, Kind::Freeze, std::slice::from_ref(&arguments.name)).await?;
    delete::say(session, Kind::Freeze, &deleted)?;
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_keys_and_globs() {
        let selector = scope("cluster=prod-*,cluster=dmz,tags.env=prod,launchType=fargate").unwrap();
        assert_eq!(selector.clusters, ["prod-*", "dmz"]);
        assert_eq!(selector.tags["env"], ["prod"]);
        assert_eq!(selector.launch_types, [LaunchType::Fargate]);
        for wrong in ["cluster", "cluster=", "colour=red", "tags.=x", "launchType=BOAT"] {
            assert!(scope(wrong).is_err(), "{wrong}");
        }
    }
}
