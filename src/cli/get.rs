//! `get KIND [NAME]`: what people wrote, and what the controller has found and done. Reads the store only.

use clap::Args;
use serde_json::Value;

use super::error::{Answer, Error};
use super::objects::{self, Standing};
use super::output::{Format, table};
use super::printed::{List, Printed};
use super::run::Session;
use super::targets;
use super::views;
use super::watch::Watch;
use crate::manifest::{did_you_mean, to_yaml};
use crate::model::spec::Kind;
use crate::model::{TargetId, Timestamp};
use crate::ports::Store;
use crate::records::applications::Applications;
use crate::records::campaign::Campaigns;
use crate::records::configuration::Configurations;
use crate::records::events::{Event, Events};
use crate::records::history;
use crate::records::lease::Leases;
use crate::records::reports::Reports;
use crate::records::standalone::StandaloneReports;
use crate::records::statuses::{ClusterStatus, Statuses};
use crate::rollout::told::Counts;

/// What to list.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// policies, bindings, waivers, rolloutstrategies, targets, freezes, rollouts, changes, holds, services, findings, clusters,
    /// events, leases
    kind: String,
    /// Only this one
    name: Option<String>,
    /// Look again and again, and print when something has changed
    #[arg(short, long)]
    watch: bool,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    Objects(Kind),
    Rollouts,
    Changes,
    Holds,
    Services,
    Findings,
    Clusters,
    Events,
    Leases,
}

impl Listed {
    /// What one of them is called.
    pub(super) const fn one(self) -> &'static str {
        match self {
            Self::Objects(kind) => kind.as_str(),
            Self::Rollouts => "rollout",
            Self::Changes => "change",
            Self::Holds => "hold",
            Self::Services => "service",
            Self::Findings => "finding",
            Self::Clusters => "cluster",
            Self::Events => "event",
            Self::Leases => "lease",
        }
    }
}

impl std::str::FromStr for Listed {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "rollout" | "rollouts" => Self::Rollouts,
            "change" | "changes" => Self::Changes,
            "hold" | "holds" => Self::Holds,
            "service" | "services" | "servicereport" | "servicereports" => Self::Services,
            "finding" | "findings" => Self::Findings,
            "cluster" | "clusters" | "clusterreport" | "clusterreports" => Self::Clusters,
            "event" | "events" => Self::Events,
            "lease" | "leases" => Self::Leases,
            other => Self::Objects(other.parse().map_err(|_| {
                Error::new(format!("`{text}` is not a kind")).help(
                    "the kinds are policies, bindings, waivers, rolloutstrategies, targets, freezes, rollouts, changes, holds, \
                     services, findings, clusters, events and leases",
                )
            })?),
        })
    }
}

/// One thing in a list.
pub(super) struct Item {
    pub(super) name: String,
    /// The other columns, those for `-o wide` last.
    pub(super) cells: Vec<String>,
    pub(super) json: Value,
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    session.output.only(&[Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name])?;
    let listed: Listed = arguments.kind.parse()?;
    let opened = session.store().await?;
    let store = opened.store.as_ref();
    let name = arguments.name.as_deref();
    if !arguments.watch {
        let items = named(collect(session, store, listed).await?, listed, name, &arguments.kind)?;
        let text = render(session.output.format(), listed, &items, name.is_some())?;
        if text.is_empty() && matches!(session.output.format(), Format::Table | Format::Wide) {
            super::output::talk(&format!("no {} found", arguments.kind));
        }
        session.output.text(&text)?;
        return Ok(Answer::Yes);
    }
    let watch = Watch::start()?;
    let mut last = String::new();
    loop {
        let mut items = collect(session, store, listed).await?;
        items.retain(|item| name.is_none_or(|name| is_called(item, name)));
        let text = render(session.output.format(), listed, &items, name.is_some() && items.len() == 1)?;
        if text != last {
            session.output.text(&text)?;
            last = text;
        }
        if !watch.again(session).await {
            return Ok(Answer::Yes);
        }
    }
}

fn is_called(item: &Item, name: &str) -> bool {
    item.name == name || item.name.strip_suffix(name).is_some_and(|before| before.ends_with('/'))
}

fn named(items: Vec<Item>, listed: Listed, name: Option<&str>, kind: &str) -> Result<Vec<Item>, Error> {
    let Some(name) = name else { return Ok(items) };
    let known: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
    let found: Vec<Item> = items.into_iter().filter(|item| is_called(item, name)).collect();
    // Several findings or events of one resource are no mistake.
    if found.is_empty() && !matches!(listed, Listed::Findings | Listed::Events | Listed::Holds) {
        let error = Error::new(format!("there is no {} `{name}`", listed.one().to_lowercase()));
        return Err(match did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>()) {
            Some(meant) => error.help(format!("{meant}; see `plimsoll get {}`", kind.to_lowercase())),
            None => error.help(format!("see `plimsoll get {}`", kind.to_lowercase())),
        });
    }
    Ok(found)
}

/// All of a kind.
pub(super) async fn collect(session: &Session, store: &dyn Store, listed: Listed) -> Result<Vec<Item>, Error> {
    let now = session.now();
    if let Listed::Objects(kind) = listed {
        let configuration = Configurations::of(store).read(None).await?.unwrap_or_default();
        let statuses = Standing::read(session, store, kind).await?;
        let objects = configuration.objects.iter().filter(|object| object.kind() == kind);
        return Ok(objects.map(|object| objects::item(object, &statuses, now)).collect());
    }
    let mut items = Vec::new();
    if listed == Listed::Events {
        items.extend(Applications::of(store).list().await?.iter().map(|event| of_event(None, event)));
    }
    for target in targets::all(session, store).await? {
        items.extend(of_target(store, &target, listed).await?);
    }
    Ok(items)
}

pub(super) async fn of_target(store: &dyn Store, target: &TargetId, listed: Listed) -> Result<Vec<Item>, Error> {
    let short = |time: Timestamp| time.to_string();
    let until = |time: Option<Timestamp>| time.map(short).unwrap_or_default();
    let campaigns = Campaigns::of(store, target);
    Ok(match listed {
        Listed::Objects(_) => Vec::new(),
        Listed::Rollouts => {
            let mut all = campaigns.campaigns().await?;
            all.sort_by_key(|campaign| campaign.rollout.value.created_at);
            let item = |campaign: &crate::records::campaign::Campaign| {
                let rollout = &campaign.rollout.value;
                let counts = Counts::of(campaign.changes.iter().map(|change| &change.value));
                let wave = rollout.state.wave().map(|wave| format!("{}/{}", wave + 1, rollout.spec.waves.len()));
                Item {
                    name: rollout.name.clone(),
                    cells: vec![
                        rollout.state.phase().to_owned(),
                        wave.unwrap_or_default(),
                        format!("{}/{}", counts.succeeded + counts.unverified, counts.total),
                        campaign.changes.iter().filter(|change| change.value.failed()).count().to_string(),
                        rollout.waiting.as_ref().map(|reason| reason.code.as_str().to_owned()).unwrap_or_default(),
                        short(rollout.created_at),
                        target.to_string(),
                        rollout.spec.plan.clone(),
                    ],
                    json: views::rollout(campaign),
                }
            };
            all.iter().map(item).collect()
        }
        Listed::Changes => {
            let all = campaigns.campaigns().await?;
            let item = |change: &crate::rollout::Change, json: Value| Item {
                name: change.name.clone(),
                cells: vec![
                    change.spec.resource.short().to_owned(),
                    change.state.phase().as_str().to_owned(),
                    change.spec.from.as_ref().map(|arn| arn.short().to_owned()).unwrap_or_default(),
                    change.spec.to.as_ref().map(|arn| arn.short().to_owned()).unwrap_or_default(),
                    (change.spec.wave + 1).to_string(),
                    change.waiting.as_ref().map(|reason| reason.message.clone()).unwrap_or_default(),
                    target.to_string(),
                ],
                json,
            };
            all.iter()
                .flat_map(|campaign| campaign.changes.iter().zip(views::changes(campaign)))
                .map(|(change, json)| item(&change.value, json))
                .collect()
        }
        Listed::Holds => {
            let item = |hold: &crate::model::Hold| Item {
                name: hold.resource.as_str().to_owned(),
                cells: vec![
                    hold.resource.short().to_owned(),
                    hold.policy.clone(),
                    until(hold.until),
                    hold.reason.message.clone(),
                    hold.by.clone().unwrap_or_default(),
                    hold.rollout.clone().unwrap_or_default(),
                    hold.fix.clone(),
                    target.to_string(),
                ],
                json: views::hold(target, hold),
            };
            campaigns.holds().await?.iter().map(|hold| item(&hold.value)).collect()
        }
        Listed::Services | Listed::Findings => {
            let reports = Reports::of(store, target).list().await?;
            let item = |report: &crate::records::reports::ServiceReport| {
                let planned = &report.resource;
                let revision = planned.task_definition.as_deref().unwrap_or("");
                Item {
                    name: planned.resource.clone(),
                    cells: vec![
                        after_colon(&planned.resource),
                        planned.outcome.as_str().to_owned(),
                        planned.findings.iter().filter(|found| found.finding.waiver.is_none()).count().to_string(),
                        planned.reason.as_ref().map(|reason| reason.code.as_str().to_owned()).unwrap_or_default(),
                        revision.rsplit('/').next().unwrap_or("").to_owned(),
                        planned.enforcement.as_str().to_owned(),
                        target.to_string(),
                    ],
                    json: views::service(target, report),
                }
            };
            if listed == Listed::Services {
                reports.values().map(item).collect()
            } else {
                let outside = StandaloneReports::of(store, target).list().await?;
                let outside = outside.values().flat_map(|row| of_standalone(target, row));
                reports.values().flat_map(|report| of_report(target, report)).chain(outside).collect()
            }
        }
        Listed::Clusters => {
            let statuses = Statuses::of(store, target).list::<ClusterStatus>().await?;
            statuses.iter().map(|(name, status)| of_cluster(target, name, &status.value)).collect()
        }
        Listed::Events => {
            let mut events = Events::of(store, target).list("").await?;
            events.sort_by(|one, other| {
                (one.at, &one.subject, one.number).cmp(&(other.at, &other.subject, other.number))
            });
            events.iter().map(|event| of_event(Some(target), event)).collect()
        }
        Listed::Leases => {
            let lease = Leases::of(store, target).read().await?;
            let item = |lease: crate::records::Versioned<crate::records::lease::Lease>| Item {
                name: target.to_string(),
                cells: vec![
                    lease.value.holder.clone().unwrap_or_else(|| "nobody".to_owned()),
                    lease.value.epoch.to_string(),
                    short(lease.value.renewed_at),
                    format!("{}s", lease.value.length_millis / 1000),
                ],
                json: views::lease(target, lease.version, &lease.value),
            };
            lease.map(item).into_iter().collect()
        }
    })
}

fn of_cluster(target: &TargetId, name: &str, status: &ClusterStatus) -> Item {
    let today = status.days.figures().last();
    let count = |count: Option<usize>| count.map(|count| count.to_string()).unwrap_or_default();
    Item {
        name: name.to_owned(),
        cells: vec![
            today.and_then(|figure| figure.compliant()).map(history::percent).unwrap_or_default(),
            count(today.map(|figure| figure.matched)),
            count(today.map(|figure| figure.failing)),
            count(today.map(|figure| figure.unknown)),
            today.map(|figure| figure.day.to_string()).unwrap_or_default(),
            status.days.figures().len().to_string(),
            target.to_string(),
        ],
        json: views::cluster(target, name, status),
    }
}

fn of_event(target: Option<&TargetId>, event: &Event) -> Item {
    Item {
        name: event.subject.clone(),
        cells: vec![
            event.at.to_string(),
            event.what.clone(),
            event.by.clone(),
            event.message.clone(),
            event.number.to_string(),
            target.map(ToString::to_string).unwrap_or_default(),
        ],
        json: views::event(target, event),
    }
}

fn of_report(target: &TargetId, report: &crate::records::reports::ServiceReport) -> Vec<Item> {
    let jsons = views::findings(target, report);
    let item = |(found, json): (&crate::plan::PlannedFinding, Value)| Item {
        name: report.resource.resource.clone(),
        cells: vec![
            after_colon(&report.resource.resource),
            found.severity.as_str().to_owned(),
            found.policy.clone(),
            found.finding.message.clone(),
            if found.finding.fixable { "yes" } else { "no" }.to_owned(),
            found.finding.waiver.clone().unwrap_or_default(),
            found.finding.path.clone(),
            target.to_string(),
        ],
        json,
    };
    report.resource.findings.iter().zip(jsons).map(item).collect()
}

/// The findings outside of services, under the revision and where it runs.
fn of_standalone(target: &TargetId, row: &crate::plan::PlannedStandalone) -> Vec<Item> {
    let place = row.cluster.as_ref().map_or_else(|| "in no service".to_owned(), |arn| format!("in {}", arn.name()));
    let item = |found: &crate::plan::PlannedFinding| Item {
        name: row.resource.clone(),
        cells: vec![
            format!("{} {place}", row.resource.rsplit('/').next().unwrap_or(&row.resource)),
            found.severity.as_str().to_owned(),
            found.policy.clone(),
            format!("{} ({})", found.finding.message, row.reason.code.as_str()),
            "no".to_owned(),
            found.finding.waiver.clone().unwrap_or_default(),
            found.finding.path.clone(),
            target.to_string(),
        ],
        json: views::standalone_finding(target, row, found),
    };
    row.findings.iter().map(item).collect()
}

/// `CLUSTER/NAME` of an ARN: what people read.
pub(super) fn after_colon(arn: &str) -> String {
    let last = arn.rsplit(':').next().unwrap_or(arn);
    last.split_once('/').map_or(last, |(_, name)| name).to_owned()
}

/// The columns after NAME, and how many of them are there without `-o wide`. Where `usual.0` is false the name itself
/// is too long to be read and the first column stands for it.
const fn columns(listed: Listed) -> (&'static [&'static str], usize, bool) {
    match listed {
        Listed::Objects(Kind::Policy) => {
            (&["SEVERITY", "RESOURCE", "FAILING", "WOULD CHANGE", "BLOCKED", "TITLE", "CONTROLS"], 6, true)
        }
        Listed::Objects(Kind::Binding) => (&["ENFORCEMENT", "STRATEGY", "MATCHED", "POLICIES"], 4, true),
        Listed::Objects(Kind::Waiver) => (
            &["STATE", "COVERS", "EXPIRES", "DAYS LEFT", "OWNER", "POLICIES", "REASON", "TICKET", "APPLIED BY"],
            6,
            true,
        ),
        Listed::Objects(Kind::RolloutStrategy) => (&["WAVES", "IN FLIGHT", "AFFECTED", "ON FAILURE"], 4, true),
        Listed::Objects(Kind::Target) => (&["ACCOUNT", "REGION", "STATE", "ROLE"], 3, true),
        Listed::Objects(Kind::Freeze) => (&["STATE", "UNTIL", "BY", "REASON"], 4, true),
        Listed::Rollouts => (&["PHASE", "WAVE", "DONE", "FAILED", "WAITING", "CREATED", "TARGET", "PLAN"], 6, true),
        Listed::Changes => (&["RESOURCE", "PHASE", "FROM", "TO", "WAVE", "WAITING", "TARGET"], 5, true),
        Listed::Holds => (&["SERVICE", "POLICY", "UNTIL", "REASON", "BY", "ROLLOUT", "FIX", "TARGET"], 4, false),
        Listed::Services => {
            (&["SERVICE", "OUTCOME", "FINDINGS", "REASON", "REVISION", "ENFORCEMENT", "TARGET"], 5, false)
        }
        Listed::Findings => {
            (&["SERVICE", "SEVERITY", "POLICY", "MESSAGE", "FIXABLE", "WAIVER", "PATH", "TARGET"], 5, false)
        }
        Listed::Clusters => (&["COMPLIES", "JUDGED", "FAILING", "UNKNOWN", "DAY", "DAYS ON RECORD", "TARGET"], 6, true),
        Listed::Events => (&["AT", "WHAT", "BY", "MESSAGE", "NUMBER", "TARGET"], 4, true),
        Listed::Leases => (&["HOLDER", "EPOCH", "RENEWED", "LENGTH"], 4, true),
    }
}

/// A list as it is asked for. `single`: one by name, which is not wrapped into a List.
pub(super) fn render(format: Format, listed: Listed, items: &[Item], single: bool) -> Result<String, Error> {
    let value = || match items {
        [one] if single => one.json.clone(),
        _ => List { items: items.iter().map(|item| item.json.clone()).collect() }.to_json(),
    };
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(&value()).unwrap_or_default(),
        Format::Yaml => {
            to_yaml(&value()).map_err(|error| Error::new("failed to write YAML").caused_by(error.to_string()))?
        }
        Format::Name => {
            let prefix = match listed {
                Listed::Objects(kind) => format!("{}/", kind.as_str().to_lowercase()),
                Listed::Rollouts => "rollout/".to_owned(),
                Listed::Changes => "change/".to_owned(),
                Listed::Clusters => "cluster/".to_owned(),
                Listed::Holds | Listed::Services | Listed::Findings | Listed::Events | Listed::Leases => String::new(),
            };
            items.iter().map(|item| format!("{prefix}{}", item.name)).collect::<Vec<_>>().join("\n")
        }
        _ => {
            let (header, usual, with_name) = columns(listed);
            let shown = if format == Format::Wide { header.len() } else { usual };
            let name = |item: &Item| with_name.then(|| item.name.clone());
            let header: Vec<&str> =
                with_name.then_some("NAME").into_iter().chain(header.iter().copied().take(shown)).collect();
            let rows: Vec<Vec<String>> = items
                .iter()
                .map(|item| name(item).into_iter().chain(item.cells.iter().take(shown).cloned()).collect())
                .collect();
            table(&header, &rows)
        }
    })
}
