//! The whole loop in virtual time, over the simulated ECS and an in-memory store.

mod alarms;
mod catalogue;
mod explained;
mod families;
mod images;
mod landing;
mod law;
mod ownership;
mod plans;
mod races;
mod records;
mod restart;
mod script;
mod settings;
mod side_by_side;
mod standalone;
mod statuses;
mod takeover;
mod trouble;
mod warm;
mod watching;
pub(crate) mod world;
