//! `penstock explain`

use super::{Answer, Cli, Outcome, output, runtime, seams, settings};

pub(super) fn run(cli: &Cli, offline: bool) -> Outcome {
    let settings = settings(cli)?;
    let text = runtime()?.block_on(seams::explain(&settings, offline, cli.format))?;
    output::print(&text)?;
    Ok(Answer::Done)
}
