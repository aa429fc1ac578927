//! The shell: reads the world, asks the pure modules, records, writes, comes back.
//!
//! Does not know which ECS, store or clock it was given. Every write to ECS goes through [`gate`] (lease, freeze) and is
//! recorded before and after ([`execute`]).
//!
//! Read [`reconcile`] first: one pass, top to bottom.

pub mod advance;
mod ahead;
mod alarms;
mod apply_plan;
mod begin;
mod beside;
pub mod books;
mod clear;
pub mod commands;
mod configured;
mod deregister;
mod entered;
mod entries;
pub mod execute;
pub mod gate;
mod holds;
mod late;
pub mod lease;
mod meanwhile;
pub mod observe;
mod planning;
pub mod reconcile;
mod recorded;
pub mod register;
pub mod report;
mod reverify;
pub mod run;
mod secrets;
mod services;
pub mod side_by_side;
pub mod standalone;
pub mod statuses;
mod stop;
pub mod targets;
mod telling;

mod asked;
mod error;

pub use error::ControllerError;
pub use reconcile::{Controller, Parts, PassReport, Settings};
pub use run::{Mode, PassEnd, RunEnd, Trigger};
