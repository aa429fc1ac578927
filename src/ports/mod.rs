//! What the controller needs of the world, as traits in its own terms. Every implementation owes what the
//! trait's documentation says; the contract suite (`tests/it/contract`) checks it.
//!
//! This module does not know which implementation it talks to: AWS, the embedded store or the simulator.

pub mod alarms;
pub mod clock;
pub mod ecs;
pub mod store;

pub use alarms::{Alarms, AlarmsError};
pub use clock::{Clock, ServedClock};
pub use ecs::{Ecs, EcsError, Operation};
pub use store::{Store, StoreError};
