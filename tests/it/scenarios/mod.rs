//! The whole loop in virtual time, over the simulated ECS and an in-memory store.

mod landing;
mod races;
mod settings;
pub(crate) mod world;
