//! Keeps Amazon ECS fleets within policy, safely, continuously, with proof.
//!
//! Pure modules decide (`model`, `manifest`, `policy`, `plan`, `rollout`, `ports`); the shell does (`controller`);
//! adapters (`aws`, `embedded`, `sim`) implement the ports and do not know one another; `cli` is the edge.
//! `ARCHITECTURE.md` has the map and the rules; `tests/it/architecture.rs` holds the code to them.

pub mod aws;
pub mod cli;
pub mod controller;
pub mod embedded;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod policy;
pub mod ports;
pub mod records;
pub mod rollout;
pub mod sim;
pub mod telemetry;
pub mod web;
