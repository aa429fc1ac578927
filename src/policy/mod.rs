//! What must hold, whether it does, and what would make it so.
//!
//! Knows neither AWS, nor files, nor a clock: documents, policies and `now` are arguments, equal inputs give equal
//! outputs, and nothing here prints.
//!
//! Read in this order: [`expression`] (the language), [`PolicySet`] (policies compiled once), [`evaluate`] (the
//! answers), [`apply_fixes`] (the edits), [`constraints`] (what ECS would refuse).

pub mod expression;
mod fix;
mod result;
mod subject;

pub use fix::Fixed;
pub use result::{AppliedWaiver, FixId, PlannedEdit, PlannedFix, PolicyResult};
pub use subject::{ScopeKey, ScopeKeys, ScopeTags, Subject, TargetContext};
