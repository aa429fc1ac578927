//! A fleet worth looking at.

use super::{World, WorldConfig};
use crate::model::Timestamp;

/// The demonstration fleet.
#[must_use]
pub fn demo_fleet(_services: usize, seed: u64) -> World {
    World::new(WorldConfig { seed, ..WorldConfig::default() }, Timestamp::EPOCH)
}
