//! Dates and times from their packed forms.

use crate::change::{Temporal, TimeOfDay};

use super::cursor::Cursor;

/// DATE: day, month and year in three bytes.
pub(super) fn date(bytes: &[u8]) -> Option<Temporal> {
    let packed = Cursor::new(bytes, "date").uint(3).ok()?;
    Temporal {
        year: (packed >> 9) as u16,
        month: (packed >> 5 & 15) as u8,
        day: (packed & 31) as u8,
        ..Temporal::default()
    }
    .checked()
}

/// DATETIME: 40 bits, the highest always set, then the fraction.
pub(super) fn date_time(bytes: &[u8], fsp: u8) -> Option<Temporal> {
    let mut cursor = Cursor::new(bytes, "datetime");
    let [a, b, c, d, e] = cursor.array().ok()?;
    let packed = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]).checked_sub(0x80_0000_0000)?;
    let micros = fraction(&mut cursor, fsp)?;
    let (days, time) = (packed >> 17, packed & 0x1_ffff);
    let months = days >> 5;
    Temporal {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day: (days & 31) as u8,
        hour: (time >> 12) as u8,
        minute: (time >> 6 & 63) as u8,
        second: (time & 63) as u8,
        micros,
        fsp,
    }
    .checked()
}

/// TIMESTAMP: seconds since 1970 in UTC, big endian, then the fraction. No seconds are the zero date, whatever the
/// fraction: the server stores none before 00:00:01 and shows `0000-00-00 00:00:00.000000`.
pub(super) fn timestamp(bytes: &[u8], fsp: u8) -> Option<Temporal> {
    let mut cursor = Cursor::new(bytes, "timestamp");
    let seconds = cursor.uint_be(4).ok()?;
    let micros = fraction(&mut cursor, fsp)?;
    Some(from_seconds(seconds, micros, fsp))
}

/// TIMESTAMP as before MySQL 5.6.
pub(super) fn old_timestamp(bytes: &[u8]) -> Option<Temporal> {
    let seconds = Cursor::new(bytes, "timestamp").u32().ok()?;
    Some(from_seconds(u64::from(seconds), 0, 0))
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
pub(super) fn time(bytes: &[u8], fsp: u8) -> Option<TimeOfDay> {
    let width = usize::from(fsp).div_ceil(2);
    let packed = Cursor::new(bytes, "time").uint_be(3 + width).ok()?;
    let number = packed as i64 - (0x80_0000_i64 << (8 * width));
    let magnitude = number.unsigned_abs();
    let units = magnitude & ((1 << (8 * width)) - 1);
    let whole = magnitude >> (8 * width);
    TimeOfDay {
        negative: number < 0,
        hours: (whole >> 12) as u16,
        minutes: (whole >> 6 & 63) as u8,
        seconds: (whole & 63) as u8,
        micros: micros(units, width)?,
        fsp,
    }
    .checked()
}

fn fraction(cursor: &mut Cursor<'_>, fsp: u8) -> Option<u32> {
    let width = usize::from(fsp).div_ceil(2);
    micros(cursor.uint_be(width).ok()?, width)
}

/// Microseconds from hundredths, ten-thousandths or millionths.
fn micros(units: u64, width: usize) -> Option<u32> {
    let scale = [0, 10_000, 100, 1].get(width)?;
    u32::try_from(units * scale).ok()
}

/// Seconds since 1970 as a date in the proleptic Gregorian calendar.
fn from_seconds(seconds: u64, micros: u32, fsp: u8) -> Temporal {
    if seconds == 0 {
        return Temporal {
            fsp,
            ..Temporal::default()
        };
    }
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that start in March put the leap day at the end; eras of 400 years all have 146,097 days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    Temporal {
        year: year as u16,
        month: month as u8,
        day: day as u8,
        hour: (second / 3600) as u8,
        minute: (second / 60 % 60) as u8,
        second: (second % 60) as u8,
        micros,
        fsp,
    }
}
