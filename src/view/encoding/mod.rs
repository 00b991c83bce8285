//! Rows and keys as the join state keeps them.
//!
//! A stored row: a version byte; a bit for each stored slot, set where it is NULL; then each value that is not, one byte that tells its
//! kind in the lower half and in the upper half its size or what fits there, and its bytes. Text and bytes are
//! borrowed from the buffer when a row is read back.
//!
//! A key: each value in turn, such that where one ends is told by its own bytes. So the encoding of the first values is a
//! prefix of the keys that begin with these values and of no others. Numbers and moments sort by size, text by its bytes:
//! rows that are copied in the order of their keys are stored in it.

mod key;
mod take;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

pub use key::{after_values, encode_key};

use crate::change::{Row, Temporal, Text, TimeOfDay, Value};
use crate::error::{Error, Kind, Result};
use take::Input;

/// The version of stored rows. Others are refused, never guessed at.
const VERSION: u8 = 1;

const INT: u8 = 0;
const UINT: u8 = 1;
const FLOAT: u8 = 2;
const DOUBLE: u8 = 3;
const DECIMAL: u8 = 4;
const TEXT: u8 = 5;
const SET: u8 = 6;
const BYTES: u8 = 7;
const DATE: u8 = 8;
const DATE_TIME: u8 = 9;
const TIMESTAMP: u8 = 10;
const TIME: u8 = 11;
const YEAR: u8 = 12;
const BIT: u8 = 13;
const JSON: u8 = 14;
/// The upper half tells which.
const OTHER: u8 = 15;
const GEOMETRY: u8 = 0;
const VECTOR: u8 = 1;
/// Text, and its bytes in its own character set.
const CODED: u8 = 2;
/// The same, where some of them stand for nothing.
const NOTHING: u8 = 3;

/// In the upper half: a length follows, or the fields one by one.
const LONG: u8 = 15;

/// Which slots of a table's rows are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowShape {
    slots: Vec<usize>,
    width: usize,
}

impl RowShape {
    /// The stored slots, each one once, and how many slots a row has.
    pub fn new(slots: Vec<usize>, width: usize) -> RowShape {
        RowShape { slots, width }
    }

    /// The stored slots.
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// Replaces `out` by the stored form of the row.
    ///
    /// # Errors
    /// `Internal` where the row has not as many slots as the shape says.
    pub fn encode(&self, row: &Row<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.clear();
        out.push(VERSION);
        let nulls = out.len();
        out.resize(nulls + self.slots.len().div_ceil(8), 0);
        for (number, slot) in self.slots.iter().enumerate() {
            let value = row.values.get(*slot).ok_or_else(|| {
                Error::new(Kind::Internal, "a row has fewer slots than its table")
            })?;
            if *value != Value::Null {
                write::value(value, out);
            } else if let Some(byte) = out.get_mut(nulls + number / 8) {
                *byte |= 1 << (number % 8);
            }
        }
        Ok(())
    }

    /// The row whose stored form this is; slots that are not stored are NULL.
    ///
    /// # Errors
    /// `Store` where the bytes are no row of this shape.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Row<'a>> {
        self.read(bytes).ok_or_else(|| {
            Error::new(Kind::Store, "a row of the join state cannot be read").with_remedy(
                "the state is damaged, or another penstock wrote it: start over with `penstock run --resnapshot`",
            )
        })
    }

    fn read<'a>(&self, bytes: &'a [u8]) -> Option<Row<'a>> {
        let mut input = Input::new(bytes);
        if input.byte()? != VERSION {
            return None;
        }
        let nulls = input.take(self.slots.len().div_ceil(8))?;
        let mut values = vec![Value::Null; self.width];
        for (number, slot) in self.slots.iter().enumerate() {
            if nulls.get(number / 8)? & (1 << (number % 8)) == 0 {
                *values.get_mut(*slot)? = value(&mut input)?;
            }
        }
        input.is_empty().then_some(Row { values })
    }
}

fn value<'a>(input: &mut Input<'a>) -> Option<Value<'a>> {
    let head = input.byte()?;
    let (kind, upper) = (head & 0x0f, head >> 4);
    Some(match kind {
        INT => {
            let folded = input.uint(upper)?;
            Value::Int((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
        }
        UINT => Value::UInt(input.uint(upper)?),
        BIT => Value::Bit(input.uint(upper)?),
        YEAR => Value::Year(u16::try_from(input.uint(upper)?).ok()?),
        FLOAT => Value::Float(f32::from_bits(u32::from_le_bytes(input.array()?))),
        DOUBLE => Value::Double(f64::from_bits(u64::from_le_bytes(input.array()?))),
        DECIMAL => Value::Decimal(input.text(upper)?.into()),
        TEXT => Value::Text(input.text(upper)?.into()),
        SET => Value::Set(input.text(upper)?.into()),
        JSON => Value::Json(input.text(upper)?.into()),
        BYTES => Value::Bytes(Cow::Borrowed(input.bytes(upper)?)),
        DATE => Value::Date(temporal(input, upper)?),
        DATE_TIME => Value::DateTime(temporal(input, upper)?),
        TIMESTAMP => Value::Timestamp(temporal(input, upper)?),
        TIME => Value::Time(time(input, upper)?),
        _ => {
            let bytes = input.bytes(LONG)?;
            match upper {
                GEOMETRY => Value::Geometry(bytes.into()),
                VECTOR => Value::Vector(bytes.into()),
                CODED | NOTHING => {
                    let shown = std::str::from_utf8(bytes).ok()?.to_owned();
                    let codes = input.bytes(LONG)?.into();
                    Value::Text(Text::with_codes(shown, codes, upper == CODED))
                }
                _ => return None,
            }
        }
    })
}

/// The upper half: 0 a date alone; 1 to 7 no microseconds, one more than the digits shown; 8 to 14 the same with
/// microseconds; 15 every field.
fn temporal(input: &mut Input<'_>, upper: u8) -> Option<Temporal> {
    if upper == LONG {
        return Some(Temporal {
            year: u16::from_be_bytes(input.array()?),
            month: input.byte()?,
            day: input.byte()?,
            hour: input.byte()?,
            minute: input.byte()?,
            second: input.byte()?,
            micros: u32::from_be_bytes(input.array()?),
            fsp: input.byte()?,
        });
    }
    let mut moment = Temporal::default();
    let packed = input.uint(if upper == 0 { 3 } else { 5 })?;
    let date = if upper == 0 { packed } else { packed >> 17 };
    moment.year = u16::try_from(date >> 9).ok()?;
    moment.month = (date >> 5 & 0x0f) as u8;
    moment.day = (date & 0x1f) as u8;
    if upper > 0 {
        moment.hour = (packed >> 12 & 0x1f) as u8;
        moment.minute = (packed >> 6 & 0x3f) as u8;
        moment.second = (packed & 0x3f) as u8;
        moment.fsp = (upper - 1) % 7;
    }
    if upper > 7 {
        moment.micros = u32::try_from(input.uint(3)?).ok()?;
    }
    Some(moment)
}

/// The upper half: 0 to 6 the digits shown, no microseconds; 7 to 13 the same with microseconds; 15 every field.
fn time(input: &mut Input<'_>, upper: u8) -> Option<TimeOfDay> {
    if upper == LONG {
        return Some(TimeOfDay {
            negative: input.byte()? != 0,
            hours: u16::from_be_bytes(input.array()?),
            minutes: input.byte()?,
            seconds: input.byte()?,
            micros: u32::from_be_bytes(input.array()?),
            fsp: input.byte()?,
        });
    }
    let packed = input.uint(3)?;
    let micros = if upper > 6 { input.uint(3)? } else { 0 };
    Some(TimeOfDay {
        negative: packed >> 22 & 1 == 1,
        hours: (packed >> 12 & 0x3ff) as u16,
        minutes: (packed >> 6 & 0x3f) as u8,
        seconds: (packed & 0x3f) as u8,
        micros: u32::try_from(micros).ok()?,
        fsp: upper % 7,
    })
}
