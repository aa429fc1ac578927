//! Parse, set up, dispatch, exit code.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use super::arguments::{Cli, Global, LogLines, Verb};
use super::clock::SystemClock;
use super::connect::{self, Opened};
use super::error::{Answer, Error};
use super::output::{Format, Output};
use super::{
    apply, apply_plan, audit, check, completion, controller, delete, demo, describe, doctor, events, explain, fix,
    freeze, get, hold, plan, probe, rollout, sim, store, test, version,
};
use crate::model::Timestamp;
use crate::ports::Clock;
use crate::telemetry::{self, LogFormat};

/// Policies are compiled and run where deep expressions have room (DESIGN §4, "CEL has no budget of its own").
const STACK: usize = 16 << 20;

/// What a verb has at hand.
pub(super) struct Session {
    pub(super) global: Global,
    pub(super) output: Output,
    pub(super) clock: Arc<dyn Clock>,
}

impl Session {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Opens the store that was named.
    pub(super) async fn store(&self) -> Result<Opened, Error> {
        connect::open_store(&self.global.store).await
    }
}

/// The whole program: reads the command line, does it, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error),
    };
    let errors_as_json = matches!(cli.global.output, Format::Json);
    let color = !cli.global.without_color() && std::io::stderr().is_terminal();
    let errors_as_lines = !errors_as_json && errors_are_lines(&cli, color);
    match start(cli, color) {
        Ok(answer) => answer.exit_code(),
        Err(error) if errors_as_lines => {
            error.log();
            ExitCode::from(2)
        }
        Err(error) => {
            error.print(errors_as_json, color);
            ExitCode::from(2)
        }
    }
}

/// `--help` and `--version` are answers; anything else that clap says is bad usage.
fn not_parsed(error: &clap::Error) -> ExitCode {
    let as_lines = asks_for_json_lines(std::env::args_os());
    if error.use_stderr() && (as_lines || asks_for_json(std::env::args_os())) {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let message = lines.next().unwrap_or("bad usage").trim_start_matches("error: ").to_owned();
        let told = lines
            .filter(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .fold(Error::new(message).help("see `plimsoll --help`"), Error::caused_by);
        if as_lines && telemetry::install("error", LogFormat::Json).is_ok() {
            told.log();
        } else {
            told.print(true, false);
        }
    } else {
        // A closed pipe is the reader's business.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Whether `-o json` was asked for on a command line that could not be parsed.
fn asks_for_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    has_pair(&arguments, &["-o", "--output"], "json")
        || arguments.iter().any(|one| matches!(one.as_str(), "-ojson" | "-o=json" | "--output=json"))
}

/// Whether a controller was to be started whose log lines are JSON: whatever reads those reads this too.
fn asks_for_json_lines(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    arguments.iter().any(|one| one == "controller")
        && (has_pair(&arguments, &["--log-format"], "json") || arguments.iter().any(|one| one == "--log-format=json"))
}

fn has_pair(arguments: &[String], flags: &[&str], wanted: &str) -> bool {
    arguments.windows(2).any(|pair| matches!(pair, [flag, value] if flags.contains(&flag.as_str()) && value == wanted))
}

fn start(cli: Cli, color: bool) -> Result<Answer, Error> {
    log(&cli, color)?;
    let failed = |error: std::io::Error| Error::new("failed to start").caused_by(error.to_string());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // ECS's rates bound a controller, not a processor: with a second worker calls only wake each other's threads, which is a
    // fifth of what looking at a fleet takes (benches/README.md). A simulated endpoint has no such bound.
    if !matches!(cli.verb, Verb::Sim(_)) {
        builder.worker_threads(1);
    }
    let runtime = builder.enable_all().thread_stack_size(STACK).build().map_err(failed)?;
    // On a thread of the runtime, for its stack: the process's own may be as small as 1 MiB.
    let answer = runtime.block_on(async {
        let joined = tokio::spawn(dispatch(cli)).await;
        joined.unwrap_or_else(|error| Err(Error::new("plimsoll has a bug: it panicked").caused_by(error.to_string())))
    });
    // A read of stdin or a blocked thread must not keep the process.
    runtime.shutdown_background();
    answer
}

fn log(cli: &Cli, color: bool) -> Result<(), Error> {
    let filter = match (cli.global.verbose, long_running(&cli.verb)) {
        // It tells all of it itself, on a clock of its own.
        (0, _) if matches!(cli.verb, Verb::Demo(_)) => "off",
        // What matters to whoever typed the command is said by the command itself.
        (0, false) => "plimsoll=warn",
        (0, true) | (1, false) => "warn,plimsoll=info",
        (1, true) | (2, false) => "info,plimsoll=debug",
        _ => "debug,plimsoll=trace",
    };
    telemetry::install(filter, lines(cli, color)).map_err(|error| Error::new(error.to_string()))
}

const fn long_running(verb: &Verb) -> bool {
    matches!(verb, Verb::Controller(_) | Verb::Sim(_))
}

/// Whether what keeps a controller from starting is a line of its log: whatever reads those reads nothing else. One that
/// ends by itself is a command that is answered, unless somebody asks for such lines.
fn errors_are_lines(cli: &Cli, color: bool) -> bool {
    let asked = cli.global.log_format == LogLines::Json;
    match &cli.verb {
        Verb::Controller(arguments) => asked || !arguments.until_settled && lines(cli, color) == LogFormat::Json,
        _ => false,
    }
}

/// How log lines look.
fn lines(cli: &Cli, color: bool) -> LogFormat {
    match cli.global.log_format {
        LogLines::Auto if long_running(&cli.verb) => LogFormat::choose(false, std::io::stderr().is_terminal(), color),
        LogLines::Auto | LogLines::Text => LogFormat::Compact { color },
        LogLines::Json => LogFormat::Json,
    }
}

async fn dispatch(cli: Cli) -> Result<Answer, Error> {
    let output = Output::new(cli.global.output, cli.global.without_color());
    let mut session = Session { global: cli.global, output, clock: Arc::new(SystemClock) };
    let session = &mut session;
    match cli.verb {
        Verb::Demo(arguments) => demo::run(session, arguments).await,
        Verb::Controller(arguments) => controller::run(session, arguments).await,
        Verb::Apply(arguments) => apply::run(session, arguments).await,
        Verb::ApplyPlan(arguments) => apply_plan::run(session, arguments).await,
        Verb::Delete(arguments) => delete::run(session, arguments).await,
        Verb::Get(arguments) => get::run(session, arguments).await,
        Verb::Describe(arguments) => describe::run(session, arguments).await,
        Verb::Explain(arguments) => explain::run(session, &arguments),
        Verb::Plan(arguments) => plan::run(session, arguments).await,
        Verb::Rollout(verb) => rollout::run(session, verb).await,
        Verb::Hold(verb) => hold::run(session, verb).await,
        Verb::Freeze(arguments) => freeze::run(session, arguments).await,
        Verb::Unfreeze(arguments) => freeze::lift(session, arguments).await,
        Verb::Events(arguments) => events::run(session, arguments).await,
        Verb::Audit(verb) => audit::run(session, verb).await,
        Verb::Check(arguments) => check::run(session, &arguments),
        Verb::Fix(arguments) => fix::run(session, &arguments),
        Verb::Test(arguments) => test::run(session, &arguments),
        Verb::Sim(arguments) => sim::run(session, arguments).await,
        Verb::Store(verb) => store::run(session, &verb).await,
        Verb::Doctor(arguments) => doctor::run(session, arguments).await,
        Verb::Probe(arguments) => probe::run(session, &arguments).await,
        Verb::Completion(arguments) => completion::run(session, &arguments),
        Verb::Version => version::run(session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_on_a_command_line_that_is_wrong() {
        let asks = |text: &str| asks_for_json(text.split(' ').map(Into::into));
        assert!(asks("plimsoll get -o json --wrong") && asks("plimsoll -ojson") && asks("plimsoll --output=json x"));
        assert!(!asks("plimsoll get json -o table"));
        let lines = |text: &str| asks_for_json_lines(text.split(' ').map(Into::into));
        assert!(
            lines("plimsoll controller --log-format json --poll 0s") && lines("plimsoll --log-format=json controller")
        );
        assert!(!lines("plimsoll controller --poll 0s") && !lines("plimsoll get --log-format json"));
    }
}
