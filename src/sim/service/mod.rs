//! Services: what was asked of them, and the scheduler that makes it so.

mod arithmetic;
mod breaker;
mod create;
mod operations;
mod rolling;
mod settle;
mod stages;
mod state;
mod task_set;
mod template;
mod update;
mod view;

pub(super) use state::{Service, Status};
