//! `completion SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::arguments::Cli;
use super::error::{Answer, Error};
use super::run::Session;

/// Which shell.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(session: &mut Session, arguments: &Arguments) -> Result<Answer, Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "plimsoll", &mut script);
    session.output.text(&String::from_utf8_lossy(&script))?;
    Ok(Answer::Yes)
}
