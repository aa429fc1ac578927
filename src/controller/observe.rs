//! Reading the live fleet, with the least calls: pages of 100, batches of 10 and 100, each revision once, ever.
//!
//! What cannot be read is `Unknown` with the reason; it never ends the pass and never counts as compliant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::ahead::Ahead;
use super::asked::{Asked, capacity_providers, describe_revisions, running};
use super::error::{ControllerError, ecs as ecs_failed, wire as wire_failed};
use super::services::{SeenServices, described_one};
use crate::model::observed::{Cluster, Fleet, Latest, ServiceRevision, Task, TaskDefinition};
use crate::model::packed::{PackedDefinition, PackedService, Packer};
use crate::model::{
    ClusterArn, Observed, Secrets, ServiceArn, TargetId, TaskArn, TaskDefinitionArn, Timestamp, chain, wire,
};
use crate::ports::{Ecs, EcsError, Operation};
use crate::rollout::change::READ_LAG;
use crate::rollout::landing::{Facts, KnownDeployment, ServiceDeployments};
use crate::rollout::protection::Protection;

/// How many calls of one pass are under way at once. The budget, not this, sets the pace.
pub(super) const CONCURRENT: usize = 8;

/// What was seen before. A revision never changes but for its status and tags; a service that is as it was is not packed
/// again.
#[derive(Debug)]
pub struct Cache {
    pub(super) definitions: BTreeMap<TaskDefinitionArn, Arc<PackedDefinition>>,
    pub(super) of_definitions: Packer,
    pub(super) services: SeenServices,
    pub(super) revisions: BTreeMap<String, ServiceRevision>,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            definitions: BTreeMap::new(),
            of_definitions: Packer::learning(),
            services: SeenServices::default(),
            revisions: BTreeMap::new(),
        }
    }
}

/// Reads everything of `operation` page by page.
pub(super) async fn pages(ecs: &dyn Ecs, operation: Operation, input: &Value) -> Result<Vec<Value>, EcsError> {
    let mut answers = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let mut input = input.clone();
        if let (Some(token), Some(members)) = (&token, input.as_object_mut()) {
            members.insert("nextToken".to_owned(), Value::String(token.clone()));
        }
        let answer = ecs.call(operation, input).await?;
        let unusable = |message: String| EcsError::NoAnswer { operation, message };
        let next = wire::next_token(&answer).map_err(|error| unusable(error.to_string()))?.map(ToOwned::to_owned);
        if next.is_some() && next == token {
            // It would be asked for ever, and what is left would be missed.
            return Err(unusable("the same page was answered twice".to_owned()));
        }
        answers.push(answer);
        match next {
            Some(next) => token = Some(next),
            None => return Ok(answers),
        }
    }
}

/// The names that ListClusters, ListServices or ListTasks give.
pub(super) async fn list<T>(
    ecs: &dyn Ecs,
    operation: Operation,
    input: Value,
    member: &str,
) -> Result<Vec<T>, ControllerError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let action = || format!("{} of {input}", operation.as_str());
    let mut found = Vec::new();
    for answer in pages(ecs, operation, &input).await.map_err(ecs_failed(action()))? {
        if answer.get(member).is_none() {
            // An empty list is written out: without one, nobody can say that there is nothing.
            let message = format!("the answer has no `{member}`");
            return Err(ecs_failed(action())(EcsError::NoAnswer { operation, message }));
        }
        found.extend(wire::arns::<T>(&answer, member).map_err(wire_failed(action()))?);
    }
    Ok(found)
}

/// Observes the whole target. Never fails: what could not be read is in `gaps` or `Unknown`.
///
/// # Errors
/// Only where the clusters cannot be listed at all: then there is nothing to say.
///
/// Services and revisions have budgets of their own, so revisions of services that `needs` tells of are described at the
/// same time, as many as there is time for.
pub async fn fleet(
    ecs: &dyn Ecs,
    target: &TargetId,
    asked: Asked,
    cache: &mut Cache,
    needs: &(dyn Fn(&ServiceArn, &PackedService) -> bool + Sync),
    now: Timestamp,
) -> Result<Fleet, ControllerError> {
    let mut fleet = Fleet {
        target: target.clone(),
        at: now,
        clusters: BTreeMap::new(),
        services: BTreeMap::new(),
        task_definitions: BTreeMap::new(),
        latest: BTreeMap::new(),
        running: BTreeMap::new(),
        capacity_providers: None,
        gaps: Vec::new(),
    };
    let arns: Vec<ClusterArn> = list(ecs, Operation::ListClusters, json!({ "maxResults": 100 }), "clusterArns").await?;
    if let Some(stranger) = arns.iter().find(|arn| arn.account() != target.account || arn.region() != target.region) {
        // An endpoint override that answers for another region: holds and records are kept by target, and would not apply.
        let answered = format!("{}/{}", stranger.account(), stranger.region());
        return Err(ControllerError::WrongTarget { target: target.to_string(), answered });
    }
    for batch in arns.chunks(100) {
        clusters(ecs, batch, &mut fleet, now).await;
    }
    let mut listings = stream::iter(arns)
        .map(|cluster| async move {
            let input = json!({ "cluster": cluster, "maxResults": 100 });
            let services = list::<ServiceArn>(ecs, Operation::ListServices, input, "serviceArns").await;
            (cluster, services)
        })
        .buffered(CONCURRENT);
    let mut batches: Vec<(ClusterArn, Vec<ServiceArn>)> = Vec::new();
    while let Some((cluster, services)) = listings.next().await {
        match services {
            Ok(services) => batches.extend(services.chunks(10).map(|batch| (cluster.clone(), batch.to_vec()))),
            Err(error) => fleet.gaps.push(format!(
                "the services of cluster `{}` could not be listed: {}",
                cluster.name(),
                chain(&error)
            )),
        }
    }
    drop(listings);
    let mut services = Vec::with_capacity(batches.iter().map(|(_, batch)| batch.len()).sum());
    let mut described = stream::iter(batches)
        .map(|(cluster, batch)| async move {
            let answer = ecs.call_last(Operation::DescribeServices, services_input(&cluster, &batch)).await;
            (batch, answer)
        })
        .buffered(CONCURRENT);
    let mut ahead = Ahead::default();
    loop {
        tokio::select! {
            // In this order, so that a run can be repeated.
            biased;
            batch = described.next() => {
                let Some((batch, answer)) = batch else { break };
                for (arn, seen) in cache.services.read(batch, answer, asked.events, now) {
                    if let Some(known) = seen.known().filter(|known| needs(&arn, known)) {
                        ahead.want(known.task_definitions(), cache);
                    }
                    services.push((arn, seen));
                }
            }
            Some((arn, answer)) = ahead.next() => ahead.keep(arn, answer, cache, &mut fleet, now),
        }
        ahead.go_on(ecs, now);
    }
    drop(described);
    // At once: what is inserted in its order leaves the nodes of a map half empty.
    fleet.services = services.into_iter().collect();
    while let Some((arn, answer)) = ahead.next().await {
        ahead.keep(arn, answer, cache, &mut fleet, now);
    }
    cache.services.keep_only(&fleet);
    if asked.capacity_providers {
        fleet.capacity_providers = Some(capacity_providers(ecs, now).await);
    }
    if asked.running {
        let services = fleet.known().filter_map(|(_, seen)| seen.read().ok());
        let current = services.filter_map(|service| service.current_revision().map(ToOwned::to_owned));
        describe_revisions(ecs, current.collect(), cache).await;
        fleet.running = running(&fleet, cache);
    }
    Ok(fleet)
}

async fn clusters(ecs: &dyn Ecs, batch: &[ClusterArn], fleet: &mut Fleet, now: Timestamp) {
    let input = json!({ "clusters": batch, "include": ["TAGS", "SETTINGS", "CONFIGURATIONS"] });
    let read = |answer: Value| -> Result<Vec<Cluster>, String> {
        let items = wire::items(&answer, "clusters").map_err(|error| error.to_string())?;
        items.iter().map(|item| wire::cluster(&with_configuration(item)).map_err(|error| error.to_string())).collect()
    };
    let answer = ecs.call(Operation::DescribeClusters, input).await.map_err(|error| error.to_string());
    let found = answer.and_then(read);
    for arn in batch {
        let observed = match &found {
            Ok(clusters) => match clusters.iter().find(|cluster| &cluster.arn == arn) {
                Some(cluster) => Observed::Known { value: cluster.clone(), at: now },
                None => Observed::Unknown { since: now, why: "it was listed but not described".to_owned() },
            },
            Err(why) => Observed::Unknown { since: now, why: why.clone() },
        };
        // An INACTIVE cluster is a deleted one.
        let inactive = observed.known().and_then(|cluster| cluster.document.get("status")).and_then(Value::as_str)
            == Some("INACTIVE");
        if !inactive {
            fleet.clusters.insert(arn.clone(), observed);
        }
    }
}

/// The cluster of an answer in which configuration was asked for. ECS leaves out one that nobody has set: whoever reads
/// on has to tell it from one that was not asked for.
fn with_configuration(cluster: &Value) -> Value {
    let mut cluster = cluster.clone();
    if let Some(members) = cluster.as_object_mut() {
        members.entry("configuration").or_insert_with(|| json!({}));
    }
    cluster
}

/// A cluster as ECS shows it, with tags, settings and configuration.
pub async fn cluster(ecs: &dyn Ecs, arn: &ClusterArn, now: Timestamp) -> Observed<Value> {
    // They come only where they are asked for (botocore ecs/2014-11-13, `ClusterField`).
    let input = json!({ "clusters": [arn], "include": ["TAGS", "SETTINGS", "CONFIGURATIONS"] });
    let unknown = |why: String| Observed::Unknown { since: now, why };
    let answer = match ecs.call(Operation::DescribeClusters, input).await {
        Ok(answer) => answer,
        Err(error) => return unknown(error.to_string()),
    };
    let is_it = |item: &&Value| item.get("clusterArn").is_some_and(|found| found == arn.as_str());
    let found = wire::items(&answer, "clusters").map(|items| items.iter().find(is_it).map(with_configuration));
    let missing = wire::failures(&answer).unwrap_or_default().iter().any(|(_, reason)| reason == "MISSING");
    match found {
        Ok(Some(value)) => Observed::Known { value, at: now },
        Ok(None) if missing => Observed::Absent { at: now },
        Ok(None) => unknown("it was asked for but not described".to_owned()),
        Err(error) => unknown(error.to_string()),
    }
}

/// DescribeServices of up to ten services of one cluster.
fn services_input(cluster: &ClusterArn, batch: &[ServiceArn]) -> Value {
    json!({ "cluster": cluster, "services": batch, "include": ["TAGS"] })
}

/// What DescribeTaskDefinition takes.
pub(super) fn definition_input(name: &str) -> Value {
    json!({ "taskDefinition": name, "include": ["TAGS"] })
}

/// What DescribeTaskDefinition says.
pub(super) fn described_definition<T>(answer: Result<T, EcsError>, now: Timestamp) -> Observed<T> {
    match answer {
        Ok(value) => Observed::Known { value, at: now },
        // ECS's words for a family or revision that does not exist: "Unable to describe task definition."
        Err(EcsError::Refused { code, message, .. })
            if code == "ClientException" && message.starts_with("Unable to describe task definition") =>
        {
            Observed::Absent { at: now }
        }
        Err(error) => Observed::Unknown { since: now, why: error.to_string() },
    }
}

/// A revision, or the latest ACTIVE one where `name` is a family.
pub async fn definition(ecs: &dyn Ecs, name: &str, now: Timestamp) -> Observed<Arc<TaskDefinition>> {
    let answer = ecs.call(Operation::DescribeTaskDefinition, definition_input(name)).await;
    match described_definition(answer, now) {
        Observed::Known { value, .. } => match wire::task_definition_of(value) {
            Ok(value) => Observed::Known { value: Arc::new(value), at: now },
            Err(error) => Observed::Unknown { since: now, why: error.to_string() },
        },
        Observed::Absent { at } => Observed::Absent { at },
        Observed::Unknown { since, why } => Observed::Unknown { since, why },
    }
}

/// The latest ACTIVE revision of a family.
///
/// ECS answers with it where only the family is named; ministack answers with the last one, deregistered or not.
pub async fn latest_of(ecs: &dyn Ecs, family: &str, now: Timestamp) -> Observed<Arc<TaskDefinition>> {
    let latest = definition(ecs, family, now).await;
    if latest.known().is_none_or(|definition| definition.status == "ACTIVE") {
        return latest;
    }
    match revisions_above(ecs, family, 0).await {
        Ok(active) => match active.last() {
            Some(arn) => definition(ecs, arn.as_str(), now).await,
            None => Observed::Absent { at: now },
        },
        Err(error) => Observed::Unknown { since: now, why: chain(&error) },
    }
}

/// The latest ACTIVE revision of each family, into the fleet.
pub async fn latest(ecs: &dyn Ecs, families: Vec<String>, fleet: &mut Fleet, now: Timestamp) {
    let mut described = stream::iter(families)
        .map(|family| async move {
            let observed = latest_of(ecs, &family, now).await;
            (family, observed)
        })
        .buffered(CONCURRENT);
    let mut packer = Packer::learning();
    while let Some((family, observed)) = described.next().await {
        let latest = match observed {
            Observed::Known { value, at } => {
                let definition = Arc::new(PackedDefinition::of(&value, &mut packer));
                Observed::Known { value: Latest { arn: value.arn.clone(), definition }, at }
            }
            Observed::Absent { at } => Observed::Absent { at },
            Observed::Unknown { since, why } => Observed::Unknown { since, why },
        };
        fleet.latest.insert(family, latest);
    }
}

/// The highest number that a family ever gave to a revision that can still be listed; 0 where there is none.
///
/// # Errors
/// ECS's.
pub async fn last_revision(ecs: &dyn Ecs, family: &str) -> Result<u32, ControllerError> {
    let mut last = 0;
    for status in ["ACTIVE", "INACTIVE"] {
        let action = || format!("listing the {status} revisions of `{family}`");
        let input = json!({ "familyPrefix": family, "status": status, "sort": "DESC", "maxResults": 100 });
        let answer = ecs.call(Operation::ListTaskDefinitions, input).await.map_err(ecs_failed(action()))?;
        let arns = wire::arns::<TaskDefinitionArn>(&answer, "taskDefinitionArns").map_err(wire_failed(action()))?;
        let highest = arns.iter().filter(|arn| arn.family() == family).map(|arn| arn.revision().get()).max();
        last = last.max(highest.unwrap_or(0));
    }
    Ok(last)
}

/// The ACTIVE revisions of a family above `last`, oldest first.
///
/// # Errors
/// ECS's.
pub async fn revisions_above(
    ecs: &dyn Ecs,
    family: &str,
    last: u32,
) -> Result<Vec<TaskDefinitionArn>, ControllerError> {
    let input = json!({ "familyPrefix": family, "status": "ACTIVE", "sort": "DESC", "maxResults": 100 });
    let action = || format!("listing the revisions of `{family}`");
    // One page: more than a hundred newer revisions are somebody else's, and then nothing is adopted.
    let answer = ecs.call(Operation::ListTaskDefinitions, input).await.map_err(ecs_failed(action()))?;
    let mut arns = wire::arns::<TaskDefinitionArn>(&answer, "taskDefinitionArns").map_err(wire_failed(action()))?;
    arns.retain(|arn| arn.family() == family && arn.revision().get() > last);
    arns.sort_by_key(TaskDefinitionArn::revision);
    Ok(arns)
}

/// What a change of this service is decided from, read now.
pub async fn facts(ecs: &dyn Ecs, cluster: &ClusterArn, arn: &ServiceArn, cache: &mut Cache, now: Timestamp) -> Facts {
    let input = services_input(cluster, std::slice::from_ref(arn));
    let answer = ecs.call(Operation::DescribeServices, input).await;
    let service = described_one(arn, answer, now);
    let tasks = tasks_of(ecs, cluster, arn, now).await;
    let deployments = deployments(ecs, cluster, arn, cache, now).await;
    let (protection, secrets) = (Protection::default(), Secrets::default());
    Facts { service, tasks, deployments, cluster: Observed::Absent { at: now }, protection, secrets }
}

/// Which of these tasks are protected from scale-in. What cannot be read is said, and no task passes for protected by it.
pub async fn protection(ecs: &dyn Ecs, cluster: &ClusterArn, tasks: &[TaskArn]) -> Protection {
    let mut protection = Protection::default();
    for batch in tasks.chunks(100) {
        let input = json!({ "cluster": cluster, "tasks": batch });
        let answer = ecs.call(Operation::GetTaskProtection, input).await.map_err(|error| error.to_string());
        let read = |answer: Value| -> Result<Vec<_>, String> {
            let failures = wire::failures(&answer).map_err(|error| error.to_string())?;
            // One that has stopped meanwhile is MISSING.
            if let Some((task, reason)) = failures.iter().find(|(_, reason)| reason != "MISSING") {
                return Err(format!("ECS says {reason} of `{task}`"));
            }
            let items = wire::items(&answer, "protectedTasks").map_err(|error| error.to_string())?;
            items.iter().map(|item| wire::task_protection(item).map_err(|error| error.to_string())).collect()
        };
        match answer.and_then(read) {
            Ok(found) => protection.tasks.extend(found.into_iter().flatten()),
            Err(why) => protection.unread = Some(why),
        }
    }
    protection
}

/// All tasks of a service that run or lately did, as far as they can be read.
pub(super) async fn tasks_of(
    ecs: &dyn Ecs,
    cluster: &ClusterArn,
    service: &ServiceArn,
    now: Timestamp,
) -> Observed<Vec<Task>> {
    match tasks(ecs, cluster, service).await {
        Ok(value) => Observed::Known { value, at: now },
        Err(error) => Observed::Unknown { since: now, why: chain(&error) },
    }
}

/// All tasks of a service that run or lately did: the default filter of ListTasks hides those that drain.
async fn tasks(ecs: &dyn Ecs, cluster: &ClusterArn, service: &ServiceArn) -> Result<Vec<Task>, ControllerError> {
    let mut arns: BTreeSet<String> = BTreeSet::new();
    for status in ["RUNNING", "STOPPED"] {
        let input =
            json!({ "cluster": cluster, "serviceName": service.name(), "desiredStatus": status, "maxResults": 100 });
        arns.extend(list::<String>(ecs, Operation::ListTasks, input, "taskArns").await?);
    }
    describe_tasks(ecs, cluster, &arns.into_iter().collect::<Vec<_>>()).await
}

async fn describe_tasks(ecs: &dyn Ecs, cluster: &ClusterArn, arns: &[String]) -> Result<Vec<Task>, ControllerError> {
    let mut tasks = Vec::new();
    for batch in arns.chunks(100) {
        let action = || format!("describing tasks of cluster `{}`", cluster.name());
        let answer = ecs
            .call(Operation::DescribeTasks, json!({ "cluster": cluster, "tasks": batch }))
            .await
            .map_err(ecs_failed(action()))?;
        for item in wire::items(&answer, "tasks").map_err(wire_failed(action()))? {
            tasks.push(wire::task(item).map_err(wire_failed(action()))?);
        }
    }
    Ok(tasks)
}

/// Whether any task of a cluster runs this revision, whoever started it.
///
/// # Errors
/// ECS's.
pub async fn runs(ecs: &dyn Ecs, cluster: &ClusterArn, revision: &TaskDefinitionArn) -> Result<bool, ControllerError> {
    let input = json!({ "cluster": cluster, "family": revision.family(), "maxResults": 100 });
    let arns: Vec<String> = list(ecs, Operation::ListTasks, input, "taskArns").await?;
    Ok(describe_tasks(ecs, cluster, &arns).await?.iter().any(|task| &task.task_definition == revision))
}

/// A service's latest service deployments with what each brings.
async fn deployments(
    ecs: &dyn Ecs,
    cluster: &ClusterArn,
    service: &ServiceArn,
    cache: &mut Cache,
    now: Timestamp,
) -> ServiceDeployments {
    let unknown = |why: String| ServiceDeployments::Unknown { why };
    // Only a server without the operation has no records: whoever is throttled may miss that ECS went back.
    let failed = |error: EcsError| match error.lacks_the_operation() {
        true => ServiceDeployments::Unavailable { why: error.to_string() },
        false => unknown(error.to_string()),
    };
    let input = json!({ "cluster": cluster, "service": service, "maxResults": 20 });
    let answer = match ecs.call(Operation::ListServiceDeployments, input).await {
        Ok(answer) => answer,
        Err(error) => return failed(error),
    };
    let items = match wire::items(&answer, "serviceDeployments") {
        Ok(items) => items,
        Err(error) => return unknown(error.to_string()),
    };
    let arns: Vec<Value> = items.iter().filter_map(|item| item.get("serviceDeploymentArn").cloned()).take(20).collect();
    if arns.is_empty() {
        return ServiceDeployments::Known(Vec::new());
    }
    let input = json!({ "serviceDeploymentArns": arns });
    let answer = match ecs.call(Operation::DescribeServiceDeployments, input).await {
        Ok(answer) => answer,
        Err(error) => return failed(error),
    };
    let read: Result<Vec<_>, _> = wire::items(&answer, "serviceDeployments")
        .and_then(|items| items.iter().map(wire::service_deployment).collect());
    let found = match read {
        Ok(found) => found,
        Err(error) => return unknown(error.to_string()),
    };
    // Listed, and not described yet: reads lag. One that has begun just now may be somebody's.
    let is_described = |item: &Value| found.iter().any(|known| item["serviceDeploymentArn"] == known.arn.as_str());
    let listed = items.iter().filter(|item| !is_described(item)).filter_map(|item| wire::service_deployment(item).ok());
    let listed: Vec<_> = listed.filter(|listed| listed.created_at + READ_LAG > now).collect();
    let all = found.iter().chain(&listed);
    let revisions = all.flat_map(|deployment| deployment.target_revision.iter().chain(&deployment.source_revisions));
    // What a deployment brings is in its revision: without it nobody's can be told from ours.
    let unread = describe_revisions(ecs, revisions.cloned().collect(), cache).await;
    if let Some(error) = unread.filter(|error| !error.lacks_the_operation()) {
        return unknown(error.to_string());
    }
    let known = |(deployment, described): (crate::model::observed::ServiceDeployment, bool)| {
        let definition = |arn: &String| cache.revisions.get(arn).map(|revision| revision.task_definition.clone());
        let task_definition = deployment.target_revision.as_ref().and_then(definition);
        let source_definitions = deployment.source_revisions.iter().filter_map(definition).collect();
        KnownDeployment { deployment, described, task_definition, source_definitions }
    };
    let described = found.into_iter().map(|deployment| (deployment, true));
    let listed = listed.into_iter().map(|deployment| (deployment, false));
    ServiceDeployments::Known(described.chain(listed).map(known).collect())
}
