//! How values of two types compare, and the keys under which equal values meet.

use std::cmp::Ordering;

use super::calendar;
use super::datum::Datum;
use super::json;
use super::types::{Collated, Type, TypeKind, compared};
use super::{EvaluationError, Refusal};
use crate::change::collation::Weigher;
use crate::change::{Text, Value, short};

/// A way to compare two values: exact numbers, doubles, text by a collation, bytes, dates, times, JSON.
#[derive(Debug, Clone)]
pub struct Comparison {
    pub(super) how: How,
}

#[derive(Debug, Clone)]
pub(super) enum How {
    /// Integers.
    Int,
    Decimal,
    Double,
    Text(Weigher),
    Bytes,
    /// Dates with or without a time; numbers and texts are literals that have been converted.
    Moment,
    Time,
    Json,
    /// One side always is NULL.
    Never,
}

/// What counts of an operand when it is compared.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub kind: TypeKind,
    /// Of its text.
    pub collated: Collated,
}

impl Side {
    fn of(ty: &Type) -> Self {
        Side {
            kind: ty.kind.clone(),
            collated: Collated::column(&ty.kind),
        }
    }
}

/// How columns of these types compare as they are; ENUM and SET, which are numbers beside numbers, as their labels. What a
/// condition means its [`Expression::equality`](super::Expression::equality) says.
pub fn comparison(a: &Type, b: &Type) -> Result<Comparison, Refusal> {
    let how = how(&Side::of(a), &Side::of(b)).map_err(Refusal::new)?;
    Ok(Comparison { how })
}

/// Whether `own = other` can hold for two values of `own` only where `own = own` holds for them: text that is compared
/// with a number is not told apart as text is, `1` and `01` equal the same number.
pub fn tells_apart(own: &Type, other: &Type) -> bool {
    let (Ok(alone), Ok(used)) = (comparison(own, own), comparison(own, other)) else {
        // Refused where it is used.
        return true;
    };
    match (&alone.how, &used.how) {
        (_, How::Never) | (How::Int, How::Decimal) | (How::Text(_), How::Bytes) => true,
        (How::Text(alone), How::Text(used)) => {
            if let Some(set) = alone.coded() {
                // Beside another character set it is what it shows.
                return used.coded() == Some(set);
            }
            // Characters are told apart by all `_bin` collations, spaces at the end are not.
            let spaces = alone.pads_space() || !used.pads_space();
            alone.name() == used.name() || used.name().ends_with("_bin") && spaces
        }
        (alone, used) => std::mem::discriminant(alone) == std::mem::discriminant(used),
    }
}

/// The order of values of one type, as ORDER BY has it.
pub fn order(ty: &Type) -> Result<Comparison, Refusal> {
    match ty.kind {
        TypeKind::Geometry | TypeKind::Vector => {
            Err(Refusal::new(format!("{} has no order", ty.kind.name())))
        }
        _ => comparison(ty, ty),
    }
}

pub(super) fn how(a: &Side, b: &Side) -> Result<How, String> {
    use TypeKind as K;
    let refused = || {
        Err(format!(
            "MySQL's comparison of {} with {} is not supported",
            a.kind.name(),
            b.kind.name()
        ))
    };
    Ok(match (&a.kind, &b.kind) {
        (K::Null, _) | (_, K::Null) => How::Never,
        (K::Geometry | K::Vector, _) | (_, K::Geometry | K::Vector) => return refused(),
        (K::Json, other) | (other, K::Json) => match other {
            K::Json | K::Int { .. } | K::Decimal { .. } | K::Double | K::Text { .. } => How::Json,
            _ => return refused(),
        },
        (K::Fixed(_), K::Fixed(_)) => How::Double,
        (K::Fixed(_), _) | (_, K::Fixed(_)) => return refused(),
        (K::Time { .. }, K::Time { .. }) => How::Time,
        (a, b) if a.has_date() && b.has_date() => How::Moment,
        (a, b) if a.is_temporal() || b.is_temporal() => return refused(),
        (K::Year | K::Bit, other) | (other, K::Year | K::Bit) if !other.is_integer() => {
            return refused();
        }
        (a, b) if a.is_integer() && b.is_integer() => How::Int,
        (a, b) if a.is_number() && b.is_number() => {
            if [a, b].iter().any(|k| matches!(k, K::Float | K::Double)) {
                How::Double
            } else {
                How::Decimal
            }
        }
        (a, b) if a.is_number() || b.is_number() => How::Double,
        (K::Binary, _) | (_, K::Binary) => {
            if a.kind != b.kind && (!plain(&a.collated) || !plain(&b.collated)) {
                return refused();
            }
            How::Bytes
        }
        _ => {
            let collated = compared(&[&a.collated, &b.collated]).ok_or_else(|| {
                format!(
                    "the collations {} and {} do not mix",
                    a.collated.name, b.collated.name
                )
            })?;
            text_order(&collated.name)?
        }
    })
}

/// Its bytes are those of its UTF-8.
fn plain(collated: &Collated) -> bool {
    matches!(
        collated.charset(),
        "binary" | "utf8mb4" | "utf8mb3" | "utf8" | "ascii"
    )
}

pub(super) fn text_order(collation: &str) -> Result<How, String> {
    let weigher = Weigher::by_name(collation)
        .ok_or_else(|| format!("the order of the collation {collation} is not known here"))?;
    Ok(How::Text(weigher))
}

impl How {
    /// `None`: NULL is involved.
    pub fn compare(&self, a: &Datum<'_>, b: &Datum<'_>) -> Option<Ordering> {
        if a.is_null() || b.is_null() {
            return None;
        }
        match self {
            How::Never => None,
            How::Int => Some(a.to_int()?.cmp(&b.to_int()?)),
            How::Decimal => Some(a.to_decimal()?.compare(&b.to_decimal()?)),
            How::Double => a.to_f64()?.partial_cmp(&b.to_f64()?),
            How::Text(weigher) => match (a, b) {
                (Datum::Text(a), Datum::Text(b)) => {
                    if fails(weigher, a) || fails(weigher, b) {
                        return None;
                    }
                    Some(weigher.compare_texts(a, b))
                }
                _ => Some(weigher.compare(&a.clone().into_text()?, &b.clone().into_text()?)),
            },
            How::Bytes => Some(bytes(a)?.cmp(&bytes(b)?)),
            How::Moment => Some(moment(a)?.cmp(&moment(b)?)),
            How::Time => Some(time(a)?.cmp(&time(b)?)),
            How::Json => json::compare(a, b),
        }
    }

    fn key(&self, value: &Datum<'_>, out: &mut Vec<u8>) -> Option<()> {
        if value.is_null() {
            return None;
        }
        match self {
            How::Never => return None,
            How::Int => number(value.to_int()?, out),
            How::Decimal => value.to_decimal()?.key(out),
            How::Double => {
                // Adding zero makes the negative zero the positive one.
                out.extend_from_slice(&(value.to_f64()? + 0.0).to_bits().to_be_bytes());
            }
            How::Text(weigher) => {
                let start = out.len();
                match value {
                    Datum::Text(text) if fails(weigher, text) => return None,
                    Datum::Text(text) => weigher.key_of(text, out),
                    _ => weigher.key(&value.clone().into_text()?, out),
                }
                close(start, out);
            }
            How::Bytes => {
                let start = out.len();
                out.extend_from_slice(&bytes(value)?);
                close(start, out);
            }
            How::Moment => number(moment(value)?.into(), out),
            How::Time => number(time(value)?.into(), out),
            How::Json => {
                let start = out.len();
                json::key(value, out)?;
                close(start, out);
            }
        }
        Some(())
    }
}

/// Whether MySQL cannot convert the text into the collation's character set, so that the statement fails.
fn fails(weigher: &Weigher, text: &Text<'_>) -> bool {
    weigher.coded().is_none() && !text.converts()
}

/// Puts the length before what was written since `start`, so that keys can follow each other.
fn close(start: usize, out: &mut Vec<u8>) {
    let end = out.len();
    short::varint((end - start) as u64, out);
    let length = out.len() - end;
    if let Some(written) = out.get_mut(start..) {
        written.rotate_right(length);
    }
}

/// The middle of the bytes that tell how long a number is, and whether it is below zero.
const ZERO: u8 = 0x80;

fn number(number: i128, out: &mut Vec<u8>) {
    short::ordered(ZERO, number, out);
}

fn bytes<'v>(value: &'v Datum<'_>) -> Option<std::borrow::Cow<'v, [u8]>> {
    Some(match value {
        Datum::Bytes(bytes) => bytes.as_ref().into(),
        Datum::Text(text) => text.as_bytes().into(),
        other => other.clone().into_text()?.into_owned().into_bytes().into(),
    })
}

/// In the order of the calendar; parts may be zero.
fn moment(value: &Datum<'_>) -> Option<i64> {
    let (Datum::Date(moment) | Datum::DateTime(moment)) = value else {
        return None;
    };
    let date = (i64::from(moment.year) * 16 + i64::from(moment.month)) * 32 + i64::from(moment.day);
    Some(date * 86_400_000_000 + calendar::clock_micros(moment))
}

fn time(value: &Datum<'_>) -> Option<i64> {
    match value {
        Datum::Time(time) => Some(calendar::time_micros(time)),
        _ => None,
    }
}

impl Comparison {
    /// Whether values of one type that are equal are the same.
    pub(super) fn is_identity(&self) -> bool {
        matches!(
            self.how,
            How::Int | How::Decimal | How::Bytes | How::Moment | How::Time | How::Never
        )
    }

    /// `None`: NULL is involved.
    pub fn compare(&self, a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
        self.how.compare(&Datum::of(a), &Datum::of(b))
    }

    /// Whether the keys of values sort as the values do.
    pub fn keys_are_ordered(&self) -> bool {
        matches!(self.how, How::Int | How::Moment | How::Time)
    }

    /// Appends bytes that are equal exactly when the values compare equal and that tell where they end; false for NULL,
    /// for which nothing is appended.
    pub fn key(&self, value: &Value<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let written = self.how.key(&Datum::of(value), out).is_some();
        if !written {
            out.truncate(start);
        }
        written
    }
}

impl From<super::decimal::OutOfRange> for EvaluationError {
    fn from(problem: super::decimal::OutOfRange) -> Self {
        match problem {
            super::decimal::OutOfRange::Whole => EvaluationError::OutOfRange("DECIMAL"),
            super::decimal::OutOfRange::Fraction => {
                EvaluationError::Argument("a product", "factors of too many digits")
            }
        }
    }
}
