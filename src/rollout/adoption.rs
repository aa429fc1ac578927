//! A deployment that a reply told of, or never did: is it ours, and did it replace somebody's?
//!
//! UpdateService has no condition: what began between our last look and our call is seen only afterwards, by what ours
//! replaces.

use std::cmp::Ordering;

use super::change::READ_LAG;
use super::landing::{
    CLOCK_SLACK, Facts, KnownDeployment, ServiceDeployments, is_begun_with, is_rolled_back, is_stopped, record_lags,
    started_by_us,
};
use super::record::Change;
use super::setting;
use super::state::Phase;
use crate::model::ChangeKind;
use crate::model::observed::{Deployment, Service, ServiceDeployment};
use crate::model::{Reason, ReasonCode, TaskDefinitionArn, Timestamp};

/// The deployment that the call began, if the service shows it: the primary one, or one that ECS took back since, or that
/// somebody's replaces already.
#[must_use]
pub fn begun<'a>(
    change: &Change,
    service: &'a Service,
    facts: &Facts,
    to: Option<&TaskDefinitionArn>,
    before: Option<&str>,
    intent: Timestamp,
) -> Option<&'a Deployment> {
    let brings =
        |deployment: &&Deployment| Some(&deployment.task_definition) == to && Some(deployment.id.as_str()) != before;
    let since = |deployment: &&Deployment| deployment.created_at + CLOCK_SLACK >= intent;
    let mut deployments = service.deployments.iter().filter(brings);
    // A setting keeps the revision: time tells, and what the service shows, for anybody may have its tasks replaced by others
    // of the same.
    if change.spec.kind != ChangeKind::Revision {
        return deployments.find(since).filter(|_| setting::shows_made(change, facts));
    }
    // A new revision is enough to tell ours by, but for what somebody has set on it since: our call began the first. (It began on
    // a service with a single deployment, `before`.)
    deployments
        .filter(|deployment| deployment.status == "PRIMARY" || (deployment.status != "INACTIVE" && since(deployment)))
        .filter(|deployment| is_begun_again(facts, deployment) != Some(true))
        .min_by_key(|deployment| deployment.created_at)
}

/// Why `ours`, which brings `to`, replaced somebody's deployment, where that can be seen: an ACTIVE one that was not
/// there when ours was intended, or a source of ECS's record that is not what the service had.
///
/// A change begins only on a service with a single deployment, `before`.
#[must_use]
pub fn replaced(
    change: &Change,
    service: &Service,
    facts: &Facts,
    ours: &Deployment,
    before: Option<&str>,
) -> Option<Reason> {
    let had = service.deployments.iter().find(|deployment| Some(deployment.id.as_str()) == before);
    let theirs = service.deployments.iter().find(|deployment| {
        deployment.status == "ACTIVE"
            && deployment.id != ours.id
            && Some(deployment.id.as_str()) != before
            // What began after ours replaces ours, not the other way round.
            && deployment.created_at <= ours.created_at
    });
    if let Some(theirs) = theirs {
        return Some(over(&theirs.task_definition, &format!(" (deployment `{}`)", theirs.id)));
    }
    came_from(change, facts, ours, record_of(facts, ours)?, had)
}

/// Between our last look and our call, another deployment began: it is among those that ours replaces.
#[must_use]
pub fn clobbered(after: Option<&Service>, ours: &str, before: Option<&str>, facts: &Facts) -> Option<Reason> {
    let seen = |id: &str| {
        let service = facts.service.known();
        service.is_some_and(|service| service.deployments.iter().any(|deployment| deployment.id == id))
    };
    let theirs = after?.deployments.iter().find(|deployment| {
        deployment.id != ours
            && Some(deployment.id.as_str()) != before
            && deployment.status == "ACTIVE"
            && !seen(&deployment.id)
    })?;
    let message = format!(
        "somebody deployed `{}` (deployment `{}`) between our last look and our call, and ours replaces it",
        theirs.task_definition.short(),
        theirs.id
    );
    Some(Reason::of(ReasonCode::Clobbered, message))
}

/// Why our deployment, of which the answer told, replaced somebody's all the same: what that answer did not show, ECS's
/// record of the deployment tells.
#[must_use]
pub fn wrote_over(change: &Change, facts: &Facts, deployment: &str) -> Option<Reason> {
    let ours = shown(facts, deployment)?;
    came_from(change, facts, ours, record_of(facts, ours)?, None)
}

/// ECS's record of a deployment: where it is the primary one the service names it, else it brings the same at the same time.
#[must_use]
pub fn record_of<'a>(facts: &'a Facts, ours: &Deployment) -> Option<&'a ServiceDeployment> {
    let ServiceDeployments::Known(records) = &facts.deployments else { return None };
    let current = facts.service.known()?.current_deployment.as_ref().filter(|_| ours.status == "PRIMARY");
    match current {
        Some(arn) => records.iter().map(|known| &known.deployment).find(|record| record.arn == *arn),
        None => started_by_us(facts, Some(&ours.task_definition), ours.created_at)
            .filter(|record| is_begun_with(record.created_at, ours)),
    }
}

/// ECS's record of the deployment before the one of this record. Of two that were made at once, the one that it replaced.
#[must_use]
pub fn one_before<'a>(facts: &'a Facts, record: &ServiceDeployment) -> Option<&'a KnownDeployment> {
    let ServiceDeployments::Known(records) = &facts.deployments else { return None };
    let replaced = |known: &KnownDeployment| {
        known.deployment.target_revision.as_ref().is_some_and(|target| record.source_revisions.contains(target))
    };
    let earlier = |known: &&KnownDeployment| match known.deployment.created_at.cmp(&record.created_at) {
        Ordering::Less => true,
        Ordering::Equal => replaced(known),
        Ordering::Greater => false,
    };
    records.iter().filter(earlier).max_by_key(|known| (known.deployment.created_at, replaced(known)))
}

/// Why it cannot be told yet whether our deployment replaced somebody's.
#[must_use]
pub fn untold(facts: &Facts, deployment: &str) -> Option<Reason> {
    record_lags(facts, shown(facts, deployment)?)
}

/// The deployment of that name, where the service shows it.
#[must_use]
pub fn shown<'a>(facts: &'a Facts, id: &str) -> Option<&'a Deployment> {
    facts.service.known()?.deployments.iter().find(|deployment| deployment.id == id)
}

/// A source in ECS's record of `ours` that is neither what the change came from nor what it moves to.
fn came_from(
    change: &Change,
    facts: &Facts,
    ours: &Deployment,
    record: &ServiceDeployment,
    had: Option<&Deployment>,
) -> Option<Reason> {
    let to = Some(&ours.task_definition);
    let known = |found: &&TaskDefinitionArn| {
        Some(*found) == change.spec.from.as_ref()
            || Some(*found) == to
            || had.is_some_and(|had| &had.task_definition == *found)
    };
    let found = sources(facts, record)?.iter().find(|found| !known(found));
    found.map(|found| over(found, "")).or_else(|| over_the_same(change, facts, record))
}

/// Where somebody set something of the service right before, theirs brings what the service had, as the source of ours should.
/// ECS stopped it for ours, though, and it began when nobody was deploying by our last look.
fn over_the_same(change: &Change, facts: &Facts, record: &ServiceDeployment) -> Option<Reason> {
    let replaced = one_before(facts, record)?;
    let ours = |phase| matches!(phase, Phase::Pending | Phase::Registering);
    let since_it_began = change.history.iter().rev().take_while(|entry| !ours(entry.phase));
    let looked = since_it_began.filter(|entry| entry.phase == Phase::Updating).last()?.at;
    let began = replaced.deployment.created_at;
    let is_it = matches!(change.spec.kind, ChangeKind::Revision | ChangeKind::DeployingSetting)
        && replaced.task_definition == change.spec.from
        && is_stopped(&replaced.deployment)
        && began + READ_LAG + CLOCK_SLACK >= looked;
    replaced.task_definition.as_ref().filter(|_| is_it).map(|found| over(found, " again"))
}

fn over(found: &TaskDefinitionArn, what: &str) -> Reason {
    let message =
        format!("somebody deployed `{}`{what} between our last look and our call, and ours replaces it", found.short());
    Reason::of(ReasonCode::Clobbered, message)
}

/// The deployment that a setting may have begun over somebody's: a setting keeps the revision, so that ours brings what they
/// had just deployed, with our setting.
///
/// Where ours has begun before, on `to`, theirs was deployed over it, and whoever began the same again was not the call.
#[must_use]
pub fn begun_on_theirs<'a>(
    change: &Change,
    service: &'a Service,
    facts: &Facts,
    to: Option<&TaskDefinitionArn>,
    before: Option<&str>,
    intent: Timestamp,
) -> Option<&'a Deployment> {
    let since = |at: Timestamp| at + CLOCK_SLACK >= intent;
    let ours = service.primary().filter(|primary| Some(primary.id.as_str()) != before && since(primary.created_at))?;
    let of_setting = change.spec.setting.is_some() && change.spec.kind == ChangeKind::DeployingSetting;
    let of_setting = of_setting && setting::shows_made(change, facts);
    // Without slack: what somebody had set right before is not ours.
    let is_ours =
        |known: &KnownDeployment| known.task_definition.as_ref() == to && known.deployment.created_at >= intent;
    let began_before = match &facts.deployments {
        ServiceDeployments::Known(records) => records.iter().any(is_ours),
        ServiceDeployments::Unavailable { .. } | ServiceDeployments::Unknown { .. } => false,
    };
    (of_setting && !began_before && Some(&ours.task_definition) != to).then_some(ours)
}

/// Why a deployment replaced somebody's of the very same revision, if it did: as only a setting does, or who forces one.
#[must_use]
pub fn replaced_the_same(service: &Service, facts: &Facts, ours: &Deployment) -> Option<Reason> {
    let brings = Some(&ours.task_definition);
    let theirs = service.deployments.iter().any(|deployment| {
        deployment.status == "ACTIVE"
            && deployment.id != ours.id
            && Some(&deployment.task_definition) == brings
            && deployment.created_at <= ours.created_at
    });
    let record = started_by_us(facts, brings, ours.created_at).and_then(|record| sources(facts, record));
    // What theirs was about to replace may be among the sources too.
    let replaced = record.is_some_and(|found| found.iter().any(|found| Some(found) == brings));
    (theirs || replaced).then(|| begun_again(ours))
}

/// Why a deployment of a setting of ours, which keeps the revision, is over somebody's.
#[must_use]
pub fn begun_again(ours: &Deployment) -> Reason {
    let message = format!(
        "somebody deployed `{}` between our last look and our call, and ours begins it again with our setting",
        ours.task_definition.short()
    );
    Reason::of(ReasonCode::Clobbered, message)
}

/// Whether `back` replaced what somebody had begun again on our revision, by setting something, after we looked at `ours`.
#[must_use]
pub fn replaced_ours_again(
    service: &Service,
    facts: &Facts,
    back: &Deployment,
    (ours, to): (&str, &TaskDefinitionArn),
) -> bool {
    let shown = service.deployments.iter().any(|deployment| {
        deployment.status == "ACTIVE"
            && deployment.id != ours
            && &deployment.task_definition == to
            && deployment.created_at <= back.created_at
    });
    let is_to =
        |known: &&KnownDeployment| known.task_definition.as_ref() == Some(to) && !is_rolled_back(&known.deployment);
    let before = |record: &ServiceDeployment| one_before(facts, record).filter(is_to);
    let recorded = || record_of(facts, back).and_then(before).and_then(|theirs| before(&theirs.deployment)).is_some();
    shown || recorded()
}

/// The task definitions of the service revisions that a service deployment replaced, of those that could be read.
#[must_use]
pub fn sources<'a>(facts: &'a Facts, record: &ServiceDeployment) -> Option<&'a [TaskDefinitionArn]> {
    let ServiceDeployments::Known(records) = &facts.deployments else { return None };
    let known = records.iter().find(|known| known.deployment.arn == record.arn)?;
    Some(&known.source_definitions)
}

/// Whether a deployment replaced one of the same revision, where ECS's records tell. UpdateService starts none for a revision
/// that the service has already: somebody forced it, or set something else.
#[must_use]
pub fn is_begun_again(facts: &Facts, deployment: &Deployment) -> Option<bool> {
    let record = record_of(facts, deployment)?;
    if let Some(before) = one_before(facts, record) {
        let same = before.task_definition.as_ref()? == &deployment.task_definition;
        // ECS has given the service back what it had before that.
        return Some(same && !is_rolled_back(&before.deployment));
    }
    let sources = sources(facts, record)?;
    (!sources.is_empty()).then(|| sources.iter().all(|source| *source == deployment.task_definition))
}

/// What `ours` replaced, where that is somebody's: neither what the change came from, or goes back to (`home`), nor what
/// it moves to.
#[must_use]
pub fn overwritten<'a>(
    change: &Change,
    service: &'a Service,
    facts: &'a Facts,
    ours: &Deployment,
    home: Option<&TaskDefinitionArn>,
) -> Option<&'a TaskDefinitionArn> {
    let of_ours = |found: &TaskDefinitionArn| is_of(change, found, home);
    let active = service.deployments.iter().find(|deployment| {
        deployment.status == "ACTIVE"
            && deployment.id != ours.id
            && deployment.created_at <= ours.created_at
            && !of_ours(&deployment.task_definition)
    });
    active.map(|deployment| &deployment.task_definition).or_else(|| {
        let record = started_by_us(facts, Some(&ours.task_definition), ours.created_at)?;
        sources(facts, record)?.iter().find(|found| !of_ours(found))
    })
}

/// Whether a revision is the change's own, there or back.
pub(super) fn is_of(change: &Change, found: &TaskDefinitionArn, home: Option<&TaskDefinitionArn>) -> bool {
    let found = Some(found);
    found == change.spec.from.as_ref() || found == change.spec.to.as_ref() || found == home
}
