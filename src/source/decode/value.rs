//! One value of a row image: how a column's bytes are taken from the image and what they become.

use std::borrow::Cow;

use crate::change::charset::Charset;
use crate::change::{
    Decimal, Json, Value, write_double, write_fixed_float, write_float, write_uint,
};
use crate::schema::NumberStyle;

use super::labels::Labels;
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

/// Why there is no value. A byte, since every read of a row image returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    /// The image ends before the value does.
    Truncated,
    Float,
    Double,
    Decimal,
    Bit,
    Year,
    Date,
    DateTime,
    Timestamp,
    Time,
    Text,
    Enum,
    Set,
    Json,
    Difference,
    /// The type's form and what the column means do not go together; binding a layout refuses that.
    Other,
}

impl Invalid {
    /// What the value is not.
    pub fn name(self) -> &'static str {
        match self {
            Invalid::Truncated => "row image",
            Invalid::Float => "FLOAT",
            Invalid::Double => "DOUBLE",
            Invalid::Decimal => "DECIMAL",
            Invalid::Bit => "BIT",
            Invalid::Year => "YEAR",
            Invalid::Date => "DATE",
            Invalid::DateTime => "DATETIME",
            Invalid::Timestamp => "TIMESTAMP",
            Invalid::Time => "TIME",
            Invalid::Text => "text in its character set",
            Invalid::Enum => "ENUM",
            Invalid::Set => "SET",
            Invalid::Json => "JSON",
            Invalid::Difference => "the result of a JSON difference",
            Invalid::Other => "what its column holds",
        }
    }
}

/// How a column is read: type and meaning in one, so that a value costs one branch. `prefix` is how many bytes the
/// length before a value takes, `length` how many bytes the value itself takes.
#[derive(Debug, Clone)]
pub(super) enum Read {
    /// The plan does not use the column.
    Skip(Wire),
    Int1,
    Int2,
    Int4,
    Int8,
    Unsigned1,
    Unsigned2,
    Unsigned4,
    Unsigned8,
    /// MEDIUMINT.
    Int3,
    Unsigned3,
    Decimal {
        length: u8,
        precision: u8,
        scale: u8,
    },
    Double,
    Date,
    DateTime {
        length: u8,
        fsp: u8,
    },
    Timestamp {
        length: u8,
        fsp: u8,
    },
    Time {
        length: u8,
        fsp: u8,
    },
    Utf8 {
        prefix: u8,
    },
    Bytes {
        prefix: u8,
    },
    Enum1(Labels),
    Set1(Labels),
    Json {
        prefix: u8,
    },
    /// All that is rarer.
    Other(Wire, Meaning),
}

impl Read {
    pub fn new(wire: Wire, meaning: Meaning) -> Self {
        let length = wire.length().unwrap_or_default();
        let prefix = wire.prefix();
        match (wire, meaning) {
            (Wire::Int { bytes }, Meaning::Plain { unsigned }) => match (bytes, unsigned) {
                (1, false) => Read::Int1,
                (2, false) => Read::Int2,
                (3, false) => Read::Int3,
                (4, false) => Read::Int4,
                (8, false) => Read::Int8,
                (1, true) => Read::Unsigned1,
                (2, true) => Read::Unsigned2,
                (3, true) => Read::Unsigned3,
                (4, true) => Read::Unsigned4,
                (8, true) => Read::Unsigned8,
                _ => Read::Other(wire, Meaning::Plain { unsigned }),
            },
            (Wire::Double, Meaning::Plain { .. }) => Read::Double,
            (Wire::Decimal { precision, scale }, Meaning::Plain { .. }) => Read::Decimal {
                length,
                precision,
                scale,
            },
            (Wire::Date, Meaning::Plain { .. }) => Read::Date,
            (Wire::DateTime { fsp }, Meaning::Plain { .. }) => Read::DateTime { length, fsp },
            (Wire::Timestamp { fsp }, Meaning::Plain { .. }) => Read::Timestamp { length, fsp },
            (Wire::Time { fsp }, Meaning::Plain { .. }) => Read::Time { length, fsp },
            (Wire::Variable { .. } | Wire::Fixed { .. } | Wire::Blob { .. }, Meaning::Bytes) => {
                Read::Bytes { prefix }
            }
            (
                Wire::Variable { .. } | Wire::Fixed { .. } | Wire::Blob { .. },
                Meaning::Text(charset),
            ) if charset.is_utf8() => Read::Utf8 { prefix },
            (Wire::Enum { bytes: 1 }, Meaning::Labels(labels)) => Read::Enum1(Labels::new(labels)),
            (Wire::Set { bytes: 1 }, Meaning::Labels(labels)) => Read::Set1(Labels::new(labels)),
            (Wire::Json { .. }, Meaning::Plain { .. }) => Read::Json { prefix },
            (wire, meaning) => Read::Other(wire, meaning),
        }
    }

    /// Takes one value, which is not NULL, from the front of `rest` and appends it to `values`,
    /// unless the plan does not use the column.
    #[inline(always)]
    pub fn value<'a>(
        &'a self,
        rest: &mut &'a [u8],
        values: &mut Vec<Value<'a>>,
    ) -> Result<(), Invalid> {
        match self {
            Read::Skip(wire) => {
                wire.take(rest)?;
            }
            Read::Int1 => int(values, i8::from_le_bytes(array(rest)?)),
            Read::Int2 => int(values, i16::from_le_bytes(array(rest)?)),
            Read::Int4 => int(values, i32::from_le_bytes(array(rest)?)),
            Read::Int8 => int(values, i64::from_le_bytes(array(rest)?)),
            Read::Unsigned1 => uint(values, u8::from_le_bytes(array(rest)?)),
            Read::Unsigned2 => uint(values, u16::from_le_bytes(array(rest)?)),
            Read::Unsigned4 => uint(values, u32::from_le_bytes(array(rest)?)),
            Read::Unsigned8 => uint(values, u64::from_le_bytes(array(rest)?)),
            Read::Int3 => {
                let [a, b, c] = array(rest)?;
                int(values, i32::from_le_bytes([0, a, b, c]) >> 8);
            }
            Read::Unsigned3 => {
                let [a, b, c] = array(rest)?;
                uint(values, u32::from_le_bytes([a, b, c, 0]));
            }
            Read::Decimal {
                length,
                precision,
                scale,
            } => {
                let bytes = take(rest, usize::from(*length))?;
                let decimal = Decimal::packed(bytes, *precision, *scale);
                let decimal = decimal.ok_or(Invalid::Decimal)?;
                append(values, || Value::Decimal(decimal));
            }
            Read::Double => {
                let number = f64::from_le_bytes(array(rest)?);
                if !number.is_finite() {
                    return Err(Invalid::Double);
                }
                append(values, || Value::Double(number));
            }
            Read::Date => {
                let date = temporal::date(array(rest)?).ok_or(Invalid::Date)?;
                append(values, || Value::Date(date));
            }
            Read::DateTime { length, fsp } => {
                let bytes = take(rest, usize::from(*length))?;
                let moment = temporal::date_time(bytes, *fsp).ok_or(Invalid::DateTime)?;
                append(values, || Value::DateTime(moment));
            }
            Read::Timestamp { length, fsp } => {
                let bytes = take(rest, usize::from(*length))?;
                let moment = temporal::timestamp(bytes, *fsp).ok_or(Invalid::Timestamp)?;
                append(values, || Value::Timestamp(moment));
            }
            Read::Time { length, fsp } => {
                let bytes = take(rest, usize::from(*length))?;
                let time = temporal::time(bytes, *fsp).ok_or(Invalid::Time)?;
                append(values, || Value::Time(time));
            }
            Read::Utf8 { prefix } => {
                let text = std::str::from_utf8(counted(rest, *prefix)?);
                let text = text.map_err(|_| Invalid::Text)?;
                append(values, || Value::Text(text.into()));
            }
            Read::Bytes { prefix } => {
                let bytes = counted(rest, *prefix)?;
                append(values, || Value::Bytes(Cow::Borrowed(bytes)));
            }
            Read::Enum1(labels) => {
                let [number] = array(rest)?;
                let label = labels.label(number.into()).ok_or(Invalid::Enum)?;
                append(values, || Value::Text(label.into()));
            }
            Read::Set1(labels) => {
                let [bits] = array(rest)?;
                let text = labels.joined(bits.into()).ok_or(Invalid::Set)?;
                append(values, || Value::Set(text));
            }
            Read::Json { prefix } => {
                let document = Json::binary(counted(rest, *prefix)?).ok_or(Invalid::Json)?;
                append(values, || Value::Json(document));
            }
            Read::Other(wire, meaning) => {
                let value = other(*wire, meaning, wire.take(rest)?)?;
                append(values, || value);
            }
        }
        Ok(())
    }
}

/// Appends what `value` makes, which is then made in its place: pushed, it would be put together on the stack and moved,
/// and reading a value of many small parts as one right after writing them stalls the processor.
#[inline(always)]
fn append<'a>(values: &mut Vec<Value<'a>>, value: impl FnOnce() -> Value<'a>) {
    values.extend(std::iter::once_with(value));
}

#[inline(always)]
fn int(values: &mut Vec<Value<'_>>, number: impl Into<i64>) {
    append(values, || Value::Int(number.into()));
}

#[inline(always)]
fn uint(values: &mut Vec<Value<'_>>, number: impl Into<u64>) {
    append(values, || Value::UInt(number.into()));
}

/// The first `N` bytes.
#[inline(always)]
fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Invalid> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(Invalid::Truncated)?;
    *rest = after;
    Ok(*taken)
}

/// The first `length` bytes.
#[inline(always)]
pub(super) fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Invalid> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Invalid::Truncated)?;
    *rest = after;
    Ok(taken)
}

/// The bytes after their length, which takes `prefix` bytes.
#[inline(always)]
pub(super) fn counted<'a>(rest: &mut &'a [u8], prefix: u8) -> Result<&'a [u8], Invalid> {
    let length = match prefix {
        1 => usize::from(u8::from_le_bytes(array(rest)?)),
        2 => usize::from(u16::from_le_bytes(array(rest)?)),
        3 => {
            let [a, b, c] = array(rest)?;
            u32::from_le_bytes([a, b, c, 0]) as usize
        }
        _ => u32::from_le_bytes(array(rest)?) as usize,
    };
    take(rest, length)
}

/// Reads a value of a rarer kind from its bytes.
#[inline(never)]
fn other<'a>(wire: Wire, meaning: &'a Meaning, bytes: &'a [u8]) -> Result<Value<'a>, Invalid> {
    Ok(match (wire, meaning) {
        (
            Wire::Variable { .. } | Wire::Fixed { .. } | Wire::Blob { .. },
            Meaning::Text(charset),
        ) => Value::Text(charset.text(bytes).map_err(|_| Invalid::Text)?),
        (Wire::Fixed { .. }, Meaning::Binary { length }) => Value::Bytes(padded(bytes, *length)),
        (Wire::Enum { .. }, Meaning::Labels(labels)) => {
            let label = super::labels::label(labels, unsigned(bytes));
            Value::Text(label.ok_or(Invalid::Enum)?.into())
        }
        (Wire::Set { .. }, Meaning::Labels(labels)) => {
            Value::Set(super::labels::joined(labels, unsigned(bytes)).ok_or(Invalid::Set)?)
        }
        (_, Meaning::Plain { .. }) => plain(wire, bytes)?,
        (_, Meaning::Printed(style)) => Value::Decimal(printed(wire, bytes, *style)?.into()),
        _ => return Err(Invalid::Other),
    })
}

fn plain<'a>(wire: Wire, bytes: &'a [u8]) -> Result<Value<'a>, Invalid> {
    Ok(match wire {
        Wire::Float => Value::Float(float(bytes)?),
        Wire::Bit { bits } => Value::Bit(bit(bytes, bits).ok_or(Invalid::Bit)?),
        Wire::Year => Value::Year(match bytes {
            [0] => 0,
            [year] => 1900 + u16::from(*year),
            _ => return Err(Invalid::Year),
        }),
        Wire::OldDateTime => {
            Value::DateTime(temporal::old_date_time(bytes).ok_or(Invalid::DateTime)?)
        }
        Wire::OldTimestamp => {
            Value::Timestamp(temporal::old_timestamp(bytes).ok_or(Invalid::Timestamp)?)
        }
        Wire::OldTime => Value::Time(temporal::old_time(bytes).ok_or(Invalid::Time)?),
        Wire::Geometry { .. } => Value::Geometry(Cow::Borrowed(bytes)),
        Wire::Vector { .. } => Value::Vector(Cow::Borrowed(bytes)),
        _ => return Err(Invalid::Other),
    })
}

/// A number as MySQL prints it in a column of this declaration. ZEROFILL columns are unsigned.
fn printed(wire: Wire, bytes: &[u8], style: NumberStyle) -> Result<String, Invalid> {
    let mut text = String::new();
    match wire {
        Wire::Int { .. } => write_uint(unsigned(bytes), &mut text),
        Wire::Float => {
            let number = float(bytes)?;
            match style.decimals {
                Some(decimals) => write_fixed_float(number.into(), decimals, &mut text),
                None => write_float(number, &mut text),
            }
        }
        Wire::Double => {
            let number = double(bytes)?;
            match style.decimals {
                Some(decimals) => write_fixed_float(number, decimals, &mut text),
                None => write_double(number, &mut text),
            }
        }
        Wire::Decimal { precision, scale } => {
            let number = Decimal::packed(bytes, precision, scale);
            number.ok_or(Invalid::Decimal)?.write(&mut text);
        }
        _ => return Err(Invalid::Other),
    }
    let missing = usize::from(style.width).saturating_sub(text.len());
    if missing > 0 {
        text.insert_str(0, &"0".repeat(missing));
    }
    Ok(text)
}

/// MySQL stores neither infinity nor what is no number.
fn float(bytes: &[u8]) -> Result<f32, Invalid> {
    let bytes = bytes.try_into().map_err(|_| Invalid::Float)?;
    let number = f32::from_le_bytes(bytes);
    number.is_finite().then_some(number).ok_or(Invalid::Float)
}

fn double(bytes: &[u8]) -> Result<f64, Invalid> {
    let bytes = bytes.try_into().map_err(|_| Invalid::Double)?;
    let number = f64::from_le_bytes(bytes);
    number.is_finite().then_some(number).ok_or(Invalid::Double)
}

/// Little endian, up to 8 bytes.
fn unsigned(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
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
