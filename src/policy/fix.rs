//! Applying fixes.

use serde_json::Value;

use super::result::FixId;
use crate::model::DiffEntry;

/// A document after its fixes.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The new document: the old nodes in their old order but for the named ones.
    pub document: Value,
    /// What changed, as a JSON Patch in order.
    pub diff: Vec<DiffEntry>,
    /// The fixes in it.
    pub fixes: Vec<FixId>,
}
