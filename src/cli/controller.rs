//! `controller`: the arguments of the long-running controller, and the seam to it.

use std::net::SocketAddr;

use clap::Args;

use super::error::{Answer, Error};
use super::run::Session;
use crate::model::Span;

/// How the controller runs.
#[derive(Debug, Clone, Args)]
pub struct ControllerArguments {
    /// How often the whole fleet is looked at
    #[arg(long, value_name = "DURATION", default_value = "60s", conflicts_with = "schedule")]
    pub resync: Span,
    /// When the whole fleet is looked at instead, as a cron expression in UTC
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// How often changes in flight are looked at
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    pub poll: Span,
    /// How long a lease holds without renewal; at least 5s
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = lease)]
    pub lease: Span,
    /// The share of ECS's published rates to use, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub budget: u8,
    /// Serve health, metrics and pages here, read-only
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// A guarded member that fixes may edit; `*` for list elements
    #[arg(long, value_name = "POINTER")]
    pub allow_edit: Vec<String>,
    /// Pass after pass until two in a row find nothing to do, then exit: 0 all complies, 1 something does not
    #[arg(long)]
    pub until_settled: bool,
    /// With --until-settled: how long is waited for what is deferred
    #[arg(long, value_name = "DURATION", default_value = "10m", requires = "until_settled")]
    pub settle_timeout: Span,
}

/// A shorter one is lost to any pause of the machine, and a controller that keeps losing its lease does nothing.
const SHORTEST_LEASE: Span = Span::from_secs(5);

fn lease(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: crate::model::time::ParseSpanError| error.to_string())?;
    if span < SHORTEST_LEASE { Err(format!("a lease is at least {SHORTEST_LEASE}")) } else { Ok(span) }
}

pub(super) async fn run(session: &mut Session, arguments: ControllerArguments) -> Result<Answer, Error> {
    let _ = (session.store().await?, arguments);
    Err(Error::new("this build has no controller yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_not_too_short() {
        assert!(lease("5s").is_ok() && lease("4s").is_err() && lease("soon").is_err());
    }
}
