//! Running the tree over rows.

use std::cmp::Ordering;

use super::comparison::How;
use super::datum::Datum;
use super::decimal::Rounding;
use super::node::{Class, Node, Op, Order, Shape, Special};
use super::{EvaluationError, Rows, calendar, cast, numeric};
use crate::change::Value;

type Result<T> = std::result::Result<T, EvaluationError>;

impl Node {
    /// The value as a row would have it; a lone column stays what it is.
    pub fn value<'r>(&'r self, rows: &'r dyn Rows) -> Result<Value<'r>> {
        if let Op::Column { .. } = self.op {
            return Ok(self.column(rows)?.map_or(Value::Null, borrowed));
        }
        Ok(self.evaluate(rows)?.into_value())
    }

    fn column<'r>(&self, rows: &'r dyn Rows) -> Result<Option<&'r Value<'r>>> {
        let Op::Column { row, slot, .. } = self.op else {
            return Err(EvaluationError::NoColumn);
        };
        let Some(row) = rows.row(row) else {
            return Ok(None);
        };
        row.values
            .get(slot)
            .map(Some)
            .ok_or(EvaluationError::NoColumn)
    }

    pub fn evaluate<'r>(&'r self, rows: &'r dyn Rows) -> Result<Datum<'r>> {
        Ok(match &self.op {
            Op::Literal(datum) => borrowed_datum(datum),
            Op::Column { .. } => {
                let value = self.column(rows)?.map_or(Datum::Null, Datum::of);
                match (&self.special, &value) {
                    (Special::Printed, Datum::Decimal(_)) => self.printed(rows)?,
                    _ => value,
                }
            }
            Op::Arithmetic {
                sign,
                class,
                unsigned,
                scale,
                args,
            } => {
                // As the server: whether the second may fail where the first is NULL.
                let a = args[0].evaluate(rows)?;
                if a.is_null() && *class == Class::Decimal {
                    return Ok(Datum::Null);
                }
                let b = args[1].evaluate(rows)?;
                if a.is_null() || b.is_null() {
                    return Ok(Datum::Null);
                }
                numeric::arithmetic(*sign, *class, *unsigned, *scale, &a, &b)?
            }
            Op::Negate { class, arg } => numeric::negate(*class, &arg.evaluate(rows)?)?,
            Op::Compare { sign, how, args } => {
                let a = args[0].evaluate(rows)?;
                if a.is_null() && *sign != Order::Same {
                    return Ok(Datum::Null);
                }
                let b = args[1].evaluate(rows)?;
                Datum::maybe(holds(*sign, how, &a, &b))
            }
            Op::And(args) => Datum::maybe(self.and(args, rows)?),
            Op::Or(args) => Datum::maybe(self.or(args, rows)?),
            Op::Not(arg) => Datum::maybe(arg.evaluate(rows)?.truth().map(|t| !t)),
            Op::IsNull(arg) => Datum::bool(arg.evaluate(rows)?.is_null()),
            Op::Is { truth, arg } => Datum::bool(arg.evaluate(rows)?.truth() == Some(*truth)),
            Op::In { arg, list } => Datum::maybe(is_in(arg, list, rows)?),
            Op::Between { arg, low, high } => Datum::maybe(is_between(arg, low, high, rows)?),
            Op::Like {
                weigher,
                escape,
                args,
            } => {
                let (text, pattern) = self.both(args, rows)?;
                match (text.into_text(), pattern.into_text()) {
                    (Some(text), Some(pattern)) => {
                        Datum::bool(weigher.like(&text, &pattern, *escape))
                    }
                    _ => Datum::Null,
                }
            }
            Op::Case { .. } | Op::CaseOf { .. } => self.case(rows)?,
            Op::Coalesce { args, to } => {
                for arg in args {
                    let value = arg.evaluate(rows)?;
                    if !value.is_null() {
                        return Ok(to.shape(value));
                    }
                }
                Datum::Null
            }
            Op::NullIf { how, args } => {
                let a = args[0].evaluate(rows)?;
                if a.is_null() {
                    return Ok(Datum::Null);
                }
                let b = args[1].evaluate(rows)?;
                if how.compare(&a, &b) == Some(Ordering::Equal) {
                    Datum::Null
                } else {
                    a
                }
            }
            Op::Extreme {
                greatest,
                how,
                args,
                to,
            } => extreme(*greatest, how, args, to, rows)?,
            Op::Call(call, args) => call.evaluate(args, rows)?,
            Op::To(target, arg) => cast::convert(target, arg.evaluate(rows)?)?,
        })
    }

    fn printed<'r>(&'r self, rows: &'r dyn Rows) -> Result<Datum<'r>> {
        let Some(value) = self.column(rows)? else {
            return Ok(Datum::Null);
        };
        let mut text = String::new();
        value.write_text(&mut text);
        Ok(Datum::text(text))
    }

    fn both<'r>(&self, args: &'r [Node; 2], rows: &'r dyn Rows) -> Result<(Datum<'r>, Datum<'r>)> {
        Ok((args[0].evaluate(rows)?, args[1].evaluate(rows)?))
    }

    fn and(&self, args: &[Node; 2], rows: &dyn Rows) -> Result<Option<bool>> {
        let a = args[0].evaluate(rows)?.truth();
        if a == Some(false) {
            return Ok(a);
        }
        let b = args[1].evaluate(rows)?.truth();
        Ok(match (a, b) {
            (_, Some(false)) => Some(false),
            (Some(_), Some(_)) => Some(true),
            _ => None,
        })
    }

    fn or(&self, args: &[Node; 2], rows: &dyn Rows) -> Result<Option<bool>> {
        let a = args[0].evaluate(rows)?.truth();
        if a == Some(true) {
            return Ok(a);
        }
        let b = args[1].evaluate(rows)?.truth();
        Ok(match (a, b) {
            (_, Some(true)) => Some(true),
            (Some(_), Some(_)) => Some(false),
            _ => None,
        })
    }

    fn case<'r>(&'r self, rows: &'r dyn Rows) -> Result<Datum<'r>> {
        let (found, otherwise, to) = match &self.op {
            Op::Case {
                cases,
                otherwise,
                to,
            } => {
                let mut found = None;
                for (when, then) in cases {
                    if when.evaluate(rows)?.truth() == Some(true) {
                        found = Some(then);
                        break;
                    }
                }
                (found, otherwise, to)
            }
            Op::CaseOf {
                operand,
                cases,
                otherwise,
                to,
            } => {
                let operand = operand.evaluate(rows)?;
                let mut found = None;
                let cases = if operand.is_null() { &[] } else { &cases[..] };
                for (how, when, then) in cases {
                    if how.compare(&operand, &when.evaluate(rows)?) == Some(Ordering::Equal) {
                        found = Some(then);
                        break;
                    }
                }
                (found, otherwise, to)
            }
            _ => return Err(EvaluationError::NoColumn),
        };
        match found.or(otherwise.as_deref()) {
            Some(branch) => Ok(to.shape(branch.evaluate(rows)?)),
            None => Ok(Datum::Null),
        }
    }
}

/// The same value without a copy of its bytes.
fn borrowed<'r>(value: &'r Value<'_>) -> Value<'r> {
    match value {
        Value::Text(text) => Value::Text(text.lent()),
        Value::Set(text) => Value::Set(text.as_ref().into()),
        Value::Bytes(bytes) => Value::Bytes(bytes.as_ref().into()),
        Value::Geometry(bytes) => Value::Geometry(bytes.as_ref().into()),
        Value::Vector(bytes) => Value::Vector(bytes.as_ref().into()),
        other => other.clone(),
    }
}

fn borrowed_datum<'r>(datum: &'r Datum<'static>) -> Datum<'r> {
    match datum {
        Datum::Text(text) => Datum::Text(text.lent()),
        Datum::Bytes(bytes) => Datum::Bytes(bytes.as_ref().into()),
        Datum::Json(text) => Datum::Json(text.as_ref().into()),
        other => other.clone(),
    }
}

fn holds(sign: Order, how: &How, a: &Datum<'_>, b: &Datum<'_>) -> Option<bool> {
    if sign == Order::Same {
        return Some(match (a.is_null(), b.is_null()) {
            (true, true) => true,
            (false, false) => how.compare(a, b) == Some(Ordering::Equal),
            _ => false,
        });
    }
    let order = how.compare(a, b)?;
    Some(match sign {
        Order::Equal | Order::Same => order.is_eq(),
        Order::NotEqual => order.is_ne(),
        Order::Less => order.is_lt(),
        Order::LessOrEqual => order.is_le(),
        Order::Greater => order.is_gt(),
        Order::GreaterOrEqual => order.is_ge(),
    })
}

fn is_in(arg: &Node, list: &[(How, Node)], rows: &dyn Rows) -> Result<Option<bool>> {
    let arg = arg.evaluate(rows)?;
    // As the server: the list may still fail, but not where texts are compared.
    let mut unknown = arg.is_null();
    if unknown && list.iter().any(|(how, _)| matches!(how, How::Text(_))) {
        return Ok(None);
    }
    for (how, item) in list {
        match how.compare(&arg, &item.evaluate(rows)?) {
            Some(Ordering::Equal) => return Ok(Some(true)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(false) })
}

fn is_between(
    arg: &Node,
    low: &(How, Box<Node>),
    high: &(How, Box<Node>),
    rows: &dyn Rows,
) -> Result<Option<bool>> {
    let arg = arg.evaluate(rows)?;
    if arg.is_null() {
        return Ok(None);
    }
    let above = low.0.compare(&arg, &low.1.evaluate(rows)?);
    let below = high.0.compare(&arg, &high.1.evaluate(rows)?);
    Ok(
        match (above.map(Ordering::is_ge), below.map(Ordering::is_le)) {
            (Some(a), Some(b)) => Some(a && b),
            (Some(false), None) | (None, Some(false)) => Some(false),
            _ => None,
        },
    )
}

fn extreme<'r>(
    greatest: bool,
    how: &How,
    args: &'r [Node],
    to: &Shape,
    rows: &'r dyn Rows,
) -> Result<Datum<'r>> {
    let mut best = Datum::Null;
    for (index, arg) in args.iter().enumerate() {
        let value = to.shape(arg.evaluate(rows)?);
        if value.is_null() {
            return Ok(Datum::Null);
        }
        let wanted = if greatest {
            Ordering::Greater
        } else {
            Ordering::Less
        };
        // Of values that compare equal MySQL's GREATEST takes the last.
        let order = how.compare(&value, &best);
        let ties = greatest && order == Some(Ordering::Equal);
        if index == 0 || ties || order == Some(wanted) {
            best = value;
        }
    }
    Ok(best)
}

impl Shape {
    /// The value as the common type of all branches has it.
    pub fn shape<'a>(&self, value: Datum<'a>) -> Datum<'a> {
        if value.is_null() {
            return value;
        }
        match self {
            Shape::As => value,
            Shape::Int { unsigned } => match (value.to_int(), unsigned) {
                (Some(number), true) => Datum::UInt(number as u64),
                (Some(number), false) => Datum::Int(number as i64),
                (None, _) => Datum::Null,
            },
            Shape::Decimal(scale) => match (value.to_decimal(), scale) {
                (Some(number), Some(scale)) => {
                    Datum::Decimal(number.rescaled(*scale, Rounding::HalfUp))
                }
                (Some(number), None) => Datum::Decimal(number),
                (None, _) => Datum::Null,
            },
            Shape::Double => value.to_f64().map_or(Datum::Null, Datum::Double),
            Shape::Text if matches!(value, Datum::Text(_)) => value,
            Shape::Text => value.into_text().map_or(Datum::Null, Datum::text),
            Shape::Bytes => match value {
                Datum::Bytes(_) => value,
                other => match other.into_text() {
                    Some(text) => Datum::Bytes(text.into_owned().into_bytes().into()),
                    None => Datum::Null,
                },
            },
            Shape::DateTime(fsp) => match value {
                Datum::Date(moment) | Datum::DateTime(moment) => {
                    calendar::with_fsp(&moment, *fsp).map_or(Datum::Null, Datum::DateTime)
                }
                other => other,
            },
            Shape::Time(fsp) => match value {
                Datum::Time(time) => Datum::Time(calendar::time_with_fsp(&time, *fsp)),
                other => other,
            },
        }
    }
}
