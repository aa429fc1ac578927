//! Judging and fixing task definition files without AWS, a store or a controller.
//!
//! Read in this order: [`text`] (JSON with the place of everything in it), [`shape`] (which task definitions a file
//! holds), [`judge`] (the verdicts), [`edit`] (fixes as edits of the text), and the reports: [`sarif`], [`cases`] (JUnit), [`github`].

pub(super) mod cases;
pub(super) mod edit;
pub(super) mod github;
pub(super) mod judge;
pub(super) mod sarif;
pub(super) mod shape;
pub(super) mod text;

pub(super) use judge::{Assumed, Judged};
pub(super) use shape::TaskDefinitionFile;
