//! Parts of dates, and dates as numbers of seconds.

use super::calendar;
use super::datum::Datum;
use super::decimal::{Dec, Rounding};
use crate::change::Temporal;

/// Day number of 1970-01-01.
const EPOCH_DAY: i64 = 719_528;
/// The last second that FROM_UNIXTIME and UNIX_TIMESTAMP know: 3001-01-18 23:59:59.
const LAST_SECOND: i64 = 32_536_771_199;

/// Seconds since 1970 in UTC; zero beyond what MySQL knows.
pub(super) fn unix_timestamp(moment: &Temporal, scale: u8) -> Datum<'static> {
    let days = calendar::days_of(moment) - EPOCH_DAY;
    let micros = days * 86_400_000_000 + calendar::clock_micros(moment);
    let seconds = micros.div_euclid(1_000_000);
    let known = (1..=LAST_SECOND).contains(&seconds) && moment.month > 0 && moment.day > 0;
    let micros = if known { micros } else { 0 };
    // Six digits or none, whatever is shown of them.
    match (scale, micros % 1_000_000) {
        (0, _) => Datum::Int(micros / 1_000_000),
        (_, 0) => Datum::Decimal(Dec::from_int(i128::from(micros / 1_000_000))),
        _ => Datum::Decimal(Dec::new(i128::from(micros), 6)),
    }
}

/// The number as MySQL makes a double of it.
pub(super) fn seconds(number: &Dec) -> f64 {
    let mut text = String::new();
    number.write(&mut text);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let micros: f64 = format!("{fraction:0<6}").parse().unwrap_or(0.0);
    whole.parse::<f64>().unwrap_or(0.0) + micros / 1e6
}

/// The moment so many seconds after 1970 in UTC; NULL beyond what MySQL knows.
pub(super) fn from_unixtime(seconds: &Dec, fsp: u8) -> Option<Temporal> {
    // A billionth of a second counts, less does not.
    if seconds.rescaled(9, Rounding::Truncate).is_negative() {
        return None;
    }
    let micros = seconds.rescaled(6, Rounding::HalfUp);
    let micros = micros.mul(&Dec::from_int(1_000_000)).ok()?;
    let micros = i64::try_from(micros.to_int(Rounding::HalfUp)?).ok()?;
    if micros < 0 || micros / 1_000_000 > LAST_SECOND {
        return None;
    }
    let moment = calendar::moment_of(micros + EPOCH_DAY * 86_400_000_000, 6)?;
    calendar::with_fsp(&moment, fsp)
}
