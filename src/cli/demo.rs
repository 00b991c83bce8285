//! `penstock demo`

use super::{Answer, Cli, DemoOptions, Format, Outcome, output, seams};

pub(super) fn run(cli: &Cli, options: &DemoOptions) -> Outcome {
    let json = cli.format == Format::Json;
    let summary = seams::demo(options, json)?;
    if json {
        output::print_json(&summary)?;
    }
    Ok(match summary.equal {
        true => Answer::Done,
        false => Answer::No,
    })
}
