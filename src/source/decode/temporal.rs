//! Dates and times from their packed forms.

use crate::change::{Temporal, TimeOfDay};

use super::cursor::Cursor;

/// DATE: day, month and year in three bytes.
#[inline]
pub(super) fn date([a, b, c]: [u8; 3]) -> Option<Temporal> {
    let packed = u32::from_le_bytes([a, b, c, 0]);
    Temporal {
        year: (packed >> 9) as u16,
        month: (packed >> 5 & 15) as u8,
        day: (packed & 31) as u8,
        ..Temporal::default()
    }
    .checked()
}

/// DATETIME: 40 bits, the highest always set, then the fraction.
#[inline]
pub(super) fn date_time(bytes: &[u8], fsp: u8) -> Option<Temporal> {
    let (&[a, b, c, d, e], fraction) = bytes.split_first_chunk()?;
    let packed = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]).checked_sub(0x80_0000_0000)?;
    let (days, time) = ((packed >> 17) as u32, packed as u32 & 0x1_ffff);
    let months = days >> 5;
    Temporal {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day: (days & 31) as u8,
        hour: (time >> 12) as u8,
        minute: (time >> 6 & 63) as u8,
        second: (time & 63) as u8,
        micros: micros(fraction)?,
        fsp,
    }
    .checked()
}

/// TIMESTAMP: seconds since 1970 in UTC, big endian, then the fraction. No seconds are the zero date, whatever the
/// fraction: the server stores none before 00:00:01 and shows `0000-00-00 00:00:00.000000`.
#[inline]
pub(super) fn timestamp(bytes: &[u8], fsp: u8) -> Option<Temporal> {
    let (&seconds, fraction) = bytes.split_first_chunk()?;
    Some(from_seconds(
        u32::from_be_bytes(seconds),
        micros(fraction)?,
        fsp,
    ))
}

/// TIMESTAMP as before MySQL 5.6.
pub(super) fn old_timestamp(bytes: &[u8]) -> Option<Temporal> {
    let seconds = Cursor::new(bytes, "timestamp").u32().ok()?;
    Some(from_seconds(seconds, 0, 0))
}

/// DATETIME as before MySQL 5.6: the decimal number `YYYYMMDDhhmmss`.
pub(super) fn old_date_time(bytes: &[u8]) -> Option<Temporal> {
    let packed = Cursor::new(bytes, "datetime").uint(8).ok()?;
    let (date, time) = (packed / 1_000_000, packed % 1_000_000);
    Temporal {
        year: u16::try_from(date / 10_000).ok()?,
        month: (date / 100 % 100) as u8,
        day: (date % 100) as u8,
        hour: (time / 10_000) as u8,
        minute: (time / 100 % 100) as u8,
        second: (time % 100) as u8,
        micros: 0,
        fsp: 0,
    }
    .checked()
}

/// TIME as before MySQL 5.6: the signed decimal number `hhmmss` in three bytes.
pub(super) fn old_time(bytes: &[u8]) -> Option<TimeOfDay> {
    let packed = Cursor::new(bytes, "time").uint(3).ok()?;
    let negative = packed >= 0x80_0000;
    let number = if negative {
        0x100_0000 - packed
    } else {
        packed
    };
    TimeOfDay {
        negative,
        hours: (number / 10_000) as u16,
        minutes: (number / 100 % 100) as u8,
        seconds: (number % 100) as u8,
        micros: 0,
        fsp: 0,
    }
    .checked()
}

/// TIME: 24 bits around 0x800000 and the fraction, which together are one number in two's complement.
#[inline]
pub(super) fn time(bytes: &[u8], fsp: u8) -> Option<TimeOfDay> {
    let (&[a, b, c], fraction) = bytes.split_first_chunk()?;
    let bits = 8 * fraction.len() as u32;
    let packed = i64::from(u32::from_be_bytes([0, a, b, c])) - 0x80_0000;
    let number = packed << bits | i64::from(units(fraction)?);
    let magnitude = number.unsigned_abs();
    let whole = (magnitude >> bits) as u32;
    TimeOfDay {
        negative: number < 0,
        hours: (whole >> 12) as u16,
        minutes: (whole >> 6 & 63) as u8,
        seconds: (whole & 63) as u8,
        micros: scaled((magnitude & ((1 << bits) - 1)) as u32, fraction.len())?,
        fsp,
    }
    .checked()
}

/// The fraction in microseconds.
#[inline]
fn micros(fraction: &[u8]) -> Option<u32> {
    scaled(units(fraction)?, fraction.len())
}

/// The fraction in its own units: hundredths in one byte, ten-thousandths in two, millionths in three.
#[inline]
fn units(fraction: &[u8]) -> Option<u32> {
    Some(match *fraction {
        [] => 0,
        [a] => u32::from(a),
        [a, b] => u32::from_be_bytes([0, 0, a, b]),
        [a, b, c] => u32::from_be_bytes([0, a, b, c]),
        _ => return None,
    })
}

/// Units of a fraction of `width` bytes as microseconds.
#[inline]
fn scaled(units: u32, width: usize) -> Option<u32> {
    Some(units * [0, 10_000, 100, 1].get(width)?)
}

/// Seconds since 1970 as a date in the proleptic Gregorian calendar.
#[inline]
fn from_seconds(seconds: u32, micros: u32, fsp: u8) -> Temporal {
    if seconds == 0 {
        return Temporal {
            fsp,
            ..Temporal::default()
        };
    }
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    Temporal {
        year,
        month,
        day,
        hour: (second / 3600) as u8,
        minute: (second / 60 % 60) as u8,
        second: (second % 60) as u8,
        micros,
        fsp,
    }
}

/// Year, month and day of a day since 1970, up to the last one that 32 bits of seconds reach. Years begin in March, so
/// that the leap day is the last one; divisions are multiplications by shifted reciprocals, exact for these days (the
/// algorithm of Neri and Schneider).
#[inline]
fn civil(days: u32) -> (u16, u8, u8) {
    let quarters = 4 * (days + 719_468) + 3;
    let (century, of_century) = (quarters / 146_097, quarters % 146_097 / 4);
    let product = 2_939_745 * u64::from(4 * of_century + 3);
    let of_year = (product as u32) / 2_939_745 / 4;
    let year = 100 * century + (product >> 32) as u32;
    let months = 2_141 * of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2_141 + 1);
    let next = of_year >= 306;
    let month = if next { month - 12 } else { month };
    ((year + u32::from(next)) as u16, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_that_a_timestamp_reaches_has_its_date() {
        let (mut year, mut month, mut day) = (1970_u16, 1_u8, 1_u8);
        for days in 0..=u32::MAX / 86_400 {
            assert_eq!(civil(days), (year, month, day));
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let length = match month {
                2 => 28 + u8::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (2106, 2, 8));
    }
}
