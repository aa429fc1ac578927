//! What every implementation of a port owes, as claims, run against each implementation.

mod alarms;
mod applied;
mod connection;
mod days;
mod dynamo;
mod dynamo_faults;
mod ecs;
mod embedded;
mod memory;
mod prepared;
mod store;

pub(crate) use dynamo::by_somebody_else;
