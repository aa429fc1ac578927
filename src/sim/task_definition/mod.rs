//! Task definitions: families of numbered revisions, kept as raw documents. Does not know which services use them,
//! but for the one question whether any does.

mod computed;
mod constraints;
mod family;
mod normalise;
mod operations;

pub(super) use family::{Family, Revision};
