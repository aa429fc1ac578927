//! The language of policies: CEL, parsed, checked, and run on JSON as it stands.
//!
//! Knows nothing of policies or ECS but for three functions ([`isFargate`, `roleName`, `image`](CATALOGUE)).
//!
//! # Why not the `cel` crate's interpreter
//! It is the reference the tests compare with, not what runs. Measured with 0.15 in a debug build, its ANTLR parser
//! takes about 200 KiB of stack a nested bracket and aborts the process on a 2 MiB thread at the ninth to sixteenth;
//! it has no budget, converts and copies every document, and, as CEL says, `1 == "1"` is false rather than an error,
//! which in a policy is a pass on a document that makes no sense. So parsing and running are here: bounded by
//! construction, on borrowed JSON, with a budget that is counted and not estimated.
//!
//! # Where it differs from CEL, always to the safe side
//! - Comparing values of different types with `==`, `!=` or `in` is an error (so: `unknown`), but for numbers among
//!   themselves and for `null`.
//! - `has(x.y)` is false and `x.?y` is none where `y` is null: in ECS's JSON null means absent. `x.y` itself is null.
//! - No timestamps, durations, messages, bytes, and no more than [`MAX_SOURCE`] bytes.

mod access;
mod error;
mod functions;
mod lexer;
mod members;
mod node;
mod parser;
mod reads;
mod resolve;
mod run;
mod value;

#[cfg(test)]
mod tests;

pub use error::{EvalError, EvalErrorKind, ExpressionError};
pub use functions::{CATALOGUE, FunctionDoc};
pub use members::{Shape, Structures, UnknownMember};
pub use node::{Expression, Scope};
pub use parser::{MAX_COMPREHENSIONS, MAX_DEPTH, MAX_LIST, MAX_SOURCE};
pub use reads::ReadPath;
pub use run::{Budget, POLICY_STEPS, Roots};
pub use value::Val;
