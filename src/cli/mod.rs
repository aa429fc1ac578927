//! The command line: the edge where the environment, files, terminals and exit codes are known.
//!
//! One file per verb. [`arguments`] says what can be typed, [`run`] does it, [`error`] prints what went wrong, once;
//! [`output`] writes data to stdout and talk to stderr. Nothing in here decides anything about a fleet.

mod apply;
mod apply_plan;
mod arguments;
mod audit;
mod check;
mod clock;
mod command;
mod completion;
mod connect;
mod controller;
mod delete;
mod demo;
mod describe;
mod describe_service;
mod error;
mod events;
mod explain;
mod files;
mod fix;
mod freeze;
mod get;
mod health;
mod hold;
mod objects;
mod offline;
mod output;
mod plan;
mod policies;
mod report;
mod rollout;
mod run;
mod sentences;
mod signals;
mod sim;
mod status;
mod store;
mod targets;
mod test;
mod version;
mod views;
mod watch;

pub use clock::{ScaledClock, SystemClock};
pub use connect::{Aws, StoreUrl};
pub use controller::ControllerArguments;
pub use demo::DemoArguments;
pub use error::{Answer, Error};
pub use output::{Format, Output, talk};
pub use run::main;
pub use signals::shutdown;
