//! Every expression of the plan, typed: what MySQL would refuse, and what cannot be evaluated exactly, is found here.

use std::sync::Arc;

use super::model::*;
use super::sql;
use crate::contract::diagnostic::Diagnostics;
use crate::contract::model::{AggregateOperation, Text};
use crate::expression::{self, Aggregate, Expression};
use crate::schema::{Column, ColumnType};

/// The columns of a plan's sources.
pub(super) trait Columns {
    fn column(&self, source: SourceId, slot: usize) -> Option<&Column>;
}

impl Columns for [SourceTable] {
    fn column(&self, source: SourceId, slot: usize) -> Option<&Column> {
        let table = self.get(usize::from(source.0))?;
        Some(&table.columns.get(slot)?.column)
    }
}

/// Types all expressions of the plan, whose columns are known.
pub(super) fn run(plan: &mut Plan, d: &mut Diagnostics) {
    let Plan {
        sources,
        projections,
        ..
    } = plan;
    for projection in projections {
        if let Some(filter) = &mut projection.filter {
            filter.typed = expression(filter, sources, d);
            zero_dates(filter, sources, d);
        }
        for attribute in &mut projection.attributes {
            value(&mut attribute.value, sources, d);
        }
    }
}

/// The expression, ready to be evaluated; refusals are reported at their places.
pub(super) fn expression(
    sql: &Sql,
    sources: &[SourceTable],
    d: &mut Diagnostics,
) -> Option<Arc<Expression>> {
    match expression::compile(sql, &|source, slot| sources.column(source, slot)) {
        Ok(typed) => Some(Arc::new(typed)),
        Err(refusal) => {
            refuse(sql, &refusal, d);
            None
        }
    }
}

fn value(value: &mut ValueSource, sources: &[SourceTable], d: &mut Diagnostics) {
    match value {
        ValueSource::Template(pieces) => {
            for piece in pieces {
                if let Piece::Value(inner) = piece {
                    self::value(inner, sources, d);
                }
            }
        }
        ValueSource::Transformed { input, .. } => self::value(input, sources, d),
        _ => value.each_sql(&mut |sql| sql.typed = expression(sql, sources, d)),
    }
    match value {
        ValueSource::Aggregate {
            operation,
            condition,
            select,
            ..
        } => {
            zero_dates(condition, sources, d);
            let ty = select.as_ref().and_then(|s| s.typed.as_ref());
            if select.is_some() && ty.is_none() {
                return;
            }
            let ordered = match (&*operation, ty) {
                (AggregateOperation::Min | AggregateOperation::Max, Some(ty)) => ty.order().err(),
                _ => None,
            };
            let made = Aggregate::new(*operation, ty.map(|t| t.ty()));
            if let Some(refusal) = made.err().or(ordered) {
                refuse(select.as_ref().unwrap_or(condition), &refusal, d);
            }
        }
        ValueSource::Join(join) => {
            for condition in join.hops.iter().flat_map(|hop| &hop.conditions) {
                zero_dates(condition, sources, d);
            }
            let members = join.construction.iter().flat_map(|c| &c.select);
            for (_, member) in members {
                let held = member.typed.as_ref().map(|t| t.in_documents());
                if let Some(Err(refusal)) = held {
                    refuse(member, &refusal, d);
                }
            }
            let terms = join.construction.iter().flat_map(|c| &c.order);
            for (term, _) in terms {
                let order = term.typed.as_ref().map(|t| t.order());
                if let Some(Err(refusal)) = order {
                    refuse(term, &refusal, d);
                }
            }
        }
        _ => {}
    }
}

/// In a WHERE or an ON, and only there, MySQL's IS NULL finds `0000-00-00` in a date column that is NOT NULL.
fn zero_dates(condition: &Sql, sources: &[SourceTable], d: &mut Diagnostics) {
    let Some(typed) = &condition.typed else {
        return;
    };
    let mut found = None;
    typed.each_null_test(&mut |source, slot| {
        let column = sources.column(source, slot);
        let dated = column.filter(|c| {
            !c.nullable && matches!(c.ty, ColumnType::Date | ColumnType::DateTime { .. })
        });
        if let Some(column) = dated {
            found.get_or_insert(column.name.clone());
        }
    });
    if let Some(name) = found {
        d.error_help(
            "sql-unsupported",
            &condition.place,
            format!("`{name}` is NOT NULL: MySQL's WHERE finds 0000-00-00 with IS NULL there, and other expressions nothing"),
            format!("write YEAR({name}) = 0 for zero dates, or leave the condition out"),
        );
    }
}

fn refuse(sql: &Sql, refusal: &expression::Refusal, d: &mut Diagnostics) {
    let text = Text {
        value: sql.text.clone(),
        place: sql.place.clone(),
    };
    let place = match refusal.location {
        Some((line, column)) => sql::at_location(&text, line, column),
        None => sql.place.clone(),
    };
    match &refusal.help {
        Some(help) => d.error_help("sql-unsupported", &place, &refusal.message, help),
        None => d.error("sql-unsupported", &place, &refusal.message),
    }
}
