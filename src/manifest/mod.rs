//! What people write, into the words of `model`: YAML or JSON text in, objects with the place of everything in them
//! out, or all that is wrong, each with file, line, column and what to do about it.
//!
//! This module does not read files, does not know the store, and does not know what a policy's expressions mean:
//! `policy` finds what is wrong with those, and [`locate()`] says on which line.

mod cases;
mod compose;
mod diagnostic;
mod emit;
mod explain;
mod locate;
mod node;
mod read;
mod rules;
mod scalar;
mod schema;
mod shape;
mod source;
mod written;

pub use cases::{SourcedCase, case_schema, parse_cases};
pub use diagnostic::Diagnostic;
pub use emit::to_yaml;
pub use explain::{explain, explain_case};
pub use locate::locate;
pub use read::{Reading, Sourced, parse, parse_files, read_files};
pub use schema::schema;
pub use shape::did_you_mean;
pub use written::{Written, read_yaml};
