//! The reports of `check` and `fix` (DESIGN §7), as data.

use schemars::JsonSchema;
use serde::Serialize;

use super::offline::patch::ByHand;
use super::printed::{PolicySetView, Printed};
use super::views;
use crate::model::spec::Enforcement;
use crate::model::{DiffEntry, Reason, Severity, Verdict};
use crate::policy::{AppliedWaiver, WaiverUse};

/// What `check` says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckReport {
    /// What it was judged by.
    pub(super) policy_set: PolicySetView,
    /// How many came to which verdict.
    pub(super) summary: CheckSummary,
    /// One for each resource and policy, passes and skips included.
    pub(super) results: Vec<CheckResult>,
    /// What every Waiver is good for in these files.
    pub(super) waivers: Vec<WaiverUse>,
}

impl Printed for CheckReport {
    const KIND: &'static str = "CheckReport";
}

/// How many came to which verdict.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CheckSummary {
    /// Task definitions.
    pub(super) resources: usize,
    /// Pairs of resource and policy that pass.
    pub(super) pass: usize,
    /// That fail.
    pub(super) fail: usize,
    /// That fail, all of it waived.
    pub(super) waived: usize,
    /// To which the policy does not apply.
    pub(super) skip: usize,
    /// Of which it could not be told.
    pub(super) unknown: usize,
}

/// The verdict of one policy on one resource.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CheckResult {
    /// `FILE#FAMILY`.
    pub(super) resource: String,
    /// The file.
    pub(super) file: String,
    /// The policy.
    pub(super) policy: String,
    /// The controls of other catalogues that it answers.
    pub(super) controls: Vec<String>,
    /// How bad a failure is.
    pub(super) severity: Severity,
    /// The verdict.
    pub(super) verdict: Verdict,
    /// Why it is `unknown`; why a failure has no fix, where one was tried.
    pub(super) reason: Option<Reason>,
    /// The first of the Waivers that cover a finding.
    pub(super) waiver: Option<AppliedWaiver>,
    /// How far the controller would go.
    pub(super) enforcement: Enforcement,
    /// What does not hold, waived or not.
    pub(super) findings: Vec<CheckFinding>,
}

/// One failed check on one element.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CheckFinding {
    /// The check.
    pub(super) check: String,
    /// JSON Pointer into the bare task definition; for a missing member, to where it would be.
    pub(super) path: String,
    /// The container it is in, if any.
    pub(super) container: Option<String>,
    /// The line of the file, from 1.
    pub(super) line: usize,
    /// What is wrong, in a sentence.
    pub(super) message: String,
    /// Whether a fix is at hand.
    pub(super) fixable: bool,
    /// The Waiver that covers it.
    pub(super) waiver: Option<String>,
}

/// What `fix` says.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FixReport {
    /// Whether files were changed.
    pub(super) written: bool,
    /// Each file.
    pub(super) files: Vec<FixedFile>,
}

impl Printed for FixReport {
    const KIND: &'static str = "FixReport";
}

/// What fixing makes of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FixedFile {
    /// Its name.
    pub(super) file: String,
    /// Each task definition in it.
    pub(super) resources: Vec<FixedView>,
}

/// What fixing makes of a task definition.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FixedView {
    /// `FILE#FAMILY`.
    pub(super) resource: String,
    /// Field by field; values that may be secret masked.
    pub(super) diff: Vec<DiffEntry>,
    /// What fails or is unknown afterwards, in sentences.
    pub(super) left: Vec<String>,
    /// Of a file that is not written: the same edits with its own pointers and names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by_hand: Option<Vec<ByHand>>,
}

impl FixedView {
    pub(super) fn of(resource: &str, diff: &[DiffEntry], left: &[String], by_hand: Option<Vec<ByHand>>) -> Self {
        Self { resource: resource.to_owned(), diff: views::masked(diff), left: left.to_vec(), by_hand }
    }
}
