//! Values from several rows: aggregates, lists and objects, each a subquery of its own.

use super::SelectError;
use super::expression::{is_plain_arithmetic, order_term, rewrite};
use super::layout::literal;
use super::render::{INNER, Renderer, Row, column_type};
use super::value::{Kind, Rendered};
use crate::contract::model::AggregateOperation;
use crate::plan::model::*;
use crate::schema::ColumnType;

/// A limit that is none: with it the rows keep their order, without it MySQL may drop the ORDER BY.
const ALL: u64 = u64::MAX;

impl<'p> Renderer<'p> {
    pub(super) fn aggregate(
        &mut self,
        operation: AggregateOperation,
        source: SourceId,
        condition: &'p Sql,
        select: Option<&'p Sql>,
    ) -> Result<Rendered<'p>, SelectError> {
        let source = self.plan.source(source);
        let rows = [Row::Inner];
        let table = source.name.sql();
        let condition = self.condition(condition, &rows)?;
        let function = match operation {
            AggregateOperation::Sum => "SUM",
            AggregateOperation::Count => "COUNT",
            AggregateOperation::Avg => "AVG",
            AggregateOperation::Min => "MIN",
            AggregateOperation::Max => "MAX",
        };
        let Some(select) = select else {
            return Ok(Rendered::new(
                format!(
                    "(SELECT {function}(*)\n     FROM {table} AS {INNER}\n    WHERE {condition})"
                ),
                Kind::Unknown,
            ));
        };
        let value = self.expression(select, &rows)?;
        let kind = match operation {
            AggregateOperation::Min | AggregateOperation::Max if value.is_foreign() => {
                Kind::Foreign
            }
            _ => Kind::Unknown,
        };
        let value = value.shown();
        if operation == AggregateOperation::Count || self.is_exact(select) {
            return Ok(Rendered::new(
                format!(
                    "(SELECT {function}({value})\n     FROM {table} AS {INNER}\n    WHERE {condition})"
                ),
                kind,
            ));
        }
        // The result depends on the order: that of the primary key.
        let key = self.key_of(source, INNER);
        Ok(Rendered::new(
            format!(
                "(SELECT {function}(x.value)\n     FROM (SELECT {value} AS value\n             FROM {table} AS {INNER}\n            WHERE {condition}\n            ORDER BY {key} LIMIT {ALL}) AS x)"
            ),
            kind,
        ))
    }

    /// Whether the result is the same whatever the order of the rows.
    fn is_exact(&self, select: &Sql) -> bool {
        let exact = |r: &SqlRef| {
            matches!(
                column_type(self.plan.source(r.source), r.slot),
                ColumnType::Int { .. }
                    | ColumnType::Decimal { .. }
                    | ColumnType::Bit { .. }
                    | ColumnType::Year
                    | ColumnType::Date
                    | ColumnType::DateTime { .. }
                    | ColumnType::Timestamp { .. }
                    | ColumnType::Time { .. }
            )
        };
        is_plain_arithmetic(select) && select.refs.iter().all(exact)
    }

    pub(super) fn construction(
        &mut self,
        join: &'p JoinPlan,
        construction: &'p ConstructionPlan,
    ) -> Result<Rendered<'p>, SelectError> {
        let Some(hop) = join.hops.first() else {
            return Ok(Rendered::new("NULL", Kind::Json));
        };
        let source = self.plan.source(hop.source);
        let rows = [Row::Inner];
        let mut conditions = Vec::new();
        for condition in &hop.conditions {
            conditions.push(self.condition(condition, &rows)?);
        }
        let conditions = conditions.join(" AND ");
        let mut members = Vec::new();
        for (key, sql) in &construction.select {
            let value = rewrite(sql, &mut |r| self.reference(r, &rows))?;
            members.push(format!("{}, {value}", literal(key)));
        }
        let object = format!("JSON_OBJECT({})", members.join(", "));
        let mut order = Vec::new();
        for (nth, (term, descending)) in construction.order.iter().enumerate() {
            // A constant orders nothing, and MySQL would take a number for a column's place.
            if term.refs.is_empty() {
                continue;
            }
            let term = order_term(term, nth, &mut |r| self.reference(r, &rows))?;
            order.push(if *descending {
                format!("{term} DESC")
            } else {
                term
            });
        }
        order.push(self.key_of(source, INNER));
        let (order, table) = (order.join(", "), source.name.sql());
        if !construction.array {
            return Ok(Rendered::new(
                format!(
                    "(SELECT {object}\n     FROM {table} AS {INNER}\n    WHERE {conditions}\n    ORDER BY {order} LIMIT 1)"
                ),
                Kind::Json,
            ));
        }
        self.lists = true;
        let limit = match construction.limit {
            Some(limit) => format!("\n    WHERE x.n <= {limit}"),
            None => String::new(),
        };
        Ok(Rendered::new(
            format!(
                "(SELECT CONCAT('[', COALESCE(GROUP_CONCAT(x.element ORDER BY x.n SEPARATOR ', '), ''), ']')\n     \
                 FROM (SELECT {object} AS element,\n                  ROW_NUMBER() OVER (ORDER BY {order}) AS n\n             \
                 FROM {table} AS {INNER}\n            WHERE {conditions}) AS x{limit})"
            ),
            Kind::Json,
        ))
    }
}
