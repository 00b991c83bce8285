//! Values of other MySQL types within a document: decimals as numbers, dates and times as strings, the rest in base64.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::change::{Decimal, Temporal, TimeOfDay};

/// Bytes whose base64 fills a line.
const LINE: usize = 57;

/// A value that can be printed.
pub(super) enum Opaque<'a> {
    Decimal(Decimal<'a>),
    Date(Temporal),
    DateTime(Temporal),
    Time(TimeOfDay),
    Other(u8, &'a [u8]),
}

impl<'a> Opaque<'a> {
    /// `None` where the bytes are no value of the type.
    pub(super) fn parse(type_code: u8, bytes: &'a [u8]) -> Option<Self> {
        Some(match type_code {
            246 => {
                let (&[precision, scale], packed) = bytes.split_first_chunk()?;
                Opaque::Decimal(Decimal::packed(packed, precision, scale)?)
            }
            7 | 12 => Opaque::DateTime(date_time(bytes)?),
            10 => Opaque::Date(date_time(bytes)?),
            11 => Opaque::Time(time(bytes)?),
            _ => Opaque::Other(type_code, bytes),
        })
    }

    pub(super) fn print(&self, out: &mut String) {
        // Writing into a String does not fail.
        let _ = match self {
            Opaque::Decimal(decimal) => {
                decimal.write(out);
                Ok(())
            }
            Opaque::Date(t) => write!(out, "\"{:04}-{:02}-{:02}\"", t.year, t.month, t.day),
            Opaque::DateTime(t) => write!(
                out,
                "\"{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}\"",
                t.year, t.month, t.day, t.hour, t.minute, t.second, t.micros
            ),
            Opaque::Time(t) => {
                let sign = if t.negative { "-" } else { "" };
                write!(
                    out,
                    "\"{sign}{:02}:{:02}:{:02}.{:06}\"",
                    t.hours, t.minutes, t.seconds, t.micros
                )
            }
            Opaque::Other(type_code, bytes) => print_base64(*type_code, bytes, out),
        };
    }
}

/// MySQL breaks base64 into lines of 76, and the string then shows each break as `\n`.
fn print_base64(type_code: u8, bytes: &[u8], out: &mut String) -> std::fmt::Result {
    write!(out, "\"base64:type{type_code}:")?;
    for (index, line) in bytes.chunks(LINE).enumerate() {
        if index > 0 {
            out.push_str("\\n");
        }
        STANDARD.encode_string(line, out);
    }
    out.push('"');
    Ok(())
}

/// DATE and DATETIME: a signed 64-bit number, 24 bits of it microseconds.
fn date_time(bytes: &[u8]) -> Option<Temporal> {
    let packed = u64::from_le_bytes(*bytes.first_chunk()?);
    let (whole, micros) = (packed >> 24, packed & 0xff_ffff);
    let (days, time) = (whole >> 17, whole & 0x1_ffff);
    let months = days >> 5;
    Temporal {
        year: u16::try_from(months / 13).ok()?,
        month: (months % 13) as u8,
        day: (days & 31) as u8,
        hour: (time >> 12) as u8,
        minute: (time >> 6 & 63) as u8,
        second: (time & 63) as u8,
        micros: micros as u32,
        fsp: 6,
    }
    .checked()
}

/// TIME, packed alike; its sign is the number's.
fn time(bytes: &[u8]) -> Option<TimeOfDay> {
    let packed = i64::from_le_bytes(*bytes.first_chunk()?);
    let magnitude = packed.unsigned_abs();
    let (whole, micros) = (magnitude >> 24, magnitude & 0xff_ffff);
    TimeOfDay {
        negative: packed < 0,
        hours: u16::try_from(whole >> 12).ok()?,
        minutes: (whole >> 6 & 63) as u8,
        seconds: (whole & 63) as u8,
        micros: micros as u32,
        fsp: 6,
    }
    .checked()
}
