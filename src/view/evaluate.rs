//! A `ValueSource` over one row: the value that an attribute gets, before it takes its type.

use std::borrow::Cow;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use super::joined;
use super::reason::Fault;
use super::scene::{Path, Scene};
use super::transform::{self, Output};
use crate::change::{Row, Textual, Value, write_int};
use crate::contract::model::Scalar;
use crate::expression::{EvaluationError, Expression, Rows};
use crate::plan::{Piece, Plan, RowRef, Sql, Transform, ValueSource};

/// The value of `source`. Computed text stands in `buffer`, whose content is replaced.
pub(super) fn value<'v>(
    source: &'v ValueSource,
    scene: Scene<'v>,
    plan: &'v Plan,
    buffer: &'v mut String,
) -> Result<Cow<'v, Value<'v>>, Fault> {
    match source {
        ValueSource::Column(slot) => column(scene.driving, *slot).map(Cow::Borrowed),
        ValueSource::Static(scalar) => Ok(Cow::Owned(constant(scalar))),
        ValueSource::Template(pieces) => {
            buffer.clear();
            Ok(Cow::Owned(match template(pieces, scene, plan, buffer)? {
                true => Value::Text(buffer.as_str().into()),
                false => Value::Null,
            }))
        }
        ValueSource::Transformed { input, by } => {
            buffer.clear();
            let output = transformed(input, by, scene, plan, buffer)?;
            Ok(Cow::Owned(match output {
                Output::Null => Value::Null,
                Output::Integer(number) => Value::Int(number),
                Output::Text => Value::Text(buffer.as_str().into()),
                Output::Json => Value::Json((&**buffer).into()),
            }))
        }
        ValueSource::Join(join) => joined::value(join, scene, plan, buffer),
        ValueSource::Aggregate {
            operation,
            source,
            select,
            node,
            fold,
            ..
        } => match scene.fold(*fold) {
            Some(folded) => folded.map(Cow::Owned),
            None => joined::aggregate(
                *operation,
                select.as_ref(),
                scene,
                *node,
                plan.source(*source),
            )
            .map(Cow::Owned),
        },
        ValueSource::Case { cases, otherwise } => {
            for (when, then) in cases {
                if is_true(when, scene.path(&[]))? {
                    return evaluated(then, scene.path(&[]));
                }
            }
            match otherwise {
                Some(sql) => evaluated(sql, scene.path(&[])),
                None => Ok(Cow::Owned(Value::Null)),
            }
        }
        ValueSource::Concat { parts, separator } => {
            buffer.clear();
            concat(parts, separator.as_deref(), scene, buffer)
        }
        ValueSource::Expression(sql) => evaluated(sql, scene.path(&[])),
    }
}

/// The value of an expression over the rows of `path`. A column is borrowed from its row.
pub(super) fn evaluated<'v>(sql: &'v Sql, path: Path<'v>) -> Result<Cow<'v, Value<'v>>, Fault> {
    computed(sql, path, |typed, rows| typed.evaluate(rows))
}

/// The same as a member of a document.
pub(super) fn member<'v>(sql: &'v Sql, path: Path<'v>) -> Result<Cow<'v, Value<'v>>, Fault> {
    computed(sql, path, |typed, rows| typed.evaluate_in_document(rows))
}

fn computed<'v>(
    sql: &'v Sql,
    path: Path<'v>,
    evaluate: impl for<'e> Fn(&'e Expression, &'e dyn Rows) -> Result<Value<'e>, EvaluationError>,
) -> Result<Cow<'v, Value<'v>>, Fault> {
    if let (Some(reference), true) = (sql.refs.first(), is_column(&sql.expr)) {
        return match path.at(reference.row) {
            Some(row) => column(row, reference.slot).map(Cow::Borrowed),
            None => Ok(Cow::Owned(Value::Null)),
        };
    }
    let typed = sql.typed.as_ref().ok_or(UNSUPPORTED)?;
    match evaluate(typed, &path) {
        Ok(value) => Ok(Cow::Owned(owned(value))),
        Err(error) => Err(Fault::Expression(error)),
    }
}

/// Whether the condition holds; NULL does not.
pub(super) fn is_true(sql: &Sql, path: Path<'_>) -> Result<bool, Fault> {
    let typed = sql.typed.as_ref().ok_or(UNSUPPORTED)?;
    typed.is_true(&path).map_err(Fault::Expression)
}

/// Whether MySQL takes the expression's value for true or false rather than for a number.
pub(super) fn is_boolean(expr: &Expr) -> bool {
    use BinaryOperator::*;
    match expr {
        Expr::Nested(inner) => is_boolean(inner),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::UnaryOp {
            op: UnaryOperator::Not | UnaryOperator::BangNot,
            ..
        } => true,
        Expr::BinaryOp { op, .. } => matches!(
            op,
            Eq | NotEq | Lt | LtEq | Gt | GtEq | Spaceship | And | Or | Xor
        ),
        Expr::Value(value) => matches!(value.value, sqlparser::ast::Value::Boolean(_)),
        _ => false,
    }
}

/// Without what it was borrowed from.
pub(super) fn owned(value: Value<'_>) -> Value<'static> {
    fn text(text: Cow<'_, str>) -> Cow<'static, str> {
        Cow::Owned(text.into_owned())
    }
    fn bytes(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
        Cow::Owned(bytes.into_owned())
    }
    match value {
        Value::Null => Value::Null,
        Value::Int(v) => Value::Int(v),
        Value::UInt(v) => Value::UInt(v),
        Value::Float(v) => Value::Float(v),
        Value::Double(v) => Value::Double(v),
        Value::Decimal(v) => Value::Decimal(v.text().into_owned().into()),
        Value::Text(v) => Value::Text(v.to_owned()),
        Value::Set(v) => Value::Set(text(v)),
        Value::Bytes(v) => Value::Bytes(bytes(v)),
        Value::Date(v) => Value::Date(v),
        Value::DateTime(v) => Value::DateTime(v),
        Value::Timestamp(v) => Value::Timestamp(v),
        Value::Time(v) => Value::Time(v),
        Value::Year(v) => Value::Year(v),
        Value::Bit(v) => Value::Bit(v),
        Value::Json(v) => Value::Json(v.text().into_owned().into()),
        Value::Geometry(v) => Value::Geometry(bytes(v)),
        Value::Vector(v) => Value::Vector(bytes(v)),
    }
}

pub(super) fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// CONCAT, or CONCAT_WS where there is a separator.
fn concat<'v>(
    parts: &[Sql],
    separator: Option<&str>,
    scene: Scene<'_>,
    buffer: &'v mut String,
) -> Result<Cow<'v, Value<'v>>, Fault> {
    let mut written = false;
    for part in parts {
        let start = buffer.len();
        if let (Some(separator), true) = (separator, written) {
            buffer.push_str(separator);
        }
        let value = evaluated(part, scene.path(&[]))?;
        match (append_value(&value, buffer)?, separator) {
            (true, _) => written = true,
            (false, Some(_)) => buffer.truncate(start),
            (false, None) => return Ok(Cow::Owned(Value::Null)),
        }
    }
    Ok(Cow::Owned(Value::Text(buffer.as_str().into())))
}

/// Whether JSON text that `source` gives comes from elsewhere than a JSON column, and so may be irregular.
pub(super) fn is_foreign(source: &ValueSource) -> bool {
    matches!(
        source,
        ValueSource::Transformed {
            by: Transform::JsonParse,
            ..
        }
    )
}

/// Calls `each` with every slot of the driving row that `source` reads.
pub(super) fn slots(source: &ValueSource, each: &mut impl FnMut(usize)) {
    match source {
        ValueSource::Column(slot) => each(*slot),
        ValueSource::Static(_) => {}
        ValueSource::Template(pieces) => {
            for piece in pieces {
                if let Piece::Value(source) = piece {
                    slots(source, each);
                }
            }
        }
        ValueSource::Transformed { input, .. } => slots(input, each),
        // Only borrowed for its visitor.
        other => other.clone().each_sql(&mut |sql| {
            for reference in sql.refs.iter().filter(|r| r.row == RowRef::Driving) {
                each(reference.slot);
            }
        }),
    }
}

/// Whether the value is one of the driving row alone.
pub(super) fn is_own(source: &ValueSource) -> bool {
    match source {
        ValueSource::Column(_) | ValueSource::Static(_) => true,
        ValueSource::Template(pieces) => pieces.iter().all(|piece| match piece {
            Piece::Literal(_) => true,
            Piece::Value(source) => is_own(source),
        }),
        ValueSource::Transformed { input, .. } => is_own(input),
        ValueSource::Join(_) | ValueSource::Aggregate { .. } => false,
        ValueSource::Case { .. } | ValueSource::Concat { .. } | ValueSource::Expression(_) => {
            let mut own = true;
            // Only borrowed for its visitor.
            source.clone().each_sql(&mut |sql| {
                own &= sql.refs.iter().all(|r| r.row == RowRef::Driving);
            });
            own
        }
    }
}

/// Never seen outside: plans whose expressions are not typed do not run.
const UNSUPPORTED: Fault = Fault::WrongType {
    expected: "a value of the driving row alone",
};

fn column<'v>(row: &'v Row<'_>, slot: usize) -> Result<&'v Value<'v>, Fault> {
    // The projector has compared slots and rows with the plan: there is always such a value.
    row.values.get(slot).ok_or(UNSUPPORTED)
}

pub(super) fn constant(scalar: &Scalar) -> Value<'_> {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(true) => Value::Json("true".into()),
        Scalar::Bool(false) => Value::Json("false".into()),
        Scalar::Number(text) => Value::Decimal(text.as_str().into()),
        Scalar::String(text) => Value::Text(text.as_str().into()),
    }
}

/// Appends the pieces; false where one of them is NULL, which makes the whole NULL.
fn template(
    pieces: &[Piece],
    scene: Scene<'_>,
    plan: &Plan,
    out: &mut String,
) -> Result<bool, Fault> {
    for piece in pieces {
        let written = match piece {
            Piece::Literal(text) => {
                out.push_str(text);
                true
            }
            Piece::Value(source) => append(source, scene, plan, out)?,
        };
        if !written {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends the text of `source`; false where it is NULL.
fn append(
    source: &ValueSource,
    scene: Scene<'_>,
    plan: &Plan,
    out: &mut String,
) -> Result<bool, Fault> {
    match source {
        ValueSource::Column(slot) => append_value(column(scene.driving, *slot)?, out),
        ValueSource::Template(pieces) => template(pieces, scene, plan, out),
        ValueSource::Transformed { input, by } => match transformed(input, by, scene, plan, out)? {
            Output::Null => Ok(false),
            Output::Integer(number) => {
                write_int(number, out);
                Ok(true)
            }
            Output::Text | Output::Json => Ok(true),
        },
        ValueSource::Static(scalar) => append_value(&constant(scalar), out),
        other => {
            let mut buffer = String::new();
            append_value(&*value(other, scene, plan, &mut buffer)?, out)
        }
    }
}

pub(super) fn append_value(value: &Value<'_>, out: &mut String) -> Result<bool, Fault> {
    match value.write_text(out) {
        Textual::Written => Ok(true),
        Textual::Null => Ok(false),
        Textual::Binary => Err(Fault::Binary),
    }
}

/// Appends the transformed input.
fn transformed(
    input: &ValueSource,
    by: &Transform,
    scene: Scene<'_>,
    plan: &Plan,
    out: &mut String,
) -> Result<Output, Fault> {
    if let ValueSource::Column(slot) = input {
        return transform::apply(by, column(scene.driving, *slot)?, out);
    }
    let mut buffer = String::new();
    let input = value(input, scene, plan, &mut buffer)?;
    transform::apply(by, &input, out)
}
