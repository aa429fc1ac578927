//! What the demonstration promised, held against the simulated world: what ran before, what runs now, what was called.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::screen::Screen;
use crate::cli::error::Error;
use crate::model::document::register_input;
use crate::model::{TargetId, wire};
use crate::plan::compare::task_definition_diff;
use crate::plan::{Plan, PlanOutcome};
use crate::ports::{Operation, Store};
use crate::records::campaign::Campaigns;
use crate::records::events::{self, Events};
use crate::rollout::{Change, State};
use crate::sim::SimEcs;

/// What was there before anything was changed.
pub(super) struct Before {
    /// Service → the revisions its tasks run.
    running: BTreeMap<String, Vec<String>>,
    /// Services that the plan would leave alone.
    untouched: Vec<String>,
}

/// One promise.
pub(super) struct Promise {
    pub(super) what: String,
    pub(super) held: bool,
}

/// All of them.
pub(super) struct Promises {
    pub(super) kept: Vec<Promise>,
}

impl Before {
    /// Looks at what runs.
    pub(super) fn look(ecs: &SimEcs, plan: &Plan) -> Self {
        let short = |arn: &str| arn.rsplit_once(":service/").map_or_else(String::new, |(_, name)| name.to_owned());
        let names: Vec<String> = plan.services.iter().map(|planned| short(&planned.resource)).collect();
        let untouched = plan
            .services
            .iter()
            .filter(|planned| !matches!(planned.outcome, PlanOutcome::Change | PlanOutcome::Deferred))
            .map(|planned| short(&planned.resource))
            .collect();
        Self { running: names.iter().map(|name| (name.clone(), running(ecs, name))).collect(), untouched }
    }
}

/// The revisions that a service's tasks run now, without repetition.
fn running(ecs: &SimEcs, service: &str) -> Vec<String> {
    let Some((cluster, name)) = service.split_once('/') else { return Vec::new() };
    let mut world = ecs.world();
    let now = world.now();
    let listed = world.call(now, "ListTasks", &json!({ "cluster": cluster, "serviceName": name })).unwrap_or_default();
    let described = world
        .call(now, "DescribeTasks", &json!({ "cluster": cluster, "tasks": listed.get("taskArns") }))
        .unwrap_or_default();
    let mut revisions: Vec<String> = wire::items(&described, "tasks")
        .unwrap_or(&[])
        .iter()
        .filter_map(|task| wire::task(task).ok())
        .filter(|task| task.last_status == "RUNNING")
        .map(|task| task.task_definition.short().to_owned())
        .collect();
    revisions.sort();
    revisions.dedup();
    revisions
}

fn document(ecs: &SimEcs, revision: &str) -> Option<Map<String, Value>> {
    let mut world = ecs.world();
    let now = world.now();
    let answer =
        world.call(now, "DescribeTaskDefinition", &json!({ "taskDefinition": revision, "include": ["TAGS"] })).ok()?;
    register_input(&wire::task_definition(&answer).ok()?).ok()
}

impl Promises {
    /// Looks at everything that was promised.
    pub(super) async fn look(
        ecs: &SimEcs,
        store: &dyn Store,
        target: &TargetId,
        before: &Before,
        failed: Option<&(String, String)>,
        undone: Option<&(String, String)>,
        screen: &Screen,
    ) -> Result<Self, Error> {
        let read =
            |error: crate::records::RecordError| Error::new("reading the record failed").caused_by(error.to_string());
        let campaigns = Campaigns::of(store, target).campaigns().await.map_err(read)?;
        let log = Events::of(store, target).list("").await.map_err(read)?;
        let changes: Vec<&Change> =
            campaigns.iter().flat_map(|campaign| &campaign.changes).map(|change| &change.value).collect();
        let mut kept = Vec::new();
        let mut promise = |what: String, held: bool| kept.push(Promise { what, held });

        let succeeded: Vec<&&Change> =
            changes.iter().filter(|change| matches!(change.state, State::Succeeded { .. })).collect();
        let landed = succeeded.iter().all(|change| match &change.spec.to {
            Some(to) => running(ecs, change.spec.resource.short()) == [to.short()],
            None => true,
        });
        promise(
            format!("{} changes landed: every running task of each service is on its new revision", succeeded.len()),
            landed && !succeeded.is_empty(),
        );

        let lossless = changes.iter().filter(|change| change.spec.to.is_some()).all(|change| is_lossless(ecs, change));
        promise(
            "each new revision differs from the old one in the planned fields and nowhere else, tags included"
                .to_owned(),
            lossless,
        );

        let calls = ecs.calls();
        let updates = || calls.iter().filter(|call| call.operation == Operation::UpdateService);
        promise(
            "no call ever named a desired count".to_owned(),
            updates().all(|call| call.input.get("desiredCount").is_none()),
        );

        let most = screen.most_in_flight;
        promise(format!("never more than 4 changes in flight (at most {most})"), most <= 4 && most > 0);

        if let Some((_, service)) = failed {
            let back = Some(&running(ecs, service)) == before.running.get(service);
            promise(format!("{service}, which broke, runs what it ran before, and its fix stays off it"), back);
        } else {
            promise("a service that breaks with its fix was to be seen".to_owned(), false);
        }
        if let Some((service, revision)) = undone {
            let stays = running(ecs, service) == [revision.clone()];
            promise(
                format!("{service}, which was undone, runs its team's {revision}; the fix did not come back"),
                stays,
            );
        } else {
            promise("an undo was to be seen".to_owned(), false);
        }
        let moved: Vec<&String> = before
            .untouched
            .iter()
            .filter(|service| !changes.iter().any(|change| change.spec.resource.short() == service.as_str()))
            .filter(|service| before.running.get(*service) != Some(&running(ecs, service)))
            .collect();
        promise("services that were compliant, blocked or waived still run what they ran".to_owned(), moved.is_empty());
        promise(
            format!("{} events, each chained to the one before: unbroken", log.len()),
            events::verify(&log).is_empty(),
        );
        Ok(Self { kept })
    }
}

/// Whether the change's new revision is its old one with the planned fields changed.
fn is_lossless(ecs: &SimEcs, change: &Change) -> bool {
    let (Some(from), Some(to)) = (&change.spec.from, &change.spec.to) else { return false };
    let (Some(old), Some(new)) = (document(ecs, from.as_str()), document(ecs, to.as_str())) else { return false };
    let planned = |path: &str| {
        change.spec.diff.iter().any(|entry| {
            path == entry.path
                || path.starts_with(&format!("{}/", entry.path))
                || entry.path.starts_with(&format!("{path}/"))
        })
    };
    task_definition_diff(&old, &new).iter().all(|entry| planned(&entry.path))
}
