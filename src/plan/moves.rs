//! The changes that one resource would take: a new revision with all its fixes, or a setting there and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::compare::same_task_definition;
use super::eligibility::Ineligible;
use super::judge::{Move, Purpose};
use super::make::Context;
use super::ownership::registered;
use super::report::WantedDocuments;
use super::{images, settings};
use crate::model::document::{UnknownMembers, known_members, register_input, register_input_of};
use crate::model::observed::{Fleet, Service, TaskDefinition};
use crate::model::spec::{ImagePolicy, StrategySpec};
use crate::model::{ChangeKind, Observed, Reason, ReasonCode, Registered, TaskDefinitionArn};
use crate::policy::{Fixed, Memo, PlannedFix, PolicyResult, Subject};

/// What fixes of one document are made from.
pub(super) struct Fixer<'a> {
    /// The resource's ARN.
    pub(super) name: &'a str,
    /// The document.
    pub(super) subject: &'a Subject<'a>,
    /// What is said of it.
    pub(super) before: &'a [Arc<PolicyResult>],
    /// For the set and the time.
    pub(super) context: &'a Context<'a>,
    /// What was said of it fixed before.
    pub(super) memo: &'a mut Memo,
}

impl Fixer<'_> {
    /// The document with all of these fixes, or why that would break the law of fixes.
    fn apply(&mut self, fixes: &[&PlannedFix]) -> Result<Fixed, Ineligible> {
        let Self { name, subject, before, context, memo } = self;
        memo.apply_fixes(context.set, name, subject, before, fixes, context.now)
            .map_err(|error| Ineligible::Blocked(error.reason()))
    }
}

/// The new revision with all fixes in it, and with the images that run pinned where the strategy says so. Whether it may be
/// made does not depend on what for.
pub(super) fn revision_move(
    fleet: &Fleet,
    service: &Service,
    definition: &TaskDefinition,
    fixer: &mut Fixer<'_>,
    fixes: &[&&PlannedFix],
    (strategy, purpose): (&StrategySpec, Purpose),
) -> Result<Move, Ineligible> {
    let blocked = |code, message| Ineligible::Blocked(Reason::of(code, message));
    let unknown_member = |unknown: UnknownMembers| blocked(ReasonCode::UnknownMember, unknown.to_string());
    known_members(definition).map_err(unknown_member)?;
    let fixes: Vec<&PlannedFix> = fixes.iter().map(|fix| **fix).collect();
    let pins = match strategy.images {
        ImagePolicy::Pin => images::pins(definition.members(), fleet.running.get(&service.arn), &fixes),
        ImagePolicy::RefuseLatest | ImagePolicy::Refuse | ImagePolicy::Allow => None,
    };
    // Pinned together with the fixes: what is planned is held to the law of fixes as a whole.
    let edits: Vec<&PlannedFix> = fixes.iter().copied().chain(&pins).collect();
    let fixed = fixer.apply(&edits)?;
    let Value::Object(mut document) = fixed.document else {
        return Err(blocked(ReasonCode::InvalidResult, "the fixed task definition is not an object".to_owned()));
    };
    let tags = match document.shift_remove("tags") {
        Some(Value::Array(tags)) => tags,
        _ => Vec::new(),
    };
    let wanted = register_input_of(document, tags).map_err(unknown_member)?;
    // A fix may be what pins an image, so it is the new document that is looked at.
    images::check(&wanted, strategy.images).map_err(Ineligible::Blocked)?;
    family_is_not_ahead(fleet, &definition.arn, &wanted, fixer.context)?;
    let documents = match purpose {
        Purpose::Tell => None,
        Purpose::CarryOut => Some(WantedDocuments {
            previous: register_input(definition).map_err(unknown_member)?,
            wanted,
            pinned_from: pins.as_ref().and(service.current_revision()).map(ToOwned::to_owned),
        }),
    };
    Ok(Move {
        kind: ChangeKind::Revision,
        diff: fixed.diff,
        documents,
        setting: None,
        registered: registered(definition),
        // A pin is nobody's fix: it is neither held off nor counted.
        fixes: fixed
            .fixes
            .iter()
            .filter(|fix| pins.as_ref().is_none_or(|pins| pins.id != **fix))
            .map(|fix| fix.0.clone())
            .collect(),
        policies: policies_of(&fixes),
    })
}

/// Registering is visible at once to whatever names the family without a revision: newer code must not be hidden.
fn family_is_not_ahead(
    fleet: &Fleet,
    from: &TaskDefinitionArn,
    wanted: &serde_json::Map<String, Value>,
    context: &Context<'_>,
) -> Result<(), Ineligible> {
    match fleet.latest.get(from.family()) {
        Some(Observed::Known { value, .. }) if context.quarantined.contains(&value.arn) => {
            let message = format!(
                "the family's latest revision is `{}`, ours, which is quarantined and makes way first",
                value.arn.short()
            );
            Err(Ineligible::Deferred(Reason::of(ReasonCode::FamilyMoved, message)))
        }
        // A sibling's fix is no newer code.
        Some(Observed::Known { value, .. }) if same_origin(context.ours, &value.arn, from) => Ok(()),
        Some(Observed::Known { value, .. }) => {
            let latest = value.definition.read().ok().and_then(|latest| register_input(&latest).ok());
            if latest.is_some_and(|latest| same_task_definition(&latest, wanted)) {
                return Ok(());
            }
            let message = format!(
                "the family's latest revision is `{}`, newer than `{}` that runs; a fixed copy of the old one would hide it: deploy the newer one, or deregister it",
                value.arn.short(),
                from.short()
            );
            Err(Ineligible::Blocked(Reason::of(ReasonCode::FamilyAhead, message)))
        }
        // The one that runs is INACTIVE and no other is ACTIVE: nothing can be hidden.
        Some(Observed::Absent { .. }) => Ok(()),
        Some(Observed::Unknown { why, .. }) => {
            let message = format!("the latest revision of family `{}` could not be read: {why}", from.family());
            Err(Ineligible::Deferred(Reason::of(ReasonCode::NotObserved, message)))
        }
        // Read only where something is to be changed; whoever registers looks again.
        None => Ok(()),
    }
}

/// Whether two revisions are the same one, or come from the same one by what we registered alone.
///
/// `ours` says which revision each of ours was made from. A revision is made after the one it comes from, so its number
/// is higher: what says otherwise is not followed.
#[must_use]
pub fn same_origin(
    ours: &BTreeMap<TaskDefinitionArn, TaskDefinitionArn>,
    one: &TaskDefinitionArn,
    other: &TaskDefinitionArn,
) -> bool {
    origin(ours, one) == origin(ours, other)
}

fn origin<'a>(
    ours: &'a BTreeMap<TaskDefinitionArn, TaskDefinitionArn>,
    revision: &'a TaskDefinitionArn,
) -> &'a TaskDefinitionArn {
    let mut origin = revision;
    while let Some(from) = ours.get(origin).filter(|from| from.revision() < origin.revision()) {
        origin = from;
    }
    origin
}

/// The settings there and back. Tags are changed by calls of their own, so they are a change of their own.
pub(super) fn setting_moves(
    kind: ChangeKind,
    fixer: &mut Fixer<'_>,
    fixes: &[&&PlannedFix],
) -> Result<Vec<Move>, Ineligible> {
    let of_tags = |fix: &&&&PlannedFix| fix.edits.iter().all(|edit| edit.path().starts_with("/tags"));
    let (tags, settings): (Vec<&&PlannedFix>, Vec<&&PlannedFix>) = fixes.iter().copied().partition(|fix| of_tags(&fix));
    let groups = [settings, tags].into_iter().filter(|fixes| !fixes.is_empty());
    groups.map(|fixes| setting_move(kind, fixer, &fixes)).collect()
}

fn setting_move(kind: ChangeKind, fixer: &mut Fixer<'_>, fixes: &[&&PlannedFix]) -> Result<Move, Ineligible> {
    let fixes: Vec<&PlannedFix> = fixes.iter().map(|fix| **fix).collect();
    let fixed = fixer.apply(&fixes)?;
    let (kind, setting) =
        settings::setting(kind, fixer.subject.resource, &fixed.document, &fixed.diff).map_err(Ineligible::Blocked)?;
    Ok(Move {
        kind,
        diff: fixed.diff,
        documents: None,
        setting: Some(setting),
        registered: Registered::default(),
        fixes: fixed.fixes.iter().map(|fix| fix.0.clone()).collect(),
        policies: policies_of(&fixes),
    })
}

fn policies_of(fixes: &[&PlannedFix]) -> Vec<String> {
    let mut policies: Vec<String> = fixes.iter().map(|fix| fix.policy.clone()).collect();
    policies.sort();
    policies.dedup();
    policies
}
