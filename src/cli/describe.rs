//! `describe KIND NAME`: one thing, and what has to do with it.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::error::{Answer, Error};
use super::get::{self, Listed};
use super::objects::{self, Standing};
use super::output::Format;
use super::run::Session;
use super::{describe_service, rollout, sentences, status, targets, views};
use crate::manifest::{did_you_mean, to_yaml};
use crate::model::counted;
use crate::model::mask::clean_text;
use crate::model::spec::{Kind, Need, Spec};
use crate::ports::Store;
use crate::records::configuration::{Configuration, Configurations};
use crate::records::reports::Reports;

/// What to describe.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// policy, binding, waiver, rolloutstrategy, target, freeze, service, rollout
    kind: String,
    /// Its name; for a service also its ARN or CLUSTER/NAME
    name: String,
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let listed: Listed = arguments.kind.parse()?;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let (text, value) = match listed {
        Listed::Objects(kind) => object(session, store, kind, &arguments.name).await?,
        Listed::Services => describe_service::service(session, store, &arguments.name).await?,
        Listed::Rollouts => {
            let (_, campaign) = targets::rollout(session, store, &arguments.name).await?;
            (status::tree(&campaign, &rollout::freezes(store).await?, session.now()), views::rollout(&campaign))
        }
        Listed::Changes | Listed::Holds | Listed::Findings | Listed::Clusters | Listed::Events | Listed::Leases => {
            return Err(Error::new(format!("a {} cannot be described", arguments.kind))
                .help(format!("use `plimsoll get {} {} -o yaml`", arguments.kind, arguments.name)));
        }
    };
    match session.output.format() {
        Format::Json | Format::Yaml => session.output.value(&value)?,
        Format::Name => {
            let kind = match listed {
                Listed::Objects(kind) => kind.as_str().to_lowercase(),
                _ => listed.one().to_owned(),
            };
            session.output.text(&format!("{kind}/{}", arguments.name))?;
        }
        _ => session.output.text(&text)?,
    }
    Ok(Answer::Yes)
}

async fn object(session: &Session, store: &dyn Store, kind: Kind, name: &str) -> Result<(String, Value), Error> {
    let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
    let object = configuration.find(kind, name).ok_or_else(|| {
        let of_kind = configuration.objects.iter().filter(|object| object.kind() == kind);
        let known: Vec<&str> = of_kind.map(|object| object.metadata.name.as_str()).collect();
        let error = Error::new(format!("there is no {kind} `{name}`"));
        match did_you_mean(name, &known) {
            Some(meant) => error.help(format!("{meant}; see `plimsoll get {}`", kind.plural())),
            None => error.help(format!("see `plimsoll get {}`", kind.plural())),
        }
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
        Spec::Target(_) => standing.target(&object.metadata).sentences(),
        Spec::Binding(_) | Spec::RolloutStrategy(_) | Spec::Freeze(_) => Vec::new(),
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
                format!("named by {}{}", counted(bindings.len(), "binding"), listed(&bindings)),
                format!("named by {}{}", counted(waivers.len(), "waiver"), listed(&waivers)),
            ]
        }
        Spec::RolloutStrategy(_) => {
            let bindings =
                names(&|other| matches!(other, Spec::Binding(binding) if binding.strategy.as_deref() == Some(name)));
            vec![format!("used by {}{}", counted(bindings.len(), "binding"), listed(&bindings))]
        }
        Spec::Binding(_) | Spec::Waiver(_) | Spec::Target(_) | Spec::Freeze(_) => Vec::new(),
    }
}
