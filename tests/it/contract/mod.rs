//! What every implementation of a port owes, as claims, run against each implementation.

mod embedded;
mod store;
