//! The command line: what can be asked of penstock, and how it answers.
//!
//! Results go to stdout, everything else to stderr. Exit status: 0 done; 1 failed; 2 wrong usage, settings or contract;
//! 3 the answer is no.

mod afresh;
mod args;
mod attached;
mod bars;
mod check;
mod control;
mod cutover;
mod dead_letters;
mod demo;
mod drain;
mod explain;
mod frame;
mod generate;
mod logging;
mod output;
mod progress;
mod provision;
mod report;
mod run;
pub mod seams;
mod service;
mod serving;
mod status;
#[cfg(test)]
mod tests;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Parser;

pub use args::{
    Cli, Command, CutoverOptions, DeadLetters, DemoOptions, Emit, Format, RunOptions, VerifyOptions,
};
pub use output::{Answer, Failure, Outcome};

use crate::config::{self, Settings};
use crate::error::{Error, Kind, Result};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // clap answers wrong usage itself, with status 2.
    let cli = Cli::parse();
    logging::init(match cli.command {
        Command::Run(_) => logging::Voice::Daemon,
        Command::Demo(_) => logging::Voice::Terminal,
        _ => logging::Voice::Command,
    });
    output::exit(cli.format, dispatch(&cli))
}

/// Runs one command.
fn dispatch(cli: &Cli) -> Outcome {
    let mermaid_for = matches!(cli.command, Command::Explain { .. });
    if cli.format == Format::Mermaid && !mermaid_for {
        return Err(Error::new(Kind::Usage, "--format mermaid is for `explain` only").into());
    }
    match &cli.command {
        Command::Check {
            offline,
            strict,
            cost,
        } => check::run(cli, *offline, *strict, *cost),
        Command::Explain { offline, sql } => explain::run(cli, *offline, *sql),
        Command::Provision { yes, emit, offline } => match emit {
            Some(what) => provision::emit(cli, *what, *offline),
            None => provision::run(cli, *yes),
        },
        Command::Run(options) => run::run(cli, options),
        Command::Status { watch: false } => status::run(cli),
        Command::Status { watch: true } => watch::run(cli),
        Command::DeadLetters(DeadLetters::List { limit, from }) => {
            dead_letters::list(cli, *limit, from.as_deref())
        }
        Command::Verify(options) => verify::run(cli, options),
        Command::DeadLetters(DeadLetters::Retry {
            projection,
            source_key,
        }) => dead_letters::retry(cli, projection.as_deref(), source_key.as_deref()),
        Command::DeadLetters(DeadLetters::Export) => dead_letters::export(cli),
        Command::Resnapshot {
            table: Some(table), ..
        } => control::resnapshot(cli, table),
        Command::Resnapshot { table: None, .. } => afresh::run(cli),
        Command::Pause => control::pause(cli),
        Command::Resume => control::resume(cli),
        Command::Cutover(options) => cutover::cutover(cli, options),
        Command::Rehearse => cutover::rehearse(cli),
        Command::Report => report::run(cli),
        Command::Demo(options) => demo::run(cli, options),
        Command::Generate { directory } => generate::run(cli, directory),
    }
}

/// The settings of this command line; their warnings go to stderr.
fn settings(cli: &Cli) -> Result<Settings, Failure> {
    tell_warnings(config::load(cli.config()))
}

/// The same where no server is asked: secrets need not be there.
fn settings_offline(cli: &Cli) -> Result<Settings, Failure> {
    tell_warnings(config::load_without_secrets(cli.config()))
}

fn tell_warnings(
    loaded: Result<config::Loaded, Vec<config::Problem>>,
) -> Result<Settings, Failure> {
    let loaded = loaded.map_err(Failure::Settings)?;
    if !loaded.warnings.is_empty() {
        eprint!("{}", config::render(&loaded.warnings));
    }
    Ok(loaded.settings)
}

/// The state directory of this command line, for commands that speak to the daemon or read its store only.
fn state_directory(cli: &Cli) -> Result<std::path::PathBuf, Failure> {
    let loaded = config::load_without_secrets(cli.config()).map_err(Failure::Settings)?;
    Ok(loaded.settings.state)
}

/// The runtime that a command waits on.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, "cannot start the runtime").with_source(e))
}
