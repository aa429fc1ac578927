//! Where and how policies apply; which accounts are watched; what stands still.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Scope;
use crate::model::Timestamp;

/// Which policies, by name or by label. Both: either matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySelector {
    /// Names or globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Labels that must all be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Where and how policies apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BindingSpec {
    /// Names or globs of policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Labels of policies, all of which must be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// To what. Omitted: everything.
    #[serde(default)]
    pub scope: Scope,
    /// How far to go.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Values for the policies' params.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// The name of a RolloutStrategy. Omitted: the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// How far to go with a policy. Ordered: the strictest of several wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Not even evaluated.
    Off,
    /// Reported.
    Audit,
    /// Planned, then waiting for approval.
    #[default]
    Propose,
    /// Rolled out.
    Enforce,
}

impl Enforcement {
    /// Its name in manifests and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Propose => "propose",
            Self::Enforce => "enforce",
        }
    }
}

/// An account and region to watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetSpec {
    /// The account's number.
    pub account: String,
    /// The region's name.
    pub region: String,
    /// The role to assume. Omitted: the credentials in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The share of ECS's published rates to use, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u8>,
    /// What policies see as `target.labels`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The stop switch: while it matches, nothing in its scope is written, but for taking back what is in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreezeSpec {
    /// What stands still. Omitted: everything.
    #[serde(default)]
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// When it ends by itself. Omitted: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Whether also nothing is taken back.
    #[serde(default)]
    pub include_rollback: bool,
}
