//! How a column's value lies in a row image: the type codes and metadata of the table map.

use crate::change::decimal;

use super::DecodeError;
use super::cursor::Cursor;
use super::value::{Invalid, counted, take};

/// The bytes of one column's value, as type and metadata of the table map tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// 1, 2, 3, 4 or 8 bytes, little endian.
    Int {
        bytes: u8,
    },
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Bit {
        bits: u8,
    },
    Year,
    Date,
    /// TIMESTAMP, DATETIME, TIME as before MySQL 5.6.
    OldTimestamp,
    OldDateTime,
    OldTime,
    Timestamp {
        fsp: u8,
    },
    DateTime {
        fsp: u8,
    },
    Time {
        fsp: u8,
    },
    Enum {
        bytes: u8,
    },
    Set {
        bytes: u8,
    },
    /// CHAR, BINARY: `length` in bytes; the prefix has one byte up to 255.
    Fixed {
        length: u16,
    },
    /// VARCHAR, VARBINARY.
    Variable {
        length: u16,
    },
    /// TEXT, BLOB with a length of `prefix` bytes.
    Blob {
        prefix: u8,
    },
    Json {
        prefix: u8,
    },
    Geometry {
        prefix: u8,
    },
    Vector {
        prefix: u8,
    },
}

/// What the optional metadata counts columns by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Numeric,
    Character,
    Enum,
    Set,
    Geometry,
    Vector,
    Other,
}

impl Wire {
    /// Takes this column's metadata from `meta`.
    pub(super) fn parse(
        type_code: u8,
        position: usize,
        meta: &mut Cursor<'_>,
    ) -> Result<Self, DecodeError> {
        let unknown = DecodeError::UnknownType {
            type_code,
            position,
        };
        Ok(match type_code {
            1 => Wire::Int { bytes: 1 },
            2 => Wire::Int { bytes: 2 },
            9 => Wire::Int { bytes: 3 },
            3 => Wire::Int { bytes: 4 },
            8 => Wire::Int { bytes: 8 },
            4 if meta.u8()? == 4 => Wire::Float,
            5 if meta.u8()? == 8 => Wire::Double,
            7 => Wire::OldTimestamp,
            10 | 14 => Wire::Date,
            11 => Wire::OldTime,
            12 => Wire::OldDateTime,
            13 => Wire::Year,
            15 | 253 => Wire::Variable {
                length: meta.u16()?,
            },
            16 => bit(meta)?,
            17 => Wire::Timestamp { fsp: fsp(meta)? },
            18 => Wire::DateTime { fsp: fsp(meta)? },
            19 => Wire::Time { fsp: fsp(meta)? },
            242 => Wire::Vector {
                prefix: prefix(meta)?,
            },
            245 => Wire::Json {
                prefix: prefix(meta)?,
            },
            246 => decimal(meta)?,
            247 | 248 | 254 => string(meta)?.ok_or(unknown)?,
            249..=252 => Wire::Blob {
                prefix: prefix(meta)?,
            },
            255 => Wire::Geometry {
                prefix: prefix(meta)?,
            },
            _ => return Err(unknown),
        })
    }

    /// Bytes of a value whose length its type says.
    pub(super) fn length(self) -> Option<u8> {
        Some(match self {
            Wire::Int { bytes } | Wire::Enum { bytes } | Wire::Set { bytes } => bytes,
            Wire::Float | Wire::OldTimestamp => 4,
            Wire::Double | Wire::OldDateTime => 8,
            Wire::Decimal { precision, scale } => decimal::packed_length(precision, scale) as u8,
            Wire::Bit { bits } => bits.div_ceil(8),
            Wire::Year => 1,
            Wire::Date | Wire::OldTime => 3,
            Wire::Timestamp { fsp } => 4 + fsp.div_ceil(2),
            Wire::DateTime { fsp } => 5 + fsp.div_ceil(2),
            Wire::Time { fsp } => 3 + fsp.div_ceil(2),
            Wire::Fixed { .. }
            | Wire::Variable { .. }
            | Wire::Blob { .. }
            | Wire::Json { .. }
            | Wire::Geometry { .. }
            | Wire::Vector { .. } => return None,
        })
    }

    /// Bytes of the length that stands before the other values, 1 to 4.
    pub(super) fn prefix(self) -> u8 {
        match self {
            Wire::Fixed { length } | Wire::Variable { length } => 1 + u8::from(length > 255),
            Wire::Blob { prefix }
            | Wire::Json { prefix }
            | Wire::Geometry { prefix }
            | Wire::Vector { prefix } => prefix,
            _ => 1,
        }
    }

    /// Takes the bytes of one value from the front of `rest`: for values with a length, what follows it.
    #[inline]
    pub(super) fn take<'a>(self, rest: &mut &'a [u8]) -> Result<&'a [u8], Invalid> {
        match self.length() {
            Some(length) => take(rest, usize::from(length)),
            None => counted(rest, self.prefix()),
        }
    }

    pub(super) fn class(self) -> Class {
        match self {
            Wire::Int { .. } | Wire::Float | Wire::Double | Wire::Decimal { .. } | Wire::Year => {
                Class::Numeric
            }
            Wire::Fixed { .. } | Wire::Variable { .. } | Wire::Blob { .. } => Class::Character,
            Wire::Enum { .. } => Class::Enum,
            Wire::Set { .. } => Class::Set,
            Wire::Geometry { .. } => Class::Geometry,
            Wire::Vector { .. } => Class::Vector,
            _ => Class::Other,
        }
    }
}

fn fsp(meta: &mut Cursor<'_>) -> Result<u8, DecodeError> {
    let fsp = meta.u8()?;
    if fsp <= 6 {
        Ok(fsp)
    } else {
        Err(DecodeError::malformed("more than six fractional digits"))
    }
}

fn prefix(meta: &mut Cursor<'_>) -> Result<u8, DecodeError> {
    let prefix = meta.u8()?;
    if (1..=4).contains(&prefix) {
        Ok(prefix)
    } else {
        Err(DecodeError::malformed(
            "a length prefix that is not of 1 to 4 bytes",
        ))
    }
}

fn bit(meta: &mut Cursor<'_>) -> Result<Wire, DecodeError> {
    let [odd, whole] = meta.array()?;
    let bits = u16::from(whole) * 8 + u16::from(odd);
    match u8::try_from(bits) {
        Ok(bits @ 1..=64) if odd < 8 => Ok(Wire::Bit { bits }),
        _ => Err(DecodeError::malformed("a BIT that is not of 1 to 64 bits")),
    }
}

fn decimal(meta: &mut Cursor<'_>) -> Result<Wire, DecodeError> {
    let [precision, scale] = meta.array()?;
    if decimal::valid(precision, scale) {
        Ok(Wire::Decimal { precision, scale })
    } else {
        Err(DecodeError::malformed("a DECIMAL with impossible digits"))
    }
}

/// CHAR, BINARY, ENUM and SET share a type code; the first byte tells them apart, and two of its bits, inverted, are
/// the upper bits of lengths above 255.
fn string(meta: &mut Cursor<'_>) -> Result<Option<Wire>, DecodeError> {
    let [first, second] = meta.array()?;
    let upper = u16::from((first & 0x30) ^ 0x30) << 4;
    Ok(match first | 0x30 {
        247 if upper == 0 && (1..=2).contains(&second) => Some(Wire::Enum { bytes: second }),
        248 if upper == 0 && (1..=8).contains(&second) => Some(Wire::Set { bytes: second }),
        254 => Some(Wire::Fixed {
            length: upper | u16::from(second),
        }),
        _ => None,
    })
}
