//! The contract as SQL: what each kind of item is, in MySQL's words.

use std::fmt::Write as _;

use serde::Serialize;

use super::super::model::*;
use super::super::select::{SESSION, Select, SelectError, select};
use super::super::types::type_name;

/// The statements, one after the other, ready for MySQL's client.
pub fn sql(plan: &Plan) -> Result<String, SelectError> {
    let mut out = format!("{SESSION};\n");
    for projection in &plan.projections {
        let _ = writeln!(out, "\n{};", select(plan, projection)?.sql);
    }
    Ok(out)
}

/// The same for tools: each statement with what its columns are.
pub fn sql_json(plan: &Plan) -> Result<String, SelectError> {
    let selects: Vec<_> = plan
        .projections
        .iter()
        .map(|p| select(plan, p).map(|s| Shown::new(plan, p, s)))
        .collect::<Result<_, _>>()?;
    let whole = Whole {
        fingerprint: &plan.fingerprint,
        session: SESSION,
        selects,
    };
    Ok(serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n")
}

#[derive(Serialize)]
struct Whole<'p> {
    fingerprint: &'p str,
    /// To be run first, on the same connection.
    session: &'static str,
    selects: Vec<Shown<'p>>,
}

#[derive(Serialize)]
struct Shown<'p> {
    projection: String,
    table: &'p str,
    driving: String,
    sql: String,
    /// Aliases of the leading columns: the source key.
    key: Vec<String>,
    columns: Vec<ShownColumn>,
}

#[derive(Serialize)]
struct ShownColumn {
    attribute: String,
    r#type: &'static str,
    role: &'static str,
    alias: String,
    json: bool,
}

impl<'p> Shown<'p> {
    fn new(plan: &'p Plan, projection: &Projection, select: Select) -> Self {
        let columns = select.columns.into_iter().map(|column| ShownColumn {
            attribute: column.name,
            r#type: type_name(column.ty),
            role: match column.role {
                Role::PartitionKey => "partition-key",
                Role::SortKey => "sort-key",
                Role::IndexKey => "index-key",
                Role::Plain => "attribute",
            },
            alias: column.alias,
            json: column.json,
        });
        Self {
            projection: select.label,
            table: &plan.target(projection.target).name,
            driving: plan.source(projection.driving).name.to_string(),
            sql: select.sql,
            key: select.key,
            columns: columns.collect(),
        }
    }
}
