//! From what the policies say of a resource to what follows: whether it is changed, and if not, why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::eligibility::Ineligible;
use super::make::Context;
use super::prospect::standings;
use super::report::{PlanOutcome, PlannedFinding, PlannedResource, WantedDocuments};
use crate::model::change::Setting;
use crate::model::spec::{Enforcement, StrategySpec};
use crate::model::{ChangeKind, DiffEntry, Reason, ReasonCode, Registered, Resource, Severity, Verdict};
use crate::policy::{PlannedFix, PolicyResult, ScopeKeys, guarded_members, waivers_here};

/// What came of judging one resource: what to say of it, and the changes it would take.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What to say.
    pub planned: PlannedResource,
    /// What to do, in this order. Empty unless the outcome is `change`.
    pub moves: Vec<Move>,
    /// The strategy's name, where Bindings name one.
    pub strategy: Option<String>,
    /// Why it waits for approval.
    pub proposed: Option<Reason>,
    /// The fixes that it needs and that wait for a person, because a rollout of theirs has stopped.
    pub stopped: Vec<String>,
    /// Whether its Bindings want it changed, and that may be done, now or when what is in the way has passed or was changed.
    pub wanted: bool,
    /// The worst severity among what fails.
    pub severity: Severity,
}

impl Judged {
    /// With nothing to be done.
    pub(super) const fn unmoved(planned: PlannedResource, severity: Severity) -> Self {
        Self {
            planned,
            moves: Vec::new(),
            strategy: None,
            proposed: None,
            stopped: Vec::new(),
            wanted: false,
            severity,
        }
    }
}

/// One change, before it has a wave.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// What it does.
    pub kind: ChangeKind,
    /// Field by field.
    pub diff: Vec<DiffEntry>,
    /// For a revision, where it was made to be carried out.
    pub documents: Option<WantedDocuments>,
    /// For a setting.
    pub setting: Option<Setting>,
    /// For a revision: who registered the one it comes from.
    pub registered: Registered,
    /// The fixes it brings.
    pub fixes: Vec<String>,
    /// The policies that ask for it.
    pub policies: Vec<String>,
}

/// What changes are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be carried out: with the documents to register.
    CarryOut,
    /// To tell what they would come to: without, a document is long.
    Tell,
}

/// A blank report on a resource.
pub(super) fn blank(resource: &str, outcome: PlanOutcome, reason: Option<Reason>) -> PlannedResource {
    PlannedResource {
        resource: resource.to_owned(),
        task_definition: None,
        outcome,
        enforcement: Enforcement::Audit,
        reason,
        policies: Vec::new(),
        findings: Vec::new(),
        diff: Vec::new(),
        wave: None,
        waivers: Vec::new(),
        put_back: Vec::new(),
        bindings: Vec::new(),
        exempt: Vec::new(),
        unknown: BTreeMap::new(),
        standings: None,
    }
}

/// A resource about which nothing can be said.
pub(super) fn unknown(resource: &str, why: String) -> Judged {
    let planned = blank(resource, PlanOutcome::Unknown, Some(Reason::of(ReasonCode::NotObserved, why)));
    Judged::unmoved(planned, Severity::Low)
}

/// What the policies say of one resource, sorted by what follows from it.
pub(super) struct Opinion {
    pub(super) results: Vec<Arc<PolicyResult>>,
}

impl Opinion {
    pub(super) fn of<'a>(results: impl IntoIterator<Item = &'a Arc<PolicyResult>>) -> Self {
        let on = results.into_iter().filter(|result| result.enforcement != Enforcement::Off);
        Self { results: on.cloned().collect() }
    }

    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &PolicyResult> {
        self.results.iter().map(AsRef::as_ref).filter(move |result: &&PolicyResult| result.verdict == verdict)
    }

    fn failing(&self, at_least: Enforcement) -> impl Iterator<Item = &PolicyResult> {
        self.with(Verdict::Fail).filter(move |result| result.enforcement >= at_least)
    }

    fn severity(&self) -> Severity {
        self.with(Verdict::Fail).map(|result| result.severity).max().unwrap_or(Severity::Low)
    }

    fn findings(&self) -> Vec<PlannedFinding> {
        let of = |result: &PolicyResult| {
            let (policy, severity) = (result.policy.to_string(), result.severity);
            result
                .findings
                .iter()
                .map(move |finding| PlannedFinding { policy: policy.clone(), severity, finding: finding.clone() })
                .collect::<Vec<_>>()
        };
        self.results.iter().flat_map(|result| of(result)).collect()
    }
}

pub(super) fn strategy_of<'a>(context: &Context<'a>, name: Option<&str>) -> &'a StrategySpec {
    name.and_then(|name| context.set.strategy(name)).unwrap_or(context.default_strategy)
}

/// From opinion to outcome, and how every policy stands by itself. `make` turns the fixes that may be made into moves,
/// or says why they may not.
pub(super) fn decide(
    name: &str,
    resource: Option<&Resource>,
    keys: &ScopeKeys,
    opinion: &Opinion,
    context: &Context<'_>,
    make: impl Fn(&[&PlannedFix], &StrategySpec, Purpose) -> Result<Vec<Move>, Ineligible>,
) -> Judged {
    let mut judged = outcome(name, resource, keys, opinion, context, &make);
    judged.planned.waivers = waivers_here(opinion.results.iter().map(AsRef::as_ref));
    judged.planned.standings = Some(standings(&opinion.results, &judged, resource, context, &make).into());
    judged
}

fn outcome(
    name: &str,
    resource: Option<&Resource>,
    keys: &ScopeKeys,
    opinion: &Opinion,
    context: &Context<'_>,
    make: impl FnOnce(&[&PlannedFix], &StrategySpec, Purpose) -> Result<Vec<Move>, Ineligible>,
) -> Judged {
    let mut planned = blank(name, PlanOutcome::Compliant, None);
    planned.findings = opinion.findings();
    let why = |result: &PolicyResult| Some((result.policy.to_string(), result.reason.clone()?));
    planned.unknown = opinion.with(Verdict::Unknown).filter_map(why).collect();
    let bindings: BTreeSet<&String> = opinion.results.iter().flat_map(|result| result.bindings.iter()).collect();
    planned.bindings = bindings.into_iter().cloned().collect();
    planned.enforcement =
        opinion.with(Verdict::Fail).map(|result| result.enforcement).max().unwrap_or(Enforcement::Audit);
    planned.policies = opinion.with(Verdict::Fail).map(|result| result.policy.to_string()).collect();
    let severity = opinion.severity();
    let mut judged = Judged::unmoved(planned, severity);

    let wanted: Vec<&PolicyResult> = opinion.failing(Enforcement::Propose).collect();
    if wanted.is_empty() {
        without_wish(opinion, &mut judged, make, context);
        return judged;
    }
    let block = |judged: &mut Judged, reason| {
        judged.planned.outcome = PlanOutcome::Blocked;
        judged.planned.reason = Some(reason);
    };
    if let Some(conflict) = wanted.iter().find_map(|result| result.conflict.clone()) {
        block(&mut judged, conflict);
        return judged;
    }
    // Fixes that are enforced go first; what is only proposed joins when nothing else is left to do.
    let enforced = wanted.iter().any(|result| result.enforcement == Enforcement::Enforce && !result.fixes.is_empty());
    let level = if enforced { Enforcement::Enforce } else { Enforcement::Propose };
    if level == Enforcement::Propose {
        judged.proposed = Some(Reason::of(ReasonCode::ApprovalRequired, "its Binding says `enforcement: propose`"));
    }
    let at_level: Vec<&&PolicyResult> = wanted.iter().filter(|result| result.enforcement >= level).collect();
    match one_strategy(&at_level) {
        Ok(strategy) => judged.strategy = strategy,
        Err(reason) => {
            block(&mut judged, reason);
            return judged;
        }
    }
    let strategy = strategy_of(context, judged.strategy.as_deref());
    let fixes: Vec<&PlannedFix> = at_level.iter().flat_map(|result| &result.fixes).collect();
    if fixes.is_empty() {
        block(&mut judged, not_fixable(&wanted));
        return judged;
    }
    let has_stopped = |fix: &&&PlannedFix| context.stopped_fixes.contains_key(&fix.id.0);
    judged.stopped = fixes.iter().filter(has_stopped).map(|fix| fix.id.0.clone()).collect();
    let (fixes, refused, stopped) = allowed(&fixes, resource, context);
    if fixes.is_empty() {
        block(&mut judged, refused.unwrap_or_else(|| not_fixable(&wanted)));
        return judged;
    }
    judged.wanted = stopped.is_none();
    match make(&fixes, strategy, Purpose::CarryOut) {
        Ok(moves) => judged.moves = moves,
        Err(Ineligible::Blocked(reason)) => {
            judged.wanted &= !never_touched(reason.code);
            block(&mut judged, reason);
            return judged;
        }
        Err(Ineligible::Deferred(reason)) => {
            judged.planned.outcome = PlanOutcome::Deferred;
            judged.planned.reason = Some(reason);
            return judged;
        }
    }
    if let Some(reason) = stopped {
        block(&mut judged, reason);
        judged.moves.clear();
        return judged;
    }
    judged.planned.diff = judged.moves.iter().flat_map(|change| change.diff.clone()).collect();
    judged.planned.enforcement = level;
    if let Some(reason) = context.frozen(keys) {
        judged.planned.outcome = PlanOutcome::Deferred;
        judged.planned.reason = Some(reason);
        judged.moves.clear();
        return judged;
    }
    judged.planned.outcome = PlanOutcome::Change;
    judged.planned.reason = refused;
    judged
}

/// Whether a service that is blocked for this is none that fixes are rolled out to, whatever anybody changes about it.
const fn never_touched(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::CodeDeployController
            | ReasonCode::ExternalController
            | ReasonCode::ManagedByEcs
            | ReasonCode::OwnedByBatch
    )
}

/// Nothing that fails is more than audited: why, and what enforcing would do.
fn without_wish(
    opinion: &Opinion,
    judged: &mut Judged,
    make: impl FnOnce(&[&PlannedFix], &StrategySpec, Purpose) -> Result<Vec<Move>, Ineligible>,
    context: &Context<'_>,
) {
    let planned = &mut judged.planned;
    let unknown: Vec<&PolicyResult> = opinion.with(Verdict::Unknown).collect();
    let audited: Vec<&PlannedFix> = opinion.with(Verdict::Fail).flat_map(|result| &result.fixes).collect();
    if let Some(first) = unknown.first() {
        planned.outcome = PlanOutcome::Unknown;
        planned.policies = unknown.iter().map(|result| result.policy.to_string()).collect();
        planned.reason = first.reason.clone();
    } else if opinion.with(Verdict::Fail).next().is_some() {
        planned.outcome = PlanOutcome::Audit;
        match make(&audited, context.default_strategy, Purpose::Tell) {
            Ok(moves) if !audited.is_empty() => {
                planned.diff = moves.into_iter().flat_map(|change| change.diff).collect()
            }
            Ok(_) => {}
            // Audited policies that want different things are nobody's problem until both are enforced.
            Err(Ineligible::Blocked(reason) | Ineligible::Deferred(reason)) => {
                planned.reason = Some(reason).filter(|reason| reason.code != ReasonCode::FixConflict);
            }
        }
    } else if opinion.with(Verdict::Waived).next().is_some() {
        planned.outcome = PlanOutcome::Waived;
        planned.reason = opinion.with(Verdict::Waived).find_map(|result| result.waiver.as_ref()).map(|waiver| {
            Reason::of(ReasonCode::Waived, format!("Waiver `{}` covers it", waiver.name)).until(waiver.expires_at)
        });
    }
}

fn not_fixable(wanted: &[&PolicyResult]) -> Reason {
    let names: Vec<&str> = wanted.iter().map(|result| result.policy.as_ref()).collect();
    let given = wanted.iter().find_map(|result| result.reason.clone());
    given.unwrap_or_else(|| {
        Reason::of(
            ReasonCode::NotFixable,
            format!("no fix applies to what fails of {}; see each policy's description", names.join(", ")),
        )
    })
}

/// The one strategy that all of them name, or none.
fn one_strategy(results: &[&&PolicyResult]) -> Result<Option<String>, Reason> {
    let mut named =
        results.iter().filter_map(|result| result.strategy.as_ref().map(|strategy| (strategy, &result.policy)));
    let Some((strategy, policy)) = named.next() else { return Ok(None) };
    match named.find(|(other, _)| *other != strategy) {
        None => Ok(Some(strategy.clone())),
        Some((other, other_policy)) => Err(Reason::of(
            ReasonCode::BindingConflict,
            format!(
                "`{policy}` is bound to strategy `{strategy}` and `{other_policy}` to `{other}`; one new revision needs one strategy"
            ),
        )),
    }
}

/// The fixes that are neither held nor guarded, why the first of the others is not among them, and why one of them may
/// not begin.
pub(super) fn allowed<'a>(
    fixes: &[&'a PlannedFix],
    resource: Option<&Resource>,
    context: &Context<'_>,
) -> (Vec<&'a PlannedFix>, Option<Reason>, Option<Reason>) {
    let (mut refused, mut stopped) = (None, None);
    let (mut allowed, mut waiting) = (Vec::new(), Vec::new());
    for fix in fixes {
        let held =
            context.holds.iter().find(|hold| Some(&hold.resource) == resource && hold.covers(&fix.id.0, context.now));
        let guarded = guarded_members(fix, context.allow_edit);
        let reason = if let Some(hold) = held {
            let message = format!("the fix of `{}` is held off it: {}", fix.policy, hold.reason.message);
            Some(Reason { code: ReasonCode::Held, message, until: hold.until })
        } else if let Some(rollout) = context.stopped_fixes.get(&fix.id.0) {
            let message = format!(
                "rollout `{rollout}` of the fix of `{}` stopped; `plimsoll rollout status {rollout}` says why and what to do",
                fix.policy
            );
            // What else stands in its way is worth more to know, so it is looked for first.
            waiting.push(*fix);
            stopped = stopped.or(Some(Reason::of(ReasonCode::FixStopped, message)));
            None
        } else if !guarded.is_empty() {
            let message = format!(
                "the fix of `{}` edits {}; start the controller with --allow-edit for it",
                fix.policy,
                guarded.join(", ")
            );
            Some(Reason::of(ReasonCode::GuardedMember, message))
        } else {
            allowed.push(*fix);
            None
        };
        refused = refused.or(reason);
    }
    // Where others may begin, they begin without those that stopped.
    if allowed.is_empty() { (waiting, refused, stopped) } else { (allowed, refused.or(stopped), None) }
}
