//! What evaluation says of a resource.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad a failure is. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are Security Hub's")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// Its name in manifests and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Of one policy on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything checked holds.
    Pass,
    /// Something does not hold.
    Fail,
    /// Something does not hold, and all of it is waived.
    Waived,
    /// The policy does not apply.
    Skip,
    /// It could not be told. Never a pass, never grounds to act.
    Unknown,
}

impl Verdict {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Waived => "waived",
            Self::Skip => "skip",
            Self::Unknown => "unknown",
        }
    }
}

/// One failed check on one element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check's name.
    pub check: String,
    /// JSON Pointer into the resource's document; for a missing member, to where it would be.
    pub path: String,
    /// The container it is in, if any.
    pub container: Option<String>,
    /// The line of the source file, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong, in a sentence. Masked: no value of the document but names and modes.
    pub message: String,
    /// Whether a fix is at hand.
    pub fixable: bool,
    /// The name of the Waiver that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
}
