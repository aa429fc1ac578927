//! Describing revisions: each once, ever, and some of them while services are still being described.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, StreamExt};

use super::observe::{CONCURRENT, Cache, definition_input, described_definition};
use crate::model::observed::{Fleet, TaskDefinition};
use crate::model::packed::PackedDefinition;
use crate::model::{Observed, TaskDefinitionArn, Timestamp, dense};
use crate::ports::{Ecs, Operation};

/// Who is told of a revision as soon as it is there.
type Tell<'a> = &'a mut (dyn FnMut(&Arc<PackedDefinition>, &TaskDefinition) + Send);

/// Revisions that are described while services are. The budget of services would else be waited for before that of
/// revisions is touched, and with ten thousand services that is a tenth of the time that all of it takes.
#[derive(Default)]
pub(super) struct Ahead<'a> {
    wanted: VecDeque<TaskDefinitionArn>,
    known: BTreeSet<TaskDefinitionArn>,
    under_way: FuturesUnordered<BoxFuture<'a, (TaskDefinitionArn, Observed<Vec<u8>>)>>,
}

impl<'a> Ahead<'a> {
    /// Wants these, but those that were described before.
    pub(super) fn want<'b>(&mut self, revisions: impl Iterator<Item = &'b TaskDefinitionArn>, cache: &Cache) {
        for arn in revisions.filter(|arn| cache.definition(arn).is_none()) {
            if self.known.insert(arn.clone()) {
                self.wanted.push_back(arn.clone());
            }
        }
    }

    /// Asks for what is wanted, as many at once as may be.
    pub(super) fn go_on(&mut self, ecs: &'a dyn Ecs, now: Timestamp) {
        while self.under_way.len() < CONCURRENT {
            let Some(arn) = self.wanted.pop_front() else { return };
            self.under_way.push(Box::pin(async move {
                let answer = describe(ecs, &arn, now).await;
                (arn, answer)
            }));
        }
    }

    /// The next answer; `None` where none is waited for.
    pub(super) async fn next(&mut self) -> Option<(TaskDefinitionArn, Observed<Vec<u8>>)> {
        self.under_way.next().await
    }

    /// Keeps what could be described, and says of what could not why.
    pub(super) fn keep(
        &mut self,
        arn: TaskDefinitionArn,
        answer: Observed<Vec<u8>>,
        cache: &mut Cache,
        fleet: &mut Fleet,
        now: Timestamp,
    ) {
        let observed = packed(&arn, answer, cache, now, None);
        fleet.task_definitions.insert(arn, observed);
    }
}

/// Describes revisions that were not described before, and tells of each as soon as it is there. What could be described
/// is kept for as long as a service names it.
pub(super) async fn definitions(
    ecs: &dyn Ecs,
    wanted: Vec<TaskDefinitionArn>,
    cache: &mut Cache,
    now: Timestamp,
    tell: Tell<'_>,
) -> BTreeMap<TaskDefinitionArn, Observed<Arc<PackedDefinition>>> {
    let mut observed = Vec::with_capacity(wanted.len());
    let mut unseen = Vec::new();
    for arn in wanted {
        match cache.definitions.get(&arn) {
            Some(packed) => {
                observed.push((arn, Observed::Known { value: Arc::clone(packed), at: now }));
            }
            None => unseen.push(arn),
        }
    }
    let mut described = stream::iter(unseen)
        .map(|arn| async move {
            let answer = describe(ecs, &arn, now).await;
            (arn, answer)
        })
        .buffered(CONCURRENT);
    while let Some((arn, answer)) = described.next().await {
        let packed = packed(&arn, answer, cache, now, Some(&mut *tell));
        observed.push((arn, packed));
    }
    observed.into_iter().collect()
}

/// Looking over the fleet can wait: what is in flight goes first.
async fn describe(ecs: &dyn Ecs, arn: &TaskDefinitionArn, now: Timestamp) -> Observed<Vec<u8>> {
    let answer = ecs.call_last(Operation::DescribeTaskDefinition, definition_input(arn.as_str())).await;
    described_definition(answer, now)
}

/// A revision packed and kept, where it could be described; read only where somebody wants to be told.
fn packed(
    arn: &TaskDefinitionArn,
    answer: Observed<Vec<u8>>,
    cache: &mut Cache,
    now: Timestamp,
    tell: Option<Tell<'_>>,
) -> Observed<Arc<PackedDefinition>> {
    match answer {
        Observed::Known { value, .. } => {
            let packer = &mut cache.of_definitions;
            let packed = match tell {
                None => PackedDefinition::pack(&value, packer).map(Arc::new),
                Some(tell) => PackedDefinition::pack_and_read(&value, packer).map(|(packed, definition)| {
                    let packed = Arc::new(packed);
                    tell(&packed, &definition);
                    packed
                }),
            };
            match packed {
                Ok(packed) => {
                    cache.definitions.insert(arn.clone(), Arc::clone(&packed));
                    Observed::Known { value: packed, at: now }
                }
                Err(why) => Observed::Unknown { since: now, why },
            }
        }
        Observed::Absent { at } => Observed::Absent { at },
        Observed::Unknown { since, why } => Observed::Unknown { since, why },
    }
}

impl Cache {
    /// A revision that was described before.
    pub(super) fn definition(&self, arn: &TaskDefinitionArn) -> Option<&Arc<PackedDefinition>> {
        self.definitions.get(arn)
    }

    /// Forgets the revisions that no service names.
    pub(super) fn keep_only(&mut self, named: &BTreeSet<&TaskDefinitionArn>) {
        self.definitions.retain(|arn, _| named.contains(arn));
        dense(&mut self.definitions);
    }
}
