//! One campaign, from the first write to the proof, and back: states, and the pure functions that move them.
//!
//! Nothing here knows AWS, a store or a clock. `step` says what to record and what to do; the controller records it,
//! does it, and comes back with what it saw.

pub mod adoption;
pub mod alarm;
pub mod asked;
pub mod back;
pub mod bake;
pub mod campaign;
pub mod change;
pub mod command;
#[cfg(test)]
mod fixture;
mod going_back;
pub mod images;
pub mod landing;
pub mod late;
#[cfg(test)]
mod laws;
pub mod make;
pub mod membership;
pub mod new_tasks;
pub mod protection;
pub mod record;
pub mod setting;
pub mod state;
pub mod told;
pub mod turn;
pub mod waits;
pub mod window;

pub use record::{
    Change, ChangeSpec, Deregistration, HistoryEntry, Registration, RegistrationState, Rollout, RolloutSpec, Stray,
};
pub use state::{Back, Phase, Progress, RolloutState, State};
