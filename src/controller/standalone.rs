//! Looking for what no service accounts for: tasks that somebody else runs, and families that nobody does.
//!
//! A look costs, besides what a pass costs anyway: for each cluster a page of ListTasks for every hundred tasks, a
//! DescribeTasks for as many; a page of ListTaskDefinitionFamilies for every hundred families; and one
//! DescribeTaskDefinition for each family that is looked at, of which there are at most so many in one look. Only looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::error::{ControllerError, ecs as ecs_failed, wire as wire_failed};
use super::observe::{self, Cache};
use crate::model::observed::{Fleet, TaskDefinition};
use crate::model::packed::{PackedDefinition, Packer};
use crate::model::spec::LaunchType;
use crate::model::standalone::{DaemonTasks, Standalone, StandaloneTasks};
use crate::model::{ClusterArn, Observed, TargetId, TaskDefinitionArn, Timestamp, chain, wire};
use crate::plan::{StandaloneReport, revisions_named};
use crate::ports::{Ecs, Operation, Store};
use crate::records::RecordError;
use crate::records::standalone::{StandaloneReports, Written};

/// The group that ECS gives to a service's tasks: `service:NAME` (botocore ecs/2014-11-13, `Task.group`, and
/// `Service`'s placement groups).
const OF_A_SERVICE: &str = "service:";

/// What stands in the ARN of a daemon task definition where another has `:task-definition/` (botocore ecs/2014-11-13,
/// `DaemonTaskDefinition.daemonTaskDefinitionArn`).
const OF_A_DAEMON: &str = ":daemon-task-definition/";

/// How many calls are under way at once.
const CONCURRENT: usize = 8;

/// How a controller looks: how often, and at how much.
pub(super) struct Looking {
    every: Duration,
    most: usize,
    seen: Seen,
    written: Option<Written>,
}

impl Looking {
    /// So far apart, each time at no more than so many families.
    pub(super) fn new(every: Duration, most: usize) -> Self {
        Self { every, most, seen: Seen::default(), written: None }
    }

    /// Whether it is time for a look.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.seen.looked.is_none_or(|looked| now >= looked + self.every)
    }

    /// Looks.
    pub(super) async fn look(&mut self, ecs: &dyn Ecs, fleet: &Fleet, cache: &Cache, now: Timestamp) -> Standalone {
        look(ecs, (fleet, cache), &mut self.seen, self.most, now).await
    }

    /// Keeps what came of a look.
    pub(super) async fn write(
        &mut self,
        store: &dyn Store,
        target: &TargetId,
        found: &StandaloneReport,
    ) -> Result<(), RecordError> {
        StandaloneReports::of(store, target).write(found, &mut self.written).await.map(drop)
    }
}

/// What was seen in earlier looks. A revision never changes; which one is a family's latest does.
#[derive(Debug)]
struct Seen {
    packer: Packer,
    definitions: BTreeMap<TaskDefinitionArn, Arc<PackedDefinition>>,
    families: BTreeMap<String, (Timestamp, Observed<Arc<PackedDefinition>>)>,
    /// When the last look began.
    looked: Option<Timestamp>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { packer: Packer::learning(), definitions: BTreeMap::new(), families: BTreeMap::new(), looked: None }
    }
}

impl Seen {
    fn pack(&mut self, observed: Observed<Arc<TaskDefinition>>) -> Observed<Arc<PackedDefinition>> {
        match observed {
            Observed::Known { value, at } => {
                Observed::Known { value: Arc::new(PackedDefinition::of(&value, &mut self.packer)), at }
            }
            Observed::Absent { at } => Observed::Absent { at },
            Observed::Unknown { since, why } => Observed::Unknown { since, why },
        }
    }
}

/// Looks once. At most `most` families are described; the others, longest unseen first, have their turn in later looks,
/// and are told as they were last seen.
async fn look(
    ecs: &dyn Ecs,
    (fleet, cache): (&Fleet, &Cache),
    seen: &mut Seen,
    most: usize,
    now: Timestamp,
) -> Standalone {
    seen.looked = Some(now);
    let mut found = Standalone::default();
    for cluster in fleet.clusters.keys() {
        match tasks(ecs, cluster).await {
            Ok((tasks, daemons)) => {
                found.tasks.extend(tasks);
                found.daemons.extend(daemons);
            }
            Err(error) => {
                let name = cluster.name();
                found.gaps.push(format!("the tasks of cluster `{name}` could not be read: {}", chain(&error)));
            }
        }
    }
    definitions(ecs, cache, seen, &mut found, now).await;
    if let Err(error) = families(ecs, fleet, seen, &mut found, most, now).await {
        found.gaps.push(format!("the families of task definitions could not be listed: {}", chain(&error)));
    }
    found
}

/// The running tasks of a cluster that no service started, by revision, and those of ECS's managed daemons.
async fn tasks(
    ecs: &dyn Ecs,
    cluster: &ClusterArn,
) -> Result<(Vec<StandaloneTasks>, Vec<DaemonTasks>), ControllerError> {
    let input = json!({ "cluster": cluster, "maxResults": 100 });
    let arns: Vec<String> = observe::list(ecs, Operation::ListTasks, input, "taskArns").await?;
    let mut found: BTreeMap<TaskDefinitionArn, StandaloneTasks> = BTreeMap::new();
    let mut daemons: BTreeMap<String, DaemonTasks> = BTreeMap::new();
    for batch in arns.chunks(100) {
        let action = || format!("describing tasks of cluster `{}`", cluster.name());
        let input = json!({ "cluster": cluster, "tasks": batch });
        let answer = ecs.call(Operation::DescribeTasks, input).await.map_err(ecs_failed(action()))?;
        for item in wire::items(&answer, "tasks").map_err(wire_failed(action()))? {
            let group = item.get("group").and_then(Value::as_str).unwrap_or("");
            if group.starts_with(OF_A_SERVICE) {
                continue;
            }
            let runs = item.get("taskDefinitionArn").and_then(Value::as_str);
            if let Some(definition) = runs.filter(|arn| arn.contains(OF_A_DAEMON)) {
                let (cluster, definition) = (cluster.clone(), definition.to_owned());
                let none = || DaemonTasks { cluster, definition: definition.clone(), tasks: 0 };
                daemons.entry(definition.clone()).or_insert_with(none).tasks += 1;
                continue;
            }
            let task = wire::task(item).map_err(wire_failed(action()))?;
            let launch_type = item.get("launchType").cloned().and_then(|text| serde_json::from_value(text).ok());
            add(&mut found, cluster, group, task, launch_type);
        }
    }
    Ok((found.into_values().collect(), daemons.into_values().collect()))
}

fn add(
    found: &mut BTreeMap<TaskDefinitionArn, StandaloneTasks>,
    cluster: &ClusterArn,
    group: &str,
    task: crate::model::observed::Task,
    launch_type: Option<LaunchType>,
) {
    let entry = found.entry(task.task_definition.clone()).or_insert_with(|| StandaloneTasks {
        cluster: cluster.clone(),
        revision: task.task_definition,
        tasks: 0,
        group: group.to_owned(),
        started_by: task.started_by,
        launch_type,
    });
    entry.tasks += 1;
    entry.launch_type = entry.launch_type.filter(|known| Some(*known) == launch_type);
}

/// Each revision once, ever, and not again where a service names it too.
async fn definitions(ecs: &dyn Ecs, cache: &Cache, seen: &mut Seen, found: &mut Standalone, now: Timestamp) {
    let wanted: BTreeSet<TaskDefinitionArn> = found.tasks.iter().map(|tasks| tasks.revision.clone()).collect();
    seen.definitions.retain(|arn, _| wanted.contains(arn));
    for arn in wanted {
        let known = cache.definition(&arn).or_else(|| seen.definitions.get(&arn));
        let observed = match known.cloned() {
            Some(value) => Observed::Known { value, at: now },
            None => seen.pack(observe::definition(ecs, arn.as_str(), now).await),
        };
        if let Observed::Known { value, .. } = &observed {
            seen.definitions.insert(arn.clone(), Arc::clone(value));
        }
        found.definitions.insert(arn, observed);
    }
}

/// The latest revisions of families that nobody uses.
async fn families(
    ecs: &dyn Ecs,
    fleet: &Fleet,
    seen: &mut Seen,
    found: &mut Standalone,
    most: usize,
    now: Timestamp,
) -> Result<(), ControllerError> {
    let input = json!({ "status": "ACTIVE", "maxResults": 100 });
    let all: Vec<String> = observe::list(ecs, Operation::ListTaskDefinitionFamilies, input, "families").await?;
    let by_services = revisions_named(fleet).into_iter().map(TaskDefinitionArn::family);
    let used: BTreeSet<&str> = by_services.chain(found.tasks.iter().map(|tasks| tasks.revision.family())).collect();
    let unused: BTreeSet<String> = all.into_iter().filter(|family| !used.contains(family.as_str())).collect();
    seen.families.retain(|family, _| unused.contains(family));
    let mut turn: Vec<&String> = unused.iter().collect();
    turn.sort_by_key(|family| seen.families.get(*family).map(|(at, _)| *at));
    let turn: Vec<String> = turn.into_iter().take(most).cloned().collect();
    let mut described = stream::iter(turn)
        .map(|family| async move {
            let latest = observe::latest_of(ecs, &family, now).await;
            (family, latest)
        })
        .buffered(CONCURRENT);
    while let Some((family, latest)) = described.next().await {
        let latest = seen.pack(latest);
        seen.families.insert(family, (now, latest));
    }
    drop(described);
    let left = unused.iter().filter(|family| !seen.families.contains_key(*family)).count();
    if left > 0 {
        found
            .gaps
            .push(format!("{left} of {} families that no service uses have not had their turn yet", unused.len()));
    }
    found.families = seen.families.iter().map(|(family, (_, latest))| (family.clone(), latest.clone())).collect();
    Ok(())
}
