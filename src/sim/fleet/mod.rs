//! Worlds worth looking at: a scenario as data, from a file or built in.
//!
//! Nothing here knows the model's inside: a fleet is made with the calls anybody can make.

mod demo;
mod documents;
mod filling;
mod scenario;
pub mod special;

pub use demo::{START, demo, demo_fleet, of_size};
pub use scenario::{Later, Scenario, ScenarioError, Stamp, Step};
