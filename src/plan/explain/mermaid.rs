//! The plan as a Mermaid flowchart: MySQL tables, kinds of items, DynamoDB tables.

use std::fmt::Write as _;

use super::super::model::*;
use super::describe;

/// The whole plan as a Mermaid flowchart, left to right.
pub fn mermaid(plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    for source in &plan.sources {
        let _ = writeln!(
            out,
            "  s{}[(\"{}\")]",
            source.id.0,
            escaped(&source.name.to_string())
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
                let _ = writeln!(
                    out,
                    "  s{} -. \"{}\" .-> p{}",
                    source.id.0,
                    escaped(&by.join(", ")),
                    id.0
                );
            }
        }
    }
    for projection in &plan.projections {
        let _ = writeln!(out, "  p{} --> t{}", projection.id.0, projection.target.0);
    }
    out
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
