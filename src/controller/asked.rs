//! What is read only where it is asked for: capacity providers by a policy in force, and the images that services run by
//! such a policy or by a strategy that pins them.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::observe::{Cache, pages};
use crate::model::observed::{CapacityProvider, Fleet, Service};
use crate::model::spec::ResourceKind;
use crate::model::{Observed, ServiceArn, Timestamp, wire};
use crate::policy::PolicySet;
use crate::ports::{Ecs, EcsError, Operation};

/// How many calls are under way at once. The budget, not this, sets the pace.
const CONCURRENT: usize = 8;

/// What only some policies and strategies ask for, and costs calls of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// The images that services run.
    pub running: bool,
    /// The target's capacity providers.
    pub capacity_providers: bool,
    /// What services say of themselves in `events`. They cost no calls, but more memory than all else of a service.
    pub events: bool,
}

impl Asked {
    /// What the policies in force, and the strategies they are rolled out by, ask for.
    #[must_use]
    pub fn by(set: &PolicySet) -> Self {
        Self {
            running: set.reads_running() || set.pins_images(),
            capacity_providers: set.asks_about(ResourceKind::CapacityProvider),
            events: set.reads_events(),
        }
    }
}

/// All capacity providers of the target, AWS's own included.
pub(super) async fn capacity_providers(ecs: &dyn Ecs, now: Timestamp) -> Observed<Vec<CapacityProvider>> {
    let unknown = |why: String| Observed::Unknown { since: now, why };
    let input = json!({ "include": ["TAGS"] });
    let answers = match pages(ecs, Operation::DescribeCapacityProviders, &input).await {
        Ok(answers) => answers,
        Err(error) => return unknown(error.to_string()),
    };
    let mut found = Vec::new();
    for answer in &answers {
        if answer.get("capacityProviders").is_none() {
            return unknown("the answer has no `capacityProviders`".to_owned());
        }
        let read: Result<Vec<_>, _> = wire::items(answer, "capacityProviders")
            .and_then(|items| items.iter().map(wire::capacity_provider).collect());
        match read {
            Ok(mut read) => found.append(&mut read),
            Err(error) => return unknown(error.to_string()),
        }
    }
    // A deleted one stays INACTIVE for a while.
    found.retain(|provider| provider.document.get("status").is_none_or(|status| status != "INACTIVE"));
    Observed::Known { value: found, at: now }
}

/// Reads the service revisions that were not read before; one never changes. How reading some of them failed, if it did.
pub(super) async fn describe_revisions(ecs: &dyn Ecs, arns: BTreeSet<String>, cache: &mut Cache) -> Option<EcsError> {
    let mut failed = None;
    let unseen: Vec<String> = arns.into_iter().filter(|arn| !cache.revisions.contains_key(arn)).collect();
    // Twenty a call (botocore ecs/2014-11-13, DescribeServiceRevisions).
    let batches: Vec<Vec<String>> = unseen.chunks(20).map(<[String]>::to_vec).collect();
    let mut described = stream::iter(batches)
        .map(|batch| ecs.call(Operation::DescribeServiceRevisions, json!({ "serviceRevisionArns": batch })))
        .buffered(CONCURRENT);
    while let Some(answer) = described.next().await {
        // What could not be read is not known, and is asked for again.
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                failed.get_or_insert(error);
                continue;
            }
        };
        let items = wire::items(&answer, "serviceRevisions").unwrap_or(&[]);
        let revisions = items.iter().filter_map(|item| wire::service_revision(item).ok());
        cache.revisions.extend(revisions.map(|revision| (revision.arn.clone(), revision)));
    }
    failed
}

/// The images of services that run one revision, of the task definition that they name.
///
/// ECS resolves a tag once for each service revision, so its digest is that of every task (ecs-facts §3.8). Containers
/// with `versionConsistency: disabled` have none there, and are not in the map.
pub(super) fn running(fleet: &Fleet, cache: &Cache) -> std::collections::BTreeMap<ServiceArn, Value> {
    let of = |service: Service| {
        let revision = cache.revisions.get(service.current_revision()?)?;
        let named = service.task_definition.as_ref() == Some(&revision.task_definition);
        named.then(|| (service.arn.clone(), json!(revision.image_digests)))
    };
    fleet.known().filter_map(|(_, seen)| of(seen.read().ok()?)).collect()
}
