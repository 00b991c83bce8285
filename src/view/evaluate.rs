//! A `ValueSource` over one row: the value that an attribute gets, before it takes its type.

use std::borrow::Cow;

use super::reason::Fault;
use super::transform::{self, Output};
use crate::change::{Row, Textual, Value, write_int};
use crate::contract::model::Scalar;
use crate::plan::{Piece, Transform, ValueSource};

/// The value of `source`. Computed text stands in `buffer`, whose content is replaced.
pub(super) fn value<'v>(
    source: &'v ValueSource,
    row: &'v Row<'_>,
    buffer: &'v mut String,
) -> Result<Cow<'v, Value<'v>>, Fault> {
    match source {
        ValueSource::Column(slot) => column(row, *slot).map(Cow::Borrowed),
        ValueSource::Static(scalar) => Ok(Cow::Owned(constant(scalar))),
        ValueSource::Template(pieces) => {
            buffer.clear();
            Ok(Cow::Owned(match template(pieces, row, buffer)? {
                true => Value::Text(Cow::Borrowed(buffer)),
                false => Value::Null,
            }))
        }
        ValueSource::Transformed { input, by } => {
            buffer.clear();
            let output = transformed(input, by, row, buffer)?;
            Ok(Cow::Owned(match output {
                Output::Null => Value::Null,
                Output::Integer(number) => Value::Int(number),
                Output::Text => Value::Text(Cow::Borrowed(buffer)),
                Output::Json => Value::Json((&**buffer).into()),
            }))
        }
        ValueSource::Join(_)
        | ValueSource::Aggregate { .. }
        | ValueSource::Case { .. }
        | ValueSource::Concat { .. }
        | ValueSource::Expression(_) => Err(UNSUPPORTED),
    }
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

/// Calls `each` with every slot that `source` reads. False where it needs more than the driving row.
pub(super) fn slots(source: &ValueSource, each: &mut impl FnMut(usize)) -> bool {
    match source {
        ValueSource::Column(slot) => {
            each(*slot);
            true
        }
        ValueSource::Static(_) => true,
        ValueSource::Template(pieces) => pieces.iter().all(|piece| match piece {
            Piece::Literal(_) => true,
            Piece::Value(source) => slots(source, each),
        }),
        ValueSource::Transformed { input, .. } => slots(input, each),
        ValueSource::Join(_)
        | ValueSource::Aggregate { .. }
        | ValueSource::Case { .. }
        | ValueSource::Concat { .. }
        | ValueSource::Expression(_) => false,
    }
}

/// Never seen outside: a projector refuses such plans when it is made.
const UNSUPPORTED: Fault = Fault::WrongType {
    expected: "a value of the driving row alone",
};

fn column<'v>(row: &'v Row<'_>, slot: usize) -> Result<&'v Value<'v>, Fault> {
    // The projector has compared slots and rows with the plan: there is always such a value.
    row.values.get(slot).ok_or(UNSUPPORTED)
}

fn constant(scalar: &Scalar) -> Value<'_> {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(true) => Value::Json("true".into()),
        Scalar::Bool(false) => Value::Json("false".into()),
        Scalar::Number(text) => Value::Decimal(text.as_str().into()),
        Scalar::String(text) => Value::Text(Cow::Borrowed(text)),
    }
}

/// Appends the pieces; false where one of them is NULL, which makes the whole NULL.
fn template(pieces: &[Piece], row: &Row<'_>, out: &mut String) -> Result<bool, Fault> {
    for piece in pieces {
        let written = match piece {
            Piece::Literal(text) => {
                out.push_str(text);
                true
            }
            Piece::Value(source) => append(source, row, out)?,
        };
        if !written {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends the text of `source`; false where it is NULL.
fn append(source: &ValueSource, row: &Row<'_>, out: &mut String) -> Result<bool, Fault> {
    match source {
        ValueSource::Column(slot) => append_value(column(row, *slot)?, out),
        ValueSource::Template(pieces) => template(pieces, row, out),
        ValueSource::Transformed { input, by } => match transformed(input, by, row, out)? {
            Output::Null => Ok(false),
            Output::Integer(number) => {
                write_int(number, out);
                Ok(true)
            }
            Output::Text | Output::Json => Ok(true),
        },
        ValueSource::Static(scalar) => append_value(&constant(scalar), out),
        _ => Err(UNSUPPORTED),
    }
}

fn append_value(value: &Value<'_>, out: &mut String) -> Result<bool, Fault> {
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
    row: &Row<'_>,
    out: &mut String,
) -> Result<Output, Fault> {
    if let ValueSource::Column(slot) = input {
        return transform::apply(by, column(row, *slot)?, out);
    }
    let mut buffer = String::new();
    let input = value(input, row, &mut buffer)?;
    transform::apply(by, &input, out)
}
