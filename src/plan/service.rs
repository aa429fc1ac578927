//! One service: what its policies say of it and of the task definition that it runs, what would fix it, and whether that
//! may be done.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::eligibility::{Ineligible, Touch, eligible, in_progress};
use super::judge::{Judged, Move, Opinion, blank, decide, strategy_of, unknown};
use super::make::Context;
use super::moves::{Fixer, revision_move, setting_moves};
use super::older::{self, Earlier};
use super::report::PlanOutcome;
use super::{images, ownership};
use crate::model::observed::{DeploymentController, Fleet, Service, TaskDefinition};
use crate::model::spec::{Enforcement, ImagePolicy, ResourceKind};
use crate::model::{ChangeKind, Observed, Reason, ReasonCode, Resource, Severity, TaskDefinitionArn};
use crate::policy::{Answers, Memo, PlannedFix, PolicyResult, Revision, ScopeKey, ScopeKeys, ScopeTags, Surroundings};

/// What scopes see of a service.
pub(super) fn scope_keys(fleet: &Fleet, service: &Service) -> ScopeKeys {
    ScopeKeys {
        account: ScopeKey::Known(fleet.target.account.clone()),
        region: ScopeKey::Known(fleet.target.region.clone()),
        cluster: ScopeKey::Known(service.cluster.name().to_owned()),
        service: ScopeKey::Known(service.arn.name().to_owned()),
        family: service
            .task_definition
            .as_ref()
            .map_or(ScopeKey::Absent, |arn| ScopeKey::Known(arn.family().to_owned())),
        launch_type: service.launch_type.map_or(ScopeKey::Unknown, ScopeKey::Known),
        tags: ScopeTags::Known(service.tags.clone()),
    }
}

/// What a service's task definition is judged in the midst of.
pub(super) fn around<'a>(
    fleet: &'a Fleet,
    service: &'a Service,
    keys: &'a ScopeKeys,
    context: &Context<'a>,
) -> Surroundings<'a> {
    let cluster = fleet.clusters.get(&service.cluster).and_then(Observed::known);
    Surroundings {
        kind: ResourceKind::TaskDefinition,
        service: Some(&service.document),
        cluster: cluster.map(|cluster| cluster.document.as_ref()),
        running: fleet.running.get(&service.arn),
        target: Some(context.target),
        scope: keys,
    }
}

/// Judges a service by its own document, its task definition's, and its cluster's. `asked`: the revision that it names, read,
/// with what the policies say of it, where they were asked already.
pub(super) fn service(
    fleet: &Fleet,
    (service, keys): (&Service, &ScopeKeys),
    asked: Option<(&Revision<'_>, Answers)>,
    context: &Context<'_>,
    memo: &mut Memo,
) -> Judged {
    let arn = service.arn.as_str();
    let read;
    let named = |revision: &Revision<'_>| service.task_definition.as_ref() == Some(&revision.definition.arn);
    let (revision, answers) = asked.filter(|(revision, _)| named(revision)).unzip();
    let revision = match (&service.task_definition, revision) {
        (None, _) => None,
        (Some(_), Some(revision)) => Some(revision),
        (Some(named), None) => match revision_of(fleet, named) {
            Ok(revision) => {
                read = revision;
                Some(&read)
            }
            Err(why) => return unknown(arn, why),
        },
    };
    // With a controller of its own, a service's task sets name what runs.
    let mut of_task_sets = Vec::new();
    if revision.is_none() {
        let revisions: BTreeSet<&TaskDefinitionArn> = service.task_definitions().collect();
        let unsaid = service.task_sets.iter().any(|set| set.task_definition.is_none());
        if revisions.is_empty() || unsaid {
            return names_nothing(service);
        }
        for revision in revisions {
            match revision_of(fleet, revision) {
                Ok(revision) => of_task_sets.push(revision),
                Err(why) => return unknown(arn, why),
            }
        }
    }
    let around = around(fleet, service, keys, context);
    let of_service = Surroundings { kind: ResourceKind::Service, running: None, ..around }
        .subject(&service.document, Some(&service.tags));
    let of_revision: Vec<Arc<PolicyResult>> = match answers {
        Some(answers) => answers.to_vec(),
        None => {
            let mut all = Vec::new();
            for revision in revision.into_iter().chain(&of_task_sets) {
                let answers = memo.evaluate_revision(context.set, arn, revision, &around, context.now);
                all.extend(answers.iter().cloned());
            }
            all
        }
    };
    let definition: Option<&TaskDefinition> = revision.map(|revision| revision.definition.as_ref());
    let of_setting = memo.evaluate(context.set, arn, &of_service, context.now);
    let memo = RefCell::new(memo);
    let is_revision = |fix: &PlannedFix| of_revision.iter().any(|result| *result.policy == *fix.policy);
    let opinion = Opinion::of(of_revision.iter().chain(of_setting.iter()));
    let resource = Resource::Service(service.arn.clone());
    let batch = |reason| Err(Ineligible::Blocked(reason));
    let mut judged = decide(arn, Some(&resource), keys, &opinion, context, |fixes, strategy, purpose| {
        let (of_document, setting): (Vec<_>, Vec<_>) = fixes.iter().partition(|fix| is_revision(fix));
        let mut memo = memo.borrow_mut();
        let mut moves = Vec::new();
        if revision.is_none() && !of_document.is_empty() {
            // Only its own controller makes task sets.
            may_touch(service, Touch::Deploys)?;
        }
        if let (false, Some(revision)) = (of_document.is_empty(), revision) {
            let definition = revision.definition.as_ref();
            ownership::owned_by_batch(definition, Some(service.cluster.name())).map_or(Ok(()), batch)?;
            may_touch(service, Touch::Deploys)?;
            let (document, tags) = revision.seen();
            let subject = around.subject(document, Some(tags));
            let mut fixer = Fixer { name: arn, subject: &subject, before: &of_revision, context, memo: &mut memo };
            moves.push(revision_move(fleet, service, definition, &mut fixer, &of_document, (strategy, purpose))?);
        }
        if !setting.is_empty() {
            let mut fixer = Fixer { name: arn, subject: &of_service, before: &of_setting, context, memo: &mut memo };
            for change in setting_moves(ChangeKind::QuietSetting, &mut fixer, &setting)? {
                let touch = if change.kind == ChangeKind::QuietSetting { Touch::Quiet } else { Touch::Deploys };
                may_touch(service, touch)?;
                if let (ChangeKind::DeployingSetting, Some(definition)) = (change.kind, definition) {
                    let checked = images::check_kept(definition.members(), strategy.images);
                    // The new revision pins them: once it runs, a later plan brings the setting.
                    let pinned_first = strategy.images == ImagePolicy::Pin
                        && moves.iter().any(|change: &Move| change.kind == ChangeKind::Revision);
                    match checked {
                        Err(_) if pinned_first => continue,
                        checked => checked.map_err(Ineligible::Blocked)?,
                    }
                }
                moves.push(change);
            }
        }
        Ok(moves)
    });
    judged.planned.task_definition = service.task_definition.as_ref().map(ToString::to_string);
    // What runs may not yet be what the service names: then it is not compliant yet. What is only audited may stay as
    // it is, but what else passes is said to hold.
    let held_to = of_revision.iter().chain(of_setting.iter()).any(|result| result.enforcement >= Enforcement::Propose);
    let said_to_pass = match judged.planned.outcome {
        PlanOutcome::Compliant | PlanOutcome::Waived => true,
        PlanOutcome::Audit => held_to,
        PlanOutcome::Change | PlanOutcome::Blocked | PlanOutcome::Deferred | PlanOutcome::Unknown => false,
    };
    if said_to_pass && let Some(reason) = still_deploying(service) {
        judged.planned.outcome = PlanOutcome::Deferred;
        judged.planned.reason = Some(reason);
    }
    // Whatever comes of the service as a whole: what its earlier tasks run, or were started with, nothing was asked of.
    let earlier = Earlier::of(service);
    let of_earlier = |policy: &str| {
        let is_setting = of_policy(&of_setting, policy);
        if is_setting { earlier.settings.as_ref() } else { earlier.revision.as_ref() }
    };
    older::take_back(&mut judged, of_earlier);
    older::not_a_pass_yet(&mut judged, said_to_pass, context.older.get(&resource));
    judged.planned.exempt = ownership::exemptions(context.set, keys);
    judged.planned.put_back = ownership::put_back(&judged.moves, &resource, definition, context.landed);
    if judged.proposed.is_none() && !judged.moves.is_empty() {
        let (strategy, put_back) = (strategy_of(context, judged.strategy.as_deref()), &judged.planned.put_back);
        judged.proposed = ownership::managed_by_stack(service, definition, strategy)
            .or_else(|| ownership::contested(&judged.moves, &resource, put_back, strategy, context.landed));
    }
    judged
}

fn of_policy(results: &[Arc<PolicyResult>], policy: &str) -> bool {
    results.iter().any(|result| *result.policy == *policy)
}

/// A revision that was described.
///
/// # Errors
/// Why it is not known, in a sentence.
pub(super) fn revision_of<'a>(fleet: &'a Fleet, revision: &TaskDefinitionArn) -> Result<Revision<'a>, String> {
    let unread = |why: String| format!("task definition `{}` could not be read: {why}", revision.short());
    match fleet.task_definitions.get(revision) {
        Some(Observed::Known { value, .. }) => {
            let read = value.read().map_err(|error| unread(error.to_string()))?;
            Ok(Revision::of(value, Cow::Owned(read)))
        }
        Some(Observed::Unknown { why, .. }) => Err(unread(why.clone())),
        Some(Observed::Absent { .. }) => Err(format!("task definition `{}` is gone", revision.short())),
        None => Err(format!("task definition `{}` was not read", revision.short())),
    }
}

/// A service that names no task definition and has no task set that does: nothing is known of it, so nothing passes.
fn names_nothing(service: &Service) -> Judged {
    let message = format!("service `{}` names no task definition, and no task set of it does", service.arn.short());
    let external = service.controller == DeploymentController::External;
    let outcome = if external { PlanOutcome::Blocked } else { PlanOutcome::Unknown };
    let planned = blank(service.arn.as_str(), outcome, Some(Reason::of(ReasonCode::ExternalController, message)));
    Judged::unmoved(planned, Severity::Low)
}

/// Why what runs may not yet be what a service names.
pub(super) fn still_deploying(service: &Service) -> Option<Reason> {
    if let (Some(named), Some(primary)) = (&service.task_definition, service.primary())
        && *named != primary.task_definition
    {
        let (service, found) = (service.arn.short(), primary.task_definition.short());
        let message =
            format!("service `{service}` names `{}`, and its deployment still brings `{found}`", named.short());
        return Some(Reason::of(ReasonCode::DeploymentInProgress, message));
    }
    // What is in progress on one that is being deleted changes nothing: it is not touched anyway.
    if service.status == "ACTIVE" { in_progress(service) } else { None }
}

fn may_touch(service: &Service, touch: Touch) -> Result<(), Ineligible> {
    eligible(service, touch)
}
