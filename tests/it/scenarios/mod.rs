//! The whole loop in virtual time, over the simulated ECS and an in-memory store.

mod alarms;
mod catalogue;
mod families;
mod landing;
mod law;
mod races;
mod script;
mod settings;
mod statuses;
mod trouble;
mod warm;
pub(crate) mod world;
