//! `demo`: the arguments of the demonstration, and the seam to it.

use clap::Args;

use super::error::{Answer, Error};
use super::run::Session;

/// What to show.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// How many services the fleet has
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=5000))]
    pub services: u32,
    /// Makes a run repeatable
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many times faster than real time
    #[arg(long, value_name = "X", default_value_t = 60.0)]
    pub speed: f64,
}

pub(super) async fn run(session: &mut Session, arguments: DemoArguments) -> Result<Answer, Error> {
    let _ = (session.now(), arguments);
    Err(Error::new("this build has no demonstration yet"))
}
