//! What can be looked at over HTTP: health, metrics and pages. Read-only: no request changes anything.
//!
//! [`server`] answers, [`snapshot`] reads the records, [`pages`] and [`metrics`] are pure functions of what was read and
//! counted. Does not know ECS, a command line, or which store it was given.

pub mod health;
pub mod metrics;
pub mod pages;
pub mod query;
pub mod server;
pub mod snapshot;
