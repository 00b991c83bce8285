//! The summary for people.

use std::fmt::Write as _;

use super::{Migration, Stage, Stand};
use crate::cutover::{cell, utc};

/// As Markdown.
pub fn markdown(migration: &Migration) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, migration);
    out
}

fn write(out: &mut String, m: &Migration) -> std::fmt::Result {
    let state = match m.state {
        Stand::NothingYet => "nothing has been replicated yet",
        Stand::Copying => "not finished: the copy is not complete",
        Stand::Running => "not finished: no cutover stands",
        Stand::CutOver => "cut over: the application has moved",
    };
    writeln!(out, "# Migration: {state}\n\n| | |\n|---|---|")?;
    let mut row = |name: &str, value: &str| match value.is_empty() {
        true => Ok(()),
        false => writeln!(out, "| {name} | {} |", cell(value)),
    };
    row("source", &m.source)?;
    row("target", &m.target)?;
    row("position (gtid_executed)", &m.position)?;
    row("plan", &m.plan_fingerprint)?;
    row("state directory", &m.state_directory)?;
    row("penstock", &m.penstock)?;
    row("this was written", &utc(m.made_unix_ms))?;
    writeln!(
        out,
        "\n## Stages\n\n| stage | begun | took | |\n|---|---|---|---|"
    )?;
    for stage in &m.stages {
        let begun = stage.begun_unix_ms.map_or("not known".to_owned(), utc);
        writeln!(
            out,
            "| {} | {begun} | {} | {} |",
            stage.name,
            took(stage),
            cell(&stage.detail)
        )?;
    }
    counts(out, m)?;
    comparisons(out, m)?;
    if !m.gates.is_empty() {
        writeln!(
            out,
            "\n## Gates, with the sink sealed\n\n| gate | state | reason |\n|---|---|---|"
        )?;
    }
    for gate in &m.gates {
        let state = if gate.open { "open" } else { "shut" };
        writeln!(out, "| {} | {state} | {} |", gate.name, cell(&gate.reason))?;
    }
    writeln!(
        out,
        "\n## What was done\n\n| when | who | what | detail |\n|---|---|---|---|"
    )?;
    for e in &m.audit {
        let who = match e.who.as_str() {
            "" => "penstock",
            who => who,
        };
        let [who, action, detail] = [who, &e.action, &e.detail].map(cell);
        writeln!(
            out,
            "| {} | {who} | {action} | {detail} |",
            utc(e.at_unix_ms)
        )?;
    }
    writeln!(out, "\n## To clean up\n")?;
    for item in &m.cleanup {
        writeln!(out, "- [ ] **{}**: {}", item.what, item.how)?;
    }
    Ok(())
}

fn counts(out: &mut String, m: &Migration) -> std::fmt::Result {
    let c = &m.counts;
    writeln!(out, "\n## Counts\n\n| | |\n|---|---|")?;
    writeln!(out, "| rows copied | {} |", c.rows_copied)?;
    for (name, value) in [
        (
            "transactions from the last start to the cutover",
            c.transactions,
        ),
        ("items compared at the cutover", c.items_compared),
    ] {
        if let Some(value) = value {
            writeln!(out, "| {name} | {value} |")?;
        }
    }
    writeln!(out, "| dead letters | {} |", c.dead_letters)?;
    writeln!(out, "| copies made again | {} |", c.resnapshots)?;
    writeln!(out, "| pauses | {} |", c.pauses)?;
    writeln!(out, "| cutovers made | {} |", c.cutovers)?;
    writeln!(out, "\n| table | rows copied | |\n|---|---|---|")?;
    for table in &m.tables {
        writeln!(
            out,
            "| {} | {} | {} |",
            cell(&table.table),
            table.rows,
            table.state
        )?;
    }
    Ok(())
}

fn comparisons(out: &mut String, m: &Migration) -> std::fmt::Result {
    writeln!(out, "\n## Comparisons of both sides\n")?;
    if m.comparisons.is_empty() {
        writeln!(out, "No report of one is left.")?;
    } else {
        writeln!(
            out,
            "| begun | compared | items | took | found | report |\n|---|---|---|---|---|---|"
        )?;
    }
    for c in &m.comparisons {
        let mut found: Vec<String> = c
            .mismatches
            .iter()
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        for (count, word) in [(c.undecided, "undecided"), (c.repaired, "repaired")] {
            if count > 0 {
                found.push(format!("{count} {word}"));
            }
        }
        let found = if c.clean && found.is_empty() {
            "equal".to_owned()
        } else {
            found.join(", ")
        };
        let took = c
            .seconds
            .map_or("not ended".to_owned(), |s| format!("{s:.1} s"));
        writeln!(
            out,
            "| {} | {} | {} | {took} | {found} | {} |",
            utc(c.started_unix_ms),
            cell(&c.compared),
            c.items,
            cell(&c.file)
        )?;
    }
    if !m.cutovers.is_empty() {
        writeln!(out, "\nReports of cutovers: {}", m.cutovers.join(", "))?;
    }
    Ok(())
}

fn took(stage: &Stage) -> String {
    match stage.seconds {
        None => "not known".to_owned(),
        Some(s) if s < 100.0 => format!("{s:.1} s"),
        Some(s) if s < 6_000.0 => format!("{:.0} min", s / 60.0),
        Some(s) if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        Some(s) => format!("{:.1} days", s / 86_400.0),
    }
}
