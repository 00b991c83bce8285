//! Every expression of the plan, typed: what MySQL would refuse, and what cannot be evaluated exactly, is found here.

use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr};

use super::model::*;
use super::sql;
use crate::contract::diagnostic::Diagnostics;
use crate::contract::model::Text;
use crate::expression::{self, Aggregate, Expression, TypeKind};
use crate::schema::Column;

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
            let ty = select.as_ref().and_then(|s| s.typed.as_ref());
            if select.is_some() && ty.is_none() {
                return;
            }
            if let Err(refusal) = Aggregate::new(*operation, ty.map(|t| t.ty())) {
                refuse(select.as_ref().unwrap_or(condition), &refusal, d);
            }
        }
        ValueSource::Join(join) => {
            let members = join.construction.iter().flat_map(|c| &c.select);
            for (_, member) in members.filter(|(_, sql)| has_unknown_digits(sql)) {
                d.error_help(
                    "sql-unsupported",
                    &member.place,
                    "how many decimals this number has in a document depends on the row",
                    "use the column itself, or CAST(… AS DECIMAL(M,D))",
                );
            }
            let terms = join.construction.iter().flat_map(|c| &c.order);
            for (term, _) in terms {
                let order = term.typed.as_ref().map(|t| expression::order(t.ty()));
                if let Some(Err(refusal)) = order {
                    refuse(term, &refusal, d);
                }
            }
        }
        _ => {}
    }
}

/// In a document MySQL shows an exact number with its own decimals, which choices and functions take from their rows.
fn has_unknown_digits(sql: &Sql) -> bool {
    fn known(expr: &Expr) -> bool {
        match expr {
            Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => known(inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply,
                right,
            } => known(left) && known(right),
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Cast { .. } => true,
            _ => false,
        }
    }
    let decimal = |typed: &Arc<Expression>| matches!(typed.ty().kind, TypeKind::Decimal { .. });
    sql.typed.as_ref().is_some_and(decimal) && !known(&sql.expr)
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
