//! `penstock run`

use std::fmt::Write as _;

use super::output::{self, Failure};
use super::seams::{self, Summary};
use super::{Answer, Cli, Format, Outcome, RunOptions};
use crate::config;
use crate::words::counted;

pub(super) fn run(cli: &Cli, options: &RunOptions) -> Outcome {
    let loaded = config::load(cli.config()).map_err(Failure::Settings)?;
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
    let summary = seams::run(loaded.settings, options)?;
    match (options.until_caught_up, cli.format) {
        (_, Format::Json) => output::print_json(&summary)?,
        (true, _) => output::print(&render(&summary))?,
        // A service says it in its log.
        (false, _) => tracing::info!(
            seconds = summary.seconds,
            rows_copied = summary.rows_copied,
            transactions = summary.transactions,
            dead_letters = summary.dead_letters,
            items_left = summary.items_left,
            "ended; the next run goes on from here, and writes again what was not written in time"
        ),
    }
    Ok(Answer::Done)
}

/// The summary for people.
pub(super) fn render(summary: &Summary) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = lines(&mut out, summary);
    out
}

fn lines(out: &mut String, summary: &Summary) -> std::fmt::Result {
    writeln!(out, "caught up after {:.1} s", summary.seconds)?;
    let (copied, tables) = (summary.rows_copied, summary.tables);
    let tables = counted(tables as u64, "table");
    writeln!(out, "rows copied   {copied} (of {tables})")?;
    writeln!(out, "transactions  {}", summary.transactions)?;
    writeln!(out, "dead letters  {}", summary.dead_letters)?;
    if summary.dead_letters > 0 {
        writeln!(
            out,
            "Rows without a valid item are not in DynamoDB: `penstock dead-letters list` names them."
        )?;
    }
    if summary.resnapshot {
        writeln!(
            out,
            "Started over: items of rows that were deleted since an earlier run may remain in DynamoDB."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_may_be_wrong_and_nothing_else() {
        let mut summary = Summary {
            caught_up: true,
            seconds: 2.04,
            rows_copied: 7,
            tables: 1,
            transactions: 3,
            ..Summary::default()
        };
        let plain = "caught up after 2.0 s\n\
                     rows copied   7 (of 1 table)\n\
                     transactions  3\n\
                     dead letters  0\n";
        assert_eq!(render(&summary), plain);
        summary.dead_letters = 2;
        summary.resnapshot = true;
        let text = render(&summary);
        assert!(text.contains("dead-letters list"), "{text}");
        assert!(text.contains("may remain"), "{text}");
    }
}
