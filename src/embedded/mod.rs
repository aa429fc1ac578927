//! The embedded store: one SQLite file instead of DynamoDB, for one machine.
//!
//! CLI and several controllers may open the one file together. Knows nothing of what the items mean, of AWS, or of
//! the time: items past their expiry go when somebody calls [`EmbeddedStore::purge`] with the time.

mod schema;
mod store;

pub use store::EmbeddedStore;
