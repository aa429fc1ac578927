//! Tasks: from PROVISIONING to STOPPED. Do not know why they were started.

mod operations;
mod placement;
mod protection;
mod state;
mod steps;
mod view;

pub(super) use placement::Instance;
pub(super) use state::{Image, LastStatus, Launch, Milestone, Stop, Task, Template, Watch};
pub(super) use steps::Order;
