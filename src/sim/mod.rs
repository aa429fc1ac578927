//! An honest model of Amazon ECS in virtual time, and what makes it reachable.
//!
//! [`World`] is the model: pure and deterministic, with neither tokio nor a clock inside. [`SimEcs`] puts it behind
//! [`crate::ports::Ecs`] in process, and [`SimAlarms`] behind [`crate::ports::Alarms`]; [`http`] behind an endpoint that any AWS SDK or CLI can talk to. [`fleet`] has a
//! world worth looking at. [`VirtualClock`] passes hours in no time.
//!
//! What it models is what `ecs-facts` states, fact by fact, each with its source in the code. What it does not model:
//! CPU and memory on container instances, load balancers (but for their health checks and draining), CodeDeploy's own
//! deployments, more than one task set a service, scaling of instances, traffic (blue/green, linear and canary deployments wait, but nothing shifts), Lambda hooks,
//! service discovery, IAM, EventBridge. It knows nothing of policies, and nothing of what calls it.

mod alarm;
mod calls;
mod capacity;
mod cbor;
mod clock;
mod cluster;
mod config;
mod deployment;
mod ecs;
mod error;
pub mod fleet;
pub mod http;
mod images;
mod input;
mod members;
mod misbehaviour;
mod names;
mod random;
mod service;
mod state;
pub mod sts;
mod tags;
mod task;
mod task_definition;
mod throttle;
mod world;

pub use alarm::SimAlarms;
pub use clock::{Hold, TokioClock, VirtualClock};
pub use config::{Pace, Range, WorldConfig};
pub use ecs::{Call, Fault, SimEcs};
pub use error::SimError;
pub use misbehaviour::{Condition, Effect, Misbehaviour};
pub use world::World;

#[cfg(test)]
mod tests;
