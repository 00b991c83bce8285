//! `penstock check`

use std::fmt::Write as _;

use serde_json::json;

use super::seams::{self, Area, Finding, Section, Severity};
use super::{Answer, Cli, Format, Outcome, output, runtime, settings, settings_offline};
use crate::cost;

pub(super) fn run(cli: &Cli, offline: bool, strict: bool, with_cost: bool) -> Outcome {
    let settings = match offline {
        true => settings_offline(cli)?,
        false => settings(cli)?,
    };
    let runtime = runtime()?;
    let sections = runtime.block_on(seams::check(&settings, offline, strict))?;
    let json = cli.format == Format::Json;
    if !json {
        output::print(&render(&sections))?;
    }
    // What it costs can be told before there are tables, and not before contract and MySQL are right.
    let is_wrong = |s: &Section| s.area != Area::DynamoDb && is_wrong(s, false);
    let cost = match with_cost && !sections.iter().any(is_wrong) {
        true => Some(runtime.block_on(seams::cost(&settings))?),
        false => None,
    };
    match (json, with_cost, &cost) {
        (true, false, _) => output::print_json(&sections)?,
        (true, true, cost) => output::print_json(&json!({"sections": sections, "cost": cost}))?,
        (false, true, Some(cost)) => output::print(&cost::render(cost))?,
        (false, true, None) => output::print("cost      not told while something above is wrong")?,
        (false, false, _) => {}
    }
    Ok(answer(&sections, strict))
}

fn is_wrong(section: &Section, strict: bool) -> bool {
    section.findings.iter().any(|f| match f.severity {
        Severity::Error => true,
        Severity::Warning => strict,
        Severity::Note => false,
    })
}

/// A wrong contract is wrong input (2); what is wrong on either side is a failed check (1).
pub(super) fn answer(sections: &[Section], strict: bool) -> Answer {
    let mut answer = Answer::Done;
    for section in sections.iter().filter(|s| is_wrong(s, strict)) {
        match section.area {
            Area::Contract => return Answer::Wrong,
            Area::MySql | Area::DynamoDb => answer = Answer::Failed,
        }
    }
    answer
}

pub(super) fn render(sections: &[Section]) -> String {
    let mut out = String::new();
    let (mut errors, mut warnings) = (0, 0);
    for section in sections {
        let calm = |f: &Finding| f.severity == Severity::Note;
        let mark = if section.findings.iter().all(calm) {
            "ok"
        } else {
            ""
        };
        let line = format!("{:<10}{}  {mark}", section.area.title(), section.subject);
        out.push_str(line.trim_end());
        out.push('\n');
        for finding in &section.findings {
            match finding.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
                Severity::Note => {}
            }
            // Writing to a String cannot fail.
            let _ = render_finding(&mut out, finding);
        }
    }
    let looked_at_all = sections.iter().any(|s| s.area == Area::DynamoDb);
    let _ = match (errors, warnings) {
        (0, 0) if looked_at_all => writeln!(out, "everything is right"),
        (0, 0) => writeln!(out, "nothing wrong here; the servers were not asked"),
        _ => writeln!(out, "errors: {errors}, warnings: {warnings}"),
    };
    out
}

fn render_finding(out: &mut String, finding: &Finding) -> std::fmt::Result {
    match &finding.rendered {
        Some(rendered) if rendered.is_empty() => return Ok(()),
        Some(rendered) => return writeln!(out, "{}", rendered.trim_end()),
        None => {}
    }
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    writeln!(out, "  {severity}: {}", finding.message)?;
    if let Some(place) = &finding.place {
        writeln!(out, "    --> {place}")?;
    }
    for line in finding.help.iter().flat_map(|h| h.lines()) {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}
