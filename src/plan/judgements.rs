//! What was said of services before, and still holds: a service that is as it was, under policies that are as they were,
//! is not judged again, and its document is not read for it, also not by a controller that has just begun.
//!
//! Where [`Memo`] keeps the answers of policies on documents, this keeps what follows from them: outcome, findings, diff.
//! Kept only where nothing is to be done ([`PlanOutcome::Compliant`], [`PlanOutcome::Audit`]) and no Waiver is in force:
//! then it follows from the service, its cluster, its revision, the policies and the settings of the controller alone,
//! and from no clock, no Hold and nothing that a rollout does. Of those it keeps one hash, which goes into the service's
//! report in the store. Everything else is judged in every pass.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::eligibility::{Touch, eligible};
use super::judge::Judged;
use super::make::Context;
use super::older::{Earlier, OlderTasks};
use super::planned::{Planned, Smaller};
use super::report::{PlanOutcome, PlannedResource};
use super::service::{self, around, scope_keys};
use crate::model::observed::{Fleet, Service};
use crate::model::packed::{Digest, PackedService, digest};
use crate::model::spec::ResourceKind;
use crate::model::{ClusterArn, Resource, ServiceArn, TaskDefinitionArn, dense};
use crate::policy::{Memo, PolicySet, ScopeKeys, Surroundings, depends_on, depends_on_around};

/// Stored with every judgement: one that an older version made may say something else. Raise it with every change of what
/// judging comes to that is not a change of policies; a release always counts.
const JUDGED_BY: &str = concat!(env!("CARGO_PKG_VERSION"), "#3");

/// For how many passes a judgement is kept that nothing asks for: as long as the answers it was made of.
const KEPT: u64 = 3;

/// What was said before.
#[derive(Debug, Default)]
pub struct Judgements {
    memo: Memo,
    smaller: Smaller,
    kept: BTreeMap<Arc<str>, Kept>,
    pass: u64,
}

#[derive(Debug)]
struct Kept {
    planned: Arc<Planned>,
    /// The hash of all that was seen when it was last found to hold: the same again needs no second look.
    seen: Option<Digest>,
    /// The last pass that asked for it.
    used: u64,
}

/// What a pass judges by, hashed.
pub struct Grounds<'a> {
    fleet: &'a Fleet,
    context: &'a Context<'a>,
    rules: Digest,
    clusters: BTreeMap<&'a ClusterArn, Digest>,
}

impl Judgements {
    /// Begins a pass: forgets what no pass has asked for lately.
    pub fn begin(&mut self, set: &PolicySet) {
        self.memo.begin(set);
        self.pass += 1;
        let oldest = self.pass.saturating_sub(KEPT);
        self.kept.retain(|_, kept| kept.used >= oldest);
        dense(&mut self.kept);
        self.smaller.forget();
    }

    /// The answers of policies on documents.
    #[must_use]
    pub const fn memo(&self) -> &Memo {
        &self.memo
    }

    /// The same, to ask.
    pub const fn memo_mut(&mut self) -> &mut Memo {
        &mut self.memo
    }

    /// Knows from the store what was said of a service, and what that followed from.
    pub fn recall(&mut self, planned: PlannedResource, key: Digest) -> Arc<Planned> {
        let planned = Arc::new(self.smaller.of(planned, Some(key)));
        let kept = Kept { planned: Arc::clone(&planned), seen: None, used: self.pass };
        self.kept.insert(Arc::clone(&planned.resource), kept);
        planned
    }

    /// A resource as plans keep it.
    pub fn small(&mut self, planned: PlannedResource) -> Planned {
        self.smaller.of(planned, None)
    }

    /// Whether the document of the revision that this service runs is hardly needed: something is kept of the service, with
    /// that revision. A guess, made before all is seen: [`revisions_to_describe`] tells.
    #[must_use]
    pub fn may_spare(&self, arn: &ServiceArn, seen: &PackedService) -> bool {
        let revision = seen.task_definition.as_ref().map(TaskDefinitionArn::as_str);
        self.kept.get(arn.as_str()).is_some_and(|kept| kept.planned.task_definition.as_deref() == revision)
    }

    /// What was said of this service, if it still holds.
    pub(super) fn still(
        &mut self,
        grounds: &Grounds<'_>,
        arn: &ServiceArn,
        seen: &PackedService,
    ) -> Option<Arc<Planned>> {
        let kept = self.kept.get_mut(arn.as_str())?;
        if !grounds.may_keep(arn, seen) {
            return None;
        }
        let all = grounds.all(arn, seen);
        if kept.seen != Some(all) {
            let service = seen.read().ok()?;
            let key = grounds.key(&service, &scope_keys(grounds.fleet, &service), seen);
            if kept.planned.key != Some(key) {
                return None;
            }
            kept.seen = Some(all);
        }
        kept.used = self.pass;
        Some(Arc::clone(&kept.planned))
    }

    /// Keeps what was said of a service, and makes it small.
    ///
    /// Assumptions: [`Grounds::settle`] has said that it may be kept.
    pub(super) fn keep(
        &mut self,
        grounds: &Grounds<'_>,
        (service, keys): (&Service, &ScopeKeys),
        seen: &PackedService,
        planned: PlannedResource,
    ) -> Arc<Planned> {
        let key = grounds.key(service, keys, seen);
        let mut planned = self.smaller.of(planned, Some(key));
        // The fleet has these texts already: the service's name, and the revision that it names.
        if let Some((arn, _)) = grounds.fleet.services.get_key_value(&service.arn) {
            planned.resource = arn.shared();
        }
        planned.task_definition = seen.task_definition.as_ref().map(TaskDefinitionArn::shared);
        let planned = Arc::new(planned);
        let (name, all) = (service.arn.as_str(), grounds.all(&service.arn, seen));
        let kept = Kept { planned: Arc::clone(&planned), seen: Some(all), used: self.pass };
        self.kept.insert(Arc::clone(&planned.resource), kept);
        // What follows from the answers is kept: they would be asked for no more.
        self.memo.forget(ResourceKind::TaskDefinition, name);
        self.memo.forget(ResourceKind::Service, name);
        planned
    }
}

impl<'a> Grounds<'a> {
    /// Those of this fleet, under these policies.
    #[must_use]
    pub fn of(fleet: &'a Fleet, context: &'a Context<'a>) -> Self {
        let target = context.target;
        let rules = json!([
            JUDGED_BY,
            context.set.hash(),
            [target.account.as_str(), target.region.as_str()],
            target.labels,
            context.allow_edit,
            context.default_strategy,
            context.stopped_fixes,
        ]);
        let known = fleet.clusters.iter().filter_map(|(arn, observed)| Some((arn, observed.known()?)));
        let clusters = known.map(|(arn, cluster)| (arn, digest(cluster.document.to_string().as_bytes()))).collect();
        Self { fleet, context, rules: digest(rules.to_string().as_bytes()), clusters }
    }

    /// Whether nothing has a say that is not in the hashes: a Hold, which ends by itself; a newer revision of the family;
    /// tasks that started before a setting of ours.
    fn may_keep(&self, arn: &ServiceArn, seen: &PackedService) -> bool {
        let held = || self.context.holds.iter().any(|hold| hold.resource.service() == Some(arn));
        let of_older = |older: &OlderTasks| !older.is_empty() && older.contains_key(&Resource::Service(arn.clone()));
        let older = || of_older(self.context.older);
        let mut revisions = seen.task_definitions().peekable();
        revisions.peek().is_some()
            && revisions.all(|revision| !self.fleet.latest.contains_key(revision.family()))
            && !held()
            && !older()
    }

    /// Whether what was said of this service follows from what is hashed alone and may be kept: nothing is to be done, and
    /// no Waiver is in force.
    pub(super) fn settle(&self, arn: &ServiceArn, seen: &PackedService, judged: &Judged) -> bool {
        matches!(judged.planned.outcome, PlanOutcome::Compliant | PlanOutcome::Audit)
            && judged.moves.is_empty()
            && judged.proposed.is_none()
            && judged.planned.waivers.is_empty()
            && self.may_keep(arn, seen)
    }

    fn running(&self, arn: &ServiceArn) -> Digest {
        self.fleet.running.get(arn).map_or([0; 32], |images| digest(images.to_string().as_bytes()))
    }

    /// Of everything that was seen of a service, to the last task.
    fn all(&self, arn: &ServiceArn, seen: &PackedService) -> Digest {
        let cluster = self.clusters.get(&seen.cluster).copied().unwrap_or_default();
        digest(&[self.rules, seen.digest, cluster, self.running(arn)].concat())
    }

    /// Of what its judgement follows from.
    fn key(&self, service: &Service, keys: &ScopeKeys, seen: &PackedService) -> Digest {
        let around = around(self.fleet, service, keys, self.context);
        let of_service = Surroundings { kind: ResourceKind::Service, running: None, ..around }
            .subject(&service.document, Some(&service.tags));
        let touched = [Touch::Deploys, Touch::Quiet].map(|touch| format!("{:?}", eligible(service, touch)));
        let runs = format!("{:?}", service::still_deploying(service));
        let earlier = format!("{:?}", Earlier::of(service));
        let mut revision = vec![json!(service.task_definition), json!(touched), json!(runs), json!(earlier)];
        if !service.task_sets.is_empty() {
            // A service that names none is judged by what its task sets name, and not while one of them names nothing.
            let of_sets: BTreeSet<Option<&TaskDefinitionArn>> =
                service.task_sets.iter().map(|set| set.task_definition.as_ref()).collect();
            revision.push(json!(of_sets));
        }
        let revision = Value::Array(revision);
        let set = self.context.set;
        let parts = [
            self.rules,
            seen.steady,
            digest(revision.to_string().as_bytes()),
            depends_on_around(set, &around),
            depends_on(set, &of_service),
            self.running(&service.arn),
        ];
        digest(&parts.concat())
    }
}

/// The revisions that have to be described for a plan, each with the services that need it: of services of which it is
/// not known without.
#[must_use]
pub fn revisions_to_describe<'a>(
    fleet: &'a Fleet,
    grounds: &Grounds<'_>,
    judgements: &mut Judgements,
) -> BTreeMap<&'a TaskDefinitionArn, Vec<&'a ServiceArn>> {
    let mut wanted: BTreeMap<&TaskDefinitionArn, Vec<&ServiceArn>> = BTreeMap::new();
    for (arn, seen) in fleet.known() {
        if judgements.still(grounds, arn, seen).is_none() {
            for revision in seen.task_definitions() {
                wanted.entry(revision).or_default().push(arn);
            }
        }
    }
    wanted
}

/// Every revision that a service names.
#[must_use]
pub fn revisions_named(fleet: &Fleet) -> BTreeSet<&TaskDefinitionArn> {
    fleet.known().flat_map(|(_, seen)| seen.task_definitions()).collect()
}

#[cfg(test)]
mod laws;
