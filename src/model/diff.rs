//! What a fix changes, node by node. Knows nothing of how the change was decided or is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which document a difference is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are ECS's")]
pub enum DocumentKind {
    TaskDefinition,
    Service,
    Cluster,
}

impl DocumentKind {
    /// Its name in reports and expressions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskDefinition => "taskDefinition",
            Self::Service => "service",
            Self::Cluster => "cluster",
        }
    }
}

/// What happens to a node, in JSON Patch's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are RFC 6902's")]
pub enum DiffOp {
    Add,
    Remove,
    Replace,
}

/// One changed node.
///
/// A list of them is in the order in which they were made: applied one after another as the operations of a JSON
/// Patch they turn the old document into the new one.
///
/// `from` and `to` carry values of the document, secrets included. Whatever prints them masks them first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffEntry {
    /// Which document.
    pub document: DocumentKind,
    /// What happens to the node.
    pub op: DiffOp,
    /// JSON Pointer to the node.
    pub path: String,
    /// What was there; absent for `add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What is there then; absent for `remove`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// The policy that asks for it; empty where two documents were merely compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
}
