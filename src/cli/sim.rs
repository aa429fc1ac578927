//! `sim`: the simulated ECS endpoint by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::error::{Answer, Error};
use super::run::Session;

/// What to simulate.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen, such as 127.0.0.1:4567
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// A fleet as JSON; without it, a generated one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["services", "seed"])]
    fleet: Option<PathBuf>,
    /// How many services the generated fleet has
    #[arg(long, value_name = "N", default_value_t = 60)]
    services: u32,
    /// Makes the generated fleet repeatable
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many times faster than real time
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    speed: f64,
    /// Throttle as ECS does
    #[arg(long)]
    throttle: bool,
}

pub(super) async fn run(_: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    let _ = arguments;
    Err(Error::new("this build cannot serve the simulated endpoint yet"))
}
