//! One cluster: what its policies say of its settings.

use std::cell::RefCell;

use super::judge::{Judged, Opinion, decide};
use super::make::Context;
use super::moves::{Fixer, setting_moves};
use crate::model::observed::{Cluster, Fleet};
use crate::model::spec::ResourceKind;
use crate::model::{ChangeKind, Resource};
use crate::policy::{Memo, PlannedFix, ScopeKey, ScopeKeys, ScopeTags, Subject};

/// Judges a cluster.
#[must_use]
pub(super) fn cluster(fleet: &Fleet, cluster: &Cluster, context: &Context<'_>, memo: &mut Memo) -> Judged {
    let keys = ScopeKeys {
        account: ScopeKey::Known(fleet.target.account.clone()),
        region: ScopeKey::Known(fleet.target.region.clone()),
        cluster: ScopeKey::Known(cluster.arn.name().to_owned()),
        service: ScopeKey::Absent,
        family: ScopeKey::Absent,
        launch_type: ScopeKey::Absent,
        tags: ScopeTags::Known(cluster.tags.clone()),
    };
    let subject = Subject {
        kind: ResourceKind::Cluster,
        resource: &cluster.document,
        tags: Some(&cluster.tags),
        service: None,
        cluster: Some(&cluster.document),
        running: None,
        target: Some(context.target),
        scope: &keys,
    };
    let name = cluster.arn.as_str();
    let results = memo.evaluate(context.set, name, &subject, context.now);
    let memo = RefCell::new(memo);
    let opinion = Opinion::of(results.iter());
    let resource = Resource::Cluster(cluster.arn.clone());
    decide(name, Some(&resource), &keys, &opinion, context, |fixes, _, _| {
        let fixes: Vec<&&PlannedFix> = fixes.iter().collect();
        let mut memo = memo.borrow_mut();
        let mut fixer = Fixer { name, subject: &subject, before: &results, context, memo: &mut memo };
        setting_moves(ChangeKind::ClusterSetting, &mut fixer, &fixes)
    })
}
