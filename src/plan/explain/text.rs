//! The plan as text: one block for each DynamoDB table, then one for each MySQL table.

use std::fmt::Write as _;

use super::super::model::*;
use super::super::types::type_name;
use super::{describe, rows};
use crate::words::counted;

/// The whole plan as aligned text.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let count = |n: usize, what: &str| counted(n as u64, what);
    let _ = writeln!(
        out,
        "{}, {}, {}",
        count(plan.targets.len(), "DynamoDB table"),
        count(plan.projections.len(), "kind")
            + " of item"
            + if plan.projections.len() == 1 { "" } else { "s" },
        count(plan.sources.len(), "MySQL table")
    );
    let _ = writeln!(out, "fingerprint {}", plan.fingerprint);
    if plan.offline {
        let _ = writeln!(
            out,
            "compiled offline: no table was looked at, columns and types are taken from the contract"
        );
    }
    let nulls = if plan.settings.write_nulls {
        "written as NULL"
    } else {
        "left out"
    };
    let _ = writeln!(out, "attributes that are NULL are {nulls}");
    for target in &plan.targets {
        target_block(plan, target, &mut out);
    }
    for source in &plan.sources {
        source_block(plan, source, &mut out);
    }
    out
}

fn target_block(plan: &Plan, target: &TargetTable, out: &mut String) {
    let _ = writeln!(out, "\nDynamoDB table {}", target.name);
    let mut keys = vec![row([
        "partition key",
        &target.pk.name,
        type_name(target.pk.ty),
        "",
    ])];
    keys.extend(
        target
            .sk
            .as_ref()
            .map(|sk| row(["sort key", &sk.name, type_name(sk.ty), ""])),
    );
    for gsi in &target.gsis {
        let sk = gsi
            .sk
            .as_ref()
            .map(|sk| (format!(", {}", sk.name), format!(", {}", type_name(sk.ty))));
        let (sk_name, sk_type) = sk.unwrap_or_default();
        keys.push(vec![
            format!("index {}", gsi.name),
            format!("{}{sk_name}", gsi.pk.name),
            format!("{}{sk_type}", type_name(gsi.pk.ty)),
            describe::index_projection(&gsi.projection),
        ]);
    }
    table("  ", &keys, out);
    for projection in plan.projections.iter().filter(|p| p.target == target.id) {
        projection_block(plan, projection, out);
    }
}

fn projection_block(plan: &Plan, projection: &Projection, out: &mut String) {
    let driving = plan.source(projection.driving);
    let _ = writeln!(out, "\n  {} ← {}", projection.label, driving.name);
    if let Some(filter) = &projection.filter {
        let _ = writeln!(out, "    only rows where {}", filter.text);
    }
    let (verdict, why) = match &projection.uniqueness {
        Uniqueness::Proved(why) => ("the key is unique:", why),
        Uniqueness::Unproved(why) if plan.offline => ("whether the key is unique:", why),
        Uniqueness::Unproved(why) => ("the key is NOT proved unique:", why),
    };
    let _ = writeln!(out, "    {verdict} {why}");
    let rows: Vec<Vec<String>> = projection
        .attributes
        .iter()
        .map(|a| {
            let source = describe::value(plan, driving, &a.value);
            row([&a.name, type_name(a.ty), describe::role(a.role), &source])
        })
        .collect();
    table("      ", &rows, out);
    let joins: Vec<Vec<String>> = projection
        .attributes
        .iter()
        .flat_map(|a| {
            describe::joins(plan, &a.value)
                .into_iter()
                .map(move |j| (a, j))
        })
        .map(|(a, j)| row([&a.name, j.kind, &j.table, j.cardinality, &j.condition]))
        .collect();
    if !joins.is_empty() {
        let _ = writeln!(out, "    joins");
        table("      ", &joins, out);
    }
    rows_block(plan, projection, out);
    let cascades: Vec<Vec<String>> = describe::cascades(plan, projection)
        .iter()
        .map(|c| {
            let watched = if c.watched_only {
                "watched, not copied"
            } else {
                ""
            };
            row([&c.parent, "→", &c.child, &c.actions, &c.name, watched])
        })
        .collect();
    if !cascades.is_empty() {
        let _ = writeln!(out, "    cascades that the server does not log, derived");
        table("      ", &cascades, out);
    }
}

/// How the rows of an item are found from each other, and which of their columns touch it.
fn rows_block(plan: &Plan, projection: &Projection, out: &mut String) {
    let lines = rows::of(plan, projection);
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "    rows of an item");
    let number = |node: usize| format!("#{node}");
    let shown: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let parent = line.parent.map(number).unwrap_or_default();
            let mut equal: Vec<String> = line
                .equal
                .iter()
                .map(|(from, own)| format!("{own} = {parent} {from}"))
                .collect();
            equal.extend(line.others.iter().map(|other| format!("({other})")));
            let found = line
                .found_by
                .as_ref()
                .map(|way| format!("by {}", way.words()));
            let back = line
                .found_back_by
                .as_ref()
                .map(|way| format!("{parent} by {}", way.words()));
            vec![
                number(line.node),
                line.table.clone(),
                line.rows.to_string(),
                equal.join(" AND "),
                found.unwrap_or_default(),
                back.unwrap_or_default(),
                format!("touched by {}", line.reads.join(", ")),
            ]
        })
        .collect();
    table("      ", &shown, out);
}

fn source_block(plan: &Plan, source: &SourceTable, out: &mut String) {
    let _ = writeln!(out, "\nMySQL table {}", source.name);
    let names = |slots: &mut dyn Iterator<Item = usize>| {
        slots
            .map(|s| source.columns[s].column.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let key = match source.key.is_empty() {
        true => "unknown".to_string(),
        false => names(&mut source.key.iter().copied()),
    };
    let mut lines = vec![
        row(["key", &key]),
        row(["reads", &names(&mut (0..source.columns.len()))]),
    ];
    if let Some((columns, indexes)) = rows::kept(plan, source) {
        lines.push(row(["keeps", &columns.join(", ")]));
        for (nth, index) in indexes.iter().enumerate() {
            lines.push(row([if nth == 0 { "indexes" } else { "" }, index]));
        }
    }
    for (index, (id, drives, by)) in describe::touched(plan, source.id).into_iter().enumerate() {
        let label = &plan.projection(id).label;
        let how = match (drives, by.is_empty()) {
            (true, true) => format!("{label}, the row's own item"),
            (true, false) => format!(
                "{label}, the row's own item and those that join it for {}",
                by.join(", ")
            ),
            (false, _) => format!("{label}, the items that join it for {}", by.join(", ")),
        };
        lines.push(row([if index == 0 { "touches" } else { "" }, &how]));
    }
    table("  ", &lines, out);
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|c| (*c).to_string()).collect()
}

/// Rows with their columns under each other; columns that are empty everywhere are left out.
fn table(indent: &str, rows: &[Vec<String>], out: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], c: usize| row.get(c).map_or(0, |t| t.chars().count());
    let widths: Vec<usize> = (0..columns)
        .map(|c| rows.iter().map(|r| cell(r, c)).max().unwrap_or(0))
        .collect();
    for row in rows {
        let mut line = indent.to_string();
        for (text, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let _ = write!(line, "{text:width$}  ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
