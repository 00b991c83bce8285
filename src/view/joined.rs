//! The values of joins and aggregates, over rows that have been found.

use std::borrow::Cow;

use super::construct;
use super::evaluate::{append_value, constant, evaluated, is_true};
use super::reason::Fault;
use super::scene::{Path, Scene};
use crate::change::Value;
use crate::contract::model::AggregateOperation;
use crate::expression::Aggregate;
use crate::plan::graph::NodeId;
use crate::plan::{JoinPlan, Plan, SourceTable, Sql};

/// The value of a join.
pub(super) fn value<'v>(
    join: &'v JoinPlan,
    scene: Scene<'v>,
    plan: &'v Plan,
    buffer: &'v mut String,
) -> Result<Cow<'v, Value<'v>>, Fault> {
    if let (Some(construction), Some(hop)) = (&join.construction, join.hops.first()) {
        let node = join.nodes.first().copied().unwrap_or_default();
        buffer.clear();
        let table = plan.source(hop.source);
        return Ok(Cow::Owned(
            match construct::write(construction, scene, node, table, buffer)? {
                true => Value::Json(buffer.as_str().into()),
                false => Value::Null,
            },
        ));
    }
    let path = scene.path(&join.nodes);
    if let Some(condition) = &join.condition
        && !is_true(condition, path)?
    {
        return match (&join.else_sql, &join.else_value) {
            (Some(sql), _) => evaluated(sql, path),
            (None, Some(scalar)) => Ok(Cow::Owned(constant(scalar))),
            (None, None) => Ok(Cow::Owned(Value::Null)),
        };
    }
    if let Some(separator) = &join.separator {
        buffer.clear();
        return chain(join, separator, scene, buffer);
    }
    let selected = match join.hops.last().and_then(|hop| hop.select.as_ref()) {
        Some(select) => evaluated(select, path)?,
        None => Cow::Owned(Value::Null),
    };
    match (&*selected, &join.null_value) {
        (Value::Null, Some(scalar)) => Ok(Cow::Owned(constant(scalar))),
        _ => Ok(selected),
    }
}

/// The hops' values joined by the separator; NULLs are skipped.
fn chain<'v>(
    join: &JoinPlan,
    separator: &str,
    scene: Scene<'_>,
    buffer: &'v mut String,
) -> Result<Cow<'v, Value<'v>>, Fault> {
    let path = scene.path(&join.nodes);
    let mut written = false;
    for select in join.hops.iter().filter_map(|hop| hop.select.as_ref()) {
        let start = buffer.len();
        if written {
            buffer.push_str(separator);
        }
        if append_value(&*evaluated(select, path)?, buffer)? {
            written = true;
        } else {
            buffer.truncate(start);
        }
    }
    Ok(Cow::Owned(Value::Text(buffer.as_str().into())))
}

/// One value of all rows of the node, taken in the order of their key.
pub(super) fn aggregate(
    operation: AggregateOperation,
    select: Option<&Sql>,
    scene: Scene<'_>,
    node: NodeId,
    table: &SourceTable,
) -> Result<Value<'static>, Fault> {
    let mut sum = begin(operation, select)?;
    let hops = [node];
    let path = scene.path(&hops);
    for row in construct::in_key_order(scene.rows(node), table)? {
        add(&mut sum, select, path.with(row))?;
    }
    Ok(sum.finish())
}

/// An aggregate of no row yet.
pub(super) fn begin(
    operation: AggregateOperation,
    select: Option<&Sql>,
) -> Result<Aggregate, Fault> {
    let ty = select.and_then(|s| s.typed.as_ref()).map(|t| t.ty());
    Aggregate::new(operation, ty).map_err(|_| UNTYPED)
}

/// Adds the path's row.
pub(super) fn add(sum: &mut Aggregate, select: Option<&Sql>, path: Path<'_>) -> Result<(), Fault> {
    match select {
        Some(sql) => sum.add(&*evaluated(sql, path)?),
        None => sum.add(&Value::Int(1)),
    }
    Ok(())
}

/// The plan is refused where an aggregate cannot be computed.
const UNTYPED: Fault = Fault::WrongType {
    expected: "values that can be aggregated",
};
