//! `sim`: the simulated ECS endpoint by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::Args;

use super::clock::ScaledClock;
use super::error::{Answer, Error};
use super::output::talk;
use super::run::Session;
use super::{files, listen, signals};
use crate::sim::fleet::{self, Scenario};
use crate::sim::sts::{Accounts, Role};
use crate::sim::{World, WorldConfig, http};

/// What to simulate.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen: a port of this machine, such as 4567, or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = listen::address)]
    listen: SocketAddr,
    /// A fleet as JSON; without it, a generated one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["services", "seed", "document_bytes"])]
    fleet: Option<PathBuf>,
    /// How many services the generated fleet has
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(60..=100_000))]
    services: u32,
    /// How long its task definitions are at least, as JSON
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=60_000))]
    document_bytes: u32,
    /// Makes the generated fleet repeatable
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many times faster than real time
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    speed: f64,
    /// Another account, with a fleet like this one, that is reached by taking on this role, by its external id where one is
    /// given; again for more. Every other role is denied
    #[arg(long, value_name = "ROLE_ARN[=EXTERNAL_ID]")]
    role: Vec<Role>,
    /// Throttle as ECS does
    #[arg(long)]
    throttle: bool,
}

pub(super) async fn run(session: &mut Session, arguments: Arguments) -> Result<Answer, Error> {
    let clock = ScaledClock::starting_now(arguments.speed).ok_or_else(|| {
        Error::new(format!("a speed of {} is not possible", arguments.speed)).help("use a positive number")
    })?;
    let scenario = match &arguments.fleet {
        Some(path) => from_file(path)?,
        None => fleet::of_size(arguments.services as usize, arguments.seed, arguments.document_bytes as usize),
    };
    // Whoever calls has the machine's clock: a fleet whose deployments are from another year would puzzle it.
    let scenario = Scenario { start: clock.start(), ..scenario };
    let region = scenario.config.region.clone();
    let mut others = Vec::new();
    for role in &arguments.role {
        let config =
            WorldConfig { account: role.account().to_owned(), caller: role.bearer(), ..scenario.config.clone() };
        others.push((role.clone(), built(&Scenario { config, ..scenario.clone() }, arguments.throttle)?));
    }
    let own = built(&scenario, arguments.throttle)?;
    // A large fleet takes as much memory twice.
    drop(scenario);
    let accounts = Accounts::from(Arc::new(Mutex::new(own)));
    let accounts = others.into_iter().fold(accounts, |accounts, (role, world)| accounts.with(role, world));
    let failed = |error: std::io::Error| {
        Error::new(format!("failed to listen on `{}`", arguments.listen))
            .caused_by(error.to_string())
            .help("choose another --listen address")
    };
    let listener = tokio::net::TcpListener::bind(arguments.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    // Before anybody is told where it is: who reads that may tell it to stop at once.
    let stop = signals::shutdown()?;
    session.output.text(&format!("http://{address}"))?;
    talk(&format!(
        "a simulated ECS and STS, and CloudWatch's alarms; use it with AWS_ENDPOINT_URL_ECS=http://{address} \
         AWS_ENDPOINT_URL_STS=http://{address} AWS_ENDPOINT_URL_CLOUDWATCH=http://{address} \
         AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API=http://{address} AWS_REGION={region} AWS_ACCESS_KEY_ID=sim \
         AWS_SECRET_ACCESS_KEY=sim"
    ));
    http::serve(listener, accounts, Arc::new(clock), async move { stop.cancelled().await }).await.map_err(failed)?;
    Ok(Answer::Yes)
}

/// The world of an account.
fn built(scenario: &Scenario, throttle: bool) -> Result<World, Error> {
    let mut world = scenario.build().map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        Error::new(error.to_string()).caused_by(source).help("correct the fleet file")
    })?;
    // The world's own configuration says 0: it was built without.
    world.set_throttling(match (throttle, scenario.config.throttle_percent) {
        (false, _) => 0,
        // Asked for, and the fleet says nothing else: ECS's own rates.
        (true, 0) => 100,
        (true, percent) => percent,
    });
    Ok(world)
}

fn from_file(path: &std::path::Path) -> Result<Scenario, Error> {
    let (name, bytes) = files::read_one(path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(format!("`{name}` is no fleet")).caused_by(error.to_string()).help("a fleet is a scenario as JSON")
    })
}
