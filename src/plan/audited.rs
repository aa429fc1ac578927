//! Resources that are only audited: task sets and capacity providers. No call of plimsoll's changes them.

use super::judge::{Opinion, decide};
use super::make::Context;
use super::report::PlannedResource;
use super::service::scope_keys;
use crate::model::observed::{CapacityProvider, Fleet, Service, TaskSet};
use crate::model::spec::ResourceKind;
use crate::model::{Observed, Verdict};
use crate::policy::{Memo, ScopeKey, ScopeKeys, ScopeTags, Subject};

/// Judges what is only audited: nothing that policies say of it leads to a change.
fn audited(
    resource: &str,
    keys: &ScopeKeys,
    subject: &Subject<'_>,
    context: &Context<'_>,
    memo: &mut Memo,
) -> Option<PlannedResource> {
    let opinion = Opinion::of(memo.evaluate(context.set, resource, subject, context.now).iter());
    // Nothing applies to it, such as ECS.19 to AWS's own capacity providers: nothing is to be said of it.
    if opinion.results.iter().all(|result| result.verdict == Verdict::Skip) {
        return None;
    }
    Some(decide(resource, None, keys, &opinion, context, |_, _, _| Ok(Vec::new())).planned)
}

/// Judges a task set of a service; `None` where no policy applies.
#[must_use]
pub(super) fn task_set(
    fleet: &Fleet,
    service: &Service,
    set: &TaskSet,
    context: &Context<'_>,
    memo: &mut Memo,
) -> Option<PlannedResource> {
    let family = set.task_definition.as_ref().map(|arn| arn.family().to_owned());
    let keys = ScopeKeys { family: family.map_or(ScopeKey::Absent, ScopeKey::Known), ..scope_keys(fleet, service) };
    let cluster = fleet.clusters.get(&service.cluster).and_then(Observed::known);
    let subject = Subject {
        kind: ResourceKind::TaskSet,
        resource: &set.document,
        tags: set.tags.as_ref(),
        service: Some(&service.document),
        cluster: cluster.map(|cluster| cluster.document.as_ref()),
        running: None,
        target: Some(context.target),
        scope: &keys,
    };
    let mut planned = audited(&set.arn, &keys, &subject, context, memo)?;
    planned.task_definition = set.task_definition.as_ref().map(ToString::to_string);
    Some(planned)
}

/// Judges a capacity provider; `None` where no policy applies.
#[must_use]
pub(super) fn capacity_provider(
    fleet: &Fleet,
    provider: &CapacityProvider,
    context: &Context<'_>,
    memo: &mut Memo,
) -> Option<PlannedResource> {
    let keys = ScopeKeys {
        account: ScopeKey::Known(fleet.target.account.clone()),
        region: ScopeKey::Known(fleet.target.region.clone()),
        cluster: ScopeKey::Absent,
        service: ScopeKey::Absent,
        family: ScopeKey::Absent,
        launch_type: ScopeKey::Absent,
        tags: ScopeTags::Known(provider.tags.clone()),
    };
    let subject = Subject {
        kind: ResourceKind::CapacityProvider,
        resource: &provider.document,
        tags: Some(&provider.tags),
        service: None,
        cluster: None,
        running: None,
        target: Some(context.target),
        scope: &keys,
    };
    audited(&provider.arn, &keys, &subject, context, memo)
}
