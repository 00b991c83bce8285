//! One value of a row image.

use std::borrow::Cow;

use crate::change::charset::Charset;
use crate::change::{
    Decimal, Json, Value, write_double, write_fixed_float, write_float, write_uint,
};
use crate::schema::NumberStyle;

use super::temporal;
use super::wire::Wire;

/// What a column's bytes mean: the part that the wire type does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Numbers, dates, JSON, …: the wire type says it all, but for the sign.
    Plain {
        unsigned: bool,
    },
    /// Numbers whose declaration says how they are printed.
    Printed(NumberStyle),
    Text(Charset),
    Bytes,
    /// BINARY(n): padded to `length`.
    Binary {
        length: usize,
    },
    /// Labels, the first for the number 1 (ENUM) or bit 0 (SET).
    Labels(Vec<String>),
}

/// Reads a value from its bytes; `Err` says what it is not.
#[inline]
pub(super) fn read<'a>(
    wire: Wire,
    meaning: &'a Meaning,
    bytes: &'a [u8],
) -> Result<Value<'a>, &'static str> {
    Ok(match (wire, meaning) {
        (Wire::Int { .. }, Meaning::Plain { unsigned }) => int(bytes, *unsigned),
        (
            Wire::Variable { .. } | Wire::Fixed { .. } | Wire::Blob { .. },
            Meaning::Text(charset),
        ) => Value::Text(text(*charset, bytes)?),
        (Wire::Variable { .. } | Wire::Fixed { .. } | Wire::Blob { .. }, Meaning::Bytes) => {
            Value::Bytes(Cow::Borrowed(bytes))
        }
        (Wire::Fixed { .. }, Meaning::Binary { length }) => Value::Bytes(padded(bytes, *length)),
        (Wire::Enum { .. }, Meaning::Labels(labels)) => {
            Value::Text(Cow::Borrowed(label(unsigned(bytes), labels).ok_or("ENUM")?))
        }
        (Wire::Set { .. }, Meaning::Labels(labels)) => {
            Value::Set(joined(unsigned(bytes), labels).ok_or("SET")?)
        }
        (_, Meaning::Plain { .. }) => plain(wire, bytes)?,
        (_, Meaning::Printed(style)) => Value::Decimal(printed(wire, bytes, *style)?.into()),
        _ => return Err("what its column holds"),
    })
}

fn plain<'a>(wire: Wire, bytes: &'a [u8]) -> Result<Value<'a>, &'static str> {
    Ok(match wire {
        Wire::Float => Value::Float(float(bytes).ok_or("FLOAT")?),
        Wire::Double => Value::Double(double(bytes).ok_or("DOUBLE")?),
        Wire::Decimal { precision, scale } => {
            Value::Decimal(Decimal::packed(bytes, precision, scale).ok_or("DECIMAL")?)
        }
        Wire::Bit { bits } => Value::Bit(bit(bytes, bits).ok_or("BIT")?),
        Wire::Year => Value::Year(match bytes {
            [0] => 0,
            [year] => 1900 + u16::from(*year),
            _ => return Err("YEAR"),
        }),
        Wire::Date => Value::Date(temporal::date(bytes).ok_or("DATE")?),
        Wire::DateTime { fsp } => {
            Value::DateTime(temporal::date_time(bytes, fsp).ok_or("DATETIME")?)
        }
        Wire::OldDateTime => Value::DateTime(temporal::old_date_time(bytes).ok_or("DATETIME")?),
        Wire::Timestamp { fsp } => {
            Value::Timestamp(temporal::timestamp(bytes, fsp).ok_or("TIMESTAMP")?)
        }
        Wire::OldTimestamp => Value::Timestamp(temporal::old_timestamp(bytes).ok_or("TIMESTAMP")?),
        Wire::Time { fsp } => Value::Time(temporal::time(bytes, fsp).ok_or("TIME")?),
        Wire::OldTime => Value::Time(temporal::old_time(bytes).ok_or("TIME")?),
        Wire::Json { .. } => Value::Json(Json::binary(bytes).ok_or("JSON")?),
        Wire::Geometry { .. } => Value::Geometry(Cow::Borrowed(bytes)),
        Wire::Vector { .. } => Value::Vector(Cow::Borrowed(bytes)),
        _ => return Err("what its column holds"),
    })
}

/// A number as MySQL prints it in a column of this declaration. ZEROFILL columns are unsigned.
fn printed(wire: Wire, bytes: &[u8], style: NumberStyle) -> Result<String, &'static str> {
    let mut text = String::new();
    match wire {
        Wire::Int { .. } => write_uint(unsigned(bytes), &mut text),
        Wire::Float => {
            let number = float(bytes).ok_or("FLOAT")?;
            match style.decimals {
                Some(decimals) => write_fixed_float(number.into(), decimals, &mut text),
                None => write_float(number, &mut text),
            }
        }
        Wire::Double => {
            let number = double(bytes).ok_or("DOUBLE")?;
            match style.decimals {
                Some(decimals) => write_fixed_float(number, decimals, &mut text),
                None => write_double(number, &mut text),
            }
        }
        Wire::Decimal { precision, scale } => {
            Decimal::packed(bytes, precision, scale)
                .ok_or("DECIMAL")?
                .write(&mut text);
        }
        _ => return Err("what its column holds"),
    }
    let missing = usize::from(style.width).saturating_sub(text.len());
    if missing > 0 {
        text.insert_str(0, &"0".repeat(missing));
    }
    Ok(text)
}

/// MySQL stores neither infinity nor what is no number.
fn float(bytes: &[u8]) -> Option<f32> {
    let number = f32::from_le_bytes(bytes.try_into().ok()?);
    number.is_finite().then_some(number)
}

fn double(bytes: &[u8]) -> Option<f64> {
    let number = f64::from_le_bytes(bytes.try_into().ok()?);
    number.is_finite().then_some(number)
}

#[inline]
fn int<'a>(bytes: &[u8], is_unsigned: bool) -> Value<'a> {
    let number = unsigned(bytes);
    if is_unsigned {
        return Value::UInt(number);
    }
    let shift = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    Value::Int(((number << shift) as i64) >> shift)
}

/// Little endian, up to 8 bytes.
#[inline]
fn unsigned(bytes: &[u8]) -> u64 {
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => bytes
            .iter()
            .take(8)
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    }
}

/// BIT(n): big endian, no bit set beyond the n-th.
pub(super) fn bit(bytes: &[u8], bits: u8) -> Option<u64> {
    if bytes.len() != usize::from(bits).div_ceil(8) {
        return None;
    }
    let number = bytes
        .iter()
        .fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    (bits >= 64 || number >> bits == 0).then_some(number)
}

#[inline]
pub(super) fn text(charset: Charset, bytes: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    charset
        .decode(bytes)
        .map_err(|_| "text in its character set")
}

/// The image has BINARY without its trailing zero bytes.
fn padded(bytes: &[u8], length: usize) -> Cow<'_, [u8]> {
    if bytes.len() >= length {
        return Cow::Borrowed(bytes);
    }
    let mut padded = Vec::with_capacity(length);
    padded.extend_from_slice(bytes);
    padded.resize(length, 0);
    Cow::Owned(padded)
}

/// The number 0 is the empty string that stands for a value which was refused.
fn label(number: u64, labels: &[String]) -> Option<&str> {
    match usize::try_from(number).ok()?.checked_sub(1) {
        None => Some(""),
        Some(index) => labels.get(index).map(String::as_str),
    }
}

fn joined(bits: u64, labels: &[String]) -> Option<Cow<'_, str>> {
    if bits.count_ones() <= 1 {
        return match bits {
            0 => Some(Cow::Borrowed("")),
            _ => labels
                .get(bits.trailing_zeros() as usize)
                .map(|label| Cow::Borrowed(label.as_str())),
        };
    }
    let mut text = String::with_capacity(32);
    let mut left = bits;
    while left != 0 {
        if left != bits {
            text.push(',');
        }
        text.push_str(labels.get(left.trailing_zeros() as usize)?);
        left &= left - 1;
    }
    Some(Cow::Owned(text))
}
