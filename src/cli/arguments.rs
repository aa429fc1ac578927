//! What can be typed, and what the environment says in place of it.

use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::connect::StoreUrl;
use super::output::Format;
use super::{
    apply, apply_plan, audit, check, completion, controller, delete, demo, describe, doctor, events, explain, fix,
    freeze, get, hold, plan, probe, rollout, sim, store, test,
};
use crate::model::TargetId;

const AFTER: &str = "\
The AWS connection is the SDK's own: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL[_ECS|_DYNAMODB], roles.
Exit codes: 0 yes or done; 1 the answer is no (findings, drift, failed tests, a failed rollout); 2 could not answer.
Start with `plimsoll demo`, which needs no AWS.";

/// Keeps Amazon ECS fleets within policy, safely, continuously, with proof.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, propagate_version = true, after_help = AFTER, max_term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Where policies and records are kept: dynamodb://TABLE or file:PATH [env: PLIMSOLL_STORE] [default:
    /// dynamodb://plimsoll]
    // Not clap's `env`: what comes from there would stand in the usage of every mistake, as if it had to be given.
    #[arg(long, global = true, value_name = "URL", default_value = STORE.as_str(), hide_default_value = true)]
    pub(super) store: StoreUrl,
    /// How data looks: table|wide|json|yaml|name; for `check` also sarif|junit|github
    #[arg(short = 'o', long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table, hide_possible_values = true)]
    pub(super) output: Format,
    /// The account and region that is meant, where there are several
    #[arg(long, global = true, value_name = "ACCOUNT/REGION", value_parser = target)]
    pub(super) target: Option<TargetId>,
    /// How log lines on stderr look: auto|text|json
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogLines::Auto, hide_possible_values = true)]
    pub(super) log_format: LogLines,
    /// More log lines on stderr; more with -vv and -vvv
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// No colours, whatever it says
    #[arg(long, global = true, env = "NO_COLOR", hide = true, num_args = 0..=1, default_missing_value = "1")]
    pub(super) no_color: Option<std::ffi::OsString>,
}

/// Where it is unless somebody says so.
static STORE: LazyLock<String> = LazyLock::new(store_of_the_environment);

#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
fn store_of_the_environment() -> String {
    std::env::var("PLIMSOLL_STORE").unwrap_or_else(|_| "dynamodb://plimsoll".to_owned())
}

impl Global {
    /// no-color.org: any value but an empty one.
    pub(super) fn without_color(&self) -> bool {
        self.no_color.as_ref().is_some_and(|value| !value.is_empty())
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLines {
    /// For people on a terminal, else JSON for the controller.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn target(text: &str) -> Result<TargetId, String> {
    match text.split_once('/') {
        Some((account, region)) if is_account(account) && is_region(region) => {
            Ok(TargetId { account: account.to_owned(), region: region.to_owned() })
        }
        _ => Err("it is written ACCOUNT/REGION, such as 123456789012/eu-west-1".to_owned()),
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `eu-west-1`, `us-gov-west-1`: three words and more.
fn is_region(text: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.split('-').count() >= 3 && text.split('-').all(word)
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the whole loop on a simulated fleet; needs no AWS and no set-up
    Demo(demo::DemoArguments),
    /// Run the long-running controller
    Controller(controller::ControllerArguments),
    /// Create or update objects from files and folders
    Apply(apply::Arguments),
    /// Delete an object
    Delete(delete::Arguments),
    /// List objects, or what the controller has found and done
    Get(get::Arguments),
    /// Tell all about one thing
    Describe(describe::Arguments),
    /// Explain a kind or one of its fields
    Explain(explain::Arguments),
    /// Show what would change, and why the rest would not; writes nothing
    Plan(plan::Arguments),
    /// Ask for exactly the plan that a file holds; refused if anything it names has moved
    ApplyPlan(apply_plan::Arguments),
    /// Look at rollouts, approve, pause, undo them
    #[command(subcommand)]
    Rollout(rollout::Verb),
    /// Keep fixes off a service
    #[command(subcommand)]
    Hold(hold::Verb),
    /// Stop everything in a scope
    Freeze(freeze::Arguments),
    /// Lift a freeze
    Unfreeze(freeze::UnfreezeArguments),
    /// What happened, and who asked for it
    Events(events::Arguments),
    /// Check the event log
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Judge task definitions, services and clusters in files, offline
    Check(check::Arguments),
    /// Fix task definitions, services and clusters in files, offline
    Fix(fix::Arguments),
    /// Run the examples of policies
    Test(test::Arguments),
    /// Serve a simulated ECS
    Sim(sim::Arguments),
    /// Make the store
    #[command(subcommand)]
    Store(store::Verb),
    /// Check credentials, clock, permissions and the store, each with its remedy; changes nothing
    Doctor(doctor::Arguments),
    /// Ask a controller on this machine whether it is healthy; for container health checks
    Probe(probe::Arguments),
    /// Print a completion script for a shell
    Completion(completion::Arguments),
    /// Print the version
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_target_is_an_account_and_a_region() {
        assert_eq!(target("123456789012/eu-west-1").unwrap().to_string(), "123456789012/eu-west-1");
        assert!(target("123456789012/us-gov-west-1").is_ok());
        let wrong =
            ["eu-west-1", "/eu-west-1", "1/", "1/2/3", "1/eu-west-1", "123456789012/Ireland", "payments/eu-west-1"];
        for wrong in wrong {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
