//! `penstock report`

use super::{Answer, Cli, Format, Outcome, output, tell_warnings};
use crate::{config, report};

pub(super) fn run(cli: &Cli) -> Outcome {
    let settings = tell_warnings(config::load_without_secrets(cli.config()))?;
    let report = report::gather(&settings)?;
    if cli.format == Format::Json {
        output::print_json(&report)?;
    } else {
        output::print(&report::markdown(&report))?;
    }
    Ok(Answer::Done)
}
