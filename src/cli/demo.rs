//! `plimsoll demo`: the whole loop on a simulated fleet, with nothing but this binary.
//!
//! It is the real controller, the real policies and the real rollout over the model of ECS in `sim`; only ECS and the
//! clock are not real. Every promise that is shown is checked at the end, on the simulated world.

mod killed;
mod people;
mod promises;
mod screen;
mod shown;
mod story;

use clap::Args;

use super::error::{Answer, Error};
use super::run::Session;

/// What `demo` takes.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// How many services the fleet has at least
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(60..=2000))]
    services: u16,
    /// What decides every length of time and every id: the same seed shows the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seconds of the fleet's time pass in one of yours; 0: as fast as it goes
    #[arg(long, default_value_t = 150.0, value_name = "X")]
    speed: f64,
    /// Serve pages and /metrics here while it runs, read-only: a port of this machine, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = super::listen::address)]
    listen: Option<std::net::SocketAddr>,
}

/// Shows the loop. Yes only if the fleet converged and every promise was kept.
pub(super) async fn run(session: &mut Session, arguments: DemoArguments) -> Result<Answer, Error> {
    let mut story = story::Story::begin(&arguments, session)?;
    if let Some(address) = arguments.listen {
        story.listen(address).await?;
    }
    let kept = story.tell().await?;
    Ok(Answer::of(kept))
}
