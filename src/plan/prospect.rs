//! What enforcing each policy would come to on a resource that fails it: what someone reads before switching it on.
//!
//! The plan itself answers for what Bindings ask for, all of it together. Here each policy is asked for by itself, so
//! that one policy's conflict is not told of another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::eligibility::Ineligible;
use super::judge::{Judged, Move, Purpose, allowed, strategy_of};
use super::make::Context;
use super::report::PlanOutcome;
use crate::model::spec::StrategySpec;
use crate::model::{ReasonCode, Resource, Verdict};
use crate::policy::{PlannedFix, PolicyResult};

/// What enforcing a policy would come to on one resource that fails it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Prospect {
    /// A change. Freezes, windows, waves and approvals do not count: they pass.
    Change,
    /// Nothing, until somebody changes something.
    Blocked(ReasonCode),
    /// Nothing now: what is in the way passes by itself.
    Deferred(ReasonCode),
    /// Nothing: no fix applies to what fails.
    NotFixable,
}

/// One policy on one resource: what counts of it in the policy's status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The policy.
    pub policy: Arc<str>,
    /// Its answer.
    pub verdict: Verdict,
    /// The Bindings that match it here.
    pub bindings: Arc<[String]>,
    /// What enforcing it would come to; only of a failure.
    pub prospect: Option<Prospect>,
    /// Of what is unknown: nothing but older tasks keeps it from passing.
    pub older_tasks: bool,
}

/// A policy whose fixes may be made, if the resource may be touched.
struct Open<'a> {
    policy: &'a str,
    fixes: Vec<&'a PlannedFix>,
    strategy: &'a StrategySpec,
}

/// How every policy stands on one resource that was judged. `make` is how its changes are made.
///
/// Costs nothing where the plan has made the same changes already; else one attempt at all that is left together, and
/// one for each policy only where that fails.
pub(super) fn standings(
    results: &[Arc<PolicyResult>],
    judged: &Judged,
    resource: Option<&Resource>,
    context: &Context<'_>,
    make: &impl Fn(&[&PlannedFix], &StrategySpec, Purpose) -> Result<Vec<Move>, Ineligible>,
) -> Vec<Standing> {
    let mut standings = Vec::with_capacity(results.len());
    let mut open: Vec<Open<'_>> = Vec::new();
    for result in results {
        let prospect = (result.verdict == Verdict::Fail).then(|| {
            at_once(result, judged, resource, context).unwrap_or_else(|waits| {
                open.push(waits);
                Prospect::Change
            })
        });
        standings.push(Standing {
            policy: Arc::clone(&result.policy),
            verdict: result.verdict,
            bindings: Arc::clone(&result.bindings),
            prospect,
            older_tasks: false,
        });
    }
    let Some(first) = open.first() else { return standings };
    let alike = open.iter().all(|one| one.strategy.images == first.strategy.images);
    let all: Vec<&PlannedFix> = open.iter().flat_map(|one| one.fixes.iter().copied()).collect();
    if alike && make(&all, first.strategy, Purpose::Tell).is_ok() {
        return standings;
    }
    for one in &open {
        let told = match make(&one.fixes, one.strategy, Purpose::Tell) {
            Ok(_) => continue,
            Err(Ineligible::Blocked(reason)) => Prospect::Blocked(reason.code),
            Err(Ineligible::Deferred(reason)) => Prospect::Deferred(reason.code),
        };
        if let Some(standing) = standings.iter_mut().find(|standing| *standing.policy == *one.policy) {
            standing.prospect = Some(told);
        }
    }
    standings
}

/// What can be told without making the change.
fn at_once<'a>(
    result: &'a PolicyResult,
    judged: &Judged,
    resource: Option<&Resource>,
    context: &Context<'a>,
) -> Result<Prospect, Open<'a>> {
    if result.fixes.is_empty() {
        return Ok(Prospect::NotFixable);
    }
    if let Some(conflict) = &result.conflict {
        return Ok(Prospect::Blocked(conflict.code));
    }
    let fixes: Vec<&PlannedFix> = result.fixes.iter().collect();
    let (fixes, refused, stopped) = allowed(&fixes, resource, context);
    if let Some(reason) = stopped.or_else(|| refused.filter(|_| fixes.is_empty())) {
        return Ok(Prospect::Blocked(reason.code));
    }
    let moved = judged.moves.iter().any(|change| change.policies.iter().any(|policy| **policy == *result.policy));
    // A plan that only audits has made all changes together, if it shows any.
    let audited = judged.planned.outcome == PlanOutcome::Audit && !judged.planned.diff.is_empty();
    if moved || audited {
        return Ok(Prospect::Change);
    }
    Err(Open { policy: &result.policy, fixes, strategy: strategy_of(context, result.strategy.as_deref()) })
}
