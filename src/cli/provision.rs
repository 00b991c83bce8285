//! `penstock provision`

use super::seams::{self, Step, TableStep};
use super::{Answer, Cli, Emit, Format, Outcome, output, runtime, settings, settings_offline};

pub(super) fn run(cli: &Cli, yes: bool) -> Outcome {
    let settings = settings(cli)?;
    let steps = runtime()?.block_on(seams::provision(&settings, yes))?;
    if cli.format == Format::Json {
        output::print_json(&steps)?;
    } else {
        output::print(&render(&steps))?;
    }
    let differs = steps.iter().any(|s| s.step == Step::Differs);
    Ok(if differs {
        Answer::Failed
    } else {
        Answer::Done
    })
}

/// Prints what others need: JSON as it is, statements as JSON where that is asked for.
pub(super) fn emit(cli: &Cli, what: Emit, offline: bool) -> Outcome {
    let settings = match offline {
        true => settings_offline(cli)?,
        false => settings(cli)?,
    };
    let text = runtime()?.block_on(seams::emit(
        &settings,
        what,
        offline,
        cli.format == Format::Json,
    ))?;
    output::print(&text)?;
    Ok(Answer::Done)
}

pub(super) fn render(steps: &[TableStep]) -> String {
    let width = steps.iter().map(|s| s.table.len()).max().unwrap_or(0);
    let mut out = String::new();
    for step in steps {
        let word = match step.step {
            Step::Present => "present",
            Step::WouldCreate => "missing",
            Step::Created => "created",
            Step::Differs => "DIFFERS",
        };
        let line = format!("{:width$}  {word}  {}", step.table, step.detail);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if steps.iter().any(|s| s.step == Step::WouldCreate) {
        out.push_str("nothing was made; `penstock provision --yes` makes what is missing\n");
    }
    if steps.iter().any(|s| s.step == Step::Differs) {
        out.push_str(
            "penstock never changes a table: move it away, or set [target] table_prefix\n",
        );
    }
    out
}
