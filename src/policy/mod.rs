//! What must hold, whether it does, and what would make it so.
//!
//! Knows neither AWS, nor files, nor a clock: documents, policies and `now` are arguments, equal inputs give equal
//! outputs, and nothing here prints.
//!
//! Read in this order: [`expression`] (the language), [`PolicySet`] (policies compiled once), [`evaluate`] (the
//! answers), [`apply_fixes`] (the edits), [`constraints`] (what ECS would refuse).

pub mod expression;
pub mod pointer;

pub mod builtin;
pub mod constraints;

mod bindings;
mod compile;
mod coverage;
mod draft;
mod evaluate;
mod examples;
mod fingerprint;
mod fix;
mod guard;
mod memo;
mod reads;
mod result;
mod scope;
mod set;
mod structures;
mod subject;
mod template;
mod vocabulary;
mod waiver;

#[cfg(test)]
mod memo_laws;
#[cfg(test)]
mod tests;

pub use bindings::NOT_KNOWN;
pub use coverage::{Coverage, Seen, coverage};
pub use draft::EditError;
pub use evaluate::evaluate;
pub use examples::{ExampleOutcome, Problem, run_example, run_examples};
pub use fingerprint::{depends_on, depends_on_around};
pub use fix::{FixError, Fixed, apply_fixes};
pub use guard::{AllowError, allows, guarded_members};
pub use memo::{Memo, Revision};
pub use result::{Answers, AppliedWaiver, FixId, PlannedEdit, PlannedFix, PolicyResult};
pub use scope::{GlobError, Match, ScopeMatcher};
pub use set::{PolicyError, PolicySet};
pub use subject::{ScopeKey, ScopeKeys, ScopeTags, Subject, Surroundings, TargetContext};
pub use vocabulary::{VariableDoc, vocabulary};
pub use waiver::{WaiverHere, WaiverUse, too_long, waiver_uses, waivers_here, waivers_perhaps_here};
