//! What evaluation answers.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::spec::{Enforcement, Need};
use crate::model::{Finding, Reason, Severity, Timestamp, Verdict};

/// What every policy of a set says of one resource, shared.
pub type Answers = Arc<[Arc<PolicyResult>]>;

/// The answer of one policy on one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyResult {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Its title.
    pub title: Arc<str>,
    /// How bad a failure is.
    pub severity: Severity,
    /// The controls that it answers.
    pub controls: Arc<[String]>,
    /// The answer.
    pub verdict: Verdict,
    /// Why it is `unknown`; why a failure has no fix, where an attempt was made.
    pub reason: Option<Reason>,
    /// The first of the Waivers that cover a finding.
    pub waiver: Option<AppliedWaiver>,
    /// Every Waiver in force for this policy here, and whether it is needed. One of which it is not known whether its
    /// scope matches is among them only where that matters.
    pub waivers: Vec<AppliedWaiver>,
    /// What does not hold, waived or not. Also there when another check made the verdict `unknown`.
    pub findings: Vec<Finding>,
    /// How far to go: of the matching Bindings the strictest; without any, `audit`.
    pub enforcement: Enforcement,
    /// The strategy that the Bindings name. `None`: the defaults.
    pub strategy: Option<String>,
    /// The matching Bindings.
    pub bindings: Arc<[String]>,
    /// `BindingConflict`: they contradict each other, so nothing may be rolled out.
    pub conflict: Option<Reason>,
    /// What would make the unwaived fixable findings hold. Empty unless the verdict is `fail`.
    pub fixes: Vec<PlannedFix>,
}

/// A Waiver that matches a policy on a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedWaiver {
    /// Its name.
    pub name: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whole days until then.
    pub days_left: i64,
    /// How many findings it covers here.
    pub covers: usize,
    /// Whether it is needed here.
    pub need: Need,
}

/// The identity of a fix: of the policy's name, the check, its edits and the params in effect. Not of the document it
/// is applied to, so that a Hold survives the next deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FixId(pub String);

impl fmt::Display for FixId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fix of one check, made concrete for the elements that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedFix {
    /// The policy's name.
    pub policy: String,
    /// The check's name.
    pub check: String,
    /// `sha256:…`.
    pub id: FixId,
    /// In the order in which they are made. Pointers are into the document as it was evaluated.
    pub edits: Vec<PlannedEdit>,
    /// The guarded members that it touches, as pointers with `*` for list elements: what `--allow-edit` has to name.
    pub guarded: Vec<String>,
}

/// One concrete edit.
#[derive(Debug, Clone, PartialEq)]
pub enum PlannedEdit {
    /// The node becomes this; missing parents are made.
    Set {
        /// Absolute JSON Pointer.
        path: String,
        /// What.
        value: Value,
    },
    /// The node goes.
    Remove {
        /// Absolute JSON Pointer.
        path: String,
    },
    /// The list gets this, in the place of the element with an equal `key`.
    Append {
        /// Absolute JSON Pointer to the list.
        path: String,
        /// The member that tells elements apart.
        key: Option<String>,
        /// What.
        value: Value,
    },
}

impl PlannedEdit {
    /// The node it names.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Set { path, .. } | Self::Remove { path } | Self::Append { path, .. } => path,
        }
    }
}
