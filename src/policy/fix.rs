//! Applying fixes, and holding the result to the law of fixes.
//!
//! The law: after its fix a check passes, fixing again changes nothing, nothing but the named nodes changes, no other
//! check that is to be fixed (`propose` or `enforce`) fails more than before, and the document breaks none of ECS's
//! constraints that it kept before.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::constraints;
use super::draft::{Draft, EditError};
use super::evaluate::{document_kind, evaluate};
use super::pointer::tokens;
use super::result::{Answers, FixId, PlannedFix, PolicyResult};
use super::set::PolicySet;
use super::subject::Subject;
use crate::model::spec::{Enforcement, ResourceKind};
use crate::model::{DiffEntry, Finding, Reason, ReasonCode, Timestamp, Verdict};

/// A document after its fixes.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The new document: the old nodes in their old order but for the named ones.
    pub document: Value,
    /// What changed, as a JSON Patch in order.
    pub diff: Vec<DiffEntry>,
    /// The fixes in it.
    pub fixes: Vec<FixId>,
    /// Policies that only audit and find more in the new document than in the old one, with the check: reported, and
    /// no reason against the fix. So ECS.1 passes a privileged container, and finds its user once ECS.4 is fixed.
    pub exposes: Vec<(String, String)>,
}

/// Why fixes cannot be applied. Nothing is changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    /// An edit cannot be made.
    #[error("the fix of policy `{policy}`, check `{check}`, cannot be made: {source}")]
    Edit {
        /// Whose edit.
        policy: String,
        /// Of which check.
        check: String,
        /// Why.
        source: EditError,
    },
    /// Two policies' fixes fight over a node.
    #[error("{0}")]
    Fight(EditError),
    /// After its fix a check still fails, or cannot be evaluated.
    #[error("the fix of policy `{policy}`, check `{check}`, does not make it hold: {why}")]
    NotFixed {
        /// Whose fix.
        policy: String,
        /// Of which check.
        check: String,
        /// What still stands.
        why: String,
    },
    /// Another check, which is to be fixed too, fails where it did not before.
    #[error("fixing `{}` breaks policy `{policy}`, check `{check}`", by.join("`, `"))]
    Breaks {
        /// The policies whose fixes did it.
        by: Vec<String>,
        /// The policy that is broken.
        policy: String,
        /// Its check.
        check: String,
    },
    /// Something changed that no edit names.
    #[error("the fixes change `{path}`, which no edit names")]
    Beyond {
        /// The node.
        path: String,
    },
    /// ECS would refuse the document, and did not before.
    #[error("ECS would refuse the fixed document: {}", violations.join("; "))]
    InvalidResult {
        /// The constraints that it breaks.
        violations: Vec<String>,
    },
}

impl FixError {
    /// The same as a reason, for plans and reports.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::InvalidResult { .. } => ReasonCode::InvalidResult,
            Self::Edit { .. } => ReasonCode::NotFixable,
            Self::Fight(_) | Self::NotFixed { .. } | Self::Breaks { .. } | Self::Beyond { .. } => {
                ReasonCode::FixConflict
            }
        };
        Reason::of(code, self.to_string())
    }
}

/// Applies fixes together.
///
/// `before` is what [`evaluate`] said of the subject; `fixes` are some of its fixes. Without any the document comes
/// back as it is.
///
/// # Errors
/// Where the law of fixes does not hold for the result.
pub fn apply_fixes(
    set: &PolicySet,
    subject: &Subject<'_>,
    before: &[PolicyResult],
    fixes: &[&PlannedFix],
    now: Timestamp,
) -> Result<Fixed, FixError> {
    lawful(subject, before, fixes, &mut |subject| evaluate(set, subject, now).into_iter().map(Arc::new).collect())
}

/// What is said of a document: [`evaluate`], or somebody who remembers what it said.
type Ask<'a> = dyn FnMut(&Subject<'_>) -> Answers + 'a;

/// The same for whoever answers.
pub(super) fn lawful<B: Borrow<PolicyResult>>(
    subject: &Subject<'_>,
    before: &[B],
    fixes: &[&PlannedFix],
    ask: &mut Ask<'_>,
) -> Result<Fixed, FixError> {
    let (document, diff) = edited(subject, fixes)?;
    beyond(subject.resource, &document, fixes)?;
    let violations = match subject.kind {
        ResourceKind::TaskDefinition => constraints::violations,
        ResourceKind::Service | ResourceKind::Cluster | ResourceKind::TaskSet | ResourceKind::CapacityProvider => {
            constraints::tag_violations
        }
    };
    let mut new = violations(&document);
    if !new.is_empty() {
        let old = violations(subject.resource);
        new.retain(|violation| !old.contains(violation));
    }
    if !new.is_empty() {
        return Err(FixError::InvalidResult { violations: new });
    }
    let after = ask_fixed(subject, &document, ask);
    for fix in fixes {
        if let Err(why) = holds(fix, before, &after) {
            return Err(blame(subject, before, fixes, fix, ask).unwrap_or(why));
        }
    }
    let worse = worsened(before, &after);
    let in_force =
        |policy: &str| result(&after, policy).is_some_and(|result| result.enforcement >= Enforcement::Propose);
    if let Some((policy, check)) = worse.iter().find(|(policy, _)| in_force(policy)).cloned() {
        let by = culprits(subject, before, fixes, &policy, ask);
        return Err(FixError::Breaks { by, policy, check });
    }
    let ids: BTreeSet<FixId> = fixes.iter().map(|fix| fix.id.clone()).collect();
    Ok(Fixed { document, diff, fixes: ids.into_iter().collect(), exposes: worse })
}

/// What the policies say of the fixed document. Tags are members of documents too: where a fix has edited them,
/// expressions see them so.
fn ask_fixed(subject: &Subject<'_>, document: &Value, ask: &mut Ask<'_>) -> Answers {
    let edited = document.get("tags").filter(|tags| subject.resource.get("tags") != Some(tags));
    let tags = edited.and_then(|edited| {
        // Where the document had none, what is known of the tags came from beside it.
        let beside = subject.tags.filter(|_| subject.resource.get("tags").is_none()).cloned().unwrap_or_default();
        Some(beside.into_iter().chain(tags_of(edited)?).collect::<BTreeMap<String, String>>())
    });
    ask(&Subject { resource: document, tags: tags.as_ref().or(subject.tags), ..*subject })
}

/// `[{key, value}]` by key; `None` where it is no list of tags.
pub(super) fn tags_of(tags: &Value) -> Option<BTreeMap<String, String>> {
    let text = |tag: &Value, member: &str| tag.get(member).and_then(Value::as_str).map(str::to_owned);
    let pair = |tag| Some((text(tag, "key")?, text(tag, "value").unwrap_or_default()));
    tags.as_array()?.iter().map(pair).collect()
}

fn edited(subject: &Subject<'_>, fixes: &[&PlannedFix]) -> Result<(Value, Vec<DiffEntry>), FixError> {
    let mut draft = Draft::of(subject.resource.clone(), document_kind(subject.kind));
    for fix in fixes {
        for edit in &fix.edits {
            draft.apply(edit, &fix.policy).map_err(|source| match source {
                fight @ EditError::Fight { .. } => FixError::Fight(fight),
                source => FixError::Edit { policy: fix.policy.clone(), check: fix.check.clone(), source },
            })?;
        }
    }
    Ok(draft.finish())
}

/// That every difference lies at, above or below a node that an edit names. Lists from which an edit takes or to which
/// it adds are compared as a whole: their elements move up.
fn beyond(before: &Value, after: &Value, fixes: &[&PlannedFix]) -> Result<(), FixError> {
    let mut named: Vec<Vec<String>> = Vec::new();
    for edit in fixes.iter().flat_map(|fix| &fix.edits) {
        named.extend(tokens(edit.path()));
    }
    let mut path = Vec::new();
    match first_beyond(Some(before), Some(after), &mut path, &named) {
        Some(path) => Err(FixError::Beyond { path }),
        None => Ok(()),
    }
}

fn first_beyond(
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut Vec<String>,
    named: &[Vec<String>],
) -> Option<String> {
    if named.iter().any(|named| path.starts_with(named)) {
        return None;
    }
    // Compared only where no edit is below: a document is long, and this goes down level by level.
    if !named.iter().any(|named| named.starts_with(path)) {
        return (before != after).then(|| super::pointer::pointer(path));
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
            names.find_map(|name| {
                path.push(name.clone());
                let found = first_beyond(before.get(name), after.get(name), path, named);
                path.pop();
                found
            })
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            before.iter().zip(after).enumerate().find_map(|(index, (before, after))| {
                path.push(index.to_string());
                let found = first_beyond(Some(before), Some(after), path, named);
                path.pop();
                found
            })
        }
        _ => None,
    }
}

fn result<'a, B: Borrow<PolicyResult>>(results: &'a [B], policy: &str) -> Option<&'a PolicyResult> {
    results.iter().map(Borrow::borrow).find(|result: &&PolicyResult| *result.policy == *policy)
}

fn unwaived<'a>(result: &'a PolicyResult, check: &'a str) -> impl Iterator<Item = &'a Finding> {
    result.findings.iter().filter(move |finding| finding.check == check && finding.waiver.is_none())
}

/// That what was fixable of a check holds now, and that it asks for no fix again.
fn holds<B: Borrow<PolicyResult>>(fix: &PlannedFix, before: &[B], after: &[Arc<PolicyResult>]) -> Result<(), FixError> {
    let not_fixed = |why: String| FixError::NotFixed { policy: fix.policy.clone(), check: fix.check.clone(), why };
    let Some(new) = result(after, &fix.policy) else { return Ok(()) };
    if let (Verdict::Unknown, Some(why)) = (new.verdict, &new.reason) {
        return Err(not_fixed(why.message.clone()));
    }
    if new.fixes.iter().any(|again| again.check == fix.check) {
        return Err(not_fixed("it asks for a fix again".to_owned()));
    }
    // What had no fix may go on failing, and nothing else.
    let allowed = result(before, &fix.policy)
        .map_or(0, |old| unwaived(old, &fix.check).filter(|finding| !finding.fixable).count());
    match unwaived(new, &fix.check).nth(allowed) {
        Some(finding) => Err(not_fixed(finding.message.clone())),
        None => Ok(()),
    }
}

/// Checks with more failures than before, and policies that cannot be told any more (with an empty check).
fn worsened<B: Borrow<PolicyResult>>(before: &[B], after: &[Arc<PolicyResult>]) -> Vec<(String, String)> {
    let count = |result: &PolicyResult| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for finding in result.findings.iter().filter(|finding| finding.waiver.is_none()) {
            *counts.entry(finding.check.clone()).or_default() += 1;
        }
        counts
    };
    let mut worse = Vec::new();
    for new in after {
        let Some(old) = result(before, &new.policy) else { continue };
        let was = count(old);
        let more = count(new).into_iter().filter(|(check, now)| was.get(check).copied().unwrap_or(0) < *now);
        worse.extend(more.map(|(check, _)| (new.policy.to_string(), check)));
        if new.verdict == Verdict::Unknown && old.verdict != Verdict::Unknown {
            worse.push((new.policy.to_string(), String::new()));
        }
    }
    worse
}

/// A fix that does not hold among others but does by itself is broken by them, not by itself.
fn blame<B: Borrow<PolicyResult>>(
    subject: &Subject<'_>,
    before: &[B],
    fixes: &[&PlannedFix],
    fix: &PlannedFix,
    ask: &mut Ask<'_>,
) -> Option<FixError> {
    let (own, others): (Vec<&PlannedFix>, Vec<&PlannedFix>) =
        fixes.iter().partition(|other| other.policy == fix.policy);
    let (document, _) = edited(subject, &own).ok()?;
    let after = ask_fixed(subject, &document, ask);
    holds(fix, before, &after).ok()?;
    let by: BTreeSet<String> = others.iter().map(|other| other.policy.clone()).collect();
    if by.is_empty() {
        return None;
    }
    // Those that do it with nobody's help, if there are any.
    let does = |policy: &&String| {
        let both: Vec<&PlannedFix> =
            fixes.iter().copied().filter(|other| other.policy == fix.policy || other.policy == **policy).collect();
        let Ok((document, _)) = edited(subject, &both) else { return false };
        holds(fix, before, &ask_fixed(subject, &document, ask)).is_err()
    };
    let alone: BTreeSet<String> = by.iter().filter(does).cloned().collect();
    let by = if alone.is_empty() { by } else { alone };
    let (policy, check) = (fix.policy.clone(), fix.check.clone());
    Some(FixError::Breaks { by: by.into_iter().collect(), policy, check })
}

/// The policies whose fixes break another one by themselves; all, where only several together do.
fn culprits<B: Borrow<PolicyResult>>(
    subject: &Subject<'_>,
    before: &[B],
    fixes: &[&PlannedFix],
    victim: &str,
    ask: &mut Ask<'_>,
) -> Vec<String> {
    let policies: BTreeSet<&str> = fixes.iter().map(|fix| fix.policy.as_str()).collect();
    let alone = policies.iter().filter(|policy| {
        let own: Vec<&PlannedFix> = fixes.iter().copied().filter(|fix| fix.policy == **policy).collect();
        let Ok((document, _)) = edited(subject, &own) else { return false };
        let after = ask_fixed(subject, &document, ask);
        worsened(before, &after).iter().any(|(policy, _)| policy == victim)
    });
    let alone: Vec<String> = alone.map(|policy| (*policy).to_owned()).collect();
    if alone.is_empty() { policies.into_iter().map(str::to_owned).collect() } else { alone }
}
