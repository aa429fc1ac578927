//! One difference between two documents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What becomes of one node of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffEntry {
    /// Which document.
    pub document: DocumentKind,
    /// What happens to the node.
    pub op: DiffOp,
    /// JSON Pointer to it: into the old document where it is removed or replaced, into the new one where it is added.
    pub path: String,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
    /// The policy that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Which document an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DocumentKind {
    /// The task definition, as it would be registered.
    TaskDefinition,
    /// The service, as DescribeServices shows it.
    Service,
    /// The cluster, as DescribeClusters shows it.
    Cluster,
}

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words are JSON Patch's")]
pub enum DiffOp {
    Add,
    Remove,
    Replace,
}
