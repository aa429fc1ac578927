//! `describe service`: why is this service in this state? From what its policies say to the last event.

use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use super::printed::{Nested, Printed};
use super::run::Session;
use super::views::{ChangeView, EventView, HoldView, ServiceReportView};
use super::{events, report, rollout, sentences, targets, views};
use crate::model::mask::clean_text;
use crate::model::spec::{Kind, Need, Spec};
use crate::model::{Hold, Reason, ServiceArn, Severity, TargetId, Timestamp};
use crate::plan::{self, PlannedResource};
use crate::policy::{ScopeKey, ScopeKeys, ScopeTags};
use crate::ports::Store;
use crate::records::campaign::{Campaign, Campaigns};
use crate::records::configuration::{Configuration, Configurations};
use crate::records::reports::{Reports, ServiceReport};
use crate::rollout::{Change, waits};

/// Events that are shown; `events --for` has the rest.
const EVENTS: usize = 20;

/// All about a service.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ServiceDescription {
    /// Its ServiceReport; none before the controller has looked at it.
    report: Option<Nested<ServiceReportView>>,
    /// Its Changes, of all rollouts, each with what it waits for.
    changes: Vec<Nested<ChangeView>>,
    /// Its Holds.
    holds: Vec<Nested<HoldView>>,
    /// What happened to it.
    events: Vec<Nested<EventView>>,
}

impl Printed for ServiceDescription {
    const KIND: &'static str = "ServiceDescription";
}

/// All that is known of one service.
struct Known<'a> {
    target: &'a TargetId,
    arn: &'a ServiceArn,
    report: Option<&'a ServiceReport>,
    configuration: &'a Configuration,
    /// Rollouts that have a change of it.
    campaigns: &'a [Campaign],
    holds: &'a [Hold],
    now: Timestamp,
}

/// As text and as data.
pub(super) async fn service(session: &Session, store: &dyn Store, name: &str) -> Result<(String, Value), Error> {
    let (target, arn) = targets::service(session, store, name).await?;
    let report = Reports::of(store, &target).list().await?.remove(arn.as_str());
    let records = Campaigns::of(store, &target);
    let mut campaigns = records.campaigns().await?;
    campaigns.retain(|campaign| campaign.changes.iter().any(|change| is_of(&change.value, &arn)));
    campaigns.sort_by_key(|campaign| campaign.rollout.value.created_at);
    let holds: Vec<Hold> = records.holds().await?.into_iter().map(|hold| hold.value).collect();
    let holds: Vec<Hold> = holds.into_iter().filter(|hold| hold.resource.service() == Some(&arn)).collect();
    let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
    let happened = events::collect(session, store, Some(("Service", arn.as_str()))).await?;
    let changes = campaigns
        .iter()
        .flat_map(|campaign| campaign.changes.iter().zip(views::change_views(campaign)))
        .filter(|(change, _)| is_of(&change.value, &arn))
        .map(|(_, view)| Nested(view))
        .collect();
    let value = ServiceDescription {
        report: report.as_ref().map(|report| Nested(views::service_view(&target, report))),
        changes,
        holds: holds.iter().map(|hold| Nested(views::hold_view(&target, hold))).collect(),
        events: happened.iter().map(|(target, event)| Nested(views::event_view(target.as_ref(), event))).collect(),
    }
    .to_json();
    let known = Known {
        target: &target,
        arn: &arn,
        report: report.as_ref(),
        configuration: &configuration,
        campaigns: &campaigns,
        holds: &holds,
        now: session.now(),
    };
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = known.write(&mut text);
    if !happened.is_empty() {
        let _ = writeln!(text, "events");
        for (_, event) in happened.iter().rev().take(EVENTS).rev() {
            let by = if event.by == "plimsoll" { String::new() } else { format!("  by {}", event.by) };
            let why = event.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
            let line = format!("{}  {}  {}  {}{why}{by}", event.at, event.subject, event.what, event.message);
            let _ = writeln!(text, "  {}", clean_text(&line));
        }
        if happened.len() > EVENTS {
            let _ = writeln!(text, "  all {} of them: `plimsoll events --for Service/{arn}`", happened.len());
        }
    }
    text.push_str(&rollout::troubles(store, &target).await?);
    Ok((text, value))
}

fn is_of(change: &Change, arn: &ServiceArn) -> bool {
    change.spec.resource.service() == Some(arn)
}

impl Known<'_> {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}\n  {}\n  target {}", clean_text(self.arn.short()), self.arn, self.target)?;
        let Some(report) = self.report else {
            writeln!(text, "  the controller has not reported on it")?;
            return self.rollouts(text);
        };
        let planned = &report.resource;
        if let Some(revision) = &planned.task_definition {
            writeln!(text, "  runs {}", clean_text(revision.rsplit('/').next().unwrap_or(revision)))?;
        }
        writeln!(text, "  {}", planned.outcome.as_str())?;
        if let Some(reason) = &planned.reason {
            writeln!(text, "  {}\n    do: {}", clean_text(&reason.to_string()), reason.code.remedy())?;
        }
        self.policies(text, report)?;
        self.bindings(text, planned)?;
        if !planned.diff.is_empty() {
            writeln!(text, "would change")?;
            for entry in views::masked(&planned.diff) {
                writeln!(text, "  {}", report::difference(&entry))?;
            }
        }
        for put_back in &planned.put_back {
            writeln!(text, "put back: {}", clean_text(&put_back.to_string()))?;
        }
        // One Hold for each fix of a change, all of them told alike.
        let mut held = BTreeSet::new();
        for hold in self.holds {
            let until = hold.until.map(|until| format!(" until {until}")).unwrap_or_default();
            let from = hold.rollout.as_ref().map(|rollout| format!(" (rollout `{rollout}`)")).unwrap_or_default();
            let over = if hold.until.is_some_and(|until| until <= self.now) { ", which is over" } else { "" };
            let line = format!("held: {}{until}{over}: {}{from}", hold.policy, hold.reason.message);
            if held.insert(line.clone()) {
                writeln!(text, "{}", clean_text(&line))?;
            }
        }
        for reason in self.freezes(planned) {
            let until = reason.until.map(|until| format!(" until {until}")).unwrap_or_default();
            writeln!(text, "frozen{until}: {}", clean_text(&reason.message))?;
        }
        self.rollouts(text)
    }

    /// Every verdict, with what was found and who waives it.
    fn policies(&self, text: &mut String, report: &ServiceReport) -> std::fmt::Result {
        writeln!(text, "policies")?;
        for (policy, verdict) in &report.verdicts {
            let found = || report.resource.findings.iter().filter(|found| *found.policy == **policy);
            let severity = found().map(|found| found.severity).max().map_or("", Severity::as_str);
            let line = format!("  {:7}  {severity:8}  {}", verdict.as_str(), clean_text(policy));
            writeln!(text, "{}", line.trim_end())?;
            if let Some(reason) = report.resource.unknown.get(&**policy) {
                writeln!(text, "           {}", clean_text(&reason.to_string()))?;
            }
            for found in found() {
                let waived = found.finding.waiver.as_deref().map(|name| self.waived(name)).unwrap_or_default();
                let line = format!("{}  {}{waived}", found.finding.path, found.finding.message);
                writeln!(text, "           {}", clean_text(&line))?;
            }
        }
        Ok(())
    }

    fn waived(&self, name: &str) -> String {
        match self.configuration.find(Kind::Waiver, name).map(|object| &object.spec) {
            Some(Spec::Waiver(waiver)) => {
                format!("  (waived by `{name}`{}) {}: {}", self.left(name), waiver.owner, waiver.reason)
            }
            _ => format!("  (waived by `{name}`, which is gone)"),
        }
    }

    /// How long a Waiver still lasts; nothing where it is gone.
    fn left(&self, name: &str) -> String {
        match self.configuration.find(Kind::Waiver, name).map(|object| &object.spec) {
            Some(Spec::Waiver(waiver)) => sentences::days_left(waiver.days_left(self.now)),
            _ => String::new(),
        }
    }

    /// The Bindings that say how far to go, and the tags by which the service has a say.
    fn bindings(&self, text: &mut String, planned: &PlannedResource) -> std::fmt::Result {
        for name in &planned.bindings {
            let how = match self.configuration.find(Kind::Binding, name).map(|object| &object.spec) {
                Some(Spec::Binding(binding)) => {
                    let strategy = binding.strategy.as_deref().unwrap_or("default");
                    format!("{}, strategy `{strategy}`", binding.enforcement.as_str())
                }
                _ => "which is gone".to_owned(),
            };
            writeln!(text, "bound by {}: {how}", clean_text(name))?;
        }
        for here in planned.waivers.iter().filter(|here| here.need == Need::Unneeded) {
            let line = format!("waiver `{}` is no longer needed here{}", here.name, self.left(&here.name));
            writeln!(text, "{}", clean_text(&line))?;
        }
        for exempt in &planned.exempt {
            writeln!(text, "{}", clean_text(exempt))?;
        }
        Ok(())
    }

    /// Freezes that are over it, or may be: its tags and launch type are not kept.
    fn freezes(&self, planned: &PlannedResource) -> Vec<Reason> {
        let revision = planned.task_definition.as_deref().and_then(|arn| arn.parse().ok());
        let family = revision.map(|arn: crate::model::TaskDefinitionArn| arn.family().to_owned());
        let known = |text: &str| ScopeKey::Known(text.to_owned());
        let keys = ScopeKeys {
            account: known(self.arn.account()),
            region: known(self.arn.region()),
            cluster: self.arn.short().split_once('/').map_or(ScopeKey::Unknown, |(cluster, _)| known(cluster)),
            service: known(self.arn.name()),
            family: family.map_or(ScopeKey::Unknown, ScopeKey::Known),
            launch_type: ScopeKey::Unknown,
            tags: ScopeTags::default(),
        };
        let freezes = self.configuration.objects.iter().filter_map(|object| match &object.spec {
            Spec::Freeze(freeze) => Some((object.metadata.name.clone(), freeze.clone())),
            _ => None,
        });
        freezes.filter_map(|freeze| plan::frozen(&[freeze], &keys, self.now)).collect()
    }

    /// Every rollout that had or has it in hand, oldest first, and where its change stands.
    fn rollouts(&self, text: &mut String) -> std::fmt::Result {
        if !self.campaigns.is_empty() {
            writeln!(text, "rollouts")?;
        }
        for campaign in self.campaigns {
            let rollout = &campaign.rollout.value;
            writeln!(text, "  {}  {}", clean_text(&rollout.name), rollout.state.phase())?;
            let all = || campaign.changes.iter().map(|change| &change.value);
            for change in all().filter(|change| is_of(change, self.arn)) {
                let to = change.spec.to.as_ref().map_or("", |to| to.short());
                let from = change.spec.from.as_ref().map_or("", |from| from.short());
                let why = waits::why(rollout, all(), change).map(|reason| format!("  {reason}")).unwrap_or_default();
                let line = format!("{}  {}  {from} -> {to}{why}", change.name, change.state.phase().as_str());
                writeln!(text, "    {}", clean_text(&line))?;
            }
        }
        Ok(())
    }
}
