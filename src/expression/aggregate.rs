//! SUM, COUNT, AVG, MIN, MAX over the values of one expression.

use std::cmp::Ordering;

use super::Refusal;
use super::comparison::{Comparison, order};
use super::compile::class_of;
use super::datum::Datum;
use super::decimal::{Dec, MAX_PRECISION, MAX_SCALE, Rounding};
use super::node::Class;
use super::types::{Type, TypeKind};
use crate::change::Value;
use crate::contract::model::AggregateOperation;

/// Digits that AVG has more than its values.
const MORE_DIGITS: u8 = 4;

/// An aggregate function at work.
#[derive(Debug, Clone)]
pub struct Aggregate {
    ty: Type,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Count(i64),
    /// `None` once MySQL's decimals could not hold the sum.
    Decimal {
        sum: Option<Dec>,
        count: i64,
        average: bool,
        scale: u8,
    },
    Double {
        sum: f64,
        count: i64,
        average: bool,
    },
    Extreme {
        comparison: Comparison,
        greatest: bool,
        best: Option<Value<'static>>,
    },
}

impl Aggregate {
    /// `over` is the type of the expression; `None` is COUNT(*).
    pub fn new(operation: AggregateOperation, over: Option<&Type>) -> Result<Self, Refusal> {
        let counts = operation == AggregateOperation::Count;
        let Some(over) = over else {
            if counts {
                return Ok(Self::count());
            }
            return Err(Refusal::new("this aggregate needs a \"select_column\""));
        };
        match operation {
            AggregateOperation::Count => Ok(Self::count()),
            AggregateOperation::Sum => Self::sum(over, false),
            AggregateOperation::Avg => Self::sum(over, true),
            AggregateOperation::Min => Self::extreme(over, false),
            AggregateOperation::Max => Self::extreme(over, true),
        }
    }

    /// Whether the result is the same in whatever order the values come: not so for sums of doubles, nor for the least of
    /// texts that are equal and differ.
    pub fn takes_any_order(&self) -> bool {
        match &self.state {
            State::Count(_) | State::Decimal { .. } => true,
            State::Double { .. } => false,
            State::Extreme { comparison, .. } => comparison.is_identity(),
        }
    }

    fn count() -> Self {
        Aggregate {
            ty: Type {
                kind: TypeKind::Int { unsigned: false },
                nullable: false,
            },
            state: State::Count(0),
        }
    }

    fn sum(over: &Type, average: bool) -> Result<Self, Refusal> {
        let refused = matches!(
            over.kind,
            // A text may be an ENUM, whose number counts, not its label.
            TypeKind::Text { .. }
                | TypeKind::Json
                | TypeKind::Fixed(_)
                | TypeKind::Geometry
                | TypeKind::Vector
                | TypeKind::Binary
        ) || over.kind.is_temporal();
        if refused {
            return Err(
                Refusal::new(format!("the sum of {} is not supported", over.kind.name()))
                    .help("CAST it to a number, or add 0 to it"),
            );
        }
        let more = if average { MORE_DIGITS } else { 0 };
        let (kind, state) = match class_of(&over.kind) {
            Class::Double => (
                TypeKind::Double,
                State::Double {
                    sum: 0.0,
                    count: 0,
                    average,
                },
            ),
            Class::Int | Class::Decimal => {
                let (whole, scale) = super::select::digits(&over.kind);
                let scale = (scale + more).min(MAX_SCALE);
                let precision = (whole + scale + if average { 0 } else { 22 }).min(MAX_PRECISION);
                (
                    TypeKind::Decimal { precision, scale },
                    State::Decimal {
                        sum: Some(Dec::zero()),
                        count: 0,
                        average,
                        scale,
                    },
                )
            }
        };
        Ok(Aggregate {
            ty: Type {
                kind,
                nullable: true,
            },
            state,
        })
    }

    fn extreme(over: &Type, greatest: bool) -> Result<Self, Refusal> {
        Ok(Aggregate {
            ty: Type {
                kind: over.kind.clone(),
                nullable: true,
            },
            state: State::Extreme {
                comparison: order(over)?,
                greatest,
                best: None,
            },
        })
    }

    /// Adds a value; NULL does not count. Doubles are added in the order in which they come.
    pub fn add(&mut self, value: &Value<'_>) {
        if *value == Value::Null {
            return;
        }
        match &mut self.state {
            State::Count(count) => *count += 1,
            State::Decimal { sum, count, .. } => {
                *count += 1;
                let number = Datum::of(value).to_decimal();
                *sum = match (sum.take(), number) {
                    (Some(sum), Some(number)) => sum.add(&number).ok(),
                    _ => None,
                };
            }
            State::Double { sum, count, .. } => {
                *count += 1;
                *sum += Datum::of(value).to_f64().unwrap_or(0.0);
            }
            State::Extreme {
                comparison,
                greatest,
                best,
            } => {
                let wanted = if *greatest {
                    Ordering::Greater
                } else {
                    Ordering::Less
                };
                let better = best
                    .as_ref()
                    .is_none_or(|best| comparison.compare(value, best) == Some(wanted));
                if better {
                    *best = Some(owned(value));
                }
            }
        }
    }

    /// The result: 0 for COUNT of nothing, NULL for the others.
    pub fn finish(self) -> Value<'static> {
        match self.state {
            State::Count(count) => Value::Int(count),
            State::Decimal { count: 0, .. } | State::Double { count: 0, .. } => Value::Null,
            State::Decimal {
                sum,
                count,
                average,
                scale,
            } => {
                let Some(sum) = sum else { return Value::Null };
                let result = if average {
                    let digits = (sum.scale() + MORE_DIGITS).div_ceil(9) * 9;
                    match sum.div(&Dec::from_int(i128::from(count)), digits) {
                        Some(Ok(quotient)) => quotient,
                        _ => return Value::Null,
                    }
                } else {
                    sum
                };
                Datum::Decimal(result.rescaled(scale, Rounding::HalfUp)).into_value()
            }
            State::Double {
                sum,
                count,
                average,
            } => {
                let result = if average { sum / count as f64 } else { sum };
                // What MySQL answers where the sum leaves the range of doubles.
                Value::Double(if result.is_finite() { result } else { 0.0 })
            }
            State::Extreme { best, .. } => match (best, &self.ty.kind) {
                // The zeros of an INT ZEROFILL and of the year 0 are not shown here.
                (Some(Value::Decimal(text)), TypeKind::Int { .. }) => {
                    text.text().parse().map_or(Value::Null, Value::UInt)
                }
                (Some(Value::Year(0)), _) => Value::UInt(0),
                (best, _) => best.unwrap_or(Value::Null),
            },
        }
    }

    /// The type of the result.
    pub fn ty(&self) -> &Type {
        &self.ty
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Decimal(_) | Value::Json(_) => {
            let mut text = String::new();
            value.write_text(&mut text);
            if matches!(value, Value::Json(_)) {
                Value::Json(text.into())
            } else {
                Value::Decimal(text.into())
            }
        }
        Value::Text(text) => Value::Text(text.to_owned()),
        Value::Set(text) => Value::Set(text.to_string().into()),
        Value::Bytes(bytes) => Value::Bytes(bytes.to_vec().into()),
        Value::Geometry(bytes) => Value::Geometry(bytes.to_vec().into()),
        Value::Vector(bytes) => Value::Vector(bytes.to_vec().into()),
        Value::Null => Value::Null,
        Value::Int(number) => Value::Int(*number),
        Value::UInt(number) => Value::UInt(*number),
        Value::Float(number) => Value::Float(*number),
        Value::Double(number) => Value::Double(*number),
        Value::Date(date) => Value::Date(*date),
        Value::DateTime(moment) => Value::DateTime(*moment),
        Value::Timestamp(moment) => Value::Timestamp(*moment),
        Value::Time(time) => Value::Time(*time),
        Value::Year(year) => Value::Year(*year),
        Value::Bit(bits) => Value::Bit(*bits),
    }
}
