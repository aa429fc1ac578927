//! Who else has a service in hand: a stack, a pipeline, AWS Batch, or somebody who keeps putting a violation back; and the
//! tags by which it exempts itself. Knows only what ECS and our own records say of it.

use std::collections::BTreeMap;

use super::judge::Move;
use crate::model::change::{PutBack, Registered};
use crate::model::observed::{Service, TaskDefinition};
use crate::model::spec::{Enforcement, IacMode, Scope, Selector, StrategySpec};
use crate::model::{Reason, ReasonCode, Resource, TaskDefinitionArn, Timestamp};
use crate::policy::{Match, PolicySet, ScopeKeys, ScopeMatcher, ScopeTags};

/// How many of the times that a violation was put back are kept and shown: the latest.
const EVIDENCE: usize = 10;

/// A fix that landed on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The rollout that brought it.
    pub rollout: String,
    /// When it had landed.
    pub at: Timestamp,
    /// The revision it came from: the violation.
    pub from: Option<TaskDefinitionArn>,
    /// Who had registered that.
    pub registered: Registered,
}

/// The fixes that landed on each resource, oldest first.
pub type Landings = BTreeMap<(Resource, String), Vec<Landing>>;

/// Who registered a revision, as ECS tells.
#[must_use]
pub fn registered(definition: &TaskDefinition) -> Registered {
    Registered { by: definition.registered_by.clone(), at: definition.registered_at }
}

/// Each time that the violation was put back after its fix had landed, oldest first: of the fix that landed most often.
///
/// The revision that the next landing came from is what was put back after the one before; the last is what runs now.
pub(super) fn put_back(
    moves: &[Move],
    resource: &Resource,
    definition: Option<&TaskDefinition>,
    landings: &Landings,
) -> Vec<PutBack> {
    let of = |fix: &String| landings.get(&(resource.clone(), fix.clone()));
    let most = moves.iter().flat_map(|change| &change.fixes).filter_map(of).max_by_key(|landed| landed.len());
    let Some(landed) = most else { return Vec::new() };
    let now = (definition.map(|definition| definition.arn.clone()), definition.map(registered).unwrap_or_default());
    let found = landed.iter().skip(1).map(|next| (next.from.clone(), next.registered.clone())).chain([now]);
    let all: Vec<PutBack> = landed
        .iter()
        .zip(found)
        .map(|(landing, (revision, registered))| PutBack {
            revision,
            registered,
            rollout: landing.rollout.clone(),
            landed_at: landing.at,
        })
        .collect();
    let unseen = all.len().saturating_sub(EVIDENCE);
    all.into_iter().skip(unseen).collect()
}

/// A fix that has landed here so often, and is wanted again: somebody keeps putting the violation back. Deploying
/// against them for ever helps nobody; they are shown, and a person decides.
pub(super) fn contested(
    moves: &[Move],
    resource: &Resource,
    put_back: &[PutBack],
    strategy: &StrategySpec,
    landings: &Landings,
) -> Option<Reason> {
    let times = |fix: &String| landings.get(&(resource.clone(), fix.clone())).map_or(0, Vec::len);
    let most = moves.iter().flat_map(|change| &change.fixes).map(times).max().unwrap_or(0);
    if most == 0 || most < strategy.contested_after as usize {
        return None;
    }
    let last = put_back.last().map_or_else(String::new, |last| format!("; last {}", last.found()));
    let message = format!(
        "the fix has landed here {most} times and the violation was put back each time{last}: change it at its source, approve, or `retry` to roll it out again"
    );
    Some(Reason::of(ReasonCode::Contested, message))
}

/// A service that carries CloudFormation's tags is a stack's (task definitions carry none:
/// aws-cloudformation/cloudformation-coverage-roadmap#2063); so is one whose revision a pipeline's principal registered.
pub(super) fn managed_by_stack(
    service: &Service,
    definition: Option<&TaskDefinition>,
    strategy: &StrategySpec,
) -> Option<Reason> {
    if strategy.iac != IacMode::Propose {
        return None;
    }
    let tag = service.tags.iter().find(|(key, _)| key.starts_with("aws:cloudformation:"));
    let stack = service.tags.get("aws:cloudformation:stack-name").or_else(|| tag.map(|(_, value)| value));
    let message = match stack {
        Some(stack) => {
            format!(
                "stack `{stack}` manages the service and would put the old revision back: apply the patch there, or approve"
            )
        }
        None => {
            let definition = definition?;
            let by = definition.registered_by.as_deref()?;
            let pattern = strategy.iac_principals.iter().find(|pattern| names(pattern, by))?;
            let at = definition.registered_at.map_or_else(String::new, |at| format!(" at {at}"));
            format!(
                "`{}` was registered by `{by}`{at}, which `iacPrincipals` names (`{pattern}`) and which would put it back: apply the patch there, or approve",
                definition.arn.short()
            )
        }
    };
    Some(Reason::of(ReasonCode::ManagedByStack, message))
}

/// Whether two ARNs, as GetCallerIdentity and `registeredBy` tell them, are the same principal: sessions of one role are
/// (`arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, IAM User Guide, "IAM identifiers"), for a process that is
/// started again may have another.
#[must_use]
pub fn same_principal(one: &str, other: &str) -> bool {
    let role = |arn: &str| {
        let (account, session) = arn.split_once(":assumed-role/")?;
        let (role, _) = session.rsplit_once('/')?;
        Some(format!("{account}:assumed-role/{role}"))
    };
    one == other || role(one).is_some_and(|one| Some(one) == role(other))
}

/// Task definitions that AWS Batch makes, for its jobs: told by the role that it acts in, by its tags, or by the
/// clusters it makes (`*_Batch_*`: AWS's managed policy `BatchServiceRolePolicy` names them so). A fixed copy would run
/// nowhere; the job definition is what has to change (ECS.17's page says so of host networking).
#[must_use]
pub fn owned_by_batch(definition: &TaskDefinition, cluster: Option<&str>) -> Option<Reason> {
    let role = |by: &str| by.contains("/AWSServiceRoleForBatch/") || by.contains("/AWSBatchServiceRole/");
    let tag = |tag: &serde_json::Value| {
        tag.get("key").and_then(serde_json::Value::as_str).is_some_and(|key| key.starts_with("aws:batch:"))
    };
    let how = if let Some(by) = definition.registered_by.as_deref().filter(|by| role(by)) {
        format!("`{by}` registered it")
    } else if definition.tags().iter().any(tag) {
        "it carries AWS Batch's tags".to_owned()
    } else if let Some(cluster) = cluster.filter(|name| name.contains("_Batch_") || name.starts_with("AWSBatch-")) {
        format!("it runs in `{cluster}`, a cluster of AWS Batch's")
    } else {
        return None;
    };
    let message = format!("AWS Batch owns `{}` ({how}): change the job definition", definition.arn.short());
    Some(Reason::of(ReasonCode::OwnedByBatch, message))
}

/// Tags by which the resource takes itself out of a Binding, or into a Waiver: each as a sentence.
pub(super) fn exemptions(set: &PolicySet, keys: &ScopeKeys) -> Vec<String> {
    let ScopeTags::Known(tags) = &keys.tags else { return Vec::new() };
    let named = |selector: &Selector| {
        let has = |key: &&String| tags.contains_key(*key);
        let shown = selector.tags.keys().filter(has).map(|key| format!("`{key}={}`", tags.get(key).map_or("", |v| v)));
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut told = Vec::new();
    for (name, binding) in set.bindings().filter(|(_, binding)| binding.enforcement != Enforcement::Off) {
        // Compiled only where a tag could be what takes it out.
        let by = named(&binding.scope.exclude);
        if by.is_empty() || is_in(&binding.scope, keys) {
            continue;
        }
        let without = Scope { exclude: Selector::default(), ..binding.scope.clone() };
        if is_in(&without, keys) {
            told.push(format!("its tag {by} takes it out of Binding `{name}` ({})", binding.enforcement.as_str()));
        }
    }
    for (name, waiver) in set.waivers() {
        let by = named(&waiver.scope.include);
        if !by.is_empty() && is_in(&waiver.scope, keys) {
            told.push(format!("its tag {by} brings it under Waiver `{name}`, until {}", waiver.expires_at));
        }
    }
    told
}

fn is_in(scope: &Scope, keys: &ScopeKeys) -> bool {
    ScopeMatcher::of(scope).is_ok_and(|matcher| matcher.matches(keys) == Match::Yes)
}

/// Whether a glob names a principal. One that cannot be read names everybody: when in doubt, a person decides.
fn names(pattern: &str, principal: &str) -> bool {
    globset::Glob::new(pattern).map_or(true, |glob| glob.compile_matcher().is_match(principal))
}
