//! `describe KIND NAME`: one thing, and what has to do with it.

use std::fmt::Write;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::error::{Answer, Error};
use super::events;
use super::get::{self, Listed};
use super::objects::{self, Standing};
use super::output::Format;
use super::printed::{Nested, Printed};
use super::report::difference;
use super::run::Session;
use super::views::{ChangeView, EventView, HoldView, ServiceReportView};
use super::{sentences, status, targets, views};
use crate::manifest::to_yaml;
use crate::model::mask::clean_text;
use crate::model::spec::{Kind, Need, Spec};
use crate::model::{Hold, ServiceArn, TargetId};
use crate::ports::Store;
use crate::records::campaign::Campaigns;
use crate::records::configuration::{Configuration, Configurations};
use crate::records::reports::Reports;
use crate::rollout::Change;

/// What to describe.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// policy, binding, waiver, rolloutstrategy, target, freeze, service, rollout
    kind: String,
    /// Its name; for a service also its ARN or CLUSTER/NAME
    name: String,
}

/// All about a service.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServiceDescription {
    /// Its ServiceReport; none before the controller has looked at it.
    report: Option<Nested<ServiceReportView>>,
    /// Its Changes, of all rollouts.
    changes: Vec<Nested<ChangeView>>,
    /// Its Holds.
    holds: Vec<Nested<HoldView>>,
    /// What happened to it.
    events: Vec<Nested<EventView>>,
}

impl Printed for ServiceDescription {
    const KIND: &'static str = "ServiceDescription";
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml])?;
    let listed: Listed = arguments.kind.parse()?;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let (text, value) = match listed {
        Listed::Objects(kind) => object(session, store, kind, &arguments.name).await?,
        Listed::Services => service(session, store, &arguments.name).await?,
        Listed::Rollouts => {
            let (_, campaign) = targets::rollout(session, store, &arguments.name).await?;
            (status::tree(&campaign, session.now()), views::rollout(&campaign))
        }
        Listed::Changes | Listed::Holds | Listed::Findings | Listed::Events | Listed::Leases => {
            return Err(Error::new(format!("a {} cannot be described", arguments.kind))
                .help(format!("use `plimsoll get {} {} -o yaml`", arguments.kind, arguments.name)));
        }
    };
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&value)?,
        _ => session.output.text(&text)?,
    }
    Ok(Answer::Yes)
}

async fn object(session: &Session, store: &dyn Store, kind: Kind, name: &str) -> Result<(String, Value), Error> {
    let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
    let object = configuration.find(kind, name).ok_or_else(|| {
        Error::new(format!("there is no {kind} `{name}`")).help(format!("see `plimsoll get {}`", kind.plural()))
    })?;
    let standing = Standing::read(session, store, kind).await?;
    let value = objects::json(object, &standing, session.now());
    // Ninety days of figures are for scripts; people get sentences.
    let yaml = to_yaml(&serde_json::to_value(object).unwrap_or_default())
        .map_err(|error| Error::new("failed to write YAML").caused_by(error.to_string()))?;
    let mut text = yaml;
    for line in around(&configuration, &object.spec, name) {
        text.push_str(&line);
        text.push('\n');
    }
    let sentences = match &object.spec {
        Spec::Policy(spec) => sentences::of_policy(spec.resource, &standing.policy(&object.metadata)),
        Spec::Waiver(spec) => sentences::of_waiver(&standing.waiver(&object.metadata, spec, session.now())),
        Spec::Binding(_) | Spec::RolloutStrategy(_) | Spec::Target(_) | Spec::Freeze(_) => Vec::new(),
    };
    for line in sentences {
        // Writing into a String does not fail.
        let _ = writeln!(text, "{}", clean_text(&line));
    }
    match kind {
        Kind::Policy => failing(session, store, name, &mut text).await?,
        Kind::Waiver => covered(session, store, name, &mut text).await?,
        Kind::Binding | Kind::RolloutStrategy | Kind::Target | Kind::Freeze => {}
    }
    Ok((text, value))
}

/// Where a policy finds something.
async fn failing(session: &Session, store: &dyn Store, name: &str, text: &mut String) -> Result<(), Error> {
    let mut failing = Vec::new();
    for target in targets::all(session, store).await? {
        for report in Reports::of(store, &target).list().await?.into_values() {
            if report.resource.findings.iter().any(|found| found.policy == name) {
                failing.push(get::after_colon(&report.resource.resource));
            }
        }
    }
    // Writing into a String does not fail.
    let _ = writeln!(text, "findings in {} services or clusters{}", failing.len(), listed(&failing));
    Ok(())
}

/// What a waiver covers, where, and where it is in scope for nothing.
async fn covered(session: &Session, store: &dyn Store, name: &str, text: &mut String) -> Result<(), Error> {
    let mut unneeded = Vec::new();
    for target in targets::all(session, store).await? {
        for report in Reports::of(store, &target).list().await?.into_values() {
            let resource = get::after_colon(&report.resource.resource);
            let here = report.resource.waivers.iter().find(|here| here.name == name);
            let Some(here) = here else { continue };
            if here.need == Need::Unneeded {
                unneeded.push(resource);
                continue;
            }
            let told = match here.need {
                Need::Unknown => "could not be told".to_owned(),
                Need::Needed | Need::Unneeded => format!("covers {}", here.covers),
            };
            // Writing into a String does not fail.
            let _ = writeln!(text, "  {}  {told}", clean_text(&resource));
            let waived = report.resource.findings.iter().filter(|found| found.finding.waiver.as_deref() == Some(name));
            for found in waived {
                let finding = &found.finding;
                let line = format!("{}/{}  {}  {}", found.policy, finding.check, finding.path, finding.message);
                let _ = writeln!(text, "    {}", clean_text(&line));
            }
        }
    }
    if !unneeded.is_empty() {
        let _ = writeln!(text, "not needed on {} in its scope{}", unneeded.len(), listed(&unneeded));
    }
    Ok(())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(": {}", clean_text(&names.join(", "))) }
}

/// The other objects that have to do with one: by name and label only, since globs are the policy engine's matter.
fn around(configuration: &Configuration, spec: &Spec, name: &str) -> Vec<String> {
    let names = |wanted: &dyn Fn(&Spec) -> bool| -> Vec<String> {
        configuration
            .objects
            .iter()
            .filter(|object| wanted(&object.spec))
            .map(|object| object.metadata.name.clone())
            .collect()
    };
    match spec {
        Spec::Policy(_) => {
            let bindings = names(
                &|other| matches!(other, Spec::Binding(binding) if binding.policies.iter().any(|policy| policy == name)),
            );
            let waivers = names(
                &|other| matches!(other, Spec::Waiver(waiver) if waiver.policies.iter().any(|policy| policy == name)),
            );
            vec![
                format!("named by {} bindings{}", bindings.len(), listed(&bindings)),
                format!("named by {} waivers{}", waivers.len(), listed(&waivers)),
            ]
        }
        Spec::RolloutStrategy(_) => {
            let bindings =
                names(&|other| matches!(other, Spec::Binding(binding) if binding.strategy.as_deref() == Some(name)));
            vec![format!("used by {} bindings{}", bindings.len(), listed(&bindings))]
        }
        Spec::Binding(_) | Spec::Waiver(_) | Spec::Target(_) | Spec::Freeze(_) => Vec::new(),
    }
}

async fn service(session: &Session, store: &dyn Store, name: &str) -> Result<(String, Value), Error> {
    let (target, arn) = targets::service(session, store, name).await?;
    let report = Reports::of(store, &target).list().await?.remove(arn.as_str());
    let campaigns = Campaigns::of(store, &target);
    let changes: Vec<Change> = campaigns
        .campaigns()
        .await?
        .into_iter()
        .flat_map(|campaign| campaign.changes)
        .map(|change| change.value)
        .filter(|change| change.spec.resource.service() == Some(&arn))
        .collect();
    let holds: Vec<Hold> = campaigns.holds().await?.into_iter().map(|hold| hold.value).collect();
    let holds: Vec<Hold> = holds.into_iter().filter(|hold| hold.resource.service() == Some(&arn)).collect();
    let happened = events::collect(session, store, Some(("Service", arn.as_str()))).await?;
    let value = ServiceDescription {
        report: report.as_ref().map(|report| Nested(views::service_view(&target, report))),
        changes: changes.iter().map(|change| Nested(views::change_view(0, change))).collect(),
        holds: holds.iter().map(|hold| Nested(views::hold_view(&target, hold))).collect(),
        events: happened.iter().map(|(target, event)| Nested(views::event_view(target, event))).collect(),
    };
    let value = value.to_json();
    let mut text = String::new();
    // Writing into a String does not fail.
    let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
    let left = |name: &str| match configuration.find(Kind::Waiver, name).map(|object| &object.spec) {
        Some(Spec::Waiver(spec)) => sentences::days_left(spec.days_left(session.now())),
        _ => String::new(),
    };
    let _ = tree(&mut text, &target, &arn, report.as_ref(), &left, &changes, &holds);
    if !happened.is_empty() {
        let _ = writeln!(text, "events");
        for (_, event) in happened.iter().rev().take(20).rev() {
            let _ = writeln!(text, "  {}  {}  {}  {}", event.at, event.subject, event.what, clean_text(&event.message));
        }
    }
    Ok((text, value))
}

fn tree(
    text: &mut String,
    target: &TargetId,
    arn: &ServiceArn,
    report: Option<&crate::records::reports::ServiceReport>,
    left: &dyn Fn(&str) -> String,
    changes: &[Change],
    holds: &[Hold],
) -> std::fmt::Result {
    writeln!(text, "{}\n  {arn}\n  target {target}", clean_text(arn.short()))?;
    let Some(report) = report else {
        return writeln!(text, "  the controller has not reported on it");
    };
    let planned = &report.resource;
    if let Some(revision) = &planned.task_definition {
        writeln!(text, "  runs {}", clean_text(revision.rsplit('/').next().unwrap_or(revision)))?;
    }
    writeln!(text, "  {}", planned.outcome.as_str())?;
    if let Some(reason) = &planned.reason {
        writeln!(text, "  {}", clean_text(&reason.to_string()))?;
    }
    writeln!(text, "policies")?;
    for (policy, verdict) in &report.verdicts {
        writeln!(text, "  {:7}  {}", verdict.as_str(), clean_text(policy))?;
        for found in planned.findings.iter().filter(|found| found.policy == *policy) {
            let by = |name: &String| format!(" (waived by `{name}`{})", left(name));
            let waived = found.finding.waiver.as_ref().map(by).unwrap_or_default();
            let message = format!("{}{waived}", found.finding.message);
            writeln!(text, "           {}  {}", clean_text(&found.finding.path), clean_text(&message))?;
        }
    }
    for here in planned.waivers.iter().filter(|here| here.need == Need::Unneeded) {
        let line = format!("waiver `{}` is no longer needed here{}", here.name, left(&here.name));
        writeln!(text, "  {}", clean_text(&line))?;
    }
    if !planned.diff.is_empty() {
        writeln!(text, "would change")?;
        for entry in views::masked(&planned.diff) {
            writeln!(text, "  {}", difference(&entry))?;
        }
    }
    for hold in holds {
        let until = hold.until.map(|until| format!(" until {until}")).unwrap_or_default();
        writeln!(text, "held: {}{until}: {}", clean_text(&hold.policy), clean_text(&hold.reason.message))?;
    }
    if !changes.is_empty() {
        writeln!(text, "changes")?;
    }
    for change in changes {
        let to = change.spec.to.as_ref().map_or("", |to| to.short());
        let from = change.spec.from.as_ref().map_or("", |from| from.short());
        let waiting =
            change.waiting.as_ref().map(|reason| format!("  {}", clean_text(&reason.to_string()))).unwrap_or_default();
        writeln!(text, "  {}  {}  {from} -> {to}{waiting}", change.name, change.state.phase().as_str())?;
    }
    Ok(())
}
