//! A time-limited, owned exception.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::model::Timestamp;

/// A time-limited, owned exception. What it waives is still evaluated and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaiverSpec {
    /// Names or globs of policies.
    pub policies: Vec<String>,
    /// For what. Omitted: everything.
    #[serde(default)]
    pub scope: Scope,
    /// Only these checks. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// Only these containers, names or globs. Empty: all, and what is not a container's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Where it is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
}
