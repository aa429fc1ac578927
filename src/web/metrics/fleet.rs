//! What a pass says of a target, counted: from its report to numbers.

use std::collections::BTreeMap;

use super::catalogue::{self, OUTCOMES, ROLLOUT_PHASES};
use super::text::{Page, exact};
use crate::controller::PassReport;
use crate::model::{Severity, TargetId};
use crate::plan::{Plan, PlanOutcome, PolicyTally};
use crate::records::campaign::Campaign;
use crate::rollout::Phase;

/// What the last full pass found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    outcomes: BTreeMap<PlanOutcome, u64>,
    policies: BTreeMap<String, PolicyTally>,
    /// By policy, severity, and whether they are waived.
    findings: BTreeMap<(String, Severity, bool), u64>,
    gaps: usize,
}

impl Found {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut found = Self { policies: plan.tally.policies.clone(), gaps: plan.gaps.len(), ..Self::default() };
        for service in &plan.services {
            *found.outcomes.entry(service.outcome).or_default() += 1;
        }
        for counted in plan.resources().flat_map(|planned| planned.found.iter()) {
            let key = (counted.policy.clone(), counted.severity, counted.waived);
            *found.findings.entry(key).or_default() += counted.times;
        }
        found
    }

    pub(super) fn services(&self, page: &mut Page, target: &str) {
        for outcome in OUTCOMES {
            let count = self.outcomes.get(outcome).copied().unwrap_or(0);
            page.sample(&catalogue::SERVICES, &[target, outcome.as_str()], exact(count));
        }
    }

    pub(super) fn policies(&self, page: &mut Page, target: &str) {
        for (policy, tally) in &self.policies {
            let verdicts = [
                ("pass", tally.passing),
                ("fail", tally.failing),
                ("waived", tally.waived),
                ("older_tasks", tally.older_tasks),
                ("unknown", tally.unread()),
            ];
            for (verdict, count) in verdicts {
                page.sample(&catalogue::POLICY_RESOURCES, &[target, policy, verdict], counted(count));
            }
        }
    }

    pub(super) fn findings(&self, page: &mut Page, target: &str) {
        for ((policy, severity, waived), count) in &self.findings {
            let labels = [target, policy, severity.as_str(), if *waived { "true" } else { "false" }];
            page.sample(&catalogue::FINDINGS, &labels, exact(*count));
        }
    }

    pub(super) fn gaps(&self, page: &mut Page, target: &str) {
        page.sample(&catalogue::GAPS, &[target], counted(self.gaps));
    }
}

/// The records that the last pass left.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Recorded {
    rollouts: BTreeMap<&'static str, u64>,
    changes: BTreeMap<Phase, u64>,
    holds: usize,
}

impl Recorded {
    pub(super) fn of(report: &PassReport) -> Self {
        let mut recorded = Self { holds: report.holds, ..Self::default() };
        for Campaign { rollout, changes } in report.all() {
            *recorded.rollouts.entry(rollout.value.state.phase()).or_default() += 1;
            for change in changes {
                *recorded.changes.entry(change.value.state.phase()).or_default() += 1;
            }
        }
        recorded
    }

    pub(super) fn rollouts(&self, page: &mut Page, target: &str) {
        for phase in ROLLOUT_PHASES {
            let count = self.rollouts.get(phase).copied().unwrap_or(0);
            page.sample(&catalogue::ROLLOUTS, &[target, phase], exact(count));
        }
    }

    pub(super) fn changes(&self, page: &mut Page, target: &str) {
        for phase in Phase::ALL {
            let count = self.changes.get(phase).copied().unwrap_or(0);
            page.sample(&catalogue::CHANGES, &[target, phase.as_str()], exact(count));
        }
    }

    pub(super) fn holds(&self, page: &mut Page, target: &str) {
        page.sample(&catalogue::HOLDS, &[target], counted(self.holds));
    }
}

fn counted(count: usize) -> f64 {
    exact(count as u64)
}

/// A target as a value of a label.
pub(super) fn label(target: &TargetId) -> String {
    target.to_string()
}
