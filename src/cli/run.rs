//! `penstock run`

use super::{Answer, Cli, Outcome, RunOptions, seams};
use crate::config;

use super::output::Failure;

pub(super) fn run(cli: &Cli, options: &RunOptions) -> Outcome {
    let loaded = config::load(&cli.config).map_err(Failure::Settings)?;
    // A service's warnings belong into its log.
    for warning in &loaded.warnings {
        tracing::warn!(
            key = warning.key,
            line = warning.line,
            help = warning.help,
            "{}",
            warning.message
        );
    }
    seams::run(loaded.settings, options)?;
    Ok(Answer::Done)
}
