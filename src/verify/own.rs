//! What our own evaluation says about a row: asked only where both sides differ, so that a difference between it and MySQL
//! is told apart from an item that was not written.

use std::sync::Arc;

use mysql_async::prelude::Queryable as _;

use super::canonical::{Writer, different_attributes};
use super::json::Reader;
use super::judge::Difference;
use super::session::Session;
use crate::change::{Change, Row, Value};
use crate::error::Result;
use crate::pipeline::Action;
use crate::plan::{Plan, Projection};
use crate::source::decode::text;
use crate::source::row_key;
use crate::view::{Outcome, Projector};

/// Attributes of which our evaluation says something else than MySQL; `None` where it was not asked: for items of several
/// rows, rows that are gone, and items that no row has.
pub async fn disagrees(
    plan: &Arc<Plan>,
    session: &mut Session,
    difference: &Difference,
) -> Option<Vec<String>> {
    let (id, source_key) = (difference.projection?, difference.source_key.as_deref()?);
    let projection = plan.projection(id);
    if projection.graph.is_some() {
        return None;
    }
    let ours = ours(plan, session, projection, source_key).await.ok()??;
    let none: &[u8] = &[];
    let theirs = difference.expected.as_deref().unwrap_or(none);
    Some(different_attributes(
        theirs,
        ours.as_deref().unwrap_or(none),
    ))
}

/// The item of the row by our evaluation; the inner `None` is a row without a valid item.
async fn ours(
    plan: &Arc<Plan>,
    session: &mut Session,
    projection: &Projection,
    source_key: &str,
) -> Result<Option<Option<Vec<u8>>>> {
    let table = plan.source(projection.driving);
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|c| text::select_expression(&c.column))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {}",
        columns.join(", "),
        table.name.sql(),
        row_key::condition(table, source_key)?,
    );
    let found: Option<mysql_async::Row> = match session.questions().query_first(sql).await {
        Ok(found) => found,
        Err(_) => return Ok(None),
    };
    let Some(found) = found else { return Ok(None) };
    let cells = found.unwrap_raw();
    let mut values = Vec::with_capacity(cells.len());
    for (cell, column) in cells.iter().zip(&table.columns) {
        values.push(match cell {
            Some(mysql_async::Value::Bytes(bytes)) => match text::value(&column.column, bytes) {
                Ok(value) => value,
                Err(_) => return Ok(None),
            },
            _ => Value::Null,
        });
    }
    let change = Change::Insert {
        after: Row { values },
    };
    let mut outcomes = Vec::new();
    let mut projector = Projector::new(Arc::clone(plan))?;
    projector.project(projection.driving, &change, false, &mut outcomes)?;
    for outcome in outcomes {
        match outcome {
            Outcome::Write(mutation) if mutation.origin.projection == projection.id => {
                if let Action::Put { item, .. } = &mutation.action {
                    let mut writer = Writer::default();
                    let read = Reader::new(item).attributes(0, &mut writer, |_, _| {});
                    return Ok(read.is_ok().then_some(Some(writer.bytes)));
                }
            }
            Outcome::Unmappable { origin, .. } if origin.projection == projection.id => {
                return Ok(Some(None));
            }
            _ => {}
        }
    }
    // The filter leaves it out.
    Ok(Some(None))
}
