//! The plan as a Mermaid flowchart: MySQL tables, kinds of items, DynamoDB tables.

use std::fmt::Write as _;

use super::super::model::*;
use super::{describe, rows};

/// The whole plan as a Mermaid flowchart, left to right.
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    for source in &plan.sources {
        let _ = writeln!(
            out,
            "  s{}[(\"{}{}\")]",
            source.id.0,
            escaped(&source.name.to_string()),
            kept(plan, source)
        );
    }
    for projection in &plan.projections {
        let key = match projection.uniqueness {
            Uniqueness::Proved(_) => "",
            Uniqueness::Unproved(_) if plan.offline => "",
            Uniqueness::Unproved(_) => "<br/>key not proved unique",
        };
        let _ = writeln!(
            out,
            "  p{}[\"{}{key}\"]",
            projection.id.0,
            escaped(&projection.label)
        );
    }
    for target in &plan.targets {
        let _ = writeln!(out, "  t{}[[\"{}\"]]", target.id.0, escaped(&target.name));
    }
    for source in &plan.sources {
        for (id, drives, by) in describe::touched(plan, source.id) {
            if drives {
                let _ = writeln!(out, "  s{} ==> p{}", source.id.0, id.0);
            }
            if !by.is_empty() {
                let how = cardinalities(plan, plan.projection(id), source.id);
                let _ = writeln!(
                    out,
                    "  s{} -. \"{}{}\" .-> p{}",
                    source.id.0,
                    escaped(&by.join(", ")),
                    escaped(&how),
                    id.0
                );
            }
        }
    }
    for key in &plan.foreign_keys {
        let _ = writeln!(
            out,
            "  s{} -- \"cascades by {}\" --> s{}",
            key.parent.0,
            escaped(&key.name),
            key.child.0
        );
    }
    for projection in &plan.projections {
        let _ = writeln!(out, "  p{} --> t{}", projection.id.0, projection.target.0);
    }
    out
}

/// The columns and indexes that the state keeps of a table, in lines of their own.
fn kept(plan: &Plan, source: &SourceTable) -> String {
    let Some((columns, indexes)) = rows::kept(plan, source) else {
        return String::new();
    };
    let mut out = format!("<br/>keeps {}", escaped(&columns.join(", ")));
    for index in indexes {
        out += &format!("<br/>index on {}", escaped(index));
    }
    out
}

/// How many rows of the table an item joins, each way once: `: one row`.
fn cardinalities(plan: &Plan, projection: &Projection, source: SourceId) -> String {
    let mut found: Vec<&str> = rows::of(plan, projection)
        .iter()
        .filter(|line| line.source == source && line.parent.is_some())
        .map(|line| line.rows)
        .collect();
    found.sort_unstable();
    found.dedup();
    match found.is_empty() {
        true => String::new(),
        false => format!(": {}", found.join("; ")),
    }
}

/// Mermaid reads `"` as the end of a label and `#…;` as a character reference.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
