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
use crate::rollout::{Change, Phase, State};
use crate::sim::{Call, SimEcs};

/// What was there before anything was changed.
pub(super) struct Before {
    /// Service → the revisions its tasks run.
    running: BTreeMap<String, Vec<String>>,
    /// Services that the plan would leave alone.
    untouched: Vec<String>,
}

/// What happened on the way, as far as something is promised of it. What stays empty was to be seen and was not.
#[derive(Debug, Default)]
pub(super) struct Happened {
    /// The service that broke with its fix.
    pub(super) failed: Option<String>,
    /// How many calls had been made when everything was frozen, and when that was lifted.
    pub(super) frozen: Option<(usize, usize)>,
    /// The service that was moved when the controller was killed.
    pub(super) killed: Option<String>,
    /// The service whose team deployed over ours, and what.
    pub(super) overtaken: Option<(String, String)>,
    /// The rollout that an alarm stopped.
    pub(super) alarmed: Option<String>,
    /// The service that was undone, and what its team deployed then.
    pub(super) undone: Option<(String, String)>,
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
        happened: &Happened,
        screen: &Screen,
    ) -> Result<Self, Error> {
        let campaigns = Campaigns::of(store, target).campaigns().await?;
        let log = Events::of(store, target).list("").await?;
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

        let mut seen = |what: Option<(String, bool)>, missing: &str| match what {
            Some((what, held)) => promise(what, held),
            None => promise(format!("{missing} was to be seen"), false),
        };
        let failed = happened.failed.as_ref().map(|service| {
            let back = Some(&running(ecs, service)) == before.running.get(service);
            (format!("{service}, which broke, runs what it ran before, and its fix stays off it"), back)
        });
        seen(failed, "a service that breaks with its fix");
        let frozen = happened.frozen.map(|(from, to)| {
            let meanwhile = calls.get(from..to).unwrap_or_default();
            let still = !meanwhile.iter().any(|call| call.operation.writes());
            (
                format!("while everything was frozen, {} calls were made, and none that changes anything", to - from),
                still,
            )
        });
        seen(frozen, "a freeze");
        let killed = happened.killed.as_ref().map(|service| {
            let what = format!("no step was taken twice, though the controller was killed while it moved {service}");
            match repeated(&calls) {
                None => (what, true),
                Some(step) => (format!("{what}: {step}"), false),
            }
        });
        seen(killed, "a controller that is killed");
        let overtaken = happened.overtaken.as_ref().map(|(service, theirs)| {
            let of_it = || changes.iter().filter(|change| change.spec.resource.short() == service.as_str());
            let stood = of_it().any(|change| change.state.phase() == Phase::Overtaken);
            let from_theirs = |change: &&&Change| change.spec.from.as_ref().is_some_and(|from| from.short() == theirs);
            let fixed = of_it().filter(|change| matches!(change.state, State::Succeeded { .. })).find(from_theirs);
            (
                format!("{service}, whose team deployed {theirs} over ours, runs that with the fix on top"),
                stood && fixed.is_some(),
            )
        });
        seen(overtaken, "a team that deploys over ours");
        let alarmed = happened.alarmed.as_ref().map(|rollout| {
            let of_it: Vec<&&Change> = changes.iter().filter(|change| change.spec.rollout == *rollout).collect();
            let back = of_it.iter().filter(|change| matches!(change.state, State::RolledBack { .. })).count();
            let as_before = of_it.iter().all(|change| {
                change
                    .spec
                    .from
                    .as_ref()
                    .is_some_and(|from| running(ecs, change.spec.resource.short()) == [from.short()])
            });
            let what = format!(
                "all {} services of {rollout} run what they ran before the alarm, {back} of them again",
                of_it.len()
            );
            (what, back > 0 && as_before)
        });
        seen(alarmed, "an alarm");
        let undone = happened.undone.as_ref().map(|(service, revision)| {
            let stays = running(ecs, service) == [revision.clone()];
            (format!("{service}, which was undone, runs its team's {revision}; the fix did not come back"), stays)
        });
        seen(undone, "an undo");
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

/// The first call about a service or family that does again what the one before it did. Nothing here needs that.
fn repeated(calls: &[Call]) -> Option<String> {
    let mut last: BTreeMap<String, &Value> = BTreeMap::new();
    calls.iter().filter(|call| call.operation.writes()).find_map(|call| {
        let named = ["service", "resourceArn", "family", "taskDefinition", "cluster"];
        let about = named.iter().find_map(|member| call.input.get(*member)).and_then(Value::as_str).unwrap_or_default();
        let step = format!("{} {about}", call.operation.as_str());
        (last.insert(step.clone(), &call.input) == Some(&call.input)).then_some(step)
    })
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
