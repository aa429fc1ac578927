//! The whole loop in virtual time, over the simulated ECS and an in-memory store.

mod families;
mod landing;
mod plans;
mod races;
mod settings;
mod statuses;
mod trouble;
pub(crate) mod world;
