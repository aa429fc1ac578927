//! Judging and fixing the files a team has, without AWS, a store or a controller.
//!
//! Read in this order: [`source`] (bytes into a value with the place of everything in it: [`text`] for JSON), [`shape`]
//! (which resources a file holds), for the words of other tools [`template`] with [`intrinsics`], [`terraform`],
//! [`tree`], [`dialect`] and [`members`], then [`resource`], [`judge`] (the verdicts), [`edit`] (fixes as edits of the
//! text), [`patch`] (fixes to make by hand), and the reports: [`sarif`], [`cases`] (JUnit), [`github`].

pub(super) mod cases;
mod dialect;
pub(super) mod edit;
pub(super) mod github;
mod intrinsics;
pub(super) mod judge;
mod members;
pub(super) mod patch;
mod resource;
pub(super) mod sarif;
pub(super) mod shape;
mod source;
mod template;
mod terraform;
#[cfg(test)]
mod tests;
pub(super) mod text;
mod tree;

pub(super) use judge::{Assumed, Judged};
pub(super) use resource::{InputFile, Origin, Resource};
