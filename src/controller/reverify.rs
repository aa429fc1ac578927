//! Looking again at what was moved and could not be proved: because no task ran, or because older tasks ran on.
//!
//! What runs no task is looked at once a task is wanted. What older tasks are without is looked at a few services at a time,
//! in turns: nothing of ECS's that a pass reads anyway tells whether a task was replaced.

use super::advance::held_for;
use super::books::Books;
use super::error::ControllerError;
use super::execute::Executor;
use super::observe;
use super::stop::unless_stopped;
use crate::model::observed::Fleet;
use crate::model::{Observed, Secrets, ServiceArn};
use crate::rollout::landing::{Facts, ServiceDeployments, verified_since};
use crate::rollout::protection::Protection;
use crate::rollout::{Change, State, new_tasks};

/// How many services' tasks are looked at in a pass for what older ones are without: three calls each.
///
/// Twice as many find it out in half of the time, and take as much more of the budget that deployments share.
const OLDER_AT_ONCE: usize = 10;

/// Looks again, and records what has come of it.
///
/// # Errors
/// The store's, and a lost lease.
pub(super) async fn reverify(
    executor: &mut Executor<'_>,
    books: &mut Books,
    fleet: &Fleet,
) -> Result<(), ControllerError> {
    let (older, idle): (Vec<Change>, Vec<Change>) = books
        .changes()
        .filter(|change| matches!(change.state, State::Unverified { .. }))
        .cloned()
        .partition(new_tasks::is_waited_for);
    let mut found = Vec::new();
    for change in idle {
        let Some(service) = change.spec.resource.service() else { continue };
        if runs(fleet, service) {
            executor.go_on()?;
            let stop = executor.stop.clone();
            let facts = unless_stopped(&stop, executor.facts(&change)).await?;
            found.extend(verified_since(&change, &facts, executor.now()).map(|state| (change, state)));
        }
    }
    let first = books.next_older.checked_rem(older.len()).unwrap_or(0);
    for change in older.iter().cycle().skip(first).take(OLDER_AT_ONCE.min(older.len())) {
        books.next_older = books.next_older.wrapping_add(1);
        executor.go_on()?;
        let stop = executor.stop.clone();
        let facts = unless_stopped(&stop, tasks_of(executor, fleet, change)).await?;
        let now = executor.now();
        found.extend(verified_since(change, &facts, now).map(|state| (change.clone(), state)));
    }
    let failed = found.iter().any(|(_, state)| matches!(state, State::RollingBack { .. }));
    for (change, state) in found {
        let now = executor.now();
        if let Some(cause) = held_for(&state) {
            // First: a crash in between must not bring it back.
            books.hold(&change, &cause, now).await?;
        }
        books.enter(&change.name, now, |change| change.enter(state, None, now)).await?;
        books.tell_the_end_anew(&change.spec.rollout, now).await?;
    }
    books.sort_out();
    // What has gone wrong is taken back now, not at the next look.
    if failed { executor.advance(books).await } else { Ok(()) }
}

/// Whether a service may run a task by now, or is gone.
fn runs(fleet: &Fleet, service: &ServiceArn) -> bool {
    match fleet.services.get(service) {
        Some(Observed::Known { value, .. }) => value.read().is_ok_and(|service| service.desired_count > 0),
        Some(Observed::Absent { .. }) => true,
        Some(Observed::Unknown { .. }) => false,
        None => fleet.gaps.is_empty(),
    }
}

/// A service as it was just observed, with its tasks, and nothing else.
async fn tasks_of(executor: &mut Executor<'_>, fleet: &Fleet, change: &Change) -> Facts {
    let now = executor.now();
    let unknown = |why: String| Observed::Unknown { since: now, why };
    let mut facts = Facts {
        service: unknown("it was not observed".to_owned()),
        tasks: Observed::Absent { at: now },
        deployments: ServiceDeployments::Known(Vec::new()),
        cluster: Observed::Absent { at: now },
        protection: Protection::default(),
        secrets: Secrets::default(),
    };
    let Some(service) = change.spec.resource.service() else { return facts };
    facts.service = match fleet.services.get(service) {
        Some(Observed::Known { value, at }) => match value.read() {
            Ok(value) => Observed::Known { value, at: *at },
            Err(error) => unknown(error.to_string()),
        },
        Some(Observed::Absent { at }) => Observed::Absent { at: *at },
        Some(Observed::Unknown { since, why }) => Observed::Unknown { since: *since, why: why.clone() },
        None if fleet.gaps.is_empty() => Observed::Absent { at: now },
        None => return facts,
    };
    if facts.service.known().is_some() {
        facts.tasks = observe::tasks_of(executor.ecs, &change.spec.cluster, service, now).await;
        facts.secrets = executor.secrets_in_trouble(change, &facts).await;
    }
    facts
}
