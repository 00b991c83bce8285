//! Values while they are computed with.

use std::borrow::Cow;

use super::calendar;
use super::decimal::{Dec, Rounding};
use crate::change::{
    Temporal, Text, TimeOfDay, Value, write_double, write_float, write_int, write_uint,
};

/// A value of an expression or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum<'a> {
    Null,
    Int(i64),
    UInt(u64),
    Decimal(Dec),
    Float(f32),
    Double(f64),
    Text(Text<'a>),
    Bytes(Cow<'a, [u8]>),
    Date(Temporal),
    DateTime(Temporal),
    Time(TimeOfDay),
    Year(u16),
    Json(Cow<'a, str>),
}

impl<'a> Datum<'a> {
    /// A row's value. GEOMETRY and VECTOR are bytes here.
    pub fn of(value: &'a Value<'_>) -> Self {
        match value {
            Value::Null => Datum::Null,
            Value::Int(number) => Datum::Int(*number),
            Value::UInt(number) | Value::Bit(number) => Datum::UInt(*number),
            Value::Float(number) => Datum::Float(*number),
            Value::Double(number) => Datum::Double(*number),
            Value::Text(text) => Datum::Text(text.lent()),
            Value::Set(text) => Datum::text(&**text),
            Value::Bytes(bytes) | Value::Geometry(bytes) | Value::Vector(bytes) => {
                Datum::Bytes(Cow::Borrowed(bytes))
            }
            Value::Date(date) => Datum::Date(*date),
            Value::DateTime(moment) | Value::Timestamp(moment) => Datum::DateTime(*moment),
            Value::Time(time) => Datum::Time(*time),
            Value::Year(year) => Datum::Year(*year),
            Value::Json(document) => Datum::Json(document.text()),
            Value::Decimal(_) => {
                let mut text = String::new();
                value.write_text(&mut text);
                Datum::Decimal(Dec::from_leading(&text))
            }
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    pub fn bool(truth: bool) -> Self {
        Datum::Int(i64::from(truth))
    }

    pub fn maybe(truth: Option<bool>) -> Self {
        truth.map_or(Datum::Null, Datum::bool)
    }

    pub fn text(text: impl Into<Text<'a>>) -> Self {
        Datum::Text(text.into())
    }

    /// As a row's value.
    pub fn into_value(self) -> Value<'a> {
        match self {
            Datum::Null => Value::Null,
            Datum::Int(number) => Value::Int(number),
            Datum::UInt(number) => Value::UInt(number),
            Datum::Decimal(number) => Value::Decimal(number.to_text().into()),
            Datum::Float(number) => Value::Float(number),
            Datum::Double(number) => Value::Double(shown(number)),
            Datum::Text(text) => Value::Text(text),
            Datum::Bytes(bytes) => Value::Bytes(bytes),
            Datum::Date(date) => Value::Date(date),
            Datum::DateTime(moment) => Value::DateTime(moment),
            Datum::Time(time) => Value::Time(time),
            Datum::Year(year) => Value::Year(year),
            Datum::Json(text) => Value::Json(text.into()),
        }
    }

    /// The text that MySQL makes of it; `None` for NULL and for bytes that are no UTF-8.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        let mut out = String::new();
        match self {
            Datum::Null => return None,
            Datum::Text(text) => return Some(text.into_shown()),
            Datum::Json(text) => return Some(text),
            Datum::Bytes(Cow::Borrowed(bytes)) => {
                return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
            }
            Datum::Bytes(Cow::Owned(bytes)) => {
                return String::from_utf8(bytes).ok().map(Cow::Owned);
            }
            Datum::Int(number) => write_int(number, &mut out),
            Datum::UInt(number) => write_uint(number, &mut out),
            Datum::Decimal(number) => number.write(&mut out),
            Datum::Float(number) => write_float(number, &mut out),
            Datum::Double(number) => write_double(shown(number), &mut out),
            other => {
                other.into_value().write_text(&mut out);
            }
        }
        Some(Cow::Owned(out))
    }

    /// As an exact number: what a text begins with, a date as its digits. `None` for NULL.
    pub fn to_decimal(&self) -> Option<Dec> {
        Some(match self {
            Datum::Null => return None,
            Datum::Int(number) => Dec::from_int(i128::from(*number)),
            Datum::UInt(number) => Dec::from_int(i128::from(*number)),
            Datum::Decimal(number) => number.clone(),
            Datum::Float(number) => Dec::from_f64(f64::from(*number)),
            Datum::Double(number) => Dec::from_f64(*number),
            Datum::Text(text) => Dec::from_leading(text.numeric()),
            Datum::Json(text) => Dec::from_leading(text),
            Datum::Bytes(bytes) => Dec::from_leading(&String::from_utf8_lossy(bytes)),
            Datum::Date(date) => Dec::from_int(i128::from(calendar::number_of(date, false))),
            Datum::DateTime(moment) => fraction(
                i128::from(calendar::number_of(moment, true)),
                moment.micros,
                moment.fsp,
            ),
            Datum::Time(time) => {
                let number = (i128::from(time.hours) * 100 + i128::from(time.minutes)) * 100
                    + i128::from(time.seconds);
                let number = fraction(number, time.micros, time.fsp);
                if time.negative {
                    number.negated()
                } else {
                    number
                }
            }
            Datum::Year(year) => Dec::from_int(i128::from(*year)),
        })
    }

    pub fn to_f64(&self) -> Option<f64> {
        Some(match self {
            Datum::Null => return None,
            Datum::Int(number) => *number as f64,
            Datum::UInt(number) => *number as f64,
            Datum::Float(number) => f64::from(*number),
            Datum::Double(number) => *number,
            Datum::Text(text) => leading_double(text.numeric()),
            Datum::Json(text) => leading_double(text),
            Datum::Bytes(bytes) => leading_double(&String::from_utf8_lossy(bytes)),
            other => other.to_decimal()?.to_f64(),
        })
    }

    /// As an integer, fractions rounded half away from zero (those of doubles: half to even); a text's leading digits
    /// only. `None` for NULL.
    pub fn to_int(&self) -> Option<i128> {
        Some(match self {
            Datum::Null => return None,
            Datum::Int(number) => i128::from(*number),
            Datum::UInt(number) => i128::from(*number),
            Datum::Year(year) => i128::from(*year),
            // Beyond the range the server's processor decides; this is what all of them that we know of give.
            Datum::Float(number) => {
                let number = double_to_int(f64::from(*number));
                i64::try_from(number).map_or(i128::from(i64::MIN), i128::from)
            }
            Datum::Double(number) => double_to_int(*number),
            Datum::Text(text) => leading_int(text.numeric()),
            Datum::Json(text) => leading_int(text),
            Datum::Bytes(bytes) => leading_int(&String::from_utf8_lossy(bytes)),
            Datum::DateTime(moment) => {
                let rounded = calendar::with_fsp(moment, 0).unwrap_or(*moment);
                i128::from(calendar::number_of(&rounded, true))
            }
            Datum::Time(time) => {
                return Datum::Time(calendar::time_with_fsp(time, 0))
                    .to_decimal()?
                    .to_int(Rounding::HalfUp);
            }
            other => {
                let number = other.to_decimal()?;
                number
                    .to_int(Rounding::HalfUp)
                    .unwrap_or(if number.is_negative() {
                        i128::MIN
                    } else {
                        i128::MAX
                    })
            }
        })
    }

    /// Whether it counts as true; `None` for NULL.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Datum::Null => None,
            Datum::Int(number) => Some(*number != 0),
            Datum::UInt(number) => Some(*number != 0),
            Datum::Decimal(number) => Some(!number.is_zero()),
            other => other.to_f64().map(|number| number != 0.0),
        }
    }
}

/// A moment without a fraction is a whole number, whatever its type could show.
fn fraction(whole: i128, micros: u32, fsp: u8) -> Dec {
    if micros == 0 {
        return Dec::from_int(whole);
    }
    let shown = u32::from(fsp.min(6));
    let digits = i128::from(micros / 10_u32.pow(6 - shown));
    Dec::new(whole * 10_i128.pow(shown) + digits, shown as u8)
}

/// ROUND alone can leave the range of doubles; MySQL shows such a number as 0.
fn shown(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}

fn double_to_int(number: f64) -> i128 {
    number.round_ties_even() as i128
}

/// The integer that a text begins with, after white space.
fn leading_int(text: &str) -> i128 {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = digits
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(digits.len());
    let number = match digits[..end].trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().unwrap_or(i128::MAX),
    };
    if negative { -number } else { number }
}

/// The number that a text begins with, as a double; beyond its range the largest.
pub(super) fn leading_double(text: &str) -> f64 {
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|b| b.is_ascii_digit()).count()
    };
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(start);
    let mut at = start + whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if whole + fraction == 0 {
            return 0.0;
        }
        at += 1 + fraction;
    } else if whole == 0 {
        return 0.0;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
        let count = digits(at + 1 + sign);
        if count > 0 {
            at += 1 + sign + count;
        }
    }
    let number: f64 = text[..at].parse().unwrap_or(0.0);
    number.clamp(f64::MIN, f64::MAX)
}
