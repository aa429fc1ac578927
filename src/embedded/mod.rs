//! The embedded store: one SQLite file instead of DynamoDB, for one machine.
//!
//! CLI and several controllers may open the one file together. Knows nothing of what the items mean, of AWS, or of
//! the time: items past their expiry go when somebody asks for it and says the time (`Store::purge`); controllers do.

mod schema;
mod store;

pub use store::{EmbeddedStore, PURGED_AT_ONCE};
