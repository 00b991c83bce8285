//! `penstock explain`

use super::{Answer, Cli, Outcome, output, runtime, seams, settings, settings_offline};

pub(super) fn run(cli: &Cli, offline: bool, sql: bool) -> Outcome {
    let settings = match offline {
        true => settings_offline(cli)?,
        false => settings(cli)?,
    };
    let text = runtime()?.block_on(seams::explain(&settings, offline, sql, cli.format))?;
    output::print(&text)?;
    Ok(Answer::Done)
}
